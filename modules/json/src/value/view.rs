//! How does one read a value without knowing how it is kept?
//!
//! A [`View`] is a small copyable handle: scalars are decoded into it, containers are walked through it. Text comes as
//! bytes, because checking UTF-8 again on every look would cost more than most looks; it is valid UTF-8 by
//! construction.

use std::ops::ControlFlow;

use triomphe::Arc;

use super::names::Name;
use super::object::Object;
use super::packed::{self, Container, Elements, Members, NameRef, Packed, Run, Sought};
use super::way::{Step, packed_along};
use super::{Node, Value};
use crate::sink::Sink;

/// A value, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer within `i64`.
    Int(i64),
    /// An integer above `i64::MAX`.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// A string; valid UTF-8.
    Text(&'a [u8]),
    /// An array.
    Array(ArrayView<'a>),
    /// An object.
    Object(ObjectView<'a>),
}

/// As what [`View::try_descend`] meets a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// As the member that is looked for.
    Member,
    /// As something to look in.
    Container,
}

/// The kinds of value that users tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number without fraction or exponent.
    Integer,
    /// Any other number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// The name that JSON.TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Array => "array",
            Kind::Object => "object",
        }
    }
}

/// The elements of an array.
#[derive(Clone, Copy, Debug)]
pub struct ArrayView<'a>(ArrayRepr<'a>);

