//! Which strings does the server hand out, and who owns them?

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use mortise_module_abi as abi;

use super::{bound, inside_call};

/// A string that the server lends: an argument of a command, the name of a key.
///
/// Arguments are compared and parsed as bytes; see the methods.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Arg<'a> {
    string: NonNull<abi::ModuleString>,
    lender: PhantomData<&'a abi::ModuleString>,
}

impl<'a> Arg<'a> {
    /// Wraps a pointer of the server.
    ///
    /// # Safety
    /// `string` is NULL or a live string that the server leaves unchanged during `'a`.
    pub(super) unsafe fn from_ptr(string: *const abi::ModuleString) -> Option<Arg<'a>> {
        NonNull::new(string.cast_mut()).map(|string| Arg { string, lender: PhantomData })
    }

    /// The argument vector of a call.
    ///
    /// # Safety
    /// `argv` points to `argc` non-NULL strings that stay live and unchanged during `'a`, or `argc`
    /// is not positive.
    pub(super) unsafe fn from_argv(
        argv: *mut *mut abi::ModuleString,
        argc: std::ffi::c_int,
    ) -> &'a [Arg<'a>] {
        match usize::try_from(argc) {
            Ok(argc) if argc > 0 && !argv.is_null() => {
                // SAFETY: by the caller; `Arg` is a transparent wrapper of a non-NULL pointer.
                unsafe { slice::from_raw_parts(argv.cast::<Arg<'a>>(), argc) }
            }
            _ => &[],
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        let mut len = 0;
        // SAFETY: the string is live.
        let data = unsafe { (bound().core.StringPtrLen)(self.string.as_ptr(), &raw mut len) };
        // SAFETY: the server promises `len` readable bytes for as long as the string lives
        // unchanged, which is `'a`.
        unsafe { bytes(data, len) }
    }

    /// A string of the module's own that outlives the call.
    pub fn hold(&self) -> OwnedString {
        // Some strings lie on the server's stack; the server then returns a copy.
        let held = bound().api.HoldString.and_then(|hold| {
            // SAFETY: the string is live; without a context no automatic memory is involved.
            NonNull::new(unsafe { hold(ptr::null_mut(), self.string.as_ptr()) })
        });
        match held {
            Some(string) => OwnedString { string, shared: Cell::new(true) },
            None => OwnedString::new(self.as_bytes()),
        }
    }

    pub(super) fn ptr(&self) -> *mut abi::ModuleString {
        self.string.as_ptr()
    }
}

/// A string of the server that the module owns a reference to.
///
/// The server's reference counts are not atomic, so a string that the server has seen is given back
/// only while this thread holds the server's lock; dropped at another time, it waits for the next
/// command of the module.
pub struct OwnedString {
    string: NonNull<abi::ModuleString>,
    /// The server may have taken references of its own.
    shared: Cell<bool>,
}

/// Strings that were dropped without the lock, as addresses, and whether there are any.
static DROPPED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static ANY_DROPPED: AtomicBool = AtomicBool::new(false);

/// Gives back what was dropped without the lock. This thread holds it now.
pub(super) fn free_dropped() {
    if !ANY_DROPPED.load(Ordering::Relaxed) {
        return;
    }
    let mut dropped = DROPPED.lock().unwrap_or_else(PoisonError::into_inner);
    ANY_DROPPED.store(false, Ordering::Relaxed);
    for string in dropped.drain(..) {
        // SAFETY: the address is a string that we own a reference of, from `drop` below.
        unsafe { (bound().core.FreeString)(ptr::null_mut(), string as *mut abi::ModuleString) };
    }
}

impl OwnedString {
    /// A new string.
    pub fn new(bytes: &[u8]) -> OwnedString {
        // SAFETY: the server copies `len` bytes; NULL asks for a string outside any context.
        let string = unsafe {
            (bound().core.CreateString)(ptr::null_mut(), bytes.as_ptr().cast(), bytes.len())
        };
        let string = NonNull::new(string).expect("CreateString aborts on no memory");
        OwnedString { string, shared: Cell::new(false) }
    }

    /// Takes over a reference that the server gives away.
    ///
    /// # Safety
    /// `string` is NULL or a live string, and the caller hands its reference over.
    pub(super) unsafe fn from_ptr(string: *mut abi::ModuleString) -> Option<OwnedString> {
        NonNull::new(string).map(|string| OwnedString { string, shared: Cell::new(true) })
    }

    /// The string as the functions that take arguments want it.
    pub fn as_arg(&self) -> Arg<'_> {
        self.shared.set(true);
        Arg { string: self.string, lender: PhantomData }
    }

    /// Gives the reference to the server.
    pub(super) fn into_ptr(self) -> *mut abi::ModuleString {
        let string = self.string.as_ptr();
        std::mem::forget(self);
        string
    }
}

impl Drop for OwnedString {
    fn drop(&mut self) {
        if self.shared.get() && !inside_call() {
            let mut dropped = DROPPED.lock().unwrap_or_else(PoisonError::into_inner);
            dropped.push(self.string.as_ptr() as usize);
            ANY_DROPPED.store(true, Ordering::Relaxed);
            return;
        }
        // SAFETY: we own one reference, which was not taken from a context, and either nobody else
        // has one or this thread holds the lock.
        unsafe { (bound().core.FreeString)(ptr::null_mut(), self.string.as_ptr()) };
    }
}

/// A string on its way into the server: lent, or made for the occasion.
pub enum Text<'a> {
    Lent(Arg<'a>),
    Made(OwnedString),
}

impl Text<'_> {
    pub(super) fn as_arg(&self) -> Arg<'_> {
        match self {
            Text::Lent(arg) => *arg,
            Text::Made(string) => string.as_arg(),
        }
    }

    pub(super) fn ptr(&self) -> *mut abi::ModuleString {
        self.as_arg().ptr()
    }
}

/// Bytes of the server as a slice.
///
/// # Safety
/// `data` is NULL or points to `len` bytes that stay readable and unchanged during `'a`.
pub(super) unsafe fn bytes<'a>(data: *const std::ffi::c_char, len: usize) -> &'a [u8] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: by the caller.
    unsafe { slice::from_raw_parts(data.cast(), len) }
}
