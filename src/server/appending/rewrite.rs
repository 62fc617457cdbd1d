//! How do the files stay short? A rewrite takes a snapshot as the new base; what is logged from that point in time on goes
//! to a new incremental file, and the files before it become history.
//!
//! Invariants: at each moment the manifest on the disk names files that hold all that was acknowledged, so that a crash
//! at any step leaves the old files or the new ones in charge; while the first base is being written
//! (`AofMode::Waiting`) the incremental file has a temporary name that no manifest lists.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::saving::{Begun, Job, announce_alone, as_server, begin_snapshot, write_begun};
use super::{Appender, base_format};
use crate::config::params::Param;
use crate::engine::hooks::{FileStep, ServerEvent};
use crate::engine::lock::Engine;
use crate::engine::persistence::{AofMode, Asked, Progress};
use crate::engine::state::{SaveFailed, State};
use crate::object::module::KeyName;
use crate::object::rdb::Limits;
use crate::persist::aof::convert::{Converted, ask_module, convert};
use crate::persist::aof::folder::{BaseFormat, Folder};
use crate::persist::aof::manifest::{Part, Role};
use crate::persist::io::{Disk, DiskFile, words, write_all};
use crate::persist::rdb::file::NewFile;
use crate::persist::rdb::load::LoadError;
use crate::persist::rdb::value::limits;

/// What a rewrite needs to know, as it was when it began.
#[derive(Debug)]
struct Plan {
    progress: Arc<Progress>,
    mode: AofMode,
    format: BaseFormat,
    /// The time that is noted in front of commands, in unix seconds.
    timestamp: Option<i64>,
    limits: Limits,
    removes_history: bool,
}

/// Starts the thread of a rewrite that was begun.
pub fn start(engine: &Arc<Engine>, appender: &Arc<Appender>) {
    let (own_engine, own_appender) = (Arc::clone(engine), Arc::clone(appender));
    let run = move || run(&own_engine, &own_appender);
    match std::thread::Builder::new().name("aof-rewrite".into()).spawn(run) {
        Ok(_) => tracing::info!(
            "Background append only file rewriting started by pid {}",
            std::process::id()
        ),
        Err(error) => {
            tracing::warn!("Can't rewrite append only file in background: fork: {error}");
            finish(engine, appender, Err(SaveFailed));
        }
    }
}

fn run(engine: &Arc<Engine>, appender: &Appender) {
    let plan = {
        let state = engine.read_patiently();
        let aof = &state.persistence.aof;
        let Some(rewrite) = &aof.rewrite else { return };
        let format = base_format(&state.config);
        let removes_history = !state.config.flag(Param::AofDisableAutoGc);
        Plan {
            progress: Arc::clone(&rewrite.progress),
            mode: aof.mode,
            format,
            timestamp: super::timestamp(&state.config),
            limits: limits(&state.config),
            removes_history,
        }
    };
    let result = rewrite(engine, appender, &plan);
    {
        let mut state = engine.write_patiently();
        let step = if result.is_ok() { FileStep::Done } else { FileStep::Failed };
        announce_alone(&mut state, &engine.shared, ServerEvent::Rewriting(step));
    }
    if result.is_ok() && plan.removes_history {
        // Without a folder there would be no result.
        let _ = appender.with_folder(Folder::remove_history);
    }
    finish(engine, appender, result);
}

/// Writes the new base; its size if all went well.
fn rewrite(engine: &Arc<Engine>, appender: &Appender, plan: &Plan) -> Result<u64, SaveFailed> {
    let next = appender.with_folder(|folder| open_next(folder, plan.mode))??;
    let mut refused = false;
    let mut at_start = |state: &mut State| {
        let is_on = state.persistence.aof.mode == plan.mode;
        let Some(file) = &next else { return };
        if !is_on || !appender.write_out(state, &engine.shared) {
            // What comes now must not be in a file behind one that lacks something.
            refused = true;
            plan.progress.cancelled.store(true, Ordering::Relaxed);
            return;
        }
        appender.begin_file(state, &engine.shared, Arc::clone(file), 0);
    };
    let job = Job {
        progress: Arc::clone(&plan.progress),
        marker: "-aof-base",
        base: true,
        rdb_version_max: u32::MAX,
        at_start: &mut at_start,
    };
    let begun = {
        let mut state = engine.write_patiently();
        let begins = ServerEvent::Rewriting(FileStep::BeginsApart);
        announce_alone(&mut state, &engine.shared, begins);
        begin_snapshot(&mut state, &engine.shared, job)
    };
    if !refused && !matches!(begun, Begun::Failed) {
        answer(engine);
        // What goes wrong here goes wrong again where it is told.
        let _ = appender.writer.sync_retired();
    }
    let mut base = write_begun(engine, begun).ok_or(SaveFailed)?;
    if refused {
        return Err(SaveFailed);
    }
    base.seal().map_err(|error| {
        tracing::warn!("Write error writing append only file on disk: {}", words(&error));
        SaveFailed
    })?;
    let base = match plan.format {
        BaseFormat::Rdb => Base::Snapshot(base),
        BaseFormat::Commands => to_commands(engine, &*appender.disk, plan, base)?,
    };
    let shown = base.path().display().to_string();
    tracing::info!("Successfully created the temporary AOF base file {shown}");
    appender.with_folder(|folder| install(folder, plan, base))?
}

