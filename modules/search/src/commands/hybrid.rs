//! FT.HYBRID.

mod explaining;
mod fusion;
mod profiled;
mod request;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply, Writer};

use crate::aggregate::Row;
use crate::aggregate::binding::{KEY, Options, SCORE, bind_rows};
use crate::aggregate::pipeline::{Pipeline, Taken};
use crate::aggregate::steps::Step;
use crate::args::lossy;
use crate::commands::aggregate::{Answer, limits, write_value};
use crate::commands::hybrid::fusion::{Fused, fuse, nearness};
use crate::commands::hybrid::request::{Ask, Request, read};
use crate::commands::search::TIMED_OUT;
use crate::commands::{bytes, cursor, permission, search};
use crate::docs;
use crate::error::Error;
use crate::expression::value::Value;
use crate::index::explanation::Explanation;
use crate::index::search::{Found, Order as SearchOrder, SortValue};
use crate::index::snapshot::Snapshot;
use crate::index::task::Task;
use crate::query::ast::{Kind, Node, VectorClause};
use crate::query::expand::Expander;
use crate::query::parser::{Context as ParseContext, parse};
use crate::query::plan::{Options as PlanOptions, Plan, plan};
use crate::schema::{ALL_FIELDS, FieldKind, Schema};
use crate::vector::Metric;
use crate::{pool, registry, settings, source};

/// FT.HYBRID.
pub const HYBRID: Command = Command {
    name: "FT.HYBRID",
    since: "8.4.0",
    summary: "Merges what words find with what is near a vector",
    complexity: "O(N+M) where N is the complexity of the text search and M is the complexity of the vector search",
    arity: Arity::AtLeast(7),
    args: docs::hybrid::HYBRID,
    tips: docs::TIPS,
    history: docs::HYBRID_HISTORY,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: hybrid,
    ..Command::DEFAULT
};

/// The grammar of both queries: vectors need it.
const DIALECT: u32 = 2;

fn hybrid(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let start = Instant::now();
    let args = bytes(args);
    let request = read(&args[1..])?;
    source::refresh_faded(ctx, args[0]);
    let mut searches = searches(args[0], &request)?;
    permission::check(ctx, searches.words.snapshot.schema(), Access::Read)?;
    let steps =
        searches.words.cost(pool::INLINE_STEPS_MAX) + searches.vector.cost(pool::INLINE_STEPS_MAX);
    if !pool::takes(ctx, steps) {
        let found = searches.run();
        return answer(ctx, args[0], &found, request, start);
    }
    let argv: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
    pool::run(
        ctx,
        move || searches.run(),
        move |ctx, found| {
            let args: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
            answer(ctx, args[0], &found, read(&args[1..])?, start)
        },
    )
}

/// FT.PROFILE of it.
pub(super) use profiled::profile;

/// The two searches of a command.
struct Searches {
    words: Task,
    vector: Task,
    metric: Metric,
}

/// What they found.
struct Both {
    searches: Searches,
    words: Found,
    vector: Found,
}

impl Searches {
    fn run(self) -> Both {
        let (words, vector) = (self.words.run(), self.vector.run());
        Both { searches: self, words, vector }
    }
}

impl Both {
    fn snapshot(&self) -> &Snapshot {
        &self.searches.words.snapshot
    }

    /// Both lists: documents and scores, the best first.
    fn lists(&self) -> [Vec<(u32, f64)>; 2] {
        let nearness = |value: &SortValue| match value {
            SortValue::Number(distance) => nearness(self.searches.metric, *distance),
            SortValue::Absent | SortValue::Text(_) => 0.0,
        };
        let words = self.words.hits.iter().map(|hit| (hit.number, hit.score));
        let vector = self.vector.hits.iter();
        [words.collect(), vector.map(|hit| (hit.number, nearness(&hit.sort_value))).collect()]
    }
}

