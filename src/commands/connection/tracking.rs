//! CLIENT TRACKING and its relatives: how a connection takes part in client-side caching. The tables are in
//! `engine::tracking`.

use std::sync::atomic::Ordering;

use super::client::{QUIET, SUB};
use crate::engine::args::{self, Cursor};
use crate::engine::client::Client;
use crate::engine::ctx::{ReadCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Outcome, Run};
use crate::engine::state::Shared;
use crate::engine::tracking::TrackingMode;
use crate::resp::reply::Reply;

/// Switches tracking.
pub const TRACKING: CommandSpec = CommandSpec {
    name: "TRACKING",
    summary: "Controls server-assisted client-side caching for the connection.",
    since: "6.0.0",
    complexity: "O(1). Some options may introduce additional complexity.",
    arity: Arity::AtLeast(3),
    flags: QUIET,
    args: &[
        Arg::one_of("status", &[Arg::flag("on", "ON"), Arg::flag("off", "OFF")]),
        Arg::integer("client-id").token("REDIRECT").optional(),
        Arg::string("prefix").token("PREFIX").optional().multiple_token(),
        Arg::flag("bcast", "BCAST").optional().shown_as("BCAST"),
        Arg::flag("optin", "OPTIN").optional().shown_as("OPTIN"),
        Arg::flag("optout", "OPTOUT").optional().shown_as("OPTOUT"),
        Arg::flag("noloop", "NOLOOP").optional().shown_as("NOLOOP"),
    ],
    run: Run::Read(tracking),
    ..SUB
};

/// Tells how the connection tracks.
pub const TRACKINGINFO: CommandSpec = CommandSpec {
    name: "TRACKINGINFO",
    summary: "Returns information about server-assisted client-side caching for the connection.",
    since: "6.2.0",
    arity: Arity::Exactly(2),
    flags: QUIET,
    run: Run::Session(info),
    ..SUB
};

/// Says whether to track what comes next.
pub const CACHING: CommandSpec = CommandSpec {
    name: "CACHING",
    summary: "Instructs the server whether to track the keys in the next request.",
    since: "6.0.0",
    arity: Arity::Exactly(3),
    flags: QUIET,
    args: &[Arg::one_of("mode", &[Arg::flag("yes", "YES"), Arg::flag("no", "NO")])],
    run: Run::Session(caching),
    ..SUB
};

/// Tells who is told instead.
pub const GETREDIR: CommandSpec = CommandSpec {
    name: "GETREDIR",
    summary: "Returns the client ID to which the connection's tracking notifications are redirected.",
    since: "6.0.0",
    arity: Arity::Exactly(2),
    flags: QUIET,
    run: Run::Session(get_redirect),
    ..SUB
};

/// The options of CLIENT TRACKING.
#[derive(Debug, Default)]
struct Options<'a> {
    on: bool,
    mode: TrackingMode,
    redirect: u64,
    prefixes: Vec<&'a [u8]>,
}

fn parse<'a>(shared: &Shared, argv: Argv<'a>) -> Result<Options<'a>, CommandError> {
    let mut options = Options::default();
    let mut rest = Cursor::new(argv, 3);
    while let Some(word) = rest.next() {
        if args::is(word, "REDIRECT") && rest.left() > 0 {
            if options.redirect != 0 {
                return Err(CommandError::text(
                    "ERR A client can only redirect to a single other client",
                ));
            }
            // Negative numbers name nobody, as the client numbers that they would wrap to.
            options.redirect = rest.int()? as u64;
            if shared.clients.lock().get(options.redirect).is_none() {
                return Err(CommandError::text(
                    "ERR The client ID you want redirect to does not exist",
                ));
            }
        } else if args::is(word, "BCAST") {
            options.mode |= TrackingMode::BCAST;
        } else if args::is(word, "OPTIN") {
            options.mode |= TrackingMode::OPTIN;
        } else if args::is(word, "OPTOUT") {
            options.mode |= TrackingMode::OPTOUT;
        } else if args::is(word, "NOLOOP") {
            options.mode |= TrackingMode::NOLOOP;
        } else if args::is(word, "PREFIX") && rest.left() > 0 {
            options.prefixes.extend(rest.next());
        } else {
            return Err(CommandError::Syntax);
        }
    }
    options.on = args::is(argv[2], "ON");
    if !options.on && !args::is(argv[2], "OFF") {
        return Err(CommandError::Syntax);
    }
    Ok(options)
}

