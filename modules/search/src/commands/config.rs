//! FT.CONFIG GET, SET, HELP: the module's parameters by their older names.
//!
//! The server's own CONFIG knows them too, by the names in `settings`; both change the same values. As there, what is
//! set lasts until the server ends.

use mortise_module::{Arg, Arity, Command, CommandResult, Config, Context, Flag, Reply, Writer};

use crate::commands::bytes;
use crate::docs;
use crate::error::Error;
use crate::settings::{self, ALL};

/// FT.CONFIG.
pub const CONFIG: Command = Command {
    name: "FT.CONFIG",
    summary: "Retrieves, describes and changes the module's parameters",
    arity: Arity::AtLeast(2),
    flags: &[Flag::Admin, Flag::ReadOnly],
    categories: &["search", "admin"],
    subcommands: &[
        Command {
            name: "GET",
            summary: "Shows parameters with their values",
            complexity: "O(N) where N is the number of options",
            arity: Arity::Exactly(3),
            args: docs::OPTION,
            handler: get,
            ..SUBCOMMAND
        },
        Command {
            name: "HELP",
            summary: "Describes parameters",
            complexity: "O(N) where N is the number of options",
            arity: Arity::Exactly(3),
            args: docs::OPTION,
            handler: help,
            ..SUBCOMMAND
        },
        Command {
            name: "SET",
            summary: "Changes a parameter",
            arity: Arity::AtLeast(3),
            args: docs::OPTION_AND_VALUE,
            handler: set,
            ..SUBCOMMAND
        },
    ],
    ..Command::DEFAULT
};

const SUBCOMMAND: Command = Command {
    tips: docs::TIPS,
    flags: &[Flag::Admin, Flag::ReadOnly],
    categories: &["search", "admin"],
    ..Command::DEFAULT
};

/// A parameter by its older name.
struct Option {
    name: &'static str,
    help: &'static str,
    /// Its place in [`ALL`].
    at: usize,
    /// It is only set when the server starts.
    fixed: bool,
}

const fn option(name: &'static str, help: &'static str, at: usize) -> Option {
    Option { name, help, at, fixed: false }
}

static OPTIONS: [Option; 18] = [
    option("TIMEOUT", "Query (search) timeout", 0),
    option(
        "ON_TIMEOUT",
        "Action to perform when search timeout is exceeded (choose RETURN or FAIL)",
        1,
    ),
    option(
        "DEFAULT_DIALECT",
        "Set RediSearch default dialect version through the lifetime of the server.",
        2,
    ),
    option("DEFAULT_SCORER", "Default scorer to use when no scorer is specified in queries", 3),
    option("MINPREFIX", "Set the minimum prefix for expansions (`*`)", 4),
    option("MAXPREFIXEXPANSIONS", "Maximum prefix expansions to be used in a query", 5),
    option("MAXEXPANSIONS", "Maximum prefix expansions to be used in a query", 5),
    option("MINSTEMLEN", "Set the minimum word length to stem (default 4)", 6),
    option("MAXSEARCHRESULTS", "Maximum number of results from ft.search command", 7),
    option("MAXAGGREGATERESULTS", "Maximum number of results from ft.aggregate command", 8),
    option(
        "MAX_AGGREGATE_GROUPS",
        "Maximum number of GROUPBY groups materialized by ft.aggregate command",
        9,
    ),
    option("CURSOR_MAX_IDLE", "max idle time allowed to be set for cursor", 10),
    option(
        "INDEX_CURSOR_LIMIT",
        "Max number of cursors for a given index that can be opened inside of a shard. Default is 128",
        11,
    ),
    Option {
        fixed: true,
        ..option(
            "MULTI_TEXT_SLOP",
            "Set RediSearch delta used to increase positional offsets between array slots for multi text values.",
            12,
        )
    },
    option(
        "MIN_PHONETIC_TERM_LEN",
        "Minimum length of term to be considered for phonetic matching",
        13,
    ),
    option("WORKERS", "Number of worker threads to use for query processing", 14),
    option("BM25STD_TANH_FACTOR", "Set the BM25STD.TANH stretch factor", 15),
    option("ENABLE_UNSTABLE_FEATURES", "Enable unstable features.", 16),
];

/// The options that `name` stands for: all for `*`, else the one of this name.
fn named(name: &[u8]) -> Vec<&'static Option> {
    let wanted = |one: &&Option| name == b"*" || name.eq_ignore_ascii_case(one.name.as_bytes());
    OPTIONS.iter().filter(wanted).collect()
}

