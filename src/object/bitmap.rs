//! What do the bits of a string say? Counting them, finding one, fields of 1 to 64 bits among them, and
//! the logical operations on whole strings.
//!
//! Bit 0 is the highest bit of the first byte, and a field has its highest bit first, so whole bytes at
//! whole offsets read as big-endian numbers. Positions are counted in bits from the front and are within
//! the string unless a function says otherwise. Loops run over words or over plain byte slices that the
//! compiler makes vectors of.

/// Number of set bits.
pub fn count(bytes: &[u8]) -> u64 {
    /// A byte of a sum has room for this many bytes of eight bits each.
    const GROUPS_MAX: usize = 31;
    let (groups, rest) = bytes.as_chunks::<32>();
    let mut total = 0;
    for run in groups.chunks(GROUPS_MAX) {
        // Four words side by side, each with a count per byte.
        let mut sums = [0u64; 4];
        for group in run {
            let (words, _) = group.as_chunks::<8>();
            for (sum, word) in sums.iter_mut().zip(words) {
                *sum += ones_per_byte(u64::from_ne_bytes(*word));
            }
        }
        total += sums.into_iter().map(sum_of_bytes).sum::<u64>();
    }
    total + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// The set bits of each byte, in that byte: pairs, then groups of four, then of eight.
#[inline]
fn ones_per_byte(word: u64) -> u64 {
    let pairs = word - ((word >> 1) & 0x5555_5555_5555_5555);
    let fours = (pairs & 0x3333_3333_3333_3333) + ((pairs >> 2) & 0x3333_3333_3333_3333);
    (fours + (fours >> 4)) & 0x0f0f_0f0f_0f0f_0f0f
}

#[inline]
fn sum_of_bytes(word: u64) -> u64 {
    let halves = (word & 0x00ff_00ff_00ff_00ff) + ((word >> 8) & 0x00ff_00ff_00ff_00ff);
    halves.wrapping_mul(0x0001_0001_0001_0001) >> 48
}

/// Number of set bits from `first` to `last`, both included.
pub fn count_bits(bytes: &[u8], first: usize, last: usize) -> u64 {
    let (from, to) = (first / 8, last / 8);
    let before = bytes[from] & !from_bit(first);
    let behind = bytes[to] & !upto_bit(last);
    count(&bytes[from..=to]) - u64::from(before.count_ones() + behind.count_ones())
}

/// The bits of a byte from this bit on.
fn from_bit(position: usize) -> u8 {
    0xff >> (position % 8)
}

/// The bits of a byte up to and with this bit.
fn upto_bit(position: usize) -> u8 {
    0xff << (7 - position % 8)
}

/// Position of the first bit with this value from `first` to `last`, both included.
pub fn find_bit(bytes: &[u8], bit: bool, first: usize, last: usize) -> Option<usize> {
    let (from, to) = (first / 8, last / 8);
    let flip = if bit { 0 } else { 0xff };
    let in_byte = |at: usize, mask: u8| {
        let wanted = (bytes[at] ^ flip) & mask;
        (wanted != 0).then(|| at * 8 + wanted.leading_zeros() as usize)
    };
    if from == to {
        return in_byte(from, from_bit(first) & upto_bit(last));
    }
    in_byte(from, from_bit(first))
        .or_else(|| find(&bytes[from + 1..to], bit).map(|found| (from + 1) * 8 + found))
        .or_else(|| in_byte(to, upto_bit(last)))
}

/// Position of the first bit with this value.
fn find(bytes: &[u8], bit: bool) -> Option<usize> {
    let flip = if bit { 0 } else { u64::MAX };
    let (words, rest) = bytes.as_chunks::<8>();
    let at = words.iter().position(|word| u64::from_ne_bytes(*word) != flip);
    if let Some(at) = at {
        let word = u64::from_be_bytes(words[at]) ^ flip;
        return Some(at * 64 + word.leading_zeros() as usize);
    }
    let at = rest.iter().position(|byte| u64::from(*byte) != flip & 0xff)?;
    let byte = rest[at] ^ flip as u8;
    Some(words.len() * 64 + at * 8 + byte.leading_zeros() as usize)
}

/// The logical operations on several strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOp {
    /// Bits set in all.
    And,
    /// Bits set in any.
    Or,
    /// Bits set in an odd number of them.
    Xor,
}

/// Bytes that all sources pass over before the next ones, so that they stay in the cache.
const BLOCK_BYTES: usize = 16 << 10;

