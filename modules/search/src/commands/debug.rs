//! FT.DEBUG: what only tests ask for.

use std::sync::atomic::Ordering;
use std::time::Instant;

use mortise_module::{Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::args::lossy;
use crate::commands::bytes;
use crate::docs;
use crate::error::Error;
use crate::registry;
use crate::source::json;

/// FT.DEBUG.
pub const DEBUG: Command = Command {
    name: "FT.DEBUG",
    summary: "Shows how long a temporary index will stay if nobody uses it; chooses how JSON documents are read",
    arity: Arity::Exactly(3),
    args: docs::TIME_LEFT,
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search", "admin"],
    handler: debug,
    ..Command::DEFAULT
};

fn debug(_ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    if args[0].eq_ignore_ascii_case(b"JSON_BY") {
        // Both ways of reading documents must find the same, which only shows if one can choose.
        let by_command = match args[1].to_ascii_uppercase().as_slice() {
            b"COMMAND" => true,
            b"SERVICE" => false,
            _ => {
                return Err(
                    Error::Unsupported(format!("FT.DEBUG JSON_BY {}", lossy(args[1]))).into()
                );
            }
        };
        json::BY_COMMAND.store(by_command, Ordering::Relaxed);
        return Ok(Reply::Ok);
    }
    if !args[0].eq_ignore_ascii_case(b"TTL") {
        return Err(Error::Unsupported(format!("FT.DEBUG {}", lossy(args[0]))).into());
    }
    let left = registry::with(|all| {
        let entry = all.get(args[1]).ok_or_else(|| Error::NoSuchIndex(lossy(args[1])))?;
        entry.time_left(Instant::now()).ok_or(Error::Text("Index is not temporary"))
    })?;
    Ok(Reply::Int(i64::try_from(left.as_secs()).unwrap_or(i64::MAX)))
}
