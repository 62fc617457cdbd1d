//! Does a value pass `?(...)`?
//!
//! A comparison, and `=~`, holds if it holds for any pair of what its sides yield; `!=` if `==` does not, so also when a
//! side yields nothing. The word operators look at arrays as wholes: `in` and `nin` for a value in an array,
//! `subsetof`, `anyof` and `noneof` for the elements of one array in another, `sizeof` (or `size`) and `empty` at
//! the length of an array, an object or a string. `nin` and `noneof` are the negations of `in` and `anyof`, so they
//! hold when there is no array.

use std::ops::ControlFlow;

use super::budget::Step;
use super::compare::{compares, compares_strictly, equal, same};
use super::function::{length, truncated};
use super::pattern::{Pattern, compiled_before, found};
use super::term::{Operand, Scope};
use super::{Expression, Extent, Operator, Relation, Term};
use crate::value::{Value, View};

impl<'v> Scope<'v, '_> {
    /// Whether `@` passes.
    pub(super) fn holds(&self, expression: &'v Expression) -> Step<bool> {
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
            Expression::Holds(term) => self.yields(term),
            Expression::Compare { left, operator, right } => {
                let compare = |left: View<'_>| {
                    self.any(right, |right| compares(left, *operator, right, self.budget))
                };
                let found = self.any(left, compare)?;
                ControlFlow::Continue(found != (*operator == Operator::NotEqual))
            }
            Expression::Strict { left, operator, right } => {
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                compares_strictly(left.single(), *operator, right.single(), self.budget)
            }
            Expression::Relate { left, relation, right } => {
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                self.relates(&left, *relation, &right)
            }
            Expression::Matches { subject, pattern } => self.matches(subject, pattern),
        }
    }

    fn yields(&self, term: &'v Term) -> Step<bool> {
        if let Term::Current(_) | Term::Root(_) = term {
            return self.any(term, |_| ControlFlow::Continue(true));
        }
        ControlFlow::Continue(match self.operand(term)? {
            Operand::Nothing => false,
            Operand::Plain(View::Bool(value)) => value,
            Operand::List(values) => !values.is_empty(),
            Operand::Node(_) | Operand::Nodes(_) | Operand::Plain(_) | Operand::Made(_) => true,
        })
    }

    fn matches(&self, subject: &'v Term, pattern: &'v Pattern) -> Step<bool> {
        match pattern {
            Pattern::Compiled(None) => ControlFlow::Continue(false),
            Pattern::Compiled(Some(regex)) => {
                self.any(subject, |view| found(regex, view, self.budget))
            }
            Pattern::Looked(term, dialect) => self.any(term, |pattern| {
                let View::Text(pattern) = pattern else { return ControlFlow::Continue(false) };
                match compiled_before(pattern, Extent::Part, *dialect, self.budget)? {
                    Some(regex) => self.any(subject, |view| found(&regex, view, self.budget)),
                    None => ControlFlow::Continue(false),
                }
            }),
        }
    }

    fn relates(&self, left: &Operand<'_>, relation: Relation, right: &Operand<'_>) -> Step<bool> {
        match relation {
            Relation::In => self.is_in(left, right),
            Relation::NotIn => self.is_in(left, right).map_continue(|is| !is),
            Relation::SubsetOf => self.each(left, |view| self.overlaps(view, right, Need::All)),
            Relation::AnyOf => self.each(left, |view| self.overlaps(view, right, Need::One)),
            Relation::NoneOf => self
                .each(left, |view| self.overlaps(view, right, Need::One))
                .map_continue(|any| !any),
            Relation::SizeOf => self.each(left, |left| {
                let Some(len) = left.length(self)? else { return ControlFlow::Continue(false) };
                right.any(|right| ControlFlow::Continue(truncated(right) == Some(len)))
            }),
            Relation::Empty => self.each(left, |left| {
                let Some(len) = left.length(self)? else { return ControlFlow::Continue(false) };
                right.any(|right| {
                    let wanted = matches!(right, View::Bool(wanted) if wanted == (len == 0));
                    ControlFlow::Continue(wanted)
                })
            }),
        }
    }

    /// Whether `test` is true of any match, or of a list as a whole.
    fn each(
        &self,
        operand: &Operand<'_>,
        mut test: impl FnMut(Whole<'_>) -> Step<bool>,
    ) -> Step<bool> {
        match operand {
            Operand::List(values) => test(Whole::List(values)),
            operand => operand.any(|view| test(Whole::View(view))),
        }
    }

    fn is_in(&self, needle: &Operand<'_>, array: &Operand<'_>) -> Step<bool> {
        match needle {
            Operand::Nodes(needles) => {
                for needle in needles {
                    // Several matches are taken at their kind of number, as they stand in the document.
                    if self.contains(*needle, array, same)? {
                        return ControlFlow::Continue(true);
                    }
                }
                ControlFlow::Continue(false)
            }
            needle => match needle.single() {
                Some(needle) => self.contains(needle, array, equal),
                None => ControlFlow::Continue(false),
            },
        }
    }

    /// Whether what stands for an array has an element that equals `needle`: several matches stand for one.
    fn contains(
        &self,
        needle: View<'_>,
        array: &Operand<'_>,
        equal: fn(View<'_>, View<'_>, &super::budget::Budget) -> Step<bool>,
    ) -> Step<bool> {
        match array {
            Operand::Nodes(_) | Operand::List(_) => {
                array.any(|element| self.visited(equal(needle, element, self.budget)?))
            }
            array => {
                let Some(View::Array(array)) = array.single() else {
                    return ControlFlow::Continue(false);
                };
                for element in array.iter() {
                    if self.visited(equal(needle, element, self.budget)?)? {
                        return ControlFlow::Continue(true);
                    }
                }
                ControlFlow::Continue(false)
            }
        }
    }

    fn visited(&self, outcome: bool) -> Step<bool> {
        self.budget.visit(1)?;
        ControlFlow::Continue(outcome)
    }

    /// Whether all elements of an array, or one, are in another.
    fn overlaps(&self, elements: Whole<'_>, array: &Operand<'_>, need: Need) -> Step<bool> {
        let mut decided = None;
        let mut look = |element: View<'_>| {
            let contained = self.contains(element, array, equal)?;
            if contained == (need == Need::One) {
                decided = Some(contained);
            }
            ControlFlow::Continue(decided.is_some())
        };
        match elements {
            Whole::View(View::Array(array)) => {
                for element in array.iter() {
                    if look(element)? {
                        break;
                    }
                }
            }
            Whole::List(values) => {
                for value in values {
                    if look(value.view())? {
                        break;
                    }
                }
            }
            Whole::View(_) => return ControlFlow::Continue(false),
        }
        ControlFlow::Continue(decided.unwrap_or(need == Need::All))
    }
}

/// How many elements have to be in the other array.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    All,
    One,
}

/// What a word operator looks at: one match, or a list that a function made.
#[derive(Clone, Copy)]
enum Whole<'a> {
    View(View<'a>),
    List(&'a [Value]),
}

impl Whole<'_> {
    fn length(self, scope: &Scope<'_, '_>) -> Step<Option<i64>> {
        match self {
            Whole::View(view) => length(view, scope.budget),
            Whole::List(values) => ControlFlow::Continue(Some(values.len() as i64)),
        }
    }
}
