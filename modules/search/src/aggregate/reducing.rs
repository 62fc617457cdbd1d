//! What is kept of the rows of a group, and what is worked out of it?
//!
//! A reducer keeps what it needs of all groups in vectors by group number, so that a group costs no allocation of its own
//! where it needs none.

use crate::aggregate::Row;
use crate::aggregate::collecting::Collector;
use crate::aggregate::interning::{Interner, Pairs};
use crate::aggregate::reducers::Kind;
use crate::aggregate::sketch::Sketch;
use crate::expression::lane::Numbers;
use crate::expression::value::Value;

/// A reducer at work.
#[derive(Debug)]
pub struct Reducer {
    /// The slots that it looks at.
    pub inputs: Vec<usize>,
    state: State,
    /// Bytes that the groups have on the heap besides what is counted where it lies.
    bytes: usize,
}

/// What is kept of each group.
#[derive(Debug)]
enum State {
    Count(Vec<u64>),
    Sum { sums: Vec<f64>, counts: Vec<u64>, mean: bool },
    Min(Vec<f64>),
    Max(Vec<f64>),
    StdDev(Vec<Deviation>),
    Quantile { part: f64, values: Vec<Vec<f64>> },
    Distinct { values: Interner, seen: Pairs, counts: Vec<u64> },
    Sketches { sketches: Vec<Sketch>, raw: bool },
    SketchSum(Vec<Option<Sketch>>),
    List { values: Interner, seen: Pairs, lists: Vec<Vec<u32>> },
    First(Vec<Option<Value<'static>>>),
    FirstBy { descending: bool, best: Vec<Option<Best>> },
    Sample { size: usize, random: Random, samples: Vec<(u64, Vec<Value<'static>>)> },
    Collect(Collector),
}

/// The value of the row that comes first so far, and what it was compared by.
#[derive(Debug)]
struct Best {
    value: Value<'static>,
    by: Value<'static>,
}

/// Count, mean and sum of squared distances from it (Welford, 1962).
#[derive(Debug, Clone, Copy, Default)]
struct Deviation {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Deviation {
    fn add(&mut self, number: f64) {
        self.count += 1;
        let before = number - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (number - self.mean);
    }

    fn value(&self) -> f64 {
        match self.count {
            0 | 1 => 0.0,
            count => (self.squares / (count - 1) as f64).sqrt(),
        }
    }
}

/// Numbers that nobody needs to foresee or to repeat: xorshift.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new() -> Random {
        use std::hash::{BuildHasher, RandomState};
        Random(RandomState::new().hash_one(0u8) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

impl Reducer {
    /// A reducer without groups.
    pub fn new(kind: Kind, inputs: Vec<usize>) -> Reducer {
        let state = match kind {
            Kind::Count => State::Count(Vec::new()),
            Kind::Sum | Kind::Avg => {
                State::Sum { sums: Vec::new(), counts: Vec::new(), mean: kind == Kind::Avg }
            }
            Kind::Min => State::Min(Vec::new()),
            Kind::Max => State::Max(Vec::new()),
            Kind::StdDev => State::StdDev(Vec::new()),
            Kind::Quantile(part) => State::Quantile { part, values: Vec::new() },
            Kind::CountDistinct => State::Distinct {
                values: Interner::default(),
                seen: Pairs::default(),
                counts: Vec::new(),
            },
            Kind::CountDistinctish | Kind::Hll => {
                State::Sketches { sketches: Vec::new(), raw: kind == Kind::Hll }
            }
            Kind::HllSum => State::SketchSum(Vec::new()),
            Kind::ToList => State::List {
                values: Interner::default(),
                seen: Pairs::default(),
                lists: Vec::new(),
            },
            Kind::FirstValue => State::First(Vec::new()),
            Kind::FirstValueBy { descending } => State::FirstBy { descending, best: Vec::new() },
            Kind::RandomSample(size) => {
                State::Sample { size, random: Random::new(), samples: Vec::new() }
            }
            Kind::Collect(collecting) => State::Collect(Collector::new(collecting)),
        };
        Reducer { inputs, state, bytes: 0 }
    }

    /// Bytes on the heap, about.
    pub fn memory(&self) -> usize {
        let kept = match &self.state {
            State::Count(counts) => size_of_val(&counts[..]),
            State::Sum { sums, counts, .. } => size_of_val(&sums[..]) + size_of_val(&counts[..]),
            State::Min(values) | State::Max(values) => size_of_val(&values[..]),
            State::StdDev(deviations) => size_of_val(&deviations[..]),
            State::Quantile { values, .. } => size_of_val(&values[..]),
            State::Distinct { values, seen, counts } => {
                values.memory() + seen.memory() + size_of_val(&counts[..])
            }
            State::Sketches { sketches, .. } => sketches.len() * Sketch::BYTES,
            State::SketchSum(sums) => size_of_val(&sums[..]),
            State::List { values, seen, lists } => {
                values.memory() + seen.memory() + size_of_val(&lists[..])
            }
            State::First(values) => size_of_val(&values[..]),
            State::FirstBy { best, .. } => size_of_val(&best[..]),
            State::Sample { samples, .. } => size_of_val(&samples[..]),
            State::Collect(collector) => collector.memory(),
        };
        kept + self.bytes
    }

    /// Makes room for so many groups.
    pub fn grow(&mut self, groups: usize) {
        match &mut self.state {
            State::Count(counts) => counts.resize(groups, 0),
            State::Sum { sums, counts, .. } => {
                sums.resize(groups, 0.0);
                counts.resize(groups, 0);
            }
            State::Min(values) => values.resize(groups, f64::INFINITY),
            State::Max(values) => values.resize(groups, f64::NEG_INFINITY),
            State::StdDev(deviations) => deviations.resize(groups, Deviation::default()),
            State::Quantile { values, .. } => values.resize_with(groups, Vec::new),
            State::Distinct { counts, .. } => counts.resize(groups, 0),
            State::Sketches { sketches, .. } => sketches.resize_with(groups, Sketch::default),
            State::SketchSum(sums) => sums.resize_with(groups, || None),
            State::List { lists, .. } => lists.resize_with(groups, Vec::new),
            State::First(values) => values.resize_with(groups, || None),
            State::FirstBy { best, .. } => best.resize_with(groups, || None),
            State::Sample { samples, .. } => samples.resize_with(groups, Default::default),
            State::Collect(collector) => collector.grow(groups),
        }
    }

    /// Adds a row to a group.
    pub fn add(&mut self, group: u32, row: &Row<'_>) {
        let value = self.inputs.first().and_then(|slot| row.get(*slot));
        let at = group as usize;
        match &mut self.state {
            State::Count(counts) => counts[at] += 1,
            State::Sum { .. } | State::Min(_) | State::Max(_) => {
                if let Some(number) = value.and_then(Value::to_number) {
                    self.add_number(at, number);
                }
            }
            State::StdDev(_) | State::Quantile { .. } => {
                if let Some(value) = value {
                    each(value, &mut |item| {
                        if let Some(number) = item.to_number() {
                            self.add_number(at, number);
                        }
                    });
                }
            }
            State::Distinct { values, seen, counts } => {
                if let Some(value) = value.filter(|value| **value != Value::Null) {
                    let number = values.intern(value);
                    counts[at] += u64::from(seen.insert(group, number));
                }
            }
            State::Sketches { sketches, .. } => {
                if let Some(value) = value.filter(|value| **value != Value::Null) {
                    sketches[at].add(value);
                }
            }
            State::SketchSum(sums) => self.bytes += add_sketch(&mut sums[at], value),
            State::List { values, seen, lists } => {
                if let Some(value) = value {
                    each(value, &mut |item| {
                        let number = values.intern(item);
                        if seen.insert(group, number) {
                            lists[at].push(number);
                            self.bytes += size_of::<u32>();
                        }
                    });
                }
            }
            State::First(values) => {
                if values[at].is_none() {
                    values[at] = Some(value.map_or(Value::Null, |value| owned(value)));
                    self.bytes += value.map_or(0, Value::memory);
                }
            }
            State::FirstBy { descending, best } => {
                let by = row.get(self.inputs[1]).unwrap_or(&Value::Null);
                self.bytes += first_by(&mut best[at], value, by, *descending);
            }
            State::Sample { size, random, samples } => {
                if let Some(value) = value {
                    self.bytes += sample(&mut samples[at], *size, random, value);
                }
            }
            State::Collect(collector) => collector.add(group, &self.inputs, row),
        }
    }

    fn add_number(&mut self, at: usize, number: f64) {
        match &mut self.state {
            State::Sum { sums, counts, .. } => {
                sums[at] += number;
                counts[at] += 1;
            }
            State::Min(values) => values[at] = values[at].min(number),
            State::Max(values) => values[at] = values[at].max(number),
            State::StdDev(deviations) => deviations[at].add(number),
            State::Quantile { values, .. } => {
                values[at].push(number);
                self.bytes += size_of::<f64>();
            }
            _ => unreachable!("only called for reducers of numbers"),
        }
    }

    /// Whether it only counts rows.
    pub fn is_count(&self) -> bool {
        matches!(self.state, State::Count(_))
    }

    /// Whether it takes single numbers, and nothing else of a row.
    pub fn takes_numbers(&self) -> bool {
        matches!(
            self.state,
            State::Sum { .. }
                | State::Min(_)
                | State::Max(_)
                | State::StdDev(_)
                | State::Quantile { .. }
        )
    }

    /// Counts rows whose groups are given.
    pub fn count_rows(&mut self, groups: &[u32]) {
        let State::Count(counts) = &mut self.state else { unreachable!("is_count() was asked") };
        groups.iter().for_each(|group| counts[*group as usize] += 1);
    }

    /// Counts so many rows of one group.
    pub fn count_all(&mut self, group: u32, rows: usize) {
        let State::Count(counts) = &mut self.state else { unreachable!("is_count() was asked") };
        counts[group as usize] += rows as u64;
    }

    /// Adds rows whose groups are given and whose numbers are.
    pub fn add_numbers(&mut self, groups: &[u32], numbers: &Numbers) {
        if let (State::Sum { sums, counts, .. }, None) = (&mut self.state, &numbers.gaps) {
            // The commonest by far, so it has a loop of its own.
            for (number, group) in numbers.values.iter().zip(groups) {
                sums[*group as usize] += number;
                counts[*group as usize] += 1;
            }
            return;
        }
        for (row, group) in groups.iter().enumerate() {
            if let Some(number) = numbers.get(row) {
                self.add_number(*group as usize, number);
            }
        }
    }

    /// What is worked out of a group.
    pub fn value(&self, group: u32) -> Value<'_> {
        let at = group as usize;
        match &self.state {
            State::Count(counts) => Value::Number(counts[at] as f64),
            State::Sum { sums, counts, mean } => Value::Number(match counts[at] {
                0 => f64::NAN,
                count if *mean => sums[at] / count as f64,
                _ => sums[at],
            }),
            State::Min(values) | State::Max(values) => Value::Number(values[at]),
            State::StdDev(deviations) => Value::Number(deviations[at].value()),
            State::Quantile { part, values } => Value::Number(part_of(values[at].clone(), *part)),
            State::Distinct { counts, .. } => Value::Number(counts[at] as f64),
            State::Sketches { sketches, raw } => match raw {
                true => Value::Text(sketches[at].to_bytes().into()),
                false => Value::Number(sketches[at].count()),
            },
            State::SketchSum(sums) => Value::Number(sums[at].as_ref().map_or(0.0, Sketch::count)),
            State::List { values, lists, .. } => {
                let list = lists[at].iter();
                Value::List(list.map(|number| values.value(*number).clone()).collect())
            }
            State::First(values) => values[at].as_ref().map_or(Value::Null, Value::borrowed),
            State::FirstBy { best, .. } => {
                best[at].as_ref().map_or(Value::Null, |best| best.value.borrowed())
            }
            State::Sample { samples, .. } => Value::List(samples[at].1.as_slice().into()),
            State::Collect(collector) => collector.value(group),
        }
    }
}

fn owned(value: &Value<'_>) -> Value<'static> {
    value.clone().into_owned()
}

/// Calls `job` with a value, or with each of several.
pub fn each(value: &Value<'_>, job: &mut dyn FnMut(&Value<'_>)) {
    match value {
        Value::List(items) => items.iter().for_each(&mut *job),
        Value::Several(several) => several.items.iter().for_each(&mut *job),
        value => job(value),
    }
}

/// Answers by how many bytes the sum has grown.
fn add_sketch(sum: &mut Option<Sketch>, value: Option<&Value<'_>>) -> usize {
    let Some(Value::Text(bytes)) = value else { return 0 };
    let Some(sketch) = Sketch::from_bytes(bytes) else { return 0 };
    match sum {
        // One that does not fit the others is left out, as in RediSearch.
        Some(sum) => {
            sum.merge(&sketch);
            0
        }
        None => {
            *sum = Some(sketch);
            bytes.len()
        }
    }
}

/// Rows without the property to compare by come last. Answers by how many bytes the group may have grown.
fn first_by(
    best: &mut Option<Best>,
    value: Option<&Value<'_>>,
    by: &Value<'_>,
    descending: bool,
) -> usize {
    let better = match best {
        None => true,
        Some(_) if *by == Value::Null => false,
        Some(best) if best.by == Value::Null => true,
        Some(best) => {
            let order = by.compare(&best.by);
            if descending { order.is_gt() } else { order.is_lt() }
        }
    };
    if !better {
        return 0;
    }
    let next = Best { value: value.map_or(Value::Null, owned), by: owned(by) };
    let size = |best: &Best| best.value.memory() + best.by.memory();
    let (before, after) = (best.as_ref().map_or(0, size), size(&next));
    *best = Some(next);
    after.saturating_sub(before)
}

/// Keeps each of the rows so far with the same chance (reservoir sampling). Answers by how many bytes the sample may have
/// grown.
fn sample(
    sample: &mut (u64, Vec<Value<'static>>),
    size: usize,
    random: &mut Random,
    value: &Value<'_>,
) -> usize {
    let (seen, kept) = sample;
    *seen += 1;
    if kept.len() < size {
        kept.push(owned(value));
        return size_of::<Value<'_>>() + value.memory();
    }
    match kept.get_mut(random.below(*seen) as usize) {
        Some(place) => {
            let before = place.memory();
            *place = owned(value);
            value.memory().saturating_sub(before)
        }
        None => 0,
    }
}

/// The value at rank `part * count`, rounded up, of values in order.
fn part_of(mut values: Vec<f64>, part: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let rank = (part * values.len() as f64).ceil() as usize;
    let at = rank.clamp(1, values.len()) - 1;
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::reducers::Reduction;
    use crate::args::Args;
    use crate::expression::value::number_text;

    /// What a reducer makes of one group with these values; `-` is a row without a value.
    fn reduce(line: &str, values: &[&str]) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let reduction = Reduction::read(&mut Args::new(&words)).unwrap();
        let mut reducer = Reducer::new(reduction.kind, (0..reduction.inputs.len()).collect());
        reducer.grow(2);
        for value in values {
            let slots = value.split(':').map(|text| match text {
                "-" => None,
                text => Some(Value::text(text.as_bytes())),
            });
            reducer.add(1, &Row { slots: slots.collect(), key: None });
        }
        shown(&reducer.value(1))
    }

    fn shown(value: &Value<'_>) -> String {
        match value {
            Value::Number(number) => number_text(*number),
            Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Value::List(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
            Value::Null => "nil".to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_reducer_on_a_few_values() {
        let numbers = ["10", "3", "8", "-", "x"];
        let cases = [
            ("COUNT 0", "5"),
            ("sum 1 @n", "21"),
            ("AVG 1 @n", "7"),
            ("MIN 1 @n", "3"),
            ("MAX 1 n", "10"),
            ("STDDEV 1 @n", "3.60555127546"),
            ("QUANTILE 2 @n 0.5", "8"),
            ("QUANTILE 2 @n 0", "3"),
            ("QUANTILE 3 @n 1 500", "10"),
            ("COUNT_DISTINCT 1 @n", "4"),
            ("COUNT_DISTINCTISH 1 @n", "4"),
            ("TOLIST 1 @n", "10,3,8,x"),
            ("FIRST_VALUE 1 @n", "10"),
            ("HLL_SUM 1 @n", "0"),
        ];
        for (line, expected) in cases {
            assert_eq!(reduce(line, &numbers), expected, "{line}");
        }
    }

    #[test]
    fn an_empty_group_has_these_values() {
        let cases = [
            ("SUM 1 @n", "nan"),
            ("AVG 1 @n", "nan"),
            ("QUANTILE 2 @n 0.5", "nan"),
            ("MIN 1 @n", "inf"),
            ("MAX 1 @n", "-inf"),
            ("STDDEV 1 @n", "0"),
            ("COUNT_DISTINCT 1 @n", "0"),
            ("TOLIST 1 @n", ""),
            ("FIRST_VALUE 1 @n", "nil"),
            ("RANDOM_SAMPLE 2 @n 3", ""),
        ];
        for (line, expected) in cases {
            assert_eq!(reduce(line, &["-"]), expected, "{line}");
        }
    }

    #[test]
    fn first_value_by_another_property() {
        let rows = ["a:-", "b:5", "c:9", "d:1", "e:-"];
        assert_eq!(reduce("FIRST_VALUE 3 @v BY @w", &rows), "d");
        assert_eq!(reduce("FIRST_VALUE 4 @v BY @w ASC", &rows), "d");
        assert_eq!(reduce("FIRST_VALUE 4 @v BY @w DESC", &rows), "c");
        assert_eq!(reduce("FIRST_VALUE 3 @v BY @w", &["a:-", "b:-"]), "a");
    }

    #[test]
    fn a_sample_holds_values_of_the_group() {
        let values: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let sample = reduce("RANDOM_SAMPLE 2 @n 7", &values);
        let mut sample: Vec<&str> = sample.split(',').collect();
        assert!(sample.iter().all(|value| values.contains(value)));
        sample.sort_unstable();
        sample.dedup();
        assert_eq!(sample.len(), 7);
    }
}
