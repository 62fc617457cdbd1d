//! How does an index come back after a restart without being built again?
//!
//! Beside the RDB file, or the base of an append-only file, lies a folder of segments. A snapshot of the keys gets a random
//! id, which is written into it; the pieces of all indexes are taken at the same moment, which costs some reference
//! counts, and once the snapshot is in place a thread writes those that are not on the disk yet, and then a manifest under that id
//! (`saving`). Who loads a snapshot looks for the manifest of its id; the index begins with these segments, and keys
//! that it has are only ticked off while they are loaded (`loading`).
//!
//! Invariants: a manifest is there only if its snapshot was put in place, and only when all its files are. Files are never
//! changed. Whatever is missing, damaged or of another version is as if it were not there: the index is built from
//! the keys, as it would be anyway.

pub mod codec;
pub mod file;
pub mod loading;
pub mod manifest;
pub mod saving;

use std::fmt;
use std::path::Path;

use crate::settings;

/// The version of all files. It changes with the format, and with what words and values a document is indexed under.
pub const VERSION: u32 = 3;

/// The folder, in the directory of the server.
const FOLDER: &str = "search-segments";

/// A name that nothing else has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid([u8; 16]);

impl Uid {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "no two of them are alike")]
    pub fn new() -> Uid {
        Uid(*uuid::Uuid::new_v4().as_bytes())
    }

    /// The one of these bytes.
    pub fn of(bytes: &[u8]) -> Option<Uid> {
        bytes.try_into().ok().map(Uid)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What else documents are indexed by, besides the definition of their index. Segments of other settings are not used.
fn fingerprint() -> String {
    format!(
        "{} slop {} stem {} phonetic {}",
        env!("CARGO_PKG_VERSION"),
        settings::MULTI_TEXT_SLOP.get(),
        settings::MIN_STEM_LENGTH.get(),
        settings::MIN_PHONETIC_LENGTH.get(),
    )
}

/// The folder of now: the server works in its directory, which can change.
fn folder() -> std::io::Result<std::path::PathBuf> {
    Ok(std::env::current_dir()?.join(FOLDER))
}

fn manifest_path(folder: &Path, id: Uid) -> std::path::PathBuf {
    folder.join(format!("{id}.{}", manifest::EXTENSION))
}
