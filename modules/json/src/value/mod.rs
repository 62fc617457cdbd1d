//! How is a JSON document kept in memory?
//!
//! A [`Value`] is 16 bytes. Small values, up to a few KiB of arrays and objects included, are *packed*: one run of bytes
//! with the names and the values one after the other (see `packed.rs`), inline when it takes at most 15 bytes, else in
//! one shared allocation. A container that grows past that becomes a *tree node* whose children are values again;
//! an array of only integers or only floats becomes a plain vector of them. Nobody outside this folder sees which: one
//! reads through [`View`] and changes through [`Value::edit`].
//!
//! Invariants:
//! - Tree nodes are shared and copied on write, so cloning a document takes constant time and a clone never changes.
//! - A tree node may be small (after removals) until [`Value::settle`] packs it again; a packed run is never larger
//!   than a few times its limit, and only between two edits of one command.
//! - A member has a *position*: its place in its container. A list of positions from the root is a *location*.
//!   Editing keeps the positions of everything that stands before the place of the edit; only `settle` renumbers.
//! - Nesting is limited by whoever adds to a document (`codec::DEPTH_MAX`), so recursion here is bounded.

mod build;
mod edit;
mod moving;
mod names;
mod object;
mod packed;
mod view;
mod way;

use std::cell::Cell;

use mortise_module::prefetch;
use triomphe::{Arc, ThinArc};

pub(crate) use self::build::{ArrayBuilder, Builder, Item, ObjectBuilder};
pub use self::edit::{Edit, StaleLocation};
pub use self::moving::Blocks;
pub use self::names::Name;
use self::object::Object;
use self::packed::Container;
pub(crate) use self::packed::decimal;
pub use self::view::{ArrayView, Kind, Member, Met, Numbers, ObjectView, View};
pub(crate) use self::way::{Spot, Step};

/// A JSON value that owns what it holds.
#[derive(Clone, Debug)]
pub struct Value(Node);

#[derive(Clone, Debug)]
enum Node {
    /// A packed value of at most 15 bytes.
    Inline([u8; INLINE_BYTES_MAX]),
    /// A longer packed value.
    Block(ThinArc<(), u8>),
    Array(Arc<Vec<Value>>),
    Ints(Arc<Vec<i64>>),
    Floats(Arc<Vec<f64>>),
    Object(Arc<Object>),
}

const INLINE_BYTES_MAX: usize = 15;

/// The lines of a block that are asked for ahead. What follows them the processor foresees.
const FETCHED_LINES: usize = 4;
const CACHE_LINE_BYTES: usize = 64;

/// A larger scratch buffer is not kept.
const SCRATCH_BYTES_MAX: usize = 1024;

thread_local! {
    /// Where single values are packed before they are put in place.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Allocation behind a `ThinArc<(), u8>`: count and length, then the bytes.
fn thin_bytes(len: usize) -> usize {
    block_bytes(2 * size_of::<usize>() + len)
}

/// Allocations behind an `Arc<Vec<T>>` whose vector has room for `capacity`.
fn vec_bytes<T>(capacity: usize) -> usize {
    block_bytes(size_of::<usize>() + size_of::<Vec<T>>()) + block_bytes(capacity * size_of::<T>())
}

/// What an allocator takes for a block: sizes come in steps of 8 up to 128, from there on in four steps to each doubling.
/// That is jemalloc's way, and what others do is near it.
fn block_bytes(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=128 => bytes.next_multiple_of(8),
        _ => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
    }
}

impl Value {
    /// `null`.
    pub fn null() -> Value {
        Value::from_put(packed::put_null)
    }

    /// `true` or `false`.
    pub fn bool(value: bool) -> Value {
        Value::from_put(|out| packed::put_bool(out, value))
    }

    /// An integer.
    pub fn int(value: i64) -> Value {
        Value::from_put(|out| packed::put_int(out, value))
    }

    /// An integer that may be above `i64::MAX`.
    pub fn unsigned(value: u64) -> Value {
        Value::from_put(|out| packed::put_unsigned(out, value))
    }

