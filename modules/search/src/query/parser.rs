//! Which tree does a query's text stand for?
//!
//! A recursive descent over RediSearch's grammar. In dialect 2 and later `|` binds weaker than the blank between two
//! clauses and a field's scope is the one clause behind the colon; in dialect 1 `|` binds tighter and the scope
//! reaches to the next field. Errors name an offset and the last word read, as RediSearch's generated parser does.
//!
//! Tags are read more tolerantly than there: everything between the braces and bars is the tag, so `{foo-bar}`
//! needs no escapes (RediSearch calls it a syntax error).

mod fields;
mod nested;
mod places;

use std::collections::HashMap;

use crate::args::{lossy, parse_number};
use crate::error::Error;
use crate::query::ast::{Kind, Node};
use crate::query::lexer::{Affix, AffixText, Lexer, Token, TokenKind};
use crate::query::pattern::{Pattern, shortened};
use crate::schema::Schema;
use crate::tokenize::{StopWords, normalize, words};

/// How deep clauses may nest; RediSearch's parser overflows its stack a little later.
const DEPTH_MAX: usize = 200;

/// Bytes that the tree may take: a short text can stand for a large one, by naming a long parameter many times.
const TREE_BYTES_MAX: usize = 64 << 20;
const TOO_LONG: Error = Error::Text("Query is too long: it takes more than 64 MiB");
/// About what a clause takes.
const CLAUSE_BYTES: usize = 256;

/// Values of `$name`, as PARAMS gives them.
pub type Parameters = HashMap<Vec<u8>, Vec<u8>>;

/// What a query's text is read against.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Its fields can be named.
    pub schema: &'a Schema,
    /// Words that vanish from the query.
    pub stop_words: &'a StopWords,
    /// Values of `$name`.
    pub parameters: &'a Parameters,
    /// Which grammar.
    pub dialect: u32,
}

/// The tree of `text`.
pub fn parse(text: &[u8], context: Context<'_>) -> Result<Node, Error> {
    let mut parser = Parser::new(text, context);
    let node = match parser.everything() {
        Some(_) if parser.nearest_follows() => Some(parser.nearest(None)?),
        Some(node) => Some(node),
        None if parser.token.kind == TokenKind::End => None,
        None => {
            let mut clause = parser.union(0)?;
            if parser.nearest_follows() {
                clause.node = Some(parser.nearest(clause.node)?);
            }
            clause.node
        }
    };
    if parser.token.kind != TokenKind::End {
        return Err(parser.unexpected());
    }
    if parser.room == 0 {
        return Err(TOO_LONG);
    }
    if let Some(error) = parser.deferred {
        return Err(error);
    }
    Ok(node.unwrap_or_else(|| Node::new(Kind::Nothing)))
}

/// A clause as it is being read: none if it was only stop words.
struct Clause {
    node: Option<Node>,
    /// It consists of words alone, so a field's scope can be laid over it.
    is_text: bool,
}

impl Clause {
    fn text(node: Option<Node>) -> Clause {
        Clause { node, is_text: true }
    }

    fn other(kind: Kind) -> Clause {
        Clause { node: Some(Node::new(kind)), is_text: false }
    }
}

