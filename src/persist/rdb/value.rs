//! How does the value of a key become bytes and come back? For RDB files and for DUMP and RESTORE.

use std::sync::Arc;

use crate::base::crc::crc64;
use crate::config::Config;
use crate::config::choices;
use crate::config::params::Param;
use crate::engine::hooks::Hooks;
use crate::engine::state::State;
use crate::keyspace::value::{StrRef, StrValue, Value, ValueRef};
use crate::object::hash::HashLimits;
use crate::object::list::{ListLimits, PLAIN_BYTES_MIN};
use crate::object::module::{KeyName, TypeVtable};
use crate::object::rdb::read::Reader;
use crate::object::rdb::write::{Style, VERSION_MAX, Writer};
use crate::object::rdb::{
    self, Check, Dialect, Limits, LoadContext, Loaded, ModuleTypes, RdbError, kind,
};
use crate::object::set::SetLimits;
use crate::object::zset::ZsetLimits;

/// Versions from here on are Valkey's.
pub const VALKEY_VERSION_MIN: u32 = 80;
/// The newest of them that is known.
pub const VALKEY_VERSION_MAX: u32 = 80;

/// The value's type belongs to a module that cannot save it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the type {0} of a module cannot be saved")]
pub struct Unsavable(pub String);

/// How the configuration wants values to be written.
pub fn style(config: &Config) -> Style {
    Style {
        version: config.uint(Param::RdbTargetVersion) as u32,
        compress: config.flag(Param::Rdbcompression),
    }
}

/// When the configuration wants collections to leave their compact forms.
pub fn limits(config: &Config) -> Limits {
    Limits {
        hash: HashLimits {
            entries_max: config.size(Param::HashMaxListpackEntries),
            value_max: config.size(Param::HashMaxListpackValue),
        },
        list: ListLimits::new(config.int(Param::ListMaxListpackSize), PLAIN_BYTES_MIN),
        zset: ZsetLimits {
            entries_max: config.size(Param::ZsetMaxListpackEntries),
            value_max: config.size(Param::ZsetMaxListpackValue),
        },
        set: SetLimits {
            intset_entries_max: config.size(Param::SetMaxIntsetEntries),
            listpack_entries_max: config.size(Param::SetMaxListpackEntries),
            listpack_value_max: config.size(Param::SetMaxListpackValue),
        },
    }
}

/// The module types that the engine's hooks know.
pub struct HookTypes(pub Option<Arc<dyn Hooks>>);

impl ModuleTypes for HookTypes {
    fn find(&self, id: u64) -> Option<Arc<dyn TypeVtable>> {
        self.0.as_ref()?.module_type(id)
    }
}

/// The byte that leads a value.
pub fn kind_of(value: &ValueRef<'_>, version: u32) -> u8 {
    match value {
        ValueRef::Str(_) => kind::STRING,
        ValueRef::Hash(hash) => rdb::hash::kind_of(hash, version),
        ValueRef::Module(_) => kind::MODULE_2,
        ValueRef::List(_) => rdb::list::kind_of(version),
        ValueRef::Set(set) => rdb::set::kind_of(set, version),
        ValueRef::Zset(zset) => rdb::zset::kind_of(zset, version),
        ValueRef::Stream(_) => rdb::stream::kind_of(version),
        ValueRef::Unchecked(value) => value.kind(),
    }
}

/// Writes a value.
pub fn save(
    value: &ValueRef<'_>,
    key: KeyName<'_>,
    writer: &mut Writer<'_>,
) -> Result<(), Unsavable> {
    match value {
        ValueRef::Str(StrRef::Bytes(text)) => writer.string(text),
        ValueRef::Str(StrRef::Int(value)) => writer.int_string(*value),
        ValueRef::Hash(hash) => rdb::hash::save(hash, writer),
        ValueRef::Module(value) => {
            if !rdb::module::save(value, key, writer) {
                return Err(Unsavable(value.vtable().name().to_owned()));
            }
        }
        ValueRef::Set(set) => rdb::set::save(set, writer),
        ValueRef::List(list) => rdb::list::save(list, writer),
        ValueRef::Zset(zset) => rdb::zset::save(zset, writer),
        ValueRef::Stream(stream) => rdb::stream::save(stream, writer),
        ValueRef::Unchecked(value) => writer.raw(value.payload()),
    }
    Ok(())
}

