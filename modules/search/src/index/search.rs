//! Which documents match a plan, and which of them come first?
//!
//! The pieces are walked one after the other; a bounded heap keeps the best. Every match is counted, so totals are
//! exact.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use crate::index::Index;
use crate::index::bits::{Bits, Mask};
use crate::index::deadline::Deadline;
use crate::index::fresh::Batch;
use crate::index::matching::{AndOp, Op};
use crate::index::nearest::{Matches, filter_slots};
use crate::index::opening::{
    LeafTotals, Opener, PieceLeaf, PlainTerm, Weights, cut_expansions, listed, look_up,
    look_up_cost, run_cost,
};
use crate::index::profile::Profile;
use crate::index::ranking::{Borrowed, Rank, Ranked, TotalOrder, by_age, by_value};
use crate::index::rows::Rows;
use crate::index::sealed::Segment;
use crate::index::snapshot::Snapshot;
use crate::index::tier::{Cursor, END, Tier};
use crate::index::visit::Visit;
use crate::query::plan::{Plan, Step, VectorAsk, VectorQuery};
use crate::schema::{FieldKind, FieldMask, Schema};
use crate::score::{Scorer, Scoring};

/// Columns that one order may name.
pub const SORT_KEYS_MAX: usize = 8;

/// A search to be run.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What matches.
    pub plan: &'a Plan,
    /// How matches are rated.
    pub scorer: Scorer,
    /// Scores are wanted even if they do not decide the order.
    pub with_scores: bool,
    /// What decides the order.
    pub order: Order,
    /// How many of the first to leave out.
    pub offset: usize,
    /// How many to give.
    pub limit: usize,
    /// Only documents of these numbers, if given.
    pub only: Option<&'a [u32]>,
    /// When to stop.
    pub deadline: Deadline,
}

/// What decides the order of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The best score first.
    Score,
    /// The value of a column, by its number; documents without one come last.
    Column {
        /// The column.
        number: u16,
        /// Whether the greatest comes first.
        descending: bool,
    },
    /// The values of several columns, each of which decides where those before it are equal.
    Columns(SortKeys),
    /// The oldest first.
    Age,
    /// How far a document is by one of the plan's questions about vectors; others come last.
    Distance {
        /// Number of the question.
        query: usize,
        /// Whether the farthest comes first.
        descending: bool,
    },
}

/// Columns that decide an order, the first of them first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKeys {
    keys: [(u16, bool); SORT_KEYS_MAX],
    len: usize,
}

impl SortKeys {
    /// Of these columns, each with whether the greatest comes first; none if they are too many.
    pub fn new(list: &[(u16, bool)]) -> Option<SortKeys> {
        let mut keys = [(0, false); SORT_KEYS_MAX];
        keys.get_mut(..list.len())?.copy_from_slice(list);
        Some(SortKeys { keys, len: list.len() })
    }

    fn all(&self) -> &[(u16, bool)] {
        &self.keys[..self.len]
    }
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// How many documents match.
    pub total: u64,
    /// Those that were asked for, in order.
    pub hits: Vec<Hit>,
    /// A shape stood for more terms than may be used; documents may be missing.
    pub cut: bool,
    /// The time was over before everything had been looked at.
    pub timed_out: bool,
    /// Names under which documents show their distances, by the questions about vectors that have one.
    pub distances: Vec<(Vec<u8>, Matches)>,
}

/// One document.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Its key.
    pub key: Box<[u8]>,
    /// Its number.
    pub number: u32,
    /// Its score; 0 if none was asked for.
    pub score: f64,
    /// The value that it was sorted by.
    pub sort_value: SortValue,
}

/// What a document is sorted by.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum SortValue {
    /// It has no such value.
    #[default]
    Absent,
    /// A number.
    Number(f64),
    /// A byte string.
    Text(Vec<u8>),
}

