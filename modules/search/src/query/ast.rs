//! What is a query made of, once it is parsed?
//!
//! Field names are resolved already; words are normalised but not stemmed yet.

use std::sync::Arc;

use crate::geo::Circle;
use crate::query::pattern::Pattern;
use crate::schema::{ALL_FIELDS, FieldMask};
use crate::shape::Question;

/// A clause and what is said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it asks for.
    pub kind: Kind,
    /// In which TEXT fields.
    pub fields: FieldMask,
    /// Factor of its scores.
    pub weight: f64,
    /// How many other words may stand between its words; none leaves it to the whole query.
    pub slop: Option<i64>,
    /// Whether words that sound alike match too; none leaves it to the fields.
    pub phonetic: Option<bool>,
    /// Whether its words must stand in order; none leaves it to the whole query.
    pub in_order: Option<bool>,
}

/// What a clause asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing matches.
    Nothing,
    /// Everything matches.
    All,
    /// One word; it is not stemmed if `verbatim`.
    Word {
        /// The word.
        word: String,
        /// As it stands.
        verbatim: bool,
    },
    /// Words of a shape.
    Pattern(Pattern),
    /// All of these; as neighbours in this order if `exact`.
    And {
        /// The clauses.
        children: Vec<Node>,
        /// Written in quotes.
        exact: bool,
    },
    /// Any of these.
    Or(Vec<Node>),
    /// What does not match this.
    Not(Box<Node>),
    /// Everything, better if it matches this.
    Optional(Box<Node>),
    /// Tags of a field, by its number: any of these.
    Tags {
        /// The field's number.
        field: u16,
        /// Wanted values.
        items: Vec<TagItem>,
    },
    /// Numbers of a field, by its number.
    Range {
        /// The field's number.
        field: u16,
        /// The wanted numbers.
        range: Range,
    },
    /// Documents without this field, by its number.
    Missing(u16),
    /// Elements of a NESTED field, by its number, that match this.
    Nested {
        /// The field's number.
        field: u16,
        /// What one element must match.
        child: Box<Node>,
    },
    /// Places on earth near one.
    Circle {
        /// The field's number.
        field: u16,
        /// Where they must lie.
        circle: Circle,
    },
    /// Shapes that stand in a relation to one.
    Shape {
        /// The field's number.
        field: u16,
        /// The relation and the shape.
        question: Arc<Question>,
    },
    /// Vectors within a distance of one.
    Around {
        /// The field and the vector.
        clause: VectorClause,
        /// The distance.
        radius: f64,
    },
    /// The nearest vectors to one, of the documents that match a filter; only ever a whole query.
    Nearest {
        /// The field and the vector.
        clause: VectorClause,
        /// How many.
        k: usize,
        /// What the documents must match, if not everything.
        filter: Option<Box<Node>>,
    },
}

/// What vector clauses have in common.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VectorClause {
    /// The field's number.
    pub field: u16,
    /// The vector, as a hash would hold it.
    pub vector: Vec<u8>,
    /// Name of the parameter that holds it.
    pub parameter: Vec<u8>,
    /// Name under which results show their distance.
    pub yields: Option<Vec<u8>>,
    /// Candidates that a walk through a graph keeps.
    pub ef: Option<usize>,
    /// How much farther than the radius such a walk looks.
    pub epsilon: Option<f64>,
}

/// One alternative of a tag clause.
#[derive(Debug, Clone, PartialEq)]
pub enum TagItem {
    /// This value.
    Value(Vec<u8>),
    /// Values of a shape.
    Pattern(Pattern),
}

/// An interval of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lower bound.
    pub min: f64,
    /// Upper bound.
    pub max: f64,
    /// The lower bound itself is outside.
    pub min_exclusive: bool,
    /// The upper bound itself is outside.
    pub max_exclusive: bool,
}

impl Range {
    /// Whether `value` lies inside.
    pub fn contains(&self, value: f64) -> bool {
        let above = if self.min_exclusive { value > self.min } else { value >= self.min };
        let below = if self.max_exclusive { value < self.max } else { value <= self.max };
        above && below
    }
}

impl Node {
    /// A clause about all fields, with nothing special said about it.
    pub fn new(kind: Kind) -> Node {
        Node { kind, fields: ALL_FIELDS, weight: 1.0, slop: None, phonetic: None, in_order: None }
    }

    /// Has the clause's words, and those of what it consists of, match by sound or not.
    pub fn set_phonetic(&mut self, wanted: bool) {
        self.phonetic = Some(wanted);
        match &mut self.kind {
            Kind::And { children, .. } | Kind::Or(children) => {
                children.iter_mut().for_each(|child| child.set_phonetic(wanted));
            }
            Kind::Not(child) | Kind::Optional(child) | Kind::Nested { child, .. } => {
                child.set_phonetic(wanted);
            }
            _ => {}
        }
    }

    /// Whether nothing special is said about it.
    pub fn says_nothing(&self) -> bool {
        self.fields == ALL_FIELDS
            && self.weight == 1.0
            && self.slop.is_none()
            && self.in_order.is_none()
    }

    /// Restricts the clause, and what it consists of, to `mask`.
    pub fn restrict(&mut self, mask: FieldMask) {
        self.fields &= mask;
        match &mut self.kind {
            Kind::And { children, .. } | Kind::Or(children) => {
                children.iter_mut().for_each(|child| child.restrict(mask));
            }
            Kind::Not(child) | Kind::Optional(child) => child.restrict(mask),
            _ => {}
        }
    }
}
