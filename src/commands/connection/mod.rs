//! Connections: AUTH, HELLO, SELECT, PING and their relatives; CLIENT has a file of its own.

use std::sync::atomic::Ordering;

use crate::engine::acl;
use crate::engine::acl::log::{Context, Entry, Reason};
use crate::engine::args::{self, Cursor};
use crate::engine::client::{Mode, Session};
use crate::engine::ctx::{ExclusiveCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::log_in::{Credentials, LogIn};
use crate::engine::pubsub;
use crate::engine::spec::{
    Arg, Argv, Arity, Category, CommandSpec, Deprecated, Flag, Group, Outcome, Run,
};
use crate::engine::transaction;
use crate::resp::reply::{Protocol, Reply};

pub mod client;

pub mod tracking;

pub mod pause;

/// The commands of this folder.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "AUTH",
        summary: "Authenticates the connection.",
        since: "1.0.0",
        complexity: "O(N) where N is the number of passwords defined for the user",
        group: Group::Connection,
        arity: Arity::AtLeast(2),
        flags: &[
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::NoAuth,
            Flag::AllowBusy,
        ],
        categories: &[Category::Connection],
        args: &[Arg::string("username").optional().since("6.0.0"), Arg::string("password")],
        secrets: Some(|argv| (1..argv.len()).collect()),
        logs_in: true,
        history: &[("6.0.0", "Added ACL style (username and password).")],
        run: Run::Session(auth),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HELLO",
        summary: "Handshakes with the Redis server.",
        since: "6.0.0",
        complexity: "O(1)",
        group: Group::Connection,
        arity: Arity::AtLeast(1),
        flags: &[
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::NoAuth,
            Flag::AllowBusy,
        ],
        categories: &[Category::Connection],
        args: &[Arg::block(
            "arguments",
            &[
                Arg::integer("protover"),
                Arg::block("auth", &[Arg::string("username"), Arg::string("password")])
                    .token("AUTH")
                    .optional(),
                Arg::string("clientname").token("SETNAME").optional(),
            ],
        )
        .optional()],
        logs_in: true,
        secrets: Some(|argv| {
            let auth = argv.iter().position(|word| args::is(word, "AUTH"));
            auth.map(|at| vec![at + 1, at + 2]).unwrap_or_default()
        }),
        history: &[(
            "6.2.0",
            "`protover` made optional; when called without arguments the command reports the current connection's context.",
        )],
        run: Run::Session(hello),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PING",
        summary: "Returns the server's liveliness response.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Connection,
        arity: Arity::AtLeast(1),
        flags: &[Flag::Fast, Flag::WhileSubscribed],
        categories: &[Category::Connection],
        args: &[Arg::string("message").optional()],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Run::Session(ping),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ECHO",
        summary: "Returns the given string.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Connection,
        arity: Arity::Exactly(2),
        flags: &[Flag::Loading, Flag::Stale, Flag::Fast],
        categories: &[Category::Connection],
        args: &[Arg::string("message")],
        run: Run::Session(echo),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SELECT",
        summary: "Changes the selected database.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Connection,
        arity: Arity::Exactly(2),
        flags: &[Flag::Loading, Flag::Stale, Flag::Fast],
        categories: &[Category::Connection],
        args: &[Arg::integer("index")],
        run: Run::Session(select),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "QUIT",
        summary: "Closes the connection.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Connection,
        arity: Arity::AtLeast(1),
        flags: &[
            Flag::AllowBusy,
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::NoAuth,
            Flag::NotQueued,
            Flag::EndsMulti,
            Flag::WhileSubscribed,
        ],
        categories: &[Category::Connection],
        deprecated: Some(Deprecated { since: "7.2.0", replaced_by: "just closing the connection" }),
        run: Run::Session(quit),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RESET",
        summary: "Resets the connection.",
        since: "6.2.0",
        complexity: "O(1)",
        group: Group::Connection,
        arity: Arity::Exactly(1),
        flags: &[
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::NoAuth,
            Flag::AllowBusy,
            Flag::NotQueued,
            Flag::EndsMulti,
            Flag::WhileSubscribed,
        ],
        categories: &[Category::Connection],
        run: Run::Session(reset),
        ..CommandSpec::BASE
    },
    client::CLIENT,
];

