//! How does a file come into the keyspace? Step by step, as `ahead.rs` has them made ready, in turns: whoever loads says for how
//! long the engine is kept, and lets others in between.
//!
//! Invariants: keys enter the keyspace in the order of the file; what was read before an error stays, and whoever
//! loads at start gives up then.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;
use std::vec::IntoIter;

use parking_lot::Mutex;

use super::ahead::{self, Coming};
use super::decode::{Decoded, Keys, ModuleKey, Setup, Step};
use super::value::{self, HookTypes, Origin, limits};
use crate::base::number::parse_i64;
use crate::config::params::Param;
use crate::engine::ctx::{ExclusiveCtx, notify};
use crate::engine::effects::{EventClass, Targets};
use crate::engine::hooks::{KeyEvent, TypeDataError};
use crate::engine::log::Bond;
use crate::engine::records::Records;
use crate::keyspace::db::prepared::Prepared;
use crate::keyspace::value::Value;
use crate::object::module::KeyName;
use crate::object::rdb::kind::item;
use crate::object::rdb::module::type_name;
use crate::object::rdb::read::Reader;
use crate::object::rdb::{self, LoadContext, RdbError};
use crate::persist::progress::{self, Kind};
use crate::script::functions::{self, LoadOptions};
use crate::script::vm::VmOptions;

/// Empty keys that are named in the log.
const EMPTY_KEYS_NAMED_MAX: u64 = 10;

/// Keys for whose memory the cache is asked ahead of their turn.
const KEYS_AHEAD: usize = 12;
/// How long keys are added in one go where modules look at each of them.
const HEARD_NS_MAX: u64 = 500_000;

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
    /// It has a library of functions that cannot be loaded.
    #[error("Failed loading library, {0}")]
    Library(String),
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
    /// Keys whose time is over are deleted for those who follow this server, too, who may still have them.
    pub tells_expired: bool,
    /// Bytes of the file, if that is known: it bounds how many keys it may announce.
    pub bytes: Option<u64>,
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
    /// The id of the history that the snapshot is of, if the file says so.
    pub history: Option<[u8; 40]>,
    /// The offset up to which it has that.
    pub offset: Option<u64>,
    /// The db that what follows it begins in.
    pub stream_db: Option<u32>,
}

