//! What took long? The slow log (commands past `slowlog-log-slower-than`) and the latency events
//! (anything past `latency-monitor-threshold`, by kind, with a short history).
//!
//! Invariants: both are bounded, by `slowlog-max-len` and by [`SAMPLES_MAX`] for each of a few kinds; what
//! a log entry keeps of a command is bounded too. Each table has a lock of its own, taken only when
//! something was slow.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use super::client::Session;
use super::ctx::Env;
use super::registry::Command;
use super::spec::{Argv, Flag};
use crate::base::sha1;

/// Most arguments that an entry of the slow log keeps.
pub const ENTRY_ARGS_MAX: usize = 32;
/// Most bytes that it keeps of one argument.
pub const ENTRY_ARG_BYTES_MAX: usize = 128;
/// Samples that are kept of each kind of event, at most one a second.
pub const SAMPLES_MAX: usize = 160;

/// A command that was slow.
#[derive(Clone, Debug)]
pub struct SlowEntry {
    /// Its number, counted since the start.
    pub id: u64,
    /// When it ended, unix seconds.
    pub at: i64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// Its arguments, shortened.
    pub argv: Vec<Vec<u8>>,
    /// The client's address.
    pub addr: String,
    /// The client's name.
    pub name: Box<[u8]>,
}

/// The slow log, newest first.
#[derive(Debug, Default)]
pub struct SlowLog {
    entries: VecDeque<SlowEntry>,
    next_id: u64,
}

impl SlowLog {
    fn add(&mut self, mut entry: SlowEntry, len_max: usize) {
        entry.id = self.next_id;
        self.next_id += 1;
        self.entries.push_front(entry);
        self.entries.truncate(len_max);
    }

    /// The entries, newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// One second's longest event of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Unix seconds.
    pub at: i64,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// The history of one kind of event.
#[derive(Debug, Default)]
pub struct Series {
    samples: VecDeque<Sample>,
    /// The longest ever, in milliseconds.
    pub millis_max: u64,
}

impl Series {
    /// The samples, oldest first; there is at least one.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample> + DoubleEndedIterator {
        self.samples.iter().copied()
    }

    fn add(&mut self, at: i64, millis: u64) {
        self.millis_max = self.millis_max.max(millis);
        match self.samples.back_mut() {
            Some(last) if last.at == at => last.millis = last.millis.max(millis),
            _ => self.samples.push_back(Sample { at, millis }),
        }
        if self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
    }
}

/// Everything about slowness that is reached without the engine's lock.
#[derive(Debug, Default)]
pub struct Slow {
    /// `slowlog-log-slower-than` in microseconds; negative is never.
    pub log_micros: AtomicI64,
    /// `slowlog-max-len`.
    pub log_len: AtomicUsize,
    /// `latency-monitor-threshold` in milliseconds; 0 is never.
    pub event_millis: AtomicU64,
    /// `latency-tracking`.
    pub tracking: AtomicBool,
    /// From this duration on, either of the two thresholds may be reached.
    notable_nanos: AtomicU64,
    /// The slow log.
    pub log: Mutex<SlowLog>,
    /// The latency events, by kind.
    pub events: Mutex<BTreeMap<&'static str, Series>>,
}

impl Slow {
    /// Computes what follows from the thresholds, after they were set.
    pub fn thresholds_changed(&self) {
        let log = u64::try_from(self.log_micros.load(Relaxed)).map(|us| us.saturating_mul(1000));
        let event = match self.event_millis.load(Relaxed) {
            0 => u64::MAX,
            millis => millis.saturating_mul(1_000_000),
        };
        self.notable_nanos.store(log.unwrap_or(u64::MAX).min(event), Relaxed);
    }

    /// Notes an event of this kind, if it took long enough.
    pub fn event(&self, kind: &'static str, nanos: u64, now_us: i64) {
        let threshold = self.event_millis.load(Relaxed);
        let millis = nanos / 1_000_000;
        if threshold != 0 && millis >= threshold {
            self.events.lock().entry(kind).or_default().add(now_us / 1_000_000, millis);
        }
    }
}

/// Accounts for a command that ran: its figures, the slow log, the latency events.
#[inline]
pub fn observe(command: &Command, nanos: u64, argv: Argv<'_>, session: &Session, env: Env<'_>) {
    let figures = &command.stats[env.worker];
    figures.nanos.add(nanos);
    let slow = &env.shared.slow;
    if slow.tracking.load(Relaxed) {
        figures.durations.record(nanos);
    }
    if nanos >= slow.notable_nanos.load(Relaxed) {
        note(command, nanos, argv, session, env);
    }
}

#[cold]
fn note(command: &Command, nanos: u64, argv: Argv<'_>, session: &Session, env: Env<'_>) {
    let slow = &env.shared.slow;
    let now_us = (env.shared.clock.unix_us)();
    let kind = if command.has(Flag::Fast) { "fast-command" } else { "command" };
    slow.event(kind, nanos, now_us);
    let Ok(threshold) = u64::try_from(slow.log_micros.load(Relaxed)) else { return };
    if nanos / 1000 < threshold || command.has(Flag::SkipSlowlog) {
        return;
    }
    let entry = SlowEntry {
        id: 0,
        at: now_us / 1_000_000,
        micros: nanos / 1000,
        argv: shortened(command, argv, session),
        addr: env.client.map(|client| client.addr.clone()).unwrap_or_default(),
        name: session.name.clone(),
    };
    slow.log.lock().add(entry, slow.log_len.load(Relaxed));
}

