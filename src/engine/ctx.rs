//! What may a handler touch? A context per access: the session alone, keys to read, keys to write,
//! the whole engine.
//!
//! Invariants: a [`ReadCtx`] has no `&mut` to the keyspace, so what is declared `Run::Read` cannot
//! write. Every lookup for writing first deletes the key if its time is over, with its event and its
//! DEL, before the command goes on; for reading, such a key is invisible and noted for deletion. The
//! time is frozen in `env` for the whole unit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::access::{Lfu, clock_seconds};
use super::block::{self, Wanted};
use super::client::{Client, Mode, Session, Watched};
use super::effects::{EventClass, Propagate, Targets, Unit};
use super::error::CommandError;
use super::events::{self, Departure, Topics};
use super::hooks::KeyEvent;
use super::spec::Argv;
use super::state::{Shared, State};
use super::stats::WorkerStats;
use crate::base::hasher::hash64;
use crate::config::Config;
use crate::keyspace::db::{Db, ExpireChange, Found};
use crate::keyspace::entry::view::EntryRef;
use crate::keyspace::table::Slot;
use crate::keyspace::value::{StrRef, Value, ValueMut, ValueRef};
use crate::object::hash::Hash;
use crate::object::module::KeyName;

/// What surrounds a call: the same for all calls of a unit.
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    /// What is reached without the lock.
    pub shared: &'a Shared,
    /// The worker's figures.
    pub stats: &'a WorkerStats,
    /// The worker's number.
    pub worker: usize,
    /// The client, unless the server itself calls.
    pub client: Option<&'a Arc<Client>>,
    /// The time, frozen for the unit: unix microseconds.
    pub now_us: i64,
}

impl Env<'_> {
    /// The time in unix milliseconds.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.now_us / 1000
    }

    /// Where a command's random draws begin: unlike that of any other call, and no client can tell it,
    /// since the process's secret goes into the hash.
    pub fn random_seed(&self) -> u64 {
        let mut text = [0; 24];
        text[..8].copy_from_slice(&self.now_us.to_le_bytes());
        text[8..16].copy_from_slice(&self.stats.commands.get().to_le_bytes());
        text[16..].copy_from_slice(&(self.worker as u64).to_le_bytes());
        hash64(&text)
    }
}

/// Access to the connection alone.
#[derive(Debug)]
pub struct SessionCtx<'a> {
    /// The engine's state, if the exclusive lock is held, which it need not be.
    pub state: Option<&'a mut State>,
    /// The client's state.
    pub session: &'a mut Session,
    /// What the unit leaves behind.
    pub unit: &'a mut Unit,
    /// What surrounds the call.
    pub env: Env<'a>,
}

/// Access to keys for reading.
#[derive(Debug)]
pub struct ReadCtx<'a> {
    /// The engine's state.
    pub state: &'a State,
    /// The client's state.
    pub session: &'a mut Session,
    /// What the unit leaves behind.
    pub unit: &'a mut Unit,
    /// What surrounds the call.
    pub env: Env<'a>,
}

