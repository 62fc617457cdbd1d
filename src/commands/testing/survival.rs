//! What holds after any requests? The property behind the fuzz target `engine`, and the replay of its regressions.
//!
//! Input: requests as a connection sends them, inline or arrays. `@b` in front of one sends it on a second connection,
//! `ADVANCE ms` lets time pass. Properties: each request gets one whole reply (or waits, or was silenced); what waiting
//! clients are sent are whole replies; running what was propagated on a second engine, unit by unit, gives no error and
//! the same data; SCAN and DBSIZE agree.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;
use std::sync::{LazyLock, Weak};

use super::*;
use crate::config::params::Param;
use crate::config::value;
use crate::engine::block;
use crate::engine::call::BatchEnd;
use crate::engine::client::Mode;
use crate::engine::effects::Block;
use crate::engine::scripts::Busy;
use crate::engine::spec::{Argv, Group};
use crate::engine::visits::RunVisitor;
use crate::resp::request::{Limits as ParserLimits, Parser, Stop};

/// Requests of one input.
const REQUESTS_MAX: usize = 500;
/// Bytes of one input.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// The longest string, far below the default, so that many of them fit into memory.
const STRING_BYTES_MAX: i64 = 1 << 20;
/// Elements drawn at random with repetition.
const RANDOM_MAX: i64 = 10_000;
/// The longest time that `ADVANCE` lets pass: some 30 years.
const ADVANCE_MS_MAX: i64 = 1_000_000_000_000;
/// When a script is killed. Each reading of the clock takes it on by a millisecond, so that this is its first tick:
/// 100,000 instructions may have called as many commands.
const SCRIPT_MS_MAX: u64 = 1;

thread_local! {
    static MONO_NS: Cell<u64> = const { Cell::new(0) };
    /// The engine whose scripts are killed.
    static RUNNING: RefCell<Weak<Engine>> = const { RefCell::new(Weak::new()) };
}

/// Commands live for ever, so one registry serves all inputs.
static REGISTRY: LazyLock<Arc<Registry>> = LazyLock::new(|| {
    let commands = TABLES.iter().flat_map(|table| table.iter());
    let commands = commands.map(|spec| (None, Command::new(spec, None, None, 1)));
    Arc::new(Registry::new(commands, 1))
});

/// Ends every script that is past its time, also those that have written.
struct Killer;

impl Host for Killer {
    fn request(&self, _: Request) {}
    fn set_log_level(&self, _: &str) {}
    fn change_directory(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
    fn rewrite_config(&self, _: &str, _: &Config, _: &[Extra]) -> Result<(), String> {
        Ok(())
    }
    fn free_later(&self, _: Box<dyn Any + Send>, _: u64) {}
    fn serve_while_busy(&self, _: Option<&mut RunVisitor<'_>>) {
        let engine = RUNNING.with_borrow(Weak::upgrade).expect("a script runs in an engine");
        engine.shared.busy.overrule(Busy::KILL);
    }
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    if bytes.len() > INPUT_BYTES_MAX {
        return;
    }
    let mut pair = Pair::new();
    let limits = ParserLimits { bulk_bytes_max: STRING_BYTES_MAX, authenticated: true };
    let (mut rest, mut done) = (bytes, 0);
    loop {
        let mut parser = Parser::default();
        let stop = parser.parse(rest, limits);
        for request in parser.requests().iter().take(REQUESTS_MAX - done) {
            let argv: Vec<&[u8]> = parser.arguments(rest, *request).collect();
            pair.request(&argv);
            done += 1;
        }
        rest = &rest[parser.consumed()..];
        if !matches!(stop, Stop::Error(_)) || done == REQUESTS_MAX {
            break;
        }
        // What is no request costs its line only.
        let Some(end) = memchr::memchr(b'\n', rest) else { break };
        rest = &rest[end + 1..];
    }
    pair.settle();
}

/// An engine, and a second one that is told what the first propagates.
struct Pair {
    primary: TestEngine,
    replica: TestEngine,
    clients: [Arc<Client>; 2],
    /// A script chose who is told of its writes, so the second engine may differ.
    diverges: bool,
}

/// An empty engine with limits for foreign input.
pub(super) fn engine() -> TestEngine {
    let registry = Arc::clone(&REGISTRY);
    let mut shared = shared(&registry);
    shared.clock.mono_ns = || {
        MONO_NS.set(MONO_NS.get() + 1_000_000);
        MONO_NS.get()
    };
    shared.host = Box::new(Killer);
    let engine = TestEngine::of(registry, shared);
    let limits = &engine.engine.shared.limits;
    limits.busy_ms.store(SCRIPT_MS_MAX, Ordering::Relaxed);
    limits.bulk_bytes.store(STRING_BYTES_MAX, Ordering::Relaxed);
    let mut state = engine.engine.write().expect("not busy");
    state.config.put(Param::EnableDebugCommand, value::Value::Choice(1));
    state.config.put(Param::ProtoMaxBulkLen, value::Value::Number(STRING_BYTES_MAX));
    drop(state);
    engine
}

impl Pair {
    fn new() -> Self {
        NOW_MS.set(START_MS);
        MONO_NS.set(0);
        let (primary, replica) = (engine(), engine());
        RUNNING.set(Arc::downgrade(&primary.engine));
        let second = Arc::new(client(2));
        let clients = [Arc::clone(&primary.client), second];
        let mut table = primary.engine.shared.clients.lock();
        clients.iter().for_each(|client| table.insert(Arc::clone(client)));
        drop(table);
        Self { primary, replica, clients, diverges: false }
    }

