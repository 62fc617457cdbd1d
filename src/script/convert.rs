//! How do replies become Lua values, and Lua values replies?
//!
//! The rules are Redis's. Towards Lua: integers are numbers, strings are strings, statuses and errors
//! are tables with `ok` or `err`, the absent string or array is false; what RESP3 adds comes as a
//! table with one field that names the type (`map`, `set`, `double`, `big_number`,
//! `verbatim_string`), null as nil. Towards the client: numbers lose their fraction, an array ends
//! before its first nil, true is 1 and false is null unless the script chose RESP3, and the same
//! tables with one field give the RESP3 types, or what stands for them in RESP2.
//!
//! Nothing here allocates but Lua values and the client's buffer.

use std::ffi::c_int;

use super::error::{COUNTED, c_text, finish_error, push_error};
use super::lua::{Kind, Lua, to_integer};
use super::state::State;
use super::tick;
use crate::base::number::parse_i64;
use crate::resp::reply::Reply;

/// Replies nested deeper than this are not read. Commands nest a handful of levels.
const REPLY_DEPTH_MAX: u32 = 128;

/// Values nested deeper than this are not written; each level takes a few slots of the Lua stack and
/// some hundred bytes of the machine's.
const VALUE_DEPTH_MAX: u32 = 256;

/// The reply is not well-formed RESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Pushes the value of one encoded reply. May raise (no memory).
pub(super) fn push_reply(lua: Lua, reply: &[u8]) {
    let top = lua.top();
    let mut cursor = Cursor { rest: reply };
    if push_value(lua, &mut cursor, REPLY_DEPTH_MAX).is_err() {
        lua.set_top(top);
        push_error(lua, b"the reply of the command cannot be read");
    }
}

/// What is still to be read of a reply.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// The line that is next, without its end.
    #[inline]
    fn line(&mut self) -> Result<&'a [u8], Malformed> {
        let at = memchr::memchr(b'\r', self.rest).ok_or(Malformed)?;
        let (line, rest) = self.rest.split_at(at);
        self.rest = rest.strip_prefix(b"\r\n").ok_or(Malformed)?;
        Ok(line)
    }

    /// The bytes of a string of known length.
    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest.strip_prefix(b"\r\n").ok_or(Malformed)?;
        Ok(bytes)
    }
}

/// A length; `None` is the absent value's -1.
#[inline]
fn read_len(line: &[u8]) -> Result<Option<usize>, Malformed> {
    match line {
        [digit @ b'0'..=b'9'] => Ok(Some(usize::from(digit - b'0'))),
        b"-1" => Ok(None),
        _ => parse_i64(line).and_then(|len| usize::try_from(len).ok()).map(Some).ok_or(Malformed),
    }
}

fn push_value(lua: Lua, cursor: &mut Cursor<'_>, depth: u32) -> Result<(), Malformed> {
    if depth == 0 || !lua.reserve(6) {
        return Err(Malformed);
    }
    let line = cursor.line()?;
    let (kind, line) = line.split_first().ok_or(Malformed)?;
    match kind {
        b'$' => match read_len(line)? {
            Some(len) => lua.push_bytes(cursor.take(len)?),
            None => lua.push_bool(false),
        },
        b':' => lua.push_number(parse_i64(line).ok_or(Malformed)? as f64),
        b'+' => push_single(lua, b"ok", line),
        b'-' => push_command_error(lua, line),
        b'*' | b'>' => match read_len(line)? {
            Some(len) => push_array(lua, cursor, len, depth)?,
            None => lua.push_bool(false),
        },
        b'%' => push_map(lua, cursor, read_len(line)?.ok_or(Malformed)?, depth)?,
        b'~' => push_set(lua, cursor, read_len(line)?.ok_or(Malformed)?, depth)?,
        b'_' => lua.push_nil(),
        b'#' => lua.push_bool(line == b"t"),
        b',' => push_double(lua, line)?,
        b'(' => push_single(lua, b"big_number", line),
        b'=' => {
            let text = cursor.take(read_len(line)?.ok_or(Malformed)?)?;
            push_verbatim(lua, text)?;
        }
        b'|' => skip_attribute(lua, cursor, read_len(line)?.ok_or(Malformed)?, depth)?,
        _ => return Err(Malformed),
    }
    Ok(())
}

