//! How does Redis read and write numbers as text? Integers, doubles and memory sizes.
//!
//! Reading is strict: the whole text is the number, in the one form that writing it back would give
//! (integers) or in a form that C's `strtod` reads to its end (doubles). Nothing here allocates.
//! The wider floats of INCRBYFLOAT have a file of their own, `extended.rs`.

use crate::base::extended::hex_float;
use crate::base::shortest;

/// The longest text of an `i64`: a sign and nineteen digits.
pub const I64_LEN_MAX: usize = 20;

/// Reads a signed integer: an optional `-`, no leading zero, no `+`, no blanks, nothing behind it.
///
/// What it accepts is exactly what [`IntBuf::i64`] writes, so an accepted text can be stored as the
/// number and read back unchanged.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if text.len() > I64_LEN_MAX {
        return None;
    }
    let (negative, digits) = match text {
        [b'0'] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Twenty digits can exceed even u64.
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Reads an unsigned integer: digits only, leading zeros allowed (stream ids have them).
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// Reads an unsigned integer as C's `strtoull` does, if it would read all of the text: blanks and a sign
/// may stand in front, and a negative number is taken from 2^64.
pub fn parse_strtoull(text: &[u8]) -> Option<u64> {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    match &text[blanks..] {
        [b'+', digits @ ..] => parse_u64(digits),
        [b'-', digits @ ..] => parse_u64(digits).map(u64::wrapping_neg),
        digits => parse_u64(digits),
    }
}

/// Room on the stack for one integer as text.
#[derive(Clone, Default)]
pub struct IntBuf(itoa::Buffer);

impl IntBuf {
    /// An empty buffer; costs nothing.
    #[inline]
    pub fn new() -> Self {
        Self(itoa::Buffer::new())
    }

    /// The decimal text of `value`.
    #[inline]
    pub fn i64(&mut self, value: i64) -> &[u8] {
        self.0.format(value).as_bytes()
    }

    /// The decimal text of `value`.
    #[inline]
    pub fn u64(&mut self, value: u64) -> &[u8] {
        self.0.format(value).as_bytes()
    }
}

/// Appends the decimal text of `value` to `out`.
#[inline]
pub fn append_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(IntBuf::new().i64(value));
}

/// Appends the decimal text of `value` to `out`.
#[inline]
pub fn append_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(IntBuf::new().u64(value));
}

/// Reads a double as C's `strtod` would: decimal, hexadecimal (`0x1.8p3`), `inf` or `infinity` in
/// any case, with an optional sign.
///
/// Refused: blanks, anything behind the number, nan, and what overflows to infinity or vanishes to
/// zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    // Most scores are small integers.
    if text.len() <= 15
        && let Some(integer) = parse_i64(text)
    {
        return Some(integer as f64);
    }
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        rest => rest,
    };
    if let [b'0', b'x' | b'X', ..] = unsigned {
        let value = hex_float(unsigned)?.to_f64()?;
        return Some(if text[0] == b'-' { -value } else { value });
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    if value.is_nan() {
        return None;
    }
    let spelled_infinite = matches!(unsigned.first(), Some(b'i' | b'I'));
    if value.is_infinite() && !spelled_infinite {
        return None;
    }
    if value == 0.0 && !mantissa_is_zero(unsigned) {
        return None;
    }
    Some(value)
}

/// Whether the digits before the exponent are all zeros.
fn mantissa_is_zero(unsigned: &[u8]) -> bool {
    unsigned.iter().take_while(|b| !matches!(b, b'e' | b'E')).all(|b| matches!(b, b'0' | b'.'))
}

/// A double as text, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct DoubleText {
    bytes: [u8; DoubleText::LEN_MAX],
    len: u8,
}

impl DoubleText {
    /// A sign, seventeen digits, a point and zeros before them, or an exponent: 25 bytes at most.
    pub const LEN_MAX: usize = 32;

    /// The text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn push(&mut self, text: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + text.len()].copy_from_slice(text);
        self.len += text.len() as u8;
    }

    fn push_zeros(&mut self, count: usize) {
        self.push(&[b'0'; DoubleText::LEN_MAX][..count]);
    }
}

