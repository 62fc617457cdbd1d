//! Who writes and loads the append-only file, and when? It is loaded at the start, if there is one; workers write it
//! before what they answer leaves (`worker.rs`); a thread of its own syncs it; a rewrite is a snapshot that
//! becomes the base, and a new file for what is logged from that point in time on.
//!
//! Order of locks: the engine's, the folder's, the writer's. A sync happens under the engine's only when a command asks for
//! what needs one: to close the file, or to remove files.

pub mod start;

pub mod rewrite;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::Config;
use crate::config::params::Param;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::durable::{Durable, Policy};
use crate::engine::effects::Request;
use crate::engine::lock::Engine;
use crate::engine::persistence::AofMode;
use crate::engine::state::{SaveFailed, Shared, State};
use crate::persist::aof::folder::{BaseFormat, Folder};
use crate::persist::aof::writer::{WriteFailed, Writer};
use crate::persist::io::{Disk, DiskFile, LocalDisk, words};

/// How long the thread that syncs waits for work.
const SECOND: Duration = Duration::from_secs(1);
/// The longest wait for others to share a sync with.
const GATHER_MAX: Duration = Duration::from_millis(2);
/// A sync that takes less than this is no reason to wait for another thread.
const QUICK: Duration = Duration::from_millis(1);
/// How long the thread that syncs waits after a failure.
const RETRY: Duration = Duration::from_millis(100);

/// The append-only file of a process.
#[derive(Debug)]
pub struct Appender {
    /// Writes the current file.
    pub(super) writer: Writer,
    /// The files; none until they are loaded or begun.
    pub(super) folder: Mutex<Option<Folder>>,
    disk: Arc<dyn Disk>,
    /// Held by whoever syncs.
    syncing: Mutex<()>,
    /// `DEBUG AOF-FLUSH-SLEEP`, in microseconds.
    delay_us: AtomicU64,
}

impl Default for Appender {
    fn default() -> Self {
        Self {
            writer: Writer::default(),
            folder: Mutex::default(),
            disk: Arc::new(LocalDisk),
            syncing: Mutex::default(),
            delay_us: AtomicU64::new(0),
        }
    }
}

fn now_s() -> i64 {
    (super::clock::CLOCK.unix_us)() / 1_000_000
}

/// The form that the configuration wants a base in.
pub(super) fn base_format(config: &Config) -> BaseFormat {
    match config.flag(Param::AofUseRdbPreamble) {
        true => BaseFormat::Rdb,
        false => BaseFormat::Commands,
    }
}

/// The time that is noted in front of a base of commands, in unix seconds, if times are noted.
pub(super) fn timestamp(config: &Config) -> Option<i64> {
    config.flag(Param::AofTimestampEnabled).then(now_s)
}

impl Appender {
    /// Writes what was logged.
    pub fn write(&self, durable: &Durable) -> bool {
        self.delay_write();
        self.writer.write(durable, now_s())
    }

    fn delay_write(&self) {
        let delay_us = self.delay_us.load(Ordering::Relaxed);
        if delay_us > 0 {
            std::thread::sleep(Duration::from_micros(delay_us));
        }
    }

    /// `DEBUG AOF-FLUSH-SLEEP`.
    pub fn delay(&self, micros: u64) {
        self.delay_us.store(micros, Ordering::Relaxed);
    }

    /// Bytes of the current file, and bytes on their way to it.
    pub fn bytes(&self, durable: &Durable) -> (u64, usize) {
        (self.writer.len(), self.writer.buffered_bytes() + durable.pending_bytes())
    }

    /// Reads the manifest, if that has not been done.
    pub(super) fn open_folder(&self, config: &Config) -> Result<(), SaveFailed> {
        let mut folder = self.folder.lock();
        if folder.is_none() {
            let opened = Folder::open(Arc::clone(&self.disk), config);
            *folder = Some(opened.map_err(|error| {
                tracing::warn!("{error}");
                SaveFailed
            })?);
        }
        Ok(())
    }

    /// Forgets what is known of the files, so that it is read anew.
    pub(super) fn close_folder(&self) {
        *self.folder.lock() = None;
    }

    /// Calls `f` with the folder.
    pub(super) fn with_folder<R>(&self, f: impl FnOnce(&mut Folder) -> R) -> Result<R, SaveFailed> {
        self.folder.lock().as_mut().map(f).ok_or(SaveFailed)
    }

