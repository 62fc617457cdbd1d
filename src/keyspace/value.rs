//! What does a key hold, as the callers of the keyspace see it? Borrowed, borrowed for change, or
//! owned.
//!
//! Invariants: an integer is never stored as text that reads back as that integer, unless an edit
//! made it raw or it is the sum of floats (as in Redis, where APPEND leaves a raw string whatever it
//! spells, and INCRBYFLOAT a short one); a [`StrValue`]
//! longer than [`RAW_MAX_INLINE`] is always the shared form, so the entry can take it over without
//! copying.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::moving::{Cursor, Mover};
use crate::base::number::{IntBuf, append_i64, parse_i64};
use crate::object::{Hash, List, ModuleValue, Set, Stream, Unchecked, Zset};

use super::entry::view::StrMut;

/// Longest string that Redis would store as embstr; what OBJECT ENCODING reports depends on it.
pub const EMBSTR_LEN_MAX: usize = 44;

/// Longest string kept inside the entry's own block. Beyond it the copy that a SET of another
/// length costs (key and value move to a block of another size) outweighs the pointer chase and the
/// second block.
pub const RAW_MAX_INLINE: usize = 512;

/// Steps of [`ValueRef::touch`].
pub const TOUCH_STEPS: usize = 3;

/// Longest text that may be an integer: the sign and 19 digits.
const INT_TEXT_MAX: usize = 20;

/// The type of a value, numbered as Redis numbers its object types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ValueKind {
    /// A string or an integer.
    String = 0,
    /// A list.
    List = 1,
    /// A set.
    Set = 2,
    /// A sorted set.
    Zset = 3,
    /// A hash.
    Hash = 4,
    /// A value of a module's type.
    Module = 5,
    /// A stream.
    Stream = 6,
    /// None of these: a payload that was taken over unchecked.
    Unchecked = 7,
}

/// How a string is stored, in the words of OBJECT ENCODING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrEncoding {
    /// A 64-bit integer.
    Int,
    /// At most [`EMBSTR_LEN_MAX`] bytes, never edited.
    Embstr,
    /// Longer, or edited in place.
    Raw,
}

/// A string, to be read.
#[derive(Clone, Copy, Debug)]
pub enum StrRef<'a> {
    /// The bytes themselves.
    Bytes(&'a [u8]),
    /// The integer whose decimal form is the string.
    Int(i64),
}

impl<'a> StrRef<'a> {
    /// Length of the string in bytes; that of the decimal form for an integer.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            StrRef::Bytes(bytes) => bytes.len(),
            StrRef::Int(value) => IntBuf::new().i64(value).len(),
        }
    }

    /// Whether the string has no bytes.
    #[inline]
    pub fn is_empty(self) -> bool {
        matches!(self, StrRef::Bytes([]))
    }

    /// Appends the bytes to `out`.
    #[inline]
    pub fn write_to(self, out: &mut Vec<u8>) {
        match self {
            StrRef::Bytes(bytes) => out.extend_from_slice(bytes),
            StrRef::Int(value) => append_i64(out, value),
        }
    }

    /// The bytes, written out only if they are not stored as such.
    #[inline]
    pub fn to_cow(self) -> Cow<'a, [u8]> {
        match self {
            StrRef::Bytes(bytes) => Cow::Borrowed(bytes),
            StrRef::Int(value) => Cow::Owned(IntBuf::new().i64(value).to_vec()),
        }
    }

    /// The integer that the string spells in its canonical form, if it does.
    #[inline]
    pub fn as_i64(self) -> Option<i64> {
        match self {
            StrRef::Bytes(bytes) => parse_i64(bytes),
            StrRef::Int(value) => Some(value),
        }
    }
}

