//! How are regular expressions compiled and applied?
//!
//! A pattern that stands in the path is compiled with it; one that is taken from the document is compiled when it is
//! met, and the last one is kept, since all elements tend to meet the same. What is no regular expression, or takes
//! more than [`PATTERN_BYTES_MAX`] once compiled, matches nothing.
//!
//! Searching takes time linear in the text, but the factor may be as large as the compiled pattern: it is small as long
//! as an automaton fits its cache, which wide steps (`.`, classes) in number, or counted ones, can prevent. A search is
//! not interrupted, so it is paid before it begins, by a bound on that factor.

use std::cell::RefCell;
use std::ops::ControlFlow;

use regex::bytes::{Regex, RegexBuilder};

use super::budget::{Budget, Step};
use super::{Dialect, Extent, Term};
use crate::value::View;

/// What a regular expression of a path may take once compiled.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// Visits that compiling takes the time of: so many at least, and so many for each byte.
const COMPILE_VISITS: usize = 64;
const COMPILE_VISITS_PER_BYTE: usize = 16;
/// Visits for a pattern that compiles to something large, which short ones like `\w{200}` can.
const COMPILE_LARGE_VISITS: usize = 1 << 17;
/// A pattern of so many wide steps has an automaton that fits its cache.
const WIDE_STEPS_FEW: usize = 8;
/// No pattern that is compiled has more: each takes more than a byte of [`PATTERN_BYTES_MAX`].
const WIDE_STEPS_MAX: usize = PATTERN_BYTES_MAX / 16;
/// Bytes of text that are searched in the time of a visit, with an automaton.
const SEARCHED_BYTES_PER_VISIT: usize = 16;
/// Wide steps that are followed for one byte of text in the time of a visit, without.
const WIDE_STEPS_PER_VISIT: usize = 8;

/// A regular expression, compiled.
#[derive(Clone, Debug)]
pub(super) struct Searcher {
    regex: Regex,
    wide_steps: usize,
}

#[derive(Debug)]
pub(super) enum Pattern {
    /// Written in the path; `None` if it is no regular expression.
    Compiled(Option<Searcher>),
    /// Taken from the document, or computed.
    Looked(Term, Dialect),
}

/// A regular expression, unless it is none or too large.
pub(super) fn compile(pattern: &str, extent: Extent, dialect: Dialect) -> Option<Searcher> {
    let mut pattern = match dialect {
        Dialect::RedisJson => pattern.to_owned(),
        Dialect::Rfc9535 => without_line_ends(pattern),
    };
    if extent == Extent::Whole {
        pattern = format!("^(?:{pattern})$");
    }
    let wide_steps = wide_steps(pattern.as_bytes());
    let regex = RegexBuilder::new(&pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build()
        .ok()?;
    Some(Searcher { regex, wide_steps })
}

/// A bound on how many dots and classes a pattern has when its counted repetitions are written out.
fn wide_steps(pattern: &[u8]) -> usize {
    let wide = pattern.iter().filter(|byte| b".[\\".contains(byte)).count();
    let counts = pattern.split(|byte| *byte == b'{').skip(1).map(|rest| {
        let numbers = rest.split(|byte| *byte == b'}').next().unwrap_or_default();
        let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.trim().parse().ok();
        numbers.split(|byte| *byte == b',').filter_map(number).max().unwrap_or(1)
    });
    // What is repeated need not be wide to be followed at every place of the text.
    let written_out =
        counts.fold(1, |product: usize, count: usize| product.saturating_mul(count.max(1)));
    let repeated = if written_out > 1 { pattern.len() } else { wide };
    repeated.saturating_mul(written_out).min(WIDE_STEPS_MAX)
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

/// Whether the pattern is found in `view`.
pub(super) fn found(searcher: &Searcher, view: View<'_>, budget: &Budget) -> Step<bool> {
    let View::Text(text) = view else { return ControlFlow::Continue(false) };
    budget.visit(if searcher.wide_steps <= WIDE_STEPS_FEW {
        text.len() / SEARCHED_BYTES_PER_VISIT
    } else {
        text.len() * searcher.wide_steps / WIDE_STEPS_PER_VISIT
    })?;
    ControlFlow::Continue(searcher.regex.is_match(text))
}

/// A pattern with how it is compiled and the result; None if it is no pattern.
type Compiled = (Vec<u8>, Extent, Dialect, Option<Searcher>);

/// A pattern from the document, compiled.
pub(super) fn compiled_before(
    pattern: &[u8],
    extent: Extent,
    dialect: Dialect,
    budget: &Budget,
) -> Step<Option<Searcher>> {
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
    let large = wide_steps(pattern) > WIDE_STEPS_FEW;
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
        assert!(regex.regex.is_match(b"ab.."));
        assert!(!regex.regex.is_match(b"a\r.."));
        let regex = compile("a.", Extent::Whole, Dialect::RedisJson).unwrap();
        assert!(regex.regex.is_match(b"a\r"));
    }

    #[test]
    fn steps_that_a_pattern_is_written_out_to_are_bounded() {
        assert_eq!(wide_steps(b"^abc$"), 0);
        assert_eq!(wide_steps(b"a.*[bc]\\d"), 3);
        assert!(wide_steps(b"a.{20}b") >= 20);
        assert!(wide_steps(b"(?:(?:a{9}){9,10}){ 3 }") >= 270);
        assert!(wide_steps(b"a{2,}{") >= 2);
        assert_eq!(wide_steps(b"(a{1000}){1000}"), WIDE_STEPS_MAX);
    }
}
