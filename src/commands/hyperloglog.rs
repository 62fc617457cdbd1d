//! HyperLogLogs: about how many different elements were added. They are strings, see `object/hll.rs`.
//!
//! PFCOUNT of one key keeps the number in the string, so it runs as a write, although Redis's flags call it
//! read-only; only when the number was out of date is it propagated.

use crate::config::params::Param;
use crate::engine::args;
use crate::engine::ctx::{SessionCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::Slot;
use crate::keyspace::value::{StrRef, StrValue, Value, ValueRef};
use crate::object::hll::{self, Added, Corrupt, Encoding, Registers};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "PFADD",
        summary: "Adds elements to a HyperLogLog key. Creates the key if it doesn't exist.",
        since: "2.8.9",
        complexity: "O(1) to add every element.",
        group: Group::Hyperloglog,
        arity: Arity::AtLeast(2),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Insert)],
        args: &[Arg::key("key"), Arg::string("element").optional().multiple()],
        run: Run::Write(pfadd),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFCOUNT",
        summary: "Returns the approximated cardinality of the set(s) observed by the HyperLogLog key(s).",
        since: "2.8.9",
        complexity: "O(1) with a very small average constant time when called with a single key. O(N) with N being the number of keys, and much bigger constant times, when called with multiple keys.",
        group: Group::Hyperloglog,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly, Flag::MayReplicate],
        keys: &[KeySpec::range(1, -1, 1, Access::Flags(&["RW", "access"])).note(
            "RW because it may change the internal representation of the key, and propagate to replicas",
        )],
        args: &[Arg::key("key").multiple()],
        run: Run::Write(pfcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFMERGE",
        summary: "Merges one or more HyperLogLog values into a single key.",
        since: "2.8.9",
        complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
        group: Group::Hyperloglog,
        arity: Arity::AtLeast(2),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[
            KeySpec::at(1, Access::Flags(&["RW", "access", "insert"])),
            KeySpec::range(2, -1, 1, Access::Read),
        ],
        args: &[Arg::key("destkey"), Arg::key_of("sourcekey", 1).optional().multiple()],
        run: Run::Write(pfmerge),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFDEBUG",
        summary: "Internal commands for debugging HyperLogLog values.",
        since: "2.8.9",
        complexity: "N/A",
        group: Group::Hyperloglog,
        arity: Arity::Exactly(3),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Admin, Flag::System],
        keys: &[KeySpec::at(2, Access::Flags(&["RW", "access"]))],
        args: &[Arg::string("subcommand"), Arg::key("key")],
        run: Run::Write(pfdebug),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFSELFTEST",
        summary: "An internal command for testing HyperLogLog values.",
        since: "2.8.9",
        complexity: "N/A",
        group: Group::Hyperloglog,
        arity: Arity::Exactly(1),
        flags: &[Flag::Admin, Flag::System],
        run: Run::Session(pfselftest),
        ..CommandSpec::BASE
    },
];

