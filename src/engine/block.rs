//! Who waits for which keys? Blocked commands, in the order of their arrival at each key.
//!
//! A command that finds nothing to take says so with [`wait_for`]; it is kept with its arguments under
//! the lock that it ran under. What brings a key into being, or changes one in a way that somebody may
//! wait for, marks it ready in its unit, if anybody waits for it. At the unit's end, when its effects are
//! complete, the waiters of ready keys run their commands again, oldest first, each as a unit of its own
//! and through the checks that any command goes through. Its effects may make further keys ready, which
//! come after those that are; a command that still finds nothing keeps its place and its deadline.
//!
//! Serving comes to an end: a key becomes ready again only by a command that was served, and those wait
//! no more. What it costs does not depend on how many others wait for a key: a key that is gone is not
//! looked at for those who need it.
//!
//! Invariants: a waiter is in the table from the hold of the lock that blocked it until it is served, its
//! time is over, it is unblocked or its client leaves; whoever takes it out of the table answers it, and
//! serving happens under the exclusive lock only, so a timeout that holds the shared lock cannot cross
//! it. The table's own lock is never held while a command runs.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::call::{Access, Request, client_call, end_call, end_unit, perform};
use super::client::{Client, Mode, Session};
use super::ctx::{Env, ExclusiveCtx};
use super::effects::{Block, Propagate, Targets, Unit};
use super::lock::Engine;
use super::registry::Command;
use super::slow::observe;
use super::spec::Argv;
use super::state::{Shared, State};
use crate::keyspace::value::ValueKind;

/// The keys that a command waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The keys, in the order of the command.
    pub keys: Vec<Box<[u8]>>,
    /// The type that they must have to be of use; None if any is.
    pub kind: Option<ValueKind>,
    /// The command also runs again when a key goes (XREADGROUP).
    pub on_deletion: bool,
}

/// A wait that foreign code ends, or has a say in. All of it is called under the exclusive lock, but for
/// `ended`.
pub trait ForeignWait: std::fmt::Debug + Send + Sync {
    /// The command has begun to wait, after it ran so long.
    fn begun(&self, command: &'static Command, argv: Argv<'_>, nanos: u64);
    /// A key that it waits for is ready: whether that serves it. It counts the command then; what it replied
    /// is in `out`, and it is not asked again.
    fn serve(self: Arc<Self>, ctx: &mut ExclusiveCtx<'_>, key: &[u8], out: &mut Vec<u8>) -> bool;
    /// Ends the wait as at its deadline, or with an error; false if nobody waits any more, or if it has no
    /// deadline's answer and can therefore not be ended from outside (unless `by_force`).
    fn give_up(
        self: Arc<Self>,
        state: &mut State,
        shared: &Shared,
        error: Option<&[u8]>,
        by_force: bool,
    ) -> bool;
    /// The client has left it.
    fn left(self: Arc<Self>, state: &mut State, shared: &Shared);
    /// The client's connection has ended. No lock is held.
    fn ended(self: Arc<Self>, engine: &Engine);
}

/// What follows on a command that foreign code has called and that waited for keys.
pub trait Sequel: std::fmt::Debug + Send + Sync {
    /// The command is served, with this reply; what follows belongs to its unit.
    fn go_on(&self, ctx: &mut ExclusiveCtx<'_>, reply: Vec<u8>);
}

/// A command that foreign code has called.
#[derive(Clone, Debug)]
pub struct Nested {
    /// Who gets the reply.
    pub sequel: Arc<dyn Sequel>,
    /// Where its effects go to.
    pub targets: Option<Targets>,
    /// They go nowhere.
    pub muted: bool,
}

/// Such a wait.
#[derive(Clone, Debug)]
pub struct Foreign(pub Arc<dyn ForeignWait>);

impl PartialEq for Foreign {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }
}

impl Eq for Foreign {}

/// A key of a db.
type Place = (u32, Arc<[u8]>);

/// Keys that somebody waits for and that something has happened to, in that order, each once.
#[derive(Debug, Default)]
pub struct Ready {
    queue: VecDeque<Place>,
    known: HashSet<Place>,
}

impl Ready {
    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn add(&mut self, place: Place) {
        if self.known.insert(place.clone()) {
            self.queue.push_back(place);
        }
    }

