//! What does a VM remember outside of Lua? Memory figures, the running script, reused buffers.
//!
//! Lua's allocator callback, the hook and every C function reach the same [`State`] through one
//! pointer, at any time, so all of it is shared and changes through cells. Buffers stand here and not
//! in frames, because a Lua error leaves frames without running destructors.
#![expect(unsafe_code, reason = "buffers that outlive Lua errors; the pointer to the host")]

use std::cell::{Cell, OnceCell, UnsafeCell};
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use super::blocks::Blocks;
use super::flags::ScriptFlags;
use super::host::ScriptHost;
use super::lib::cjson::{DecodeFrame, EncodeFrame};
use super::lib::cmsgpack;
use super::lua::RawState;
use super::plain;
use super::random::Random;
use super::tick;
use super::vm::{Call, Purpose, VmOptions};
use crate::base::number::DoubleText;

/// A VM's data beside its Lua heap. The address never changes; Lua holds it.
pub(super) struct State {
    /// Where Lua's memory comes from.
    blocks: Blocks,
    /// Bytes that Lua holds.
    pub(super) memory_used: Cell<usize>,
    /// Bytes that scripts may let it hold.
    pub(super) memory_max: usize,
    /// Whether the limit counts: only under a protected call, where lack of memory is an error that
    /// somebody catches.
    pub(super) memory_limited: Cell<bool>,
    /// Whether scripts get `getfenv`, `setfenv` and `newproxy`.
    pub(super) deprecated_api: bool,
    /// What the VM is for.
    pub(super) purpose: Purpose,
    /// The script that runs.
    pub(super) run: Cell<Option<Run>>,
    /// `redis.setresp(3)` was called.
    pub(super) resp3: Cell<bool>,
    /// Why the script must end, once the host said so.
    pub(super) killed: Cell<Option<&'static str>>,
    /// The main thread, once there is one.
    pub(super) main: Cell<*mut RawState>,
    /// What was done since the host was asked last, in bytes: see `tick`.
    pub(super) work: Cell<usize>,
    /// After how many instructions the hook comes.
    pub(super) tick_instructions: Cell<c_int>,
    /// How many straight scripts ran one after the other, up to a few (`tick::prepare`).
    pub(super) straight_in_a_row: Cell<u8>,
    /// Calls from Rust into Lua that are on the machine's stack.
    pub(super) depth: Cell<u32>,
    /// A library is being loaded, so it may register functions.
    pub(super) is_loading: Cell<bool>,
    /// What it has registered so far.
    pub(super) registered: Scratch<Vec<Registered>>,
    /// What `depth` was when the innermost coroutine went on; 0 outside of coroutines.
    pub(super) resume_depth: Cell<u32>,
    /// `math.random`; goes on from script to script.
    pub(super) random: Cell<Random>,
    /// The read-only tables that scripts hold, by identity.
    pub(super) protected: OnceCell<Protected>,
    /// How many elements the tables KEYS and ARGV of plain scripts have.
    pub(super) plain_lens: plain::Lens,
    /// Arguments of the `redis.call` in progress.
    pub(super) argv: Scratch<Vec<Argument>>,
    /// Those of them that were numbers, as text.
    pub(super) numbers: Scratch<Vec<DoubleText>>,
    /// The reply of the `redis.call` in progress.
    pub(super) reply: Scratch<Vec<u8>>,
    /// Where library functions build their strings, as a stack (see `lib::builder`).
    pub(super) buffer: Scratch<Vec<u8>>,
    /// The source that is being compiled, rewritten.
    pub(super) source: Scratch<Vec<u8>>,
    /// The collections that `cjson.encode` is in.
    pub(super) encode_frames: Scratch<Vec<EncodeFrame>>,
    /// The collections that `cjson.decode` is in.
    pub(super) decode_frames: Scratch<Vec<DecodeFrame>>,
    /// The collections that `cmsgpack.unpack` is in.
    pub(super) unpack_frames: Scratch<Vec<cmsgpack::Frame>>,
}

