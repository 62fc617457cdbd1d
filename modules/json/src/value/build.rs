//! How does a value come to be, child by child, without a tree of temporaries?
//!
//! All packed children of the containers being built are appended to one scratch buffer. A container that ends small
//! is closed in place and has cost no allocation; one that outgrows a block takes its children out of the buffer into
//! a tree node and goes on there (it has *spilled*). Whether a child was packed, is a number that may yet go into a
//! plain vector, or is a tree node, is what [`Item`] says.
//!
//! Invariants: a container's bytes start where the buffer ended when it began, and its children follow in order; after
//! a child of a spilled container has been added, the buffer ends where that container began.

use std::ops::Range;

use triomphe::Arc;

use super::names::Names;
use super::object::Object;
use super::packed::{self, BLOCK_BYTES_MAX, Container, HEADER_BYTES, Packed};
use super::{Node, Value};

/// A packed object has at most this many members while it is parsed: looking for a duplicate name is a scan.
const PACKED_MEMBERS_MAX: usize = 256;

/// What was just built, in the form that its container can use best.
#[derive(Debug)]
pub(crate) enum Item {
    /// Appended to the scratch buffer.
    Packed,
    Int(i64),
    Float(f64),
    Node(Value),
}

/// The scratch buffer and the dictionary of names.
pub(crate) struct Builder {
    scratch: Vec<u8>,
    names: Names,
}

impl Builder {
    /// A builder for a document of about `bytes` bytes of text.
    pub(crate) fn new(bytes: usize) -> Builder {
        let capacity = bytes.min(2 * BLOCK_BYTES_MAX);
        Builder { scratch: Vec::with_capacity(capacity), names: Names::lock() }
    }

    pub(crate) fn null(&mut self) -> Item {
        packed::put_null(&mut self.scratch);
        Item::Packed
    }

    pub(crate) fn bool(&mut self, value: bool) -> Item {
        packed::put_bool(&mut self.scratch, value);
        Item::Packed
    }

    pub(crate) fn unsigned(&mut self, value: u64) -> Item {
        match i64::try_from(value) {
            Ok(value) => Item::Int(value),
            Err(_) => {
                packed::put_unsigned(&mut self.scratch, value);
                Item::Packed
            }
        }
    }

    pub(crate) fn text(&mut self, text: &str) -> Item {
        if text.len() > BLOCK_BYTES_MAX {
            // It would only be copied out again.
            return Item::Node(Value::text(text));
        }
        packed::put_text(&mut self.scratch, text.as_bytes());
        Item::Packed
    }

    /// The document, once its root has been built.
    pub(crate) fn finish(self, root: Item) -> Value {
        match root {
            Item::Packed => Value::from_packed(&self.scratch),
            Item::Int(value) => Value::int(value),
            Item::Float(value) => Value::float(value),
            Item::Node(value) => value,
        }
    }

    /// Packs what can be packed; what cannot stays outside the buffer.
    fn pack(&mut self, item: Item) -> Option<Value> {
        match item {
            Item::Packed => None,
            Item::Int(value) => {
                packed::put_int(&mut self.scratch, value);
                None
            }
            Item::Float(value) => {
                packed::put_float(&mut self.scratch, value);
                None
            }
            Item::Node(value) => Some(value),
        }
    }
}

/// Elements of an array that has spilled, in the densest form that fits them all.
#[derive(Clone, Debug)]
pub(super) enum Elements {
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Values(Vec<Value>),
}

