//! How does the data set come back? What is loaded at the start of the process, and how one file is.

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom};
use std::time::Instant;

use super::saving::{announce, as_server};
use crate::config::Config;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::loading::LoadProgress;
use crate::engine::lock::Engine;
use crate::engine::state::{FileStep, SaveFailed, ServerEvent};
use crate::persist::rdb::disk;
use crate::persist::rdb::load::{LoadError, Options, Outcome, load};

/// Loads the data set at the start of the process. An error was reported: the process is to end.
pub(super) fn at_start(engine: &Engine) -> Result<(), SaveFailed> {
    // With `appendonly yes` it is the append-only files that are loaded, once they are written.
    dump_file(engine).map_err(|error| {
        disk::report(&error);
        SaveFailed
    })
}

/// Loads the file that SAVE writes, if it is there.
fn dump_file(engine: &Engine) -> Result<(), LoadError> {
    let (began, shared) = (Instant::now(), &engine.shared);
    let mut state = engine.write_patiently();
    let Some(mut file) = open_dump(&state.config)? else { return Ok(()) };
    shared.loading.begin(shared.now_ms() / 1000, file.metadata()?.len());
    as_server(&mut state, shared, |ctx| announce(ctx, ServerEvent::Loading(FileStep::Begins)));
    drop(state);
    let loaded = load_rdb(engine, &mut file, Options::default(), &shared.loading);
    let mut state = engine.write_patiently();
    shared.loading.end();
    as_server(&mut state, shared, |ctx| note_end(ctx, &loaded));
    loaded?;
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
    let mut state = engine.write_patiently();
    let outcome = as_server(&mut state, &engine.shared, |ctx| load(ctx, file, options))?;
    drop(state);
    file.seek(SeekFrom::Start(start + outcome.bytes))?;
    progress.end_part(outcome.bytes);
    Ok(outcome)
}

/// Loads the file that SAVE writes while a command keeps the engine, telling modules of it; None if it is not there.
pub(super) fn load_announced(
    ctx: &mut ExclusiveCtx<'_>,
    options: Options,
) -> Result<Option<Outcome>, LoadError> {
    let Some(mut file) = open_dump(&ctx.state.config)? else { return Ok(None) };
    announce(ctx, ServerEvent::Loading(FileStep::Begins));
    let loaded = load(ctx, &mut file, options);
    note_end(ctx, &loaded);
    loaded.map(Some)
}

/// Opens the file that SAVE writes; None if it is not there.
fn open_dump(config: &Config) -> Result<Option<File>, LoadError> {
    let path = disk::path(config);
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let (path, words) = (path.display(), disk::words(&error));
            tracing::warn!("Fatal error: can't open the RDB file {path} for reading: {words}");
            Err(error.into())
        }
    }
}

/// Tells modules and the log what came of loading a file.
fn note_end(ctx: &mut ExclusiveCtx<'_>, loaded: &Result<Outcome, LoadError>) {
    let Ok(Outcome { loaded, expired, empty, .. }) = loaded else {
        announce(ctx, ServerEvent::Loading(FileStep::Failed));
        return;
    };
    let skipped = match empty {
        0 => String::new(),
        empty => format!(", empty keys skipped: {empty}"),
    };
    tracing::info!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}{skipped}.");
    ctx.state.persistence.keys_loaded = *loaded;
    ctx.state.persistence.keys_expired = *expired;
    announce(ctx, ServerEvent::Loading(FileStep::Done));
}
