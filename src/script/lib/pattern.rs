//! How does a Lua pattern match? Lua 5.1's patterns over bytes, with a bound on nesting and time.
//!
//! A pattern is a sequence of items: a class of bytes with a repetition (`*`, `+`, `-`, `?`), a
//! capture (`(...)`, `()`), a back reference (`%1`), a balanced pair (`%bxy`), a frontier (`%f[set]`),
//! `$` at the end. Matching tries the items in order and goes back where a repetition left a choice;
//! the choices are on the machine's stack, so their depth is limited, and since going back can take
//! exponential time, the matcher asks now and then whether to go on.
//!
//! As in Lua 5.1, a zero byte ends the pattern (`%z` stands for that byte in classes).

/// Choices that may be open at once; one for every repetition or capture on the way.
const DEPTH_MAX: u32 = 200;

/// Captures of a pattern.
pub(in super::super) const CAPTURES_MAX: usize = 32;

/// Bytes looked at between two questions whether to go on.
const STEPS_PER_POLL: u32 = 1 << 17;

/// What is wrong with a pattern, or with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatternError {
    EndsWithEscape,
    MissingBracket,
    Unbalanced,
    FrontierWithoutSet,
    InvalidCaptureIndex,
    InvalidCapture,
    UnfinishedCapture,
    TooManyCaptures,
    TooComplex,
    /// The script is to end; not a fault of the pattern.
    Interrupted,
}

impl PatternError {
    /// Lua's text.
    pub(super) fn text(self) -> &'static [u8] {
        match self {
            Self::EndsWithEscape => b"malformed pattern (ends with '%')",
            Self::MissingBracket => b"malformed pattern (missing ']')",
            Self::Unbalanced => b"unbalanced pattern",
            Self::FrontierWithoutSet => b"missing '[' after '%f' in pattern",
            Self::InvalidCaptureIndex => b"invalid capture index",
            Self::InvalidCapture => b"invalid pattern capture",
            Self::UnfinishedCapture => b"unfinished capture",
            Self::TooManyCaptures => b"too many captures",
            Self::TooComplex => b"pattern too complex",
            Self::Interrupted => b"interrupted",
        }
    }
}

/// What a capture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// Its end has not been met.
    Open {
        start: usize,
    },
    /// `()`.
    Position(usize),
    Text {
        start: usize,
        end: usize,
    },
}

/// A pattern at work on a text.
pub(super) struct Matcher<'a, P> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES_MAX],
    capture_count: usize,
    depth: u32,
    steps: u32,
    /// Whether to stop.
    poll: P,
}

type Match = Result<Option<usize>, PatternError>;

/// How often an item may match.
#[derive(Clone, Copy)]
enum Repetition {
    One,
    /// `?`
    Optional,
    /// `*` with `min` 0, `+` with 1.
    Greedy {
        min: usize,
    },
    /// `-`
    Lazy,
}

impl<'a, P: FnMut() -> bool> Matcher<'a, P> {
    /// The pattern, after a leading `^` if it is an anchor.
    pub(super) fn new(text: &'a [u8], pattern: &'a [u8], poll: P) -> Self {
        let len = memchr::memchr(0, pattern).unwrap_or(pattern.len());
        Self {
            text,
            pattern: &pattern[..len],
            captures: [Capture::Position(0); CAPTURES_MAX],
            capture_count: 0,
            depth: 0,
            steps: STEPS_PER_POLL,
            poll,
        }
    }

    /// Where the match that begins at `start` ends.
    pub(super) fn match_at(&mut self, start: usize) -> Match {
        self.capture_count = 0;
        self.depth = 0;
        self.run(start, 0)
    }

    /// The captures of the last match.
    pub(super) fn captures(&self) -> &[Capture] {
        &self.captures[..self.capture_count]
    }

    /// Counts work, and asks whether to go on when it is time.
    #[inline]
    fn step(&mut self) -> Result<(), PatternError> {
        self.steps -= 1;
        if self.steps == 0 {
            self.steps = STEPS_PER_POLL;
            if (self.poll)() {
                return Err(PatternError::Interrupted);
            }
        }
        Ok(())
    }

    /// Tries the rest of the pattern elsewhere, with the way back open.
    fn branch(&mut self, at: usize, item: usize) -> Match {
        if self.depth == DEPTH_MAX {
            return Err(PatternError::TooComplex);
        }
        self.depth += 1;
        let result = self.run(at, item);
        self.depth -= 1;
        result
    }

