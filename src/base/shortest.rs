//! Which decimal digits stand for a double? Short ones that read back as the same double: those of
//! Florian Loitsch's Grisu2 ("Printing floating-point numbers quickly and accurately with
//! integers", PLDI 2010), which Redis prints.
//!
//! Grisu2 scales the double and the two ends of the interval that rounds to it by a power of ten
//! known to 64 bits, and generates digits of the upper end until they lie inside. As the scaling is
//! not exact, the interval is narrowed by a unit at both ends; for one double in a thousand the
//! shortest digits then lie outside and a longer text comes out. An exact algorithm (Ryū) would be
//! shorter there and thus different from Redis: for the same text the imprecision is part of the
//! contract, which powers are known included. Compared with Redis's function on a million doubles.

use std::sync::LazyLock;

use crate::base::natural::Natural;

/// Digits that Grisu2 gives at most, with one to spare.
pub const DIGITS_MAX: usize = 18;

/// Powers of ten known: `10^(FIRST + STEP * i)` for `i` below [`POWERS`].
const FIRST: i32 = -348;
const STEP: i32 = 8;
const POWERS: usize = 87;
/// Where the binary exponent must lie after scaling: digits before the point then fit 32 bits.
const EXPONENTS: std::ops::RangeInclusive<i32> = -60..=-32;

const FRACTION_BITS: u32 = 52;
const HIDDEN_BIT: u64 = 1 << FRACTION_BITS;

/// `significand * 2^exponent`
#[derive(Clone, Copy, Debug)]
struct Scaled {
    significand: u64,
    exponent: i32,
}

/// The decimal digits of a double: `digits * 10^scale`.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    digits: [u8; DIGITS_MAX],
    count: usize,
    /// The power of ten that belongs to the last digit.
    pub scale: i32,
}

impl Digits {
    /// The digits as text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.count]
    }

    fn push(&mut self, digit: u64) {
        // No zeros in front.
        if digit != 0 || self.count > 0 {
            self.digits[self.count] = b'0' + digit as u8;
            self.count += 1;
        }
    }
}

static KNOWN: LazyLock<[Scaled; POWERS]> = LazyLock::new(|| {
    std::array::from_fn(|at| {
        let power = FIRST + STEP * at as i32;
        let mut ten = Natural::from_u64(1);
        ten.multiply_power_of_ten(power.unsigned_abs());
        let exact = if power < 0 { Natural::from_u64(1).divide(&ten) } else { ten.leading_bits() };
        let (significand, exponent) = exact.round(64, i32::MIN / 2);
        Scaled { significand, exponent }
    })
});

/// The digits of a positive finite `value`.
pub fn digits(value: f64) -> Digits {
    let bits = value.to_bits();
    let fraction = bits & (HIDDEN_BIT - 1);
    let biased = (bits >> FRACTION_BITS & 0x7ff) as i32;
    let (significand, exponent) =
        if biased == 0 { (fraction, -1074) } else { (fraction | HIDDEN_BIT, biased - 1075) };
    // Halfway to the neighbours; the one below a power of two is only half as far.
    let upper = Scaled { significand: 2 * significand + 1, exponent: exponent - 1 }.normalized();
    let closer = if significand == HIDDEN_BIT { 2 } else { 1 };
    let lower = Scaled {
        significand: ((significand << closer) - 1) << (exponent - closer - upper.exponent),
        exponent: upper.exponent,
    };
    let middle = Scaled { significand, exponent }.normalized();
    let (power, ten) = scaling_for(upper.exponent);
    let (middle, mut lower, mut upper) = (middle.times(ten), lower.times(ten), upper.times(ten));
    lower.significand += 1;
    upper.significand -= 1;
    generate(middle, lower, upper, -power)
}

impl Scaled {
    fn normalized(self) -> Self {
        let shift = self.significand.leading_zeros();
        Self { significand: self.significand << shift, exponent: self.exponent - shift as i32 }
    }

