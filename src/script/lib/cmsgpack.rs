//! `cmsgpack`: MessagePack, by the rules of the library that Redis ships (lua-cmsgpack 0.4.0).
//!
//! Packing: integers by value, other numbers as the shorter float that holds them, tables with the
//! keys 1 to n as arrays, other tables as maps; what is nested deeper than [`PACK_DEPTH_MAX`] becomes
//! nil. Unpacking does not recurse: open collections are on the Lua stack and in a list of the VM.
#![expect(unsafe_code, reason = "C functions that Lua calls; a list that outlives Lua errors")]

use std::ffi::c_int;

use super::super::lua::{Function, Kind, Lua, RawState, to_integer};
use super::super::sandbox::resolve;
use super::super::tick::poll;
use super::add_functions;
use super::builder::Builder;
use super::number::general;

/// Tables inside tables that are packed.
const PACK_DEPTH_MAX: u32 = 16;

/// Values between two looks at the clock. A table that contains itself several times is a large tree.
const POLL_VALUES: u32 = 1 << 16;

const FUNCTIONS: &[(&[u8], Function)] = &[
    (b"pack", pack),
    (b"unpack", unpack),
    (b"unpack_limit", unpack_limit),
    (b"unpack_one", unpack_one),
];

/// Adds the functions to the table on top.
pub(in super::super) fn add(lua: Lua) {
    add_functions(lua, FUNCTIONS);
    let table = lua.top();
    for (name, text) in [
        (&b"_NAME"[..], &b"cmsgpack"[..]),
        (b"_VERSION", b"lua-cmsgpack 0.4.0"),
        (b"_COPYRIGHT", b"Copyright (C) 2012, Salvatore Sanfilippo"),
        (b"_DESCRIPTION", b"MessagePack C implementation for Lua"),
    ] {
        lua.push_bytes(text);
        lua.raw_set_field(table, name);
    }
}

/// `cmsgpack.pack(...)`: the packed arguments behind each other.
unsafe extern "C-unwind" fn pack(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let count = lua.top();
    if count == 0 {
        lua.argument_error(0, c"MessagePack pack needs input.");
    }
    let mut packer = Packer { lua, out: Builder::new(lua), until_poll: POLL_VALUES };
    for argument in 1..=count {
        if !lua.reserve(4) {
            lua.argument_error(0, c"Too many arguments for MessagePack pack.");
        }
        lua.copy(argument);
        packer.value(0);
    }
    packer.out.finish();
    1
}

struct Packer {
    lua: Lua,
    out: Builder,
    until_poll: u32,
}

impl Packer {
    /// Packs the value on top and pops it.
    fn value(&mut self, depth: u32) {
        let lua = self.lua;
        self.until_poll -= 1;
        if self.until_poll == 0 {
            self.until_poll = POLL_VALUES;
            poll(lua);
        }
        match lua.kind(-1) {
            Kind::String => self.string(lua.bytes(-1).expect("its kind is string")),
            Kind::Boolean => self.out.add(if lua.truth(-1) { b"\xc3" } else { b"\xc2" }),
            Kind::Number => self.number(lua.number(-1)),
            Kind::Table if depth < PACK_DEPTH_MAX => self.table(depth),
            _ => self.out.add(b"\xc0"),
        }
        lua.pop(1);
    }

    fn table(&mut self, depth: u32) {
        let lua = self.lua;
        resolve(lua, lua.top());
        if !lua.reserve(6) {
            lua.error(b"stack overflow (in function mp_encode_lua_table_as_map)");
        }
        let (len, is_array) = self.shape();
        if is_array {
            self.head(len, 0x90, 15, None, 0xdc);
            for index in 1..=len as c_int {
                lua.raw_get_index(-1, index);
                self.value(depth + 1);
            }
            return;
        }
        self.head(len, 0x80, 15, None, 0xde);
        lua.push_nil();
        while lua.next(-2) {
            lua.copy(-2);
            self.value(depth + 1);
            self.value(depth + 1);
        }
    }

    /// The number of entries of the table on top, and whether their keys are 1 to that number.
    fn shape(&self) -> (u32, bool) {
        let lua = self.lua;
        let mut count = 0u32;
        let mut max = 0.0;
        let mut is_array = true;
        lua.push_nil();
        while lua.next(-2) {
            lua.pop(1);
            let index = if lua.kind(-1) == Kind::Number { lua.number(-1) } else { 0.0 };
            is_array &= index >= 1.0 && index.fract() == 0.0 && index <= f64::from(c_int::MAX);
            max = f64::max(max, index);
            count += 1;
        }
        (count, is_array && max == f64::from(count))
    }

