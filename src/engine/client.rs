//! Who is talking? The engine's record of each client.
//!
//! Invariants: the owner (the connection's worker) changes its [`Session`] while it holds the engine
//! lock in some mode, or no lock for commands that touch the session alone; anyone else locks a
//! session only under the exclusive lock, and never its own twice. Lock order: engine, tables,
//! session, outbox. What others read at any time (idle time, buffer sizes, the kill mark) is atomic.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use bitflags::bitflags;
use parking_lot::Mutex;

use super::acl::Users;
use super::acl::user::User;
use super::block::Foreign;
use super::client_memory::Footprint;
use super::outbox::Outbox;
use super::pubsub::Subscriptions;
use super::registry::Command;
use super::replication::following::Following;
use super::spec::{Argv, Flag};
use super::tracking::TrackingMode;
use crate::resp::reply::Protocol;

bitflags! {
    /// What makes a session other than plain.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Mode: u32 {
        /// AUTH is still owed.
        const UNAUTHENTICATED = 1;
        /// Between MULTI and EXEC.
        const MULTI = 1 << 1;
        /// `CLIENT REPLY OFF`.
        const REPLY_OFF = 1 << 2;
        /// `CLIENT REPLY SKIP`: the next reply is dropped.
        const REPLY_SKIP_NEXT = 1 << 3;
        /// The reply of the command that is running is dropped.
        const REPLY_SKIP = 1 << 4;
        /// `CLIENT NO-TOUCH ON`.
        const NO_TOUCH = 1 << 5;
        /// `CLIENT NO-EVICT ON`.
        const NO_EVICT = 1 << 6;
        /// Calls of a script.
        const SCRIPT = 1 << 7;
        /// Calls of a module.
        const MODULE = 1 << 8;
        /// Waits for something; no further command runs.
        const BLOCKED = 1 << 9;
        /// Listens to a channel: in RESP2 most commands are refused.
        const SUBSCRIBED = 1 << 10;
        /// MONITOR.
        const MONITOR = 1 << 11;
        /// The primary that this server follows.
        const PRIMARY = 1 << 13;
        /// Its connection is for the stream of a replica: it has asked for that.
        const REPLICA = 1 << 14;
    }
}

impl Mode {
    /// What sends a command through the careful path.
    pub const CAREFUL: Mode = Mode::UNAUTHENTICATED
        .union(Mode::MULTI)
        .union(Mode::REPLY_OFF)
        .union(Mode::REPLY_SKIP_NEXT)
        .union(Mode::REPLY_SKIP)
        .union(Mode::SCRIPT)
        .union(Mode::MODULE)
        .union(Mode::BLOCKED)
        .union(Mode::SUBSCRIBED)
        .union(Mode::MONITOR);
}

/// A command queued by MULTI.
#[derive(Debug)]
pub struct Queued {
    /// The command.
    pub command: &'static Command,
    /// Its arguments.
    pub argv: Vec<Box<[u8]>>,
}

/// An open transaction.
#[derive(Debug, Default)]
pub struct Multi {
    /// The commands so far.
    pub queue: Vec<Queued>,
    /// Bytes that they take.
    pub bytes: usize,
    /// A command was refused, so EXEC will be.
    pub aborted: bool,
    /// The flags of all commands together.
    pub flags: u32,
    /// The flags that one of the commands has not.
    pub missing: u32,
}

/// A watched key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Watched {
    /// Its db.
    pub db: u32,
    /// Its name.
    pub key: Box<[u8]>,
}

/// Who wants to know when a client goes on as another user, or ends; a module that has logged it in.
pub trait UserWatch: std::fmt::Debug + Send {
    /// It has. To be told in its own time, since locks may be held.
    fn changed(self: Box<Self>, client: u64);
    /// The same at once, while the exclusive lock is held and nothing that it guards is borrowed.
    fn changed_just_now(self: Box<Self>, client: u64);
}

