//! How is a file made ready for the thread that holds the engine? Two threads go ahead of it: one reads the file and sums
//! it up, the other makes keys of the bytes, so that nothing is left but to put these in their places.
//!
//! Invariants: what goes ahead is bounded by [`STEPS_AHEAD`] and [`CHUNKS_AHEAD`]; nothing here runs foreign code: values of
//! modules are passed on as bytes. A step that is an error is the last one.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope};

use super::load::{LoadError, Options};
use super::parts::{Part, VERSION_WITH_CHECKSUM, read_magic, read_part};
use super::value::{self, dialect_of, limits};
use super::window::{Chunk, Chunks, Summing, Window};
use crate::config::params::Param;
use crate::engine::access::{Lfu, clock_seconds};
use crate::engine::state::State;
use crate::keyspace::db::prepared::Prepared;
use crate::object::module::KeyName;
use crate::object::rdb::kind;
use crate::object::rdb::module::skip_items;
use crate::object::rdb::read::Reader;
use crate::object::rdb::{Dialect, Limits, LoadContext, NoTypes, RdbError};

/// Chunks that are read ahead.
const CHUNKS_AHEAD: usize = 4;
/// Steps that are made ahead.
const STEPS_AHEAD: usize = 16;
/// Keys of a step at most.
const STEP_KEYS_MAX: usize = 512;
/// Bytes of the file that make a step at most, unless one part is longer.
const STEP_BYTES_MAX: u64 = 64 * 1024;
/// Bytes that a key takes in a file at least: its kind, the lengths of key and value, and one byte, since one key alone
/// can have no name.
const KEY_BYTES_MIN: u64 = 4;

/// What reading a file takes besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    limits: Limits,
    /// How accesses are counted under an LFU policy.
    lfu: Option<Lfu>,
    /// The time that counts for expiry, in unix microseconds.
    now_us: i64,
    options: Options,
    /// Whether the checksum is looked at.
    checks_sum: bool,
    dbs: usize,
    step_bytes: u64,
}

impl Setup {
    pub(super) fn of(state: &State, now_us: i64, options: Options) -> Self {
        let config = &state.config;
        let interval = config.uint(Param::LoadingProcessEventsIntervalBytes);
        Self {
            limits: limits(config),
            lfu: Lfu::of(config),
            now_us,
            options,
            checks_sum: config.flag(Param::Rdbchecksum) && !state.persistence.skip_checksum,
            dbs: state.keyspace.db_count(),
            step_bytes: STEP_BYTES_MAX.min(interval.max(1)),
        }
    }

    /// Whether a key with this expiry is left out.
    fn is_over(&self, expire_at: Option<i64>) -> bool {
        !self.options.keep_expired && expire_at.is_some_and(|at| at < self.now_us / 1000)
    }
}

/// What the thread that holds the engine is to do.
pub(super) enum Step {
    /// Add keys.
    Keys(Keys),
    /// Let a module make a value, and add it.
    ModuleKey(Box<ModuleKey>),
    /// The db is going to have so many keys.
    Resize { db: u32, keys: usize },
    /// Note something about the file.
    Fact(Vec<u8>, Vec<u8>),
    /// Give a module its data.
    ModuleData { id: u64, when: u64, items: Vec<u8> },
    /// Keep a function library.
    Library(Vec<u8>),
    /// Tell that a key held nothing.
    EmptyKey(Vec<u8>),
    /// That was all: the file has so many bytes.
    End(u64),
}

/// Keys of one db.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) db: u32,
    pub(super) keys: Vec<Prepared>,
    /// Keys that were among them, but whose time is over.
    pub(super) expired: u64,
    /// Where they end in the file.
    pub(super) end: u64,
}

/// A key with a value of a module's type.
pub(super) struct ModuleKey {
    pub(super) db: u32,
    pub(super) key: Vec<u8>,
    /// The value behind its kind.
    pub(super) bytes: Vec<u8>,
    pub(super) expire_at: Option<i64>,
    /// It is to be read, but not kept.
    pub(super) is_over: bool,
    pub(super) clock: u32,
    pub(super) dialect: Dialect,
}

