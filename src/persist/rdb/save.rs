//! In which order do the parts of a file come? Magic, facts about the server, data of modules, function
//! libraries, the dbs, data of modules again, the end mark; the checksum is the file's.
//!
//! The keys of a db follow its number. In a snapshot that was taken while writes went on, old values that were
//! handed over stand between those that the walk came to, so that a db may be selected more than once.

use std::sync::Arc;

use super::value::{Unsavable, kind_of, save, style};
use crate::config::params::Param;
use crate::engine::access::{Lfu, idle_seconds};
use crate::engine::functions::{Libraries, Library};
use crate::engine::hooks::TypeData;
use crate::engine::replication::Replication;
use crate::engine::state::State;
use crate::keyspace::db::Db;
use crate::keyspace::snapshot::{Batch, SavedValue};
use crate::keyspace::value::ValueRef;
use crate::object::module::KeyName;
use crate::object::rdb::kind::{self, opcode};
use crate::object::rdb::write::{Style, Writer};

/// Keys that are written between two calls of the callback.
const KEYS_PER_LOOK: usize = 256;

/// The numbers of the policies that evict by access time, among the choices of `maxmemory-policy`.
const POLICIES_LRU: [u32; 2] = [0, 4];

/// Facts that are written at the front.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The version of Redis whose behaviour this is.
    pub version: &'a str,
    /// The time, in unix microseconds.
    pub now_us: i64,
    /// Bytes of memory in use.
    pub used_memory: usize,
    /// The file is the base of an append-only file.
    pub base: bool,
    /// No later version of the format than this is to be written.
    pub rdb_version_max: u32,
}

/// Where in a history of replication a snapshot was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The history's id.
    pub id: String,
    /// The offset of its last byte.
    pub offset: u64,
    /// The db that the stream has selected.
    pub db: u32,
}

impl Moment {
    /// That of now, if somebody could go on from it.
    pub fn of(replication: &Replication) -> Option<Self> {
        let db = replication.current_db()?;
        Some(Self { id: replication.id.clone(), offset: replication.offset(), db })
    }
}

/// Why a snapshot was not completed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A value cannot be saved.
    #[error(transparent)]
    Unsavable(#[from] Unsavable),
    /// It was told to end.
    #[error("the snapshot was cancelled")]
    Cancelled,
    /// Old values could not be put aside.
    #[error("cannot put old values aside: {0}")]
    Spill(#[from] std::io::Error),
    /// Whoever writes the file has given up.
    #[error("the file cannot be written")]
    Abandoned,
}

/// What a file says besides the keys, as it is at one point in time.
#[derive(Debug)]
pub struct Frame<'a> {
    facts: Facts<'a>,
    moment: Option<Moment>,
    style: Style,
    accesses: Accesses,
    libraries: Vec<Arc<Library>>,
    data: [Vec<TypeData>; 2],
    dbs: Vec<DbSize>,
}

/// How many keys a db has, and how many of them expire.
#[derive(Clone, Copy, Debug)]
struct DbSize {
    number: u32,
    keys: usize,
    volatile: usize,
}

impl<'a> Frame<'a> {
    /// The frame of what there is now. Modules are asked for their data.
    pub fn of(state: &State, facts: Facts<'a>) -> Self {
        let data = |when: When| {
            state.hooks.as_ref().map_or_else(Vec::new, |hooks| hooks.save_data(when as i32))
        };
        let dbs = (0..).zip(state.keyspace.iter()).filter(|(_, (_, db))| !db.is_empty());
        let dbs = dbs.map(|(number, (_, db))| DbSize {
            number,
            keys: db.len(),
            volatile: db.volatile_len(),
        });
        let mut style = style(&state.config);
        style.version = style.version.min(facts.rdb_version_max);
        let moment = if facts.base { None } else { Moment::of(&state.replication) };
        Self {
            facts,
            moment,
            style,
            accesses: Accesses::of(state),
            libraries: state.functions.libraries().iter().cloned().collect(),
            data: [data(When::Before), data(When::After)],
            dbs: dbs.collect(),
        }
    }

    /// The frame of nothing.
    #[cfg(test)]
    pub fn empty(facts: Facts<'a>) -> Self {
        let (style, accesses) = (Style::default(), Accesses::Nothing);
        let data = [vec![], vec![]];
        Self { facts, moment: None, style, accesses, libraries: vec![], data, dbs: vec![] }
    }

