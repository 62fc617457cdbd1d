//! MODULE: modules loaded and unloaded while the server runs.

use crate::config::params::Param;
use crate::engine::args;
use crate::engine::ctx::{ExclusiveCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Group, Outcome, Run};
use crate::module::loader;
use crate::resp::reply::Reply;

const SUB: CommandSpec = CommandSpec {
    since: "4.0.0",
    group: Group::Server,
    flags: &[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading, Flag::Protected],
    ..CommandSpec::BASE
};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "MODULE",
    summary: "A container for module commands.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    flags: &[],
    subcommands: &[
        CommandSpec {
            name: "LOAD",
            summary: "Loads a module.",
            arity: Arity::AtLeast(3),
            args: &[Arg::string("path"), Arg::string("arg").optional().multiple()],
            run: Run::Exclusive(load),
            ..SUB
        },
        CommandSpec {
            name: "LOADEX",
            summary: "Loads a module using extended parameters.",
            since: "7.0.0",
            arity: Arity::AtLeast(3),
            args: &[
                Arg::string("path"),
                Arg::block("configs", &[Arg::string("name"), Arg::string("value")])
                    .token("CONFIG")
                    .optional()
                    .multiple(),
                Arg::string("arg").token("ARGS").optional().multiple(),
            ],
            run: Run::Exclusive(load_ex),
            ..SUB
        },
        CommandSpec {
            name: "UNLOAD",
            summary: "Unloads a module.",
            arity: Arity::Exactly(3),
            args: &[Arg::string("name")],
            run: Run::Exclusive(unload),
            ..SUB
        },
        CommandSpec {
            name: "LIST",
            summary: "Returns all loaded modules.",
            complexity: "O(N) where N is the number of loaded modules.",
            arity: Arity::Exactly(2),
            flags: &[Flag::Admin, Flag::NoScript],
            tips: &["nondeterministic_output_order"],
            run: Run::Session(list),
            ..SUB
        },
        CommandSpec {
            name: "HELP",
            summary: "Returns helpful text about the different subcommands.",
            since: "5.0.0",
            arity: Arity::Exactly(2),
            flags: &[Flag::Loading, Flag::Stale],
            run: Run::Session(|_, _, reply| {
                super::reply_help(
                    reply,
                    "MODULE",
                    &[
                        ("LIST", "Return the modules that are loaded."),
                        ("LOAD <path> [<arg> ...]", "Load a module."),
                        (
                            "LOADEX <path> [CONFIG <name> <value> ...] [ARGS ...]",
                            "Load a module with values for its parameters.",
                        ),
                        ("UNLOAD <name>", "Unload a module."),
                    ],
                );
                Ok(())
            }),
            ..SUB
        },
    ],
    ..SUB
}];

/// `enable-module-command`.
fn check_allowed(ctx: &ExclusiveCtx<'_>) -> Outcome {
    let allowed = match ctx.state.config.choice(Param::EnableModuleCommand) {
        0 => false,
        1 => true,
        _ => ctx.env.client.is_none_or(|client| client.is_local()),
    };
    if allowed {
        return Ok(());
    }
    Err(CommandError::text(
        "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you \
         can run it from a local connection, otherwise you need to set this option in the \
         configuration file, and then restart the server.",
    ))
}

fn load_path(
    ctx: &mut ExclusiveCtx<'_>,
    path: &[u8],
    args: &[&[u8]],
    settings: &[(Vec<u8>, Vec<u8>)],
    reply: &mut Reply<'_>,
) -> Outcome {
    let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
    loader::load_with(ctx, &args::lossy(path), &args, settings).map_err(|error| {
        tracing::warn!("{error}");
        CommandError::text("ERR Error loading the extension. Please check the server logs.")
    })?;
    reply.ok();
    Ok(())
}

fn load(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_allowed(ctx)?;
    load_path(ctx, argv[2], &argv[3..], &[], reply)
}

fn load_ex(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_allowed(ctx)?;
    let mut rest = &argv[3..];
    let mut settings = Vec::new();
    while let [word, name, value, more @ ..] = rest
        && args::is(word, "CONFIG")
    {
        settings.push((name.to_vec(), value.to_vec()));
        rest = more;
    }
    let args = match rest {
        [] => &[],
        [word, args @ ..] if args::is(word, "ARGS") => args,
        _ => return Err(CommandError::Syntax),
    };
    load_path(ctx, argv[2], args, &settings, reply)
}

fn unload(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_allowed(ctx)?;
    loader::unload(ctx, &args::lossy(argv[2]))
        .map_err(|error| CommandError::owned(format!("ERR Error unloading module: {error}")))?;
    reply.ok();
    Ok(())
}

fn list(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let modules = ctx.env.shared.modules.lock();
    reply.array(modules.len());
    for module in modules.iter() {
        module.describe(reply);
    }
    Ok(())
}
