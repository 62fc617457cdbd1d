//! How does a command run? The one pipeline: look-up, arity, authentication, state checks, MULTI's
//! queue, the handler, effects.
//!
//! A batch of a client's requests goes through [`run_batch`], which takes the lock once for many
//! commands; scripts, EXEC and modules come in through [`nested`] with the access that they hold.

mod admit;

pub mod filtered;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ahead;
use super::block::{self, Waiting};
use super::client::{Client, Mode as Mark, Session};
use super::client_info;
use super::ctx::{Env, ExclusiveCtx, Freeing, ReadCtx, SessionCtx, WriteCtx, expire_key, free};
use super::effects::{Block, CallEffects, EventClass, Propagate, Targets, Unit};
use super::error::CommandError;
use super::events;
use super::evict::{self, Room};
use super::keys;
use super::lock::{Busy, Engine, Mode};
use super::log::Bond;
use super::monitor::{Moment, show};
use super::registry::{Command, Registry};
use super::replication::role;
use super::slow::observe;
use super::spec::{Argv, Flag, Outcome, Run};
use super::state::{Shared, State};
use super::tracking;
use super::transaction;
use super::unchecked;
use super::visits::{Visiting, run_while_busy};
use crate::keyspace::db::Displaced;
use crate::resp::reply::Reply;

use admit::admit;
pub use admit::{check_shape, check_subcommand, unknown_command};

/// Commands that one hold of the lock runs at most.
pub const HOLD_COMMANDS_MAX: usize = 128;
/// Time that one hold of the lock takes at most, unless a single command takes longer.
const HOLD_NANOS_MAX: u64 = 500_000;
/// Bytes of replies after which a batch makes a pause, so that its caller can send them before more are made:
/// a few bytes ask for a large value.
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// A request, looked up.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The command, if its name is known.
    pub command: Option<&'static Command>,
    /// The arguments.
    pub argv: Argv<'a>,
}

/// The access that the caller holds.
#[derive(Debug)]
pub enum Access<'a> {
    /// No lock.
    Session,
    /// The shared lock.
    Shared(&'a State),
    /// The exclusive lock.
    Exclusive(&'a mut State),
}

impl Access<'_> {
    /// The state, if a lock is held.
    pub fn state(&self) -> Option<&State> {
        match self {
            Access::Session => None,
            Access::Shared(state) => Some(state),
            Access::Exclusive(state) => Some(state),
        }
    }

    /// The flags of a command for these arguments. Without the state they are those of the command.
    #[inline]
    pub fn flags_of(&self, command: &Command, argv: Argv<'_>) -> u32 {
        let Some(flags_of) = command.spec.flags_of else { return command.flags };
        match self {
            Access::Session => command.flags,
            Access::Shared(state) => flags_of(state, argv, command.flags),
            Access::Exclusive(state) => flags_of(state, argv, command.flags),
        }
    }
}

/// What a connection hands to the engine.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The client.
    pub client: &'a Arc<Client>,
    /// The worker's number.
    pub worker: usize,
    /// The generation of the registry that the requests were looked up in.
    pub generation: u64,
}

/// How far a batch came.
#[derive(Debug, Default)]
pub struct BatchEnd {
    /// Requests that were answered.
    pub done: usize,
    /// Some of the answers show data, so that they must not leave before the log is durable.
    pub shows_data: bool,
    /// The connection is to be closed when the replies are out.
    pub close: bool,
    /// The last command waits; its answer comes through the outbox or at the deadline.
    pub block: Option<Block>,
}

/// The access that a command needs.
#[inline]
pub fn mode_of(command: Option<&Command>) -> Mode {
    match command.map(|command| command.spec.run) {
        None | Some(Run::Session(_) | Run::Container) => Mode::Session,
        Some(Run::Read(_) | Run::ForeignRead(_)) => Mode::Shared,
        Some(Run::Write(_) | Run::Exclusive(_) | Run::Foreign(_)) => Mode::Exclusive,
    }
}

