//! FT.PROFILE: a query's results, and what it took to find them.
//!
//! Times are milliseconds, measured around the steps of the command; each iterator's time includes its children's,
//! and its counter is the number of documents that it gave. The search runs where the command does, not on a thread.
//!
//! Clients tell by the server's version which of two shapes the reply has: from 7.9 on results and profile are two
//! parts of the reply, the profile by shards (of which there is one); before, the profile stood beside the results.

use std::time::{Duration, Instant};

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply, Writer};

use crate::args::{Args, lossy};
use crate::commands::options::{self, Options};
use crate::commands::search::{Answer, Sorting, complete, task};
use crate::commands::{bytes, permission};
use crate::error::Error;
use crate::index::profile::Profile;
use crate::index::search::Leaves;
use crate::index::task::Task;
use crate::query::pattern::Pattern;
use crate::query::plan::{Leaf, Shape, Space, Step, VectorAsk};

/// FT.PROFILE.
pub const PROFILE: Command = Command {
    name: "FT.PROFILE",
    since: "2.2.0",
    summary: "Performs a `FT.SEARCH` or `FT.AGGREGATE` command and collects performance information",
    complexity: "O(N)",
    arity: Arity::AtLeast(5),
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: profile,
    ..Command::DEFAULT
};

/// The first server version with the new shape.
const SHARDS_SINCE: i32 = 0x07_09_00;

/// What the steps of a command took.
struct Times {
    total: Duration,
    parsing: Duration,
    preparing: Duration,
    searching: Duration,
    loading: Duration,
}

/// A part of the pipeline behind the iterators: its name, its time, the results that it gave.
type Processor = (&'static str, Duration, u64);

fn profile(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let mut rest = Args::new(&args[1..]);
    if rest.take("AGGREGATE") || rest.take("HYBRID") {
        return Err(Error::Unsupported("FT.PROFILE of anything but SEARCH".to_owned()).into());
    }
    if !rest.take("SEARCH") {
        return Err(Error::Text("No `SEARCH`, `AGGREGATE`, or `HYBRID` provided").into());
    }
    let limited = rest.take("LIMITED");
    if !rest.take("QUERY") {
        return Err(Error::Text("The QUERY keyword is expected").into());
    }
    let rest = rest.rest();
    let query = rest.first().ok_or(Error::Text("The QUERY keyword is expected"))?;
    let start = Instant::now();
    let options = options::read(&rest[1..])?;
    let (task, sorting) = task(&[args[0], query], &options)?;
    permission::check(ctx, task.snapshot.schema(), Access::Read)?;
    let parsed = Instant::now();
    let mut deadline = task.deadline;
    let leaves = task.snapshot.look_up(&task.plan, &mut deadline);
    let prepared = Instant::now();
    let measures = Profile::new(&task.plan);
    let found = task.run_measured(&leaves, &measures);
    let searched = Instant::now();
    let answer = complete(ctx, &task, found, &sorting, &options)?;
    let times = Times {
        total: start.elapsed(),
        parsing: parsed - start,
        preparing: prepared - parsed,
        searching: searched - prepared,
        loading: searched.elapsed(),
    };
    let view = View { task: &task, leaves: &leaves, measures: &measures, limited };
    let processors =
        processors(&answer, &times, &measures.of(&task.plan.root).time, &sorting, &options);
    reply(ctx, &answer, &options, &view, &times, &processors);
    Ok(Reply::Written)
}

/// What happened to the documents behind the iterators. Scores are worked out by the iterators themselves.
fn processors(
    answer: &Answer,
    times: &Times,
    iterators: &Duration,
    sorting: &Sorting,
    options: &Options<'_>,
) -> Vec<Processor> {
    let (matches, hits) = (answer.found.total, answer.found.hits.len() as u64);
    let mut list = vec![("Index", *iterators, matches)];
    let rest = times.searching.saturating_sub(*iterators);
    if options.limit == 0 {
        list.push(("Counter", rest, 0));
        return list;
    }
    list.push((
        "Sorter",
        if matches!(sorting, Sorting::Index) { rest } else { times.loading },
        hits,
    ));
    if !options.no_content {
        list.push(("Loader", times.loading, hits));
    }
    list
}

fn reply(
    ctx: &Context<'_>,
    answer: &Answer,
    options: &Options<'_>,
    view: &View<'_>,
    times: &Times,
    processors: &[Processor],
) {
    let writer = ctx.reply();
    let by_shards = ctx.server_version() >= SHARDS_SINCE;
    let printer = Printer { writer, resp3: ctx.is_resp3(), by_shards };
    match (printer.resp3, by_shards) {
        (true, true) => {
            writer.map(2);
            writer.simple("Results");
            writer.map(Answer::PAIRS);
            answer.write_pairs(writer, options);
            writer.simple("Profile");
        }
        (true, false) => {
            writer.map(Answer::PAIRS + 1);
            answer.write_pairs(writer, options);
            writer.simple("profile");
        }
        (false, _) => {
            writer.array(2);
            answer.write_list(writer, options);
        }
    }
    if by_shards {
        writer.map(2);
        writer.simple("Shards");
        writer.array(1);
        printer.profile(answer, view, times, processors);
        writer.simple("Coordinator");
        writer.map(0);
    } else {
        printer.profile(answer, view, times, processors);
    }
}

/// What is printed of the iterators.
struct View<'a> {
    task: &'a Task,
    leaves: &'a Leaves,
    measures: &'a Profile<'a>,
    limited: bool,
}

#[derive(Clone, Copy)]
struct Printer<'a> {
    writer: Writer<'a>,
    resp3: bool,
    by_shards: bool,
}

impl Printer<'_> {
    fn profile(&self, answer: &Answer, view: &View<'_>, times: &Times, processors: &[Processor]) {
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
        self.warnings(&answer.warnings());
        close();
        open("Iterators profile");
        if self.resp3 && !self.by_shards {
            writer.array(1);
        }
        self.step(view, &view.task.plan.root);
        close();
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
            Step::Circle { .. } => head(&[("Type", "GEO")]),
            Step::Shape { .. } => head(&[("Type", "GEO-SHAPE")]),
            Step::Vector { query, .. } => {
                head(&[("Type", "VECTOR")]);
                let query = &view.task.plan.vectors[*query];
                if let VectorAsk::Nearest { filter: Some(filter), .. } = &query.ask {
                    writer.simple("Child iterator");
                    self.step(view, filter);
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

    fn leaf(&self, view: &View<'_>, leaf: usize, head: &dyn Fn(&[(&str, &str)])) {
        match &view.task.plan.leaves[leaf] {
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
