//! How is a hash held? Small ones as a listpack of fields and values, larger ones as a table.
//!
//! The encodings are Redis's: `listpack` in order of arrival until a text is longer than
//! `value_max` or there are more than `entries_max` fields; `listpackex` the same with an expiry
//! behind each value, from the first HEXPIRE on; `hashtable` ever after. A table is ordered by hash
//! (`table.rs`).
//!
//! Time comes in as `now` (Unix milliseconds). A field whose expiry is before it is invisible to
//! all reads and counts as absent for writes, but stays, and counts in [`Hash::len`], until
//! [`Hash::take_expired`] takes it: only who can propagate a deletion may delete.
//!
//! Cloning is for snapshots and COPY: free for a table, a copy of a few KiB for a listpack.

use std::fmt;

use crate::base::extended::Extended;
use crate::base::moving::{Cursor, Mover};
use crate::base::number::IntBuf;
use crate::base::random::{self, below};
use crate::object::hash::small::Small;
use crate::object::listpack::{self, Element, Listpack};
use crate::object::table::leaf::{Entry, NEVER, is_expired};
use crate::object::table::{self, Expiry};
use crate::object::thin::{Compact, Form, FormMut};

mod small;

/// Fields with values, in hash order.
type Table = table::Table<true>;

/// When a hash leaves the listpack: `hash-max-listpack-entries` and `hash-max-listpack-value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashLimits {
    /// Most fields of a listpack.
    pub entries_max: usize,
    /// Longest field or value in a listpack.
    pub value_max: usize,
}

impl Default for HashLimits {
    fn default() -> Self {
        Self { entries_max: 512, value_max: 64 }
    }
}

/// A field and its value.
pub type Pair<'a> = (Element<'a>, Element<'a>);

/// A field with all that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashEntry<'a> {
    /// The field.
    pub field: Element<'a>,
    /// Its value.
    pub value: Element<'a>,
    /// When it expires, in unix milliseconds.
    pub expire_at: Option<u64>,
}

/// Why a value cannot be incremented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashIncrError {
    /// The value is not an integer.
    NotInteger,
    /// The sum does not fit 64 bits.
    Overflow,
    /// The value is not a float.
    NotFloat,
    /// The sum would be nan or infinite.
    NotFinite,
}

