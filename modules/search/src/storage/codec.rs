//! How do numbers and bytes become a file, and a file these?
//!
//! Everything is little-endian; a list is its length (64 bits) and its elements. A reader takes nothing on trust: a length
//! is compared with the bytes that are left before anything is allocated for it, so a list takes no more memory than the
//! file has bytes.

use std::fmt;
use std::io::{self, Write};

use crate::vector::element::{Brain, Half};

/// Bytes that are put together before they are handed to the writer.
const BLOCK_BYTES: usize = 16 << 10;

/// What is wrong with bytes that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken(pub &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// An error unless something holds.
pub fn ensure(holds: bool, wrong: &'static str) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(wrong)) }
}

/// A number of a fixed size.
pub trait Number: Copy {
    /// Its bytes.
    const SIZE: usize;
    /// Writes it into so many bytes.
    fn put(self, out: &mut [u8]);
    /// Reads it from so many bytes.
    fn take(bytes: &[u8]) -> Self;
}

macro_rules! numbers {
    ($($type:ty, $bits:ty, $wrap:expr, $unwrap:expr;)*) => {$(
        impl Number for $type {
            const SIZE: usize = size_of::<$bits>();

            #[inline]
            fn put(self, out: &mut [u8]) {
                out.copy_from_slice(&<$bits>::to_le_bytes($unwrap(self)));
            }

            #[inline]
            fn take(bytes: &[u8]) -> Self {
                let bytes = bytes.try_into().expect("callers cut pieces of this size");
                $wrap(<$bits>::from_le_bytes(bytes))
            }
        }
    )*};
}

numbers! {
    u8, u8, |n| n, |n| n;
    i8, i8, |n| n, |n| n;
    u16, u16, |n| n, |n| n;
    u32, u32, |n| n, |n| n;
    u64, u64, |n| n, |n| n;
    f32, u32, f32::from_bits, f32::to_bits;
    f64, u64, f64::from_bits, f64::to_bits;
    Half, u16, Half, |half: Half| half.0;
    Brain, u16, Brain, |brain: Brain| brain.0;
}

/// Where numbers and bytes are written to.
pub struct Encoder<'w> {
    out: &'w mut dyn Write,
}

impl<'w> Encoder<'w> {
    /// One that writes there.
    pub fn new(out: &'w mut dyn Write) -> Encoder<'w> {
        Encoder { out }
    }

    /// Writes a number.
    pub fn number<N: Number>(&mut self, number: N) -> io::Result<()> {
        let mut bytes = [0; 8];
        number.put(&mut bytes[..N::SIZE]);
        self.out.write_all(&bytes[..N::SIZE])
    }

    /// Writes a length, or a number of things.
    pub fn length(&mut self, length: usize) -> io::Result<()> {
        self.number(length as u64)
    }

    /// Writes a list.
    pub fn list<N: Number>(&mut self, numbers: &[N]) -> io::Result<()> {
        self.length(numbers.len())?;
        self.elements(numbers)
    }

    /// Writes numbers without their length.
    pub fn elements<N: Number>(&mut self, numbers: &[N]) -> io::Result<()> {
        let mut block = [0; BLOCK_BYTES];
        for numbers in numbers.chunks(BLOCK_BYTES / N::SIZE) {
            let bytes = &mut block[..numbers.len() * N::SIZE];
            for (number, place) in numbers.iter().zip(bytes.chunks_exact_mut(N::SIZE)) {
                number.put(place);
            }
            self.out.write_all(bytes)?;
        }
        Ok(())
    }

    /// Writes bytes with their length.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length(bytes.len())?;
        self.raw(bytes)
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }
}

/// Where numbers and bytes are read from.
#[derive(Debug, Clone, Copy)]
pub struct Decoder<'b> {
    rest: &'b [u8],
}

impl<'b> Decoder<'b> {
    /// One that reads these bytes.
    pub fn new(bytes: &'b [u8]) -> Decoder<'b> {
        Decoder { rest: bytes }
    }

    /// Reads some bytes as they are.
    pub fn raw(&mut self, length: usize) -> Result<&'b [u8], Broken> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Broken("it ends early"))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads a number.
    pub fn number<N: Number>(&mut self) -> Result<N, Broken> {
        self.raw(N::SIZE).map(N::take)
    }

    /// Reads how many things follow, each of which takes at least `size` bytes.
    pub fn length(&mut self, size: usize) -> Result<usize, Broken> {
        let length = usize::try_from(self.number::<u64>()?).ok();
        let fits = |length: &usize| length.checked_mul(size).is_some_and(|n| n <= self.rest.len());
        length.filter(fits).ok_or(Broken("a length goes beyond the end"))
    }

    /// Reads a list.
    pub fn list<N: Number>(&mut self) -> Result<Vec<N>, Broken> {
        let length = self.length(N::SIZE)?;
        self.elements(length)
    }

    /// Reads a list that must have so many elements.
    pub fn list_of<N: Number>(&mut self, length: usize) -> Result<Vec<N>, Broken> {
        let found = self.length(N::SIZE)?;
        ensure(found == length, "a list has another length than its neighbours")?;
        self.elements(length)
    }

    /// Reads so many numbers.
    pub fn elements<N: Number>(&mut self, length: usize) -> Result<Vec<N>, Broken> {
        let size = length.checked_mul(N::SIZE).ok_or(Broken("a length goes beyond the end"))?;
        Ok(self.raw(size)?.chunks_exact(N::SIZE).map(N::take).collect())
    }

    /// Reads bytes with their length.
    pub fn bytes(&mut self) -> Result<&'b [u8], Broken> {
        let length = self.length(1)?;
        self.raw(length)
    }

    /// An error if anything is left.
    pub fn end(self) -> Result<(), Broken> {
        ensure(self.rest.is_empty(), "something follows the end")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            shorts in proptest::collection::vec(any::<u16>(), 0..20_000),
            longs in proptest::collection::vec(any::<u64>(), 0..50),
            doubles in proptest::collection::vec(any::<f64>(), 0..50),
        ) {
            let mut out = Vec::new();
            let mut encoder = Encoder::new(&mut out);
            encoder.bytes(&bytes).unwrap();
            encoder.list(&shorts).unwrap();
            encoder.list(&longs).unwrap();
            encoder.list(&doubles).unwrap();
            let mut decoder = Decoder::new(&out);
            prop_assert_eq!(decoder.bytes(), Ok(&*bytes));
            prop_assert_eq!(decoder.list::<u16>(), Ok(shorts));
            prop_assert_eq!(decoder.list::<u64>(), Ok(longs));
            let bits = |list: Vec<f64>| list.into_iter().map(f64::to_bits).collect::<Vec<_>>();
            prop_assert_eq!(decoder.list::<f64>().map(bits), Ok(bits(doubles)));
            prop_assert_eq!(decoder.end(), Ok(()));
        }
    }

    #[test]
    fn lengths_are_not_trusted() {
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        bytes.extend([0; 16]);
        assert!(Decoder::new(&bytes).list::<u64>().is_err());
        assert!(Decoder::new(&bytes).bytes().is_err());
        assert!(Decoder::new(&bytes).elements::<u64>(usize::MAX).is_err());
        assert!(Decoder::new(&3u64.to_le_bytes()).list::<u8>().is_err());
        assert!(Decoder::new(&[1]).number::<u16>().is_err());
        assert!(Decoder::new(&[1]).end().is_err());
    }
}
