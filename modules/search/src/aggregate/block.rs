//! How do the rows of a batch go through FILTER and APPLY?
//!
//! Together: a block is a batch and the lanes that were computed of it. FILTER makes it narrower, APPLY adds a lane. A
//! row is only put together where a later stage needs it as one.

use std::borrow::Cow;

use crate::aggregate::Row;
use crate::aggregate::pipeline::Stage;
use crate::aggregate::sources::Source;
use crate::expression::Error;
use crate::expression::block::{Columns, Places};
use crate::expression::lane::{Lane, Numbers};
use crate::expression::value::Value;
use crate::index::nearest::Matches;
use crate::index::rows::Rows;
use crate::index::visit::Batch;
use crate::query::plan::Leaf;

/// Rows of one piece, column by column.
pub struct Block<'v> {
    rows: &'v Rows,
    matched: Cow<'v, [u32]>,
    scores: Cow<'v, [f64]>,
    terms: Cow<'v, [Vec<u16>]>,
    leaves: &'v [Leaf],
    vectors: &'v [Matches],
    sources: &'v [Option<Source>],
    /// What was computed, by slot.
    computed: Vec<(usize, Lane<'v>)>,
}

impl<'v> Block<'v> {
    /// A whole batch; `sources` are by slot.
    pub fn new(batch: &Batch<'v, 'v>, sources: &'v [Option<Source>]) -> Block<'v> {
        Block {
            rows: batch.rows,
            matched: Cow::Borrowed(batch.matched),
            scores: Cow::Borrowed(batch.scores),
            terms: Cow::Borrowed(batch.terms),
            leaves: batch.leaves,
            vectors: batch.vectors,
            sources,
            computed: Vec::new(),
        }
    }

    /// How many rows are left.
    pub fn len(&self) -> usize {
        self.matched.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.matched.is_empty()
    }

    /// The rows that are left, as a batch.
    pub fn batch(&self) -> Batch<'v, '_> {
        Batch {
            rows: self.rows,
            matched: &self.matched,
            scores: &self.scores,
            terms: &self.terms,
            leaves: self.leaves,
            vectors: self.vectors,
        }
    }

    /// Runs the rows through stages that are FILTERs and APPLYs. After an error, nothing can be said of the block.
    pub fn run(&mut self, stages: &'v [Stage]) -> Result<(), Error> {
        for stage in stages {
            if self.is_empty() {
                return Ok(());
            }
            let all = Places::All(self.len());
            match stage {
                Stage::Apply { expression, slot } => {
                    let lane = expression.evaluate_block(self, all)?.or_null();
                    self.computed.retain(|(known, _)| known != slot);
                    self.computed.push((*slot, lane));
                }
                Stage::Filter(expression) => {
                    let truths = expression.holds_block(self, all)?;
                    self.keep(&truths);
                }
                _ => unreachable!("the caller has looked"),
            }
        }
        Ok(())
    }

    /// Drops the rows for which a condition does not hold.
    fn keep(&mut self, truths: &[bool]) {
        let mut kept: Vec<u32> = vec![0; truths.len()];
        let mut count = 0;
        // Without a branch: which way it would go nobody can foresee.
        for (place, truth) in (0u32..).zip(truths) {
            kept[count] = place;
            count += usize::from(*truth);
        }
        if count == truths.len() {
            return;
        }
        kept.truncate(count);
        let all = kept.iter().map(|place| *place as usize);
        if !self.scores.is_empty() {
            self.scores = all.clone().map(|place| self.scores[place]).collect();
        }
        if !self.terms.is_empty() {
            self.terms = all.map(|place| self.terms[place].clone()).collect();
        }
        for (_, lane) in &mut self.computed {
            *lane = lane.pick(&kept);
        }
        kept.iter_mut().for_each(|place| *place = self.matched[*place as usize]);
        self.matched = Cow::Owned(kept);
    }

    /// What was computed for a slot.
    pub fn computed(&self, slot: usize) -> Option<&Lane<'v>> {
        self.computed.iter().find(|(known, _)| *known == slot).map(|(_, lane)| lane)
    }

    /// Where the index has the values of a slot that was not computed.
    pub fn source(&self, slot: usize) -> Option<&'v Source> {
        self.sources.get(slot)?.as_ref()
    }

    /// The numbers in a slot, if there is nothing else in it.
    pub fn numbers(&self, slot: usize) -> Option<Numbers> {
        self.lane(slot, Places::All(self.len())).plain_numbers(self.len()).ok()
    }

    /// The value in a slot of one row.
    #[inline]
    pub fn value(&self, slot: usize, place: usize) -> Option<Value<'_>> {
        match self.computed(slot) {
            Some(lane) => lane.get(place),
            None => self.source(slot)?.read(&self.batch(), place),
        }
    }

    /// Puts one row together, in `row`.
    pub fn fill<'r>(&'r self, place: usize, row: &mut Row<'r>) {
        row.slots.clear();
        row.slots.extend((0..self.sources.len()).map(|slot| self.value(slot, place)));
        // A slot that was made behind the sources is one of APPLY.
        for (slot, lane) in &self.computed {
            if *slot >= self.sources.len() {
                row.set(*slot, lane.get(place));
            }
        }
    }

    /// The key of one row.
    pub fn key(&self, place: usize) -> &'v [u8] {
        self.rows.key(self.matched[place])
    }
}

impl<'v> Columns<'v> for Block<'v> {
    fn lane(&self, slot: usize, places: Places<'_>) -> Lane<'v> {
        match (self.computed(slot), places) {
            (Some(lane), Places::All(_)) => lane.clone(),
            (Some(lane), Places::Some(places)) => lane.pick(places),
            (None, places) => match self.source(slot) {
                Some(source) => source.lane(&self.batch(), places),
                None => Lane::Same(None),
            },
        }
    }
}
