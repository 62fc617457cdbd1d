//! What does each command do to a document?
//!
//! The operations are functions from a document, a path and parsed arguments to a result per match; they know neither
//! keys nor replies.
//!
//! Invariants:
//! - Compute first, then apply: an operation that returns an error has changed nothing, however many matches it had.
//! - Edits are applied from the back of the document, the deeper ones first, so that no edit moves the place of a later
//!   one. A place that a path matched twice is edited once.
//! - Nothing is made that nests deeper than `codec::DEPTH_MAX`.

mod array;
mod merge;
mod scalar;
mod set;
#[cfg(test)]
mod tests;

pub use self::array::{Range, append, index_of, insert, pop, trim};
pub use self::merge::merge;
pub use self::scalar::{Arithmetic, Number, arithmetic, strappend, toggle};
pub use self::set::{Condition, Deleted, Outcome, clear, delete, set};
use crate::codec::DEPTH_MAX;
use crate::error::JsonError;
use crate::path::{Locations, Path};
use crate::value::{Edit, Value, View};

/// What an operation did.
#[derive(Debug)]
pub struct Updated<T> {
    /// A result per match; `None` if the match is of a kind that the operation does not work on.
    pub results: Vec<Option<T>>,
    /// Whether the document is another one now.
    pub changed: bool,
}

/// Computes a result and an edit for every match, then applies the edits. `compute` gets the value of a match and the
/// number of containers around it, and answers `None` for a value that the operation does not apply to.
fn update<T>(
    document: &mut Value,
    path: &Path,
    mut compute: impl FnMut(View<'_>, usize) -> Result<Option<(T, Option<Edit>)>, JsonError>,
) -> Result<Updated<T>, JsonError> {
    let matches = path.locate(document.view())?;
    let mut results = Vec::with_capacity(matches.views.len());
    let mut edits = Vec::new();
    for (i, &view) in matches.views.iter().enumerate() {
        let computed = compute(view, matches.locations.get(i).len())?;
        results.push(computed.map(|(result, edit)| {
            edits.extend(edit.map(|edit| (i, edit)));
            result
        }));
    }
    let locations = matches.locations;
    let changed = !edits.is_empty();
    apply(document, &locations, edits);
    Ok(Updated { results, changed })
}

/// Applies edits, each at the location of the given number.
fn apply(document: &mut Value, locations: &Locations, mut edits: Vec<(usize, Edit)>) {
    const SUITS: &str = "matches were just located, edits suit them";
    if edits.len() <= 1 {
        if let Some((i, edit)) = edits.pop() {
            document.edit(locations.get(i), edit).expect(SUITS);
            document.settle(locations.get(i));
        }
        return;
    }
    edits.sort_by(|(a, _), (b, _)| locations.get(*b).cmp(locations.get(*a)));
    edits.dedup_by_key(|(i, _)| locations.get(*i));
    let touched: Vec<usize> = edits.iter().map(|(i, _)| *i).collect();
    for (i, edit) in edits {
        document.edit(locations.get(i), edit).expect(SUITS);
    }
    for i in touched {
        document.settle(locations.get(i));
    }
}

/// The matches that lie below no other match, from the back of the document.
fn topmost(locations: &Locations) -> Vec<usize> {
    let mut order: Vec<usize> = (0..locations.len()).collect();
    order.sort_by_key(|&i| locations.get(i));
    let mut top: Vec<usize> = Vec::new();
    for i in order {
        let below = |&last: &usize| locations.get(i).starts_with(locations.get(last));
        if !top.last().is_some_and(below) {
            top.push(i);
        }
    }
    top.reverse();
    top
}

/// Whether a value of this depth may stand inside this many containers.
fn fits(containers_around: usize, depth: usize) -> bool {
    containers_around + depth <= DEPTH_MAX
}
