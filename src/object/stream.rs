//! How is a stream held? A log of entries, and the consumer groups that read it.
//!
//! Both parts are built of reference-counted nodes (`stream/log.rs`, `stream/group.rs`): cloning a stream,
//! for a snapshot or COPY, takes the same time whatever its size, and a write afterwards copies only what
//! it touches. The two are fields of their own because a delivery reads one and changes the other.
//!
//! Time comes in as an argument, in unix milliseconds.

mod group;
mod id;
mod log;
pub(crate) mod node;
mod tree;

use crate::base::moving::{Cursor, Mover};
pub use group::{Consumer, ConsumerSlot, Group, Groups, Pending};
pub use id::{IdText, StreamId};
pub use log::{AddError, Entry, Log, NewId, NodeLimits, Trim, TrimTo};
pub use node::{Fields, Pairs, fits as is_storable};

/// A stream; see the top of this file.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The entries, and what is known about those that are gone.
    pub log: Log,
    /// The consumer groups.
    pub groups: Groups,
}

impl Stream {
    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        usize::try_from(self.log.len()).unwrap_or(usize::MAX)
    }

    /// Whether there is no entry. Unlike other collections, a stream stays then.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// Allocated bytes, without this struct itself.
    pub fn memory_bytes(&self) -> usize {
        self.log.memory_bytes() + self.groups.memory_bytes()
    }

    /// Moves its blocks from `from` on, until time is up; where to go on, if there is more.
    pub fn move_blocks(&mut self, from: Cursor, mover: &mut Mover<'_>) -> Option<Cursor> {
        let id = StreamId { ms: (from.at >> 64) as u64, seq: from.at as u64 };
        let cursor = |part, inner, id: StreamId| {
            let at = u128::from(id.ms) << 64 | u128::from(id.seq);
            Some(Cursor { part, inner, at })
        };
        if from.part == 0 {
            return match self.log.move_blocks(id, mover) {
                Some(id) => cursor(0, 0, id),
                None if self.groups.is_empty() => None,
                None => cursor(1, 0, StreamId::MIN),
            };
        }
        let (group, inner, id) = self.groups.move_blocks(from.part - 1, from.inner, id, mover)?;
        cursor(group + 1, inner, id)
    }

    /// How many entries a group has still to get, if that can be told without counting.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.log.entries_added as i64;
        if added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if !self.log.has_gaps_from(group.last_id) => read,
            _ => self.log.added_up_to(group.last_id)?,
        };
        Some(added.wrapping_sub(read))
    }
}

#[cfg(test)]
#[path = "stream/stream_tests.rs"]
mod tests;
