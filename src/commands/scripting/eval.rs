//! EVAL and its relatives, and SCRIPT: the sources by their SHA1, and the VMs that run them.
//!
//! Scripts that may write run in the engine's VM under the exclusive lock, those of EVAL_RO in a VM of
//! the worker's own under the shared lock, side by side.

use std::cell::RefCell;
use std::sync::Arc;

use super::running::{Running, Subject};
use super::{
    RUN_FLAGS, RUN_KEYS, RUN_RO_FLAGS, RUN_RO_KEYS, SCRIPTING, admit, declared_flags, kill, split,
};
use crate::base::sha1;
use crate::engine::args;
use crate::engine::call::Access;
use crate::engine::ctx::{ExclusiveCtx, ReadCtx};
use crate::engine::error::CommandError;
use crate::engine::scripts::ScriptSource;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Outcome, Run};
use crate::engine::state::{Shared, State};
use crate::engine::stats::ScriptStats;
use crate::resp::reply::Reply;
use crate::script::flags::{self, ScriptFlags};
use crate::script::vm::{Call, Invocation, Vm, VmOptions};

/// Scripts that came by EVAL and not by SCRIPT LOAD; with one more the oldest is forgotten, so that
/// clients which make a new text for each call do not fill the memory. Redis 7.4 has the same number.
const EVAL_SCRIPTS_MAX: usize = 500;

/// Scripts that only EVAL_RO has seen, kept for EVALSHA.
const NEW_SCRIPTS_MAX: usize = 64;

const EVAL_ARGS: &[Arg] = &[
    Arg::string("script"),
    Arg::integer("numkeys"),
    Arg::key("key").optional().multiple(),
    Arg::string("arg").optional().multiple(),
];
const EVALSHA_ARGS: &[Arg] = &[
    Arg::string("sha1"),
    Arg::integer("numkeys"),
    Arg::key("key").optional().multiple(),
    Arg::string("arg").optional().multiple(),
];
/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "EVAL",
        summary: "Executes a server-side Lua script.",
        flags: RUN_FLAGS,
        keys: RUN_KEYS,
        args: EVAL_ARGS,
        flags_of: Some(eval_flags),
        script_text: Some(1),
        run: Run::Exclusive(eval),
        ..SCRIPTING
    },
    CommandSpec {
        name: "EVALSHA",
        summary: "Executes a server-side Lua script by SHA1 digest.",
        flags: RUN_FLAGS,
        keys: RUN_KEYS,
        args: EVALSHA_ARGS,
        flags_of: Some(eval_sha_flags),
        run: Run::Exclusive(eval_sha),
        ..SCRIPTING
    },
    CommandSpec {
        name: "EVAL_RO",
        summary: "Executes a read-only server-side Lua script.",
        since: "7.0.0",
        flags: RUN_RO_FLAGS,
        keys: RUN_RO_KEYS,
        args: EVAL_ARGS,
        script_text: Some(1),
        run: Run::Read(eval_ro),
        ..SCRIPTING
    },
    CommandSpec {
        name: "EVALSHA_RO",
        summary: "Executes a read-only server-side Lua script by SHA1 digest.",
        since: "7.0.0",
        flags: RUN_RO_FLAGS,
        keys: RUN_RO_KEYS,
        args: EVALSHA_ARGS,
        run: Run::Read(eval_sha_ro),
        ..SCRIPTING
    },
    CommandSpec {
        name: "SCRIPT",
        summary: "A container for Lua scripts management commands.",
        complexity: "Depends on subcommand.",
        arity: Arity::AtLeast(2),
        categories: &[],
        subcommands: &[
            CommandSpec {
                name: "LOAD",
                summary: "Loads a server-side Lua script to the script cache.",
                complexity: "O(N) with N being the length in bytes of the script body.",
                arity: Arity::Exactly(3),
                flags: &[Flag::NoScript, Flag::Stale],
                args: &[Arg::string("script")],
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                script_text: Some(2),
                run: Run::Exclusive(load),
                ..SCRIPTING
            },
            CommandSpec {
                name: "EXISTS",
                summary: "Determines whether server-side Lua scripts exist in the script cache.",
                complexity: "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
                arity: Arity::AtLeast(3),
                flags: &[Flag::NoScript],
                args: &[Arg::string("sha1").multiple()],
                tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
                run: Run::Read(exists),
                ..SCRIPTING
            },
            CommandSpec {
                name: "FLUSH",
                summary: "Removes all server-side Lua scripts from the script cache.",
                complexity: "O(N) with N being the number of scripts in cache",
                arity: Arity::AtLeast(2),
                flags: &[Flag::NoScript],
                args: &[Arg::one_of(
                    "flush-type",
                    &[Arg::flag("async", "ASYNC"), Arg::flag("sync", "SYNC")],
                )
                .optional()
                .since("6.2.0")],
                history: &[("6.2.0", "Added the `ASYNC` and `SYNC` flushing mode modifiers.")],
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                run: Run::Exclusive(flush),
                ..SCRIPTING
            },
            CommandSpec {
                name: "KILL",
                summary: "Terminates a server-side Lua script during execution.",
                complexity: "O(1)",
                arity: Arity::Exactly(2),
                flags: &[Flag::NoScript, Flag::AllowBusy],
                tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
                run: Run::Session(|ctx, _, reply| kill(ctx, false, reply)),
                ..SCRIPTING
            },
            CommandSpec {
                name: "SHOW",
                summary: "Show server-side Lua script in the script cache.",
                since: "8.0.0",
                complexity: "O(1).",
                arity: Arity::Exactly(3),
                flags: &[Flag::NoScript],
                args: &[Arg::string("sha1")],
                run: Run::Read(show),
                ..SCRIPTING
            },
            CommandSpec {
                name: "HELP",
                summary: "Returns helpful text about the different subcommands.",
                since: "5.0.0",
                complexity: "O(1)",
                arity: Arity::Exactly(2),
                flags: &[Flag::Loading, Flag::Stale],
                run: Run::Session(|_, _, reply| {
                    crate::commands::reply_help(
                        reply,
                        "SCRIPT",
                        &[
                            ("EXISTS <sha1> [<sha1> ...]", "Tell which scripts are cached."),
                            ("FLUSH [ASYNC|SYNC]", "Forget all cached scripts."),
                            ("KILL", "End the script that is running, if it has not written."),
                            ("LOAD <script>", "Cache a script without running it."),
                            ("SHOW <sha1>", "Return the text of a cached script."),
                        ],
                    );
                    Ok(())
                }),
                ..SCRIPTING
            },
        ],
        ..SCRIPTING
    },
];

