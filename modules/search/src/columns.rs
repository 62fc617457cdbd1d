//! Which value does row n have?
//!
//! Values by row, for ranges, sorting and grouping: the postings answer "which documents", these answer "what does
//! this one have". Rows are only ever appended; a piece of the index that drops its dead rows copies the others into
//! new columns. When a piece is sealed, whole numbers of a small spread are stored in one, two or four bytes, and texts that are
//! few are stored once.

pub mod codec;

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::geo::points::Points;
use crate::query::ast::Range;
use crate::schema::ColumnKind;
use crate::shape::Shape;
use crate::shape::shapes::Shapes;

/// The value of one row as it is handed over.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// None.
    #[default]
    Absent,
    /// One number.
    Number(f64),
    /// Several numbers, of a JSON array: at least two.
    Numbers(Vec<f64>),
    /// A byte string.
    Text(Vec<u8>),
    /// Places on earth, by their codes.
    Points(Vec<u64>),
    /// A shape.
    Shape(Arc<Shape>),
}

/// Values of one field.
#[derive(Debug, Clone)]
pub enum Column {
    /// Of a NUMERIC field, or the slots of a VECTOR field.
    Numbers(Numbers),
    /// Of a sortable TEXT or TAG field, or what a NESTED field keeps.
    Texts(Texts),
    /// Of a GEO field.
    Points(Points),
    /// Of a GEOSHAPE field.
    Shapes(Shapes),
}

/// Small numbers that stand for values: rows with the same code have the same value, or none.
#[derive(Debug, Clone, Copy)]
pub enum Codes<'a> {
    /// One byte each.
    Bytes(&'a [u8]),
    /// Two bytes each.
    Shorts(&'a [u16]),
}

impl Codes<'_> {
    /// The code of a row.
    #[inline]
    pub fn get(&self, row: u32) -> usize {
        match self {
            Codes::Bytes(codes) => codes[row as usize].into(),
            Codes::Shorts(codes) => codes[row as usize].into(),
        }
    }

    /// All codes are below this.
    pub fn end(&self) -> usize {
        match self {
            Codes::Bytes(_) => 1 << u8::BITS,
            Codes::Shorts(_) => 1 << u16::BITS,
        }
    }
}

impl Column {
    /// The codes of its values, if it has been packed into few.
    pub fn codes(&self) -> Option<Codes<'_>> {
        match self {
            Column::Numbers(numbers) if numbers.more.is_empty() => match &numbers.first {
                Storage::Codes8(_, codes) => Some(Codes::Bytes(codes)),
                Storage::Codes16(_, codes) => Some(Codes::Shorts(codes)),
                Storage::Wide(_) | Storage::Codes32(..) => None,
            },
            Column::Texts(texts) => match texts.codes.as_ref()? {
                TextCodes::Bytes(codes) => Some(Codes::Bytes(codes)),
                TextCodes::Shorts(codes) => Some(Codes::Shorts(codes)),
            },
            _ => None,
        }
    }

    /// An empty column.
    pub fn new(kind: ColumnKind) -> Column {
        match kind {
            ColumnKind::Numbers | ColumnKind::Slots => Column::Numbers(Numbers::default()),
            ColumnKind::Texts | ColumnKind::Elements => Column::Texts(Texts::default()),
            ColumnKind::Points => Column::Points(Points::default()),
            ColumnKind::Shapes(surface) => Column::Shapes(Shapes::new(surface)),
        }
    }

    /// Appends a row; a value of the wrong kind counts as absent.
    pub fn push(&mut self, value: &Value) {
        match self {
            Column::Numbers(numbers) => match value {
                Value::Number(number) => numbers.push(std::slice::from_ref(number)),
                Value::Numbers(all) => numbers.push(all),
                _ => numbers.push(&[]),
            },
            Column::Texts(texts) => match value {
                Value::Text(text) => texts.push(Some(text)),
                _ => texts.push(None),
            },
            Column::Points(points) => match value {
                Value::Points(codes) => points.push(codes),
                _ => points.push(&[]),
            },
            Column::Shapes(shapes) => match value {
                Value::Shape(shape) => shapes.push(Some(shape)),
                _ => shapes.push(None),
            },
        }
    }

    /// Appends row `row` of `other`, which is of the same kind.
    pub fn push_from(&mut self, other: Option<&Column>, row: u32) {
        match (self, other) {
            (Column::Numbers(numbers), Some(Column::Numbers(from))) => match from.more(row) {
                Some(all) => numbers.push(all),
                None => numbers.push(from.first(row).as_slice()),
            },
            (Column::Texts(texts), Some(Column::Texts(from))) => texts.push(from.get(row)),
            (Column::Points(points), Some(Column::Points(from))) => points.push(from.of_row(row)),
            (Column::Shapes(shapes), Some(Column::Shapes(from))) => shapes.push(from.get(row)),
            (column, _) => column.push(&Value::Absent),
        }
    }

    /// Stores the column as tightly as its values allow.
    pub fn pack(&mut self) {
        match self {
            Column::Numbers(numbers) => numbers.pack(),
            Column::Texts(texts) => texts.pack(),
            Column::Points(points) => points.pack(),
            Column::Shapes(shapes) => shapes.pack(),
        }
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        match self {
            Column::Numbers(numbers) => numbers.memory(),
            Column::Texts(texts) => texts.memory(),
            Column::Points(points) => points.memory(),
            Column::Shapes(shapes) => shapes.memory(),
        }
    }
}

