//! How do commands run that have run already, in an earlier process or on the primary?

use super::ahead;
use super::call::{Access, Request, check_shape, end_unit, perform};
use super::client::{Mode, Session};
use super::ctx::Env;
use super::effects::Unit;
use super::registry::Command;
use super::spec::{Argv, Flag};
use super::state::State;
use super::transaction;
use crate::resp::reply::Reply;

/// Runs a command of the append-only file as a unit of its own: without the checks that clients are subject to, and
/// between MULTI and EXEC it is queued. The reply, which may be an error, goes to `out`.
pub fn replay(
    access: &mut Access<'_>,
    session: &mut Session,
    env: Env<'_>,
    command: &'static Command,
    argv: Argv<'_>,
    out: &mut Vec<u8>,
) {
    let unit = Unit { replays: true, trusts: true, ..Unit::default() };
    run_logged(access, session, unit, env, command, argv, out);
}

/// The same for a command of the primary's stream, which goes to the own append-only file.
pub fn apply(
    access: &mut Access<'_>,
    session: &mut Session,
    env: Env<'_>,
    command: &'static Command,
    argv: Argv<'_>,
    out: &mut Vec<u8>,
) {
    let unit = Unit { trusts: true, ..Unit::default() };
    run_logged(access, session, unit, env, command, argv, out);
}

fn run_logged(
    access: &mut Access<'_>,
    session: &mut Session,
    mut unit: Unit,
    env: Env<'_>,
    command: &'static Command,
    argv: Argv<'_>,
    out: &mut Vec<u8>,
) {
    if let Err(error) = check_shape(command, argv) {
        Reply::new(out, session.protocol).error(&error.bytes());
    } else if session.mode.contains(Mode::MULTI) && !command.has(Flag::NotQueued) {
        let flags = access.flags_of(command, argv);
        transaction::queue(session, env, command, flags, argv, out);
    } else {
        perform(access, session, &mut unit, env, command, argv, out);
        end_unit(access, &mut unit, env);
    }
}

/// Asks ahead for the memory that requests of the primary's stream need.
pub fn fetch_ahead(state: &State, session: &Session, requests: &[Request<'_>]) {
    if requests.len() > 1 {
        ahead::fetch(&Access::Shared(state), session.db, requests);
    }
}
