//! CONFIG: the parameters, read and set while the server runs.

use std::sync::Arc;

use crate::commands::generic::wait;
use crate::commands::scripting;
use crate::config::params::{self, Flags, Param};
use crate::config::rewrite::Extra;
use crate::config::{Config, ConfigError, SetContext};
use crate::engine::call::Access;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::durable::Policy;
use crate::engine::effects::{Block, EventClass};
use crate::engine::error::CommandError;
use crate::engine::evict;
use crate::engine::hooks::ServerEvent;
use crate::engine::persistence::Asked;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Group, Outcome, Run};
use crate::engine::state::{Shared, State};
use crate::engine::stats::CommandStat;
use crate::module::{loader, settings};
use crate::resp::reply::Reply;

const SUB: CommandSpec = CommandSpec {
    since: "2.0.0",
    group: Group::Server,
    flags: &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale],
    ..CommandSpec::BASE
};

/// The container and its subcommands.
pub const CONFIG: CommandSpec = CommandSpec {
    name: "CONFIG",
    summary: "A container for server configuration commands.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    flags: &[],
    subcommands: &[
        CommandSpec {
            name: "GET",
            summary: "Returns the effective values of configuration parameters.",
            complexity: "O(N) when N is the number of configuration parameters provided",
            arity: Arity::AtLeast(3),
            args: &[Arg::string("parameter").multiple()],
            history: &[(
                "7.0.0",
                "Added the ability to pass multiple pattern parameters in one call",
            )],
            run: Run::Exclusive(get),
            ..SUB
        },
        CommandSpec {
            name: "SET",
            summary: "Sets configuration parameters in-flight.",
            complexity: "O(N) when N is the number of configuration parameters provided",
            arity: Arity::AtLeast(4),
            args: &[
                Arg::block("data", &[Arg::string("parameter"), Arg::string("value")]).multiple()
            ],
            history: &[("7.0.0", "Added the ability to set multiple parameters in one call.")],
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            secrets: Some(secret_values),
            run: Run::Exclusive(set),
            ..SUB
        },
        CommandSpec {
            name: "RESETSTAT",
            summary: "Resets the server's statistics.",
            arity: Arity::Exactly(2),
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            run: Run::Exclusive(reset_stat),
            ..SUB
        },
        CommandSpec {
            name: "REWRITE",
            summary: "Persists the effective configuration to file.",
            since: "2.8.0",
            arity: Arity::Exactly(2),
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            run: Run::Exclusive(rewrite),
            ..SUB
        },
        CommandSpec {
            name: "HELP",
            summary: "Returns helpful text about the different subcommands.",
            since: "5.0.0",
            arity: Arity::Exactly(2),
            flags: &[Flag::Loading, Flag::Stale],
            run: Run::Session(|_, _, reply| {
                super::super::reply_help(
                    reply,
                    "CONFIG",
                    &[
                        ("GET <pattern> [<pattern> ...]", "Return the parameters that match."),
                        ("SET <parameter> <value> [...]", "Set parameters."),
                        ("RESETSTAT", "Set the figures of INFO back."),
                        ("REWRITE", "Write the parameters to the configuration file."),
                    ],
                );
                Ok(())
            }),
            ..SUB
        },
    ],
    ..SUB
};

fn get(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut found = ctx.state.config.matching(&argv[2..]);
    found.extend(settings::matching(&argv[2..]));
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(&name);
        reply.bulk(&value);
    }
    Ok(())
}

fn set(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let pairs = &argv[2..];
    if !pairs.len().is_multiple_of(2) {
        return Err(CommandError::Arity("config|set".into()));
    }
    let pairs: Vec<(&[u8], &[u8])> = pairs.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let protected_allowed = match ctx.state.config.choice(Param::EnableProtectedConfigs) {
        0 => false,
        1 => true,
        _ => ctx.env.client.is_none_or(|c| c.is_local()),
    };
    let progress = &ctx.env.shared.loading;
    let loading = progress.is_on() || progress.is_beside();
    let context = SetContext { loading, protected_allowed };
    let raw = |error: ConfigError| CommandError::Raw(error.reply());
    let (foreign, own): (Vec<_>, Vec<_>) =
        pairs.into_iter().partition(|(name, _)| settings::is_known(name));
    let changes = ctx.state.config.set_many(&own, context).map_err(raw)?;
    let changes_aof =
        changes.changed.contains(&Param::Appendonly) && ctx.state.config.flag(Param::Appendonly);
    let applied = apply(ctx.state, ctx.env.shared, &changes.changed)
        .and_then(|()| apply_aof(ctx, &changes.changed))
        .and_then(|()| settings::set_many(ctx, &foreign, context));
    if let Err(error) = applied {
        let is_oom = |param: &Param| matches!(param, Param::OomScoreAdj | Param::OomScoreAdjValues);
        let oom_score = changes.changed.iter().any(is_oom);
        let sockets = changes.changed.iter().any(|param| LISTENING.contains(param));
        ctx.state.config.revert(changes);
        mirror(&ctx.state.config, ctx.env.shared);
        if sockets {
            // It listened there a moment ago, so an error would be told by the log.
            let _ = ctx.env.shared.host.listen(&ctx.state.config);
        }
        if oom_score {
            // What was there was allowed; an error is in the log.
            let _ = ctx.env.shared.host.adjust_oom_score(&ctx.state.config);
        }
        return Err(raw(error));
    }
    if let Some(hooks) = ctx.state.hooks.clone() {
        let names = argv[2..].iter().step_by(2);
        let names: Vec<String> =
            names.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        hooks.server_event(&mut ctx.reborrow(), ServerEvent::Config(&names));
    }
    if ctx.env.shared.wants_eviction() && !ctx.unit.deny_blocking {
        // What does not fit any more goes now; the cron goes on with it.
        evict::make_room(&mut Access::Exclusive(ctx.state), ctx.env);
    }
    let is_begun = changes_aof && ctx.state.persistence.aof.rewrite.is_some();
    match ctx.env.client {
        // What comes behind the answer is to go to the file; a rewrite that fails is tried again.
        Some(client) if is_begun && !ctx.unit.deny_blocking => {
            const OK: &[u8] = b"+OK\r\n";
            let asked = Asked { client: Arc::clone(client), begun: OK, failed: OK.to_vec() };
            ctx.state.persistence.aof.asked_by = Some(asked);
            ctx.unit.block = Some(Block::Until { deadline_ms: None, on_timeout: OK.to_vec() });
        }
        _ => reply.ok(),
    }
    Ok(())
}

