//! What was delivered and not acknowledged? XACK and XPENDING.

use super::{
    find_counted, no_key_or_group, parse_end, parse_ids, parse_start, read, reply_id, stream_mut,
};
use crate::engine::args;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::stream::{self, StreamId};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XACK",
        summary: "Returns the number of messages that were successfully acknowledged by the consumer group member of a stream.",
        since: "5.0.0",
        complexity: "O(1) for each message ID processed.",
        group: Group::Stream,
        arity: Arity::AtLeast(4),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[Arg::key("key"), Arg::string("group"), Arg::string("ID").multiple()],
        run: Run::Write(xack),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XPENDING",
        summary: "Returns the information and entries from a stream consumer group's pending entries list.",
        since: "5.0.0",
        complexity: "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.",
        group: Group::Stream,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("group"),
            Arg::block(
                "filters",
                &[
                    Arg::integer("min-idle-time").token("IDLE").optional().since("6.2.0"),
                    Arg::string("start"),
                    Arg::string("end"),
                    Arg::integer("count"),
                    Arg::string("consumer").optional(),
                ],
            )
            .optional(),
        ],
        run: Run::Read(xpending),
        history: &[("6.2.0", "Added the `IDLE` option and exclusive range intervals.")],
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
];

fn xack(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name) = (argv[1], argv[2]);
    let ids = parse_ids(&argv[3..]);
    let mut acknowledged = 0;
    // Ids that are none do not matter where there is nobody to acknowledge them to.
    if let Some(slot) = find_counted(ctx, key)?
        && let Some(group) = stream_mut(ctx, slot).groups.get_mut(name)
    {
        acknowledged = ids?.into_iter().filter(|id| group.acknowledge(*id)).count();
    }
    ctx.count_changes(acknowledged as u64);
    reply.len(acknowledged);
    Ok(())
}

/// Which pending entries to show.
struct Filter<'a> {
    start: StreamId,
    end: StreamId,
    count: usize,
    min_idle_ms: i64,
    consumer: Option<&'a [u8]>,
}

/// The filter, if there is one.
fn parse<'a>(argv: Argv<'a>) -> Result<Option<Filter<'a>>, CommandError> {
    if argv.len() == 3 {
        return Ok(None);
    }
    if !(6..=9).contains(&argv.len()) {
        return Err(CommandError::Syntax);
    }
    let (mut at, mut min_idle_ms) = (3, 0);
    if args::is(argv[3], "IDLE") {
        min_idle_ms = args::int(argv[4])?;
        if argv.len() < 8 {
            return Err(CommandError::Syntax);
        }
        at = 5;
    }
    let count = usize::try_from(args::int(argv[at + 2])?).unwrap_or(0);
    let (start, end) = (parse_start(argv[at])?, parse_end(argv[at + 1])?);
    Ok(Some(Filter { start, end, count, min_idle_ms, consumer: argv.get(at + 3).copied() }))
}

fn xpending(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name) = (argv[1], argv[2]);
    let filter = parse(argv)?;
    let stream = read(ctx, key)?;
    let group = stream.and_then(|stream| stream.groups.get(name));
    let group = group.ok_or_else(|| no_key_or_group(key, name))?;
    match filter {
        None => reply_summary(group, reply),
        Some(filter) => reply_pending(group, &filter, ctx.now_ms(), reply),
    }
    Ok(())
}

fn reply_summary(group: &stream::Group, reply: &mut Reply<'_>) {
    reply.array(4);
    reply.len(group.pending_len());
    let (first, last) = (group.next_pending(StreamId::MIN), group.last_pending());
    let (Some((first, _)), Some(last)) = (first, last) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply_id(first, reply);
    reply_id(last, reply);
    let head = reply.deferred();
    let mut count = 0;
    for consumer in group.consumers().filter(|consumer| consumer.pending_len() > 0) {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_int(consumer.pending_len() as i64);
        count += 1;
    }
    reply.close(head, count);
}

fn reply_pending(group: &stream::Group, filter: &Filter<'_>, now_ms: i64, reply: &mut Reply<'_>) {
    let consumer = match filter.consumer {
        None => None,
        Some(name) => match group.find_consumer(name).and_then(|slot| group.consumer(slot)) {
            Some(consumer) => Some(consumer),
            // Nobody of that name has anything.
            None => return reply.array(0),
        },
    };
    let mut own = consumer.map(|consumer| consumer.pending_from(filter.start));
    let mut all = group.pending_from(filter.start).map(|(id, _)| id);
    let ids = std::iter::from_fn(|| match &mut own {
        Some(own) => own.next(),
        None => all.next(),
    });

    let head = reply.deferred();
    let mut count = 0;
    for id in ids.take_while(|id| *id <= filter.end) {
        if count == filter.count {
            break;
        }
        let Some(pending) = group.pending(id) else { continue };
        let idle_ms = now_ms.wrapping_sub(pending.delivered_ms);
        if filter.min_idle_ms != 0 && idle_ms < filter.min_idle_ms {
            continue;
        }
        reply.array(4);
        reply_id(id, reply);
        reply.bulk(group.owner_name(pending));
        reply.int(idle_ms.max(0));
        reply.int(pending.count.cast_signed());
        count += 1;
    }
    reply.close(head, count);
}
