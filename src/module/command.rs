//! How does a module's command come into the registry, and how does it run? It is a draft while its
//! module loads, so that what is said of it later (documentation, subcommands) counts; then it becomes
//! an entry whose handler is foreign code.

use std::borrow::Cow;
use std::ffi::c_int;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use mortise_module_abi as abi;
use parking_lot::Mutex;

use super::arguments::Arguments;
use super::crash;
use super::handle::ModuleCtx;
use super::host::Module;
use crate::engine::client::Mode;
use crate::engine::ctx::{ExclusiveCtx, ReadCtx};
use crate::engine::keys::{ChannelAt, KeyAt};
use crate::engine::registry::Command;
use crate::engine::spec::{
    Arg, Argv, Arity, Category, CommandSpec, Flag, ForeignCommand, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

/// Commands with so many arguments cost no list of their own.
const ARGUMENTS_USUAL: usize = 16;

/// What a module has said of a command.
#[derive(Debug)]
pub struct Draft {
    /// Its flags.
    pub flags: Vec<Flag>,
    /// Where its keys are.
    pub keys: Vec<KeySpec>,
    /// Its ACL categories.
    pub categories: Vec<Category>,
    /// Bits of those that modules have brought.
    pub module_categories: u64,
    /// The module itself tells which channels it uses.
    pub tells_channels: bool,
    /// The module declares that it may run beside other readers.
    pub parallel: bool,
    /// How many arguments.
    pub arity: Arity,
    /// The rest, for COMMAND DOCS.
    pub docs: Docs,
    /// Whether `docs` came from the module (`SetCommandInfo`).
    pub documented: bool,
    /// Its subcommands.
    pub subcommands: Vec<&'static ForeignHandler>,
}

/// The documentation of a command. The texts live for ever, like the command.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of CommandSpec")]
pub struct Docs {
    pub summary: &'static str,
    pub complexity: &'static str,
    pub since: &'static str,
    pub history: &'static [(&'static str, &'static str)],
    pub tips: &'static [&'static str],
    pub args: &'static [Arg],
}

/// A command of a module; the target of `Command` handles. It lives for ever: commands may be referred
/// to after their module is gone, and what administrators load is little.
#[derive(Debug)]
pub struct ForeignHandler {
    /// The module.
    pub module: Arc<Module>,
    /// The name it was registered under; of a subcommand, its own word.
    pub word: String,
    /// The name as it was registered, with `container|` before a subcommand's. Case does not count.
    pub name: &'static str,
    /// The function; None for containers.
    pub function: abi::CmdFunc,
    /// Whether it is a subcommand.
    pub is_sub: bool,
    /// What was said of it.
    pub draft: Mutex<Draft>,
    built: OnceLock<&'static Command>,
}

