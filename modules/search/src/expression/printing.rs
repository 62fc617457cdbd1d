//! How is an expression shown?
//!
//! With all parentheses, so that reading what was shown gives the same tree.

use std::fmt;

use crate::expression::lexer::{is_escapable, is_name_byte};
use crate::expression::{Comparison, Expression, Operator};

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Null => f.write_str("NULL"),
            Expression::Number(number) => show_number(*number, f),
            Expression::Text(text) => {
                f.write_str("\"")?;
                show_bytes(text, |byte| byte != b'"' && byte != b'\\' && byte != b'\n', f)?;
                f.write_str("\"")
            }
            Expression::Property(property) => {
                f.write_str("@")?;
                show_bytes(&property.name, is_name_byte, f)
            }
            Expression::Not(child) => write!(f, "(!{child})"),
            Expression::And(children) => joined(children, " && ", f),
            Expression::Or(children) => joined(children, " || ", f),
            Expression::Compare(comparison, sides) => {
                write!(f, "({} {} {})", sides[0], comparison.symbol(), sides[1])
            }
            Expression::Arithmetic(operator, sides) => {
                write!(f, "({} {} {})", sides[0], operator.symbol(), sides[1])
            }
            Expression::Call(call) => {
                write!(f, "{}(", call.function.name())?;
                for (at, argument) in call.arguments.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{argument}")?;
                }
                f.write_str(")")
            }
        }
    }
}

fn joined(children: &[Expression], operator: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("(")?;
    for (at, child) in children.iter().enumerate() {
        let operator = if at == 0 { "" } else { operator };
        write!(f, "{operator}{child}")?;
    }
    f.write_str(")")
}

/// All digits that it takes to read the same number.
fn show_number(number: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match number.is_nan() {
        // The grammar has no such literal.
        true => f.write_str("(0 / 0)"),
        false => write!(f, "{number}"),
    }
}

/// Bytes that are not plain get a backslash. Bytes that are not UTF-8 are shown as far as they can be.
fn show_bytes(
    bytes: &[u8],
    is_plain: impl Fn(u8) -> bool,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if !is_plain(*byte) && is_escapable(*byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    f.write_str(&String::from_utf8_lossy(&out))
}

impl Comparison {
    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::Unequal => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

impl Operator {
    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::Power => "^",
        }
    }
}
