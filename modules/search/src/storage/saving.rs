//! When are the pieces of indexes put on disk, and when do they leave it?
//!
//! The server says that it begins a snapshot, asks for what belongs to no key (at the very moment that the snapshot shows),
//! and says how it ended. The pieces are taken at the second of these and written after the third, so that nothing is
//! written for a snapshot that fails or goes to a replica without a file. Until then the pieces are kept alive, and
//! what is written to meanwhile is copied.
//!
//! A snapshot that the whole server waits for (SAVE, the end of the process) has its pieces written before it goes on;
//! otherwise a thread does it. When both ask, the older ones of the same kind are given up: what was written for them
//! counts for the newer ones.
//!
//! Servers that take snapshots in a child process ask the child, which can neither wait nor start threads: it writes no id,
//! and its snapshots are loaded without segments.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{fs, process};

use mortise_module::{CallFlags, Context, LogLevel, Saving, ServerEvent, log};

use crate::error::Error;
use crate::index::bits::Bits;
use crate::index::sealed::Segment;
use crate::index::storing::Kept;
use crate::index::tier::Tier;
use crate::index::worker::{self, Lane};
use crate::storage::codec::Encoder;
use crate::storage::file::{self, Seal};
use crate::storage::manifest::{
    self, BYTES_MAX, EXTENSION, IndexPart, Kind, Manifest, Part, SegmentPart,
};
use crate::storage::{Uid, fingerprint, folder, manifest_path};
use crate::{registry, settings};

/// Snapshots that may be under way at once: one in the background, one that everything waits for.
const PENDING_MAX: usize = 4;
/// How far the thread stands back behind the server's, by the kernel's measure.
const NICE: i32 = 10;

/// A snapshot that the server has begun.
struct Pending {
    kind: Kind,
    /// The server waits for it.
    at_once: bool,
    /// The file that it will replace.
    replaces: Option<FileId>,
    taken: Option<Taken>,
}

/// Tells a file from one that has taken its place.
type FileId = (u64, u64, i64, i64);

/// All indexes at one moment.
struct Taken {
    id: Uid,
    at_ms: u64,
    indexes: Vec<Kept>,
}

static PENDING: Mutex<Vec<Pending>> = Mutex::new(Vec::new());

/// The process that has loaded the module, as opposed to its children.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// How many saves of each kind have been asked for: an older one is given up.
static ASKED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// What files are known to hold, and which manifest was loaded.
#[derive(Default)]
struct Disk {
    seals: HashMap<Uid, Seal>,
    loaded: Option<(Uid, Kind)>,
}

static DISK: Mutex<Option<Disk>> = Mutex::new(None);

/// What INFO says of the last save.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    /// Bytes of all files of the last save.
    pub bytes: u64,
    /// Bytes of those that were not on disk already.
    pub written: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// Saves that went well, and those that did not.
    pub saves: u64,
    /// See there.
    pub failures: u64,
}

static FIGURES: Mutex<Figures> =
    Mutex::new(Figures { bytes: 0, written: 0, ms: 0, saves: 0, failures: 0 });

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What INFO says.
pub fn figures() -> Figures {
    *lock(&FIGURES)
}

/// Notes which process is the server.
pub fn begin() {
    PROCESS.store(process::id(), Ordering::Relaxed);
}

fn is_child() -> bool {
    process::id() != PROCESS.load(Ordering::Relaxed)
}

/// The server begins to save, or has ended.
pub fn on_persistence(ctx: &mut Context<'_>, event: &ServerEvent<'_>) {
    let ServerEvent::Persistence(step) = event else { return };
    if is_child() {
        return;
    }
    let (kind, at_once) = match step {
        Saving::Rdb => (Kind::Rdb, false),
        Saving::RdbAtOnce => (Kind::Rdb, true),
        Saving::Aof => (Kind::Aof, false),
        Saving::AofAtOnce => (Kind::Aof, true),
        Saving::Ended | Saving::Failed => {
            let pending = lock(&PENDING).pop();
            if let (Saving::Ended, Some(pending)) = (step, pending) {
                put_in_place(ctx, pending);
            }
            return;
        }
    };
    let replaces = if is_unused() { None } else { dump_file(ctx) };
    let mut pending = lock(&PENDING);
    if pending.len() == PENDING_MAX {
        // The end of these was never told.
        pending.clear();
    }
    pending.push(Pending { kind, at_once, replaces, taken: None });
}

