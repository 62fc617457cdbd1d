//! What can a property be, and how do two of them compare?
//!
//! Texts are borrowed from where they lie for as long as possible: a row that is only looked at copies nothing.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// A value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value<'a> {
    /// None, said aloud: a row that lacks a property has no value at all.
    #[default]
    Null,
    /// A number.
    Number(f64),
    /// A byte string.
    Text(Cow<'a, [u8]>),
    /// Several values, of `split()` or a reducer.
    List(Arc<[Value<'static>]>),
    /// The values of a JSON array.
    Several(Arc<Several>),
    /// Values by name.
    Map(Arc<[(Box<[u8]>, Value<'static>)]>),
}

/// Values of one JSON path. Grouping takes them one by one, replies show them in one text, anything else looks at the
/// first.
#[derive(Debug, Clone, PartialEq)]
pub struct Several {
    /// What replies show.
    pub shown: Box<[u8]>,
    /// The values.
    pub items: Vec<Value<'static>>,
}

impl<'a> Value<'a> {
    /// A text that is borrowed.
    pub fn text(text: &'a [u8]) -> Value<'a> {
        Value::Text(Cow::Borrowed(text))
    }

    /// The same value, not borrowed.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Number(number) => Value::Number(number),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::List(items) => Value::List(items),
            Value::Several(several) => Value::Several(several),
            Value::Map(entries) => Value::Map(entries),
        }
    }

    /// The same value, borrowed from this one.
    #[inline]
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Null => Value::Null,
            Value::Number(number) => Value::Number(*number),
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
            Value::List(items) => Value::List(Arc::clone(items)),
            Value::Several(several) => Value::Several(Arc::clone(several)),
            Value::Map(entries) => Value::Map(Arc::clone(entries)),
        }
    }

    /// Bytes that it has on the heap, or would have if it were not borrowed.
    pub fn memory(&self) -> usize {
        match self {
            Value::Null | Value::Number(_) => 0,
            Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(Value::memory_in_list).sum(),
            Value::Several(several) => {
                several.shown.len() + several.items.iter().map(Value::memory_in_list).sum::<usize>()
            }
            Value::Map(entries) => {
                let entry = |(name, value): &(Box<[u8]>, Value<'_>)| {
                    size_of::<Box<[u8]>>() + name.len() + value.memory_in_list()
                };
                entries.iter().map(entry).sum()
            }
        }
    }

    fn memory_in_list(&self) -> usize {
        size_of::<Value<'_>>() + self.memory()
    }

    /// It as a number, if it is one or a text that reads as one.
    #[inline]
    pub fn to_number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text_to_number(text),
            Value::Several(several) => several.items.first()?.to_number(),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether a condition holds that has this value.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Several(several) => several.items.first().is_some_and(Value::is_true),
            Value::Map(entries) => !entries.is_empty(),
        }
    }

    /// What comparing looks at.
    fn leading(&self) -> &Value<'_> {
        match self {
            Value::Several(several) => several.items.first().unwrap_or(&Value::Null),
            value => value,
        }
    }

    /// The order of two values. Null comes before anything else; a number and a text compare as numbers if the
    /// text reads as one, else as texts. Lists compare by their first items. Numbers that have no order are equal.
    pub fn compare(&self, other: &Value<'_>) -> Ordering {
        match (self.leading(), other.leading()) {
            (Value::Number(a), Value::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Less,
            (_, Value::Null) => Ordering::Greater,
            (Value::Number(number), Value::Text(text)) => compare_number(*number, text),
            (Value::Text(text), Value::Number(number)) => compare_number(*number, text).reverse(),
            (Value::List(a), Value::List(b)) => match (a.first(), b.first()) {
                (Some(a), Some(b)) => a.compare(b),
                _ => a.len().cmp(&b.len()),
            },
            // A list beside a number or a text is an empty text.
            (Value::Number(_), _) => Ordering::Greater,
            (_, Value::Number(_)) => Ordering::Less,
            (Value::Text(text), _) => text.as_ref().cmp(b""),
            (_, Value::Text(text)) => b"".as_slice().cmp(text),
            _ => Ordering::Equal,
        }
    }
}

