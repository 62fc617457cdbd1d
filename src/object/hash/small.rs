//! How does a small hash lie in a listpack? As field, value, field, value, ... in order of arrival;
//! with the expiry of the field behind each value once a field has had one, which the listpack's mark
//! tells.
//!
//! Invariant: the number of elements is a multiple of the stride, and the third of three is an
//! integer: Unix milliseconds, 0 for never.

use crate::object::listpack::{Element, Listpack, Position};
use crate::object::table::Expiry;
use crate::object::table::leaf::{NEVER, is_expired};

/// A listpack as a small hash.
pub trait Small {
    /// Whether each value is followed by an expiry.
    fn expires(&self) -> bool;
    /// Elements of one field.
    fn stride(&self) -> usize;
    /// Where `field` is.
    fn find_field(&self, field: &[u8]) -> Option<Position>;
    /// Where the fields are.
    fn positions(&self) -> impl Iterator<Item = Position> + '_;
    /// Where the value of the field at `at` is.
    fn value_of(&self, at: Position) -> Position;
    /// When the field at `at` expires.
    fn expire_at(&self, at: Position) -> u64;
    /// Gives a field a value; whether it is new, or had expired at `now`.
    fn put(&mut self, field: &[u8], value: &[u8], expiry: Expiry, now: u64) -> bool;
    /// Makes room for an expiry behind each value.
    fn make_expiring(&mut self);
    /// Sets a field's expiry, if there is room for one.
    fn set_expire_at(&mut self, field: &[u8], expire_at: u64);
}

impl Small for Listpack {
    #[inline]
    fn expires(&self) -> bool {
        self.mark()
    }

    #[inline]
    fn stride(&self) -> usize {
        if self.expires() { 3 } else { 2 }
    }

    #[inline]
    fn find_field(&self, field: &[u8]) -> Option<Position> {
        self.find(self.first()?, field, self.stride())
    }

    fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        let step = |at: Position| (0..self.stride()).try_fold(at, |at, _| self.next(at));
        std::iter::successors(self.first(), move |&at| step(at))
    }

    #[inline]
    fn value_of(&self, at: Position) -> Position {
        self.next(at).expect("a field is followed by its value")
    }

    /// In the listpack 0 stands for never.
    fn expire_at(&self, at: Position) -> u64 {
        if !self.expires() {
            return NEVER;
        }
        let place = self.next(self.value_of(at)).expect("a value is followed by its expiry");
        match self.get(place) {
            Element::Int(at @ 1..) => at.unsigned_abs(),
            _ => NEVER,
        }
    }

    fn put(&mut self, field: &[u8], value: &[u8], expiry: Expiry, now: u64) -> bool {
        let Some(at) = self.find_field(field) else {
            self.push_back(field);
            self.push_back(value);
            if self.expires() {
                let expire_at = if let Expiry::Set(at) = expiry { at } else { NEVER };
                self.push_back_i64(expiry_number(expire_at));
            }
            return true;
        };
        let old = self.expire_at(at);
        let place = self.value_of(at);
        self.replace(place, value);
        let expired = is_expired(old, now);
        let new = match expiry {
            Expiry::Set(at) => at,
            Expiry::Keep if expired => NEVER,
            Expiry::Keep => old,
        };
        if new != old {
            self.set_expire_at(field, new);
        }
        expired
    }

    fn make_expiring(&mut self) {
        if self.expires() {
            return;
        }
        let mut wide = Listpack::new();
        for (at, element) in self.iter().enumerate() {
            match element {
                Element::Int(value) => wide.push_back_i64(value),
                Element::Str(text) => wide.push_back(text),
            }
            if at % 2 == 1 {
                wide.push_back_i64(expiry_number(NEVER));
            }
        }
        wide.set_mark(true);
        *self = wide;
    }

    fn set_expire_at(&mut self, field: &[u8], expire_at: u64) {
        if let Some(at) = self.find_field(field)
            && let Some(place) = self.next(self.value_of(at))
            && self.expires()
        {
            self.replace_i64(place, expiry_number(expire_at));
        }
    }
}

/// An expiry as it stands in a listpack.
fn expiry_number(expire_at: u64) -> i64 {
    if expire_at == NEVER { 0 } else { i64::try_from(expire_at).unwrap_or(i64::MAX) }
}
