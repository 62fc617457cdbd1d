//! Who takes over what another consumer did not finish? XCLAIM and XAUTOCLAIM.
//!
//! Both find out first which entries are taken, and write them then. They are propagated as an XCLAIM for
//! each entry, which says when and how often it was delivered.

use super::{
    Delivery, announce_consumer, find_counted, no_key_or_group, parse_id, parse_start,
    propagate_deliveries, propagate_position, reply_entry, reply_id, stream_at, stream_mut,
};
use crate::base::number::parse_i64;
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::WriteCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::Slot;
use crate::object::stream::{self, ConsumerSlot, Log, Pending, Stream, StreamId};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XCLAIM",
        summary: "Changes, or acquires, ownership of a message in a consumer group, as if the message was delivered a consumer group member.",
        since: "5.0.0",
        complexity: "O(log N) with N being the number of messages in the PEL of the consumer group.",
        group: Group::Stream,
        arity: Arity::AtLeast(6),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::string("group"),
            Arg::string("consumer"),
            Arg::string("min-idle-time"),
            Arg::string("ID").multiple(),
            Arg::integer("ms").token("IDLE").optional(),
            Arg::unix_time("unix-time-milliseconds").token("TIME").optional(),
            Arg::integer("count").token("RETRYCOUNT").optional(),
            Arg::flag("force", "FORCE").optional(),
            Arg::flag("justid", "JUSTID").optional(),
            Arg::string("lastid").token("LASTID").optional(),
        ],
        run: Run::Write(xclaim),
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XAUTOCLAIM",
        summary: "Changes, or acquires, ownership of messages in a consumer group, as if the messages were delivered to as consumer group member.",
        since: "6.2.0",
        complexity: "O(1) if COUNT is small.",
        group: Group::Stream,
        arity: Arity::AtLeast(6),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[
            Arg::key("key"),
            Arg::string("group"),
            Arg::string("consumer"),
            Arg::string("min-idle-time"),
            Arg::string("start"),
            Arg::integer("count").token("COUNT").optional(),
            Arg::flag("justid", "JUSTID").optional(),
        ],
        run: Run::Write(xautoclaim),
        history: &[(
            "7.0.0",
            "Added an element to the reply array, containing deleted entries the command cleared from the PEL",
        )],
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
];

/// Who claims from which group.
struct Claimant<'a> {
    key: &'a [u8],
    group: &'a [u8],
    consumer: &'a [u8],
}

impl<'a> Claimant<'a> {
    fn of(argv: Argv<'a>) -> Self {
        Self { key: argv[1], group: argv[2], consumer: argv[3] }
    }

    /// Where the stream is that has the group.
    fn find(&self, ctx: &mut WriteCtx<'_>) -> Result<Slot, CommandError> {
        find_counted(ctx, self.key)?
            .filter(|slot| stream_at(ctx, *slot).groups.get(self.group).is_some())
            .ok_or_else(|| no_key_or_group(self.key, self.group))
    }
}

/// What XCLAIM is to do.
struct Claim<'a> {
    min_idle_ms: i64,
    /// The ids as they came, and as numbers.
    texts: Argv<'a>,
    ids: Vec<StreamId>,
    /// The time that counts as that of the delivery.
    delivered_ms: i64,
    count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

/// An integer with an error of its own.
fn int_or(arg: &[u8], error: &'static str) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::text(error))
}

