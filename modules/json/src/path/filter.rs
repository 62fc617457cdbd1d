//! Does a value pass `?(...)`?
//!
//! A term is a literal or a path from the value (`@`) or from the root (`$`), and may yield any number of values. A
//! comparison holds if it holds for any pair of them; with a side that yields nothing only `!=` holds. Numbers compare
//! by value whatever their kind, strings by code point, `false` before `true`; values of different kinds are unequal
//! and in no order, and arrays and objects are equal if all that they hold is the same, kinds of numbers included.
//! `=~` and `search()` look for the regular expression anywhere in the string, `match()` wants it to cover the string;
//! what is no regular expression matches nothing.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::ControlFlow;

use regex::bytes::Regex;

use super::eval::{Budget, Flow, NoTrail, Stop, walk};
use super::parse::compile;
use super::{Expression, Extent, Operator, Pattern, Term};
use crate::value::View;

/// Whether `current` passes.
pub(super) fn holds<'v>(
    expression: &'v Expression,
    current: View<'v>,
    root: View<'v>,
    budget: &Budget,
) -> ControlFlow<Stop, bool> {
    let filter = Filter { current, root, budget };
    filter.holds(expression)
}

struct Filter<'v, 'b> {
    current: View<'v>,
    root: View<'v>,
    budget: &'b Budget,
}

impl<'v> Filter<'v, '_> {
    fn holds(&self, expression: &'v Expression) -> ControlFlow<Stop, bool> {
        match expression {
            Expression::Any(expressions) => {
                for expression in expressions {
                    if self.holds(expression)? {
                        return ControlFlow::Continue(true);
                    }
                }
                ControlFlow::Continue(false)
            }
            Expression::All(expressions) => {
                for expression in expressions {
                    if !self.holds(expression)? {
                        return ControlFlow::Continue(false);
                    }
                }
                ControlFlow::Continue(true)
            }
            Expression::Not(expression) => self.holds(expression).map_continue(|holds| !holds),
            Expression::Exists(Term::Literal(value)) => {
                ControlFlow::Continue(!matches!(value.view(), View::Bool(false) | View::Null))
            }
            Expression::Exists(term) => self.any(term, |_| ControlFlow::Continue(true)),
            Expression::Compare { left, operator, right } => self.compares(left, *operator, right),
            Expression::Matches { subject, pattern, extent } => {
                self.matches(subject, pattern, *extent)
            }
        }
    }

    /// Whether `test` is true for any value of `term`.
    fn any(
        &self,
        term: &'v Term,
        mut test: impl FnMut(View<'v>) -> ControlFlow<Stop, bool>,
    ) -> ControlFlow<Stop, bool> {
        let (segments, start) = match term {
            Term::Literal(value) => return test(value.view()),
            Term::Nothing => return ControlFlow::Continue(false),
            Term::Length(argument) => {
                let length = self.count(argument)?.1.and_then(length);
                return length.map_or(ControlFlow::Continue(false), |len| test(View::Int(len)));
            }
            Term::Count(argument) => return test(View::Int(self.count(argument)?.0)),
            Term::Single(argument) => {
                return match self.count(argument)? {
                    (1, Some(view)) => test(view),
                    _ => ControlFlow::Continue(false),
                };
            }
            Term::Current(segments) => (segments, self.current),
            Term::Root(segments) => (segments, self.root),
        };
        let mut passed = false;
        let flow: Flow = walk(segments, start, self.root, self.budget, NoTrail, |_, view| {
            if test(view)? {
                passed = true;
                return ControlFlow::Break(Stop::Enough);
            }
            ControlFlow::Continue(())
        });
        match flow {
            ControlFlow::Break(Stop::TooCostly) => ControlFlow::Break(Stop::TooCostly),
            _ => ControlFlow::Continue(passed),
        }
    }

    /// How many values a term has, and the first of them.
    fn count(&self, term: &'v Term) -> ControlFlow<Stop, (i64, Option<View<'v>>)> {
        let mut count = 0;
        let mut first = None;
        self.any(term, |view| {
            count += 1;
            first.get_or_insert(view);
            ControlFlow::Continue(false)
        })?;
        ControlFlow::Continue((count, first))
    }

    fn compares(
        &self,
        left: &'v Term,
        operator: Operator,
        right: &'v Term,
    ) -> ControlFlow<Stop, bool> {
        let mut compared = false;
        let holds = self.any(left, |left| {
            self.any(right, |right| {
                compared = true;
                ControlFlow::Continue(compare(left, operator, right))
            })
        })?;
        ControlFlow::Continue(holds || (!compared && operator == Operator::NotEqual))
    }

    fn matches(
        &self,
        subject: &'v Term,
        pattern: &'v Pattern,
        extent: Extent,
    ) -> ControlFlow<Stop, bool> {
        let found = |regex: &Regex, view: View<'_>| match view {
            View::Text(text) => regex.is_match(text),
            _ => false,
        };
        match pattern {
            Pattern::Compiled(None) => ControlFlow::Continue(false),
            Pattern::Compiled(Some(regex)) => {
                self.any(subject, |view| ControlFlow::Continue(found(regex, view)))
            }
            Pattern::Looked(term) => self.any(term, |pattern| {
                let View::Text(pattern) = pattern else { return ControlFlow::Continue(false) };
                match compiled_before(pattern, extent) {
                    Some(regex) => {
                        self.any(subject, |view| ControlFlow::Continue(found(&regex, view)))
                    }
                    None => ControlFlow::Continue(false),
                }
            }),
        }
    }
}