/// Runs a client's requests in order, in as few holds of the lock as their bounds allow. Comes back before all
/// are done when the client is to be closed, waits, or gets more than [`OUTPUT_BYTES_MAX`].
pub fn run_batch(
    mut caller: Caller<'_>,
    requests: &mut [Request<'_>],
    out: &mut Vec<u8>,
) -> BatchEnd {
    let mut end = BatchEnd::default();
    let engine = caller.engine;
    let full = out.len() + OUTPUT_BYTES_MAX;
    while end.done < requests.len() && !end.close && end.block.is_none() && out.len() < full {
        let rest = &requests[end.done..];
        let hold = &rest[..rest.len().min(HOLD_COMMANDS_MAX)];
        let mut mode = hold.iter().map(|r| mode_of(r.command)).max().unwrap_or(Mode::Session);
        if engine.shared.attached.has_filters() {
            mode = Mode::Exclusive;
        } else if mode == Mode::Shared
            && (engine.shared.is_heard(EventClass::KEY_MISS) || engine.shared.wants_eviction())
        {
            // Reads cause events, which modules may answer with writes; and they, too, make room first.
            mode = Mode::Exclusive;
        }
        if engine.shared.modules_log_in.load(Ordering::Relaxed)
            && hold.iter().any(|request| request.command.is_some_and(|one| one.spec.logs_in))
        {
            mode = Mode::Exclusive;
        }
        let ran = match mode {
            // What needs no lock is refused as well, so that PING tells of the script.
            Mode::Session if engine.shared.busy.is_on() => Err(Busy),
            Mode::Session => {
                run_hold(caller, Access::Session, hold, out, &mut end);
                Ok(())
            }
            Mode::Shared => engine.read().map(|state| {
                if state.registry.generation() == caller.generation {
                    run_hold(caller, Access::Shared(&state), hold, out, &mut end);
                }
            }),
            Mode::Exclusive => engine.write().map(|mut state| {
                if state.registry.generation() == caller.generation {
                    run_hold(caller, Access::Exclusive(&mut state), hold, out, &mut end);
                }
            }),
        };
        if ran == Err(Busy) {
            run_while_busy(caller, &hold[..1], out, &mut end, Visiting::HandOver);
        }
        match mode {
            // Monitors were told, perhaps.
            Mode::Session => engine.shared.post.deliver(),
            Mode::Shared => delete_expired(caller),
            Mode::Exclusive => {}
        }
        let current = engine.shared.registry_generation.load(Ordering::Acquire);
        if current != caller.generation {
            let registry = Arc::clone(&engine.shared.registry.read());
            caller.generation = registry.generation();
            for request in requests.iter_mut() {
                request.command = registry.resolve(request.argv);
            }
        }
    }
    if engine.shared.attached.has_turns() {
        filtered::end_turn(engine);
    }
    end
}

/// Deletes what a batch of reads found expired, if nobody holds the lock; else the cron will.
fn delete_expired(caller: Caller<'_>) {
    let shared = &caller.engine.shared;
    if !shared.has_expired.load(Ordering::Relaxed) {
        return;
    }
    if let Some(mut state) = caller.engine.try_write() {
        let now_us = (shared.clock.unix_us)();
        let stats = &shared.workers[caller.worker];
        let env = Env { shared, stats, worker: caller.worker, client: None, now_us };
        drain_expired(&mut state, shared, env);
    }
}

/// Runs requests under one access until all are done, one blocks or closes, or the time is up.
pub(super) fn run_hold(
    caller: Caller<'_>,
    mut access: Access<'_>,
    hold: &[Request<'_>],
    out: &mut Vec<u8>,
    end: &mut BatchEnd,
) {
    let shared = &caller.engine.shared;
    let mut session = caller.client.session.lock();
    let mut seen = Vec::new();
    if hold.len() > 1 {
        ahead::fetch(&access, session.db, hold, &mut seen);
    }
    let began_us = (shared.clock.unix_us)();
    let began_ns = (shared.clock.mono_ns)();
    let stats = &shared.workers[caller.worker];
    let mut env =
        Env { shared, stats, worker: caller.worker, client: Some(caller.client), now_us: began_us };
    let mut unit = Unit::default();
    let mut last_ns = began_ns;
    let done_before = end.done;
    let full = out.len() + OUTPUT_BYTES_MAX;
    let client = caller.client;
    let output_max = shared.limits.output_of(client).hard.load(Ordering::Relaxed);
    if client.has_messages() {
        client.take_messages(out);
    }
    for (at, request) in hold.iter().enumerate() {
        if let Some(place) = seen.get(at) {
            unit.seen = *place;
        }
        let kept = filtered::look(&mut access, &mut session, &mut unit, env, request.argv);
        let argv = kept.as_ref().map(filtered::slices);
        let replaced = argv.as_ref().map(|argv| filtered::request(&access, argv));
        // Not copied where nothing was replaced: what has just been stored is slow to load.
        let request = replaced.as_ref().unwrap_or(request);
        unit.began_ns = last_ns;
        let ran = client_call(&mut access, &mut session, &mut unit, env, *request, out);
        if let Some(Block::Paused { .. }) = unit.block {
            begin_wait(caller, &mut session, &mut unit, *request);
            session.filtered = kept;
            break;
        }
        end.done += 1;
        end.shows_data |= ran.is_some_and(Command::shows_data);
        if unit.block.is_some() {
            begin_wait(caller, &mut session, &mut unit, *request);
        }
        let now_ns = unit.take_end(shared.clock.mono_ns);
        // A command that waits is observed when it is served.
        if let Some(command) = ran
            && unit.block.is_none()
        {
            observe(command, now_ns - last_ns, request.argv, &session, env);
        }
        last_ns = now_ns;
        env.now_us = began_us + ((now_ns - began_ns) / 1000) as i64;
        end_unit(&mut access, &mut unit, env);
        if client.has_messages() {
            client.take_messages(out);
        }
        if client.has_too_much(output_max, out.len()) {
            // It gets nothing of all that, as from Redis: what has been run, stays run.
            *out = Vec::new();
            client.cut_off();
            unit.close = true;
        }
        let is_long = now_ns - began_ns > HOLD_NANOS_MAX || out.len() >= full;
        if unit.close || unit.block.is_some() || is_long {
            break;
        }
    }
    stats.hold_commands_max.note((end.done - done_before) as u64);
    stats.hold_nanos.add(last_ns - began_ns);
    stats.hold_nanos_max.note(last_ns - began_ns);
    if shared.client_memory.is_limited() {
        client.note_session(&session);
    }
    if unit.close {
        end.close = true;
        client.leaving.store(true, Ordering::Relaxed);
    }
    end.block = unit.block.take();
    if let Some(request) = unit.request.take() {
        shared.host.request(request);
    }
    caller.client.active_ms.store(env.now_us / 1000, Ordering::Relaxed);
}

/// Notes, while the lock is held, that the client's command waits.
#[cold]
fn begin_wait(caller: Caller<'_>, session: &mut Session, unit: &mut Unit, request: Request<'_>) {
    session.mode.insert(Mark::BLOCKED);
    let Some(block) = &unit.block else { return };
    if let Block::Paused { .. } = block {
        caller.engine.shared.pause.enter(caller.client.id);
    }
    session.blocked_reply = block.on_timeout().map(<[u8]>::to_vec);
    if let Block::Elsewhere { wanted, .. } = block {
        let durable = &caller.engine.shared.durable;
        session.blocked_reply = Some(Vec::new());
        let client = Arc::clone(caller.client);
        if let Some(reply) = durable.elsewhere.enter(client, *wanted, durable.kept()) {
            session.blocked_reply = None;
            caller.client.unblock(if session.drops_reply() { b"" } else { &reply });
        }
    }
    if let (Block::Keys { wanted, .. }, Some(command)) = (block, request.command) {
        let shared = &caller.engine.shared;
        let kept = unit.waiting_argv.take();
        let argv: Vec<&[u8]> = match &kept {
            Some(argv) => argv.iter().map(|arg| &**arg).collect(),
            None => request.argv.to_vec(),
        };
        session.waiting_argv_bytes =
            argv.iter().map(|arg| arg.len() + size_of::<Box<[u8]>>()).sum();
        let (client, db) = (caller.client, session.db);
        let waiting =
            Waiting { client, command, argv: &argv, db, wanted, foreign: None, nested: None };
        block::enter(shared, waiting);
    }
    if let (Block::Foreign { wait, wanted }, Some(command)) = (block, request.command) {
        let shared = &caller.engine.shared;
        let nanos = (shared.clock.mono_ns)().saturating_sub(unit.began_ns);
        wait.0.begun(command, request.argv, nanos);
        session.foreign = Some(wait.clone());
        if let Some(wanted) = wanted {
            let (client, argv, db) = (caller.client, request.argv, session.db);
            let (foreign, nested) = (Some(wait), None);
            let waiting = Waiting { client, command, argv, db, wanted, foreign, nested };
            block::enter(shared, waiting);
        }
    }
}

/// Runs one request of a client and writes its reply. Says which command ran, if it was neither
/// refused nor queued.
#[inline]
pub(super) fn client_call(
    access: &mut Access<'_>,
    session: &mut Session,
    unit: &mut Unit,
    env: Env<'_>,
    request: Request<'_>,
    out: &mut Vec<u8>,
) -> Option<&'static Command> {
    let room = if env.shared.is_out_of_memory() && !unit.again {
        let room = evict::make_room(access, env);
        // What is known of keys that went comes before the reply.
        if let Some(client) = env.client.filter(|client| client.has_messages()) {
            client.take_messages(out);
        }
        room
    } else {
        Room::Made
    };
    let before = out.len();
    let mut ran = None;
    session.last_command = request.command;
    if let Err(error) = admit(access, session, unit, env, request, room) {
        refuse(session, env, request, error, out);
    } else if let Some(command) = request.command {
        let argv = request.argv;
        let pause = &env.shared.pause;
        if let Some(until_ms) = pause.holds_back(access, session, env, command, argv) {
            unit.block = Some(Block::Paused { until_ms });
            return None;
        }
        if session.mode.contains(Mark::MULTI) && !command.has(Flag::NotQueued) {
            let flags = access.flags_of(command, argv);
            transaction::queue(session, env, command, flags, argv, out);
        } else {
            perform(access, session, unit, env, command, argv, out);
            unit.scattered = command.has(Flag::TouchesArbitraryKeys);
            ran = Some(command);
        }
    }
    // The reply of a command that waits is still to come.
    if session.mode.intersects(SILENT) && unit.block.is_none() {
        let is_message = ran.is_some_and(|command| command.has(Flag::RepliesByPush));
        silence(session, if is_message { out.len() } else { before }, out);
    }
    tracking::end_caching(session, env, request.command);
    if session.mode.contains(Mark::REPLICA)
        && out.len() > before
        && let Some(client) = env.client
    {
        tell_misuse(client, session, request.command, &out[before..], env);
        out.truncate(before);
        unit.close = true;
    }
    ran
}

/// The connection of a replica is for the stream: a command with a reply would put something else between.
#[cold]
fn tell_misuse(
    client: &Client,
    session: &Session,
    command: Option<&'static Command>,
    reply: &[u8],
    env: Env<'_>,
) {
    let name = command.map_or_else(|| b"<unknown>".to_vec(), |command| command.full_name());
    if let Some(error) = reply.strip_prefix(b"-") {
        tracing::warn!(
            "== CRITICAL == This master is sending an error to its replica: '{}' after processing the \
             command '{}'",
            String::from_utf8_lossy(error).trim_end(),
            String::from_utf8_lossy(&name),
        );
    }
    let line = client_info::line(client, session, env.now_us / 1000);
    tracing::warn!(
        "Replica generated a reply to command '{}', disconnecting it: {}",
        String::from_utf8_lossy(&name),
        String::from_utf8_lossy(&line)
    );
}

/// CLIENT REPLY has something to say about the reply.
pub(super) const SILENT: Mark =
    Mark::REPLY_OFF.union(Mark::REPLY_SKIP).union(Mark::REPLY_SKIP_NEXT);

/// CLIENT REPLY OFF and SKIP: drops the reply.
pub(super) fn silence(session: &mut Session, before: usize, out: &mut Vec<u8>) {
    if session.mode.intersects(Mark::REPLY_OFF | Mark::REPLY_SKIP) {
        out.truncate(before);
    }
    session.mode.remove(Mark::REPLY_SKIP);
    if session.mode.contains(Mark::REPLY_SKIP_NEXT) {
        session.mode.remove(Mark::REPLY_SKIP_NEXT);
        session.mode.insert(Mark::REPLY_SKIP);
    }
}

/// Writes a refusal and counts it. A refused command spoils the open transaction; a refused EXEC
/// ends it.
pub(super) fn refuse(
    session: &mut Session,
    env: Env<'_>,
    request: Request<'_>,
    error: CommandError,
    out: &mut Vec<u8>,
) {
    session.multi.aborted |= session.mode.contains(Mark::MULTI);
    let mut error = error;
    if let Some(command) = request.command {
        command.stats[env.worker].rejected.add(1);
        if command.has(Flag::RunsQueue) {
            // Monitors have seen MULTI, so they see its end.
            show(Moment::After, session, env, command, request.argv);
            transaction::discard(session, env);
            let text = error.to_string();
            // Redis quotes the reason without its code if that is the general one.
            error = CommandError::ExecRefused(text.strip_prefix("ERR ").unwrap_or(&text).into());
        }
    }
    let text = error.bytes();
    env.stats.error(&text);
    Reply::new(out, crate::resp::reply::Protocol::Resp2).error(&text);
}

/// Runs an admitted command: handler, reply, the call's effects, figures.
#[inline]
pub fn perform(
    access: &mut Access<'_>,
    session: &mut Session,
    unit: &mut Unit,
    env: Env<'_>,
    command: &'static Command,
    argv: Argv<'_>,
    out: &mut Vec<u8>,
) {
    let (protocol, before) = (session.protocol, out.len());
    let is_watched = env.shared.monitors.is_heard() && !unit.again;
    if is_watched {
        show(Moment::Before, session, env, command, argv);
    }
    let mut reply = Reply::new(out, protocol);
    let outcome = run(access, session, unit, env, command, argv, &mut reply);
    let figures = &command.stats[env.worker];
    // A command that waits is counted when it is served, one of the append-only file was when it ran first.
    if unit.block.is_none() && !unit.replays {
        figures.calls.add(1);
        env.stats.commands.add(1);
    }
    if let Err(mut error) = outcome {
        out.truncate(before);
        if error == CommandError::WrongType
            && let Some(state) = access.state()
        {
            error = unchecked::explain(state, session.db, env, command, argv);
        }
        let text = error.bytes();
        Reply::new(out, protocol).error(&text);
        figures.failed.add(1);
        // What a module is told counts if it passes it on.
        if !session.mode.contains(Mark::MODULE) {
            env.stats.error(&text);
        }
    } else if out.get(before) == Some(&b'-') {
        // A script or a module has failed; whoever made the error has counted it.
        figures.failed.add(1);
    }
    if is_watched {
        show(Moment::After, session, env, command, argv);
    }
    if unit.call.dirty != 0 || unit.call.propagate != Propagate::Verbatim {
        if let Run::Foreign(_) = command.spec.run {
            // Modules say themselves what is propagated.
            unit.call.propagate = Propagate::Replaced;
        }
        note_own_expiry(access, session, unit, command, argv);
        end_call(access, session, unit, env, argv);
    }
    if command.has(Flag::ReadOnly) {
        tracking::end_read(env, command, argv);
    }
    if !unit.missed.is_empty() {
        events::announce_misses(access, unit, env, session.db, argv);
    }
}

/// Hands the command to its handler with the access that it declares.
#[inline]
fn run(
    access: &mut Access<'_>,
    session: &mut Session,
    unit: &mut Unit,
    env: Env<'_>,
    command: &'static Command,
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    match (command.spec.run, access) {
        (Run::Session(handler), access) => {
            let state = match access {
                Access::Exclusive(state) => Some(&mut **state),
                Access::Shared(_) | Access::Session => None,
            };
            handler(&mut SessionCtx { state, session, unit, env }, argv, reply)
        }
        (Run::Read(handler), Access::Shared(state)) => {
            handler(&mut ReadCtx { state, session, unit, env }, argv, reply)
        }
        (Run::Read(handler), Access::Exclusive(state)) => {
            handler(&mut ReadCtx { state, session, unit, env }, argv, reply)
        }
        (Run::Write(handler), Access::Exclusive(state)) => {
            handler(&mut WriteCtx { state, session, unit, env }, argv, reply)
        }
        (Run::Exclusive(handler), Access::Exclusive(state)) => {
            handler(&mut ExclusiveCtx { state, session, unit, env }, argv, reply)
        }
        (Run::Foreign(foreign), Access::Exclusive(state)) => {
            foreign.call(&mut ExclusiveCtx { state, session, unit, env }, argv, reply)
        }
        (Run::ForeignRead(foreign), Access::Shared(state)) => {
            foreign.call_beside(&mut ReadCtx { state, session, unit, env }, argv, reply)
        }
        (Run::ForeignRead(foreign), Access::Exclusive(state)) => {
            foreign.call_beside(&mut ReadCtx { state, session, unit, env }, argv, reply)
        }
        (Run::Container, _) => Err(CommandError::Arity(command.name.to_string())),
        // A read-only script is the only caller that holds less than a command may need.
        (_, Access::Shared(_) | Access::Session) => Err(CommandError::WriteInReadOnlyScript),
    }
}

/// A replica that takes writes of its own notes which of their keys are to go by themselves: its primary does not know
/// them.
#[inline]
fn note_own_expiry(
    access: &mut Access<'_>,
    session: &Session,
    unit: &Unit,
    command: &Command,
    argv: Argv<'_>,
) {
    if let Access::Exclusive(state) = access
        && state.replication.is_replica()
        && !unit.trusts
    {
        for key in keys::find(command, argv).into_iter().flatten() {
            if let Some(key) = argv.get(key.position) {
                role::note_own_expiry(state, session.db, key);
            }
        }
    }
}

/// The effects of a call: what it changed is counted and, if anyone listens, recorded.
pub(super) fn end_call(
    access: &mut Access<'_>,
    session: &Session,
    unit: &mut Unit,
    env: Env<'_>,
    argv: Argv<'_>,
) {
    let dirty = std::mem::take(&mut unit.call.dirty);
    let propagate = std::mem::take(&mut unit.call.propagate);
    let targets = unit.call.targets.take().unwrap_or(Targets::all());
    let Access::Exclusive(state) = access else { return unit.call.records.clear() };
    let db = state.keyspace.db_mut(session.db as usize);
    // Values that were written over are freed here, with no borrow of the keyspace alive.
    for Displaced { key, value } in db.take_displaced().into_iter().flatten() {
        free(env.shared, (session.db, &key), value, Freeing::Prompt);
    }
    state.dirty += dirty;
    unit.wrote |= dirty > 0;
    if !state.is_logged() || unit.replays || unit.muted {
        return unit.call.records.clear();
    }
    let verbatim = match propagate {
        Propagate::Verbatim => dirty > 0,
        Propagate::Always => true,
        Propagate::Replaced => false,
    };
    if verbatim && !targets.is_empty() {
        unit.records.push(session.db, targets, argv);
    }
    unit.records.append(&mut unit.call.records);
}

/// The effects of a unit: keys found expired are deleted, records enter the log.
#[inline]
pub fn end_unit(access: &mut Access<'_>, unit: &mut Unit, env: Env<'_>) {
    if unit.records.is_empty() && unit.expired.is_empty() && unit.ready.is_empty() && !unit.has_jobs
    {
        return;
    }
    end_unit_slow(access, unit, env);
}

#[cold]
fn end_unit_slow(access: &mut Access<'_>, unit: &mut Unit, env: Env<'_>) {
    let mut expired = std::mem::take(&mut unit.expired);
    if env.shared.pause.is_active(env.now_ms()) {
        // They stay, invisible.
        expired.clear();
    }
    if let Access::Exclusive(state) = access
        && state.replication.is_replica()
    {
        // The same, until the primary says that they go.
        expired.clear();
    }
    match access {
        Access::Exclusive(state) => {
            for (db, key) in expired {
                expire_key(state, unit, env, db, &key);
            }
            if unit.has_jobs {
                run_jobs(state, unit, env);
            }
            let bond = if unit.scattered { Bond::Apart } else { Bond::Together };
            state.log.append(&unit.records, bond, env.now_us);
            if state.replication.feed(&unit.records, bond)
                && let Some(client) = env.client
            {
                client.wrote_offset.store(state.replication.offset(), Ordering::Relaxed);
            }
            unit.records.clear();
            if !unit.ready.is_empty() {
                block::serve(access, unit, env);
            }
        }
        Access::Shared(_) | Access::Session => env.shared.queue_expired(expired),
    }
}

/// Runs what modules want done at the end of the unit, until they want nothing more. Keys that they find expired go
/// in between.
#[cold]
fn run_jobs(state: &mut State, unit: &mut Unit, env: Env<'_>) {
    let Some(hooks) = state.hooks.clone() else { return };
    let keeps = state.replication.is_replica() || env.shared.pause.is_active(env.now_ms());
    while std::mem::take(&mut unit.has_jobs) {
        let mut session = Session::internal(Mark::MODULE, 0);
        hooks.unit_end(&mut ExclusiveCtx { state, session: &mut session, unit, env });
        for (db, key) in std::mem::take(&mut unit.expired) {
            if !keeps {
                expire_key(state, unit, env, db, &key);
            }
        }
    }
}

/// Runs a command inside another: from a script, EXEC or a module. The caller's effects are kept
/// apart, the nested call's are finished here. All checks but those of a client apply.
pub fn nested(
    access: &mut Access<'_>,
    session: &mut Session,
    unit: &mut Unit,
    env: Env<'_>,
    command: &'static Command,
    argv: Argv<'_>,
    out: &mut Vec<u8>,
) {
    let denied = std::mem::replace(&mut unit.deny_blocking, true);
    nested_call(access, session, unit, env, (command, argv), out);
    unit.deny_blocking = denied;
}

/// The same for a command that may wait; the caller sees to that.
pub fn nested_waiting(
    access: &mut Access<'_>,
    session: &mut Session,
    unit: &mut Unit,
    env: Env<'_>,
    call: (&'static Command, Argv<'_>),
    out: &mut Vec<u8>,
) -> Option<Block> {
    let denied = std::mem::replace(&mut unit.deny_blocking, false);
    let waits = unit.block.take();
    nested_call(access, session, unit, env, call, out);
    unit.deny_blocking = denied;
    std::mem::replace(&mut unit.block, waits)
}

fn nested_call(
    access: &mut Access<'_>,
    session: &mut Session,
    unit: &mut Unit,
    env: Env<'_>,
    (command, argv): (&'static Command, Argv<'_>),
    out: &mut Vec<u8>,
) {
    if unit.frozen && command.has(Flag::Write) {
        let text = format!("ERR '{}' writes, and nothing may change now", command.name);
        return Reply::new(out, session.protocol).error(text.as_bytes());
    }
    let outer: CallEffects = std::mem::take(&mut unit.call);
    unit.call.targets = outer.targets;
    perform(access, session, unit, env, command, argv, out);
    unit.call = outer;
}

/// Looks requests up in a registry.
pub fn look_up<'a>(registry: &Registry, argv: Argv<'a>) -> Request<'a> {
    Request { command: registry.resolve(argv), argv }
}

/// Deletes the keys that readers found expired and left behind.
pub fn drain_expired(state: &mut State, shared: &Shared, env: Env<'_>) {
    if shared.pause.is_active(env.now_ms()) {
        return;
    }
    let queued = {
        let mut queue = shared.expired.lock();
        shared.has_expired.store(false, Ordering::Relaxed);
        std::mem::take(&mut *queue)
    };
    // Each goes for itself, with what modules do because of it.
    for (number, key) in queued {
        let db = state.keyspace.db(number as usize);
        // Of a hash that stays, only fields go, and those not together.
        let stays = db.find(&key).is_some_and(|slot| !db.is_expired(slot, env.now_ms()));
        let mut unit = Unit { expired: vec![(number, key)], scattered: stays, ..Unit::default() };
        end_unit(&mut Access::Exclusive(state), &mut unit, env);
    }
}