/// Whether there is neither an index nor anything on disk, so that saving costs no more than without the module.
fn is_unused() -> bool {
    registry::is_empty() && !folder().is_ok_and(|folder| folder.is_dir())
}

/// The file that SAVE writes, as it is now.
fn dump_file(ctx: &mut Context<'_>) -> Option<FileId> {
    let reply = ctx.call("CONFIG", &[&"GET", &"dbfilename"], CallFlags::NONE).ok()?;
    let name = reply.value().elements().nth(1)?.as_bytes()?.to_vec();
    let found = fs::metadata(String::from_utf8(name).ok()?).ok()?;
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

/// The id of the snapshot that is being taken, if its segments are to be kept: called when the server asks for what
/// belongs to no key.
pub fn take() -> Option<Uid> {
    if is_child() || !settings::PERSIST_SEGMENTS.get() || registry::is_empty() {
        return None;
    }
    let mut all = lock(&PENDING);
    let pending = all.last_mut()?;
    let taken = pending.taken.get_or_insert_with(|| Taken {
        id: Uid::new(),
        at_ms: u64::try_from(registry::now_ms()).unwrap_or(0),
        // One that is still being filled is built from the keys.
        indexes: registry::with(|all| {
            let whole = all.iter_mut().filter(|entry| entry.scan.is_none());
            whole.map(|entry| entry.index.keep()).collect()
        }),
    });
    Some(taken.id)
}

/// A snapshot is where it should be: its segments follow.
fn put_in_place(ctx: &mut Context<'_>, pending: Pending) {
    let Pending { kind, at_once, replaces, taken } = pending;
    if taken.is_none() && is_unused() {
        return;
    }
    // One that went to replicas, or into another file, has left the file as it was.
    if kind == Kind::Rdb && dump_file(ctx) == replaces {
        return;
    }
    let folder = match folder() {
        Ok(folder) => folder,
        Err(error) => return note_failure(&Error::from(error)),
    };
    let asked = &ASKED[kind as usize];
    let turn = asked.fetch_add(1, Ordering::Relaxed) + 1;
    let is_outdated = move || asked.load(Ordering::Relaxed) != turn;
    let (done, is_done) = channel::<()>();
    worker::submit(
        Lane::Store,
        Box::new(move || {
            // Dropped at the end, however that comes about.
            let _done = done;
            match taken {
                Some(taken) => save(&folder, kind, taken, &is_outdated),
                // What there was of an older one has lost its snapshot.
                None => tidy_up(&folder, Some(After::Without(kind))),
            }
        }),
    );
    if at_once {
        let _ = is_done.recv();
    }
}

/// Waits for what is being written: the process is about to end.
pub fn on_shutdown(_ctx: &mut Context<'_>, _event: &ServerEvent<'_>) {
    if is_child() || is_unused() {
        return;
    }
    let (done, is_done) = channel::<()>();
    worker::submit(Lane::Store, Box::new(move || drop(done)));
    let _ = is_done.recv();
}

/// Removes what nothing needs any more; `loaded` is the snapshot that the server has begun with.
pub fn tidy_later(loaded: Option<(Uid, Kind)>) {
    let Ok(folder) = folder() else { return };
    worker::submit(
        Lane::Store,
        Box::new(move || {
            lock(&DISK).get_or_insert_default().loaded = loaded;
            tidy_up(&folder, None);
        }),
    );
}

/// Notes files that were read and found good.
pub fn note_good(parts: impl Iterator<Item = Part>) {
    let mut disk = lock(&DISK);
    let seals = &mut disk.get_or_insert_default().seals;
    seals.extend(parts.map(|part| (part.uid, part.seal)));
}

fn note_failure(error: &Error) {
    lock(&FIGURES).failures += 1;
    log(LogLevel::Warning, &format!("segments of indexes could not be saved: {error}"));
}

/// Writes the files of a snapshot, and removes those that it makes useless.
fn save(folder: &Path, kind: Kind, taken: Taken, is_outdated: &dyn Fn() -> bool) {
    // It works as well without.
    let _ = rustix::process::setpriority_process(None, NICE);
    let start = Instant::now();
    let mut writing = Writing { folder, is_outdated, bytes: 0, written: 0 };
    match writing.all(kind, taken) {
        Ok(None) => {}
        Ok(Some(manifest)) => {
            let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            let Writing { bytes, written, .. } = writing;
            {
                let mut figures = lock(&FIGURES);
                let saves = figures.saves + 1;
                *figures = Figures { bytes, written, ms, saves, ..*figures };
            }
            let indexes = manifest.indexes.len();
            let text = format!(
                "segments of {indexes} indexes saved: {bytes} bytes, {written} of them new, in {ms} ms"
            );
            log(LogLevel::Notice, &text);
            tidy_up(folder, Some(After::Saved(kind, manifest.id)));
        }
        Err(error) => {
            note_failure(&error);
            tidy_up(folder, Some(After::Without(kind)));
        }
    }
}

/// A save under way.
struct Writing<'a> {
    folder: &'a Path,
    is_outdated: &'a dyn Fn() -> bool,
    bytes: u64,
    written: u64,
}

