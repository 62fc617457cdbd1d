//! Who hears of what happens to a key? Modules, and the subscribers that `notify-keyspace-events` provides for.
//!
//! Invariant: while nobody listens to a class, or to a topic, an event of it costs one relaxed load.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use bitflags::bitflags;

use super::call::Access;
use super::client::{Mode, Session};
use super::ctx::{self, Env, ExclusiveCtx};
use super::effects::{EventClass, Targets, Unit};
use super::hooks::{KeyEvent, ServerEvent};
use super::pubsub::Kind;
use super::spec::Argv;
use super::state::{Shared, State};

bitflags! {
    /// What happens to the server so often that nobody is told of it unless modules want to hear it, with the numbers
    /// that they know.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Topics: u32 {
        /// Clients come and go.
        const CLIENTS = 1 << 4;
        /// The server's periodic work.
        const CRON = 1 << 8;
        /// How far loading is.
        const PROGRESS = 1 << 10;
        /// Keys are about to leave: [`leaves`].
        const KEYS = 1 << 17;
    }
}

/// Why a key leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Departure {
    Deleted,
    Expired,
    Evicted,
    /// Another value takes its place.
    Overwritten,
}

/// The classes of events that somebody listens to: modules in the lower half, channels in the upper. Modules change
/// theirs whether or not they hold the engine.
#[derive(Debug, Default)]
pub struct Heard {
    classes: AtomicU64,
    topics: AtomicU32,
}

impl Heard {
    /// Whether somebody listens to one of these classes.
    #[inline]
    pub fn any(&self, classes: EventClass) -> bool {
        let both = self.classes.load(Ordering::Relaxed);
        (both as u32 | (both >> 32) as u32) & classes.bits() != 0
    }

    /// The classes that modules listen to.
    pub fn by_modules(&self) -> EventClass {
        EventClass::from_bits_retain(self.classes.load(Ordering::Relaxed) as u32)
    }

    /// The classes that are published.
    pub fn published(&self) -> EventClass {
        EventClass::from_bits_retain((self.classes.load(Ordering::Relaxed) >> 32) as u32)
    }

    /// Sets the classes that modules listen to.
    pub fn set_by_modules(&self, classes: EventClass) {
        let new = u64::from(classes.bits());
        self.change(|old| old & !0xffff_ffff | new);
    }

    /// Sets the classes that are published, with the kinds of channels.
    pub fn set_published(&self, classes: EventClass) {
        // Without a kind of channel nothing is published.
        let kinds = EventClass::KEYSPACE | EventClass::KEYEVENT;
        let new = if classes.intersects(kinds) { u64::from(classes.bits()) << 32 } else { 0 };
        self.change(|old| old & 0xffff_ffff | new);
    }

    /// Whether a module wants to hear of this.
    #[inline]
    pub fn hears(&self, topic: Topics) -> bool {
        self.topics.load(Ordering::Relaxed) & topic.bits() != 0
    }

    /// Sets what modules want to hear of; bits of other events do no harm.
    pub fn set_topics(&self, topics: u32) {
        self.topics.store(topics, Ordering::Relaxed);
    }

    fn change(&self, change: impl Fn(u64) -> u64) {
        let mut old = self.classes.load(Ordering::Relaxed);
        while let Err(now) = self.classes.compare_exchange_weak(
            old,
            change(old),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            old = now;
        }
    }
}

/// What foreign code wants to see of everything that happens; read once a batch.
#[derive(Debug, Default)]
pub struct Attached {
    filters: AtomicBool,
    turns: AtomicBool,
}

impl Attached {
    /// Whether commands go through [`Hooks::filter`].
    ///
    /// [`Hooks::filter`]: super::hooks::Hooks::filter
    #[inline]
    pub fn has_filters(&self) -> bool {
        self.filters.load(Ordering::Relaxed)
    }

    /// Whether [`Hooks::turn`] is called.
    ///
    /// [`Hooks::turn`]: super::hooks::Hooks::turn
    #[inline]
    pub fn has_turns(&self) -> bool {
        self.turns.load(Ordering::Relaxed)
    }

    /// Sets whether there are filters.
    pub fn set_filters(&self, on: bool) {
        self.filters.store(on, Ordering::Relaxed);
    }

