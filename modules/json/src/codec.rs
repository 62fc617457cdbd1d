//! How does JSON text become a value?
//!
//! The grammar, the limits on numbers and the texts of errors are serde_json's, whose deserializer drives the value
//! builder directly; no tree of serde_json values is made. Integers are kept within `i64`, or `u64` above it; anything
//! with a fraction or an exponent, and any larger integer, is a float; `-0` is the float -0.0.
//!
//! Invariant: a parsed value nests at most [`DEPTH_MAX`] containers, since serde_json refuses more. Whoever puts a value
//! below others checks the sum against the same limit.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::value::{ArrayBuilder, Builder, Item, ObjectBuilder, Value};

/// How many containers may stand inside one another. All recursion over documents is bounded by it.
pub const DEPTH_MAX: usize = 127;

/// A parsed document.
#[derive(Debug)]
pub struct Parsed {
    /// The document.
    pub value: Value,
    /// How many containers stand inside one another in its text. A member counts even if a later one by its name
    /// replaced it, so the value may nest less.
    pub depth: usize,
}

/// Why text is not JSON, in the parser's words: what was expected, line and column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

/// Reads one JSON text.
pub fn parse(text: &str) -> Result<Parsed, ParseError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    parse_from(&mut deserializer, text.len())
        .and_then(|parsed| deserializer.end().map(|()| parsed))
        .map_err(|error| ParseError(error.to_string()))
}

/// Reads a value of any deserializer, of about `bytes` bytes of text. It has to keep [`DEPTH_MAX`] itself.
#[doc(hidden)]
pub fn parse_from<'de, D: Deserializer<'de>>(
    deserializer: D,
    bytes: usize,
) -> Result<Parsed, D::Error> {
    let mut parser = Parser { builder: Builder::new(bytes), depth: 0, deepest: 0 };
    let root = ValueSeed(&mut parser).deserialize(deserializer)?;
    Ok(Parsed { value: parser.builder.finish(root), depth: parser.deepest })
}

struct Parser {
    builder: Builder,
    depth: usize,
    deepest: usize,
}

impl Parser {
    fn enter(&mut self) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
    }
}

struct ValueSeed<'p>(&'p mut Parser);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Item, E> {
        Ok(self.0.builder.null())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Item, E> {
        Ok(self.0.builder.bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Item, E> {
        Ok(Item::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Item, E> {
        Ok(self.0.builder.unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Item, E> {
        Ok(Item::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Item, E> {
        Ok(self.0.builder.text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Item, A::Error> {
        let parser = self.0;
        parser.enter();
        let mut array = ArrayBuilder::begin(&mut parser.builder);
        while let Some(item) = elements.next_element_seed(ValueSeed(parser))? {
            array.add(&mut parser.builder, item);
        }
        parser.depth -= 1;
        Ok(array.finish(&mut parser.builder))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Item, A::Error> {
        let parser = self.0;
        parser.enter();
        let mut object = ObjectBuilder::begin(&mut parser.builder);
        while members.next_key_seed(NameSeed(&mut parser.builder, &mut object))?.is_some() {
            let item = members.next_value_seed(ValueSeed(parser))?;
            object.add(&mut parser.builder, item);
        }
        parser.depth -= 1;
        Ok(object.finish(&mut parser.builder))
    }
}

struct NameSeed<'p>(&'p mut Builder, &'p mut ObjectBuilder);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        self.1.name(self.0, name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::{Format, to_text};

    fn round_trip(text: &str) -> String {
        let parsed = parse(text).unwrap();
        String::from_utf8(to_text(parsed.value.view(), Format::COMPACT)).unwrap()
    }

    #[test]
    fn numbers_keep_their_kind() {
        assert_eq!(round_trip("[0,-0,-1,1.0,1e2]"), "[0,-0.0,-1,1.0,100.0]");
        assert_eq!(round_trip("18446744073709551615"), "18446744073709551615");
        assert_eq!(round_trip("18446744073709551616"), "1.8446744073709552e19");
        assert_eq!(
            round_trip("[1.6350000000001313e308,1e16,1e-7]"),
            "[1.6350000000001313e308,1e16,1e-7]"
        );
    }

    #[test]
    fn of_members_with_one_name_the_last_value_counts_at_the_first_place() {
        assert_eq!(round_trip(r#"{"a":1,"b":2,"a":{"c":[3]},"b":4}"#), r#"{"a":{"c":[3]},"b":4}"#);
        let long = "x".repeat(5000);
        let text = format!(r#"{{"a":1,"b":2,"a":"{long}","b":3,"a":4}}"#);
        assert_eq!(round_trip(&text), r#"{"a":4,"b":3}"#);
    }

    #[test]
    fn errors_are_serde_jsons() {
        let error = |text| parse(text).unwrap_err().to_string();
        assert_eq!(error("foo"), "expected ident at line 1 column 2");
        assert_eq!(error(""), "EOF while parsing a value at line 1 column 0");
        assert_eq!(error("1 2"), "trailing characters at line 1 column 3");
        assert_eq!(error("1e999"), "number out of range at line 1 column 5");
        assert_eq!(error(r#""\ud800""#), "unexpected end of hex escape at line 1 column 8");
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(parse(&nested(DEPTH_MAX)).unwrap().depth, DEPTH_MAX);
        let error = parse(&nested(DEPTH_MAX + 1)).unwrap_err().to_string();
        assert!(error.starts_with("recursion limit exceeded"), "{error}");
    }
}
