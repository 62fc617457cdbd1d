//! DEBUG: what tests and administrators need to look inside.

use std::sync::atomic::Ordering;

use crate::base::number::parse_memory;
use crate::config::params::Param;
use crate::engine::args;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{Argv, Arity, CommandSpec, Flag, Group, Outcome, Run};
use crate::keyspace::db::ExpireChange;
use crate::keyspace::value::ValueRef;
use crate::object::list::node::NodeRef;
use crate::resp::reply::{Protocol, Reply};

/// The longest DEBUG SLEEP, in seconds.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

/// The command.
pub const DEBUG: CommandSpec = CommandSpec {
    name: "DEBUG",
    summary: "A container for debugging commands.",
    complexity: "Depends on subcommand.",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: &[
        Flag::Admin,
        Flag::NoScript,
        Flag::Loading,
        Flag::Stale,
        Flag::Protected,
        Flag::System,
    ],
    run: Run::Exclusive(debug),
    ..CommandSpec::BASE
};

fn debug(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let allowed = match ctx.state.config.choice(Param::EnableDebugCommand) {
        0 => false,
        1 => true,
        _ => ctx.env.client.is_none_or(|c| c.is_local()),
    };
    if !allowed {
        return Err(CommandError::text(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", \
             you can run it from a local connection, otherwise you need to set this option in the \
             configuration file, and then restart the server.",
        ));
    }
    let word = argv[1].to_ascii_uppercase();
    match (word.as_slice(), &argv[2..]) {
        (b"SLEEP", [seconds]) => {
            let seconds = args::float(seconds)?.clamp(0.0, SLEEP_SECONDS_MAX);
            std::thread::sleep(std::time::Duration::from_secs_f64(seconds));
            reply.ok();
        }
        (b"SET-ACTIVE-EXPIRE", [on]) => {
            ctx.state.active_expire = args::int(on)? != 0;
            reply.ok();
        }
        (b"OBJECT", [key, ..]) => object(ctx, key, reply)?,
        (b"POPULATE", [count, rest @ ..]) => populate(ctx, count, rest, reply)?,
        (b"QUICKLIST-PACKED-THRESHOLD", [bytes]) => {
            packed_threshold(ctx, bytes)?;
            reply.ok();
        }
        (b"LISTPACK" | b"QUICKLIST", [key, ..]) => list_structure(ctx, &word, key, reply)?,
        (b"LOG" | b"DICT-RESIZING", _)
        | (b"SET-DISABLE-DENY-SCRIPTS" | b"PAUSE-CRON" | b"REPLYBUFFER", _)
        | (b"SET-SKIP-CHECKSUM-VALIDATION", _) => {
            if word == b"LOG" {
                let text = argv.get(2).map(|text| args::lossy(text)).unwrap_or_default();
                tracing::warn!("DEBUG LOG: {text}");
            }
            reply.ok();
        }
        (b"PROTOCOL", [kind]) => protocol(kind, reply)?,
        (b"DIGEST", []) => reply.simple(&digest(ctx)),
        (b"DIGEST-VALUE", keys) => {
            reply.array(keys.len());
            for key in keys {
                reply.simple(&value_digest(ctx, key));
            }
        }
        (b"CONFIG-REWRITE-FORCE-ALL", []) => {
            ctx.env.shared.host.rewrite_everything();
            reply.ok();
        }
        (b"STRINGMATCH-LEN", [pattern, text]) => {
            use crate::base::glob::{Case, glob_match};
            reply.int(i64::from(glob_match(pattern, text, Case::Sensitive)));
        }
        (b"HTSTATS" | b"HTSTATS-KEY", _) => {
            reply.verbatim(b"txt", b"[Dictionary HT]\nsegments in hash order; no rehashing\n");
        }
        (b"HELP", []) => super::super::reply_help(
            reply,
            "DEBUG",
            &[
                ("CONFIG-REWRITE-FORCE-ALL", "Make CONFIG REWRITE write defaults too."),
                ("DIGEST", "Return a hash of the whole data set."),
                ("DIGEST-VALUE <key> [<key> ...]", "Return a hash of what each key holds."),
                ("LISTPACK <key>", "Write the listpack of a key to the server's log."),
                ("LOG <message>", "Write to the server's log."),
                ("OBJECT <key>", "Show how a key is stored."),
                ("POPULATE <count> [<prefix>] [<size>]", "Create string keys."),
                ("PROTOCOL <type>", "Reply with a value of this type."),
                ("QUICKLIST <key>", "Write the nodes of a list to the server's log."),
                (
                    "QUICKLIST-PACKED-THRESHOLD <size>",
                    "Let elements of lists of this size go without a listpack; 0 for the default.",
                ),
                ("SET-ACTIVE-EXPIRE <0|1>", "Switch active expiry off or on."),
                ("SLEEP <seconds>", "Keep the server busy."),
            ],
        ),
        _ => {
            return Err(CommandError::owned(format!(
                "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP.",
                args::lossy(argv[1])
            )));
        }
    }
    Ok(())
}

