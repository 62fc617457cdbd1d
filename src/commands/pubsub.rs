//! Channels: SUBSCRIBE, PUBLISH and their relatives. The tables are in `engine::pubsub`.

use std::sync::Arc;

use crate::engine::client::{Client, Mode};
use crate::engine::ctx::{ExclusiveCtx, ReadCtx};
use crate::engine::effects::{Propagate, Targets};
use crate::engine::error::CommandError;
use crate::engine::pubsub::{self, Kind};
use crate::engine::spec::{
    Access, Arg, Argv, Arity, ChannelSpec, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

/// What commands that change subscriptions have in common.
const LISTEN: CommandSpec = CommandSpec {
    since: "2.0.0",
    group: Group::Pubsub,
    flags: &[
        Flag::PubSub,
        Flag::NoScript,
        Flag::Loading,
        Flag::Stale,
        Flag::RepliesByPush,
        Flag::WhileSubscribed,
    ],
    ..CommandSpec::BASE
};

const PUBLISH_FLAGS: &[Flag] =
    &[Flag::PubSub, Flag::Loading, Flag::Stale, Flag::Fast, Flag::MayReplicate];

/// Shard channels stand where keys would, so that clients find the node.
const fn shard_channels(last: i32) -> KeySpec {
    KeySpec::range(1, last, 1, Access::Flags(&[])).with(&["not_key"])
}

const CHANNEL: Option<ChannelSpec> = Some(ChannelSpec { first: 1, many: false, patterns: false });
const CHANNELS: Option<ChannelSpec> = Some(ChannelSpec { first: 1, many: true, patterns: false });
const PATTERNS: Option<ChannelSpec> = Some(ChannelSpec { first: 1, many: true, patterns: true });

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SUBSCRIBE",
        summary: "Listens for messages published to channels.",
        complexity: "O(N) where N is the number of channels to subscribe to.",
        arity: Arity::AtLeast(2),
        channels: CHANNELS,
        args: &[Arg::string("channel").multiple()],
        run: Run::Read(|ctx, argv, reply| listen(ctx, argv, reply, Kind::Channel)),
        ..LISTEN
    },
    CommandSpec {
        name: "UNSUBSCRIBE",
        summary: "Stops listening to messages posted to channels.",
        complexity: "O(N) where N is the number of channels to unsubscribe.",
        arity: Arity::AtLeast(1),
        args: &[Arg::string("channel").optional().multiple()],
        run: Run::Read(|ctx, argv, reply| ignore(ctx, argv, reply, Kind::Channel)),
        ..LISTEN
    },
    CommandSpec {
        name: "PSUBSCRIBE",
        summary: "Listens for messages published to channels that match one or more patterns.",
        complexity: "O(N) where N is the number of patterns to subscribe to.",
        arity: Arity::AtLeast(2),
        channels: PATTERNS,
        args: &[Arg::pattern("pattern").multiple()],
        run: Run::Read(|ctx, argv, reply| listen(ctx, argv, reply, Kind::Pattern)),
        ..LISTEN
    },
    CommandSpec {
        name: "PUNSUBSCRIBE",
        summary: "Stops listening to messages published to channels that match one or more patterns.",
        complexity: "O(N) where N is the number of patterns to unsubscribe.",
        arity: Arity::AtLeast(1),
        args: &[Arg::pattern("pattern").optional().multiple()],
        run: Run::Read(|ctx, argv, reply| ignore(ctx, argv, reply, Kind::Pattern)),
        ..LISTEN
    },
    CommandSpec {
        name: "SSUBSCRIBE",
        summary: "Listens for messages published to shard channels.",
        since: "7.0.0",
        complexity: "O(N) where N is the number of shard channels to subscribe to.",
        arity: Arity::AtLeast(2),
        keys: &[shard_channels(-1)],
        channels: CHANNELS,
        args: &[Arg::string("shardchannel").multiple()],
        run: Run::Read(|ctx, argv, reply| listen(ctx, argv, reply, Kind::Shard)),
        ..LISTEN
    },
    CommandSpec {
        name: "SUNSUBSCRIBE",
        summary: "Stops listening to messages posted to shard channels.",
        since: "7.0.0",
        complexity: "O(N) where N is the number of shard channels to unsubscribe.",
        arity: Arity::AtLeast(1),
        keys: &[shard_channels(-1)],
        args: &[Arg::string("shardchannel").optional().multiple()],
        run: Run::Read(|ctx, argv, reply| ignore(ctx, argv, reply, Kind::Shard)),
        ..LISTEN
    },
    CommandSpec {
        name: "PUBLISH",
        summary: "Posts a message to a channel.",
        since: "2.0.0",
        complexity: "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).",
        group: Group::Pubsub,
        arity: Arity::Exactly(3),
        flags: PUBLISH_FLAGS,
        channels: CHANNEL,
        args: &[Arg::string("channel"), Arg::string("message")],
        run: Run::Exclusive(|ctx, argv, reply| publish(ctx, argv, reply, Kind::Channel)),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SPUBLISH",
        summary: "Post a message to a shard channel",
        since: "7.0.0",
        complexity: "O(N) where N is the number of clients subscribed to the receiving shard channel.",
        group: Group::Pubsub,
        arity: Arity::Exactly(3),
        flags: PUBLISH_FLAGS,
        keys: &[shard_channels(0)],
        channels: CHANNEL,
        args: &[Arg::string("shardchannel"), Arg::string("message")],
        run: Run::Exclusive(|ctx, argv, reply| publish(ctx, argv, reply, Kind::Shard)),
        ..CommandSpec::BASE
    },
    PUBSUB,
];

