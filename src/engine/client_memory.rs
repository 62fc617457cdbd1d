//! How much memory do clients take, and which of them go when that is too much? `maxmemory-clients`.
//!
//! What a client takes is the sum of a few figures of its [`Footprint`], each kept by whoever changes it. The sum
//! enters the total of all clients when it is counted: by the connection in each of its turns, by whoever sends the
//! client something, and once a second by the cron. As long as there is no limit only the cron counts, so that the
//! total is good enough for INFO and costs nothing.
//!
//! At the limit the largest clients are disconnected until the total is below it. They are kept by size in classes
//! that double, as in Redis, so that finding one does not take a look at all: within a class the oldest goes first.
//! Replicas and the primary are not counted; a client with `CLIENT NO-EVICT` is, but stays.
//!
//! Invariants: the total is the sum of what each client was counted with last (its `counted`); a client that
//! is to be closed counts as nothing once it was counted again; a client stands in the class that its footprint names, which is
//! changed under the lock of the classes alone. That lock is the innermost one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::client::{Client, Session, Watched};
use super::outbox::Outbox;
use super::state::Shared;
use crate::config::Config;
use crate::config::params::Param;

/// The least limit, whatever the configuration says: below it nobody could tell the server otherwise.
const LIMIT_MIN: usize = 128 * 1024;
/// What a client takes that has nothing under way: its record here, its connection and their task, as measured with
/// 5,000 of them.
const IDLE_BYTES: usize = 1800;
/// What a watched key takes beside its name, which other watchers may share: a place with the client and one in the
/// table of watches.
const WATCHED_BYTES: usize = 2 * size_of::<Watched>() + 2 * size_of::<u64>();
/// What a subscription takes beside the channel's name: a place with the client and one in the table of listeners.
const SUBSCRIBED_BYTES: usize = 2 * size_of::<&[u8]>() + 2 * size_of::<u64>();
/// Clients up to so many bytes are of the first class.
const SMALL_BYTES_MAX: usize = 32 * 1024;
/// How many classes there are: those of the last take more than 4 GiB.
const CLASSES: usize = 19;
/// The class of a client that stands in none.
const NO_CLASS: u8 = u8::MAX;

/// What a client takes. All figures are bytes.
#[derive(Debug)]
pub struct Footprint {
    /// Received and not run yet, with the room that is kept for more.
    pub input: AtomicUsize,
    /// Replies and messages that the socket has no room for, with the room of their buffer.
    pub output: AtomicUsize,
    /// In its outbox.
    pub waiting: AtomicUsize,
    /// Its session: see [`Session::memory_bytes`].
    pub session: AtomicUsize,
    /// The prefixes that it tracks.
    pub prefixes: AtomicUsize,
    /// It is no client of the kinds that are limited.
    pub apart: AtomicBool,
    /// `CLIENT NO-EVICT ON`.
    pub stays: AtomicBool,
    /// What it still holds though it was evicted.
    going: AtomicUsize,
    /// What invalidations take that its connection has not tried to send.
    passing: AtomicUsize,
    /// What it was counted with last.
    counted: AtomicUsize,
    /// The class that it stands in.
    class: AtomicU8,
}

impl Default for Footprint {
    fn default() -> Self {
        Self {
            input: AtomicUsize::new(0),
            output: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            session: AtomicUsize::new(0),
            prefixes: AtomicUsize::new(0),
            apart: AtomicBool::new(false),
            stays: AtomicBool::new(false),
            going: AtomicUsize::new(0),
            passing: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            class: AtomicU8::new(NO_CLASS),
        }
    }
}

/// What all clients take.
#[derive(Debug, Default)]
pub struct ClientMemory {
    /// From how many bytes on clients go, 0 is none.
    limit: AtomicUsize,
    total: AtomicUsize,
    /// What clients that were evicted hold until their workers close them.
    going: AtomicUsize,
    /// What invalidations take that were not tried to be sent.
    passing: AtomicUsize,
    evicted: AtomicU64,
    /// Nobody is left who might go, and the log says so.
    exhausted: AtomicBool,
    /// The clients that may go, by number.
    classes: Mutex<[BTreeSet<u64>; CLASSES]>,
}

