//! Which number stands for a word in a fresh batch?

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::query::plan::STEM_MARK;
use crate::tokenize::Language;

/// Words by number and numbers by word.
#[derive(Debug, Clone, Default)]
pub struct Dictionary {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Entry {
    /// Where its bytes end.
    end: u32,
    /// In how many documents it occurs.
    documents: u32,
    /// Its stem as far as that is known: the language and the stem's own entry.
    stem: Option<(Language, Option<u32>)>,
}

impl Dictionary {
    /// The word of a number.
    pub fn bytes(&self, id: u32) -> &[u8] {
        let at = id as usize;
        let start = if at == 0 { 0 } else { self.entries[at - 1].end };
        &self.bytes[start as usize..self.entries[at].end as usize]
    }

    /// In how many documents it occurs.
    pub fn documents(&self, id: u32) -> u32 {
        self.entries[id as usize].documents
    }

    /// Counts one more document.
    pub fn count(&mut self, id: u32) {
        self.entries[id as usize].documents += 1;
    }

    /// The number of a word that has one.
    pub fn find(&self, bytes: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(bytes);
        self.table.find(hash, |id| self.bytes(*id) == bytes).copied()
    }

    /// The number of a word, a new one if need be.
    pub fn intern(&mut self, bytes: &[u8]) -> u32 {
        if let Some(id) = self.find(bytes) {
            return id;
        }
        let id = to_u32(self.entries.len());
        self.bytes.extend_from_slice(bytes);
        self.entries.push(Entry { end: to_u32(self.bytes.len()), documents: 0, stem: None });
        let hash = self.hasher.hash_one(bytes);
        let (hasher, entries, all) = (&self.hasher, &self.entries, &self.bytes);
        self.table.insert_unique(hash, id, |id| {
            let at = *id as usize;
            let start = if at == 0 { 0 } else { entries[at - 1].end as usize };
            hasher.hash_one(&all[start..entries[at].end as usize])
        });
        id
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry of a word's stem, unless the stem is the word itself. Words come again and again, so the answer is
    /// kept; documents of another language than the last one work it out anew.
    pub fn stem_of(&mut self, id: u32, language: Language) -> Option<u32> {
        if let Some((known, stem)) = self.entries[id as usize].stem
            && known == language
        {
            return stem;
        }
        let word = std::str::from_utf8(self.bytes(id)).expect("the tokenizer gives UTF-8");
        let stem = language.stem(word).filter(|stem| !stem.is_empty() && stem != word);
        let stem = stem.map(|stem| self.intern(format!("{STEM_MARK}{stem}").as_bytes()));
        self.entries[id as usize].stem = Some((language, stem));
        stem
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.bytes.capacity()
            + self.table.capacity() * 8 / 7 * 5
    }
}

fn to_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a batch is sealed long before 4 GiB of words")
}
