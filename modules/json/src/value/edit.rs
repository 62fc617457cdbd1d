//! How does a document change in place?
//!
//! An edit inside a packed run writes the run anew in one pass: what stands before and after is copied, the headers on
//! the way are written again. If the result is too large for a block, its outermost container becomes a tree node; if
//! what is put in cannot be packed, the containers on the way become tree nodes first. An edit inside tree nodes walks
//! down to the place, copying a node only if a clone of the document shares it.
//!
//! Invariants: an edit either applies in full or returns [`StaleLocation`] with the value unchanged in meaning;
//! positions before the place of an edit stay as they were (callers apply several edits from the back).

use std::fmt;
use std::ops::Range;

use triomphe::Arc;

use super::build::Elements;
use super::names::Names;
use super::object::Object;
use super::packed::{self, BLOCK_BYTES_MAX, Container, Packed, Run};
use super::{Node, Value};

/// A tree node with at most this many children is packed again when it has become small.
const REPACKED_CHILDREN_MAX: usize = 64;
/// A node is packed again at half the limit, so that a container at the limit does not go back and forth.
const REPACKED_BYTES_MAX: usize = BLOCK_BYTES_MAX / 2;

/// One change at a location.
#[derive(Clone, Debug)]
pub enum Edit {
    /// The value at the location becomes this one.
    Replace(Value),
    /// The container at the location loses the children at these positions, which ascend.
    Remove(Vec<u32>),
    /// The object at the location gains a member at its end. The name must be new to it.
    AddMember(String, Value),
    /// In the array at the location, `remove` elements from index `at` on give way to others.
    Splice {
        /// Where; at most the length of the array.
        at: usize,
        /// How many elements go; those that exist.
        remove: usize,
        /// What comes in their place.
        insert: Vec<Value>,
    },
}

/// The location names nothing, or nothing that the edit applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleLocation;

impl fmt::Display for StaleLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing to change at this location")
    }
}

impl std::error::Error for StaleLocation {}

impl Edit {
    /// Packed bytes of all that the edit puts in; `None` if some of it is a tree node.
    fn added_bytes(&self) -> Option<usize> {
        let bytes = |value: &Value| value.packed().map(<[u8]>::len);
        match self {
            Edit::Remove(_) => Some(0),
            Edit::Replace(value) => bytes(value),
            Edit::AddMember(name, value) => Some(name.len() + bytes(value)?),
            Edit::Splice { insert, .. } => {
                insert.iter().try_fold(0, |sum, value| Some(sum + bytes(value)?))
            }
        }
    }
}

impl Value {
    /// Changes what stands at `location`.
    pub fn edit(&mut self, location: &[u32], edit: Edit) -> Result<(), StaleLocation> {
        if location.is_empty()
            && let Edit::Replace(value) = edit
        {
            *self = value;
            return Ok(());
        }
        match &mut self.0 {
            Node::Inline(_) | Node::Block(_) => self.edit_packed(location, edit),
            Node::Array(items) => {
                let items = Arc::make_mut(items);
                match location.split_first() {
                    None => edit_elements(items, edit, Some),
                    Some((&position, rest)) => {
                        items.get_mut(position as usize).ok_or(StaleLocation)?.edit(rest, edit)
                    }
                }
            }
            Node::Ints(items) => match fitting(&edit, location, as_int) {
                true => edit_numbers(Arc::make_mut(items), location, edit, as_int),
                false => self.widen().edit(location, edit),
            },
            Node::Floats(items) => match fitting(&edit, location, as_float) {
                true => edit_numbers(Arc::make_mut(items), location, edit, as_float),
                false => self.widen().edit(location, edit),
            },
            Node::Object(object) => {
                let object = Arc::make_mut(object);
                match location.split_first() {
                    None => edit_members(object, edit),
                    Some((&position, rest)) => {
                        object.value_mut(position).ok_or(StaleLocation)?.edit(rest, edit)
                    }
                }
            }
        }
    }