/// Starts the threads that go ahead; the steps that they make.
pub(super) fn start<'scope, 'env>(
    threads: &'scope Scope<'scope, 'env>,
    source: &'env mut (dyn Read + Send),
    setup: Setup,
) -> io::Result<Receiver<Result<Step, LoadError>>> {
    let (chunk_sender, chunks) = sync_channel(CHUNKS_AHEAD);
    let (sender, steps) = sync_channel(STEPS_AHEAD);
    Builder::new().name("load-read".into()).spawn_scoped(threads, move || {
        let mut source = Summing::new(source);
        loop {
            let chunk = source.next();
            let is_last = chunk.as_ref().map_or(true, Chunk::is_last);
            // Nobody listens any more if something was wrong with what came before.
            if chunk_sender.send(chunk).is_err() || is_last {
                return;
            }
        }
    })?;
    Builder::new().name("load-decode".into()).spawn_scoped(threads, move || {
        let mut chunks = Ahead(chunks);
        let mut decoder = Decoder {
            window: Window::new(&mut chunks),
            setup,
            keys: Keys::default(),
            start: 0,
            steps: Sender(sender),
        };
        match decoder.run() {
            Ok(()) | Err(Stop::Unwanted) => {}
            Err(Stop::Error(error)) => drop(decoder.steps.0.send(Err(error))),
        }
    })?;
    Ok(steps)
}

/// The chunks of the reading thread.
struct Ahead(Receiver<io::Result<Chunk>>);