    fn request(&mut self, mut argv: Argv<'_>) {
        let mut client = Arc::clone(&self.clients[0]);
        if let [b"@b", rest @ ..] = argv {
            client = Arc::clone(&self.clients[1]);
            argv = rest;
        }
        match argv {
            [] => return,
            [b"ADVANCE", ms] => {
                let ms = crate::base::number::parse_i64(ms).unwrap_or(0);
                NOW_MS.set(NOW_MS.get() + ms.clamp(0, ADVANCE_MS_MAX));
                return;
            }
            argv if is_left_out(argv) => return,
            _ => {}
        }
        if client.killed.load(Ordering::Relaxed) {
            return;
        }
        self.diverges |= argv.iter().any(|arg| memchr::memmem::find(arg, b"set_repl").is_some());
        self.end_wait(&client);
        self.run_on_primary(&client, argv);
        self.replicate();
    }

    /// Runs a request of a client and checks its reply.
    fn run_on_primary(&self, client: &Arc<Client>, argv: Argv<'_>) {
        const SILENT: Mode = Mode::REPLY_OFF.union(Mode::REPLY_SKIP).union(Mode::REPLY_SKIP_NEXT);
        let is_silent = || client.session.lock().mode.intersects(SILENT);
        let silent = is_silent();
        let (mut out, mut end) = self.primary.call(client, argv);
        if let Some(Block::Paused { .. }) = end.block {
            assert_eq!((end.done, whole(&out)), (0, 0), "{:?} is held back", shown(argv));
            self.primary.engine.shared.pause.end();
            client.session.lock().mode.remove(Mode::BLOCKED);
            (out, end) = self.primary.call(client, argv);
        }
        assert_eq!(end.done, 1);
        let replies = whole(&out);
        let listens = client.subscribed.load(Ordering::Relaxed)
            || client.tracking.load(Ordering::Relaxed) != 0
            || client.session.lock().mode.contains(Mode::MONITOR);
        if end.block.is_some() {
            assert!(replies == 0 || listens, "{:?} waits and answers", shown(argv));
        } else if client.killed.load(Ordering::Relaxed) {
            assert!(replies <= 1 || listens);
        } else if !silent && !is_silent() {
            let command = self.primary.engine.shared.registry.read().resolve(argv);
            let many = command.is_some_and(|command| command.spec.group == Group::Pubsub);
            assert!(replies == 1 || many || listens, "{:?}: {replies} replies", shown(argv));
        }
    }

    /// A client that sends while it waits has waited long enough.
    fn end_wait(&self, client: &Arc<Client>) {
        let mut outbox = client.outbox.lock();
        let mut messages = Vec::new();
        outbox.drain_into(&mut messages);
        whole(&messages);
        outbox.unblocked = false;
        drop(outbox);
        block::leave(&self.primary.engine.shared, client.id);
        let mut session = client.session.lock();
        session.mode.remove(Mode::BLOCKED);
        session.blocked_reply = None;
    }

    /// Runs on the second engine what the first has propagated, at the same time.
    fn replicate(&self) {
        let log = self.primary.engine.write().expect("not busy").log.take();
        let mut parser = Parser::default();
        let limits = ParserLimits { bulk_bytes_max: i64::MAX, authenticated: true };
        let mut rest = &log[..];
        while !rest.is_empty() {
            let stop = parser.parse(rest, limits);
            assert!(!matches!(stop, Stop::Error(_)), "the log is not the protocol");
            assert!(!parser.requests().is_empty(), "the log ends inside a command");
            for request in parser.requests() {
                let mut argv: Vec<&[u8]> = parser.arguments(rest, *request).collect();
                forget_limit(&mut argv);
                let (out, _) = self.replica.call(&self.replica.client, &argv);
                let (reply, _) = Value::read(&out).expect("a reply");
                // A PFADD that stops at a corrupt register has added what came before it, here as there.
                let may_fail = self.diverges || argv[0].eq_ignore_ascii_case(b"PFADD");
                assert!(may_fail || !has_error(&reply), "{:?}: {reply:?}", shown(&argv));
            }
            rest = &rest[parser.consumed()..];
            parser.release();
        }
    }