/// Why a save did not come to its end.
enum Stop {
    Outdated,
    Error(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Error(error.into())
    }
}

impl Writing<'_> {
    /// Writes all files, the manifest last; none if a newer snapshot has been taken meanwhile.
    fn all(&mut self, kind: Kind, taken: Taken) -> Result<Option<Manifest>, Error> {
        fs::create_dir_all(self.folder)?;
        let Taken { id, at_ms, indexes } = taken;
        let mut parts = Vec::with_capacity(indexes.len());
        // Each is dropped as soon as it is on disk.
        for kept in indexes {
            match self.index(&kept) {
                Ok(part) => parts.push(part),
                Err(Stop::Outdated) => return Ok(None),
                Err(Stop::Error(error)) => return Err(error),
            }
        }
        let fingerprint = fingerprint().into_bytes();
        let manifest = Manifest { id, kind, at_ms, fingerprint, indexes: parts };
        let bytes = manifest.to_bytes()?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(Error::Internal("too many documents for a manifest".into()));
        }
        // The names of the files must be there before the manifest's is.
        file::sync_folder(self.folder)?;
        let seal = file::write(&manifest_path(self.folder, id), |out| out.raw(&bytes))?;
        file::sync_folder(self.folder)?;
        self.bytes += seal.length;
        self.written += seal.length;
        Ok(Some(manifest))
    }

    fn index(&mut self, kept: &Kept) -> Result<IndexPart, Stop> {
        let schema = kept.snapshot.schema();
        let mut segments = Vec::new();
        kept.each_segment(|segment: &Segment, dead: &Bits| {
            let name = manifest::segment_name(segment.uid());
            let part = self.part(segment.uid(), &name, |out| segment.encode(out))?;
            segments.push(SegmentPart { part, rows: segment.rows().len(), dead: dead.clone() });
            Ok::<(), Stop>(())
        })?;
        let mut vectors = Vec::new();
        for store in kept.vectors() {
            // It was given a name when it was taken.
            let uid = store.uid().unwrap_or_else(Uid::new);
            let name = manifest::vectors_name(uid);
            vectors.push(self.part(uid, &name, |out| store.encode(out))?);
        }
        Ok(IndexPart {
            name: schema.name.to_vec(),
            db: u32::try_from(schema.db).unwrap_or(0),
            definition: schema.definition.iter().map(|argument| argument.to_vec()).collect(),
            next_number: kept.next_number,
            expires: kept.expires,
            segments,
            vectors,
        })
    }

    /// A file, which is written unless it is there already.
    fn part(
        &mut self,
        uid: Uid,
        name: &str,
        content: impl FnOnce(&mut Encoder<'_>) -> io::Result<()>,
    ) -> Result<Part, Stop> {
        if (self.is_outdated)() {
            return Err(Stop::Outdated);
        }
        let path = self.folder.join(name);
        let known = lock(&DISK).get_or_insert_default().seals.get(&uid).copied();
        let there = |seal: &Seal| fs::metadata(&path).is_ok_and(|file| file.len() == seal.length);
        let seal = match known.filter(there) {
            Some(seal) => seal,
            None => {
                let seal = file::write(&path, content)?;
                self.written += seal.length;
                lock(&DISK).get_or_insert_default().seals.insert(uid, seal);
                seal
            }
        };
        self.bytes += seal.length;
        Ok(Part { uid, seal })
    }
}

