//! How is a path read that keeps to RFC 9535?
//!
//! The grammar of the RFC's section 2, and its rules on what may stand where: only queries that yield at most one value
//! are compared, tests are not compared, arguments are of the declared types. Everything else is an error. What is
//! read takes the same form as a path of RedisJSON's dialect, with selectors and comparisons of its own where the two
//! differ in meaning.

use super::{Parsed, Parser};
use crate::codec;
use crate::path::pattern::Pattern;
use crate::path::{Dialect, Expression, Extent, Function, Operator, Segment, Selector, Term};
use crate::value::{Name, Value, View};

/// The largest integer that the RFC lets stand in a path.
const INTEGER_MAX: i64 = (1 << 53) - 1;

/// What a filter may be made of.
enum Piece {
    Literal(Term),
    /// A path, and whether it yields at most one value.
    Query(Term, bool),
    /// A call that yields a value.
    Value(Term),
    /// A call that holds or does not.
    Test(Term),
}

impl Piece {
    /// As a side of a comparison, or an argument that is a value.
    fn into_value(self) -> Option<Term> {
        match self {
            Piece::Literal(term) | Piece::Query(term, true) | Piece::Value(term) => Some(term),
            Piece::Query(_, false) | Piece::Test(_) => None,
        }
    }

    fn into_test(self) -> Option<Expression> {
        match self {
            Piece::Query(term, _) | Piece::Test(term) => Some(Expression::Holds(term)),
            Piece::Literal(_) | Piece::Value(_) => None,
        }
    }
}

