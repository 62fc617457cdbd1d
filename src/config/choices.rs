//! Which words may stand where a parameter has a fixed choice, and which number stands for each?
//!
//! The numbers are what [`crate::config::Config::choice`] returns. Two words may share one; the
//! first is the one shown. Choices that can be combined (SHUTDOWN) are bits, in the order in which
//! they are shown.

/// The words of a choice.
pub type Choices = [(&'static str, u32)];

/// `supervised`
pub const SUPERVISED: [(&str, u32); 4] = [("upstart", 0), ("systemd", 1), ("auto", 2), ("no", 3)];

/// `syslog-facility`, by the system's numbers.
pub const SYSLOG_FACILITY: [(&str, u32); 9] = [
    ("user", 1),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// `repl-diskless-load`
pub const DISKLESS_LOAD: [(&str, u32); 3] = [("disabled", 0), ("on-empty-db", 1), ("swapdb", 2)];

/// `loglevel`, the least important first.
pub const LOG_LEVEL: [(&str, u32); 5] =
    [("debug", 0), ("verbose", 1), ("notice", 2), ("warning", 3), ("nothing", 4)];

/// `log-format`
pub const LOG_FORMAT: [(&str, u32); 2] = [("human", 0), ("json", 1)];

/// `maxmemory-policy`
pub const EVICTION: [(&str, u32); 8] = [
    ("volatile-lru", 0),
    ("volatile-lfu", 1),
    ("volatile-random", 2),
    ("volatile-ttl", 3),
    ("allkeys-lru", 4),
    ("allkeys-lfu", 5),
    ("allkeys-random", 6),
    ("noeviction", 7),
];

/// `appendfsync`
pub const FSYNC: [(&str, u32); 3] = [("everysec", 0), ("always", 1), ("no", 2)];

/// `snapshot-method`
pub const SNAPSHOT: [(&str, u32); 3] = [("auto", 0), ("inline", 1), ("fork", 2)];

/// `oom-score-adj`
pub const OOM_SCORE_ADJ: [(&str, u32); 4] =
    [("no", 0), ("yes", 1), ("relative", 1), ("absolute", 2)];

/// `acl-pubsub-default`
pub const PUBSUB_DEFAULT: [(&str, u32); 2] = [("allchannels", 1), ("resetchannels", 0)];

/// `sanitize-dump-payload`
pub const SANITIZE: [(&str, u32); 3] =
    [("no", 0), ("yes", SANITIZE_YES), ("clients", SANITIZE_CLIENTS)];
/// Whatever is loaded is checked whole.
pub const SANITIZE_YES: u32 = 1;
/// What clients send is.
pub const SANITIZE_CLIENTS: u32 = 2;

/// `enable-protected-configs`, `enable-debug-command` and `enable-module-command`
pub const PROTECTED_ACTION: [(&str, u32); 3] = [("no", 0), ("yes", 1), ("local", 2)];

/// `cluster-preferred-endpoint-type`
pub const ENDPOINT: [(&str, u32); 3] = [("ip", 0), ("hostname", 1), ("unknown-endpoint", 2)];

/// `propagation-error-behavior`
pub const PROPAGATION_ERROR: [(&str, u32); 3] =
    [("ignore", 0), ("panic", 1), ("panic-on-replicas", 2)];

/// `shutdown-on-sigint` and `shutdown-on-sigterm`
pub const SHUTDOWN: [(&str, u32); 5] = [
    ("default", 0),
    ("save", SHUTDOWN_SAVE),
    ("nosave", SHUTDOWN_NOSAVE),
    ("now", SHUTDOWN_NOW),
    ("force", SHUTDOWN_FORCE),
];

/// Saves even without save points.
pub const SHUTDOWN_SAVE: u32 = 1;
/// Does not save.
pub const SHUTDOWN_NOSAVE: u32 = 2;
/// Does not wait for replicas.
pub const SHUTDOWN_NOW: u32 = 4;
/// Exits even if saving failed.
pub const SHUTDOWN_FORCE: u32 = 8;

/// `tls-auth-clients`
pub const TLS_CLIENTS: [(&str, u32); 3] = [("no", 0), ("yes", 1), ("optional", 2)];

/// The number of a word, whatever its case.
pub fn number_of(choices: &Choices, word: &[u8]) -> Option<u32> {
    let found = choices.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
    found.map(|&(_, number)| number)
}

/// The word of a number; the words of its bits, apart by a space, if it is none by itself.
pub fn words_of(choices: &Choices, number: u32) -> String {
    if let Some((name, _)) = choices.iter().find(|&&(_, n)| n == number) {
        return (*name).to_string();
    }
    let bits = choices.iter().filter(|&&(_, n)| n != 0 && n & number == n);
    bits.map(|&(name, _)| name).collect::<Vec<_>>().join(" ")
}

/// All words, apart by commas.
pub fn all_words(choices: &Choices) -> String {
    choices.iter().map(|&(name, _)| name).collect::<Vec<_>>().join(", ")
}
