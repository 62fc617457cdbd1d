//! Where do the documents live that were written a moment ago?
//!
//! In plain vectors, one behind the other, with words replaced by numbers. There are no posting lists: a cursor walks
//! the documents and asks each one for its term, which at a thousand documents costs a few microseconds, while adding
//! one costs no more than reading its words. A document's terms are sorted, so asking is a binary search; a 64-bit
//! signature in a vector of its own answers "no" for most documents without looking at them.

use crate::index::analysis::Analysis;
use crate::index::bits::Bits;
use crate::index::deadline::Deadline;
use crate::index::dictionary::Dictionary;
use crate::index::rows::{Facts, Rows};
use crate::index::tier::{Block, Cursor, Detail, END, Each, PostingsSize, Tier};
use crate::query::plan::{STEM_MARK, Shape, Space, Term};
use crate::schema::{ColumnKind, Omits, Schema};

/// What a batch needs to know of its schema.
#[derive(Debug, Clone)]
pub struct Layout {
    /// What the columns hold.
    pub columns: Vec<ColumnKind>,
    /// Low bits of an encoded position that tell the TEXT field.
    pub field_bits: u32,
    /// How often an occurrence counts, by TEXT field; none while that is once everywhere.
    pub weights: Option<Box<[u32]>>,
    /// What is not kept of words.
    pub omits: Omits,
}

impl Layout {
    /// The layout of a schema.
    pub fn of(schema: &Schema) -> Layout {
        Layout {
            columns: schema.columns(),
            field_bits: schema.field_bits(),
            weights: schema.weights(),
            omits: schema.omits,
        }
    }
}

/// Documents that are not sealed yet.
#[derive(Debug, Clone)]
pub struct Batch {
    rows: Rows,
    layout: Layout,
    words: Dictionary,
    tags: Dictionary,
    /// Per document: where its part of `entries` and of `tag_ids` ends.
    ends: Vec<(u32, u32)>,
    /// Per document: one bit per term number, modulo 64.
    signatures: Vec<u64>,
    /// Terms of all documents, sorted within each: the term and where its positions end in `positions`.
    entries: Vec<(u32, u32)>,
    /// Encoded positions: the position, and in the low bits the TEXT field.
    positions: Vec<u32>,
    tag_ids: Vec<u32>,
    /// Occurrences of the document that is being added: term, encoded position.
    occurrences: Vec<(u32, u32)>,
}

impl Batch {
    /// An empty batch.
    pub fn new(layout: Layout) -> Batch {
        Batch {
            rows: Rows::new(&layout.columns),
            layout,
            words: Dictionary::default(),
            tags: Dictionary::default(),
            ends: Vec::new(),
            signatures: Vec::new(),
            entries: Vec::new(),
            positions: Vec::new(),
            tag_ids: Vec::new(),
            occurrences: Vec::new(),
        }
    }

    /// Appends a document; its number is above all others.
    pub fn push(&mut self, number: u32, key: &[u8], analysis: &Analysis) {
        self.gather(analysis);
        let frequency_max = self.push_postings(analysis.tags.iter().map(Vec::as_slice));
        self.rows.push(&Facts {
            key,
            number,
            length: analysis.length,
            frequency_max,
            score: analysis.score,
            values: &analysis.values,
        });
    }

    /// The documents of `from` without the dead ones.
    pub fn rewrite(from: &Batch, dead: &Bits) -> Batch {
        let mut batch = Batch::new(from.layout.clone());
        for row in (0..from.rows.len()).filter(|row| !dead.contains(*row)) {
            batch.occurrences.clear();
            for (word, positions) in from.words_of(row) {
                let term = batch.words.intern(word.as_bytes());
                batch.occurrences.extend(positions.iter().map(|position| (term, *position)));
            }
            batch.occurrences.sort_unstable();
            batch.push_postings(from.tags_of(row));
        }
        batch.rows.append(&from.rows, dead);
        batch
    }