/// Tells whoever asked for the rewrite that it has begun.
fn answer(engine: &Engine) {
    let asked = engine.write_patiently().persistence.aof.asked_by.take();
    if let Some(Asked { client, begun, .. }) = asked {
        client.answer_wait(begun);
    }
}

/// A new base that has no name yet.
enum Base {
    Snapshot(NewFile),
    Commands(Temporary),
}

impl Base {
    fn path(&self) -> &Path {
        match self {
            Base::Snapshot(file) => file.path(),
            Base::Commands(file) => &file.0,
        }
    }

    fn format(&self) -> BaseFormat {
        match self {
            Base::Snapshot(_) => BaseFormat::Rdb,
            Base::Commands(_) => BaseFormat::Commands,
        }
    }

    /// Gives the file its name.
    fn publish(self, path: &Path) -> io::Result<()> {
        match self {
            Base::Snapshot(file) => file.publish(path),
            Base::Commands(file) => std::fs::rename(&file.0, path),
        }
    }
}

/// A file that goes when it is not needed; what has been given a name is not there any more.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed is overwritten by the next attempt.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes the commands that make what a snapshot holds. One that holds what there are no commands for stays the base
/// itself.
fn to_commands(
    engine: &Engine,
    disk: &dyn Disk,
    plan: &Plan,
    snapshot: NewFile,
) -> Result<Base, SaveFailed> {
    let path = PathBuf::from(format!("temp-rewriteaof-bg-{}.aof", std::process::id()));
    let aside = Temporary(path);
    let written = (|| {
        let mut source = File::open(snapshot.path())?;
        let out = disk.append(&aside.0, true)?;
        let mut write = |bytes: &[u8]| {
            if plan.progress.cancelled.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            write_all(&*out, bytes)
        };
        let mut ask = |key: KeyName<'_>, bytes: &[u8], dialect| {
            ask_module(&engine.write_patiently(), key, bytes, dialect)
        };
        let converted = convert(&mut source, plan.limits, plan.timestamp, &mut ask, &mut write)?;
        out.sync()?;
        Ok::<_, LoadError>(converted)
    })();
    match written {
        Ok(Converted::Whole) => Ok(Base::Commands(aside)),
        Ok(Converted::Inexpressible) => Ok(Base::Snapshot(snapshot)),
        Err(error) => {
            tracing::warn!("Write error writing append only file on disk: {error}");
            Err(SaveFailed)
        }
    }
}

/// Opens the incremental file for what will be logged from the snapshot on; none if nothing is logged. The manifest
/// lists it before anything is in it.
fn open_next(folder: &mut Folder, mode: AofMode) -> Result<Option<Arc<dyn DiskFile>>, SaveFailed> {
    let (name, manifest) = match mode {
        AofMode::Off => return Ok(None),
        AofMode::Waiting => (folder.temporary_name(), None),
        AofMode::On => {
            let (manifest, part) = folder.with_new_incremental(folder.manifest());
            (part.name, Some(manifest))
        }
    };
    let file = folder.open_file(&name, true).map_err(|_| SaveFailed)?;
    if let Some(manifest) = manifest {
        folder.persist(manifest).map_err(|_| SaveFailed)?;
    }
    let name = String::from_utf8_lossy(&name);
    tracing::info!("Creating AOF incr file {name} on background rewrite");
    Ok(Some(file))
}

/// Has the new base take the place of the old files; its size.
fn install(folder: &mut Folder, plan: &Plan, base: Base) -> Result<u64, SaveFailed> {
    if plan.progress.cancelled.load(Ordering::Relaxed) {
        return Err(SaveFailed);
    }
    tracing::info!("Background AOF rewrite terminated with success");
    let (mut manifest, part) = folder.with_new_base(folder.manifest(), base.format());
    let path = folder.path_to(&part.name);
    let temporary = base.path().display().to_string();
    let bytes = std::fs::metadata(base.path()).map_or(0, |meta| meta.len());
    let shown = path.display();
    base.publish(&path).map_err(|error| {
        let words = words(&error);
        tracing::warn!(
            "Error trying to rename the temporary AOF base file {temporary} into {shown}: {words}"
        );
        SaveFailed
    })?;
    let name = String::from_utf8_lossy(&part.name);
    tracing::info!("Successfully renamed the temporary AOF base file {temporary} into {name}");
    let mut added = vec![part.name.clone()];
    if plan.mode == AofMode::Waiting {
        let (with_next, next) = folder.with_new_incremental(&manifest);
        manifest = with_next;
        rename_next(folder, &next).inspect_err(|_| folder.remove(&part.name))?;
        added.push(next.name);
    }
    let kept = usize::from(plan.mode != AofMode::Off);
    let past = manifest.incremental.len().saturating_sub(kept);
    for old in manifest.incremental.drain(..past).rev().collect::<Vec<_>>() {
        manifest.history.insert(0, Part { role: Role::History, ..old });
    }
    folder.persist(manifest).map_err(|_| {
        added.iter().for_each(|name| folder.remove(name));
        SaveFailed
    })?;
    Ok(bytes)
}

