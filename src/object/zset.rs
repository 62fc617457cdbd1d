//! How is a sorted set held? Small ones as a listpack of members and scores, larger ones as a tree
//! with a hash index.
//!
//! The encodings are Redis's: `listpack` until a member is longer than `value_max` or there are more
//! than `entries_max`, `skiplist` ever after (no skip list, but clients know the name). Both are in
//! order, by score and then by the member's bytes, so everything that is asked by rank, score or
//! member is a range of ranks: [`Zset::count_before`] makes ranks of [`Edge`]s, [`Zset::range`]
//! goes through them.
//!
//! Scores are never nan; -0 is equal to 0, and kept in a tree alone. Cloning is for snapshots and COPY: free for a
//! tree, a copy of a few KiB for a listpack.

use std::ops::Range;

use crate::base::moving::{Cursor, Mover};
use crate::base::number::IntBuf;
use crate::object::bptree;
use crate::object::listpack::{Element, Listpack};
use crate::object::thin::{Compact, Form, FormMut};
use large::Large;
use small::{Pairs, Small};

mod index;
mod large;
mod small;

pub use crate::object::bptree::Edge;

/// When a sorted set leaves the listpack: `zset-max-listpack-entries` and `zset-max-listpack-value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZsetLimits {
    /// Most members of a listpack.
    pub entries_max: usize,
    /// Longest member in a listpack.
    pub value_max: usize,
}

impl Default for ZsetLimits {
    fn default() -> Self {
        Self { entries_max: 128, value_max: 64 }
    }
}

/// The edge that a bound of a range of members means: `(` leaves the member itself out, `[` does not, `-` and
/// `+` are the ends.
pub fn member_edge(bound: &[u8], is_lower: bool) -> Option<Edge<'_>> {
    match bound {
        b"-" => Some(Edge::Start),
        b"+" => Some(Edge::End),
        [b'(', text @ ..] if is_lower => Some(Edge::AboveMember(text)),
        [b'(', text @ ..] => Some(Edge::Member(text)),
        [b'[', text @ ..] if is_lower => Some(Edge::Member(text)),
        [b'[', text @ ..] => Some(Edge::AboveMember(text)),
        _ => None,
    }
}

/// A member with its score.
pub type Scored<'a> = (Element<'a>, f64);

/// Members in order of their scores; see the top of this file. One word.
#[derive(Clone, Debug, Default)]
pub struct Zset {
    repr: Compact<Listpack, Large>,
}

impl Zset {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// One with these members, none of which may come twice.
    pub fn from_members(mut members: Vec<(f64, Vec<u8>)>, limits: ZsetLimits) -> Self {
        members.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        let mut zset = Self::new();
        zset.reserve(members.len(), limits);
        // At once, since a listpack on the way to it would lose the sign of zeros.
        if members.iter().any(|(_, member)| member.len() > limits.value_max) {
            zset.make_large();
        }
        for (score, member) in &members {
            zset.insert(*score, member, limits);
        }
        zset
    }

    /// Takes a listpack of members and scores, as RDB has it. `None` if it is none.
    pub fn from_listpack(listpack: Listpack) -> Option<Self> {
        small::from_listpack(listpack).map(|small| Self { repr: Compact::small(small) })
    }

