//! What may stand behind a field's name?
//!
//! Words in its scope, a comparison, an interval, tags, or the question whether it is missing. A field of another
//! type than the clause needs is an error from dialect 2 on and matches nothing in dialect 1.

use crate::args::{lossy, parse_number};
use crate::error::Error;
use crate::query::ast::{Kind, Node, Range};
use crate::query::lexer::{Compare, Token, TokenKind};
use crate::query::parser::{Clause, Join, Parser, join, negate};
use crate::query::tags::{self, unescape};
use crate::schema::{Field, FieldKind, FieldMask};

/// About what a value of a tag clause takes.
const TAG_BYTES: usize = 96;

impl<'a> Parser<'a> {
    /// `ismissing(@field)`, behind the word.
    pub(super) fn missing(&mut self, depth: usize) -> Result<Clause, Error> {
        if !matches!(self.lexer.clone().next_token().kind, TokenKind::Field(_)) {
            // Only a word that happens to stand before a parenthesis.
            let word = self.word(b"ismissing");
            let clause = self.primary(depth)?;
            return Ok(Clause { node: join(word, clause.node, Join::And), ..clause });
        }
        self.expect(b'(')?;
        let token = self.advance();
        let found = self.lookup(token)?;
        self.expect(b')')?;
        match found {
            Some((number, field)) if field.index_missing => {
                Ok(Clause::other(Kind::Missing(number)))
            }
            Some(_) => Err(Error::At {
                message: "'ismissing' requires defining the field with 'INDEXMISSING'",
                offset: token.offset,
                near: field_name(token),
            }),
            None => Ok(Clause::other(Kind::Nothing)),
        }
    }

    /// The field of a token; none for an unknown one in dialect 1, where it matches nothing.
    pub(super) fn lookup(&self, token: Token<'_>) -> Result<Option<(u16, &'a Field)>, Error> {
        let name = field_name(token);
        match self.context.schema.field(name.as_bytes()) {
            Some(found) => self.check_member(found, token).map(|()| Some(found)),
            None if self.context.dialect < 2 => Ok(None),
            None => Err(Error::At { message: "Unknown field", offset: token.offset, near: name }),
        }
    }

    /// `@field:...`, `@a|b:...`, `@field>=...`.
    pub(super) fn field_clause(&mut self, depth: usize) -> Result<Clause, Error> {
        let token = self.advance();
        let found = self.lookup(token)?;
        if let TokenKind::Compare(compare) = self.token.kind {
            self.advance();
            let range = self.comparison(compare)?;
            let Some((field, negated)) = self.numeric(found, token)?.zip(Some(range)) else {
                return Ok(Clause::other(Kind::Nothing));
            };
            let (range, negated) = negated;
            let node = Node::new(Kind::Range { field, range });
            return Ok(Clause {
                node: Some(if negated { negate(node) } else { node }),
                is_text: false,
            });
        }
        if let Some((number, Field { kind: FieldKind::Nested, .. })) = found {
            self.expect(b':')?;
            return self.nested(number, token, depth);
        }
        let mut scope = vec![(token, found)];
        while self.take(b'|') {
            let token = self.token;
            let (TokenKind::Word(_) | TokenKind::Number(..)) = token.kind else {
                return Err(self.unexpected());
            };
            self.advance();
            scope.push((token, self.lookup(token)?));
        }
        self.expect(b':')?;
        match self.token.kind {
            TokenKind::Punctuation(b'{') if scope.len() == 1 => self.tags(found, token),
            TokenKind::Punctuation(b'[') if scope.len() == 1 => self.range(found, token),
            _ => self.scoped_text(&scope, depth),
        }
    }

