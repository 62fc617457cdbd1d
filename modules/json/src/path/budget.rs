//! How much work may one evaluation of a path do?
//!
//! Every value that is looked at costs one visit, in filters and functions too, and what takes longer than looking
//! (comparing long texts, compiling patterns) costs as many visits as it takes time. A path like `$..*..*..*` visits
//! more than the square of what there is, and a filter may walk the whole document for each element.
//!
//! Invariant: an evaluation ends, with an error, soon after [`VISITS_MAX`] visits or at [`RECURSION_MAX`].

use std::cell::Cell;
use std::fmt;
use std::ops::ControlFlow;

use crate::codec::DEPTH_MAX;

/// How many values one evaluation may look at: more than a 500 MB document has, and about a second's work.
pub const VISITS_MAX: u64 = if cfg!(test) { 1 << 18 } else { 1 << 25 };
/// How many matches one evaluation may have: what they are kept in stays below a gigabyte.
pub(super) const MATCHES_MAX: usize = 1 << 24;

/// How deep walks may recurse, those of nested filters added up. A path without filters needs [`DEPTH_MAX`] and one.
const RECURSION_MAX: u32 = 5 * DEPTH_MAX as u32;

/// Bytes of text that are compared, counted or searched in the time of a visit.
const TEXT_BYTES_PER_VISIT: usize = 256;

/// The path asks for more work than a command may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooCostly;

impl fmt::Display for TooCostly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("path visits or matches too many values, or its filters nest too deep")
    }
}

impl std::error::Error for TooCostly {}

/// Why an evaluation ended before its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    Enough,
    TooCostly,
}

/// A step of an evaluation: its result, or why there is no going on.
pub(super) type Step<T> = ControlFlow<Stop, T>;

/// What an evaluation has done so far; shared by a walk and the walks that its filters make.
#[derive(Debug, Default)]
pub(super) struct Budget {
    visits: Cell<u64>,
    recursion: Cell<u32>,
}

impl Budget {
    /// Counts visits of `values` values.
    #[inline]
    pub(super) fn visit(&self, values: usize) -> Step<()> {
        let visits = self.visits.get() + values as u64;
        self.visits.set(visits);
        if visits > VISITS_MAX {
            return ControlFlow::Break(Stop::TooCostly);
        }
        ControlFlow::Continue(())
    }

    /// Counts what going through `bytes` of text takes.
    pub(super) fn read(&self, bytes: usize) -> Step<()> {
        self.visit(1 + bytes / TEXT_BYTES_PER_VISIT)
    }

    /// Counts visits of `values` values, and one level more of recursion.
    #[inline]
    pub(super) fn enter(&self, values: usize) -> Step<()> {
        self.visit(values)?;
        let recursion = self.recursion.get() + 1;
        self.recursion.set(recursion);
        if recursion > RECURSION_MAX {
            return ControlFlow::Break(Stop::TooCostly);
        }
        ControlFlow::Continue(())
    }

    #[inline]
    pub(super) fn leave(&self) {
        self.recursion.set(self.recursion.get() - 1);
    }
}
