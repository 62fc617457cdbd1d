//! How are filters and computed expressions read?
//!
//! The rules from `filter` to `term` of the grammar. A parenthesis may hold a condition or a value, and which it was is
//! known only behind it (`(@.a) == 1`, `(@.a == 1)`), so the rules hand on [`Read`], and whoever needs one of the two
//! says so. This keeps reading linear: nothing is read twice.

use super::{Parsed, Parser, is_name_byte};
use crate::path::pattern::Pattern;
use crate::path::{
    Arithmetic, Dialect, Expression, Extent, Function, Operator, Relation, Segment, Selector, Term,
};
use crate::value::{Value, View};

/// What was read: something with a value, or something that holds or does not.
pub(super) enum Read {
    Value(Term),
    Test(Expression),
}

impl Read {
    fn into_test(self) -> Expression {
        match self {
            Read::Value(term) => Expression::Holds(term),
            Read::Test(expression) => expression,
        }
    }
}

/// What stands between two values.
enum Infix {
    Compare(Operator),
    Relate(Relation),
    Matches,
}

/// Longer tokens first: `<` begins `<=`.
const SYMBOLS: [(&str, Infix); 7] = [
    ("==", Infix::Compare(Operator::Equal)),
    ("!=", Infix::Compare(Operator::NotEqual)),
    ("<=", Infix::Compare(Operator::LessOrEqual)),
    (">=", Infix::Compare(Operator::GreaterOrEqual)),
    ("<", Infix::Compare(Operator::Less)),
    (">", Infix::Compare(Operator::Greater)),
    ("=~", Infix::Matches),
];

/// Operators that are words; as the first step behind `@` or `$` they are not names.
const WORDS: [(&str, Relation); 8] = [
    ("in", Relation::In),
    ("nin", Relation::NotIn),
    ("subsetof", Relation::SubsetOf),
    ("anyof", Relation::AnyOf),
    ("noneof", Relation::NoneOf),
    ("sizeof", Relation::SizeOf),
    ("size", Relation::SizeOf),
    ("empty", Relation::Empty),
];

const FUNCTIONS: [(&str, Function, usize); 17] = [
    ("length", Function::Length, 1),
    ("count", Function::Count, 1),
    ("value", Function::Value, 1),
    ("ceiling", Function::Ceiling, 1),
    ("floor", Function::Floor, 1),
    ("abs", Function::Abs, 1),
    // Any number but none.
    ("concat", Function::Concat, 0),
    ("sum", Function::Sum, 1),
    ("min", Function::Min, 1),
    ("max", Function::Max, 1),
    ("avg", Function::Average, 1),
    ("stddev", Function::Deviation, 1),
    ("keys", Function::Keys, 1),
    ("append", Function::Append, 2),
    ("first", Function::First, 1),
    ("last", Function::Last, 1),
    ("index", Function::Index, 2),
];

impl<'t> Parser<'t> {
    pub(super) fn filter(&mut self) -> Parsed<Expression> {
        Ok(self.disjunction()?.into_test())
    }

    fn disjunction(&mut self) -> Parsed<Read> {
        self.joined("||", Self::conjunction, Expression::Any)
    }

    fn conjunction(&mut self) -> Parsed<Read> {
        self.joined("&&", Self::negation, Expression::All)
    }

    fn joined(
        &mut self,
        token: &str,
        rule: fn(&mut Self) -> Parsed<Read>,
        many: fn(Vec<Expression>) -> Expression,
    ) -> Parsed<Read> {
        let first = rule(self)?;
        if !self.eat_next(token) {
            return Ok(first);
        }
        let mut tests = vec![first.into_test()];
        loop {
            self.blanks();
            tests.push(rule(self)?.into_test());
            if !self.eat_next(token) {
                return Ok(Read::Test(many(tests)));
            }
        }
    }

    fn negation(&mut self) -> Parsed<Read> {
        if self.peek() != Some(b'!') {
            return self.test();
        }
        self.at += 1;
        self.blanks();
        let inner = self.nested(Self::negation)?.into_test();
        Ok(Read::Test(Expression::Not(Box::new(inner))))
    }

    fn test(&mut self) -> Parsed<Read> {
        let left = match self.sum()? {
            Read::Value(left) => left,
            test => return Ok(test),
        };
        let Some(infix) = self.infix() else { return Ok(Read::Value(left)) };
        self.blanks();
        Ok(Read::Test(match infix {
            Infix::Compare(operator) => {
                Expression::Compare { left, operator, right: self.sum_value()? }
            }
            Infix::Relate(relation) => {
                Expression::Relate { left, relation, right: self.sum_value()? }
            }
            Infix::Matches => {
                let right = self.sum_value()?;
                let pattern = self.pattern(right, Extent::Part)?;
                Expression::Matches { subject: left, pattern }
            }
        }))
    }

