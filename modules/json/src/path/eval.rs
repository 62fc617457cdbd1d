//! How does a compiled path find its matches?
//!
//! A depth-first walk: a segment selects children of a value, and the rest of the path is applied to each of them
//! before the next one is looked at, which yields matches in document order. `..` applies its selector to a value first
//! and then to its children in order. Steps that can lead to one place only are taken in a loop, so a plain path is a
//! few look-ups. The same walk serves readers, who want the values, and writers, who also want to know where they
//! stand; a [`Trail`] that records nothing costs the former nothing.
//!
//! Invariants: recursion is at most as deep as the path is long plus the document is deep (both bounded, see `parse` and
//! `codec`), filters adding theirs; every value looked at is counted, in filters too, see `budget`.

use std::ops::ControlFlow;

use super::budget::{Budget, MATCHES_MAX, Step, Stop};
use super::term::Scope;
use super::{Path, Segment, Selector, TooCostly};
use crate::value::{ArrayView, Met, Name, View};

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

    fn push(&mut self, location: &[u32]) -> Step<()> {
        self.steps.extend_from_slice(location);
        let Ok(end) = u32::try_from(self.steps.len()) else {
            return ControlFlow::Break(Stop::TooCostly);
        };
        self.ends.push(end);
        ControlFlow::Continue(())
    }
}

/// Ways of up to so many steps take no allocation.
const FEW_STEPS: usize = 8;

/// The way to one value: positions, from the root on.
#[derive(Debug, Default)]
pub struct Location {
    few: [u32; FEW_STEPS],
    len: usize,
    /// All of them, if they are more.
    many: Vec<u32>,
}

impl Location {
    /// The positions.
    pub fn positions(&self) -> &[u32] {
        if self.many.is_empty() { &self.few[..self.len] } else { &self.many }
    }

    fn push(&mut self, position: u32) {
        match self.few.get_mut(self.len) {
            Some(place) => *place = position,
            None => {
                if self.many.is_empty() {
                    self.many.extend_from_slice(&self.few);
                }
                self.many.push(position);
            }
        }
        self.len += 1;
    }
}

impl Path {
    /// The one match that a plain path may have, with its location; the outer `None` for any other path.
    pub fn locate_plain<'v>(&self, root: View<'v>) -> Option<Option<(View<'v>, Location)>> {
        let mut location = Location::default();
        let mut view = root;
        for step in self.steps()? {
            let Some((position, child)) = view.step(step) else { return Some(None) };
            location.push(position);
            view = child;
        }
        Some(Some((view, location)))
    }

    /// The one match that a plain path may have; the outer `None` for any other path.
    #[inline]
    fn find_plain<'v>(&self, root: View<'v>) -> Option<Option<View<'v>>> {
        Some(root.along(self.steps()?))
    }

    /// Calls `found` with every match, in document order, until it fails.
    pub fn for_each<'v>(
        &self,
        root: View<'v>,
        mut found: impl FnMut(View<'v>) -> Result<(), TooCostly>,
    ) -> Result<(), TooCostly> {
        if let Some(only) = self.find_plain(root) {
            return only.map_or(Ok(()), found);
        }
        let mut count = 0;
        let budget = Budget::default();
        let flow = walk(&self.segments, root, root, &budget, NoTrail, |_, view| {
            count += 1;
            if count > MATCHES_MAX || found(view).is_err() {
                return ControlFlow::Break(Stop::TooCostly);
            }
            ControlFlow::Continue(())
        });
        finished(flow)
    }

    /// All matches in document order.
    pub fn select<'v>(&self, root: View<'v>) -> Result<Vec<View<'v>>, TooCostly> {
        let mut views = Vec::new();
        self.for_each(root, |view| {
            views.push(view);
            Ok(())
        })?;
        Ok(views)
    }

    /// The first match.
    pub fn first<'v>(&self, root: View<'v>) -> Result<Option<View<'v>>, TooCostly> {
        if let Some(only) = self.find_plain(root) {
            return Ok(only);
        }
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

    /// The member names that the path ends with, and where what stands before them matches: the places in which those
    /// members may be missing.
    pub fn stems<'p>(&'p self, root: View<'_>) -> Result<(Locations, Vec<&'p Name>), TooCostly> {
        let name = |segment: &'p Segment| match &segment.selector {
            Selector::Name(name) if !segment.descends => Some(name),
            _ => None,
        };
        let mut names: Vec<&Name> = self.segments.iter().rev().map_while(name).collect();
        names.reverse();
        let stem = &self.segments[..self.segments.len() - names.len()];
        let mut locations = Locations::default();
        let budget = Budget::default();
        let flow = walk(stem, root, root, &budget, Vec::new(), |trail, _| {
            if locations.len() == MATCHES_MAX {
                return ControlFlow::Break(Stop::TooCostly);
            }
            locations.push(trail)
        });
        finished(flow).map(|()| (locations, names))
    }
}

