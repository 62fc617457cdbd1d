//! Which indexes exist?
//!
//! One table for the process, behind a lock that is never held while the server is called: whatever the server is
//! asked (a key, a scan, another module) may come back as a keyspace event, and its handler takes the same lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::aliases::Aliases;
use crate::dictionaries::Dictionaries;
use crate::error::Error;
use crate::index::storing::Recall;
use crate::index::{Index, Work};
use crate::schema::{Schema, Source};
use crate::storage::loading::Origin;

/// All indexes, by name.
#[derive(Debug, Default)]
pub struct Registry {
    indexes: BTreeMap<Box<[u8]>, Entry>,
    /// Their other names.
    pub aliases: Aliases,
    /// Lists of words, which belong to no index.
    pub dictionaries: Dictionaries,
}

/// An index and what is counted about its use.
#[derive(Debug)]
pub struct Entry {
    /// The documents.
    pub index: Index,
    /// Tells it from others that had its name before.
    pub id: u64,
    /// The walk over keys that existed before the index or a field of it, while it lasts.
    pub scan: Option<Progress>,
    /// The index that will take its place.
    pub rebuild: Option<Rebuild>,
    /// Commands that named it.
    pub uses: u64,
    /// Dialects of its queries so far, one bit each.
    pub dialects: u8,
    /// Time spent putting documents in, in microseconds.
    pub indexing_us: u64,
    /// What it began with from disk.
    pub origin: Origin,
    /// Which of that has come as keys, while these are loaded.
    pub recall: Option<Recall>,
    /// When a temporary index was last seen to have been used, and how often it had been.
    idle_since: (Instant, u64),
}

/// An index that is being filled, to take the place of another when it is complete. Until then it is written to as the
/// other is, and nothing asks it.
#[derive(Debug)]
pub struct Rebuild {
    /// The documents.
    pub index: Index,
    /// The walk that fills it.
    pub scan: Progress,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The index that answers.
    Current,
    /// The one that will take its place.
    Next,
}

/// How far a walk over the keyspace has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Tells it from others over the same index.
    pub id: u64,
    /// Keys that it has met.
    pub seen: u64,
    /// Keys that there were when it began.
    pub keys: u64,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    indexes: BTreeMap::new(),
    aliases: Aliases::new(),
    dictionaries: Dictionaries::new(),
});

/// How many indexes there are, and how many of them are temporary, for those who must know without the lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static TEMPORARY: AtomicUsize = AtomicUsize::new(0);

/// The last id that was given.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// Runs `job` with all indexes. It must not call the server.
pub fn with<R>(job: impl FnOnce(&mut Registry) -> R) -> R {
    // A panic inside (which the SDK turns into an error reply) leaves at worst one document half put in.
    let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    let result = job(&mut registry);
    COUNT.store(registry.indexes.len(), Ordering::Relaxed);
    result
}

/// Whether some index is temporary.
pub fn has_temporary() -> bool {
    TEMPORARY.load(Ordering::Relaxed) > 0
}

/// An id that was never given before.
pub fn next_id() -> u64 {
    LAST_ID.fetch_add(1, Ordering::Relaxed) + 1
}

/// Whether there is no index, so that events need not be looked at.
pub fn is_empty() -> bool {
    COUNT.load(Ordering::Relaxed) == 0
}

/// Unix time in milliseconds.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

impl Registry {
    /// Adds an index without documents.
    pub fn create(&mut self, schema: Schema) -> Result<Arc<Schema>, Error> {
        if self.indexes.contains_key(&schema.name) {
            return Err(Error::Text("Index already exists"));
        }
        let schema = Arc::new(schema);
        let index = Index::new(Arc::clone(&schema), Work::Background);
        let (id, idle_since) = (next_id(), (Instant::now(), 0));
        let entry = Entry {
            index,
            id,
            scan: None,
            rebuild: None,
            uses: 0,
            dialects: 0,
            indexing_us: 0,
            origin: Origin::default(),
            recall: None,
            idle_since,
        };
        self.indexes.insert(schema.name.clone(), entry);
        self.count_temporary();
        Ok(schema)
    }

    /// Takes an index out.
    pub fn take(&mut self, name: &[u8]) -> Option<Entry> {
        let entry = self.indexes.remove(name);
        self.count_temporary();
        entry
    }

    /// Takes out all indexes and what belongs to them.
    pub fn clear(&mut self) {
        self.indexes.clear();
        self.aliases.clear();
        self.dictionaries.clear();
        self.count_temporary();
    }

    /// Takes the indexes of one database out. Dictionaries belong to the first.
    pub fn clear_db(&mut self, db: i32) {
        let gone = |entry: &Entry| entry.index.schema().db == db;
        for (name, _) in self.indexes.iter().filter(|(_, entry)| gone(entry)) {
            self.aliases.forget(name);
        }
        self.indexes.retain(|_, entry| !gone(entry));
        if db == 0 {
            self.dictionaries.clear();
        }
        self.count_temporary();
    }

    fn count_temporary(&self) {
        let temporary = |entry: &&Entry| entry.index.schema().temporary.is_some();
        TEMPORARY.store(self.indexes.values().filter(temporary).count(), Ordering::Relaxed);
    }

    /// Definitions of temporary indexes that nobody has used for as long as they may stay unused.
    pub fn idle(&mut self, now: Instant) -> Vec<Arc<Schema>> {
        let mut idle = Vec::new();
        for entry in self.indexes.values_mut() {
            let schema = entry.index.schema();
            let Some(time) = schema.temporary else { continue };
            if entry.idle_since.1 != entry.uses {
                entry.idle_since = (now, entry.uses);
            } else if now.saturating_duration_since(entry.idle_since.0) >= time {
                idle.push(Arc::clone(schema));
            }
        }
        idle
    }

