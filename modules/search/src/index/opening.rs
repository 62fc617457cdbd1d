//! How does a plan become operators over one piece?
//!
//! First every piece is asked for the plan's terms, so that it is known over all of them how many documents have each
//! and which terms a shape stands for; then the plan is opened on each piece with the same figures. So a document
//! scores the same in whichever tier it lies.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::columns::Column;
use crate::index::bits::{Bits, Mask};
use crate::index::deadline::Deadline;
use crate::index::fresh::field_weight;
use crate::index::matching::{AndOp, Op, OrOp, SetOp, TermOp};
use crate::index::nearest::Matches;
use crate::index::profile::Profile;
use crate::index::rows::Rows;
use crate::index::tier::{Cursor, Detail, END, Tier};
use crate::query::plan::{Leaf, Plan, STEM_MARK, Shape, Space, Step};
use crate::schema::{ALL_FIELDS, FieldMask};
use crate::score::Rarity;
use crate::settings;

/// Alternatives of a union from which on their lists are merged beforehand, not row by row.
const UNION_MERGE_MIN: usize = 16;

/// What a term of a shape takes while it is looked up, beside its bytes, which are kept twice.
const EXPANSION_BYTES: usize = 128;
/// What an open posting list takes beside itself: a block of positions.
const POSITIONS_BYTES: usize = 768;

/// Steps that looking a term up takes.
const TERM_STEPS: u64 = 100;
/// Steps that comparing positions takes, per list.
const POSITION_STEPS: u64 = 4;

/// Steps that checking the elements of a document takes.
const ELEMENTS_STEPS: u64 = 8;

/// One row in so many from which on a list of rows is put in order by a table of all rows, not by sorting.
const DENSE_SHARE: usize = 32;

/// What one piece knows of a leaf.
pub enum PieceLeaf<H> {
    /// Where the term is found, if it is.
    Term(Option<H>),
    /// Where the terms of a shape are found.
    Shape(Vec<(Vec<u8>, H)>),
}

/// What the whole index knows of a leaf.
#[derive(Debug, Default)]
pub struct LeafTotals {
    /// How many documents have the term.
    documents: u64,
    /// The terms of a shape, and how many documents have each.
    terms: BTreeMap<Vec<u8>, u64>,
}

impl LeafTotals {
    /// How many documents have the term.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// The terms of a shape, in order, and how many documents have each.
    pub fn terms(&self) -> Vec<(&[u8], u64)> {
        self.terms.iter().map(|(term, documents)| (term.as_slice(), *documents)).collect()
    }
}

/// Asks a piece for all leaves of a plan; adds what it has to `totals`.
pub fn look_up<T: Tier>(
    tier: &T,
    plan: &Plan,
    totals: &mut [LeafTotals],
    deadline: &mut Deadline,
) -> Vec<PieceLeaf<T::Handle>> {
    let leaves = plan.leaves.iter().zip(totals);
    leaves
        .map(|(leaf, totals)| match leaf {
            Leaf::Term(term) => PieceLeaf::Term(tier.find(term).map(|(handle, documents)| {
                totals.documents += u64::from(documents);
                handle
            })),
            Leaf::Shape(shape) => PieceLeaf::Shape(expand(tier, shape, totals, deadline)),
        })
        .collect()
}

fn expand<T: Tier>(
    tier: &T,
    shape: &Shape,
    totals: &mut LeafTotals,
    deadline: &mut Deadline,
) -> Vec<(Vec<u8>, T::Handle)> {
    let mut found = Vec::new();
    let max = settings::size(&settings::MAX_PREFIX_EXPANSIONS);
    let (mut bytes, room) = (0, deadline.room());
    tier.expand(shape, deadline, &mut |term, handle, documents| {
        found.push((term.to_vec(), handle));
        *totals.terms.entry(term.to_vec()).or_default() += u64::from(documents);
        bytes += EXPANSION_BYTES + 2 * term.len();
        // One more than may be used, so that it shows when there are too many.
        found.len() <= max && bytes as u64 <= room
    });
    deadline.take_room(bytes);
    found
}

