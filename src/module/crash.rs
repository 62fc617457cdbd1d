//! What was a module doing when the process broke? Each call into a module leaves a note with its thread; when a
//! signal ends the process, a report says which module that was and what it was called for, and the process then ends by
//! the default effect of the signal, as it would have.
//!
//! Invariants: the handler runs code that may run in a signal handler and no other, which means no allocation, no lock
//! that is waited for, and no formatting machinery; a note is taken back when the call that it is about returns. Signals that come while no module runs are left to whoever saw to them before.
#![expect(unsafe_code, reason = "signal handlers, and notes that they read, are raw")]

mod caller;
mod report;

use std::cell::Cell;
use std::ffi::{CString, c_int, c_void};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};

use super::handle::ModuleCtx;
use super::host::Module;

/// Something that a module has looked for in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The function's name.
    pub name: String,
    /// Where the module keeps the pointer, which stays null.
    pub variable: usize,
}

/// A call into a module.
#[derive(Clone, Copy)]
struct Note {
    /// The module; null if it has no name yet.
    module: *const Module,
    /// Its context; null if it gets none.
    ctx: *const ModuleCtx,
    /// What it is called for.
    kind: &'static str,
}

impl Note {
    const NONE: Self = Self { module: std::ptr::null(), ctx: std::ptr::null(), kind: "" };
}

/// Calls inside each other that have notes.
const NOTES_MAX: usize = 16;

/// The calls into modules that a thread is inside of, innermost last.
struct Notes {
    /// How many they are; those beyond the places have no notes.
    depth: Cell<usize>,
    places: [Cell<Note>; NOTES_MAX],
}

thread_local! {
    // Const-initialised and without a destructor, so that a signal handler may look at it.
    static NOTES: Notes = const {
        Notes { depth: Cell::new(0), places: [const { Cell::new(Note::NONE) }; NOTES_MAX] }
    };
    /// What the next call will be for.
    static NEXT: Cell<&'static str> = const { Cell::new("") };
}

/// A note, taken back when this is dropped.
#[must_use]
#[derive(Debug)]
pub struct Noted<'a>(PhantomData<(&'a Module, *const ())>);

impl Noted<'_> {
    fn write(note: Note) -> Self {
        NOTES.with(|notes| {
            let depth = notes.depth.get();
            if let Some(place) = notes.places.get(depth) {
                place.set(note);
            }
            notes.depth.set(depth + 1);
        });
        Self(PhantomData)
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        NOTES.with(|notes| notes.depth.set(notes.depth.get().saturating_sub(1)));
    }
}

/// Notes that a module is called without a context, and what for.
pub fn note<'a>(module: &'a Arc<Module>, kind: &'static str) -> Noted<'a> {
    Noted::write(Note { module: Arc::as_ptr(module), ctx: std::ptr::null(), kind })
}

/// Says what the next call with a context is for on this thread. Those without that are commands, or just callbacks.
pub fn next_is(kind: &'static str) {
    NEXT.set(kind);
}

/// Makes a call with a context into a module, with a note about it.
pub fn within<R>(module: Option<&Arc<Module>>, ctx: *const ModuleCtx, f: impl FnOnce() -> R) -> R {
    let module = module.map_or(std::ptr::null(), Arc::as_ptr);
    let _note = Noted::write(Note { module, ctx, kind: NEXT.replace("") });
    f()
}

/// The module whose code this thread runs, if it has a name already.
pub fn current_module() -> Option<Arc<Module>> {
    let note = NOTES.with(|notes| {
        let innermost = notes.depth.get().checked_sub(1)?;
        notes.places.get(innermost).map(Cell::get)
    })?;
    if !note.module.is_null() {
        // SAFETY: whoever has made the note holds a reference during the call, so there is one to count up from.
        unsafe { Arc::increment_strong_count(note.module) };
        // SAFETY: the reference that was just counted is handed out.
        return Some(unsafe { Arc::from_raw(note.module) });
    }
    // SAFETY: null, or a context that lives during its call; while it loads, its module is set by this thread.
    unsafe { note.ctx.as_ref() }?.module.as_deref().cloned()
}

/// The signals of a broken process.
pub const SIGNALS: [c_int; 5] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

/// What was there before our handler.
static BEFORE: OnceLock<[Option<libc::sigaction>; SIGNALS.len()]> = OnceLock::new();

/// The file that reports go to, without one to standard output.
static LOG: OnceLock<CString> = OnceLock::new();

/// Has reports go to the log's file.
pub fn report_to(path: &std::path::Path) {
    use std::os::unix::ffi::OsStrExt;
    if let Ok(path) = CString::new(path.as_os_str().as_bytes()) {
        // A second start in one process (tests) keeps the first log.
        let _ = LOG.set(path);
    }
}

