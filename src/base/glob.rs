//! Does a text match a glob pattern, by the rules of KEYS, SCAN MATCH, PSUBSCRIBE and ACL patterns?
//!
//! `*` any run, `?` any byte, `[...]` one byte of a class (`^` first negates, `a-z` ranges in
//! either order, `\` quotes), `\x` the byte x. Bytes, not characters; ranges compare bytes as
//! signed, as the original does.
//!
//! Work is bounded by pattern length times text length: everything but `*` consumes exactly one
//! byte, so when a match fails only the last `*` can usefully take one byte more, and nothing
//! recurses.
//!
//! Corners that clients can observe and that are therefore kept:
//! - a text that is empty from the start matches the empty pattern only, not `*`;
//! - more than [`STARS_MAX`] runs of `*` never match, unless the last of them ends the pattern;
//! - a class that is not closed ends with the pattern; `[]` matches nothing and `[^]` any byte;
//! - in a class, case folding applies to plain bytes and ranges but not to quoted bytes.

/// Runs of `*` followed by something that one pattern may use; see the corners above.
pub const STARS_MAX: usize = 1000;

/// Whether ASCII letters match in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Bytes must be equal.
    Sensitive,
    /// ASCII letters match either case.
    Insensitive,
}

/// Whether `text` as a whole matches `pattern`.
pub fn glob_match(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut p = 0;
    let mut t = 0;
    let mut stars = 0;
    // Where to go on when a byte does not match: behind the last `*`, with that `*` one byte
    // longer.
    let mut resume: Option<(usize, usize)> = None;
    loop {
        if t == text.len() {
            return pattern[p..].iter().all(|&b| b == b'*');
        }
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            resume = Some((p, t));
        }
        match match_one(&pattern[p..], text[t], case) {
            Some(len) => {
                p += len;
                t += 1;
            }
            None => match resume {
                None => return false,
                Some((after_star, from)) => {
                    p = after_star;
                    t = from + 1;
                    resume = Some((p, t));
                }
            },
        }
    }
}

/// Whether a pattern can match texts other than itself.
pub fn is_pattern(pattern: &[u8]) -> bool {
    pattern.iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'))
}

/// Matches `byte` against the first element of `pattern`, which is not a `*`; the element's length
/// if it matches.
#[inline]
fn match_one(pattern: &[u8], byte: u8, case: Case) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match_class(pattern, byte, case),
        b'\\' if pattern.len() >= 2 => equal(pattern[1], byte, case).then_some(2),
        literal => equal(literal, byte, case).then_some(1),
    }
}

fn match_class(pattern: &[u8], byte: u8, case: Case) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'^');
    let mut p = if negated { 2 } else { 1 };
    let mut found = false;
    loop {
        match pattern[p..] {
            [] => break,
            [b'\\', quoted, ..] => {
                found |= quoted == byte;
                p += 2;
            }
            [b']', ..] => {
                p += 1;
                break;
            }
            [from, b'-', to, ..] => {
                found |= in_range(from, to, byte, case);
                p += 3;
            }
            [single, ..] => {
                found |= equal(single, byte, case);
                p += 1;
            }
        }
    }
    (found != negated).then_some(p)
}

fn in_range(from: u8, to: u8, byte: u8, case: Case) -> bool {
    let (mut low, mut high) = (from as i8, to as i8);
    if low > high {
        std::mem::swap(&mut low, &mut high);
    }
    (fold(low, case)..=fold(high, case)).contains(&fold(byte as i8, case))
}

/// What is compared in a range. C's `tolower` turns bytes above 0x7f, but not 0xff, into unsigned
/// ones; hence the odd case.
fn fold(byte: i8, case: Case) -> i32 {
    match case {
        Case::Insensitive if byte != -1 => i32::from((byte as u8).to_ascii_lowercase()),
        _ => i32::from(byte),
    }
}

#[inline]
fn equal(a: u8, b: u8, case: Case) -> bool {
    a == b || (case == Case::Insensitive && a.eq_ignore_ascii_case(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        glob_match(pattern.as_bytes(), text.as_bytes(), Case::Sensitive)
    }

    #[test]
    fn plain_and_wildcards() {
        for (pattern, text) in [
            ("", ""),
            ("*", "x"),
            ("**", "x"),
            ("h?llo", "hello"),
            ("h*llo", "heeello"),
            ("h*llo", "hllo"),
            ("*a*b*", "xxaxxbxx"),
            ("a*", "a"),
            ("a**", "a"),
            ("*?", "x"),
            ("?*?", "xy"),
            ("a\\*b", "a*b"),
            ("a\\", "a\\"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("*", ""), ("", "x"), ("h?llo", "hllo"), ("*a", "ab"), ("a\\*b", "axb"), ("?", "")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn classes() {
        for (pattern, text) in [
            ("h[ae]llo", "hello"),
            ("h[^e]llo", "hallo"),
            ("[a-c]", "b"),
            ("[c-a]", "b"),
            ("[\\]]", "]"),
            ("[a\\-z]", "-"),
            ("[^]", "x"),
            ("[^", "x"),
            ("[abc", "b"),
            ("[a-]", "^"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("[]", "x"), ("[]a]", "a"), ("h[^e]llo", "hello"), ("[", "["), ("[a\\-z]", "b")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn ranges_are_of_signed_bytes() {
        // 0x01 and 0xff are 1 and -1: the range holds -1, 0 and 1.
        let pattern = b"[\x01-\xff]";
        for (byte, expected) in [(0u8, true), (1, true), (0xff, true), (2, false), (0x80, false)] {
            assert_eq!(glob_match(pattern, &[byte], Case::Sensitive), expected, "{byte}");
        }
    }

    #[test]
    fn case_folding() {
        let fold = |p: &str, t: &str| glob_match(p.as_bytes(), t.as_bytes(), Case::Insensitive);
        assert!(fold("HeL*", "hello"));
        assert!(fold("[A-C]x", "bX"));
        assert!(fold("[abc]", "B"));
        assert!(!fold("[\\a]", "A"));
        assert!(!matches("HeL*", "hello"));
    }

    #[test]
    fn hostile_patterns_are_cheap() {
        let text = "a".repeat(2000);
        let pattern = format!("{}b", "a*".repeat(900));
        assert!(!matches(&pattern, &text));
        let many = "*?".repeat(50_000);
        assert!(!matches(&many, &"a".repeat(50_000)));
        assert!(matches(&"*?".repeat(STARS_MAX), &text));
        assert!(matches(&format!("{}*", "*?".repeat(STARS_MAX)), &text));
    }

    /// The obvious recursive definition, for patterns with few stars.
    fn naive(pattern: &[u8], text: &[u8], case: Case) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len()).any(|n| naive(&pattern[1..], &text[n..], case)),
            Some(_) => {
                !text.is_empty()
                    && match_one(pattern, text[0], case)
                        .is_some_and(|len| naive(&pattern[len..], &text[1..], case))
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_recursive_definition(
            pattern in "[ab*?\\[\\]^\\\\-]{0,10}",
            text in "[abAB\\-]{1,10}",
            fold in any::<bool>(),
        ) {
            let case = if fold { Case::Insensitive } else { Case::Sensitive };
            prop_assert_eq!(
                glob_match(pattern.as_bytes(), text.as_bytes(), case),
                naive(pattern.as_bytes(), text.as_bytes(), case)
            );
        }

        #[test]
        fn never_panics(pattern: Vec<u8>, text: Vec<u8>) {
            glob_match(&pattern, &text, Case::Sensitive);
            glob_match(&pattern, &text, Case::Insensitive);
        }
    }
}
