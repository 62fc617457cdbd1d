//! How far apart are two rows of numbers?
//!
//! The loops keep sixteen sums side by side, so that compilers turn them into vector instructions without having to
//! reorder additions; half-precision numbers are widened by shifts for the same reason.

use std::fmt::Debug;

use crate::storage::codec::Number;

/// Sums that are kept side by side.
const LANES: usize = 16;

/// A number of a vector.
pub trait Element: Number + Debug + Default + Send + Sync + 'static {
    /// Its bytes in a blob.
    const BYTES: usize;
    /// Whether vectors are stored with length one for COSINE; whole numbers cannot be.
    const NORMALIZES: bool;

    /// Reads it from a blob, which is little-endian.
    fn read(bytes: &[u8]) -> Self;
    /// The number.
    fn wide(self) -> f64;
    /// The nearest one to a number.
    fn narrow(number: f64) -> Self;
    /// The square of the straight distance.
    fn squared_distance(a: &[Self], b: &[Self]) -> f64;
    /// The inner product.
    fn dot(a: &[Self], b: &[Self]) -> f64;
}

/// IEEE half precision, by its bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Half(pub u16);

/// The upper half of a 32-bit float, by its bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brain(pub u16);

impl Half {
    /// The nearest one; what is too large becomes infinite.
    pub fn from_f32(number: f32) -> Half {
        let bits = number.to_bits();
        let sign = (bits >> 16) as u16 & 0x8000;
        let magnitude = bits & 0x7fff_ffff;
        if magnitude > 0x7f80_0000 {
            return Half(sign | 0x7e00);
        }
        if magnitude >= 0x477f_f000 {
            return Half(sign | 0x7c00);
        }
        if magnitude < 0x3880_0000 {
            // Below the least normal number: adding this one rounds to a multiple of the least one there is.
            let rounded = (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits();
            return Half(sign | rounded as u16);
        }
        let even = magnitude >> 13 & 1;
        let rounded = (magnitude + 0x0fff + even) >> 13;
        Half(sign | (rounded - 0x1_c000) as u16)
    }

    /// As a 32-bit float, without branches.
    #[inline]
    pub fn to_f32(self) -> f32 {
        let bits = u32::from(self.0);
        // Exponents differ by 112; multiplying also sets subnormal numbers right.
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
        let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
        f32::from_bits(magnitude.to_bits() | special | (bits & 0x8000) << 16)
    }
}

impl Brain {
    /// The nearest one.
    pub fn from_f32(number: f32) -> Brain {
        let bits = number.to_bits();
        if number.is_nan() {
            return Brain((bits >> 16) as u16 | 0x40);
        }
        let even = bits >> 16 & 1;
        Brain((bits.wrapping_add(0x7fff + even) >> 16) as u16)
    }

    /// As a 32-bit float.
    #[inline]
    pub fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// Sums up `term` of all pairs.
#[inline(always)]
fn sum_f32<E: Copy>(a: &[E], b: &[E], term: impl Fn(E, E) -> f32) -> f64 {
    let ((a_chunks, a_rest), (b_chunks, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0f32; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b)).sum();
    f64::from(sums.iter().sum::<f32>() + rest)
}

macro_rules! floats {
    ($element:ty, $bytes:literal, $bits:ty, $from:expr, $wide:expr, $narrow:expr) => {
        impl Element for $element {
            const BYTES: usize = $bytes;
            const NORMALIZES: bool = true;

            fn read(bytes: &[u8]) -> Self {
                let bytes = bytes.try_into().expect("blobs are cut into pieces of this size");
                $from(<$bits>::from_le_bytes(bytes))
            }

            fn wide(self) -> f64 {
                f64::from($wide(self))
            }

            fn narrow(number: f64) -> Self {
                $narrow(number as f32)
            }

            fn squared_distance(a: &[Self], b: &[Self]) -> f64 {
                sum_f32(a, b, |a, b| {
                    let difference = $wide(a) - $wide(b);
                    difference * difference
                })
            }

            fn dot(a: &[Self], b: &[Self]) -> f64 {
                sum_f32(a, b, |a, b| $wide(a) * $wide(b))
            }
        }
    };
}

floats!(f32, 4, f32, |number| number, |number| number, |number| number);
floats!(Half, 2, u16, Half, Half::to_f32, Half::from_f32);
floats!(Brain, 2, u16, Brain, Brain::to_f32, Brain::from_f32);

impl Element for f64 {
    const BYTES: usize = 8;
    const NORMALIZES: bool = true;

    fn read(bytes: &[u8]) -> f64 {
        f64::from_le_bytes(bytes.try_into().expect("blobs are cut into pieces of this size"))
    }