/// Reads the value of a kind.
pub fn load(kind: u8, reader: &mut Reader<'_>, ctx: &LoadContext<'_>) -> Result<Value, RdbError> {
    Ok(match rdb::load(kind, reader, ctx)? {
        Loaded::Str(text) => Value::Str(StrValue::new(text)),
        Loaded::Hash(hash) => Value::Hash(hash),
        Loaded::List(list) => Value::List(list),
        Loaded::Set(set) => Value::Set(set),
        Loaded::Zset(zset) => Value::Zset(zset),
        Loaded::Stream(stream) => Value::Stream(stream),
        Loaded::Module(value) => Value::Module(value),
        Loaded::Unchecked(value) => Value::Unchecked(value),
    })
}

/// The version that has every kind of an unchecked value.
const UNCHECKED_VERSION_MIN: u32 = 11;

/// Bytes behind the value in a DUMP payload: version and checksum.
const FOOTER_LEN: usize = 10;

/// What DUMP answers.
pub fn dump(value: &ValueRef<'_>, key: KeyName<'_>, style: Style) -> Result<Vec<u8>, Unsavable> {
    let mut writer = Writer::new(style);
    let kind = kind_of(value, style.version);
    writer.byte(kind);
    save(value, key, &mut writer)?;
    // What only a later version can express says so.
    let version = match kind {
        kind::HASH_METADATA | kind::HASH_LISTPACK_EX => style.version.max(VERSION_MAX),
        // What is not understood is not written otherwise.
        _ if matches!(value, ValueRef::Unchecked(_)) => style.version.max(UNCHECKED_VERSION_MIN),
        _ => style.version,
    };
    Ok(with_footer(writer.into_bytes(), version))
}

/// Ends a payload: with the version that is needed to read it, and a checksum.
pub fn with_footer(mut bytes: Vec<u8>, version: u32) -> Vec<u8> {
    bytes.extend_from_slice(&(version as u16).to_le_bytes());
    let checksum = crc64(0, &bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// A payload without its footer; None if its version is too new, or its checksum not that of its bytes.
pub fn payload_body(payload: &[u8], skip_checksum: bool) -> Option<&[u8]> {
    check_footer(payload, skip_checksum).map(|(body, _)| body)
}

/// What is wrong with a DUMP payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// Its version is too new, or its checksum is not that of its bytes.
    Footer,
    /// Its value cannot be read.
    Value(RdbError),
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client sent it.
    Client,
    /// A file, or the command of a file or a primary.
    Trusted,
}

/// What the configuration wants to be checked (`sanitize-dump-payload`).
pub fn check(config: &Config, origin: Origin) -> Check {
    match (config.choice(Param::SanitizeDumpPayload), origin) {
        (choices::SANITIZE_YES, _) | (choices::SANITIZE_CLIENTS, Origin::Client) => Check::Whole,
        _ => Check::Frames,
    }
}

/// Reads a DUMP payload, and counts what it has checked.
pub fn restore(
    payload: &[u8],
    key: KeyName<'_>,
    origin: Origin,
    state: &mut State,
) -> Result<Value, PayloadError> {
    let (body, dialect) =
        check_footer(payload, state.persistence.skip_checksum).ok_or(PayloadError::Footer)?;
    let types = HookTypes(state.hooks.clone());
    let (limits, check) = (limits(&state.config), check(&state.config, origin));
    let ctx = LoadContext { limits, types: &types, key, dialect, check };
    let mut reader = Reader::new(body);
    let kind = reader.byte().map_err(PayloadError::Value)?;
    let loaded = load(kind, &mut reader, &ctx).map_err(PayloadError::Value);
    if check == Check::Whole {
        state.persistence.payloads_checked += reader.checked;
    }
    loaded
}

/// The payload without its footer, and who wrote it.
fn check_footer(payload: &[u8], skip_checksum: bool) -> Option<(&[u8], Dialect)> {
    let body = &payload[..payload.len().checked_sub(FOOTER_LEN)?];
    let [a, b, checksum @ ..] = &payload[body.len()..] else { return None };
    let version = u32::from(u16::from_le_bytes([*a, *b]));
    let dialect = dialect_of(version)?;
    let right = crc64(0, &payload[..body.len() + 2]).to_le_bytes();
    (skip_checksum || *checksum == right).then_some((body, dialect))
}

/// Who writes this version; None if nobody is known to.
pub fn dialect_of(version: u32) -> Option<Dialect> {
    match version {
        0..=VERSION_MAX => Some(Dialect::Redis),
        VALKEY_VERSION_MIN..=VALKEY_VERSION_MAX => Some(Dialect::Valkey),
        _ => None,
    }
}