const NOT_ONE: CommandError =
    CommandError::text("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupt> for CommandError {
    fn from(_: Corrupt) -> Self {
        CommandError::text("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// The HyperLogLog that a value is.
fn of_value(value: ValueRef<'_>) -> Result<(&[u8], Encoding), CommandError> {
    match value {
        ValueRef::Str(StrRef::Bytes(bytes)) => {
            hll::encoding(bytes).map(|encoding| (bytes, encoding)).ok_or(NOT_ONE)
        }
        ValueRef::Str(StrRef::Int(_)) => Err(NOT_ONE),
        _ => Err(CommandError::WrongType),
    }
}

/// Finds a HyperLogLog to change.
fn find(ctx: &mut WriteCtx<'_>, key: &[u8]) -> Result<Option<(Slot, Encoding)>, CommandError> {
    let Some(slot) = ctx.find(key) else { return Ok(None) };
    let (_, encoding) = of_value(ctx.db().value(slot))?;
    Ok(Some((slot, encoding)))
}

/// Lets `change` change a HyperLogLog that was found.
fn edit<R>(ctx: &mut WriteCtx<'_>, slot: Slot, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    ctx.db_mut().edit_string(slot, change).expect("it was found to be a string")
}

/// The bytes of a dense one, or the header of any, to change in place.
fn bytes_mut<'a>(ctx: &'a mut WriteCtx<'_>, slot: Slot) -> &'a mut [u8] {
    ctx.db_mut().string_bytes_mut(slot, 0).expect("it was found to be a string")
}

fn sparse_max(ctx: &WriteCtx<'_>) -> usize {
    ctx.config().size(Param::HllSparseMaxBytes)
}

/// Announces a change.
fn announce(ctx: &mut WriteCtx<'_>, key: &[u8], is_new: bool, changes: u64) {
    ctx.changed(key);
    ctx.count_changes(changes - 1);
    if is_new {
        ctx.created(key);
    }
    ctx.notify(EventClass::STRING, "pfadd", key);
}

fn insert(ctx: &mut WriteCtx<'_>, key: &[u8], hll: Vec<u8>) {
    ctx.insert(key, Value::Str(StrValue::raw(hll)), None);
}

fn pfadd(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, elements) = (argv[1], &argv[2..]);
    let sparse_max = sparse_max(ctx);
    let found = find(ctx, key)?;
    let added = match found {
        Some((slot, Encoding::Dense)) => {
            Added { changed: hll::add_dense(bytes_mut(ctx, slot), elements), corrupt: false }
        }
        Some((slot, Encoding::Sparse)) => {
            edit(ctx, slot, |bytes| hll::add(bytes, elements, sparse_max))
        }
        None => {
            let mut hll = hll::new();
            let added = hll::add(&mut hll, elements, sparse_max);
            // As in Redis, where a new one does not know yet that it has no elements.
            hll::invalidate(&mut hll);
            insert(ctx, key, hll);
            Added { changed: added.changed + 1, ..added }
        }
    };
    if added.corrupt {
        // What was added before stays, and is propagated, unlike in Redis: a replica fails at the same
        // element and has the same string then.
        if added.changed > 0 {
            ctx.changed(key);
            ctx.count_changes(added.changed - 1);
        }
        return Err(Corrupt.into());
    }
    if added.changed > 0 {
        announce(ctx, key, found.is_none(), added.changed);
    }
    reply.int(i64::from(added.changed > 0));
    Ok(())
}

/// The registers of several keys together, and whether one of them is dense. A key without a value counts
/// as an empty one.
fn merge(ctx: &mut WriteCtx<'_>, keys: Argv<'_>) -> Result<(Registers, bool), CommandError> {
    let mut registers = Registers::new();
    let mut any_dense = false;
    for key in keys {
        let Some(slot) = ctx.find_counted(key) else { continue };
        let (bytes, encoding) = of_value(ctx.db().value(slot))?;
        registers.merge(bytes)?;
        any_dense |= encoding == Encoding::Dense;
    }
    Ok((registers, any_dense))
}

fn pfcount(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = match &argv[1..] {
        [key] => count_one(ctx, key)?,
        keys => merge(ctx, keys)?.0.count(),
    };
    // Not more than 63 bits, unless somebody wrote a number into the string: then as in Redis.
    reply.int(count as i64);
    Ok(())
}

/// The number of elements of one, from the string itself if it knows it.
fn count_one(ctx: &mut WriteCtx<'_>, key: &[u8]) -> Result<u64, CommandError> {
    let Some(slot) = ctx.find_counted(key) else { return Ok(0) };
    let (bytes, _) = of_value(ctx.db().value(slot))?;
    if let Some(count) = hll::cached_count(bytes) {
        return Ok(count);
    }
    let count = hll::count(bytes)?;
    hll::set_cached_count(bytes_mut(ctx, slot), count);
    ctx.changed(key);
    Ok(count)
}

fn pfmerge(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let sparse_max = sparse_max(ctx);
    let (registers, any_dense) = merge(ctx, &argv[1..])?;
    let found = find(ctx, key)?;
    match found {
        Some((slot, _)) => {
            edit(ctx, slot, |bytes| registers.store(bytes, any_dense, sparse_max))?;
        }
        None => {
            let mut hll = hll::new();
            registers.store(&mut hll, any_dense, sparse_max)?;
            insert(ctx, key, hll);
        }
    }
    announce(ctx, key, found.is_none(), 1);
    reply.ok();
    Ok(())
}

/// What PFDEBUG does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Debug {
    Registers,
    Decode,
    Encoding,
    ToDense,
}

fn parse_debug(word: &[u8]) -> Result<Debug, CommandError> {
    Ok(match word {
        _ if args::is(word, "GETREG") => Debug::Registers,
        _ if args::is(word, "DECODE") => Debug::Decode,
        _ if args::is(word, "ENCODING") => Debug::Encoding,
        _ if args::is(word, "TODENSE") => Debug::ToDense,
        _ => {
            let word = args::lossy(word);
            return Err(CommandError::owned(format!("ERR Unknown PFDEBUG subcommand '{word}'")));
        }
    })
}

fn pfdebug(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    // As in Redis the key is judged before the subcommand.
    let found = find(ctx, argv[2])?;
    let (slot, encoding) =
        found.ok_or(CommandError::text("ERR The specified key does not exist"))?;
    match parse_debug(argv[1])? {
        Debug::Encoding => {
            reply.simple(if encoding == Encoding::Dense { "dense" } else { "sparse" });
        }
        Debug::Decode if encoding == Encoding::Dense => {
            return Err(CommandError::text("ERR HLL encoding is not sparse"));
        }
        Debug::Decode => {
            let (bytes, _) = of_value(ctx.db().value(slot))?;
            reply.bulk(decoded(bytes).as_bytes());
        }
        Debug::ToDense => {
            let was_sparse = make_dense(ctx, slot)?;
            reply.int(i64::from(was_sparse));
        }
        Debug::Registers => {
            make_dense(ctx, slot)?;
            let mut registers = Registers::new();
            registers.merge(of_value(ctx.db().value(slot))?.0)?;
            reply.array(hll::REGISTERS);
            registers.values().iter().for_each(|value| reply.int(i64::from(*value)));
        }
    }
    Ok(())
}

/// Makes a HyperLogLog dense; whether it was sparse. Watchers are not told: it holds what it held.
fn make_dense(ctx: &mut WriteCtx<'_>, slot: Slot) -> Result<bool, CommandError> {
    let was_sparse = edit(ctx, slot, hll::to_dense)?;
    ctx.count_changes(u64::from(was_sparse));
    Ok(was_sparse)
}

/// The runs of a sparse one: `z:` and `Z:` zeros in one byte and in two, `v:` a value and how often.
fn decoded(bytes: &[u8]) -> String {
    let texts: Vec<String> = hll::sparse::runs(bytes)
        .map(|run| match run.value {
            0 if run.is_long() => format!("Z:{}", run.len),
            0 => format!("z:{}", run.len),
            value => format!("v:{value},{}", run.len),
        })
        .collect();
    texts.join(" ")
}

/// Takes a second or two, in which only the connections of its worker wait.
fn pfselftest(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    /// The default of `hll-sparse-max-bytes`: the code is tested, not the configuration.
    const SPARSE_MAX: usize = 3000;
    let seed = ctx.env.random_seed();
    hll::self_test::run(hll::self_test::ELEMENTS, seed, SPARSE_MAX)
        .map_err(|what| CommandError::owned(format!("ERR TESTFAILED {what}")))?;
    reply.ok();
    Ok(())
}
