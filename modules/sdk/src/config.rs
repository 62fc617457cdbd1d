//! Which parameters does the module have in the server's configuration?
//!
//! Each parameter is a `static` that holds its present value. The server reads and sets it under
//! the name `module.name`, by CONFIG GET and SET, configuration file and command line. On servers
//! before Redis 7.0 the parameters keep their defaults.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};

use mortise_module_abi as abi;

use crate::error::Error;
use crate::raw::{self, ConfigRegistration, Ctx};

/// What may be done with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConfigFlags(u32);

impl ConfigFlags {
    /// No restriction.
    pub const NONE: ConfigFlags = ConfigFlags(abi::CONFIG_DEFAULT);
    /// Only at startup.
    pub const IMMUTABLE: ConfigFlags = ConfigFlags(abi::CONFIG_IMMUTABLE);
    /// The value does not appear in logs.
    pub const SENSITIVE: ConfigFlags = ConfigFlags(abi::CONFIG_SENSITIVE);
    /// Not shown by CONFIG GET with a pattern.
    pub const HIDDEN: ConfigFlags = ConfigFlags(abi::CONFIG_HIDDEN);
    /// Not while data is loaded.
    pub const DENY_LOADING: ConfigFlags = ConfigFlags(abi::CONFIG_DENY_LOADING);
    /// A number of bytes, which may have a unit.
    pub const MEMORY: ConfigFlags = ConfigFlags(abi::CONFIG_MEMORY);
    /// The parameter's name is the whole name, without the module's and a dot in front. A server that knows
    /// nothing of this (Redis before 8) puts them in front all the same.
    pub const UNPREFIXED: ConfigFlags = ConfigFlags(abi::CONFIG_UNPREFIXED);

    /// Both sets of flags.
    pub const fn and(self, other: ConfigFlags) -> ConfigFlags {
        ConfigFlags(self.0 | other.0)
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }
}

macro_rules! common {
    ($type:ident, $value:ty) => {
        impl $type {
            /// Restricts the parameter.
            pub const fn with_flags(mut self, flags: ConfigFlags) -> $type {
                self.flags = flags;
                self
            }

            /// Calls `check` with each new value before it is taken.
            pub const fn with_check(mut self, check: fn($value) -> Result<(), Error>) -> $type {
                self.check = Some(check);
                self
            }
        }
    };
}

/// A parameter that is `yes` or `no`.
pub struct BoolConfig {
    name: &'static str,
    pub(crate) default: bool,
    flags: ConfigFlags,
    check: Option<fn(bool) -> Result<(), Error>>,
    value: AtomicBool,
}

common!(BoolConfig, bool);

impl BoolConfig {
    /// A parameter with its default.
    pub const fn new(name: &'static str, default: bool) -> BoolConfig {
        let value = AtomicBool::new(default);
        BoolConfig { name, default, flags: ConfigFlags::NONE, check: None, value }
    }

    /// The present value.
    pub fn get(&self) -> bool {
        self.value.load(Ordering::Relaxed)
    }

    /// Sets it, as CONFIG SET does.
    pub fn set(&self, value: bool) -> Result<(), Error> {
        self.check.map_or(Ok(()), |check| check(value))?;
        self.value.store(value, Ordering::Relaxed);
        Ok(())
    }
}

/// A parameter that is an integer in a range.
pub struct IntConfig {
    name: &'static str,
    pub(crate) default: i64,
    pub(crate) min: i64,
    pub(crate) max: i64,
    flags: ConfigFlags,
    check: Option<fn(i64) -> Result<(), Error>>,
    value: AtomicI64,
}

common!(IntConfig, i64);

impl IntConfig {
    /// A parameter with its default and its range, both ends included.
    pub const fn new(name: &'static str, default: i64, min: i64, max: i64) -> IntConfig {
        assert!(min <= default && default <= max, "the default lies in the range");
        let (flags, value) = (ConfigFlags::NONE, AtomicI64::new(default));
        IntConfig { name, default, min, max, flags, check: None, value }
    }

    /// The present value.
    pub fn get(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }

    /// Sets it, as CONFIG SET does.
    pub fn set(&self, value: i64) -> Result<(), Error> {
        if !(self.min..=self.max).contains(&value) {
            return Err(Error::new(format_args!("must be between {} and {}", self.min, self.max)));
        }
        self.check.map_or(Ok(()), |check| check(value))?;
        self.value.store(value, Ordering::Relaxed);
        Ok(())
    }
}

