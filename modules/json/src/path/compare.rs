//! How do two values compare?
//!
//! Numbers compare by value whatever their kind, without rounding integers; strings by code point, `false` before
//! `true`, `null` equals itself. Values of different kinds are unequal and in no order. Arrays and objects are in no
//! order, and equal if all that they hold is: in RedisJSON's dialect kinds of numbers included, so `[1]` is not `[1.0]`.
//! RFC 9535 compares numbers in them by value too, and has no order of booleans.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use super::Operator;
use super::budget::{Budget, Step};
use crate::value::View;

/// RedisJSON's comparison. Not equal is not here: it is about all pairs of what two terms yield.
#[inline]
pub(super) fn compares(
    left: View<'_>,
    operator: Operator,
    right: View<'_>,
    budget: &Budget,
) -> Step<bool> {
    let order = order(left, right, budget)?;
    ControlFlow::Continue(match operator {
        Operator::Equal | Operator::NotEqual => match order {
            Some(order) => order == Ordering::Equal,
            None => same(left, right, budget)?,
        },
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
    })
}

/// RFC 9535's comparison, in which a side may be nothing.
pub(super) fn compares_strictly(
    left: Option<View<'_>>,
    operator: Operator,
    right: Option<View<'_>>,
    budget: &Budget,
) -> Step<bool> {
    let (Some(left), Some(right)) = (left, right) else {
        let equal = left.is_none() && right.is_none();
        return ControlFlow::Continue(match operator {
            Operator::Equal | Operator::LessOrEqual | Operator::GreaterOrEqual => equal,
            Operator::NotEqual => !equal,
            Operator::Less | Operator::Greater => false,
        });
    };
    let order = match (left, right) {
        (View::Bool(_), _) => None,
        _ => order(left, right, budget)?,
    };
    let equal = match order {
        Some(order) => order == Ordering::Equal,
        None => alike(left, right, budget)?,
    };
    ControlFlow::Continue(match operator {
        Operator::Equal => equal,
        Operator::NotEqual => !equal,
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => order == Some(Ordering::Less) || equal,
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => order == Some(Ordering::Greater) || equal,
    })
}

/// Whether two values are equal as members of arrays are: numbers by value, everything below type-strictly.
pub(super) fn equal(left: View<'_>, right: View<'_>, budget: &Budget) -> Step<bool> {
    compares(left, Operator::Equal, right, budget)
}

/// Deep equality in which `3` is not `3.0` and the order of members does not matter.
pub(super) fn same(left: View<'_>, right: View<'_>, budget: &Budget) -> Step<bool> {
    match (left, right) {
        (View::Array(_), View::Array(_)) | (View::Object(_), View::Object(_)) => {
            below(left, right, budget, same)
        }
        (View::Text(a), View::Text(b)) => texts(a, b, budget),
        _ => ControlFlow::Continue(left.same(right)),
    }
}

/// Deep equality in which numbers compare by value everywhere.
fn alike(left: View<'_>, right: View<'_>, budget: &Budget) -> Step<bool> {
    match (left, right) {
        (View::Array(_), View::Array(_)) | (View::Object(_), View::Object(_)) => {
            below(left, right, budget, alike)
        }
        _ => {
            let order = order(left, right, budget)?;
            ControlFlow::Continue(order == Some(Ordering::Equal))
        }
    }
}

fn texts(left: &[u8], right: &[u8], budget: &Budget) -> Step<bool> {
    if left.len() != right.len() {
        return ControlFlow::Continue(false);
    }
    budget.read(left.len())?;
    ControlFlow::Continue(left == right)
}

/// Whether two containers of a kind hold pairwise equal values.
fn below(
    left: View<'_>,
    right: View<'_>,
    budget: &Budget,
    equal: fn(View<'_>, View<'_>, &Budget) -> Step<bool>,
) -> Step<bool> {
    if left.children() != right.children() {
        return ControlFlow::Continue(false);
    }
    budget.visit(2 * left.children())?;
    match (left, right) {
        (View::Array(left), View::Array(right)) => {
            for (left, right) in left.iter().zip(right.iter()) {
                if !equal(left, right, budget)? {
                    return ControlFlow::Continue(false);
                }
            }
            ControlFlow::Continue(true)
        }
        (View::Object(left), View::Object(right)) => {
            for member in left.iter() {
                let Some((position, value)) = right.find_text(member.name()) else {
                    return ControlFlow::Continue(false);
                };
                // A look-up may pass all members in front of what it finds.
                budget.visit(position as usize / 8)?;
                if !equal(member.value, value, budget)? {
                    return ControlFlow::Continue(false);
                }
            }
            ControlFlow::Continue(true)
        }
        _ => ControlFlow::Continue(false),
    }
}

/// How two scalars of one kind stand; `None` for anything else.
#[inline]
fn order(left: View<'_>, right: View<'_>, budget: &Budget) -> Step<Option<Ordering>> {
    if let (View::Text(a), View::Text(b)) = (left, right) {
        budget.read(a.len().min(b.len()))?;
        return ControlFlow::Continue(Some(a.cmp(b)));
    }
    ControlFlow::Continue(order_of(left, right))
}

fn order_of(left: View<'_>, right: View<'_>) -> Option<Ordering> {
    match (left, right) {
        (View::Int(a), View::Int(b)) => Some(a.cmp(&b)),
        (View::Null, View::Null) => Some(Ordering::Equal),
        (View::Bool(a), View::Bool(b)) => Some(a.cmp(&b)),
        (View::Float(a), View::Float(b)) => a.partial_cmp(&b),
        (View::Float(a), b) => integer_to_float(integer(b)?, a).map(Ordering::reverse),
        (a, View::Float(b)) => integer_to_float(integer(a)?, b),
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

/// Compares without rounding the integer; `None` if the float is no number.
fn integer_to_float(integer: i128, float: f64) -> Option<Ordering> {
    // Outside this range the cast below would saturate, and no integer of a document lies there.
    const LIMIT: f64 = 1e30;
    if float >= LIMIT {
        return Some(Ordering::Less);
    }
    if float <= -LIMIT {
        return Some(Ordering::Greater);
    }
    if float.is_nan() {
        return None;
    }
    let whole = float.floor();
    let order = integer.cmp(&(whole as i128));
    Some(order.then(if float > whole { Ordering::Less } else { Ordering::Equal }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_compare_by_value() {
        assert_eq!(order_of(View::Int(3), View::Float(3.0)), Some(Ordering::Equal));
        assert_eq!(order_of(View::Float(2.5), View::Int(2)), Some(Ordering::Greater));
        assert_eq!(order_of(View::Int(-3), View::Float(-2.5)), Some(Ordering::Less));
        let big = 9_007_199_254_740_993; // 2^53 + 1, which is no double
        assert_eq!(
            order_of(View::Int(big), View::Float(9_007_199_254_740_992.0)),
            Some(Ordering::Greater)
        );
        assert_eq!(order_of(View::Unsigned(u64::MAX), View::Float(1e300)), Some(Ordering::Less));
        assert_eq!(order_of(View::Int(1), View::Text(b"1")), None);
        assert_eq!(order_of(View::Int(1), View::Float(f64::NAN)), None);
    }
}
