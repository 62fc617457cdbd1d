//! How does a server become a replica, and how a primary again?
//!
//! Both are decided here, at once and under the lock; the thread that keeps the link to the primary is told afterwards
//! ([`Request::Follow`]) and works for the link that it finds then. What had been followed up to now can be gone on with: a
//! primary that becomes a replica asks its new primary for what comes behind its own history, and those who followed a
//! replica can follow it as a primary.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::Role;
use super::link::Link;
use crate::config::params::Param;
use crate::config::value::Value;
use crate::engine::block::{self, GivenUp};
use crate::engine::ctx::{Env, ExclusiveCtx, expire_key};
use crate::engine::effects::{Request, Unit};
use crate::engine::hooks::{Change, ServerEvent};
use crate::engine::persistence::AofMode;
use crate::engine::state::State;

/// What blocked clients are told when the server becomes a replica.
const UNBLOCKED: &[u8] =
    b"-UNBLOCKED force unblock from blocking operation, instance state changed \
(master -> replica?)\r\n";

/// Follows another server from now on, in place of whom it followed.
pub fn follow(ctx: &mut ExclusiveCtx<'_>, host: &str, port: u16) {
    let replication = &mut ctx.state.replication;
    if !replication.is_replica() {
        tracing::info!(
            "Before turning into a replica, using my own master parameters to synthesize a cached master: I may \
             be able to synchronize with the new master with just a partial transfer."
        );
        replication.resumes = true;
    }
    replication.links += 1;
    let was_up = replication.link().is_some_and(Link::is_up);
    let mut link = Link::new(host.to_owned(), port, replication.links);
    link.down_since_ms = replication.link().and_then(|old| match old.is_up() {
        true => Some(ctx.env.now_ms()),
        false => old.down_since_ms,
    });
    replication.role = Role::Replica(Box::new(link));
    let primary = Some((host.as_bytes().to_vec(), port));
    ctx.state.config.put(Param::Replicaof, Value::ReplicaOf(primary));
    release_blocked(ctx);
    role_changed(ctx, was_up);
}

/// Follows nobody from now on.
pub fn lead(ctx: &mut ExclusiveCtx<'_>) {
    let replication = &mut ctx.state.replication;
    if !replication.is_replica() {
        return;
    }
    let was_up = replication.link().is_some_and(Link::is_up);
    replication.links += 1;
    replication.role = Role::Primary;
    replication.own_keys.clear();
    replication.resumes = false;
    replication.fork_history();
    if let Some(earlier) = &replication.earlier {
        tracing::info!(
            "Setting secondary replication ID to {}, valid up to offset: {}. New replication ID is {}",
            earlier.id,
            earlier.end,
            replication.id
        );
    }
    // They have to hear of the new id, and can go on at once.
    replication.disconnect_replicas();
    ctx.state.config.put(Param::Replicaof, Value::ReplicaOf(None));
    role_changed(ctx, was_up);
    if ctx.state.config.flag(Param::Appendonly) && ctx.state.persistence.aof.mode == AofMode::Off {
        // A synchronization that failed has left it off. What went wrong now is in the log.
        let _ = ctx.env.shared.host.append_only(ctx, true);
    }
}

fn role_changed(ctx: &mut ExclusiveCtx<'_>, was_up: bool) {
    let shared = ctx.env.shared;
    shared.note_role(ctx.state);
    shared.note_replicas(ctx.state, ctx.env.now_ms());
    // What went wrong is in the log.
    let _ = shared.host.adjust_oom_score(&ctx.state.config);
    let replication = &ctx.state.replication;
    let (generation, follows) = (replication.links, replication.is_replica());
    shared.host.show_role(follows);
    shared.host.request(Request::Follow { generation, follows });
    if let Some(hooks) = ctx.state.hooks.clone() {
        if was_up {
            hooks.server_event(&mut ctx.reborrow(), ServerEvent::PrimaryLink(Change::Down));
        }
        hooks.server_event(&mut ctx.reborrow(), ServerEvent::Role);
    }
}

/// Answers those who wait for keys, replicas or the disk: what they wait for may not come here any more.
fn release_blocked(ctx: &mut ExclusiveCtx<'_>) {
    let shared = ctx.env.shared;
    let own = ctx.env.client.map(|client| client.id);
    let clients: Vec<_> = shared.clients.lock().iter().map(Arc::clone).collect();
    for client in clients.into_iter().filter(|client| Some(client.id) != own) {
        let mut session = client.session.lock();
        if let Some(wait) = session.foreign.clone() {
            drop(session);
            let error = &UNBLOCKED[1..UNBLOCKED.len() - 2];
            wait.0.give_up(ctx.state, shared, Some(error), true);
            continue;
        }
        if session.blocked_reply.take().is_none() {
            continue;
        }
        let is_silent = session.drops_reply();
        drop(session);
        block::give_up(shared, ctx.env.worker, client.id, GivenUp::Failed);
        shared.durable.elsewhere.leave(client.id, None);
        ctx.env.stats.error(&UNBLOCKED[1..UNBLOCKED.len() - 2]);
        client.unblock(if is_silent { b"" } else { UNBLOCKED });
    }
}

/// Keys that a replica's own clients have written and that end, at most; more are forgotten until they are written anew.
const OWN_KEYS_MAX: usize = 1 << 20;

/// The keys that clients of a replica have written and that end: see [`expire_own`].
#[derive(Debug, Default)]
pub struct OwnKeys {
    queue: VecDeque<OwnKey>,
    known: HashSet<OwnKey>,
}

/// A key of a db.
type OwnKey = (u32, Arc<[u8]>);

impl OwnKeys {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Forgets all: their names may be those of the primary's keys by now.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn add(&mut self, own: OwnKey) {
        if self.queue.len() < OWN_KEYS_MAX && self.known.insert(own.clone()) {
            self.queue.push_back(own);
        }
    }

    fn next(&mut self) -> Option<OwnKey> {
        let own = self.queue.pop_front()?;
        self.known.remove(&own);
        Some(own)
    }
}

/// When a key of this db ends, if it is there and does.
fn end_of(state: &State, db: u32, key: &[u8]) -> Option<i64> {
    let table = state.keyspace.db(db as usize);
    table.find(key).and_then(|slot| table.expire_at(slot))
}

/// Notes a key that a client of this replica has written, if it ends.
pub fn note_own_expiry(state: &mut State, db: u32, key: &[u8]) {
    if end_of(state, db, key).is_some() {
        state.replication.own_keys.add((db, Arc::from(key)));
    }
}

/// Deletes those of the next few of a replica's own keys whose time is over.
pub fn expire_own(state: &mut State, unit: &mut Unit, env: Env<'_>, some: usize) {
    for _ in 0..some.min(state.replication.own_keys.len()) {
        let Some((db, key)) = state.replication.own_keys.next() else { return };
        match end_of(state, db, &key) {
            None => {}
            Some(at) if at > env.now_ms() => state.replication.own_keys.add((db, key)),
            Some(_) => expire_key(state, unit, env, db, &key),
        }
    }
}
