//! How are replies written?
//!
//! All functions are no-ops in contexts without a client. Functions newer than Redis 6 fall back to
//! what the server would do under RESP2, so that writing a reply never fails.

use std::ffi::{CStr, c_long};

use mortise_module_abi as abi;

use super::bound;
use super::context::Ctx;
use super::strings::Arg;

/// A container whose elements follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Array,
    Map,
    Set,
}

fn length(len: usize) -> c_long {
    c_long::try_from(len).unwrap_or(c_long::MAX)
}

impl Ctx<'_> {
    pub(crate) fn reply_int(self, value: i64) {
        // SAFETY: the context is live.
        unsafe { (bound().core.ReplyWithLongLong)(self.ptr(), value) };
    }

    pub(crate) fn reply_double(self, value: f64) {
        // SAFETY: the context is live.
        unsafe { (bound().core.ReplyWithDouble)(self.ptr(), value) };
    }

    pub(crate) fn reply_null(self) {
        // SAFETY: the context is live.
        unsafe { (bound().core.ReplyWithNull)(self.ptr()) };
    }

    pub(crate) fn reply_null_array(self) {
        match bound().api.ReplyWithNullArray {
            // SAFETY: the context is live.
            Some(null_array) => unsafe { null_array(self.ptr()) },
            // SAFETY: the context is live.
            None => unsafe { (bound().core.ReplyWithNull)(self.ptr()) },
        };
    }

    pub(crate) fn reply_bool(self, value: bool) {
        match bound().api.ReplyWithBool {
            // SAFETY: the context is live.
            Some(reply) => unsafe { reply(self.ptr(), value.into()) },
            // SAFETY: the context is live.
            None => unsafe { (bound().core.ReplyWithLongLong)(self.ptr(), value.into()) },
        };
    }

    pub(crate) fn reply_simple(self, text: &CStr) {
        // SAFETY: the context is live; the server copies the text.
        unsafe { (bound().core.ReplyWithSimpleString)(self.ptr(), text.as_ptr()) };
    }

    pub(crate) fn reply_error(self, text: &CStr) {
        // SAFETY: the context is live; the server copies the text and does not format it.
        unsafe { (bound().core.ReplyWithError)(self.ptr(), text.as_ptr()) };
    }

    pub(crate) fn reply_wrong_arity(self) {
        // SAFETY: the context is live.
        unsafe { (bound().core.WrongArity)(self.ptr()) };
    }

    pub(crate) fn reply_bulk(self, bytes: &[u8]) {
        // SAFETY: the context is live; the server copies `len` bytes.
        unsafe {
            (bound().core.ReplyWithStringBuffer)(self.ptr(), bytes.as_ptr().cast(), bytes.len())
        };
    }

    pub(crate) fn reply_string(self, string: &Arg<'_>) {
        // SAFETY: both are live.
        unsafe { (bound().core.ReplyWithString)(self.ptr(), string.ptr()) };
    }

    /// `format` is three characters and a NUL.
    pub(crate) fn reply_verbatim(self, text: &[u8], format: &CStr) {
        let (data, len) = (text.as_ptr().cast(), text.len());
        match bound().api.ReplyWithVerbatimStringType {
            // SAFETY: the context is live; the server copies text and format.
            Some(reply) => unsafe { reply(self.ptr(), data, len, format.as_ptr()) },
            // SAFETY: as above.
            None => unsafe { (bound().core.ReplyWithStringBuffer)(self.ptr(), data, len) },
        };
    }

    pub(crate) fn reply_big_number(self, digits: &str) {
        let (data, len) = (digits.as_ptr().cast(), digits.len());
        match bound().api.ReplyWithBigNumber {
            // SAFETY: the context is live; the server copies the digits.
            Some(reply) => unsafe { reply(self.ptr(), data, len) },
            // SAFETY: as above.
            None => unsafe { (bound().core.ReplyWithStringBuffer)(self.ptr(), data, len) },
        };
    }

    /// Opens a container of `len` elements, or pairs for a map.
    pub(crate) fn reply_container(self, container: Container, len: usize) {
        self.open(container, length(len));
    }

    /// Opens a container whose length [`Ctx::reply_set_length`] tells later.
    pub(crate) fn reply_postponed(self, container: Container) {
        self.open(container, abi::POSTPONED_LEN);
    }

    fn open(self, container: Container, len: c_long) {
        let api = &bound().api;
        let reply = match container {
            Container::Array => None,
            Container::Map => api.ReplyWithMap,
            Container::Set => api.ReplyWithSet,
        };
        match reply {
            // SAFETY: the context is live.
            Some(reply) => unsafe { reply(self.ptr(), len) },
            None => {
                let flat = container == Container::Map && len != abi::POSTPONED_LEN;
                let len = if flat { len.saturating_mul(2) } else { len };
                // SAFETY: the context is live.
                unsafe { (bound().core.ReplyWithArray)(self.ptr(), len) }
            }
        };
    }

    /// Tells the length of the innermost container that is still open.
    pub(crate) fn reply_set_length(self, container: Container, len: usize) {
        let api = &bound().api;
        let set = match container {
            Container::Array => None,
            Container::Map => api.ReplySetMapLength,
            Container::Set => api.ReplySetSetLength,
        };
        match set {
            // SAFETY: the context is live.
            Some(set) => unsafe { set(self.ptr(), length(len)) },
            None => {
                let len = if container == Container::Map { len.saturating_mul(2) } else { len };
                // SAFETY: the context is live.
                unsafe { (bound().core.ReplySetArrayLength)(self.ptr(), length(len)) }
            }
        };
    }
}