    /// The head of a collection or string: up to `short_max` in the first byte, else as 8 bits (if
    /// there is such a form), 16 or 32 bits behind a byte of its own.
    fn head(&mut self, len: u32, short: u8, short_max: u32, form8: Option<u8>, form16: u8) {
        match (len, form8) {
            (0.., _) if len <= short_max => self.out.add(&[short | len as u8]),
            (0..=0xff, Some(form8)) => self.out.add(&[form8, len as u8]),
            (0..=0xffff, _) => {
                self.out.add(&[form16]);
                self.out.add(&(len as u16).to_be_bytes());
            }
            _ => {
                self.out.add(&[form16 + 1]);
                self.out.add(&len.to_be_bytes());
            }
        }
    }

    fn string(&mut self, text: &[u8]) {
        self.head(text.len() as u32, 0xa0, 31, Some(0xd9), 0xda);
        self.out.add(text);
    }

    fn number(&mut self, value: f64) {
        let integer = to_integer(value);
        if value.is_finite() && integer as f64 == value {
            return self.integer(integer);
        }
        let single = value as f32;
        if f64::from(single) == value {
            self.out.add(b"\xca");
            self.out.add(&single.to_be_bytes());
        } else {
            self.out.add(b"\xcb");
            self.out.add(&value.to_be_bytes());
        }
    }

    fn integer(&mut self, value: i64) {
        let bytes = value.to_be_bytes();
        let (head, len) = match value {
            -32..=127 => return self.out.add(&bytes[7..]),
            128..=0xff => (0xcc, 1),
            0x100..=0xffff => (0xcd, 2),
            0x1_0000..=0xffff_ffff => (0xce, 4),
            0x1_0000_0000.. => (0xcf, 8),
            -0x80..=-33 => (0xd0, 1),
            -0x8000..=-0x81 => (0xd1, 2),
            -0x8000_0000..=-0x8001 => (0xd2, 4),
            _ => (0xd3, 8),
        };
        self.out.add(&[head]);
        self.out.add(&bytes[8 - len..]);
    }
}

/// `cmsgpack.unpack(text)`: all values in it.
unsafe extern "C-unwind" fn unpack(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    unpack_values(unsafe { Lua::from_raw(raw) }, 0, 0)
}

/// `cmsgpack.unpack_one(text, offset)`: the next offset (-1 at the end) and the value.
unsafe extern "C-unwind" fn unpack_one(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let offset = if lua.is_absent(2) { 0 } else { lua.check_integer(2) };
    lua.set_top(1);
    unpack_values(lua, 1, offset)
}

/// `cmsgpack.unpack_limit(text, limit, offset)`: the next offset (-1 at the end) and up to so many
/// values.
unsafe extern "C-unwind" fn unpack_limit(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let limit = lua.check_integer(2);
    let offset = if lua.is_absent(3) { 0 } else { lua.check_integer(3) };
    lua.set_top(1);
    unpack_values(lua, limit, offset)
}

fn unpack_values(lua: Lua, limit: i64, offset: i64) -> c_int {
    let text = lua.check_text(1);
    let all = limit == 0 && offset == 0;
    let as_int = |value: i64| general(f64::from(value as i32), 14);
    if offset < 0 || limit < 0 {
        // The original prints the length where it names the limit.
        lua.error_parts(&[
            b"Invalid request to unpack with offset of ",
            as_int(offset).as_bytes(),
            b" and limit of ",
            as_int(text.len() as i64).as_bytes(),
            b".",
        ]);
    }
    if offset as u64 > text.len() as u64 {
        lua.error_parts(&[
            b"Start offset ",
            as_int(offset).as_bytes(),
            b" greater than input length ",
            as_int(text.len() as i64).as_bytes(),
            b".",
        ]);
    }
    let limit = if all { i64::from(i32::MAX) } else { limit };
    let rest = &text[offset as usize..];
    let mut unpacker = Unpacker { lua, rest, until_poll: POLL_VALUES };
    unpacker.frames().clear();
    let mut count = 0;
    while !unpacker.rest.is_empty() && count < limit {
        unpacker.value();
        count += 1;
    }
    if all {
        return count as c_int;
    }
    let left = unpacker.rest.len();
    if left == 0 {
        lua.push_number(-1.0);
    } else {
        lua.push_len(text.len() - left);
    }
    lua.insert(2);
    count as c_int + 1
}

/// A collection that is being unpacked: its table is on the Lua stack, a map's current key above it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Frame {
    Array { next: u32, len: u32 },
    Map { left: u32, has_key: bool },
}

struct Unpacker<'a> {
    lua: Lua,
    rest: &'a [u8],
    until_poll: u32,
}

impl<'a> Unpacker<'a> {
    fn frames(&mut self) -> &mut Vec<Frame> {
        // SAFETY: the one borrow: each use ends before the next begins, within this file, and no code
        // of scripts runs while a text is unpacked.
        unsafe { self.lua.state().unpack_frames.borrow() }
    }

