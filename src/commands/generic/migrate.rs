//! MIGRATE: keys move to another server. What the other one has confirmed is deleted here, in the same call, so
//! that a key is never lost and never in two places, as far as commands can tell.

use crate::engine::args::{self, Cursor};
use crate::engine::ctx::{ExclusiveCtx, ReadCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::log::encode;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, Begin, Category, CommandSpec, Find, Flag, Group, KeySpec, Outcome,
    Run,
};
use crate::engine::state::{Exchange, ExchangeError};
use crate::object::module::KeyName;
use crate::persist::rdb::value;
use crate::resp::reply::Reply;

/// How long an answer may take if the command does not say.
const TIMEOUT_MS_DEFAULT: i64 = 1000;

/// The command.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "MIGRATE",
    summary: "Atomically transfers a key from one Redis instance to another.",
    since: "2.6.0",
    complexity: "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target instance. See the pages of these commands for time complexity. Also an O(N) data transfer between the two instances is performed.",
    group: Group::Generic,
    arity: Arity::AtLeast(6),
    flags: &[Flag::Write],
    categories: &[Category::Keyspace, Category::Dangerous],
    keys: &[
        KeySpec::at(3, Access::ReadDelete),
        KeySpec {
            begin: Begin::Keyword("KEYS", -2),
            find: Find::Range { last: -1, step: 1, limit: 0 },
            ..KeySpec::at(3, Access::ReadDelete).with(&["incomplete"])
        },
    ],
    args: &[
        Arg::string("host"),
        Arg::integer("port"),
        Arg::one_of("key-selector", &[Arg::key("key"), Arg::flag("empty-string", "\"\"")]),
        Arg::integer("destination-db"),
        Arg::integer("timeout"),
        Arg::flag("copy", "COPY").optional().since("3.0.0"),
        Arg::flag("replace", "REPLACE").optional().since("3.0.0"),
        Arg::one_of(
            "authentication",
            &[
                Arg::string("auth").token("AUTH").shown_as("password").since("4.0.7"),
                Arg::block("auth2", &[Arg::string("username"), Arg::string("password")])
                    .token("AUTH2")
                    .since("6.0.0"),
            ],
        )
        .optional(),
        Arg::key_of("keys", 1).token("KEYS").shown_as("key").optional().multiple().since("3.0.6"),
    ],
    history: &[
        ("3.0.0", "Added the `COPY` and `REPLACE` options."),
        ("3.0.6", "Added the `KEYS` option."),
        ("4.0.7", "Added the `AUTH` option."),
        ("6.0.0", "Added the `AUTH2` option."),
    ],
    tips: &["nondeterministic_output"],
    find_keys: Some(find_keys),
    secrets: Some(|argv| {
        let word = |name| argv.iter().skip(6).position(|word| args::is(word, name));
        let one = word("AUTH").map(|at| at + 7);
        let two = word("AUTH2").map(|at| at + 7);
        one.into_iter().chain(two.into_iter().flat_map(|at| [at, at + 1])).collect()
    }),
    run: Run::Exclusive(migrate),
    ..CommandSpec::BASE
}];

/// The key, or those behind `KEYS`, which may also be a password.
fn find_keys(argv: Argv<'_>) -> Option<Vec<usize>> {
    let mut at = 6;
    while let Some(word) = argv.get(at) {
        if args::is(word, "KEYS") {
            let is_sense = argv[3].is_empty();
            return is_sense.then(|| (at + 1..argv.len()).collect());
        }
        at += match () {
            () if args::is(word, "AUTH") => 2,
            () if args::is(word, "AUTH2") => 3,
            () => 1,
        };
    }
    Some(vec![3])
}

