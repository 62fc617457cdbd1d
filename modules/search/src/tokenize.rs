//! Which words does a text consist of?
//!
//! A text is cut at blanks, line breaks and ASCII punctuation; `_` belongs to words, a backslash makes the next
//! byte belong to one, other control bytes vanish. What is left is lower-cased, without folding accents. Stop words
//! vanish and leave no gap in the positions. RediSearch cuts at the same bytes except line breaks, which it drops,
//! gluing the last word of a line to the first of the next; nobody can want that.
//!
//! Words are UTF-8 from here on: bytes that are not become U+FFFD.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use frostem::{Algorithm, Stemmer};

/// Longest word that is indexed, in bytes; the dictionary of the sealed tier ends at 65,530.
pub const WORD_BYTES_MAX: usize = 4096;

/// Whether `byte` separates words unless a backslash stands before it.
pub fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
        || (byte.is_ascii_punctuation() && byte != b'_' && byte != b'\\')
}

/// Calls `emit` with each word of `text`, stop words left out.
pub fn words(text: &[u8], stop_words: &StopWords, mut emit: impl FnMut(&str)) {
    words_at(text, stop_words, |word, _| emit(word));
}

/// Calls `emit` with each word of `text`, stop words left out, and where it stands there, escapes included.
pub fn words_at(
    text: &[u8],
    stop_words: &StopWords,
    mut emit: impl FnMut(&str, std::ops::Range<usize>),
) {
    let mut word = String::new();
    let mut at = 0;
    while at < text.len() {
        let end = raw_word_end(text, at);
        if end > at {
            word.clear();
            normalize_into(&text[at..end], &mut word);
            if !word.is_empty() && word.len() <= WORD_BYTES_MAX && !stop_words.contains(&word) {
                emit(&word, at..end);
            }
        }
        at = end + 1;
    }
}

/// Where the word that begins at `at` ends: the next separator that is not escaped.
fn raw_word_end(text: &[u8], at: usize) -> usize {
    let mut escaped = false;
    for (offset, byte) in text[at..].iter().enumerate() {
        if !escaped && is_separator(*byte) {
            return at + offset;
        }
        escaped = !escaped && *byte == b'\\';
    }
    text.len()
}

/// `raw` as it is stored and searched: escapes and controls taken out, lower case.
pub fn normalize(raw: &[u8]) -> String {
    let mut word = String::with_capacity(raw.len());
    normalize_into(raw, &mut word);
    word
}

fn normalize_into(raw: &[u8], word: &mut String) {
    if raw.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\') {
        word.extend(raw.iter().map(|byte| byte.to_ascii_lowercase() as char));
        return;
    }
    let mut kept = Vec::with_capacity(raw.len());
    let mut escaped = false;
    for byte in raw {
        if *byte == b'\\' && !escaped {
            escaped = true;
            continue;
        }
        if !byte.is_ascii_control() {
            kept.push(*byte);
        }
        escaped = false;
    }
    lower_into(&String::from_utf8_lossy(&kept), word);
}

/// Appends `text` in lower case, one scalar at a time (so that a final sigma is not told from others, and a word is
/// lower-cased alike wherever it stands).
fn lower_into(text: &str, out: &mut String) {
    out.extend(text.chars().flat_map(char::to_lowercase));
}

/// `bytes` in lower case where they are UTF-8, for tags and sortable copies; other bytes stay as they are.
pub fn lower_bytes(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_ascii() {
        return bytes.to_ascii_lowercase();
    }
    let mut out = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut lower = String::with_capacity(chunk.valid().len());
        lower_into(chunk.valid(), &mut lower);
        out.extend_from_slice(lower.as_bytes());
        out.extend_from_slice(chunk.invalid());
    }
    out
}