/// The values of passwords and the like.
fn secret_values(argv: Argv<'_>) -> Vec<usize> {
    (2..argv.len())
        .step_by(2)
        .filter(|at| params::find(argv[*at]).is_some_and(|spec| spec.flags.has(Flags::SENSITIVE)))
        .map(|at| at + 1)
        .collect()
}

/// The parameters that say where the server listens.
const LISTENING: [Param; 2] = [Param::Port, Param::Bind];

/// Puts changed parameters into effect.
fn apply(state: &State, shared: &Shared, changed: &[Param]) -> Result<(), ConfigError> {
    mirror(&state.config, shared);
    let denied = state.persistence.denies_writes(&state.config);
    shared.writes_denied.store(denied, std::sync::atomic::Ordering::Relaxed);
    shared.note_replicas(state, shared.now_ms());
    shared.note_role(state);
    for param in changed {
        match param {
            // Whoever is over the new limit goes when the connection of this client has its next turn.
            Param::MaxmemoryClients => shared.client_memory.count_all(shared),
            Param::Port | Param::Bind => {
                let why = match param {
                    Param::Port => "Unable to listen on this port. Check server logs.",
                    _ => "Failed to bind to specified addresses.",
                };
                let listening = shared.host.listen(&state.config);
                listening.map_err(|_| ConfigError::not_applied(*param, why))?;
            }
            Param::Requirepass => {
                shared.users.set_default_password(state.config.text(Param::Requirepass));
            }
            Param::TrackingTableMaxKeys => shared.tracking.shrink(shared),
            Param::LogFormat => shared.host.set_log_format(state.config.choice(*param) == 1),
            Param::Maxclients => {
                let wanted = state.config.size(*param);
                let room = shared.host.room_for_clients(wanted);
                if room < wanted {
                    let why = format!(
                        "The operating system is not able to handle the specified number of \
                         clients, try with {room}"
                    );
                    return Err(ConfigError::not_applied(*param, why));
                }
            }
            Param::ProcTitleTemplate => {
                shared.host.show_title(&state.config, shared.config_file.as_deref());
            }
            Param::OomScoreAdj | Param::OomScoreAdjValues => {
                let adjusted = shared.host.adjust_oom_score(&state.config);
                adjusted.map_err(|why| ConfigError::not_applied(*param, why))?;
            }
            Param::Loglevel => shared.host.set_log_level(&state.config.choice_name(*param)),
            Param::Dir => {
                let dir = String::from_utf8_lossy(state.config.text(Param::Dir)).into_owned();
                shared
                    .host
                    .change_directory(&dir)
                    .map_err(|error| ConfigError::not_applied(*param, error))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts changed parameters of the log, in a file and on its way to replicas, into effect.
fn apply_aof(ctx: &mut ExclusiveCtx<'_>, changed: &[Param]) -> Result<(), ConfigError> {
    for param in changed {
        match param {
            Param::Appendonly => {
                let on = ctx.state.config.flag(*param);
                let switched = ctx.env.shared.host.append_only(ctx, on);
                switched.map_err(|_| {
                    ConfigError::not_applied(*param, "Unable to turn on AOF. Check server logs.")
                })?;
            }
            Param::AofTimestampEnabled => {
                let timestamps = ctx.state.config.flag(*param);
                ctx.state.log.note_times(timestamps);
            }
            Param::ReplBacklogSize => {
                let bytes = ctx.state.config.size(*param);
                ctx.state.replication.resize_backlog(bytes);
            }
            Param::AofDisableAutoGc => ctx.env.shared.host.remove_history(&ctx.state.config),
            _ => {}
        }
    }
    Ok(())
}

/// Copies what is needed without the lock to where it is read.
pub fn mirror(config: &Config, shared: &Shared) {
    use std::sync::atomic::Ordering::Relaxed;
    let limits = &shared.limits;
    limits.clients.store(config.size(Param::Maxclients), Relaxed);
    limits.bulk_bytes.store(config.int(Param::ProtoMaxBulkLen), Relaxed);
    limits.query_bytes.store(config.size(Param::ClientQueryBufferLimit), Relaxed);
    limits.idle_seconds.store(config.uint(Param::Timeout), Relaxed);
    limits.replication_seconds.store(config.uint(Param::ReplTimeout), Relaxed);
    limits.keepalive_seconds.store(config.uint(Param::TcpKeepalive), Relaxed);
    limits.busy_ms.store(config.uint(Param::BusyReplyThreshold), Relaxed);
    limits.memory_bytes.store(config.uint(Param::Maxmemory), Relaxed);
    shared.client_memory.follow(config);
    limits.cron_hz.store(config.uint(Param::Hz), Relaxed);
    limits.evicts.store(evict::evicts(config.choice(Param::MaxmemoryPolicy)), Relaxed);
    let classes = [&limits.normal_output, &limits.replica_output, &limits.pubsub_output];
    let backlog = config.uint(Param::ReplBacklogSize);
    for (limit, to) in config.output_limits().into_iter().zip(classes) {
        // A replica may always leave unread what is kept for it anyway.
        let has_floor = std::ptr::eq(to, &limits.replica_output) && limit.hard != 0;
        let hard = if has_floor { limit.hard.max(backlog) } else { limit.hard };
        to.hard.store(hard as usize, Relaxed);
        to.soft.store(limit.soft as usize, Relaxed);
        to.soft_seconds.store(limit.soft_seconds, Relaxed);
    }
    limits.tracked_keys.store(config.size(Param::TrackingTableMaxKeys), Relaxed);
    shared.heard.set_published(EventClass::from_bits_retain(config.notify_events()));
    limits.resp3_first.store(config.int(Param::ClientDefaultResp) == 3, Relaxed);
    limits.protected_mode.store(config.flag(Param::ProtectedMode), Relaxed);
    let slow = &shared.slow;
    slow.log_micros.store(config.int(Param::SlowlogLogSlowerThan), Relaxed);
    slow.log_len.store(config.size(Param::SlowlogMaxLen), Relaxed);
    slow.event_millis.store(config.uint(Param::LatencyMonitorThreshold), Relaxed);
    slow.tracking.store(config.flag(Param::LatencyTracking), Relaxed);
    slow.thresholds_changed();
    shared.durable.set_policy(Policy::of(config.choice(Param::Appendfsync)));
    shared.durable.enable(config.flag(Param::Appendonly), &wait::NO_FILE.reply());
    shared.port.store(config.uint(Param::Port), Relaxed);
    shared.defrag.wanted.store(config.flag(Param::Activedefrag), Relaxed);
    shared.users.log_len_max.store(config.size(Param::AcllogMaxLen), Relaxed);
    let all_channels = config.choice_name(Param::AclPubsubDefault) == "allchannels";
    shared.users.all_channels.store(all_channels, Relaxed);
}

fn reset_stat(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    for worker in &ctx.env.shared.workers {
        worker.reset();
    }
    for command in ctx.state.registry.commands() {
        for command in std::iter::once(command).chain(&command.subcommands) {
            command.stats.iter().for_each(CommandStat::reset);
        }
    }
    scripting::figures::reset(ctx);
    ctx.env.shared.users.reset_denied();
    ctx.state.evictor.reset_stat();
    ctx.env.shared.client_memory.reset_stat();
    ctx.state.replication.counts = Default::default();
    ctx.state.replication.errors = 0;
    ctx.state.expired_keys = 0;
    ctx.state.expired_fields = 0;
    ctx.state.persistence.payloads_checked = 0;
    ctx.env.shared.host.reset_freed();
    ctx.env.shared.defrag.reset();
    ctx.env
        .shared
        .peak_memory
        .store((ctx.env.shared.used_memory)(), std::sync::atomic::Ordering::Relaxed);
    reply.ok();
    Ok(())
}

fn rewrite(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(path) = &ctx.env.shared.config_file else {
        return Err(CommandError::text("ERR The server is running without a config file"));
    };
    let has_file = !ctx.state.config.text(Param::Aclfile).is_empty();
    let users = if has_file { Vec::new() } else { ctx.env.shared.users.all() };
    let users = users.iter().map(|user| user.describe()).collect();
    let users = Extra { name: "user".to_owned(), lines: users, force: true };
    let mut extras = vec![users, loader::directives()];
    extras.extend(settings::extras());
    ctx.env
        .shared
        .host
        .rewrite_config(path, &ctx.state.config, &extras)
        .map_err(|error| CommandError::owned(format!("ERR Rewriting config file: {error}")))?;
    reply.ok();
    Ok(())
}
