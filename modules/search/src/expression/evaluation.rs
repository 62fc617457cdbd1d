//! What is an expression worth on a row?
//!
//! A property that the row lacks is worth nothing (`None`), and so is whatever is computed from it: arithmetic, functions,
//! and the negation of it. Comparisons with it do not hold, except that it equals a literal NULL.

use std::cmp::Ordering;

use crate::expression::functions::Run;
use crate::expression::value::Value;
use crate::expression::{Call, Comparison, Error, Expression, Operator};

/// Where the values of properties come from.
pub trait Row {
    /// The value in a slot, if the row has one.
    fn value(&self, slot: usize) -> Option<&Value<'_>>;
}

impl Row for [Option<Value<'_>>] {
    #[inline]
    fn value(&self, slot: usize) -> Option<&Value<'_>> {
        self.get(slot)?.as_ref()
    }
}

/// What arithmetic is done with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand {
    Missing,
    Null,
    Number(f64),
}

impl Operand {
    /// What a value is to arithmetic.
    pub fn of(value: Option<&Value<'_>>) -> Result<Operand, Error> {
        match value {
            None => Ok(Operand::Missing),
            Some(Value::Number(number)) => Ok(Operand::Number(*number)),
            Some(Value::Null) => Ok(Operand::Null),
            Some(value) => value.to_number().map(Operand::Number).ok_or(Error::NotANumber),
        }
    }

    /// Applies an operator.
    pub fn combine(self, operator: Operator, other: Operand) -> Operand {
        match (self, other) {
            (Operand::Number(a), Operand::Number(b)) => Operand::Number(operator.apply(a, b)),
            (Operand::Missing, _) | (_, Operand::Missing) => Operand::Missing,
            _ => Operand::Null,
        }
    }

    /// It as a value.
    pub fn value<'v>(self) -> Option<Value<'v>> {
        match self {
            Operand::Missing => None,
            Operand::Null => Some(Value::Null),
            Operand::Number(number) => Some(Value::Number(number)),
        }
    }
}

/// Most functions take no more arguments than this, and then no call allocates.
const ARGUMENTS_INLINE: usize = 4;

impl Operator {
    /// Applies it.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Modulo => a % b,
            Operator::Power => a.powf(b),
        }
    }
}

impl Comparison {
    /// Whether it holds between two expressions on a row.
    fn decide<R: Row + ?Sized>(self, sides: &[Expression; 2], row: &R) -> Result<bool, Error> {
        if let Some(left) = sides[0].plain_number(row)?
            && let Some(right) = sides[1].plain_number(row)?
        {
            return Ok(self.holds(left.partial_cmp(&right).unwrap_or(Ordering::Equal)));
        }
        let (left, right) = (sides[0].evaluate(row)?, sides[1].evaluate(row)?);
        Ok(self.between(left.as_ref(), right.as_ref()))
    }
}

fn truth<'v>(holds: bool) -> Option<Value<'v>> {
    Some(Value::Number(f64::from(u8::from(holds))))
}

impl Expression {
    /// Its value on a row; none if it hangs on a property that the row lacks.
    pub fn evaluate<'v, R: Row + ?Sized>(&'v self, row: &'v R) -> Result<Option<Value<'v>>, Error> {
        Ok(match self {
            Expression::Null => Some(Value::Null),
            Expression::Number(number) => Some(Value::Number(*number)),
            Expression::Text(text) => Some(Value::text(text)),
            Expression::Property(property) => row.value(property.slot).map(Value::borrowed),
            Expression::Not(child) => match child.evaluate(row)? {
                Some(value) => truth(!value.is_true()),
                None => None,
            },
            Expression::And(children) => {
                for child in children {
                    if !child.holds(row)? {
                        return Ok(truth(false));
                    }
                }
                truth(true)
            }
            Expression::Or(children) => {
                for child in children {
                    if child.holds(row)? {
                        return Ok(truth(true));
                    }
                }
                truth(false)
            }
            Expression::Compare(comparison, sides) => truth(comparison.decide(sides, row)?),
            Expression::Arithmetic(..) => self.number(row)?.value(),
            Expression::Call(call) => call.evaluate(row)?,
        })
    }

