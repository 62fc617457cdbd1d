//! How long may a search go on?
//!
//! Whatever walks rows or terms asks now and then whether the time is over, and then stops where it is; what it has
//! found so far is marked as partial by whoever asked.

use std::time::{Duration, Instant};

/// Steps between two looks at the clock. A step is a row or a term: some 10 ns, at most a few microseconds.
const STEPS: u32 = 256;

/// Longest word that counts as a short step.
const STEP_BYTES: usize = 128;

/// A moment at which to stop.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Option<Instant>,
    /// Steps until the clock is looked at again.
    steps: u32,
    passed: bool,
}

impl Deadline {
    /// There is no hurry.
    pub const NONE: Deadline = Deadline { at: None, steps: STEPS, passed: false };

    /// So long from now on.
    pub fn after(time: Duration) -> Deadline {
        // A time that the clock cannot express never comes.
        Deadline { at: Instant::now().checked_add(time), ..Deadline::NONE }
    }

    /// Counts a step; answers whether the time is over.
    #[inline]
    pub fn step(&mut self) -> bool {
        self.steps_of(1)
    }

    /// Counts some steps, at least one; answers whether the time is over.
    #[inline]
    pub fn steps_of(&mut self, count: u32) -> bool {
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
        self.look();
        self.passed
    }

    /// Whether the time was over at the last look.
    pub fn passed(&self) -> bool {
        self.passed
    }

    #[cold]
    fn look(&mut self) {
        self.steps = STEPS;
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
}