/// Whether `letter` is one of the Chinese script, of which a word has one or a few and no blank between words.
fn is_han(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// A part of a word of a Chinese text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// One character, and the one behind it as well if there is one.
    Han(&'a str, Option<&'a str>),
    /// A run of other letters and digits.
    Other(&'a str),
}

/// The parts of a word of a Chinese text.
///
/// RediSearch looks words up in a dictionary; here each pair of neighbouring characters is a term, and each character
/// too, as is usual where there is no dictionary. A word of the query is then the phrase of its pairs. So every word
/// that a text has is found, and sometimes one that only seems to stand there, across the border of two others.
pub fn segments<'a>(word: &'a str, mut emit: impl FnMut(Segment<'a>)) {
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        if is_han(first) {
            let one = first.len_utf8();
            let second = rest[one..].chars().next().filter(|letter| is_han(*letter));
            let pair = second.map(|second| &rest[..one + second.len_utf8()]);
            emit(Segment::Han(&rest[..one], pair));
            rest = &rest[one..];
        } else if first.is_alphanumeric() || first == '_' {
            let inside =
                |letter: char| !is_han(letter) && (letter.is_alphanumeric() || letter == '_');
            let end = rest.find(|letter| !inside(letter)).unwrap_or(rest.len());
            emit(Segment::Other(&rest[..end]));
            rest = &rest[end..];
        } else {
            // Chinese punctuation is not ASCII.
            rest = &rest[first.len_utf8()..];
        }
    }
}

/// A language that texts can be in; English unless something else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Language(u8);

/// Names and stemmers. RediSearch stems malay and tagalog too, Snowball's main line does not; their words are
/// indexed as they are.
static LANGUAGES: [(&str, Option<Algorithm>); 31] = [
    ("english", Some(Algorithm::English)),
    ("arabic", Some(Algorithm::Arabic)),
    ("armenian", Some(Algorithm::Armenian)),
    ("basque", Some(Algorithm::Basque)),
    ("catalan", Some(Algorithm::Catalan)),
    ("danish", Some(Algorithm::Danish)),
    ("dutch", Some(Algorithm::Dutch)),
    ("finnish", Some(Algorithm::Finnish)),
    ("french", Some(Algorithm::French)),
    ("german", Some(Algorithm::German)),
    ("greek", Some(Algorithm::Greek)),
    ("hindi", Some(Algorithm::Hindi)),
    ("hungarian", Some(Algorithm::Hungarian)),
    ("indonesian", Some(Algorithm::Indonesian)),
    ("irish", Some(Algorithm::Irish)),
    ("italian", Some(Algorithm::Italian)),
    ("lithuanian", Some(Algorithm::Lithuanian)),
    ("malay", None),
    ("nepali", Some(Algorithm::Nepali)),
    ("norwegian", Some(Algorithm::Norwegian)),
    ("portuguese", Some(Algorithm::Portuguese)),
    ("romanian", Some(Algorithm::Romanian)),
    ("russian", Some(Algorithm::Russian)),
    ("serbian", Some(Algorithm::Serbian)),
    ("spanish", Some(Algorithm::Spanish)),
    ("swedish", Some(Algorithm::Swedish)),
    ("tagalog", None),
    ("tamil", Some(Algorithm::Tamil)),
    ("turkish", Some(Algorithm::Turkish)),
    ("yiddish", Some(Algorithm::Yiddish)),
    (CHINESE, None),
];

/// The language whose words are not told by blanks.
const CHINESE: &str = "chinese";

impl Language {
    /// Whether its texts are cut into characters and pairs of characters; see [`segments`].
    pub fn is_chinese(self) -> bool {
        self.name() == CHINESE
    }

    /// The language of this English name, in any case.
    pub fn find(name: &[u8]) -> Option<Language> {
        let known = |(known, _): &(&str, _)| name.eq_ignore_ascii_case(known.as_bytes());
        let at = LANGUAGES.iter().position(known)?;
        Some(Language(u8::try_from(at).expect("the table is short")))
    }

    /// Its English name.
    pub fn name(self) -> &'static str {
        LANGUAGES[self.0 as usize].0
    }

    /// The stem of `word`, if the language has a stemmer.
    pub fn stem(self, word: &str) -> Option<String> {
        let algorithm = LANGUAGES[self.0 as usize].1?;
        Some(Stemmer::new(algorithm).stem(word).into_owned())
    }
}

