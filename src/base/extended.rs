//! How do INCRBYFLOAT and HINCRBYFLOAT compute? In the 80-bit floats of x86, done here in integers.
//!
//! Redis keeps these values in C's `long double` and prints them with seventeen decimals, trimmed.
//! On x86-64 that type has a 64-bit significand; eleven bits more than a double are why 10.5 + 0.1
//! prints as 10.6. The same text must come out here, on every processor, so the type is built by
//! hand: reading rounds the exact decimal once, adding rounds the exact sum once (both half to
//! even), and writing is exact up to the last of the seventeen decimals. A million random sums were
//! compared with the C library's; a sample of them stands in the tests.
//!
//! What differs from Redis: nothing on x86-64. On aarch64 Redis computes in 128 bits; we stay with
//! x86's.
//!
//! Cost: a few hundred nanoseconds for numbers people use. An adversarial exponent (1e4900) makes
//! the big integers 16 kbit long, some hundred microseconds; [`TEXT_LEN_MAX`] bounds the digits.

use std::cmp::Ordering;

use crate::base::natural::Natural;
use crate::base::number::append_u64;

/// Texts of this length and longer are no number, as in Redis.
pub const TEXT_LEN_MAX: usize = 5 * 1024;

/// Exponent of the last significand bit of the smallest numbers: 2^-16445 is the least above zero.
const EXPONENT_MIN: i32 = -16_445;
/// Exponent of the last significand bit of the largest numbers.
const EXPONENT_MAX: i32 = 16_383 - 63;
/// Decimal exponents beyond this are over- or underflow whatever the digits are.
const DECIMAL_EXPONENT_MAX: i64 = 20_000;

/// A float with a 64-bit significand and a 15-bit exponent: finite or infinite, never nan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `significand * 2^exponent`; the top bit is set unless the exponent is [`EXPONENT_MIN`].
    Finite {
        significand: u64,
        exponent: i32,
    },
    Infinite,
}

/// An exact magnitude on its way to being rounded: `bits * 2^exponent`, and a bit more if `sticky`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unrounded {
    pub(crate) bits: u128,
    pub(crate) exponent: i32,
    pub(crate) sticky: bool,
}

impl Extended {
    /// Zero.
    pub const ZERO: Self =
        Self { negative: false, kind: Kind::Finite { significand: 0, exponent: 0 } };

    /// Reads a number as C's `strtold` does: decimal, hexadecimal, `inf` or `infinity`.
    ///
    /// Refused: blanks, anything behind the number, nan, overflow, what vanishes to zero, and texts
    /// of [`TEXT_LEN_MAX`] bytes and more.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_LEN_MAX {
            return None;
        }
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { negative, kind: Kind::Infinite });
        }
        let magnitude = match unsigned {
            [b'0', b'x' | b'X', ..] => hex_float(unsigned)?,
            _ => decimal_float(unsigned)?,
        };
        let kind = magnitude.to_kind();
        let vanished = matches!(kind, Kind::Finite { significand: 0, .. }) && !magnitude.is_zero();
        if kind == Kind::Infinite || vanished {
            return None;
        }
        Some(Self { negative, kind })
    }

    /// The same integer; all of them are exact.
    pub fn from_i64(value: i64) -> Self {
        let bits = u128::from(value.unsigned_abs());
        let kind = Unrounded { bits, exponent: 0, sticky: false }.to_kind();
        Self { negative: value < 0, kind }
    }

    /// The same number; all doubles but nan are exact.
    pub fn from_f64(value: f64) -> Option<Self> {
        if value.is_nan() {
            return None;
        }
        let negative = value.is_sign_negative();
        if value.is_infinite() {
            return Some(Self { negative, kind: Kind::Infinite });
        }
        let raw = value.to_bits();
        let fraction = raw & ((1 << 52) - 1);
        let biased = (raw >> 52 & 0x7ff) as i32;
        let bits = if biased == 0 { fraction } else { fraction | 1 << 52 };
        let exponent = biased.max(1) - 1075;
        let kind = Unrounded { bits: u128::from(bits), exponent, sticky: false }.to_kind();
        Some(Self { negative, kind })
    }

    /// The nearest double: infinite if none is so large, and zero for zero alone.
    pub fn to_f64(self) -> f64 {
        let magnitude = match self.kind {
            Kind::Infinite => f64::INFINITY,
            Kind::Finite { significand: 0, .. } => 0.0,
            Kind::Finite { significand, exponent } => {
                let exact = Unrounded { bits: u128::from(significand), exponent, sticky: false };
                let too_far = if exponent > 0 { f64::INFINITY } else { f64::from_bits(1) };
                exact.to_f64().unwrap_or(too_far)
            }
        };
        if self.negative { -magnitude } else { magnitude }
    }

    /// Whether this is not an infinity.
    pub fn is_finite(self) -> bool {
        self.kind != Kind::Infinite
    }

    /// The sum, rounded to nearest, ties to even; `None` for inf - inf.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        match (self.kind, other.kind) {
            (Kind::Infinite, Kind::Infinite) => (self.negative == other.negative).then_some(self),
            (Kind::Infinite, _) => Some(self),
            (_, Kind::Infinite) => Some(other),
            (
                Kind::Finite { significand: a, exponent: ea },
                Kind::Finite { significand: b, exponent: eb },
            ) => Some(add_finite((self.negative, a, ea), (other.negative, b, eb))),
        }
    }

    /// The number in plain decimal notation, at most seventeen decimals, trailing zeros trimmed.
    pub fn to_text(self) -> Vec<u8> {
        let mut text = Vec::with_capacity(24);
        if self.negative {
            text.push(b'-');
        }
        match self.kind {
            Kind::Infinite => text.extend_from_slice(b"inf"),
            Kind::Finite { significand, exponent } if exponent > 0 => {
                let mut whole = Natural::from_u64(significand);
                whole.shift_left(exponent.unsigned_abs());
                whole.append_decimal(&mut text);
            }
            Kind::Finite { significand, exponent } => {
                append_fixed(&mut text, significand, exponent.unsigned_abs());
            }
        }
        if text == b"-0" {
            text.remove(0);
        }
        text
    }
}