    /// Matches the pattern from `item` on against the text from `at` on.
    fn run(&mut self, mut at: usize, mut item: usize) -> Match {
        loop {
            self.step()?;
            let rest = &self.pattern[item..];
            match *rest {
                [] => return Ok(Some(at)),
                [b'(', b')', ..] => return self.open(Capture::Position(at), at, item + 2),
                [b'(', ..] => return self.open(Capture::Open { start: at }, at, item + 1),
                [b')', ..] => return self.close(at, item + 1),
                [b'$'] => return Ok((at == self.text.len()).then_some(at)),
                [b'%', b'b', ref pair @ ..] => {
                    let &[open, close, ..] = pair else { return Err(PatternError::Unbalanced) };
                    let Some(end) = self.balanced(at, open, close)? else { return Ok(None) };
                    (at, item) = (end, item + 4);
                }
                [b'%', b'f', ..] => {
                    let Some(next) = self.frontier(at, item + 2)? else { return Ok(None) };
                    item = next;
                }
                [b'%', digit @ b'0'..=b'9', ..] => {
                    let Some(end) = self.back_reference(at, digit)? else { return Ok(None) };
                    (at, item) = (end, item + 2);
                }
                _ => {
                    let end = self.class_end(item)?;
                    let (repetition, next) = match self.pattern.get(end) {
                        Some(b'?') => (Repetition::Optional, end + 1),
                        Some(b'*') => (Repetition::Greedy { min: 0 }, end + 1),
                        Some(b'+') => (Repetition::Greedy { min: 1 }, end + 1),
                        Some(b'-') => (Repetition::Lazy, end + 1),
                        _ => (Repetition::One, end),
                    };
                    let class = &self.pattern[item..end];
                    match repetition {
                        Repetition::One if !self.fits(at, class) => return Ok(None),
                        Repetition::One => at += 1,
                        Repetition::Optional => {
                            if self.fits(at, class)
                                && let found @ Some(_) = self.branch(at + 1, next)?
                            {
                                return Ok(found);
                            }
                        }
                        Repetition::Greedy { min } => return self.greedy(at, class, min, next),
                        Repetition::Lazy => return self.lazy(at, class, next),
                    }
                    item = next;
                }
            }
        }
    }

