//! How does a small hash lie in a listpack? As field, value, field, value, ... in order of arrival;
//! with the expiry of the field behind each value once a field has had one.
//!
//! Invariant: the number of elements is a multiple of the stride, and the third of three is an
//! integer: Unix milliseconds, 0 for never.

use crate::object::listpack::{Element, Listpack, Position};
use crate::object::table::Expiry;
use crate::object::table::leaf::{NEVER, is_expired};

/// A listpack of fields and values, and expiries if `expires`.
#[derive(Clone, Debug, Default)]
pub struct Small {
    pub listpack: Listpack,
    pub expires: bool,
}

impl Small {
    pub fn stride(&self) -> usize {
        if self.expires { 3 } else { 2 }
    }

    /// Where `field` is.
    #[inline]
    pub fn find(&self, field: &[u8]) -> Option<Position> {
        self.listpack.find(self.listpack.first()?, field, self.stride())
    }

    /// Where the fields are.
    pub fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        let step = |at: Position| (0..self.stride()).try_fold(at, |at, _| self.listpack.next(at));
        std::iter::successors(self.listpack.first(), move |&at| step(at))
    }

    /// Where the value of the field at `at` is.
    #[inline]
    pub fn value_of(&self, at: Position) -> Position {
        self.listpack.next(at).expect("a field is followed by its value")
    }

    /// When the field at `at` expires. In the listpack 0 stands for never.
    pub fn expire_at(&self, at: Position) -> u64 {
        if !self.expires {
            return NEVER;
        }
        let place =
            self.listpack.next(self.value_of(at)).expect("a value is followed by its expiry");
        match self.listpack.get(place) {
            Element::Int(at @ 1..) => at.unsigned_abs(),
            _ => NEVER,
        }
    }

    pub fn put(&mut self, field: &[u8], value: &[u8], expiry: Expiry, now: u64) -> bool {
        let Some(at) = self.find(field) else {
            self.listpack.push_back(field);
            self.listpack.push_back(value);
            if self.expires {
                let expire_at = if let Expiry::Set(at) = expiry { at } else { NEVER };
                self.listpack.push_back_i64(expiry_number(expire_at));
            }
            return true;
        };
        let old = self.expire_at(at);
        let place = self.value_of(at);
        self.listpack.replace(place, value);
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

    /// Makes room for an expiry behind each value.
    pub fn make_expiring(&mut self) {
        if self.expires {
            return;
        }
        let mut wide = Listpack::new();
        for (at, element) in self.listpack.iter().enumerate() {
            match element {
                Element::Int(value) => wide.push_back_i64(value),
                Element::Str(text) => wide.push_back(text),
            }
            if at % 2 == 1 {
                wide.push_back_i64(expiry_number(NEVER));
            }
        }
        *self = Self { listpack: wide, expires: true };
    }

    pub fn set_expire_at(&mut self, field: &[u8], expire_at: u64) {
        if let Some(at) = self.find(field)
            && let Some(place) = self.listpack.next(self.value_of(at))
            && self.expires
        {
            self.listpack.replace_i64(place, expiry_number(expire_at));
        }
    }
}

/// An expiry as it stands in a listpack.
fn expiry_number(expire_at: u64) -> i64 {
    if expire_at == NEVER { 0 } else { i64::try_from(expire_at).unwrap_or(i64::MAX) }
}
