//! Who may touch the state now? The one reader-writer lock, taken once per batch.
//!
//! Readers run side by side. A writer spins a few microseconds before it parks: commands hold the
//! lock for a fraction of a microsecond, so that parking costs more than waiting
//! (docs/decisions/0001-lock.md has the figures). Nobody waits silently behind a script that runs too
//! long: past `busy-reply-threshold` the wait ends with [`Busy`].

use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::sync::atomic::Ordering;

use super::state::{Shared, State};

/// Attempts before a waiting thread parks; about ten microseconds.
const SPINS: u32 = 300;

/// How long a thread parks before it looks at the busy flag again.
const PARK: Duration = Duration::from_millis(5);

/// A script has kept the lock too long; the request is answered with -BUSY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

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

    /// The state to read, unless a script keeps the lock too long.
    pub fn read(&self) -> Result<RwLockReadGuard<'_, State>, Busy> {
        for _ in 0..SPINS {
            if let Some(guard) = self.state.try_read() {
                return Ok(guard);
            }
            std::hint::spin_loop();
        }
        loop {
            self.check_busy()?;
            if let Some(guard) = self.state.try_read_for(PARK) {
                return Ok(guard);
            }
        }
    }

    /// The state to write, unless a script keeps the lock too long.
    pub fn write(&self) -> Result<RwLockWriteGuard<'_, State>, Busy> {
        for _ in 0..SPINS {
            if let Some(guard) = self.state.try_write() {
                return Ok(guard);
            }
            std::hint::spin_loop();
        }
        loop {
            self.check_busy()?;
            if let Some(guard) = self.state.try_write_for(PARK) {
                return Ok(guard);
            }
        }
    }

    /// The state to write, however long that takes (start, shutdown, cron).
    pub fn write_patiently(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write()
    }

    /// The state to read, however long that takes.
    pub fn read_patiently(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// The state to write if nobody holds it now.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, State>> {
        self.state.try_write()
    }

    fn check_busy(&self) -> Result<(), Busy> {
        if self.shared.busy.slow.load(Ordering::Acquire) > 0 { Err(Busy) } else { Ok(()) }
    }
}