    /// Appends the gathered occurrences and some tags as the next row; gives the frequency of the most frequent term.
    fn push_postings<'t>(&mut self, tags: impl Iterator<Item = &'t [u8]>) -> u32 {
        let mut signature = 0u64;
        let mut frequency_max = 0;
        let mut at = 0;
        while at < self.occurrences.len() {
            let term = self.occurrences[at].0;
            let same =
                self.occurrences[at..].iter().take_while(|(other, _)| *other == term).count();
            let positions = self.occurrences[at..at + same].iter().map(|(_, position)| *position);
            if self.layout.omits.positions && self.layout.omits.frequencies {
                let mut last = None;
                self.positions.extend(positions.filter(|p| last.replace(*p) != Some(*p)));
            } else {
                self.positions.extend(positions);
            }
            self.entries.push((term, length_u32(&self.positions)));
            self.words.count(term);
            signature |= 1 << (term % 64);
            frequency_max = frequency_max.max(self.weigh(term, at..at + same));
            at += same;
        }
        for tag in tags {
            let id = self.tags.intern(tag);
            self.tags.count(id);
            self.tag_ids.push(id);
        }
        self.ends.push((length_u32(&self.entries), length_u32(&self.tag_ids)));
        self.signatures.push(signature);
        frequency_max
    }

    /// Collects a document's terms with their encoded positions, sorted.
    fn gather(&mut self, analysis: &Analysis) {
        self.occurrences.clear();
        for token in &analysis.tokens {
            let word = &analysis.text[token.start as usize..token.end as usize];
            let term = self.words.intern(word.as_bytes());
            let position = if self.layout.omits.positions { 0 } else { token.position };
            let field = u32::from(token.field) & ((1 << self.layout.field_bits) - 1);
            let encoded = (position << self.layout.field_bits) | field;
            self.occurrences.push((term, encoded));
            if token.stemmed
                && let Some(stem) = self.words.stem_of(term, analysis.language)
            {
                self.occurrences.push((stem, encoded));
            }
        }
        self.occurrences.sort_unstable();
    }

    /// How often some occurrences of a term count.
    fn weigh(&self, term: u32, occurrences: std::ops::Range<usize>) -> u32 {
        let count = u32::try_from(occurrences.len()).expect("positions are 24-bit");
        let Some(weights) = &self.layout.weights else { return count };
        let is_stem = self.words.bytes(term).first() == Some(&(STEM_MARK as u8));
        let mask = (1 << self.layout.field_bits) - 1;
        let fields = self.occurrences[occurrences].iter().map(|(_, encoded)| encoded & mask);
        fields.map(|field| field_weight(weights, field, is_stem)).fold(0, u32::saturating_add)
    }

    /// Words of a row with their encoded positions.
    pub fn words_of(&self, row: u32) -> impl Iterator<Item = (&str, &[u32])> {
        let (start, end) = self.entry_range(row);
        (start..end).map(|at| {
            let word = self.words.bytes(self.entries[at].0);
            let word = std::str::from_utf8(word).expect("the tokenizer gives UTF-8");
            (word, self.positions_of(at))
        })
    }

    /// Tag terms of a row.
    pub fn tags_of(&self, row: u32) -> impl Iterator<Item = &[u8]> {
        let (start, end) = self.tag_range(row);
        self.tag_ids[start..end].iter().map(|id| self.tags.bytes(*id))
    }

    /// Its documents, to be numbered anew.
    pub(super) fn rows_mut(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// The layout it was made with.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How large its postings are.
    pub fn size(&self) -> PostingsSize {
        PostingsSize {
            bytes: self.memory(),
            position_bytes: self.positions.capacity() * 4,
            records: (self.entries.len() + self.tag_ids.len()) as u64,
            occurrences: self.positions.len() as u64,
        }
    }

    /// Bytes on the heap, without the rows'.
    pub fn memory(&self) -> usize {
        self.words.memory()
            + self.tags.memory()
            + self.entries.capacity() * 8
            + self.occurrences.capacity() * 8
            + (self.positions.capacity() + self.tag_ids.capacity()) * 4
            + self.ends.capacity() * 16
    }

    /// Number of different words.
    pub fn word_count(&self) -> usize {
        self.words.len()
    }

    fn entry_range(&self, row: u32) -> (usize, usize) {
        let row = row as usize;
        let start = if row == 0 { 0 } else { self.ends[row - 1].0 };
        (start as usize, self.ends[row].0 as usize)
    }

    fn tag_range(&self, row: u32) -> (usize, usize) {
        let row = row as usize;
        let start = if row == 0 { 0 } else { self.ends[row - 1].1 };
        (start as usize, self.ends[row].1 as usize)
    }

    fn positions_of(&self, entry: usize) -> &[u32] {
        let start = if entry == 0 { 0 } else { self.entries[entry - 1].1 };
        &self.positions[start as usize..self.entries[entry].1 as usize]
    }

    /// The entry of `term` in a row.
    fn entry(&self, row: u32, term: u32) -> Option<usize> {
        if self.signatures[row as usize] >> (term % 64) & 1 == 0 {
            return None;
        }
        let (start, end) = self.entry_range(row);
        let found = self.entries[start..end].binary_search_by_key(&term, |(term, _)| *term).ok()?;
        Some(start + found)
    }

    fn has_tag(&self, row: u32, tag: u32) -> bool {
        let (start, end) = self.tag_range(row);
        self.tag_ids[start..end].contains(&tag)
    }
}

