//! Which parameters does the module have?
//!
//! They are set by CONFIG SET under these names, and by FT.CONFIG under older ones; servers that put a module's name in
//! front of every parameter know them as `search.search-...`. Parameters of RediSearch that steer what this module does
//! not have (its garbage collector, its memory pools) do not exist here.

use std::time::Duration;

use mortise_module::{
    BoolConfig, Config, ConfigFlags, EnumConfig, Error as SdkError, IntConfig, StringConfig,
};

use crate::score::Scorer;

const OPEN: ConfigFlags = ConfigFlags::UNPREFIXED;

/// Threads that run long queries: at most so many, and no more than the machine has cores. With none, every query is
/// run where its command is.
pub static WORKERS: IntConfig = IntConfig::new("search-workers", 4, 0, 64).with_flags(OPEN);

/// How long a query may take, in milliseconds, unless it says so itself; 0 is for ever.
pub static TIMEOUT: IntConfig = IntConfig::new("search-timeout", 500, 0, i64::MAX).with_flags(OPEN);

/// What a query answers whose time is over.
pub static ON_TIMEOUT: EnumConfig =
    EnumConfig::new("search-on-timeout", RETURN, &[("return", RETURN), ("fail", FAIL)])
        .with_flags(OPEN);

const RETURN: i32 = 0;
const FAIL: i32 = 1;

/// The grammar of queries that do not say.
pub static DEFAULT_DIALECT: IntConfig =
    IntConfig::new("search-default-dialect", 1, 1, 4).with_flags(OPEN);
/// The formula of queries that do not say.
pub static DEFAULT_SCORER: StringConfig =
    StringConfig::new("search-default-scorer", "BM25STD").with_flags(OPEN).with_check(check_scorer);
/// Shortest prefix, suffix or infix that is searched for, in bytes.
pub static MIN_PREFIX: IntConfig = IntConfig::new("search-min-prefix", 2, 1, 4096).with_flags(OPEN);
/// Terms that one prefix, suffix, infix or wildcard may stand for. RediSearch stops at 200, without a word in RESP2.
pub static MAX_PREFIX_EXPANSIONS: IntConfig =
    IntConfig::new("search-max-prefix-expansions", 10_000, 1, 1_000_000).with_flags(OPEN);
/// Shortest word of a document that is stemmed, in bytes.
pub static MIN_STEM_LENGTH: IntConfig =
    IntConfig::new("search-min-stem-len", 4, 2, 4096).with_flags(OPEN);
/// Results that one reply of FT.SEARCH may hold, and results that may be skipped.
pub static MAX_SEARCH_RESULTS: IntConfig =
    IntConfig::new("search-max-search-results", 1_000_000, 0, 1 << 31).with_flags(OPEN);
/// The same of FT.AGGREGATE.
pub static MAX_AGGREGATE_RESULTS: IntConfig =
    IntConfig::new("search-max-aggregate-results", 1 << 31, 0, 1 << 31).with_flags(OPEN);
/// Groups that one GROUPBY may make.
pub static MAX_AGGREGATE_GROUPS: IntConfig =
    IntConfig::new("search-max-aggregate-groups", 1_000_000, 1, 1 << 26).with_flags(OPEN);
/// How long a cursor may lie unread, in milliseconds.
pub static CURSOR_MAX_IDLE_MS: IntConfig =
    IntConfig::new("search-cursor-max-idle", 300_000, 1, i64::MAX).with_flags(OPEN);
/// Cursors that one index may have.
pub static INDEX_CURSOR_LIMIT: IntConfig =
    IntConfig::new("search-index-cursor-limit", 128, 0, i64::MAX).with_flags(OPEN);
/// Bytes that the groups and rows of one FT.AGGREGATE may take, and those of all cursors together.
pub static MAX_AGGREGATE_MEMORY: IntConfig =
    IntConfig::new("search-max-aggregate-memory", 1 << 30, 1 << 16, i64::MAX)
        .with_flags(OPEN.and(ConfigFlags::MEMORY));
/// Positions between two values of an array of texts, in documents that are put in from then on. It cannot be changed in
/// RediSearch; tools that set every parameter to what it is should not fail for this one.
pub static MULTI_TEXT_SLOP: IntConfig =
    IntConfig::new("search-multi-text-slop", 100, 1, 1_000_000).with_flags(OPEN);
/// Shortest word that is indexed by its sound, in bytes.
pub static MIN_PHONETIC_LENGTH: IntConfig =
    IntConfig::new("search-min-phonetic-term-len", 3, 1, 4096).with_flags(OPEN);
/// By how much scores are stretched before the hyperbolic tangent of BM25STD.TANH.
pub static TANH_FACTOR: IntConfig =
    IntConfig::new("search-bm25std-tanh-factor", 4, 1, 10_000).with_flags(OPEN);
/// Whether features may be used whose behaviour can still change.
pub static UNSTABLE_FEATURES: BoolConfig =
    BoolConfig::new("search-enable-unstable-features", false).with_flags(OPEN);

/// Whether segments are kept on disk beside snapshots, so that a restart need not build the indexes again.
pub static PERSIST_SEGMENTS: BoolConfig =
    BoolConfig::new("search-persist-segments", true).with_flags(OPEN);

fn check_scorer(name: &str) -> Result<(), SdkError> {
    match Scorer::find(name.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(SdkError::new("Invalid default scorer value")),
    }
}

/// The formula of queries that do not say.
pub fn default_scorer() -> Scorer {
    Scorer::find(DEFAULT_SCORER.get().as_bytes()).unwrap_or_default()
}

/// The grammar of queries that do not say.
pub fn default_dialect() -> u32 {
    u32::try_from(DEFAULT_DIALECT.get()).unwrap_or(1)
}

/// `parameter` as a size.
pub fn size(parameter: &IntConfig) -> usize {
    usize::try_from(parameter.get()).unwrap_or(0)
}

/// The time that queries have by default, if it is limited.
pub fn timeout() -> Option<Duration> {
    u64::try_from(TIMEOUT.get()).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// Whether a query whose time is over answers an error, not what it has found.
pub fn fails_on_timeout() -> bool {
    ON_TIMEOUT.get() == FAIL
}

/// All of them, for the server.
pub static ALL: &[Config] = &[
    Config::Int(&TIMEOUT),
    Config::Enum(&ON_TIMEOUT),
    Config::Int(&DEFAULT_DIALECT),
    Config::String(&DEFAULT_SCORER),
    Config::Int(&MIN_PREFIX),
    Config::Int(&MAX_PREFIX_EXPANSIONS),
    Config::Int(&MIN_STEM_LENGTH),
    Config::Int(&MAX_SEARCH_RESULTS),
    Config::Int(&MAX_AGGREGATE_RESULTS),
    Config::Int(&MAX_AGGREGATE_GROUPS),
    Config::Int(&CURSOR_MAX_IDLE_MS),
    Config::Int(&INDEX_CURSOR_LIMIT),
    Config::Int(&MULTI_TEXT_SLOP),
    Config::Int(&MIN_PHONETIC_LENGTH),
    Config::Int(&WORKERS),
    Config::Int(&TANH_FACTOR),
    Config::Bool(&UNSTABLE_FEATURES),
    Config::Bool(&PERSIST_SEGMENTS),
    Config::Int(&MAX_AGGREGATE_MEMORY),
];