/// A value, to be read.
#[derive(Clone, Copy)]
pub enum ValueRef<'a> {
    /// A string.
    Str(StrRef<'a>),
    /// A hash.
    Hash(&'a Hash),
    /// A list.
    List(&'a List),
    /// A set.
    Set(&'a Set),
    /// A sorted set.
    Zset(&'a Zset),
    /// A stream.
    Stream(&'a Stream),
    /// A value of a module's type.
    Module(&'a ModuleValue),
    /// A payload that was taken over unchecked.
    Unchecked(&'a Unchecked),
}

impl ValueRef<'_> {
    /// Number of elements of a collection; 1 for what is none.
    pub fn elements(&self) -> usize {
        match self {
            ValueRef::Str(_) | ValueRef::Module(_) | ValueRef::Unchecked(_) => 1,
            ValueRef::Hash(value) => value.len(),
            ValueRef::List(value) => value.len(),
            ValueRef::Set(value) => value.len(),
            ValueRef::Zset(value) => value.len(),
            ValueRef::Stream(value) => value.len(),
        }
    }

    /// How much work it is to free the value, in about the allocations that come back, as Redis counts them
    /// for UNLINK: a compact form is one.
    pub fn effort_to_free(&self) -> usize {
        let is_large = |encoding: &str| matches!(encoding, "hashtable" | "skiplist");
        match self {
            ValueRef::Str(_) | ValueRef::Module(_) | ValueRef::Unchecked(_) => 1,
            ValueRef::Hash(value) if is_large(value.encoding()) => value.len(),
            ValueRef::Set(value) if is_large(value.encoding()) => value.len(),
            ValueRef::Zset(value) if is_large(value.encoding()) => value.len(),
            ValueRef::Hash(_) | ValueRef::Set(_) | ValueRef::Zset(_) => 1,
            ValueRef::List(value) => value.nodes(),
            ValueRef::Stream(value) => {
                let pending = value.groups.iter().map(|(_, group)| 1 + group.pending_len());
                value.log.node_count() + pending.sum::<usize>()
            }
        }
    }

    /// Bytes behind the entry of a collection, which holds those of one word itself; 0 for what is none.
    pub fn collection_bytes(&self) -> usize {
        match self {
            ValueRef::Str(_) | ValueRef::Module(_) => 0,
            ValueRef::Hash(value) => value.memory_bytes(),
            ValueRef::List(value) => value.memory_bytes(),
            ValueRef::Set(value) => value.memory_bytes(),
            ValueRef::Zset(value) => value.memory_bytes(),
            ValueRef::Stream(value) => size_of::<Stream>() + value.memory_bytes(),
            ValueRef::Unchecked(value) => value.memory_bytes(),
        }
    }

    /// A copy of a collection, which shares the nodes of a large one; none for what is none.
    pub fn copy_collection(&self) -> Option<Value> {
        Some(match self {
            ValueRef::Str(_) | ValueRef::Module(_) => return None,
            ValueRef::Hash(value) => Value::Hash((*value).clone()),
            ValueRef::List(value) => Value::List((*value).clone()),
            ValueRef::Set(value) => Value::Set((*value).clone()),
            ValueRef::Zset(value) => Value::Zset((*value).clone()),
            ValueRef::Stream(value) => Value::Stream(Box::new((*value).clone())),
            ValueRef::Unchecked(value) => Value::Unchecked(Box::new((*value).clone())),
        })
    }

    /// Whether it is a module's.
    pub fn is_module(&self) -> bool {
        matches!(self, ValueRef::Module(_))
    }

    /// Whether it is a collection in which a look-up leads through nodes: what [`ValueRef::touch`] is for.
    #[inline]
    pub fn is_large(&self) -> bool {
        match self {
            ValueRef::Hash(value) => value.is_large(),
            ValueRef::Set(value) => value.is_large(),
            ValueRef::Zset(value) => value.is_large(),
            _ => false,
        }
    }

    /// Reads what a look-up of the member at this position of a large collection reads, as far as the
    /// steps before lead; there are [`TOUCH_STEPS`]. The result means nothing; who wants the memory read must
    /// make sure that it is used.
    #[inline]
    pub fn touch(&self, position: u32, step: usize) -> u32 {
        match self {
            ValueRef::Hash(value) => value.touch(position, step),
            ValueRef::Set(value) => value.touch(position, step),
            ValueRef::Zset(value) => value.touch(position, step),
            _ => 0,
        }
    }

    /// The type.
    #[inline]
    pub fn kind(&self) -> ValueKind {
        match self {
            ValueRef::Str(_) => ValueKind::String,
            ValueRef::Hash(_) => ValueKind::Hash,
            ValueRef::List(_) => ValueKind::List,
            ValueRef::Set(_) => ValueKind::Set,
            ValueRef::Zset(_) => ValueKind::Zset,
            ValueRef::Stream(_) => ValueKind::Stream,
            ValueRef::Module(_) => ValueKind::Module,
            ValueRef::Unchecked(_) => ValueKind::Unchecked,
        }
    }
}

/// A value, to be changed.
pub enum ValueMut<'a> {
    /// A string.
    Str(StrMut<'a>),
    /// A hash.
    Hash(&'a mut Hash),
    /// A list.
    List(&'a mut List),
    /// A set.
    Set(&'a mut Set),
    /// A sorted set.
    Zset(&'a mut Zset),
    /// A stream.
    Stream(&'a mut Stream),
    /// A value of a module's type.
    Module(&'a mut ModuleValue),
    /// A payload that was taken over unchecked: nobody may change it.
    Unchecked,
}

impl ValueMut<'_> {
    /// Moves the blocks of a collection from `from` on, until time is up; where to go on, if there is more. Other values have
    /// none that this could move.
    pub fn move_blocks(&mut self, from: Cursor, mover: &mut Mover<'_>) -> Option<Cursor> {
        match self {
            ValueMut::Hash(value) => value.move_blocks(from, mover),
            ValueMut::List(value) => value.move_blocks(from, mover),
            ValueMut::Set(value) => value.move_blocks(from, mover),
            ValueMut::Zset(value) => value.move_blocks(from, mover),
            ValueMut::Stream(value) => value.move_blocks(from, mover),
            ValueMut::Str(_) | ValueMut::Module(_) | ValueMut::Unchecked => None,
        }
    }

    /// The type, as `TYPE` reports it.
    #[inline]
    pub fn kind(&self) -> ValueKind {
        match self {
            ValueMut::Str(_) => ValueKind::String,
            ValueMut::Hash(_) => ValueKind::Hash,
            ValueMut::List(_) => ValueKind::List,
            ValueMut::Set(_) => ValueKind::Set,
            ValueMut::Zset(_) => ValueKind::Zset,
            ValueMut::Stream(_) => ValueKind::Stream,
            ValueMut::Module(_) => ValueKind::Module,
            ValueMut::Unchecked => ValueKind::Unchecked,
        }
    }
}

/// A string outside of any table: what RENAME, COPY, GETDEL and loading carry.
#[derive(Clone, Debug)]
pub struct StrValue(pub(super) StrForm);

/// The forms of an owned string.
#[derive(Clone, Debug)]
pub(super) enum StrForm {
    Int(i64),
    /// At most [`RAW_MAX_INLINE`] bytes; `edited` makes a short one raw.
    Short {
        bytes: Box<[u8]>,
        edited: bool,
    },
    Shared(Arc<Vec<u8>>),
}

impl StrValue {
    /// Stores `bytes` as SET would: as an integer if they spell one, else as they are.
    pub fn new(bytes: Vec<u8>) -> Self {
        match int_form(&bytes) {
            Some(value) => Self::int(value),
            None => Self::of_bytes(bytes, false),
        }
    }

    /// Stores an integer.
    pub fn int(value: i64) -> Self {
        Self(StrForm::Int(value))
    }

    /// Stores `bytes` as an edit leaves them: raw, whatever they spell.
    pub fn raw(bytes: Vec<u8>) -> Self {
        Self::of_bytes(bytes, true)
    }

    /// Stores a large string that others may hold too; short ones are copied.
    pub fn shared(bytes: Arc<Vec<u8>>) -> Self {
        if bytes.len() > RAW_MAX_INLINE {
            Self(StrForm::Shared(bytes))
        } else {
            Self::new(Arc::unwrap_or_clone(bytes))
        }
    }

    fn of_bytes(bytes: Vec<u8>, edited: bool) -> Self {
        if bytes.len() > RAW_MAX_INLINE {
            Self(StrForm::Shared(Arc::new(bytes)))
        } else {
            Self(StrForm::Short { bytes: bytes.into_boxed_slice(), edited })
        }
    }

    /// The string, to be read.
    pub fn as_ref(&self) -> StrRef<'_> {
        match &self.0 {
            StrForm::Int(value) => StrRef::Int(*value),
            StrForm::Short { bytes, .. } => StrRef::Bytes(bytes),
            StrForm::Shared(bytes) => StrRef::Bytes(bytes),
        }
    }

    /// What OBJECT ENCODING would say.
    pub fn encoding(&self) -> StrEncoding {
        match &self.0 {
            StrForm::Int(_) => StrEncoding::Int,
            StrForm::Short { bytes, edited } => short_encoding(bytes.len(), *edited),
            StrForm::Shared(_) => StrEncoding::Raw,
        }
    }
}

/// The integer as which Redis would store `bytes`.
#[inline]
pub(super) fn int_form(bytes: &[u8]) -> Option<i64> {
    if bytes.len() > INT_TEXT_MAX { None } else { parse_i64(bytes) }
}

/// The encoding of a string that is neither an integer nor shared.
#[inline]
pub(super) fn short_encoding(len: usize, edited: bool) -> StrEncoding {
    if edited || len > EMBSTR_LEN_MAX { StrEncoding::Raw } else { StrEncoding::Embstr }
}

/// A value outside of any table: what an insert takes and a removal gives back.
pub enum Value {
    /// A string.
    Str(StrValue),
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
    /// A payload that was taken over unchecked.
    Unchecked(Box<Unchecked>),
}

impl Value {
    /// The value, to be read.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Str(value) => ValueRef::Str(value.as_ref()),
            Value::Hash(value) => ValueRef::Hash(value),
            Value::List(value) => ValueRef::List(value),
            Value::Set(value) => ValueRef::Set(value),
            Value::Zset(value) => ValueRef::Zset(value),
            Value::Stream(value) => ValueRef::Stream(value),
            Value::Module(value) => ValueRef::Module(value),
            Value::Unchecked(value) => ValueRef::Unchecked(value),
        }
    }

    /// The type, as `TYPE` reports it.
    pub fn kind(&self) -> ValueKind {
        self.as_ref().kind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_integers_are_stored_as_such() {
        for text in ["0", "-1", "9223372036854775807", "-9223372036854775808"] {
            let value = StrValue::new(text.into());
            assert_eq!(value.encoding(), StrEncoding::Int, "{text}");
            assert_eq!(&*value.as_ref().to_cow(), text.as_bytes());
            assert_eq!(value.as_ref().len(), text.len());
        }
        for text in ["", "-", "-0", "+1", "01", " 1", "1 ", "9223372036854775808", "1e3"] {
            assert_eq!(StrValue::new(text.into()).encoding(), StrEncoding::Embstr, "{text:?}");
        }
    }

    #[test]
    fn encoding_follows_length_and_edits() {
        assert_eq!(StrValue::new(vec![b'x'; EMBSTR_LEN_MAX]).encoding(), StrEncoding::Embstr);
        assert_eq!(StrValue::new(vec![b'x'; EMBSTR_LEN_MAX + 1]).encoding(), StrEncoding::Raw);
        assert_eq!(StrValue::new(vec![b'x'; RAW_MAX_INLINE + 1]).encoding(), StrEncoding::Raw);
        assert_eq!(StrValue::raw(b"12".to_vec()).encoding(), StrEncoding::Raw);
        assert_eq!(StrValue::raw(b"12".to_vec()).as_ref().as_i64(), Some(12));
        assert_eq!(StrValue::shared(Arc::new(b"12".to_vec())).encoding(), StrEncoding::Int);
    }
}
