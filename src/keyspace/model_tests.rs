//! Does the keyspace do what a map would? Random operations on a db and on a `BTreeMap`, side by
//! side, with hash functions from even to hopeless.

#[path = "model_tests/collections.rs"]
mod collections;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::base::number::IntBuf;
use crate::object::hash::HashLimits;
use crate::object::module::{KeyName, KeyNames, TypeVtable};
use crate::object::unchecked::{Collection, Trouble};
use crate::object::{Hash, ModuleValue, Unchecked};

use collections::{
    fill_list, fill_set, fill_zset, list_of, number_of_list, number_of_set, number_of_zset, set_of,
    zset_of,
};

use super::db::{Db, ExpireChange, Found};
use super::hash::{KeyHash, SeededHash};
use super::value::{
    EMBSTR_LEN_MAX, RAW_MAX_INLINE, StrEncoding, StrRef, StrValue, Value, ValueKind, ValueMut,
    ValueRef,
};

/// All keys collide.
struct Constant;

impl KeyHash for Constant {
    fn hash(_: &[u8]) -> u64 {
        0x0123_4567_89ab_cdef
    }
}

/// All keys share their leading 14 bits, as if they were all of one cluster slot.
struct OnePrefix;

impl KeyHash for OnePrefix {
    fn hash(key: &[u8]) -> u64 {
        0x2a5b << 50 | SeededHash::hash(key) >> 14
    }
}

/// All keys share 40 bits: beyond what any directory may look at.
struct LongPrefix;

impl KeyHash for LongPrefix {
    fn hash(key: &[u8]) -> u64 {
        0xff_ffff_ffff << 24 | SeededHash::hash(key) >> 40
    }
}

/// A handful of hashes, at both ends of hash space too.
struct Few;

impl KeyHash for Few {
    fn hash(key: &[u8]) -> u64 {
        const HASHES: [u64; 5] = [0, u64::MAX, 1 << 63, (1 << 63) - 1, 0xffff];
        HASHES[key.last().map_or(0, |byte| usize::from(*byte)) % HASHES.len()]
    }
}

#[derive(Clone, Debug)]
enum Op {
    SetString(Vec<u8>, ExpireChange),
    SetInt(i64, ExpireChange),
    Append(Vec<u8>),
    WriteAt(usize, Vec<u8>),
    Edit(usize, Vec<u8>),
    Overwrite(u8),
    Insert(ModelValue, Option<i64>),
    Change(u64),
    Reinsert,
    Copy,
    Remove,
    Delete,
    Expire(Option<i64>),
    Touch(u32),
}

#[derive(Clone, Debug, PartialEq)]
enum ModelValue {
    Str { bytes: Vec<u8>, edited: bool },
    Hash(u64),
    List(u64),
    Set(u64),
    Zset(u64),
    Module(u64),
    Unchecked(u64),
}

impl ModelValue {
    fn encoding(&self) -> Option<StrEncoding> {
        let ModelValue::Str { bytes, edited } = self else { return None };
        let text = String::from_utf8_lossy(bytes);
        Some(match text.parse::<i64>() {
            _ if *edited => StrEncoding::Raw,
            Ok(number) if number.to_string() == text => StrEncoding::Int,
            _ if bytes.len() <= EMBSTR_LEN_MAX => StrEncoding::Embstr,
            _ => StrEncoding::Raw,
        })
    }

    fn to_value(&self) -> Value {
        match self {
            ModelValue::Str { bytes, edited: false } => Value::Str(StrValue::new(bytes.clone())),
            ModelValue::Str { bytes, edited: true } => Value::Str(StrValue::raw(bytes.clone())),
            ModelValue::Hash(number) => Value::Hash(hash_of(*number)),
            ModelValue::List(number) => Value::List(list_of(*number)),
            ModelValue::Set(number) => Value::Set(set_of(*number)),
            ModelValue::Zset(number) => Value::Zset(zset_of(*number)),
            ModelValue::Module(number) => Value::Module(Box::new(module_of(*number))),
            ModelValue::Unchecked(number) => Value::Unchecked(Box::new(unchecked_of(*number))),
        }
    }
}

// The only places that know how to build and look into the other types.

fn hash_of(number: u64) -> Hash {
    let mut hash = Hash::new();
    hash.set(b"n", number.to_string().as_bytes(), 0, HashLimits::default());
    hash
}

