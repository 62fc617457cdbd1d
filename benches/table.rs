//! Which table holds the keys? Ours beside two made of hashbrown, all with the same entries.
//!
//! `cargo bench --bench table` times lookups (criterion), then starts itself anew for each table to
//! measure what a filled one takes: resident bytes a key, time of an insert, and the worst single
//! insert. `KEYS=3000000` sets the number of keys. The figures are in
//! docs/decisions/0002-key-table.md.

mod cpu_time;

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use cpu_time::{CpuTime, cpu_ns};
use criterion::{BenchmarkId, Criterion, Throughput};
use hashbrown::HashTable;
use mortise::allocator::{CountingAllocator, used_memory};
use mortise::keyspace::db::{Db, ExpireChange};
use mortise::keyspace::entry::Entry;
use mortise::keyspace::table::Table;
use mortise::keyspace::value::{StrRef, StrValue, Value, ValueRef};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const KEYS_DEFAULT: usize = 1_000_000;
/// Lookups between two readings of the clock.
const LOOKUPS: usize = 4096;
/// How often a table is filled to find its worst insert.
const ROUNDS: usize = 3;
const VALUE: [u8; 32] = [b'x'; 32];

fn key_of(number: usize) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key.iter_mut().rev().take(12) {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// The numbers below `count`, each once, in an order without a pattern.
fn shuffled(count: usize) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..count as u32).collect();
    let mut state = 0x2545_f491_4f6c_dd1du64;
    for i in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        numbers.swap(i, (state % (i as u64 + 1)) as usize);
    }
    numbers
}

fn entry_of(key: &[u8]) -> Entry {
    Entry::new(key, Value::Str(StrValue::new(VALUE.to_vec())), None)
}

fn len_of(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Str(StrRef::Bytes(bytes)) => bytes[bytes.len() - 1] as usize + bytes.len(),
        _ => 0,
    }
}

/// What all tables can do.
trait Keys: Default {
    const NAME: &'static str;

    fn insert(&mut self, hash: u64, key: &[u8]);

    /// Something that depends on the value, so that it has to be fetched.
    fn get(&self, hash: u64, key: &[u8]) -> Option<usize>;

    fn remove(&mut self, hash: u64, key: &[u8]);

    fn prefetch_bucket(&self, _hash: u64) {}

    fn prefetch_entry(&self, _hash: u64) {}
}

/// Ours.
impl Keys for Table {
    const NAME: &'static str = "lines";

    fn insert(&mut self, hash: u64, key: &[u8]) {
        self.insert_new(hash, entry_of(key));
    }

    fn get(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.find(hash, key).map(|slot| len_of(self.entry(slot).value()))
    }

    fn remove(&mut self, hash: u64, key: &[u8]) {
        let slot = self.find(hash, key).expect("callers remove what is there");
        drop(Table::remove(self, slot));
    }

    fn prefetch_bucket(&self, hash: u64) {
        Table::prefetch_bucket(self, hash);
    }

    fn prefetch_entry(&self, hash: u64) {
        Table::prefetch_entry(self, hash);
    }
}

/// One hashbrown table of entries.
#[derive(Default)]
struct One(HashTable<Entry>);

impl Keys for One {
    const NAME: &'static str = "one";

    fn insert(&mut self, hash: u64, key: &[u8]) {
        self.0.insert_unique(hash, entry_of(key), |entry| Db::hash(entry.as_ref().key()));
    }

    fn get(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let entry = self.0.find(hash, |entry| entry.as_ref().key() == key)?;
        Some(len_of(entry.as_ref().value()))
    }

    fn remove(&mut self, hash: u64, key: &[u8]) {
        let found = self.0.find_entry(hash, |entry| entry.as_ref().key() == key);
        drop(found.unwrap_or_else(|_| panic!("callers remove what is there")).remove());
    }
}

/// A directory of hashbrown tables of up to [`Segments::FULL`] entries each.
struct Segments {
    directory: Vec<u32>,
    depth: u32,
    segments: Vec<(u32, HashTable<Entry>)>,
}

impl Segments {
    /// What fits 1,024 buckets.
    const FULL: usize = 896;

    fn index(&self, hash: u64) -> usize {
        ((hash >> 1) >> (63 - self.depth)) as usize
    }

    /// The leading bits led to the segment; hashbrown uses the lowest and the highest ones.
    fn inner(hash: u64) -> u64 {
        hash.rotate_left(32)
    }

    fn inner_of(entry: &Entry) -> u64 {
        Self::inner(Db::hash(entry.as_ref().key()))
    }