/// A function that a library has registered. The function itself is in the table of pending functions, under the
/// same number.
pub(super) struct Registered {
    pub(super) name: Box<[u8]>,
    pub(super) description: Option<Box<[u8]>>,
    pub(super) flags: ScriptFlags,
}

/// An argument of a command, borrowed from the Lua stack or from [`State::numbers`].
pub(super) type Argument = &'static [u8];

/// The script that runs, and for whom.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// Lives until the script ends.
    pub(super) host: NonNull<dyn ScriptHost>,
    /// What it was called with. Not copied: slices that have just been stored are slow to load.
    call: NonNull<Call<'static>>,
    /// Where the reply goes.
    pub(super) out: NonNull<Vec<u8>>,
    /// Which of the compiled functions runs.
    pub(super) slot: i32,
}

impl Run {
    /// The run of the compiled function `slot`.
    ///
    /// # Safety
    ///
    /// All that is borrowed must outlive the last use of the run, and nobody may use `host` and `out` meanwhile.
    pub(super) unsafe fn new(
        host: &mut dyn ScriptHost,
        call: &Call<'_>,
        out: &mut Vec<u8>,
        slot: i32,
    ) -> Self {
        // SAFETY: only the lifetime changes.
        let host = unsafe {
            std::mem::transmute::<NonNull<dyn ScriptHost + '_>, NonNull<dyn ScriptHost>>(
                NonNull::from(host),
            )
        };
        Self { host, call: NonNull::from(call).cast(), out: NonNull::from(out), slot }
    }

    /// What the script was called with: its name, KEYS, ARGV, and the protocol of the client.
    pub(super) fn call<'a>(self) -> &'a Call<'a> {
        // SAFETY: who makes a run keeps the call until it is over, and `State::run` is cleared then.
        unsafe { self.call.as_ref() }
    }
}

/// Buffers larger than this are given back after the script.
const SCRATCH_KEPT_BYTES: usize = 64 * 1024;

impl State {
    pub(super) fn new(random: Random, options: VmOptions) -> Self {
        Self {
            blocks: Blocks::new(),
            memory_used: Cell::new(0),
            memory_max: options.memory_bytes_max,
            memory_limited: Cell::new(false),
            deprecated_api: options.deprecated_api,
            purpose: options.purpose,
            run: Cell::new(None),
            resp3: Cell::new(false),
            killed: Cell::new(None),
            main: Cell::new(std::ptr::null_mut()),
            work: Cell::new(0),
            tick_instructions: Cell::new(0),
            straight_in_a_row: Cell::new(0),
            depth: Cell::new(0),
            is_loading: Cell::new(false),
            registered: Scratch::default(),
            resume_depth: Cell::new(0),
            random: Cell::new(random),
            protected: OnceCell::new(),
            plain_lens: plain::Lens::default(),
            argv: Scratch::default(),
            numbers: Scratch::default(),
            reply: Scratch::default(),
            buffer: Scratch::default(),
            source: Scratch::default(),
            encode_frames: Scratch::default(),
            decode_frames: Scratch::default(),
            unpack_frames: Scratch::default(),
        }
    }

    /// The host of the running script.
    ///
    /// # Panics
    ///
    /// When none runs: functions that ask are reachable from scripts only.
    #[inline]
    pub(super) fn host<'a>(&self) -> &'a mut dyn ScriptHost {
        let run = self.run.get().expect("a function of the API runs inside a script");
        // SAFETY: `Vm::eval` holds the exclusive borrow that the pointer was made of until the script
        // has ended and `run` is cleared; nobody keeps what is returned here beyond one method call,
        // and no method calls back into the VM, so there is one such reference at a time.
        unsafe { &mut *run.host.as_ptr() }
    }

