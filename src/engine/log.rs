//! Which writes have left, in which order? The one ordered effect log.
//!
//! Invariants: a unit's records enter together, in order, wrapped in MULTI/EXEC when there is more
//! than one; the position only grows and counts the bytes that a full stream would have. While no
//! one listens, no bytes are made. Today there is one stream, read by tests and `DEBUG`; the
//! append-only file and the replicas become its listeners, each with its own selected db.

use super::effects::{Record, Targets};
use super::spec::Argv;

/// Bytes that a listener may leave unread before the log drops it.
pub const BACKLOG_BYTES_MAX: usize = 64 << 20;

/// The effect log.
#[derive(Debug, Default)]
pub struct EffectLog {
    position: u64,
    records: u64,
    listener: Option<Stream>,
}

/// One encoded byte stream of the log.
#[derive(Debug)]
struct Stream {
    targets: Targets,
    selected: Option<u32>,
    bytes: Vec<u8>,
}

impl EffectLog {
    /// Whether anyone listens; if not, calls need not copy their arguments.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.listener.is_some()
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
        self.listener = Some(Stream { targets, selected: None, bytes: Vec::new() });
    }

    /// Takes the bytes kept since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        self.listener.as_mut().map(|s| std::mem::take(&mut s.bytes)).unwrap_or_default()
    }

    /// Logs the records of a unit.
    pub fn append(&mut self, records: &[Record]) {
        self.records += records.len() as u64;
        let Some(stream) = &mut self.listener else { return };
        let targets = stream.targets;
        let mine: Vec<&Record> =
            records.iter().filter(|record| record.targets.intersects(targets)).collect();
        let wrap = mine.len() > 1;
        let before = stream.bytes.len();
        if let Some(first) = mine.first() {
            stream.select(first.db);
        }
        if wrap {
            encode(&mut stream.bytes, &[b"MULTI"]);
        }
        for record in &mine {
            stream.select(record.db);
            let argv: Vec<&[u8]> = record.argv.iter().map(Vec::as_slice).collect();
            encode(&mut stream.bytes, &argv);
        }
        if wrap {
            encode(&mut stream.bytes, &[b"EXEC"]);
        }
        self.position += (stream.bytes.len() - before) as u64;
        if stream.bytes.len() > BACKLOG_BYTES_MAX {
            self.listener = None;
        }
    }
}

impl Stream {
    fn select(&mut self, db: u32) {
        if self.selected != Some(db) {
            self.selected = Some(db);
            encode(&mut self.bytes, &[b"SELECT", db.to_string().as_bytes()]);
        }
    }
}

/// Writes a command as the array of strings that clients send.
pub fn encode(out: &mut Vec<u8>, argv: Argv<'_>) {
    let mut digits = itoa::Buffer::new();
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

    fn record(db: u32, words: &[&str]) -> Record {
        Record {
            db,
            targets: Targets::all(),
            argv: words.iter().map(|w| w.as_bytes().to_vec()).collect(),
        }
    }

    #[test]
    fn a_unit_of_several_records_is_a_transaction_in_its_db() {
        let mut log = EffectLog::default();
        log.append(&[record(0, &["SET", "lost", "1"])]);
        assert_eq!((log.take(), log.records()), (Vec::new(), 1));
        log.listen(Targets::AOF);
        log.append(&[record(3, &["DEL", "a"]), record(3, &["DEL", "b"])]);
        log.append(&[record(3, &["DEL", "c"])]);
        let mut want = Vec::new();
        for words in [
            &["SELECT", "3"][..],
            &["MULTI"],
            &["DEL", "a"],
            &["DEL", "b"],
            &["EXEC"],
            &["DEL", "c"],
        ] {
            let argv: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
            encode(&mut want, &argv);
        }
        assert_eq!(log.position(), want.len() as u64);
        assert_eq!(log.take(), want);
    }
}