fn add_finite(x: (bool, u64, i32), y: (bool, u64, i32)) -> Extended {
    // Zeros carry an arbitrary exponent; they are left out so that it cannot matter.
    let finite = |(negative, significand, exponent)| Extended {
        negative,
        kind: Kind::Finite { significand, exponent },
    };
    match (x.1, y.1) {
        (0, 0) => return finite((x.0 && y.0, 0, 0)),
        (0, _) => return finite(y),
        (_, 0) => return finite(x),
        _ => {}
    }
    let (high, low) = if x.2 >= y.2 { (x, y) } else { (y, x) };
    // 63 guard bits, and all that is shifted out below them kept as one sticky lowest bit: enough
    // for one correct rounding even when the leading bits cancel.
    let distance = high.2.abs_diff(low.2);
    let a = u128::from(high.1) << 63;
    let shifted = u128::from(low.1) << 63;
    let b = if distance < 127 {
        let kept = shifted >> distance;
        kept | u128::from(kept << distance != shifted)
    } else {
        1
    };
    let (negative, bits) = if high.0 == low.0 {
        (high.0, a + b)
    } else {
        match a.cmp(&b) {
            Ordering::Equal => return Extended::ZERO,
            Ordering::Greater => (high.0, a - b),
            Ordering::Less => (low.0, b - a),
        }
    };
    let kind = Unrounded { bits, exponent: high.2 - 63, sticky: false }.to_kind();
    Extended { negative, kind }
}

/// Appends `significand / 2^shift` with seventeen decimals, rounded half to even, zeros trimmed.
fn append_fixed(text: &mut Vec<u8>, significand: u64, shift: u32) {
    const TEN_17: u128 = 100_000_000_000_000_000;
    // Below 2^121, so what is shifted out further than that is a quarter at most and rounds to
    // zero.
    let scaled = u128::from(significand) * TEN_17;
    let rounded = if shift == 0 {
        scaled
    } else if shift > 123 {
        0
    } else {
        let whole = scaled >> shift;
        let rest = scaled - (whole << shift);
        let half = 1u128 << (shift - 1);
        whole + u128::from(rest > half || (rest == half && whole & 1 == 1))
    };
    let whole = u64::try_from(rounded / TEN_17);
    // Unshifted, nothing is rounded; shifted, one bit is to spare for the carry.
    append_u64(text, whole.expect("a 64-bit significand has a 64-bit whole part"));
    let mut fraction = (rounded % TEN_17) as u64;
    if fraction == 0 {
        return;
    }
    let mut decimals = 17;
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        decimals -= 1;
    }
    text.push(b'.');
    let mut digits = Vec::with_capacity(17);
    append_u64(&mut digits, fraction);
    text.resize(text.len() + decimals - digits.len(), b'0');
    text.extend_from_slice(&digits);
}