    fn infix(&mut self) -> Option<Infix> {
        for (token, infix) in SYMBOLS {
            if self.eat_next(token) {
                return Some(infix);
            }
        }
        let before = self.at;
        self.blanks();
        if let Some((word, relation)) = self.word_operator() {
            self.at += word.len();
            return Some(Infix::Relate(relation));
        }
        self.at = before;
        None
    }

    /// The word operator that stands here.
    fn word_operator(&self) -> Option<(&'static str, Relation)> {
        let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let len = self.rest().iter().take_while(word).count();
        WORDS.into_iter().find(|(word, _)| word.as_bytes() == &self.rest()[..len])
    }

    fn sum_value(&mut self) -> Parsed<Term> {
        match self.sum()? {
            Read::Value(term) => Ok(term),
            Read::Test(_) => self.fail("a value, not a condition"),
        }
    }

    pub(super) fn sum(&mut self) -> Parsed<Read> {
        self.operations(Self::product, &[(b'+', Arithmetic::Add), (b'-', Arithmetic::Subtract)])
    }

    fn product(&mut self) -> Parsed<Read> {
        self.operations(
            Self::factor,
            &[
                (b'*', Arithmetic::Multiply),
                (b'/', Arithmetic::Divide),
                (b'%', Arithmetic::Remainder),
            ],
        )
    }

    /// Operations of one rank on what `rule` reads.
    fn operations(
        &mut self,
        rule: fn(&mut Self) -> Parsed<Read>,
        operators: &[(u8, Arithmetic)],
    ) -> Parsed<Read> {
        let first = match rule(self)? {
            Read::Value(first) => first,
            test => return Ok(test),
        };
        let mut rest = Vec::new();
        loop {
            let before = self.at;
            self.blanks();
            let found = operators.iter().find(|(byte, _)| self.peek() == Some(*byte));
            let Some(&(_, operation)) = found else {
                self.at = before;
                break;
            };
            self.at += 1;
            self.blanks();
            match rule(self)? {
                Read::Value(term) => rest.push((operation, term)),
                Read::Test(_) => return self.fail("a value, not a condition"),
            }
        }
        if rest.is_empty() {
            return Ok(Read::Value(first));
        }
        Ok(Read::Value(Term::Arithmetic { first: Box::new(first), rest }))
    }

    fn factor(&mut self) -> Parsed<Read> {
        let negative = match self.rest() {
            // A negative literal.
            [b'-', b'0'..=b'9', ..] => return self.primary(),
            [b'-', ..] => true,
            [b'+', ..] => false,
            _ => return self.primary(),
        };
        self.at += 1;
        self.blanks();
        match self.primary()? {
            Read::Value(term) => Ok(Read::Value(Term::Signed { negative, term: Box::new(term) })),
            Read::Test(_) => self.fail("a value, not a condition"),
        }
    }

    fn primary(&mut self) -> Parsed<Read> {
        if self.peek() == Some(b'(') {
            return self.nested(|parser| {
                parser.at += 1;
                parser.blanks();
                let inner = parser.disjunction()?;
                parser.blanks();
                parser.expect(b')', "`)` or an operator")?;
                Ok(inner)
            });
        }
        let term = self.term()?;
        Ok(Read::Value(self.methods(term)?))
    }

    /// `~`, or methods, of a term.
    fn methods(&mut self, mut term: Term) -> Parsed<Term> {
        if self.eat_next("~") {
            return Ok(Term::Call { function: Function::Keys, arguments: vec![term] });
        }
        let nesting = self.nesting;
        while self.at_method() {
            // Each puts the term one level deeper.
            term = self.nested(|parser| {
                let name = parser.function_name();
                parser.arguments(name, Some(term))
            })?;
            self.nesting += 1;
        }
        self.nesting = nesting;
        Ok(term)
    }

    /// Goes past the dot of a method, if one comes next.
    fn at_method(&mut self) -> bool {
        let before = self.at;
        let found = self.eat_next(".") && {
            self.blanks();
            self.at_call()
        };
        if !found {
            self.at = before;
        }
        found
    }

