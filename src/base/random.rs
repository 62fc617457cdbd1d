//! What is drawn when something is drawn at random? Numbers from one seed, and choices from them.
//!
//! The seed comes from the caller, so everything here is a function of its arguments.

use std::collections::HashSet;

/// A sequence of uniform 64-bit numbers (SplitMix, by Steele and others, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A uniform number below `bound`, off by less than 2^-32 for bounds we have. `random` yields uniform
/// 64-bit numbers.
#[inline]
pub fn below(bound: usize, random: &mut dyn FnMut() -> u64) -> usize {
    ((u128::from(random()) * bound as u128) >> 64) as usize
}

/// `count` different numbers below `len`, of which they are a small part, in random order.
pub fn distinct(len: usize, count: usize, random: &mut dyn FnMut() -> u64) -> Vec<usize> {
    assert!(count <= len, "there are not so many different numbers");
    let mut seen = HashSet::with_capacity(count);
    let mut numbers = Vec::with_capacity(count);
    while numbers.len() < count {
        let number = below(len, random);
        if seen.insert(number) {
            numbers.push(number);
        }
    }
    numbers
}

/// Brings `count` items, chosen at random, to the front in random order.
pub fn shuffle_front<T>(items: &mut [T], count: usize, random: &mut dyn FnMut() -> u64) {
    for at in 0..count.min(items.len()) {
        let other = at + below(items.len() - at, random);
        items.swap(at, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_below_their_bound_and_reach_all_of_it() {
        let mut random = Random::new(7);
        let mut random = || random.draw();
        let mut counts = [0u32; 10];
        for _ in 0..10_000 {
            counts[below(10, &mut random)] += 1;
        }
        assert!(counts.iter().all(|n| (850..1150).contains(n)), "{counts:?}");
        assert_eq!(below(1, &mut random), 0);
    }

    #[test]
    fn distinct_numbers_are_distinct() {
        let mut random = Random::new(8);
        let mut numbers = distinct(50, 50, &mut || random.draw());
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..50));
    }

    #[test]
    fn each_item_is_as_likely_as_any_other_to_come_to_the_front() {
        let mut random = Random::new(9);
        let mut counts = [0u32; 6];
        for _ in 0..6_000 {
            let mut items = [0, 1, 2, 3, 4, 5];
            shuffle_front(&mut items, 2, &mut || random.draw());
            items[..2].iter().for_each(|item| counts[*item] += 1);
        }
        assert!(counts.iter().all(|n| (1800..2200).contains(n)), "{counts:?}");
    }
}