/// The strings combined, as long as the longest; what the shorter ones lack counts as zero bits.
pub fn combine(op: BitOp, sources: &[&[u8]]) -> Vec<u8> {
    let Some((first, others)) = sources.split_first() else { return Vec::new() };
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(first);
    out.resize(len, 0);
    for (number, block) in out.chunks_mut(BLOCK_BYTES).enumerate() {
        for source in others {
            let part = source.get(number * BLOCK_BYTES..).unwrap_or_default();
            let part = &part[..part.len().min(block.len())];
            let (head, tail) = block.split_at_mut(part.len());
            let pairs = head.iter_mut().zip(part);
            match op {
                BitOp::And => {
                    pairs.for_each(|(byte, other)| *byte &= other);
                    tail.fill(0);
                }
                BitOp::Or => pairs.for_each(|(byte, other)| *byte |= other),
                BitOp::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
            }
        }
    }
    out
}

/// The string with every bit inverted.
pub fn invert(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// The type of a field: an integer of some bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    signed: bool,
    bits: u32,
}

/// What becomes of a value that its field cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Its lowest bits are kept.
    #[default]
    Wrap,
    /// The nearest value that fits is taken.
    Saturate,
    /// Nothing is done.
    Fail,
}

impl FieldType {
    /// A type, if it is one: 1 to 64 bits with a sign, 1 to 63 without, because replies are signed
    /// numbers of 64 bits.
    pub fn new(signed: bool, bits: i64) -> Option<Self> {
        let bits_max = if signed { 64 } else { 63 };
        let bits = u32::try_from(bits).ok().filter(|bits| (1..=bits_max).contains(bits))?;
        Some(Self { signed, bits })
    }

    /// How many bits.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// A number that somebody gives for a field, as the field can hold it. For a field without a sign a
    /// negative one is, as in C, as large as a number of 64 bits can be. And Redis takes the distance from
    /// the largest value of the field in 64 bits, where it wraps around for the smallest numbers of all:
    /// those saturate at the wrong end, here as well.
    pub fn fit_given(self, value: i64, overflow: Overflow) -> Option<i64> {
        if !self.signed {
            return self.fit(i128::from(value as u64), overflow);
        }
        let max = i64::MAX >> (64 - self.bits);
        if overflow == Overflow::Saturate && max.checked_sub(value).is_none() && self.bits < 64 {
            return Some(max);
        }
        self.fit(i128::from(value), overflow)
    }

    /// The value as the field can hold it; none if it cannot and must not be changed.
    pub fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        let unused = 128 - self.bits;
        let (min, max) = match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1i128 << self.bits) - 1),
        };
        let fitting = match overflow {
            _ if (min..=max).contains(&value) => value,
            Overflow::Wrap if self.signed => (value << unused) >> unused,
            Overflow::Wrap => value & max,
            Overflow::Saturate => value.clamp(min, max),
            Overflow::Fail => return None,
        };
        Some(fitting as i64)
    }
}

/// A field of 64 bits may begin with the last bit of a byte, and so lie in nine.
const WINDOW_BYTES: usize = 9;

/// The bytes where a field lies, as the top of a number; zeros behind the end of the string.
fn window(bytes: &[u8], at: usize) -> u128 {
    let mut window = [0; 16];
    let there = bytes.get(at..).unwrap_or_default();
    let there = &there[..there.len().min(WINDOW_BYTES)];
    window[..there.len()].copy_from_slice(there);
    u128::from_be_bytes(window)
}

/// The value of the field at a bit position, which may lie behind the end of the string: there are zeros.
pub fn field(bytes: &[u8], position: usize, kind: FieldType) -> i64 {
    let aligned = window(bytes, position / 8) << (position % 8);
    let unused = 128 - kind.bits;
    if kind.signed { (aligned as i128 >> unused) as i64 } else { (aligned >> unused) as i64 }
}

/// Writes a field, all of which lies in the string. Of the value its lowest bits are taken.
pub fn set_field(bytes: &mut [u8], position: usize, kind: FieldType, value: i64) {
    let at = position / 8;
    let behind = 128 - (position % 8) as u32 - kind.bits;
    let mask = (u128::MAX >> (128 - kind.bits)) << behind;
    let changed = (window(bytes, at) & !mask) | (((value as u128) << behind) & mask);
    for (byte, new) in bytes[at..].iter_mut().zip(changed.to_be_bytes()).take(WINDOW_BYTES) {
        *byte = new;
    }
}

#[cfg(test)]
#[path = "bitmap/bitmap_tests.rs"]
mod tests;
