//! SYNC, PSYNC and REPLCONF: a client becomes a replica. It goes on with the stream where it was, or gets a snapshot and
//! from the same moment on the stream, as the host sees to it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::SERVER;
use crate::config::params::Param;
use crate::engine::args;
use crate::engine::client::{Client, Mode};
use crate::engine::ctx::{ExclusiveCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::outbox::Outbox;
use crate::engine::replication::following::{Following, Traits};
use crate::engine::replication::{Refusal, Replication, role};
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Outcome, Run};
use crate::resp::reply::Reply;

/// A host's name is shorter than this.
const HOST_BYTES_MAX: usize = 256;

/// SYNC.
pub const SYNC: CommandSpec = CommandSpec {
    name: "SYNC",
    summary: "An internal command used in replication.",
    arity: Arity::Exactly(1),
    flags: &[Flag::NoAsyncLoading, Flag::Admin, Flag::NoMulti, Flag::NoScript],
    run: Run::Exclusive(sync),
    ..SERVER
};

/// PSYNC.
pub const PSYNC: CommandSpec = CommandSpec {
    name: "PSYNC",
    summary: "An internal command used in replication.",
    since: "2.8.0",
    arity: Arity::AtLeast(3),
    flags: &[Flag::NoAsyncLoading, Flag::Admin, Flag::NoMulti, Flag::NoScript],
    args: &[Arg::string("replicationid"), Arg::integer("offset")],
    run: Run::Exclusive(psync),
    ..SERVER
};

/// REPLCONF.
pub const REPLCONF: CommandSpec = CommandSpec {
    name: "REPLCONF",
    summary: "An internal command for configuring the replication stream.",
    since: "3.0.0",
    complexity: "O(1)",
    arity: Arity::AtLeast(1),
    flags: &[
        Flag::Admin,
        Flag::NoScript,
        Flag::Loading,
        Flag::Stale,
        Flag::AllowBusy,
        Flag::System,
    ],
    run: Run::Session(replconf),
    ..SERVER
};

fn sync(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, _: &mut Reply<'_>) -> Outcome {
    let Some(client) = asking(ctx)? else { return Ok(()) };
    client.following.set(Traits::PLAIN, true);
    full(ctx, client)
}

fn psync(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, _: &mut Reply<'_>) -> Outcome {
    if argv.get(3).is_some_and(|word| args::is(word, "failover")) {
        take_over(ctx, argv[1])?;
    }
    let Some(client) = asking(ctx)? else { return Ok(()) };
    let offset = args::int(argv[2]).inspect_err(|_| {
        tracing::warn!(
            "Replica {} asks for synchronization but with a wrong offset",
            client.name()
        );
    })?;
    let id = args::lossy(argv[1]);
    let state = &mut *ctx.state;
    state.replication.send(ctx.env.shared);
    match state.replication.can_continue(&id, offset) {
        Ok(offset) => {
            go_on(ctx, client, offset);
            Ok(())
        }
        Err(refusal) => {
            state.replication.counts.partial_refused += u64::from(refusal != Refusal::Requested);
            tell_refusal(&state.replication, client, &id, offset, refusal);
            full(ctx, client)
        }
    }
}

/// The primary asks this server to lead in its place.
fn take_over(ctx: &mut ExclusiveCtx<'_>, id: &[u8]) -> Result<(), CommandError> {
    tracing::info!("Failover request received for replid {}.", args::lossy(id));
    if !ctx.state.replication.is_replica() {
        return Err(CommandError::text("ERR PSYNC FAILOVER can't be sent to a master."));
    }
    if !id.eq_ignore_ascii_case(ctx.state.replication.id.as_bytes()) {
        return Err(CommandError::text("ERR PSYNC FAILOVER replid must match my replid."));
    }
    role::lead(ctx);
    let asker = ctx.env.client.map_or_else(String::new, |client| client.name());
    tracing::info!("MASTER MODE enabled (failover request from '{asker}')");
    Ok(())
}

