//! How does a value become JSON text?
//!
//! Output is raw UTF-8: of the characters only quote, backslash and controls are escaped. Floats have the fewest digits
//! that read back as the same double, always with a fraction or an exponent (`1.0`, `1e16`), so that a float stays one.
//! With a [`Format`], every element and member starts with the newline string and the indent string once per level;
//! empty containers stay `[]` and `{}`.

use crate::value::{View, decimal};

/// The strings that JSON.GET lets one put between tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Format<'a> {
    /// Repeated for each level, in front of elements and members.
    pub indent: &'a [u8],
    /// In front of the indentation.
    pub newline: &'a [u8],
    /// After the colon.
    pub space: &'a [u8],
}

impl Format<'_> {
    /// No blanks at all.
    pub const COMPACT: Format<'static> = Format { indent: b"", newline: b"", space: b"" };
}

/// The text of one value.
pub fn to_text(view: View<'_>, format: Format<'_>) -> Vec<u8> {
    let mut writer = Writer::new(format);
    writer.value(view);
    writer.finish()
}

/// Writes values one after the other; also used to frame several of them as one array or object.
pub struct Writer<'f> {
    out: Vec<u8>,
    format: Format<'f>,
    level: usize,
    values: usize,
}

/// Room to begin with: most replies are single values.
const FIRST_BYTES: usize = 64;

impl<'f> Writer<'f> {
    /// A writer with nothing written.
    pub fn new(format: Format<'f>) -> Writer<'f> {
        Writer { out: Vec::with_capacity(FIRST_BYTES), format, level: 0, values: 0 }
    }

    /// How much has been written: bytes, and values.
    pub fn written(&self) -> (usize, usize) {
        (self.out.len(), self.values)
    }

    /// The text so far.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// An array of `views`.
    pub fn array<'v>(&mut self, views: impl Iterator<Item = View<'v>>) {
        self.open(b'[');
        let mut count = 0;
        for view in views {
            self.separate(count);
            self.value(view);
            count += 1;
        }
        self.close(b']', count);
    }

    /// `[` or `{`.
    pub fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.level += 1;
    }

    /// What stands in front of an element or member that `before` others precede.
    pub fn separate(&mut self, before: usize) {
        if before > 0 {
            self.out.push(b',');
        }
        self.new_line();
    }

    /// `]` or `}`, after `count` elements or members.
    pub fn close(&mut self, bracket: u8, count: usize) {
        self.level -= 1;
        if count > 0 {
            self.new_line();
        }
        self.out.push(bracket);
    }

    /// A member's name with the colon.
    pub fn name(&mut self, name: &[u8]) {
        self.text(name);
        self.out.push(b':');
        self.out.extend_from_slice(self.format.space);
    }

    /// One value.
    pub fn value(&mut self, view: View<'_>) {
        self.values += 1;
        if self.level < 2 {
            // One allocation for most documents, instead of one for each doubling.
            self.out.reserve(view.text_len_hint());
        }
        match view {
            View::Null => self.out.extend_from_slice(b"null"),
            View::Bool(true) => self.out.extend_from_slice(b"true"),
            View::Bool(false) => self.out.extend_from_slice(b"false"),
            View::Int(value) => self.int(value),
            View::Unsigned(value) => {
                self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            View::Float(value) => self.float(value),
            View::Text(text) => self.text(text),
            View::Array(array) => self.array(array.iter()),
            View::Object(object) => {
                self.open(b'{');
                let mut count = 0;
                for member in object.iter() {
                    self.separate(count);
                    self.name(member.name());
                    self.value(member.value);
                    count += 1;
                }
                self.close(b'}', count);
            }
        }
    }

    fn int(&mut self, value: i64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Most floats that people write are short decimals, whose digits are those of an integer. As long as these are no
    /// more than 15, no other decimal that is as short reads back as the same double, so they are the ones to write.
    fn float(&mut self, value: f64) {
        // Below this the shortest form may have an exponent.
        const LEAST: f64 = 1e-3;
        match decimal(value) {
            Some((places, integer)) if value.abs() >= LEAST => {
                let mut buffer = itoa::Buffer::new();
                let digits = buffer.format(integer.unsigned_abs());
                if value < 0.0 {
                    self.out.push(b'-');
                }
                let places = usize::from(places);
                if let Some(whole) = digits.len().checked_sub(places).filter(|whole| *whole > 0) {
                    self.out.extend_from_slice(&digits.as_bytes()[..whole]);
                    self.out.push(b'.');
                    self.out.extend_from_slice(&digits.as_bytes()[whole..]);
                } else {
                    self.out.extend_from_slice(b"0.");
                    self.out.extend_from_slice(&b"0000000"[..places - digits.len()]);
                    self.out.extend_from_slice(digits.as_bytes());
                }
                if places == 0 {
                    self.out.push(b'0');
                }
            }
            _ => self.out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes()),
        }
    }

    fn new_line(&mut self) {
        self.out.extend_from_slice(self.format.newline);
        if !self.format.indent.is_empty() {
            for _ in 0..self.level {
                self.out.extend_from_slice(self.format.indent);
            }
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.out.push(b'"');
        let mut rest = text;
        while let Some(at) = escaped_at(rest) {
            self.out.extend_from_slice(&rest[..at]);
            self.escape(rest[at]);
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
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
                self.out.extend_from_slice(b"\\u00");
                self.out.extend_from_slice(&digits);
                return;
            }
        };
        self.out.extend_from_slice(&[b'\\', short]);
    }
}

