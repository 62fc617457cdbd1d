//! Who saves and loads, and when? SAVE and DEBUG RELOAD at once, under the exclusive lock of their command; BGSAVE
//! and the save points in a thread of their own; the end of the process last.
//!
//! A snapshot in the background is taken while the engine goes on (`saving/walker.rs`), or by a child process
//! (`saving/child.rs`). Invariant: at most one is under way, as `state.persistence.is_busy` says.

mod child;
pub mod exchange;
mod walker;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{loading, syncing};
use crate::commands::server::REDIS_VERSION;
use crate::config::params::Param;
use crate::engine::call::{self, Access};
use crate::engine::client::Session;
use crate::engine::ctx::{Env, ExclusiveCtx};
use crate::engine::effects::Unit;
use crate::engine::hooks::{Change, FileStep, ServerEvent};
use crate::engine::lock::Engine;
use crate::engine::persistence::{self, Progress, RETRY_SECONDS, Reload};
use crate::engine::replication::Way;
use crate::engine::state::{SaveFailed, Shared, State};
use crate::object::module::ModuleValue;
use crate::persist::rdb::disk;
use crate::persist::rdb::file::NewFile;
use crate::persist::rdb::load::Options;
use crate::persist::rdb::pipe::{self, Pipe};
use crate::persist::rdb::save::{Facts, SnapshotError};

/// The numbers of two choices of `snapshot-method`.
const INLINE: u32 = 1;
const FORK: u32 = 2;

/// The signal by which a snapshot that is cancelled counts as ended: SIGUSR1, as in Redis.
const CANCELLED: i32 = 10;

pub(super) fn facts(shared: &Shared, now_us: i64) -> Facts<'static> {
    Facts {
        version: REDIS_VERSION,
        now_us,
        used_memory: (shared.used_memory)(),
        base: false,
        rdb_version_max: u32::MAX,
    }
}

/// The facts of the base of an append-only file.
pub(super) fn facts_of_base(shared: &Shared) -> Facts<'static> {
    Facts { base: true, ..facts(shared, (shared.clock.unix_us)()) }
}

/// Notes whether writes are refused from now on.
pub fn mirror(state: &State, shared: &Shared) {
    let denied = state.persistence.denies_writes(&state.config);
    shared.writes_denied.store(denied, Ordering::Relaxed);
}

/// Tells modules how far saving or loading is.
pub(super) fn announce(ctx: &mut ExclusiveCtx<'_>, event: ServerEvent<'_>) {
    if let Some(hooks) = ctx.state.hooks.clone() {
        hooks.server_event(ctx, event);
    }
}

