//! What must happen before an entry changes? The one place through which every write goes.
//!
//! A snapshot must see each entry as it was at its start ([`super::snapshot`]). While one walks the
//! table of a db, whoever writes to it tells the walk first. While none does, that is one branch.
//!
//! Invariant: [`super::db::Db`] tells of each write before any `&mut` to an entry exists, of each entry
//! before it leaves its table, and of each that enters one. The hook goes with its table, not with its db. It is not told of an
//! entry whose block moves, content, mark and all ([`super::db::moving`]).

use std::fmt;
use std::sync::Arc;

use super::entry::view::EntryRef;
use super::hash::{KeyHash, SeededHash};
use super::snapshot::TableWalk;
use super::table::Table;

/// What watches the writes to a table.
pub struct WriteHook<H: KeyHash = SeededHash> {
    walk: Option<Arc<TableWalk<H>>>,
}

impl<H: KeyHash> Default for WriteHook<H> {
    fn default() -> Self {
        Self { walk: None }
    }
}

impl<H: KeyHash> fmt::Debug for WriteHook<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHook").field("is_on", &self.is_on()).finish()
    }
}

impl<H: KeyHash> WriteHook<H> {
    /// Whether there is anybody to be told of writes.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.walk.is_some()
    }

    /// `entry`, whose key has the hash `hash`, is about to change.
    #[cold]
    pub fn before_write(&self, hash: u64, entry: EntryRef<'_>) {
        if let Some(walk) = &self.walk {
            walk.before_write(hash, entry);
        }
    }

    /// `entry`, whose key has the hash `hash`, is about to leave the table.
    #[cold]
    pub fn before_leaving(&self, hash: u64, entry: EntryRef<'_>) {
        if let Some(walk) = &self.walk {
            walk.before_leaving(hash, entry);
        }
    }

    /// `entry`, whose key has the hash `hash`, is about to enter the table.
    #[cold]
    pub fn created(&self, hash: u64, entry: EntryRef<'_>) {
        if let Some(walk) = &self.walk {
            walk.created(hash, entry);
        }
    }

    /// The table leaves its db, which gets another one that nobody walks. None if the walk keeps it.
    pub fn release(&mut self, table: Table<H>) -> Option<Table<H>> {
        match self.walk.take() {
            Some(walk) => walk.adopt(table),
            None => Some(table),
        }
    }

    /// From now on the walk is told.
    pub(super) fn begin(&mut self, walk: Arc<TableWalk<H>>) {
        assert!(self.walk.is_none(), "one snapshot at a time");
        self.walk = Some(walk);
    }

    /// From now on nobody is told.
    pub(super) fn end(&mut self) {
        self.walk = None;
    }

    /// Whether it is this walk that is told.
    pub(super) fn is_of(&self, walk: &Arc<TableWalk<H>>) -> bool {
        self.walk.as_ref().is_some_and(|own| Arc::ptr_eq(own, walk))
    }
}
