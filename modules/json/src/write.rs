//! How does a value become JSON text?
//!
//! Output is raw UTF-8: of the characters only quote, backslash and controls are escaped. Floats have the fewest digits
//! that read back as the same double, always with a fraction or an exponent (`1.0`, `1e16`), so that a float stays one.
//! With a [`Format`], every element and member starts with the newline string and the indent string once per level;
//! empty containers stay `[]` and `{}`.

use crate::sink::Sink;
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
    sink: Sink,
    format: Format<'f>,
    is_compact: bool,
    level: usize,
    values: usize,
}

impl<'f> Writer<'f> {
    /// A writer with nothing written.
    pub fn new(format: Format<'f>) -> Writer<'f> {
        Writer::over(Sink::new(), format)
    }

    /// A writer that has the vector's bytes for room.
    pub fn reusing(bytes: Vec<u8>, format: Format<'f>) -> Writer<'f> {
        Writer::over(Sink::reusing(bytes), format)
    }

    fn over(sink: Sink, format: Format<'f>) -> Writer<'f> {
        let Format { indent, newline, space } = format;
        let is_compact = indent.is_empty() && newline.is_empty() && space.is_empty();
        Writer { sink, format, is_compact, level: 0, values: 0 }
    }

    /// How much has been written: bytes, and values.
    pub fn written(&self) -> (usize, usize) {
        (self.sink.len(), self.values)
    }

    /// The text so far.
    pub fn text(&self) -> &[u8] {
        self.sink.written()
    }

    /// The text.
    pub fn finish(self) -> Vec<u8> {
        self.sink.finish()
    }

    /// The vector that holds the text, with bytes behind it, for [`Writer::reusing`].
    pub fn into_room(self) -> Vec<u8> {
        self.sink.into_room()
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
        self.sink.push(bracket);
        self.level += 1;
    }

    /// What stands in front of an element or member that `before` others precede.
    pub fn separate(&mut self, before: usize) {
        if before > 0 {
            self.sink.push(b',');
        }
        self.new_line();
    }

    /// `]` or `}`, after `count` elements or members.
    pub fn close(&mut self, bracket: u8, count: usize) {
        self.level -= 1;
        if count > 0 {
            self.new_line();
        }
        self.sink.push(bracket);
    }

    /// A member's name with the colon.
    pub fn name(&mut self, name: &[u8]) {
        self.sink.text(name, name.len());
        self.sink.push(b':');
        if !self.is_compact {
            self.sink.put(self.format.space);
        }
    }

    /// One value.
    pub fn value(&mut self, view: View<'_>) {
        if self.level < 2 {
            // One allocation for most documents, instead of one for each doubling.
            self.sink.reserve(view.text_len_hint());
        }
        if self.is_compact
            && let Some(values) = view.print_packed(&mut self.sink)
        {
            self.values += values;
            return;
        }
        self.values += 1;
        match view {
            View::Null => self.sink.null(),
            View::Bool(value) => self.sink.bool(value),
            View::Int(value) => self.sink.int(value),
            View::Unsigned(value) => self.sink.unsigned(value),
            View::Float(value) => self.float(value),
            View::Text(text) => self.sink.text(text, text.len()),
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

    /// Most floats that people write are short decimals, whose digits are those of an integer.
    fn float(&mut self, value: f64) {
        match decimal(value) {
            Some((places, integer)) => self.sink.decimal(places, integer),
            None => self.sink.float(value),
        }
    }

    fn new_line(&mut self) {
        if self.is_compact {
            return;
        }
        self.sink.put(self.format.newline);
        if !self.format.indent.is_empty() {
            for _ in 0..self.level {
                self.sink.put(self.format.indent);
            }
        }
    }
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
