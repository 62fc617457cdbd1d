//! How does the data set come back? At the start of the process by a thread of its own, while clients are answered that
//! it is being loaded; by DEBUG RELOAD under the lock of its command, which lends it (`loading/lending.rs`).
//!
//! The loading thread takes the lock for slices: after some bytes of the file, `loading-process-events-interval-bytes`
//! at most, whoever waits for the lock has it first. Commands that may run meanwhile (INFO, CONFIG, SHUTDOWN, ...) wait
//! for one slice.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

pub(super) mod lending;

use lending::{Lending, Lent};

use super::appending::Appender;
use super::appending::start::Holder;
use super::libraries::{self, LibraryFile};
use super::saving::{announce, as_server};
use crate::config::Config;
use crate::config::params::Param;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::hooks::{FileStep, Origin, ServerEvent};
use crate::engine::loading::LoadProgress;
use crate::engine::lock::{Engine, Writing};
use crate::engine::state::SaveFailed;
use crate::persist::rdb::disk;
use crate::persist::rdb::load::{LoadError, Options, Outcome, Turns, load_in_turns};

/// Bytes of the file after which others have the lock at the latest: well under a millisecond.
const SLICE_BYTES_MAX: u64 = 256 * 1024;

/// The same in nanoseconds, since keys of modules and modules that follow keys may take long.
const SLICE_NS_MAX: u64 = 1_000_000;

/// How long a delay lasts before it is looked whether loading is still wanted.
const NAP: Duration = Duration::from_millis(10);

/// The loading at the start of the process.
#[derive(Debug)]
pub(super) struct Loading {
    /// Whether it is done.
    pub(super) done: watch::Receiver<bool>,
    /// Hears of it when it fails.
    pub(super) failed: mpsc::UnboundedReceiver<()>,
}

/// Starts the thread that loads the data set, and then the libraries of functions. From here on commands are refused.
pub(super) fn start(
    engine: &Arc<Engine>,
    appender: &Arc<Appender>,
    libraries: Vec<LibraryFile>,
) -> io::Result<Loading> {
    let (done, is_done) = watch::channel(false);
    let (failed, has_failed) = mpsc::unbounded_channel();
    let shared = &engine.shared;
    {
        let _state = engine.write_patiently();
        shared.loading.begin(shared.now_ms() / 1000, 0);
    }
    let (engine, appender) = (Arc::clone(engine), Arc::clone(appender));
    std::thread::Builder::new().name("loading".into()).spawn(move || {
        // The tables that it makes are the workers' to change.
        crate::allocator::use_arena_of(1);
        let loaded =
            at_start(&engine, &appender).and_then(|()| libraries::load(&engine, &libraries));
        {
            let _state = engine.write_patiently();
            engine.shared.loading.end();
        }
        // Without receivers the process is ending already, as it is if loading was given up for that.
        match loaded {
            Ok(()) => done.send_replace(true),
            Err(_) if engine.shared.loading.is_cancelled() => false,
            Err(_) => failed.send(()).is_ok(),
        };
    })?;
    Ok(Loading { done: is_done, failed: has_failed })
}

/// Loads the data set. An error was reported: the process is to end.
pub(super) fn at_start(engine: &Engine, appender: &Appender) -> Result<(), SaveFailed> {
    let appends = engine.read_patiently().config.flag(Param::Appendonly);
    if appends {
        appender.load(Holder::Nobody(engine))?;
        let mut state = engine.write_patiently();
        appender.open(&mut state, &engine.shared)?;
        appender.remove_history(&state.config);
        state.dirty = 0;
        return Ok(());
    }
    dump_file(engine).map_err(|error| {
        if !matches!(error, LoadError::Cancelled) {
            disk::report(&error);
        }
        SaveFailed
    })
}

/// Loads the file that SAVE writes, if it is there.
fn dump_file(engine: &Engine) -> Result<(), LoadError> {
    let (began, shared) = (Instant::now(), &engine.shared);
    let mut state = engine.write_patiently();
    let Some(mut file) = open_dump(&state.config)? else { return Ok(()) };
    shared.loading.begin(shared.now_ms() / 1000, file.metadata()?.len());
    as_server(&mut state, shared, |ctx| {
        announce(ctx, ServerEvent::Loading(Origin::File, FileStep::Begins))
    });
    // A replica's primary says when keys go; a primary says so to those who come back to it.
    let is_replica = state.replication.is_replica();
    if !is_replica {
        state.replication.begin_backlog();
    }
    let options =
        Options { keep_expired: is_replica, tells_expired: !is_replica, ..Options::default() };
    drop(state);
    let loaded = load_rdb(engine, &mut file, options, &shared.loading);
    let mut state = engine.write_patiently();
    shared.loading.end();
    as_server(&mut state, shared, |ctx| note_end(ctx, &loaded));
    match loaded? {
        Outcome { history: Some(id), offset: Some(offset), stream_db, .. } => {
            let id = String::from_utf8_lossy(&id).into_owned();
            state.replication.take_up(id, offset, stream_db.unwrap_or(0));
        }
        // Nobody can know what there is.
        _ if !is_replica => state.replication.end_backlog(),
        _ => {}
    }
    tracing::info!("DB loaded from disk: {:.3} seconds", began.elapsed().as_secs_f64());
    Ok(())
}

