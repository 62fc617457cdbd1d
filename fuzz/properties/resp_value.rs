//! Does the reader of replies take exactly one reply?
//!
//! Properties: what lies behind a reply changes nothing; no proper beginning of a reply is one, or malformed; the value
//! written again is read back as it was.

use mortise::resp::value::{Value, ValueError};

/// Replies up to this long are tried at every cut.
const CUT_BYTES_MAX: usize = 256;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Ok((value, rest)) = Value::read(bytes) else { return };
    let own = &bytes[..bytes.len() - rest.len()];
    let (alone, nothing) = Value::read(own).expect("what follows a reply changes nothing");
    assert!(nothing.is_empty());
    let mut written = Vec::new();
    write(&value, &mut written);
    let mut again = Vec::new();
    write(&alone, &mut again);
    assert_eq!(written, again);
    let (reread, nothing) = Value::read(&written).expect("a written value is a reply");
    assert!(nothing.is_empty());
    again.clear();
    write(&reread, &mut again);
    assert_eq!(written, again);
    if own.len() <= CUT_BYTES_MAX {
        for cut in 0..own.len() {
            assert_eq!(Value::read(&own[..cut]), Err(ValueError::Incomplete), "cut at {cut}");
        }
    }
}

fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    let line = |out: &mut Vec<u8>, kind: u8, text: &[u8]| {
        out.push(kind);
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    };
    let head =
        |out: &mut Vec<u8>, kind: u8, len: usize| line(out, kind, len.to_string().as_bytes());
    match value {
        Value::Simple(text) => line(out, b'+', text),
        Value::Error(text) => {
            head(out, b'!', text.len());
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        }
        Value::Int(number) => line(out, b':', number.to_string().as_bytes()),
        Value::Bulk(text) => {
            head(out, b'$', text.len());
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        }
        Value::Null => line(out, b'_', b""),
        Value::NullArray => line(out, b'*', b"-1"),
        Value::Bool(value) => line(out, b'#', if *value { b"t" } else { b"f" }),
        Value::Double(number) => line(out, b',', format!("{number:?}").as_bytes()),
        Value::BigNumber(digits) => line(out, b'(', digits),
        Value::Verbatim(format, text) => {
            head(out, b'=', text.len() + 4);
            out.extend_from_slice(format);
            out.push(b':');
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        }
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            let kind = match value {
                Value::Array(_) => b'*',
                Value::Set(_) => b'~',
                _ => b'>',
            };
            head(out, kind, items.len());
            items.iter().for_each(|item| write(item, out));
        }
        Value::Map(pairs) => {
            head(out, b'%', pairs.len());
            for (key, value) in pairs {
                write(key, out);
                write(value, out);
            }
        }
    }
}
