//! How long may a search go on, and how much may it hold meanwhile?
//!
//! Whatever walks rows or terms asks now and then whether the time is over, and then stops where it is; what it has
//! found so far is marked as partial by whoever asked. What keeps lists says how large they are: a search whose lists are
//! larger than its room ends in the same way.

use std::time::{Duration, Instant};

/// Steps between two looks at the clock. A step is a row or a term: some 10 ns, at most a few microseconds.
const STEPS: u32 = 256;

/// Bytes that the lists of a search may have, beside [`ROOM_OF_DOCUMENT`] for each document of the index: enough for an
/// open list of each term that a query may have at most.
const ROOM: u64 = 96 << 20;

/// Bytes per document: some twenty lists of all documents, at 12 bytes an entry.
const ROOM_OF_DOCUMENT: u64 = 256;

/// Longest word that counts as a short step.
const STEP_BYTES: usize = 128;

/// A moment at which to stop.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Option<Instant>,
    /// Steps until the clock is looked at again.
    steps: u32,
    passed: bool,
    /// Bytes that may still be taken.
    room: u64,
    /// Looks until the time is over, in tests that must not depend on the clock.
    #[cfg(test)]
    looks: u32,
}

#[cfg(test)]
thread_local! {
    /// Steps that were taken when the time was over already.
    static LATE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

impl Deadline {
    /// There is no hurry.
    pub const NONE: Deadline = Deadline {
        at: None,
        steps: STEPS,
        passed: false,
        room: u64::MAX,
        #[cfg(test)]
        looks: u32::MAX,
    };

    /// So long from now on.
    pub fn after(time: Duration) -> Deadline {
        // A time that the clock cannot express never comes.
        Deadline { at: Instant::now().checked_add(time), ..Deadline::NONE }
    }

    /// So many looks, of [`STEPS`] steps or one long one each.
    #[cfg(test)]
    pub fn after_looks(looks: u32) -> Deadline {
        LATE.set(0);
        Deadline { looks, ..Deadline::NONE }
    }

    /// Steps that this thread has taken since [`Deadline::after_looks`] when the time was over already.
    #[cfg(test)]
    pub fn late_steps() -> u64 {
        LATE.get()
    }

    /// Counts a step; answers whether the time is over.
    #[inline]
    pub fn step(&mut self) -> bool {
        self.steps_of(1)
    }

    /// Counts some steps, at least one; answers whether the time is over.
    #[inline]
    pub fn steps_of(&mut self, count: u32) -> bool {
        #[cfg(test)]
        LATE.set(LATE.get() + u64::from(self.passed) * u64::from(count));
        self.steps = self.steps.saturating_sub(count);
        if self.steps == 0 {
            self.look();
        }
        self.passed
    }

    /// Counts the step of comparing a word of so many bytes with a pattern; that may take the square of its length.
    #[inline]
    pub fn step_over(&mut self, bytes: usize) -> bool {
        if bytes > STEP_BYTES { self.long_step() } else { self.step() }
    }

    /// Counts a step that takes as long as many; answers whether the time is over.
    pub fn long_step(&mut self) -> bool {
        #[cfg(test)]
        LATE.set(LATE.get() + u64::from(self.passed));
        self.look();
        self.passed
    }

    /// Sets the room for lists over an index of so many documents.
    pub fn give_room(&mut self, documents: u64) {
        self.room = ROOM.saturating_add(documents.saturating_mul(ROOM_OF_DOCUMENT));
    }

    /// The room that is left.
    pub fn room(&self) -> u64 {
        self.room
    }

    /// Sets the room that is left: that of a moment ago, when what has taken it since is gone.
    pub fn set_room(&mut self, room: u64) {
        self.room = room;
    }

    /// Takes room for so many bytes; answers whether it is time to stop.
    pub fn take_room(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.passed = self.passed || bytes > self.room;
        self.room = self.room.saturating_sub(bytes);
        self.passed
    }

    /// Whether the time was over at the last look.
    pub fn passed(&self) -> bool {
        self.passed
    }

    #[cold]
    fn look(&mut self) {
        self.steps = STEPS;
        #[cfg(test)]
        {
            self.looks = self.looks.saturating_sub(1);
            self.passed |= self.looks == 0;
        }
        self.passed = self.passed || self.at.is_some_and(|at| Instant::now() >= at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_is_over_shows_within_some_steps() {
        let mut over = Deadline::after(Duration::ZERO);
        assert!(!over.passed() && (0..STEPS).any(|_| over.step()) && over.passed());
        let mut over = Deadline::after(Duration::ZERO);
        assert!(over.long_step());
        let mut none = Deadline::NONE;
        assert!(!(0..10 * STEPS).any(|_| none.step()) && !none.long_step());
        let mut far = Deadline::after(Duration::MAX);
        assert!(!far.long_step());
    }

    #[test]
    fn a_search_that_holds_too_much_ends() {
        let mut deadline = Deadline::NONE;
        assert!(!deadline.take_room(usize::MAX));
        deadline.give_room(1000);
        let room = deadline.room();
        assert!(!deadline.take_room(96 << 20) && !deadline.take_room(256_000));
        deadline.set_room(room);
        assert!(!deadline.take_room(96 << 20) && deadline.take_room(256_001) && deadline.step());
    }
}
