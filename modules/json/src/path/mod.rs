//! Which parts of a document does a path name?
//!
//! Paths are RedisJSON's: a dialect of JSONPath (`$.a[0]`, `$..b`, `$.c[?(@.d>1)]`) and the older *legacy* paths (`.a[0]`,
//! `a.b`), which are rewritten into the former and differ in how commands answer. `parse.rs` compiles the text into a
//! [`Path`], `eval.rs` walks a document with it, `filter.rs` decides `?(...)`, `cache.rs` keeps compiled paths.
//!
//! Invariants: a path's text, nesting and evaluation are bounded (`parse::PATH_BYTES_MAX`, `parse::NESTING_MAX`,
//! `eval::VISITS_MAX`), so no path can take the server down; matches come in document order.

mod cache;
mod eval;
mod filter;
mod parse;
#[cfg(test)]
mod tests;

use regex::bytes::Regex;

pub use self::cache::compiled;
pub use self::eval::{Locations, Matches, TooCostly};
pub use self::parse::PathError;
use crate::value::{Name, Value};

/// A compiled path.
#[derive(Debug)]
pub struct Path {
    kind: PathKind,
    segments: Vec<Segment>,
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
    Names(Vec<Name>),
    Indices(Vec<i64>),
    Slice { start: Option<i64>, end: Option<i64>, step: usize },
    All,
    Filter(Expression),
}

#[derive(Debug)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    /// Holds if the term yields something.
    Exists(Term),
    Compare {
        left: Term,
        operator: Operator,
        right: Term,
    },
    /// Holds if the pattern is found in a string: `=~`, `search()`, `match()`.
    Matches {
        subject: Term,
        pattern: Pattern,
        extent: Extent,
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

/// How much of a string a pattern has to cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Part,
    Whole,
}

#[derive(Debug)]
enum Term {
    Literal(Value),
    /// A path from the filtered value (`@`).
    Current(Vec<Segment>),
    /// A path from the root (`$`).
    Root(Vec<Segment>),
    /// `length()`: characters of a string, elements, members.
    Length(Box<Term>),
    /// `count()`: how many values the argument has.
    Count(Box<Term>),
    /// `value()`: the argument's value if it has just one.
    Single(Box<Term>),
    /// A function that is unknown or has other arguments; has no value.
    Nothing,
}

#[derive(Debug)]
enum Pattern {
    /// A literal, compiled with the path; `None` if it is no regular expression, which matches nothing.
    Compiled(Option<Regex>),
    /// Taken from the document.
    Looked(Term),
}

impl Path {
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
        let single = |segment: &Segment| {
            !segment.descends
                && match &segment.selector {
                    Selector::Names(names) => names.len() == 1,
                    Selector::Indices(indices) => indices.len() == 1,
                    _ => false,
                }
        };
        if !self.segments.iter().all(single) {
            return None;
        }
        Some(match self.segments.last().map(|segment| &segment.selector) {
            None => LastStep::Root,
            Some(Selector::Names(names)) => LastStep::Member(&names[0]),
            Some(_) => LastStep::Element,
        })
    }
}
