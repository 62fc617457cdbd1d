//! How are values of JSON documents shown?
//!
//! A path that begins with `$` may find several values. Up to dialect 2 clients get the first, a string without its
//! quotes; later dialects show the list of all.

use mortise_module::Context;
use serde_json::value::RawValue;

use crate::schema::questions::{Ask, Question, Questions};
use crate::source::json::ask;

/// The dialect from which on all values of a path are shown.
pub const DIALECT_MULTI_VALUE: u32 = 3;

/// What is asked for the texts of some paths.
pub fn questions<'p>(paths: impl Iterator<Item = &'p [u8]>) -> Questions {
    Questions::new(paths.map(|path| Question::new(path, Ask::Text)).collect())
}

/// What JSON.GET answers for each of some paths; nothing at all if the key holds no document.
pub fn texts<R>(
    ctx: &mut Context<'_>,
    key: &[u8],
    questions: &Questions,
    mut each: impl FnMut(usize, Option<&[u8]>) -> R,
) -> Option<Vec<R>> {
    ask(ctx, key, questions, |mut answer| {
        (0..questions.list.len()).map(|at| Some(each(at, answer.text()?))).collect()
    })
}

/// The values of some paths as they are shown, by path; none where there is none.
pub fn shown(
    ctx: &mut Context<'_>,
    key: &[u8],
    paths: &[&[u8]],
    dialect: u32,
) -> Vec<Option<Vec<u8>>> {
    let asked = questions(paths.iter().copied());
    let shown = texts(ctx, key, &asked, |at, text| show(text?, paths[at], dialect));
    shown.unwrap_or_else(|| vec![None; paths.len()])
}

/// The document of a key, as text.
pub fn document(ctx: &mut Context<'_>, key: &[u8], dialect: u32) -> Option<Vec<u8>> {
    let path: &[u8] = if dialect < DIALECT_MULTI_VALUE { b"." } else { b"$" };
    let asked = questions([path].into_iter());
    texts(ctx, key, &asked, |_, text| text.map(<[u8]>::to_vec))?.pop()?
}

fn show(text: &[u8], path: &[u8], dialect: u32) -> Option<Vec<u8>> {
    if dialect >= DIALECT_MULTI_VALUE {
        return (text != b"[]").then(|| text.to_vec());
    }
    if path.starts_with(b"$") { first_match(text) } else { plain(text) }
}

/// The first of a path's matches.
fn first_match(matches: &[u8]) -> Option<Vec<u8>> {
    // One string without escapes is all that most paths find.
    if let [b'[', b'"', text @ .., b'"', b']'] = matches
        && !text.iter().any(|byte| matches!(byte, b'"' | b'\\'))
    {
        return Some(text.to_vec());
    }
    let matches: Vec<&RawValue> = serde_json::from_slice(matches).ok()?;
    plain(matches.first()?.get().as_bytes())
}

/// A JSON value as a client reads it: strings without quotes, anything else as JSON.
fn plain(json: &[u8]) -> Option<Vec<u8>> {
    match json.first()? {
        b'"' => serde_json::from_slice::<String>(json).ok().map(String::into_bytes),
        _ => Some(json.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_matches_are_shown_as_clients_expect() {
        assert_eq!(first_match(br#"["a\"b","c"]"#), Some(b"a\"b".to_vec()));
        assert_eq!(first_match(br#"["a","c"]"#), Some(b"a".to_vec()));
        assert_eq!(first_match(br#"["a"]"#), Some(b"a".to_vec()));
        assert_eq!(first_match(br#"[""]"#), Some(b"".to_vec()));
        assert_eq!(first_match(b"[1.50]"), Some(b"1.50".to_vec()));
        assert_eq!(first_match(br#"[{"a":[1, 2]}]"#), Some(br#"{"a":[1, 2]}"#.to_vec()));
        assert_eq!(first_match(b"[]"), None);
        assert_eq!(show(b"[]", b"$.a", 3), None);
        assert_eq!(show(b"[1,2]", b"$.a", 3), Some(b"[1,2]".to_vec()));
        assert_eq!(show(b"\"x\"", b".a", 2), Some(b"x".to_vec()));
    }
}