struct Parser<'a> {
    context: Context<'a>,
    lexer: Lexer<'a>,
    /// The token to be read next.
    token: Token<'a>,
    /// The last word-like token and the offset of the last token at all, for error messages.
    near: &'a [u8],
    last_offset: usize,
    /// An error that a syntax error further on would outrank: values are looked at after the grammar.
    deferred: Option<Error>,
    /// The NESTED field whose elements the clause that is being read is about.
    group: Option<u16>,
    /// Bytes that the tree may still take.
    room: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8], context: Context<'a>) -> Parser<'a> {
        let mut lexer = Lexer::new(text);
        let token = lexer.next_token();
        let mut parser = Parser {
            context,
            lexer,
            token,
            near: b"",
            last_offset: 0,
            deferred: None,
            group: None,
            room: TREE_BYTES_MAX,
        };
        parser.note();
        parser
    }

    /// Reads the token under the cursor and moves on.
    fn advance(&mut self) -> Token<'a> {
        let token = self.token;
        self.token = self.lexer.next_token();
        self.note();
        token
    }

    /// Remembers what error messages may quote.
    fn note(&mut self) {
        match self.token.kind {
            TokenKind::End => return,
            TokenKind::Word(text)
            | TokenKind::Number(_, text)
            | TokenKind::Quoted(text)
            | TokenKind::Field(text)
            | TokenKind::Parameter(text)
            | TokenKind::Affix(_, text, _)
            | TokenKind::Wildcard(text) => self.near = text,
            TokenKind::Compare(_) | TokenKind::Punctuation(_) | TokenKind::Arrow => {}
        }
        self.last_offset = self.token.offset;
    }

    /// Takes room in the tree; [`Parser::unary`] is where a lack of it shows.
    fn charge(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(bytes);
    }

    fn is(&self, byte: u8) -> bool {
        self.token.kind == TokenKind::Punctuation(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.is(byte);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Error {
        Error::Syntax { offset: self.last_offset, near: lossy(self.near) }
    }

    fn defer(&mut self, error: Error) {
        self.deferred.get_or_insert(error);
    }

    /// `*` alone, in dialect 2 also in parentheses.
    fn everything(&mut self) -> Option<Node> {
        let start = (self.lexer.clone(), self.token, self.near, self.last_offset);
        let mut open = 0;
        while self.context.dialect >= 2 && self.take(b'(') {
            open += 1;
        }
        let mut found = self.take(b'*');
        for _ in 0..open {
            found = found && self.take(b')');
        }
        if found && (self.token.kind == TokenKind::End || self.nearest_follows()) {
            return Some(Node::new(Kind::All));
        }
        (self.lexer, self.token, self.near, self.last_offset) = start;
        None
    }

    /// The weakest operator of the dialect and what it joins.
    fn union(&mut self, depth: usize) -> Result<Clause, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::Text(
                "Parser stack overflow. Try moving nested parentheses more to the left",
            ));
        }
        if self.context.dialect >= 2 {
            self.alternatives(depth, Parser::intersection)
        } else {
            self.sequence(depth, |parser, depth| parser.alternatives(depth, Parser::unary))
        }
    }

    fn intersection(&mut self, depth: usize) -> Result<Clause, Error> {
        self.sequence(depth, Parser::unary)
    }

    /// One or more of `operand`, joined by bars.
    fn alternatives(
        &mut self,
        depth: usize,
        operand: fn(&mut Self, usize) -> Result<Clause, Error>,
    ) -> Result<Clause, Error> {
        let mut clause = operand(self, depth)?;
        while self.take(b'|') {
            let right = operand(self, depth)?;
            clause.is_text &= right.is_text;
            clause.node = join(clause.node, right.node, Join::Or);
        }
        Ok(clause)
    }

    /// One or more of `operand`, one behind the other.
    fn sequence(
        &mut self,
        depth: usize,
        operand: fn(&mut Self, usize) -> Result<Clause, Error>,
    ) -> Result<Clause, Error> {
        let mut clause = operand(self, depth)?;
        while self.starts_clause() {
            let right = operand(self, depth)?;
            clause.is_text &= right.is_text;
            clause.node = join(clause.node, right.node, Join::And);
        }
        Ok(clause)
    }

    fn starts_clause(&self) -> bool {
        match self.token.kind {
            TokenKind::End | TokenKind::Compare(_) | TokenKind::Arrow => false,
            TokenKind::Punctuation(byte) => matches!(byte, b'(' | b'-' | b'~' | b'%'),
            _ => true,
        }
    }

    fn unary(&mut self, depth: usize) -> Result<Clause, Error> {
        if depth > DEPTH_MAX {
            return self.union(depth);
        }
        self.charge(CLAUSE_BYTES);
        if self.room == 0 {
            return Err(TOO_LONG);
        }
        if self.take(b'-') {
            let clause = self.unary(depth + 1)?;
            return Ok(Clause { node: clause.node.map(negate), ..clause });
        }
        if self.take(b'~') {
            let clause = self.unary(depth + 1)?;
            let optional = |node| Node::new(Kind::Optional(Box::new(node)));
            return Ok(Clause { node: clause.node.map(optional), ..clause });
        }
        let mut clause = self.primary(depth)?;
        while self.token.kind == TokenKind::Arrow && !self.nearest_follows() {
            self.advance();
            self.attributes(&mut clause)?;
        }
        Ok(clause)
    }

    fn primary(&mut self, depth: usize) -> Result<Clause, Error> {
        match self.token.kind {
            TokenKind::Punctuation(b'(') => {
                self.advance();
                let clause = self.union(depth + 1)?;
                self.expect(b')')?;
                Ok(clause)
            }
            TokenKind::Punctuation(b'%') => self.fuzzy(),
            TokenKind::Field(_) => self.field_clause(depth),
            TokenKind::Word(raw) => {
                self.advance();
                if raw.eq_ignore_ascii_case(b"ismissing") && self.is(b'(') {
                    return self.missing(depth);
                }
                Ok(Clause::text(self.word(raw)))
            }
            TokenKind::Number(_, raw) => {
                self.advance();
                let kind = Kind::Word { word: normalize(raw), verbatim: true };
                Ok(Clause::text(Some(Node::new(kind))))
            }
            TokenKind::Parameter(name) if self.context.dialect >= 2 => {
                self.advance();
                let value = self.parameter(name);
                let verbatim = parse_number(&value).is_some();
                let kind = Kind::Word { word: normalize(&value), verbatim };
                Ok(Clause::text(Some(Node::new(kind))))
            }
            TokenKind::Quoted(text) => {
                self.advance();
                // A word of it takes as much as a clause, and may be one letter.
                self.charge(text.len().saturating_mul(CLAUSE_BYTES / 2));
                if self.room == 0 {
                    return Err(TOO_LONG);
                }
                Ok(Clause::text(Some(phrase(text, self.context.stop_words))))
            }
            TokenKind::Affix(affix, text, written) => {
                self.advance();
                let pattern = self.affix(affix, text, written);
                Ok(Clause::text(Some(Node::new(Kind::Pattern(pattern)))))
            }
            TokenKind::Wildcard(text) => {
                self.advance();
                let pattern = Pattern::Wildcard(self.wildcard(text));
                Ok(Clause::text(Some(Node::new(Kind::Pattern(pattern)))))
            }
            TokenKind::End
            | TokenKind::Parameter(_)
            | TokenKind::Compare(_)
            | TokenKind::Punctuation(_)
            | TokenKind::Arrow => Err(self.unexpected()),
        }
    }

    fn word(&self, raw: &[u8]) -> Option<Node> {
        let word = normalize(raw);
        if self.context.stop_words.contains(&word) {
            return None;
        }
        Some(Node::new(Kind::Word { word, verbatim: false }))
    }

    fn affix(&mut self, affix: Affix, text: &[u8], written: AffixText) -> Pattern {
        let raw = match written {
            AffixText::Literal => text.to_vec(),
            AffixText::Parameter => self.parameter(text),
        };
        let text = normalize(&raw).into_bytes();
        affix_pattern(affix, text)
    }

    /// The text of `w'...'`, or of the parameter that stands there.
    fn wildcard(&mut self, text: &[u8]) -> Vec<u8> {
        let raw = match text.strip_prefix(b"$") {
            Some(name) => self.parameter(name),
            None => text.to_vec(),
        };
        shortened(&crate::tokenize::lower_bytes(&raw))
    }

    /// `%word%`, with up to three signs on each side.
    fn fuzzy(&mut self) -> Result<Clause, Error> {
        let mut signs = 0u8;
        while signs < 3 && self.take(b'%') {
            signs += 1;
        }
        let word = match self.token.kind {
            TokenKind::Word(raw) | TokenKind::Number(_, raw) => normalize(raw),
            TokenKind::Parameter(name) => {
                let value = self.parameter(name);
                normalize(&value)
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        for _ in 0..signs {
            self.expect(b'%')?;
        }
        let pattern = Pattern::Fuzzy { word, distance: signs };
        Ok(Clause::text(Some(Node::new(Kind::Pattern(pattern)))))
    }

    /// The value of `$name`; a missing one is an error once the grammar has been satisfied.
    fn parameter(&mut self, name: &[u8]) -> Vec<u8> {
        match self.context.parameters.get(name) {
            Some(value) => {
                self.charge(value.len());
                if self.room > 0 { value.clone() } else { Vec::new() }
            }
            None => {
                self.defer(Error::NoSuchParameter(lossy(name)));
                Vec::new()
            }
        }
    }

    /// `{$weight: 2; $slop: 1}` behind `=>`.
    fn attributes(&mut self, clause: &mut Clause) -> Result<(), Error> {
        self.expect(b'{')?;
        while !self.take(b'}') {
            let TokenKind::Parameter(name) = self.token.kind else {
                return Err(self.unexpected());
            };
            self.advance();
            self.expect(b':')?;
            let value = match self.token.kind {
                TokenKind::Word(text) | TokenKind::Number(_, text) => text.to_vec(),
                TokenKind::Parameter(name) => self.parameter(name),
                _ => return Err(self.unexpected()),
            };
            self.advance();
            if let Some(node) = &mut clause.node
                && let Err(error) = attribute(node, name, &value)
            {
                self.defer(error);
            }
            if !self.take(b';') && !self.is(b'}') {
                return Err(self.unexpected());
            }
        }
        Ok(())
    }
}

/// How two clauses are joined.
#[derive(Clone, Copy, PartialEq)]
enum Join {
    And,
    Or,
}

/// Joins two clauses, into the list of the left one if it is of the same sort and has nothing said about it.
fn join(left: Option<Node>, right: Option<Node>, how: Join) -> Option<Node> {
    let (mut left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (left, right) => return left.or(right),
    };
    let plain = left.says_nothing();
    match (&mut left.kind, how) {
        (Kind::And { children, exact: false }, Join::And) if plain => {
            children.push(right);
            Some(left)
        }
        (Kind::Or(children), Join::Or) if plain => {
            children.push(right);
            Some(left)
        }
        (_, Join::And) => Some(Node::new(Kind::And { children: vec![left, right], exact: false })),
        (_, Join::Or) => Some(Node::new(Kind::Or(vec![left, right]))),
    }
}

fn negate(node: Node) -> Node {
    match node.kind {
        Kind::Not(inner) => *inner,
        _ => Node::new(Kind::Not(Box::new(node))),
    }
}

/// The words of a text in quotes. Stop words are left out: they have no place in the positions either.
fn phrase(text: &[u8], stop_words: &StopWords) -> Node {
    let mut children = Vec::new();
    words(text, stop_words, |word| {
        children.push(Node::new(Kind::Word { word: word.to_owned(), verbatim: true }));
    });
    match children.len() {
        0 => Node::new(Kind::Nothing),
        _ => Node::new(Kind::And { children, exact: true }),
    }
}

/// The pattern of a word with stars.
pub(super) fn affix_pattern(affix: Affix, text: Vec<u8>) -> Pattern {
    match affix {
        Affix::Prefix => Pattern::Prefix(text),
        Affix::Suffix => Pattern::Suffix(text),
        Affix::Contains => Pattern::Contains(text),
    }
}

fn attribute(node: &mut Node, name: &[u8], value: &[u8]) -> Result<(), Error> {
    if places::apply_attribute(node, name, value)? {
        return Ok(());
    }
    let invalid = || Error::InvalidAttribute(lossy(name), lossy(value));
    if name.eq_ignore_ascii_case(b"weight") {
        node.weight = parse_number(value).filter(|w| *w >= 0.0).ok_or_else(invalid)?;
    } else if name.eq_ignore_ascii_case(b"slop") {
        let slop = crate::args::parse_integer(value).filter(|s| *s >= -1).ok_or_else(invalid)?;
        node.slop = Some(slop);
    } else if name.eq_ignore_ascii_case(b"inorder") {
        node.in_order = Some(boolean(value).ok_or_else(invalid)?);
    } else if name.eq_ignore_ascii_case(b"phonetic") {
        node.set_phonetic(boolean(value).ok_or_else(invalid)?);
    } else {
        return Err(Error::BadArgument(lossy(name), crate::error::ArgumentError::Parse));
    }
    Ok(())
}

fn boolean(value: &[u8]) -> Option<bool> {
    match value.to_ascii_lowercase().as_slice() {
        b"true" | b"1" => Some(true),
        b"false" | b"0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
