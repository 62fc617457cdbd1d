//! FT.CURSOR READ, DEL, GC; and which cursors are there?
//!
//! A cursor is the rest of a pipeline: rows that have left the index, and the stages that they have not been through.
//! It holds neither the index, nor a snapshot of it, nor a lock: its rows have been copied, and what they may take is
//! limited for all cursors together. Its rows are those of the moment at which it was made; what it still loads from keys
//! is of the moment of reading.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Flag, Reply};

use crate::args::{Args, lossy, parse_integer};
use crate::commands::aggregate::{Answer, Receiver, limits, positive};
use crate::commands::{bytes, permission};
use crate::docs;
use crate::error::Error;
use crate::{registry, settings};

/// FT.CURSOR.
pub const CURSOR: Command = Command {
    name: "FT.CURSOR",
    since: "1.1.0",
    summary: "Reads from a cursor, deletes it, or collects those that are idle",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    args: docs::aggregate::CURSOR,
    tips: docs::CURSOR_TIPS,
    flags: &[Flag::ReadOnly],
    categories: &["search"],
    handler: cursor,
    ..Command::DEFAULT
};

/// Rows of one reply where nothing else is asked for.
const COUNT_DEFAULT: usize = 1000;

/// What WITHCURSOR was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Rows of one reply.
    pub count: usize,
    idle_ms: u64,
}

impl Options {
    /// Reads what stands behind WITHCURSOR.
    pub fn read(args: &mut Args<'_>) -> Result<Options, Error> {
        // How long a cursor may be idle, where nothing else is asked for and at most.
        let idle_ms_max = u64::try_from(settings::CURSOR_MAX_IDLE_MS.get()).unwrap_or(u64::MAX);
        let mut options = Options { count: COUNT_DEFAULT, idle_ms: idle_ms_max };
        loop {
            if args.take("COUNT") {
                let count = positive(args, "COUNT")?;
                options.count = usize::try_from(count).unwrap_or(usize::MAX);
            } else if args.take("MAXIDLE") {
                options.idle_ms = positive(args, "MAXIDLE")?.min(idle_ms_max);
            } else {
                return Ok(options);
            }
        }
    }
}

struct Cursor {
    index: Box<[u8]>,
    answer: Answer,
    options: Options,
    /// When it is collected if nobody reads it (Unix, in milliseconds).
    expires_at_ms: i64,
}

#[derive(Default)]
struct Cursors {
    by_id: HashMap<i64, Cursor>,
    /// A timer is set that will collect.
    watched: bool,
    /// How many [`Watch`]es there are.
    awaited: usize,
}

static CURSORS: Mutex<Option<Cursors>> = Mutex::new(None);

/// Runs `job` with all cursors. It must not call the server.
fn with<R>(job: impl FnOnce(&mut Cursors) -> R) -> R {
    let mut cursors = CURSORS.lock().unwrap_or_else(PoisonError::into_inner);
    job(cursors.get_or_insert_default())
}

impl Cursors {
    /// Drops those whose time has come; answers how many.
    fn collect(&mut self, now_ms: i64) -> usize {
        let before = self.by_id.len();
        self.by_id.retain(|_, cursor| cursor.expires_at_ms > now_ms);
        before - self.by_id.len()
    }

    /// Bytes that the rows take which wait, about.
    fn memory(&self) -> usize {
        self.by_id.values().map(|cursor| cursor.answer.memory()).sum()
    }

    fn of_index(&self, index: &[u8]) -> usize {
        self.by_id.values().filter(|cursor| &*cursor.index == index).count()
    }

    /// A number that is not taken and cannot be guessed.
    fn new_id(&self) -> i64 {
        let state = RandomState::new();
        for salt in 0u64.. {
            let id = (state.hash_one(salt) & 0x7fff_ffff) as i64;
            if id != 0 && !self.by_id.contains_key(&id) {
                return id;
            }
        }
        unreachable!("there are fewer cursors than numbers")
    }
}

/// Drops all cursors.
pub fn clear() {
    with(|cursors| cursors.by_id.clear());
}

/// What FT.INFO shows of cursors.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Those of the index.
    pub of_index: usize,
    /// Bytes that they take, about.
    pub bytes_of_index: usize,
    /// All that there are.
    pub all: usize,
}

/// The cursors of an index, and all that there are.
pub fn counts(index: &[u8]) -> Counts {
    with(|cursors| {
        let own = cursors.by_id.values().filter(|cursor| &*cursor.index == index);
        Counts {
            of_index: cursors.of_index(index),
            bytes_of_index: own.map(|cursor| cursor.answer.memory()).sum(),
            all: cursors.by_id.len(),
        }
    })
}

/// How many cursors there are, and how many bytes they take.
pub fn totals() -> (usize, usize) {
    with(|cursors| (cursors.by_id.len(), cursors.memory()))
}

/// Refuses an index that has as many cursors as it may have.
pub fn check_limit(index: &[u8]) -> Result<(), Error> {
    let limit = settings::size(&settings::INDEX_CURSOR_LIMIT);
    with(|cursors| {
        cursors.collect(registry::now_ms());
        match cursors.of_index(index) < limit {
            true => Ok(()),
            false => Err(Error::Formatted(format!(
                "INDEX_CURSOR_LIMIT of {limit} has been reached for an index"
            ))),
        }
    })
}

/// What becomes of the rows that are left when a reply has as many as it may have: a cursor keeps them.
#[derive(Debug, Clone)]
pub struct Place {
    /// The number of the cursor that they come from; none for the first ones.
    id: Option<i64>,
    index: Box<[u8]>,
    options: Options,
}

impl Place {
    /// A new cursor of an index.
    pub fn new(index: &[u8], options: Options) -> Place {
        Place { id: None, index: index.into(), options }
    }

