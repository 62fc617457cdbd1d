//! Which shape does an answer take?
//!
//! For a JSONPath a command answers for every match, with null where a match is of another kind; for a legacy path it
//! answers for one, or fails.

use std::borrow::Cow;
use std::cell::Cell;

use mortise_module::{CommandResult, Context, Reply};

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
    let results = updated.results.into_vec();
    Ok(Reply::Array(results.into_iter().map(Reply::from).collect()))
}

/// The JSON text of a value.
pub(super) fn json(view: View<'_>) -> Reply {
    Reply::Bulk(to_text(view, Format::COMPACT))
}

/// The JSON text of a popped value.
pub(super) fn json_or_null(value: Option<Value>) -> Reply {
    value.map_or(Reply::Null, |value| json(value.view()))
}

thread_local! {
    /// Where this thread has written the text of its last reply.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// More room than this is given back after a reply.
const ROOM_BYTES_MAX: usize = 64 * 1024;

/// Answers with the text that `write` makes. It goes from there into the reply, so that it costs no allocation.
pub(super) fn written(
    ctx: &Context<'_>,
    format: Format<'_>,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), JsonError>,
) -> CommandResult {
    let mut writer = Writer::reusing(ROOM.take(), format);
    let result = write(&mut writer);
    if result.is_ok() {
        ctx.reply().bulk(writer.text());
    }
    let room = writer.into_room();
    if room.len() <= ROOM_BYTES_MAX {
        ROOM.set(room);
    }
    result?;
    Ok(Reply::Written)
}

/// Writes the JSON text of an array of numbers, with null for what has none.
pub(super) fn write_numbers(writer: &mut Writer<'_>, numbers: &[Option<Number>]) {
    writer.array(numbers.iter().map(|number| number.map_or(View::Null, Number::view)));
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
