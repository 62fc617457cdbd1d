//! How are the arguments read that commands share?

use std::rc::Rc;

use mortise_module::Arg;

use crate::codec::{Parsed, parse};
use crate::error::JsonError;
use crate::ops::fits;
use crate::path::{Path, compiled};

/// Text; all arguments but keys must be.
pub(super) fn text<'a>(arg: &Arg<'a>) -> Result<&'a str, JsonError> {
    std::str::from_utf8(arg.as_bytes()).map_err(|_| JsonError::NotUtf8)
}

/// A path; the (legacy) root if it is left out.
pub(super) fn path(arg: Option<&Arg<'_>>) -> Result<Rc<Path>, JsonError> {
    Ok(compiled(arg.map_or(Ok("."), text)?)?)
}

/// A JSON text.
pub(super) fn json(arg: &Arg<'_>) -> Result<Parsed, JsonError> {
    let parsed = parse(text(arg)?)?;
    if fits(0, parsed.depth) { Ok(parsed) } else { Err(JsonError::TooDeep) }
}

/// Some JSON texts.
pub(super) fn jsons(args: &[Arg<'_>]) -> Result<Vec<Parsed>, JsonError> {
    args.iter().map(json).collect()
}

/// An integer, such as an index.
pub(super) fn integer(arg: &Arg<'_>) -> Result<i64, JsonError> {
    arg.to_i64().map_err(|_| JsonError::NotAnInteger)
}