/// A parameter that is one of some words, each with its number.
pub struct EnumConfig {
    name: &'static str,
    pub(crate) default: i32,
    pub(crate) values: &'static [(&'static str, i32)],
    flags: ConfigFlags,
    check: Option<fn(i32) -> Result<(), Error>>,
    value: AtomicI32,
}

common!(EnumConfig, i32);

impl EnumConfig {
    /// A parameter with its default, one of the numbers.
    pub const fn new(
        name: &'static str,
        default: i32,
        values: &'static [(&'static str, i32)],
    ) -> EnumConfig {
        let (flags, value) = (ConfigFlags::NONE, AtomicI32::new(default));
        EnumConfig { name, default, values, flags, check: None, value }
    }

    /// The words and their numbers.
    pub fn values(&self) -> &'static [(&'static str, i32)] {
        self.values
    }

    /// The number of the present value.
    pub fn get(&self) -> i32 {
        self.value.load(Ordering::Relaxed)
    }

    /// Sets it to one of the numbers, as CONFIG SET does by their words.
    pub fn set(&self, value: i32) -> Result<(), Error> {
        self.check.map_or(Ok(()), |check| check(value))?;
        self.value.store(value, Ordering::Relaxed);
        Ok(())
    }
}

type CheckText = fn(&str) -> Result<(), Error>;

/// A parameter that is a text.
pub struct StringConfig {
    name: &'static str,
    pub(crate) default: &'static str,
    flags: ConfigFlags,
    check: Option<CheckText>,
    /// None: the default.
    value: RwLock<Option<String>>,
    pub(crate) lent: raw::LentString,
}

common!(StringConfig, &str);

impl StringConfig {
    /// A parameter with its default.
    pub const fn new(name: &'static str, default: &'static str) -> StringConfig {
        StringConfig {
            name,
            default,
            flags: ConfigFlags::NONE,
            check: None,
            value: RwLock::new(None),
            lent: raw::LentString::new(),
        }
    }

    /// The present value.
    pub fn get(&self) -> String {
        let value = self.value.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        value.as_deref().unwrap_or(self.default).to_owned()
    }

    /// Sets it, as CONFIG SET does.
    pub fn set(&self, value: &str) -> Result<(), Error> {
        self.check.map_or(Ok(()), |check| check(value))?;
        let mut place = self.value.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *place = Some(value.to_owned());
        Ok(())
    }
}

/// One parameter of any kind, for the list in [`Module::configs`](crate::Module::configs).
#[derive(Clone, Copy)]
pub enum Config {
    /// `yes` or `no`.
    Bool(&'static BoolConfig),
    /// An integer.
    Int(&'static IntConfig),
    /// One of some words.
    Enum(&'static EnumConfig),
    /// A text.
    String(&'static StringConfig),
}

/// Registers all parameters and reads their values, if the server can.
pub(crate) fn register(ctx: Ctx<'_>, configs: &'static [Config]) -> Result<(), Error> {
    if configs.is_empty() || !raw::has_configs() {
        return Ok(());
    }
    for config in configs {
        let (name, flags) = config.name_and_flags();
        let registered = register_one(ctx, *config, &ConfigRegistration { name, flags });
        match registered {
            Err(_) if flags.0 & abi::CONFIG_UNPREFIXED != 0 => {
                let flags = ConfigFlags(flags.0 & !abi::CONFIG_UNPREFIXED);
                register_one(ctx, *config, &ConfigRegistration { name, flags })?;
            }
            registered => registered?,
        }
    }
    ctx.load_configs()
}

fn register_one(
    ctx: Ctx<'_>,
    config: Config,
    registration: &ConfigRegistration,
) -> Result<(), Error> {
    match config {
        Config::Bool(config) => ctx.register_bool(registration, config),
        Config::Int(config) => ctx.register_int(registration, config),
        Config::Enum(config) => ctx.register_enum(registration, config),
        Config::String(config) => ctx.register_string(registration, config),
    }
}

impl Config {
    fn name_and_flags(&self) -> (&'static str, ConfigFlags) {
        match self {
            Config::Bool(config) => (config.name, config.flags),
            Config::Int(config) => (config.name, config.flags),
            Config::Enum(config) => (config.name, config.flags),
            Config::String(config) => (config.name, config.flags),
        }
    }
}
