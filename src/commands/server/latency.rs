//! LATENCY: what was slow when, and how long each command takes.

use std::fmt::Write as _;

use super::doctor;
use crate::engine::ctx::{ExclusiveCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::histogram::Durations;
use crate::engine::registry::Command;
use crate::engine::slow::Series;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Group, Outcome, Run};
use crate::resp::reply::Reply;

/// The first bound of LATENCY HISTOGRAM, in nanoseconds; each further one is twice the last.
const BOUND_FIRST: u64 = 1024;
/// How many bounds there are; the last is about a second.
const BOUNDS: u32 = 21;

const SUB: CommandSpec = CommandSpec {
    since: "2.8.13",
    group: Group::Server,
    flags: &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale],
    ..CommandSpec::BASE
};
const NODE_TIPS: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

/// The container and its subcommands.
pub const LATENCY: CommandSpec = CommandSpec {
    name: "LATENCY",
    summary: "A container for latency diagnostics commands.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    flags: &[],
    subcommands: &[
        CommandSpec {
            name: "DOCTOR",
            summary: "Returns a human-readable latency analysis report.",
            arity: Arity::Exactly(2),
            tips: NODE_TIPS,
            run: Run::Session(|ctx, _, reply| {
                let events = ctx.env.shared.slow.events.lock();
                let report = doctor::latency(&events, ctx.env.now_us / 1_000_000);
                reply.verbatim(b"txt", report.as_bytes());
                Ok(())
            }),
            ..SUB
        },
        CommandSpec {
            name: "GRAPH",
            summary: "Returns a latency graph for an event.",
            arity: Arity::Exactly(3),
            args: &[Arg::string("event")],
            tips: NODE_TIPS,
            run: Run::Session(graph),
            ..SUB
        },
        CommandSpec {
            name: "HISTOGRAM",
            summary: "Returns the cumulative distribution of latencies of a subset or all commands.",
            since: "7.0.0",
            complexity: "O(N) where N is the number of commands with latency information being retrieved.",
            arity: Arity::AtLeast(2),
            args: &[Arg::string("command").optional().multiple()],
            tips: NODE_TIPS,
            run: Run::Exclusive(histogram),
            ..SUB
        },
        CommandSpec {
            name: "HISTORY",
            summary: "Returns timestamp-latency samples for an event.",
            arity: Arity::Exactly(3),
            args: &[Arg::string("event")],
            tips: NODE_TIPS,
            run: Run::Session(history),
            ..SUB
        },
        CommandSpec {
            name: "LATEST",
            summary: "Returns the latest latency samples for all events.",
            arity: Arity::Exactly(2),
            tips: NODE_TIPS,
            run: Run::Session(latest),
            ..SUB
        },
        CommandSpec {
            name: "RESET",
            summary: "Resets the latency data for one or more events.",
            arity: Arity::AtLeast(2),
            args: &[Arg::string("event").optional().multiple()],
            tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
            run: Run::Session(reset),
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
        "LATENCY",
        &[
            ("DOCTOR", "Explain in words what was slow."),
            ("GRAPH <event>", "Draw the history of one kind of event."),
            ("HISTOGRAM [<command> ...]", "Return how long commands take, by powers of two."),
            ("HISTORY <event>", "Return the samples of one kind of event."),
            ("LATEST", "Return the latest sample of each kind of event."),
            ("RESET [<event> ...]", "Forget the samples of these kinds, or of all."),
        ],
    );
    Ok(())
}

fn history(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let events = ctx.env.shared.slow.events.lock();
    let name = String::from_utf8_lossy(argv[2]);
    let Some(series) = events.get(&*name) else {
        reply.array(0);
        return Ok(());
    };
    reply.array(series.samples().len());
    for sample in series.samples() {
        reply.array(2);
        reply.int(sample.at);
        reply.int(sample.millis as i64);
    }
    Ok(())
}

fn latest(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let events = ctx.env.shared.slow.events.lock();
    reply.array(events.len());
    for (name, series) in events.iter() {
        let last = series.samples().next_back().expect("a series begins with a sample");
        reply.array(4);
        reply.bulk(name.as_bytes());
        reply.int(last.at);
        reply.int(last.millis as i64);
        reply.int(series.millis_max as i64);
    }
    Ok(())
}

fn reset(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut events = ctx.env.shared.slow.events.lock();
    let before = events.len();
    let names = &argv[2..];
    events.retain(|event, _| {
        !names.is_empty() && !names.iter().any(|name| name.eq_ignore_ascii_case(event.as_bytes()))
    });
    reply.len(before - events.len());
    Ok(())
}

fn graph(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let events = ctx.env.shared.slow.events.lock();
    let name = String::from_utf8_lossy(argv[2]);
    let series = events.get(&*name).ok_or_else(|| {
        CommandError::owned(format!("ERR No samples available for event '{name}'"))
    })?;
    reply.verbatim(b"txt", draw(&name, series, ctx.env.now_us / 1_000_000).as_bytes());
    Ok(())
}

/// Rows of a graph, each in four steps.
const ROWS: u64 = 4;
const STEPS: u64 = 3;
/// Samples in one line of a graph.
const COLUMNS: usize = 80;

/// A bar for each of the last samples, and its age written downwards below it.
fn draw(name: &str, series: &Series, now: i64) -> String {
    let samples: Vec<_> = series.samples().collect();
    let shown = &samples[samples.len().saturating_sub(COLUMNS)..];
    let millis = || samples.iter().map(|sample| sample.millis);
    let (high, low) = (millis().max().unwrap_or(0), millis().min().unwrap_or(0));
    let mut text = format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        series.millis_max,
        "-".repeat(COLUMNS)
    );
    for row in (0..ROWS).rev() {
        for sample in shown {
            let levels = ROWS * STEPS;
            // A sample that is neither more nor less than the others is a full bar.
            let level = match high - low {
                0 => levels,
                span => (sample.millis - low) * levels / span,
            };
            text.push(match level.saturating_sub(row * STEPS) {
                0 if row == 0 => '_',
                0 => ' ',
                1 => '_',
                2 => 'o',
                _ => '#',
            });
        }
        text.push('\n');
    }
    let ages: Vec<Vec<u8>> = shown.iter().map(|sample| age(now - sample.at)).collect();
    let tallest = ages.iter().map(Vec::len).max().unwrap_or(0);
    text.push('\n');
    for row in 0..tallest {
        text.extend(ages.iter().map(|age| age.get(row).map_or(' ', |byte| *byte as char)));
        text.push('\n');
    }
    text
}