/// Where the pieces of a snapshot have the terms of a plan.
pub struct Leaves {
    pub(super) sealed: Vec<Vec<PieceLeaf<<Segment as Tier>::Handle>>>,
    pub(super) frozen: Vec<Vec<PieceLeaf<<Batch as Tier>::Handle>>>,
    pub(super) fresh: Vec<PieceLeaf<<Batch as Tier>::Handle>>,
    pub(super) totals: Vec<LeafTotals>,
    cut: bool,
    timed_out: bool,
}

impl Leaves {
    /// Where the sealed segment of this place has the leaves.
    pub(super) fn in_sealed(&self, at: usize) -> &[PieceLeaf<<Segment as Tier>::Handle>] {
        &self.sealed[at]
    }

    /// Where the frozen batch of this place has the leaves.
    pub(super) fn in_frozen(&self, at: usize) -> &[PieceLeaf<<Batch as Tier>::Handle>] {
        &self.frozen[at]
    }

    /// Where the fresh batch has the leaves.
    pub(super) fn in_fresh(&self) -> &[PieceLeaf<<Batch as Tier>::Handle>] {
        &self.fresh
    }

    /// What the whole index knows of a leaf.
    pub(super) fn totals(&self, leaf: usize) -> &LeafTotals {
        &self.totals[leaf]
    }

    /// A shape stood for more terms than may be used.
    pub fn cut(&self) -> bool {
        self.cut
    }

    /// The time was over before all terms of the shapes had been found.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }
}

impl Index {
    /// Runs a search over what is there now.
    pub fn search(&self, request: &Request<'_>) -> Found {
        self.now.search(request)
    }

