//! How do the blocks of a db get to better memory? Bucket by bucket, and large values piece by piece.
//!
//! No hook is told: a move changes nothing that can be seen, and an entry takes its snapshot mark along. What a snapshot holds of a
//! value stays where it is (`base/moving.rs`).

use std::sync::Arc;

use super::{Db, KeyHash};
use crate::base::moving::{Cursor, Mover};
use crate::keyspace::value::{ValueMut, ValueRef};
use crate::object::module::TypeVtable;

/// Keys at which something has moved, and those at which nothing has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Those with blocks that have moved.
    pub moved: u64,
    /// The others.
    pub stayed: u64,
}

impl<H: KeyHash> Db<H> {
    /// Moves what lies in the bucket at `position`, and says which position is next; zero at the end. Values that may take longer, with
    /// more than `elements_max` elements or of modules, have their keys put in `later` instead.
    pub fn move_bucket(
        &mut self,
        position: u64,
        elements_max: usize,
        later: &mut Vec<Box<[u8]>>,
        keys: &mut Keys,
        mover: &mut Mover<'_>,
    ) -> u64 {
        if position == 0 {
            self.table.move_directory(mover);
        }
        self.table.rework_bucket(position, mover, |mover, entry| {
            let before = mover.moved;
            let mut entry = entry.moved(mover);
            let is_for_later = {
                let value = entry.as_ref().value();
                value.is_module() || value.elements() > elements_max
            };
            if is_for_later {
                later.push(entry.as_ref().key().into());
                return entry;
            }
            let mut block = entry.as_mut();
            block.move_string(mover);
            block.move_box(mover);
            let mut from = Some(Cursor::default());
            let mut value = block.into_value();
            while let Some(at) = from {
                from = value.move_blocks(at, mover);
            }
            if mover.moved > before {
                keys.moved += 1;
            } else {
                keys.stayed += 1;
            }
            entry
        })
    }

    /// Moves the value of a key from `from` on, until time is up. Of a module's value only the box moves: see
    /// [`Db::module_value`].
    pub fn move_value(
        &mut self,
        key: &[u8],
        from: Cursor,
        mover: &mut Mover<'_>,
    ) -> Option<Cursor> {
        let slot = self.find(key)?;
        let mut block = self.table.entry_mut(slot);
        if from.is_start() {
            block.move_string(mover);
            block.move_box(mover);
        }
        block.into_value().move_blocks(from, mover)
    }

    /// The type and the place of the module's value at a key, for its module to move what it owns while nobody
    /// borrows the db.
    pub fn module_value(&self, key: &[u8]) -> Option<(Arc<dyn TypeVtable>, usize)> {
        let ValueRef::Module(value) = self.value(self.find(key)?) else { return None };
        Some((Arc::clone(value.vtable()), value.pointer()))
    }

    /// The module's value at a key is elsewhere now.
    pub fn relocate(&mut self, key: &[u8], from: usize, to: usize) {
        let Some(slot) = self.find(key) else { return };
        if let ValueMut::Module(value) = self.table.entry_mut(slot).into_value() {
            value.relocate(from, to);
        }
    }
}