    /// Takes over those of another unit.
    pub fn append(&mut self, other: Ready) {
        other.queue.into_iter().for_each(|place| self.add(place));
    }

    fn next(&mut self) -> Option<Place> {
        let place = self.queue.pop_front()?;
        self.known.remove(&place);
        Some(place)
    }
}

/// A blocked command.
#[derive(Clone, Debug)]
struct Waiter {
    client: Arc<Client>,
    command: &'static Command,
    argv: Arc<[Box<[u8]>]>,
    db: u32,
    wanted: Arc<Wanted>,
    /// Who decides whether it is served, if not the command that runs again.
    foreign: Option<Foreign>,
    /// Foreign code has called it.
    nested: Option<Nested>,
}

/// Those who wait for one key.
#[derive(Debug, Default)]
struct Queue {
    /// Their arrival numbers, in order.
    arrivals: VecDeque<u64>,
    /// How many of them a deletion concerns.
    on_deletion: usize,
}

/// The blocked commands, by client and by key.
#[derive(Debug, Default)]
pub struct WaitTable {
    /// Arrival numbers by client.
    by_client: HashMap<u64, u64>,
    /// By arrival.
    waiters: BTreeMap<u64, Waiter>,
    /// By db and key.
    by_key: HashMap<u32, HashMap<Box<[u8]>, Queue>>,
    arrivals: u64,
}

impl WaitTable {
    /// How many commands wait.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// How many keys are waited for, and by commands that a deletion ends.
    pub fn keys(&self) -> (usize, usize) {
        let queues = || self.by_key.values().flat_map(HashMap::values);
        (queues().count(), queues().filter(|queue| queue.on_deletion > 0).count())
    }

    fn add(&mut self, waiter: Waiter) {
        self.arrivals += 1;
        self.by_client.insert(waiter.client.id, self.arrivals);
        let keys = self.by_key.entry(waiter.db).or_default();
        for key in &waiter.wanted.keys {
            let queue = keys.entry(key.clone()).or_default();
            // A key that the command names twice is waited for once.
            if queue.arrivals.back() != Some(&self.arrivals) {
                queue.arrivals.push_back(self.arrivals);
                queue.on_deletion += usize::from(waiter.wanted.on_deletion);
            }
        }
        self.waiters.insert(self.arrivals, waiter);
    }

    /// Takes a client's command out, if it waits (still).
    fn remove(&mut self, client: u64) -> Option<Waiter> {
        let arrival = self.by_client.remove(&client)?;
        let waiter = self.waiters.remove(&arrival)?;
        let keys = self.by_key.get_mut(&waiter.db)?;
        for key in &waiter.wanted.keys {
            let Some(queue) = keys.get_mut(key) else { continue };
            if let Ok(at) = queue.arrivals.binary_search(&arrival) {
                queue.arrivals.remove(at);
                queue.on_deletion -= usize::from(waiter.wanted.on_deletion);
            }
            if queue.arrivals.is_empty() {
                keys.remove(key);
            }
        }
        if keys.is_empty() {
            self.by_key.remove(&waiter.db);
        }
        Some(waiter)
    }

    /// The next waiter of a key behind `after` to whom it matters that the key has this type now, or is
    /// gone.
    fn next(
        &self,
        db: u32,
        key: &[u8],
        kind: Option<ValueKind>,
        after: u64,
    ) -> Option<(u64, Waiter)> {
        let queue = self.by_key.get(&db)?.get(key)?;
        if kind.is_none() && queue.on_deletion == 0 {
            return None;
        }
        let begin = queue.arrivals.partition_point(|arrival| *arrival <= after);
        queue.arrivals.range(begin..).find_map(|arrival| {
            let waiter = self.waiters.get(arrival)?;
            let fits =
                kind.is_some() && (waiter.wanted.kind.is_none() || waiter.wanted.kind == kind);
            let matters = fits || waiter.wanted.on_deletion;
            matters.then(|| (*arrival, waiter.clone()))
        })
    }

