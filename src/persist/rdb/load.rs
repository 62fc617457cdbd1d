//! How is a file read? Through a window that grows until the next part fits: a part that asks for more bytes is
//! read again when they have come, so that the readers of values work on plain slices and see either all
//! of a value or nothing.
//!
//! Invariants: keys enter the keyspace one by one, in order; what was read before an error stays, and
//! whoever loads at start gives up then. The window is never larger than the largest part and what was read
//! ahead of it, twice at most.

use std::io::{self, Read};
use std::time::Duration;

use super::value::{self, HookTypes, dialect_of, limits};
use crate::base::crc::crc64;
use crate::base::number::parse_i64;
use crate::config::params::Param;
use crate::engine::access::{Lfu, clock_seconds};
use crate::engine::ctx::{ExclusiveCtx, notify};
use crate::engine::effects::EventClass;
use crate::engine::state::{KeyEvent, TypeDataError};
use crate::keyspace::value::Value;
use crate::object::module::KeyName;
use crate::object::rdb::kind::{self, item, opcode};
use crate::object::rdb::module::{skip_items, type_name};
use crate::object::rdb::read::Reader;
use crate::object::rdb::{LoadContext, RdbError, corrupt};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Empty keys that are named in the log.
const EMPTY_KEYS_NAMED_MAX: u64 = 10;

/// Files from this version on end with a checksum.
pub(super) const VERSION_WITH_CHECKSUM: u32 = 5;

/// Function libraries that are kept.
const LIBRARIES_MAX: usize = 16_384;

/// Why a file was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no RDB file.
    #[error("Wrong signature trying to load DB from file")]
    Signature,
    /// Its version is not known.
    #[error("Can't handle RDB format version {0}")]
    Version(String),
    /// Its parts make no sense.
    #[error("Internal error in RDB reading offset {offset}, function at load.rs -> {error}")]
    Part {
        /// How many bytes in front of the part were good.
        offset: u64,
        /// What is wrong.
        error: RdbError,
    },
    /// The bytes are not those that were saved.
    #[error("Wrong RDB checksum expected: ({expected:x}) but got ({found:x}). Aborting now.")]
    Checksum {
        /// The checksum of the bytes.
        expected: u64,
        /// The one behind them.
        found: u64,
    },
    /// It has more dbs than the server.
    #[error(
        "FATAL: Data file was created with a Redis server configured to handle more than {0} \
         databases. Exiting"
    )]
    Dbs(usize),
    /// It has data of a module that is not there, or does not take it.
    #[error("{0}")]
    ModuleData(String),
    /// The process is to end.
    #[error("Loading was given up")]
    Cancelled,
    /// A key comes twice.
    #[error("RDB has duplicated key '{key}' in DB {db}")]
    Duplicate {
        /// The key.
        key: String,
        /// Its db.
        db: u32,
    },
}

/// How a file is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Keys of the file replace those that are there; otherwise that is an error.
    pub replace: bool,
    /// Keys whose time is over are loaded all the same: commands follow that were given when it was not.
    pub keep_expired: bool,
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Keys that are there now.
    pub loaded: u64,
    /// Keys whose time was over.
    pub expired: u64,
    /// Keys that held nothing.
    pub empty: u64,
    /// Bytes of the snapshot; the file may go on behind it.
    pub bytes: u64,
}

/// The bytes of a file that are being looked at.
pub(super) struct Window<'a> {
    source: &'a mut dyn Read,
    bytes: Vec<u8>,
    at: usize,
    /// Bytes in front of `at`.
    offset: u64,
    checksum: u64,
    ended: bool,
}

impl<'a> Window<'a> {
    pub(super) fn new(source: &'a mut dyn Read) -> Self {
        Self { source, bytes: Vec::new(), at: 0, offset: 0, checksum: 0, ended: false }
    }

    /// Bytes that are behind.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The checksum of these.
    pub(super) fn checksum(&self) -> u64 {
        self.checksum
    }