fn number_of_hash(hash: &Hash) -> u64 {
    let element = hash.get(b"n", 0).expect("hash_of sets it");
    String::from_utf8_lossy(element.text(&mut IntBuf::new()))
        .parse()
        .expect("hash_of wrote a number")
}

fn unchecked_of(number: u64) -> Unchecked {
    let trouble = Trouble::Assertion("wrong".into());
    Unchecked::new(Collection::Stream, "stream", 21, &number.to_le_bytes(), trouble)
}

/// A module type whose values stand for numbers in a table, which notices a value freed twice.
struct NumberType;

impl TypeVtable for NumberType {
    fn name(&self) -> &str {
        "numbers-1"
    }

    fn id(&self) -> u64 {
        1
    }

    fn free(&self, value: usize) {
        assert!(LIVE_NUMBERS.lock().unwrap().remove(&value).is_some(), "freed once");
    }

    fn copy(&self, _: KeyNames<'_>, _: usize) -> Option<usize> {
        None
    }

    fn memory_bytes(&self, _: KeyName<'_>, _: usize, _: usize) -> Option<usize> {
        None
    }
}

/// The numbers behind the "pointers" of live module values.
static LIVE_NUMBERS: Mutex<BTreeMap<usize, u64>> = Mutex::new(BTreeMap::new());

fn module_of(number: u64) -> ModuleValue {
    let mut live = LIVE_NUMBERS.lock().unwrap();
    let pointer = live.last_key_value().map_or(1, |(pointer, _)| pointer + 1);
    live.insert(pointer, number);
    ModuleValue::new(Arc::new(NumberType), pointer)
}

fn number_of_module(module: &ModuleValue) -> u64 {
    LIVE_NUMBERS.lock().unwrap()[&module.pointer()]
}

