//! How is the text of a path read?
//!
//! A recursive-descent parser over bytes, one function per rule of the grammar:
//!
//! ```text
//! path       = "$" segment*
//! segment    = ".." (name | "*" | bracket) | "." (name | "*" | bracket) | bracket
//! bracket    = "[" ("*" | strings | integers | slice | "?" filter) "]"        blanks allowed between tokens
//! name       = (ASCII letter, digit, or one of - _ ` + # % $ ^ / :)+
//! filter     = and ("||" and)*     and = unary ("&&" unary)*
//! unary      = "!" unary | "(" filter ")" | term [operator term]
//! term       = literal | ("@" | "$") [name] segment* | function "(" terms ")"
//! ```
//!
//! A legacy path is put behind a `$` first: `.` is the root, `.a` is `$.a`, `a` is `$.a`, `[1]` is `$.[1]`.
//!
//! Invariants: the parser never goes back by more than a token, and never recurses deeper than [`NESTING_MAX`].

mod filter;

use std::fmt;

pub(super) use self::filter::compile;
use super::{Path, PathKind, Segment, Selector};
use crate::value::Name;

/// A longer path is refused: nobody writes one, and everything in it costs memory and time.
pub const PATH_BYTES_MAX: usize = 64 * 1024;
/// How deep brackets and parentheses may nest.
pub const NESTING_MAX: usize = 128;

/// Why text is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    position: usize,
    expected: &'static str,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PathError { position, expected } = self;
        write!(
            f,
            "Error occurred at position {position}, expected one of the following: {expected}"
        )
    }
}

impl std::error::Error for PathError {}

/// Compiles a path.
pub(super) fn parse(text: &str) -> Result<Path, PathError> {
    if text.len() > PATH_BYTES_MAX {
        return Err(PathError { position: PATH_BYTES_MAX, expected: "the end of the path" });
    }
    let kind = kind_of(text);
    let segments = match kind {
        PathKind::JsonPath => Parser::new(text, 0).whole()?,
        PathKind::Legacy if text == "." => Vec::new(),
        PathKind::Legacy => {
            let dot = if text.starts_with('.') { "" } else { "." };
            let rewritten = format!("${dot}{text}");
            let added = rewritten.len() - text.len();
            Parser::new(&rewritten, added).whole()?
        }
    };
    Ok(Path { kind, segments })
}

fn kind_of(text: &str) -> PathKind {
    match text.as_bytes() {
        [b'$'] | [b'$', b'.' | b'[', ..] => PathKind::JsonPath,
        _ => PathKind::Legacy,
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    nesting: usize,
    /// Bytes in front of what the user wrote.
    added: usize,
}

type Parsed<T> = Result<T, PathError>;

impl<'t> Parser<'t> {
    fn new(text: &'t str, added: usize) -> Parser<'t> {
        Parser { text, at: 0, nesting: 0, added }
    }

    fn whole(mut self) -> Parsed<Vec<Segment>> {
        self.expect(b'$', "`$`")?;
        let segments = self.segments()?;
        if self.at < self.text.len() {
            return self.fail("`.`, `..`, `[` or the end of the path");
        }
        Ok(segments)
    }

    fn fail<T>(&self, expected: &'static str) -> Parsed<T> {
        Err(PathError { position: self.at.saturating_sub(self.added), expected })
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

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Runs `rule` one level deeper.
    fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == NESTING_MAX {
            return self.fail("less nesting");
        }
        self.nesting += 1;
        let parsed = rule(self);
        self.nesting -= 1;
        parsed
    }

    fn segments(&mut self) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        loop {
            let descends = self.eat("..");
            let selector = if descends || self.eat(".") {
                match self.peek() {
                    Some(b'[') => self.nested(Self::bracket)?,
                    Some(b'*') => {
                        self.at += 1;
                        Selector::All
                    }
                    _ => Selector::Names(vec![self.name()?]),
                }
            } else if self.peek() == Some(b'[') {
                self.nested(Self::bracket)?
            } else {
                return Ok(segments);
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
        let mut names = Vec::new();
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
            assert!(parse(path).is_ok(), "{path}: {:?}", parse(path));
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
            let error = parse(path).map(|_| ()).expect_err(path).to_string();
            assert!(error.starts_with("Error occurred at position "), "{error}");
        }
        assert_eq!(parse("$.a[x]").unwrap_err().position, 4);
        assert_eq!(parse("a[x]").unwrap_err().position, 2);
    }

    #[test]
    fn nesting_and_length_are_limited() {
        let nested = |depth: usize| format!("$[?{}@.a{}]", "(".repeat(depth), ")".repeat(depth));
        assert!(parse(&nested(NESTING_MAX - 1)).is_ok());
        assert!(parse(&nested(NESTING_MAX)).is_err());
        assert!(parse(&format!("$[?{}@.a]", "!".repeat(100_000 / 2))).is_err());
        assert!(parse(&format!("$[?@.a=={}]", "[".repeat(60_000))).is_err());
        assert!(parse(&".a".repeat(PATH_BYTES_MAX)).is_err());
    }

    #[test]
    fn the_last_step_of_a_static_path_is_known() {
        use super::super::LastStep;
        let last = |path| parse(path).unwrap().last_step().map(|step| format!("{step:?}"));
        assert_eq!(last("$").as_deref(), Some("Root"));
        assert!(last("$.a[0].b").unwrap().starts_with("Member"));
        assert_eq!(last("$.a[0]").as_deref(), Some("Element"));
        for path in ["$..a", "$.*", "$.a[0,1]", "$[0:1]", "$[?@.a].b"] {
            assert_eq!(last(path), None);
        }
        let step = parse("a.b").unwrap();
        assert!(matches!(step.last_step(), Some(LastStep::Member(name)) if name.text() == "b"));
    }
}
