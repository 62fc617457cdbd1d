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
    fn trailing_zeros_matter() {
        assert_ne!(hash64(b""), hash64(b"\0"));
        assert_ne!(hash64(b"a"), hash64(b"a\0"));
    }
}