    /// How values are written.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Number of keys in all dbs.
    pub fn keys(&self) -> usize {
        self.dbs.iter().map(|db| db.keys).sum()
    }

    /// Writes what comes in front of the keys.
    pub fn write_front(&self, writer: &mut Writer<'_>) {
        write_facts(&self.facts, self.moment.as_ref(), writer);
        self.write_data(When::Before, writer);
        self.libraries.iter().for_each(|library| write_library(library, writer));
    }

    /// Writes what comes behind the keys, the end mark included.
    pub fn write_back(&self, writer: &mut Writer<'_>) {
        self.write_data(When::After, writer);
        writer.byte(opcode::EOF);
        writer.flush();
    }

    fn write_data(&self, when: When, writer: &mut Writer<'_>) {
        let [before, after] = &self.data;
        for data in if when == When::Before { before } else { after } {
            writer.byte(opcode::MODULE_AUX);
            writer.number(data.id);
            writer.number(crate::object::rdb::kind::item::UNSIGNED);
            writer.number(when as u64);
            writer.raw(&data.items);
            writer.number(crate::object::rdb::kind::item::END);
        }
    }

    fn write_head(&self, clock: u32, expire_at: Option<i64>, writer: &mut Writer<'_>) {
        if let Some(at) = expire_at {
            writer.byte(opcode::EXPIRE_MS);
            writer.millis(at);
        }
        self.accesses.write(clock, self.facts.now_us, writer);
    }
}

/// Writes keys in any order of their dbs.
#[derive(Debug)]
pub struct Keys<'a> {
    frame: &'a Frame<'a>,
    selected: Option<u32>,
    /// Dbs whose sizes are still to be told.
    untold: Vec<DbSize>,
}

impl<'a> Keys<'a> {
    /// The first to write keys into a file of this frame.
    pub fn new(frame: &'a Frame<'a>) -> Self {
        Self { frame, selected: None, untold: frame.dbs.clone() }
    }

    /// One whose keys come behind others in the file.
    pub fn behind_others(frame: &'a Frame<'a>) -> Self {
        Self { frame, selected: None, untold: Vec::new() }
    }

    fn select(&mut self, db: u32, writer: &mut Writer<'_>) {
        if self.selected == Some(db) {
            return;
        }
        self.selected = Some(db);
        writer.byte(opcode::SELECT_DB);
        writer.number(u64::from(db));
        if let Some(at) = self.untold.iter().position(|size| size.number == db) {
            let size = self.untold.swap_remove(at);
            writer.byte(opcode::RESIZE_DB);
            writer.number(size.keys as u64);
            writer.number(size.volatile as u64);
        }
    }

    /// Writes the entries of a batch.
    pub fn write(&mut self, batch: &Batch, writer: &mut Writer<'_>) -> Result<(), SnapshotError> {
        for saved in batch.iter() {
            self.select(saved.db, writer);
            self.frame.write_head(saved.clock, saved.expire_at, writer);
            match saved.value {
                SavedValue::Value(value) => {
                    write_key(saved.db, saved.key, &value, writer)?;
                }
                SavedValue::Module(encoded) => {
                    writer.byte(kind::MODULE_2);
                    writer.string(saved.key);
                    writer.raw(encoded);
                }
                SavedValue::Unsavable(vtable) => {
                    return Err(Unsavable(vtable.name().to_owned()).into());
                }
            }
        }
        Ok(())
    }

    fn write_db(
        &mut self,
        number: u32,
        db: &Db,
        writer: &mut Writer<'_>,
        written: &mut dyn FnMut(u64) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        self.select(number, writer);
        let mut cursor = 0;
        loop {
            let mut result = Ok(());
            let mut keys = 0;
            cursor = db.scan_entries(cursor, KEYS_PER_LOOK, |entry| {
                if result.is_ok() {
                    self.frame.write_head(entry.clock(), entry.expire_at(), writer);
                    result = write_key(number, entry.key(), &entry.value(), writer);
                    keys += 1;
                }
            });
            result?;
            written(keys)?;
            if cursor == 0 {
                return Ok(());
            }
        }
    }
}

fn write_key(
    db: u32,
    key: &[u8],
    value: &ValueRef<'_>,
    writer: &mut Writer<'_>,
) -> Result<(), SnapshotError> {
    writer.byte(kind_of(value, writer.style.version));
    writer.string(key);
    Ok(save(value, KeyName { name: Some(key), db: db as i32 }, writer)?)
}

