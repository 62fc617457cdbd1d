//! What was a zipmap? The compact form of small hashes before Redis 2.6.
//!
//! ```text
//! | pairs: u8, 254 and more = unknown | length | field | length | free: u8 | value | free bytes | ... | 0xff |
//! length: u8, or 254 and u32 LE
//! ```

const END: u8 = 0xff;
/// A length of four more bytes follows; as a number of pairs, it is unknown.
const BIG: u8 = 254;

/// A field and its value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// The pairs, in order; None if the bytes are no zipmap, or one without pairs.
pub fn pairs(bytes: &[u8]) -> Option<Vec<Pair<'_>>> {
    let [count, .., END] = bytes else { return None };
    let mut rest = &bytes[1..];
    let mut found = Vec::new();
    while *rest.first()? != END {
        let (len, after) = length(rest)?;
        let (field, after) = after.split_at_checked(len)?;
        let (len, after) = length(after)?;
        let (&free, after) = after.split_first()?;
        let (value, after) = after.split_at_checked(len)?;
        let (_, after) = after.split_at_checked(usize::from(free))?;
        found.push((field, value));
        rest = after;
    }
    let count_is_right = *count >= BIG || usize::from(*count) == found.len();
    (rest.len() == 1 && !found.is_empty() && count_is_right).then_some(found)
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [BIG..=u8::MAX, a, b, c, d, rest @ ..] => {
            Some((u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest))
        }
        [BIG..=u8::MAX, ..] | [] => None,
        [short, rest @ ..] => Some((usize::from(*short), rest)),
    }
}
