//! What do ZUNION and its kin read from? Sorted sets, and sets, whose members all have the score 1.

use std::borrow::Cow;

use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::keyspace::value::ValueRef;
use crate::object::listpack::Element;
use crate::object::{Set, Zset};

/// The score of a set's members.
const SET_SCORE: f64 = 1.0;

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// No key.
    Nothing,
    /// A sorted set.
    Zset(&'a Zset),
    /// A set.
    Set(&'a Set),
}

impl<'a> Source<'a> {
    /// What is at a key.
    pub fn read(ctx: &mut ReadCtx<'a>, key: &[u8]) -> Result<Self, CommandError> {
        match ctx.value(key) {
            None => Ok(Source::Nothing),
            Some(ValueRef::Zset(zset)) => Ok(Source::Zset(zset)),
            Some(ValueRef::Set(set)) => Ok(Source::Set(set)),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    /// Number of members.
    pub fn len(self) -> usize {
        match self {
            Source::Nothing => 0,
            Source::Zset(zset) => zset.len(),
            Source::Set(set) => set.len(),
        }
    }

    /// Whether both are the same key's value.
    pub fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Source::Zset(a), Source::Zset(b)) => std::ptr::eq(a, b),
            (Source::Set(a), Source::Set(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }

    /// The score of a member.
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Nothing => None,
            Source::Zset(zset) => zset.score(member),
            Source::Set(set) => set.contains(member).then_some(SET_SCORE),
        }
    }

    /// Shows members with their scores until `show` has enough, which it says by `false`.
    pub fn each(self, mut show: impl FnMut(Cow<'a, [u8]>, f64) -> bool) {
        match self {
            Source::Nothing => {}
            Source::Zset(zset) => {
                for (member, score) in zset.iter() {
                    if !show(text(member), score) {
                        return;
                    }
                }
            }
            Source::Set(set) => {
                for member in set.iter() {
                    if !show(text(member), SET_SCORE) {
                        return;
                    }
                }
            }
        }
    }
}

fn text(member: Element<'_>) -> Cow<'_, [u8]> {
    match member {
        Element::Str(text) => Cow::Borrowed(text),
        integer => Cow::Owned(integer.to_vec()),
    }
}
