//! Does the trie keep its fields, its order and its sums under any hashes?

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Fields = Table<true>;
type Members = Table<false>;

fn check<const VALUED: bool>(table: &Table<VALUED>) {
    let (len, expire_min, bytes) = check_branch(&table.root, 0, 0);
    assert_eq!(table.len, len);
    assert!(table.expire_min() <= expire_min);
    assert_eq!(table.bytes, bytes);
    let hashes: Vec<_> = table.iter().map(|entry| entry.field.to_vec()).collect();
    assert_eq!(hashes.len(), len);
}

/// Checks all invariants below a branch; its number of fields, earliest expiry and bytes.
fn check_branch<const VALUED: bool>(
    branch: &Branch<VALUED>,
    level: u32,
    prefix: u32,
) -> (usize, u64, usize) {
    let mut place = 0;
    let mut sums = (0, NEVER, branch.memory_bytes());
    for (at, child) in branch.children.iter().enumerate() {
        let width = PLACES >> child.depth;
        assert!(branch.map[place..place + width].iter().all(|&m| usize::from(m) == at));
        let start = prefix | (place as u32) << (32 - (level + 1) * BITS);
        let (len, expire_min, bytes) = match &child.node {
            Node::Branch(below) => check_branch(below, level + 1, start),
            Node::Leaf(leaf) => {
                let end = u64::from(start) + ((width as u64) << (32 - (level + 1) * BITS));
                for slot in leaf.slots() {
                    assert!((u64::from(start)..end).contains(&u64::from(slot.hash)));
                }
                assert!(leaf.slots().is_sorted_by_key(|slot| slot.hash));
                let expiries = (0..leaf.len()).map(|at| leaf.entry(at).expire_at);
                (leaf.len(), expiries.min().unwrap_or(NEVER), leaf.memory_bytes())
            }
        };
        assert_eq!(child.len, len);
        assert!(child.expire_min <= expire_min);
        sums = (sums.0 + len, sums.1.min(expire_min), sums.2 + bytes);
        place += width;
    }
    assert_eq!(place, PLACES);
    sums
}

