//! What can clients ask?
//!
//! One file per group of commands, declaration and handler together; `arguments.rs` reads what they share, `reply.rs`
//! knows the shapes that answers take in RESP2 and RESP3. A handler parses all arguments first, opens the key, lets
//! `ops` act, and replies; a write that changed something is replicated as it came in and announced as an event that
//! is called like the command.

mod arguments;
mod arrays;
mod get;
mod inspect;
mod reply;
mod scalars;
mod set;

use mortise_module::{Access, Arg, Command, Context, Error, Flag, KeySpec, NotifyClass};

use crate::error::JsonError;
use crate::limits::Before;
use crate::ops::Updated;
use crate::rdb::JSON;
use crate::value::Value;

/// All commands. Names are in lower case, as RedisJSON registers them: errors quote them.
pub(crate) const COMMANDS: &[Command] = &[
    set::SET,
    set::MSET,
    set::MERGE,
    set::DEL,
    set::FORGET,
    set::CLEAR,
    get::GET,
    get::MGET,
    get::RESP,
    inspect::TYPE,
    inspect::STRLEN,
    inspect::ARRLEN,
    inspect::OBJLEN,
    inspect::OBJKEYS,
    inspect::ARRINDEX,
    inspect::DEBUG,
    scalars::NUMINCRBY,
    scalars::NUMMULTBY,
    scalars::NUMPOWBY,
    scalars::TOGGLE,
    scalars::STRAPPEND,
    arrays::ARRAPPEND,
    arrays::ARRINSERT,
    arrays::ARRPOP,
    arrays::ARRTRIM,
];

/// What commands that read one key have in common.
const READ: Command = Command {
    flags: &[Flag::ReadOnly],
    categories: &["json"],
    keys: &[KeySpec::at(1, Access::Read)],
    parallel: true,
    ..Command::DEFAULT
};

/// What commands that change one key have in common.
const WRITE: Command = Command {
    flags: &[Flag::Write, Flag::DenyOom],
    categories: &["json"],
    keys: &[KeySpec::at(1, Access::Update)],
    ..Command::DEFAULT
};

/// As [`WRITE`], for commands that only ever make a document smaller.
const SHRINK: Command = Command { flags: &[Flag::Write], ..WRITE };

impl From<JsonError> for Error {
    fn from(error: JsonError) -> Error {
        match error {
            // The server knows the command's name.
            JsonError::MissingArgument => Error::WrongArity,
            error => Error::with_code(error.to_string()),
        }
    }
}

/// Lets `operation` change the document of the key that the first argument names, which must exist.
fn change<T>(
    ctx: &mut Context<'_>,
    args: &[Arg<'_>],
    event: &str,
    operation: impl FnOnce(&mut Value) -> Result<Updated<T>, JsonError>,
) -> Result<Updated<T>, Error> {
    let mut key = ctx.open_write(&args[1])?;
    let document = key.value_mut(&JSON)?.ok_or(JsonError::KeyMissing)?;
    let before = Before::of(&document.0);
    let updated = operation(&mut document.0)?;
    before.check(&mut document.0)?;
    drop(key);
    if updated.changed {
        announce(ctx, event, &args[1])?;
    }
    Ok(updated)
}

/// Replicates the command and tells who listens that it has changed a key.
fn announce(ctx: &mut Context<'_>, event: &str, key: &Arg<'_>) -> Result<(), Error> {
    ctx.replicate_verbatim()?;
    ctx.notify(NotifyClass::MODULE, event, key)
}
