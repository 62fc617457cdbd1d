//! The functions that scripts call, as far as they are not Lua's own.
//!
//! Ours is what looks past the read-only proxies, what calls back into Lua (so that nesting is
//! counted, see [`Depth`]), what may take long (so that it can be killed), and what Redis has changed
//! or added. Texts of errors are those of Lua 5.1 and of Redis's libraries.

pub(super) mod base;
pub(super) mod coroutine;
mod sort;
pub(super) mod table;

pub(super) mod builder;
mod format;
mod number;
mod pattern;
pub(super) mod string;

pub(super) mod bit;
pub(super) mod math;
pub(super) mod os;

pub(super) mod cjson;
pub(super) mod cmsgpack;
pub(super) mod structs;

use super::lua::{Function, Lua};
use super::state::State;

/// Calls from Rust into Lua that may be on the machine's stack at once, as in Lua 5.1. Each takes some
/// hundred bytes of it, and coroutines have a Lua stack of their own each, so Lua's limits alone would
/// not keep it from overflowing.
const DEPTH_MAX: u32 = 200;

/// One more call into Lua on the machine's stack. Given back by [`Depth::leave`]; when an error jumps
/// over that, whoever catches the error sets the count back to what it was.
#[must_use]
struct Depth(u32);

impl Depth {
    /// May raise.
    fn enter(lua: Lua) -> Self {
        Self::enter_by(lua, 1)
    }

    /// The same for one that takes as much of the machine's stack as so many. May raise.
    fn enter_by(lua: Lua, weight: u32) -> Self {
        let state = lua.state();
        let depth = state.depth.get();
        if depth + weight > DEPTH_MAX {
            lua.error(b"C stack overflow");
        }
        state.depth.set(depth + weight);
        Self(depth)
    }

    fn leave(self, state: &State) {
        state.depth.set(self.0);
    }
}

/// Adds functions to the table on top. May raise (no memory).
fn add_functions(lua: Lua, functions: &[(&[u8], Function)]) {
    let table = lua.top();
    for &(name, function) in functions {
        lua.push_function(function, 0);
        lua.raw_set_field(table, name);
    }
}