    /// An index, by its name or an alias.
    pub fn get(&mut self, name: &[u8]) -> Option<&mut Entry> {
        let name = match self.indexes.contains_key(name) {
            true => name,
            false => self.aliases.index(name)?,
        };
        self.indexes.get_mut(name)
    }

    /// Whether there is an index of this name; aliases do not count.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.indexes.contains_key(name)
    }

    /// All of them, in the order of their names.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.indexes.values_mut()
    }

    /// Names of all indexes, in order.
    pub fn names(&self) -> Vec<Box<[u8]>> {
        self.indexes.keys().cloned().collect()
    }

    /// Definitions of the indexes that follow a key of this database and of this type, or of any type.
    pub fn followers(&self, db: i32, key: &[u8], source: Option<Source>) -> Vec<Arc<Schema>> {
        let schemas = self.indexes.values().flat_map(Entry::schemas);
        let follows = |schema: &&Arc<Schema>| {
            source.is_none_or(|source| schema.source == source) && schema.follows(db, key)
        };
        schemas.filter(follows).cloned().collect()
    }

    /// Ticks a loaded key off in the indexes that have it from disk. The definitions of the others that follow it, and
    /// whether one that has it wants to know when it expires.
    pub fn recall(&mut self, db: i32, key: &[u8]) -> (Vec<Arc<Schema>>, bool) {
        let (mut others, mut expires) = (Vec::new(), false);
        for entry in self.indexes.values_mut() {
            if !entry.index.schema().follows(db, key) {
                continue;
            }
            let number = entry.recall.as_ref().and_then(|_| entry.index.number(key));
            let found = number.zip(entry.recall.as_mut());
            let ticked = found.map(|(number, recall)| (recall.tick(number), recall.expires));
            match ticked {
                Some((true, wants)) => expires |= wants,
                _ => others.push(Arc::clone(entry.index.schema())),
            }
        }
        (others, expires)
    }

    /// Sets or clears the time at which a key's documents vanish, in all indexes that follow it.
    pub fn set_expiry(&mut self, db: i32, key: &[u8], at_ms: Option<i64>) {
        for entry in self.indexes.values_mut() {
            if entry.index.schema().follows(db, key) {
                entry.index.set_expiry(key, at_ms);
            }
        }
    }

    /// Takes a key's documents out of all indexes of its database.
    pub fn forget(&mut self, db: i32, key: &[u8]) {
        for entry in self.indexes.values_mut() {
            if entry.index.schema().follows(db, key) {
                entry.each_index(|index| {
                    index.remove(key);
                });
            }
        }
    }
}

impl Entry {
    /// Counts a query, in a dialect from 1 to 4.
    pub fn count_query(&mut self, dialect: u32) {
        self.uses += 1;
        self.dialects |= 1 << dialect.min(7);
    }

    /// The definition that has been asked for last: of the index that is being built, if one is.
    pub fn latest(&self) -> &Arc<Schema> {
        self.rebuild.as_ref().map_or(&self.index, |rebuild| &rebuild.index).schema()
    }

    /// Both definitions, or the one.
    fn schemas(&self) -> impl Iterator<Item = &Arc<Schema>> {
        let next = self.rebuild.as_ref().map(|rebuild| rebuild.index.schema());
        std::iter::once(self.index.schema()).chain(next)
    }

    /// Runs `job` with the index, and with the one that will take its place.
    pub fn each_index(&mut self, mut job: impl FnMut(&mut Index)) {
        job(&mut self.index);
        if let Some(rebuild) = &mut self.rebuild {
            job(&mut rebuild.index);
        }
    }

    /// The one of both that has this very definition.
    pub fn index_of(&mut self, schema: &Arc<Schema>) -> Option<&mut Index> {
        let next = self.rebuild.as_mut().map(|rebuild| &mut rebuild.index);
        let mut both = std::iter::once(&mut self.index).chain(next);
        both.find(|index| Arc::ptr_eq(index.schema(), schema))
    }

    /// One of both, and the walk that fills it.
    pub fn filled(&mut self, target: Target) -> Option<(&mut Index, &mut Progress)> {
        match target {
            Target::Current => Some((&mut self.index, self.scan.as_mut()?)),
            Target::Next => {
                let rebuild = self.rebuild.as_mut()?;
                Some((&mut rebuild.index, &mut rebuild.scan))
            }
        }
    }

    /// A walk has come to its end. The index that it filled takes its place; gives the one that had it.
    pub fn finish(&mut self, target: Target) -> Option<Index> {
        match target {
            Target::Current => {
                self.scan = None;
                None
            }
            Target::Next => {
                let rebuild = self.rebuild.take()?;
                // A walk that goes on for the old one has lost its purpose.
                self.scan = None;
                Some(std::mem::replace(&mut self.index, rebuild.index))
            }
        }
    }

    /// How long a temporary index will stay if nobody uses it.
    pub fn time_left(&self, now: Instant) -> Option<Duration> {
        let time = self.index.schema().temporary?;
        let (since, uses) = self.idle_since;
        let idle =
            if uses == self.uses { now.saturating_duration_since(since) } else { Duration::ZERO };
        Some(time.saturating_sub(idle))
    }
}

impl Progress {
    /// The part that is done, below 1.
    pub fn share(&self) -> f64 {
        // Keys come and go meanwhile.
        (self.seen as f64 / self.keys.max(1) as f64).min(0.999)
    }
}
