//! Does a reply fit what the script expects? The notation of expectations, as tests/README.md tells it.
//!
//! A pattern says what the reply *means*; which bytes that takes depends on the protocol. So one pattern judges both:
//! `{"k": 1}` is a map in RESP3 and a flat array in RESP2. Invariant: a pattern never accepts a RESP3 type in RESP2.

use std::collections::HashMap;

use super::lexer::{Lexer, Token, quote};
use crate::harness::value::Value;

/// RESP2 or RESP3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Protocol {
    /// What every connection starts with.
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// What scripts have saved with `%let`.
pub type Variables = HashMap<String, Value>;

/// An expected reply.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// `OK`, `+"two words"`
    Simple(Vec<u8>),
    /// `"text"`
    Bulk(Vec<u8>),
    /// `-ERR text`; with `...` at its end only the beginning counts.
    Error {
        text: Vec<u8>,
        only_start: bool,
    },
    /// `12`, `1..5`, `int`
    Int {
        least: i64,
        most: i64,
    },
    /// `1.5`, `double 3`: a double in RESP3, its text in RESP2.
    Double(String),
    /// `1.5+-0.1`: a number of any type, or the text of one, near another.
    Near {
        middle: f64,
        distance: f64,
    },
    /// `true`, `false`: integers in RESP2.
    Bool(bool),
    /// `nil`
    Nil,
    /// `nil[]`: the null array of RESP2.
    NilArray,
    /// `[...]`
    Array(Vec<Pattern>),
    /// `any[...]`: an array in any order.
    Unordered(Vec<Pattern>),
    /// `set[...]`: a set, or in RESP2 an array, in any order.
    Set(Vec<Pattern>),
    /// `push[...]`: a push, or in RESP2 an array.
    Push(Vec<Pattern>),
    /// `{k: v}`: a map, or in RESP2 a flat array, its pairs in any order.
    Map(Vec<(Pattern, Pattern)>),
    /// `verbatim"txt:..."`: a bulk string without the format in RESP2.
    Verbatim(Vec<u8>),
    /// `big 123`: a bulk string in RESP2.
    Big(String),
    /// `like "glob"`: text that a glob with `*` and `?` matches; of verbatim text what follows the format.
    Like(Vec<u8>),
    /// `text`: any text. `any`: whatever comes. `closed`: the end of the connection.
    Text,
    Any,
    Closed,
    /// `$name`: equal to what was saved.
    Saved(String),
}

impl Pattern {
    /// Parses a whole expectation. At its top level an error or a status may go on to the end of the line.
    pub fn parse(lexer: &mut Lexer) -> Result<Pattern, String> {
        if !lexer.more() {
            return Err("an expectation is missing".to_string());
        }
        if let Some(text) = lexer.rest().strip_prefix('-')
            && (text.starts_with(|c: char| c.is_ascii_alphabetic()) || text.starts_with("..."))
            && !text.starts_with("inf")
        {
            let line = lexer.take_line();
            return Ok(error_of(&line.trim_end().as_bytes()[1..]));
        }
        parse_nested(lexer)
    }

