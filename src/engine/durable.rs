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

pub mod elsewhere;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::{Condvar, Mutex};

use self::elsewhere::Elsewhere;

/// Positions of the log, and the bytes that are not in the file yet.
#[derive(Debug)]
pub struct Durable {
    appended: AtomicU64,
    written: AtomicU64,
    synced: AtomicU64,
    /// Holds of the exclusive lock while there is a file, begun and ended.
    begun: AtomicU64,
    ended: AtomicU64,
    /// `appendfsync`, as the number of a [`Policy`].
    policy: AtomicU8,
    pending: Mutex<Pending>,
    /// Something is to be done: for the thread that syncs.
    work: Condvar,
    /// Who is to be told that a position moved, by worker.
    wakers: Box<[Mutex<Option<Waker>>]>,
    /// A sync takes less time than to have another thread do it.
    quick_sync_ns: AtomicU64,
    /// `appendonly`, also while the file is still to come.
    enabled: AtomicBool,
    /// The file has its base.
    based: AtomicBool,
    /// Who waits for replicas and files: WAIT and WAITAOF.
    pub elsewhere: Elsewhere,
    /// Why the file could not be written, and why not synced, until it can.
    failures: Mutex<[Option<String>; 2]>,
    /// Whether there is such a reason.
    failing: AtomicBool,
}

/// When the file is synced: `appendfsync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Once a second.
    EverySecond = 0,
    /// Before output leaves.
    Always = 1,
    /// When the system thinks fit.
    Never = 2,
}

/// What waits for the thread that syncs.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    /// Output of so many connections is held.
    held: usize,
    /// Output of so many was released by the last sync.
    released: usize,
}

impl Policy {
    /// The policy of a number, as the choices of `appendfsync` have it.
    pub fn of(number: u32) -> Self {
        match number {
            1 => Policy::Always,
            2 => Policy::Never,
            _ => Policy::EverySecond,
        }
    }
}

impl Durable {
    /// A gate for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            appended: AtomicU64::new(0),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            policy: AtomicU8::new(Policy::EverySecond as u8),
            pending: Mutex::default(),
            work: Condvar::new(),
            wakers: (0..workers).map(|_| Mutex::default()).collect(),
            quick_sync_ns: AtomicU64::new(0),
            enabled: AtomicBool::new(false),
            based: AtomicBool::new(false),
            elsewhere: Elsewhere::default(),
            failures: Mutex::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// A hold of the exclusive lock begins. To be called under it.
    #[inline]
    pub fn begin_hold(&self) {
        self.begun.store(self.begun.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// The hold ends, and what was logged in it was handed over. To be called under the exclusive lock.
    #[inline]
    pub fn end_hold(&self) {
        let begun = self.begun.load(Ordering::Relaxed);
        // Without a file nothing changes here, and the line that others read stays theirs.
        if self.ended.load(Ordering::Relaxed) != begun {
            self.ended.store(begun, Ordering::Release);
        }
    }

    /// How many holds have begun.
    #[inline]
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// Up to which hold all that was logged was handed over.
    #[inline]
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
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
        self.policy() == Policy::Always
    }

    /// When the file is synced.
    #[inline]
    pub fn policy(&self) -> Policy {
        Policy::of(u32::from(self.policy.load(Ordering::Relaxed)))
    }

    /// When the file is to be synced from now on.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(policy as u8, Ordering::Relaxed);
        self.wake_workers();
    }

    /// How many nanoseconds the last sync took, if that was so little that whoever waits for one had better sync.
    #[inline]
    pub fn quick_sync_ns(&self) -> Option<u64> {
        let nanos = self.quick_sync_ns.load(Ordering::Relaxed);
        (nanos > 0 && self.waits_for_sync()).then_some(nanos)
    }

    /// Notes that; None if it was not so little.
    pub fn note_quick_sync(&self, nanos: Option<u64>) {
        self.quick_sync_ns.store(nanos.unwrap_or(0), Ordering::Relaxed);
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
        self.elsewhere.serve(self.kept());
    }

    /// Whether a crash leaves what is in the file, which is so once it has its base.
    pub fn set_based(&self, based: bool) {
        self.based.store(based, Ordering::Release);
        self.elsewhere.serve(self.kept());
    }

    /// Up to which position a crash leaves everything; None without a file, or while its first base is being written.
    pub fn kept(&self) -> Option<u64> {
        self.based.load(Ordering::Acquire).then(|| self.synced())
    }

    /// Whether there is to be a file. Those who wait for it are answered with `refusal` when there is not.
    pub fn enable(&self, enabled: bool, refusal: &[u8]) {
        self.enabled.store(enabled, Ordering::Relaxed);
        if !enabled {
            self.elsewhere.refuse_own(refusal);
        }
    }

    /// Whether there is to be a file.
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Notes why the file cannot be written; None when it can be again.
    pub fn note_failure(&self, why: Option<String>) {
        self.note(0, why);
    }

    /// Notes why the file cannot be synced; None when it can be again.
    pub fn note_sync_failure(&self, why: Option<String>) {
        self.note(1, why);
    }

    fn note(&self, which: usize, why: Option<String>) {
        let mut failures = self.failures.lock();
        failures[which] = why;
        self.failing.store(failures.iter().any(Option::is_some), Ordering::Relaxed);
    }

    /// Whether the file cannot be written or synced, so that writes are refused.
    #[inline]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Why the file cannot be written or synced.
    pub fn failure(&self) -> Option<String> {
        self.failures.lock().iter().flatten().next().cloned()
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
        if pending.held == 0 {
            self.work.wait_for(&mut pending, patience);
        }
        pending.held > 0
    }

    /// Waits, at most for `patience`, until as many connections ask as the last sync released: they ask again at about the
    /// same time, and a sync that leaves without most of them has them wait for the next. Says for how many it is.
    pub fn gather(&self, patience: std::time::Duration) -> usize {
        let mut pending = self.pending.lock();
        self.work.wait_while_for(&mut pending, |own| own.held < own.released, patience);
        pending.released = std::mem::take(&mut pending.held);
        pending.released
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
        durable.set_policy(Policy::Always);
        assert_eq!(durable.released(), 0);
        durable.note_synced(6);
        assert_eq!(durable.released(), 6);
        durable.note_written(5);
        assert_eq!(durable.written(), 6);
        assert_eq!(durable.kept(), None, "the file has no base yet");
        durable.set_based(true);
        assert_eq!(durable.kept(), Some(6));
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