/// A client's state, changed by its own commands.
#[derive(Debug, Default)]
pub struct Session {
    /// The selected db.
    pub db: u32,
    /// The protocol of its replies.
    pub protocol: Protocol,
    /// What is special about it.
    pub mode: Mode,
    /// The user whose permissions hold for it; without one, as inside the server, everything is permitted.
    pub user: Option<Arc<User>>,
    /// Who wants to know when that changes.
    pub user_watch: Option<Box<dyn UserWatch>>,
    /// Arguments of the running command of a module that no log may show.
    pub redacted: Vec<usize>,
    /// `CLIENT SETNAME`.
    pub name: Box<[u8]>,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: Box<[u8]>,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_version: Box<[u8]>,
    /// The open transaction, between MULTI and EXEC.
    pub multi: Multi,
    /// The watched keys.
    pub watched: Vec<Watched>,
    /// The arguments of the command that a pause holds back, if filters have seen them.
    pub filtered: Option<Vec<Box<[u8]>>>,
    /// Bytes of the arguments that are kept of the command that waits for keys.
    pub waiting_argv_bytes: usize,
    /// While blocked by something that CLIENT UNBLOCK may end: the reply of a timeout.
    pub blocked_reply: Option<Vec<u8>>,
    /// While it waits for foreign code: who ends that.
    pub foreign: Option<Foreign>,
    /// What it listens to.
    pub subscriptions: Subscriptions,
    /// The last command, for `CLIENT LIST`.
    pub last_command: Option<&'static Command>,
}

impl Session {
    /// Whether the reply of the running command is dropped, as CLIENT REPLY has it.
    pub fn drops_reply(&self) -> bool {
        self.mode.intersects(Mode::REPLY_OFF | Mode::REPLY_SKIP)
    }

    /// The session of calls made inside the server for `mode`, in `db`.
    pub fn internal(mode: Mode, db: u32) -> Self {
        Session { mode, db, ..Session::default() }
    }

    /// The session of a client that connects, or is reset: as the default user, who may owe a password.
    pub fn of_default_user(users: &Users) -> Self {
        let user = users.default_user();
        let mut session = Session { user: Some(Arc::clone(user)), ..Session::default() };
        session.mode.set(Mode::UNAUTHENTICATED, !user.lets_in());
        session
    }

    /// Goes on as another user.
    pub fn log_in(&mut self, client: Option<&Arc<Client>>, user: Arc<User>) {
        if let Some(client) = client {
            client.user.store(user.number, Ordering::Relaxed);
            self.tell_of_user(client.id);
        }
        self.user = Some(user);
        self.mode.remove(Mode::UNAUTHENTICATED);
    }

    /// The arguments of its running command that no log may show.
    pub fn secrets(&self, command: &Command, argv: Argv<'_>) -> Vec<usize> {
        let mut secrets = command.spec.secrets.map(|find| find(argv)).unwrap_or_default();
        if command.has(Flag::Module) {
            secrets.extend(&self.redacted);
        }
        secrets
    }

    /// Tells whoever wanted to know that the user of this client is another now.
    pub fn tell_of_user(&mut self, client: u64) {
        if let Some(watch) = self.user_watch.take() {
            watch.changed(client);
        }
    }

    /// Whether it is of this user.
    pub fn is_user(&self, user: &Arc<User>) -> bool {
        self.user.as_ref().is_some_and(|own| Arc::ptr_eq(own, user))
    }

    /// Whether commands need a look at what its user may do.
    #[inline]
    pub fn is_restricted(&self) -> bool {
        self.user.as_ref().is_some_and(|user| !user.is_open())
    }
}

/// Clients that no connection belongs to have numbers from here on.
pub const INTERNAL_ID_MIN: u64 = 1 << 62;

