//! How is a client shown? The line of CLIENT LIST, which ACL LOG keeps as well.

use std::sync::atomic::Ordering;

use super::client::{Client, Mode, Session};
use super::pubsub::Kind;
use super::tracking::TrackingMode;
use crate::resp::reply::Protocol;

/// The line of a call that no client has made, as a module's in the background.
pub fn line_of_nobody(session: &Session) -> Vec<u8> {
    let user = session.user.as_ref().map_or(&b"(superuser)"[..], |user| &user.name);
    let line = format!(
        "id=0 addr=?:0 laddr=?:0 fd=-1 name= age=0 idle=0 flags=N db={} sub=0 psub=0 ssub=0 multi=-1 \
         qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events= \
         cmd=NULL user={} redir=-1 resp=2 lib-name= lib-ver=",
        session.db,
        String::from_utf8_lossy(user)
    );
    line.into_bytes()
}

/// A client in one line, without its end.
pub fn line(client: &Client, session: &Session, now_ms: i64) -> Vec<u8> {
    let mut flags = String::new();
    let mut mark = |on: bool, letter: char| {
        if on {
            flags.push(letter);
        }
    };
    let tracking = client.tracking_mode();
    mark(client.following.follows.load(Ordering::Relaxed), 'S');
    mark(session.mode.contains(Mode::PRIMARY), 'M');
    mark(session.mode.contains(Mode::MONITOR), 'O');
    mark(session.mode.contains(Mode::SUBSCRIBED), 'P');
    mark(session.mode.contains(Mode::MULTI), 'x');
    mark(session.mode.contains(Mode::BLOCKED), 'b');
    mark(tracking.contains(TrackingMode::ON), 't');
    mark(tracking.contains(TrackingMode::BROKEN), 'R');
    mark(tracking.contains(TrackingMode::BCAST), 'B');
    mark(client.dirty.load(Ordering::Relaxed), 'd');
    mark(client.unix_socket, 'U');
    mark(session.mode.contains(Mode::NO_EVICT), 'e');
    mark(session.mode.contains(Mode::NO_TOUCH), 'T');
    if flags.is_empty() {
        flags.push('N');
    }
    // What a module calls comes from nobody's connection.
    let fd = if session.mode.contains(Mode::MODULE) { -1 } else { client.fd };
    let in_multi = session.mode.contains(Mode::MULTI);
    let waiting = client.outbox.lock().bytes();
    let output = client.output_bytes.load(Ordering::Relaxed) + waiting;
    let redirect = match tracking.contains(TrackingMode::ON) {
        true => client.redirect.load(Ordering::Relaxed) as i64,
        false => -1,
    };
    let listens = |kind| session.subscriptions.len(kind);
    let query = client.query_bytes.load(Ordering::Relaxed);
    let arguments = client.argument_bytes.load(Ordering::Relaxed);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let user = session.user.as_ref().map_or(&b"(superuser)"[..], |user| &user.name);
    let line = format!(
        "id={} addr={} laddr={} fd={fd} name={} age={} idle={} flags={flags} db={} sub={} psub={} \
         ssub={} multi={} qbuf={query} qbuf-free={} argv-mem={} multi-mem={} rbs=0 rbp=0 obl=0 oll=0 \
         omem={output} tot-mem={} events=r cmd={} user={} redir={redirect} resp={} lib-name={} lib-ver={}",
        client.id,
        client.addr,
        client.laddr,
        text(&session.name),
        (now_ms - client.created_ms) / 1000,
        (now_ms - client.active_ms.load(Ordering::Relaxed)).max(0) / 1000,
        session.db,
        listens(Kind::Channel),
        listens(Kind::Pattern),
        listens(Kind::Shard),
        if in_multi { session.multi.queue.len() as i64 } else { -1 },
        client.footprint.input.load(Ordering::Relaxed).saturating_sub(query + arguments),
        arguments + session.waiting_argv_bytes,
        session.multi.bytes,
        client.memory_bytes_with(session.memory_bytes()),
        session.last_command.map_or("NULL", |command| &*command.name),
        text(user),
        if session.protocol == Protocol::Resp3 { 3 } else { 2 },
        text(&session.lib_name),
        text(&session.lib_version),
    );
    line.into_bytes()
}
