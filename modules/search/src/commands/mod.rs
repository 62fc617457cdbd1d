//! What can clients ask?
//!
//! One file per group of commands; each command's declaration stands beside its handler. Errors go out without the
//! word ERR in front, as RediSearch sends them.

use mortise_module::{Arg, Command, Error as ReplyError};

use crate::error::Error;

mod administration;
mod aggregate;
mod aliases;
mod answering;
mod config;
pub mod cursor;
mod debug;
mod dictionaries;
mod documents;
mod excerpts;
mod explain;
mod hybrid;
mod idempotent;
mod info;
mod json_fields;
mod loading;
mod options;
mod payloads;
mod permission;
mod profile;
mod search;
mod spelling;
mod suggestions;
mod synonyms;
mod tag_values;

/// All commands.
pub const COMMANDS: &[Command] = &[
    administration::CREATE,
    administration::ALTER,
    administration::DROPINDEX,
    administration::LIST,
    aggregate::AGGREGATE,
    cursor::CURSOR,
    debug::DEBUG,
    documents::DEL,
    documents::GET,
    documents::MGET,
    hybrid::HYBRID,
    info::INFO,
    search::SEARCH,
    aliases::ADD,
    aliases::ADD_IF_NEW,
    aliases::UPDATE,
    aliases::DELETE,
    aliases::DELETE_IF_KNOWN,
    aliases::LIST,
    config::CONFIG,
    dictionaries::ADD,
    dictionaries::DELETE,
    dictionaries::DUMP,
    explain::EXPLAIN,
    explain::EXPLAIN_LINES,
    idempotent::CREATE,
    idempotent::ALTER,
    idempotent::DROPINDEX,
    idempotent::DROP,
    idempotent::DROP_IF_KNOWN,
    profile::PROFILE,
    spelling::SPELLCHECK,
    suggestions::ADD,
    suggestions::GET,
    suggestions::DELETE,
    suggestions::LENGTH,
    synonyms::UPDATE,
    synonyms::DUMP,
    synonyms::ADD,
    tag_values::TAG_VALUES,
];

/// The section that INFO shows.
pub use info::server_info;

/// The arguments behind the command's name, as bytes.
fn bytes<'a>(args: &[Arg<'a>]) -> Vec<&'a [u8]> {
    args.iter().skip(1).map(Arg::as_bytes).collect()
}

/// An error as the client reads it.
fn reply_error(error: Error) -> ReplyError {
    ReplyError::with_code(error.to_string())
}

impl From<Error> for ReplyError {
    fn from(error: Error) -> ReplyError {
        reply_error(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_make_sense() {
        // What takes no argument, and what is gone.
        const WITHOUT: [&str; 2] = ["FT._LIST", "FT.SYNADD"];
        for command in COMMANDS {
            assert_eq!(command.check(), Ok(()));
            let documented = !command.args.is_empty() || !command.subcommands.is_empty();
            assert!(documented || WITHOUT.contains(&command.name), "{}", command.name);
        }
    }
}