impl Unrounded {
    fn is_zero(self) -> bool {
        self.bits == 0 && !self.sticky
    }

    /// Rounds to `width` bits, half to even, with no exponent below `exponent_min`.
    pub(crate) fn round(self, width: u32, exponent_min: i32) -> (u64, i32) {
        let length = 128 - self.bits.leading_zeros();
        let wanted = length.saturating_sub(width) as i32;
        let drop = wanted.max(exponent_min - self.exponent);
        if drop <= 0 {
            // Short numbers are normalised upwards as far as the range allows.
            let room = (width - length.min(width)) as i32;
            let up = room.min(self.exponent - exponent_min);
            let bits = if self.bits == 0 { 0 } else { self.bits << up };
            return (bits as u64, self.exponent - up);
        }
        if drop > 127 {
            return (0, exponent_min);
        }
        let kept = self.bits >> drop;
        let rest = self.bits - (kept << drop);
        let half = 1u128 << (drop - 1);
        let up = rest > half || (rest == half && (self.sticky || kept & 1 == 1));
        let rounded = kept + u128::from(up);
        let exponent = self.exponent + drop;
        if rounded >> width != 0 {
            return ((rounded >> 1) as u64, exponent + 1);
        }
        (rounded as u64, exponent)
    }

    fn to_kind(self) -> Kind {
        let (significand, exponent) = self.round(64, EXPONENT_MIN);
        if significand == 0 {
            Kind::Finite { significand: 0, exponent: 0 }
        } else if exponent > EXPONENT_MAX {
            Kind::Infinite
        } else {
            Kind::Finite { significand, exponent }
        }
    }

    /// The nearest double; `None` on overflow, or when something other than zero becomes zero.
    pub(crate) fn to_f64(self) -> Option<f64> {
        let (significand, exponent) = self.round(53, -1074);
        if significand == 0 {
            return self.is_zero().then_some(0.0);
        }
        if exponent > 1023 - 52 {
            return None;
        }
        let normal = significand >> 52 != 0;
        let biased = if normal { (exponent + 1075) as u64 } else { 0 };
        Some(f64::from_bits(biased << 52 | (significand & ((1 << 52) - 1))))
    }
}

/// Reads `0x1.8p3` without a sign.
pub(crate) fn hex_float(unsigned: &[u8]) -> Option<Unrounded> {
    let body = unsigned.get(2..)?;
    let split = body.iter().position(|b| matches!(b, b'p' | b'P'));
    let (mantissa, exponent) = match split {
        Some(at) => (&body[..at], decimal_exponent(&body[at + 1..])?),
        None => (body, 0),
    };
    let mut value = Unrounded { bits: 0, exponent: 0, sticky: false };
    let mut scale: i64 = 0;
    let (mut digits, mut behind_point) = (0, false);
    for &byte in mantissa {
        if byte == b'.' && !behind_point {
            behind_point = true;
            continue;
        }
        let digit = (byte as char).to_digit(16)?;
        digits += 1;
        if value.bits >> 120 == 0 {
            value.bits = value.bits << 4 | u128::from(digit);
            scale -= if behind_point { 4 } else { 0 };
        } else {
            value.sticky |= digit != 0;
            scale += if behind_point { 0 } else { 4 };
        }
    }
    if digits == 0 {
        return None;
    }
    let exponent = (scale + exponent).clamp(-100_000, 100_000);
    value.exponent = exponent as i32;
    // So that the lowest bit of a value with rest is never the half that decides a tie.
    if value.sticky {
        value.bits = value.bits << 1 | 1;
        value.exponent -= 1;
    }
    Some(value)
}

/// Reads an exponent: an optional sign and digits, which may be many.
fn decimal_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + i64::from(byte - b'0')).min(1 << 40);
    }
    Some(if negative { -value } else { value })
}

