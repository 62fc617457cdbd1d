//! What does an encoded reply say? Reads RESP2 and RESP3 replies back, for modules, tests and
//! imports. (Scripts convert the bytes straight to Lua values.)
//!
//! Invariants: never panics on any bytes; nesting is limited by [`DEPTH_MAX`]; strings are borrowed.

use memchr::memchr;

/// Deepest nesting that is read.
pub const DEPTH_MAX: usize = 128;

/// One reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `+` status.
    Simple(&'a [u8]),
    /// `-` or `!` error, with its code.
    Error(&'a [u8]),
    /// `:` integer.
    Int(i64),
    /// `$` string.
    Bulk(&'a [u8]),
    /// `$-1` or `_`.
    Null,
    /// `*-1`.
    NullArray,
    /// `#` truth value.
    Bool(bool),
    /// `,` floating point number.
    Double(f64),
    /// `(` digits of an integer of any size.
    BigNumber(&'a [u8]),
    /// `=` text with its three-letter format.
    Verbatim(&'a [u8], &'a [u8]),
    /// `*` array.
    Array(Vec<Value<'a>>),
    /// `%` map.
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// `~` set.
    Set(Vec<Value<'a>>),
    /// `>` out-of-band message.
    Push(Vec<Value<'a>>),
}

/// The bytes are not one complete reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// More bytes are needed.
    #[error("the reply is cut off")]
    Incomplete,
    /// Not the protocol, or nested too deeply.
    #[error("the reply is malformed")]
    Malformed,
}

impl<'a> Value<'a> {
    /// Reads one reply from the front of `bytes`; returns it and the bytes behind it.
    pub fn read(bytes: &'a [u8]) -> Result<(Value<'a>, &'a [u8]), ValueError> {
        read(bytes, 0)
    }

    /// The bytes of a string or status.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Value::Simple(b) | Value::Bulk(b) | Value::Verbatim(_, b) | Value::BigNumber(b) => {
                Some(b)
            }
            _ => None,
        }
    }
}

fn read(bytes: &[u8], depth: usize) -> Result<(Value<'_>, &[u8]), ValueError> {
    if depth > DEPTH_MAX {
        return Err(ValueError::Malformed);
    }
    let (&kind, rest) = bytes.split_first().ok_or(ValueError::Incomplete)?;
    let end = memchr(b'\n', rest).ok_or(ValueError::Incomplete)?;
    let line = rest[..end].strip_suffix(b"\r").ok_or(ValueError::Malformed)?;
    let rest = &rest[end + 1..];
    let number = || crate::base::number::parse_i64(line).ok_or(ValueError::Malformed);
    let value = match kind {
        b'+' => Value::Simple(line),
        b'-' => Value::Error(line),
        b':' => Value::Int(number()?),
        b'_' => Value::Null,
        b'#' => Value::Bool(line == b"t"),
        b',' => Value::Double(crate::base::number::parse_f64(line).ok_or(ValueError::Malformed)?),
        b'(' => Value::BigNumber(line),
        b'$' | b'!' | b'=' => return read_bulk(kind, number()?, rest),
        b'*' if line == b"-1" => Value::NullArray,
        b'*' | b'~' | b'>' => {
            let (items, rest) = read_items(number()?, rest, depth)?;
            return Ok((wrap(kind, items), rest));
        }
        b'%' => return read_map(number()?, rest, depth),
        _ => return Err(ValueError::Malformed),
    };
    Ok((value, rest))
}

fn wrap(kind: u8, items: Vec<Value<'_>>) -> Value<'_> {
    match kind {
        b'*' => Value::Array(items),
        b'~' => Value::Set(items),
        _ => Value::Push(items),
    }
}

fn read_bulk(kind: u8, len: i64, rest: &[u8]) -> Result<(Value<'_>, &[u8]), ValueError> {
    if len == -1 && kind == b'$' {
        return Ok((Value::Null, rest));
    }
    let len = usize::try_from(len).map_err(|_| ValueError::Malformed)?;
    let end = len.checked_add(2).ok_or(ValueError::Malformed)?;
    if rest.len() < end {
        return Err(ValueError::Incomplete);
    }
    let (body, rest) = (&rest[..len], &rest[end..]);
    let value = match kind {
        b'$' => Value::Bulk(body),
        b'!' => Value::Error(body),
        _ if body.len() >= 4 && body[3] == b':' => Value::Verbatim(&body[..3], &body[4..]),
        _ => return Err(ValueError::Malformed),
    };
    Ok((value, rest))
}

type Items<'a> = (Vec<Value<'a>>, &'a [u8]);

fn read_items(count: i64, mut rest: &[u8], depth: usize) -> Result<Items<'_>, ValueError> {
    let count = usize::try_from(count).map_err(|_| ValueError::Malformed)?;
    // Each element takes three bytes at least, so a lying count reserves no memory.
    let mut items = Vec::with_capacity(count.min(rest.len() / 3));
    for _ in 0..count {
        let (item, after) = read(rest, depth + 1)?;
        items.push(item);
        rest = after;
    }
    Ok((items, rest))
}

fn read_map(pairs: i64, mut rest: &[u8], depth: usize) -> Result<(Value<'_>, &[u8]), ValueError> {
    let pairs = usize::try_from(pairs).map_err(|_| ValueError::Malformed)?;
    let mut items = Vec::with_capacity(pairs.min(rest.len() / 6));
    for _ in 0..pairs {
        let (key, after) = read(rest, depth + 1)?;
        let (value, after) = read(after, depth + 1)?;
        items.push((key, value));
        rest = after;
    }
    Ok((Value::Map(items), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_back() {
        let bytes = b"*3\r\n$2\r\nhi\r\n%1\r\n+k\r\n,1.5\r\n~1\r\n_\r\n:5\r\n";
        let (value, rest) = Value::read(bytes).expect("well-formed");
        assert_eq!(
            value,
            Value::Array(vec![
                Value::Bulk(b"hi"),
                Value::Map(vec![(Value::Simple(b"k"), Value::Double(1.5))]),
                Value::Set(vec![Value::Null]),
            ])
        );
        assert_eq!(rest, b":5\r\n");
    }

    #[test]
    fn cut_off_and_hostile_replies_are_errors() {
        assert_eq!(Value::read(b"$5\r\nabc"), Err(ValueError::Incomplete));
        assert_eq!(Value::read(b"*9223372036854775807\r\n"), Err(ValueError::Incomplete));
        assert_eq!(Value::read(b"$-2\r\n"), Err(ValueError::Malformed));
        assert_eq!(Value::read(&b"*1\r\n".repeat(1000)), Err(ValueError::Malformed));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(input in proptest::collection::vec(0u8.., 0..200)) {
            let _ = Value::read(&input);
        }
    }
}
