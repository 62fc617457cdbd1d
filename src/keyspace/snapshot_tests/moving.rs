//! Does a move of blocks change anything but addresses, whoever else holds a value?

use super::values::{KINDS, UNCHECKED, change, make, render};
use crate::base::moving::judges::Everything;
use crate::base::moving::{Cursor, Mover};
use crate::keyspace::Keyspace;
use crate::keyspace::db::moving::Keys;
use crate::keyspace::hash::{KeyHash, SeededHash};
use crate::keyspace::value::{Value, ValueMut, ValueRef};
use crate::object::Stream;
use crate::object::stream::{Pending, StreamId};

/// More elements than this are moved in pieces.
const ELEMENTS_MAX: usize = 20;

/// Moves all blocks of all dbs, in pieces of so many steps; how many have moved.
pub fn move_all<H: KeyHash>(keyspace: &mut Keyspace<H>, pieces: usize) -> u64 {
    let mut judge = Everything { pieces: Some(pieces), asked: 0 };
    let mut mover = Mover::new(&mut judge);
    for number in 0..keyspace.db_count() {
        let db = keyspace.db_mut(number);
        let (mut position, mut keys, mut seen) = (0, Keys::default(), 0);
        loop {
            let mut later = Vec::new();
            position = db.move_bucket(position, ELEMENTS_MAX, &mut later, &mut keys, &mut mover);
            for key in &later {
                let mut from = Some(Cursor::default());
                while let Some(at) = from {
                    from = db.move_value(key, at, &mut mover);
                }
            }
            seen += later.len() as u64;
            if position == 0 {
                break;
            }
        }
        assert_eq!(keys.moved + keys.stayed + seen, db.len() as u64, "each key comes once");
        db.table().check();
    }
    mover.moved
}

/// A db with one large value.
fn with_large(kind: usize, count: usize) -> Keyspace<SeededHash> {
    let mut keyspace = Keyspace::<SeededHash>::with_hasher(1);
    keyspace.db_mut(0).insert(b"large", make(kind, count), None);
    keyspace
}

/// Has some entries wait for two consumers.
fn make_pending(stream: &mut Stream) {
    let ids: Vec<_> =
        stream.log.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    let group = stream.groups.get_mut(b"group").expect("streams are made with it");
    let owners = [b"one", b"two"].map(|name| group.add_consumer(name, 1, None).expect("it is new"));
    for (at, id) in ids.into_iter().enumerate().filter(|(at, _)| at % 3 != 0) {
        group.assign(id, Pending { delivered_ms: at as i64, count: 1, owner: owners[at % 2] });
    }
}

fn large(keyspace: &Keyspace<SeededHash>) -> ValueRef<'_> {
    let db = keyspace.db(0);
    db.value(db.find(b"large").expect("it was inserted"))
}

#[test]
fn large_values_move_whole_and_stay_what_they_were() {
    for kind in (0..KINDS).filter(|kind| *kind != UNCHECKED) {
        let mut keyspace = with_large(kind, 20_000);
        let slot = keyspace.db(0).find(b"large").expect("it was inserted");
        if let ValueMut::Stream(stream) = keyspace.db_mut(0).value_mut(slot) {
            make_pending(stream);
        }
        let (before, bytes) = (render(large(&keyspace)), large(&keyspace).collection_bytes());
        let moved = move_all(&mut keyspace, 1);
        assert!(render(large(&keyspace)) == before, "kind {kind}");
        assert_eq!(large(&keyspace).collection_bytes(), bytes, "kind {kind}");
        // Entry, directory and segment move as well, and each node is two blocks at least.
        let nodes = if matches!(kind, 0 | 6) { 1 } else { 300 };
        assert!(moved >= 3 + nodes, "{moved} blocks of kind {kind}");
        assert_eq!(move_all(&mut keyspace, usize::MAX), moved, "kind {kind}, in one piece");
    }
}

#[test]
fn what_others_hold_stays_where_it_is() {
    for kind in [1, 2, 3, 4, 5] {
        let mut keyspace = with_large(kind, 5_000);
        let copy = large(&keyspace).copy_collection().expect("a collection");
        let before = render(copy.as_ref());
        let moved = move_all(&mut keyspace, 3);
        // All that is shared is the value's; the box of a large form, the entry and the table are the db's own.
        assert!(moved < 10, "{moved} blocks of kind {kind}");
        // A write makes copies of some nodes, which are the db's own again.
        let slot = keyspace.db(0).find(b"large").expect("it was inserted");
        for seed in 0..500 {
            change(keyspace.db_mut(0).value_mut(slot), seed);
        }
        let changed = render(large(&keyspace));
        assert!(move_all(&mut keyspace, 3) > moved, "kind {kind}");
        assert!(render(copy.as_ref()) == before && render(large(&keyspace)) == changed);
        drop(copy);
        let all = move_all(&mut keyspace, 3);
        // Changes of a stream trim it.
        let expected = if kind == 5 { 20 } else { 100 };
        assert!(all > expected, "{all} blocks of kind {kind}");
        assert!(render(large(&keyspace)) == changed);
    }
}

#[test]
fn a_string_that_a_reply_holds_stays() {
    let mut keyspace = with_large(0, 1_000);
    let db = keyspace.db(0);
    let held = db.shared_string(db.find(b"large").expect("it was inserted")).expect("it is large");
    let moved = move_all(&mut keyspace, 1);
    let db = keyspace.db(0);
    let slot = db.find(b"large").expect("it was inserted");
    assert!(db.shared_string(slot).is_some_and(|now| std::sync::Arc::ptr_eq(&now, &held)));
    drop(held);
    // The two counts with the vector, and the bytes.
    assert_eq!(move_all(&mut keyspace, 1), moved + 2);
    let Some(Value::Str(text)) = keyspace.db(0).to_str_value(slot).map(Value::Str) else {
        panic!("it is a string")
    };
    assert_eq!(text.as_ref().len(), 10_000);
}
