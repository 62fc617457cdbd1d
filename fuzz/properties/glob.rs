//! Do glob patterns match as a slow and plain reading of their rules says?
//!
//! Input: a byte whose lowest bit folds case, the length of the pattern, pattern, text.

use mortise::base::glob::{Case, STARS_MAX, glob_match};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&[mode, len], rest)) = bytes.split_first_chunk::<2>() else { return };
    let (pattern, text) = rest.split_at(usize::from(len).min(rest.len()));
    let case = if mode & 1 == 0 { Case::Sensitive } else { Case::Insensitive };
    // The model knows no limit on stars, and its table is as large as the product of both lengths.
    assert!(pattern.len() < STARS_MAX);
    let text = &text[..text.len().min(512)];
    assert_eq!(glob_match(pattern, text, case), plain(pattern, text, case));
}

/// `row[t]`: whether the rest of the pattern matches the text from `t` on; rows are built from the pattern's end.
fn plain(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut elements = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        let (element, behind) = Element::read(rest);
        elements.push(element);
        rest = behind;
    }
    let mut row: Vec<bool> = (0..=text.len()).map(|at| at == text.len()).collect();
    for element in elements.iter().rev() {
        let mut before = vec![false; text.len() + 1];
        for at in (0..=text.len()).rev() {
            before[at] = match element {
                Element::Run => row[at] || (at < text.len() && before[at + 1]),
                one => at < text.len() && one.fits(text[at], case) && row[at + 1],
            };
        }
        row = before;
    }
    row[0]
}

enum Element {
    Run,
    Any,
    Byte(u8),
    Class { negated: bool, items: Vec<Item> },
}

enum Item {
    /// Behind a backslash: never folded.
    Quoted(u8),
    Single(u8),
    Range(u8, u8),
}

impl Element {
    fn read(pattern: &[u8]) -> (Element, &[u8]) {
        match *pattern {
            [b'*', ref rest @ ..] => (Element::Run, rest),
            [b'?', ref rest @ ..] => (Element::Any, rest),
            [b'[', ref rest @ ..] => Element::read_class(rest),
            [b'\\', byte, ref rest @ ..] | [byte, ref rest @ ..] => (Element::Byte(byte), rest),
            [] => unreachable!("callers stop at the end"),
        }
    }

    fn read_class(mut rest: &[u8]) -> (Element, &[u8]) {
        let negated = rest.first() == Some(&b'^');
        if negated {
            rest = &rest[1..];
        }
        let mut items = Vec::new();
        let behind = loop {
            match *rest {
                [] => break rest,
                [b'\\', byte, ref more @ ..] => {
                    items.push(Item::Quoted(byte));
                    rest = more;
                }
                [b']', ref more @ ..] => break more,
                [low, b'-', high, ref more @ ..] => {
                    items.push(Item::Range(low, high));
                    rest = more;
                }
                [byte, ref more @ ..] => {
                    items.push(Item::Single(byte));
                    rest = more;
                }
            }
        };
        (Element::Class { negated, items }, behind)
    }

    fn fits(&self, byte: u8, case: Case) -> bool {
        let fold = |byte: u8| match case {
            Case::Sensitive => byte,
            Case::Insensitive => byte.to_ascii_lowercase(),
        };
        match self {
            Element::Run => unreachable!("a run is no single byte"),
            Element::Any => true,
            Element::Byte(own) => fold(*own) == fold(byte),
            Element::Class { negated, items } => {
                let hit = items.iter().any(|item| match *item {
                    Item::Quoted(own) => own == byte,
                    Item::Single(own) => fold(own) == fold(byte),
                    Item::Range(from, to) => {
                        // Bytes are signed, and ordered before they are folded.
                        let (from, to) = (from.cast_signed(), to.cast_signed());
                        let (low, high) = (from.min(to), from.max(to));
                        (ordinal(low, case)..=ordinal(high, case))
                            .contains(&ordinal(byte.cast_signed(), case))
                    }
                });
                hit != *negated
            }
        }
    }
}

/// A byte's place in a range: C's `tolower` knows bytes as unsigned ones, except for -1, its end of file.
fn ordinal(byte: i8, case: Case) -> i32 {
    match (case, byte) {
        (Case::Sensitive, _) | (_, -1) => i32::from(byte),
        (Case::Insensitive, _) => i32::from(byte.cast_unsigned().to_ascii_lowercase()),
    }
}