    /// Whether the reply fits.
    pub fn accepts(&self, reply: &Value, protocol: Protocol, saved: &Variables) -> bool {
        let resp3 = protocol == Protocol::Resp3;
        let in_order = |patterns: &[Pattern], values: &[Value]| {
            patterns.len() == values.len()
                && patterns.iter().zip(values).all(|(p, v)| p.accepts(v, protocol, saved))
        };
        match (self, reply) {
            (Pattern::Any, _) => true,
            (Pattern::Saved(name), _) => saved.get(name).is_some_and(|value| value == reply),
            (Pattern::Simple(want), Value::Simple(text)) => want == text,
            (Pattern::Bulk(want), Value::Bulk(text)) => want == text,
            (Pattern::Error { text: want, only_start: true }, Value::Error(text)) => {
                text.starts_with(want)
            }
            (Pattern::Error { text: want, .. }, Value::Error(text)) => want == text,
            (Pattern::Int { least, most }, Value::Int(number)) => (least..=most).contains(&number),
            (Pattern::Double(want), Value::Double(text)) => resp3 && want == text,
            (Pattern::Double(want), Value::Bulk(text)) => !resp3 && want.as_bytes() == text,
            (Pattern::Near { middle, distance }, value) => {
                number_of(value).is_some_and(|number| (number - middle).abs() <= *distance)
            }
            (Pattern::Bool(want), Value::Bool(got)) => resp3 && want == got,
            (Pattern::Bool(want), Value::Int(got)) => !resp3 && i64::from(*want) == *got,
            (Pattern::Nil, Value::Nil) => true,
            (Pattern::NilArray, Value::NilArray) => !resp3,
            (Pattern::NilArray, Value::Nil) => resp3,
            (Pattern::Array(want), Value::Array(got)) => in_order(want, got),
            (Pattern::Unordered(want), Value::Array(got)) => pairs_up(want, got, protocol, saved),
            (Pattern::Set(want), Value::Set(got)) if resp3 => pairs_up(want, got, protocol, saved),
            (Pattern::Set(want), Value::Array(got)) if !resp3 => {
                pairs_up(want, got, protocol, saved)
            }
            (Pattern::Push(want), Value::Push(got)) if resp3 => in_order(want, got),
            (Pattern::Push(want), Value::Array(got)) if !resp3 => in_order(want, got),
            (Pattern::Map(want), Value::Map(got)) if resp3 => map_fits(want, got, protocol, saved),
            (Pattern::Map(want), Value::Array(got)) if !resp3 && got.len() % 2 == 0 => {
                let got: Vec<_> =
                    got.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
                map_fits(want, &got, protocol, saved)
            }
            (Pattern::Verbatim(want), Value::Verbatim(text)) => resp3 && want == text,
            (Pattern::Verbatim(want), Value::Bulk(text)) => !resp3 && want.get(4..) == Some(text),
            (Pattern::Big(want), Value::Big(text)) => resp3 && want == text,
            (Pattern::Big(want), Value::Bulk(text)) => !resp3 && want.as_bytes() == text,
            (Pattern::Like(glob), Value::Simple(text) | Value::Bulk(text)) => {
                glob_matches(glob, text)
            }
            (Pattern::Like(glob), Value::Verbatim(text)) => {
                text.get(4..).is_some_and(|text| glob_matches(glob, text))
            }
            (Pattern::Text, Value::Simple(_) | Value::Bulk(_) | Value::Verbatim(_)) => true,
            _ => false,
        }
    }
}

fn error_of(text: &[u8]) -> Pattern {
    match text.strip_suffix(b"...") {
        Some(start) => Pattern::Error { text: start.to_vec(), only_start: true },
        None => Pattern::Error { text: text.to_vec(), only_start: false },
    }
}

fn quoted(lexer: &mut Lexer, after: &str) -> Result<Vec<u8>, String> {
    match lexer.token()? {
        Some(Token::Quoted(text)) => Ok(text),
        other => Err(format!("a quoted string is wanted after {after}, not {other:?}")),
    }
}

fn parse_nested(lexer: &mut Lexer) -> Result<Pattern, String> {
    let token = lexer.token()?.ok_or("an expectation is missing")?;
    let word = match token {
        Token::Quoted(text) => return Ok(Pattern::Bulk(text)),
        Token::Mark('[') => return Ok(Pattern::Array(parse_items(lexer)?)),
        Token::Mark('{') => return Ok(Pattern::Map(parse_pairs(lexer)?)),
        Token::Mark(mark) => return Err(format!("unexpected {mark:?}")),
        Token::Word(word) => word,
    };
    // Only an adjacent bracket belongs to the word: `nil` may end a line above an array.
    if lexer.rest().starts_with('[') && ["any", "set", "push", "nil"].contains(&word.as_str()) {
        lexer.token()?;
        let items = parse_items(lexer)?;
        return match word.as_str() {
            "any" => Ok(Pattern::Unordered(items)),
            "set" => Ok(Pattern::Set(items)),
            "push" => Ok(Pattern::Push(items)),
            _ if items.is_empty() => Ok(Pattern::NilArray),
            _ => Err("nil[] has no elements".to_string()),
        };
    }
    Ok(match word.as_str() {
        "nil" => Pattern::Nil,
        "true" => Pattern::Bool(true),
        "false" => Pattern::Bool(false),
        "any" => Pattern::Any,
        "text" => Pattern::Text,
        "closed" => Pattern::Closed,
        "int" => Pattern::Int { least: i64::MIN, most: i64::MAX },
        "inf" | "-inf" | "nan" => Pattern::Double(word),
        "like" => Pattern::Like(quoted(lexer, "like")?),
        "verbatim" => Pattern::Verbatim(quoted(lexer, "verbatim")?),
        "big" => match lexer.token()? {
            Some(Token::Word(digits)) => Pattern::Big(digits),
            other => return Err(format!("digits are wanted after big, not {other:?}")),
        },
        "double" => match lexer.token()? {
            Some(Token::Word(number)) => Pattern::Double(number),
            other => return Err(format!("a number is wanted after double, not {other:?}")),
        },
        "+" => Pattern::Simple(quoted(lexer, "+")?),
        "-" => error_of(&quoted(lexer, "-")?),
        _ => return parse_word(word),
    })
}

