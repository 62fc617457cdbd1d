//! Which group does a row belong to?
//!
//! Each property of GROUPBY has its values numbered; the tuple of a row's numbers is its group. Where rows come straight
//! from the index, they are grouped a batch at a time: the values of a packed column are looked up once per piece and code,
//! so that a row costs two reads from memory. Arrays put a row into the group of each of their elements.

use crate::aggregate::binding::Source;
use crate::aggregate::interning::{Interner, Tuples};
use crate::aggregate::reducing::{Reducer, each};
use crate::aggregate::{Error as StepError, GROUPS_MAX, Row};
use crate::columns::{Codes, Column};
use crate::error::Error;
use crate::expression::value::Value;
use crate::index::visit::Batch;

/// A code that has not been looked up.
const UNKNOWN: u32 = u32::MAX;

/// The groups so far.
#[derive(Debug)]
pub struct Grouper {
    keys: Vec<Key>,
    reducers: Vec<Reducer>,
    /// Groups by the numbers of their values; with one property the number is the group.
    tuples: Tuples,
    groups: usize,
    scratch: Scratch,
}

/// One property.
#[derive(Debug)]
struct Key {
    slot: usize,
    values: Interner,
    /// Numbers by code, of the piece with this address.
    memo: Vec<u32>,
    memo_of: usize,
}

/// Buffers, kept between batches.
#[derive(Debug, Default)]
struct Scratch {
    /// The numbers of each property's values, by place in the batch.
    numbers: Vec<Vec<u32>>,
    groups: Vec<u32>,
    tuple: Vec<u32>,
}

impl Grouper {
    /// No groups yet; `keys` are the slots of the properties.
    pub fn new(keys: Vec<usize>, reducers: Vec<Reducer>) -> Grouper {
        let tuples = Tuples::new(keys.len());
        let key = |slot| Key { slot, values: Interner::default(), memo: Vec::new(), memo_of: 0 };
        let scratch =
            Scratch { numbers: keys.iter().map(|_| Vec::new()).collect(), ..Scratch::default() };
        let keys = keys.into_iter().map(key).collect();
        Grouper { keys, reducers, tuples, groups: 0, scratch }
    }

    /// The slots that it looks at.
    pub fn slots(&self) -> impl Iterator<Item = usize> {
        let inputs = self.reducers.iter().flat_map(|reducer| reducer.inputs.iter().copied());
        self.keys.iter().map(|key| key.slot).chain(inputs)
    }

    /// Makes sure that the groups below `end` are there.
    fn grow(&mut self, end: usize) -> Result<(), Error> {
        if end <= self.groups {
            return Ok(());
        }
        if end > GROUPS_MAX {
            return Err(StepError::TooManyGroups.into());
        }
        self.groups = end;
        self.reducers.iter_mut().for_each(|reducer| reducer.grow(end));
        Ok(())
    }

    /// Adds a row.
    pub fn add(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let mut tuple = std::mem::take(&mut self.scratch.tuple);
        tuple.clear();
        let added = self.add_from(row, &mut tuple, 1);
        self.scratch.tuple = tuple;
        added
    }

    /// Adds a row to all groups that begin with the numbers in `tuple`; `rows` is how many groups that is already.
    fn add_from(&mut self, row: &Row<'_>, tuple: &mut Vec<u32>, rows: usize) -> Result<(), Error> {
        let at = tuple.len();
        let Some(key) = self.keys.get_mut(at) else { return self.add_to(row, tuple) };
        let null = Value::Null;
        let value = row.get(key.slot).unwrap_or(&null);
        let count = match value {
            Value::List(items) => items.len(),
            Value::Several(several) => several.items.len(),
            _ => {
                tuple.push(key.values.intern(value));
                let added = self.add_from(row, tuple, rows);
                tuple.truncate(at);
                return added;
            }
        };
        // An empty array is no value.
        if count == 0 {
            tuple.push(key.values.intern(&null));
            let added = self.add_from(row, tuple, rows);
            tuple.truncate(at);
            return added;
        }
        if rows.saturating_mul(count) > GROUPS_MAX {
            return Err(StepError::TooManyGroups.into());
        }
        let mut numbers = Vec::with_capacity(count);
        each(value, &mut |item| numbers.push(key.values.intern(item)));
        for number in numbers {
            tuple.push(number);
            let added = self.add_from(row, tuple, rows * count);
            tuple.truncate(at);
            added?;
        }
        Ok(())
    }

    fn add_to(&mut self, row: &Row<'_>, tuple: &[u32]) -> Result<(), Error> {
        let group = match tuple {
            [] => 0,
            [number] => *number,
            tuple => self.tuples.intern(tuple),
        };
        self.grow(group as usize + 1)?;
        self.reducers.iter_mut().for_each(|reducer| reducer.add(group, row));
        Ok(())
    }

