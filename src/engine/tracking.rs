//! Who has which key in a cache of its own? Client-side caching: keys that were read, and who is told when they
//! change.
//!
//! In the default mode the table remembers which client read which key, whatever the db, until the key changes once.
//! In the broadcasting mode clients name prefixes; the keys that change below them are gathered and told together
//! when the lock is given back ([`Tracking::broadcast`]).
//!
//! An invalidation goes to the client's own connection, in RESP3, or to the one that it redirects to, which may also
//! speak RESP2 if it has subscribed to something: then it comes as a message of the channel
//! `__redis__:invalidate`.
//!
//! Invariants: keys are remembered before the lock that they were read under is released, so no change slips
//! through; a client's modes are atomics of the client, changed by itself under this table's lock, except for
//! [`TrackingMode::BROKEN`], which others set. Remembered keys are bounded by `tracking-table-max-keys`: past it some
//! are told as if they had changed, and forgotten.

mod keys;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bitflags::bitflags;
use parking_lot::Mutex;

use super::client::{Client, Mode, Session};
use super::ctx::Env;
use super::registry::Command;
use super::spec::{Argv, Flag, Group};
use super::state::Shared;
use crate::resp::reply::{Protocol, Reply};
use keys::KeyTable;

/// The channel by which clients of RESP2 are told.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Keys that one command or one visit of the cron forgets at most because there are too many.
const FORGOTTEN_AT_ONCE_MAX: usize = 1000;

bitflags! {
    /// How a client tracks.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TrackingMode: u32 {
        /// It tracks.
        const ON = 1;
        /// By prefixes.
        const BCAST = 1 << 1;
        /// Only what follows CLIENT CACHING YES.
        const OPTIN = 1 << 2;
        /// All but what follows CLIENT CACHING NO.
        const OPTOUT = 1 << 3;
        /// Not what it changes itself.
        const NOLOOP = 1 << 4;
        /// CLIENT CACHING was given.
        const CACHING = 1 << 5;
        /// The connection that it redirects to is gone.
        const BROKEN = 1 << 6;
    }
}

impl TrackingMode {
    /// Whether the keys of a command that reads are to be remembered.
    #[inline]
    pub fn remembers(self) -> bool {
        if !self.contains(Self::ON) || self.contains(Self::BCAST) {
            return false;
        }
        let caching = self.contains(Self::CACHING);
        !(self.contains(Self::OPTIN) && !caching || self.contains(Self::OPTOUT) && caching)
    }
}

/// What a prefix takes beside its text, with the client and in the table.
const PREFIX_BYTES: usize = 2 * size_of::<Box<[u8]>>() + size_of::<Audience>();

/// A client that tracks.
#[derive(Debug)]
struct Tracker {
    client: Arc<Client>,
    /// What it broadcasts.
    prefixes: BTreeSet<Box<[u8]>>,
}

/// The clients of a prefix.
#[derive(Debug, Default)]
struct Audience {
    clients: BTreeMap<u64, Arc<Client>>,
    /// The keys that changed, and the client that did it last.
    changed: BTreeMap<Box<[u8]>, Option<u64>>,
}

/// What the lock protects.
#[derive(Debug, Default)]
struct Tables {
    trackers: HashMap<u64, Tracker>,
    keys: KeyTable,
    prefixes: BTreeMap<Box<[u8]>, Audience>,
}

/// The tables of client-side caching.
#[derive(Debug, Default)]
pub struct Tracking {
    tables: Mutex<Tables>,
    /// How many clients track: read by every write.
    trackers: AtomicUsize,
    /// Keys wait to be broadcast.
    gathered: AtomicBool,
}

/// The figures of INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackingFigures {
    /// Clients that track.
    pub clients: usize,
    /// Keys remembered.
    pub keys: usize,
    /// Pairs of key and client remembered.
    pub items: usize,
    /// Prefixes that are broadcast.
    pub prefixes: usize,
}

