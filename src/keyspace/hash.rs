//! Where in hash space does a key lie? Everything that walks the keyspace moves through this order.
//!
//! Invariant: within a process the hash of a key never changes; between processes it is
//! unpredictable, since it is seeded at the first use.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

/// How a table hashes keys. Tests put in functions of their own to provoke collisions.
pub trait KeyHash {
    /// The hash of `key`; its leading bits are the key's position.
    fn hash(key: &[u8]) -> u64;
}

/// The hash of real tables: seeded once per process, so that nobody can choose keys that collide.
pub struct SeededHash;

struct Seed {
    own: u64,
    shared: SharedSeed,
}

static SEED: LazyLock<Seed> = LazyLock::new(|| {
    // The standard library's state is seeded by the operating system.
    let random = |n: u64| RandomState::new().hash_one(n);
    Seed { own: random(1), shared: SharedSeed::from_u64(random(2)) }
});

impl KeyHash for SeededHash {
    #[inline]
    fn hash(key: &[u8]) -> u64 {
        let seed = &*SEED;
        let mut hasher = FoldHasher::with_seed(seed.own, &seed.shared);
        hasher.write(key);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_stable_and_depends_on_every_byte_and_the_length() {
        let key = b"some:key:000123".to_vec();
        let hash = SeededHash::hash(&key);
        assert_eq!(hash, SeededHash::hash(&key.clone()));
        for i in 0..key.len() {
            let mut other = key.clone();
            other[i] ^= 1;
            assert_ne!(hash, SeededHash::hash(&other));
        }
        assert_ne!(SeededHash::hash(b""), SeededHash::hash(b"\0"));
    }

    #[test]
    fn leading_bits_of_similar_keys_spread_evenly() {
        const KEYS: usize = 1 << 18;
        let mut counts = [0usize; 256];
        let mut below = [0usize; 256];
        for i in 0..KEYS {
            let hash = SeededHash::hash(format!("key:{i:012}").as_bytes());
            counts[(hash >> 56) as usize] += 1;
            below[(hash >> 48) as usize & 255] += 1;
        }
        let mean = KEYS / 256;
        // Six standard deviations of a binomial: once in some hundred million runs by chance.
        let slack = 6 * (mean as f64).sqrt() as usize;
        for count in counts.into_iter().chain(below) {
            assert!(count.abs_diff(mean) <= slack, "{count} of {mean}");
        }
    }
}