/// Who asks for synchronization; None if it has been before, and is not answered, as in Redis.
fn asking<'a>(ctx: &ExclusiveCtx<'a>) -> Result<Option<&'a Arc<Client>>, CommandError> {
    let Some(client) = ctx.env.client else {
        return Err(CommandError::text("ERR only a client can follow"));
    };
    if client.following.follows.load(Ordering::Relaxed) {
        return Ok(None);
    }
    if ctx.state.replication.failover.is_some() {
        return Err(CommandError::text("NOMASTERLINK Can't SYNC while failing over"));
    }
    if ctx.state.replication.link().is_some_and(|link| !link.is_up()) {
        return Err(CommandError::text(
            "NOMASTERLINK Can't SYNC while not connected with my master",
        ));
    }
    let traits = client.following.traits();
    if traits.intersects(Traits::FILTERED) && !traits.contains(Traits::EOF) {
        return Err(CommandError::text("ERR Filtered replica requires EOF capability"));
    }
    let has_time = ctx.state.config.flag(Param::ReplDisableTcpNodelay);
    client.following.has_time.store(has_time, Ordering::Relaxed);
    tracing::info!("Replica {} asks for synchronization", client.name());
    Ok(Some(client))
}

/// Sends the stream from an offset on.
fn go_on(ctx: &mut ExclusiveCtx<'_>, client: &Arc<Client>, offset: u64) {
    let (shared, now_ms) = (ctx.env.shared, ctx.now_ms());
    ctx.session.mode.insert(Mode::REPLICA);
    let replication = &mut ctx.state.replication;
    let header = match client.following.traits().contains(Traits::PSYNC2) {
        true => format!("+CONTINUE {}\r\n", replication.id),
        false => "+CONTINUE\r\n".to_owned(),
    };
    client.post(shared, |outbox| outbox.add(|out| out.extend_from_slice(header.as_bytes())));
    let bytes = replication.go_on(client, offset, now_ms, shared);
    replication.counts.partial += 1;
    tracing::info!(
        "Partial resynchronization request from {} accepted. Sending {bytes} bytes of backlog starting from offset \
         {offset}.",
        client.name()
    );
    shared.note_replicas(ctx.state, now_ms);
}

/// Has the client wait for a snapshot, and the stream behind it.
fn full(ctx: &mut ExclusiveCtx<'_>, client: &Arc<Client>) -> Outcome {
    let now_ms = ctx.now_ms();
    ctx.session.mode.insert(Mode::REPLICA);
    let replication = &mut ctx.state.replication;
    replication.counts.full += 1;
    if replication.backlog().is_none() {
        if !replication.is_replica() {
            // What there was before nobody can know.
            replication.begin_history();
        }
        replication.begin_backlog();
        tracing::info!(
            "Replication backlog created, my new replication IDs are '{}' and '{}'",
            replication.id,
            replication.earlier_id()
        );
    }
    replication.ask(client, now_ms);
    let host = &ctx.env.shared.host;
    host.replica_asks(ctx, client);
    Ok(())
}

/// Writes to the log why a replica needs a snapshot.
fn tell_refusal(
    replication: &Replication,
    client: &Client,
    id: &str,
    offset: i64,
    refusal: Refusal,
) {
    let name = client.name();
    match refusal {
        Refusal::Requested => tracing::info!("Full resync requested by replica {name}"),
        Refusal::OtherHistory => tracing::info!(
            "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{id}', my \
             replication IDs are '{}' and '{}')",
            replication.id,
            replication.earlier_id()
        ),
        Refusal::Forked(end) => tracing::info!(
            "Partial resynchronization not accepted: Requested offset for second ID was {offset}, but I can reply \
             up to {end}"
        ),
        Refusal::Gone => {
            tracing::info!(
                "Unable to partial resync with replica {name} for lack of backlog (Replica request was: {offset})."
            );
            if offset > replication.offset().cast_signed() {
                tracing::warn!(
                    "Warning: replica {name} tried to PSYNC with an offset that is greater than the master \
                     replication offset."
                );
            }
        }
    }
}

