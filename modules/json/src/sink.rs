//! Where does JSON text go, byte by byte?
//!
//! A [`Sink`] is a vector all of whose bytes exist already, and a place in it: what is written next overwrites, so short
//! pieces are copied by whole registers, and the place moves on by what of them counts. That takes a few instructions
//! where appending to a vector calls `memcpy`; most pieces of a document are names and numbers of a few bytes.
//!
//! Invariants: everything in front of the place has been written; what is behind it is some initialised byte or other.

/// Most that is written at once without a look at the room that there is.
const WIDE: usize = 32;
/// A new sink has so much room: most replies are single values.
const FIRST_BYTES: usize = 64;

/// A piece of text in one place, so that it can be copied without a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    bytes: [u8; WIDE],
    len: u8,
}

impl Piece {
    /// The text as a piece, if it is not too long for one.
    pub(crate) fn new(text: &[u8]) -> Option<Piece> {
        let mut bytes = [0; WIDE];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Piece { bytes, len: text.len() as u8 })
    }
}

/// Text under construction.
#[derive(Debug)]
pub(crate) struct Sink {
    bytes: Vec<u8>,
    at: usize,
}

impl Sink {
    /// An empty sink with some room.
    pub(crate) fn new() -> Sink {
        Sink::reusing(vec![0; FIRST_BYTES])
    }

    /// An empty sink that has the vector's bytes for room, whatever they are.
    pub(crate) fn reusing(bytes: Vec<u8>) -> Sink {
        Sink { bytes, at: 0 }
    }

    /// How many bytes have been written.
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    /// What has been written.
    pub(crate) fn written(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    /// The vector with what has been written and nothing else.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.at);
        self.bytes
    }

    /// The vector, for [`Sink::reusing`].
    pub(crate) fn into_room(self) -> Vec<u8> {
        self.bytes
    }

    /// Makes room for `len` bytes more, and for a piece behind them.
    #[inline]
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.bytes.len() - self.at < len + WIDE {
            self.grow(len + WIDE);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, len: usize) {
        let room = (self.at + len).max(2 * self.bytes.len()).next_multiple_of(64);
        if self.at == 0 {
            // Nothing to move.
            self.bytes = vec![0; room];
        } else {
            self.bytes.resize(room, 0);
        }
    }

    /// Makes another byte of one that has been written.
    #[inline]
    pub(crate) fn patch(&mut self, at: usize, byte: u8) {
        self.bytes[at] = byte;
    }

