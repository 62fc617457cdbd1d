//! What does the engine hold, and what can be reached without its lock?
//!
//! [`State`] is everything that commands work on; it is reached through the one lock of
//! [`super::lock::Engine`]. [`Shared`] is the rest: facts that workers need before they take the lock
//! or while a script keeps it (limits, the users, the busy flag).

use std::any::Any;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use bitflags::bitflags;
use parking_lot::{Mutex, RwLock};

use super::acl::Users;
use super::block::WaitTable;
use super::client::{Client, ClientTable, WatchTable};
use super::client_memory::ClientMemory;
use super::ctx::ExclusiveCtx;
use super::defrag::{Defrag, DefragFigures};
use super::durable::Durable;
use super::effects::{EventClass, Request};
use super::ending::Ending;
use super::errands::Errands;
use super::error::CommandError;
use super::events::{Attached, Heard};
use super::evict::Evictor;
use super::expire_walk::ExpireWalk;
use super::functions::{Counts, Functions};
use super::hooks::Hooks;
use super::loading::LoadProgress;
use super::log::EffectLog;
use super::monitor::Monitors;
use super::outbox::{OutputLimit, Post};
use super::pause::Pause;
use super::persistence::{Persistence, Reload};
use super::pubsub::PubSub;
use super::registry::Registry;
use super::replication::Replication;
use super::scripts::{Busy, ScriptSource, Scripts};
use super::stats::{Rates, WorkerStats};
use super::tracking::Tracking;
use super::visits::{RunVisitor, Visits};
use crate::config::Config;
use crate::config::params::Param;
use crate::config::rewrite::Extra;
use crate::keyspace::{Keyspace, snapshot};
use crate::resp::reply::{Protocol, Reply};

