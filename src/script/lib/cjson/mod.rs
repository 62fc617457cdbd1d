//! `cjson`: JSON text and Lua values, by the rules of the lua-cjson that Redis ships (2.1.0).
//!
//! Neither direction recurses in Rust: nesting is on the Lua stack and in a list of the VM. There are
//! no metamethods and no callbacks, so nothing of a script runs in between.
#![expect(unsafe_code, reason = "C functions that Lua calls; settings in a userdata")]

mod decode;
mod encode;

use std::cell::Cell;
use std::ffi::c_int;

use super::super::lua::{Function, Kind, Lua, RawState, upvalue};

pub(in super::super) use decode::Frame as DecodeFrame;
pub(in super::super) use encode::Frame as EncodeFrame;

/// The settings of one instance of the library; scripts change them for all that follow.
struct Settings {
    /// Write an excessively sparse array as an object (instead of failing).
    sparse_convert: Cell<bool>,
    /// How many times more positions than elements are excessive; 0 is no limit.
    sparse_ratio: Cell<i32>,
    /// Positions up to here are never excessive.
    sparse_safe: Cell<i32>,
    encode_depth_max: Cell<i32>,
    decode_depth_max: Cell<i32>,
    encode_invalid: Cell<InvalidNumbers>,
    decode_invalid: Cell<bool>,
    /// Significant digits of numbers.
    precision: Cell<u8>,
    /// Remembered, and without effect: the buffer belongs to the VM.
    keep_buffer: Cell<bool>,
}

/// What becomes of infinities and nan in JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InvalidNumbers {
    Fail,
    Write,
    Null,
}

const FUNCTIONS: &[(&[u8], Function)] = &[
    (b"encode", encode::encode),
    (b"decode", decode::decode),
    (b"encode_sparse_array", encode_sparse_array),
    (b"encode_max_depth", encode_max_depth),
    (b"decode_max_depth", decode_max_depth),
    (b"encode_number_precision", encode_number_precision),
    (b"encode_keep_buffer", encode_keep_buffer),
    (b"encode_invalid_numbers", encode_invalid_numbers),
    (b"decode_invalid_numbers", decode_invalid_numbers),
    (b"new", new),
];

/// Adds the functions to the table on top.
pub(in super::super) fn add(lua: Lua) {
    let table = lua.top();
    lua.push_userdata(Settings {
        sparse_convert: Cell::new(false),
        sparse_ratio: Cell::new(2),
        sparse_safe: Cell::new(10),
        encode_depth_max: Cell::new(1000),
        decode_depth_max: Cell::new(1000),
        encode_invalid: Cell::new(InvalidNumbers::Fail),
        decode_invalid: Cell::new(true),
        precision: Cell::new(14),
        keep_buffer: Cell::new(true),
    });
    for &(name, function) in FUNCTIONS {
        lua.copy(table + 1);
        lua.push_function(function, 1);
        lua.raw_set_field(table, name);
    }
    lua.set_top(table);
    lua.push_light(std::ptr::null_mut());
    lua.raw_set_field(table, b"null");
    lua.push_bytes(b"cjson");
    lua.raw_set_field(table, b"_NAME");
    lua.push_bytes(b"2.1.0");
    lua.raw_set_field(table, b"_VERSION");
}

/// The settings of the instance that the running function belongs to.
fn settings<'a>(lua: Lua) -> &'a Settings {
    let settings = lua.userdata(upvalue(1)).cast::<Settings>();
    // SAFETY: `add` puts a userdata with `Settings` into this upvalue of each function, and it lives
    // as long as the function; it is only ever shared.
    unsafe { &*settings }
}

/// `cjson.new()`: an instance with settings of its own.
unsafe extern "C-unwind" fn new(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.push_table(0, 16);
    add(lua);
    1
}

/// Checks that there are no more than `max` arguments, and makes them as many.
fn pad_arguments(lua: Lua, max: c_int) {
    if lua.top() > max {
        lua.argument_error(max + 1, c"found too many arguments");
    }
    lua.set_top(max);
}