/// Writes everything up to the end mark, at once. Values of modules are saved by their code, so that the caller holds
/// the exclusive lock if there are any.
pub fn write_all(
    state: &State,
    facts: &Facts<'_>,
    writer: &mut Writer<'_>,
) -> Result<(), SnapshotError> {
    write_framed(state, &Frame::of(state, facts.clone()), writer, &mut |_| Ok(()))
}

/// A snapshot without keys, with the function libraries or without, as the bytes of a file.
pub fn write_parts(state: &State, facts: Facts<'_>, functions: bool) -> Vec<u8> {
    let style = style(&state.config);
    let mut writer = Writer::new(style);
    write_facts(&facts, None, &mut writer);
    if functions {
        write_libraries(state.functions.libraries(), &mut writer);
    }
    writer.byte(opcode::EOF);
    let mut bytes = writer.into_bytes();
    let checksum = crate::base::crc::crc64(0, &bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The same in a frame that was made now. `written` is told of every few keys.
pub fn write_framed(
    state: &State,
    frame: &Frame<'_>,
    writer: &mut Writer<'_>,
    written: &mut dyn FnMut(u64) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    writer.style = frame.style;
    frame.write_front(writer);
    let mut keys = Keys::new(frame);
    for (number, db) in (0..).zip(state.keyspace.iter().map(|(_, db)| db)) {
        if !db.is_empty() {
            keys.write_db(number, db, writer, written)?;
        }
    }
    frame.write_back(writer);
    Ok(())
}

/// Writes libraries of functions, as they stand in a file and in a payload of FUNCTION DUMP.
pub fn write_libraries(libraries: &Libraries, writer: &mut Writer<'_>) {
    libraries.iter().for_each(|library| write_library(library, writer));
}

fn write_library(library: &Library, writer: &mut Writer<'_>) {
    writer.byte(opcode::FUNCTION);
    writer.blob(&library.code);
}

fn write_facts(facts: &Facts<'_>, moment: Option<&Moment>, writer: &mut Writer<'_>) {
    writer.raw(format!("REDIS{:04}", writer.style.version).as_bytes());
    let mut fact = |name: &[u8], value: &[u8]| {
        writer.byte(opcode::AUX);
        writer.string(name);
        writer.string(value);
    };
    fact(b"redis-ver", facts.version.as_bytes());
    fact(b"redis-bits", if usize::BITS == 64 { b"64" } else { b"32" });
    fact(b"ctime", (facts.now_us / 1_000_000).to_string().as_bytes());
    fact(b"used-mem", facts.used_memory.to_string().as_bytes());
    if let Some(moment) = moment {
        fact(b"repl-stream-db", moment.db.to_string().as_bytes());
        fact(b"repl-id", moment.id.as_bytes());
        fact(b"repl-offset", moment.offset.to_string().as_bytes());
    }
    fact(b"aof-base", if facts.base { b"1" } else { b"0" });
}

/// On which side of the keys data of modules stands; the numbers are those that modules know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In front.
    Before = 1,
    /// Behind.
    After = 2,
}

/// What is written of when and how often a key was accessed: what the eviction policy goes by.
#[derive(Debug)]
enum Accesses {
    Nothing,
    Idle,
    Count(Lfu),
}

impl Accesses {
    fn of(state: &State) -> Self {
        match Lfu::of(&state.config) {
            Some(lfu) => Accesses::Count(lfu),
            None if POLICIES_LRU.contains(&state.config.choice(Param::MaxmemoryPolicy)) => {
                Accesses::Idle
            }
            None => Accesses::Nothing,
        }
    }

    fn write(&self, clock: u32, now_us: i64, writer: &mut Writer<'_>) {
        match self {
            Accesses::Nothing => {}
            Accesses::Idle => {
                writer.byte(opcode::IDLE);
                writer.number(u64::from(idle_seconds(clock, now_us)));
            }
            Accesses::Count(lfu) => {
                writer.byte(opcode::FREQ);
                writer.byte(lfu.count(clock, now_us).min(255) as u8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::choices::{EVICTION, number_of};

    #[test]
    fn lru_policies_are_known_by_number() {
        let number = |name: &str| number_of(&EVICTION, name.as_bytes());
        assert_eq!([number("volatile-lru"), number("allkeys-lru")], POLICIES_LRU.map(Some));
    }
}