/// What the engine asks of the process around it; implemented by the server.
pub trait Host: Send + Sync {
    /// Who looks after the process, in the words of INFO.
    fn supervisor(&self) -> &'static str {
        "no"
    }
    /// Carries a request out, later and elsewhere.
    fn request(&self, request: Request);
    /// Sets the level of the log.
    fn set_log_level(&self, name: &str);
    /// Sets the form of the log's lines.
    fn set_log_format(&self, _json: bool) {}
    /// Has the log say whether this server is a replica.
    fn show_role(&self, _is_replica: bool) {}
    /// Listens where `port` and `bind` say; on an error, where it did before.
    fn listen(&self, _config: &Config) -> Result<(), String> {
        Ok(())
    }
    /// Makes room for so many clients' sockets; says for how many there is.
    fn room_for_clients(&self, wanted: usize) -> usize {
        wanted
    }
    /// Changes the working directory; the error says why not.
    fn change_directory(&self, path: &str) -> Result<(), String>;
    /// Writes the configuration back to its file, with these lines of others.
    fn rewrite_config(&self, path: &str, config: &Config, extras: &[Extra]) -> Result<(), String>;
    /// Fills with bytes that nobody can foretell; false if there are none.
    fn fill_random(&self, bytes: &mut [u8]) -> bool {
        let _ = bytes;
        false
    }
    /// The text of the file of users; the error says why there is none.
    fn read_users(&self, path: &str) -> Result<Vec<u8>, String> {
        let _ = path;
        Err("there are no files".to_owned())
    }
    /// Writes the file of users. What went wrong is in the log.
    fn write_users(&self, path: &str, text: &[u8]) -> Result<(), SaveFailed> {
        let _ = (path, text);
        Err(SaveFailed)
    }
    /// From now on, configurations are written back whole, defaults included (`DEBUG`).
    fn rewrite_everything(&self) {}
    /// Drops something large elsewhere, later: so many objects.
    fn free_later(&self, value: Box<dyn Any + Send>, objects: u64);
    /// What has become of that so far.
    fn lazy_free(&self) -> LazyFree {
        LazyFree::default()
    }
    /// Begins to count anew what was freed (`CONFIG RESETSTAT`).
    fn reset_freed(&self) {}
    /// Sends what this thread holds back of other connections' replies, as it will be a while until its turn ends.
    fn release_output(&self) {}
    /// Serves the other connections of this thread for a moment, while a script or a module of this thread
    /// keeps the lock longer than `busy-reply-threshold`; `run` is for what needs the lock and is allowed.
    fn serve_while_busy(&self, run: Option<&mut RunVisitor<'_>>);
    /// Has the main thread see to the tasks of modules.
    fn wake_modules(&self) {}
    /// Writes the data set to its file, now. What went wrong is in the log.
    fn save(&self, ctx: &mut ExclusiveCtx<'_>) -> Result<(), SaveFailed> {
        let _ = ctx;
        Err(SaveFailed)
    }
    /// Writes the data set to a file that a module names, now. The error is the system's number.
    fn save_to(&self, ctx: &mut ExclusiveCtx<'_>, path: &Path) -> Result<(), i32> {
        let _ = (ctx, path);
        Err(libc::ENOTSUP)
    }
    /// Puts what such a file has in the place of the data set, now.
    fn load_from(&self, ctx: &mut ExclusiveCtx<'_>, path: &Path) -> Result<(), i32> {
        let _ = (ctx, path);
        Err(libc::ENOTSUP)
    }
    /// Takes the point in time that a snapshot in the background will show, now, after
    /// [`Persistence::begin`]; `Request::BgSave` then has it written.
    fn begin_saving(&self, ctx: &mut ExclusiveCtx<'_>) {
        let _ = ctx;
    }
    /// `DEBUG RELOAD`: saves and loads the data set, now. The error is for the client.
    fn reload(&self, ctx: &mut ExclusiveCtx<'_>, how: Reload) -> Result<(), &'static str> {
        let _ = (ctx, how);
        Err("ERR there are no files")
    }
    /// Talks to another server, now.
    fn exchange(&self, exchange: &Exchange<'_>) -> Exchanged {
        let _ = exchange;
        Exchanged { error: Some(ExchangeError::Connecting), ..Exchanged::default() }
    }
    /// Closes the sockets on which connections come in: the process is about to leave.
    fn stop_listening(&self) {}
    /// How many connections to other servers are kept.
    fn kept_connections(&self) -> usize {
        0
    }
    /// Tells the kernel how soon this process may be ended when memory runs out, as the configuration has it.
    fn adjust_oom_score(&self, _config: &Config) -> Result<(), String> {
        Ok(())
    }
    /// Has the system show the process as the configuration names it.
    fn show_title(&self, _config: &Config, _config_file: Option<&str>) {}
    /// What is to be done once a second.
    fn each_second(&self) {}
    /// Has writes go to the append-only file from now on, or no more.
    fn append_only(&self, ctx: &mut ExclusiveCtx<'_>, on: bool) -> Result<(), SaveFailed> {
        let _ = (ctx, on);
        Err(SaveFailed)
    }
    /// Begins a rewrite of the append-only file.
    fn begin_rewrite(&self, ctx: &mut ExclusiveCtx<'_>) -> Result<(), SaveFailed> {
        let _ = ctx;
        Err(SaveFailed)
    }
    /// `DEBUG LOADAOF`.
    fn reload_aof(&self, ctx: &mut ExclusiveCtx<'_>) -> Result<(), SaveFailed> {
        let _ = ctx;
        Err(SaveFailed)
    }
    /// Removes append-only files that are no longer needed.
    fn remove_history(&self, _config: &Config) {}
    /// Bytes of the append-only file that is being written, and bytes in memory on their way to it.
    fn aof_bytes(&self, durable: &Durable) -> (u64, usize) {
        let _ = durable;
        (0, 0)
    }
    /// Waits so many microseconds before each write to the append-only file (`DEBUG`).
    fn delay_aof(&self, micros: u64) {
        let _ = micros;
    }
    /// Writes what was logged to the append-only file and syncs it, unless somebody else is doing that.
    fn sync_log(&self, durable: &Durable) {
        let _ = durable;
    }
    /// Writes what was logged to the append-only file.
    fn write_log(&self, durable: &Durable) {
        let _ = durable;
    }
    /// A replica has asked for a snapshot: begins one, now or later.
    fn replica_asks(&self, ctx: &mut ExclusiveCtx<'_>, client: &Arc<Client>) {
        let _ = (ctx, client);
    }
}

/// What was handed to [`Host::free_later`], in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LazyFree {
    /// Still to be freed.
    pub pending: u64,
    /// Freed.
    pub freed: u64,
}