/// What the slow log keeps of a command: neither secrets nor much.
fn shortened(command: &Command, argv: Argv<'_>, session: &Session) -> Vec<Vec<u8>> {
    let secrets = session.secrets(command, argv);
    let kept = if argv.len() > ENTRY_ARGS_MAX { ENTRY_ARGS_MAX - 1 } else { argv.len() };
    let mut short: Vec<Vec<u8>> = argv[..kept]
        .iter()
        .enumerate()
        .map(|(i, arg)| {
            if secrets.contains(&i) {
                return b"(redacted)".to_vec();
            }
            let mut text = arg[..arg.len().min(ENTRY_ARG_BYTES_MAX)].to_vec();
            if arg.len() > ENTRY_ARG_BYTES_MAX {
                let more = arg.len() - ENTRY_ARG_BYTES_MAX;
                text.extend_from_slice(format!("... ({more} more bytes").as_bytes());
                if command.spec.script_text == Some(i) {
                    text.extend_from_slice(b", sha1 ");
                    text.extend_from_slice(&sha1::sha1_hex(arg));
                }
                text.push(b')');
            }
            text
        })
        .collect();
    if kept < argv.len() {
        short.push(format!("... ({} more arguments)", argv.len() - kept).into_bytes());
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::spec::CommandSpec;

    fn keeps(spec: &'static CommandSpec, argv: &[&[u8]]) -> Vec<String> {
        let command = Command::new(spec, None, None, 1);
        let short = shortened(command, argv, &Session::default());
        short.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
    }

    #[test]
    fn the_slow_log_keeps_little_of_a_command_and_no_secrets() {
        const PLAIN: CommandSpec = CommandSpec { name: "X", ..CommandSpec::BASE };
        const LOGIN: CommandSpec =
            CommandSpec { name: "X", secrets: Some(|_| vec![1]), ..CommandSpec::BASE };
        let many = vec![&b"a"[..]; 33];
        let kept = keeps(&PLAIN, &many);
        assert_eq!((kept.len(), kept[31].as_str()), (32, "... (2 more arguments)"));
        assert_eq!(keeps(&PLAIN, &many[..32]).len(), 32);
        let long = [b'b'; 129];
        assert!(keeps(&PLAIN, &[b"x", &long])[1].ends_with("b... (1 more bytes)"));
        const EVAL: CommandSpec =
            CommandSpec { name: "X", script_text: Some(1), ..CommandSpec::BASE };
        let sha = String::from_utf8(sha1::sha1_hex(&long).to_vec()).unwrap();
        let kept = keeps(&EVAL, &[b"x", &long, &long]);
        assert!(kept[1].ends_with(&format!("b... (1 more bytes, sha1 {sha})")));
        assert!(kept[2].ends_with("b... (1 more bytes)"));
        assert_eq!(keeps(&LOGIN, &[b"x", b"password", b"y"]), ["x", "(redacted)", "y"]);
    }

    #[test]
    fn what_a_module_redacts_is_secret() {
        const FOREIGN: CommandSpec =
            CommandSpec { name: "X", flags: &[Flag::Module], ..CommandSpec::BASE };
        const OWN: CommandSpec = CommandSpec { name: "X", ..CommandSpec::BASE };
        let session = Session { redacted: vec![2], ..Session::default() };
        let secrets = |spec| session.secrets(Command::new(spec, None, None, 1), &[&b"x"[..]; 3]);
        assert_eq!(secrets(&FOREIGN), [2]);
        assert_eq!(secrets(&OWN), [0; 0], "it is of the module's command before");
    }

    #[test]
    fn the_slow_log_is_bounded_and_counts_on() {
        let mut log = SlowLog::default();
        for micros in 0..5 {
            let name = Box::default();
            let entry = SlowEntry { id: 0, at: 0, micros, argv: vec![], addr: String::new(), name };
            log.add(entry, 3);
        }
        let kept: Vec<_> = log.iter().map(|entry| (entry.id, entry.micros)).collect();
        assert_eq!(kept, [(4, 4), (3, 3), (2, 2)]);
    }

    #[test]
    fn a_series_keeps_the_longest_event_of_a_second() {
        let mut series = Series::default();
        series.add(1, 5);
        series.add(1, 9);
        series.add(1, 7);
        series.add(2, 3);
        let kept: Vec<_> = series.samples().map(|s| (s.at, s.millis)).collect();
        assert_eq!((kept, series.millis_max), (vec![(1, 9), (2, 3)], 9));
        (10..1000).for_each(|at| series.add(at, 1));
        assert_eq!(series.samples().len(), SAMPLES_MAX);
    }
}
