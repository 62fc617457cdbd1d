//! Which number does a key's document have?
//!
//! Only hashes and numbers are stored; the keys themselves lie in the pieces. The table is cut into shards that grow
//! one by one, so no insertion pays for more than one of them.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// A power of two; at a million documents a shard holds four thousand.
const SHARDS: usize = 256;

/// Numbers by key.
#[derive(Debug)]
pub struct Documents {
    hasher: DefaultHashBuilder,
    shards: Box<[HashTable<Entry>]>,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The upper half of the key's hash, so that growing needs no keys.
    hash: u32,
    number: u32,
}

impl Default for Documents {
    fn default() -> Documents {
        let shards = (0..SHARDS).map(|_| HashTable::new()).collect();
        Documents { hasher: DefaultHashBuilder::default(), shards, len: 0 }
    }
}

/// What the table takes for a hash: hashbrown looks at the lowest and the highest bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Documents {
    fn place(&self, key: &[u8]) -> (usize, u32) {
        let hash = self.hasher.hash_one(key);
        (hash as usize % SHARDS, (hash >> 32) as u32)
    }

    /// The number of `key`; `key_of` gives the key of a number.
    pub fn find<'a>(&self, key: &[u8], key_of: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        let (shard, hash) = self.place(key);
        let same = |entry: &Entry| entry.hash == hash && key_of(entry.number) == key;
        self.shards[shard].find(spread(hash), same).map(|entry| entry.number)
    }

    /// Enters a key that is not in the table.
    pub fn insert(&mut self, key: &[u8], number: u32) {
        let (shard, hash) = self.place(key);
        self.shards[shard].insert_unique(spread(hash), Entry { hash, number }, |e| spread(e.hash));
        self.len += 1;
    }

    /// Takes out the entry of `key` with this number.
    pub fn remove(&mut self, key: &[u8], number: u32) {
        let (shard, hash) = self.place(key);
        if let Ok(entry) = self.shards[shard].find_entry(spread(hash), |e| e.number == number) {
            entry.remove();
            self.len -= 1;
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        let entries: usize = self.shards.iter().map(HashTable::capacity).sum();
        entries * 8 / 7 * (size_of::<Entry>() + 1) + SHARDS * size_of::<HashTable<Entry>>()
    }
}
