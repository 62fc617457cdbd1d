//! JSON.ARRAPPEND, ARRINSERT, ARRPOP, ARRTRIM: how do arrays grow and shrink?

use mortise_module::{Arg, Arity, Command, CommandResult, Context, Reply};

use super::arguments::{integer, jsons, path};
use super::reply::{self, Expand, native_or_null};
use super::{SHRINK, WRITE, change, change_or_create, without_create};
use crate::codec::Parsed;
use crate::docs;
use crate::error::JsonError;
use crate::ops;
use crate::value::Value;

pub(super) const ARRAPPEND: Command = Command {
    name: "json.arrappend",
    summary: "Adds values at the end of the arrays at a path.",
    arity: Arity::AtLeast(4),
    keys: docs::INSERT,
    args: docs::ARRAPPEND,
    handler: arrappend,
    ..WRITE
};

pub(super) const ARRINSERT: Command = Command {
    name: "json.arrinsert",
    summary: "Inserts values into the arrays at a path, before an index.",
    complexity: "O(N) with N the size of the array",
    arity: Arity::AtLeast(5),
    keys: docs::INSERT,
    args: docs::ARRINSERT,
    handler: arrinsert,
    ..WRITE
};

pub(super) const ARRPOP: Command = Command {
    name: "json.arrpop",
    summary: "Removes and returns an element of the arrays at a path, by default the last one.",
    complexity: "O(N) with N the size of the array, O(1) for its last element",
    arity: Arity::AtLeast(2),
    keys: docs::READ_DELETE,
    args: docs::ARRPOP,
    handler: arrpop,
    ..SHRINK
};

pub(super) const ARRTRIM: Command = Command {
    name: "json.arrtrim",
    summary: "Keeps only a range of the elements of the arrays at a path.",
    complexity: "O(N) with N the size of the array",
    arity: Arity::Exactly(5),
    keys: docs::DELETE,
    args: docs::ARRTRIM,
    handler: arrtrim,
    ..SHRINK
};

fn arrappend(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let (args, create) = without_create(args);
    if args.len() < 4 {
        return Err(JsonError::MissingArgument.into());
    }
    let path = path(args.get(2))?;
    let values = jsons(&args[3..])?;
    let act = |document: &mut Value| ops::append(document, &path, &values);
    let updated = match create {
        true => {
            let empty = Parsed { value: Value::empty_array(), depth: 1 };
            change_or_create(ctx, args, c"json.arrappend", (&path, &empty), act)?
        }
        false => change(ctx, args, c"json.arrappend", act)?,
    };
    reply::results(&path, updated, JsonError::NotAnArray)
}

fn arrinsert(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let path = path(args.get(2))?;
    let index = integer(&args[3])?;
    let values = jsons(&args[4..])?;
    let updated = change(ctx, args, c"json.arrinsert", |document| {
        ops::insert(document, &path, index, &values)
    })?;
    reply::results(&path, updated, JsonError::NotAnArray)
}

fn arrpop(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let mut rest = &args[2..];
    let mut expand = None;
    if let [word, format, behind @ ..] = rest
        && word.is("FORMAT")
    {
        expand = popped_format(format)?;
        if !ctx.is_resp3() {
            return Err(JsonError::FormatNeedsResp3.into());
        }
        rest = behind;
    }
    if rest.len() > 2 {
        return Err(mortise_module::Error::WrongArity);
    }
    let path = path(rest.first())?;
    if expand.is_some() && path.is_legacy() {
        return Err(JsonError::FormatNeedsJsonPath.into());
    }
    let index = rest.get(1).map_or(-1, |arg| integer(arg).unwrap_or(-1));
    let updated = change(ctx, args, c"json.arrpop", |document| ops::pop(document, &path, index))?;
    if let Some(expand) = expand {
        let popped = updated.results.into_vec().into_iter();
        let popped = popped.map(|result| native_or_null(result.flatten(), expand));
        return Ok(Reply::Array(popped.collect()));
    }
    reply::results(&path, updated.map(reply::json_or_null), JsonError::NotAnArray)
}

fn popped_format(arg: &Arg<'_>) -> Result<Option<Expand>, JsonError> {
    match arg.as_bytes() {
        b"STRINGS" => Ok(None),
        b"EXPAND1" => Ok(Some(Expand::Scalars)),
        b"EXPAND" => Ok(Some(Expand::All)),
        _ => Err(JsonError::WrongReplyFormat),
    }
}

fn arrtrim(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let path = path(args.get(2))?;
    let (start, stop) = (integer(&args[3])?, integer(&args[4])?);
    let updated =
        change(ctx, args, c"json.arrtrim", |document| ops::trim(document, &path, start, stop))?;
    reply::results(&path, updated, JsonError::NotAnArray)
}
