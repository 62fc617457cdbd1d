//! Which numbers does row n have?
//!
//! Mostly one or none: then the values of all rows lie one after the other, and a row without one has NaN. As soon as a row has
//! several (a JSON array), the values of a row are as many as it has, and a list tells where those of each row end. A range
//! scan reads the values alone, which is a loop without branches over numbers of one, two, four or eight bytes; only where it
//! finds one is it asked which row that is of.

use super::Codes;
use crate::query::ast::Range;

/// Numbers by row.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// The values of all rows, one row behind the other.
    pub(super) values: Storage,
    /// Where the values of each row end, once any row has several. Without it each row has one value, which is NaN, or the largest
    /// code, where there is none.
    pub(super) ends: Option<Vec<u32>>,
}

/// Values, as floats or as small distances from their least.
#[derive(Debug, Clone)]
pub(super) enum Storage {
    Wide(Vec<f64>),
    Codes8(f64, Vec<u8>),
    Codes16(f64, Vec<u16>),
    Codes32(f64, Vec<u32>),
}

impl Default for Storage {
    fn default() -> Storage {
        Storage::Wide(Vec::new())
    }
}

impl Storage {
    pub(super) fn len(&self) -> usize {
        match self {
            Storage::Wide(values) => values.len(),
            Storage::Codes8(_, codes) => codes.len(),
            Storage::Codes16(_, codes) => codes.len(),
            Storage::Codes32(_, codes) => codes.len(),
        }
    }

    /// The value in a place; NaN if there is none.
    #[inline]
    fn get(&self, at: usize) -> f64 {
        match self {
            Storage::Wide(values) => values[at],
            Storage::Codes8(base, codes) => match codes[at] {
                u8::MAX => f64::NAN,
                code => base + f64::from(code),
            },
            Storage::Codes16(base, codes) => match codes[at] {
                u16::MAX => f64::NAN,
                code => base + f64::from(code),
            },
            Storage::Codes32(base, codes) => match codes[at] {
                u32::MAX => f64::NAN,
                code => base + f64::from(code),
            },
        }
    }

    /// Which of the values in these places is the first one in `range`, counted from the first place.
    fn position(&self, places: std::ops::Range<usize>, range: &Range) -> Option<usize> {
        match self {
            // No interval contains NaN.
            Storage::Wide(values) => values[places].iter().position(|v| range.contains(*v)),
            Storage::Codes8(base, codes) => {
                position(&codes[places], code_range(range, *base, u8::MAX.into()))
            }
            Storage::Codes16(base, codes) => {
                position(&codes[places], code_range(range, *base, u16::MAX.into()))
            }
            Storage::Codes32(base, codes) => {
                position(&codes[places], code_range(range, *base, u32::MAX))
            }
        }
    }
}

impl Numbers {
    /// Appends a row.
    pub fn push(&mut self, numbers: &[f64]) {
        if numbers.len() > 1 && self.ends.is_none() {
            self.expect_several();
        }
        let Storage::Wide(values) = &mut self.values else {
            unreachable!("rows are only appended before a column is packed");
        };
        match &mut self.ends {
            None => values.push(numbers.first().copied().unwrap_or(f64::NAN)),
            Some(ends) => {
                values.extend(numbers);
                ends.push(end_of(values));
            }
        }
    }

    /// Appends row `row` of others.
    pub fn push_from(&mut self, from: &Numbers, row: u32) {
        match from.count(row) {
            0 | 1 => self.push(from.first(row).as_slice()),
            _ => self.push(&from.all(row).collect::<Vec<f64>>()),
        }
    }

    /// From here on rows may have several values.
    fn expect_several(&mut self) {
        let Storage::Wide(values) = &mut self.values else {
            unreachable!("rows are only appended before a column is packed");
        };
        let mut kept = Vec::with_capacity(values.len());
        let mut ends = Vec::with_capacity(values.len());
        for value in values.iter() {
            if !value.is_nan() {
                kept.push(*value);
            }
            ends.push(end_of(&kept));
        }
        (*values, self.ends) = (kept, Some(ends));
    }

    /// The places of a row's values.
    #[inline]
    fn places(&self, row: u32) -> std::ops::Range<usize> {
        let row = row as usize;
        match &self.ends {
            None => row..row + 1,
            Some(ends) => start_of(ends, row)..ends[row] as usize,
        }
    }

    /// How many values there are for a row; one that has none may count as one.
    fn count(&self, row: u32) -> usize {
        self.places(row).len()
    }

    /// The first number of a row.
    #[inline]
    pub fn first(&self, row: u32) -> Option<f64> {
        let place = self.places(row).next()?;
        Some(self.values.get(place)).filter(|value| !value.is_nan())
    }

