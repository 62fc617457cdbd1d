//! What is the value of a term?
//!
//! A term may yield nothing, a value of the document, several (a path with many matches), a value that was written in the
//! path or computed, or a list that a function made. Which of these it is decides what the functions and operators do
//! with it, so [`Operand`] keeps them apart. Arithmetic is exact between integers as long as the result fits, and
//! otherwise in doubles; division is always in doubles; dividing by zero, or with something that is no number, yields
//! nothing.

use std::ops::ControlFlow;

use super::budget::{Budget, MATCHES_MAX, Step, Stop};
use super::eval::{NoTrail, walk};
use super::{Arithmetic, Computed, Extent, Segment, Selector, Term, TooCostly};
use crate::value::{Edit, Value, View};

/// What terms are evaluated against.
#[derive(Clone, Copy)]
pub(super) struct Scope<'v, 'b> {
    /// `@`
    pub(super) current: View<'v>,
    /// `$`
    pub(super) root: View<'v>,
    pub(super) budget: &'b Budget,
}

/// What a term yields.
#[derive(Debug)]
pub(super) enum Operand<'v> {
    Nothing,
    /// The one match of a path.
    Node(View<'v>),
    /// More than one match.
    Nodes(Vec<View<'v>>),
    /// A literal, or a scalar that was computed. Floats may be infinite.
    Plain(View<'v>),
    /// A value that was computed or taken out of one.
    Made(Value),
    /// Values that a function lists one by one.
    List(Vec<Value>),
}

/// A number, by which arithmetic it takes part in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }

    pub(super) fn of(view: View<'_>) -> Option<Number> {
        match view {
            View::Int(value) => Some(Number::Int(value)),
            View::Unsigned(value) => Some(Number::Float(value as f64)),
            View::Float(value) => Some(Number::Float(value)),
            _ => None,
        }
    }

    pub(super) fn operand(self) -> Operand<'static> {
        Operand::Plain(match self {
            Number::Int(value) => View::Int(value),
            Number::Float(value) => View::Float(value),
        })
    }
}

