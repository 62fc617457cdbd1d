//! What does the engine know of its files? Whether a snapshot is being written, how the last one ended, what
//! was loaded. Files are written and read elsewhere (`persist`), on behalf of the host.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::client::Client;
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
    /// The child which takes it; none if the server does.
    pub child: OnceLock<u32>,
    /// The file that it goes to, under its temporary name.
    pub temporary: OnceLock<PathBuf>,
}

/// A snapshot that is being written.
#[derive(Clone, Debug)]
pub struct Bgsave {
    /// When it began, unix milliseconds.
    pub began_ms: i64,
    /// How far it is.
    pub progress: Arc<Progress>,
}

/// A snapshot whose point in time was taken, until the host writes it; the host knows its type.
pub struct Begun(pub Box<dyn Any + Send + Sync>);

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}

/// What becomes of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AofMode {
    /// It goes to no file.
    #[default]
    Off,
    /// It is to go to a file, as soon as there is a base: a rewrite is under way or scheduled.
    Waiting,
    /// It goes to a file.
    On,
}

/// Failed rewrites in a row after which the next one has to wait.
const FAILURES_MAX: u32 = 3;
/// The longest such wait, in minutes.
const DELAY_MINUTES_MAX: i64 = 60;

/// Who asked for a rewrite, and what they are answered when it has begun, or could not.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "explained above")]
pub struct Asked {
    pub client: Arc<Client>,
    pub begun: &'static [u8],
    pub failed: Vec<u8>,
}

/// What is known of the append-only file.
#[derive(Debug)]
pub struct Aof {
    /// What becomes of the log.
    pub mode: AofMode,
    /// The rewrite that is under way.
    pub rewrite: Option<Bgsave>,
    /// Who asked for it, and waits to hear whether it has begun.
    pub asked_by: Option<Asked>,
    /// One is to follow.
    pub scheduled: bool,
    /// The last rewrite ended well.
    pub last_ok: bool,
    /// How many seconds it took.
    pub last_seconds: Option<i64>,
    /// Rewrites that were begun.
    pub rewrites: u64,
    /// Rewrites in a row that failed.
    pub failures: u32,
    /// The wait after failures, in minutes, and its end, unix seconds.
    delay: Option<(i64, i64)>,
    /// Bytes of all files but the one that is being written.
    pub other_bytes: u64,
    /// Bytes of all files when the last rewrite ended.
    pub base_bytes: u64,
}

impl Default for Aof {
    fn default() -> Self {
        Self {
            mode: AofMode::Off,
            rewrite: None,
            asked_by: None,
            scheduled: false,
            last_ok: true,
            last_seconds: None,
            rewrites: 0,
            failures: 0,
            delay: None,
            other_bytes: 0,
            base_bytes: 0,
        }
    }
}

impl Aof {
    /// Notes that a rewrite begins; the host is to be asked for it.
    pub fn begin(&mut self, now_us: i64) {
        self.scheduled = false;
        self.rewrites += 1;
        self.rewrite = Some(Bgsave { began_ms: now_us / 1000, progress: Arc::default() });
    }

    /// Whether a rewrite was given up and has not come to its end yet.
    pub fn is_ending(&self) -> bool {
        self.rewrite.as_ref().is_some_and(|job| job.progress.cancelled.load(Ordering::Relaxed))
    }

    /// Whether a rewrite has to wait, because the last ones failed: a minute, then twice as long each time.
    pub fn must_wait(&mut self, now: i64) -> bool {
        if self.failures < FAILURES_MAX {
            self.delay = None;
            return false;
        }
        match self.delay {
            Some((_, end)) if now < end => true,
            Some((minutes, end)) if end != 0 => {
                self.delay = Some((minutes, 0));
                false
            }
            last => {
                let minutes = last.map_or(1, |(minutes, _)| minutes * 2).min(DELAY_MINUTES_MAX);
                self.delay = Some((minutes, now + minutes * 60));
                tracing::warn!(
                    "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {minutes} \
                     minutes"
                );
                true
            }
        }
    }

    /// By how many percent the files have grown, if that is so much that they are to be rewritten. `bytes` are those of
    /// all files.
    pub fn has_grown(&self, config: &Config, bytes: u64) -> Option<u64> {
        use crate::config::params::Param;
        let wanted = config.uint(Param::AutoAofRewritePercentage);
        if wanted == 0
            || self.mode != AofMode::On
            || bytes <= config.uint(Param::AutoAofRewriteMinSize)
        {
            return None;
        }
        let base = self.base_bytes.max(1);
        let growth = (u128::from(bytes) * 100 / u128::from(base)).saturating_sub(100) as u64;
        (growth >= wanted).then_some(growth)
    }
}

