//! What do the arguments say? A cursor over argv, and the conversions with Redis's errors.
//!
//! Invariant: nothing here touches data, so an error found while parsing has changed nothing.

use super::error::CommandError;
use super::spec::Argv;
use crate::base::extended::Extended;
use crate::base::number;

/// An integer argument.
pub fn int(arg: &[u8]) -> Result<i64, CommandError> {
    number::parse_i64(arg).ok_or(CommandError::NotAnInteger)
}

/// An integer argument within limits; outside them it is as bad as no integer.
pub fn int_in(arg: &[u8], min: i64, max: i64) -> Result<i64, CommandError> {
    match number::parse_i64(arg) {
        Some(value) if (min..=max).contains(&value) => Ok(value),
        _ => Err(CommandError::NotAnInteger),
    }
}

/// An integer argument of 32 bits; others have an error of their own.
pub fn int32(arg: &[u8]) -> Result<i32, CommandError> {
    let (min, max) = (i64::from(i32::MIN), i64::from(i32::MAX));
    i32::try_from(int(arg)?).map_err(|_| CommandError::NotBetween(min, max))
}

/// A floating point argument.
pub fn float(arg: &[u8]) -> Result<f64, CommandError> {
    number::parse_f64(arg).ok_or(CommandError::NotAFloat)
}

/// The timeout of a blocking command, in seconds, as a deadline in unix milliseconds; None waits for
/// ever.
pub fn timeout(arg: &[u8], now_ms: i64) -> Result<Option<i64>, CommandError> {
    let seconds = Extended::parse(arg).ok_or(CommandError::TimeoutNotAFloat)?.to_f64();
    // Rounded up, so that a wait that is short does not become one without an end.
    let ms = (seconds * 1000.0).ceil();
    if ms < 0.0 {
        return Err(CommandError::TimeoutNegative);
    }
    // What the conversion would cut off is beyond all deadlines.
    if ms >= i64::MAX as f64 {
        return Err(CommandError::TimeoutOutOfRange);
    }
    match ms as i64 {
        0 => Ok(None),
        ms => ms.checked_add(now_ms).map(Some).ok_or(CommandError::TimeoutOutOfRange),
    }
}

/// Whether the argument is this word, in any case. `word` is given in upper case.
#[inline]
pub fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// The argument as text for an error message.
pub fn lossy(arg: &[u8]) -> String {
    String::from_utf8_lossy(arg).into_owned()
}

/// Walks over the options that follow a command's fixed arguments.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    argv: Argv<'a>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor that stands at argument `at`.
    pub fn new(argv: Argv<'a>, at: usize) -> Self {
        Self { argv, at }
    }

    /// How many arguments are left.
    pub fn left(&self) -> usize {
        self.argv.len().saturating_sub(self.at)
    }

    /// The arguments that are left.
    pub fn rest(&self) -> Argv<'a> {
        &self.argv[self.at.min(self.argv.len())..]
    }

    /// The next argument, if any, without taking it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.argv.get(self.at).copied()
    }

    /// Takes the next argument, if it is this word (given in upper case).
    pub fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|arg| is(arg, word));
        self.at += usize::from(found);
        found
    }

    /// The value that an option must have; a syntax error if it is missing.
    pub fn value(&mut self) -> Result<&'a [u8], CommandError> {
        self.next().ok_or(CommandError::Syntax)
    }

    /// An option's integer value.
    pub fn int(&mut self) -> Result<i64, CommandError> {
        int(self.value()?)
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), CommandError> {
        if self.left() == 0 { Ok(()) } else { Err(CommandError::Syntax) }
    }
}

impl<'a> Iterator for Cursor<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let arg = self.peek()?;
        self.at += 1;
        Some(arg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_seconds_and_zero_is_for_ever() {
        for (arg, deadline) in [("0", None), ("-0", None), ("0.0001", Some(6)), ("1.5", Some(1505))]
        {
            assert_eq!(timeout(arg.as_bytes(), 5), Ok(deadline), "{arg}");
        }
        for arg in ["-0.1", "-inf", "-1e400"] {
            assert_eq!(timeout(arg.as_bytes(), 5), Err(CommandError::TimeoutNegative), "{arg}");
        }
        for arg in ["", "x", "1 ", "nan", "1e5000"] {
            assert_eq!(timeout(arg.as_bytes(), 5), Err(CommandError::TimeoutNotAFloat), "{arg}");
        }
        for arg in ["9223372036854776", "1e300", "1e400", "inf", "0x7FFFFFFFFFFFFF"] {
            assert_eq!(timeout(arg.as_bytes(), 5), Err(CommandError::TimeoutOutOfRange), "{arg}");
        }
    }
}
