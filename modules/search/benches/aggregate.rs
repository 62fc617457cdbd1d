//! What does FT.AGGREGATE cost beside a loop that somebody wrote by hand for the one question? CPU time of this thread.
//!
//! `cargo bench -p mortise-search --bench aggregate -- [documents]`. A document has one of 100 tags, one of 20,000 cities, and
//! a number below 10,000. The loops run over the same values in vectors of their own, with the same hash function.

use std::sync::Arc;

use hashbrown::HashMap;
use mortise_search::aggregate::binding::{Options, bind};
use mortise_search::aggregate::pipeline::{Load, Loader, Names, Pipeline};
use mortise_search::aggregate::steps;
use mortise_search::aggregate::{Limits, Row};
use mortise_search::args::Args;
use mortise_search::error::Error;
use mortise_search::index::analysis::FieldValue;
use mortise_search::index::deadline::Deadline;
use mortise_search::index::visit::Visit;
use mortise_search::index::{Attributes, Index, Work};
use mortise_search::query::plan::{Plan, Step};
use mortise_search::schema::parse::create;
use mortise_search::tokenize::Language;

/// xorshift: the same documents in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// CPU time of this thread. The kernel brings it up to date at its ticks, so only long stretches can be measured.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number of nanoseconds")
}

/// Least mean time of `job` over three stretches of some 200 ms, in milliseconds.
fn measure(mut job: impl FnMut() -> usize) -> (usize, f64) {
    let mut rows = 0;
    let mut stretch = || {
        let (start, mut count) = (cpu_ns(), 0u64);
        loop {
            rows = std::hint::black_box(job());
            count += 1;
            let spent = cpu_ns() - start;
            if spent > 200_000_000 {
                return spent as f64 / count as f64;
            }
        }
    };
    let best = (0..3).map(|_| stretch()).fold(f64::INFINITY, f64::min);
    (rows, best / 1e6)
}

struct Nothing;