    /// The listpack of members and scores, if that is the encoding.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.repr.form() {
            Form::Small(small) => Some(small),
            Form::Large(_) => None,
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self.repr.form() {
            Form::Small(_) => "listpack",
            Form::Large(_) => "skiplist",
        }
    }

    /// Allocated bytes, without this struct itself.
    pub fn memory_bytes(&self) -> usize {
        match self.repr.form() {
            Form::Small(small) => small.memory_bytes(),
            Form::Large(large) => size_of::<Large>() + large.memory_bytes(),
        }
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self.repr.form() {
            Form::Small(small) => small.members(),
            Form::Large(large) => large.len(),
        }
    }

    /// Whether there is none: the key must then go.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of `member`.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.repr.form() {
            Form::Small(small) => small.find_member(member).map(|(_, score)| score),
            Form::Large(large) => large.find(member).map(|found| found.score),
        }
    }

    /// Moves its blocks from `from` on, until time is up; where to go on, if there is more. Something small is moved at once.
    pub fn move_blocks(&mut self, from: Cursor, mover: &mut Mover<'_>) -> Option<Cursor> {
        if from.is_start() {
            self.repr.move_block(mover);
        }
        match self.repr.form_mut() {
            FormMut::Small(_) => None,
            FormMut::Large(large) => large.move_blocks(from, mover),
        }
    }

    /// Whether it has left its compact forms.
    #[inline]
    pub fn is_large(&self) -> bool {
        self.repr.is_large()
    }

    /// Does the reads of a step of looking a member up by its position (`base/hasher.rs`), if it is large.
    #[inline]
    pub fn touch(&self, position: u32, step: usize) -> u32 {
        if let Form::Large(large) = self.repr.form() { large.touch(position, step) } else { 0 }
    }

    /// How many members are before `member`, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self.repr.form() {
            Form::Small(small) => {
                let (at, score) = small.find_member(member)?;
                Some((small.rank_of(at), score))
            }
            Form::Large(large) => {
                let score = large.find(member)?.score;
                Some((large.count_before(Edge::Entry(score, member)), score))
            }
        }
    }

    /// Prepares for `members` more members, whose number decides the encoding at once.
    pub fn reserve(&mut self, members: usize, limits: ZsetLimits) {
        if members > limits.entries_max {
            self.make_large();
        }
    }

    /// Lets `decide` say which score `member` is to have, given the one that it has: none leaves
    /// things as they are. Says which score it had.
    #[inline]
    pub fn update(
        &mut self,
        member: &[u8],
        limits: ZsetLimits,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Option<f64> {
        match self.repr.form_mut() {
            FormMut::Small(small) => {
                let found = small.find_member(member);
                let old = found.map(|(_, score)| score);
                match (decide(old), found) {
                    (Some(new), Some((at, old))) if new != old => {
                        small.remove_member(at);
                        small.insert_member(new, member);
                    }
                    (Some(new), None) => self.insert(new, member, limits),
                    _ => {}
                }
                old
            }
            FormMut::Large(large) => {
                let found = large.find(member);
                let old = found.map(|found| found.score);
                match (decide(old), found) {
                    (Some(new), Some(found)) if new != found.score => {
                        large.rescore(found, new, member);
                    }
                    (Some(new), None) => large.insert(new, member),
                    _ => {}
                }
                old
            }
        }
    }

    /// Gives `member` a score; the one that it had.
    pub fn set(&mut self, member: &[u8], score: f64, limits: ZsetLimits) -> Option<f64> {
        self.update(member, limits, |_| Some(score))
    }

    /// Puts a member in that is not there.
    fn insert(&mut self, score: f64, member: &[u8], limits: ZsetLimits) {
        debug_assert!(!score.is_nan(), "callers refuse nan");
        if let FormMut::Small(small) = self.repr.form_mut() {
            // Besides its text an element takes up to ten bytes; a score up to 25.
            let room = small.has_room_for(member.len() + 64);
            if small.members() < limits.entries_max && member.len() <= limits.value_max && room {
                return small.insert_member(score, member);
            }
            self.make_large();
        }
        if let FormMut::Large(large) = self.repr.form_mut() {
            large.insert(score, member);
        }
    }

    /// Removes `member`; the score that it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.repr.form_mut() {
            FormMut::Small(small) => {
                let (at, score) = small.find_member(member)?;
                small.remove_member(at);
                Some(score)
            }
            FormMut::Large(large) => {
                let found = large.find(member)?;
                large.remove(found, member);
                Some(found.score)
            }
        }
    }

    /// How many members lie before an edge.
    #[inline]
    pub fn count_before(&self, edge: Edge<'_>) -> usize {
        match self.repr.form() {
            Form::Small(small) => small.count_before(edge),
            Form::Large(large) => large.count_before(edge),
        }
    }

    /// The ranks between two edges.
    pub fn between(&self, low: Edge<'_>, high: Edge<'_>) -> Range<usize> {
        let end = self.count_before(high);
        self.count_before(low).min(end)..end
    }

    /// The members with these ranks, from either end.
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        match self.repr.form() {
            Form::Large(large) => Iter(Inner::Large(large.range(ranks))),
            Form::Small(small) => {
                let mut pairs = small.pairs();
                if ranks.start > 0 {
                    pairs.nth(ranks.start - 1);
                }
                let left = ranks.end.min(small.members()).saturating_sub(ranks.start);
                let behind = small.members().saturating_sub(ranks.start + left);
                if behind > 0 {
                    pairs.nth_back(behind - 1);
                }
                Iter(Inner::Small { pairs, left })
            }
        }
    }

    /// All members.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..self.len())
    }

    /// The member with this rank.
    pub fn nth(&self, rank: usize) -> Option<Scored<'_>> {
        match self.repr.form() {
            Form::Small(small) => small.pairs().nth(rank),
            Form::Large(large) if rank < large.len() => {
                let (member, score) = large.nth(rank);
                Some((Element::Str(member), score))
            }
            Form::Large(_) => None,
        }
    }

    /// Removes the members with these ranks.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        let end = ranks.end.min(self.len());
        let ranks = ranks.start.min(end)..end;
        match self.repr.form_mut() {
            FormMut::Small(small) => small.remove_ranks(ranks.start, ranks.len()),
            FormMut::Large(large) => large.remove_ranks(ranks),
        }
    }

    /// Shows members from `cursor` on, at least about `count`; the cursor to go on with, 0 at the
    /// end.
    ///
    /// A listpack is shown whole. In a tree the cursor is a position in the order of hashes, which
    /// does not depend on scores: nothing that is there throughout is missed, whatever comes, goes
    /// and changes its score meanwhile.
    pub fn scan(&self, cursor: u64, count: usize, show: &mut dyn FnMut(Element<'_>, f64)) -> u64 {
        match self.repr.form() {
            Form::Small(small) => {
                small.pairs().for_each(|(member, score)| show(member, score));
                0
            }
            Form::Large(large) => {
                // No cursor of ours is larger: there is nothing behind it.
                let Ok(cursor) = u32::try_from(cursor) else { return 0 };
                let show = |member: &[u8], score| show(Element::Str(member), score);
                u64::from(large.scan(cursor, count, show))
            }
        }
    }

    /// Leaves the listpack for good, however few the members are.
    pub fn make_large(&mut self) {
        if let Form::Small(small) = self.repr.form() {
            let mut large = Large::default();
            let mut digits = IntBuf::new();
            for (member, score) in small.pairs() {
                large.insert(score, member.text(&mut digits));
            }
            self.repr = Compact::large(Box::new(large));
        }
    }

    #[cfg(test)]
    fn check(&self) {
        if let Form::Large(large) = self.repr.form() {
            large.check();
        }
    }
}

