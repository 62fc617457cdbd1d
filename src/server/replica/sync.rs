//! How does a replica get the whole data set? As a snapshot: received into a file that is loaded then, or loaded as it comes
//! (`repl-diskless-load`), in slices of the lock, while clients are answered that the data set is being loaded.
//!
//! With `swapdb` it is loaded beside the old one, which takes its place only when it is whole. If both are of the same
//! history, the old one is served meanwhile.
//!
//! Invariants: what is half loaded is never served: it is thrown away if loading fails. From the beginning of the loading
//! until its success there is no history that could be gone on with, unless the old data set is still there.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::wire::{Extent, Payload, Wire, WireError};
use super::{Ended, Follower};
use crate::commands::server::flush;
use crate::config::params::Param;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::functions::Libraries;
use crate::engine::hooks::{FileStep, Origin, ServerEvent};
use crate::engine::persistence::AofMode;
use crate::engine::replication::link::{LinkState, Transfer};
use crate::engine::state::State;
use crate::keyspace::Keyspace;
use crate::persist::io::words;
use crate::persist::io::{Disk, LocalDisk};
use crate::persist::rdb::disk;
use crate::persist::rdb::file::folder_of;
use crate::persist::rdb::load::{LoadError, Options, Outcome, Turns, load_in_turns};
use crate::server::loading::Slices;
use crate::server::saving::{self, announce, as_server};

/// Bytes that are written between two syncs, so that the last one is short.
const SYNC_BYTES: usize = 8 << 20;
/// Bytes that are received at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Milliseconds between two notes of how much has come.
const NOTE_MS: i64 = 100;

/// Numbers of the choices of `repl-diskless-load`.
const ON_EMPTY_DB: u32 = 1;
const SWAPDB: u32 = 2;

/// How a snapshot is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From a file, when it is complete.
    Disk,
    /// As it comes.
    Direct,
    /// As it comes, beside the old data set.
    Beside {
        /// The old one, which is of the same history, is served meanwhile.
        serves: bool,
    },
}

impl Way {
    fn of(state: &State, id: Option<&str>) -> Self {
        match state.config.choice(Param::ReplDisklessLoad) {
            SWAPDB => Way::Beside { serves: id == Some(state.replication.id.as_str()) },
            ON_EMPTY_DB if state.keyspace.is_empty() => Way::Direct,
            _ => Way::Disk,
        }
    }
}

impl Follower {
    /// Receives and loads a snapshot of a history that is given with an offset, or of an unknown one.
    pub(super) fn synchronize(
        &self,
        wire: &mut Wire,
        history: Option<(String, u64)>,
    ) -> Result<(), Ended> {
        let way = {
            let mut state = self.state()?;
            let way = Way::of(&state, history.as_ref().map(|(id, _)| id.as_str()));
            let now_ms = self.engine.shared.now_ms();
            if let Some(link) = state.replication.link_mut() {
                link.state = LinkState::Sync;
                link.transfer =
                    Some(Transfer { total_bytes: None, read_bytes: 0, heard_ms: now_ms });
            }
            way
        };
        let extent = self.read_extent(wire, way)?;
        self.note(|link, now_ms| {
            let total_bytes = extent.bytes();
            link.transfer = Some(Transfer { total_bytes, read_bytes: 0, heard_ms: now_ms });
        })?;
        let marked = extent.bytes().is_none();
        let loaded = match way {
            Way::Disk => {
                let file = self.receive(wire, extent)?;
                self.load_file(wire, file)
            }
            Way::Direct | Way::Beside { .. } => self.load_stream(wire, extent, way),
        };
        let outcome = loaded?;
        self.adopt(history, outcome)?;
        tracing::info!("MASTER <-> REPLICA sync: Finished with success");
        crate::server::supervisor::tell(
            "STATUS=MASTER <-> REPLICA sync: Finished with success. Ready to accept connections in \
             read-write mode.\n",
        );
        if marked {
            // The primary waits for it before it sends the stream.
            self.acknowledge(wire).map_err(|_| Ended::Lost)?;
        }
        Ok(())
    }