fn parse_claim<'a>(argv: Argv<'a>, now_ms: i64) -> Result<Claim<'a>, CommandError> {
    let min_idle_ms = int_or(argv[4], "ERR Invalid min-idle-time argument for XCLAIM")?;
    // What is no ID ends the ids.
    let ids: Vec<StreamId> = argv[5..].iter().map_while(|arg| StreamId::parse(arg, 0)).collect();
    let mut claim = Claim {
        min_idle_ms,
        texts: &argv[5..5 + ids.len()],
        delivered_ms: now_ms,
        count: None,
        force: false,
        just_id: false,
        last_id: StreamId::MIN,
        ids,
    };
    let mut rest = Cursor::new(argv, 5 + claim.ids.len());
    while let Some(word) = rest.next() {
        if args::is(word, "FORCE") {
            claim.force = true;
            continue;
        } else if args::is(word, "JUSTID") {
            claim.just_id = true;
            continue;
        }
        let is_option = |name: &str| rest.left() > 0 && args::is(word, name);
        if is_option("IDLE") {
            let idle = int_or(rest.value()?, "ERR Invalid IDLE option argument for XCLAIM")?;
            claim.delivered_ms = now_ms.wrapping_sub(idle);
        } else if is_option("TIME") {
            claim.delivered_ms =
                int_or(rest.value()?, "ERR Invalid TIME option argument for XCLAIM")?;
        } else if is_option("RETRYCOUNT") {
            let count = int_or(rest.value()?, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
            claim.count = u64::try_from(count).ok();
        } else if is_option("LASTID") {
            claim.last_id = parse_id(rest.value()?, 0)?;
        } else {
            let text = [b"ERR Unrecognized XCLAIM option '", word, b"'"];
            return Err(CommandError::Raw(text.concat()));
        }
    }
    // A client whose clock is ahead is not refused for that.
    if !(0..=now_ms).contains(&claim.delivered_ms) {
        claim.delivered_ms = now_ms;
    }
    Ok(claim)
}

/// A group at work, and what is to be said about it afterwards.
struct Work<'a> {
    log: &'a Log,
    group: &'a mut stream::Group,
    owner: ConsumerSlot,
    consumer_is_new: bool,
    now_ms: i64,
    is_logged: bool,
    changes: u64,
    taken: Vec<StreamId>,
    deliveries: Vec<Delivery>,
}

impl<'a> Work<'a> {
    /// Finds the consumer who claims, or makes it.
    fn begin(
        stream: &'a mut Stream,
        claimant: &Claimant<'_>,
        now_ms: i64,
        is_logged: bool,
    ) -> Option<Self> {
        let group = stream.groups.get_mut(claimant.group)?;
        let (owner, consumer_is_new) = match group.find_consumer(claimant.consumer) {
            Some(owner) => (owner, false),
            None => (group.add_consumer(claimant.consumer, now_ms, None)?, true),
        };
        group.consumer_mut(owner)?.seen_ms = now_ms;
        Some(Self {
            log: &stream.log,
            group,
            owner,
            consumer_is_new,
            now_ms,
            is_logged,
            changes: u64::from(consumer_is_new),
            taken: Vec::new(),
            deliveries: Vec::new(),
        })
    }

    /// Takes a pending entry off the lists because it was deleted from the stream.
    fn clear(&mut self, id: StreamId, text: &[u8], pending: Pending) {
        self.note(text, pending);
        self.group.acknowledge(id);
        self.changes += 1;
    }

    /// Gives an entry to the consumer.
    fn take(&mut self, id: StreamId, text: &[u8], delivered_ms: i64, count: u64) {
        let pending = Pending { delivered_ms, count, owner: self.owner };
        self.group.assign(id, pending);
        if let Some(own) = self.group.consumer_mut(self.owner) {
            own.active_ms = Some(self.now_ms);
        }
        self.note(text, pending);
        self.taken.push(id);
        self.changes += 1;
    }

    fn note(&mut self, text: &[u8], pending: Pending) {
        if self.is_logged {
            self.deliveries.push(Delivery {
                id: text.to_vec(),
                owner: self.group.owner_name(pending).into(),
                delivered_ms: pending.delivered_ms,
                count: pending.count,
                last_id: self.group.last_id,
            });
        }
    }

    /// Whether an entry has not been claimed for long enough.
    fn is_idle(&self, pending: Pending, min_idle_ms: i64) -> bool {
        min_idle_ms <= 0 || self.now_ms.wrapping_sub(pending.delivered_ms) >= min_idle_ms
    }