    /// Sets whether somebody wants to know of turns.
    pub fn set_turns(&self, on: bool) {
        self.turns.store(on, Ordering::Relaxed);
    }
}

/// Tells modules, if they listen, that a key is about to leave: it is still there, whatever its time, and nothing can
/// be changed while they look.
#[inline]
pub fn leaves(
    state: &mut State,
    unit: &mut Unit,
    env: Env<'_>,
    (db, key): (u32, &[u8]),
    how: Departure,
) {
    if env.shared.heard.hears(Topics::KEYS) {
        tell_of_leaving(state, unit, env, (db, key), how);
    }
}

#[cold]
fn tell_of_leaving(
    state: &mut State,
    unit: &mut Unit,
    env: Env<'_>,
    (db, key): (u32, &[u8]),
    how: Departure,
) {
    let Some(hooks) = state.hooks.clone() else { return };
    let mut session = Session::internal(Mode::MODULE, db);
    let before = (unit.trusts, unit.frozen);
    (unit.trusts, unit.frozen) = (true, true);
    let ctx = &mut ExclusiveCtx { state, session: &mut session, unit, env };
    hooks.server_event(ctx, ServerEvent::KeyLeaves { db, key, how });
    (unit.trusts, unit.frozen) = before;
}

/// Publishes an event on the channel of its key and on that of its name, as the configuration has it.
pub fn publish(shared: &Shared, event: &KeyEvent<'_>) {
    let published = shared.heard.published();
    if !published.intersects(event.class) || shared.pubsub.is_idle() {
        return;
    }
    let (name, key) = (event.name.as_bytes(), event.key);
    if published.contains(EventClass::KEYSPACE) {
        shared.pubsub.publish(shared, Kind::Channel, &channel("keyspace", event.db, key), name);
    }
    if published.contains(EventClass::KEYEVENT) {
        shared.pubsub.publish(shared, Kind::Channel, &channel("keyevent", event.db, name), key);
    }
}

/// Announces the keys that a call, which is over, has looked up in vain. As in Redis, a command counts as a write if
/// a module has written because of that, and is propagated.
#[cold]
pub fn announce_misses(
    access: &mut Access<'_>,
    unit: &mut Unit,
    env: Env<'_>,
    db: u32,
    argv: Argv<'_>,
) {
    let before = access.state().map_or(0, |state| state.dirty);
    announce(access, unit, env);
    if let Access::Exclusive(state) = access
        && state.dirty != before
    {
        let targets = unit.call.targets.unwrap_or(Targets::all());
        ctx::propagate_now(state, unit, db, targets, argv);
    }
}

fn announce(access: &mut Access<'_>, unit: &mut Unit, env: Env<'_>) {
    for (db, key) in std::mem::take(&mut unit.missed) {
        let event = KeyEvent { class: EventClass::KEY_MISS, name: "keymiss", db, key: &key };
        match access {
            Access::Exclusive(state) => ctx::notify(state, unit, env, &event),
            // Somebody began to listen after the lock was chosen; modules are told from the next batch on.
            Access::Shared(_) | Access::Session => publish(env.shared, &event),
        }
    }
}

fn channel(kind: &str, db: u32, of: &[u8]) -> Vec<u8> {
    let mut digits = itoa::Buffer::new();
    [b"__", kind.as_bytes(), b"@", digits.format(db).as_bytes(), b"__:", of].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_do_not_mix() {
        let heard = Heard::default();
        heard.set_by_modules(EventClass::HASH);
        heard.set_published(EventClass::SET | EventClass::KEYEVENT);
        assert!(heard.any(EventClass::HASH) && heard.any(EventClass::SET | EventClass::LIST));
        assert!(!heard.any(EventClass::LIST));
        assert_eq!(heard.by_modules(), EventClass::HASH);
        assert_eq!(heard.published(), EventClass::SET | EventClass::KEYEVENT);
        heard.set_published(EventClass::SET);
        assert!(!heard.any(EventClass::SET), "without K and E nothing is published");
        heard.set_by_modules(EventClass::empty());
        assert!(!heard.any(EventClass::all()));
        assert_eq!(channel("keyspace", 12, b"k"), b"__keyspace@12__:k");
    }
}