/// About how many steps it takes to find the terms of a plan, a step being some nanoseconds: what a word of the
/// dictionary or an entry of a posting list takes.
pub fn look_up_cost(plan: &Plan, words: u64) -> u64 {
    let cost = |leaf: &Leaf| match leaf {
        Leaf::Term(_) => TERM_STEPS,
        // Of the words with a given beginning nobody knows how many there are; mostly they are few.
        Leaf::Shape(shape) if !shape.pattern.literal_prefix().is_empty() => words / 64,
        // The automaton passes over most words.
        Leaf::Shape(shape) if shape.fuzzy().is_some() => words / 8,
        Leaf::Shape(shape) => words * shape.pattern.steps(),
    };
    plan.leaves.iter().map(cost).sum()
}

/// About how many steps it takes to walk the rows of a plan.
pub fn run_cost(step: &Step, totals: &[LeafTotals], documents: u64) -> u64 {
    let cost = |step: &Step| run_cost(step, totals, documents);
    match step {
        Step::Nothing => 0,
        Step::All { .. } => documents,
        Step::Leaf { leaf, .. } => {
            let totals = &totals[*leaf];
            totals.documents + totals.terms.values().sum::<u64>()
        }
        Step::And { children, proximity, .. } => {
            let least = children.iter().map(cost).min().unwrap_or(0);
            let steps =
                children.len() as u64 * if proximity.is_some() { POSITION_STEPS } else { 1 };
            least.saturating_mul(steps)
        }
        Step::Or { children, .. } => children.iter().map(cost).sum(),
        Step::Not(child) | Step::Optional { child, .. } => documents + cost(child),
        Step::Nested { candidates, .. } => cost(candidates).saturating_mul(ELEMENTS_STEPS),
        // Columns are walked fast, but each match costs a step.
        Step::Range { .. } => documents / 2,
        Step::Circle { .. } => documents / 8,
        Step::Shape { .. } => documents,
        // What the questions about vectors cost is added by those who ask them.
        Step::Vector { .. } => 0,
    }
}

/// Drops the terms that are too many; answers whether there were any.
pub fn cut_expansions(totals: &mut [LeafTotals]) -> bool {
    let max = settings::size(&settings::MAX_PREFIX_EXPANSIONS);
    let mut cut = false;
    for leaf in totals {
        while leaf.terms.len() > max {
            leaf.terms.pop_last();
            cut = true;
        }
    }
    cut
}

/// How often an occurrence counts, by TEXT field: of words and of stems.
#[derive(Debug)]
pub struct Weights {
    words: Box<[u32]>,
    stems: Box<[u32]>,
}

impl Weights {
    /// Out of a schema's weights.
    pub fn new(words: Box<[u32]>) -> Weights {
        let fields = 0..u32::try_from(words.len()).expect("TEXT_FIELDS_MAX fits");
        let stems = fields.map(|field| field_weight(&words, field, true)).collect();
        Weights { words, stems }
    }
}

/// A term that counts the same wherever it occurs.
pub struct PlainTerm<'a, H> {
    /// Where it is found.
    pub handle: &'a H,
    /// How rare it is.
    pub rarity: Rarity,
    /// Factor of its score.
    pub weight: f64,
    /// How many documents have it, over all pieces.
    documents: u64,
}

/// Opens a plan on one piece.
pub struct Opener<'a, T: Tier> {
    /// The piece.
    pub tier: &'a T,
    /// The plan's leaves in this piece.
    pub leaves: &'a [PieceLeaf<T::Handle>],
    /// The plan.
    pub plan: &'a Plan,
    /// The leaves in the whole index.
    pub totals: &'a [LeafTotals],
    /// Number of documents in the whole index.
    pub documents: u64,
    /// All TEXT fields of the schema: naming them all restricts nothing.
    pub text_fields: FieldMask,
    /// What the plan's questions about vectors found.
    pub vectors: Arc<Vec<Matches>>,
    /// How often occurrences count.
    pub weights: Option<&'a Weights>,
    /// Scores are wanted.
    pub scored: bool,
    /// The formula asks for positions.
    pub distances: bool,
    /// What the operators do is measured.
    pub profile: Option<&'a Profile<'a>>,
}