fn eval_flags(_: &State, argv: Argv<'_>, command: u32) -> u32 {
    match argv.get(1).map(|text| flags::parse(text)) {
        Some(Ok((flags, _))) => declared_flags(flags, command),
        _ => command,
    }
}

fn eval_sha_flags(state: &State, argv: Argv<'_>, command: u32) -> u32 {
    if !state.scripts.any_declares {
        return command;
    }
    let sha = argv.get(1).and_then(|name| digest(name).ok());
    match sha.and_then(|sha| state.scripts.get(&sha)) {
        Some(source) => declared_flags(script_flags(source), command),
        None => command,
    }
}

/// The digest that EVALSHA names, in lower case; anything else names no script.
fn digest(arg: &[u8]) -> Result<[u8; 40], CommandError> {
    let mut sha: [u8; 40] = arg.try_into().map_err(|_| CommandError::NoScript)?;
    sha.make_ascii_lowercase();
    Ok(sha)
}

fn eval(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let parts = split(argv)?;
    let sha = sha1::sha1_hex(argv[1]);
    let source = match ctx.state.scripts.take(&sha) {
        Some(source) => source,
        None => {
            let source = remember(ctx.state, sha, argv[1])?;
            ctx.state.scripts.from_eval.push_back(sha);
            // What a VM has compiled it forgets by itself when that becomes too much.
            ctx.state.scripts.keep_newest(EVAL_SCRIPTS_MAX);
            source
        }
    };
    run(ctx, source, argv, parts, reply)
}