    /// Numbers of the documents of some keys, rising.
    pub fn numbers(&self, keys: &[&[u8]]) -> Vec<u32> {
        let mut numbers: Vec<u32> = keys.iter().filter_map(|key| self.number(key)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

impl Snapshot {
    /// Runs a search.
    pub fn search(&self, request: &Request<'_>) -> Found {
        let mut deadline = request.deadline;
        let leaves = self.look_up(request.plan, &mut deadline);
        self.search_leaves(&Request { deadline, ..*request }, &leaves)
    }

    /// Finds the terms of a plan.
    pub fn look_up(&self, plan: &Plan, deadline: &mut Deadline) -> Leaves {
        deadline.give_room(self.documents);
        let mut totals = Vec::new();
        totals.resize_with(plan.leaves.len(), LeafTotals::default);
        let mut in_sealed = |segment: &Segment| look_up(segment, plan, &mut totals, deadline);
        let sealed = self.sealed.iter().map(|piece| in_sealed(&piece.tier)).collect();
        let mut in_batch = |batch: &Batch| look_up(batch, plan, &mut totals, deadline);
        let frozen = self.frozen.iter().map(|piece| in_batch(&piece.tier)).collect();
        let fresh = in_batch(&self.fresh);
        let cut = cut_expansions(&mut totals);
        Leaves { sealed, frozen, fresh, totals, cut, timed_out: deadline.passed() }
    }

    /// About how many steps [`Snapshot::look_up`] will take, of some nanoseconds each.
    pub fn look_up_cost(&self, plan: &Plan) -> u64 {
        let sealed = self.sealed.iter().map(|piece| piece.tier.word_count()).sum::<usize>();
        let frozen = self.frozen.iter().map(|piece| piece.tier.word_count()).sum::<usize>();
        look_up_cost(plan, (sealed + frozen + self.fresh.word_count()) as u64)
    }

    /// About how many steps [`Snapshot::search_leaves`] will take.
    pub fn run_cost(&self, plan: &Plan, leaves: &Leaves) -> u64 {
        let cost = |step: &Step| run_cost(step, &leaves.totals, self.documents);
        let vectors = plan.vectors.iter().map(|query| match &query.ask {
            VectorAsk::Nearest { filter: Some(filter), .. } => self.ask_cost(query) + cost(filter),
            _ => self.ask_cost(query),
        });
        cost(&plan.root) + vectors.sum::<u64>()
    }

    /// Runs a search whose terms have been found.
    pub fn search_leaves(&self, request: &Request<'_>, leaves: &Leaves) -> Found {
        self.search_measured(request, leaves, None)
    }

    /// The same, and measures what the parts of the query cost.
    pub fn search_measured(
        &self,
        request: &Request<'_>,
        leaves: &Leaves,
        profile: Option<&Profile<'_>>,
    ) -> Found {
        let weights = self.schema.weights().map(Weights::new);
        let mut run = self.ready(request, leaves, weights.as_ref(), profile);
        for (piece, leaves) in self.sealed.iter().zip(&leaves.sealed) {
            run.piece(&*piece.tier, &piece.dead, leaves);
        }
        for (piece, leaves) in self.frozen.iter().zip(&leaves.frozen) {
            run.piece(&*piece.tier, &piece.dead, leaves);
        }
        run.piece(&*self.fresh, &self.fresh_dead, &leaves.fresh);
        let timed_out = leaves.timed_out || run.deadline.passed();
        let names = request.plan.vectors.iter().map(|query| query.clause.yields.clone());
        let named = names.zip(run.vectors.iter().cloned());
        let distances = named.filter_map(|(name, found)| Some((name?, found))).collect();
        Found { cut: leaves.cut, timed_out, distances, ..run.finish(self) }
    }

    /// A search whose questions about vectors have been asked.
    pub(super) fn ready<'r>(
        &self,
        request: &'r Request<'r>,
        leaves: &'r Leaves,
        weights: Option<&'r Weights>,
        profile: Option<&'r Profile<'r>>,
    ) -> Run<'r> {
        let mut run = Run::new(self, request, &leaves.totals, weights);
        run.profile = profile;
        self.ask_all(&mut run, leaves);
        run
    }

    /// Answers the questions about vectors of a visit whose terms have been found.
    pub(super) fn nearest(
        &self,
        visit: &Visit<'_>,
        leaves: &Leaves,
        deadline: &mut Deadline,
    ) -> Arc<Vec<Matches>> {
        let request = Request {
            plan: visit.plan,
            scorer: Scorer::default(),
            with_scores: false,
            order: Order::Age,
            offset: 0,
            limit: 0,
            only: visit.only,
            deadline: *deadline,
        };
        let mut run = Run::new(self, &request, &leaves.totals, None);
        run.profile = visit.profile;
        self.ask_all(&mut run, leaves);
        *deadline = run.deadline;
        run.vectors
    }

    fn ask_all(&self, run: &mut Run<'_>, leaves: &Leaves) {
        for (number, query) in run.request.plan.vectors.iter().enumerate() {
            let start = Instant::now();
            let slots = self.filter(run, query, leaves);
            let found = self.ask(query, slots.as_ref(), &mut run.deadline);
            Arc::make_mut(&mut run.vectors).push(found);
            if let Some(profile) = run.profile {
                profile.asked(number, start.elapsed());
            }
        }
    }

    /// The slots of the documents among which a question asks for the nearest, if not all count.
    fn filter(&self, run: &mut Run<'_>, query: &VectorQuery, leaves: &Leaves) -> Option<Bits> {
        let filter = match &query.ask {
            VectorAsk::Nearest { filter: Some(filter), .. } => filter,
            VectorAsk::Nearest { filter: None, .. } if run.request.only.is_some() => {
                &Step::All { weight: 0.0 }
            }
            VectorAsk::Nearest { filter: None, .. } | VectorAsk::Within(_) => return None,
        };
        let mut slots = Bits::default();
        let (column, found) = (query.column, &mut slots);
        for (piece, leaves) in self.sealed.iter().zip(&leaves.sealed) {
            run.filter(&*piece.tier, &piece.dead, leaves, filter, column, found);
        }
        for (piece, leaves) in self.frozen.iter().zip(&leaves.frozen) {
            run.filter(&*piece.tier, &piece.dead, leaves, filter, column, found);
        }
        run.filter(&*self.fresh, &self.fresh_dead, &leaves.fresh, filter, column, found);
        Some(slots)
    }
}

/// All TEXT fields of a schema.
fn text_fields(schema: &Schema) -> FieldMask {
    let text_field = |mask, field: &crate::schema::Field| match field.kind {
        FieldKind::Text { id, .. } => mask | 1 << id,
        _ => mask,
    };
    schema.fields.iter().fold(0, text_field)
}

/// A search under way.
pub(super) struct Run<'a> {
    request: &'a Request<'a>,
    totals: &'a [LeafTotals],
    documents: u64,
    length_mean: f64,
    counts_once: bool,
    text_fields: FieldMask,
    weights: Option<&'a Weights>,
    scored: bool,
    deadline: Deadline,
    /// What the questions about vectors found, so far.
    vectors: Arc<Vec<Matches>>,
    profile: Option<&'a Profile<'a>>,
    total: u64,
    score_max: f64,
    /// The score of the last one that is kept, once enough are.
    score_least: f64,
    best: BinaryHeap<Ranked>,
    keep: usize,
}

