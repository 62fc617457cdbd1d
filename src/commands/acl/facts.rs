//! ACL CAT, DRYRUN, GENPASS, LOG and HELP: what goes with the users.

use crate::commands::{reply_help, unknown_subcommand};
use crate::engine::acl::check::check;
use crate::engine::args;
use crate::engine::call::check_subcommand;
use crate::engine::ctx::{ExclusiveCtx, ReadCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{Argv, Category, Flag, Outcome};
use crate::resp::reply::Reply;

/// Bits of a password that GENPASS makes.
const BITS_DEFAULT: i64 = 256;
const BITS_MAX: i64 = 4096;

/// Entries that LOG shows unless told otherwise.
const ENTRIES_DEFAULT: i64 = 10;

pub(super) fn cat(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let registry = &ctx.state.registry;
    let name = match argv {
        [_, _] => {
            let of_modules = registry.module_categories();
            reply.array(Category::ALL.len() + of_modules.len());
            Category::ALL.iter().for_each(|category| reply.bulk(category.name().as_bytes()));
            of_modules.iter().for_each(|(name, _)| reply.bulk(name.as_bytes()));
            return Ok(());
        }
        [_, _, name] => name,
        _ => return Err(unknown_subcommand("ACL", argv[1])),
    };
    let bit = registry.category(name).ok_or_else(|| {
        let name = &name[..name.len().min(128)];
        CommandError::Raw([b"ERR Unknown category '", name, b"'"].concat())
    })?;
    // As with Redis, built-in categories are shown without what modules have put into them.
    let of_module = registry.module_categories().iter().any(|(_, own)| *own == bit);
    let names: Vec<Vec<u8>> = registry
        .originals()
        .flat_map(|command| std::iter::once(command).chain(command.subcommands.iter().copied()))
        .filter(|command| of_module || !command.has(Flag::Module))
        .filter(|command| command.categories & bit != 0)
        .map(|command| command.full_name())
        .collect();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

/// Under the exclusive lock, because modules may be asked for the keys.
pub(super) fn dry_run(
    ctx: &mut ExclusiveCtx<'_>,
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let (name, request) = (argv[2], &argv[3..]);
    let not_found = |what: &[u8], name: &[u8]| {
        CommandError::Raw([b"ERR ", what, b" '", name, b"' not found"].concat())
    };
    let user = ctx.env.shared.users.find(name).ok_or_else(|| not_found(b"User", name))?;
    let command = ctx.state.registry.resolve(request);
    let command = command.filter(|command| check_subcommand(command, request).is_ok());
    let command = command.ok_or_else(|| not_found(b"Command", request[0]))?;
    if !command.spec.arity.fits(request.len()) {
        return Err(CommandError::Arity(command.name.to_string()));
    }
    match check(&user.rules(), command, request) {
        Ok(()) => reply.ok(),
        Err(denied) => reply.bulk(&denied.text(&user, command, request, true)),
    }
    Ok(())
}

pub(super) fn generate(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let bits = match argv {
        [_, _] => BITS_DEFAULT,
        [_, _, bits] => args::int(bits)?,
        _ => return Err(unknown_subcommand("ACL", argv[1])),
    };
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(CommandError::owned(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive \
             number up to {BITS_MAX}"
        )));
    }
    // Four bits a digit, rounded up.
    let digits = (bits as usize).div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    if !ctx.env.shared.host.fill_random(&mut bytes) {
        return Err(CommandError::text("ERR no random numbers to be had"));
    }
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    reply.bulk(text.as_bytes());
    Ok(())
}

pub(super) fn log(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut log = ctx.env.shared.users.log.lock();
    let count = match argv {
        [_, _] => ENTRIES_DEFAULT,
        [_, _, word] if args::is(word, "RESET") => {
            log.clear();
            reply.ok();
            return Ok(());
        }
        [_, _, count] => args::int(count)?,
        _ => return Err(unknown_subcommand("ACL", argv[1])),
    };
    let count = usize::try_from(count).unwrap_or(0).min(log.iter().len());
    reply.array(count);
    let now_ms = ctx.env.now_ms();
    for entry in log.iter().take(count) {
        reply.map(10);
        reply.bulk(b"count");
        reply.int(entry.count as i64);
        reply.bulk(b"reason");
        reply.bulk(entry.reason.name().as_bytes());
        reply.bulk(b"context");
        reply.bulk(entry.context.name().as_bytes());
        reply.bulk(b"object");
        reply.bulk(&entry.object);
        reply.bulk(b"username");
        reply.bulk(&entry.username);
        reply.bulk(b"age-seconds");
        reply.double((now_ms - entry.updated_ms) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(&entry.client);
        reply.bulk(b"entry-id");
        reply.int(entry.id as i64);
        reply.bulk(b"timestamp-created");
        reply.int(entry.created_ms);
        reply.bulk(b"timestamp-last-updated");
        reply.int(entry.updated_ms);
    }
    Ok(())
}

const HELP: &[(&str, &str)] = &[
    ("CAT [<category>]", "List the commands of a category, or all categories."),
    ("DELUSER <username> [<username> ...]", "Delete users."),
    (
        "DRYRUN <username> <command> [<arg> ...]",
        "Tell whether the user may run the command, without running it.",
    ),
    ("GETUSER <username>", "Show a user."),
    ("GENPASS [<bits>]", "Generate a secure password, of 256 bits unless told otherwise."),
    ("LIST", "Show all users in the format of config files."),
    ("LOAD", "Read the users from the ACL file again."),
    ("LOG [<count> | RESET]", "Show the entries of the ACL log, or forget them."),
    ("SAVE", "Write the users to the ACL file."),
    ("SETUSER <username> <attribute> [<attribute> ...]", "Create or change a user."),
    ("USERS", "List the names of all users."),
    ("WHOAMI", "Tell as which user this connection is logged in."),
];

pub(super) fn help(_: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply_help(reply, "ACL", HELP);
    Ok(())
}