/// Words that are neither indexed nor searched for.
#[derive(Debug, Clone)]
pub struct StopWords {
    words: Arc<HashSet<Box<str>>>,
    custom: bool,
}

static DEFAULT_STOP_WORDS: LazyLock<Arc<HashSet<Box<str>>>> = LazyLock::new(|| {
    let words = "a is the an and are as at be but by for if in into it no not of on or such that their then there \
                 these they this to was will with";
    Arc::new(words.split_whitespace().map(Box::from).collect())
});

impl Default for StopWords {
    fn default() -> StopWords {
        StopWords { words: Arc::clone(&DEFAULT_STOP_WORDS), custom: false }
    }
}

impl StopWords {
    /// Exactly these words.
    pub fn custom(words: &[&[u8]]) -> StopWords {
        let words = words.iter().map(|word| normalize(word).into_boxed_str()).collect();
        StopWords { words: Arc::new(words), custom: true }
    }

    /// No word at all.
    pub fn none() -> StopWords {
        StopWords { words: Arc::default(), custom: true }
    }

    /// Whether `word`, normalised, is one of them.
    pub fn contains(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// The words if they were given with the index, in order.
    pub fn given(&self) -> Option<Vec<&str>> {
        let mut words: Vec<&str> = self.words.iter().map(|word| &**word).collect();
        words.sort_unstable();
        self.custom.then_some(words)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        words(text.as_bytes(), &StopWords::default(), |word| found.push(word.to_owned()));
        found
    }

    #[test]
    fn words_are_cut_at_punctuation_and_lower_cased() {
        assert_eq!(split("Hello, wide_World! foo-bar"), ["hello", "wide_world", "foo", "bar"]);
        assert_eq!(split(r"foo\-bar baz\ qux"), ["foo-bar", "baz qux"]);
        assert_eq!(split("Größe ÉTÉ"), ["größe", "été"]);
        assert_eq!(split("one\ntwo\x01x"), ["one", "twox"]);
        assert_eq!(split("the king of the hill"), ["king", "hill"]);
        assert_eq!(split("   "), Vec::<String>::new());
    }

    #[test]
    fn chinese_is_cut_into_pairs() {
        let mut found = Vec::new();
        segments("我喜欢rust，编", |segment| found.push(segment));
        assert_eq!(
            found,
            [
                Segment::Han("我", Some("我喜")),
                Segment::Han("喜", Some("喜欢")),
                Segment::Han("欢", None),
                Segment::Other("rust"),
                Segment::Han("编", None),
            ]
        );
        assert!(Language::find(b"Chinese").unwrap().is_chinese());
    }

    #[test]
    fn stems_come_from_snowball() {
        let english = Language::default();
        assert_eq!(english.stem("running").as_deref(), Some("run"));
        assert_eq!(Language::find(b"GERMAN").unwrap().stem("häuser").as_deref(), Some("haus"));
        assert_eq!(Language::find(b"klingon"), None);
    }

    #[test]
    fn lower_casing_leaves_foreign_bytes_alone() {
        assert_eq!(lower_bytes(b"AB\xffC\xc3\x89"), b"ab\xffc\xc3\xa9");
    }

    proptest! {
        #[test]
        fn any_bytes_give_words_without_separators(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            words(&text, &StopWords::none(), |word| assert!(!word.is_empty()));
        }

        #[test]
        fn no_stemmer_panics(word in "\\PC{0,24}", language in 0..LANGUAGES.len()) {
            let language = Language(language as u8);
            let lower = normalize(word.as_bytes());
            language.stem(&lower);
        }

        #[test]
        fn no_stemmer_panics_on_its_own_alphabet(word in "[a-zäöüßéèñçåøæşğıа-яα-ωا-يא-ת]{0,24}", language in 0..LANGUAGES.len()) {
            Language(language as u8).stem(&word);
        }
    }
}