/// Pushes `{name = text}`.
fn push_single(lua: Lua, name: &[u8], text: &[u8]) {
    lua.push_table(0, 1);
    lua.push_bytes(name);
    lua.push_bytes(text);
    lua.raw_set(-3);
}

/// An error of a command: whoever sends it on shall not count it again.
fn push_command_error(lua: Lua, text: &[u8]) {
    lua.push_table(0, 4);
    lua.push_bytes(b"err");
    match memchr::memchr(b' ', text) {
        Some(_) => lua.push_bytes(text),
        None => {
            lua.push_bytes(b"ERR ");
            lua.push_bytes(text);
            lua.concat(2);
        }
    }
    lua.raw_set(-3);
    lua.push_bytes(COUNTED);
    lua.push_bool(true);
    lua.raw_set(-3);
}

/// An element takes at least this much of a reply, so a wrong length makes no huge table.
const ELEMENT_BYTES_MIN: usize = 3;

fn push_array(lua: Lua, cursor: &mut Cursor<'_>, len: usize, depth: u32) -> Result<(), Malformed> {
    lua.push_table(len.min(cursor.rest.len() / ELEMENT_BYTES_MIN), 0);
    for index in 1..=len {
        push_value(lua, cursor, depth - 1)?;
        lua.raw_set_index(-2, c_int::try_from(index).map_err(|_| Malformed)?);
    }
    Ok(())
}

fn push_map(lua: Lua, cursor: &mut Cursor<'_>, pairs: usize, depth: u32) -> Result<(), Malformed> {
    lua.push_table(0, 1);
    lua.push_bytes(b"map");
    lua.push_table(0, pairs.min(cursor.rest.len() / ELEMENT_BYTES_MIN));
    for _ in 0..pairs {
        push_value(lua, cursor, depth - 1)?;
        push_value(lua, cursor, depth - 1)?;
        if lua.kind(-2) == Kind::Nil {
            lua.pop(2);
        } else {
            lua.raw_set(-3);
        }
    }
    lua.raw_set(-3);
    Ok(())
}

fn push_set(lua: Lua, cursor: &mut Cursor<'_>, len: usize, depth: u32) -> Result<(), Malformed> {
    lua.push_table(0, 1);
    lua.push_bytes(b"set");
    lua.push_table(0, len.min(cursor.rest.len() / ELEMENT_BYTES_MIN));
    for _ in 0..len {
        push_value(lua, cursor, depth - 1)?;
        if lua.kind(-1) == Kind::Nil {
            lua.pop(1);
        } else {
            lua.push_bool(true);
            lua.raw_set(-3);
        }
    }
    lua.raw_set(-3);
    Ok(())
}

fn push_double(lua: Lua, text: &[u8]) -> Result<(), Malformed> {
    let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    lua.push_table(0, 1);
    lua.push_bytes(b"double");
    lua.push_number(value.ok_or(Malformed)?);
    lua.raw_set(-3);
    Ok(())
}

fn push_verbatim(lua: Lua, text: &[u8]) -> Result<(), Malformed> {
    let (format, text) = text.split_at_checked(4).ok_or(Malformed)?;
    lua.push_table(0, 1);
    lua.push_bytes(b"verbatim_string");
    lua.push_table(0, 2);
    lua.push_bytes(b"string");
    lua.push_bytes(text);
    lua.raw_set(-3);
    lua.push_bytes(b"format");
    lua.push_bytes(&format[..3]);
    lua.raw_set(-3);
    lua.raw_set(-3);
    Ok(())
}