/// Seconds in the largest unit that fits.
fn age(seconds: i64) -> Vec<u8> {
    let text = match seconds {
        s if s < 60 => format!("{s}s"),
        s if s < 3600 => format!("{}m", s / 60),
        s if s < 86_400 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    };
    text.into_bytes()
}

/// How long the executions of a command took, by all workers; None if it never ran.
pub fn durations(command: &Command) -> Option<Durations> {
    Durations::of(command.stats.iter().map(|stat| &stat.durations))
}

fn histogram(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let registry = &ctx.state.registry;
    let named: Vec<&'static Command> = match &argv[2..] {
        [] => registry.commands().to_vec(),
        names => names.iter().filter_map(|name| registry.by_full_name(name)).collect(),
    };
    let open = reply.deferred();
    let mut found = 0;
    for command in named {
        for command in std::iter::once(command).chain(command.subcommands.iter().copied()) {
            if let Some(durations) = durations(command) {
                reply.bulk(command.name.as_bytes());
                distribution(&durations, reply);
                found += 1;
            }
        }
    }
    reply.close_map(open, found);
    Ok(())
}

/// How many executions took at most 1, 2, 4, ... microseconds; only where the number grows.
fn distribution(durations: &Durations, reply: &mut Reply<'_>) {
    reply.map(2);
    reply.bulk(b"calls");
    reply.int(durations.total() as i64);
    reply.bulk(b"histogram_usec");
    let open = reply.deferred();
    let (mut pairs, mut before) = (0, 0);
    for doubling in 0..BOUNDS {
        let bound = BOUND_FIRST << doubling;
        let last = doubling + 1 == BOUNDS;
        let count = if last { durations.total() } else { durations.up_to(bound) };
        if count > before {
            // Redis's histogram has 128 parts in each doubling and shows the end of the bound's part.
            reply.int(((bound + bound / 128 - 1) / 1000) as i64);
            reply.int(count as i64);
            pairs += 1;
            before = count;
        }
    }
    reply.close_map(open, pairs);
}

/// The percentiles of INFO's section `latencystats`.
pub fn percentiles(durations: &Durations, wanted: &[f64]) -> String {
    let mut text = String::new();
    for (i, percent) in wanted.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let micros = durations.percentile(*percent) as f64 / 1000.0;
        let _ = write!(text, "{comma}p{percent}={micros:.3}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::slow::Slow;

    #[test]
    fn a_graph_has_a_bar_and_an_age_for_each_sample() {
        let slow = Slow::default();
        slow.event_millis.store(1, std::sync::atomic::Ordering::Relaxed);
        slow.event("command", 100_000_000, 1_000_000);
        slow.event("command", 500_000_000, 3_000_000);
        let events = slow.events.lock();
        let text = draw("command", &events["command"], 63);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "command - high 500 ms, low 100 ms (all time high 500 ms)");
        assert_eq!(&lines[2..], [" #", " #", " #", "_#", "", "11", "mm"]);
    }
}
