//! Are bytes that pass for a listpack one?
//!
//! Input: how many bytes at the end are changes to make, the listpack, the changes. Properties: what is accepted can be
//! walked from both ends, counted, searched and changed, always equal to a plain vector of texts, and stays acceptable.

use mortise::base::number::IntBuf;
use mortise::object::listpack::Listpack;

/// Changes made to one listpack.
const CHANGES_MAX: usize = 48;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Some((&count, rest)) = bytes.split_first() else { return };
    let changes = usize::from(count).min(CHANGES_MAX).min(rest.len());
    let (own, changes) = rest.split_at(rest.len() - changes);
    let Ok(mut listpack) = Listpack::from_bytes(own.to_vec()) else { return };
    assert_eq!(listpack.as_bytes(), own);
    let mut model: Vec<Vec<u8>> = listpack.iter().map(|element| element.to_vec()).collect();
    compare(&listpack, &model);
    for change in changes.chunks_exact(3) {
        apply(&mut listpack, &mut model, [change[0], change[1], change[2]]);
        compare(&listpack, &model);
    }
    Listpack::from_bytes(listpack.as_bytes().to_vec()).expect("changes keep it a listpack");
}

fn compare(listpack: &Listpack, model: &[Vec<u8>]) {
    assert_eq!(listpack.len(), model.len());
    assert_eq!(listpack.is_empty(), model.is_empty());
    let mut buf = IntBuf::new();
    for (element, text) in listpack.iter().zip(model) {
        assert_eq!(element.text(&mut buf), text);
        assert_eq!(element.text_len(), text.len());
        assert!(element.is(text));
    }
    assert!(listpack.iter().rev().map(|element| element.to_vec()).eq(model.iter().rev().cloned()));
    for (index, text) in model.iter().enumerate().step_by(model.len() / 8 + 1) {
        let ahead = listpack.seek(index as i64).expect("it is not past the end");
        assert_eq!(listpack.seek(index as i64 - model.len() as i64), Some(ahead));
        let first = listpack.first().expect("there are elements");
        let found = listpack.find(first, text, 1).expect("its text is in there");
        assert_eq!(&listpack.get(found).to_vec(), text);
    }
    assert_eq!(listpack.seek(model.len() as i64), None);
    assert_eq!(listpack.seek(-1 - model.len() as i64), None);
}

fn apply(listpack: &mut Listpack, model: &mut Vec<Vec<u8>>, [what, place, value]: [u8; 3]) {
    let text = match value % 4 {
        0 => (i64::from(value) << (place % 56)).to_string().into_bytes(),
        1 => (-(i64::from(value) << (place % 56))).to_string().into_bytes(),
        2 => vec![value; usize::from(value)],
        _ => vec![b'x'; usize::from(value) * 20],
    };
    let at = if model.is_empty() { 0 } else { usize::from(place) % model.len() };
    let position = listpack.seek(at as i64);
    match (what % 7, position) {
        (0, _) | (_, None) => {
            listpack.push_back(&text);
            model.push(text);
        }
        (1, _) => {
            listpack.push_front(&text);
            model.insert(0, text);
        }
        (2, Some(position)) => {
            listpack.insert_before(position, &text);
            model.insert(at, text);
        }
        (3, Some(position)) => {
            listpack.insert_after(position, &text);
            model.insert(at + 1, text);
        }
        (4, Some(position)) => {
            listpack.replace(position, &text);
            model[at] = text;
        }
        (5, Some(position)) => {
            listpack.replace_i64(position, i64::from(value) - 100);
            model[at] = (i64::from(value) - 100).to_string().into_bytes();
        }
        (_, Some(position)) => {
            let count = usize::from(value % 5);
            let next = listpack.delete(position, count);
            model.drain(at..(at + count).min(model.len()));
            assert_eq!(next, listpack.seek(at as i64));
        }
    }
}
