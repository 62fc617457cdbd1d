//! Who may touch the state now? The one reader-writer lock, taken once per batch.
//!
//! Readers run side by side. A writer spins a few microseconds before it parks: commands hold the
//! lock for a fraction of a microsecond, so that parking costs more than waiting
//! (docs/decisions/0001-lock.md has the figures). Nobody waits silently behind a script that runs too
//! long: past `busy-reply-threshold` the wait ends with [`Busy`].

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::state::{Shared, State};

/// Attempts before a waiting thread parks; about ten microseconds.
const SPINS: u32 = 300;

/// How long a thread parks before it looks at the busy flag again.
const PARK: Duration = Duration::from_millis(5);

/// A script has kept the lock too long; the request is answered with -BUSY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Wakes the workers that got messages, when the lock is free again.
#[derive(Debug)]
struct Deliver<'a>(&'a Shared);

impl Drop for Deliver<'_> {
    fn drop(&mut self) {
        self.0.post.deliver();
    }
}

/// The state to read, until it is dropped.
#[derive(Debug)]
pub struct Reading<'a> {
    // The order of the fields is that of their ends.
    guard: RwLockReadGuard<'a, State>,
    _deliver: Deliver<'a>,
}

impl Deref for Reading<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.guard
    }
}

/// The state to write, until it is dropped: then what was logged is handed over and sent to the replicas, what was gathered for caches is
/// told, and the workers concerned wake up.
#[derive(Debug)]
pub struct Writing<'a> {
    guard: RwLockWriteGuard<'a, State>,
    deliver: Deliver<'a>,
}

impl Deref for Writing<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.guard
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.guard
    }
}

impl Writing<'_> {
    /// Lets whoever waits for the state have it first, and takes it back.
    pub fn give_way(&mut self) {
        self.end_hold();
        self.deliver.0.post.deliver();
        RwLockWriteGuard::bump(&mut self.guard);
        self.begin_hold();
    }
}

impl Writing<'_> {
    fn begin_hold(&self) {
        if self.guard.log.has_aof() {
            self.deliver.0.durable.begin_hold();
        }
    }

    fn end_hold(&mut self) {
        let shared = self.deliver.0;
        self.guard.log.hand_over(&shared.durable);
        if self.guard.replication.has_news() {
            self.guard.replication.send(shared);
        }
        shared.durable.end_hold();
        shared.tracking.broadcast(shared);
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.end_hold();
    }
}

/// The engine: the state behind its lock, and what is reached without.
#[derive(Debug)]
pub struct Engine {
    state: RwLock<State>,
    /// What is reached without the lock.
    pub shared: Shared,
}

/// How much of the engine a batch needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing but the connection.
    Session,
    /// To read.
    Shared,
    /// To write.
    Exclusive,
}

impl Engine {
    /// An engine of these parts.
    pub fn new(state: State, shared: Shared) -> Self {
        Self { state: RwLock::new(state), shared }
    }

    fn reading<'a>(&'a self, guard: RwLockReadGuard<'a, State>) -> Reading<'a> {
        Reading { guard, _deliver: Deliver(&self.shared) }
    }

    fn writing<'a>(&'a self, guard: RwLockWriteGuard<'a, State>) -> Writing<'a> {
        let writing = Writing { guard, deliver: Deliver(&self.shared) };
        writing.begin_hold();
        writing
    }

    /// The state to read, unless a script keeps the lock too long.
    pub fn read(&self) -> Result<Reading<'_>, Busy> {
        for _ in 0..SPINS {
            if let Some(guard) = self.state.try_read() {
                return Ok(self.reading(guard));
            }
            std::hint::spin_loop();
        }
        loop {
            self.check_busy()?;
            if let Some(guard) = self.state.try_read_for(PARK) {
                return Ok(self.reading(guard));
            }
            self.shared.host.release_output();
        }
    }

    /// The state to write, unless a script keeps the lock too long.
    pub fn write(&self) -> Result<Writing<'_>, Busy> {
        for _ in 0..SPINS {
            if let Some(guard) = self.state.try_write() {
                return Ok(self.writing(guard));
            }
            std::hint::spin_loop();
        }
        loop {
            self.check_busy()?;
            if let Some(guard) = self.state.try_write_for(PARK) {
                return Ok(self.writing(guard));
            }
            self.shared.host.release_output();
        }
    }

    /// The state to write, however long that takes (start, shutdown, cron).
    pub fn write_patiently(&self) -> Writing<'_> {
        self.writing(self.state.write())
    }

    /// The state to read, however long that takes.
    pub fn read_patiently(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// The state to write if nobody holds it now.
    pub fn try_write(&self) -> Option<Writing<'_>> {
        self.state.try_write().map(|guard| self.writing(guard))
    }

    /// The state to write, if nobody holds it for as long as that.
    pub fn write_within(&self, time: Duration) -> Option<Writing<'_>> {
        self.state.try_write_for(time).map(|guard| self.writing(guard))
    }

    fn check_busy(&self) -> Result<(), Busy> {
        if self.shared.busy.is_on() { Err(Busy) } else { Ok(()) }
    }
}