fn searches(name: &[u8], request: &Request<'_>) -> Result<Searches, Error> {
    let deadline = search::deadline(request.timeout_ms);
    let snapshot = registry::with(|all| {
        let entry = all.get(name).ok_or_else(|| Error::NoSuchIndex(lossy(name)))?;
        entry.count_query(DIALECT);
        entry.index.before_search(registry::now_ms());
        Ok::<_, Error>(entry.index.snapshot())
    })?;
    let schema = snapshot.schema();
    let words = prepare(&parse_query(schema, request.query, request)?, schema)?;
    let (node, metric) = vector_node(schema, request)?;
    let vector = prepare(&node, schema)?;
    // The nearest are asked for last; a question for those within a distance is the first clause.
    let query = vector.nearest().unwrap_or(0);
    let task = |plan: Plan, order: SearchOrder| Task {
        plan: Arc::new(plan),
        only: None,
        scorer: request.scorer,
        with_scores: false,
        order,
        offset: 0,
        limit: request.window,
        deadline,
        leaves: None,
        snapshot: Arc::clone(&snapshot),
    };
    Ok(Searches {
        words: task(words, SearchOrder::Score),
        vector: task(vector, SearchOrder::Distance { query, descending: false }),
        metric,
    })
}

fn parse_query(schema: &Schema, query: &[u8], request: &Request<'_>) -> Result<Node, Error> {
    let context = ParseContext {
        schema,
        stop_words: &schema.stop_words,
        parameters: &request.parameters,
        dialect: DIALECT,
    };
    let node = parse(query, context)?;
    match node.kind {
        Kind::Nearest { .. } => {
            Err(Error::Text("Vector expressions are not allowed in hybrid search subqueries"))
        }
        _ => Ok(node),
    }
}

fn prepare(node: &Node, schema: &Schema) -> Result<Plan, Error> {
    let options = PlanOptions {
        verbatim: false,
        expander: Expander::default(),
        language: schema.language,
        fields: ALL_FIELDS,
        slop: None,
        in_order: false,
    };
    plan(node, schema, &options)
}

/// The search by a vector as a query.
fn vector_node(schema: &Schema, request: &Request<'_>) -> Result<(Node, Metric), Error> {
    let search = &request.vector;
    let (field, metric) = match schema.field(search.field) {
        None => {
            let name = lossy(search.field);
            return Err(Error::Formatted(format!("Unknown field: `{name}`")));
        }
        Some((number, field)) => match &field.kind {
            FieldKind::Vector { options, .. } => (number, options.metric),
            _ => {
                let text = format!("Expected a VECTOR field: `{}`", lossy(search.field));
                return Err(Error::Formatted(text));
            }
        },
    };
    let vector = request.parameters.get(search.parameter);
    let vector = vector.ok_or_else(|| Error::NoSuchParameter(lossy(search.parameter)))?.clone();
    let parameter = search.parameter.to_vec();
    let filter = search.filter.map(|filter| parse_query(schema, filter, request)).transpose()?;
    let filter = filter.filter(|filter| filter.kind != Kind::All);
    let clause = VectorClause { field, vector, parameter, ..VectorClause::default() };
    let node = match search.ask {
        Ask::Nearest { k, ef } => {
            let (clause, filter) = (VectorClause { ef, ..clause }, filter.map(Box::new));
            // More than are fused would be found in vain.
            Node::new(Kind::Nearest { clause, k: k.min(request.window), filter })
        }
        Ask::Within { radius, epsilon } => {
            let around =
                Node::new(Kind::Around { clause: VectorClause { epsilon, ..clause }, radius });
            match filter {
                None => around,
                Some(filter) => {
                    Node::new(Kind::And { children: vec![around, filter], exact: false })
                }
            }
        }
    };
    Ok((node, metric))
}

fn answer(
    ctx: &mut Context<'_>,
    name: &[u8],
    found: &Both,
    mut request: Request<'_>,
    start: Instant,
) -> CommandResult {
    let lists = found.lists();
    if let Some(options) = request.cursor {
        fail_if_late(found)?;
        return cursors(ctx, name, found, options, &request, lists);
    }
    let shown = complete(ctx, found, &mut request, lists)?;
    let writer = ctx.reply();
    writer.map(Shown::PAIRS);
    shown.write(writer, found, start);
    Ok(Reply::Written)
}

