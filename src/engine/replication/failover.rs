//! How does a primary change places with one of its replicas? FAILOVER: no more writes are taken until a replica has all
//! of them; then this server becomes its replica, and with PSYNC asks it to lead.
//!
//! Invariant: while there is a failover writes wait, and they go on when it has ended, however it has.

use std::sync::atomic::Ordering;

use super::{Phase, Replica, Replication, role};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::state::Shared;

/// A failover that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// The host and port of the replica that is to lead; None while any may.
    pub target: Option<(String, u16)>,
    /// When it ends, one way or the other, unix milliseconds.
    pub deadline_ms: Option<i64>,
    /// At the deadline the target leads even if it lacks something.
    pub forced: bool,
    /// How far it is.
    pub step: Step,
}

/// How far a failover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It waits for a replica to have everything.
    WaitsForSync,
    /// The replica is asked to lead.
    HandsOver,
}

impl Replication {
    /// How far a failover is, in the words of INFO.
    pub fn failover_state(&self) -> &'static str {
        match self.failover.as_ref().map(|failover| failover.step) {
            None => "no-failover",
            Some(Step::WaitsForSync) => "waiting-for-sync",
            Some(Step::HandsOver) => "failover-in-progress",
        }
    }

    /// The replica that can be reached at a place.
    pub fn replica_at(&self, host: &str, port: u16) -> Option<&Replica> {
        self.replicas.iter().find(|replica| {
            let client = &replica.client;
            client.announced_host() == host && client.following.port.load(Ordering::Relaxed) == port
        })
    }
}

/// Begins a failover: from here on writes wait.
pub fn begin(ctx: &mut ExclusiveCtx<'_>, failover: Failover) {
    match &failover.target {
        Some((host, port)) => tracing::info!("FAILOVER requested to {host}:{port}."),
        None => tracing::info!("FAILOVER requested to any replica."),
    }
    ctx.state.replication.failover = Some(failover);
    ctx.env.shared.pause.begin_own();
}

/// Goes on with a failover, if it is time to; several times a second.
pub fn visit(ctx: &mut ExclusiveCtx<'_>) {
    let replication = &ctx.state.replication;
    let Some(failover) = &replication.failover else { return };
    if failover.step != Step::WaitsForSync {
        return;
    }
    if failover.deadline_ms.is_some_and(|deadline_ms| deadline_ms <= ctx.now_ms()) {
        return match failover.target.clone() {
            Some((host, port)) if failover.forced => {
                tracing::info!("FAILOVER to {host}:{port} time out exceeded, failing over.");
                hand_over(ctx, host, port);
            }
            _ => abort(ctx, "Replica never caught up before timeout"),
        };
    }
    let offset = replication.offset();
    let has_all = |replica: &&Replica| {
        replica.phase == Phase::Online
            && replica.client.following.offset.load(Ordering::Relaxed) == offset
    };
    let found = match &failover.target {
        Some((host, port)) => replication.replica_at(host, *port).filter(has_all),
        None => replication.replicas.iter().find(has_all),
    };
    if let Some(Replica { client, .. }) = found {
        let (host, port) = (client.announced_host(), client.following.port.load(Ordering::Relaxed));
        tracing::info!("Failover target {host}:{port} is synced, failing over.");
        hand_over(ctx, host, port);
    }
}

/// Becomes a replica of the target, which is asked to lead.
fn hand_over(ctx: &mut ExclusiveCtx<'_>, host: String, port: u16) {
    role::follow(ctx, &host, port);
    let replication = &mut ctx.state.replication;
    if let Some(link) = replication.link_mut() {
        link.takes_over = true;
    }
    if let Some(failover) = &mut replication.failover {
        failover.step = Step::HandsOver;
        failover.target = Some((host, port));
    }
}

/// Gives a failover up. If the target was asked already, this server leads again.
pub fn abort(ctx: &mut ExclusiveCtx<'_>, why: &str) {
    let Some(failover) = ctx.state.replication.failover.clone() else { return };
    match &failover.target {
        Some((host, port)) => tracing::info!("FAILOVER to {host}:{port} aborted: {why}"),
        None => tracing::info!("FAILOVER to any replica aborted: {why}"),
    }
    if failover.step == Step::HandsOver {
        role::lead(ctx);
    }
    end(&mut ctx.state.replication, ctx.env.shared);
}

/// The failover is over: writes go on, here or at the new primary.
pub fn end(replication: &mut Replication, shared: &Shared) {
    if let Some(link) = replication.link_mut() {
        link.takes_over = false;
    }
    if replication.failover.take().is_some() {
        shared.end_own_pause();
    }
}
