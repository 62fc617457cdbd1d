//! FCALL and FUNCTION: libraries of functions, which the data set includes.
//!
//! Functions run in the one VM that the server has for them, under the exclusive lock, so that what a library keeps in
//! variables is the same for all. Only FCALL_RO runs them in a VM of the worker's own, under the shared lock, with
//! variables of its own.

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use super::running::{Running, Subject};
use super::{
    RUN_FLAGS, RUN_KEYS, RUN_RO_FLAGS, RUN_RO_KEYS, SCRIPTING, admit, declared_flags, kill,
    split_counted,
};
use crate::base::glob;
use crate::config::params::Param;
use crate::engine::args;
use crate::engine::call::Access;
use crate::engine::ctx::{Env, ExclusiveCtx, ReadCtx, SessionCtx};
use crate::engine::effects::Unit;
use crate::engine::error::CommandError;
use crate::engine::functions::{Function, Functions, Libraries, Library};
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Outcome, Run};
use crate::engine::state::State;
use crate::object::rdb::kind::opcode;
use crate::object::rdb::read::Reader;
use crate::object::rdb::write::Writer;
use crate::persist::rdb::save::write_libraries;
use crate::persist::rdb::value;
use crate::resp::reply::Reply;
use crate::script::flags::ScriptFlags;
use crate::script::functions::{
    ENGINE, FunctionVm, Invocation, LOAD_MS_MAX, LoadOptions, flags_of, load, load_apart, take_vm,
};
use crate::script::vm::VmOptions;

const FCALL_ARGS: &[Arg] = &[
    Arg::string("function"),
    Arg::integer("numkeys"),
    Arg::key("key").optional().multiple(),
    Arg::string("arg").optional().multiple(),
];

const FUNCTION: CommandSpec = CommandSpec { since: "7.0.0", flags: &[Flag::NoScript], ..SCRIPTING };

const ON_ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "FCALL",
        summary: "Invokes a function.",
        since: "7.0.0",
        complexity: "Depends on the function that is executed.",
        flags: RUN_FLAGS,
        keys: RUN_KEYS,
        args: FCALL_ARGS,
        flags_of: Some(fcall_flags),
        run: Run::Exclusive(fcall),
        ..SCRIPTING
    },
    CommandSpec {
        name: "FCALL_RO",
        summary: "Invokes a read-only function.",
        since: "7.0.0",
        complexity: "Depends on the function that is executed.",
        flags: RUN_RO_FLAGS,
        keys: RUN_RO_KEYS,
        args: FCALL_ARGS,
        run: Run::Read(fcall_ro),
        ..SCRIPTING
    },
    CommandSpec {
        name: "FUNCTION",
        summary: "A container for function commands.",
        since: "7.0.0",
        complexity: "Depends on subcommand.",
        arity: Arity::AtLeast(2),
        categories: &[],
        subcommands: SUBCOMMANDS,
        ..SCRIPTING
    },
];

const SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LOAD",
        summary: "Creates a library.",
        complexity: "O(1) (considering compilation time is redundant)",
        arity: Arity::AtLeast(3),
        flags: &[Flag::NoScript, Flag::Write, Flag::DenyOom],
        args: &[Arg::flag("replace", "REPLACE").optional(), Arg::string("function-code")],
        tips: ON_ALL_SHARDS,
        run: Run::Exclusive(function_load),
        ..FUNCTION
    },
    CommandSpec {
        name: "DELETE",
        summary: "Deletes a library and its functions.",
        complexity: "O(1)",
        arity: Arity::Exactly(3),
        flags: &[Flag::NoScript, Flag::Write],
        args: &[Arg::string("library-name")],
        tips: ON_ALL_SHARDS,
        run: Run::Exclusive(delete),
        ..FUNCTION
    },
    CommandSpec {
        name: "FLUSH",
        summary: "Deletes all libraries and functions.",
        complexity: "O(N) where N is the number of functions deleted",
        arity: Arity::AtLeast(2),
        flags: &[Flag::NoScript, Flag::Write],
        args: &[Arg::one_of(
            "flush-type",
            &[Arg::flag("async", "ASYNC"), Arg::flag("sync", "SYNC")],
        )
        .optional()],
        tips: ON_ALL_SHARDS,
        run: Run::Exclusive(flush),
        ..FUNCTION
    },
    CommandSpec {
        name: "RESTORE",
        summary: "Restores all libraries from a payload.",
        complexity: "O(N) where N is the number of functions on the payload",
        arity: Arity::AtLeast(3),
        flags: &[Flag::NoScript, Flag::Write, Flag::DenyOom],
        args: &[
            Arg::string("serialized-value"),
            Arg::one_of(
                "policy",
                &[
                    Arg::flag("flush", "FLUSH"),
                    Arg::flag("append", "APPEND"),
                    Arg::flag("replace", "REPLACE"),
                ],
            )
            .optional(),
        ],
        tips: ON_ALL_SHARDS,
        run: Run::Exclusive(restore),
        ..FUNCTION
    },
    CommandSpec {
        name: "DUMP",
        summary: "Dumps all libraries into a serialized binary payload.",
        complexity: "O(N) where N is the number of functions",
        arity: Arity::Exactly(2),
        run: Run::Read(dump),
        ..FUNCTION
    },
    CommandSpec {
        name: "LIST",
        summary: "Returns information about all libraries.",
        complexity: "O(N) where N is the number of functions",
        arity: Arity::AtLeast(2),
        args: &[
            Arg::string("library-name-pattern").token("LIBRARYNAME").optional(),
            Arg::flag("withcode", "WITHCODE").optional(),
        ],
        tips: &["nondeterministic_output_order"],
        run: Run::Read(list),
        ..FUNCTION
    },
    CommandSpec {
        name: "STATS",
        summary: "Returns information about a function during execution.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: &[Flag::NoScript, Flag::AllowBusy],
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        run: Run::Session(stats),
        ..FUNCTION
    },
    CommandSpec {
        name: "KILL",
        summary: "Terminates a function during execution.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: &[Flag::NoScript, Flag::AllowBusy],
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        run: Run::Session(|ctx, _, reply| kill(ctx, true, reply)),
        ..FUNCTION
    },
    CommandSpec {
        name: "HELP",
        summary: "Returns helpful text about the different subcommands.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: &[Flag::Loading, Flag::Stale],
        run: Run::Session(help),
        ..FUNCTION
    },
];

fn help(_: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    crate::commands::reply_help(
        reply,
        "FUNCTION",
        &[
            ("LOAD [REPLACE] <FUNCTION CODE>", "Add a library, or replace one."),
            ("DELETE <LIBRARY NAME>", "Remove a library."),
            ("LIST [LIBRARYNAME PATTERN] [WITHCODE]", "List the libraries and their functions."),
            ("STATS", "Tell which function is running, and how many there are."),
            ("KILL", "End the function that is running, if it has not written."),
            ("FLUSH [ASYNC|SYNC]", "Remove all libraries."),
            ("DUMP", "Return all libraries as a payload for RESTORE."),
            (
                "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
                "Add the libraries of a payload: alone, beside others, or instead of others.",
            ),
        ],
    );
    Ok(())
}

const NOT_FOUND: CommandError = CommandError::text("ERR Function not found");

/// The keys and arguments of a call.
fn split(argv: Argv<'_>) -> Result<(Argv<'_>, Argv<'_>), CommandError> {
    let count =
        args::int(argv[2]).map_err(|_| CommandError::text("ERR Bad number of keys provided"))?;
    split_counted(argv, count)
}

fn fcall_flags(state: &State, argv: Argv<'_>, command: u32) -> u32 {
    match argv.get(1).and_then(|name| state.functions.libraries().find(name)) {
        Some(found) => declared_flags(flags_of(found.function()), command),
        None => command,
    }
}

fn fcall(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let found = ctx.state.functions.libraries().find(argv[1]).ok_or(NOT_FOUND)?.clone();
    let (keys, args) = split(argv)?;
    let function = found.function();
    let flags = flags_of(function);
    admit(flags, false, ctx.unit, ctx.env)?;
    let options = VmOptions::of(&ctx.state.config);
    let mut vm = take_vm(&mut ctx.state.functions, options).map_err(|_| NO_MEMORY)?;
    let call = Invocation { found: &found, keys, args, protocol: reply.protocol() };
    let subject = Subject { name: &function.name, flags, is_function: true, argv };
    let outer = ctx.unit.call.targets;
    let ExclusiveCtx { state, session, unit, env } = ctx;
    let mut running = Running::begin(Access::Exclusive(state), session, unit, *env, subject);
    vm.call(&call, &mut running, reply.buffer());
    running.end(found.stats());
    ctx.unit.call.targets = outer;
    ctx.state.functions.vm = Some(vm);
    Ok(())
}

