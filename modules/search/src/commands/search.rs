//! FT.SEARCH.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Writer};

use crate::args::{lossy, parse_number};
use crate::commands::answering::{answer, answer_apart, answer_later, drop_vanished, reply_cost};
use crate::commands::loading::Reach;
use crate::commands::options::{self, Options};
use crate::commands::payloads::{payload, score_by_payload};
use crate::commands::{bytes, json_fields, permission};
use crate::docs;
use crate::error::Error;
use crate::expression::value::number_text;
use crate::highlight::{Limits, Wanted};
use crate::index::deadline::Deadline;
use crate::index::explanation::Explanation;
use crate::index::search::{Found, Hit, Order, SortKeys, SortValue};
use crate::index::task::Task;
use crate::query::ast::{Kind, Node};
use crate::query::parser::{Context as ParseContext, parse};
use crate::query::plan::{Options as PlanOptions, Plan, plan};
use crate::schema::{ALL_FIELDS, FieldKind, FieldMask, Schema, Source};
use crate::score::Scorer;
use crate::tokenize::{Language, StopWords, lower_bytes};
use crate::{pool, registry, settings, source};

/// FT.SEARCH.
pub const SEARCH: Command = Command {
    name: "FT.SEARCH",
    summary: "Finds documents, the best ones first",
    complexity: "O(N)",
    arity: Arity::AtLeast(3),
    args: docs::search::SEARCH,
    tips: docs::TIPS,
    history: docs::SEARCH_HISTORY,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: search,
    ..Command::DEFAULT
};

/// What is said of results that are not complete because the time was over.
pub(super) const TIMED_OUT: &str = "Timeout limit was reached";
/// Bytes of values that a reply may have, unless it may take any time: a field can be returned by a thousand names.
const REPLY_BYTES_MAX: u64 = 512 << 20;
/// Fields that are read at once, between two looks at the clock.
const FIELDS_AT_ONCE: usize = 64;

fn search(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let options = options::read(&args[2..])?;
    source::refresh_faded(ctx, args[0]);
    let (mut task, sorting) = task(&args, &options)?;
    permission::check(ctx, task.snapshot.schema(), Access::Read)?;
    let steps = task.cost(pool::INLINE_STEPS_MAX);
    let is_resp3 = ctx.is_resp3();
    let argv = |args: &[&[u8]]| args.iter().map(|arg| arg.to_vec()).collect();
    if pool::takes(ctx, steps) {
        let argv: Vec<Vec<u8>> = argv(&args);
        return pool::search(ctx, move |client| {
            let found = task.run();
            answer_later(client, task, found, sorting, argv, is_resp3);
        });
    }
    let found = task.run();
    if pool::takes(ctx, reply_cost(&found, &options)) {
        let argv = argv(&args);
        return pool::read(ctx, move |client| {
            answer_apart(client, task, found, sorting, argv, is_resp3);
        });
    }
    answer(ctx, &task, found, &sorting, &options)
}

/// Puts the results in order, if that is left to do, and reads what is shown of them.
pub(super) fn complete(
    reach: &mut Reach<'_, '_>,
    task: &Task,
    mut found: Found,
    sorting: &Sorting,
    options: &Options<'_>,
) -> Result<Answer, mortise_module::Error> {
    if found.timed_out {
        check_time(reach.is_resp3, options)?;
    }
    let schema = task.snapshot.schema();
    let in_order = match sorting {
        Sorting::Index => true,
        Sorting::Loaded { path, normalized } => {
            sort_by_loaded(reach, schema, &mut found, path, *normalized, options)?
        }
        Sorting::Payload => score_by_payload(reach, schema, &mut found, options)?,
    };
    // An order of which a part is missing would put anything first.
    if !in_order {
        return Err(Error::Text(TIMED_OUT).into());
    }
    load_all(reach, task, found, options)
}

/// What is not complete must say so, and RESP2 has no place for it: there only a client that has set itself a time gets
/// a part, as RediSearch gives it.
fn check_time(is_resp3: bool, options: &Options<'_>) -> Result<(), Error> {
    let can_tell = is_resp3 || options.timeout_ms.is_some();
    match settings::fails_on_timeout() || !can_tell {
        true => Err(Error::Text(TIMED_OUT)),
        false => Ok(()),
    }
}

