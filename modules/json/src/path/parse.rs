//! How is the text of a path read?
//!
//! A recursive-descent parser over bytes, one function per rule of the grammar:
//!
//! ```text
//! query      = sum                                          a path if it is a bare "$" segment*, perhaps in parentheses
//! segment    = ".." (name | "*" | bracket) | "." (name | "*" | bracket) | bracket
//! bracket    = "[" ("*" | strings | integers | slice | "?" filter) "]"
//! name       = (ASCII letter, digit, or one of - _ ` + # % $ ^ / :)+
//! filter     = and ("||" and)*     and = not ("&&" not)*     not = "!" not | test
//! test       = sum [operator sum]
//! operator   = "==" "!=" "<" "<=" ">" ">=" "=~" "in" "nin" "subsetof" "anyof" "noneof" "sizeof" "size" "empty"
//! sum        = product (("+" | "-") product)*     product = factor (("*" | "/" | "%") factor)*
//! factor     = ["+" | "-"] ("(" filter ")" | term ("~" | method*))
//! method     = "." function "(" sums ")"
//! term       = literal | ("@" | "$") [name | "*"] segment* | function "(" sums ")"
//! ```
//!
//! Blanks may stand between tokens. `+`, `-`, `/` and `%` may be part of a name, so behind one they need a blank. A
//! legacy path is put behind a `$` first: `.` is the root, `.a` is `$.a`, `a` is `$.a`, `[1]` is `$.[1]`.
//!
//! Invariants: the parser never goes back by more than a token, and never recurses deeper than [`NESTING_MAX`].

mod expression;
mod literal;
mod rfc;

use std::fmt;

use self::expression::Read;
use super::{Computed, Dialect, Extent, Path, PathKind, Query, Segment, Selector, Term};
use crate::path::pattern::{Searcher, compile};
use crate::value::Name;

/// A longer path is refused: nobody writes one, and everything in it costs memory and time.
pub const PATH_BYTES_MAX: usize = 64 * 1024;
/// How deep brackets and parentheses may nest.
pub const NESTING_MAX: usize = 128;
/// How many regular expressions may stand in a path; compiled, each may take a megabyte.
pub const PATTERNS_MAX: usize = 32;
/// How much of the path an error shows on either side of the place.
const SHOWN_BYTES: usize = 24;

/// Why text is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    position: usize,
    problem: Problem,
    /// The path around the position, which a caret marks.
    shown: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Expected(&'static str),
    TooDeep,
    TooLong,
    TooManyPatterns,
    /// It computes something, and a path was wanted.
    Computes,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PathError { position, problem, shown } = self;
        if *problem == Problem::Computes {
            return f.write_str(
                "ERR computed/projection expressions are only supported by JSON.GET/JSON.MGET/JSON.RESP",
            );
        }
        write!(f, "Error occurred at position {position}, ")?;
        match problem {
            Problem::Expected(expected) => {
                write!(f, "expected one of the following: {expected}")?;
            }
            Problem::TooDeep => write!(f, "nesting too deep (max depth {NESTING_MAX})")?,
            Problem::TooLong => write!(f, "path too long (max {PATH_BYTES_MAX} bytes)")?,
            Problem::TooManyPatterns => {
                write!(f, "too many regular expressions (max {PATTERNS_MAX})")?;
            }
            Problem::Computes => {}
        }
        write!(f, " --> {shown}")
    }
}

impl std::error::Error for PathError {}

/// The part of `text` around byte `at`, with a caret in front of it, fit for a one-line reply.
fn shown(text: &str, at: usize) -> Box<str> {
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let at = boundary(at.min(text.len()));
    let start = boundary(at.saturating_sub(SHOWN_BYTES));
    let end = boundary((at + SHOWN_BYTES).min(text.len()));
    let printable = |c: char| if c.is_control() { '?' } else { c };
    let mut shown = String::new();
    shown.push_str(if start > 0 { "..." } else { "" });
    shown.extend(text[start..at].chars().map(printable));
    shown.push('^');
    shown.extend(text[at..end].chars().map(printable));
    shown.push_str(if end < text.len() { "..." } else { "" });
    shown.into()
}

/// What was read.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) query: Query,
    /// How many regular expressions stand in it.
    pub(super) patterns: usize,
}

