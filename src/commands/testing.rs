//! What does a command leave behind? An engine in memory for the tests of this folder: replies, effect
//! log and events as text, under a clock that stands still until a test moves it.

use std::any::Any;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use super::{TABLES, server};
use crate::config::Config;
use crate::config::rewrite::Extra;
use crate::engine::call::{Access, Caller, look_up, nested, run_batch};
use crate::engine::client::{Client, Mode, Session};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::durable::Durable;
use crate::engine::effects::{EventClass, Request, Targets};
use crate::engine::errands::Errands;
use crate::engine::events::Heard;
use crate::engine::evict::Evictor;
use crate::engine::expire_walk::ExpireWalk;
use crate::engine::functions::Functions;
use crate::engine::hooks::{Hooks, KeyEvent, ServerEvent};
use crate::engine::lock::Engine;
use crate::engine::log::EffectLog;
use crate::engine::outbox::Post;
use crate::engine::registry::{Command, Registry};
use crate::engine::replication::Replication;
use crate::engine::state::{Clock, Host, Limits, Shared, State};
use crate::engine::stats::WorkerStats;
use crate::engine::visits::RunVisitor;
use crate::keyspace::Keyspace;
use crate::resp::value::Value;

pub mod survival;

pub mod storing;

pub mod restoring;

#[cfg(test)]
mod unchecked;

thread_local! {
    static NOW_MS: Cell<i64> = const { Cell::new(0) };
}

/// When the clock of a new engine stands, in unix milliseconds.
pub(super) const START_MS: i64 = 1_700_000_000_000;

/// An engine with one client.
pub(super) struct TestEngine {
    engine: Arc<Engine>,
    client: Arc<Client>,
    events: Arc<Events>,
}

/// A client that waits.
pub struct Waiting(Arc<Client>);

impl Waiting {
    /// What it was answered, if it was.
    pub fn reply(&self) -> Option<String> {
        let mut outbox = self.0.outbox.lock();
        let mut bytes = Vec::new();
        outbox.drain_into(&mut bytes);
        std::mem::take(&mut outbox.unblocked)
            .then(|| show(&Value::read(&bytes).expect("a reply").0))
    }
}

#[derive(Default)]
struct Events(Mutex<Vec<String>>);

