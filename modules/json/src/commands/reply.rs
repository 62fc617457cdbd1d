//! Which shape does an answer take?
//!
//! For a JSONPath a command answers for every match, with null where a match is of another kind; for a legacy path it
//! answers for one, or fails.

use std::borrow::Cow;

use mortise_module::{CommandResult, Reply};

use crate::error::JsonError;
use crate::ops::{Number, Updated};
use crate::path::Path;
use crate::value::{Value, View};
use crate::write::{Format, Writer, to_text};

/// How a writing command answers: with the results of all matches, or with one that has any.
pub(super) fn results<T: Into<Reply>>(
    path: &Path,
    updated: Updated<T>,
    missing: JsonError,
) -> CommandResult {
    if path.is_legacy() {
        return Ok(updated.into_answer().ok_or(missing)?.into());
    }
    Ok(Reply::Array(updated.results.into_iter().map(Reply::from).collect()))
}

/// The JSON text of a value.
pub(super) fn json(view: View<'_>) -> Reply {
    Reply::Bulk(to_text(view, Format::COMPACT))
}

/// The JSON text of a popped value.
pub(super) fn json_or_null(value: Option<Value>) -> Reply {
    value.map_or(Reply::Null, |value| json(value.view()))
}

/// The text of a number, as JSON has it.
pub(super) fn number_text(number: Number) -> Vec<u8> {
    to_text(number.to_value().view(), Format::COMPACT)
}

/// The JSON text of an array of numbers, with null for what has none.
pub(super) fn number_texts(numbers: &[Option<Number>]) -> Vec<u8> {
    let mut writer = Writer::new(Format::COMPACT);
    writer.open(b'[');
    for (i, number) in numbers.iter().enumerate() {
        writer.separate(i);
        match number {
            Some(number) => writer.value(number.to_value().view()),
            None => writer.value(View::Null),
        }
    }
    writer.close(b']', numbers.len());
    writer.finish()
}

/// A number as RESP3 has it.
pub(super) fn number(number: Number) -> Reply {
    match number {
        Number::Int(value) => Reply::Int(value),
        Number::Float(value) => Reply::Double(value),
    }
}

/// How far RESP3's own types are used for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expand {
    /// Scalars only; arrays and objects stay text.
    Scalars,
    /// All the way down.
    All,
}

/// A value in RESP3's own types.
pub(super) fn native(view: View<'_>, expand: Expand) -> Reply {
    match view {
        View::Null => Reply::Null,
        View::Bool(value) => Reply::Bool(value),
        View::Int(value) => Reply::Int(value),
        View::Unsigned(value) => Reply::Double(value as f64),
        View::Float(value) => Reply::Double(value),
        View::Text(text) => Reply::from(text),
        View::Array(_) | View::Object(_) if expand == Expand::Scalars => json(view),
        View::Array(array) => {
            Reply::Array(array.iter().map(|element| native(element, expand)).collect())
        }
        View::Object(object) => {
            let members = object.iter();
            Reply::Map(
                members
                    .map(|member| (Reply::from(member.name()), native(member.value, expand)))
                    .collect(),
            )
        }
    }
}

/// A popped value, in RESP3's own types.
pub(super) fn native_or_null(value: Option<Value>, expand: Expand) -> Reply {
    value.map_or(Reply::Null, |value| native(value.view(), expand))
}

/// A value in the types of RESP2, as JSON.RESP has it: containers begin with their bracket, objects are flat.
pub(super) fn resp(view: View<'_>, resp3: bool) -> Reply {
    let bracket = |bracket: &'static str| Reply::Simple(Cow::Borrowed(bracket));
    match view {
        View::Null => Reply::Null,
        View::Bool(value) => bracket(if value { "true" } else { "false" }),
        View::Int(value) => Reply::Int(value),
        View::Float(value) if resp3 => Reply::Double(value),
        View::Unsigned(_) | View::Float(_) => json(view),
        View::Text(text) => Reply::from(text),
        View::Array(array) => {
            let elements = array.iter().map(|element| resp(element, resp3));
            Reply::Array(std::iter::once(bracket("[")).chain(elements).collect())
        }
        View::Object(object) => {
            let members = object
                .iter()
                .flat_map(|member| [Reply::from(member.name()), resp(member.value, resp3)]);
            Reply::Array(std::iter::once(bracket("{")).chain(members).collect())
        }
    }
}