impl ClientMemory {
    /// Whether there is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.limit.load(Ordering::Relaxed) != 0
    }

    /// What all clients take, as far as it was counted.
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// What is as good as free, so that no key has to go for it: what evicted clients still hold, and invalidations that
    /// are about to be sent.
    #[inline]
    pub fn passing(&self) -> usize {
        self.going.load(Ordering::Relaxed) + self.passing.load(Ordering::Relaxed)
    }

    /// How many clients went.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Counts anew how many went.
    pub fn reset_stat(&self) {
        self.evicted.store(0, Ordering::Relaxed);
    }

    /// Takes the limit from the configuration.
    pub fn follow(&self, config: &Config) {
        let limit = limit_of(config.int(Param::MaxmemoryClients), config.uint(Param::Maxmemory));
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Disconnects clients, the largest first, until all together are below the limit. To be called without any lock
    /// but the engine's.
    #[inline]
    pub fn enforce(&self, shared: &Shared) {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit != 0 && self.total() >= limit {
            self.evict(shared, limit);
        } else if self.exhausted.load(Ordering::Relaxed) {
            self.exhausted.store(false, Ordering::Relaxed);
        }
    }

    #[cold]
    fn evict(&self, shared: &Shared, limit: usize) {
        while self.total() >= limit {
            let Some(id) = self.take_largest() else {
                if !self.exhausted.swap(true, Ordering::Relaxed) {
                    tracing::warn!("Over client maxmemory after evicting all evictable clients");
                }
                return;
            };
            // One that has left meanwhile is counted no more.
            let client = shared.clients.lock().get(id).cloned();
            if let Some(client) = client {
                self.disconnect(shared, &client);
            }
        }
    }

    fn disconnect(&self, shared: &Shared, client: &Client) {
        let bytes = client.footprint.counted.load(Ordering::Relaxed);
        // Noted before its worker may close it, which takes it back.
        self.going.fetch_add(bytes, Ordering::AcqRel);
        client.footprint.going.fetch_add(bytes, Ordering::AcqRel);
        if client.killed.swap(true, Ordering::AcqRel) {
            client.forget_going(shared);
            return;
        }
        tracing::info!("Evicting client: id={} addr={} tot-mem={bytes}", client.id, client.addr);
        self.evicted.fetch_add(1, Ordering::Relaxed);
        client.count_memory(shared);
        client.wake();
    }

    /// Counts every client, for whatever nobody else has counted.
    pub fn count_all(&self, shared: &Shared) {
        for client in shared.clients.lock().iter() {
            // The session of a running command is noted behind it.
            if let Some(session) = client.session.try_lock() {
                client.note_session(&session);
            }
            client.count_memory(shared);
        }
    }

    /// Takes a client of the highest class that has one.
    fn take_largest(&self) -> Option<u64> {
        self.classes.lock().iter_mut().rev().find_map(BTreeSet::pop_first)
    }
}

/// The limit in bytes, if `wanted` is that or, below 0, percents of `maxmemory`. Percents of nothing are no limit.
fn limit_of(wanted: i64, maxmemory: u64) -> usize {
    let bytes = match wanted {
        0 => return 0,
        ..0 if maxmemory == 0 => return 0,
        ..0 => (u128::from(maxmemory) * u128::from(wanted.unsigned_abs()) / 100) as u64,
        bytes => bytes.unsigned_abs(),
    };
    usize::try_from(bytes).unwrap_or(usize::MAX).max(LIMIT_MIN)
}

/// The class of clients that take so many bytes.
fn class_of(bytes: usize) -> u8 {
    let doublings = (bytes.saturating_sub(1) / SMALL_BYTES_MAX).checked_ilog2();
    doublings.map_or(0, |doublings| doublings + 1).min(CLASSES as u32 - 1) as u8
}

impl Session {
    /// What it takes in memory, names of channels and keys aside.
    pub fn memory_bytes(&self) -> usize {
        self.multi.bytes
            + self.waiting_argv_bytes
            + self.watched.len() * WATCHED_BYTES
            + self.subscriptions.count() * SUBSCRIBED_BYTES
    }
}

