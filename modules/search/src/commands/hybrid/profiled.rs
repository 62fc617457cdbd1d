//! FT.PROFILE of HYBRID.
//!
//! Two profiles in one shard, of the search by words and of the one by a vector, and one of the fusion as that of the
//! coordinator; all in the shape that RediSearch has had since it has the command. Names of processors are RediSearch's
//! too: scores, distances and their conversion are part of the searches here, keys are loaded behind the fusion only,
//! and nothing is handed over from thread to thread, so these take no time of their own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mortise_module::{Access, CommandResult, Context, Reply};

use crate::commands::hybrid::request::read;
use crate::commands::hybrid::{Both, Shown, complete, searches};
use crate::commands::permission;
use crate::commands::profile::{Printer, Processor, Times, View};
use crate::commands::search::TIMED_OUT;
use crate::error::Error;
use crate::index::profile::{Measure, Profile};
use crate::index::search::{Found, Leaves};
use crate::index::task::Task;
use crate::source;

/// What one of the two searches took.
struct Cost {
    leaves: Leaves,
    /// To look its terms up.
    preparing: Duration,
    /// To walk over the index.
    searching: Duration,
}

/// Runs the command and tells what it took.
pub fn profile(
    ctx: &mut Context<'_>,
    index: &[u8],
    items: &[&[u8]],
    limited: bool,
) -> CommandResult {
    let start = Instant::now();
    let mut request = read(items)?;
    if request.cursor.is_some() {
        return Err(Error::Text("FT.PROFILE does not support cursor").into());
    }
    source::refresh_faded(ctx, index);
    let searches = searches(index, &request)?;
    permission::check(ctx, searches.words.snapshot.schema(), Access::Read)?;
    let parsing = start.elapsed();
    let plans = [Arc::clone(&searches.words.plan), Arc::clone(&searches.vector.plan)];
    let measures = [Profile::new(&plans[0]), Profile::new(&plans[1])];
    let (words, words_cost) = run(&searches.words, &measures[0]);
    let (vector, vector_cost) = run(&searches.vector, &measures[1]);
    let found = Both { searches, words, vector };
    let fusing = Instant::now();
    let lists = found.lists();
    let shown = complete(ctx, &found, &mut request, lists)?;
    let fusing = fusing.elapsed();
    let sides = [(&words_cost, &found.words), (&vector_cost, &found.vector)];
    let view = |at: usize| {
        let (cost, found) = sides[at];
        let Cost { leaves, preparing, searching } = cost;
        let measure = measures[at].of(&plans[at].root);
        View {
            plan: &plans[at],
            leaves,
            measures: &measures[at],
            limited,
            times: Times {
                total: parsing + *preparing + *searching,
                parsing,
                preparing: *preparing,
            },
            processors: processors(at, measure, *searching, found),
            warnings: found.timed_out.then_some(TIMED_OUT).into_iter().collect(),
        }
    };
    let views = [view(0), view(1)];
    let preparing = words_cost.preparing + vector_cost.preparing;
    let behind = Behind {
        times: Times { total: start.elapsed(), parsing, preparing },
        processors: vec![
            ("Hybrid Merger", Duration::ZERO, shown.fused as u64),
            ("Sorter", fusing, shown.rows.len() as u64),
        ],
    };
    reply(ctx, (&shown, &found, start), &views, &behind);
    Ok(Reply::Written)
}

fn run(task: &Task, measures: &Profile<'_>) -> (Found, Cost) {
    let start = Instant::now();
    let mut deadline = task.deadline;
    let leaves = task.snapshot.look_up(&task.plan, &mut deadline);
    let preparing = start.elapsed();
    let found = task.run_measured(&leaves, measures);
    (found, Cost { leaves, preparing, searching: start.elapsed() - preparing })
}

/// What happened to the results of one search behind its iterators.
fn processors(at: usize, root: Measure, searching: Duration, found: &Found) -> Vec<Processor> {
    let (matches, hits) = (root.documents, found.hits.len() as u64);
    let rest = searching.saturating_sub(root.time);
    let none = Duration::ZERO;
    let index = ("Index", root.time, matches);
    let tail = [("Loader", none, hits), ("Depleter", none, hits)];
    let own = match at {
        0 => [("Scorer", none, matches), ("Sorter", rest, hits)],
        _ => [("Metrics Applier", rest, matches), ("Vector Normalizer", none, hits)],
    };
    [index].into_iter().chain(own).chain(tail).collect()
}

/// What happened behind both searches.
struct Behind {
    times: Times,
    processors: Vec<Processor>,
}

/// The results, and the profile: in RESP2 behind the pairs, in RESP3 as one more of them.
fn reply(
    ctx: &Context<'_>,
    (shown, found, start): (&Shown<'_>, &Both, Instant),
    views: &[View<'_>; 2],
    behind: &Behind,
) {
    let (writer, resp3) = (ctx.reply(), ctx.is_resp3());
    let printer = Printer { writer, resp3, by_shards: true };
    if resp3 {
        writer.map(Shown::PAIRS + 1);
    } else {
        writer.array(Shown::PAIRS * 2 + 1);
    }
    shown.write(writer, found, start);
    if resp3 {
        writer.simple("Profile");
    }
    writer.map(2);
    writer.simple("Shards");
    writer.array(1);
    writer.map(2);
    for (name, view) in ["SEARCH", "VSIM"].into_iter().zip(views) {
        writer.simple(name);
        printer.profile(view);
    }
    writer.simple("Coordinator");
    printer.map(behind.times, &[], None, &behind.processors);
}