/// Begins an answer about so many options; whether it is a map.
fn open<'w>(ctx: &'w Context<'_>, options: usize) -> (Writer<'w>, bool) {
    let resp3 = ctx.is_resp3();
    let writer = ctx.reply();
    if resp3 {
        writer.map(options);
    } else {
        writer.array(options);
    }
    (writer, resp3)
}

fn get(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let options = named(args[2].as_bytes());
    let (writer, resp3) = open(ctx, options.len());
    for option in options {
        if !resp3 {
            writer.array(2);
        }
        writer.simple(option.name);
        value(writer, option);
    }
    Ok(Reply::Written)
}

fn help(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let options = named(args[2].as_bytes());
    let (writer, resp3) = open(ctx, options.len());
    for option in options {
        if resp3 {
            writer.simple(option.name);
            writer.map(2);
        } else {
            writer.array(5);
            writer.simple(option.name);
        }
        writer.simple("Description");
        writer.simple(option.help);
        writer.simple("Value");
        value(writer, option);
    }
    Ok(Reply::Written)
}

fn value(writer: Writer<'_>, option: &Option) {
    match &ALL[option.at] {
        Config::Bool(parameter) => writer.bulk(parameter.get().to_string()),
        Config::Int(parameter)
            if std::ptr::eq(*parameter, &settings::MAX_SEARCH_RESULTS)
                || std::ptr::eq(*parameter, &settings::MAX_AGGREGATE_RESULTS) =>
        {
            match parameter.get() {
                UNLIMITED => writer.bulk("unlimited"),
                number => writer.bulk(number.to_string()),
            }
        }
        Config::Int(parameter) => writer.bulk(parameter.get().to_string()),
        Config::Enum(parameter) => {
            let known = parameter.values().iter().find(|(_, number)| *number == parameter.get());
            writer.bulk(known.map_or("", |(word, _)| word));
        }
        Config::String(parameter) => writer.bulk(parameter.get()),
    }
}

/// What a number of results is called that no reply can reach.
const UNLIMITED: i64 = 1 << 31;

fn set(_ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    // The words behind FT.CONFIG: SET, name, value.
    let args = bytes(args);
    let Some(option) = named(args[1]).into_iter().next().filter(|_| args[1] != b"*") else {
        return Err(Error::Text("Invalid option").into());
    };
    if option.fixed {
        return Err(Error::Text("Not modifiable at runtime").into());
    }
    let value = args.get(2).ok_or(Error::Text("Expected an argument, but none provided"))?;
    if args.len() > 3 {
        return Ok(Reply::Simple("EXCESSARGS".into()));
    }
    assign(&ALL[option.at], value)?;
    Ok(Reply::Ok)
}

fn assign(parameter: &Config, text: &[u8]) -> Result<(), Error> {
    const PARSE: Error = Error::Text("Could not convert argument to expected type");
    const LIMIT: Error = Error::Text("Value is outside acceptable bounds");
    match parameter {
        Config::Int(parameter) => {
            let number = crate::args::parse_integer(text).ok_or(PARSE)?;
            let results = std::ptr::eq(*parameter, &settings::MAX_SEARCH_RESULTS)
                || std::ptr::eq(*parameter, &settings::MAX_AGGREGATE_RESULTS);
            // -1 asks for as many as possible.
            let number = if results && number < 0 { UNLIMITED } else { number };
            parameter.set(number).map_err(|_| LIMIT)
        }
        Config::Bool(parameter) => match text.to_ascii_lowercase().as_slice() {
            b"true" | b"yes" => parameter.set(true).map_err(|_| LIMIT),
            b"false" | b"no" => parameter.set(false).map_err(|_| LIMIT),
            _ => Err(PARSE),
        },
        Config::Enum(parameter) => {
            let word = |(word, _): &&(&str, i32)| text.eq_ignore_ascii_case(word.as_bytes());
            let known = parameter.values().iter().find(word);
            let (_, number) = known.ok_or(Error::Text("Invalid ON_TIMEOUT value"))?;
            parameter.set(*number).map_err(|_| LIMIT)
        }
        Config::String(parameter) => {
            let text = std::str::from_utf8(text).map_err(|_| PARSE)?;
            parameter.set(text).map_err(|_| Error::Text("Invalid default scorer value"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_names_a_parameter_of_its_own_kind() {
        for option in &OPTIONS {
            assert!(option.at < ALL.len(), "{}", option.name);
        }
        assert!(matches!(ALL[16], Config::Bool(_)) && OPTIONS[17].at == 16);
        assert_eq!(named(b"*").len(), OPTIONS.len());
        assert_eq!(named(b"timeout").len(), 1);
        assert!(named(b"nosuch").is_empty());
    }
}
