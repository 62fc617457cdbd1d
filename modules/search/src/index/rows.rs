//! Which document is row n of a piece, and what is known of it besides its words?
//!
//! Both tiers keep these, row for row with their postings. Row order is the order of document numbers.

mod codec;

use crate::columns::{Column, Value};
use crate::index::bits::Bits;
use crate::schema::ColumnKind;

/// What a document brings besides its words.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its number in this index.
    pub number: u32,
    /// Words of all its TEXT fields, each counted as often as its field weighs.
    pub length: u32,
    /// How often its most frequent word counts.
    pub frequency_max: u32,
    /// Its own score.
    pub score: f32,
    /// Its values, by column.
    pub values: &'a [Value],
}

/// Documents by row.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Document numbers, rising.
    numbers: Vec<u32>,
    /// Where the key of each row ends in `keys`.
    key_ends: Vec<u32>,
    keys: Vec<u8>,
    lengths: Vec<u32>,
    /// Saturating: only the old TF-IDF scorer divides by it.
    frequencies_max: Vec<u16>,
    /// Empty while all scores are 1.
    scores: Vec<f32>,
    columns: Vec<Column>,
}

impl Rows {
    /// No rows yet, with these columns.
    pub fn new(columns: &[ColumnKind]) -> Rows {
        Rows { columns: columns.iter().map(|kind| Column::new(*kind)).collect(), ..Rows::default() }
    }

    /// How many rows there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.numbers.len()).expect("a piece has fewer than 2^31 rows")
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Appends a document.
    pub fn push(&mut self, facts: &Facts<'_>) {
        debug_assert!(self.numbers.last().is_none_or(|last| *last < facts.number));
        self.push_head(facts.number, facts.key, facts.length, facts.frequency_max, facts.score);
        for (at, column) in self.columns.iter_mut().enumerate() {
            column.push(facts.values.get(at).unwrap_or(&Value::Absent));
        }
    }

    fn push_head(&mut self, number: u32, key: &[u8], length: u32, frequency_max: u32, score: f32) {
        if score != 1.0 && self.scores.is_empty() {
            self.scores.resize(self.numbers.len(), 1.0);
        }
        if score != 1.0 || !self.scores.is_empty() {
            self.scores.push(score);
        }
        self.numbers.push(number);
        self.keys.extend_from_slice(key);
        self.key_ends.push(u32::try_from(self.keys.len()).expect("pieces are closed before 4 GiB"));
        self.lengths.push(length);
        self.frequencies_max.push(u16::try_from(frequency_max).unwrap_or(u16::MAX));
    }

    /// Appends the rows of `other` that are not in `dead`.
    pub fn append(&mut self, other: &Rows, dead: &Bits) {
        for row in (0..other.len()).filter(|row| !dead.contains(*row)) {
            let at = row as usize;
            let frequency_max = other.frequencies_max[at].into();
            self.push_head(
                other.numbers[at],
                other.key(row),
                other.lengths[at],
                frequency_max,
                other.score(row),
            );
            for (number, column) in self.columns.iter_mut().enumerate() {
                column.push_from(other.columns.get(number), row);
            }
        }
    }

    /// Stores everything as tightly as it can be; nothing is appended afterwards.
    pub fn pack(&mut self) {
        self.numbers.shrink_to_fit();
        self.key_ends.shrink_to_fit();
        self.keys.shrink_to_fit();
        self.lengths.shrink_to_fit();
        self.frequencies_max.shrink_to_fit();
        self.scores.shrink_to_fit();
        self.columns.iter_mut().for_each(Column::pack);
    }

    /// Gives the documents the numbers from `first` on; tells `moved` of each row, its old number and the new one.
    pub fn renumber(&mut self, first: u32, mut moved: impl FnMut(u32, u32, u32)) {
        for (row, number) in (0u32..).zip(&mut self.numbers) {
            moved(row, *number, first + row);
            *number = first + row;
        }
    }

    /// The first and last document number.
    pub fn span(&self) -> Option<(u32, u32)> {
        Some((*self.numbers.first()?, *self.numbers.last()?))
    }

    /// The row of a document.
    pub fn row(&self, number: u32) -> Option<u32> {
        // Numbers rise by one where nothing was dropped, and never by less.
        let first = *self.numbers.first()?;
        let farthest = number.checked_sub(first)? as usize;
        if self.numbers.get(farthest) == Some(&number) {
            return Some(number - first);
        }
        let reach = &self.numbers[..farthest.min(self.numbers.len())];
        let at = reach.binary_search(&number).ok()?;
        Some(u32::try_from(at).expect("rows are 32-bit"))
    }

    /// The number of the document in a row.
    #[inline]
    pub fn number(&self, row: u32) -> u32 {
        self.numbers[row as usize]
    }

    /// Its key.
    pub fn key(&self, row: u32) -> &[u8] {
        let at = row as usize;
        let start = if at == 0 { 0 } else { self.key_ends[at - 1] };
        &self.keys[start as usize..self.key_ends[at] as usize]
    }

    /// Its length in words.
    #[inline]
    pub fn length(&self, row: u32) -> u32 {
        self.lengths[row as usize]
    }

    /// How often its most frequent word counts.
    #[inline]
    pub fn frequency_max(&self, row: u32) -> u32 {
        self.frequencies_max[row as usize].into()
    }

    /// Its own score.
    #[inline]
    pub fn score(&self, row: u32) -> f32 {
        self.scores.get(row as usize).copied().unwrap_or(1.0)
    }

    /// A column; none if the piece is older than the field.
    pub fn column(&self, number: u16) -> Option<&Column> {
        self.columns.get(number as usize)
    }

    /// Bytes in the string arenas, which must stay below 4 GiB each.
    pub fn arena_bytes(&self) -> usize {
        let texts = self.columns.iter().map(|column| match column {
            Column::Texts(_) => column.memory(),
            Column::Numbers(_) | Column::Points(_) | Column::Shapes(_) => 0,
        });
        texts.chain([self.keys.len()]).max().unwrap_or(0)
    }

    /// Bytes on the heap: keys and what belongs to the table of documents; columns.
    pub fn memory(&self) -> (usize, usize) {
        let table = self.numbers.capacity() * 4
            + self.key_ends.capacity() * 4
            + self.keys.capacity()
            + self.lengths.capacity() * 4
            + self.frequencies_max.capacity() * 2
            + self.scores.capacity() * 4;
        (table, self.columns.iter().map(Column::memory).sum())
    }
}