    fn split(&mut self, at: usize) {
        let number = self.directory[at] as usize;
        let depth = self.segments[number].0;
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|number| [*number, *number]).collect();
            self.depth += 1;
        }
        let old = std::mem::take(&mut self.segments[number].1);
        let mut halves =
            [HashTable::with_capacity(Self::FULL / 2), HashTable::with_capacity(Self::FULL / 2)];
        for entry in old {
            let hash = Db::hash(entry.as_ref().key());
            let half = &mut halves[(hash >> (63 - depth)) as usize & 1];
            half.insert_unique(Self::inner(hash), entry, Self::inner_of);
        }
        let [low, high] = halves;
        self.segments[number] = (depth + 1, low);
        self.segments.push((depth + 1, high));
        let high = self.segments.len() as u32 - 1;
        for (i, word) in self.directory.iter_mut().enumerate() {
            if *word as usize == number && (i >> (self.depth - depth - 1)) & 1 == 1 {
                *word = high;
            }
        }
    }
}

impl Default for Segments {
    fn default() -> Self {
        Self { directory: vec![0], depth: 0, segments: vec![(0, HashTable::new())] }
    }
}

impl Keys for Segments {
    const NAME: &'static str = "segments";

    fn insert(&mut self, hash: u64, key: &[u8]) {
        while self.segments[self.directory[self.index(hash)] as usize].1.len() >= Self::FULL {
            self.split(self.index(hash));
        }
        let number = self.directory[self.index(hash)] as usize;
        self.segments[number].1.insert_unique(Self::inner(hash), entry_of(key), Self::inner_of);
    }

    fn get(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let number = self.directory[self.index(hash)] as usize;
        let table = &self.segments[number].1;
        let entry = table.find(Self::inner(hash), |entry| entry.as_ref().key() == key)?;
        Some(len_of(entry.as_ref().value()))
    }

    fn remove(&mut self, hash: u64, key: &[u8]) {
        let number = self.directory[self.index(hash)] as usize;
        let table = &mut self.segments[number].1;
        let found = table.find_entry(Self::inner(hash), |entry| entry.as_ref().key() == key);
        drop(found.unwrap_or_else(|_| panic!("callers remove what is there")).remove());
    }
}

fn filled<K: Keys>(count: usize) -> K {
    let mut keys = K::default();
    for number in 0..count {
        let key = key_of(number);
        keys.insert(Db::hash(&key), &key);
    }
    keys
}

