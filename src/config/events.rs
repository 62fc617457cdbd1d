//! Which classes of keyspace events are published, as `notify-keyspace-events` spells them?
//!
//! The bits are those of the module API, where modules use the same numbers.

/// `K`: published on the channel of the key.
pub const KEYSPACE: u32 = 1;
/// `E`: published on the channel of the event.
pub const KEYEVENT: u32 = 1 << 1;
/// `g`: commands that belong to no type.
pub const GENERIC: u32 = 1 << 2;
/// `$`
pub const STRING: u32 = 1 << 3;
/// `l`
pub const LIST: u32 = 1 << 4;
/// `s`
pub const SET: u32 = 1 << 5;
/// `h`
pub const HASH: u32 = 1 << 6;
/// `z`
pub const ZSET: u32 = 1 << 7;
/// `x`
pub const EXPIRED: u32 = 1 << 8;
/// `e`
pub const EVICTED: u32 = 1 << 9;
/// `t`
pub const STREAM: u32 = 1 << 10;
/// `m`: reads of keys that are not there. Not part of `A`.
pub const KEY_MISS: u32 = 1 << 11;
/// Keys that were loaded; only modules see it.
pub const LOADED: u32 = 1 << 12;
/// `d`: module types.
pub const MODULE: u32 = 1 << 13;
/// `n`: new keys. Not part of `A`.
pub const NEW: u32 = 1 << 14;
/// `A`
pub const ALL: u32 =
    GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE;

/// Letters in the order in which they are shown; those of [`ALL`] come first.
const LETTERS: [(u8, u32); 14] = [
    (b'g', GENERIC),
    (b'$', STRING),
    (b'l', LIST),
    (b's', SET),
    (b'h', HASH),
    (b'z', ZSET),
    (b'x', EXPIRED),
    (b'e', EVICTED),
    (b't', STREAM),
    (b'd', MODULE),
    (b'n', NEW),
    (b'K', KEYSPACE),
    (b'E', KEYEVENT),
    (b'm', KEY_MISS),
];

/// Reads classes; `None` if a letter is none.
pub fn parse(text: &[u8]) -> Option<u32> {
    let mut flags = 0;
    for &letter in text {
        flags |= match letter {
            b'A' => ALL,
            _ => LETTERS.iter().find(|(l, _)| *l == letter)?.1,
        };
    }
    Some(flags)
}

/// Writes classes. (Redis forgets `n` beside `A`; we do not, so that a rewritten file keeps it.)
pub fn format(flags: u32) -> String {
    let mut text = String::new();
    let whole = flags & ALL == ALL;
    if whole {
        text.push('A');
    }
    for (letter, flag) in LETTERS {
        if flags & flag != 0 && !(whole && ALL & flag != 0) {
            text.push(char::from(letter));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_read_back() {
        for (text, shown) in
            [("", ""), ("KEA", "AKE"), ("g$lshzxetd", "A"), ("Elg", "glE"), ("AnKm", "AnKm")]
        {
            assert_eq!(format(parse(text.as_bytes()).unwrap()), shown);
        }
        assert_eq!(parse(b"Q"), None);
    }
}
