//! Bitmaps: strings seen as rows of bits, the highest bit of a byte first; a file per kind of work.
//!
//! What they share stands here: how a bit is named, and how a string is read as bytes.

use std::sync::atomic::Ordering;

use crate::base::number::{self, IntBuf};
use crate::engine::ctx::Env;
use crate::engine::error::CommandError;
use crate::keyspace::value::StrRef;

pub mod bit;

pub mod count;

pub mod op;

pub mod field;

const BAD_OFFSET: CommandError =
    CommandError::text("ERR bit offset is not an integer or out of range");

/// The position of a bit. Strings are no longer than `proto-max-bulk-len`.
fn parse_offset(arg: &[u8], env: Env<'_>) -> Result<usize, CommandError> {
    let bytes_max = env.shared.limits.bulk_bytes.load(Ordering::Relaxed);
    offset_of(arg, 1, bytes_max).ok_or(BAD_OFFSET)
}

/// A position in units of `unit` bits, as one in bits.
fn offset_of(arg: &[u8], unit: i64, bytes_max: i64) -> Option<usize> {
    let offset = number::parse_i64(arg)?.checked_mul(unit)?;
    if offset < 0 || offset >> 3 >= bytes_max {
        return None;
    }
    usize::try_from(offset).ok()
}

/// The bytes of a string, of which there are none if there is no string.
fn bytes_of<'a>(value: Option<StrRef<'a>>, digits: &'a mut IntBuf) -> &'a [u8] {
    match value {
        None => &[],
        Some(StrRef::Bytes(bytes)) => bytes,
        Some(StrRef::Int(value)) => digits.i64(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_lie_in_the_longest_string() {
        assert_eq!(offset_of(b"0", 1, 4), Some(0));
        assert_eq!(offset_of(b"31", 1, 4), Some(31));
        assert_eq!(offset_of(b"3", 8, 4), Some(24));
        for bad in ["32", "-1", "x", "9223372036854775807"] {
            assert_eq!(offset_of(bad.as_bytes(), 1, 4), None, "{bad}");
        }
        for bad in ["4", "-1", "9223372036854775807"] {
            assert_eq!(offset_of(bad.as_bytes(), 8, 4), None, "{bad}");
        }
    }
}