    /// Makes the tree nodes on the way to `location` small again where edits have emptied them. To be called once
    /// after the edits of one command, for the containers that lost something.
    pub fn settle(&mut self, location: &[u32]) {
        if let Some((&position, rest)) = location.split_first() {
            let child = match &mut self.0 {
                Node::Array(items) => {
                    Arc::get_mut(items).and_then(|items| items.get_mut(position as usize))
                }
                Node::Object(object) => {
                    Arc::get_mut(object).and_then(|object| object.value_mut(position))
                }
                _ => None,
            };
            if let Some(child) = child {
                child.settle(rest);
            }
        }
        if let Some(bytes) = self.repacked() {
            *self = Value::from_packed(&bytes);
            return;
        }
        match &mut self.0 {
            Node::Array(items) => give_back(items),
            Node::Ints(items) => give_back(items),
            Node::Floats(items) => give_back(items),
            Node::Object(object) => {
                if let Some(object) = Arc::get_mut(object) {
                    object.compact();
                }
            }
            Node::Inline(_) | Node::Block(_) => {}
        }
    }

    fn edit_packed(&mut self, location: &[u32], edit: Edit) -> Result<(), StaleLocation> {
        if let Edit::Replace(value) = &edit
            && self.overwrite(location, value)
        {
            return Ok(());
        }
        let added = edit.added_bytes();
        if added.is_none_or(|bytes| bytes > BLOCK_BYTES_MAX) {
            return self.unpack().ok_or(StaleLocation)?.edit(location, edit);
        }
        let bytes = self.packed().expect("only packed values come here");
        let mut out = Vec::with_capacity(bytes.len() + added.unwrap_or(0) + 16);
        rewrite(bytes, location, &edit, &mut out)?;
        *self = Value::from_packed(&out);
        Ok(())
    }

    /// Writes a value over the one at `location`, if it takes as many bytes and no clone of the document sees it. Counters
    /// do so nearly always.
    fn overwrite(&mut self, location: &[u32], value: &Value) -> bool {
        let (Some(bytes), Some(new)) = (self.packed(), value.packed()) else { return false };
        let Some(place) = place_of(bytes, location).filter(|place| place.len() == new.len()) else {
            return false;
        };
        match &mut self.0 {
            Node::Inline(bytes) => bytes[place].copy_from_slice(new),
            Node::Block(block) => {
                return block.with_arc_mut(|block| {
                    let block = Arc::get_mut(block);
                    block.map(|block| block.slice_mut()[place].copy_from_slice(new)).is_some()
                });
            }
            _ => unreachable!("only what is packed has bytes"),
        }
        true
    }

    /// Turns a packed container into a tree node, its children staying packed. `None` if it is no container.
    pub(super) fn unpack(&mut self) -> Option<&mut Value> {
        let bytes = self.packed()?;
        *self = match packed::read(bytes) {
            Packed::Array(run) => Elements::from_packed(run.elements()).into_value(),
            Packed::Object(run) => {
                let mut object = Object::with_capacity(run.count as usize + 1);
                for member in run.members() {
                    object.push(member.name, Value::from_packed(member.value));
                }
                Value(Node::Object(Arc::new(object)))
            }
            _ => return None,
        };
        Some(self)
    }

    /// Turns a vector of numbers into an array of values.
    fn widen(&mut self) -> &mut Value {
        let values: Vec<Value> = match &self.0 {
            Node::Ints(items) => items.iter().map(|&value| Value::int(value)).collect(),
            Node::Floats(items) => items.iter().map(|&value| Value::float(value)).collect(),
            _ => unreachable!("only vectors of numbers are widened"),
        };
        self.0 = Node::Array(Arc::new(values));
        self
    }