    /// A float. JSON has no infinities and no NaN; callers check.
    pub fn float(value: f64) -> Value {
        debug_assert!(value.is_finite());
        Value::from_put(|out| packed::put_float(out, value))
    }

    /// A string.
    pub fn text(text: &str) -> Value {
        Value::from_put(|out| packed::put_text(out, text.as_bytes()))
    }

    /// The string made of `first` and then `second`, both taken from strings.
    pub(crate) fn joined_text(first: &[u8], second: &[u8]) -> Value {
        Value::from_put(|out| packed::put_text(out, &[first, second].concat()))
    }

    /// `[]`.
    pub fn empty_array() -> Value {
        Value::from_put(|out| {
            let start = packed::open(out);
            packed::close(out, start, Container::Array, 0);
        })
    }

    /// `{}`.
    pub fn empty_object() -> Value {
        Value::from_put(|out| {
            let start = packed::open(out);
            packed::close(out, start, Container::Object, 0);
        })
    }

    fn from_put(put: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut out = SCRATCH.take();
        out.clear();
        put(&mut out);
        let value = Value::from_packed(&out);
        if out.capacity() <= SCRATCH_BYTES_MAX {
            SCRATCH.set(out);
        }
        value
    }

    /// Copies a packed value; a container that has outgrown a block becomes tree nodes as far down as needed.
    fn from_packed(bytes: &[u8]) -> Value {
        let mut inline = [0; INLINE_BYTES_MAX];
        if bytes.len() <= INLINE_BYTES_MAX {
            inline[..bytes.len()].copy_from_slice(bytes);
            return Value(Node::Inline(inline));
        }
        let mut value = Value(Node::Block(ThinArc::from_header_and_slice((), bytes)));
        if bytes.len() > packed::BLOCK_BYTES_MAX {
            // A long string stays as it is whatever its length.
            value.unpack();
        }
        value
    }

    /// The bytes of a packed value; `None` for a tree node.
    fn packed(&self) -> Option<&[u8]> {
        match &self.0 {
            Node::Inline(bytes) => Some(&bytes[..packed::value_len(bytes)]),
            Node::Block(block) => Some(&block.slice),
            _ => None,
        }
    }

    /// The value, to read.
    pub fn view(&self) -> View<'_> {
        View::of(self)
    }

    /// What stands at `location`, if anything does.
    pub fn at(&self, location: &[u32]) -> Option<View<'_>> {
        location.iter().try_fold(self.view(), |view, &position| view.child(position))
    }

    /// Asks for the memory that reading the value begins with.
    pub(crate) fn fetch(&self) {
        let block = match &self.0 {
            Node::Inline(_) => return,
            Node::Block(block) => block.as_ptr(),
            Node::Array(items) => Arc::as_ptr(items).cast(),
            Node::Ints(items) => Arc::as_ptr(items).cast(),
            Node::Floats(items) => Arc::as_ptr(items).cast(),
            Node::Object(object) => Arc::as_ptr(object).cast(),
        };
        for line in 0..FETCHED_LINES {
            prefetch(block.wrapping_byte_add(line * CACHE_LINE_BYTES));
        }
    }

    /// Bytes that the value takes, itself included, with what the allocator rounds up.
    /// What a clone shares is counted in both.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Value>() + self.heap_bytes()
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Node::Inline(_) => 0,
            Node::Block(block) => thin_bytes(block.slice.len()),
            Node::Array(items) => {
                let below: usize = items.iter().map(Value::heap_bytes).sum();
                vec_bytes::<Value>(items.capacity()) + below
            }
            Node::Ints(items) => vec_bytes::<i64>(items.capacity()),
            Node::Floats(items) => vec_bytes::<f64>(items.capacity()),
            Node::Object(object) => {
                block_bytes(size_of::<usize>() + size_of::<Object>()) + object.heap_bytes()
            }
        }
    }
}

impl PartialEq for Value {
    /// Deep equality in which `3` is not `3.0` and the order of members does not matter.
    fn eq(&self, other: &Value) -> bool {
        self.view().same(other.view())
    }
}

#[cfg(test)]
pub(crate) mod tests;