    /// Whether anybody waits for a key.
    fn wants(&self, db: u32, key: &[u8]) -> bool {
        self.by_key.get(&db).is_some_and(|keys| keys.contains_key(key))
    }
}

/// Has the running command wait for keys, or answer as at its deadline where nobody may wait (in EXEC,
/// scripts and module calls); then nothing is written and the caller replies itself: true means that
/// the command waits.
pub fn wait_for(
    unit: &mut Unit,
    env: Env<'_>,
    wanted: Wanted,
    deadline_ms: Option<i64>,
    on_timeout: &[u8],
) -> bool {
    if unit.deny_blocking || env.client.is_none() {
        return false;
    }
    let on_timeout = on_timeout.to_vec();
    unit.block = Some(Block::Keys { wanted, deadline_ms, on_timeout });
    true
}

/// A command that is to wait for keys.
#[derive(Clone, Debug)]
pub struct Waiting<'a> {
    /// Who waits.
    pub client: &'a Arc<Client>,
    /// The command.
    pub command: &'static Command,
    /// Its arguments.
    pub argv: Argv<'a>,
    /// The db that it ran in.
    pub db: u32,
    /// What it waits for.
    pub wanted: &'a Wanted,
    /// Who decides whether it is served, if not the command that runs again.
    pub foreign: Option<&'a Foreign>,
    /// Foreign code has called it.
    pub nested: Option<Nested>,
}

/// Puts a command that waits into the table. To be called before the lock that it ran under is released.
pub fn enter(shared: &Shared, waiting: Waiting<'_>) {
    let waiter = Waiter {
        client: Arc::clone(waiting.client),
        command: waiting.command,
        argv: waiting.argv.iter().map(|arg| Box::from(*arg)).collect(),
        db: waiting.db,
        wanted: Arc::new(waiting.wanted.clone()),
        foreign: waiting.foreign.cloned(),
        nested: waiting.nested,
    };
    let mut table = shared.waiters.lock();
    table.add(waiter);
    shared.waiting.store(table.len(), Ordering::Relaxed);
}

/// Takes a client's command out of the table; false if it does not wait for keys (any more). Whoever gets
/// true answers the client, unless that is gone. The caller holds the engine lock in some mode, so that
/// the command is not being served; without it the client must be gone.
pub fn leave(shared: &Shared, client: u64) -> bool {
    take(shared, client).is_some()
}

/// How a wait ends without the command having found anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// With the reply of the deadline.
    TimedOut,
    /// With an error.
    Failed,
}

/// As [`leave`], for who answers the client by `worker`: counts the command, as what runs is counted.
pub fn give_up(shared: &Shared, worker: usize, client: u64, how: GivenUp) -> bool {
    let Some(waiter) = take(shared, client) else { return false };
    let figures = &waiter.command.stats[worker];
    figures.calls.add(1);
    figures.failed.add(u64::from(how == GivenUp::Failed));
    shared.workers[worker].commands.add(1);
    true
}

fn take(shared: &Shared, client: u64) -> Option<Waiter> {
    let mut table = shared.waiters.lock();
    let found = table.remove(client);
    shared.waiting.store(table.len(), Ordering::Relaxed);
    found
}

/// Marks a key as ready, if anybody waits for it.
#[inline]
pub fn signal(shared: &Shared, unit: &mut Unit, db: u32, key: &[u8]) {
    if shared.waiting.load(Ordering::Relaxed) != 0 {
        signal_slow(shared, unit, db, key);
    }
}

#[cold]
fn signal_slow(shared: &Shared, unit: &mut Unit, db: u32, key: &[u8]) {
    if shared.waiters.lock().wants(db, key) {
        unit.ready.add((db, key.into()));
    }
}