#[derive(Clone, Copy, Debug)]
enum ArrayRepr<'a> {
    Packed(Run<'a>),
    Nodes(&'a Arc<Vec<Value>>),
    Ints(&'a Arc<Vec<i64>>),
    Floats(&'a Arc<Vec<f64>>),
}

/// The members of an object.
#[derive(Clone, Copy, Debug)]
pub struct ObjectView<'a>(ObjectRepr<'a>);

#[derive(Clone, Copy, Debug)]
enum ObjectRepr<'a> {
    Packed(Run<'a>),
    Node(&'a Arc<Object>),
}

/// One member of an object.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Where it stands in its object, for a location.
    pub position: u32,
    name: NameRef<'a>,
    /// Its value.
    pub value: View<'a>,
}

impl<'a> Member<'a> {
    /// Its name; valid UTF-8.
    pub fn name(&self) -> &'a [u8] {
        self.name.text()
    }
}

impl<'a> View<'a> {
    pub(super) fn of(value: &'a Value) -> View<'a> {
        match &value.0 {
            Node::Inline(bytes) => View::of_packed(bytes),
            Node::Block(block) => View::of_packed(&block.slice),
            Node::Array(items) => View::Array(ArrayView(ArrayRepr::Nodes(items))),
            Node::Ints(items) => View::Array(ArrayView(ArrayRepr::Ints(items))),
            Node::Floats(items) => View::Array(ArrayView(ArrayRepr::Floats(items))),
            Node::Object(object) => View::Object(ObjectView(ObjectRepr::Node(object))),
        }
    }

    #[inline]
    pub(super) fn of_packed(bytes: &'a [u8]) -> View<'a> {
        match packed::read(bytes) {
            Packed::Null => View::Null,
            Packed::Bool(value) => View::Bool(value),
            Packed::Int(value) => View::Int(value),
            Packed::Unsigned(value) => View::Unsigned(value),
            Packed::Float(value) => View::Float(value),
            Packed::Text(text) => View::Text(text),
            Packed::Array(run) => View::Array(ArrayView(ArrayRepr::Packed(run))),
            Packed::Object(run) => View::Object(ObjectView(ObjectRepr::Packed(run))),
        }
    }

    /// What kind of value this is.
    pub fn kind(self) -> Kind {
        match self {
            View::Null => Kind::Null,
            View::Bool(_) => Kind::Boolean,
            View::Int(_) | View::Unsigned(_) => Kind::Integer,
            View::Float(_) => Kind::Number,
            View::Text(_) => Kind::String,
            View::Array(_) => Kind::Array,
            View::Object(_) => Kind::Object,
        }
    }

    /// The element or member at `position`.
    pub fn child(self, position: u32) -> Option<View<'a>> {
        match self {
            View::Array(array) => array.get(position as usize),
            View::Object(object) => object.value_at(position),
            _ => None,
        }
    }

    /// Calls `visit` with the position and the value of each child, in order, until it breaks.
    pub fn try_children<B>(
        self,
        mut visit: impl FnMut(u32, View<'a>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self {
            View::Array(array) => {
                for (position, child) in array.iter().enumerate() {
                    visit(position as u32, child)?;
                }
            }
            View::Object(object) => {
                for member in object.iter() {
                    visit(member.position, member.value)?;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// As [`View::try_children`], but for the children that are containers; skips the others without reading them.
    pub fn try_containers<B>(
        self,
        mut visit: impl FnMut(u32, View<'a>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self {
            View::Array(ArrayView(ArrayRepr::Packed(run))) => {
                for (position, bytes) in run.elements().enumerate() {
                    if packed::is_container(bytes) {
                        visit(position as u32, View::of_packed(bytes))?;
                    }
                }
            }
            View::Object(ObjectView(ObjectRepr::Packed(run))) => {
                for (position, member) in run.members().enumerate() {
                    if packed::is_container(member.value) {
                        visit(position as u32, View::of_packed(member.value))?;
                    }
                }
            }
            View::Array(ArrayView(ArrayRepr::Ints(_) | ArrayRepr::Floats(_))) => {}
            view => view.try_children(|position, child| match child {
                View::Array(_) | View::Object(_) => visit(position, child),
                _ => ControlFlow::Continue(()),
            })?,
        }
        ControlFlow::Continue(())
    }

    /// What a descent for members called `name` needs: calls `visit` first with such a member, if the value is an object
    /// and has one, as [`Met::Member`], then as [`View::try_containers`] does, as [`Met::Container`]. Goes through a packed
    /// object once, unless it meets a container on the way to the member.
    pub fn try_descend<B>(
        self,
        name: &Name,
        mut visit: impl FnMut(Met, u32, View<'a>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let View::Object(object) = self else {
            return self.try_containers(|position, child| visit(Met::Container, position, child));
        };
        let ObjectRepr::Packed(run) = object.0 else {
            if let Some((position, child)) = object.find(name) {
                visit(Met::Member, position, child)?;
            }
            return self.try_containers(|position, child| visit(Met::Container, position, child));
        };
        let sought = Sought::new(name);
        let mut found = false;
        let (mut body, mut position) = (run.body, 0);
        // Where the first container stands that has been passed.
        let mut passed = None;
        while !body.is_empty() {
            let (is_sought, name_len) = sought.is_at(body);
            let value = &body[name_len..];
            let is_container = packed::is_container(value);
            if is_sought && !found {
                found = true;
                visit(Met::Member, position, View::of_packed(value))?;
                if let Some((first, at)) = passed {
                    (body, position) = (first, at);
                    continue;
                }
            }
            if is_container {
                if found {
                    visit(Met::Container, position, View::of_packed(value))?;
                } else if passed.is_none() {
                    passed = Some((body, position));
                }
            }
            body = &value[packed::value_len(value)..];
            position += 1;
        }
        match passed {
            // Nothing has that name.
            Some((body, position)) if !found => {
                let members = (position..).zip(packed::members(body));
                for (position, member) in members.filter(|(_, m)| packed::is_container(m.value)) {
                    visit(Met::Container, position, View::of_packed(member.value))?;
                }
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// What the steps lead to. Within a packed value only the last of them becomes a view.
    #[inline]
    pub(crate) fn along<'p>(self, mut steps: impl Iterator<Item = Step<'p>>) -> Option<View<'a>> {
        let mut view = self;
        while let Some(step) = steps.next() {
            let run = match view {
                View::Object(ObjectView(ObjectRepr::Packed(run))) => run,
                _ => {
                    view = view.step(step)?.1;
                    continue;
                }
            };
            let Step::Member(name) = step else { return None };
            let (_, value) = run.find(Sought::new(name))?;
            return packed_along(value, steps).map(View::of_packed);
        }
        Some(view)
    }

    /// How many children the value has; none if it is a scalar.
    pub fn children(self) -> usize {
        match self {
            View::Array(array) => array.len(),
            View::Object(object) => object.len(),
            _ => 0,
        }
    }

    /// How many values there are in all: this one and those that it holds.
    pub fn values(self) -> usize {
        match self {
            View::Array(array) => match array.0 {
                ArrayRepr::Ints(_) | ArrayRepr::Floats(_) => 1 + array.len(),
                _ => 1 + array.iter().map(View::values).sum::<usize>(),
            },
            View::Object(object) => {
                1 + object.iter().map(|member| member.value.values()).sum::<usize>()
            }
            _ => 1,
        }
    }

    /// How many containers stand inside one another: 0 for a scalar, 1 for `[1]`.
    pub fn depth(self) -> usize {
        match self {
            View::Array(array) => match array.0 {
                ArrayRepr::Ints(_) | ArrayRepr::Floats(_) => 1,
                _ => 1 + array.iter().map(View::depth).max().unwrap_or(0),
            },
            View::Object(object) => {
                1 + object.iter().map(|member| member.value.depth()).max().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Deep equality in which `3` is not `3.0` and the order of members does not matter.
    pub fn same(self, other: View<'_>) -> bool {
        match (self, other) {
            (View::Null, View::Null) => true,
            (View::Bool(a), View::Bool(b)) => a == b,
            (View::Int(a), View::Int(b)) => a == b,
            (View::Unsigned(a), View::Unsigned(b)) => a == b,
            (View::Float(a), View::Float(b)) => a == b,
            (View::Text(a), View::Text(b)) => a == b,
            (View::Array(a), View::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.same(b))
            }
            (View::Object(a), View::Object(b)) => {
                let found = |member: Member<'_>| {
                    b.find_text(member.name()).is_some_and(|(_, value)| member.value.same(value))
                };
                a.len() == b.len() && a.iter().all(found)
            }
            _ => false,
        }
    }

    /// A value of its own; large containers are shared, not copied.
    pub fn to_value(self) -> Value {
        match self {
            View::Null => Value::null(),
            View::Bool(value) => Value::bool(value),
            View::Int(value) => Value::int(value),
            View::Unsigned(value) => Value::unsigned(value),
            View::Float(value) => Value::float(value),
            View::Text(text) => Value::from_put(|out| packed::put_text(out, text)),
            View::Array(array) => match array.0 {
                ArrayRepr::Packed(run) => copy_run(run, Container::Array),
                ArrayRepr::Nodes(items) => Value(Node::Array(items.clone())),
                ArrayRepr::Ints(items) => Value(Node::Ints(items.clone())),
                ArrayRepr::Floats(items) => Value(Node::Floats(items.clone())),
            },
            View::Object(object) => match object.0 {
                ObjectRepr::Packed(run) => copy_run(run, Container::Object),
                ObjectRepr::Node(object) => Value(Node::Object(object.clone())),
            },
        }
    }

    /// About how long the text of the value will be, as far as that is known at once.
    pub fn text_len_hint(self) -> usize {
        match self {
            View::Text(text) => text.len() + 2,
            View::Array(ArrayView(ArrayRepr::Packed(run)))
            | View::Object(ObjectView(ObjectRepr::Packed(run))) => 2 * run.body.len(),
            View::Array(_) | View::Object(_) => 16 * self.children(),
            _ => 8,
        }
    }

    /// Writes the text of a packed container, without blanks, and says how many values it has; `None` for any other value.
    #[inline]
    pub(crate) fn print_packed(self, sink: &mut Sink) -> Option<usize> {
        match self {
            View::Array(ArrayView(ArrayRepr::Packed(run))) => {
                Some(run.print(Container::Array, sink))
            }
            View::Object(ObjectView(ObjectRepr::Packed(run))) => {
                Some(run.print(Container::Object, sink))
            }
            _ => None,
        }
    }

    /// Bytes that the value takes where it stands.
    pub fn memory_bytes(self) -> usize {
        match self {
            View::Array(ArrayView(ArrayRepr::Packed(run)))
            | View::Object(ObjectView(ObjectRepr::Packed(run))) => {
                packed::HEADER_BYTES + run.body.len()
            }
            View::Array(_) | View::Object(_) => self.to_value().memory_bytes(),
            scalar => {
                let value = scalar.to_value();
                value.packed().map_or(0, <[u8]>::len)
            }
        }
    }
}

fn copy_run(run: Run<'_>, kind: Container) -> Value {
    Value::from_put(|out| {
        let start = packed::open(out);
        out.extend_from_slice(run.body);
        packed::close(out, start, kind, run.count as usize);
    })
}

/// The numbers of an array that is kept as nothing but numbers of one type.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// Integers.
    Ints(&'a [i64]),
    /// Floats.
    Floats(&'a [f64]),
}

impl<'a> ArrayView<'a> {
    /// The numbers where they stand, if the array is large and has only integers or only floats.
    pub fn numbers(self) -> Option<Numbers<'a>> {
        match self.0 {
            ArrayRepr::Ints(items) => Some(Numbers::Ints(items)),
            ArrayRepr::Floats(items) => Some(Numbers::Floats(items)),
            ArrayRepr::Packed(_) | ArrayRepr::Nodes(_) => None,
        }
    }

    /// How many elements there are.
    pub fn len(self) -> usize {
        match self.0 {
            ArrayRepr::Packed(run) => run.count as usize,
            ArrayRepr::Nodes(items) => items.len(),
            ArrayRepr::Ints(items) => items.len(),
            ArrayRepr::Floats(items) => items.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at `index`.
    pub fn get(self, index: usize) -> Option<View<'a>> {
        match self.0 {
            ArrayRepr::Packed(run) => run.elements().nth(index).map(View::of_packed),
            ArrayRepr::Nodes(items) => items.get(index).map(View::of),
            ArrayRepr::Ints(items) => items.get(index).map(|&value| View::Int(value)),
            ArrayRepr::Floats(items) => items.get(index).map(|&value| View::Float(value)),
        }
    }

    /// The elements in order.
    pub fn iter(self) -> impl Iterator<Item = View<'a>> {
        match self.0 {
            ArrayRepr::Packed(run) => ArrayIter::Packed(run.elements()),
            ArrayRepr::Nodes(items) => ArrayIter::Nodes(items.iter()),
            ArrayRepr::Ints(items) => ArrayIter::Ints(items.iter()),
            ArrayRepr::Floats(items) => ArrayIter::Floats(items.iter()),
        }
    }
}

enum ArrayIter<'a> {
    Packed(Elements<'a>),
    Nodes(std::slice::Iter<'a, Value>),
    Ints(std::slice::Iter<'a, i64>),
    Floats(std::slice::Iter<'a, f64>),
}

impl<'a> Iterator for ArrayIter<'a> {
    type Item = View<'a>;

    fn next(&mut self) -> Option<View<'a>> {
        match self {
            ArrayIter::Packed(elements) => elements.next().map(View::of_packed),
            ArrayIter::Nodes(items) => items.next().map(View::of),
            ArrayIter::Ints(items) => items.next().map(|&value| View::Int(value)),
            ArrayIter::Floats(items) => items.next().map(|&value| View::Float(value)),
        }
    }
}

impl<'a> ObjectView<'a> {
    /// How many members there are.
    pub fn len(self) -> usize {
        match self.0 {
            ObjectRepr::Packed(run) => run.count as usize,
            ObjectRepr::Node(object) => object.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The member called `name`, with its position.
    pub fn find(self, name: &Name) -> Option<(u32, View<'a>)> {
        match self.0 {
            ObjectRepr::Packed(run) => {
                let (position, value) = run.find(Sought::new(name))?;
                Some((position, View::of_packed(value)))
            }
            ObjectRepr::Node(object) => {
                let position = object.find(name)?;
                object.member(position).map(|(_, value)| (position, value.view()))
            }
        }
    }

    /// The member called `name`, with its position, for a name that will not be looked for again.
    pub fn find_text(self, name: &[u8]) -> Option<(u32, View<'a>)> {
        match self.0 {
            ObjectRepr::Packed(run) => {
                let mut members = run.members().enumerate();
                members
                    .find(|(_, member)| member.name.text() == name)
                    .map(|(position, member)| (position as u32, View::of_packed(member.value)))
            }
            ObjectRepr::Node(object) => {
                let position = object.find_text(name)?;
                object.member(position).map(|(_, value)| (position, value.view()))
            }
        }
    }

    /// The member at `position`.
    pub fn member(self, position: u32) -> Option<Member<'a>> {
        match self.0 {
            ObjectRepr::Packed(run) => {
                let member = run.members().nth(position as usize)?;
                Some(Member { position, name: member.name, value: View::of_packed(member.value) })
            }
            ObjectRepr::Node(object) => {
                let (name, value) = object.member(position)?;
                Some(Member { position, name, value: value.view() })
            }
        }
    }

    fn value_at(self, position: u32) -> Option<View<'a>> {
        self.member(position).map(|member| member.value)
    }

    /// The members in order.
    pub fn iter(self) -> impl Iterator<Item = Member<'a>> {
        self.members_from(0)
    }

    /// The members from a position on.
    pub fn members_from(self, position: u32) -> impl Iterator<Item = Member<'a>> {
        match self.0 {
            ObjectRepr::Packed(run) => {
                let mut members = run.members();
                members.by_ref().take(position as usize).for_each(drop);
                ObjectIter::Packed(members, position)
            }
            ObjectRepr::Node(object) => ObjectIter::Node(object, position),
        }
    }
}

enum ObjectIter<'a> {
    Packed(Members<'a>, u32),
    Node(&'a Object, u32),
}

impl<'a> Iterator for ObjectIter<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        match self {
            ObjectIter::Packed(members, next) => {
                let member = members.next()?;
                let position = *next;
                *next += 1;
                let value = View::of_packed(member.value);
                Some(Member { position, name: member.name, value })
            }
            ObjectIter::Node(object, next) => {
                let (position, name, value) = object.members_from(*next).next()?;
                *next = position + 1;
                Some(Member { position, name, value: value.view() })
            }
        }
    }
}
