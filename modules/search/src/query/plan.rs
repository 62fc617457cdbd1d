//! What must the index look up to answer a query?
//!
//! The tree of the parser with everything settled that the schema and the options of the command decide: words have
//! grown their stems, fields have become columns, terms are numbered. A plan is run against each piece of the index
//! alike.
//!
//! A word becomes the union of itself and what else it is looked up as (see [`expand`](crate::query::expand)).

use std::sync::Arc;

use crate::error::Error;
use crate::geo::Circle;
use crate::query::ast::{Kind, Node, Range, TagItem, VectorClause};
use crate::query::expand::{Expander, Expansion, expand, is_marked};
use crate::query::fuzzy::Fuzzy;
use crate::query::nested::Test;
use crate::query::pattern::Pattern;
use crate::schema::{ALL_FIELDS, FieldKind, FieldMask, Schema};
use crate::shape::Question;
use crate::tokenize::{Language, Segment, segments};

/// Marks the stem of a word in the dictionary; words cannot begin with it unless it is escaped in the text.
pub const STEM_MARK: char = '+';
/// Stands in place of a field's number in terms that say that a field is missing.
pub const MISSING_FIELD: u16 = u16::MAX;

/// Terms that one query may name; each may need a cursor per piece of the index.
const TERMS_MAX: usize = 65_536;
/// Questions about vectors in one query; each may look at all of them.
const VECTORS_MAX: usize = 64;

/// A query, ready to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The tree.
    pub root: Step,
    /// The terms and shapes of terms that its leaves refer to by number.
    pub leaves: Vec<Leaf>,
    /// Questions about vectors, by the numbers that steps have for them. One for the nearest comes last.
    pub vectors: Vec<VectorQuery>,
}

impl Plan {
    /// The question for the nearest vectors, if the query is one.
    pub fn nearest(&self) -> Option<usize> {
        let last = self.vectors.len().checked_sub(1)?;
        matches!(self.vectors[last].ask, VectorAsk::Nearest { .. }).then_some(last)
    }

    /// The question whose distances go by a name.
    pub fn distance(&self, name: &[u8]) -> Option<usize> {
        self.vectors.iter().position(|query| query.clause.yields.as_deref() == Some(name))
    }
}

/// A question about vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorQuery {
    /// Number of the field among the VECTOR fields.
    pub id: u16,
    /// The column of its slots.
    pub column: u16,
    /// The vector and how it is searched for.
    pub clause: VectorClause,
    /// What is asked.
    pub ask: VectorAsk,
}

/// What is asked about vectors.
#[derive(Debug, Clone, PartialEq)]
pub enum VectorAsk {
    /// Those within a distance.
    Within(f64),
    /// The nearest.
    Nearest {
        /// How many.
        k: usize,
        /// What their documents must match, if not everything.
        filter: Option<Step>,
    },
}

/// One node of a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing matches.
    Nothing,
    /// Everything matches.
    All {
        /// Factor of the score.
        weight: f64,
    },
    /// Documents with a term, or with a term of a shape.
    Leaf {
        /// Number of the leaf.
        leaf: usize,
        /// In which TEXT fields.
        fields: FieldMask,
        /// Factor of the score.
        weight: f64,
    },
    /// Documents that match all of these.
    And {
        /// The clauses.
        children: Vec<Step>,
        /// Factor of the score.
        weight: f64,
        /// How the words must stand to each other.
        proximity: Option<Proximity>,
    },
    /// Documents that match any of these.
    Or {
        /// The clauses.
        children: Vec<Step>,
        /// Factor of the score.
        weight: f64,
    },
    /// Documents that do not match this.
    Not(Box<Step>),
    /// All documents.
    Optional {
        /// What adds to the score where it matches.
        child: Box<Step>,
        /// Factor of the score.
        weight: f64,
    },
    /// Documents with a place in a circle.
    Circle {
        /// Number of the column.
        column: u16,
        /// The circle.
        circle: Circle,
        /// Factor of the score.
        weight: f64,
    },
    /// Documents with a shape that answers a question.
    Shape {
        /// Number of the column.
        column: u16,
        /// The question.
        question: Arc<Question>,
        /// Factor of the score.
        weight: f64,
    },
    /// Documents that a question about vectors found.
    Vector {
        /// Number of the question.
        query: usize,
        /// Factor of the score.
        weight: f64,
    },
    /// Documents with an element of a NESTED field that passes a test.
    Nested {
        /// Number of the field.
        field: u16,
        /// Number of the column of its elements.
        column: u16,
        /// The test.
        test: Arc<Test>,
        /// What documents with such an element match as a whole.
        candidates: Box<Step>,
        /// Factor of the score.
        weight: f64,
    },
    /// Documents with a number in an interval.
    Range {
        /// Number of the column.
        column: u16,
        /// The interval.
        range: Range,
        /// Factor of the score.
        weight: f64,
    },
}