/// Numbers by row.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// The first number of each row; NaN, or the largest code, where there is none.
    first: Storage,
    /// All numbers of the rows that have several, by row.
    more: Vec<(u32, Box<[f64]>)>,
}

/// The first numbers, as floats or as small distances from their least.
#[derive(Debug, Clone)]
enum Storage {
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

impl Numbers {
    fn push(&mut self, numbers: &[f64]) {
        let Storage::Wide(first) = &mut self.first else {
            unreachable!("rows are only appended before a column is packed");
        };
        if numbers.len() > 1 {
            let row = u32::try_from(first.len()).expect("a piece has fewer than 2^31 rows");
            self.more.push((row, numbers.into()));
        }
        first.push(numbers.first().copied().unwrap_or(f64::NAN));
    }

    /// The first number of a row.
    #[inline]
    pub fn first(&self, row: u32) -> Option<f64> {
        let row = row as usize;
        match &self.first {
            Storage::Wide(values) => Some(values[row]).filter(|value| !value.is_nan()),
            Storage::Codes8(base, codes) => {
                let code = codes[row];
                (code != u8::MAX).then(|| base + f64::from(code))
            }
            Storage::Codes16(base, codes) => {
                let code = codes[row];
                (code != u16::MAX).then(|| base + f64::from(code))
            }
            Storage::Codes32(base, codes) => {
                let code = codes[row];
                (code != u32::MAX).then(|| base + f64::from(code))
            }
        }
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
        match &self.first {
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
        let more = if self.more.is_empty() { None } else { self.more(row) };
        let first = if more.is_some() { None } else { self.first(row) };
        first.into_iter().chain(more.unwrap_or_default().iter().copied())
    }

    /// Whether any row has several numbers.
    pub fn has_more(&self) -> bool {
        !self.more.is_empty()
    }

    /// All numbers of a row that has several.
    pub fn more(&self, row: u32) -> Option<&[f64]> {
        let at = self.more.binary_search_by_key(&row, |(row, _)| *row).ok()?;
        Some(&self.more[at].1)
    }

    /// Whether any number of the row lies in `range`.
    #[inline]
    pub fn matches(&self, row: u32, range: &Range) -> bool {
        if self.first(row).is_some_and(|value| range.contains(value)) {
            return true;
        }
        !self.more.is_empty()
            && self.more(row).is_some_and(|all| all.iter().any(|value| range.contains(*value)))
    }

    /// The first row from `from` on, below `end`, of which a number lies in `range`.
    pub fn next_match(&self, from: u32, end: u32, range: &Range) -> Option<u32> {
        if !self.more.is_empty() {
            return (from..end).find(|row| self.matches(*row, range));
        }
        let (start, end) = (from as usize, end as usize);
        let found = match &self.first {
            // No interval contains NaN.
            Storage::Wide(values) => values[start..end].iter().position(|v| range.contains(*v)),
            Storage::Codes8(base, codes) => {
                position(&codes[start..end], code_range(range, *base, u8::MAX.into()))
            }
            Storage::Codes16(base, codes) => {
                position(&codes[start..end], code_range(range, *base, u16::MAX.into()))
            }
            Storage::Codes32(base, codes) => {
                position(&codes[start..end], code_range(range, *base, u32::MAX))
            }
        };
        found.map(|offset| from + u32::try_from(offset).expect("rows are 32-bit"))
    }

    fn pack(&mut self) {
        self.more.shrink_to_fit();
        let Storage::Wide(values) = &mut self.first else { return };
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
        self.first = if spread < f64::from(u8::MAX) {
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

    fn memory(&self) -> usize {
        let first = match &self.first {
            Storage::Wide(values) => values.capacity() * 8,
            Storage::Codes8(_, codes) => codes.capacity(),
            Storage::Codes16(_, codes) => codes.capacity() * 2,
            Storage::Codes32(_, codes) => codes.capacity() * 4,
        };
        first + self.more.iter().map(|(_, all)| all.len() * 8 + 24).sum::<usize>()
    }
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
    codes.iter().position(|code| (*code).into().wrapping_sub(range.start) < length)
}

/// Byte strings by row.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// Where the string of each row ends in `bytes`.
    ends: Vec<u32>,
    bytes: Vec<u8>,
    /// Rows without a string, in order.
    absent: Vec<u32>,
    /// If there are few different strings, these alone lie in `bytes`, and this tells which one each row has.
    codes: Option<TextCodes>,
}

/// Places of strings, by row; the largest number stands for none.
#[derive(Debug, Clone)]
enum TextCodes {
    Bytes(Vec<u8>),
    Shorts(Vec<u16>),
}

/// A column of fewer rows is not worth the work of packing it.
const CODED_ROWS_MIN: usize = 64;
/// How many rows must share a string on average.
const CODED_ROWS_PER_TEXT: usize = 4;

impl Texts {
    fn push(&mut self, text: Option<&[u8]>) {
        debug_assert!(self.codes.is_none(), "rows are only appended before a column is packed");
        if text.is_none() {
            self.absent
                .push(u32::try_from(self.ends.len()).expect("a piece has fewer than 2^31 rows"));
        }
        self.bytes.extend_from_slice(text.unwrap_or_default());
        self.ends.push(u32::try_from(self.bytes.len()).expect("pieces are closed before 4 GiB"));
    }

    /// The string of a row.
    pub fn get(&self, row: u32) -> Option<&[u8]> {
        match &self.codes {
            None => {
                let text = self.text(row as usize);
                (!text.is_empty() || self.absent.binary_search(&row).is_err()).then_some(text)
            }
            Some(TextCodes::Bytes(codes)) => {
                let code = codes[row as usize];
                (code != u8::MAX).then(|| self.text(code.into()))
            }
            Some(TextCodes::Shorts(codes)) => {
                let code = codes[row as usize];
                (code != u16::MAX).then(|| self.text(code.into()))
            }
        }
    }

    /// The string in a place.
    fn text(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start as usize..self.ends[at] as usize]
    }

    fn pack(&mut self) {
        if self.codes.is_none() && self.ends.len() >= CODED_ROWS_MIN {
            self.encode();
        }
        self.ends.shrink_to_fit();
        self.bytes.shrink_to_fit();
        self.absent.shrink_to_fit();
    }

    /// Keeps each string once, if there are few.
    fn encode(&mut self) {
        let rows = self.ends.len();
        let distinct_max = (rows / CODED_ROWS_PER_TEXT).min(usize::from(u16::MAX) - 1);
        let hasher = DefaultHashBuilder::default();
        let mut table: HashTable<u16> = HashTable::new();
        let mut distinct = Texts::default();
        let mut codes: Vec<u16> = Vec::with_capacity(rows);
        let mut absent = self.absent.iter().peekable();
        for row in 0..rows {
            if absent.next_if(|absent| **absent as usize == row).is_some() {
                codes.push(u16::MAX);
                continue;
            }
            let text = self.text(row);
            let hash = hasher.hash_one(text);
            if let Some(code) = table.find(hash, |code| distinct.text((*code).into()) == text) {
                codes.push(*code);
                continue;
            }
            if distinct.ends.len() == distinct_max {
                return;
            }
            let code = u16::try_from(distinct.ends.len()).expect("distinct_max fits");
            distinct.push(Some(text));
            table.insert_unique(hash, code, |code| hasher.hash_one(distinct.text((*code).into())));
            codes.push(code);
        }
        let byte = |code: &u16| u8::try_from(*code).unwrap_or(u8::MAX);
        distinct.codes = Some(match distinct.ends.len() < usize::from(u8::MAX) {
            true => TextCodes::Bytes(codes.iter().map(byte).collect()),
            false => TextCodes::Shorts(codes),
        });
        *self = distinct;
    }

    fn memory(&self) -> usize {
        let codes = match &self.codes {
            None => 0,
            Some(TextCodes::Bytes(codes)) => codes.capacity(),
            Some(TextCodes::Shorts(codes)) => codes.capacity() * 2,
        };
        codes + (self.ends.capacity() + self.absent.capacity()) * 4 + self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = Vec<Value>> {
        let number = prop_oneof![
            (-3i32..300).prop_map(f64::from),
            (0i32..100_000).prop_map(f64::from),
            any::<i32>().prop_map(f64::from),
            (-50i32..50).prop_map(|n| f64::from(n) / 4.0),
            Just(f64::INFINITY),
        ];
        let small = (0i32..250).prop_map(|n| Value::Number(f64::from(n)));
        let any = prop_oneof![
            4 => number.clone().prop_map(Value::Number),
            1 => Just(Value::Absent),
            1 => proptest::collection::vec(number, 2..4).prop_map(Value::Numbers),
        ];
        prop_oneof![proptest::collection::vec(any, 0..40), proptest::collection::vec(small, 0..40)]
    }

    proptest! {
        #[test]
        fn packing_changes_no_answer(
            values in numbers(),
            bounds in (-10i32..320, -10i32..320), halves in (0u8..2, 0u8..2), exclusive in (any::<bool>(), any::<bool>()),
        ) {
            let mut column = Column::new(ColumnKind::Numbers);
            values.iter().for_each(|value| column.push(value));
            let mut packed = column.clone();
            packed.pack();
            let (Column::Numbers(plain), Column::Numbers(packed)) = (&column, &packed) else { unreachable!() };
            let range = Range {
                min: f64::from(bounds.0) + f64::from(halves.0) / 2.0,
                max: f64::from(bounds.1) + f64::from(halves.1) / 2.0,
                min_exclusive: exclusive.0, max_exclusive: exclusive.1,
            };
            let rows = values.len() as u32;
            for row in 0..rows {
                let all: Vec<f64> = match &values[row as usize] {
                    Value::Number(n) => vec![*n],
                    Value::Numbers(all) => all.clone(),
                    _ => vec![],
                };
                prop_assert_eq!(packed.first(row), all.first().copied());
                let expected = all.iter().any(|n| range.contains(*n));
                prop_assert_eq!(plain.matches(row, &range), expected);
                prop_assert_eq!(packed.matches(row, &range), expected);
                let next = (row..rows).find(|row| plain.matches(*row, &range));
                prop_assert_eq!(packed.next_match(row, rows, &range), next);
                prop_assert_eq!(plain.next_match(row, rows, &range), next);
            }
            let some: Vec<u32> = (0..rows).step_by(2).collect();
            for rows in [(0..rows).collect(), some] {
                let expected = rows.iter().map(|row| plain.first(*row));
                for firsts in [plain.firsts(&rows), packed.firsts(&rows)] {
                    let firsts = firsts.into_iter().map(|number| Some(number).filter(|n| !n.is_nan()));
                    prop_assert!(firsts.eq(expected.clone()));
                }
            }
        }

        #[test]
        fn texts_come_back(
            // With three letters there are few texts, with twenty-six many.
            values in prop_oneof![
                proptest::collection::vec(proptest::option::of("[a-c]{0,2}"), 0..200),
                proptest::collection::vec(proptest::option::of("[a-z]{0,3}"), 0..400),
                proptest::collection::vec(proptest::option::of("[a-z][ab]?[ab]?[ab]?"), 1000..2000),
            ],
            packed in any::<bool>(),
        ) {
            let mut column = Column::new(ColumnKind::Texts);
            for value in &values {
                column.push(&value.as_ref().map_or(Value::Absent, |text| Value::Text(text.clone().into())));
            }
            if packed {
                column.pack();
            }
            let Column::Texts(texts) = &column else { unreachable!() };
            for (row, value) in values.iter().enumerate() {
                prop_assert_eq!(texts.get(row as u32), value.as_ref().map(|text| text.as_bytes()));
            }
        }
    }
}