impl Loader for Nothing {
    fn load(
        &mut self,
        _: &Load,
        _: &mut [Row<'static>],
        _: &mut Names,
    ) -> Result<Vec<bool>, Error> {
        unreachable!("all properties have columns")
    }
}

fn aggregate(index: &Index, line: &str) -> usize {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut args = Args::new(&words);
    let mut parsed = Vec::new();
    while !args.is_empty() {
        assert!(steps::take(&mut parsed, &mut args).expect("the line is right"), "{line}");
    }
    let plan = Plan { root: Step::All { weight: 1.0 }, leaves: Vec::new(), vectors: Vec::new() };
    let snapshot = index.snapshot();
    let options = Options { add_scores: false, dialect: 2, limits: Limits::default() };
    let bound = bind(snapshot.schema(), &plan, parsed, options).expect("the line is right");
    let mut pipeline = Pipeline::new(bound, false, Deadline::NONE);
    let mut deadline = Deadline::NONE;
    let leaves = snapshot.look_up(&plan, &mut deadline);
    let visit = Visit {
        plan: &plan,
        scorer: None,
        score_divisor: 1.0,
        with_terms: false,
        only: None,
        profile: None,
    };
    pipeline.feed(&snapshot, &visit, &leaves).expect("nothing can go wrong");
    let taken = pipeline.take(usize::MAX, &mut Nothing).expect("nothing can go wrong");
    // A reply would look at every row.
    let mut rows = 0;
    pipeline.each_row(&taken, |row| rows += usize::from(std::hint::black_box(row).key.is_none()));
    rows
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(1_000_000);
    let line = "SCHEMA tag TAG SORTABLE UNF NOINDEX city TAG SORTABLE UNF NOINDEX price NUMERIC";
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let schema = Arc::new(create(b"idx", &words).expect("the schema is right"));
    let mut index = Index::new(schema, Work::Inline);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let attributes = Attributes { language: Language::default(), score: 1.0, expires_at_ms: None };
    let (mut tags, mut cities, mut prices) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..count {
        let texts = [
            format!("tag{}", random.below(100)),
            format!("city number {}", random.below(20_000)),
            random.below(10_000).to_string(),
        ];
        let values = texts.each_ref().map(|text| FieldValue::Bytes(text.as_bytes().into()));
        let key = format!("doc:{number}");
        index.put(key.as_bytes(), &values, attributes).expect("the document is right");
        let [tag, city, price] = texts;
        tags.push(tag.into_bytes());
        cities.push(city.into_bytes());
        prices.push(price.parse::<f64>().expect("it is a number"));
    }
    println!("{count} documents");
    let count_by = |values: &[Vec<u8>]| {
        let mut counts: HashMap<&[u8], u64> = HashMap::new();
        values.iter().for_each(|value| *counts.entry(value).or_default() += 1);
        counts.len()
    };
    let sum_by = |values: &[Vec<u8>]| {
        let mut sums: HashMap<&[u8], f64> = HashMap::new();
        for (value, price) in values.iter().zip(&prices) {
            *sums.entry(value).or_default() += price;
        }
        sums.len()
    };
    let pairs = || {
        let mut counts: HashMap<(&[u8], &[u8]), u64> = HashMap::new();
        tags.iter().zip(&cities).for_each(|pair| *counts.entry((pair.0, pair.1)).or_default() += 1);
        counts.len()
    };
    let top = || {
        let mut order: Vec<usize> = (0..prices.len()).collect();
        order.select_nth_unstable_by(9, |a, b| prices[*b].total_cmp(&prices[*a]));
        order[..10].len()
    };
    let top_sums = || {
        let mut sums: HashMap<&[u8], f64> = HashMap::new();
        for (city, price) in cities.iter().zip(&prices) {
            *sums.entry(city).or_default() += price;
        }
        let mut sums: Vec<(&[u8], f64)> = sums.into_iter().collect();
        sums.select_nth_unstable_by(9, |a, b| b.1.total_cmp(&a.1));
        sums[..10].len()
    };
    let upper_case = || {
        let mut counts: HashMap<Vec<u8>, u64> = HashMap::new();
        tags.iter().for_each(|tag| *counts.entry(tag.to_ascii_uppercase()).or_default() += 1);
        counts.len()
    };
    let tags_of_dear = || {
        let mut counts: HashMap<&[u8], u64> = HashMap::new();
        let dear = tags.iter().zip(&prices).filter(|(_, price)| **price > 5000.0);
        dear.for_each(|(tag, _)| *counts.entry(tag).or_default() += 1);
        counts.len()
    };
    // These answer one row whatever they find.
    let one = |found: f64| usize::from(std::hint::black_box(found) >= 0.0);
    let dear = || one(prices.iter().filter(|price| **price > 9000.0).count() as f64);
    let dear_gross = || one(prices.iter().filter(|price| **price * 1.2 > 11_000.0).count() as f64);
    let gross = || one(prices.iter().map(|price| price * 1.2 + 1.0).sum());
    let of_tag = || one(tags.iter().filter(|tag| **tag == b"tag7").count() as f64);
    type ByHand<'h> = Box<dyn FnMut() -> usize + 'h>;
    let cases: [(&str, &str, ByHand<'_>); 13] = [
        ("count by tag", "GROUPBY 1 @tag REDUCE COUNT 0", Box::new(|| count_by(&tags))),
        ("count by city", "GROUPBY 1 @city REDUCE COUNT 0", Box::new(|| count_by(&cities))),
        ("sum by tag", "GROUPBY 1 @tag REDUCE SUM 1 @price", Box::new(|| sum_by(&tags))),
        ("sum by city", "GROUPBY 1 @city REDUCE SUM 1 @price", Box::new(|| sum_by(&cities))),
        ("count by both", "GROUPBY 2 @tag @city REDUCE COUNT 0", Box::new(pairs)),
        ("top ten by price", "SORTBY 2 @price DESC MAX 10", Box::new(top)),
        (
            "top ten sums",
            "GROUPBY 1 @city REDUCE SUM 1 @price AS s SORTBY 2 @s DESC MAX 10",
            Box::new(top_sums),
        ),
        ("filter", "FILTER @price>9000 GROUPBY 0 REDUCE COUNT 0", Box::new(dear)),
        (
            "filter a product",
            "FILTER @price*1.2>11000 GROUPBY 0 REDUCE COUNT 0",
            Box::new(dear_gross),
        ),
        ("filter by tag", "FILTER @tag=='tag7' GROUPBY 0 REDUCE COUNT 0", Box::new(of_tag)),
        (
            "filter, count by tag",
            "FILTER @price>5000 GROUPBY 1 @tag REDUCE COUNT 0",
            Box::new(tags_of_dear),
        ),
        (
            "apply and sum",
            "APPLY @price*1.2+1 AS gross GROUPBY 0 REDUCE SUM 1 @gross",
            Box::new(gross),
        ),
        (
            "upper case, count",
            "APPLY upper(@tag) AS u GROUPBY 1 @u REDUCE COUNT 0",
            Box::new(upper_case),
        ),
    ];
    for (name, line, mut by_hand) in cases {
        let (rows, ours) = measure(|| aggregate(&index, line));
        let (_, theirs) = measure(&mut by_hand);
        println!(
            "{name:20} {rows:8} rows {ours:9.2} ms, by hand {theirs:9.2} ms: {:5.2}x",
            ours / theirs
        );
    }
}
