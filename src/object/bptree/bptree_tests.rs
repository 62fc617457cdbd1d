//! Does the tree keep its members in order, its counts true and its leaves' numbers good?

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::base::hasher::position;

impl Tree {
    /// Checks all invariants.
    pub fn check(&self) {
        let mut depths = Vec::new();
        let count = self.check_inner(&self.root, 0, &mut depths);
        assert_eq!(count, self.len);
        assert!(depths.windows(2).all(|two| two[0] == two[1]), "leaves are equally deep");
        let members: Vec<_> = self.range(0..self.len).collect();
        assert_eq!(members.len(), self.len);
        for two in members.windows(2) {
            let [(before, low), (behind, high)] = two else { unreachable!() };
            assert_eq!(compare((*low, before), (*high, behind)), Ordering::Less);
        }
    }

    fn check_inner(&self, inner: &Inner, depth: usize, depths: &mut Vec<usize>) -> usize {
        assert!(!inner.children.is_empty() && inner.children.len() < CHILDREN_MAX);
        let mut sum = 0;
        let mut last: Option<(f64, Vec<u8>)> = None;
        for (at, child) in inner.children.iter().enumerate() {
            let mut members = Vec::new();
            self.members_of(&child.node, &mut members);
            assert_eq!(members.len(), child.count);
            let empty_root = self.len == 0;
            assert!(child.count > 0 || empty_root, "no child is empty");
            if at > 0 {
                let low = (child.low.score, child.low.member());
                let (score, member) = last.as_ref().expect("there was a child before");
                assert_eq!(compare((*score, member), low), Ordering::Less);
                let (score, member) = &members[0];
                assert_ne!(compare((*score, member), low), Ordering::Less);
            }
            last = members.pop();
            if let Node::Inner(below) = &child.node {
                self.check_inner(below, depth + 1, depths);
            } else {
                depths.push(depth);
            }
            sum += child.count;
        }
        sum
    }

    fn members_of(&self, node: &Node, out: &mut Vec<(f64, Vec<u8>)>) {
        match node {
            Node::Inner(inner) => {
                inner.children.iter().for_each(|child| self.members_of(&child.node, out));
            }
            Node::Leaf(id) => {
                let leaf = self.leaf(*id);
                out.extend((0..leaf.len()).map(|at| (leaf.score(at), leaf.member(at).to_vec())));
            }
        }
    }

    fn depth(&self) -> usize {
        let mut depth = 1;
        let mut inner = &self.root;
        while let Node::Inner(below) = &inner.children[0].node {
            inner = below;
            depth += 1;
        }
        depth
    }
}

/// What the model holds of a member.
type Entry = (f64, Vec<u8>);

/// A tree beside a sorted row and a map of where members are.
#[derive(Clone, Default)]
struct Pair {
    tree: Tree,
    model: Vec<(f64, Vec<u8>)>,
    places: HashMap<Vec<u8>, LeafId>,
}

impl Pair {
    fn find(&self, score: f64, member: &[u8]) -> Result<usize, usize> {
        self.model.binary_search_by(|(s, m)| compare((*s, m), (score, member)))
    }

    fn settle(&mut self, moved: Option<Moved>) {
        let Some(moved) = moved else { return };
        let leaf = self.tree.leaf(moved.to);
        for at in moved.first..leaf.len() {
            let old = self.places.insert(leaf.member(at).to_vec(), moved.to);
            assert_eq!(old, Some(moved.from));
        }
    }

    fn insert(&mut self, score: f64, member: &[u8]) {
        if self.places.contains_key(member) {
            return;
        }
        let at = self.find(score, member).unwrap_err();
        self.model.insert(at, (score, member.to_vec()));
        let placed = self.tree.insert(score, member, position(member));
        self.places.insert(member.to_vec(), placed.leaf);
        self.settle(placed.moved);
    }

    fn take(&mut self, rank: usize, max: usize) {
        let mut gone = Vec::new();
        let by_name = max == 1 && rank.is_multiple_of(2);
        let (score, member) = self.model[rank].clone();
        let target = if by_name { Target::Entry(score, &member) } else { Target::Rank(rank) };
        let taken = self.tree.take(target, max, |leaf, hash| gone.push((leaf, hash)));
        assert!((1..=max).contains(&taken.count));
        for ((_, member), (leaf, hash)) in self.model.drain(rank..rank + taken.count).zip(gone) {
            assert_eq!(position(&member), hash);
            assert_eq!(self.places.remove(&member), Some(leaf));
        }
        self.settle(taken.moved);
    }

    fn check(&self) {
        self.tree.check();
        let members = self.tree.range(0..self.tree.len());
        let members: Vec<_> = members.map(|(member, score)| (score, member.to_vec())).collect();
        assert_eq!(members, self.model);
        for (member, leaf) in &self.places {
            assert!(self.tree.leaf(*leaf).find(position(member), member).is_some());
        }
    }