impl Parser<'_> {
    /// A path, and nothing else.
    pub(super) fn strict_whole(&mut self) -> Parsed<Vec<Segment>> {
        self.expect(b'$', "`$`")?;
        let segments = self.strict_segments()?;
        if self.at < self.text.len() {
            return self.fail("`.`, `..`, `[` or the end of the path");
        }
        Ok(segments)
    }

    fn strict_segments(&mut self) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        loop {
            let before = self.at;
            self.blanks();
            let descends = self.eat("..");
            let dotted = descends || self.eat(".");
            let selector = match self.peek() {
                Some(b'[') if descends || !dotted => self.nested(Self::strict_bracket)?,
                Some(b'*') if dotted => {
                    self.at += 1;
                    Selector::All
                }
                _ if dotted => Selector::Name(self.shorthand()?),
                _ => {
                    self.at = before;
                    return Ok(segments);
                }
            };
            segments.push(Segment { descends, selector });
        }
    }

    fn shorthand(&mut self) -> Parsed<Name> {
        let rest = &self.text[self.at..];
        let first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
        let len = rest.find(|c: char| !first(c) && !c.is_ascii_digit()).unwrap_or(rest.len());
        if !rest[..len].starts_with(first) {
            return self.fail("a member name, `*` or `[`");
        }
        self.at += len;
        Ok(Name::new(&rest[..len]))
    }

    fn strict_bracket(&mut self) -> Parsed<Selector> {
        self.at += 1;
        self.blanks();
        let mut selectors = vec![self.strict_selector()?];
        while self.comma() {
            selectors.push(self.strict_selector()?);
        }
        self.blanks();
        self.expect(b']', "`,` or `]`")?;
        Ok(match selectors.len() {
            1 => selectors.remove(0),
            _ => Selector::Union(selectors),
        })
    }

    fn strict_selector(&mut self) -> Parsed<Selector> {
        match self.peek() {
            Some(b'*') => {
                self.at += 1;
                Ok(Selector::All)
            }
            Some(b'\'' | b'"') => Ok(Selector::Name(Name::new(&self.strict_string()?))),
            Some(b'?') => {
                self.at += 1;
                self.blanks();
                Ok(Selector::Filter(self.strict_disjunction()?))
            }
            Some(b':') => self.strict_slice(None),
            Some(b'-' | b'0'..=b'9') => {
                let index = self.strict_integer()?;
                if self.eat_next(":") {
                    self.at -= 1;
                    return self.strict_slice(Some(index));
                }
                Ok(Selector::Index(index))
            }
            _ => self.fail("`*`, `?`, a string, an integer or `:`"),
        }
    }

    fn strict_slice(&mut self, start: Option<i64>) -> Parsed<Selector> {
        self.at += 1;
        let end = self.strict_bound()?;
        let step = if self.eat_next(":") { self.strict_bound()?.unwrap_or(1) } else { 1 };
        let magnitude = step.unsigned_abs() as usize;
        Ok(match step {
            0 => Selector::Indices(Vec::new()),
            1.. => Selector::Slice { start, end, step: magnitude },
            _ => Selector::Backwards { start, end, step: magnitude },
        })
    }

    fn strict_bound(&mut self) -> Parsed<Option<i64>> {
        let before = self.at;
        self.blanks();
        if let Some(b'-' | b'0'..=b'9') = self.peek() {
            return self.strict_integer().map(Some);
        }
        self.at = before;
        Ok(None)
    }

    fn strict_integer(&mut self) -> Parsed<i64> {
        let start = self.at;
        let integer = self.integer()?;
        if integer.abs() > INTEGER_MAX || &self.text[start..self.at] == "-0" {
            self.at = start;
            return self.fail("an integer of at most 53 bits");
        }
        Ok(integer)
    }

    fn strict_string(&mut self) -> Parsed<String> {
        let quote = self.rest()[0];
        self.at += 1;
        let mut string = String::new();
        loop {
            let copied = self.at;
            while !matches!(self.peek(), Some(b'\\' | 0..=0x1F) | None)
                && self.peek() != Some(quote)
            {
                self.at += 1;
            }
            string.push_str(&self.text[copied..self.at]);
            match self.peek() {
                Some(b'\\') => string.push(self.strict_escape(quote)?),
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(_) => return self.fail("no control character in a string"),
                None => return self.fail("the closing quote"),
            }
        }
    }

    fn strict_escape(&mut self, quote: u8) -> Parsed<char> {
        self.at += 1;
        let escaped = match self.peek() {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(byte @ (b'/' | b'\\')) => char::from(byte),
            Some(byte) if byte == quote => char::from(byte),
            Some(b'u') => return self.unicode_escape(),
            _ => return self.fail("an escape of JSON"),
        };
        self.at += 1;
        Ok(escaped)
    }

    fn unicode_escape(&mut self) -> Parsed<char> {
        let high = self.unit()?;
        let code = match high {
            0xD800..=0xDBFF if self.eat("\\") && self.peek() == Some(b'u') => match self.unit()? {
                low @ 0xDC00..=0xDFFF => 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00),
                _ => high,
            },
            _ => high,
        };
        match char::from_u32(code) {
            Some(character) => Ok(character),
            None => self.fail("a surrogate pair"),
        }
    }

    /// `u` and four digits.
    fn unit(&mut self) -> Parsed<u32> {
        let digits = self.text.get(self.at + 1..self.at + 5);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(unit) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return self.fail("four hexadecimal digits");
        };
        self.at += 5;
        Ok(unit)
    }

    fn strict_disjunction(&mut self) -> Parsed<Expression> {
        self.strict_joined("||", Self::strict_conjunction, Expression::Any)
    }

    fn strict_conjunction(&mut self) -> Parsed<Expression> {
        self.strict_joined("&&", Self::strict_basic, Expression::All)
    }

    fn strict_joined(
        &mut self,
        token: &str,
        rule: fn(&mut Self) -> Parsed<Expression>,
        many: fn(Vec<Expression>) -> Expression,
    ) -> Parsed<Expression> {
        let mut tests = vec![rule(self)?];
        while self.eat_next(token) {
            self.blanks();
            tests.push(rule(self)?);
        }
        Ok(match tests.len() {
            1 => tests.remove(0),
            _ => many(tests),
        })
    }

    fn strict_basic(&mut self) -> Parsed<Expression> {
        let negated = self.eat("!");
        if negated {
            self.blanks();
        }
        let expression = if self.peek() == Some(b'(') {
            self.nested(|parser| {
                parser.at += 1;
                parser.blanks();
                let inner = parser.strict_disjunction()?;
                parser.blanks();
                parser.expect(b')', "`)`, `&&` or `||`")?;
                Ok(inner)
            })?
        } else {
            let left = self.piece()?;
            match self.comparison() {
                Some(operator) if !negated => {
                    self.blanks();
                    let right = self.piece()?;
                    let (Some(left), Some(right)) = (left.into_value(), right.into_value()) else {
                        return self.fail("a comparison of single values");
                    };
                    Expression::Strict { left, operator, right }
                }
                _ => match left.into_test() {
                    Some(test) => test,
                    None => return self.fail("a comparison, or something to test"),
                },
            }
        };
        Ok(if negated { Expression::Not(Box::new(expression)) } else { expression })
    }

    fn comparison(&mut self) -> Option<Operator> {
        const OPERATORS: [(&str, Operator); 6] = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let found = OPERATORS.into_iter().find(|(token, _)| self.eat_next(token));
        found.map(|(_, operator)| operator)
    }

    fn piece(&mut self) -> Parsed<Piece> {
        match self.peek() {
            Some(start @ (b'@' | b'$')) => {
                self.at += 1;
                let segments = self.strict_segments()?;
                let single = |segment: &Segment| {
                    !segment.descends
                        && matches!(segment.selector, Selector::Name(_) | Selector::Index(_))
                };
                let singular = segments.iter().all(single);
                let term =
                    if start == b'@' { Term::Current(segments) } else { Term::Root(segments) };
                Ok(Piece::Query(term, singular))
            }
            Some(b'\'' | b'"') => {
                let text = self.strict_string()?;
                Ok(Piece::Literal(Term::Literal(Value::text(&text))))
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                match codec::parse(number) {
                    Ok(parsed) => Ok(Piece::Literal(Term::Literal(parsed.value))),
                    Err(_) => self.fail("a number that a double can hold"),
                }
            }
            _ => self.word_or_call(),
        }
    }

    fn word_or_call(&mut self) -> Parsed<Piece> {
        let letter =
            |byte: &&u8| byte.is_ascii_lowercase() || **byte == b'_' || byte.is_ascii_digit();
        let len = self.rest().iter().take_while(letter).count();
        let word = &self.rest()[..len];
        if self.rest().get(len) == Some(&b'(') {
            let word = std::str::from_utf8(word).unwrap_or_default();
            return self.nested(|parser| parser.strict_call(word));
        }
        let literal = match word {
            b"true" => Value::bool(true),
            b"false" => Value::bool(false),
            b"null" => Value::null(),
            _ => return self.fail("`@`, `$`, a literal, a function, `!` or `(`"),
        };
        self.at += len;
        Ok(Piece::Literal(Term::Literal(literal)))
    }

    fn strict_call(&mut self, name: &str) -> Parsed<Piece> {
        let known = match name {
            "length" => Some((Function::Length, false)),
            "count" => Some((Function::Count, true)),
            "value" => Some((Function::Value, true)),
            "match" | "search" => None,
            _ => return self.fail("`length`, `count`, `value`, `match` or `search`"),
        };
        self.at += name.len() + 1;
        self.blanks();
        let first = self.piece()?;
        let piece = match (known, first) {
            (Some((function, true)), Piece::Query(term, _)) => {
                Piece::Value(Term::Call { function, arguments: vec![term] })
            }
            (Some((_, true)), _) => return self.fail("a path as the argument"),
            (Some((function, false)), first) => match first.into_value() {
                Some(term) => Piece::Value(Term::Call { function, arguments: vec![term] }),
                None => return self.fail("a single value as the argument"),
            },
            (None, first) => self.strict_match(name, first)?,
        };
        self.blanks();
        self.expect(b')', "`)`")?;
        Ok(piece)
    }

    fn strict_match(&mut self, name: &str, subject: Piece) -> Parsed<Piece> {
        let extent = if name == "match" { Extent::Whole } else { Extent::Part };
        if !self.comma() {
            return self.fail("`,` and a pattern");
        }
        let pattern = self.piece()?;
        let (Some(subject), Some(pattern)) = (subject.into_value(), pattern.into_value()) else {
            return self.fail("single values as arguments");
        };
        let literal = match &pattern {
            Term::Literal(value) => match value.view() {
                View::Text(text) => std::str::from_utf8(text).ok().map(str::to_owned),
                _ => None,
            },
            _ => None,
        };
        let pattern = match literal {
            Some(text) => Pattern::Compiled(self.compiled(&text, extent, Dialect::Rfc9535)?),
            None => Pattern::Looked(pattern, Dialect::Rfc9535),
        };
        Ok(Piece::Test(Term::Match {
            subject: Box::new(subject),
            pattern: Box::new(pattern),
            extent,
        }))
    }
}
