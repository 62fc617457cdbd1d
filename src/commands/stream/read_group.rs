//! What is next for a consumer of a group? XREADGROUP, for new entries and for what is pending already.
//!
//! It is propagated by what it did: an XCLAIM for each delivery, or where the group stands now if nothing
//! is to be acknowledged.

use super::read::{
    self, BLOCK_ARG, COUNT_ARG, Caller, Request, STREAMS_ARG, find_keys, null_array, open_stream,
    reply_deleted, streams_from,
};
use super::{
    Delivery, announce_consumer, find, find_counted, no_group, parse_id, propagate_deliveries,
    propagate_position, reply_entry, stream_at, stream_mut,
};
use crate::engine::ctx::WriteCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Group, Outcome, Run};
use crate::keyspace::db::Slot;
use crate::object::stream::{ConsumerSlot, Log, Pending, Stream, StreamId};
use crate::resp::reply::{Deferred, Reply};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "XREADGROUP",
    summary: "Returns new or historical messages from a stream for a consumer in a group. Blocks until a message is available otherwise.",
    since: "5.0.0",
    complexity: "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.",
    group: Group::Stream,
    arity: Arity::AtLeast(7),
    flags: &[Flag::Write, Flag::Blocking],
    keys: &[streams_from(4)],
    args: &[
        Arg::block("group-block", &[Arg::string("group"), Arg::string("consumer")]).token("GROUP"),
        COUNT_ARG,
        BLOCK_ARG,
        Arg::flag("noack", "NOACK").optional(),
        STREAMS_ARG,
    ],
    run: Run::Write(xreadgroup),
    find_keys: Some(find_keys),
    ..CommandSpec::BASE
}];

/// What a consumer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// Entries that nobody has got yet.
    New,
    /// Its own pending entries behind an ID.
    History(StreamId),
}

/// The last ID there can be; nothing is behind it, so that it stands for `>` in Redis.
fn parse_from(id: &[u8]) -> Result<From, CommandError> {
    match id {
        b">" => Ok(From::New),
        b"$" => Err(meaningless('$')),
        b"+" => Err(meaningless('+')),
        _ => match parse_id(id, 0)? {
            StreamId::MAX => Ok(From::New),
            id => Ok(From::History(id)),
        },
    }
}

fn meaningless(symbol: char) -> CommandError {
    CommandError::owned(format!(
        "ERR The {symbol} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The {symbol} ID would just return an empty result set."
    ))
}

/// Group and consumer of a request that was parsed for XREADGROUP.
fn names<'a>(request: &Request<'a>) -> (&'a [u8], &'a [u8]) {
    request.group.expect("a request without a group was refused")
}

fn xreadgroup(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let request = read::parse(argv, Caller::Xreadgroup, ctx.now_ms(), ctx.session.mode)?;
    let froms = check(ctx, &request)?;

    ctx.propagate_nothing();
    let mut head: Option<Deferred> = None;
    let mut served = 0;
    for (key, from) in request.keys.iter().zip(froms) {
        let start = reply.deferred();
        if serve(ctx, &request, key, from, reply)? {
            head.get_or_insert(start);
            served += 1;
        }
    }
    if let Some(head) = head {
        match reply.is_resp3() {
            true => reply.close_map(head, served),
            false => reply.close(head, served),
        }
    } else if request.block.is_none_or(|deadline_ms| {
        !ctx.wait_for(request.wanted(true), deadline_ms, null_array(reply))
    }) {
        reply.null_array();
    }
    Ok(())
}

/// Sees to it that all streams and groups are there, before any of them changes.
fn check(ctx: &mut WriteCtx<'_>, request: &Request<'_>) -> Result<Vec<From>, CommandError> {
    let (group, _) = names(request);
    let mut froms = Vec::with_capacity(request.keys.len());
    for (key, id) in request.keys.iter().zip(request.ids) {
        let slot = find_counted(ctx, key)?;
        if slot.is_none_or(|slot| stream_at(ctx, slot).groups.get(group).is_none()) {
            return Err(no_group(&[
                b"No such key '",
                key,
                b"' or consumer group '",
                group,
                b"' in XREADGROUP with GROUP option",
            ]));
        }
        froms.push(parse_from(id)?);
    }
    Ok(froms)
}

