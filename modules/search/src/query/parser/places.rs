//! Which clauses are about places: on earth, on a surface, among vectors?
//!
//! `@f:[lon lat radius unit]`, `@f:[WITHIN $shape]` and its kin, `@f:[VECTOR_RANGE radius $vector]`, and behind a whole
//! query `=>[KNN k @f $vector ...]`. Shapes and vectors come as parameters only.

use std::sync::Arc;

use crate::args::{lossy, parse_integer, parse_number};
use crate::error::Error;
use crate::geo::Circle;
use crate::query::ast::{Kind, Node, VectorClause};
use crate::query::lexer::{Token, TokenKind};
use crate::query::parser::fields::{field_name, wrong_type};
use crate::query::parser::{Clause, Parser};
use crate::schema::{Field, FieldKind};
use crate::shape::{Question, Relation};

/// What a byte of a shape's text may take in the tree.
const SHAPE_BYTES: usize = 16;
/// How many neighbours may be asked for; RediSearch's limit.
const K_MAX: u64 = 1 << 58;

type Found<'a> = Option<(u16, &'a Field)>;

impl<'a> Parser<'a> {
    /// `radius unit]`, behind the two coordinates.
    pub(super) fn circle(
        &mut self,
        (lon, lat): (f64, f64),
        found: Found<'_>,
        token: Token<'_>,
    ) -> Result<Clause, Error> {
        let radius = self.number()?;
        let unit = match self.token.kind {
            TokenKind::Word(text) => text.to_vec(),
            TokenKind::Parameter(name) => self.parameter(name),
            _ => return Err(self.unexpected()),
        };
        self.advance();
        self.expect(b']')?;
        let field = match found {
            Some((number, Field { kind: FieldKind::Geo, .. })) => number,
            Some(_) if self.context.dialect >= 2 => {
                return Err(wrong_type("Expected a GEO field", token));
            }
            _ => return Ok(Clause::other(Kind::Nothing)),
        };
        Ok(Clause::other(match Circle::new(lon, lat, radius, &unit) {
            Ok(circle) => Kind::Circle { field, circle },
            Err(text) => {
                self.defer(Error::Text(text));
                Kind::Nothing
            }
        }))
    }

    /// `VECTOR_RANGE radius $vector]` or `WITHIN $shape]`, at the word behind the bracket.
    pub(super) fn place_clause(
        &mut self,
        word: &[u8],
        found: Found<'_>,
        token: Token<'_>,
    ) -> Result<Clause, Error> {
        if self.context.dialect < 2 {
            return Err(self.unexpected());
        }
        self.advance();
        if word.eq_ignore_ascii_case(b"VECTOR_RANGE") {
            return self.vector_range(found, token);
        }
        let TokenKind::Parameter(name) = self.token.kind else { return Err(self.unexpected()) };
        let Some(relation) = Relation::find(word) else { return Err(self.unexpected()) };
        self.advance();
        self.expect(b']')?;
        let Some((field, Field { kind: FieldKind::GeoShape(surface), .. })) = found else {
            return Err(wrong_type("Expected a GEOSHAPE field", token));
        };
        let text = self.parameter(name);
        // A corner takes four bytes of text at least, and many more as a number.
        self.charge(text.len().saturating_mul(SHAPE_BYTES));
        Ok(Clause::other(match Question::new(relation, &text, *surface) {
            Ok(question) => Kind::Shape { field, question: Arc::new(question) },
            Err(why) => {
                self.defer(Error::Formatted(format!("Error querying geoshape index: {why}")));
                Kind::Nothing
            }
        }))
    }

    fn vector_range(&mut self, found: Found<'_>, token: Token<'_>) -> Result<Clause, Error> {
        let radius = self.number()?;
        let (vector, parameter) = self.vector()?;
        self.expect(b']')?;
        let Some((field, Field { kind: FieldKind::Vector { .. }, .. })) = found else {
            return Err(wrong_type("Expected a VECTOR field", token));
        };
        let clause = VectorClause { field, vector, parameter, ..VectorClause::default() };
        Ok(Clause::other(Kind::Around { clause, radius }))
    }

