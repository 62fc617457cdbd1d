//! A type of value of the module's own: a counter that remembers how often it was changed. It is saved
//! to RDB files and to the append-only file, copied, compared and weighed like any other value.

use mortise_module::{
    Access, AofWriter, Arg, Command, CommandResult, Context, DigestWriter, Error, Flag, KeySpec,
    Module, Native, NotifyClass, RdbReader, RdbWriter, Reply, Type, TypedCommand,
};

/// What a key holds.
#[derive(Clone, Default)]
struct Counter {
    value: i64,
    changes: u64,
    /// The last few changes, newest last.
    recent: Vec<i64>,
}

/// The type's identity in the server.
static COUNTER: Type<Counter> = Type::new();

/// No value grows beyond this.
const RECENT_MAX: usize = 16;

impl Native for Counter {
    const NAME: &'static str = "sdkcountr"; // exactly nine characters
    const ENCVER: i32 = 1;

    fn rdb_save(&self, writer: &mut RdbWriter<'_>) {
        writer.i64(self.value);
        writer.u64(self.changes);
        writer.u64(self.recent.len() as u64);
        self.recent.iter().for_each(|change| writer.i64(*change));
    }

    // Any bytes may come here, by RESTORE for example: check before anything is reserved for them.
    fn rdb_load(reader: &mut RdbReader<'_>, encver: i32) -> Result<Counter, Error> {
        if encver != 1 {
            return Err(Error::new("a counter of a newer version"));
        }
        let (value, changes, recent) = (reader.i64()?, reader.u64()?, reader.u64()?);
        if recent > RECENT_MAX as u64 {
            return Err(Error::new("not a counter"));
        }
        let recent = (0..recent).map(|_| reader.i64()).collect::<Result<_, Error>>()?;
        Ok(Counter { value, changes, recent })
    }

    // Commands that make the value again, for append-only files without an RDB part.
    fn aof_rewrite(&self, writer: &mut AofWriter<'_>, key: &Arg<'_>) {
        let words = [&self.value.to_string(), &self.changes.to_string()].map(String::clone);
        let recent: Vec<String> = self.recent.iter().map(i64::to_string).collect();
        writer.emit("COUNTER.LOAD", &[key, &words[0], &words[1], &recent.join(",")]);
    }

    fn copy(&self, _from: &Arg<'_>, _to: &Arg<'_>) -> Option<Counter> {
        Some(self.clone())
    }

    // Equal values must have equal digests, on every server.
    fn digest(&self, digest: &mut DigestWriter<'_>) {
        digest.i64(self.value);
        digest.bytes(self.changes.to_string());
        digest.end_sequence();
    }

    fn mem_usage(&self) -> usize {
        size_of::<Counter>() + self.recent.capacity() * size_of::<i64>()
    }

    // One allocation for the value, one for the list.
    fn free_effort(&self) -> usize {
        2
    }
}

/// COUNTER.INCR key [by]
struct Increment;

impl TypedCommand for Increment {
    type Args<'a> = (Arg<'a>, Option<i64>);

    fn run(ctx: &mut Context<'_>, (name, by): Self::Args<'_>) -> CommandResult {
        let by = by.unwrap_or(1);
        let mut key = ctx.open_write(&name)?;
        // Look before anything is changed or made: an error leaves the key as it was.
        let before = key.value(&COUNTER)?.map_or(0, |counter| counter.value);
        let value = before.checked_add(by).ok_or(Error::new("the counter would overflow"))?;
        let counter = key.value_or_insert_with(&COUNTER, Counter::default)?;
        counter.value = value;
        counter.changes += 1;
        counter.recent.push(by);
        counter.recent.drain(..counter.recent.len().saturating_sub(RECENT_MAX));
        drop(key);
        ctx.notify(NotifyClass::MODULE, "counter.incr", &name)?;
        ctx.replicate_verbatim()?;
        Ok(value.into())
    }
}

/// COUNTER.GET key: value, number of changes, the last changes.
struct Get;

impl TypedCommand for Get {
    type Args<'a> = (Arg<'a>,);

    fn run(ctx: &mut Context<'_>, (name,): Self::Args<'_>) -> CommandResult {
        let Some(counter) = ctx.read_value(&name, &COUNTER)? else { return Ok(Reply::Null) };
        let recent = counter.recent.iter().map(|change| Reply::from(*change)).collect();
        let changes = i64::try_from(counter.changes).unwrap_or(i64::MAX);
        Ok(Reply::Map(vec![
            ("value".into(), counter.value.into()),
            ("changes".into(), changes.into()),
            ("recent".into(), Reply::Array(recent)),
        ]))
    }
}

/// COUNTER.LOAD key value changes recent: what the append-only file has.
struct Load;

impl TypedCommand for Load {
    type Args<'a> = (Arg<'a>, i64, u64, &'a str);

    fn run(ctx: &mut Context<'_>, (name, value, changes, recent): Self::Args<'_>) -> CommandResult {
        let numbers = recent.split(',').filter(|number| !number.is_empty()).take(RECENT_MAX);
        let recent = numbers.map(str::parse).collect::<Result<_, _>>().map_err(Error::new)?;
        ctx.open_write(&name)?.set_value(&COUNTER, Counter { value, changes, recent })?;
        ctx.notify(NotifyClass::MODULE, "counter.load", &name)?;
        ctx.replicate_verbatim()?;
        Ok(Reply::Ok)
    }
}

const WRITE: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];

mortise_module::module!(Module {
    types: &[&COUNTER],
    commands: &[
        Command {
            name: "COUNTER.INCR",
            summary: "Adds to a counter.",
            flags: WRITE,
            keys: &[KeySpec::at(1, Access::ReadUpdate)],
            ..Command::typed::<Increment>()
        },
        Command {
            name: "COUNTER.GET",
            summary: "Shows a counter.",
            flags: &[Flag::ReadOnly, Flag::Fast],
            keys: &[KeySpec::at(1, Access::Read)],
            parallel: true,
            ..Command::typed::<Get>()
        },
        Command {
            name: "COUNTER.LOAD",
            summary: "Replaces a counter; for the append-only file.",
            flags: WRITE,
            keys: &[KeySpec::at(1, Access::Overwrite)],
            ..Command::typed::<Load>()
        },
    ],
    // Counters change by way of their keys alone.
    snapshot_safe: true,
    ..Module::new("counter", 100)
});