/// Who puts the results in order.
pub(super) enum Sorting {
    /// The index.
    Index,
    /// This command, by a value that has to be read from the keys.
    Loaded { path: Box<[u8]>, normalized: bool },
    /// This command, by scores that payloads give.
    Payload,
}

/// The search that a command asks for: the index, the query, options.
pub(super) fn task(args: &[&[u8]], options: &Options<'_>) -> Result<(Task, Sorting), Error> {
    let deadline = deadline(options.timeout_ms);
    let (snapshot, only) = registry::with(|all| {
        let entry = all.get(args[0]).ok_or_else(|| Error::NoSuchIndex(lossy(args[0])))?;
        entry.count_query(options.dialect);
        entry.index.before_search(registry::now_ms());
        let only = options.in_keys.map(|keys| entry.index.numbers(keys));
        Ok::<_, Error>((entry.index.snapshot(), only))
    })?;
    let schema = snapshot.schema();
    options.excerpts.check(schema, options)?;
    let plan = prepare(schema, args[1], options)?;
    let (order, sorting) = order(schema, &plan, options)?;
    let (offset, limit) = match sorting {
        Sorting::Index => (options.offset, options.limit),
        Sorting::Loaded { .. } | Sorting::Payload if options.limit == 0 => (0, 0),
        Sorting::Loaded { .. } | Sorting::Payload => (0, usize::MAX),
    };
    let task = Task {
        plan: Arc::new(plan),
        only,
        scorer: options.scorer,
        with_scores: options.with_scores,
        order,
        offset,
        limit,
        deadline,
        leaves: None,
        snapshot,
    };
    Ok((task, sorting))
}

/// When a query has to be done: by its own word, or by the parameter.
pub fn deadline(timeout_ms: Option<u64>) -> Deadline {
    let time = match timeout_ms {
        Some(0) => None,
        Some(ms) => Some(Duration::from_millis(ms)),
        None => settings::timeout(),
    };
    time.map_or(Deadline::NONE, Deadline::after)
}

/// The plan of a query.
pub(super) fn prepare(schema: &Schema, query: &[u8], options: &Options<'_>) -> Result<Plan, Error> {
    let (node, plan_options) = read_query(schema, query, options)?;
    plan(&node, schema, &plan_options)
}

/// The tree of a query, and what the options say about its words.
pub(super) fn read_query(
    schema: &Schema,
    query: &[u8],
    options: &Options<'_>,
) -> Result<(Node, PlanOptions), Error> {
    let no_stop_words = StopWords::none();
    let stop_words = if options.no_stop_words { &no_stop_words } else { &schema.stop_words };
    let context = ParseContext {
        schema,
        stop_words,
        parameters: &options.parameters,
        dialect: options.dialect,
    };
    let mut node = parse(query, context)?;
    for (name, range) in &options.filters {
        node = filtered(node, schema, name, *range, options.dialect)?;
    }
    for (name, circle) in &options.geo_filters {
        let kind = match schema.field(name) {
            Some((field, found)) if found.kind == FieldKind::Geo => {
                Kind::Circle { field, circle: *circle }
            }
            _ if options.dialect < 2 => Kind::Nothing,
            Some(_) => return Err(Error::InvalidFilter("Field is not a geo field", lossy(name))),
            None => return Err(Error::InvalidFilter("Unknown Field", lossy(name))),
        };
        node = narrowed(node, kind);
    }
    let language = match options.language {
        None => schema.language,
        Some(name) => Language::find(name).ok_or(Error::Text("No such language"))?,
    };
    let plan_options = PlanOptions {
        verbatim: options.verbatim,
        expander: options.expander,
        language,
        fields: options.in_fields.map_or(ALL_FIELDS, |names| text_fields(schema, names)),
        slop: options.slop,
        in_order: options.in_order,
    };
    Ok((node, plan_options))
}

/// `node` and an interval of a numeric field.
fn filtered(
    node: Node,
    schema: &Schema,
    name: &[u8],
    range: crate::query::ast::Range,
    dialect: u32,
) -> Result<Node, Error> {
    let kind = match schema.field(name) {
        Some((field, found)) if found.kind == FieldKind::Numeric => Kind::Range { field, range },
        _ if dialect < 2 => Kind::Nothing,
        Some(_) => return Err(Error::InvalidFilter("Field is not a numeric field", lossy(name))),
        None => return Err(Error::InvalidFilter("Unknown Field", lossy(name))),
    };
    Ok(narrowed(node, kind))
}