fn finished(flow: Step<()>) -> Result<(), TooCostly> {
    match flow {
        ControlFlow::Break(Stop::TooCostly) => Err(TooCostly),
        ControlFlow::Break(Stop::Enough) | ControlFlow::Continue(()) => Ok(()),
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
    found: impl FnMut(&T, View<'v>) -> Step<()>,
) -> Step<()> {
    Walk { root, budget, trail, found }.run(segments, start)
}

struct Walk<'v, 'b, T, F> {
    root: View<'v>,
    budget: &'b Budget,
    trail: T,
    found: F,
}

impl<'v, T: Trail, F: FnMut(&T, View<'v>) -> Step<()>> Walk<'v, '_, T, F> {
    fn run(&mut self, mut segments: &[Segment], mut view: View<'v>) -> Step<()> {
        let mut steps = 0;
        let flow = loop {
            let Some((segment, rest)) = segments.split_first() else {
                break match self.budget.visit(1) {
                    ControlFlow::Continue(()) => (self.found)(&self.trail, view),
                    stop => stop,
                };
            };
            let Some(step) = segment.step() else {
                break self.choose(segment, segments, rest, view);
            };
            let Some((position, child)) = view.step(step) else { break self.budget.visit(1) };
            self.trail.enter(position);
            steps += 1;
            (segments, view) = (rest, child);
        };
        // Also when the walk has found enough: it may have been made by a filter, after which the outer one goes on.
        for _ in 0..steps {
            self.trail.leave();
        }
        flow
    }

    /// A step that may lead to several places.
    fn choose(
        &mut self,
        segment: &Segment,
        segments: &[Segment],
        rest: &[Segment],
        view: View<'v>,
    ) -> Step<()> {
        if !matches!(view, View::Array(_) | View::Object(_)) {
            // Nothing can be selected in a scalar.
            return self.budget.visit(1);
        }
        if let (true, Selector::Name(name)) = (segment.descends, &segment.selector) {
            return self.descend_by_name(name, rest, view);
        }
        self.budget.enter(1)?;
        let mut flow = self.select(&segment.selector, rest, view);
        if segment.descends && flow.is_continue() {
            flow = self.descend(segments, view);
        }
        self.budget.leave();
        flow
    }

    /// `..name`, which most descents are: members are looked for and containers gone into in one go.
    fn descend_by_name(&mut self, name: &Name, rest: &[Segment], view: View<'v>) -> Step<()> {
        self.budget.enter(1 + view.children())?;
        let flow = view.try_descend(name, |met, position, child| match met {
            Met::Member => self.step(position, child, rest),
            Met::Container => {
                self.trail.enter(position);
                let flow = self.descend_by_name(name, rest, child);
                self.trail.leave();
                flow
            }
        });
        self.budget.leave();
        flow
    }

    fn descend(&mut self, segments: &[Segment], view: View<'v>) -> Step<()> {
        self.budget.visit(view.children())?;
        view.try_containers(|position, child| self.step(position, child, segments))
    }

    fn step(&mut self, position: u32, child: View<'v>, segments: &[Segment]) -> Step<()> {
        self.trail.enter(position);
        let flow = self.run(segments, child);
        self.trail.leave();
        flow
    }

    fn select(&mut self, selector: &Selector, rest: &[Segment], view: View<'v>) -> Step<()> {
        match (selector, view) {
            (Selector::Name(name), View::Object(object)) => {
                if let Some((position, child)) = object.find(name) {
                    self.step(position, child, rest)?;
                }
            }
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
                let (root, budget) = (self.root, self.budget);
                view.try_children(|position, child| {
                    budget.visit(1)?;
                    let scope = Scope { current: child, root, budget };
                    if scope.holds(expression)? {
                        self.step(position, child, rest)?;
                    }
                    ControlFlow::Continue(())
                })?;
            }
            (&Selector::Index(index), View::Array(array)) => {
                if let Some((position, child)) = element(array, index) {
                    self.step(position, child, rest)?;
                }
            }
            (&Selector::Backwards { start, end, step }, View::Array(array)) => {
                let len = array.len() as i64;
                let normal = |bound: i64| if bound < 0 { bound.saturating_add(len) } else { bound };
                let upper = normal(start.unwrap_or(len - 1)).clamp(-1, len - 1);
                let lower = end.map_or(-1, |end| normal(end).clamp(-1, len - 1));
                let count = usize::try_from(upper - lower).unwrap_or(0).div_ceil(step);
                for i in 0..count {
                    let position = upper as usize - i * step;
                    if let Some(child) = array.get(position) {
                        self.step(position as u32, child, rest)?;
                    }
                }
            }
            (Selector::Union(selectors), _) => {
                for selector in selectors {
                    self.select(selector, rest, view)?;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// RFC 9535's element at `index`.
fn element(array: ArrayView<'_>, index: i64) -> Option<(u32, View<'_>)> {
    let index = if index < 0 { index.saturating_add(array.len() as i64) } else { index };
    let index = usize::try_from(index).ok()?;
    array.get(index).map(|child| (index as u32, child))
}

/// The place that an index means: negative ones count from the end, and stop at the first.
fn from_end(index: i64, len: usize) -> usize {
    match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => len.saturating_sub(index.unsigned_abs() as usize),
    }
}