    /// The packed form of a tree node that has become small.
    fn repacked(&self) -> Option<Vec<u8>> {
        if self.packed().is_some() {
            return None;
        }
        let mut out = Vec::new();
        let start = packed::open(&mut out);
        let few = |children: usize| (children <= REPACKED_CHILDREN_MAX).then_some(children);
        let (kind, count) = match &self.0 {
            Node::Inline(_) | Node::Block(_) => unreachable!("only tree nodes come here"),
            Node::Array(items) => {
                let count = few(items.len())?;
                for item in items.iter() {
                    put_child(&mut out, item)?;
                }
                (Container::Array, count)
            }
            Node::Ints(items) => {
                let count = few(items.len())?;
                items.iter().for_each(|&value| packed::put_int(&mut out, value));
                (Container::Array, count)
            }
            Node::Floats(items) => {
                let count = few(items.len())?;
                items.iter().for_each(|&value| packed::put_float(&mut out, value));
                (Container::Array, count)
            }
            Node::Object(object) => {
                let count = few(object.len())?;
                for (name, value) in object.packed_members() {
                    out.extend_from_slice(name);
                    put_child(&mut out, value)?;
                }
                (Container::Object, count)
            }
        };
        packed::close(&mut out, start, kind, count);
        Some(out)
    }
}

fn put_child(out: &mut Vec<u8>, child: &Value) -> Option<()> {
    let bytes = child.packed()?;
    if out.len() + bytes.len() > REPACKED_BYTES_MAX {
        return None;
    }
    out.extend_from_slice(bytes);
    Some(())
}

fn give_back<T>(items: &mut Arc<Vec<T>>) {
    if let Some(items) = Arc::get_mut(items)
        && items.capacity() > 2 * items.len()
    {
        items.shrink_to_fit();
    }
}

fn as_int(value: Value) -> Option<i64> {
    match value.packed().map(packed::read) {
        Some(Packed::Int(value)) => Some(value),
        _ => None,
    }
}

fn as_float(value: Value) -> Option<f64> {
    match value.packed().map(packed::read) {
        Some(Packed::Float(value)) => Some(value),
        _ => None,
    }
}

/// Whether `edit` leaves a vector of numbers one.
fn fitting<T>(edit: &Edit, location: &[u32], number: fn(Value) -> Option<T>) -> bool {
    match edit {
        Edit::Replace(value) => location.len() == 1 && number(value.clone()).is_some(),
        Edit::Splice { insert, .. } => insert.iter().all(|value| number(value.clone()).is_some()),
        Edit::Remove(_) | Edit::AddMember(..) => true,
    }
}

fn edit_numbers<T: Clone>(
    items: &mut Vec<T>,
    location: &[u32],
    edit: Edit,
    number: fn(Value) -> Option<T>,
) -> Result<(), StaleLocation> {
    match (location, edit) {
        (&[position], Edit::Replace(value)) => {
            let item = items.get_mut(position as usize).ok_or(StaleLocation)?;
            *item = number(value).expect("checked by fitting()");
            Ok(())
        }
        ([], edit) => edit_elements(items, edit, number),
        _ => Err(StaleLocation),
    }
}

fn edit_elements<T>(
    items: &mut Vec<T>,
    edit: Edit,
    convert: fn(Value) -> Option<T>,
) -> Result<(), StaleLocation> {
    match edit {
        Edit::Remove(positions) => {
            let mut position = 0;
            let mut going = positions.into_iter().peekable();
            items.retain(|_| {
                let goes = going.next_if_eq(&position).is_some();
                position += 1;
                !goes
            });
            Ok(())
        }
        Edit::Splice { at, remove, insert } => {
            if at > items.len() {
                return Err(StaleLocation);
            }
            let end = at.saturating_add(remove).min(items.len());
            if items.len() + insert.len() > items.capacity() {
                // Grow by a quarter: doubling would leave large arrays with half their memory in reserve.
                items.reserve_exact(insert.len() + items.len() / 4);
            }
            let insert = insert.into_iter().map(|value| convert(value).expect("checked before"));
            items.splice(at..end, insert);
            Ok(())
        }
        Edit::Replace(_) | Edit::AddMember(..) => Err(StaleLocation),
    }
}

fn edit_members(object: &mut Object, edit: Edit) -> Result<(), StaleLocation> {
    match edit {
        Edit::Remove(positions) => {
            for position in positions {
                object.remove(position);
            }
            Ok(())
        }
        Edit::AddMember(name, value) => {
            let stored = Names::lock().stored(name.as_bytes());
            object.insert(stored, value);
            Ok(())
        }
        Edit::Replace(_) | Edit::Splice { .. } => Err(StaleLocation),
    }
}

