//! How does a module read its arguments and pass strings back?

use std::fmt;

use crate::error::Error;
use crate::raw::{Arg, OwnedString, Text};

impl<'a> Arg<'a> {
    /// The text, if it is UTF-8.
    pub fn to_str(&self) -> Result<&'a str, Error> {
        Ok(std::str::from_utf8(self.as_bytes())?)
    }

    /// The text as an integer, in Redis's strict spelling: no sign `+`, no spaces, no zeros in front.
    pub fn to_i64(&self) -> Result<i64, Error> {
        let bytes = self.as_bytes();
        parse_i64(bytes).ok_or_else(|| Error::new("value is not an integer or out of range"))
    }

    /// The text as an integer that is not negative.
    pub fn to_u64(&self) -> Result<u64, Error> {
        let bytes = self.as_bytes();
        std::str::from_utf8(bytes)
            .ok()
            .filter(|text| canonical_digits(text.as_bytes()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::new("value is not an integer or out of range"))
    }

    /// The text as a finite or infinite number; NaN is refused.
    pub fn to_f64(&self) -> Result<f64, Error> {
        self.to_str()
            .ok()
            .filter(|text| !text.starts_with([' ', '\t']))
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|number| !number.is_nan())
            .ok_or_else(|| Error::new("value is not a valid float"))
    }

    /// Whether it is this word, in any case; for options such as `LIMIT`.
    pub fn is(&self, word: &str) -> bool {
        self.as_bytes().eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }
}

fn canonical_digits(digits: &[u8]) -> bool {
    match digits {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn parse_i64(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if !canonical_digits(digits) || bytes == b"-0" {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

impl fmt::Debug for Arg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl AsRef<[u8]> for Arg<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq<[u8]> for Arg<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_bytes() == other
    }
}

impl OwnedString {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.as_arg().as_bytes()
    }
}

impl fmt::Debug for OwnedString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_arg().fmt(f)
    }
}

impl AsRef<[u8]> for OwnedString {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// What can stand for a string in a call into the server: an [`Arg`], an [`OwnedString`], text or
/// bytes. The first two cost nothing; the others are copied.
pub trait Argument: sealed::Sealed {
    #[doc(hidden)]
    fn text(&self) -> Text<'_>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! arguments {
    ($($type:ty: |$this:ident| $text:expr;)*) => { $(
        impl sealed::Sealed for $type {}
        impl Argument for $type {
            fn text(&self) -> Text<'_> {
                let $this = self;
                $text
            }
        }
    )* };
}

arguments! {
    Arg<'_>: |arg| Text::Lent(*arg);
    OwnedString: |string| Text::Lent(string.as_arg());
    str: |text| Text::Made(OwnedString::new(text.as_bytes()));
    String: |text| Text::Made(OwnedString::new(text.as_bytes()));
    [u8]: |bytes| Text::Made(OwnedString::new(bytes));
    Vec<u8>: |bytes| Text::Made(OwnedString::new(bytes));
}

impl<T: Argument + ?Sized> sealed::Sealed for &T {}
impl<T: Argument + ?Sized> Argument for &T {
    fn text(&self) -> Text<'_> {
        (**self).text()
    }
}

impl<const N: usize> sealed::Sealed for [u8; N] {}
impl<const N: usize> Argument for [u8; N] {
    fn text(&self) -> Text<'_> {
        Text::Made(OwnedString::new(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_spelling() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("+1", None),
            ("01", None),
            ("-0", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("1 ", None),
            ("0x1", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), value, "{text:?}");
        }
    }
}
