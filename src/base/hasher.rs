//! Which 64 bits stand for a text in hash tables? A fast hash with a seed drawn once per process.
//!
//! The seed comes from the operating system's randomness (through the standard library), so a
//! client cannot choose texts that collide. All bits are equally good: tables here use the leading
//! ones. The values mean nothing outside the process; they are never stored.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

static SHARED: LazyLock<SharedSeed> =
    LazyLock::new(|| SharedSeed::from_u64(RandomState::new().hash_one(1)));
static STATE: LazyLock<SeedableRandomState> =
    LazyLock::new(|| SeedableRandomState::with_seed(RandomState::new().hash_one(2), &SHARED));

/// The hash of `text` in this process.
#[inline]
pub fn hash64(text: &[u8]) -> u64 {
    let mut hasher = STATE.build_hasher();
    hasher.write(text);
    hasher.finish()
}

/// Where a text lies in tables that are ordered by hash and split their ranges in halves.
///
/// If positions were as even as hashes, all ranges of such a table would fill up at the same pace, and
/// their buffers pass through the same sizes at the same time: every size is then one that nearly all
/// have had and left, in pages that the last of them keep from being freed. So positions are twice as
/// dense at the start as at the end, falling as an exponential does. Whatever the number of texts, there
/// are then ranges of every fullness, as many of one size as of another, and what one gives up another
/// takes (spiral storage, Martin 1979).
#[inline]
pub fn position(text: &[u8]) -> u32 {
    (spiral(hash64(text)) >> 32) as u32
}

/// 2^x - 1 for fractions of 2^64, by the cubic polynomial that has its values and slopes at 0 and 1.
#[inline]
fn spiral(x: u64) -> u64 {
    /// ln 2, 3 - 4 ln 2 and 3 ln 2 - 2; one in all.
    const FACTORS: [u64; 3] = [0xb17217f7d1cf7800, 0x3a37a020b8c22000, 0x145647e7756e6800];
    let times = |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 64) as u64;
    let [one, two, three] = FACTORS;
    times(x, one + times(x, two + times(x, three)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn leading_and_trailing_bits_spread() {
        let mut high = HashSet::new();
        let mut low = HashSet::new();
        for i in 0..65_536u32 {
            let hash = hash64(format!("field:{i}").as_bytes());
            high.insert(hash >> 48);
            low.insert(hash & 0xffff);
        }
        // Random functions hit 1 - 1/e of their range, some 41,400.
        assert!((40_000..43_000).contains(&high.len()), "{}", high.len());
        assert!((40_000..43_000).contains(&low.len()), "{}", low.len());
    }

    #[test]
    fn positions_thin_out_evenly() {
        const MOST: f64 = u64::MAX as f64;
        for step in 0..=1000u64 {
            let x = u64::MAX / 1000 * step;
            let expected = (x as f64 / MOST).exp2() - 1.0;
            assert!((spiral(x) as f64 / MOST - expected).abs() < 0.001, "{step}");
        }
        assert!(spiral(0) == 0 && spiral(u64::MAX) > u64::MAX - 16);
        let texts = 1 << 17;
        let mut counts = [0u32; 16];
        for i in 0..texts {
            counts[(position(format!("field:{i}").as_bytes()) >> 28) as usize] += 1;
        }
        for (at, count) in counts.into_iter().enumerate() {
            let share = (1.0 + (at as f64 + 1.0) / 16.0).log2() - (1.0 + at as f64 / 16.0).log2();
            let expected = share * f64::from(texts);
            assert!((f64::from(count) - expected).abs() < 6.0 * expected.sqrt(), "{at}: {count}");
        }
    }

    #[test]
    fn trailing_zeros_matter() {
        assert_ne!(hash64(b""), hash64(b"\0"));
        assert_ne!(hash64(b"a"), hash64(b"a\0"));
    }
}
