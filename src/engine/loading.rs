//! How far is the loading of the data set? Written by the thread that loads, read by whoever wants to run a command
//! and by INFO.
//!
//! Invariants: it changes between on and off under the exclusive lock alone, so whoever holds the lock, in
//! either way, may rely on what [`LoadProgress::is_on`] says. While it is on, nobody but the loading thread looks at or
//! changes keys: commands are refused, and expiry, eviction and save points wait.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

/// The loading that is under way, or was last.
#[derive(Debug, Default)]
pub struct LoadProgress {
    on: AtomicBool,
    /// It goes on beside the data set that is served.
    beside: AtomicBool,
    cancelled: AtomicBool,
    started: AtomicI64,
    total: AtomicU64,
    loaded: AtomicU64,
    /// Bytes of the files that are done.
    before: AtomicU64,
    used_memory: AtomicU64,
    /// When modules are told of it next, unix microseconds.
    told_next: AtomicI64,
}

/// What INFO shows of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadFigures {
    /// When it began, unix seconds.
    pub started: i64,
    /// Bytes of all files; 0 if that is not known.
    pub total: u64,
    /// Memory that was in use where the snapshot was taken, in bytes; 0 if the file does not say so.
    pub used_memory: u64,
    /// Bytes that are loaded.
    pub loaded: u64,
    /// The share of them in percent.
    pub percent: f64,
    /// Seconds that it will go on for, as far as one can tell.
    pub seconds_left: u64,
}

impl LoadProgress {
    /// It begins, with files of so many bytes together. To be called under the exclusive lock.
    pub fn begin(&self, now: i64, total: u64) {
        self.started.store(now, Relaxed);
        self.total.store(total, Relaxed);
        for figure in [&self.loaded, &self.before, &self.used_memory] {
            figure.store(0, Relaxed);
        }
        self.on.store(true, Relaxed);
    }

    /// The same, while the old data set is served. [`LoadProgress::is_on`] does not say so.
    pub fn begin_beside(&self, now: i64, total: u64) {
        self.begin(now, total);
        self.on.store(false, Relaxed);
        self.beside.store(true, Relaxed);
    }

    /// Whether a data set is being loaded while an old one is served.
    #[inline]
    pub fn is_beside(&self) -> bool {
        self.beside.load(Relaxed)
    }

    /// It is over. To be called under the exclusive lock.
    pub fn end(&self) {
        self.on.store(false, Relaxed);
        self.beside.store(false, Relaxed);
    }

    /// Whether the data set is being loaded.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// Asks for its end without a result: the process is to end.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Whether that was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    /// So many bytes of the present file are loaded.
    pub fn note(&self, offset: u64) {
        self.loaded.store(self.before.load(Relaxed) + offset, Relaxed);
    }

    /// The present file, or its present part, is done; the offsets of the next begin at 0.
    pub fn end_part(&self, bytes: u64) {
        let before = self.before.fetch_add(bytes, Relaxed) + bytes;
        self.loaded.store(before, Relaxed);
    }

    /// Whether modules are to be told of it now, so many times a second at most.
    pub fn is_to_be_told(&self, now_us: i64, hz: u64) -> bool {
        let is_due = now_us >= self.told_next.load(Relaxed);
        if is_due {
            self.told_next.store(now_us + 1_000_000 / hz.max(1) as i64, Relaxed);
        }
        is_due
    }

    /// Which share of all bytes is loaded, of 1024; -1 if that is not known.
    pub fn share(&self) -> i32 {
        let (loaded, total) = (self.loaded.load(Relaxed), self.total.load(Relaxed));
        (loaded.min(total) * 1024).checked_div(total).map_or(-1, |share| share as i32)
    }

    /// The file says how much memory was in use where it was written.
    pub fn note_used_memory(&self, bytes: u64) {
        self.used_memory.store(bytes, Relaxed);
    }

    /// The figures at a time in unix seconds.
    pub fn figures(&self, now: i64) -> LoadFigures {
        let (total, used_memory) = (self.total.load(Relaxed), self.used_memory.load(Relaxed));
        let (loaded, started) = (self.loaded.load(Relaxed), self.started.load(Relaxed));
        let share = |of: u64| loaded as f64 * 100.0 / of as f64;
        let (percent, left) = match (total, used_memory) {
            (0, 0) => (0.0, 1),
            // A file has another size than what it was made of: an estimate that never says that all is done.
            (0, memory) => (share(memory).min(99.99), memory.saturating_sub(loaded).max(1)),
            (total, _) => (share(total), total.saturating_sub(loaded)),
        };
        let elapsed = u64::try_from(now - started).unwrap_or(0);
        // In the first second nothing is known.
        let seconds_left =
            if elapsed == 0 { 1 } else { elapsed.saturating_mul(left) / (loaded + 1) };
        LoadFigures { started, total, used_memory, loaded, percent, seconds_left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_go_over_all_files() {
        let progress = LoadProgress::default();
        assert!(!progress.is_on());
        progress.begin(1000, 400);
        assert!(progress.is_on());
        progress.note(100);
        let figures = progress.figures(1000);
        assert_eq!((figures.loaded, figures.percent, figures.seconds_left), (100, 25.0, 1));
        assert_eq!(progress.share(), 256);
        let told = [0, 99_999, 100_000].map(|now_us| progress.is_to_be_told(now_us, 10));
        assert_eq!(told, [true, false, true]);
        progress.end_part(200);
        progress.note(100);
        let figures = progress.figures(1030);
        assert_eq!((figures.loaded, figures.percent, figures.started), (300, 75.0, 1000));
        assert_eq!(figures.seconds_left, 30 * 100 / 301);
        progress.end();
        assert!(!progress.is_on());
    }

    #[test]
    fn without_a_size_the_memory_of_the_writer_is_a_guide() {
        let progress = LoadProgress::default();
        progress.begin(0, 0);
        assert_eq!((progress.figures(9).percent, progress.share()), (0.0, -1));
        progress.note_used_memory(1000);
        progress.note(500);
        assert_eq!(progress.figures(9).percent, 50.0);
        progress.note(2000);
        let figures = progress.figures(9);
        assert_eq!((figures.percent, figures.seconds_left), (99.99, 0));
    }
}
