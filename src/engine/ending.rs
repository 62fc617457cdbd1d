//! Is the process about to end, and can that still be called off (SHUTDOWN ABORT)?

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

/// Whether the process is about to end.
#[derive(Debug, Default)]
pub struct Ending {
    /// 0: it is not. [`Ending::WANTED`]: as soon as it can; until then the plan may be dropped. [`Ending::DROPPED`]: it was.
    step: AtomicU8,
    /// Until when replicas are waited for at most, unix milliseconds; 0 if they are not.
    pub deadline_ms: AtomicI64,
}

impl Ending {
    const WANTED: u8 = 1;
    const DROPPED: u8 = 2;

    /// The process is to end.
    pub fn want(&self) {
        self.step.store(Self::WANTED, Ordering::Release);
    }

    /// It is not any more (SHUTDOWN ABORT); false if that is too late, or it never was.
    pub fn drop_plan(&self) -> bool {
        let (from, to) = (Self::WANTED, Self::DROPPED);
        self.step.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the plan was dropped.
    pub fn is_dropped(&self) -> bool {
        self.step.load(Ordering::Acquire) == Self::DROPPED
    }

    /// It ends now, unless the plan was dropped. From here on it cannot be.
    pub fn begin(&self) -> bool {
        self.step.swap(0, Ordering::AcqRel) == Self::WANTED
    }
}
