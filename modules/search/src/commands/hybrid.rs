//! FT.HYBRID.

mod fusion;
mod request;

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::args::lossy;
use crate::commands::hybrid::fusion::{Fused, fuse, nearness};
use crate::commands::hybrid::request::{Ask, Order, Request, read};
use crate::commands::search::{TIMED_OUT, load_one};
use crate::commands::{bytes, permission};
use crate::error::Error;
use crate::index::deadline::Deadline;
use crate::index::search::{Found, Order as SearchOrder, SortValue};
use crate::index::snapshot::Snapshot;
use crate::index::task::Task;
use crate::query::ast::{Kind, Node, VectorClause};
use crate::query::parser::{Context as ParseContext, parse};
use crate::query::plan::{Options as PlanOptions, Plan, plan};
use crate::schema::{ALL_FIELDS, FieldKind, Schema};
use crate::vector::{Metric, number_text};
use crate::{pool, registry, settings};

/// FT.HYBRID.
pub const HYBRID: Command = Command {
    name: "FT.HYBRID",
    since: "8.4.0",
    summary: "Performs hybrid search combining text search and vector similarity",
    complexity: "O(N+M) where N is the complexity of the text search and M is the complexity of the vector search",
    arity: Arity::AtLeast(7),
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
    let mut searches = searches(args[0], &request)?;
    permission::check(ctx, searches.words.snapshot.schema(), Access::Read)?;
    let steps =
        searches.words.cost(pool::INLINE_STEPS_MAX) + searches.vector.cost(pool::INLINE_STEPS_MAX);
    if !pool::takes(ctx, steps) {
        let found = searches.run();
        return answer(ctx, &found, &request, start);
    }
    let argv: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
    pool::run(
        ctx,
        move || searches.run(),
        move |ctx, found| {
            let args: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
            answer(ctx, &found, &read(&args[1..])?, start)
        },
    )
}

/// The two searches of a command.
struct Searches {
    words: Task,
    vector: Task,
    metric: Metric,
}

/// What they found.
struct Both {
    snapshot: Arc<Snapshot>,
    words: Found,
    vector: Found,
    metric: Metric,
}

impl Searches {
    fn run(&self) -> Both {
        let words = self.words.run();
        let vector = self.vector.run();
        Both { snapshot: Arc::clone(&self.words.snapshot), words, vector, metric: self.metric }
    }
}

fn searches(name: &[u8], request: &Request<'_>) -> Result<Searches, Error> {
    let time = match request.timeout_ms {
        Some(0) => None,
        Some(ms) => Some(Duration::from_millis(ms)),
        None => settings::timeout(),
    };
    let deadline = time.map_or(Deadline::NONE, Deadline::after);
    let snapshot = registry::with(|all| {
        let entry = all.get(name).ok_or_else(|| Error::NoSuchIndex(lossy(name)))?;
        entry.uses += 1;
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
        plan,
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

/// A row: the document, and what is shown of it.
struct Row {
    fused: Fused,
    key: Vec<u8>,
}

fn answer(
    ctx: &mut Context<'_>,
    found: &Both,
    request: &Request<'_>,
    start: Instant,
) -> CommandResult {
    if (found.words.timed_out || found.vector.timed_out) && settings::fails_on_timeout() {
        return Err(Error::Text(TIMED_OUT).into());
    }
    let schema = found.snapshot.schema();
    if ctx.db() != schema.db {
        ctx.select_db(schema.db)?;
    }
    let words: Vec<(u32, f64)> =
        found.words.hits.iter().map(|hit| (hit.number, hit.score)).collect();
    let nearness = |value: &SortValue| match value {
        SortValue::Number(distance) => nearness(found.metric, *distance),
        SortValue::Absent | SortValue::Text(_) => 0.0,
    };
    let vector: Vec<(u32, f64)> =
        found.vector.hits.iter().map(|hit| (hit.number, nearness(&hit.sort_value))).collect();
    let fused = fuse(request.method, &words, &vector);
    let rows = fused
        .into_iter()
        .map(|fused| Row { key: found.snapshot.key(fused.number).to_vec(), fused });
    // Keys may have gone since the index was looked at.
    let mut rows: Vec<Row> = rows.filter(|row| ctx.open_read(&row.key).exists()).collect();
    if let Order::By(keys) = &request.order {
        sort(ctx, schema, request, &mut rows, keys);
    }
    let total = rows.len();
    let page = rows.iter().skip(request.offset).take(request.limit);
    let page: Vec<_> = page.map(|row| fields(ctx, schema, request, row)).collect();
    write(ctx, total, &page, found, start);
    Ok(Reply::Written)
}

type Fields<'a> = Vec<(&'a [u8], Vec<u8>)>;

/// What is shown of a row: what was asked for, else its key and score; and the scores that have names.
fn fields<'a>(
    ctx: &mut Context<'_>,
    schema: &Schema,
    request: &Request<'a>,
    row: &Row,
) -> Fields<'a> {
    let mut fields: Fields<'a> = Vec::new();
    match &request.loaded {
        None => {
            fields.push((b"__key", row.key.clone()));
            if request.alias.is_none() {
                fields.push((b"__score", number_text(row.fused.score)));
            }
        }
        Some(wanted) => {
            for wanted in wanted {
                if let Some(value) = property(ctx, schema, request, row, wanted.path) {
                    fields.push((wanted.name, value));
                }
            }
        }
    }
    let named = [
        (request.search_alias, row.fused.by_words),
        (request.vector.alias, row.fused.by_vector),
        (request.alias, Some(row.fused.score)),
    ];
    for (name, score) in named {
        if let (Some(name), Some(score)) = (name, score)
            && !fields.iter().any(|(known, _)| *known == name)
        {
            fields.push((name, number_text(score)));
        }
    }
    fields
}

