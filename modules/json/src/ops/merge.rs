//! JSON.MERGE: how is a merge patch (RFC 7396) applied?
//!
//! Members of an object patch merge into the members of the target, `null` removes one, anything else replaces. A
//! value that the patch creates holds no `null` members, except where the command creates the key or the last member of
//! its path: there the patch is stored as given.

use super::set::{Deep, Outcome, add};
use super::{fits, place};
use crate::codec::Parsed;
use crate::error::JsonError;
use crate::path::Path;
use crate::value::{Edit, ObjectView, Value, View};

/// Merges `patch` into every match of `path`, or adds it as the member that the path names. The matches take their turns
/// in document order, each finding what those before it have made of the document; one that they have removed is passed
/// over. All is done if something is.
pub fn merge(document: &mut Value, path: &Path, patch: &Parsed) -> Result<Outcome, JsonError> {
    let locations = path.locate(document.view())?.locations;
    if locations.is_empty() {
        return add(document, path, patch, Deep::Fails);
    }
    let mut outcome = Outcome::NOTHING;
    if let 1 = locations.len() {
        outcome.changed = merge_into(document, locations.get(0), patch);
    } else {
        let places: Vec<_> =
            (0..locations.len()).map(|i| place::steps(document, locations.get(i))).collect();
        for place in places {
            let Some(location) = place::find(document, &place) else { continue };
            outcome.changed |= merge_into(document, &location, patch);
        }
    }
    outcome.complete = outcome.changed;
    Ok(outcome)
}

fn merge_into(document: &mut Value, location: &[u32], patch: &Parsed) -> bool {
    // Where both are objects the deeper one counts, so the patch alone decides whether the limit is kept.
    let fits = fits(location.len(), patch.depth);
    if fits {
        merge_at(document, &mut location.to_vec(), patch.value.view());
        document.settle(location);
    }
    fits
}

fn merge_at(document: &mut Value, location: &mut Vec<u32>, patch: View<'_>) {
    let target = document.at(location).expect("the location was just found");
    let (View::Object(patch), View::Object(_)) = (patch, target) else {
        edit(document, location, Edit::Replace(without_nulls(patch)));
        return;
    };
    for member in patch.iter() {
        let Some(View::Object(target)) = document.at(location) else {
            unreachable!("merging members leaves an object an object");
        };
        match (target.find_text(member.name()), member.value) {
            (None, View::Null) => {}
            (None, value) => {
                let name = String::from_utf8_lossy(member.name()).into_owned();
                edit(document, location, Edit::AddMember(name, without_nulls(value)));
            }
            (Some((position, _)), View::Null) => {
                edit(document, location, Edit::Remove(vec![position]));
            }
            (Some((position, _)), value) => {
                location.push(position);
                merge_at(document, location, value);
                location.pop();
            }
        }
    }
}

fn edit(document: &mut Value, location: &[u32], edit: Edit) {
    document.edit(location, edit).expect("the location was just found and suits the edit");
}

/// A copy of `patch` in which no object has a `null` member; arrays are values, not patches, and keep theirs.
fn without_nulls(patch: View<'_>) -> Value {
    let mut value = patch.to_value();
    if let View::Object(object) = patch {
        let mut removals = Vec::new();
        null_members(object, &mut Vec::new(), &mut removals);
        for (location, positions) in removals {
            edit(&mut value, &location, Edit::Remove(positions));
        }
    }
    value
}

/// Collects what to remove, the deeper objects first.
fn null_members(
    object: ObjectView<'_>,
    location: &mut Vec<u32>,
    removals: &mut Vec<(Vec<u32>, Vec<u32>)>,
) {
    let mut positions = Vec::new();
    for member in object.iter() {
        match member.value {
            View::Null => positions.push(member.position),
            View::Object(inner) => {
                location.push(member.position);
                null_members(inner, location, removals);
                location.pop();
            }
            _ => {}
        }
    }
    if !positions.is_empty() {
        removals.push((location.clone(), positions));
    }
}