/// Who holds the engine while a file is loaded, and for how long?
pub trait Turns {
    /// Calls with the engine.
    fn with(&mut self, f: &mut dyn FnMut(&mut ExclusiveCtx<'_>));
    /// So many bytes of the file are loaded: others may be let in. An error ends the loading.
    fn loaded(&mut self, offset: u64) -> Result<(), LoadError>;
    /// There is nothing to do for so long, or, without a time, until more of the file has been read.
    fn idle(&mut self, time: Option<Duration>);
    /// The file says how much memory was in use where it was written, in bytes.
    fn note_used_memory(&mut self, bytes: u64);
}

/// One turn from the beginning to the end.
#[cfg(any(test, fuzzing))]
struct OneTurn<'a, 'b>(&'a mut ExclusiveCtx<'b>);

#[cfg(any(test, fuzzing))]
impl Turns for OneTurn<'_, '_> {
    fn with(&mut self, f: &mut dyn FnMut(&mut ExclusiveCtx<'_>)) {
        f(self.0);
    }

    fn loaded(&mut self, offset: u64) -> Result<(), LoadError> {
        self.0.env.shared.loading.note(offset);
        Ok(())
    }

    fn idle(&mut self, time: Option<Duration>) {
        time.into_iter().for_each(std::thread::sleep);
    }

    fn note_used_memory(&mut self, _: u64) {}
}

/// Loads a file in one turn. More may be read of it than the snapshot has.
#[cfg(any(test, fuzzing))]
pub fn load(
    ctx: &mut ExclusiveCtx<'_>,
    source: &mut (dyn Read + Send),
    options: Options,
) -> Result<Outcome, LoadError> {
    load_in_turns(&mut OneTurn(ctx), source, options)
}

/// Loads a file. More may be read of it than the snapshot has.
pub fn load_in_turns(
    turns: &mut dyn Turns,
    source: &mut (dyn Read + Send),
    options: Options,
) -> Result<Outcome, LoadError> {
    let mut setup = None;
    turns.with(&mut |ctx| setup = Some(Setup::of(ctx.state, ctx.env.now_us, options)));
    let setup = setup.expect("turns call what they are given");
    let jobs = Mutex::default();
    std::thread::scope(|threads| {
        let blocks = ahead::start(threads, source, &setup, &jobs)?;
        let mut loading = Loading { turns, options, outcome: Outcome::default(), offset: 0 };
        loop {
            let Decoded { steps, checked, error } = loading.next(&blocks)?;
            if checked > 0 {
                loading.turns.with(&mut |ctx| ctx.state.persistence.payloads_checked += checked);
            }
            for step in steps {
                if let Step::End(bytes) = step {
                    return Ok(Outcome { bytes, ..loading.outcome });
                }
                loading.take(step)?;
            }
            if let Some(error) = error {
                return Err(error);
            }
        }
    })
}

struct Loading<'a> {
    turns: &'a mut dyn Turns,
    options: Options,
    outcome: Outcome,
    /// Bytes of the file that are loaded.
    offset: u64,
}

impl Loading<'_> {
    /// The next block, as soon as it is decoded.
    fn next(&mut self, blocks: &Receiver<Coming>) -> Result<Decoded, LoadError> {
        let coming = self.wait_for(blocks)?;
        self.wait_for(&coming)
    }

    fn wait_for<T>(&mut self, receiver: &Receiver<T>) -> Result<T, LoadError> {
        let received = match receiver.try_recv() {
            Err(TryRecvError::Empty) => {
                self.turns.idle(None);
                receiver.recv().ok()
            }
            received => received.ok(),
        };
        received.ok_or_else(|| io::Error::other("a thread that reads the file is gone").into())
    }

    fn take(&mut self, step: Step) -> Result<(), LoadError> {
        match step {
            Step::Keys(keys) => self.add_keys(keys)?,
            Step::ModuleKey(key) => self.add_module_key(&key)?,
            Step::Resize { db, mut room } => self.turns.with(&mut |ctx| {
                ctx.state.keyspace.db_mut(db as usize).exchange_room(&mut room);
            }),
            Step::Fact(name, value) => self.note_fact(&name, &value),
            Step::ModuleData { id, when, items } => {
                let mut given = Ok(());
                self.turns.with(&mut |ctx| given = give_data(ctx, id, when, &items));
                given?;
            }
            Step::Library(text) => {
                let (replace, mut loaded) = (self.options.replace, Ok(()));
                self.turns.with(&mut |ctx| loaded = load_library(ctx, &text, replace));
                loaded?;
            }
            Step::EmptyKey(key) => {
                self.outcome.empty += 1;
                if self.outcome.empty <= EMPTY_KEYS_NAMED_MAX {
                    let key = String::from_utf8_lossy(&key);
                    tracing::info!("rdbLoadObject skipping empty key: {key}");
                }
            }
            Step::End(_) => unreachable!("nothing is taken at the end"),
        }
        Ok(())
    }

    fn add_keys(&mut self, step: Keys) -> Result<(), LoadError> {
        let (begin, count) = (self.offset, step.keys.len() as u64);
        let mut keys = step.keys.into_iter();
        while keys.len() > 0 {
            let mut added = Ok(Duration::ZERO);
            let (options, loaded) = (self.options, &mut self.outcome.loaded);
            self.turns.with(&mut |ctx| {
                let (some, delay) = delay(ctx.state.config.int(Param::KeyLoadDelay));
                added = add_some(ctx, step.db, &mut keys, some, options, loaded).map(|()| delay);
            });
            let delay = added?;
            if keys.len() == 0 && delay.is_zero() {
                break;
            }
            // With keys so slow, or modules that look at each of them, whoever waits has its turn in between.
            let left = keys.len() as u64 * (step.end - begin) / count;
            self.turns.loaded(step.end - left)?;
            self.turns.with(&mut |ctx| progress::tell(ctx, Kind::Snapshot));
            if !delay.is_zero() {
                self.turns.idle(Some(delay));
            }
        }
        self.outcome.expired += step.expired;
        if !step.gone.is_empty() {
            let mut gone = Some(step.gone);
            self.turns.with(&mut |ctx| {
                gone.take().into_iter().for_each(|gone| tell_expired(ctx, step.db, gone));
            });
        }
        self.offset = step.end;
        self.turns.loaded(step.end)?;
        self.turns.with(&mut |ctx| progress::tell(ctx, Kind::Snapshot));
        Ok(())
    }

    fn add_module_key(&mut self, key: &ModuleKey) -> Result<(), LoadError> {
        let (offset, options) = (self.offset, self.options);
        let mut added = Ok(());
        let outcome = &mut self.outcome;
        self.turns.with(&mut |ctx| {
            let value = read_module_value(ctx, key);
            added = match value {
                Err(error) => Err(LoadError::Part { offset, error }),
                Ok(_) if key.is_over => {
                    outcome.expired += 1;
                    Ok(())
                }
                Ok(value) => {
                    let prepared = Prepared::value(&key.key, value, key.expire_at, key.clock);
                    outcome.loaded += 1;
                    add(ctx, key.db, prepared, options)
                }
            };
        });
        added?;
        self.offset = key.end;
        self.turns.loaded(key.end)?;
        self.turns.with(&mut |ctx| progress::tell(ctx, Kind::Snapshot));
        Ok(())
    }

    /// Facts that concern an administrator go to the log.
    fn note_fact(&mut self, name: &[u8], value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        let number = parse_i64(value).unwrap_or(0);
        match name.to_ascii_lowercase().as_slice() {
            [b'%', ..] => tracing::info!("RDB '{}': {text}", String::from_utf8_lossy(name)),
            b"redis-ver" | b"valkey-ver" => {
                tracing::info!("Loading RDB produced by version {text}");
            }
            b"ctime" => {
                let mut now = 0;
                self.turns.with(&mut |ctx| now = ctx.env.now_us / 1_000_000);
                tracing::info!("RDB age {} seconds", now.saturating_sub(number).max(0));
            }
            b"used-mem" => {
                let megabytes = number as f64 / (1 << 20) as f64;
                tracing::info!("RDB memory usage when created {megabytes:.2} Mb");
                self.turns.note_used_memory(u64::try_from(number).unwrap_or(0));
            }
            b"aof-preamble" if number != 0 => tracing::info!("RDB has an AOF tail"),
            b"aof-base" if number != 0 => tracing::info!("RDB is base AOF"),
            b"aof-base" | b"aof-preamble" | b"redis-bits" | b"lua" => {}
            b"repl-stream-db" => self.outcome.stream_db = u32::try_from(number).ok(),
            b"repl-id" => self.outcome.history = value.try_into().ok(),
            b"repl-offset" => self.outcome.offset = u64::try_from(number).ok(),
            _ => {
                tracing::trace!("Unrecognized RDB AUX field: '{}'", String::from_utf8_lossy(name));
            }
        }
    }
}

/// How many keys come between two delays of `key-load-delay`, and how long these are. A negative number is not microseconds
/// but how many keys one microsecond is for.
fn delay(configured: i64) -> (usize, Duration) {
    match configured {
        0 => (usize::MAX, Duration::ZERO),
        1.. => (1, Duration::from_micros(configured.unsigned_abs())),
        _ => {
            let keys = usize::try_from(configured.unsigned_abs()).unwrap_or(usize::MAX);
            (keys, Duration::from_micros(1))
        }
    }
}

/// Adds the next keys, as many as `some` at most, and counts them. Where somebody looks at each of them, who may take long,
/// it ends early.
fn add_some(
    ctx: &mut ExclusiveCtx<'_>,
    db: u32,
    keys: &mut IntoIter<Prepared>,
    some: usize,
    options: Options,
    loaded: &mut u64,
) -> Result<(), LoadError> {
    let clock = ctx.env.shared.clock.mono_ns;
    let end_ns = ctx.env.shared.is_heard(EventClass::LOADED).then(|| clock() + HEARD_NS_MAX);
    for _ in 0..some {
        let Some(key) = keys.next() else { break };
        if let Some(later) = keys.as_slice().get(KEYS_AHEAD) {
            ctx.state.keyspace.db(db as usize).prefetch_add(later);
        }
        add(ctx, db, key, options)?;
        *loaded += 1;
        if end_ns.is_some_and(|end_ns| clock() >= end_ns) {
            break;
        }
    }
    Ok(())
}

#[inline]
fn add(
    ctx: &mut ExclusiveCtx<'_>,
    db: u32,
    key: Prepared,
    options: Options,
) -> Result<(), LoadError> {
    let heard = ctx.env.shared.is_heard(EventClass::LOADED).then(|| key.key().to_vec());
    let table = ctx.state.keyspace.db_mut(db as usize);
    if let Err(key) = table.add(key) {
        let there = table.find(key.key()).filter(|_| options.replace);
        let Some(slot) = there else {
            let key = String::from_utf8_lossy(key.key()).into_owned();
            return Err(LoadError::Duplicate { key, db });
        };
        drop(table.remove(slot));
        let added = table.add(key);
        assert!(added.is_ok(), "it was removed");
    }
    if let Some(key) = heard {
        let event = KeyEvent { class: EventClass::LOADED, name: "loaded", db, key: &key };
        notify(ctx.state, ctx.unit, ctx.env, &event);
    }
    Ok(())
}

/// Deletes keys whose time is over for those who follow this server.
fn tell_expired(ctx: &mut ExclusiveCtx<'_>, db: u32, gone: Vec<Vec<u8>>) {
    let mut records = Records::default();
    for key in &gone {
        records.push(db, Targets::REPLICAS, &[b"DEL", key]);
    }
    ctx.state.replication.feed(&records, Bond::Apart);
}

/// Lets a module make a value of its bytes.
fn read_module_value(ctx: &mut ExclusiveCtx<'_>, key: &ModuleKey) -> Result<Value, RdbError> {
    let hooks = ctx.state.hooks.clone();
    let types = HookTypes(hooks.clone());
    let name = KeyName { name: Some(&key.key), db: key.db as i32 };
    let load_ctx = LoadContext {
        limits: limits(&ctx.state.config),
        types: &types,
        key: name,
        dialect: key.dialect,
        check: value::check(&ctx.state.config, Origin::Trusted),
    };
    let mut value = Err(RdbError::Empty);
    let mut load = || value = rdb::module::load(&mut Reader::new(&key.bytes), &load_ctx);
    match &hooks {
        Some(hooks) => hooks.lend(ctx, &mut load),
        None => load(),
    }
    Ok(Value::Module(Box::new(value?)))
}

/// Loads a library of functions. Its text may take its time.
fn load_library(ctx: &mut ExclusiveCtx<'_>, text: &[u8], replace: bool) -> Result<(), LoadError> {
    let clock = ctx.env.shared.clock.mono_ns;
    let options = LoadOptions { replace, ms_max: 0, clock, vm: VmOptions::of(&ctx.state.config) };
    match functions::load(&mut ctx.state.functions, text, options) {
        Ok(_) => Ok(()),
        Err(text) => Err(LoadError::Library(String::from_utf8_lossy(&text).into_owned())),
    }
}

/// Gives a module what belongs to no key. It may take long and let others in meanwhile.
fn give_data(
    ctx: &mut ExclusiveCtx<'_>,
    id: u64,
    when: u64,
    items: &[u8],
) -> Result<(), LoadError> {
    let when = i32::try_from(when).unwrap_or(-1);
    let mut read = Err(TypeDataError::NoType);
    if let Some(hooks) = ctx.state.hooks.clone() {
        hooks.lend(ctx, &mut || read = hooks.load_data(id, when, items));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_for_each_key_or_for_one_of_some() {
        assert_eq!(delay(0), (usize::MAX, Duration::ZERO));
        assert_eq!(delay(1500), (1, Duration::from_micros(1500)));
        assert_eq!(delay(-200), (200, Duration::from_micros(1)));
        assert_eq!(delay(i64::MIN).1, Duration::from_micros(1));
    }
}
