//! `table.sort`: Lua's own sequence of comparisons and exchanges.
//!
//! The sort is not stable, so where equal elements end up depends on the algorithm, and scripts that
//! sort by a score see it. This is the quicksort that Lua 5.1 documents (Sedgewick's: median of the
//! first, middle and last element, which is parked next to the last one while the rest is divided),
//! step for step. The smaller half is done first and the larger one put off, so the list of what is
//! put off stays short.
#![expect(unsafe_code, reason = "a C function that Lua calls")]

use std::ffi::c_int;

use mlua_sys as ffi;

use super::super::lua::{Kind, Lua, RawState};
use super::super::tick::poll;
use super::Depth;
use super::table::check_function;

/// Comparisons between two looks at the clock (the script's own function has its hook besides).
const POLL_COMPARISONS: u32 = 1 << 16;

/// Ranges put off; each is at least twice as long as what is done before it.
const RANGES_MAX: usize = 40;

/// `table.sort(table, less)`.
///
/// # Safety
///
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn sort(raw: *mut RawState) -> c_int {
    // SAFETY: Lua calls this with the state of a `Vm`; nothing here has a destructor.
    let lua = unsafe { Lua::from_raw(raw) };
    lua.check_table(1);
    let len = lua.len(1) as c_int;
    if !lua.is_absent(2) {
        check_function(lua, 2);
    }
    lua.set_top(2);
    let depth = Depth::enter(lua);
    let mut sorter =
        Sorter { lua, own_order: lua.kind(2) == Kind::Nil, until_poll: POLL_COMPARISONS };
    sorter.sort(1, len);
    depth.leave(lua.state());
    0
}

struct Sorter {
    lua: Lua,
    /// There is no function, so `<` decides.
    own_order: bool,
    until_poll: u32,
}

impl Sorter {
    fn sort(&mut self, first: c_int, last: c_int) {
        let mut put_off = [(0, 0); RANGES_MAX];
        let mut count = 0;
        let (mut low, mut high) = (first, last);
        loop {
            while low < high {
                let Some(middle) = self.divide(low, high) else { break };
                let (smaller, larger) = if middle - low < high - middle {
                    ((low, middle - 1), (middle + 1, high))
                } else {
                    ((middle + 1, high), (low, middle - 1))
                };
                put_off[count] = larger;
                count += 1;
                (low, high) = smaller;
            }
            if count == 0 {
                return;
            }
            count -= 1;
            (low, high) = put_off[count];
        }
    }

    /// Divides a range by its median of three; where that is now. `None`: the range is so short that
    /// it is sorted.
    fn divide(&mut self, low: c_int, high: c_int) -> Option<c_int> {
        self.order(low, high);
        if high - low == 1 {
            return None;
        }
        let middle = low + (high - low) / 2;
        if !self.order(low, middle) {
            self.order(middle, high);
        }
        if high - low == 2 {
            return None;
        }
        // The pivot stays on the stack, and in the table next to the last element.
        let lua = self.lua;
        lua.raw_get_index(1, middle);
        self.exchange(middle, high - 1);
        let (mut left, mut right) = (low, high - 1);
        loop {
            left += 1;
            while self.element_is_below_pivot(left) {
                if left > high {
                    lua.error(b"invalid order function for sorting");
                }
                left += 1;
            }
            right -= 1;
            while self.pivot_is_below_element(right) {
                if right < low {
                    lua.error(b"invalid order function for sorting");
                }
                right -= 1;
            }
            if right < left {
                break;
            }
            self.exchange(left, right);
        }
        lua.pop(1);
        self.exchange(high - 1, left);
        Some(left)
    }

    /// Exchanges two elements if the second is below the first; whether it was.
    fn order(&mut self, first: c_int, second: c_int) -> bool {
        let lua = self.lua;
        lua.raw_get_index(1, first);
        lua.raw_get_index(1, second);
        let below = self.less(-1, -2);
        if below {
            lua.raw_set_index(1, first);
            lua.raw_set_index(1, second);
        } else {
            lua.pop(2);
        }
        below
    }

    fn exchange(&mut self, first: c_int, second: c_int) {
        let lua = self.lua;
        lua.raw_get_index(1, first);
        lua.raw_get_index(1, second);
        lua.raw_set_index(1, first);
        lua.raw_set_index(1, second);
    }

    /// The pivot is on top.
    fn element_is_below_pivot(&mut self, index: c_int) -> bool {
        self.lua.raw_get_index(1, index);
        let below = self.less(-1, -2);
        self.lua.pop(1);
        below
    }

    /// The pivot is on top.
    fn pivot_is_below_element(&mut self, index: c_int) -> bool {
        self.lua.raw_get_index(1, index);
        let below = self.less(-2, -1);
        self.lua.pop(1);
        below
    }

    /// Whether the value at the first index (from the top) is below that at the second. May raise.
    fn less(&mut self, first: c_int, second: c_int) -> bool {
        let lua = self.lua;
        self.until_poll -= 1;
        if self.until_poll == 0 {
            self.until_poll = POLL_COMPARISONS;
            poll(lua);
        }
        if self.own_order {
            // SAFETY: contract of `Lua::from_raw`: both values are there.
            return unsafe { ffi::lua_lessthan(lua.raw(), first, second) != 0 };
        }
        lua.copy(2);
        lua.copy(first - 1);
        lua.copy(second - 2);
        lua.call(2, 1);
        let less = lua.truth(-1);
        lua.pop(1);
        less
    }
}
