//! Which tokens does a query's text consist of?
//!
//! The longest token wins; punctuation without a meaning of its own is skipped, so `foo.bar` is two words. Offsets
//! are bytes of the whole text, as error messages give them.

use crate::args::parse_number;

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind<'a>,
    /// Offset of its first byte.
    pub offset: usize,
    /// Offset behind its last byte.
    pub end: usize,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TokenKind<'a> {
    /// The end of the text.
    End,
    /// A word, escapes included.
    Word(&'a [u8]),
    /// A number, also as it was written.
    Number(f64, &'a [u8]),
    /// Text in quotes, without them.
    Quoted(&'a [u8]),
    /// `@name`, without the `@`.
    Field(&'a [u8]),
    /// `$name`, without the `$`.
    Parameter(&'a [u8]),
    /// `word*`, `*word`, `*word*`.
    Affix(Affix, &'a [u8], AffixText),
    /// `w'pattern'`, without the frame.
    Wildcard(&'a [u8]),
    /// A comparison behind a field: `==`, `!=`, `<`, `<=`, `>`, `>=`.
    Compare(Compare),
    /// A byte with a meaning of its own: `| ( ) { } [ ] : ; - ~ * % "`.
    Punctuation(u8),
    /// `=>`.
    Arrow,
}

/// On which side of a word the star stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affix {
    /// Behind.
    Prefix,
    /// Before.
    Suffix,
    /// On both sides.
    Contains,
}

/// How the word of an affix was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AffixText {
    /// As a word or in quotes.
    Literal,
    /// As a parameter, `$name`.
    Parameter,
}

/// A comparison of a numeric field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A position in the text.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// The last token was a field, so a comparison may follow.
    after_field: bool,
}

impl<'a> Lexer<'a> {
    /// A lexer before the first token of `text`.
    pub fn new(text: &'a [u8]) -> Lexer<'a> {
        Lexer { text, at: 0, after_field: false }
    }

    /// The whole text.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Goes on from byte `at`.
    pub fn jump(&mut self, at: usize) {
        self.at = at;
        self.after_field = false;
    }

    /// Reads one token.
    pub fn next_token(&mut self) -> Token<'a> {
        let after_field = std::mem::take(&mut self.after_field);
        while self.at < self.text.len() {
            let offset = self.at;
            if after_field && let Some((compare, length)) = self.compare(offset) {
                return self.token(offset, length, TokenKind::Compare(compare));
            }
            if let Some((kind, length)) = self.read(offset) {
                self.after_field = matches!(kind, TokenKind::Field(_));
                return self.token(offset, length, kind);
            }
            self.at += 1;
        }
        Token { kind: TokenKind::End, offset: self.text.len(), end: self.text.len() }
    }

    fn token(&mut self, offset: usize, length: usize, kind: TokenKind<'a>) -> Token<'a> {
        self.at = offset + length;
        Token { kind, offset, end: self.at }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// The token at `at` and its length; none if the byte there means nothing.
    fn read(&self, at: usize) -> Option<(TokenKind<'a>, usize)> {
        let byte = self.text[at];
        let number = self.number_length(at);
        let word = self.word_length(at);
        if number > 0 && number >= word {
            return Some(self.number_or_prefix(at, number));
        }
        match byte {
            b'@' | b'$' => self.named(at, byte),
            b'"' | b'\'' => self.quoted(at, byte),
            b'*' => Some(self.star(at)),
            b'=' if self.byte(at + 1) == Some(b'>') => Some((TokenKind::Arrow, 2)),
            b'w' if word == 1 && self.wildcard(at).is_some() => self.wildcard(at),
            b'|' | b'(' | b')' | b'{' | b'}' | b'[' | b']' | b':' | b';' | b'-' | b'~' | b'%' => {
                Some((TokenKind::Punctuation(byte), 1))
            }
            _ if word > 0 => Some(self.word_or_prefix(at, word)),
            _ => None,
        }
    }

    fn number_or_prefix(&self, at: usize, length: usize) -> (TokenKind<'a>, usize) {
        let text = &self.text[at..at + length];
        if self.byte(at + length) == Some(b'*') {
            return (TokenKind::Affix(Affix::Prefix, text, AffixText::Literal), length + 1);
        }
        let value = parse_number(text.strip_suffix(b".").unwrap_or(text)).unwrap_or(0.0);
        (TokenKind::Number(value, text), length)
    }

    fn word_or_prefix(&self, at: usize, length: usize) -> (TokenKind<'a>, usize) {
        let text = &self.text[at..at + length];
        if self.byte(at + length) == Some(b'*') {
            return (TokenKind::Affix(Affix::Prefix, text, AffixText::Literal), length + 1);
        }
        (TokenKind::Word(text), length)
    }

    /// `@name` or `$name`, or `$name*`.
    fn named(&self, at: usize, byte: u8) -> Option<(TokenKind<'a>, usize)> {
        let length = self.word_length(at + 1);
        if length == 0 {
            return None;
        }
        let name = &self.text[at + 1..at + 1 + length];
        if byte == b'@' {
            return Some((TokenKind::Field(name), length + 1));
        }
        if self.byte(at + 1 + length) == Some(b'*') {
            return Some((TokenKind::Affix(Affix::Prefix, name, AffixText::Parameter), length + 2));
        }
        Some((TokenKind::Parameter(name), length + 1))
    }

    fn quoted(&self, at: usize, quote: u8) -> Option<(TokenKind<'a>, usize)> {
        let Some(close) = self.closing_quote(at, quote) else {
            // A lone `"` is an error of the grammar, a lone apostrophe is noise.
            return (quote == b'"').then_some((TokenKind::Punctuation(quote), 1));
        };
        let inner = &self.text[at + 1..close];
        let length = close + 1 - at;
        if inner.is_empty() {
            return Some((TokenKind::Word(b""), length));
        }
        if self.byte(close + 1) == Some(b'*') {
            return Some((TokenKind::Affix(Affix::Prefix, inner, AffixText::Literal), length + 1));
        }
        Some((TokenKind::Quoted(inner), length))
    }

    /// Where the quote opened at `at` closes: at the first one that is not escaped, else at the last one at all.
    fn closing_quote(&self, at: usize, quote: u8) -> Option<usize> {
        let mut last = None;
        for here in at + 1..self.text.len() {
            if self.text[here] == quote {
                last = Some(here);
                if self.text[here - 1] != b'\\' || here == at + 1 {
                    return last;
                }
            }
        }
        last
    }

    /// `*`, or a word with a star before it and perhaps one behind.
    fn star(&self, at: usize) -> (TokenKind<'a>, usize) {
        let start = at + 1;
        let (text, kind, end) = match self.byte(start) {
            Some(b'$') if self.word_length(start + 1) > 0 => {
                let end = start + 1 + self.word_length(start + 1);
                (&self.text[start + 1..end], AffixText::Parameter, end)
            }
            Some(quote @ (b'"' | b'\'')) => match self.closing_quote(start, quote) {
                Some(close) if close > start + 1 => {
                    (&self.text[start + 1..close], AffixText::Literal, close + 1)
                }
                _ => return (TokenKind::Punctuation(b'*'), 1),
            },
            _ => {
                let end = start + self.word_length(start).max(self.number_length(start));
                (&self.text[start..end], AffixText::Literal, end)
            }
        };
        if text.is_empty() {
            return (TokenKind::Punctuation(b'*'), 1);
        }
        if self.byte(end) == Some(b'*') {
            return (TokenKind::Affix(Affix::Contains, text, kind), end + 1 - at);
        }
        (TokenKind::Affix(Affix::Suffix, text, kind), end - at)
    }

    fn wildcard(&self, at: usize) -> Option<(TokenKind<'a>, usize)> {
        let quote = self.byte(at + 1).filter(|byte| matches!(byte, b'"' | b'\''))?;
        let close = self.closing_quote(at + 1, quote).filter(|close| *close > at + 2)?;
        Some((TokenKind::Wildcard(&self.text[at + 2..close]), close + 1 - at))
    }

    /// A comparison behind a field, if a number or a parameter follows it.
    fn compare(&self, at: usize) -> Option<(Compare, usize)> {
        let blanks = self.blanks(at);
        let start = at + blanks;
        let (compare, length) = match (self.byte(start)?, self.byte(start + 1)) {
            (b'=', Some(b'=')) => (Compare::Equal, 2),
            (b'!', Some(b'=')) => (Compare::NotEqual, 2),
            (b'<', Some(b'=')) => (Compare::LessOrEqual, 2),
            (b'>', Some(b'=')) => (Compare::GreaterOrEqual, 2),
            (b'<', _) => (Compare::Less, 1),
            (b'>', _) => (Compare::Greater, 1),
            _ => return None,
        };
        let mut operand = start + length;
        operand += self.blanks(operand);
        let sign = usize::from(matches!(self.byte(operand), Some(b'+' | b'-')));
        let parameter =
            self.byte(operand + sign) == Some(b'$') && self.word_length(operand + sign + 1) > 0;
        (parameter || self.number_length(operand) > 0).then_some((compare, blanks + length))
    }

    fn blanks(&self, at: usize) -> usize {
        self.text[at.min(self.text.len())..].iter().take_while(|b| b.is_ascii_whitespace()).count()
    }

    /// Length of the word at `at`: everything but punctuation, blanks and controls, and what is escaped.
    fn word_length(&self, at: usize) -> usize {
        let mut end = at;
        while let Some(byte) = self.byte(end) {
            if byte == b'\\' {
                match self.byte(end + 1) {
                    Some(next) if next.is_ascii_punctuation() || next.is_ascii_whitespace() => {
                        end += 2
                    }
                    _ => break,
                }
            } else if byte == b'_'
                || !(byte.is_ascii_punctuation() || byte.is_ascii_control() || byte == b' ')
            {
                end += 1;
            } else {
                break;
            }
        }
        end - at
    }

    /// Length of the number at `at`: `[+-] digits [. digits] [e [+-] digits]` or `[+-] inf`.
    fn number_length(&self, at: usize) -> usize {
        let digits = |from: usize| {
            self.text[from.min(self.text.len())..].iter().take_while(|b| b.is_ascii_digit()).count()
        };
        let start = at + usize::from(matches!(self.byte(at), Some(b'+' | b'-')));
        if self.text[start.min(self.text.len())..]
            .get(..3)
            .is_some_and(|t| t.eq_ignore_ascii_case(b"inf"))
        {
            return start + 3 - at;
        }
        let whole = digits(start);
        let mut end = start + whole;
        let mut has_fraction = false;
        if self.byte(end) == Some(b'.') {
            let fraction = digits(end + 1);
            if whole > 0 || fraction > 0 {
                end += 1 + fraction;
                has_fraction = fraction > 0;
            }
        }
        if whole == 0 && !has_fraction {
            return 0;
        }
        if matches!(self.byte(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
        end - at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind<'_>> {
        let mut lexer = Lexer::new(text.as_bytes());
        std::iter::from_fn(|| Some(lexer.next_token().kind))
            .take_while(|k| *k != TokenKind::End)
            .collect()
    }

    #[test]
    fn the_longest_token_wins() {
        use TokenKind::*;
        assert_eq!(kinds("foo.bar"), [Word(b"foo"), Word(b"bar")]);
        assert_eq!(kinds(r"foo\.bar"), [Word(br"foo\.bar")]);
        assert_eq!(kinds("a-b"), [Word(b"a"), Punctuation(b'-'), Word(b"b")]);
        assert_eq!(
            kinds("12 1.5 -3 12abc"),
            [Number(12.0, b"12"), Number(1.5, b"1.5"), Number(-3.0, b"-3"), Word(b"12abc")]
        );
        assert_eq!(
            kinds("hel* *lo *ell*"),
            [
                Affix(super::Affix::Prefix, b"hel", AffixText::Literal),
                Affix(super::Affix::Suffix, b"lo", AffixText::Literal),
                Affix(super::Affix::Contains, b"ell", AffixText::Literal)
            ]
        );
        assert_eq!(
            kinds(r#""a b" 'c' "" w'h?' want"#),
            [Quoted(b"a b"), Quoted(b"c"), Word(b""), Wildcard(b"h?"), Word(b"want")]
        );
        assert_eq!(
            kinds("@n>=5 @m != $p"),
            [
                Field(b"n"),
                Compare(super::Compare::GreaterOrEqual),
                Number(5.0, b"5"),
                Field(b"m"),
                Compare(super::Compare::NotEqual),
                Parameter(b"p")
            ]
        );
        assert_eq!(kinds("* =>"), [Punctuation(b'*'), Arrow]);
        assert_eq!(kinds("[-inf (5]").len(), 5);
    }

    proptest! {
        #[test]
        fn any_text_ends(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut lexer = Lexer::new(&text);
            let mut last = 0;
            for _ in 0..=text.len() {
                let token = lexer.next_token();
                if token.kind == TokenKind::End { return Ok(()); }
                prop_assert!(token.end > last && token.offset >= last && token.end <= text.len());
                last = token.end;
            }
            prop_assert!(false, "more tokens than bytes");
        }

        #[test]
        fn query_like_text_ends(text in "[-a-c@$*\"'w|(){}\\[\\]:;~%=><!\\\\ .0-9]{0,40}") {
            let mut lexer = Lexer::new(text.as_bytes());
            for _ in 0..=text.len() {
                if lexer.next_token().kind == TokenKind::End { return Ok(()); }
            }
            prop_assert!(false, "more tokens than bytes");
        }
    }
}
