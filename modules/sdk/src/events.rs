//! What happens in the server that a module may want to hear of?

use std::fmt;

use mortise_module_abi as abi;

use crate::context::Context;
use crate::raw::Arg;

/// Classes of keyspace events, as a set.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct NotifyClass(i32);

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $value:ident;)*) => {
        impl NotifyClass {
            $($(#[$doc])* pub const $name: NotifyClass = NotifyClass(abi::$value);)*
        }
    };
}

classes! {
    /// DEL, EXPIRE, RENAME and other commands for all types.
    GENERIC = NOTIFY_GENERIC;
    /// Strings.
    STRING = NOTIFY_STRING;
    /// Lists.
    LIST = NOTIFY_LIST;
    /// Sets.
    SET = NOTIFY_SET;
    /// Hashes.
    HASH = NOTIFY_HASH;
    /// Sorted sets.
    ZSET = NOTIFY_ZSET;
    /// Streams.
    STREAM = NOTIFY_STREAM;
    /// Values of module types.
    MODULE = NOTIFY_MODULE;
    /// A key expired.
    EXPIRED = NOTIFY_EXPIRED;
    /// A key was evicted.
    EVICTED = NOTIFY_EVICTED;
    /// A key was looked up and not found; not part of `ALL`.
    KEY_MISS = NOTIFY_KEY_MISS;
    /// A key was created; not part of `ALL`.
    NEW = NOTIFY_NEW;
    /// A key was loaded from an RDB file; not part of `ALL`.
    LOADED = NOTIFY_LOADED;
    /// What the `A` of `notify-keyspace-events` stands for.
    ALL = NOTIFY_ALL;
}

impl NotifyClass {
    /// Both sets.
    pub const fn and(self, other: NotifyClass) -> NotifyClass {
        NotifyClass(self.0 | other.0)
    }

    /// Whether the sets have a class in common.
    pub const fn intersects(self, other: NotifyClass) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn bits(self) -> i32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: i32) -> NotifyClass {
        NotifyClass(bits)
    }
}

impl fmt::Debug for NotifyClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotifyClass({:#x})", self.0)
    }
}

/// Something happened to a key of the context's database.
#[derive(Debug)]
pub struct KeyspaceEvent<'a> {
    /// The class of the event; exactly one.
    pub class: NotifyClass,
    /// The event, such as `hset`, `del` or `expired`.
    pub name: &'a str,
    /// The key.
    pub key: Arg<'a>,
}

/// Who is called for which keyspace events.
///
/// The handler runs inside the command that caused the event, after the change. It should not write
/// to the keyspace; what must write is left to [`Context::after_notification`].
#[derive(Clone, Copy)]
pub struct KeyspaceSubscription {
    /// The classes.
    pub classes: NotifyClass,
    /// The handler.
    pub handler: fn(&mut Context<'_>, &KeyspaceEvent<'_>),
}

/// A stage of something that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is about to begin.
    Start,
    /// It is complete.
    End,
    /// It was given up.
    Failed,
}

/// A stage of saving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saving {
    /// An RDB file is about to be written, while the server goes on.
    Rdb,
    /// An RDB file is about to be written, and the server waits for it.
    RdbAtOnce,
    /// The append-only file is about to be rewritten, while the server goes on.
    Aof,
    /// The append-only file is about to be written anew, and the server waits for it.
    AofAtOnce,
    /// Saving is complete.
    Ended,
    /// Saving failed.
    Failed,
}

/// Something happened in the server.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerEvent<'a> {
    /// Databases are flushed.
    FlushDb {
        /// Before or after.
        phase: Phase,
        /// The database, or all.
        db: Option<i32>,
    },
    /// Data is loaded at startup, from a primary or by DEBUG RELOAD.
    Loading(Phase),
    /// Data is saved.
    Persistence(Saving),
    /// Two databases changed places.
    SwapDb {
        /// One.
        first: i32,
        /// The other.
        second: i32,
    },
    /// The server shuts down.
    Shutdown,
    /// The server's periodic job runs.
    CronLoop {
        /// How often per second, about.
        hz: i32,
    },
    /// The server became a primary or a replica.
    RoleChanged {
        /// It is a primary now.
        primary: bool,
    },
    /// A client came or went.
    ClientChange {
        /// Its id.
        id: u64,
        /// It came.
        connected: bool,
    },
    /// Another module was loaded or unloaded.
    ModuleChange {
        /// Its name.
        name: &'a str,
        /// Its version.
        version: i32,
        /// It was loaded.
        loaded: bool,
    },
    /// Parameters of the server changed.
    ConfigChange {
        /// Their names.
        names: Vec<&'a str>,
    },
}

/// A kind of [`ServerEvent`], to subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerEventKind {
    /// [`ServerEvent::FlushDb`].
    FlushDb,
    /// [`ServerEvent::Loading`].
    Loading,
    /// [`ServerEvent::Persistence`].
    Persistence,
    /// [`ServerEvent::SwapDb`].
    SwapDb,
    /// [`ServerEvent::Shutdown`].
    Shutdown,
    /// [`ServerEvent::CronLoop`].
    CronLoop,
    /// [`ServerEvent::RoleChanged`].
    RoleChanged,
    /// [`ServerEvent::ClientChange`].
    ClientChange,
    /// [`ServerEvent::ModuleChange`].
    ModuleChange,
    /// [`ServerEvent::ConfigChange`].
    ConfigChange,
}

impl ServerEventKind {
    pub(crate) fn id(self) -> u64 {
        match self {
            ServerEventKind::FlushDb => abi::EVENT_FLUSHDB,
            ServerEventKind::Loading => abi::EVENT_LOADING,
            ServerEventKind::Persistence => abi::EVENT_PERSISTENCE,
            ServerEventKind::SwapDb => abi::EVENT_SWAPDB,
            ServerEventKind::Shutdown => abi::EVENT_SHUTDOWN,
            ServerEventKind::CronLoop => abi::EVENT_CRON_LOOP,
            ServerEventKind::RoleChanged => abi::EVENT_REPLICATION_ROLE_CHANGED,
            ServerEventKind::ClientChange => abi::EVENT_CLIENT_CHANGE,
            ServerEventKind::ModuleChange => abi::EVENT_MODULE_CHANGE,
            ServerEventKind::ConfigChange => abi::EVENT_CONFIG,
        }
    }
}

impl ServerEvent<'_> {
    /// What kind of event it is.
    pub fn kind(&self) -> ServerEventKind {
        match self {
            ServerEvent::FlushDb { .. } => ServerEventKind::FlushDb,
            ServerEvent::Loading(_) => ServerEventKind::Loading,
            ServerEvent::Persistence(_) => ServerEventKind::Persistence,
            ServerEvent::SwapDb { .. } => ServerEventKind::SwapDb,
            ServerEvent::Shutdown => ServerEventKind::Shutdown,
            ServerEvent::CronLoop { .. } => ServerEventKind::CronLoop,
            ServerEvent::RoleChanged { .. } => ServerEventKind::RoleChanged,
            ServerEvent::ClientChange { .. } => ServerEventKind::ClientChange,
            ServerEvent::ModuleChange { .. } => ServerEventKind::ModuleChange,
            ServerEvent::ConfigChange { .. } => ServerEventKind::ConfigChange,
        }
    }
}

/// Who is called for which server event.
#[derive(Clone, Copy)]
pub struct ServerSubscription {
    /// The kind of event.
    pub event: ServerEventKind,
    /// The handler.
    pub handler: fn(&mut Context<'_>, &ServerEvent<'_>),
}
