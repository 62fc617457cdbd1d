//! How is a list read? Its length, an element, a range, and where an element is.

use super::{clip, read, reply_element};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::list::node::Needle;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LLEN",
        summary: "Returns the length of a list.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::List,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Peek)],
        args: &[Arg::key("key")],
        run: Run::Read(llen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LINDEX",
        summary: "Returns an element from a list by its index.",
        since: "1.0.0",
        complexity: "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for the first or the last element of the list O(1).",
        group: Group::List,
        arity: Arity::Exactly(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::integer("index")],
        run: Run::Read(lindex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LRANGE",
        summary: "Returns a range of elements from a list.",
        since: "1.0.0",
        complexity: "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or TAIL) for large lists; and N is the number of elements in the specified range.",
        group: Group::List,
        arity: Arity::Exactly(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop")],
        run: Run::Read(lrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LPOS",
        summary: "Returns the index of matching elements in a list.",
        since: "6.0.6",
        complexity: "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant time.",
        group: Group::List,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("element"),
            Arg::integer("rank").token("RANK").optional(),
            Arg::integer("num-matches").token("COUNT").optional(),
            Arg::integer("len").token("MAXLEN").optional(),
        ],
        run: Run::Read(lpos),
        ..CommandSpec::BASE
    },
];

fn llen(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.len(read(ctx, argv[1])?.map_or(0, |list| list.len()));
    Ok(())
}

fn lindex(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    // Without a list Redis does not look at the index.
    let Some(list) = read(ctx, argv[1])? else {
        reply.null();
        return Ok(());
    };
    let index = args::int(argv[2])?;
    match list.index(index).and_then(|index| list.get(index)) {
        Some(element) => reply_element(element, reply),
        None => reply.null(),
    }
    Ok(())
}

fn lrange(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, stop) = (args::int(argv[2])?, args::int(argv[3])?);
    let Some(list) = read(ctx, argv[1])? else {
        reply.array(0);
        return Ok(());
    };
    let (index, count) = clip(start, stop, list.len());
    reply.array(count);
    list.each(index, count, |element| reply_element(element, reply));
    Ok(())
}

/// What LPOS looks for.
#[derive(Debug, PartialEq, Eq)]
struct Search {
    /// From the tail on, and indexes still count from the head.
    from_tail: bool,
    /// Matches to pass over.
    skip: usize,
    /// Matches to find, which are answered as an array; one alone if there is no number.
    count: Option<usize>,
    /// Elements to look at.
    len_max: usize,
}

fn parse_search(argv: Argv<'_>) -> Result<Search, CommandError> {
    const RANK_ZERO: CommandError = CommandError::text(
        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
         negative to start from the end of the list",
    );
    const COUNT: CommandError = CommandError::text("ERR COUNT can't be negative");
    const LEN: CommandError = CommandError::text("ERR MAXLEN can't be negative");
    // Zero is no limit.
    let limit = |arg: &[u8], error| match args::int(arg).ok().map(usize::try_from) {
        Some(Ok(0)) => Ok(usize::MAX),
        Some(Ok(limit)) => Ok(limit),
        _ => Err(error),
    };
    let mut search = Search { from_tail: false, skip: 0, count: None, len_max: usize::MAX };
    let mut rest = Cursor::new(argv, 3);
    while let Some(word) = rest.next() {
        if args::is(word, "RANK") {
            let rank = rest.int()?;
            if rank == i64::MIN {
                return Err(CommandError::NotBetween(-i64::MAX, i64::MAX));
            }
            search.from_tail = rank < 0;
            let rank = usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX);
            search.skip = rank.checked_sub(1).ok_or(RANK_ZERO)?;
        } else if args::is(word, "COUNT") {
            search.count = Some(limit(rest.value()?, COUNT)?);
        } else if args::is(word, "MAXLEN") {
            search.len_max = limit(rest.value()?, LEN)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(search)
}

fn lpos(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let search = parse_search(argv)?;
    let Some(list) = read(ctx, argv[1])? else {
        match search.count {
            Some(_) => reply.array(0),
            None => reply.null(),
        }
        return Ok(());
    };
    let needle = Needle::new(argv[2]);
    let len = list.len();
    let limit = search.len_max;
    let (mut forwards, mut backwards);
    let matches: &mut dyn Iterator<Item = usize> = if search.from_tail {
        let elements = list.iter().rev().take(limit).enumerate();
        backwards = elements.filter(|(_, one)| needle.is(*one)).map(|(at, _)| len - 1 - at);
        &mut backwards
    } else {
        let elements = list.iter().take(limit).enumerate();
        forwards = elements.filter(|(_, one)| needle.is(*one)).map(|(at, _)| at);
        &mut forwards
    };
    let mut matches = matches.skip(search.skip);
    match search.count {
        None => match matches.next() {
            Some(index) => reply.len(index),
            None => reply.null(),
        },
        Some(count) => {
            let array = reply.deferred();
            let mut found = 0;
            for index in matches.take(count) {
                reply.len(index);
                found += 1;
            }
            reply.close(array, found);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&'static str]) -> Result<Search, CommandError> {
        let argv: Vec<&[u8]> =
            ["LPOS", "k", "e"].iter().chain(words).map(|word| word.as_bytes()).collect();
        parse_search(&argv)
    }

    #[test]
    fn options_of_lpos_have_their_own_zeros() {
        let plain = Search { from_tail: false, skip: 0, count: None, len_max: usize::MAX };
        assert_eq!(parse(&["MAXLEN", "0", "rank", "1"]), Ok(plain));
        let search = Search { from_tail: true, skip: 2, count: Some(usize::MAX), len_max: 7 };
        assert_eq!(parse(&["RANK", "-3", "COUNT", "0", "MAXLEN", "7"]), Ok(search));
        assert!(parse(&["RANK", "0"]).unwrap_err().to_string().starts_with("ERR RANK can't"));
        let range = Err(CommandError::NotBetween(-i64::MAX, i64::MAX));
        assert_eq!(parse(&["RANK", "-9223372036854775808"]), range);
        assert_eq!(parse(&["RANK", "x"]), Err(CommandError::NotAnInteger));
        for (option, value) in [("COUNT", "-1"), ("COUNT", "x"), ("MAXLEN", "-1")] {
            let text = format!("ERR {option} can't be negative");
            assert_eq!(parse(&[option, value]).unwrap_err().to_string(), text);
        }
        for words in [&["RANK"][..], &["COUNT"], &["MAXLEN"], &["LIMIT", "1"]] {
            assert_eq!(parse(words), Err(CommandError::Syntax));
        }
    }
}
