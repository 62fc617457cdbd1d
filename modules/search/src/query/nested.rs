//! What must one element of an array be like?
//!
//! A clause about a NESTED field becomes two things: a test, which one element has to pass as a whole, and the same
//! conditions for the document as a whole, which find the candidates. A document with such an element meets each
//! condition in some element, so none is lost; scores are those that the conditions give without the test.

use std::sync::Arc;

use crate::error::Error;
use crate::geo::Circle;
use crate::query::ast::{Node, Range};
use crate::query::pattern::Pattern;
use crate::query::plan::{Leaf, MISSING_FIELD, Planner, Proximity, Shape, Space, Step};
use crate::schema::{Field, FieldKind, FieldMask};

/// What an element must be like. Fields go by their numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Every element passes.
    Always,
    /// None does.
    Never,
    /// A term occurs in one of these TEXT fields.
    Word(Vec<u16>, Box<[u8]>),
    /// A term of a shape occurs in one of these TEXT fields.
    WordShape(Vec<u16>, Shape),
    /// It has a tag.
    Tag(u16, Box<[u8]>),
    /// It has a tag of a shape.
    TagShape(u16, Pattern),
    /// It has a number in an interval.
    Numbers(u16, Range),
    /// It has a place in a circle.
    Near(u16, Circle),
    /// It lacks a field.
    Missing(u16),
    /// It passes all of these, whose words stand so.
    All(Vec<Test>, Option<Proximity>),
    /// It passes one of these.
    Any(Vec<Test>),
    /// It does not pass this.
    Not(Box<Test>),
    /// One of its own elements passes this.
    Element(u16, Arc<Test>),
}

impl Planner<'_> {
    pub(super) fn nested(&mut self, field: u16, child: &Node, weight: f64) -> Result<Step, Error> {
        let Some(column) = self.schema.fields[field as usize].places else {
            return Ok(Step::Nothing);
        };
        let step = self.step(child)?;
        let test = Arc::new(self.test(&step));
        let candidates = self.candidates(step).unwrap_or(Step::All { weight: 1.0 });
        if candidates == Step::Nothing {
            return Ok(Step::Nothing);
        }
        Ok(Step::Nested { field, column, test, candidates: Box::new(candidates), weight })
    }

    /// The test of a plan for one element.
    fn test(&self, step: &Step) -> Test {
        let all = |children: &[Step]| children.iter().map(|child| self.test(child)).collect();
        match step {
            Step::Nothing => Test::Never,
            // What may be there need not be.
            Step::All { .. } | Step::Optional { .. } => Test::Always,
            Step::Leaf { leaf, fields, .. } => self.leaf_test(&self.leaves[*leaf], *fields),
            Step::And { children, proximity, .. } => Test::All(all(children), *proximity),
            Step::Or { children, .. } => Test::Any(all(children)),
            Step::Not(child) => Test::Not(Box::new(self.test(child))),
            Step::Range { column, range, .. } => {
                match self.number_of(|f| f.column == Some(*column)) {
                    Some(field) => Test::Numbers(field, *range),
                    None => Test::Never,
                }
            }
            Step::Circle { column, circle, .. } => {
                match self.number_of(|f| f.places == Some(*column)) {
                    Some(field) => Test::Near(field, *circle),
                    None => Test::Never,
                }
            }
            Step::Nested { field, test, .. } => Test::Element(*field, Arc::clone(test)),
            // The parser does not let these in.
            Step::Shape { .. } | Step::Vector { .. } => Test::Never,
        }
    }

    fn leaf_test(&self, leaf: &Leaf, fields: FieldMask) -> Test {
        let number = |bytes: &[u8]| {
            let bytes =
                bytes.first_chunk().expect("the number of a field stands in front of a tag");
            u16::from_be_bytes(*bytes)
        };
        match leaf {
            Leaf::Term(term) => match term.space {
                Space::Words => Test::Word(self.numbers_of(fields), term.bytes.clone().into()),
                Space::Tags => match number(&term.bytes) {
                    MISSING_FIELD => Test::Missing(number(&term.bytes[2..])),
                    field => Test::Tag(field, term.bytes[2..].into()),
                },
            },
            Leaf::Shape(shape) => match shape.space {
                Space::Words => Test::WordShape(self.numbers_of(fields), shape.clone()),
                Space::Tags => Test::TagShape(number(&shape.prefix), shape.pattern.clone()),
            },
        }
    }

    fn number_of(&self, is_it: impl Fn(&Field) -> bool) -> Option<u16> {
        u16::try_from(self.schema.fields.iter().position(is_it)?).ok()
    }

    /// Numbers of TEXT fields among all fields.
    fn numbers_of(&self, mask: FieldMask) -> Vec<u16> {
        let is_meant = |field: &Field| match field.kind {
            FieldKind::Text { id, .. } => mask >> id & 1 == 1,
            _ => false,
        };
        let numbered = (0u16..).zip(&self.schema.fields);
        numbered.filter(|(_, field)| is_meant(field)).map(|(number, _)| number).collect()
    }

    /// What a document must match to have an element that a plan for one element matches; none if that says nothing.
    fn candidates(&self, step: Step) -> Option<Step> {
        Some(match step {
            Step::All { .. } | Step::Not(_) => return None,
            Step::Leaf { leaf, .. } if self.is_missing(leaf) => return None,
            // Words of one element stand in the document as they stand there, but among others.
            Step::And { children, weight, .. } => {
                let mut children: Vec<Step> =
                    children.into_iter().filter_map(|child| self.candidates(child)).collect();
                match children.len() {
                    0 => return None,
                    1 if weight == 1.0 => children.remove(0),
                    _ => Step::And { children, weight, proximity: None },
                }
            }
            Step::Or { children, weight } => {
                let children = children.into_iter().map(|child| self.candidates(child));
                Step::Or { children: children.collect::<Option<_>>()?, weight }
            }
            Step::Optional { child, weight } => {
                Step::Optional { child: Box::new(self.candidates(*child)?), weight }
            }
            step => step,
        })
    }

    fn is_missing(&self, leaf: usize) -> bool {
        match &self.leaves[leaf] {
            Leaf::Term(term) => {
                term.space == Space::Tags && term.bytes.starts_with(&MISSING_FIELD.to_be_bytes())
            }
            Leaf::Shape(_) => false,
        }
    }
}
