//! Does a set keep its members in every form, change form where Redis does, and draw fairly?

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::base::random::Random;

/// Small enough that changes of the form come often.
const LIMITS: SetLimits =
    SetLimits { intset_entries_max: 12, listpack_entries_max: 9, listpack_value_max: 20 };

type Model = BTreeSet<Vec<u8>>;

fn members(set: &Set) -> Vec<Vec<u8>> {
    set.iter().map(Element::to_vec).collect()
}

fn sorted(set: &Set) -> Vec<Vec<u8>> {
    let mut members = members(set);
    members.sort_unstable();
    members
}

fn of(texts: &[&str]) -> Set {
    let mut set = Set::for_members(texts[0].as_bytes(), texts.len(), LIMITS);
    texts.iter().for_each(|text| assert!(set.add(text.as_bytes(), LIMITS)));
    set
}

fn numbers(range: std::ops::Range<i64>) -> Set {
    let mut set = Set::new();
    range.for_each(|value| assert!(set.add_element(Element::Int(value), LIMITS)));
    set
}

fn check(set: &Set, model: &Model) {
    assert!(sorted(set).iter().eq(model), "{set:?}, not {model:?}");
    assert_eq!(set.len(), model.len());
    assert_eq!(set.is_empty(), model.is_empty());
    if let Some(intset) = set.as_intset() {
        assert!(intset.iter().is_sorted());
    }
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-10i64..30).prop_map(|value| value.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        2 => "[a-c]{0,2}".prop_map(String::into_bytes),
        1 => (0usize..400).prop_map(|len| vec![b'x'; len]),
        1 => Just(b"007".to_vec()),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Add(Vec<u8>),
    Remove(Vec<u8>),
    Pop(u64),
    PopMany(usize, u64),
    Reserve(usize),
    Clone,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        12 => member().prop_map(Change::Add),
        4 => member().prop_map(Change::Remove),
        1 => any::<u64>().prop_map(Change::Pop),
        1 => (0usize..20, any::<u64>()).prop_map(|(count, seed)| Change::PopMany(count, seed)),
        1 => (0usize..14).prop_map(Change::Reserve),
        1 => Just(Change::Clone),
    ]
}

proptest! {
    #[test]
    fn behaves_as_a_set(changes in prop::collection::vec(change(), 0..120)) {
        let (mut set, mut model) = (Set::new(), Model::new());
        let mut snapshots = Vec::new();
        for change in changes {
            match change {
                Change::Add(member) => {
                    prop_assert_eq!(set.add(&member, LIMITS), model.insert(member.clone()));
                    prop_assert!(set.contains(&member));
                }
                Change::Remove(member) => {
                    prop_assert_eq!(set.contains(&member), model.contains(&member));
                    prop_assert_eq!(set.remove(&member), model.remove(&member));
                    prop_assert!(!set.contains(&member));
                }
                Change::Pop(seed) => {
                    let mut random = Random::new(seed);
                    match set.pop(&mut || random.draw()) {
                        Some(member) => prop_assert!(model.remove(&member)),
                        None => prop_assert!(model.is_empty()),
                    }
                }
                Change::PopMany(count, seed) if count < set.len() => {
                    let mut random = Random::new(seed);
                    let mut popped = 0;
                    set.pop_many(count, LIMITS, &mut || random.draw(), &mut |member| {
                        assert!(model.remove(member));
                        popped += 1;
                    });
                    prop_assert_eq!(popped, count);
                }
                Change::PopMany(..) => {}
                Change::Reserve(members) => set.reserve(members, LIMITS),
                Change::Clone => snapshots.push((set.clone(), model.clone())),
            }
            check(&set, &model);
        }
        for (set, model) in snapshots {
            check(&set, &model);
        }
    }

    #[test]
    fn sets_combine_as_sets_do(
        texts in prop::collection::vec(prop::option::of(prop::collection::vec(member(), 1..25)), 1..5),
    ) {
        let models: Vec<Option<Model>> =
            texts.iter().map(|one| one.as_ref().map(|m| m.iter().cloned().collect())).collect();
        let sets: Vec<Option<Set>> = models
            .iter()
            .map(|model| model.as_ref().map(|model| {
                let mut set = Set::new();
                model.iter().for_each(|member| { set.add(member, LIMITS); });
                set
            }))
            .collect();
        let sets: Vec<Option<&Set>> = sets.iter().map(Option::as_ref).collect();
        let empty = Model::new();
        let models: Vec<&Model> = models.iter().map(|m| m.as_ref().unwrap_or(&empty)).collect();
        let all = |model: &Model| models.iter().fold(model.clone(), |a, b| &a & *b);
        check(&algebra::intersection(&sets, LIMITS), &all(models[0]));
        let any = models.iter().fold(Model::new(), |a, b| &a | *b);
        check(&algebra::union(&sets, LIMITS), &any);
        let rest = models[1..].iter().fold(models[0].clone(), |a, b| &a - *b);
        check(&algebra::difference(&sets, LIMITS), &rest);
    }

    #[test]
    fn a_scan_shows_what_stays_whatever_else_changes(
        stay in 1usize..300,
        count in 1usize..40,
        changes in prop::collection::vec((any::<bool>(), 0u32..500), 0..600),
    ) {
        let mut set = Set::new();
        for i in 0..stay {
            set.add(format!("stay{i}").as_bytes(), LIMITS);
        }
        let mut changes = changes.into_iter();
        let (mut cursor, mut shown) = (0, Vec::new());
        loop {
            cursor = set.scan(cursor, count, &mut |member| shown.push(member.to_vec()));
            if cursor == 0 {
                break;
            }
            for (add, number) in changes.by_ref().take(30) {
                let member = format!("other{number}").into_bytes();
                if add { set.add(&member, LIMITS) } else { set.remove(&member) };
            }
        }
        shown.retain(|member| member.starts_with(b"stay"));
        prop_assert_eq!(shown.len(), stay, "none is shown twice");
        prop_assert_eq!(shown.into_iter().collect::<BTreeSet<_>>().len(), stay);
    }
}

