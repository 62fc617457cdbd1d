//! Does a snapshot show what there was when it began, whatever happens during the walk? Random operations on a few
//! dbs, with slices of a walk between them, compared with a deep copy taken at the start.

#[path = "snapshot_tests/moving.rs"]
mod moving;
#[path = "snapshot_tests/values.rs"]
mod values;

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::Keyspace;
use super::db::ExpireChange;
use super::hash::{KeyHash, SeededHash};
use super::snapshot::{Batch, SavedValue, Step, Walk};
use super::value::ValueRef;
use crate::object::rdb::write::Style;
use values::{KINDS, UNCHECKED, change, make, render, render_saved};

const DBS: usize = 3;
const KEYS: usize = 40;
const NOW_MS: i64 = 1_000_000;

/// All keys have one of a few positions, so that many move together.
struct Coarse;

impl KeyHash for Coarse {
    fn hash(key: &[u8]) -> u64 {
        SeededHash::hash(key) & (0xf << 60)
    }
}

/// All keys collide.
struct Constant;

impl KeyHash for Constant {
    fn hash(_: &[u8]) -> u64 {
        0x0123_4567_89ab_cdef
    }
}

#[derive(Clone, Copy, Debug)]
struct Place {
    db: usize,
    key: usize,
}

impl Place {
    fn key(self) -> Vec<u8> {
        format!("key:{}", self.key).into_bytes()
    }
}

#[derive(Clone, Debug)]
enum Op {
    SetString(Place, usize),
    SetInt(Place, i64),
    Append(Place, usize),
    Truncate(Place, usize),
    /// A value of a type, of so many elements.
    Insert(Place, usize, usize),
    Change(Place, u64),
    Remove(Place),
    Expire(Place, Option<i64>),
    Touch(Place, u32),
    /// RENAME, MOVE or both at once.
    Rename(Place, Place),
    Copy(Place, Place),
    Flush(usize),
    FlushAll,
    Swap(usize, usize),
    /// Adds many keys, or removes them.
    Burst(usize, usize, bool),
    ExpireKeys(usize),
    ExpireFields(Place),
    Begin,
    /// So many steps of the walk.
    Slice(usize),
    Take,
    Cancel,
    /// Moves all blocks that may move, in pieces of so many steps.
    Move(usize),
}

fn place() -> impl Strategy<Value = Place> {
    (0..DBS, 0..KEYS).prop_map(|(db, key)| Place { db, key })
}

fn op() -> impl Strategy<Value = Op> {
    let len = || prop_oneof![0..40usize, 500..530usize, 2000..6000usize];
    let count = || prop_oneof![1..4usize, 1..30usize, 100..500usize];
    prop_oneof![
        8 => (place(), len()).prop_map(|(place, len)| Op::SetString(place, len)),
        3 => (place(), any::<i64>()).prop_map(|(place, number)| Op::SetInt(place, number)),
        4 => (place(), 0..700usize).prop_map(|(place, len)| Op::Append(place, len)),
        2 => (place(), 0..700usize).prop_map(|(place, len)| Op::Truncate(place, len)),
        10 => (place(), 0..KINDS, count()).prop_map(|(place, kind, count)| Op::Insert(place, kind, count)),
        20 => (place(), any::<u64>()).prop_map(|(place, seed)| Op::Change(place, seed)),
        5 => place().prop_map(Op::Remove),
        4 => (place(), proptest::option::of(NOW_MS - 5..NOW_MS + 5)).prop_map(|(place, at)| Op::Expire(place, at)),
        2 => (place(), any::<u32>()).prop_map(|(place, clock)| Op::Touch(place, clock)),
        10 => (place(), place()).prop_map(|(from, to)| Op::Rename(from, to)),
        6 => (place(), place()).prop_map(|(from, to)| Op::Copy(from, to)),
        1 => (0..DBS).prop_map(Op::Flush),
        1 => Just(Op::FlushAll),
        2 => (0..DBS, 0..DBS).prop_map(|(first, second)| Op::Swap(first, second)),
        3 => (0..DBS, 0..1500usize, any::<bool>()).prop_map(|(db, count, adds)| Op::Burst(db, count, adds)),
        1 => (0..DBS).prop_map(Op::ExpireKeys),
        3 => place().prop_map(Op::ExpireFields),
        4 => Just(Op::Begin),
        12 => (1..40usize).prop_map(Op::Slice),
        4 => Just(Op::Take),
        1 => Just(Op::Cancel),
        3 => (1..20usize).prop_map(Op::Move),
    ]
}