impl Tracking {
    /// Whether nobody tracks.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.trackers.load(Ordering::Relaxed) == 0
    }

    /// Has a client track, or changes how.
    pub fn enable(
        &self,
        client: &Arc<Client>,
        mode: TrackingMode,
        redirect: u64,
        prefixes: Argv<'_>,
    ) {
        let mut tables = self.tables.lock();
        let Tables { trackers, prefixes: audiences, .. } = &mut *tables;
        let tracker = trackers
            .entry(client.id)
            .or_insert_with(|| Tracker { client: Arc::clone(client), prefixes: BTreeSet::new() });
        let caching = client.tracking_mode() & TrackingMode::CACHING;
        client.tracking.store((mode | TrackingMode::ON | caching).bits(), Ordering::Relaxed);
        client.redirect.store(redirect, Ordering::Relaxed);
        if mode.contains(TrackingMode::BCAST) {
            let all: Argv<'_> = if prefixes.is_empty() { &[b""] } else { prefixes };
            for prefix in all {
                let audience = audiences.entry((*prefix).into()).or_default();
                audience.clients.insert(client.id, Arc::clone(client));
                if tracker.prefixes.insert((*prefix).into()) {
                    let bytes = 2 * size_of_val(*prefix) + PREFIX_BYTES;
                    client.footprint.prefixes.fetch_add(bytes, Ordering::Relaxed);
                }
            }
        }
        self.trackers.store(trackers.len(), Ordering::Relaxed);
    }

    /// Has a client track no longer.
    pub fn disable(&self, client: &Client) {
        if !client.tracking_mode().contains(TrackingMode::ON) {
            return;
        }
        client.tracking.store(0, Ordering::Relaxed);
        client.redirect.store(0, Ordering::Relaxed);
        client.footprint.prefixes.store(0, Ordering::Relaxed);
        let mut tables = self.tables.lock();
        let Some(tracker) = tables.trackers.remove(&client.id) else { return };
        for prefix in tracker.prefixes {
            if let Some(audience) = tables.prefixes.get_mut(&prefix) {
                audience.clients.remove(&client.id);
                if audience.clients.is_empty() {
                    tables.prefixes.remove(&prefix);
                }
            }
        }
        // Its keys stay until they change, which costs less than looking for them; with the last one
        // nobody is to be told any more.
        if tables.trackers.is_empty() {
            tables.keys = KeyTable::default();
        }
        self.trackers.store(tables.trackers.len(), Ordering::Relaxed);
    }

    /// The prefixes that a client broadcasts.
    pub fn prefixes(&self, client: u64) -> Vec<Box<[u8]>> {
        let tables = self.tables.lock();
        let tracker = tables.trackers.get(&client);
        tracker.map(|tracker| tracker.prefixes.iter().cloned().collect()).unwrap_or_default()
    }

    /// The figures of INFO.
    pub fn figures(&self) -> TrackingFigures {
        let tables = self.tables.lock();
        TrackingFigures {
            clients: tables.trackers.len(),
            keys: tables.keys.len(),
            items: tables.keys.items(),
            prefixes: tables.prefixes.len(),
        }
    }

    /// Remembers the keys of a command that reads.
    #[cold]
    pub fn remember(&self, shared: &Shared, client: &Client, command: &Command, argv: Argv<'_>) {
        // Channels look like keys to routers; scripts are judged by the commands that they call.
        if command.has(Flag::PubSub) || command.spec.group == Group::Scripting {
            return;
        }
        let mut tables = self.tables.lock();
        let simple = !command.has(Flag::MovableKeys);
        if simple {
            let (first, last, step) = (command.first_key, command.last_key, command.key_step);
            let last = if last < 0 { argv.len() as i32 + last } else { last };
            if first > 0 && step > 0 {
                for at in (first..=last).step_by(step as usize) {
                    argv.get(at as usize).inspect(|key| tables.keys.add(key, client.id));
                }
            }
        } else {
            for key in super::keys::find(command, argv).unwrap_or_default() {
                argv.get(key.position).inspect(|key| tables.keys.add(key, client.id));
            }
        }
        self.keep_bounds(&mut tables, shared);
    }

    /// Forgets keys as long as there are too many, up to a bound.
    pub fn shrink(&self, shared: &Shared) {
        if !self.is_idle() {
            self.keep_bounds(&mut self.tables.lock(), shared);
        }
    }

    fn keep_bounds(&self, tables: &mut Tables, shared: &Shared) {
        let max = shared.limits.tracked_keys.load(Ordering::Relaxed);
        if max == 0 {
            return;
        }
        for _ in 0..FORGOTTEN_AT_ONCE_MAX {
            if tables.keys.len() <= max {
                return;
            }
            let Some((key, clients)) = tables.keys.take_any() else { return };
            tell(tables, shared, &key, &clients, None);
        }
    }

    /// A key has changed, by the doing of a client or by itself.
    #[cold]
    pub fn invalidate(&self, shared: &Shared, key: &[u8], by: Option<u64>) {
        let mut tables = self.tables.lock();
        if !tables.prefixes.is_empty() && gather(&mut tables.prefixes, key, by) {
            self.gathered.store(true, Ordering::Relaxed);
        }
        if let Some(clients) = tables.keys.take(key) {
            tell(&tables, shared, key, &clients, by);
        }
    }

    /// All keys are gone, or all of a db, which is told as if they were all.
    pub fn invalidate_all(&self, shared: &Shared) {
        if self.is_idle() {
            return;
        }
        let mut tables = self.tables.lock();
        tables.keys = KeyTable::default();
        for tracker in tables.trackers.values() {
            send(shared, &tracker.client, &Body::Everything);
        }
    }

    /// Tells of the keys below prefixes that have changed. To be called before the exclusive lock is released.
    #[inline]
    pub fn broadcast(&self, shared: &Shared) {
        if self.gathered.load(Ordering::Relaxed) {
            self.broadcast_slow(shared);
        }
    }

    #[cold]
    fn broadcast_slow(&self, shared: &Shared) {
        let mut tables = self.tables.lock();
        self.gathered.store(false, Ordering::Relaxed);
        for audience in tables.prefixes.values_mut() {
            let changed = std::mem::take(&mut audience.changed);
            if changed.is_empty() {
                continue;
            }
            let all = encode(changed.keys());
            for client in audience.clients.values() {
                if !client.tracking_mode().contains(TrackingMode::NOLOOP) {
                    send(shared, client, &Body::Keys(&all));
                    continue;
                }
                let others = changed.iter().filter(|(_, by)| **by != Some(client.id));
                let others: Vec<&Box<[u8]>> = others.map(|(key, _)| key).collect();
                if !others.is_empty() {
                    send(shared, client, &Body::Keys(&encode(others.into_iter())));
                }
            }
        }
    }
}

