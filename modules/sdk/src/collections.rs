//! How does a module read and write lists, sorted sets and streams?
//!
//! Reading what is not there finds nothing; writing makes it. A key of another type gives
//! [`Error::WrongType`]. A collection that loses its last element goes, as with the server's own commands.

use std::ops::{Bound, RangeBounds};

use mortise_module_abi as abi;

use crate::error::Error;
use crate::key::{KeyType, ReadKey, WriteKey};
use crate::raw::{OwnedString, Place, ScoreRange, Text};
use crate::string::Argument;

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where LPUSH pushes.
    Head,
    /// Where RPUSH pushes.
    Tail,
}

/// Which way to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the smallest up.
    Ascending,
    /// From the largest down.
    Descending,
}

/// When [`WriteKey::zset_add_when`] sets a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZsetWhen {
    /// Always.
    Always,
    /// The member is new.
    New,
    /// The member is there.
    There,
    /// The member is new, or the score gets larger.
    Greater,
    /// The member is new, or the score gets smaller.
    Less,
}

/// What came of setting a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZsetChange {
    /// The member is new.
    Added,
    /// It has another score.
    Updated,
    /// Nothing: it has this score, or the condition was not met.
    None,
}

/// The id of a stream's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds, by custom of unix time.
    pub ms: u64,
    /// The number among those of the same millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The first that there can be.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last that there can be.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    fn raw(self) -> abi::StreamId {
        abi::StreamId { ms: self.ms, seq: self.seq }
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl ReadKey<'_> {
    /// An element of a list; a negative index counts from the tail. Redis 7.0.
    pub fn list_get(&self, index: i64) -> Result<Option<OwnedString>, Error> {
        match self.of_kind(KeyType::List)? {
            None => Ok(None),
            Some(key) => key.list_get(index),
        }
    }

    /// Calls `each` with the members of a sorted set whose scores are in a range, until it says false. Members of
    /// equal score come in the order of their bytes.
    pub fn zset_range(
        &self,
        scores: impl RangeBounds<f64>,
        order: Order,
        mut each: impl FnMut(&[u8], f64) -> bool,
    ) -> Result<(), Error> {
        let Some(key) = self.of_kind(KeyType::Zset)? else { return Ok(()) };
        let end = |bound: Bound<&f64>, open: f64| match bound {
            Bound::Unbounded => (open, false),
            Bound::Included(score) => (*score, false),
            Bound::Excluded(score) => (*score, true),
        };
        let (min, without_min) = end(scores.start_bound(), f64::NEG_INFINITY);
        let (max, without_max) = end(scores.end_bound(), f64::INFINITY);
        let backwards = order == Order::Descending;
        let range = ScoreRange { min, max, without_min, without_max, backwards };
        key.zset_range(range, &mut each)
    }

    /// Calls `each` with the entries of a stream whose ids are in a range, and their fields, until it says false.
    /// Redis 6.2.
    pub fn stream_range(
        &self,
        first: StreamId,
        last: StreamId,
        order: Order,
        mut each: impl FnMut(StreamId, &[(OwnedString, OwnedString)]) -> bool,
    ) -> Result<(), Error> {
        let Some(key) = self.of_kind(KeyType::Stream)? else { return Ok(()) };
        let mut each = |id: abi::StreamId, fields: &[(OwnedString, OwnedString)]| {
            each(StreamId { ms: id.ms, seq: id.seq }, fields)
        };
        key.stream_range(first.raw(), last.raw(), order == Order::Descending, &mut each)
    }
}

fn place(end: End) -> Place {
    match end {
        End::Head => Place::Head,
        End::Tail => Place::Tail,
    }
}

