//! May what a client is told leave yet? The gate between the effect log and the sockets.
//!
//! What is logged for the append-only file is handed over here when the exclusive lock is released. Output that shows the
//! state, reads' as well as writes', is held back until everything that was logged when its lock was released is in
//! the file (`appendfsync everysec` and `no`) or on the disk (`always`): so nobody has seen a write that a
//! crash can take back. Whoever writes the file (`persist::aof::writer`) takes the bytes from here and says how far
//! it came.
//!
//! Invariants: positions count the bytes logged since the process started, whatever files they went to; `synced <=
//! written <= appended`, and each only grows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::{Condvar, Mutex};

/// Positions of the log, and the bytes that are not in the file yet.
#[derive(Debug)]
pub struct Durable {
    appended: AtomicU64,
    written: AtomicU64,
    synced: AtomicU64,
    /// Output waits for the disk, not only for the file.
    waits_for_sync: AtomicBool,
    pending: Mutex<Pending>,
    /// Something is to be done: for the thread that syncs.
    work: Condvar,
    /// Who is to be told that a position moved, by worker.
    wakers: Box<[Mutex<Option<Waker>>]>,
    /// Why the file could not be written or synced, until it can.
    failure: Mutex<Option<String>>,
    /// Whether there is such a reason.
    failing: AtomicBool,
}

/// What waits for the thread that syncs.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    /// Output of so many connections is held.
    held: usize,
    /// Output of so many was released by the last sync.
    released: usize,
    ending: bool,
}

impl Durable {
    /// A gate for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            appended: AtomicU64::new(0),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            waits_for_sync: AtomicBool::new(false),
            pending: Mutex::default(),
            work: Condvar::new(),
            wakers: (0..workers).map(|_| Mutex::default()).collect(),
            failure: Mutex::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// Takes over what was logged. To be called under the exclusive lock.
    pub fn append(&self, bytes: &mut Vec<u8>) {
        let mut pending = self.pending.lock();
        self.appended.fetch_add(bytes.len() as u64, Ordering::Release);
        if pending.bytes.is_empty() {
            std::mem::swap(&mut pending.bytes, bytes);
        } else {
            pending.bytes.append(bytes);
        }
    }

    /// Takes out what is to be written, leaving the room of `empty`.
    pub fn take(&self, empty: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.pending.lock().bytes, empty)
    }

    /// Bytes that are to be written.
    pub fn pending_bytes(&self) -> usize {
        self.pending.lock().bytes.len()
    }

    /// How many bytes have been logged.
    #[inline]
    pub fn appended(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }

    /// How many of them are in the file.
    #[inline]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// How many of them are on the disk.
    #[inline]
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Up to which position output may leave.
    #[inline]
    pub fn released(&self) -> u64 {
        if self.waits_for_sync() { self.synced() } else { self.written() }
    }

    /// Whether output waits for the disk.
    #[inline]
    pub fn waits_for_sync(&self) -> bool {
        self.waits_for_sync.load(Ordering::Relaxed)
    }

    /// Whether output is to wait for the disk from now on.
    pub fn set_waits_for_sync(&self, waits: bool) {
        self.waits_for_sync.store(waits, Ordering::Relaxed);
        self.wake_workers();
    }

    /// Notes how many bytes are in the file.
    pub fn note_written(&self, position: u64) {
        self.written.fetch_max(position, Ordering::AcqRel);
    }

    /// Notes how many bytes are on the disk, and tells the workers.
    pub fn note_synced(&self, position: u64) {
        self.written.fetch_max(position, Ordering::AcqRel);
        self.synced.fetch_max(position, Ordering::AcqRel);
        self.wake_workers();
    }

    /// Notes why the file cannot be written; None when it can be again.
    pub fn note_failure(&self, why: Option<String>) {
        self.failing.store(why.is_some(), Ordering::Relaxed);
        *self.failure.lock() = why;
    }

    /// Whether the file cannot be written, so that writes are refused.
    #[inline]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Why the file cannot be written.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    /// Leaves the waker of a worker, which is woken when a position has moved or by [`Durable::wake`].
    pub fn register(&self, worker: usize, waker: &Waker) {
        let mut slot = self.wakers[worker].lock();
        if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    /// Wakes a worker, so that it looks at what it holds.
    pub fn wake(&self, worker: usize) {
        let waker = self.wakers[worker].lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes all workers.
    pub fn wake_workers(&self) {
        (0..self.wakers.len()).for_each(|worker| self.wake(worker));
    }

    /// Asks for a sync on behalf of so many connections more, whose output is held.
    pub fn ask_for_sync(&self, connections: usize) {
        self.pending.lock().held += connections;
        self.work.notify_one();
    }

    /// Waits until somebody asks for a sync, at most for `patience`; says whether somebody has.
    pub fn wait_for_work(&self, patience: std::time::Duration) -> bool {
        let mut pending = self.pending.lock();
        if pending.held == 0 && !pending.ending {
            self.work.wait_for(&mut pending, patience);
        }
        pending.held > 0
    }

    /// Waits, at most for `patience`, until as many connections ask as the last sync released: they ask again at about the
    /// same time, and a sync that leaves without most of them has them wait for the next. Says for how many it is.
    pub fn gather(&self, patience: std::time::Duration) -> usize {
        let deadline = std::time::Instant::now() + patience;
        let mut pending = self.pending.lock();
        while pending.held < pending.released && !pending.ending {
            if self.work.wait_until(&mut pending, deadline).timed_out() {
                break;
            }
        }
        pending.released = std::mem::take(&mut pending.held);
        pending.released
    }

    /// Has the thread that syncs end; it asks by [`Durable::is_ending`].
    pub fn end(&self) {
        self.pending.lock().ending = true;
        self.work.notify_all();
    }

    /// Whether the thread that syncs is to end.
    pub fn is_ending(&self) -> bool {
        self.pending.lock().ending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn positions_follow_the_bytes() {
        let durable = Durable::new(1);
        durable.append(&mut b"one".to_vec());
        durable.append(&mut b"two".to_vec());
        assert_eq!((durable.appended(), durable.released()), (6, 0));
        assert_eq!(durable.take(Vec::new()), b"onetwo");
        durable.note_written(6);
        assert_eq!((durable.written(), durable.synced(), durable.released()), (6, 0, 6));
        durable.set_waits_for_sync(true);
        assert_eq!(durable.released(), 0);
        durable.note_synced(6);
        assert_eq!(durable.released(), 6);
        durable.note_written(5);
        assert_eq!(durable.written(), 6);
    }

    #[test]
    fn a_sync_waits_for_those_whom_the_last_one_released() {
        let durable = Durable::new(1);
        durable.ask_for_sync(2);
        assert!(durable.wait_for_work(Duration::ZERO));
        assert_eq!(durable.gather(Duration::ZERO), 2);
        std::thread::scope(|threads| {
            durable.ask_for_sync(1);
            threads.spawn(|| durable.ask_for_sync(1));
            assert_eq!(durable.gather(Duration::from_secs(60)), 2);
        });
        durable.ask_for_sync(1);
        assert_eq!(durable.gather(Duration::from_millis(1)), 1);
        assert!(!durable.wait_for_work(Duration::ZERO));
    }
}
