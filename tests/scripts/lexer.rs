//! How are words, quoted strings and escapes of a script read? Commands and expectations share this one lexer.

/// One token of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// Anything without blanks, quotes or brackets of its own.
    Word(String),
    /// A quoted string, its escapes resolved, and how often it is repeated (`"ab"*3`).
    Quoted(Vec<u8>),
    /// One of `[ ] { } , :`, which only expectations use.
    Mark(char),
}

/// Cursor over the characters of a line, or of the several lines of an expectation.
pub struct Lexer<'a> {
    rest: &'a [u8],
}

/// Longest string that a repetition may make.
const REPEATED_BYTES_MAX: usize = 64 << 20;

impl<'a> Lexer<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer { rest: text.as_bytes() }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        std::str::from_utf8(self.rest).expect("tokens end at character boundaries")
    }

    /// Skips blanks and line ends; whether anything is left.
    pub fn more(&mut self) -> bool {
        self.rest = self.rest.trim_ascii_start();
        !self.rest.is_empty()
    }

    /// Takes what is left of this line, unread.
    pub fn take_line(&mut self) -> String {
        let end = self.rest.iter().position(|&b| b == b'\n').unwrap_or(self.rest.len());
        let line = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest = &self.rest[end..];
        line
    }

    /// The next argument of a command: a quoted string, or everything up to the next blank.
    pub fn argument(&mut self) -> Result<Option<Token>, String> {
        self.next_with(&[])
    }

    /// The next token of an expectation.
    pub fn token(&mut self) -> Result<Option<Token>, String> {
        self.next_with(b"[]{},:\"")
    }

    /// The next token of an expectation, without taking it.
    pub fn peek(&mut self) -> Result<Option<Token>, String> {
        let here = self.rest;
        let token = self.token();
        self.rest = here;
        token
    }

    fn next_with(&mut self, breaks: &[u8]) -> Result<Option<Token>, String> {
        if !self.more() {
            return Ok(None);
        }
        let first = self.rest[0];
        if first == b'"' || first == b'\'' {
            let text = self.quoted(first)?;
            return Ok(Some(Token::Quoted(self.repeated(text)?)));
        }
        if breaks.contains(&first) {
            self.rest = &self.rest[1..];
            return Ok(Some(Token::Mark(char::from(first))));
        }
        let ends = |b: &u8| b.is_ascii_whitespace() || breaks.contains(b);
        let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        let word = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest = &self.rest[end..];
        Ok(Some(Token::Word(word)))
    }

    fn quoted(&mut self, quote: u8) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        let mut bytes = self.rest.iter().skip(1).copied();
        let mut used = 1;
        let mut next = || {
            used += 1;
            bytes.next().ok_or_else(|| "a quote without its end".to_string())
        };
        loop {
            let byte = next()?;
            if byte == quote {
                break;
            }
            if byte != b'\\' || quote == b'\'' {
                text.push(byte);
                continue;
            }
            text.push(match next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'a' => 7,
                b'b' => 8,
                b'x' => {
                    let digits = [next()?, next()?];
                    let digits = std::str::from_utf8(&digits).map_err(|_| "bad \\x escape")?;
                    u8::from_str_radix(digits, 16).map_err(|_| "bad \\x escape")?
                }
                other => other,
            });
        }
        self.rest = &self.rest[used..];
        Ok(text)
    }

    fn repeated(&mut self, text: Vec<u8>) -> Result<Vec<u8>, String> {
        let Some(after) = self.rest.strip_prefix(b"*") else { return Ok(text) };
        let digits = after.iter().take_while(|b| b.is_ascii_digit()).count();
        let times =
            std::str::from_utf8(&after[..digits]).ok().and_then(|n| n.parse::<usize>().ok());
        let times = times.ok_or("a repetition without a number")?;
        if times.saturating_mul(text.len()) > REPEATED_BYTES_MAX {
            return Err("a repetition that is too long".to_string());
        }
        self.rest = &after[digits..];
        Ok(text.repeat(times))
    }
}

/// Writes bytes as a quoted string that the lexer reads back.
pub fn quote(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_arguments_resolve_escapes_and_repetitions() {
        let mut lexer = Lexer::new(r#"SET "a\x00\n\"b" 'raw\n' "xy"*3 plain:[1] "#);
        let mut seen = Vec::new();
        while let Some(token) = lexer.argument().unwrap() {
            seen.push(token);
        }
        assert_eq!(
            seen,
            [
                Token::Word("SET".to_string()),
                Token::Quoted(b"a\0\n\"b".to_vec()),
                Token::Quoted(b"raw\\n".to_vec()),
                Token::Quoted(b"xyxyxy".to_vec()),
                Token::Word("plain:[1]".to_string()),
            ]
        );
    }

    #[test]
    fn an_open_quote_is_an_error() {
        assert!(Lexer::new("\"abc").argument().is_err());
        assert!(Lexer::new("\"abc\\x4").argument().is_err());
    }

    #[test]
    fn quote_is_read_back() {
        let all: Vec<u8> = (0..=255).collect();
        let text = quote(&all);
        assert_eq!(Lexer::new(&text).argument().unwrap(), Some(Token::Quoted(all)));
    }
}