fn length_u32<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("a batch is sealed long before 2^32 occurrences")
}

/// How often an occurrence in a field counts, of a word or of its stem.
pub fn field_weight(weights: &[u32], field: u32, is_stem: bool) -> u32 {
    // A field that was added after the weights were taken weighs 1.
    let weight = weights.get(field as usize).copied().unwrap_or(1);
    if is_stem { (weight / 5).max(1) } else { weight }
}

impl Tier for Batch {
    type Handle = (Space, u32);
    type Cursor<'a> = BatchCursor<'a>;

    fn rows(&self) -> &Rows {
        &self.rows
    }

    fn field_bits(&self) -> u32 {
        self.layout.field_bits
    }

    fn find(&self, term: &Term) -> Option<((Space, u32), u32)> {
        let dictionary = self.dictionary(term.space);
        let id = dictionary.find(&term.bytes)?;
        Some(((term.space, id), dictionary.documents(id)))
    }

    fn expand(&self, shape: &Shape, deadline: &mut Deadline, each: &mut Each<'_, (Space, u32)>) {
        let dictionary = self.dictionary(shape.space);
        let fuzzy = shape.fuzzy();
        let is_stem =
            |bytes: &[u8]| shape.space == Space::Words && bytes.first() == Some(&(STEM_MARK as u8));
        let matches = |bytes: &[u8]| match &fuzzy {
            Some(fuzzy) => !is_stem(bytes) && fuzzy.matches(bytes),
            None => shape.matches(bytes),
        };
        for id in 0..u32::try_from(dictionary.len()).expect("a batch is sealed long before that") {
            let (bytes, documents) = (dictionary.bytes(id), dictionary.documents(id));
            if deadline.step_over(bytes.len()) {
                return;
            }
            if documents > 0 && matches(bytes) && !each(bytes, (shape.space, id), documents) {
                return;
            }
        }
    }

    fn each_block(&self, handle: &(Space, u32), each: &mut Block<'_>) {
        let mut cursor = self.open(handle, Detail::Frequencies);
        let (mut rows, mut frequencies) = (Vec::new(), Vec::new());
        while cursor.row() != END {
            rows.push(cursor.row());
            frequencies.push(cursor.frequency());
            cursor.advance();
        }
        each(&rows, &frequencies);
    }

    fn open<'a>(&'a self, (space, term): &(Space, u32), _detail: Detail) -> BatchCursor<'a> {
        let mut cursor = BatchCursor { batch: self, space: *space, term: *term, row: 0, entry: 0 };
        cursor.find_from(0);
        cursor
    }
}

impl Batch {
    fn dictionary(&self, space: Space) -> &Dictionary {
        match space {
            Space::Words => &self.words,
            Space::Tags => &self.tags,
        }
    }
}

/// Walks the documents of a batch that have a term.
#[derive(Debug)]
pub struct BatchCursor<'a> {
    batch: &'a Batch,
    space: Space,
    term: u32,
    row: u32,
    entry: usize,
}

impl BatchCursor<'_> {
    fn find_from(&mut self, from: u32) {
        for row in from..self.batch.rows.len() {
            let found = match self.space {
                Space::Words => self.batch.entry(row, self.term),
                Space::Tags => self.batch.has_tag(row, self.term).then_some(0),
            };
            if let Some(entry) = found {
                (self.row, self.entry) = (row, entry);
                return;
            }
        }
        self.row = END;
    }
}

impl Cursor for BatchCursor<'_> {
    fn row(&self) -> u32 {
        self.row
    }

    fn seek(&mut self, target: u32) -> u32 {
        if target > self.row {
            self.find_from(target);
        }
        self.row
    }

    fn advance(&mut self) -> u32 {
        self.find_from(self.row.saturating_add(1));
        self.row
    }

    fn frequency(&self) -> u32 {
        match self.space {
            Space::Words => length_u32(self.batch.positions_of(self.entry)),
            Space::Tags => 1,
        }
    }

    fn positions(&mut self, out: &mut Vec<u32>) {
        if self.space == Space::Words {
            out.extend_from_slice(self.batch.positions_of(self.entry));
        }
    }

    fn documents(&self) -> u32 {
        self.batch.dictionary(self.space).documents(self.term)
    }
}
