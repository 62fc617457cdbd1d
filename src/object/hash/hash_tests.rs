//! Does a hash behave as a map with expiring entries, in each of its encodings?

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const LIMITS: HashLimits = HashLimits { entries_max: 8, value_max: 20 };

#[derive(Clone, Debug)]
enum Change {
    Set(u8, Vec<u8>),
    SetAll(Vec<(u8, Vec<u8>)>),
    Update(u8, Vec<u8>),
    Delete(u8),
    Incr(u8, i64),
    Expire(u8, Option<u64>),
    TakeExpired(usize),
    Later(u64),
}

fn field_name(number: u8) -> Vec<u8> {
    if number.is_multiple_of(3) { number.to_string() } else { format!("field{number}") }
        .into_bytes()
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-1000i64..1000).prop_map(|v| v.to_string().into_bytes()),
        4 => prop::collection::vec(any::<u8>(), 0..10),
        1 => (0usize..600).prop_map(|len| vec![b'x'; len]),
    ]
}

fn change(fields: u8) -> impl Strategy<Value = Change> {
    let field = 0..fields;
    let pairs = prop::collection::vec((field.clone(), value()), 1..6);
    prop_oneof![
        1 => pairs.prop_map(Change::SetAll),
        4 => (field.clone(), value()).prop_map(|(f, v)| Change::Set(f, v)),
        2 => (field.clone(), value()).prop_map(|(f, v)| Change::Update(f, v)),
        2 => field.clone().prop_map(Change::Delete),
        2 => (field.clone(), any::<i64>()).prop_map(|(f, d)| Change::Incr(f, d / 3)),
        2 => (field, prop::option::of(1u64..50)).prop_map(|(f, at)| Change::Expire(f, at)),
        1 => (0usize..4).prop_map(Change::TakeExpired),
        1 => (1u64..5).prop_map(Change::Later),
    ]
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

fn visible(model: &Model, field: &[u8], now: u64) -> Option<Vec<u8>> {
    model.get(field).filter(|(_, at)| *at >= now).map(|(value, _)| value.clone())
}

fn apply(change: Change, hash: &mut Hash, model: &mut Model, now: &mut u64) {
    match change {
        Change::Set(field, value) => {
            let field = field_name(field);
            let is_new = visible(model, &field, *now).is_none();
            assert_eq!(hash.set(&field, &value, *now, LIMITS), is_new);
            model.insert(field, (value, NEVER));
        }
        Change::SetAll(pairs) => {
            let pairs: Vec<_> = pairs.into_iter().map(|(f, v)| (field_name(f), v)).collect();
            let texts: Vec<[&[u8]; 2]> = pairs.iter().map(|(f, v)| [&f[..], &v[..]]).collect();
            let mut one_by_one = hash.clone();
            one_by_one.reserve(texts.len(), LIMITS);
            let mut added = 0;
            for [field, value] in &texts {
                added += usize::from(one_by_one.set(field, value, *now, LIMITS));
            }
            assert_eq!(hash.set_all(&texts, *now, LIMITS), added);
            assert_eq!(hash.encoding(), one_by_one.encoding());
            assert_eq!(hash.as_listpack(), one_by_one.as_listpack());
            model.extend(pairs.into_iter().map(|(field, value)| (field, (value, NEVER))));
        }
        Change::Update(field, value) => {
            let field = field_name(field);
            let is_new = visible(model, &field, *now).is_none();
            assert_eq!(hash.update(&field, &value, *now, LIMITS), is_new);
            let expire_at = if is_new { NEVER } else { model[&field].1 };
            model.insert(field, (value, expire_at));
        }
        Change::Delete(field) => {
            let field = field_name(field);
            let was_visible = visible(model, &field, *now).is_some();
            assert_eq!(hash.delete(&field, *now), was_visible);
            model.remove(&field);
        }
        Change::Incr(field, delta) => {
            let field = field_name(field);
            let old = visible(model, &field, *now);
            let number = old.as_ref().map_or(Some(0), |old| crate::base::number::parse_i64(old));
            let expected = match number {
                None => Err(HashIncrError::NotInteger),
                Some(number) => number.checked_add(delta).ok_or(HashIncrError::Overflow),
            };
            assert_eq!(hash.incr_by(&field, delta, *now, LIMITS), expected);
            if let Ok(sum) = expected {
                let expire_at = if old.is_some() { model[&field].1 } else { NEVER };
                model.insert(field, (sum.to_string().into_bytes(), expire_at));
            }
        }
        Change::Expire(field, after) => {
            let field = field_name(field);
            let expire_at = after.map(|after| *now + after);
            let there = visible(model, &field, *now).is_some();
            assert_eq!(hash.set_field_expire(&field, expire_at, *now), there);
            if there {
                model.get_mut(&field).unwrap().1 = expire_at.unwrap_or(NEVER);
                assert_eq!(hash.field_expire(&field, *now), Some(expire_at));
            }
        }
        Change::TakeExpired(limit) => {
            let due = model.values().filter(|(_, at)| *at < *now).count();
            assert_eq!(hash.collect_expired(*now, usize::MAX).len(), due);
            let taken = hash.take_expired(*now, limit);
            assert_eq!(taken.len(), due.min(limit));
            for field in taken {
                assert!(model.remove(&field).unwrap().1 < *now);
            }
        }
        Change::Later(by) => *now += by,
    }
}

fn compare(hash: &Hash, model: &Model, now: u64) {
    assert_eq!(hash.len(), model.len());
    let seen: BTreeMap<_, _> = hash.iter(now).map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
    let expected: BTreeMap<_, _> = model
        .iter()
        .filter(|(_, (_, at))| *at >= now)
        .map(|(field, (value, _))| (field.clone(), value.clone()))
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(hash.iter(now).count(), expected.len());
    assert_eq!(hash.visible_len(now), expected.len());
    for field in model.keys() {
        let value = hash.get(field, now).map(Element::to_vec);
        assert_eq!(value, expected.get(field).cloned());
        assert_eq!(hash.contains(field, now), expected.contains_key(field));
    }
    let earliest = model.values().map(|(_, at)| *at).min().filter(|at| *at != NEVER);
    if let Some(earliest) = earliest {
        assert!(hash.next_expire().is_some_and(|at| at <= earliest));
    }
    let seen = model.values().map(|(_, at)| *at).filter(|at| *at >= now && *at != NEVER);
    assert_eq!(hash.first_expire(now), seen.min());
}

proptest! {
    #[test]
    fn behaves_as_a_map(
        fields in prop_oneof![Just(7u8), Just(60), Just(250)],
        changes in prop::collection::vec(change(250), 0..300),
    ) {
        let mut hash = Hash::new();
        let mut model = Model::new();
        let mut now = 1000;
        for change in changes {
            let change = match change {
                Change::Set(f, v) => Change::Set(f % fields, v),
                Change::Update(f, v) => Change::Update(f % fields, v),
                Change::Delete(f) => Change::Delete(f % fields),
                Change::Incr(f, d) => Change::Incr(f % fields, d),
                Change::Expire(f, at) => Change::Expire(f % fields, at),
                other => other,
            };
            apply(change, &mut hash, &mut model, &mut now);
        }
        compare(&hash, &model, now);
        let copy = hash.clone();
        hash.set(b"another", b"1", now, LIMITS);
        compare(&copy, &model, now);
    }

    #[test]
    fn a_scan_shows_what_stays_whatever_else_changes(
        stay in 1usize..600,
        count in 1usize..40,
        changes in prop::collection::vec((any::<bool>(), 0u16..3000), 0..600),
    ) {
        let mut hash = Hash::new();
        hash.reserve(1000, LIMITS);
        for i in 0..stay {
            hash.set(format!("stay{i}").as_bytes(), b"v", 0, LIMITS);
        }
        let mut changes = changes.into_iter();
        let mut shown = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = hash.scan(cursor, count, 0, &mut |field, _| shown.push(field.to_vec()));
            if cursor == 0 {
                break;
            }
            for (add, number) in changes.by_ref().take(30) {
                let field = format!("other{number}").into_bytes();
                if add {
                    hash.set(&field, b"v", 0, LIMITS);
                } else {
                    hash.delete(&field, 0);
                }
            }
        }
        shown.retain(|field| field.starts_with(b"stay"));
        prop_assert_eq!(shown.len(), stay, "none is shown twice");
        prop_assert_eq!(shown.into_iter().collect::<BTreeSet<_>>().len(), stay);
    }

    #[test]
    fn random_fields_are_fields(fields in 0usize..400, count in 0usize..500, seed in any::<u64>()) {
        let mut hash = Hash::new();
        for i in 0..fields {
            hash.set(format!("f{i}").as_bytes(), b"v", 0, LIMITS);
        }
        let mut random = generator(seed);
        let drawn: BTreeSet<_> = hash
            .random_distinct(count, 0, &mut random)
            .into_iter()
            .map(|(field, _)| field.to_vec())
            .collect();
        prop_assert_eq!(drawn.len(), count.min(fields));
        prop_assert!(drawn.iter().all(|field| hash.contains(field, 0)));
        prop_assert_eq!(hash.sampler(0).draw(&mut random).is_some(), fields > 0);
    }
}