/// Compiles a path, or an expression that computes something.
pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Compiled, PathError> {
    if text.len() > PATH_BYTES_MAX {
        let shown = shown(text, PATH_BYTES_MAX);
        return Err(PathError { position: PATH_BYTES_MAX, problem: Problem::TooLong, shown });
    }
    if dialect == Dialect::Rfc9535 {
        let mut parser = Parser::new(text, 0);
        let segments = parser.strict_whole()?;
        let query = Query::Path(Path::new(PathKind::JsonPath, segments).into());
        return Ok(Compiled { query, patterns: parser.patterns });
    }
    match kind_of(text) {
        PathKind::JsonPath => Parser::new(text, 0).compile(PathKind::JsonPath),
        PathKind::Legacy => {
            let rewritten = match text {
                "." => "$".to_owned(),
                _ if text.starts_with('.') => format!("${text}"),
                _ => format!("$.{text}"),
            };
            let added = rewritten.len().saturating_sub(text.len());
            Parser::new(&rewritten, added).compile(PathKind::Legacy)
        }
    }
}

impl PathError {
    /// What a command answers that takes no computed expression.
    pub(super) fn computes() -> PathError {
        PathError { position: 0, problem: Problem::Computes, shown: "".into() }
    }
}

/// A JSONPath is a bare `$`, begins `$.`, `$[` or `$~`, or can only be an expression: something in parentheses, a sign
/// in front of these, or a function's name and a parenthesis. All else is a legacy path, such as a member called `$a`.
fn kind_of(text: &str) -> PathKind {
    let without_blanks = |bytes: &[u8]| bytes.iter().position(|&byte| byte != b' ');
    let rooted =
        |bytes: &[u8]| matches!(bytes, [b'$'] | [b'$', b'.' | b'[' | b'~', ..] | [b'(', ..]);
    let bytes = text.as_bytes();
    let is_path = match bytes {
        [b'+' | b'-', rest @ ..] => without_blanks(rest).is_some_and(|at| rooted(&rest[at..])),
        [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => {
            let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let rest = &bytes[bytes.iter().take_while(|byte| name(byte)).count()..];
            without_blanks(rest).is_some_and(|at| rest[at] == b'(')
        }
        bytes => rooted(bytes),
    };
    if is_path { PathKind::JsonPath } else { PathKind::Legacy }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    nesting: usize,
    /// Regular expressions so far.
    patterns: usize,
    /// Bytes in front of what the user wrote.
    added: usize,
}

type Parsed<T> = Result<T, PathError>;

impl<'t> Parser<'t> {
    fn new(text: &'t str, added: usize) -> Parser<'t> {
        Parser { text, at: 0, nesting: 0, patterns: 0, added }
    }

    fn compile(mut self, kind: PathKind) -> Parsed<Compiled> {
        let term = match self.sum()? {
            Read::Value(term) => term,
            Read::Test(_) => return self.fail("a value, not a condition"),
        };
        self.blanks();
        if self.at < self.text.len() {
            return self.fail("`.`, `..`, `[`, `~`, an arithmetic operator or the end of the path");
        }
        let query = match term {
            Term::Root(segments) => Query::Path(Path::new(kind, segments).into()),
            term => Query::Computed(Computed { kind, term }.into()),
        };
        Ok(Compiled { query, patterns: self.patterns })
    }

    fn fail<T>(&self, expected: &'static str) -> Parsed<T> {
        self.refuse(Problem::Expected(expected))
    }

    fn refuse<T>(&self, problem: Problem) -> Parsed<T> {
        let position = self.at.saturating_sub(self.added);
        let written = &self.text[self.added.min(self.text.len())..];
        Err(PathError { position, problem, shown: shown(written, position) })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token.as_bytes());
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Parsed<()> {
        if self.peek() != Some(byte) {
            return self.fail(expected);
        }
        self.at += 1;
        Ok(())
    }

    /// Skips blanks and says whether there were any.
    fn blanks(&mut self) -> bool {
        let before = self.at;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.at > before
    }

    /// Goes past blanks to `token`, if it comes next.
    fn eat_next(&mut self, token: &str) -> bool {
        let before = self.at;
        self.blanks();
        let found = self.eat(token);
        if !found {
            self.at = before;
        }
        found
    }

    /// Runs `rule` one level deeper.
    fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == NESTING_MAX {
            return self.refuse(Problem::TooDeep);
        }
        self.nesting += 1;
        let parsed = rule(self);
        self.nesting -= 1;
        parsed
    }

    /// Compiles a regular expression that stands in the path.
    fn compiled(
        &mut self,
        pattern: &str,
        extent: Extent,
        dialect: Dialect,
    ) -> Parsed<Option<Searcher>> {
        if self.patterns == PATTERNS_MAX {
            return self.refuse(Problem::TooManyPatterns);
        }
        self.patterns += 1;
        Ok(compile(pattern, extent, dialect))
    }

    fn segments(&mut self) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        loop {
            let before = self.at;
            self.blanks();
            let descends = self.eat("..");
            let dotted = descends || self.eat(".");
            if !dotted && self.peek() != Some(b'[') {
                self.at = before;
                return Ok(segments);
            }
            if dotted {
                self.blanks();
            }
            if dotted && !descends && self.at_call() {
                // A method of what the path yields.
                self.at = before;
                return Ok(segments);
            }
            let selector = match self.peek() {
                Some(b'[') => self.nested(Self::bracket)?,
                Some(b'*') => {
                    self.at += 1;
                    Selector::All
                }
                _ => Selector::Name(self.name()?),
            };
            segments.push(Segment { descends, selector });
        }
    }

    fn name(&mut self) -> Parsed<Name> {
        let len = self.rest().iter().take_while(|byte| is_name_byte(**byte)).count();
        if len == 0 {
            return self.fail("a member name, `*` or `[`");
        }
        let name = &self.text[self.at..self.at + len];
        self.at += len;
        Ok(Name::new(name))
    }

    fn bracket(&mut self) -> Parsed<Selector> {
        self.expect(b'[', "`[`")?;
        self.blanks();
        let selector = match self.peek() {
            Some(b'*') => {
                self.at += 1;
                Selector::All
            }
            Some(b'\'' | b'"') => self.names()?,
            Some(b'?') => {
                self.at += 1;
                self.blanks();
                Selector::Filter(self.filter()?)
            }
            Some(b'-' | b':' | b'0'..=b'9') => self.indices_or_slice()?,
            _ => return self.fail("`*`, `?`, a string, an integer or `:`"),
        };
        self.blanks();
        self.expect(b']', "`]`")?;
        Ok(selector)
    }

    fn names(&mut self) -> Parsed<Selector> {
        let first = Name::new(&self.string()?);
        if !self.comma() {
            return Ok(Selector::Name(first));
        }
        let mut names = vec![first];
        loop {
            names.push(Name::new(&self.string()?));
            if !self.comma() {
                return Ok(Selector::Names(names));
            }
        }
    }

    fn indices_or_slice(&mut self) -> Parsed<Selector> {
        let first = match self.peek() {
            Some(b':') => None,
            _ => Some(self.integer()?),
        };
        self.blanks();
        if self.peek() == Some(b':') {
            return self.slice(first);
        }
        let mut indices = Vec::from_iter(first);
        while self.comma() {
            indices.push(self.integer()?);
        }
        Ok(Selector::Indices(indices))
    }

    fn slice(&mut self, start: Option<i64>) -> Parsed<Selector> {
        self.expect(b':', "`:`")?;
        self.blanks();
        let end = self.bound()?;
        self.blanks();
        let mut step = 1;
        if self.eat(":") {
            self.blanks();
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                step = usize::try_from(self.integer()?).unwrap_or(usize::MAX);
                if step == 0 {
                    return self.fail("a step of at least 1");
                }
            }
        }
        Ok(Selector::Slice { start, end, step })
    }

    fn bound(&mut self) -> Parsed<Option<i64>> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => Ok(Some(self.integer()?)),
            _ => Ok(None),
        }
    }

    fn comma(&mut self) -> bool {
        let before = self.at;
        self.blanks();
        if !self.eat(",") {
            self.at = before;
            return false;
        }
        self.blanks();
        true
    }

    /// An integer without leading zeros; one that no array could have saturates and matches nothing.
    fn integer(&mut self) -> Parsed<i64> {
        let negative = self.eat("-");
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = &self.text[self.at..self.at + digits];
        if digits == 0 || (digits > 1 && text.starts_with('0')) {
            return self.fail("an integer without leading zeros");
        }
        self.at += digits;
        let magnitude = text.parse().unwrap_or(i64::MAX);
        Ok(if negative { -magnitude } else { magnitude })
    }

    /// A string in either quotes, in which the backslash escapes itself and the quote.
    fn string(&mut self) -> Parsed<String> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => return self.fail("a string"),
        };
        self.at += 1;
        let mut string = String::new();
        let mut copied = self.at;
        loop {
            match self.peek() {
                Some(b'\\') => {
                    string.push_str(&self.text[copied..self.at]);
                    match self.rest().get(1) {
                        Some(&escaped) if escaped == b'\\' || escaped == quote => {
                            string.push(char::from(escaped));
                            self.at += 2;
                            copied = self.at;
                        }
                        _ => {
                            // Any other backslash stands for itself, which regular expressions need.
                            copied = self.at;
                            self.at += 1;
                        }
                    }
                }
                Some(byte) if byte == quote => {
                    string.push_str(&self.text[copied..self.at]);
                    self.at += 1;
                    return Ok(string);
                }
                Some(_) => self.at += 1,
                None => return self.fail("the closing quote"),
            }
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_`+#%$^/:".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(text: &str) -> Result<Path, PathError> {
        match parse(text, Dialect::RedisJson)?.query {
            Query::Path(path) => Ok(std::rc::Rc::into_inner(path).expect("nobody else has it")),
            Query::Computed(_) => Err(PathError::computes()),
        }
    }

    #[test]
    fn the_dialect_is_accepted() {
        let paths = [
            "$",
            ".",
            "$.a",
            "a",
            ".a.b",
            "[0]",
            "$.[0]",
            "$.['a']",
            "$.a.[*]",
            "$..a",
            "..a",
            "$..*",
            "$..[0]",
            "$['a','b']",
            "$[\"it's\"]",
            "$['it\\'s']",
            "$[0, -1 ,2]",
            "$[1:]",
            "$[:2]",
            "$[-3:-1:2]",
            "$[::]",
            "$.a-b",
            "$.1a",
            "$.a:b",
            "$.$a",
            "$abc",
            "$[?(@.a>1)]",
            "$[?@.a]",
            "$[?(@.a == 'x' && (@.b < 2 || !@.c))]",
            "$[?(@a=~'^x.*$')]",
            "$[?(@==[1,{'a':\"b\"}])]",
            "$[?($.limit >= @.price)]",
            "$[ ?( @.a ) ]",
            ".[0].arr",
            ".*.a",
            "$.[0][\"nested\"]..ciao",
            "$..book[?(@.price<10)].size",
        ];
        for path in paths {
            assert!(dialect(path).is_ok(), "{path}: {:?}", dialect(path));
        }
    }

    #[test]
    fn other_text_is_refused_with_its_position() {
        let paths = [
            "",
            "$.",
            "$..",
            "$[",
            "$[]",
            "$[01]",
            "$[1",
            "$['a]",
            "$[a]",
            "$[0,'a']",
            "$.a b",
            "$[?(@.a > )]",
            "$[?(@.a",
            "$.é",
            "$[::0]",
            "$[?()]",
            "$.a.",
            "$[?(@==[1,)]",
            "..",
        ];
        for path in paths {
            let error = dialect(path).map(|_| ()).expect_err(path).to_string();
            assert!(error.starts_with("Error occurred at position "), "{error}");
        }
        assert_eq!(dialect("$.a[x]").unwrap_err().position, 4);
        assert_eq!(dialect("a[x]").unwrap_err().position, 2);
    }

    #[test]
    fn nesting_and_length_are_limited() {
        let nested = |depth: usize| format!("$[?{}@.a{}]", "(".repeat(depth), ")".repeat(depth));
        assert!(dialect(&nested(NESTING_MAX - 1)).is_ok());
        assert!(dialect(&nested(NESTING_MAX)).is_err());
        assert!(dialect(&format!("$[?{}@.a]", "!".repeat(100_000 / 2))).is_err());
        assert!(dialect(&format!("$[?@.a=={}]", "[".repeat(60_000))).is_err());
        assert!(dialect(&".a".repeat(PATH_BYTES_MAX)).is_err());
    }

    #[test]
    fn the_last_step_of_a_static_path_is_known() {
        use super::super::LastStep;
        let last = |path| dialect(path).unwrap().last_step().map(|step| format!("{step:?}"));
        assert_eq!(last("$").as_deref(), Some("Root"));
        assert!(last("$.a[0].b").unwrap().starts_with("Member"));
        assert_eq!(last("$.a[0]").as_deref(), Some("Element"));
        for path in ["$..a", "$.*", "$.a[0,1]", "$[0:1]", "$[?@.a].b"] {
            assert_eq!(last(path), None);
        }
        let step = dialect("a.b").unwrap();
        assert!(matches!(step.last_step(), Some(LastStep::Member(name)) if name.text() == "b"));
    }
}