    /// Removes files that are no longer needed, unless they are to be kept.
    pub fn remove_history(&self, config: &Config) {
        if !config.flag(Param::AofDisableAutoGc) {
            // Without a folder there is none.
            let _ = self.with_folder(Folder::remove_history);
        }
    }

    /// Has what is logged from now on go to `file`. To be called under the exclusive lock, when what was logged
    /// before has been written.
    pub(super) fn begin_file(
        &self,
        state: &mut State,
        shared: &Shared,
        file: Arc<dyn DiskFile>,
        len: u64,
    ) {
        self.writer.switch(file, len, shared.durable.appended());
        state.log.begin_aof(state.config.flag(Param::AofTimestampEnabled));
    }

    /// Writes and hands over all that was logged; false if that failed. To be called under the exclusive lock.
    pub(super) fn write_out(&self, state: &mut State, shared: &Shared) -> bool {
        state.log.hand_over(&shared.durable);
        self.writer.write(&shared.durable, now_s())
    }

    /// Ends the file. What could not be written is given up.
    pub(super) fn end_file(&self, state: &mut State, shared: &Shared) {
        state.log.end_aof();
        self.writer.close();
        drop(shared.durable.take(Vec::new()));
        shared.durable.note_failure(None);
        // Nobody waits for it any more.
        shared.durable.note_synced(shared.durable.appended());
    }

    /// Writes and syncs all that was logged, because the process or the file is to end; false if that failed.
    pub fn flush(&self, state: &mut State, shared: &Shared) -> bool {
        let durable = &shared.durable;
        state.log.hand_over(durable);
        let synced = match self.writer.write_for_sync(durable, now_s()) {
            Ok(Some(what)) => self.writer.sync(durable, what),
            Ok(None) => Ok(()),
            Err(WriteFailed) => return false,
        };
        if let Err(error) = &synced {
            tracing::warn!("Fail to fsync the AOF file: {}", words(error));
        }
        synced.is_ok()
    }

