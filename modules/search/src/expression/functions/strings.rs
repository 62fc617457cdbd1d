//! Functions of texts.
//!
//! Texts are bytes: offsets and lengths count bytes, and changes of case touch ASCII letters, as in RediSearch.

use std::borrow::Cow;

use crate::expression::Error;
use crate::expression::functions::{text, whole};
use crate::expression::value::{Value, number_text};

/// Parts that `split()` gives.
const PARTS_MAX: usize = 1024;
/// Terms that `matched_terms()` gives.
const TERMS_MAX: usize = 100;
/// Longest text that `format()` makes of its arguments.
const FORMAT_BYTES_MAX: usize = 64 << 20;

/// `lower(text)`: NULL for anything but a text.
pub(super) fn lower<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    Ok(match text("lower", arguments, 0) {
        Ok(text) => Value::Text(Cow::Owned(text.to_ascii_lowercase())),
        Err(_) => Value::Null,
    })
}

/// `upper(text)`
pub(super) fn upper<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    Ok(match text("upper", arguments, 0) {
        Ok(text) => Value::Text(Cow::Owned(text.to_ascii_uppercase())),
        Err(_) => Value::Null,
    })
}

/// `substr(text, offset, length)`: a negative offset counts from the end; a negative length leaves out that many
/// bytes of the end.
pub(super) fn substr<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let offset = whole("substr", arguments, 1)?;
    let length = whole("substr", arguments, 2)?;
    let text = text("substr", arguments, 0)
        .map_err(|_| Error::Function("Invalid type for substr. Expected string"))?;
    let size = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let start = if offset < 0 { size.saturating_add(offset) } else { offset }.clamp(0, size);
    let rest = size - start;
    let length = if length < 0 { rest.saturating_add(length).max(0) } else { length.min(rest) };
    let range = start as usize..(start + length) as usize;
    Ok(match &arguments[0] {
        Value::Text(Cow::Borrowed(text)) => Value::text(&text[range]),
        _ => Value::Text(Cow::Owned(text[range].to_vec())),
    })
}

/// `format(text, ...)`: each `%s` stands for the next argument, `%%` for a percent sign.
pub(super) fn format<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    if arguments[0] == Value::Null {
        return Ok(Value::Null);
    }
    let pattern = text("format", arguments, 0)?;
    let mut out = Vec::with_capacity(pattern.len());
    let mut next = arguments[1..].iter();
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        match bytes.next() {
            None => return Err(Error::Function("Bad format string!")),
            Some(b'%') => out.push(b'%'),
            Some(kind) => {
                let value =
                    next.next().ok_or(Error::Function("Not enough arguments for format"))?;
                if *kind != b's' {
                    return Err(Error::Function("Unknown format specifier passed"));
                }
                append(value, &mut out);
            }
        }
        if out.len() > FORMAT_BYTES_MAX {
            return Err(Error::Function("The formatted string is too long"));
        }
    }
    Ok(Value::Text(Cow::Owned(out)))
}

fn append(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"(null)"),
        Value::Text(text) => out.extend_from_slice(text),
        Value::Number(number) => out.extend_from_slice(number_text(*number).as_bytes()),
        Value::Several(several) => {
            if let Some(first) = several.items.first() {
                append(first, out);
            }
        }
        Value::List(_) | Value::Map(_) => {}
    }
}

/// `split(text, separators, strip)`: the parts between any of the separators, without what is to be stripped at
/// their ends; empty ones are left out.
pub(super) fn split<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let whole = text("split", arguments, 0)?;
    let separators = if arguments.len() > 1 { text("split", arguments, 1)? } else { b"," };
    let strip = if arguments.len() > 2 { text("split", arguments, 2)? } else { b" " };
    let parts = whole
        .split(|byte| separators.contains(byte))
        .map(|part| stripped(part, strip))
        .filter(|part| !part.is_empty());
    let parts = parts.take(PARTS_MAX).map(|part| Value::Text(Cow::Owned(part.to_vec())));
    Ok(Value::List(parts.collect()))
}

fn stripped<'t>(mut part: &'t [u8], strip: &[u8]) -> &'t [u8] {
    while let [first, rest @ ..] = part
        && strip.contains(first)
    {
        part = rest;
    }
    while let [rest @ .., last] = part
        && strip.contains(last)
    {
        part = rest;
    }
    part
}

/// `startswith(text, prefix)`
pub(super) fn startswith<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let whole = text("startswith", arguments, 0)?;
    let prefix = text("startswith", arguments, 1)?;
    Ok(Value::Number(f64::from(u8::from(whole.starts_with(prefix)))))
}

/// `contains(text, part)`: how often, overlapping ones too. An empty part is found before and behind each byte.
pub(super) fn contains<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let whole = text("contains", arguments, 0)?;
    let part = text("contains", arguments, 1)?;
    let count = match part.len() {
        0 => whole.len() + 1,
        size => whole.windows(size).filter(|window| *window == part).count(),
    };
    Ok(Value::Number(count as f64))
}

/// `strlen(text)`
pub(super) fn strlen<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    Ok(Value::Number(text("strlen", arguments, 0)?.len() as f64))
}

/// `to_str(value)`: empty for lists.
pub(super) fn to_str<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    Ok(match &arguments[0] {
        Value::Text(text) => Value::Text(text.clone()),
        value => {
            let mut out = Vec::new();
            append(value, &mut out);
            Value::Text(Cow::Owned(out))
        }
    })
}

/// `matched_terms(max)`: NULL if there are none.
pub(super) fn matched_terms<'a>(terms: Option<Value<'a>>, max: Option<&Value<'a>>) -> Value<'a> {
    let max = max.and_then(Value::to_number).filter(|max| (1.0..=TERMS_MAX as f64).contains(max));
    let max = max.map_or(TERMS_MAX, |max| max as usize);
    match terms {
        Some(Value::List(terms)) if !terms.is_empty() => match terms.len() <= max {
            true => Value::List(terms),
            false => Value::List(terms[..max].into()),
        },
        _ => Value::Null,
    }
}