/// What a call that read leaves behind: its keys are remembered for the client that caches them, whoever made the
/// call for it.
#[inline]
pub fn end_read(env: Env<'_>, command: &Command, argv: Argv<'_>) {
    if let Some(client) = env.client
        && client.tracking_mode().remembers()
    {
        env.shared.tracking.remember(env.shared, client, command, argv);
    }
}

/// CLIENT CACHING holds for one command, or one transaction; CLIENT itself does not count.
#[inline]
pub fn end_caching(session: &Session, env: Env<'_>, command: Option<&Command>) {
    let Some(client) = env.client else { return };
    if !client.tracking_mode().contains(TrackingMode::CACHING) {
        return;
    }
    let goes_on = command.is_some_and(|command| command.has(Flag::KeepsCaching));
    if !goes_on && !session.mode.contains(Mode::MULTI) {
        client.tracking.fetch_and(!TrackingMode::CACHING.bits(), Ordering::Relaxed);
    }
}

/// Gathers a changed key for each prefix that it has; false if it has none.
fn gather(prefixes: &mut BTreeMap<Box<[u8]>, Audience>, key: &[u8], by: Option<u64>) -> bool {
    let mut found = false;
    let mut upto = key;
    loop {
        // The greatest prefix not above `upto`, a beginning of the key. If the key does not begin with it, those that
        // it does begin with are no longer than what the two have in common.
        let below = (Bound::Unbounded, Bound::Included(upto));
        let Some((prefix, audience)) = prefixes.range_mut::<[u8], _>(below).next_back() else {
            return found;
        };
        let common = prefix.iter().zip(key).take_while(|(a, b)| a == b).count();
        if common < prefix.len() {
            upto = &key[..common];
            continue;
        }
        found = true;
        audience.changed.insert(key.into(), by);
        match common.checked_sub(1) {
            Some(shorter) => upto = &key[..shorter],
            None => return true,
        }
    }
}

