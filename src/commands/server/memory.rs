//! MEMORY: what takes how much, and giving memory back.

use std::sync::atomic::Ordering;

use super::doctor::{self, MemoryFigures};
use crate::allocator;
use crate::allocator::fragmentation::{self, Figures};
use crate::commands::scripting;
use crate::engine::args;
use crate::engine::ctx::{ExclusiveCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::engine::state::Shared;
use crate::keyspace::value::ValueRef;
use crate::object::module::KeyName;
use crate::resp::reply::Reply;

const SUB: CommandSpec = CommandSpec { since: "4.0.0", group: Group::Server, ..CommandSpec::BASE };
const SHARD_TIPS: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

/// The container and its subcommands.
pub const MEMORY: CommandSpec = CommandSpec {
    name: "MEMORY",
    summary: "A container for memory diagnostics commands.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[
        CommandSpec {
            name: "USAGE",
            summary: "Estimates the memory usage of a key.",
            complexity: "O(N) where N is the number of samples.",
            arity: Arity::AtLeast(3),
            flags: &[Flag::ReadOnly],
            keys: &[KeySpec::at(2, Access::Peek)],
            args: &[Arg::key("key"), Arg::integer("count").token("SAMPLES").optional()],
            // A value of a module is measured by its code.
            run: Run::Exclusive(usage),
            ..SUB
        },
        CommandSpec {
            name: "STATS",
            summary: "Returns details about memory usage.",
            arity: Arity::Exactly(2),
            tips: SHARD_TIPS,
            run: Run::Exclusive(stats),
            ..SUB
        },
        CommandSpec {
            name: "DOCTOR",
            summary: "Outputs a memory problems report.",
            arity: Arity::Exactly(2),
            tips: SHARD_TIPS,
            run: Run::Session(|ctx, _, reply| {
                reply.verbatim(b"txt", doctor::memory(figures(ctx.env.shared)).as_bytes());
                Ok(())
            }),
            ..SUB
        },
        CommandSpec {
            name: "MALLOC-STATS",
            summary: "Returns the allocator statistics.",
            complexity: "Depends on how much memory is allocated, could be slow",
            arity: Arity::Exactly(2),
            tips: SHARD_TIPS,
            run: Run::Session(malloc_stats),
            ..SUB
        },
        CommandSpec {
            name: "PURGE",
            summary: "Asks the allocator to release memory.",
            complexity: "Depends on how much memory is allocated, could be slow",
            arity: Arity::Exactly(2),
            tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
            run: Run::Session(|_, _, reply| {
                if !allocator::purge() {
                    return Err(CommandError::text("ERR Error purging dirty pages"));
                }
                reply.ok();
                Ok(())
            }),
            ..SUB
        },
        CommandSpec {
            name: "HELP",
            summary: "Returns helpful text about the different subcommands.",
            arity: Arity::Exactly(2),
            flags: &[Flag::Loading, Flag::Stale],
            run: Run::Session(help),
            ..SUB
        },
    ],
    ..SUB
};

fn help(_: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::super::reply_help(
        reply,
        "MEMORY",
        &[
            ("DOCTOR", "Explain the use of memory in words."),
            ("MALLOC-STATS", "Return the allocator's figures."),
            ("PURGE", "Give unused pages back to the system."),
            ("STATS", "Return what takes how much memory."),
            ("USAGE <key> [SAMPLES <count>]", "Return the bytes that a key and its value take."),
        ],
    );
    Ok(())
}

/// Elements that are looked at unless `SAMPLES` says otherwise.
const SAMPLES_DEFAULT: usize = 5;

fn usage(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let samples = match &argv[3..] {
        [] => SAMPLES_DEFAULT,
        [word, samples] if args::is(word, "SAMPLES") => {
            usize::try_from(args::int(samples)?).map_err(|_| CommandError::Syntax)?
        }
        _ => return Err(CommandError::Syntax),
    };
    let ctx = &mut ctx.read();
    let Some(slot) = ctx.peek(argv[2]) else {
        reply.null();
        return Ok(());
    };
    let behind = match ctx.db().value(slot) {
        ValueRef::Module(value) => {
            let key = KeyName { name: Some(argv[2]), db: ctx.session.db as i32 };
            value.vtable().memory_bytes(key, value.pointer(), samples).unwrap_or(0)
        }
        // Ours know what they hold, and need no samples.
        other => other.collection_bytes(),
    };
    reply.len(ctx.db().memory_bytes(slot) + behind);
    Ok(())
}

fn figures(shared: &Shared) -> MemoryFigures {
    let used = (shared.used_memory)();
    let peak = shared.peak_memory.fetch_max(used, Ordering::Relaxed).max(used);
    MemoryFigures { used, peak, resident: super::info::resident_bytes() }
}

