//! How are the arguments read that commands share?

use std::rc::Rc;

use mortise_module::Arg;

use crate::codec::{Parsed, parse};
use crate::error::JsonError;
use crate::ops::fits;
use crate::path::{self, Dialect, Path, Query};

/// Text; all arguments but keys must be.
pub(super) fn text<'a>(arg: &Arg<'a>) -> Result<&'a str, JsonError> {
    std::str::from_utf8(arg.as_bytes()).map_err(|_| JsonError::NotUtf8)
}

/// A path or an expression.
pub(super) fn query(text: &[u8], dialect: Dialect) -> Result<Query, JsonError> {
    if let Some(query) = path::known(text, dialect) {
        return Ok(query);
    }
    let text = std::str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
    Ok(path::query(text, dialect)?)
}

/// A path; the (legacy) root if it is left out.
pub(super) fn path(arg: Option<&Arg<'_>>) -> Result<Rc<Path>, JsonError> {
    let text = arg.map_or(&b"."[..], Arg::as_bytes);
    Ok(query(text, Dialect::RedisJson)?.into_path()?)
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
