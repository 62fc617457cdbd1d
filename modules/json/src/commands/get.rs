//! JSON.GET, MGET, RESP: how are values read as a whole?

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, KeySpec, Reply};

use super::READ;
use super::arguments::{self, text};
use super::reply::{self, Expand, native, written};
use crate::docs;
use crate::error::JsonError;
use crate::limits::{default_dialect, reply_bytes};
use crate::path::{Dialect, Query, TooCostly, query};
use crate::rdb::JSON;
use crate::value::{Value, View};
use crate::write::{Format, Writer};

/// How many values the text for the matches of a path may hold, if there is more than one: a match may be found often, by
/// `$[0,0,0]` or below several others by `$..*`. Some seconds' work; how long it may be says `limits`.
const TEXT_VALUES_MAX: usize = 1 << 25;
/// As above, in a reply that is not text and takes more memory for a value.
const REPLY_VALUES_MAX: usize = 1 << 24;

pub(super) const GET: Command = Command {
    name: "json.get",
    summary: "Returns the values at one or more paths as JSON text.",
    complexity: "O(N) with N the size of the values; O(size of the document) if a path is not static",
    arity: Arity::AtLeast(2),
    args: docs::GET,
    handler: get,
    ..READ
};

pub(super) const MGET: Command = Command {
    name: "json.mget",
    summary: "Returns the values at a path of several documents.",
    complexity: "O(M*N) with M the number of keys and N the size of the values",
    arity: Arity::AtLeast(3),
    args: docs::MGET,
    keys: &[KeySpec::range(1, -2, 1, Access::Read)],
    handler: mget,
    ..READ
};

pub(super) const RESP: Command = Command {
    name: "json.resp",
    summary: "Returns the values at a path in the types of the protocol.",
    complexity: "O(N) with N the size of the values",
    arity: Arity::Between(2, 3),
    args: docs::ONE_PLACE,
    handler: resp,
    ..READ
};

/// What JSON.GET was asked for.
struct Options<'a> {
    format: Format<'a>,
    /// RESP3's own types, if not text.
    expand: Option<Expand>,
    dialect: Dialect,
    paths: Vec<&'a str>,
}

fn options<'a>(args: &[Arg<'a>], is_resp3: impl Fn() -> bool) -> Result<Options<'a>, JsonError> {
    let mut options = Options {
        format: Format::COMPACT,
        expand: None,
        dialect: default_dialect(),
        paths: Vec::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(JsonError::MissingArgument);
        if let Some(b'$' | b'.') = arg.as_bytes().first() {
            // No word begins so.
            options.paths.push(text(arg)?);
        } else if arg.is("INDENT") {
            options.format.indent = value()?.as_bytes();
        } else if arg.is("NEWLINE") {
            options.format.newline = value()?.as_bytes();
        } else if arg.is("SPACE") {
            options.format.space = value()?.as_bytes();
        } else if arg.is("NOESCAPE") {
            // Text always leaves as it is.
        } else if arg.is("FORMAT") {
            // Behind a path the word has no effect, so neither has the protocol; before one the protocol comes first.
            let has_effect = options.paths.is_empty();
            if has_effect && !is_resp3() {
                return Err(JsonError::FormatNeedsResp3);
            }
            let expand = expand(value()?)?;
            if has_effect {
                options.expand = expand;
            }
        } else if arg.is("DIALECT")
            && options.paths.is_empty()
            && let Some(dialect) = args.as_slice().first().and_then(dialect)
        {
            args.next();
            options.dialect = dialect;
        } else {
            options.paths.push(text(arg)?);
        }
    }
    if options.paths.is_empty() {
        options.paths.push(match options.dialect {
            Dialect::RedisJson => ".",
            Dialect::Rfc9535 => "$",
        });
    }
    Ok(options)
}

fn expand(arg: &Arg<'_>) -> Result<Option<Expand>, JsonError> {
    match arg.as_bytes() {
        b"STRING" => Ok(None),
        b"EXPAND1" => Ok(Some(Expand::Scalars)),
        b"EXPAND" => Ok(Some(Expand::All)),
        _ => Err(JsonError::WrongReplyFormat),
    }
}