/// A map from fields to values; see the top of this file. One word.
#[derive(Clone)]
pub struct Hash {
    repr: Compact<Listpack, Table>,
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter(0)).finish()
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Hash {
    /// An empty one.
    pub fn new() -> Self {
        Self { repr: Compact::small(Listpack::new()) }
    }

    /// Takes a listpack of fields and values, as RDB has it. `None` if it has an odd number of
    /// elements, or one field twice.
    pub fn from_listpack(listpack: Listpack) -> Option<Self> {
        let mut fields: Vec<Vec<u8>> = listpack.iter().step_by(2).map(Element::to_vec).collect();
        fields.sort_unstable();
        let distinct = fields.windows(2).all(|pair| pair[0] != pair[1]);
        let even = listpack.len().is_multiple_of(2);
        (distinct && even).then(|| Self { repr: Compact::small(listpack) })
    }

    /// The listpack of fields and values, if that is the encoding.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.repr.form() {
            Form::Small(small) if !small.expires() => Some(small),
            _ => None,
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self.repr.form() {
            Form::Small(small) if small.expires() => "listpackex",
            Form::Small(_) => "listpack",
            Form::Large(_) => "hashtable",
        }
    }

    /// Allocated bytes, without this struct itself.
    pub fn memory_bytes(&self) -> usize {
        match self.repr.form() {
            Form::Small(small) => small.memory_bytes(),
            Form::Large(table) => size_of::<Table>() + table.memory_bytes(),
        }
    }

    /// Number of fields, expired ones included until they are taken (as HLEN counts).
    pub fn len(&self) -> usize {
        match self.repr.form() {
            Form::Small(small) => small.len() / small.stride(),
            Form::Large(table) => table.len(),
        }
    }

    /// Whether there is no field: the key must then go.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of fields that are visible at `now`; counts them if some may have expired.
    pub fn visible_len(&self, now: u64) -> usize {
        if self.all_visible(now) { self.len() } else { self.iter(now).count() }
    }

    /// The value of `field`.
    #[inline]
    pub fn get(&self, field: &[u8], now: u64) -> Option<Element<'_>> {
        match self.repr.form() {
            Form::Small(small) => {
                let at = small.find_field(field)?;
                (!small.expires() || !is_expired(small.expire_at(at), now))
                    .then(|| small.get(small.value_of(at)))
            }
            Form::Large(table) => {
                let entry = table.get(field)?;
                (!is_expired(entry.expire_at, now)).then_some(Element::Str(entry.value))
            }
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

    /// Does the reads of a step of looking a field up by its position (`base/hasher.rs`), if it is large.
    #[inline]
    pub fn touch(&self, position: u32, step: usize) -> u32 {
        if let Form::Large(table) = self.repr.form() { table.touch(position, step) } else { 0 }
    }

    /// Whether there is a `field`.
    pub fn contains(&self, field: &[u8], now: u64) -> bool {
        self.get(field, now).is_some()
    }

    /// Gives `field` a value and takes its expiry away; whether the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], now: u64, limits: HashLimits) -> bool {
        self.put(field, value, Expiry::Set(NEVER), now, limits)
    }

    /// Does so for many fields, one after the other, whose number decides the encoding at once; how many
    /// are new.
    pub fn set_all(&mut self, pairs: &[[&[u8]; 2]], now: u64, limits: HashLimits) -> usize {
        self.reserve(pairs.len(), limits);
        if let FormMut::Small(small) = self.repr.form_mut()
            && small.is_empty()
            && !small.expires()
            && fit_at_once(pairs, limits)
        {
            small.append_all(|out| pairs.as_flattened().iter().for_each(|text| out.text(text)));
            return pairs.len();
        }
        let mut added = 0;
        for [field, value] in pairs {
            added += usize::from(self.set(field, value, now, limits));
        }
        added
    }

    /// Gives `field` a value and leaves its expiry alone; whether the field is new.
    pub fn update(&mut self, field: &[u8], value: &[u8], now: u64, limits: HashLimits) -> bool {
        self.put(field, value, Expiry::Keep, now, limits)
    }

    /// Prepares for `fields` more fields, whose number decides the encoding at once.
    pub fn reserve(&mut self, fields: usize, limits: HashLimits) {
        if fields > limits.entries_max {
            self.make_table();
        }
    }

    /// Removes `field`; whether it was there to see.
    pub fn delete(&mut self, field: &[u8], now: u64) -> bool {
        match self.repr.form_mut() {
            FormMut::Small(small) => {
                let Some(at) = small.find_field(field) else { return false };
                let visible = !is_expired(small.expire_at(at), now);
                small.delete(at, small.stride());
                visible
            }
            FormMut::Large(table) => table.remove(field).is_some_and(|at| !is_expired(at, now)),
        }
    }

    /// Adds to the integer in `field`, 0 if it is absent, keeping its expiry; the sum.
    pub fn incr_by(
        &mut self,
        field: &[u8],
        delta: i64,
        now: u64,
        limits: HashLimits,
    ) -> Result<i64, HashIncrError> {
        let old = match self.get(field, now) {
            None => 0,
            Some(value) => value.as_i64().ok_or(HashIncrError::NotInteger)?,
        };
        let sum = old.checked_add(delta).ok_or(HashIncrError::Overflow)?;
        self.update(field, IntBuf::new().i64(sum), now, limits);
        Ok(sum)
    }

    /// Adds to the float in `field`, 0 if it is absent, keeping its expiry; the text of the sum.
    pub fn incr_by_float(
        &mut self,
        field: &[u8],
        delta: Extended,
        now: u64,
        limits: HashLimits,
    ) -> Result<Vec<u8>, HashIncrError> {
        let old = match self.get(field, now) {
            None => Extended::ZERO,
            Some(Element::Int(value)) => Extended::from_i64(value),
            Some(Element::Str(text)) => Extended::parse(text).ok_or(HashIncrError::NotFloat)?,
        };
        let sum = old.checked_add(delta).filter(|sum| sum.is_finite());
        let text = sum.ok_or(HashIncrError::NotFinite)?.to_text();
        self.update(field, &text, now, limits);
        Ok(text)
    }

    /// All fields visible at `now` with their values: in order of arrival in a listpack, in hash
    /// order in a table.
    pub fn iter(&self, now: u64) -> Iter<'_> {
        let inner = match self.repr.form() {
            Form::Small(small) => Inner::Small { elements: small.iter(), expires: small.expires() },
            Form::Large(table) => Inner::Table(table.iter()),
        };
        Iter { inner, now }
    }

    /// All fields, whether or not they have expired, with their values and expiries: what is saved.
    pub fn entries(&self) -> impl Iterator<Item = HashEntry<'_>> {
        let mut inner = self.iter(0).inner;
        std::iter::from_fn(move || inner.next())
    }

    /// Shows fields from `cursor` on, at least about `count`; the cursor to go on with, 0 at the
    /// end.
    ///
    /// A listpack is shown whole. In a table the cursor is a position in hash order, so nothing
    /// that is there throughout is missed or shown twice, whatever comes and goes; a hash that
    /// becomes a table during a scan had been shown whole.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        now: u64,
        show: &mut dyn FnMut(Element<'_>, Element<'_>),
    ) -> u64 {
        match self.repr.form() {
            Form::Small(_) => {
                self.iter(now).for_each(|(field, value)| show(field, value));
                0
            }
            Form::Large(table) => {
                // No cursor of ours is larger: there is nothing behind it.
                let Ok(cursor) = u32::try_from(cursor) else { return 0 };
                let next = table.scan(cursor, count, |entry| {
                    if !is_expired(entry.expire_at, now) {
                        show(Element::Str(entry.field), Element::Str(entry.value));
                    }
                });
                u64::from(next)
            }
        }
    }

    /// For drawing fields at random, each visible one as likely as any other, with repeats.
    pub fn sampler(&self, now: u64) -> Sampler<'_> {
        match self.repr.form() {
            Form::Large(table) if self.all_visible(now) => Sampler(Source::Ranks(table)),
            _ => Sampler(Source::List(self.iter(now).collect())),
        }
    }

    /// `count` different visible fields at random, all of them if there are no more, in no order
    /// that means anything. `random` yields uniform 64-bit numbers.
    pub fn random_distinct(
        &self,
        count: usize,
        now: u64,
        random: &mut dyn FnMut() -> u64,
    ) -> Vec<Pair<'_>> {
        if let Form::Large(table) = self.repr.form()
            && self.all_visible(now)
            && count < table.len() / 4
        {
            return random::distinct(table.len(), count, random)
                .into_iter()
                .filter_map(|rank| table.nth(rank).map(pair))
                .collect();
        }
        let mut all: Vec<_> = self.iter(now).collect();
        if count < all.len() {
            random::shuffle_front(&mut all, count, random);
            all.truncate(count);
        }
        all
    }

    /// Gives `field` an expiry (Unix milliseconds) or takes it away; whether the field is there to
    /// see.
    ///
    /// An expiry in the past makes the field invisible; the caller is expected to delete it
    /// instead.
    pub fn set_field_expire(&mut self, field: &[u8], expire_at: Option<u64>, now: u64) -> bool {
        if !self.contains(field, now) {
            return false;
        }
        if let FormMut::Small(small) = self.repr.form_mut() {
            // A field at most grows by a number; beyond what listpacks may be, a table takes it.
            if !small.has_room_for(small.len() * 11) {
                self.make_table();
            } else if expire_at.is_some() || small.expires() {
                small.make_expiring();
                small.set_expire_at(field, expire_at.unwrap_or(NEVER));
            }
        }
        if let FormMut::Large(table) = self.repr.form_mut() {
            table.set_expiry(field, expire_at.unwrap_or(NEVER));
        }
        true
    }

    /// When `field` expires: `None` if it is not there to see, `Some(None)` if it never does.
    pub fn field_expire(&self, field: &[u8], now: u64) -> Option<Option<u64>> {
        let expire_at = match self.repr.form() {
            Form::Small(small) => small.expire_at(small.find_field(field)?),
            Form::Large(table) => table.get(field)?.expire_at,
        };
        (!is_expired(expire_at, now)).then_some((expire_at != NEVER).then_some(expire_at))
    }

    /// When the first field may expire; never later than one does.
    pub fn next_expire(&self) -> Option<u64> {
        let earliest = match self.repr.form() {
            Form::Small(small) if small.expires() => {
                small.positions().map(|at| small.expire_at(at)).min().unwrap_or(NEVER)
            }
            Form::Small(_) => NEVER,
            Form::Large(table) => table.expire_min(),
        };
        (earliest != NEVER).then_some(earliest)
    }

    /// When the first of the fields that are there to see expires, to be exact; looks at all of them if any
    /// does.
    pub fn first_expire(&self, now: u64) -> Option<u64> {
        self.next_expire()?;
        let visible = |at: &u64| *at != NEVER && !is_expired(*at, now);
        match self.repr.form() {
            Form::Small(small) => {
                small.positions().map(|at| small.expire_at(at)).filter(visible).min()
            }
            Form::Large(table) => table.iter().map(|entry| entry.expire_at).filter(visible).min(),
        }
    }

    /// Names of up to `limit` fields that have expired, which stay.
    pub fn collect_expired(&self, now: u64, limit: usize) -> Vec<Vec<u8>> {
        if self.all_visible(now) {
            return Vec::new();
        }
        let expired = |expire_at| is_expired(expire_at, now);
        match self.repr.form() {
            Form::Small(small) => small
                .positions()
                .filter(|&at| expired(small.expire_at(at)))
                .map(|at| small.get(at).to_vec())
                .take(limit)
                .collect(),
            Form::Large(table) => table
                .iter()
                .filter(|entry| expired(entry.expire_at))
                .map(|entry| entry.field.to_vec())
                .take(limit)
                .collect(),
        }
    }

    /// Removes up to `limit` fields that have expired and returns their names. In a table it goes
    /// to them directly: the work depends on what is taken, not on the number of fields.
    pub fn take_expired(&mut self, now: u64, limit: usize) -> Vec<Vec<u8>> {
        match self.repr.form_mut() {
            FormMut::Large(table) => table.take_expired(now, limit),
            FormMut::Small(_) => {
                let expired = self.collect_expired(now, limit);
                for field in &expired {
                    self.delete(field, now);
                }
                expired
            }
        }
    }

    /// Whether it is certain that no field is invisible at `now`.
    fn all_visible(&self, now: u64) -> bool {
        match self.repr.form() {
            Form::Small(small) => !small.expires(),
            Form::Large(table) => !is_expired(table.expire_min(), now),
        }
    }

    fn put(
        &mut self,
        field: &[u8],
        value: &[u8],
        expiry: Expiry,
        now: u64,
        limits: HashLimits,
    ) -> bool {
        if let FormMut::Small(small) = self.repr.form_mut() {
            let longest = field.len().max(value.len());
            // Besides its text an element takes up to ten bytes.
            let room = small.has_room_for(field.len() + value.len() + 64);
            if longest > limits.value_max || !room {
                self.make_table();
            }
        }
        let is_new = match self.repr.form_mut() {
            FormMut::Small(small) => small.put(field, value, expiry, now),
            FormMut::Large(table) => table_put(table, field, value, expiry, now),
        };
        if let Form::Small(small) = self.repr.form()
            && is_new
            && small.len() / small.stride() > limits.entries_max
        {
            self.make_table();
        }
        is_new
    }

    fn make_table(&mut self) {
        if let Form::Small(small) = self.repr.form() {
            let mut table = Table::default();
            let (mut field_buf, mut value_buf) = (IntBuf::new(), IntBuf::new());
            for at in small.positions() {
                let field = small.get(at).text(&mut field_buf);
                let value = small.get(small.value_of(at)).text(&mut value_buf);
                table.put(field, value, Expiry::Set(small.expire_at(at)));
            }
            self.repr = Compact::large(Box::new(table));
        }
    }
}