fn object(ctx: &mut ExclusiveCtx<'_>, key: &[u8], reply: &mut Reply<'_>) -> Outcome {
    let mut read = ctx.read();
    let slot = read.peek(key).ok_or(CommandError::NoSuchKey)?;
    let db = read.db();
    let encoding = db.encoding(slot);
    reply.simple(&format!(
        "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{} lru:{} lru_seconds_idle:0",
        db.memory_bytes(slot),
        db.clock(slot),
    ));
    Ok(())
}

/// Sets from which size on the elements of lists have nodes of their own.
fn packed_threshold(ctx: &ExclusiveCtx<'_>, bytes: &[u8]) -> Outcome {
    // Redis keeps the sizes of nodes in 32 bits.
    const BYTES_MAX: u64 = (1 << 32) - (1 << 20);
    let bytes = parse_memory(bytes).filter(|bytes| *bytes <= BYTES_MAX);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or(CommandError::text(
        "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
    ))?;
    ctx.env.shared.limits.list_plain_bytes.store(bytes, Ordering::Relaxed);
    Ok(())
}

/// Writes to the log how a key of one of the two encodings of lists is made.
fn list_structure(
    ctx: &mut ExclusiveCtx<'_>,
    word: &[u8],
    key: &[u8],
    reply: &mut Reply<'_>,
) -> Outcome {
    let mut read = ctx.read();
    let slot = read.peek(key).ok_or(CommandError::NoSuchKey)?;
    let db = read.db();
    let (wanted, refusal, answer) = match word {
        b"LISTPACK" => (
            "listpack",
            "ERR Not a listpack encoded object.",
            "Listpack structure printed on stdout",
        ),
        _ => (
            "quicklist",
            "ERR Not a quicklist encoded object.",
            "Quicklist structure printed on stdout",
        ),
    };
    if db.encoding(slot) != wanted {
        return Err(CommandError::text(refusal));
    }
    if let ValueRef::List(list) = db.value(slot) {
        for number in 0..list.nodes() {
            match list.node(number) {
                NodeRef::Packed(listpack) => tracing::info!(
                    "node {number}: {} elements, {} bytes",
                    listpack.len(),
                    listpack.as_bytes().len()
                ),
                NodeRef::Plain(text) => {
                    tracing::info!("node {number}: plain, {} bytes", text.len())
                }
            }
        }
    }
    reply.simple(answer);
    Ok(())
}

/// Creates keys `prefix:0` ... with values `value:0` ..., filled up to a size.
fn populate(
    ctx: &mut ExclusiveCtx<'_>,
    count: &[u8],
    rest: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let count = args::int_in(count, 0, i64::MAX)?;
    let prefix = rest.first().copied().unwrap_or(b"key");
    let size = rest.get(1).map(|size| args::int_in(size, 0, 1 << 29)).transpose()?;
    let mut write = ctx.write();
    for i in 0..count {
        let number = i.to_string();
        let key = [prefix, b":", number.as_bytes()].concat();
        if write.peek(&key).is_some() {
            continue;
        }
        let mut value = format!("value:{i}").into_bytes();
        if let Some(size) = size {
            value.resize(size as usize, 0);
        }
        write.set_string(&key, None, &value, ExpireChange::Clear);
        write.touch_watchers(&key);
    }
    reply.ok();
    Ok(())
}