fn eval_sha(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let parts = split(argv)?;
    let sha = digest(argv[1])?;
    let source = match ctx.state.scripts.take(&sha) {
        Some(source) => source,
        None => {
            let waiting = waiting_script(ctx.env.shared, &sha).ok_or(CommandError::NoScript)?;
            keep(ctx.state, waiting)?
        }
    };
    run(ctx, source, argv, parts, reply)
}

/// A script that only EVAL_RO has seen so far.
fn waiting_script(shared: &Shared, sha: &[u8; 40]) -> Option<Arc<ScriptSource>> {
    shared.new_scripts.lock().iter().find(|source| source.sha == *sha).map(Arc::clone)
}

fn parse_flags(text: &[u8]) -> Result<ScriptFlags, CommandError> {
    match flags::parse(text) {
        Ok((flags, _)) => Ok(flags),
        Err(text) => Err(CommandError::Raw([b"ERR ".as_slice(), &text].concat())),
    }
}

/// Compiles a script and adds it to the cache.
fn remember(
    state: &mut State,
    sha: [u8; 40],
    text: &[u8],
) -> Result<Arc<ScriptSource>, CommandError> {
    let source = new_source(sha, text, parse_flags(text)?);
    keep(state, source)
}

fn new_source(sha: [u8; 40], text: &[u8], flags: ScriptFlags) -> Arc<ScriptSource> {
    let flags = u64::from(flags.bits());
    Arc::new(ScriptSource { sha, text: text.into(), flags, stats: ScriptStats::default() })
}

/// The same for a script that is a source already.
fn keep(state: &mut State, source: Arc<ScriptSource>) -> Result<Arc<ScriptSource>, CommandError> {
    with_vm(state, |vm, _| vm.compile(&source.sha, &source.text))?.map_err(CommandError::Raw)?;
    state.scripts.any_declares |= !script_flags(&source).contains(ScriptFlags::UNDECLARED);
    state.scripts.insert(Arc::clone(&source));
    Ok(source)
}

/// Runs `f` with the engine's VM, taken out of the state for that time.
fn with_vm<R>(
    state: &mut State,
    f: impl FnOnce(&mut Vm, &mut State) -> R,
) -> Result<R, CommandError> {
    let mut vm: Box<Vm> = match state.scripts.vm.take().map(|vm| vm.downcast()) {
        Some(Ok(vm)) => vm,
        Some(Err(_)) | None => Box::new(new_vm(state)?),
    };
    let result = f(&mut vm, state);
    state.scripts.vm = Some(vm);
    Ok(result)
}

fn new_vm(state: &State) -> Result<Vm, CommandError> {
    Vm::new(VmOptions::of(&state.config))
        .map_err(|_| CommandError::text("ERR not enough memory for a Lua state"))
}

/// Runs a script that may write.
fn run(
    ctx: &mut ExclusiveCtx<'_>,
    source: Arc<ScriptSource>,
    argv: Argv<'_>,
    (keys, args): (Argv<'_>, Argv<'_>),
    reply: &mut Reply<'_>,
) -> Outcome {
    let flags = script_flags(&source);
    admit(flags, false, ctx.unit, ctx.env)?;
    let sha = &source.sha;
    let call = Call { name: sha, keys, args, protocol: reply.protocol() };
    let call = Invocation { sha, source: &source.text, call };
    let subject = Subject { name: sha, flags, is_function: false, argv };
    let ExclusiveCtx { state, session, unit, env } = ctx;
    with_vm(state, |vm, state| {
        let outer = unit.call.targets;
        let mut running = Running::begin(Access::Exclusive(state), session, unit, *env, subject);
        vm.eval(&call, &mut running, reply.buffer());
        running.end(&source.stats);
        unit.call.targets = outer;
    })?;
    state.scripts.put_back(source);
    Ok(())
}

fn script_flags(source: &ScriptSource) -> ScriptFlags {
    ScriptFlags::from_bits_truncate(source.flags as u8)
}

/// A worker's own VM for scripts that only read, and the generation of what it has compiled.
struct ReadVm {
    vm: Vm,
    generation: u64,
}

