//! Which rows match a plan, handed over in batches?
//!
//! For those who look at every match (FT.AGGREGATE) and not for the best ones. Nothing is copied: a batch names rows of a
//! piece, whose keys and columns can be read where they lie.

use std::sync::Arc;

use crate::index::bits::Bits;
use crate::index::deadline::Deadline;
use crate::index::matching::Op;
use crate::index::nearest::Matches;
use crate::index::opening::{LeafTotals, Opener, PieceLeaf, Weights};
use crate::index::profile::Profile;
use crate::index::rows::Rows;
use crate::index::search::Leaves;
use crate::index::snapshot::Snapshot;
use crate::index::tier::{Cursor, Detail, Tier};
use crate::query::plan::{Leaf, Plan};
use crate::schema::{FieldKind, FieldMask};
use crate::score::{Scorer, Scoring};

/// Rows of one batch at most: small enough for the processor's nearest cache, large enough to forget the call.
pub const BATCH_ROWS: usize = 1024;

/// What is to be visited.
#[derive(Debug)]
pub struct Visit<'p> {
    /// What matches.
    pub plan: &'p Plan,
    /// How matches are rated, if scores are wanted.
    pub scorer: Option<Scorer>,
    /// What scores are divided by.
    pub score_divisor: f64,
    /// The terms that each row has are wanted.
    pub with_terms: bool,
    /// Only documents of these numbers, if given; rising.
    pub only: Option<&'p [u32]>,
    /// Where it is measured what the parts of the query cost, if that is wanted.
    pub profile: Option<&'p Profile<'p>>,
}

/// Rows of one piece that match, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a, 'b> {
    /// The piece.
    pub rows: &'a Rows,
    /// Which of them.
    pub matched: &'b [u32],
    /// Their scores, if these were asked for.
    pub scores: &'b [f64],
    /// The terms of each, by number among the plan's leaves, if these were asked for.
    pub terms: &'b [Vec<u16>],
    /// The leaves of the plan.
    pub leaves: &'b [Leaf],
    /// What the plan's questions about vectors found.
    pub vectors: &'b [Matches],
}

/// Takes matching rows; answers whether it wants more.
pub trait Sink<'a> {
    /// Takes a batch.
    fn take(&mut self, batch: Batch<'a, '_>) -> bool;
}

impl Snapshot {
    /// Hands all matches to `sink` until it has enough or the time is over; `leaves` are where the plan's terms lie.
    pub fn visit<'a>(
        &'a self,
        visit: &Visit<'_>,
        leaves: &Leaves,
        sink: &mut dyn Sink<'a>,
        deadline: &mut Deadline,
    ) {
        let weights = self.schema.weights().map(Weights::new);
        let vectors = self.nearest(visit, leaves, deadline);
        deadline.give_room(self.documents);
        let run = Run::new(self, visit, &leaves.totals, weights.as_ref(), vectors);
        for (piece, leaves) in self.sealed.iter().zip(&leaves.sealed) {
            if !run.piece(&*piece.tier, &piece.dead, leaves, sink, deadline) {
                return;
            }
        }
        for (piece, leaves) in self.frozen.iter().zip(&leaves.frozen) {
            if !run.piece(&*piece.tier, &piece.dead, leaves, sink, deadline) {
                return;
            }
        }
        run.piece(&*self.fresh, &self.fresh_dead, &leaves.fresh, sink, deadline);
    }
}

/// A visit under way.
struct Run<'v> {
    visit: &'v Visit<'v>,
    totals: &'v [LeafTotals],
    weights: Option<&'v Weights>,
    documents: u64,
    length_mean: f64,
    counts_once: bool,
    text_fields: FieldMask,
    vectors: Arc<Vec<Matches>>,
}

