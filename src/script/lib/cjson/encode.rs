//! `cjson.encode`.
#![expect(unsafe_code, reason = "a C function that Lua calls; a list that outlives Lua errors")]

use std::ffi::c_int;

use super::super::super::lua::{Kind, Lua, RawState};
use super::super::super::sandbox::resolve;
use super::super::super::tick::poll;
use super::super::builder::Builder;
use super::super::number::general;
use super::{InvalidNumbers, Settings, settings};

/// Values written between two looks at the clock.
const POLL_VALUES: u32 = 1 << 16;

/// A collection that is being written. It is on the Lua stack; an object's current key is above it.
#[derive(Clone, Copy, Debug)]
pub(in super::super::super) enum Frame {
    Array { next: c_int, len: c_int },
    Object { is_first: bool },
}

/// `cjson.encode(value)`.
///
/// # Safety
///
/// Called by Lua with the settings as upvalue.
pub(super) unsafe extern "C-unwind" fn encode(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let settings = settings(lua);
    if lua.top() != 1 {
        lua.argument_error(1, c"expected 1 argument");
    }
    let mut encoder = Encoder { lua, settings, out: Builder::new(lua), until_poll: POLL_VALUES };
    // SAFETY: the one borrow: no code of scripts runs while a value is encoded.
    unsafe { lua.state().encode_frames.borrow() }.clear();
    encoder.value();
    while encoder.step() {}
    encoder.out.finish();
    1
}

struct Encoder<'a> {
    lua: Lua,
    settings: &'a Settings,
    out: Builder,
    until_poll: u32,
}

