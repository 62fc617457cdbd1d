//! JSON.ARRAPPEND, ARRINSERT, ARRPOP, ARRTRIM, ARRINDEX: what happens within arrays?

use super::{Answer, Updated, fits, update};
use crate::codec::Parsed;
use crate::error::JsonError;
use crate::path::Path;
use crate::value::{ArrayView, Edit, Value, View};

/// Adds values at the end of every array that matches; the results are the new lengths.
pub fn append(
    document: &mut Value,
    path: &Path,
    values: &[Parsed],
) -> Result<Updated<usize>, JsonError> {
    splice_in(document, path, values, Answer::LastMatch, Ok)
}

/// Inserts values before the element at `index`, which counts from the end if negative.
pub fn insert(
    document: &mut Value,
    path: &Path,
    index: i64,
    values: &[Parsed],
) -> Result<Updated<usize>, JsonError> {
    splice_in(document, path, values, Answer::LastChanged, |len| {
        let len = len as i64;
        let at = if index < 0 { len.saturating_add(index) } else { index };
        if !(0..=len).contains(&at) {
            return Err(JsonError::IndexOutOfBounds);
        }
        Ok(at as usize)
    })
}

fn splice_in(
    document: &mut Value,
    path: &Path,
    values: &[Parsed],
    answer: Answer,
    at: impl Fn(usize) -> Result<usize, JsonError>,
) -> Result<Updated<usize>, JsonError> {
    let depth = values.iter().map(|parsed| parsed.depth).max().unwrap_or(0);
    update(document, path, answer, |view, around| {
        let View::Array(array) = view else { return Ok(None) };
        if !fits(around + 1, depth) {
            return Err(JsonError::TooDeep);
        }
        let insert = values.iter().map(|parsed| parsed.value.clone()).collect();
        let edit = Edit::Splice { at: at(array.len())?, remove: 0, insert };
        Ok(Some((array.len() + values.len(), Some(edit))))
    })
}

/// Takes an element out of every array that matches. The index counts from the end if negative and is clamped into the
/// array; the inner `None` stands for an array without elements.
pub fn pop(
    document: &mut Value,
    path: &Path,
    index: i64,
) -> Result<Updated<Option<Value>>, JsonError> {
    update(document, path, Answer::LastChanged, |view, _| {
        let View::Array(array) = view else { return Ok(None) };
        let Some(last) = array.len().checked_sub(1) else { return Ok(Some((None, None))) };
        let at = clamped(index, array.len()).min(last);
        let popped = array.get(at).map(View::to_value);
        Ok(Some((popped, Some(Edit::Splice { at, remove: 1, insert: Vec::new() }))))
    })
}

/// Keeps the elements from `start` to `stop`, inclusive, of every array that matches; the results are the new lengths.
pub fn trim(
    document: &mut Value,
    path: &Path,
    start: i64,
    stop: i64,
) -> Result<Updated<usize>, JsonError> {
    update(document, path, Answer::LastChanged, |view, _| {
        let View::Array(array) = view else { return Ok(None) };
        let len = array.len();
        let start = clamped(start, len);
        let end = clamped(stop, len).saturating_add(1).min(len);
        if start >= end {
            let edit = (len > 0).then(|| Edit::Replace(Value::empty_array()));
            return Ok(Some((0, edit)));
        }
        let kept = end - start;
        let removed = (0..start).chain(end..len).map(|position| position as u32).collect();
        Ok(Some((kept, (kept < len).then_some(Edit::Remove(removed)))))
    })
}

/// Which part of an array JSON.ARRINDEX searches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    /// The first index; negative ones count from the end.
    pub start: i64,
    /// The index after the last; 0 is the end of the array, negative ones count from the end.
    pub stop: i64,
}

/// The index of the first element that equals `wanted`; `None` for a value that is no array.
pub fn index_of(view: View<'_>, wanted: View<'_>, range: Range) -> Option<Option<usize>> {
    let View::Array(array) = view else { return None };
    Some(search(array, wanted, range))
}

fn search(array: ArrayView<'_>, wanted: View<'_>, range: Range) -> Option<usize> {
    let len = array.len();
    let start = clamped(range.start, len).min(len.checked_sub(1)?);
    let stop = match range.stop {
        0 => len,
        stop => clamped(stop, len).min(len),
    };
    let mut candidates = array.iter().enumerate().take(stop).skip(start);
    candidates.find(|(_, element)| element.same(wanted)).map(|(index, _)| index)
}

/// An index that counts from the end if negative, but not beyond the first element.
fn clamped(index: i64, len: usize) -> usize {
    match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => len.saturating_sub(index.unsigned_abs() as usize),
    }
}