impl<'a> ReadCtx<'a> {
    /// The time in unix milliseconds.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.env.now_ms()
    }

    /// The time in unix milliseconds by which keys and fields are past theirs: while commands of a log are run
    /// again none is, since none was when they ran.
    #[inline]
    pub fn expiry_ms(&self) -> i64 {
        if self.unit.trusts { 0 } else { self.now_ms() }
    }

    /// Once the reply is longer than this the client is cut off and gets nothing of it, so that nothing more need be
    /// written: `client-output-buffer-limit`. A script gets its replies whole.
    pub fn cut_off_bytes(&self) -> usize {
        let is_own = !self.session.mode.intersects(Mode::SCRIPT | Mode::MODULE);
        let hard = self.env.client.filter(|_| is_own).map_or(0, |client| {
            self.env.shared.limits.output_of(client).hard.load(Ordering::Relaxed)
        });
        if hard == 0 { usize::MAX } else { hard }
    }

    /// The selected db.
    #[inline]
    pub fn db(&self) -> &'a Db {
        self.state.keyspace.db(self.session.db as usize)
    }

    /// Finds a key without counting or touching it (EXISTS, TTL, TYPE and the like).
    #[inline]
    pub fn peek(&mut self, key: &[u8]) -> Option<Slot> {
        self.peek_entry(key).map(|(slot, _)| slot)
    }

    #[inline]
    fn peek_entry(&mut self, key: &[u8]) -> Option<(Slot, EntryRef<'a>)> {
        match self.db().look_up(self.unit.seen, key, self.expiry_ms()) {
            Found::Alive(slot, entry) => Some((slot, entry)),
            Found::Nothing => None,
            Found::Expired => {
                self.unit.note_expired(self.session.db, key);
                None
            }
        }
    }

    /// As [`ReadCtx::peek`], counting hit or miss.
    #[inline]
    pub fn peek_counted(&mut self, key: &[u8]) -> Option<Slot> {
        self.count_entry(key).map(|(slot, _)| slot)
    }

    #[inline]
    fn count_entry(&mut self, key: &[u8]) -> Option<(Slot, EntryRef<'a>)> {
        let found = self.peek_entry(key);
        match found {
            Some(_) => self.env.stats.hits.add(1),
            None => {
                self.env.stats.misses.add(1);
                if self.env.shared.is_heard(EventClass::KEY_MISS) {
                    self.unit.missed.push((self.session.db, key.into()));
                }
            }
        }
        found
    }

    /// Finds a key, counting hit or miss, and notes the access.
    #[inline]
    pub fn find(&mut self, key: &[u8]) -> Option<Slot> {
        self.find_entry(key).map(|(slot, _)| slot)
    }

    #[inline]
    fn find_entry(&mut self, key: &[u8]) -> Option<(Slot, EntryRef<'a>)> {
        let (slot, entry) = self.count_entry(key)?;
        if !self.session.mode.contains(Mode::NO_TOUCH) {
            note_access(&self.state.config, self.env, entry);
        }
        Some((slot, entry))
    }

    /// Notes the access to a key that was found, unless the client wants that none of its accesses is.
    pub fn touch(&self, slot: Slot) {
        if self.session.mode.contains(Mode::NO_TOUCH) {
            return;
        }
        let db = self.db();
        let clock = match Lfu::of(&self.state.config) {
            None => access_clock(self.env.now_us),
            Some(lfu) => lfu.accessed(db.clock(slot), self.env.now_us, self.env.random_seed()),
        };
        db.touch(slot, clock);
    }

    /// The value of a key, if it is there.
    #[inline]
    pub fn value(&mut self, key: &[u8]) -> Option<ValueRef<'a>> {
        self.find_entry(key).map(|(_, entry)| entry.value())
    }

    /// Has the running command wait for keys: see [`block::wait_for`].
    pub fn wait_for(
        &mut self,
        wanted: Wanted,
        deadline_ms: Option<i64>,
        on_timeout: &[u8],
    ) -> bool {
        block::wait_for(self.unit, self.env, wanted, deadline_ms, on_timeout)
    }

    /// The string at a key, if it is there.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> Result<Option<StrRef<'a>>, CommandError> {
        match self.value(key) {
            None => Ok(None),
            Some(ValueRef::Str(value)) => Ok(Some(value)),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    /// The hash at a key, if it is there.
    #[inline]
    pub fn hash(&mut self, key: &[u8]) -> Result<Option<&'a Hash>, CommandError> {
        match self.value(key) {
            None => Ok(None),
            Some(ValueRef::Hash(hash)) => Ok(Some(hash)),
            Some(_) => Err(CommandError::WrongType),
        }
    }
}

/// A collection with more elements is freed where it holds up nobody.
const FREED_AT_ONCE_MAX: usize = 1024;

/// What takes more effort is freed there if the client asked for it (UNLINK), as in Redis.
const UNLINKED_AT_ONCE_MAX: usize = 64;

/// How a value is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freeing {
    /// At once, unless that takes long.
    Prompt,
    /// Elsewhere, unless that is more work than to free it at once.
    Lazy,
}

