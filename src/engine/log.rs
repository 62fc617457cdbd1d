//! Which writes have left, in which order? The one ordered effect log.
//!
//! Invariants: a unit's records enter together, in order, wrapped in MULTI/EXEC when there is more
//! than one and they belong together; the position only grows and counts the bytes that were made. While
//! no one listens, no bytes are made. There are three streams, each with its own selected db: one that is
//! kept for tests; that of the append-only file, which is handed to [`super::durable`] when the lock is released;
//! and that of the replicas, which [`super::replication`] keeps.

use super::durable::Durable;
use super::effects::Targets;
use super::records::{Record, Records};
use super::spec::Argv;

/// Bytes that a listener may leave unread before the log drops it.
const LISTENER_BYTES_MAX: usize = 64 << 20;

/// The effect log.
#[derive(Debug, Default)]
pub struct EffectLog {
    position: u64,
    records: u64,
    listener: Option<Stream>,
    aof: Option<AofStream>,
}

/// The stream of the append-only file.
#[derive(Debug)]
struct AofStream {
    stream: Stream,
    /// The unix second that was noted last, if times are noted.
    noted: Option<i64>,
}

/// One encoded byte stream of the log.
#[derive(Debug)]
pub(super) struct Stream {
    targets: Targets,
    /// The db that it has named last.
    pub(super) selected: Option<u32>,
    /// What was not taken yet.
    pub(super) bytes: Vec<u8>,
}

/// Whether the records of a unit are one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bond {
    /// They take effect together.
    Together,
    /// Each stands for itself.
    Apart,
}

impl EffectLog {
    /// Whether there is a file or a listener. Whether anyone listens at all, [`State::is_logged`] says.
    ///
    /// [`State::is_logged`]: super::state::State::is_logged
    #[inline]
    pub fn is_active(&self) -> bool {
        self.aof.is_some() || self.listener.is_some()
    }

    /// Begins the stream of the append-only file, or begins it anew: the next record names its db.
    pub fn begin_aof(&mut self, timestamps: bool) {
        self.aof
            .get_or_insert_with(|| AofStream { stream: Stream::new(Targets::AOF), noted: None });
        if let Some(aof) = &mut self.aof {
            aof.stream.selected = None;
        }
        self.note_times(timestamps);
    }

    /// Ends the stream of the append-only file.
    pub fn end_aof(&mut self) {
        self.aof = None;
    }

    /// Whether records go to the append-only file.
    pub fn has_aof(&self) -> bool {
        self.aof.is_some()
    }

    /// Whether the append-only file gets notes of the time (`aof-timestamp-enabled`).
    pub fn note_times(&mut self, timestamps: bool) {
        if let Some(aof) = &mut self.aof {
            aof.noted = timestamps.then(|| aof.noted.unwrap_or(0));
        }
    }

    /// Hands over what is to go to the append-only file. To be called before the lock is released.
    #[inline]
    pub fn hand_over(&mut self, durable: &Durable) {
        if let Some(aof) = &mut self.aof
            && !aof.stream.bytes.is_empty()
        {
            durable.append(&mut aof.stream.bytes);
        }
    }

    /// How many bytes have been logged.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many records have been logged.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Starts to keep the stream of `targets`.
    pub fn listen(&mut self, targets: Targets) {
        self.listener = Some(Stream::new(targets));
    }

    /// Takes the bytes kept since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        self.listener.as_mut().map(|s| std::mem::take(&mut s.bytes)).unwrap_or_default()
    }

    /// Logs the records of a unit that ends at this unix time, in microseconds.
    pub fn append(&mut self, records: &Records, bond: Bond, now_us: i64) {
        self.records += records.len() as u64;
        let mut written = 0;
        if let Some(aof) = &mut self.aof {
            aof.append(records, bond, now_us / 1_000_000);
        }
        if let Some(stream) = &mut self.listener {
            written = stream.append(records, bond);
            if stream.bytes.len() > LISTENER_BYTES_MAX {
                self.listener = None;
            }
        }
        self.position += written as u64;
    }
}

impl AofStream {
    fn append(&mut self, records: &Records, bond: Bond, now_s: i64) {
        let before = self.stream.bytes.len();
        if let Some(noted) = &mut self.noted
            && *noted != now_s
        {
            *noted = now_s;
            self.stream.bytes.extend_from_slice(format!("#TS:{now_s}\r\n").as_bytes());
        }
        if self.stream.append(records, bond) == 0 {
            // A note alone is none.
            self.stream.bytes.truncate(before);
        }
    }
}

