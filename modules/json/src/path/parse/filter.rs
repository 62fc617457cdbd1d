//! How is a filter read?
//!
//! The rules `filter` to `term` of the grammar, and literals: JSON, but for strings, which may stand in either quotes.

use regex::bytes::{Regex, RegexBuilder};

use super::{Parsed, Parser, is_name_byte};
use crate::codec;
use crate::path::{Expression, Extent, Operator, Pattern, Segment, Selector, Term};
use crate::value::Value;
use crate::write::{Format, to_text};

/// What a regular expression of a path may take once compiled.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

impl Parser<'_> {
    pub(super) fn filter(&mut self) -> Parsed<Expression> {
        let mut any = vec![self.conjunction()?];
        while self.operator("||") {
            any.push(self.conjunction()?);
        }
        Ok(one_or(any, Expression::Any))
    }

    fn conjunction(&mut self) -> Parsed<Expression> {
        let mut all = vec![self.unary()?];
        while self.operator("&&") {
            all.push(self.unary()?);
        }
        Ok(one_or(all, Expression::All))
    }

    fn operator(&mut self, token: &str) -> bool {
        let before = self.at;
        self.blanks();
        if !self.eat(token) {
            self.at = before;
            return false;
        }
        self.blanks();
        true
    }

    fn unary(&mut self) -> Parsed<Expression> {
        match self.peek() {
            Some(b'!') => {
                self.at += 1;
                self.blanks();
                Ok(Expression::Not(Box::new(self.nested(Self::unary)?)))
            }
            Some(b'(') => self.nested(|parser| {
                parser.at += 1;
                parser.blanks();
                let inner = parser.filter()?;
                parser.blanks();
                parser.expect(b')', "`)`, `&&` or `||`")?;
                Ok(inner)
            }),
            _ => self.comparison(),
        }
    }

    fn comparison(&mut self) -> Parsed<Expression> {
        for (function, extent) in [("match", Extent::Whole), ("search", Extent::Part)] {
            if self.call(function) {
                return self.nested(|parser| parser.match_call(extent));
            }
        }
        let left = self.term()?;
        if self.operator("=~") {
            let pattern = self.pattern(Extent::Part)?;
            return Ok(Expression::Matches { subject: left, pattern, extent: Extent::Part });
        }
        // Longer tokens first: `<` begins `<=`.
        const OPERATORS: [(&str, Operator); 6] = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        for (token, operator) in OPERATORS {
            if self.operator(token) {
                let right = self.term()?;
                return Ok(Expression::Compare { left, operator, right });
            }
        }
        Ok(Expression::Exists(left))
    }

    fn pattern(&mut self, extent: Extent) -> Parsed<Pattern> {
        match self.peek() {
            Some(b'\'' | b'"') => Ok(Pattern::Compiled(compile(&self.string()?, extent))),
            _ => Ok(Pattern::Looked(self.term()?)),
        }
    }

    /// Whether a call of `function` stands here; what follows are its arguments.
    fn call(&mut self, function: &str) -> bool {
        let before = self.at;
        let found = self.eat(function) && self.eat("(");
        if !found {
            self.at = before;
        }
        found
    }

    /// The arguments of `match` and `search`.
    fn match_call(&mut self, extent: Extent) -> Parsed<Expression> {
        self.blanks();
        let subject = self.term()?;
        if !self.comma() {
            return self.fail("`,`");
        }
        let pattern = self.pattern(extent)?;
        self.blanks();
        self.expect(b')', "`)`")?;
        Ok(Expression::Matches { subject, pattern, extent })
    }

    /// A call of any other function.
    fn value_call(&mut self) -> Parsed<Option<Term>> {
        let is_letter = |byte: &&u8| byte.is_ascii_alphabetic() || **byte == b'_';
        let len = self.rest().iter().take_while(is_letter).count();
        if len == 0 || self.rest().get(len) != Some(&b'(') {
            return Ok(None);
        }
        let function = &self.rest()[..len];
        self.at += len + 1;
        let mut arguments = Vec::new();
        self.blanks();
        while self.peek() != Some(b')') {
            arguments.push(self.nested(Self::term)?);
            if !self.comma() {
                break;
            }
        }
        self.blanks();
        self.expect(b')', "`,` or `)`")?;
        let (Some(argument), true) = (arguments.pop(), arguments.is_empty()) else {
            return Ok(Some(Term::Nothing));
        };
        Ok(Some(match function {
            b"length" => Term::Length(Box::new(argument)),
            b"count" => Term::Count(Box::new(argument)),
            b"value" => Term::Single(Box::new(argument)),
            _ => Term::Nothing,
        }))
    }

    fn term(&mut self) -> Parsed<Term> {
        if let Some(call) = self.value_call()? {
            return Ok(call);
        }
        match self.peek() {
            Some(b'@') => Ok(Term::Current(self.term_path()?)),
            Some(b'$') => Ok(Term::Root(self.term_path()?)),
            Some(b'-' | b'0'..=b'9' | b'\'' | b'"' | b'[' | b'{' | b't' | b'f' | b'n') => {
                let start = self.at;
                let mut text = String::new();
                self.literal(&mut text)?;
                let Ok(parsed) = codec::parse(&text) else {
                    self.at = start;
                    return self.fail("a JSON value");
                };
                Ok(Term::Literal(parsed.value))
            }
            _ => self.fail("`@`, `$`, a JSON value, `!` or `(`"),
        }
    }

    fn term_path(&mut self) -> Parsed<Vec<Segment>> {
        self.at += 1;
        // `@name` is `@.name`.
        let mut segments = Vec::new();
        if self.peek().is_some_and(is_name_byte) {
            let name = self.name()?;
            segments.push(Segment { descends: false, selector: Selector::Names(vec![name]) });
        }
        segments.extend(self.segments()?);
        Ok(segments)
    }

    /// Appends a literal to `text` as strict JSON, for strings may stand in single quotes here.
    fn literal(&mut self, text: &mut String) -> Parsed<()> {
        match self.peek() {
            Some(b'\'' | b'"') => {
                let value = Value::text(&self.string()?);
                let json = to_text(value.view(), Format::COMPACT);
                text.push_str(&String::from_utf8_lossy(&json));
                Ok(())
            }
            Some(b'[') => self.nested(|parser| parser.literal_list(text, b']', false)),
            Some(b'{') => self.nested(|parser| parser.literal_list(text, b'}', true)),
            Some(_) => {
                let word =
                    |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                let len = self.rest().iter().take_while(word).count();
                if len == 0 {
                    return self.fail("a JSON value");
                }
                text.push_str(&self.text[self.at..self.at + len]);
                self.at += len;
                Ok(())
            }
            None => self.fail("a JSON value"),
        }
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
                self.literal(text)?;
                self.blanks();
                self.expect(b':', "`:`")?;
                text.push(':');
                self.blanks();
            }
            self.literal(text)?;
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

fn one_or(mut expressions: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match expressions.len() {
        1 => expressions.pop().expect("there is one"),
        _ => many(expressions),
    }
}

/// A regular expression, unless it is none or too large.
pub(in crate::path) fn compile(pattern: &str, extent: Extent) -> Option<Regex> {
    let whole;
    let pattern = match extent {
        Extent::Part => pattern,
        Extent::Whole => {
            whole = format!("^(?:{pattern})$");
            &whole
        }
    };
    RegexBuilder::new(pattern)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build()
        .ok()
}
