//! How does the host get its say while a script runs?
//!
//! A hook of Lua reports to the host every so many instructions ([`TICK_INSTRUCTIONS`]). That alone would leave gaps, since an
//! instruction may take long: it can call a library function, join or compare strings of half a gigabyte, look through a
//! large table. So three more things count:
//!
//! - **Work.** What Lua allocates, what library functions build, what commands answer, is counted in bytes; past
//!   `WORK_BYTES_MAX` the hook comes at the next instruction (`note`). Library functions that work on for long within
//!   one instruction report by themselves (`work`, `poll`).
//! - **Size.** Without allocating anything, an instruction looks at no more than there is. So the more memory a script
//!   holds, the fewer instructions pass between two reports.
//! - **The end.** When the host says that the script was killed, the hook raises, and from then on it raises at every line
//!   and instruction, so that no `pcall` of the script can go on.
#![expect(unsafe_code, reason = "the hook that Lua calls, and setting it from the allocator")]

use std::ffi::c_int;

use mlua_sys as ffi;

use super::error;
use super::host::Tick;
use super::lua::{Lua, RawState};
use super::state::State;

/// Instructions between two calls of [`ScriptHost::tick`](super::host::ScriptHost::tick) of a script that holds little.
pub const TICK_INSTRUCTIONS: c_int = 100_000;

/// The least of them, for one that holds hundreds of megabytes. A tick costs about as much as twenty instructions.
const TICK_INSTRUCTIONS_MIN: c_int = 256;

/// What a script may hold without being asked more often.
const LITTLE_BYTES: usize = 1 << 20;

/// Bytes that are allocated, copied or answered between two ticks. Filling them takes some milliseconds at most.
pub(super) const WORK_BYTES_MAX: usize = 16 << 20;

/// What a command counts for besides its reply: it may have looked at much and answered little.
pub(super) const COMMAND_WORK_BYTES: usize = 16 << 10;

/// Sets the hook as it is before anything was done.
pub(super) fn arm(lua: Lua) {
    let state = lua.state();
    state.work.set(0);
    set(lua, state, interval(state.memory_used.get()));
}

/// Straight scripts in a row after which the hook is taken away. Setting it costs about as much as it costs some of them.
const STRAIGHT_IN_A_ROW: u8 = 16;

/// Makes ready for a script, which is straight (`plain::is_straight`) or needs the hook. With a hook each instruction of Lua
/// counts itself: 170 of the 7,450 machine instructions that a compare-and-delete costs.
#[inline]
pub(super) fn prepare(lua: Lua, is_straight: bool) {
    let state = lua.state();
    let in_a_row = state.straight_in_a_row.get();
    let is_set = state.tick_instructions.get() != 0;
    match is_straight {
        true if in_a_row < STRAIGHT_IN_A_ROW => state.straight_in_a_row.set(in_a_row + 1),
        true if is_set => {
            state.tick_instructions.set(0);
            lua.remove_hook();
        }
        true => {}
        false => {
            state.straight_in_a_row.set(0);
            if !is_set {
                arm(lua);
            }
        }
    }
}

fn interval(held_bytes: usize) -> c_int {
    let times = c_int::try_from(held_bytes / LITTLE_BYTES).unwrap_or(c_int::MAX);
    (TICK_INSTRUCTIONS / times.max(1)).max(TICK_INSTRUCTIONS_MIN)
}

fn set(lua: Lua, state: &State, instructions: c_int) {
    state.tick_instructions.set(instructions);
    lua.set_hook(hook, ffi::LUA_MASKCOUNT, instructions);
}

/// The hook: asks the host whether to go on.
///
/// # Safety
///
/// Called by Lua.
unsafe extern "C-unwind" fn hook(raw: *mut RawState, _event: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    poll(unsafe { Lua::from_raw(raw) });
}

/// Counts work. Raises nothing and calls nothing, so that the allocator may do it, too.
#[inline]
pub(super) fn note(state: &State, bytes: usize) {
    let done = state.work.get().saturating_add(bytes);
    state.work.set(done);
    if done > WORK_BYTES_MAX {
        hurry(state);
    }
}

/// Has the hook come at the next instruction.
#[cold]
fn hurry(state: &State) {
    state.work.set(0);
    let raw = state.main.get();
    if !raw.is_null() && state.killed.get().is_none() {
        // SAFETY: the state is alive as long as it allocates. Setting the hook changes numbers and the table of
        // instructions, and is meant to be possible at any time: it is what signal handlers are to do.
        set(unsafe { Lua::from_raw(raw) }, state, 1);
    }
}

/// Counts work of a library function, and reports to the host when it is time. May raise (killed).
#[inline]
pub(super) fn work(lua: Lua, bytes: usize) {
    let state = lua.state();
    let done = state.work.get().saturating_add(bytes);
    state.work.set(done);
    if done > WORK_BYTES_MAX {
        poll(lua);
    }
}

/// Reports to the host that the script is still running, and raises if it was killed. Library
/// functions that take long call this as the hook does.
pub(super) fn poll(lua: Lua) {
    let state = lua.state();
    state.work.set(0);
    if state.killed.get().is_none() {
        let instructions = interval(state.memory_used.get());
        if instructions != state.tick_instructions.get() {
            set(lua, state, instructions);
        }
    }
    if state.run.get().is_none() {
        return;
    }
    let reason = match state.killed.get() {
        Some(reason) => reason,
        None => match state.host().tick() {
            Tick::Continue => return,
            Tick::Kill(reason) => {
                state.killed.set(Some(reason));
                // From here on the script gets nowhere: each of its instructions raises anew. (Calls
                // do not: the error handler is called, too.)
                lua.set_hook(hook, ffi::LUA_MASKCOUNT | ffi::LUA_MASKLINE, 1);
                reason
            }
        },
    };
    error::raise_error(lua, reason.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_a_script_holds_the_more_often_it_is_asked() {
        assert_eq!(interval(0), TICK_INSTRUCTIONS);
        assert_eq!(interval(1 << 20), TICK_INSTRUCTIONS);
        assert_eq!(interval(100 << 20), TICK_INSTRUCTIONS / 100);
        assert_eq!(interval(1 << 30), TICK_INSTRUCTIONS_MIN);
        assert_eq!(interval(usize::MAX), TICK_INSTRUCTIONS_MIN);
    }
}
