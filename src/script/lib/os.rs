//! `os.clock`, all that scripts get of the operating system.
#![expect(unsafe_code, reason = "C functions that Lua calls; the C library's clock")]

use std::ffi::{c_int, c_long};

use super::super::lua::{Lua, RawState};
use super::add_functions;

unsafe extern "C" {
    /// The processor time of the process, in millionths of a second.
    safe fn clock() -> c_long;
}

/// Adds the functions to the table on top.
pub(in super::super) fn add(lua: Lua) {
    add_functions(lua, &[(b"clock", os_clock)]);
}

/// `os.clock()`: seconds of processor time.
unsafe extern "C-unwind" fn os_clock(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    unsafe { Lua::from_raw(raw) }.push_number(clock() as f64 / 1_000_000.0);
    1
}