/// Access to keys for writing.
#[derive(Debug)]
pub struct WriteCtx<'a> {
    pub(in crate::engine) state: &'a mut State,
    /// The client's state.
    pub session: &'a mut Session,
    /// What the unit leaves behind.
    pub unit: &'a mut Unit,
    /// What surrounds the call.
    pub env: Env<'a>,
}

impl WriteCtx<'_> {
    /// The time in unix milliseconds.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.env.now_ms()
    }

    /// The time in unix milliseconds by which keys and fields are past theirs: while commands of a log are run
    /// again none is, since none was when they ran.
    #[inline]
    pub fn expiry_ms(&self) -> i64 {
        if self.unit.trusts { 0 } else { self.now_ms() }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.state.config
    }

    /// The selected db, to read.
    #[inline]
    pub fn db(&self) -> &Db {
        self.state.keyspace.db(self.session.db as usize)
    }

    /// The selected db, to write. Whoever changes a key here says so with [`WriteCtx::changed`].
    #[inline]
    pub fn db_mut(&mut self) -> &mut Db {
        self.state.keyspace.db_mut(self.session.db as usize)
    }

    /// How many dbs there are.
    pub fn dbs(&self) -> u32 {
        self.state.keyspace.db_count() as u32
    }

    /// Runs `f` with another db selected.
    pub fn in_db<R>(&mut self, db: u32, f: impl FnOnce(&mut WriteCtx<'_>) -> R) -> R {
        let before = std::mem::replace(&mut self.session.db, db);
        let result = f(self);
        self.session.db = before;
        result
    }

    /// Finds a key without counting or touching it, deleting it first if its time is over.
    #[inline]
    pub fn peek(&mut self, key: &[u8]) -> Option<Slot> {
        self.look_up(key, |_, _, _| {}).map(|(slot, ())| slot)
    }

    /// Finds a key and notes the access.
    #[inline]
    pub fn find(&mut self, key: &[u8]) -> Option<Slot> {
        match self.session.mode.contains(Mode::NO_TOUCH) {
            true => self.peek(key),
            false => self.look_up(key, note_access).map(|(slot, ())| slot),
        }
    }

    /// As [`WriteCtx::find`], with what `take` makes of the value, which saves the way back to it.
    #[inline]
    pub fn find_value<R>(
        &mut self,
        key: &[u8],
        take: impl FnOnce(ValueRef<'_>) -> R,
    ) -> Option<(Slot, R)> {
        let is_noted = !self.session.mode.contains(Mode::NO_TOUCH);
        self.look_up(key, |config, env, entry| {
            if is_noted {
                note_access(config, env, entry);
            }
            take(entry.value())
        })
    }

    /// As [`WriteCtx::find`], for a key whose value has to be of some kind.
    #[inline]
    pub fn find_if(
        &mut self,
        key: &[u8],
        is_right: impl FnOnce(ValueRef<'_>) -> bool,
    ) -> Result<Option<Slot>, CommandError> {
        match self.find_value(key, is_right) {
            None => Ok(None),
            Some((slot, true)) => Ok(Some(slot)),
            Some((_, false)) => Err(CommandError::WrongType),
        }
    }

    #[inline]
    fn look_up<R>(
        &mut self,
        key: &[u8],
        take: impl FnOnce(&Config, Env<'_>, EntryRef<'_>) -> R,
    ) -> Option<(Slot, R)> {
        match self.db().look_up(self.unit.seen, key, self.expiry_ms()) {
            Found::Nothing => return None,
            Found::Alive(slot, entry) => {
                return Some((slot, take(&self.state.config, self.env, entry)));
            }
            Found::Expired => {}
        }
        if !self.state.keeps_expired() {
            expire_key(self.state, self.unit, self.env, self.session.db, key);
        }
        None
    }

    /// As [`WriteCtx::find`] for commands that answer with what they find: counts hit or miss.
    pub fn find_counted(&mut self, key: &[u8]) -> Option<Slot> {
        let slot = self.find(key);
        match slot {
            Some(_) => self.env.stats.hits.add(1),
            None => {
                self.env.stats.misses.add(1);
                self.notify(EventClass::KEY_MISS, "keymiss", key);
            }
        }
        slot
    }

    /// The string at a key, if it is there.
    pub fn string(&mut self, key: &[u8]) -> Result<Option<(Slot, StrRef<'_>)>, CommandError> {
        let Some(slot) = self.find(key) else { return Ok(None) };
        match self.db().value(slot) {
            ValueRef::Str(value) => Ok(Some((slot, value))),
            _ => Err(CommandError::WrongType),
        }
    }

    /// The hash at a key, to read, if it is there.
    pub fn hash(&mut self, key: &[u8]) -> Result<Option<&Hash>, CommandError> {
        let Some(slot) = self.find(key) else { return Ok(None) };
        match self.db().value(slot) {
            ValueRef::Hash(hash) => Ok(Some(hash)),
            _ => Err(CommandError::WrongType),
        }
    }

    /// The hash at a key, to change, made if it is not there.
    pub fn hash_or_new(&mut self, key: &[u8]) -> Result<&mut Hash, CommandError> {
        let slot = match self.find(key) {
            Some(slot) => slot,
            None => self.db_mut().insert(key, Value::Hash(Hash::default()), None),
        };
        match self.db_mut().value_mut(slot) {
            ValueMut::Hash(hash) => Ok(hash),
            _ => Err(CommandError::WrongType),
        }
    }

    /// Stores a string. `slot` is where [`WriteCtx::find`] found the key, None if it is new.
    #[inline]
    pub fn set_string(
        &mut self,
        key: &[u8],
        slot: Option<Slot>,
        value: &[u8],
        expire: ExpireChange,
    ) -> Slot {
        if slot.is_some() {
            self.leaves(key, Departure::Overwritten);
        }
        let stored = self.db_mut().set_string(key, slot, value, expire);
        match slot {
            None => self.start_clock(stored),
            // What was there is gone, which may be what somebody waits for.
            Some(_) => self.signal(key),
        }
        stored
    }

    /// Stores a string that stays text even if it spells an integer, as [`WriteCtx::set_string`] does others.
    pub fn set_text(
        &mut self,
        key: &[u8],
        slot: Option<Slot>,
        value: &[u8],
        expire: ExpireChange,
    ) -> Slot {
        let stored = self.db_mut().set_text(key, slot, value, expire);
        if slot.is_none() {
            self.start_clock(stored);
        }
        stored
    }

    /// Stores an integer, as [`WriteCtx::set_string`] does a string.
    #[inline]
    pub fn set_int(
        &mut self,
        key: &[u8],
        slot: Option<Slot>,
        value: i64,
        expire: ExpireChange,
    ) -> Slot {
        let stored = self.db_mut().set_int(key, slot, value, expire);
        if slot.is_none() {
            self.start_clock(stored);
        }
        stored
    }

    /// Stores a value of any type at a key that is absent.
    pub fn insert(&mut self, key: &[u8], value: Value, expire_at: Option<i64>) -> Slot {
        // Nobody waits for the others: what foreign code wants to know of them, it says itself.
        let is_waited_for = !matches!(value, Value::Str(_) | Value::Hash(_) | Value::Set(_));
        let stored = self.db_mut().insert_new(key, value, expire_at);
        self.start_clock(stored);
        if is_waited_for {
            self.signal(key);
        }
        stored
    }

    /// Stores a value of any type at a key, whatever was there; whether the key is new.
    pub fn replace(&mut self, key: &[u8], value: Value) -> bool {
        let found = self.peek(key);
        if let Some(slot) = found {
            self.remove_because(slot, Freeing::Prompt, Departure::Overwritten);
        }
        self.insert(key, value, None);
        found.is_none()
    }

    /// Says that somebody may have waited for what happened to a key. What comes into being, goes or is
    /// overwritten by a string says so by itself.
    #[inline]
    pub fn signal(&mut self, key: &[u8]) {
        block::signal(self.env.shared, self.unit, self.session.db, key);
    }

    /// Has the running command wait for keys: see [`block::wait_for`].
    pub fn wait_for(
        &mut self,
        wanted: Wanted,
        deadline_ms: Option<i64>,
        on_timeout: &[u8],
    ) -> bool {
        block::wait_for(self.unit, self.env, wanted, deadline_ms, on_timeout)
    }

    /// A key that came into being counts as accessed now.
    #[inline]
    fn start_clock(&mut self, slot: Slot) {
        let clock = match Lfu::of(&self.state.config) {
            None => access_clock(self.env.now_us),
            Some(_) => Lfu::begin(self.env.now_us),
        };
        self.db().touch(slot, clock);
    }

    /// Deletes a key that was found, whatever it holds; the value is dropped, a large one elsewhere.
    pub fn remove(&mut self, slot: Slot) {
        self.remove_as(slot, Freeing::Prompt);
    }

    /// As [`WriteCtx::remove`], with a say in how the value is freed.
    pub fn remove_as(&mut self, slot: Slot, freeing: Freeing) {
        self.remove_because(slot, freeing, Departure::Deleted);
    }

    /// As [`WriteCtx::remove_as`], for a reason that modules are told.
    pub fn remove_because(&mut self, slot: Slot, freeing: Freeing, how: Departure) {
        if self.env.shared.heard.hears(Topics::KEYS) {
            let key = self.db().key(slot).to_vec();
            self.leaves(&key, how);
        }
        let db = self.state.keyspace.db(self.session.db as usize);
        block::signal(self.env.shared, self.unit, self.session.db, db.key(slot));
        // Only a value of a module is told its key.
        let named = matches!(db.value(slot), ValueRef::Module(_));
        let key = if named { db.key(slot).to_vec() } else { Vec::new() };
        if let Some(value) = self.db_mut().delete(slot) {
            free(self.env.shared, (self.session.db, &key), value, freeing);
        }
    }

    /// Tells modules that listen that a key of the selected db, which is there, leaves.
    #[inline]
    pub fn leaves(&mut self, key: &[u8], how: Departure) {
        events::leaves(self.state, self.unit, self.env, (self.session.db, key), how);
    }

    /// Notes that a key was changed: counts it for persistence, marks its watchers, tells those who have it
    /// in a cache.
    #[inline]
    pub fn changed(&mut self, key: &[u8]) {
        self.unit.call.dirty += 1;
        self.touch_watchers(key);
    }

    /// Marks the watchers of a key, and tells those who have it in a cache, without counting a change.
    #[inline]
    pub fn touch_watchers(&mut self, key: &[u8]) {
        let by = self.env.client.map(|client| client.id);
        touch(self.state, self.env.shared, self.session.db, key, by);
    }

    /// Adds to the count of changes (commands that count elements).
    #[inline]
    pub fn count_changes(&mut self, n: u64) {
        self.unit.call.dirty += n;
    }

    /// Announces an event of a key of the selected db.
    #[inline]
    pub fn notify(&mut self, class: EventClass, name: &str, key: &[u8]) {
        if !self.env.shared.is_heard(class) {
            return;
        }
        let event = KeyEvent { class, name, db: self.session.db, key };
        notify(self.state, self.unit, self.env, &event);
    }

    /// Announces that a key of the selected db came into being; `notify` for what brought it follows.
    #[inline]
    pub fn created(&mut self, key: &[u8]) {
        self.notify(EventClass::NEW, "new", key);
    }

    /// Deletes the fields of a hash whose time is over, with their event and their HDELs; says where the
    /// key is, unless no field is left.
    #[cold]
    pub fn expire_fields(&mut self, key: &[u8]) -> Option<Slot> {
        let db = self.session.db;
        expire_fields(self.state, self.unit, self.env, db, key);
        self.db().find(key)
    }

    /// Whether anyone listens to the effect log; if not, what would be propagated need not be made.
    #[inline]
    pub fn log_active(&self) -> bool {
        self.state.is_logged()
    }

    /// Propagates this command instead of the one that is running.
    pub fn propagate_as(&mut self, argv: Argv<'_>) {
        self.unit.call.propagate = Propagate::Replaced;
        self.also_propagate(argv);
    }

    /// Propagates this command beside the one that is running.
    pub fn also_propagate(&mut self, argv: Argv<'_>) {
        let (db, active) = (self.session.db, self.state.is_logged());
        also_propagate(self.unit, active, db, argv);
    }

    /// Keeps the running command out of the effect log.
    pub fn propagate_nothing(&mut self) {
        self.unit.call.propagate = Propagate::Replaced;
    }

    /// The same access to keys, for reading.
    pub fn read(&mut self) -> ReadCtx<'_> {
        ReadCtx { state: self.state, session: self.session, unit: self.unit, env: self.env }
    }
}

/// Access to the whole engine.
#[derive(Debug)]
pub struct ExclusiveCtx<'a> {
    /// The engine's state.
    pub state: &'a mut State,
    /// The client's state.
    pub session: &'a mut Session,
    /// What the unit leaves behind.
    pub unit: &'a mut Unit,
    /// What surrounds the call.
    pub env: Env<'a>,
}