/// Most fields that are compared with each other before they become a listpack.
const AT_ONCE_MAX: usize = 32;

/// Whether these may be all fields of a listpack as they are: none is there twice or too long.
fn fit_at_once(pairs: &[[&[u8]; 2]], limits: HashLimits) -> bool {
    // So that what all have in common stays far below what a listpack may be.
    let longest = limits.value_max.min(1 << 20);
    (2..=AT_ONCE_MAX.min(limits.entries_max)).contains(&pairs.len())
        && pairs.as_flattened().iter().all(|text| text.len() <= longest)
        && pairs
            .iter()
            .enumerate()
            .all(|(at, [field, _])| pairs[..at].iter().all(|[other, _]| other != field))
}

/// Puts into a table as if an expired field were not there; whether the field is new.
fn table_put(table: &mut Table, field: &[u8], value: &[u8], expiry: Expiry, now: u64) -> bool {
    match table.put(field, value, expiry) {
        None => true,
        Some(old) if !is_expired(old, now) => false,
        // It had expired: what it had is not kept.
        Some(_) => {
            if expiry == Expiry::Keep {
                table.set_expiry(field, NEVER);
            }
            true
        }
    }
}

fn pair(entry: Entry<'_>) -> Pair<'_> {
    (Element::Str(entry.field), Element::Str(entry.value))
}

/// Visible fields with their values.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    inner: Inner<'a>,
    now: u64,
}

