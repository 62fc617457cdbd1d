//! Which indexes exist?
//!
//! One table for the process, behind a lock that is never held while the server is called: whatever the server is
//! asked (a key, a scan, another module) may come back as a keyspace event, and its handler takes the same lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::index::{Index, Work};
use crate::schema::{Schema, Source};

/// All indexes, by name.
#[derive(Debug, Default)]
pub struct Registry {
    indexes: BTreeMap<Box<[u8]>, Entry>,
}

/// An index and what is counted about its use.
#[derive(Debug)]
pub struct Entry {
    /// The documents.
    pub index: Index,
    /// Commands that named it.
    pub uses: u64,
    /// Time spent putting documents in, in microseconds.
    pub indexing_us: u64,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { indexes: BTreeMap::new() });

/// How many indexes there are, for those who must know without the lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Runs `job` with all indexes. It must not call the server.
pub fn with<R>(job: impl FnOnce(&mut Registry) -> R) -> R {
    // A panic inside (which the SDK turns into an error reply) leaves at worst one document half put in.
    let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    let result = job(&mut registry);
    COUNT.store(registry.indexes.len(), Ordering::Relaxed);
    result
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
        let entry = Entry { index, uses: 0, indexing_us: 0 };
        self.indexes.insert(schema.name.clone(), entry);
        Ok(schema)
    }

    /// Takes an index out.
    pub fn take(&mut self, name: &[u8]) -> Option<Entry> {
        self.indexes.remove(name)
    }

    /// Takes all indexes out.
    pub fn clear(&mut self) {
        self.indexes.clear();
    }

    /// An index.
    pub fn get(&mut self, name: &[u8]) -> Option<&mut Entry> {
        self.indexes.get_mut(name)
    }

    /// All of them, in the order of their names.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.indexes.values_mut()
    }

    /// Names of all indexes, in order.
    pub fn names(&self) -> Vec<Box<[u8]>> {
        self.indexes.keys().cloned().collect()
    }

    /// Definitions of the indexes that follow a key of this type, or of any.
    pub fn followers(&self, key: &[u8], source: Option<Source>) -> Vec<Arc<Schema>> {
        let schemas = self.indexes.values().map(|entry| entry.index.schema());
        let follows = |schema: &&Arc<Schema>| {
            source.is_none_or(|source| schema.source == source) && schema.follows(key)
        };
        schemas.filter(follows).cloned().collect()
    }

    /// Takes a key's documents out of all indexes.
    pub fn forget(&mut self, key: &[u8]) {
        for entry in self.indexes.values_mut() {
            if entry.index.schema().follows(key) {
                entry.index.remove(key);
            }
        }
    }
}
