//! The word CREATE: how are members made that a path names and a document does not have?
//!
//! A path ends in member names, perhaps after something that matches in many places (`$.list[*].price.net`: `price` and
//! `net`, in each element). In each of those places the objects and the value that are missing are made. Where something
//! else than an object is in the way nothing is made, and where the value exists it stays.

use super::{fits, from_the_back};
use crate::codec::Parsed;
use crate::error::JsonError;
use crate::path::Path;
use crate::value::{Edit, Name, Value, View};

/// Makes what is missing for `path` to match, with `leaf` as the value; says in how many places. A document that fails to
/// take one of them is to be given up.
pub fn create(document: &mut Value, path: &Path, leaf: &Parsed) -> Result<usize, JsonError> {
    let (stems, names) = path.stems(document.view())?;
    if names.is_empty() {
        return Ok(0);
    }
    let mut made = 0;
    for i in from_the_back(&stems) {
        let mut location = stems.get(i).to_vec();
        let Some(missing) = missing_from(document, &mut location, &names) else { continue };
        let (name, below) = missing.split_first().expect("something is missing");
        if !fits(location.len() + 1, below.len() + leaf.depth) {
            return Err(JsonError::TooDeep);
        }
        let value = below.iter().rev().fold(leaf.value.clone(), |value, name| {
            let mut object = Value::empty_object();
            object
                .edit(&[], Edit::AddMember(name.text().to_owned(), value))
                .expect("an object takes a member");
            object
        });
        let edit = Edit::AddMember(name.text().to_owned(), value);
        document.edit(&location, edit).expect("an object was just found there");
        made += 1;
    }
    Ok(made)
}

/// Follows the names as far as they lead, and tells which are missing; `None` if none is, or if they lead into something
/// that has no members.
fn missing_from<'n, 'p>(
    document: &Value,
    location: &mut Vec<u32>,
    names: &'n [&'p Name],
) -> Option<&'n [&'p Name]> {
    let mut view = document.at(location).expect("the location was just found");
    for (known, name) in names.iter().enumerate() {
        let View::Object(object) = view else { return None };
        let Some((position, child)) = object.find(name) else { return Some(&names[known..]) };
        location.push(position);
        view = child;
    }
    None
}