impl ExclusiveCtx<'_> {
    /// The time in unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.env.now_ms()
    }

    /// As [`ReadCtx::expiry_ms`].
    pub fn expiry_ms(&self) -> i64 {
        if self.unit.trusts { 0 } else { self.now_ms() }
    }

    /// Access to keys for writing.
    pub fn write(&mut self) -> WriteCtx<'_> {
        WriteCtx { state: self.state, session: self.session, unit: self.unit, env: self.env }
    }

    /// Access to keys for reading.
    pub fn read(&mut self) -> ReadCtx<'_> {
        ReadCtx { state: self.state, session: self.session, unit: self.unit, env: self.env }
    }

    /// The same access under a shorter borrow.
    pub fn reborrow(&mut self) -> ExclusiveCtx<'_> {
        ExclusiveCtx { state: self.state, session: self.session, unit: self.unit, env: self.env }
    }
}

/// The access clock's reading, as entries keep it unless the policy is an LFU one.
#[inline]
pub fn access_clock(now_us: i64) -> u32 {
    clock_seconds(now_us)
}

/// Notes that a key was accessed: when, or how often, as the policy has it.
#[inline]
fn note_access(config: &Config, env: Env<'_>, entry: EntryRef<'_>) {
    let clock = match Lfu::of(config) {
        None => access_clock(env.now_us),
        Some(lfu) => lfu.accessed(entry.clock(), env.now_us, env.random_seed()),
    };
    entry.set_clock(clock);
}