const NO_MEMORY: CommandError = CommandError::text("ERR not enough memory for a Lua state");

thread_local! {
    /// The worker's own VM for functions that only read.
    static READ_VM: RefCell<Option<FunctionVm>> = const { RefCell::new(None) };
}

fn fcall_ro(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let found = ctx.state.functions.libraries().find(argv[1]).ok_or(NOT_FOUND)?;
    let (keys, args) = split(argv)?;
    let function = found.function();
    admit(flags_of(function), true, ctx.unit, ctx.env)?;
    READ_VM.with(|slot| {
        let mut slot = slot.try_borrow_mut().map_err(|_| CommandError::NotInScript)?;
        let vm = match &mut *slot {
            Some(vm) => vm,
            slot => {
                let options = VmOptions::of(&ctx.state.config);
                slot.insert(FunctionVm::new(options).map_err(|_| NO_MEMORY)?)
            }
        };
        vm.keep(&ctx.state.functions);
        let call = Invocation { found, keys, args, protocol: reply.protocol() };
        let flags = ScriptFlags::NO_WRITES;
        let subject = Subject { name: &function.name, flags, is_function: true, argv };
        let access = Access::Shared(ctx.state);
        let mut running = Running::begin(access, ctx.session, ctx.unit, ctx.env, subject);
        vm.call(&call, &mut running, reply.buffer());
        running.end(found.stats());
        ctx.env.stats.function_vm_bytes.set(vm.used_memory());
        Ok(())
    })
}

fn subcommand_syntax(argv: Argv<'_>) -> CommandError {
    CommandError::SubcommandSyntax(args::lossy(argv[1]), "FUNCTION")
}

/// An error whose text is made by the library.
fn failure(text: &[u8]) -> CommandError {
    CommandError::Raw([b"ERR ", text].concat())
}

/// How a library is loaded that came with this command. One of the primary or of a file has all the time it needs.
fn load_options(replace: bool, state: &State, unit: &Unit, env: Env<'_>) -> LoadOptions {
    let ms_max = if unit.trusts { 0 } else { LOAD_MS_MAX };
    let vm = VmOptions::of(&state.config);
    LoadOptions { replace, ms_max, clock: env.shared.clock.mono_ns, vm }
}

fn function_load(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some((code, options)) = argv[2..].split_last() else {
        return Err(CommandError::text("ERR Function code is missing"));
    };
    for option in options {
        if !args::is(option, "REPLACE") {
            return Err(failure(&[b"Unknown option given: ", *option].concat()));
        }
    }
    let options = load_options(!options.is_empty(), ctx.state, ctx.unit, ctx.env);
    let name = load(&mut ctx.state.functions, code, options).map_err(|text| failure(&text))?;
    ctx.unit.call.dirty += 1;
    reply.bulk(&name);
    Ok(())
}

fn delete(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if ctx.state.functions.libraries().get(argv[2]).is_none() {
        return Err(CommandError::text("ERR Library not found"));
    }
    ctx.state.functions.change(|libraries| libraries.remove(argv[2]));
    ctx.unit.call.dirty += 1;
    reply.ok();
    Ok(())
}

fn flush(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let later = match &argv[2..] {
        [] => ctx.state.config.flag(Param::LazyfreeLazyUserFlush),
        [how] if args::is(how, "ASYNC") => true,
        [how] if args::is(how, "SYNC") => false,
        [_] => {
            return Err(CommandError::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
        }
        _ => return Err(subcommand_syntax(argv)),
    };
    let libraries = ctx.state.functions.libraries().len() as u64;
    if let Some(vm) = ctx.state.functions.clear()
        && later
    {
        ctx.env.shared.host.free_later(Box::new(vm), libraries);
    }
    ctx.unit.call.dirty += 1;
    reply.ok();
    Ok(())
}

fn dump(ctx: &mut ReadCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let style = value::style(&ctx.state.config);
    let mut writer = Writer::new(style);
    write_libraries(ctx.state.functions.libraries(), &mut writer);
    reply.bulk(&value::with_footer(writer.into_bytes(), style.version));
    Ok(())
}

/// What happens to the libraries that are there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Flush,
    Append,
    Replace,
}

