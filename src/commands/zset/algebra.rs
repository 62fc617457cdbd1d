//! Which members and scores do several sources make? Union, intersection and difference.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::sources::Source;

/// How members are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// In any source.
    Union,
    /// In all of them.
    Inter,
    /// In the first one alone.
    Diff,
}

/// How the scores that a member has in several sources become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// All together.
    Sum,
    /// The lowest.
    Min,
    /// The highest.
    Max,
}

impl Aggregate {
    fn join(self, score: f64, other: f64) -> f64 {
        match self {
            // Infinities of both signs make nothing.
            Aggregate::Sum => or_zero(score + other),
            Aggregate::Min => {
                if other < score {
                    other
                } else {
                    score
                }
            }
            Aggregate::Max => {
                if other > score {
                    other
                } else {
                    score
                }
            }
        }
    }
}

fn or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// A source, and what its scores are multiplied with.
#[derive(Clone, Copy, Debug)]
pub struct Weighted<'a> {
    /// The source.
    pub source: Source<'a>,
    /// Its factor.
    pub weight: f64,
}

type Members<'a> = HashMap<Cow<'a, [u8]>, f64, foldhash::fast::RandomState>;

/// The members of the result, in no order.
pub fn compute<'a>(
    sources: &[Weighted<'a>],
    operation: Operation,
    aggregate: Aggregate,
) -> Vec<(f64, Cow<'a, [u8]>)> {
    match operation {
        Operation::Union => union(sources, aggregate),
        Operation::Inter => {
            let mut result = Vec::new();
            intersect(sources, aggregate, |member, score| {
                result.push((score, member));
                true
            });
            result
        }
        Operation::Diff => difference(sources),
    }
}

fn union<'a>(sources: &[Weighted<'a>], aggregate: Aggregate) -> Vec<(f64, Cow<'a, [u8]>)> {
    let most = sources.iter().map(|one| one.source.len()).max().unwrap_or(0);
    let mut members = Members::with_capacity_and_hasher(most, Default::default());
    for Weighted { source, weight } in sources {
        source.each(|member, score| {
            let score = or_zero(weight * score);
            match members.entry(member) {
                Entry::Vacant(place) => {
                    place.insert(score);
                }
                Entry::Occupied(mut place) => {
                    let joined = aggregate.join(*place.get(), score);
                    place.insert(joined);
                }
            }
            true
        });
    }
    members.into_iter().map(|(member, score)| (score, member)).collect()
}

/// Shows what is in all sources, the smallest of which comes first, until `show` has enough.
pub fn intersect<'a>(
    sources: &[Weighted<'a>],
    aggregate: Aggregate,
    mut show: impl FnMut(Cow<'a, [u8]>, f64) -> bool,
) {
    let [first, others @ ..] = sources else { return };
    first.source.each(|member, own| {
        let start = Some(or_zero(first.weight * own));
        let score = others.iter().try_fold(start, |score, other| {
            let found = match other.source.is_same(first.source) {
                true => own,
                false => other.source.score(&member)?,
            };
            Some(score.map(|score| aggregate.join(score, found * other.weight)))
        });
        score.flatten().is_none_or(|score| show(member, score))
    });
}

fn difference<'a>(sources: &[Weighted<'a>]) -> Vec<(f64, Cow<'a, [u8]>)> {
    let [first, others @ ..] = sources else { return Vec::new() };
    let mut result = Vec::new();
    first.source.each(|member, score| {
        if others.iter().all(|other| other.source.score(&member).is_none()) {
            result.push((score, member));
        }
        true
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_never_nan() {
        let (inf, sum) = (f64::INFINITY, Aggregate::Sum);
        assert_eq!(sum.join(inf, -inf), 0.0);
        assert_eq!(sum.join(1.0, f64::NAN), 0.0);
        assert_eq!(Aggregate::Min.join(1.0, f64::NAN), 1.0);
        assert_eq!(Aggregate::Max.join(1.0, f64::NAN), 1.0);
        assert_eq!(Aggregate::Min.join(1.0, -inf), -inf);
        assert_eq!(or_zero(inf * 0.0), 0.0);
    }
}
