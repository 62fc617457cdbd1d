//! What do indexing and queries cost? In process, CPU time of this thread, sealing and merging included.
//!
//! `cargo bench -p mortise-search -- [documents]`. A document is a title of eight words (vocabulary 50,000,
//! the n-th word 1/n as frequent as the first), one of 100 tags, and a number below 10,000.

use std::sync::Arc;

use mortise_search::index::analysis::FieldValue;
use mortise_search::index::deadline::Deadline;
use mortise_search::index::search::{Order, Request};
use mortise_search::index::{Attributes, Index, Work};
use mortise_search::query::expand::Expander;
use mortise_search::query::parser::{Context, Parameters, parse};
use mortise_search::query::plan::{Options, plan};
use mortise_search::schema::parse::create;
use mortise_search::schema::{ALL_FIELDS, Schema};
use mortise_search::score::Scorer;
use mortise_search::tokenize::Language;

const VOCABULARY: usize = 50_000;

/// xorshift: the same documents in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// CPU time of this thread. The kernel brings it up to date at its ticks, so only long stretches can be measured.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number of nanoseconds")
}

/// Least mean time of `job` over three stretches of some 100 ms.
fn measure(mut job: impl FnMut()) -> f64 {
    let stretch = |job: &mut dyn FnMut()| {
        let (start, mut count) = (cpu_ns(), 0u64);
        loop {
            for _ in 0..16 {
                job();
            }
            count += 16;
            let spent = cpu_ns() - start;
            if spent > 100_000_000 {
                return spent as f64 / count as f64;
            }
        }
    };
    (0..3).map(|_| stretch(&mut job)).fold(f64::INFINITY, f64::min)
}

/// A pronounceable word for each number, no two alike.
fn word(number: usize) -> String {
    let syllables = [
        "ba", "ke", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo", "hu",
        "ja",
    ];
    let mut left = number + 16;
    let mut word = String::new();
    while left > 0 {
        word.push_str(syllables[left % 16]);
        left /= 16;
    }
    word
}

fn schema(line: &str) -> Arc<Schema> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    Arc::new(create(b"idx", &words).expect("the schema is right"))
}

fn attributes() -> Attributes {
    Attributes { language: Language::default(), score: 1.0, expires_at_ms: None }
}

/// Keys with title, tag and number.
type Documents = Vec<(String, [String; 3])>;

fn documents(count: usize, words: &[String], cumulative: &[f64]) -> Documents {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let total = cumulative[cumulative.len() - 1];
    let title = |random: &mut Random| {
        let word = |random: &mut Random| {
            let at = random.unit() * total;
            words[cumulative.partition_point(|sum| *sum < at).min(words.len() - 1)].as_str()
        };
        (0..8).map(|_| word(random)).collect::<Vec<_>>().join(" ")
    };
    let document = |number| {
        let title = title(&mut random);
        let tag = format!("tag{}", random.next() % 100);
        let price = (random.next() % 10_000).to_string();
        (format!("doc:{number}"), [title, tag, price])
    };
    (0..count).map(document).collect()
}

fn fill(index: &mut Index, documents: &Documents) -> u64 {
    let start = cpu_ns();
    for (key, fields) in documents {
        let values = fields.each_ref().map(|text| FieldValue::Bytes(text.as_bytes().into()));
        index.put(key.as_bytes(), &values, attributes()).expect("the document is right");
    }
    cpu_ns() - start
}

fn query(index: &Index, text: &str, order: Order, limit: usize) -> (u64, f64) {
    let parameters = Parameters::new();
    let schema = index.schema();
    let options = Options {
        verbatim: false,
        expander: Expander::default(),
        language: Language::default(),
        fields: ALL_FIELDS,
        slop: None,
        in_order: false,
    };
    let mut total = 0;
    let spent = measure(|| {
        let context =
            Context { schema, stop_words: &schema.stop_words, parameters: &parameters, dialect: 2 };
        let node = parse(text.as_bytes(), context).expect("the query is right");
        let plan = plan(&node, schema, &options).expect("the query is right");
        let request = Request {
            plan: &plan,
            scorer: Scorer::default(),
            with_scores: false,
            order,
            offset: 0,
            limit,
            only: None,
            deadline: Deadline::NONE,
        };
        total = index.search(&request).total;
    });
    (total, spent)
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(100_000);
    let words: Vec<String> = (0..VOCABULARY).map(word).collect();
    let mut sum = 0.0;
    let cumulative: Vec<f64> = (1..=VOCABULARY)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let schema = schema("SCHEMA title TEXT NOSTEM tag TAG price NUMERIC");
    let mut index = Index::new(schema, Work::Inline);
    let documents = documents(count, &words, &cumulative);
    let spent = fill(&mut index, &documents);
    if std::env::args().any(|arg| arg == "fill") {
        return println!("{} us each", spent / count as u64 / 1000);
    }
    println!("{count} documents: {:.2} us each", spent as f64 / count as f64 / 1000.0);
    let sizes = index.sizes();
    let per = |bytes: usize| bytes as f64 / count as f64;
    println!(
        "bytes per document: {:.1} postings ({:.1} positions), {:.1} keys and lengths, {:.1} key table, {:.1} columns, {:.1} all; {} segments",
        per(sizes.postings.bytes),
        per(sizes.postings.position_bytes),
        per(sizes.document_table),
        per(sizes.key_table),
        per(sizes.columns),
        per(sizes.total()),
        sizes.segments
    );
    let price = Order::Column { number: 0, descending: false };
    let (common, second, mid, rare) = (&words[9], &words[10], &words[300], &words[10_000]);
    let queries = [
        ("common", common.clone(), Order::Score, 10),
        ("common, count only", common.clone(), Order::Score, 0),
        ("common in field", format!("@title:{common}"), Order::Score, 10),
        ("mid", mid.clone(), Order::Score, 10),
        ("rare", rare.clone(), Order::Score, 10),
        ("common common", format!("{common} {second}"), Order::Score, 10),
        ("common rare", format!("{common} {rare}"), Order::Score, 10),
        ("phrase", format!("\"{common} {second}\""), Order::Score, 10),
        ("common or mid", format!("{common}|{mid}"), Order::Score, 10),
        ("common not mid", format!("{common} -{mid}"), Order::Score, 10),
        ("prefix", "bak*".to_owned(), Order::Score, 10),
        ("tag", "@tag:{tag7}".to_owned(), Order::Score, 10),
        ("range 10%", "@price:[1000 1999]".to_owned(), Order::Score, 10),
        ("range 10% tag 1%", "@price:[1000 1999] @tag:{tag7}".to_owned(), Order::Score, 10),
        ("common by number", common.clone(), price, 10),
        ("all by number", "*".to_owned(), price, 10),
    ];
    for (name, text, order, limit) in queries {
        let (total, best) = query(&index, &text, order, limit);
        println!("{name:20} {total:8} hits {:10.1} us", best / 1000.0);
    }
}