    /// What is left when the work is done.
    fn end(self) -> Done {
        Done {
            taken: self.taken,
            deliveries: self.deliveries,
            changes: self.changes,
            consumer_is_new: self.consumer_is_new,
        }
    }
}

/// What a claim has done.
struct Done {
    taken: Vec<StreamId>,
    deliveries: Vec<Delivery>,
    changes: u64,
    consumer_is_new: bool,
}

impl Done {
    /// Propagates and counts it.
    fn record(&self, ctx: &mut WriteCtx<'_>, claimant: &Claimant<'_>) {
        ctx.propagate_nothing();
        propagate_deliveries(ctx, claimant.key, claimant.group, &self.deliveries);
        ctx.count_changes(self.changes);
    }

    /// Writes what was taken.
    fn reply(&self, log: &Log, just_id: bool, reply: &mut Reply<'_>) {
        reply.array(self.taken.len());
        for &id in &self.taken {
            match log.entry(id).filter(|_| !just_id) {
                Some(entry) => reply_entry(entry, reply),
                None => reply_id(id, reply),
            }
        }
    }
}

fn xclaim(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let claimant = Claimant::of(argv);
    let slot = claimant.find(ctx)?;
    let now_ms = ctx.now_ms();
    let claim = parse_claim(argv, now_ms)?;

    let is_logged = ctx.log_active();
    let stream = stream_mut(ctx, slot);
    let Some(mut work) = Work::begin(stream, &claimant, now_ms, is_logged) else {
        return Err(no_key_or_group(claimant.key, claimant.group));
    };
    let is_ahead = claim.last_id > work.group.last_id;
    if is_ahead {
        work.group.last_id = claim.last_id;
    }
    let changes_before = work.changes;
    for (&id, text) in claim.ids.iter().zip(claim.texts) {
        claim_one(&mut work, &claim, id, text);
    }
    // An XCLAIM that is propagated says where the group stands.
    let says_position = work.changes > changes_before;
    let done = work.end();
    done.record(ctx, &claimant);
    if is_ahead && !says_position {
        propagate_position(ctx, claimant.key, claimant.group, slot);
        ctx.count_changes(1);
    }

    done.reply(&stream_at(ctx, slot).log, claim.just_id, reply);
    if done.consumer_is_new {
        announce_consumer(ctx, claimant.key);
    }
    Ok(())
}

fn claim_one(work: &mut Work<'_>, claim: &Claim<'_>, id: StreamId, text: &[u8]) {
    let pending = work.group.pending(id);
    if !work.log.contains(id) {
        if let Some(pending) = pending {
            work.clear(id, text, pending);
        }
        return;
    }
    let count = match pending {
        Some(pending) if work.is_idle(pending, claim.min_idle_ms) => pending.count,
        // As if it had been delivered once already.
        None if claim.force => 1,
        _ => return,
    };
    let count = claim.count.unwrap_or(count.wrapping_add(u64::from(!claim.just_id)));
    work.take(id, text, claim.delivered_ms, count);
}

/// What XAUTOCLAIM is to do.
struct AutoClaim {
    min_idle_ms: i64,
    start: StreamId,
    count: usize,
    just_id: bool,
}

/// Entries that XAUTOCLAIM looks at for each that it may take.
const ATTEMPTS_FACTOR: usize = 10;
/// The largest COUNT, as in Redis.
const AUTOCLAIM_MAX: i64 = i64::MAX / 16;
const AUTOCLAIM_DEFAULT: usize = 100;

