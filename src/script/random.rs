//! Which numbers does `math.random` give? The same sequence on every machine, as Redis's scripts do.
//!
//! The generator is the 48-bit linear congruential one of POSIX `lrand48`: x' = a·x + c mod 2^48 with
//! the constants below; the result is its 31 leading bits. Like Redis 7, the sequence goes on from
//! script to script; only `math.randomseed` sets it back.

/// The state of the generator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random {
    state: u64,
}

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// What the 16 low bits are after seeding.
const SEED_LOW: u64 = 0x330E;

/// One more than the largest number that `math.random` divides by.
pub(super) const RANDOM_MAX: i32 = i32::MAX;

impl Default for Random {
    fn default() -> Self {
        Self { state: 0x1234_ABCD_330E }
    }
}

impl Random {
    /// The generator after `srand48(seed)`.
    pub(super) fn seeded(seed: i32) -> Self {
        Self { state: u64::from(seed as u32) << 16 | SEED_LOW }
    }

    /// The next 31 bits.
    pub(super) fn next(&mut self) -> i32 {
        self.state = (self.state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT)) & MASK;
        (self.state >> 17) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_give_the_sequence_of_lrand48() {
        let mut random = Random::seeded(0);
        // Values of lrand48() after srand48(0), as POSIX systems print them.
        assert_eq!([random.next(), random.next()], [366_850_414, 1_610_402_240]);
    }
}