    /// Reads a part; its reader may be called again from its start.
    pub(super) fn part<T>(
        &mut self,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<T, RdbError>,
    ) -> Result<T, LoadError> {
        loop {
            let mut reader = Reader::new(&self.bytes[self.at..]);
            match read(&mut reader) {
                Ok(part) => {
                    let end = self.at + reader.position();
                    self.checksum = crc64(self.checksum, &self.bytes[self.at..end]);
                    self.offset += (end - self.at) as u64;
                    self.at = end;
                    return Ok(part);
                }
                Err(RdbError::Truncated) if !self.ended => self.grow()?,
                Err(error) => return Err(LoadError::Part { offset: self.offset, error }),
            }
        }
    }

    /// Reads as much again as there is, so that the work on a long part stays in proportion.
    fn grow(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.at);
        self.at = 0;
        let before = self.bytes.len();
        let wanted = before.max(CHUNK_BYTES);
        (&mut *self.source).take(wanted as u64).read_to_end(&mut self.bytes)?;
        self.ended = self.bytes.len() - before < wanted;
        Ok(())
    }
}

/// A part of a file.
pub(super) enum Part {
    Key { key: Vec<u8>, value: Value },
    EmptyKey(Vec<u8>),
    ExpireAt(i64),
    Frequency(u8),
    Idle(u64),
    SelectDb(u64),
    Fact(Vec<u8>, Vec<u8>),
    ModuleData { id: u64, when: u64, items: Vec<u8> },
    Library(Vec<u8>),
    Hint,
    End,
}

pub(super) fn read_part(
    reader: &mut Reader<'_>,
    ctx: &LoadContext<'_>,
    db: u32,
) -> Result<Part, RdbError> {
    let kind = reader.byte()?;
    Ok(match kind {
        opcode::EXPIRE => Part::ExpireAt(i64::from(i32::from_le_bytes(reader.array()?)) * 1000),
        opcode::EXPIRE_MS => Part::ExpireAt(reader.millis()?),
        opcode::FREQ => Part::Frequency(reader.byte()?),
        opcode::IDLE => Part::Idle(reader.number()?),
        opcode::EOF => Part::End,
        opcode::SELECT_DB => Part::SelectDb(reader.number()?),
        opcode::RESIZE_DB => {
            reader.number()?;
            reader.number()?;
            Part::Hint
        }
        opcode::SLOT_INFO => {
            reader.number()?;
            reader.number()?;
            reader.number()?;
            Part::Hint
        }
        opcode::AUX => Part::Fact(reader.string()?.into_owned(), reader.string()?.into_owned()),
        opcode::MODULE_AUX => read_module_data(reader)?,
        opcode::FUNCTION => Part::Library(reader.string()?.into_owned()),
        opcode::FUNCTION_PRE_GA => {
            return Err(corrupt("Pre-release function format not supported."));
        }
        kind => {
            let key = reader.string()?.into_owned();
            if !kind::is_value(kind) {
                let text = format!("Unknown RDB encoding type {kind}");
                return Err(RdbError::Corrupt(text.into()));
            }
            let name = KeyName { name: Some(&key), db: db as i32 };
            match value::load(kind, reader, &LoadContext { key: name, ..*ctx }) {
                Ok(value) => Part::Key { key, value },
                Err(RdbError::Empty) => Part::EmptyKey(key),
                Err(error) => return Err(error),
            }
        }
    })
}

fn read_module_data(reader: &mut Reader<'_>) -> Result<Part, RdbError> {
    let (id, when_kind, when) = (reader.number()?, reader.number()?, reader.number()?);
    if when_kind != item::UNSIGNED {
        return Err(corrupt("bad when_opcode"));
    }
    let rest = reader.rest();
    let before = reader.position();
    skip_items(reader)?;
    Ok(Part::ModuleData { id, when, items: rest[..reader.position() - before].to_vec() })
}

/// What was said of the key that comes next.
#[derive(Clone, Copy, Default)]
struct Attributes {
    expire_at: Option<i64>,
    frequency: Option<u8>,
    idle: Option<u64>,
}

