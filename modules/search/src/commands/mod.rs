//! What can clients ask?
//!
//! One file per group of commands; each command's declaration stands beside its handler. Errors go out without the
//! word ERR in front, as RediSearch sends them.

use mortise_module::{Arg, Command, Error as ReplyError};

use crate::error::Error;

mod administration;
mod aggregate;
pub mod cursor;
mod documents;
mod hybrid;
mod info;
mod loading;
mod options;
mod permission;
mod search;

/// All commands.
pub const COMMANDS: &[Command] = &[
    administration::CREATE,
    administration::ALTER,
    administration::DROPINDEX,
    administration::LIST,
    aggregate::AGGREGATE,
    cursor::CURSOR,
    documents::DEL,
    documents::GET,
    documents::MGET,
    hybrid::HYBRID,
    info::INFO,
    search::SEARCH,
];

/// The section that INFO shows.
pub use info::server_info;

/// The arguments behind the command's name, as bytes.
fn bytes<'a>(args: &[Arg<'a>]) -> Vec<&'a [u8]> {
    args.iter().skip(1).map(Arg::as_bytes).collect()
}

/// An error as the client reads it.
fn reply_error(error: Error) -> ReplyError {
    ReplyError::with_code(error.to_string())
}

impl From<Error> for ReplyError {
    fn from(error: Error) -> ReplyError {
        reply_error(error)
    }
}
