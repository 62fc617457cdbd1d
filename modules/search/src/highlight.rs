//! What of a text is shown to who searched for its words?
//!
//! The text is read again as it was for the index, and each word asked whether the query looks it up. Highlighting
//! puts tags around those words. Summarizing cuts the text into fragments around them: words of the query that stand
//! near each other make one fragment, fragments with rarer words count more, and the best few are shown in the order
//! of the text with some context. Sizes are RediSearch's: it guesses six bytes a word where it fills up context.

use std::ops::Range;

use crate::query::expand::is_marked;
use crate::query::pattern::Pattern;
use crate::query::plan::{Leaf, Plan, Space, Step};
use crate::schema::{FieldMask, Schema};
use crate::synonyms::GROUP_MARK;
use crate::tokenize::{Language, is_separator, words_at};

/// Words of the query that are further apart than this are in different fragments.
const FRAGMENT_GAP: u32 = 8;
/// Bytes that a word is guessed to take.
const WORD_BYTES: usize = 6;

/// What is put around words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags<'a> {
    /// In front.
    pub open: &'a [u8],
    /// Behind.
    pub close: &'a [u8],
}

impl Default for Tags<'static> {
    fn default() -> Tags<'static> {
        Tags { open: b"<b>", close: b"</b>" }
    }
}

/// How a text is made shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary<'a> {
    /// How many fragments.
    pub fragments: usize,
    /// How many words each.
    pub words: usize,
    /// What stands behind each.
    pub separator: &'a [u8],
}

impl Default for Summary<'static> {
    fn default() -> Summary<'static> {
        Summary { fragments: 3, words: 20, separator: b"... " }
    }
}

/// What a query looks for in texts.
#[derive(Debug)]
pub struct Wanted<'a> {
    terms: Vec<WantedTerm<'a>>,
    schema: &'a Schema,
    language: Language,
}

#[derive(Debug)]
struct WantedTerm<'a> {
    what: What<'a>,
    /// In which TEXT fields.
    fields: FieldMask,
    /// How rare it is: what it adds to a fragment's score.
    rarity: f64,
}

#[derive(Debug)]
enum What<'a> {
    Term(&'a [u8]),
    Shape(&'a Pattern),
}

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Where it stands.
    pub bytes: Range<usize>,
    /// Which term of the query it is, if any.
    pub term: Option<usize>,
}