    /// Whether the name of a function with its parenthesis stands here.
    pub(super) fn at_call(&self) -> bool {
        let rest = self.rest();
        let len = function_len(rest);
        let behind = rest[len..].iter().find(|byte| **byte != b' ');
        len > 0 && behind == Some(&b'(')
    }

    /// Goes past the name of a function and its parenthesis.
    fn function_name(&mut self) -> &'t [u8] {
        let rest = self.rest();
        let len = function_len(rest);
        self.at += len;
        self.blanks();
        self.at += 1;
        &rest[..len]
    }

    /// The arguments of a function, up to the closing parenthesis.
    fn arguments(&mut self, name: &[u8], receiver: Option<Term>) -> Parsed<Term> {
        let mut arguments = Vec::from_iter(receiver);
        self.blanks();
        if self.peek() != Some(b')') {
            loop {
                arguments.push(self.sum_value()?);
                if !self.comma() {
                    break;
                }
            }
        }
        self.blanks();
        self.expect(b')', "`,` or `)`")?;
        match name {
            b"match" => self.match_call(arguments, Extent::Whole),
            b"search" => self.match_call(arguments, Extent::Part),
            name => Ok(call(name, arguments)),
        }
    }

    fn match_call(&mut self, arguments: Vec<Term>, extent: Extent) -> Parsed<Term> {
        let mut arguments = arguments.into_iter();
        let (Some(subject), Some(pattern)) = (arguments.next(), arguments.next()) else {
            return Ok(Term::Literal(Value::bool(false)));
        };
        let pattern = Box::new(self.pattern(pattern, extent)?);
        Ok(Term::Match { subject: Box::new(subject), pattern, extent })
    }

    fn pattern(&mut self, term: Term, extent: Extent) -> Parsed<Pattern> {
        let text = match &term {
            Term::Literal(value) => match value.view() {
                View::Text(text) => std::str::from_utf8(text).ok().map(str::to_owned),
                _ => None,
            },
            _ => None,
        };
        Ok(match text {
            Some(text) => Pattern::Compiled(self.compiled(&text, extent, Dialect::RedisJson)?),
            None => Pattern::Looked(term, Dialect::RedisJson),
        })
    }

    fn term(&mut self) -> Parsed<Term> {
        if self.at_call() {
            return self.nested(|parser| {
                let name = parser.function_name();
                parser.arguments(name, None)
            });
        }
        match self.peek() {
            Some(b'@') => Ok(Term::Current(self.term_path()?)),
            Some(b'$') => Ok(Term::Root(self.term_path()?)),
            Some(b'-' | b'0'..=b'9' | b'\'' | b'"' | b'[' | b'{' | b't' | b'f' | b'n') => {
                Ok(Term::Literal(self.literal()?))
            }
            _ => self.fail("`@`, `$`, a literal, a function, `!` or `(`"),
        }
    }

    fn term_path(&mut self) -> Parsed<Vec<Segment>> {
        self.at += 1;
        let before = self.at;
        let apart = self.blanks();
        // `@name` is `@.name`.
        let selector = match self.peek() {
            Some(b'+' | b'-' | b'*' | b'/' | b'%') if apart && self.stands_alone() => None,
            Some(b'*') => {
                self.at += 1;
                Some(Selector::All)
            }
            Some(byte) if is_name_byte(byte) && self.word_operator().is_none() => {
                Some(Selector::Name(self.name()?))
            }
            _ => None,
        };
        if selector.is_none() {
            self.at = before;
        }
        let first = selector.map(|selector| Segment { descends: false, selector });
        let mut segments = Vec::from_iter(first);
        segments.extend(self.segments()?);
        Ok(segments)
    }

    /// Whether a blank follows the byte that stands here.
    fn stands_alone(&self) -> bool {
        self.rest().get(1) == Some(&b' ')
    }
}

/// Bytes of the function name at the start of `rest`.
fn function_len(rest: &[u8]) -> usize {
    if !rest.first().is_some_and(u8::is_ascii_alphabetic) {
        return 0;
    }
    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

/// A call, or nothing if there is no such function or it takes another number of arguments.
fn call(name: &[u8], arguments: Vec<Term>) -> Term {
    let found = FUNCTIONS.into_iter().find(|(known, ..)| known.as_bytes() == name);
    match found {
        Some((_, function, 0)) if !arguments.is_empty() => Term::Call { function, arguments },
        Some((_, function, count)) if count > 0 && arguments.len() == count => {
            Term::Call { function, arguments }
        }
        _ => Term::Nothing,
    }
}
