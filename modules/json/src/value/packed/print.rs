//! How does a packed value become text without blanks?
//!
//! In one pass over its bytes, each piece written as it is met: names have their text ready, with comma and colon, strings
//! are copied while they are looked through, decimals print the integer that they are kept as. A child writes a comma in
//! front of it, whatever it follows; that of the first is where the bracket belongs, which is put over it at the end.

use super::super::names;
use super::{
    ARRAY_8, ARRAY_16, Container, DECIMAL, DECIMAL_LAST, HEADER_BYTES, INT, NAME_ID, NAME_ID_LAST,
    NameId, OBJECT_8, OBJECT_16, Packed, Run, SHORT_TEXT, SMALL_INT, SMALL_INT_LAST, int_at, read,
    read_name, u16_at, value_len,
};
use crate::sink::Sink;

impl Run<'_> {
    /// Writes the container that has these children, and says how many values that are, itself included.
    pub(in crate::value) fn print(self, kind: Container, sink: &mut Sink) -> usize {
        let mut printer = Printer { sink, values: 1 };
        printer.children(self.body, self.body.len(), kind);
        printer.values
    }
}

struct Printer<'s> {
    sink: &'s mut Sink,
    values: usize,
}

impl Printer<'_> {
    /// The container whose children are the first `len` bytes of `body`.
    fn children(&mut self, body: &[u8], len: usize, kind: Container) {
        let start = self.sink.len();
        let mut at = 0;
        let (open, close) = match kind {
            Container::Array => {
                while at < len {
                    self.sink.push(b',');
                    at += self.value(&body[at..]);
                }
                (b'[', b']')
            }
            Container::Object => {
                while at < len {
                    at += self.name(&body[at..]);
                    at += self.value(&body[at..]);
                }
                (b'{', b'}')
            }
        };
        if len == 0 {
            self.sink.push(open);
        } else {
            self.sink.patch(start, open);
        }
        self.sink.push(close);
    }

    /// The name at the start of `bytes`, with a comma and a colon around it; how many bytes it takes there.
    #[inline]
    fn name(&mut self, bytes: &[u8]) -> usize {
        if let [high @ NAME_ID..=NAME_ID_LAST, low, ..] = *bytes {
            let number = u16::from(high - NAME_ID) << 8 | u16::from(low);
            NameId::new(number).introduce(self.sink);
            return 2;
        }
        let (name, len) = read_name(bytes);
        names::introduce(name.text(), self.sink);
        len
    }

    /// The value at the start of `bytes`; how many bytes it takes there.
    fn value(&mut self, bytes: &[u8]) -> usize {
        self.values += 1;
        match bytes[0] {
            tag @ SHORT_TEXT.. => {
                let len = usize::from(tag - SHORT_TEXT);
                self.sink.text(&bytes[1..], len);
                1 + len
            }
            tag @ SMALL_INT..=SMALL_INT_LAST => {
                self.sink.int(i64::from(tag - SMALL_INT));
                1
            }
            tag @ INT..DECIMAL => {
                let width = usize::from(tag - INT) + 1;
                self.sink.int(int_at(bytes, 1, width));
                1 + width
            }
            tag @ DECIMAL..=DECIMAL_LAST => {
                let width = usize::from(tag & 3) + 1;
                let integer = int_at(bytes, 1, width) as i32;
                self.sink.decimal((tag - DECIMAL) >> 2, integer);
                1 + width
            }
            tag @ (ARRAY_8 | OBJECT_8) => {
                let len = usize::from(bytes[1]);
                self.children(&bytes[HEADER_BYTES..], len, kind(tag == ARRAY_8));
                HEADER_BYTES + len
            }
            tag @ (ARRAY_16 | OBJECT_16) => {
                let (header, len) = (HEADER_BYTES + 2, u16_at(bytes, 1));
                self.children(&bytes[header..], len, kind(tag == ARRAY_16));
                header + len
            }
            _ => {
                match read(bytes) {
                    Packed::Null => self.sink.null(),
                    Packed::Bool(value) => self.sink.bool(value),
                    Packed::Unsigned(value) => self.sink.unsigned(value),
                    Packed::Float(value) => self.sink.float(value),
                    Packed::Text(text) => self.sink.text(text, text.len()),
                    Packed::Int(_) | Packed::Array(_) | Packed::Object(_) => {
                        unreachable!("its tag has been met above")
                    }
                }
                value_len(bytes)
            }
        }
    }
}

fn kind(is_array: bool) -> Container {
    if is_array { Container::Array } else { Container::Object }
}