#[derive(Clone, Debug)]
enum Inner<'a> {
    Small { elements: listpack::Iter<'a>, expires: bool },
    Table(table::Iter<'a, true>),
}

impl<'a> Inner<'a> {
    fn next(&mut self) -> Option<HashEntry<'a>> {
        match self {
            Inner::Small { elements, expires } => {
                let (field, value) = (elements.next()?, elements.next()?);
                let expire_at = match if *expires { elements.next() } else { None } {
                    Some(Element::Int(at @ 1..)) => Some(at.unsigned_abs()),
                    _ => None,
                };
                Some(HashEntry { field, value, expire_at })
            }
            Inner::Table(entries) => {
                let entry = entries.next()?;
                let (field, value) = pair(entry);
                let expire_at = (entry.expire_at != NEVER).then_some(entry.expire_at);
                Some(HashEntry { field, value, expire_at })
            }
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        loop {
            let entry = self.inner.next()?;
            if !is_expired(entry.expire_at.unwrap_or(NEVER), self.now) {
                return Some((entry.field, entry.value));
            }
        }
    }
}

/// Draws fields with repeats; see [`Hash::sampler`].
#[derive(Debug)]
pub struct Sampler<'a>(Source<'a>);

#[derive(Debug)]
enum Source<'a> {
    /// All of the table is visible: any rank will do.
    Ranks(&'a Table),
    List(Vec<Pair<'a>>),
}

impl<'a> Sampler<'a> {
    /// A field with its value; `None` if there is none to see.
    pub fn draw(&self, random: &mut dyn FnMut() -> u64) -> Option<Pair<'a>> {
        match &self.0 {
            Source::Ranks(table) => table.nth(below(table.len(), random)).map(pair),
            Source::List(pairs) => pairs.get(below(pairs.len(), random)).copied(),
        }
    }
}

#[cfg(test)]
#[path = "hash/hash_tests.rs"]
mod tests;
