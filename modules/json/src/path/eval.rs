//! How does a compiled path find its matches?
//!
//! A depth-first walk: a segment selects children of a value, and the rest of the path is applied to each of them
//! before the next one is looked at, which yields matches in document order. `..` applies its selector to a value first
//! and then to its children in order. The same walk serves readers, who want the values, and writers, who also want
//! to know where they stand; a [`Trail`] that records nothing costs the former nothing.
//!
//! Invariants: recursion is at most as deep as the path is long plus the document is deep (both bounded, see `parse` and
//! `codec`), filters adding theirs up to [`RECURSION_MAX`]; every value looked at is counted, in filters too, and the
//! walk gives up at [`VISITS_MAX`], because a path like `$..*..*..*` visits more than the square of what there is.

use std::cell::Cell;
use std::fmt;
use std::ops::ControlFlow;

use super::{Path, Segment, Selector, filter};
use crate::codec::DEPTH_MAX;
use crate::value::View;

/// How many values one evaluation may look at: more than a 500 MB document has, and about a second's work.
pub const VISITS_MAX: u64 = if cfg!(test) { 1 << 18 } else { 1 << 25 };
/// How many matches one evaluation may have: what they are kept in stays below a gigabyte.
const MATCHES_MAX: usize = 1 << 24;

/// How deep walks may recurse, those of nested filters added up. A path without filters needs [`DEPTH_MAX`] and one.
const RECURSION_MAX: u32 = 5 * DEPTH_MAX as u32;

/// The path asks for more work than a command may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooCostly;

impl fmt::Display for TooCostly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("path visits or matches too many values, or its filters nest too deep")
    }
}

impl std::error::Error for TooCostly {}

/// Matches with the places where they stand.
#[derive(Debug, Default)]
pub struct Matches<'v> {
    /// The values, in document order.
    pub views: Vec<View<'v>>,
    /// Where each of them stands.
    pub locations: Locations,
}

/// A list of locations.
#[derive(Debug, Default)]
pub struct Locations {
    /// The locations one after the other; `ends[i]` is where location `i` ends.
    steps: Vec<u32>,
    ends: Vec<u32>,
}

impl Locations {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Location `i`.
    pub fn get(&self, i: usize) -> &[u32] {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.steps[start as usize..self.ends[i] as usize]
    }

    fn push(&mut self, location: &[u32]) -> Flow {
        self.steps.extend_from_slice(location);
        let Ok(end) = u32::try_from(self.steps.len()) else {
            return ControlFlow::Break(Stop::TooCostly);
        };
        self.ends.push(end);
        ControlFlow::Continue(())
    }
}

impl Path {
    /// All matches in document order.
    pub fn select<'v>(&self, root: View<'v>) -> Result<Vec<View<'v>>, TooCostly> {
        let mut views = Vec::new();
        let budget = Budget::default();
        let flow = walk(&self.segments, root, root, &budget, NoTrail, |_, view| {
            if views.len() == MATCHES_MAX {
                return ControlFlow::Break(Stop::TooCostly);
            }
            views.push(view);
            ControlFlow::Continue(())
        });
        finished(flow).map(|()| views)
    }

    /// The first match.
    pub fn first<'v>(&self, root: View<'v>) -> Result<Option<View<'v>>, TooCostly> {
        let mut first = None;
        let budget = Budget::default();
        let flow = walk(&self.segments, root, root, &budget, NoTrail, |_, view| {
            first = Some(view);
            ControlFlow::Break(Stop::Enough)
        });
        finished(flow).map(|()| first)
    }

    /// All matches in document order, with their locations.
    pub fn locate<'v>(&self, root: View<'v>) -> Result<Matches<'v>, TooCostly> {
        let mut matches = Matches::default();
        let budget = Budget::default();
        let flow = walk(&self.segments, root, root, &budget, Vec::new(), |trail, view| {
            if matches.views.len() == MATCHES_MAX {
                return ControlFlow::Break(Stop::TooCostly);
            }
            matches.views.push(view);
            matches.locations.push(trail)
        });
        finished(flow).map(|()| matches)
    }

    /// The first match of all but the last step, with its location: where something may be added.
    pub fn parent<'v>(&self, root: View<'v>) -> Result<Option<(Vec<u32>, View<'v>)>, TooCostly> {
        let Some((_, above)) = self.segments.split_last() else { return Ok(None) };
        let mut parent = None;
        let budget = Budget::default();
        let flow = walk(above, root, root, &budget, Vec::new(), |trail, view| {
            parent = Some((trail.clone(), view));
            ControlFlow::Break(Stop::Enough)
        });
        finished(flow).map(|()| parent)
    }
}

fn finished(flow: ControlFlow<Stop>) -> Result<(), TooCostly> {
    match flow {
        ControlFlow::Break(Stop::TooCostly) => Err(TooCostly),
        ControlFlow::Break(Stop::Enough) | ControlFlow::Continue(()) => Ok(()),
    }
}