/// What is asked of a step by those above it.
#[derive(Clone, Copy)]
struct Wish {
    scores: bool,
    positions: bool,
}

impl<'a, T: Tier> Opener<'a, T> {
    /// What an open list takes.
    const LIST_BYTES: usize = size_of::<Op<'_, T::Cursor<'_>>>() + POSITIONS_BYTES;

    /// The operators of the whole plan.
    pub fn open(&self, deadline: &mut Deadline) -> Op<'a, T::Cursor<'a>> {
        let wish = Wish { scores: self.scored, positions: self.scored && self.distances };
        self.step(&self.plan.root, wish, deadline)
    }

    /// The operators of a part of the plan, of which no scores will be asked for.
    pub fn open_part(&self, step: &'a Step, deadline: &mut Deadline) -> Op<'a, T::Cursor<'a>> {
        self.step(step, Wish { scores: false, positions: false }, deadline)
    }

    /// The rows that have a place which a clause asks for.
    fn places(&self, step: &Step, deadline: &mut Deadline) -> Op<'a, T::Cursor<'a>> {
        let rows = self.tier.rows();
        let (found, weight) = match step {
            Step::Circle { column, circle, weight } => match rows.column(*column) {
                Some(Column::Points(points)) => (points.within(circle), *weight),
                _ => return Op::Nothing,
            },
            Step::Shape { column, question, weight } => match rows.column(*column) {
                Some(Column::Shapes(shapes)) => {
                    (shapes.matching(question, &mut || deadline.long_step()), *weight)
                }
                _ => return Op::Nothing,
            },
            Step::Vector { query, weight } => {
                return Op::Set(listed(self.vectors[*query].numbers(), rows, *weight));
            }
            _ => unreachable!("step() sends no other here"),
        };
        let entries = found.into_iter().map(|row| (row, 0, 0)).collect();
        Op::Set(SetOp { entries, weight, ..SetOp::default() })
    }

    fn step(&self, step: &'a Step, wish: Wish, deadline: &mut Deadline) -> Op<'a, T::Cursor<'a>> {
        let op = self.operator(step, wish, deadline);
        match self.profile {
            None => op,
            Some(profile) => profile.watch(step, op),
        }
    }

    fn operator(
        &self,
        step: &'a Step,
        wish: Wish,
        deadline: &mut Deadline,
    ) -> Op<'a, T::Cursor<'a>> {
        match step {
            Step::Nothing => Op::Nothing,
            Step::All { weight } => Op::All { weight: *weight },
            Step::Leaf { leaf, fields, weight } => {
                self.leaf(*leaf, *fields, *weight, wish, deadline)
            }
            Step::And { children, weight, proximity } => {
                let wish = Wish { positions: wish.positions || proximity.is_some(), ..wish };
                let mut ops = Vec::with_capacity(children.len());
                for child in children {
                    ops.push(self.step(child, wish, deadline));
                    if deadline.passed() {
                        // The search is over; an intersection of some clauses would find too much.
                        return Op::Nothing;
                    }
                }
                let mut and = AndOp::new(ops, *proximity, *weight);
                self.restrict(&mut and, children, wish, deadline);
                Op::And(and)
            }
            Step::Or { children, weight } => self.or(children, *weight, wish, deadline),
            Step::Not(child) => {
                let wish = Wish { scores: false, positions: false };
                Op::Not(Box::new(self.step(child, wish, deadline)))
            }
            Step::Optional { child, weight } => Op::Optional {
                child: Box::new(self.step(child, wish, deadline)),
                matched: false,
                weight: *weight,
            },
            Step::Circle { .. } | Step::Shape { .. } | Step::Vector { .. } => {
                self.places(step, deadline)
            }
            Step::Nested { column, test, candidates, weight, .. } => Op::Nested {
                child: Box::new(self.step(candidates, wish, deadline)),
                column: self.tier.rows().column(*column),
                test,
                weight: *weight,
            },
            Step::Range { column, range, weight } => Op::Range {
                column: self.tier.rows().column(*column),
                range: *range,
                rows: self.tier.rows().len(),
                weight: *weight,
            },
        }
    }

