//! How does a command answer?
//!
//! Two ways, which mix: a handler returns a [`Reply`] value, or it writes with a [`Writer`] as it
//! goes and returns [`Reply::Written`]. The context counts what is written, so that a reply that
//! breaks off (an error after the head of an array, a panic) is completed with errors and nulls
//! instead of leaving the client waiting.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::CString;

use crate::error::Error;
use crate::raw::{self, Arg, Container, Ctx, OwnedString, c_string};

/// What a command's handler returns.
pub type CommandResult = Result<Reply, Error>;

/// A reply as a value. Under RESP2 the server turns what only RESP3 has into its older forms.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reply {
    /// The handler has written its reply already, or blocked the client.
    Written,
    /// `OK`.
    Ok,
    /// Null.
    Null,
    /// The null that RESP2 clients expect in the place of an array.
    NullArray,
    /// An integer.
    Int(i64),
    /// A double; a bulk string under RESP2.
    Double(f64),
    /// A boolean; 1 or 0 under RESP2.
    Bool(bool),
    /// A status, such as `OK`. Line breaks become spaces.
    Simple(Cow<'static, str>),
    /// A string of any bytes.
    Bulk(Vec<u8>),
    /// A text with its three-letter format, such as `txt`; a bulk string under RESP2.
    Verbatim {
        /// The format.
        format: [u8; 3],
        /// The text.
        text: Vec<u8>,
    },
    /// An integer of any size, in digits; a bulk string under RESP2.
    BigNumber(String),
    /// A list.
    Array(Vec<Reply>),
    /// Pairs; a flat array under RESP2.
    Map(Vec<(Reply, Reply)>),
    /// Elements without order; an array under RESP2.
    Set(Vec<Reply>),
    /// An error among other elements.
    Error(Error),
}

macro_rules! from {
    ($($type:ty => |$value:ident| $reply:expr;)*) => { $(
        impl From<$type> for Reply {
            fn from($value: $type) -> Reply {
                $reply
            }
        }
    )* };
}

from! {
    i64 => |value| Reply::Int(value);
    i32 => |value| Reply::Int(value.into());
    u32 => |value| Reply::Int(value.into());
    usize => |value| Reply::Int(i64::try_from(value).unwrap_or(i64::MAX));
    f64 => |value| Reply::Double(value);
    bool => |value| Reply::Bool(value);
    &str => |value| Reply::Bulk(value.as_bytes().to_vec());
    &[u8] => |value| Reply::Bulk(value.to_vec());
    String => |value| Reply::Bulk(value.into_bytes());
    Vec<u8> => |value| Reply::Bulk(value);
    OwnedString => |value| Reply::Bulk(value.as_bytes().to_vec());
    Vec<Reply> => |value| Reply::Array(value);
    Error => |value| Reply::Error(value);
}

impl<T: Into<Reply>> From<Option<T>> for Reply {
    fn from(value: Option<T>) -> Reply {
        value.map_or(Reply::Null, Into::into)
    }
}

/// A container of a reply that is still open.
struct Frame {
    container: Container,
    /// How many elements it has been promised; None: told at the end.
    promised: Option<usize>,
    /// How many elements it has.
    written: usize,
}

/// What has been written so far.
#[derive(Default)]
pub(crate) struct Progress {
    frames: Vec<Frame>,
    /// Complete replies at the top.
    complete: usize,
}

impl Progress {
    fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.complete == 0
    }

    /// Counts an element, and the containers that it completes.
    fn element(&mut self) {
        loop {
            let Some(frame) = self.frames.last_mut() else {
                self.complete += 1;
                return;
            };
            frame.written += 1;
            if frame.promised != Some(frame.written) {
                return;
            }
            self.frames.pop();
        }
    }
}

/// Writes a reply, element by element. Made by [`Context::reply`](crate::Context::reply).
#[derive(Clone, Copy)]
pub struct Writer<'c> {
    ctx: Ctx<'c>,
    progress: &'c RefCell<Progress>,
}

