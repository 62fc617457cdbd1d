//! How do rows run through the stages?
//!
//! In two parts. What can be done with the index alone is done while it is held: up to the first stage that loads from
//! keys. The rest, which asks the server, runs on rows that are no longer borrowed, either at once or, for a cursor, a few
//! rows at a time.

use std::collections::VecDeque;

use crate::aggregate::Row;
use crate::aggregate::binding::{Bound, Source, is_visible};
use crate::aggregate::grouping::Grouper;
use crate::aggregate::sorting::Sorter;
use crate::error::Error;
use crate::expression::Expression;
use crate::expression::value::Value;
use crate::index::deadline::Deadline;
use crate::index::search::Leaves;
use crate::index::snapshot::Snapshot;
use crate::index::visit::{Batch, Sink, Visit};

/// One stage.
#[derive(Debug)]
pub enum Stage {
    /// Values are loaded from the key.
    Load(Load),
    /// A value is computed.
    Apply {
        /// How.
        expression: Expression,
        /// Where it goes.
        slot: usize,
    },
    /// Rows for which the condition does not hold are dropped.
    Filter(Expression),
    /// Rows are grouped.
    Group(Box<Grouper>),
    /// Rows are sorted.
    Sort(Sorter),
    /// Rows are cut.
    Page {
        /// Rows to leave out.
        offset: usize,
        /// Rows to let through; with 0 they are only counted.
        limit: usize,
        /// Rows so far.
        seen: usize,
    },
}

/// What is loaded.
#[derive(Debug)]
pub enum Load {
    /// All fields.
    All,
    /// Some of them.
    Fields(Vec<LoadField>),
}

/// A value to be loaded.
#[derive(Debug)]
pub struct LoadField {
    /// Where it goes.
    pub slot: usize,
    /// The hash field or JSON path.
    pub path: Box<[u8]>,
    /// A text that reads as a number becomes one.
    pub numeric: bool,
}

impl Stage {
    /// Whether it lets rows out only after the last has come in.
    fn is_breaker(&self) -> bool {
        matches!(self, Stage::Group(_) | Stage::Sort(_))
    }
}

/// Names by slot, which grow where all fields of a key are loaded.
#[derive(Debug, Default)]
pub struct Names(Vec<Box<[u8]>>);

impl Names {
    /// The slot of a name, new if need be.
    pub fn slot(&mut self, name: &[u8]) -> usize {
        match self.0.iter().position(|known| &**known == name) {
            Some(slot) => slot,
            None => {
                self.0.push(name.into());
                self.0.len() - 1
            }
        }
    }
}

/// Reads keys.
pub trait Loader {
    /// Loads what is asked for into a row; answers whether the key exists.
    fn load(&mut self, load: &Load, row: &mut Row<'_>, names: &mut Names) -> bool;
}

/// Stands in where nothing is loaded.
struct NoLoader;

impl Loader for NoLoader {
    fn load(&mut self, _load: &Load, _row: &mut Row<'_>, _names: &mut Names) -> bool {
        unreachable!("these stages were chosen because they load nothing")
    }
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It came out at the end.
    Passed,
    /// It came out and is the last one to do so.
    Last,
    /// It was dropped, or a stage keeps it.
    Gone,
    /// It was dropped, and all that follow would be.
    Stopped,
}

/// Stages at work.
#[derive(Debug)]
pub struct Pipeline {
    stages: Vec<Stage>,
    sources: Vec<Option<Source>>,
    names: Names,
    group_names: Option<Vec<Box<[u8]>>>,
    count_only: bool,
    /// Rows that wait in front of stage `at`.
    waiting: VecDeque<Row<'static>>,
    at: usize,
    /// Rows that came in, or groups that were made of them, less those that a filter dropped.
    total: u64,
    /// All matches are counted, even those that no stage needs.
    with_count: bool,
    deadline: Deadline,
}

impl Pipeline {
    /// Bound steps without rows.
    pub fn new(bound: Bound, with_count: bool, deadline: Deadline) -> Pipeline {
        Pipeline {
            stages: bound.stages,
            sources: bound.sources,
            names: Names(bound.names),
            group_names: bound.group_names,
            count_only: bound.count_only,
            waiting: VecDeque::new(),
            at: 0,
            total: 0,
            with_count: with_count || bound.count_only,
            deadline,
        }
    }

    /// Whether any slot has this source.
    fn wants(&self, source: &Source) -> bool {
        self.sources.iter().flatten().any(|wanted| wanted == source)
    }

    /// Whether scores are wanted.
    pub fn wants_scores(&self) -> bool {
        self.wants(&Source::Score)
    }

    /// Whether the terms are wanted that each document has.
    pub fn wants_terms(&self) -> bool {
        self.wants(&Source::Terms)
    }

    /// How many rows there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether time ran out, so that rows may be missing.
    pub fn timed_out(&self) -> bool {
        self.deadline.passed()
    }

    /// Whether rows are only counted.
    pub fn is_count_only(&self) -> bool {
        self.count_only
    }