/// Gives the temporary incremental file its name.
fn rename_next(folder: &Folder, next: &Part) -> Result<(), SaveFailed> {
    let from: PathBuf = folder.path_to(&folder.temporary_name());
    let to = folder.path_to(&next.name);
    let (shown_from, shown_to) = (from.display(), to.display());
    folder.disk().rename(&from, &to).map_err(|error| {
        let words = words(&error);
        tracing::warn!(
            "Error trying to rename the temporary AOF incr file {shown_from} into {shown_to}: {words}"
        );
        SaveFailed
    })?;
    tracing::info!("Successfully renamed the temporary AOF incr file {shown_from} into {shown_to}");
    Ok(())
}

/// Notes how a rewrite ended.
fn finish(engine: &Engine, appender: &Appender, result: Result<u64, SaveFailed>) {
    // After a failure the file that is written may be another one, and the one before counts among the others.
    let all_bytes = if result.is_err() { all_bytes(appender) } else { None };
    let mut state = engine.write_patiently();
    let state = &mut *state;
    let Some(rewrite) = state.persistence.aof.rewrite.take() else { return };
    let now_ms = engine.shared.now_ms();
    let aof = &mut state.persistence.aof;
    aof.last_seconds = Some((now_ms - rewrite.began_ms) / 1000);
    match result {
        Ok(bytes) => {
            aof.last_ok = true;
            aof.failures = 0;
            if aof.mode == AofMode::Waiting {
                aof.mode = AofMode::On;
                engine.shared.durable.set_based(true);
            }
            if aof.mode == AofMode::On {
                aof.other_bytes = bytes;
                aof.base_bytes = bytes + appender.writer.len();
            }
            tracing::info!("Background AOF rewrite finished successfully");
        }
        Err(SaveFailed) => {
            let progress = &rewrite.progress;
            let cancelled = progress.cancelled.load(Ordering::Relaxed);
            match progress.signal.load(Ordering::Relaxed) {
                _ if cancelled => tracing::warn!("Background AOF rewrite terminated by signal 10"),
                0 => tracing::warn!("Background AOF rewrite terminated with error"),
                signal => tracing::warn!("Background AOF rewrite terminated by signal {signal}"),
            }
            if !cancelled {
                aof.last_ok = false;
                aof.failures += 1;
            }
            if let (AofMode::On, Some(bytes)) = (aof.mode, all_bytes) {
                aof.other_bytes = bytes.saturating_sub(appender.writer.len());
            }
            if state.persistence.aof.mode == AofMode::Waiting {
                give_up_next(engine, appender, state);
            }
        }
    }
    go_on(engine, appender, state);
}

/// Answers whoever still waits: if they asked when the rewrite had been given up, theirs begins now; others have not
/// been told that it began, so it has not.
fn go_on(engine: &Engine, appender: &Appender, state: &mut State) {
    let Some(asked) = state.persistence.aof.asked_by.take() else { return };
    let begins = state.persistence.aof.scheduled
        && as_server(state, &engine.shared, |ctx| appender.begin_rewrite(ctx)).is_ok();
    if begins {
        state.persistence.aof.asked_by = Some(asked);
    } else {
        asked.client.answer_wait(&asked.failed);
    }
}

/// Bytes of all files that the manifest lists.
fn all_bytes(appender: &Appender) -> Option<u64> {
    let sizes = appender.with_folder(|folder| {
        let files = folder.manifest().files();
        let size = |part: &Part| {
            std::fs::metadata(folder.path_to(&part.name)).map_or(0, |meta| meta.len())
        };
        files.map(size).sum()
    });
    sizes.ok()
}

/// Drops what was logged for a first base that did not come about; the next attempt is scheduled.
fn give_up_next(engine: &Engine, appender: &Appender, state: &mut State) {
    appender.end_file(state, &engine.shared);
    // Without a folder there is no file either.
    let _ = appender.with_folder(|folder| {
        let name = folder.temporary_name();
        let shown = String::from_utf8_lossy(&name).into_owned();
        tracing::info!("Removing the temp incr aof file {shown} in the background");
        folder.remove(&name);
    });
    state.persistence.aof.scheduled = true;
}
