//! JSON.TYPE, STRLEN, ARRLEN, OBJLEN, OBJKEYS, ARRINDEX, DEBUG: what is there to know about values?

use mortise_module::{Arg, Arity, Command, CommandResult, Context, Reply};

use super::READ;
use super::arguments::{integer, path, text};
use crate::codec::parse;
use crate::docs;
use crate::error::JsonError;
use crate::ops::{self, Range};
use crate::path::Path;
use crate::rdb::JSON;
use crate::value::View;

pub(super) const TYPE: Command = Command {
    name: "json.type",
    summary: "Returns the kinds of the values at a path.",
    arity: Arity::Between(2, 3),
    keys: docs::PEEK,
    args: docs::ONE_PLACE,
    handler: kind,
    ..READ
};

pub(super) const STRLEN: Command = Command {
    name: "json.strlen",
    summary: "Returns the lengths of the strings at a path, in bytes.",
    arity: Arity::Between(2, 3),
    keys: docs::PEEK,
    args: docs::ONE_PLACE,
    handler: strlen,
    ..READ
};

pub(super) const ARRLEN: Command = Command {
    name: "json.arrlen",
    summary: "Returns the numbers of elements of the arrays at a path.",
    arity: Arity::Between(2, 3),
    keys: docs::PEEK,
    args: docs::ONE_PLACE,
    handler: arrlen,
    ..READ
};

pub(super) const OBJLEN: Command = Command {
    name: "json.objlen",
    summary: "Returns the numbers of members of the objects at a path.",
    arity: Arity::Between(2, 3),
    keys: docs::PEEK,
    args: docs::ONE_PLACE,
    handler: objlen,
    ..READ
};

pub(super) const OBJKEYS: Command = Command {
    name: "json.objkeys",
    summary: "Returns the names of the members of the objects at a path.",
    complexity: "O(N) with N the number of members",
    arity: Arity::Between(2, 3),
    args: docs::ONE_PLACE,
    handler: objkeys,
    ..READ
};

pub(super) const ARRINDEX: Command = Command {
    name: "json.arrindex",
    summary: "Returns where a value first stands in the arrays at a path.",
    complexity: "O(N) with N the size of the array",
    arity: Arity::Between(4, 6),
    args: docs::ARRINDEX,
    handler: arrindex,
    ..READ
};

pub(super) const DEBUG: Command = Command {
    name: "json.debug",
    summary: "Tells how much memory the values at a path take.",
    complexity: "O(N) with N the size of the values",
    arity: Arity::AtLeast(2),
    args: docs::DEBUG,
    keys: docs::PEEK_SECOND,
    handler: debug,
    ..READ
};

/// What a command that looks at values answers where there is nothing to look at.
struct Absent {
    /// A JSONPath into a missing key. (A legacy path into one answers null.)
    key: JsonError,
    /// A legacy path without a match; null if it is no error.
    path: Option<JsonError>,
    /// A legacy path to a value of another kind.
    kind: JsonError,
}

