//! Where do old values go that writes hand over while the disk keeps the snapshot waiting? Into a temporary
//! file, so that memory holds a bounded part of them and no write ever waits.
//!
//! Large values are encoded on the way, and let go.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

use super::save::{Frame, Keys, SnapshotError};
use crate::keyspace::snapshot::{Batch, Handover};
use crate::object::rdb::write::{Drain, Writer};

/// Bytes of old values that may wait in memory.
pub const WAITING_MAX: usize = 32 << 20;

/// Bytes that are read back at a time.
const READ_BYTES: usize = 256 * 1024;

/// Old values that were put aside.
#[derive(Debug)]
pub struct Spill<'a> {
    frame: &'a Frame<'a>,
    keys: Keys<'a>,
    name: PathBuf,
    waiting_max: usize,
    file: Option<File>,
    batch: Batch,
    /// Keys that were put aside.
    count: u64,
    failed: Option<SnapshotError>,
}

/// Writes to a file; the first error is kept.
struct Into<'a> {
    file: &'a mut File,
    failed: Option<io::Error>,
}

impl Drain for Into<'_> {
    fn drain(&mut self, bytes: &mut Vec<u8>) {
        if self.failed.is_none() {
            self.failed = self.file.write_all(bytes).err();
        }
        bytes.clear();
    }
}

impl<'a> Spill<'a> {
    /// Nothing yet. The file will have this name until it is open; more than `waiting_max` bytes are not to wait.
    pub fn new(frame: &'a Frame<'a>, name: PathBuf, waiting_max: usize) -> Self {
        let (keys, batch) = (Keys::behind_others(frame), Batch::default());
        Self { frame, keys, name, waiting_max, file: None, batch, count: 0, failed: None }
    }

    /// Puts aside what waits, if it is much.
    pub fn relieve(&mut self, handover: &Handover) {
        if self.failed.is_none() && handover.waiting_bytes() > self.waiting_max {
            while self.failed.is_none() && handover.take(&mut self.batch) {
                self.failed = self.put_aside().err();
                self.batch.clear();
            }
        }
    }

    fn put_aside(&mut self) -> Result<(), SnapshotError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(open(&self.name)?),
        };
        let mut into = Into { file, failed: None };
        let mut writer = Writer::draining(self.frame.style(), &mut into);
        self.keys.write(&self.batch, &mut writer)?;
        writer.flush();
        drop(writer);
        self.count += self.batch.len() as u64;
        into.failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// What went wrong, if something did.
    pub fn take_error(&mut self) -> Result<(), SnapshotError> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Hands what was put aside to a writer; says how many keys that are.
    pub fn write_back(self, writer: &mut Writer<'_>) -> Result<u64, SnapshotError> {
        let Some(mut file) = self.file else { return Ok(0) };
        file.rewind()?;
        let mut bytes = vec![0; READ_BYTES];
        loop {
            match file.read(&mut bytes)? {
                0 => return Ok(self.count),
                len => writer.raw(&bytes[..len]),
            }
        }
    }
}

/// A file without a name, so that it goes with the process.
fn open(name: &PathBuf) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(name)?;
    std::fs::remove_file(name)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Keyspace;
    use crate::keyspace::db::ExpireChange;
    use crate::persist::rdb::save::Facts;

    #[test]
    fn what_was_put_aside_comes_back() {
        let facts = Facts {
            version: "7.2.6",
            now_us: 0,
            used_memory: 0,
            base: false,
            rdb_version_max: u32::MAX,
        };
        let frame = Frame::empty(facts);
        let mut keyspace = Keyspace::new(1);
        let set = |keyspace: &mut Keyspace, value: &[u8]| {
            for number in 0..1000 {
                let (db, key) = (keyspace.db_mut(0), format!("key:{number}"));
                let slot = db.find(key.as_bytes());
                db.set_string(key.as_bytes(), slot, value, ExpireChange::Clear);
            }
        };
        set(&mut keyspace, b"old");
        let mut walk = keyspace.begin_snapshot(frame.style());
        let folder = std::env::temp_dir().join(format!("mortise-spill-{}", std::process::id()));
        let mut spill = Spill::new(&frame, folder.clone(), 10_000);
        spill.relieve(walk.handover());
        assert!(spill.file.is_none(), "nothing waits");
        set(&mut keyspace, b"new");
        spill.relieve(walk.handover());
        assert_eq!(walk.handover().waiting_bytes(), 0);
        spill.take_error().expect("it was written");
        assert!(!folder.exists(), "the file has no name");
        let mut writer = Writer::new(frame.style());
        assert_eq!(spill.write_back(&mut writer).expect("it is read"), 1000);
        let bytes = writer.into_bytes();
        let count =
            |part: &[u8]| bytes.windows(part.len()).filter(|window| *window == part).count();
        assert_eq!((count(b"old"), count(b"new"), count(b"key:")), (1000, 0, 1000));
        let mut batch = Batch::default();
        while walk.slice(&keyspace, &mut batch, |_| true) != crate::keyspace::snapshot::Step::Done {
        }
        assert!(batch.is_empty());
        keyspace.end_snapshot(&walk);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error() {
        let facts = Facts {
            version: "7.2.6",
            now_us: 0,
            used_memory: 0,
            base: false,
            rdb_version_max: u32::MAX,
        };
        let frame = Frame::empty(facts);
        let mut keyspace = Keyspace::new(1);
        keyspace.db_mut(0).set_string(b"k", None, &[b'v'; 100], ExpireChange::Clear);
        let walk = keyspace.begin_snapshot(frame.style());
        let slot = keyspace.db(0).find(b"k").expect("it was set");
        keyspace.db_mut(0).delete(slot);
        let mut spill = Spill::new(&frame, PathBuf::from("/nowhere/at/all"), 10);
        spill.relieve(walk.handover());
        assert!(matches!(spill.take_error(), Err(SnapshotError::Spill(_))));
    }
}