/// What matches both; the nearest vectors are asked for among what matches the clause.
fn narrowed(mut node: Node, kind: Kind) -> Node {
    if let Kind::Nearest { filter, .. } = &mut node.kind {
        let clause = Node::new(kind);
        *filter = Some(Box::new(match filter.take() {
            None => clause,
            Some(inner) => Node::new(Kind::And { children: vec![clause, *inner], exact: false }),
        }));
        return node;
    }
    Node::new(Kind::And { children: vec![Node::new(kind), node], exact: false })
}

fn text_fields(schema: &Schema, names: &[&[u8]]) -> FieldMask {
    let names: HashSet<&[u8]> = names.iter().copied().collect();
    let named = schema.fields.iter().filter(|field| names.contains(&*field.name));
    named.fold(0, |all, field| match field.kind {
        FieldKind::Text { id, .. } => all | 1 << id,
        _ => all,
    })
}

fn order(schema: &Schema, plan: &Plan, options: &Options<'_>) -> Result<(Order, Sorting), Error> {
    let Some((name, descending)) = options.sort else {
        return Ok(match plan.nearest() {
            Some(query) => (Order::Distance { query, descending: false }, Sorting::Index),
            None if options.scorer == Scorer::Hamming && options.payload.is_some() => {
                (Order::Age, Sorting::Payload)
            }
            None => (Order::Score, Sorting::Index),
        });
    };
    if !options.sort_more.is_empty() {
        return Ok((columns_order(schema, name, descending, options)?, Sorting::Index));
    }
    let name = name.strip_prefix(b"@").unwrap_or(name);
    if let Some(query) = plan.distance(name) {
        return Ok((Order::Distance { query, descending }, Sorting::Index));
    }
    let Some((_, field)) = schema.field(name) else {
        return Err(Error::NoSuchProperty(lossy(name)));
    };
    Ok(match field.column {
        Some(number) => (Order::Column { number, descending }, Sorting::Index),
        None => {
            let normalized = !matches!(field.kind, FieldKind::Tag { case_sensitive: true, .. });
            (Order::Age, Sorting::Loaded { path: field.path.clone(), normalized })
        }
    })
}

/// The order by several fields, an extension: each of them must have a column.
fn columns_order(
    schema: &Schema,
    name: &[u8],
    descending: bool,
    options: &Options<'_>,
) -> Result<Order, Error> {
    let mut keys = Vec::with_capacity(1 + options.sort_more.len());
    for (name, descending) in std::iter::once(&(name, descending)).chain(&options.sort_more) {
        let name = name.strip_prefix(b"@").unwrap_or(name);
        let Some((_, field)) = schema.field(name) else {
            return Err(Error::NoSuchProperty(lossy(name)));
        };
        let column = field.column.ok_or(Error::Text("SORTBY of several fields needs SORTABLE"))?;
        keys.push((column, *descending));
    }
    SortKeys::new(&keys).map(Order::Columns).ok_or(Error::Text("SORTBY names too many fields"))
}