/// The text of `value` in replies (ZSCORE, RESP3 doubles): few digits that read back as `value`,
/// the same as Redis's; integers without a point, an exponent only where plain notation is long.
pub fn format_double(value: f64) -> DoubleText {
    let mut out = DoubleText { bytes: [0; DoubleText::LEN_MAX], len: 0 };
    if value.is_nan() {
        out.push(b"nan");
    } else if value.is_infinite() {
        out.push(if value < 0.0 { b"-inf" } else { b"inf" });
    } else if value == 0.0 {
        out.push(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if let Some(integer) = exact_integer(value) {
        out.push(IntBuf::new().i64(integer));
    } else {
        format_digits(value, &mut out);
    }
    out
}

/// `value` as an integer when it is one and lies well inside `i64` (half of its range, as in
/// Redis).
fn exact_integer(value: f64) -> Option<i64> {
    const HALF: f64 = (i64::MAX / 2) as f64;
    if !(-HALF..=HALF).contains(&value) {
        return None;
    }
    let integer = value as i64;
    (integer as f64 == value).then_some(integer)
}

/// Writes the digits of a finite `value` that is no small integer.
///
/// With `digits` and a power of ten so that value = digits * 10^scale: plain while trailing zeros
/// or leading zeros are few (less than seven, or an exponent below four), else `d.ddde+x`.
fn format_digits(value: f64, out: &mut DoubleText) {
    let shortest = shortest::digits(value.abs());
    let (digits, scale) = (shortest.as_bytes(), shortest.scale);
    let count = digits.len();
    let exponent = scale + count as i32 - 1;
    if value < 0.0 {
        out.push(b"-");
    }
    if scale >= 0 && exponent < count as i32 + 7 {
        out.push(digits);
        out.push_zeros(scale as usize);
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        let point = count as i32 + scale;
        if point <= 0 {
            out.push(b"0.");
            out.push_zeros(-point as usize);
            out.push(digits);
        } else {
            out.push(&digits[..point as usize]);
            out.push(b".");
            out.push(&digits[point as usize..]);
        }
    } else {
        out.push(&digits[..1]);
        if count > 1 {
            out.push(b".");
            out.push(&digits[1..]);
        }
        out.push(if exponent < 0 { b"e-" } else { b"e+" });
        out.push(IntBuf::new().u64(u64::from(exponent.unsigned_abs())));
    }
}

/// Reads a memory size as config files write it: digits and an optional unit in any case, where
/// `k`, `m`, `g` are powers of 1000 and `kb`, `mb`, `gb` powers of 1024 (`b` is one byte).
///
/// No digits mean zero, as in Redis; what does not fit 64 bits is refused (Redis wraps around).
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let split = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let unit: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    if digits.is_empty() { Some(0) } else { parse_u64(digits)?.checked_mul(unit) }
}

/// Writes a memory size with the largest binary unit that divides it, as CONFIG REWRITE does.
pub fn format_memory(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")] {
        if bytes != 0 && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unsigned_integers_are_read_as_c_does() {
        for (text, number) in [
            ("0", 0),
            ("007", 7),
            ("+5", 5),
            (" 1", 1),
            ("\t\r\n-1", u64::MAX),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_strtoull(text.as_bytes()), Some(number), "{text:?}");
        }
        for bad in ["", " ", "+", "x", "1 ", "+ 1", "--1", "1x", "18446744073709551616"] {
            assert_eq!(parse_strtoull(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn integers_are_read_strictly() {
        for (text, value) in [
            ("0", 0),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), Some(value));
        }
        for text in [
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "00",
            "1a",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "184467440737095516160",
            "1\0",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"007"), Some(7));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    #[test]
    fn doubles_are_read_as_strtod_does() {
        for (text, value) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("1E2", 100.0),
            ("inf", f64::INFINITY),
            ("+Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            ("0x1.8p3", 12.0),
            ("-0X10", -16.0),
            ("0e999", 0.0),
            ("4.9e-324", 5e-324),
            ("0x1p-1074", 5e-324),
            ("9007199254740993", 9007199254740992.0),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "",
            " 1",
            "1 ",
            "nan",
            "-nan",
            "1e999",
            "1e-999",
            "1e",
            "0x",
            "0x1p-2000",
            "0x1p1024",
            "1\0",
            "1,5",
            "infin",
            ".",
            "+",
            "1_0",
            "--1",
            "0x1.8p3x",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn doubles_are_written_as_replies_have_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e17, "100000000000000000"),
            (4.5e18, "4500000000000000000"),
            (1e20, "1e+20"),
            (1.5e22, "1.5e+22"),
            (123456789012345680000.0, "123456789012345680000"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (0.0012345678901234, "0.0012345678901234"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (std::f64::consts::E, "2.718281828459045"),
        ] {
            assert_eq!(format_double(value).as_bytes(), text.as_bytes(), "{value}");
        }
    }

    #[test]
    fn memory_sizes() {
        for (text, value) in [
            ("0", 0),
            ("", 0),
            ("100b", 100),
            ("1k", 1000),
            ("1KB", 1024),
            ("5mb", 5 << 20),
            ("2G", 2_000_000_000),
            ("1gb", 1 << 30),
        ] {
            assert_eq!(parse_memory(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["-1", "1.5gb", "1tb", "x", "18446744073709551615k", "1 mb"] {
            assert_eq!(parse_memory(text.as_bytes()), None, "{text}");
        }
        assert_eq!(format_memory(0), "0");
        assert_eq!(format_memory(3 << 30), "3gb");
        assert_eq!(format_memory(1025), "1025");
    }

    proptest! {
        #[test]
        fn integers_round_trip(value in any::<i64>()) {
            prop_assert_eq!(parse_i64(IntBuf::new().i64(value)), Some(value));
        }

        #[test]
        fn accepted_integers_are_canonical(text in "[-+ 0-9]{0,21}") {
            if let Some(value) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }

        #[test]
        fn doubles_round_trip(value in any::<f64>()) {
            if !value.is_nan() {
                let read = parse_f64(format_double(value).as_bytes()).unwrap();
                prop_assert_eq!(read.to_bits(), value.to_bits());
            }
        }

        #[test]
        fn hexadecimal_doubles_are_exact(mantissa in any::<u64>(), power in -1000i32..900) {
            let text = format!("0x{mantissa:x}p{power}");
            let expected = mantissa as f64 * 2f64.powi(power);
            prop_assert_eq!(parse_f64(text.as_bytes()), Some(expected));
        }

        #[test]
        fn never_panics(text: Vec<u8>) {
            parse_i64(&text);
            parse_u64(&text);
            parse_f64(&text);
            parse_memory(&text);
        }
    }
}
