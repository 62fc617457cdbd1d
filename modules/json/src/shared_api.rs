//! How do other modules read values without going through JSON text?
//!
//! Modules written in C use the functions of `raw`. For those of this SDK, which need no pointers, the service [`SERVICE`] answers what some paths find in the document of a key, typed. Numbers are little-endian.
//!
//! ```text
//! request   string: the key; then string: a path, any number of times
//! answer    one chunk per path, in order; none at all if the key holds no document
//! chunk     u32: number of matches, then the values; a path that cannot be read has no match
//! value     00 null · 01 false · 02 true · 03 f64: a number · 04 string · 05 u32, values: an array
//!           06 an object, or an array inside an array
//! string    u32: length, then the bytes
//! ```
//!
//! The name ends in a version: a change of the format gets a new service beside this one.

pub(crate) mod raw;

use mortise_module::{Context, Error, ServiceSpec};

use crate::path::{Path, compiled};
use crate::rdb::JSON;
use crate::value::View;

/// The service by which another module can read the fields of a document at once.
pub(crate) const SERVICE: ServiceSpec = ServiceSpec { name: "json.values.1", handler: values };

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const TEXT: u8 = 4;
const ARRAY: u8 = 5;
const OTHER: u8 = 6;

fn values(
    ctx: &mut Context<'_>,
    mut request: &[u8],
    answer: &mut dyn FnMut(&[u8]),
) -> Result<(), Error> {
    let key = take_string(&mut request)?;
    let key = ctx.open_read(key);
    let Ok(Some(document)) = key.value(&JSON) else { return Ok(()) };
    let root = document.0.view();
    let mut chunk = Vec::new();
    while !request.is_empty() {
        let path = std::str::from_utf8(take_string(&mut request)?)?;
        chunk.clear();
        match compiled(path) {
            Ok(path) => put_matches(&mut chunk, &path, root)?,
            Err(_) => put_len(&mut chunk, 0),
        }
        answer(&chunk);
    }
    Ok(())
}

fn take_string<'r>(request: &mut &'r [u8]) -> Result<&'r [u8], Error> {
    let short = || Error::new("the request ends early");
    let (len, rest) = request.split_first_chunk::<4>().ok_or_else(short)?;
    let len = u32::from_le_bytes(*len) as usize;
    let (string, rest) = rest.split_at_checked(len).ok_or_else(short)?;
    *request = rest;
    Ok(string)
}

fn put_matches(chunk: &mut Vec<u8>, path: &Path, root: View<'_>) -> Result<(), Error> {
    let matches = path.select(root).map_err(crate::error::JsonError::from)?;
    put_len(chunk, matches.len());
    for view in matches {
        match view {
            View::Array(array) => {
                chunk.push(ARRAY);
                put_len(chunk, array.len());
                array.iter().for_each(|element| put_scalar(chunk, element));
            }
            view => put_scalar(chunk, view),
        }
    }
    Ok(())
}

/// A value inside which nothing is looked at.
fn put_scalar(chunk: &mut Vec<u8>, view: View<'_>) {
    let mut put_number = |value: f64| {
        chunk.push(NUMBER);
        chunk.extend_from_slice(&value.to_le_bytes());
    };
    match view {
        View::Null => chunk.push(NULL),
        View::Bool(false) => chunk.push(FALSE),
        View::Bool(true) => chunk.push(TRUE),
        View::Int(value) => put_number(value as f64),
        View::Unsigned(value) => put_number(value as f64),
        View::Float(value) => put_number(value),
        View::Text(text) => {
            chunk.push(TEXT);
            put_len(chunk, text.len());
            chunk.extend_from_slice(text);
        }
        View::Array(_) | View::Object(_) => chunk.push(OTHER),
    }
}

fn put_len(chunk: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("matches, elements and strings are fewer than 2^32");
    chunk.extend_from_slice(&len.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::parse;

    #[test]
    fn matches_are_typed_and_arrays_are_opened_once() {
        let document = parse(r#"{"a":[null,true,2,"x",{"y":1},[3]],"b":{"a":1.5}}"#).unwrap();
        let mut chunk = Vec::new();
        let path = compiled("$..a").unwrap();
        put_matches(&mut chunk, &path, document.value.view()).unwrap();
        let mut expected = vec![2, 0, 0, 0, ARRAY, 6, 0, 0, 0, NULL, TRUE, NUMBER];
        expected.extend_from_slice(&2f64.to_le_bytes());
        expected.extend_from_slice(&[TEXT, 1, 0, 0, 0, b'x', OTHER, OTHER, NUMBER]);
        expected.extend_from_slice(&1.5f64.to_le_bytes());
        assert_eq!(chunk, expected);
    }

    #[test]
    fn strings_of_a_request_must_be_whole() {
        let mut request = &b"\x03\0\0\0abc\x02\0\0\0x"[..];
        assert_eq!(take_string(&mut request).unwrap(), b"abc");
        assert!(take_string(&mut request).is_err());
        assert!(take_string(&mut &b"\x01\0"[..]).is_err());
    }
}
