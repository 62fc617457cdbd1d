//! FT.AGGREGATE.
//!
//! What needs only the index is done first, on a snapshot; values of keys are loaded afterwards. Both happen on a thread of
//! the module's own if there is much to do, and the server only gets the rows that are ready.

use std::sync::Arc;

use mortise_module::{
    Access, Arg, Arity, BlockedClient, Command, CommandResult, Context, Error as ReplyError, Flag,
    Reply, Writer,
};

use crate::aggregate::pipeline::{Pipeline, Taken};
use crate::aggregate::steps::{self, Step};
use crate::aggregate::{Limits, Row, binding};
use crate::args::{Args, lossy};
use crate::commands::loading::{KeyLoader, SlicedLoader};
use crate::commands::options::Options;
use crate::commands::search::TIMED_OUT;
use crate::commands::{bytes, cursor, permission, search};
use crate::docs;
use crate::error::{ArgumentError, Error};
use crate::expression::value::{Value, number_text};
use crate::index::deadline::Deadline;
use crate::index::profile::Profile;
use crate::index::search::Leaves;
use crate::index::snapshot::Snapshot;
use crate::index::visit::{Batch, Sink, Visit};
use crate::query::plan::Plan;
use crate::schema::Schema;
use crate::score::Scorer;
use crate::{pool, registry, settings, source};

/// What a row costs that goes through a stage or two, in the steps of [`pool::INLINE_STEPS_MAX`].
const STEPS_OF_ROW: u64 = 4;

/// FT.AGGREGATE.
pub const AGGREGATE: Command = Command {
    name: "FT.AGGREGATE",
    summary: "Filters, computes, groups and sorts what a query finds",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    args: docs::aggregate::AGGREGATE,
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: aggregate,
    ..Command::DEFAULT
};

fn aggregate(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let request = Request::read(&args[2..])?;
    let cursor_options = request.cursor;
    if cursor_options.is_some() {
        cursor::check_limit(args[0])?;
    }
    source::refresh_faded(ctx, args[0]);
    let mut work = Work::new(args[0], args[1], request)?;
    permission::check(ctx, work.snapshot.schema(), Access::Read)?;
    let steps = work.cost();
    let receiver = Receiver::new(ctx, args[0], cursor_options);
    if pool::takes(ctx, steps) {
        return pool::search(ctx, move |client| match work.run() {
            Ok(answer) if answer.is_long(receiver.count) => {
                pool::read_next(move || receiver.answer_apart(client, answer));
            }
            Ok(answer) => client.unblock(move |ctx| receiver.answer_here(ctx, answer)),
            Err(error) => client.reply(Err(error.into())),
        });
    }
    let answer = work.run()?;
    receiver.answer(ctx, answer)
}

/// What one command may hold.
pub(super) fn limits() -> Limits {
    Limits {
        groups: settings::size(&settings::MAX_AGGREGATE_GROUPS),
        bytes: settings::size(&settings::MAX_AGGREGATE_MEMORY),
    }
}

/// Who gets rows, and what becomes of the others.
pub(super) struct Receiver {
    /// How many it gets at most.
    pub(super) count: usize,
    /// The cursor that keeps the others; without one they are dropped.
    pub(super) place: Option<cursor::Place>,
    pub(super) is_resp3: bool,
}

impl Receiver {
    fn new(ctx: &Context<'_>, index: &[u8], cursor: Option<cursor::Options>) -> Receiver {
        let place = cursor.map(|options| cursor::Place::new(index, options));
        let count = match &place {
            Some(place) => place.count(),
            None => settings::size(&settings::MAX_AGGREGATE_RESULTS),
        };
        Receiver { count, place, is_resp3: ctx.is_resp3() }
    }

    /// Loads what is left to be loaded and replies, on a thread of the module's own if there is much to do.
    pub(super) fn answer(self, ctx: &mut Context<'_>, answer: Answer) -> CommandResult {
        match pool::takes(ctx, answer.cost(self.count)) {
            true => pool::read(ctx, move |client| self.answer_apart(client, answer)),
            false => self.answer_here(ctx, answer),
        }
    }

    /// The same under the server's lock.
    fn answer_here(self, ctx: &mut Context<'_>, mut answer: Answer) -> CommandResult {
        let rows = answer.take(ctx, self.count)?;
        self.admit(&answer)?;
        let watch = self.place.as_ref().map(|place| place.watch(ctx));
        self.write(ctx.reply(), &rows, answer, watch.as_ref());
        Ok(Reply::Written)
    }