    /// How many rows a reply has where nothing else is said.
    pub fn count(&self) -> usize {
        self.options.count
    }

    /// Refuses a new cursor for which there is no room any more; while its rows were looked for, others may have been made.
    pub fn admit(&self, answer: &Answer) -> Result<(), Error> {
        if self.id.is_some() || !answer.has_more() {
            return Ok(());
        }
        check_limit(&self.index)?;
        let others = with(|cursors| cursors.memory());
        limits().check(others.saturating_add(answer.memory()))
    }

    /// Sees to it that idle cursors are collected without anybody asking, also this one once it is there.
    pub fn watch(&self, ctx: &Context<'_>) -> Watch {
        let watched = with(|cursors| {
            cursors.awaited += 1;
            std::mem::replace(&mut cursors.watched, true)
        });
        if !watched {
            watch(ctx, self.options.idle_ms);
        }
        Watch
    }

    /// Keeps what is left of an answer; gives the cursor's number, or 0 if nothing is left.
    pub fn keep(self, answer: Answer, _watch: &Watch) -> i64 {
        if !answer.has_more() {
            return 0;
        }
        let Place { id, index, options } = self;
        let expires_at_ms = expiry(options);
        with(|cursors| {
            let id = id.unwrap_or_else(|| cursors.new_id());
            cursors.by_id.insert(id, Cursor { index, answer, options, expires_at_ms });
            id
        })
    }
}

/// While there is one, the timer that collects idle cursors goes on.
pub struct Watch;

impl Drop for Watch {
    fn drop(&mut self) {
        with(|cursors| cursors.awaited -= 1);
    }
}

fn expiry(options: Options) -> i64 {
    let idle_ms = i64::try_from(options.idle_ms).unwrap_or(i64::MAX);
    registry::now_ms().saturating_add(idle_ms)
}

/// Sets the timer. Where the server has none, the next command collects.
fn watch(ctx: &Context<'_>, after_ms: u64) {
    // A look a second is enough for those that are to be idle for longer than the one that was there first.
    let after = Duration::from_millis(after_ms.clamp(10, 1000));
    let set = ctx.set_timer(after, |ctx| {
        let left = with(|cursors| {
            cursors.collect(registry::now_ms());
            cursors.watched = !cursors.by_id.is_empty() || cursors.awaited > 0;
            cursors.watched
        });
        if left {
            watch(ctx, 1000);
        }
    });
    if set.is_err() {
        with(|cursors| cursors.watched = false);
    }
}

fn cursor(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let args = bytes(args);
    let Some((subcommand, rest)) = args.split_first() else { unreachable!("the arity says so") };
    match subcommand.to_ascii_uppercase().as_slice() {
        b"READ" => read(ctx, rest),
        b"DEL" => delete(ctx, rest),
        b"GC" => {
            let collected = with(|cursors| cursors.collect(registry::now_ms()));
            // As in RediSearch, nothing to collect is told apart from having collected nothing.
            let collected = i64::try_from(collected).unwrap_or(i64::MAX);
            Ok(Reply::Int(if collected == 0 { -1 } else { collected }))
        }
        _ => Err(Error::Text("Unknown subcommand").into()),
    }
}

fn number(args: &[&[u8]]) -> Result<i64, Error> {
    let id =
        args.get(1).ok_or(Error::Text("ERR wrong number of arguments for 'FT.CURSOR' command"))?;
    parse_integer(id).ok_or(Error::Text("Bad cursor ID"))
}

fn read(ctx: &mut Context<'_>, args: &[&[u8]]) -> CommandResult {
    let id = number(args)?;
    let mut count = None;
    let mut rest = Args::new(&args[2..]);
    while let Some(word) = rest.next_arg() {
        if !word.eq_ignore_ascii_case(b"COUNT") {
            return Err(Error::UnknownArgument(lossy(word)).into());
        }
        let value = rest.value("COUNT")?;
        let number = parse_integer(value).and_then(|count| usize::try_from(count).ok());
        count = Some(number.ok_or_else(|| Error::BadCount(lossy(value)))?);
    }
    check_user(ctx, id)?;
    let taken = with(|cursors| {
        cursors.collect(registry::now_ms());
        cursors.by_id.remove(&id)
    });
    let mut cursor = taken.ok_or(Error::NoSuchCursor(id))?;
    if registry::with(|all| all.get(&cursor.index).is_none()) {
        return Err(Error::Text("The index was dropped while the cursor was idle").into());
    }
    let Cursor { index, answer, options, .. } = &mut cursor;
    let count = count.filter(|count| *count > 0).unwrap_or(options.count);
    answer.restart_clock();
    let place = Some(Place { id: Some(id), index: std::mem::take(index), options: *options });
    let receiver = Receiver { count, place, is_resp3: ctx.is_resp3() };
    receiver.answer(ctx, cursor.answer)
}

/// Refuses users who may not ask the index that a cursor has rows of: any other may read on what somebody else began, as
/// in RediSearch. The index that the command names does not count, since the number alone decides.
fn check_user(ctx: &Context<'_>, id: i64) -> Result<(), Error> {
    let schema = with(|cursors| Some(Arc::clone(cursors.by_id.get(&id)?.answer.schema())));
    schema.map_or(Ok(()), |schema| permission::check(ctx, &schema, Access::Read))
}

fn delete(ctx: &Context<'_>, args: &[&[u8]]) -> CommandResult {
    let id = number(args)?;
    check_user(ctx, id)?;
    match with(|cursors| cursors.by_id.remove(&id)) {
        Some(_) => Ok(Reply::Ok),
        None => Err(Error::Text("Cursor does not exist").into()),
    }
}
