//! Do numbers survive being written and read?
//!
//! Properties, for the input as a text and as the bits of numbers: an integer is read if and only if its text is the one
//! that would be written; what is written of a double or of an extended number is read back as the same; memory sizes keep
//! their value.

use mortise::base::extended::Extended;
use mortise::base::number::{
    IntBuf, format_double, format_memory, parse_f64, parse_i64, parse_memory, parse_u64,
};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    texts(bytes);
    if let Some((bits, rest)) = bytes.split_first_chunk::<8>() {
        let bits = u64::from_le_bytes(*bits);
        integers(bits);
        double(f64::from_bits(bits));
        if let Some(other) = rest.first_chunk::<8>() {
            sum(f64::from_bits(bits), f64::from_bits(u64::from_le_bytes(*other)));
        }
    }
}

fn texts(text: &[u8]) {
    let plain = std::str::from_utf8(text).ok();
    let canonical =
        plain.and_then(|text| text.parse::<i64>().ok().filter(|n| n.to_string() == text));
    assert_eq!(parse_i64(text), canonical);
    let digits = plain.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(parse_u64(text), digits.and_then(|text| text.parse().ok()));
    if let Some(number) = parse_f64(text) {
        assert!(!number.is_nan());
        double(number);
    }
    if let Some(bytes) = parse_memory(text) {
        assert_eq!(parse_memory(format_memory(bytes).as_bytes()), Some(bytes));
    }
    if let Some(number) = Extended::parse(text) {
        let written = number.to_text();
        // Past the longest text that is read, and past seventeen decimals, something is lost; not a second time.
        if let Some(again) = Extended::parse(&written) {
            assert_eq!(again.to_text(), written);
        }
    }
}

fn integers(bits: u64) {
    let mut buf = IntBuf::new();
    assert_eq!(parse_u64(buf.u64(bits)), Some(bits));
    assert_eq!(parse_i64(buf.i64(bits.cast_signed())), Some(bits.cast_signed()));
    assert_eq!(parse_memory(format_memory(bits).as_bytes()), Some(bits));
    let written = Extended::from_i64(bits.cast_signed()).to_text();
    assert_eq!(written, bits.cast_signed().to_string().as_bytes());
}

fn double(number: f64) {
    let text = format_double(number);
    let text = text.as_bytes();
    if number.is_nan() {
        return assert_eq!(text, b"nan");
    }
    let again = parse_f64(text).expect("a written double is a number");
    // The sign of a zero is kept too.
    let shown = String::from_utf8_lossy(text);
    assert_eq!(again.to_bits(), number.to_bits(), "{number:e} is written {shown}");
    assert_eq!(format_double(again).as_bytes(), text);
}

fn sum(one: f64, other: f64) {
    let (Some(a), Some(b)) = (Extended::from_f64(one), Extended::from_f64(other)) else { return };
    match (a.checked_add(b), b.checked_add(a)) {
        (Some(there), Some(back)) => assert_eq!(there.to_text(), back.to_text()),
        (None, None) => assert!(one.is_infinite() && other == -one),
        _ => panic!("{one:e} + {other:e} depends on the order"),
    }
}
