//! Does a row match, and what does it score?
//!
//! A plan is opened on one piece of the index as a tree of operators. `next` gives the next row that may match, a
//! lower bound that skips as far as the posting lists tell; `matches` decides for one row; `score` and `positions`
//! speak about the row that was decided last. Rows are asked for in rising order only. The same code runs over both
//! tiers, so they cannot disagree.

use crate::columns::Column;
use crate::index::bits::Mask;
use crate::index::profile::Watched;
use crate::index::proximity::{close_in_any_order, close_in_order, least_gap};
use crate::index::tier::{Cursor, END};
use crate::query::ast::Range;
use crate::query::nested::Test;
use crate::query::plan::Proximity;
use crate::schema::{ALL_FIELDS, FieldMask};
use crate::score::{Rarity, Scoring};

/// One operator of an opened plan.
pub enum Op<'a, C> {
    /// Nothing matches.
    Nothing,
    /// Every row matches.
    All {
        /// Factor of the score.
        weight: f64,
    },
    /// Rows with a term.
    Term(TermOp<'a, C>),
    /// Rows of a list that was worked out beforehand.
    Set(SetOp),
    /// Rows that match all.
    And(AndOp<'a, C>),
    /// Rows that match any.
    Or(OrOp<'a, C>),
    /// Rows that do not match.
    Not(Box<Op<'a, C>>),
    /// All rows, better if they match.
    Optional {
        /// What they may match.
        child: Box<Op<'a, C>>,
        /// Whether the current row does.
        matched: bool,
        /// Factor of the score.
        weight: f64,
    },
    /// Rows with a number in an interval.
    Range {
        /// The numbers; none if the piece is older than the field.
        column: Option<&'a Column>,
        /// The interval.
        range: Range,
        /// Number of rows.
        rows: u32,
        /// Factor of the score.
        weight: f64,
    },
    /// Rows of which one element of a NESTED field passes a test.
    Nested {
        /// The rows that may have one.
        child: Box<Op<'a, C>>,
        /// Their elements; none if the piece is older than the field.
        column: Option<&'a Column>,
        /// The test.
        test: &'a Test,
        /// Factor of the score, which is the child's.
        weight: f64,
    },
    /// An operator that is measured.
    Watched(Box<Watched<'a, C>>),
}

/// Rows with a term.
pub struct TermOp<'a, C> {
    /// The posting list.
    pub cursor: C,
    /// How rare the term is.
    pub rarity: Rarity,
    /// Factor of the score.
    pub weight: f64,
    /// TEXT fields in which it must occur.
    pub fields: FieldMask,
    /// Low bits of a position that tell the field.
    pub field_bits: u32,
    /// How often an occurrence counts, by field; none while that is once everywhere.
    pub weights: Option<&'a [u32]>,
    /// The positions of the current row, once they have been read.
    pub buffer: Vec<u32>,
}

impl<C: Cursor> TermOp<'_, C> {
    /// Whether the term occurs in `row`, in a wanted field.
    pub fn matches(&mut self, row: u32) -> bool {
        if self.cursor.seek(row) != row {
            return false;
        }
        if self.fields == ALL_FIELDS {
            return true;
        }
        self.buffer.clear();
        self.cursor.positions(&mut self.buffer);
        let mask = (1u32 << self.field_bits) - 1;
        self.buffer.iter().any(|encoded| self.fields >> (encoded & mask) & 1 == 1)
    }

    /// Whether every row of the list matches.
    pub fn is_plain(&self) -> bool {
        self.fields == ALL_FIELDS
    }

    /// How often the term counts in the current row: in all fields, also those that the clause does not name.
    pub fn frequency(&mut self) -> u32 {
        let Some(weights) = self.weights else { return self.cursor.frequency() };
        self.buffer.clear();
        self.cursor.positions(&mut self.buffer);
        let mask = (1u32 << self.field_bits) - 1;
        let fields = self.buffer.iter().map(|encoded| (encoded & mask) as usize);
        // A field that is younger than the weights weighs 1.
        fields.map(|field| weights.get(field).copied().unwrap_or(1)).fold(0, u32::saturating_add)
    }

    fn positions(&mut self, out: &mut Vec<u32>) {
        self.buffer.clear();
        self.cursor.positions(&mut self.buffer);
        let mask = (1u32 << self.field_bits) - 1;
        let wanted =
            self.buffer.iter().filter(|encoded| self.fields >> (**encoded & mask) & 1 == 1);
        out.extend(wanted.map(|encoded| encoded >> self.field_bits));
    }
}

/// Rows that were worked out beforehand: of all terms of a shape, or of a list of documents.
#[derive(Default)]
pub struct SetOp {
    /// Row, number of the term, frequency; sorted. Several entries of a row add up.
    pub entries: Vec<(u32, u32, u32)>,
    /// How rare the terms are.
    pub rarities: Vec<Rarity>,
    /// Factor of the score.
    pub weight: f64,
    /// Entry of the current row.
    pub at: usize,
}

impl SetOp {
    /// Whether a row is listed. Rows are asked for in rising order.
    pub fn contains(&mut self, row: u32) -> bool {
        self.seek(row) == row
    }

    fn seek(&mut self, target: u32) -> u32 {
        let rest = &self.entries[self.at..];
        if rest.first().is_some_and(|entry| entry.0 < target) {
            // Gallop: the wanted row is mostly near.
            let mut reach = 1;
            while rest.get(reach).is_some_and(|entry| entry.0 < target) {
                reach *= 2;
            }
            let end = rest.len().min(reach + 1);
            self.at += rest[..end].partition_point(|entry| entry.0 < target);
        }
        self.entries.get(self.at).map_or(END, |entry| entry.0)
    }

    fn score(&self, scoring: &Scoring) -> f64 {
        let rest = &self.entries[self.at..];
        if self.rarities.is_empty() {
            // A list of documents has no terms: places, or keys.
            return scoring.valueless(self.weight);
        }
        let row = rest.first().map_or(END, |entry| entry.0);
        let mut sum = 0.0;
        for (_, term, frequency) in rest.iter().take_while(|entry| entry.0 == row) {
            let rarity = self.rarities[*term as usize];
            sum = scoring.join(sum, scoring.term(rarity, *frequency, 1.0));
        }
        sum * self.weight
    }
}

/// Rows that match all.
pub struct AndOp<'a, C> {
    /// The clauses, in the order of the query.
    pub children: Vec<Op<'a, C>>,
    /// Which clause is asked first for candidates, and in which order the others decide: the rarest first.
    pub order: Vec<usize>,
    /// Rows that are in the long lists of all clauses that have one, if that was worked out beforehand.
    mask: Option<Mask>,
    /// What is in `mask` matches: nothing else need be looked at.
    exact: bool,
    /// How their words must stand.
    pub proximity: Option<Proximity>,
    /// Factor of the score.
    pub weight: f64,
    /// Positions by clause.
    buffers: Vec<Vec<u32>>,
    /// Which clauses have positions, and how far each list has been read.
    reading: Vec<(usize, usize)>,
}

impl<'a, C: Cursor> AndOp<'a, C> {
    /// An intersection of these.
    pub fn new(children: Vec<Op<'a, C>>, proximity: Option<Proximity>, weight: f64) -> Self {
        let mut order: Vec<usize> = (0..children.len()).collect();
        order.sort_by_key(|at| children[*at].cost());
        let buffers = children.iter().map(|_| Vec::new()).collect();
        let (mask, exact, reading) = (None, false, Vec::new());
        AndOp { children, order, mask, exact, proximity, weight, buffers, reading }
    }

    /// Only rows in `mask` match; if it is `exact`, all of them do.
    pub fn restrict(&mut self, mask: Mask, exact: bool) {
        self.mask = Some(mask);
        self.exact = exact;
    }

    fn next(&mut self, from: u32) -> u32 {
        if let Some(mask) = &self.mask {
            return mask.next(from).unwrap_or(END);
        }
        let mut candidate = from;
        // Each clause may push the candidate on; after a push the round starts again.
        'round: loop {
            for (rank, at) in self.order.iter().enumerate() {
                let child = &mut self.children[*at];
                if rank > 0 && !child.skips() {
                    continue;
                }
                let next = child.next(candidate);
                if next == END {
                    return END;
                }
                if next > candidate {
                    candidate = next;
                    if rank > 0 {
                        continue 'round;
                    }
                }
            }
            return candidate;
        }
    }

    fn matches(&mut self, row: u32) -> bool {
        if let Some(mask) = &self.mask {
            let is_in = mask.next(row) == Some(row);
            if self.exact || !is_in {
                return is_in;
            }
        }
        for at in &self.order {
            if !self.children[*at].matches(row) {
                return false;
            }
        }
        self.proximity.is_none_or(|proximity| self.stand_close(proximity))
    }

    fn stand_close(&mut self, proximity: Proximity) -> bool {
        self.reading.clear();
        for (at, child) in self.children.iter_mut().enumerate() {
            let buffer = &mut self.buffers[at];
            buffer.clear();
            child.positions(buffer);
            if !buffer.is_empty() {
                self.reading.push((at, 0));
            }
        }
        let (lists, reading) = (&self.buffers, &mut self.reading);
        reading.len() <= 1
            || match proximity.in_order {
                true => close_in_order(lists, reading, proximity.slop),
                false => close_in_any_order(lists, reading, proximity.slop.unwrap_or(u32::MAX)),
            }
    }
}