    /// The same on a thread for which a client waits: keys are read in short holds of the lock, and the reply is written without
    /// it.
    fn answer_apart(self, client: BlockedClient, mut answer: Answer) {
        let schema = Arc::clone(&answer.schema);
        let Some(mut loader) = SlicedLoader::new(&client, &schema, answer.dialect) else {
            return client.unblock(move |ctx| self.answer_here(ctx, answer));
        };
        let rows = answer.pipeline.take(self.count, &mut loader);
        let rows = rows.and_then(|rows| self.admit(&answer).map(|()| rows));
        let watched = rows.map_err(ReplyError::from).and_then(|rows| {
            let watch = |place: &cursor::Place| client.lock(|ctx| place.watch(ctx));
            Ok((rows, self.place.as_ref().map(watch).transpose()?))
        });
        match watched {
            Err(error) => client.reply(Err(error)),
            Ok((rows, watch)) => client.reply_with(|writer| {
                self.write(writer, &rows, answer, watch.as_ref());
                Ok(Reply::Written)
            }),
        }
    }

    /// Refuses what must not be replied.
    fn admit(&self, answer: &Answer) -> Result<(), Error> {
        answer.check_time(self.is_resp3)?;
        self.place.as_ref().map_or(Ok(()), |place| place.admit(answer))
    }

    /// Writes the reply; with a cursor, its number behind the rows.
    fn write(
        self,
        writer: Writer<'_>,
        rows: &Taken,
        answer: Answer,
        watch: Option<&cursor::Watch>,
    ) {
        let kept = self.place.zip(watch);
        if kept.is_some() {
            writer.array(2);
        }
        match self.is_resp3 {
            true => answer.write_map(writer, rows),
            false => answer.write_list(writer, rows),
        }
        if let Some((place, watch)) = kept {
            writer.int(place.keep(answer, watch));
        }
    }
}

/// What FT.AGGREGATE was asked for, behind the query.
pub struct Request<'a> {
    options: Options<'a>,
    steps: Vec<Step<'a>>,
    add_scores: bool,
    with_count: bool,
    /// WITHCURSOR.
    pub cursor: Option<cursor::Options>,
}

