//! Numbers as C reads and writes them: `%.14g` and `strtod`, which Lua's libraries are made of.
#![expect(unsafe_code, reason = "snprintf of the C library")]

use std::ffi::c_int;

use crate::base::number::parse_f64;

/// A number as text, on the stack.
pub(super) struct NumberText {
    bytes: [u8; 32],
    len: usize,
}

impl NumberText {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// `value` as C's `%.<digits>g` writes it; `digits` is 1 to 14.
pub(super) fn general(value: f64, digits: u8) -> NumberText {
    debug_assert!((1..=14).contains(&digits));
    let mut text = NumberText { bytes: [0; 32], len: 0 };
    // Integers of no more digits come out as they are, and are what scripts mostly have.
    let limit = 10f64.powi(i32::from(digits));
    if value.abs() < limit && value.trunc() == value && (value != 0.0 || value.is_sign_positive()) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(value as i64).as_bytes();
        text.bytes[..digits.len()].copy_from_slice(digits);
        text.len = digits.len();
        return text;
    }
    // SAFETY: the format takes an `int` and a `double`; the buffer has the given length, and 14 digits
    // with sign, point and exponent are 21 bytes.
    let len = unsafe {
        libc::snprintf(
            text.bytes.as_mut_ptr().cast(),
            text.bytes.len(),
            c"%.*g".as_ptr(),
            c_int::from(digits),
            value,
        )
    };
    text.len = usize::try_from(len).unwrap_or(0).min(text.bytes.len() - 1);
    text
}

/// The number at the beginning of `text` and its length, as `strtod` reads it: decimal, hexadecimal,
/// `inf`, `infinity`, `nan`. `None` if there is none.
pub(super) fn leading_number(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let negative = text.first() == Some(&b'-');
    let body = &text[sign..];
    let (magnitude, len) = leading_magnitude(body)?;
    Some((if negative { -magnitude } else { magnitude }, sign + len))
}

fn leading_magnitude(text: &[u8]) -> Option<(f64, usize)> {
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
    if begins(b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if begins(b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if begins(b"nan") {
        return Some((f64::NAN, 3));
    }
    if begins(b"0x")
        && let Some(number) = leading_hex(text)
    {
        return Some(number);
    }
    let digits = |at: usize| text[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let mut len = whole;
    let mut fraction = 0;
    if text.get(len) == Some(&b'.') {
        fraction = digits(len + 1);
        len += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(text.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(len + 1), Some(b'+' | b'-')));
        let exponent = digits(len + 1 + sign);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    let text = std::str::from_utf8(&text[..len]).expect("digits, signs, point and e are ASCII");
    Some((text.parse().expect("Rust reads what C reads here"), len))
}

/// `0x` with at least one digit, a point and a binary exponent.
fn leading_hex(text: &[u8]) -> Option<(f64, usize)> {
    let digits = |at: usize| text[at..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let whole = digits(2);
    let mut len = 2 + whole;
    let mut fraction = 0;
    if text.get(len) == Some(&b'.') {
        fraction = digits(len + 1);
        len += 1 + fraction;
    }
    if whole + fraction == 0 {
        // `strtod` reads the zero in front of the x.
        return Some((0.0, 1));
    }
    if matches!(text.get(len), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(text.get(len + 1), Some(b'+' | b'-')));
        let at = len + 1 + sign;
        let exponent = text[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        if exponent > 0 {
            len = at + exponent;
        }
    }
    // What overflows or vanishes is refused by the strict reader.
    Some((parse_f64(&text[..len]).unwrap_or(0.0), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_is_c_s() {
        for (value, digits, expected) in [
            (1.0, 14, "1"),
            (-0.0, 14, "-0"),
            (0.1, 14, "0.1"),
            (1e14, 14, "1e+14"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (9_007_199_254_740_992.0, 14, "9.007199254741e+15"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (1234.5678, 3, "1.23e+03"),
            (999.0, 3, "999"),
            (f64::INFINITY, 14, "inf"),
        ] {
            assert_eq!(general(value, digits).as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn numbers_are_read_up_to_their_end() {
        for (text, expected) in [
            ("12,", Some((12.0, 2))),
            ("-1.5e3]", Some((-1500.0, 6))),
            ("1e", Some((1.0, 1))),
            ("1.", Some((1.0, 2))),
            (".5", Some((0.5, 2))),
            ("0x10", Some((16.0, 4))),
            ("0x", Some((0.0, 1))),
            ("-inf", Some((f64::NEG_INFINITY, 4))),
            ("1e999", Some((f64::INFINITY, 5))),
            ("-", None),
            (".", None),
            ("x", None),
        ] {
            assert_eq!(leading_number(text.as_bytes()), expected, "{text}");
        }
    }
}
