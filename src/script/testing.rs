//! A server for tests: a few commands over a map, and replies of every RESP3 type.

use std::collections::BTreeMap;

use super::host::{KILLED, LogLevel, ReplTargets, ScriptHost, Tick};
use super::vm::{Call, Invocation, Outcome, Vm, VmOptions};
use crate::base::sha1::sha1_hex;
use crate::resp::reply::{Protocol, Reply};

/// Knows SET, GET, INCR, DEL, ECHO, ARGS and PROTOCOL.
#[derive(Default)]
pub(super) struct FakeHost {
    pub(super) keys: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) log: Vec<(LogLevel, String)>,
    pub(super) repl: Option<ReplTargets>,
    pub(super) counted: Vec<String>,
    pub(super) ticks: u32,
    /// After so many ticks the script is killed.
    pub(super) kill_after: Option<u32>,
}

impl ScriptHost for FakeHost {
    fn call(&mut self, argv: &[&[u8]], resp3: bool, out: &mut Vec<u8>) {
        let protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
        let mut reply = Reply::new(out, protocol);
        let name = argv[0].to_ascii_lowercase();
        match (name.as_slice(), &argv[1..]) {
            (b"set", [key, value]) => {
                self.keys.insert(key.to_vec(), value.to_vec());
                reply.ok();
            }
            (b"get", [key]) => match self.keys.get(*key) {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            },
            (b"del", [key]) => reply.int(i64::from(self.keys.remove(*key).is_some())),
            (b"incr", [key]) => {
                let value = self.keys.entry(key.to_vec()).or_insert_with(|| b"0".to_vec());
                match crate::base::number::parse_i64(value) {
                    Some(number) => {
                        *value = (number + 1).to_string().into_bytes();
                        reply.int(number + 1);
                    }
                    None => reply.error(b"ERR value is not an integer or out of range"),
                }
            }
            (b"echo", [text]) => reply.bulk(text),
            (b"ping", []) => reply.simple("PONG"),
            (b"args", args) => {
                reply.array(args.len());
                for arg in args {
                    reply.bulk(arg);
                }
            }
            (b"fail", [text]) => reply.error(text),
            (b"raw", [encoded]) => reply.raw(encoded),
            (b"protocol", [kind]) => protocol_sample(kind, &mut reply),
            (b"set" | b"get" | b"del" | b"incr" | b"echo" | b"ping", _) => {
                reply.error(b"ERR Wrong number of args calling Redis command from script");
            }
            _ => reply.error(b"ERR Unknown Redis command called from script"),
        }
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        self.log.push((level, String::from_utf8_lossy(message).into_owned()));
    }

    fn set_repl(&mut self, targets: ReplTargets) {
        self.repl = Some(targets);
    }

    fn acl_check_cmd(&mut self, argv: &[&[u8]]) -> Option<bool> {
        match argv[0] {
            b"get" => Some(true),
            b"set" => Some(false),
            _ => None,
        }
    }

    fn tick(&mut self) -> Tick {
        self.ticks += 1;
        match self.kill_after {
            Some(limit) if self.ticks >= limit => Tick::Kill(KILLED),
            _ => Tick::Continue,
        }
    }

    fn count_error(&mut self, error: &[u8]) {
        self.counted.push(String::from_utf8_lossy(error).into_owned());
    }
}

/// One reply of a type.
fn protocol_sample(kind: &[u8], reply: &mut Reply<'_>) {
    match kind {
        b"map" => {
            reply.map(1);
            reply.bulk(b"field");
            reply.int(7);
        }
        b"set" => {
            reply.set(1);
            reply.bulk(b"member");
        }
        b"double" => reply.double(3.25),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        b"verbatim" => reply.verbatim(b"txt", b"some text"),
        _ => {
            reply.raw(b"|1\r\n+key\r\n:1\r\n");
            reply.bulk(b"described");
        }
    }
}

/// A VM with its server.
pub(super) struct Bench {
    pub(super) vm: Vm,
    pub(super) host: FakeHost,
    pub(super) protocol: Protocol,
}

impl Default for Bench {
    fn default() -> Self {
        Self::with(VmOptions::default())
    }
}

impl Bench {
    pub(super) fn with(options: VmOptions) -> Self {
        let vm = Vm::new(options).expect("there is memory");
        Self { vm, host: FakeHost::default(), protocol: Protocol::Resp2 }
    }

    /// The encoded reply of a script.
    pub(super) fn raw(&mut self, source: &[u8], keys: &[&[u8]], args: &[&[u8]]) -> Vec<u8> {
        let sha = sha1_hex(source);
        let call = Call { name: &sha, keys, args, protocol: self.protocol };
        let call = Invocation { sha: &sha, source, call };
        let mut out = b"before".to_vec();
        let outcome = self.vm.eval(&call, &mut self.host, &mut out);
        let reply = out.split_off(6);
        assert_eq!(out, b"before");
        assert_eq!(outcome == Outcome::Error, reply.starts_with(b"-"), "{reply:?}");
        reply
    }

    /// Whether the script is plain, unless it cannot be compiled.
    pub(super) fn is_plain(&mut self, source: &str) -> Option<bool> {
        let sha = sha1_hex(source.as_bytes());
        self.vm.compile(&sha, source.as_bytes()).ok()?;
        self.vm.is_plain(&sha)
    }

    /// The reply of a script without arguments; the name of the script in errors becomes `SHA`.
    pub(super) fn run(&mut self, source: &str) -> String {
        let reply = self.raw(source.as_bytes(), &[], &[]);
        let sha = String::from_utf8(sha1_hex(source.as_bytes()).to_vec()).unwrap();
        String::from_utf8_lossy(&reply).replace(&sha, "SHA")
    }
}

/// The reply of a script in a VM of its own.
pub(super) fn run(source: &str) -> String {
    Bench::default().run(source)
}