fn parse_autoclaim(argv: Argv<'_>) -> Result<AutoClaim, CommandError> {
    let min_idle_ms = int_or(argv[4], "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let start = parse_start(argv[5])?;
    let mut claim = AutoClaim { min_idle_ms, start, count: AUTOCLAIM_DEFAULT, just_id: false };
    let mut rest = Cursor::new(argv, 6);
    while let Some(word) = rest.next() {
        if args::is(word, "JUSTID") {
            claim.just_id = true;
        } else if args::is(word, "COUNT") {
            let count = parse_i64(rest.value()?).filter(|n| (1..=AUTOCLAIM_MAX).contains(n));
            let count = count.and_then(|count| usize::try_from(count).ok());
            claim.count = count.ok_or(CommandError::text("ERR COUNT must be > 0"))?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(claim)
}

fn xautoclaim(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let claim = parse_autoclaim(argv)?;
    let claimant = Claimant::of(argv);
    let slot = claimant.find(ctx)?;

    let (now_ms, is_logged) = (ctx.now_ms(), ctx.log_active());
    let stream = stream_mut(ctx, slot);
    let Some(mut work) = Work::begin(stream, &claimant, now_ms, is_logged) else {
        return Err(no_key_or_group(claimant.key, claimant.group));
    };
    let (next, deleted) = claim_idle(&mut work, &claim);
    let done = work.end();
    done.record(ctx, &claimant);

    reply.array(3);
    reply_id(next, reply);
    done.reply(&stream_at(ctx, slot).log, claim.just_id, reply);
    reply.array(deleted.len());
    deleted.into_iter().for_each(|id| reply_id(id, reply));
    if done.consumer_is_new {
        announce_consumer(ctx, claimant.key);
    }
    Ok(())
}

/// Claims what is idle; the ID to go on from, 0-0 at the end, and the entries that were found deleted.
fn claim_idle(work: &mut Work<'_>, claim: &AutoClaim) -> (StreamId, Vec<StreamId>) {
    let mut deleted = Vec::new();
    let mut at = Some(claim.start);
    for _ in 0..claim.count.saturating_mul(ATTEMPTS_FACTOR) {
        if work.taken.len() + deleted.len() == claim.count {
            break;
        }
        let Some((id, pending)) = at.and_then(|at| work.group.next_pending(at)) else { break };
        at = id.next();
        if !work.log.contains(id) {
            work.clear(id, id.text().as_bytes(), pending);
            deleted.push(id);
        } else if work.is_idle(pending, claim.min_idle_ms) {
            let count = pending.count.wrapping_add(u64::from(!claim.just_id));
            work.take(id, id.text().as_bytes(), work.now_ms, count);
        }
    }
    let next = at.and_then(|at| work.group.next_pending(at));
    (next.map_or(StreamId::MIN, |(id, _)| id), deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_000;

    fn parse(words: &str) -> Result<Claim<'static>, CommandError> {
        let argv: Vec<&'static [u8]> =
            words.to_owned().leak().split(' ').map(str::as_bytes).collect();
        parse_claim(argv.leak(), NOW_MS)
    }

    #[test]
    fn ids_end_where_options_begin() {
        let claim = parse("XCLAIM k g c 0 1-0 2 JUSTID force LASTID 5-1 RETRYCOUNT 7").unwrap();
        assert_eq!(claim.ids, [StreamId::new(1, 0), StreamId::new(2, 0)]);
        assert_eq!(claim.texts, [&b"1-0"[..], b"2"]);
        assert!(claim.just_id && claim.force);
        assert_eq!((claim.last_id, claim.count), (StreamId::new(5, 1), Some(7)));
        assert!(parse("XCLAIM k g c 0 1-0 FORCE 2-0").is_err());
        assert!(parse("XCLAIM k g c 0 1-0 IDLE").is_err());
        assert!(parse("XCLAIM k g c x 1-0").is_err());
    }

    #[test]
    fn a_time_that_cannot_be_is_now() {
        for (option, expected) in [
            ("IDLE 400", 600),
            ("IDLE -5", NOW_MS),
            ("IDLE 9223372036854775807", NOW_MS),
            ("TIME 5", 5),
            ("TIME 5000", NOW_MS),
            ("TIME -1", NOW_MS),
        ] {
            let claim = parse(&format!("XCLAIM k g c 0 1-0 {option}")).unwrap();
            assert_eq!(claim.delivered_ms, expected, "{option}");
        }
    }
}
