//! Which values does a tag clause name?
//!
//! Tags may hold what is punctuation elsewhere, so what stands between the braces is not cut into tokens: bars and the
//! closing brace count unless they are escaped or stand in quotes, and the text between two of them is one value.

use crate::query::ast::TagItem;
use crate::query::lexer::{Affix, AffixText, Lexer, TokenKind};
use crate::query::parser::affix_pattern;
use crate::query::pattern::{Pattern, shortened};
use crate::tokenize::lower_bytes;

/// The value that `raw` stands for; `parameter` gives the values of `$name`.
pub fn item(
    raw: &[u8],
    case_sensitive: bool,
    parameter: &mut dyn FnMut(&[u8]) -> Vec<u8>,
) -> TagItem {
    let case = |text: Vec<u8>| if case_sensitive { text } else { lower_bytes(&text) };
    let first = Lexer::new(raw).next_token();
    if first.offset == 0 && first.end == raw.len() {
        match first.kind {
            TokenKind::Parameter(name) => return TagItem::Value(case(parameter(name))),
            TokenKind::Quoted(text) => return TagItem::Value(case(unescape(text))),
            TokenKind::Word(b"") => return TagItem::Value(Vec::new()),
            TokenKind::Wildcard(text) => {
                let text = match text.strip_prefix(b"$") {
                    Some(name) => parameter(name),
                    None => text.to_vec(),
                };
                return TagItem::Pattern(Pattern::Wildcard(shortened(&case(text))));
            }
            TokenKind::Affix(affix, text, AffixText::Parameter) => {
                return TagItem::Pattern(affix_pattern(affix, case(parameter(text))));
            }
            _ => {}
        }
    }
    let (text, affix) = stars(raw);
    let text = case(unescape(unquote(text)));
    match affix {
        Some(affix) => TagItem::Pattern(affix_pattern(affix, text)),
        None => TagItem::Value(single_blanks(&text)),
    }
}

/// `text` without the backslashes before punctuation and blanks.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let escapes = text[at] == b'\\'
            && text
                .get(at + 1)
                .is_some_and(|b| b.is_ascii_punctuation() || b.is_ascii_whitespace());
        at += usize::from(escapes);
        out.push(text[at]);
        at += 1;
    }
    out
}

/// The texts between the bars up to the closing brace, trimmed, and where that brace stands.
pub fn split(text: &[u8], open: usize) -> Option<(Vec<&[u8]>, usize)> {
    let mut items = Vec::new();
    let mut start = open;
    let mut quote = None;
    let mut at = open;
    while at < text.len() {
        let byte = text[at];
        match (byte, quote) {
            (b'\\', _) => at += 1,
            (_, Some(open)) if byte == open => quote = None,
            (_, Some(_)) => {}
            // An apostrophe inside a tag ("l'eau") opens nothing; a quote counts where a value may begin.
            (b'"' | b'\'', None) if opens_quote(text, start, at, byte) => quote = Some(byte),
            (b'|', None) => {
                items.push(text[start..at].trim_ascii());
                start = at + 1;
            }
            (b'}', None) => {
                items.push(text[start..at].trim_ascii());
                return Some((items, at));
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Whether the quote at `at` frames a value: nothing but blanks, stars or a `w` stand before it, and it closes.
fn opens_quote(text: &[u8], start: usize, at: usize, quote: u8) -> bool {
    let before = text[start..at].trim_ascii();
    matches!(before, b"" | b"*" | b"w") && text[at + 1..].contains(&quote)
}

/// Takes the stars off both ends of a tag.
fn stars(raw: &[u8]) -> (&[u8], Option<Affix>) {
    let behind = raw.len() > 1 && raw.ends_with(b"*") && !raw.ends_with(b"\\*");
    let inner = if behind { &raw[..raw.len() - 1] } else { raw };
    match (inner.strip_prefix(b"*").filter(|rest| !rest.is_empty()), behind) {
        (Some(rest), true) => (rest, Some(Affix::Contains)),
        (Some(rest), false) => (rest, Some(Affix::Suffix)),
        (None, true) => (inner, Some(Affix::Prefix)),
        (None, false) => (inner, None),
    }
}

fn unquote(text: &[u8]) -> &[u8] {
    match text {
        [first @ (b'"' | b'\''), inner @ .., last] if first == last => inner,
        _ => text,
    }
}

/// `text` with each run of blanks replaced by one.
fn single_blanks(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if !(byte.is_ascii_whitespace() && out.last().is_some_and(u8::is_ascii_whitespace)) {
            out.push(*byte);
        }
    }
    out
}