fn generator(mut state: u64) -> impl FnMut() -> u64 {
    // splitmix64, by its published constants.
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[test]
fn draws_are_uniform() {
    for fields in [5, 300] {
        let mut hash = Hash::new();
        for i in 0..fields {
            hash.set(format!("f{i}").as_bytes(), b"v", 0, LIMITS);
        }
        let mut random = generator(42);
        let sampler = hash.sampler(0);
        let mut counts = BTreeMap::<Vec<u8>, u32>::new();
        for _ in 0..fields * 200 {
            let (field, _) = sampler.draw(&mut random).unwrap();
            *counts.entry(field.to_vec()).or_default() += 1;
        }
        assert_eq!(counts.len(), fields);
        assert!(counts.values().all(|n| (120..290).contains(n)), "{counts:?}");
    }
}

#[test]
fn encodings_change_where_the_limits_say() {
    let mut hash = Hash::new();
    for i in 0..8 {
        hash.set(format!("f{i}").as_bytes(), &[b'v'; 20], 0, LIMITS);
    }
    assert_eq!(hash.encoding(), "listpack");
    let fields: Vec<_> = hash.iter(0).map(|(field, _)| field.to_vec()).collect();
    assert_eq!(fields[0], b"f0");
    assert_eq!(fields[7], b"f7");
    let mut by_length = hash.clone();
    by_length.set(b"f0", &[b'v'; 21], 0, LIMITS);
    assert_eq!(by_length.encoding(), "hashtable");
    let mut expiring = hash.clone();
    expiring.set_field_expire(b"f0", None, 0);
    assert_eq!(expiring.encoding(), "listpack");
    expiring.set_field_expire(b"f0", Some(5), 0);
    assert_eq!(expiring.encoding(), "listpackex");
    assert!(expiring.contains(b"f0", 5));
    assert_eq!(expiring.get(b"f0", 6), None);
    assert_eq!(expiring.len(), 8);
    hash.set(b"f8", b"", 0, LIMITS);
    assert_eq!(hash.encoding(), "hashtable");
    assert_eq!(hash.len(), 9);
}

#[test]
fn foreign_listpacks_must_be_maps() {
    let listpack = |texts: &[&str]| {
        let mut listpack = Listpack::new();
        texts.iter().for_each(|text| listpack.push_back(text.as_bytes()));
        listpack
    };
    assert!(Hash::from_listpack(listpack(&["a", "1", "b", "1"])).is_some());
    assert!(Hash::from_listpack(listpack(&["a", "1", "a", "2"])).is_none());
    assert!(Hash::from_listpack(listpack(&["a", "1", "b"])).is_none());
}

#[test]
fn floats_are_incremented() {
    let mut hash = Hash::new();
    let add = |hash: &mut Hash, text: &str| {
        hash.incr_by_float(b"f", Extended::parse(text.as_bytes()).unwrap(), 0, LIMITS)
    };
    assert_eq!(add(&mut hash, "10.5"), Ok(b"10.5".to_vec()));
    assert_eq!(add(&mut hash, "0.1"), Ok(b"10.6".to_vec()));
    assert_eq!(add(&mut hash, "inf"), Err(HashIncrError::NotFinite));
    hash.set(b"f", b"x", 0, LIMITS);
    assert_eq!(add(&mut hash, "1"), Err(HashIncrError::NotFloat));
    hash.set(b"f", b"12", 0, LIMITS);
    assert_eq!(add(&mut hash, "1e2"), Ok(b"112".to_vec()));
}
