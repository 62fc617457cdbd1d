//! What do several sets have in common, in all, or apart from others? Intersection, union and
//! difference, shown member by member or as a set.
//!
//! The sets made here have the encodings that Redis 7.2 gives to the results of its STORE commands:
//! those depend on the way in which the members come together, so the way is the same.

use std::cmp::Reverse;

use super::{Repr, Set, SetLimits};
use crate::base::number::IntBuf;
use crate::object::listpack::Element;

/// Shows what is in all sets, until `show` says no more. An absent set is empty.
pub fn intersect(sets: &[Option<&Set>], show: &mut dyn FnMut(Element<'_>) -> bool) {
    let Some(sets) = by_size(sets) else { return };
    let Some((smallest, others)) = sets.split_first() else { return };
    for member in smallest.iter() {
        let everywhere = others
            .iter()
            .all(|other| std::ptr::eq(*other, *smallest) || other.contains_element(member));
        if everywhere && !show(member) {
            return;
        }
    }
}

/// What is in all sets.
pub fn intersection(sets: &[Option<&Set>], limits: SetLimits) -> Set {
    let smallest = by_size(sets).and_then(|sets| sets.first().copied());
    let mut result = match smallest.map(|set| set.form()) {
        Some(Repr::Ints(_)) => Set::new(),
        Some(Repr::Small(_) | Repr::Table(_)) | None => Set::new_small(),
    };
    let mut only_integers = true;
    intersect(sets, &mut |member| {
        only_integers = only_integers && member.as_i64().is_some();
        result.add_element(member, limits);
        true
    });
    if only_integers {
        result.make_intset(limits);
    }
    result
}

/// The sets, smallest first; none if one of them is absent.
fn by_size<'a>(sets: &[Option<&'a Set>]) -> Option<Vec<&'a Set>> {
    let mut sets: Vec<&Set> = sets.iter().copied().collect::<Option<_>>()?;
    sets.sort_by_key(|set| set.len());
    Some(sets)
}

/// What is in any of the sets.
pub fn union(sets: &[Option<&Set>], limits: SetLimits) -> Set {
    let mut result = Set::new();
    for member in sets.iter().flatten().flat_map(|set| set.iter()) {
        result.add_element(member, limits);
    }
    result
}

/// What is in the first set and in none of the others. An absent set is empty.
///
/// Either each member of the first set is looked for in the others, or the members of the others are
/// taken out of a copy of the first set: whichever is less work, halved for the former, which is the
/// better one when there is much in common.
pub fn difference(sets: &[Option<&Set>], limits: SetLimits) -> Set {
    let mut result = Set::new();
    let Some((Some(first), others)) = sets.split_first() else { return result };
    let mut others: Vec<&Set> = others.iter().copied().flatten().collect();
    if others.iter().any(|other| std::ptr::eq(*other, *first)) {
        return result;
    }
    let by_looking = first.len().saturating_mul(others.len() + 1) / 2;
    let by_taking = first.len() + others.iter().map(|other| other.len()).sum::<usize>();
    if by_looking <= by_taking {
        // What is large is the likelier to have a member.
        others.sort_by_key(|other| Reverse(other.len()));
        for member in first.iter() {
            if !others.iter().any(|other| other.contains_element(member)) {
                result.add_element(member, limits);
            }
        }
        return result;
    }
    for member in first.iter() {
        result.add_element(member, limits);
    }
    for other in others {
        for member in other.iter() {
            result.remove(member.text(&mut IntBuf::new()));
        }
        if result.is_empty() {
            break;
        }
    }
    result
}
