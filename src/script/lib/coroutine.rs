//! Creating, resuming and yielding coroutines, with their nesting counted.
//!
//! LuaJIT resumes on the machine's stack without a limit, so nested coroutines could overflow it.
#![expect(unsafe_code, reason = "C functions that Lua calls")]

use std::ffi::c_int;

use super::super::lua::{Function, Kind, Lua, RawState, upvalue};
use super::{Depth, add_functions};

const FUNCTIONS: &[(&[u8], Function)] =
    &[(b"create", create), (b"resume", resume), (b"wrap", wrap), (b"yield", yield_)];

/// Adds the functions to the table on top.
pub(in super::super) fn add(lua: Lua) {
    add_functions(lua, FUNCTIONS);
}

/// `coroutine.resume(thread, ...)`.
unsafe extern "C-unwind" fn resume(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let Some(thread) = lua.thread(1) else { lua.argument_error(1, c"coroutine expected") };
    match run(lua, thread, lua.top() - 1) {
        Ok(results) => {
            lua.push_bool(true);
            lua.insert(-results - 1);
            results + 1
        }
        Err(()) => {
            lua.push_bool(false);
            lua.insert(-2);
            2
        }
    }
}

/// `coroutine.create(f)`.
unsafe extern "C-unwind" fn create(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    if lua.kind(1) != Kind::Function || lua.is_c_function(1) {
        lua.argument_error(1, c"Lua function expected");
    }
    let thread = lua.push_thread();
    lua.copy(1);
    lua.hand_over(thread, 1);
    1
}

/// `coroutine.wrap(f)`.
unsafe extern "C-unwind" fn wrap(raw: *mut RawState) -> c_int {
    // SAFETY: as in `create`, which leaves the coroutine on top.
    unsafe {
        create(raw);
    }
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.push_function(resume_wrapped, 1);
    1
}

/// `coroutine.yield(...)`.
unsafe extern "C-unwind" fn yield_(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let state = lua.state();
    // Between the coroutine's start and here there must be no frame of ours.
    if state.depth.get() != state.resume_depth.get() || state.depth.get() == 0 {
        lua.error_bare(b"attempt to yield across metamethod/C-call boundary");
    }
    lua.suspend(lua.top())
}

/// What `coroutine.wrap` returns: like resume, but errors are raised.
unsafe extern "C-unwind" fn resume_wrapped(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    let thread = lua.thread(upvalue(1)).expect("wrap puts the coroutine there");
    match run(lua, thread, lua.top()) {
        Ok(results) => results,
        Err(()) => {
            if lua.text(-1).is_some() {
                lua.push_position(1);
                lua.insert(-2);
                lua.concat(2);
            }
            lua.raise()
        }
    }
}

/// Continues `thread` with the topmost `arguments`; leaves its results, or its error, on top.
fn run(lua: Lua, thread: Lua, arguments: c_int) -> Result<c_int, ()> {
    if !thread.reserve(arguments) {
        lua.error(b"too many arguments to resume");
    }
    if let Err(status) = check_suspended(lua, thread) {
        lua.push_bytes(b"cannot resume ");
        lua.push_bytes(status);
        lua.push_bytes(b" coroutine");
        lua.concat(3);
        return Err(());
    }
    lua.hand_over(thread, arguments);
    let state = lua.state();
    let depth = Depth::enter(lua);
    let outer = state.resume_depth.replace(state.depth.get());
    let result = thread.resume(arguments);
    state.resume_depth.set(outer);
    depth.leave(state);
    match result {
        Ok(_) => {
            let results = thread.top();
            if !lua.reserve(results + 1) {
                lua.error(b"too many results to resume");
            }
            thread.hand_over(lua, results);
            Ok(results)
        }
        Err(()) => {
            thread.hand_over(lua, 1);
            Err(())
        }
    }
}

/// The error names what the coroutine is instead.
fn check_suspended(lua: Lua, thread: Lua) -> Result<(), &'static [u8]> {
    if thread.raw() == lua.raw() {
        return Err(b"running");
    }
    match thread.thread_status() {
        Ok(true) => Ok(()),
        Ok(false) if thread.frame(0).is_some() => Err(b"normal"),
        Ok(false) if thread.top() > 0 => Ok(()),
        _ => Err(b"dead"),
    }
}