/// Whether a log-in came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoggedIn {
    Yes,
    /// A module has replied, or will later.
    NothingToSay,
}

/// Has the session go on as this user, if the modules that have a say in it agree or the password is right.
/// `command` is the word by which the client asked for it.
fn authenticate(
    ctx: &mut SessionCtx<'_>,
    command: &[u8],
    credentials: Credentials<'_>,
    reply: &mut Reply<'_>,
) -> Result<LoggedIn, CommandError> {
    if ctx.env.shared.modules_log_in.load(Ordering::Relaxed) {
        let before = reply.buffer().len();
        match ask_modules(ctx, credentials, reply)? {
            LogIn::NotHandled => {}
            LogIn::Done => return Ok(LoggedIn::Yes),
            LogIn::Later => return Ok(LoggedIn::NothingToSay),
            LogIn::Denied(_) if reply.buffer().len() > before => return Ok(LoggedIn::NothingToSay),
            LogIn::Denied(None) => return Err(CommandError::WrongPass),
            LogIn::Denied(Some(text)) => {
                let code: &[u8] = if text.starts_with(b"-") { b"" } else { b"ERR " };
                let text = text.strip_prefix(b"-").unwrap_or(&text);
                return Err(CommandError::Raw([code, text].concat()));
            }
        }
    }
    let Credentials { username, password } = credentials;
    let users = &ctx.env.shared.users;
    if let Some(user) = users.authenticate(username, password) {
        ctx.session.log_in(ctx.env.client, user);
        return Ok(LoggedIn::Yes);
    }
    let context = match ctx.session.mode.contains(Mode::MULTI) || ctx.unit.in_exec {
        true => Context::Multi,
        false => Context::TopLevel,
    };
    let entry = Entry { reason: Reason::Auth, context, object: command, username };
    users.note_denied(ctx.session, ctx.env, entry);
    Err(CommandError::WrongPass)
}

/// What modules say. They are asked under the exclusive lock; where it cannot be had, nobody gets in without them.
fn ask_modules(
    ctx: &mut SessionCtx<'_>,
    credentials: Credentials<'_>,
    reply: &mut Reply<'_>,
) -> Result<LogIn, CommandError> {
    let SessionCtx { state, session, unit, env } = ctx;
    let Some(state) = state.as_deref_mut() else { return Err(env.shared.busy.refusal()) };
    let Some(hooks) = state.hooks.clone() else { return Ok(LogIn::NotHandled) };
    let mut ctx = ExclusiveCtx { state, session, unit, env: *env };
    Ok(hooks.log_in(&mut ctx, (credentials, reply)))
}

fn auth(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let credentials = match *argv {
        [_, password] => {
            if ctx.env.shared.users.default_user().rules().no_password {
                return Err(CommandError::NoPasswordSet);
            }
            Credentials { username: acl::DEFAULT, password }
        }
        [_, username, password] => Credentials { username, password },
        _ => return Err(CommandError::Syntax),
    };
    if authenticate(ctx, argv[0], credentials, reply)? == LoggedIn::Yes {
        reply.ok();
    }
    Ok(())
}

