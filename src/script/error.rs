//! What does an error look like, inside a script and to the client?
//!
//! Inside, an error of a command or of the API is a table `{err = "CODE text"}`, so that scripts can
//! tell it from their own strings. The handler of the script's protected call turns everything else
//! into such a table too, and adds `source` and `line` of the code that failed. Outside, it becomes
//! `-CODE text script: NAME, on @user_script:LINE.`, where the name is the SHA1 of the source, or that of the function.
#![expect(unsafe_code, reason = "C functions that Lua calls")]

use std::ffi::c_int;
use std::io::Write;

use super::lua::{Kind, Lua, RawState};
use super::state::Run;

/// The field of an error that the server has counted already, when the command failed.
pub(super) const COUNTED: &[u8] = b"ignore_error_stats_update";

/// Text up to its first zero byte: errors and statuses are C strings to Redis.
pub(super) fn c_text(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(0, text).unwrap_or(text.len())]
}

/// Pushes `{err = ...}` for `text`. A leading `-` says that the first word is the error's code; what
/// has no code gets `ERR`. May raise (no memory).
pub(super) fn push_error(lua: Lua, text: &[u8]) {
    let text = c_text(text);
    let (code, message) = match text.strip_prefix(b"-") {
        Some(rest) => match memchr::memchr(b' ', rest) {
            Some(blank) => (&rest[..blank], &rest[blank + 1..]),
            None => (&b"ERR"[..], rest),
        },
        None => (&b"ERR"[..], text),
    };
    let is_break = |b: &u8| matches!(b, b'\r' | b'\n');
    let start = message.iter().position(|b| !is_break(b)).unwrap_or(message.len());
    let end = message.iter().rposition(|b| !is_break(b)).map_or(start, |at| at + 1);
    lua.push_table(0, 1);
    lua.push_bytes(b"err");
    lua.push_bytes(code);
    lua.push_bytes(b" ");
    lua.push_bytes(&message[start..end]);
    lua.concat(3);
    lua.raw_set(-3);
}

/// Raises `{err = ...}`.
#[cold]
pub(super) fn raise_error(lua: Lua, text: &[u8]) -> ! {
    push_error(lua, text);
    lua.raise()
}

/// The handler of a script's protected call: makes the error on the stack a table and notes where it
/// happened. For an error raised inside a C function that is the line that called it.
///
/// # Safety
///
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn handler(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.set_top(1);
    if lua.kind(1) != Kind::Table {
        lua.push_table(0, 3);
        lua.push_bytes(b"err");
        lua.push_bytes(b"ERR ");
        push_description(lua, 1);
        lua.concat(2);
        lua.raw_set(-3);
        lua.replace(1);
    }
    if lua.state().protected.get().is_some_and(|tables| tables.contains(lua.identity(1))) {
        return 1;
    }
    let Some(mut frame) = lua.frame(1) else { return 1 };
    if frame.is_c() {
        // Below a script's outermost function is only the VM's own.
        let (Some(caller), Some(_)) = (lua.frame(2), lua.frame(3)) else { return 1 };
        frame = caller;
    }
    lua.push_bytes(frame.source());
    lua.raw_set_field(1, b"source");
    lua.push_number(f64::from(frame.line()));
    lua.raw_set_field(1, b"line");
    1
}

/// Pushes what `tostring` says of the value, without asking metamethods. May raise (no memory).
pub(super) fn push_description(lua: Lua, index: c_int) {
    match lua.kind(index) {
        Kind::String | Kind::Number => {
            lua.copy(index);
            lua.text(-1);
        }
        Kind::Nil | Kind::None => lua.push_bytes(b"nil"),
        Kind::Boolean => lua.push_bytes(if lua.truth(index) { b"true" } else { b"false" }),
        _ => {
            let mut text = [0u8; 48];
            let name = lua.kind_name(index);
            let mut rest = &mut text[..];
            // A type's name and a pointer are shorter than the text.
            let _ = rest.write_all(name);
            let identity = lua.identity(index);
            let _ = if identity.is_null() {
                rest.write_all(b": (nil)")
            } else {
                write!(rest, ": {identity:p}")
            };
            let len = 48 - rest.len();
            lua.push_bytes(&text[..len]);
        }
    }
}

/// A C function of one argument, the error that a script ended with: writes it to the client.
/// Returns whether the error has been counted by a command.
///
/// # Safety
///
/// Called by Lua, while [`State::run`](super::state::State::run) is set.
pub(super) unsafe extern "C-unwind" fn report(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let state = lua.state();
    let run = state.run.get().expect("a script is being ended");
    // SAFETY: `Vm::eval` holds the buffer's exclusive borrow; this is the one use of it right now.
    let out = unsafe { &mut *run.out.as_ptr() };
    if lua.kind(1) != Kind::Table {
        let message = lua.text(1).unwrap_or(b"execution failure");
        let message = c_text(message);
        write_plain(run, out, &message[..message.len().min(100)]);
        return 0;
    }
    let message = field_text(lua, b"err").unwrap_or(b"ERR unknown error");
    let source = field_text(lua, b"source");
    let line = field_text(lua, b"line");
    lua.raw_get_field(1, COUNTED);
    let counted = lua.truth(-1);
    let start = out.len();
    out.push(b'-');
    out.extend_from_slice(c_text(message));
    if let (Some(source), Some(line)) = (source, line) {
        out.extend_from_slice(b" script: ");
        out.extend_from_slice(run.call().name);
        out.extend_from_slice(b", on ");
        out.extend_from_slice(c_text(source));
        out.push(b':');
        out.extend_from_slice(line);
        out.push(b'.');
    }
    finish_error(out, start);
    lua.push_bool(counted);
    1
}

/// The text of a field of the table at 1; it stays on the stack. May raise (no memory).
fn field_text<'a>(lua: Lua, name: &[u8]) -> Option<&'a [u8]> {
    lua.raw_get_field(1, name);
    lua.text(-1)
}

/// Writes the error of a script that left no table to describe it.
pub(super) fn write_plain(run: Run, out: &mut Vec<u8>, message: &[u8]) {
    let start = out.len();
    out.extend_from_slice(b"-ERR Error running script ");
    out.extend_from_slice(run.call().name);
    out.extend_from_slice(b", ");
    out.extend_from_slice(message);
    finish_error(out, start);
}

/// Ends the error that begins at `start`: no line break may stand inside it.
pub(super) fn finish_error(out: &mut Vec<u8>, start: usize) {
    while out.len() > start + 1 && matches!(out.last(), Some(b'\r' | b'\n')) {
        out.pop();
    }
    for byte in &mut out[start..] {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}
