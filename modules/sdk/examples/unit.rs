//! A module whose commands and handlers leave something behind in every way there is; `tests/unit.rs` looks at what
//! the server makes of that.

use mortise_module::{
    Access, Arg, Argument, Arity, CallFlags, Command, CommandResult, Context, Flag, KeySpec,
    KeyspaceEvent, KeyspaceSubscription, Module, NotifyClass, Reply,
};

/// Calls a command that is to be propagated.
fn aloud(ctx: &mut Context<'_>, name: &str, args: &[&dyn Argument]) {
    if let Err(error) = ctx.call(name, args, CallFlags::REPLICATE).map(|_| ()) {
        ctx.log(mortise_module::LogLevel::Warning, &error.to_string());
    }
}

/// Calls and announces by turns.
fn mixed(ctx: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
    aloud(ctx, "INCR", &[&"first"]);
    ctx.replicate("INCR", &[&"second"])?;
    aloud(ctx, "INCR", &[&"third"]);
    ctx.call("INCR", &[&"silent"], CallFlags::NONE)?;
    Ok(Reply::Ok)
}

/// Calls a command that propagates much, without wanting that, and is propagated itself.
fn quiet(ctx: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
    ctx.call("unit.mixed", &[], CallFlags::NONE)?;
    ctx.call("INCR", &[&"watched:quiet"], CallFlags::NONE)?;
    ctx.replicate_verbatim()?;
    Ok(Reply::Ok)
}

/// Writes without saying that it is to be propagated.
fn mute(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    ctx.open_write(&args[1])?.set_string("mute")?;
    Ok(Reply::Ok)
}

/// Reads a key by a nested command.
fn look(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let found = ctx.call("INCR", &[&args[1]], CallFlags::NONE)?.value().as_i64();
    ctx.replicate_verbatim()?;
    Ok(Reply::from(found.unwrap_or(-1)))
}

fn on_key_event(ctx: &mut Context<'_>, event: &KeyspaceEvent<'_>) {
    let key = event.key.as_bytes();
    if key.starts_with(b"watched:") {
        aloud(ctx, "INCR", &[&"events"]);
    }
    if key.starts_with(b"job:") && event.name != "keymiss" {
        // The server says no on a replica and while it loads.
        let _ = ctx.after_notification(|ctx| aloud(ctx, "SET", &[&"chain:1", &"x"]));
    }
    if key == b"chain:1" {
        let _ = ctx.after_notification(|ctx| aloud(ctx, "SET", &[&"chain:2", &"x"]));
    }
}

const WRITE: Command =
    Command { arity: Arity::Exactly(1), flags: &[Flag::Write, Flag::DenyOom], ..Command::DEFAULT };

const KEYED: Command =
    Command { arity: Arity::Exactly(2), keys: &[KeySpec::at(1, Access::Update)], ..WRITE };

mortise_module::module!(Module {
    commands: &[
        Command { name: "unit.mixed", handler: mixed, ..WRITE },
        Command { name: "unit.quiet", handler: quiet, ..WRITE },
        Command { name: "unit.mute", handler: mute, ..KEYED },
        Command { name: "unit.look", handler: look, ..KEYED },
    ],
    keyspace_events: &[KeyspaceSubscription {
        classes: NotifyClass::ALL.and(NotifyClass::KEY_MISS),
        handler: on_key_event,
    }],
    ..Module::new("unit", 1)
});
