//! What can clients ask?
//!
//! One file per group of commands, declaration and handler together; `arguments.rs` reads what they share, `reply.rs`
//! knows the shapes that answers take in RESP2 and RESP3. A handler parses all arguments first, opens the key, lets
//! `ops` act, and replies; a write that changed something is replicated as it came in and announced as an event that
//! is called like the command.

mod arguments;
mod arrays;
pub(crate) mod get;
mod inspect;
mod reply;
mod scalars;
mod set;

use std::ffi::CStr;

use mortise_module::{Access, Arg, Command, Context, Error, Flag, KeySpec, NotifyClass};

use crate::codec::Parsed;
use crate::docs;
use crate::error::JsonError;
use crate::limits::{self, Before};
use crate::ops::{self, Updated};
use crate::path::Path;
use crate::rdb::{Document, JSON};
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
    complexity: docs::BY_PATH,
    parallel: true,
    ..Command::DEFAULT
};

/// What commands that change one key have in common.
const WRITE: Command = Command {
    flags: &[Flag::Write, Flag::DenyOom],
    categories: &["json"],
    keys: &[KeySpec::at(1, Access::Update)],
    complexity: docs::BY_PATH,
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
    event: &CStr,
    operation: impl FnOnce(&mut Value) -> Result<Updated<T>, JsonError>,
) -> Result<Updated<T>, Error> {
    let mut document = ctx.write_value(&args[1], &JSON)?.ok_or(JsonError::KeyMissing)?;
    let before = Before::of(&document.0);
    let updated = operation(&mut document.0)?;
    before.check(&mut document.0)?;
    drop(document);
    if updated.changed {
        announce(ctx, event, &args[1])?;
    }
    Ok(updated)
}

/// The arguments without the word CREATE at their end, and whether it was there. (No command reads it there otherwise:
/// what comes last is JSON.)
fn without_create<'a, 'c>(args: &'a [Arg<'c>]) -> (&'a [Arg<'c>], bool) {
    match args.split_last() {
        Some((last, rest)) if last.is("CREATE") => (rest, true),
        _ => (args, false),
    }
}

/// As [`change`], but what the path does not find is made first, with `leaf` as its value, and the key if need be.
fn change_or_create<T>(
    ctx: &mut Context<'_>,
    args: &[Arg<'_>],
    event: &CStr,
    (path, leaf): (&Path, &Parsed),
    operation: impl FnOnce(&mut Value) -> Result<Updated<T>, JsonError>,
) -> Result<Updated<T>, Error> {
    let mut key = ctx.open_write(&args[1])?;
    let mut old = key.value_mut(&JSON)?;
    let (mut draft, mut made) = match &old {
        Some(document) => (document.0.clone(), 0),
        None if path.is_root() => (leaf.value.clone(), 1),
        None => (Value::empty_object(), 0),
    };
    made += ops::create(&mut draft, path, leaf)?;
    if old.is_none() && made == 0 {
        return Err(JsonError::KeyMissing.into());
    }
    let mut updated = operation(&mut draft)?;
    updated.changed |= made > 0;
    if updated.changed {
        limits::check(&draft)?;
        match &mut old {
            Some(document) => document.0 = draft,
            None => key.set_value(&JSON, Document(draft))?,
        }
    }
    drop(key);
    if updated.changed {
        announce(ctx, event, &args[1])?;
    }
    Ok(updated)
}

/// Replicates the command and tells who listens that it has changed a key.
fn announce(ctx: &mut Context<'_>, event: &CStr, key: &Arg<'_>) -> Result<(), Error> {
    ctx.replicate_verbatim()?;
    ctx.announce(NotifyClass::MODULE, event, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_make_sense() {
        for command in COMMANDS {
            assert_eq!(command.check(), Ok(()));
            assert!(!command.args.is_empty() && !command.summary.is_empty(), "{}", command.name);
        }
    }
}
