//! What does FT.AGGREGATE do with the documents that it finds?
//!
//! The arguments become steps, the steps are bound to a schema and become stages, and rows run through the stages. A row is
//! a vector of values by slot; names are only looked up while the stages are made. As long as no stage needs the keys
//! themselves, rows run in blocks and values are borrowed from the columns of the index; grouping and sorting copy only
//! what they keep.

pub mod steps;

pub mod interning;

pub mod reducers;

pub mod reducing;

pub mod collecting;

pub mod sketch;

pub mod grouping;

pub mod sorting;

pub mod sources;

pub mod binding;

pub mod deferring;

pub mod block;

pub mod pipeline;

pub mod feeding;

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod slices_test;
#[cfg(test)]
mod testing;

use std::borrow::Cow;
use std::fmt;

use crate::expression::value::Value;

/// Properties of one GROUPBY.
pub const GROUP_PROPERTIES_MAX: usize = 65_535;
/// Properties of one SORTBY.
pub const SORT_KEYS_MAX: usize = 8;
/// Rows that SORTBY keeps where nothing else is asked for.
pub const SORT_ROWS_DEFAULT: usize = 10;
/// Values that RANDOM_SAMPLE keeps.
pub const SAMPLE_MAX: usize = 1000;
/// Rows that LIMIT may ask for.
pub const ROWS_MAX: u64 = 1 << 31;
/// Rows that LIMIT may leave out.
pub const OFFSET_MAX: u64 = 1_000_000;

/// What one command may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Groups of one GROUPBY.
    pub groups: usize,
    /// Bytes of groups, of rows that wait, and of rows that are to be answered, each.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { groups: 1_000_000, bytes: 1 << 30 }
    }
}

impl Limits {
    /// Refuses what is too large.
    pub fn check(&self, bytes: usize) -> Result<(), crate::error::Error> {
        if bytes <= self.bytes { Ok(()) } else { Err(Error::OutOfMemory.into()) }
    }
}

/// One row.
#[derive(Debug, Clone, Default)]
pub struct Row<'a> {
    /// Values by slot.
    pub slots: Vec<Option<Value<'a>>>,
    /// The document's key, if a later stage wants it.
    pub key: Option<Cow<'a, [u8]>>,
}

impl Row<'_> {
    /// The value in a slot.
    #[inline]
    pub fn get(&self, slot: usize) -> Option<&Value<'_>> {
        self.slots.get(slot)?.as_ref()
    }

    /// Bytes that it takes, about.
    pub fn memory(&self) -> usize {
        let values = self.slots.iter().flatten().map(Value::memory).sum::<usize>();
        let key = self.key.as_ref().map_or(0, |key| key.len());
        size_of::<Row<'_>>() + self.slots.len() * size_of::<Value<'_>>() + values + key
    }

    /// The same row, not borrowed.
    pub fn into_owned(self) -> Row<'static> {
        let slots = self.slots.into_iter().map(|value| value.map(Value::into_owned)).collect();
        Row { slots, key: self.key.map(|key| Cow::Owned(key.into_owned())) }
    }
}

impl<'a> Row<'a> {
    /// Puts a value into a slot.
    pub fn set(&mut self, slot: usize, value: Option<Value<'a>>) {
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, None);
        }
        self.slots[slot] = value;
    }
}

/// What is wrong with the steps of an FT.AGGREGATE, or with what they make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A step that names a property which is not there.
    NotLoaded(String),
    /// The same of GROUPBY.
    NoSuchProperty(String),
    /// Two properties by one name.
    Twice(String),
    /// GROUPBY's properties begin with `@`.
    WithoutAt(String),
    /// SORTBY's arguments are properties with `@`, ASC and DESC.
    SortDirection(String),
    /// No reducer goes by the name.
    NoSuchReducer(String),
    /// A reducer was given too few arguments.
    MissingArguments(String),
    /// An argument that a reducer does not take: the argument, its place, the reducer.
    UnknownArgument(String, usize, String),
    /// More groups than there may be.
    TooManyGroups(usize),
    /// More bytes than there may be.
    OutOfMemory,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotLoaded(name) => write!(f, "Property not loaded nor in pipeline: `{name}`"),
            Error::NoSuchProperty(name) => write!(f, "No such property `{name}`"),
            Error::Twice(name) => write!(f, "Property `{name}` specified more than once"),
            Error::WithoutAt(name) => write!(
                f,
                "Bad arguments for GROUPBY: Unknown property `{name}`. Did you mean `@{name}`?"
            ),
            Error::SortDirection(word) => {
                write!(f, "MISSING ASC or DESC after sort field ({word})")
            }
            Error::NoSuchReducer(name) => write!(f, "No such reducer: {name}"),
            Error::MissingArguments(name) => write!(f, "Missing arguments for {name}"),
            Error::UnknownArgument(word, place, name) => {
                write!(f, "Unknown argument `{word}` at position {place} for {name}")
            }
            Error::TooManyGroups(max) => {
                write!(f, "Aggregate GROUPBY exceeded MAX_AGGREGATE_GROUPS limit of {max} groups")
            }
            Error::OutOfMemory => f.write_str("Not enough memory available to execute the query"),
        }
    }
}