/// Calls `f` as the server itself.
pub fn as_server<R>(
    state: &mut State,
    shared: &Shared,
    f: impl FnOnce(&mut ExclusiveCtx<'_>) -> R,
) -> R {
    let now_us = (shared.clock.unix_us)();
    let env = Env { shared, stats: &shared.workers[0], worker: 0, client: None, now_us };
    let mut session = Session::default();
    // What modules do while the data set is loaded is not propagated, as in Redis.
    let mut unit = Unit { muted: shared.loading.is_on(), ..Unit::default() };
    let result = f(&mut ExclusiveCtx { state, session: &mut session, unit: &mut unit, env });
    if unit.has_jobs || !unit.records.is_empty() {
        // Modules that were told of something have written.
        let mut unit = Unit { has_jobs: unit.has_jobs, records: unit.records, ..Unit::default() };
        call::end_unit(&mut Access::Exclusive(state), &mut unit, env);
    }
    result
}

/// Tells modules of something as a unit of its own.
pub fn announce_alone(state: &mut State, shared: &Shared, event: ServerEvent<'_>) {
    as_server(state, shared, |ctx| announce(ctx, event));
}

/// SAVE: writes the file, now.
pub fn save(ctx: &mut ExclusiveCtx<'_>) -> Result<(), SaveFailed> {
    announce(ctx, ServerEvent::Saving(FileStep::Begins));
    let saved = write_now(ctx.state, ctx.env.shared);
    let step = if saved.is_ok() { FileStep::Done } else { FileStep::Failed };
    announce(ctx, ServerEvent::Saving(step));
    saved
}

fn write_now(state: &mut State, shared: &Shared) -> Result<(), SaveFailed> {
    let now_us = (shared.clock.unix_us)();
    if !disk::save(state, &facts(shared, now_us)) {
        return Err(SaveFailed);
    }
    tracing::info!("DB saved on disk");
    state.dirty = 0;
    state.saved_at = (shared.clock.unix_us)() / 1_000_000;
    state.persistence.last_ok = true;
    mirror(state, shared);
    Ok(())
}

const CANNOT_LOAD: &str = "ERR Error trying to load the RDB dump, check server logs.";

/// DEBUG RELOAD: saves and loads, now. A file that cannot be loaded ends the process if what it was to replace is
/// gone.
pub fn reload(ctx: &mut ExclusiveCtx<'_>, how: Reload) -> Result<(), &'static str> {
    if how.save && save(ctx).is_err() {
        return Err("ERR Error trying to save the DB, check server logs.");
    }
    if how.flush {
        // Values of modules are freed here, under the lock that they need.
        drop(ctx.state.keyspace.flush_all());
        drop(ctx.state.functions.clear());
    }
    let dirty = ctx.state.dirty;
    let options = Options { replace: how.merge, ..Options::default() };
    match loading::load_announced(ctx, options) {
        Ok(Some(_)) => {}
        Ok(None) => return Err(CANNOT_LOAD),
        Err(error) => {
            disk::report(&error);
            if how.flush {
                std::process::exit(1);
            }
            return Err(CANNOT_LOAD);
        }
    }
    ctx.state.dirty = dirty;
    tracing::warn!("DB reloaded by DEBUG RELOAD");
    Ok(())
}

/// What becomes of a snapshot in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is the file that the data set is loaded from (BGSAVE, save points).
    File,
    /// The same, and replicas get it.
    FileForReplicas,
    /// Replicas get it as it is taken.
    Stream,
}

/// A snapshot whose point in time was taken.
struct Saving {
    begun: Begun,
    purpose: Purpose,
    /// Changes that the last file has not, and this one will have.
    dirty: u64,
}

/// Takes the point in time of a snapshot that [`Persistence::begin`] has noted.
///
/// [`Persistence::begin`]: crate::engine::persistence::Persistence::begin
pub fn begin(ctx: &mut ExclusiveCtx<'_>) {
    begin_for(ctx, Purpose::File, u32::MAX);
}

/// The same for a purpose, and in a version of the format that is this one at most.
pub(super) fn begin_for(ctx: &mut ExclusiveCtx<'_>, purpose: Purpose, rdb_version_max: u32) {
    announce(ctx, ServerEvent::Saving(FileStep::BeginsApart));
    let Some(bgsave) = &ctx.state.persistence.bgsave else { return };
    let progress = Arc::clone(&bgsave.progress);
    let mut dirty = 0;
    let mut at_start = |state: &mut State| dirty = state.dirty;
    let at_start = &mut at_start;
    let job = Job { progress, marker: "-bg", base: false, rdb_version_max, at_start };
    let begun = begin_snapshot(ctx.state, ctx.env.shared, job);
    ctx.state.persistence.begun =
        Some(persistence::Begun(Box::new(Saving { begun, purpose, dirty })));
}

/// Starts the thread that writes a snapshot that was begun.
pub fn start(engine: &Arc<Engine>) {
    let own = Arc::clone(engine);
    let started = std::thread::Builder::new().name("bgsave".into()).spawn(move || run(&own));
    match started {
        Ok(_) => {
            let started = match engine.read_patiently().replication.snapshot() {
                Some(snapshot) if snapshot.way == Way::Sockets => "RDB transfer",
                _ => "saving",
            };
            tracing::info!("Background {started} started by pid {}", saver(engine));
        }
        Err(error) => {
            tracing::warn!("Can't save in background: fork: {error}");
            if let Some(bgsave) = &engine.read_patiently().persistence.bgsave {
                bgsave.progress.cancelled.store(true, Ordering::Relaxed);
            }
            run(engine);
        }
    }
}

/// The process that takes the snapshot.
fn saver(engine: &Engine) -> u32 {
    let state = engine.read_patiently();
    let child = state.persistence.bgsave.as_ref().and_then(|bgsave| bgsave.progress.child.get());
    child.copied().unwrap_or_else(std::process::id)
}

/// Writes a snapshot that was begun.
fn run(engine: &Arc<Engine>) {
    let (progress, target, begun) = {
        let mut state = engine.write_patiently();
        let Some(bgsave) = &state.persistence.bgsave else { return };
        let progress = Arc::clone(&bgsave.progress);
        (progress, disk::path(&state.config), state.persistence.begun.take())
    };
    let Some(saving) = begun.and_then(|begun| begun.0.downcast::<Saving>().ok()) else {
        return finish(engine, false, 0, Purpose::File);
    };
    let Saving { begun, purpose, dirty } = *saving;
    if purpose == Purpose::Stream {
        let sent = syncing::stream(engine, begun);
        return finish(engine, sent, 0, purpose);
    }
    let written = write_begun(engine, begun);
    let written = written.and_then(|mut file| disk::seal(&mut file).then_some(file));
    // FLUSHALL cancels under the exclusive lock and then saves: what it has replaced must not come back.
    let permit = || {
        let state = engine.read_patiently();
        (!progress.cancelled.load(Ordering::Relaxed)).then_some(state)
    };
    let saved = written.is_some_and(|file| disk::publish(file, &target, permit));
    if saved {
        tracing::info!("DB saved on disk");
    }
    finish(engine, saved, dirty, purpose);
}

/// What a snapshot is taken for.
pub(super) struct Job<'a> {
    /// How far it is, and whether it is to end.
    pub progress: Arc<Progress>,
    /// Part of the temporary file's name.
    pub marker: &'a str,
    /// The file is the base of an append-only file.
    pub base: bool,
    /// No later version of the format is written.
    pub rdb_version_max: u32,
    /// Called under the exclusive lock, at the very point in time that the snapshot shows; once, unless a child's
    /// file cannot be made.
    pub at_start: &'a mut dyn FnMut(&mut State),
}

