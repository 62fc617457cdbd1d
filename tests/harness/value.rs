//! What did the server answer? One reply of RESP2 or RESP3 as a tree.
//!
//! The reader accepts exactly what the protocol allows and keeps the two nulls of RESP2 apart, because clients do.

use std::io::{self, BufRead};

/// Deeper replies than this are an error of the server under test.
const DEPTH_MAX: usize = 64;
/// A longer bulk string or aggregate than this is an error of the server under test.
const LENGTH_MAX: usize = 600 << 20;

/// A reply, as it was typed on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`: a status.
    Simple(Vec<u8>),
    /// `-`: an error, without the dash.
    Error(Vec<u8>),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `_`, or `$-1` in RESP2.
    Nil,
    /// `*-1`, which only RESP2 has.
    NilArray,
    /// `*`
    Array(Vec<Value>),
    /// `,`: kept as text, since the text is what clients parse.
    Double(String),
    /// `#`
    Bool(bool),
    /// `(`
    Big(String),
    /// `=`: the text with its three-letter format before a colon.
    Verbatim(Vec<u8>),
    /// `%`
    Map(Vec<(Value, Value)>),
    /// `~`
    Set(Vec<Value>),
    /// `>`
    Push(Vec<Value>),
    /// `|`: attributes, then the value that they belong to.
    Attributed(Vec<(Value, Value)>, Box<Value>),
}

impl Value {
    /// Reads one whole value.
    pub fn read(input: &mut impl BufRead) -> io::Result<Value> {
        read_nested(input, 0)
    }

    /// The text of a status, bulk, verbatim or error reply; panics on anything else.
    pub fn text(&self) -> String {
        match self {
            Value::Simple(text)
            | Value::Bulk(text)
            | Value::Verbatim(text)
            | Value::Error(text) => String::from_utf8_lossy(text).into_owned(),
            Value::Double(text) | Value::Big(text) => text.clone(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// The number of an integer reply; panics on anything else.
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(number) => *number,
            other => panic!("expected an integer, got {other:?}"),
        }
    }

    /// The elements of an array, set or push; a map's keys and values in turn; panics on anything else.
    pub fn items(&self) -> Vec<Value> {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => items.clone(),
            Value::Map(pairs) => pairs.iter().flat_map(|(k, v)| [k.clone(), v.clone()]).collect(),
            other => panic!("expected a list, got {other:?}"),
        }
    }

    /// Whether this is an error reply.
    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_))
    }
}

fn bad(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if !line.ends_with(b"\r\n") {
        return Err(bad(format!("line without CRLF: {:?}", String::from_utf8_lossy(&line))));
    }
    line.truncate(line.len() - 2);
    Ok(line)
}

fn text_of(line: &[u8]) -> io::Result<String> {
    String::from_utf8(line.to_vec()).map_err(|_| bad(format!("not text: {line:?}")))
}

fn length_of(line: &[u8]) -> io::Result<Option<usize>> {
    let text = text_of(line)?;
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(length) if usize::try_from(length).is_ok_and(|length| length <= LENGTH_MAX) => {
            Ok(Some(length as usize))
        }
        _ => Err(bad(format!("bad length: {text:?}"))),
    }
}

fn read_blob(input: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut blob = vec![0; length + 2];
    input.read_exact(&mut blob)?;
    if &blob[length..] != b"\r\n" {
        return Err(bad("bulk string without CRLF at its end".to_string()));
    }
    blob.truncate(length);
    Ok(blob)
}

fn read_nested(input: &mut impl BufRead, depth: usize) -> io::Result<Value> {
    if depth > DEPTH_MAX {
        return Err(bad("reply nested too deeply".to_string()));
    }
    let line = read_line(input)?;
    let (&kind, rest) = line.split_first().ok_or_else(|| bad("empty line".to_string()))?;
    let needed = |length: Option<usize>| length.ok_or_else(|| bad("null of no type".to_string()));
    Ok(match kind {
        b'+' => Value::Simple(rest.to_vec()),
        b'-' => Value::Error(rest.to_vec()),
        b':' => Value::Int(text_of(rest)?.parse().map_err(|_| bad(format!("integer {rest:?}")))?),
        b'_' => Value::Nil,
        b',' => Value::Double(text_of(rest)?),
        b'(' => Value::Big(text_of(rest)?),
        b'#' => match rest {
            b"t" => Value::Bool(true),
            b"f" => Value::Bool(false),
            _ => return Err(bad(format!("boolean {rest:?}"))),
        },
        b'$' => match length_of(rest)? {
            None => Value::Nil,
            Some(length) => Value::Bulk(read_blob(input, length)?),
        },
        b'=' => Value::Verbatim(read_blob(input, needed(length_of(rest)?)?)?),
        b'*' => match length_of(rest)? {
            None => Value::NilArray,
            Some(length) => Value::Array(read_items(input, length, depth)?),
        },
        b'~' => Value::Set(read_items(input, needed(length_of(rest)?)?, depth)?),
        b'>' => Value::Push(read_items(input, needed(length_of(rest)?)?, depth)?),
        b'%' => Value::Map(read_pairs(input, needed(length_of(rest)?)?, depth)?),
        b'|' => {
            let pairs = read_pairs(input, needed(length_of(rest)?)?, depth)?;
            Value::Attributed(pairs, Box::new(read_nested(input, depth + 1)?))
        }
        _ => return Err(bad(format!("unknown type: {:?}", String::from_utf8_lossy(&line)))),
    })
}

fn read_items(input: &mut impl BufRead, length: usize, depth: usize) -> io::Result<Vec<Value>> {
    (0..length).map(|_| read_nested(input, depth + 1)).collect()
}

fn read_pairs(
    input: &mut impl BufRead,
    length: usize,
    depth: usize,
) -> io::Result<Vec<(Value, Value)>> {
    (0..length)
        .map(|_| Ok((read_nested(input, depth + 1)?, read_nested(input, depth + 1)?)))
        .collect()
}
