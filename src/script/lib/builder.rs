//! Where does a library function put together the string that it returns?
//!
//! In one buffer of the VM, used as a stack: a callback of `string.gsub` may build strings of its own
//! above what is there. Each builder knows where its bytes end, so whatever a callback that failed
//! left above them is cut off by the next addition. Nothing here has a destructor, and a raise in the
//! middle leaves nothing that would have to be undone.
#![expect(unsafe_code, reason = "a buffer that outlives Lua errors")]

use super::super::lua::Lua;
use super::super::tick;

/// A string that is being built.
pub(in super::super) struct Builder {
    lua: Lua,
    start: usize,
    end: usize,
}

impl Builder {
    pub(in super::super) fn new(lua: Lua) -> Self {
        // SAFETY: the one borrow; it ends with the statement.
        let at = unsafe { lua.state().buffer.borrow() }.len();
        Self { lua, start: at, end: at }
    }

    /// Appends bytes. May raise (no memory, killed).
    #[inline]
    pub(in super::super) fn add(&mut self, bytes: &[u8]) {
        self.check_room(bytes.len());
        // SAFETY: the one borrow; it ends with the function.
        let buffer = unsafe { self.lua.state().buffer.borrow() };
        buffer.truncate(self.end);
        buffer.extend_from_slice(bytes);
        self.end = buffer.len();
    }

    /// Appends `count` times the same bytes. May raise (no memory, killed).
    pub(in super::super) fn add_repeated(&mut self, bytes: &[u8], count: usize) {
        let Some(len) = bytes.len().checked_mul(count) else { self.no_memory() };
        self.check_room(len);
        // SAFETY: the one borrow; it ends with the function.
        let buffer = unsafe { self.lua.state().buffer.borrow() };
        buffer.truncate(self.end);
        match bytes {
            [byte] => buffer.resize(self.end + count, *byte),
            _ => (0..count).for_each(|_| buffer.extend_from_slice(bytes)),
        }
        self.end = buffer.len();
    }

    /// What was added so far. Good until the next addition anywhere.
    pub(in super::super) fn bytes<'a>(&self) -> &'a [u8] {
        // SAFETY: the one borrow. The slice outlives it, and the caller keeps to what is promised.
        let buffer = unsafe { self.lua.state().buffer.borrow() };
        &buffer[self.start..self.end]
    }

    /// Pushes the string. May raise (no memory).
    pub(in super::super) fn finish(self) {
        self.lua.push_bytes(self.bytes());
        self.discard();
    }

    /// Gives the room back.
    pub(in super::super) fn discard(self) {
        // SAFETY: the one borrow; it ends with the statement.
        unsafe { self.lua.state().buffer.borrow() }.truncate(self.start);
    }

    /// The buffer is not Lua's memory, but what scripts may hold goes for it as well. Called while nothing is borrowed.
    #[inline]
    fn check_room(&self, more: usize) {
        tick::work(self.lua, more);
        if self.end.saturating_add(more) > self.lua.state().memory_max {
            self.no_memory();
        }
    }

    #[cold]
    fn no_memory(&self) -> ! {
        self.lua.error_bare(b"not enough memory")
    }
}
