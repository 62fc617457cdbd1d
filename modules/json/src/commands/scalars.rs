//! JSON.NUMINCRBY, NUMMULTBY, NUMPOWBY, TOGGLE, STRAPPEND: how are single values changed?

use std::ffi::CStr;

use mortise_module::{Arg, Arity, Command, CommandResult, Context, Reply};

use super::arguments::{path, text};
use super::reply::{self, number, write_numbers, written};
use super::{WRITE, change, change_or_create, without_create};
use crate::codec::{Parsed, parse};
use crate::docs;
use crate::error::JsonError;
use crate::ops::{self, Arithmetic, Number};
use crate::value::{Value, View};
use crate::write::Format;

pub(super) const NUMINCRBY: Command = Command {
    name: "json.numincrby",
    summary: "Adds a number to the numbers at a path.",
    arity: Arity::Between(4, 5),
    keys: docs::READ_UPDATE,
    args: docs::NUMBER,
    handler: |ctx, args| arithmetic(ctx, args, c"json.numincrby", Arithmetic::Add),
    ..WRITE
};

pub(super) const NUMMULTBY: Command = Command {
    name: "json.nummultby",
    summary: "Multiplies the numbers at a path by a number.",
    arity: Arity::Between(4, 5),
    keys: docs::READ_UPDATE,
    args: docs::NUMBER,
    handler: |ctx, args| arithmetic(ctx, args, c"json.nummultby", Arithmetic::Multiply),
    ..WRITE
};

pub(super) const NUMPOWBY: Command = Command {
    name: "json.numpowby",
    summary: "Raises the numbers at a path to the power of a number.",
    arity: Arity::Between(4, 5),
    keys: docs::READ_UPDATE,
    args: docs::NUMBER,
    handler: |ctx, args| arithmetic(ctx, args, c"json.numpowby", Arithmetic::Power),
    ..WRITE
};

pub(super) const TOGGLE: Command = Command {
    name: "json.toggle",
    summary: "Turns true into false and false into true.",
    since: "2.0.0",
    arity: Arity::Exactly(3),
    keys: docs::READ_UPDATE,
    args: docs::TOGGLE,
    handler: toggle,
    ..WRITE
};

pub(super) const STRAPPEND: Command = Command {
    name: "json.strappend",
    summary: "Appends a string to the strings at a path.",
    complexity: "O(N) with N the length of the strings",
    arity: Arity::Between(3, 5),
    keys: docs::INSERT,
    args: docs::STRAPPEND,
    handler: strappend,
    ..WRITE
};

fn arithmetic(
    ctx: &mut Context<'_>,
    args: &[Arg<'_>],
    event: &CStr,
    operation: Arithmetic,
) -> CommandResult {
    let (args, create) = without_create(args);
    let [_, _, at, operand] = args else { return Err(JsonError::MissingArgument.into()) };
    let path = path(Some(at))?;
    let operand = text(operand).and_then(Number::parse);
    let act = |document: &mut Value| ops::arithmetic(document, &path, operation, &operand);
    let updated = match create {
        true => {
            let zero = Parsed { value: Value::int(0), depth: 0 };
            change_or_create(ctx, args, event, (&path, &zero), act)?
        }
        false => change(ctx, args, event, act)?,
    };
    if ctx.is_resp3() {
        let results = updated.results.into_vec();
        let numbers = results.into_iter().map(|result| result.map_or(Reply::Null, number));
        return Ok(Reply::Array(numbers.collect()));
    }
    if path.is_legacy() {
        let number = updated.into_answer().ok_or(JsonError::NotANumber)?;
        return written(ctx, Format::COMPACT, |writer| {
            writer.value(number.view());
            Ok(())
        });
    }
    written(ctx, Format::COMPACT, |writer| {
        write_numbers(writer, &updated.results);
        Ok(())
    })
}

fn toggle(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let path = path(args.get(2))?;
    let updated = change(ctx, args, c"json.toggle", |document| ops::toggle(document, &path))?;
    if path.is_legacy() {
        let on = updated.into_answer().ok_or(JsonError::NotABool)?;
        return Ok(Reply::from(if on { "true" } else { "false" }));
    }
    let flags =
        updated.results.into_vec().into_iter().map(|result| Reply::from(result.map(i64::from)));
    Ok(Reply::Array(flags.collect()))
}

fn strappend(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let (args, create) = without_create(args);
    let (at, suffix) = match args {
        [_, _, suffix] => (None, suffix),
        [_, _, at, suffix] => (Some(at), suffix),
        _ => return Err(mortise_module::Error::WrongArity),
    };
    let path = path(at)?;
    let suffix = parse(text(suffix)?).map_err(JsonError::JsonArgument);
    let suffix = match &suffix {
        Ok(parsed) => match parsed.value.view() {
            View::Text(suffix) => Ok(suffix),
            _ => Err(&JsonError::ExpectedString),
        },
        Err(error) => Err(error),
    };
    let act = |document: &mut Value| ops::strappend(document, &path, suffix);
    let updated = match create {
        true => {
            let empty = Parsed { value: Value::text(""), depth: 0 };
            change_or_create(ctx, args, c"json.strappend", (&path, &empty), act)?
        }
        false => change(ctx, args, c"json.strappend", act)?,
    };
    reply::results(&path, updated, JsonError::NotAString)
}
