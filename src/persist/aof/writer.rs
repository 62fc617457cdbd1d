//! How do logged commands reach the file, and what if they cannot? Whoever finds bytes pending writes all there are; a
//! thread of the server syncs.
//!
//! Invariants: bytes are written in the order of the log, each once; what a failed write has left of a command is cut
//! off again, so that the file ends with a whole one; a position is synced only if all files that hold bytes up
//! to it are. A file that was written before is synced soon, and where output waits for the disk before anything is
//! written to the next one, so that a power cut does not leave a gap between them.

#[cfg(test)]
mod writer_tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::engine::durable::Durable;
use crate::persist::io::{DiskFile, words, write_some};

/// Buffers larger than this are not kept for the next write.
const KEPT_BYTES: usize = 1 << 20;

/// Seconds between two lines in the log about the same trouble.
const LOG_SECONDS: i64 = 30;

/// Writes the log to the current file.
#[derive(Debug, Default)]
pub struct Writer {
    inner: Mutex<Inner>,
    /// Copies of figures of `inner`, whose lock is held while the disk is written to.
    len: AtomicU64,
    buffered_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    file: Option<Arc<dyn DiskFile>>,
    /// Files that were written before and are not synced yet.
    retired: Vec<Arc<dyn DiskFile>>,
    /// Bytes of the current file.
    len: u64,
    /// The position of the log up to which files were written.
    position: u64,
    /// Taken, but not written yet.
    backlog: Vec<u8>,
    /// Kept for its room.
    spare: Vec<u8>,
    /// When trouble was logged last, unix seconds.
    logged_at: Option<i64>,
    failed: bool,
}

/// The file could not be written; [`Durable::failure`] says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteFailed;

/// Files that hold everything up to a position, to be synced.
#[derive(Debug)]
pub struct ToSync {
    files: Vec<Arc<dyn DiskFile>>,
    position: u64,
}

impl Writer {
    /// Writes to `file`, of `len` bytes, from now on. What was logged before must have been written; the old file is
    /// synced with the next sync.
    pub fn switch(&self, file: Arc<dyn DiskFile>, len: u64, position: u64) {
        let mut inner = self.inner.lock();
        let old = inner.file.replace(file);
        inner.retired.extend(old);
        (inner.len, inner.position) = (len, position);
        self.publish(&inner);
    }

    fn publish(&self, inner: &Inner) {
        self.len.store(inner.len, Ordering::Relaxed);
        let buffered = inner.backlog.capacity() + inner.spare.capacity();
        self.buffered_bytes.store(buffered, Ordering::Relaxed);
    }

    /// Writes to no file any more; bytes that were not written are dropped.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        *inner = Inner::default();
        self.publish(&inner);
    }

    /// Whether there is a file.
    pub fn is_open(&self) -> bool {
        self.inner.lock().file.is_some()
    }

    /// Bytes of the current file.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether the current file has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The current file was cut to so many bytes by somebody else.
    pub fn note_cut(&self, len: u64) {
        let mut inner = self.inner.lock();
        if inner.file.is_some() {
            inner.len = len;
            self.publish(&inner);
        }
    }

    /// Bytes in memory for the file.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes.load(Ordering::Relaxed)
    }

    /// Writes what is pending; false if that failed, and `durable` knows why. `now_s` is the time in unix seconds, for
    /// the log.
    pub fn write(&self, durable: &Durable, now_s: i64) -> bool {
        let mut inner = self.inner.lock();
        let written = inner.write(durable, now_s);
        self.publish(&inner);
        written
    }

    /// Writes what is pending, and says what is to be synced for that, if anything is.
    pub fn write_for_sync(
        &self,
        durable: &Durable,
        now_s: i64,
    ) -> Result<Option<ToSync>, WriteFailed> {
        let mut inner = self.inner.lock();
        let written = inner.write(durable, now_s);
        self.publish(&inner);
        if !written {
            return Err(WriteFailed);
        }
        if inner.position == durable.synced() && inner.retired.is_empty() {
            return Ok(None);
        }
        Ok(Some(inner.to_sync()))
    }

    /// Syncs the files that were written before the current one.
    pub fn sync_retired(&self) -> io::Result<()> {
        let retired = self.inner.lock().retired.clone();
        retired.iter().try_for_each(|file| file.sync())?;
        self.inner
            .lock()
            .retired
            .retain(|file| !retired.iter().any(|done| Arc::ptr_eq(file, done)));
        Ok(())
    }

    /// Syncs what [`Writer::write_for_sync`] named, while others write on.
    pub fn sync(&self, durable: &Durable, what: ToSync) -> io::Result<()> {
        for file in &what.files {
            file.sync()?;
        }
        self.inner
            .lock()
            .retired
            .retain(|file| !what.files.iter().any(|done| Arc::ptr_eq(file, done)));
        durable.note_synced(what.position);
        Ok(())
    }
}