fn restore(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let policy = match &argv[3..] {
        [] => Policy::Append,
        [policy] if args::is(policy, "APPEND") => Policy::Append,
        [policy] if args::is(policy, "REPLACE") => Policy::Replace,
        [policy] if args::is(policy, "FLUSH") => Policy::Flush,
        [_] => {
            return Err(CommandError::text(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
        _ => return Err(subcommand_syntax(argv)),
    };
    let skip_checksum = ctx.state.persistence.skip_checksum;
    let body = value::payload_body(argv[2], skip_checksum)
        .ok_or(CommandError::text("ERR DUMP payload version or checksum are wrong"))?;
    let options = load_options(false, ctx.state, ctx.unit, ctx.env);
    let functions = &mut ctx.state.functions;
    let restored = load_payload(functions, body, options).map_err(|text| failure(&text))?;
    match policy {
        Policy::Flush => functions.change(|libraries| *libraries = restored),
        Policy::Append | Policy::Replace => functions
            .change(|libraries| libraries.join(restored, policy == Policy::Replace))
            .map_err(|collision| failure(&collision.join_text()))?,
    }
    ctx.unit.call.dirty += 1;
    reply.ok();
    Ok(())
}

/// The libraries of a payload.
fn load_payload(
    functions: &mut Functions,
    body: &[u8],
    options: LoadOptions,
) -> Result<Libraries, Vec<u8>> {
    let mut libraries = Libraries::default();
    let mut reader = Reader::new(body);
    while !reader.rest().is_empty() {
        match reader.byte() {
            Ok(opcode::FUNCTION) => {}
            Ok(opcode::FUNCTION_PRE_GA) => {
                return Err(b"Pre-GA function format not supported".to_vec());
            }
            _ => return Err(b"given type is not a function".to_vec()),
        }
        let text = reader.string().map_err(|_| b"Failed loading library payload".to_vec())?;
        load_apart(functions, &mut libraries, &text, options)?;
    }
    Ok(libraries)
}

fn list(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (mut with_code, mut pattern) = (false, None);
    let mut rest = argv[2..].iter();
    while let Some(option) = rest.next() {
        if !with_code && args::is(option, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && args::is(option, "LIBRARYNAME") {
            pattern = Some(
                rest.next().ok_or(CommandError::text("ERR library name argument was not given"))?,
            );
        } else {
            return Err(failure(&[b"Unknown argument ", *option].concat()));
        }
    }
    let matches = |library: &&std::sync::Arc<Library>| {
        pattern
            .is_none_or(|pattern| glob::glob_match(pattern, &library.name, glob::Case::Insensitive))
    };
    let libraries = ctx.state.functions.libraries();
    reply.array(libraries.iter().filter(matches).count());
    for library in libraries.iter().filter(matches) {
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(&library.name);
        reply.bulk(b"engine");
        reply.bulk(ENGINE.as_bytes());
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        library.functions.iter().for_each(|function| write_function(function, reply));
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    Ok(())
}

fn write_function(function: &Function, reply: &mut Reply<'_>) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(&function.name);
    reply.bulk(b"description");
    match &function.description {
        Some(text) => reply.bulk(text),
        None => reply.null(),
    }
    reply.bulk(b"flags");
    let flags = flags_of(function);
    reply.set(flags.names().count());
    flags.names().for_each(|name| reply.simple(name));
}

fn stats(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let shared = ctx.env.shared;
    let running = shared.busy.running();
    if running.is_some() && !shared.busy.is_function() {
        return Err(shared.busy.refusal());
    }
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some(script) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&script.name);
            reply.bulk(b"command");
            reply.array(script.argv.len());
            script.argv.iter().for_each(|arg| reply.bulk(arg));
            reply.bulk(b"duration_ms");
            let elapsed_ns = (shared.clock.mono_ns)().saturating_sub(script.began_ns);
            reply.int((elapsed_ns / 1_000_000) as i64);
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(ENGINE.as_bytes());
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.int(shared.function_counts.libraries.load(Ordering::Relaxed) as i64);
    reply.bulk(b"functions_count");
    reply.int(shared.function_counts.functions.load(Ordering::Relaxed) as i64);
    Ok(())
}