fn hello(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut rest = Cursor::new(argv, 1);
    let protocol = match rest.next() {
        None => ctx.session.protocol,
        Some(version) => match crate::base::number::parse_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(CommandError::NoProto),
            None => {
                return Err(CommandError::text(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        },
    };
    let (mut credentials, mut name) = (None, None);
    while let Some(option) = rest.next() {
        if args::is(option, "AUTH") && rest.left() >= 2 {
            credentials = rest.next().zip(rest.next());
        } else if args::is(option, "SETNAME") && rest.left() >= 1 {
            name = rest.next();
        } else {
            return Err(CommandError::owned(format!(
                "ERR Syntax error in HELLO option '{}'",
                args::lossy(option)
            )));
        }
    }
    if let Some(name) = name {
        client::check_name(name)?;
    }
    if let Some((username, password)) = credentials {
        let credentials = Credentials { username, password };
        if authenticate(ctx, argv[0], credentials, reply)? == LoggedIn::NothingToSay {
            return Ok(());
        }
    }
    if ctx.session.mode.contains(Mode::UNAUTHENTICATED) {
        return Err(CommandError::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        ctx.session.name = name.into();
    }
    speak(ctx, protocol, reply);
    describe_server(ctx, reply);
    Ok(())
}

/// Changes the protocol of replies and messages. Within EXEC nothing may come between the replies; who published to
/// itself there before gets that in the protocol of the moment.
fn speak(ctx: &mut SessionCtx<'_>, protocol: Protocol, reply: &mut Reply<'_>) {
    ctx.session.protocol = protocol;
    if let Some(client) = ctx.env.client {
        match ctx.unit.in_exec {
            false => client.set_protocol(protocol, reply.buffer()),
            true => client.outbox.lock().protocol = protocol,
        }
    }
    reply.set_protocol(protocol);
}

/// What HELLO answers.
fn describe_server(ctx: &SessionCtx<'_>, reply: &mut Reply<'_>) {
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(super::server::REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.int(if reply.is_resp3() { 3 } else { 2 });
    reply.bulk(b"id");
    reply.int(ctx.env.client.map_or(0, |client| client.id as i64));
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    let modules = ctx.env.shared.modules.lock();
    reply.array(modules.len());
    for module in modules.iter() {
        module.describe(reply);
    }
}

fn ping(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let among_messages = ctx.session.mode.contains(Mode::SUBSCRIBED) && !reply.is_resp3();
    match argv {
        [_] | [_, _] if among_messages => {
            reply.array(2);
            reply.bulk(b"pong");
            reply.bulk(argv.get(1).copied().unwrap_or_default());
        }
        [_] => reply.simple("PONG"),
        [_, message] => reply.bulk(message),
        _ => return Err(CommandError::Arity("ping".into())),
    }
    Ok(())
}

fn echo(_: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.bulk(argv[1]);
    Ok(())
}

fn select(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let index = u32::try_from(args::int32(argv[1])?).ok();
    let index = index.filter(|index| *index < ctx.env.shared.databases);
    ctx.session.db = index.ok_or(CommandError::DbOutOfRange)?;
    reply.ok();
    Ok(())
}

fn quit(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    ctx.unit.close = true;
    reply.ok();
    Ok(())
}

fn reset(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    transaction::discard(ctx.session, ctx.env);
    if let Some(client) = ctx.env.client {
        let shared = ctx.env.shared;
        pubsub::forget_all(ctx.session, shared, client);
        shared.tracking.disable(client);
        shared.monitors.remove(client.id);
    }
    let library =
        (std::mem::take(&mut ctx.session.lib_name), std::mem::take(&mut ctx.session.lib_version));
    if let Some(client) = ctx.env.client {
        ctx.session.tell_of_user(client.id);
    }
    *ctx.session = Session::of_default_user(&ctx.env.shared.users);
    if let Some(client) = ctx.env.client {
        let number = ctx.env.shared.users.default_user().number;
        client.user.store(number, std::sync::atomic::Ordering::Relaxed);
        client.footprint.stays.store(false, std::sync::atomic::Ordering::Relaxed);
    }
    (ctx.session.lib_name, ctx.session.lib_version) = library;
    speak(ctx, ctx.env.shared.first_protocol(), reply);
    reply.simple("RESET");
    Ok(())
}