/// Reads `12.5e3` without a sign.
fn decimal_float(unsigned: &[u8]) -> Option<Unrounded> {
    let split = unsigned.iter().position(|b| matches!(b, b'e' | b'E'));
    let (mantissa, mut scale) = match split {
        Some(at) => (&unsigned[..at], decimal_exponent(&unsigned[at + 1..])?),
        None => (unsigned, 0),
    };
    let mut number = Natural::default();
    // Nineteen digits fit a limb; they are gathered so that the big number is touched once for
    // them.
    let (mut chunk, mut chunk_digits) = (0, 0);
    let (mut digits, mut behind_point) = (0, false);
    for &byte in mantissa {
        match byte {
            b'.' if !behind_point => behind_point = true,
            b'0'..=b'9' => {
                digits += 1;
                scale -= i64::from(behind_point);
                chunk = chunk * 10 + u64::from(byte - b'0');
                chunk_digits += 1;
                if chunk_digits == 19 {
                    number.multiply_add(10u64.pow(19), std::mem::take(&mut chunk));
                    chunk_digits = 0;
                }
            }
            _ => return None,
        }
    }
    if digits == 0 {
        return None;
    }
    number.multiply_add(10u64.pow(chunk_digits), chunk);
    if number.is_zero() {
        return Some(Unrounded { bits: 0, exponent: 0, sticky: false });
    }
    // Far out of range: any exponent there rounds to infinity or to zero.
    if scale > DECIMAL_EXPONENT_MAX {
        return Some(Unrounded { bits: 1, exponent: 100_000, sticky: false });
    }
    if scale < -DECIMAL_EXPONENT_MAX {
        return Some(Unrounded { bits: 1, exponent: -100_000, sticky: false });
    }
    if scale >= 0 {
        number.multiply_power_of_ten(scale as u32);
        return Some(number.leading_bits());
    }
    let mut divisor = Natural::from_u64(1);
    divisor.multiply_power_of_ten(scale.unsigned_abs() as u32);
    Some(number.divide(&divisor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(a: &str, b: &str) -> String {
        let parse = |t: &str| Extended::parse(t.as_bytes()).unwrap();
        String::from_utf8(parse(a).checked_add(parse(b)).unwrap().to_text()).unwrap()
    }

    #[test]
    fn doubles_are_the_nearest() {
        for (text, double) in [
            ("0", 0.0),
            ("-1.5", -1.5),
            ("0.1", 0.1),
            ("1e400", f64::INFINITY),
            ("-1e400", f64::NEG_INFINITY),
            ("inf", f64::INFINITY),
            ("1e-400", f64::from_bits(1)),
            ("1e308", 1e308),
        ] {
            let extended = Extended::parse(text.as_bytes()).expect("a number");
            assert_eq!(extended.to_f64(), double, "{text}");
        }
    }

    #[test]
    fn short_decimals_stay_short() {
        for (a, b, expected) in [
            ("10.5", "0.1", "10.6"),
            ("3.0", "1.0e2", "103"),
            ("5.0e3", "2.0e2", "5200"),
            ("0.1", "0.2", "0.3"),
            ("1", "-1.1", "-0.1"),
            ("17179869184", "1.5", "17179869185.5"),
            ("0x1p3", ".5", "8.5"),
            ("-0", "0", "0"),
            ("-1e-30", "0", "0"),
        ] {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
        }
    }

    #[test]
    fn agrees_with_the_c_library_on_x86() {
        for (a, b, expected) in [
            ("-0xec6353f0ce583505c6af07p-60", "-3.0000004", "-247870786.05037748962058686"),
            ("7301641.1", "81339", "7382980.09999999999990905"),
            ("4.954306077831792e+18", "-7.00", "4954306077831791993"),
            ("-11.00001", "1412869538197.7607", "1412869538186.76068997383117676"),
            ("0.1", "210", "210.10000000000000001"),
            ("-0.04981943271446823", "710858.09", "710858.04018056728551755"),
            ("17988943528674", "-533172124.09", "17988410356549.90999984741210938"),
            ("664829397181919e-3714", "0x22fa3b4e03p-141", "0"),
            ("0x3095e86ad0cef238b08d7451c6a55p-141", "-85.0006", "-85.00059999434389434"),
            ("63481", "213297726461733", "213297726525214"),
            ("-9.234567790248498e+23", "80373027030e3", "-923456778944476772958208"),
            ("14616662845816.287", "513981148.02", "14617176826964.30700016021728516"),
            ("766436869", "-8.571525039420376e+21", "-8571525039419609563136"),
            ("86869.000003", "-9356061", "-9269191.99999699999989389"),
            ("-77", "-5623451412.00003", "-5623451489.0000300002284348"),
            ("469371341563023315", "-1781.3360773109932", "469371341563021533.65625"),
            ("-54621861.0009", "7935889.000", "-46685972.00089999999909196"),
            ("5468428271421849931", "-8.749783241920948e-11", "5468428271421849931"),
            ("-3831454809e-11", "3831454809e-11", "0"),
            ("-40", "9651456717171", "9651456717131"),
            ("-67671", "67671", "0"),
            ("9282458.09", "-767947.6520687137", "8514510.43793128630022693"),
            ("9953460596150350323e-3747", "6559820316335081", "6559820316335081"),
            ("5.354228676194377e-10", "-65e-2791", "0.00000000053542287"),
            ("0.1", "42808921343208410207358", "42808921343208410206208"),
            ("9.727827864791705e-09", "-5000757405.9", "-5000757405.89999999012798071"),
            ("9294514556.0000", "708430.0004", "9295222986.00040000025182962"),
            ("-4226157.840519875", "4226157.840519875", "0"),
        ] {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
        }
    }

    #[test]
    fn infinities() {
        let inf = Extended::parse(b"inf").unwrap();
        let minus = Extended::parse(b"-Infinity").unwrap();
        assert_eq!(inf.checked_add(minus), None);
        assert_eq!(inf.checked_add(Extended::ZERO), Some(inf));
        assert_eq!(minus.to_text(), b"-inf");
        assert!(!inf.is_finite());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "+",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "nan",
            "1.2.3",
            "1e99999",
            "1e-99999",
            "0x",
            "0xg",
            "0x1p",
            "1\0",
            "1,5",
            "0x1p99999",
            "infi",
            "--1",
        ] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Extended::parse("1".repeat(TEXT_LEN_MAX).as_bytes()), None);
        assert!(Extended::parse(format!("0.{}", "1".repeat(5000)).as_bytes()).is_some());
    }

    #[test]
    fn the_ends_of_the_range() {
        assert!(Extended::parse(b"1.18973149535723176502e4932").is_some());
        assert!(Extended::parse(b"1.2e4932").is_none());
        assert!(Extended::parse(b"4e-4951").is_some());
        assert!(Extended::parse(b"1e-4951").is_none());
    }

    proptest! {
        #[test]
        fn integers_are_exact(a in any::<i64>(), b in any::<i32>()) {
            let sum = Extended::from_i64(a).checked_add(Extended::from_i64(b.into())).unwrap();
            let exact = i128::from(a) + i128::from(b);
            if exact.unsigned_abs() <= u128::from(u64::MAX) {
                prop_assert_eq!(sum.to_text(), exact.to_string().into_bytes());
            }
        }

        #[test]
        fn doubles_survive_reading(value in any::<f64>()) {
            if value.is_finite() {
                let by_text = Extended::parse(format!("{value:e}").as_bytes()).unwrap();
                let direct = Extended::from_f64(value).unwrap();
                // The shortest text is not the exact value, but rounds to the same double; or, since it is
                // rounded twice here, as in C, to its neighbour, if the first time ends at a tie.
                let double = |extended: Extended| match extended.kind {
                    Kind::Finite { significand, exponent } => {
                        let bits = u128::from(significand);
                        Unrounded { bits, exponent, sticky: false }.to_f64()
                    }
                    Kind::Infinite => None,
                };
                let by_text = double(by_text).unwrap();
                prop_assert!(by_text.to_bits().abs_diff(value.abs().to_bits()) <= 1);
                prop_assert_eq!(double(direct), Some(value.abs()));
            }
        }

        #[test]
        fn never_panics(
            a in "[-+0-9a-fA-FxXpPeE.in]{0,40}",
            b in "-?[0-9]{0,30}(\\.[0-9]{0,30})?(e-?[0-9]{0,4})?",
        ) {
            let parse = |text: String| Extended::parse(text.as_bytes());
            if let (Some(a), Some(b)) = (parse(a), parse(b))
                && let Some(sum) = a.checked_add(b)
            {
                sum.to_text();
            }
        }
    }
}