/// Reads one stream; whether there was something to answer.
fn serve(
    ctx: &mut WriteCtx<'_>,
    request: &Request<'_>,
    key: &[u8],
    from: From,
    reply: &mut Reply<'_>,
) -> Result<bool, CommandError> {
    let (group, consumer) = names(request);
    // It was there just now, unless foreign code has heard of the stream before it.
    let Some(slot) = find(ctx, key)? else { return Ok(false) };
    let now_ms = ctx.now_ms();
    let stream = stream_mut(ctx, slot);
    let Some(state) = stream.groups.get_mut(group) else { return Ok(false) };
    let (owner, is_new) = match state.find_consumer(consumer) {
        Some(owner) => (owner, false),
        None => match state.add_consumer(consumer, now_ms, None) {
            Some(owner) => (owner, true),
            None => return Ok(false),
        },
    };
    if let Some(own) = state.consumer_mut(owner) {
        own.seen_ms = now_ms;
    }
    let log = &stream.log;
    let has_new =
        log.last_id > state.last_id && log.last_entry_id().is_some_and(|last| last > state.last_id);
    if is_new {
        ctx.count_changes(1);
        if request.noack {
            ctx.also_propagate(&[b"XGROUP", b"CREATECONSUMER", key, group, consumer]);
        }
    }
    let is_served = match from {
        From::New => has_new,
        From::History(_) => true,
    };
    if is_served {
        open_stream(key, reply);
        match from {
            From::New => deliver(ctx, slot, request, key, owner, reply),
            From::History(after) => history(ctx, slot, request, after, owner, reply),
        }
        ctx.count_changes(1);
    }
    if is_new {
        announce_consumer(ctx, key);
    }
    Ok(is_served)
}

/// Hands out new entries.
fn deliver(
    ctx: &mut WriteCtx<'_>,
    slot: Slot,
    request: &Request<'_>,
    key: &[u8],
    owner: ConsumerSlot,
    reply: &mut Reply<'_>,
) {
    let (group, consumer) = names(request);
    let (now_ms, is_logged) = (ctx.now_ms(), ctx.log_active());
    let Stream { log, groups } = stream_mut(ctx, slot);
    let Some(state) = groups.get_mut(group) else { return };
    let mut deliveries = Vec::new();
    let head = reply.deferred();
    let mut count = 0;
    let start = state.last_id.next().unwrap_or(StreamId::MAX);
    for entry in log.range(start, StreamId::MAX).take(request.count) {
        let id = entry.id;
        reply_entry(entry, reply);
        count += 1;
        state.advance(log, id);
        if request.noack {
            continue;
        }
        // Somebody may have it already: XGROUP SETID can set a group back.
        state.assign(id, Pending { delivered_ms: now_ms, count: 1, owner });
        if is_logged {
            deliveries.push(Delivery {
                id: id.text().as_bytes().to_vec(),
                owner: consumer.into(),
                delivered_ms: now_ms,
                count: 1,
                last_id: state.last_id,
            });
        }
    }
    reply.close(head, count);
    if request.noack {
        propagate_position(ctx, key, group, slot);
        return;
    }
    if let Some(own) = state.consumer_mut(owner) {
        own.active_ms = Some(now_ms);
    }
    propagate_deliveries(ctx, key, group, &deliveries);
}

/// Hands out again what is pending for the consumer, behind an ID.
fn history(
    ctx: &mut WriteCtx<'_>,
    slot: Slot,
    request: &Request<'_>,
    after: StreamId,
    owner: ConsumerSlot,
    reply: &mut Reply<'_>,
) {
    let (group, _) = names(request);
    let now_ms = ctx.now_ms();
    let Stream { log, groups } = stream_mut(ctx, slot);
    let Some(state) = groups.get_mut(group) else { return };
    let start = after.next().unwrap_or(StreamId::MAX);
    let ids: Vec<StreamId> = match state.consumer(owner) {
        Some(own) => own.pending_from(start).take(request.count).collect(),
        None => Vec::new(),
    };
    reply.array(ids.len());
    for id in ids {
        if !reply_again(log, id, reply) {
            continue;
        }
        if let Some(pending) = state.pending(id) {
            let count = pending.count.wrapping_add(1);
            state.assign(id, Pending { delivered_ms: now_ms, count, owner });
        }
    }
}

/// Writes an entry that was delivered before; false if it was deleted since.
fn reply_again(log: &Log, id: StreamId, reply: &mut Reply<'_>) -> bool {
    match log.entry(id) {
        Some(entry) => {
            reply_entry(entry, reply);
            true
        }
        None => {
            reply_deleted(id, reply);
            false
        }
    }
}
