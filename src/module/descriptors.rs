//! Which descriptors do modules have watched? One thread waits for all of them and calls the modules under the exclusive
//! lock, as an execution unit of the server's own.
//!
//! Level-triggered, as Redis's event loop is: a descriptor that stays ready is called for again. A descriptor that its
//! module has closed is forgotten. Invariant: a callback runs only while its watch is in the table, which is looked at
//! under the exclusive lock, so that a module that has taken a watch back under that lock is not called any more.
#![expect(unsafe_code, reason = "waits for descriptors that belong to modules, and calls these")]

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, OnceLock};

use mortise_module_abi as abi;
use parking_lot::Mutex;

use super::crash;
use super::handle::with_engine;
use super::host::{Foreign, Module, host};
use super::tasks::in_unit;
use crate::engine::client::{Mode, Session};
use crate::engine::lock::Engine;

/// Descriptors that a server may have besides those of its clients.
const BESIDE_CLIENTS: usize = 1024;

/// What a module wants to know of a descriptor.
#[derive(Clone, Debug)]
struct Watch {
    /// Whose it is, if it was added while code of a module ran.
    module: Option<Arc<Module>>,
    readable: abi::EventLoopFunc,
    writable: abi::EventLoopFunc,
    /// What both get: that of whoever was added last.
    data: Foreign,
}

impl Watch {
    /// What it waits for, as `EVENTLOOP_*`.
    fn mask(&self) -> c_int {
        let readable = if self.readable.is_some() { abi::EVENTLOOP_READABLE } else { 0 };
        let writable = if self.writable.is_some() { abi::EVENTLOOP_WRITABLE } else { 0 };
        readable | writable
    }
}

/// The descriptors that modules have watched.
#[derive(Debug, Default)]
pub struct Descriptors {
    watches: Mutex<BTreeMap<RawFd, Watch>>,
    /// Has the thread look at the table anew; there once the thread is.
    waker: OnceLock<PipeWriter>,
}

/// Why a descriptor is not watched: the number that goes to `errno`.
pub type Refused = c_int;

/// Checks what both functions check.
fn check(fd: c_int, mask: c_int) -> Result<(), Refused> {
    let clients = host().engine.get().map_or(0, |engine| {
        engine.shared.limits.clients.load(std::sync::atomic::Ordering::Relaxed)
    });
    if usize::try_from(fd).map_or(true, |fd| fd >= clients + BESIDE_CLIENTS) {
        return Err(libc::ERANGE);
    }
    if mask & !(abi::EVENTLOOP_READABLE | abi::EVENTLOOP_WRITABLE) != 0 {
        return Err(libc::EINVAL);
    }
    Ok(())
}

/// Whether a descriptor is open and can be waited for; what the system says if not.
fn check_open(fd: c_int) -> Result<(), Refused> {
    // SAFETY: plain data, of which all zeros are a value.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure lives during the call.
    if unsafe { libc::fstat(fd, &raw mut found) } < 0 {
        return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EBADF));
    }
    // They are always ready, so that there is nothing to wait for; the system's own facility says the same.
    match found.st_mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFDIR => Err(libc::EPERM),
        _ => Ok(()),
    }
}

impl Descriptors {
    /// Has a module called when a descriptor is ready for one of `mask`.
    pub fn add(
        &'static self,
        fd: c_int,
        mask: c_int,
        callback: abi::EventLoopFunc,
        data: Foreign,
    ) -> Result<(), Refused> {
        check(fd, mask)?;
        if callback.is_none() {
            return Err(libc::EINVAL);
        }
        check_open(fd)?;
        self.start().map_err(|error| error.raw_os_error().unwrap_or(libc::EAGAIN))?;
        let module = crash::current_module();
        let mut watches = self.watches.lock();
        let none = Watch { module: None, readable: None, writable: None, data };
        let watch = watches.entry(fd).or_insert(none);
        if mask & abi::EVENTLOOP_READABLE != 0 {
            watch.readable = callback;
        }
        if mask & abi::EVENTLOOP_WRITABLE != 0 {
            watch.writable = callback;
        }
        watch.data = data;
        watch.module = module.or(watch.module.take());
        drop(watches);
        self.wake();
        Ok(())
    }

