//! What of a text is shown to who searched for its words?
//!
//! The text is read again as it was for the index, and each word asked whether the query looks it up. Highlighting
//! puts tags around those words. Summarizing cuts the text into fragments around them: words of the query that stand
//! near each other make one fragment, fragments with rarer words count more, and the best few are shown in the order
//! of the text with some context. Sizes are RediSearch's: it guesses six bytes a word where it fills up context.
//!
//! Texts may be long and queries too: a word is looked up among the terms of the query, not compared with each; words
//! are not kept, only fragments that may be shown; and `Limits` end what takes too long or grows too large.

use std::collections::HashMap;
use std::ops::Range;

use crate::index::deadline::Deadline;
use crate::query::pattern::Pattern;
use crate::query::plan::{Leaf, Plan, STEM_MARK, Space, Step};
use crate::schema::{FieldMask, Schema};
use crate::synonyms::GROUP_MARK;
use crate::tokenize::{Language, Segment, is_separator, segments, words_at};

/// Words of the query that are further apart than this are in different fragments.
const FRAGMENT_GAP: u32 = 8;
/// Bytes that a word is guessed to take.
const WORD_BYTES: usize = 6;
/// Fragments that are kept at least before the worst of them are dropped.
const FRAGMENTS_MIN: usize = 1024;
/// Bytes that tags and separators may add to a reply; a tag may be long, and a text may have it a million times.
const ADDED_BYTES_MAX: usize = 64 << 20;

/// What excerpts may take, over all texts of a reply.
#[derive(Debug)]
pub struct Limits {
    /// When to stop; the rest of the texts is shown as it is.
    pub deadline: Deadline,
    /// Bytes that may still be added.
    room: usize,
    exceeded: bool,
}

impl Limits {
    /// Nothing has been taken yet.
    pub fn new(deadline: Deadline) -> Limits {
        Limits { deadline, room: ADDED_BYTES_MAX, exceeded: false }
    }

    /// Whether tags and separators were too large together; the excerpts are not to be shown then.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded
    }

    /// Takes room for what is added; answers whether there was enough.
    fn take(&mut self, bytes: usize) -> bool {
        self.exceeded |= bytes > self.room;
        self.room = self.room.saturating_sub(bytes);
        !self.exceeded
    }

    fn is_over(&self) -> bool {
        self.exceeded || self.deadline.passed()
    }
}

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
    terms: Vec<WantedTerm>,
    /// Terms by what stands for them in the dictionary, and those of shapes.
    by_bytes: HashMap<&'a [u8], Vec<usize>>,
    shapes: Vec<(&'a Pattern, usize)>,
    /// The marks that terms begin with.
    marks: Vec<char>,
    schema: &'a Schema,
    language: Language,
}

#[derive(Debug)]
struct WantedTerm {
    /// In which TEXT fields.
    fields: FieldMask,
    /// How rare it is: what it adds to a fragment's score.
    rarity: f64,
}

/// A word of a text that a term of the query looks up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    /// Where it stands.
    bytes: Range<usize>,
    /// How many words stand before it.
    position: u32,
    /// The term.
    term: usize,
}

