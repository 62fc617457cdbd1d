//! JSON.SET, JSON.DEL, JSON.CLEAR: how values are put in place and taken away.

use super::place::{self, Step};
use super::{Answer, Updated, apply, fits, topmost, update};
use crate::codec::Parsed;
use crate::error::JsonError;
use crate::path::{LastStep, Path};
use crate::value::{Edit, Kind, Name, Value, View};

/// When JSON.SET may act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// In any case.
    #[default]
    Always,
    /// If nothing is there (NX).
    Absent,
    /// If something is there (XX).
    Present,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Something changed.
    pub changed: bool,
    /// All of what was asked for was done: the command answers OK, not nil.
    pub complete: bool,
}

impl Outcome {
    /// All done.
    pub const DONE: Outcome = Outcome { changed: true, complete: true };
    /// Nothing done, which is no error.
    pub const NOTHING: Outcome = Outcome { changed: false, complete: false };
}

/// Puts a value at every topmost match of `path`, or adds it as the member that the path names.
pub fn set(
    document: &mut Value,
    path: &Path,
    new: &Parsed,
    condition: Condition,
) -> Result<Outcome, JsonError> {
    if path.is_root() && condition != Condition::Absent {
        let fits = fits(0, new.depth);
        if fits {
            *document = new.value.clone();
        }
        return Ok(Outcome { changed: fits, complete: fits });
    }
    let locations = path.locate(document.view())?.locations;
    if condition == Condition::Absent && !locations.is_empty() {
        // Where it would have had to name one place it must do so even if there is nothing to add.
        return path.last_step().map(|_| Outcome::NOTHING).ok_or(JsonError::WrongStaticPath);
    }
    if locations.is_empty() {
        return match condition {
            Condition::Present => Ok(Outcome::NOTHING),
            Condition::Always | Condition::Absent => add(document, path, new, Deep::Declines),
        };
    }
    let mut complete = true;
    let mut edits = Vec::new();
    for i in topmost(&locations) {
        if fits(locations.get(i).len(), new.depth) {
            edits.push((i, Edit::Replace(new.value.clone())));
        } else {
            complete = false;
        }
    }
    let changed = !edits.is_empty();
    apply(document, &locations, edits);
    Ok(Outcome { changed, complete })
}

/// What comes of an addition that would nest too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deep {
    /// Nothing.
    Declines,
    /// An error.
    Fails,
}

/// Adds the member that the last step of `path` names, if what the rest names is an object.
pub(super) fn add(
    document: &mut Value,
    path: &Path,
    new: &Parsed,
    deep: Deep,
) -> Result<Outcome, JsonError> {
    let Some((location, name)) = addable(document, path)? else { return Ok(Outcome::NOTHING) };
    if !fits(location.len() + 1, new.depth) {
        return match deep {
            Deep::Declines => Ok(Outcome::NOTHING),
            Deep::Fails => Err(JsonError::TooDeep),
        };
    }
    let edit = Edit::AddMember(name.text().to_owned(), new.value.clone());
    document.edit(&location, edit).expect("the parent is an object and was just located");
    Ok(Outcome::DONE)
}

/// The object in which the last step of `path` may add a member, and the member's name.
fn addable<'p>(
    document: &Value,
    path: &'p Path,
) -> Result<Option<(Vec<u32>, &'p Name)>, JsonError> {
    let name = match path.last_step() {
        Some(LastStep::Member(name)) => name,
        Some(LastStep::Element) => return Err(JsonError::IndexOutOfRange),
        Some(LastStep::Root) | None => return Err(JsonError::WrongStaticPath),
    };
    Ok(match path.parent(document.view())? {
        Some((location, View::Object(_))) => Some((location, name)),
        _ => None,
    })
}

/// Where a value will be put, found before anything else changes the document.
#[derive(Debug)]
pub struct Target(Place);

#[derive(Debug)]
enum Place {
    /// It becomes the document.
    Root,
    /// It replaces what stands at these places.
    These(Vec<Vec<Step>>),
    /// It is added under this name to the object at that place.
    Member(Vec<Step>, String),
    Nowhere,
}

