//! How does a snapshot become a file? Under another name, synced, and moved into place when it is whole; so
//! a crash leaves the old file or the new one.

use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::crc::crc64;
use crate::object::rdb::write::Drain;
use crate::persist::io::{Disk, DiskFile, write_all};

/// Bytes that are written between two syncs, so that the last one is short.
const SYNC_BYTES: u64 = 4 << 20;

/// A file that is being written.
#[derive(Debug)]
pub struct NewFile {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    checksum: Option<u64>,
    syncs: bool,
    unsynced: u64,
    failed: Option<io::Error>,
    /// Cleared when the file has its name.
    temporary: bool,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStyle {
    /// It ends with a checksum; otherwise with zeros.
    pub checksum: bool,
    /// It is synced while it is written.
    pub syncs: bool,
}

impl NewFile {
    /// Makes the file under a temporary name.
    pub fn create(disk: Arc<dyn Disk>, path: PathBuf, style: FileStyle) -> io::Result<Self> {
        let file = disk.append(&path, true)?;
        Ok(Self {
            disk,
            file,
            path,
            checksum: style.checksum.then_some(0),
            syncs: style.syncs,
            unsynced: 0,
            failed: None,
            temporary: true,
        })
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(checksum) = &mut self.checksum {
            *checksum = crc64(*checksum, bytes);
        }
        write_all(&*self.file, bytes)?;
        self.unsynced += bytes.len() as u64;
        if self.syncs && self.unsynced >= SYNC_BYTES {
            self.file.sync()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// What went wrong since the last call, if something did.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    /// The checksum of all bytes so far; 0 if the file has none.
    pub fn checksum(&self) -> u64 {
        self.checksum.unwrap_or(0)
    }

    /// Takes over what another process has added through the same descriptor: from here on the checksum of all bytes is
    /// this one.
    pub fn adopt_checksum(&mut self, checksum: u64) {
        if let Some(own) = &mut self.checksum {
            *own = checksum;
        }
    }

    /// The number of the open file, if it is one of the system's.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.file.descriptor()
    }

    /// Adds the checksum of all bytes so far, and makes sure that they are on the disk.
    pub fn seal(&mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let checksum = self.checksum();
        write_all(&*self.file, &checksum.to_le_bytes())?;
        self.file.sync()
    }

    /// Gives the sealed file its name.
    pub fn publish(mut self, name: &Path) -> io::Result<()> {
        self.rename(name)?;
        self.sync_folder(name)
    }

    /// The same, without making sure that the folder is on the disk.
    pub fn rename(&mut self, name: &Path) -> io::Result<()> {
        self.disk.rename(&self.path, name)?;
        self.temporary = false;
        Ok(())
    }

    /// Makes sure that the folder of its name is on the disk, and so the name.
    pub fn sync_folder(&self, name: &Path) -> io::Result<()> {
        self.disk.sync_folder(folder_of(name))
    }

    /// Gives it another temporary name, as long as it has none of its own.
    pub fn set_temporary(&mut self, path: PathBuf) -> io::Result<()> {
        self.disk.rename(&self.path, &path)?;
        self.path = path;
        Ok(())
    }

    /// The temporary name.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The folder that a file of this name is in.
pub fn folder_of(name: &Path) -> &Path {
    let folder = name.parent().filter(|parent| !parent.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

impl Drain for NewFile {
    fn drain(&mut self, bytes: &mut Vec<u8>) {
        if self.failed.is_none() {
            self.failed = self.write(bytes).err();
        }
        bytes.clear();
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is overwritten by the next attempt.
            let _ = self.disk.remove(&self.path);
        }
    }
}

#[cfg(test)]
#[path = "file/file_tests.rs"]
mod tests;
