//! A module that uses lists, sorted sets, streams, waits for keys and users, for `tests/stores.rs` to look at from
//! outside.

use std::time::Duration;

use mortise_module::{
    Access, Arg, Args, CallFlags, Command, CommandResult, Context, End, Error, Flag, KeySpec,
    Module, NotifyClass, Order, Reply, StreamId, TypedCommand, ZsetWhen,
};

/// STORES.LIST operation key ...
struct List;

impl TypedCommand for List {
    type Args<'a> = (&'a str, Arg<'a>, Vec<Arg<'a>>);

    fn run(ctx: &mut Context<'_>, (operation, key, rest): Self::Args<'_>) -> CommandResult {
        let mut args = Args::new(&rest);
        Ok(match operation {
            "get" => ctx.open_read(&key).list_get(args.read()?)?.into(),
            "all" => {
                let key = ctx.open_read(&key);
                let mut all = Vec::new();
                while let Some(element) = key.list_get(all.len() as i64)? {
                    all.push(Reply::from(element));
                }
                Reply::Array(all)
            }
            "lpush" | "rpush" => {
                let end = if operation == "lpush" { End::Head } else { End::Tail };
                ctx.open_write(&key)?.list_push(end, &args.next_arg()?)?;
                Reply::Ok
            }
            "lpop" => ctx.open_write(&key)?.list_pop(End::Head)?.into(),
            "rpop" => ctx.open_write(&key)?.list_pop(End::Tail)?.into(),
            "set" => {
                ctx.open_write(&key)?.list_set(args.read()?, &args.next_arg()?)?;
                Reply::Ok
            }
            "insert" => {
                ctx.open_write(&key)?.list_insert(args.read()?, &args.next_arg()?)?;
                Reply::Ok
            }
            "delete" => {
                ctx.open_write(&key)?.list_delete(args.read()?)?;
                Reply::Ok
            }
            _ => return Err(Error::new("no such operation")),
        })
    }
}

/// STORES.ZSET operation key ...
struct Zset;

impl TypedCommand for Zset {
    type Args<'a> = (&'a str, Arg<'a>, Vec<Arg<'a>>);

    fn run(ctx: &mut Context<'_>, (operation, key, rest): Self::Args<'_>) -> CommandResult {
        let mut args = Args::new(&rest);
        let when = match operation {
            "add" => Some(ZsetWhen::Always),
            "new" => Some(ZsetWhen::New),
            "there" => Some(ZsetWhen::There),
            _ => None,
        };
        if let Some(when) = when {
            let (score, member) = (args.read()?, args.next_arg()?);
            let change = ctx.open_write(&key)?.zset_add_when(&member, score, when)?;
            return Ok(format!("{change:?}").into());
        }
        Ok(match operation {
            "increment" => {
                let (by, member) = (args.read()?, args.next_arg()?);
                ctx.open_write(&key)?.zset_increment(&member, by)?.into()
            }
            "remove" => ctx.open_write(&key)?.zset_remove(&args.next_arg()?)?.into(),
            "up" | "down" => {
                let order = if operation == "up" { Order::Ascending } else { Order::Descending };
                let (min, max, limit): (f64, f64, usize) = args.read()?;
                let mut found = Vec::new();
                ctx.open_read(&key).zset_range(min..max, order, |member, score| {
                    found.push(Reply::from(format!("{}={score}", member.escape_ascii())));
                    found.len() < limit
                })?;
                Reply::Array(found)
            }
            _ => return Err(Error::new("no such operation")),
        })
    }
}

/// STORES.STREAM operation key ...
struct Stream;

impl TypedCommand for Stream {
    type Args<'a> = (&'a str, Arg<'a>, Vec<Arg<'a>>);

    fn run(ctx: &mut Context<'_>, (operation, key, rest): Self::Args<'_>) -> CommandResult {
        let mut args = Args::new(&rest);
        let span = |ctx: &Context<'_>, order| {
            let mut found = Vec::new();
            let mut each = |id, fields: &[_]| {
                found.push((id, format!("{fields:?}")));
                true
            };
            let key = ctx.open_read(&key);
            key.stream_range(StreamId::MIN, StreamId::MAX, order, &mut each)?;
            Ok::<_, Error>(found)
        };
        Ok(match operation {
            "add" => {
                let (field, value) = (args.next_arg()?, args.next_arg()?);
                let id = ctx.open_write(&key)?.stream_add(&[(&field, &value), (&"more", &"x")])?;
                (id > StreamId::MIN && id.to_string().contains('-')).into()
            }
            "up" | "down" => {
                let order = if operation == "up" { Order::Ascending } else { Order::Descending };
                let found = span(ctx, order)?;
                Reply::Array(found.into_iter().map(|(_, fields)| fields.into()).collect())
            }
            "first" => {
                let found = span(ctx, Order::Ascending)?;
                let (id, _) = found.first().ok_or(Error::new("empty"))?;
                ctx.open_write(&key)?.stream_delete(*id)?.into()
            }
            "trim" => {
                let length = args.read()?;
                let trimmed = ctx.open_write(&key)?.stream_trim(length)?;
                i64::try_from(trimmed).map_err(Error::new)?.into()
            }
            _ => return Err(Error::new("no such operation")),
        })
    }
}