impl Stream {
    /// An empty stream of the records for these targets.
    pub(super) fn new(targets: Targets) -> Self {
        Self { targets, selected: None, bytes: Vec::new() }
    }

    /// Encodes those of the records that are meant for this stream; how many bytes that are.
    pub(super) fn append(&mut self, records: &Records, bond: Bond) -> usize {
        let before = self.bytes.len();
        let targets = self.targets;
        let mine = |record: &Record<'_>| record.targets.intersects(targets);
        let wrap = bond == Bond::Together
            && records.len() > 1
            && records.iter().filter(mine).nth(1).is_some();
        if wrap {
            encode(&mut self.bytes, &[b"MULTI"]);
        }
        for record in records.iter().filter(mine) {
            self.select(record.db);
            self.bytes.extend_from_slice(record.bytes);
        }
        if wrap {
            encode(&mut self.bytes, &[b"EXEC"]);
        }
        self.bytes.len() - before
    }

    fn select(&mut self, db: u32) {
        if self.selected != Some(db) {
            self.selected = Some(db);
            encode(&mut self.bytes, &[b"SELECT", db.to_string().as_bytes()]);
        }
    }
}

/// What is written beside an argument, and in front of all of them, at most.
const HEAD_BYTES_MAX: usize = 25;

/// Writes a command as the array of strings that clients send.
pub fn encode(out: &mut Vec<u8>, argv: Argv<'_>) {
    let mut digits = itoa::Buffer::new();
    out.reserve(argv.iter().map(|arg| arg.len() + HEAD_BYTES_MAX).sum::<usize>() + HEAD_BYTES_MAX);
    out.push(b'*');
    out.extend_from_slice(digits.format(argv.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    for arg in argv {
        out.push(b'$');
        out.extend_from_slice(digits.format(arg.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(db: u32, targets: Targets, commands: &[&[&[u8]]]) -> Records {
        let mut records = Records::default();
        commands.iter().for_each(|argv| records.push(db, targets, argv));
        records
    }

    #[test]
    fn a_unit_of_several_records_is_a_transaction_in_its_db() {
        let mut log = EffectLog::default();
        let all = Targets::all();
        log.append(&records(0, all, &[&[b"SET", b"lost", b"1"]]), Bond::Together, 0);
        assert_eq!((log.take(), log.records()), (Vec::new(), 1));
        log.listen(Targets::AOF);
        log.append(&records(3, all, &[&[b"DEL", b"a"], &[b"DEL", b"b"]]), Bond::Together, 0);
        log.append(&records(3, all, &[&[b"DEL", b"c"], &[b"DEL", b"d"]]), Bond::Apart, 0);
        let mut want = Vec::new();
        for words in [
            &["MULTI"][..],
            &["SELECT", "3"],
            &["DEL", "a"],
            &["DEL", "b"],
            &["EXEC"],
            &["DEL", "c"],
            &["DEL", "d"],
        ] {
            let argv: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
            encode(&mut want, &argv);
        }
        assert_eq!(log.position(), want.len() as u64);
        assert_eq!(log.take(), want);
    }

    #[test]
    fn the_file_gets_what_is_for_it_with_the_time_and_its_db() {
        let (mut log, durable) = (EffectLog::default(), Durable::new(0));
        log.begin_aof(true);
        let elsewhere = records(0, Targets::REPLICAS, &[&[b"PUBLISH", b"c", b"m"]]);
        log.append(&elsewhere, Bond::Together, 1_000_000);
        let deletion = |key: &[u8]| records(1, Targets::all(), &[&[b"DEL", key]]);
        log.append(&deletion(b"a"), Bond::Together, 7_900_000);
        log.append(&deletion(b"b"), Bond::Together, 7_999_999);
        log.begin_aof(true);
        log.append(&deletion(b"c"), Bond::Together, 7_999_999);
        log.hand_over(&durable);
        let select = b"*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n".to_vec();
        let del = |key: &str| format!("*2\r\n$3\r\nDEL\r\n$1\r\n{key}\r\n").into_bytes();
        let want = [b"#TS:7\r\n".to_vec(), select.clone(), del("a"), del("b"), select, del("c")];
        assert_eq!(durable.take(Vec::new()), want.concat());
        log.end_aof();
        assert!(!log.is_active());
    }
}
