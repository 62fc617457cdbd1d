//! JSON.SET, MSET, MERGE, DEL, FORGET, CLEAR: how do documents come, change as a whole, and go?

use std::ffi::CStr;

use mortise_module::{Access, Arg, Arity, Command, CommandResult, Context, Error, KeySpec, Reply};

use super::arguments::{json, path};
use super::{SHRINK, WRITE, announce, change, without_create};
use crate::codec::Parsed;
use crate::docs;
use crate::error::JsonError;
use crate::limits::{self, Before};
use crate::ops::{self, Condition, Outcome};
use crate::path::Path;
use crate::rdb::{Document, JSON};
use crate::value::Value;

pub(super) const SET: Command = Command {
    name: "json.set",
    summary: "Sets or adds the value at a path of a document, which is created at its root.",
    complexity: "O(M+N) with M the size of the old value and N that of the new one; O(size of the document) if the path is not static",
    arity: Arity::AtLeast(4),
    args: docs::SET,
    handler: set,
    ..WRITE
};

pub(super) const MSET: Command = Command {
    name: "json.mset",
    summary: "Sets several values, in one or more documents.",
    since: "2.6.0",
    complexity: "O(K*(M+N)) with K the number of values",
    arity: Arity::AtLeast(4),
    args: docs::MSET,
    keys: &[KeySpec::range(1, -1, 3, Access::Update)],
    handler: mset,
    ..WRITE
};

pub(super) const MERGE: Command = Command {
    name: "json.merge",
    summary: "Merges a patch (RFC 7396) into the values at a path.",
    since: "2.6.0",
    complexity: "O(M+N) with M the size of the old value and N that of the patch",
    arity: Arity::AtLeast(4),
    args: docs::MERGE,
    handler: merge,
    ..WRITE
};

pub(super) const DEL: Command = Command {
    name: "json.del",
    summary: "Removes the values at a path.",
    complexity: "O(N) with N the size of what is removed",
    arity: Arity::Between(2, 3),
    args: docs::ONE_PLACE,
    keys: docs::DELETE,
    handler: del,
    ..SHRINK
};

pub(super) const FORGET: Command =
    Command { name: "json.forget", summary: "The same as JSON.DEL.", ..DEL };

pub(super) const CLEAR: Command = Command {
    name: "json.clear",
    summary: "Empties the containers at a path and sets its numbers to 0.",
    since: "2.0.0",
    complexity: "O(N) with N the size of what is cleared",
    arity: Arity::Between(2, 3),
    args: docs::ONE_PLACE,
    handler: clear,
    ..SHRINK
};

fn set(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let path = path(args.get(2))?;
    let options = options(&args[4..])?;
    let new = json(&args[3])?;
    let act = |document: &mut Value| ops::set(document, &path, &new, options.condition);
    if options.create && options.condition != Condition::Present && !path.is_root() {
        return create(ctx, args, c"json.set", (&path, &new), |document| match options.condition {
            Condition::Absent => Ok(Outcome::NOTHING),
            _ => act(document),
        });
    }
    let outcome = if let Some(mut document) = ctx.write_value(&args[1], &JSON)? {
        let before = Before::of(&document.0);
        let outcome = act(&mut document.0)?;
        before.check(&mut document.0)?;
        outcome
    } else if options.condition == Condition::Present {
        Outcome::NOTHING
    } else if !path.is_root() {
        return Err(JsonError::NewBelowRoot.into());
    } else {
        limits::check(&new.value)?;
        ctx.open_write(&args[1])?.set_value(&JSON, Document(new.value))?;
        Outcome::DONE
    };
    if outcome.changed {
        announce(ctx, c"json.set", &args[1])?;
    }
    Ok(answer(outcome))
}

