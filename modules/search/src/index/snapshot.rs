//! What does a search look at?
//!
//! The pieces of an index as they were at one moment, with the bits of what was dead in them. Everything large is
//! shared with the index and with other snapshots. A search needs no lock and may take as long as it likes; what is
//! written meanwhile it does not see.

use std::sync::Arc;

use crate::index::bits::Bits;
use crate::index::fresh::{Batch, Layout};
use crate::index::rows::Rows;
use crate::index::sealed::Segment;
use crate::index::tier::Tier;
use crate::schema::Schema;
use crate::vector::store::Store;

/// The documents of an index at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) schema: Arc<Schema>,
    /// Sealed segments, then frozen batches, then the fresh one: rising numbers throughout.
    pub(super) sealed: Vec<Piece<Segment>>,
    pub(super) frozen: Vec<Piece<Batch>>,
    pub(super) fresh: Arc<Batch>,
    pub(super) fresh_dead: Arc<Bits>,
    /// Vectors, by the numbers of their fields among the VECTOR fields.
    pub(super) vectors: Vec<Store>,
    /// How many documents are alive.
    pub(super) documents: u64,
    /// Sum of the lengths of living documents.
    pub(super) length_sum: u64,
}

/// A piece that is not appended to any more.
#[derive(Debug)]
pub(super) struct Piece<T> {
    pub(super) id: u64,
    pub(super) tier: Arc<T>,
    pub(super) dead: Arc<Bits>,
}

impl<T> Clone for Piece<T> {
    fn clone(&self) -> Piece<T> {
        Piece { id: self.id, tier: Arc::clone(&self.tier), dead: Arc::clone(&self.dead) }
    }
}

/// Where a document lies: number of the piece, row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Sealed(usize, u32),
    Frozen(usize, u32),
    Fresh(u32),
}

impl Snapshot {
    /// Of an index without documents.
    pub(super) fn new(schema: Arc<Schema>, layout: &Layout) -> Snapshot {
        let vectors = schema.vector_fields();
        Snapshot {
            vectors: vectors.map(|(_, options)| Store::new(Arc::clone(options))).collect(),
            schema,
            sealed: Vec::new(),
            frozen: Vec::new(),
            fresh: Arc::new(Batch::new(layout.clone())),
            fresh_dead: Arc::default(),
            documents: 0,
            length_sum: 0,
        }
    }

    /// The index's definition.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        usize::try_from(self.documents).expect("documents are numbered with 32 bits")
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.documents == 0
    }

    /// Keys of all documents.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.all_rows().flat_map(|(rows, dead)| {
            (0..rows.len()).filter(|row| !dead.contains(*row)).map(|row| rows.key(row))
        })
    }

    /// The rows of all pieces in the order of their numbers, and which of them are dead.
    pub fn all_rows(&self) -> impl Iterator<Item = (&Rows, &Bits)> {
        let sealed = self.sealed.iter().map(|piece| (piece.tier.rows(), &*piece.dead));
        let frozen = self.frozen.iter().map(|piece| (piece.tier.rows(), &*piece.dead));
        sealed.chain(frozen).chain([(self.fresh.rows(), &*self.fresh_dead)])
    }

    /// The rows of the piece in which a document lies, and its row there. The number is one that a search of this
    /// snapshot has given.
    pub fn row(&self, number: u32) -> (&Rows, u32) {
        match self.place(number) {
            Some(Place::Sealed(at, row)) => (self.sealed[at].tier.rows(), row),
            Some(Place::Frozen(at, row)) => (self.frozen[at].tier.rows(), row),
            Some(Place::Fresh(row)) => (self.fresh.rows(), row),
            None => unreachable!("only numbers of documents that exist are asked for"),
        }
    }

    /// The key of a document; see [`Snapshot::row`].
    pub fn key(&self, number: u32) -> &[u8] {
        let (rows, row) = self.row(number);
        rows.key(row)
    }

    /// Finds the piece by its span of numbers, then the row.
    pub(super) fn place(&self, number: u32) -> Option<Place> {
        fn find<T: Tier>(pieces: &[Piece<T>], number: u32) -> Option<(usize, u32)> {
            let begins_later =
                |piece: &Piece<T>| piece.tier.rows().span().is_none_or(|(first, _)| first > number);
            let at = pieces.partition_point(|piece| !begins_later(piece)).checked_sub(1)?;
            Some((at, pieces[at].tier.rows().row(number)?))
        }
        if self.fresh.rows().span().is_some_and(|(first, _)| first <= number) {
            return self.fresh.rows().row(number).map(Place::Fresh);
        }
        if let Some((at, row)) = find(&self.frozen, number) {
            return Some(Place::Frozen(at, row));
        }
        find(&self.sealed, number).map(|(at, row)| Place::Sealed(at, row))
    }
}