/// Commands for another server.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// How long each step may take.
    pub timeout_ms: u64,
    /// The command that authenticates, or nothing.
    pub auth: &'a [u8],
    /// The db in which the commands are to run.
    pub db: i64,
    /// The commands, encoded.
    pub commands: &'a [u8],
    /// How many they are; each is answered with one line.
    pub replies: usize,
}

/// What another server has answered.
#[derive(Debug, Default)]
pub struct Exchanged {
    /// The lines that came.
    pub replies: Vec<Vec<u8>>,
    /// Why there are not as many as commands.
    pub error: Option<ExchangeError>,
}

/// Which step of an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ExchangeError {
    Connecting,
    Writing,
    Reading,
}

/// The data set could not be saved; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveFailed;

/// Readings of time, handed in from outside.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Unix time in microseconds.
    pub unix_us: fn() -> i64,
    /// Nanoseconds that never go back.
    pub mono_ns: fn() -> u64,
}

/// Everything that commands work on.
pub struct State {
    /// The keys.
    pub keyspace: Keyspace,
    /// The configuration.
    pub config: Config,
    /// The commands.
    pub registry: Arc<Registry>,
    /// Where writes leave.
    pub log: EffectLog,
    /// Whom this server follows, and who follows it.
    pub replication: Replication,
    /// Foreign code that listens.
    pub hooks: Option<Arc<dyn Hooks>>,
    /// The scripts of EVAL.
    pub scripts: Scripts,
    /// The libraries of functions.
    pub functions: Functions,
    /// Changes since the last save.
    pub dirty: u64,
    /// The last save, unix seconds.
    pub saved_at: i64,
    /// What is known of files.
    pub persistence: Persistence,
    /// What eviction remembers.
    pub evictor: Evictor,
    /// Keys that expired.
    pub expired_keys: u64,
    /// Fields of hashes that expired.
    pub expired_fields: u64,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: bool,
    /// Where the active expiry walk stands.
    pub expire_walk: ExpireWalk,
    /// Where defragmentation stands.
    pub defrag: Defrag,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("dirty", &self.dirty).finish_non_exhaustive()
    }
}

impl State {
    /// Whether keys past their time stay, invisible, until the primary says that they go. On a replica that takes writes
    /// of clients, those see to it that a key is gone before they make it anew.
    pub fn keeps_expired(&self) -> bool {
        self.replication.is_replica() && self.config.flag(Param::ReplicaReadOnly)
    }

    /// Whether anyone listens to the effects of commands; if not, calls need not copy their arguments.
    #[inline]
    pub fn is_logged(&self) -> bool {
        self.log.is_active() || self.replication.is_fed()
    }
}

/// A module that is loaded, as MODULE LIST and HELLO describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// The name it gave itself.
    pub name: String,
    /// The version it gave itself.
    pub version: i64,
    /// The file it came from.
    pub path: String,
    /// The words behind the file's name.
    pub args: Vec<Vec<u8>>,
}

impl ModuleInfo {
    /// Writes the module's entry of MODULE LIST.
    pub fn describe(&self, reply: &mut Reply<'_>) {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(self.name.as_bytes());
        reply.bulk(b"ver");
        reply.int(self.version);
        reply.bulk(b"path");
        reply.bulk(self.path.as_bytes());
        reply.bulk(b"args");
        reply.array(self.args.len());
        for arg in &self.args {
            reply.bulk(arg);
        }
    }
}

