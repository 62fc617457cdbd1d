//! FT.AGGREGATE.
//!
//! What needs only the index is done while the index is held; values of keys are loaded afterwards, since the server
//! must not be asked while it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mortise_module::{Arg, Arity, Command, CommandResult, Context, Flag, Reply, Writer};

use crate::aggregate::Row;
use crate::aggregate::binding::{self, Bound};
use crate::aggregate::pipeline::Pipeline;
use crate::aggregate::steps::{self, Step};
use crate::args::{Args, lossy, parse_integer};
use crate::commands::loading::KeyLoader;
use crate::commands::options::Options;
use crate::commands::{bytes, cursor, search};
use crate::error::{ArgumentError, Error};
use crate::expression::value::{Value, number_text};
use crate::index::Index;
use crate::index::visit::{Batch, Sink, Visit};
use crate::registry;
use crate::schema::Schema;
use crate::score::Scorer;

/// FT.AGGREGATE.
pub const AGGREGATE: Command = Command {
    name: "FT.AGGREGATE",
    summary: "Run a search query on an index and perform aggregate transformations on the results",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
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
    let mut answer = run(ctx, args[0], args[1], request)?;
    match cursor_options {
        None => {
            let rows = answer.take(ctx, usize::MAX)?;
            answer.write(ctx, &rows);
        }
        Some(options) => {
            let rows = answer.take(ctx, options.count)?;
            ctx.reply().array(2);
            answer.write(ctx, &rows);
            let id = cursor::keep(ctx, args[0], options, answer);
            ctx.reply().int(id);
        }
    }
    Ok(Reply::Written)
}

/// What FT.AGGREGATE was asked for, behind the query.
pub struct Request<'a> {
    options: Options<'a>,
    steps: Vec<Step<'a>>,
    add_scores: bool,
    with_count: bool,
    timeout: Option<Duration>,
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
            timeout: None,
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
        Ok(request)
    }

    fn take(&mut self, args: &mut Args<'a>) -> Result<bool, Error> {
        if args.take("ADDSCORES") {
            self.add_scores = true;
        } else if args.take("WITHCOUNT") {
            self.with_count = true;
        } else if args.take("WITHOUTCOUNT") {
            self.with_count = false;
        } else if args.take("TIMEOUT") {
            self.timeout = timeout(args)?;
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

fn timeout(args: &mut Args<'_>) -> Result<Option<Duration>, Error> {
    let value = args.next_arg().ok_or(Error::Text("Need argument for TIMEOUT"))?;
    let ms = parse_integer(value).and_then(|ms| u64::try_from(ms).ok());
    let ms = ms.ok_or(Error::Text("TIMEOUT requires a non negative integer"))?;
    Ok((ms > 0).then(|| Duration::from_millis(ms)))
}

/// Rows that wait to be taken.
pub struct Answer {
    pipeline: Pipeline,
    schema: Arc<Schema>,
    dialect: u32,
    timeout: Option<Duration>,
    /// A shape of the query stood for more terms than may be used.
    cut: bool,
}

/// Finds the rows.
pub fn run(
    ctx: &mut Context<'_>,
    name: &[u8],
    query: &[u8],
    request: Request<'_>,
) -> Result<Answer, Error> {
    let Request { options, steps, add_scores, with_count, timeout, .. } = request;
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let answer = registry::with(|all| {
        let entry = all.get(name).ok_or_else(|| Error::NoSuchIndex(lossy(name)))?;
        entry.uses += 1;
        entry.index.before_search(registry::now_ms());
        let schema = Arc::clone(entry.index.schema());
        let bound = binding::bind(&schema, steps, add_scores, options.dialect)?;
        let (pipeline, cut) = feed(&entry.index, query, &options, bound, with_count, deadline)?;
        let dialect = options.dialect;
        Ok::<_, Error>(Answer { pipeline, schema, dialect, timeout, cut })
    });
    let _ = ctx;
    answer
}

/// Runs the matches of a query through the part of the pipeline that needs the index alone.
fn feed(
    index: &Index,
    query: &[u8],
    options: &Options<'_>,
    bound: Bound,
    with_count: bool,
    deadline: Option<Instant>,
) -> Result<(Pipeline, bool), Error> {
    let plan = search::prepare(index.schema(), query, options)?;
    let mut pipeline = Pipeline::new(bound, with_count, deadline);
    let mut visit = Visit {
        plan: &plan,
        scorer: pipeline.wants_scores().then_some(options.scorer),
        score_divisor: 1.0,
        with_terms: pipeline.wants_terms(),
        keys: options.in_keys,
    };
    if visit.scorer == Some(Scorer::Bm25StdNorm) {
        let mut greatest = Greatest(0.0);
        index.visit(&visit, &mut greatest);
        if greatest.0 > 0.0 {
            visit.score_divisor = greatest.0;
        }
    }
    let cut = pipeline.feed(index, &visit)?;
    Ok((pipeline, cut))
}

/// The best score of all.
struct Greatest(f64);

impl<'a> Sink<'a> for Greatest {
    fn take(&mut self, batch: Batch<'a, '_>) -> bool {
        self.0 = batch.scores.iter().copied().fold(self.0, f64::max);
        true
    }
}

impl Answer {
    /// The next rows, at most `count`.
    pub fn take(
        &mut self,
        ctx: &mut Context<'_>,
        count: usize,
    ) -> Result<Vec<Row<'static>>, Error> {
        let mut loader = KeyLoader::new(ctx, &self.schema, self.dialect);
        self.pipeline.take(count, &mut loader)
    }

    /// Gives the next part of the work its time.
    pub fn restart_clock(&mut self) {
        self.pipeline.set_deadline(self.timeout.map(|timeout| Instant::now() + timeout));
    }

    /// Whether there may be more rows.
    pub fn has_more(&self) -> bool {
        self.pipeline.has_more() && !self.pipeline.timed_out()
    }

    /// Writes rows as a reply, or as the first part of a cursor's.
    pub fn write(&self, ctx: &Context<'_>, rows: &[Row<'static>]) {
        match ctx.is_resp3() {
            true => self.write_map(ctx.reply(), rows),
            false => self.write_list(ctx.reply(), rows),
        }
    }

    /// RESP2: the total, then the rows.
    fn write_list(&self, writer: Writer<'_>, rows: &[Row<'static>]) {
        writer.array(1 + rows.len());
        writer.int(i64::try_from(self.pipeline.total()).unwrap_or(i64::MAX));
        for row in rows {
            let fields = self.pipeline.fields(row);
            writer.array(fields.clone().count() * 2);
            for (name, value) in fields {
                writer.bulk(name);
                write_value(writer, value);
            }
        }
    }

    /// RESP3: maps.
    fn write_map(&self, writer: Writer<'_>, rows: &[Row<'static>]) {
        writer.map(5);
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
        for row in rows {
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
        }
    }

    fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.pipeline.timed_out() {
            warnings.push("Timeout limit was reached");
        }
        if self.cut {
            warnings.push("Max prefix expansions limit was reached");
        }
        warnings
    }
}

fn write_value(writer: Writer<'_>, value: &Value<'_>) {
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
