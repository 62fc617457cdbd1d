//! Which number does a value have?
//!
//! Equal values get equal numbers, counted from 0 in the order in which they first came. Grouping, COUNT_DISTINCT and TOLIST
//! reckon with the numbers.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::expression::value::Value;

/// Values and their numbers.
#[derive(Debug, Default)]
pub struct Interner {
    hasher: DefaultHashBuilder,
    table: HashTable<(u64, u32)>,
    values: Vec<Value<'static>>,
    /// What the values have on the heap.
    bytes: usize,
}

impl Interner {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Bytes on the heap, about.
    pub fn memory(&self) -> usize {
        let of_value = size_of::<Value<'_>>() + size_of::<(u64, u32)>();
        self.values.len() * of_value + self.bytes
    }

    /// A value by its number.
    pub fn value(&self, number: u32) -> &Value<'static> {
        &self.values[number as usize]
    }

    /// The number of a value, which is entered if it is new.
    pub fn intern(&mut self, value: &Value<'_>) -> u32 {
        let mut state = self.hasher.build_hasher();
        hash(value, &mut state);
        let hash = state.finish();
        let values = &self.values;
        let equal = |entry: &(u64, u32)| entry.0 == hash && same(&values[entry.1 as usize], value);
        if let Some((_, number)) = self.table.find(hash, equal) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).expect("rows are 32-bit");
        self.bytes += value.memory();
        self.values.push(value.clone().into_owned());
        self.table.insert_unique(hash, (hash, number), |entry| entry.0);
        number
    }
}

/// The bits by which numbers are told apart: there is one zero and one that is no number.
fn bits(number: f64) -> u64 {
    match number {
        0.0 => 0,
        number if number.is_nan() => f64::NAN.to_bits(),
        number => number.to_bits(),
    }
}

fn hash(value: &Value<'_>, state: &mut impl Hasher) {
    match value {
        Value::Null => state.write_u8(0),
        Value::Number(number) => state.write_u64(bits(*number)),
        Value::Text(text) => state.write(text),
        Value::List(items) => {
            state.write_usize(items.len());
            items.iter().for_each(|item| hash(item, state));
        }
        Value::Several(several) => several.shown.hash(state),
        Value::Map(entries) => {
            for (name, value) in entries.iter() {
                name.hash(state);
                hash(value, state);
            }
        }
    }
}

/// Whether two values are one.
pub fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => bits(*a) == bits(*b),
        (Value::Null, Value::Null) => true,
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b))
        }
        (Value::Several(a), Value::Several(b)) => a.shown == b.shown,
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter().zip(b.iter()).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
        }
        _ => false,
    }
}

/// Pairs of two numbers that have been seen.
#[derive(Debug, Default)]
pub struct Pairs {
    hasher: DefaultHashBuilder,
    table: HashTable<u64>,
}

impl Pairs {
    /// Bytes on the heap, about.
    pub fn memory(&self) -> usize {
        self.table.len() * size_of::<u64>()
    }

    /// Enters a pair; answers whether it is new.
    pub fn insert(&mut self, a: u32, b: u32) -> bool {
        let pair = u64::from(a) << 32 | u64::from(b);
        let hasher = &self.hasher;
        let hash = |pair: &u64| hasher.hash_one(pair);
        if self.table.find(hash(&pair), |other| *other == pair).is_some() {
            return false;
        }
        self.table.insert_unique(hash(&pair), pair, hash);
        true
    }
}

/// Tuples of numbers, all of one length, and the numbers of the tuples.
#[derive(Debug, Default)]
pub struct Tuples {
    width: usize,
    hasher: DefaultHashBuilder,
    /// Hashes and numbers: growing needs no tuples, and few of them are compared in vain. A pair stands here itself, which
    /// saves a look at `flat`.
    table: HashTable<(u64, u32)>,
    /// All tuples, one behind the other.
    flat: Vec<u32>,
    count: u32,
}

impl Tuples {
    /// No tuples yet, of this length.
    pub fn new(width: usize) -> Tuples {
        Tuples { width, ..Tuples::default() }
    }

    /// Bytes on the heap, about.
    pub fn memory(&self) -> usize {
        self.table.len() * size_of::<(u64, u32)>() + self.flat.len() * size_of::<u32>()
    }

    /// The number of a tuple of two, which is entered if it is new.
    #[inline]
    pub fn intern_pair(&mut self, a: u32, b: u32) -> u32 {
        debug_assert_eq!(self.width, 2);
        let pair = u64::from(a) << 32 | u64::from(b);
        let hasher = &self.hasher;
        let entry = self.table.entry(
            hasher.hash_one(pair),
            |entry| entry.0 == pair,
            |entry| hasher.hash_one(entry.0),
        );
        match entry {
            Entry::Occupied(known) => known.get().1,
            Entry::Vacant(place) => {
                let number = self.count;
                place.insert((pair, number));
                self.flat.extend_from_slice(&[a, b]);
                self.count += 1;
                number
            }
        }
    }

    /// A tuple by its number.
    pub fn get(&self, number: u32) -> &[u32] {
        let start = number as usize * self.width;
        &self.flat[start..start + self.width]
    }

    /// The number of a tuple, which is entered if it is new.
    pub fn intern(&mut self, tuple: &[u32]) -> u32 {
        debug_assert_eq!(tuple.len(), self.width);
        if let [a, b] = tuple {
            return self.intern_pair(*a, *b);
        }
        let hash = self.hasher.hash_one(tuple);
        let (width, flat) = (self.width, &self.flat);
        let equal = |entry: &(u64, u32)| {
            let start = entry.1 as usize * width;
            entry.0 == hash && &flat[start..start + width] == tuple
        };
        if let Some((_, number)) = self.table.find(hash, equal) {
            return *number;
        }
        let number = self.count;
        self.table.insert_unique(hash, (hash, number), |entry| entry.0);
        self.flat.extend_from_slice(tuple);
        self.count += 1;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_numbers() {
        let mut interner = Interner::default();
        let values = [
            Value::text(b"a"),
            Value::Number(1.0),
            Value::text(b"1"),
            Value::Null,
            Value::text(b""),
            Value::Number(0.0),
            Value::Number(f64::NAN),
            Value::List([Value::Number(1.0)].into()),
            Value::List([].into()),
        ];
        for round in 0..2 {
            for (at, value) in values.iter().enumerate() {
                assert_eq!(interner.intern(value) as usize, at, "round {round}");
            }
        }
        assert_eq!(interner.intern(&Value::Number(-0.0)), 5);
        assert_eq!(interner.len(), values.len());
    }

    #[test]
    fn tuples_are_told_apart() {
        let mut tuples = Tuples::new(2);
        let numbers: Vec<u32> = [[1, 2], [2, 1], [1, 2], [0, 0], [2, 1]]
            .iter()
            .map(|tuple| tuples.intern(tuple))
            .collect();
        assert_eq!(numbers, [0, 1, 0, 2, 1]);
        assert_eq!(tuples.get(1), [2, 1]);
        let mut many = Tuples::new(1);
        assert!((0..1000u32).all(|number| many.intern(&[number]) == number));
        assert!((0..1000u32).all(|number| many.intern(&[number]) == number));
    }
}