/// Sees to the signals from now on. Done when the first module is loaded: without modules nothing changes.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = BEFORE.set(SIGNALS.map(previous));
        for signal in SIGNALS {
            // SAFETY: an action is plain data, of which all zeros are a value.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = on_signal as *const () as usize;
            // On a stack of its own where the thread has one: its own may be what is used up.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // SAFETY: the action lives during the call, and its handler has the type that SA_SIGINFO wants.
            unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
        }
    });
}

/// Modules whose code can be told by its address. More are no fault; theirs cannot.
const CODES_MAX: usize = 64;

/// Where the code of a module lies, for what breaks on threads that the host does not know. Read by signal handlers.
struct Code {
    begin: AtomicUsize,
    end: AtomicUsize,
    /// A reference is kept for ever.
    module: AtomicPtr<Module>,
}

static CODES: [Code; CODES_MAX] = [const {
    Code {
        begin: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        module: AtomicPtr::new(std::ptr::null_mut()),
    }
}; CODES_MAX];

/// Notes where the code of a module lies, by a function of it.
pub fn learn_code(module: &Arc<Module>, function: *const ()) {
    let code = extent_of(function.addr());
    let _ = module.code.set(code.clone());
    let free = CODES.iter().find(|place| place.end.load(Ordering::Relaxed) == 0);
    if let Some(place) = free.filter(|_| !code.is_empty()) {
        place.module.store(Arc::into_raw(Arc::clone(module)).cast_mut(), Ordering::Relaxed);
        place.begin.store(code.start, Ordering::Relaxed);
        place.end.store(code.end, Ordering::Release);
    }
}

/// Forgets that, since something else may lie there soon.
pub fn forget_code(module: &Arc<Module>) {
    for place in &CODES {
        if place.module.load(Ordering::Relaxed).cast_const() == Arc::as_ptr(module) {
            place.end.store(0, Ordering::Release);
        }
    }
}

/// The module whose code lies at an address.
fn module_at(address: usize) -> Option<*const Module> {
    let is_there = |place: &&Code| {
        address < place.end.load(Ordering::Acquire)
            && address >= place.begin.load(Ordering::Relaxed)
    };
    Some(CODES.iter().find(is_there)?.module.load(Ordering::Relaxed).cast_const())
}

/// The addresses of the shared object that one of them is part of.
fn extent_of(address: usize) -> Range<usize> {
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, data: *mut c_void) -> c_int {
        // SAFETY: the linker hands the structure over, and we the range.
        let (info, found) = unsafe { (&*info, &mut *data.cast::<Range<usize>>()) };
        // SAFETY: so many headers, which live as long as the object is loaded.
        let headers =
            unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let base = info.dlpi_addr as usize;
        let segments = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
        let end = segments.map(|one| base + (one.p_vaddr + one.p_memsz) as usize).max();
        let extent = base..end.unwrap_or(base);
        if !extent.contains(&found.start) {
            return 0;
        }
        *found = extent;
        1
    }
    let mut found = address..address;
    // SAFETY: the callback has the type that is wanted, and the range lives during the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
    found
}

fn previous(signal: c_int) -> Option<libc::sigaction> {
    // SAFETY: as in `install`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only; the action lives during the call.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    (asked == 0).then_some(action)
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    NOTES.with(|notes| {
        // What goes wrong in here is no module's.
        let depth = notes.depth.replace(0);
        if depth == 0 {
            // No call of ours, but it may be a thread that a module has made.
            let Some(module) = caller::instruction(context).and_then(module_at) else {
                return leave_to_others(signal, info, context);
            };
            let kind = "a thread of its own";
            notes.places[0].set(Note { module, ctx: std::ptr::null(), kind });
        }
        let depth = depth.max(1);
        // SAFETY: modules and contexts of notes live until their calls return, and this thread is inside of them; the
        // system hands both structures to the handler.
        unsafe { report::write(&notes.places[..depth.min(NOTES_MAX)], signal, info, context) };
        die(signal);
    });
}

/// Writes a line to the log from inside a signal handler.
pub fn log_from_handler(line: &str) {
    report::write_line(line);
}

/// Has the signal do what it did before our handler was there.
fn leave_to_others(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let at = SIGNALS.iter().position(|one| *one == signal);
    let before = BEFORE.get().zip(at).and_then(|(before, at)| before.get(at)?.as_ref());
    match before {
        Some(action)
            if action.sa_flags & libc::SA_SIGINFO != 0
                && !matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) =>
        {
            type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
            // SAFETY: with this flag the field holds a function of this type.
            let handler: Handler = unsafe { std::mem::transmute(action.sa_sigaction) };
            handler(signal, info, context);
        }
        _ => die(signal),
    }
}

/// Ends the process by the signal, as soon as the handler returns.
fn die(signal: c_int) {
    // SAFETY: the default effect runs no code.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: a plain call; the signal is blocked until the handler returns.
    unsafe { libc::raise(signal) };
}