/// Marks the watchers of a key that changed by itself, and tells those who have it in a cache.
#[inline]
pub fn touch_watchers(state: &State, shared: &Shared, db: u32, key: &[u8]) {
    touch(state, shared, db, key, None);
}

/// The same for one that a client changed, perhaps.
#[inline]
fn touch(state: &State, shared: &Shared, db: u32, key: &[u8], by: Option<u64>) {
    if !shared.tracking.is_idle() {
        shared.tracking.invalidate(shared, key, by);
    }
    if shared.watching.load(Ordering::Relaxed) != 0 {
        let exists = state.keyspace.db(db as usize).find(key).is_some();
        shared.watch.lock().touch(&Watched { db, key: key.into() }, exists);
    }
}

/// Records a command beside the running one, if anyone listens to the log.
pub fn also_propagate(unit: &mut Unit, active: bool, db: u32, argv: Argv<'_>) {
    if active {
        let targets = unit.call.targets.unwrap_or(Targets::all());
        unit.call.records.push(db, targets, argv);
    }
}

/// Records a command at once: behind what the unit has done so far, whatever becomes of the call that is running.
pub fn propagate_now(state: &State, unit: &mut Unit, db: u32, targets: Targets, argv: Argv<'_>) {
    if state.is_logged() && !unit.replays && !unit.muted && !targets.is_empty() {
        unit.records.push(db, targets, argv);
    }
}