/// Attributes are not shown to scripts; the reply that they describe follows.
fn skip_attribute(
    lua: Lua,
    cursor: &mut Cursor<'_>,
    pairs: usize,
    depth: u32,
) -> Result<(), Malformed> {
    for _ in 0..pairs.checked_mul(2).ok_or(Malformed)? {
        push_value(lua, cursor, depth - 1)?;
        lua.pop(1);
    }
    push_value(lua, cursor, depth - 1)
}

/// Writes the value on top as a reply, and pops it. Returns whether that reply is an error. May raise
/// (no memory).
pub(super) fn write_value(lua: Lua, state: &State, reply: &mut Reply<'_>) -> bool {
    let kind = lua.kind(-1);
    let is_error = if kind == Kind::Table {
        write_table(lua, state, reply, VALUE_DEPTH_MAX)
    } else {
        write_scalar(lua, state, reply, kind);
        false
    };
    lua.pop(1);
    is_error
}

fn write_scalar(lua: Lua, state: &State, reply: &mut Reply<'_>, kind: Kind) {
    match kind {
        Kind::String => reply.bulk(lua.bytes(-1).expect("its kind is string")),
        Kind::Number => reply.int(to_integer(lua.number(-1))),
        Kind::Boolean => match (state.resp3.get(), lua.truth(-1)) {
            (false, true) => reply.int(1),
            (false, false) => reply.null(),
            (true, truth) => reply.bool(truth),
        },
        _ => reply.null(),
    }
}

/// Bytes of a reply of many elements: as many as a string may have that a client sends.
const REPLY_BYTES_MAX: usize = 512 << 20;

/// What writing an element counts for, as work.
const ELEMENT_WORK_BYTES: usize = 64;

/// Writes what is on top and pops it.
///
/// A few tables that hold each other twice are a reply almost without an end, so its size is limited and the host is asked.
fn write_element(lua: Lua, state: &State, reply: &mut Reply<'_>, depth: u32) {
    tick::work(lua, ELEMENT_WORK_BYTES);
    if reply.buffer().len() > REPLY_BYTES_MAX.min(state.memory_max) {
        lua.error_bare(b"not enough memory");
    }
    match lua.kind(-1) {
        Kind::Table if depth == 0 || !lua.reserve(6) => {
            write_stack_limit(state, reply);
        }
        Kind::Table => {
            write_table(lua, state, reply, depth - 1);
        }
        kind => write_scalar(lua, state, reply, kind),
    }
    lua.pop(1);
}

fn write_stack_limit(state: &State, reply: &mut Reply<'_>) {
    const TEXT: &[u8] = b"ERR reached lua stack limit";
    state.host().count_error(TEXT);
    reply.error(TEXT);
}

/// Pushes `table[name]` for the table on top if it is of the kind; else nothing.
fn push_field(lua: Lua, name: &[u8], kind: Kind) -> bool {
    lua.push_bytes(name);
    lua.raw_get(-2);
    if lua.kind(-1) == kind {
        return true;
    }
    lua.pop(1);
    false
}

/// Writes the table on top, which stays; whether it is an error. The fields that name a type are asked
/// for in Redis's order.
fn write_table(lua: Lua, state: &State, reply: &mut Reply<'_>, depth: u32) -> bool {
    if push_field(lua, b"err", Kind::String) {
        write_error_field(lua, state, reply);
        return true;
    }
    if push_field(lua, b"ok", Kind::String) {
        let text = c_text(lua.bytes(-1).expect("its kind is string"));
        let out = reply.buffer();
        out.push(b'+');
        out.extend(text.iter().map(unbroken));
        out.extend_from_slice(b"\r\n");
    } else if push_field(lua, b"double", Kind::Number) {
        reply.double(lua.number(-1));
    } else if push_field(lua, b"big_number", Kind::String) {
        write_big_number(lua.bytes(-1).expect("its kind is string"), reply);
    } else if push_field(lua, b"verbatim_string", Kind::Table) {
        if !write_verbatim(lua, reply) {
            lua.pop(1);
            write_collection(lua, state, reply, depth);
            return false;
        }
    } else {
        write_collection(lua, state, reply, depth);
        return false;
    }
    lua.pop(1);
    false
}

