//! How is a file written so that it is there whole or not at all, and read so that nothing else is taken for it?
//!
//! It is written under another name, synced and renamed; its length and CRC-32 are kept by whoever refers to it (the
//! manifest), or stand at its own end (of the manifest). CRC-32 finds every change of up to four bytes in a row, and
//! all but one in four billion others; it is what tantivy brings along, and faster than a disk.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use crate::storage::codec::Encoder;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Bytes between two syncs, so that the last one is short and the disk stays free for others.
const SYNC_BYTES: u64 = 8 << 20;
/// How a file is called that is not whole yet.
pub const TEMPORARY: &str = "tmp";

/// What tells a file from what else could be in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Its bytes.
    pub length: u64,
    /// Their CRC-32.
    pub checksum: u32,
}

/// Counts and sums up what is written.
struct Summing {
    file: File,
    hasher: Hasher,
    length: u64,
    unsynced: u64,
}

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.length += written as u64;
        self.unsynced += written as u64;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync_data()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a file that is complete once this returns, but whose name may be lost until [`sync_folder`].
pub fn write(
    path: &Path,
    content: impl FnOnce(&mut Encoder<'_>) -> io::Result<()>,
) -> io::Result<Seal> {
    let temporary = temporary(path);
    let written = write_as(&temporary, content).and_then(|seal| {
        fs::rename(&temporary, path)?;
        Ok(seal)
    });
    if written.is_err() {
        // What cannot be removed now goes with the next tidying.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(TEMPORARY);
    name.into()
}

fn write_as(
    path: &Path,
    content: impl FnOnce(&mut Encoder<'_>) -> io::Result<()>,
) -> io::Result<Seal> {
    let file = File::create(path)?;
    let summing = Summing { file, hasher: Hasher::new(), length: 0, unsynced: 0 };
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, summing);
    content(&mut Encoder::new(&mut out))?;
    let summing = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    summing.file.sync_all()?;
    Ok(Seal { length: summing.length, checksum: summing.hasher.finalize() })
}

/// Makes sure that names of files are on the disk.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Reads a file that must be what was sealed.
pub fn read(path: &Path, seal: Seal) -> io::Result<Vec<u8>> {
    let bytes = read_bounded(path, seal.length)?;
    if bytes.len() as u64 != seal.length || crc32fast::hash(&bytes) != seal.checksum {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not what was written"));
    }
    Ok(bytes)
}

/// Reads a file of at most so many bytes.
pub fn read_bounded(path: &Path, length_max: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > length_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
    file.take(length_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}