impl WriteKey<'_> {
    /// Pushes an element to an end of a list.
    pub fn list_push(&mut self, end: End, value: &(impl Argument + ?Sized)) -> Result<(), Error> {
        self.expect_kind(KeyType::List)?;
        self.key_mut().list_push(place(end), &value.text())
    }

    /// Takes an element from an end of a list.
    pub fn list_pop(&mut self, end: End) -> Result<Option<OwnedString>, Error> {
        self.expect_kind(KeyType::List)?;
        if !self.exists() {
            return Ok(None);
        }
        self.key_mut().list_pop(place(end))
    }

    /// Replaces an element of a list; an error if there is none. Redis 7.0.
    pub fn list_set(&mut self, index: i64, value: &(impl Argument + ?Sized)) -> Result<(), Error> {
        self.expect_kind(KeyType::List)?;
        self.key_mut().list_set(index, &value.text())
    }

    /// Inserts an element so that it has this index; an error if the list is too short. Redis 7.0.
    pub fn list_insert(
        &mut self,
        index: i64,
        value: &(impl Argument + ?Sized),
    ) -> Result<(), Error> {
        self.expect_kind(KeyType::List)?;
        self.key_mut().list_insert(index, &value.text())
    }

    /// Deletes an element of a list; an error if there is none. Redis 7.0.
    pub fn list_delete(&mut self, index: i64) -> Result<(), Error> {
        self.expect_kind(KeyType::List)?;
        self.key_mut().list_delete(index)
    }

    /// Sets the score of a member of a sorted set.
    pub fn zset_add(
        &mut self,
        member: &(impl Argument + ?Sized),
        score: f64,
    ) -> Result<ZsetChange, Error> {
        self.zset_add_when(member, score, ZsetWhen::Always)
    }

    /// Sets the score of a member of a sorted set on a condition.
    pub fn zset_add_when(
        &mut self,
        member: &(impl Argument + ?Sized),
        score: f64,
        when: ZsetWhen,
    ) -> Result<ZsetChange, Error> {
        self.expect_kind(KeyType::Zset)?;
        if score.is_nan() {
            return Err(Error::new("the score is not a number"));
        }
        let flags = match when {
            ZsetWhen::Always => 0,
            ZsetWhen::New => abi::ZADD_NX,
            ZsetWhen::There => abi::ZADD_XX,
            ZsetWhen::Greater => abi::ZADD_GT,
            ZsetWhen::Less => abi::ZADD_LT,
        };
        let came = self.key_mut().zset_add(&member.text(), score, flags)?;
        Ok(match came {
            came if came & abi::ZADD_ADDED != 0 => ZsetChange::Added,
            came if came & abi::ZADD_UPDATED != 0 => ZsetChange::Updated,
            _ => ZsetChange::None,
        })
    }

    /// Adds to the score of a member of a sorted set, which begins with 0; the new score.
    pub fn zset_increment(
        &mut self,
        member: &(impl Argument + ?Sized),
        by: f64,
    ) -> Result<f64, Error> {
        self.expect_kind(KeyType::Zset)?;
        self.key_mut().zset_increment(&member.text(), by)
    }

    /// Removes a member of a sorted set. True if it was there.
    pub fn zset_remove(&mut self, member: &(impl Argument + ?Sized)) -> Result<bool, Error> {
        self.expect_kind(KeyType::Zset)?;
        if !self.exists() {
            return Ok(false);
        }
        self.key_mut().zset_remove(&member.text())
    }

    /// Adds an entry to a stream, with an id of the server's choice. Redis 6.2.
    pub fn stream_add(
        &mut self,
        fields: &[(&dyn Argument, &dyn Argument)],
    ) -> Result<StreamId, Error> {
        self.expect_kind(KeyType::Stream)?;
        if fields.is_empty() {
            return Err(Error::new("an entry has fields"));
        }
        let argv: Vec<Text<'_>> =
            fields.iter().flat_map(|(field, value)| [field.text(), value.text()]).collect();
        let id = self.key_mut().stream_add(&argv)?;
        Ok(StreamId { ms: id.ms, seq: id.seq })
    }

    /// Deletes an entry of a stream. True if it was there. Redis 6.2.
    pub fn stream_delete(&mut self, id: StreamId) -> Result<bool, Error> {
        self.expect_kind(KeyType::Stream)?;
        if !self.exists() {
            return Ok(false);
        }
        self.key_mut().stream_delete(id.raw())
    }

    /// Deletes the oldest entries of a stream beyond `length`; how many. Redis 6.2.
    pub fn stream_trim(&mut self, length: u64) -> Result<u64, Error> {
        self.expect_kind(KeyType::Stream)?;
        if !self.exists() {
            return Ok(0);
        }
        self.key_mut().stream_trim(i64::try_from(length).unwrap_or(i64::MAX))
    }
}
