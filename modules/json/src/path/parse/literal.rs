//! How are literals read?
//!
//! JSON, but for strings, which may stand in either quotes. Numbers without fraction or exponent that fit are integers.

use super::{Parsed, Parser};
use crate::codec;
use crate::value::Value;
use crate::write::{Format, to_text};

impl<'t> Parser<'t> {
    pub(super) fn literal(&mut self) -> Parsed<Value> {
        let start = self.at;
        let mut text = String::new();
        self.literal_text(&mut text)?;
        match codec::parse(&text) {
            Ok(parsed) => Ok(parsed.value),
            Err(_) => {
                self.at = start;
                self.fail("a JSON value")
            }
        }
    }

    /// Appends a literal to `text` as strict JSON.
    fn literal_text(&mut self, text: &mut String) -> Parsed<()> {
        match self.peek() {
            Some(b'\'' | b'"') => {
                let value = Value::text(&self.string()?);
                let json = to_text(value.view(), Format::COMPACT);
                text.push_str(&String::from_utf8_lossy(&json));
                Ok(())
            }
            Some(b'[') => self.nested(|parser| parser.literal_list(text, b']', false)),
            Some(b'{') => self.nested(|parser| parser.literal_list(text, b'}', true)),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                // As an integer it has no sign of its own.
                text.push_str(if number == "-0" { "0" } else { number });
                Ok(())
            }
            Some(_) => {
                for word in ["true", "false", "null"] {
                    if self.eat(word) {
                        text.push_str(word);
                        return Ok(());
                    }
                }
                self.fail("a JSON value")
            }
            None => self.fail("a JSON value"),
        }
    }

    /// A JSON number.
    pub(super) fn number(&mut self) -> Parsed<&'t str> {
        let start = self.at;
        self.eat("-");
        let digits = |parser: &mut Self| {
            let len = parser.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
            parser.at += len;
            len
        };
        let zero = self.peek() == Some(b'0');
        let whole = digits(self);
        if whole == 0 || (zero && whole > 1) {
            return self.fail("a number without leading zeros");
        }
        if self.peek() == Some(b'.') && self.rest().get(1).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
            digits(self);
        }
        if let [b'e' | b'E', rest @ ..] = self.rest() {
            let signed = matches!(rest.first(), Some(b'+' | b'-'));
            if rest.get(usize::from(signed)).is_some_and(u8::is_ascii_digit) {
                self.at += 1 + usize::from(signed);
                digits(self);
            }
        }
        Ok(&self.text[start..self.at])
    }

    fn literal_list(&mut self, text: &mut String, close: u8, named: bool) -> Parsed<()> {
        text.push(char::from(self.rest()[0]));
        self.at += 1;
        self.blanks();
        while self.peek() != Some(close) {
            if named {
                if !matches!(self.peek(), Some(b'\'' | b'"')) {
                    return self.fail("a string");
                }
                self.literal_text(text)?;
                self.blanks();
                self.expect(b':', "`:`")?;
                text.push(':');
                self.blanks();
            }
            self.literal_text(text)?;
            if !self.comma() {
                self.blanks();
                break;
            }
            text.push(',');
        }
        self.expect(close, "`,` or the closing bracket")?;
        text.push(char::from(close));
        Ok(())
    }
}
