//! How does a value get another name, or another db? RENAME and MOVE take it along, COPY leaves it.

use crate::engine::args::{self, Cursor};
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::events::Departure;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, Category, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::{Db, Slot};
use crate::keyspace::value::{Value, ValueRef};
use crate::object::module::{KeyName, KeyNames};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "RENAME",
        summary: "Renames a key and overwrites the destination.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(3),
        flags: &[Flag::Write],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::ReadDelete), KeySpec::at(2, Access::Overwrite)],
        args: &[Arg::key("key"), Arg::key_of("newkey", 1)],
        run: Run::Write(rename),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RENAMENX",
        summary: "Renames a key only when the target key name doesn't exist.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(3),
        flags: &[Flag::Write, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::ReadDelete), KeySpec::at(2, Access::Create)],
        args: &[Arg::key("key"), Arg::key_of("newkey", 1)],
        run: Run::Write(renamenx),
        history: &[(
            "3.2.0",
            "The command no longer returns an error when source and destination names are the same.",
        )],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MOVE",
        summary: "Moves a key to another database.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(3),
        flags: &[Flag::Write, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key"), Arg::integer("db")],
        run: Run::Write(move_key),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COPY",
        summary: "Copies the value of a key to a new key.",
        since: "6.2.0",
        complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
        group: Group::Generic,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::DenyOom],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Read), KeySpec::at(2, Access::Overwrite)],
        args: &[
            Arg::key("source"),
            Arg::key_of("destination", 1),
            Arg::integer("destination-db").token("DB").optional(),
            Arg::flag("replace", "REPLACE").optional(),
        ],
        run: Run::Write(copy),
        ..CommandSpec::BASE
    },
];

fn rename(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    rename_key(ctx, argv[1], argv[2], true)?;
    reply.ok();
    Ok(())
}

fn renamenx(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let is_renamed = rename_key(ctx, argv[1], argv[2], false)?;
    reply.int(i64::from(is_renamed));
    Ok(())
}

/// Renames a key, if the new name is free or may be overwritten; says whether anything changed.
fn rename_key(
    ctx: &mut WriteCtx<'_>,
    from: &[u8],
    to: &[u8],
    overwrite: bool,
) -> Result<bool, CommandError> {
    ctx.find(from).ok_or(CommandError::NoSuchKey)?;
    if from == to {
        return Ok(false);
    }
    if let Some(target) = ctx.find(to) {
        if !overwrite {
            return Ok(false);
        }
        ctx.remove(target);
    }
    // Looked for again: what became of the target may have moved it.
    let slot = ctx.peek(from).ok_or(CommandError::NoSuchKey)?;
    ctx.leaves(from, Departure::Deleted);
    let removed = ctx.db_mut().remove(slot);
    tell_unlinked(ctx, from, &removed.value);
    ctx.signal(from);
    ctx.insert(to, removed.value, removed.expire_at);
    ctx.changed(from);
    ctx.touch_watchers(to);
    ctx.created(to);
    ctx.notify(EventClass::GENERIC, "rename_from", from);
    ctx.notify(EventClass::GENERIC, "rename_to", to);
    Ok(true)
}

/// Tells a module that the key of its value is gone, though the value goes on at another.
fn tell_unlinked(ctx: &WriteCtx<'_>, key: &[u8], value: &Value) {
    if let Value::Module(value) = value {
        value.unlink(KeyName { name: Some(key), db: ctx.session.db as i32 });
    }
}

/// The number of a db that exists.
fn parse_db(ctx: &WriteCtx<'_>, arg: &[u8]) -> Result<u32, CommandError> {
    let db = u32::try_from(args::int32(arg)?).ok().filter(|db| *db < ctx.dbs());
    db.ok_or(CommandError::DbOutOfRange)
}

/// MOVE.
fn move_key(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let to = parse_db(ctx, argv[2])?;
    if to == ctx.session.db {
        return Err(CommandError::SameObject);
    }
    let is_taken = ctx.in_db(to, |ctx| ctx.find(key).is_some());
    let Some(slot) = ctx.find(key).filter(|_| !is_taken) else {
        reply.int(0);
        return Ok(());
    };
    ctx.leaves(key, Departure::Deleted);
    let removed = ctx.db_mut().remove(slot);
    tell_unlinked(ctx, key, &removed.value);
    ctx.signal(key);
    ctx.in_db(to, |ctx| ctx.insert(key, removed.value, removed.expire_at));
    ctx.changed(key);
    ctx.in_db(to, |ctx| {
        ctx.touch_watchers(key);
        ctx.created(key);
    });
    ctx.notify(EventClass::GENERIC, "move_from", key);
    ctx.in_db(to, |ctx| ctx.notify(EventClass::GENERIC, "move_to", key));
    reply.int(1);
    Ok(())
}

/// The options of COPY.
struct CopyOptions {
    db: u32,
    replace: bool,
}

fn parse_copy(ctx: &WriteCtx<'_>, argv: Argv<'_>) -> Result<CopyOptions, CommandError> {
    let mut options = CopyOptions { db: ctx.session.db, replace: false };
    let mut rest = Cursor::new(argv, 3);
    while let Some(word) = rest.next() {
        if args::is(word, "REPLACE") {
            options.replace = true;
        } else if args::is(word, "DB") {
            options.db = parse_db(ctx, rest.value()?)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if options.db == ctx.session.db && argv[1] == argv[2] {
        return Err(CommandError::SameObject);
    }
    Ok(options)
}

fn copy(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = parse_copy(ctx, argv)?;
    let (from, to) = (argv[1], argv[2]);
    let is_taken = ctx.in_db(options.db, |ctx| ctx.find(to).is_some());
    let Some(slot) = ctx.find_counted(from).filter(|_| options.replace || !is_taken) else {
        reply.int(0);
        return Ok(());
    };
    let names = KeyNames {
        from: KeyName { name: Some(from), db: ctx.session.db as i32 },
        to: KeyName { name: Some(to), db: options.db as i32 },
    };
    let value = duplicate(ctx.db(), slot, names)?;
    let expire_at = ctx.db().expire_at(slot);
    ctx.in_db(options.db, |ctx| {
        if let Some(target) = ctx.peek(to) {
            ctx.remove(target);
        }
        ctx.insert(to, value, expire_at);
        ctx.changed(to);
        ctx.created(to);
        ctx.notify(EventClass::GENERIC, "copy_to", to);
    });
    reply.int(1);
    Ok(())
}

/// A copy of a value; that of a large one shares its parts.
fn duplicate(db: &Db, slot: Slot, names: KeyNames<'_>) -> Result<Value, CommandError> {
    const REFUSED: CommandError = CommandError::text("ERR not supported for this module key");
    const FAILED: CommandError = CommandError::text("ERR module key failed to copy");
    Ok(match db.value(slot) {
        ValueRef::Str(_) => {
            Value::Str(db.to_str_value(slot).expect("the value was seen to be a string"))
        }
        ValueRef::Module(value) if !value.vtable().is_copied() => return Err(REFUSED),
        ValueRef::Module(value) => Value::Module(Box::new(value.try_copy(names).ok_or(FAILED)?)),
        collection => collection.copy_collection().expect("all others are collections"),
    })
}
