//! What do the arguments say? A cursor over argv, and the conversions with Redis's errors.
//!
//! Invariant: nothing here touches data, so an error found while parsing has changed nothing.

use super::error::CommandError;
use super::spec::Argv;
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

/// A floating point argument.
pub fn float(arg: &[u8]) -> Result<f64, CommandError> {
    number::parse_f64(arg).ok_or(CommandError::NotAFloat)
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
