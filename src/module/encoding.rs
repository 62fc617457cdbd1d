//! How do values of module types look in RDB files and DUMP payloads? A sequence of items, each led by
//! an opcode that says its type, closed by an end mark.
//!
//! Invariants: the reader never reads past its bytes and never trusts a length that they do not back;
//! after an error it stays where it is, so that the caller can say how far it came. Numbers, lengths and
//! strings are encoded as everywhere in RDB (docs/formats/rdb.md).

use crate::object::rdb::kind::item;
use crate::object::rdb::write::Style;
use crate::object::rdb::{module, read, write};

/// Writes items.
#[derive(Debug)]
pub struct Writer(write::Writer<'static>);

impl Writer {
    /// A writer of this style.
    pub fn new(style: Style) -> Self {
        Self(write::Writer::new(style))
    }

    /// Writes a signed number. Redis writes its bits as an unsigned one, and reads no other.
    pub fn signed(&mut self, value: i64) {
        self.unsigned(value.cast_unsigned());
    }

    /// Writes an unsigned number.
    pub fn unsigned(&mut self, value: u64) {
        self.0.number(item::UNSIGNED);
        self.0.number(value);
    }

    /// Writes a floating point number of 32 bits.
    pub fn float(&mut self, value: f32) {
        self.0.number(item::FLOAT);
        self.0.raw(&value.to_le_bytes());
    }

    /// Writes a floating point number of 64 bits.
    pub fn double(&mut self, value: f64) {
        self.0.number(item::DOUBLE);
        self.0.double(value);
    }

    /// Writes a string.
    pub fn string(&mut self, value: &[u8]) {
        self.0.number(item::STRING);
        self.0.string(value);
    }

    /// The items so far, without an end mark.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// Reads items back.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(read::Reader<'a>);

impl<'a> Reader<'a> {
    /// A reader at the first item.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(read::Reader::new(bytes))
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.0.position()
    }

    /// Reads a signed number; None if the next item is none. The format has an opcode for signed numbers,
    /// which nothing writes.
    pub fn signed(&mut self) -> Option<i64> {
        self.unsigned().map(u64::cast_signed)
    }

    /// Reads an unsigned number.
    pub fn unsigned(&mut self) -> Option<u64> {
        self.item(item::UNSIGNED, |reader| reader.number().ok())
    }

    /// Reads a floating point number of 32 bits.
    pub fn float(&mut self) -> Option<f32> {
        self.item(item::FLOAT, |reader| reader.array().ok().map(f32::from_le_bytes))
    }

    /// Reads a floating point number of 64 bits.
    pub fn double(&mut self) -> Option<f64> {
        self.item(item::DOUBLE, |reader| reader.double().ok())
    }

    /// Reads a string.
    pub fn string(&mut self) -> Option<Vec<u8>> {
        self.item(item::STRING, |reader| reader.string().ok().map(|text| text.into_owned()))
    }

    /// Reads the end mark.
    pub fn end(&mut self) -> Option<()> {
        self.item(item::END, |_| Some(()))
    }

    /// Passes over all items and the end mark, whatever they are: what a value takes that nobody can
    /// load.
    pub fn skip(&mut self) -> Option<()> {
        module::skip_items(&mut self.0).ok()
    }

    /// Reads an item of this type; on failure the reader stays before it.
    fn item<T>(
        &mut self,
        kind: u64,
        read: impl FnOnce(&mut read::Reader<'a>) -> Option<T>,
    ) -> Option<T> {
        let before = self.0;
        let value = match self.0.number() {
            Ok(found) if found == kind => read(&mut self.0),
            _ => None,
        };
        if value.is_none() {
            self.0 = before;
        }
        value
    }
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
        let mut writer = Writer::new(Style::default());
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
        }
    }

    #[test]
    fn a_signed_number_is_written_as_redis_writes_it() {
        assert_eq!(write(&[Item::Signed(5)]), [2, 5]);
        assert_eq!(write(&[Item::Signed(-1)]), [[2, 0x81].as_slice(), &[0xff; 8]].concat());
        assert_eq!(Reader::new(&[2, 5]).signed(), Some(5));
    }

    #[test]
    fn a_string_is_written_in_the_shortest_way_that_the_style_allows() {
        assert_eq!(write(&[Item::Text(b"-1".to_vec())]), [5, 0xc0, 0xff]);
        let long = [b'a'; 100];
        assert!(write(&[Item::Text(long.to_vec())]).len() < 20);
        let mut plain = Writer::new(Style { compress: false, ..Style::default() });
        plain.string(&long);
        assert_eq!(plain.into_bytes(), [[5, 0x40, 100].as_slice(), &long].concat());
    }

    #[test]
    fn an_item_of_another_type_is_not_read() {
        let bytes = write(&[Item::Unsigned(7)]);
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.double(), reader.string(), reader.position()), (None, None, 0));
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