impl<'a> Wanted<'a> {
    /// What `plan` looks for; `rarity` tells how rare a leaf's term is.
    pub fn new(
        plan: &'a Plan,
        schema: &'a Schema,
        language: Language,
        rarity: impl Fn(usize) -> f64,
    ) -> Wanted<'a> {
        let mut wanted = Wanted { terms: Vec::new(), schema, language };
        wanted.gather(plan, &plan.root, &rarity);
        wanted
    }

    fn gather(&mut self, plan: &'a Plan, step: &Step, rarity: &impl Fn(usize) -> f64) {
        match step {
            Step::Leaf { leaf, fields, .. } => {
                let what = match &plan.leaves[*leaf] {
                    Leaf::Term(term) if term.space == Space::Words => What::Term(&term.bytes),
                    Leaf::Shape(shape) if shape.space == Space::Words => {
                        What::Shape(&shape.pattern)
                    }
                    _ => return,
                };
                self.terms.push(WantedTerm { what, fields: *fields, rarity: rarity(*leaf) });
            }
            Step::And { children, .. } | Step::Or { children, .. } => {
                children.iter().for_each(|child| self.gather(plan, child, rarity));
            }
            Step::Optional { child, .. } | Step::Nested { candidates: child, .. } => {
                self.gather(plan, child, rarity);
            }
            // What must not occur does not.
            _ => {}
        }
    }

    /// Whether the query has words at all.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The words of a text of the TEXT field `field`.
    pub fn read(&self, text: &[u8], field: u8) -> Vec<Token> {
        let mut tokens = Vec::new();
        let terms: Vec<usize> =
            (0..self.terms.len()).filter(|at| self.terms[*at].fields >> field & 1 == 1).collect();
        words_at(text, &self.schema.stop_words, |word, bytes| {
            let term = terms.iter().copied().find(|at| self.is_wanted(&self.terms[*at], word));
            tokens.push(Token { bytes, term });
        });
        tokens
    }

    fn is_wanted(&self, term: &WantedTerm<'_>, word: &str) -> bool {
        match term.what {
            What::Shape(pattern) => pattern.matches(word.as_bytes()),
            What::Term(bytes) if bytes == word.as_bytes() => true,
            What::Term(bytes) if is_marked(bytes) => {
                let Ok(rest) = std::str::from_utf8(&bytes[1..]) else { return false };
                match char::from(bytes[0]) {
                    crate::query::plan::STEM_MARK => {
                        self.language.stem(word).is_some_and(|stem| stem == rest)
                    }
                    GROUP_MARK => {
                        self.schema.synonyms.groups(word).iter().any(|group| **group == *rest)
                    }
                    _ => crate::phonetics::sound(word).is_some_and(|sound| sound == rest),
                }
            }
            What::Term(_) => false,
        }
    }

    /// A text with tags around the words that are looked for; none if it has no such word.
    pub fn highlight(&self, text: &[u8], field: u8, tags: &Tags<'_>) -> Option<Vec<u8>> {
        let tokens = self.read(text, field);
        tokens.iter().any(|token| token.term.is_some()).then(|| {
            let mut out = Vec::with_capacity(text.len() + 16);
            tagged(text, 0..text.len(), &tokens, Some(tags), &mut out);
            out
        })
    }

    /// The best fragments of a text, with tags if they are wanted. Without any word that is looked for it is the
    /// beginning of the text, or none if tags are wanted.
    pub fn summarize(
        &self,
        text: &[u8],
        field: u8,
        summary: &Summary<'_>,
        tags: Option<&Tags<'_>>,
    ) -> Option<Vec<u8>> {
        let tokens = self.read(text, field);
        let mut fragments = self.fragments(&tokens);
        if fragments.is_empty() {
            return tags.is_none().then(|| beginning(text, summary));
        }
        // The best ones, of equal ones the first, in the order of the text again.
        fragments
            .sort_by(|a, b| b.score.total_cmp(&a.score).then(a.bytes.start.cmp(&b.bytes.start)));
        fragments.truncate(summary.fragments);
        fragments.sort_by_key(|fragment| fragment.bytes.start);
        let mut out = Vec::new();
        for (at, fragment) in fragments.iter().enumerate() {
            let before = at.checked_sub(1).map_or(0, |at| fragments[at].bytes.end);
            let after = fragments.get(at + 1).map(|next| next.bytes.start);
            let range = with_context(text, fragment, before, after, summary.words);
            let mut piece = Vec::new();
            tagged(text, range, &tokens, tags, &mut piece);
            single_blanks(&piece, &mut out);
            out.extend_from_slice(summary.separator);
        }
        Some(out)
    }

    fn fragments(&self, tokens: &[Token]) -> Vec<Fragment> {
        let mut fragments: Vec<Fragment> = Vec::new();
        let mut last = 0u32;
        for (position, token) in (0u32..).zip(tokens) {
            let Some(term) = token.term else { continue };
            let near = position - last <= FRAGMENT_GAP;
            match fragments.last_mut().filter(|_| near) {
                Some(fragment) => {
                    fragment.bytes.end = token.bytes.end;
                    fragment.others += (position - last - 1) as usize;
                    if !fragment.terms.contains(&term) {
                        fragment.terms.push(term);
                        fragment.score += self.terms[term].rarity;
                    }
                }
                None => fragments.push(Fragment {
                    bytes: token.bytes.clone(),
                    terms: vec![term],
                    score: self.terms[term].rarity,
                    others: 0,
                }),
            }
            last = position;
        }
        fragments
    }
}

/// Words of the query that stand near each other.
#[derive(Debug)]
struct Fragment {
    bytes: Range<usize>,
    /// Which different terms.
    terms: Vec<usize>,
    score: f64,
    /// How many other words stand between them.
    others: usize,
}

