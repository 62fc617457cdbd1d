//! What is a child that a module has forked, and what becomes of it? There is one at a time, and none beside a snapshot.
//!
//! # What the child may do
//! Only the thread that forks lives on in the child; it has the exclusive lock, so that the data set stands still as it
//! was. A lock that another thread held stays locked for ever: what needs no other thread works (reading keys, RM_RdbSave,
//! the allocator, the log), what needs one does not (timers, blocked clients). The child ends by ExitFromChild, without
//! destructors or handlers, or by a signal.
//!
//! Signals are blocked until the child has handlers of its own: those of the server would tell the parent, through pipes
//! that both have. Sockets that connections come in on are closed, so that a server that ends early lets go of its port.
#![expect(unsafe_code, reason = "fork, and what a child must do before all else, has no safe form")]

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use mortise_module_abi as abi;
use parking_lot::{Condvar, Mutex};

use super::api::server_events;
use super::crash;
use super::handle::with_engine;
use super::host::{Foreign, Module, host};
use super::tasks::in_unit;
use crate::engine::client::{Mode, Session};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::hooks::{Change, ServerEvent};
use crate::engine::state::{Shared, State};

/// With this a child ends that was told to, as in Redis: no error.
const TOLD_TO_END: c_int = 255;

/// What the child tells of itself: memory that both processes have.
#[derive(Debug)]
#[repr(C)]
struct News {
    /// Bytes that it does not share with its parent any more.
    unshared_bytes: AtomicU64,
    /// How far it is, as the bits of a double between 0 and 1, or -1.
    progress: AtomicU64,
}

/// A page of [`News`], alive as long as this is.
#[derive(Debug)]
struct NewsPage(*mut News);

// SAFETY: what it points to are atomics.
unsafe impl Send for NewsPage {}
// SAFETY: as above.
unsafe impl Sync for NewsPage {}

impl NewsPage {
    fn create() -> io::Result<Self> {
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: asks for new memory, of which all zeros are valid news.
        let page =
            unsafe { libc::mmap(std::ptr::null_mut(), size_of::<News>(), access, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(page.cast()))
    }

    fn news(&self) -> &News {
        // SAFETY: mapped until this is dropped.
        unsafe { &*self.0 }
    }
}

impl Drop for NewsPage {
    fn drop(&mut self) {
        // SAFETY: mapped by `create`, and nobody else has the address.
        unsafe { libc::munmap(self.0.cast(), size_of::<News>()) };
    }
}

/// A child, as its parent sees it.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    module: Option<Arc<Module>>,
    callback: abi::ForkDoneFunc,
    data: Foreign,
    /// The module is gone.
    is_silent: AtomicBool,
    news: NewsPage,
    /// It was waited for.
    is_gone: Mutex<bool>,
    gone: Condvar,
}

// SAFETY: the pointer of the module goes back to it under the exclusive lock, and everything else may be shared.
unsafe impl Sync for Child {}

/// How a child has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// What it ended with.
    code: c_int,
    /// The signal that ended it, or 0.
    signal: c_int,
}

/// The child that there is.
#[derive(Debug, Default)]
pub struct Children {
    current: Mutex<Option<Arc<Child>>>,
    /// This process is one.
    is_child: AtomicBool,
}

impl Children {
    /// Whether this process is the child of a module.
    pub fn is_child(&self) -> bool {
        self.is_child.load(Ordering::Relaxed)
    }

    /// Whether a module's child is there.
    pub fn is_there(&self) -> bool {
        self.current.lock().is_some()
    }

    /// Ends the child of a module whose code goes, and tells nobody of it.
    pub fn forget(&self, module: &Arc<Module>) {
        let is_its = |child: &Child| child.module.as_ref().is_some_and(|m| Arc::ptr_eq(m, module));
        if let Some(child) = self.current.lock().as_ref().filter(|child| is_its(child)) {
            child.is_silent.store(true, Ordering::Relaxed);
            // SAFETY: a plain system call; its thread has not waited for the child, or will have it taken away.
            unsafe { libc::kill(child.pid, libc::SIGUSR1) };
        }
    }