    /// What the line in front of the snapshot says.
    fn read_extent(&self, wire: &mut Wire, way: Way) -> Result<Extent, Ended> {
        let line = loop {
            // Empty lines say that the primary is busy with the snapshot.
            let line = wire.read_line().map_err(|error| {
                told("reading bulk count", &error);
                Ended::NotLoaded
            })?;
            if !line.is_empty() {
                break String::from_utf8_lossy(&line).into_owned();
            }
            self.note(|link, now_ms| {
                if let Some(transfer) = &mut link.transfer {
                    transfer.heard_ms = now_ms;
                }
            })?;
        };
        let target = if way == Way::Disk { "to disk" } else { "to parser" };
        let extent = Extent::parse(&line);
        match &extent {
            Some(Extent::Mark(_)) => tracing::info!(
                "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF {target}"
            ),
            Some(Extent::Bytes(bytes)) => tracing::info!(
                "MASTER <-> REPLICA sync: receiving {bytes} bytes from master {target}"
            ),
            None if line.starts_with('-') => {
                tracing::warn!("MASTER aborted replication with an error: {}", &line[1..]);
            }
            None => tracing::warn!(
                "Bad protocol from MASTER, the first byte is not '$' (we received '{line}'), are you \
                 sure the host and port are right?"
            ),
        }
        extent.ok_or(Ended::NotLoaded)
    }

    /// Receives a snapshot into the file that SAVE writes.
    fn receive(&self, wire: &mut Wire, extent: Extent) -> Result<PathBuf, Ended> {
        let now_s = self.engine.shared.now_ms() / 1000;
        let temporary = PathBuf::from(format!("temp-{now_s}.{}.rdb", std::process::id()));
        let received = self.receive_as(wire, extent, &temporary);
        if received.is_err() {
            // What cannot be removed is overwritten some day.
            let _ = fs::remove_file(&temporary);
        }
        received
    }

    fn receive_as(
        &self,
        wire: &mut Wire,
        extent: Extent,
        temporary: &Path,
    ) -> Result<PathBuf, Ended> {
        let mut file = File::create(temporary).map_err(|error| {
            tracing::warn!(
                "Opening the temp file needed for MASTER <-> REPLICA synchronization: {}",
                words(&error)
            );
            Ended::NotLoaded
        })?;
        let last = AtomicI64::new(0);
        let note = |bytes| self.note_received(bytes, &last);
        let mut payload = Payload::new(wire, extent, &note);
        let mut piece = vec![0; PIECE_BYTES];
        let mut unsynced = 0;
        loop {
            let count = payload.read(&mut piece).map_err(|error| {
                told("trying to sync with MASTER", &WireError::Io(error));
                Ended::NotLoaded
            })?;
            let step = match count {
                0 => file.sync_all(),
                _ => file.write_all(&piece[..count]),
            };
            unsynced += count;
            let step = match step {
                Ok(()) if unsynced >= SYNC_BYTES => {
                    unsynced = 0;
                    file.sync_data()
                }
                step => step,
            };
            step.map_err(|error| {
                tracing::warn!(
                    "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA \
                     synchronization: {}",
                    words(&error)
                );
                Ended::NotLoaded
            })?;
            if count == 0 {
                break;
            }
        }
        let mut state = self.state()?;
        // It would write over what is received.
        if state.persistence.bgsave.is_some() {
            tracing::info!(
                "Replica is about to load the RDB file received from the master, but there is a pending RDB \
                 child running."
            );
            saving::cancel(&state);
            state.persistence.scheduled = false;
        }
        let name = disk::path(&state.config);
        // What takes long is done without the lock: to free the file that is replaced, and to sync.
        let replaced = fs::File::open(&name);
        let renamed = fs::rename(temporary, &name);
        drop(state);
        drop(replaced);
        renamed.and_then(|()| LocalDisk.sync_folder(folder_of(&name))).map_err(|error| {
            tracing::warn!(
                "Failed trying to rename the temp DB into {} in MASTER <-> REPLICA synchronization: {}",
                name.display(),
                words(&error)
            );
            Ended::NotLoaded
        })?;
        Ok(name)
    }

    /// Notes how much of the snapshot has come, now and then.
    fn note_received(&self, bytes: u64, last: &AtomicI64) {
        let now_ms = self.engine.shared.now_ms();
        if now_ms - last.load(Ordering::Relaxed) < NOTE_MS {
            return;
        }
        let Some(mut state) = self.engine.try_write() else { return };
        last.store(now_ms, Ordering::Relaxed);
        let link = state.replication.link_mut().filter(|link| link.generation == self.generation);
        if let Some(transfer) = link.and_then(|link| link.transfer.as_mut()) {
            (transfer.read_bytes, transfer.heard_ms) = (bytes, now_ms);
        }
    }

    /// Loads the file that was received.
    fn load_file(&self, wire: &mut Wire, path: PathBuf) -> Result<Outcome, Ended> {
        let mut file = File::open(&path).map_err(|error| {
            tracing::warn!(
                "Fatal error: can't open the RDB file {}: {}",
                path.display(),
                words(&error)
            );
            Ended::NotLoaded
        })?;
        let bytes = file.metadata().map(|meta| meta.len()).unwrap_or(0);
        self.begin_loading(Way::Disk, bytes)?;
        let loaded = self.load_from(&mut file, Some(bytes), Way::Disk, &mut || wire.keep_alive());
        let removes = {
            let state = self.state()?;
            state.config.flag(Param::RdbDelSyncFiles)
                && state.config.save_points().is_empty()
                && !state.config.flag(Param::Appendonly)
        };
        if removes {
            tracing::info!(
                "Removing the RDB file obtained from the master. This replica has persistence disabled"
            );
            let _ = fs::remove_file(&path);
        }
        self.end_loading(loaded, Way::Disk)
    }