fn fail_if_late(found: &Both) -> Result<(), Error> {
    let late = found.words.timed_out || found.vector.timed_out;
    if late && settings::fails_on_timeout() { Err(Error::Text(TIMED_OUT)) } else { Ok(()) }
}

/// Rows as they are shown.
struct Shown<'r> {
    answer: Answer,
    rows: Taken,
    /// Names of what the rows bring that has not been asked for.
    hidden: Vec<&'r [u8]>,
    /// Fused scores and how they came about, by key, if that is wanted.
    explained: Option<HashMap<Vec<u8>, (f64, Explanation)>>,
    /// How many results were fused.
    fused: usize,
}

/// Fuses both lists and has the rows run through the steps.
fn complete<'r>(
    ctx: &mut Context<'_>,
    found: &Both,
    request: &mut Request<'r>,
    [words, vector]: [Vec<(u32, f64)>; 2],
) -> Result<Shown<'r>, mortise_module::Error> {
    fail_if_late(found)?;
    let fused = fuse(request.method, &words, &vector);
    let score: &[u8] = request.alias.unwrap_or(SCORE);
    let mut given = vec![KEY, score];
    given.extend(request.search_alias.iter().chain(&request.vector.alias));
    // What the rows bring is shown if it has been asked for, or nothing else has.
    let hides = |name: &[u8]| request.loads() && !request.loads_by_name(name);
    let mut hidden = Vec::new();
    if hides(KEY) {
        hidden.push(KEY);
    }
    if request.alias.is_none() && hides(SCORE) {
        hidden.push(SCORE);
    }
    let rows = fused.iter().map(|fused| {
        let mut values = vec![Some(fused.score)];
        values.extend(request.search_alias.map(|_| fused.by_words));
        values.extend(request.vector.alias.map(|_| fused.by_vector));
        row(found, fused.number, &values)
    });
    let rows = rows.collect();
    let steps = std::mem::take(&mut request.steps);
    let mut answer = post(found, &given, steps, request.timeout_ms, rows)?;
    let rows = answer.take(ctx, usize::MAX)?;
    let explained = request.explains.then(|| explain_rows(found, request, &fused, &rows));
    Ok(Shown { answer, rows, hidden, explained, fused: fused.len() })
}

/// How the rows that are shown got their scores.
fn explain_rows(
    found: &Both,
    request: &Request<'_>,
    fused: &[Fused],
    rows: &Taken,
) -> HashMap<Vec<u8>, (f64, Explanation)> {
    // Groups are no documents.
    let rows: &[Row<'static>] = match rows {
        Taken::Rows(rows) => rows,
        Taken::Groups(_) => &[],
    };
    let shown: HashSet<&[u8]> = rows.iter().filter_map(|row| row.key.as_deref()).collect();
    let fused = fused.iter().filter(|fused| shown.contains(found.snapshot().key(fused.number)));
    let words = fused.clone().filter(|fused| fused.by_words.is_some()).map(|fused| fused.number);
    let mut words = found.searches.words.explain(words).into_iter();
    let explained = fused.map(|fused| {
        let words = fused.by_words.and_then(|_| words.next()).unwrap_or_default();
        let explanation = explaining::explain(request, fused, words);
        (found.snapshot().key(fused.number).to_vec(), (fused.score, explanation))
    });
    explained.collect()
}

/// A row with its key and some scores, in the first slots.
fn row(found: &Both, number: u32, scores: &[Option<f64>]) -> Row<'static> {
    let key = found.snapshot().key(number).to_vec();
    let scores = scores.iter().map(|score| score.map(Value::Number));
    let mut slots = vec![Some(Value::Text(key.clone().into()))];
    slots.extend(scores);
    Row { slots, key: Some(Cow::Owned(key)) }
}

