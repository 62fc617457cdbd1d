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
use crate::object::list::ListLimits;
use crate::object::module::{KeyName, TypeVtable};
use crate::object::set::SetLimits;
use crate::object::zset::ZsetLimits;
use crate::object::{Hash, List, ModuleValue, Set, Stream, Unchecked, Zset};

pub mod kind;

pub mod read;

pub mod write;

pub mod ziplist;

pub mod zipmap;

pub mod hash;

pub mod list;

pub mod set;

pub mod zset;

pub mod stream;

pub mod module;

pub mod skip;

pub mod unchecked;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod unchecked_tests;

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
    /// They are something else, which nobody would have minded if it had not to be read just now.
    #[error("=== ASSERTION FAILED === the value had to be looked into: {0}")]
    Unreadable(Box<str>),
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
    /// Lists.
    pub list: ListLimits,
    /// Sets.
    pub set: SetLimits,
    /// Sorted sets.
    pub zset: ZsetLimits,
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
    /// What is checked.
    pub check: Check,
}

/// What is checked of compact forms, which may be taken over as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Every byte.
    Whole,
    /// Every byte, too; but what is wrong inside right frames becomes an [`Unchecked`] value.
    Frames,
}

/// A value that was loaded.
#[derive(Debug)]
pub enum Loaded {
    /// A string.
    Str(Vec<u8>),
    /// A hash.
    Hash(Hash),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A sorted set.
    Zset(Zset),
    /// A stream.
    Stream(Box<Stream>),
    /// A value of a module's type.
    Module(Box<ModuleValue>),
    /// A payload that is none of these.
    Unchecked(Box<Unchecked>),
}

/// Reads the value of a kind.
pub fn load(
    kind: u8,
    reader: &mut read::Reader<'_>,
    ctx: &LoadContext<'_>,
) -> Result<Loaded, RdbError> {
    let start = *reader;
    match load_checked(kind, reader, ctx) {
        Err(error @ RdbError::Corrupt(_))
            if ctx.check == Check::Frames && unchecked::is_candidate(kind) =>
        {
            *reader = start;
            unchecked::load(kind, reader, ctx, error)
                .map(|value| Loaded::Unchecked(Box::new(value)))
        }
        loaded => loaded,
    }
}

fn load_checked(
    kind: u8,
    reader: &mut read::Reader<'_>,
    ctx: &LoadContext<'_>,
) -> Result<Loaded, RdbError> {
    match kind {
        kind::STRING => Ok(Loaded::Str(reader.string()?.into_owned())),
        kind::MODULE_PRE_GA => Err(corrupt("Pre-release module format not supported")),
        kind::MODULE_2 => module::load(reader, ctx).map(|value| Loaded::Module(Box::new(value))),
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => {
            load_list(kind, reader, ctx.limits.list).map(Loaded::List)
        }
        kind::SET => set::load_table(reader, ctx.limits.set).map(Loaded::Set),
        kind::SET_INTSET => set::load_intset(reader, ctx.limits.set).map(Loaded::Set),
        kind::SET_LISTPACK => set::load_listpack(reader, ctx).map(Loaded::Set),
        kind::ZSET | kind::ZSET_2 | kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => {
            load_zset(kind, reader, ctx.limits.zset).map(Loaded::Zset)
        }
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
            let layout = match kind {
                kind::STREAM_LISTPACKS => stream::Layout::First,
                kind::STREAM_LISTPACKS_2 => stream::Layout::Second,
                _ => stream::Layout::Third,
            };
            stream::load(reader, layout).map(|stream| Loaded::Stream(Box::new(stream)))
        }
        kind => load_hash(kind, reader, ctx).map(Loaded::Hash),
    }
}

fn load_list(
    kind: u8,
    reader: &mut read::Reader<'_>,
    limits: ListLimits,
) -> Result<List, RdbError> {
    match kind {
        kind::LIST => list::load_elements(reader, limits),
        kind::LIST_ZIPLIST => list::load_ziplist(reader, limits),
        kind::LIST_QUICKLIST => list::load_ziplists(reader, limits),
        _ => list::load_nodes(reader, limits),
    }
}

fn load_zset(
    kind: u8,
    reader: &mut read::Reader<'_>,
    limits: ZsetLimits,
) -> Result<Zset, RdbError> {
    match kind {
        kind::ZSET => zset::load_table(reader, zset::Scores::Text, limits),
        kind::ZSET_2 => zset::load_table(reader, zset::Scores::Binary, limits),
        kind::ZSET_ZIPLIST => zset::load_ziplist(reader, limits),
        _ => zset::load_listpack(reader, limits),
    }
}

fn load_hash(
    kind: u8,
    reader: &mut read::Reader<'_>,
    ctx: &LoadContext<'_>,
) -> Result<Hash, RdbError> {
    let limits = ctx.limits.hash;
    match (kind, ctx.dialect) {
        (kind::HASH, _) => hash::load_table(reader, limits),
        (kind::HASH_ZIPMAP, _) => hash::load_zipmap(reader, limits),
        (kind::HASH_ZIPLIST, _) => hash::load_ziplist(reader, limits),
        (kind::HASH_LISTPACK, _) => hash::load_listpack(reader, limits),
        (kind::HASH_TTL_VALKEY, Dialect::Valkey) => hash::load_valkey(reader, limits),
        (kind::HASH_METADATA | kind::HASH_METADATA_PRE_GA, Dialect::Redis) => {
            hash::load_metadata(reader, kind == kind::HASH_METADATA, limits)
        }
        (kind::HASH_LISTPACK_EX | kind::HASH_LISTPACK_EX_PRE_GA, Dialect::Redis) => {
            hash::load_listpack_ex(reader, kind == kind::HASH_LISTPACK_EX, limits)
        }
        (other, _) => Err(RdbError::Corrupt(format!("Unknown RDB encoding type {other}").into())),
    }
}