/// Hears what a replica says about itself.
fn replconf(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if argv.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let Some(client) = ctx.env.client else {
        return Err(CommandError::text("ERR only a client can follow"));
    };
    let following = &client.following;
    for (at, pair) in (1..).step_by(2).zip(argv[1..].chunks_exact(2)) {
        let [name, value] = pair else { unreachable!("they are pairs") };
        if args::is(name, "ack") {
            note_progress(ctx, client, value, argv.get(at + 2).zip(argv.get(at + 3)));
            return Ok(());
        } else if args::is(name, "getack") {
            // Not answered, since the stream goes the other way.
            return Ok(());
        } else if args::is(name, "listening-port") {
            let port = u16::try_from(args::int(value)?).map_err(|_| CommandError::NotAnInteger)?;
            following.port.store(port, Ordering::Relaxed);
        } else if args::is(name, "ip-address") {
            if value.len() >= HOST_BYTES_MAX {
                return Err(CommandError::owned(format!(
                    "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                    value.len()
                )));
            }
            *following.host.lock() = args::lossy(value);
        } else if args::is(name, "capa") {
            // Those that are not known are those of the future.
            following.set(
                Traits::EOF,
                following.traits().contains(Traits::EOF) || args::is(value, "eof"),
            );
            if args::is(value, "psync2") {
                following.set(Traits::PSYNC2, true);
            }
        } else if args::is(name, "version") {
            following.note_version(&args::lossy(value));
        } else if args::is(name, "rdb-only") {
            let only = args::int(value)?;
            if !(0..=1).contains(&only) {
                return Err(CommandError::NotBetween(0, 1));
            }
            following.set(Traits::SNAPSHOT_ONLY, only == 1);
        } else if args::is(name, "rdb-filter-only") {
            filter(following, value)?;
        } else {
            return Err(CommandError::owned(format!(
                "ERR Unrecognized REPLCONF option: {}",
                args::lossy(name)
            )));
        }
    }
    reply.ok();
    Ok(())
}

/// `rdb-filter-only`: of the snapshot it wants only these parts.
fn filter(following: &Following, value: &[u8]) -> Result<(), CommandError> {
    let mut traits = Traits::FILTERED;
    for word in value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        if !args::is(word, "functions") {
            return Err(CommandError::owned(format!(
                "ERR Unsupported rdb-filter-only option: {}",
                args::lossy(word)
            )));
        }
        traits.remove(Traits::NO_FUNCTIONS);
    }
    following.set(traits, true);
    Ok(())
}

/// Notes how far a replica is. It is not answered, since the stream goes the other way.
fn note_progress(
    ctx: &SessionCtx<'_>,
    client: &Client,
    offset: &[u8],
    on_disk: Option<(&&[u8], &&[u8])>,
) {
    let following = &client.following;
    let number = |value: &[u8]| args::int(value).ok().and_then(|value| u64::try_from(value).ok());
    let Some(offset) = number(offset) else { return };
    if !following.follows.load(Ordering::Relaxed) {
        return;
    }
    following.offset.fetch_max(offset, Ordering::Relaxed);
    if let Some((_, value)) = on_disk.filter(|(name, _)| args::is(name, "fack"))
        && let Some(offset) = number(value)
    {
        following.aof_offset.fetch_max(offset, Ordering::Relaxed);
    }
    following.heard_ms.store(ctx.env.now_ms(), Ordering::Relaxed);
    if following.begins_on_ack.swap(false, Ordering::Relaxed) {
        client.post(ctx.env.shared, Outbox::release_stream);
    }
    let durable = &ctx.env.shared.durable;
    durable.elsewhere.serve(durable.kept());
}
