//! What does an expression of APPLY and FILTER mean?
//!
//! A text becomes a tree, names in it are bound to the slots of a row, and the tree is evaluated for a block of rows at a
//! time, or for a single row. The grammar, the functions and the texts of errors are those of RediSearch. One thing is ours: a property that a row lacks makes
//! what is computed from it missing as well, where RediSearch gives up the whole query.
//!
//! Trees have at most `DEPTH_MAX` levels, so walking them by recursion is safe; chains of `&&` and `||`, which
//! programs write at any length, are one level.

use std::fmt;

pub mod value;

mod lexer;

mod parser;

mod printing;

pub mod evaluation;

pub mod lane;

pub mod block;

mod functions;

#[cfg(test)]
mod block_test;
#[cfg(test)]
mod tests;

use functions::Function;

/// Longest text of an expression, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Levels of a tree.
pub const DEPTH_MAX: usize = 256;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// `NULL`.
    Null,
    /// A number.
    Number(f64),
    /// A text in quotes.
    Text(Box<[u8]>),
    /// `@name`.
    Property(Property),
    /// `!x`.
    Not(Box<Expression>),
    /// `a && b && ...`
    And(Vec<Expression>),
    /// `a || b || ...`
    Or(Vec<Expression>),
    /// `a < b` and its like.
    Compare(Comparison, Box<[Expression; 2]>),
    /// `a + b` and its like.
    Arithmetic(Operator, Box<[Expression; 2]>),
    /// `name(argument, ...)`.
    Call(Call),
}

/// A value that comes from the row.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Its name, without `@`.
    pub name: Box<[u8]>,
    /// Where it is found, once the expression has been bound.
    slot: usize,
}

/// A call of a function.
#[derive(Debug, Clone)]
pub struct Call {
    function: &'static Function,
    arguments: Vec<Expression>,
    /// Where the row has what the function needs besides its arguments.
    slot: usize,
}

impl PartialEq for Call {
    fn eq(&self, other: &Call) -> bool {
        std::ptr::eq(self.function, other.function) && self.arguments == other.arguments
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// An operator between numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `^`
    Power,
}

/// What an expression asks the row for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The property of this name.
    Property(&'a [u8]),
    /// The words of the query that the document has: what `matched_terms()` gives.
    MatchedTerms,
}

/// What is wrong with an expression, or with a row that it was evaluated on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The text does not follow the grammar: the offset of the token, the last word before it, and what was
    /// found wrong already.
    Syntax {
        /// Offset of the token that does not fit.
        offset: usize,
        /// The last number, name or text.
        near: String,
        /// What had gone wrong before.
        reason: Option<Box<Error>>,
    },
    /// A name without `@` that is not followed by arguments.
    UnknownSymbol(String),
    /// No function goes by the name.
    UnknownFunction(String),
    /// A function was given more or fewer arguments than it takes: its name as written, the bounds, the count.
    ArgumentCount(String, usize, usize, usize),
    /// Longer than [`TEXT_BYTES_MAX`].
    TooLong,
    /// More levels than [`DEPTH_MAX`].
    TooDeep,
    /// Arithmetic with a text that is not a number.
    NotANumber,
    /// A value that a function cannot take: the function, the argument's place, what it takes.
    ArgumentType(&'static str, usize, &'static str),
    /// `to_number()` of a text that is not a number.
    Conversion(String),
    /// Something else that a function found wrong.
    Function(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Syntax { offset, near, reason } => {
                write!(f, "Syntax error at offset {offset} near '{near}'")?;
                match reason {
                    Some(reason) => write!(f, ": {reason}"),
                    None => Ok(()),
                }
            }
            Error::UnknownSymbol(name) => write!(f, "Unknown symbol '{name}'"),
            Error::UnknownFunction(name) => write!(f, "Unknown function name '{name}'"),
            Error::ArgumentCount(name, min, max, got) if min == max => {
                write!(f, "Function '{name}' expects {min} arguments, but got {got}")
            }
            Error::ArgumentCount(name, min, max, got) => {
                write!(
                    f,
                    "Function '{name}' expects between {min} and {max} arguments, but got {got}"
                )
            }
            Error::TooLong => write!(f, "Expression is longer than {TEXT_BYTES_MAX} bytes"),
            Error::TooDeep => write!(f, "Expression is nested deeper than {DEPTH_MAX} levels"),
            Error::NotANumber => f.write_str("Invalid numeric value"),
            Error::ArgumentType(name, place, expected) => {
                write!(
                    f,
                    "Invalid type for argument {place} in function '{name}'. Expected {expected}"
                )
            }
            Error::Conversion(text) => write!(f, "to_number: cannot convert string '{text}'"),
            Error::Function(text) => f.write_str(text),
        }
    }
}

impl Expression {
    /// Reads the text of an expression.
    pub fn parse(text: &[u8]) -> Result<Expression, Error> {
        parser::parse(text)
    }

    /// Binds all that the expression wants of a row to slots, which `slot` gives.
    pub fn bind<E>(
        &mut self,
        slot: &mut impl FnMut(Wanted<'_>) -> Result<usize, E>,
    ) -> Result<(), E> {
        match self {
            Expression::Null | Expression::Number(_) | Expression::Text(_) => Ok(()),
            Expression::Property(property) => {
                property.slot = slot(Wanted::Property(&property.name))?;
                Ok(())
            }
            Expression::Not(child) => child.bind(slot),
            Expression::And(children) | Expression::Or(children) => {
                children.iter_mut().try_for_each(|child| child.bind(slot))
            }
            Expression::Compare(_, sides) | Expression::Arithmetic(_, sides) => {
                sides.iter_mut().try_for_each(|side| side.bind(slot))
            }
            Expression::Call(call) => {
                if call.function.wants_terms() {
                    call.slot = slot(Wanted::MatchedTerms)?;
                }
                call.arguments.iter_mut().try_for_each(|argument| argument.bind(slot))
            }
        }
    }

    /// Whether `job` says so of any slot that the bound expression looks at.
    pub fn any_slot(&self, job: &mut impl FnMut(usize) -> bool) -> bool {
        match self {
            Expression::Null | Expression::Number(_) | Expression::Text(_) => false,
            Expression::Property(property) => job(property.slot),
            Expression::Not(child) => child.any_slot(job),
            Expression::And(children) | Expression::Or(children) => {
                children.iter().any(|child| child.any_slot(job))
            }
            Expression::Compare(_, sides) | Expression::Arithmetic(_, sides) => {
                sides.iter().any(|side| side.any_slot(job))
            }
            Expression::Call(call) => {
                (call.function.wants_terms() && job(call.slot))
                    || call.arguments.iter().any(|argument| argument.any_slot(job))
            }
        }
    }
}
