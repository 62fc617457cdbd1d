//! What do the functions of filters and computed expressions yield?
//!
//! They are RedisJSON's. One that is given something it does not take yields nothing. What takes an array takes, in its
//! place, the several matches of a path and the lists that `keys()` and `append()` make. The aggregates are doubles,
//! whatever they are of.

use std::ops::ControlFlow;

use super::budget::{Budget, Step};
use super::eval::{NoTrail, walk};
use super::term::{Number, Operand, Scope, array, owned, owned_all};
use super::{Function, Term};
use crate::value::{Value, View};

/// The longest string that `concat` makes: as long as a request's longest argument.
const TEXT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of text whose characters are counted in the time of a visit.
const COUNTED_BYTES_PER_VISIT: usize = 64;

impl<'v> Scope<'v, '_> {
    /// Calls `function`, whose number of arguments has been checked.
    pub(super) fn call(&self, function: Function, arguments: &'v [Term]) -> Step<Operand<'v>> {
        let [first, ..] = arguments else { return ControlFlow::Continue(Operand::Nothing) };
        match function {
            Function::Count => {
                let count = self.count(first)?;
                return ControlFlow::Continue(Operand::Plain(View::Int(count)));
            }
            Function::Concat => return self.concat(arguments),
            _ => {}
        }
        let operand = self.operand(first)?;
        ControlFlow::Continue(match function {
            Function::Length => self.length_of(&operand)?,
            Function::Value => match operand {
                Operand::Node(view) => Operand::Node(view),
                Operand::List(mut values) if values.len() == 1 => {
                    values.pop().map_or(Operand::Nothing, Operand::Made)
                }
                _ => Operand::Nothing,
            },
            Function::Ceiling => rounded(&operand, f64::ceil),
            Function::Floor => rounded(&operand, f64::floor),
            Function::Abs => absolute(&operand),
            Function::Sum => self.aggregate(&operand, |numbers| numbers.iter().sum())?,
            Function::Min => self.aggregate(&operand, least)?,
            Function::Max => self.aggregate(&operand, greatest)?,
            Function::Average => self.aggregate(&operand, average)?,
            Function::Deviation => self.aggregate(&operand, deviation)?,
            Function::Keys => self.keys(&operand)?,
            Function::First => self.element(operand, 0)?,
            Function::Last => self.element(operand, -1)?,
            Function::Index => {
                let Some(index) = arguments.get(1) else {
                    return ControlFlow::Continue(Operand::Nothing);
                };
                match self.operand(index)?.single().and_then(truncated) {
                    Some(index) => self.element(operand, index)?,
                    None => Operand::Nothing,
                }
            }
            Function::Append => {
                let Some(added) = arguments.get(1) else {
                    return ControlFlow::Continue(Operand::Nothing);
                };
                self.append(operand, self.operand(added)?)?
            }
            Function::Count | Function::Concat => Operand::Nothing,
        })
    }

    /// How many values a term yields; does not collect them.
    fn count(&self, term: &'v Term) -> Step<i64> {
        let (segments, start) = match term {
            Term::Current(segments) => (segments, self.current),
            Term::Root(segments) => (segments, self.root),
            _ => {
                return ControlFlow::Continue(match self.operand(term)? {
                    Operand::Nothing => 0,
                    Operand::Node(_) | Operand::Plain(_) | Operand::Made(_) => 1,
                    Operand::Nodes(views) => views.len() as i64,
                    Operand::List(values) => values.len() as i64,
                });
            }
        };
        let mut count = 0;
        walk(segments, start, self.root, self.budget, NoTrail, |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        ControlFlow::Continue(count)
    }

    fn length_of(&self, operand: &Operand<'_>) -> Step<Operand<'v>> {
        let len = match operand {
            Operand::List(values) => Some(values.len() as i64),
            operand => match operand.single() {
                Some(view) => length(view, self.budget)?,
                None => None,
            },
        };
        ControlFlow::Continue(len.map_or(Operand::Nothing, |len| Operand::Plain(View::Int(len))))
    }

    fn concat(&self, arguments: &'v [Term]) -> Step<Operand<'v>> {
        let mut joined = Vec::new();
        for argument in arguments {
            let operand = self.operand(argument)?;
            match operand.text() {
                Some(text) if joined.len() + text.len() <= TEXT_BYTES_MAX => {
                    // Copying is slower than comparing, since memory has to be had for it.
                    self.budget.visit(text.len() / 16)?;
                    joined.extend_from_slice(text);
                }
                _ => return ControlFlow::Continue(Operand::Nothing),
            }
        }
        ControlFlow::Continue(Operand::Made(Value::joined_text(&joined, b"")))
    }

    fn aggregate(&self, operand: &Operand<'_>, aggregate: fn(&[f64]) -> f64) -> Step<Operand<'v>> {
        let mut numbers = Vec::new();
        let mut other = false;
        self.elements(operand, |element| match Number::of(element) {
            Some(number) => numbers.push(number.as_f64()),
            None => other = true,
        })?;
        if other || numbers.is_empty() {
            return ControlFlow::Continue(Operand::Nothing);
        }
        ControlFlow::Continue(Operand::Plain(View::Float(aggregate(&numbers))))
    }

    /// Calls `each` with the elements of what stands for an array.
    fn elements(&self, operand: &Operand<'_>, mut each: impl FnMut(View<'_>)) -> Step<()> {
        match operand {
            Operand::Nodes(views) => {
                self.budget.visit(views.len())?;
                views.iter().for_each(|view| each(*view));
            }
            Operand::List(values) => {
                self.budget.visit(values.len())?;
                values.iter().for_each(|value| each(value.view()));
            }
            operand => {
                if let Some(View::Array(array)) = operand.single() {
                    self.budget.visit(array.len())?;
                    array.iter().for_each(each);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn keys(&self, operand: &Operand<'_>) -> Step<Operand<'v>> {
        let mut names = Vec::new();
        let mut add = |view: View<'_>| {
            let View::Object(object) = view else { return ControlFlow::Continue(()) };
            // A list of names has a value of its own for each.
            self.budget.visit(4 * object.len())?;
            for member in object.iter() {
                self.budget.read(member.name().len())?;
                names.push(Value::joined_text(member.name(), b""));
            }
            ControlFlow::Continue(())
        };
        match operand {
            Operand::Nodes(views) => {
                for view in views {
                    add(*view)?;
                }
            }
            operand => match operand.single() {
                Some(view @ View::Object(_)) => add(view)?,
                _ => return ControlFlow::Continue(Operand::Nothing),
            },
        }
        ControlFlow::Continue(Operand::List(names))
    }

    /// The element at `index`, which counts from the end if negative, of what stands for an array.
    fn element(&self, operand: Operand<'v>, index: i64) -> Step<Operand<'v>> {
        let place = |len: usize| {
            let index = if index < 0 { index.saturating_add(len as i64) } else { index };
            usize::try_from(index).ok().filter(|&index| index < len)
        };
        ControlFlow::Continue(match operand {
            Operand::Node(View::Array(array)) => {
                let element = place(array.len()).and_then(|index| array.get(index));
                element.map_or(Operand::Nothing, Operand::Node)
            }
            Operand::Nodes(views) => {
                place(views.len()).map_or(Operand::Nothing, |index| Operand::Node(views[index]))
            }
            Operand::List(mut values) => place(values.len())
                .map_or(Operand::Nothing, |index| Operand::Made(values.swap_remove(index))),
            operand => {
                let Some(View::Array(array)) = operand.single() else {
                    return ControlFlow::Continue(Operand::Nothing);
                };
                let Some(element) = place(array.len()).and_then(|index| array.get(index)) else {
                    return ControlFlow::Continue(Operand::Nothing);
                };
                owned(element, self.budget)?.map_or(Operand::Nothing, Operand::Made)
            }
        })
    }

    /// The elements of an array, or the matches, and behind them one more. The document stays as it is.
    fn append(&self, operand: Operand<'v>, added: Operand<'v>) -> Step<Operand<'v>> {
        let added = match added {
            Operand::Nothing => None,
            Operand::Node(view) | Operand::Plain(view) => owned(view, self.budget)?,
            Operand::Made(value) => Some(value),
            Operand::Nodes(views) => Some(array(owned_all(&views, self.budget)?)),
            Operand::List(values) => Some(array(values)),
        };
        let Some(added) = added else { return ControlFlow::Continue(Operand::Nothing) };
        let mut values = match operand {
            Operand::Nothing => Vec::new(),
            Operand::List(values) => values,
            Operand::Nodes(views) => owned_all(&views, self.budget)?,
            operand => match operand.single() {
                Some(View::Array(array)) => {
                    self.budget.visit(array.len())?;
                    owned_all(&array.iter().collect::<Vec<_>>(), self.budget)?
                }
                Some(view) => Vec::from_iter(owned(view, self.budget)?),
                None => Vec::new(),
            },
        };
        values.push(added);
        ControlFlow::Continue(Operand::List(values))
    }
}

/// Characters of a string, elements, members.
pub(super) fn length(view: View<'_>, budget: &Budget) -> Step<Option<i64>> {
    ControlFlow::Continue(match view {
        View::Text(text) => {
            budget.visit(text.len() / COUNTED_BYTES_PER_VISIT)?;
            // Bytes that continue a character have the bits 10 in front.
            Some(text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as i64)
        }
        View::Array(_) | View::Object(_) => Some(view.children() as i64),
        _ => None,
    })
}

/// A number without its fraction, if it is one and that fits.
pub(super) fn truncated(view: View<'_>) -> Option<i64> {
    match Number::of(view)? {
        Number::Int(value) => Some(value),
        Number::Float(value) => to_i64(value.trunc()),
    }
}

fn to_i64(value: f64) -> Option<i64> {
    // The least i64 is a double, the greatest is not: the first double beyond it is 2^63.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    (-BEYOND..BEYOND).contains(&value).then_some(value as i64)
}

fn rounded(operand: &Operand<'_>, round: fn(f64) -> f64) -> Operand<'static> {
    let rounded = match operand.number() {
        Some(Number::Int(value)) => Some(value),
        Some(Number::Float(value)) => to_i64(round(value)),
        None => None,
    };
    rounded.map_or(Operand::Nothing, |value| Operand::Plain(View::Int(value)))
}

fn absolute(operand: &Operand<'_>) -> Operand<'static> {
    let absolute = match operand.number() {
        Some(Number::Int(value)) => value.checked_abs().map(Number::Int),
        Some(Number::Float(value)) => Some(Number::Float(value.abs())),
        None => None,
    };
    absolute.map_or(Operand::Nothing, Number::operand)
}

fn least(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::INFINITY, f64::min)
}

fn greatest(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn average(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn deviation(numbers: &[f64]) -> f64 {
    let mean = average(numbers);
    let squares: f64 = numbers.iter().map(|number| (number - mean) * (number - mean)).sum();
    (squares / numbers.len() as f64).sqrt()
}