/// A key with all that is saved of it, written out.
type Copied = BTreeMap<(u32, Vec<u8>), (String, Option<i64>)>;

struct Snapshot<H: KeyHash> {
    walk: Walk<H>,
    expected: Copied,
    /// Decoded only at the end, so that writes to what is shared would be seen.
    batches: Vec<Batch>,
    cancelled: bool,
}

struct Run<H: KeyHash> {
    keyspace: Keyspace<H>,
    snapshot: Option<Snapshot<H>>,
    completed: usize,
}

fn deep_copy<H: KeyHash>(keyspace: &Keyspace<H>) -> Copied {
    let mut copied = Copied::new();
    for (number, db) in keyspace.iter() {
        let mut cursor = 0;
        loop {
            cursor = db.scan(cursor, 100, |key, value, at| {
                copied.insert((number as u32, key.to_vec()), (render(value), at));
            });
            if cursor == 0 {
                break;
            }
        }
    }
    copied
}

impl<H: KeyHash> Run<H> {
    fn apply(&mut self, op: Op) {
        let keyspace = &mut self.keyspace;
        match op {
            Op::SetString(place, len) => {
                let (db, key) = (keyspace.db_mut(place.db), place.key());
                db.set_string(&key, db.find(&key), &vec![b's'; len], ExpireChange::Keep);
            }
            Op::SetInt(place, number) => {
                let (db, key) = (keyspace.db_mut(place.db), place.key());
                db.set_int(&key, db.find(&key), number, ExpireChange::Keep);
            }
            Op::Append(place, len) => {
                let (db, key) = (keyspace.db_mut(place.db), place.key());
                db.find(&key).map(|slot| db.append(slot, &vec![b'a'; len]));
            }
            Op::Truncate(place, len) => {
                let (db, key) = (keyspace.db_mut(place.db), place.key());
                db.find(&key).map(|slot| db.edit_string(slot, |text| text.truncate(len)));
            }
            Op::Insert(place, kind, count) => {
                keyspace.db_mut(place.db).insert(&place.key(), make(kind, count), None);
            }
            Op::Change(place, seed) => {
                let (db, key) = (keyspace.db_mut(place.db), place.key());
                if let Some(slot) = db.find(&key) {
                    change(db.value_mut(slot), seed);
                }
            }
            Op::Remove(place) => {
                let (db, key) = (keyspace.db_mut(place.db), place.key());
                db.find(&key).map(|slot| db.delete(slot));
            }
            Op::Expire(place, at) => {
                let (db, key) = (keyspace.db_mut(place.db), place.key());
                db.find(&key).map(|slot| db.set_expire(slot, at));
            }
            Op::Touch(place, clock) => {
                let db = keyspace.db(place.db);
                db.find(&place.key()).into_iter().for_each(|slot| db.touch(slot, clock));
            }
            Op::Rename(from, to) => self.rename(from, to),
            Op::Copy(from, to) => self.copy(from, to),
            Op::Flush(db) => drop(keyspace.flush(db)),
            Op::FlushAll => drop(keyspace.flush_all()),
            Op::Swap(first, second) => keyspace.swap(first, second),
            Op::Burst(db, count, adds) => self.burst(db, count, adds),
            Op::ExpireKeys(db) => self.expire_keys(db),
            Op::ExpireFields(place) => {
                let (db, key) = (keyspace.db_mut(place.db), place.key());
                if let Some(slot) = db.find(&key)
                    && let ValueRef::Hash(_) = db.value(slot)
                    && let super::value::ValueMut::Hash(hash) = db.value_mut(slot)
                {
                    hash.take_expired(NOW_MS as u64, 5);
                }
            }
            Op::Move(pieces) => {
                let before = deep_copy(keyspace);
                moving::move_all(keyspace, pieces);
                assert_eq!(deep_copy(keyspace), before);
            }
            Op::Begin => self.begin(),
            Op::Slice(steps) => self.slice(steps),
            Op::Take => self.take(),
            Op::Cancel => {
                if let Some(snapshot) = &mut self.snapshot {
                    snapshot.walk.discard();
                    snapshot.cancelled = true;
                }
            }
        }
    }