/// Tells those who listen of a key's event: modules first, as Redis does.
#[cold]
pub fn notify(state: &mut State, unit: &mut Unit, env: Env<'_>, event: &KeyEvent<'_>) {
    if env.shared.heard.by_modules().intersects(event.class)
        && let Some(hooks) = state.hooks.clone()
    {
        let mut session = Session::internal(Mode::MODULE, event.db);
        let mut ctx = ExclusiveCtx { state, session: &mut session, unit, env };
        hooks.key_event(&mut ctx, event);
    }
    events::publish(env.shared, event);
}

/// Drops a value that stood at a key of a db and is in no db any more. The key is asked for if it is a
/// module's.
pub fn free(shared: &Shared, (db, key): (u32, &[u8]), value: Value, freeing: Freeing) {
    let is_long = match (freeing, value.as_ref()) {
        (_, ValueRef::Module(value)) => {
            let key = KeyName { name: Some(key), db: db as i32 };
            value.unlink(key);
            freeing == Freeing::Lazy && value.effort_to_free(key) > UNLINKED_AT_ONCE_MAX
        }
        (Freeing::Prompt, value) => value.elements() > FREED_AT_ONCE_MAX,
        (Freeing::Lazy, value) => value.effort_to_free() > UNLINKED_AT_ONCE_MAX,
    };
    match is_long {
        true => shared.host.free_later(Box::new(value), 1),
        false => drop(value),
    }
}