    /// Pushes one value with all that is in it.
    fn value(&mut self) {
        self.begin();
        while self.step() {}
    }

    /// Goes on with the innermost collection; false when none is open.
    fn step(&mut self) -> bool {
        let lua = self.lua;
        let Some(frame) = self.frames().last_mut() else { return false };
        match frame {
            Frame::Array { next, len } if next == len => {
                self.frames().pop();
                return self.store();
            }
            Frame::Map { left: 0, has_key: false } => {
                self.frames().pop();
                return self.store();
            }
            _ => {}
        }
        self.until_poll -= 1;
        if self.until_poll == 0 {
            self.until_poll = POLL_VALUES;
            poll(lua);
        }
        if self.begin() {
            return true;
        }
        self.store()
    }

    /// Puts the value on top into the collection that it belongs to; false when it belongs to none.
    fn store(&mut self) -> bool {
        let lua = self.lua;
        match self.frames().last_mut() {
            None => false,
            Some(Frame::Array { next, .. }) => {
                *next += 1;
                let index = *next;
                lua.raw_set_index(-2, index as c_int);
                true
            }
            Some(Frame::Map { has_key: has_key @ false, .. }) => {
                *has_key = true;
                true
            }
            Some(Frame::Map { left, has_key }) => {
                *left -= 1;
                *has_key = false;
                if matches!(lua.kind(-2), Kind::Nil) {
                    lua.error_bare(b"table index is nil");
                }
                lua.raw_set(-3);
                true
            }
        }
    }

    /// Pushes a scalar, or the table of a collection; whether it was a collection.
    fn begin(&mut self) -> bool {
        let lua = self.lua;
        if !lua.reserve(4) {
            lua.error(
                b"stack overflow (too many return values at once; use unpack_one or unpack_limit \
                  instead.)",
            );
        }
        let [head] = self.take::<1>();
        match head {
            0..=0x7f => lua.push_number(f64::from(head)),
            0xe0..=0xff => lua.push_number(f64::from(head as i8)),
            0xc0 => lua.push_nil(),
            0xc2 | 0xc3 => lua.push_bool(head == 0xc3),
            0xca => lua.push_number(f64::from(f32::from_be_bytes(self.take()))),
            0xcb => lua.push_number(f64::from_be_bytes(self.take())),
            0xcc => lua.push_number(f64::from(u8::from_be_bytes(self.take()))),
            0xcd => lua.push_number(f64::from(u16::from_be_bytes(self.take()))),
            0xce => lua.push_number(f64::from(u32::from_be_bytes(self.take()))),
            // The original pushes 64 bits as a signed integer in both cases.
            0xcf | 0xd3 => lua.push_number(i64::from_be_bytes(self.take()) as f64),
            0xd0 => lua.push_number(f64::from(i8::from_be_bytes(self.take()))),
            0xd1 => lua.push_number(f64::from(i16::from_be_bytes(self.take()))),
            0xd2 => lua.push_number(f64::from(i32::from_be_bytes(self.take()))),
            0xa0..=0xbf => self.text(usize::from(head & 0x1f)),
            0xd9 => {
                let len = u8::from_be_bytes(self.take());
                self.text(usize::from(len));
            }
            0xda => {
                let len = u16::from_be_bytes(self.take());
                self.text(usize::from(len));
            }
            0xdb => {
                let len = u32::from_be_bytes(self.take());
                self.text(len as usize);
            }
            0x90..=0x9f => return self.open(Frame::Array { next: 0, len: u32::from(head & 0xf) }),
            0xdc => {
                let len = u32::from(u16::from_be_bytes(self.take()));
                return self.open(Frame::Array { next: 0, len });
            }
            0xdd => {
                let len = u32::from_be_bytes(self.take());
                return self.open(Frame::Array { next: 0, len });
            }
            0x80..=0x8f => {
                return self.open(Frame::Map { left: u32::from(head & 0xf), has_key: false });
            }
            0xde => {
                let left = u32::from(u16::from_be_bytes(self.take()));
                return self.open(Frame::Map { left, has_key: false });
            }
            0xdf => {
                let left = u32::from_be_bytes(self.take());
                return self.open(Frame::Map { left, has_key: false });
            }
            0xc1 | 0xc4..=0xc9 | 0xd4..=0xd8 => lua.error(b"Bad data format in input."),
        }
        false
    }

    fn open(&mut self, frame: Frame) -> bool {
        self.lua.push_table(0, 0);
        self.frames().push(frame);
        true
    }

    fn text(&mut self, len: usize) {
        let Some((text, rest)) = self.rest.split_at_checked(len) else { self.cut_off() };
        self.rest = rest;
        self.lua.push_bytes(text);
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else { self.cut_off() };
        self.rest = rest;
        *bytes
    }

    #[cold]
    fn cut_off(&self) -> ! {
        self.lua.error(b"Missing bytes in input.")
    }
}