fn write_collection(lua: Lua, state: &State, reply: &mut Reply<'_>, depth: u32) {
    if push_field(lua, b"map", Kind::Table) {
        write_pairs(lua, state, reply, depth, true);
        lua.pop(1);
    } else if push_field(lua, b"set", Kind::Table) {
        write_pairs(lua, state, reply, depth, false);
        lua.pop(1);
    } else {
        write_array(lua, state, reply, depth);
    }
}

/// A line break inside a status or number would break the protocol.
fn unbroken(byte: &u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }
}

/// The table is below its `err` on the stack.
fn write_error_field(lua: Lua, state: &State, reply: &mut Reply<'_>) {
    let text = c_text(lua.bytes(-1).expect("its kind is string"));
    let out = reply.buffer();
    let start = out.len();
    out.push(b'-');
    out.extend_from_slice(text);
    finish_error(out, start);
    lua.push_bytes(COUNTED);
    lua.raw_get(-3);
    let counted = lua.truth(-1);
    lua.pop(2);
    if !counted {
        let out = reply.buffer();
        state.host().count_error(&out[start + 1..out.len() - 2]);
    }
}

fn write_big_number(digits: &[u8], reply: &mut Reply<'_>) {
    if digits.iter().any(|b| matches!(b, b'\r' | b'\n')) {
        // Same length, so the head may be written first and the digits mended behind it.
        let start = reply.buffer().len();
        reply.big_number(digits);
        let end = reply.buffer().len() - 2;
        let body = end - digits.len();
        for byte in &mut reply.buffer()[start.max(body)..end] {
            *byte = unbroken(byte);
        }
    } else {
        reply.big_number(digits);
    }
}

/// Writes the table on top as a verbatim string, if it has the fields of one.
fn write_verbatim(lua: Lua, reply: &mut Reply<'_>) -> bool {
    if !push_field(lua, b"format", Kind::String) {
        return false;
    }
    let given = c_text(lua.bytes(-1).expect("its kind is string"));
    let mut format = *b"   ";
    let len = given.len().min(3);
    format[..len].copy_from_slice(&given[..len]);
    lua.pop(1);
    if !push_field(lua, b"string", Kind::String) {
        return false;
    }
    reply.verbatim(&format, lua.bytes(-1).expect("its kind is string"));
    lua.pop(1);
    true
}

/// Writes the table on top as a map, or its keys as a set. The table does not change meanwhile, so it
/// is counted first: the head has to come before the elements.
fn write_pairs(lua: Lua, state: &State, reply: &mut Reply<'_>, depth: u32, is_map: bool) {
    let mut count = 0;
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        count += 1;
    }
    if is_map {
        reply.map(count)
    } else {
        reply.set(count)
    }
    lua.push_nil();
    while lua.next(-2) {
        lua.copy(-2);
        write_element(lua, state, reply, depth);
        if is_map {
            write_element(lua, state, reply, depth);
        } else {
            lua.pop(1);
        }
    }
}

/// Writes the array part of the table on top, up to its first nil.
fn write_array(lua: Lua, state: &State, reply: &mut Reply<'_>, depth: u32) {
    let mut len = 0;
    loop {
        lua.raw_get_index(-1, len + 1);
        let end = lua.kind(-1) == Kind::Nil;
        lua.pop(1);
        if end || len == c_int::MAX - 1 {
            break;
        }
        len += 1;
    }
    reply.array(len as usize);
    for index in 1..=len {
        lua.raw_get_index(-1, index);
        write_element(lua, state, reply, depth);
    }
}
