//! May a connection's output leave? Not before all that was logged when its lock was released is durable (decision 0010).

use crate::engine::durable::Durable;

/// What a connection's output waits for.
#[derive(Debug, Default)]
pub struct Gate {
    /// The position of the log that must be durable.
    position: u64,
    /// The hold of the exclusive lock that must have ended before that position is known; 0 if it is.
    hold: u64,
}

/// What held output waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldFor {
    /// That what was logged is durable.
    Log,
    /// That the lock is released, which takes a moment.
    Lock,
}

impl Gate {
    /// Waits for all that is logged by now; the lock under which the output was made has been released.
    #[inline]
    pub fn await_log(&mut self, durable: &Durable) {
        self.position = durable.appended();
    }

    /// Waits for the hold of the lock that is in progress now, if there is one, and for all that will be logged then.
    #[inline]
    pub fn await_hold(&mut self, durable: &Durable) {
        self.hold = durable.begun();
    }

    /// Whether output must wait.
    #[inline]
    pub fn is_closed(&mut self, durable: &Durable) -> bool {
        if self.hold != 0 {
            if durable.ended() < self.hold {
                return true;
            }
            self.hold = 0;
            self.position = durable.appended();
        }
        self.position > durable.released()
    }

    /// What a closed gate waits for.
    pub fn waits_for(&self) -> HeldFor {
        if self.hold != 0 { HeldFor::Lock } else { HeldFor::Log }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_worker_has_not_handed_over_is_waited_for() {
        let (durable, mut gate) = (Durable::new(0), Gate::default());
        gate.await_hold(&durable);
        assert!(!gate.is_closed(&durable), "there is no file");
        durable.begin_hold();
        gate.await_hold(&durable);
        assert!(gate.is_closed(&durable) && gate.waits_for() == HeldFor::Lock);
        durable.append(&mut vec![0; 7]);
        durable.end_hold();
        assert!(gate.is_closed(&durable) && gate.waits_for() == HeldFor::Log);
        durable.note_written(7);
        assert!(!gate.is_closed(&durable));
    }
}
