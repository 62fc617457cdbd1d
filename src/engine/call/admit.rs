//! May this request of a client run now? Its shape, the client's user, and the state of the server: memory, files,
//! role, loading.

use super::{Access, Request};
use crate::engine::acl::check::check_session;
use crate::engine::acl::log::Context;
use crate::engine::client::{Mode as Mark, Session};
use crate::engine::ctx::Env;
use crate::engine::effects::Unit;
use crate::engine::error::CommandError;
use crate::engine::evict::Room;
use crate::engine::pubsub;
use crate::engine::registry::Command;
use crate::engine::spec::{Argv, Flag, Run};
use crate::engine::state::RoleRefusals;

/// Flags of commands that look at keys or change them.
const TOUCHES_KEYS: u32 = Flag::ReadOnly.bit() | Flag::Write.bit() | Flag::MayReplicate.bit();

/// Whether a client's request may run at all.
#[inline]
pub(super) fn admit(
    access: &Access<'_>,
    session: &Session,
    unit: &mut Unit,
    env: Env<'_>,
    request: Request<'_>,
    room: Room,
) -> Result<(), CommandError> {
    let argv = request.argv;
    let Some(command) = request.command else {
        unit.close |= is_foreign_protocol(argv, env);
        return Err(unknown_command(argv));
    };
    check_shape(command, argv)?;
    if session.mode.intersects(Mark::CAREFUL) {
        // Once there is no password any more, nothing is owed.
        if session.mode.contains(Mark::UNAUTHENTICATED)
            && !command.has(Flag::NoAuth)
            && !env.shared.users.default_user().lets_in()
        {
            return Err(CommandError::NoAuth);
        }
        if session.mode.contains(Mark::MULTI) && command.has(Flag::NoMulti) {
            return Err(CommandError::NotInMulti);
        }
    }
    if session.is_restricted() {
        check_permission(session, env, command, argv)?;
    }
    if room == Room::None && needs_memory(session, command) {
        return Err(CommandError::OutOfMemory);
    }
    if let Some(refusal) = env.shared.write_refusal() {
        // PING as well, so that whoever looks after the server notices.
        let is_ping = refusal != CommandError::NoReplicas && command.spec.name == "PING";
        if is_ping || may_write(session, command) {
            return Err(refusal);
        }
    }
    let refusals = env.shared.role_refusals();
    if refusals.contains(RoleRefusals::WRITES)
        && all_flags(access, session, command, argv) & Flag::Write.bit() != 0
    {
        return Err(CommandError::ReadOnlyReplica);
    }
    if session.mode.contains(Mark::REPLICA)
        && all_flags(access, session, command, argv) & TOUCHES_KEYS != 0
    {
        return Err(CommandError::text("ERR Replica can't interact with the keyspace"));
    }
    if session.mode.intersects(Mark::SUBSCRIBED | Mark::MONITOR) {
        pubsub::check_listener(session, command)?;
    }
    if refusals.contains(RoleRefusals::STALE)
        && shows_stale(access.flags_of(command, argv), session, command)
    {
        return Err(CommandError::MasterDown);
    }
    if env.shared.loading.is_on() && !may_run_while_loading(session, command) {
        return Err(CommandError::Loading);
    }
    if command.has(Flag::NoAsyncLoading) && env.shared.loading.is_beside() {
        return Err(CommandError::Loading);
    }
    Ok(())
}

/// Whether the client's user may run the command on what it names.
#[cold]
fn check_permission(
    session: &Session,
    env: Env<'_>,
    command: &Command,
    argv: Argv<'_>,
) -> Result<(), CommandError> {
    let context = match session.mode.contains(Mark::MULTI) {
        true => Context::Multi,
        false => Context::TopLevel,
    };
    match check_session(session, env, command, argv, context) {
        None => Ok(()),
        Some((_, text)) => Err(CommandError::Raw([b"NOPERM ", &text[..]].concat())),
    }
}

/// Whether the command, or all of the queue that it runs, needs no data set.
#[cold]
fn may_run_while_loading(session: &Session, command: &Command) -> bool {
    command.has(Flag::Loading)
        && (!command.has(Flag::RunsQueue)
            || session.multi.queue.iter().all(|queued| queued.command.has(Flag::Loading)))
}

