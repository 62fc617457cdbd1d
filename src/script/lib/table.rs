//! The table functions but `concat` and `sort`: they must know read-only tables, or call back into
//! Lua, or are no C functions in LuaJIT, so that their errors would have no place.
#![expect(unsafe_code, reason = "C functions that Lua calls")]

use std::ffi::c_int;

use super::super::lua::{Function, Kind, Lua, RawState};
use super::super::sandbox::{check_writable, resolve};
use super::super::tick::{self, poll};
use super::{Depth, add_functions, sort};

const FUNCTIONS: &[(&[u8], Function)] = &[
    (b"foreach", foreach),
    (b"foreachi", foreachi),
    (b"getn", getn),
    (b"insert", insert),
    (b"maxn", maxn),
    (b"remove", remove),
    (b"setn", setn),
    (b"sort", sort::sort),
];

/// Elements moved or visited between two looks at the clock.
const POLL_ELEMENTS: c_int = 1 << 20;

/// What visiting an element counts for, as work.
const ELEMENT_BYTES: usize = 64;

/// Adds the functions to the table on top.
pub(in super::super) fn add(lua: Lua) {
    add_functions(lua, FUNCTIONS);
}

/// `table.insert(table, [position,] value)`.
unsafe extern "C-unwind" fn insert(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    let end = lua.len(1) as c_int + 1;
    let position = match lua.top() {
        2 => end,
        3 => {
            let position = lua.check_int(2);
            check_writable(lua, 1);
            for (moved, index) in (position.saturating_add(1)..=end).rev().enumerate() {
                lua.raw_get_index(1, index - 1);
                lua.raw_set_index(1, index);
                if moved as c_int % POLL_ELEMENTS == POLL_ELEMENTS - 1 {
                    poll(lua);
                }
            }
            position
        }
        _ => lua.error(b"wrong number of arguments to 'insert'"),
    };
    check_writable(lua, 1);
    lua.raw_set_index(1, position);
    0
}

/// `table.remove(table, position)`.
unsafe extern "C-unwind" fn remove(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    let end = lua.len(1) as c_int;
    let position = if lua.is_absent(2) { end } else { lua.check_int(2) };
    if !(1..=end).contains(&position) {
        return 0;
    }
    lua.raw_get_index(1, position);
    for index in position..end {
        lua.raw_get_index(1, index + 1);
        lua.raw_set_index(1, index);
        if (index - position) % POLL_ELEMENTS == POLL_ELEMENTS - 1 {
            poll(lua);
        }
    }
    lua.push_nil();
    lua.raw_set_index(1, end);
    1
}

/// `table.getn(table)`.
unsafe extern "C-unwind" fn getn(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    lua.push_len(lua.len(1));
    1
}

/// `table.foreachi(table, f)`.
unsafe extern "C-unwind" fn foreachi(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    check_function(lua, 2);
    let depth = Depth::enter(lua);
    for index in 1..=lua.len(1) as c_int {
        tick::work(lua, ELEMENT_BYTES);
        lua.copy(2);
        lua.push_number(f64::from(index));
        lua.raw_get_index(1, index);
        lua.call(2, 1);
        if lua.kind(-1) != Kind::Nil {
            depth.leave(lua.state());
            return 1;
        }
        lua.pop(1);
    }
    depth.leave(lua.state());
    0
}

/// `table.foreach(table, f)`.
unsafe extern "C-unwind" fn foreach(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    check_function(lua, 2);
    resolve(lua, 1);
    let depth = Depth::enter(lua);
    lua.set_top(2);
    lua.push_nil();
    while lua.next(1) {
        tick::work(lua, ELEMENT_BYTES);
        lua.copy(2);
        lua.copy(-3);
        lua.copy(-3);
        lua.call(2, 1);
        if lua.kind(-1) != Kind::Nil {
            depth.leave(lua.state());
            return 1;
        }
        lua.pop(2);
    }
    depth.leave(lua.state());
    0
}

/// `table.maxn(table)`.
unsafe extern "C-unwind" fn maxn(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    resolve(lua, 1);
    lua.set_top(1);
    let mut max = 0.0;
    lua.push_nil();
    while lua.next(1) {
        tick::work(lua, ELEMENT_BYTES);
        lua.pop(1);
        if lua.kind(-1) == Kind::Number {
            max = f64::max(max, lua.number(-1));
        }
    }
    lua.push_number(max);
    1
}

/// `table.setn`: gone in Lua 5.1, and says so.
unsafe extern "C-unwind" fn setn(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    lua.error(b"'setn' is obsolete")
}

/// Raises if the argument is no function.
pub(super) fn check_function(lua: Lua, argument: c_int) {
    if lua.kind(argument) != Kind::Function {
        lua.type_error(argument, c"function");
    }
}
