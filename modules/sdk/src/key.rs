//! How does a module read and write keys?

use std::time::Duration;

use mortise_module_abi as abi;

use crate::context::Context;
use crate::error::Error;
use crate::native::Native;
use crate::raw::{Arg, Cursor, Key, OpenValue, OwnedString, Type};
use crate::string::Argument;

/// What kind of value a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyType {
    /// None: the key does not exist.
    Empty,
    /// A string.
    String,
    /// A list.
    List,
    /// A hash.
    Hash,
    /// A set.
    Set,
    /// A sorted set.
    Zset,
    /// A value of a module, this one or another.
    Module,
    /// A stream.
    Stream,
    /// A kind that this SDK does not know.
    Unknown,
}

impl KeyType {
    fn from_code(code: i32) -> KeyType {
        match code {
            abi::KEYTYPE_EMPTY => KeyType::Empty,
            abi::KEYTYPE_STRING => KeyType::String,
            abi::KEYTYPE_LIST => KeyType::List,
            abi::KEYTYPE_HASH => KeyType::Hash,
            abi::KEYTYPE_SET => KeyType::Set,
            abi::KEYTYPE_ZSET => KeyType::Zset,
            abi::KEYTYPE_MODULE => KeyType::Module,
            abi::KEYTYPE_STREAM => KeyType::Stream,
            _ => KeyType::Unknown,
        }
    }
}

/// A key open for reading.
pub struct ReadKey<'c> {
    handle: Handle<'c>,
}

enum Handle<'c> {
    /// The key does not exist, or was not to be opened.
    None,
    /// To be closed by us.
    Own(Key<'c>),
    /// Lent by the server during a scan.
    Lent(&'c Key<'c>),
}

impl<'c> ReadKey<'c> {
    pub(crate) fn new(key: Option<Key<'c>>) -> ReadKey<'c> {
        ReadKey { handle: key.map_or(Handle::None, Handle::Own) }
    }

    pub(crate) fn lent(key: Option<&'c Key<'c>>) -> ReadKey<'c> {
        ReadKey { handle: key.map_or(Handle::None, Handle::Lent) }
    }

