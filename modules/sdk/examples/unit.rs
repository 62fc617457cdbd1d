//! A module whose commands and handlers leave something behind in every way there is; `tests/unit.rs` looks at what
//! the server makes of that.

use std::sync::{Mutex, PoisonError};

use mortise_module::{
    Access, Arg, Argument, Arity, CallFlags, Command, CommandResult, Context, Flag, KeySpec,
    KeyspaceEvent, KeyspaceSubscription, Module, NotifyClass, Reply, ServerEvent, ServerEventKind,
    ServerSubscription,
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

/// Calls a command with the options that letters ask for.
fn call(ctx: &mut Context<'_>, args: &[Arg<'_>]) -> CommandResult {
    let letters = [
        ('!', CallFlags::REPLICATE),
        ('A', CallFlags::NOT_TO_AOF),
        ('R', CallFlags::NOT_TO_REPLICAS),
        ('C', CallFlags::AS_USER),
        ('S', CallFlags::SCRIPT_MODE),
        ('W', CallFlags::NO_WRITES),
        ('M', CallFlags::DENY_OOM),
        ('D', CallFlags::DRY_RUN),
    ];
    let wanted = args[1].to_str()?;
    let chosen = letters.iter().filter(|(letter, _)| wanted.contains(*letter));
    let flags = chosen.fold(CallFlags::NONE, |all, (_, flag)| all.and(*flag));
    let rest: Vec<&dyn Argument> = args[3..].iter().map(|arg| arg as &dyn Argument).collect();
    let reply = ctx.call(args[2].to_str()?, &rest, flags)?;
    Ok(reply.value().as_i64().map_or(Reply::Ok, Reply::from))
}

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn on_server_event(_: &mut Context<'_>, event: &ServerEvent<'_>) {
    let text = match event {
        // Clients have other numbers each time.
        ServerEvent::ClientChange { connected, .. } => format!("client {connected}"),
        other => format!("{other:?}"),
    };
    let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    if !heard.contains(&text) {
        heard.push(text);
    }
}

/// Each server event that was heard since the last call, once.
fn heard(_: &mut Context<'_>, _: &[Arg<'_>]) -> CommandResult {
    let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Reply::Array(std::mem::take(&mut *heard).into_iter().map(Reply::from).collect()))
}

const fn hears(event: ServerEventKind) -> ServerSubscription {
    ServerSubscription { event, handler: on_server_event }
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
        Command { name: "unit.call", arity: Arity::AtLeast(3), handler: call, ..Command::DEFAULT },
        Command {
            name: "unit.heard",
            arity: Arity::Exactly(1),
            handler: heard,
            ..Command::DEFAULT
        },
    ],
    server_events: &[
        hears(ServerEventKind::Loading),
        hears(ServerEventKind::Persistence),
        hears(ServerEventKind::CronLoop),
        hears(ServerEventKind::ClientChange),
        hears(ServerEventKind::ModuleChange),
        hears(ServerEventKind::ConfigChange),
        hears(ServerEventKind::RoleChanged),
    ],
    keyspace_events: &[KeyspaceSubscription {
        classes: NotifyClass::ALL.and(NotifyClass::KEY_MISS),
        handler: on_key_event,
    }],
    ..Module::new("unit", 1)
});
