//! What is the server told of a command? The function that creates it, then whatever the server is new enough to hear:
//! its documentation, its ACL categories, whether it runs beside others.

use mortise_module_abi as abi;

use crate::command::{Command, Flag};
use crate::error::Error;
use crate::key_spec::KeySpec;
use crate::raw::{self, CommandEntry, Ctx};

/// Registers commands; each is followed by its subcommands in the list that their indexes are of.
pub(crate) fn commands(ctx: Ctx<'_>, commands: &[Command]) -> Result<(), Error> {
    let mut index = 0;
    for command in commands {
        register(ctx, None, command, index)?;
        index += 1;
        for subcommand in command.subcommands {
            register(ctx, Some(command.name), subcommand, index)?;
            index += 1;
        }
    }
    Ok(())
}

fn register(
    ctx: Ctx<'_>,
    parent: Option<&str>,
    command: &Command,
    index: usize,
) -> Result<(), Error> {
    let full_name = match parent {
        None => command.name.to_owned(),
        Some(parent) => format!("{parent}|{}", command.name),
    };
    let (first, last, step) = command.keys.first().map_or((0, 0, 0), KeySpec::triple);
    let flags = flag_words(command.flags);
    let index = command.subcommands.is_empty().then_some(index);
    let entry = CommandEntry { name: command.name, flags: &flags, first, last, step, index };
    let created = match parent {
        None => ctx.create_command(&entry),
        Some(parent) => ctx.create_subcommand(parent, &entry),
    };
    created.map_err(|error| match error {
        Error::Refused(_) => Error::new(format_args!(
            "{full_name}: the server refused this command, perhaps because it has one of this name"
        )),
        error => error,
    })?;
    if raw::has_command_info() {
        ctx.set_command_info(&full_name, command)?;
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
