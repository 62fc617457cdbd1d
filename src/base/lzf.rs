//! How are strings compressed in RDB files? In the format of Marc Lehmann's LibLZF.
//!
//! ```text
//! 000lllll           | l + 1 literal bytes
//! LLLooooo oooooooo  copy L + 2 bytes from o + 1 bytes back, L below 7
//! 111ooooo LLLLLLLL oooooooo  the same with L + 7
//! ```
//!
//! Invariants: [`expand`] never writes more than it was told, and never makes room for more than the packed
//! bytes can stand for; what [`Packer::pack`] returns is shorter than its input and expands to it.

/// The most bytes that one packed byte can stand for, rounded up: three make 264.
const EXPANSION_MAX: usize = 300;

/// Copies reach this far back.
const DISTANCE_MAX: usize = 1 << 13;
/// The longest copy.
const COPY_MAX: usize = 264;
/// The longest run of literal bytes.
const LITERALS_MAX: usize = 32;

const TABLE_BITS: u32 = 13;

/// Strings beyond this are not compressed: their positions would not fit the table.
const INPUT_MAX: usize = 1 << 30;

/// Undoes the compression. None unless the bytes are well formed and exactly `len` come out.
pub fn expand(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    if len / EXPANSION_MAX > packed.len() {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = packed;
    while let Some(control) = next(&mut rest) {
        if control < 32 {
            let (literal, after) = rest.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(literal);
            rest = after;
        } else {
            let mut count = usize::from(control >> 5) + 2;
            if count == 9 {
                count += usize::from(next(&mut rest)?);
            }
            let back = (usize::from(control & 31) << 8 | usize::from(next(&mut rest)?)) + 1;
            let from = out.len().checked_sub(back)?;
            if back >= count {
                out.extend_from_within(from..from + count);
            } else {
                // Byte by byte, because the source overlaps what is being written.
                for at in from..from + count {
                    out.push(out[at]);
                }
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

fn next(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

/// Compresses strings, one after another.
///
/// Its table holds where three bytes were seen last. It is not cleared between strings: positions count on,
/// so that those of earlier strings lie below the current one's and are recognized by that.
#[derive(Debug, Default)]
pub struct Packer {
    table: Vec<u32>,
    base: usize,
}

impl Packer {
    /// The compressed form of `input`, if it is at least four bytes shorter.
    pub fn pack(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        let room = input.len().checked_sub(4).filter(|room| *room > 0)?;
        if input.len() > INPUT_MAX {
            return None;
        }
        self.prepare(input.len());
        let mut out = Vec::with_capacity(room);
        let (mut at, mut literals) = (0, 0);
        while at + 3 <= input.len() {
            let found = self.look_up(input, at);
            let Some(back) = found else {
                at += 1;
                continue;
            };
            let longest = (input.len() - at).min(COPY_MAX);
            let count = same(&input[at..at + longest], &input[at - back..]);
            write_literals(&input[literals..at], &mut out);
            write_copy(back, count, &mut out);
            if out.len() > room {
                return None;
            }
            // The last places of the copy are remembered, so that a run goes on.
            let end = at + count;
            for inside in (end.saturating_sub(2).max(at + 1)..end).filter(|i| i + 3 <= input.len())
            {
                self.note(input, inside);
            }
            at = end;
            literals = end;
        }
        write_literals(&input[literals..], &mut out);
        (out.len() <= room).then_some(out)
    }

    /// Makes positions of the coming string distinct from all before.
    fn prepare(&mut self, len: usize) {
        if self.table.is_empty() || self.base + len >= u32::MAX as usize {
            self.table.clear();
            self.table.resize(1 << TABLE_BITS, 0);
            self.base = 1;
        }
        self.base += len;
    }

    fn slot(input: &[u8], at: usize) -> usize {
        let word = u32::from_le_bytes([input[at], input[at + 1], input[at + 2], 0]);
        (word.wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS)) as usize
    }

    /// Where `at` is, counted over all strings. `base` has been moved past the current one.
    fn position(&self, input: &[u8], at: usize) -> u32 {
        (self.base - input.len() + at) as u32
    }

    fn note(&mut self, input: &[u8], at: usize) -> u32 {
        let position = self.position(input, at);
        std::mem::replace(&mut self.table[Self::slot(input, at)], position)
    }

    /// Remembers `at`, and says how far back the same three bytes are, if they are near.
    fn look_up(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let seen = self.note(input, at) as usize;
        let back = (self.base - input.len() + at).checked_sub(seen)?;
        let near = back > 0 && back <= at && back <= DISTANCE_MAX;
        (near && input[at - back..at - back + 3] == input[at..at + 3]).then_some(back)
    }
}

/// How many bytes two texts have in common at their start.
fn same(first: &[u8], second: &[u8]) -> usize {
    first.iter().zip(second).take_while(|(a, b)| a == b).count()
}

fn write_literals(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn write_copy(back: usize, count: usize, out: &mut Vec<u8>) {
    let (offset, length) = (back - 1, count - 2);
    let high = (offset >> 8) as u8;
    if length < 7 {
        out.push((length as u8) << 5 | high);
    } else {
        out.extend_from_slice(&[7 << 5 | high, (length - 7) as u8]);
    }
    out.push(offset as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn literals_and_overlapping_copies_are_read() {
        // One literal, then a copy of nine bytes from one byte back.
        assert_eq!(expand(&[0, b'a', 0xe0, 0, 0], 10).as_deref(), Some(&b"aaaaaaaaaa"[..]));
        assert_eq!(expand(&[0, b'a', 0xe0, 0, 0], 9), None);
        assert_eq!(expand(&[0xe0, 0, 0], 9), None);
        assert_eq!(expand(&[5, b'a'], 6), None);
        assert_eq!(expand(&[], usize::MAX), None);
    }

    #[test]
    fn runs_and_repeats_shrink() {
        let mut packer = Packer::default();
        let run = vec![b'x'; 100_000];
        let packed = packer.pack(&run).unwrap();
        assert!(packed.len() < 1200, "{}", packed.len());
        assert_eq!(expand(&packed, run.len()), Some(run));
        let text = b"the same words, the same words, the same words again".repeat(20);
        let packed = packer.pack(&text).unwrap();
        assert!(packed.len() < 120, "{}", packed.len());
        assert_eq!(expand(&packed, text.len()), Some(text));
        assert_eq!(packer.pack(b"short"), None);
        assert_eq!(packer.pack(b"no three letters twice"), None);
    }

    proptest! {
        #[test]
        fn what_is_packed_expands_to_itself(
            texts in prop::collection::vec(prop::collection::vec(0..4u8, 0..3000), 1..8),
            noise in prop::collection::vec(any::<u8>(), 0..20_000),
        ) {
            let mut packer = Packer::default();
            let far = [&noise[..], &noise[..]].concat();
            for text in texts.iter().chain([&noise, &far]) {
                if let Some(packed) = packer.pack(text) {
                    prop_assert!(packed.len() + 4 <= text.len());
                    prop_assert_eq!(&expand(&packed, text.len()).unwrap(), text);
                }
            }
        }

        #[test]
        fn foreign_bytes_are_expanded_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            len in 0..100_000usize,
        ) {
            if let Some(text) = expand(&bytes, len) {
                prop_assert_eq!(text.len(), len);
            }
        }
    }
}