    /// Loads the snapshot as it comes.
    fn load_stream(&self, wire: &mut Wire, extent: Extent, way: Way) -> Result<Outcome, Ended> {
        let bytes = extent.bytes();
        self.begin_loading(way, bytes.unwrap_or(0))?;
        let last = AtomicI64::new(0);
        let note = |bytes| self.note_received(bytes, &last);
        let mut payload = Payload::new(wire, extent, &note);
        let loaded = self.load_from(&mut payload, bytes, way, &mut || Ok(()));
        let loaded = loaded.and_then(|loaded| {
            // What comes behind the snapshot's own end is the mark, at most.
            let rest = io::copy(&mut payload, &mut io::sink())?;
            match rest == 0 && payload.is_over() {
                true => Ok(loaded),
                false => {
                    tracing::warn!("Replication stream EOF marker is broken");
                    Err(io::Error::from(io::ErrorKind::InvalidData).into())
                }
            }
        });
        self.end_loading(loaded, way)
    }

    /// Makes room for what comes.
    fn begin_loading(&self, way: Way, bytes: u64) -> Result<(), Ended> {
        let mut state = self.state()?;
        let shared = &self.engine.shared;
        as_server(&mut state, shared, |ctx| {
            if ctx.state.persistence.aof.mode != AofMode::Off {
                // It begins anew with what is loaded. What went wrong is in the log.
                let _ = shared.host.append_only(ctx, false);
            }
            saving::cancel(ctx.state);
            if !matches!(way, Way::Beside { .. }) {
                leave_history(ctx.state);
                tracing::info!("MASTER <-> REPLICA sync: Flushing old data");
                flush(ctx, None);
                drop(ctx.state.functions.clear());
            }
            if let Way::Beside { .. } = way {
                announce(ctx, ServerEvent::LoadingBeside(FileStep::Begins));
            }
            tracing::info!("MASTER <-> REPLICA sync: Loading DB in memory");
            match way {
                Way::Beside { serves: true } => {
                    shared.loading.begin_beside(shared.now_ms() / 1000, bytes);
                }
                _ => shared.loading.begin(shared.now_ms() / 1000, bytes),
            }
            announce(ctx, ServerEvent::Loading(Origin::Primary, FileStep::Begins));
        });
        Ok(())
    }

    fn load_from(
        &self,
        source: &mut (dyn Read + Send),
        bytes: Option<u64>,
        way: Way,
        keep_alive: &mut dyn FnMut() -> Result<(), WireError>,
    ) -> Result<(Outcome, Option<Keyspace>), LoadError> {
        let beside = matches!(way, Way::Beside { .. });
        let keyspace = beside.then(|| Keyspace::new(self.engine.shared.databases as usize));
        let mut turns = OwnTurns {
            slices: Slices::new(&self.engine, &self.engine.shared.loading),
            follower: self,
            beside: keyspace,
            libraries: Libraries::default(),
            keep_alive,
        };
        // The primary says when keys go.
        let options = Options { keep_expired: true, bytes, ..Options::default() };
        let outcome = load_in_turns(&mut turns, source, options)?;
        let OwnTurns { beside, libraries, slices, .. } = turns;
        drop(slices);
        if beside.is_some() {
            let mut state = self.engine.write_patiently();
            state.functions.change(|own| *own = libraries);
        }
        Ok((outcome, beside))
    }

