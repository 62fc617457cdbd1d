//! How does a module look? `RECENT.PUSH key size value` keeps the last `size` values of a key, and
//! `RECENT.LIST key` lists them. `redis-server --loadmodule target/debug/libmortise_example.so`

use std::collections::VecDeque;

use mortise_module::{
    Access, AofWriter, Arg, ArgSpec, Arity, Command, CommandResult, Context, Error, Flag, KeySpec,
    Module, Native, NotifyClass, RdbReader, RdbWriter, Reply, Type,
};

/// The values, oldest first.
struct Recent(VecDeque<Vec<u8>>);
static RECENT: Type<Recent> = Type::new();

impl Native for Recent {
    const NAME: &'static str = "mt-recent";
    const ENCVER: i32 = 1;

    fn rdb_save(&self, writer: &mut RdbWriter<'_>) {
        writer.u64(self.0.len() as u64);
        self.0.iter().for_each(|value| writer.bytes(value));
    }

    fn rdb_load(reader: &mut RdbReader<'_>, _encver: i32) -> Result<Recent, Error> {
        let values = (0..reader.u64()?).map(|_| Ok(reader.bytes()?.to_vec()));
        values.collect::<Result<_, Error>>().map(Recent)
    }

    fn aof_rewrite(&self, writer: &mut AofWriter<'_>, key: &Arg<'_>) {
        let size = self.0.len().to_string();
        self.0.iter().for_each(|value| writer.emit("RECENT.PUSH", &[key, &size, value]));
    }
}

fn push(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    // Parse everything first, so that an error has changed nothing.
    let [_, key, size, value] = args else { return Err(Error::WrongArity) };
    let size = size.to_u64()?.clamp(1, 1000) as usize;

    let mut open = ctx.open_write(key)?;
    let values = &mut open.value_or_insert_with(&RECENT, || Recent(VecDeque::new()))?.0;
    values.push_back(value.as_bytes().to_vec());
    values.drain(..values.len().saturating_sub(size));
    let len = values.len();
    drop(open);
    ctx.notify(NotifyClass::MODULE, "recent.push", key)?;
    ctx.replicate_verbatim()?;
    Ok(Reply::from(len))
}

fn list(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let key = ctx.open_read(&args[1]);
    let Some(Recent(values)) = key.value(&RECENT)? else { return Ok(Reply::Array(vec![])) };
    Ok(Reply::Array(values.iter().map(|value| value.clone().into()).collect()))
}

const PUSH: Command = Command {
    name: "RECENT.PUSH",
    summary: "Adds a value and drops the oldest ones beyond the size (at most 1000).",
    arity: Arity::Exactly(4),
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
    keys: &[KeySpec::at(1, Access::Insert)],
    args: &[ArgSpec::key("key"), ArgSpec::integer("size"), ArgSpec::string("value")],
    handler: push,
    ..Command::DEFAULT
};
const LIST: Command = Command {
    name: "RECENT.LIST",
    summary: "Lists the values, oldest first.",
    arity: Arity::Exactly(2),
    flags: &[Flag::ReadOnly],
    keys: &[KeySpec::at(1, Access::Read)],
    args: &[ArgSpec::key("key")],
    handler: list,
    ..Command::DEFAULT
};

mortise_module::module!(Module {
    commands: &[PUSH, LIST],
    types: &[&RECENT],
    ..Module::new("recent", 100)
});