    /// Where the class that begins at `start` ends: behind the byte, the escape or the set.
    fn class_end(&self, start: usize) -> Result<usize, PatternError> {
        let byte = |at: usize| self.pattern.get(at).copied();
        match byte(start) {
            Some(b'%') if byte(start + 1).is_none() => Err(PatternError::EndsWithEscape),
            Some(b'%') => Ok(start + 2),
            Some(b'[') => {
                let mut at = start + 1 + usize::from(byte(start + 1) == Some(b'^'));
                // The first byte belongs to the set even if it is a bracket.
                loop {
                    let escape = byte(at).ok_or(PatternError::MissingBracket)? == b'%';
                    at += 1 + usize::from(escape && byte(at + 1).is_some());
                    if byte(at) == Some(b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(start + 1),
        }
    }

    /// Whether there is a byte at `at`, and it is of the class.
    #[inline]
    fn fits(&self, at: usize, class: &[u8]) -> bool {
        let Some(&byte) = self.text.get(at) else { return false };
        match class {
            [b'.'] => true,
            [b'%', letter] => in_class(byte, *letter),
            [b'[', set @ .., b']'] if !set.is_empty() => in_set(byte, set),
            [literal, ..] => byte == *literal,
            [] => false,
        }
    }

    fn greedy(&mut self, at: usize, class: &[u8], min: usize, next: usize) -> Match {
        let mut count = 0;
        while self.fits(at + count, class) {
            self.step()?;
            count += 1;
        }
        while count >= min {
            if let found @ Some(_) = self.branch(at + count, next)? {
                return Ok(found);
            }
            if count == 0 {
                break;
            }
            count -= 1;
        }
        Ok(None)
    }

    fn lazy(&mut self, mut at: usize, class: &[u8], next: usize) -> Match {
        loop {
            if let found @ Some(_) = self.branch(at, next)? {
                return Ok(found);
            }
            if !self.fits(at, class) {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn open(&mut self, capture: Capture, at: usize, next: usize) -> Match {
        if self.capture_count == CAPTURES_MAX {
            return Err(PatternError::TooManyCaptures);
        }
        self.captures[self.capture_count] = capture;
        self.capture_count += 1;
        let found = self.branch(at, next)?;
        if found.is_none() {
            self.capture_count -= 1;
        }
        Ok(found)
    }

    fn close(&mut self, at: usize, next: usize) -> Match {
        let open = self.captures().iter().rposition(|c| matches!(c, Capture::Open { .. }));
        let index = open.ok_or(PatternError::InvalidCapture)?;
        let Capture::Open { start } = self.captures[index] else {
            unreachable!("the position of an open one was looked for")
        };
        self.captures[index] = Capture::Text { start, end: at };
        let found = self.branch(at, next)?;
        if found.is_none() {
            self.captures[index] = Capture::Open { start };
        }
        Ok(found)
    }

    /// Where the text between a balanced pair that begins at `at` ends.
    fn balanced(&mut self, at: usize, open: u8, close: u8) -> Match {
        if self.text.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut level = 1u32;
        for (ahead, &byte) in self.text[at + 1..].iter().enumerate() {
            self.step()?;
            // Equal delimiters close.
            if byte == close {
                level -= 1;
                if level == 0 {
                    return Ok(Some(at + ahead + 2));
                }
            } else if byte == open {
                level += 1;
            }
        }
        Ok(None)
    }

    /// Whether the set that begins at `set_start` begins to hold here; the item behind it.
    fn frontier(&mut self, at: usize, set_start: usize) -> Match {
        if self.pattern.get(set_start) != Some(&b'[') {
            return Err(PatternError::FrontierWithoutSet);
        }
        let end = self.class_end(set_start)?;
        let set = &self.pattern[set_start + 1..end - 1];
        let before = at.checked_sub(1).map_or(0, |at| self.text[at]);
        let here = self.text.get(at).copied().unwrap_or(0);
        Ok((!in_set(before, set) && in_set(here, set)).then_some(end))
    }

    fn back_reference(&mut self, at: usize, digit: u8) -> Match {
        let index = digit.checked_sub(b'1').map(usize::from);
        let capture = index.and_then(|index| self.captures().get(index).copied());
        match capture {
            Some(Capture::Text { start, end }) => {
                let wanted = &self.text[start..end];
                Ok(self.text[at..].starts_with(wanted).then_some(at + wanted.len()))
            }
            // Lua takes the length of a position for a number larger than any text.
            Some(Capture::Position(_)) => Ok(None),
            Some(Capture::Open { .. }) | None => Err(PatternError::InvalidCaptureIndex),
        }
    }
}

/// Whether a byte is of the class `%letter`; a capital stands for the opposite.
fn in_class(byte: u8, letter: u8) -> bool {
    let is_in = match letter.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return byte == letter,
    };
    is_in != letter.is_ascii_uppercase()
}

/// Whether a byte is in a set, given what stands between the brackets.
fn in_set(byte: u8, set: &[u8]) -> bool {
    let (mut rest, negated) = match set {
        [b'^', rest @ ..] => (rest, true),
        rest => (rest, false),
    };
    loop {
        let (hit, consumed) = match rest {
            [] => return negated,
            [b'%', letter, ..] => (in_class(byte, *letter), 2),
            [low, b'-', high, ..] => ((*low..=*high).contains(&byte), 3),
            [literal, ..] => (byte == *literal, 1),
        };
        if hit {
            return !negated;
        }
        rest = &rest[consumed..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start and end of the first match, as `string.find` searches.
    fn find(text: &str, pattern: &str) -> Result<Option<(usize, usize)>, PatternError> {
        let mut matcher = Matcher::new(text.as_bytes(), pattern.as_bytes(), || false);
        for start in 0..=text.len() {
            if let Some(end) = matcher.match_at(start)? {
                return Ok(Some((start, end)));
            }
        }
        Ok(None)
    }

    #[test]
    fn items_match_as_in_lua() {
        for (text, pattern, expected) in [
            ("hello world", "o w", Some((4, 7))),
            ("hello", "l+", Some((2, 4))),
            ("hello", "l-o", Some((2, 5))),
            ("hello", "x*", Some((0, 0))),
            ("key:123", "%d+$", Some((4, 7))),
            ("key:123", "%d$x", None),
            ("THE (quick) fox", "%((%a+)%)", Some((4, 11))),
            ("f(a(b)c)d", "%b()", Some((1, 8))),
            ("THE END", "%f[%a]%a+%f[%A]", Some((0, 3))),
            ("abab", "(ab)%1", Some((0, 4))),
            ("a-b", "[a%-]+", Some((0, 2))),
            ("]", "[]]", Some((0, 1))),
            ("x]", "[^]]", Some((0, 1))),
            ("a.b", "%.", Some((1, 2))),
            ("ab", "a?b?c?", Some((0, 2))),
            ("-", "[a-]", Some((0, 1))),
        ] {
            assert_eq!(find(text, pattern), Ok(expected), "{text} {pattern}");
        }
    }

    #[test]
    fn malformed_patterns_are_told() {
        for (pattern, error) in [
            ("%", PatternError::EndsWithEscape),
            ("[a", PatternError::MissingBracket),
            ("[^]", PatternError::MissingBracket),
            ("[%", PatternError::MissingBracket),
            ("%bx", PatternError::Unbalanced),
            ("%fa", PatternError::FrontierWithoutSet),
            ("%1", PatternError::InvalidCaptureIndex),
            ("(%1)", PatternError::InvalidCaptureIndex),
            (")", PatternError::InvalidCapture),
        ] {
            assert_eq!(find("aaa", pattern), Err(error), "{pattern}");
        }
        assert_eq!(find("", &"()".repeat(33)), Err(PatternError::TooManyCaptures));
        assert_eq!(find(&"a".repeat(300), &"a?".repeat(300)), Err(PatternError::TooComplex));
    }

    #[test]
    fn endless_patterns_are_interrupted() {
        let text = "a".repeat(40);
        let mut polls = 0;
        let mut matcher = Matcher::new(text.as_bytes(), b"a*a*a*a*a*a*a*a*a*b", || {
            polls += 1;
            polls == 3
        });
        assert_eq!(matcher.match_at(0), Err(PatternError::Interrupted));
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(text in proptest::collection::vec(0u8..128, 0..20), pattern in "[a-c%()\\[\\]^$*+?.\\-bf01 \0]{0,12}") {
            let mut matcher = Matcher::new(&text, pattern.as_bytes(), || true);
            for start in 0..=text.len() {
                let _ = matcher.match_at(start);
            }
        }
    }
}