/// Loads a file into the keyspace.
pub fn load(
    ctx: &mut ExclusiveCtx<'_>,
    source: &mut dyn Read,
    options: Options,
) -> Result<Outcome, LoadError> {
    let mut window = Window::new(source);
    let version = read_magic(&mut window)?;
    let dialect = dialect_of(version).ok_or_else(|| LoadError::Version(version.to_string()))?;
    let types = HookTypes(ctx.state.hooks.clone());
    let no_key = KeyName { name: None, db: -1 };
    let load_ctx =
        LoadContext { limits: limits(&ctx.state.config), types: &types, key: no_key, dialect };
    let mut outcome = Outcome::default();
    let mut attributes = Attributes::default();
    let mut db = 0;
    loop {
        match window.part(|reader| read_part(reader, &load_ctx, db))? {
            Part::ExpireAt(at) => attributes.expire_at = Some(at),
            Part::Frequency(frequency) => attributes.frequency = Some(frequency),
            Part::Idle(idle) => attributes.idle = Some(idle),
            Part::SelectDb(index) => db = check_db(index, ctx)?,
            Part::Fact(name, value) => note_fact(&name, &value, ctx),
            Part::ModuleData { id, when, items } => give_data(ctx, id, when, &items)?,
            Part::Library(text) => keep_library(ctx, text),
            Part::Hint => {}
            Part::End => break,
            Part::EmptyKey(key) => {
                outcome.empty += 1;
                if outcome.empty <= EMPTY_KEYS_NAMED_MAX {
                    let key = String::from_utf8_lossy(&key);
                    tracing::info!("rdbLoadObject skipping empty key: {key}");
                }
                attributes = Attributes::default();
            }
            Part::Key { key, value } => {
                let attributes = std::mem::take(&mut attributes);
                add(ctx, db, &key, value, attributes, options, &mut outcome)?;
            }
        }
    }
    if version >= VERSION_WITH_CHECKSUM {
        check_checksum(&mut window, ctx)?;
    }
    outcome.bytes = window.offset();
    Ok(outcome)
}

pub(super) fn read_magic(window: &mut Window<'_>) -> Result<u32, LoadError> {
    let magic: [u8; 9] = window.part(|reader| reader.array())?;
    let digits = match magic.strip_prefix(b"REDIS") {
        Some(digits) => digits,
        None => magic.strip_prefix(b"VALKEY").ok_or(LoadError::Signature)?,
    };
    let text = String::from_utf8_lossy(digits);
    // What are no digits count as nothing, as in C.
    let version = text.parse().unwrap_or(0);
    if version == 0 {
        return Err(LoadError::Version(version.to_string()));
    }
    Ok(version)
}

fn check_db(index: u64, ctx: &ExclusiveCtx<'_>) -> Result<u32, LoadError> {
    let count = ctx.state.keyspace.db_count();
    u32::try_from(index).ok().filter(|index| (*index as usize) < count).ok_or(LoadError::Dbs(count))
}

/// Facts that concern an administrator go to the log.
fn note_fact(name: &[u8], value: &[u8], ctx: &ExclusiveCtx<'_>) {
    let text = String::from_utf8_lossy(value);
    let number = parse_i64(value).unwrap_or(0);
    match name.to_ascii_lowercase().as_slice() {
        [b'%', ..] => tracing::info!("RDB '{}': {text}", String::from_utf8_lossy(name)),
        b"redis-ver" | b"valkey-ver" => tracing::info!("Loading RDB produced by version {text}"),
        b"ctime" => {
            let age = (ctx.env.now_us / 1_000_000 - number).max(0);
            tracing::info!("RDB age {age} seconds");
        }
        b"used-mem" => {
            let megabytes = number as f64 / (1 << 20) as f64;
            tracing::info!("RDB memory usage when created {megabytes:.2} Mb");
        }
        b"aof-base" if number != 0 => tracing::info!("RDB is base AOF"),
        b"aof-base" | b"aof-preamble" | b"redis-bits" | b"lua" => {}
        b"repl-stream-db" | b"repl-id" | b"repl-offset" => {}
        _ => tracing::trace!("Unrecognized RDB AUX field: '{}'", String::from_utf8_lossy(name)),
    }
}

