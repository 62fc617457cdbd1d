//! COMMAND and its subcommands: what the declarations say, in the shapes that clients read.

use crate::base::glob::{Case, glob_match};
use crate::engine::args;
use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::engine::keys;
use crate::engine::registry::{Command, Registry};
use crate::engine::spec::{
    Arg, Argv, Arity, Begin, Category, CommandSpec, Find, Flag, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

const SUB: CommandSpec = CommandSpec {
    group: Group::Server,
    flags: &[Flag::Loading, Flag::Stale],
    categories: &[Category::Connection],
    ..CommandSpec::BASE
};

/// The command and its subcommands. COMMAND alone answers as COMMAND INFO of everything.
pub const COMMAND: CommandSpec = CommandSpec {
    name: "COMMAND",
    summary: "Returns detailed information about all commands.",
    since: "2.8.13",
    complexity: "O(N) where N is the total number of Redis commands",
    arity: Arity::AtLeast(1),
    tips: &["nondeterministic_output_order"],
    run: Run::Read(all),
    subcommands: &[
        CommandSpec {
            name: "COUNT",
            summary: "Returns a count of commands.",
            since: "2.8.13",
            arity: Arity::Exactly(2),
            run: Run::Read(count),
            ..SUB
        },
        CommandSpec {
            name: "INFO",
            summary: "Returns information about one, multiple or all commands.",
            since: "2.8.13",
            complexity: "O(N) where N is the number of commands to look up",
            arity: Arity::AtLeast(2),
            args: &[Arg::string("command-name").optional().multiple()],
            history: &[(
                "7.0.0",
                "Allowed to be called with no argument to get info on all commands.",
            )],
            tips: &["nondeterministic_output_order"],
            run: Run::Read(info),
            ..SUB
        },
        CommandSpec {
            name: "DOCS",
            summary: "Returns documentary information about one, multiple or all commands.",
            since: "7.0.0",
            complexity: "O(N) where N is the number of commands to look up",
            arity: Arity::AtLeast(2),
            args: &[Arg::string("command-name").optional().multiple()],
            tips: &["nondeterministic_output_order"],
            run: Run::Read(docs),
            ..SUB
        },
        CommandSpec {
            name: "GETKEYS",
            summary: "Extracts the key names from an arbitrary command.",
            since: "2.8.13",
            complexity: "O(N) where N is the number of arguments to the command",
            arity: Arity::AtLeast(3),
            args: &[Arg::string("command"), Arg::string("arg").optional().multiple()],
            run: Run::Exclusive(|ctx, argv, reply| get_keys(&mut ctx.read(), argv, reply)),
            ..SUB
        },
        CommandSpec {
            name: "GETKEYSANDFLAGS",
            summary: "Extracts the key names and access flags for an arbitrary command.",
            since: "7.0.0",
            complexity: "O(N) where N is the number of arguments to the command",
            arity: Arity::AtLeast(3),
            args: &[Arg::string("command"), Arg::string("arg").optional().multiple()],
            run: Run::Exclusive(|ctx, argv, reply| {
                get_keys_and_flags(&mut ctx.read(), argv, reply)
            }),
            ..SUB
        },
        CommandSpec {
            name: "LIST",
            summary: "Returns a list of command names.",
            since: "7.0.0",
            complexity: "O(N) where N is the total number of Redis commands",
            arity: Arity::AtLeast(2),
            args: &[Arg::one_of(
                "filterby",
                &[
                    Arg::string("module-name").token("MODULE"),
                    Arg::string("category").token("ACLCAT"),
                    Arg::pattern("pattern").token("PATTERN"),
                ],
            )
            .token("FILTERBY")
            .optional()],
            tips: &["nondeterministic_output_order"],
            run: Run::Read(list),
            ..SUB
        },
        CommandSpec {
            name: "HELP",
            summary: "Returns helpful text about the different subcommands.",
            since: "5.0.0",
            arity: Arity::Exactly(2),
            run: Run::Session(|_, _, reply| {
                super::super::reply_help(
                    reply,
                    "COMMAND",
                    &[
                        ("(no subcommand)", "Return details about all commands."),
                        ("COUNT", "Return the number of commands."),
                        ("LIST", "Return the names of commands."),
                        ("INFO [<command-name> ...]", "Return details about these commands."),
                        ("DOCS [<command-name> ...]", "Return documentation of these commands."),
                        ("GETKEYS <full-command>", "Return the keys of a full command."),
                        (
                            "GETKEYSANDFLAGS <full-command>",
                            "Return the keys and their access flags.",
                        ),
                    ],
                );
                Ok(())
            }),
            ..SUB
        },
    ],
    ..SUB
};

fn all(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if argv.len() > 1 {
        return Err(CommandError::UnknownSubcommand(args::lossy(argv[1]), "COMMAND".into()));
    }
    let commands = ctx.state.registry.commands();
    reply.array(commands.len());
    for command in commands {
        describe(command, &ctx.state.registry, reply);
    }
    Ok(())
}

fn count(ctx: &mut ReadCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.len(ctx.state.registry.commands().len());
    Ok(())
}

fn info(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let registry = &ctx.state.registry;
    if argv.len() == 2 {
        let commands = registry.commands();
        reply.array(commands.len());
        for command in commands {
            describe(command, registry, reply);
        }
        return Ok(());
    }
    reply.array(argv.len() - 2);
    for name in &argv[2..] {
        match registry.by_full_name(name) {
            Some(command) => describe(command, registry, reply),
            None => reply.null(),
        }
    }
    Ok(())
}

/// A command's entry of COMMAND INFO.
fn describe(command: &Command, registry: &Registry, reply: &mut Reply<'_>) {
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.int(command.spec.arity.number());
    let flags: Vec<&str> = ALL_FLAGS
        .iter()
        .filter(|flag| command.has(**flag))
        .filter_map(|flag| flag.name())
        .collect();
    reply.set(flags.len());
    for flag in flags {
        reply.simple(flag);
    }
    reply.int(i64::from(command.first_key));
    reply.int(i64::from(command.last_key));
    reply.int(i64::from(command.key_step));
    let built_in = Category::ALL.iter().map(|category| (category.name(), category.bit()));
    let of_modules = registry.module_categories().iter().map(|(name, bit)| (&**name, *bit));
    let categories: Vec<&str> = built_in
        .chain(of_modules)
        .filter(|(_, bit)| command.categories & bit != 0)
        .map(|(name, _)| name)
        .collect();
    reply.set(categories.len());
    for category in categories {
        reply.simple(&format!("@{category}"));
    }
    reply.set(command.spec.tips.len());
    for tip in command.spec.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(command.spec.keys.len());
    for spec in command.spec.keys {
        describe_keys(spec, reply);
    }
    reply.set(command.subcommands.len());
    for sub in &command.subcommands {
        describe(sub, registry, reply);
    }
}

const ALL_FLAGS: &[Flag] = &[
    Flag::Write,
    Flag::ReadOnly,
    Flag::DenyOom,
    Flag::Module,
    Flag::Admin,
    Flag::PubSub,
    Flag::NoScript,
    Flag::Blocking,
    Flag::Loading,
    Flag::Stale,
    Flag::SkipMonitor,
    Flag::SkipSlowlog,
    Flag::Asking,
    Flag::Fast,
    Flag::NoAuth,
    Flag::NoMulti,
    Flag::MovableKeys,
    Flag::AllowBusy,
    Flag::NoAsyncLoading,
    Flag::NoMandatoryKeys,
];

fn describe_keys(spec: &KeySpec, reply: &mut Reply<'_>) {
    let notes = !spec.notes.is_empty();
    reply.map(3 + usize::from(notes));
    if notes {
        reply.bulk(b"notes");
        reply.bulk(spec.notes.as_bytes());
    }
    reply.bulk(b"flags");
    let flags: Vec<&str> = spec.access.flags().iter().chain(spec.extra).copied().collect();
    reply.set(flags.len());
    for flag in flags {
        reply.simple(flag);
    }
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => typed(reply, "index", &[("index", i64::from(index))]),
        Begin::Keyword(word, from) => {
            reply.map(2);
            reply.bulk(b"type");
            reply.bulk(b"keyword");
            reply.bulk(b"spec");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.int(i64::from(from));
        }
        Begin::Unknown => typed(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => typed(
            reply,
            "range",
            &[("lastkey", last.into()), ("keystep", step.into()), ("limit", limit.into())],
        ),
        Find::KeyNum { index, first, step } => typed(
            reply,
            "keynum",
            &[("keynumidx", index.into()), ("firstkey", first.into()), ("keystep", step.into())],
        ),
        Find::Unknown => typed(reply, "unknown", &[]),
    }
}

fn typed(reply: &mut Reply<'_>, kind: &str, fields: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.int(*value);
    }
}