/// Sorts by a field that has no column. Every match is read, so this is slow; SORTABLE is the remedy. False: the time was
/// over before that.
fn sort_by_loaded(
    reach: &mut Reach<'_, '_>,
    schema: &Schema,
    found: &mut Found,
    path: &[u8],
    normalized: bool,
    options: &Options<'_>,
) -> Result<bool, mortise_module::Error> {
    let descending = options.sort.is_some_and(|(_, descending)| descending);
    let mut deadline = deadline(options.timeout_ms);
    reach.each(schema.db, found.hits.len(), |ctx, at| {
        if deadline.long_step() {
            return ControlFlow::Break(());
        }
        let hit = &mut found.hits[at];
        let value = load_one(ctx, schema, &hit.key, path, options.dialect);
        hit.sort_value = match value {
            None => SortValue::Absent,
            Some(text) if normalized => SortValue::Text(lower_bytes(&text)),
            Some(text) => SortValue::Text(text),
        };
        ControlFlow::Continue(())
    })?;
    found.hits.sort_by(|a, b| a.sort_value.order(a.number, &b.sort_value, b.number, descending));
    found.hits.truncate(options.offset.saturating_add(options.limit));
    found.hits.drain(..options.offset.min(found.hits.len()));
    Ok(!deadline.passed())
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The fields of a result, distances first unless it is said which are wanted; none if the key is gone.
fn load(
    ctx: &mut Context<'_>,
    schema: &Schema,
    found: &Found,
    hit: &Hit,
    options: &Options<'_>,
    deadline: &mut Deadline,
) -> Option<Fields> {
    let mut fields = load_key(ctx, schema, found, hit, options, deadline)?;
    if options.fields.is_none() {
        let distances = found.distances.iter().filter_map(|(name, matches)| {
            Some((name.clone(), number_text(matches.distance(hit.number)?).into_bytes()))
        });
        fields.splice(0..0, distances);
    }
    Some(fields)
}

/// A field that the search itself has given the document: a distance.
fn given(found: &Found, hit: &Hit, name: &[u8]) -> Option<Vec<u8>> {
    let (_, matches) = found.distances.iter().find(|(given, _)| given == name)?;
    Some(number_text(matches.distance(hit.number)?).into_bytes())
}

fn load_key(
    ctx: &mut Context<'_>,
    schema: &Schema,
    found: &Found,
    hit: &Hit,
    options: &Options<'_>,
    deadline: &mut Deadline,
) -> Option<Fields> {
    match (&options.fields, schema.source) {
        (Some(fields), _) => {
            if !ctx.open_read(&*hit.key).exists() {
                return None;
            }
            let path = |wanted: &[u8]| schema.field(wanted).map(|(_, field)| &*field.path);
            let (mut loaded, mut bytes) = (Vec::new(), 0);
            for fields in fields.chunks(FIELDS_AT_ONCE) {
                if deadline.long_step() || bytes > deadline.room() {
                    break;
                }
                let paths: Vec<&[u8]> =
                    fields.iter().map(|wanted| path(wanted.path).unwrap_or(wanted.path)).collect();
                let values = load_some(ctx, schema, &hit.key, &paths, options.dialect);
                for (wanted, value) in fields.iter().zip(values) {
                    if let Some(value) = given(found, hit, wanted.path).or(value) {
                        bytes += value.len() as u64;
                        loaded.push((wanted.name.to_vec(), value));
                    }
                }
            }
            Some(loaded)
        }
        (None, Source::Hash) => {
            let open = ctx.open_read(&*hit.key);
            if !open.exists() {
                return None;
            }
            let mut loaded: Fields = Vec::new();
            open.hash_each(|field, value| loaded.push((field.to_vec(), value.to_vec()))).ok()?;
            // As in RediSearch, the field that decided the order comes first.
            if let Some((name, _)) = options.sort
                && let Some(at) = loaded.iter().position(|(field, _)| field == name)
            {
                loaded[..=at].rotate_right(1);
            }
            Some(loaded)
        }
        (None, Source::Json) => {
            let mut loaded: Fields = Vec::new();
            let document = json_fields::document(ctx, &hit.key, options.dialect)?;
            if let Some((name, _)) = options.sort
                && let Some((_, field)) = schema.field(name)
                && let Some(value) = load_one(ctx, schema, &hit.key, &field.path, options.dialect)
            {
                loaded.push((name.to_vec(), value));
            }
            loaded.push((b"$".to_vec(), document));
            Some(loaded)
        }
    }
}

/// One value of a key, by hash field or JSON path.
pub(super) fn load_one(
    ctx: &mut Context<'_>,
    schema: &Schema,
    key: &[u8],
    path: &[u8],
    dialect: u32,
) -> Option<Vec<u8>> {
    load_some(ctx, schema, key, &[path], dialect).pop()?
}

/// Values of a key by hash fields or JSON paths; none where there is none.
fn load_some(
    ctx: &mut Context<'_>,
    schema: &Schema,
    key: &[u8],
    paths: &[&[u8]],
    dialect: u32,
) -> Vec<Option<Vec<u8>>> {
    match schema.source {
        Source::Hash => {
            let open = ctx.open_read(key);
            let value = |path: &&[u8]| Some(open.hash_get(*path).ok()??.as_bytes().to_vec());
            paths.iter().map(value).collect()
        }
        Source::Json => json_fields::shown(ctx, key, paths, dialect),
    }
}

/// What a reply consists of.
pub(super) struct Answer {
    pub(super) found: Found,
    /// The fields of each result, if they are wanted; none if its key is gone.
    loaded: Option<Vec<Option<Fields>>>,
    /// The payload of each result, if they are wanted.
    payloads: Option<Vec<Option<Vec<u8>>>>,
    /// How each result got its score, if that is wanted.
    explanations: Option<Vec<Explanation>>,
}

/// Reads what the reply shows of the results.
fn load_all(
    reach: &mut Reach<'_, '_>,
    task: &Task,
    mut found: Found,
    options: &Options<'_>,
) -> Result<Answer, mortise_module::Error> {
    let schema = task.snapshot.schema();
    let content = !options.no_content && options.fields.as_ref().is_none_or(|f| !f.is_empty());
    // What is read may be much more than what was searched; it has as much time.
    let mut deadline = deadline(options.timeout_ms);
    if options.timeout_ms != Some(0) {
        deadline.set_room(REPLY_BYTES_MAX);
    }
    let mut loaded: Option<Vec<Option<Fields>>> = None;
    if content {
        let mut documents = Vec::with_capacity(found.hits.len());
        reach.each(schema.db, found.hits.len(), |ctx, at| {
            if deadline.long_step() {
                return ControlFlow::Break(());
            }
            let fields = load(ctx, schema, &found, &found.hits[at], options, &mut deadline);
            let values = fields.iter().flatten().map(|(name, value)| name.len() + value.len());
            deadline.take_room(values.sum());
            documents.push(fields);
            ControlFlow::Continue(())
        })?;
        found.hits.truncate(documents.len());
        if reach.is_apart() {
            // Deleted while others were read.
            let mut loaded = documents.iter();
            drop_vanished(&mut found, |_| loaded.next().is_none_or(Option::is_some));
            documents.retain(Option::is_some);
        }
        loaded = Some(documents);
    }
    if let Some(loaded) = &mut loaded
        && !options.excerpts.is_empty()
    {
        let rarities = task.snapshot.rarities(&task.plan);
        let language = options.language.and_then(Language::find).unwrap_or(schema.language);
        let wanted = Wanted::new(&task.plan, schema, language, |leaf| rarities[leaf]);
        let treatments = options.excerpts.treatments(schema, options);
        let mut limits = Limits::new(deadline);
        let documents = loaded.iter_mut().flatten();
        documents.for_each(|fields| treatments.apply(fields, &wanted, &mut limits));
        if limits.is_exceeded() {
            return Err(Error::Text(
                "HIGHLIGHT and SUMMARIZE would add more than 64 MiB of tags and separators",
            )
            .into());
        }
        deadline = limits.deadline;
    }
    if deadline.passed() {
        check_time(reach.is_resp3, options)?;
        found.timed_out = true;
    }
    let mut payloads = None;
    if options.with_payloads {
        let mut all = Vec::with_capacity(found.hits.len());
        reach.each(schema.db, found.hits.len(), |ctx, at| {
            all.push(payload(ctx, schema, &found.hits[at].key, options));
            ControlFlow::Continue(())
        })?;
        payloads = Some(all);
    }
    let numbers = found.hits.iter().map(|hit| hit.number);
    let explanations = options.explain_score.then(|| task.explain(numbers));
    Ok(Answer { found, loaded, payloads, explanations })
}

impl Answer {
    /// The whole reply.
    pub(super) fn write(&self, writer: Writer<'_>, is_resp3: bool, options: &Options<'_>) {
        if is_resp3 {
            writer.map(Answer::PAIRS);
            self.write_pairs(writer, options);
        } else {
            self.write_list(writer, options);
        }
    }

    /// RESP2: the total, then per result the key and what was asked for, all in one list.
    pub(super) fn write_list(&self, writer: Writer<'_>, options: &Options<'_>) {
        let extras = [
            options.with_scores,
            options.with_payloads,
            options.with_sort_keys,
            self.loaded.is_some(),
        ];
        let per_hit = 1 + extras.into_iter().filter(|extra| *extra).count();
        writer.array(1 + self.found.hits.len() * per_hit);
        writer.int(i64::try_from(self.found.total).unwrap_or(i64::MAX));
        for (at, hit) in self.found.hits.iter().enumerate() {
            writer.bulk(&hit.key);
            if options.with_scores {
                self.score(writer, at);
            }
            self.payload(writer, at);
            if options.with_sort_keys {
                sort_key(writer, &hit.sort_value);
            }
            match self.loaded.as_ref().map(|loaded| &loaded[at]) {
                None => {}
                Some(None) => writer.null_array(),
                Some(Some(fields)) => {
                    writer.array(fields.len() * 2);
                    for (name, value) in fields {
                        writer.bulk(name);
                        writer.bulk(value);
                    }
                }
            }
        }
    }

    /// RESP3: the pairs of a map, of which there are [`Answer::PAIRS`].
    pub(super) fn write_pairs(&self, writer: Writer<'_>, options: &Options<'_>) {
        writer.simple("attributes");
        writer.array(0);
        writer.simple("format");
        writer.simple("STRING");
        writer.simple("results");
        writer.array(self.found.hits.len());
        for at in 0..self.found.hits.len() {
            self.write_hit(writer, at, options);
        }
        writer.simple("total_results");
        writer.int(i64::try_from(self.found.total).unwrap_or(i64::MAX));
        writer.simple("warning");
        let warnings = self.warnings();
        writer.array(warnings.len());
        warnings.iter().for_each(|warning| writer.simple(warning));
    }

    /// How many pairs [`Answer::write_pairs`] writes.
    pub(super) const PAIRS: usize = 5;

    fn write_hit(&self, writer: Writer<'_>, at: usize, options: &Options<'_>) {
        let hit = &self.found.hits[at];
        writer.begin_map();
        writer.simple("id");
        writer.bulk(&hit.key);
        if options.with_scores {
            writer.simple("score");
            self.score(writer, at);
        }
        if options.with_payloads {
            writer.simple("payload");
            self.payload(writer, at);
        }
        if options.with_sort_keys {
            writer.simple("sortkey");
            sort_key(writer, &hit.sort_value);
        }
        match self.loaded.as_ref().map(|loaded| &loaded[at]) {
            None => {}
            Some(None) => {
                writer.simple("extra_attributes");
                writer.null();
            }
            Some(Some(fields)) => {
                writer.simple("extra_attributes");
                writer.map(fields.len());
                for (name, value) in fields {
                    writer.bulk(name);
                    writer.bulk(value);
                }
            }
        }
        writer.simple("values");
        writer.array(0);
        writer.end();
    }

    /// A score, and how it came about if that is wanted.
    fn score(&self, writer: Writer<'_>, at: usize) {
        let score = self.found.hits[at].score;
        match &self.explanations {
            None => writer.double(score),
            Some(explanations) => {
                writer.array(2);
                writer.double(score);
                explain(writer, &explanations[at]);
            }
        }
    }

    /// A payload, if payloads are wanted.
    fn payload(&self, writer: Writer<'_>, at: usize) {
        match self.payloads.as_ref().map(|payloads| &payloads[at]) {
            None => {}
            Some(None) => writer.null(),
            Some(Some(payload)) => writer.bulk(payload),
        }
    }

    /// What is said of results that are not complete.
    pub(super) fn warnings(&self) -> Vec<&'static str> {
        let cut = self.found.cut.then_some("Max prefix expansions limit was reached");
        let timed_out = self.found.timed_out.then_some(TIMED_OUT);
        cut.into_iter().chain(timed_out).collect()
    }
}

/// Writes how a score came about.
pub(super) fn explain(writer: Writer<'_>, explanation: &Explanation) {
    if explanation.children.is_empty() {
        return writer.simple(&explanation.text);
    }
    writer.array(2);
    writer.simple(&explanation.text);
    writer.array(explanation.children.len());
    explanation.children.iter().for_each(|child| explain(writer, child));
}

/// The value that decided the order: `#` and a number, or `$` and a text.
fn sort_key(writer: Writer<'_>, value: &SortValue) {
    match value {
        SortValue::Absent => writer.null(),
        SortValue::Number(number) => writer.bulk([b"#", number_text(*number).as_bytes()].concat()),
        SortValue::Text(text) => {
            // A number that was loaded as text stays a number.
            match parse_number(text) {
                Some(_) => writer.bulk([b"#", text.as_slice()].concat()),
                None => writer.bulk([b"$", text.as_slice()].concat()),
            }
        }
    }
}