/// Marks all keys of a db that are waited for: its contents were exchanged.
pub fn signal_db(shared: &Shared, unit: &mut Unit, db: u32) {
    if shared.waiting.load(Ordering::Relaxed) != 0 {
        let table = shared.waiters.lock();
        let keys = table.by_key.get(&db).into_iter().flat_map(HashMap::keys);
        keys.for_each(|key| unit.ready.add((db, Arc::from(&**key))));
    }
}

/// Serves the waiters of the keys that a unit made ready, and of those that this makes ready.
#[cold]
pub fn serve(access: &mut Access<'_>, unit: &mut Unit, env: Env<'_>) {
    // The command of the client whose unit this is has run just now; its session is locked.
    let own = env.client.map(|client| client.id);
    let mut ready = std::mem::take(&mut unit.ready);
    while let Some((db, key)) = ready.next() {
        let mut after = 0;
        loop {
            let kind = kind_of(access, db, &key, env);
            // Bound first: the table must not be locked while the command runs.
            let next = env.shared.waiters.lock().next(db, &key, kind, after);
            let Some((arrival, waiter)) = next else { break };
            after = arrival;
            if Some(waiter.client.id) != own {
                serve_one(access, &waiter, &key, env, &mut ready);
            }
        }
    }
}

/// The type of a key, if it is there.
fn kind_of(access: &Access<'_>, db: u32, key: &[u8], env: Env<'_>) -> Option<ValueKind> {
    let Access::Exclusive(state) = access else { return None };
    let (_, value) = state.keyspace.db(db as usize).read(key, env.now_ms())?;
    Some(value.kind())
}

/// Runs a blocked command again, or asks who decides instead.
fn serve_one(
    access: &mut Access<'_>,
    waiter: &Waiter,
    key: &[u8],
    env: Env<'_>,
    ready: &mut Ready,
) {
    let argv: Vec<&[u8]> = waiter.argv.iter().map(|arg| &**arg).collect();
    let mut session = waiter.client.session.lock();
    let mut unit = Unit { again: true, ..Unit::default() };
    // What the command changes may be in the client's own cache.
    waiter.client.begin_answer();
    let mut out = Vec::new();
    let env = Env { client: Some(&waiter.client), ..env };
    let mono_ns = env.shared.clock.mono_ns;
    let began_ns = mono_ns();
    let (ran, is_served) = match (&waiter.foreign, &waiter.nested) {
        (None, Some(nested)) => {
            (unit.call.targets, unit.muted) = (nested.targets, nested.muted);
            perform(access, &mut session, &mut unit, env, waiter.command, &argv, &mut out);
            (Some(waiter.command), unit.block.take().is_none())
        }
        (None, None) => {
            let request = Request { command: Some(waiter.command), argv: &argv };
            let ran = client_call(access, &mut session, &mut unit, env, request, &mut out);
            (ran, unit.block.take().is_none())
        }
        (Some(foreign), _) => {
            let mut call = Run { access, session: &mut session, unit: &mut unit, env };
            let is_served = call.serve_foreign(foreign, &argv, key, &mut out);
            (Some(waiter.command), is_served)
        }
    };
    if is_served {
        session.mode.remove(Mode::BLOCKED);
        session.blocked_reply = None;
        session.foreign = None;
        if let Some(command) = ran {
            observe(command, mono_ns() - began_ns, &argv, &session, env);
        }
    }
    drop(session);
    if is_served {
        leave(env.shared, waiter.client.id);
        match &waiter.nested {
            Some(nested) => {
                go_on(access, &mut unit, Env { client: None, ..env }, (nested, waiter.db), out)
            }
            None => waiter.client.unblock(&out),
        }
    } else {
        waiter.client.still_waits(env.shared);
    }
    let mut made_ready = std::mem::take(&mut unit.ready);
    while let Some(place) = made_ready.next() {
        ready.add(place);
    }
    end_unit(access, &mut unit, env);
}

