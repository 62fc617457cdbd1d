//! What can go wrong in a module's command, and what does the client read then?

use std::borrow::Cow;
use std::fmt;

/// The error of a command or of a call into the server.
///
/// The text that a client reads is the `Display` form. It starts with an upper-case code word, as
/// all errors of the protocol do: `ERR` for [`Error::new`], the caller's own for
/// [`Error::with_code`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The command got too few or too many arguments.
    WrongArity,
    /// The key holds a value of another type.
    WrongType,
    /// Any other error: the whole text, code word included.
    Message(Cow<'static, str>),
    /// The server lacks an API function: its name without the prefix.
    Unsupported(&'static str),
    /// The server refused a call of the API: the function's name.
    Refused(&'static str),
    /// The call could change data that an outer call of this module is looking at; see
    /// [`Context`](crate::Context).
    KeysOpen,
    /// The call would wait for a lock that this thread already holds.
    WouldDeadlock,
    /// The call would change something, and a parallel command only reads; see
    /// [`Command::parallel`](crate::Command::parallel).
    InParallel,
    /// This client cannot be made to wait; see [`Context::may_block`](crate::Context::may_block).
    CannotBlock,
}

impl Error {
    /// An error with the code `ERR`.
    pub fn new(text: impl fmt::Display) -> Error {
        Error::Message(Cow::Owned(format!("ERR {text}")))
    }

    /// An error whose text begins with a code word of its own, such as `BUSYGROUP ...`.
    pub fn with_code(text: impl Into<Cow<'static, str>>) -> Error {
        Error::Message(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::WrongArity => f.write_str("ERR wrong number of arguments"),
            Error::WrongType => {
                f.write_str("WRONGTYPE Operation against a key holding the wrong kind of value")
            }
            Error::Message(text) => f.write_str(text),
            Error::Unsupported(name) => {
                write!(f, "ERR the server has no module API function {name}")
            }
            Error::Refused(name) => write!(f, "ERR the server refused {name}"),
            Error::KeysOpen => f.write_str("ERR not possible while the module has a key open"),
            Error::WouldDeadlock => f.write_str("ERR this thread already holds the server's lock"),
            Error::InParallel => f.write_str("ERR not possible in a parallel command"),
            Error::CannotBlock => f.write_str("ERR blocking is not allowed in this context"),
        }
    }
}

impl std::error::Error for Error {}

impl From<std::string::FromUtf8Error> for Error {
    fn from(_: std::string::FromUtf8Error) -> Error {
        Error::new("invalid UTF-8")
    }
}

impl From<std::str::Utf8Error> for Error {
    fn from(_: std::str::Utf8Error) -> Error {
        Error::new("invalid UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_start_with_a_code_word() {
        for error in [
            Error::WrongArity,
            Error::WrongType,
            Error::new("x"),
            Error::with_code("BUSY x"),
            Error::Unsupported("Scan"),
            Error::Refused("Scan"),
            Error::KeysOpen,
            Error::WouldDeadlock,
            Error::InParallel,
            Error::CannotBlock,
        ] {
            let text = error.to_string();
            let (code, rest) = text.split_once(' ').expect("two words at least");
            assert!(code.bytes().all(|b| b.is_ascii_uppercase()) && !rest.is_empty(), "{text}");
        }
    }
}
