//! Which clients have to wait now? CLIENT PAUSE: for a while, no command that may write runs, or none at all.
//!
//! A paused connection stops at its first paused command and keeps the rest of what it has read. It goes on when
//! CLIENT UNPAUSE wakes it or the time is over, and may be paused again.
//!
//! Invariants: pauses begin and end under the exclusive lock, and commands are checked under theirs, so once CLIENT
//! PAUSE has answered, nothing that it forbids runs any more. A client that waits is in the list until it is woken or
//! takes itself out when its time is over; whoever takes it out has it go on.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use parking_lot::Mutex;

use super::call::Access;
use super::client::{Mode, Session};
use super::ctx::Env;
use super::registry::Command;
use super::spec::{Argv, Flag};

/// How long a client waits for the end of the server's own pause before it looks again; it is woken when that ends.
const OWN_LOOK_MS: i64 = 10_000;

/// What is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Extent {
    /// Commands that may write or reach replicas.
    Write = 1,
    /// All commands.
    All = 2,
}

/// The pause.
#[derive(Debug, Default)]
pub struct Pause {
    /// An [`Extent`], or 0: read by every command.
    extent: AtomicU8,
    until_ms: AtomicI64,
    /// For how many purposes of its own the server pauses writes, until it says otherwise.
    own: AtomicU8,
    waiting: Mutex<HashSet<u64>>,
}

impl Pause {
    /// Pauses until this time at least. A pause that is stricter or longer stays so.
    pub fn begin(&self, extent: Extent, until_ms: i64, now_ms: i64) {
        if self.is_timed(now_ms) {
            self.extent.fetch_max(extent as u8, Ordering::Relaxed);
            self.until_ms.fetch_max(until_ms, Ordering::Relaxed);
        } else {
            self.until_ms.store(until_ms, Ordering::Relaxed);
            self.extent.store(extent as u8, Ordering::Relaxed);
        }
    }

    /// Ends the pause; the clients that waited are handed out to be woken.
    pub fn end(&self) -> HashSet<u64> {
        self.extent.store(0, Ordering::Relaxed);
        std::mem::take(&mut self.waiting.lock())
    }

    /// Pauses writes until [`Pause::end_own`]: the server must not change now.
    pub fn begin_own(&self) {
        self.own.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends what [`Pause::begin_own`] began; the clients that waited are handed out to be woken.
    pub fn end_own(&self) -> HashSet<u64> {
        self.own.fetch_sub(1, Ordering::Relaxed);
        std::mem::take(&mut self.waiting.lock())
    }

    fn is_own(&self) -> bool {
        self.own.load(Ordering::Relaxed) != 0
    }

    /// Whether a pause is under way, so that nothing expires or is evicted.
    #[inline]
    pub fn is_active(&self, now_ms: i64) -> bool {
        self.is_own() || self.is_timed(now_ms)
    }

    #[inline]
    fn is_timed(&self, now_ms: i64) -> bool {
        self.extent.load(Ordering::Relaxed) != 0 && now_ms < self.until_ms.load(Ordering::Relaxed)
    }

    /// Spares commands the look at the time, once the pause is over.
    pub fn forget_if_over(&self, now_ms: i64) {
        if !self.is_timed(now_ms) {
            self.extent.store(0, Ordering::Relaxed);
        }
    }

    /// Notes that a client waits.
    pub fn enter(&self, client: u64) {
        self.waiting.lock().insert(client);
    }

    /// Takes a client out, whose time is over or that leaves; false if somebody else has it go on.
    pub fn leave(&self, client: u64) -> bool {
        self.waiting.lock().remove(&client)
    }

    /// Until when a command has to wait, if it has to.
    #[inline]
    pub fn holds_back(
        &self,
        access: &Access<'_>,
        session: &Session,
        env: Env<'_>,
        command: &Command,
        argv: Argv<'_>,
    ) -> Option<i64> {
        if self.extent.load(Ordering::Relaxed) == 0 && !self.is_own() {
            return None;
        }
        self.holds_back_slow(access, session, env, command, argv)
    }

    #[cold]
    fn holds_back_slow(
        &self,
        access: &Access<'_>,
        session: &Session,
        env: Env<'_>,
        command: &Command,
        argv: Argv<'_>,
    ) -> Option<i64> {
        // What a busy script lets through is what may end it.
        let is_busy = env.shared.busy.is_on();
        if !self.is_active(env.now_ms()) || is_busy || session.mode.contains(Mode::MONITOR) {
            return None;
        }
        let is_timed = self.is_timed(env.now_ms());
        let all = is_timed && self.extent.load(Ordering::Relaxed) == Extent::All as u8;
        let waits = all || {
            let queued = if command.has(Flag::RunsQueue) { session.multi.flags } else { 0 };
            let flags = access.flags_of(command, argv) | queued;
            flags & (Flag::Write.bit() | Flag::MayReplicate.bit()) != 0
        };
        let until_ms = if is_timed { self.until_ms.load(Ordering::Relaxed) } else { 0 };
        waits.then(|| until_ms.max(if self.is_own() { env.now_ms() + OWN_LOOK_MS } else { 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_and_longer_pause_stays() {
        let pause = Pause::default();
        assert!(!pause.is_active(0));
        pause.begin(Extent::All, 200, 0);
        pause.begin(Extent::Write, 20, 10);
        assert_eq!(pause.extent.load(Ordering::Relaxed), Extent::All as u8);
        assert!(pause.is_active(199) && !pause.is_active(200));
        pause.begin(Extent::Write, 300, 250);
        assert_eq!(pause.extent.load(Ordering::Relaxed), Extent::Write as u8);
        pause.enter(7);
        assert!(pause.leave(7) && !pause.leave(7));
        pause.enter(8);
        assert_eq!(pause.end(), HashSet::from([8]));
        assert!(!pause.is_active(260) && !pause.leave(8));
        pause.begin_own();
        pause.end();
        assert!(pause.is_active(i64::MAX));
        pause.end_own();
        assert!(!pause.is_active(260));
    }
}