    /// The first numbers of some rows, rising; NaN where there is none.
    pub fn firsts(&self, rows: &[u32]) -> Vec<f64> {
        fn each<T: Copy>(all: &[T], rows: &[u32], number: impl Fn(T) -> f64) -> Vec<f64> {
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Vec::new() };
            let (start, end) = (*first as usize, *last as usize + 1);
            match end - start == rows.len() {
                // Neighbours, so that no row is looked up.
                true => all[start..end].iter().map(|value| number(*value)).collect(),
                false => rows.iter().map(|row| number(all[*row as usize])).collect(),
            }
        }
        if self.ends.is_some() {
            return rows.iter().map(|row| self.first(*row).unwrap_or(f64::NAN)).collect();
        }
        match &self.values {
            Storage::Wide(values) => each(values, rows, |value| value),
            Storage::Codes8(base, codes) => each(codes, rows, |code| match code {
                u8::MAX => f64::NAN,
                code => base + f64::from(code),
            }),
            Storage::Codes16(base, codes) => each(codes, rows, |code| match code {
                u16::MAX => f64::NAN,
                code => base + f64::from(code),
            }),
            Storage::Codes32(base, codes) => each(codes, rows, |code| match code {
                u32::MAX => f64::NAN,
                code => base + f64::from(code),
            }),
        }
    }

    /// All numbers of a row.
    pub fn all(&self, row: u32) -> impl Iterator<Item = f64> {
        self.places(row).map(|at| self.values.get(at)).filter(|value| !value.is_nan())
    }

    /// Whether rows may have several numbers.
    pub fn has_several(&self) -> bool {
        self.ends.is_some()
    }

    /// Whether any number of the row lies in `range`.
    #[inline]
    pub fn matches(&self, row: u32, range: &Range) -> bool {
        self.places(row).any(|at| range.contains(self.values.get(at)))
    }

    /// The first row from `from` on, below `end`, of which a number lies in `range`.
    pub fn next_match(&self, from: u32, end: u32, range: &Range) -> Option<u32> {
        let Some(ends) = &self.ends else {
            let found = self.values.position(from as usize..end as usize, range);
            return found.map(|offset| from + row(offset));
        };
        if from >= end {
            return None;
        }
        // Where most rows match, the scan below would cost more than it finds.
        if self.matches(from, range) {
            return Some(from);
        }
        let ends = &ends[..end as usize];
        let start = start_of(ends, from as usize);
        let found = start + self.values.position(start..*ends.last()? as usize, range)?;
        Some(from + row(holder(&ends[from as usize..], found)))
    }

    /// Codes of one or two bytes, if each row has one.
    pub fn codes(&self) -> Option<Codes<'_>> {
        match &self.values {
            Storage::Codes8(_, codes) if self.ends.is_none() => Some(Codes::Bytes(codes)),
            Storage::Codes16(_, codes) if self.ends.is_none() => Some(Codes::Shorts(codes)),
            _ => None,
        }
    }

    /// Stores the numbers as tightly as they allow.
    pub fn pack(&mut self) {
        if let Some(ends) = &mut self.ends {
            ends.shrink_to_fit();
        }
        let Storage::Wide(values) = &mut self.values else { return };
        let present = values.iter().filter(|value| !value.is_nan());
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in present {
            // Sums of whole numbers up to 2^53 are exact; -0 would come back as 0.
            let exact = value.fract() == 0.0
                && value.abs() < 9e15
                && value.to_bits() != (-0.0f64).to_bits();
            if !exact {
                values.shrink_to_fit();
                return;
            }
            min = min.min(*value);
            max = max.max(*value);
        }
        if min > max {
            (min, max) = (0.0, 0.0);
        }
        let code =
            |value: &f64, absent: u32| if value.is_nan() { absent } else { (value - min) as u32 };
        let spread = max - min;
        self.values = if spread < f64::from(u8::MAX) {
            Storage::Codes8(min, values.iter().map(|v| code(v, 0xff) as u8).collect())
        } else if spread < f64::from(u16::MAX) {
            Storage::Codes16(min, values.iter().map(|v| code(v, 0xffff) as u16).collect())
        } else if spread < f64::from(u32::MAX) {
            Storage::Codes32(min, values.iter().map(|v| code(v, u32::MAX)).collect())
        } else {
            values.shrink_to_fit();
            return;
        };
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        let values = match &self.values {
            Storage::Wide(values) => values.capacity() * 8,
            Storage::Codes8(_, codes) => codes.capacity(),
            Storage::Codes16(_, codes) => codes.capacity() * 2,
            Storage::Codes32(_, codes) => codes.capacity() * 4,
        };
        values + self.ends.as_ref().map_or(0, |ends| ends.capacity() * 4)
    }
}

fn row(offset: usize) -> u32 {
    u32::try_from(offset).expect("rows are 32-bit")
}

fn end_of(values: &[f64]) -> u32 {
    u32::try_from(values.len()).expect("pieces are closed before 4 GiB")
}

/// Where the values of a row begin.
#[inline]
fn start_of(ends: &[u32], row: usize) -> usize {
    row.checked_sub(1).map_or(0, |before| ends[before] as usize)
}

/// The first row that ends behind a place; mostly one of the next few.
fn holder(ends: &[u32], place: usize) -> usize {
    let is_before = |end: &u32| *end as usize <= place;
    let (mut start, mut step) = (0, 1);
    while ends.get(start + step).is_some_and(is_before) {
        start += step;
        step *= 2;
    }
    let end = ends.len().min(start + step + 1);
    start + ends[start..end].partition_point(is_before)
}

