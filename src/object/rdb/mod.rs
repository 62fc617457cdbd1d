//! How is a value encoded in RDB files and DUMP payloads? The bytes between its kind and the next.
//!
//! docs/formats/rdb.md describes the format. `write.rs` and `read.rs` know lengths, strings and numbers; a file
//! per type knows its encodings, those that are written and all that Redis and Valkey ever wrote. Files,
//! checksums and keys are the business of `persist/rdb`.
//!
//! Invariants: reading foreign bytes never panics, never makes room for more than they can back (a compressed
//! byte backs some hundred), and checks every byte of what is taken over as it is: a listpack that got
//! into a value is good. [`RdbError::Truncated`] means that more bytes might help, all else is final.

use std::borrow::Cow;
use std::sync::Arc;

use crate::object::hash::HashLimits;
use crate::object::module::{KeyName, TypeVtable};
use crate::object::set::SetLimits;
use crate::object::{Hash, ModuleValue, Set};

pub mod kind;

pub mod read;

pub mod write;

pub mod ziplist;

pub mod zipmap;

pub mod hash;

pub mod set;

pub mod module;

#[cfg(test)]
mod tests;

/// Why bytes are no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RdbError {
    /// They end where more should be.
    #[error("Unexpected EOF reading RDB file")]
    Truncated,
    /// They are a collection without elements, which no key may hold.
    #[error("empty key")]
    Empty,
    /// They are something else. The text is Redis's.
    #[error("{0}")]
    Corrupt(Cow<'static, str>),
}

/// A corruption with a fixed text.
pub const fn corrupt(text: &'static str) -> RdbError {
    RdbError::Corrupt(Cow::Borrowed(text))
}

/// When collections leave their compact forms: they are loaded as if they had been made here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Hashes.
    pub hash: HashLimits,
    /// Sets.
    pub set: SetLimits,
}

/// The module types that are known.
pub trait ModuleTypes {
    /// The type whose values carry this id, its encoding version aside (the lowest ten bits).
    fn find(&self, id: u64) -> Option<Arc<dyn TypeVtable>>;
}

/// No module types at all.
#[derive(Clone, Copy, Debug)]
pub struct NoTypes;

impl ModuleTypes for NoTypes {
    fn find(&self, _: u64) -> Option<Arc<dyn TypeVtable>> {
        None
    }
}

/// Who wrote the bytes, where Redis and Valkey gave one number two meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Redis, and Valkey up to version 8.
    Redis,
    /// Valkey from version 9 on.
    Valkey,
}

/// What loading a value takes besides its bytes.
#[derive(Clone, Copy)]
pub struct LoadContext<'a> {
    /// When collections leave their compact forms.
    pub limits: Limits,
    /// The types of modules.
    pub types: &'a dyn ModuleTypes,
    /// The key.
    pub key: KeyName<'a>,
    /// Who wrote the bytes.
    pub dialect: Dialect,
}

/// A value that was loaded.
#[derive(Debug)]
pub enum Loaded {
    /// A string.
    Str(Vec<u8>),
    /// A hash.
    Hash(Hash),
    /// A set.
    Set(Set),
    /// A value of a module's type.
    Module(Box<ModuleValue>),
}

/// Reads the value of a kind.
pub fn load(
    kind: u8,
    reader: &mut read::Reader<'_>,
    ctx: &LoadContext<'_>,
) -> Result<Loaded, RdbError> {
    match (kind, ctx.dialect) {
        (kind::STRING, _) => Ok(Loaded::Str(reader.string()?.into_owned())),
        (kind::HASH, _) => hash::load_table(reader, ctx.limits.hash).map(Loaded::Hash),
        (kind::HASH_ZIPMAP, _) => hash::load_zipmap(reader, ctx.limits.hash).map(Loaded::Hash),
        (kind::HASH_ZIPLIST, _) => hash::load_ziplist(reader, ctx.limits.hash).map(Loaded::Hash),
        (kind::HASH_LISTPACK, _) => hash::load_listpack(reader, ctx.limits.hash).map(Loaded::Hash),
        (kind::HASH_TTL_VALKEY, Dialect::Valkey) => {
            hash::load_valkey(reader, ctx.limits.hash).map(Loaded::Hash)
        }
        (kind::HASH_METADATA | kind::HASH_METADATA_PRE_GA, Dialect::Redis) => {
            hash::load_metadata(reader, kind == kind::HASH_METADATA, ctx.limits.hash)
                .map(Loaded::Hash)
        }
        (kind::HASH_LISTPACK_EX | kind::HASH_LISTPACK_EX_PRE_GA, Dialect::Redis) => {
            let has_min = kind == kind::HASH_LISTPACK_EX;
            hash::load_listpack_ex(reader, has_min, ctx.limits.hash).map(Loaded::Hash)
        }
        (kind::SET, _) => set::load_table(reader, ctx.limits.set).map(Loaded::Set),
        (kind::SET_INTSET, _) => set::load_intset(reader, ctx.limits.set).map(Loaded::Set),
        (kind::SET_LISTPACK, _) => set::load_listpack(reader, ctx.limits.set).map(Loaded::Set),
        (kind::MODULE_PRE_GA, _) => Err(corrupt("Pre-release module format not supported")),
        (kind::MODULE_2, _) => {
            module::load(reader, ctx).map(|value| Loaded::Module(Box::new(value)))
        }
        (other, _) => Err(RdbError::Corrupt(format!("Unknown RDB encoding type {other}").into())),
    }
}
