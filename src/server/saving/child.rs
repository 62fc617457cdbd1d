//! How does a child process take a snapshot? It is forked under the exclusive lock, so that it has the data set as it
//! was then, writes the file, and ends. For modules that change values where the keyspace does not see it.
//!
//! # What the child may do
//! Only the thread that forks lives on in the child, and whatever lock another thread held stays locked there
//! for ever. So the child does nothing but walk the keyspace, call the `rdb_save` of modules, allocate, and
//! write to its file and to the pipe to its parent:
//!
//! - no other thread is inside the keyspace or a module's command, since the forking thread holds the exclusive lock, which the
//!   child neither takes nor gives back;
//! - jemalloc and the C library make their allocators whole again in the child, by handlers that they
//!   have registered for fork;
//! - the log is silent from the first step on, and standard output and error are locked by the forking thread
//!   while it forks, so nobody else holds them;
//! - it ends by `_exit`, without destructors or handlers.
//!
//! Signals are blocked until the child has reset their handlers: those of the server would tell the parent,
//! through pipes that both have. Descriptors that the child does not need are closed, so that connections
//! which the parent closes are closed.
#![expect(unsafe_code, reason = "fork, and what a child must do before all else, has no safe form")]

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{Job, facts};
use crate::engine::persistence::Progress;
use crate::engine::state::{Shared, State};
use crate::module::fork::{block_signals, restore_signals};
use crate::object::rdb::write::Writer;
use crate::persist::rdb::disk;
use crate::persist::rdb::file::NewFile;
use crate::persist::rdb::save::{Facts, Frame, SnapshotError, write_framed};
use crate::server::log;

/// How long the parent waits for news before it looks whether the child is to end.
const PATIENCE_MS: i32 = 20;

/// The child tells of keys after so many at the latest.
const KEYS_PER_REPORT: u64 = 1024;

/// How often it tells of memory at most, and how many times what that takes lies between two times.
const UNSHARED_EVERY: Duration = Duration::from_millis(500);
const UNSHARED_SHARE: u32 = 100;

/// What the child says: a kind and a number, eight bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Report {
    /// Keys written so far.
    Keys,
    /// About how many bytes of memory parent and child no longer share.
    Unshared,
    /// Everything is written; the file's checksum.
    Done,
    /// The number of the error that came in the way.
    Failed,
    /// A value cannot be saved.
    Unsavable,
}

/// A child that takes a snapshot.
pub(in crate::server) struct Begun {
    pid: libc::pid_t,
    news: PipeReader,
    file: NewFile,
    progress: Arc<Progress>,
}

/// Forks a child that takes a snapshot. None, after having told the log why, if that fails.
pub(super) fn begin(state: &mut State, shared: &Shared, job: Job<'_>) -> Option<Begun> {
    let Job { progress, marker, base, rdb_version_max, at_start } = job;
    let mut file = disk::create(marker, disk::file_style(&state.config))?;
    at_start(state);
    let delay = disk::key_delay(&state.config);
    let facts = Facts { base, rdb_version_max, ..facts(shared, (shared.clock.unix_us)()) };
    let frame = Frame::of(state, facts);
    progress.keys_total.store(frame.keys() as u64, Relaxed);
    let began = Instant::now();
    let kept: Vec<RawFd> = file.descriptor().into_iter().collect();
    let child = fork(&kept, |news| write_as_child(state, &frame, &mut file, delay, news));
    state.persistence.forks += 1;
    state.persistence.last_fork_us = began.elapsed().as_micros() as u64;
    let (pid, news) = child
        .inspect_err(|error| tracing::warn!("Can't save in background: fork: {error}"))
        .ok()?;
    // The child goes on with the open file, whatever its name. If it keeps its old one, that is as good.
    let _ = file.set_temporary(disk::temporary(pid.unsigned_abs(), ""));
    let _ = progress.temporary.set(file.path().to_owned());
    let _ = progress.child.set(pid.unsigned_abs());
    if base {
        tracing::info!("the snapshot is taken by the child process {pid}");
    }
    Some(Begun { pid, news, file, progress })
}

/// Waits for the child and its file; None, after having told the log why, if there is no file.
pub(super) fn finish(begun: Begun) -> Option<NewFile> {
    let Begun { pid, news, mut file, progress } = begun;
    let checksum = follow(pid, news, &progress);
    let signal = wait(pid);
    progress.signal.store(signal, Relaxed);
    file.adopt_checksum(checksum?);
    (signal == 0).then_some(file)
}

/// All that the child does; whether it has written the file.
fn write_as_child(
    state: &State,
    frame: &Frame<'_>,
    file: &mut NewFile,
    delay: Duration,
    pipe: &mut PipeWriter,
) -> bool {
    let mut news = News { pipe, keys: 0, told: 0, next: Instant::now() + UNSHARED_EVERY };
    let mut writer = Writer::draining(frame.style(), file);
    let written = write_framed(state, frame, &mut writer, &mut |count| {
        for _ in 0..if delay.is_zero() { 0 } else { count } {
            std::thread::sleep(delay);
            news.tell_keys(1)?;
        }
        if delay.is_zero() { news.tell_keys(count) } else { Ok(()) }
    });
    drop(writer);
    if written.is_err() {
        let _ = news.tell(Report::Unsavable, 0);
        return false;
    }
    if let Some(error) = file.take_error() {
        let _ = news.tell(Report::Failed, error.raw_os_error().unwrap_or(libc::EIO) as u64);
        return false;
    }
    news.tell(Report::Keys, news.keys)
        .and_then(|()| news.tell(Report::Unshared, unshared_bytes()))
        .and_then(|()| news.tell(Report::Done, file.checksum()))
        .is_ok()
}

