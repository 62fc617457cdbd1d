//! How are regular expressions compiled and applied?
//!
//! A pattern that stands in the path is compiled with it; one that is taken from the document is compiled when it is
//! met, and the last one is kept, since all elements tend to meet the same. What is no regular expression, or takes
//! more than [`PATTERN_BYTES_MAX`] once compiled, matches nothing. Searching takes time linear in the text.

use std::cell::RefCell;
use std::ops::ControlFlow;

use regex::bytes::{Regex, RegexBuilder};

use super::budget::{Budget, Step};
use super::{Dialect, Extent, Term};
use crate::value::View;

/// What a regular expression of a path may take once compiled.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// Visits that compiling takes the time of: so many at least, and so many for each byte.
const COMPILE_VISITS: usize = 256;
const COMPILE_VISITS_PER_BYTE: usize = 64;
/// Visits for a pattern that compiles to something large, which short ones like `\w{200}` can.
const COMPILE_LARGE_VISITS: usize = 1 << 17;
/// Repetitions and classes that a small pattern has at most.
const SMALL_PATTERN_OPERATORS: usize = 8;
/// Bytes of text that are searched in the time of a visit.
const SEARCHED_BYTES_PER_VISIT: usize = 16;

#[derive(Debug)]
pub(super) enum Pattern {
    /// Written in the path; `None` if it is no regular expression.
    Compiled(Option<Regex>),
    /// Taken from the document, or computed.
    Looked(Term, Dialect),
}

/// A regular expression, unless it is none or too large.
pub(super) fn compile(pattern: &str, extent: Extent, dialect: Dialect) -> Option<Regex> {
    let mut pattern = match dialect {
        Dialect::RedisJson => pattern.to_owned(),
        Dialect::Rfc9535 => without_line_ends(pattern),
    };
    if extent == Extent::Whole {
        pattern = format!("^(?:{pattern})$");
    }
    RegexBuilder::new(&pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build()
        .ok()
}

/// RFC 9485's dot leaves out the carriage return too.
fn without_line_ends(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut escaped = false;
    let mut in_class = false;
    for character in pattern.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '.' if !in_class => {
                out.push_str("[^\\n\\r]");
                continue;
            }
            _ => {}
        }
        out.push(character);
    }
    out
}

/// Whether `regex` is found in `view`.
pub(super) fn found(regex: &Regex, view: View<'_>, budget: &Budget) -> Step<bool> {
    let View::Text(text) = view else { return ControlFlow::Continue(false) };
    budget.visit(text.len() / SEARCHED_BYTES_PER_VISIT)?;
    ControlFlow::Continue(regex.is_match(text))
}

/// A pattern with how it is compiled and the result; None if it is no pattern.
type Compiled = (Vec<u8>, Extent, Dialect, Option<Regex>);

/// A pattern from the document, compiled.
pub(super) fn compiled_before(
    pattern: &[u8],
    extent: Extent,
    dialect: Dialect,
    budget: &Budget,
) -> Step<Option<Regex>> {
    thread_local! {
        static LAST: RefCell<Option<Compiled>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| {
        if let Some((text, of, by, regex)) = last
            && text == pattern
            && (*of, *by) == (extent, dialect)
        {
            budget.read(pattern.len())?;
            return ControlFlow::Continue(regex.clone());
        }
        budget.visit(compile_visits(pattern))?;
        let text = std::str::from_utf8(pattern).ok();
        let regex = text.and_then(|text| compile(text, extent, dialect));
        *last = Some((pattern.to_vec(), extent, dialect, regex.clone()));
        ControlFlow::Continue(regex)
    })
}

fn compile_visits(pattern: &[u8]) -> usize {
    let operators = pattern.iter().filter(|byte| b"{\\[".contains(byte)).count();
    let large = operators > SMALL_PATTERN_OPERATORS || pattern.contains(&b'{');
    COMPILE_VISITS
        + COMPILE_VISITS_PER_BYTE * pattern.len()
        + if large { COMPILE_LARGE_VISITS } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_are_none_or_too_large_are_refused() {
        let compile = |pattern: &str| compile(pattern, Extent::Part, Dialect::RedisJson);
        assert!(compile("^a.*b$").is_some());
        assert!(compile("(").is_none());
        assert!(compile("(?:(?:(?:a{100}){100}){100}){100}").is_none());
        assert!(compile("\\w{10000}").is_none());
        assert!(compile(&"(".repeat(10_000)).is_none());
        assert!(compile(&"a|".repeat(30_000)).is_none());
    }

    #[test]
    fn the_dot_of_the_rfc_spans_no_line_end() {
        let regex = compile("a.[.]\\.", Extent::Whole, Dialect::Rfc9535).unwrap();
        assert!(regex.is_match(b"ab.."));
        assert!(!regex.is_match(b"a\r.."));
        let regex = compile("a.", Extent::Whole, Dialect::RedisJson).unwrap();
        assert!(regex.is_match(b"a\r"));
    }
}
