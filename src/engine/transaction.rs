//! How do MULTI, EXEC and WATCH work? Commands queue up in the session and run as one unit.
//!
//! Invariants: a transaction that was refused a command, or whose watched keys changed, runs nothing;
//! what runs is one unit, so its effects leave together.

use std::sync::atomic::Ordering;

use super::acl::check::check_session;
use super::acl::log::{Context, Reason};
use super::call::{Access, nested};
use super::client::{Mode, Multi, Queued, Session, Watched};
use super::ctx::{Env, ExclusiveCtx, ReadCtx};
use super::error::CommandError;
use super::registry::Command;
use super::slow::observe;
use super::spec::{Argv, Outcome};
use super::state::{Shared, State};
use crate::resp::reply::Reply;

/// Queues a command, whose flags for these arguments are given, between MULTI and EXEC. The queue's bytes count
/// against `client-query-buffer-limit`; whoever has it grow past that is closed, and what it still sends is not
/// queued.
pub fn queue(
    session: &mut Session,
    env: Env<'_>,
    command: &'static Command,
    flags: u32,
    argv: Argv<'_>,
    out: &mut Vec<u8>,
) {
    session.multi.flags |= flags;
    session.multi.missing |= !flags;
    let texts: usize = argv.iter().map(|arg| arg.len() + size_of::<Box<[u8]>>()).sum();
    let bytes = texts + size_of::<Queued>();
    session.multi.bytes += bytes;
    // Without a client it is the append-only file that is read.
    if let Some(client) = env.client
        && session.multi.bytes > env.shared.limits.query_bytes.load(Ordering::Relaxed)
    {
        session.multi.queue = Vec::new();
        session.multi.aborted = true;
        client.kill();
        return;
    }
    let argv = argv.iter().map(|arg| Box::from(*arg)).collect();
    session.multi.queue.push(Queued { command, argv });
    out.extend_from_slice(b"+QUEUED\r\n");
}

/// Ends the transaction and forgets its watches.
pub fn discard(session: &mut Session, env: Env<'_>) {
    session.multi = Multi::default();
    session.mode.remove(Mode::MULTI);
    unwatch_all(session, env);
}

/// Runs the queued commands as one unit.
pub fn exec(ctx: &mut ExclusiveCtx<'_>, reply: &mut Reply<'_>) -> Outcome {
    let multi = std::mem::take(&mut ctx.session.multi);
    let dirty = ctx.env.client.is_some_and(|client| client.dirty.load(Ordering::Relaxed))
        || a_watched_key_expired(ctx.state, ctx.session, ctx.env);
    discard(ctx.session, ctx.env);
    if multi.aborted {
        return Err(CommandError::ExecAbort);
    }
    if dirty {
        reply.null_array();
        return Ok(());
    }
    reply.array(multi.queue.len());
    ctx.unit.deny_blocking = true;
    ctx.unit.in_exec = true;
    let mono_ns = ctx.env.shared.clock.mono_ns;
    let mut began_ns = mono_ns();
    for Queued { command, argv } in &multi.queue {
        let argv: Vec<&[u8]> = argv.iter().map(|arg| &**arg).collect();
        // The user may have lost permissions since, even by what has just run.
        if ctx.session.is_restricted()
            && let Some(text) = refusal(ctx, command, &argv)
        {
            ctx.env.stats.error(&text);
            reply.error(&text);
            continue;
        }
        let mut access = Access::Exclusive(ctx.state);
        ctx.unit.began_ns = began_ns;
        nested(&mut access, ctx.session, ctx.unit, ctx.env, command, &argv, reply.buffer());
        reply.set_protocol(ctx.session.protocol);
        let ended_ns = ctx.unit.take_end(mono_ns);
        observe(command, ended_ns - began_ns, &argv, ctx.session, ctx.env);
        began_ns = ended_ns;
    }
    ctx.unit.deny_blocking = false;
    ctx.unit.in_exec = false;
    Ok(())
}

/// Why a queued command is not permitted any more, if it is not.
#[cold]
fn refusal(ctx: &ExclusiveCtx<'_>, command: &Command, argv: Argv<'_>) -> Option<Vec<u8>> {
    let (denied, _) = check_session(ctx.session, ctx.env, command, argv, Context::Multi)?;
    let why = match denied.reason {
        Reason::Key => "no permission to touch the specified keys",
        Reason::Channel => {
            "no permission to access one of the channels used as arguments to the command"
        }
        Reason::Command | Reason::Auth => "no permission to execute the command",
    };
    let text = format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC \
         call. This command is no longer allowed for the following reason: {why}"
    );
    Some(text.into_bytes())
}

/// Watches keys of the selected db.
pub fn watch(ctx: &mut ReadCtx<'_>, keys: Argv<'_>) -> Outcome {
    let Some(client) = ctx.env.client else { return Err(CommandError::NotInScript) };
    let now_ms = ctx.now_ms();
    for key in keys {
        let watched = Watched { db: ctx.session.db, key: (*key).into() };
        // The table knows without a walk through all that this client watches.
        if ctx.env.shared.watch.lock().has(&watched, client.id) {
            continue;
        }
        let db = ctx.db();
        let stale = db.find(key).is_some_and(|slot| db.is_expired(slot, now_ms));
        ctx.env.shared.watch.lock().watch(watched.clone(), client, stale);
        ctx.env.shared.watching.fetch_add(1, Ordering::Relaxed);
        ctx.session.watched.push(watched);
    }
    Ok(())
}

/// Forgets all watches of the session.
pub fn unwatch_all(session: &mut Session, env: Env<'_>) {
    let Some(client) = env.client else { return };
    forget_watches(env.shared, session, client.id);
    client.dirty.store(false, Ordering::Relaxed);
}

/// Forgets the watches of a client that leaves.
pub fn forget_watches(shared: &Shared, session: &mut Session, client: u64) {
    if session.watched.is_empty() {
        return;
    }
    let mut table = shared.watch.lock();
    for watched in session.watched.drain(..) {
        table.unwatch(&watched, client);
        shared.watching.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a watched key that was alive when the watch began is past its time now. One that was
/// past it already does not count, and neither does its deletion.
fn a_watched_key_expired(state: &State, session: &Session, env: Env<'_>) -> bool {
    let client = env.client.map_or(0, |client| client.id);
    session.watched.iter().any(|watched| {
        let db = state.keyspace.db(watched.db as usize);
        db.find(&watched.key).is_some_and(|slot| db.is_expired(slot, env.now_ms()))
            && !env.shared.watch.lock().is_stale(watched, client)
    })
}