/// A client.
#[derive(Debug)]
pub struct Client {
    /// Its number, never used again.
    pub id: u64,
    /// The peer's address, as `ip:port` or the socket's path.
    pub addr: String,
    /// The local address.
    pub laddr: String,
    /// The socket's number.
    pub fd: i32,
    /// Connected over a unix socket.
    pub unix_socket: bool,
    /// When it connected, unix milliseconds.
    pub created_ms: i64,
    /// Its last request, unix milliseconds.
    pub active_ms: AtomicI64,
    /// Bytes of incomplete requests, but for the arguments in them that are whole.
    pub query_bytes: AtomicUsize,
    /// Bytes of those.
    pub argument_bytes: AtomicUsize,
    /// Bytes of replies not sent yet.
    pub output_bytes: AtomicUsize,
    /// What it takes in memory.
    pub footprint: Footprint,
    /// The number of the worker that owns the connection.
    pub worker: usize,
    /// The connection is to be closed.
    pub killed: AtomicBool,
    /// The connection ends behind the replies that it has got.
    pub leaving: AtomicBool,
    /// There may be messages in the outbox.
    pub messages: AtomicBool,
    /// It listens to a channel.
    pub subscribed: AtomicBool,
    /// How it tracks keys, as bits of [`TrackingMode`].
    pub tracking: AtomicU32,
    /// The number of its user: [`Session::user`], to be read without the session.
    pub user: AtomicU64,
    /// The client that is told in its stead, 0 for none.
    pub redirect: AtomicU64,
    /// A watched key was touched.
    pub dirty: AtomicBool,
    /// Its state.
    pub session: Mutex<Session>,
    /// What others send it.
    pub outbox: Mutex<Outbox>,
    /// The offset of the history behind what it wrote last.
    pub wrote_offset: AtomicU64,
    /// If it is a replica: what it has said about itself.
    pub following: Following,
}

impl Client {
    /// A client that has connected now, over TCP.
    pub fn new(
        id: u64,
        addr: String,
        laddr: String,
        fd: i32,
        session: Session,
        now_ms: i64,
    ) -> Self {
        let user = session.user.as_ref().map_or(0, |user| user.number);
        Self {
            id,
            addr,
            laddr,
            fd,
            unix_socket: false,
            created_ms: now_ms,
            active_ms: AtomicI64::new(now_ms),
            query_bytes: AtomicUsize::new(0),
            argument_bytes: AtomicUsize::new(0),
            footprint: Footprint::default(),
            output_bytes: AtomicUsize::new(0),
            worker: 0,
            killed: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            messages: AtomicBool::new(false),
            subscribed: AtomicBool::new(false),
            tracking: AtomicU32::new(0),
            user: AtomicU64::new(user),
            redirect: AtomicU64::new(0),
            dirty: AtomicBool::new(false),
            session: Mutex::new(session),
            outbox: Mutex::default(),
            wrote_offset: AtomicU64::new(0),
            following: Default::default(),
        }
    }

    /// Whether no connection belongs to it.
    pub fn is_internal(&self) -> bool {
        self.id >= INTERNAL_ID_MIN
    }

    /// Whether the client is on this machine.
    pub fn is_local(&self) -> bool {
        self.unix_socket || self.addr.starts_with("127.") || self.addr.starts_with("[::1]")
    }

    /// The peer's address without the port.
    pub fn host(&self) -> &str {
        self.addr.rsplit_once(':').map_or("", |(host, _)| host)
    }

    /// Where it can be reached as a replica: the host that it has announced, or that it connected from.
    pub fn announced_host(&self) -> String {
        let announced = self.following.host.lock();
        if announced.is_empty() { self.host().to_owned() } else { announced.clone() }
    }

    /// As what a replica appears in the log.
    pub fn name(&self) -> String {
        match self.following.port.load(Ordering::Relaxed) {
            0 => format!("{}:<unknown-replica-port>", self.announced_host()),
            port => format!("{}:{port}", self.announced_host()),
        }
    }

