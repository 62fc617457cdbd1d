//! Which rows of a piece are dead?
//!
//! A bit per row, allocated with the first dead one: a piece in which nothing was superseded costs nothing to check.

use std::io;

use crate::storage::codec::{Broken, Decoder, Encoder, ensure};

/// A set of row numbers.
#[derive(Debug, Clone, Default)]
pub struct Bits {
    words: Vec<u64>,
    count: u32,
}

impl Bits {
    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many rows are in it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether `row` is in it.
    #[inline]
    pub fn contains(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Puts `row` in; answers whether it was not in before.
    pub fn insert(&mut self, row: u32) -> bool {
        let word = row as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (row % 64);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u32::from(new);
        new
    }

    /// The rows that are in this set and not in `earlier`.
    pub fn since<'a>(&'a self, earlier: &'a Bits) -> impl Iterator<Item = u32> + 'a {
        self.words.iter().enumerate().flat_map(move |(at, word)| {
            let mut left = word & !earlier.words.get(at).copied().unwrap_or(0);
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                (left != 0).then(|| {
                    left &= left - 1;
                    u32::try_from(at).expect("rows are 32-bit") * 64 + bit
                })
            })
        })
    }

    /// Writes the set.
    pub fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.list(&self.words)
    }

    /// Reads a set of some of so many rows.
    pub fn decode(bytes: &mut Decoder<'_>, rows: u32) -> Result<Bits, Broken> {
        let words: Vec<u64> = bytes.list()?;
        let (whole, over) = ((rows / 64) as usize, rows % 64);
        let inside = words.iter().skip(whole).enumerate().all(|(at, word)| match at {
            0 => word >> over == 0,
            _ => *word == 0,
        });
        ensure(inside, "a set has rows that are not there")?;
        let count = words.iter().map(|word| word.count_ones()).sum();
        Ok(Bits { words, count })
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        self.words.capacity() * 8
    }
}

/// Rows of one piece that may match, a bit for each row of the piece.
#[derive(Debug, Clone)]
pub struct Mask {
    words: Vec<u64>,
}

impl Mask {
    /// None of so many rows.
    pub fn new(rows: u32) -> Mask {
        Mask { words: vec![0; rows.div_ceil(64) as usize] }
    }

    /// Puts rows in, all of them below the number of rows.
    #[inline]
    pub fn insert_all(&mut self, rows: &[u32]) {
        for row in rows {
            self.words[*row as usize / 64] |= 1 << (row % 64);
        }
    }

    /// Keeps what is in `other` too.
    pub fn intersect(&mut self, other: &Mask) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// The first row from `from` on.
    #[inline]
    pub fn next(&self, from: u32) -> Option<u32> {
        let mut at = from as usize / 64;
        let mut word = self.words.get(at)? & (u64::MAX << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.words.get(at)?;
        }
        Some(u32::try_from(at).expect("rows are 32-bit") * 64 + word.trailing_zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_finds_its_rows() {
        let (mut mask, mut other) = (Mask::new(200), Mask::new(200));
        mask.insert_all(&[0, 63, 64, 130, 199]);
        other.insert_all(&[63, 130, 131, 199]);
        mask.intersect(&other);
        let rows = std::iter::successors(mask.next(0), |row| mask.next(row + 1));
        assert_eq!(rows.collect::<Vec<_>>(), [63, 130, 199]);
        assert_eq!((mask.next(200), mask.next(100_000)), (None, None));
    }

    #[test]
    fn since_gives_what_was_added() {
        let mut bits = Bits::default();
        assert!(bits.insert(3) && bits.insert(200) && !bits.insert(3));
        let earlier = bits.clone();
        bits.insert(64);
        bits.insert(0);
        assert_eq!(bits.since(&earlier).collect::<Vec<_>>(), [0, 64]);
        assert_eq!(bits.count(), 4);
        assert!(bits.contains(200) && !bits.contains(201) && !bits.contains(100_000));
    }
}
