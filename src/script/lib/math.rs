//! `math.random` with Redis's sequence, the name `math.mod`, and what LuaJIT has not in C.
#![expect(unsafe_code, reason = "C functions that Lua calls")]

use std::ffi::c_int;

use super::super::lua::{Function, Lua, RawState};
use super::super::random::{RANDOM_MAX, Random};
use super::add_functions;

const FUNCTIONS: &[(&[u8], Function)] =
    &[(b"deg", deg), (b"rad", rad), (b"random", random), (b"randomseed", randomseed)];

/// Adds the functions to the table on top.
pub(in super::super) fn add(lua: Lua) {
    add_functions(lua, FUNCTIONS);
    let table = lua.top();
    lua.raw_get_field(table, b"fmod");
    lua.raw_set_field(table, b"mod");
}

/// `math.random()`, `math.random(upper)`, `math.random(lower, upper)`.
unsafe extern "C-unwind" fn random(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let state = lua.state();
    let mut sequence = state.random.get();
    let fraction = f64::from(sequence.next() % RANDOM_MAX) / f64::from(RANDOM_MAX);
    state.random.set(sequence);
    let value = match lua.top() {
        0 => fraction,
        1 => {
            let upper = lua.check_int(1);
            if upper < 1 {
                lua.argument_error(1, c"interval is empty");
            }
            (fraction * f64::from(upper)).floor() + 1.0
        }
        2 => {
            let (lower, upper) = (lua.check_int(1), lua.check_int(2));
            if lower > upper {
                lua.argument_error(2, c"interval is empty");
            }
            // C computes the width in `int`, and it wraps.
            let width = upper.wrapping_sub(lower).wrapping_add(1);
            (fraction * f64::from(width)).floor() + f64::from(lower)
        }
        _ => lua.error(b"wrong number of arguments"),
    };
    lua.push_number(value);
    1
}

/// `math.randomseed(seed)`.
unsafe extern "C-unwind" fn randomseed(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let seed = lua.check_int(1);
    lua.state().random.set(Random::seeded(seed));
    0
}

/// `math.deg(radians)`.
unsafe extern "C-unwind" fn deg(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    // Divided, as C Lua does, since multiplying by the inverse rounds differently.
    lua.push_number(lua.check_number(1) / (std::f64::consts::PI / 180.0));
    1
}

/// `math.rad(degrees)`.
unsafe extern "C-unwind" fn rad(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.push_number(lua.check_number(1) * (std::f64::consts::PI / 180.0));
    1
}