/// Lets `act` do its work on what the path matches, then makes what the path does not find, and the key if need be.
fn create(
    ctx: &mut Context<'_>,
    args: &[Arg<'_>],
    event: &CStr,
    (path, new): (&Path, &Parsed),
    act: impl FnOnce(&mut Value) -> Result<Outcome, JsonError>,
) -> CommandResult {
    let mut key = ctx.open_write(&args[1])?;
    let mut old = key.value_mut(&JSON)?;
    let mut draft = old.as_ref().map_or_else(Value::empty_object, |document| document.0.clone());
    let matched = path.first(draft.view()).map_err(JsonError::from)?.is_some();
    let mut outcome = if matched { act(&mut draft)? } else { Outcome::NOTHING };
    if ops::create(&mut draft, path, new)? > 0 {
        outcome = Outcome { changed: true, complete: outcome.complete || !outcome.changed };
    } else if old.is_none() {
        return Err(JsonError::NewBelowRoot.into());
    }
    if outcome.changed {
        limits::check(&draft)?;
        match &mut old {
            Some(document) => document.0 = draft,
            None => key.set_value(&JSON, Document(draft))?,
        }
    }
    drop(key);
    if outcome.changed {
        announce(ctx, event, &args[1])?;
    }
    Ok(answer(outcome))
}

fn answer(outcome: Outcome) -> Reply {
    if outcome.complete { Reply::Ok } else { Reply::Null }
}

/// What may follow the value.
struct Options {
    condition: Condition,
    create: bool,
}

/// NX or XX, CREATE, FORMAT, FPHA. The latter two say how the value is to be read or kept; text is the only format, and
/// numbers are kept as they are whatever is asked for.
fn options(args: &[Arg<'_>]) -> Result<Options, JsonError> {
    let mut options = Options { condition: Condition::Always, create: false };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match options.condition {
            Condition::Always if arg.is("NX") => options.condition = Condition::Absent,
            Condition::Always if arg.is("XX") => options.condition = Condition::Present,
            _ if arg.is("CREATE") => options.create = true,
            _ if arg.is("FORMAT") => format(args.next())?,
            _ if arg.is("FPHA") => {
                let kinds = ["BF16", "FP16", "FP32", "FP64"];
                let kind = args.next().ok_or(JsonError::MissingArgument)?;
                if !kinds.iter().any(|known| kind.is(known)) {
                    return Err(JsonError::WrongFpha);
                }
            }
            _ => return Err(JsonError::Syntax),
        }
    }
    Ok(options)
}

fn format(arg: Option<&Arg<'_>>) -> Result<(), JsonError> {
    match arg.ok_or(JsonError::MissingArgument)?.as_bytes() {
        b"STRING" | b"JSON" => Ok(()),
        _ => Err(JsonError::WrongFormat),
    }
}

/// One key of JSON.MSET: its document, and what is to be put where.
struct Target<'a, 'c> {
    key: &'a Arg<'c>,
    document: Option<Value>,
    changed: bool,
}

/// Finds all places and parses all values first, then works on copies, which cost nothing until they change, and puts
/// them in place once nothing can fail any more.
fn mset(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let triples = args[1..].chunks_exact(3);
    if !triples.remainder().is_empty() {
        return Err(Error::WrongArity);
    }
    let mut targets: Vec<Target<'_, '_>> = Vec::new();
    let mut puts = Vec::with_capacity(triples.len());
    for triple in triples {
        let [name, at, value] = triple else { unreachable!("chunks of three") };
        let path = path(Some(at))?;
        let known = targets.iter().position(|target| target.key.as_bytes() == name.as_bytes());
        let index = match known {
            Some(index) => index,
            None => {
                let key = ctx.open_read(name);
                let document = key.value(&JSON)?.map(|document| document.0.clone());
                targets.push(Target { key: name, document, changed: false });
                targets.len() - 1
            }
        };
        let place = ops::Target::of(targets[index].document.as_ref(), &path)?;
        puts.push((index, place, json(value)?));
    }
    let mut complete = true;
    for (index, place, new) in puts {
        let target = &mut targets[index];
        let outcome = place.put(&mut target.document, &new);
        target.changed |= outcome.changed;
        complete &= outcome.complete;
    }
    targets.retain(|target| target.changed);
    for target in &targets {
        limits::check(target.document.as_ref().expect("what changed is there"))?;
    }
    if targets.is_empty() {
        return Ok(Reply::Null);
    }
    for target in &mut targets {
        let document = Document(target.document.take().expect("what changed is there"));
        let mut key = ctx.open_write(target.key)?;
        match key.value_mut(&JSON)? {
            Some(old) => *old = document,
            None => key.set_value(&JSON, document)?,
        }
    }
    ctx.replicate_verbatim()?;
    for target in &targets {
        ctx.announce(mortise_module::NotifyClass::MODULE, c"json.mset", target.key)?;
    }
    Ok(if complete { Reply::Ok } else { Reply::Null })
}

fn merge(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let path = path(args.get(2))?;
    let (args, creates) = match args.len() {
        ..5 => (args, false),
        _ => without_create(args),
    };
    for option in args[4..].chunks(2) {
        if !option[0].is("FORMAT") {
            return Err(JsonError::Syntax.into());
        }
        format(option.get(1))?;
    }
    let patch = json(&args[3])?;
    if creates && !path.is_root() {
        let act = |document: &mut Value| ops::merge(document, &path, &patch);
        return create(ctx, args, c"json.merge", (&path, &patch), act);
    }
    let outcome = if let Some(mut document) = ctx.write_value(&args[1], &JSON)? {
        let before = Before::of(&document.0);
        let outcome = ops::merge(&mut document.0, &path, &patch)?;
        before.check(&mut document.0)?;
        outcome
    } else if !path.is_root() {
        return Err(JsonError::NewBelowRoot.into());
    } else {
        limits::check(&patch.value)?;
        ctx.open_write(&args[1])?.set_value(&JSON, Document(patch.value))?;
        Outcome::DONE
    };
    if outcome.changed {
        announce(ctx, c"json.merge", &args[1])?;
    }
    Ok(answer(outcome))
}

fn del(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let path = path(args.get(2))?;
    let mut key = ctx.open_write(&args[1])?;
    let Some(document) = key.value_mut(&JSON)? else { return Ok(Reply::Int(0)) };
    let deleted = ops::delete(&mut document.0, &path)?;
    if deleted.nothing_left {
        key.delete()?;
    }
    drop(key);
    if deleted.count > 0 {
        announce(ctx, c"json.del", &args[1])?;
    }
    Ok(deleted.count.into())
}

fn clear(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let path = path(args.get(2))?;
    let updated = change(ctx, args, c"json.clear", |document| ops::clear(document, &path))?;
    Ok(updated.results.iter().flatten().count().into())
}
