//! How does an index begin with segments from disk?
//!
//! The id in a snapshot leads to a manifest, that to files; these are read and taken apart by several threads before its
//! keys come, while the server answers its clients that it is loading. Then each key that is loaded is ticked off in the indexes that have it, and put
//! into those that have not. What was not ticked off until loading ends is taken out: keys that have expired
//! while nobody was there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use mortise_module::{Context, LogLevel, Phase, ServerEvent, log};

use crate::error::Error;
use crate::index::bits::Bits;
use crate::index::sealed::Segment;
use crate::index::storing::{Recall, Restored};
use crate::index::tier::Tier;
use crate::index::{Index, Work};
use crate::schema::Schema;
use crate::storage::codec::ensure;
use crate::storage::manifest::{BYTES_MAX, IndexPart, Kind, Manifest, Part, SegmentPart};
use crate::storage::{Uid, file, fingerprint, folder, manifest_path, saving};
use crate::vector::Options;
use crate::vector::store::Store;
use crate::{registry, settings, source};

/// How often others are let in while files are read.
const WAY_GIVEN_EVERY: Duration = Duration::from_millis(1);
/// Threads that read files: with more, it is the disk that all wait for.
const THREADS_MAX: usize = 4;

/// What FT.INFO says of the segments with which an index has begun.
#[derive(Debug, Default, Clone, Copy)]
pub struct Origin {
    /// How many.
    pub segments: usize,
    /// Bytes of their files, and of the vectors.
    pub bytes: u64,
}

/// Whether keys are to be ticked off.
static RECALLING: AtomicBool = AtomicBool::new(false);
/// The snapshot that was loaded last, if its segments were found.
static LOADED: Mutex<Option<(Uid, Kind)>> = Mutex::new(None);

fn set_loaded(loaded: Option<(Uid, Kind)>) {
    *LOADED.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
}

/// Begins with the segments of a snapshot, as far as they are there. Its indexes have been made already, without documents.
/// `give_way` is called now and then, and may call back into the module.
pub fn restore(id: Uid, give_way: &mut dyn FnMut()) {
    set_loaded(None);
    if !settings::PERSIST_SEGMENTS.get() {
        return;
    }
    let start = Instant::now();
    let (folder, manifest) = match find(id) {
        Ok(found) => found,
        Err(error) => {
            let text = format!("indexes are built from the keys: {error}");
            return log(LogLevel::Notice, &text);
        }
    };
    let mut sums = (0, 0, 0);
    for part in &manifest.indexes {
        match restore_index(&folder, part, give_way) {
            Ok((origin, documents)) => {
                sums = (sums.0 + origin.segments, sums.1 + origin.bytes, sums.2 + documents);
                saving::note_good(files(part));
            }
            Err(error) => {
                let name = String::from_utf8_lossy(&part.name);
                let text = format!("index {name} is built from its keys: {error}");
                log(LogLevel::Warning, &text);
            }
        }
    }
    set_loaded(Some((id, manifest.kind)));
    RECALLING.store(true, Ordering::Relaxed);
    let (segments, bytes, documents) = sums;
    let ms = start.elapsed().as_millis();
    let text =
        format!("{segments} segments with {documents} documents loaded: {bytes} bytes in {ms} ms");
    log(LogLevel::Notice, &text);
}

/// The manifest of a snapshot, if it may be used.
fn find(id: Uid) -> Result<(std::path::PathBuf, Manifest), Error> {
    let folder = folder()?;
    let bytes = file::read_bounded(&manifest_path(&folder, id), BYTES_MAX);
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Text("there are no segments of this snapshot"),
        _ => Error::from(error),
    })?;
    let manifest = Manifest::of_bytes(&bytes)?;
    ensure(manifest.id == id, "the manifest is of another snapshot")?;
    let same = manifest.fingerprint == fingerprint().as_bytes();
    ensure(same, "they were made with other settings or by another version")?;
    Ok((folder, manifest))
}

fn files(part: &IndexPart) -> impl Iterator<Item = Part> {
    let segments = part.segments.iter().map(|segment| segment.part);
    segments.chain(part.vectors.iter().copied())
}

/// Begins an index with its segments.
fn restore_index(
    folder: &Path,
    part: &IndexPart,
    give_way: &mut dyn FnMut(),
) -> Result<(Origin, usize), Error> {
    let found = registry::with(|all| {
        let entry = all.get(&part.name).filter(|entry| *entry.index.schema().name == *part.name)?;
        Some((entry.id, Arc::clone(entry.index.schema())))
    });
    let (id, schema) = found.ok_or(Error::Text("it does not exist"))?;
    let given = part.definition.iter().map(Vec::as_slice);
    let same = schema.definition.iter().map(|argument| &**argument).eq(given);
    ensure(same && u32::try_from(schema.db) == Ok(part.db), "its definition is another one")?;
    let origin = Origin {
        segments: part.segments.len(),
        bytes: files(part).map(|part| part.seal.length).sum(),
    };
    let build = || -> Result<(Index, Recall), Error> {
        let mut index = Index::new(Arc::clone(&schema), Work::Background);
        let recall = index.restore(read(folder, part, &schema)?)?;
        Ok((index, recall))
    };
    let (index, recall) = apart(build, give_way)?;
    registry::with(|all| {
        let entry = all.get(&part.name).filter(|e| e.id == id && e.index.next_number() == 0);
        let entry = entry.ok_or(Error::Text("it is in use already"))?;
        (entry.index, entry.recall, entry.origin) = (index, Some(recall), origin);
        Ok((origin, entry.index.len()))
    })
}

