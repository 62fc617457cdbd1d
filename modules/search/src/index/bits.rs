//! Which rows of a piece are dead?
//!
//! A bit per row, allocated with the first dead one: a piece in which nothing was superseded costs nothing to check.

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

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        self.words.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
