//! Which keys go when memory is used up? `maxmemory-policy`: before a client's command runs, and by the cron,
//! keys are evicted until `used_memory` is below `maxmemory` again.
//!
//! As in Redis the order is approximate: `maxmemory-samples` keys of each db are drawn, the best candidates of
//! this and of earlier draws are kept, and the best of them goes. What a key is worth is read when it is drawn; a
//! candidate that has gone meanwhile, or has lost its expiry, is passed over.
//!
//! Invariants: each eviction is a unit of its own, which propagates a DEL of its own in front of the command that
//! needed the room; nothing is evicted in EXEC, scripts and module calls, nor during CLIENT PAUSE.

use std::sync::atomic::Ordering;

use super::access::{Lfu, idle_seconds};
use super::block;
use super::call::{Access, end_unit};
use super::ctx::{Env, Freeing, free, notify, touch_watchers};
use super::effects::{EventClass, Targets, Unit};
use super::events::{self, Departure};
use super::hooks::KeyEvent;
use super::state::{Shared, State};
use crate::base::random::Random;
use crate::config::Config;
use crate::config::params::Param;
use crate::keyspace::db::{Db, Slot};

/// Candidates that are kept between draws.
const POOL_MAX: usize = 16;
/// Draws in a row that may bring nothing to evict before there is held to be nothing.
const FUTILE_DRAWS_MAX: usize = 100;

/// What goes first; the numbers are those of `maxmemory-policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Whatever was not accessed for longest.
    Idle,
    /// Whatever is accessed most rarely.
    Rare,
    /// Whatever expires first.
    Ending,
    /// Anything.
    Random,
}

/// A policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    order: Order,
    /// Only keys that expire go.
    volatile: bool,
}

impl Policy {
    /// The policy of a number among the choices of `maxmemory-policy`; none is `noeviction`.
    fn of(number: u32) -> Option<Self> {
        let order = match number {
            0 | 4 => Order::Idle,
            1 | 5 => Order::Rare,
            2 | 6 => Order::Random,
            3 => Order::Ending,
            _ => return None,
        };
        Some(Self { order, volatile: number <= 3 })
    }
}

/// Whether a number of `maxmemory-policy` lets keys be evicted.
pub fn evicts(number: u32) -> bool {
    Policy::of(number).is_some()
}

/// Whether the policy goes by when, or how often, keys were accessed.
pub fn needs_access(config: &Config) -> bool {
    let policy = Policy::of(config.choice(Param::MaxmemoryPolicy));
    policy.is_some_and(|policy| matches!(policy.order, Order::Idle | Order::Rare))
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is memory.
    Made,
    /// Not yet: this time's share of the work is done, and there is more to evict.
    Pending,
    /// There is nothing to evict.
    None,
}

/// A key that may go.
#[derive(Debug)]
struct Candidate {
    /// The higher, the sooner it goes.
    rank: u64,
    db: u32,
    key: Box<[u8]>,
}

/// What eviction remembers.
#[derive(Debug, Default)]
pub struct Evictor {
    /// By rank, the best last.
    pool: Vec<Candidate>,
    /// The policy that the pool is for.
    policy: Option<Policy>,
    /// The db that a random eviction tries first.
    next_db: u32,
    /// Keys that were evicted.
    pub evicted_keys: u64,
    /// Since when memory has been above its limit, in monotonic nanoseconds.
    exceeded_since_ns: Option<u64>,
    /// For how long it was above it before that, in nanoseconds.
    exceeded_ns: u64,
}

impl Evictor {
    /// For how long memory has been above its limit, now and altogether, in milliseconds.
    pub fn exceeded_ms(&self, now_ns: u64) -> (u64, u64) {
        let now = self.exceeded_since_ns.map_or(0, |since| now_ns.saturating_sub(since));
        (now / 1_000_000, (self.exceeded_ns + now) / 1_000_000)
    }

    /// Counts anew.
    pub fn reset_stat(&mut self) {
        (self.evicted_keys, self.exceeded_since_ns, self.exceeded_ns) = (0, None, 0);
    }

    fn settle(&mut self, room: Room, now_ns: u64) {
        match (room, self.exceeded_since_ns) {
            (Room::Made, Some(since)) => {
                self.exceeded_ns += now_ns.saturating_sub(since);
                self.exceeded_since_ns = None;
            }
            (Room::Pending | Room::None, None) => self.exceeded_since_ns = Some(now_ns),
            _ => {}
        }
    }

    fn add(&mut self, candidate: Candidate) {
        let known = |c: &Candidate| c.db == candidate.db && c.key == candidate.key;
        if self.pool.iter().any(known) {
            return;
        }
        let at = self.pool.partition_point(|other| other.rank < candidate.rank);
        self.pool.insert(at, candidate);
        if self.pool.len() > POOL_MAX {
            self.pool.remove(0);
        }
    }
}

