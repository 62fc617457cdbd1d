//! Who watches all that is done? MONITOR: a line for each command, sent to every monitor.
//!
//! Commands of administration are not shown, nor the arguments that a command declares secret. A command that
//! makes calls of its own (EVAL) is shown before them, every other one when it is done, as Redis has it.
//!
//! Invariant: all monitors see one order, since a line reaches them all under the table's lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::client::{Client, Mode, Session};
use super::ctx::Env;
use super::registry::Command;
use super::spec::{Argv, Flag, Group};
use super::state::Shared;
use crate::base::quoting::append_quoted;

/// The monitors.
#[derive(Debug, Default)]
pub struct Monitors {
    clients: Mutex<Vec<Arc<Client>>>,
    count: AtomicUsize,
}

impl Monitors {
    /// Whether there is one.
    #[inline]
    pub fn is_heard(&self) -> bool {
        self.count.load(Ordering::Relaxed) != 0
    }

    /// Adds a client, which is none yet.
    pub fn add(&self, client: &Arc<Client>) {
        let mut clients = self.clients.lock();
        clients.push(Arc::clone(client));
        self.count.store(clients.len(), Ordering::Relaxed);
    }

    /// Removes a client that leaves or is reset.
    pub fn remove(&self, id: u64) {
        let mut clients = self.clients.lock();
        clients.retain(|client| client.id != id);
        self.count.store(clients.len(), Ordering::Relaxed);
    }

    fn send(&self, shared: &Shared, line: &Arc<Vec<u8>>) {
        for client in &*self.clients.lock() {
            client.post(shared, |outbox| outbox.add_shared(line));
        }
    }
}

/// When a command is shown: not at all, before it makes its own calls, or when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before it runs.
    Before,
    /// When it has run.
    After,
}

impl Moment {
    fn of(command: &Command) -> Option<Self> {
        if command.has(Flag::Admin) {
            None
        } else if !command.has(Flag::SkipMonitor) {
            Some(Moment::After)
        } else if command.spec.group == Group::Scripting {
            Some(Moment::Before)
        } else {
            None
        }
    }
}

/// Shows a command to the monitors, if this is the moment for it.
#[cold]
pub fn show(moment: Moment, session: &Session, env: Env<'_>, command: &Command, argv: Argv<'_>) {
    if Moment::of(command) != Some(moment) {
        return;
    }
    let now_us = (env.shared.clock.unix_us)();
    let mut line = format!("+{}.{:06} [{} ", now_us / 1_000_000, now_us % 1_000_000, session.db);
    match env.client {
        _ if session.mode.contains(Mode::SCRIPT) => line.push_str("lua"),
        Some(client) if !session.mode.contains(Mode::MODULE) => {
            if client.unix_socket {
                line.push_str("unix:");
            }
            // The path of a socket is told without the port that CLIENT LIST invents.
            let path = client.addr.strip_suffix(":0").filter(|_| client.unix_socket);
            line.push_str(path.unwrap_or(&client.addr));
        }
        _ => line.push_str("?:0"),
    }
    line.push(']');
    let mut line = line.into_bytes();
    let secrets = session.secrets(command, argv);
    for (at, arg) in argv.iter().enumerate() {
        line.push(b' ');
        append_quoted(&mut line, if secrets.contains(&at) { b"(redacted)" } else { arg });
    }
    line.extend_from_slice(b"\r\n");
    env.shared.monitors.send(env.shared, &Arc::new(line));
}
