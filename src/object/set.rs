//! How is a set held? Integers as an intset, small sets as a listpack, larger ones as a table.
//!
//! The encodings and what changes them are Redis 7.2's:
//!
//! - `intset`, ascending, as long as there are only integers, and not more than `intset_entries_max`;
//! - `listpack`, in order of arrival, from the first other text on, if there are not more than
//!   `listpack_entries_max` members and none is longer than `listpack_value_max`;
//! - `hashtable` ever after. A table is ordered by hash (`table.rs`).
//!
//! A set never goes back, but for what makes a new one of it (the STORE commands, and a SPOP that
//! takes most members).
//!
//! Cloning is for snapshots and COPY: free for a table, a copy of a few KiB for the others.

use std::fmt;

use crate::base::moving::{Cursor, Mover};
use crate::base::number::{IntBuf, parse_i64};
use crate::base::random::{self, below};
use crate::object::intset::{self, Intset};
use crate::object::listpack::{self, Element, Listpack};
use crate::object::table::{self, Table};
use crate::object::thin::{Compact, Form, FormMut, Pack, PackMut, PackRef};

pub mod algebra;

/// Members without values, in hash order.
type Members = Table<false>;

/// When a set leaves its compact forms: `set-max-intset-entries`, `set-max-listpack-entries` and
/// `set-max-listpack-value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimits {
    /// Most members of an intset.
    pub intset_entries_max: usize,
    /// Most members of a listpack.
    pub listpack_entries_max: usize,
    /// Longest member in a listpack.
    pub listpack_value_max: usize,
}

impl Default for SetLimits {
    fn default() -> Self {
        Self { intset_entries_max: 512, listpack_entries_max: 128, listpack_value_max: 64 }
    }
}

impl SetLimits {
    fn intset_max(self) -> usize {
        self.intset_entries_max.min(intset::LEN_MAX)
    }
}

/// A SPOP that leaves fewer members than this part of those it takes moves the ones that stay into a
/// new set.
const POP_MOST: usize = 5;

/// A set of texts; see the top of this file. One word.
#[derive(Clone)]
pub struct Set {
    repr: Compact<Pack, Members>,
}

