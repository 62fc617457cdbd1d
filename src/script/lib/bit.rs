//! `bit`: operations on 32-bit integers, as LuaBitOp defines them.
#![expect(unsafe_code, reason = "C functions that Lua calls")]

use std::ffi::c_int;

use super::super::lua::{Function, Lua, RawState};
use super::add_functions;

const FUNCTIONS: &[(&[u8], Function)] = &[
    (b"arshift", arshift),
    (b"band", band),
    (b"bnot", bnot),
    (b"bor", bor),
    (b"bswap", bswap),
    (b"bxor", bxor),
    (b"lshift", lshift),
    (b"rol", rol),
    (b"ror", ror),
    (b"rshift", rshift),
    (b"tobit", tobit),
    (b"tohex", tohex),
];

/// Adds the functions to the table on top.
pub(in super::super) fn add(lua: Lua) {
    add_functions(lua, FUNCTIONS);
}

/// The argument's value modulo 2^32: rounded to the nearest integer, halves to the even one.
fn bits(lua: Lua, argument: c_int) -> u32 {
    // Adding this puts the integer part into the low bits of the sum.
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    (lua.check_number(argument) + ROUNDER).to_bits() as u32
}

/// Results are signed.
fn answer(lua: Lua, value: u32) -> c_int {
    lua.push_number(f64::from(value as i32));
    1
}

/// Folds all arguments, of which there is at least one.
fn fold(lua: Lua, operation: fn(u32, u32) -> u32) -> c_int {
    let mut value = bits(lua, 1);
    for argument in 2..=lua.top() {
        value = operation(value, bits(lua, argument));
    }
    answer(lua, value)
}

/// Shifts by the second argument, of which five bits count.
fn shift(lua: Lua, operation: fn(u32, u32) -> u32) -> c_int {
    let value = bits(lua, 1);
    let distance = bits(lua, 2) & 31;
    answer(lua, operation(value, distance))
}

/// `bit.tobit(x)`.
unsafe extern "C-unwind" fn tobit(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    answer(lua, bits(lua, 1))
}

/// `bit.bnot(x)`.
unsafe extern "C-unwind" fn bnot(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    answer(lua, !bits(lua, 1))
}

/// `bit.band(x, ...)`.
unsafe extern "C-unwind" fn band(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    fold(unsafe { Lua::from_raw(raw) }, |a, b| a & b)
}

/// `bit.bor(x, ...)`.
unsafe extern "C-unwind" fn bor(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    fold(unsafe { Lua::from_raw(raw) }, |a, b| a | b)
}

/// `bit.bxor(x, ...)`.
unsafe extern "C-unwind" fn bxor(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    fold(unsafe { Lua::from_raw(raw) }, |a, b| a ^ b)
}

/// `bit.lshift(x, n)`.
unsafe extern "C-unwind" fn lshift(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    shift(unsafe { Lua::from_raw(raw) }, |value, n| value << n)
}

/// `bit.rshift(x, n)`.
unsafe extern "C-unwind" fn rshift(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    shift(unsafe { Lua::from_raw(raw) }, |value, n| value >> n)
}

/// `bit.arshift(x, n)`.
unsafe extern "C-unwind" fn arshift(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    shift(unsafe { Lua::from_raw(raw) }, |value, n| ((value as i32) >> n) as u32)
}

/// `bit.rol(x, n)`.
unsafe extern "C-unwind" fn rol(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    shift(unsafe { Lua::from_raw(raw) }, u32::rotate_left)
}

/// `bit.ror(x, n)`.
unsafe extern "C-unwind" fn ror(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    shift(unsafe { Lua::from_raw(raw) }, u32::rotate_right)
}

/// `bit.bswap(x)`.
unsafe extern "C-unwind" fn bswap(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    answer(lua, bits(lua, 1).swap_bytes())
}

/// `bit.tohex(x, digits)`: lower-case digits, upper-case ones if `digits` is negative, at most 8.
unsafe extern "C-unwind" fn tohex(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let value = bits(lua, 1);
    let wanted = if lua.is_absent(2) { 8 } else { bits(lua, 2) as i32 };
    let alphabet: &[u8; 16] = if wanted < 0 { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut digits = [0; 8];
    for (index, digit) in digits.iter_mut().rev().enumerate() {
        *digit = alphabet[(value >> (4 * index)) as usize & 15];
    }
    let len = wanted.unsigned_abs().min(8) as usize;
    lua.push_bytes(&digits[8 - len..]);
    1
}