/// Does a job on a thread of its own and gives way until it is done.
fn apart<T: Send>(
    job: impl FnOnce() -> Result<T, Error> + Send,
    give_way: &mut dyn FnMut(),
) -> Result<T, Error> {
    let (done, is_done) = channel();
    thread::scope(|scope| {
        let job = move || {
            // tantivy trusts its files, and a checksum can be right by accident.
            let result = catch_unwind(AssertUnwindSafe(job));
            let _ = done.send(result.unwrap_or(Err(Error::Text("a file cannot be understood"))));
        };
        thread::Builder::new().name("search-load".into()).spawn_scoped(scope, job)?;
        loop {
            match is_done.recv_timeout(WAY_GIVEN_EVERY) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => give_way(),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Text("a thread has ended"));
                }
            }
        }
    })
}

/// A file to be read, by its place.
enum Task<'a> {
    Segment(&'a SegmentPart),
    Vectors(&'a Part, &'a Arc<Options>),
}

/// What was in it.
enum Found {
    Segment(Arc<Segment>, Bits),
    Vectors(Store),
}

/// Reads all files of an index, several at a time.
fn read(folder: &Path, part: &IndexPart, schema: &Schema) -> Result<Restored, Error> {
    let options: Vec<_> = schema.vector_fields().map(|(_, options)| options).collect();
    ensure(options.len() == part.vectors.len(), "not as many fields of vectors")?;
    // Vectors first: theirs are the largest files.
    let vectors =
        part.vectors.iter().zip(options).map(|(part, options)| Task::Vectors(part, options));
    let tasks: Vec<Task<'_>> = vectors.chain(part.segments.iter().map(Task::Segment)).collect();
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<Found, Error>>>> =
        Mutex::new(tasks.iter().map(|_| None).collect());
    let work = || {
        while let Some(at) =
            Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < tasks.len())
        {
            // As above, so that the others go on.
            let found = catch_unwind(AssertUnwindSafe(|| read_one(folder, &tasks[at], schema)));
            let found = found.unwrap_or(Err(Error::Text("a file cannot be understood")));
            results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(found);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(THREADS_MAX).min(tasks.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            // Without the others this one does it all.
            let _ = thread::Builder::new().name("search-load".into()).spawn_scoped(scope, work);
        }
        work();
    });
    let (mut segments, mut stores) = (Vec::new(), Vec::new());
    for found in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match found.unwrap_or(Err(Error::Text("a file was not read")))? {
            Found::Segment(segment, dead) => segments.push((segment, dead)),
            Found::Vectors(store) => stores.push(store),
        }
    }
    let (next_number, expires) = (part.next_number, part.expires);
    Ok(Restored { segments, vectors: stores, next_number, expires })
}

fn read_one(folder: &Path, task: &Task<'_>, schema: &Schema) -> Result<Found, Error> {
    let named = |name: String, error: io::Error| Error::Internal(format!("{name}: {error}"));
    let load = |name: String, part: &Part| {
        file::read(&folder.join(&name), part.seal).map_err(|error| named(name, error))
    };
    Ok(match task {
        Task::Segment(SegmentPart { part, rows, dead }) => {
            let bytes = load(part.segment_name(), part)?;
            let segment = Segment::decode(&bytes, &schema.columns(), schema.field_bits())?;
            ensure(segment.rows().len() == *rows, "a segment has another number of rows")?;
            Found::Segment(Arc::new(segment.with_uid(part.uid)), dead.clone())
        }
        Task::Vectors(part, options) => {
            let bytes = load(part.vectors_name(), part)?;
            let mut store = Store::decode(&bytes, Arc::clone(options))?;
            store.set_uid(part.uid);
            Found::Vectors(store)
        }
    })
}

/// A key was loaded: it is ticked off where it is known, and put into the other indexes that follow it.
pub fn on_loaded(ctx: &mut Context<'_>, key: &[u8]) {
    // When fields of a hash expire is nowhere but in the key.
    if !RECALLING.load(Ordering::Relaxed) || ctx.open_read(key).hash_has_expiring() {
        return source::refresh(ctx, key, None);
    }
    let db = ctx.db();
    let (others, expires) = registry::with(|all| all.recall(db, key));
    if expires && let Some(at_ms) = source::expires_at_ms(ctx, key).flatten() {
        registry::with(|all| all.set_expiry(db, key, Some(at_ms)));
    }
    for schema in others {
        source::refresh_in(ctx, &schema, key);
    }
}

/// Loading has ended: what was not loaded as a key leaves the indexes.
pub fn on_loading(_ctx: &mut Context<'_>, event: &ServerEvent<'_>) {
    if let ServerEvent::Loading(Phase::Start) = event {
        return;
    }
    if RECALLING.swap(false, Ordering::Relaxed) {
        let gone: usize = registry::with(|all| {
            let entries = all.iter_mut().filter_map(|entry| {
                let recall: Recall = entry.recall.take()?;
                Some(entry.index.forget_missing(&recall))
            });
            entries.sum()
        });
        if gone > 0 {
            let text = format!("{gone} documents of indexes have no key any more");
            log(LogLevel::Notice, &text);
        }
    }
    if settings::PERSIST_SEGMENTS.get() && !registry::is_empty() {
        saving::tidy_later(*LOADED.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