    fn rename(&mut self, from: Place, to: Place) {
        let Some(slot) = self.keyspace.db(from.db).find(&from.key()) else { return };
        let removed = self.keyspace.db_mut(from.db).remove(slot);
        let db = self.keyspace.db_mut(to.db);
        if let Some(slot) = db.find(&to.key()) {
            db.delete(slot);
        }
        db.insert_new(&to.key(), removed.value, removed.expire_at);
    }

    fn copy(&mut self, from: Place, to: Place) {
        let db = self.keyspace.db(from.db);
        let Some(slot) = db.find(&from.key()) else { return };
        let copy = match db.value(slot).copy_collection() {
            Some(copy) => copy,
            None => match db.to_str_value(slot) {
                Some(text) => super::value::Value::Str(text),
                None => return,
            },
        };
        self.keyspace.db_mut(to.db).insert(&to.key(), copy, None);
    }

    fn burst(&mut self, db: usize, count: usize, adds: bool) {
        let db = self.keyspace.db_mut(db);
        for number in 0..count {
            let key = format!("burst:{number}").into_bytes();
            match (db.find(&key), adds) {
                (Some(slot), false) => drop(db.delete(slot)),
                (slot, true) => drop(db.set_int(&key, slot, count as i64, ExpireChange::Clear)),
                (None, false) => {}
            }
        }
    }

    fn expire_keys(&mut self, db: usize) {
        let db = self.keyspace.db_mut(db);
        let (mut position, mut expired) = (0, Vec::new());
        while !db.collect_expired(&mut position, NOW_MS, 1, &mut expired).wrapped {}
        for key in expired {
            let slot = db.find(&key).expect("it was there just now");
            db.delete(slot);
        }
    }

    fn begin(&mut self) {
        if self.snapshot.is_none() {
            let expected = deep_copy(&self.keyspace);
            let walk = self.keyspace.begin_snapshot(Style::default());
            let batches = vec![Batch::default()];
            self.snapshot = Some(Snapshot { walk, expected, batches, cancelled: false });
        }
    }

    fn slice(&mut self, steps: usize) {
        let Some(snapshot) = &mut self.snapshot else { return };
        let mut left = steps;
        let mut batch = Batch::default();
        let step = snapshot.walk.slice(&self.keyspace, &mut batch, |_| {
            left -= 1;
            left > 0
        });
        snapshot.batches.push(batch);
        drop(snapshot.walk.take_garbage());
        if step == Step::Done {
            self.end();
        }
    }

    fn take(&mut self) {
        if let Some(snapshot) = &mut self.snapshot {
            let mut batch = Batch::default();
            while snapshot.walk.handover().take(&mut batch) {
                snapshot.batches.push(std::mem::take(&mut batch));
            }
        }
    }

    fn end(&mut self) {
        self.take();
        let Snapshot { walk, expected, batches, cancelled } =
            self.snapshot.take().expect("callers have looked");
        self.keyspace.end_snapshot(&walk);
        if cancelled {
            return;
        }
        self.completed += 1;
        let mut found = Copied::new();
        for saved in batches.iter().flat_map(Batch::iter) {
            let value = match saved.value {
                SavedValue::Value(value) => render(value),
                SavedValue::Module(encoded) => render_saved(encoded),
                SavedValue::Unsavable(vtable) => panic!("{} can be saved", vtable.name()),
            };
            let again = found.insert((saved.db, saved.key.to_vec()), (value, saved.expire_at));
            assert!(again.is_none(), "{:?} comes once", saved.key);
        }
        for (place, value) in &expected {
            assert_eq!(found.get(place), Some(value), "{place:?}");
        }
        assert_eq!(found.len(), expected.len(), "nothing else is in it");
    }
}