/// The codes that stand for numbers in `range`; `absent` stands for none.
fn code_range(range: &Range, base: f64, absent: u32) -> std::ops::Range<u32> {
    let min =
        (range.min - base).ceil() + f64::from(range.min_exclusive && range.min.fract() == 0.0);
    let end =
        (range.max - base).floor() + f64::from(!(range.max_exclusive && range.max.fract() == 0.0));
    // Casts of floats saturate.
    min as u32..(end as u32).min(absent)
}

fn position<T: Copy + Into<u32>>(codes: &[T], range: std::ops::Range<u32>) -> Option<usize> {
    let length = range.end.checked_sub(range.start).filter(|length| *length > 0)?;
    let is_in = |code: &T| (*code).into().wrapping_sub(range.start) < length;
    codes.iter().position(is_in)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::columns::{Column, Value};
    use crate::schema::ColumnKind;
    use crate::storage::codec::{Decoder, Encoder};

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (0i32..250).prop_map(f64::from),
            1 => (-3i32..300).prop_map(f64::from),
            1 => (0i32..100_000).prop_map(f64::from),
            1 => any::<i32>().prop_map(f64::from),
            1 => (-50i32..50).prop_map(|n| f64::from(n) / 4.0),
            1 => Just(f64::INFINITY),
        ]
    }

    fn rows() -> impl Strategy<Value = Vec<Vec<f64>>> {
        let small = || (0i32..250).prop_map(f64::from);
        prop_oneof![
            proptest::collection::vec(proptest::collection::vec(number(), 0..2), 0..40),
            proptest::collection::vec(proptest::collection::vec(small(), 0..2), 0..300),
            proptest::collection::vec(proptest::collection::vec(small(), 0..6), 0..300),
            proptest::collection::vec(proptest::collection::vec(number(), 0..6), 0..40),
        ]
    }

    /// The column of these rows.
    fn column(rows: &[Vec<f64>]) -> Column {
        let mut column = Column::new(ColumnKind::Numbers);
        for row in rows {
            column.push(&match row.as_slice() {
                [] => Value::Absent,
                [number] => Value::Number(*number),
                _ => Value::Numbers(row.clone()),
            });
        }
        column
    }

    fn of(column: &Column) -> &Numbers {
        let Column::Numbers(numbers) = column else { unreachable!() };
        numbers
    }

    proptest! {
        /// However numbers are stored, copied, or read from bytes, they answer what the rows themselves do.
        #[test]
        fn numbers_are_found_however_they_are_stored(
            rows in rows(),
            bounds in (-10i32..320, -10i32..320), halves in (0u8..2, 0u8..2), exclusive in (any::<bool>(), any::<bool>()),
        ) {
            let count = rows.len() as u32;
            let plain = column(&rows);
            let mut packed = plain.clone();
            packed.pack();
            let mut copied = Column::new(ColumnKind::Numbers);
            (0..count).for_each(|row| copied.push_from(Some(&packed), row));
            let mut bytes = Vec::new();
            packed.encode(&mut Encoder::new(&mut bytes)).unwrap();
            let read = Column::decode(&mut Decoder::new(&bytes), ColumnKind::Numbers, count).unwrap();
            let range = Range {
                min: f64::from(bounds.0) + f64::from(halves.0) / 2.0,
                max: f64::from(bounds.1) + f64::from(halves.1) / 2.0,
                min_exclusive: exclusive.0, max_exclusive: exclusive.1,
            };
            let expected: Vec<bool> = rows.iter().map(|row| row.iter().any(|n| range.contains(*n))).collect();
            for numbers in [&plain, &packed, &copied, &read].map(of) {
                for row in 0..count {
                    let all = &rows[row as usize];
                    prop_assert_eq!(numbers.first(row), all.first().copied());
                    prop_assert_eq!(&numbers.all(row).collect::<Vec<_>>(), all);
                    prop_assert_eq!(numbers.matches(row, &range), expected[row as usize]);
                    for end in [count, row, row + (count - row) / 2] {
                        let next = (row..end).find(|row| expected[*row as usize]);
                        prop_assert_eq!(numbers.next_match(row, end, &range), next);
                    }
                }
                let some: Vec<u32> = (0..count).step_by(2).collect();
                for rows in [(0..count).collect(), some] {
                    let expected = rows.iter().map(|row| numbers.first(*row));
                    let firsts = numbers.firsts(&rows).into_iter();
                    let firsts = firsts.map(|number| Some(number).filter(|n| !n.is_nan()));
                    prop_assert!(firsts.eq(expected));
                }
            }
        }
    }

    #[test]
    fn several_small_numbers_take_few_bytes() {
        let rows: Vec<Vec<f64>> =
            (0..1000).map(|n| vec![f64::from(n % 9), 7.0, 8.0, 9.0]).collect();
        let mut column = column(&rows);
        column.pack();
        assert_eq!(column.memory(), 1000 * (4 + 4));
    }
}
