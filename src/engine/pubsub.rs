//! Who listens to which channel? Subscriptions of clients, and the delivery of what is published.
//!
//! Publishing goes through the table's lock from the look-up to the last outbox, so that all receivers see the
//! same order. A message is encoded at most once for each protocol and kind of message; its receivers share
//! the bytes.
//!
//! Invariants: a name is in the table as long as a client listens to it; a client's own names
//! ([`Subscriptions`]) and the table say the same. The names belong to the session of the client, which its owner
//! alone changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::Mutex;

use super::client::{Client, Mode, Session};
use super::ctx::Env;
use super::error::CommandError;
use super::outbox::{Outbox, SharedBytes};
use super::registry::Command;
use super::spec::Flag;
use super::state::Shared;
use crate::base::glob::{Case, glob_match};
use crate::base::hasher::hash64;
use crate::resp::reply::{Protocol, Reply};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel of the whole server or cluster.
    Channel,
    /// All channels that match.
    Pattern,
    /// A channel of one shard.
    Shard,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];

    fn subscribed(self) -> &'static [u8] {
        match self {
            Kind::Channel => b"subscribe",
            Kind::Pattern => b"psubscribe",
            Kind::Shard => b"ssubscribe",
        }
    }

    fn unsubscribed(self) -> &'static [u8] {
        match self {
            Kind::Channel => b"unsubscribe",
            Kind::Pattern => b"punsubscribe",
            Kind::Shard => b"sunsubscribe",
        }
    }
}

/// A name as the table and the sessions share it.
type Name = Arc<[u8]>;

/// What one client listens to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    names: [BTreeSet<Name>; 3],
}

impl Subscriptions {
    /// How many names of a kind.
    pub fn len(&self, kind: Kind) -> usize {
        self.names[kind as usize].len()
    }

    /// How many names altogether.
    pub fn count(&self) -> usize {
        self.names.iter().map(BTreeSet::len).sum()
    }

    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(BTreeSet::is_empty)
    }

    /// The count that replies of SUBSCRIBE and its relatives show.
    fn shown(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => self.len(Kind::Channel) + self.len(Kind::Pattern),
            Kind::Shard => self.len(Kind::Shard),
        }
    }
}

/// A name and those who listen to it.
#[derive(Debug)]
struct Topic {
    name: Name,
    /// In the order of their ids.
    clients: Vec<(u64, Arc<Client>)>,
}

/// The topics of one kind.
#[derive(Debug, Default)]
struct Topics(HashTable<Topic>);

impl Topics {
    fn find(&self, name: &[u8]) -> Option<&Topic> {
        self.0.find(hash64(name), |topic| *topic.name == *name)
    }

    /// Adds a listener, who is not among them yet; the name as it is shared.
    fn add(&mut self, name: &[u8], client: &Arc<Client>) -> Name {
        let new = || Topic { name: name.into(), clients: Vec::new() };
        let same = |topic: &Topic| *topic.name == *name;
        let mut topic =
            self.0.entry(hash64(name), same, |topic| hash64(&topic.name)).or_insert_with(new);
        let topic = topic.get_mut();
        let at = topic.clients.partition_point(|(id, _)| *id < client.id);
        topic.clients.insert(at, (client.id, Arc::clone(client)));
        Arc::clone(&topic.name)
    }

    fn remove(&mut self, name: &[u8], client: u64) {
        let same = |topic: &Topic| *topic.name == *name;
        let Ok(mut found) = self.0.find_entry(hash64(name), same) else { return };
        let topic = found.get_mut();
        if let Ok(at) = topic.clients.binary_search_by_key(&client, |(id, _)| *id) {
            topic.clients.remove(at);
        }
        if topic.clients.is_empty() {
            found.remove();
        }
    }
}

/// Who listens to what.
#[derive(Debug, Default)]
pub struct PubSub {
    topics: Mutex<[Topics; 3]>,
    /// Names in the table; read by every PUBLISH.
    names: AtomicUsize,
    /// Clients that listen to something.
    clients: AtomicUsize,
}

