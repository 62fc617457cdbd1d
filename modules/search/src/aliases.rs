//! Which other names do indexes go by?
//!
//! An alias names one index; an index may have many. An index's own name always wins over an alias of the same text.

use std::collections::BTreeMap;

/// Aliases of all indexes.
#[derive(Debug, Default)]
pub struct Aliases {
    indexes: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

impl Aliases {
    /// None.
    pub const fn new() -> Aliases {
        Aliases { indexes: BTreeMap::new() }
    }

    /// The name of the index that `alias` stands for.
    pub fn index(&self, alias: &[u8]) -> Option<&[u8]> {
        self.indexes.get(alias).map(|index| &**index)
    }

    /// Lets `alias` stand for an index, in place of the one that it stood for.
    pub fn set(&mut self, alias: &[u8], index: &[u8]) {
        self.indexes.insert(alias.into(), index.into());
    }

    /// Takes an alias out; answers whether there was one.
    pub fn remove(&mut self, alias: &[u8]) -> bool {
        self.indexes.remove(alias).is_some()
    }

    /// Takes all aliases of an index out.
    pub fn forget(&mut self, index: &[u8]) {
        self.indexes.retain(|_, other| **other != *index);
    }

    /// The aliases of an index, in order.
    pub fn of(&self, index: &[u8]) -> Vec<&[u8]> {
        self.iter().filter(|(_, other)| *other == index).map(|(alias, _)| alias).collect()
    }

    /// All aliases, each with its index, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.indexes.iter().map(|(alias, index)| (&**alias, &**index))
    }

    /// Takes all of them out.
    pub fn clear(&mut self) {
        self.indexes.clear();
    }
}
