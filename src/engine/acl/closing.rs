//! Which connections end when users change? Those of users who are gone, and those that listen to what their user
//! may not any more.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::selector::Selector;
use super::user::{Rules, User};
use crate::engine::client::{Mode, Session};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::pubsub::Kind;
use crate::engine::state::Shared;

/// Closes the connections of a user that listen to what its new rules do not permit.
pub fn close_listeners(shared: &Shared, user: &User, old: &Rules, new: &Rules) {
    let listed: HashSet<_> = new.selectors.iter().flat_map(Selector::channels).collect();
    let keeps_all = |selector: &Selector| {
        !selector.has_all_channels()
            && selector.channels().iter().all(|channel| listed.contains(channel))
    };
    let is_wide = new.selectors.iter().any(Selector::has_all_channels);
    if is_wide || old.selectors.iter().all(keeps_all) {
        return;
    }
    shared.pubsub.kill_listeners(user.number, |kind, name| {
        let is_pattern = kind == Kind::Pattern;
        new.selectors.iter().any(|selector| selector.permits_channel(name, is_pattern))
    });
}

/// Closes the connections of users who are gone; that of the running command behind its reply.
pub fn close_clients(ctx: &mut ExclusiveCtx<'_>, gone: &[Arc<User>]) {
    let numbers: HashSet<u64> = gone.iter().map(|user| user.number).collect();
    let shared = ctx.env.shared;
    for client in shared.clients.lock().iter() {
        if !numbers.contains(&client.user.load(Ordering::Relaxed)) {
            continue;
        }
        match ctx.env.client {
            Some(own) if own.id == client.id => ctx.unit.close = true,
            _ => client.kill(),
        }
    }
    // What else this client has sent is nobody's.
    if gone.iter().any(|user| ctx.session.is_user(user)) {
        ctx.session.user = Session::of_default_user(&shared.users).user;
        ctx.session.mode.insert(Mode::UNAUTHENTICATED);
    }
}