/// Whether the options fit each other and what the client does already.
fn check(shared: &Shared, client: &Client, options: &Options<'_>) -> Outcome {
    use TrackingMode as T;
    let (old, new) = (client.tracking_mode(), options.mode);
    let error = |text| Err(CommandError::text(text));
    if !new.contains(T::BCAST) && !options.prefixes.is_empty() {
        return error("ERR PREFIX option requires BCAST mode to be enabled");
    }
    if old.contains(T::ON) && old.contains(T::BCAST) != new.contains(T::BCAST) {
        return error(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        );
    }
    if new.contains(T::BCAST) && new.intersects(T::OPTIN | T::OPTOUT) {
        return error("ERR OPTIN and OPTOUT are not compatible with BCAST");
    }
    if new.contains(T::OPTIN | T::OPTOUT) {
        return error("ERR You can't specify both OPTIN mode and OPTOUT mode");
    }
    if new.contains(T::OPTIN) && old.contains(T::OPTOUT)
        || new.contains(T::OPTOUT) && old.contains(T::OPTIN)
    {
        return error(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        );
    }
    let existing = shared.tracking.prefixes(client.id);
    for (at, prefix) in options.prefixes.iter().enumerate() {
        if let Some(other) = existing.iter().find(|other| overlap(prefix, other)) {
            return Err(overlaps(prefix, "an existing", other));
        }
        if let Some(other) = options.prefixes[at + 1..].iter().find(|other| overlap(prefix, other))
        {
            return Err(overlaps(prefix, "another provided", other));
        }
    }
    Ok(())
}

/// Whether some key has both prefixes.
fn overlap(a: &[u8], b: &[u8]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn overlaps(prefix: &[u8], which: &str, other: &[u8]) -> CommandError {
    CommandError::owned(format!(
        "ERR Prefix '{}' overlaps with {which} prefix '{}'. Prefixes for a single client must not \
         overlap.",
        args::lossy(prefix),
        args::lossy(other)
    ))
}

fn tracking(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let shared = ctx.env.shared;
    let options = parse(shared, argv)?;
    let Some(client) = ctx.env.client else { return Err(CommandError::NotInScript) };
    if options.on {
        check(shared, client, &options)?;
        shared.tracking.enable(client, options.mode, options.redirect, &options.prefixes);
    } else {
        shared.tracking.disable(client);
    }
    reply.ok();
    Ok(())
}

fn caching(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(client) = ctx.env.client else { return Err(CommandError::NotInScript) };
    let mode = client.tracking_mode();
    if !mode.contains(TrackingMode::ON) {
        return Err(CommandError::text(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
             OPTOUT mode enabled",
        ));
    }
    if args::is(argv[2], "YES") {
        if !mode.contains(TrackingMode::OPTIN) {
            return Err(CommandError::text(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
    } else if args::is(argv[2], "NO") {
        if !mode.contains(TrackingMode::OPTOUT) {
            return Err(CommandError::text(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
    } else {
        return Err(CommandError::Syntax);
    }
    client.tracking.fetch_or(TrackingMode::CACHING.bits(), Ordering::Relaxed);
    reply.ok();
    Ok(())
}

/// The client that is told instead, 0 for none, -1 without tracking.
fn redirect_of(client: &Client) -> i64 {
    match client.tracking_mode().contains(TrackingMode::ON) {
        true => client.redirect.load(Ordering::Relaxed) as i64,
        false => -1,
    }
}

fn get_redirect(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.int(ctx.env.client.map_or(-1, |client| redirect_of(client)));
    Ok(())
}

fn info(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    use TrackingMode as T;
    let Some(client) = ctx.env.client else { return Err(CommandError::NotInScript) };
    let mode = client.tracking_mode();
    let mut flags = vec![if mode.contains(T::ON) { "on" } else { "off" }];
    let words = [
        (T::BCAST, "bcast"),
        (T::OPTIN, "optin"),
        (T::OPTIN | T::CACHING, "caching-yes"),
        (T::OPTOUT, "optout"),
        (T::OPTOUT | T::CACHING, "caching-no"),
        (T::NOLOOP, "noloop"),
        (T::BROKEN, "broken_redirect"),
    ];
    flags.extend(words.iter().filter(|(of, _)| mode.contains(*of)).map(|(_, word)| *word));
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.int(redirect_of(client));
    reply.bulk(b"prefixes");
    let prefixes = ctx.env.shared.tracking.prefixes(client.id);
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}
