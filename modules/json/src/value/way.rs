//! How does one get to the one place that a plain path names, to read it or to change it where it is?
//!
//! A plain path is a list of steps, each of which leads to at most one child. Going along them takes neither a list of
//! matches nor a location, and a scalar at the end that takes no more room than before is written over without building
//! anything: counters, flags and measurements are changed so nearly always.
//!
//! Invariant: only what no clone of the document sees is written over.

use std::ops::Range;

use triomphe::Arc;

use super::names::Name;
use super::packed::{self, Sought};
use super::view::View;
use super::{Node, Value};

/// One step of a plain path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'p> {
    /// To the member of that name.
    Member(&'p Name),
    /// To an element. A negative index counts from the end, and stops at the first element.
    Element(i64),
    /// To an element. A negative index counts from the end; beyond the first element it leads nowhere.
    StrictElement(i64),
}

impl Step<'_> {
    /// The place of the element that the step leads to in an array; it may be none.
    fn index(self, len: usize) -> Option<usize> {
        match self {
            Step::Member(_) => None,
            Step::Element(index) | Step::StrictElement(index) if index >= 0 => {
                usize::try_from(index).ok()
            }
            Step::Element(index) => Some(len.saturating_sub(index.unsigned_abs() as usize)),
            Step::StrictElement(index) => len.checked_sub(index.unsigned_abs() as usize),
        }
    }
}

impl<'a> View<'a> {
    /// The child that a step leads to, and its position.
    #[inline]
    pub(crate) fn step(self, step: Step<'_>) -> Option<(u32, View<'a>)> {
        match (self, step) {
            (View::Object(object), Step::Member(name)) => object.find(name),
            (View::Array(array), step) => {
                let index = step.index(array.len())?;
                array.get(index).map(|child| (index as u32, child))
            }
            _ => None,
        }
    }
}

/// A scalar that may be written over.
pub(crate) enum Spot<'v> {
    /// The bytes of a packed value.
    Packed(&'v mut [u8]),
    /// In an array of integers.
    Int(&'v mut i64),
    /// In an array of floats.
    Float(&'v mut f64),
}

impl Spot<'_> {
    /// What stands there.
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Spot::Packed(bytes) => View::of_packed(bytes),
            Spot::Int(value) => View::Int(**value),
            Spot::Float(value) => View::Float(**value),
        }
    }

    /// Puts an integer there, if it fits.
    pub(crate) fn put_int(self, new: i64) -> bool {
        match self {
            Spot::Packed(bytes) => packed::overwrite_int(bytes, new),
            Spot::Int(value) => {
                *value = new;
                true
            }
            Spot::Float(_) => false,
        }
    }

    /// Puts a float there, if it fits.
    pub(crate) fn put_float(self, new: f64) -> bool {
        match self {
            Spot::Packed(bytes) => packed::overwrite_float(bytes, new),
            Spot::Int(_) => false,
            Spot::Float(value) => {
                *value = new;
                true
            }
        }
    }

    /// Puts a boolean in place of another.
    pub(crate) fn put_bool(self, new: bool) -> bool {
        match self {
            Spot::Packed(bytes) => packed::overwrite_bool(bytes, new),
            Spot::Int(_) | Spot::Float(_) => false,
        }
    }
}

impl Value {
    /// Calls `visit` with what the steps lead to. `None` if they lead nowhere, or if a clone shares what is there.
    pub(crate) fn in_place<'p, R>(
        &mut self,
        mut steps: impl Iterator<Item = Step<'p>>,
        visit: impl FnOnce(Spot<'_>) -> R,
    ) -> Option<R> {
        let mut value = self;
        loop {
            value = match &mut value.0 {
                Node::Inline(bytes) => {
                    let place = place_of(bytes, steps)?;
                    return Some(visit(Spot::Packed(&mut bytes[place])));
                }
                Node::Block(block) => {
                    return block.with_arc_mut(|block| {
                        let bytes = Arc::get_mut(block)?.slice_mut();
                        let place = place_of(bytes, steps)?;
                        Some(visit(Spot::Packed(&mut bytes[place])))
                    });
                }
                Node::Array(items) => {
                    let index = steps.next()?.index(items.len())?;
                    Arc::get_mut(items)?.get_mut(index)?
                }
                Node::Object(object) => {
                    let Some(Step::Member(name)) = steps.next() else { return None };
                    let position = object.find(name)?;
                    Arc::get_mut(object)?.value_mut(position)?
                }
                Node::Ints(items) => {
                    let item = number(items, steps)?;
                    return Some(visit(Spot::Int(item)));
                }
                Node::Floats(items) => {
                    let item = number(items, steps)?;
                    return Some(visit(Spot::Float(item)));
                }
            };
        }
    }
}

/// The number that the last step leads to.
fn number<'v, 'p, T>(
    items: &'v mut Arc<Vec<T>>,
    mut steps: impl Iterator<Item = Step<'p>>,
) -> Option<&'v mut T> {
    let index = steps.next()?.index(items.len())?;
    let item = Arc::get_mut(items)?.get_mut(index)?;
    steps.next().is_none().then_some(item)
}

/// Where in the packed value `bytes` the steps lead to.
fn place_of<'p>(bytes: &[u8], steps: impl Iterator<Item = Step<'p>>) -> Option<Range<usize>> {
    let value = packed_along(bytes, steps)?;
    let start = value.as_ptr().addr() - bytes.as_ptr().addr();
    Some(start..start + packed::value_len(value))
}

/// The bytes that begin with what the steps lead to from the packed value `bytes`.
pub(super) fn packed_along<'v, 'p>(
    bytes: &'v [u8],
    steps: impl Iterator<Item = Step<'p>>,
) -> Option<&'v [u8]> {
    let mut value = bytes;
    for step in steps {
        value = match step {
            Step::Member(name) => packed::read_object(value)?.find(Sought::new(name))?.1,
            step => {
                let run = packed::read_array(value)?;
                run.elements().nth(step.index(run.count as usize)?)?
            }
        };
    }
    Some(value)
}