/// How the words of a clause must stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proximity {
    /// How many other words may stand between them.
    pub slop: Option<u32>,
    /// They must stand in the clause's order.
    pub in_order: bool,
}

/// A leaf of the tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Leaf {
    /// One term.
    Term(Term),
    /// All terms of a shape.
    Shape(Shape),
}

/// A term of the dictionary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// Which dictionary.
    pub space: Space,
    /// The bytes that stand there.
    pub bytes: Vec<u8>,
}

/// Which dictionary a term belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Words of all TEXT fields.
    Words,
    /// Values of all TAG fields, each behind its field's number.
    Tags,
}

/// Terms of a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Which dictionary.
    pub space: Space,
    /// What stands before the part that the pattern is about: a tag's field.
    pub prefix: Vec<u8>,
    /// The shape.
    pub pattern: Pattern,
}

impl Shape {
    /// What all matching terms begin with.
    pub fn literal_prefix(&self) -> Vec<u8> {
        [&self.prefix, self.pattern.literal_prefix()].concat()
    }

    /// The automaton that finds the terms, if there is one for the shape.
    pub fn fuzzy(&self) -> Option<Fuzzy> {
        match &self.pattern {
            Pattern::Fuzzy { word, distance } if self.prefix.is_empty() => {
                Fuzzy::new(word, *distance)
            }
            _ => None,
        }
    }

    /// Whether `term` has the shape.
    pub fn matches(&self, term: &[u8]) -> bool {
        if self.space == Space::Words && is_marked(term) {
            return false;
        }
        term.strip_prefix(&*self.prefix).is_some_and(|rest| self.pattern.matches(rest))
    }
}

/// The term of a word.
pub fn word_term(word: &str) -> Term {
    Term { space: Space::Words, bytes: word.as_bytes().to_vec() }
}

/// The term of a stem.
pub fn stem_term(stem: &str) -> Term {
    Term { space: Space::Words, bytes: format!("{STEM_MARK}{stem}").into_bytes() }
}

/// The term of a tag of field `field`.
pub fn tag_term(field: u16, value: &[u8]) -> Term {
    Term { space: Space::Tags, bytes: [&field.to_be_bytes(), value].concat() }
}

/// The term of documents that lack field `field`.
pub fn missing_term(field: u16) -> Term {
    tag_term(MISSING_FIELD, &field.to_be_bytes())
}

/// What the command says about the whole query.
#[derive(Debug, Clone)]
pub struct Options {
    /// Words are not stemmed.
    pub verbatim: bool,
    /// What else words are looked up as.
    pub expander: Expander,
    /// Language of the query's words.
    pub language: Language,
    /// TEXT fields that count at all (INFIELDS).
    pub fields: FieldMask,
    /// SLOP.
    pub slop: Option<i64>,
    /// INORDER.
    pub in_order: bool,
}

/// The plan of a tree.
pub fn plan(node: &Node, schema: &Schema, options: &Options) -> Result<Plan, Error> {
    let mut planner = Planner { schema, options, leaves: Vec::new(), vectors: Vec::new() };
    let root = planner.step(node)?;
    Ok(Plan { root, leaves: planner.leaves, vectors: planner.vectors })
}

pub(super) struct Planner<'a> {
    pub(super) schema: &'a Schema,
    options: &'a Options,
    pub(super) leaves: Vec<Leaf>,
    vectors: Vec<VectorQuery>,
}