impl PubSub {
    /// Whether nobody listens to anything.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.names.load(Ordering::Relaxed) == 0
    }

    /// How many clients listen to something.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// How many names of a kind are listened to.
    pub fn len(&self, kind: Kind) -> usize {
        self.topics.lock()[kind as usize].0.len()
    }

    /// How many clients listen to a name.
    pub fn listeners(&self, kind: Kind, name: &[u8]) -> usize {
        let topics = self.topics.lock();
        topics[kind as usize].find(name).map_or(0, |topic| topic.clients.len())
    }

    /// The names of a kind that match.
    pub fn matching(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Arc<[u8]>> {
        let topics = self.topics.lock();
        let names = topics[kind as usize].0.iter().map(|topic| &topic.name);
        let fits = |name: &&Name| pattern.is_none_or(|p| glob_match(p, name, Case::Sensitive));
        names.filter(fits).cloned().collect()
    }

    /// Closes the connections of a user that listen to something that it may not any more.
    pub fn kill_listeners(&self, user: u64, may: impl Fn(Kind, &[u8]) -> bool) {
        if self.is_idle() {
            return;
        }
        let topics = self.topics.lock();
        for kind in Kind::ALL {
            for topic in topics[kind as usize].0.iter().filter(|topic| !may(kind, &topic.name)) {
                let own = |client: &&Arc<Client>| client.user.load(Ordering::Relaxed) == user;
                topic.clients.iter().map(|(_, client)| client).filter(own).for_each(|c| c.kill());
            }
        }
    }

    fn changed(&self, topics: &[Topics; 3]) {
        let names = topics.iter().map(|topics| topics.0.len()).sum();
        self.names.store(names, Ordering::Relaxed);
    }

    /// Sends a message to all who listen to the channel; how many that are.
    pub fn publish(&self, shared: &Shared, kind: Kind, channel: &[u8], message: &[u8]) -> usize {
        if self.is_idle() {
            return 0;
        }
        let topics = self.topics.lock();
        let mut receivers = 0;
        if let Some(topic) = topics[kind as usize].find(channel) {
            let word: &[u8] = if kind == Kind::Shard { b"smessage" } else { b"message" };
            receivers += send(shared, topic, &mut Message::new(&[word, channel, message]));
        }
        if kind == Kind::Channel {
            for topic in &topics[Kind::Pattern as usize].0 {
                if glob_match(&topic.name, channel, Case::Sensitive) {
                    let parts: &[&[u8]] = &[b"pmessage", &topic.name, channel, message];
                    receivers += send(shared, topic, &mut Message::new(parts));
                }
            }
        }
        receivers
    }
}

fn send(shared: &Shared, topic: &Topic, message: &mut Message<'_>) -> usize {
    let mut add = |outbox: &mut Outbox| {
        let protocol = outbox.protocol;
        outbox.add_shared(message.encoded(protocol));
    };
    topic.clients.iter().filter(|(_, client)| client.post(shared, &mut add)).count()
}

/// A message on its way to many, encoded for each protocol when the first receiver needs it.
struct Message<'a> {
    parts: &'a [&'a [u8]],
    resp2: Option<SharedBytes>,
    resp3: Option<SharedBytes>,
}

impl<'a> Message<'a> {
    fn new(parts: &'a [&'a [u8]]) -> Self {
        Self { parts, resp2: None, resp3: None }
    }

    fn encoded(&mut self, protocol: Protocol) -> &SharedBytes {
        let place = match protocol {
            Protocol::Resp2 => &mut self.resp2,
            Protocol::Resp3 => &mut self.resp3,
        };
        place.get_or_insert_with(|| {
            // Beside each part stand a head of at most 23 bytes and a line's end.
            let len = self.parts.iter().map(|part| part.len() + 25).sum();
            let mut out = Vec::with_capacity(len);
            let mut reply = Reply::new(&mut out, protocol);
            reply.push(self.parts.len());
            self.parts.iter().for_each(|part| reply.bulk(part));
            Arc::new(out)
        })
    }
}

