//! What does the server know of a value whose type belongs to a module? A pointer it never follows,
//! and the functions the module registered for the type.
//!
//! The pointer is an integer here, so nothing in this file can dereference it; the module host,
//! which implements [`TypeVtable`] over the C functions, turns it back. A value is owned: dropping
//! it frees it, exactly once. Foreign code thus runs in `drop`: whoever drops a value holds the
//! exclusive lock and no borrow of the keyspace, or has asked the type whether its values may be freed
//! elsewhere ([`ModuleValue::effort_to_free`]).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::rdb::write::Style;
use crate::base::moving::Mover;

/// What a module type can do with its values. `value` is a pointer that the module itself handed
/// out.
///
/// Implementors outside the module host are tests only.
pub trait TypeVtable: Send + Sync {
    /// The nine-character name of the type, as `TYPE` and RDB have it.
    fn name(&self) -> &str;

    /// Name and encoding version packed into 64 bits, as RDB has them.
    fn id(&self) -> u64;

    /// Whether values change only between being asked for from a key that is open to write and the end of
    /// the call that asked: so that a snapshot can be taken while their module goes on.
    fn changes_seen(&self) -> bool {
        false
    }

    /// Asks for the memory at the value's pointer.
    fn fetch(&self, value: usize) {
        let _ = value;
    }

    /// Asks for the memory behind that which commands will read first.
    fn fetch_inside(&self, value: usize) {
        let _ = value;
    }

    /// Frees the value.
    fn free(&self, value: usize);

    /// The items that stand for a value in RDB (`object/rdb/module.rs`), without an end mark; `None` if
    /// the type cannot be saved.
    fn save(&self, key: KeyName<'_>, value: usize, style: Style) -> Option<Vec<u8>> {
        let _ = (key, value, style);
        None
    }

    /// Makes a value of items that this encoding version of the type has saved. Says also how many bytes
    /// of them it has read; `None` if they are not its.
    fn load(&self, key: KeyName<'_>, items: &[u8], version: i32) -> Option<(usize, usize)> {
        let _ = (key, items, version);
        None
    }

    /// The commands that make a key of such a value; `None` if the type does not say.
    fn rewrite(&self, key: KeyName<'_>, value: usize) -> Option<Vec<Vec<Vec<u8>>>> {
        let _ = (key, value);
        None
    }

    /// A deep copy for COPY, or `None` if the type cannot be copied.
    fn copy(&self, names: KeyNames<'_>, value: usize) -> Option<usize>;

    /// Bytes for MEMORY USAGE, `None` if the type does not say. `samples` bounds the work; 0 is
    /// "all".
    fn memory_bytes(&self, key: KeyName<'_>, value: usize, samples: usize) -> Option<usize>;

    /// Whether the type has a way to copy its values.
    fn is_copied(&self) -> bool {
        true
    }

    /// How much work freeing is; 1 is "little", and what is more may be freed in the background; 0 is
    /// "always there".
    fn free_effort(&self, key: KeyName<'_>, value: usize) -> usize {
        let _ = (key, value);
        1
    }

    /// Feeds what the value consists of into DEBUG DIGEST.
    fn digest(&self, key: KeyName<'_>, value: usize, sink: &mut dyn DigestSink) {
        let _ = (key, value, sink);
    }

    /// Moves blocks of the value: all of them, or from `from` on until time is up. Says where the value is now, and where to
    /// go on if there is more.
    fn move_blocks(
        &self,
        key: KeyName<'_>,
        value: usize,
        from: Option<u64>,
        mover: &mut Mover<'_>,
    ) -> (usize, Option<u64>) {
        let _ = (key, from, mover);
        (value, None)
    }

    /// Told when the key is removed from the keyspace, before the value is freed, perhaps
    /// elsewhere.
    fn unlink(&self, key: KeyName<'_>, value: usize) {
        let _ = (key, value);
    }
}

/// A key as callbacks are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyName<'a> {
    /// The key, if the caller knows it.
    pub name: Option<&'a [u8]>,
    /// Number of its db, or -1 if the caller does not know it.
    pub db: i32,
}

/// The two keys of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyNames<'a> {
    /// The key copied from.
    pub from: KeyName<'a>,
    /// The key copied to.
    pub to: KeyName<'a>,
}

/// Where the parts of a value go on their way into a digest.
pub trait DigestSink {
    /// One part, whose order among the others of its sequence counts.
    fn add(&mut self, part: &[u8]);

    /// Ends a sequence; the order of sequences does not count.
    fn end_sequence(&mut self);
}

static LIVE: AtomicUsize = AtomicUsize::new(0);
/// Those that may change where nobody sees it.
static LIVE_UNSEEN: AtomicUsize = AtomicUsize::new(0);