    /// The terms of the whole plan, if it is one term or a union of terms that count the same in all fields: those that
    /// the piece has, and the weight of the union.
    pub fn union(&self) -> Option<(Vec<PlainTerm<'a, T::Handle>>, f64)> {
        let (steps, union_weight) = match &self.plan.root {
            Step::Or { children, weight } => (children.as_slice(), *weight),
            step => (std::slice::from_ref(step), 1.0),
        };
        if steps.len() > UNION_MERGE_MIN || self.weights.is_some() {
            return None;
        }
        let mut terms = Vec::with_capacity(steps.len());
        for step in steps {
            let Step::Leaf { leaf, fields, weight } = step else { return None };
            let (PieceLeaf::Term(handle), Leaf::Term(term)) =
                (&self.leaves[*leaf], &self.plan.leaves[*leaf])
            else {
                return None;
            };
            if !self.is_everywhere(term.space, *fields) {
                return None;
            }
            if let Some(handle) = handle {
                let documents = self.totals[*leaf].documents;
                let rarity = self.rarity(term.space, documents);
                terms.push(PlainTerm { handle, rarity, weight: *weight, documents });
            }
        }
        let documents = terms.iter().map(|term| term.documents).sum::<u64>();
        // Short lists are merged faster than a table of all rows is read.
        let fits = terms.len() == 1 || (!self.distances && documents * 64 >= self.documents);
        fits.then_some((terms, union_weight))
    }

    /// How rare a term is that so many documents have.
    fn rarity(&self, space: Space, documents: u64) -> Rarity {
        match space {
            Space::Words => Rarity::of(documents, self.documents),
            Space::Tags => Rarity::OF_TAGS,
        }
    }

    /// Where even the shortest list of an intersection is long, going from one row of it to the next costs more than
    /// laying all lists over each other.
    fn restrict(
        &self,
        and: &mut AndOp<'a, T::Cursor<'a>>,
        children: &[Step],
        wish: Wish,
        deadline: &mut Deadline,
    ) {
        let least = and.children.iter().map(Op::cost).min().unwrap_or(0);
        if !self.is_long(least.into()) {
            return;
        }
        let (mut all, mut count): (Option<Mask>, usize) = (None, 0);
        for child in children {
            let Some(mask) = self.mask(child, deadline) else { continue };
            count += 1;
            match &mut all {
                None => all = Some(mask),
                Some(all) => all.intersect(&mask),
            }
            if deadline.passed() {
                return;
            }
        }
        let exact = count == children.len() && !wish.scores && !wish.positions;
        if let Some(mask) = all.filter(|_| count > 1) {
            and.restrict(mask, exact);
        }
    }

    fn is_long(&self, documents: u64) -> bool {
        documents * 64 >= u64::from(self.tier.rows().len())
    }

    /// The rows of a clause that is a term with a long list, or a union of terms.
    fn mask(&self, step: &Step, deadline: &mut Deadline) -> Option<Mask> {
        let terms = match step {
            Step::Leaf { .. } => std::slice::from_ref(step),
            Step::Or { children, .. } => children,
            _ => return None,
        };
        let mut handles = Vec::with_capacity(terms.len());
        for term in terms {
            let Step::Leaf { leaf, fields, .. } = term else { return None };
            let (PieceLeaf::Term(handle), Leaf::Term(term)) =
                (&self.leaves[*leaf], &self.plan.leaves[*leaf])
            else {
                return None;
            };
            if !self.is_everywhere(term.space, *fields) {
                return None;
            }
            handles.extend(handle);
        }
        if handles.len() > UNION_MERGE_MIN {
            return None;
        }
        let mut mask = Mask::new(self.tier.rows().len());
        for handle in handles {
            self.tier.each_block(handle, &mut |rows, _| {
                mask.insert_all(rows);
                !deadline.steps_of(rows.len() as u32)
            });
        }
        Some(mask)
    }