fn parse_word(word: String) -> Result<Pattern, String> {
    let wrong = || format!("not an expectation: {word}");
    if let Some(name) = word.strip_prefix('$') {
        return Ok(Pattern::Saved(name.to_string()));
    }
    if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(Pattern::Simple(word.into_bytes()));
    }
    if let Some((least, most)) = word.split_once("..") {
        let least = least.parse().map_err(|_| wrong())?;
        return Ok(Pattern::Int { least, most: most.parse().map_err(|_| wrong())? });
    }
    if let Some((middle, distance)) = word.split_once("+-") {
        let middle = middle.parse().map_err(|_| wrong())?;
        return Ok(Pattern::Near { middle, distance: distance.parse().map_err(|_| wrong())? });
    }
    if let Ok(number) = word.parse::<i64>() {
        return Ok(Pattern::Int { least: number, most: number });
    }
    word.parse::<f64>().map_err(|_| wrong())?;
    Ok(Pattern::Double(word))
}

fn parse_items(lexer: &mut Lexer) -> Result<Vec<Pattern>, String> {
    let mut items = Vec::new();
    loop {
        if lexer.peek()? == Some(Token::Mark(']')) {
            lexer.token()?;
            return Ok(items);
        }
        items.push(parse_nested(lexer)?);
        match lexer.token()? {
            Some(Token::Mark(',')) => {}
            Some(Token::Mark(']')) => return Ok(items),
            other => return Err(format!("',' or ']' is wanted, not {other:?}")),
        }
    }
}

fn parse_pairs(lexer: &mut Lexer) -> Result<Vec<(Pattern, Pattern)>, String> {
    let mut pairs = Vec::new();
    loop {
        if lexer.peek()? == Some(Token::Mark('}')) {
            lexer.token()?;
            return Ok(pairs);
        }
        let key = parse_nested(lexer)?;
        match lexer.token()? {
            Some(Token::Mark(':')) => {}
            other => return Err(format!("':' is wanted, not {other:?}")),
        }
        pairs.push((key, parse_nested(lexer)?));
        match lexer.token()? {
            Some(Token::Mark(',')) => {}
            Some(Token::Mark('}')) => return Ok(pairs),
            other => return Err(format!("',' or '}}' is wanted, not {other:?}")),
        }
    }
}

fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Double(text) => text.parse().ok(),
        Value::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

/// Whether each pattern finds a value of its own. Greedy, so overlapping patterns (`any[any, 1]`) go last.
fn pairs_up(want: &[Pattern], got: &[Value], protocol: Protocol, saved: &Variables) -> bool {
    let mut left: Vec<&Value> = got.iter().collect();
    want.iter().all(|pattern| {
        let at = left.iter().position(|value| pattern.accepts(value, protocol, saved));
        at.map(|at| left.swap_remove(at)).is_some()
    }) && left.is_empty()
}

fn map_fits(
    want: &[(Pattern, Pattern)],
    got: &[(Value, Value)],
    protocol: Protocol,
    saved: &Variables,
) -> bool {
    want.len() == got.len()
        && want.iter().all(|(key, value)| {
            got.iter()
                .any(|(k, v)| key.accepts(k, protocol, saved) && value.accepts(v, protocol, saved))
        })
}

fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            (0..=text.len()).any(|skipped| glob_matches(rest, &text[skipped..]))
        }
        (Some((b'?', glob)), Some((_, text))) => glob_matches(glob, text),
        (Some((want, glob)), Some((got, text))) => want == got && glob_matches(glob, text),
        _ => false,
    }
}