/// A snapshot whose point in time was taken.
pub(super) enum Begun {
    Walk(Box<walker::Begun>),
    Child(child::Begun),
    /// It cannot be taken, as the log says.
    Failed,
}

/// Takes the point in time of a snapshot, which must then be written. One at a time: callers see to that.
pub(super) fn begin_snapshot(state: &mut State, shared: &Shared, job: Job<'_>) -> Begun {
    match is_forked(state) {
        true => match child::begin(state, shared, job) {
            Some(child) => {
                announce_alone(state, shared, ServerEvent::Child(Change::Up));
                Begun::Child(child)
            }
            None => Begun::Failed,
        },
        false => Begun::Walk(Box::new(walker::begin(state, shared, job))),
    }
}

/// Writes it to a new file, which is not yet sealed; None, after having told the log why, if there is none.
pub(super) fn write_begun(engine: &Engine, begun: Begun) -> Option<NewFile> {
    let begun = match begun {
        Begun::Walk(begun) => *begun,
        Begun::Child(child) => return finish_child(engine, child),
        Begun::Failed => return None,
    };
    let file_style = disk::file_style(&engine.read_patiently().config);
    let Some(mut file) = disk::create(&begun.marker, file_style) else {
        walker::give_up(engine, begun);
        return None;
    };
    pour(engine, begun, move |pipe| disk::write_from(pipe, &mut file).then_some(file))
}

/// Waits for a child and its file, and tells modules that it is gone.
fn finish_child(engine: &Engine, child: child::Begun) -> Option<NewFile> {
    let file = child::finish(child);
    let mut state = engine.write_patiently();
    announce_alone(&mut state, &engine.shared, ServerEvent::Child(Change::Down));
    file
}

