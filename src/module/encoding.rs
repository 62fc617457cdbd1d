//! How do values of module types look in RDB files and DUMP payloads? A sequence of items, each led by
//! an opcode that says its type, closed by an end mark.
//!
//! Invariants: the reader never reads past its bytes and never trusts a length that they do not back;
//! after an error it stays where it is, so that the caller can say how far it came. Numbers and lengths
//! have the length encoding of RDB (docs/formats/rdb.md): two bits of kind, then 6 or 14 bits, or 32 or
//! 64 bits in network order.

/// What an item is.
mod opcode {
    pub const END: u64 = 0;
    pub const SIGNED: u64 = 1;
    pub const UNSIGNED: u64 = 2;
    pub const FLOAT: u64 = 3;
    pub const DOUBLE: u64 = 4;
    pub const STRING: u64 = 5;
}

/// The longest string that an item may hold, as for strings of clients.
const STRING_BYTES_MAX: usize = 512 << 20;

/// The most bytes that one compressed byte can stand for, rounded up.
const EXPANSION_MAX: usize = 300;

/// Writes items.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Writes a signed number.
    pub fn signed(&mut self, value: i64) {
        self.length(opcode::SIGNED);
        self.length(value.cast_unsigned());
    }

    /// Writes an unsigned number.
    pub fn unsigned(&mut self, value: u64) {
        self.length(opcode::UNSIGNED);
        self.length(value);
    }

    /// Writes a floating point number of 32 bits.
    pub fn float(&mut self, value: f32) {
        self.length(opcode::FLOAT);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes a floating point number of 64 bits.
    pub fn double(&mut self, value: f64) {
        self.length(opcode::DOUBLE);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes a string.
    pub fn string(&mut self, value: &[u8]) {
        self.length(opcode::STRING);
        self.length(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// The items so far, without an end mark.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn length(&mut self, value: u64) {
        match value {
            0..0x40 => self.bytes.push(value as u8),
            0x40..0x4000 => self.bytes.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.bytes.push(0x80);
                self.bytes.extend_from_slice(&(value as u32).to_be_bytes());
            }
            _ => {
                self.bytes.push(0x81);
                self.bytes.extend_from_slice(&value.to_be_bytes());
            }
        }
    }
}

/// A length, or how a string is encoded instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Plain(u64),
    /// An integer of so many bytes, in little-endian order, as decimal text.
    Integer(usize),
    /// Compressed.
    Lzf,
}

/// Reads items back.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first item.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Reads a signed number; None if the next item is none.
    pub fn signed(&mut self) -> Option<i64> {
        self.item(opcode::SIGNED, |reader| reader.number().map(u64::cast_signed))
    }

    /// Reads an unsigned number.
    pub fn unsigned(&mut self) -> Option<u64> {
        self.item(opcode::UNSIGNED, Self::number)
    }

    /// Reads a floating point number of 32 bits.
    pub fn float(&mut self) -> Option<f32> {
        self.item(opcode::FLOAT, |reader| reader.array().map(f32::from_le_bytes))
    }

    /// Reads a floating point number of 64 bits.
    pub fn double(&mut self) -> Option<f64> {
        self.item(opcode::DOUBLE, |reader| reader.array().map(f64::from_le_bytes))
    }

    /// Reads a string.
    pub fn string(&mut self) -> Option<Vec<u8>> {
        self.item(opcode::STRING, Self::text)
    }

    /// Reads the end mark.
    pub fn end(&mut self) -> Option<()> {
        self.item(opcode::END, |_| Some(()))
    }

    /// Passes over all items and the end mark, whatever they are: what a value takes that nobody can
    /// load.
    pub fn skip(&mut self) -> Option<()> {
        loop {
            match self.number()? {
                opcode::END => return Some(()),
                opcode::SIGNED | opcode::UNSIGNED => drop(self.number()?),
                opcode::FLOAT => drop(self.take(4)?),
                opcode::DOUBLE => drop(self.take(8)?),
                opcode::STRING => self.skip_text()?,
                _ => return None,
            }
        }
    }

    /// Reads an item of this type; on failure the reader stays before it.
    fn item<T>(&mut self, kind: u64, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = *self;
        let value = match self.number() {
            Some(found) if found == kind => read(self),
            _ => None,
        };
        if value.is_none() {
            *self = before;
        }
        value
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    fn length(&mut self) -> Option<Length> {
        let [first] = self.array()?;
        let low = u64::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Length::Plain(low),
            1 => {
                let [second] = self.array()?;
                Length::Plain(low << 8 | u64::from(second))
            }
            2 => match first {
                0x80 => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
                0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
                _ => return None,
            },
            _ => match low {
                0 => Length::Integer(1),
                1 => Length::Integer(2),
                2 => Length::Integer(4),
                3 => Length::Lzf,
                _ => return None,
            },
        })
    }

    fn number(&mut self) -> Option<u64> {
        match self.length()? {
            Length::Plain(value) => Some(value),
            Length::Integer(_) | Length::Lzf => None,
        }
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|size| *size <= STRING_BYTES_MAX)
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        match self.length()? {
            Length::Plain(len) => {
                let len = usize::try_from(len).ok().filter(|len| *len <= STRING_BYTES_MAX)?;
                Some(self.take(len)?.to_vec())
            }
            Length::Integer(bytes) => {
                let taken = self.take(bytes)?;
                let mut wide = [if taken[bytes - 1] & 0x80 == 0 { 0 } else { 0xff }; 8];
                wide[..bytes].copy_from_slice(taken);
                Some(i64::from_le_bytes(wide).to_string().into_bytes())
            }
            Length::Lzf => {
                let (packed, unpacked) = (self.size()?, self.size()?);
                expand(self.take(packed)?, unpacked)
            }
        }
    }

    fn skip_text(&mut self) -> Option<()> {
        let len = match self.length()? {
            Length::Plain(len) => usize::try_from(len).ok()?,
            Length::Integer(bytes) => bytes,
            Length::Lzf => {
                let packed = self.size()?;
                self.number()?;
                packed
            }
        };
        self.take(len).map(drop)
    }
}

