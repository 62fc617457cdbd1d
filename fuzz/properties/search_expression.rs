//! Does an expression of FT.AGGREGATE mean the same once it has been printed, and does working it out end well?
//!
//! Input: a byte that chooses which properties the row has, then the expression. Properties: what is printed is read again and
//! prints alike; both are worth the same on a row; a condition holds exactly if its value is true; a block of rows has the values
//! of its rows, unless it meets an error.

use std::borrow::Cow;

use mortise_search::expression::block::{Columns, Places};
use mortise_search::expression::lane::Lane;
use mortise_search::expression::value::Value;
use mortise_search::expression::{Error, Expression, Wanted};

/// Longer expressions add work but nothing new.
const TEXT_BYTES_MAX: usize = 512;

fn row(choice: u8) -> Vec<Option<Value<'static>>> {
    let values = [
        Value::Number(10.0),
        Value::Text(Cow::Borrowed(b"Hello, World")),
        Value::Text(Cow::Borrowed(b"-7.5e2")),
        Value::Text(Cow::Borrowed(b"13.36,38.11")),
        Value::List([Value::Number(1.0), Value::Text(Cow::Borrowed(b"\xff"))].into()),
        Value::Null,
        Value::Number(1_709_230_599.0),
        Value::Number(f64::NAN),
    ];
    let has = |at: usize| choice >> at & 1 == 1;
    values.into_iter().enumerate().map(|(at, value)| has(at).then_some(value)).collect()
}

/// Rows that have different properties.
struct Rows(Vec<Vec<Option<Value<'static>>>>);

impl<'v> Columns<'v> for Rows {
    fn lane(&self, slot: usize, places: Places<'_>) -> Lane<'v> {
        let value = |row: &[Option<Value<'static>>]| row.get(slot).cloned().flatten();
        Lane::Values(match places {
            Places::All(_) => self.0.iter().map(|row| value(row)).collect(),
            Places::Some(places) => places.iter().map(|at| value(&self.0[*at as usize])).collect(),
        })
    }
}

fn check_block(expression: &Expression, choice: u8) {
    let choices = [choice, !choice, choice.rotate_left(3), choice.wrapping_add(77), choice];
    let rows = Rows(choices.map(row).into());
    let Ok(lane) = expression.evaluate_block(&rows, Places::All(rows.0.len())) else { return };
    for (at, row) in rows.0.iter().enumerate() {
        let value = expression.evaluate(row.as_slice());
        assert_eq!(format!("{:?}", Ok::<_, Error>(lane.get(at))), format!("{value:?}"));
    }
}

/// Binds each property to a slot that its name alone decides.
fn bound(text: &[u8]) -> Result<Expression, Error> {
    let mut expression = Expression::parse(text)?;
    expression.bind(&mut |wanted| match wanted {
        Wanted::Property(name) => Ok(usize::from(name.first().copied().unwrap_or(0)) % 9),
        Wanted::MatchedTerms => Ok::<usize, Error>(4),
    })?;
    Ok(expression)
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&choice, text)) = bytes.split_first() else { return };
    if text.len() > TEXT_BYTES_MAX {
        return;
    }
    let Ok(expression) = bound(text) else { return };
    check_block(&expression, choice);
    let row = row(choice);
    let value = expression.evaluate(row.as_slice());
    let holds = expression.holds(row.as_slice());
    match &value {
        Ok(value) => {
            assert_eq!(holds, Ok(value.as_ref().is_some_and(|value| value.is_true())));
        }
        Err(error) => assert_eq!(holds, Err(error.clone())),
    }
    // Texts that are not UTF-8 cannot be printed as they are.
    if std::str::from_utf8(text).is_err() {
        return;
    }
    let printed = expression.to_string();
    match bound(printed.as_bytes()) {
        Ok(again) => {
            assert_eq!(again.to_string(), printed);
            // Numbers may be nan, which is unlike itself; their text is not.
            let other = again.evaluate(row.as_slice());
            assert_eq!(format!("{value:?}"), format!("{other:?}"), "{printed}");
        }
        // Parentheses that were not in the text may make it too deep or too long.
        Err(Error::TooDeep | Error::TooLong) => {}
        Err(error) => panic!("{printed}: {error}"),
    }
}