fn give_data(ctx: &ExclusiveCtx<'_>, id: u64, when: u64, items: &[u8]) -> Result<(), LoadError> {
    let when = i32::try_from(when).unwrap_or(-1);
    let read = match &ctx.state.hooks {
        Some(hooks) => hooks.load_data(id, when, items),
        None => Err(TypeDataError::NoType),
    };
    let name = type_name(id);
    let text = match read {
        Ok(read) if items.get(read..) == Some(&[item::END as u8]) => return Ok(()),
        Ok(_) => format!(
            "The RDB file contains module AUX data for the module '{name}' that is not terminated by the \
             proper module value EOF marker"
        ),
        Err(TypeDataError::NoType) => format!(
            "The RDB file contains AUX module data I can't load: no matching module '{name}'"
        ),
        Err(TypeDataError::NoData) => format!(
            "The RDB file contains module AUX data, but the module '{name}' doesn't seem to support it."
        ),
        Err(TypeDataError::Refused) => format!(
            "The RDB file contains module AUX data for the module type '{name}', that the responsible \
             module is not able to load. Check for modules log above for additional clues."
        ),
    };
    Err(LoadError::ModuleData(text))
}

/// Function libraries cannot be called yet; they are kept, so that saving does not lose them.
fn keep_library(ctx: &mut ExclusiveCtx<'_>, text: Vec<u8>) {
    let libraries = &mut ctx.state.persistence.libraries;
    let text = text.into_boxed_slice();
    if libraries.len() < LIBRARIES_MAX && !libraries.contains(&text) {
        libraries.push(text);
    }
}

/// Adds a key to the keyspace, unless its time is over.
fn add(
    ctx: &mut ExclusiveCtx<'_>,
    db: u32,
    key: &[u8],
    value: Value,
    attributes: Attributes,
    options: Options,
    outcome: &mut Outcome,
) -> Result<(), LoadError> {
    let now_us = ctx.env.now_us;
    let is_over = attributes.expire_at.is_some_and(|at| at < now_us / 1000);
    if is_over && !options.keep_expired {
        outcome.expired += 1;
        return Ok(());
    }
    let clock = match Lfu::of(&ctx.state.config) {
        None => {
            let idle = attributes.idle.unwrap_or(0).min(i64::MAX as u64 / 2_000_000) as i64;
            clock_seconds(now_us - idle * 1_000_000)
        }
        Some(_) => Lfu::with_count(attributes.frequency, now_us),
    };
    let table = ctx.state.keyspace.db_mut(db as usize);
    if let Some(slot) = table.find(key) {
        if !options.replace {
            let key = String::from_utf8_lossy(key).into_owned();
            return Err(LoadError::Duplicate { key, db });
        }
        drop(table.remove(slot));
    }
    let slot = table.insert_new(key, value, attributes.expire_at);
    table.touch(slot, clock);
    outcome.loaded += 1;
    if ctx.env.shared.is_heard(EventClass::LOADED) {
        let event = KeyEvent { class: EventClass::LOADED, name: "loaded", db, key };
        notify(ctx.state, ctx.unit, ctx.env, &event);
    }
    let delay_us = ctx.state.config.int(Param::KeyLoadDelay);
    if delay_us > 0 {
        std::thread::sleep(Duration::from_micros(delay_us.unsigned_abs()));
    }
    Ok(())
}

fn check_checksum(window: &mut Window<'_>, ctx: &ExclusiveCtx<'_>) -> Result<(), LoadError> {
    let expected = window.checksum;
    let found = u64::from_le_bytes(window.part(|reader| reader.array())?);
    if !ctx.state.config.flag(Param::Rdbchecksum) || ctx.state.persistence.skip_checksum {
        return Ok(());
    }
    if found == 0 {
        tracing::info!("RDB file was saved with checksum disabled: no check performed.");
    } else if found != expected {
        return Err(LoadError::Checksum { expected, found });
    }
    Ok(())
}