/// Hands the reply of a command to the foreign code that called it.
fn go_on(
    access: &mut Access<'_>,
    unit: &mut Unit,
    env: Env<'_>,
    (nested, db): (&Nested, u32),
    reply: Vec<u8>,
) {
    let Access::Exclusive(state) = access else { return };
    (unit.call, unit.muted) = (Default::default(), false);
    let mut session = Session::internal(Mode::MODULE, db);
    let mut ctx = ExclusiveCtx { state, session: &mut session, unit, env };
    nested.sequel.go_on(&mut ctx, reply);
    let mut call = std::mem::take(&mut unit.call);
    state.dirty += call.dirty;
    unit.records.append(&mut call.records);
}

/// Runs the command of a client again that waited for foreign code, to answer it or to have it wait for more. It has
/// taken `spent_ns` so far.
pub fn run_again(
    state: &mut State,
    shared: &Shared,
    (client, command, argv): (&Arc<Client>, &'static Command, Argv<'_>),
    spent_ns: u64,
) {
    let (stats, now_us) = (&shared.workers[0], (shared.clock.unix_us)());
    let env = Env { shared, stats, worker: 0, client: Some(client), now_us };
    let mut session = client.session.lock();
    let mut unit = Unit { again: true, ..Unit::default() };
    let mut access = Access::Exclusive(state);
    let mut out = Vec::new();
    client.begin_answer();
    let began_ns = (shared.clock.mono_ns)();
    let request = Request { command: Some(command), argv };
    let ran = client_call(&mut access, &mut session, &mut unit, env, request, &mut out);
    let nanos = (shared.clock.mono_ns)() - began_ns + spent_ns;
    if let Some(Block::Foreign { wait, .. }) = unit.block.take() {
        wait.0.begun(command, argv, nanos);
        session.foreign = Some(wait);
        drop(session);
        client.still_waits(shared);
    } else {
        session.mode.remove(Mode::BLOCKED);
        session.foreign = None;
        if let Some(command) = ran {
            observe(command, nanos, argv, &session, env);
        }
        drop(session);
        client.unblock(&out);
    }
    end_unit(&mut access, &mut unit, env);
}

/// What a waiter's command runs with.
struct Run<'a, 'b> {
    access: &'a mut Access<'b>,
    session: &'a mut Session,
    unit: &'a mut Unit,
    env: Env<'a>,
}

impl Run<'_, '_> {
    /// Has foreign code look at a key; whether it serves the waiter. What it replies then is the answer; its
    /// effects count in any case.
    fn serve_foreign(
        &mut self,
        foreign: &Foreign,
        argv: Argv<'_>,
        key: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let Run { access, session, unit, env } = self;
        let Access::Exclusive(state) = access else { return false };
        let mut ctx = ExclusiveCtx { state, session, unit, env: *env };
        let is_served = foreign.0.clone().serve(&mut ctx, key, out);
        if unit.call.propagate == Propagate::Verbatim {
            // Foreign code says itself what is propagated.
            unit.call.propagate = Propagate::Replaced;
        }
        end_call(access, session, unit, *env, argv);
        if !is_served || session.drops_reply() {
            out.clear();
        }
        is_served
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What the table promises is tested through commands, in `commands` and in tests/data; here only
    // what no command shows.
    #[test]
    fn an_empty_table_has_nobody() {
        let mut table = WaitTable::default();
        assert!(table.remove(1).is_none());
        assert!(table.next(0, b"k", Some(ValueKind::List), 0).is_none());
        assert!(!table.wants(0, b"k"));
        assert_eq!((table.len(), table.keys()), (0, (0, 0)));
    }

    #[test]
    fn a_key_is_ready_once_until_it_is_served() {
        let mut ready = Ready::default();
        let place = |db, key: &str| (db, Arc::from(key.as_bytes()));
        for (db, key) in [(0, "a"), (0, "b"), (0, "a"), (1, "a")] {
            ready.add(place(db, key));
        }
        assert_eq!(ready.next(), Some(place(0, "a")));
        ready.add(place(0, "a"));
        let rest: Vec<Place> = std::iter::from_fn(|| ready.next()).collect();
        assert_eq!(rest, [place(0, "b"), place(1, "a"), place(0, "a")]);
        assert!(ready.is_empty());
    }
}
