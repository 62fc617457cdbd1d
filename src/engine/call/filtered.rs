//! What do filters make of a command? Foreign code looks at each command once, before it is looked up, and may
//! change its arguments.
//!
//! While there are filters everything runs under the exclusive lock, because they are foreign code. What is answered
//! while a script keeps that lock goes by them: there is nobody who could call them then. So does what a read-only script
//! calls, which has no more than the shared lock.

use super::super::client::Session;
use super::super::ctx::{Env, ExclusiveCtx};
use super::super::effects::Unit;
use super::super::lock::Engine;
use super::super::spec::Argv;
use super::super::state::State;
use super::{Access, Request};

/// Arguments of a command, as the filters want them.
pub type Filtered = Vec<Box<[u8]>>;

/// Has the filters look at a command. None if there are none, or this access does not allow it: the arguments are
/// those that came.
#[inline]
pub fn look(
    access: &mut Access<'_>,
    session: &mut Session,
    unit: &mut Unit,
    env: Env<'_>,
    argv: Argv<'_>,
) -> Option<Filtered> {
    match access {
        Access::Exclusive(state) if env.shared.attached.has_filters() => {
            look_at(state, session, unit, env, argv)
        }
        _ => None,
    }
}

#[cold]
fn look_at(
    state: &mut State,
    session: &mut Session,
    unit: &mut Unit,
    env: Env<'_>,
    argv: Argv<'_>,
) -> Option<Filtered> {
    // What a pause has held back was looked at when it came.
    if let Some(kept) = session.filtered.take() {
        return Some(kept);
    }
    let hooks = state.hooks.clone()?;
    let mut filtered = hooks.filter(&mut ExclusiveCtx { state, session, unit, env }, argv);
    if filtered.is_empty() {
        // A command has a name, be it one that nothing has.
        filtered.push(Box::default());
    }
    Some(filtered)
}

/// The arguments as handlers get them.
pub fn slices(filtered: &Filtered) -> Vec<&[u8]> {
    filtered.iter().map(|arg| &**arg).collect()
}

/// The request for arguments that filters have seen.
pub fn request<'a>(access: &Access<'_>, argv: Argv<'a>) -> Request<'a> {
    Request { command: access.state().and_then(|state| state.registry.resolve(argv)), argv }
}

/// Tells foreign code that a batch of commands is done.
#[cold]
pub fn end_turn(engine: &Engine) {
    // While a script keeps the lock no turn ends.
    if let Ok(mut state) = engine.write()
        && let Some(hooks) = state.hooks.clone()
    {
        hooks.turn(&mut state, &engine.shared);
    }
}