impl<'v> Operand<'v> {
    /// The value, if it is just one.
    pub(super) fn single(&self) -> Option<View<'_>> {
        match self {
            Operand::Node(view) | Operand::Plain(view) => Some(*view),
            Operand::Made(value) => Some(value.view()),
            Operand::Nothing | Operand::Nodes(_) | Operand::List(_) => None,
        }
    }

    pub(super) fn number(&self) -> Option<Number> {
        self.single().and_then(Number::of)
    }

    pub(super) fn text(&self) -> Option<&[u8]> {
        match self.single() {
            Some(View::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// What the operand yields, one by one.
    pub(super) fn any(&self, mut test: impl FnMut(View<'_>) -> Step<bool>) -> Step<bool> {
        match self {
            Operand::Nothing => {}
            Operand::Node(view) | Operand::Plain(view) => return test(*view),
            Operand::Made(value) => return test(value.view()),
            Operand::Nodes(views) => {
                for view in views {
                    if test(*view)? {
                        return ControlFlow::Continue(true);
                    }
                }
            }
            Operand::List(values) => {
                for value in values {
                    if test(value.view())? {
                        return ControlFlow::Continue(true);
                    }
                }
            }
        }
        ControlFlow::Continue(false)
    }

    /// As values of their own: several matches as one array, a list as what it lists.
    fn into_values(self, budget: &Budget) -> Step<Vec<Value>> {
        ControlFlow::Continue(match self {
            Operand::Nothing => Vec::new(),
            Operand::Node(view) | Operand::Plain(view) => Vec::from_iter(owned(view, budget)?),
            Operand::Made(value) => vec![value],
            Operand::Nodes(views) => vec![array(owned_all(&views, budget)?)],
            Operand::List(values) => values,
        })
    }
}

/// Visits that making a value takes the time of, and bytes of it for each further one.
const OWNED_VISITS: usize = 4;
const OWNED_BYTES_PER_VISIT: usize = 16;

/// A value of its own; none if it is an infinite float, which JSON cannot say.
pub(super) fn owned(view: View<'_>, budget: &Budget) -> Step<Option<Value>> {
    if matches!(view, View::Float(value) if !value.is_finite()) {
        return ControlFlow::Continue(None);
    }
    // A small container is copied; a large one is shared.
    budget.visit(OWNED_VISITS + view.text_len_hint() / OWNED_BYTES_PER_VISIT)?;
    ControlFlow::Continue(Some(view.to_value()))
}

pub(super) fn owned_all(views: &[View<'_>], budget: &Budget) -> Step<Vec<Value>> {
    let mut values = Vec::with_capacity(views.len());
    for view in views {
        values.extend(owned(*view, budget)?);
    }
    ControlFlow::Continue(values)
}

/// An array of `values`.
pub(super) fn array(values: Vec<Value>) -> Value {
    let mut array = Value::empty_array();
    let edit = Edit::Splice { at: 0, remove: 0, insert: values };
    array.edit(&[], edit).expect("an array takes elements");
    array
}

impl Computed {
    /// What the expression yields for a document: none, one, or what a function lists.
    pub fn values(&self, root: View<'_>) -> Result<Vec<Value>, TooCostly> {
        let budget = Budget::default();
        let scope = Scope { current: root, root, budget: &budget };
        let values = match scope.operand(&self.term) {
            ControlFlow::Continue(operand) => operand.into_values(&budget),
            ControlFlow::Break(stop) => ControlFlow::Break(stop),
        };
        match values {
            ControlFlow::Continue(values) => Ok(values),
            ControlFlow::Break(Stop::Enough | Stop::TooCostly) => Err(TooCostly),
        }
    }
}

impl<'v> Scope<'v, '_> {
    /// Evaluates a term.
    pub(super) fn operand(&self, term: &'v Term) -> Step<Operand<'v>> {
        match term {
            Term::Literal(value) => ControlFlow::Continue(Operand::Plain(value.view())),
            Term::Current(segments) => self.nodes(segments, self.current),
            Term::Root(segments) => self.nodes(segments, self.root),
            Term::Nothing => ControlFlow::Continue(Operand::Nothing),
            Term::Signed { negative, term } => {
                let number = self.operand(term)?.number();
                let signed = number.map(|number| if *negative { negated(number) } else { number });
                ControlFlow::Continue(signed.map_or(Operand::Nothing, Number::operand))
            }
            Term::Arithmetic { first, rest } => {
                let mut result = self.operand(first)?.number();
                for (operation, term) in rest {
                    let operand = self.operand(term)?.number();
                    result = match (result, operand) {
                        (Some(left), Some(right)) => calculate(left, *operation, right),
                        _ => None,
                    };
                }
                ControlFlow::Continue(result.map_or(Operand::Nothing, Number::operand))
            }
            Term::Call { function, arguments } => self.call(*function, arguments),
            Term::Match { subject, pattern, extent } => {
                let subject = self.operand(subject)?;
                let found = match subject.single() {
                    Some(subject) => self.found(subject, pattern, *extent)?,
                    None => false,
                };
                ControlFlow::Continue(Operand::Plain(View::Bool(found)))
            }
        }
    }

    fn nodes(&self, segments: &'v [Segment], start: View<'v>) -> Step<Operand<'v>> {
        let mut operand = Operand::Nothing;
        let flow = walk(segments, start, self.root, self.budget, NoTrail, |_, view| {
            match &mut operand {
                Operand::Nothing => operand = Operand::Node(view),
                Operand::Node(first) => operand = Operand::Nodes(vec![*first, view]),
                Operand::Nodes(views) if views.len() < MATCHES_MAX => views.push(view),
                _ => return ControlFlow::Break(Stop::TooCostly),
            }
            ControlFlow::Continue(())
        });
        flow.map_continue(|()| operand)
    }

    /// Whether `test` is true for anything that `term` yields. Does not collect the matches of a path.
    pub(super) fn any(
        &self,
        term: &'v Term,
        mut test: impl FnMut(View<'_>) -> Step<bool>,
    ) -> Step<bool> {
        let (segments, start) = match term {
            Term::Literal(value) => return test(value.view()),
            Term::Current(segments) => (segments, self.current),
            Term::Root(segments) => (segments, self.root),
            _ => return self.operand(term)?.any(test),
        };
        // Most filters look at one member.
        if let [Segment { descends: false, selector: Selector::Name(name) }] = &segments[..] {
            self.budget.visit(1)?;
            return match start {
                View::Object(object) => match object.find(name) {
                    Some((_, view)) => test(view),
                    None => ControlFlow::Continue(false),
                },
                _ => ControlFlow::Continue(false),
            };
        }
        let mut passed = false;
        let flow = walk(segments, start, self.root, self.budget, NoTrail, |_, view| {
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

    /// Whether the pattern, if it is one string, is found in `subject`.
    fn found(&self, subject: View<'_>, pattern: &'v super::Pattern, extent: Extent) -> Step<bool> {
        use super::pattern::{Pattern, compiled_before, found};
        match pattern {
            Pattern::Compiled(None) => ControlFlow::Continue(false),
            Pattern::Compiled(Some(regex)) => found(regex, subject, self.budget),
            Pattern::Looked(term, dialect) => {
                let pattern = self.operand(term)?;
                let Some(text) = pattern.text() else { return ControlFlow::Continue(false) };
                match compiled_before(text, extent, *dialect, self.budget)? {
                    Some(regex) => found(&regex, subject, self.budget),
                    None => ControlFlow::Continue(false),
                }
            }
        }
    }
}

fn negated(number: Number) -> Number {
    match number {
        Number::Int(value) => {
            value.checked_neg().map_or(Number::Float(-(value as f64)), Number::Int)
        }
        Number::Float(value) => Number::Float(-value),
    }
}

fn calculate(left: Number, operation: Arithmetic, right: Number) -> Option<Number> {
    if let (Number::Int(a), Number::Int(b)) = (left, right) {
        let exact = match operation {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Subtract => a.checked_sub(b),
            Arithmetic::Multiply => a.checked_mul(b),
            Arithmetic::Divide => None,
            // The one that overflows besides zero is the least integer by -1.
            Arithmetic::Remainder => return a.checked_rem(b).map(Number::Int),
        };
        if let Some(exact) = exact {
            return Some(Number::Int(exact));
        }
    }
    let (a, b) = (left.as_f64(), right.as_f64());
    match operation {
        Arithmetic::Add => Some(a + b),
        Arithmetic::Subtract => Some(a - b),
        Arithmetic::Multiply => Some(a * b),
        Arithmetic::Divide => (b != 0.0).then_some(a / b),
        Arithmetic::Remainder => (b != 0.0).then_some(a % b),
    }
    .map(Number::Float)
}
