//! CLIENT: what the server knows of its clients, and what they may set of themselves.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::number::parse_i64;
use crate::engine::acl::Users;
use crate::engine::acl::user::User;
use crate::engine::args::{self, Cursor};
use crate::engine::block::{self, GivenUp};
use crate::engine::client::{Client, Mode, Session};
use crate::engine::client_info;
use crate::engine::ctx::{ExclusiveCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{Arg, Argv, Arity, Category, CommandSpec, Flag, Group, Outcome, Run};
use crate::resp::reply::Reply;

use super::{pause, tracking};

/// What most subcommands have in common.
pub(super) const SUB: CommandSpec = CommandSpec {
    group: Group::Connection,
    categories: &[Category::Connection],
    ..CommandSpec::BASE
};

pub(super) const QUIET: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::KeepsCaching];
pub(super) const ADMIN: &[Flag] =
    &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale, Flag::KeepsCaching];

const KILL_ARGS: &[Arg] = &[Arg::one_of(
    "filter",
    &[
        Arg::string("old-format").shown_as("ip:port").deprecated("2.8.12"),
        Arg::one_of(
            "new-format",
            &[
                Arg::integer("client-id").token("ID").optional().since("2.8.12"),
                Arg::one_of(
                    "client-type",
                    &[
                        Arg::flag("normal", "NORMAL"),
                        Arg::flag("master", "MASTER").since("3.2.0"),
                        Arg::flag("slave", "SLAVE"),
                        Arg::flag("replica", "REPLICA").since("5.0.0"),
                        Arg::flag("pubsub", "PUBSUB"),
                    ],
                )
                .token("TYPE")
                .optional()
                .since("2.8.12"),
                Arg::string("username").token("USER").optional(),
                Arg::string("addr").token("ADDR").shown_as("ip:port").optional(),
                Arg::string("laddr").token("LADDR").shown_as("ip:port").optional().since("6.2.0"),
                Arg::one_of("skipme", &[Arg::flag("yes", "YES"), Arg::flag("no", "NO")])
                    .token("SKIPME")
                    .optional(),
                Arg::integer("maxage").token("MAXAGE").optional().since("7.4.0"),
            ],
        )
        .multiple(),
    ],
)];

