//! Which checksums do RDB files, DUMP payloads and cluster slots use?
//!
//! CRC-64 with the Jones polynomial (reflected, starting at zero, no final inversion) closes RDB
//! files and DUMP payloads; CRC-16/XMODEM maps a key to its slot. Both are catalogued algorithms.

use crc::{CRC_16_XMODEM, CRC_64_REDIS, Crc, Table};

/// Slots of a cluster; a power of two, so the slot is the low bits of the checksum.
pub const SLOTS: u16 = 16_384;

// Sixteen bytes per step: an RDB file is checksummed whole, at the speed of the disk.
static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);
static CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// Continues `state` (0 at the start) over `bytes`; the result is at once the checksum so far.
pub fn crc64(state: u64, bytes: &[u8]) -> u64 {
    // `digest_with_initial` wants the register before reflection, which is what a caller holds
    // after it.
    let mut digest = CRC64.digest_with_initial(state.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// CRC-16/XMODEM of `bytes`.
pub fn crc16(bytes: &[u8]) -> u16 {
    CRC16.checksum(bytes)
}

/// The cluster slot of `key`: of the text between the first `{` and the next `}` when that is not
/// empty (a hash tag), of the whole key otherwise.
pub fn key_slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) & (SLOTS - 1)
}

/// The part of `key` that decides its slot.
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&b| b == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&b| b == b'}') {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_catalogue() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn crc64_can_be_continued() {
        let text = b"a longer text, so that the wide steps of the table are taken at least twice";
        for cut in 0..text.len() {
            assert_eq!(crc64(crc64(0, &text[..cut]), &text[cut..]), crc64(0, text));
        }
    }

    #[test]
    fn tags_decide_the_slot() {
        assert_eq!(key_slot(b"{user1000}.following"), key_slot(b"user1000"));
        assert_eq!(hash_tag(b"foo{}{bar}"), b"foo{}{bar}");
        assert_eq!(hash_tag(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(hash_tag(b"foo{bar}{zap}"), b"bar");
        assert_eq!(hash_tag(b"foo{bar"), b"foo{bar");
        assert_eq!(key_slot(b"foo"), 12182);
    }
}