    /// Whether it does not matter in which field a term occurs.
    fn is_everywhere(&self, space: Space, fields: FieldMask) -> bool {
        space != Space::Words || fields & self.text_fields == self.text_fields
    }

    fn leaf(
        &self,
        leaf: usize,
        fields: FieldMask,
        weight: f64,
        wish: Wish,
        deadline: &mut Deadline,
    ) -> Op<'a, T::Cursor<'a>> {
        match (&self.leaves[leaf], &self.plan.leaves[leaf]) {
            (PieceLeaf::Term(None), _) => Op::Nothing,
            (PieceLeaf::Term(Some(handle)), Leaf::Term(term)) => {
                let rarity = self.rarity(term.space, self.totals[leaf].documents);
                let is_stem = term.bytes.first() == Some(&(STEM_MARK as u8));
                deadline.take_room(Self::LIST_BYTES);
                Op::Term(self.term(handle, term.space, is_stem, fields, rarity, weight, wish))
            }
            (PieceLeaf::Shape(terms), Leaf::Shape(shape)) => {
                self.shape(leaf, shape.space, terms, fields, weight, wish, deadline)
            }
            _ => unreachable!("look_up() gives each leaf its own kind"),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call site per kind of leaf, all facts of a term"
    )]
    fn term(
        &self,
        handle: &T::Handle,
        space: Space,
        is_stem: bool,
        fields: FieldMask,
        rarity: Rarity,
        weight: f64,
        wish: Wish,
    ) -> TermOp<'a, T::Cursor<'a>> {
        let is_word = space == Space::Words;
        let everywhere = self.is_everywhere(space, fields);
        let fields = if everywhere { ALL_FIELDS } else { fields };
        let weights = self.weights.filter(|_| is_word && wish.scores);
        let weights = weights.map(|w| if is_stem { &*w.stems } else { &*w.words });
        let positions = is_word && (wish.positions || !everywhere || weights.is_some());
        let detail = match (positions, wish.scores && is_word) {
            (true, _) => Detail::Positions,
            (false, true) => Detail::Frequencies,
            (false, false) => Detail::Rows,
        };
        TermOp {
            cursor: self.tier.open(handle, detail),
            rarity,
            weight,
            fields,
            field_bits: self.tier.field_bits(),
            weights,
            buffer: Vec::new(),
        }
    }

    /// All terms of a shape. A row counts by the first of them that it has.
    #[expect(clippy::too_many_arguments, reason = "as for a term")]
    fn shape(
        &self,
        leaf: usize,
        space: Space,
        terms: &[(Vec<u8>, T::Handle)],
        fields: FieldMask,
        weight: f64,
        wish: Wish,
        deadline: &mut Deadline,
    ) -> Op<'a, T::Cursor<'a>> {
        let (totals, room) = (&self.totals[leaf].terms, deadline.room());
        let mut opened: Vec<(&[u8], TermOp<'a, T::Cursor<'a>>)> = Vec::with_capacity(terms.len());
        for (bytes, handle) in terms {
            if let Some(documents) = totals.get(bytes) {
                if deadline.take_room(Self::LIST_BYTES) {
                    break;
                }
                let rarity = self.rarity(space, *documents);
                opened.push((bytes, self.term(handle, space, false, fields, rarity, 1.0, wish)));
            }
        }
        opened.sort_unstable_by_key(|(bytes, _)| *bytes);
        if wish.positions && space == Space::Words {
            let children: Vec<_> = opened.into_iter().map(|(_, term)| Op::Term(term)).collect();
            return Op::Or(OrOp::new(children, true, weight));
        }
        // Their lists are read here and now.
        deadline.set_room(room);
        let terms = opened.into_iter().map(|(_, term)| term);
        Op::Set(merge_lists(terms, self.tier.rows().len(), weight, true, deadline))
    }

