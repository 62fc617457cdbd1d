//! Do excerpts of long texts, for long queries, end in time and in little memory?
//!
//! Memory is counted by the allocator, time in steps; see `index/hostile_test.rs`.

use mortise_module::CountingAllocator;

use crate::highlight::{Limits, Summary, Tags, Wanted};
use crate::index::deadline::Deadline;
use crate::query::expand::Expander;
use crate::query::parser::{Context, Parameters, parse};
use crate::query::plan::{Options, plan};
use crate::schema::ALL_FIELDS;
use crate::schema::parse::create;
use crate::tokenize::Language;

/// Steps that may be taken when the time is over: none of the words that follow is looked up.
const LATE_STEPS_MAX: u64 = 16;

const LONG: Summary<'static> = Summary { fragments: usize::MAX, words: 1000, separator: b"..." };

fn with_query<R>(query: &str, job: impl FnOnce(&Wanted<'_>) -> R) -> R {
    let words: Vec<&[u8]> = b"SCHEMA t TEXT".split(|byte| *byte == b' ').collect();
    let schema = create(b"idx", &words).unwrap();
    let parameters = Parameters::new();
    let stop_words = &schema.stop_words;
    let context = Context { schema: &schema, stop_words, parameters: &parameters, dialect: 2 };
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

/// Ten megabytes of words of a few letters.
fn text() -> Vec<u8> {
    let words = (0u32..)
        .flat_map(|at| format!("{:x} b ", at.wrapping_mul(0x9e37_79b9) % 4096).into_bytes());
    words.take(10 << 20).collect()
}

#[test]
fn a_text_of_ten_megabytes_takes_a_few_times_its_size() {
    let text = text();
    let many: Vec<String> = (0..10_000).map(|at| format!("{at:x}")).collect();
    for query in ["b".to_owned(), many.join("|")] {
        let tags = Tags::default();
        let shown: String = query.chars().take(20).collect();
        with_query(&query, |wanted| {
            let mut limits = Limits::new(Deadline::after_looks(100_000));
            let job = || wanted.highlight(&text, 0, &tags, &mut limits).map_or(0, |out| out.len());
            let (length, peak) = CountingAllocator::peak_memory(job);
            println!("{shown}: highlight {length} bytes, {} KiB", peak >> 10);
            // What comes out, at the moment when it grows to twice its size and is moved.
            assert!(peak <= 3 * length + text.len(), "{shown}: {peak}");
            let mut limits = Limits::new(Deadline::after_looks(100_000));
            let job = || wanted.summarize(&text, 0, &LONG, Some(&tags), &mut limits);
            let (out, peak) = CountingAllocator::peak_memory(job);
            let length = out.map_or(0, |out| out.len());
            println!("{shown}: summarize {length} bytes, {} KiB", peak >> 10);
            // Beside that, where each word of the query stands: 16 bytes for a word and a blank, likewise.
            assert!(peak <= 3 * length + 16 * text.len(), "{shown}: {peak}");
            assert!(Deadline::late_steps() <= LATE_STEPS_MAX);
        });
    }
}

#[test]
fn excerpts_end_when_the_time_is_over() {
    let text = text();
    let patterns: Vec<String> = (0..200).map(|at| format!("w'*{at:x}*?*x*y*'")).collect();
    with_query(&patterns.join("|"), |wanted| {
        let mut limits = Limits::new(Deadline::after_looks(100));
        wanted.highlight(&text, 0, &Tags::default(), &mut limits);
        assert!(limits.deadline.passed() && Deadline::late_steps() <= LATE_STEPS_MAX);
        wanted.summarize(&text, 0, &LONG, None, &mut limits);
        assert!(limits.deadline.passed() && Deadline::late_steps() <= LATE_STEPS_MAX);
    });
}

#[test]
fn long_tags_are_not_put_a_million_times() {
    let (text, long) = (text(), vec![b'<'; 1 << 20]);
    let tags = Tags { open: &long, close: &long };
    with_query("b", |wanted| {
        let mut limits = Limits::new(Deadline::NONE);
        let job = || wanted.highlight(&text, 0, &tags, &mut limits).is_some();
        let (_, peak) = CountingAllocator::peak_memory(job);
        assert!(limits.is_exceeded() && peak <= 256 << 20, "{peak}");
        let mut limits = Limits::new(Deadline::NONE);
        let summary = Summary { fragments: 1_000_000, words: 1, separator: &long };
        let job = || wanted.summarize(&text, 0, &summary, Some(&tags), &mut limits).is_some();
        let (_, peak) = CountingAllocator::peak_memory(job);
        assert!(limits.is_exceeded() && peak <= 512 << 20, "{peak}");
    });
}