/// Answers what `measure` finds, for the first match of a legacy path, for every match of a JSONPath.
fn look<R: Into<Reply>>(
    ctx: &Context<'_>,
    args: &[Arg<'_>],
    absent: Absent,
    measure: impl Fn(View<'_>) -> Option<R>,
) -> CommandResult {
    let path = path(args.get(2))?;
    let Some(document) = ctx.read_value(&args[1], &JSON)? else {
        return if path.is_legacy() { Ok(Reply::Null) } else { Err(absent.key.into()) };
    };
    answer(&path, document.0.view(), absent, measure)
}

fn answer<R: Into<Reply>>(
    path: &Path,
    root: View<'_>,
    absent: Absent,
    measure: impl Fn(View<'_>) -> Option<R>,
) -> CommandResult {
    if !path.is_legacy() {
        let matches = path.select(root).map_err(JsonError::from)?;
        return Ok(Reply::Array(matches.into_iter().map(|view| measure(view).into()).collect()));
    }
    match path.first(root).map_err(JsonError::from)? {
        Some(view) => Ok(measure(view).ok_or(absent.kind)?.into()),
        None => absent.path.map_or(Ok(Reply::Null), |error| Err(error.into())),
    }
}

fn kind(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let path = path(args.get(2))?;
    let name = |view: View<'_>| Reply::from(view.kind().name());
    let reply = match ctx.read_value(&args[1], &JSON)? {
        None => Reply::Null,
        Some(document) => {
            let root = document.0.view();
            if path.is_legacy() {
                path.first(root).map_err(JsonError::from)?.map_or(Reply::Null, name)
            } else {
                let matches = path.select(root).map_err(JsonError::from)?;
                Reply::Array(matches.into_iter().map(name).collect())
            }
        }
    };
    Ok(if ctx.is_resp3() { Reply::Array(vec![reply]) } else { reply })
}

fn strlen(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let absent = Absent {
        key: JsonError::KeyMissing,
        path: Some(JsonError::PathMissing),
        kind: JsonError::ExpectedString,
    };
    look(ctx, args, absent, |view| match view {
        View::Text(text) => Some(text.len()),
        _ => None,
    })
}

fn arrlen(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let absent = Absent {
        key: JsonError::KeyMissing,
        path: Some(JsonError::PathMissing),
        kind: JsonError::NotAnArray,
    };
    look(ctx, args, absent, |view| match view {
        View::Array(array) => Some(array.len()),
        _ => None,
    })
}

fn objlen(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let absent =
        Absent { key: JsonError::NotAnObject, path: None, kind: JsonError::ExpectedObject };
    look(ctx, args, absent, |view| match view {
        View::Object(object) => Some(object.len()),
        _ => None,
    })
}

fn objkeys(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let absent = Absent { key: JsonError::KeyMissing, path: None, kind: JsonError::NotAnObject };
    look(ctx, args, absent, |view| match view {
        View::Object(object) => {
            Some(object.iter().map(|member| Reply::from(member.name())).collect::<Vec<Reply>>())
        }
        _ => None,
    })
}

fn arrindex(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let wanted = parse(text(&args[3])?).map_err(JsonError::JsonArgument)?;
    let path = path(args.get(2))?;
    let bound = |place: usize| args.get(place).map_or(Ok(0), integer);
    let range = Range { start: bound(4)?, stop: bound(5)? };
    let document = ctx.read_value(&args[1], &JSON)?.ok_or(JsonError::PathMissing)?;
    let absent = Absent {
        key: JsonError::PathMissing,
        path: Some(JsonError::PathMissing),
        kind: JsonError::ExpectedArray,
    };
    answer(&path, document.0.view(), absent, |view| {
        let index = ops::index_of(view, wanted.value.view(), range)?;
        Some(index.map_or(Reply::Int(-1), Reply::from))
    })
}

fn debug(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    match &args[1..] {
        [word] if word.is("HELP") => Ok(Reply::Array(vec![
            Reply::from("MEMORY <key> [path] - reports memory usage"),
            Reply::from("HELP                - this message"),
        ])),
        [word, key] if word.is("MEMORY") => memory(ctx, key, None),
        [word, key, path] if word.is("MEMORY") => memory(ctx, key, Some(path)),
        [word, ..] if word.is("MEMORY") => Err(mortise_module::Error::WrongArity),
        _ => Err(JsonError::UnknownSubcommand.into()),
    }
}

fn memory(ctx: &Context<'_>, key: &Arg<'_>, at: Option<&Arg<'_>>) -> CommandResult {
    let path = path(at)?;
    let Some(document) = ctx.read_value(key, &JSON)? else {
        return Ok(if path.is_legacy() { Reply::Int(0) } else { Reply::Array(Vec::new()) });
    };
    if path.is_root() {
        let bytes = Reply::from(document.0.memory_bytes());
        return Ok(if path.is_legacy() { bytes } else { Reply::Array(vec![bytes]) });
    }
    let absent = Absent {
        key: JsonError::PathMissing,
        path: Some(JsonError::PathMissing),
        kind: JsonError::PathMissing,
    };
    answer(&path, document.0.view(), absent, |view| Some(view.memory_bytes()))
}