/// The container and its subcommands.
pub const CLIENT: CommandSpec = CommandSpec {
    name: "CLIENT",
    summary: "A container for client connection commands.",
    since: "2.4.0",
    complexity: "Depends on subcommand.",
    group: Group::Connection,
    arity: Arity::AtLeast(2),
    categories: &[],
    subcommands: &[
        CommandSpec {
            name: "ID",
            summary: "Returns the unique client ID of the connection.",
            since: "5.0.0",
            arity: Arity::Exactly(2),
            flags: QUIET,
            run: Run::Session(id),
            ..SUB
        },
        CommandSpec {
            name: "INFO",
            summary: "Returns information about the connection.",
            since: "6.2.0",
            arity: Arity::Exactly(2),
            flags: QUIET,
            tips: &["nondeterministic_output"],
            run: Run::Session(info),
            ..SUB
        },
        CommandSpec {
            name: "LIST",
            summary: "Lists open connections.",
            since: "2.4.0",
            complexity: "O(N) where N is the number of client connections",
            arity: Arity::AtLeast(2),
            flags: ADMIN,
            args: &[
                Arg::one_of(
                    "client-type",
                    &[
                        Arg::flag("normal", "NORMAL"),
                        Arg::flag("master", "MASTER"),
                        Arg::flag("replica", "REPLICA"),
                        Arg::flag("pubsub", "PUBSUB"),
                    ],
                )
                .token("TYPE")
                .optional()
                .since("5.0.0"),
                Arg::integer("client-id").token("ID").optional().multiple().since("6.2.0"),
            ],
            tips: &["nondeterministic_output"],
            run: Run::Exclusive(list),
            ..SUB
        },
        CommandSpec {
            name: "KILL",
            summary: "Terminates open connections.",
            since: "2.4.0",
            complexity: "O(N) where N is the number of client connections",
            arity: Arity::AtLeast(3),
            flags: ADMIN,
            args: KILL_ARGS,
            run: Run::Exclusive(kill),
            ..SUB
        },
        CommandSpec {
            name: "SETNAME",
            summary: "Sets the connection name.",
            since: "2.6.9",
            arity: Arity::Exactly(3),
            flags: QUIET,
            args: &[Arg::string("connection-name")],
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            run: Run::Session(set_name),
            ..SUB
        },
        CommandSpec {
            name: "GETNAME",
            summary: "Returns the name of the connection.",
            since: "2.6.9",
            arity: Arity::Exactly(2),
            flags: QUIET,
            run: Run::Session(get_name),
            ..SUB
        },
        CommandSpec {
            name: "SETINFO",
            summary: "Sets information specific to the client or connection.",
            since: "7.2.0",
            arity: Arity::Exactly(4),
            flags: QUIET,
            args: &[Arg::one_of(
                "attr",
                &[Arg::string("libname").token("LIB-NAME"), Arg::string("libver").token("LIB-VER")],
            )],
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            run: Run::Session(set_info),
            ..SUB
        },
        CommandSpec {
            name: "REPLY",
            summary: "Instructs the server whether to reply to commands.",
            since: "3.2.0",
            arity: Arity::Exactly(3),
            flags: QUIET,
            args: &[Arg::one_of(
                "action",
                &[Arg::flag("on", "ON"), Arg::flag("off", "OFF"), Arg::flag("skip", "SKIP")],
            )],
            run: Run::Session(reply_mode),
            ..SUB
        },
        CommandSpec {
            name: "NO-EVICT",
            summary: "Sets the client eviction mode of the connection.",
            since: "7.0.0",
            arity: Arity::Exactly(3),
            flags: ADMIN,
            args: &[Arg::one_of("enabled", &[Arg::flag("on", "ON"), Arg::flag("off", "OFF")])],
            run: Run::Session(no_evict),
            ..SUB
        },
        CommandSpec {
            name: "NO-TOUCH",
            summary: "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
            since: "7.2.0",
            arity: Arity::Exactly(3),
            flags: QUIET,
            args: &[Arg::one_of("enabled", &[Arg::flag("on", "ON"), Arg::flag("off", "OFF")])],
            run: Run::Session(no_touch),
            ..SUB
        },
        CommandSpec {
            name: "UNBLOCK",
            summary: "Unblocks a client blocked by a blocking command from a different connection.",
            since: "5.0.0",
            complexity: "O(log N) where N is the number of client connections",
            arity: Arity::AtLeast(3),
            flags: ADMIN,
            args: &[
                Arg::integer("client-id"),
                Arg::one_of(
                    "unblock-type",
                    &[Arg::flag("timeout", "TIMEOUT"), Arg::flag("error", "ERROR")],
                )
                .optional(),
            ],
            run: Run::Exclusive(unblock),
            ..SUB
        },
        tracking::TRACKING,
        tracking::TRACKINGINFO,
        tracking::CACHING,
        tracking::GETREDIR,
        pause::PAUSE,
        pause::UNPAUSE,
        CommandSpec {
            name: "HELP",
            summary: "Returns helpful text about the different subcommands.",
            since: "5.0.0",
            arity: Arity::Exactly(2),
            flags: &[Flag::Loading, Flag::Stale, Flag::KeepsCaching],
            run: Run::Session(help),
            ..SUB
        },
    ],
    ..CommandSpec::BASE
};

fn id(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.int(ctx.env.client.map_or(0, |client| client.id as i64));
    Ok(())
}

fn info(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut text = Vec::new();
    if let Some(client) = ctx.env.client {
        text = client_info::line(client, ctx.session, ctx.env.now_ms());
        text.push(b'\n');
    }
    reply.verbatim(b"txt", &text);
    Ok(())
}

/// Visits every client with its session, but not those that are being closed, nor the one that lets the caller in while
/// it keeps the lock; the caller's own session is the one already borrowed.
fn each_client(ctx: &ExclusiveCtx<'_>, mut visit: impl FnMut(&Arc<Client>, &Session)) {
    let own = ctx.env.client.map(|client| client.id);
    let clients: Vec<Arc<Client>> = ctx.env.shared.clients.lock().iter().cloned().collect();
    for client in clients.iter().filter(|client| !client.killed.load(Ordering::Relaxed)) {
        if Some(client.id) == own {
            visit(client, ctx.session);
        } else if !ctx.env.shared.visits.is_host(client.id) {
            visit(client, &client.session.lock());
        }
    }
}