    /// `$name`, a vector.
    fn vector(&mut self) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let TokenKind::Parameter(name) = self.token.kind else { return Err(self.unexpected()) };
        self.advance();
        Ok((self.parameter(name), name.to_vec()))
    }

    /// Whether `=>[` comes next.
    pub(super) fn nearest_follows(&self) -> bool {
        self.context.dialect >= 2
            && self.token.kind == TokenKind::Arrow
            && self.lexer.clone().next_token().kind == TokenKind::Punctuation(b'[')
    }

    /// `=>[KNN k @field $vector (NAME value)... [AS name]]`, behind what the documents must match.
    pub(super) fn nearest(&mut self, filter: Option<Node>) -> Result<Node, Error> {
        self.advance();
        self.expect(b'[')?;
        match self.token.kind {
            TokenKind::Word(word) if word.eq_ignore_ascii_case(b"KNN") => self.advance(),
            _ => return Err(self.unexpected()),
        };
        let k = self.neighbours()?;
        let token = self.advance();
        let TokenKind::Field(_) = token.kind else { return Err(self.unexpected()) };
        let found = self.lookup(token)?;
        let Some((field, Field { kind: FieldKind::Vector { .. }, .. })) = found else {
            return Err(wrong_type("Expected a VECTOR field", token));
        };
        let (vector, parameter) = self.vector()?;
        let mut clause = VectorClause { field, vector, parameter, ..VectorClause::default() };
        self.vector_attributes(&mut clause)?;
        self.expect(b']')?;
        let filter = filter.map(Box::new);
        let node = Node::new(Kind::Nearest { clause, k, filter });
        let mut clause = Clause { node: Some(node), is_text: false };
        if self.token.kind == TokenKind::Arrow {
            self.advance();
            self.attributes(&mut clause)?;
        }
        let mut node = clause.node.expect("it was just put there");
        if let Kind::Nearest { clause, .. } = &mut node.kind
            && clause.yields.is_none()
        {
            clause.yields = Some(format!("__{}_score", field_name(token)).into_bytes());
        }
        Ok(node)
    }

    /// How many neighbours: a whole number or a parameter that holds one.
    fn neighbours(&mut self) -> Result<usize, Error> {
        let text = match self.token.kind {
            TokenKind::Number(_, text) if text.iter().all(u8::is_ascii_digit) => text.to_vec(),
            TokenKind::Parameter(name) => self.parameter(name),
            _ => return Err(self.unexpected()),
        };
        self.advance();
        match parse_integer(&text).and_then(|k| u64::try_from(k).ok()) {
            Some(k) if k <= K_MAX => return Ok(usize::try_from(k).unwrap_or(usize::MAX)),
            Some(_) => self.defer(Error::Formatted(format!(
                "Error parsing vector similarity query: query KNN K parameter is too large, must not exceed {K_MAX}"
            ))),
            None => self.defer(Error::InvalidNumber(lossy(&text))),
        }
        Ok(0)
    }

    fn vector_attributes(&mut self, clause: &mut VectorClause) -> Result<(), Error> {
        while let TokenKind::Word(name) = self.token.kind {
            self.advance();
            let value = match self.token.kind {
                TokenKind::Word(text) | TokenKind::Number(_, text) => text.to_vec(),
                TokenKind::Parameter(name) => self.parameter(name),
                _ => return Err(self.unexpected()),
            };
            self.advance();
            if name.eq_ignore_ascii_case(b"AS") {
                clause.yields = Some(value);
                return Ok(());
            }
            if let Err(why) = vector_attribute(clause, name, &value, Ask::Nearest) {
                self.defer(why);
            }
        }
        Ok(())
    }
}

/// Which kind of vector clause an attribute is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Nearest,
    Range,
}

/// Attributes of a vector clause, `{$ef_runtime: 20}`; answers whether the clause is one and knows this name.
pub(super) fn apply_attribute(node: &mut Node, name: &[u8], value: &[u8]) -> Result<bool, Error> {
    let (clause, ask) = match &mut node.kind {
        Kind::Nearest { clause, .. } => (clause, Ask::Nearest),
        Kind::Around { clause, .. } => (clause, Ask::Range),
        _ => return Ok(false),
    };
    if name.eq_ignore_ascii_case(b"yield_distance_as") {
        if let Some(first) = &clause.yields {
            return Err(Error::Formatted(format!(
                "Distance field was specified twice for vector query: {} and {}",
                lossy(first),
                lossy(value)
            )));
        }
        clause.yields = Some(value.to_vec());
        return Ok(true);
    }
    let known: [&[u8]; 7] = [
        b"EF_RUNTIME",
        b"EPSILON",
        b"HYBRID_POLICY",
        b"BATCH_SIZE",
        b"SEARCH_WINDOW_SIZE",
        b"SEARCH_BUFFER_CAPACITY",
        b"USE_SEARCH_HISTORY",
    ];
    if !known.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Ok(false);
    }
    vector_attribute(clause, name, value, ask).map(|()| true)
}

fn vector_attribute(
    clause: &mut VectorClause,
    name: &[u8],
    value: &[u8],
    ask: Ask,
) -> Result<(), Error> {
    let wrong =
        |why: &str| Error::Formatted(format!("Error parsing vector similarity parameters: {why}"));
    let count = || {
        let count = parse_integer(value).and_then(|count| usize::try_from(count).ok());
        count.filter(|count| *count > 0).ok_or_else(|| wrong("Invalid value was given"))
    };
    let once =
        |given: bool| if given { Err(wrong("Parameter was specified twice")) } else { Ok(()) };
    match name.to_ascii_uppercase().as_slice() {
        b"EF_RUNTIME" | b"SEARCH_WINDOW_SIZE" if ask == Ask::Nearest => {
            once(clause.ef.is_some())?;
            clause.ef = Some(count()?);
        }
        b"EPSILON" if ask == Ask::Range => {
            once(clause.epsilon.is_some())?;
            let epsilon = parse_number(value).filter(|epsilon| *epsilon > 0.0);
            clause.epsilon = Some(epsilon.ok_or_else(|| wrong("Invalid value was given"))?);
        }
        b"EPSILON" => return Err(wrong("range query attributes were sent for a non-range query")),
        // Which way a filter is joined with the graph is decided by what each would cost.
        b"HYBRID_POLICY" if ask == Ask::Nearest => {
            let policies: [&[u8]; 2] = [b"BATCHES", b"ADHOC_BF"];
            if !policies.iter().any(|policy| value.eq_ignore_ascii_case(policy)) {
                return Err(wrong("invalid hybrid policy was given"));
            }
        }
        b"BATCH_SIZE" if ask == Ask::Nearest => drop(count()?),
        b"SEARCH_BUFFER_CAPACITY" | b"USE_SEARCH_HISTORY" => {}
        b"HYBRID_POLICY" | b"BATCH_SIZE" => {
            return Err(wrong("hybrid query attributes were sent for a non-hybrid query"));
        }
        _ => return Err(wrong("Invalid option")),
    }
    Ok(())
}