/// A fragment and what is shown around it, which ends at whole words and does not reach into its neighbours.
fn with_context(
    text: &[u8],
    fragment: &Fragment,
    before: usize,
    after: Option<usize>,
    words: usize,
) -> Range<usize> {
    let Range { start: first, end: last } = fragment.bytes;
    if words <= fragment.others {
        return first..last;
    }
    let bytes = (words - fragment.others) / 2 * WORD_BYTES;
    let mut start = first.saturating_sub(bytes).max(before);
    while start < first && !is_separator(text[start]) {
        start += 1;
    }
    while start < first && is_separator(text[start]) {
        start += 1;
    }
    // The last byte that is shown: backwards to a blank, and on to the end of the word before it.
    let mut end = (last + bytes).min(after.unwrap_or(text.len() - 1));
    while end > last && !is_separator(text[end]) {
        end -= 1;
    }
    while end > last && is_separator(text[end]) {
        end -= 1;
    }
    // Where the text ends with the fragment there is nothing more.
    let end = if end >= last { (end + 1).min(text.len()) } else { last };
    // A word that ends for its length, not at a separator, is not cut inside a character.
    let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let end = if is_inside(end) { last } else { end };
    start..end
}

/// Copies a part of a text with tags around the words that are looked for.
fn tagged(
    text: &[u8],
    range: Range<usize>,
    tokens: &[Token],
    tags: Option<&Tags<'_>>,
    out: &mut Vec<u8>,
) {
    let mut at = range.start;
    if let Some(tags) = tags {
        let inside = |token: &&Token| {
            token.term.is_some() && token.bytes.start >= range.start && token.bytes.end <= range.end
        };
        for token in tokens.iter().filter(inside) {
            out.extend_from_slice(&text[at..token.bytes.start]);
            out.extend_from_slice(tags.open);
            out.extend_from_slice(&text[token.bytes.clone()]);
            out.extend_from_slice(tags.close);
            at = token.bytes.end;
        }
    }
    out.extend_from_slice(&text[at..range.end]);
}

/// The beginning of a text in which nothing was found.
fn beginning(text: &[u8], summary: &Summary<'_>) -> Vec<u8> {
    let words = summary.words.saturating_mul(summary.fragments).saturating_add(1);
    let bytes = words.saturating_mul(WORD_BYTES);
    let mut out = Vec::new();
    if text.len() <= bytes {
        single_blanks(text, &mut out);
    } else {
        let end = (1..=bytes).rev().find(|end| is_separator(text[end - 1])).unwrap_or(0);
        single_blanks(&text[..end], &mut out);
    }
    out.truncate(out.trim_ascii_end().len());
    out
}