/// A number, if the whole text is one.
pub fn text_to_number(text: &[u8]) -> Option<f64> {
    // Most texts are words, and this is asked of every row.
    let first = text.first()?;
    if !(first.is_ascii_digit() || b"+-.iInN".contains(first)) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn compare_number(number: f64, text: &[u8]) -> Ordering {
    match text_to_number(text) {
        Some(other) => number.partial_cmp(&other).unwrap_or(Ordering::Equal),
        None => number_text(number).as_bytes().cmp(text),
    }
}

/// How a number is shown: whole numbers in full, others with at most twelve significant digits, like C's `%.12g`.
pub fn number_text(number: f64) -> String {
    /// 2^63: whole numbers below it are shown in full.
    const WHOLE_END: f64 = 9_223_372_036_854_775_808.0;
    const DIGITS: i32 = 12;
    if number.fract() == 0.0 && (-WHOLE_END..WHOLE_END).contains(&number) {
        return (number as i64).to_string();
    }
    if !number.is_finite() {
        let text = if number.is_nan() {
            "nan"
        } else if number > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        return text.to_owned();
    }
    let scientific = format!("{number:.*e}", DIGITS as usize - 1);
    let (digits, exponent) = scientific.split_once('e').expect("that is the format asked for");
    let exponent: i32 = exponent.parse().expect("that is the format asked for");
    if (-4..DIGITS).contains(&exponent) {
        let decimals = usize::try_from(DIGITS - 1 - exponent).expect("the range says so");
        return trimmed(&format!("{number:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
}

fn trimmed(digits: &str) -> &str {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_c_does() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (21.0, "21"),
            (-3.5, "-3.5"),
            (0.1 + 0.2, "0.3"),
            (13f64.sqrt(), "3.60555127546"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (123_456_789_012.5, "123456789012"),
            (1_234_567_890_123.5, "1.23456789012e+12"),
            (999_999_999_999.75, "1e+12"),
            (123_456_789_010.4, "123456789010"),
            (1e18, "1000000000000000000"),
            (6_373_878_785_249_699_840.0, "6373878785249699840"),
            (1e19, "1e+19"),
            (-1e300, "-1e+300"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (number, expected) in cases {
            assert_eq!(number_text(number), expected);
        }
    }

    #[test]
    fn numbers_and_texts_compare_as_numbers_where_they_can() {
        let text = |text: &'static str| Value::text(text.as_bytes());
        assert_eq!(Value::Number(9.0).compare(&text("10")), Ordering::Less);
        assert_eq!(text("10").compare(&Value::Number(9.0)), Ordering::Greater);
        assert_eq!(text("10").compare(&text("9")), Ordering::Less);
        assert_eq!(Value::Number(9.0).compare(&text("10a")), Ordering::Greater);
        assert_eq!(Value::Null.compare(&text("")), Ordering::Less);
        assert_eq!(Value::Null.compare(&Value::Null), Ordering::Equal);
        let list = |items: &[Value<'static>]| Value::List(items.into());
        assert_eq!(list(&[]).compare(&list(&[Value::Null])), Ordering::Less);
        assert_eq!(list(&[text("a"), text("z")]).compare(&list(&[text("b")])), Ordering::Less);
    }

    #[test]
    fn only_whole_texts_are_numbers() {
        let texts = ["1", "-2.5e3", "+7", "inf", "1x", " 1", "", "abc", "1,5"];
        let numbers = texts.map(|text| text_to_number(text.as_bytes()));
        assert_eq!(
            numbers,
            [
                Some(1.0),
                Some(-2500.0),
                Some(7.0),
                Some(f64::INFINITY),
                None,
                None,
                None,
                None,
                None
            ]
        );
    }
}
