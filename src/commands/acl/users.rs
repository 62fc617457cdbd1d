//! ACL SETUSER, DELUSER, GETUSER, LIST, USERS, WHOAMI, LOAD and SAVE: the users themselves.

use std::sync::Arc;

use crate::config::params::Param;
use crate::engine::acl::closing::{close_clients, close_listeners};
use crate::engine::acl::rule::has_blanks;
use crate::engine::acl::selector::Selector;
use crate::engine::acl::user::User;
use crate::engine::acl::{DEFAULT, SetError, file};
use crate::engine::ctx::{ExclusiveCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{Argv, Outcome};
use crate::engine::state::SaveFailed;
use crate::resp::reply::Reply;

pub(super) fn set(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let name = argv[2];
    if has_blanks(name) {
        return Err(CommandError::text("ERR Usernames can't contain spaces or null characters"));
    }
    let shared = ctx.env.shared;
    let user = shared.users.find(name);
    let old = user.as_ref().map(|user| user.rules());
    let ops = argv[3..].iter().copied();
    let new = shared.users.stage(old.as_deref(), ops, &ctx.state.registry).map_err(set_error)?;
    if let (Some(user), Some(old)) = (user, old) {
        close_listeners(shared, &user, &old, &new);
    }
    shared.users.set(name, new);
    reply.ok();
    Ok(())
}

fn set_error(error: SetError) -> CommandError {
    CommandError::Raw([b"ERR ", &error.text()[..]].concat())
}

pub(super) fn delete(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let names = &argv[2..];
    if names.contains(&DEFAULT) {
        return Err(CommandError::text("ERR The 'default' user cannot be removed"));
    }
    let users = &ctx.env.shared.users;
    let gone: Vec<Arc<User>> = names.iter().filter_map(|name| users.remove(name)).collect();
    close_clients(ctx, &gone);
    reply.len(gone.len());
    Ok(())
}

pub(super) fn get(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(user) = ctx.env.shared.users.find(argv[2]) else {
        reply.null();
        return Ok(());
    };
    let rules = user.rules();
    reply.map(6);
    reply.bulk(b"flags");
    let flags: Vec<&str> = rules.flags().collect();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(rules.passwords.len());
    rules.passwords.iter().for_each(|hash| reply.bulk(hash.text().as_bytes()));
    describe(rules.root(), reply);
    reply.bulk(b"selectors");
    reply.array(rules.selectors.len() - 1);
    for selector in &rules.selectors[1..] {
        reply.map(3);
        describe(selector, reply);
    }
    Ok(())
}

/// Three fields of GETUSER's map.
fn describe(selector: &Selector, reply: &mut Reply<'_>) {
    reply.bulk(b"commands");
    reply.bulk(&selector.describe_commands());
    reply.bulk(b"keys");
    reply.bulk(&selector.describe_keys());
    reply.bulk(b"channels");
    reply.bulk(&selector.describe_channels());
}

pub(super) fn list(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let users = ctx.env.shared.users.all();
    reply.array(users.len());
    users.iter().for_each(|user| reply.bulk(&user.describe()));
    Ok(())
}

pub(super) fn names(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let users = ctx.env.shared.users.all();
    reply.array(users.len());
    users.iter().for_each(|user| reply.bulk(&user.name));
    Ok(())
}

pub(super) fn who_am_i(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    match &ctx.session.user {
        Some(user) => reply.bulk(&user.name),
        None => reply.null(),
    }
    Ok(())
}

/// The file that users are kept in.
fn path(ctx: &ExclusiveCtx<'_>) -> Result<Vec<u8>, CommandError> {
    let path = ctx.state.config.text(Param::Aclfile);
    if path.is_empty() {
        return Err(CommandError::text(
            "ERR This Redis instance is not configured to use an ACL file. You may want to specify \
             users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a \
             Redis configuration file set) in order to store users in the Redis configuration.",
        ));
    }
    Ok(path.to_vec())
}

pub(super) fn load(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let path = path(ctx)?;
    let shared = ctx.env.shared;
    let shown = String::from_utf8_lossy(&path);
    let text = shared.host.read_users(&shown).map_err(|why| {
        CommandError::owned(format!("ERR Error loading ACLs, opening file '{shown}': {why}"))
    })?;
    let rule_ctx = shared.users.rule_ctx(&ctx.state.registry);
    let users = file::read(&text, &path, rule_ctx)
        .map_err(|errors| CommandError::Raw([b"ERR ", &errors[..]].concat()))?;
    let gone = shared.users.replace(users);
    close_clients(ctx, &gone);
    reply.ok();
    Ok(())
}

pub(super) fn save(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let path = path(ctx)?;
    let shared = ctx.env.shared;
    let text = shared.users.file_text();
    let written = shared.host.write_users(&String::from_utf8_lossy(&path), &text);
    written.map_err(|SaveFailed| {
        CommandError::text(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more \
             information",
        )
    })?;
    reply.ok();
    Ok(())
}