/// What a snapshot that is in place means for those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It has this manifest.
    Saved(Kind, Uid),
    /// It has none.
    Without(Kind),
}

fn tidy_up(folder: &Path, after: Option<After>) {
    match tidy(folder, after) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let text = format!("files of indexes could not be tidied up: {error}");
            log(LogLevel::Warning, &text);
        }
        // There may be no folder, and another server may have tidied up the same one.
        _ => {}
    }
}

/// Removes manifests whose snapshots have been replaced, but the newest of each kind and the one that was loaded, and then
/// the files that none of the others names. Files of other names are left alone.
fn tidy(folder: &Path, after: Option<After>) -> io::Result<()> {
    let (kind, saved) = match after {
        Some(After::Saved(kind, id)) => (Some(kind), Some(id)),
        Some(After::Without(kind)) => (Some(kind), None),
        None => (None, None),
    };
    let loaded = {
        let mut disk = lock(&DISK);
        let loaded = &mut disk.get_or_insert_default().loaded;
        loaded.take_if(|(_, loaded)| Some(*loaded) == kind);
        loaded.map(|(id, _)| id)
    };
    let mut newest: [Option<Manifest>; 2] = [None, None];
    let mut kept: Vec<Manifest> = Vec::new();
    let ours = our_files(folder)?;
    for path in ours.iter().filter(|path| path.extension().is_some_and(|ext| ext == EXTENSION)) {
        let manifest = file::read_bounded(path, BYTES_MAX)
            .ok()
            .and_then(|bytes| Manifest::of_bytes(&bytes).ok());
        let Some(manifest) = manifest else { continue };
        let newest = &mut newest[manifest.kind as usize];
        if Some(manifest.id) == loaded || Some(manifest.id) == saved {
            kept.push(manifest);
        } else if Some(manifest.kind) != kind
            && newest.as_ref().is_none_or(|other| other.at_ms < manifest.at_ms)
        {
            *newest = Some(manifest);
        }
    }
    kept.extend(newest.into_iter().flatten());
    let manifests: HashSet<PathBuf> =
        kept.iter().map(|manifest| manifest_path(folder, manifest.id)).collect();
    let mut wanted = manifests.clone();
    wanted.extend(kept.iter().flat_map(Manifest::files).map(|name| folder.join(name)));
    // Manifests go first, so that there is none whose files are gone.
    let (gone, others): (Vec<&PathBuf>, Vec<&PathBuf>) = ours
        .iter()
        .filter(|path| !wanted.contains(*path))
        .partition(|path| path.extension().is_some_and(|ext| ext == EXTENSION));
    gone.iter().try_for_each(fs::remove_file)?;
    if !gone.is_empty() {
        file::sync_folder(folder)?;
    }
    others.iter().try_for_each(fs::remove_file)?;
    let mut disk = lock(&DISK);
    let seals = &mut disk.get_or_insert_default().seals;
    seals.retain(|uid, _| {
        let names = [manifest::segment_name(*uid), manifest::vectors_name(*uid)];
        names.iter().any(|name| wanted.contains(&folder.join(name)))
    });
    Ok(())
}

fn our_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(manifest::is_ours) {
            files.push(entry.path());
        }
    }
    Ok(files)
}