/// What is known of the child that foreign code has forked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModuleChild {
    /// It is there.
    pub runs: bool,
    /// Bytes that the last one did not share with this process when it ended.
    pub unshared_bytes: u64,
}

impl ModuleChild {
    /// It begins.
    pub fn begin(&mut self) {
        self.runs = true;
    }

    /// It has ended.
    pub fn end(&mut self, unshared_bytes: u64) {
        *self = Self { runs: false, unshared_bytes };
    }
}

/// The engine's knowledge of its files.
#[derive(Debug)]
pub struct Persistence {
    /// The snapshot that is being written.
    pub bgsave: Option<Bgsave>,
    /// What of it the host has still to take.
    pub begun: Option<Begun>,
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
    /// The child that foreign code has forked.
    pub module_child: ModuleChild,
    /// Keys of the file that was loaded last.
    pub keys_loaded: u64,
    /// Keys of it that had expired.
    pub keys_expired: u64,
    /// Compact forms that were checked whole as `sanitize-dump-payload` wants it.
    pub payloads_checked: u64,
    /// `DEBUG SET-SKIP-CHECKSUM-VALIDATION`.
    pub skip_checksum: bool,
    /// The append-only file.
    pub aof: Aof,
}

impl Default for Persistence {
    fn default() -> Self {
        Self {
            bgsave: None,
            begun: None,
            scheduled: false,
            last_ok: true,
            last_try: 0,
            last_seconds: None,
            last_handed_bytes: 0,
            saves: 0,
            forks: 0,
            last_fork_us: 0,
            module_child: ModuleChild::default(),
            keys_loaded: 0,
            keys_expired: 0,
            payloads_checked: 0,
            skip_checksum: false,
            aof: Aof::default(),
        }
    }
}

impl Persistence {
    /// Whether a child process shares the memory of this one, so that whatever is written is copied.
    pub fn has_child(&self) -> bool {
        let jobs = self.bgsave.iter().chain(&self.aof.rewrite);
        self.module_child.runs
            || jobs.map(|job| job.progress.child.get()).any(|child| child.is_some())
    }

    /// Notes that a snapshot begins; the host is to be asked to begin it ([`Host::begin_saving`]).
    ///
    /// [`Host::begin_saving`]: super::state::Host::begin_saving
    pub fn begin(&mut self, now_us: i64) {
        self.scheduled = false;
        self.saves += 1;
        self.last_try = now_us / 1_000_000;
        self.bgsave = Some(Bgsave { began_ms: now_us / 1000, progress: Arc::default() });
    }

    /// Whether a snapshot is being written, for whatever purpose: there is one at a time.
    pub fn is_busy(&self) -> bool {
        self.bgsave.is_some() || self.aof.rewrite.is_some()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_that_fail_wait_longer_and_longer() {
        let mut aof = Aof { failures: 2, ..Aof::default() };
        assert!(!aof.must_wait(0));
        aof.failures = 3;
        assert!(aof.must_wait(0) && aof.must_wait(59));
        assert!(!aof.must_wait(60));
        assert!(aof.must_wait(61) && aof.must_wait(180));
        assert!(!aof.must_wait(181));
        aof.failures = 0;
        assert!(!aof.must_wait(182));
        aof.failures = 3;
        assert!(aof.must_wait(200) && !aof.must_wait(260));
    }

    #[test]
    fn growth_is_counted_from_the_last_rewrite() {
        use crate::config::params::Param;
        use crate::config::value::Value;
        let mut config = Config::default();
        config.put(Param::AutoAofRewriteMinSize, Value::Number(100));
        let mut aof = Aof { mode: AofMode::On, base_bytes: 100, ..Aof::default() };
        assert_eq!((aof.has_grown(&config, 199), aof.has_grown(&config, 200)), (None, Some(100)));
        aof.base_bytes = 0;
        assert_eq!((aof.has_grown(&config, 100), aof.has_grown(&config, 101)), (None, Some(10000)));
        aof.mode = AofMode::Waiting;
        assert_eq!(aof.has_grown(&config, 1000), None);
    }
}