impl<'v> Run<'v> {
    fn new(
        snapshot: &Snapshot,
        visit: &'v Visit<'v>,
        totals: &'v [LeafTotals],
        weights: Option<&'v Weights>,
        vectors: Arc<Vec<Matches>>,
    ) -> Run<'v> {
        let documents = snapshot.documents;
        let text_field = |mask, field: &crate::schema::Field| match field.kind {
            FieldKind::Text { id, .. } => mask | 1 << id,
            _ => mask,
        };
        Run {
            visit,
            totals,
            weights,
            documents,
            length_mean: match documents {
                0 => 0.0,
                documents => snapshot.length_sum as f64 / documents as f64,
            },
            counts_once: snapshot.schema.omits.frequencies,
            text_fields: snapshot.schema.fields.iter().fold(0, text_field),
            vectors,
        }
    }

    /// Visits a piece; answers whether more is wanted.
    fn piece<'a, T: Tier>(
        &self,
        tier: &'a T,
        dead: &Bits,
        leaves: &[PieceLeaf<T::Handle>],
        sink: &mut dyn Sink<'a>,
        deadline: &mut Deadline,
    ) -> bool {
        let scorer = self.visit.scorer;
        let opener = Opener {
            tier,
            leaves,
            plan: self.visit.plan,
            totals: self.totals,
            documents: self.documents,
            text_fields: self.text_fields,
            weights: self.weights,
            scored: scorer.is_some_and(Scorer::wants_matches),
            distances: scorer.is_some_and(Scorer::wants_distance),
            vectors: Arc::clone(&self.vectors),
            profile: self.visit.profile,
        };
        let room = deadline.room();
        let mut op = opener.open(deadline);
        let rows = tier.rows();
        let only = self
            .visit
            .only
            .map(|only| only.iter().filter_map(|number| rows.row(*number)).collect::<Vec<u32>>());
        let mut collector = Collector {
            matched: Vec::with_capacity(BATCH_ROWS),
            scores: Vec::new(),
            terms: self.term_cursors(tier, leaves),
            leaves: &self.visit.plan.leaves,
            vectors: &self.vectors,
        };
        if matches!(op, Op::All { .. }) && scorer.is_none() && only.is_none() && dead.is_empty() {
            return collector.all(rows, sink, deadline);
        }
        let mut row = op.next(0);
        while row < rows.len() {
            if !dead.contains(row)
                && only.as_ref().is_none_or(|only| only.binary_search(&row).is_ok())
                && op.matches(row)
            {
                let score = scorer.map(|scorer| self.score(scorer, &mut op, rows, row));
                collector.push(row, score);
                if collector.matched.len() == BATCH_ROWS && !collector.flush(rows, sink) {
                    return false;
                }
            }
            if deadline.step() {
                return false;
            }
            row = op.next(row + 1);
        }
        deadline.set_room(room);
        collector.flush(rows, sink)
    }

    fn score<C: Cursor>(&self, scorer: Scorer, op: &mut Op<'_, C>, rows: &Rows, row: u32) -> f64 {
        let scoring = Scoring {
            scorer,
            length_mean: self.length_mean,
            length: rows.length(row),
            counts_once: self.counts_once,
        };
        let sum = if scorer.wants_matches() { op.score(&scoring) } else { 0.0 };
        let score = scoring.total(sum, rows.score(row), rows.frequency_max(row), || op.distance());
        score / self.visit.score_divisor
    }

    /// Cursors over the plan's terms, if the visitor wants to know which a row has.
    fn term_cursors<'a, T: Tier>(
        &self,
        tier: &'a T,
        leaves: &[PieceLeaf<T::Handle>],
    ) -> Vec<(u16, T::Cursor<'a>)> {
        if !self.visit.with_terms {
            return Vec::new();
        }
        let plan = self.visit.plan.leaves.iter();
        let opened = leaves.iter().zip(plan).enumerate().filter_map(|(at, leaf)| match leaf {
            (PieceLeaf::Term(Some(handle)), Leaf::Term(_)) => {
                Some((u16::try_from(at).ok()?, tier.open(handle, Detail::Rows)))
            }
            _ => None,
        });
        opened.collect()
    }
}

/// The batch that is being filled.
struct Collector<'v, C> {
    matched: Vec<u32>,
    scores: Vec<f64>,
    terms: Vec<(u16, C)>,
    leaves: &'v [Leaf],
    vectors: &'v [Matches],
}

impl<C: Cursor> Collector<'_, C> {
    fn push(&mut self, row: u32, score: Option<f64>) {
        self.matched.push(row);
        self.scores.extend(score);
    }

    /// Every row of a piece.
    fn all<'a>(
        &mut self,
        rows: &'a Rows,
        sink: &mut dyn Sink<'a>,
        deadline: &mut Deadline,
    ) -> bool {
        let mut start = 0;
        while start < rows.len() {
            let end = rows.len().min(start + BATCH_ROWS as u32);
            self.matched.extend(start..end);
            if !self.flush(rows, sink) || deadline.long_step() {
                return false;
            }
            start = end;
        }
        true
    }

    fn flush<'a>(&mut self, rows: &'a Rows, sink: &mut dyn Sink<'a>) -> bool {
        if self.matched.is_empty() {
            return true;
        }
        let mut terms: Vec<Vec<u16>> = Vec::new();
        if !self.terms.is_empty() {
            let cursors = &mut self.terms;
            let of_row = |row: &u32| {
                let has = cursors
                    .iter_mut()
                    .filter_map(|(leaf, cursor)| (cursor.seek(*row) == *row).then_some(*leaf));
                has.collect()
            };
            terms = self.matched.iter().map(of_row).collect();
        }
        let more = sink.take(Batch {
            rows,
            matched: &self.matched,
            scores: &self.scores,
            terms: &terms,
            leaves: self.leaves,
            vectors: self.vectors,
        });
        self.matched.clear();
        self.scores.clear();
        more
    }
}