/// What a client that listens to others may still ask for.
#[cold]
pub fn check_listener(session: &Session, command: &Command) -> Result<(), CommandError> {
    let touches_keys =
        command.has(Flag::Write) || command.has(Flag::ReadOnly) || command.has(Flag::MayReplicate);
    if session.mode.contains(Mode::SUBSCRIBED)
        && session.protocol == Protocol::Resp2
        && !command.has(Flag::WhileSubscribed)
    {
        return Err(CommandError::OnlyWhileSubscribed(command.name.to_string()));
    }
    if session.mode.contains(Mode::MONITOR) && touches_keys {
        return Err(CommandError::MonitorOnly);
    }
    Ok(())
}

/// Has a client listen to a name, and says so.
pub fn subscribe(
    session: &mut Session,
    env: Env<'_>,
    client: &Arc<Client>,
    kind: Kind,
    name: &[u8],
    reply: &mut Reply<'_>,
) {
    let pubsub = &env.shared.pubsub;
    let own = &mut session.subscriptions;
    if !own.names[kind as usize].contains(name) {
        let is_first = own.is_empty();
        let mut topics = pubsub.topics.lock();
        let shared_name = topics[kind as usize].add(name, client);
        own.names[kind as usize].insert(shared_name);
        pubsub.changed(&topics);
        if is_first {
            pubsub.clients.fetch_add(1, Ordering::Relaxed);
        }
    }
    session.mode.insert(Mode::SUBSCRIBED);
    client.subscribed.store(true, Ordering::Relaxed);
    confirm(session, kind, kind.subscribed(), Some(name), reply);
}

/// Has a client listen to these names no longer, or to none of the kind, and says so.
pub fn unsubscribe(
    session: &mut Session,
    env: Env<'_>,
    client: &Client,
    kind: Kind,
    names: &[&[u8]],
    reply: &mut Reply<'_>,
) {
    let word = kind.unsubscribed();
    if names.is_empty() {
        let all: Vec<Name> = session.subscriptions.names[kind as usize].iter().cloned().collect();
        for name in &all {
            forget(session, env.shared, client, kind, name);
            confirm(session, kind, word, Some(name), reply);
        }
        if all.is_empty() {
            confirm(session, kind, word, None, reply);
        }
    }
    for name in names {
        forget(session, env.shared, client, kind, name);
        confirm(session, kind, word, Some(name), reply);
    }
    if session.subscriptions.is_empty() {
        session.mode.remove(Mode::SUBSCRIBED);
        client.subscribed.store(false, Ordering::Relaxed);
    }
}

/// Ends all subscriptions of a client that leaves or is reset.
pub fn forget_all(session: &mut Session, shared: &Shared, client: &Client) {
    for kind in Kind::ALL {
        while let Some(name) = session.subscriptions.names[kind as usize].first().cloned() {
            forget(session, shared, client, kind, &name);
        }
    }
    session.mode.remove(Mode::SUBSCRIBED);
    client.subscribed.store(false, Ordering::Relaxed);
}

fn forget(session: &mut Session, shared: &Shared, client: &Client, kind: Kind, name: &[u8]) {
    let own = &mut session.subscriptions;
    if !own.names[kind as usize].remove(name) {
        return;
    }
    let pubsub = &shared.pubsub;
    let mut topics = pubsub.topics.lock();
    topics[kind as usize].remove(name, client.id);
    pubsub.changed(&topics);
    if own.is_empty() {
        pubsub.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

fn confirm(session: &Session, kind: Kind, word: &[u8], name: Option<&[u8]>, reply: &mut Reply<'_>) {
    reply.push(3);
    reply.bulk(word);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.len(session.subscriptions.shown(kind));
}