impl ForeignHandler {
    /// A command, or a subcommand of `parent`.
    pub fn create(
        module: Arc<Module>,
        parent: Option<&str>,
        word: &str,
        function: abi::CmdFunc,
        flags: Vec<Flag>,
        keys: Vec<KeySpec>,
    ) -> &'static ForeignHandler {
        let draft = Draft {
            flags,
            keys,
            categories: Vec::new(),
            module_categories: 0,
            tells_channels: false,
            parallel: false,
            arity: Arity::AtLeast(if parent.is_some() || function.is_none() { 2 } else { 1 }),
            docs: Docs::default(),
            documented: false,
            subcommands: Vec::new(),
        };
        Box::leak(Box::new(ForeignHandler {
            module,
            word: word.to_owned(),
            name: parent.map_or(word.to_owned(), |parent| format!("{parent}|{word}")).leak(),
            function,
            is_sub: parent.is_some(),
            draft: Mutex::new(draft),
            built: OnceLock::new(),
        }))
    }

    /// The command for the registry, made once.
    pub fn command(&'static self, workers: usize) -> &'static Command {
        self.built.get_or_init(|| {
            let spec = Box::leak(Box::new(self.spec()));
            Command::new(spec, None, Some(&self.module.name), workers)
        })
    }

    /// A declaration like those of built-in commands.
    fn spec(&'static self) -> CommandSpec {
        let draft = self.draft.lock();
        let subcommands: Vec<CommandSpec> =
            draft.subcommands.iter().map(|sub| sub.spec()).collect();
        CommandSpec {
            name: &self.word,
            summary: draft.docs.summary,
            since: draft.docs.since,
            complexity: draft.docs.complexity,
            group: Group::Module,
            arity: draft.arity,
            flags: Box::leak(draft.flags.clone().into_boxed_slice()),
            categories: Box::leak(draft.categories.clone().into_boxed_slice()),
            module_categories: draft.module_categories,
            keys: Box::leak(draft.keys.clone().into_boxed_slice()),
            args: draft.docs.args,
            subcommands: Box::leak(subcommands.into_boxed_slice()),
            run: match self.function {
                None => Run::Container,
                Some(_) if draft.parallel => Run::ForeignRead(self),
                Some(_) => Run::Foreign(self),
            },
            history: draft.docs.history,
            tips: draft.docs.tips,
            ..CommandSpec::BASE
        }
    }

    /// Runs the command's function, over the engine that `by` has.
    fn run(&self, by: By<'_, '_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
        if !self.module.alive.load(Ordering::Acquire) {
            return Err(crate::engine::call::unknown_command(argv));
        }
        let Some(function) = self.function else { return Ok(()) };
        let held = Arguments::of(argv);
        // The module may put what it likes into its list.
        let mut few = [std::ptr::null_mut(); ARGUMENTS_USUAL];
        let mut many = Vec::new();
        let list: &mut [*mut abi::ModuleString] = match few.get_mut(..held.len()) {
            Some(few) => {
                few.copy_from_slice(&held);
                few
            }
            None => {
                many.extend_from_slice(&held);
                &mut many
            }
        };
        let set_up = |inner: &mut ModuleCtx| {
            inner.argv = held;
            inner.command = Cow::Borrowed(self.name);
        };
        let run = |handle| {
            // SAFETY: the module is alive, as was checked; the context and the arguments live until it
            // returns, and the context gives the references up afterwards.
            #[expect(unsafe_code, reason = "calls a module")]
            unsafe {
                function(handle, list.as_mut_ptr(), list.len() as c_int);
            }
        };
        let before = reply.buffer().len();
        let (stats, mode) = match by {
            By::All(ctx) => {
                ctx.session.redacted.clear();
                ModuleCtx::with(&self.module, ctx, Some(reply), set_up, run);
                (ctx.env.stats, ctx.session.mode)
            }
            By::Reading(ctx) => {
                ctx.session.redacted.clear();
                ModuleCtx::with_reader(&self.module, ctx, Some(reply), set_up, run);
                (ctx.env.stats, ctx.session.mode)
            }
        };
        // An error that the module wrote counts as one, unless it is for another module.
        if let Some(b'-') = reply.buffer().get(before)
            && !mode.contains(Mode::MODULE)
        {
            let text = reply.buffer()[before + 1..].to_vec();
            let text = text.strip_suffix(b"\r\n").unwrap_or(&text);
            stats.error(text);
        }
        Ok(())
    }
}

/// The access that a command of a module runs with.
enum By<'c, 'a> {
    /// The exclusive lock.
    All(&'c mut ExclusiveCtx<'a>),
    /// The shared lock, or the exclusive one for a command that wants less.
    Reading(&'c mut ReadCtx<'a>),
}

impl ForeignHandler {
    /// Has the module look at arguments only. `begin` says to the context what is asked for, `end` takes the
    /// answer out of it.
    fn ask<R>(
        &self,
        argv: Argv<'_>,
        begin: impl FnOnce(&mut ModuleCtx),
        end: impl FnOnce(&mut ModuleCtx) -> R,
    ) -> Option<R> {
        let function = self.function.filter(|_| self.module.alive.load(Ordering::Acquire))?;
        let mut ctx = ModuleCtx::detached(Some(Arc::clone(&self.module)));
        ctx.argv = Arguments::of(argv);
        begin(&mut ctx);
        let mut arguments = ctx.argv.to_vec();
        let handle = std::ptr::from_mut(&mut ctx).cast();
        let _note = crash::note(&self.module, "key look-up");
        // SAFETY: as in `run`; the context has no engine, so the module can only look at its arguments.
        #[expect(unsafe_code, reason = "calls a module")]
        unsafe {
            function(handle, arguments.as_mut_ptr(), arguments.len() as c_int);
        }
        let answer = end(&mut ctx);
        ctx.finish();
        Some(answer)
    }
}

impl ForeignCommand for ForeignHandler {
    fn call(&self, ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
        self.run(By::All(ctx), argv, reply)
    }

    fn call_beside(&self, ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
        self.run(By::Reading(ctx), argv, reply)
    }

    fn keys(&self, argv: Argv<'_>) -> Option<Vec<KeyAt>> {
        self.ask(argv, |ctx| ctx.key_positions = Some(Vec::new()), |ctx| ctx.key_positions.take())?
    }

    fn channels(&self, argv: Argv<'_>) -> Vec<ChannelAt> {
        if !self.draft.lock().tells_channels {
            return Vec::new();
        }
        let ask = |ctx: &mut ModuleCtx| ctx.channel_positions = Some(Vec::new());
        let found = self.ask(argv, ask, |ctx| ctx.channel_positions.take());
        found.flatten().unwrap_or_default()
    }
}
