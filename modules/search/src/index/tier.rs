//! What must a piece of the index be able to do, whichever tier it lies in?
//!
//! The query tree is evaluated by one piece of code over both tiers; these traits are all that it sees of them.

use crate::index::deadline::Deadline;
use crate::index::rows::Rows;
use crate::query::plan::{Shape, Term};

/// The row behind the last one, of any piece.
pub const END: u32 = tantivy::TERMINATED;

/// How large dictionaries and postings are.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostingsSize {
    /// All bytes.
    pub bytes: usize,
    /// Bytes of positions.
    pub position_bytes: usize,
    /// Pairs of a document and a term that it has.
    pub records: u64,
    /// Occurrences of words.
    pub occurrences: u64,
}

impl std::ops::AddAssign for PostingsSize {
    fn add_assign(&mut self, other: PostingsSize) {
        self.bytes += other.bytes;
        self.position_bytes += other.position_bytes;
        self.records += other.records;
        self.occurrences += other.occurrences;
    }
}

/// How much of a posting list will be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Which rows.
    Rows,
    /// And how often.
    Frequencies,
    /// And where.
    Positions,
}

/// A position in the list of rows that have a term.
pub trait Cursor {
    /// The current row, or [`END`].
    fn row(&self) -> u32;
    /// Moves to the first row at or behind `target`, and gives it. A target before the current row stays there.
    fn seek(&mut self, target: u32) -> u32;
    /// Moves to the next row, and gives it.
    fn advance(&mut self) -> u32;
    /// How often the term occurs in the current row.
    fn frequency(&self) -> u32;
    /// Appends the encoded positions of the term in the current row, rising.
    fn positions(&mut self, out: &mut Vec<u32>);
    /// In how many rows the term occurs, dead ones included.
    fn documents(&self) -> u32;
}

/// Takes a term, its handle and how many rows have it; answers whether it wants more.
pub type Each<'e, H> = dyn FnMut(&[u8], H, u32) -> bool + 'e;

/// Takes rows and how often a term occurs in each; answers whether it wants more.
pub type Block<'e> = dyn FnMut(&[u32], &[u32]) -> bool + 'e;

/// A piece of the index.
pub trait Tier {
    /// What a term is found by, once it has been looked up.
    type Handle: Clone;
    /// A position in a posting list.
    type Cursor<'a>: Cursor
    where
        Self: 'a;

    /// Its documents.
    fn rows(&self) -> &Rows;
    /// Low bits of an encoded position that tell the TEXT field.
    fn field_bits(&self) -> u32;
    /// Looks a term up: its handle, and how many rows have it.
    fn find(&self, term: &Term) -> Option<(Self::Handle, u32)>;
    /// Calls `each` with the terms of a shape while it answers true; in order in a sealed piece, in any order in a
    /// fresh one, which has few. It stops when the time is over.
    fn expand(&self, shape: &Shape, deadline: &mut Deadline, each: &mut Each<'_, Self::Handle>);
    /// Calls `each` with the whole list of a term, many rows at a time and in order, while it answers true: faster
    /// than a cursor where nothing is passed over.
    fn each_block(&self, handle: &Self::Handle, each: &mut Block<'_>);
    /// Opens the list of a term.
    fn open<'a>(&'a self, handle: &Self::Handle, detail: Detail) -> Self::Cursor<'a>;
}