impl<'c> Writer<'c> {
    pub(crate) fn new(ctx: Ctx<'c>, progress: &'c RefCell<Progress>) -> Writer<'c> {
        Writer { ctx, progress }
    }

    fn counted(&self) {
        self.progress.borrow_mut().element();
    }

    /// An integer.
    pub fn int(&self, value: i64) {
        self.ctx.reply_int(value);
        self.counted();
    }

    /// A double.
    pub fn double(&self, value: f64) {
        self.ctx.reply_double(value);
        self.counted();
    }

    /// A boolean.
    pub fn bool(&self, value: bool) {
        self.ctx.reply_bool(value);
        self.counted();
    }

    /// Null.
    pub fn null(&self) {
        self.ctx.reply_null();
        self.counted();
    }

    /// The null that RESP2 clients expect in the place of an array.
    pub fn null_array(&self) {
        self.ctx.reply_null_array();
        self.counted();
    }

    /// A status. Line breaks become spaces.
    pub fn simple(&self, text: &str) {
        self.ctx.reply_simple(&one_line(text));
        self.counted();
    }

    /// A string of any bytes.
    pub fn bulk(&self, bytes: impl AsRef<[u8]>) {
        self.ctx.reply_bulk(bytes.as_ref());
        self.counted();
    }

    /// A string of the server.
    pub fn string(&self, string: &Arg<'_>) {
        self.ctx.reply_string(string);
        self.counted();
    }

    /// A text with its three-letter format.
    pub fn verbatim(&self, format: [u8; 3], text: impl AsRef<[u8]>) {
        let format = CString::new(format).unwrap_or_else(|_| c"txt".to_owned());
        self.ctx.reply_verbatim(text.as_ref(), &format);
        self.counted();
    }

    /// An integer of any size, in digits.
    pub fn big_number(&self, digits: &str) {
        self.ctx.reply_big_number(digits);
        self.counted();
    }

    /// An error. Line breaks become spaces.
    pub fn error(&self, error: &Error) {
        match error {
            Error::WrongArity => self.ctx.reply_wrong_arity(),
            error => self.ctx.reply_error(&one_line(&error.to_string())),
        }
        self.counted();
    }

    /// The head of an array of `len` elements, which follow.
    pub fn array(&self, len: usize) {
        self.open(Container::Array, len);
    }

    /// The head of a map of `len` pairs, which follow as key, value, key, value.
    pub fn map(&self, len: usize) {
        self.open(Container::Map, len);
    }

    /// The head of a set of `len` elements, which follow.
    pub fn set(&self, len: usize) {
        self.open(Container::Set, len);
    }

    /// Opens an array whose length is known only at [`Writer::end`].
    pub fn begin_array(&self) {
        self.begin(Container::Array);
    }

    /// Opens a map whose length is known only at [`Writer::end`].
    pub fn begin_map(&self) {
        self.begin(Container::Map);
    }

    /// Opens a set whose length is known only at [`Writer::end`].
    pub fn begin_set(&self) {
        self.begin(Container::Set);
    }

    /// Closes the innermost container that was opened by a `begin_` function. Its elements have been
    /// counted. Containers inside it that lack elements get nulls.
    pub fn end(&self) {
        self.complete(|writer| writer.null());
        let Some(frame) = self.progress.borrow_mut().frames.pop() else { return };
        let mut len = frame.written;
        if frame.container == Container::Map {
            if len % 2 == 1 {
                self.ctx.reply_null();
                len += 1;
            }
            len /= 2;
        }
        self.ctx.reply_set_length(frame.container, len);
        self.counted();
    }

    /// The answer of another command, unchanged; false if it is in another protocol.
    pub(crate) fn forwarded(&self, reply: &raw::Reply<'_>) -> bool {
        let written = reply.forward(self.ctx);
        if written {
            self.counted();
        }
        written
    }

    /// A whole reply.
    pub fn value(&self, reply: Reply) {
        match reply {
            Reply::Written => {}
            Reply::Ok => self.simple("OK"),
            Reply::Null => self.null(),
            Reply::NullArray => self.null_array(),
            Reply::Int(value) => self.int(value),
            Reply::Double(value) => self.double(value),
            Reply::Bool(value) => self.bool(value),
            Reply::Simple(text) => self.simple(&text),
            Reply::Bulk(bytes) => self.bulk(bytes),
            Reply::Verbatim { format, text } => self.verbatim(format, text),
            Reply::BigNumber(digits) => self.big_number(&digits),
            Reply::Array(elements) => {
                self.array(elements.len());
                elements.into_iter().for_each(|element| self.value(element));
            }
            Reply::Map(pairs) => {
                self.map(pairs.len());
                for (key, value) in pairs {
                    self.value(key);
                    self.value(value);
                }
            }
            Reply::Set(elements) => {
                self.set(elements.len());
                elements.into_iter().for_each(|element| self.value(element));
            }
            Reply::Error(error) => self.error(&error),
        }
    }

    fn open(&self, container: Container, len: usize) {
        self.ctx.reply_container(container, len);
        let promised = if container == Container::Map { len.saturating_mul(2) } else { len };
        if promised == 0 {
            self.counted();
        } else {
            let frame = Frame { container, promised: Some(promised), written: 0 };
            self.progress.borrow_mut().frames.push(frame);
        }
    }

    fn begin(&self, container: Container) {
        self.ctx.reply_postponed(container);
        self.progress.borrow_mut().frames.push(Frame { container, promised: None, written: 0 });
    }

    /// Fills the innermost containers up to one whose length is not promised.
    fn complete(&self, fill: impl Fn(&Self)) {
        loop {
            match self.progress.borrow().frames.last() {
                Some(Frame { promised: Some(_), .. }) => {}
                _ => return,
            }
            fill(self);
        }
    }

    /// Ends the reply of a handler: writes what it returned, and completes what it left open.
    /// False: the handler broke its promises, which is worth a line in the log.
    pub(crate) fn finish(&self, result: CommandResult) -> bool {
        match result {
            Ok(Reply::Written) if self.progress.borrow().is_empty() => {
                // A client must not be left waiting for ever.
                self.error(&Error::new("internal error: the command wrote no reply"));
                return false;
            }
            Ok(reply) => self.value(reply),
            // The error stands for the first missing element, or for the whole reply.
            Err(error) if self.unfinished() || self.progress.borrow().complete == 0 => {
                self.error(&error);
            }
            Err(_) => return false,
        }
        let clean = !self.unfinished();
        while self.unfinished() {
            self.complete(|writer| writer.null());
            if self.unfinished() {
                self.end();
            }
        }
        clean && self.progress.borrow().complete <= 1
    }

    /// Something is open that lacks elements or its end.
    fn unfinished(&self) -> bool {
        !self.progress.borrow().frames.is_empty()
    }
}

/// A text for the protocol's one-line forms.
fn one_line(text: &str) -> CString {
    if text.contains(['\r', '\n']) {
        c_string(&text.replace(['\r', '\n'], " "))
    } else {
        c_string(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_no_breaks_and_no_nul() {
        assert_eq!(one_line("ERR a\r\nb\0c").as_c_str(), c"ERR a  bc");
    }

    #[test]
    fn elements_complete_their_containers() {
        let frame = |promised, written| Frame { container: Container::Array, promised, written };
        let mut progress =
            Progress { frames: vec![frame(Some(2), 1), frame(Some(3), 2)], complete: 0 };
        progress.element();
        assert!(progress.frames.is_empty());
        assert_eq!(progress.complete, 1);

        progress.frames.push(frame(None, 7));
        progress.element();
        assert_eq!(progress.frames[0].written, 8);
        assert_eq!(progress.complete, 1);
    }
}