const SUB: CommandSpec = CommandSpec {
    since: "2.8.0",
    group: Group::Pubsub,
    flags: &[Flag::PubSub, Flag::Loading, Flag::Stale],
    ..CommandSpec::BASE
};

const PUBSUB: CommandSpec = CommandSpec {
    name: "PUBSUB",
    summary: "A container for Pub/Sub commands.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    flags: &[],
    subcommands: &[
        CommandSpec {
            name: "CHANNELS",
            summary: "Returns the active channels.",
            complexity: "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)",
            arity: Arity::AtLeast(2),
            args: &[Arg::pattern("pattern").optional()],
            run: Run::Read(|ctx, argv, reply| channels(ctx, argv, reply, Kind::Channel)),
            ..SUB
        },
        CommandSpec {
            name: "NUMPAT",
            summary: "Returns a count of unique pattern subscriptions.",
            complexity: "O(1)",
            arity: Arity::Exactly(2),
            run: Run::Read(|ctx, _, reply| {
                reply.len(ctx.env.shared.pubsub.len(Kind::Pattern));
                Ok(())
            }),
            ..SUB
        },
        CommandSpec {
            name: "NUMSUB",
            summary: "Returns a count of subscribers to channels.",
            complexity: "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
            arity: Arity::AtLeast(2),
            args: &[Arg::string("channel").optional().multiple()],
            run: Run::Read(|ctx, argv, reply| listeners(ctx, argv, reply, Kind::Channel)),
            ..SUB
        },
        CommandSpec {
            name: "SHARDCHANNELS",
            summary: "Returns the active shard channels.",
            since: "7.0.0",
            complexity: "O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).",
            arity: Arity::AtLeast(2),
            args: &[Arg::pattern("pattern").optional()],
            run: Run::Read(|ctx, argv, reply| channels(ctx, argv, reply, Kind::Shard)),
            ..SUB
        },
        CommandSpec {
            name: "SHARDNUMSUB",
            summary: "Returns the count of subscribers of shard channels.",
            since: "7.0.0",
            complexity: "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
            arity: Arity::AtLeast(2),
            args: &[Arg::string("shardchannel").optional().multiple()],
            run: Run::Read(|ctx, argv, reply| listeners(ctx, argv, reply, Kind::Shard)),
            ..SUB
        },
        CommandSpec {
            name: "HELP",
            summary: "Returns helpful text about the different subcommands.",
            since: "6.2.0",
            complexity: "O(1)",
            arity: Arity::Exactly(2),
            flags: &[Flag::Loading, Flag::Stale],
            run: Run::Session(|_, _, reply| {
                super::reply_help(
                    reply,
                    "PUBSUB",
                    &[
                        ("CHANNELS [<pattern>]", "Return the channels that somebody listens to."),
                        ("NUMPAT", "Return how many patterns are listened to."),
                        ("NUMSUB [<channel> ...]", "Return how many listen to each channel."),
                        ("SHARDCHANNELS [<pattern>]", "Return such channels of shards."),
                        ("SHARDNUMSUB [<shardchannel> ...]", "Return how many listen to each."),
                    ],
                );
                Ok(())
            }),
            ..SUB
        },
    ],
    ..SUB
};

/// The client whose subscriptions change: the one that calls itself. Who calls for another counts on one reply.
fn own_client<'a>(ctx: &ReadCtx<'a>, name: &'static str) -> Result<&'a Arc<Client>, CommandError> {
    let client = ctx.env.client.filter(|_| !ctx.session.mode.contains(Mode::MODULE));
    client.ok_or(CommandError::DenyBlocking(name))
}

fn listen(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>, kind: Kind) -> Outcome {
    let name = match kind {
        Kind::Channel => "SUBSCRIBE",
        Kind::Pattern => "PSUBSCRIBE",
        Kind::Shard => "SSUBSCRIBE",
    };
    // Who counts on one reply for each command cannot listen. In EXEC the older commands are let through all the
    // same, as they always were.
    if ctx.unit.deny_blocking && !(ctx.unit.in_exec && kind != Kind::Shard) {
        return Err(CommandError::DenyBlocking(name));
    }
    let client = own_client(ctx, name)?;
    for name in &argv[1..] {
        pubsub::subscribe(ctx.session, ctx.env, client, kind, name, reply);
    }
    Ok(())
}

fn ignore(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>, kind: Kind) -> Outcome {
    let client = own_client(ctx, "UNSUBSCRIBE")?;
    pubsub::unsubscribe(ctx.session, ctx.env, client, kind, &argv[1..], reply);
    Ok(())
}

fn publish(
    ctx: &mut ExclusiveCtx<'_>,
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
    kind: Kind,
) -> Outcome {
    let shared = ctx.env.shared;
    let receivers = shared.pubsub.publish(shared, kind, argv[1], argv[2]);
    if ctx.state.is_logged() {
        // Replicas have subscribers, too; the append-only file has none.
        let call = &mut ctx.unit.call;
        call.propagate = Propagate::Always;
        call.targets = Some(call.targets.unwrap_or(Targets::all()) & Targets::REPLICAS);
    }
    reply.len(receivers);
    Ok(())
}

fn channels(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>, kind: Kind) -> Outcome {
    if argv.len() > 3 {
        return Err(super::unknown_subcommand("PUBSUB", argv[1]));
    }
    let names = ctx.env.shared.pubsub.matching(kind, argv.get(2).copied());
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

fn listeners(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>, kind: Kind) -> Outcome {
    let names = &argv[2..];
    reply.array(names.len() * 2);
    for name in names {
        reply.bulk(name);
        reply.len(ctx.env.shared.pubsub.listeners(kind, name));
    }
    Ok(())
}