/// Whether the command, or one of the queue that it runs, shows data that may be old.
#[cold]
fn shows_stale(flags: u32, session: &Session, command: &Command) -> bool {
    let stale = Flag::Stale.bit();
    flags & stale == 0 || (command.has(Flag::RunsQueue) && session.multi.missing & stale != 0)
}

/// The flags of the command for these arguments, and those of the queue that it runs.
#[cold]
fn all_flags(access: &Access<'_>, session: &Session, command: &Command, argv: Argv<'_>) -> u32 {
    let queued = if command.has(Flag::RunsQueue) { session.multi.flags } else { 0 };
    access.flags_of(command, argv) | queued
}

/// Whether the command writes, or runs a queue with one that does.
fn may_write(session: &Session, command: &Command) -> bool {
    command.has(Flag::Write)
        || (command.has(Flag::RunsQueue)
            && session.multi.queue.iter().any(|queued| queued.command.has(Flag::Write)))
}

/// Whether the command is one to refuse while memory is used up. Queueing takes memory too, so between
/// MULTI and EXEC only what ends the transaction is let through, and EXEC by what it would run.
fn needs_memory(session: &Session, command: &Command) -> bool {
    if !session.mode.contains(Mark::MULTI) {
        return command.has(Flag::DenyOom);
    }
    if command.has(Flag::RunsQueue) {
        return session.multi.queue.iter().any(|queued| queued.command.has(Flag::DenyOom));
    }
    !command.has(Flag::EndsMulti)
}

/// Whether an HTTP request has come to this port: a page in a browser may have been made to send it,
/// with commands in its body, so nothing more is read from the connection.
fn is_foreign_protocol(argv: Argv<'_>, env: Env<'_>) -> bool {
    let found = argv.first().is_some_and(|word| {
        word.eq_ignore_ascii_case(b"POST") || word.eq_ignore_ascii_case(b"Host:")
    });
    if found {
        tracing::warn!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: \
             commands to Redis. This is likely due to an attacker attempting to use Cross Protocol \
             Scripting to compromise your Redis instance. Connection from {} aborted.",
            env.client.map_or("", |client| &client.addr)
        );
    }
    found
}

/// The number of arguments, and that a container has its subcommand.
#[inline]
pub fn check_shape(command: &Command, argv: Argv<'_>) -> Result<(), CommandError> {
    match command.subcommands.is_empty() && command.spec.arity.fits(argv.len()) {
        true => Ok(()),
        false => check_whole_shape(command, argv),
    }
}

#[cold]
fn check_whole_shape(command: &Command, argv: Argv<'_>) -> Result<(), CommandError> {
    check_subcommand(command, argv)?;
    match command.spec.arity.fits(argv.len()) {
        true => Ok(()),
        false => Err(CommandError::Arity(command.name.to_string())),
    }
}

/// That a container has its subcommand.
#[inline]
pub fn check_subcommand(command: &Command, argv: Argv<'_>) -> Result<(), CommandError> {
    if !command.subcommands.is_empty() && argv.len() >= 2 && !has_own_run(command) {
        let container = command.spec.name.to_string();
        return Err(CommandError::UnknownSubcommand(
            crate::engine::args::lossy(&argv[1][..argv[1].len().min(128)]),
            container,
        ));
    }
    Ok(())
}

fn has_own_run(command: &Command) -> bool {
    !matches!(command.spec.run, Run::Container)
}

/// The error for a name that is no command, quoting its first arguments as Redis does.
pub fn unknown_command(argv: Argv<'_>) -> CommandError {
    const QUOTED_BYTES_MAX: usize = 128;
    let mut arguments = Vec::new();
    for arg in argv.iter().skip(1) {
        if arguments.len() >= QUOTED_BYTES_MAX {
            break;
        }
        let room = QUOTED_BYTES_MAX - arguments.len();
        arguments.push(b'\'');
        arguments.extend_from_slice(&arg[..arg.len().min(room)]);
        arguments.extend_from_slice(b"' ");
    }
    let name = argv.first().copied().unwrap_or_default();
    let name = &name[..name.len().min(QUOTED_BYTES_MAX)];
    // The bytes pass through as they came, text or not.
    let text = [b"ERR unknown command '", name, b"', with args beginning with: ", &arguments];
    CommandError::Raw(text.concat())
}
