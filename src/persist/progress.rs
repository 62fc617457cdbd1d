//! How far is loading, for modules that want to know? They are told as often as the cron would work, at most.

use crate::engine::ctx::ExclusiveCtx;
use crate::engine::events::Topics;
use crate::engine::hooks::ServerEvent;

/// What is being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A snapshot.
    Snapshot,
    /// The commands of the append-only file.
    Commands,
}

/// Tells modules how far loading is, if they listen and some time has passed.
#[inline]
pub fn tell(ctx: &mut ExclusiveCtx<'_>, kind: Kind) {
    if ctx.env.shared.heard.hears(Topics::PROGRESS) {
        tell_now(ctx, kind);
    }
}

#[cold]
fn tell_now(ctx: &mut ExclusiveCtx<'_>, kind: Kind) {
    let shared = ctx.env.shared;
    let hz = shared.limits.cron_hz.load(std::sync::atomic::Ordering::Relaxed).max(1);
    // Commands have their time frozen; loading has not.
    if !shared.loading.is_to_be_told((shared.clock.unix_us)(), hz) {
        return;
    }
    if let Some(hooks) = ctx.state.hooks.clone() {
        let share = shared.loading.share();
        hooks.server_event(ctx, ServerEvent::Progress { commands: kind == Kind::Commands, share });
    }
}