impl Elements {
    /// Those of a packed array.
    pub(super) fn from_packed<'a>(mut bytes: impl Iterator<Item = &'a [u8]>) -> Elements {
        let mut elements = Elements::Ints(Vec::new());
        if let Some(first) = bytes.next() {
            elements = match packed::read(first) {
                Packed::Float(value) => Elements::Floats(vec![value]),
                Packed::Int(value) => Elements::Ints(vec![value]),
                _ => Elements::Values(vec![Value::from_packed(first)]),
            };
        }
        bytes.for_each(|bytes| elements.push_packed(bytes));
        elements
    }

    fn push_packed(&mut self, bytes: &[u8]) {
        match packed::read(bytes) {
            Packed::Int(value) => self.push_int(value),
            Packed::Float(value) => self.push_float(value),
            _ => self.push_value(Value::from_packed(bytes)),
        }
    }

    fn push_int(&mut self, value: i64) {
        match self {
            Elements::Ints(ints) => ints.push(value),
            _ => self.push_value(Value::int(value)),
        }
    }

    fn push_float(&mut self, value: f64) {
        match self {
            Elements::Floats(floats) => floats.push(value),
            _ => self.push_value(Value::float(value)),
        }
    }

    fn push_value(&mut self, value: Value) {
        self.values().push(value);
    }

    /// The elements as values, whatever they were.
    fn values(&mut self) -> &mut Vec<Value> {
        let values = match self {
            Elements::Ints(ints) => ints.iter().map(|&value| Value::int(value)).collect(),
            Elements::Floats(floats) => floats.iter().map(|&value| Value::float(value)).collect(),
            Elements::Values(values) => std::mem::take(values),
        };
        *self = Elements::Values(values);
        let Elements::Values(values) = self else { unreachable!("assigned above") };
        values
    }

    pub(super) fn into_value(self) -> Value {
        Value(match self {
            Elements::Ints(mut ints) => {
                ints.shrink_to_fit();
                Node::Ints(Arc::new(ints))
            }
            Elements::Floats(mut floats) => {
                floats.shrink_to_fit();
                Node::Floats(Arc::new(floats))
            }
            Elements::Values(mut values) => {
                values.shrink_to_fit();
                Node::Array(Arc::new(values))
            }
        })
    }
}

/// An array being built.
pub(crate) struct ArrayBuilder {
    start: usize,
    count: usize,
    spilled: Option<Elements>,
}

impl ArrayBuilder {
    /// Starts an array. Each element is built next and passed to [`ArrayBuilder::add`].
    pub(crate) fn begin(builder: &mut Builder) -> ArrayBuilder {
        let start = packed::open(&mut builder.scratch);
        ArrayBuilder { start, count: 0, spilled: None }
    }

    pub(crate) fn add(&mut self, builder: &mut Builder, item: Item) {
        self.count += 1;
        match &mut self.spilled {
            None => {
                if let Some(value) = builder.pack(item) {
                    self.spill(builder).push_value(value);
                } else if builder.scratch.len() - self.start > BLOCK_BYTES_MAX {
                    self.spill(builder);
                }
            }
            Some(elements) => match item {
                Item::Packed => {
                    elements.push_packed(&builder.scratch[self.start..]);
                    builder.scratch.truncate(self.start);
                }
                Item::Int(value) => elements.push_int(value),
                Item::Float(value) => elements.push_float(value),
                Item::Node(value) => elements.push_value(value),
            },
        }
    }

    fn spill(&mut self, builder: &mut Builder) -> &mut Elements {
        let body = &builder.scratch[self.start + HEADER_BYTES..];
        let elements = Elements::from_packed(packed::elements(body));
        builder.scratch.truncate(self.start);
        self.spilled.insert(elements)
    }

    pub(crate) fn finish(self, builder: &mut Builder) -> Item {
        match self.spilled {
            None => {
                packed::close(&mut builder.scratch, self.start, Container::Array, self.count);
                Item::Packed
            }
            Some(elements) => Item::Node(elements.into_value()),
        }
    }
}

/// An object being built. Of members with the same name the last value counts, at the place of the first.
pub(crate) struct ObjectBuilder {
    start: usize,
    count: usize,
    /// Where the bytes of the member being built begin, and those of its value.
    name_at: usize,
    value_at: usize,
    /// The value that the member being built replaces.
    replaces: Option<Range<usize>>,
    seen: Seen,
    spilled: Option<Object>,
}

