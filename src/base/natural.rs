//! What do decimal and binary floats need of big integers? Reading and writing them exactly.
//!
//! Schoolbook algorithms on a vector of limbs: the numbers come from one text of bounded length,
//! and mostly they have one or two limbs. There is always a non-zero limb on top, zero has none.

use std::cmp::Ordering;

use crate::base::extended::Unrounded;
use crate::base::number::append_u64;

/// A natural number of any size: 64-bit limbs, the lowest first, no zero on top.
#[derive(Clone, Debug, Default)]
pub(crate) struct Natural(Vec<u64>);

impl Natural {
    pub(crate) fn from_u64(value: u64) -> Self {
        Self(if value == 0 { Vec::new() } else { vec![value] })
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bit_length(&self) -> u32 {
        self.0.last().map_or(0, |top| self.0.len() as u32 * 64 - top.leading_zeros())
    }

    /// Multiplies by `factor` and adds `summand`.
    pub(crate) fn multiply_add(&mut self, factor: u64, summand: u64) {
        let mut carry = summand;
        for limb in &mut self.0 {
            let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            *limb = product as u64;
            carry = (product >> 64) as u64;
        }
        if carry != 0 {
            self.0.push(carry);
        }
    }

    pub(crate) fn multiply_power_of_ten(&mut self, mut power: u32) {
        while power > 0 {
            let step = power.min(19);
            self.multiply_add(10u64.pow(step), 0);
            power -= step;
        }
    }

    pub(crate) fn shift_left(&mut self, count: u32) {
        if self.is_zero() {
            return;
        }
        self.multiply_add(1 << (count % 64), 0);
        self.0.splice(0..0, std::iter::repeat_n(0, (count / 64) as usize));
    }

    /// The top 127 bits, and whether anything lies below them.
    pub(crate) fn leading_bits(&self) -> Unrounded {
        let drop = self.bit_length().saturating_sub(127);
        let (skip, shift) = ((drop / 64) as usize, drop % 64);
        let limb = |at: usize| u128::from(self.0.get(at).copied().unwrap_or(0));
        let low = limb(skip) | limb(skip + 1) << 64;
        let bits = if shift == 0 { low } else { low >> shift | limb(skip + 2) << (128 - shift) };
        let below = self.0[..skip].iter().any(|&l| l != 0) || low & ((1 << shift) - 1) != 0;
        // The sticky bit is the lowest, below all that rounding to 64 bits looks at.
        Unrounded { bits: bits | u128::from(below), exponent: drop as i32, sticky: below }
    }

    /// The quotient to at least 66 bits, and whether there is a rest.
    pub(crate) fn divide(mut self, divisor: &Self) -> Unrounded {
        // Scale so that the quotient has 66 or 67 bits, then divide bit by bit: so few steps that
        // nothing cleverer pays.
        let lift = 66 + divisor.bit_length() as i32 - self.bit_length() as i32;
        let mut scaled = divisor.clone();
        if lift > 0 {
            self.shift_left(lift.unsigned_abs());
        } else {
            scaled.shift_left(lift.unsigned_abs());
        }
        const STEPS: u32 = 67;
        scaled.shift_left(STEPS);
        let mut quotient: u128 = 0;
        for _ in 0..=STEPS {
            quotient <<= 1;
            if self.compare(&scaled) != Ordering::Less {
                self.subtract(&scaled);
                quotient |= 1;
            }
            scaled.halve();
        }
        let rest = !self.is_zero();
        Unrounded { bits: quotient << 1 | u128::from(rest), exponent: -lift - 1, sticky: rest }
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Subtracts `other`, which is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (at, limb) in self.0.iter_mut().enumerate() {
            let subtrahend = other.0.get(at).copied().unwrap_or(0);
            let (first, under_first) = limb.overflowing_sub(subtrahend);
            let (second, under_second) = first.overflowing_sub(u64::from(borrow));
            *limb = second;
            borrow = under_first || under_second;
        }
        self.trim();
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for limb in self.0.iter_mut().rev() {
            let next = *limb << 63;
            *limb = *limb >> 1 | carry;
            carry = next;
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    pub(crate) fn append_decimal(mut self, text: &mut Vec<u8>) {
        const CHUNK: u64 = 10_000_000_000_000_000_000;
        let mut chunks = Vec::new();
        while !self.is_zero() {
            let mut rest: u64 = 0;
            for limb in self.0.iter_mut().rev() {
                let value = u128::from(rest) << 64 | u128::from(*limb);
                *limb = (value / u128::from(CHUNK)) as u64;
                rest = (value % u128::from(CHUNK)) as u64;
            }
            self.trim();
            chunks.push(rest);
        }
        let mut chunks = chunks.into_iter().rev();
        append_u64(text, chunks.next().unwrap_or(0));
        for chunk in chunks {
            text.extend_from_slice(format!("{chunk:019}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: Natural) -> String {
        let mut text = Vec::new();
        number.append_decimal(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn powers_of_ten_print_as_such() {
        for power in [0, 1, 18, 19, 20, 38, 100, 4932] {
            let mut number = Natural::from_u64(7);
            number.multiply_power_of_ten(power);
            assert_eq!(text(number), format!("7{}", "0".repeat(power as usize)));
        }
    }

    #[test]
    fn shifting_is_multiplying() {
        for count in [0, 1, 63, 64, 65, 200] {
            let mut shifted = Natural::from_u64(12_345);
            shifted.shift_left(count);
            let mut multiplied = Natural::from_u64(12_345);
            for _ in 0..count {
                multiplied.multiply_add(2, 0);
            }
            assert_eq!(text(shifted), text(multiplied));
        }
    }

    #[test]
    fn division_gives_quotient_bits_and_rest() {
        let third = Natural::from_u64(1).divide(&Natural::from_u64(3));
        assert!(third.sticky);
        let value = third.bits as f64 * 2f64.powi(third.exponent);
        assert!((value - 1.0 / 3.0).abs() < 1e-16);
        let eight = Natural::from_u64(24).divide(&Natural::from_u64(3));
        assert!(!eight.sticky);
        assert_eq!(eight.bits as f64 * 2f64.powi(eight.exponent), 8.0);
    }
}
