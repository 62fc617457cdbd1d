//! Which parameters does the module have?
//!
//! They are set by CONFIG SET under these names; servers that put a module's name in front of every parameter know
//! them as `search.search-...`.

use std::time::Duration;

use mortise_module::{Config, ConfigFlags, EnumConfig, IntConfig};

/// Threads that run long queries: at most so many, and no more than the machine has cores. With none, every query is
/// run where its command is.
pub static WORKERS: IntConfig =
    IntConfig::new("search-workers", 4, 0, 64).with_flags(ConfigFlags::UNPREFIXED);

/// How long a query may take, in milliseconds, unless it says so itself; 0 is for ever.
pub static TIMEOUT: IntConfig =
    IntConfig::new("search-timeout", 500, 0, i64::MAX).with_flags(ConfigFlags::UNPREFIXED);

/// What a query answers whose time is over.
pub static ON_TIMEOUT: EnumConfig =
    EnumConfig::new("search-on-timeout", RETURN, &[("return", RETURN), ("fail", FAIL)])
        .with_flags(ConfigFlags::UNPREFIXED);

const RETURN: i32 = 0;
const FAIL: i32 = 1;

/// All parameters.
pub const ALL: &[Config] =
    &[Config::Int(&WORKERS), Config::Int(&TIMEOUT), Config::Enum(&ON_TIMEOUT)];

/// The time that queries have by default, if it is limited.
pub fn timeout() -> Option<Duration> {
    u64::try_from(TIMEOUT.get()).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// Whether a query whose time is over answers an error, not what it has found.
pub fn fails_on_timeout() -> bool {
    ON_TIMEOUT.get() == FAIL
}