impl<'a> Request<'a> {
    /// Reads it.
    pub fn read(items: &'a [&'a [u8]]) -> Result<Request<'a>, Error> {
        let mut args = Args::new(items);
        let mut request = Request {
            options: Options::none(),
            steps: Vec::new(),
            add_scores: false,
            with_count: false,
            cursor: None,
        };
        while !args.is_empty() {
            if let Some(word) = of_search(&args) {
                return Err(Error::Unsupported(format!("{word} on FT.AGGREGATE")));
            }
            // FILTER, LIMIT and SORTBY are steps here, so steps are looked for first.
            let known = steps::take(&mut request.steps, &mut args)?
                || request.take(&mut args)?
                || request.options.take(&mut args)?;
            if !known {
                let place = items.len() - args.len() + 1;
                let word = lossy(args.peek().unwrap_or_default());
                return Err(Error::UnknownArgumentAt(word, place));
            }
        }
        steps::check_rows(
            &request.steps,
            settings::size(&settings::MAX_AGGREGATE_RESULTS),
            settings::size(&settings::MAX_SEARCH_RESULTS),
        )?;
        Ok(request)
    }

    fn take(&mut self, args: &mut Args<'a>) -> Result<bool, Error> {
        if args.take("ADDSCORES") {
            self.add_scores = true;
        } else if args.take("WITHCOUNT") {
            self.with_count = true;
        } else if args.take("WITHOUTCOUNT") {
            self.with_count = false;
        } else if args.take("WITHCURSOR") {
            self.cursor = Some(cursor::Options::read(args)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// Options of FT.SEARCH that mean nothing here.
fn of_search(args: &Args<'_>) -> Option<&'static str> {
    const WORDS: [&str; 9] = [
        "SUMMARIZE",
        "HIGHLIGHT",
        "RETURN",
        "NOCONTENT",
        "WITHSCORES",
        "WITHPAYLOADS",
        "WITHSORTKEYS",
        "EXPLAINSCORE",
        "GEOFILTER",
    ];
    let arg = args.peek()?;
    WORDS.into_iter().find(|word| arg.eq_ignore_ascii_case(word.as_bytes()))
}

/// A request that can be run anywhere.
pub(super) struct Work {
    pub(super) snapshot: Arc<Snapshot>,
    /// Shared with those who measure what its steps cost.
    pub(super) plan: Arc<Plan>,
    pub(super) leaves: Option<Arc<Leaves>>,
    only: Option<Vec<u32>>,
    scorer: Scorer,
    pipeline: Pipeline,
    pub(super) deadline: Deadline,
    dialect: u32,
    /// See [`Options::timeout_ms`].
    timeout_ms: Option<u64>,
}

impl Work {
    pub(super) fn new(name: &[u8], query: &[u8], request: Request<'_>) -> Result<Work, Error> {
        let Request { options, steps, add_scores, with_count, .. } = request;
        let deadline = search::deadline(options.timeout_ms);
        let (snapshot, only) = registry::with(|all| {
            let entry = all.get(name).ok_or_else(|| Error::NoSuchIndex(lossy(name)))?;
            entry.count_query(options.dialect);
            entry.index.before_search(registry::now_ms());
            let only = options.in_keys.map(|keys| entry.index.numbers(keys));
            Ok::<_, Error>((entry.index.snapshot(), only))
        })?;
        let schema = snapshot.schema();
        let plan = search::prepare(schema, query, &options)?;
        let dialect = options.dialect;
        let binding = binding::Options { add_scores, dialect, limits: limits() };
        let bound = binding::bind(schema, &plan, steps, binding)?;
        Ok(Work {
            plan: Arc::new(plan),
            leaves: None,
            only,
            scorer: options.scorer,
            pipeline: Pipeline::new(bound, with_count, deadline),
            deadline,
            dialect: options.dialect,
            timeout_ms: options.timeout_ms,
            snapshot,
        })
    }

    /// About how many steps it will take; see [`crate::index::task::Task::cost`].
    fn cost(&mut self) -> u64 {
        let look_up = self.snapshot.look_up_cost(&self.plan);
        if look_up > pool::INLINE_STEPS_MAX {
            return look_up;
        }
        let leaves = self.snapshot.look_up(&self.plan, &mut self.deadline);
        let run = self.snapshot.run_cost(&self.plan, &leaves);
        self.leaves = Some(Arc::new(leaves));
        let run = self.only.as_ref().map_or(run, |only| run.min(only.len() as u64));
        // A row that goes through stages costs more than one that is only found.
        run.saturating_mul(STEPS_OF_ROW)
    }

    /// Runs the matches through the part of the pipeline that needs the index alone.
    fn run(self) -> Result<Answer, Error> {
        self.run_measured(None)
    }

    /// The same, and measures what the parts of the query cost.
    pub(super) fn run_measured(self, profile: Option<&Profile<'_>>) -> Result<Answer, Error> {
        let Work { snapshot, plan, leaves, only, scorer, mut pipeline, mut deadline, .. } = self;
        let leaves = leaves.unwrap_or_else(|| Arc::new(snapshot.look_up(&plan, &mut deadline)));
        let mut visit = Visit {
            plan: &plan,
            scorer: pipeline.wants_scores().then_some(scorer),
            score_divisor: 1.0,
            with_terms: pipeline.wants_terms(),
            only: only.as_deref(),
            profile: None,
        };
        if visit.scorer == Some(Scorer::Bm25StdNorm) {
            let mut greatest = Greatest(0.0);
            snapshot.visit(&visit, &leaves, &mut greatest, &mut deadline);
            if greatest.0 > 0.0 {
                visit.score_divisor = greatest.0;
            }
        }
        visit.profile = profile;
        pipeline.set_deadline(deadline);
        pipeline.feed(&snapshot, &visit, &leaves)?;
        Ok(Answer {
            pipeline,
            schema: Arc::clone(snapshot.schema()),
            dialect: self.dialect,
            timeout_ms: self.timeout_ms,
            cut: leaves.cut(),
        })
    }
}

/// The best score of all.
struct Greatest(f64);

impl<'a> Sink<'a> for Greatest {
    fn take(&mut self, batch: Batch<'a, '_>) -> bool {
        self.0 = batch.scores.iter().copied().fold(self.0, f64::max);
        true
    }
}

/// Rows that wait to be taken.
pub struct Answer {
    pipeline: Pipeline,
    schema: Arc<Schema>,
    dialect: u32,
    timeout_ms: Option<u64>,
    /// A shape of the query stood for more terms than may be used.
    cut: bool,
}

impl Answer {
    /// Rows that were found by other means.
    pub fn of_rows(
        pipeline: Pipeline,
        schema: Arc<Schema>,
        dialect: u32,
        timeout_ms: Option<u64>,
    ) -> Answer {
        Answer { pipeline, schema, dialect, timeout_ms, cut: false }
    }

    /// The index that they are of.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// What the rows run through.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// About how many steps taking and writing `count` rows will cost, in those of [`pool::INLINE_STEPS_MAX`].
    fn cost(&self, count: usize) -> u64 {
        let loads = self.pipeline.loads(count) as u64;
        let rows = self.pipeline.rows_max(count) as u64;
        let writing = rows.saturating_mul(pool::STEPS_OF_REPLY);
        loads.saturating_mul(pool::STEPS_OF_LOAD).saturating_add(writing)
    }

    /// Whether that is too much for the server's thread.
    fn is_long(&self, count: usize) -> bool {
        self.cost(count) > pool::INLINE_STEPS_MAX
    }

    /// Bytes that the rows which wait take.
    pub fn memory(&self) -> usize {
        self.pipeline.memory()
    }

    /// The next rows, at most `count`.
    pub fn take(&mut self, ctx: &mut Context<'_>, count: usize) -> Result<Taken, ReplyError> {
        let schema = Arc::clone(&self.schema);
        let rows = source::in_db(ctx, schema.db, |ctx| {
            let mut loader = KeyLoader::new(ctx, &schema, self.dialect);
            self.pipeline.take(count, &mut loader).map_err(ReplyError::from)
        })?;
        self.check_time(ctx.is_resp3())?;
        Ok(rows)
    }

    /// Refuses rows that are not complete where that cannot be said; see `commands/search.rs`.
    fn check_time(&self, is_resp3: bool) -> Result<(), Error> {
        let can_tell = is_resp3 || self.timeout_ms.is_some();
        match self.pipeline.timed_out() && (settings::fails_on_timeout() || !can_tell) {
            true => Err(Error::Text(TIMED_OUT)),
            false => Ok(()),
        }
    }

    /// Gives the next part of the work its time.
    pub fn restart_clock(&mut self) {
        self.pipeline.set_deadline(search::deadline(self.timeout_ms));
    }

    /// Whether there may be more rows.
    pub fn has_more(&self) -> bool {
        self.pipeline.has_more() && !self.pipeline.timed_out()
    }

    /// RESP2: the total, then the rows.
    pub(super) fn write_list(&self, writer: Writer<'_>, rows: &Taken) {
        writer.array(1 + rows.len());
        writer.int(i64::try_from(self.pipeline.total()).unwrap_or(i64::MAX));
        self.pipeline.each_row(rows, |row: &Row<'_>| {
            let fields = self.pipeline.fields(row);
            writer.array(fields.clone().count() * 2);
            for (name, value) in fields {
                writer.bulk(name);
                write_value(writer, value);
            }
        });
    }

    /// RESP3: maps.
    fn write_map(&self, writer: Writer<'_>, rows: &Taken) {
        writer.map(Answer::PAIRS);
        self.write_pairs(writer, rows);
    }

    /// How many pairs [`Answer::write_pairs`] writes.
    pub(super) const PAIRS: usize = 5;

    /// The pairs of the map.
    pub(super) fn write_pairs(&self, writer: Writer<'_>, rows: &Taken) {
        writer.simple("attributes");
        writer.array(0);
        writer.simple("warning");
        let warnings = self.warnings();
        writer.array(warnings.len());
        warnings.iter().for_each(|warning| writer.simple(warning));
        writer.simple("total_results");
        writer.int(i64::try_from(self.pipeline.total()).unwrap_or(i64::MAX));
        writer.simple("format");
        writer.simple("STRING");
        writer.simple("results");
        writer.array(rows.len());
        self.pipeline.each_row(rows, |row: &Row<'_>| {
            writer.map(2);
            writer.simple("extra_attributes");
            let fields = self.pipeline.fields(row);
            writer.map(fields.clone().count());
            for (name, value) in fields {
                writer.bulk(name);
                write_value(writer, value);
            }
            writer.simple("values");
            writer.array(0);
        });
    }

    pub(super) fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.pipeline.timed_out() {
            warnings.push(TIMED_OUT);
        }
        if self.cut {
            warnings.push("Max prefix expansions limit was reached");
        }
        warnings
    }
}

/// Writes one value.
pub fn write_value(writer: Writer<'_>, value: &Value<'_>) {
    match value {
        Value::Null => writer.null(),
        Value::Number(number) => writer.bulk(number_text(*number)),
        Value::Text(text) => writer.bulk(text),
        Value::List(items) => {
            writer.array(items.len());
            items.iter().for_each(|item| write_value(writer, item));
        }
        Value::Several(several) => writer.bulk(&several.shown),
        Value::Map(entries) => {
            writer.map(entries.len());
            for (name, value) in entries.iter() {
                writer.bulk(name);
                write_value(writer, value);
            }
        }
    }
}

/// An option that must be a positive whole number.
pub fn positive(args: &mut Args<'_>, name: &str) -> Result<u64, Error> {
    let number = args.integer(name)?;
    let number = u64::try_from(number).ok().filter(|number| *number > 0);
    number.ok_or_else(|| Error::BadArgument(name.to_owned(), ArgumentError::Limit))
}