    /// Ends the child of this number and waits for that; false if there is none. Nobody is told.
    pub fn kill(&self, pid: c_int, ctx: &mut ExclusiveCtx<'_>) -> bool {
        let taken = self.current.lock().take_if(|child| child.pid == pid);
        let Some(child) = taken else { return false };
        tracing::debug!("Killing running module fork child: {pid}");
        // SAFETY: a plain system call; the number is the child's own until its thread has waited for it.
        unsafe { libc::kill(pid, libc::SIGUSR1) };
        let mut is_gone = child.is_gone.lock();
        while !*is_gone {
            child.gone.wait(&mut is_gone);
        }
        drop(is_gone);
        ctx.state.persistence.module_child.end(child.unshared_bytes());
        true
    }
}

impl Child {
    fn unshared_bytes(&self) -> u64 {
        self.news.news().unshared_bytes.load(Ordering::Relaxed)
    }

    /// Waits for the end, and has the module told by the main thread.
    fn follow(self: Arc<Self>) {
        let mut status = 0;
        // SAFETY: the status lives during the call; the child is ours and nobody else waits for it.
        while unsafe { libc::waitpid(self.pid, &raw mut status, 0) } < 0 {
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break;
            }
        }
        *self.is_gone.lock() = true;
        self.gone.notify_all();
        let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 0 };
        let signal = if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 };
        host().tasks.child_ended(self, End { code, signal });
    }

    /// Tells the module of the end, unless the child is not the current one any more.
    pub fn tell(self: &Arc<Self>, end: End, state: &mut State, shared: &Shared) {
        let current = &host().children.current;
        if current.lock().take_if(|child| Arc::ptr_eq(child, self)).is_none() {
            return;
        }
        state.persistence.module_child.end(self.unshared_bytes());
        tracing::info!(
            "Module fork exited pid: {}, retcode: {}, bysignal: {}",
            self.pid,
            end.code,
            end.signal
        );
        let callback = self.callback.filter(|_| !self.is_silent.load(Ordering::Relaxed));
        let mut session = Session::internal(Mode::MODULE, 0);
        in_unit(state, shared, &mut session, None, |ctx| {
            if let Some(callback) = callback {
                crash::next_is("fork callback");
                crash::within(self.module.as_ref(), std::ptr::null(), || {
                    // SAFETY: the module is alive, since `forget` would have said so; the lock is held.
                    with_engine(ctx, || unsafe { callback(end.code, end.signal, self.data.0) });
                });
            }
            server_events::tell(ctx, ServerEvent::Child(Change::Down));
        });
    }
}

/// Forks. In the parent the child's number, in the child 0.
pub fn fork(
    ctx: &mut ExclusiveCtx<'_>,
    callback: abi::ForkDoneFunc,
    data: Foreign,
) -> io::Result<libc::pid_t> {
    let children = &host().children;
    if ctx.state.persistence.is_busy() || children.is_there() || children.is_child() {
        return Err(io::Error::from_raw_os_error(libc::EEXIST));
    }
    let news = NewsPage::create()?;
    let began = Instant::now();
    // Nobody else may hold these while the child comes into being, in which it writes to the log.
    let output = (io::stdout().lock(), io::stderr().lock());
    let before = block_signals();
    // SAFETY: what the child may do is told at the top of this file.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        become_child(children, news);
        restore_signals(&before);
        drop(output);
        return Ok(0);
    }
    let error = io::Error::last_os_error();
    restore_signals(&before);
    drop(output);
    if pid < 0 {
        return Err(error);
    }
    let persistence = &mut ctx.state.persistence;
    persistence.forks += 1;
    persistence.last_fork_us = began.elapsed().as_micros() as u64;
    persistence.module_child.begin();
    let (is_gone, gone) = (Mutex::new(false), Condvar::new());
    let module = crash::current_module();
    let is_silent = AtomicBool::new(false);
    let child = Child { pid, module, callback, data, is_silent, news, is_gone, gone };
    let child = Arc::new(child);
    *children.current.lock() = Some(Arc::clone(&child));
    let own = Arc::clone(&child);
    let follow = std::thread::Builder::new().name("module-child".into());
    if let Err(error) = follow.spawn(move || child.follow()) {
        tracing::warn!("nobody could look after the module's child {pid}: {error}");
        // SAFETY: a plain system call; nobody has waited for the child.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        own.follow();
    }
    tracing::debug!("Module fork started pid: {pid}");
    server_events::tell(ctx, ServerEvent::Child(Change::Up));
    Ok(pid)
}

