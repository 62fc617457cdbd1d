//! How is a line split into arguments, and an argument written so that it can be split again? The
//! rules of config files, inline commands and ACL files.
//!
//! Arguments stand apart by blanks. Between double quotes `\n \r \t \a \b`, `\xHH` and a backslash
//! before anything else are escapes; between single quotes only `\'` is. A closing quote must be
//! followed by a blank or the end.

/// Splits `line`; `None` if a quote is not closed or not followed by a blank.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.iter().position(|&b| !is_blank(b)).unwrap_or(rest.len());
        rest = &rest[start..];
        if rest.is_empty() {
            return Some(args);
        }
        let (arg, after) = split_one(rest)?;
        args.push(arg);
        rest = after;
    }
}

/// What C's `isspace` accepts.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Takes the first argument of `rest`, which does not start with a blank.
fn split_one(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut arg = Vec::new();
    loop {
        match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t' | 0, ..] => {
                // A NUL ends the argument as it ends a C string: what follows is dropped.
                let after = if rest.first() == Some(&0) { &[] } else { rest };
                return Some((arg, after));
            }
            [quote @ (b'"' | b'\''), inside @ ..] => {
                let after = unquote(inside, *quote, &mut arg)?;
                return match after.first() {
                    Some(&next) if !is_blank(next) => None,
                    _ => Some((arg, after)),
                };
            }
            [byte, after @ ..] => {
                arg.push(*byte);
                rest = after;
            }
        }
    }
}

/// Appends what stands before the closing `quote`; what follows it, or `None` if it is not closed.
fn unquote<'a>(mut rest: &'a [u8], quote: u8, arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    let double = quote == b'"';
    loop {
        rest = match rest {
            [] => return None,
            [b'\\', b'x', high, low, after @ ..]
                if double && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                arg.push(hex_digit(*high) << 4 | hex_digit(*low));
                after
            }
            [b'\\', escaped, after @ ..] if double => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                after
            }
            [b'\\', b'\'', after @ ..] if !double => {
                arg.push(b'\'');
                after
            }
            [byte, after @ ..] if *byte == quote => return Some(after),
            [byte, after @ ..] => {
                arg.push(*byte);
                after
            }
        }
    }
}

fn hex_digit(digit: u8) -> u8 {
    (digit as char).to_digit(16).map_or(0, |value| value as u8)
}

/// Appends `text` in double quotes, in a form that [`split_args`] reads back, printable throughout.
pub fn append_quoted(out: &mut Vec<u8>, text: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for &byte in text {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'\\', b'x', DIGITS[high], DIGITS[low]]);
            }
        }
    }
    out.push(b'"');
}

/// `text` in double quotes; see [`append_quoted`].
pub fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    append_quoted(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(line: &str) -> Option<Vec<String>> {
        let args = split_args(line.as_bytes())?;
        Some(args.into_iter().map(|arg| String::from_utf8(arg).unwrap()).collect())
    }

    #[test]
    fn lines_are_split() {
        for (line, args) in [
            ("", &[][..]),
            ("  a\t b\r\n", &["a", "b"]),
            ("a \"b c\" 'd e'", &["a", "b c", "d e"]),
            ("a \"\" ''", &["a", "", ""]),
            (r#""\x41\n\"\q""#, &["A\n\"q"]),
            (r"'a\'b\n'", &["a'b\\n"]),
            ("foo\"bar\"", &["foobar"]),
            (r#""\x4z""#, &["x4z"]),
        ] {
            let args: Vec<_> = args.iter().map(ToString::to_string).collect();
            assert_eq!(split(line), Some(args), "{line}");
        }
        for line in ["\"a", "'a", "\"a\"b", "'a'b", "\"a\\", "a\"b\\\""] {
            assert_eq!(split(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn quoted_texts_are_read_back(texts: Vec<Vec<u8>>) {
            let mut line = Vec::new();
            for text in &texts {
                append_quoted(&mut line, text);
                line.push(b' ');
            }
            prop_assert!(line.iter().all(|b| (b' '..=b'~').contains(b)));
            prop_assert_eq!(split_args(&line), Some(texts));
        }

        #[test]
        fn never_panics(line: Vec<u8>) {
            split_args(&line);
        }
    }
}