impl<'a> Wanted<'a> {
    /// What `plan` looks for; `rarity` tells how rare a leaf's term is.
    pub fn new(
        plan: &'a Plan,
        schema: &'a Schema,
        language: Language,
        rarity: impl Fn(usize) -> f64,
    ) -> Wanted<'a> {
        let mut wanted = Wanted {
            terms: Vec::new(),
            by_bytes: HashMap::new(),
            shapes: Vec::new(),
            marks: Vec::new(),
            schema,
            language,
        };
        wanted.gather(plan, &plan.root, &rarity);
        wanted
    }

    fn gather(&mut self, plan: &'a Plan, step: &Step, rarity: &impl Fn(usize) -> f64) {
        match step {
            Step::Leaf { leaf, fields, .. } => {
                let number = self.terms.len();
                match &plan.leaves[*leaf] {
                    Leaf::Term(term) if term.space == Space::Words => {
                        self.by_bytes.entry(&term.bytes).or_default().push(number);
                        let mark = term.bytes.first().copied().map_or(' ', char::from);
                        if crate::query::expand::is_marked(&term.bytes)
                            && !self.marks.contains(&mark)
                        {
                            self.marks.push(mark);
                        }
                    }
                    Leaf::Shape(shape) if shape.space == Space::Words => {
                        self.shapes.push((&shape.pattern, number));
                    }
                    _ => return,
                }
                self.terms.push(WantedTerm { fields: *fields, rarity: rarity(*leaf) });
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

    /// Calls `emit` with the words of a text of the TEXT field `field` that are looked for. Words do not overlap, but
    /// parts of a Chinese one may.
    fn each(
        &self,
        text: &[u8],
        field: u8,
        limits: &mut Limits,
        mut emit: impl FnMut(Token, &mut Limits),
    ) {
        let mut position = 0;
        let is_chinese = self.language.is_chinese();
        words_at(text, &self.schema.stop_words, |word, bytes| {
            // Where normalizing has changed lengths, parts of a word cannot be found in the text.
            if is_chinese && !word.is_ascii() && word.len() == bytes.len() {
                return segments(word, |segment| {
                    let found = self.part(segment, field, limits);
                    if let Some((part, term)) = found {
                        let start = bytes.start + (part.as_ptr().addr() - word.as_ptr().addr());
                        emit(Token { bytes: start..start + part.len(), position, term }, limits);
                    }
                    position += 1;
                });
            }
            if let Some(term) = self.term(word, field, limits) {
                emit(Token { bytes, position, term }, limits);
            }
            position += 1;
        });
    }

    /// What of a part of a Chinese word is looked for.
    fn part<'w>(
        &self,
        segment: Segment<'w>,
        field: u8,
        limits: &mut Limits,
    ) -> Option<(&'w str, usize)> {
        let (one, pair) = match segment {
            Segment::Han(one, pair) => (one, pair),
            Segment::Other(word) => (word, None),
        };
        let parts = pair.into_iter().chain([one]);
        parts.into_iter().find_map(|part| Some((part, self.term(part, field, limits)?)))
    }

    /// The first term of the query that looks a word up.
    fn term(&self, word: &str, field: u8, limits: &mut Limits) -> Option<usize> {
        // The rest of the text is still cut into words, but no more than that.
        if limits.is_over() || limits.deadline.step() {
            return None;
        }
        let mut first = None;
        let mut look = |bytes: &[u8]| {
            let known = self.by_bytes.get(bytes).into_iter().flatten();
            let mut here = known.copied().filter(|at| self.terms[*at].fields >> field & 1 == 1);
            first = here.next().into_iter().chain(first).min();
        };
        look(word.as_bytes());
        for mark in &self.marks {
            let mut marked = |rest: &str| look(format!("{mark}{rest}").as_bytes());
            match *mark {
                STEM_MARK => self.language.stem(word).iter().for_each(|stem| marked(stem)),
                GROUP_MARK => {
                    self.schema.synonyms.groups(word).iter().for_each(|group| marked(group));
                }
                _ => crate::phonetics::sound(word).iter().for_each(|sound| marked(sound)),
            }
        }
        for (pattern, at) in &self.shapes {
            if first.is_some_and(|first| first < *at) || limits.deadline.step_over(word.len()) {
                break;
            }
            if self.terms[*at].fields >> field & 1 == 1 && pattern.matches(word.as_bytes()) {
                return Some(*at);
            }
        }
        first
    }

    /// A text with tags around the words that are looked for; none if it has no such word.
    pub fn highlight(
        &self,
        text: &[u8],
        field: u8,
        tags: &Tags<'_>,
        limits: &mut Limits,
    ) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut open: Option<Range<usize>> = None;
        let mut at = 0;
        self.each(text, field, limits, |token, limits| {
            match &mut open {
                // Parts of a word that overlap become one.
                Some(before) if token.bytes.start < before.end => before.end = token.bytes.end,
                _ if limits.take(tags.open.len() + tags.close.len()) => {
                    if let Some(before) = open.replace(token.bytes) {
                        tag(text, &mut at, before, Some(tags), &mut out);
                    }
                }
                _ => {}
            }
        });
        tag(text, &mut at, open?, Some(tags), &mut out);
        out.extend_from_slice(&text[at..]);
        Some(out)
    }

    /// The best fragments of a text, with tags if they are wanted. Without any word that is looked for it is the
    /// beginning of the text, or none if tags are wanted.
    pub fn summarize(
        &self,
        text: &[u8],
        field: u8,
        summary: &Summary<'_>,
        tags: Option<&Tags<'_>>,
        limits: &mut Limits,
    ) -> Option<Vec<u8>> {
        let fragments = self.fragments(text, field, summary.fragments, limits);
        if fragments.is_empty() {
            return tags.is_none().then(|| beginning(text, summary));
        }
        let range = |at: usize| {
            let before = at.checked_sub(1).map_or(0, |at: usize| fragments[at].bytes.end);
            let after = fragments.get(at + 1).map(|next| next.bytes.start);
            with_context(text, &fragments[at], before, after, summary.words)
        };
        let ranges: Vec<Range<usize>> = (0..fragments.len()).map(range).collect();
        let tokens = match tags {
            Some(_) => self.shown(text, field, &ranges, limits),
            None => Vec::new(),
        };
        let mut out = Vec::new();
        for range in ranges {
            let first = tokens.partition_point(|token| token.start < range.start);
            let inside = tokens[first..].iter().take_while(|token| token.end <= range.end);
            let added = inside.clone().count() * tags.map_or(0, |t| t.open.len() + t.close.len());
            if !limits.take(added + summary.separator.len()) {
                break;
            }
            let (mut piece, mut at) = (Vec::new(), range.start);
            inside.for_each(|token| tag(text, &mut at, token.clone(), tags, &mut piece));
            piece.extend_from_slice(&text[at..range.end]);
            single_blanks(&piece, &mut out);
            out.extend_from_slice(summary.separator);
        }
        Some(out)
    }

    /// The best fragments, of equal ones the first, in the order of the text.
    fn fragments(
        &self,
        text: &[u8],
        field: u8,
        count: usize,
        limits: &mut Limits,
    ) -> Vec<Fragment> {
        let mut fragments: Vec<Fragment> = Vec::new();
        let keep_best = |fragments: &mut Vec<Fragment>| {
            let score = |fragment: &Fragment| fragment.score;
            fragments.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.number.cmp(&b.number)));
            fragments.truncate(count);
        };
        let enough = count.saturating_mul(2).max(FRAGMENTS_MIN);
        let mut open: Option<Fragment> = None;
        // In which fragment each term was found last.
        let mut found_in = vec![0; self.terms.len()];
        let (mut last, mut number) = (0u32, 0);
        self.each(text, field, limits, |token, _| {
            let Token { bytes, position, term } = token;
            let near = position - last <= FRAGMENT_GAP;
            match open.as_mut().filter(|_| near) {
                Some(fragment) => {
                    fragment.bytes.end = bytes.end;
                    fragment.others += (position - last).saturating_sub(1) as usize;
                }
                None => {
                    fragments.extend(open.take());
                    if fragments.len() >= enough {
                        keep_best(&mut fragments);
                    }
                    number += 1;
                    open = Some(Fragment { bytes, number, score: 0.0, others: 0 });
                }
            }
            if std::mem::replace(&mut found_in[term], number) != number
                && let Some(fragment) = &mut open
            {
                fragment.score += self.terms[term].rarity;
            }
            last = position;
        });
        fragments.extend(open);
        keep_best(&mut fragments);
        fragments.sort_by_key(|fragment| fragment.number);
        fragments
    }

    /// The words that are looked for in some parts of a text, which are in order.
    fn shown(
        &self,
        text: &[u8],
        field: u8,
        ranges: &[Range<usize>],
        limits: &mut Limits,
    ) -> Vec<Range<usize>> {
        let mut shown: Vec<Range<usize>> = Vec::new();
        let mut part = 0;
        self.each(text, field, limits, |token, _| {
            let bytes = token.bytes;
            while ranges.get(part).is_some_and(|range| range.end < bytes.end) {
                part += 1;
            }
            if ranges.get(part).is_none_or(|range| range.start > bytes.start) {
                return;
            }
            match shown.last_mut() {
                Some(before) if bytes.start < before.end => before.end = bytes.end,
                _ => shown.push(bytes),
            }
        });
        shown
    }
}