fn list(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut ids: Option<Vec<i64>> = None;
    let mut kind = None;
    let id = |arg: &&[u8]| parse_i64(arg).ok_or(CommandError::text("ERR Invalid client ID"));
    match argv {
        [_, _] => {}
        [_, _, word, name] if args::is(word, "TYPE") => kind = Some(parse_type(name)?),
        [_, _, word, list @ ..] if args::is(word, "ID") && !list.is_empty() => {
            ids = Some(list.iter().map(id).collect::<Result<_, _>>()?);
        }
        _ => return Err(CommandError::Syntax),
    }
    let mut lines: Vec<(u64, Vec<u8>)> = Vec::new();
    let now_ms = ctx.now_ms();
    each_client(ctx, |client, session| {
        let wanted = ids.as_ref().is_none_or(|ids| ids.contains(&(client.id as i64)));
        if wanted && kind.is_none_or(|kind| kind == ClientType::of(client, session)) {
            let mut line = client_info::line(client, session, now_ms);
            line.push(b'\n');
            lines.push((client.id, line));
        }
    });
    // Those that were asked for by number come in the order of the question, as often as they occur there.
    let text: Vec<u8> = match ids {
        None => lines.into_iter().flat_map(|(_, line)| line).collect(),
        Some(ids) => ids
            .iter()
            .filter_map(|id| lines.iter().find(|(own, _)| *own as i64 == *id))
            .flat_map(|(_, line)| line.iter().copied())
            .collect(),
    };
    reply.verbatim(b"txt", &text);
    Ok(())
}

/// What a client is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientType {
    Normal,
    PubSub,
    Replica,
    Primary,
}

impl ClientType {
    fn of(client: &Client, session: &Session) -> Self {
        if session.mode.contains(Mode::PRIMARY) {
            ClientType::Primary
        } else if client.following.follows.load(Ordering::Relaxed) {
            ClientType::Replica
        } else if session.mode.contains(Mode::SUBSCRIBED) {
            ClientType::PubSub
        } else {
            ClientType::Normal
        }
    }
}

fn parse_type(name: &[u8]) -> Result<ClientType, CommandError> {
    const NAMES: [(&str, ClientType); 5] = [
        ("NORMAL", ClientType::Normal),
        ("PUBSUB", ClientType::PubSub),
        ("REPLICA", ClientType::Replica),
        ("SLAVE", ClientType::Replica),
        ("MASTER", ClientType::Primary),
    ];
    let found = NAMES.iter().find(|(known, _)| args::is(name, known));
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        CommandError::owned(format!("ERR Unknown client type '{}'", args::lossy(name)))
    })
}

/// Which clients CLIENT KILL means.
#[derive(Debug, Default)]
struct Filter<'a> {
    id: Option<i64>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    user: Option<Arc<User>>,
    kind: Option<ClientType>,
    max_age: Option<i64>,
    take_me: bool,
}

impl Filter<'_> {
    fn accepts(&self, client: &Client, session: &Session, now_ms: i64) -> bool {
        self.id.is_none_or(|id| id == client.id as i64)
            && self.addr.is_none_or(|addr| addr == client.addr.as_bytes())
            && self.laddr.is_none_or(|addr| addr == client.laddr.as_bytes())
            && self.user.as_ref().is_none_or(|user| session.is_user(user))
            && self.kind.is_none_or(|kind| kind == ClientType::of(client, session))
            && self.max_age.is_none_or(|age| (now_ms - client.created_ms) / 1000 >= age)
    }
}