    /// Takes that back.
    pub fn remove(&self, fd: c_int, mask: c_int) -> Result<(), Refused> {
        check(fd, mask)?;
        let mut watches = self.watches.lock();
        if let Some(watch) = watches.get_mut(&fd) {
            if mask & abi::EVENTLOOP_READABLE != 0 {
                watch.readable = None;
            }
            if mask & abi::EVENTLOOP_WRITABLE != 0 {
                watch.writable = None;
            }
            if watch.mask() == 0 {
                watches.remove(&fd);
            }
        }
        drop(watches);
        self.wake();
        Ok(())
    }

    /// Forgets what a module has watched.
    pub fn forget(&self, module: &Arc<Module>) {
        let is_its = |watch: &Watch| watch.module.as_ref().is_some_and(|m| Arc::ptr_eq(m, module));
        self.watches.lock().retain(|_, watch| !is_its(watch));
        self.wake();
    }

    fn wake(&self) {
        if let Some(mut waker) = self.waker.get() {
            // A full pipe wakes as well.
            let _ = waker.write(&[0]);
        }
    }

    /// Starts the thread, if it is not there.
    fn start(&'static self) -> io::Result<()> {
        if self.waker.get().is_some() {
            return Ok(());
        }
        let _starting = self.watches.lock();
        if self.waker.get().is_some() {
            return Ok(());
        }
        let (reader, writer) = io::pipe()?;
        for fd in [reader.as_raw_fd(), writer.as_raw_fd()] {
            // SAFETY: a plain system call on a descriptor of ours.
            unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
        }
        std::thread::Builder::new().name("module-fds".into()).spawn(|| self.run(reader))?;
        let _ = self.waker.set(writer);
        Ok(())
    }

    /// Waits and calls, for ever.
    fn run(&self, mut woken: PipeReader) {
        let mut wanted = Vec::new();
        loop {
            self.gather(woken.as_raw_fd(), &mut wanted);
            // SAFETY: so many structures, which live during the call.
            let ready =
                unsafe { libc::poll(wanted.as_mut_ptr(), wanted.len() as libc::nfds_t, -1) };
            if ready <= 0 {
                continue;
            }
            let mut drain = [0; 64];
            while wanted[0].revents != 0 && woken.read(&mut drain).is_ok_and(|n| n == drain.len()) {
            }
            let fired: Vec<(RawFd, c_int)> =
                wanted[1..].iter().filter_map(|one| self.outcome(one)).collect();
            if let Some(engine) = host().engine.get().filter(|_| !fired.is_empty()) {
                self.call(engine, &fired);
            }
        }
    }

    /// Lists what to wait for, the waker first.
    fn gather(&self, waker: RawFd, wanted: &mut Vec<libc::pollfd>) {
        wanted.clear();
        wanted.push(libc::pollfd { fd: waker, events: libc::POLLIN, revents: 0 });
        for (fd, watch) in self.watches.lock().iter() {
            let mut events = 0;
            if watch.readable.is_some() {
                events |= libc::POLLIN;
            }
            if watch.writable.is_some() {
                events |= libc::POLLOUT;
            }
            wanted.push(libc::pollfd { fd: *fd, events, revents: 0 });
        }
    }

