//! What must happen before an entry changes? The one place through which every write goes.
//!
//! A snapshot without fork must see each entry as it was at its start (docs/decisions). The walker
//! goes through the tables in hash order; a write ahead of it first hands the old value over and
//! marks the entry. Nothing is handed over yet: the calls stand where they will be needed, so that
//! no write can be added without one.
//!
//! Invariant: [`super::db::Db`] calls `before_write` before any `&mut` to an entry exists and
//! before an entry leaves its table, and `created` for each entry that enters one.

use super::entry::view::EntryRef;

/// What watches the writes of a db.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteHook;

impl WriteHook {
    /// `entry`, whose key has the hash `hash`, is about to change or to go.
    #[inline(always)]
    pub fn before_write(&mut self, _hash: u64, _entry: EntryRef<'_>) {}

    /// `entry`, whose key has the hash `hash`, is new in its table.
    #[inline(always)]
    pub fn created(&mut self, _hash: u64, _entry: EntryRef<'_>) {}
}