/// Deletes a key whose time is over, with its event and its DEL, or such fields of a hash.
#[cold]
pub fn expire_key(state: &mut State, unit: &mut Unit, env: Env<'_>, db: u32, key: &[u8]) {
    let table = state.keyspace.db_mut(db as usize);
    let Some(slot) = table.find(key) else { return };
    if !table.is_expired(slot, env.now_ms()) {
        expire_fields(state, unit, env, db, key);
        return;
    }
    events::leaves(state, unit, env, (db, key), Departure::Expired);
    let removed = state.keyspace.db_mut(db as usize).remove(slot);
    free(env.shared, (db, key), removed.value, Freeing::Prompt);
    block::signal(env.shared, unit, db, key);
    state.expired_keys += 1;
    touch_watchers(state, env.shared, db, key);
    if env.shared.is_heard(EventClass::EXPIRED) {
        let event = KeyEvent { class: EventClass::EXPIRED, name: "expired", db, key };
        notify(state, unit, env, &event);
    }
    // What modules do because of it comes first, as in Redis.
    if state.is_logged() {
        unit.records.push(db, Targets::all(), &[b"DEL", key]);
    }
}

/// Fields of one hash that are deleted at once; more wait for the next access.
pub const EXPIRED_FIELDS_MAX: usize = 1024;

/// Deletes the fields of a hash whose time is over, and the hash with its last field.
#[cold]
pub fn expire_fields(state: &mut State, unit: &mut Unit, env: Env<'_>, db: u32, key: &[u8]) {
    let now = env.now_ms().max(0) as u64;
    let table = state.keyspace.db_mut(db as usize);
    let Some(slot) = table.find(key) else { return };
    let ValueRef::Hash(hash) = table.value(slot) else { return };
    if hash.next_expire().is_none_or(|at| at > now) {
        return;
    }
    let ValueMut::Hash(hash) = table.value_mut(slot) else { return };
    let fields = hash.take_expired(now, EXPIRED_FIELDS_MAX);
    let is_empty = hash.is_empty();
    if is_empty {
        events::leaves(state, unit, env, (db, key), Departure::Deleted);
        drop(state.keyspace.db_mut(db as usize).remove(slot));
    }
    if fields.is_empty() {
        return;
    }
    state.expired_fields += fields.len() as u64;
    if is_empty {
        block::signal(env.shared, unit, db, key);
    }
    touch_watchers(state, env.shared, db, key);
    if state.is_logged() {
        for field in &fields {
            unit.records.push(db, Targets::all(), &[b"HDEL", key, field]);
        }
    }
    for (class, name) in [(EventClass::HASH, "hexpired"), (EventClass::GENERIC, "del")] {
        if env.shared.is_heard(class) && (class == EventClass::HASH || is_empty) {
            notify(state, unit, env, &KeyEvent { class, name, db, key });
        }
    }
}

/// Whether a client is to be told that its watched keys changed.
pub fn is_dirty(client: &Client) -> bool {
    client.dirty.load(Ordering::Relaxed)
}
