//! FT.PROFILE: a query's results, and what it took to find them.
//!
//! Times are milliseconds, measured around the steps of the command; each iterator's time includes its children's,
//! and its counter is the number of documents that it gave. The search runs where the command does, not on a thread.
//!
//! Clients tell by the server's version which of two shapes the reply has: from 7.9 on results and profile are two
//! parts of the reply, the profile by shards (of which there is one); before, the profile stood beside the results.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply, Writer};

use crate::args::{Args, lossy};
use crate::commands::loading::Reach;
use crate::commands::options::{self, Options};
use crate::commands::search::{Answer, Sorting, complete, task};
use crate::commands::{aggregate, bytes, hybrid, permission};
use crate::docs;
use crate::error::Error;
use crate::index::profile::{Measure, Profile};
use crate::index::search::Leaves;
use crate::query::pattern::Pattern;
use crate::query::plan::{Leaf, Plan, Shape, Space, Step, VectorAsk};
use crate::source;

/// Opens the entry of an iterator, with what stands first in it: names and values.
type Head<'h> = dyn Fn(&[(&str, &str)]) + 'h;

/// FT.PROFILE.
pub const PROFILE: Command = Command {
    name: "FT.PROFILE",
    since: "2.2.0",
    summary: "Runs a query and tells where its time goes",
    complexity: "O(N)",
    arity: Arity::AtLeast(5),
    args: docs::search::PROFILE,
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: profile,
    ..Command::DEFAULT
};

/// The first server version with the new shape.
const SHARDS_SINCE: i32 = 0x07_09_00;

/// What the steps of a command took.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) total: Duration,
    pub(super) parsing: Duration,
    pub(super) preparing: Duration,
}