fn lookups<K: Keys>(criterion: &mut Criterion<CpuTime>, count: usize) {
    let keys: K = filled(count);
    let order = shuffled(count);
    let mut group = criterion.benchmark_group(format!("lookup in {count} keys"));
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500));
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    let mut at = 0;
    let mut numbers = move || {
        at = (at + LOOKUPS) % (order.len() - LOOKUPS);
        order[at..at + LOOKUPS].to_vec()
    };
    group.bench_function(BenchmarkId::new("get", K::NAME), |b| {
        b.iter_batched_ref(
            &mut numbers,
            |numbers| {
                for number in numbers.iter() {
                    let key = key_of(*number as usize);
                    black_box(keys.get(Db::hash(&key), &key));
                }
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function(BenchmarkId::new("miss", K::NAME), |b| {
        b.iter_batched_ref(
            &mut numbers,
            |numbers| {
                for number in numbers.iter() {
                    let key = key_of(*number as usize + count);
                    black_box(keys.get(Db::hash(&key), &key));
                }
            },
            criterion::BatchSize::SmallInput,
        );
    });
    for batch in [16, 64] {
        group.bench_function(
            BenchmarkId::new(format!("get in batches of {batch}"), K::NAME),
            |b| {
                b.iter_batched_ref(
                    &mut numbers,
                    |numbers| get_in_batches(&keys, numbers, batch),
                    criterion::BatchSize::SmallInput,
                );
            },
        );
    }
    group.finish();
}

/// As a worker does with a pipeline: ask for all buckets, then for all entries, then look.
fn get_in_batches<K: Keys>(keys: &K, numbers: &[u32], batch: usize) {
    let mut ready = Vec::with_capacity(batch);
    for numbers in numbers.chunks(batch) {
        ready.clear();
        ready.extend(numbers.iter().map(|number| {
            let key = key_of(*number as usize);
            (key, Db::hash(&key))
        }));
        ready.iter().for_each(|(_, hash)| keys.prefetch_bucket(*hash));
        ready.iter().for_each(|(_, hash)| keys.prefetch_entry(*hash));
        for (key, hash) in &ready {
            black_box(keys.get(*hash, key));
        }
    }
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .and_then(|field| field.parse().ok())
        .expect("its second field is a number");
    pages * 4096
}

/// What one reading of [`cpu_ns`] costs.
fn clock_ns() -> u64 {
    const READINGS: u64 = 100_000;
    let start = cpu_ns();
    (0..READINGS).for_each(|_| _ = black_box(cpu_ns()));
    (cpu_ns() - start) / READINGS
}

/// Fills `keys` in this order and lowers the times of single inserts to what they took now; returns
/// the whole time.
///
/// Reading the clock costs as much as an insert: the whole is without it, single times are with it.
fn fill_timed<K: Keys>(keys: &mut K, order: &[u32], times: &mut [u32]) -> u64 {
    let start = cpu_ns();
    let mut last = start;
    for (number, time) in order.iter().zip(times) {
        let key = key_of(*number as usize);
        keys.insert(Db::hash(&key), &key);
        let now = cpu_ns();
        *time = (*time).min((now - last) as u32);
        last = now;
    }
    (last - start) - clock_ns() * order.len() as u64
}

/// Fills one table several times in this fresh process and prints what it took.
///
/// Of each insert the best time counts: the same one is slow again if the table is the reason, and
/// is not if it was a neighbour on the machine.
fn measure<K: Keys>(count: usize) {
    let order = shuffled(count);
    let mut times = vec![u32::MAX; count];
    let (before, before_used) = (resident(), used_memory());
    let mut best_ns = u64::MAX;
    let mut keys = K::default();
    let (mut grown, mut grown_used) = (0, 0);
    for round in 0..ROUNDS {
        // Gone before the next is filled, except the last.
        keys = K::default();
        best_ns = best_ns.min(fill_timed(&mut keys, &order, &mut times));
        if round == 0 {
            (grown, grown_used) = (resident() - before, used_memory() - before_used);
        }
    }
    times.sort_unstable();
    let at = |part: f64| f64::from(times[((count - 1) as f64 * part) as usize]) / 1000.0;
    println!(
        "{:>9} {count:>9} keys: {:.1} bytes a key ({:.1} in use), insert {:.0} ns, \
         99.9 % {:.1} µs, 99.99 % {:.1} µs, worst {:.1} µs",
        K::NAME,
        grown as f64 / count as f64,
        grown_used as f64 / count as f64,
        best_ns as f64 / count as f64,
        at(0.999),
        at(0.9999),
        at(1.0),
    );
    let full = resident();
    let start = cpu_ns();
    for number in (0..count).filter(|number| number % 10 != 0) {
        let key = key_of(number);
        keys.remove(Db::hash(&key), &key);
    }
    let elapsed = cpu_ns() - start;
    std::thread::sleep(Duration::from_secs(2));
    println!(
        "{:>9} {count:>9} keys: remove {:.0} ns, resident {:.1} MB, \
         {:.1} MB two seconds after 90 % are gone",
        K::NAME,
        elapsed as f64 / (count / 10 * 9) as f64,
        full as f64 / 1e6,
        resident() as f64 / 1e6,
    );
    black_box(keys);
}

/// Bytes a key at many sizes, to see what the steps of growth do to the mean.
fn measure_steps(count: usize) {
    let mut db = Db::new();
    let (mut next, before) = (count / 4, resident());
    for number in 0..count {
        db.set_string(&key_of(number), None, &VALUE, ExpireChange::Clear);
        if number + 1 == next {
            println!(
                "{:>9} keys: {:.1} bytes a key",
                next,
                (resident() - before) as f64 / next as f64
            );
            next += next / 10;
        }
    }
    black_box(db.len());
}

/// Measures one kind of table with so many keys.
type Measure = fn(usize);

fn main() {
    let count =
        std::env::var("KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(KEYS_DEFAULT);
    let tables: [(&str, Measure); 4] = [
        ("lines", measure::<Table>),
        ("segments", measure::<Segments>),
        ("one", measure::<One>),
        ("steps", measure_steps),
    ];
    if let Ok(name) = std::env::var("MEASURE") {
        let (_, run) =
            tables.iter().find(|(known, _)| *known == name).expect("MEASURE names a table");
        return run(count);
    }
    // `cargo test` runs benches with this argument, to see that they work.
    if std::env::args().any(|arg| arg == "--test") {
        measure::<Table>(10_000);
        return;
    }
    let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
    lookups::<Table>(&mut criterion, count);
    lookups::<Segments>(&mut criterion, count);
    lookups::<One>(&mut criterion, count);
    criterion.final_summary();
    for (name, _) in &tables[..3] {
        for count in [count, 3 * count] {
            let own = std::env::current_exe().expect("the binary runs");
            let status =
                Command::new(own).env("MEASURE", name).env("KEYS", count.to_string()).status();
            assert!(status.is_ok_and(|status| status.success()), "measuring {name}");
        }
    }
}
