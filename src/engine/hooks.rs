//! What does foreign code hear of the engine, and when has it a say? Implemented by the module host, which the engine knows
//! only as [`Hooks`].

use std::sync::Arc;

use super::client::Client;
use super::ctx::ExclusiveCtx;
use super::effects::EventClass;
use super::events::Departure;
use super::log_in::{LogIn, Wish};
use super::spec::Argv;
use super::state::{Shared, State};
use crate::base::moving::Mover;
use crate::object::module::TypeVtable;

/// What foreign code wants to hear of; implemented by the module host.
pub trait Hooks: Send + Sync {
    /// A key changed. Runs inside the writing call, with no borrow of the keyspace alive.
    fn key_event(&self, ctx: &mut ExclusiveCtx<'_>, event: &KeyEvent<'_>);
    /// Looks at a command before it is looked up, and may change its arguments: those that count from now on.
    /// Called once per command if [`Attached::has_filters`](super::events::Attached::has_filters).
    fn filter(&self, ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>) -> Vec<Box<[u8]>> {
        let _ = ctx;
        argv.iter().map(|arg| (*arg).into()).collect()
    }
    /// Runs `f`, with the engine within reach of the foreign code in it.
    fn lend(&self, ctx: &mut ExclusiveCtx<'_>, f: &mut dyn FnMut()) {
        let _ = ctx;
        f();
    }
    /// A turn of some event loop is over: a batch of a client's commands, tasks, the cron. Called if
    /// [`Attached::has_turns`](super::events::Attached::has_turns).
    fn turn(&self, state: &mut State, shared: &Shared) {
        let _ = (state, shared);
    }
    /// Something happened to the server as a whole.
    fn server_event(&self, ctx: &mut ExclusiveCtx<'_>, event: ServerEvent<'_>);
    /// A unit in which foreign code asked for it ([`Unit::has_jobs`]) is about to end.
    ///
    /// [`Unit::has_jobs`]: super::effects::Unit::has_jobs
    fn unit_end(&self, ctx: &mut ExclusiveCtx<'_>) {
        let _ = ctx;
    }
    /// Asks modules whether a client may log in so ([`Shared::modules_log_in`]). An error that they have replied
    /// themselves counts as a denial.
    fn log_in(&self, ctx: &mut ExclusiveCtx<'_>, wish: Wish<'_, '_>) -> LogIn {
        let _ = (ctx, wish);
        LogIn::NotHandled
    }
    /// The sections that modules add to INFO: (name, text of `field:value` lines).
    fn info(&self, ctx: &mut ExclusiveCtx<'_>) -> Vec<(String, String)>;
    /// The type of values with this id in RDB, its encoding version aside.
    fn module_type(&self, id: u64) -> Option<Arc<dyn TypeVtable>> {
        let _ = id;
        None
    }
    /// How the module of this name stands to others.
    fn module_ties(&self, name: &str) -> ModuleTies {
        let _ = name;
        ModuleTies::default()
    }
    /// What types keep in RDB files beside the keys, in front of them (`when` is 1) or behind (2).
    fn save_data(&self, when: i32) -> Vec<TypeData> {
        let _ = when;
        Vec::new()
    }
    /// Has modules move what belongs to no key (`engine/defrag.rs`); whether there is more. Called with no borrow of the keyspace alive.
    fn move_globals(&self, part: DefragPart, mover: &mut Mover<'_>) -> bool {
        let _ = (part, mover);
        false
    }
    /// Gives such data back. Says how many bytes of it were read.
    fn load_data(&self, id: u64, when: i32, items: &[u8]) -> Result<usize, TypeDataError> {
        let _ = (id, when, items);
        Err(TypeDataError::NoType)
    }
}

/// Which part of a round of defragmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefragPart {
    /// It begins.
    Begin,
    /// The keys are done, what belongs to none is next.
    Globals,
    /// It is over, or was given up.
    End,
}

/// What INFO says of a module beside its name and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleTies {
    /// The modules that use what it shares.
    pub used_by: Vec<String>,
    /// The modules that share what it uses.
    pub uses: Vec<String>,
    /// Its options, by the names that INFO has for them.
    pub options: Vec<&'static str>,
}

/// What a type keeps in RDB files beside the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeData {
    /// The type's id.
    pub id: u64,
    /// Items as in a value of it, without an end mark.
    pub items: Vec<u8>,
}

/// Why a type's data was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeDataError {
    /// There is no such type.
    NoType,
    /// It keeps no data.
    NoData,
    /// It could not read it.
    Refused,
}

/// A change of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyEvent<'a> {
    /// Its class.
    pub class: EventClass,
    /// Its name, such as `set` or `expired`.
    pub name: &'a str,
    /// The key's db.
    pub db: u32,
    /// The key.
    pub key: &'a [u8],
}

/// An event that concerns the server as a whole.
#[derive(Clone, Copy, Debug)]
pub enum ServerEvent<'a> {
    /// Before and after FLUSHALL (`db` is None) and FLUSHDB.
    #[expect(missing_docs, reason = "explained above")]
    Flush { db: Option<u32>, done: bool },
    /// Two dbs were swapped.
    SwapDb(u32, u32),
    /// The server is about to end.
    Shutdown,
    /// The data set is saved to its file.
    Saving(FileStep),
    /// The append-only file is written anew.
    Rewriting(FileStep),
    /// The data set is loaded.
    Loading(Origin, FileStep),
    /// So much of it is: 1024 is all, -1 unknown; from the append-only file's commands or not.
    #[expect(missing_docs, reason = "explained above")]
    Progress { commands: bool, share: i32 },
    /// A replica loads the primary's data set beside its own.
    LoadingBeside(FileStep),
    /// The server follows another one now, or none any more.
    Role,
    /// The link to the primary is up, or down.
    PrimaryLink(Change),
    /// A replica gets the stream, or is gone.
    Replica(Change),
    /// A client has come, or goes: `Topics::CLIENTS`.
    Client(&'a Arc<Client>, Change),
    /// The periodic work was done, which happens so often a second: `Topics::CRON`.
    Cron(i32),
    /// Parameters of these names were set.
    Config(&'a [&'a str]),
    /// A child process that has the data set was born, or is gone.
    Child(Change),
    /// A key is about to leave: [`leaves`](super::events::leaves).
    #[expect(missing_docs, reason = "explained above")]
    KeyLeaves { db: u32, key: &'a [u8], how: Departure },
}

/// Where a data set comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file that SAVE writes.
    File,
    /// The append-only file.
    Log,
    /// The primary.
    Primary,
}

/// Which way something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Change {
    Up,
    Down,
}

/// How far saving or loading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStep {
    /// It begins, while the engine waits.
    Begins,
    /// It begins, while the engine goes on.
    BeginsApart,
    /// It is done.
    Done,
    /// It failed.
    Failed,
}