/// Walks a snapshot into a pipe, whose bytes `take` takes in a thread of its own. What that hands out, if the snapshot
/// is whole.
fn pour<T: Send>(
    engine: &Engine,
    begun: walker::Begun,
    take: impl FnOnce(&Pipe) -> Option<T> + Send,
) -> Option<T> {
    let pipe = Pipe::new(pipe::BYTES_MAX);
    std::thread::scope(|threads| {
        let outlet = &pipe;
        let taker = threads.spawn(move || {
            let taken = take(outlet);
            outlet.abandon();
            taken
        });
        let walked = walker::walk(engine, begun, &pipe);
        pipe.end();
        let taken = match taker.join() {
            Ok(taken) => taken,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match walked {
            Ok(()) => taken,
            // What has gone wrong is told elsewhere.
            Err(SnapshotError::Cancelled | SnapshotError::Abandoned) => None,
            Err(error) => {
                tracing::warn!("Write error while saving DB to the disk(rdbSaveRio): {error}");
                None
            }
        }
    })
}

/// Hands the bytes of a snapshot, all but its checksum, to `give`, until that says no more. Whether they were all.
pub(super) fn hand_out(
    engine: &Engine,
    begun: Begun,
    give: &mut (dyn FnMut(Vec<u8>) -> bool + Send),
) -> bool {
    match begun {
        Begun::Failed => false,
        Begun::Walk(begun) => pour(engine, *begun, |pipe| {
            while let Some(chunk) = pipe.take() {
                if !give(chunk) {
                    return None;
                }
            }
            Some(())
        })
        .is_some(),
        Begun::Child(child) => finish_child(engine, child).is_some_and(|file| {
            let handed = disk::read_in_parts(file.path(), give);
            handed
                .inspect_err(|error| tracing::warn!("cannot read the snapshot: {error}"))
                .is_ok_and(|all| all)
        }),
    }
}

/// Whether a child process takes the snapshot: if the configuration says so, or says nothing and a value of a module could
/// change where the keyspace does not see it.
fn is_forked(state: &State) -> bool {
    match state.config.choice(Param::SnapshotMethod) {
        FORK => true,
        INLINE => false,
        _ => ModuleValue::live_unseen() > 0,
    }
}

/// Notes how a snapshot ended, and hands it on to the replicas that it is for.
fn finish(engine: &Arc<Engine>, saved: bool, dirty: u64, purpose: Purpose) {
    let shared = &engine.shared;
    let mut state = engine.write_patiently();
    let now_ms = shared.now_ms();
    let state = &mut *state;
    let began = state.persistence.bgsave.take();
    let signal = began.as_ref().map_or(0, |bgsave| {
        let cancelled = bgsave.progress.cancelled.load(Ordering::Relaxed);
        if cancelled { CANCELLED } else { bgsave.progress.signal.load(Ordering::Relaxed) }
    });
    if purpose == Purpose::Stream {
        match saved {
            true => tracing::info!("Background RDB transfer terminated with success"),
            false if signal == 0 => tracing::warn!("Background transfer error"),
            false => tracing::warn!("Background transfer terminated by signal {signal}"),
        }
    } else if saved {
        tracing::info!("Background saving terminated with success");
        state.dirty = state.dirty.saturating_sub(dirty);
        state.saved_at = now_ms / 1000;
        state.persistence.last_ok = true;
    } else {
        match signal {
            0 => tracing::warn!("Background saving error"),
            signal => tracing::warn!("Background saving terminated by signal {signal}"),
        }
        state.persistence.last_ok &= signal == CANCELLED;
    }
    if let Some(bgsave) = began {
        state.persistence.last_seconds = Some((now_ms - bgsave.began_ms) / 1000);
        state.persistence.last_handed_bytes = bgsave.progress.handed_bytes.load(Ordering::Relaxed);
    }
    mirror(state, shared);
    if purpose != Purpose::File {
        syncing::hand_on(engine, state, saved, purpose);
    }
    let step = if saved { FileStep::Done } else { FileStep::Failed };
    as_server(state, shared, |ctx| announce(ctx, ServerEvent::Saving(step)));
}

/// Starts a snapshot if one was asked for or a save point has been reached; several times a second.
pub fn visit(engine: &Arc<Engine>) {
    let Some(mut state) = engine.try_write() else { return };
    let now_us = (engine.shared.clock.unix_us)();
    if state.persistence.is_busy() || !is_due(&state, now_us / 1_000_000) {
        return;
    }
    state.persistence.begin(now_us);
    as_server(&mut state, &engine.shared, begin);
    drop(state);
    start(engine);
}

fn is_due(state: &State, now: i64) -> bool {
    if state.persistence.scheduled {
        return true;
    }
    let may_try = state.persistence.last_ok || now - state.persistence.last_try > RETRY_SECONDS;
    let reached = state.config.save_points().iter().find(|point| {
        state.dirty >= point.changes
            && now - state.saved_at > i64::try_from(point.seconds).unwrap_or(i64::MAX)
    });
    if let (Some(point), true) = (reached, may_try) {
        tracing::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
        return true;
    }
    false
}

/// Ends a snapshot that is under way: the process is about to end.
pub fn cancel(state: &State) {
    if let Some(bgsave) = &state.persistence.bgsave {
        tracing::warn!("There is a child saving an .rdb. Killing it!");
        give_up(&bgsave.progress);
    }
}

/// Ends a snapshot, and removes its file: the thread that looks after it may not live long enough.
pub(super) fn give_up(progress: &Progress) {
    progress.cancelled.store(true, Ordering::Relaxed);
    if let Some(left) = progress.temporary.get() {
        // There is none before it was made, and when the thread was faster.
        let _ = std::fs::remove_file(left);
    }
}
