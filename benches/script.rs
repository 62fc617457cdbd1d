//! What does a script cost? EVALSHA of four scripts in the engine's own VM, over a map in the engine's place,
//! so that only the VM and the way to the engine and back are measured.
//!
//! The figures are in docs/decisions/0007-lua-vm.md.

mod cpu_time;

use std::collections::HashMap;
use std::time::Duration;

use cpu_time::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use mortise::allocator::CountingAllocator;
use mortise::base::number::parse_i64;
use mortise::base::sha1::sha1_hex;
use mortise::resp::reply::{Protocol, Reply};
use mortise::script::host::{LogLevel, ReplTargets, ScriptHost, Tick};
use mortise::script::vm::{Call, Invocation, Outcome, Vm, VmOptions};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Scripts, and the one argument that each gets beside the key `k`.
const SCRIPTS: [(&str, &str); 4] = [
    ("return 1", "return 1"),
    ("get", "return redis.call('get', KEYS[1])"),
    (
        "compare and delete",
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
    ),
    (
        "limiter",
        "local n = redis.call('incr', KEYS[2]) if n == 1 then redis.call('pexpire', KEYS[2], ARGV[1]) end return n",
    ),
];

/// GET, DEL, INCR and PEXPIRE; DEL leaves the key, so that each call finds it.
#[derive(Default)]
struct Map(HashMap<Vec<u8>, Vec<u8>>);

impl ScriptHost for Map {
    fn call(&mut self, argv: &[&[u8]], resp3: bool, out: &mut Vec<u8>) {
        let mut reply = Reply::new(out, if resp3 { Protocol::Resp3 } else { Protocol::Resp2 });
        match (argv[0], self.0.get_mut(argv[1])) {
            (b"get", Some(value)) => reply.bulk(value),
            (b"get", None) => reply.null(),
            (b"incr", Some(value)) => {
                let sum = parse_i64(value).unwrap_or(0) + 1;
                value.clear();
                value.extend_from_slice(sum.to_string().as_bytes());
                reply.int(sum);
            }
            (_, found) => reply.int(i64::from(found.is_some())),
        }
    }

    fn log(&mut self, _level: LogLevel, _message: &[u8]) {}

    fn set_repl(&mut self, _targets: ReplTargets) {}

    fn acl_check_cmd(&mut self, _argv: &[&[u8]]) -> Option<bool> {
        None
    }

    fn tick(&mut self) -> Tick {
        Tick::Continue
    }
}

fn scripts(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("script");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(1))
        .warm_up_time(Duration::from_millis(300));
    let mut vm = Vm::new(VmOptions::default()).expect("there is memory");
    let mut host = Map::default();
    host.0.insert(b"k".to_vec(), b"token".to_vec());
    host.0.insert(b"n".to_vec(), b"0".to_vec());
    let mut out = Vec::new();
    for (name, source) in SCRIPTS {
        let sha = sha1_hex(source.as_bytes());
        let (keys, args): (&[&[u8]], &[&[u8]]) = (&[b"k", b"n"], &[b"token"]);
        let call = Call { name: &sha, keys, args, protocol: Protocol::Resp2 };
        let call = Invocation { sha: &sha, source: source.as_bytes(), call };
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                let outcome = vm.eval(&call, &mut host, &mut out);
                assert!(outcome != Outcome::Error, "{}", String::from_utf8_lossy(&out));
            });
        });
    }
    group.finish();
}

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = scripts
);
criterion_main!(benches);
