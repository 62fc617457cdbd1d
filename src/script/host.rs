//! What may a running script ask of the server? The one trait between scripts and the engine.
//!
//! The layer below knows nothing of scripts, and scripts know nothing of the engine: the context of
//! EVAL implements [`ScriptHost`], and the VM calls it through a reference that lives as long as the
//! script runs.

/// How urgent a line of `redis.log` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `redis.LOG_DEBUG`, 0.
    Debug,
    /// `redis.LOG_VERBOSE`, 1.
    Verbose,
    /// `redis.LOG_NOTICE`, 2.
    Notice,
    /// `redis.LOG_WARNING`, 3.
    Warning,
}

impl LogLevel {
    /// Writes a line of this level.
    pub fn write(self, message: &[u8]) {
        let message = String::from_utf8_lossy(message);
        match self {
            Self::Debug => tracing::trace!("{message}"),
            Self::Verbose => tracing::debug!("{message}"),
            Self::Notice => tracing::info!("{message}"),
            Self::Warning => tracing::warn!("{message}"),
        }
    }
}

/// Where the writes of a script go besides the keyspace (`redis.set_repl`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplTargets {
    /// To the append-only file.
    pub aof: bool,
    /// To the replicas.
    pub replicas: bool,
}

/// What the server answers when a script reports that it still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Go on.
    Continue,
    /// End with an error of this text ([`KILLED`] for SCRIPT KILL and FUNCTION KILL).
    Kill(&'static str),
}

/// The text of the error that ends a killed script.
pub const KILLED: &str = "Script killed by user with SCRIPT KILL...";

/// The server, as a running script sees it. No method may call back into the VM that runs it.
pub trait ScriptHost {
    /// Runs one command as `redis.call` does (`argv[0]` is its name) and appends its reply to
    /// `reply`: one complete reply, RESP3 if `resp3` (`redis.setresp(3)`), else RESP2. What forbids
    /// the command (unknown, arity, noscript, ACL, read-only script ...) is an error reply as well.
    fn call(&mut self, argv: &[&[u8]], resp3: bool, reply: &mut Vec<u8>);

    /// Writes a line of `redis.log`, if the level is one that is logged.
    fn log(&mut self, level: LogLevel, message: &[u8]);

    /// Says where the script's writes go from here on.
    fn set_repl(&mut self, targets: ReplTargets);

    /// Whether the caller's ACL permits the command; `None` if there is no such command.
    fn acl_check_cmd(&mut self, argv: &[&[u8]]) -> Option<bool>;

    /// The script has come [`TICK_INSTRUCTIONS`](super::tick::TICK_INSTRUCTIONS) further, or about as
    /// much inside one library function. Here the server looks at the time, lets others have their
    /// -BUSY, and says whether the script was killed.
    fn tick(&mut self) -> Tick;

    /// An error reply leaves the script that no command has counted yet (INFO errorstats). `error`
    /// is its text without the leading `-`.
    fn count_error(&mut self, error: &[u8]) {
        let _ = error;
    }
}