    /// Drops what one script with large values left behind.
    pub(super) fn trim(&mut self) {
        self.buffer.0.get_mut().clear();
        for buffer in [&mut self.reply, &mut self.buffer, &mut self.source] {
            let buffer = buffer.0.get_mut();
            if buffer.capacity() > SCRATCH_KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
    }

    /// Lua's allocator: counted and limited.
    ///
    /// # Safety
    ///
    /// `data` is the `State` of the Lua state; the rest is Lua's contract: `block` is null or came
    /// from here with `old_size`.
    pub(super) unsafe extern "C" fn allocate(
        data: *mut c_void,
        block: *mut c_void,
        old_size: usize,
        new_size: usize,
    ) -> *mut c_void {
        // SAFETY: the caller's contract; `State` is only ever shared.
        let state = unsafe { &*data.cast::<State>() };
        let old_size = if block.is_null() { 0 } else { old_size };
        let used = state.memory_used.get() - old_size;
        if new_size == 0 {
            if old_size > 0 {
                // SAFETY: the block came from this function with this size.
                unsafe { state.blocks.free(block.cast(), old_size) };
            }
            state.memory_used.set(used);
            return std::ptr::null_mut();
        }
        let grows = new_size > old_size;
        if new_size > BLOCK_BYTES_MAX
            || (grows && state.memory_limited.get() && used + new_size > state.memory_max)
        {
            return std::ptr::null_mut();
        }
        let new = if old_size == 0 {
            state.blocks.allocate(new_size)
        } else {
            // SAFETY: the block came from this function with this size; the new one is not zero.
            unsafe { state.blocks.reallocate(block.cast(), old_size, new_size) }
        };
        if !new.is_null() {
            state.memory_used.set(used + new_size);
            if grows {
                tick::note(state, new_size);
            }
        }
        new.cast()
    }
}

/// Larger blocks than this are never asked for by Lua (2 GiB is its own limit).
const BLOCK_BYTES_MAX: usize = 1 << 40;

/// The identities of the tables that scripts can read and not write.
pub(super) struct Protected {
    tables: Box<[*const c_void]>,
    first: *const c_void,
    last: *const c_void,
}

impl Protected {
    pub(super) fn new(tables: Vec<*const c_void>) -> Self {
        let first = tables.iter().copied().min().unwrap_or(std::ptr::null());
        let last = tables.iter().copied().max().unwrap_or(std::ptr::null());
        Self { tables: tables.into(), first, last }
    }

    #[inline]
    pub(super) fn contains(&self, table: *const c_void) -> bool {
        table >= self.first && table <= self.last && self.tables.contains(&table)
    }
}

/// A value that one library function at a time uses, and keeps for the next.
#[derive(Default)]
pub(super) struct Scratch<T>(UnsafeCell<T>);

impl<T: Default> Scratch<T> {
    /// Takes the value.
    pub(super) fn take(&mut self) -> T {
        std::mem::take(self.0.get_mut())
    }
}

impl<T> Scratch<T> {
    /// # Safety
    ///
    /// No other borrow is alive, and this one ends before anything runs that could borrow again:
    /// a call into Lua code, or a return.
    #[expect(clippy::mut_from_ref, reason = "the caller promises that there is one borrow")]
    #[inline(always)]
    pub(super) unsafe fn borrow(&self) -> &mut T {
        // SAFETY: the caller's contract.
        unsafe { &mut *self.0.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_and_limited_only_when_asked() {
        let state = State::new(
            Random::default(),
            VmOptions { memory_bytes_max: 1000, ..VmOptions::default() },
        );
        let data = (&raw const state).cast_mut().cast();
        let null = std::ptr::null_mut();
        // SAFETY: `data` is a live state; blocks are used as Lua does.
        unsafe {
            let block = State::allocate(data, null, 5, 600);
            assert_eq!(state.memory_used.get(), 600);
            let second = State::allocate(data, null, 0, 600);
            assert!(!second.is_null(), "not limited outside of protected calls");
            state.memory_limited.set(true);
            assert!(State::allocate(data, null, 0, 600).is_null());
            assert!(!State::allocate(data, second, 600, 16).is_null(), "shrinking always works");
            assert_eq!(state.memory_used.get(), 616);
            assert!(State::allocate(data, block, 600, 0).is_null());
            assert_eq!(state.memory_used.get(), 16);
        }
    }
}
