//! What holds the results of an operation? Most paths match one value, whose result needs no list.

use std::ops::Deref;

/// A result per match; `None` if the match is of a kind that the operation does not work on.
#[derive(Debug)]
pub struct Results<T>(Kept<T>);

#[derive(Debug)]
enum Kept<T> {
    One([Option<T>; 1]),
    Any(Vec<Option<T>>),
}

impl<T> Results<T> {
    /// Of no match.
    pub(super) fn none() -> Results<T> {
        Results(Kept::Any(Vec::new()))
    }

    /// Of one match.
    pub(super) fn one(result: Option<T>) -> Results<T> {
        Results(Kept::One([result]))
    }

    pub(super) fn any(results: Vec<Option<T>>) -> Results<T> {
        Results(Kept::Any(results))
    }

    /// The same with other results.
    pub(super) fn map<U>(self, convert: impl Fn(T) -> U) -> Results<U> {
        Results(match self.0 {
            Kept::One([result]) => Kept::One([result.map(convert)]),
            Kept::Any(results) => {
                Kept::Any(results.into_iter().map(|result| result.map(&convert)).collect())
            }
        })
    }

    /// Takes the result of match `i`.
    pub(super) fn take(&mut self, i: usize) -> Option<T> {
        let results = match &mut self.0 {
            Kept::One(result) => &mut result[..],
            Kept::Any(results) => results,
        };
        results.get_mut(i)?.take()
    }

    /// As a list.
    pub fn into_vec(self) -> Vec<Option<T>> {
        match self.0 {
            Kept::One(result) => result.into(),
            Kept::Any(results) => results,
        }
    }
}

impl<T> Deref for Results<T> {
    type Target = [Option<T>];

    fn deref(&self) -> &[Option<T>] {
        match &self.0 {
            Kept::One(result) => result,
            Kept::Any(results) => results,
        }
    }
}
