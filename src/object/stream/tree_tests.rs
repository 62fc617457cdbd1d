//! Does the tree do what a `BTreeMap` does, also after it was cloned?

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Model = BTreeMap<StreamId, u32>;

impl<V> IdMap<V> {
    /// Checks the invariants of the file's top.
    fn check(&self) {
        let Some(root) = &self.root else {
            assert_eq!(self.len, 0);
            return;
        };
        assert!(self.len > 0);
        root.check(None, None);
        assert!(!matches!(&**root, Node::Inner(children) if children.len() < 2));
    }
}

impl<V> Node<V> {
    /// Checks a node whose ids lie in `low..high`; its depth.
    fn check(&self, low: Option<StreamId>, high: Option<StreamId>) -> usize {
        assert!((1..=FANOUT).contains(&self.len()));
        match self {
            Node::Leaf(slots) => {
                assert!(slots.is_sorted_by(|a, b| a.0 < b.0));
                assert!(low.is_none_or(|low| low <= slots[0].0));
                assert!(high.is_none_or(|high| slots[slots.len() - 1].0 < high));
                0
            }
            Node::Inner(children) => {
                assert!(children.is_sorted_by(|a, b| a.0 < b.0));
                let depths: Vec<usize> = (0..children.len())
                    .map(|at| {
                        let low = if at == 0 { low } else { Some(children[at].0) };
                        let high = children.get(at + 1).map(|next| next.0).or(high);
                        children[at].1.check(low, high)
                    })
                    .collect();
                assert!(depths.iter().all(|depth| *depth == depths[0]));
                depths[0] + 1
            }
        }
    }
}

fn id(number: u32) -> StreamId {
    StreamId::new(u64::from(number / 3), u64::from(number % 3))
}

fn compare(map: &IdMap<u32>, model: &Model, probes: &[u32]) {
    map.check();
    assert_eq!(map.len(), model.len());
    let owned = |(id, value): (StreamId, &u32)| (id, *value);
    let pair = |(id, value): (&StreamId, &u32)| (*id, *value);
    assert!(map.iter().map(owned).eq(model.iter().map(pair)));
    assert!(map.iter_back(StreamId::MAX).map(owned).eq(model.iter().rev().map(pair)));
    assert_eq!(map.at_or_after(StreamId::MIN).map(owned), model.iter().next().map(pair));
    assert_eq!(map.last().map(owned), model.iter().next_back().map(pair));
    for probe in probes {
        let probe = id(*probe);
        assert_eq!(map.get(probe), model.get(&probe));
        let behind = model.range(probe..).map(pair);
        assert!(map.iter_from(probe).map(owned).eq(behind));
        let before = model.range(..=probe).rev().map(pair);
        assert!(map.iter_back(probe).map(owned).eq(before));
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Ids behind all others.
    Append(u16),
    Insert(u32),
    Change(u32),
    Remove(u32),
    /// Many ids from one on, in order.
    RemoveRun(u32, u16),
    PopLast,
    Clone,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..3000u32;
    prop_oneof![
        3 => (1..400u16).prop_map(Step::Append),
        4 => number.clone().prop_map(Step::Insert),
        2 => number.clone().prop_map(Step::Change),
        4 => number.clone().prop_map(Step::Remove),
        2 => (number, 1..300u16).prop_map(|(from, count)| Step::RemoveRun(from, count)),
        1 => Just(Step::PopLast),
        1 => Just(Step::Clone),
    ]
}

fn apply(map: &mut IdMap<u32>, model: &mut Model, step: &Step, value: u32) {
    match step {
        Step::Append(count) => {
            let mut next = model.keys().next_back().map_or(Some(id(0)), |last| last.next());
            for _ in 0..*count {
                let Some(id) = next else { return };
                assert_eq!(map.insert(id, value), model.insert(id, value));
                next = id.next();
            }
        }
        Step::Insert(number) => {
            assert_eq!(map.insert(id(*number), value), model.insert(id(*number), value));
        }
        Step::Change(number) => {
            let (mine, other) = (map.get_mut(id(*number)), model.get_mut(&id(*number)));
            assert_eq!(mine, other);
            if let (Some(mine), Some(other)) = (mine, other) {
                *mine = value;
                *other = value;
            }
        }
        Step::Remove(number) => {
            assert_eq!(map.remove(id(*number)), model.remove(&id(*number)));
        }
        Step::RemoveRun(from, count) => {
            let run: Vec<StreamId> =
                model.range(id(*from)..).map(|(id, _)| *id).take(usize::from(*count)).collect();
            for id in run {
                assert_eq!(map.remove(id), model.remove(&id));
            }
        }
        Step::PopLast => assert_eq!(map.pop_last(), model.pop_last()),
        Step::Clone => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn it_is_a_map(steps in proptest::collection::vec(step(), 1..60), probe in 0..3000u32) {
        let (mut map, mut model) = (IdMap::default(), Model::new());
        let mut kept = Vec::new();
        for (value, step) in steps.iter().enumerate() {
            if let Step::Clone = step {
                kept.push((map.clone(), model.clone()));
            }
            apply(&mut map, &mut model, step, value as u32);
            compare(&map, &model, &[probe, value as u32 * 40]);
        }
        // What was cloned is as it was.
        for (map, model) in &kept {
            compare(map, model, &[probe]);
        }
    }
}

#[test]
fn a_million_ids_come_and_go_in_order() {
    let mut map = IdMap::default();
    for number in 0..1_000_000 {
        map.insert(id(number), number);
    }
    map.check();
    let kept = map.clone();
    for number in 0..1_000_000 {
        assert_eq!(map.remove(id(number)), Some(number));
        if number % 50_000 == 0 {
            map.check();
        }
    }
    assert!(map.is_empty());
    assert_eq!(kept.len(), 1_000_000);
    assert_eq!(kept.iter().count(), 1_000_000);
}
