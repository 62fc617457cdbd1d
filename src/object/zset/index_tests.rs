//! Does the trie keep its slots, its order and its sums under any hashes?

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

impl Index {
    /// Checks all invariants.
    pub fn check(&self) {
        let bytes = check_branch(&self.root, 0, 0);
        assert_eq!(self.bytes, bytes);
    }
}

/// Checks all invariants below a branch; its bytes.
fn check_branch(branch: &Branch, level: u32, prefix: u32) -> usize {
    let mut place = 0;
    let mut sum = branch.memory_bytes();
    for (at, child) in branch.children.iter().enumerate() {
        let width = PLACES >> child.depth;
        assert!(branch.map[place..place + width].iter().all(|&m| usize::from(m) == at));
        let start = prefix | (place as u32) << (32 - (level + 1) * BITS);
        sum += match &child.node {
            Node::Branch(below) => check_branch(below, level + 1, start),
            Node::Leaf(leaf) => {
                let end = u64::from(start) + ((width as u64) << (32 - (level + 1) * BITS));
                for slot in leaf.iter() {
                    assert!((u64::from(start)..end).contains(&u64::from(slot.hash)));
                }
                assert!(leaf.is_sorted_by_key(|slot| slot.hash));
                leaf_bytes(leaf)
            }
        };
        place += width;
    }
    assert_eq!(place, PLACES);
    sum
}

/// Hashes that agree in many bits as well as some that do not.
fn hash() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0u32..300, Just(u32::MAX), (0u32..256).prop_map(|h| h << 24)]
}

fn shown(index: &Index, count: usize) -> BTreeSet<(u32, LeafId)> {
    let mut shown = BTreeSet::new();
    let mut cursor = 0;
    loop {
        cursor = index.scan(cursor, count, |group| {
            for slot in group {
                assert!(shown.insert((slot.hash, slot.leaf)), "nothing is shown twice");
            }
        });
        if cursor == 0 {
            return shown;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn behaves_as_a_set_of_slots_under_any_hashes(
        changes in prop::collection::vec((hash(), 0u32..6, 0u8..4), 0..3000),
    ) {
        let mut index = Index::default();
        let mut model = BTreeSet::new();
        let mut snapshot = (index.clone(), model.clone());
        for (round, (hash, leaf, action)) in changes.into_iter().enumerate() {
            if !model.contains(&(hash, leaf)) {
                index.insert(hash, leaf);
                model.insert((hash, leaf));
            } else if action == 0 && !model.contains(&(hash, leaf + 100)) {
                index.replace(hash, leaf, leaf + 100);
                model.remove(&(hash, leaf));
                model.insert((hash, leaf + 100));
            } else {
                index.remove(hash, leaf);
                model.remove(&(hash, leaf));
            }
            let slots: BTreeSet<_> = index.get(hash).iter().map(|slot| slot.leaf).collect();
            let expected: BTreeSet<_> =
                model.range((hash, 0)..=(hash, LeafId::MAX)).map(|(_, leaf)| *leaf).collect();
            prop_assert_eq!(slots, expected);
            if round % 500 == 0 {
                index.check();
                prop_assert_eq!(&shown(&snapshot.0, 7), &snapshot.1);
                snapshot = (index.clone(), model.clone());
            }
        }
        index.check();
        snapshot.0.check();
        prop_assert_eq!(&shown(&index, 10), &model);
        for (hash, leaf) in model {
            index.remove(hash, leaf);
        }
        index.check();
        prop_assert!(shown(&index, 3).is_empty());
    }
}

#[test]
fn growing_and_shrinking_gives_memory_back() {
    let mut index = Index::default();
    let hash = |i: u32| i.wrapping_mul(0x9e37_79b1);
    for i in 0..200_000 {
        index.insert(hash(i), i % 1000);
    }
    index.check();
    assert!(index.memory_bytes() < 200_000 * 10, "{}", index.memory_bytes());
    for i in 0..200_000 {
        if i % 100 != 0 {
            index.remove(hash(i), i % 1000);
        }
    }
    index.check();
    assert_eq!(shown(&index, 100).len(), 2000);
    assert!(index.memory_bytes() < 2000 * 60, "{}", index.memory_bytes());
}

#[test]
fn equal_hashes_are_scanned_together() {
    let mut index = Index::default();
    for leaf in 0..1000 {
        index.insert(7, leaf);
    }
    index.insert(9, 1);
    index.check();
    let mut count = 0;
    let next = index.scan(0, 10, |group| count += group.len());
    assert_eq!(count, 1000);
    assert!((8..=9).contains(&next));
}
