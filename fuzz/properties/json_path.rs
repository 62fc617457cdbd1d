//! Does a path name the same places to readers and to writers, and do writes leave a whole document?
//!
//! Input: a byte that chooses a write, a path, a zero byte, a document, perhaps a zero byte and a second document.
//! Properties: selecting, locating and taking the first agree; every location leads to its value; after a write the document
//! is read back as it is from its text, nests no deeper than allowed, and a copy taken before is what it was. Expressions
//! that compute something end, and what they yield is JSON; a path that both dialects read is read by the strict one
//! without a crash.

use mortise_json::codec::{DEPTH_MAX, Parsed, parse};
use mortise_json::ops;
use mortise_json::path::{Dialect, Path, Query, compiled, query};
use mortise_json::value::{Value, View};
use mortise_json::write::{Format, to_text};

/// Longer documents and paths add work but nothing new.
const TEXT_BYTES_MAX: usize = 2048;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let mut parts = text.splitn(3, '\0');
    let (Some(path), Some(document)) = (parts.next(), parts.next()) else { return };
    if path.len() > 128 || document.len() > TEXT_BYTES_MAX {
        return;
    }
    let Ok(document) = parse(document) else { return };
    ask(path, &document);
    let Ok(path) = compiled(path) else { return };
    let other = parts.next().and_then(|text| parse(text).ok());
    let other = other.unwrap_or_else(|| parse("{\"a\":[1,{\"b\":null}]}").expect("it is JSON"));
    read(&path, document.value.view(), &document.value);
    write(choice, &path, &document.value, &other);
}

/// Asks as JSON.GET does, in both dialects.
fn ask(text: &str, document: &Parsed) {
    let root = document.value.view();
    for dialect in [Dialect::RedisJson, Dialect::Rfc9535] {
        match query(text, dialect) {
            Ok(Query::Path(path)) => drop(path.select(root)),
            Ok(Query::Computed(computed)) => {
                assert!(compiled(text).is_err(), "a write would take it");
                for value in computed.values(root).into_iter().flatten() {
                    let text = to_text(value.view(), Format::COMPACT);
                    let text = std::str::from_utf8(&text).expect("text is UTF-8");
                    serde_json::from_str::<serde_json::Value>(text).expect("values are JSON");
                }
            }
            Err(error) => assert!(!error.to_string().contains(['\r', '\n']), "two lines"),
        }
    }
}

fn read(path: &Path, root: View<'_>, value: &Value) {
    let Ok(selected) = path.select(root) else { return };
    let Ok(matches) = path.locate(root) else { return };
    assert_eq!(matches.views.len(), selected.len());
    assert_eq!(matches.locations.len(), selected.len());
    assert_eq!(matches.locations.is_empty(), selected.is_empty());
    for (at, view) in selected.iter().enumerate() {
        assert!(matches.views[at].same(*view));
        let there = value.at(matches.locations.get(at)).expect("a location leads somewhere");
        assert!(there.same(*view));
    }
    let first = path.first(root).expect("finding one costs no more than finding all");
    assert_eq!(first.is_some(), !selected.is_empty());
    assert!(first.is_none_or(|first| first.same(selected[0])));
}

fn write(choice: u8, path: &Path, before: &Value, other: &Parsed) {
    let text_before = to_text(before.view(), Format::COMPACT);
    let mut document = before.clone();
    let index = i64::from(choice >> 4) - 8;
    let changed = match choice & 15 {
        0 => ops::set(&mut document, path, other, ops::Condition::Always).map(|o| o.changed),
        1 => ops::set(&mut document, path, other, ops::Condition::Absent).map(|o| o.changed),
        2 => ops::delete(&mut document, path).map(|deleted| deleted.count > 0),
        3 => ops::clear(&mut document, path).map(|o| o.changed),
        4 => ops::merge(&mut document, path, other).map(|o| o.changed),
        5 => ops::toggle(&mut document, path).map(|o| o.changed),
        6 => ops::strappend(&mut document, path, Ok("x\u{e9}\n".as_bytes())).map(|o| o.changed),
        7 => {
            let values = [parse("1").expect("JSON"), parse("{\"b\":[]}").expect("JSON")];
            ops::append(&mut document, path, &values).map(|o| o.changed)
        }
        8 => {
            let values = [parse("2.5").expect("JSON")];
            ops::insert(&mut document, path, index, &values).map(|o| o.changed)
        }
        9 => ops::pop(&mut document, path, index).map(|o| o.changed),
        10 => ops::trim(&mut document, path, index, index + 4).map(|o| o.changed),
        11 => add(&mut document, path, ops::Arithmetic::Add, ops::Number::Int(i64::MAX)),
        12 => add(&mut document, path, ops::Arithmetic::Multiply, ops::Number::Float(1e300)),
        _ => add(&mut document, path, ops::Arithmetic::Power, ops::Number::Int(index)),
    };
    assert_eq!(to_text(before.view(), Format::COMPACT), text_before, "the copy was changed too");
    let text_after = to_text(document.view(), Format::COMPACT);
    match changed {
        Ok(true) => {}
        Ok(false) => assert_eq!(text_after, text_before, "changed, though it says not"),
        Err(error) => assert_eq!(text_after, text_before, "changed, though {error}"),
    }
    let text = std::str::from_utf8(&text_after).expect("text is UTF-8");
    let again = parse(text).expect("a changed document is JSON");
    assert!(again.value.view().same(document.view()));
    assert_eq!(again.depth, document.view().depth());
    assert!(again.depth <= DEPTH_MAX);
}

fn add(
    document: &mut Value,
    path: &Path,
    operation: ops::Arithmetic,
    operand: ops::Number,
) -> Result<bool, mortise_json::error::JsonError> {
    ops::arithmetic(document, path, operation, &Ok(operand)).map(|updated| updated.changed)
}
