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
    fn value(&self, slot: usize) -> Option<Value<'_>>;
}

impl Row for [Option<Value<'_>>] {
    #[inline]
    fn value(&self, slot: usize) -> Option<Value<'_>> {
        self.get(slot)?.as_ref().map(Value::borrowed)
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
    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }

    fn between(self, left: Option<&Value<'_>>, right: Option<&Value<'_>>) -> bool {
        match (left, right) {
            (Some(left), Some(right)) => self.holds(left.compare(right)),
            (None, Some(Value::Null)) | (Some(Value::Null), None) => self == Comparison::Equal,
            _ => false,
        }
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
            Expression::Property(property) => row.value(property.slot),
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
            Expression::Compare(comparison, sides) => {
                let (left, right) = (sides[0].evaluate(row)?, sides[1].evaluate(row)?);
                truth(comparison.between(left.as_ref(), right.as_ref()))
            }
            Expression::Arithmetic(operator, sides) => {
                let Some(left) = sides[0].evaluate(row)? else { return Ok(None) };
                let Some(right) = sides[1].evaluate(row)? else { return Ok(None) };
                match (number(&left)?, number(&right)?) {
                    (Some(left), Some(right)) => Some(Value::Number(operator.apply(left, right))),
                    _ => Some(Value::Null),
                }
            }
            Expression::Call(call) => call.evaluate(row)?,
        })
    }

    /// Whether a condition holds for a row.
    pub fn holds<R: Row + ?Sized>(&self, row: &R) -> Result<bool, Error> {
        Ok(self.evaluate(row)?.is_some_and(|value| value.is_true()))
    }
}

/// An operand as a number; none if it is NULL.
fn number(value: &Value<'_>) -> Result<Option<f64>, Error> {
    match value {
        Value::Null => Ok(None),
        value => value.to_number().map(Some).ok_or(Error::NotANumber),
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
                Ok(Some(run(row.value(self.slot), max.as_ref())))
            }
            Run::Plain(run) => self.plain(row, run, false),
            Run::WithNulls(run) => self.plain(row, run, true),
        }
    }

    fn plain<'v, R: Row + ?Sized>(
        &'v self,
        row: &'v R,
        run: for<'a> fn(&[Value<'a>]) -> Result<Value<'a>, Error>,
        with_nulls: bool,
    ) -> Result<Option<Value<'v>>, Error> {
        let mut inline: [Value<'v>; ARGUMENTS_INLINE] = Default::default();
        let mut heap = Vec::new();
        let count = self.arguments.len();
        let values = if count <= ARGUMENTS_INLINE {
            &mut inline[..count]
        } else {
            heap.resize(count, Value::Null);
            &mut heap[..]
        };
        for (argument, value) in self.arguments.iter().zip(values.iter_mut()) {
            match argument.evaluate(row)? {
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
