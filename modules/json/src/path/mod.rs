//! Which parts of a document does a path name?
//!
//! Paths are RedisJSON's: a dialect of JSONPath (`$.a[0]`, `$..b`, `$.c[?(@.d>1)]`) and the older *legacy* paths (`.a[0]`,
//! `a.b`), which are rewritten into the former and differ in how commands answer. `parse.rs` compiles the text into a
//! [`Path`], `eval.rs` walks a document with it, `filter.rs` decides `?(...)`, `cache.rs` keeps compiled paths.
//! An expression that computes something (`$.a + 1`, `$.list.length()`) is no path: nothing stands where it points, so
//! only commands that read accept it, as a [`Query`]; `term.rs` and `function.rs` evaluate it. RFC 9535's own grammar
//! and rules, for those who ask for them, are read by `parse/rfc.rs` into the same form. docs/json-paths.md describes
//! both dialects.
//!
//! Invariants: a path's text, nesting, patterns and evaluation are bounded (`parse::PATH_BYTES_MAX`,
//! `parse::NESTING_MAX`, `parse::PATTERNS_MAX`, `budget::VISITS_MAX`), so no path can take the server down; matches come
//! in document order.

mod budget;
mod cache;
mod compare;
mod eval;
mod filter;
mod function;
mod parse;
mod pattern;
mod term;
#[cfg(test)]
mod tests;

use std::rc::Rc;

pub use self::budget::TooCostly;
pub use self::cache::{compiled, known, query};
pub use self::eval::{Location, Locations, Matches};
pub use self::parse::PathError;
use self::pattern::Pattern;
use crate::value::{Name, Step, Value};

/// A compiled path.
#[derive(Debug)]
pub struct Path {
    kind: PathKind,
    segments: Vec<Segment>,
    /// Each segment leads to one place at most.
    is_plain: bool,
}

/// An expression whose value is computed from a document.
#[derive(Debug)]
pub struct Computed {
    kind: PathKind,
    term: Term,
}

/// What commands that only read may be asked for.
#[derive(Clone, Debug)]
pub enum Query {
    /// Parts of the document.
    Path(Rc<Path>),
    /// Something computed from it.
    Computed(Rc<Computed>),
}

/// Which syntax and rules a path is read by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// RedisJSON's.
    #[default]
    RedisJson,
    /// RFC 9535 and nothing else.
    Rfc9535,
}

/// Which of the two syntaxes a path was written in, which decides the shape of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// Begins with `$`; commands answer for every match.
    JsonPath,
    /// Anything else; commands answer for one match.
    Legacy,
}

/// The last step of a path that can name one place only, for adding what is not there yet.
#[derive(Clone, Copy, Debug)]
pub enum LastStep<'p> {
    /// The path is the root.
    Root,
    /// A member of what the rest of the path names.
    Member(&'p Name),
    /// An element of it.
    Element,
}

#[derive(Debug)]
struct Segment {
    /// Whether the selector applies to all descendants as well (`..`).
    descends: bool,
    selector: Selector,
}

#[derive(Debug)]
enum Selector {
    Name(Name),
    Names(Vec<Name>),
    /// Negative ones count from the end and stop at the first element.
    Indices(Vec<i64>),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: usize,
    },
    All,
    Filter(Expression),
    /// RFC 9535's index: a negative one beyond the first element is none.
    Index(i64),
    /// RFC 9535's slice from the end to the front, which only that has.
    Backwards {
        start: Option<i64>,
        end: Option<i64>,
        step: usize,
    },
    /// Selectors of any kind, one after the other, which only RFC 9535 has.
    Union(Vec<Selector>),
}

/// Something that holds or does not.
#[derive(Debug)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    /// Holds if the term yields something; the outcome of a test counts as it is.
    Holds(Term),
    Compare {
        left: Term,
        operator: Operator,
        right: Term,
    },
    /// A comparison by RFC 9535, of sides that yield one value or nothing.
    Strict {
        left: Term,
        operator: Operator,
        right: Term,
    },
    /// Word operators, which look at arrays as wholes.
    Relate {
        left: Term,
        relation: Relation,
        right: Term,
    },
    /// Holds if the pattern is found in a string: `=~`.
    Matches {
        subject: Term,
        pattern: Pattern,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    In,
    NotIn,
    SubsetOf,
    AnyOf,
    NoneOf,
    SizeOf,
    Empty,
}