/// Words of the query that stand near each other.
#[derive(Debug)]
struct Fragment {
    bytes: Range<usize>,
    /// Which fragment of the text it is, from 1 on.
    number: usize,
    /// The sum of its terms' rarities.
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

/// Copies a text from `at` to the end of a word, with tags around the word.
fn tag(
    text: &[u8],
    at: &mut usize,
    word: Range<usize>,
    tags: Option<&Tags<'_>>,
    out: &mut Vec<u8>,
) {
    let (open, close) = tags.map_or((&[][..], &[][..]), |tags| (tags.open, tags.close));
    out.extend_from_slice(&text[*at..word.start]);
    out.extend_from_slice(open);
    out.extend_from_slice(&text[word.clone()]);
    out.extend_from_slice(close);
    *at = word.end;
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

    fn unhurried() -> Limits {
        Limits::new(Deadline::NONE)
    }

    fn with_query<R>(query: &str, job: impl FnOnce(&Wanted<'_>) -> R) -> R {
        with_query_in(Language::default(), query, job)
    }

    fn with_query_in<R>(language: Language, query: &str, job: impl FnOnce(&Wanted<'_>) -> R) -> R {
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
            language,
            fields: ALL_FIELDS,
            slop: None,
            in_order: false,
        };
        let plan = plan(&node, &schema, &options).unwrap();
        job(&Wanted::new(&plan, &schema, language, |_| 1.0))
    }

    fn highlight(query: &str, text: &str) -> String {
        with_query(query, |wanted| {
            let found = wanted.highlight(text.as_bytes(), 0, &Tags::default(), &mut unhurried());
            String::from_utf8(found.unwrap_or_else(|| text.into())).unwrap()
        })
    }

    fn summarize(query: &str, text: &str, fragments: usize, words: usize) -> String {
        with_query(query, |wanted| {
            let summary = Summary { fragments, words, separator: b"| " };
            let tags = Tags::default();
            let found =
                wanted.summarize(text.as_bytes(), 0, &summary, Some(&tags), &mut unhurried());
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
    fn parts_of_chinese_words_are_tagged() {
        let chinese = Language::find(b"chinese").unwrap();
        let text = "我喜欢编程语言和Rust编程，语";
        let tags = Tags::default();
        with_query_in(chinese, "编程语言 rust", |wanted| {
            let found = wanted.highlight(text.as_bytes(), 0, &tags, &mut unhurried()).unwrap();
            let found = String::from_utf8(found).unwrap();
            assert_eq!(found, "我喜欢<b>编程语言</b>和<b>Rust</b><b>编程</b>，语");
            let summary = Summary { fragments: 1, words: 1, separator: b"|" };
            let tags = Some(&tags);
            let found = wanted.summarize(text.as_bytes(), 0, &summary, tags, &mut unhurried());
            assert!(String::from_utf8(found.unwrap()).unwrap().contains("<b>编程语言</b>"));
        });
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
                wanted.highlight(text.as_bytes(), 0, &Tags { open: b"\x01", close: b"\x02" }, &mut unhurried())
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
                    let found = wanted.summarize(text.as_bytes(), 0, &summary, tags, &mut unhurried());
                    if let Some(found) = found {
                        assert!(String::from_utf8(found).is_ok());
                    }
                }
            });
        }

        #[test]
        fn any_bytes_are_taken(text in proptest::collection::vec(any::<u8>(), 0..120), query in "[a-z]{1,2}") {
            with_query(&query, |wanted| {
                wanted.summarize(&text, 0, &Summary::default(), None, &mut unhurried());
                wanted.highlight(&text, 0, &Tags::default(), &mut unhurried());
            });
            words_at(&text, &StopWords::none(), |word, bytes| {
                assert!(!word.is_empty() && bytes.end <= text.len());
            });
        }
    }
}
