//! What was denied lately? The entries of ACL LOG, newest first.
//!
//! Invariants: there are at most `acllog-max-len`. Denials of the same kind within a minute are one entry,
//! looked for among the newest ones only.

use std::collections::VecDeque;

use super::Users;
use crate::engine::client::Session;
use crate::engine::client_info;
use crate::engine::ctx::Env;

/// Entries that a new denial is compared with.
const COMPARED_MAX: usize = 10;
/// Denials further apart are different entries.
const APART_MS: i64 = 60_000;

/// What is denied; ordered by how far a command came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The command.
    Command,
    /// A key.
    Key,
    /// To log in.
    Auth,
    /// A channel.
    Channel,
}

impl Reason {
    /// The word for it in ACL LOG.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Auth => "auth",
            Reason::Channel => "channel",
        }
    }
}

/// Where a command was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// As the client sent it.
    TopLevel,
    /// Between MULTI and EXEC, or by EXEC.
    Multi,
    /// In a script.
    Script,
    /// In a module.
    Module,
}

impl Context {
    /// The word for it in ACL LOG.
    pub fn name(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Multi => "multi",
            Context::Script => "lua",
            Context::Module => "module",
        }
    }
}

/// A denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What is denied.
    pub reason: Reason,
    /// Where.
    pub context: Context,
    /// The name of the command, key or channel.
    pub object: &'a [u8],
    /// The user who wanted it.
    pub username: &'a [u8],
}

/// Denials of one kind.
#[derive(Debug)]
pub struct LogEntry {
    /// Their number among all entries since the start.
    pub id: u64,
    /// How many.
    pub count: u64,
    /// What is denied.
    pub reason: Reason,
    /// Where.
    pub context: Context,
    /// The name of the command, key or channel.
    pub object: Box<[u8]>,
    /// The user who wanted it.
    pub username: Box<[u8]>,
    /// The client that was the last to do so, as in CLIENT LIST.
    pub client: Vec<u8>,
    /// When it was the first time, unix milliseconds.
    pub created_ms: i64,
    /// When it was the last time.
    pub updated_ms: i64,
}

impl LogEntry {
    fn is_like(&self, new: &Entry<'_>, now_ms: i64) -> bool {
        self.reason == new.reason
            && self.context == new.context
            && (now_ms - self.updated_ms).abs() <= APART_MS
            && *self.object == *new.object
            && *self.username == *new.username
    }
}

/// The log.
#[derive(Debug, Default)]
pub struct AclLog {
    entries: VecDeque<LogEntry>,
    next_id: u64,
}

impl AclLog {
    /// The entries, newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    fn add(&mut self, new: &Entry<'_>, client: Vec<u8>, now_ms: i64, len_max: usize) {
        let newest = self.entries.iter().take(COMPARED_MAX);
        let like = newest.into_iter().position(|known| known.is_like(new, now_ms));
        if let Some(mut known) = like.and_then(|at| self.entries.remove(at)) {
            known.count += 1;
            known.client = client;
            known.updated_ms = now_ms;
            self.entries.push_front(known);
            return;
        }
        self.entries.push_front(LogEntry {
            id: self.next_id,
            count: 1,
            reason: new.reason,
            context: new.context,
            object: new.object.into(),
            username: new.username.into(),
            client,
            created_ms: now_ms,
            updated_ms: now_ms,
        });
        self.next_id += 1;
        self.entries.truncate(len_max);
    }
}

impl Users {
    /// Counts a denial and enters it in the log.
    #[cold]
    pub fn note_denied(&self, session: &Session, env: Env<'_>, entry: Entry<'_>) {
        self.count_denied(entry.reason);
        let now_ms = env.now_ms();
        let client = match env.client {
            Some(client) => client_info::line(client, session, now_ms),
            None => client_info::line_of_nobody(session),
        };
        let len_max = self.log_len_max.load(std::sync::atomic::Ordering::Relaxed);
        self.log.lock().add(&entry, client, now_ms, len_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(object: &'static str) -> Entry<'static> {
        Entry {
            reason: Reason::Key,
            context: Context::TopLevel,
            object: object.as_bytes(),
            username: b"joe",
        }
    }

    fn shown(log: &AclLog) -> Vec<(u64, String, u64)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        log.iter().map(|one| (one.id, text(&one.object), one.count)).collect()
    }

    #[test]
    fn like_denials_of_a_minute_are_one_entry() {
        let mut log = AclLog::default();
        log.add(&entry("a"), Vec::new(), 0, 10);
        log.add(&entry("b"), Vec::new(), 1, 10);
        log.add(&entry("a"), b"last".to_vec(), 60_000, 10);
        assert_eq!(shown(&log), [(0, "a".into(), 2), (1, "b".into(), 1)]);
        assert_eq!(log.iter().next().map(|one| one.client.clone()), Some(b"last".to_vec()));
        log.add(&entry("a"), Vec::new(), 120_001, 10);
        assert_eq!(shown(&log).first(), Some(&(2, "a".into(), 1)));
    }

    #[test]
    fn the_log_is_bounded_and_its_oldest_go() {
        let mut log = AclLog::default();
        for object in ["a", "b", "c"] {
            log.add(&entry(object), Vec::new(), 0, 2);
        }
        assert_eq!(shown(&log), [(2, "c".into(), 1), (1, "b".into(), 1)]);
        log.add(&entry("d"), Vec::new(), 0, 0);
        assert_eq!(log.iter().len(), 0);
    }
}