    /// Marks the connection to be closed and wakes its owner.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether it will take nothing more.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) || self.killed.load(Ordering::Relaxed)
    }

    /// How it tracks keys.
    #[inline]
    pub fn tracking_mode(&self) -> TrackingMode {
        TrackingMode::from_bits_retain(self.tracking.load(Ordering::Relaxed))
    }

    /// Wakes the owner.
    pub fn wake(&self) {
        if let Some(waker) = &self.outbox.lock().waker {
            waker.wake_by_ref();
        }
    }
}

/// The clients, by id, in the order of their connections.
#[derive(Debug, Default)]
pub struct ClientTable {
    by_id: std::collections::BTreeMap<u64, Arc<Client>>,
}

impl ClientTable {
    /// Adds a client.
    pub fn insert(&mut self, client: Arc<Client>) {
        self.by_id.insert(client.id, client);
    }

    /// Forgets a client.
    pub fn remove(&mut self, id: u64) -> Option<Arc<Client>> {
        self.by_id.remove(&id)
    }

    /// The client of this id.
    pub fn get(&self, id: u64) -> Option<&Arc<Client>> {
        self.by_id.get(&id)
    }

    /// All clients, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.by_id.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// A client that watches a key.
#[derive(Debug)]
struct Watcher {
    client: Arc<Client>,
    /// The key was past its time when the watch began, so that its deletion is no change.
    stale: bool,
}

/// What a change of many keys at once means for one watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Nothing.
    Leave,
    /// Its key was changed.
    Dirty,
    /// Its key is now past its time, or no longer.
    Stale(bool),
}

/// Who watches which key.
#[derive(Debug, Default)]
pub struct WatchTable {
    watchers: HashMap<Watched, Vec<Watcher>>,
}

impl WatchTable {
    /// Adds a watcher; `stale` if the key is past its time already.
    pub fn watch(&mut self, watched: Watched, client: &Arc<Client>, stale: bool) {
        let watcher = Watcher { client: Arc::clone(client), stale };
        self.watchers.entry(watched).or_default().push(watcher);
    }

    /// Removes a watcher.
    pub fn unwatch(&mut self, watched: &Watched, client: u64) {
        if let Some(watchers) = self.watchers.get_mut(watched) {
            watchers.retain(|watcher| watcher.client.id != client);
            if watchers.is_empty() {
                self.watchers.remove(watched);
            }
        }
    }

    /// Whether the client watches the key.
    pub fn has(&self, watched: &Watched, client: u64) -> bool {
        let watchers = self.watchers.get(watched);
        watchers.is_some_and(|all| all.iter().any(|watcher| watcher.client.id == client))
    }

    /// Whether the key counts as past its time already for this watcher.
    pub fn is_stale(&self, watched: &Watched, client: u64) -> bool {
        let watchers = self.watchers.get(watched).into_iter().flatten();
        watchers.filter(|watcher| watcher.client.id == client).any(|watcher| watcher.stale)
    }

    /// How many keys are watched.
    pub fn len(&self) -> usize {
        self.watchers.len()
    }

    /// Whether no key is watched.
    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Marks the watchers of a key that was changed; `exists` if it is there now.
    pub fn touch(&mut self, watched: &Watched, exists: bool) {
        for watcher in self.watchers.get_mut(watched).into_iter().flatten() {
            if watcher.stale && !exists {
                watcher.stale = false;
            } else {
                watcher.client.dirty.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Marks watchers as `decide` says, which is told the key and whether it is stale.
    pub fn touch_all(&mut self, decide: impl Fn(&Watched, bool) -> Touch) {
        for (watched, watchers) in &mut self.watchers {
            for watcher in watchers {
                match decide(watched, watcher.stale) {
                    Touch::Leave => {}
                    Touch::Dirty => watcher.client.dirty.store(true, Ordering::Relaxed),
                    Touch::Stale(stale) => watcher.stale = stale,
                }
            }
        }
    }
}
