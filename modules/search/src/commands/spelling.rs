//! FT.SPELLCHECK.
//!
//! Each word of the query that no document has is answered with the words of the index, and of the dictionaries
//! that the client includes, which lie near it. A suggestion's score is the share of documents that have it.

use std::collections::BTreeMap;

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply, Writer};

use crate::args::{Args, lossy};
use crate::commands::{bytes, options, permission, search};
use crate::docs;
use crate::error::Error;
use crate::index::deadline::Deadline;
use crate::index::snapshot::Snapshot;
use crate::query::ast::{Kind, Node};
use crate::query::parser::{Context as ParseContext, Parameters, parse};
use crate::query::pattern::Pattern;
use crate::query::plan::{Shape, Space, word_term};
use crate::registry::{self, Registry};
use crate::schema::{ALL_FIELDS, FieldMask};
use crate::{settings, source};

/// FT.SPELLCHECK.
pub const SPELLCHECK: Command = Command {
    name: "FT.SPELLCHECK",
    since: "1.4.0",
    summary: "Proposes words for those of a query that the index does not have",
    complexity: "O(N) where N is the number of words in the index",
    arity: Arity::AtLeast(3),
    args: docs::SPELLING,
    tips: docs::TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: spellcheck,
    ..Command::DEFAULT
};

/// Edit distances beyond this find anything.
const DISTANCE_MAX: u8 = 4;

/// What stands behind the query.
struct Options<'a> {
    distance: u8,
    include: Vec<&'a [u8]>,
    exclude: Vec<&'a [u8]>,
    parameters: Parameters,
    dialect: u32,
}

/// A word of the query and what it may have been meant to be, each with the documents that have it.
struct Misspelled {
    word: String,
    suggestions: Vec<(Vec<u8>, u64)>,
}

fn spellcheck(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let (name, query) = (args[0], args[1]);
    let options = read(&args[2..])?;
    let schema = registry::with(|all| {
        let entry = all.get(name).ok_or_else(|| Error::NoSuchIndex(lossy(name)))?;
        Ok::<_, Error>(std::sync::Arc::clone(entry.index.schema()))
    })?;
    permission::check(ctx, &schema, Access::Read)?;
    source::refresh_faded(ctx, name);
    let (documents, misspelled) = registry::with(|all| {
        let entry = all.get(name).ok_or_else(|| Error::NoSuchIndex(lossy(name)))?;
        entry.uses += 1;
        entry.index.before_search(registry::now_ms());
        let schema = std::sync::Arc::clone(entry.index.schema());
        let node = parse(
            query,
            ParseContext {
                schema: &schema,
                stop_words: &schema.stop_words,
                parameters: &options.parameters,
                dialect: options.dialect,
            },
        )?;
        for dictionary in options.include.iter().chain(&options.exclude) {
            if all.dictionaries.get(dictionary).is_none() {
                return Err(Error::NoSuchDictionary(lossy(dictionary)));
            }
        }
        let mut words = Vec::new();
        collect(&node, &mut words);
        let index = &all.get(name).expect("it was there a moment ago").index;
        let documents = index.len();
        let mut deadline = search::deadline(None);
        let unknown = words
            .into_iter()
            .filter_map(|(word, fields)| check(all, name, word, fields, &options, &mut deadline));
        let unknown: Vec<_> = unknown.collect();
        // What was not compared cannot be told from what is right.
        if deadline.passed() {
            return Err(Error::Text(search::TIMED_OUT));
        }
        Ok((documents, unknown))
    })?;
    reply(ctx, documents, &misspelled);
    Ok(Reply::Written)
}