/// Tells those who have read a key.
fn tell(tables: &Tables, shared: &Shared, key: &[u8], clients: &keys::Readers, by: Option<u64>) {
    let mut body = None;
    for id in clients.iter() {
        let Some(tracker) = tables.trackers.get(&id) else { continue };
        let mode = tracker.client.tracking_mode();
        // What was read before the client turned to prefixes is of no interest to it any more.
        if mode.contains(TrackingMode::BCAST)
            || mode.contains(TrackingMode::NOLOOP) && by == Some(id)
        {
            continue;
        }
        let body = body.get_or_insert_with(|| encode(std::iter::once(key)));
        send(shared, &tracker.client, &Body::Keys(body));
    }
}

/// What is no longer valid.
enum Body<'a> {
    /// An array of keys, encoded; it reads the same in both protocols.
    Keys(&'a [u8]),
    /// Everything.
    Everything,
}

fn encode<K: AsRef<[u8]>>(keys: impl ExactSizeIterator<Item = K>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, Protocol::Resp2);
    reply.array(keys.len());
    keys.for_each(|key| reply.bulk(key.as_ref()));
    out
}

/// Tells a client, or the one that it redirects to.
fn send(shared: &Shared, tracker: &Client, body: &Body<'_>) {
    let redirect = tracker.redirect.load(Ordering::Relaxed);
    if redirect == 0 {
        deliver(shared, tracker, body);
        return;
    }
    let target = shared.clients.lock().get(redirect).cloned();
    match target.filter(|target| !target.is_leaving()) {
        Some(target) => deliver(shared, &target, body),
        None => {
            tracker.tracking.fetch_or(TrackingMode::BROKEN.bits(), Ordering::Relaxed);
            tracker.post(shared, |outbox| {
                if outbox.protocol == Protocol::Resp3 {
                    outbox.add(|out| {
                        let mut reply = Reply::new(out, Protocol::Resp3);
                        reply.push(2);
                        reply.bulk(b"tracking-redir-broken");
                        reply.int(redirect as i64);
                    });
                }
            });
        }
    }
}

/// Puts an invalidation in an outbox, if its client can be told.
fn deliver(shared: &Shared, target: &Client, body: &Body<'_>) {
    let subscribed = target.subscribed.load(Ordering::Relaxed);
    target.post(shared, |outbox| {
        let protocol = outbox.protocol;
        if protocol == Protocol::Resp2 && !subscribed {
            return;
        }
        let encode = |out: &mut Vec<u8>| {
            let mut reply = Reply::new(out, protocol);
            if protocol == Protocol::Resp3 {
                reply.push(2);
                reply.bulk(b"invalidate");
            } else {
                reply.push(3);
                reply.bulk(b"message");
                reply.bulk(CHANNEL);
            }
            match body {
                Body::Keys(keys) => reply.raw(keys),
                Body::Everything => reply.null(),
            }
        };
        if target.output_bytes.load(Ordering::Relaxed) == 0 {
            let grown = outbox.add_measured(encode);
            target.begin_passing(shared, grown);
        } else {
            // It does not read, and whoever does not has keys go.
            outbox.add(encode);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_gathered_for_all_its_prefixes() {
        let words = ["", "a", "ab", "abd", "b", "zz"];
        let mut prefixes: BTreeMap<Box<[u8]>, Audience> =
            words.iter().map(|word| (word.as_bytes().into(), Audience::default())).collect();
        for key in ["", "a", "abc", "abd", "abdz", "ac", "b", "zy", "zzz", "\x7f"] {
            assert!(gather(&mut prefixes, key.as_bytes(), Some(1)), "the empty prefix fits");
            for (prefix, audience) in &mut prefixes {
                let gathered = std::mem::take(&mut audience.changed);
                let fits = key.as_bytes().starts_with(prefix);
                assert_eq!(gathered.contains_key(key.as_bytes()), fits, "{key} {prefix:?}");
            }
        }
        prefixes.remove(&b""[..]);
        assert!(!gather(&mut prefixes, b"c", None));
        assert!(!gather(&mut prefixes, b"", None));
    }

    #[test]
    fn opting_in_and_out_decide_what_is_remembered() {
        use TrackingMode as T;
        for (mode, want) in [
            (T::empty(), false),
            (T::ON, true),
            (T::ON | T::BCAST, false),
            (T::ON | T::OPTIN, false),
            (T::ON | T::OPTIN | T::CACHING, true),
            (T::ON | T::OPTOUT, true),
            (T::ON | T::OPTOUT | T::CACHING, false),
        ] {
            assert_eq!(mode.remembers(), want, "{mode:?}");
        }
    }
}
