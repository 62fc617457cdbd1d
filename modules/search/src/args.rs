//! How are a command's options read?
//!
//! A cursor over argv that knows the shapes of RediSearch's options (a flag, `NAME value`, `NAME n item...`).
//! Option words are compared without case; nothing is changed before all of them have been read.

use crate::error::{ArgumentError, Error};

/// A position in argv.
#[derive(Debug, Clone)]
pub struct Args<'a> {
    items: &'a [&'a [u8]],
}

impl<'a> Args<'a> {
    /// A cursor before the first of `items`.
    pub fn new(items: &'a [&'a [u8]]) -> Args<'a> {
        Args { items }
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many arguments are left.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [&'a [u8]] {
        self.items
    }

    /// The next argument, without reading it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.items.first().copied()
    }

    /// Reads one argument.
    pub fn next_arg(&mut self) -> Option<&'a [u8]> {
        let (first, rest) = self.items.split_first()?;
        self.items = rest;
        Some(first)
    }

    /// Reads the next argument if it is `word`.
    pub fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
        if found {
            self.items = &self.items[1..];
        }
        found
    }

    /// The value of option `name`.
    pub fn value(&mut self, name: &str) -> Result<&'a [u8], Error> {
        self.next_arg().ok_or_else(|| bad(name, ArgumentError::Missing))
    }

    /// The value of option `name`, a whole number.
    pub fn integer(&mut self, name: &str) -> Result<i64, Error> {
        let arg = self.value(name)?;
        parse_integer(arg).ok_or_else(|| bad(name, ArgumentError::Parse))
    }

    /// The value of option `name`, a number.
    pub fn number(&mut self, name: &str) -> Result<f64, Error> {
        let arg = self.value(name)?;
        parse_number(arg).ok_or_else(|| bad(name, ArgumentError::Parse))
    }

    /// The counted list behind option `name`: `n item...`.
    pub fn list(&mut self, name: &str) -> Result<&'a [&'a [u8]], Error> {
        let count = self.integer(name)?;
        let count = usize::try_from(count).map_err(|_| bad(name, ArgumentError::Limit))?;
        if count > self.items.len() {
            return Err(bad(name, ArgumentError::Missing));
        }
        let (list, rest) = self.items.split_at(count);
        self.items = rest;
        Ok(list)
    }
}

fn bad(name: &str, why: ArgumentError) -> Error {
    Error::BadArgument(name.to_owned(), why)
}

/// A whole number in decimal, as C's strtoll takes it.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A number as C's strtod takes it, without hexadecimal: digits, `inf`, `infinity`; never NaN.
pub fn parse_number(text: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
    (!number.is_nan()).then_some(number)
}

/// An argument as text for an error message.
pub fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Where a value is found, and how it is to be called if that is said.
pub type NamedField<'a> = (&'a [u8], Option<&'a [u8]>);

/// `field [AS name]...`: where each value is found, and how it is to be called if that is said. The texts are for a name
/// that is missing, and for one that is `AS`.
pub fn named_fields<'a>(
    list: &'a [&'a [u8]],
    missing: &'static str,
    reserved: &'static str,
) -> Result<Vec<NamedField<'a>>, Error> {
    let mut args = Args::new(list);
    let mut fields = Vec::with_capacity(list.len());
    while let Some(path) = args.next_arg() {
        let mut name = None;
        if args.take("AS") {
            let given = args.next_arg().ok_or(Error::Text(missing))?;
            if given.eq_ignore_ascii_case(b"AS") {
                return Err(Error::Text(reserved));
            }
            name = Some(given);
        }
        fields.push((path, name));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_longer_than_argv_is_refused() {
        let items: Vec<&[u8]> = vec![b"3", b"a", b"b"];
        let mut args = Args::new(&items);
        assert_eq!(
            args.list("PREFIX").map_err(|e| e.to_string()),
            Err("Bad arguments for PREFIX: Expected an argument, but none provided".to_owned())
        );
    }

    #[test]
    fn numbers_follow_strtod() {
        assert_eq!(parse_number(b"1.5e3"), Some(1500.0));
        assert_eq!(parse_number(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_number(b"nan"), None);
        assert_eq!(parse_number(b"12x"), None);
    }
}