/// What a set is.
enum Repr<'a> {
    Ints(&'a Intset),
    Small(&'a Listpack),
    Table(&'a Members),
}

/// What a set is, to be changed.
enum ReprMut<'a> {
    Ints(&'a mut Intset),
    Small(&'a mut Listpack),
    Table(&'a mut Members),
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl Set {
    /// An empty one, which is an intset until something else comes.
    pub fn new() -> Self {
        Self::from_intset(Intset::new())
    }

    /// An empty listpack.
    fn new_small() -> Self {
        Self { repr: Compact::small(Listpack::new().into()) }
    }

    #[inline]
    fn form(&self) -> Repr<'_> {
        match self.repr.form() {
            Form::Small(pack) => match pack.get() {
                PackRef::Ints(intset) => Repr::Ints(intset),
                PackRef::List(listpack) => Repr::Small(listpack),
            },
            Form::Large(table) => Repr::Table(table),
        }
    }

    #[inline]
    fn form_mut(&mut self) -> ReprMut<'_> {
        match self.repr.form_mut() {
            FormMut::Small(pack) => match pack.get_mut() {
                PackMut::Ints(intset) => ReprMut::Ints(intset),
                PackMut::List(listpack) => ReprMut::Small(listpack),
            },
            FormMut::Large(table) => ReprMut::Table(table),
        }
    }

    /// An empty one in the form that suits its first member and the number of those to come.
    pub fn for_members(first: &[u8], count: usize, limits: SetLimits) -> Self {
        if parse_i64(first).is_some() && count <= limits.intset_entries_max {
            Self::new()
        } else if count <= limits.listpack_entries_max {
            Self::new_small()
        } else {
            Self { repr: Compact::large(Box::default()) }
        }
    }

    /// Takes an intset, as RDB has it; [`Set::reserve`] then sees to the limits.
    pub fn from_intset(intset: Intset) -> Self {
        Self { repr: Compact::small(intset.into()) }
    }

    /// Takes a listpack of members, as RDB has it; [`Set::reserve`] then sees to the limits. `None` if
    /// a member comes twice.
    pub fn from_listpack(listpack: Listpack) -> Option<Self> {
        let mut members: Vec<Vec<u8>> = listpack.iter().map(Element::to_vec).collect();
        members.sort_unstable();
        let distinct = members.windows(2).all(|pair| pair[0] != pair[1]);
        distinct.then(|| Self { repr: Compact::small(listpack.into()) })
    }

    /// Takes a listpack in which members may come twice, as Redis takes them over from payloads that it does not check:
    /// it shows what it holds, and each removal takes one of them away.
    pub fn with_repetitions(listpack: Listpack) -> Self {
        Self { repr: Compact::small(listpack.into()) }
    }

    /// The intset, if that is the encoding.
    pub fn as_intset(&self) -> Option<&Intset> {
        if let Repr::Ints(intset) = self.form() { Some(intset) } else { None }
    }

    /// The listpack of members, if that is the encoding.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        if let Repr::Small(listpack) = self.form() { Some(listpack) } else { None }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self.form() {
            Repr::Ints(_) => "intset",
            Repr::Small(_) => "listpack",
            Repr::Table(_) => "hashtable",
        }
    }

    /// Allocated bytes, without this struct itself.
    pub fn memory_bytes(&self) -> usize {
        match self.form() {
            Repr::Ints(intset) => intset.memory_bytes(),
            Repr::Small(listpack) => listpack.memory_bytes(),
            Repr::Table(table) => size_of::<Members>() + table.memory_bytes(),
        }
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self.form() {
            Repr::Ints(intset) => intset.len(),
            Repr::Small(listpack) => listpack.len(),
            Repr::Table(table) => table.len(),
        }
    }

    /// Whether there is none: the key must then go.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `member` is in the set.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.form() {
            Repr::Ints(intset) => parse_i64(member).is_some_and(|value| intset.contains(value)),
            Repr::Small(listpack) => find(listpack, member).is_some(),
            Repr::Table(table) => table.get(member).is_some(),
        }
    }

    /// Moves its blocks from `from` on, until time is up; where to go on, if there is more. Something small is moved at once.
    pub fn move_blocks(&mut self, from: Cursor, mover: &mut Mover<'_>) -> Option<Cursor> {
        if from.is_start() {
            self.repr.move_block(mover);
        }
        match self.repr.form_mut() {
            FormMut::Small(_) => None,
            FormMut::Large(table) => table.move_blocks(from.at as u32, mover).map(Cursor::at),
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
        if let Form::Large(table) = self.repr.form() { table.touch(position, step) } else { 0 }
    }

    /// Whether a member of another set is in this one.
    #[inline]
    pub fn contains_element(&self, member: Element<'_>) -> bool {
        match (self.form(), member) {
            (Repr::Ints(intset), Element::Int(value)) => intset.contains(value),
            _ => self.contains(member.text(&mut IntBuf::new())),
        }
    }

    /// Prepares for `members` more members, whose number decides the encoding at once.
    pub fn reserve(&mut self, members: usize, limits: SetLimits) {
        let too_many = match self.form() {
            Repr::Ints(_) => members > limits.intset_entries_max,
            Repr::Small(_) => members > limits.listpack_entries_max,
            Repr::Table(_) => false,
        };
        if too_many {
            self.make_table();
        }
    }

    /// Adds `member`; whether it is new.
    #[inline]
    pub fn add(&mut self, member: &[u8], limits: SetLimits) -> bool {
        if let ReprMut::Table(table) = self.form_mut() {
            return table.add(member);
        }
        match parse_i64(member) {
            Some(value) => self.add_element(Element::Int(value), limits),
            None => self.add_element(Element::Str(member), limits),
        }
    }

    /// Adds a member of another set; whether it is new.
    pub fn add_element(&mut self, member: Element<'_>, limits: SetLimits) -> bool {
        // A table hands out integers as text.
        let integer = member.as_i64();
        let mut digits = IntBuf::new();
        let text = member.text(&mut digits);
        match self.form_mut() {
            ReprMut::Ints(intset) => {
                if let Some(value) = integer {
                    let is_new = intset.add(value);
                    if is_new && intset.len() > limits.intset_max() {
                        self.make_table();
                    }
                    return is_new;
                }
                if intset_fits_listpack(intset, text, limits) {
                    let mut listpack = Listpack::new();
                    intset.iter().for_each(|value| listpack.push_back_i64(value));
                    listpack.push_back(text);
                    self.repr = Compact::small(listpack.into());
                    return true;
                }
            }
            ReprMut::Small(listpack) => {
                if find(listpack, text).is_some() {
                    return false;
                }
                let fits = listpack.len() < limits.listpack_entries_max
                    && text.len() <= limits.listpack_value_max
                    && listpack.has_room_for(text.len() + ELEMENT_HEAD_MAX);
                if fits {
                    match integer {
                        Some(value) => listpack.push_back_i64(value),
                        None => listpack.push_back(text),
                    }
                    return true;
                }
            }
            ReprMut::Table(_) => {}
        }
        self.make_table().add(text)
    }

    /// Removes `member`; whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.form_mut() {
            ReprMut::Ints(intset) => parse_i64(member).is_some_and(|value| intset.remove(value)),
            ReprMut::Small(listpack) => match find(listpack, member) {
                Some(at) => {
                    listpack.delete(at, 1);
                    true
                }
                None => false,
            },
            ReprMut::Table(table) => table.remove(member).is_some(),
        }
    }

    /// All members: ascending in an intset, in order of arrival in a listpack, in hash order in a
    /// table.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match self.form() {
            Repr::Ints(intset) => Inner::Ints(intset.iter()),
            Repr::Small(listpack) => Inner::Small(listpack.iter()),
            Repr::Table(table) => Inner::Table(table.iter()),
        })
    }

    /// Shows members from `cursor` on, at least about `count`; the cursor to go on with, 0 at the end.
    ///
    /// Small forms are shown whole. In a table the cursor is a position in hash order, so nothing that
    /// is there throughout is missed or shown twice, whatever comes and goes; a set that becomes a
    /// table during a scan had been shown whole.
    pub fn scan(&self, cursor: u64, count: usize, show: &mut dyn FnMut(Element<'_>)) -> u64 {
        let Repr::Table(table) = self.form() else {
            self.iter().for_each(show);
            return 0;
        };
        // No cursor of ours is larger: there is nothing behind it.
        let Ok(cursor) = u32::try_from(cursor) else { return 0 };
        u64::from(table.scan(cursor, count, |entry| show(Element::Str(entry.field))))
    }

    /// A member at random, each as likely as any other; `None` if there is none. `random` yields
    /// uniform 64-bit numbers.
    pub fn random(&self, random: &mut dyn FnMut() -> u64) -> Option<Element<'_>> {
        match self.form() {
            Repr::Ints(intset) => intset.get(below(intset.len(), random)).map(Element::Int),
            Repr::Small(listpack) => {
                let at = listpack.seek(below(listpack.len(), random) as i64)?;
                Some(listpack.get(at))
            }
            Repr::Table(table) => {
                table.nth(below(table.len(), random)).map(|entry| Element::Str(entry.field))
            }
        }
    }

    /// `count` different members at random, all of them if there are no more, in no order that means
    /// anything.
    pub fn random_distinct(
        &self,
        count: usize,
        random: &mut dyn FnMut() -> u64,
    ) -> Vec<Element<'_>> {
        if let Repr::Table(table) = self.form()
            && count < table.len() / 4
        {
            return random::distinct(table.len(), count, random)
                .into_iter()
                .filter_map(|rank| table.nth(rank).map(|entry| Element::Str(entry.field)))
                .collect();
        }
        let mut all: Vec<_> = self.iter().collect();
        if count < all.len() {
            random::shuffle_front(&mut all, count, random);
            all.truncate(count);
        }
        all
    }

    /// Removes a member at random, each as likely as any other.
    pub fn pop(&mut self, random: &mut dyn FnMut() -> u64) -> Option<Vec<u8>> {
        let member = self.random(random)?.to_vec();
        self.remove(&member);
        Some(member)
    }

    /// Removes `count` different members at random, fewer than there are, and shows them.
    ///
    /// If few stay, it is they that move, into a set that finds its encoding anew.
    pub fn pop_many(
        &mut self,
        count: usize,
        limits: SetLimits,
        random: &mut dyn FnMut() -> u64,
        show: &mut dyn FnMut(&[u8]),
    ) {
        let stay = self.len().saturating_sub(count);
        let owned = |members: Vec<Element<'_>>| -> Vec<Vec<u8>> {
            members.into_iter().map(Element::to_vec).collect()
        };
        if stay.saturating_mul(POP_MOST) > count {
            for member in owned(self.random_distinct(count, random)) {
                self.remove(&member);
                show(&member);
            }
            return;
        }
        let mut rest = match self.form() {
            Repr::Ints(_) => Self::new(),
            Repr::Small(_) | Repr::Table(_) => Self::new_small(),
        };
        for member in owned(self.random_distinct(stay, random)) {
            self.remove(&member);
            rest.add(&member, limits);
        }
        let mut digits = IntBuf::new();
        self.iter().for_each(|member| show(member.text(&mut digits)));
        *self = rest;
    }

    /// Makes an intset of a set that holds only integers, if it may be one.
    fn make_intset(&mut self, limits: SetLimits) {
        if matches!(self.form(), Repr::Ints(_)) || self.len() > limits.intset_max() {
            return;
        }
        let mut values: Vec<i64> = Vec::with_capacity(self.len());
        values.extend(self.iter().map_while(Element::as_i64));
        assert!(values.len() == self.len(), "the caller has seen integers only");
        // In ascending order none has to make room for another.
        values.sort_unstable();
        let mut intset = Intset::new();
        values.into_iter().for_each(|value| {
            intset.add(value);
        });
        self.repr = Compact::small(intset.into());
    }

    /// The table, which a set of another form becomes.
    fn make_table(&mut self) -> &mut Members {
        if !self.repr.is_large() {
            let mut table = Members::default();
            let mut digits = IntBuf::new();
            for member in self.iter() {
                table.add(member.text(&mut digits));
            }
            self.repr = Compact::large(Box::new(table));
        }
        match self.form_mut() {
            ReprMut::Table(table) => table,
            ReprMut::Ints(_) | ReprMut::Small(_) => unreachable!("it has just become a table"),
        }
    }
}

