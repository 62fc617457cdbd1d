//! What can go wrong, and what does the client read then?
//!
//! One variant per distinct error. The texts are RedisJSON's to the byte, its mixed prefixes included: clients match on
//! them.

use std::fmt;

use crate::codec::ParseError;
use crate::path::{PathError, TooCostly};

/// An error that a command answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its text, which stands below")]
pub enum JsonError {
    MissingArgument,
    KeyMissing,
    NotUtf8,
    Path(PathError),
    /// A document, or what becomes part of one.
    Json(ParseError),
    /// JSON that tells a command what to do: a number to add, a value to look for.
    JsonArgument(ParseError),
    TooDeep,
    TooCostly,
    TextTooLong,
    DocumentTooLarge,
    ReplyTooLarge,
    NewBelowRoot,
    WrongStaticPath,
    IndexOutOfRange,
    IndexOutOfBounds,
    Syntax,
    NotAnInteger,
    WrongFormat,
    WrongReplyFormat,
    WrongFpha,
    FormatNeedsResp3,
    FormatNeedsJsonPath,
    PathMissing,
    NotANumber,
    NotABool,
    NotAString,
    NotAnArray,
    NotAnObject,
    ExpectedString,
    ExpectedArray,
    ExpectedObject,
    NumericOverflow,
    ResultNotANumber,
    BadNumber,
    UnknownSubcommand,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JsonError::Path(error) => return error.fmt(f),
            JsonError::Json(error) => return error.fmt(f),
            JsonError::JsonArgument(error) => return write!(f, "ERR {error}"),
            JsonError::TooCostly => return write!(f, "ERR {TooCostly}"),
            JsonError::MissingArgument => "ERR wrong number of arguments",
            JsonError::KeyMissing => {
                "ERR could not perform this operation on a key that doesn't exist"
            }
            JsonError::NotUtf8 => "Couldn't parse as UTF-8 string",
            JsonError::TooDeep => "ERR recursion limit exceeded",
            JsonError::TextTooLong => {
                "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
            }
            JsonError::DocumentTooLarge => "LIMIT Document size limit is exceeded",
            JsonError::ReplyTooLarge => "LIMIT Reply size limit is exceeded",
            JsonError::NewBelowRoot => "ERR new objects must be created at the root",
            JsonError::WrongStaticPath => "Err wrong static path",
            JsonError::IndexOutOfRange => "ERR array index out of range",
            JsonError::IndexOutOfBounds => "ERR index out of bounds",
            JsonError::Syntax => "ERR syntax error",
            JsonError::NotAnInteger => "Couldn't parse as integer",
            JsonError::WrongFormat => "ERR wrong format",
            JsonError::WrongReplyFormat => "ERR wrong reply format",
            JsonError::WrongFpha => "ERR invalid FPHA type",
            JsonError::FormatNeedsResp3 => "ERR FORMAT argument is not supported on RESP2",
            JsonError::FormatNeedsJsonPath => "Legacy paths are supported only with FORMAT STRINGS",
            JsonError::PathMissing => "ERR Path does not exist",
            JsonError::NotANumber => "ERR Path does not exist or does not contains a number",
            JsonError::NotABool => "ERR Path does not exist or not a bool",
            JsonError::NotAString => "ERR Path does not exist or not a string",
            JsonError::NotAnArray => "ERR Path does not exist or not an array",
            JsonError::NotAnObject => "ERR Path does not exist or not an object",
            JsonError::ExpectedString => "WRONGTYPE wrong type of path value - expected string",
            JsonError::ExpectedArray => "WRONGTYPE wrong type of path value - expected array",
            JsonError::ExpectedObject => "WRONGTYPE wrong type of path value - expected object",
            JsonError::NumericOverflow => "ERR numeric overflow",
            JsonError::ResultNotANumber => "ERR result is not a number",
            JsonError::BadNumber => "bad input number",
            JsonError::UnknownSubcommand => "ERR unknown subcommand - try `JSON.DEBUG HELP`",
        })
    }
}

impl std::error::Error for JsonError {}

impl From<PathError> for JsonError {
    fn from(error: PathError) -> JsonError {
        JsonError::Path(error)
    }
}

impl From<ParseError> for JsonError {
    fn from(error: ParseError) -> JsonError {
        JsonError::Json(error)
    }
}

impl From<TooCostly> for JsonError {
    fn from(TooCostly: TooCostly) -> JsonError {
        JsonError::TooCostly
    }
}