    /// For what a descriptor is ready. One that is not open any more is forgotten.
    fn outcome(&self, one: &libc::pollfd) -> Option<(RawFd, c_int)> {
        if one.revents & libc::POLLNVAL != 0 {
            self.watches.lock().remove(&one.fd);
            return None;
        }
        // Whoever waits for one of the two hears of errors and ends.
        let (mut mask, broken) = (0, one.revents & (libc::POLLERR | libc::POLLHUP) != 0);
        if broken || one.revents & libc::POLLIN != 0 {
            mask |= abi::EVENTLOOP_READABLE;
        }
        if broken || one.revents & libc::POLLOUT != 0 {
            mask |= abi::EVENTLOOP_WRITABLE;
        }
        (mask != 0).then_some((one.fd, mask))
    }

    /// Calls modules for descriptors that are ready.
    fn call(&self, engine: &Engine, fired: &[(RawFd, c_int)]) {
        let mut state = engine.write_patiently();
        for (fd, mask) in fired {
            for one in [abi::EVENTLOOP_READABLE, abi::EVENTLOOP_WRITABLE] {
                // Looked at anew each time: the call before may have taken the watch back.
                let watch = self.watches.lock().get(fd).cloned();
                let Some(watch) = watch.filter(|_| mask & one != 0) else { continue };
                let callback =
                    if one == abi::EVENTLOOP_READABLE { watch.readable } else { watch.writable };
                let Some(callback) = callback else { continue };
                let mut session = Session::internal(Mode::MODULE, 0);
                in_unit(&mut state, &engine.shared, &mut session, None, |ctx| {
                    crash::next_is("event loop callback");
                    crash::within(watch.module.as_ref(), std::ptr::null(), || {
                        // SAFETY: modules are not unmapped while their watches are there; the lock is held.
                        with_engine(ctx, || unsafe { callback(*fd, watch.data.0, *mask) });
                    });
                });
            }
        }
        super::tasks::turn(&mut state, &engine.shared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn nothing(_: c_int, _: *mut std::ffi::c_void, _: c_int) {}

    #[test]
    fn what_cannot_be_watched_is_refused_as_redis_does() {
        let descriptors: &'static Descriptors = Box::leak(Box::default());
        let (reader, _writer) = io::pipe().expect("a pipe");
        let (fd, data) = (reader.as_raw_fd(), Foreign(std::ptr::null_mut()));
        let callback: abi::EventLoopFunc = Some(nothing);
        let add = |fd, mask, callback| descriptors.add(fd, mask, callback, data);
        assert_eq!(add(fd, 9_999_999, callback), Err(libc::EINVAL));
        assert_eq!(add(-1, abi::EVENTLOOP_READABLE, callback), Err(libc::ERANGE));
        assert_eq!(add(99_999_999, abi::EVENTLOOP_READABLE, callback), Err(libc::ERANGE));
        assert_eq!(add(fd, abi::EVENTLOOP_READABLE, None), Err(libc::EINVAL));
        assert_eq!(add(1000, abi::EVENTLOOP_READABLE, callback), Err(libc::EBADF));
        let file = std::fs::File::open("Cargo.toml").expect("a file");
        assert_eq!(add(file.as_raw_fd(), abi::EVENTLOOP_READABLE, callback), Err(libc::EPERM));
        assert_eq!(descriptors.remove(-1, abi::EVENTLOOP_READABLE), Err(libc::ERANGE));
        assert_eq!(descriptors.remove(fd, 4), Err(libc::EINVAL));
        assert_eq!(descriptors.remove(fd, abi::EVENTLOOP_READABLE), Ok(()));
        let both = abi::EVENTLOOP_READABLE | abi::EVENTLOOP_WRITABLE;
        assert_eq!(add(fd, both, callback), Ok(()));
        assert_eq!(descriptors.remove(fd, abi::EVENTLOOP_READABLE), Ok(()));
        let mask = |fd| descriptors.watches.lock().get(&fd).map(Watch::mask);
        assert_eq!(mask(fd), Some(abi::EVENTLOOP_WRITABLE));
        assert_eq!(descriptors.remove(fd, both), Ok(()));
        assert_eq!(mask(fd), None);
    }
}
