//! Where does a value stand whatever changes around it?
//!
//! A location counts positions, which removals before it move. Operations that go through their matches one by one,
//! as a merge does, name the steps instead and look the place up again for each.

use std::cmp::Ordering;

use crate::value::{Value, View};

/// A step into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(Box<[u8]>),
    Index(u32),
}

/// The steps to what stands at `location`.
pub(super) fn steps(document: &Value, location: &[u32]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(location.len());
    let mut view = document.view();
    for &position in location {
        steps.push(match view {
            View::Object(object) => {
                let member = object.member(position).expect("the location was just found");
                Step::Name(member.name().into())
            }
            _ => Step::Index(position),
        });
        view = view.child(position).expect("the location was just found");
    }
    steps
}

/// The location to which the steps lead now, if there is one.
pub(super) fn find(document: &Value, steps: &[Step]) -> Option<Vec<u32>> {
    let mut location = Vec::with_capacity(steps.len());
    let mut view = document.view();
    for step in steps {
        let (position, child) = match (view, step) {
            (View::Object(object), Step::Name(name)) => object.find_text(name)?,
            (View::Array(array), Step::Index(index)) => (*index, array.get(*index as usize)?),
            _ => return None,
        };
        location.push(position);
        view = child;
    }
    Some(location)
}

/// The order in which RedisJSON changes several places: within before around, higher indices before lower ones, members
/// by name.
pub(super) fn changed_in_turn(document: &Value, a: &[u32], b: &[u32]) -> Ordering {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (a.get(common), b.get(common)) {
        (Some(&left), Some(&right)) => match document.at(&a[..common]) {
            Some(View::Object(object)) => {
                let name = |position| object.member(position).map(|member| member.name());
                name(left).cmp(&name(right))
            }
            _ => right.cmp(&left),
        },
        _ => b.len().cmp(&a.len()),
    }
}
