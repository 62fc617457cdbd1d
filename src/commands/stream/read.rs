//! What came after what one has read? XREAD; and the arguments that it shares with XREADGROUP.

use super::{parse_count, parse_id, read, reply_entries, reply_id};
use crate::commands::generic::wait::parse_timeout;
use crate::engine::args;
use crate::engine::block::Wanted;
use crate::engine::client::Mode;
use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, Begin, CommandSpec, Find, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::ValueKind;
use crate::object::stream::{Stream, StreamId};
use crate::resp::reply::{Protocol, Reply};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "XREAD",
    summary: "Returns messages from multiple streams with IDs greater than the ones requested. Blocks until a message is available otherwise.",
    since: "5.0.0",
    complexity: "",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: &[Flag::ReadOnly, Flag::Blocking],
    keys: &[streams_from(1)],
    args: &[COUNT_ARG, BLOCK_ARG, STREAMS_ARG],
    run: Run::Read(xread),
    find_keys: Some(find_keys),
    ..CommandSpec::BASE
}];

pub(super) const COUNT_ARG: Arg = Arg::integer("count").token("COUNT").optional();
pub(super) const BLOCK_ARG: Arg = Arg::integer("milliseconds").token("BLOCK").optional();
pub(super) const STREAMS_ARG: Arg =
    Arg::block("streams", &[Arg::key("key").multiple(), Arg::string("ID").multiple()])
        .token("STREAMS");

/// The keys behind the word STREAMS, which is looked for from an argument on.
pub(super) const fn streams_from(position: i32) -> KeySpec {
    let mut spec = KeySpec::at(position, Access::Read);
    spec.begin = Begin::Keyword("STREAMS", position);
    spec.find = Find::Range { last: -1, step: 1, limit: 2 };
    spec
}

/// Where the keys stand: STREAMS may also be the name of a group, a consumer or a stream.
pub(super) fn find_keys(argv: Argv<'_>) -> Option<Vec<usize>> {
    let mut at = 1;
    loop {
        let word = argv.get(at)?;
        at += 1;
        if args::is(word, "STREAMS") {
            break;
        }
        let values = match () {
            () if args::is(word, "BLOCK") || args::is(word, "COUNT") => 1,
            () if args::is(word, "GROUP") => 2,
            () if args::is(word, "NOACK") => 0,
            () => return None,
        };
        at += values;
    }
    let count = argv.len().saturating_sub(at);
    (count > 0 && count.is_multiple_of(2)).then(|| (at..at + count / 2).collect())
}

/// Who parses arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Xread,
    Xreadgroup,
}

/// The arguments of a read.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    pub count: usize,
    /// Waits if there is nothing, until a deadline if there is one.
    pub block: Option<Option<i64>>,
    /// Group and consumer.
    pub group: Option<(&'a [u8], &'a [u8])>,
    pub noack: bool,
    /// Where the first key stands in argv.
    pub keys_at: usize,
    pub keys: Argv<'a>,
    pub ids: Argv<'a>,
}

impl Request<'_> {
    /// The keys, to wait for.
    pub(super) fn wanted(&self, on_deletion: bool) -> Wanted {
        let keys = self.keys.iter().map(|key| Box::from(*key)).collect();
        Wanted { keys, kind: Some(ValueKind::Stream), on_deletion }
    }
}

/// Parses what stands behind the command's name; ids are left as they are.
pub(super) fn parse<'a>(
    argv: Argv<'a>,
    caller: Caller,
    now_ms: i64,
    mode: Mode,
) -> Result<Request<'a>, CommandError> {
    let mut request = Request {
        count: usize::MAX,
        block: None,
        group: None,
        noack: false,
        keys_at: 0,
        keys: &[],
        ids: &[],
    };
    let mut at = 1;
    while let Some(arg) = argv.get(at) {
        let left = argv.len() - at - 1;
        if left > 0 && args::is(arg, "BLOCK") {
            if mode.contains(Mode::SCRIPT) {
                return Err(not_in_script(argv[0]));
            }
            request.block = Some(parse_timeout(argv[at + 1], now_ms)?);
            at += 2;
        } else if left > 0 && args::is(arg, "COUNT") {
            request.count = parse_count(args::int(argv[at + 1])?);
            at += 2;
        } else if left > 0 && args::is(arg, "STREAMS") {
            request.keys_at = at + 1;
            if !left.is_multiple_of(2) {
                return Err(unbalanced(caller));
            }
            (request.keys, request.ids) = argv[at + 1..].split_at(left / 2);
            break;
        } else if left > 1 && args::is(arg, "GROUP") {
            only_for_groups(caller, "GROUP")?;
            request.group = Some((argv[at + 1], argv[at + 2]));
            at += 3;
        } else if args::is(arg, "NOACK") {
            only_for_groups(caller, "NOACK")?;
            request.noack = true;
            at += 1;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if request.keys.is_empty() {
        return Err(CommandError::Syntax);
    }
    if caller == Caller::Xreadgroup && request.group.is_none() {
        return Err(CommandError::text("ERR Missing GROUP option for XREADGROUP"));
    }
    Ok(request)
}

fn not_in_script(name: &[u8]) -> CommandError {
    let text = [b"ERR ", name, b" command is not allowed with BLOCK option from scripts"];
    CommandError::Raw(text.concat())
}

fn unbalanced(caller: Caller) -> CommandError {
    let (name, symbol) = match caller {
        Caller::Xread => ("xread", '$'),
        Caller::Xreadgroup => ("xreadgroup", '>'),
    };
    CommandError::owned(format!(
        "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be specified."
    ))
}

fn only_for_groups(caller: Caller, option: &str) -> Result<(), CommandError> {
    match caller {
        Caller::Xreadgroup => Ok(()),
        Caller::Xread => Err(CommandError::owned(format!(
            "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
        ))),
    }
}

/// A stream and the ID behind which one reads.
struct Position<'a> {
    stream: Option<&'a Stream>,
    after: StreamId,
}