impl Inner {
    fn to_sync(&self) -> ToSync {
        let files = self.retired.iter().chain(&self.file).cloned().collect();
        ToSync { files, position: self.position }
    }

    fn sync_retired(&mut self) -> io::Result<()> {
        self.retired.iter().try_for_each(|file| file.sync())?;
        self.retired.clear();
        Ok(())
    }

    fn write(&mut self, durable: &Durable, now_s: i64) -> bool {
        let Some(file) = self.file.clone() else { return true };
        let mut spare = std::mem::take(&mut self.spare);
        spare.clear();
        let mut bytes = durable.take(spare);
        if !self.backlog.is_empty() {
            self.backlog.append(&mut bytes);
            std::mem::swap(&mut self.backlog, &mut bytes);
            self.backlog = Vec::new();
        }
        if bytes.is_empty() {
            self.spare = bytes;
            return true;
        }
        let (written, ended) = self.put(durable, &*file, &bytes);
        if let Err(error) = ended {
            self.fail(durable, &*file, bytes, written, &error, now_s);
            return false;
        }
        self.advance(durable, written);
        if bytes.capacity() <= KEPT_BYTES {
            self.spare = bytes;
        }
        if std::mem::take(&mut self.failed) {
            tracing::info!("AOF write error looks solved, Mortise can write again.");
            self.logged_at = None;
            durable.note_failure(None);
        }
        true
    }

    /// Writes bytes to the file; how many, and what came in the way of more.
    fn put(
        &mut self,
        durable: &Durable,
        file: &dyn DiskFile,
        bytes: &[u8],
    ) -> (usize, io::Result<()>) {
        if durable.waits_for_sync()
            && let Err(error) = self.sync_retired()
        {
            return (0, Err(error));
        }
        write_some(file, bytes)
    }

    fn advance(&mut self, durable: &Durable, written: usize) {
        self.len += written as u64;
        self.position += written as u64;
        durable.note_written(self.position);
    }

    /// Keeps what could not be written for the next attempt.
    fn fail(
        &mut self,
        durable: &Durable,
        file: &dyn DiskFile,
        mut bytes: Vec<u8>,
        written: usize,
        error: &io::Error,
        now_s: i64,
    ) {
        let log = self.logged_at.is_none_or(|at| now_s - at >= LOG_SECONDS);
        if log {
            self.logged_at = Some(now_s);
            tracing::warn!("Error writing to the AOF file: {}", words(error));
        }
        if written > 0 {
            if log {
                let expected = bytes.len();
                tracing::warn!(
                    "Short write while writing to the AOF file: (nwritten={written}, expected={expected})"
                );
            }
            if let Err(error) = file.truncate(self.len) {
                if log {
                    tracing::warn!(
                        "Could not remove short write from the append-only file.  Mortise may refuse to \
                         load the AOF the next time it starts.  ftruncate: {}",
                        words(&error)
                    );
                }
                // Then what is there stays, and the rest of it follows.
                self.advance(durable, written);
                bytes.drain(..written);
            }
        }
        self.backlog = bytes;
        self.failed = true;
        durable.note_failure(Some(words(error)));
    }
}