/// A value of a module type.
pub struct ModuleValue {
    vtable: Arc<dyn TypeVtable>,
    value: usize,
    /// It counts in `LIVE_UNSEEN`.
    unseen: bool,
}

impl ModuleValue {
    /// Takes the ownership of `value`, which was made by the module of `vtable`.
    pub fn new(vtable: Arc<dyn TypeVtable>, value: usize) -> Self {
        let unseen = !vtable.changes_seen();
        LIVE.fetch_add(1, Ordering::Relaxed);
        LIVE_UNSEEN.fetch_add(usize::from(unseen), Ordering::Relaxed);
        Self { vtable, value, unseen }
    }

    /// How many values of module types there are in the process.
    pub fn live() -> usize {
        LIVE.load(Ordering::Relaxed)
    }

    /// How many of them may change where nobody sees it ([`TypeVtable::changes_seen`]).
    pub fn live_unseen() -> usize {
        LIVE_UNSEEN.load(Ordering::Relaxed)
    }

    /// The type.
    pub fn vtable(&self) -> &Arc<dyn TypeVtable> {
        &self.vtable
    }

    /// The pointer, good as long as `self` lives.
    pub fn pointer(&self) -> usize {
        self.value
    }

    /// Asks for the memory that the pointer leads to.
    #[inline]
    pub fn fetch(&self) {
        self.vtable.fetch(self.value);
    }

    /// Asks for the memory behind that; of use once the former has arrived.
    #[inline]
    pub fn fetch_inside(&self) {
        self.vtable.fetch_inside(self.value);
    }

    /// Whether the value is of the type with this id.
    pub fn is_type(&self, id: u64) -> bool {
        self.vtable.id() == id
    }

    /// Gives the ownership away without freeing.
    pub fn into_pointer(mut self) -> usize {
        std::mem::take(&mut self.value)
    }

    /// Tells the module that the key of this value is gone.
    pub fn unlink(&self, key: KeyName<'_>) {
        self.vtable.unlink(key, self.value);
    }

    /// How much work it is to free the value elsewhere; the most there is if its type always wants that.
    pub fn effort_to_free(&self, key: KeyName<'_>) -> usize {
        match self.vtable.free_effort(key, self.value) {
            0 => usize::MAX,
            effort => effort,
        }
    }

    /// The value, which was at `from`, is at `to` now: its module has moved it.
    pub fn relocate(&mut self, from: usize, to: usize) {
        if self.value == from {
            self.value = to;
        }
    }

    /// A deep copy, if the type can be copied.
    pub fn try_copy(&self, names: KeyNames<'_>) -> Option<Self> {
        let value = self.vtable.copy(names, self.value)?;
        Some(Self::new(Arc::clone(&self.vtable), value))
    }
}

impl Drop for ModuleValue {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        LIVE_UNSEEN.fetch_sub(usize::from(self.unseen), Ordering::Relaxed);
        // Null is what `into_pointer` leaves, and what a module may store; there is nothing to
        // free.
        if self.value != 0 {
            self.vtable.free(self.value);
        }
    }
}

impl fmt::Debug for ModuleValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleValue")
            .field("type", &self.vtable.name())
            .field("value", &format_args!("{:#x}", self.value))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Counter {
        freed: Mutex<Vec<usize>>,
    }

    impl TypeVtable for Counter {
        fn name(&self) -> &str {
            "countr-mo"
        }
        fn id(&self) -> u64 {
            7
        }
        fn free(&self, value: usize) {
            self.freed.lock().unwrap().push(value);
        }
        fn copy(&self, _: KeyNames<'_>, value: usize) -> Option<usize> {
            (value != 13).then_some(value + 100)
        }
        fn memory_bytes(&self, _: KeyName<'_>, _: usize, _: usize) -> Option<usize> {
            None
        }
    }

    const NAMES: KeyNames<'static> =
        KeyNames { from: KeyName { name: None, db: 0 }, to: KeyName { name: None, db: 0 } };

    #[test]
    fn a_value_is_freed_once() {
        let vtable = Arc::new(Counter::default());
        let value = ModuleValue::new(vtable.clone(), 1);
        let copy = value.try_copy(NAMES).unwrap();
        drop(value);
        assert_eq!(copy.into_pointer(), 101);
        assert_eq!(*vtable.freed.lock().unwrap(), [1]);
    }

    #[test]
    fn a_type_may_refuse_to_be_copied() {
        let value = ModuleValue::new(Arc::new(Counter::default()), 13);
        assert!(value.try_copy(NAMES).is_none());
        assert!(value.is_type(7) && !value.is_type(8));
    }
}
