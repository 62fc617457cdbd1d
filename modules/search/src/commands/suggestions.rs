//! FT.SUGADD, FT.SUGGET, FT.SUGDEL, FT.SUGLEN: texts by their beginnings, in keys of their own.

use mortise_module::{
    Access, Arg, Arity, Command, CommandResult, Context, Flag, KeySpec, NotifyClass, Reply,
};

use crate::args::{Args, lossy, parse_integer, parse_number};
use crate::commands::bytes;
use crate::docs;
use crate::error::{ArgumentError, Error};
use crate::suggestions::{SUGGESTIONS, Suggestions};
use crate::trie::{LETTERS_MAX, Put, Suggestion};

/// FT.SUGADD.
pub const ADD: Command = Command {
    name: "FT.SUGADD",
    summary: "Puts a text into a key of suggestions, with a score",
    complexity: "O(1)",
    arity: Arity::Between(4, 7),
    args: docs::SUGGEST,
    tips: docs::TIPS,
    history: docs::SUGADD_HISTORY,
    flags: &[Flag::Write, Flag::DenyOom],
    categories: &["search"],
    keys: &[KeySpec::at(1, Access::Insert)],
    handler: add,
    ..Command::DEFAULT
};

/// FT.SUGGET.
pub const GET: Command = Command {
    name: "FT.SUGGET",
    summary: "Finds texts that begin with what was typed so far",
    arity: Arity::Between(3, 10),
    args: docs::SUGGESTIONS,
    tips: &[],
    history: docs::SUGGET_HISTORY,
    flags: &[Flag::ReadOnly],
    keys: &[KeySpec::at(1, Access::Read)],
    handler: get,
    parallel: true,
    ..ADD
};

/// FT.SUGDEL.
pub const DELETE: Command = Command {
    name: "FT.SUGDEL",
    summary: "Takes a text out of a key of suggestions",
    arity: Arity::Exactly(3),
    args: docs::SUGGESTION,
    keys: &[KeySpec::at(1, Access::Delete)],
    history: &[],
    flags: &[Flag::Write],
    handler: delete,
    ..ADD
};

/// FT.SUGLEN.
pub const LENGTH: Command = Command {
    name: "FT.SUGLEN",
    summary: "Counts the texts in a key of suggestions",
    arity: Arity::Exactly(2),
    args: docs::SUGGESTION_KEY,
    tips: &[],
    history: &[],
    flags: &[Flag::ReadOnly],
    keys: &[KeySpec::at(1, Access::Peek)],
    handler: length,
    parallel: true,
    ..ADD
};

/// Suggestions of one reply unless MAX says something else.
const LIMIT_DEFAULT: usize = 5;
/// TRIM leaves out what is worth less than this share of the best.
const TRIM_FACTOR: f32 = 10.0;

fn add(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let (name, text) = (args[0], lossy(args[1]));
    let (mut how, mut payload) = (Put::Replace, None);
    let mut options = Args::new(&args[3..]);
    while let Some(option) = options.next_arg() {
        if option.eq_ignore_ascii_case(b"INCR") {
            how = Put::Add;
        } else if option.eq_ignore_ascii_case(b"PAYLOAD") {
            let missing = ArgumentError::Missing;
            payload = Some(
                options
                    .next_arg()
                    .ok_or(Error::Prefixed("Invalid payload", missing.to_string()))?,
            );
        } else {
            return Err(Error::UnknownArgument(lossy(option)).into());
        }
    }
    let score = parse_number(args[2]).ok_or(Error::Text("ERR invalid score"))? as f32;
    let mut key = ctx.open_write(name)?;
    let value = key.value_or_insert_with(&SUGGESTIONS, Suggestions::default)?;
    value.trie.insert(&text, score, how, payload.filter(|payload| !payload.is_empty()));
    let length = value.trie.len();
    if length == 0 {
        // The text was not one that can be kept, and a key without any is none.
        key.delete()?;
    }
    drop(key);
    ctx.notify(NotifyClass::MODULE, "ft.sugadd", name)?;
    ctx.replicate_verbatim()?;
    Ok(length.into())
}

fn delete(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let (name, text) = (args[0], lossy(args[1]));
    let mut key = ctx.open_write(name)?;
    let Some(value) = key.value_mut(&SUGGESTIONS)? else { return Ok(Reply::Int(0)) };
    if !value.trie.remove(&text) {
        return Ok(Reply::Int(0));
    }
    let emptied = value.trie.is_empty();
    if emptied {
        key.delete()?;
    }
    drop(key);
    ctx.notify(NotifyClass::MODULE, "ft.sugdel", name)?;
    if emptied {
        ctx.notify(NotifyClass::GENERIC, "del", name)?;
    }
    ctx.replicate_verbatim()?;
    Ok(Reply::Int(1))
}

fn length(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let key = ctx.open_read(&args[1]);
    Ok(key.value(&SUGGESTIONS)?.map_or(0, |value| value.trie.len()).into())
}

/// What stands behind the prefix.
struct Options {
    fuzzy: bool,
    with_scores: bool,
    with_payloads: bool,
    trim: bool,
    limit: usize,
}

fn read(items: &[&[u8]]) -> Result<Options, Error> {
    let mut options = Options {
        fuzzy: false,
        with_scores: false,
        with_payloads: false,
        trim: false,
        limit: LIMIT_DEFAULT,
    };
    let mut args = Args::new(items);
    while !args.is_empty() {
        if args.take("FUZZY") {
            options.fuzzy = true;
        } else if args.take("WITHSCORES") {
            options.with_scores = true;
        } else if args.take("WITHPAYLOADS") {
            options.with_payloads = true;
        } else if args.take("TRIM") {
            options.trim = true;
        } else if args.take("OPTIMIZE") {
            // The best come first without it, too.
        } else if args.take("MAX") {
            options.limit = limit(&mut args)?;
        } else {
            let word = lossy(args.peek().unwrap_or_default());
            return Err(Error::Prefixed("Unrecognized argument", word));
        }
    }
    Ok(options)
}

fn limit(args: &mut Args<'_>) -> Result<usize, Error> {
    let bad = |why: ArgumentError| Error::Prefixed("MAX", why.to_string());
    let text = args.next_arg().ok_or(bad(ArgumentError::Missing))?;
    let number = parse_integer(text).ok_or(bad(ArgumentError::Parse))?;
    let number = u32::try_from(number).ok().filter(|number| *number >= 1);
    let number = number.ok_or(bad(ArgumentError::Limit))?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

fn get(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let prefix = lossy(args[1]);
    let options = read(&args[2..])?;
    if prefix.chars().count() > LETTERS_MAX {
        return Err(Error::Text("Invalid query length").into());
    }
    let key = ctx.open_read(args[0]);
    let mut found: Vec<Suggestion> = match key.value(&SUGGESTIONS)? {
        Some(value) => value.trie.suggest(&prefix, u8::from(options.fuzzy), options.limit),
        None => Vec::new(),
    };
    if options.trim {
        let best = found.first().map_or(0.0, |first| first.score);
        found.retain(|suggestion| suggestion.score >= best / TRIM_FACTOR);
    }
    let per_one = 1 + usize::from(options.with_scores) + usize::from(options.with_payloads);
    let writer = ctx.reply();
    writer.array(found.len() * per_one);
    for suggestion in &found {
        writer.bulk(&suggestion.text);
        if options.with_scores {
            writer.double(suggestion.score.into());
        }
        if options.with_payloads {
            match &suggestion.payload {
                Some(payload) => writer.bulk(payload),
                None => writer.null(),
            }
        }
    }
    Ok(Reply::Written)
}