thread_local! {
    static READ_VM: RefCell<Option<ReadVm>> = const { RefCell::new(None) };
}

fn eval_ro(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let parts = split(argv)?;
    let sha = sha1::sha1_hex(argv[1]);
    let source = match cached_or_waiting(ctx, &sha) {
        Some(source) => source,
        None => {
            let flags = parse_flags(argv[1])?;
            admit(flags, true, ctx.unit, ctx.env)?;
            let source = new_source(sha, argv[1], flags);
            // A reader cannot change the engine's cache, so its script waits beside it.
            let mut waiting = ctx.env.shared.new_scripts.lock();
            if !waiting.iter().any(|known| known.sha == sha) {
                waiting.truncate(NEW_SCRIPTS_MAX - 1);
                waiting.insert(0, Arc::clone(&source));
            }
            source
        }
    };
    run_ro(ctx, &source, argv, parts, reply)
}

/// A script that is known already.
fn cached_or_waiting(ctx: &ReadCtx<'_>, sha: &[u8; 40]) -> Option<Arc<ScriptSource>> {
    let cached = ctx.state.scripts.get(sha).map(Arc::clone);
    cached.or_else(|| waiting_script(ctx.env.shared, sha))
}

fn eval_sha_ro(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let parts = split(argv)?;
    let sha = digest(argv[1])?;
    let source = cached_or_waiting(ctx, &sha).ok_or(CommandError::NoScript)?;
    run_ro(ctx, &source, argv, parts, reply)
}

/// Runs a script that cannot write, beside others.
fn run_ro(
    ctx: &mut ReadCtx<'_>,
    source: &ScriptSource,
    argv: Argv<'_>,
    (keys, args): (Argv<'_>, Argv<'_>),
    reply: &mut Reply<'_>,
) -> Outcome {
    admit(script_flags(source), true, ctx.unit, ctx.env)?;
    READ_VM.with(|slot| {
        let mut slot = slot.try_borrow_mut().map_err(|_| CommandError::NotInScript)?;
        let generation = ctx.state.scripts.generation;
        let own = match &mut *slot {
            Some(own) if own.generation == generation => own,
            slot => slot.insert(ReadVm { vm: new_vm(ctx.state)?, generation }),
        };
        let sha = &source.sha;
        let call = Call { name: sha, keys, args, protocol: reply.protocol() };
        let call = Invocation { sha, source: &source.text, call };
        let flags = ScriptFlags::NO_WRITES;
        let subject = Subject { name: sha, flags, is_function: false, argv };
        let access = Access::Shared(ctx.state);
        let mut running = Running::begin(access, ctx.session, ctx.unit, ctx.env, subject);
        own.vm.eval(&call, &mut running, reply.buffer());
        running.end(&source.stats);
        ctx.env.stats.eval_vm_bytes.set(own.vm.used_memory());
        Ok(())
    })
}

fn load(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let sha = sha1::sha1_hex(argv[2]);
    if ctx.state.scripts.get(&sha).is_some() {
        // Loaded on purpose now, so it is no longer among those that may be forgotten.
        ctx.state.scripts.from_eval.retain(|known| *known != sha);
    } else {
        remember(ctx.state, sha, argv[2])?;
    }
    reply.bulk(&sha);
    Ok(())
}

fn exists(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let names = &argv[2..];
    reply.array(names.len());
    for name in names {
        let known = digest(name).is_ok_and(|sha| {
            ctx.state.scripts.get(&sha).is_some() || waiting_script(ctx.env.shared, &sha).is_some()
        });
        reply.int(i64::from(known));
    }
    Ok(())
}

fn show(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let sha = digest(argv[2])?;
    let source = cached_or_waiting(ctx, &sha).ok_or(CommandError::NoScript)?;
    reply.bulk(&source.text);
    Ok(())
}

fn flush(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    match &argv[2..] {
        [] => {}
        [how] if args::is(how, "ASYNC") || args::is(how, "SYNC") => {}
        _ => {
            return Err(CommandError::text("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
        }
    }
    ctx.state.scripts.clear();
    ctx.env.shared.new_scripts.lock().clear();
    reply.ok();
    Ok(())
}
