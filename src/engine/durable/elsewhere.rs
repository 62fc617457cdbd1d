//! Who waits until others have what a client wrote? WAIT for replicas to have followed it, WAITAOF for it to be in files, here
//! and there.
//!
//! Replicas say how far they are without the engine's lock (REPLCONF ACK), and files are synced without it; so this table has a
//! lock of its own, and its own list of those replicas that count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::engine::client::Client;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Replicas that are to have it.
    pub replicas: usize,
    /// The offset of the history at which they do.
    pub offset: u64,
    /// It is to be in files: the replicas', and the own one behind this position of the log.
    pub files: Option<u64>,
    /// The own file is waited for, and not only told about.
    pub own: bool,
}

/// A client that waits.
#[derive(Debug)]
struct Waiter {
    client: Arc<Client>,
    wanted: Wanted,
}

/// Those who wait, and those who are waited for.
#[derive(Debug, Default)]
pub struct Elsewhere {
    table: Mutex<Table>,
    /// How many wait.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Table {
    replicas: Vec<Arc<Client>>,
    waiters: Vec<Waiter>,
}

impl Table {
    /// How many replicas have what is wanted.
    fn count(&self, wanted: &Wanted) -> usize {
        let has = |replica: &&Arc<Client>| {
            let following = &replica.following;
            let reached = match wanted.files {
                None => &following.offset,
                Some(_) => &following.aof_offset,
            };
            reached.load(Ordering::Relaxed) >= wanted.offset
                && !replica.killed.load(Ordering::Relaxed)
        };
        self.replicas.iter().filter(has).count()
    }

    /// The reply as things stand, and whether that is enough.
    fn answer(&self, wanted: &Wanted, kept: Option<u64>) -> (Vec<u8>, bool) {
        let replicas = self.count(wanted);
        let enough = replicas >= wanted.replicas;
        match wanted.files {
            None => (format!(":{replicas}\r\n").into_bytes(), enough),
            Some(position) => {
                let is_synced = kept.is_some_and(|kept| kept >= position);
                let reply = format!("*2\r\n:{}\r\n:{replicas}\r\n", u8::from(is_synced));
                (reply.into_bytes(), enough && (is_synced || !wanted.own))
            }
        }
    }
}

impl Elsewhere {
    /// The reply as things stand, and whether that is enough; `kept` is how far the own file is.
    pub fn answer(&self, wanted: &Wanted, kept: Option<u64>) -> (Vec<u8>, bool) {
        self.table.lock().answer(wanted, kept)
    }

    /// A client waits. If it need not any more, its reply is handed out.
    pub fn enter(&self, client: Arc<Client>, wanted: Wanted, kept: Option<u64>) -> Option<Vec<u8>> {
        let mut table = self.table.lock();
        let (reply, enough) = table.answer(&wanted, kept);
        if enough {
            return Some(reply);
        }
        table.waiters.push(Waiter { client, wanted });
        self.waiting.store(table.waiters.len(), Ordering::Relaxed);
        None
    }

    /// A client waits no more: its reply as things stand; None if it does not wait, since it is being answered.
    pub fn leave(&self, client: u64, kept: Option<u64>) -> Option<Vec<u8>> {
        let mut table = self.table.lock();
        let at = table.waiters.iter().position(|waiter| waiter.client.id == client)?;
        let waiter = table.waiters.swap_remove(at);
        self.waiting.store(table.waiters.len(), Ordering::Relaxed);
        Some(table.answer(&waiter.wanted, kept).0)
    }

    /// These replicas count from now on.
    pub fn set_replicas(&self, replicas: impl Iterator<Item = Arc<Client>>) {
        let mut table = self.table.lock();
        table.replicas.clear();
        table.replicas.extend(replicas);
    }

    /// Answers those who have waited long enough. To be called when a replica, or the own file, has come further.
    pub fn serve(&self, kept: Option<u64>) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut table = self.table.lock();
        let mut served = Vec::new();
        let waiters = std::mem::take(&mut table.waiters);
        for waiter in waiters {
            match table.answer(&waiter.wanted, kept) {
                (reply, true) => served.push((waiter.client, reply)),
                (_, false) => table.waiters.push(waiter),
            }
        }
        self.waiting.store(table.waiters.len(), Ordering::Relaxed);
        drop(table);
        served.into_iter().for_each(|(client, reply)| client.answer_wait(&reply));
    }

    /// Answers all who wait for the own file with `refusal`, since there will be none.
    pub fn refuse_own(&self, refusal: &[u8]) {
        let mut table = self.table.lock();
        let is_own = |waiter: &mut Waiter| waiter.wanted.own;
        let refused: Vec<Waiter> = table.waiters.extract_if(.., is_own).collect();
        self.waiting.store(table.waiters.len(), Ordering::Relaxed);
        drop(table);
        refused.into_iter().for_each(|waiter| waiter.client.answer_wait(refusal));
    }
}