fn malloc_stats(_: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Figures { allocated, active, resident, muzzy, wasted } = fragmentation::figures();
    let text = format!(
        "jemalloc 5.3.0, 8-byte quantum\nallocated: {allocated}\nactive: {active}\nresident: \
         {resident}\nmuzzy: {muzzy}\nfree in slabs: {wasted}\n"
    );
    reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// A field of MEMORY STATS.
enum Field {
    Bytes(usize),
    Ratio(f64),
    /// A db's table.
    Table(usize),
}

/// Bytes that the table of a db takes for each key, on average.
const TABLE_BYTES_PER_KEY: usize = 12;

fn stats(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let fields = gather(ctx);
    reply.map(fields.len());
    for (name, field) in fields {
        reply.bulk(name.as_bytes());
        match field {
            Field::Bytes(bytes) => reply.len(bytes),
            Field::Ratio(ratio) => reply.double(ratio),
            Field::Table(bytes) => {
                reply.map(2);
                reply.bulk(b"overhead.hashtable.main");
                reply.len(bytes);
                reply.bulk(b"overhead.hashtable.expires");
                reply.len(0);
            }
        }
    }
    Ok(())
}

fn gather(ctx: &ExclusiveCtx<'_>) -> Vec<(String, Field)> {
    let shared = ctx.env.shared;
    let MemoryFigures { used, peak, resident } = figures(shared);
    let Figures { allocated, active, resident: held, muzzy, wasted } = fragmentation::figures();
    let tables: Vec<(usize, usize)> = ctx
        .state
        .keyspace
        .iter()
        .filter(|(_, db)| !db.is_empty())
        .map(|(index, db)| (index, db.len()))
        .collect();
    let keys: usize = tables.iter().map(|(_, len)| len).sum();
    let startup = shared.startup_memory.load(Ordering::Relaxed);
    let scripts = scripting::memory(ctx.state, shared);
    let kept = ctx.state.replication.backlog();
    let (stream, replicas) = kept.map_or((0, 0), |own| (own.memory_bytes(), own.excess()));
    let backlog = stream.saturating_sub(replicas);
    let overhead = startup + scripts.caches() + keys * TABLE_BYTES_PER_KEY;
    let (dataset, net) = (used.saturating_sub(overhead), used.saturating_sub(startup));
    let percent =
        |part: usize, whole: usize| Field::Ratio(part as f64 * 100.0 / whole.max(1) as f64);
    let ratio = |a: usize, b: usize| Field::Ratio(a as f64 / b.max(1) as f64);
    let excess = |a: usize, b: usize| Field::Bytes(a.saturating_sub(b));
    let mut fields: Vec<_> = [
        ("peak.allocated", peak),
        ("total.allocated", used),
        ("startup.allocated", startup),
        ("replication.backlog", backlog),
        ("clients.slaves", replicas),
        ("clients.normal", shared.client_memory.total()),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", scripts.eval_texts),
        ("functions.caches", scripts.libraries),
    ]
    .map(|(name, bytes)| (name.to_owned(), Field::Bytes(bytes)))
    .into();
    fields.extend(
        tables
            .iter()
            .map(|(index, len)| (format!("db.{index}"), Field::Table(len * TABLE_BYTES_PER_KEY))),
    );
    fields.extend(
        [
            ("overhead.total", Field::Bytes(overhead)),
            ("keys.count", Field::Bytes(keys)),
            ("keys.bytes-per-key", Field::Bytes(net.checked_div(keys).unwrap_or(0))),
            ("dataset.bytes", Field::Bytes(dataset)),
            ("dataset.percentage", percent(dataset, net)),
            ("peak.percentage", percent(used, peak)),
            ("allocator.allocated", Field::Bytes(allocated)),
            ("allocator.active", Field::Bytes(active)),
            ("allocator.resident", Field::Bytes(held)),
            ("allocator.muzzy", Field::Bytes(muzzy)),
            ("allocator-fragmentation.ratio", ratio(allocated + wasted, allocated)),
            ("allocator-fragmentation.bytes", Field::Bytes(wasted)),
            ("allocator-rss.ratio", ratio(held, active)),
            ("allocator-rss.bytes", excess(held, active)),
            ("rss-overhead.ratio", ratio(resident, held)),
            ("rss-overhead.bytes", excess(resident, held)),
            ("fragmentation", ratio(resident, used)),
            ("fragmentation.bytes", excess(resident, used)),
        ]
        .map(|(name, field)| (name.to_owned(), field)),
    );
    fields
}
