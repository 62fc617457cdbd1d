//! What may a running script do? The server as scripts see it: which commands they may call, where their
//! writes go, and what happens when one takes too long.

use std::sync::atomic::Ordering;

use crate::engine::acl::check::{check, check_session};
use crate::engine::acl::log::Context;
use crate::engine::call::{self, Access, filtered};
use crate::engine::client::{Mode, Session};
use crate::engine::ctx::Env;
use crate::engine::effects::{Targets, Unit};
use crate::engine::error::CommandError;
use crate::engine::registry::Command;
use crate::engine::scripts::{Busy, RunningScript};
use crate::engine::spec::{Argv, Flag, Run};
use crate::engine::state::RoleRefusals;
use crate::engine::stats::ScriptStats;
use crate::resp::reply::{Protocol, Reply};
use crate::script::flags::ScriptFlags;
use crate::script::host::{KILLED, LogLevel, ReplTargets, ScriptHost, Tick};

/// What runs, and for which command.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The function's name, or the script's SHA1.
    pub(super) name: &'a [u8],
    /// What it may do. A script that can only read has [`ScriptFlags::NO_WRITES`], whatever it declares.
    pub(super) flags: ScriptFlags,
    pub(super) is_function: bool,
    /// The command that runs it.
    pub(super) argv: Argv<'a>,
}

/// A script that is running, as it sees the server.
pub(super) struct Running<'a> {
    access: Access<'a>,
    session: &'a mut Session,
    unit: &'a mut Unit,
    env: Env<'a>,
    subject: Subject<'a>,
    began_ns: u64,
    /// The caller knew that, and will want to know when the script ended.
    is_timed: bool,
    slow: bool,
    /// It has called a command that may write.
    wrote: bool,
    /// The session's protocol, db and mode, given back at the end, and whether the unit was in a script already.
    before: (Protocol, u32, Mode, bool),
}

impl<'a> Running<'a> {
    pub(super) fn begin(
        access: Access<'a>,
        session: &'a mut Session,
        unit: &'a mut Unit,
        env: Env<'a>,
        subject: Subject<'a>,
    ) -> Self {
        let in_script = std::mem::replace(&mut unit.in_script, true);
        let before = (session.protocol, session.db, session.mode, in_script);
        session.mode = Mode::SCRIPT | (session.mode & Mode::NO_TOUCH);
        let known_ns = std::mem::take(&mut unit.began_ns);
        let is_timed = known_ns != 0;
        let began_ns = if is_timed { known_ns } else { (env.shared.clock.mono_ns)() };
        let (slow, wrote) = (false, false);
        Self { access, session, unit, env, subject, began_ns, is_timed, slow, wrote, before }
    }

    /// Ends the run and accounts for it.
    pub(super) fn end(self, stats: &ScriptStats) {
        let Env { shared, worker, .. } = self.env;
        let now_ns = (shared.clock.mono_ns)();
        stats.note(worker, shared.workers.len(), now_ns.saturating_sub(self.began_ns));
        let Running { session, unit, .. } = self;
        unit.ended_ns = if self.is_timed { now_ns } else { 0 };
        (session.protocol, session.db, session.mode, unit.in_script) = self.before;
        if self.slow {
            self.env.shared.busy.end();
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
        if writes && self.subject.flags.contains(ScriptFlags::NO_WRITES) {
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
            && self.subject.flags.contains(ScriptFlags::UNDECLARED)
            && !self.unit.ignores_memory
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

    /// Calls a command whose arguments filters have seen, if there are any.
    fn perform(&mut self, argv: Argv<'_>, reply: &mut Vec<u8>) {
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
            Err(error) => {
                let text = error.bytes();
                self.env.stats.error(&text);
                if let Some(command) = self.find(argv) {
                    command.stats[self.env.worker].rejected.add(1);
                }
                Reply::new(reply, Protocol::Resp2).error(&text);
            }
        }
    }

    /// Notes that a command may write. A script that is to be killed must not any more.
    fn note_write(&mut self, command: &'static Command) -> Result<&'static Command, CommandError> {
        if command.has(Flag::Write) {
            self.wrote = true;
            if self.slow && self.env.shared.busy.settle(Busy::WROTE) == Err(Busy::KILL) {
                return Err(CommandError::Raw([b"ERR ", KILLED.as_bytes()].concat()));
            }
        }
        Ok(command)
    }

    /// Makes it known to everybody that this script is running for too long.
    fn begin_slow(&mut self, elapsed_ms: u64) {
        self.slow = true;
        let Subject { name, is_function, argv, .. } = self.subject;
        let busy = &self.env.shared.busy;
        let argv = argv.iter().map(|arg| arg.to_vec()).collect();
        let script = RunningScript { name: name.to_vec(), argv, began_ns: self.began_ns };
        busy.begin(script, is_function);
        if self.unit.trusts {
            let _ = busy.settle(Busy::FROM_PRIMARY);
        } else if self.wrote {
            let _ = busy.settle(Busy::WROTE);
        }
        let command = if is_function { "FUNCTION KILL" } else { "SCRIPT KILL" };
        tracing::warn!(
            "Slow script detected: still in execution after {elapsed_ms} milliseconds. You can try \
             killing the script using the {command} command. Script name is: {}.",
            String::from_utf8_lossy(name)
        );
    }
}

impl ScriptHost for Running<'_> {
    fn call(&mut self, argv: &[&[u8]], resp3: bool, reply: &mut Vec<u8>) {
        self.session.protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
        let Running { access, session, unit, env, .. } = self;
        match filtered::look(access, session, unit, *env, argv) {
            None => self.perform(argv, reply),
            Some(filtered) => self.perform(&filtered::slices(&filtered), reply),
        }
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        level.write(message);
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
        shared.host.release_output();
        let limit_ms = shared.limits.busy_ms.load(Ordering::Relaxed);
        let elapsed_ms = ((shared.clock.mono_ns)() - self.began_ns) / 1_000_000;
        if limit_ms == 0 || elapsed_ms < limit_ms {
            return Tick::Continue;
        }
        if !self.slow {
            self.begin_slow(elapsed_ms);
        }
        shared.host.serve_while_busy(None);
        if shared.busy.is_killed() { Tick::Kill(KILLED) } else { Tick::Continue }
    }

    fn count_error(&mut self, error: &[u8]) {
        self.env.stats.error(error);
    }
}