    /// Gives each later part of the work its own time.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// The properties of a row that came out, by name.
    pub fn fields<'r>(
        &'r self,
        row: &'r Row<'static>,
    ) -> impl Iterator<Item = (&'r [u8], &'r Value<'static>)> + Clone {
        let names = self.group_names.as_ref().unwrap_or(&self.names.0);
        let fields = names.iter().zip(&row.slots);
        fields.filter_map(|(name, value)| match is_visible(name) {
            true => Some((&**name, value.as_ref()?)),
            false => None,
        })
    }

    /// Takes in rows that were found by other means, in the order in which they are to come.
    pub fn push_rows(&mut self, rows: Vec<Row<'static>>) {
        let keys = self.sources.iter().enumerate();
        let keys = keys.filter(|(_, source)| **source == Some(Source::Key));
        let keys: Vec<usize> = keys.map(|(slot, _)| slot).collect();
        self.total += rows.len() as u64;
        for mut row in rows {
            for slot in &keys {
                let key = row.key.as_deref().map(|key| Value::text(key).into_owned());
                row.set(*slot, key);
            }
            self.waiting.push_back(row);
        }
    }

    /// Whether rows have been grouped.
    pub fn is_grouped(&self) -> bool {
        self.group_names.is_some()
    }

    /// Runs all matches through the stages that need nothing but the index.
    pub fn feed(
        &mut self,
        snapshot: &Snapshot,
        visit: &Visit<'_>,
        leaves: &Leaves,
    ) -> Result<(), Error> {
        let end = self.stages.iter().position(|stage| matches!(stage, Stage::Load(_)));
        let end = end.unwrap_or(self.stages.len());
        let needed = self.rows_needed(end);
        let mut feed = Feed {
            keys: end < self.stages.len(),
            batched: batched(&self.stages[..end], &self.sources),
            slots: filled(&self.sources),
            pipeline: self,
            end,
            needed,
            row: Row::default(),
            error: None,
        };
        let mut deadline = feed.pipeline.deadline;
        snapshot.visit(visit, leaves, &mut feed, &mut deadline);
        if let Some(error) = feed.error {
            return Err(error);
        }
        self.deadline = deadline;
        self.settle(0, end, &mut NoLoader)
    }

    /// How many rows in front of stage `at` are enough, if all in front of it let every row pass.
    fn rows_needed(&self, at: usize) -> usize {
        for stage in &self.stages[at..] {
            match stage {
                Stage::Load(_) | Stage::Apply { .. } => {}
                Stage::Page { offset, limit, .. } if *limit > 0 => return offset + limit,
                _ => break,
            }
        }
        usize::MAX
    }

    /// Empties the breakers among the stages from `start` to `end`, one after the other.
    fn settle(&mut self, start: usize, end: usize, loader: &mut dyn Loader) -> Result<(), Error> {
        for at in start..end {
            if !self.stages[at].is_breaker() {
                continue;
            }
            // The stage is taken out, so that its rows can be borrowed from it while the others run.
            let done = Stage::Page { offset: 0, limit: usize::MAX, seen: 0 };
            match std::mem::replace(&mut self.stages[at], done) {
                Stage::Group(mut grouper) => {
                    self.total = grouper.len() as u64;
                    grouper.finish(|row| self.pass(at + 1, end, row, loader))?;
                }
                Stage::Sort(mut sorter) => {
                    for row in sorter.finish() {
                        if !self.pass(at + 1, end, row, loader)? {
                            break;
                        }
                    }
                }
                _ => unreachable!("there are two kinds of breakers"),
            }
        }
        self.at = end;
        Ok(())
    }

    /// Runs a row that a breaker has let out; answers whether more are wanted.
    fn pass(
        &mut self,
        start: usize,
        end: usize,
        mut row: Row<'_>,
        loader: &mut dyn Loader,
    ) -> Result<bool, Error> {
        if self.deadline.step() {
            return Ok(false);
        }
        let outcome = self.run(start, end, &mut row, loader)?;
        if matches!(outcome, Outcome::Passed | Outcome::Last) {
            self.waiting.push_back(row.into_owned());
        }
        Ok(!matches!(outcome, Outcome::Last | Outcome::Stopped))
    }