/// Undoes the compression of Marc Lehmann's LibLZF. A control byte below 32 is followed by that many
/// literal bytes and one; any other holds a length (3 bits, 7 means that a byte more follows) and, with
/// the next byte, how far back to copy from (13 bits). None unless exactly `len` bytes come out.
fn expand(packed: &[u8], len: usize) -> Option<Vec<u8>> {
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
            // Byte by byte, because the source may overlap what is being written.
            for at in from..from + count {
                out.push(out[at]);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Item {
        Signed(i64),
        Unsigned(u64),
        Float(f32),
        Double(f64),
        Text(Vec<u8>),
    }

    fn items() -> impl Strategy<Value = Vec<Item>> {
        let item = prop_oneof![
            any::<i64>().prop_map(Item::Signed),
            (0..64u32).prop_flat_map(|bits| 0..=u64::MAX >> bits).prop_map(Item::Unsigned),
            any::<f32>().prop_map(Item::Float),
            any::<f64>().prop_map(Item::Double),
            proptest::collection::vec(any::<u8>(), 0..100).prop_map(Item::Text),
        ];
        proptest::collection::vec(item, 0..20)
    }

    fn write(items: &[Item]) -> Vec<u8> {
        let mut writer = Writer::default();
        for item in items {
            match item {
                Item::Signed(value) => writer.signed(*value),
                Item::Unsigned(value) => writer.unsigned(*value),
                Item::Float(value) => writer.float(*value),
                Item::Double(value) => writer.double(*value),
                Item::Text(value) => writer.string(value),
            }
        }
        writer.into_bytes()
    }

    fn read_like(item: &Item, reader: &mut Reader<'_>) -> Option<Item> {
        Some(match item {
            Item::Signed(_) => Item::Signed(reader.signed()?),
            Item::Unsigned(_) => Item::Unsigned(reader.unsigned()?),
            Item::Float(_) => Item::Float(reader.float()?),
            Item::Double(_) => Item::Double(reader.double()?),
            Item::Text(_) => Item::Text(reader.string()?),
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(items in items()) {
            let mut bytes = write(&items);
            bytes.push(0);
            let mut reader = Reader::new(&bytes);
            for item in &items {
                prop_assert_eq!(read_like(item, &mut reader), Some(item.clone()));
            }
            prop_assert_eq!(reader.end(), Some(()));
            prop_assert_eq!(reader.position(), bytes.len());
            let mut skipping = Reader::new(&bytes);
            prop_assert_eq!(skipping.skip(), Some(()));
            prop_assert_eq!(skipping.position(), bytes.len());
        }

        #[test]
        fn foreign_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            order in proptest::collection::vec(0..5u8, 0..50),
        ) {
            let mut reader = Reader::new(&bytes);
            for kind in order {
                let before = reader.position();
                let read = match kind {
                    0 => reader.signed().is_some(),
                    1 => reader.unsigned().is_some(),
                    2 => reader.float().is_some(),
                    3 => reader.double().is_some(),
                    _ => reader.string().is_some(),
                };
                prop_assert!(read || reader.position() == before);
                prop_assert!(reader.position() <= bytes.len());
            }
            let _ = Reader::new(&bytes).skip();
            let _ = expand(&bytes, 1000);
        }
    }

    #[test]
    fn an_item_of_another_type_is_not_read() {
        let bytes = write(&[Item::Unsigned(7)]);
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.signed(), reader.string(), reader.position()), (None, None, 0));
        assert_eq!(reader.unsigned(), Some(7));
        assert_eq!((reader.unsigned(), reader.end()), (None, None));
    }

    #[test]
    fn numbers_have_the_widths_of_rdb() {
        let len = |value| write(&[Item::Unsigned(value)]).len() - 1;
        assert_eq!([63, 64, 16383, 16384, u64::from(u32::MAX)].map(len), [1, 2, 2, 5, 5]);
        assert_eq!(len(1 << 32), 9);
    }

    #[test]
    fn strings_may_be_integers_or_compressed() {
        let text = |bytes: &[u8]| Reader::new(bytes).string();
        assert_eq!(text(&[5, 0xc0, 0xff]).as_deref(), Some(&b"-1"[..]));
        assert_eq!(text(&[5, 0xc1, 0x39, 0x30]).as_deref(), Some(&b"12345"[..]));
        assert_eq!(text(&[5, 0xc2, 0, 0, 0, 0x80]).as_deref(), Some(&b"-2147483648"[..]));
        // One literal, then a copy of nine bytes from one byte back.
        assert_eq!(
            text(&[5, 0xc3, 5, 10, 0, b'a', 0xe0, 0, 0]).as_deref(),
            Some(&b"aaaaaaaaaa"[..])
        );
        assert_eq!(text(&[5, 0xc3, 5, 9, 0, b'a', 0xe0, 0, 0]), None);
        // A length that the bytes do not back.
        assert_eq!(text(&[5, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