impl<'a> Run<'a> {
    fn new(
        snapshot: &Snapshot,
        request: &'a Request<'a>,
        totals: &'a [LeafTotals],
        weights: Option<&'a Weights>,
    ) -> Run<'a> {
        let documents = snapshot.documents;
        let mut deadline = request.deadline;
        deadline.give_room(documents);
        Run {
            request,
            totals,
            documents,
            counts_once: snapshot.schema.omits.frequencies,
            length_mean: if documents == 0 {
                0.0
            } else {
                snapshot.length_sum as f64 / documents as f64
            },
            text_fields: text_fields(&snapshot.schema),
            weights,
            scored: request.limit > 0 && (request.order == Order::Score || request.with_scores),
            deadline,
            vectors: Arc::default(),
            profile: None,
            total: 0,
            score_max: 0.0,
            score_least: 0.0,
            best: BinaryHeap::new(),
            keep: if request.limit == 0 { 0 } else { request.offset.saturating_add(request.limit) },
        }
    }

    /// Adds the slots of a piece's documents that match a filter.
    fn filter<'t, T: Tier>(
        &mut self,
        tier: &'t T,
        dead: &Bits,
        leaves: &'t [PieceLeaf<T::Handle>],
        filter: &'t Step,
        column: u16,
        slots: &mut Bits,
    ) where
        'a: 't,
    {
        let opener = self.opener(tier, leaves);
        let room = self.deadline.room();
        let op = opener.open_part(filter, &mut self.deadline);
        let only = self.request.only;
        filter_slots(op, tier.rows(), column, dead, only, slots, &mut self.deadline);
        self.deadline.set_room(room);
    }

    /// What opens the plan on one piece.
    pub(super) fn opener<'t, T: Tier>(
        &self,
        tier: &'t T,
        leaves: &'t [PieceLeaf<T::Handle>],
    ) -> Opener<'t, T>
    where
        'a: 't,
    {
        Opener {
            tier,
            leaves,
            plan: self.request.plan,
            totals: self.totals,
            documents: self.documents,
            text_fields: self.text_fields,
            weights: self.weights,
            scored: self.scored && self.request.scorer.wants_matches(),
            distances: self.request.scorer.wants_distance(),
            vectors: Arc::clone(&self.vectors),
            profile: self.profile,
        }
    }

    fn piece<T: Tier>(&mut self, tier: &T, dead: &Bits, leaves: &[PieceLeaf<T::Handle>]) {
        let opener = self.opener(tier, leaves);
        if self.request.only.is_none()
            && self.profile.is_none()
            && let Some((terms, weight)) = opener.union()
        {
            return match terms.as_slice() {
                [] => {}
                [term] => self.term(tier, term, weight, dead),
                terms => self.union(tier, terms, weight, dead),
            };
        }
        let room = self.deadline.room();
        let mut op = opener.open(&mut self.deadline);
        if let Some(only) = self.request.only {
            op = Op::And(AndOp::new(
                vec![Op::Set(listed(only.iter().copied(), tier.rows(), 0.0)), op],
                None,
                1.0,
            ));
        }
        let rows = tier.rows();
        let steps = op.width();
        let mut row = op.next(0);
        while row < rows.len() {
            if !dead.contains(row) && op.matches(row) {
                self.total += 1;
                if self.keep > 0 {
                    self.collect(&mut op, rows, row);
                }
            }
            if self.deadline.steps_of(steps) {
                return;
            }
            row = op.next(row + 1);
        }
        debug_assert!(row == END || row == rows.len());
        self.deadline.set_room(room);
    }

    /// A query of one term: its list is all there is to walk.
    fn term<T: Tier>(
        &mut self,
        tier: &T,
        term: &PlainTerm<'_, T::Handle>,
        union_weight: f64,
        dead: &Bits,
    ) {
        let rows = tier.rows();
        tier.each_block(term.handle, &mut |block, frequencies| {
            if self.keep == 0 && dead.is_empty() {
                self.total += block.len() as u64;
                return true;
            }
            for (row, frequency) in block.iter().zip(frequencies) {
                if dead.contains(*row) {
                    continue;
                }
                self.total += 1;
                if self.keep > 0 {
                    let sum = |scoring: &Scoring| {
                        scoring.term(term.rarity, *frequency, term.weight) * union_weight
                    };
                    let score = self.score(rows, *row, sum, || 1);
                    self.rank(score, rows, *row);
                }
            }
            !self.deadline.steps_of(block.len() as u32)
        });
    }

    /// A query of a few terms of which each will do: their scores are added up in a table of all rows.
    fn union<T: Tier>(
        &mut self,
        tier: &T,
        terms: &[PlainTerm<'_, T::Handle>],
        weight: f64,
        dead: &Bits,
    ) {
        let rows = tier.rows();
        let mut mask = Mask::new(rows.len());
        let scored = self.scored && self.keep > 0;
        let mut sums = vec![0.0f64; if scored { rows.len() as usize } else { 0 }];
        for term in terms {
            tier.each_block(term.handle, &mut |block, frequencies| {
                mask.insert_all(block);
                if scored {
                    for (row, frequency) in block.iter().zip(frequencies) {
                        let scoring = self.scoring(rows, *row);
                        let sum = &mut sums[*row as usize];
                        let own = scoring.term(term.rarity, *frequency, term.weight);
                        *sum = scoring.join(*sum, own);
                    }
                }
                !self.deadline.steps_of(block.len() as u32)
            });
        }
        let mut next = mask.next(0);
        while let Some(row) = next {
            if !dead.contains(row) {
                self.total += 1;
                if self.keep > 0 {
                    let sum = sums.get(row as usize).map_or(0.0, |sum| sum * weight);
                    let score = self.score(rows, row, |_| sum, || 1);
                    self.rank(score, rows, row);
                }
            }
            if self.deadline.step() {
                return;
            }
            next = mask.next(row + 1);
        }
    }

    fn collect<C: Cursor>(&mut self, op: &mut Op<'_, C>, rows: &Rows, row: u32) {
        let mut score = 0.0;
        if self.scored {
            let wants_matches = self.request.scorer.wants_matches();
            let scoring = self.scoring(rows, row);
            let sum = if wants_matches { op.score(&scoring) } else { 0.0 };
            score = self.score(rows, row, |_| sum, || op.distance());
        }
        self.rank(score, rows, row);
    }

    #[inline]
    fn scoring(&self, rows: &Rows, row: u32) -> Scoring {
        Scoring {
            scorer: self.request.scorer,
            length_mean: self.length_mean,
            length: rows.length(row),
            counts_once: self.counts_once,
        }
    }

    /// The score of a row, of what its terms sum up to.
    #[inline]
    fn score(
        &mut self,
        rows: &Rows,
        row: u32,
        sum: impl FnOnce(&Scoring) -> f64,
        distance: impl FnOnce() -> u32,
    ) -> f64 {
        if !self.scored {
            return 0.0;
        }
        let scoring = self.scoring(rows, row);
        let sum = sum(&scoring);
        let score = scoring.total(sum, rows.score(row), rows.frequency_max(row), distance);
        self.score_max = self.score_max.max(score);
        score
    }

    /// Keeps a row if it is one of the best.
    #[inline]
    fn rank(&mut self, score: f64, rows: &Rows, row: u32) {
        let full = self.best.len() == self.keep;
        // Later rows are younger documents, which come behind older ones of the same score.
        if full && self.request.order == Order::Score && score <= self.score_least {
            return;
        }
        let number = rows.number(row);
        let rank = match self.request.order {
            Order::Score => Rank::Score(Reverse(TotalOrder(score))),
            Order::Age => Rank::Age,
            Order::Distance { query, descending } => {
                let distance = self.vectors[query].distance(number);
                let value = distance.map_or(SortValue::Absent, SortValue::Number);
                Rank::Value { value, descending }
            }
            Order::Column { number: column, descending } => {
                let value = Borrowed::of(rows.column(column), row);
                // Copying a text is only worth it for what stays.
                let beaten = |worst: &Ranked| worst.beats(&value, number, descending);
                if full && self.best.peek().is_some_and(beaten) {
                    return;
                }
                Rank::Value { value: value.owned(), descending }
            }
            Order::Columns(keys) => {
                let value = |(column, descending): &(u16, bool)| {
                    (Borrowed::of(rows.column(*column), row).owned(), *descending)
                };
                Rank::Values(keys.all().iter().map(value).collect())
            }
        };
        let ranked = Ranked { rank, number, score };
        if !full {
            self.best.push(ranked);
        } else if self.best.peek().is_some_and(|worst| ranked < *worst)
            && let Some(mut worst) = self.best.peek_mut()
        {
            *worst = ranked;
        }
        if self.request.order == Order::Score && self.best.len() == self.keep {
            self.score_least = self.best.peek().map_or(0.0, |worst| worst.score);
        }
    }

    fn finish(self, snapshot: &Snapshot) -> Found {
        let normal = match self.request.scorer {
            Scorer::Bm25StdNorm if self.score_max > 0.0 => self.score_max,
            _ => 1.0,
        };
        let best = self.best.into_sorted_vec();
        let hits = best.into_iter().skip(self.request.offset).map(|ranked| Hit {
            key: snapshot.key(ranked.number).into(),
            number: ranked.number,
            score: ranked.score / normal,
            sort_value: match ranked.rank {
                Rank::Value { value, .. } => value,
                Rank::Values(values) => {
                    values.into_iter().next().map(|(value, _)| value).unwrap_or_default()
                }
                Rank::Score(_) | Rank::Age => SortValue::Absent,
            },
        });
        Found { total: self.total, hits: hits.collect(), ..Found::default() }
    }
}

impl SortValue {
    pub(super) fn borrowed(&self) -> Borrowed<'_> {
        match self {
            SortValue::Absent => Borrowed::Absent,
            SortValue::Number(number) => Borrowed::Number(*number),
            SortValue::Text(text) => Borrowed::Text(text),
        }
    }

    /// The order of two documents by their values and, where these are equal, by age.
    pub fn order(
        &self,
        number: u32,
        other: &SortValue,
        other_number: u32,
        descending: bool,
    ) -> Ordering {
        by_value(&self.borrowed(), &other.borrowed(), descending).then(by_age(
            number,
            other_number,
            descending,
        ))
    }
}
