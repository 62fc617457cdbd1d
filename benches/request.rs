//! What does a request cost before it runs? Splitting a pipeline into requests, and finding their commands.

mod cpu_time;

use std::hint::black_box;
use std::time::Duration;

use cpu_time::CpuTime;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mortise::commands;
use mortise::engine::log::encode;
use mortise::engine::registry::{Command, Registry};
use mortise::resp::request::{Limits, Parser};

const LIMITS: Limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };

fn pipeline(words: &[&[u8]], len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..len).for_each(|_| encode(&mut bytes, words));
    bytes
}

fn requests(criterion: &mut Criterion<CpuTime>) {
    let table = commands::TABLES.iter().flat_map(|table| table.iter());
    let registry = Registry::new(table.map(|spec| (None, Command::new(spec, None, None, 1))), 1);
    let get: &[&[u8]] = &[b"GET", b"key:000000012345"];
    let set: &[&[u8]] = &[b"SET", b"key:000000012345", &[b'x'; 32]];
    let mut group = criterion.benchmark_group("request");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(1))
        .warm_up_time(Duration::from_millis(300));
    for (name, words) in [("GET", get), ("SET", set)] {
        for len in [1, 16, 64] {
            let bytes = pipeline(words, len);
            let mut parser = Parser::default();
            group.throughput(Throughput::Elements(len as u64));
            group.bench_function(BenchmarkId::new(format!("split {name}"), len), |b| {
                b.iter(|| {
                    parser.parse(black_box(&bytes), LIMITS);
                    assert_eq!(parser.requests().len(), len);
                    parser.release();
                });
            });
        }
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("find {name}"), |b| {
            b.iter(|| registry.resolve(black_box(words)).expect("it is a command"));
        });
    }
    group.finish();
}

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = requests
);
criterion_main!(benches);