/// What the child tells of itself; none in the parent.
static OWN_NEWS: std::sync::OnceLock<NewsPage> = std::sync::OnceLock::new();

fn become_child(children: &Children, news: NewsPage) {
    children.is_child.store(true, Ordering::Relaxed);
    let _ = OWN_NEWS.set(news);
    for signal in 1..32 {
        if !crash::SIGNALS.contains(&signal) {
            reset(signal);
        }
    }
    // SAFETY: the handler does nothing that handlers may not.
    unsafe { libc::signal(libc::SIGUSR1, end_as_told as *const () as libc::sighandler_t) };
    close_listeners();
}

/// Gives a signal that has a handler its default effect.
fn reset(signal: c_int) {
    // SAFETY: an action is plain data, of which all zeros are a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only; the action lives during the call.
    unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    if action.sa_sigaction != libc::SIG_IGN && action.sa_sigaction != libc::SIG_DFL {
        // SAFETY: the default effect runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

extern "C" fn end_as_told(_: c_int) {
    crash::log_from_handler("Received SIGUSR1 in child, exiting now.");
    // SAFETY: ends the process, without running anything that the interrupted code may be in the middle of.
    unsafe { libc::_exit(TOLD_TO_END) }
}

/// Closes the sockets that connections come in on.
fn close_listeners() {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let number = |entry: io::Result<std::fs::DirEntry>| {
        entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok()
    };
    for fd in open.filter_map(number).collect::<Vec<_>>() {
        let mut listens: c_int = 0;
        let mut size = size_of::<c_int>() as libc::socklen_t;
        let into: *mut c_void = (&raw mut listens).cast();
        // SAFETY: asks only; both variables live during the call.
        let asked = unsafe {
            libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, into, &raw mut size)
        };
        if asked == 0 && listens != 0 {
            // SAFETY: the socket belongs to an object of a thread that the child does not have.
            unsafe { libc::close(fd) };
        }
    }
}

/// Blocks all signals for this thread; what was blocked before.
pub fn block_signals() -> libc::sigset_t {
    // SAFETY: a set of signals is plain bits, of which all zeros are a value.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    let mut before = all;
    // SAFETY: the set lives during the call.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets live during the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    before
}

/// Has this thread's signals blocked as they were.
pub fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set lives during the call, and no old one is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

/// The child tells how far it is, and of its memory. Nothing happens in the parent.
pub fn tell_progress(progress: f64) {
    if let Some(page) = OWN_NEWS.get() {
        page.news().progress.store(progress.to_bits(), Ordering::Relaxed);
        page.news().unshared_bytes.store(unshared_bytes(), Ordering::Relaxed);
    }
}

/// Memory that this process has for itself, as the kernel says.
fn unshared_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Ends the child. Comes back only if this process is none.
pub fn exit(code: c_int) {
    if !host().children.is_child() {
        return;
    }
    if let Some(page) = OWN_NEWS.get() {
        page.news().unshared_bytes.store(unshared_bytes(), Ordering::Relaxed);
    }
    // SAFETY: ends the process, without running anything that other threads were in the middle of.
    unsafe { libc::_exit(code) }
}