impl ObjectBuilder {
    /// Starts an object. For each member comes [`ObjectBuilder::name`], the building of the value, and
    /// [`ObjectBuilder::add`].
    pub(crate) fn begin(builder: &mut Builder) -> ObjectBuilder {
        let start = packed::open(&mut builder.scratch);
        ObjectBuilder {
            start,
            count: 0,
            name_at: 0,
            value_at: 0,
            replaces: None,
            seen: Seen::default(),
            spilled: None,
        }
    }

    pub(crate) fn name(&mut self, builder: &mut Builder, name: &str) {
        let name = name.as_bytes();
        self.name_at = builder.scratch.len();
        let hash = builder.names.hash(name);
        self.replaces = match self.spilled {
            None if self.seen.maybe(hash) => self.find(builder, name),
            _ => None,
        };
        let stored = builder.names.stored_hashed(hash, name);
        packed::put_name(&mut builder.scratch, stored);
        self.value_at = builder.scratch.len();
    }

    /// Where the value of an earlier member of that name stands.
    fn find(&self, builder: &Builder, name: &[u8]) -> Option<Range<usize>> {
        let mut at = self.start + HEADER_BYTES;
        for member in packed::members(&builder.scratch[at..]) {
            let value_at = at + member.name_bytes.len();
            at = value_at + member.value.len();
            if member.name.text() == name {
                return Some(value_at..at);
            }
        }
        None
    }

    pub(crate) fn add(&mut self, builder: &mut Builder, item: Item) {
        let item = builder.pack(item);
        if self.spilled.is_none() {
            let fits = builder.scratch.len() - self.start <= BLOCK_BYTES_MAX
                && self.count < PACKED_MEMBERS_MAX;
            if item.is_none() && fits {
                self.keep(builder);
                return;
            }
            self.spill(builder);
        }
        let object = self.spilled.as_mut().expect("spilled above");
        let (name, len) = packed::read_name(&builder.scratch[self.start..]);
        let value =
            item.unwrap_or_else(|| Value::from_packed(&builder.scratch[self.start + len..]));
        object.insert(name, value);
        builder.scratch.truncate(self.start);
    }

    /// Keeps the member that ends the buffer, packed.
    fn keep(&mut self, builder: &mut Builder) {
        match self.replaces.take() {
            None => self.count += 1,
            Some(old) => {
                let value = builder.scratch.split_off(self.value_at);
                builder.scratch.truncate(self.name_at);
                builder.scratch.splice(old, value);
            }
        }
    }

    /// Moves all members but the one being built into a tree node.
    fn spill(&mut self, builder: &mut Builder) {
        let mut object = Object::with_capacity(2 * self.count);
        let body = &builder.scratch[self.start + HEADER_BYTES..self.name_at];
        for member in packed::members(body) {
            object.push(member.name, Value::from_packed(member.value));
        }
        builder.scratch.drain(self.start..self.name_at);
        self.spilled = Some(object);
    }

    pub(crate) fn finish(self, builder: &mut Builder) -> Item {
        match self.spilled {
            None => {
                packed::close(&mut builder.scratch, self.start, Container::Object, self.count);
                Item::Packed
            }
            Some(mut object) => {
                object.shrink();
                Item::Node(Value(Node::Object(Arc::new(object))))
            }
        }
    }
}

/// A 256-bit filter over the names of one object, so that most names need no scan for duplicates.
#[derive(Default)]
struct Seen([u64; 4]);

impl Seen {
    /// Whether a name of this hash may have been passed before.
    #[inline]
    fn maybe(&mut self, hash: u64) -> bool {
        let mixed = (hash >> 24) as u8;
        let word = &mut self.0[usize::from(mixed >> 6)];
        let bit = 1 << (mixed & 63);
        let seen = *word & bit != 0;
        *word |= bit;
        seen
    }
}
