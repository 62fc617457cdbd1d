//! Which handler does a call from the server belong to?

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use mortise_module_abi as abi;

use crate::command::Command;
use crate::config;
use crate::context::{Context, Origin};
use crate::error::Error;
use crate::events::{KeyspaceEvent, NotifyClass, ServerEvent};
use crate::info::InfoWriter;
use crate::module::{COMMANDS_MAX, Module, SERVICES_MAX};
use crate::raw::{self, Answer, Arg, BlockedHandle, Ctx, Info, Ready};
use crate::registration;
use crate::reply::{CommandResult, Writer};

struct Loaded {
    module: &'static Module,
    /// All commands, each followed by its subcommands; a place in here is a command's index.
    commands: Vec<&'static Command>,
}

static LOADED: OnceLock<Loaded> = OnceLock::new();

fn loaded() -> &'static Loaded {
    LOADED.get().expect("handlers are registered only after this is set")
}

/// Registers everything and runs `on_load`.
pub(crate) fn load(ctx: Ctx<'_>, args: &[Arg<'_>], module: &'static Module) -> Result<(), Error> {
    let commands: Vec<&'static Command> = module
        .commands
        .iter()
        .flat_map(|command| std::iter::once(command).chain(command.subcommands))
        .collect();
    if commands.len() > COMMANDS_MAX || module.services.len() > SERVICES_MAX {
        return Err(Error::new("the module has too many commands or services"));
    }
    for command in module.commands {
        command.check()?;
    }
    // A module that failed to load once may be tried again within the same process image.
    let _ = LOADED.set(Loaded { module, commands });

    let mut options = abi::OPTIONS_HANDLE_IO_ERRORS;
    if module.nested_keyspace_events {
        options |= abi::OPTIONS_ALLOW_NESTED_KEYSPACE_NOTIFICATIONS;
    }
    if module.async_loading {
        options |= abi::OPTIONS_HANDLE_REPL_ASYNC_LOAD;
    }
    if module.snapshot_safe {
        options |= abi::OPTIONS_SNAPSHOT_SAFE;
    }
    ctx.set_module_options(options);
    for category in module.categories {
        // Older servers have no categories of modules; what is in one is then in none.
        let _ = ctx.add_category(category);
    }
    for ty in module.types {
        ty.register(ctx)?;
    }
    registration::commands(ctx, module.commands)?;
    config::register(ctx, module.configs)?;
    HEARS_KEYSPACE.store(false, Ordering::Relaxed);
    if !module.keyspace_events_later {
        hear_keyspace_events(ctx)?;
    }
    for subscription in module.server_events {
        ctx.subscribe_to_server(subscription.event.id())?;
    }
    for (index, service) in module.services.iter().enumerate() {
        ctx.export_service(service.name, index)?;
    }
    if module.info.is_some() {
        ctx.register_info()?;
    }
    match module.on_load {
        Some(on_load) => on_load(&mut Context::new(ctx, Origin::Other), args),
        None => Ok(()),
    }
}

/// Runs `on_unload`.
pub(crate) fn unload(ctx: Ctx<'_>) -> Result<(), Error> {
    match LOADED.get().and_then(|loaded| loaded.module.on_unload) {
        Some(on_unload) => on_unload(&mut Context::new(ctx, Origin::Other)),
        None => Ok(()),
    }
}

/// Runs the command with this index.
pub(crate) fn run_command(index: usize, ctx: Ctx<'_>, args: &[Arg<'_>]) {
    let command = loaded().commands[index];
    let origin = if command.parallel { Origin::Parallel } else { Origin::Command };
    let mut ctx = Context::new(ctx, origin);
    let result = if command.arity.accepts(args.len()) {
        raw::boundary(|| (command.handler)(&mut ctx, args)).unwrap_or_else(|panic| {
            Err(Error::new(format_args!("internal error in {}: {panic}", command.name)))
        })
    } else {
        Err(Error::WrongArity)
    };
    ctx.finish(command.name, result);
}

/// Answers a client that stops waiting.
pub(crate) fn run_answer(ctx: Ctx<'_>, answer: Answer) {
    let mut ctx = Context::new(ctx, Origin::Other);
    let result = raw::boundary(|| answer(&mut ctx))
        .unwrap_or_else(|panic| Err(Error::new(format_args!("internal error: {panic}"))));
    ctx.finish("the answer to a blocked client", result);
}

/// Answers a client that stops waiting from a thread of the module's own, without the lock.
pub(crate) fn write_answer(handle: BlockedHandle, write: impl FnOnce(Writer<'_>) -> CommandResult) {
    handle.reply_with(|ctx| {
        let ctx = Context::new(ctx, Origin::Other);
        let result = raw::boundary(|| write(ctx.reply()))
            .unwrap_or_else(|panic| Err(Error::new(format_args!("internal error: {panic}"))));
        ctx.finish("the answer to a blocked client", result);
    });
}

/// Lets a client that waits for keys look at one. True: it has been answered.
pub(crate) fn run_ready(ctx: Ctx<'_>, ready: &mut Ready, key: &Arg<'_>) -> bool {
    let mut ctx = Context::new(ctx, Origin::Other);
    let result = raw::boundary(|| ready(&mut ctx, key))
        .unwrap_or_else(|panic| Some(Err(Error::new(format_args!("internal error: {panic}")))));
    match result {
        Some(result) => {
            ctx.finish("the answer to a client that waits for keys", result);
            true
        }
        None => false,
    }
}

/// Whether the server has been asked for keyspace events.
static HEARS_KEYSPACE: AtomicBool = AtomicBool::new(false);

/// Asks the server for the keyspace events that the module declares, once.
pub(crate) fn hear_keyspace_events(ctx: Ctx<'_>) -> Result<(), Error> {
    let subscriptions = loaded().module.keyspace_events.iter();
    let classes = subscriptions.fold(NotifyClass::default(), |all, one| all.and(one.classes));
    if classes == NotifyClass::default() || HEARS_KEYSPACE.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    ctx.subscribe_to_keyspace(classes)
        .inspect_err(|_| HEARS_KEYSPACE.store(false, Ordering::Relaxed))
}

/// Passes a keyspace event on.
pub(crate) fn keyspace_event(ctx: Ctx<'_>, event: &KeyspaceEvent<'_>) {
    for subscription in loaded().module.keyspace_events {
        if subscription.classes.intersects(event.class) {
            (subscription.handler)(&mut Context::new(ctx, Origin::Other), event);
        }
    }
}

/// Passes a server event on.
pub(crate) fn server_event(ctx: Ctx<'_>, event: &ServerEvent<'_>) {
    for subscription in loaded().module.server_events {
        if subscription.event == event.kind() {
            (subscription.handler)(&mut Context::new(ctx, Origin::Other), event);
        }
    }
}

/// Answers a request to the service with this index.
pub(crate) fn run_service(
    index: usize,
    ctx: Ctx<'_>,
    request: &[u8],
    answer: &mut dyn FnMut(&[u8]),
) -> Result<(), Error> {
    (loaded().module.services[index].handler)(
        &mut Context::new(ctx, Origin::Other),
        request,
        answer,
    )
}

/// Fills the module's part of INFO.
pub(crate) fn info(info: Info<'_>, for_crash_report: bool) {
    if let Some(fill) = loaded().module.info {
        fill(&mut InfoWriter::new(info, for_crash_report));
    }
}
