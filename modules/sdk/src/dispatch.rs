//! Which handler does a call from the server belong to?

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use mortise_module_abi as abi;

use crate::config;
use crate::context::{Context, Origin};
use crate::error::Error;
use crate::events::{KeyspaceEvent, NotifyClass, ServerEvent};
use crate::info::InfoWriter;
use crate::module::{Access, COMMANDS_MAX, Command, FindKeys, Flag, KeySpec, Module, SERVICES_MAX};
use crate::raw::{self, Answer, Arg, CommandDocs, CommandEntry, Ctx, Info, Ready};

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
    let mut index = 0;
    for command in module.commands {
        register(ctx, None, command, index)?;
        index += 1;
        for subcommand in command.subcommands {
            register(ctx, Some(command.name), subcommand, index)?;
            index += 1;
        }
    }
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

fn register(
    ctx: Ctx<'_>,
    parent: Option<&str>,
    command: &Command,
    index: usize,
) -> Result<(), Error> {
    let (first, last, step) = match command.keys.first() {
        Some(KeySpec { find: FindKeys::Range { first, last, step }, .. }) => (*first, *last, *step),
        _ => (0, 0, 0),
    };
    let flags = flag_words(command.flags);
    let index = command.subcommands.is_empty().then_some(index);
    let entry = CommandEntry { name: command.name, flags: &flags, first, last, step, index };
    match parent {
        None => ctx.create_command(&entry)?,
        Some(parent) => ctx.create_subcommand(parent, &entry)?,
    }
    let full_name = match parent {
        None => command.name.to_owned(),
        Some(parent) => format!("{parent}|{}", command.name),
    };
    if raw::has_command_info() {
        let keys: Vec<_> = command.keys.iter().map(key_spec).collect();
        let docs = CommandDocs {
            summary: command.summary,
            complexity: command.complexity,
            since: command.since,
            arity: command.arity.wire(),
            keys: &keys,
        };
        ctx.set_command_info(&full_name, &docs)?;
    }
    if raw::has_command_categories() {
        put_into_categories(ctx, &full_name, command);
    }
    if command.parallel {
        declare_parallel(ctx, &full_name, command)?;
    }
    Ok(())
}

/// Has the server run a command beside others, if it can.
fn declare_parallel(ctx: Ctx<'_>, full_name: &str, command: &Command) -> Result<(), Error> {
    const NEVER: [Flag; 3] = [Flag::Write, Flag::MayReplicate, Flag::Blocking];
    let is_fit = command.flags.contains(&Flag::ReadOnly)
        && !NEVER.iter().any(|flag| command.flags.contains(flag))
        && command.subcommands.is_empty();
    if !is_fit {
        return Err(Error::new(format_args!(
            "{full_name} is declared parallel, so it must be ReadOnly, neither block nor replicate, and have no \
             subcommands"
        )));
    }
    if raw::has_parallel_commands() { ctx.set_command_parallel(full_name) } else { Ok(()) }
}

/// Puts a command into the categories that its flags imply and into those that it names. Servers do neither
/// for commands of modules, and an old one does not know the latter if they are a module's own.
fn put_into_categories(ctx: Ctx<'_>, full_name: &str, command: &Command) {
    let implied = implied_categories(command.flags);
    let all = [&implied, command.categories].concat().join(" ");
    if ctx.set_command_categories(full_name, &all).is_err() {
        let words = command.categories.join(" ");
        let text = format!("{full_name} is in none of these ACL categories: {words}");
        raw::log_raw(Some(ctx), abi::LOGLEVEL_VERBOSE, &text);
        let set = ctx.set_command_categories(full_name, &implied.join(" "));
        debug_assert!(set.is_ok(), "every server knows these categories");
    }
}

/// The categories that a built-in command of these flags would be in.
fn implied_categories(flags: &[Flag]) -> Vec<&'static str> {
    let mut words: Vec<&'static str> = Vec::new();
    for flag in flags {
        words.extend_from_slice(match flag {
            Flag::Write => &["write"],
            Flag::ReadOnly => &["read"],
            Flag::Admin => &["admin", "dangerous"],
            Flag::PubSub => &["pubsub"],
            Flag::Fast => &["fast"],
            Flag::Blocking => &["blocking"],
            _ => &[],
        });
    }
    if !flags.contains(&Flag::Fast) {
        words.push("slow");
    }
    words
}

fn flag_words(flags: &[Flag]) -> String {
    let version = raw::server_version();
    let words: Vec<&str> = flags
        .iter()
        .map(|flag| flag.word())
        .filter(|(_, since)| version >= *since)
        .map(|(word, _)| word)
        .collect();
    words.join(" ")
}

fn key_spec(spec: &KeySpec) -> abi::CommandKeySpec {
    let access = match spec.access {
        Access::Read => abi::CMD_KEY_RO | abi::CMD_KEY_ACCESS,
        Access::Update => abi::CMD_KEY_RW | abi::CMD_KEY_ACCESS | abi::CMD_KEY_UPDATE,
        Access::Overwrite => abi::CMD_KEY_OW | abi::CMD_KEY_UPDATE,
        Access::Remove => abi::CMD_KEY_RM | abi::CMD_KEY_DELETE,
    };
    let (begin, find_keys_type, fk) = match spec.find {
        FindKeys::Range { first, last, step } => {
            // The last place is relative to the first here, unless it counts from the end.
            let last = if last >= 0 { last - first } else { last };
            let range = abi::FindRange { lastkey: last, keystep: step, limit: 0 };
            (first, abi::KSPEC_FK_RANGE, abi::FindKeys { range })
        }
        FindKeys::Counted(place) => {
            let keynum = abi::FindKeynum { keynumidx: 0, firstkey: 1, keystep: 1 };
            (place, abi::KSPEC_FK_KEYNUM, abi::FindKeys { keynum })
        }
    };
    abi::CommandKeySpec {
        notes: std::ptr::null(),
        flags: access,
        begin_search_type: abi::KSPEC_BS_INDEX,
        bs: abi::BeginSearch { index: abi::BeginIndex { pos: begin } },
        find_keys_type,
        fk,
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