/// Sets an integer if the argument is there; pushes its value.
fn integer_option(lua: Lua, argument: c_int, setting: &Cell<i32>, min: i32) {
    if lua.kind(argument) != Kind::Nil {
        let value = lua.check_int(argument);
        if value < min {
            let text = if min == 0 {
                c"expected integer between 0 and 2147483647"
            } else {
                c"expected integer between 1 and 2147483647"
            };
            lua.argument_error(1, text);
        }
        setting.set(value);
    }
    lua.push_number(f64::from(setting.get()));
}

/// Reads a boolean or one of the words; `None` if the argument is nil.
fn word_option(lua: Lua, argument: c_int, words: &[&[u8]]) -> Option<usize> {
    match lua.kind(argument) {
        Kind::Nil => None,
        Kind::Boolean => Some(usize::from(lua.truth(argument))),
        _ => {
            let word = lua.check_text(argument);
            match words.iter().position(|known| *known == word) {
                Some(index) => Some(index),
                None => lua.invalid_option(argument),
            }
        }
    }
}

/// Sets a switch if the argument is there; pushes its value.
fn switch_option(lua: Lua, argument: c_int, setting: &Cell<bool>) {
    if let Some(index) = word_option(lua, argument, &[b"off", b"on"]) {
        setting.set(index == 1);
    }
    lua.push_bool(setting.get());
}

/// `cjson.encode_sparse_array(convert, ratio, safe)`.
unsafe extern "C-unwind" fn encode_sparse_array(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let settings = settings(lua);
    pad_arguments(lua, 3);
    switch_option(lua, 1, &settings.sparse_convert);
    integer_option(lua, 2, &settings.sparse_ratio, 0);
    integer_option(lua, 3, &settings.sparse_safe, 0);
    3
}

/// `cjson.encode_max_depth(depth)`.
unsafe extern "C-unwind" fn encode_max_depth(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    pad_arguments(lua, 1);
    integer_option(lua, 1, &settings(lua).encode_depth_max, 1);
    1
}

/// `cjson.decode_max_depth(depth)`.
unsafe extern "C-unwind" fn decode_max_depth(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    pad_arguments(lua, 1);
    integer_option(lua, 1, &settings(lua).decode_depth_max, 1);
    1
}

/// `cjson.encode_number_precision(digits)`.
unsafe extern "C-unwind" fn encode_number_precision(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let setting = &settings(lua).precision;
    pad_arguments(lua, 1);
    if lua.kind(1) != Kind::Nil {
        let digits = lua.check_int(1);
        if !(1..=14).contains(&digits) {
            lua.argument_error(1, c"expected integer between 1 and 14");
        }
        setting.set(digits as u8);
    }
    lua.push_number(f64::from(setting.get()));
    1
}

/// `cjson.encode_keep_buffer(keep)`.
unsafe extern "C-unwind" fn encode_keep_buffer(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    pad_arguments(lua, 1);
    switch_option(lua, 1, &settings(lua).keep_buffer);
    1
}

/// `cjson.encode_invalid_numbers(how)`.
unsafe extern "C-unwind" fn encode_invalid_numbers(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let setting = &settings(lua).encode_invalid;
    pad_arguments(lua, 1);
    match word_option(lua, 1, &[b"off", b"on", b"null"]) {
        Some(0) => setting.set(InvalidNumbers::Fail),
        Some(1) => setting.set(InvalidNumbers::Write),
        Some(_) => setting.set(InvalidNumbers::Null),
        None => {}
    }
    match setting.get() {
        InvalidNumbers::Fail => lua.push_bool(false),
        InvalidNumbers::Write => lua.push_bool(true),
        InvalidNumbers::Null => lua.push_bytes(b"null"),
    }
    1
}

/// `cjson.decode_invalid_numbers(accept)`.
unsafe extern "C-unwind" fn decode_invalid_numbers(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    pad_arguments(lua, 1);
    switch_option(lua, 1, &settings(lua).decode_invalid);
    1
}