/// The dialect of that name. A word that is none leaves `DIALECT` what it is for RedisJSON: a path.
fn dialect(name: &Arg<'_>) -> Option<Dialect> {
    if name.is("RFC9535") {
        Some(Dialect::Rfc9535)
    } else if name.is("REDISJSON") {
        Some(Dialect::RedisJson)
    } else {
        None
    }
}

fn get(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    if let Some(path) = only_path(args) {
        let query = arguments::query(path, default_dialect())?;
        let Some(document) = ctx.read_value(&args[1], &JSON)? else { return Ok(Reply::Null) };
        let root = document.0.view();
        return written(ctx, Format::COMPACT, |writer| {
            write_one(writer, &query, root)?;
            check_length(writer)
        });
    }
    let options = options(&args[2..], || ctx.is_resp3())?;
    let paths = paths(&options)?;
    let Some(document) = ctx.read_value(&args[1], &JSON)? else { return Ok(Reply::Null) };
    let root = document.0.view();
    if let Some(expand) = options.expand {
        return expanded(&paths, root, expand);
    }
    written(ctx, options.format, |writer| {
        match &paths[..] {
            [(_, query)] if options.paths.len() == 1 => write_one(writer, query, root)?,
            _ => write_several(writer, &paths, root)?,
        }
        check_length(writer)
    })
}

/// The path of a JSON.GET that has nothing but one: most have, and need no lists.
fn only_path<'a>(args: &[Arg<'a>]) -> Option<&'a [u8]> {
    match args {
        [_, _] => Some(match default_dialect() {
            Dialect::RedisJson => b".",
            Dialect::Rfc9535 => b"$",
        }),
        // No word begins so.
        [_, _, path] => {
            Some(path.as_bytes()).filter(|path| path.starts_with(b"$") || path.starts_with(b"."))
        }
        _ => None,
    }
}

/// An error if what has been written is longer than a reply may be.
fn check_length(writer: &Writer<'_>) -> Result<(), JsonError> {
    let (bytes, _) = writer.written();
    if bytes > reply_bytes() { Err(JsonError::ReplyTooLarge) } else { Ok(()) }
}

/// The paths with their texts. One that cannot be read fails the command if it is alone, and is left out otherwise.
fn paths<'a>(options: &Options<'a>) -> Result<Vec<(&'a str, Query)>, JsonError> {
    if let [text] = options.paths[..] {
        return Ok(vec![(text, query(text, options.dialect)?)]);
    }
    let read = |&text: &&'a str| Some((text, query(text, options.dialect).ok()?));
    Ok(options.paths.iter().filter_map(read).collect())
}

/// The text that JSON.GET answers for one path.
pub(crate) fn text_of(query: &Query, root: View<'_>) -> Result<Vec<u8>, JsonError> {
    let mut writer = Writer::new(Format::COMPACT);
    write_one(&mut writer, query, root)?;
    match writer.written().0 > reply_bytes() {
        true => Err(JsonError::ReplyTooLarge),
        false => Ok(writer.finish()),
    }
}

fn write_one(writer: &mut Writer<'_>, query: &Query, root: View<'_>) -> Result<(), JsonError> {
    match query {
        Query::Path(path) if path.is_legacy() => {
            writer.value(path.first(root)?.ok_or(JsonError::PathMissing)?);
            Ok(())
        }
        query => write_all(writer, query, root),
    }
}