fn parse_filter<'a>(argv: Argv<'a>, users: &Users) -> Result<Filter<'a>, CommandError> {
    let mut filter = Filter::default();
    let mut rest = Cursor::new(argv, 2);
    while let Some(word) = rest.next() {
        let value = rest.value()?;
        if args::is(word, "ID") {
            let id = parse_i64(value).filter(|id| *id > 0);
            filter.id =
                Some(id.ok_or(CommandError::text("ERR client-id should be greater than 0"))?);
        } else if args::is(word, "ADDR") {
            filter.addr = Some(value);
        } else if args::is(word, "LADDR") {
            filter.laddr = Some(value);
        } else if args::is(word, "USER") {
            let no_user = [b"ERR No such user '", value, b"'"];
            let user = users.find(value);
            filter.user = Some(user.ok_or_else(|| CommandError::Raw(no_user.concat()))?);
        } else if args::is(word, "TYPE") {
            filter.kind = Some(parse_type(value)?);
        } else if args::is(word, "MAXAGE") {
            filter.max_age = Some(
                parse_i64(value)
                    .filter(|a| *a > 0)
                    .ok_or(CommandError::text("ERR maxage is not an integer or out of range"))?,
            );
        } else if args::is(word, "SKIPME") && args::is(value, "NO") {
            filter.take_me = true;
        } else if args::is(word, "SKIPME") && args::is(value, "YES") {
            filter.take_me = false;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(filter)
}

fn kill(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let old_form = argv.len() == 3;
    let filter = if old_form {
        Filter { addr: Some(argv[2]), take_me: true, ..Filter::default() }
    } else {
        parse_filter(argv, &ctx.env.shared.users)?
    };
    let own = ctx.env.client.map(|client| client.id);
    let now_ms = ctx.now_ms();
    let (mut killed, mut me) = (0, false);
    each_client(ctx, |client, session| {
        if !filter.accepts(client, session, now_ms) {
            return;
        }
        if Some(client.id) != own {
            client.kill();
            killed += 1;
        } else if filter.take_me {
            me = true;
            killed += 1;
        }
    });
    // The own connection ends behind its reply.
    ctx.unit.close |= me;
    if !old_form {
        reply.int(killed);
    } else if killed > 0 {
        reply.ok();
    } else {
        return Err(CommandError::text("ERR No such client"));
    }
    Ok(())
}

/// Names must be printable, because CLIENT LIST separates by blanks.
fn check_printable(text: &[u8], what: &str) -> Result<(), CommandError> {
    if text.iter().all(|b| (b'!'..=b'~').contains(b)) {
        return Ok(());
    }
    Err(CommandError::owned(format!(
        "ERR {what} cannot contain spaces, newlines or special characters."
    )))
}

/// Whether a connection may have this name.
pub fn check_name(name: &[u8]) -> Result<(), CommandError> {
    check_printable(name, "Client names")
}

fn set_name(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_name(argv[2])?;
    ctx.session.name = argv[2].into();
    reply.ok();
    Ok(())
}

fn get_name(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if ctx.session.name.is_empty() {
        reply.null()
    } else {
        reply.bulk(&ctx.session.name)
    }
    Ok(())
}

fn set_info(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let place = if args::is(argv[2], "LIB-NAME") {
        check_printable(argv[3], &args::lossy(argv[2]))?;
        &mut ctx.session.lib_name
    } else if args::is(argv[2], "LIB-VER") {
        check_printable(argv[3], &args::lossy(argv[2]))?;
        &mut ctx.session.lib_version
    } else {
        return Err(CommandError::owned(format!(
            "ERR Unrecognized option '{}'",
            args::lossy(argv[2])
        )));
    };
    *place = argv[3].into();
    reply.ok();
    Ok(())
}

fn reply_mode(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mode = &mut ctx.session.mode;
    if args::is(argv[2], "ON") {
        mode.remove(Mode::REPLY_OFF | Mode::REPLY_SKIP | Mode::REPLY_SKIP_NEXT);
        reply.ok();
    } else if args::is(argv[2], "OFF") {
        mode.insert(Mode::REPLY_OFF);
    } else if args::is(argv[2], "SKIP") {
        if !mode.contains(Mode::REPLY_OFF) {
            mode.insert(Mode::REPLY_SKIP_NEXT);
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

fn on_or_off(arg: &[u8]) -> Result<bool, CommandError> {
    if args::is(arg, "ON") {
        Ok(true)
    } else if args::is(arg, "OFF") {
        Ok(false)
    } else {
        Err(CommandError::Syntax)
    }
}

fn no_evict(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stays = on_or_off(argv[2])?;
    ctx.session.mode.set(Mode::NO_EVICT, stays);
    if let Some(client) = ctx.env.client {
        client.footprint.stays.store(stays, Ordering::Relaxed);
        client.count_memory(ctx.env.shared);
    }
    reply.ok();
    Ok(())
}

fn no_touch(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    ctx.session.mode.set(Mode::NO_TOUCH, on_or_off(argv[2])?);
    reply.ok();
    Ok(())
}

fn unblock(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let as_error = match argv {
        [_, _, _] => false,
        [_, _, _, how] if args::is(how, "TIMEOUT") => false,
        [_, _, _, how] if args::is(how, "ERROR") => true,
        [_, _, _, _] => {
            return Err(CommandError::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
        _ => return Err(CommandError::Syntax),
    };
    let id = args::int(argv[2])?;
    let own = ctx.env.client.map(|client| client.id);
    let target = ctx.env.shared.clients.lock().get(id as u64).cloned();
    let is_waiting =
        |client: &Arc<Client>| Some(client.id) != own && !ctx.env.shared.visits.is_host(client.id);
    let Some(client) = target.filter(is_waiting) else {
        reply.int(0);
        return Ok(());
    };
    const UNBLOCKED: &[u8] = b"UNBLOCKED client unblocked via CLIENT UNBLOCK";
    let mut session = client.session.lock();
    if let Some(wait) = session.foreign.clone() {
        drop(session);
        let error = as_error.then_some(UNBLOCKED);
        let ended = wait.0.give_up(ctx.state, ctx.env.shared, error, false);
        reply.int(i64::from(ended));
        return Ok(());
    }
    let Some(on_timeout) = session.blocked_reply.take() else {
        reply.int(0);
        return Ok(());
    };
    let is_silent = session.drops_reply();
    drop(session);
    let how = if as_error { GivenUp::Failed } else { GivenUp::TimedOut };
    block::give_up(ctx.env.shared, ctx.env.worker, client.id, how);
    let durable = &ctx.env.shared.durable;
    let on_timeout = durable.elsewhere.leave(client.id, durable.kept()).unwrap_or(on_timeout);
    let answer = match how {
        GivenUp::TimedOut => on_timeout,
        GivenUp::Failed => {
            ctx.env.stats.error(UNBLOCKED);
            [b"-", UNBLOCKED, b"\r\n"].concat()
        }
    };
    client.unblock(if is_silent { b"" } else { &answer });
    reply.int(1);
    Ok(())
}

fn help(_: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::super::reply_help(
        reply,
        "CLIENT",
        &[
            ("CACHING (YES|NO)", "Say whether to track the keys of the next command."),
            ("GETNAME", "Return the name of the current connection."),
            ("GETREDIR", "Return the client ID that tracking messages are redirected to."),
            ("ID", "Return the ID of the current connection."),
            ("INFO", "Return information about the current connection."),
            ("KILL <ip:port>", "Close the connection from this address."),
            (
                "KILL <option> <value> [...]",
                "Close the connections that all options fit: ADDR, LADDR, TYPE, USER, SKIPME, ID, MAXAGE.",
            ),
            ("LIST [TYPE <type>|ID <id> [...]]", "Return information about connections."),
            ("NO-EVICT (ON|OFF)", "Keep this connection when memory for clients runs out."),
            ("NO-TOUCH (ON|OFF)", "Leave the access times of keys alone."),
            ("PAUSE <timeout> [WRITE|ALL]", "Hold commands back for some milliseconds."),
            ("REPLY (ON|OFF|SKIP)", "Control the replies to this connection."),
            ("SETINFO <option> <value>", "Set LIB-NAME or LIB-VER of this connection."),
            ("SETNAME <name>", "Name this connection."),
            (
                "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
                "Have this connection told of keys that change.",
            ),
            ("TRACKINGINFO", "Return how this connection tracks keys."),
            ("UNBLOCK <id> [TIMEOUT|ERROR]", "End the wait of a blocked client."),
            ("UNPAUSE", "End the pause."),
        ],
    );
    Ok(())
}