    /// The product, rounded to 64 bits.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand);
        let significand = ((product + (1 << 63)) >> 64) as u64;
        Self { significand, exponent: self.exponent + other.exponent + 64 }
    }
}

/// A known power of ten that brings a binary exponent into [`EXPONENTS`].
///
/// Two may do; the estimate decides which, so it is the original's, rounding included.
fn scaling_for(exponent: i32) -> (i32, Scaled) {
    let estimate = (f64::from(-(exponent + POWERS as i32)) * std::f64::consts::LOG10_2) as i32;
    let mut at = ((estimate - FIRST) / STEP) as usize;
    loop {
        let scaled = exponent + KNOWN[at].exponent + 64;
        if scaled < *EXPONENTS.start() {
            at += 1;
        } else if scaled > *EXPONENTS.end() {
            at -= 1;
        } else {
            return (FIRST + STEP * at as i32, KNOWN[at]);
        }
    }
}

/// Digits of `upper` until what is left out lies within the interval; then the last digit is
/// lowered towards `middle`.
fn generate(middle: Scaled, lower: Scaled, upper: Scaled, scale: i32) -> Digits {
    let mut out = Digits { digits: [0; DIGITS_MAX], count: 0, scale };
    let shift = upper.exponent.unsigned_abs();
    let one = 1u64 << shift;
    let distance = upper.significand - middle.significand;
    let mut width = upper.significand - lower.significand;
    let mut whole = upper.significand >> shift;
    let mut rest = upper.significand & (one - 1);
    for power in (0..10u32).rev() {
        let unit = 10u64.pow(power);
        out.push(whole / unit);
        whole %= unit;
        let left = (whole << shift) + rest;
        if left <= width {
            out.scale += power as i32;
            lower_last(&mut out, width, left, unit << shift, distance);
            return out;
        }
    }
    let mut unit: u64 = 1;
    loop {
        rest *= 10;
        width *= 10;
        unit *= 10;
        out.scale -= 1;
        out.push(rest >> shift);
        rest &= one - 1;
        if rest < width {
            lower_last(&mut out, width, rest, one, distance.wrapping_mul(unit));
            return out;
        }
    }
}

/// Lowers the last digit while that brings the text nearer to the double and keeps it in the
/// interval. All are distances from the upper end: of the lower end, of the text, and of the
/// double; `unit` is what a digit less adds.
fn lower_last(out: &mut Digits, width: u64, mut left: u64, unit: u64, distance: u64) {
    while left < distance
        && width - left >= unit
        && (left + unit < distance || distance - left > left + unit - distance)
    {
        out.digits[out.count - 1] -= 1;
        left += unit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let digits = digits(value);
        format!("{}e{}", String::from_utf8_lossy(digits.as_bytes()), digits.scale)
    }

    #[test]
    fn powers_are_the_nearest() {
        // The first as Loitsch's and others' tables have it; 10^4 is exact.
        assert_eq!(KNOWN[0].significand, 0xfa8f_d5a0_081c_0288);
        assert_eq!(KNOWN[0].exponent, -1220);
        assert_eq!((KNOWN[44].significand, KNOWN[44].exponent), (10_000 << 50, -50));
        assert_eq!(KNOWN[POWERS - 1].exponent, 1066);
    }

    #[test]
    fn mostly_they_are_the_shortest() {
        for (value, expected) in [
            (0.1, "1e-1"),
            (1.0 / 3.0, "3333333333333333e-16"),
            (5e-324, "5e-324"),
            (f64::MAX, "17976931348623157e292"),
            (2f64.powi(70), "11805916207174113e5"),
            (123.456, "123456e-3"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn sometimes_they_are_those_of_redis() {
        assert_eq!(text(7.38985e-4), "7389850000000001e-19");
        assert_eq!(text(1.551_000_000_000_000_2e15), "15510000000000003e-1");
        assert_eq!(text(8.647_918_526_643_37e2), "8647918526643369e-13");
    }
}