    fn check_edges(&self, score: f64, member: &[u8]) {
        let count = |before: &dyn Fn(&Entry) -> bool| {
            self.model.iter().filter(|entry| before(entry)).count()
        };
        let tree = &self.tree;
        assert_eq!(tree.count_before(Edge::Start), 0);
        assert_eq!(tree.count_before(Edge::End), self.model.len());
        assert_eq!(tree.count_before(Edge::Score(score)), count(&|e| e.0 < score));
        assert_eq!(tree.count_before(Edge::AboveScore(score)), count(&|e| e.0 <= score));
        let rank = count(&|e| compare((e.0, &e.1), (score, member)) == Ordering::Less);
        assert_eq!(tree.count_before(Edge::Entry(score, member)), rank);
        if rank < self.model.len() {
            let (member, score) = tree.nth(rank);
            assert_eq!((score, member), (self.model[rank].0, &self.model[rank].1[..]));
        }
        if self.model.iter().all(|e| e.0 == self.model[0].0) {
            assert_eq!(tree.count_before(Edge::Member(member)), count(&|e| &*e.1 < member));
            assert_eq!(tree.count_before(Edge::AboveMember(member)), count(&|e| &*e.1 <= member));
        }
    }

    fn check_range(&self, range: Range<usize>) {
        let range = range.start.min(self.model.len())..range.end.min(self.model.len());
        if range.start > range.end {
            return;
        }
        let expected = &self.model[range.clone()];
        let shown = self.tree.range(range.clone()).map(|(m, s)| (s, m.to_vec()));
        assert!(shown.eq(expected.iter().cloned()));
        let shown = self.tree.range(range).rev().map(|(m, s)| (s, m.to_vec()));
        assert!(shown.eq(expected.iter().rev().cloned()));
    }
}

fn text(number: u32, len: usize) -> Vec<u8> {
    let mut text = format!("{number:03}").into_bytes();
    text.resize(text.len() + len, b'-');
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn behaves_as_a_sorted_row(
        scores in 1u32..40,
        steps in prop::collection::vec(
            (0u32..900, prop_oneof![Just(0usize), Just(60), 185usize..200], 0u32..40, 0u8..8),
            0..900,
        ),
    ) {
        let mut pair = Pair::default();
        let mut before = pair.clone();
        for (round, (number, len, score, action)) in steps.into_iter().enumerate() {
            let member = text(number, len);
            let score = f64::from(score % scores);
            match action {
                0 if !pair.model.is_empty() => pair.take(number as usize % pair.model.len(), 1),
                1 if !pair.model.is_empty() && number.is_multiple_of(4) => {
                    pair.take(number as usize % pair.model.len(), number as usize % 50 + 1);
                }
                _ => pair.insert(score, &member),
            }
            pair.check_edges(score, &member);
            if round % 64 == 0 {
                pair.check();
                pair.check_range(number as usize % 100..number as usize);
                before.check();
                before = pair.clone();
            }
        }
        pair.check();
        before.check();
        while !pair.model.is_empty() {
            pair.take(pair.model.len() / 2, 7);
        }
        pair.check();
        before.check();
    }
}

/// Some thousand members: two levels of inner nodes and more.
fn grow(order: &dyn Fn(u32) -> u32) -> Pair {
    let mut pair = Pair::default();
    for i in 0..20_000 {
        let number = order(i);
        pair.insert(f64::from(number / 3), &number.to_be_bytes());
    }
    pair.check();
    pair
}

#[test]
fn grows_and_shrinks_over_several_levels() {
    let scattered = |i: u32| i.wrapping_mul(0x9e37_79b1) % 1_000_003;
    for order in [&(|i| i) as &dyn Fn(u32) -> u32, &|i| 100_000 - i, &scattered] {
        let mut pair = grow(order);
        assert!(pair.tree.depth() >= 3);
        let snapshot = pair.clone();
        pair.check_range(5_000..9_000);
        let mut random = 7u32;
        while pair.model.len() > 500 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            pair.take(random as usize % pair.model.len(), 1);
        }
        pair.check();
        assert!(pair.tree.depth() <= 2);
        assert!(pair.tree.memory_bytes() < 500 * 150, "{}", pair.tree.memory_bytes());
        snapshot.check();
        while !pair.model.is_empty() {
            pair.take(0, 100);
        }
        pair.check();
        assert_eq!(pair.tree.depth(), 1);
        pair.insert(1.0, b"again");
        pair.check();
    }
}

#[test]
fn what_grows_at_an_end_keeps_full_leaves() {
    let ascending = grow(&|i| i);
    let descending = grow(&|i| 100_000 - i);
    for pair in [ascending, descending] {
        // Four bytes of member, a byte of length, eleven of slot.
        assert!(pair.tree.memory_bytes() < 20_000 * 19, "{}", pair.tree.memory_bytes());
    }
}

#[test]
fn a_score_changes_in_place_between_its_neighbours() {
    let mut tree = Tree::default();
    let placed = ["a", "b", "c"].map(|m| tree.insert(10.0, m.as_bytes(), position(m.as_bytes())));
    let leaf = placed[0].leaf;
    assert!(!tree.rescore(leaf, 1, 9.0));
    assert!(!tree.rescore(leaf, 1, 11.0));
    assert!(!tree.rescore(leaf, 0, 9.0), "what is before a leaf is not known");
    assert!(tree.rescore(leaf, 1, 10.0));
    tree.insert(12.0, b"d", position(b"d"));
    assert!(tree.rescore(leaf, 2, 11.0));
    tree.check();
    assert_eq!(tree.nth(2), (&b"c"[..], 11.0));
}