/// The value of a property of a row: its key, one of its scores, or a field.
fn property(
    ctx: &mut Context<'_>,
    schema: &Schema,
    request: &Request<'_>,
    row: &Row,
    name: &[u8],
) -> Option<Vec<u8>> {
    let given = |alias: Option<&[u8]>| alias == Some(name);
    if name == b"__key" {
        return Some(row.key.clone());
    }
    if given(request.alias) || name == b"__score" && request.alias.is_none() {
        return Some(number_text(row.fused.score));
    }
    if given(request.search_alias) {
        return row.fused.by_words.map(number_text);
    }
    if given(request.vector.alias) {
        return row.fused.by_vector.map(number_text);
    }
    let path = schema.field(name).map_or(name, |(_, field)| &field.path);
    load_one(ctx, schema, &row.key, path, DIALECT)
}

fn sort(
    ctx: &mut Context<'_>,
    schema: &Schema,
    request: &Request<'_>,
    rows: &mut [Row],
    keys: &[(&[u8], bool)],
) {
    // A loaded property goes by the name that it was given.
    let path = |name| {
        let loaded = request.loaded.iter().flatten().find(|field| field.name == name);
        loaded.map_or(name, |field| field.path)
    };
    let mut values: std::collections::HashMap<u32, Vec<SortValue>> =
        std::collections::HashMap::with_capacity(rows.len());
    for row in &*rows {
        let of_row =
            keys.iter().map(|(name, _)| match property(ctx, schema, request, row, path(*name)) {
                None => SortValue::Absent,
                Some(text) => match crate::args::parse_number(&text) {
                    Some(number) => SortValue::Number(number),
                    None => SortValue::Text(text),
                },
            });
        values.insert(row.fused.number, of_row.collect());
    }
    rows.sort_by(|a, b| {
        let (left, right) = (&values[&a.fused.number], &values[&b.fused.number]);
        let orders = keys.iter().zip(left.iter().zip(right)).map(|((_, descending), (l, r))| {
            // Numbers that are the same leave it to the next property.
            l.order(0, r, 0, *descending)
        });
        orders.fold(Ordering::Equal, Ordering::then)
    });
}

fn write(ctx: &Context<'_>, total: usize, page: &[Fields<'_>], found: &Both, start: Instant) {
    let writer = ctx.reply();
    writer.map(4);
    writer.simple("total_results");
    writer.int(i64::try_from(total).unwrap_or(i64::MAX));
    writer.simple("results");
    writer.array(page.len());
    for fields in page {
        writer.map(fields.len());
        for (name, value) in fields {
            writer.bulk(name);
            writer.bulk(value);
        }
    }
    writer.simple("warnings");
    let mut warnings = Vec::new();
    for (found, which) in [(&found.words, "SEARCH"), (&found.vector, "VSIM")] {
        if found.timed_out {
            warnings.push(format!("{TIMED_OUT} ({which})"));
        }
        if found.cut {
            warnings.push(format!("Max prefix expansions limit was reached ({which})"));
        }
    }
    writer.array(warnings.len());
    warnings.iter().for_each(|warning| writer.simple(warning));
    writer.simple("execution_time");
    writer.double(start.elapsed().as_secs_f64() * 1000.0);
}
