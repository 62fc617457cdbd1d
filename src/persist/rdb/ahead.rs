//! How does reading a file go ahead of the thread that holds the engine? One thread reads the file and sums it up; one finds
//! where its parts end and makes blocks of them; some decode the blocks, side by side. The blocks come out in the order
//! of the file.
//!
//! Invariants: what goes ahead is bounded by [`CHUNKS_AHEAD`] and [`BLOCKS_AHEAD`]. When nobody takes any more blocks, or
//! something is wrong, all these threads end: each ends with the channel that it reads from or writes to.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, available_parallelism};

use parking_lot::Mutex;

use super::decode::{Block, Decoded, Setup, Step, decode};
use super::load::LoadError;
use super::parts::{Part, VERSION_WITH_CHECKSUM, read_magic, read_part};
use super::value::dialect_of;
use super::window::{Chunk, Chunks, Summing, Window};
use crate::allocator::use_arena_of;
use crate::object::module::KeyName;
use crate::object::rdb::read::Reader;
use crate::object::rdb::skip::skip;
use crate::object::rdb::{self, Check, Dialect, Limits, LoadContext, NoTypes, RdbError};

/// Chunks that are read ahead.
const CHUNKS_AHEAD: usize = 4;
/// Blocks that are found ahead.
const BLOCKS_AHEAD: usize = 16;
/// Threads that decode, at most: then it is the others that all wait for.
const DECODERS_MAX: usize = 4;

/// Where a decoded block comes out.
pub(super) type Coming = Receiver<Decoded>;

/// A block on its way to be decoded, and where it is to come out.
type Job = (Block, SyncSender<Decoded>);

/// Starts the threads; where the blocks come out in order.
pub(super) fn start<'scope>(
    threads: &'scope Scope<'scope, '_>,
    source: &'scope mut (dyn Read + Send),
    setup: &'scope Setup,
    jobs: &'scope Mutex<Option<Receiver<Job>>>,
) -> io::Result<Receiver<Coming>> {
    let (chunk_sender, chunks) = sync_channel(CHUNKS_AHEAD);
    let (job_sender, job_receiver) = sync_channel(BLOCKS_AHEAD);
    let (sender, blocks) = sync_channel(BLOCKS_AHEAD);
    *jobs.lock() = Some(job_receiver);
    Builder::new().name("load-read".into()).spawn_scoped(threads, move || {
        let mut source = Summing::new(source);
        loop {
            let chunk = source.next();
            let is_last = chunk.as_ref().map_or(true, Chunk::is_last);
            if chunk_sender.send(chunk).is_err() || is_last {
                return;
            }
        }
    })?;
    Builder::new().name("load-split".into()).spawn_scoped(threads, move || {
        let mut chunks = Ahead(chunks);
        let window = Window::new(&mut chunks, setup.options.bytes);
        let dialect = Dialect::Redis;
        let jobs = job_sender;
        let mut splitter =
            Splitter { window, setup, db: 0, next_db: 0, dialect, begin: 0, jobs, sender };
        match splitter.run() {
            Ok(()) | Err(Stop::Unwanted) => {}
            Err(Stop::Error(error)) => {
                splitter.hand_over(Decoded { error: Some(error), ..Decoded::default() });
            }
        }
    })?;
    let decoders = available_parallelism().map_or(1, usize::from).min(DECODERS_MAX);
    for number in 0..decoders {
        let spawned = Builder::new().name("load-decode".into()).spawn_scoped(threads, move || {
            // Spread over the workers' arenas, so that each has holes to use again when keys go.
            for worker in (number..).step_by(decoders) {
                use_arena_of(1 + worker % setup.workers);
                // Whoever waits for the next block keeps the others waiting for their turn.
                let job = jobs.lock().as_ref().map(Receiver::recv);
                let Some(Ok((block, sender))) = job else { return };
                // If nobody wants it any more, the next one is the last.
                let _ = sender.send(decode(&block, setup));
            }
        });
        match spawned {
            Ok(_) => {}
            // One will do.
            Err(_) if number > 0 => break,
            Err(error) => {
                jobs.lock().take();
                return Err(error);
            }
        }
    }
    Ok(blocks)
}

/// The chunks of the reading thread.
struct Ahead(Receiver<io::Result<Chunk>>);

