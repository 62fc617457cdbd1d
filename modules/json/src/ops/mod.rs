//! What does each command do to a document?
//!
//! The operations are functions from a document, a path and parsed arguments to a result per match; they know neither
//! keys nor replies.
//!
//! Invariants:
//! - Compute first, then apply: an operation that returns an error has changed nothing, however many matches it had.
//! - Edits are applied from the back of the document, the deeper ones first, so that no edit moves the place of a later
//!   one. Where a match lies within another, or is matched twice, each sees what the one before has made.
//! - Nothing is made that nests deeper than [`limit_depth`] allows.

mod array;
mod create;
mod merge;
mod place;
mod results;
mod scalar;
mod set;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::array::{Range, append, index_of, insert, pop, trim};
pub use self::create::create;
pub use self::merge::merge;
pub use self::results::Results;
pub use self::scalar::{Arithmetic, Number, arithmetic, strappend, toggle};
pub use self::set::{Condition, Deleted, Outcome, Target, clear, delete, set};
use crate::codec::DEPTH_MAX;
use crate::error::JsonError;
use crate::path::{Locations, Matches, Path};
use crate::value::{Edit, Spot, Value, View};

/// What an operation did.
#[derive(Debug)]
pub struct Updated<T> {
    /// What came of each match.
    pub results: Results<T>,
    /// Which of them a legacy path answers with, if any match has a result.
    pub answer: Option<usize>,
    /// Whether the document is another one now.
    pub changed: bool,
}

impl<T> Updated<T> {
    /// The same with other results.
    pub fn map<U>(self, convert: impl Fn(T) -> U) -> Updated<U> {
        let results = self.results.map(convert);
        Updated { results, answer: self.answer, changed: self.changed }
    }

    /// The one result that a legacy path answers with.
    pub fn into_answer(mut self) -> Option<T> {
        self.results.take(self.answer?)
    }
}

/// Which of several results a legacy path answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// That of the last match of the document.
    LastMatch,
    /// That of the match that RedisJSON changes last: of nested ones the outer, of elements the first.
    LastChanged,
}

/// Computes a result and an edit for every match, and applies the edits. `compute` gets the value of a match and the
/// number of containers around it, and answers `None` for a value that the operation does not apply to.
fn update<T>(
    document: &mut Value,
    path: &Path,
    answer: Answer,
    mut compute: impl FnMut(View<'_>, usize) -> Result<Option<(T, Option<Edit>)>, JsonError>,
) -> Result<Updated<T>, JsonError> {
    if let Some(only) = path.locate_plain(document.view()) {
        let Some((view, location)) = only else {
            return Ok(Updated { results: Results::none(), answer: None, changed: false });
        };
        let computed = compute(view, location.positions().len())?;
        return update_one(document, location.positions(), computed);
    }
    let Matches { views, locations } = path.locate(document.view())?;
    if let [view] = views[..] {
        return update_one(document, locations.get(0), compute(view, locations.get(0).len())?);
    }
    let order = from_the_back(&locations);
    let overlap =
        order.windows(2).any(|pair| locations.get(pair[0]).starts_with(locations.get(pair[1])));
    let mut results: Vec<Option<T>> = Vec::new();
    results.resize_with(locations.len(), || None);
    let mut edits = Vec::new();
    let mut draft = None;
    for &i in &order {
        let location = locations.get(i);
        let draft: Option<&mut Value> =
            if overlap { Some(draft.get_or_insert_with(|| document.clone())) } else { None };
        let view = match &draft {
            Some(draft) => draft.at(location).expect("what was changed stands behind or below it"),
            None => views[i],
        };
        let Some((result, edit)) = compute(view, location.len())? else { continue };
        results[i] = Some(result);
        let Some(edit) = edit else { continue };
        match draft {
            Some(draft) => {
                draft.edit(location, edit).expect("the edit suits what was just looked at");
                edits.push((i, None));
            }
            None => edits.push((i, Some(edit))),
        }
    }
    let answer = answering(document, path, answer, &locations, &results);
    if let Some(draft) = draft {
        *document = draft;
    }
    let changed = !edits.is_empty();
    let touched: Vec<usize> = edits.iter().map(|(i, _)| *i).collect();
    for (i, edit) in edits {
        if let Some(edit) = edit {
            document.edit(locations.get(i), edit).expect("matches were just located");
        }
    }
    settle(document, &locations, &touched);
    Ok(Updated { results: Results::any(results), answer, changed })
}

/// The same for a path with one match, as most have.
fn update_one<T>(
    document: &mut Value,
    location: &[u32],
    computed: Option<(T, Option<Edit>)>,
) -> Result<Updated<T>, JsonError> {
    let Some((result, edit)) = computed else {
        return Ok(Updated { results: Results::one(None), answer: None, changed: false });
    };
    let changed = edit.is_some();
    if let Some(edit) = edit {
        document.edit(location, edit).expect("the match was just located");
        document.settle(location);
    }
    Ok(Updated { results: Results::one(Some(result)), answer: Some(0), changed })
}

/// Has `change` write over what a plain path leads to. `None` if that is not to be done, for whatever reason; [`update`]
/// then finds out, and does what else is needed.
fn update_in_place<T>(
    document: &mut Value,
    path: &Path,
    change: impl FnOnce(Spot<'_>) -> Option<Result<T, JsonError>>,
) -> Option<Result<Updated<T>, JsonError>> {
    let done = document.in_place(path.steps()?, change)??;
    let updated =
        |result| Updated { results: Results::one(Some(result)), answer: Some(0), changed: true };
    Some(done.map(updated))
}

fn answering<T>(
    document: &Value,
    path: &Path,
    answer: Answer,
    locations: &Locations,
    results: &[Option<T>],
) -> Option<usize> {
    let mut candidates = (0..results.len()).filter(|&i| results[i].is_some());
    if answer == Answer::LastMatch || !path.is_legacy() {
        return candidates.next_back();
    }
    candidates.max_by(|&a, &b| place::changed_in_turn(document, locations.get(a), locations.get(b)))
}

/// The matches from the back of the document, those within others before them; of equal ones the first comes first.
fn from_the_back(locations: &Locations) -> Vec<usize> {
    let mut order: Vec<usize> = (0..locations.len()).collect();
    order.sort_by(|&a, &b| locations.get(b).cmp(locations.get(a)));
    order
}

/// Applies edits that come from the back, each at the location of the given number.
fn apply(document: &mut Value, locations: &Locations, edits: Vec<(usize, Edit)>) {
    let touched: Vec<usize> = edits.iter().map(|(i, _)| *i).collect();
    for (i, edit) in edits {
        document.edit(locations.get(i), edit).expect("matches were just located, edits suit them");
    }
    settle(document, locations, &touched);
}

fn settle(document: &mut Value, locations: &Locations, touched: &[usize]) {
    for &i in touched {
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

/// How deep documents may nest now; at most [`DEPTH_MAX`].
static DEPTH_LIMIT: AtomicUsize = AtomicUsize::new(DEPTH_MAX);

/// Lets documents nest so deep and no deeper; those that do already stay as they are.
pub fn limit_depth(depth: usize) {
    DEPTH_LIMIT.store(depth.min(DEPTH_MAX), Ordering::Relaxed);
}

/// Whether a value of this depth may stand inside this many containers.
pub fn fits(containers_around: usize, depth: usize) -> bool {
    containers_around + depth <= DEPTH_LIMIT.load(Ordering::Relaxed)
}
