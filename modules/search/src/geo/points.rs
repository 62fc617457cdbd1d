//! Which rows of a piece lie within a circle?
//!
//! Points in the order of their rows. When a piece is sealed the order of their codes is worked out too; then a circle
//! is a few stretches of that order. A fresh piece has few rows, all of which are looked at.

use std::io;

use crate::geo::{Circle, Point};
use crate::storage::codec::{Broken, Decoder, Encoder, ensure};

/// Points by row; a row may have several, or none.
#[derive(Debug, Clone, Default)]
pub struct Points {
    /// How many rows there are.
    len: u32,
    /// The row of each point, rising.
    rows: Vec<u32>,
    codes: Vec<u64>,
    /// Places in `codes` by rising code; empty until the column is packed.
    order: Vec<u32>,
}

impl Points {
    /// Appends a row with these points.
    pub fn push(&mut self, codes: &[u64]) {
        for code in codes {
            self.rows.push(self.len);
            self.codes.push(*code);
        }
        self.len += 1;
    }

    /// The points of a row.
    pub fn of_row(&self, row: u32) -> &[u64] {
        let start = self.rows.partition_point(|other| *other < row);
        let end = start + self.rows[start..].iter().take_while(|other| **other == row).count();
        &self.codes[start..end]
    }

    /// Makes ready for many questions and no more rows.
    pub fn pack(&mut self) {
        self.rows.shrink_to_fit();
        self.codes.shrink_to_fit();
        let places = u32::try_from(self.codes.len()).expect("a piece has fewer than 2^32 points");
        self.order = (0..places).collect();
        self.order.sort_unstable_by_key(|place| self.codes[*place as usize]);
    }

    /// The rows that have a point in the circle, rising.
    pub fn within(&self, circle: &Circle) -> Vec<u32> {
        let ranges = circle.code_ranges();
        let mut rows = Vec::new();
        let mut look = |place: usize| {
            if circle.contains(Point::of_code(self.codes[place])) {
                rows.push(self.rows[place]);
            }
        };
        if self.order.len() == self.codes.len() {
            for (first, last) in ranges {
                let code = |place: &u32| self.codes[*place as usize];
                let start = self.order.partition_point(|place| code(place) < first);
                let inside = self.order[start..].iter().take_while(|place| code(place) <= last);
                inside.for_each(|place| look(*place as usize));
            }
        } else {
            for (place, code) in self.codes.iter().enumerate() {
                if ranges.iter().any(|(first, last)| first <= code && code <= last) {
                    look(place);
                }
            }
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// Writes packed points.
    pub fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.list(&self.rows)?;
        out.list(&self.codes)?;
        out.list(&self.order)
    }

    /// Reads the points of so many rows.
    pub fn decode(bytes: &mut Decoder<'_>, len: u32) -> Result<Points, Broken> {
        let rows: Vec<u32> = bytes.list()?;
        ensure(rows.is_sorted() && rows.last() < Some(&len), "rows are not in order")?;
        let codes: Vec<u64> = bytes.list_of(rows.len())?;
        let order: Vec<u32> = bytes.list_of(rows.len())?;
        let known = order.iter().all(|place| (*place as usize) < codes.len());
        ensure(known, "an order names a point that is not there")?;
        Ok(Points { len, rows, codes, order })
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        (self.rows.capacity() + self.order.capacity()) * 4 + self.codes.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point() -> impl Strategy<Value = Point> {
        let near = (2.0..2.1f64, 48.0..48.1f64);
        let anywhere = (-180.0..180.0f64, -85.0..85.0f64);
        let edge = (prop_oneof![-180.0..-179.9f64, 179.9..180.0f64], -85.0..85.0f64);
        prop_oneof![near, anywhere, edge]
            .prop_map(|(longitude, latitude)| Point { longitude, latitude })
    }

    proptest! {
        #[test]
        fn a_circle_finds_what_a_scan_finds(
            rows in proptest::collection::vec(proptest::collection::vec(point(), 0..3), 0..60),
            center in point(), metres in prop_oneof![10.0..2e4f64, 1e4..2e7f64],
        ) {
            let circle = Circle { center, metres };
            let mut points = Points::default();
            for row in &rows {
                let codes: Vec<u64> = row.iter().map(|point| point.code()).collect();
                points.push(&codes);
            }
            let expected: Vec<u32> = (0..rows.len() as u32)
                .filter(|row| points.of_row(*row).iter().any(|code| circle.contains(Point::of_code(*code))))
                .collect();
            prop_assert_eq!(points.within(&circle), expected.clone());
            points.pack();
            prop_assert_eq!(points.within(&circle), expected);
            for (at, row) in rows.iter().enumerate() {
                prop_assert_eq!(points.of_row(at as u32).len(), row.len());
            }
        }
    }
}