    fn scoped_text(
        &mut self,
        scope: &[(Token<'a>, Option<(u16, &'a Field)>)],
        depth: usize,
    ) -> Result<Clause, Error> {
        let mut mask: FieldMask = 0;
        let mut misfit = None;
        for (token, found) in scope {
            match found {
                Some((_, Field { kind: FieldKind::Text { id, .. }, .. })) => mask |= 1 << id,
                Some(_) if self.context.dialect >= 2 => {
                    misfit.get_or_insert(*token);
                }
                _ => {}
            }
        }
        let start = self.unexpected();
        let clause = if self.context.dialect >= 2 {
            self.unary(depth + 1)?
        } else {
            self.scope_of_dialect_1(depth + 1)?
        };
        // The older grammar lets anything stand there, and only its words heed the scope.
        if !clause.is_text && self.context.dialect >= 2 {
            return Err(start);
        }
        // The grammar comes first: what is no text at all is a syntax error whatever the field is.
        if let Some(token) = misfit {
            return Err(wrong_type("Expected a TEXT field", token));
        }
        let node = clause.node.map(|mut node| {
            node.restrict(mask);
            node
        });
        Ok(Clause { node, is_text: false })
    }

    /// All clauses up to the next field.
    fn scope_of_dialect_1(&mut self, depth: usize) -> Result<Clause, Error> {
        let mut clause = self.alternatives(depth, Parser::unary)?;
        while clause.is_text
            && self.starts_clause()
            && !matches!(self.token.kind, TokenKind::Field(_))
        {
            let right = self.alternatives(depth, Parser::unary)?;
            clause.is_text &= right.is_text;
            clause.node = join(clause.node, right.node, Join::And);
        }
        Ok(clause)
    }

    fn numeric(
        &self,
        found: Option<(u16, &Field)>,
        token: Token<'_>,
    ) -> Result<Option<u16>, Error> {
        match found {
            Some((number, field)) if field.kind == FieldKind::Numeric => Ok(Some(number)),
            Some(_) if self.context.dialect >= 2 => {
                Err(wrong_type("Expected a NUMERIC field", token))
            }
            _ => Ok(None),
        }
    }

    /// The operand of a comparison, as an interval and whether the interval's complement is meant.
    fn comparison(&mut self, compare: Compare) -> Result<(Range, bool), Error> {
        let value = self.number()?;
        let all = Range {
            min: f64::NEG_INFINITY,
            max: f64::INFINITY,
            min_exclusive: false,
            max_exclusive: false,
        };
        let range = match compare {
            Compare::Equal | Compare::NotEqual => Range { min: value, max: value, ..all },
            Compare::Less => Range { max: value, max_exclusive: true, ..all },
            Compare::LessOrEqual => Range { max: value, ..all },
            Compare::Greater => Range { min: value, min_exclusive: true, ..all },
            Compare::GreaterOrEqual => Range { min: value, ..all },
        };
        Ok((range, compare == Compare::NotEqual))
    }

    /// `[min max]`, `[(min (max]`, `[value]`.
    fn range(&mut self, found: Option<(u16, &Field)>, token: Token<'_>) -> Result<Clause, Error> {
        self.expect(b'[')?;
        if let TokenKind::Word(word) = self.token.kind {
            return self.place_clause(word, found, token);
        }
        let min_exclusive = self.take(b'(');
        let min = self.number()?;
        let mut range = Range { min, max: min, min_exclusive, max_exclusive: min_exclusive };
        if min_exclusive || !self.is(b']') || self.context.dialect < 2 {
            range.max_exclusive = self.take(b'(');
            range.max = self.number()?;
            if !(self.is(b']') || range.min_exclusive || range.max_exclusive) {
                return self.circle((range.min, range.max), found, token);
            }
        }
        self.expect(b']')?;
        let Some(field) = self.numeric(found, token)? else {
            return Ok(Clause::other(Kind::Nothing));
        };
        if range.min > range.max {
            let field = field_name(token);
            self.defer(Error::InvalidRange { field, min: range.min, max: range.max });
        }
        Ok(Clause::other(Kind::Range { field, range }))
    }

    /// A number or a parameter that holds one.
    pub(super) fn number(&mut self) -> Result<f64, Error> {
        let negative = self.take(b'-');
        let value = match self.token.kind {
            TokenKind::Number(value, _) => value,
            TokenKind::Parameter(name) if self.context.dialect >= 2 => {
                let text = self.parameter(name);
                parse_number(&text).unwrap_or_else(|| {
                    let (text, name) = (lossy(&text), lossy(name));
                    self.defer(Error::InvalidNumber(format!("{text}) for parameter `{name}`")));
                    0.0
                })
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(if negative { -value } else { value })
    }

    /// `{a|b|...}`: the braces are matched on the raw text, since tags may hold what is punctuation elsewhere.
    fn tags(&mut self, found: Option<(u16, &Field)>, token: Token<'_>) -> Result<Clause, Error> {
        let open = self.token.end;
        let Some((items, close)) = tags::split(self.lexer.text(), open) else {
            return Err(self.unexpected());
        };
        if items.iter().any(|raw| raw.is_empty()) {
            return Err(self.unexpected());
        }
        self.charge(items.len().saturating_mul(TAG_BYTES));
        self.lexer.jump(close + 1);
        self.token = self.lexer.next_token();
        self.note();
        let (number, case_sensitive) = match found {
            Some((number, Field { kind: FieldKind::Tag { case_sensitive, .. }, .. })) => {
                (number, *case_sensitive)
            }
            Some(_) if self.context.dialect >= 2 => {
                return Err(wrong_type("Expected a TAG field", token));
            }
            _ => return Ok(Clause::other(Kind::Nothing)),
        };
        let mut parameter = |name: &[u8]| self.parameter(name);
        let item = |raw| tags::item(raw, case_sensitive, &mut parameter);
        let items = items.into_iter().map(item).collect();
        Ok(Clause::other(Kind::Tags { field: number, items }))
    }
}

pub(super) fn wrong_type(message: &'static str, token: Token<'_>) -> Error {
    Error::At { message, offset: token.offset, near: field_name(token) }
}

pub(super) fn field_name(token: Token<'_>) -> String {
    match token.kind {
        TokenKind::Field(raw) | TokenKind::Word(raw) | TokenKind::Number(_, raw) => {
            lossy(&unescape(raw))
        }
        _ => String::new(),
    }
}
