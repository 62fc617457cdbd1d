//! Which words count as known although no document has them, or as unknown although one does?
//!
//! Dictionaries of FT.DICTADD belong to no index; FT.SPELLCHECK names them. One without words does not exist.

use std::collections::{BTreeMap, BTreeSet};

/// The words of one dictionary, in order.
pub type Dictionary = BTreeSet<Box<[u8]>>;

/// All dictionaries, by name.
#[derive(Debug, Default)]
pub struct Dictionaries {
    by_name: BTreeMap<Box<[u8]>, Dictionary>,
}

impl Dictionaries {
    /// None.
    pub const fn new() -> Dictionaries {
        Dictionaries { by_name: BTreeMap::new() }
    }

    /// The dictionary of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Dictionary> {
        self.by_name.get(name)
    }

    /// Adds words; answers how many were new.
    pub fn add(&mut self, name: &[u8], words: &[&[u8]]) -> usize {
        if words.is_empty() {
            return 0;
        }
        let dictionary = self.by_name.entry(name.into()).or_default();
        words.iter().filter(|word| dictionary.insert(Box::from(**word))).count()
    }

    /// Takes words out; answers how many there were.
    pub fn remove(&mut self, name: &[u8], words: &[&[u8]]) -> usize {
        let Some(dictionary) = self.by_name.get_mut(name) else { return 0 };
        let removed = words.iter().filter(|word| dictionary.remove(**word)).count();
        if dictionary.is_empty() {
            self.by_name.remove(name);
        }
        removed
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &Dictionary)> {
        self.by_name.iter().map(|(name, dictionary)| (&**name, dictionary))
    }

    /// Takes all of them out.
    pub fn clear(&mut self) {
        self.by_name.clear();
    }
}