/// Limits that are checked without the lock; mirrors of configuration parameters.
#[derive(Debug, Default)]
pub struct Limits {
    /// `maxclients`.
    pub clients: AtomicUsize,
    /// `proto-max-bulk-len`.
    pub bulk_bytes: AtomicI64,
    /// `client-query-buffer-limit`.
    pub query_bytes: AtomicUsize,
    /// `timeout` in seconds, 0 is none.
    pub idle_seconds: AtomicU64,
    /// `repl-timeout` in seconds; the link to a primary looks at it.
    pub replication_seconds: Arc<AtomicU64>,
    /// `tcp-keepalive` in seconds, 0 is none.
    pub keepalive_seconds: AtomicU64,
    /// `busy-reply-threshold` in milliseconds, 0 is none.
    pub busy_ms: AtomicU64,
    /// `maxmemory` in bytes, 0 is none.
    pub memory_bytes: AtomicU64,
    /// `maxmemory-policy` lets keys be evicted.
    pub evicts: AtomicBool,
    /// `client-output-buffer-limit normal`.
    pub normal_output: OutputLimit,
    /// `client-output-buffer-limit replica`.
    pub replica_output: OutputLimit,
    /// `client-output-buffer-limit pubsub`.
    pub pubsub_output: OutputLimit,
    /// `hz`, 0 before the configuration was read.
    pub cron_hz: AtomicU64,
    /// `tracking-table-max-keys`, 0 is no limit.
    pub tracked_keys: AtomicUsize,
    /// `client-default-resp` is 3.
    pub resp3_first: AtomicBool,
    /// `protected-mode`.
    pub protected_mode: AtomicBool,
    /// `DEBUG QUICKLIST-PACKED-THRESHOLD`: elements of lists of so many bytes go without a listpack; 0 is
    /// the default.
    pub list_plain_bytes: AtomicUsize,
}

impl Limits {
    /// How much may wait for a client.
    pub fn output_of(&self, client: &Client) -> &OutputLimit {
        if client.following.follows.load(Ordering::Relaxed) {
            &self.replica_output
        } else if client.subscribed.load(Ordering::Relaxed) {
            &self.pubsub_output
        } else {
            &self.normal_output
        }
    }
}

bitflags! {
    /// What clients, the primary aside, are refused because this server is a replica.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct RoleRefusals: u8 {
        /// Writes (`replica-read-only`).
        const WRITES = 1;
        /// What shows data, which may be old (`replica-serve-stale-data no` without a link).
        const STALE = 2;
    }
}

/// What DEBUG switches for tests.
#[derive(Debug, Default)]
pub struct DebugSwitches {
    /// PAUSE-CRON.
    pub cron_paused: AtomicBool,
    /// SET-DISABLE-DENY-SCRIPTS.
    pub scripts_call_all: AtomicBool,
}

/// Keys found expired under the shared lock that wait for deletion.
pub const EXPIRED_QUEUE_MAX: usize = 4096;

