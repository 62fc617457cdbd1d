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

/// Where a command has run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In an earlier process, which wrote it to the append-only file.
    File,
    /// On the primary; here it goes to the own append-only file.
    Primary,
}

/// Runs such a command as a unit of its own: without the checks that clients are subject to, and between MULTI and EXEC
/// it is queued. The reply, which may be an error, goes to `out`.
pub fn replay(
    source: Source,
    access: &mut Access<'_>,
    session: &mut Session,
    env: Env<'_>,
    command: &'static Command,
    argv: Argv<'_>,
    out: &mut Vec<u8>,
) {
    let mut unit = Unit { replays: source == Source::File, trusts: true, ..Unit::default() };
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
        ahead::fetch(&Access::Shared(state), session.db, requests, &mut Vec::new());
    }
}
