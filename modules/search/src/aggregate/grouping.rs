//! Which group does a row belong to?
//!
//! Each property of GROUPBY has its values numbered; the tuple of a row's numbers is its group. Where rows come straight
//! from the index, they are grouped a block at a time: the values of a packed column are looked up once per piece and code,
//! so that a row costs two reads from memory. Arrays put a row into the group of each of their elements.

use crate::aggregate::block::Block;
use crate::aggregate::interning::{Interner, Tuples};
use crate::aggregate::reducing::{Reducer, each};
use crate::aggregate::sources::Source;
use crate::aggregate::{Error as StepError, Limits, Row};
use crate::columns::{Codes, Column};
use crate::error::Error;
use crate::expression::lane::Lane;
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
    limits: Limits,
    /// Rows until the memory is looked at again.
    unchecked: usize,
    scratch: Scratch,
}

/// Rows between two looks at the memory that is in use.
const CHECK_ROWS: usize = 1024;

/// One property.
#[derive(Debug)]
struct Key {
    slot: usize,
    values: Interner,
    /// Numbers by code, of the piece with this address.
    memo: Vec<u32>,
    memo_of: usize,
}

/// Buffers, kept between blocks.
#[derive(Debug, Default)]
struct Scratch {
    /// The numbers of each property's values, by place in the block.
    numbers: Vec<Vec<u32>>,
    groups: Vec<u32>,
    tuple: Vec<u32>,
}

impl Grouper {
    /// No groups yet; `keys` are the slots of the properties.
    pub fn new(keys: Vec<usize>, reducers: Vec<Reducer>, limits: Limits) -> Grouper {
        let tuples = Tuples::new(keys.len());
        let key = |slot| Key { slot, values: Interner::default(), memo: Vec::new(), memo_of: 0 };
        let scratch =
            Scratch { numbers: keys.iter().map(|_| Vec::new()).collect(), ..Scratch::default() };
        let keys = keys.into_iter().map(key).collect();
        Grouper { keys, reducers, tuples, groups: 0, limits, unchecked: 0, scratch }
    }

    /// Bytes on the heap, about.
    pub fn memory(&self) -> usize {
        let keys = self.keys.iter().map(|key| key.values.memory()).sum::<usize>();
        keys + self.tuples.memory() + self.reducers.iter().map(Reducer::memory).sum::<usize>()
    }

    /// Counts rows, and looks at the memory now and then.
    fn count_rows(&mut self, rows: usize) -> Result<(), Error> {
        self.unchecked += rows;
        if self.unchecked < CHECK_ROWS {
            return Ok(());
        }
        self.unchecked = 0;
        self.limits.check(self.memory())
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
        if end > self.limits.groups {
            return Err(StepError::TooManyGroups(self.limits.groups).into());
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
        added.and_then(|()| self.count_rows(1))
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
        if rows.saturating_mul(count) > self.limits.groups {
            return Err(StepError::TooManyGroups(self.limits.groups).into());
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

    /// Adds the rows of a block.
    pub fn add_block(&mut self, block: &Block<'_>) -> Result<(), Error> {
        for at in 0..self.keys.len() {
            let mut numbers = std::mem::take(&mut self.scratch.numbers[at]);
            numbers.clear();
            let single = self.keys[at].number_block(block, &mut numbers);
            self.scratch.numbers[at] = numbers;
            if !single {
                return self.add_rows(block);
            }
        }
        self.find_groups(block.len())?;
        let groups = std::mem::take(&mut self.scratch.groups);
        let mut row = Row::default();
        for reducer in &mut self.reducers {
            if reducer.is_count() {
                match self.keys.is_empty() {
                    true => reducer.count_all(0, groups.len()),
                    false => reducer.count_rows(&groups),
                }
                continue;
            }
            if reducer.takes_numbers()
                && let Some(numbers) = block.numbers(reducer.inputs[0])
            {
                reducer.add_numbers(&groups, &numbers);
                continue;
            }
            for (place, group) in groups.iter().enumerate() {
                for slot in &reducer.inputs {
                    row.set(*slot, block.value(*slot, place));
                }
                reducer.add(*group, &row);
            }
        }
        self.scratch.groups = groups;
        self.count_rows(block.len())
    }

    /// The groups of a block whose numbers are known.
    fn find_groups(&mut self, rows: usize) -> Result<(), Error> {
        let mut groups = std::mem::take(&mut self.scratch.groups);
        groups.clear();
        match self.scratch.numbers.as_slice() {
            [] => groups.resize(rows, 0),
            [numbers] => groups.extend_from_slice(numbers),
            [first, second] => {
                let pairs = first.iter().zip(second);
                groups.extend(pairs.map(|(a, b)| self.tuples.intern_pair(*a, *b)));
            }
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

    /// Adds the rows of a block one by one.
    fn add_rows(&mut self, block: &Block<'_>) -> Result<(), Error> {
        let slots: Vec<usize> = self.slots().collect();
        let mut row = Row::default();
        for place in 0..block.len() {
            for slot in &slots {
                row.set(*slot, block.value(*slot, place));
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

    /// Puts a group's properties, and then what the reducers give, into a row.
    pub fn fill<'g>(&'g self, group: u32, row: &mut Row<'g>) {
        let single = [group];
        let tuple = if self.keys.len() == 1 { &single[..] } else { self.tuples.get(group) };
        let keys = self.keys.iter().zip(tuple);
        row.slots.clear();
        row.slots.extend(keys.map(|(key, number)| Some(key.values.value(*number).borrowed())));
        row.slots.extend(self.reducers.iter().map(|reducer| Some(reducer.value(group))));
    }
}

impl Key {
    /// The numbers of a block's values; answers whether all of them are single.
    fn number_block(&mut self, block: &Block<'_>, numbers: &mut Vec<u32>) -> bool {
        if let Some(lane) = block.computed(self.slot) {
            return self.number_lane(lane, block.len(), numbers);
        }
        let batch = block.batch();
        let Some(source) = block.source(self.slot) else {
            return self.number_lane(&Lane::Same(None), block.len(), numbers);
        };
        let column = match source {
            Source::Column { number, .. } => batch.rows.column(*number),
            _ => None,
        };
        match column {
            Some(Column::Numbers(column)) if column.has_several() => return false,
            Some(column) => {
                if let Some(codes) = column.codes() {
                    self.number_codes(&batch, source, codes, numbers);
                    return true;
                }
            }
            None if matches!(source, Source::Terms) => return false,
            None => {}
        }
        for place in 0..batch.matched.len() {
            let value = source.read(&batch, place);
            numbers.push(self.values.intern(value.as_ref().unwrap_or(&Value::Null)));
        }
        true
    }

    /// The same for values that were computed.
    fn number_lane(&mut self, lane: &Lane<'_>, rows: usize, numbers: &mut Vec<u32>) -> bool {
        let many =
            |value: &Option<Value<'_>>| matches!(value, Some(Value::List(_) | Value::Several(_)));
        match lane {
            Lane::Same(value) if !many(value) => {
                let number = self.values.intern(value.as_ref().unwrap_or(&Value::Null));
                numbers.resize(rows, number);
                return true;
            }
            Lane::Same(_) => return false,
            Lane::Values(values) if values.iter().any(many) => return false,
            _ => {}
        }
        for row in 0..rows {
            numbers.push(self.values.intern(&lane.get(row).unwrap_or(Value::Null)));
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