/// A part of the pipeline behind the iterators: its name, its time, the results that it gave.
pub(super) type Processor = (&'static str, Duration, u64);

fn profile(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let mut rest = Args::new(&args[1..]);
    let hybrid = rest.take("HYBRID");
    let aggregates = !hybrid && rest.take("AGGREGATE");
    if !hybrid && !aggregates && !rest.take("SEARCH") {
        return Err(Error::Text("No `SEARCH`, `AGGREGATE`, or `HYBRID` provided").into());
    }
    let limited = rest.take("LIMITED");
    if !rest.take("QUERY") {
        return Err(Error::Text("The QUERY keyword is expected").into());
    }
    let rest = rest.rest();
    if hybrid {
        return hybrid::profile(ctx, args[0], rest, limited);
    }
    let (query, options) =
        rest.split_first().ok_or(Error::Text("The QUERY keyword is expected"))?;
    match aggregates {
        true => profile_aggregate(ctx, args[0], query, options, limited),
        false => profile_search(ctx, args[0], query, options, limited),
    }
}

fn profile_search(
    ctx: &mut Context<'_>,
    index: &[u8],
    query: &[u8],
    items: &[&[u8]],
    limited: bool,
) -> CommandResult {
    let start = Instant::now();
    let options = options::read(items)?;
    source::refresh_faded(ctx, index);
    let (task, sorting) = task(&[index, query], &options)?;
    permission::check(ctx, task.snapshot.schema(), Access::Read)?;
    let parsed = Instant::now();
    let mut deadline = task.deadline;
    let leaves = task.snapshot.look_up(&task.plan, &mut deadline);
    let prepared = Instant::now();
    let measures = Profile::new(&task.plan);
    let found = task.run_measured(&leaves, &measures);
    let searched = Instant::now();
    let answer = complete(&mut Reach::here(ctx), &task, found, &sorting, &options)?;
    let times =
        Times { total: start.elapsed(), parsing: parsed - start, preparing: prepared - parsed };
    let behind = (searched - prepared, searched.elapsed());
    let iterators = measures.of(&task.plan.root).time;
    let view = View {
        plan: &task.plan,
        leaves: &leaves,
        measures: &measures,
        limited,
        processors: processors(&answer, behind, iterators, &sorting, &options),
        warnings: answer.warnings(),
        times,
    };
    let list = |writer: Writer<'_>| answer.write_list(writer, &options);
    let pairs = |writer: Writer<'_>| answer.write_pairs(writer, &options);
    reply(ctx, &view, (Answer::PAIRS, &pairs), &list);
    Ok(Reply::Written)
}

fn profile_aggregate(
    ctx: &mut Context<'_>,
    index: &[u8],
    query: &[u8],
    items: &[&[u8]],
    limited: bool,
) -> CommandResult {
    let start = Instant::now();
    let request = aggregate::Request::read(items)?;
    if request.cursor.is_some() {
        return Err(Error::Text("FT.PROFILE does not support cursor").into());
    }
    source::refresh_faded(ctx, index);
    let mut work = aggregate::Work::new(index, query, request)?;
    permission::check(ctx, work.snapshot.schema(), Access::Read)?;
    let parsed = Instant::now();
    let leaves = Arc::new(work.snapshot.look_up(&work.plan, &mut work.deadline));
    work.leaves = Some(Arc::clone(&leaves));
    let prepared = Instant::now();
    let plan = Arc::clone(&work.plan);
    let measures = Profile::new(&plan);
    let mut answer = work.run_measured(Some(&measures))?;
    let piped = Instant::now();
    let rows = answer.take(ctx, usize::MAX)?;
    let loading = piped.elapsed();
    let Measure { documents: matches, time: iterators } = measures.of(&plan.root);
    let pipeline = (piped - prepared).saturating_sub(iterators);
    let view = View {
        plan: &plan,
        leaves: &leaves,
        limited,
        processors: vec![
            ("Index", iterators, matches),
            ("Pipeline", pipeline, matches),
            ("Loader", loading, rows.len() as u64),
        ],
        measures: &measures,
        warnings: answer.warnings(),
        times: Times {
            total: start.elapsed(),
            parsing: parsed - start,
            preparing: prepared - parsed,
        },
    };
    let list = |writer: Writer<'_>| answer.write_list(writer, &rows);
    let pairs = |writer: Writer<'_>| answer.write_pairs(writer, &rows);
    reply(ctx, &view, (aggregate::Answer::PAIRS, &pairs), &list);
    Ok(Reply::Written)
}

/// What happened to the documents behind the iterators, with the times of the search and of what came behind it. Scores
/// are worked out by the iterators themselves.
fn processors(
    answer: &Answer,
    (searching, loading): (Duration, Duration),
    iterators: Duration,
    sorting: &Sorting,
    options: &Options<'_>,
) -> Vec<Processor> {
    let (matches, hits) = (answer.found.total, answer.found.hits.len() as u64);
    let mut list = vec![("Index", iterators, matches)];
    let rest = searching.saturating_sub(iterators);
    if options.limit == 0 {
        list.push(("Counter", rest, 0));
        return list;
    }
    let by_index = matches!(sorting, Sorting::Index);
    list.push(("Sorter", if by_index { rest } else { loading }, hits));
    if !options.no_content {
        list.push(("Loader", loading, hits));
    }
    list
}

/// Writes one part of a reply.
type Write<'w> = &'w dyn Fn(Writer<'_>);

/// The results, as so many pairs of a map or as a list, and the profile.
fn reply(ctx: &Context<'_>, view: &View<'_>, (count, pairs): (usize, Write<'_>), list: Write<'_>) {
    let writer = ctx.reply();
    let by_shards = ctx.server_version() >= SHARDS_SINCE;
    let printer = Printer { writer, resp3: ctx.is_resp3(), by_shards };
    match (printer.resp3, by_shards) {
        (true, true) => {
            writer.map(2);
            writer.simple("Results");
            writer.map(count);
            pairs(writer);
            writer.simple("Profile");
        }
        (true, false) => {
            writer.map(count + 1);
            pairs(writer);
            writer.simple("profile");
        }
        (false, _) => {
            writer.array(2);
            list(writer);
        }
    }
    if by_shards {
        writer.map(2);
        writer.simple("Shards");
        writer.array(1);
        printer.profile(view);
        writer.simple("Coordinator");
        writer.map(0);
    } else {
        printer.profile(view);
    }
}

/// What is printed of the iterators.
pub(super) struct View<'a> {
    pub(super) plan: &'a Plan,
    pub(super) leaves: &'a Leaves,
    pub(super) measures: &'a Profile<'a>,
    /// What a pattern stands for is counted only.
    pub(super) limited: bool,
    pub(super) times: Times,
    pub(super) processors: Vec<Processor>,
    pub(super) warnings: Vec<&'static str>,
}

/// Writes profiles.
#[derive(Clone, Copy)]
pub(super) struct Printer<'a> {
    pub(super) writer: Writer<'a>,
    pub(super) resp3: bool,
    pub(super) by_shards: bool,
}

impl Printer<'_> {
    /// A whole profile.
    pub(super) fn profile(&self, view: &View<'_>) {
        let iterators = || {
            if self.resp3 && !self.by_shards {
                self.writer.array(1);
            }
            self.step(view, &view.plan.root);
        };
        self.map(view.times, &view.warnings, Some(&iterators), &view.processors);
    }

    /// The map of a profile, with iterators if there are some.
    pub(super) fn map(
        &self,
        times: Times,
        warnings: &[&'static str],
        iterators: Option<&dyn Fn()>,
        processors: &[Processor],
    ) {
        let writer = self.writer;
        let pairs = !self.resp3 && !self.by_shards;
        // The older RESP2 shape is a list of pairs.
        let open = |name: &str| {
            if pairs {
                writer.begin_array();
            }
            writer.simple(name);
        };
        let close = || {
            if pairs {
                writer.end();
            }
        };
        if pairs {
            writer.begin_array();
        } else {
            writer.begin_map();
        }
        let spans = [
            ("Total profile time", times.total),
            ("Parsing time", times.parsing),
            ("Pipeline creation time", times.preparing),
        ];
        for (name, time) in spans {
            open(name);
            writer.double(milliseconds(time));
            close();
        }
        open("Warning");
        self.warnings(warnings);
        close();
        if let Some(iterators) = iterators {
            open("Iterators profile");
            iterators();
            close();
        }
        open("Result processors profile");
        if pairs {
            processors.iter().for_each(|one| self.processor(one));
        } else {
            writer.array(processors.len());
            processors.iter().for_each(|one| self.processor(one));
        }
        close();
        writer.end();
    }

    fn warnings(&self, warnings: &[&'static str]) {
        if !self.by_shards {
            return self.writer.simple(warnings.first().copied().unwrap_or("None"));
        }
        self.writer.array(warnings.len().max(1));
        if warnings.is_empty() {
            self.writer.simple("None");
        }
        warnings.iter().for_each(|warning| self.writer.simple(warning));
    }

    fn processor(&self, (name, time, count): &Processor) {
        self.writer.map(3);
        self.writer.simple("Type");
        self.writer.simple(name);
        self.writer.simple("Time");
        self.writer.double(milliseconds(*time));
        self.writer.simple(if self.by_shards { "Results processed" } else { "Counter" });
        self.writer.int(i64::try_from(*count).unwrap_or(i64::MAX));
    }

    /// One iterator and its children.
    fn step(&self, view: &View<'_>, step: &Step) {
        let writer = self.writer;
        // In RESP2 the children may stand in the list itself, which is then no list of pairs.
        if self.resp3 {
            writer.begin_map();
        } else {
            writer.begin_array();
        }
        let head = |pairs: &[(&str, &str)]| {
            for (name, value) in pairs {
                writer.simple(name);
                writer.simple(value);
            }
            let measure = view.measures.of(step);
            writer.simple("Time");
            writer.double(milliseconds(measure.time));
            writer.simple(if self.by_shards { "Number of reading operations" } else { "Counter" });
            writer.int(i64::try_from(measure.documents).unwrap_or(i64::MAX));
        };
        match step {
            Step::Nothing => head(&[("Type", "EMPTY")]),
            Step::All { .. } => head(&[("Type", "WILDCARD")]),
            Step::Leaf { leaf, .. } => self.leaf(view, *leaf, &head),
            Step::And { children, .. } => {
                head(&[("Type", "INTERSECT")]);
                self.children(view, children);
            }
            Step::Or { children, .. } => {
                head(&[("Type", "UNION"), ("Query type", "UNION")]);
                // LIMITED is for what a pattern stands for; alternatives that were written are shown.
                self.children(view, children);
            }
            Step::Not(child) => {
                head(&[("Type", "NOT")]);
                writer.simple("Child iterator");
                self.step(view, child);
            }
            Step::Optional { child, .. } => {
                head(&[("Type", "OPTIONAL")]);
                writer.simple("Child iterator");
                self.step(view, child);
            }
            Step::Nested { candidates, .. } => {
                head(&[("Type", "NESTED")]);
                writer.simple("Child iterator");
                self.step(view, candidates);
            }
            Step::Circle { .. } => head(&[("Type", "GEO")]),
            Step::Shape { .. } => head(&[("Type", "GEO-SHAPE")]),
            Step::Vector { query, .. } => {
                head(&[("Type", "VECTOR")]);
                let query = &view.plan.vectors[*query];
                if let VectorAsk::Nearest { filter, .. } = &query.ask {
                    // A filter is always run first; RediSearch's word for that.
                    let mode = if filter.is_some() { "HYBRID_ADHOC_BF" } else { "STANDARD_KNN" };
                    writer.simple("Vector search mode");
                    writer.simple(mode);
                    if let Some(filter) = filter {
                        writer.simple("Child iterator");
                        self.step(view, filter);
                    }
                }
            }
            Step::Range { range, .. } => {
                let term = format!("{:.6} - {:.6}", range.min, range.max);
                head(&[("Type", "NUMERIC"), ("Term", &term)]);
            }
        }
        writer.end();
    }

    fn children(&self, view: &View<'_>, children: &[Step]) {
        self.writer.simple("Child iterators");
        if self.resp3 || self.by_shards {
            self.writer.array(children.len());
        }
        children.iter().for_each(|child| self.step(view, child));
    }

    fn leaf(&self, view: &View<'_>, leaf: usize, head: &Head<'_>) {
        match &view.plan.leaves[leaf] {
            Leaf::Term(term) => {
                let (kind, name) = match term.space {
                    Space::Words => ("TEXT", &term.bytes[..]),
                    // The field's number stands in front.
                    Space::Tags => ("TAG", term.bytes.get(2..).unwrap_or_default()),
                };
                head(&[("Type", kind), ("Term", &lossy(name))]);
                self.size(view.leaves.documents(leaf));
            }
            Leaf::Shape(shape) => {
                head(&[("Type", "UNION"), ("Query type", &query_type(shape))]);
                self.expansions(&view.leaves.terms(leaf), shape, view.limited);
            }
        }
    }

    fn expansions(&self, terms: &[(&[u8], u64)], shape: &Shape, limited: bool) {
        let writer = self.writer;
        writer.simple("Child iterators");
        if limited {
            let count = terms.len();
            return writer.simple(&format!("The number of iterators in the union is {count}"));
        }
        if self.resp3 || self.by_shards {
            writer.array(terms.len());
        }
        for (term, documents) in terms {
            writer.map(3);
            writer.simple("Type");
            writer.simple(if shape.space == Space::Words { "TEXT" } else { "TAG" });
            writer.simple("Term");
            writer.bulk(term.get(shape.prefix.len()..).unwrap_or_default());
            self.size(*documents);
        }
    }

    fn size(&self, documents: u64) {
        self.writer.simple(if self.by_shards { "Estimated number of matches" } else { "Size" });
        self.writer.int(i64::try_from(documents).unwrap_or(i64::MAX));
    }
}

fn query_type(shape: &Shape) -> String {
    match &shape.pattern {
        Pattern::Prefix(text) => format!("PREFIX - {}", lossy(text)),
        Pattern::Suffix(text) => format!("SUFFIX - {}", lossy(text)),
        Pattern::Contains(text) => format!("INFIX - {}", lossy(text)),
        Pattern::Wildcard(text) => format!("WILDCARD - {}", lossy(text)),
        Pattern::Fuzzy { word, .. } => format!("FUZZY - {word}"),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}