    fn key(&self) -> Option<&Key<'c>> {
        match &self.handle {
            Handle::None => None,
            Handle::Own(key) => Some(key),
            Handle::Lent(key) => Some(key),
        }
    }

    /// The kind of its value.
    pub fn kind(&self) -> KeyType {
        self.key().map_or(KeyType::Empty, |key| KeyType::from_code(key.kind()))
    }

    /// Whether it exists.
    pub fn exists(&self) -> bool {
        self.kind() != KeyType::Empty
    }

    /// The key, if it holds a value of this kind; None if it does not exist.
    pub(crate) fn of_kind(&self, kind: KeyType) -> Result<Option<&Key<'c>>, Error> {
        match (self.key(), self.kind()) {
            (None, _) | (_, KeyType::Empty) => Ok(None),
            (Some(key), found) if found == kind => Ok(Some(key)),
            _ => Err(Error::WrongType),
        }
    }

    /// The length of its value: bytes of a string, elements of a collection; 0 for module values.
    pub fn value_length(&self) -> usize {
        self.key().map_or(0, Key::value_length)
    }

    /// The time it has left to live; None if it does not expire.
    pub fn ttl(&self) -> Option<Duration> {
        let ms = self.key().map_or(abi::NO_EXPIRE, Key::expire);
        u64::try_from(ms).ok().map(Duration::from_millis)
    }

    /// When it expires, in milliseconds of unix time; None if it does not.
    pub fn expires_at_ms(&self) -> Result<Option<u64>, Error> {
        match self.key() {
            None => Ok(None),
            Some(key) => Ok(u64::try_from(key.abs_expire()?).ok()),
        }
    }

    /// The native value; None if the key does not exist.
    pub fn value<T: Native>(&self, ty: &Type<T>) -> Result<Option<&T>, Error> {
        match self.key().map(|key| key.native(ty)) {
            Some(Some(value)) => Ok(Some(value)),
            _ if self.exists() => Err(Error::WrongType),
            _ => Ok(None),
        }
    }

    /// The bytes of a string; None if the key does not exist. It must be the only key open, because
    /// the server may change the value's encoding for it.
    pub fn string(&self) -> Result<Option<&[u8]>, Error> {
        self.of_kind(KeyType::String)?.map(Key::string).transpose()
    }

    /// A field of a hash; None if field or key do not exist.
    pub fn hash_get(&self, field: &(impl Argument + ?Sized)) -> Result<Option<OwnedString>, Error> {
        match self.of_kind(KeyType::Hash)? {
            None => Ok(None),
            Some(key) => key.hash_get(&field.text()),
        }
    }

    /// Whether fields of a hash are about to expire; never where the server has no such fields. Redis 8.0.
    pub fn hash_has_expiring(&self) -> bool {
        let key = self.of_kind(KeyType::Hash).ok().flatten();
        key.is_some_and(|key| key.hash_min_expire().is_ok_and(|at_ms| at_ms >= 0))
    }

    /// When a field of a hash expires, in milliseconds of unix time; None if it does not. Redis 8.0.
    pub fn hash_expires_at_ms(
        &self,
        field: &(impl Argument + ?Sized),
    ) -> Result<Option<u64>, Error> {
        match self.of_kind(KeyType::Hash)? {
            None => Ok(None),
            Some(key) => Ok(u64::try_from(key.hash_expire(&field.text())?).ok()),
        }
    }

    /// Calls `each` with every field and value of a hash. In rare cases (the hash is converted
    /// meanwhile) a field may come twice.
    pub fn hash_each(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        let Some(key) = self.of_kind(KeyType::Hash)? else { return Ok(()) };
        scan_all(key, &mut |field, value| {
            each(field.as_bytes(), value.map_or(&[][..], |value| value.as_bytes()));
        })
    }

    /// Calls `each` with every member of a set.
    pub fn set_each(&self, mut each: impl FnMut(&[u8])) -> Result<(), Error> {
        let Some(key) = self.of_kind(KeyType::Set)? else { return Ok(()) };
        scan_all(key, &mut |member, _| each(member.as_bytes()))
    }

    /// The score of a member of a sorted set.
    pub fn zset_score(&self, member: &(impl Argument + ?Sized)) -> Result<Option<f64>, Error> {
        match self.of_kind(KeyType::Zset)? {
            None => Ok(None),
            Some(key) => key.zset_score(&member.text()),
        }
    }
}

/// A native value to look at, in a key that is open as long as this is there. Made by [`Context::read_value`].
pub struct ReadValue<'c, T> {
    open: OpenValue<'c, T>,
}

impl<'c, T> ReadValue<'c, T> {
    pub(crate) fn new(value: OpenValue<'c, T>) -> ReadValue<'c, T> {
        ReadValue { open: value }
    }
}

impl<T> std::ops::Deref for ReadValue<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.open.get()
    }
}

/// A native value to change in place, in a key that is open as long as this is there. Made by [`Context::write_value`].
pub struct WriteValue<'c, T> {
    open: OpenValue<'c, T>,
}

impl<'c, T> WriteValue<'c, T> {
    pub(crate) fn new(value: OpenValue<'c, T>) -> WriteValue<'c, T> {
        WriteValue { open: value }
    }
}

impl<T> std::ops::Deref for WriteValue<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.open.get()
    }
}

impl<T> std::ops::DerefMut for WriteValue<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.open.get_mut()
    }
}

/// A position in a scan of the keyspace; see [`Context::scan_step`].
pub struct ScanCursor(Cursor);

impl ScanCursor {
    /// The beginning.
    pub fn new() -> Result<ScanCursor, Error> {
        Cursor::new().map(ScanCursor)
    }

    pub(crate) fn raw(&self) -> &Cursor {
        &self.0
    }
}

fn scan_all(key: &Key<'_>, each: &mut dyn FnMut(&Arg<'_>, Option<&Arg<'_>>)) -> Result<(), Error> {
    let cursor = Cursor::new()?;
    while key.scan(&cursor, each)? {}
    Ok(())
}

/// A key open for writing. It can do what a [`ReadKey`] can, and more.
pub struct WriteKey<'c> {
    key: ReadKey<'c>,
    context: &'c Context<'c>,
}

impl<'c> std::ops::Deref for WriteKey<'c> {
    type Target = ReadKey<'c>;

    fn deref(&self) -> &ReadKey<'c> {
        &self.key
    }
}