/// What is reached without the lock.
pub struct Shared {
    /// Readings of time.
    pub clock: Clock,
    /// When the server started, unix milliseconds.
    pub started_ms: i64,
    /// Forty hexadecimal digits that name this run.
    pub run_id: String,
    /// The program's file.
    pub executable: String,
    /// The configuration file, absolute, if there is one.
    pub config_file: Option<String>,
    /// The port that clients connect to.
    pub port: AtomicU64,
    /// The current registry.
    pub registry: RwLock<Arc<Registry>>,
    /// Its generation.
    pub registry_generation: AtomicU64,
    /// Mirrors of configuration parameters.
    pub limits: Limits,
    /// How many dbs there are.
    pub databases: u32,
    /// The modules that are loaded.
    pub modules: Mutex<Vec<ModuleInfo>>,
    /// The event classes that somebody listens to: read on every write.
    pub heard: Heard,
    /// What else foreign code wants to see.
    pub attached: Attached,
    /// Who listens to which channel.
    pub pubsub: PubSub,
    /// Who has which key in a cache of its own.
    pub tracking: Tracking,
    /// Who watches all commands.
    pub monitors: Monitors,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// What is on its way to clients that did not ask for it.
    pub post: Post,
    /// What workers do for other threads.
    pub errands: Errands,
    /// What is on its way to the append-only file, and which output waits for that.
    pub durable: Durable,
    /// Who may do what.
    pub users: Users,
    /// Writes are refused, because the last snapshot failed: see [`Persistence::denies_writes`].
    pub writes_denied: AtomicBool,
    /// Writes are refused, because too few replicas are close: `min-replicas-to-write`.
    pub replicas_missing: AtomicBool,
    /// What clients are refused because this server is a replica, as bits of [`RoleRefusals`].
    pub role_refusals: AtomicU8,
    /// The script that is running.
    pub busy: Busy,
    /// Commands that wait for a module to yield.
    pub visits: Visits,
    /// Modules have a say in who logs in.
    pub modules_log_in: AtomicBool,
    /// How many functions there are.
    pub function_counts: Arc<Counts>,
    /// The data set is being loaded.
    pub loading: LoadProgress,
    /// The clients. A lock of its own, so that connections come and go while a script runs.
    pub clients: Mutex<ClientTable>,
    /// What they take in memory.
    pub client_memory: ClientMemory,
    /// Who watches which key. Readers add themselves, hence the lock of its own.
    pub watch: Mutex<WatchTable>,
    /// How many watches there are; read on every write.
    pub watching: AtomicUsize,
    /// Who waits for which keys. A lock of its own, since readers wait too.
    pub waiters: Mutex<WaitTable>,
    /// How many do; read whenever a key comes into being.
    pub waiting: AtomicUsize,
    /// The number of the next client.
    pub next_client: AtomicU64,
    /// Connections that are open.
    pub connections: AtomicUsize,
    /// Figures by worker; the first are the main thread's.
    pub workers: Box<[WorkerStats]>,
    /// Scripts that only EVAL_RO has seen, newest first.
    pub new_scripts: Mutex<Vec<Arc<ScriptSource>>>,
    /// Keys that readers found expired.
    pub expired: Mutex<Vec<(u32, Vec<u8>)>>,
    /// Whether there are any.
    pub has_expired: AtomicBool,
    /// Bytes allocated, as the allocator counts them.
    pub used_memory: fn() -> usize,
    /// The most bytes allocated so far.
    pub peak_memory: AtomicUsize,
    /// Bytes allocated when the server was ready.
    pub startup_memory: AtomicUsize,
    /// Bytes of the replication stream that are kept for replicas alone.
    pub replica_bytes: AtomicUsize,
    /// The process around the engine.
    pub host: Box<dyn Host>,
    /// Commands per second and other rates, sampled by the cron.
    pub rates: Rates,
    /// What took long.
    pub slow: super::slow::Slow,
    /// Whether the process is about to end.
    pub ending: Ending,
    /// What DEBUG has switched.
    pub debug: DebugSwitches,
    /// How defragmentation goes.
    pub defrag: DefragFigures,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("run_id", &self.run_id).finish_non_exhaustive()
    }
}

impl Shared {
    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> i64 {
        (self.clock.unix_us)() / 1000
    }

    /// Whether somebody listens to one of these classes.
    #[inline]
    pub fn is_heard(&self, classes: EventClass) -> bool {
        self.heard.any(classes)
    }

    /// A figure summed over all workers.
    pub fn sum(&self, figure: impl Fn(&WorkerStats) -> u64) -> u64 {
        self.workers.iter().map(figure).fold(0, u64::wrapping_add)
    }

    /// Turns of the event loops so far: reads of the workers, visits of the cron.
    pub fn cycles(&self) -> u64 {
        self.sum(|w| w.reads_processed.get()) + self.rates.cron_visits.load(Ordering::Relaxed)
    }

    /// Time that these took so far, without the transfers of the sockets, in microseconds.
    pub fn cycle_micros(&self) -> u64 {
        let cron = self.rates.cron_micros.load(Ordering::Relaxed);
        self.sum(|w| w.hold_nanos.get()) / 1000 + cron
    }