    /// One byte.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.reserve(1);
        self.bytes[self.at] = byte;
        self.at += 1;
    }

    /// A short text.
    #[inline]
    pub(crate) fn piece(&mut self, piece: &Piece) {
        self.reserve(WIDE);
        self.bytes[self.at..self.at + WIDE].copy_from_slice(&piece.bytes);
        self.at += usize::from(piece.len);
    }

    /// The first `len` of eight bytes.
    #[inline]
    fn some(&mut self, bytes: [u8; 8], len: usize) {
        self.bytes[self.at..self.at + 8].copy_from_slice(&bytes);
        self.at += len;
    }

    /// Any bytes.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// `null`.
    #[inline]
    pub(crate) fn null(&mut self) {
        self.reserve(8);
        self.some(*b"null\0\0\0\0", 4);
    }

    /// `true` or `false`.
    #[inline]
    pub(crate) fn bool(&mut self, value: bool) {
        self.reserve(8);
        match value {
            true => self.some(*b"true\0\0\0\0", 4),
            false => self.some(*b"false\0\0\0", 5),
        }
    }

    /// An integer.
    #[inline]
    pub(crate) fn int(&mut self, value: i64) {
        self.reserve(24);
        if value < 0 {
            self.bytes[self.at] = b'-';
            self.at += 1;
        }
        self.digits(value.unsigned_abs());
    }

    /// An integer that is not negative.
    pub(crate) fn unsigned(&mut self, value: u64) {
        self.reserve(24);
        self.digits(value);
    }

    /// There is room for the longest.
    #[inline]
    fn digits(&mut self, value: u64) {
        match u32::try_from(value) {
            Ok(value @ ..EIGHT_DIGITS) => {
                let (digits, len) = few_digits(value);
                self.some(digits, len);
            }
            _ => self.put(itoa::Buffer::new().format(value).as_bytes()),
        }
    }

    /// A float: the fewest digits that read back as the same double, always with a fraction or an exponent.
    pub(crate) fn float(&mut self, value: f64) {
        self.put(ryu::Buffer::new().format_finite(value).as_bytes());
    }

    /// A float that is an integer over a power of ten, of at most seven places and no fewer than it needs.
    ///
    /// The digits of the integer are no more than 10. No other decimal of up to 15 digits reads back as the same double,
    /// so these are the ones to write.
    pub(crate) fn decimal(&mut self, places: u8, integer: i32) {
        let places = usize::from(places);
        let magnitude = integer.unsigned_abs();
        // Below a thousandth the shortest form may have an exponent, and 0 may have a sign.
        let has_exponent = places > 3 && magnitude < POWERS[places - 3];
        if has_exponent || magnitude >= EIGHT_DIGITS {
            return self.float(f64::from(integer) / f64::from(POWERS[places]));
        }
        self.reserve(24);
        if integer < 0 {
            self.bytes[self.at] = b'-';
            self.at += 1;
        }
        let (digits, len) = few_digits(magnitude);
        let Some(whole) = len.checked_sub(places).filter(|whole| *whole > 0) else {
            self.some(*b"0.000000", 2 + places - len);
            self.some(digits, len);
            return;
        };
        self.some(digits, whole);
        match places {
            0 => self.some(*b".0\0\0\0\0\0\0", 2),
            _ => {
                let fraction = u64::from_le_bytes(digits) >> (8 * whole);
                self.some((b'.' as u64 | fraction << 8).to_le_bytes(), 1 + places);
            }
        }
    }

    /// A string with its quotes: the first `len` bytes of `tail`. What stands behind them is not written, but makes it
    /// possible to read whole registers.
    #[inline]
    pub(crate) fn text(&mut self, tail: &[u8], len: usize) {
        self.reserve(len + 2);
        self.bytes[self.at] = b'"';
        self.at += 1;
        match tail.first_chunk::<STRIDE>() {
            Some(chunk) if len <= STRIDE => {
                let counting = u128::MAX.checked_shr(8 * (STRIDE - len) as u32).unwrap_or(0);
                if escaped(chunk) & counting == 0 {
                    self.bytes[self.at..self.at + STRIDE].copy_from_slice(chunk);
                    self.at += len;
                } else {
                    self.escaping(&tail[..len]);
                }
            }
            _ => self.long_text(&tail[..len]),
        }
        self.push(b'"');
    }

    /// There is room for the text without escapes, and for a stride behind it.
    fn long_text(&mut self, text: &[u8]) {
        let (chunks, rest) = text.as_chunks::<STRIDE>();
        for (i, chunk) in chunks.iter().enumerate() {
            if escaped(chunk) != 0 {
                return self.escaping(&text[STRIDE * i..]);
            }
            self.bytes[self.at..self.at + STRIDE].copy_from_slice(chunk);
            self.at += STRIDE;
        }
        if rest.is_empty() {
            return;
        }
        let Some(last) = text.last_chunk::<STRIDE>() else { return self.short_text(text) };
        if escaped(last) != 0 {
            return self.escaping(rest);
        }
        // What has been written of it already is the same.
        let end = self.at + rest.len();
        self.bytes[end - STRIDE..end].copy_from_slice(last);
        self.at = end;
    }

    /// The same for a text shorter than a stride.
    fn short_text(&mut self, text: &[u8]) {
        let mut chunk = [b' '; STRIDE];
        chunk[..text.len()].copy_from_slice(text);
        if escaped(&chunk) != 0 {
            return self.escaping(text);
        }
        self.bytes[self.at..self.at + STRIDE].copy_from_slice(&chunk);
        self.at += text.len();
    }

    /// Text with what must be escaped in it, perhaps.
    #[inline(never)]
    fn escaping(&mut self, mut rest: &[u8]) {
        while let Some(at) = escaped_at(rest) {
            self.put(&rest[..at]);
            self.escape(rest[at]);
            rest = &rest[at + 1..];
        }
        self.put(rest);
    }

    fn escape(&mut self, byte: u8) {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            0x0C => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                self.put(b"\\u00");
                self.put(&digits);
                return;
            }
        };
        self.put(&[b'\\', short]);
    }
}