impl Target {
    /// What `path` names in `document`.
    pub fn of(document: Option<&Value>, path: &Path) -> Result<Target, JsonError> {
        if path.is_root() {
            return Ok(Target(Place::Root));
        }
        let document = document.ok_or(JsonError::NewBelowRoot)?;
        let locations = path.locate(document.view())?.locations;
        let steps = |location: &[u32]| place::steps(document, location);
        if !locations.is_empty() {
            let top = topmost(&locations).into_iter();
            return Ok(Target(Place::These(top.map(|i| steps(locations.get(i))).collect())));
        }
        Ok(Target(match addable(document, path)? {
            Some((parent, name)) => Place::Member(steps(&parent), name.text().to_owned()),
            None => Place::Nowhere,
        }))
    }

    /// Puts the value there, as far as the places still exist.
    pub fn put(&self, document: &mut Option<Value>, new: &Parsed) -> Outcome {
        let (root, places) = match (&self.0, &mut *document) {
            (Place::Root, _) | (_, None) => {
                *document = Some(new.value.clone());
                return Outcome::DONE;
            }
            (Place::Nowhere, _) => return Outcome::NOTHING,
            (Place::Member(parent, name), Some(root)) => {
                let Some(parent) = place::find(root, parent) else { return Outcome::NOTHING };
                let Some(View::Object(object)) = root.at(&parent) else { return Outcome::NOTHING };
                let known = object.find_text(name.as_bytes()).is_some();
                if known || !fits(parent.len() + 1, new.depth) {
                    return Outcome::NOTHING;
                }
                let edit = Edit::AddMember(name.clone(), new.value.clone());
                root.edit(&parent, edit).expect("it is an object and was just located");
                return Outcome::DONE;
            }
            (Place::These(places), Some(root)) => (root, places),
        };
        let mut outcome = Outcome { changed: false, complete: true };
        for place in places {
            match place::find(root, place) {
                Some(at) if fits(at.len(), new.depth) => {
                    let edit = Edit::Replace(new.value.clone());
                    root.edit(&at, edit).expect("the place was just located");
                    root.settle(&at);
                    outcome.changed = true;
                }
                _ => outcome.complete = false,
            }
        }
        outcome
    }
}

/// What JSON.DEL did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// How many values went.
    pub count: usize,
    /// The key goes too: the root matched, or is an empty container now.
    pub nothing_left: bool,
}

/// Removes every topmost match.
pub fn delete(document: &mut Value, path: &Path) -> Result<Deleted, JsonError> {
    let locations = path.locate(document.view())?.locations;
    let top = topmost(&locations);
    if top.iter().any(|&i| locations.get(i).is_empty()) {
        return Ok(Deleted { count: 1, nothing_left: true });
    }
    let mut removed_from: Option<(&[u32], Vec<u32>)> = None;
    let mut remove = |removal: Option<(&[u32], Vec<u32>)>| {
        if let Some((parent, mut positions)) = removal {
            positions.reverse();
            let edit = Edit::Remove(positions);
            document.edit(parent, edit).expect("parents of matches are containers");
        }
    };
    for &i in &top {
        let (&position, parent) = locations.get(i).split_last().expect("the root was handled");
        match &mut removed_from {
            Some((current, positions)) if *current == parent => positions.push(position),
            _ => remove(removed_from.replace((parent, vec![position]))),
        }
    }
    remove(removed_from);
    for &i in &top {
        let (_, parent) = locations.get(i).split_last().expect("the root was handled");
        document.settle(parent);
    }
    let empty = match document.view() {
        View::Array(array) => array.is_empty(),
        View::Object(object) => object.is_empty(),
        _ => false,
    };
    Ok(Deleted { count: top.len(), nothing_left: empty && !top.is_empty() })
}

/// Empties containers and zeroes numbers; has a result for every value that this changes.
pub fn clear(document: &mut Value, path: &Path) -> Result<Updated<()>, JsonError> {
    update(document, path, Answer::LastMatch, |view, _| {
        let cleared = match view {
            View::Array(array) if !array.is_empty() => Value::empty_array(),
            View::Object(object) if !object.is_empty() => Value::empty_object(),
            View::Float(value) if value != 0.0 => Value::int(0),
            _ if view.kind() == Kind::Integer && !matches!(view, View::Int(0)) => Value::int(0),
            _ => return Ok(None),
        };
        Ok(Some(((), Some(Edit::Replace(cleared)))))
    })
}
