//! Where do the files of the append-only file lie, and how are they named? In a folder of their own, with the manifest
//! that lists them; it is replaced as a whole, so that a crash leaves the old list or the new one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{Manifest, ManifestError, Part, Role};
use crate::config::Config;
use crate::config::params::Param;
use crate::persist::io::{Disk, DiskFile, words, write_all};

/// A name made of bytes of the configuration.
pub fn path_of(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

/// How a base is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFormat {
    /// As an RDB file.
    Rdb,
    /// As commands.
    Commands,
}

impl BaseFormat {
    fn suffix(self) -> &'static str {
        match self {
            BaseFormat::Rdb => "rdb",
            BaseFormat::Commands => "aof",
        }
    }
}

/// Why a manifest could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Its text is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It cannot be read.
    #[error("Fatal error: can't open the AOF manifest file {name} for reading: {words}", name = path.display(), words = words(error))]
    #[expect(missing_docs, reason = "explained above")]
    Io { path: PathBuf, error: io::Error },
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// `appendfilename`: what all names begin with.
    name: Vec<u8>,
    /// The files, as the manifest on the disk lists them.
    manifest: Manifest,
    /// The highest numbers that were given out.
    base_number: i64,
    incremental_number: i64,
}

impl Folder {
    /// The folder that the configuration names, with its manifest if there is one.
    pub fn open(disk: Arc<dyn Disk>, config: &Config) -> Result<Self, FolderError> {
        let name = config.text(Param::Appendfilename).to_vec();
        let path = path_of(config.text(Param::Appenddirname));
        let mut folder = Self {
            disk,
            path,
            name,
            manifest: Manifest::default(),
            base_number: 0,
            incremental_number: 0,
        };
        let manifest = folder.manifest_path();
        match folder.disk.read(&manifest) {
            Ok(text) => folder.adopt(Manifest::parse(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FolderError::Io { path: manifest, error }),
        }
        Ok(folder)
    }

    fn adopt(&mut self, manifest: Manifest) {
        let base = manifest.base.as_ref().map_or(0, |part| part.number);
        let incremental = manifest.incremental.last().map_or(0, |part| part.number);
        self.base_number = self.base_number.max(base);
        self.incremental_number = self.incremental_number.max(incremental);
        self.manifest = manifest;
    }

    /// The disk that the folder is on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that there are.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// `appendfilename`, which is also the name of a file of Redis before 7.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    fn with_suffix(&self, suffix: &str) -> Vec<u8> {
        [&self.name, suffix.as_bytes()].concat()
    }

    fn manifest_path(&self) -> PathBuf {
        self.path_to(&self.with_suffix(".manifest"))
    }

    /// Where a file of the folder lies.
    pub fn path_to(&self, name: &[u8]) -> PathBuf {
        self.path.join(path_of(name))
    }

    /// The name of an incremental file that is written until the first base is complete.
    pub fn temporary_name(&self) -> Vec<u8> {
        [b"temp-", &*self.with_suffix(".incr")].concat()
    }

    /// Makes the folder.
    pub fn create(&self) -> io::Result<()> {
        self.disk.create_folder(&self.path).inspect_err(|error| {
            let (path, words) = (self.path.display(), words(error));
            tracing::warn!("Can't open or create append-only dir {path}: {words}");
        })
    }

    /// A manifest in which a new base takes the place of the old one.
    pub fn with_new_base(&self, manifest: &Manifest, format: BaseFormat) -> (Manifest, Part) {
        let mut manifest = manifest.clone();
        if let Some(old) = manifest.base.take() {
            manifest.history.insert(0, Part { role: Role::History, ..old });
        }
        let number = self.base_number + 1;
        let name = self.with_suffix(&format!(".{number}.base.{}", format.suffix()));
        let part = Part { name, number, role: Role::Base };
        manifest.base = Some(part.clone());
        (manifest, part)
    }

    /// A manifest with a further incremental file.
    pub fn with_new_incremental(&self, manifest: &Manifest) -> (Manifest, Part) {
        let mut manifest = manifest.clone();
        let number = self.incremental_number + 1;
        let name = self.with_suffix(&format!(".{number}.incr.aof"));
        let part = Part { name, number, role: Role::Incremental };
        manifest.incremental.push(part.clone());
        (manifest, part)
    }

    /// Opens a file of the folder to append to it.
    pub fn open_file(&self, name: &[u8], new: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.append(&self.path_to(name), new).inspect_err(|error| {
            let (name, words) = (String::from_utf8_lossy(name), words(error));
            tracing::warn!("Can't open the append-only file {name}: {words}");
        })
    }

    /// Writes a manifest to the disk; from then on the folder consists of its files.
    pub fn persist(&mut self, manifest: Manifest) -> io::Result<()> {
        let (aside, path) = (
            self.path_to(&[b"temp-", &*self.with_suffix(".manifest")].concat()),
            self.manifest_path(),
        );
        self.write_manifest(&manifest, &aside, &path).inspect_err(|error| {
            let (path, words) = (path.display(), words(error));
            tracing::warn!("Error trying to write the AOF manifest file {path}: {words}");
        })?;
        self.adopt(manifest);
        Ok(())
    }

    fn write_manifest(&self, manifest: &Manifest, aside: &Path, path: &Path) -> io::Result<()> {
        let file = self.disk.append(aside, true)?;
        write_all(&*file, &manifest.to_text())?;
        file.sync()?;
        self.disk.rename(aside, path)?;
        self.disk.sync_folder(&self.path)
    }

    /// Removes the files that are no longer needed.
    pub fn remove_history(&mut self) {
        if self.manifest.history.is_empty() {
            return;
        }
        let mut manifest = self.manifest.clone();
        for part in std::mem::take(&mut manifest.history) {
            let name = String::from_utf8_lossy(&part.name).into_owned();
            tracing::info!("Removing the history file {name} in the background");
            self.remove(&part.name);
        }
        // If that fails the manifest lists files that are gone, which is no harm: they are history.
        let _ = self.persist(manifest);
    }

    /// Removes a file of the folder; what cannot be removed is in nobody's way.
    pub fn remove(&self, name: &[u8]) {
        let _ = self.disk.remove(&self.path_to(name));
    }
}
