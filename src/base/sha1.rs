//! What name does a script have? The SHA-1 of its source, as 40 lower-case hexadecimal digits.

use sha1::{Digest, Sha1};

/// Length of [`sha1_hex`].
pub const HEX_LEN: usize = 40;

/// The SHA-1 of `bytes` in lower-case hexadecimal.
pub fn sha1_hex(bytes: &[u8]) -> [u8; HEX_LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha1::digest(bytes);
    let mut hex = [0; HEX_LEN];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}

/// Whether two digests in hexadecimal are the same, without the call of `memcmp` that `==` is.
#[inline]
pub fn is_same(a: &[u8; 40], b: &[u8; 40]) -> bool {
    let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let differ = a.iter().zip(b).map(|(a, b)| u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b));
    differ.fold(0, |all, one| all | one) == 0
}

/// Hashes digests in hexadecimal for a table: a part of one is as good as a hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct DigestHash;

impl std::hash::BuildHasher for DigestHash {
    type Hasher = DigestHasher;

    fn build_hasher(&self) -> DigestHasher {
        DigestHasher(0)
    }
}

/// See [`DigestHash`].
#[derive(Clone, Copy, Debug)]
pub struct DigestHasher(u64);

impl std::hash::Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Sixteen digits of 4 bits each, spread over the word; the length prefix of arrays is shorter.
        for digits in bytes.chunks_exact(8).take(2) {
            let word = u64::from_le_bytes(digits.try_into().expect("chunks are of 8"));
            self.0 = (self.0.rotate_left(32) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_differ_in_any_digit() {
        let digest = sha1_hex(b"");
        assert!(is_same(&digest, &sha1_hex(b"")));
        for at in 0..digest.len() {
            let mut other = digest;
            other[at] ^= 1;
            assert!(!is_same(&digest, &other));
        }
    }

    #[test]
    fn known_digests() {
        assert_eq!(&sha1_hex(b""), b"da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(&sha1_hex(b"return 1"), b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