impl Encoder<'_> {
    fn frames(&mut self) -> &mut Vec<Frame> {
        // SAFETY: the one borrow: each use ends before the next begins, within this file, and no code
        // of scripts runs while a value is encoded.
        unsafe { self.lua.state().encode_frames.borrow() }
    }

    /// Writes the next element of the innermost collection; false when there is none left open.
    fn step(&mut self) -> bool {
        let lua = self.lua;
        self.until_poll -= 1;
        if self.until_poll == 0 {
            self.until_poll = POLL_VALUES;
            poll(lua);
        }
        let Some(frame) = self.frames().last_mut() else { return false };
        match frame {
            Frame::Array { next, len } => {
                let index = *next;
                if index > *len {
                    self.close(b"]");
                } else {
                    *next += 1;
                    if index > 1 {
                        self.out.add(b",");
                    }
                    lua.raw_get_index(-1, index);
                    self.value();
                }
            }
            Frame::Object { is_first } => {
                let was_first = std::mem::replace(is_first, false);
                if !lua.next(-2) {
                    // The key is gone; a nil in its place keeps the shape.
                    lua.push_nil();
                    self.close(b"}");
                    lua.pop(1);
                } else {
                    if !was_first {
                        self.out.add(b",");
                    }
                    self.key();
                    self.value();
                }
            }
        }
        true
    }

    /// The innermost collection is complete: its value leaves the stack.
    fn close(&mut self, mark: &[u8]) {
        self.out.add(mark);
        self.frames().pop();
        self.lua.pop(1);
    }

    /// Writes the key below the value on top.
    fn key(&mut self) {
        match self.lua.kind(-2) {
            Kind::Number => {
                self.out.add(b"\"");
                self.number(-2);
                self.out.add(b"\":");
            }
            Kind::String => {
                self.string(self.lua.bytes(-2).expect("its kind is string"));
                self.out.add(b":");
            }
            _ => self.fail(-2, b"table key must be a number or string"),
        }
    }

    /// Writes the value on top and pops it; of a collection only the beginning, and it stays.
    fn value(&mut self) {
        let lua = self.lua;
        match lua.kind(-1) {
            Kind::String => self.string(lua.bytes(-1).expect("its kind is string")),
            Kind::Number => self.number(-1),
            Kind::Boolean => self.out.add(if lua.truth(-1) { b"true" } else { b"false" }),
            Kind::Nil => self.out.add(b"null"),
            Kind::LightUserdata if lua.userdata(-1).is_null() => self.out.add(b"null"),
            Kind::Table => return self.open(),
            _ => self.fail(-1, b"type not supported"),
        }
        lua.pop(1);
    }

    /// Begins the table on top.
    fn open(&mut self) {
        let lua = self.lua;
        resolve(lua, lua.top());
        let depth = self.frames().len() as c_int + 1;
        if depth > self.settings.encode_depth_max.get() || !lua.reserve(6) {
            let digits = general(f64::from(depth), 14);
            lua.error_parts(&[b"Cannot serialise, excessive nesting (", digits.as_bytes(), b")"]);
        }
        let len = self.array_len();
        if len > 0 {
            self.out.add(b"[");
            self.frames().push(Frame::Array { next: 1, len });
        } else {
            self.out.add(b"{");
            self.frames().push(Frame::Object { is_first: true });
            lua.push_nil();
        }
    }

    /// The largest index of the table on top if all its keys are positive integers; 0 or less says
    /// that it is an object.
    fn array_len(&self) -> c_int {
        let lua = self.lua;
        let mut max: c_int = 0;
        let mut items: c_int = 0;
        lua.push_nil();
        while lua.next(-2) {
            let index = if lua.kind(-2) == Kind::Number { lua.number(-2) } else { 0.0 };
            if index < 1.0 || index.floor() != index {
                lua.pop(2);
                return -1;
            }
            if index > f64::from(max) {
                // Beyond C's `int` the original computes its smallest value; so an object comes out.
                max = if index <= f64::from(c_int::MAX) { index as c_int } else { c_int::MIN };
            }
            items = items.saturating_add(1);
            lua.pop(1);
        }
        let ratio = self.settings.sparse_ratio.get();
        let excessive = ratio > 0
            && i64::from(max) > i64::from(items) * i64::from(ratio)
            && max > self.settings.sparse_safe.get();
        if excessive {
            if !self.settings.sparse_convert.get() {
                self.fail(-1, b"excessively sparse array");
            }
            return -1;
        }
        max
    }

    fn number(&mut self, index: c_int) {
        let value = self.lua.number(index);
        if !value.is_finite() {
            match self.settings.encode_invalid.get() {
                InvalidNumbers::Fail => self.fail(index, b"must not be NaN or Inf"),
                InvalidNumbers::Null => return self.out.add(b"null"),
                InvalidNumbers::Write if value.is_nan() => return self.out.add(b"nan"),
                InvalidNumbers::Write => {}
            }
        }
        self.out.add(general(value, self.settings.precision.get()).as_bytes());
    }

    fn string(&mut self, text: &[u8]) {
        self.out.add(b"\"");
        let mut rest = text;
        while let Some(at) = rest.iter().position(|b| needs_escape(*b)) {
            self.out.add(&rest[..at]);
            let byte = rest[at];
            match byte {
                b'"' => self.out.add(b"\\\""),
                b'\\' => self.out.add(b"\\\\"),
                b'/' => self.out.add(b"\\/"),
                8 => self.out.add(b"\\b"),
                b'\t' => self.out.add(b"\\t"),
                b'\n' => self.out.add(b"\\n"),
                12 => self.out.add(b"\\f"),
                b'\r' => self.out.add(b"\\r"),
                _ => {
                    const DIGITS: &[u8; 16] = b"0123456789abcdef";
                    let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
                    self.out.add(b"\\u00");
                    self.out.add(&digits);
                }
            }
            rest = &rest[at + 1..];
        }
        self.out.add(rest);
        self.out.add(b"\"");
    }

    #[cold]
    fn fail(&self, index: c_int, reason: &[u8]) -> ! {
        let kind = self.lua.kind_name(index);
        self.lua.error_parts(&[b"Cannot serialise ", kind, b": ", reason])
    }
}

/// Bytes from 128 go out as they are, whatever their encoding.
fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0..=31 | b'"' | b'/' | b'\\' | 127)
}
