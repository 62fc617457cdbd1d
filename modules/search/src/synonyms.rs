//! Which words of an index mean the same?
//!
//! Words belong to groups, which have names. A document that has a word of a group is indexed under the group too,
//! so a query for one word of it looks the group up and finds them all. What was indexed before a group was told of
//! a word stays as it was, unless FT.SYNUPDATE reads the keys again.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::tokenize::{WORD_BYTES_MAX, normalize};

/// Groups that one word may belong to: each is one more term of every document that has the word.
pub const GROUPS_MAX: usize = 100;
/// Words of one index that may have synonyms.
pub const WORDS_MAX: usize = 1_000_000;

/// Marks a group in the dictionary; words cannot begin with it unless it is escaped in the text.
pub const GROUP_MARK: char = '~';

/// Words and their groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synonyms {
    /// Names of groups by word, in the order in which they were given.
    groups: BTreeMap<Box<str>, Vec<Box<str>>>,
}

impl Synonyms {
    /// Whether no word has any.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// How many words have some.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Puts words into a group; an error has changed nothing.
    pub fn add(&mut self, group: &str, words: &[&[u8]]) -> Result<(), Error> {
        if group.len() > WORD_BYTES_MAX {
            return Err(Error::Text("Synonym group name is too long"));
        }
        let words: Vec<String> = words.iter().map(|word| normalize(word)).collect();
        let added = words.iter().filter(|word| !self.groups.contains_key(word.as_str())).count();
        if self.groups.len() + added > WORDS_MAX {
            return Err(Error::Text("Maximum synonym terms limit reached"));
        }
        let is_full = |word: &String| {
            let groups = self.groups(word);
            groups.len() >= GROUPS_MAX && !groups.iter().any(|known| &**known == group)
        };
        if words.iter().any(is_full) {
            return Err(Error::Text("Maximum group IDs per term limit reached"));
        }
        words.iter().for_each(|word| self.put(group, word));
        Ok(())
    }

    /// Puts a word, normalised, into a group, as it comes from a file.
    pub fn insert(&mut self, group: &str, word: &[u8]) -> Result<(), Error> {
        let word = String::from_utf8_lossy(word);
        if self.groups.len() >= WORDS_MAX || self.groups(&word).len() >= GROUPS_MAX {
            return Err(Error::Text("Maximum synonym terms limit reached"));
        }
        self.put(group, &word);
        Ok(())
    }

    fn put(&mut self, group: &str, word: &str) {
        let groups = self.groups.entry(word.into()).or_default();
        if !groups.iter().any(|known| &**known == group) {
            groups.push(group.into());
        }
    }

    /// The groups of a word, normalised.
    pub fn groups(&self, word: &str) -> &[Box<str>] {
        // Most indexes have none, and every word of every document asks.
        if self.groups.is_empty() {
            return &[];
        }
        self.groups.get(word).map_or(&[], Vec::as_slice)
    }

    /// Words and their groups, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[Box<str>])> {
        self.groups.iter().map(|(word, groups)| (&**word, groups.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_gather_groups_once_each() {
        let mut synonyms = Synonyms::default();
        synonyms.add("1", &[b"Boy", b"child"]).unwrap();
        synonyms.add("2", &[b"child", b"child"]).unwrap();
        synonyms.add("1", &[b"boy"]).unwrap();
        assert_eq!(synonyms.groups("boy"), [Box::from("1")]);
        assert_eq!(synonyms.groups("child"), [Box::from("1"), Box::from("2")]);
        assert!(synonyms.groups("girl").is_empty());
    }

    #[test]
    fn too_many_groups_change_nothing() {
        let mut synonyms = Synonyms::default();
        for group in 0..GROUPS_MAX {
            synonyms.add(&group.to_string(), &[b"word"]).unwrap();
        }
        let before = synonyms.clone();
        assert!(synonyms.add("more", &[b"other", b"word"]).is_err());
        assert_eq!(synonyms, before);
        assert!(synonyms.add("0", &[b"word"]).is_ok());
    }
}