/// Members with their scores, from either end.
#[derive(Clone, Debug)]
pub struct Iter<'a>(Inner<'a>);

#[derive(Clone, Debug)]
enum Inner<'a> {
    Small { pairs: Pairs<'a>, left: usize },
    Large(bptree::iter::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Scored<'a>;

    #[inline]
    fn next(&mut self) -> Option<Scored<'a>> {
        match &mut self.0 {
            Inner::Large(members) => {
                members.next().map(|(text, score)| (Element::Str(text), score))
            }
            Inner::Small { left: 0, .. } => None,
            Inner::Small { pairs, left } => {
                *left -= 1;
                pairs.next()
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Inner::Small { left, .. } => (*left, Some(*left)),
            Inner::Large(members) => members.size_hint(),
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, init: B, mut f: F) -> B {
        match self.0 {
            Inner::Large(members) => {
                members.fold(init, |folded, (text, score)| f(folded, (Element::Str(text), score)))
            }
            Inner::Small { .. } => {
                let mut folded = init;
                for member in self.by_ref() {
                    folded = f(folded, member);
                }
                folded
            }
        }
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Inner::Large(members) => {
                members.next_back().map(|(text, score)| (Element::Str(text), score))
            }
            Inner::Small { left: 0, .. } => None,
            Inner::Small { pairs, left } => {
                *left -= 1;
                pairs.next_back()
            }
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
#[path = "zset/zset_tests.rs"]
mod tests;