    /// `CONFIG SET appendonly`.
    pub fn switch(&self, ctx: &mut ExclusiveCtx<'_>, on: bool) -> Result<(), SaveFailed> {
        let aof = &ctx.state.persistence.aof;
        match (aof.mode, on) {
            (AofMode::Off, true) => self.switch_on(ctx),
            (AofMode::Waiting | AofMode::On, false) => {
                self.switch_off(ctx);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn switch_on(&self, ctx: &mut ExclusiveCtx<'_>) -> Result<(), SaveFailed> {
        ctx.state.persistence.aof.mode = AofMode::Waiting;
        let busy = ctx.state.persistence.is_busy();
        if busy || ctx.unit.in_exec {
            let why = match busy {
                true => "there is already another background operation",
                false => "it was enabled during a transaction",
            };
            tracing::info!(
                "AOF was enabled but {why}. An AOF background was scheduled to start when possible."
            );
            if let Some(rewrite) = &ctx.state.persistence.aof.rewrite {
                // It does not gather what is written from now on.
                rewrite.progress.cancelled.store(true, Ordering::Relaxed);
            }
            ctx.state.persistence.aof.scheduled = true;
        } else if self.begin_rewrite(ctx).is_err() {
            ctx.state.persistence.aof.mode = AofMode::Off;
            tracing::warn!(
                "Mortise needs to enable the AOF but can't trigger a background AOF rewrite operation. Check the \
                 above logs for more info about the error."
            );
            return Err(SaveFailed);
        }
        Ok(())
    }

    fn switch_off(&self, ctx: &mut ExclusiveCtx<'_>) {
        let shared = ctx.env.shared;
        // What cannot be written or synced is in the log, and was not asked for any more.
        let _ = self.flush(ctx.state, shared);
        self.end_file(ctx.state, shared);
        let aof = &mut ctx.state.persistence.aof;
        aof.mode = AofMode::Off;
        shared.durable.set_based(false);
        aof.scheduled = false;
        if let Some(rewrite) = &aof.rewrite {
            tracing::info!("Killing running AOF rewrite child: {}", std::process::id());
            rewrite.progress.cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// Begins a rewrite.
    pub fn begin_rewrite(&self, ctx: &mut ExclusiveCtx<'_>) -> Result<(), SaveFailed> {
        self.open_folder(&ctx.state.config)?;
        let created = self.with_folder(|folder| folder.create())?;
        if created.is_err() {
            ctx.state.persistence.aof.last_ok = false;
            return Err(SaveFailed);
        }
        ctx.state.persistence.aof.begin(ctx.env.now_us);
        ctx.env.shared.host.request(Request::RewriteAof);
        Ok(())
    }
}

/// Starts the thread that syncs.
pub fn start_syncing(engine: &Arc<Engine>, appender: &Arc<Appender>) -> std::io::Result<()> {
    let (engine, appender) = (Arc::clone(engine), Arc::clone(appender));
    std::thread::Builder::new().name("aof-sync".into()).spawn(move || sync(&engine, &appender))?;
    Ok(())
}

/// Syncs for ever.
fn sync(engine: &Engine, appender: &Appender) {
    let durable = &engine.shared.durable;
    let mut gather = Duration::ZERO;
    loop {
        let asked = durable.wait_for_work(SECOND);
        match durable.policy() {
            Policy::Always if asked => _ = durable.gather(gather),
            Policy::Always => {}
            Policy::EverySecond => {
                durable.gather(Duration::ZERO);
                if is_held_off(engine) {
                    continue;
                }
            }
            Policy::Never => {
                durable.gather(Duration::ZERO);
                continue;
            }
        }
        let _syncing = appender.syncing.lock();
        match sync_once(durable, appender) {
            Ok(Some(took)) => gather = (took / 2).min(GATHER_MAX),
            Ok(None) => {}
            Err(WriteFailed) => std::thread::sleep(RETRY),
        }
    }
}

impl Appender {
    /// Syncs what there is, unless somebody else is doing that.
    pub fn sync_now(&self, durable: &Durable) {
        if let Some(_syncing) = self.syncing.try_lock() {
            // Under `always` the process does not outlive a failure.
            let _ = sync_once(durable, self);
        }
    }
}

/// Syncs what there is; how long that took, if there was anything. Under `always` the process does not outlive a failure:
/// what it has promised can no longer be kept.
fn sync_once(durable: &Durable, appender: &Appender) -> Result<Option<Duration>, WriteFailed> {
    let began = Instant::now();
    appender.delay_write();
    let always = durable.waits_for_sync();
    let what = appender.writer.write_for_sync(durable, now_s()).inspect_err(|_| {
        if always {
            tracing::warn!(
                "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting..."
            );
            std::process::exit(1);
        }
    })?;
    let Some(what) = what else { return Ok(None) };
    if let Err(error) = appender.writer.sync(durable, what) {
        let why = words(&error);
        if always {
            tracing::warn!(
                "Can't persist AOF for fsync error when the AOF fsync policy is 'always': {why}. Exiting..."
            );
            std::process::exit(1);
        }
        tracing::warn!("Fail to fsync the AOF file: {why}");
        durable.note_sync_failure(Some(why));
        return Err(WriteFailed);
    }
    durable.note_sync_failure(None);
    let took = began.elapsed();
    durable.note_quick_sync((took < QUICK).then(|| took.as_nanos().max(1) as u64));
    Ok(Some(took))
}

/// `no-appendfsync-on-rewrite`, while there is one.
fn is_held_off(engine: &Engine) -> bool {
    // A script that keeps the engine keeps it from being rewritten as well.
    engine.read().is_ok_and(|state| {
        state.config.flag(Param::NoAppendfsyncOnRewrite) && state.persistence.is_busy()
    })
}

/// Looks after the file, several times a second: tries again what failed, and starts a rewrite that is due.
pub fn visit(engine: &Engine, appender: &Appender) {
    let shared = &engine.shared;
    if shared.durable.is_failing() && appender.write(&shared.durable) {
        shared.durable.wake_workers();
    }
    // Before the engine's lock: whoever writes may be kept by the disk.
    let len = appender.writer.len();
    let Some(mut state) = engine.try_write() else { return };
    if state.persistence.is_busy() || shared.loading.is_on() {
        return;
    }
    let now = now_s();
    let persistence = &mut state.persistence;
    if persistence.aof.scheduled {
        if persistence.aof.must_wait(now) {
            return;
        }
    } else {
        let bytes = persistence.aof.other_bytes + len;
        let State { persistence, config, .. } = &mut *state;
        let Some(growth) = persistence.aof.has_grown(config, bytes) else { return };
        if persistence.aof.must_wait(now) {
            return;
        }
        tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
    }
    let begun = super::saving::as_server(&mut state, shared, |ctx| appender.begin_rewrite(ctx));
    if begun.is_err() {
        let aof = &mut state.persistence.aof;
        aof.failures += 1;
    }
}