/// STORES.TAKE key ms: the head of a list, waited for.
struct Take;

fn take(ctx: &mut Context<'_>, key: &Arg<'_>) -> Result<Option<Reply>, Error> {
    let Some(head) = ctx.open_write(key)?.list_pop(End::Head)? else { return Ok(None) };
    ctx.replicate("LPOP", &[key])?;
    ctx.notify(NotifyClass::LIST, "lpop", key)?;
    Ok(Some(head.into()))
}

impl TypedCommand for Take {
    type Args<'a> = (Arg<'a>, u64);

    fn run(ctx: &mut Context<'_>, (key, ms): Self::Args<'_>) -> CommandResult {
        if let Some(head) = take(ctx, &key)? {
            return Ok(head);
        }
        let timeout = (ms > 0).then(|| Duration::from_millis(ms));
        ctx.block_on_keys(
            &[&key],
            timeout,
            |ctx, key| take(ctx, key).transpose(),
            |_| Ok(Reply::NullArray),
        )?;
        Ok(Reply::Written)
    }
}

/// STORES.USER name: who the client is, and what a user may do.
struct Who;

impl TypedCommand for Who {
    type Args<'a> = (&'a str,);

    fn run(ctx: &mut Context<'_>, (name,): Self::Args<'_>) -> CommandResult {
        let current = ctx.current_user()?;
        let Some(user) = ctx.user(name)? else { return Ok(Reply::Null) };
        Ok(Reply::Array(vec![
            current.into(),
            user.may_run(&[&"GET", &"a:1"])?.into(),
            user.may_run(&[&"SET", &"a:1", &"x"])?.into(),
            user.may_access("a:1", Access::Read)?.into(),
            user.may_access("b:1", Access::Read)?.into(),
            user.may_publish("news")?.into(),
        ]))
    }
}

/// STORES.LOGIN name password: a way to authenticate of the module's own.
struct LogIn;

impl TypedCommand for LogIn {
    type Args<'a> = (&'a str, &'a str);

    fn run(ctx: &mut Context<'_>, (name, password): Self::Args<'_>) -> CommandResult {
        if password != "sesame" {
            return Err(Error::with_code("WRONGPASS not the word"));
        }
        ctx.log_in(name)?;
        Ok(Reply::Ok)
    }
}

/// STORES.SUM key: what a command answers, as numbers.
struct Sum;

impl TypedCommand for Sum {
    type Args<'a> = (Arg<'a>,);

    fn run(ctx: &mut Context<'_>, (key,): Self::Args<'_>) -> CommandResult {
        let numbers: Vec<f64> =
            ctx.call("LRANGE", &[&key, &"0", &"-1"], CallFlags::NONE)?.read()?;
        let pairs: Vec<(String, i64)> =
            ctx.call("HGETALL", &[&"pairs"], CallFlags::NONE)?.read()?;
        let missing: Option<String> = ctx.call("GET", &[&"nothing"], CallFlags::NONE)?.read()?;
        let more: i64 = pairs.iter().map(|(_, number)| number).sum();
        if missing.is_some() {
            return Err(Error::new("something is there"));
        }
        Ok((numbers.iter().sum::<f64>() + more as f64).into())
    }
}

const KEY: &[KeySpec] = &[KeySpec::at(2, Access::Update)];

const fn on_key<T: TypedCommand>(name: &'static str) -> Command {
    Command { name, flags: &[Flag::Write, Flag::DenyOom], keys: KEY, ..Command::typed::<T>() }
}

mortise_module::module!(Module {
    commands: &[
        on_key::<List>("STORES.LIST"),
        on_key::<Zset>("STORES.ZSET"),
        on_key::<Stream>("STORES.STREAM"),
        Command {
            name: "STORES.TAKE",
            summary: "Takes the head of a list, when there is one.",
            flags: &[Flag::Write, Flag::Blocking],
            keys: &[KeySpec::at(1, Access::Update)],
            ..Command::typed::<Take>()
        },
        Command { name: "STORES.USER", ..Command::typed::<Who>() },
        Command { name: "STORES.LOGIN", flags: &[Flag::NoAuth], ..Command::typed::<LogIn>() },
        Command {
            name: "STORES.SUM",
            flags: &[Flag::ReadOnly],
            keys: &[KeySpec::at(1, Access::Read)],
            ..Command::typed::<Sum>()
        },
    ],
    ..Module::new("stores", 100)
});