/// Where in the packed value `bytes` the one at `location` stands.
fn place_of(bytes: &[u8], location: &[u32]) -> Option<Range<usize>> {
    let mut value = bytes;
    for &position in location {
        value = match packed::read(value) {
            Packed::Array(run) => run.elements().nth(position as usize)?,
            Packed::Object(run) => run.members().nth(position as usize)?.value,
            _ => return None,
        };
    }
    let start = value.as_ptr().addr() - bytes.as_ptr().addr();
    Some(start..start + packed::value_len(value))
}

/// Writes the packed value `bytes` with `edit` applied at `location` to the end of `out`.
fn rewrite(
    bytes: &[u8],
    location: &[u32],
    edit: &Edit,
    out: &mut Vec<u8>,
) -> Result<(), StaleLocation> {
    let Some((&position, rest)) = location.split_first() else {
        return rewrite_here(bytes, edit, out);
    };
    match packed::read(bytes) {
        Packed::Array(run) => {
            let child = run.elements().nth(position as usize).ok_or(StaleLocation)?;
            rewrite_child(run, Container::Array, child, rest, edit, out)
        }
        Packed::Object(run) => {
            let child = run.members().nth(position as usize).ok_or(StaleLocation)?.value;
            rewrite_child(run, Container::Object, child, rest, edit, out)
        }
        _ => Err(StaleLocation),
    }
}

/// Copies a container around one child, which lies within its body.
fn rewrite_child(
    run: Run<'_>,
    kind: Container,
    child: &[u8],
    rest: &[u32],
    edit: &Edit,
    out: &mut Vec<u8>,
) -> Result<(), StaleLocation> {
    let before = child.as_ptr().addr() - run.body.as_ptr().addr();
    let start = packed::open(out);
    out.extend_from_slice(&run.body[..before]);
    rewrite(child, rest, edit, out)?;
    out.extend_from_slice(&run.body[before + child.len()..]);
    packed::close(out, start, kind, run.count as usize);
    Ok(())
}

fn rewrite_here(bytes: &[u8], edit: &Edit, out: &mut Vec<u8>) -> Result<(), StaleLocation> {
    let start = out.len();
    match (packed::read(bytes), edit) {
        (_, Edit::Replace(value)) => put_packed(out, value),
        (Packed::Array(run), Edit::Remove(positions)) => {
            packed::open(out);
            let mut kept = 0;
            for (position, element) in run.elements().enumerate() {
                if positions.binary_search(&(position as u32)).is_err() {
                    out.extend_from_slice(element);
                    kept += 1;
                }
            }
            packed::close(out, start, Container::Array, kept);
        }
        (Packed::Object(run), Edit::Remove(positions)) => {
            packed::open(out);
            let mut kept = 0;
            for (position, member) in run.members().enumerate() {
                if positions.binary_search(&(position as u32)).is_err() {
                    out.extend_from_slice(member.name_bytes);
                    out.extend_from_slice(member.value);
                    kept += 1;
                }
            }
            packed::close(out, start, Container::Object, kept);
        }
        (Packed::Object(run), Edit::AddMember(name, value)) => {
            packed::open(out);
            out.extend_from_slice(run.body);
            packed::put_name(out, Names::lock().stored(name.as_bytes()));
            put_packed(out, value);
            packed::close(out, start, Container::Object, run.count as usize + 1);
        }
        (Packed::Array(run), Edit::Splice { at, remove, insert }) => {
            let len = run.count as usize;
            if *at > len {
                return Err(StaleLocation);
            }
            let end = at.saturating_add(*remove).min(len);
            packed::open(out);
            run.elements().take(*at).for_each(|element| out.extend_from_slice(element));
            insert.iter().for_each(|value| put_packed(out, value));
            run.elements().skip(end).for_each(|element| out.extend_from_slice(element));
            packed::close(out, start, Container::Array, len - (end - at) + insert.len());
        }
        _ => return Err(StaleLocation),
    }
    Ok(())
}

fn put_packed(out: &mut Vec<u8>, value: &Value) {
    out.extend_from_slice(value.packed().expect("added_bytes() has found it packed"));
}
