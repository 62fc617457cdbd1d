//! JSON.NUMINCRBY and its kin, JSON.TOGGLE, JSON.STRAPPEND: how single values are computed anew.

use super::{Answer, Updated, update, update_in_place};
use crate::codec::parse;
use crate::error::JsonError;
use crate::path::Path;
use crate::value::{Edit, Spot, Value, View};

/// Longest string that appending may make; that of a string key's value.
const TEXT_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A number as operations see it: integers above `i64::MAX` count as floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A finite float.
    Float(f64),
}

impl Number {
    /// Reads a number argument.
    pub fn parse(text: &str) -> Result<Number, JsonError> {
        // Most are short integers, which need no parser; what JSON forbids (`007`, `+1`) is left to it.
        let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
        if let [b'1'..=b'9', rest @ ..] = digits
            && rest.iter().all(u8::is_ascii_digit)
            && let Ok(value) = text.parse()
        {
            return Ok(Number::Int(value));
        }
        let parsed = parse(text).map_err(JsonError::JsonArgument)?;
        Number::of(parsed.value.view()).ok_or(JsonError::BadNumber)
    }

    /// The number that a value is.
    pub fn of(view: View<'_>) -> Option<Number> {
        match view {
            View::Int(value) => Some(Number::Int(value)),
            View::Unsigned(value) => Some(Number::Float(value as f64)),
            View::Float(value) => Some(Number::Float(value)),
            _ => None,
        }
    }

    /// The number as a value to look at.
    pub fn view(self) -> View<'static> {
        match self {
            Number::Int(value) => View::Int(value),
            Number::Float(value) => View::Float(value),
        }
    }

    /// The value that the number makes.
    pub fn to_value(self) -> Value {
        match self {
            Number::Int(value) => Value::int(value),
            Number::Float(value) => Value::float(value),
        }
    }

    fn put(self, spot: Spot<'_>) -> bool {
        match self {
            Number::Int(value) => spot.put_int(value),
            Number::Float(value) => spot.put_float(value),
        }
    }

    fn as_float(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }
}

/// The operations on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Adds the argument.
    Add,
    /// Multiplies by it.
    Multiply,
    /// Raises to its power.
    Power,
}

impl Arithmetic {
    fn compute(self, left: Number, right: Number) -> Result<Number, JsonError> {
        if let (Number::Int(a), Number::Int(b)) = (left, right) {
            let exact = match self {
                Arithmetic::Add => a.checked_add(b),
                Arithmetic::Multiply => a.checked_mul(b),
                // Integers stay integers: there is no negative power of one.
                Arithmetic::Power => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
            };
            return exact.map(Number::Int).ok_or(JsonError::NumericOverflow);
        }
        let (a, b) = (left.as_float(), right.as_float());
        let result = match self {
            Arithmetic::Add => a + b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Power => a.powf(b),
        };
        if !result.is_finite() {
            return Err(JsonError::ResultNotANumber);
        }
        Ok(Number::Float(result))
    }
}

/// Applies `operation` with `operand` to every number that matches; the results are the new numbers. An operand that is
/// none is an error once there is a number to change.
pub fn arithmetic(
    document: &mut Value,
    path: &Path,
    operation: Arithmetic,
    operand: &Result<Number, JsonError>,
) -> Result<Updated<Number>, JsonError> {
    let in_place = update_in_place(document, path, |spot| {
        let number = Number::of(spot.view())?;
        let result = match operand {
            Ok(operand) => operation.compute(number, *operand),
            Err(error) => Err(error.clone()),
        };
        match result {
            Ok(result) => result.put(spot).then_some(Ok(result)),
            Err(error) => Some(Err(error)),
        }
    });
    if let Some(done) = in_place {
        return done;
    }
    update(document, path, Answer::LastMatch, |view, _| {
        let Some(number) = Number::of(view) else { return Ok(None) };
        let result = operation.compute(number, operand.clone()?)?;
        Ok(Some((result, Some(Edit::Replace(result.to_value())))))
    })
}

/// Negates every boolean that matches; the results are the new ones.
pub fn toggle(document: &mut Value, path: &Path) -> Result<Updated<bool>, JsonError> {
    let in_place = update_in_place(document, path, |spot| {
        let View::Bool(value) = spot.view() else { return None };
        spot.put_bool(!value).then_some(Ok(!value))
    });
    if let Some(done) = in_place {
        return done;
    }
    update(document, path, Answer::LastMatch, |view, _| {
        let View::Bool(value) = view else { return Ok(None) };
        Ok(Some((!value, Some(Edit::Replace(Value::bool(!value))))))
    })
}

/// Appends to every string that matches; the results are the new lengths in bytes. A suffix that is no string is an error
/// once there is a string to change.
pub fn strappend(
    document: &mut Value,
    path: &Path,
    suffix: Result<&[u8], &JsonError>,
) -> Result<Updated<usize>, JsonError> {
    update(document, path, Answer::LastMatch, |view, _| {
        let View::Text(text) = view else { return Ok(None) };
        let suffix = suffix.map_err(JsonError::clone)?;
        let len = text.len() + suffix.len();
        if len > TEXT_BYTES_MAX {
            return Err(JsonError::TextTooLong);
        }
        Ok(Some((len, Some(Edit::Replace(Value::joined_text(text, suffix))))))
    })
}
