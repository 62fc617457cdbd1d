//! What do the parts of a file say? Made of their bytes by threads beside the one that holds the engine, so that nothing is
//! left to it but to put keys in their places.
//!
//! Invariant: nothing here runs foreign code: values of modules are passed on as bytes.

use super::load::{LoadError, Options};
use super::parts::{Part, read_part};
use super::value::{self, Origin, limits};
use super::window::View;
use crate::config::params::Param;
use crate::engine::access::{Lfu, clock_seconds};
use crate::engine::state::State;
use crate::keyspace::db::prepared::{Prepared, Room};
use crate::object::module::KeyName;
use crate::object::rdb::kind;
use crate::object::rdb::module;
use crate::object::rdb::read::Reader;
use crate::object::rdb::{Check, Dialect, Limits, LoadContext, NoTypes, RdbError};

/// Keys of a step at most.
const STEP_KEYS_MAX: usize = 512;
/// Bytes of the file that make a block at most, unless one part is longer.
const BLOCK_BYTES_MAX: u64 = 64 * 1024;
/// Bytes that a key takes in a file at least: its kind, the lengths of key and value, and one byte, since one key alone
/// can have no name.
const KEY_BYTES_MIN: u64 = 4;

/// What reading a file takes besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    limits: Limits,
    /// What is checked of values.
    pub(super) check: Check,
    /// How accesses are counted under an LFU policy.
    lfu: Option<Lfu>,
    /// The time that counts for expiry, in unix microseconds.
    now_us: i64,
    pub(super) options: Options,
    /// Whether the checksum is looked at.
    pub(super) checks_sum: bool,
    dbs: usize,
    /// How many threads will use what is loaded.
    pub(super) workers: usize,
    /// Bytes of the file that make a block.
    pub(super) block_bytes: u64,
}

impl Setup {
    pub(super) fn of(state: &State, now_us: i64, options: Options) -> Self {
        let config = &state.config;
        let interval = config.uint(Param::LoadingProcessEventsIntervalBytes);
        Self {
            limits: limits(config),
            check: value::check(config, Origin::Trusted),
            lfu: Lfu::of(config),
            now_us,
            options,
            checks_sum: config.flag(Param::Rdbchecksum) && !state.persistence.skip_checksum,
            dbs: state.keyspace.db_count(),
            workers: config.size(Param::IoThreads).max(1),
            block_bytes: BLOCK_BYTES_MAX.min(interval.max(1)),
        }
    }

    /// Whether a key with this expiry is left out.
    fn is_over(&self, expire_at: Option<i64>) -> bool {
        !self.options.keep_expired && expire_at.is_some_and(|at| at < self.now_us / 1000)
    }

    /// The db of a number.
    pub(super) fn check_db(&self, index: u64) -> Result<u32, LoadError> {
        let db = u32::try_from(index).ok().filter(|db| (*db as usize) < self.dbs);
        db.ok_or(LoadError::Dbs(self.dbs))
    }

    /// As many of the keys that are announced at this place as the rest of the file has room for.
    fn believable(&self, keys: u64, offset: u64) -> usize {
        let rest = self.options.bytes.unwrap_or(0).saturating_sub(offset);
        usize::try_from(keys.min(rest / KEY_BYTES_MIN)).unwrap_or(0)
    }
}

/// What the thread that holds the engine is to do.
pub(super) enum Step {
    /// Add keys.
    Keys(Keys),
    /// Let a module make a value, and add it.
    ModuleKey(Box<ModuleKey>),
    /// The db is going to have many keys: here is room for them.
    Resize { db: u32, room: Room },
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
    /// The names of those, if they are wanted.
    pub(super) gone: Vec<Vec<u8>>,
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
    /// Where it ends in the file.
    pub(super) end: u64,
}

/// Whole parts of a file, none of which is its end.
pub(super) struct Block {
    pub(super) view: View,
    /// The db that they begin in.
    pub(super) db: u32,
    pub(super) dialect: Dialect,
}

/// What a block says, up to an error.
#[derive(Default)]
pub(super) struct Decoded {
    pub(super) steps: Vec<Step>,
    /// Compact forms that were checked whole because that is wanted.
    pub(super) checked: u64,
    pub(super) error: Option<LoadError>,
}

/// Makes steps of a block.
pub(super) fn decode(block: &Block, setup: &Setup) -> Decoded {
    let mut decoder = Decoder {
        setup,
        dialect: block.dialect,
        keys: Keys { db: block.db, ..Keys::default() },
        steps: Vec::new(),
    };
    let mut reader = Reader::new(block.view.bytes());
    let error = decoder.run(&block.view, &mut reader).err();
    let checked = if setup.check == Check::Whole { reader.checked } else { 0 };
    Decoded { steps: decoder.steps, checked, error }
}

struct Decoder<'a> {
    setup: &'a Setup,
    dialect: Dialect,
    /// Keys that are still to become a step.
    keys: Keys,
    steps: Vec<Step>,
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
    Over(Option<Vec<u8>>),
    Empty(Vec<u8>),
}