/// Rows that match any.
pub struct OrOp<'a, C> {
    /// The clauses.
    pub children: Vec<Op<'a, C>>,
    /// Which of them the current row matches.
    pub matched: Vec<bool>,
    /// For each of them a row before which it matches none, as far as it has been asked. Without these, a clause that
    /// looks far ahead would do so again for every row.
    pub nexts: Vec<u32>,
    /// Only the first clause that matches is asked for: the others add nothing.
    pub first_only: bool,
    /// Factor of the score.
    pub weight: f64,
}

impl<'a, C: Cursor> OrOp<'a, C> {
    /// A union of these.
    pub fn new(children: Vec<Op<'a, C>>, first_only: bool, weight: f64) -> Self {
        let (matched, nexts) = (vec![false; children.len()], vec![0; children.len()]);
        OrOp { children, matched, nexts, first_only, weight }
    }

    fn next(&mut self, from: u32) -> u32 {
        let mut least = END;
        for (child, next) in self.children.iter_mut().zip(&mut self.nexts) {
            if *next < from {
                *next = child.next(from);
            }
            least = least.min(*next);
        }
        // Before anything has been asked the bounds are all 0.
        least.max(from)
    }

    fn matches(&mut self, row: u32) -> bool {
        let mut any = false;
        self.matched.fill(false);
        let children = self.children.iter_mut().zip(&mut self.matched);
        for ((child, matched), next) in children.zip(&self.nexts) {
            *matched = *next <= row && child.matches(row);
            any |= *matched;
            if any && self.first_only {
                return true;
            }
        }
        any
    }
}

