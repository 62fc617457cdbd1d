//! Which rows of a piece have a shape that answers a question?
//!
//! Shapes and their boxes in the order of their rows. When a piece is sealed, the boxes are also laid into tiles: strips
//! from left to right, each cut into groups from bottom to top, each group with a box around it (the packing of R-trees
//! by Leutenegger and others, "STR", with a single level above the leaves). A question looks at groups, then at boxes,
//! and only then at shapes.

use std::sync::Arc;

use crate::shape::{Bounds, Question, Shape, Surface};

/// Boxes of a group.
const GROUP: usize = 32;

/// Shapes by row; a row may have none.
#[derive(Debug, Clone)]
pub struct Shapes {
    surface: Surface,
    len: u32,
    /// The row of each shape, rising.
    rows: Vec<u32>,
    shapes: Vec<Arc<Shape>>,
    bounds: Vec<Bounds>,
    /// Groups of shapes that lie near each other; none until the column is packed.
    groups: Vec<(Bounds, Vec<u32>)>,
}

impl Shapes {
    /// No rows yet.
    pub fn new(surface: Surface) -> Shapes {
        Shapes {
            surface,
            len: 0,
            rows: Vec::new(),
            shapes: Vec::new(),
            bounds: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Appends a row.
    pub fn push(&mut self, shape: Option<&Arc<Shape>>) {
        if let Some(shape) = shape {
            self.rows.push(self.len);
            self.bounds.push(shape.bounds(self.surface));
            self.shapes.push(Arc::clone(shape));
        }
        self.len += 1;
    }

    /// The shape of a row.
    pub fn get(&self, row: u32) -> Option<&Arc<Shape>> {
        let at = self.rows.binary_search(&row).ok()?;
        Some(&self.shapes[at])
    }

    /// The row of each shape, rising.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The shapes in the order of their rows.
    pub fn shapes(&self) -> &[Arc<Shape>] {
        &self.shapes
    }

    /// Makes ready for many questions and no more rows.
    pub fn pack(&mut self) {
        self.rows.shrink_to_fit();
        self.shapes.shrink_to_fit();
        self.bounds.shrink_to_fit();
        let count = u32::try_from(self.shapes.len()).expect("rows are 32-bit");
        let mut order: Vec<u32> = (0..count).collect();
        let middle = |at: &u32, axis: usize| self.bounds[*at as usize].middle(axis);
        let by = |axis: usize| move |a: &u32, b: &u32| middle(a, axis).total_cmp(&middle(b, axis));
        order.sort_unstable_by(by(0));
        let groups = order.len().div_ceil(GROUP);
        let strip = (groups as f64).sqrt().ceil() as usize * GROUP;
        for strip in order.chunks_mut(strip.max(1)) {
            strip.sort_unstable_by(by(1));
            for group in strip.chunks(GROUP) {
                let mut bounds = Bounds::EMPTY;
                group.iter().for_each(|at| bounds.join(&self.bounds[*at as usize]));
                self.groups.push((bounds, group.to_vec()));
            }
        }
    }

    /// The rows whose shapes match, rising. `over` is asked before each that must be looked at closely; what is found
    /// until it says yes is given.
    pub fn matching(&self, question: &Question, over: &mut dyn FnMut() -> bool) -> Vec<u32> {
        let mut rows = Vec::new();
        let apart = question.matches_apart();
        // Answers whether it is time to stop.
        let mut look = |at: usize| {
            let near = self.bounds[at].touches(question.bounds());
            if near && over() {
                return true;
            }
            if if near { question.matches(&self.shapes[at]) } else { apart } {
                rows.push(self.rows[at]);
            }
            false
        };
        if self.groups.is_empty() {
            let _ = (0..self.shapes.len()).any(&mut look);
        }
        for (bounds, group) in &self.groups {
            if (apart || bounds.touches(question.bounds()))
                && group.iter().any(|at| look(*at as usize))
            {
                break;
            }
        }
        rows.sort_unstable();
        rows
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        let shapes = self.shapes.iter().map(|shape| shape.memory() + size_of::<Shape>() + 16);
        self.rows.capacity() * 4
            + self.bounds.capacity() * size_of::<Bounds>()
            + self.shapes.capacity() * 8
            + shapes.sum::<usize>()
            + self.groups.iter().map(|(_, group)| group.len() * 4 + 48).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shape::Relation;

    fn text() -> impl Strategy<Value = String> {
        let point = (-50..50i32, -50..50i32).prop_map(|(x, y)| format!("POINT({x} {y})"));
        let triangle = (-50..50i32, -50..50i32, 1..20i32, 1..20i32)
            .prop_map(|(x, y, w, h)| format!("POLYGON(({x} {y}, {} {y}, {x} {}))", x + w, y + h));
        prop_oneof![point, triangle]
    }

    proptest! {
        #[test]
        fn groups_hide_nothing(
            rows in proptest::collection::vec(proptest::option::of(text()), 0..150), query in text(),
            relation in proptest::sample::select(&[Relation::Within, Relation::Contains, Relation::Intersects, Relation::Disjoint][..]),
            surface in proptest::sample::select(&[Surface::Flat, Surface::Spherical][..]),
        ) {
            let mut shapes = Shapes::new(surface);
            let read = |text: &String| Arc::new(Shape::parse(text.as_bytes(), surface).unwrap());
            let rows: Vec<Option<Arc<Shape>>> = rows.iter().map(|row| row.as_ref().map(read)).collect();
            rows.iter().for_each(|row| shapes.push(row.as_ref()));
            let question = Question::new(relation, query.as_bytes(), surface).unwrap();
            let expected: Vec<u32> = (0..rows.len() as u32)
                .filter(|row| rows[*row as usize].as_ref().is_some_and(|shape| question.matches(shape)))
                .collect();
            prop_assert_eq!(shapes.matching(&question, &mut || false), expected.clone());
            shapes.pack();
            prop_assert_eq!(shapes.matching(&question, &mut || false), expected);
        }
    }
}