/// Appends `text` with each run of blanks replaced by one.
fn single_blanks(text: &[u8], out: &mut Vec<u8>) {
    let mut was_blank = false;
    for byte in text {
        let is_blank = byte.is_ascii_whitespace() || *byte == 0x0b;
        if !is_blank {
            out.push(*byte);
        } else if !was_blank {
            out.push(b' ');
        }
        was_blank = is_blank;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::expand::Expander;
    use crate::query::parser::{Context, Parameters, parse};
    use crate::query::plan::{Options, plan};
    use crate::schema::ALL_FIELDS;
    use crate::schema::parse::create;
    use crate::tokenize::StopWords;

    fn with_query<R>(query: &str, job: impl FnOnce(&Wanted<'_>) -> R) -> R {
        let words: Vec<&[u8]> = b"SCHEMA t TEXT u TEXT".split(|b| *b == b' ').collect();
        let schema = create(b"idx", &words).unwrap();
        let context = Context {
            schema: &schema,
            stop_words: &schema.stop_words,
            parameters: &Parameters::new(),
            dialect: 2,
        };
        let node = parse(query.as_bytes(), context).unwrap();
        let options = Options {
            verbatim: false,
            expander: Expander::default(),
            language: Language::default(),
            fields: ALL_FIELDS,
            slop: None,
            in_order: false,
        };
        let plan = plan(&node, &schema, &options).unwrap();
        job(&Wanted::new(&plan, &schema, Language::default(), |_| 1.0))
    }

    fn highlight(query: &str, text: &str) -> String {
        with_query(query, |wanted| {
            let found = wanted.highlight(text.as_bytes(), 0, &Tags::default());
            String::from_utf8(found.unwrap_or_else(|| text.into())).unwrap()
        })
    }

    fn summarize(query: &str, text: &str, fragments: usize, words: usize) -> String {
        with_query(query, |wanted| {
            let summary = Summary { fragments, words, separator: b"| " };
            let tags = Tags::default();
            let found = wanted.summarize(text.as_bytes(), 0, &summary, Some(&tags));
            String::from_utf8(found.unwrap_or_else(|| text.into())).unwrap()
        })
    }

    #[test]
    fn whole_words_are_tagged_also_by_stem_and_shape() {
        assert_eq!(highlight("hello", "Hello, world-hello!"), "<b>Hello</b>, world-<b>hello</b>!");
        assert_eq!(highlight("runs", "he was running"), "he was <b>running</b>");
        assert_eq!(highlight("wor*", "a new world"), "a new <b>world</b>");
        assert_eq!(highlight("-hello world", "hello world"), "hello <b>world</b>");
        assert_eq!(highlight("@u:hello", "hello"), "hello");
        assert_eq!(highlight(r"foo\-bar", r"x foo\-bar y"), r"x <b>foo\-bar</b> y");
    }

    #[test]
    fn fragments_have_context_of_whole_words() {
        assert_eq!(summarize("henry", "Henry IV", 3, 20), "<b>Henry</b> | ");
        let text = "one two three four five six seven eight nine ten";
        assert_eq!(summarize("five", text, 1, 4), "three four <b>five</b> six seven| ");
        assert_eq!(summarize("one ten", text, 5, 1), "<b>one</b> | <b>ten</b>| ");
        assert_eq!(summarize("zero", text, 1, 4), text);
    }

    #[test]
    fn a_text_without_words_of_the_query_is_cut_behind_a_word() {
        let summary = Summary { fragments: 1, words: 2, separator: b"" };
        let shorten = |text: &str| String::from_utf8(beginning(text.as_bytes(), &summary)).unwrap();
        assert_eq!(shorten("one  two three four five"), "one two three");
        assert_eq!(shorten("short"), "short");
    }

    proptest! {
        #[test]
        fn tags_are_all_that_is_added(text in "[a-cé ,.\\\\]{0,60}", query in "[a-cé]{1,2}") {
            let marked = with_query(&query, |wanted| {
                wanted.highlight(text.as_bytes(), 0, &Tags { open: b"\x01", close: b"\x02" })
            });
            if let Some(marked) = marked {
                let bare: Vec<u8> = marked.iter().copied().filter(|b| *b > 2).collect();
                prop_assert_eq!(bare, text.as_bytes());
                let opened = marked.iter().filter(|b| **b == 1).count();
                prop_assert_eq!(opened, marked.iter().filter(|b| **b == 2).count());
            }
        }

        #[test]
        fn no_character_is_cut(
            text in "[a-cé💩ß ,.\n\\\\]{0,200}", query in "[a-cé💩]{1,2}", fragments in 0usize..4, words in 0usize..9,
        ) {
            with_query(&query, |wanted| {
                let summary = Summary { fragments, words, separator: b"|" };
                for tags in [None, Some(&Tags::default())] {
                    let found = wanted.summarize(text.as_bytes(), 0, &summary, tags);
                    if let Some(found) = found {
                        assert!(String::from_utf8(found).is_ok());
                    }
                }
            });
        }

        #[test]
        fn any_bytes_are_taken(text in proptest::collection::vec(any::<u8>(), 0..120), query in "[a-z]{1,2}") {
            with_query(&query, |wanted| {
                wanted.summarize(&text, 0, &Summary::default(), None);
                wanted.highlight(&text, 0, &Tags::default());
            });
            words_at(&text, &StopWords::none(), |word, bytes| {
                assert!(!word.is_empty() && bytes.end <= text.len());
            });
        }
    }
}