/// What an element of a listpack takes besides its text.
const ELEMENT_HEAD_MAX: usize = 10;

/// Whether an intset may become a listpack when a text joins it.
fn intset_fits_listpack(intset: &Intset, text: &[u8], limits: SetLimits) -> bool {
    let longest = |value: Option<i64>| value.map_or(0, |value| Element::Int(value).text_len());
    let longest = longest(intset.first()).max(longest(intset.last()));
    intset.len() < limits.listpack_entries_max
        && text.len() <= limits.listpack_value_max
        && longest <= limits.listpack_value_max
        && Listpack::new().has_room_for(intset.len() * ELEMENT_HEAD_MAX + text.len())
}

#[inline]
fn find(listpack: &Listpack, member: &[u8]) -> Option<listpack::Position> {
    listpack.find(listpack.first()?, member, 1)
}

/// Members of a set.
#[derive(Clone, Debug)]
pub struct Iter<'a>(Inner<'a>);

#[derive(Clone, Debug)]
enum Inner<'a> {
    Ints(intset::Iter<'a>),
    Small(listpack::Iter<'a>),
    Table(table::Iter<'a, false>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match &mut self.0 {
            Inner::Ints(values) => values.next().map(Element::Int),
            Inner::Small(elements) => elements.next(),
            Inner::Table(entries) => entries.next().map(|entry| Element::Str(entry.field)),
        }
    }
}

#[cfg(test)]
#[path = "set/set_tests.rs"]
mod tests;