impl Client {
    /// What it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes_with(self.footprint.session.load(Ordering::Relaxed))
    }

    /// The same, if it is known how much its session takes now.
    pub fn memory_bytes_with(&self, session: usize) -> usize {
        let sum = |parts: &[&AtomicUsize]| -> usize {
            parts.iter().map(|part| part.load(Ordering::Relaxed)).sum()
        };
        let Footprint { input, output, waiting, prefixes, .. } = &self.footprint;
        // The requests that are running may lie in a buffer that is not the client's own.
        let running = sum(&[&self.query_bytes, &self.argument_bytes]);
        let input = input.load(Ordering::Relaxed).max(running);
        IDLE_BYTES + session + input + sum(&[output, waiting, prefixes])
    }

    /// Notes what its session takes.
    pub fn note_session(&self, session: &Session) {
        self.footprint.session.store(session.memory_bytes(), Ordering::Relaxed);
    }

    /// Notes what waits in its outbox.
    pub fn note_waiting(&self, outbox: &Outbox) {
        self.footprint.waiting.store(outbox.bytes(), Ordering::Relaxed);
    }

    /// Invalidations on their way to it take so much. As most leave at once, and as eviction makes them itself, no key
    /// goes for them until its connection has tried to send them.
    pub fn begin_passing(&self, shared: &Shared, bytes: usize) {
        // The sum first: it never is less than what is taken from it.
        shared.client_memory.passing.fetch_add(bytes, Ordering::AcqRel);
        self.footprint.passing.fetch_add(bytes, Ordering::AcqRel);
    }

    /// They are sent; or they stay, because it does not read.
    #[inline]
    pub fn end_passing(&self, shared: &Shared) {
        if self.footprint.passing.load(Ordering::Relaxed) != 0 {
            let bytes = self.footprint.passing.swap(0, Ordering::AcqRel);
            shared.client_memory.passing.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// It is gone, or will be at once: it counts no more.
    pub fn forget_memory(&self, shared: &Shared) {
        self.killed.store(true, Ordering::Release);
        self.count_memory(shared);
        self.forget_going(shared);
    }

    fn forget_going(&self, shared: &Shared) {
        let bytes = self.footprint.going.swap(0, Ordering::AcqRel);
        shared.client_memory.going.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Has the total know what this client takes now.
    pub fn count_memory(&self, shared: &Shared) {
        let own = &self.footprint;
        let apart = own.apart.load(Ordering::Relaxed)
            || self.following.follows.load(Ordering::Relaxed)
            || self.killed.load(Ordering::Acquire);
        let bytes = if apart { 0 } else { self.memory_bytes() };
        let class = match apart || own.stays.load(Ordering::Relaxed) {
            true => NO_CLASS,
            false => class_of(bytes),
        };
        let memory = &shared.client_memory;
        if own.counted.load(Ordering::Relaxed) != bytes {
            // Whoever else counts it now does the same: the differences add up to what was stored last.
            let before = own.counted.swap(bytes, Ordering::Relaxed);
            memory.total.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
        }
        if own.class.load(Ordering::Relaxed) != class {
            let mut classes = memory.classes.lock();
            if let Some(class) = classes.get_mut(usize::from(own.class.load(Ordering::Relaxed))) {
                class.remove(&self.id);
            }
            // Once it is to be closed, it stands in none for good.
            let class = if self.killed.load(Ordering::Acquire) { NO_CLASS } else { class };
            if let Some(class) = classes.get_mut(usize::from(class)) {
                class.insert(self.id);
            }
            own.class.store(class, Ordering::Relaxed);
        }
    }

    /// The same, but only if it matters at once.
    #[inline]
    pub fn count_if_limited(&self, shared: &Shared) {
        if shared.client_memory.is_limited() {
            self.count_memory(shared);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_bytes_or_percents_and_never_tiny() {
        for (wanted, maxmemory, limit) in [
            (0, 0, 0),
            (0, 1 << 30, 0),
            (-5, 0, 0),
            (-5, 100 << 20, 5 << 20),
            (-100, u64::MAX, usize::MAX),
            (-1, 1 << 20, LIMIT_MIN),
            (1, 0, LIMIT_MIN),
            (3_000_000, 1, 3_000_000),
        ] {
            assert_eq!(limit_of(wanted, maxmemory), limit, "{wanted} of {maxmemory}");
        }
    }

    #[test]
    fn classes_double() {
        let k = 1024;
        for (bytes, class) in [
            (0, 0),
            (32 * k, 0),
            (32 * k + 1, 1),
            (64 * k, 1),
            (64 * k + 1, 2),
            (k * k, 5),
            (4 * k * k * k, 17),
            (4 * k * k * k + 1, 18),
            (usize::MAX, 18),
        ] {
            assert_eq!(class_of(bytes), class, "{bytes}");
        }
    }
}
