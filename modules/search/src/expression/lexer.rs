//! Which tokens does the text of an expression have?
//!
//! As in RediSearch, punctuation that has no meaning here is skipped. A sign belongs to the number behind it where an
//! operand may stand and is an operator elsewhere, so `@a -1` is a difference.

use crate::expression::{Comparison, Operator};

/// A piece of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    /// What stood between quotes.
    Text(Box<[u8]>),
    /// A name behind `@`.
    Property(Box<[u8]>),
    /// A name.
    Symbol,
    Arithmetic(Operator),
    Compare(Comparison),
    And,
    Or,
    Not,
    Open,
    Close,
    Comma,
    End,
    /// A byte that no token begins with.
    Unknown,
}

/// Where a token lies in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
}

/// A position in the text.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a [u8]) -> Lexer<'a> {
        Lexer { text, at: 0 }
    }

    /// The next token; `operand` tells whether one may stand here.
    pub fn next_token(&mut self, operand: bool) -> (Token, Span) {
        loop {
            let rest = &self.text[self.at..];
            let Some(&first) = rest.first() else {
                return (Token::End, Span { start: self.at, end: self.at });
            };
            let found = match first {
                b'0'..=b'9' => number(rest),
                b'+' | b'-' if operand => number(rest).or_else(|| infinity(rest)),
                b'"' | b'\'' => quoted(rest),
                b'@' => property(rest),
                b'a'..=b'z' | b'A'..=b'Z' => infinity(rest).or_else(|| symbol(rest)),
                0x80.. => Some((Token::Unknown, 1)),
                _ => None,
            };
            if let Some((token, length)) = found.or_else(|| operator(rest)) {
                let span = Span { start: self.at, end: self.at + length };
                self.at = span.end;
                return (token, span);
            }
            // A blank, a control, or punctuation without a meaning.
            self.at += 1;
        }
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// `[+-]digits[.digits][e[+-]digits]`
fn number(text: &[u8]) -> Option<(Token, usize)> {
    let mut end = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let whole = digits(&text[end..]);
    if whole == 0 {
        return None;
    }
    end += whole;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(&text[end + 1..]);
        if fraction > 0 {
            end += 1 + fraction;
        }
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(&text[end + 1 + sign..]);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let number = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((Token::Number(number), end))
}

fn infinity(text: &[u8]) -> Option<(Token, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let end = sign + 3;
    let followed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if text.get(sign..end)? != b"inf" || text.get(end).is_some_and(followed) {
        return None;
    }
    let number = if text[0] == b'-' { f64::NEG_INFINITY } else { f64::INFINITY };
    Some((Token::Number(number), end))
}

fn symbol(text: &[u8]) -> Option<(Token, usize)> {
    let end = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    Some((Token::Symbol, end))
}

/// Whether a backslash in front of the byte is dropped.
pub(super) fn is_escapable(byte: u8) -> bool {
    byte.is_ascii_punctuation() || byte.is_ascii_whitespace() || byte == 0x0b
}

/// A text in quotes, in which a backslash keeps the punctuation or blank behind it. Without its closing quote a quote is
/// punctuation like any other.
fn quoted(text: &[u8]) -> Option<(Token, usize)> {
    let quote = text[0];
    let mut out = Vec::new();
    let mut at = 1;
    loop {
        match *text.get(at)? {
            b'\\' if text.get(at + 1).is_some_and(|byte| is_escapable(*byte)) => {
                out.push(text[at + 1]);
                at += 2;
            }
            byte if byte == quote => return Some((Token::Text(out.into()), at + 1)),
            b'\n' => return None,
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

/// Whether a byte may stand in a property's name as it is.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte == b'_' || !(is_escapable(byte) || byte.is_ascii_control())
}

fn property(text: &[u8]) -> Option<(Token, usize)> {
    let mut name = Vec::new();
    let mut at = 1;
    loop {
        match text.get(at) {
            Some(b'\\') if text.get(at + 1).is_some_and(|byte| is_escapable(*byte)) => {
                name.push(text[at + 1]);
                at += 2;
            }
            Some(byte) if is_name_byte(*byte) => {
                name.push(*byte);
                at += 1;
            }
            _ => break,
        }
    }
    (!name.is_empty()).then(|| (Token::Property(name.into()), at))
}

fn operator(text: &[u8]) -> Option<(Token, usize)> {
    let long = match text.get(..2).unwrap_or_default() {
        b"==" => Some(Token::Compare(Comparison::Equal)),
        b"!=" => Some(Token::Compare(Comparison::Unequal)),
        b"<=" => Some(Token::Compare(Comparison::LessOrEqual)),
        b">=" => Some(Token::Compare(Comparison::GreaterOrEqual)),
        b"&&" => Some(Token::And),
        b"||" => Some(Token::Or),
        _ => None,
    };
    if let Some(token) = long {
        return Some((token, 2));
    }
    let token = match text[0] {
        b'<' => Token::Compare(Comparison::Less),
        b'>' => Token::Compare(Comparison::Greater),
        b'!' => Token::Not,
        b'(' => Token::Open,
        b')' => Token::Close,
        b',' => Token::Comma,
        b'+' => Token::Arithmetic(Operator::Add),
        b'-' => Token::Arithmetic(Operator::Subtract),
        b'*' => Token::Arithmetic(Operator::Multiply),
        b'/' => Token::Arithmetic(Operator::Divide),
        b'%' => Token::Arithmetic(Operator::Modulo),
        b'^' => Token::Arithmetic(Operator::Power),
        _ => return None,
    };
    Some((token, 1))
}
