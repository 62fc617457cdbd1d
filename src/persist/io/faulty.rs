//! A disk in memory for tests, which can fail, come short, and lose in a power cut what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};
use crate::base::random::Random;

/// What a file holds.
#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    /// What a power cut leaves.
    synced: Vec<u8>,
}

#[derive(Debug)]
struct Inner {
    /// Files by name, as the process sees them, and as a power cut leaves them.
    names: BTreeMap<PathBuf, Arc<Mutex<Contents>>>,
    synced_names: BTreeMap<PathBuf, Arc<Mutex<Contents>>>,
    random: Random,
    /// One operation in so many fails, comes short; 0 is none.
    fails: u64,
    shortens: u64,
    /// Bytes that files may hold together.
    room: usize,
}

/// The disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct FaultyFile {
    disk: Arc<Mutex<Inner>>,
    contents: Arc<Mutex<Contents>>,
}

impl FaultyDisk {
    /// An empty disk without faults.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            random: Random::new(seed),
            fails: 0,
            shortens: 0,
            room: usize::MAX,
        })))
    }

    /// One operation in `fails` fails, and one write in `shortens` comes short; 0 is none.
    pub fn set_faults(&self, fails: u64, shortens: u64) {
        let mut inner = self.0.lock();
        (inner.fails, inner.shortens) = (fails, shortens);
    }

    /// Has room for so many bytes more.
    pub fn set_room(&self, bytes: usize) {
        self.0.lock().room = bytes;
    }

    /// Loses what was not synced: names are as they are now or as they were when their folder was synced last, and
    /// of the bytes behind the last sync of a file there is some part from the front.
    pub fn cut_power(&self) {
        let mut inner = self.0.lock();
        if inner.random.draw().is_multiple_of(2) {
            inner.names = inner.synced_names.clone();
        }
        inner.synced_names = inner.names.clone();
        let files: Vec<_> = inner.names.values().cloned().collect();
        for file in files {
            let mut file = file.lock();
            if file.bytes.starts_with(&file.synced) {
                let more = (file.bytes.len() - file.synced.len()) as u64;
                let kept = (inner.random.draw() % (more + 1)) as usize;
                let len = file.synced.len() + kept;
                file.bytes.truncate(len);
            } else {
                file.bytes = file.synced.clone();
            }
            file.synced = file.bytes.clone();
        }
    }
}

impl Inner {
    /// The failure of an operation whose turn it is.
    fn fail(&mut self) -> io::Result<()> {
        let fails = self.fails;
        if fails > 0 && self.random.draw().is_multiple_of(fails) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(())
    }
}

impl Disk for FaultyDisk {
    fn append(&self, path: &Path, new: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.0.lock();
        inner.fail()?;
        let contents = Arc::clone(inner.names.entry(path.to_owned()).or_default());
        if new {
            contents.lock().bytes.clear();
        }
        Ok(Arc::new(FaultyFile { disk: Arc::clone(&self.0), contents }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut inner = self.0.lock();
        inner.fail()?;
        match inner.names.get(path) {
            Some(contents) => Ok(contents.lock().bytes.clone()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.fail()?;
        let contents = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), contents);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.fail()?;
        inner.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        self.0.lock().fail()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.fail()?;
        let inside = |name: &PathBuf| name.parent() == Some(path);
        let names: Vec<_> = inner
            .names
            .iter()
            .filter(|(name, _)| inside(name))
            .map(|(name, contents)| (name.clone(), Arc::clone(contents)))
            .collect();
        inner.synced_names.retain(|name, _| !inside(name));
        inner.synced_names.extend(names);
        Ok(())
    }
}

impl DiskFile for FaultyFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.disk.lock();
        inner.fail()?;
        if inner.room == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let mut len = bytes.len().min(inner.room);
        let shortens = inner.shortens;
        if shortens > 0 && inner.random.draw().is_multiple_of(shortens) {
            len = 1 + (inner.random.draw() % len as u64) as usize;
        }
        let len = len.min(bytes.len());
        inner.room = inner.room.saturating_sub(len);
        self.contents.lock().bytes.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.lock().fail()?;
        self.contents.lock().bytes.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.lock().fail()?;
        let mut contents = self.contents.lock();
        contents.synced = contents.bytes.clone();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.contents.lock().bytes.len() as u64)
    }
}