/// Replies with one value of a kind, for tests of clients.
fn protocol(kind: &[u8], reply: &mut Reply<'_>) -> Outcome {
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => {
            // The number that Redis answers, which is not meant as pi.
            #[expect(clippy::approx_constant, reason = "clients' tests expect these digits")]
            reply.double(3.141);
        }
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|i| reply.int(i));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|i| reply.int(i));
        }
        b"map" => {
            reply.map(3);
            for i in 0..3 {
                reply.int(i);
                reply.bool(i == 1);
            }
        }
        b"attrib" => {
            if reply.protocol() == Protocol::Resp3 {
                reply.raw(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
        }
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        other => {
            return Err(CommandError::owned(format!(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|null|array|set|map|attrib|push|verbatim|true|false, not {}",
                args::lossy(other)
            )));
        }
    }
    Ok(())
}

/// Forty hexadecimal digits that are equal for equal data, in whatever order it was written.
fn digest(ctx: &ExclusiveCtx<'_>) -> String {
    let mut sum = [0u8; 20];
    for (index, db) in ctx.state.keyspace.iter() {
        let mut cursor = 0;
        loop {
            cursor = db.scan(cursor, 1000, |key, value, expire_at| {
                let mut bytes = format!("{index}:{expire_at:?}:").into_bytes();
                bytes.extend_from_slice(key);
                describe_value(&value, &mut bytes);
                mix(&mut sum, &bytes);
            });
            if cursor == 0 {
                break;
            }
        }
    }
    hex(sum)
}

/// The digest of what one key holds, whatever its name; zeros if there is none.
fn value_digest(ctx: &mut ExclusiveCtx<'_>, key: &[u8]) -> String {
    let mut sum = [0u8; 20];
    let mut read = ctx.read();
    if let Some(slot) = read.peek(key) {
        let mut bytes = Vec::new();
        describe_value(&read.db().value(slot), &mut bytes);
        mix(&mut sum, &bytes);
    }
    hex(sum)
}

/// Adds the SHA1 of some bytes, so that their order does not matter.
fn mix(sum: &mut [u8; 20], bytes: &[u8]) {
    let digest = crate::base::sha1::sha1_hex(bytes);
    for (byte, digits) in sum.iter_mut().zip(digest.chunks_exact(2)) {
        let text = std::str::from_utf8(digits).unwrap_or("0");
        *byte ^= u8::from_str_radix(text, 16).unwrap_or(0);
    }
}

fn hex(sum: [u8; 20]) -> String {
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A value's content in an order that does not depend on how it is held.
fn describe_value(value: &ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Str(text) => {
            out.extend_from_slice(b"string:");
            text.write_to(out);
        }
        ValueRef::Hash(hash) => {
            out.extend_from_slice(b"hash:");
            let mut fields: Vec<Vec<u8>> = hash
                .iter(0)
                .map(|pair| {
                    let mut field = Vec::new();
                    field.extend(pair.0.to_vec());
                    field.push(0);
                    field.extend(pair.1.to_vec());
                    field
                })
                .collect();
            fields.sort_unstable();
            fields.iter().for_each(|field| out.extend_from_slice(field));
        }
        // Each type's part comes with the type.
        ValueRef::List(list) => {
            out.extend_from_slice(b"list:");
            for element in list.iter() {
                let text = element.to_vec();
                out.extend_from_slice(&text.len().to_le_bytes());
                out.extend_from_slice(&text);
            }
        }
        ValueRef::Set(_) | ValueRef::Zset(_) | ValueRef::Stream(_) => {}
        ValueRef::Module(module) => {
            out.extend_from_slice(module.vtable().name().as_bytes());
        }
    }
}