/// Where the first byte stands that must be escaped.
fn escaped_at(text: &[u8]) -> Option<usize> {
    let (words, tail) = text.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        if any_escaped(u64::from_le_bytes(*word)) {
            let at = word.iter().position(|&byte| is_escaped(byte));
            return Some(8 * i + at.expect("one of the eight bytes is"));
        }
    }
    let at = tail.iter().position(|&byte| is_escaped(byte))?;
    Some(8 * words.len() + at)
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether any of eight bytes must be escaped. The subtractions borrow out of a byte that is below what is subtracted;
/// bytes from 0x80 on are masked out, for they never are. A borrow can also reach the byte above, but only out of one
/// that must be escaped itself, so the answer is right for the eight together.
fn any_escaped(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit));
    let is =
        |byte: u8| below(word ^ (ONES * u64::from(byte)), 1) & !(word ^ (ONES * u64::from(byte)));
    let found = (below(word, 0x20) & !word) | is(b'"') | is(b'\\');
    found & (ONES * 0x80) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::parse;

    fn formatted(text: &str, format: Format<'_>) -> String {
        String::from_utf8(to_text(parse(text).unwrap().value.view(), format)).unwrap()
    }

    #[test]
    fn blanks_stand_where_the_format_puts_them() {
        let format = Format { indent: b"..", newline: b"\n", space: b" " };
        assert_eq!(
            formatted(r#"{"a":[1,{}],"b":[]}"#, format),
            "{\n..\"a\": [\n....1,\n....{}\n..],\n..\"b\": []\n}"
        );
        let indent_only = Format { indent: b"-", ..Format::COMPACT };
        assert_eq!(formatted("[1,[2]]", indent_only), "[-1,-[--2-]]");
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        let text = "\"\\\" \\\\ / \\b\\f\\n\\r\\t\\u0001\\u001f \u{7f}\u{2028} é 日本\"";
        assert_eq!(formatted(text, Format::COMPACT), text);
        assert_eq!(formatted(r#""\u00e9\ud83d\ude00""#, Format::COMPACT), "\"é😀\"");
    }

    #[test]
    fn every_byte_is_judged_alike_wherever_it_stands() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                let mut text = [b'x'; 20];
                text[place] = byte;
                let found = escaped_at(&text);
                assert_eq!(found, is_escaped(byte).then_some(place), "{byte:#x} at {place}");
                text[place..].fill(byte);
                assert_eq!(escaped_at(&text), found);
            }
        }
    }

    #[test]
    fn floats_have_the_digits_that_ryu_finds() {
        let check = |value: f64| {
            let mut writer = Writer::new(Format::COMPACT);
            writer.float(value);
            let text = String::from_utf8(writer.finish()).unwrap();
            assert_eq!(text, ryu::Buffer::new().format_finite(value));
        };
        for integer in (0..20_000).chain((1..3_000).map(|i| i * 715_827)) {
            for power in [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8] {
                check(f64::from(integer) / power);
                check(-f64::from(integer) / power);
            }
        }
        for value in [0.0, -0.0, 1e-3, 9.99e-4, 1e-4, 0.1 + 0.2, 1e15, 1e16, 1e300, 5e-324] {
            check(value);
        }
    }
}