/// How much of a string a pattern has to cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Part,
    Whole,
}

/// Something that has a value, or several, or none.
#[derive(Debug)]
enum Term {
    Literal(Value),
    /// A path from the filtered value (`@`).
    Current(Vec<Segment>),
    /// A path from the root (`$`).
    Root(Vec<Segment>),
    /// Operations of one rank, from left to right.
    Arithmetic {
        first: Box<Term>,
        rest: Vec<(Arithmetic, Term)>,
    },
    Signed {
        negative: bool,
        term: Box<Term>,
    },
    Call {
        function: Function,
        arguments: Vec<Term>,
    },
    /// `match()`, `search()`.
    Match {
        subject: Box<Term>,
        pattern: Box<Pattern>,
        extent: Extent,
    },
    /// A function that is unknown or has other arguments; has no value.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Functions whose arguments are values. As a method (`$.a.f(x)`) a function's first argument stands in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    /// Characters of a string, elements, members.
    Length,
    /// How many values the argument has.
    Count,
    /// The argument's value if it is the one match of a path.
    Value,
    Ceiling,
    Floor,
    Abs,
    Concat,
    Sum,
    Min,
    Max,
    Average,
    /// Of the whole population: divides by the number of values.
    Deviation,
    /// The names of an object's members, also written `~`.
    Keys,
    Append,
    First,
    Last,
    Index,
}

impl Query {
    /// Whether it was written in the older syntax.
    pub fn is_legacy(&self) -> bool {
        let kind = match self {
            Query::Path(path) => path.kind,
            Query::Computed(computed) => computed.kind,
        };
        kind == PathKind::Legacy
    }

    /// The path; an error if it is an expression that computes something.
    pub fn into_path(self) -> Result<Rc<Path>, PathError> {
        match self {
            Query::Path(path) => Ok(path),
            Query::Computed(_) => Err(PathError::computes()),
        }
    }
}

impl Segment {
    /// The segment as a step, if it leads to one place at most.
    #[inline]
    fn step(&self) -> Option<Step<'_>> {
        match &self.selector {
            _ if self.descends => None,
            Selector::Name(name) => Some(Step::Member(name)),
            Selector::Indices(indices) => match indices[..] {
                [index] => Some(Step::Element(index)),
                _ => None,
            },
            Selector::Index(index) => Some(Step::StrictElement(*index)),
            _ => None,
        }
    }
}

impl Path {
    fn new(kind: PathKind, segments: Vec<Segment>) -> Path {
        let is_plain = segments.iter().all(|segment| segment.step().is_some());
        Path { kind, segments, is_plain }
    }

    /// The steps of a path that can match one place only.
    #[inline]
    pub(crate) fn steps(&self) -> Option<impl Iterator<Item = Step<'_>>> {
        // All segments of a plain path are steps.
        self.is_plain.then(|| self.segments.iter().map_while(Segment::step))
    }

    /// Which syntax it was written in.
    pub fn kind(&self) -> PathKind {
        self.kind
    }

    /// Whether it was written in the older syntax.
    pub fn is_legacy(&self) -> bool {
        self.kind == PathKind::Legacy
    }

    /// Whether it names the whole document.
    pub fn is_root(&self) -> bool {
        self.segments.is_empty()
    }

    /// The last step, if the path has nothing in it that could match more than one place.
    pub fn last_step(&self) -> Option<LastStep<'_>> {
        if !self.is_plain {
            return None;
        }
        Some(match self.segments.last().map(|segment| &segment.selector) {
            None => LastStep::Root,
            Some(Selector::Name(name)) => LastStep::Member(name),
            Some(_) => LastStep::Element,
        })
    }
}