impl<C: Cursor> Op<'_, C> {
    /// A lower bound of the next row from `from` on that matches; [`END`] if there is none.
    pub fn next(&mut self, from: u32) -> u32 {
        match self {
            Op::Nothing => END,
            Op::All { .. } | Op::Not(_) | Op::Optional { .. } => from,
            Op::Term(term) => term.cursor.seek(from),
            Op::Set(set) => set.seek(from),
            Op::And(and) => and.next(from),
            Op::Or(or) => or.next(from),
            Op::Nested { child, .. } => child.next(from),
            Op::Watched(watched) => watched.timed(|op| op.next(from)),
            Op::Range { column, range, rows, .. } => match column {
                Some(Column::Numbers(numbers)) if from < *rows => {
                    numbers.next_match(from, *rows, range).unwrap_or(END)
                }
                _ => END,
            },
        }
    }

    /// Whether `row` matches. Rows are asked for in rising order.
    pub fn matches(&mut self, row: u32) -> bool {
        match self {
            Op::Nothing => false,
            Op::All { .. } => true,
            Op::Term(term) => term.matches(row),
            Op::Set(set) => set.seek(row) == row,
            Op::And(and) => and.matches(row),
            Op::Or(or) => or.matches(row),
            Op::Not(child) => !child.matches(row),
            Op::Nested { child, column, test, .. } => {
                child.matches(row)
                    && match column {
                        Some(Column::Texts(elements)) => {
                            elements.get(row).is_some_and(|elements| test.passes_any(elements))
                        }
                        _ => false,
                    }
            }
            Op::Optional { child, matched, .. } => {
                *matched = child.matches(row);
                true
            }
            Op::Watched(watched) => {
                let matched = watched.timed(|op| op.matches(row));
                watched.count(matched);
                matched
            }
            Op::Range { column, range, .. } => match column {
                Some(Column::Numbers(numbers)) => numbers.matches(row, range),
                _ => false,
            },
        }
    }

    /// What the row that matched last scores.
    pub fn score(&mut self, scoring: &Scoring) -> f64 {
        match self {
            Op::Nothing | Op::Not(_) => 0.0,
            Op::All { weight } => scoring.everything(*weight),
            Op::Term(term) => {
                let frequency = term.frequency();
                scoring.term(term.rarity, frequency, term.weight)
            }
            Op::Set(set) => set.score(scoring),
            Op::And(and) => {
                let scores = and.children.iter_mut().map(|child| child.score(scoring));
                scores.sum::<f64>() * and.weight
            }
            Op::Or(or) => {
                let matched = or.children.iter_mut().zip(&or.matched).filter(|(_, m)| **m);
                let scores = matched.map(|(child, _)| child.score(scoring));
                scores.fold(0.0, |sum, score| scoring.join(sum, score)) * or.weight
            }
            Op::Optional { child, matched: true, weight } | Op::Nested { child, weight, .. } => {
                child.score(scoring) * *weight
            }
            Op::Optional { matched: false, .. } => 0.0,
            Op::Range { weight, .. } => scoring.valueless(*weight),
            Op::Watched(watched) => watched.timed(|op| op.score(scoring)),
        }
    }

    /// Appends the positions of the words by which the last row matched, rising.
    pub fn positions(&mut self, out: &mut Vec<u32>) {
        let start = out.len();
        match self {
            Op::Nothing | Op::All { .. } | Op::Not(_) | Op::Range { .. } | Op::Set(_) => return,
            // Where words stand in an element has been looked at.
            Op::Nested { .. } => return,
            Op::Term(term) => return term.positions(out),
            Op::Watched(watched) => return watched.op_mut().positions(out),
            Op::And(and) => and.children.iter_mut().for_each(|child| child.positions(out)),
            Op::Or(or) => {
                let matched = or.children.iter_mut().zip(&or.matched).filter(|(_, m)| **m);
                matched.for_each(|(child, _)| child.positions(out));
            }
            Op::Optional { child, matched, .. } => {
                if *matched {
                    child.positions(out);
                }
                return;
            }
        }
        // A word and its stem stand at one position.
        out[start..].sort_unstable();
        let mut kept = start;
        for at in start..out.len() {
            if kept == start || out[at] != out[kept - 1] {
                out[kept] = out[at];
                kept += 1;
            }
        }
        out.truncate(kept);
    }

    /// How far apart the words of the last row stand, as the old formulas measure it.
    pub fn distance(&mut self) -> u32 {
        let children = match self {
            Op::Watched(watched) => return watched.op_mut().distance(),
            Op::And(and) => {
                let children = and.children.iter_mut();
                children.map(positions_of).collect::<Vec<_>>()
            }
            Op::Or(or) => {
                let matched = or.children.iter_mut().zip(&or.matched).filter(|(_, m)| **m);
                matched.map(|(child, _)| positions_of(child)).collect()
            }
            _ => return 1,
        };
        if children.len() <= 1 {
            return 1;
        }
        let with_words: Vec<&Vec<u32>> = children.iter().filter(|list| !list.is_empty()).collect();
        let squares = with_words.windows(2).map(|pair| {
            let gap = u64::from(least_gap(pair[0], pair[1]));
            gap * gap
        });
        match (squares.sum::<u64>() as f64).sqrt() as u32 {
            0 => u32::try_from(children.len() - 1).unwrap_or(u32::MAX),
            distance => distance,
        }
    }

    /// About how many rows `next` will stop at.
    pub fn cost(&self) -> u32 {
        match self {
            Op::Nothing => 0,
            Op::Watched(watched) => watched.op().cost(),
            Op::Nested { child, .. } => child.cost(),
            Op::Term(term) => term.cursor.documents(),
            Op::Set(set) => u32::try_from(set.entries.len()).unwrap_or(END),
            Op::And(and) => and.children.iter().map(Op::cost).min().unwrap_or(0),
            Op::Or(or) => or.children.iter().map(Op::cost).fold(0, u32::saturating_add),
            // Walking the column costs about as much as a list of a tenth of the rows.
            Op::Range { rows, .. } => rows / 8,
            Op::All { .. } | Op::Not(_) | Op::Optional { .. } => END,
        }
    }

    /// How many operators there are.
    pub fn width(&self) -> u32 {
        match self {
            Op::And(and) => and.children.iter().map(Op::width).fold(1, u32::saturating_add),
            Op::Or(or) => or.children.iter().map(Op::width).fold(1, u32::saturating_add),
            Op::Not(child) | Op::Optional { child, .. } | Op::Nested { child, .. } => {
                child.width().saturating_add(1)
            }
            _ => 1,
        }
    }

    /// Whether `next` skips cheaply, rather than look at row after row.
    fn skips(&self) -> bool {
        match self {
            Op::Nothing | Op::Term(_) | Op::Set(_) => true,
            Op::Watched(watched) => watched.op().skips(),
            Op::Nested { child, .. } => child.skips(),
            Op::And(and) => and.children.iter().any(Op::skips),
            Op::Or(or) => or.children.iter().all(Op::skips),
            Op::All { .. } | Op::Not(_) | Op::Optional { .. } | Op::Range { .. } => false,
        }
    }
}

fn positions_of<C: Cursor>(op: &mut Op<'_, C>) -> Vec<u32> {
    let mut positions = Vec::new();
    op.positions(&mut positions);
    positions
}