/// A pattern with how it is compiled and the result; None if it is no pattern.
type Compiled = (Vec<u8>, Extent, Option<Regex>);

/// A pattern from the document, compiled; the last one is kept, since all elements tend to meet the same.
fn compiled_before(pattern: &[u8], extent: Extent) -> Option<Regex> {
    thread_local! {
        static LAST: RefCell<Option<Compiled>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| match last {
        Some((text, of, regex)) if text == pattern && *of == extent => regex.clone(),
        _ => {
            let text = std::str::from_utf8(pattern).ok();
            let regex = text.and_then(|text| compile(text, extent));
            *last = Some((pattern.to_vec(), extent, regex.clone()));
            regex
        }
    })
}

/// What `length()` is of a value.
fn length(view: View<'_>) -> Option<i64> {
    match view {
        // Bytes that continue a character have the bits 10 in front.
        View::Text(text) => Some(text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as i64),
        View::Array(_) | View::Object(_) => Some(view.children() as i64),
        _ => None,
    }
}

fn compare(left: View<'_>, operator: Operator, right: View<'_>) -> bool {
    let order = order(left, right);
    match operator {
        Operator::Equal => equal(left, right, order),
        Operator::NotEqual => !equal(left, right, order),
        Operator::Less => order == Some(Ordering::Less),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::LessOrEqual => order == Some(Ordering::Less) || equal(left, right, order),
        Operator::GreaterOrEqual => order == Some(Ordering::Greater) || equal(left, right, order),
    }
}

fn equal(left: View<'_>, right: View<'_>, order: Option<Ordering>) -> bool {
    match order {
        Some(order) => order == Ordering::Equal,
        None => left.same(right),
    }
}

/// How two scalars of one kind stand; `None` for anything else.
fn order(left: View<'_>, right: View<'_>) -> Option<Ordering> {
    match (left, right) {
        (View::Text(a), View::Text(b)) => Some(a.cmp(b)),
        (View::Bool(a), View::Bool(b)) => Some(a.cmp(&b)),
        (View::Float(a), View::Float(b)) => a.partial_cmp(&b),
        (View::Float(a), b) => Some(integer_to_float(integer(b)?, a).reverse()),
        (a, View::Float(b)) => Some(integer_to_float(integer(a)?, b)),
        (a, b) => Some(integer(a)?.cmp(&integer(b)?)),
    }
}

fn integer(view: View<'_>) -> Option<i128> {
    match view {
        View::Int(value) => Some(i128::from(value)),
        View::Unsigned(value) => Some(i128::from(value)),
        _ => None,
    }
}

/// Compares without rounding the integer.
fn integer_to_float(integer: i128, float: f64) -> Ordering {
    // Outside this range the cast below would saturate, and no integer of a document lies there.
    const LIMIT: f64 = 1e30;
    if float >= LIMIT {
        return Ordering::Less;
    }
    if float <= -LIMIT {
        return Ordering::Greater;
    }
    let whole = float.floor();
    integer.cmp(&(whole as i128)).then(if float > whole { Ordering::Less } else { Ordering::Equal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_compare_by_value() {
        let order = |a, b| order(a, b);
        assert_eq!(order(View::Int(3), View::Float(3.0)), Some(Ordering::Equal));
        assert_eq!(order(View::Float(2.5), View::Int(2)), Some(Ordering::Greater));
        assert_eq!(order(View::Int(-3), View::Float(-2.5)), Some(Ordering::Less));
        let big = 9_007_199_254_740_993; // 2^53 + 1, which is no double
        assert_eq!(
            order(View::Int(big), View::Float(9_007_199_254_740_992.0)),
            Some(Ordering::Greater)
        );
        assert_eq!(order(View::Unsigned(u64::MAX), View::Float(1e300)), Some(Ordering::Less));
        assert_eq!(order(View::Int(1), View::Text(b"1")), None);
    }
}