impl Planner<'_> {
    pub(super) fn step(&mut self, node: &Node) -> Result<Step, Error> {
        let weight = node.weight;
        Ok(match &node.kind {
            Kind::Nothing => Step::Nothing,
            Kind::All => Step::All { weight },
            Kind::Word { word, verbatim } => self.word(node, word, *verbatim)?,
            Kind::Pattern(pattern) => self.pattern(node, pattern)?,
            Kind::And { children, exact } => self.and(node, children, *exact)?,
            Kind::Or(children) => {
                let children = children.iter().map(|c| self.step(c)).collect::<Result<_, _>>()?;
                Step::Or { children, weight }
            }
            Kind::Not(child) => Step::Not(Box::new(self.step(child)?)),
            Kind::Optional(child) => Step::Optional { child: Box::new(self.step(child)?), weight },
            Kind::Tags { field, items } => self.tags(node, *field, items)?,
            Kind::Range { field, range } => {
                let field = &self.schema.fields[*field as usize];
                match field.column.filter(|_| field.is_searchable()) {
                    Some(column) => Step::Range { column, range: *range, weight },
                    None => Step::Nothing,
                }
            }
            Kind::Circle { field, circle } => match self.places(*field) {
                Some(column) => Step::Circle { column, circle: *circle, weight },
                None => Step::Nothing,
            },
            Kind::Shape { field, question } => match self.places(*field) {
                Some(column) => Step::Shape { column, question: Arc::clone(question), weight },
                None => Step::Nothing,
            },
            Kind::Around { radius, .. } if *radius < 0.0 => {
                return Err(Error::Formatted(format!(
                    "Error parsing vector similarity query: negative radius ({radius}) given in a range query"
                )));
            }
            Kind::Around { clause, radius } => {
                self.vector(clause, VectorAsk::Within(*radius), weight)?
            }
            Kind::Nearest { clause, k, filter } => {
                self.nearest(clause, *k, filter.as_deref(), weight)?
            }
            Kind::Nested { field, child } => self.nested(*field, child, weight)?,
            Kind::Missing(field) => {
                self.leaf(Leaf::Term(missing_term(*field)), ALL_FIELDS, weight)?
            }
        })
    }

    /// The column that clauses of a field's type look at.
    fn places(&self, field: u16) -> Option<u16> {
        self.schema.fields[field as usize].places
    }

    fn vector(
        &mut self,
        clause: &VectorClause,
        ask: VectorAsk,
        weight: f64,
    ) -> Result<Step, Error> {
        let field = &self.schema.fields[clause.field as usize];
        let (FieldKind::Vector { id, options }, Some(column)) = (&field.kind, field.places) else {
            unreachable!("the parser takes no other field for this clause");
        };
        let (given, wanted) = (clause.vector.len(), options.blob_bytes());
        if given != wanted {
            return Err(Error::Formatted(format!(
                "Error parsing vector similarity query: query vector blob size ({given}) does not match index's expected size ({wanted})."
            )));
        }
        if self.vectors.len() == VECTORS_MAX {
            return Err(Error::Text("Query is too long: it asks for more than 64 vectors"));
        }
        self.vectors.push(VectorQuery { id: *id, column, clause: clause.clone(), ask });
        Ok(Step::Vector { query: self.vectors.len() - 1, weight })
    }

    /// The nearest of those that match a filter: both at once, so that the filter scores.
    fn nearest(
        &mut self,
        clause: &VectorClause,
        k: usize,
        filter: Option<&Node>,
        weight: f64,
    ) -> Result<Step, Error> {
        let filter = filter.map(|filter| self.step(filter)).transpose()?;
        let ask = VectorAsk::Nearest { k, filter: filter.clone() };
        let nearest = self.vector(clause, ask, weight)?;
        Ok(match filter {
            None => nearest,
            Some(filter) => {
                Step::And { children: vec![nearest, filter], weight: 1.0, proximity: None }
            }
        })
    }

    fn leaf(&mut self, leaf: Leaf, fields: FieldMask, weight: f64) -> Result<Step, Error> {
        if self.leaves.len() == TERMS_MAX {
            return Err(Error::Text("Query is too long: it names more than 65536 terms"));
        }
        self.leaves.push(leaf);
        Ok(Step::Leaf { leaf: self.leaves.len() - 1, fields, weight })
    }

    fn word(&mut self, node: &Node, word: &str, verbatim: bool) -> Result<Step, Error> {
        if word.is_empty() && !self.indexes_empty(node.fields) {
            return Err(Error::Text(
                "Use `INDEXEMPTY` in field creation in order to index and query for empty strings",
            ));
        }
        let fields = self.fields(node.fields);
        if fields == 0 {
            return Ok(Step::Nothing);
        }
        if self.options.language.is_chinese() && !word.is_ascii() {
            return self.chinese(node, word, fields);
        }
        let expansions = match verbatim || self.options.verbatim {
            true => Vec::new(),
            false => {
                let Options { expander, language, .. } = self.options;
                expand(word, node, self.schema, *expander, *language)?
            }
        };
        if expansions.is_empty() {
            return self.leaf(Leaf::Term(word_term(word)), fields, node.weight);
        }
        let mut children = vec![self.leaf(Leaf::Term(word_term(word)), fields, 1.0)?];
        for Expansion { term, fields } in expansions {
            let fields = self.fields(fields);
            children.push(self.leaf(Leaf::Term(word_term(&term)), fields, 1.0)?);
        }
        Ok(Step::Or { children, weight: node.weight })
    }

    /// A word of a Chinese query: the phrase of its pairs of characters.
    fn chinese(&mut self, node: &Node, word: &str, fields: FieldMask) -> Result<Step, Error> {
        let mut terms: Vec<&str> = Vec::new();
        // The last character of a run lies in the pair before it, but has a position of its own.
        let (mut in_run, mut run_ended, mut gaps) = (false, false, 0);
        segments(word, |segment| {
            let term = match segment {
                Segment::Han(_, Some(pair)) => pair,
                Segment::Han(_, None) if in_run => {
                    (in_run, run_ended) = (false, true);
                    return;
                }
                Segment::Han(term, None) | Segment::Other(term) => term,
            };
            in_run = matches!(segment, Segment::Han(_, Some(_)));
            gaps += u32::from(std::mem::take(&mut run_ended));
            terms.push(term);
        });
        let mut children = Vec::with_capacity(terms.len());
        for term in terms {
            children.push(self.leaf(Leaf::Term(word_term(term)), fields, 1.0)?);
        }
        let asked = !self.schema.omits.positions;
        let proximity = asked.then_some(Proximity { slop: Some(gaps), in_order: true });
        Ok(match children.len() {
            0 => Step::Nothing,
            1 if node.weight == 1.0 => children.remove(0),
            _ => Step::And { children, weight: node.weight, proximity },
        })
    }

    /// The fields that a clause about some is looked for in.
    fn fields(&self, mask: FieldMask) -> FieldMask {
        if self.schema.omits.fields { ALL_FIELDS } else { mask & self.options.fields }
    }

    fn indexes_empty(&self, fields: FieldMask) -> bool {
        fields == ALL_FIELDS || self.text_fields(fields).any(|field| field.index_empty)
    }

    fn text_fields(&self, mask: FieldMask) -> impl Iterator<Item = &crate::schema::Field> {
        self.schema.fields.iter().filter(move |field| match field.kind {
            FieldKind::Text { id, .. } => mask >> id & 1 == 1,
            _ => false,
        })
    }

    fn pattern(&mut self, node: &Node, pattern: &Pattern) -> Result<Step, Error> {
        let fields = self.fields(node.fields);
        if fields == 0 || pattern.is_too_short() {
            return Ok(Step::Nothing);
        }
        let shape = Shape { space: Space::Words, prefix: Vec::new(), pattern: pattern.clone() };
        self.leaf(Leaf::Shape(shape), fields, node.weight)
    }

    fn and(&mut self, node: &Node, children: &[Node], exact: bool) -> Result<Step, Error> {
        let mut steps: Vec<Step> =
            children.iter().map(|child| self.step(child)).collect::<Result<_, _>>()?;
        if steps.contains(&Step::Nothing) {
            return Ok(Step::Nothing);
        }
        if steps.len() == 1 && node.weight == 1.0 {
            return Ok(steps.remove(0));
        }
        let slop = match exact {
            true => Some(0),
            false => node.slop.filter(|slop| *slop >= 0).or(self.options.slop.filter(|s| *s >= 0)),
        };
        let in_order = exact || node.in_order.unwrap_or(false) || self.options.in_order;
        let slop = slop.map(|slop| u32::try_from(slop).unwrap_or(u32::MAX));
        let asked = (slop.is_some() || in_order) && !self.schema.omits.positions;
        let proximity = asked.then_some(Proximity { slop, in_order });
        Ok(Step::And { children: steps, weight: node.weight, proximity })
    }

    fn tags(&mut self, node: &Node, field: u16, items: &[TagItem]) -> Result<Step, Error> {
        let index_empty = self.schema.fields[field as usize].index_empty;
        let mut children = Vec::with_capacity(items.len());
        for item in items {
            match item {
                TagItem::Value(value) if value.is_empty() && !index_empty => {
                    return Err(Error::Text(
                        "Use `INDEXEMPTY` in field creation in order to index and query for empty strings",
                    ));
                }
                TagItem::Value(value) => {
                    children.push(self.leaf(
                        Leaf::Term(tag_term(field, value)),
                        ALL_FIELDS,
                        1.0,
                    )?);
                }
                TagItem::Pattern(pattern) if pattern.is_too_short() => {}
                TagItem::Pattern(pattern) => {
                    let prefix = field.to_be_bytes().to_vec();
                    let shape = Shape { space: Space::Tags, prefix, pattern: pattern.clone() };
                    children.push(self.leaf(Leaf::Shape(shape), ALL_FIELDS, 1.0)?);
                }
            }
        }
        Ok(Step::Or { children, weight: node.weight })
    }
}