/// Rows in front of the steps that they run through. Keys that have gone since the index was looked at are left out
/// where the steps load from them.
fn post(
    found: &Both,
    given: &[&[u8]],
    steps: Vec<Step<'_>>,
    timeout_ms: Option<u64>,
    rows: Vec<Row<'static>>,
) -> Result<Answer, Error> {
    let schema = found.snapshot().schema();
    let options = Options { add_scores: false, dialect: DIALECT, limits: limits() };
    let bound = bind_rows(schema, given, steps, options)?;
    let mut pipeline = Pipeline::new(bound, false, search::deadline(timeout_ms));
    pipeline.push_rows(rows)?;
    Ok(Answer::of_rows(pipeline, Arc::clone(schema), DIALECT, timeout_ms))
}

/// Both lists as they are, to be read by cursors.
fn cursors(
    ctx: &mut Context<'_>,
    name: &[u8],
    found: &Both,
    options: cursor::Options,
    request: &Request<'_>,
    lists: [Vec<(u32, f64)>; 2],
) -> CommandResult {
    let mut answers = Vec::with_capacity(lists.len());
    for list in lists {
        let rows = list.iter().map(|(number, score)| row(found, *number, &[Some(*score)]));
        let rows = rows.collect();
        let answer = post(found, &[KEY, SCORE], Vec::new(), request.timeout_ms, rows)?;
        let place = cursor::Place::new(name, options);
        place.admit(&answer)?;
        answers.push((answer, place));
    }
    let writer = ctx.reply();
    writer.map(3);
    for ((answer, place), which) in answers.into_iter().zip(["SEARCH", "VSIM"]) {
        let watch = place.watch(ctx);
        let id = place.keep(answer, &watch);
        writer.simple(which);
        writer.int(id);
    }
    writer.simple("warnings");
    let warnings = warnings(found);
    writer.array(warnings.len());
    warnings.iter().for_each(|warning| writer.simple(warning));
    Ok(Reply::Written)
}

fn warnings(found: &Both) -> Vec<String> {
    let mut warnings = Vec::new();
    for (found, which) in [(&found.words, "SEARCH"), (&found.vector, "VSIM")] {
        if found.timed_out {
            warnings.push(format!("{TIMED_OUT} ({which})"));
        }
        if found.cut {
            warnings.push(format!("Max prefix expansions limit was reached ({which})"));
        }
    }
    warnings
}

impl Shown<'_> {
    /// How many pairs [`Shown::write`] writes.
    const PAIRS: usize = 4;

    /// The pairs of the reply.
    fn write(&self, writer: Writer<'_>, found: &Both, start: Instant) {
        let pipeline = self.answer.pipeline();
        writer.simple("total_results");
        writer.int(i64::try_from(pipeline.total()).unwrap_or(i64::MAX));
        writer.simple("results");
        writer.array(self.rows.len());
        pipeline.each_row(&self.rows, |row| self.write_row(writer, row));
        writer.simple("warnings");
        let mut warnings = warnings(found);
        if pipeline.timed_out() {
            warnings.push(format!("{TIMED_OUT} (POST PROCESSING)"));
        }
        writer.array(warnings.len());
        warnings.iter().for_each(|warning| writer.simple(warning));
        writer.simple("execution_time");
        writer.double(start.elapsed().as_secs_f64() * 1000.0);
    }

    fn write_row(&self, writer: Writer<'_>, row: &Row<'_>) {
        let pipeline = self.answer.pipeline();
        let shown = |name: &[u8]| pipeline.is_grouped() || !self.hidden.contains(&name);
        let fields = pipeline.fields(row).filter(|(name, _)| shown(name));
        let explained = self.explained.as_ref();
        let explained = explained.and_then(|explained| explained.get(row.key.as_deref()?));
        writer.map(fields.clone().count() + usize::from(explained.is_some()));
        if let Some((score, explanation)) = explained {
            writer.simple("score");
            writer.array(2);
            writer.double(*score);
            search::explain(writer, explanation);
        }
        for (name, value) in fields {
            writer.bulk(name);
            write_value(writer, value);
        }
    }
}
