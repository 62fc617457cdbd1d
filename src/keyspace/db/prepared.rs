//! How do many keys come in at once? Each is made ready by whoever read it, on any thread and without the lock: hash,
//! entry, value and all. What is left for the thread that holds the lock is to put a pointer into its place.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Db, Slot, next_field_end};
use crate::keyspace::entry::{Content, Entry};
use crate::keyspace::hash::{KeyHash, SeededHash};
use crate::keyspace::table::Table;
use crate::keyspace::value::{RAW_MAX_INLINE, Value, int_form};

/// A key that is ready to come into a db.
pub struct Prepared {
    hash: u64,
    entry: Entry,
    /// When the first field of a hash ends, in unix milliseconds.
    field_ends_at: Option<i64>,
}

impl Prepared {
    /// A string, which becomes an integer if it spells one. `clock` is its access clock.
    pub fn string(key: &[u8], text: Cow<'_, [u8]>, expire_at: Option<i64>, clock: u32) -> Self {
        let content = match int_form(&text) {
            Some(number) => Content::Int(number),
            None if text.len() <= RAW_MAX_INLINE => Content::Inline { bytes: &text, edited: false },
            None => Content::Shared(Arc::new(text.into_owned())),
        };
        Self::of(key, Entry::with(key, content, expire_at), None, clock)
    }

    /// Any value.
    pub fn value(key: &[u8], value: Value, expire_at: Option<i64>, clock: u32) -> Self {
        let field_ends_at = next_field_end(value.as_ref());
        Self::of(key, Entry::new(key, value, expire_at), field_ends_at, clock)
    }

    fn of(key: &[u8], entry: Entry, field_ends_at: Option<i64>, clock: u32) -> Self {
        entry.as_ref().set_clock(clock);
        Self { hash: SeededHash::hash(key), entry, field_ends_at }
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        self.entry.as_ref().key()
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// Room for many keys, which takes some time to make: megabytes of empty segments.
pub struct Room(Table);

impl Room {
    /// Room for so many keys.
    pub fn new(keys: usize) -> Self {
        Self(Table::with_room(keys))
    }
}

impl Db {
    /// Takes the room, if there are no keys yet: an insert then moves nothing. What is left is to be dropped where
    /// it holds up nobody.
    pub fn exchange_room(&mut self, room: &mut Room) {
        if self.is_empty() {
            std::mem::swap(&mut self.table, &mut room.0);
        }
    }

    /// Asks for the memory that [`Db::add`] will touch.
    #[inline]
    pub fn prefetch_add(&self, prepared: &Prepared) {
        self.table.prefetch_insert(prepared.hash, &prepared.entry);
    }

    /// Adds a key, unless it is there: then it is handed back.
    pub fn add(&mut self, prepared: Prepared) -> Result<Slot, Prepared> {
        let Prepared { hash, entry, field_ends_at } = prepared;
        if self.table.find(hash, entry.as_ref().key()).is_some() {
            return Err(Prepared { hash, entry, field_ends_at });
        }
        if let Some(at_ms) = field_ends_at {
            self.ending.note(entry.as_ref().key(), at_ms);
        }
        Ok(self.put(hash, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::value::{StrEncoding, StrRef, ValueRef};

    #[test]
    fn what_was_prepared_elsewhere_is_as_if_it_had_been_set() {
        let texts = [&b"12"[..], b"short", &[b'x'; 100], &[b'y'; 5000]];
        let all: Vec<Prepared> = std::thread::spawn(move || {
            let make = |(n, text): (usize, &&[u8])| {
                Prepared::string(&[n as u8], Cow::Borrowed(*text), Some(n as i64 + 1000), 7)
            };
            texts.iter().enumerate().map(make).collect()
        })
        .join()
        .expect("it does not panic");
        let mut db = Db::new();
        db.exchange_room(&mut Room::new(10_000));
        for prepared in all {
            db.prefetch_add(&prepared);
            assert!(db.add(prepared).is_ok());
        }
        let encodings = [StrEncoding::Int, StrEncoding::Embstr, StrEncoding::Raw, StrEncoding::Raw];
        for (n, (text, encoding)) in texts.iter().zip(encodings).enumerate() {
            let slot = db.find(&[n as u8]).expect("it was added");
            assert_eq!(db.str_encoding(slot), Some(encoding));
            assert_eq!((db.expire_at(slot), db.clock(slot)), (Some(n as i64 + 1000), 7));
            let ValueRef::Str(value) = db.value(slot) else { panic!("a string") };
            assert_eq!(&*value.to_cow(), *text);
        }
        // Too late, and so without effect.
        db.exchange_room(&mut Room::new(0));
        assert_eq!(db.len(), texts.len());
        let again = Prepared::string(&[0], Cow::Borrowed(b"other"), None, 0);
        let refused = db.add(again).expect_err("the key is there");
        assert_eq!(refused.key(), [0]);
        let slot = db.find(&[0]).expect("it was added");
        assert!(matches!(db.value(slot), ValueRef::Str(StrRef::Int(12))));
    }
}