    /// Whether memory is used up, so that commands which need more are refused.
    #[inline]
    pub fn is_out_of_memory(&self) -> bool {
        self.memory_over_limit() > 0
    }

    /// Bytes in use beyond `maxmemory`, if there is one.
    #[inline]
    pub fn memory_over_limit(&self) -> usize {
        match self.limits.memory_bytes.load(Ordering::Relaxed) {
            0 => 0,
            limit => {
                let counted = (self.used_memory)().saturating_sub(self.uncounted_memory());
                counted.saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX))
            }
        }
    }

    /// Bytes that do not count for eviction: those held for a snapshot, for replicas, or for clients for a moment only.
    #[inline]
    pub fn uncounted_memory(&self) -> usize {
        let replicas = self.replica_bytes.load(Ordering::Relaxed);
        snapshot::held_bytes() + replicas + self.client_memory.passing()
    }

    /// The protocol that clients speak before they ask for one.
    pub fn first_protocol(&self) -> Protocol {
        match self.limits.resp3_first.load(Ordering::Relaxed) {
            true => Protocol::Resp3,
            false => Protocol::Resp2,
        }
    }

    /// Whether what is written cannot be kept on the disk, and is to be kept there.
    #[inline]
    pub fn disk_fails(&self) -> bool {
        self.durable.is_failing() || self.writes_denied.load(Ordering::Relaxed)
    }

    /// Why writes are refused at the moment, if they are.
    #[inline]
    pub fn write_refusal(&self) -> Option<CommandError> {
        if self.durable.is_failing() {
            Some(CommandError::AppendFailed(self.durable.failure().unwrap_or_default()))
        } else if self.writes_denied.load(Ordering::Relaxed) {
            Some(CommandError::SaveFailed)
        } else if self.replicas_missing.load(Ordering::Relaxed) {
            Some(CommandError::NoReplicas)
        } else {
            None
        }
    }

    /// Notes whether enough replicas are close; to be called now and then, since they fall behind by silence.
    pub fn note_replicas(&self, state: &State, now_ms: i64) {
        let config = &state.config;
        let (wanted, lag) =
            (config.size(Param::MinReplicasToWrite), config.int(Param::MinReplicasMaxLag));
        let missing = !state.replication.is_replica()
            && wanted > 0
            && lag > 0
            && state.replication.close_replicas(lag, now_ms) < wanted;
        self.durable.elsewhere.set_replicas(state.replication.online_clients());
        self.replicas_missing.store(missing, Ordering::Relaxed);
    }

    /// Has clients that a pause held back go on.
    pub fn go_on(&self, waiting: &HashSet<u64>) {
        let clients = self.clients.lock();
        for client in waiting.iter().filter_map(|id| clients.get(*id)) {
            client.unblock(b"");
        }
    }

    /// Ends the server's own pause.
    pub fn end_own_pause(&self) {
        self.go_on(&self.pause.end_own());
    }

    /// Notes what clients are refused because of the role: to be called when the role, the link or the configuration
    /// changes.
    pub fn note_role(&self, state: &State) {
        let mut refusals = RoleRefusals::empty();
        if let Some(link) = state.replication.link() {
            let config = &state.config;
            refusals.set(RoleRefusals::WRITES, config.flag(Param::ReplicaReadOnly));
            let serves = link.is_up() || config.flag(Param::ReplicaServeStaleData);
            refusals.set(RoleRefusals::STALE, !serves);
        }
        self.role_refusals.store(refusals.bits(), Ordering::Relaxed);
    }

    /// What clients are refused because of the role.
    #[inline]
    pub fn role_refusals(&self) -> RoleRefusals {
        RoleRefusals::from_bits_retain(self.role_refusals.load(Ordering::Relaxed))
    }

    /// Leaves keys that a reader found expired to the next writer.
    pub fn queue_expired(&self, keys: Vec<(u32, Vec<u8>)>) {
        let mut queue = self.expired.lock();
        if queue.len() < EXPIRED_QUEUE_MAX {
            queue.extend(keys);
            self.has_expired.store(true, Ordering::Relaxed);
        }
    }
}