    /// Whether a condition holds for a row.
    pub fn holds<R: Row + ?Sized>(&self, row: &R) -> Result<bool, Error> {
        match self {
            Expression::Compare(comparison, sides) => comparison.decide(sides, row),
            _ => Ok(self.evaluate(row)?.is_some_and(|value| value.is_true())),
        }
    }

    /// Its value as an operand. Numbers on the way become no [`Value`]s, which is half of the time.
    fn number<R: Row + ?Sized>(&self, row: &R) -> Result<Operand, Error> {
        match self {
            Expression::Number(number) => Ok(Operand::Number(*number)),
            Expression::Property(property) => Operand::of(row.value(property.slot)),
            Expression::Arithmetic(operator, sides) => {
                let (left, right) = (sides[0].number(row)?, sides[1].number(row)?);
                Ok(left.combine(*operator, right))
            }
            other => Operand::of(other.evaluate(row)?.as_ref()),
        }
    }

    /// Its value, if it is plainly a number.
    fn plain_number<R: Row + ?Sized>(&self, row: &R) -> Result<Option<f64>, Error> {
        Ok(match self {
            Expression::Number(number) => Some(*number),
            Expression::Property(property) => match row.value(property.slot) {
                Some(Value::Number(number)) => Some(*number),
                _ => None,
            },
            Expression::Arithmetic(..) => match self.number(row)? {
                Operand::Number(number) => Some(number),
                Operand::Missing | Operand::Null => None,
            },
            _ => None,
        })
    }
}

impl Call {
    fn evaluate<'v, R: Row + ?Sized>(&'v self, row: &'v R) -> Result<Option<Value<'v>>, Error> {
        match self.function.run() {
            Run::Exists => {
                let value = self.arguments[0].evaluate(row)?;
                Ok(truth(value.is_some_and(|value| value != Value::Null)))
            }
            Run::Case => {
                let holds = self.arguments[0].holds(row)?;
                self.arguments[if holds { 1 } else { 2 }].evaluate(row)
            }
            Run::MatchedTerms(run) => {
                let max = match self.arguments.first() {
                    Some(max) => max.evaluate(row)?,
                    None => None,
                };
                Ok(Some(run(row.value(self.slot).map(Value::borrowed), max.as_ref())))
            }
            Run::Plain(_) | Run::WithNulls(_) | Run::Math(_) => {
                self.with(|at| self.arguments[at].evaluate(row))
            }
        }
    }

    /// Its value, of the values of its arguments; none if one is missing that must not be.
    pub(super) fn with<'v>(
        &self,
        mut argument: impl FnMut(usize) -> Result<Option<Value<'v>>, Error>,
    ) -> Result<Option<Value<'v>>, Error> {
        let (run, with_nulls) = match self.function.run() {
            Run::Math(function) => {
                return Ok(argument(0)?.map(|value| match value {
                    Value::Null => Value::Null,
                    value => Value::Number(value.to_number().map_or(f64::NAN, function)),
                }));
            }
            Run::Plain(run) => (run, false),
            Run::WithNulls(run) => (run, true),
            Run::Exists | Run::Case | Run::MatchedTerms(_) => {
                unreachable!("these need more than values")
            }
        };
        let mut inline: [Value<'v>; ARGUMENTS_INLINE] = Default::default();
        let mut heap = Vec::new();
        let count = self.arguments.len();
        let values = if count <= ARGUMENTS_INLINE {
            &mut inline[..count]
        } else {
            heap.resize(count, Value::Null);
            &mut heap[..]
        };
        for (at, value) in values.iter_mut().enumerate() {
            match argument(at)? {
                Some(found) => *value = found,
                None if with_nulls => {}
                None => return Ok(None),
            }
            if *value == Value::Null && !with_nulls {
                return Ok(Some(Value::Null));
            }
        }
        run(values).map(Some)
    }
}
