//! Scripts and functions: EVAL, FCALL, SCRIPT, FUNCTION. The VMs are in `script`; here they meet the engine.

pub mod eval;

pub mod function;

mod running;

pub mod figures;

#[cfg(test)]
mod allocation_tests;

use crate::engine::args;
use crate::engine::ctx::{Env, SessionCtx};
use crate::engine::effects::Unit;
use crate::engine::error::CommandError;
use crate::engine::scripts::Busy;
use crate::engine::spec::{
    Access as KeyAccess, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome,
};
use crate::engine::state::{RoleRefusals, Shared, State};
use crate::resp::reply::Reply;
use crate::script::flags::ScriptFlags;
use crate::script::functions::FunctionVm;
use crate::script::vm::Vm;

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

/// The keys and arguments of a call, split at `numkeys`.
#[inline]
fn split(argv: Argv<'_>) -> Result<(Argv<'_>, Argv<'_>), CommandError> {
    match argv[2] {
        [digit @ b'0'..=b'9'] => split_counted(argv, i64::from(digit - b'0')),
        count => split_counted(argv, args::int(count)?),
    }
}

#[inline]
fn split_counted(argv: Argv<'_>, count: i64) -> Result<(Argv<'_>, Argv<'_>), CommandError> {
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
    let replaced = [Flag::Write, Flag::MayReplicate, Flag::DenyOom, Flag::Stale];
    let mut bits = replaced.iter().fold(command, |bits, flag| bits & !flag.bit());
    if flags.contains(ScriptFlags::ALLOW_STALE) {
        bits |= Flag::Stale.bit();
    }
    if !flags.contains(ScriptFlags::NO_WRITES) {
        bits |= Flag::Write.bit();
    }
    if !flags.intersects(ScriptFlags::NO_WRITES | ScriptFlags::ALLOW_OOM) {
        bits |= Flag::DenyOom.bit();
    }
    bits
}

/// After a snapshot failed: for scripts that say about themselves that they may write.
const WRITABLE_REFUSED: CommandError = CommandError::text(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
     Writable scripts are blocked. Use 'no-writes' flag for read only scripts.",
);

/// Whether a script may run at all, by what it declares about itself. One that declares nothing may, and is told at
/// the commands that it calls. `read_only` is how it is called.
fn admit(flags: ScriptFlags, read_only: bool, unit: &Unit, env: Env<'_>) -> Outcome {
    let refusals = env.shared.role_refusals();
    if flags.contains(ScriptFlags::UNDECLARED) {
        return match refusals.contains(RoleRefusals::STALE) && !unit.trusts {
            true => Err(CommandError::MasterDown),
            false => Ok(()),
        };
    }
    let refuses = |refusal| refusals.contains(refusal) && !unit.trusts;
    if refuses(RoleRefusals::STALE) && !flags.contains(ScriptFlags::ALLOW_STALE) {
        return Err(CommandError::text(
            "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and \
             'allow-stale' flag is not set on the script.",
        ));
    }
    if flags.contains(ScriptFlags::NO_WRITES) {
        return Ok(());
    }
    if refuses(RoleRefusals::WRITES) {
        return Err(CommandError::text(
            "READONLY Can not run script with write flag on readonly replica",
        ));
    }
    match env.shared.write_refusal() {
        Some(CommandError::SaveFailed) => return Err(WRITABLE_REFUSED),
        Some(refusal) => return Err(refusal),
        None if read_only => {
            return Err(CommandError::text(
                "ERR Can not execute a script with write flag using *_ro command.",
            ));
        }
        None => {}
    }
    let asks = !flags.contains(ScriptFlags::ALLOW_OOM) && !unit.ignores_memory;
    if asks && env.shared.is_out_of_memory() {
        return Err(CommandError::text(
            "OOM allow-oom flag is not set on the script, can not run it when used memory > \
             'maxmemory'",
        ));
    }
    Ok(())
}

/// Bytes that scripts take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The texts of EVAL and SCRIPT LOAD.
    pub eval_texts: usize,
    /// The VM that runs them, if it does not run right now, and those of workers for EVAL_RO.
    pub eval_vm: usize,
    /// The libraries of functions.
    pub libraries: usize,
    /// The VM that runs them, if it does not run right now, and those of workers for FCALL_RO.
    pub function_vm: usize,
}

impl Memory {
    /// What is kept outside of VMs.
    pub fn caches(&self) -> usize {
        self.eval_texts + self.libraries
    }

    /// What VMs have.
    pub fn machines(&self) -> usize {
        self.eval_vm + self.function_vm
    }
}

/// Collects the garbage of the VMs, so that [`memory`] tells what is alive.
pub fn collect_garbage(state: &mut State) {
    if let Some(vm) = state.scripts.vm.as_mut().and_then(|vm| vm.downcast_mut::<Vm>()) {
        vm.collect_garbage();
    }
    if let Some(vm) = state.functions.vm.as_mut().and_then(|vm| vm.downcast_mut::<FunctionVm>()) {
        vm.collect_garbage();
    }
}

/// How much memory scripts take.
pub fn memory(state: &State, shared: &Shared) -> Memory {
    let eval_vm = state.scripts.vm.as_ref().and_then(|vm| vm.downcast_ref::<Vm>());
    let function_vm = state.functions.vm.as_ref().and_then(|vm| vm.downcast_ref::<FunctionVm>());
    Memory {
        eval_texts: state.scripts.bytes,
        eval_vm: eval_vm.map_or(0, Vm::used_memory)
            + shared.workers.iter().map(|worker| worker.eval_vm_bytes.get()).sum::<usize>(),
        libraries: state.functions.libraries().bytes(),
        function_vm: function_vm.map_or(0, FunctionVm::used_memory)
            + shared.workers.iter().map(|worker| worker.function_vm_bytes.get()).sum::<usize>(),
    }
}

/// SCRIPT KILL and FUNCTION KILL, each of which ends only what is its own.
fn kill(ctx: &mut SessionCtx<'_>, function: bool, reply: &mut Reply<'_>) -> Outcome {
    let busy = &ctx.env.shared.busy;
    if !busy.is_on() || busy.running().is_none() {
        return Err(CommandError::NotBusy);
    }
    match busy.fate() {
        Busy::FROM_PRIMARY => return Err(CommandError::UnkillableFromPrimary),
        Busy::WROTE => return Err(CommandError::Unkillable),
        _ if busy.is_function() != function => return Err(busy.refusal()),
        _ => {}
    }
    // It may have written since.
    busy.settle(Busy::KILL).map_err(|_| CommandError::Unkillable)?;
    reply.ok();
    Ok(())
}