impl Chunks for Ahead {
    fn next(&mut self) -> io::Result<Chunk> {
        self.0.recv().unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Why decoding ends early.
enum Stop {
    /// Something is wrong.
    Error(LoadError),
    /// Nobody takes any more steps.
    Unwanted,
}

impl From<LoadError> for Stop {
    fn from(error: LoadError) -> Self {
        Stop::Error(error)
    }
}

struct Sender(SyncSender<Result<Step, LoadError>>);

impl Sender {
    fn send(&self, step: Step) -> Result<(), Stop> {
        self.0.send(Ok(step)).map_err(|_| Stop::Unwanted)
    }
}

struct Decoder<'a> {
    window: Window<'a>,
    setup: Setup,
    /// Keys that were read and are still to be passed on.
    keys: Keys,
    /// Where they begin in the file.
    start: u64,
    steps: Sender,
}

/// What was said of the key that comes next.
#[derive(Clone, Copy, Default)]
struct Attributes {
    expire_at: Option<i64>,
    frequency: Option<u8>,
    idle: Option<u64>,
}

/// What became of a key.
enum Key {
    Ready(Prepared),
    Module { key: Vec<u8>, bytes: Vec<u8> },
    Over,
    Empty(Vec<u8>),
}

impl Decoder<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let version = read_magic(&mut self.window)?;
        let dialect = dialect_of(version).ok_or_else(|| LoadError::Version(version.to_string()))?;
        let mut attributes = Attributes::default();
        loop {
            let (setup, db) = (&self.setup, self.keys.db);
            let part = self.window.part(|reader| {
                read_part(reader, |kind, reader| {
                    read_key(kind, reader, setup, attributes, db, dialect)
                })
            })?;
            match part {
                Part::Key(key) => self.take(key, std::mem::take(&mut attributes), dialect)?,
                Part::ExpireAt(at) => attributes.expire_at = Some(at),
                Part::Frequency(frequency) => attributes.frequency = Some(frequency),
                Part::Idle(idle) => attributes.idle = Some(idle),
                Part::End => break,
                part => self.pass_on(part)?,
            }
        }
        self.flush()?;
        if version >= VERSION_WITH_CHECKSUM {
            self.check_sum()?;
        }
        self.steps.send(Step::End(self.window.offset()))
    }

    /// Takes a key up, and passes on what is enough for a step.
    #[inline]
    fn take(&mut self, key: Key, attributes: Attributes, dialect: Dialect) -> Result<(), Stop> {
        match key {
            Key::Ready(prepared) => self.keys.keys.push(prepared),
            Key::Over => self.keys.expired += 1,
            Key::Module { key, bytes } => {
                self.flush()?;
                let clock = clock(&self.setup, attributes);
                let expire_at = attributes.expire_at;
                let (db, is_over) = (self.keys.db, self.setup.is_over(expire_at));
                let key = ModuleKey { db, key, bytes, expire_at, is_over, clock, dialect };
                self.steps.send(Step::ModuleKey(Box::new(key)))?;
            }
            Key::Empty(key) => self.steps.send(Step::EmptyKey(key))?,
        }
        let bytes = self.window.offset() - self.start;
        if self.keys.keys.len() >= STEP_KEYS_MAX || bytes >= self.setup.step_bytes {
            self.flush()?;
        }
        Ok(())
    }

    fn pass_on(&mut self, part: Part<Key>) -> Result<(), Stop> {
        self.flush()?;
        match part {
            Part::SelectDb(index) => {
                let db = u32::try_from(index).ok().filter(|db| (*db as usize) < self.setup.dbs);
                self.keys.db = db.ok_or(LoadError::Dbs(self.setup.dbs))?;
                Ok(())
            }
            Part::Resize(keys) => {
                // More than the rest of the file has room for is not to be believed.
                let bytes = self.setup.options.bytes.unwrap_or(0);
                let rest = bytes.saturating_sub(self.window.offset());
                let keys = usize::try_from(keys.min(rest / KEY_BYTES_MIN)).unwrap_or(0);
                self.steps.send(Step::Resize { db: self.keys.db, keys })
            }
            Part::Fact(name, value) => self.steps.send(Step::Fact(name, value)),
            Part::ModuleData { id, when, items } => {
                self.steps.send(Step::ModuleData { id, when, items })
            }
            Part::Library(text) => self.steps.send(Step::Library(text)),
            _ => Ok(()),
        }
    }

    /// Passes on the keys that were read.
    fn flush(&mut self) -> Result<(), Stop> {
        self.start = self.window.offset();
        if self.keys.keys.is_empty() && self.keys.expired == 0 {
            return Ok(());
        }
        let next = Keys {
            db: self.keys.db,
            keys: Vec::with_capacity(self.keys.keys.len()),
            ..Keys::default()
        };
        let keys = std::mem::replace(&mut self.keys, next);
        self.steps.send(Step::Keys(Keys { end: self.start, ..keys }))
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

/// The access clock of a key.
fn clock(setup: &Setup, attributes: Attributes) -> u32 {
    match setup.lfu {
        None => {
            let idle = attributes.idle.unwrap_or(0).min(i64::MAX as u64 / 2_000_000) as i64;
            clock_seconds(setup.now_us - idle * 1_000_000)
        }
        Some(_) => Lfu::with_count(attributes.frequency, setup.now_us),
    }
}

/// Reads key and value.
#[inline]
fn read_key(
    kind: u8,
    reader: &mut Reader<'_>,
    setup: &Setup,
    attributes: Attributes,
    db: u32,
    dialect: Dialect,
) -> Result<Key, RdbError> {
    let key = reader.string()?;
    let expire_at = attributes.expire_at;
    if kind == kind::STRING {
        let text = reader.string()?;
        if setup.is_over(expire_at) {
            return Ok(Key::Over);
        }
        return Ok(Key::Ready(Prepared::string(&key, text, expire_at, clock(setup, attributes))));
    }
    if kind == kind::MODULE_2 {
        let rest = reader.rest();
        let before = reader.position();
        reader.number()?;
        skip_items(reader)?;
        let bytes = rest[..reader.position() - before].to_vec();
        return Ok(Key::Module { key: key.into_owned(), bytes });
    }
    let name = KeyName { name: Some(&key), db: db as i32 };
    let ctx = LoadContext { limits: setup.limits, types: &NoTypes, key: name, dialect };
    match value::load(kind, reader, &ctx) {
        Ok(_) if setup.is_over(expire_at) => Ok(Key::Over),
        Ok(value) => {
            Ok(Key::Ready(Prepared::value(&key, value, expire_at, clock(setup, attributes))))
        }
        Err(RdbError::Empty) => Ok(Key::Empty(key.into_owned())),
        Err(error) => Err(error),
    }
}
