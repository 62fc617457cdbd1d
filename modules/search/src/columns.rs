//! Which value does row n have?
//!
//! Values by row, for ranges, sorting and grouping: the postings answer "which documents", these answer "what does
//! this one have". Rows are only ever appended; a piece of the index that drops its dead rows copies the others into
//! new columns. When a piece is sealed, whole numbers of a small spread are stored in one, two or four bytes, and texts that are
//! few are stored once.

pub mod codec;
pub mod numbers;

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::columns::numbers::Numbers;
use crate::geo::points::Points;
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
            Column::Numbers(numbers) => numbers.codes(),
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
            (Column::Numbers(numbers), Some(Column::Numbers(from))) => numbers.push_from(from, row),
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

    proptest! {
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
