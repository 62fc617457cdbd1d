//! Scripts: EVAL and its relatives, SCRIPT. The VM is in `script`; here it meets the engine.
//!
//! Scripts that may write run in the engine's VM under the exclusive lock, those of EVAL_RO in a VM of
//! the worker's own under the shared lock, side by side.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::sha1;
use crate::engine::acl::check::{check, check_session};
use crate::engine::acl::log::Context;
use crate::engine::args;
use crate::engine::call::{self, Access};
use crate::engine::client::{Mode, Session};
use crate::engine::ctx::{Env, ExclusiveCtx, ReadCtx, SessionCtx};
use crate::engine::effects::{Targets, Unit};
use crate::engine::error::CommandError;
use crate::engine::registry::Command;
use crate::engine::spec::{
    Access as KeyAccess, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::engine::state::{Busy, RoleRefusals, ScriptSource, Shared, State};
use crate::resp::reply::{Protocol, Reply};
use crate::script::flags::{self, ScriptFlags};
use crate::script::host::{KILLED, LogLevel, ReplTargets, ScriptHost, Tick};
use crate::script::vm::{Invocation, Vm, VmOptions};

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
const RUN_FLAGS: &[Flag] =
    &[Flag::NoScript, Flag::Stale, Flag::SkipMonitor, Flag::MayReplicate, Flag::NoMandatoryKeys];
const RUN_RO_FLAGS: &[Flag] =
    &[Flag::NoScript, Flag::Stale, Flag::SkipMonitor, Flag::NoMandatoryKeys, Flag::ReadOnly];
const RUN_KEYS: &[KeySpec] = &[KeySpec::counted(2, KeyAccess::ReadUpdate)
    .note("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")];
const RUN_RO_KEYS: &[KeySpec] = &[KeySpec::counted(2, KeyAccess::Read)
    .note("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")];

const SCRIPTING: CommandSpec = CommandSpec {
    since: "2.6.0",
    group: Group::Scripting,
    complexity: "Depends on the script that is executed.",
    arity: Arity::AtLeast(3),
    categories: &[crate::engine::spec::Category::Scripting],
    ..CommandSpec::BASE
};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "EVAL",
        summary: "Executes a server-side Lua script.",
        flags: RUN_FLAGS,
        keys: RUN_KEYS,
        args: EVAL_ARGS,
        flags_of: Some(eval_flags),
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
                run: Run::Session(kill),
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
                    super::reply_help(
                        reply,
                        "SCRIPT",
                        &[
                            ("EXISTS <sha1> [<sha1> ...]", "Tell which scripts are cached."),
                            ("FLUSH [ASYNC|SYNC]", "Forget all cached scripts."),
                            ("KILL", "End the script that is running, if it has not written."),
                            ("LOAD <script>", "Cache a script without running it."),
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

/// The keys and arguments of a call, split at `numkeys`.
fn split(argv: Argv<'_>) -> Result<(Argv<'_>, Argv<'_>), CommandError> {
    let count = args::int(argv[2])?;
    let rest = &argv[3..];
    if count > rest.len() as i64 {
        return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
    }
    let count = usize::try_from(count)
        .map_err(|_| CommandError::text("ERR Number of keys can't be negative"))?;
    Ok(rest.split_at(count))
}

/// The flags of a call whose script says what it may do.
fn declared_flags(flags: ScriptFlags, command: u32) -> u32 {
    if flags.contains(ScriptFlags::UNDECLARED) {
        return command;
    }
    let mut bits = command & !(Flag::Write.bit() | Flag::MayReplicate.bit() | Flag::DenyOom.bit());
    if !flags.contains(ScriptFlags::NO_WRITES) {
        bits |= Flag::Write.bit();
    }
    if !flags.intersects(ScriptFlags::NO_WRITES | ScriptFlags::ALLOW_OOM) {
        bits |= Flag::DenyOom.bit();
    }
    bits
}

fn eval_flags(_: &State, argv: Argv<'_>, command: u32) -> u32 {
    match argv.get(1).map(|text| flags::parse(text)) {
        Some(Ok((flags, _))) => declared_flags(flags, command),
        _ => command,
    }
}

fn eval_sha_flags(state: &State, argv: Argv<'_>, command: u32) -> u32 {
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
    let (keys, args) = split(argv)?;
    let sha = sha1::sha1_hex(argv[1]);
    let source = match ctx.state.scripts.get(&sha) {
        Some(source) => Arc::clone(source),
        None => {
            let source = remember(ctx.state, &sha, argv[1])?;
            ctx.state.eval_scripts.push_back(sha);
            forget_oldest(ctx.state);
            source
        }
    };
    run(ctx, &sha, &source, keys, args, reply)
}

fn eval_sha(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (keys, args) = split(argv)?;
    let sha = digest(argv[1])?;
    let source = match ctx.state.scripts.get(&sha) {
        Some(source) => Arc::clone(source),
        None => {
            let text = waiting_script(ctx.env.shared, &sha).ok_or(CommandError::NoScript)?;
            remember(ctx.state, &sha, &text)?
        }
    };
    run(ctx, &sha, &source, keys, args, reply)
}

/// A script that only EVAL_RO has seen so far.
fn waiting_script(shared: &Shared, sha: &[u8; 40]) -> Option<Box<[u8]>> {
    let waiting = shared.new_scripts.lock();
    waiting.iter().find(|(known, _)| known == sha).map(|(_, text)| text.clone())
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
    sha: &[u8; 40],
    text: &[u8],
) -> Result<Arc<ScriptSource>, CommandError> {
    let flags = parse_flags(text)?;
    with_vm(state, |vm, _| vm.compile(sha, text))?.map_err(CommandError::Raw)?;
    let source = Arc::new(ScriptSource { text: text.into(), flags: u64::from(flags.bits()) });
    state.script_bytes += text.len();
    state.scripts.insert(*sha, Arc::clone(&source));
    Ok(source)
}

/// Keeps the number of scripts that came by EVAL within bounds.
fn forget_oldest(state: &mut State) {
    if state.eval_scripts.len() <= EVAL_SCRIPTS_MAX {
        return;
    }
    // What a VM has compiled it forgets by itself when that becomes too much.
    if let Some(oldest) = state.eval_scripts.pop_front()
        && let Some(source) = state.scripts.remove(&oldest)
    {
        state.script_bytes -= source.text.len();
    }
}

/// Runs `f` with the engine's VM, taken out of the state for that time.
fn with_vm<R>(
    state: &mut State,
    f: impl FnOnce(&mut Vm, &mut State) -> R,
) -> Result<R, CommandError> {
    let mut vm: Box<Vm> = match state.script_vm.take().map(|vm| vm.downcast()) {
        Some(Ok(vm)) => vm,
        Some(Err(_)) | None => Box::new(new_vm()?),
    };
    let result = f(&mut vm, state);
    state.script_vm = Some(vm);
    Ok(result)
}

fn new_vm() -> Result<Vm, CommandError> {
    Vm::new(VmOptions::default())
        .map_err(|_| CommandError::text("ERR not enough memory for a Lua state"))
}

/// After a snapshot failed: for scripts that say about themselves that they may write.
const WRITABLE_REFUSED: CommandError = CommandError::text(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
     Writable scripts are blocked. Use 'no-writes' flag for read only scripts.",
);

/// What the role of this server keeps a script from.
fn check_role(flags: ScriptFlags, unit: &Unit, env: Env<'_>) -> Outcome {
    let refusals = env.shared.role_refusals();
    if unit.trusts || refusals.is_empty() {
        return Ok(());
    }
    if refusals.contains(RoleRefusals::STALE) && !flags.contains(ScriptFlags::ALLOW_STALE) {
        return Err(CommandError::MasterDown);
    }
    let may_write = !flags.intersects(ScriptFlags::UNDECLARED | ScriptFlags::NO_WRITES);
    match refusals.contains(RoleRefusals::WRITES) && may_write {
        true => Err(CommandError::text(
            "READONLY Can not run script with write flag on readonly replica",
        )),
        false => Ok(()),
    }
}

/// Runs a script that may write.
fn run(
    ctx: &mut ExclusiveCtx<'_>,
    sha: &[u8; 40],
    source: &ScriptSource,
    keys: Argv<'_>,
    args: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let flags = script_flags(source);
    check_role(flags, ctx.unit, ctx.env)?;
    if !flags.intersects(ScriptFlags::UNDECLARED | ScriptFlags::NO_WRITES)
        && let Some(refusal) = ctx.env.shared.write_refusal()
    {
        return Err(match refusal {
            CommandError::SaveFailed => WRITABLE_REFUSED,
            refusal => refusal,
        });
    }
    if !flags.contains(ScriptFlags::UNDECLARED)
        && !flags.intersects(ScriptFlags::ALLOW_OOM | ScriptFlags::NO_WRITES)
        && ctx.env.shared.is_out_of_memory()
    {
        return Err(CommandError::text(
            "OOM allow-oom flag is not set on the script, can not run it when used memory > \
             'maxmemory'",
        ));
    }
    let call = Invocation { sha, source: &source.text, keys, args, protocol: reply.protocol() };
    let ExclusiveCtx { state, session, unit, env } = ctx;
    with_vm(state, |vm, state| {
        let outer = unit.call.targets;
        let mut running = Running::begin(Access::Exclusive(state), session, unit, *env, flags, sha);
        vm.eval(&call, &mut running, reply.buffer());
        running.end();
        unit.call.targets = outer;
    })
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
    let (keys, args) = split(argv)?;
    let sha = sha1::sha1_hex(argv[1]);
    // A reader cannot change the engine's cache, so its script waits beside it.
    if !ctx.state.scripts.contains_key(&sha) {
        let flags = parse_flags(argv[1])?;
        check_read_only(ctx, flags)?;
        let mut waiting = ctx.env.shared.new_scripts.lock();
        if !waiting.iter().any(|(known, _)| *known == sha) {
            waiting.truncate(NEW_SCRIPTS_MAX - 1);
            waiting.insert(0, (sha, argv[1].into()));
        }
    } else if let Some(source) = ctx.state.scripts.get(&sha) {
        check_read_only(ctx, script_flags(source))?;
    }
    run_ro(ctx, &sha, argv[1], keys, args, reply)
}

/// A script that declares itself, and does not declare that it never writes, may not run where it
/// cannot.
fn check_read_only(ctx: &ReadCtx<'_>, flags: ScriptFlags) -> Outcome {
    check_role(flags, ctx.unit, ctx.env)?;
    if flags.intersects(ScriptFlags::UNDECLARED | ScriptFlags::NO_WRITES) {
        return Ok(());
    }
    Err(CommandError::text("ERR Can not execute a script with write flag using *_ro command."))
}

fn eval_sha_ro(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (keys, args) = split(argv)?;
    let sha = digest(argv[1])?;
    let source = match ctx.state.scripts.get(&sha) {
        Some(source) => {
            check_read_only(ctx, script_flags(source))?;
            Arc::clone(source)
        }
        None => {
            let text = waiting_script(ctx.env.shared, &sha).ok_or(CommandError::NoScript)?;
            return run_ro(ctx, &sha, &text, keys, args, reply);
        }
    };
    run_ro(ctx, &sha, &source.text, keys, args, reply)
}

/// Runs a script that cannot write, beside others.
fn run_ro(
    ctx: &mut ReadCtx<'_>,
    sha: &[u8; 40],
    text: &[u8],
    keys: Argv<'_>,
    args: Argv<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    READ_VM.with(|slot| {
        let mut slot = slot.try_borrow_mut().map_err(|_| CommandError::NotInScript)?;
        let generation = ctx.state.script_generation;
        let own = match &mut *slot {
            Some(own) if own.generation == generation => own,
            slot => slot.insert(ReadVm { vm: new_vm()?, generation }),
        };
        let call = Invocation { sha, source: text, keys, args, protocol: reply.protocol() };
        let flags = ScriptFlags::NO_WRITES;
        let access = Access::Shared(ctx.state);
        let mut running = Running::begin(access, ctx.session, ctx.unit, ctx.env, flags, sha);
        own.vm.eval(&call, &mut running, reply.buffer());
        running.end();
        Ok(())
    })
}

/// A script that is running, as it sees the server.
struct Running<'a> {
    access: Access<'a>,
    session: &'a mut Session,
    unit: &'a mut Unit,
    env: Env<'a>,
    flags: ScriptFlags,
    sha: &'a [u8; 40],
    began_ns: u64,
    slow: bool,
    /// It has called a command that may write.
    wrote: bool,
    /// The session's protocol, db and mode, given back at the end.
    before: (Protocol, u32, Mode),
}

impl<'a> Running<'a> {
    fn begin(
        access: Access<'a>,
        session: &'a mut Session,
        unit: &'a mut Unit,
        env: Env<'a>,
        flags: ScriptFlags,
        sha: &'a [u8; 40],
    ) -> Self {
        let before = (session.protocol, session.db, session.mode);
        session.mode = Mode::SCRIPT | (session.mode & Mode::NO_TOUCH);
        let began_ns = (env.shared.clock.mono_ns)();
        Self { access, session, unit, env, flags, sha, began_ns, slow: false, wrote: false, before }
    }

    fn end(self) {
        (self.session.protocol, self.session.db, self.session.mode) = self.before;
        if self.slow {
            let busy = &self.env.shared.busy;
            if busy.slow.fetch_sub(1, Ordering::AcqRel) == 1 {
                busy.fate.store(0, Ordering::Release);
            }
        }
    }

    fn find(&self, argv: Argv<'_>) -> Option<&'static Command> {
        match &self.access {
            Access::Session => None,
            Access::Shared(state) => state.registry.resolve(argv),
            Access::Exclusive(state) => state.registry.resolve(argv),
        }
    }

    /// What a script may not call.
    fn check(&self, argv: Argv<'_>) -> Result<&'static Command, CommandError> {
        const UNKNOWN: CommandError =
            CommandError::text("ERR Unknown Redis command called from script");
        let command = self.find(argv).ok_or(UNKNOWN)?;
        call::check_shape(command, argv).map_err(|error| match error {
            CommandError::UnknownSubcommand(..) => UNKNOWN,
            _ => CommandError::text("ERR Wrong number of args calling Redis command from script"),
        })?;
        let calls_all = || self.env.shared.debug.scripts_call_all.load(Ordering::Relaxed);
        if command.has(Flag::NoScript) && !calls_all() {
            return Err(CommandError::NotInScript);
        }
        if self.is_foreign_beside_readers(command) {
            return Err(CommandError::WriteInReadOnlyScript);
        }
        if self.session.is_restricted() {
            let (session, env) = (&*self.session, self.env);
            let denied = check_session(session, env, command, argv, Context::Script);
            if let Some((_, text)) = denied {
                let text = [b"ERR ACL failure in script: ", &text[..]].concat();
                return Err(CommandError::Raw(text));
            }
        }
        let writes = command.has(Flag::Write) || command.has(Flag::MayReplicate);
        if writes && self.flags.contains(ScriptFlags::NO_WRITES) {
            return Err(CommandError::WriteInReadOnlyScript);
        }
        let refusals = self.env.shared.role_refusals();
        if !refusals.is_empty() && !self.unit.trusts {
            if refusals.contains(RoleRefusals::WRITES) && command.has(Flag::Write) && !self.wrote {
                return Err(CommandError::ReadOnlyReplica);
            }
            if refusals.contains(RoleRefusals::STALE) && !command.has(Flag::Stale) {
                return Err(CommandError::text(
                    "ERR Can not execute the command on a stale replica",
                ));
            }
        }
        // What has begun to write goes on.
        if command.has(Flag::Write)
            && !self.wrote
            && let Some(refusal) = self.env.shared.write_refusal()
        {
            return Err(refusal);
        }
        if command.has(Flag::DenyOom)
            && !self.unit.wrote
            && self.flags.contains(ScriptFlags::UNDECLARED)
            && self.env.shared.is_out_of_memory()
        {
            return Err(CommandError::OutOfMemory);
        }
        Ok(command)
    }
}

impl Running<'_> {
    /// Whether a module would run beside readers, be it only to tell where the keys are.
    fn is_foreign_beside_readers(&self, command: &Command) -> bool {
        matches!(self.access, Access::Shared(_)) && matches!(command.spec.run, Run::Foreign(_))
    }

    /// Notes that a command may write. A script that is to be killed must not any more.
    fn note_write(&mut self, command: &'static Command) -> Result<&'static Command, CommandError> {
        if command.has(Flag::Write) {
            self.wrote = true;
            if self.slow && !self.env.shared.busy.settle(Busy::WROTE) {
                return Err(CommandError::Raw([b"ERR ", KILLED.as_bytes()].concat()));
            }
        }
        Ok(command)
    }

    fn is_killed(&self) -> bool {
        self.env.shared.busy.fate.load(Ordering::Acquire) == Busy::KILL
    }
}

impl ScriptHost for Running<'_> {
    fn call(&mut self, argv: &[&[u8]], resp3: bool, reply: &mut Vec<u8>) {
        self.session.protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
        match self.check(argv).and_then(|command| self.note_write(command)) {
            Ok(command) => call::nested(
                &mut self.access,
                self.session,
                self.unit,
                self.env,
                command,
                argv,
                reply,
            ),
            Err(error) => Reply::new(reply, Protocol::Resp2).error(&error.bytes()),
        }
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        let message = String::from_utf8_lossy(message);
        match level {
            LogLevel::Debug => tracing::trace!("{message}"),
            LogLevel::Verbose => tracing::debug!("{message}"),
            LogLevel::Notice => tracing::info!("{message}"),
            LogLevel::Warning => tracing::warn!("{message}"),
        }
    }

    fn set_repl(&mut self, targets: ReplTargets) {
        let mut to = Targets::empty();
        to.set(Targets::AOF, targets.aof);
        to.set(Targets::REPLICAS, targets.replicas);
        self.unit.call.targets = Some(to);
    }

    fn acl_check_cmd(&mut self, argv: &[&[u8]]) -> Option<bool> {
        let command = self.find(argv)?;
        // A subcommand that does not exist is not known either.
        if call::check_subcommand(command, argv).is_err() {
            return None;
        }
        let user = self.session.user.as_ref().filter(|user| !user.is_open());
        if user.is_some() && self.is_foreign_beside_readers(command) {
            return Some(false);
        }
        Some(user.is_none_or(|user| check(&user.rules(), command, argv).is_ok()))
    }

    fn tick(&mut self) -> Tick {
        let shared = self.env.shared;
        let limit_ms = shared.limits.busy_ms.load(Ordering::Relaxed);
        let elapsed_ms = ((shared.clock.mono_ns)() - self.began_ns) / 1_000_000;
        if limit_ms == 0 || elapsed_ms < limit_ms {
            return Tick::Continue;
        }
        if !self.slow {
            self.slow = true;
            if shared.busy.slow.load(Ordering::Acquire) == 0 {
                // A SCRIPT KILL that came as the last one ended was not meant for this one.
                shared.busy.fate.store(0, Ordering::Release);
            }
            if self.wrote {
                shared.busy.settle(Busy::WROTE);
            }
            shared.busy.slow.fetch_add(1, Ordering::AcqRel);
            tracing::warn!(
                "Slow script detected: still in execution after {elapsed_ms} milliseconds. You can \
                 try killing the script using the SCRIPT KILL command. Script name is: {}.",
                String::from_utf8_lossy(self.sha)
            );
        }
        shared.host.serve_while_busy();
        if self.is_killed() { Tick::Kill(KILLED) } else { Tick::Continue }
    }

    fn count_error(&mut self, error: &[u8]) {
        self.env.stats.error(error);
    }
}

fn load(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let sha = sha1::sha1_hex(argv[2]);
    if ctx.state.scripts.contains_key(&sha) {
        // Loaded on purpose now, so it is no longer among those that may be forgotten.
        ctx.state.eval_scripts.retain(|known| *known != sha);
    } else {
        remember(ctx.state, &sha, argv[2])?;
    }
    reply.bulk(&sha);
    Ok(())
}

fn exists(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let names = &argv[2..];
    reply.array(names.len());
    for name in names {
        let known = digest(name).is_ok_and(|sha| {
            ctx.state.scripts.contains_key(&sha) || waiting_script(ctx.env.shared, &sha).is_some()
        });
        reply.int(i64::from(known));
    }
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
    ctx.state.eval_scripts.clear();
    ctx.env.shared.new_scripts.lock().clear();
    ctx.state.script_bytes = 0;
    ctx.state.script_generation += 1;
    ctx.state.script_vm = None;
    reply.ok();
    Ok(())
}

fn kill(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let busy = &ctx.env.shared.busy;
    if busy.slow.load(Ordering::Acquire) == 0 {
        return Err(CommandError::NotBusy);
    }
    if !busy.settle(Busy::KILL) {
        return Err(CommandError::Unkillable);
    }
    reply.ok();
    Ok(())
}