/// An array of all that a path or an expression yields.
fn write_all(writer: &mut Writer<'_>, query: &Query, root: View<'_>) -> Result<(), JsonError> {
    match query {
        Query::Path(path) => {
            let (mut count, most) = (0, reply_bytes());
            writer.open(b'[');
            let visited = path.for_each(root, |view| {
                writer.separate(count);
                writer.value(view);
                count += 1;
                let (bytes, values) = writer.written();
                if bytes > most || values > TEXT_VALUES_MAX && count > 1 {
                    return Err(TooCostly);
                }
                Ok(())
            });
            if writer.written().0 > most {
                return Err(JsonError::ReplyTooLarge);
            }
            visited?;
            writer.close(b']', count);
        }
        Query::Computed(computed) => {
            let values = computed.values(root)?;
            writer.array(values.iter().map(Value::view));
        }
    }
    Ok(())
}

/// An object with a member per path. One JSONPath among them makes all values arrays.
fn write_several(
    writer: &mut Writer<'_>,
    paths: &[(&str, Query)],
    root: View<'_>,
) -> Result<(), JsonError> {
    let bare = paths.iter().all(|(_, query)| query.is_legacy());
    let mut count = 0;
    writer.open(b'{');
    for (i, (text, query)) in paths.iter().enumerate() {
        if paths[..i].iter().any(|(before, _)| before == text) {
            continue;
        }
        writer.separate(count);
        writer.name(text.as_bytes());
        if bare {
            write_one(writer, query, root)?;
        } else {
            write_all(writer, query, root)?;
        }
        count += 1;
    }
    writer.close(b'}', count);
    Ok(())
}

fn expanded(paths: &[(&str, Query)], root: View<'_>, expand: Expand) -> CommandResult {
    let of_path = |(_, query): &(&str, Query)| all(query, root, |view| native(view, expand));
    let replies: Result<Vec<Reply>, JsonError> = paths.iter().map(of_path).collect();
    Ok(Reply::Array(replies?))
}

/// A reply for each thing that a path or an expression yields.
fn all(
    query: &Query,
    root: View<'_>,
    reply: impl Fn(View<'_>) -> Reply,
) -> Result<Reply, JsonError> {
    let mut replies = Vec::new();
    match query {
        Query::Path(path) => {
            let mut values = 0;
            path.for_each(root, |view| {
                values += view.values();
                if values > REPLY_VALUES_MAX && !replies.is_empty() {
                    return Err(TooCostly);
                }
                replies.push(reply(view));
                Ok(())
            })?;
        }
        Query::Computed(computed) => {
            replies.extend(computed.values(root)?.iter().map(|value| reply(value.view())));
        }
    }
    Ok(Reply::Array(replies))
}

fn mget(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let (path, keys) = args[1..].split_last().expect("there are three arguments");
    let query = text(path).ok().and_then(|text| query(text, default_dialect()).ok());
    let mut replies = Vec::with_capacity(keys.len());
    for name in keys {
        // A key of another type reads as missing here.
        let reply = match (&query, ctx.read_value(name, &JSON)) {
            (Some(query), Ok(Some(document))) => one_of_many(query, document.0.view())?,
            _ => Reply::Null,
        };
        replies.push(reply);
    }
    Ok(Reply::Array(replies))
}

fn one_of_many(query: &Query, root: View<'_>) -> Result<Reply, JsonError> {
    if let Query::Path(path) = query
        && path.is_legacy()
    {
        return Ok(path.first(root)?.map_or(Reply::Null, reply::json));
    }
    let mut writer = Writer::new(Format::COMPACT);
    write_all(&mut writer, query, root)?;
    check_length(&writer)?;
    Ok(Reply::Bulk(writer.finish()))
}

fn resp(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let path = args.get(2).map_or(Ok("."), text)?;
    let query = query(path, Dialect::RedisJson).map_err(JsonError::from)?;
    let resp3 = ctx.is_resp3();
    let Some(document) = ctx.read_value(&args[1], &JSON)? else { return Ok(Reply::Null) };
    let root = document.0.view();
    if let Query::Path(path) = &query
        && path.is_legacy()
    {
        let view = path.first(root).map_err(JsonError::from)?.ok_or(JsonError::PathMissing)?;
        return Ok(reply::resp(view, resp3));
    }
    Ok(all(&query, root, |view| reply::resp(view, resp3))?)
}