impl Chunks for Ahead {
    fn next(&mut self) -> io::Result<Chunk> {
        self.0.recv().unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Why splitting ends early.
enum Stop {
    /// Something is wrong.
    Error(LoadError),
    /// Nobody takes any more blocks.
    Unwanted,
}

impl From<LoadError> for Stop {
    fn from(error: LoadError) -> Self {
        Stop::Error(error)
    }
}

struct Splitter<'a> {
    window: Window<'a>,
    setup: &'a Setup,
    /// The db in which the present block begins.
    db: u32,
    /// The db in which the next one will.
    next_db: u32,
    dialect: Dialect,
    /// Where the present block begins in the file.
    begin: u64,
    jobs: SyncSender<Job>,
    sender: SyncSender<Coming>,
}

/// What a reader has passed over.
enum Passed {
    /// A key, or something else.
    Some,
    SelectDb(u64),
    End,
}

impl Splitter<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let version = read_magic(&mut self.window)?;
        self.dialect =
            dialect_of(version).ok_or_else(|| LoadError::Version(version.to_string()))?;
        self.begin = self.window.offset();
        loop {
            let dialect = self.dialect;
            let before = self.window.offset();
            let check = self.setup.check;
            let passed = self.window.part_here(|reader| pass_over(reader, dialect, check));
            match passed {
                // The decoder comes upon the same error, and says where it is.
                Err(error) => {
                    self.flush()?;
                    return Err(error.into());
                }
                Ok(None) => {
                    self.flush()?;
                    self.window.grow().map_err(LoadError::from)?;
                }
                Ok(Some(Passed::End)) => {
                    self.flush_until(before)?;
                    break;
                }
                Ok(Some(Passed::SelectDb(index))) => {
                    self.next_db = self.setup.check_db(index)?;
                }
                Ok(Some(Passed::Some)) => {}
            }
            if self.window.offset() - self.begin >= self.setup.block_bytes {
                self.flush()?;
            }
        }
        if version >= VERSION_WITH_CHECKSUM {
            self.check_sum()?;
        }
        let end = Step::End(self.window.offset());
        self.hand_over(Decoded { steps: vec![end], ..Decoded::default() });
        Ok(())
    }

    /// Passes on what is behind as a block.
    fn flush(&mut self) -> Result<(), Stop> {
        self.flush_until(self.window.offset())
    }

    /// The same for what is behind up to there.
    fn flush_until(&mut self, end: u64) -> Result<(), Stop> {
        if end > self.begin {
            let view = self.window.behind(self.window.offset() - self.begin).until(end);
            let block = Block { view, db: self.db, dialect: self.dialect };
            let (sender, coming) = sync_channel(1);
            self.sender.send(coming).map_err(|_| Stop::Unwanted)?;
            self.jobs.send((block, sender)).map_err(|_| Stop::Unwanted)?;
        }
        self.begin = self.window.offset();
        self.db = self.next_db;
        Ok(())
    }

    /// Passes on what needs no decoding.
    fn hand_over(&self, decoded: Decoded) {
        let (sender, coming) = sync_channel(1);
        // Whether anybody takes it makes no difference: it is the last one.
        let _ = sender.send(decoded);
        let _ = self.sender.send(coming);
    }

    fn check_sum(&mut self) -> Result<(), Stop> {
        let expected = self.window.checksum();
        let found = u64::from_le_bytes(self.window.part(|reader| reader.array())?);
        if !self.setup.checks_sum {
            return Ok(());
        }
        if found == 0 {
            tracing::info!("RDB file was saved with checksum disabled: no check performed.");
        } else if found != expected {
            return Err(LoadError::Checksum { expected, found }.into());
        }
        Ok(())
    }
}

/// Passes over a key with all that is said of it, or over another part.
fn pass_over(reader: &mut Reader<'_>, dialect: Dialect, check: Check) -> Result<Passed, RdbError> {
    loop {
        let part = read_part(reader, |kind, reader| {
            let key = reader.string()?;
            if skip(kind, reader)? {
                return Ok(());
            }
            // Only reading tells where it ends.
            let limits = Limits::default();
            let key = KeyName { name: Some(&key), db: 0 };
            let ctx = LoadContext { limits, types: &NoTypes, key, dialect, check };
            match rdb::load(kind, reader, &ctx) {
                Ok(_) | Err(RdbError::Empty) => Ok(()),
                Err(error) => Err(error),
            }
        })?;
        return Ok(match part {
            Part::ExpireAt(_) | Part::Frequency(_) | Part::Idle(_) => continue,
            Part::SelectDb(index) => Passed::SelectDb(index),
            Part::End => Passed::End,
            _ => Passed::Some,
        });
    }
}
