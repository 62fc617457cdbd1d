//! What does the engine know of its files? Whether a snapshot is being written, how the last one ended, what
//! was loaded. Files are written and read elsewhere (`persist`), on behalf of the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64};

use crate::config::Config;

/// Seconds that pass after a failed snapshot before a save point starts the next.
pub const RETRY_SECONDS: i64 = 5;

/// How far a snapshot is; written by its thread, read by INFO.
#[derive(Debug, Default)]
pub struct Progress {
    /// Keys written.
    pub keys: AtomicU64,
    /// Keys that there are to write.
    pub keys_total: AtomicU64,
    /// About how many bytes of old values were handed over by writes, or are not shared with a child any more.
    pub handed_bytes: AtomicU64,
    /// The snapshot is to end without a result.
    pub cancelled: AtomicBool,
    /// The signal that ended the child which took the snapshot, or 0.
    pub signal: AtomicI32,
}

/// A snapshot that is being written.
#[derive(Clone, Debug)]
pub struct Bgsave {
    /// When it began, unix milliseconds.
    pub began_ms: i64,
    /// How far it is.
    pub progress: Arc<Progress>,
}

/// The engine's knowledge of its files.
#[derive(Debug)]
pub struct Persistence {
    /// The snapshot that is being written.
    pub bgsave: Option<Bgsave>,
    /// Another one is to follow.
    pub scheduled: bool,
    /// The last snapshot ended well.
    pub last_ok: bool,
    /// When the last snapshot began, unix seconds.
    pub last_try: i64,
    /// How many seconds it took.
    pub last_seconds: Option<i64>,
    /// About how many bytes of old values were handed over to it.
    pub last_handed_bytes: u64,
    /// Snapshots that were begun.
    pub saves: u64,
    /// Children that were forked.
    pub forks: u64,
    /// How long the last fork took, in microseconds.
    pub last_fork_us: u64,
    /// Keys of the file that was loaded last.
    pub keys_loaded: u64,
    /// Keys of it that had expired.
    pub keys_expired: u64,
    /// `DEBUG SET-SKIP-CHECKSUM-VALIDATION`.
    pub skip_checksum: bool,
    /// The source texts of function libraries that were loaded, to be saved again.
    pub libraries: Vec<Box<[u8]>>,
}

impl Default for Persistence {
    fn default() -> Self {
        Self {
            bgsave: None,
            scheduled: false,
            last_ok: true,
            last_try: 0,
            last_seconds: None,
            last_handed_bytes: 0,
            saves: 0,
            forks: 0,
            last_fork_us: 0,
            keys_loaded: 0,
            keys_expired: 0,
            skip_checksum: false,
            libraries: Vec::new(),
        }
    }
}

impl Persistence {
    /// Notes that a snapshot begins; the host is to be asked for it.
    pub fn begin(&mut self, now_us: i64) {
        self.scheduled = false;
        self.saves += 1;
        self.last_try = now_us / 1_000_000;
        self.bgsave = Some(Bgsave { began_ms: now_us / 1000, progress: Arc::default() });
    }

    /// Whether writes are to be refused because the last snapshot failed.
    pub fn denies_writes(&self, config: &Config) -> bool {
        use crate::config::params::Param;
        !self.last_ok
            && !config.save_points().is_empty()
            && config.flag(Param::StopWritesOnBgsaveError)
    }
}

/// What `DEBUG RELOAD` does besides loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Save first.
    pub save: bool,
    /// Forget all keys before loading.
    pub flush: bool,
    /// Keys of the file replace those that are there.
    pub merge: bool,
}