#[test]
fn forms_change_where_the_limits_say() {
    assert_eq!(numbers(0..12).encoding(), "intset");
    assert_eq!(numbers(0..13).encoding(), "hashtable");
    // A text makes a listpack of an intset that is short enough for one.
    let join = |mut set: Set, text: &[u8]| {
        set.add(text, LIMITS);
        set.encoding()
    };
    assert_eq!(join(numbers(0..8), b"a"), "listpack");
    assert_eq!(join(numbers(0..9), b"a"), "hashtable");
    assert_eq!(join(numbers(0..2), &[b'x'; 20]), "listpack");
    assert_eq!(join(numbers(0..2), &[b'x'; 21]), "hashtable");
    let narrow = SetLimits { listpack_value_max: 2, ..LIMITS };
    let mut wide_numbers = numbers(99..101);
    wide_numbers.add(b"a", narrow);
    assert_eq!(wide_numbers.encoding(), "hashtable");
    // Nothing becomes an intset again.
    let mut set = of(&["a", "1"]);
    set.remove(b"a");
    assert_eq!(set.encoding(), "listpack");
    // A member that is there already changes nothing.
    let mut full = of(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    assert!(!full.add(b"a", LIMITS));
    assert_eq!(full.encoding(), "listpack");
    assert_eq!(members(&full)[8], b"i");
    full.add(b"j", LIMITS);
    assert_eq!(full.encoding(), "hashtable");
}

#[test]
fn the_number_of_members_to_come_decides_at_once() {
    let encoding =
        |first: &str, count| Set::for_members(first.as_bytes(), count, LIMITS).encoding();
    assert_eq!(encoding("1", 12), "intset");
    assert_eq!(encoding("1", 13), "hashtable");
    assert_eq!(encoding("a", 9), "listpack");
    assert_eq!(encoding("a", 10), "hashtable");
    let no_ints = SetLimits { intset_entries_max: 0, ..LIMITS };
    assert_eq!(Set::for_members(b"1", 1, no_ints).encoding(), "listpack");
    let reserved = |mut set: Set, count| {
        set.reserve(count, LIMITS);
        set.encoding()
    };
    assert_eq!(reserved(numbers(0..3), 12), "intset");
    assert_eq!(reserved(numbers(0..3), 13), "hashtable");
    assert_eq!(reserved(of(&["a"]), 9), "listpack");
    assert_eq!(reserved(of(&["a"]), 10), "hashtable");
}

#[test]
fn results_have_the_forms_of_the_way_they_came_about() {
    let combine = |sets: &[&Set]| {
        let sets: Vec<Option<&Set>> = sets.iter().copied().map(Some).collect();
        let inter = algebra::intersection(&sets, LIMITS).encoding();
        (
            inter,
            algebra::union(&sets, LIMITS).encoding(),
            algebra::difference(&sets, LIMITS).encoding(),
        )
    };
    let (ints, mut table) = (numbers(0..5), numbers(0..5));
    table.make_table();
    // Integers come out of a table as texts, and are an intset all the same.
    assert_eq!(combine(&[&table]), ("intset", "intset", "intset"));
    assert_eq!(combine(&[&table, &ints]).0, "intset");
    assert_eq!(combine(&[&of(&["a", "1"]), &ints]), ("intset", "listpack", "listpack"));
    assert_eq!(combine(&[&of(&["a", "1"]), &of(&["a"])]).0, "listpack");
    let large = numbers(0..13);
    assert_eq!(combine(&[&large]), ("hashtable", "hashtable", "hashtable"));
    // Taken out of a copy that was large once.
    let others = [&numbers(0..4), &numbers(4..8), &numbers(8..12)];
    assert_eq!(combine(&[&large, others[0], others[1], others[2]]).2, "hashtable");
    assert_eq!(combine(&[&large, others[0]]).2, "intset");
}

#[test]
fn what_few_members_stay_find_their_form_anew() {
    let mut random = Random::new(3);
    let mut left = |mut set: Set, stay: usize| {
        let mut popped = 0;
        let count = set.len() - stay;
        set.pop_many(count, LIMITS, &mut || random.draw(), &mut |_| popped += 1);
        assert_eq!((popped, set.len()), (count, stay));
        set.encoding()
    };
    assert_eq!(left(numbers(0..30), 6), "hashtable");
    assert_eq!(left(numbers(0..30), 5), "listpack");
    assert_eq!(left(numbers(0..12), 1), "intset");
    assert_eq!(left(of(&["a", "b", "c", "d", "e", "f", "1"]), 1), "listpack");
}

#[test]
fn foreign_listpacks_must_be_sets() {
    let listpack = |texts: &[&str]| {
        let mut listpack = Listpack::new();
        texts.iter().for_each(|text| listpack.push_back(text.as_bytes()));
        listpack
    };
    assert!(Set::from_listpack(listpack(&["a", "1", "b"])).is_some());
    assert!(Set::from_listpack(listpack(&["a", "1", "a"])).is_none());
}

#[test]
fn draws_are_uniform() {
    let mut sets = vec![numbers(0..8), of(&["a", "b", "c", "d", "e", "f", "g", "1"])];
    let mut large = Set::new();
    for i in 0..300 {
        large.add(format!("m{i}").as_bytes(), LIMITS);
    }
    sets.push(large);
    for set in sets {
        let (mut one, mut many) = (BTreeMap::new(), BTreeMap::new());
        let mut popped = BTreeMap::new();
        let mut random = Random::new(42);
        let mut random = || random.draw();
        let rounds = set.len() * 200;
        for _ in 0..rounds {
            *one.entry(set.random(&mut random).unwrap().to_vec()).or_insert(0u32) += 1;
        }
        for _ in 0..rounds / 4 {
            for member in set.random_distinct(4, &mut random) {
                *many.entry(member.to_vec()).or_insert(0u32) += 1;
            }
        }
        for _ in 0..rounds / (set.len() - 1) {
            let mut rest = set.clone();
            let count = rest.len() - 1;
            rest.pop_many(count, LIMITS, &mut random, &mut |_| {});
            *popped.entry(rest.iter().next().unwrap().to_vec()).or_insert(0u32) += 1;
        }
        for counts in [one, many] {
            assert_eq!(counts.len(), set.len());
            assert!(counts.values().all(|n| (130..280).contains(n)), "{counts:?}");
        }
        let most = popped.values().max().unwrap();
        assert!(set.len() > 8 || (*most < 60 && popped.len() == set.len()), "{popped:?}");
    }
}