/// How much text is looked at at once.
const STRIDE: usize = 16;

/// Bits in the places of those bytes that must be escaped. The loop becomes three comparisons of a register.
#[inline]
fn escaped(chunk: &[u8; STRIDE]) -> u128 {
    u128::from_le_bytes(chunk.map(|byte| if is_escaped(byte) { 0xFF } else { 0 }))
}

/// Where the first byte stands that must be escaped.
fn escaped_at(text: &[u8]) -> Option<usize> {
    let (chunks, tail) = text.as_chunks::<STRIDE>();
    for (i, chunk) in chunks.iter().enumerate() {
        let found = escaped(chunk);
        if found != 0 {
            return Some(STRIDE * i + found.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|&byte| is_escaped(byte))?;
    Some(STRIDE * chunks.len() + at)
}

#[inline]
fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// The least integer of nine digits.
const EIGHT_DIGITS: u32 = 100_000_000;

const POWERS: [u32; 8] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

/// The digits of an integer of at most eight, and how many they are.
#[inline]
fn few_digits(value: u32) -> ([u8; 8], usize) {
    if value < 10 {
        return ([b'0' + value as u8, 0, 0, 0, 0, 0, 0, 0], 1);
    }
    let four = |value: u32| {
        let [a, b] = PAIRS[(value / 100) as usize % 100];
        let [c, d] = PAIRS[(value % 100) as usize];
        u32::from_le_bytes([a, b, c, d])
    };
    if value < 10_000 {
        let len = 2 + usize::from(value >= 100) + usize::from(value >= 1000);
        return (u64::from(four(value) >> (8 * (4 - len))).to_le_bytes(), len);
    }
    let len = 5
        + usize::from(value >= POWERS[5])
        + usize::from(value >= POWERS[6])
        + usize::from(value >= POWERS[7]);
    let eight = u64::from(four(value / 10_000)) | u64::from(four(value % 10_000)) << 32;
    ((eight >> (8 * (8 - len))).to_le_bytes(), len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Sink)) -> String {
        let mut sink = Sink::reusing(vec![b'!'; 3]);
        write(&mut sink);
        String::from_utf8(sink.finish()).unwrap()
    }

    #[test]
    fn integers_have_their_digits() {
        let powers = (0..19).map(|i| 10i64.pow(i));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, power * 7 / 3]);
        for value in near.chain(0..20_000).chain([i64::MAX, i64::MIN, i64::MIN + 1]) {
            assert_eq!(text(|sink| sink.int(value)), value.to_string());
            let negative = value.wrapping_neg();
            assert_eq!(text(|sink| sink.int(negative)), negative.to_string());
        }
        assert_eq!(text(|sink| sink.unsigned(u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn every_byte_is_judged_alike_wherever_it_stands() {
        for byte in 0..=255u8 {
            for place in 0..40 {
                let mut bytes = [b'x'; 40];
                bytes[place] = byte;
                let found = escaped_at(&bytes);
                assert_eq!(found, is_escaped(byte).then_some(place), "{byte:#x} at {place}");
                bytes[place..].fill(byte);
                assert_eq!(escaped_at(&bytes), found);
            }
        }
    }

    #[test]
    fn texts_of_any_length_are_what_serde_json_makes_of_them() {
        for len in 0..70 {
            for room_behind in [0, 1, 15, 16, 40] {
                for place in (0..len).chain([usize::MAX]) {
                    let mut bytes = vec![b'x'; len];
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte = [b'"', b'\\', b'\n', 0x01, 0x1F, 0x7F][(len + place) % 6];
                    }
                    let expected = serde_json::to_string(std::str::from_utf8(&bytes).unwrap());
                    // What stands behind must neither be written nor judged.
                    bytes.resize(len + room_behind, b'"');
                    assert_eq!(text(|sink| sink.text(&bytes, len)), expected.unwrap());
                }
            }
        }
    }

    #[test]
    fn pieces_are_short() {
        assert!(Piece::new(&[b'x'; WIDE + 1]).is_none());
        let piece = Piece::new(b"\"name\":").unwrap();
        assert_eq!(text(|sink| (0..9).for_each(|_| sink.piece(&piece))), "\"name\":".repeat(9));
    }
}