fn as_model(value: ValueRef<'_>, encoding: Option<StrEncoding>, model: &ModelValue) -> ModelValue {
    match value {
        ValueRef::Str(string) => {
            assert_eq!(encoding, model.encoding());
            let edited = matches!(model, ModelValue::Str { edited: true, .. });
            ModelValue::Str { bytes: string.to_cow().into_owned(), edited }
        }
        ValueRef::Hash(hash) => ModelValue::Hash(number_of_hash(hash)),
        ValueRef::List(list) => ModelValue::List(number_of_list(list)),
        ValueRef::Set(set) => ModelValue::Set(number_of_set(set)),
        ValueRef::Zset(zset) => ModelValue::Zset(number_of_zset(zset)),
        ValueRef::Module(module) => ModelValue::Module(number_of_module(module)),
        ValueRef::Unchecked(value) => {
            let number = value.payload().try_into().expect("unchecked_of has eight bytes");
            ModelValue::Unchecked(u64::from_le_bytes(number))
        }
        other => unreachable!("no test makes a {:?}", other.kind()),
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![
        0..70usize,
        400..520usize,
        Just(RAW_MAX_INLINE),
        Just(RAW_MAX_INLINE + 1),
        600..5000usize
    ];
    prop_oneof![
        (len, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        (0..10i64).prop_map(|number| number.to_string().into_bytes()),
    ]
}

fn expire() -> impl Strategy<Value = ExpireChange> {
    prop_oneof![
        Just(ExpireChange::Clear),
        Just(ExpireChange::Keep),
        any::<i64>().prop_map(ExpireChange::At),
    ]
}

fn model_value() -> impl Strategy<Value = ModelValue> {
    prop_oneof![
        (text(), any::<bool>()).prop_map(|(bytes, edited)| ModelValue::Str { bytes, edited }),
        any::<u64>().prop_map(ModelValue::Hash),
        (0..100u64).prop_map(ModelValue::List),
        (0..100u64).prop_map(ModelValue::Set),
        (0..100u64).prop_map(ModelValue::Zset),
        any::<u64>().prop_map(ModelValue::Module),
        any::<u64>().prop_map(ModelValue::Unchecked),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (text(), expire()).prop_map(|(value, expire)| Op::SetString(value, expire)),
        2 => (any::<i64>(), expire()).prop_map(|(value, expire)| Op::SetInt(value, expire)),
        2 => text().prop_map(Op::Append),
        2 => (0..700usize, text()).prop_map(|(at, bytes)| Op::WriteAt(at, bytes)),
        2 => (0..700usize, text()).prop_map(|(keep, bytes)| Op::Edit(keep, bytes)),
        2 => any::<u8>().prop_map(Op::Overwrite),
        3 => (model_value(), any::<Option<i64>>()).prop_map(|(value, at)| Op::Insert(value, at)),
        2 => (0..100u64).prop_map(Op::Change),
        1 => Just(Op::Reinsert),
        1 => Just(Op::Copy),
        3 => Just(Op::Remove),
        2 => Just(Op::Delete),
        3 => any::<Option<i64>>().prop_map(Op::Expire),
        1 => any::<u32>().prop_map(Op::Touch),
    ]
}

/// Few keys, so that operations meet; some are long enough for the block to hold their length
/// apart.
fn key(number: usize) -> Vec<u8> {
    match number % 8 {
        0 => Vec::new(),
        1 => vec![number as u8; 4094],
        2 => vec![number as u8; 4095],
        3 => vec![number as u8; 70_000],
        _ => format!("key:{number}").into_bytes(),
    }
}

#[derive(Default)]
struct Model(BTreeMap<Vec<u8>, (ModelValue, Option<i64>)>);

/// Applies `op` to both; they must answer alike.
fn apply<H: KeyHash>(db: &mut Db<H>, model: &mut Model, key: &[u8], op: Op) {
    let slot = db.find(key);
    let old = model.0.get(key).cloned();
    assert_eq!(slot.is_some(), old.is_some());
    let old_expiry = old.as_ref().and_then(|(_, at)| *at);
    let expiry = |expire: ExpireChange| match expire {
        ExpireChange::Clear => None,
        ExpireChange::Keep => old_expiry,
        ExpireChange::At(at) => Some(at),
    };
    match (op, slot, old) {
        (Op::SetString(bytes, expire), ..) => {
            db.set_string(key, slot, &bytes, expire);
            model
                .0
                .insert(key.to_vec(), (ModelValue::Str { bytes, edited: false }, expiry(expire)));
        }
        (Op::SetInt(number, expire), ..) => {
            db.set_int(key, slot, number, expire);
            let bytes = number.to_string().into_bytes();
            model
                .0
                .insert(key.to_vec(), (ModelValue::Str { bytes, edited: false }, expiry(expire)));
        }
        (Op::Insert(value, at), ..) => {
            db.insert(key, value.to_value(), at);
            model.0.insert(key.to_vec(), (value, at));
        }
        (_, None, _) | (_, _, None) => {}
        (Op::Remove, Some(slot), Some((value, at))) => {
            let removed = db.remove(slot);
            let encoding = match &removed.value {
                Value::Str(string) => Some(string.encoding()),
                _ => None,
            };
            assert_eq!(as_model(removed.value.as_ref(), encoding, &value), value);
            assert_eq!(removed.expire_at, at);
            model.0.remove(key);
        }
        (Op::Delete, Some(slot), Some((value, _))) => {
            let is_heap =
                !matches!(&value, ModelValue::Str { bytes, .. } if bytes.len() <= RAW_MAX_INLINE);
            let deleted = db.delete(slot);
            // A string that was once long stays on the heap, so only one direction is certain.
            assert!(deleted.is_some() || !is_heap);
            model.0.remove(key);
        }
        (Op::Expire(at), Some(slot), Some((value, _))) => {
            db.set_expire(slot, at);
            model.0.insert(key.to_vec(), (value, at));
        }
        (Op::Touch(clock), Some(slot), _) => {
            db.touch(slot, clock);
            assert_eq!(db.clock(slot), clock & 0xff_ffff);
        }
        (Op::Change(number), Some(slot), Some((value, at))) => {
            let value = match (db.value_mut(slot), value) {
                (ValueMut::Hash(hash), _) => {
                    *hash = hash_of(number);
                    ModelValue::Hash(number)
                }
                (ValueMut::List(list), _) => {
                    fill_list(list, number);
                    ModelValue::List(number)
                }
                (ValueMut::Set(set), _) => {
                    fill_set(set, number);
                    ModelValue::Set(number)
                }
                (ValueMut::Zset(zset), _) => {
                    fill_zset(zset, number);
                    ModelValue::Zset(number)
                }
                (ValueMut::Module(module), _) => {
                    *module = module_of(number);
                    ModelValue::Module(number)
                }
                // Only asking for the bytes makes a string raw.
                (ValueMut::Str(_) | ValueMut::Unchecked, value) => value,
                (other, _) => unreachable!("no test makes a {:?}", other.kind()),
            };
            model.0.insert(key.to_vec(), (value, at));
        }
        (Op::Reinsert, Some(slot), _) => {
            let removed = db.remove(slot);
            db.insert_new(key, removed.value, removed.expire_at);
        }
        (Op::Copy, Some(slot), Some((ModelValue::Str { .. }, at))) => {
            let copy = db.to_str_value(slot).expect("a string");
            db.insert(key, Value::Str(copy), at);
        }
        (Op::Copy, Some(slot), Some((value, at))) => {
            if let Some(copy) = db.value(slot).copy_collection() {
                assert_eq!(as_model(copy.as_ref(), None, &value), value);
                db.insert(key, copy, at);
            }
        }
        (op, Some(slot), Some((ModelValue::Str { bytes, edited }, at))) => {
            let value = edit(db, slot, op, bytes, edited);
            model.0.insert(key.to_vec(), (value, at));
        }
        (Op::Append(bytes), Some(slot), _) => assert_eq!(db.append(slot, &bytes), None),
        (Op::WriteAt(..), Some(slot), _) => assert!(db.string_bytes_mut(slot, 1).is_none()),
        (_, Some(slot), _) => assert!(db.edit_string(slot, |_| ()).is_none()),
    }
    for displaced in db.take_displaced().into_iter().flatten() {
        assert_ne!(displaced.value.kind(), ValueKind::String);
    }
    if let Some(slot) = db.find(key) {
        let (value, at) = &model.0[key];
        assert_eq!(&as_model(db.value(slot), db.str_encoding(slot), value), value);
        assert_eq!((db.key(slot), db.expire_at(slot)), (key, *at));
    }
    // Where the key was before leads to it, and to no other one.
    for key in model.0.keys().take(3).map(Vec::as_slice).chain([key]) {
        match db.look_up(slot, key, i64::MIN) {
            Found::Alive(found, entry) => assert_eq!((db.key(found), entry.key()), (key, key)),
            Found::Expired => unreachable!("no time is before that"),
            Found::Nothing => assert!(!model.0.contains_key(key)),
        }
    }
}

/// The operations that edit a string in place; what it is afterwards.
fn edit<H: KeyHash>(
    db: &mut Db<H>,
    slot: super::db::Slot,
    op: Op,
    mut bytes: Vec<u8>,
    edited: bool,
) -> ModelValue {
    // A reply may hold a large string during the edit; it must not see it.
    let held = db.shared_string(slot).inspect(|held| assert_eq!(**held, bytes));
    let before = bytes.clone();
    let mut edited_now = true;
    match op {
        Op::Append(more) => {
            bytes.extend_from_slice(&more);
            assert_eq!(db.append(slot, &more), Some(bytes.len()));
        }
        Op::WriteAt(at, more) => {
            bytes.resize(bytes.len().max(at + more.len()), 0);
            bytes[at..at + more.len()].copy_from_slice(&more);
            let target = db.string_bytes_mut(slot, at + more.len()).expect("a string");
            target[at..at + more.len()].copy_from_slice(&more);
        }
        Op::Edit(keep, more) => {
            let change = |bytes: &mut Vec<u8>| {
                bytes.truncate(keep);
                bytes.extend_from_slice(&more);
                bytes.len()
            };
            let len = change(&mut bytes);
            assert_eq!(db.edit_string(slot, change), Some(len));
        }
        Op::Overwrite(byte) => {
            let ValueMut::Str(string) = db.value_mut(slot) else { panic!("a string") };
            match string.into_bytes() {
                Some(target) => {
                    target.fill(byte);
                    bytes.fill(byte);
                }
                None => edited_now = edited,
            }
        }
        other => panic!("{other:?} is not an edit"),
    }
    if let Some(held) = held {
        assert_eq!(*held, before);
    }
    ModelValue::Str { bytes, edited: edited_now }
}

fn run<H: KeyHash>(ops: Vec<(usize, Op)>) {
    let mut db = Db::<H>::with_hasher();
    let mut model = Model::default();
    for (number, op) in ops {
        apply(&mut db, &mut model, &key(number), op);
        assert_eq!(db.len(), model.0.len());
        assert_eq!(db.volatile_len(), model.0.values().filter(|(_, at)| at.is_some()).count());
    }
    db.table().check();
    let mut seen = HashSet::new();
    let mut cursor = 0;
    loop {
        cursor = db.scan(cursor, 1, |key, value, at| {
            let (expected, expected_at) = &model.0[key];
            assert_eq!((value.kind(), at), (expected.to_value().kind(), *expected_at));
            assert!(seen.insert(key.to_vec()), "each key comes once");
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), model.0.len());
    let now = 12_345;
    let (mut expired, mut position) = (Vec::new(), 0);
    while !db.collect_expired(&mut position, now, 1, &mut expired).wrapped {}
    let expected: HashSet<Box<[u8]>> = model
        .0
        .iter()
        .filter(|(_, (_, at))| at.is_some_and(|at| at < now))
        .map(|(key, _)| key[..].into())
        .collect();
    assert_eq!(expired.iter().cloned().collect::<HashSet<_>>(), expected);
    assert_eq!(expired.len(), expected.len());
    for (key, (_, at)) in &model.0 {
        assert_eq!(db.read(key, now).is_some(), at.is_none_or(|at| at >= now));
    }
}

/// Fewer than usual: one case here is thousands of operations.
const CASES: u32 = 64;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn a_db_does_what_a_map_does(ops in vec((0..48usize, op()), 0..300)) {
        run::<SeededHash>(ops);
    }

    #[test]
    fn a_db_does_what_a_map_does_when_all_keys_collide(ops in vec((0..48usize, op()), 0..200)) {
        run::<Constant>(ops);
    }

    #[test]
    fn a_db_does_what_a_map_does_with_few_hashes(ops in vec((0..48usize, op()), 0..200)) {
        run::<Few>(ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES / 2, ..ProptestConfig::default() })]

    #[test]
    fn tables_keep_their_invariants_while_they_grow_and_shrink(bursts in vec(burst(), 1..14)) {
        grow_and_shrink::<SeededHash>(&bursts);
        grow_and_shrink::<OnePrefix>(&bursts);
    }

    #[test]
    fn tables_keep_their_invariants_when_hashes_collide(bursts in vec(burst(), 1..6)) {
        let small: Vec<Burst> = bursts.into_iter().map(Burst::eighth).collect();
        grow_and_shrink::<LongPrefix>(&small);
        grow_and_shrink::<Few>(&small);
        grow_and_shrink::<Constant>(&small);
    }

    #[test]
    fn a_scan_returns_exactly_once_what_stays(
        stable in 0..3000usize,
        bursts in vec(burst(), 1..20),
        count in 1..500usize,
        pause in 5..40usize,
    ) {
        scan_under_change::<SeededHash>(stable, &bursts, count, pause);
        scan_under_change::<OnePrefix>(stable, &bursts, count, pause);
    }

    #[test]
    fn a_scan_returns_exactly_once_what_stays_when_hashes_collide(
        stable in 0..300usize,
        bursts in vec(burst(), 1..8),
        count in 1..50usize,
        pause in 1..20usize,
    ) {
        let small: Vec<Burst> = bursts.into_iter().map(Burst::eighth).collect();
        scan_under_change::<LongPrefix>(stable, &small, count, pause);
        scan_under_change::<Few>(stable, &small, count, pause);
    }
}

/// Many inserts or removals in a row.
#[derive(Clone, Debug)]
struct Burst {
    from: usize,
    count: usize,
    is_removal: bool,
    has_expiry: bool,
}

fn burst() -> impl Strategy<Value = Burst> {
    (0..3000usize, 0..2000usize, any::<bool>(), any::<bool>()).prop_map(
        |(from, count, is_removal, has_expiry)| Burst { from, count, is_removal, has_expiry },
    )
}

impl Burst {
    fn eighth(self) -> Self {
        Self { count: self.count / 8, ..self }
    }

    fn apply<H: KeyHash>(&self, db: &mut Db<H>, model: &mut HashMap<Vec<u8>, bool>) {
        for number in self.from..self.from + self.count {
            let key = format!("churn:{number}").into_bytes();
            let slot = db.find(&key);
            assert_eq!(slot.is_some(), model.contains_key(&key));
            match (slot, self.is_removal) {
                (Some(slot), true) => {
                    db.delete(slot);
                    model.remove(&key);
                }
                (None, false) => {
                    let expire =
                        if self.has_expiry { ExpireChange::At(1) } else { ExpireChange::Clear };
                    let slot = db.set_string(&key, None, b"value", expire);
                    assert_eq!(db.key(slot), key, "an insert says where the key is");
                    model.insert(key, self.has_expiry);
                }
                _ => {}
            }
        }
    }
}

fn grow_and_shrink<H: KeyHash>(bursts: &[Burst]) {
    let mut db = Db::<H>::with_hasher();
    let mut model = HashMap::new();
    for burst in bursts {
        burst.apply(&mut db, &mut model);
        db.table().check();
        assert_eq!(db.len(), model.len());
        assert_eq!(db.volatile_len(), model.values().filter(|has_expiry| **has_expiry).count());
        assert_directory_is_bounded(&db);
    }
    for key in model.keys() {
        assert!(db.find(key).is_some());
    }
}

/// A word for 16 keys covers two bits more than the mean and two more until halving is worth it;
/// the rest are the small nested directories that a common prefix needs, one for every two bits.
fn assert_directory_is_bounded<H: KeyHash>(db: &Db<H>) {
    let (words, keys) = (db.table().directory_len(), db.len());
    assert!(words <= keys / 16 + 64, "{words} words for {keys} keys");
}

fn scan_under_change<H: KeyHash>(stable: usize, bursts: &[Burst], count: usize, pause: usize) {
    let mut db = Db::<H>::with_hasher();
    let mut model = HashMap::new();
    for number in 0..stable {
        db.set_string(format!("stable:{number}").as_bytes(), None, b"value", ExpireChange::Clear);
    }
    let mut seen = HashMap::<Vec<u8>, usize>::new();
    let (mut cursor, mut calls) = (0, 0);
    loop {
        let next = db.scan(cursor, count, |key, _, _| {
            *seen.entry(key.to_vec()).or_default() += 1;
        });
        calls += 1;
        if calls % pause == 0 {
            bursts[calls / pause % bursts.len()].apply(&mut db, &mut model);
        }
        if next == 0 {
            break;
        }
        assert!(next > cursor && next < 1 << 48, "positions only grow");
        cursor = next;
    }
    for number in 0..stable {
        assert_eq!(seen.get(format!("stable:{number}").as_bytes()), Some(&1));
    }
}

#[test]
fn keys_of_one_prefix_cost_no_more_memory_than_others() {
    const KEYS: usize = 100_000;
    let mut db = Db::<OnePrefix>::with_hasher();
    for number in 0..KEYS {
        db.set_int(number.to_string().as_bytes(), None, 1, ExpireChange::Clear);
    }
    db.table().check();
    assert_directory_is_bounded(&db);
    for number in 0..KEYS {
        assert!(db.find(number.to_string().as_bytes()).is_some());
    }
    // And what is left of them does not keep a deep directory alive.
    for number in 100..KEYS {
        let slot = db.find(number.to_string().as_bytes()).unwrap();
        db.delete(slot);
    }
    db.table().check();
    assert_directory_is_bounded(&db);
}

#[test]
fn any_cursor_is_answered() {
    let mut db = Db::<SeededHash>::with_hasher();
    for cursor in [0, 1, 12_345, 1 << 47, (1 << 48) - 1, 1 << 48, u64::MAX] {
        assert_eq!(db.scan(cursor, 10, |_, _, _| panic!("no key")), 0);
    }
    for number in 0..5000 {
        db.set_int(number.to_string().as_bytes(), None, 1, ExpireChange::Clear);
    }
    for cursor in [1 << 48, (1 << 48) + 1, u64::MAX] {
        assert_eq!(db.scan(cursor, 10, |_, _, _| panic!("behind the end")), 0);
    }
    for cursor in [1, 12_345, 1 << 47, (1 << 48) - 1] {
        let next = db.scan(cursor, 0, |_, _, _| ());
        assert!(next == 0 || next > cursor);
    }
}

#[test]
fn random_draws_reach_every_key_about_equally() {
    for keys in [1, 3, 30, 2000] {
        let mut db = Db::<SeededHash>::with_hasher();
        for number in 0..keys {
            db.set_int(format!("{number}").as_bytes(), None, 1, ExpireChange::Clear);
        }
        let mut drawn = HashMap::<Vec<u8>, usize>::new();
        let draws = keys * 100;
        for seed in 0..draws {
            let slot = db
                .random((seed as u64).wrapping_mul(0x1234_5678_9abc_def1), 0, |_| {})
                .expect("there are keys");
            *drawn.entry(db.key(slot).to_vec()).or_default() += 1;
        }
        assert_eq!(drawn.len(), keys);
        // Mean 100, deviation 10: six of them to either side.
        if keys >= 30 {
            assert!(
                drawn.values().all(|times| (40..=160).contains(times)),
                "{:?}",
                drawn.values().max()
            );
        }
    }
}

#[test]
fn random_finds_the_last_key_after_a_flood_left() {
    let mut db = Db::<SeededHash>::with_hasher();
    for number in 0..20_000 {
        db.set_int(number.to_string().as_bytes(), None, 1, ExpireChange::Clear);
    }
    for number in 1..20_000 {
        let slot = db.find(number.to_string().as_bytes()).unwrap();
        db.delete(slot);
    }
    db.table().check();
    assert_eq!(db.table().directory_len(), 1);
    let slot = db.random(99, 0, |_| {}).expect("one key is left");
    assert_eq!(db.key(slot), b"0");
    assert!(db.clear().len() == 1 && db.is_empty() && db.random(99, 0, |_| {}).is_none());
    db.table().check();
}

#[test]
fn random_finds_the_one_key_alive_among_the_expired() {
    let mut db = Db::<SeededHash>::with_hasher();
    db.set_string(b"alive", None, b"v", ExpireChange::Clear);
    for number in 0..20_000 {
        db.set_int(number.to_string().as_bytes(), None, 1, ExpireChange::At(1000));
    }
    for seed in 0..20 {
        let mut expired = 0;
        let slot = db.random(seed, 1001, |key| expired += usize::from(key != b"alive"));
        assert_eq!(db.key(slot.expect("one key is alive")), b"alive");
        assert!(expired > 0);
    }
}

#[test]
fn expired_keys_are_invisible_from_the_next_millisecond_on() {
    let mut db = Db::<SeededHash>::with_hasher();
    db.set_string(b"k", None, b"v", ExpireChange::At(1000));
    assert!(db.read(b"k", 1000).is_some() && db.random(1, 1000, |_| {}).is_some());
    assert!(db.read(b"k", 1001).is_none() && db.random(1, 1001, |_| {}).is_none());
    assert!(db.find(b"k").is_some());
    assert_eq!(db.avg_ttl_ms(7, 400, 10), Some(600));
    assert_eq!(db.avg_ttl_ms(7, 1400, 10), None);
}

#[test]
fn readers_may_touch_side_by_side() {
    let mut db = Db::<SeededHash>::with_hasher();
    let slot = db.set_string(b"k", None, b"v", ExpireChange::Clear);
    let db = Arc::new(db);
    let threads: Vec<_> = (0..4u32)
        .map(|n| {
            let db = Arc::clone(&db);
            std::thread::spawn(move || {
                for i in 0..1000 {
                    db.touch(slot, n * 1000 + i);
                    assert!(db.clock(slot) < 4000);
                    assert!(matches!(db.value(slot), ValueRef::Str(StrRef::Bytes(b"v"))));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn setting_the_same_size_again_keeps_block_and_slot() {
    let mut db = Db::<SeededHash>::with_hasher();
    let slot = db.set_string(b"0123456789abcdef", None, &[b'x'; 32], ExpireChange::Clear);
    assert_eq!(db.memory_bytes(slot), 56 + 8);
    let place = db.key(slot).as_ptr();
    let again = db.set_string(b"0123456789abcdef", Some(slot), &[b'y'; 31], ExpireChange::Keep);
    assert_eq!((again, db.key(slot).as_ptr()), (slot, place));
    assert_eq!(db.value(slot).kind(), ValueKind::String);
}