fn docs(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let commands: Vec<&Command> = if argv.len() == 2 {
        ctx.state.registry.commands().to_vec()
    } else {
        argv[2..].iter().filter_map(|name| ctx.state.registry.by_full_name(name)).collect()
    };
    reply.map(commands.len());
    for command in commands {
        document(command, reply);
    }
    Ok(())
}

/// A command's entry of COMMAND DOCS, with its name before it.
fn document(command: &Command, reply: &mut Reply<'_>) {
    let spec = command.spec;
    reply.bulk(command.name.as_bytes());
    let map = reply.deferred();
    let mut fields = 0;
    let mut text = |reply: &mut Reply<'_>, name: &str, value: &str| {
        if !value.is_empty() {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
            fields += 1;
        }
    };
    text(reply, "summary", spec.summary);
    text(reply, "since", spec.since);
    text(reply, "group", spec.group.name());
    text(reply, "complexity", spec.complexity);
    text(reply, "module", command.module.as_deref().unwrap_or_default());
    if let Some(deprecated) = spec.deprecated {
        text(reply, "deprecated_since", deprecated.since);
        text(reply, "replaced_by", deprecated.replaced_by);
    }
    let doc_flags =
        [(spec.deprecated.is_some(), "deprecated"), (command.has(Flag::System), "syscmd")];
    let set = doc_flags.iter().filter(|(on, _)| *on).count();
    if set > 0 {
        reply.bulk(b"doc_flags");
        reply.set(set);
        doc_flags.iter().filter(|(on, _)| *on).for_each(|(_, name)| reply.simple(name));
        fields += 1;
    }
    if !spec.history.is_empty() {
        reply.bulk(b"history");
        reply.set(spec.history.len());
        for (version, change) in spec.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
        fields += 1;
    }
    if !spec.args.is_empty() {
        reply.bulk(b"arguments");
        document_args(spec.args, reply);
        fields += 1;
    }
    if !command.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for sub in &command.subcommands {
            document(sub, reply);
        }
        fields += 1;
    }
    reply.close_map(map, fields);
}