/// What MIGRATE is asked for.
struct Options<'a> {
    host: &'a [u8],
    port: u16,
    db: i64,
    timeout_ms: i64,
    copy: bool,
    replace: bool,
    auth: Vec<&'a [u8]>,
    keys: Vec<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(argv: Argv<'a>) -> Result<Self, CommandError> {
        let (mut copy, mut replace, mut auth) = (false, false, Vec::new());
        let mut keys = vec![argv[3]];
        let mut rest = Cursor::new(argv, 6);
        while let Some(option) = rest.next() {
            if args::is(option, "COPY") {
                copy = true;
            } else if args::is(option, "REPLACE") {
                replace = true;
            } else if args::is(option, "AUTH") {
                auth = vec![&b"AUTH"[..], rest.next().ok_or(CommandError::Syntax)?];
            } else if args::is(option, "AUTH2") {
                let (user, password) = rest.next().zip(rest.next()).ok_or(CommandError::Syntax)?;
                auth = vec![&b"AUTH"[..], user, password];
            } else if args::is(option, "KEYS") {
                if !argv[3].is_empty() {
                    return Err(CommandError::text(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the \
                         empty string",
                    ));
                }
                keys = rest.by_ref().collect();
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let timeout_ms = args::int(argv[5])?;
        Ok(Self {
            host: argv[1],
            // What is no port is one that nobody can connect to.
            port: args::int(argv[2]).ok().and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
            db: args::int(argv[4])?,
            timeout_ms: if timeout_ms <= 0 { TIMEOUT_MS_DEFAULT } else { timeout_ms },
            copy,
            replace,
            auth,
            keys,
        })
    }
}

fn migrate(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = Options::parse(argv)?;
    let style = value::style(&ctx.state.config);
    let mut commands = Vec::new();
    let mut keys = Vec::new();
    for key in &options.keys {
        if encode_key(&mut ctx.read(), key, style, &options, &mut commands)? {
            keys.push(*key);
        }
    }
    if keys.is_empty() {
        reply.simple("NOKEY");
        return Ok(());
    }
    let mut auth = Vec::new();
    if !options.auth.is_empty() {
        encode(&mut auth, &options.auth);
    }
    let host = String::from_utf8_lossy(options.host).into_owned();
    let exchanged = ctx.env.shared.host.exchange(&Exchange {
        host: &host,
        port: options.port,
        timeout_ms: options.timeout_ms.unsigned_abs(),
        auth: &auth,
        db: options.db,
        commands: &commands,
        replies: keys.len(),
    });
    let confirmed: Vec<&[u8]> = keys
        .iter()
        .zip(&exchanged.replies)
        .filter(|(_, line)| !line.starts_with(b"-"))
        .map(|(key, _)| *key)
        .collect();
    if !options.copy && !confirmed.is_empty() {
        delete(ctx, &confirmed);
    }
    let refused = exchanged.replies.iter().find(|line| line.starts_with(b"-"));
    match (refused, exchanged.error) {
        (Some(line), _) => Err(CommandError::owned(format!(
            "ERR Target instance replied with error: {}",
            args::lossy(&line[1..])
        ))),
        (None, Some(error)) => Err(CommandError::text(match error {
            ExchangeError::Connecting => "IOERR error or timeout connecting to the client",
            ExchangeError::Writing => "IOERR error or timeout writing to target instance",
            ExchangeError::Reading => "IOERR error or timeout reading to target instance",
        })),
        (None, None) => {
            reply.ok();
            Ok(())
        }
    }
}

/// Appends the RESTORE of a key; false if it is not there.
fn encode_key(
    read: &mut ReadCtx<'_>,
    key: &[u8],
    style: crate::object::rdb::write::Style,
    options: &Options<'_>,
    commands: &mut Vec<u8>,
) -> Result<bool, CommandError> {
    let db = read.session.db;
    let Some(slot) = read.find(key) else { return Ok(false) };
    let found = read.db().value(slot);
    let name = KeyName { name: Some(key), db: db as i32 };
    let payload = value::dump(&found, name, style)
        .map_err(|error| CommandError::owned(format!("ERR {error}")))?;
    let ttl = read.db().expire_at(slot).map_or(0, |at| (at - read.now_ms()).max(1)).to_string();
    let mut restore: Vec<&[u8]> = vec![b"RESTORE", key, ttl.as_bytes(), &payload];
    if options.replace {
        restore.push(b"REPLACE");
    }
    encode(commands, &restore);
    Ok(true)
}

/// Deletes the keys that the other server has now.
fn delete(ctx: &mut ExclusiveCtx<'_>, keys: &[&[u8]]) {
    let mut write = ctx.write();
    for key in keys {
        if let Some(slot) = write.peek(key) {
            write.remove(slot);
            write.changed(key);
            write.notify(EventClass::GENERIC, "del", key);
        }
    }
    let argv: Vec<&[u8]> = std::iter::once(&b"DEL"[..]).chain(keys.iter().copied()).collect();
    write.propagate_as(&argv);
}
