//! Which function hashes the keys? Alone, and as part of a lookup among a million keys.
//!
//! The figures are in docs/decisions/0004-hash-function.md.

mod cpu_time;

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Duration;

use cpu_time::CpuTime;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mortise::allocator::CountingAllocator;
use mortise::keyspace::db::{Db, ExpireChange};
use mortise::keyspace::hash::{KeyHash, SeededHash};
use mortise::keyspace::value::{StrRef, ValueRef};
use siphasher::sip::{SipHasher13, SipHasher24};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const KEYS: u32 = 1_000_000;
/// Hashes between two readings of the clock.
const ROUND: u32 = 1024;

struct FoldFast;
struct Rapid;
struct Sip13;
struct Sip24;

fn seed() -> u64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| std::hash::RandomState::new().hash_one(0));
    *SEED
}

impl KeyHash for FoldFast {
    fn hash(key: &[u8]) -> u64 {
        static SHARED: LazyLock<foldhash::SharedSeed> =
            LazyLock::new(|| foldhash::SharedSeed::from_u64(seed()));
        let mut hasher = foldhash::fast::FoldHasher::with_seed(seed(), &SHARED);
        hasher.write(key);
        hasher.finish()
    }
}

impl KeyHash for Rapid {
    fn hash(key: &[u8]) -> u64 {
        static SECRETS: LazyLock<rapidhash::v3::RapidSecrets> =
            LazyLock::new(|| rapidhash::v3::RapidSecrets::seed(seed()));
        rapidhash::v3::rapidhash_v3_seeded(key, &SECRETS)
    }
}

impl KeyHash for Sip13 {
    fn hash(key: &[u8]) -> u64 {
        SipHasher13::new_with_keys(seed(), 1).hash(key)
    }
}

impl KeyHash for Sip24 {
    fn hash(key: &[u8]) -> u64 {
        SipHasher24::new_with_keys(seed(), 1).hash(key)
    }
}

fn alone<H: KeyHash>(criterion: &mut Criterion<CpuTime>, name: &str) {
    let mut group = criterion.benchmark_group("hash");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(1))
        .warm_up_time(Duration::from_millis(300));
    group.throughput(Throughput::Elements(ROUND.into()));
    for len in [8, 16, 32, 64, 256] {
        // Written long before they are read: a store that is still on its way would be measured.
        let keys: Vec<u8> = (0..ROUND as usize * len).map(|i| (i * 31 % 251) as u8).collect();
        group.bench_function(BenchmarkId::new(name, len), |b| {
            b.iter(|| black_box(&keys).chunks_exact(len).fold(0, |sum, key| sum ^ H::hash(key)));
        });
    }
    // Each hash waits for the one before: what a lookup that cannot go on without it sees.
    let mut key = *b"key:000000000000";
    group.bench_function(BenchmarkId::new(name, "16 chained"), |b| {
        b.iter(|| {
            let mut hash = 0u64;
            for _ in 0..ROUND {
                key[8..].copy_from_slice(&hash.to_le_bytes());
                hash = H::hash(black_box(&key));
            }
            hash
        });
    });
    group.finish();
}

fn lookup<H: KeyHash>(criterion: &mut Criterion<CpuTime>, name: &str) {
    let mut db = Db::<H>::with_hasher();
    for number in 0..KEYS {
        db.set_string(
            format!("key:{number:012}").as_bytes(),
            None,
            &[b'x'; 32],
            ExpireChange::Clear,
        );
    }
    let mut number = 1;
    let mut group = criterion.benchmark_group("lookup among 1M keys");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500));
    group.throughput(Throughput::Elements(ROUND.into()));
    let mut key = *b"key:000000000000";
    group.bench_function(name, |b| {
        b.iter(|| {
            for _ in 0..ROUND {
                number = (number * 1_000_003 + 7) % u64::from(KEYS);
                let mut rest = number;
                for digit in key.iter_mut().rev().take(12) {
                    *digit = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
                match db.read(&key, 0) {
                    Some((_, ValueRef::Str(StrRef::Bytes(bytes)))) => _ = black_box(bytes[31]),
                    _ => panic!("all keys below KEYS are there"),
                }
            }
        });
    });
    group.finish();
}

fn all(criterion: &mut Criterion<CpuTime>) {
    alone::<SeededHash>(criterion, "foldhash quality");
    alone::<FoldFast>(criterion, "foldhash fast");
    alone::<Rapid>(criterion, "rapidhash");
    alone::<Sip13>(criterion, "SipHash-1-3");
    alone::<Sip24>(criterion, "SipHash-2-4");
    lookup::<SeededHash>(criterion, "foldhash quality");
    lookup::<FoldFast>(criterion, "foldhash fast");
    lookup::<Rapid>(criterion, "rapidhash");
    lookup::<Sip13>(criterion, "SipHash-1-3");
    lookup::<Sip24>(criterion, "SipHash-2-4");
}

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = all
);
criterion_main!(benches);