fn document_args(args: &[Arg], reply: &mut Reply<'_>) {
    reply.array(args.len());
    for arg in args {
        let map = reply.deferred();
        let mut fields = 2;
        reply.bulk(b"name");
        reply.bulk(arg.name.as_bytes());
        reply.bulk(b"type");
        reply.bulk(arg.kind.name().as_bytes());
        if !arg.kind.has_parts() {
            reply.bulk(b"display_text");
            reply.bulk(arg.shown_as.unwrap_or(arg.name).as_bytes());
            fields += 1;
        }
        if let Some(spec) = arg.key_spec {
            reply.bulk(b"key_spec_index");
            reply.int(i64::from(spec));
            fields += 1;
        }
        for (name, value) in [
            ("token", arg.token),
            ("summary", arg.summary),
            ("since", arg.since),
            ("deprecated_since", arg.deprecated),
        ] {
            if let Some(value) = value {
                reply.bulk(name.as_bytes());
                reply.bulk(value.as_bytes());
                fields += 1;
            }
        }
        let flags = [
            (arg.optional, "optional"),
            (arg.multiple, "multiple"),
            (arg.multiple_token, "multiple_token"),
        ];
        let set = flags.iter().filter(|(on, _)| *on).count();
        if set > 0 {
            reply.bulk(b"flags");
            reply.set(set);
            for (_, name) in flags.iter().filter(|(on, _)| *on) {
                reply.simple(name);
            }
            fields += 1;
        }
        if arg.kind.has_parts() {
            reply.bulk(b"arguments");
            document_args(arg.args, reply);
            fields += 1;
        }
        reply.close_map(map, fields);
    }
}

/// The command named by the arguments behind COMMAND GETKEYS, checked.
fn target(ctx: &ReadCtx<'_>, argv: Argv<'_>) -> Result<&'static Command, CommandError> {
    let command = ctx.state.registry.resolve(argv);
    // A word behind a container is a subcommand, or there is no such command.
    let is_known = |command: &&Command| command.subcommands.is_empty() || argv.len() == 1;
    let command =
        command.filter(is_known).ok_or(CommandError::text("ERR Invalid command specified"))?;
    let spec = command.spec;
    if spec.keys.is_empty() && spec.find_keys.is_none() && !command.has(Flag::GetKeysApi) {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    if !spec.arity.fits(argv.len()) {
        return Err(CommandError::text("ERR Invalid number of arguments specified for command"));
    }
    Ok(command)
}

fn key_positions(ctx: &ReadCtx<'_>, argv: Argv<'_>) -> Result<Vec<keys::KeyAt>, CommandError> {
    let command = target(ctx, argv)?;
    let found = keys::find(command, argv).unwrap_or_default();
    if found.is_empty() && !command.has(Flag::NoMandatoryKeys) {
        return Err(CommandError::text("ERR Invalid arguments specified for command"));
    }
    Ok(found)
}

fn get_keys(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let argv = &argv[2..];
    let found = key_positions(ctx, argv)?;
    reply.array(found.len());
    for key in found {
        reply.bulk(argv[key.position]);
    }
    Ok(())
}

fn get_keys_and_flags(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let argv = &argv[2..];
    let found = key_positions(ctx, argv)?;
    reply.array(found.len());
    for key in found {
        reply.array(2);
        reply.bulk(argv[key.position]);
        reply.set(key.flags.len());
        for flag in key.flags {
            reply.simple(flag);
        }
    }
    Ok(())
}

fn list(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let accept: Box<dyn Fn(&Command) -> bool> = match &argv[2..] {
        [] => Box::new(|_| true),
        [by, how, what] if args::is(by, "FILTERBY") => {
            if args::is(how, "MODULE") {
                Box::new(|c| c.module.as_deref().is_some_and(|m| m.as_bytes() == *what))
            } else if args::is(how, "ACLCAT") {
                let bit = ctx.state.registry.category(what).unwrap_or(0);
                Box::new(move |c| c.categories & bit != 0)
            } else if args::is(how, "PATTERN") {
                Box::new(|c| glob_match(what, c.name.as_bytes(), Case::Insensitive))
            } else {
                return Err(CommandError::Syntax);
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    let open = reply.deferred();
    let mut found = 0;
    for command in ctx.state.registry.commands() {
        for command in std::iter::once(command).chain(&command.subcommands) {
            if accept(command) {
                reply.bulk(command.name.as_bytes());
                found += 1;
            }
        }
    }
    reply.close(open, found);
    Ok(())
}
