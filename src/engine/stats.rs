//! What has the server done so far? Counters that each worker keeps for itself, summed when read.
//!
//! Invariant: a counter has one writer, the worker that owns it, so counting is a plain load and
//! store; other threads only read.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::histogram::Histogram;

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; only the owner may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Back to zero (`CONFIG RESETSTAT`); an addition at the same moment may be lost or kept.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// The largest of some values, with one writer.
#[derive(Debug, Default)]
pub struct Maximum(AtomicU64);

impl Maximum {
    /// Takes a value in; only the owner may call it.
    #[inline]
    pub fn note(&self, value: u64) {
        if value > self.0.load(Relaxed) {
            self.0.store(value, Relaxed);
        }
    }

    /// The largest value so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Back to zero.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// A figure that goes up and down, with one writer.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// What it shows from now on; only the owner may call it.
    #[inline]
    pub fn set(&self, value: usize) {
        self.0.store(value as u64, Relaxed);
    }

    /// The value.
    pub fn get(&self) -> usize {
        self.0.load(Relaxed) as usize
    }
}

/// One worker's figures for one command.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct CommandStat {
    /// Executions.
    pub calls: Counter,
    /// Time spent executing, in nanoseconds.
    pub nanos: Counter,
    /// How long each execution took.
    pub durations: Histogram,
    /// Refusals before execution (arity, permission, memory ...).
    pub rejected: Counter,
    /// Executions that ended in an error.
    pub failed: Counter,
}

impl CommandStat {
    /// All figures back to zero.
    pub fn reset(&self) {
        for counter in [&self.calls, &self.nanos, &self.rejected, &self.failed] {
            counter.reset();
        }
        self.durations.reset();
    }
}

/// One worker's figures for one script or function.
#[derive(Debug, Default)]
#[repr(align(64))]
struct ScriptStat {
    calls: Counter,
    nanos: Counter,
    nanos_max: Maximum,
}

/// The figures of one script or function. Each worker has its own, since those that only read run side by side; they
/// are made when it runs first, and go with it.
#[derive(Debug, Default)]
pub struct ScriptStats(OnceLock<Box<[ScriptStat]>>);

/// What all workers together have spent on one script or function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptSum {
    /// Executions.
    pub calls: u64,
    /// Time spent executing, in nanoseconds.
    pub nanos: u64,
    /// The longest execution, in nanoseconds.
    pub nanos_max: u64,
}

impl ScriptStats {
    /// Accounts for an execution by this worker, one of so many; only that worker may call it.
    #[inline]
    pub fn note(&self, worker: usize, workers: usize, nanos: u64) {
        let stats = self.0.get_or_init(|| (0..workers).map(|_| ScriptStat::default()).collect());
        let own = &stats[worker];
        own.calls.add(1);
        own.nanos.add(nanos);
        own.nanos_max.note(nanos);
    }

    /// The sum over the workers.
    pub fn sum(&self) -> ScriptSum {
        let stats = self.0.get().into_iter().flatten();
        stats.fold(ScriptSum::default(), |sum, own| ScriptSum {
            calls: sum.calls + own.calls.get(),
            nanos: sum.nanos + own.nanos.get(),
            nanos_max: sum.nanos_max.max(own.nanos_max.get()),
        })
    }

    /// All figures back to zero.
    pub fn reset(&self) {
        for own in self.0.get().into_iter().flatten() {
            own.calls.reset();
            own.nanos.reset();
            own.nanos_max.reset();
        }
    }
}

/// Distinct error codes that are counted; further ones are not (`errorstat_` is an INFO section).
pub const ERROR_CODES_MAX: usize = 128;

/// One worker's figures.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct WorkerStats {
    /// Commands executed.
    pub commands: Counter,
    /// Lookups that found their key.
    pub hits: Counter,
    /// Lookups that did not.
    pub misses: Counter,
    /// Bytes read from clients.
    pub net_input: Counter,
    /// Bytes written to clients.
    pub net_output: Counter,
    /// Connections accepted.
    pub connections: Counter,
    /// Connections refused for `maxclients`.
    pub rejected_connections: Counter,
    /// Error replies.
    pub errors: Counter,
    /// Reads from sockets.
    pub reads_processed: Counter,
    /// Writes to sockets.
    pub writes_processed: Counter,
    /// Time in holds of the lock, in nanoseconds.
    pub hold_nanos: Counter,
    /// Most commands that ran in one hold of the lock.
    pub hold_commands_max: Maximum,
    /// The longest hold, in nanoseconds.
    pub hold_nanos_max: Maximum,
    /// Bytes of the worker's own VM for EVAL_RO.
    pub eval_vm_bytes: Gauge,
    /// Bytes of the worker's own VM for FCALL_RO.
    pub function_vm_bytes: Gauge,
    /// Error replies by code.
    pub error_codes: Mutex<BTreeMap<Box<[u8]>, u64>>,
}

impl WorkerStats {
    /// Counts an error reply by its code (the text's first word).
    pub fn error(&self, text: &[u8]) {
        self.errors.add(1);
        let code = super::error::CommandError::code(text);
        let mut codes = self.error_codes.lock();
        if let Some(count) = codes.get_mut(code) {
            *count += 1;
        } else if codes.len() < ERROR_CODES_MAX {
            codes.insert(code.into(), 1);
        }
    }

    /// All counters back to zero.
    pub fn reset(&self) {
        for counter in [
            &self.commands,
            &self.hits,
            &self.misses,
            &self.net_input,
            &self.net_output,
            &self.connections,
            &self.rejected_connections,
            &self.errors,
            &self.reads_processed,
            &self.writes_processed,
            &self.hold_nanos,
        ] {
            counter.reset();
        }
        self.hold_commands_max.reset();
        self.hold_nanos_max.reset();
        self.error_codes.lock().clear();
    }
}

/// Rates over the last second or so, for INFO.
#[derive(Debug, Default)]
pub struct Rates {
    /// Commands per second.
    pub ops: AtomicU64,
    /// Bytes read per second.
    pub input: AtomicU64,
    /// Bytes written per second.
    pub output: AtomicU64,
    /// Turns of the event loops per second.
    pub cycles: AtomicU64,
    /// Microseconds of a turn.
    pub cycle_micros: AtomicU64,
    /// Visits of the cron so far.
    pub cron_visits: AtomicU64,
    /// Microseconds that they took.
    pub cron_micros: AtomicU64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_script_are_summed_over_workers() {
        let stats = ScriptStats::default();
        assert_eq!(stats.sum(), ScriptSum::default());
        stats.note(0, 3, 5);
        stats.note(2, 3, 9);
        stats.note(2, 3, 7);
        assert_eq!(stats.sum(), ScriptSum { calls: 3, nanos: 21, nanos_max: 9 });
        stats.reset();
        assert_eq!(stats.sum(), ScriptSum::default());
    }
}