impl Position<'_> {
    /// Whether there is something to read.
    fn is_ready(&self) -> bool {
        self.stream.is_some_and(|stream| {
            stream.log.last_id > self.after
                && stream.log.last_entry_id().is_some_and(|last| last > self.after)
        })
    }
}

/// The ID behind which to read.
fn resolve(id: &[u8], stream: Option<&Stream>) -> Result<StreamId, CommandError> {
    match id {
        // Only what comes from now on.
        b"$" => Ok(stream.map_or(StreamId::MIN, |stream| stream.log.last_id)),
        // The last entry, or the next if there is none.
        b"+" => Ok(stream.map_or(StreamId::MIN, |stream| {
            let last = stream.log.last_entry_id().and_then(StreamId::prev);
            last.unwrap_or(stream.log.last_id)
        })),
        b">" => Err(CommandError::text(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => parse_id(id, 0),
    }
}

fn xread(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let request = parse(argv, Caller::Xread, ctx.now_ms(), ctx.session.mode)?;
    let mut positions = Vec::with_capacity(request.keys.len());
    for (key, id) in request.keys.iter().zip(request.ids) {
        let stream = read(ctx, key)?;
        positions.push(Position { stream, after: resolve(id, stream)? });
    }

    let ready = positions.iter().filter(|position| position.is_ready()).count();
    if ready > 0 {
        open(ready, reply);
        for (key, position) in request.keys.iter().zip(&positions) {
            if let Some(stream) = position.stream.filter(|_| position.is_ready()) {
                open_stream(key, reply);
                let start = position.after.next().unwrap_or(StreamId::MAX);
                reply_entries(stream.log.range(start, StreamId::MAX).take(request.count), reply);
            }
        }
        return Ok(());
    }
    if let Some(deadline_ms) = request.block
        && ctx.wait_for(request.wanted(false), deadline_ms, null_array(reply))
    {
        ctx.unit.waiting_argv = resolved_argv(argv, &request, &positions);
        return Ok(());
    }
    reply.null_array();
    Ok(())
}

/// The arguments with ids for `$` and `+`, which would mean something else later; none if there are no
/// such.
fn resolved_argv(
    argv: Argv<'_>,
    request: &Request<'_>,
    positions: &[Position<'_>],
) -> Option<Vec<Box<[u8]>>> {
    if !request.ids.iter().any(|id| matches!(*id, b"$" | b"+")) {
        return None;
    }
    let mut resolved: Vec<Box<[u8]>> = argv.iter().map(|arg| Box::from(*arg)).collect();
    let ids_at = request.keys_at + request.keys.len();
    for (arg, position) in resolved[ids_at..].iter_mut().zip(positions) {
        *arg = position.after.text().as_bytes().into();
    }
    Some(resolved)
}

/// The reply to a read that found nothing.
pub(super) fn null_array(reply: &Reply<'_>) -> &'static [u8] {
    match reply.protocol() {
        Protocol::Resp2 => b"*-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    }
}

/// Begins a reply about streams, which RESP3 has as a map.
fn open(streams: usize, reply: &mut Reply<'_>) {
    match reply.protocol() {
        Protocol::Resp2 => reply.array(streams),
        Protocol::Resp3 => reply.map(streams),
    }
}

/// Begins the part of one stream; its entries follow.
pub(super) fn open_stream(key: &[u8], reply: &mut Reply<'_>) {
    if reply.protocol() == Protocol::Resp2 {
        reply.array(2);
    }
    reply.bulk(key);
}

/// Writes an entry that was deleted since it was delivered.
pub(super) fn reply_deleted(id: StreamId, reply: &mut Reply<'_>) {
    reply.array(2);
    reply_id(id, reply);
    reply.null_array();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(line: &str) -> Option<Vec<usize>> {
        find_keys(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn keys_stand_behind_the_first_streams_that_is_an_option() {
        assert_eq!(keys("XREAD STREAMS a b 0 0"), Some(vec![2, 3]));
        assert_eq!(keys("XREAD COUNT 1 BLOCK 0 streams STREAMS 0"), Some(vec![6]));
        assert_eq!(keys("XREADGROUP GROUP STREAMS streams NOACK STREAMS k >"), Some(vec![6]));
        for wrong in ["XREAD STREAMS a", "XREAD STREAMS", "XREAD x STREAMS a 0", "XREAD COUNT"] {
            assert_eq!(keys(wrong), None, "{wrong}");
        }
    }
}