/// Hashes that agree in many bits as well as some that do not.
fn hash() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0u32..300, Just(u32::MAX), (0u32..256).prop_map(|h| h << 24)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn behaves_as_a_map_under_any_hashes(
        changes in prop::collection::vec(
            (hash(), 0u16..6, 0usize..400, any::<bool>(), 1u64..100),
            0..1500,
        ),
    ) {
        let mut table = Fields::default();
        let mut model = BTreeMap::new();
        for (round, (hash, number, len, remove, expire_at)) in changes.into_iter().enumerate() {
            let field = format!("{hash}:{number}").into_bytes();
            let key = (hash, field.clone());
            if remove && round % 3 != 0 {
                let old = model.remove(&key).map(|(_, at)| at);
                prop_assert_eq!(table.remove_at(hash, &field), old);
            } else {
                let value = vec![b'v'; len];
                let expire_at = if expire_at > 50 { NEVER } else { expire_at };
                let old = table.put_at(hash, &field, &value, Expiry::Set(expire_at));
                prop_assert_eq!(old, model.insert(key, (value, expire_at)).map(|(_, at)| at));
            }
        }
        check(&table);
        for ((hash, field), (value, expire_at)) in &model {
            let entry = table.get_at(*hash, field).unwrap();
            prop_assert_eq!((entry.value, entry.expire_at), (&value[..], *expire_at));
        }
        let before = table.clone();
        let mut taken = Vec::new();
        loop {
            let some = table.take_expired(25, 7);
            if some.is_empty() {
                break;
            }
            taken.extend(some);
        }
        check(&table);
        taken.sort();
        let due = |at: &u64| *at < 25;
        let mut expected: Vec<_> =
            model.iter().filter(|(_, (_, at))| due(at)).map(|((_, f), _)| f.clone()).collect();
        expected.sort();
        prop_assert_eq!(taken, expected);
        prop_assert!(table.expire_min() >= 25);
        // The clone is untouched.
        prop_assert_eq!(before.iter().count(), model.len());
        check(&before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn behaves_as_a_set_under_any_hashes(
        changes in prop::collection::vec((hash(), 0u16..6, 0usize..300, any::<bool>()), 0..1500),
    ) {
        let mut table = Members::default();
        let mut model = BTreeMap::new();
        let mut snapshot = None;
        for (round, (hash, number, len, remove)) in changes.into_iter().enumerate() {
            // Some members are empty but for their number, some lie outside of the leaf.
            let mut member = number.to_le_bytes().to_vec();
            member.resize(2 + len, b'm');
            if remove && round % 3 != 0 {
                let was_there = model.remove(&(hash, member.clone())).is_some();
                prop_assert_eq!(table.remove_at(hash, &member).is_some(), was_there);
            } else {
                let is_new = model.insert((hash, member.clone()), ()).is_none();
                prop_assert_eq!(table.add_at(hash, &member), is_new);
            }
            prop_assert_eq!(table.len(), model.len());
            if round % 400 == 399 {
                snapshot = Some((table.clone(), model.clone()));
            }
        }
        for (table, model) in snapshot.into_iter().chain([(table, model)]) {
            check(&table);
            for (hash, member) in model.keys() {
                prop_assert!(table.get_at(*hash, member).is_some());
            }
            let mut found: Vec<_> = table.iter().map(|entry| entry.field.to_vec()).collect();
            found.sort();
            let mut expected: Vec<_> = model.into_keys().map(|(_, member)| member).collect();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}

/// Whatever their number: there are always leaves of every fullness.
#[test]
fn a_member_costs_little_more_than_its_bytes() {
    for members in [20_000, 50_000, 60_000, 70_000, 85_000, 100_000] {
        let mut table = Members::default();
        for i in 0..members {
            assert!(table.add(format!("member:{i:09}").as_bytes()));
        }
        check(&table);
        let each = table.memory_bytes() as f64 / f64::from(members);
        assert!(each < 31.5, "{each} bytes for each of {members} members of 16 bytes");
        let (mut low, mut high) = (usize::MAX, 0);
        for_each_leaf(&table.root, &mut |leaf| {
            low = low.min(leaf.len());
            high = high.max(leaf.len());
        });
        assert!(low < FIELDS_MAX / 2 && high > FIELDS_MAX * 7 / 8, "{low} to {high} members");
    }
}

fn for_each_leaf<const VALUED: bool>(branch: &Branch<VALUED>, see: &mut dyn FnMut(&Leaf<VALUED>)) {
    for child in &branch.children {
        match &child.node {
            Node::Leaf(leaf) => see(leaf),
            Node::Branch(below) => for_each_leaf(below, see),
        }
    }
}

#[test]
fn growing_and_shrinking_keeps_every_field() {
    let mut table = Fields::default();
    let field = |i: u32| format!("field:{i}").into_bytes();
    for i in 0..50_000 {
        assert_eq!(table.put(&field(i), &i.to_le_bytes(), Expiry::Keep), None);
    }
    check(&table);
    assert!(table.memory_bytes() < 50_000 * 50, "{}", table.memory_bytes());
    let snapshot = table.clone();
    for i in 0..50_000 {
        if i % 50 != 0 {
            assert_eq!(table.remove(&field(i)), Some(NEVER));
        }
    }
    check(&table);
    assert_eq!(table.len(), 1000);
    assert!(table.memory_bytes() < 1000 * 200, "{}", table.memory_bytes());
    for i in (0..50_000).step_by(50) {
        assert_eq!(table.get(&field(i)).unwrap().value, i.to_le_bytes());
    }
    assert_eq!(snapshot.len(), 50_000);
    for i in 0..50_000 {
        assert_eq!(snapshot.get(&field(i)).unwrap().value, i.to_le_bytes());
    }
    let mut ranks: Vec<_> = (0..1000).map(|rank| table.nth(rank).unwrap().field).collect();
    ranks.sort();
    ranks.dedup();
    assert_eq!(ranks.len(), 1000);
    assert!(table.nth(1000).is_none());
}

#[test]
fn equal_hashes_are_scanned_together() {
    let mut table = Fields::default();
    for i in 0..1000u32 {
        table.put_at(7, &i.to_le_bytes(), b"", Expiry::Keep);
    }
    table.put_at(9, b"behind", b"", Expiry::Keep);
    check(&table);
    let mut shown = 0;
    let next = table.scan(0, 10, |_| shown += 1);
    assert_eq!(shown, 1000);
    assert!((8..=9).contains(&next));
    let mut cursor = next;
    while cursor != 0 {
        cursor = table.scan(cursor, 10, |_| shown += 1);
    }
    assert_eq!(shown, 1001);
}
