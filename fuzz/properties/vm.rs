//! What do the properties about scripts share? A Lua VM with little memory, behind a server that knows four commands and kills
//! what runs long.

use std::collections::BTreeMap;

use mortise::base::sha1::sha1_hex;
use mortise::resp::reply::{Protocol, Reply};
use mortise::resp::value::Value;
use mortise::script::host::{KILLED, LogLevel, ReplTargets, ScriptHost, Tick};
use mortise::script::vm::{Call, Invocation, Outcome, Vm, VmOptions};

/// Bytes that scripts may hold.
const MEMORY_BYTES_MAX: usize = 32 << 20;

/// A VM and what it runs for.
pub struct Bench {
    vm: Vm,
    server: Server,
}

/// Knows GET, SET and two commands for shapes of replies.
#[derive(Default)]
pub struct Server {
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Ticks until the script is killed.
    ticks_left: u32,
}

impl Server {
    /// One that kills a script after so many ticks.
    pub fn killing_after(ticks: u32) -> Server {
        Server { ticks_left: ticks, ..Server::default() }
    }
}

impl Bench {
    /// A new one; scripts get `deprecated_api` or not.
    pub fn new(deprecated_api: bool) -> Bench {
        let options = VmOptions {
            memory_bytes_max: MEMORY_BYTES_MAX,
            deprecated_api,
            ..VmOptions::default()
        };
        let vm = Vm::new(options).expect("there is memory for a VM");
        Bench { vm, server: Server::default() }
    }

    /// The encoded reply of a script that is killed after so many ticks: one whole reply, an error if and only if the VM says
    /// so.
    pub fn run(&mut self, source: &[u8], args: &[&[u8]], ticks: u32) -> Vec<u8> {
        let sha = sha1_hex(source);
        let keys: &[&[u8]] = &[b"k1", b"k2"];
        let call = Call { name: &sha, keys, args, protocol: Protocol::Resp3 };
        let call = Invocation { sha: &sha, source, call };
        self.server.ticks_left = ticks;
        let mut out = b"before".to_vec();
        let outcome = self.vm.eval(&call, &mut self.server, &mut out);
        let reply = out.split_off(6);
        assert_eq!(out, b"before", "what stood in the buffer is left alone");
        let rest = behind_reply(&reply).expect("a script answers with a reply");
        assert!(rest.is_empty(), "a script answers with one reply");
        assert_eq!(outcome == Outcome::Error, reply.starts_with(b"-"));
        reply
    }

    /// Runs the script of a property, which returns what it found wrong, or nil.
    pub fn expect(&mut self, source: &[u8], args: &[&[u8]], ticks: u32) {
        let reply = self.run(source, args, ticks);
        let (value, _) = Value::read(&reply).expect("it was read before");
        match value {
            Value::Null => {}
            // Lack of memory and of time are answers, too.
            Value::Error(text) if is_limit(text) => {}
            Value::Error(text) | Value::Bulk(text) => panic!("{}", String::from_utf8_lossy(text)),
            other => panic!("the script of a property returns {other:?}"),
        }
    }
}

/// What stands behind the first reply. Replies of scripts may nest deeper than [`Value`] reads.
fn behind_reply(mut bytes: &[u8]) -> Option<&[u8]> {
    let mut missing = 1u64;
    while missing > 0 {
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let line = bytes[..end].strip_suffix(b"\r")?;
        let (kind, text) = line.split_first()?;
        bytes = &bytes[end + 1..];
        missing -= 1;
        let number = || std::str::from_utf8(text).ok()?.parse::<i64>().ok();
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {}
            b'*' | b'~' | b'%' => {
                let count = number()?.max(0).cast_unsigned();
                missing += if *kind == b'%' { 2 * count } else { count };
            }
            b'$' | b'=' => {
                if let Ok(len) = usize::try_from(number()?) {
                    let (_, rest) = bytes.split_at_checked(len)?;
                    bytes = rest.strip_prefix(b"\r\n")?;
                }
            }
            _ => return None,
        }
    }
    Some(bytes)
}

fn is_limit(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    ["not enough memory", "Script killed", "stack overflow"].iter().any(|end| text.contains(end))
}

impl ScriptHost for Server {
    fn call(&mut self, argv: &[&[u8]], resp3: bool, out: &mut Vec<u8>) {
        let mut reply = Reply::new(out, if resp3 { Protocol::Resp3 } else { Protocol::Resp2 });
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
            (b"args", args) => {
                reply.map(args.len());
                for (place, arg) in (0..).zip(args) {
                    reply.int(place);
                    reply.bulk(arg);
                }
            }
            (b"double", [text]) => {
                reply.double(mortise::base::number::parse_f64(text).unwrap_or(f64::INFINITY));
            }
            _ => reply.error(b"ERR Unknown Redis command called from script"),
        }
    }

    fn log(&mut self, _: LogLevel, _: &[u8]) {}

    fn set_repl(&mut self, _: ReplTargets) {}

    fn acl_check_cmd(&mut self, argv: &[&[u8]]) -> Option<bool> {
        argv[0].first().map(|byte| byte % 2 == 0)
    }

    fn tick(&mut self) -> Tick {
        self.ticks_left = self.ticks_left.saturating_sub(1);
        if self.ticks_left == 0 { Tick::Kill(KILLED) } else { Tick::Continue }
    }
}
