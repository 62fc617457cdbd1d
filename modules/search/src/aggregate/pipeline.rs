//! How do rows run through the stages?
//!
//! In two parts. What can be done with the index alone is done first, in blocks (`feeding`): up to the first stage that
//! loads from keys. The rest runs on rows that are no longer borrowed, some at a time, so that whoever loads can let others
//! in between; for a cursor it stops when there are enough.
//!
//! Groups stay where they are until somebody takes them: a row is made of each only while it is looked at.

use std::collections::VecDeque;
use std::ops::Range;

use crate::aggregate::binding::{Bound, is_visible};
use crate::aggregate::grouping::Grouper;
use crate::aggregate::sorting::Sorter;
use crate::aggregate::sources::Source;
use crate::aggregate::{Limits, Row};
use crate::error::Error;
use crate::expression::Expression;
use crate::expression::value::Value;
use crate::index::deadline::Deadline;

/// Rows that run through the stages together where keys are read: what one call of a [`Loader`] gets.
pub const SLICE_ROWS: usize = 1024;

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
    pub(super) fn is_breaker(&self) -> bool {
        matches!(self, Stage::Group(_) | Stage::Sort(_))
    }

    /// Whether it reads keys.
    pub(super) fn is_load(&self) -> bool {
        matches!(self, Stage::Load(_))
    }

    fn is_page(&self) -> bool {
        matches!(self, Stage::Page { .. })
    }

    /// Cuts a range of rows.
    fn cut(&self, rows: &mut Range<u32>) {
        let Stage::Page { offset, limit, .. } = self else { unreachable!("only pages cut") };
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        rows.start = rows.start.saturating_add(small(*offset)).min(rows.end);
        rows.end = rows.start.saturating_add(small(*limit)).min(rows.end);
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
    /// Loads what is asked for into some rows, at most [`SLICE_ROWS`]; answers of each whether its key exists.
    fn load(
        &mut self,
        load: &Load,
        rows: &mut [Row<'static>],
        names: &mut Names,
    ) -> Result<Vec<bool>, Error>;
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It came out at the end.
    Passed,
    /// It came out and is the last one to do so.
    Last,
    /// It was dropped, or a stage keeps it.
    Gone,
    /// It was dropped, and all that follow would be.
    Stopped,
}

/// Rows that wait in front of a stage.
#[derive(Debug)]
enum Waiting {
    Rows(VecDeque<Row<'static>>),
    Groups(Box<Grouper>, Range<u32>),
}

/// Rows that have come out.
#[derive(Debug)]
pub enum Taken {
    /// These.
    Rows(Vec<Row<'static>>),
    /// Groups as they are, by number.
    Groups(Range<u32>),
}

impl Taken {
    /// How many they are.
    pub fn len(&self) -> usize {
        match self {
            Taken::Rows(rows) => rows.len(),
            Taken::Groups(groups) => groups.len(),
        }
    }

    /// Whether they are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Stages at work.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) stages: Vec<Stage>,
    pub(super) sources: Vec<Option<Source>>,
    names: Names,
    group_names: Option<Vec<Box<[u8]>>>,
    count_only: bool,
    waiting: Waiting,
    /// The stage that those who wait are in front of.
    pub(super) at: usize,
    /// Bytes that rows which wait take.
    waiting_bytes: usize,
    limits: Limits,
    /// Rows that came in, or groups that were made of them, less those that a filter dropped.
    pub(super) total: u64,
    /// All matches are counted, even those that no stage needs.
    pub(super) with_count: bool,
    pub(super) deadline: Deadline,
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
            waiting: Waiting::Rows(VecDeque::new()),
            at: 0,
            waiting_bytes: 0,
            limits: bound.limits,
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
        row: &'r Row<'r>,
    ) -> impl Iterator<Item = (&'r [u8], &'r Value<'r>)> + Clone {
        let names = self.group_names.as_ref().unwrap_or(&self.names.0);
        let fields = names.iter().zip(&row.slots);
        fields.filter_map(|(name, value)| match is_visible(name) {
            true => Some((&**name, value.as_ref()?)),
            false => None,
        })
    }

    /// Gives `job` all rows of some that came out.
    pub fn each_row(&self, taken: &Taken, mut job: impl FnMut(&Row<'_>)) {
        match (taken, &self.waiting) {
            (Taken::Rows(rows), _) => rows.iter().for_each(job),
            (Taken::Groups(groups), Waiting::Groups(grouper, _)) => {
                let mut row = Row::default();
                for group in groups.clone() {
                    grouper.fill(group, &mut row);
                    job(&row);
                }
            }
            (Taken::Groups(_), Waiting::Rows(_)) => unreachable!("groups stay where they are"),
        }
    }

    /// Takes in rows that were found by other means, in the order in which they are to come.
    pub fn push_rows(&mut self, rows: Vec<Row<'static>>) -> Result<(), Error> {
        let keys = self.sources.iter().enumerate();
        let keys = keys.filter(|(_, source)| **source == Some(Source::Key));
        let keys: Vec<usize> = keys.map(|(slot, _)| slot).collect();
        self.total += rows.len() as u64;
        for mut row in rows {
            for slot in &keys {
                let key = row.key.as_deref().map(|key| Value::text(key).into_owned());
                row.set(*slot, key);
            }
            self.keep(row)?;
        }
        Ok(())
    }

    /// Has a row wait behind those that already do.
    pub(super) fn keep(&mut self, row: Row<'static>) -> Result<(), Error> {
        let Waiting::Rows(rows) = &mut self.waiting else {
            unreachable!("groups wait alone, behind the stage that made them");
        };
        self.waiting_bytes += row.memory();
        rows.push_back(row);
        self.limits.check(self.waiting_bytes)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        match &self.waiting {
            Waiting::Rows(rows) => rows.len(),
            Waiting::Groups(_, groups) => groups.len(),
        }
    }

    /// Bytes that those who wait take, about.
    pub fn memory(&self) -> usize {
        match &self.waiting {
            Waiting::Rows(_) => self.waiting_bytes,
            Waiting::Groups(grouper, _) => grouper.memory(),
        }
    }

    /// How many keys have to be read before `count` rows can come out, if none is dropped on the way.
    pub fn loads(&self, count: usize) -> usize {
        let Some(load) = self.stages[self.at..].iter().position(Stage::is_load) else { return 0 };
        let breaks = self.stages[self.at + load..].iter().any(Stage::is_breaker);
        if breaks { self.waiting() } else { self.waiting().min(count) }
    }

    /// How many rows come out at most, if `count` are wanted.
    pub fn rows_max(&self, count: usize) -> usize {
        self.waiting().min(self.rows_needed(self.at)).min(count)
    }

    /// Whether rows have been grouped.
    pub fn is_grouped(&self) -> bool {
        self.group_names.is_some()
    }

    /// How many rows in front of stage `at` are enough, if all in front of it let every row pass.
    pub(super) fn rows_needed(&self, at: usize) -> usize {
        for stage in &self.stages[at..] {
            match stage {
                Stage::Load(_) | Stage::Apply { .. } => {}
                Stage::Page { offset, limit, .. } if *limit > 0 => return offset + limit,
                _ => break,
            }
        }
        usize::MAX
    }

    /// All rows are through the stages in front of `end`, which is the first that reads keys. What breakers among these
    /// and behind them hold comes out, as far as no key has to be read for it.
    pub(super) fn settle(&mut self, end: usize) -> Result<(), Error> {
        match self.stages[..end].iter().position(Stage::is_breaker) {
            None => self.at = end,
            Some(breaker) => self.release(breaker),
        }
        while let Some(breaker) = self.next_breaker()
            && !self.stages[self.at..breaker].iter().any(Stage::is_load)
        {
            self.run_groups(breaker + 1, usize::MAX, &mut Vec::new())?;
            self.run_rows(breaker + 1, usize::MAX, &mut Vec::new(), &mut NoLoader)?;
            self.release(breaker);
        }
        Ok(())
    }

    fn next_breaker(&self) -> Option<usize> {
        Some(self.at + self.stages[self.at..].iter().position(Stage::is_breaker)?)
    }

    /// What a breaker holds waits behind it.
    fn release(&mut self, breaker: usize) {
        let done = Stage::Page { offset: 0, limit: usize::MAX, seen: 0 };
        self.at = breaker + 1;
        self.waiting_bytes = 0;
        match std::mem::replace(&mut self.stages[breaker], done) {
            Stage::Group(grouper) => {
                self.total = grouper.len() as u64;
                let mut groups = 0..u32::try_from(grouper.len()).expect("rows are 32-bit");
                if self.stages[self.at..].iter().all(Stage::is_page) {
                    self.stages.drain(self.at..).for_each(|page| page.cut(&mut groups));
                }
                self.waiting = Waiting::Groups(grouper, groups);
            }
            Stage::Sort(mut sorter) => {
                let rows = sorter.finish();
                self.waiting_bytes = rows.iter().map(Row::memory).sum();
                self.waiting = Waiting::Rows(rows.into());
            }
            _ => unreachable!("there are two kinds of breakers"),
        }
    }

    /// The next rows that come out, at most `count`; fewer mean that there are no more.
    pub fn take(&mut self, count: usize, loader: &mut dyn Loader) -> Result<Taken, Error> {
        while let Some(breaker) = self.next_breaker() {
            self.run_groups(breaker + 1, usize::MAX, &mut Vec::new())?;
            self.run_rows(breaker + 1, usize::MAX, &mut Vec::new(), loader)?;
            self.release(breaker);
        }
        if let Waiting::Groups(_, groups) = &mut self.waiting
            && self.at == self.stages.len()
        {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let end = groups.start.saturating_add(count).min(groups.end);
            let taken = groups.start..end;
            groups.start = end;
            return Ok(Taken::Groups(taken));
        }
        let mut out = Vec::new();
        self.run_groups(self.stages.len(), count, &mut out)?;
        self.run_rows(self.stages.len(), count, &mut out, loader)?;
        Ok(Taken::Rows(out))
    }

    /// Whether rows may still come out.
    pub fn has_more(&self) -> bool {
        self.waiting() > 0
    }

    /// Nobody waits any more.
    fn clear(&mut self) {
        self.waiting_bytes = 0;
        match &mut self.waiting {
            Waiting::Rows(rows) => rows.clear(),
            Waiting::Groups(_, groups) => groups.start = groups.end,
        }
    }

    /// Runs groups that wait through the stages up to `end`, until `count` rows have come out. None of these stages reads
    /// keys: behind a grouping there is no LOAD.
    fn run_groups(
        &mut self,
        end: usize,
        count: usize,
        out: &mut Vec<Row<'static>>,
    ) -> Result<(), Error> {
        if let Waiting::Rows(_) = &self.waiting {
            return Ok(());
        }
        let nothing = Waiting::Rows(VecDeque::new());
        let Waiting::Groups(grouper, mut groups) = std::mem::replace(&mut self.waiting, nothing)
        else {
            unreachable!("just looked at");
        };
        let (mut bytes, mut row) = (0, Row::default());
        while out.len() < count
            && let Some(group) = groups.next()
        {
            if self.deadline.step() {
                groups.start = groups.end;
                break;
            }
            grouper.fill(group, &mut row);
            let outcome = run_row(&mut self.stages[self.at..end], &mut self.total, &mut row)?;
            if matches!(outcome, Outcome::Passed | Outcome::Last) {
                bytes += row.memory();
                self.limits.check(bytes)?;
                out.push(row.clone().into_owned());
            }
            if matches!(outcome, Outcome::Last | Outcome::Stopped) {
                groups.start = groups.end;
            }
        }
        self.waiting = Waiting::Groups(grouper, groups);
        Ok(())
    }

    /// Runs rows that wait through the stages up to `end`, until `count` have come out.
    fn run_rows(
        &mut self,
        end: usize,
        count: usize,
        out: &mut Vec<Row<'static>>,
        loader: &mut dyn Loader,
    ) -> Result<(), Error> {
        let mut bytes = 0;
        while out.len() < count {
            let Waiting::Rows(rows) = &mut self.waiting else { return Ok(()) };
            let size = rows.len().min(SLICE_ROWS).min(count - out.len());
            if size == 0 {
                break;
            }
            let slice: Vec<Row<'static>> = rows.drain(..size).collect();
            self.waiting_bytes -= slice.iter().map(Row::memory).sum::<usize>();
            let passed = self.run_slice(end, slice, loader)?;
            bytes += passed.iter().map(Row::memory).sum::<usize>();
            self.limits.check(bytes)?;
            out.extend(passed);
        }
        Ok(())
    }

    /// Runs rows through the stages up to `end`, all of them through those in front of a stage that reads keys before any
    /// is read.
    fn run_slice(
        &mut self,
        end: usize,
        mut rows: Vec<Row<'static>>,
        loader: &mut dyn Loader,
    ) -> Result<Vec<Row<'static>>, Error> {
        let mut start = self.at;
        while start < end && !rows.is_empty() {
            if let Stage::Load(load) = &self.stages[start] {
                let exist = loader.load(load, &mut rows, &mut self.names)?;
                let before = rows.len();
                let mut exist = exist.into_iter();
                rows.retain(|_| exist.next().unwrap_or(false));
                self.total = self.total.saturating_sub((before - rows.len()) as u64);
                start += 1;
                continue;
            }
            let load = self.stages[start..end].iter().position(Stage::is_load);
            let stop = load.map_or(end, |at| start + at);
            let mut passed = Vec::with_capacity(rows.len());
            for mut row in rows {
                if self.deadline.step() {
                    self.clear();
                    break;
                }
                let outcome = run_row(&mut self.stages[start..stop], &mut self.total, &mut row)?;
                if matches!(outcome, Outcome::Passed | Outcome::Last) {
                    passed.push(row);
                }
                if matches!(outcome, Outcome::Last | Outcome::Stopped) {
                    self.clear();
                    break;
                }
            }
            (rows, start) = (passed, stop);
        }
        Ok(rows)
    }
}

/// Runs a row through stages none of which reads keys; takes it out of the total if it is dropped.
pub(super) fn run_row(
    stages: &mut [Stage],
    total: &mut u64,
    row: &mut Row<'_>,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome::Passed;
    for stage in stages {
        match stage {
            Stage::Load(_) => unreachable!("these stages were chosen because they load nothing"),
            Stage::Apply { expression, slot } => {
                let value = expression.evaluate(row.slots.as_slice())?;
                // Where a property is missing, the row stays and the result is NULL.
                let value = value.unwrap_or_default().into_owned();
                row.set(*slot, Some(value));
            }
            Stage::Filter(expression) => {
                if !expression.holds(row.slots.as_slice())? {
                    *total = total.saturating_sub(1);
                    return Ok(Outcome::Gone);
                }
            }
            Stage::Group(grouper) => {
                grouper.add(row)?;
                return Ok(Outcome::Gone);
            }
            Stage::Sort(sorter) => {
                sorter.add(row)?;
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

/// Stands in where nothing is loaded.
struct NoLoader;

impl Loader for NoLoader {
    fn load(
        &mut self,
        _load: &Load,
        _rows: &mut [Row<'static>],
        _names: &mut Names,
    ) -> Result<Vec<bool>, Error> {
        unreachable!("these stages were chosen because they load nothing")
    }
}