    /// The next rows that come out, at most `count`; fewer mean that there are no more.
    pub fn take(
        &mut self,
        count: usize,
        loader: &mut dyn Loader,
    ) -> Result<Vec<Row<'static>>, Error> {
        let (at, end) = (self.at, self.stages.len());
        if self.stages[at..].iter().any(Stage::is_breaker) {
            let rows = std::mem::take(&mut self.waiting);
            for mut row in rows {
                if self.deadline.step() {
                    break;
                }
                if self.run(at, end, &mut row, loader)? == Outcome::Stopped {
                    break;
                }
            }
            self.settle(at, end, loader)?;
        }
        let mut out = Vec::new();
        while out.len() < count
            && let Some(mut row) = self.waiting.pop_front()
        {
            if self.deadline.step() {
                break;
            }
            match self.run(self.at, end, &mut row, loader)? {
                Outcome::Passed => out.push(row),
                Outcome::Last => {
                    out.push(row);
                    self.waiting.clear();
                }
                Outcome::Gone => {}
                Outcome::Stopped => self.waiting.clear(),
            }
        }
        Ok(out)
    }

    /// Whether rows may still come out.
    pub fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Runs a row through the stages from `start` to `end`.
    fn run(
        &mut self,
        start: usize,
        end: usize,
        row: &mut Row<'_>,
        loader: &mut dyn Loader,
    ) -> Result<Outcome, Error> {
        let mut outcome = Outcome::Passed;
        for stage in &mut self.stages[start..end] {
            match stage {
                Stage::Load(load) => {
                    if !loader.load(load, row, &mut self.names) {
                        self.total = self.total.saturating_sub(1);
                        return Ok(Outcome::Gone);
                    }
                }
                Stage::Apply { expression, slot } => {
                    let value = expression.evaluate(row.slots.as_slice())?;
                    // Where a property is missing, the row stays and the result is NULL.
                    let value = value.unwrap_or_default().into_owned();
                    row.set(*slot, Some(value));
                }
                Stage::Filter(expression) => {
                    if !expression.holds(row.slots.as_slice())? {
                        self.total = self.total.saturating_sub(1);
                        return Ok(Outcome::Gone);
                    }
                }
                Stage::Group(grouper) => {
                    grouper.add(row)?;
                    return Ok(Outcome::Gone);
                }
                Stage::Sort(sorter) => {
                    sorter.add(row);
                    return Ok(Outcome::Gone);
                }
                Stage::Page { limit: 0, .. } => return Ok(Outcome::Gone),
                Stage::Page { offset, limit, seen } => {
                    *seen += 1;
                    if *seen <= *offset {
                        return Ok(Outcome::Gone);
                    }
                    match (*seen - *offset).cmp(limit) {
                        std::cmp::Ordering::Less => {}
                        std::cmp::Ordering::Equal => outcome = Outcome::Last,
                        std::cmp::Ordering::Greater => return Ok(Outcome::Stopped),
                    }
                }
            }
        }
        Ok(outcome)
    }
}

/// Whether the first stage is a grouping that finds all it looks at in the index.
fn batched(stages: &[Stage], sources: &[Option<Source>]) -> bool {
    match stages.first() {
        Some(Stage::Group(grouper)) => {
            grouper.slots().all(|slot| sources.get(slot).is_some_and(Option::is_some))
        }
        _ => false,
    }
}

/// The slots that the index fills.
fn filled(sources: &[Option<Source>]) -> Vec<(usize, Source)> {
    let filled = sources.iter().enumerate();
    filled.filter_map(|(slot, source)| Some((slot, source.clone()?))).collect()
}

/// Takes batches from the index.
struct Feed<'p, 'a> {
    pipeline: &'p mut Pipeline,
    /// The first stage that is left for later.
    end: usize,
    /// Rows are kept with their keys.
    keys: bool,
    /// Batches go into the first stage as they are.
    batched: bool,
    slots: Vec<(usize, Source)>,
    /// Rows that are enough, if none is dropped on the way.
    needed: usize,
    row: Row<'a>,
    error: Option<Error>,
}

impl<'a> Feed<'_, 'a> {
    fn take_batch(&mut self, batch: Batch<'a, '_>) -> Result<bool, Error> {
        if self.batched
            && let Some(Stage::Group(grouper)) = self.pipeline.stages.first_mut()
        {
            grouper.add_batch(&batch, &self.pipeline.sources)?;
            return Ok(true);
        }
        for place in 0..batch.matched.len() {
            if self.pipeline.waiting.len() >= self.needed {
                if self.pipeline.with_count {
                    self.pipeline.total += (batch.matched.len() - place) as u64;
                }
                return Ok(self.pipeline.with_count);
            }
            self.pipeline.total += 1;
            if !self.take_row(&batch, place)? {
                self.needed = 0;
                if !self.pipeline.with_count {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Runs a row through; answers whether more are wanted.
    fn take_row(&mut self, batch: &Batch<'a, '_>, place: usize) -> Result<bool, Error> {
        // Slots that no column fills are those of APPLY, which fills them in every row.
        self.row.slots.resize(self.pipeline.sources.len(), None);
        for (slot, source) in &self.slots {
            self.row.slots[*slot] = source.read(batch, place);
        }
        if self.keys {
            self.row.key = Some(batch.rows.key(batch.matched[place]).into());
        }
        let outcome = self.pipeline.run(0, self.end, &mut self.row, &mut NoLoader)?;
        if matches!(outcome, Outcome::Passed | Outcome::Last) {
            self.pipeline.waiting.push_back(self.row.clone().into_owned());
        }
        Ok(!matches!(outcome, Outcome::Last | Outcome::Stopped))
    }
}

impl<'a> Sink<'a> for Feed<'_, 'a> {
    fn take(&mut self, batch: Batch<'a, '_>) -> bool {
        match self.take_batch(batch) {
            Ok(more) => more && (self.pipeline.with_count || self.has_room()),
            Err(error) => {
                self.error = Some(error);
                false
            }
        }
    }
}

impl Feed<'_, '_> {
    fn has_room(&self) -> bool {
        self.pipeline.waiting.len() < self.needed
    }
}