impl Decoder<'_> {
    fn run<'b>(&mut self, view: &'b View, reader: &mut Reader<'b>) -> Result<(), LoadError> {
        let mut attributes = Attributes::default();
        while !reader.rest().is_empty() {
            let offset = view.offset + reader.position() as u64;
            let read = read_part(reader, |kind, reader| self.read_key(kind, reader, attributes));
            let part = match read {
                Ok(part) => part,
                Err(error) => {
                    self.flush(offset);
                    return Err(LoadError::Part { offset, error });
                }
            };
            let end = view.offset + reader.position() as u64;
            match part {
                Part::Key(key) => self.take(key, std::mem::take(&mut attributes), end),
                Part::ExpireAt(at) => attributes.expire_at = Some(at),
                Part::Frequency(frequency) => attributes.frequency = Some(frequency),
                Part::Idle(idle) => attributes.idle = Some(idle),
                part => {
                    self.flush(end);
                    self.pass_on(part, end)?;
                }
            }
        }
        self.flush(view.offset + view.bytes().len() as u64);
        Ok(())
    }

    #[inline]
    fn take(&mut self, key: Key, attributes: Attributes, end: u64) {
        match key {
            Key::Ready(prepared) => self.keys.keys.push(prepared),
            Key::Over(key) => {
                self.keys.expired += 1;
                self.keys.gone.extend(key);
            }
            Key::Module { key, bytes } => {
                self.flush(end);
                let (db, expire_at) = (self.keys.db, attributes.expire_at);
                let (clock, is_over) = (self.clock(attributes), self.setup.is_over(expire_at));
                let dialect = self.dialect;
                let key = ModuleKey { db, key, bytes, expire_at, is_over, clock, dialect, end };
                self.steps.push(Step::ModuleKey(Box::new(key)));
            }
            Key::Empty(key) => self.steps.push(Step::EmptyKey(key)),
        }
        if self.keys.keys.len() >= STEP_KEYS_MAX {
            self.flush(end);
        }
    }

    fn pass_on(&mut self, part: Part<Key>, end: u64) -> Result<(), LoadError> {
        self.steps.push(match part {
            Part::SelectDb(index) => {
                self.keys.db = self.setup.check_db(index)?;
                return Ok(());
            }
            Part::Resize(keys) => {
                let room = Room::new(self.setup.believable(keys, end));
                Step::Resize { db: self.keys.db, room }
            }
            Part::Fact(name, value) => Step::Fact(name, value),
            Part::ModuleData { id, when, items } => Step::ModuleData { id, when, items },
            Part::Library(text) => Step::Library(text),
            _ => return Ok(()),
        });
        Ok(())
    }

    /// Makes a step of the keys that were read; they end there.
    fn flush(&mut self, end: u64) {
        if self.keys.keys.is_empty() && self.keys.expired == 0 {
            return;
        }
        let next = Keys { db: self.keys.db, ..Keys::default() };
        let keys = std::mem::replace(&mut self.keys, next);
        self.steps.push(Step::Keys(Keys { end, ..keys }));
    }

    /// The access clock of a key.
    fn clock(&self, attributes: Attributes) -> u32 {
        let now_us = self.setup.now_us;
        match self.setup.lfu {
            None => {
                let idle = attributes.idle.unwrap_or(0).min(i64::MAX as u64 / 2_000_000) as i64;
                clock_seconds(now_us - idle * 1_000_000)
            }
            Some(_) => Lfu::with_count(attributes.frequency, now_us),
        }
    }

    /// A key whose time is over, with its name if that is wanted.
    fn over(&self, key: &[u8]) -> Key {
        Key::Over(self.setup.options.tells_expired.then(|| key.to_vec()))
    }

    /// Reads key and value.
    #[inline]
    fn read_key(
        &self,
        kind: u8,
        reader: &mut Reader<'_>,
        attributes: Attributes,
    ) -> Result<Key, RdbError> {
        let key = reader.string()?;
        let expire_at = attributes.expire_at;
        if kind == kind::STRING {
            let text = reader.string()?;
            if self.setup.is_over(expire_at) {
                return Ok(self.over(&key));
            }
            return Ok(Key::Ready(Prepared::string(&key, text, expire_at, self.clock(attributes))));
        }
        if kind == kind::MODULE_2 {
            let bytes = module::raw(reader)?;
            return Ok(Key::Module { key: key.into_owned(), bytes });
        }
        let name = KeyName { name: Some(&key), db: self.keys.db as i32 };
        let ctx = LoadContext {
            limits: self.setup.limits,
            types: &NoTypes,
            key: name,
            dialect: self.dialect,
            check: self.setup.check,
        };
        match value::load(kind, reader, &ctx) {
            Ok(_) if self.setup.is_over(expire_at) => Ok(self.over(&key)),
            Ok(value) => {
                Ok(Key::Ready(Prepared::value(&key, value, expire_at, self.clock(attributes))))
            }
            Err(RdbError::Empty) => Ok(Key::Empty(key.into_owned())),
            Err(error) => Err(error),
        }
    }
}