    fn wide(self) -> f64 {
        self
    }

    fn narrow(number: f64) -> f64 {
        number
    }

    fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
        sum_f64(a, b, |a, b| (a - b) * (a - b))
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        sum_f64(a, b, |a, b| a * b)
    }
}

#[inline(always)]
fn sum_f64(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    let ((a_chunks, a_rest), (b_chunks, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0f64; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b)).sum::<f64>()
}

/// Pairs whose terms, below 2^16 each, add up in 32 bits.
const CHUNK: usize = 1 << 14;

/// Sums up whole numbers exactly.
#[inline(always)]
fn sum_whole<E: Copy>(a: &[E], b: &[E], term: impl Fn(E, E) -> i32) -> f64 {
    let mut sum = 0i64;
    for (a, b) in a.chunks(CHUNK).zip(b.chunks(CHUNK)) {
        let part = a.iter().zip(b).fold(0i32, |sum, (a, b)| sum.wrapping_add(term(*a, *b)));
        sum += i64::from(part);
    }
    sum as f64
}

macro_rules! whole_numbers {
    ($element:ty) => {
        impl Element for $element {
            const BYTES: usize = 1;
            const NORMALIZES: bool = false;

            fn read(bytes: &[u8]) -> Self {
                Self::from_le_bytes([bytes[0]])
            }

            fn wide(self) -> f64 {
                f64::from(self)
            }

            fn narrow(number: f64) -> Self {
                number as Self
            }

            fn squared_distance(a: &[Self], b: &[Self]) -> f64 {
                sum_whole(a, b, |a, b| {
                    let difference = i32::from(a) - i32::from(b);
                    difference.wrapping_mul(difference)
                })
            }

            fn dot(a: &[Self], b: &[Self]) -> f64 {
                sum_whole(a, b, |a, b| i32::from(a).wrapping_mul(i32::from(b)))
            }
        }
    };
}

whole_numbers!(i8);
whole_numbers!(u8);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_precision_goes_around() {
        for bits in 0..=u16::MAX {
            let half = Half(bits);
            let number = half.to_f32();
            if number.is_nan() {
                assert!(Half::from_f32(number).to_f32().is_nan());
            } else {
                assert_eq!(Half::from_f32(number), half, "{bits:x} is {number}");
            }
            let brain = Brain(bits);
            if !brain.to_f32().is_nan() {
                assert_eq!(Brain::from_f32(brain.to_f32()), brain);
            }
        }
        assert_eq!(Half(0x3c00).to_f32(), 1.0);
        assert_eq!(Half(0x0001).to_f32(), 2f32.powi(-24));
        assert_eq!(Half(0xfbff).to_f32(), -65504.0);
        assert_eq!(Half::from_f32(65520.0).to_f32(), f32::INFINITY);
        assert_eq!(Half::from_f32(0.1).to_f32(), 0.099_975_586);
    }

    fn check<E: Element>(a: &[f64], b: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
        let narrow = |list: &[f64]| list.iter().map(|n| E::narrow(*n)).collect::<Vec<E>>();
        let (a, b) = (narrow(a), narrow(b));
        let pairs = || a.iter().zip(&b).map(|(a, b)| (a.wide(), b.wide()));
        let dot: f64 = pairs().map(|(a, b)| a * b).sum();
        let squares: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
        let size: f64 = pairs().map(|(a, b)| (a * b).abs() + 1.0).sum();
        prop_assert!((E::dot(&a, &b) - dot).abs() <= tolerance * size);
        prop_assert!((E::squared_distance(&a, &b) - squares).abs() <= tolerance * (squares + 1.0));
        Ok(())
    }

    proptest! {
        #[test]
        fn loops_compute_what_the_formulas_say(
            pairs in proptest::collection::vec((-120.0..120.0f64, -120.0..120.0f64), 0..100),
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            check::<f32>(&a, &b, 1e-5)?;
            check::<f64>(&a, &b, 1e-12)?;
            check::<Half>(&a, &b, 1e-5)?;
            check::<Brain>(&a, &b, 1e-5)?;
            check::<i8>(&a, &b, 0.0)?;
            check::<u8>(&a, &b, 0.0)?;
        }
    }

    #[test]
    fn long_rows_of_whole_numbers_do_not_overflow() {
        let (low, high) = (vec![-128i8; 100_000], vec![127i8; 100_000]);
        assert_eq!(i8::squared_distance(&low, &high), 255.0 * 255.0 * 100_000.0);
        assert_eq!(u8::dot(&vec![255; 100_000], &vec![255; 100_000]), 255.0 * 255.0 * 100_000.0);
    }
}
