//! How do matches get from the index into the stages?
//!
//! A batch at a time. The FILTERs and APPLYs at the beginning take it as a block; a GROUPBY or SORTBY behind them does too,
//! and for anything else rows are put together. Where a block meets an error, its rows run one by one from the beginning:
//! only so is it known which row is the first to meet one, and whether that row is reached at all.

use crate::aggregate::Row;
use crate::aggregate::block::Block;
use crate::aggregate::pipeline::{Outcome, Pipeline, Stage, run_row};
use crate::error::Error;
use crate::index::search::Leaves;
use crate::index::snapshot::Snapshot;
use crate::index::visit::{Batch, Sink, Visit};

impl Pipeline {
    /// Runs all matches through the stages that need nothing but the index.
    pub fn feed(
        &mut self,
        snapshot: &Snapshot,
        visit: &Visit<'_>,
        leaves: &Leaves,
    ) -> Result<(), Error> {
        let end = self.stages.iter().position(Stage::is_load).unwrap_or(self.stages.len());
        let is_first = |stage: &Stage| matches!(stage, Stage::Filter(_) | Stage::Apply { .. });
        let first = self.stages[..end].iter().take_while(|stage| is_first(stage)).count();
        let mut feed = Feed {
            needed: self.rows_needed(end),
            keys: end < self.stages.len(),
            pipeline: self,
            first,
            end,
            error: None,
        };
        let mut deadline = feed.pipeline.deadline;
        snapshot.visit(visit, leaves, &mut feed, &mut deadline);
        if let Some(error) = feed.error {
            return Err(error);
        }
        self.deadline = deadline;
        self.settle(end)
    }
}

/// Takes batches from the index.
struct Feed<'p> {
    pipeline: &'p mut Pipeline,
    /// The first stage that does more than filter and compute.
    first: usize,
    /// The first stage that is left for later.
    end: usize,
    /// Rows are kept with their keys.
    keys: bool,
    /// Rows that are enough, if none is dropped on the way.
    needed: usize,
    error: Option<Error>,
}

impl Feed<'_> {
    /// Takes a batch; answers whether more are wanted.
    fn take_batch(&mut self, batch: &Batch<'_, '_>) -> Result<bool, Error> {
        let pipeline = &mut *self.pipeline;
        let room = Room {
            rows: self.needed.saturating_sub(pipeline.waiting()),
            with_count: pipeline.with_count,
            keys: self.keys,
        };
        let (first, rest) = pipeline.stages[..self.end].split_at_mut(self.first);
        let mut block = Block::new(batch, &pipeline.sources);
        let (kept, left) = if block.run(first).is_err() {
            drop(block);
            let block = Block::new(batch, &pipeline.sources);
            take_rows(&block, &mut pipeline.stages[..self.end], &mut pipeline.total, room)?
        } else {
            match rest.first_mut() {
                Some(Stage::Group(grouper)) => {
                    grouper.add_block(&block)?;
                    return Ok(true);
                }
                Some(Stage::Sort(sorter)) => {
                    sorter.add_block(&block, self.keys)?;
                    pipeline.total += block.len() as u64;
                    return Ok(true);
                }
                Some(Stage::Page { limit: 0, .. }) => {
                    pipeline.total += block.len() as u64;
                    return Ok(pipeline.with_count);
                }
                _ => take_rows(&block, rest, &mut pipeline.total, room)?,
            }
        };
        kept.into_iter().try_for_each(|row| pipeline.keep(row))?;
        if left == Left::Nothing {
            self.needed = 0;
        }
        Ok(pipeline.with_count || pipeline.waiting() < self.needed)
    }
}

/// What becomes of rows that come out.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// How many are enough.
    rows: usize,
    /// All are counted, even those that nobody needs.
    with_count: bool,
    /// They are kept with their keys.
    keys: bool,
}

/// Whether any more can come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    More,
}

/// Runs the rows of a block through stages one by one; gives those that come out.
fn take_rows(
    block: &Block<'_>,
    stages: &mut [Stage],
    total: &mut u64,
    room: Room,
) -> Result<(Vec<Row<'static>>, Left), Error> {
    let mut kept = Vec::new();
    let mut left = Left::More;
    for place in 0..block.len() {
        if left == Left::Nothing || kept.len() >= room.rows {
            if room.with_count {
                *total += (block.len() - place) as u64;
            }
            break;
        }
        *total += 1;
        let mut row = Row::default();
        block.fill(place, &mut row);
        row.key = room.keys.then(|| block.key(place).into());
        let outcome = run_row(stages, total, &mut row)?;
        if matches!(outcome, Outcome::Passed | Outcome::Last) {
            kept.push(row.into_owned());
        }
        if matches!(outcome, Outcome::Last | Outcome::Stopped) {
            left = Left::Nothing;
        }
    }
    Ok((kept, left))
}

impl<'a> Sink<'a> for Feed<'_> {
    fn take(&mut self, batch: Batch<'a, '_>) -> bool {
        match self.take_batch(&batch) {
            Ok(more) => more,
            Err(error) => {
                self.error = Some(error);
                false
            }
        }
    }
}
