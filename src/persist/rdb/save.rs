//! In which order do the parts of a file come? Magic, facts about the server, data of modules, function
//! libraries, the dbs, data of modules again, the end mark; the checksum is the file's.

use std::sync::atomic::Ordering;

use super::value::{Unsavable, kind_of, save, style};
use crate::config::params::Param;
use crate::engine::access::{Lfu, idle_seconds};
use crate::engine::persistence::Progress;
use crate::engine::state::State;
use crate::keyspace::db::Db;
use crate::object::module::KeyName;
use crate::object::rdb::kind::opcode;
use crate::object::rdb::write::Writer;

/// Keys that are written between two looks at whether to go on.
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
}

/// Why a snapshot was not completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A value cannot be saved.
    #[error(transparent)]
    Unsavable(#[from] Unsavable),
    /// It was told to end.
    #[error("the snapshot was cancelled")]
    Cancelled,
}

/// Writes everything up to the end mark. Values of modules are saved by their code, so that the caller holds
/// the exclusive lock if there are any.
pub fn write_all(
    state: &State,
    facts: &Facts<'_>,
    progress: &Progress,
    writer: &mut Writer<'_>,
) -> Result<(), SnapshotError> {
    writer.style = style(&state.config);
    progress.keys_total.store(state.keyspace.len() as u64, Ordering::Relaxed);
    write_front(facts, writer);
    write_module_data(state, When::Before, writer);
    for library in &state.persistence.libraries {
        writer.byte(opcode::FUNCTION);
        writer.blob(library);
    }
    for (index, db) in state.keyspace.iter() {
        if !db.is_empty() {
            write_db(state, index, db, facts.now_us, progress, writer)?;
        }
    }
    write_module_data(state, When::After, writer);
    writer.byte(opcode::EOF);
    writer.flush();
    Ok(())
}

fn write_front(facts: &Facts<'_>, writer: &mut Writer<'_>) {
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

fn write_module_data(state: &State, when: When, writer: &mut Writer<'_>) {
    let Some(hooks) = &state.hooks else { return };
    for data in hooks.save_data(when as i32) {
        writer.byte(opcode::MODULE_AUX);
        writer.number(data.id);
        writer.number(crate::object::rdb::kind::item::UNSIGNED);
        writer.number(when as u64);
        writer.raw(&data.items);
        writer.number(crate::object::rdb::kind::item::END);
    }
}

fn write_db(
    state: &State,
    index: usize,
    db: &Db,
    now_us: i64,
    progress: &Progress,
    writer: &mut Writer<'_>,
) -> Result<(), SnapshotError> {
    writer.byte(opcode::SELECT_DB);
    writer.number(index as u64);
    writer.byte(opcode::RESIZE_DB);
    writer.number(db.len() as u64);
    writer.number(db.volatile_len() as u64);
    let accesses = Accesses::of(state);
    let mut cursor = 0;
    loop {
        let mut result = Ok(());
        let mut keys = 0;
        cursor = db.scan_entries(cursor, KEYS_PER_LOOK, |entry| {
            if result.is_err() {
                return;
            }
            if let Some(at) = entry.expire_at() {
                writer.byte(opcode::EXPIRE_MS);
                writer.millis(at);
            }
            accesses.write(entry.clock(), now_us, writer);
            let (key, value) = (entry.key(), entry.value());
            writer.byte(kind_of(&value, writer.style.version));
            writer.string(key);
            result = save(&value, KeyName { name: Some(key), db: index as i32 }, writer);
            keys += 1;
        });
        result?;
        progress.keys_encoded.fetch_add(keys, Ordering::Relaxed);
        if progress.cancelled.load(Ordering::Relaxed) {
            return Err(SnapshotError::Cancelled);
        }
        if cursor == 0 {
            return Ok(());
        }
    }
}

/// What is written of when and how often a key was accessed: what the eviction policy goes by.
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