    /// Puts what was loaded in place, or throws it away.
    fn end_loading(
        &self,
        loaded: Result<(Outcome, Option<Keyspace>), LoadError>,
        way: Way,
    ) -> Result<Outcome, Ended> {
        let shared = &self.engine.shared;
        // Also if the link was replaced: nobody else ends this.
        let mut state = self.engine.write_patiently();
        let step = if loaded.is_ok() { FileStep::Done } else { FileStep::Failed };
        let result = as_server(&mut state, shared, |ctx| {
            let result = match loaded {
                Ok((outcome, beside)) => {
                    if let Some(mut keyspace) = beside {
                        leave_history(ctx.state);
                        tracing::info!(
                            "MASTER <-> REPLICA sync: Swapping active DB with loaded DB"
                        );
                        flush(ctx, None);
                        ctx.state.keyspace.replace(&mut keyspace);
                        announce(ctx, ServerEvent::LoadingBeside(FileStep::Done));
                        tracing::info!("MASTER <-> REPLICA sync: Discarding old DB in background");
                    }
                    Ok(outcome)
                }
                Err(error) => {
                    tell_failure(&error, way);
                    match way {
                        Way::Beside { .. } => {
                            announce(ctx, ServerEvent::LoadingBeside(FileStep::Failed));
                        }
                        _ => flush(ctx, None),
                    }
                    Err(Ended::NotLoaded)
                }
            };
            shared.loading.end();
            announce(ctx, ServerEvent::Loading(Origin::Primary, step));
            result
        });
        let outcome = result?;
        let Outcome { loaded, expired, .. } = outcome;
        tracing::info!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}.");
        state.persistence.keys_loaded = loaded;
        state.persistence.keys_expired = expired;
        // No file has what was loaded.
        state.dirty += u64::from(way != Way::Disk);
        Ok(outcome)
    }

    /// From here on the history is the primary's.
    fn adopt(&self, history: Option<(String, u64)>, outcome: Outcome) -> Result<(), Ended> {
        let mut state = self.state()?;
        let replication = &mut state.replication;
        replication.stream_db = outcome.stream_db.unwrap_or(0);
        match history {
            Some((id, offset)) => {
                replication.adopt_history(id, offset);
                replication.resumes = true;
            }
            // It has none that could be gone on with.
            None => {
                replication.begin_history();
                replication.begin_backlog();
            }
        }
        if let Some(link) = replication.link_mut() {
            link.transfer = None;
        }
        if state.config.flag(Param::Appendonly) {
            as_server(&mut state, &self.engine.shared, |ctx| {
                // What went wrong is in the log, and it is tried again by the cron.
                let _ = ctx.env.shared.host.append_only(ctx, true);
            });
        }
        Ok(())
    }
}

/// The history that was followed so far cannot be gone on with, and those who follow this server must learn it.
fn leave_history(state: &mut State) {
    let replication = &mut state.replication;
    if std::mem::take(&mut replication.resumes) {
        tracing::info!("Discarding previously cached master state.");
    }
    replication.disconnect_replicas();
    replication.end_backlog();
}

/// Writes to the log why receiving failed.
fn told(what: &str, error: &WireError) {
    match error {
        WireError::Ended => {}
        WireError::Silence => tracing::warn!(
            "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' \
             parameter in redis.conf to a larger value."
        ),
        WireError::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            told(what, &WireError::Silence);
        }
        WireError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            tracing::warn!("I/O error {what}: connection lost");
        }
        WireError::Io(error) => tracing::warn!("I/O error {what}: {}", words(error)),
    }
}

fn tell_failure(error: &LoadError, way: Way) {
    tracing::warn!("{error}");
    match way {
        Way::Disk => tracing::warn!(
            "Failed trying to load the MASTER synchronization DB from disk, check server logs."
        ),
        _ => tracing::warn!(
            "Failed trying to load the MASTER synchronization DB from socket, check server logs."
        ),
    }
    if let Way::Beside { .. } = way {
        tracing::info!("MASTER <-> REPLICA sync: Discarding temporary DB in background");
    }
}

/// Slices of the lock, in which a data set beside the served one takes its place.
struct OwnTurns<'a> {
    slices: Slices<'a>,
    follower: &'a Follower,
    beside: Option<Keyspace>,
    libraries: Libraries,
    keep_alive: &'a mut dyn FnMut() -> Result<(), WireError>,
}

impl OwnTurns<'_> {
    fn alive(&mut self) -> Result<(), LoadError> {
        if self.follower.stop.is_ended() {
            return Err(LoadError::Cancelled);
        }
        (self.keep_alive)().map_err(|error| io::Error::from(error).into())
    }
}

impl Turns for OwnTurns<'_> {
    fn with(&mut self, f: &mut dyn FnMut(&mut ExclusiveCtx<'_>)) {
        let Some(keyspace) = &mut self.beside else { return self.slices.with(f) };
        let libraries = &mut self.libraries;
        self.slices.with(&mut |ctx| {
            ctx.state.keyspace.lend(keyspace);
            ctx.state.functions.lend(libraries);
            f(ctx);
            ctx.state.functions.lend(libraries);
            ctx.state.keyspace.lend(keyspace);
        });
    }

    fn loaded(&mut self, offset: u64) -> Result<(), LoadError> {
        self.slices.loaded(offset)?;
        self.alive()
    }

    fn idle(&mut self, time: Option<Duration>) {
        self.slices.idle(time);
    }

    fn note_used_memory(&mut self, bytes: u64) {
        self.slices.note_used_memory(bytes);
    }
}
