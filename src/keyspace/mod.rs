//! Where is my key, and does it still exist? The numbered dbs.
//!
//! Invariants: nothing here reads a clock or does I/O; time and randomness are arguments. All
//! changes to entries go through [`db::Db`], which tells the [`hook::WriteHook`] before they
//! happen.

pub mod db;
pub mod entry;
pub mod fields;
pub mod hash;
pub mod hook;
pub mod scan;
pub mod snapshot;
pub mod table;
pub mod value;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod snapshot_tests;

use std::mem;
use std::sync::Arc;

use db::{Db, Detached};
use hash::{KeyHash, SeededHash};
use snapshot::{TableWalk, Walk};
use table::Table;

use crate::object::rdb::write::Style;

/// Dbs of a server whose configuration says nothing else.
pub const DBS_DEFAULT: usize = 16;

/// The dbs of a server.
pub struct Keyspace<H: KeyHash = SeededHash> {
    dbs: Vec<Db<H>>,
}

impl Default for Keyspace {
    fn default() -> Self {
        Self::new(DBS_DEFAULT)
    }
}

impl Keyspace {
    /// `count` empty dbs, at least one.
    pub fn new(count: usize) -> Self {
        Self::with_hasher(count)
    }
}

impl<H: KeyHash> Keyspace<H> {
    /// `count` empty dbs with a hash function of their own, for tests.
    pub fn with_hasher(count: usize) -> Self {
        Self { dbs: (0..count.max(1)).map(|_| Db::with_hasher()).collect() }
    }

    /// Number of dbs.
    pub fn db_count(&self) -> usize {
        self.dbs.len()
    }

    /// The db of a number that was checked when it was selected.
    ///
    /// Panics if there is no such db.
    #[inline]
    pub fn db(&self, index: usize) -> &Db<H> {
        &self.dbs[index]
    }

    /// The same, to be changed.
    #[inline]
    pub fn db_mut(&mut self, index: usize) -> &mut Db<H> {
        &mut self.dbs[index]
    }

    /// Two different dbs at once, for MOVE and COPY; none if they are the same or do not exist.
    pub fn two_dbs_mut(&mut self, first: usize, second: usize) -> Option<(&mut Db<H>, &mut Db<H>)> {
        let [first, second] = self.dbs.get_disjoint_mut([first, second]).ok()?;
        Some((first, second))
    }

    /// All dbs with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Db<H>)> {
        self.dbs.iter().enumerate()
    }

    /// Exchanges the contents of two dbs, which must exist.
    pub fn swap(&mut self, first: usize, second: usize) {
        self.dbs.swap(first, second);
    }

    /// Empties a db, which must exist. What it held is handed out, to be dropped where it holds up
    /// nobody.
    pub fn flush(&mut self, index: usize) -> Detached<H> {
        self.dbs[index].clear()
    }

    /// Empties all dbs.
    pub fn flush_all(&mut self) -> Vec<Detached<H>> {
        self.dbs.iter_mut().filter(|db| !db.is_empty()).map(Db::clear).collect()
    }

    /// Keys in all dbs.
    pub fn len(&self) -> usize {
        self.dbs.iter().map(Db::len).sum()
    }

    /// Whether no db has a key.
    pub fn is_empty(&self) -> bool {
        self.dbs.iter().all(Db::is_empty)
    }

    /// Exchanges the contents of all dbs with those of another keyspace: loading builds aside. No
    /// snapshot is being taken.
    pub fn exchange(&mut self, other: &mut Self) {
        assert!(!self.dbs.iter().any(Db::is_walked), "a walk would lose its tables");
        mem::swap(&mut self.dbs, &mut other.dbs);
    }

    /// The same for a moment, after which they are exchanged back before anybody else has the keyspace: a walk does not
    /// notice.
    pub fn lend(&mut self, other: &mut Self) {
        mem::swap(&mut self.dbs, &mut other.dbs);
    }

    /// Takes the contents of all dbs from another keyspace. There were none, but a walk may still hold what there was.
    pub fn replace(&mut self, other: &mut Self) {
        assert!(self.is_empty(), "it was emptied");
        self.dbs.iter_mut().for_each(|db| drop(db.clear()));
        self.exchange(other);
    }

    /// Begins a snapshot of what there is now; values of modules are to be encoded in this style. The one before was ended.
    pub fn begin_snapshot(&mut self, style: Style) -> Walk<H> {
        let with_keys = || (0..).zip(&self.dbs).filter(|(_, db)| !db.is_empty());
        let (walk, tables) = Walk::begin(style, with_keys().map(|(number, _)| number));
        let dbs = self.dbs.iter_mut().filter(|db| !db.is_empty());
        dbs.zip(tables).for_each(|(db, table)| db.begin_walk(table));
        walk
    }

    /// Ends a snapshot whose walk is done.
    pub fn end_snapshot(&mut self, walk: &Walk<H>) {
        walk.assert_over();
        self.dbs.iter_mut().for_each(Db::end_walk);
    }

    /// The table that is walked so.
    fn walked_table(&self, walk: &Arc<TableWalk<H>>) -> Option<&Table<H>> {
        self.dbs.iter().find_map(|db| db.table_walked_by(walk))
    }
}