/// Evicts until there is room, time is up, or there is nothing left to evict.
#[cold]
pub fn make_room(access: &mut Access<'_>, env: Env<'_>) -> Room {
    let Access::Exclusive(state) = access else { return Room::Pending };
    let policy = Policy::of(state.config.choice(Param::MaxmemoryPolicy));
    let clock = env.shared.clock.mono_ns;
    let began_ns = clock();
    let room = match policy {
        _ if !env.shared.is_out_of_memory() => Room::Made,
        // What is loaded is loaded whole; room is made afterwards.
        _ if env.shared.loading.is_on() => Room::Made,
        // A replica has what its primary has.
        _ if state.replication.is_replica() && state.config.flag(Param::ReplicaIgnoreMaxmemory) => {
            Room::Made
        }
        Some(_) if env.shared.pause.is_active(env.now_ms()) => Room::Pending,
        Some(policy) => evict(state, env, policy, began_ns),
        None => Room::None,
    };
    let now_ns = clock();
    state.evictor.settle(room, now_ns);
    env.shared.slow.event("eviction-cycle", now_ns - began_ns, env.now_us);
    room
}

fn evict(state: &mut State, env: Env<'_>, policy: Policy, began_ns: u64) -> Room {
    if state.evictor.policy != Some(policy) {
        state.evictor.pool.clear();
        state.evictor.policy = Some(policy);
    }
    let limit_ns = time_limit_ns(state.config.int(Param::MaxmemoryEvictionTenacity));
    let mut draws = Random::new(env.random_seed());
    // What is freed is counted by itself: telling those who have the keys in a cache takes memory until they have
    // read it, and evicting for that, too, would never end.
    let mut left = env.shared.memory_over_limit();
    while left > 0 {
        let victim = match policy.order {
            Order::Random => draw_any(state, policy, &mut draws),
            _ => draw_best(state, env, policy, &mut draws),
        };
        let Some((db, key)) = victim else { return Room::None };
        left = left.saturating_sub(remove(state, env, db, &key));
        if left > 0 && (env.shared.clock.mono_ns)() - began_ns > limit_ns {
            return Room::Pending;
        }
    }
    Room::Made
}

/// How long one go may take, from `maxmemory-eviction-tenacity`: up to 10 half a millisecond at most, then growing by
/// 15% with each step, and at 100 without end, as Redis documents it.
fn time_limit_ns(tenacity: i64) -> u64 {
    match tenacity {
        ..=10 => 50_000 * tenacity.max(0) as u64,
        11..100 => (500_000.0 * 1.15f64.powi((tenacity - 10) as i32)) as u64,
        _ => u64::MAX,
    }
}

/// A random key of the next db that has one.
fn draw_any(state: &mut State, policy: Policy, draws: &mut Random) -> Option<(u32, Box<[u8]>)> {
    let count = state.keyspace.db_count() as u32;
    for _ in 0..count {
        let number = state.evictor.next_db % count;
        state.evictor.next_db = number + 1;
        let db = state.keyspace.db(number as usize);
        let mut found = None;
        sample(db, policy, 1, draws, |slot| found = Some(db.key(slot).into()));
        if let Some(key) = found {
            return Some((number, key));
        }
    }
    None
}

/// The best of the candidates, after others were drawn.
fn draw_best(
    state: &mut State,
    env: Env<'_>,
    policy: Policy,
    draws: &mut Random,
) -> Option<(u32, Box<[u8]>)> {
    let samples = state.config.size(Param::MaxmemorySamples);
    let lfu = Lfu::of(&state.config);
    for _ in 0..FUTILE_DRAWS_MAX {
        let mut drawn = false;
        let State { keyspace, evictor, .. } = state;
        for (number, db) in keyspace.iter() {
            sample(db, policy, samples, draws, |slot| {
                drawn = true;
                let rank = rank(db, slot, policy.order, lfu, env.now_us);
                let full = evictor.pool.len() == POOL_MAX;
                if !full || evictor.pool.first().is_some_and(|least| least.rank < rank) {
                    let (db_number, key) = (number as u32, db.key(slot).into());
                    evictor.add(Candidate { rank, db: db_number, key });
                }
            });
        }
        if !drawn {
            return None;
        }
        while let Some(best) = evictor.pool.pop() {
            let db = keyspace.db(best.db as usize);
            let is_there =
                db.find(&best.key).is_some_and(|s| !policy.volatile || db.expire_at(s).is_some());
            if is_there {
                return Some((best.db, best.key));
            }
        }
    }
    None
}