/// Loads a snapshot from where the file stands, and leaves the file behind it. Takes the lock itself, for a slice
/// at a time. Whoever calls says when loading begins and ends, and tells of it.
pub(super) fn load_rdb(
    engine: &Engine,
    file: &mut File,
    options: Options,
    progress: &LoadProgress,
) -> Result<Outcome, LoadError> {
    let start = file.stream_position()?;
    let options = Options { bytes: Some(file.metadata()?.len().saturating_sub(start)), ..options };
    let mut slices = Slices::new(engine, progress);
    let outcome = load_in_turns(&mut slices, file, options)?;
    drop(slices);
    file.seek(SeekFrom::Start(start + outcome.bytes))?;
    progress.end_part(outcome.bytes);
    Ok(outcome)
}

/// Holds the lock for a slice of the file at a time.
pub(super) struct Slices<'a> {
    engine: &'a Engine,
    progress: &'a LoadProgress,
    state: Option<Writing<'a>>,
    /// Where in the file the slice began.
    began: u64,
    /// When it began, in nanoseconds of the monotonic clock.
    began_ns: u64,
    /// Bytes that it has at most.
    bytes_max: u64,
}

impl<'a> Slices<'a> {
    /// Slices of an engine, whose progress is noted there.
    pub(super) fn new(engine: &'a Engine, progress: &'a LoadProgress) -> Self {
        Self { engine, progress, state: None, began: 0, began_ns: 0, bytes_max: 0 }
    }
}

impl Turns for Slices<'_> {
    fn with(&mut self, f: &mut dyn FnMut(&mut ExclusiveCtx<'_>)) {
        let (engine, began_ns) = (self.engine, &mut self.began_ns);
        let state = self.state.get_or_insert_with(|| {
            let state = engine.write_patiently();
            *began_ns = (engine.shared.clock.mono_ns)();
            state
        });
        let interval = state.config.uint(Param::LoadingProcessEventsIntervalBytes);
        self.bytes_max = interval.min(SLICE_BYTES_MAX);
        as_server(state, &engine.shared, f);
    }

    fn loaded(&mut self, offset: u64) -> Result<(), LoadError> {
        self.progress.note(offset);
        let clock = self.engine.shared.clock.mono_ns;
        let is_over = offset - self.began >= self.bytes_max
            || clock().saturating_sub(self.began_ns) >= SLICE_NS_MAX;
        if is_over {
            self.began = offset;
            if let Some(state) = &mut self.state {
                state.give_way();
                self.began_ns = clock();
            }
        }
        if self.progress.is_cancelled() { Err(LoadError::Cancelled) } else { Ok(()) }
    }

    fn idle(&mut self, time: Option<Duration>) {
        self.state = None;
        let mut left = time.unwrap_or_default();
        while !left.is_zero() && !self.progress.is_cancelled() {
            let nap = left.min(NAP);
            std::thread::sleep(nap);
            left -= nap;
        }
    }

    fn note_used_memory(&mut self, bytes: u64) {
        self.progress.note_used_memory(bytes);
    }
}

/// Loads the file that SAVE writes while a command keeps the engine, telling modules of it; None if it is not there.
pub(super) fn load_announced(
    ctx: &mut ExclusiveCtx<'_>,
    options: Options,
) -> Result<Option<Outcome>, LoadError> {
    let Some(file) = open_dump(&ctx.state.config)? else { return Ok(None) };
    load_file(ctx, file, options).map(Some)
}

/// Loads a file while a command keeps the engine, telling modules of it.
pub(super) fn load_file(
    ctx: &mut ExclusiveCtx<'_>,
    mut file: File,
    options: Options,
) -> Result<Outcome, LoadError> {
    let (shared, total) = (ctx.env.shared, file.metadata()?.len());
    shared.loading.begin(shared.now_ms() / 1000, total);
    announce(ctx, ServerEvent::Loading(Origin::File, FileStep::Begins));
    let options = Options { bytes: Some(total), ..options };
    let mut lending = Lending::new();
    let loaded = load_in_turns(&mut Lent { ctx, lending: &mut lending }, &mut file, options);
    drop(lending);
    shared.loading.end();
    note_end(ctx, &loaded);
    loaded
}

/// Opens the file that SAVE writes; None if it is not there.
fn open_dump(config: &Config) -> Result<Option<File>, LoadError> {
    let path = disk::path(config);
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let (path, words) = (path.display(), crate::persist::io::words(&error));
            tracing::warn!("Fatal error: can't open the RDB file {path} for reading: {words}");
            Err(error.into())
        }
    }
}

/// Tells modules and the log what came of loading a file.
fn note_end(ctx: &mut ExclusiveCtx<'_>, loaded: &Result<Outcome, LoadError>) {
    let Ok(Outcome { loaded, expired, empty, .. }) = loaded else {
        announce(ctx, ServerEvent::Loading(Origin::File, FileStep::Failed));
        return;
    };
    let skipped = match empty {
        0 => String::new(),
        empty => format!(", empty keys skipped: {empty}"),
    };
    tracing::info!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}{skipped}.");
    ctx.state.persistence.keys_loaded = *loaded;
    ctx.state.persistence.keys_expired = *expired;
    announce(ctx, ServerEvent::Loading(Origin::File, FileStep::Done));
}