    /// Adds a batch whose rows have all that is looked at in the index; `sources` are by slot.
    pub fn add_batch<'a>(
        &mut self,
        batch: &Batch<'a, '_>,
        sources: &[Option<Source>],
    ) -> Result<(), Error> {
        let source = |slot: usize| sources[slot].as_ref().expect("the caller has looked");
        for at in 0..self.keys.len() {
            let mut numbers = std::mem::take(&mut self.scratch.numbers[at]);
            numbers.clear();
            let key = &mut self.keys[at];
            let single = key.number_batch(batch, source(key.slot), &mut numbers);
            self.scratch.numbers[at] = numbers;
            if !single {
                return self.add_rows(batch, sources);
            }
        }
        self.find_groups(batch.matched.len())?;
        let groups = std::mem::take(&mut self.scratch.groups);
        let mut row = Row::default();
        for reducer in &mut self.reducers {
            if reducer.is_count() {
                reducer.count_rows(&groups);
                continue;
            }
            if reducer.takes_numbers()
                && let Source::Column { number, .. } = source(reducer.inputs[0])
                && let Some(Column::Numbers(numbers)) = batch.rows.column(*number)
                && !numbers.has_more()
            {
                reducer.add_numbers(&groups, |place| numbers.first(batch.matched[place]));
                continue;
            }
            for (place, group) in groups.iter().enumerate() {
                for slot in &reducer.inputs {
                    row.set(*slot, source(*slot).read(batch, place));
                }
                reducer.add(*group, &row);
            }
        }
        self.scratch.groups = groups;
        Ok(())
    }

    /// The groups of a batch whose numbers are known.
    fn find_groups(&mut self, rows: usize) -> Result<(), Error> {
        let mut groups = std::mem::take(&mut self.scratch.groups);
        groups.clear();
        match self.scratch.numbers.as_slice() {
            [] => groups.resize(rows, 0),
            [numbers] => groups.extend_from_slice(numbers),
            several => {
                let mut tuple = std::mem::take(&mut self.scratch.tuple);
                for place in 0..rows {
                    tuple.clear();
                    tuple.extend(several.iter().map(|numbers| numbers[place]));
                    groups.push(self.tuples.intern(&tuple));
                }
                self.scratch.tuple = tuple;
            }
        }
        let end = groups.iter().max().map_or(0, |last| *last as usize + 1);
        self.scratch.groups = groups;
        self.grow(end)
    }

    /// Adds the rows of a batch one by one.
    fn add_rows<'a>(
        &mut self,
        batch: &Batch<'a, '_>,
        sources: &[Option<Source>],
    ) -> Result<(), Error> {
        let slots: Vec<usize> = self.slots().collect();
        let mut row = Row::default();
        for place in 0..batch.matched.len() {
            for slot in &slots {
                let source = sources[*slot].as_ref().expect("the caller has looked");
                row.set(*slot, source.read(batch, place));
            }
            self.add(&row)?;
        }
        Ok(())
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups == 0
    }

    /// Gives `job` a row for each group, in the order in which they came, while it answers true: the properties, then what
    /// the reducers give.
    pub fn finish(
        &mut self,
        mut job: impl FnMut(Row<'_>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let Grouper { keys, tuples, reducers, .. } = self;
        let width = keys.len() + reducers.len();
        for group in 0..u32::try_from(self.groups).expect("GROUPS_MAX is less") {
            let mut slots = Vec::with_capacity(width);
            let single = [group];
            let tuple = if keys.len() == 1 { &single[..] } else { tuples.get(group) };
            let values = keys.iter().zip(tuple);
            slots.extend(values.map(|(key, number)| Some(key.values.value(*number).borrowed())));
            slots.extend(reducers.iter_mut().map(|reducer| Some(reducer.finish(group))));
            if !job(Row { slots, key: None })? {
                break;
            }
        }
        Ok(())
    }
}

impl Key {
    /// The numbers of a batch's values; answers whether all of them are single.
    fn number_batch(
        &mut self,
        batch: &Batch<'_, '_>,
        source: &Source,
        numbers: &mut Vec<u32>,
    ) -> bool {
        let column = match source {
            Source::Column { number, .. } => batch.rows.column(*number),
            _ => None,
        };
        match column {
            Some(Column::Numbers(column)) if column.has_more() => return false,
            Some(column) => {
                if let Some(codes) = column.codes() {
                    self.number_codes(batch, source, codes, numbers);
                    return true;
                }
            }
            None if matches!(source, Source::Terms) => return false,
            None => {}
        }
        for place in 0..batch.matched.len() {
            let value = source.read(batch, place);
            numbers.push(self.values.intern(value.as_ref().unwrap_or(&Value::Null)));
        }
        true
    }

    fn number_codes(
        &mut self,
        batch: &Batch<'_, '_>,
        source: &Source,
        codes: Codes<'_>,
        numbers: &mut Vec<u32>,
    ) {
        let piece = std::ptr::from_ref(batch.rows).addr();
        if self.memo_of != piece {
            self.memo_of = piece;
            self.memo.clear();
            self.memo.resize(codes.end(), UNKNOWN);
        }
        for (place, row) in batch.matched.iter().enumerate() {
            let known = &mut self.memo[codes.get(*row)];
            if *known == UNKNOWN {
                let value = source.read(batch, place);
                *known = self.values.intern(value.as_ref().unwrap_or(&Value::Null));
            }
            numbers.push(*known);
        }
    }
}