/// Why a walk ended before its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    Enough,
    TooCostly,
}

pub(super) type Flow = ControlFlow<Stop>;

/// How many values have been looked at; shared by a walk and the walks that its filters make.
#[derive(Debug, Default)]
pub(super) struct Budget {
    visits: Cell<u64>,
    recursion: Cell<u32>,
}

impl Budget {
    fn visit(&self, values: usize) -> Flow {
        let visits = self.visits.get() + values as u64;
        self.visits.set(visits);
        if visits > VISITS_MAX {
            return ControlFlow::Break(Stop::TooCostly);
        }
        ControlFlow::Continue(())
    }

    /// One more visit, one level deeper.
    fn enter(&self) -> Flow {
        self.visit(1)?;
        let recursion = self.recursion.get() + 1;
        self.recursion.set(recursion);
        if recursion > RECURSION_MAX {
            return ControlFlow::Break(Stop::TooCostly);
        }
        ControlFlow::Continue(())
    }

    fn leave(&self) {
        self.recursion.set(self.recursion.get() - 1);
    }
}

/// What a walk records of its way.
pub(super) trait Trail {
    fn enter(&mut self, position: u32);
    fn leave(&mut self);
}

pub(super) struct NoTrail;

impl Trail for NoTrail {
    fn enter(&mut self, _position: u32) {}
    fn leave(&mut self) {}
}

impl Trail for Vec<u32> {
    fn enter(&mut self, position: u32) {
        self.push(position);
    }

    fn leave(&mut self) {
        self.pop();
    }
}

/// Applies `segments` to `start` and calls `found` for every match.
pub(super) fn walk<'v, T: Trail>(
    segments: &[Segment],
    start: View<'v>,
    root: View<'v>,
    budget: &Budget,
    trail: T,
    found: impl FnMut(&T, View<'v>) -> Flow,
) -> Flow {
    Walk { root, budget, trail, found }.run(segments, start)
}

struct Walk<'v, 'b, T, F> {
    root: View<'v>,
    budget: &'b Budget,
    trail: T,
    found: F,
}

impl<'v, T: Trail, F: FnMut(&T, View<'v>) -> Flow> Walk<'v, '_, T, F> {
    fn run(&mut self, segments: &[Segment], view: View<'v>) -> Flow {
        if !segments.is_empty() && !matches!(view, View::Array(_) | View::Object(_)) {
            // Nothing can be selected in a scalar.
            return self.budget.visit(1);
        }
        self.budget.enter()?;
        let flow = self.visit(segments, view);
        // Also when the walk has found enough: it may have been made by a filter, after which the outer one goes on.
        self.budget.leave();
        flow
    }

    fn visit(&mut self, segments: &[Segment], view: View<'v>) -> Flow {
        let Some((segment, rest)) = segments.split_first() else {
            return (self.found)(&self.trail, view);
        };
        self.select(&segment.selector, rest, view)?;
        if segment.descends {
            self.budget.visit(view.children())?;
            view.try_containers(|position, child| self.step(position, child, segments))?;
        }
        ControlFlow::Continue(())
    }

    fn step(&mut self, position: u32, child: View<'v>, segments: &[Segment]) -> Flow {
        self.trail.enter(position);
        self.run(segments, child)?;
        self.trail.leave();
        ControlFlow::Continue(())
    }

    fn select(&mut self, selector: &Selector, rest: &[Segment], view: View<'v>) -> Flow {
        match (selector, view) {
            (Selector::Names(names), View::Object(object)) => {
                for name in names {
                    if let Some((position, child)) = object.find(name) {
                        self.step(position, child, rest)?;
                    }
                }
            }
            (Selector::Indices(indices), View::Array(array)) => {
                for &index in indices {
                    let position = from_end(index, array.len());
                    if let Some(child) = array.get(position) {
                        self.step(position as u32, child, rest)?;
                    }
                }
            }
            (&Selector::Slice { start, end, step }, View::Array(array)) => {
                let len = array.len();
                let start = from_end(start.unwrap_or(0), len);
                let end = from_end(end.unwrap_or(i64::MAX), len).min(len);
                let selected = array.iter().enumerate().take(end).skip(start).step_by(step);
                for (position, child) in selected {
                    self.step(position as u32, child, rest)?;
                }
            }
            (Selector::All, _) => {
                view.try_children(|position, child| self.step(position, child, rest))?;
            }
            (Selector::Filter(expression), _) => {
                view.try_children(|position, child| {
                    if filter::holds(expression, child, self.root, self.budget)? {
                        self.step(position, child, rest)?;
                    }
                    ControlFlow::Continue(())
                })?;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The place that an index means: negative ones count from the end, and stop at the first.
fn from_end(index: i64, len: usize) -> usize {
    match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => len.saturating_sub(index.unsigned_abs() as usize),
    }
}