/// What the child tells, and when.
struct News<'a> {
    pipe: &'a mut PipeWriter,
    keys: u64,
    /// The number of keys that was told last.
    told: u64,
    /// When to tell of memory.
    next: Instant,
}

impl News<'_> {
    /// Fails if the parent is gone: the child then ends, too.
    fn tell(&mut self, kind: Report, number: u64) -> Result<(), SnapshotError> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(kind as u64).to_le_bytes());
        bytes[8..].copy_from_slice(&number.to_le_bytes());
        self.pipe.write_all(&bytes).map_err(|_| SnapshotError::Abandoned)
    }

    /// So many more keys were written.
    fn tell_keys(&mut self, count: u64) -> Result<(), SnapshotError> {
        self.keys += count;
        let now = Instant::now();
        if self.keys - self.told >= KEYS_PER_REPORT || now >= self.next {
            self.told = self.keys;
            self.tell(Report::Keys, self.keys)?;
        }
        if now >= self.next {
            self.tell(Report::Unshared, unshared_bytes())?;
            // The kernel walks all pages for that, which must not take a good part of the time.
            self.next = Instant::now() + UNSHARED_EVERY.max(now.elapsed() * UNSHARED_SHARE);
        }
        Ok(())
    }
}

/// Memory that this process has for itself, as the kernel says.
fn unshared_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Reads the child's news until there are no more; the file's checksum, if it is complete. Ends the child when the
/// snapshot is cancelled.
fn follow(pid: libc::pid_t, mut news: PipeReader, progress: &Progress) -> Option<u64> {
    let mut checksum = None;
    let mut killed = false;
    let mut bytes = [0; 16];
    loop {
        if progress.cancelled.load(Relaxed) && !killed {
            killed = true;
            // SAFETY: a plain system call; the child has not been waited for, so the number is its own.
            unsafe { libc::kill(pid, libc::SIGUSR1) };
        }
        let mut wanted = libc::pollfd { fd: news.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which lives during the call.
        let ready = unsafe { libc::poll(&raw mut wanted, 1, PATIENCE_MS) };
        if ready <= 0 {
            continue;
        }
        if news.read_exact(&mut bytes).is_err() {
            return checksum;
        }
        let [kind, number] = [0, 8].map(|at| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight of sixteen bytes"))
        });
        match kind {
            kind if kind == Report::Keys as u64 => progress.keys.store(number, Relaxed),
            kind if kind == Report::Unshared as u64 => progress.handed_bytes.store(number, Relaxed),
            kind if kind == Report::Done as u64 => checksum = Some(number),
            kind if kind == Report::Failed as u64 => {
                let error = io::Error::from_raw_os_error(number as i32);
                let words = crate::persist::io::words(&error);
                tracing::warn!("Write error while saving DB to the disk(rdbSaveRio): {words}");
            }
            _ => tracing::warn!(
                "Write error while saving DB to the disk(rdbSaveRio): a value of a module cannot be saved"
            ),
        }
    }
}

/// Waits for the end of the child; the signal that ended it, or 0.
fn wait(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    loop {
        // SAFETY: the status lives during the call; the child is ours and was not waited for.
        let ended = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if ended == pid {
            return if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 };
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return 0;
        }
    }
}

/// Starts a child that does `work` and ends. Of the descriptors above 2 it has those that are `kept` and its end of the pipe
/// that is handed out.
fn fork(
    kept: &[RawFd],
    work: impl FnOnce(&mut PipeWriter) -> bool,
) -> io::Result<(libc::pid_t, PipeReader)> {
    let (reader, mut writer) = io::pipe()?;
    let _output = (io::stdout().lock(), io::stderr().lock());
    let mask = block_signals();
    // SAFETY: what the child may do, and does, is told at the top of this file.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        log::set_level("nothing");
        reset_signals();
        restore_signals(&mask);
        close_others(&mut [kept, &[writer.as_raw_fd()]].concat());
        let code = i32::from(!work(&mut writer));
        // SAFETY: ends the process, without running anything that other threads may be in the middle of.
        unsafe { libc::_exit(code) }
    }
    let error = io::Error::last_os_error();
    restore_signals(&mask);
    if pid < 0 { Err(error) } else { Ok((pid, reader)) }
}

/// Gives all signals that have a handler their default effects.
fn reset_signals() {
    for signal in 1..32 {
        // SAFETY: an action is plain data, of which all zeros are a value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: asks only; the action lives during the call.
        unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
        if action.sa_sigaction != libc::SIG_IGN && action.sa_sigaction != libc::SIG_DFL {
            // SAFETY: the default effect runs no code of ours.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

/// Closes the descriptors above 2 that are not `kept`.
fn close_others(kept: &mut [RawFd]) {
    kept.sort_unstable();
    let mut first = 3;
    for next in kept.iter().map(|fd| *fd as u32).chain([u32::MAX]) {
        if next > first {
            let last = if next == u32::MAX { next } else { next - 1 };
            // SAFETY: a plain system call. The descriptors belong to objects that the child never uses nor drops; where
            // the kernel does not know the call they stay open, which only holds connections open.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
        first = next.saturating_add(1).max(first);
    }
}
