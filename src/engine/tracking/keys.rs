//! Which clients have read a key? A table from which any key can be taken, so that it can be kept small.
//!
//! Invariants: the index holds each place of the list once, under the hash of its key; a key has at least one
//! reader, and the readers of a key stand in the order of their ids, each once.

use hashbrown::HashTable;

use crate::base::hasher::hash64;

/// The ids of a key's readers. Most keys have one, which takes no allocation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Readers {
    first: u64,
    more: Vec<u64>,
}

impl Readers {
    /// The ids in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    /// Adds an id; false if it is there already.
    fn add(&mut self, id: u64) -> bool {
        if id == self.first {
            return false;
        }
        let (id, at) = if id < self.first {
            (std::mem::replace(&mut self.first, id), 0)
        } else {
            match self.more.binary_search(&id) {
                Ok(_) => return false,
                Err(at) => (id, at),
            }
        };
        self.more.insert(at, id);
        true
    }

    fn len(&self) -> usize {
        1 + self.more.len()
    }
}

#[derive(Debug)]
struct Entry {
    key: Box<[u8]>,
    readers: Readers,
}

/// The keys and their readers.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    list: Vec<Entry>,
    /// Places in the list.
    index: HashTable<usize>,
    items: usize,
    drawn: u64,
}

impl KeyTable {
    /// How many keys.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// How many pairs of key and reader.
    pub(super) fn items(&self) -> usize {
        self.items
    }

    /// Notes that a client has read a key.
    pub(super) fn add(&mut self, key: &[u8], id: u64) {
        let list = &mut self.list;
        let hash = hash64(key);
        if let Some(at) = self.index.find(hash, |at| *list[*at].key == *key) {
            self.items += usize::from(list[*at].readers.add(id));
            return;
        }
        let readers = Readers { first: id, more: Vec::new() };
        self.index.insert_unique(hash, list.len(), |at| hash64(&list[*at].key));
        list.push(Entry { key: key.into(), readers });
        self.items += 1;
    }

    /// Takes a key out.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<Readers> {
        let list = &self.list;
        let found = self.index.find_entry(hash64(key), |at| *list[*at].key == *key);
        let (at, _) = found.ok()?.remove();
        Some(self.remove_place(at).readers)
    }

    /// Takes any key out: a different one each time, unlike what the order of reading suggests.
    pub(super) fn take_any(&mut self) -> Option<(Box<[u8]>, Readers)> {
        self.drawn += 1;
        let draw = hash64(&self.drawn.to_le_bytes());
        let at = usize::try_from(draw.checked_rem(self.list.len() as u64)?).ok()?;
        let hash = hash64(&self.list[at].key);
        if let Ok(found) = self.index.find_entry(hash, |place| *place == at) {
            found.remove();
        }
        let entry = self.remove_place(at);
        Some((entry.key, entry.readers))
    }

    /// Removes a place that the index does not hold any more; the last entry moves there.
    fn remove_place(&mut self, at: usize) -> Entry {
        let entry = self.list.swap_remove(at);
        let last = self.list.len();
        if let Some(moved) = self.list.get(at)
            && let Some(place) = self.index.find_mut(hash64(&moved.key), |place| *place == last)
        {
            *place = at;
        }
        self.items -= entry.readers.len();
        entry
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_map_of_sets(steps in proptest::collection::vec((0u8..4, 0u8..12, 0u64..6), 0..200)) {
            let mut table = KeyTable::default();
            let mut model: BTreeMap<Vec<u8>, BTreeSet<u64>> = BTreeMap::new();
            for (step, key, id) in steps {
                let key = vec![b'k', key];
                match step {
                    0 | 1 => {
                        table.add(&key, id);
                        model.entry(key).or_default().insert(id);
                    }
                    2 => {
                        let taken = table.take(&key).map(|readers| readers.iter().collect());
                        prop_assert_eq!(taken, model.remove(&key));
                    }
                    _ => match table.take_any() {
                        None => prop_assert!(model.is_empty()),
                        Some((key, readers)) => {
                            let want = model.remove(&key.to_vec());
                            prop_assert_eq!(Some(readers.iter().collect()), want);
                        }
                    },
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.items(), model.values().map(BTreeSet::len).sum::<usize>());
                for (at, entry) in table.list.iter().enumerate() {
                    let same = |place: &&usize| **place == at;
                    prop_assert_eq!(table.index.iter().filter(same).count(), 1);
                    let found = table.index.find(hash64(&entry.key), |place| *place == at);
                    prop_assert!(found.is_some());
                    prop_assert!(entry.readers.iter().is_sorted());
                }
            }
        }
    }
}