/// Writes a reply in the notation of expectations.
pub fn render(value: &Value) -> String {
    let list = |name: &str, items: &[Value]| {
        let items: Vec<String> = items.iter().map(render_inner).collect();
        format!("{name}[{}]", items.join(", "))
    };
    match value {
        Value::Simple(text) if is_plain_word(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Simple(text) => format!("+{}", quote(text)),
        Value::Error(text) if !text.ends_with(b" ") && !text.ends_with(b"...") => {
            format!("-{}", String::from_utf8_lossy(text))
        }
        Value::Error(text) => format!("-{}", quote(text)),
        Value::Int(number) => number.to_string(),
        Value::Bulk(text) => quote(text),
        Value::Nil => "nil".to_string(),
        Value::NilArray => "nil[]".to_string(),
        Value::Array(items) => list("", items),
        Value::Set(items) => list("set", items),
        Value::Push(items) => list("push", items),
        Value::Map(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(k, v)| format!("{}: {}", render_inner(k), render_inner(v)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Double(text) if text.parse::<i64>().is_ok() => format!("double {text}"),
        Value::Double(text) => text.clone(),
        Value::Bool(truth) => truth.to_string(),
        Value::Big(digits) => format!("big {digits}"),
        Value::Verbatim(text) => format!("verbatim{}", quote(text)),
        Value::Attributed(_, value) => render(value),
    }
}

fn render_inner(value: &Value) -> String {
    match value {
        Value::Error(text) => format!("-{}", quote(text)),
        other => render(other),
    }
}

fn is_plain_word(text: &[u8]) -> bool {
    const TAKEN: &[&[u8]] = &[
        b"nil",
        b"true",
        b"false",
        b"any",
        b"text",
        b"closed",
        b"int",
        b"inf",
        b"nan",
        b"like",
        b"verbatim",
        b"big",
        b"set",
        b"push",
        b"double",
    ];
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-')
        && !TAKEN.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, wire: &str, protocol: Protocol) -> bool {
        let value = Value::read(&mut wire.as_bytes()).unwrap();
        let pattern = Pattern::parse(&mut Lexer::new(pattern)).unwrap();
        pattern.accepts(&value, protocol, &Variables::new())
    }

    #[test]
    fn one_pattern_judges_both_protocols() {
        let both = [
            ("{\"a\": 1}", "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"),
            ("set[\"a\", \"b\"]", "*2\r\n$1\r\nb\r\n$1\r\na\r\n", "~2\r\n$1\r\nb\r\n$1\r\na\r\n"),
            ("1.5", "$3\r\n1.5\r\n", ",1.5\r\n"),
            ("double 3", "$1\r\n3\r\n", ",3\r\n"),
            ("nil[]", "*-1\r\n", "_\r\n"),
            ("true", ":1\r\n", "#t\r\n"),
            ("verbatim\"txt:hi\"", "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
            ("push[\"m\"]", "*1\r\n$1\r\nm\r\n", ">1\r\n$1\r\nm\r\n"),
        ];
        for (pattern, resp2, resp3) in both {
            assert!(fits(pattern, resp2, Protocol::Resp2), "{pattern} in RESP2");
            assert!(fits(pattern, resp3, Protocol::Resp3), "{pattern} in RESP3");
            assert!(!fits(pattern, resp3, Protocol::Resp2) || resp3 == "_\r\n", "{pattern} typed");
            assert!(!fits(pattern, resp2, Protocol::Resp3), "{pattern} untyped");
        }
    }

    #[test]
    fn what_differs_is_refused() {
        let wrong = [
            ("OK", "$2\r\nOK\r\n"),
            ("\"OK\"", "+OK\r\n"),
            ("1", "$1\r\n1\r\n"),
            ("1..3", ":4\r\n"),
            ("any[1, 2]", "*2\r\n:1\r\n:1\r\n"),
            ("[1, 2]", "*2\r\n:2\r\n:1\r\n"),
            ("-ERR a", "-ERR ab\r\n"),
            ("nil", "*-1\r\n"),
            ("1.5+-0.1", "$3\r\n1.7\r\n"),
            ("like \"a*c\"", "$3\r\nabd\r\n"),
        ];
        for (pattern, wire) in wrong {
            assert!(!fits(pattern, wire, Protocol::Resp2), "{pattern} against {wire:?}");
        }
        assert!(fits("-ERR a...", "-ERR ab\r\n", Protocol::Resp2));
        assert!(fits("like \"a*c\"", "$4\r\nabcc\r\n", Protocol::Resp2));
        assert!(fits("[-\"ERR x\", +\"a b\"]", "*2\r\n-ERR x\r\n+a b\r\n", Protocol::Resp2));
    }

    #[test]
    fn render_is_read_back() {
        let wire = "*5\r\n%1\r\n+k\r\n,2\r\n~1\r\n_\r\n-ERR x y\r\n=5\r\ntxt:z\r\n#f\r\n";
        let value = Value::read(&mut wire.as_bytes()).unwrap();
        let pattern = Pattern::parse(&mut Lexer::new(&render(&value))).unwrap();
        assert!(pattern.accepts(&value, Protocol::Resp3, &Variables::new()), "{}", render(&value));
    }

    #[test]
    fn malformed_expectations_are_errors() {
        for text in ["[1, 2", "{1 2}", "like x", "\"a", "nil[1]", "1x", "]"] {
            assert!(Pattern::parse(&mut Lexer::new(text)).is_err(), "{text}");
        }
    }
}