impl<'c> WriteKey<'c> {
    pub(crate) fn new(key: ReadKey<'c>, context: &'c Context<'_>) -> WriteKey<'c> {
        WriteKey { key, context }
    }

    /// The context, for replies and what else only looks while the key is open.
    pub fn context(&self) -> &Context<'_> {
        self.context
    }

    pub(crate) fn key_mut(&mut self) -> &mut Key<'c> {
        match &mut self.key.handle {
            Handle::Own(key) => key,
            _ => unreachable!("a key opened for writing has a handle of its own"),
        }
    }

    /// Refuses to touch a value of another kind.
    pub(crate) fn expect_kind(&self, kind: KeyType) -> Result<(), Error> {
        self.key.of_kind(kind).map(|_| ())
    }

    /// The native value, to be changed in place; None if the key does not exist.
    pub fn value_mut<T: Native>(&mut self, ty: &Type<T>) -> Result<Option<&mut T>, Error> {
        // Most keys hold what is expected, so their kind is asked for last.
        if !self.key_mut().is_native(ty) {
            return if self.exists() { Err(Error::WrongType) } else { Ok(None) };
        }
        self.key_mut().native_mut(ty).map(Some).ok_or(Error::WrongType)
    }

    /// The native value, to be changed in place; made by `make` if the key does not exist.
    pub fn value_or_insert_with<T: Native>(
        &mut self,
        ty: &Type<T>,
        make: impl FnOnce() -> T,
    ) -> Result<&mut T, Error> {
        if !self.exists() {
            self.key_mut().set_native(ty, make())?;
        }
        self.key_mut().native_mut(ty).ok_or(Error::WrongType)
    }

    /// Puts a native value in place of whatever the key holds. Its time to live is kept.
    pub fn set_value<T: Native>(&mut self, ty: &Type<T>, value: T) -> Result<(), Error> {
        self.key_mut().set_native(ty, value)
    }

    /// Puts a string in place of whatever the key holds.
    pub fn set_string(&mut self, value: &(impl Argument + ?Sized)) -> Result<(), Error> {
        self.key_mut().set_string(&value.text())
    }

    /// The bytes of a string, to be changed in place at the same length.
    pub fn string_mut(&mut self) -> Result<Option<&mut [u8]>, Error> {
        self.expect_kind(KeyType::String)?;
        if self.exists() { Ok(self.key_mut().string_mut()) } else { Ok(None) }
    }

    /// Sets a field of a hash, which is created if the key does not exist.
    pub fn hash_set(
        &mut self,
        field: &(impl Argument + ?Sized),
        value: &(impl Argument + ?Sized),
    ) -> Result<(), Error> {
        self.expect_kind(KeyType::Hash)?;
        self.key_mut().hash_set(&field.text(), Some(&value.text())).map(|_| ())
    }

    /// Deletes a field of a hash. True if it was there. A hash without fields is deleted.
    pub fn hash_delete(&mut self, field: &(impl Argument + ?Sized)) -> Result<bool, Error> {
        self.expect_kind(KeyType::Hash)?;
        if !self.exists() {
            return Ok(false);
        }
        self.key_mut().hash_set(&field.text(), None)
    }

    /// Deletes the key. True if it existed.
    pub fn delete(&mut self) -> Result<bool, Error> {
        let existed = self.exists();
        if existed {
            self.key_mut().delete()?;
        }
        Ok(existed)
    }

    /// As [`WriteKey::delete`], but a large value is freed in the background.
    pub fn unlink(&mut self) -> Result<bool, Error> {
        let existed = self.exists();
        if existed {
            self.key_mut().unlink()?;
        }
        Ok(existed)
    }

    /// Sets the time to live, or removes it.
    pub fn set_ttl(&mut self, ttl: Option<Duration>) -> Result<(), Error> {
        let ms =
            ttl.map_or(abi::NO_EXPIRE, |ttl| i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        self.key_mut().set_expire(ms)
    }

    /// Sets when the key expires, in milliseconds of unix time, or that it does not. Redis 6.2.2.
    pub fn set_expires_at_ms(&mut self, at_ms: Option<u64>) -> Result<(), Error> {
        let at_ms = at_ms.map_or(abi::NO_EXPIRE, |at| i64::try_from(at).unwrap_or(i64::MAX));
        self.key_mut().set_abs_expire(at_ms)
    }
}