impl Hooks for Events {
    fn key_event(&self, _: &mut ExclusiveCtx<'_>, event: &KeyEvent<'_>) {
        let key = String::from_utf8_lossy(event.key);
        self.0.lock().push(format!("{} {key}", event.name));
    }
    fn server_event(&self, ctx: &mut ExclusiveCtx<'_>, event: ServerEvent<'_>) {
        if let ServerEvent::KeyLeaves { db, key, how } = event {
            assert!(ctx.state.keyspace.db(db as usize).find(key).is_some(), "it is still there");
            let mut seen = format!("{how:?} {}", String::from_utf8_lossy(key));
            if key == b"guarded" {
                seen = format!("{seen}: {}", refused_write(ctx));
            }
            self.0.lock().push(seen);
        }
    }
    fn info(&self, _: &mut ExclusiveCtx<'_>) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// What comes of a write by a module that looks at a key which is about to leave.
fn refused_write(ctx: &mut ExclusiveCtx<'_>) -> String {
    let argv: &[&[u8]] = &[b"SET", b"guarded", b"changed"];
    let command = ctx.state.registry.resolve(argv).expect("it is known");
    let mut out = Vec::new();
    let mut access = Access::Exclusive(ctx.state);
    nested(&mut access, ctx.session, ctx.unit, ctx.env, command, argv, &mut out);
    String::from_utf8_lossy(out.trim_ascii_end()).into_owned()
}

struct NoHost;

impl Host for NoHost {
    fn request(&self, _: Request) {}
    fn set_log_level(&self, _: &str) {}
    fn change_directory(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
    fn rewrite_config(&self, _: &str, _: &Config, _: &[Extra]) -> Result<(), String> {
        Ok(())
    }
    fn free_later(&self, _: Box<dyn Any + Send>, _: u64) {}
    fn serve_while_busy(&self, _: Option<&mut RunVisitor<'_>>) {}
}

impl TestEngine {
    /// An empty one, whose effect log and events are listened to.
    pub fn new() -> Self {
        NOW_MS.set(START_MS);
        let commands = TABLES.iter().flat_map(|table| table.iter());
        let registry =
            Registry::new(commands.map(|spec| (None, Command::new(spec, None, None, 1))), 1);
        let registry = Arc::new(registry);
        let shared = shared(&registry);
        Self::of(registry, shared)
    }

    fn of(registry: Arc<Registry>, shared: Shared) -> Self {
        let events = Arc::new(Events::default());
        let config = Config::new();
        server::config::mirror(&config, &shared);
        let mut log = EffectLog::default();
        log.listen(Targets::all());
        let state = State {
            keyspace: Keyspace::new(16),
            config,
            registry,
            log,
            replication: Replication::new("test", 1 << 20),
            hooks: Some(Arc::clone(&events) as Arc<dyn Hooks>),
            scripts: Default::default(),
            functions: Functions::new(Arc::clone(&shared.function_counts)),
            dirty: 0,
            saved_at: 0,
            persistence: Default::default(),
            evictor: Evictor::default(),
            expired_keys: 0,
            expired_fields: 0,
            active_expire: true,
            expire_walk: ExpireWalk::new(16),
            defrag: Default::default(),
        };
        let engine = Arc::new(Engine::new(state, shared));
        Self { engine, client: Arc::new(client(1)), events }
    }

    /// Runs a command whose words stand between blanks, `''` for the empty one; its reply as text.
    pub fn run(&self, line: &str) -> String {
        self.run_as(&self.client, line).0.into_iter().next().expect("the command does not wait")
    }

    /// Runs a command of these words; what is written.
    pub fn raw(&self, argv: &[&[u8]]) -> Vec<u8> {
        let registry = Arc::clone(&self.engine.shared.registry.read());
        let (engine, client) = (&*self.engine, &self.client);
        let caller = Caller { engine, client, worker: 0, generation: registry.generation() };
        let mut out = Vec::new();
        run_batch(caller, &mut [look_up(&registry, argv)], &mut out);
        out
    }

    /// Runs a command of these words; its reply as text.
    #[cfg(test)]
    pub fn command(&self, argv: &[&[u8]]) -> String {
        let (shown, _) = self.run_words(&self.client, argv);
        shown.into_iter().next().expect("the command does not wait")
    }

    /// The same with all that is written, messages too.
    pub fn run_all(&self, line: &str) -> Vec<String> {
        self.run_as(&self.client, line).0
    }

    /// Has another client send a command that must wait.
    pub fn wait(&self, line: &str) -> Waiting {
        let id = self.engine.shared.next_client.fetch_add(1, Ordering::Relaxed);
        let client = Arc::new(client(id));
        assert!(self.run_as(&client, line).1, "{line} waits");
        Waiting(client)
    }

    /// How often a command allocates that has run before: for the engine, and for values of Lua.
    #[cfg(test)]
    pub fn allocations(&self, argv: &[&[u8]]) -> (u64, u64) {
        use crate::allocator::tally;
        const TIMES: u64 = 100;
        let registry = Arc::clone(&self.engine.shared.registry.read());
        let (engine, client) = (&*self.engine, &self.client);
        let caller = Caller { engine, client, worker: 0, generation: registry.generation() };
        let mut out = Vec::with_capacity(64 * 1024);
        let mut before = (0, 0);
        for time in 0..=TIMES {
            // The first time warms everything up.
            if time == 1 {
                before = tally::blocks();
            }
            out.clear();
            run_batch(caller, &mut [look_up(&registry, argv)], &mut out);
            assert!(!out.starts_with(b"-"), "{}", String::from_utf8_lossy(&out));
        }
        let after = tally::blocks();
        let lua = after.1 - before.1;
        (after.0 - before.0 - lua, lua.div_ceil(TIMES))
    }

    /// All that a command has written, and whether it waits.
    fn run_as(&self, client: &Arc<Client>, line: &str) -> (Vec<String>, bool) {
        let argv: Vec<&[u8]> =
            line.split(' ').map(|word| if word == "''" { b"" } else { word.as_bytes() }).collect();
        self.run_words(client, &argv)
    }

    fn run_words(&self, client: &Arc<Client>, argv: &[&[u8]]) -> (Vec<String>, bool) {
        let registry = Arc::clone(&self.engine.shared.registry.read());
        let caller =
            Caller { engine: &self.engine, client, worker: 0, generation: registry.generation() };
        let mut out = Vec::new();
        let end = run_batch(caller, &mut [look_up(&registry, argv)], &mut out);
        let (mut rest, mut shown) = (&out[..], Vec::new());
        while !rest.is_empty() {
            let (value, behind) = Value::read(rest).expect("replies are whole");
            shown.push(show(&value));
            rest = behind;
        }
        (shown, end.block.is_some())
    }

    /// From now on the log keeps what goes to these.
    pub fn listen(&self, targets: Targets) {
        self.engine.write().expect("not busy").log.listen(targets);
    }

    /// From now on nobody hears of effects and events.
    #[cfg(test)]
    pub fn be_quiet(&self) {
        self.engine.write().expect("not busy").log = EffectLog::default();
        self.hear(EventClass::empty());
    }

    /// From now on the events are of these classes.
    pub fn hear(&self, classes: EventClass) {
        self.engine.shared.heard.set_by_modules(classes);
    }

    /// From now on the only events are keys that leave.
    #[cfg(test)]
    pub fn hear_departures(&self) {
        self.hear(EventClass::empty());
        let topics = crate::engine::events::Topics::KEYS;
        self.engine.shared.heard.set_topics(topics.bits());
    }

    /// Runs commands, which must not fail, and forgets what they left behind.
    pub fn prepare(&self, lines: &[&str]) {
        for line in lines {
            let reply = self.run(line);
            assert!(
                !reply.starts_with("ERR") && !reply.starts_with("WRONGTYPE"),
                "{line}: {reply}"
            );
        }
        self.propagated();
        self.events();
    }

    /// What was propagated since the last call, without the choice of db 0.
    pub fn propagated(&self) -> Vec<String> {
        let bytes = self.engine.write().expect("not busy").log.take();
        let mut rest = &bytes[..];
        let mut commands = Vec::new();
        while !rest.is_empty() {
            let (value, behind) = Value::read(rest).expect("the log holds whole commands");
            let Value::Array(words) = value else { panic!("a command is an array") };
            commands.push(words.iter().map(show).collect::<Vec<_>>().join(" "));
            rest = behind;
        }
        commands.retain(|command| command != "SELECT 0");
        commands
    }

    /// The events since the last call, as `name key`.
    pub fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.0.lock())
    }

    /// What [`State::dirty`] has come to.
    pub fn dirty(&self) -> u64 {
        self.engine.read().expect("not busy").dirty
    }

    /// Lets time pass.
    pub fn advance_ms(&self, ms: i64) {
        NOW_MS.set(NOW_MS.get() + ms);
    }
}

fn shared(registry: &Arc<Registry>) -> Shared {
    let heard = Heard::default();
    // Each look-up in vain would be one more event.
    heard.set_by_modules(EventClass::all() - EventClass::KEY_MISS);
    Shared {
        heard,
        attached: Default::default(),
        pubsub: Default::default(),
        tracking: Default::default(),
        monitors: Default::default(),
        pause: Default::default(),
        post: Post::new(1),
        errands: Errands::new(1),
        durable: Durable::new(1),
        clock: Clock { unix_us: || NOW_MS.get() * 1000, mono_ns: || 0 },
        started_ms: START_MS,
        run_id: String::new(),
        executable: String::new(),
        config_file: None,
        port: AtomicU64::new(0),
        registry_generation: AtomicU64::new(registry.generation()),
        registry: RwLock::new(Arc::clone(registry)),
        limits: Limits::default(),
        databases: 16,
        modules: Mutex::default(),
        users: Default::default(),
        writes_denied: Default::default(),
        replicas_missing: Default::default(),
        role_refusals: Default::default(),
        busy: Default::default(),
        visits: Default::default(),
        modules_log_in: Default::default(),
        function_counts: Default::default(),
        loading: Default::default(),
        clients: Mutex::default(),
        client_memory: Default::default(),
        watch: Mutex::default(),
        watching: AtomicUsize::new(0),
        waiters: Mutex::default(),
        waiting: AtomicUsize::new(0),
        next_client: AtomicU64::new(2),
        connections: AtomicUsize::new(1),
        workers: Box::new([WorkerStats::default()]),
        new_scripts: Mutex::default(),
        expired: Mutex::default(),
        has_expired: Default::default(),
        used_memory: || 0,
        peak_memory: AtomicUsize::new(0),
        startup_memory: AtomicUsize::new(0),
        replica_bytes: AtomicUsize::new(0),
        host: Box::new(NoHost),
        rates: Default::default(),
        slow: Default::default(),
        ending: Default::default(),
        debug: Default::default(),
        defrag: Default::default(),
    }
}

fn client(id: u64) -> Client {
    let session = Session::internal(Mode::empty(), 0);
    Client::new(id, String::new(), String::new(), 0, session, START_MS)
}

fn show(value: &Value<'_>) -> String {
    match value {
        Value::Int(value) => value.to_string(),
        Value::Null | Value::NullArray => "nil".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Value::Push(items) => {
            format!("push[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Value::Error(text) | Value::Simple(text) | Value::Bulk(text) => {
            String::from_utf8_lossy(text).into_owned()
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_deleted_key_is_announced_once() {
    let engine = TestEngine::new();
    engine.prepare(&["MSET a 1 b 2"]);
    assert_eq!(engine.run("DEL a a c b"), "2");
    assert_eq!(engine.events(), ["del a", "del b"]);
    assert_eq!(engine.propagated(), ["DEL a a c b"]);
    assert_eq!(engine.dirty(), 4);
}