    /// Deletes what is past its time, and compares.
    fn settle(mut self) {
        for client in self.clients.clone() {
            self.end_wait(&client);
        }
        self.primary.engine.shared.pause.end();
        self.clients[0] = Arc::new(client(3));
        let control = Arc::clone(&self.clients[0]);
        let text = |bytes: &[u8]| show(&Value::read(bytes).expect("a reply").0);
        for db in 0..16u32 {
            self.primary.call(&control, &[b"SELECT", db.to_string().as_bytes()]);
            let before = self.keys(&control);
            for key in &before {
                // Whoever looks at a key that is past its time has it deleted.
                self.primary.call(&control, &[b"EXISTS", key]);
            }
            self.replicate();
            let keys = self.keys(&control);
            let size = text(&self.primary.call(&control, &[b"DBSIZE"]).0);
            assert_eq!(keys.len().to_string(), size, "SCAN and DBSIZE of db {db}");
        }
        if !self.diverges {
            let ours = text(&self.primary.call(&control, &[b"DEBUG", b"DIGEST"]).0);
            let theirs = text(&self.replica.call(&self.replica.client, &[b"DEBUG", b"DIGEST"]).0);
            assert_eq!(ours, theirs, "replicating gives other data");
        }
    }

    /// The keys of the selected db.
    fn keys(&self, client: &Arc<Client>) -> Vec<Vec<u8>> {
        let mut cursor = b"0".to_vec();
        let mut keys = Vec::new();
        loop {
            let (out, _) = self.primary.call(client, &[b"SCAN", &cursor, b"COUNT", b"1000"]);
            let (Value::Array(parts), _) = Value::read(&out).expect("a reply") else {
                panic!("SCAN answers {out:?}")
            };
            let [Value::Bulk(next), Value::Array(found)] = &parts[..] else {
                panic!("SCAN answers {parts:?}")
            };
            keys.extend(found.iter().filter_map(Value::as_bytes).map(<[u8]>::to_vec));
            cursor = next.to_vec();
            if cursor == b"0" {
                break;
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }
}

impl TestEngine {
    /// Runs one request of a client.
    pub(super) fn call(&self, client: &Arc<Client>, argv: Argv<'_>) -> (Vec<u8>, BatchEnd) {
        let registry = Arc::clone(&self.engine.shared.registry.read());
        let generation = registry.generation();
        let caller = Caller { engine: &self.engine, client, worker: 0, generation };
        let mut out = Vec::new();
        let end = run_batch(caller, &mut [look_up(&registry, argv)], &mut out);
        (out, end)
    }
}

/// What would stop the test or take its limits away, none of which says anything about the engine.
fn is_left_out(argv: Argv<'_>) -> bool {
    let has = |part: &str| {
        argv.iter()
            .skip(1)
            .any(|arg| memchr::memmem::find(&arg.to_ascii_lowercase(), part.as_bytes()).is_some())
    };
    match argv[0].to_ascii_lowercase().as_slice() {
        b"debug" => has("sleep") || has("populate"),
        // A negative count is the length of the reply.
        b"hrandfield" | b"srandmember" | b"zrandmember" => {
            let count = argv.get(2).and_then(|count| crate::base::number::parse_i64(count));
            count.is_some_and(|count| count < -RANDOM_MAX)
        }
        b"config" => ["bulk", "busy", "lua-time", "[", "*", "?"].iter().any(|part| has(part)),
        _ => false,
    }
}

/// How many replies these bytes are.
pub(super) fn whole(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        let (_, rest) = Value::read(bytes).expect("replies are whole");
        (bytes, count) = (rest, count + 1);
    }
    count
}

fn has_error(value: &Value<'_>) -> bool {
    match value {
        Value::Error(_) => true,
        Value::Array(items) => items.iter().any(has_error),
        _ => false,
    }
}

fn shown(argv: Argv<'_>) -> Vec<String> {
    argv.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

/// A replica does not mind the LIMIT of an exact trim, which its primary has carried out; a client, as the
/// tests have one, would be refused.
fn forget_limit(argv: &mut Vec<&[u8]>) {
    let trims =
        |name: &[u8]| name.eq_ignore_ascii_case(b"XADD") || name.eq_ignore_ascii_case(b"XTRIM");
    if argv.first().is_some_and(|name| trims(name))
        && let Some(at) = argv.iter().position(|arg| arg.eq_ignore_ascii_case(b"LIMIT"))
        && at + 1 < argv.len()
    {
        argv.drain(at..at + 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regressions_stay_fixed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/regressions/engine");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("the folder can be read").path())
            .collect();
        files.sort();
        for file in files {
            println!("{}", file.display());
            check(&std::fs::read(&file).expect("the file can be read"));
        }
    }

    #[test]
    fn every_behaviour_script_survives_and_replicates() {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("tests/data is there") {
                let path = entry.expect("the folder can be read").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                println!("{}", path.display());
                let text = std::fs::read(&path).expect("the file can be read");
                // Lines that are replies pass for unknown commands; a piece may end inside a request.
                text.chunks(INPUT_BYTES_MAX / 2).for_each(check);
            }
        }
    }

    #[test]
    #[should_panic(expected = "replicating gives other data")]
    fn a_write_that_is_not_propagated_is_noticed() {
        // The second engine is not told, and the property is not warned.
        let mut pair = Pair::new();
        pair.request(&[b"EVAL", b"redis.set_repl(0) redis.call('SET', 'k', 'v')", b"0"]);
        pair.diverges = false;
        pair.settle();
    }
}
