//! Where are replies written? Three buffers, filled as a pipeline of GETs or of large values fills them and
//! drained as a socket drains them, once per batch.
//!
//! - `worker`: one vector for all connections of a worker; what the socket does not take is copied out.
//! - `connection`: a vector for each connection, dropped when it is empty, as an idle one must not hold memory.
//! - `chunks`: a list of blocks of 16 KiB for each connection, written with `writev`.
//!
//! The figures are in docs/decisions/0006-reply-buffer.md.

mod cpu_time;

use std::hint::black_box;
use std::io::{IoSlice, Write};
use std::time::Duration;

use cpu_time::CpuTime;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mortise::allocator::CountingAllocator;
use mortise::resp::reply::{Protocol, Reply};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const CHUNK_BYTES: usize = 16 * 1024;
/// Connections that are served in turn.
const CONNECTIONS: usize = 50;

/// A socket that takes everything; the system call is real.
fn sink() -> std::fs::File {
    std::fs::OpenOptions::new().write(true).open("/dev/null").expect("Linux has /dev/null")
}

/// What a batch of `pipeline` values of `len` bytes costs with one vector for all.
fn worker(out: &mut Vec<u8>, socket: &mut std::fs::File, value: &[u8], pipeline: usize) {
    let mut reply = Reply::new(out, Protocol::Resp2);
    (0..pipeline).for_each(|_| reply.bulk(value));
    socket.write_all(out).expect("it takes everything");
    out.clear();
}

fn connection(socket: &mut std::fs::File, value: &[u8], pipeline: usize) {
    let mut out = Vec::new();
    worker(black_box(&mut out), socket, value, pipeline);
}

fn chunks(socket: &mut std::fs::File, value: &[u8], pipeline: usize) {
    let mut list: Vec<Vec<u8>> = vec![Vec::with_capacity(CHUNK_BYTES)];
    let mut head = Vec::with_capacity(16);
    for _ in 0..pipeline {
        head.clear();
        Reply::new(&mut head, Protocol::Resp2).len(value.len());
        for mut part in [&head[..], value, b"\r\n"] {
            while !part.is_empty() {
                let last = list.last_mut().expect("there is always one");
                let room = CHUNK_BYTES - last.len();
                if room == 0 {
                    list.push(Vec::with_capacity(CHUNK_BYTES));
                    continue;
                }
                let (now, later) = part.split_at(part.len().min(room));
                last.extend_from_slice(now);
                part = later;
            }
        }
    }
    let slices: Vec<IoSlice<'_>> = list.iter().map(|chunk| IoSlice::new(chunk)).collect();
    for some in slices.chunks(64) {
        let written = socket.write_vectored(some).expect("it takes everything");
        assert_eq!(written, some.iter().map(|slice| slice.len()).sum::<usize>());
    }
    black_box(&list);
}

fn replies(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("reply");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(1))
        .warm_up_time(Duration::from_millis(300));
    let mut socket = sink();
    for (len, pipeline) in [(32, 1), (32, 16), (32, 64), (1024, 16), (16_384, 1), (1 << 20, 1)] {
        let value = vec![b'x'; len];
        let case = format!("{len} bytes x {pipeline}");
        group.throughput(Throughput::Elements((CONNECTIONS * pipeline) as u64));
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new("worker", &case), |b| {
            b.iter(|| {
                (0..CONNECTIONS).for_each(|_| worker(&mut out, &mut socket, &value, pipeline));
            });
        });
        group.bench_function(BenchmarkId::new("connection", &case), |b| {
            b.iter(|| (0..CONNECTIONS).for_each(|_| connection(&mut socket, &value, pipeline)));
        });
        group.bench_function(BenchmarkId::new("chunks", &case), |b| {
            b.iter(|| (0..CONNECTIONS).for_each(|_| chunks(&mut socket, &value, pipeline)));
        });
    }
    group.finish();
}

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = replies
);
criterion_main!(benches);