    fn or(
        &self,
        children: &'a [Step],
        weight: f64,
        wish: Wish,
        deadline: &mut Deadline,
    ) -> Op<'a, T::Cursor<'a>> {
        let mut alternatives = Vec::with_capacity(children.len());
        // Positions are those of a clause, not of its parts.
        flatten(children, !wish.positions, &mut alternatives);
        let mut ops = Vec::with_capacity(alternatives.len());
        for child in alternatives {
            let op = self.step(child, wish, deadline);
            if !matches!(op, Op::Nothing) {
                ops.push(op);
            }
            if deadline.passed() {
                break;
            }
        }
        if ops.is_empty() {
            return Op::Nothing;
        }
        let plain = |op: &Op<'_, T::Cursor<'a>>| matches!(op, Op::Term(term) if term.weight == 1.0);
        if !wish.positions && ops.len() >= UNION_MERGE_MIN && ops.iter().all(plain) {
            let terms = ops.into_iter().filter_map(|op| match op {
                Op::Term(term) => Some(term),
                _ => None,
            });
            return Op::Set(merge_lists(
                terms,
                self.tier.rows().len(),
                weight,
                !wish.scores,
                deadline,
            ));
        }
        if ops.len() == 1 && weight == 1.0 {
            return ops.remove(0);
        }
        Op::Or(OrOp::new(ops, !wish.scores && !wish.positions, weight))
    }
}

/// Those of a piece's rows whose numbers are listed, rising.
pub fn listed(numbers: impl Iterator<Item = u32>, rows: &Rows, weight: f64) -> SetOp {
    let Some((first, last)) = rows.span() else { return SetOp::default() };
    let numbers = numbers.skip_while(|number| *number < first).take_while(|number| *number <= last);
    let entries = numbers.filter_map(|number| rows.row(number)).map(|row| (row, 0, 0)).collect();
    SetOp { entries, weight, ..SetOp::default() }
}

/// The alternatives of a union, those of unions in it included.
fn flatten<'s>(children: &'s [Step], nested: bool, out: &mut Vec<&'s Step>) {
    for child in children {
        match child {
            Step::Or { children, weight: 1.0 } if nested => flatten(children, nested, out),
            _ => out.push(child),
        }
    }
}

/// The rows of several lists in one, of a piece that has `rows`.
fn merge_lists<'a, C: Cursor + 'a>(
    terms: impl Iterator<Item = TermOp<'a, C>>,
    rows: u32,
    weight: f64,
    first_only: bool,
    deadline: &mut Deadline,
) -> SetOp {
    let mut set = SetOp { weight, ..SetOp::default() };
    let mut seen = Bits::default();
    for (number, mut term) in (0u32..).zip(terms) {
        set.rarities.push(term.rarity);
        let (mut row, before) = (term.cursor.row(), set.entries.capacity());
        while row != END && !deadline.step() {
            if term.matches(row) && (!first_only || seen.insert(row)) {
                set.entries.push((row, number, term.frequency()));
            }
            row = term.cursor.advance();
        }
        let more = set.entries.capacity() - before;
        if deadline.take_room(more * size_of::<(u32, u32, u32)>()) {
            break;
        }
    }
    if first_only && set.entries.len() > rows as usize / DENSE_SHARE {
        put_in_order(&mut set.entries, &seen, rows);
    } else {
        set.entries.sort_unstable();
    }
    set
}

/// Sorts entries of different rows, which are those in `seen`.
fn put_in_order(entries: &mut Vec<(u32, u32, u32)>, seen: &Bits, rows: u32) {
    let mut places = vec![0u32; rows as usize];
    for (at, entry) in (0u32..).zip(&*entries) {
        places[entry.0 as usize] = at;
    }
    let none = Bits::default();
    let sorted = seen.since(&none).map(|row| entries[places[row as usize] as usize]);
    *entries = sorted.collect();
}