fn read<'a>(items: &'a [&'a [u8]]) -> Result<Options<'a>, Error> {
    let mut options = Options {
        distance: 1,
        include: Vec::new(),
        exclude: Vec::new(),
        parameters: Parameters::new(),
        dialect: settings::default_dialect(),
    };
    let mut args = Args::new(items);
    while !args.is_empty() {
        if args.take("DISTANCE") {
            options.distance = distance(&mut args)?;
        } else if args.take("TERMS") {
            let (Some(operation), Some(dictionary)) = (args.next_arg(), args.next_arg()) else {
                return Err(Error::Text("TERM arg is given but no TERM params comes after"));
            };
            if operation.eq_ignore_ascii_case(b"INCLUDE") {
                options.include.push(dictionary);
            } else if operation.eq_ignore_ascii_case(b"EXCLUDE") {
                options.exclude.push(dictionary);
            } else {
                return Err(Error::Text("bad format, exclude/include operation was not given"));
            }
        } else if args.take("PARAMS") {
            options::parameters(&mut options.parameters, args.list("PARAMS")?)?;
        } else if args.take("DIALECT") {
            options.dialect = options::dialect(&mut args)?;
        } else {
            let place = items.len() - args.len() + 1;
            let word = lossy(args.peek().unwrap_or_default());
            return Err(Error::UnknownArgumentAt(word, place));
        }
    }
    Ok(options)
}

fn distance(args: &mut Args<'_>) -> Result<u8, Error> {
    let text =
        args.next_arg().ok_or(Error::Text("DISTANCE arg is given but no DISTANCE comes after"))?;
    let distance = crate::args::parse_integer(text).and_then(|number| u8::try_from(number).ok());
    distance
        .filter(|distance| (1..=DISTANCE_MAX).contains(distance))
        .ok_or(Error::Text("bad distance given, distance must be a natural number between 1 to 4"))
}

/// The words of a query, each with the fields in which it is looked for.
fn collect<'n>(node: &'n Node, words: &mut Vec<(&'n str, FieldMask)>) {
    match &node.kind {
        Kind::Word { word, .. } => words.push((word, node.fields)),
        Kind::And { children, .. } | Kind::Or(children) => {
            children.iter().for_each(|child| collect(child, words));
        }
        Kind::Not(child) | Kind::Optional(child) | Kind::Nested { child, .. } => {
            collect(child, words);
        }
        Kind::Nearest { filter: Some(filter), .. } => collect(filter, words),
        _ => {}
    }
}

/// What can be said about one word; nothing if it is known.
fn check(
    all: &mut Registry,
    name: &[u8],
    word: &str,
    fields: FieldMask,
    options: &Options<'_>,
    deadline: &mut Deadline,
) -> Option<Misspelled> {
    if deadline.long_step() {
        return None;
    }
    let bytes = word.as_bytes();
    let known = |index: &Snapshot| index.documents_with(&word_term(word), ALL_FIELDS) > 0;
    let dictionaries = &all.dictionaries;
    let excluded = |name: &&[u8]| dictionaries.get(name).is_some_and(|words| words.contains(bytes));
    if options.exclude.iter().any(excluded) {
        return None;
    }
    let pattern = Pattern::Fuzzy { word: word.to_owned(), distance: options.distance };
    let mut near = |name: &&[u8]| {
        let words = dictionaries.get(name).into_iter().flatten();
        let found = words.filter(|word| !deadline.step_over(word.len()) && pattern.matches(word));
        found.cloned().collect::<Vec<_>>()
    };
    let included: Vec<Box<[u8]>> = options.include.iter().flat_map(&mut near).collect();
    let index = &all.get(name)?.index.snapshot();
    if known(index) {
        return None;
    }
    let shape = Shape { space: Space::Words, prefix: Vec::new(), pattern };
    let everywhere = index.vocabulary(&shape, ALL_FIELDS, deadline);
    let mut suggestions: BTreeMap<Vec<u8>, u64> = if fields == ALL_FIELDS {
        everywhere.clone()
    } else {
        // As in RediSearch, the fields decide whether a word is suggested, and all documents how often it occurs.
        let words = index.vocabulary(&shape, fields, deadline).into_keys();
        words
            .filter_map(|word| everywhere.get_key_value(&word))
            .map(|(w, n)| (w.clone(), *n))
            .collect()
    };
    for word in included {
        let elsewhere = everywhere.contains_key(&*word) && !suggestions.contains_key(&*word);
        if !elsewhere {
            suggestions.entry(word.into_vec()).or_insert(0);
        }
    }
    let mut suggestions: Vec<(Vec<u8>, u64)> = suggestions.into_iter().collect();
    // Stable: words that are as frequent stay in order.
    suggestions.sort_by_key(|(_, documents)| std::cmp::Reverse(*documents));
    Some(Misspelled { word: word.to_owned(), suggestions })
}

fn reply(ctx: &Context<'_>, documents: usize, misspelled: &[Misspelled]) {
    let writer = ctx.reply();
    let share = |count: u64| count as f64 / documents.max(1) as f64;
    match ctx.is_resp3() {
        true => reply_map(writer, misspelled, share),
        false => reply_list(writer, misspelled, share),
    }
}

fn reply_map(writer: Writer<'_>, misspelled: &[Misspelled], share: impl Fn(u64) -> f64) {
    writer.map(1);
    writer.simple("results");
    writer.map(misspelled.len());
    for Misspelled { word, suggestions } in misspelled {
        writer.bulk(word);
        writer.array(suggestions.len());
        for (suggestion, documents) in suggestions {
            writer.map(1);
            writer.bulk(suggestion);
            writer.double(share(*documents));
        }
    }
}

fn reply_list(writer: Writer<'_>, misspelled: &[Misspelled], share: impl Fn(u64) -> f64) {
    writer.array(misspelled.len());
    for Misspelled { word, suggestions } in misspelled {
        writer.array(3);
        writer.simple("TERM");
        writer.bulk(word);
        writer.array(suggestions.len());
        for (suggestion, documents) in suggestions {
            writer.array(2);
            writer.double(share(*documents));
            writer.bulk(suggestion);
        }
    }
}