/// Shows up to `count` keys of a db that the policy lets go, drawn at random; the same one may come twice.
fn sample(db: &Db, policy: Policy, count: usize, draws: &mut Random, mut show: impl FnMut(Slot)) {
    for _ in 0..count {
        let slot = match policy.volatile {
            false => db.sample(draws.draw()),
            true => db.sample_volatile(draws.draw()),
        };
        match slot {
            Some(slot) => show(slot),
            None => return,
        }
    }
}

fn rank(db: &Db, slot: Slot, order: Order, lfu: Option<Lfu>, now_us: i64) -> u64 {
    match order {
        Order::Ending => u64::MAX - db.expire_at(slot).unwrap_or(i64::MAX).max(0) as u64,
        Order::Rare => lfu.map_or(0, |lfu| 255 - u64::from(lfu.count(db.clock(slot), now_us))),
        Order::Idle | Order::Random => u64::from(idle_seconds(db.clock(slot), now_us)),
    }
}

/// Deletes a key, with its event and its DEL; how many bytes that has freed.
fn remove(state: &mut State, env: Env<'_>, db: u32, key: &[u8]) -> usize {
    let freeing = match state.config.flag(Param::LazyfreeLazyEviction) {
        true => Freeing::Lazy,
        false => Freeing::Prompt,
    };
    let before = (env.shared.used_memory)();
    let table = state.keyspace.db_mut(db as usize);
    let Some(slot) = table.find(key) else { return 0 };
    let held = table.memory_bytes(slot) + table.value(slot).collection_bytes();
    let mut unit = Unit::default();
    events::leaves(state, &mut unit, env, (db, key), Departure::Evicted);
    if let Some(value) = state.keyspace.db_mut(db as usize).delete(slot) {
        free(env.shared, (db, key), value, freeing);
    }
    // A value that is freed elsewhere counts as freed; what a module's value held is seen afterwards only.
    let freed = before.saturating_sub((env.shared.used_memory)()).max(held);
    block::signal(env.shared, &mut unit, db, key);
    state.evictor.evicted_keys += 1;
    touch_watchers(state, env.shared, db, key);
    if env.shared.is_heard(EventClass::EVICTED) {
        let event = KeyEvent { class: EventClass::EVICTED, name: "evicted", db, key };
        notify(state, &mut unit, env, &event);
    }
    if state.is_logged() {
        unit.records.push(db, Targets::all(), &[b"DEL", key]);
    }
    end_unit(&mut Access::Exclusive(state), &mut unit, env);
    freed
}

impl Shared {
    /// Whether keys are to be evicted before the next command.
    #[inline]
    pub fn wants_eviction(&self) -> bool {
        self.limits.evicts.load(Ordering::Relaxed) && self.is_out_of_memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::choices::{EVICTION, number_of};

    #[test]
    fn policies_are_known_by_number() {
        let policy = |name: &str| number_of(&EVICTION, name.as_bytes()).and_then(Policy::of);
        let of = |order, volatile| Some(Policy { order, volatile });
        assert_eq!(policy("volatile-lru"), of(Order::Idle, true));
        assert_eq!(policy("volatile-lfu"), of(Order::Rare, true));
        assert_eq!(policy("volatile-random"), of(Order::Random, true));
        assert_eq!(policy("volatile-ttl"), of(Order::Ending, true));
        assert_eq!(policy("allkeys-lru"), of(Order::Idle, false));
        assert_eq!(policy("allkeys-lfu"), of(Order::Rare, false));
        assert_eq!(policy("allkeys-random"), of(Order::Random, false));
        assert_eq!(policy("noeviction"), None);
    }

    #[test]
    fn tenacity_is_time() {
        assert_eq!(time_limit_ns(0), 0);
        assert_eq!(time_limit_ns(10), 500_000);
        assert_eq!(time_limit_ns(11), 575_000);
        assert_eq!(time_limit_ns(100), u64::MAX);
    }

    #[test]
    fn the_pool_keeps_the_best() {
        let mut evictor = Evictor::default();
        for rank in [3, 1, 2] {
            evictor.add(Candidate { rank, db: 0, key: vec![rank as u8].into() });
        }
        evictor.add(Candidate { rank: 9, db: 0, key: vec![1].into() });
        assert_eq!(evictor.pool.iter().map(|c| c.rank).collect::<Vec<_>>(), [1, 2, 3]);
        for rank in 10..40 {
            evictor.add(Candidate { rank, db: 0, key: vec![rank as u8].into() });
        }
        assert_eq!(evictor.pool.len(), POOL_MAX);
        assert_eq!(evictor.pool.first().map(|c| c.rank), Some(24));
    }
}
