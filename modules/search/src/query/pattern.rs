//! Which words have a given shape?
//!
//! Prefixes, suffixes, infixes, wildcards and edit distances are all answered by asking each word of a dictionary;
//! the literal beginning of a pattern narrows which part of the dictionary must be asked.

use crate::settings;
use crate::tokenize::WORD_BYTES_MAX;

/// A shape of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// Begins so.
    Prefix(Vec<u8>),
    /// Ends so.
    Suffix(Vec<u8>),
    /// Contains this.
    Contains(Vec<u8>),
    /// `?` stands for one byte, `*` for any number of them, a backslash takes the next byte literally.
    Wildcard(Vec<u8>),
    /// At most this many letters inserted, removed or changed.
    Fuzzy {
        /// The word as it was typed.
        word: String,
        /// How many letters may differ.
        distance: u8,
    },
}

/// Longest word that is compared by edit distance, in letters: the comparison is quadratic.
pub const FUZZY_LETTERS_MAX: usize = 255;

impl Pattern {
    /// Whether the pattern is too short to be searched for; such a one finds nothing.
    pub fn is_too_short(&self) -> bool {
        match self {
            Pattern::Prefix(text) | Pattern::Suffix(text) | Pattern::Contains(text) => {
                text.len() < settings::size(&settings::MIN_PREFIX)
            }
            Pattern::Wildcard(_) | Pattern::Fuzzy { .. } => false,
        }
    }

    /// What every matching word begins with.
    pub fn literal_prefix(&self) -> &[u8] {
        match self {
            Pattern::Prefix(text) => text,
            Pattern::Wildcard(text) => {
                let special = |byte: &u8| matches!(byte, b'?' | b'*' | b'\\');
                &text[..text.iter().position(special).unwrap_or(text.len())]
            }
            Pattern::Suffix(_) | Pattern::Contains(_) | Pattern::Fuzzy { .. } => b"",
        }
    }

    /// About how many steps of some nanoseconds it takes to ask one word.
    pub fn steps(&self) -> u64 {
        match self {
            Pattern::Prefix(_) | Pattern::Suffix(_) => 4,
            Pattern::Contains(_) | Pattern::Wildcard(_) => 8,
            Pattern::Fuzzy { .. } => 24,
        }
    }

    /// Whether `word` has this shape.
    pub fn matches(&self, word: &[u8]) -> bool {
        match self {
            Pattern::Prefix(text) => word.starts_with(text),
            Pattern::Suffix(text) => word.ends_with(text),
            Pattern::Contains(text) => contains(word, text),
            Pattern::Wildcard(text) => wildcard(text, word),
            Pattern::Fuzzy { word: wanted, distance } => {
                std::str::from_utf8(word).is_ok_and(|word| within(wanted, word, *distance))
            }
        }
    }
}

fn contains(word: &[u8], text: &[u8]) -> bool {
    text.is_empty() || word.windows(text.len()).any(|window| window == text)
}

/// The text of a wildcard in its shortest form: several stars in a row are one, and what stands behind more letters than
/// any word has is left away, since nothing matches with it or without it.
pub fn shortened(text: &[u8]) -> Vec<u8> {
    let (mut out, mut letters, mut at, mut was_star) = (Vec::new(), 0, 0, false);
    while at < text.len() && letters <= WORD_BYTES_MAX {
        let escapes = text[at] == b'\\' && at + 1 < text.len();
        let end = at + 1 + usize::from(escapes);
        let is_star = text[at] == b'*';
        if !(is_star && was_star) {
            out.extend_from_slice(&text[at..end]);
        }
        letters += usize::from(!is_star);
        (was_star, at) = (is_star, end);
    }
    out
}

/// Glob matching in linear time: only the last `*` needs to be returned to.
fn wildcard(pattern: &[u8], word: &[u8]) -> bool {
    let (mut p, mut w) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while w < word.len() {
        let (step, fits) = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, w));
                p += 1;
                continue;
            }
            Some(b'?') => (1, true),
            Some(b'\\') if p + 1 < pattern.len() => (2, pattern[p + 1] == word[w]),
            Some(byte) => (1, *byte == word[w]),
            None => (0, false),
        };
        if fits {
            p += step;
            w += 1;
        } else if let Some((after, at)) = star {
            star = Some((after, at + 1));
            p = after;
            w = at + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether the edit distance of two words is at most `max`.
fn within(a: &str, b: &str, max: u8) -> bool {
    let max = usize::from(max);
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > max || a.len().max(b.len()) > FUZZY_LETTERS_MAX {
        return false;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        let mut best = row[0];
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
            best = best.min(row[j + 1]);
        }
        if best > max {
            return false;
        }
    }
    row[b.len()] <= max
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shortened_wildcard_means_the_same() {
        assert_eq!(shortened(b"a**b***?*"), b"a*b*?*");
        assert_eq!(shortened(br"\**\*\"), br"\**\*\");
        let long = [&b"*".repeat(100_000)[..], &b"a".repeat(100_000)].concat();
        assert_eq!(shortened(&long).len(), 1 + 4097);
        assert!(!wildcard(&shortened(&long), &b"a".repeat(4096)));
    }

    #[test]
    fn wildcards_match_as_globs_do() {
        let matches =
            |pattern: &str, word: &str| Pattern::Wildcard(pattern.into()).matches(word.as_bytes());
        assert!(matches("h*o", "hello") && matches("h?llo", "hello") && matches("*", ""));
        assert!(matches("a*b*c", "axbxbc") && !matches("a*b*c", "axbx"));
        assert!(matches(r"a\*c", "a*c") && !matches(r"a\*c", "abc"));
        assert_eq!(Pattern::Wildcard(b"he?lo*".to_vec()).literal_prefix(), b"he");
    }

    #[test]
    fn distances_count_letters_not_bytes() {
        assert!(within("größe", "grösse", 2) && !within("größe", "grösse", 1));
        assert!(within("kitten", "sitting", 3) && !within("kitten", "sitting", 2));
    }

    /// The textbook recursion.
    fn distance(a: &[u8], b: &[u8]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([x, a_rest @ ..], [y, b_rest @ ..]) => (distance(a_rest, b_rest)
                + usize::from(x != y))
            .min(distance(a_rest, b) + 1)
            .min(distance(a, b_rest) + 1),
        }
    }

    proptest! {
        #[test]
        fn distance_agrees_with_its_definition(a in "[ab]{0,5}", b in "[ab]{0,5}", max in 1u8..4) {
            prop_assert_eq!(within(&a, &b, max), distance(a.as_bytes(), b.as_bytes()) <= usize::from(max));
        }
    }
}