fn run<H: KeyHash>(ops: Vec<Op>) {
    let mut run = Run { keyspace: Keyspace::<H>::with_hasher(DBS), snapshot: None, completed: 0 };
    // A good part of the keys is there from the start.
    for key in (0..KEYS).step_by(2) {
        let place = Place { db: key % DBS, key };
        run.apply(Op::Insert(place, key % KINDS, 1 + key * 5));
        run.apply(Op::SetString(Place { key: key + 1, ..place }, key * 30));
    }
    for op in ops {
        run.apply(op);
        for number in 0..DBS {
            drop(run.keyspace.db_mut(number).take_displaced());
        }
    }
    run.begin();
    while run.snapshot.is_some() {
        run.slice(usize::MAX);
    }
    // And one more, in which nothing is left of those before.
    let before = run.completed;
    run.begin();
    run.slice(usize::MAX);
    assert_eq!(run.completed, before + 1);
    (0..DBS).for_each(|number| run.keyspace.db(number).table().check());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_shows_its_start(ops in vec(op(), 0..250)) {
        run::<SeededHash>(ops);
    }

    #[test]
    fn a_snapshot_shows_its_start_when_positions_are_few(ops in vec(op(), 0..150)) {
        run::<Coarse>(ops);
    }

    #[test]
    fn a_snapshot_shows_its_start_when_all_keys_collide(ops in vec(op(), 0..80)) {
        run::<Constant>(ops);
    }
}

#[test]
fn what_is_shared_with_a_snapshot_is_copied_node_by_node() {
    for kind in (0..KINDS).filter(|kind| *kind != UNCHECKED) {
        let mut keyspace = Keyspace::<SeededHash>::with_hasher(1);
        let slot = keyspace.db_mut(0).insert(b"large", make(kind, 20_000), None);
        let before = render(keyspace.db(0).value(slot));
        let mut walk = keyspace.begin_snapshot(Style::default());
        for seed in 0..1000 {
            change(keyspace.db_mut(0).value_mut(slot), seed);
        }
        assert_ne!(render(keyspace.db(0).value(slot)), before);
        let mut batch = Batch::default();
        assert_eq!(walk.slice(&keyspace, &mut batch, |_| true), Step::Done);
        assert!(batch.is_empty(), "it was handed over before");
        assert!(walk.handover().take(&mut batch));
        let saved = batch.iter().next().expect("one entry");
        match saved.value {
            SavedValue::Value(value) => assert!(render(value) == before, "kind {kind}"),
            SavedValue::Module(encoded) => assert!(render_saved(encoded) == before),
            SavedValue::Unsavable(_) => panic!("all of them can be saved"),
        }
        keyspace.end_snapshot(&walk);
    }
}

#[test]
fn a_discarded_walk_keeps_no_flushed_table() {
    let mut keyspace = Keyspace::<SeededHash>::with_hasher(2);
    for number in 0..1000 {
        keyspace.db_mut(0).set_int(format!("{number}").as_bytes(), None, 1, ExpireChange::Clear);
    }
    let mut walk = keyspace.begin_snapshot(Style::default());
    let mut batch = Batch::default();
    let mut left = 3;
    let few = |_: &Batch| {
        left -= 1;
        left > 0
    };
    assert_eq!(walk.slice(&keyspace, &mut batch, few), Step::More);
    assert_eq!(keyspace.flush(0).len(), 1000);
    walk.discard();
    assert_eq!(walk.slice(&keyspace, &mut batch, |_| true), Step::Done);
    assert_eq!(walk.take_garbage().iter().map(|table| table.len()).sum::<usize>(), 1000);
    keyspace.end_snapshot(&walk);
    assert!(keyspace.is_empty());
}
