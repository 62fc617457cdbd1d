//! Where is which node of a long list? A B-tree whose branches count what lies below them.
//!
//! The leaves are the list's nodes in order. Each branch knows, for each of its parts, how many
//! elements and how many nodes it has, so an element is found by its index, and a node by its number,
//! in steps that grow with the logarithm of the list. Nodes and branches are reference-counted and
//! copied when they are changed while somebody else holds them: a clone takes one count, and a change
//! after it copies the path to one node. Branches split when they are full, at the place of the
//! insertion if that is an end, so that lists grown by pushing have full branches; they are removed
//! when empty, and joined when two neighbours together would be less than half full.
//!
//! The first and the last node stand beside the tree once they have been changed: pushing and popping neither
//! descends nor asks, by an atomic exchange on each level, whether somebody else holds what it finds. A clone
//! copies these two.
//!
//! Invariants: all nodes of the tree are at the same depth; the counts of a branch are those of what lies below;
//! only the root may be without parts; a list of one node never has it as its tail.

use std::sync::Arc;

use super::node::Node;
use crate::base::moving::Mover;

/// Most parts of a branch.
const FANOUT: usize = 64;

/// Nodes whose memory is looked at; those of longer lists are estimated by these.
const SAMPLE_MAX: usize = 256;

/// The nodes of a list, in order.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The first node, unless it is in the tree.
    head: Option<Node>,
    root: Arc<Branch>,
    /// What is in the tree.
    inner: Count,
    /// The last node, unless it is in the tree or the first one.
    tail: Option<Node>,
    /// What there is altogether.
    count: Count,
}

/// How many elements and nodes there are in a part of the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    elements: usize,
    nodes: usize,
}

#[derive(Clone, Debug, Default)]
struct Branch {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    count: Count,
    link: Link,
}

#[derive(Clone, Debug)]
enum Link {
    Node(Arc<Node>),
    Branch(Arc<Branch>),
}

/// Where an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of its node.
    pub node: usize,
    /// Its index in the node.
    pub offset: usize,
}

impl Tree {
    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.count.elements
    }

    /// Number of nodes.
    #[inline]
    pub fn nodes(&self) -> usize {
        self.count.nodes
    }

    /// How many nodes are in front of the tree.
    #[inline]
    fn before_root(&self) -> usize {
        usize::from(self.head.is_some())
    }

    /// The node of a number, which is there.
    #[inline]
    pub fn node(&self, number: usize) -> &Node {
        match (&self.head, &self.tail) {
            (Some(head), _) if number == 0 => head,
            (_, Some(tail)) if number + 1 == self.count.nodes => tail,
            _ => self.inner_node(number - self.before_root()),
        }
    }

    fn inner_node(&self, number: usize) -> &Node {
        let (mut branch, mut count, mut number) = (&self.root, self.inner, number);
        loop {
            let (at, rest) = branch.locate(number, count, |count| count.nodes);
            let part = &branch.parts[at];
            match &part.link {
                Link::Node(node) => return node,
                Link::Branch(below) => (branch, count, number) = (below, part.count, rest),
            }
        }
    }

    /// Where the element of an index is, which is there.
    pub fn find(&self, index: usize) -> Place {
        let first = self.head.as_ref().map_or(0, Node::elements);
        let Some(mut index) = index.checked_sub(first) else {
            return Place { node: 0, offset: index };
        };
        if index >= self.inner.elements && self.tail.is_some() {
            return Place { node: self.count.nodes - 1, offset: index - self.inner.elements };
        }
        let (mut branch, mut count) = (&self.root, self.inner);
        let mut node = self.before_root();
        loop {
            let (at, rest) = branch.locate(index, count, |count| count.elements);
            let part = &branch.parts[at];
            match &part.link {
                Link::Node(_) => return Place { node: node + at, offset: rest },
                Link::Branch(below) => {
                    node += branch.parts[..at].iter().map(|part| part.count.nodes).sum::<usize>();
                    (branch, count, index) = (below, part.count, rest);
                }
            }
        }
    }

    /// Changes a node. One that becomes empty is to be removed next.
    #[inline]
    pub fn edit<R>(&mut self, number: usize, change: impl FnOnce(&mut Node) -> R) -> R {
        let (result, before, after) = match self.end_mut(number) {
            Some(node) => {
                let before = node.elements();
                let result = change(node);
                (result, before, node.elements())
            }
            None => {
                let inner = number - self.before_root();
                let changed = Branch::edit(&mut self.root, inner, self.inner, change);
                self.inner.elements = self.inner.elements - changed.1 + changed.2;
                changed
            }
        };
        self.count.elements = self.count.elements - before + after;
        result
    }

    /// The first or the last node, which from then on stands beside the tree; nothing for others.
    #[inline]
    fn end_mut(&mut self, number: usize) -> Option<&mut Node> {
        if number == 0 {
            if self.head.is_none() {
                self.head = self.take_first();
            }
            self.head.as_mut()
        } else if number + 1 == self.count.nodes {
            if self.tail.is_none() {
                self.tail = Some(self.take_inner(self.inner.nodes - 1));
            }
            self.tail.as_mut()
        } else {
            None
        }
    }

    #[cold]
    fn take_first(&mut self) -> Option<Node> {
        if self.inner.nodes == 0 { self.tail.take() } else { Some(self.take_inner(0)) }
    }

    /// Takes a node out of the tree, to be changed.
    #[cold]
    fn take_inner(&mut self, number: usize) -> Node {
        match self.remove_inner(number).link {
            Link::Node(node) => Arc::unwrap_or_clone(node),
            Link::Branch(_) => unreachable!("removal ends at a node"),
        }
    }

    fn remove_inner(&mut self, number: usize) -> Part {
        let gone = Branch::remove(&mut self.root, number, self.inner);
        self.inner.elements -= gone.count.elements;
        self.inner.nodes -= 1;
        while let [Part { link: Link::Branch(only), .. }] = &*self.root.parts {
            self.root = Arc::clone(only);
        }
        gone
    }

    /// Adds a node in front of that of a number, or at the end.
    pub fn insert(&mut self, number: usize, node: Node) {
        let elements = node.elements();
        if number == 0 {
            if let Some(second) = self.head.replace(node) {
                self.insert_inner(0, second);
            }
        } else if number == self.count.nodes {
            if let Some(before) = self.tail.replace(node) {
                self.insert_inner(self.inner.nodes, before);
            }
        } else {
            self.insert_inner(number - self.before_root(), node);
        }
        self.count.elements += elements;
        self.count.nodes += 1;
    }

    fn insert_inner(&mut self, number: usize, node: Node) {
        let count = Count { elements: node.elements(), nodes: 1 };
        let part = Part { count, link: Link::Node(Arc::new(node)) };
        let right = Branch::insert(&mut self.root, number, self.inner, part);
        self.inner.elements += count.elements;
        self.inner.nodes += 1;
        if let Some(right) = right {
            let left = Count {
                elements: self.inner.elements - right.count.elements,
                nodes: self.inner.nodes - right.count.nodes,
            };
            let left = Part { count: left, link: Link::Branch(std::mem::take(&mut self.root)) };
            self.root = Arc::new(Branch { parts: vec![left, right] });
        }
    }

    /// Removes a node.
    pub fn remove(&mut self, number: usize) {
        let is_last = number + 1 == self.count.nodes;
        let gone = match (&mut self.head, &mut self.tail) {
            (head @ Some(_), _) if number == 0 => head.take(),
            (_, tail @ Some(_)) if is_last => tail.take(),
            _ => None,
        };
        self.count.elements -= match gone {
            Some(node) => node.elements(),
            None => self.remove_inner(number - self.before_root()).count.elements,
        };
        self.count.nodes -= 1;
        if self.count.nodes == 1 && self.tail.is_some() {
            self.head = self.tail.take();
        }
    }

    /// The only node, taken out of the list.
    pub fn into_only(mut self) -> Option<Node> {
        if self.count.nodes != 1 {
            return None;
        }
        self.head.take().or_else(|| self.take_first())
    }

    /// Moves blocks from the node of this number on, until time is up; the number to go on from, if there is more.
    pub fn move_blocks(&mut self, from: usize, mover: &mut Mover<'_>) -> Option<usize> {
        let before = self.before_root();
        let mut number = from;
        while number < self.count.nodes {
            let inner = number.wrapping_sub(before);
            if let (0, Some(head)) = (number, &mut self.head) {
                head.move_block(mover);
                number += 1;
            } else if inner < self.inner.nodes {
                number = before + Branch::move_node(&mut self.root, 0, inner, mover);
            } else {
                self.tail.iter_mut().for_each(|tail| tail.move_block(mover));
                number = self.count.nodes;
            }
            if !mover.goes_on() {
                return (number < self.count.nodes).then_some(number);
            }
        }
        None
    }

    /// Allocated bytes behind this struct: of the nodes, and roughly of what leads to them.
    pub fn memory_bytes(&self) -> usize {
        let nodes = self.nodes();
        let step = nodes.div_ceil(SAMPLE_MAX).max(1);
        let sampled = nodes.div_ceil(step).max(1);
        let bytes: usize = (0..nodes).step_by(step).map(|n| self.node(n).memory_bytes()).sum();
        let each = ARC_BYTES + size_of::<Node>() + size_of::<Part>();
        bytes * nodes / sampled + nodes * each + ARC_BYTES + size_of::<Branch>()
    }
}

/// The two counts in front of what an [`Arc`] holds.
const ARC_BYTES: usize = 2 * size_of::<usize>();

impl Branch {
    /// Moves the node of this number, and the branches of which it is the first; `first` is the number of the first one
    /// in this branch. The number behind what was moved, or is shared.
    fn move_node(
        this: &mut Arc<Self>,
        first: usize,
        number: usize,
        mover: &mut Mover<'_>,
    ) -> usize {
        let end = first + this.parts.iter().map(|part| part.count.nodes).sum::<usize>();
        let own = match number == first {
            true => mover.shared(this, Self::default),
            false => Arc::get_mut(this),
        };
        let Some(own) = own else { return end };
        if number == first {
            mover.vec(&mut own.parts);
        }
        let mut first = first;
        for part in &mut own.parts {
            if number < first + part.count.nodes {
                match &mut part.link {
                    Link::Branch(below) => return Self::move_node(below, first, number, mover),
                    Link::Node(node) => {
                        if let Some(node) = mover.shared(node, || Node::Plain(Box::default())) {
                            node.move_block(mover);
                        }
                        return number + 1;
                    }
                }
            }
            first += part.count.nodes;
        }
        end
    }

    /// The part that holds the `wanted`-th of what `measure` counts, and its number in there; looked for
    /// from the nearer end. One past the last is in the last part.
    #[inline]
    fn locate(
        &self,
        wanted: usize,
        total: Count,
        measure: impl Fn(&Count) -> usize,
    ) -> (usize, usize) {
        let total = measure(&total);
        if wanted < total / 2 {
            let mut before = 0;
            for (at, part) in self.parts.iter().enumerate() {
                let here = measure(&part.count);
                if wanted < before + here {
                    return (at, wanted - before);
                }
                before += here;
            }
        } else {
            let mut begin = total;
            for (at, part) in self.parts.iter().enumerate().rev() {
                begin -= measure(&part.count);
                if wanted >= begin {
                    return (at, wanted - begin);
                }
            }
        }
        unreachable!("the counts of a branch are those of its parts")
    }

    /// Changes a node; also says how many elements it had and has.
    fn edit<R>(
        this: &mut Arc<Self>,
        number: usize,
        count: Count,
        change: impl FnOnce(&mut Node) -> R,
    ) -> (R, usize, usize) {
        let branch = Arc::make_mut(this);
        let (at, rest) = branch.locate(number, count, |count| count.nodes);
        let part = &mut branch.parts[at];
        match &mut part.link {
            Link::Node(node) => {
                let before = part.count.elements;
                let node = Arc::make_mut(node);
                let result = change(node);
                part.count.elements = node.elements();
                (result, before, part.count.elements)
            }
            Link::Branch(below) => {
                let changed = Self::edit(below, rest, part.count, change);
                part.count.elements = part.count.elements - changed.1 + changed.2;
                changed
            }
        }
    }

    /// Adds a node; what a branch that became too full has given up, for the right of it.
    fn insert(this: &mut Arc<Self>, number: usize, count: Count, node: Part) -> Option<Part> {
        let branch = Arc::make_mut(this);
        let place = match branch.parts.first() {
            None | Some(Part { link: Link::Node(_), .. }) => {
                branch.parts.insert(number, node);
                number
            }
            Some(_) => {
                let (at, rest) = branch.locate(number, count, |count| count.nodes);
                let part = &mut branch.parts[at];
                let Link::Branch(below) = &mut part.link else {
                    unreachable!("all nodes are at the same depth")
                };
                let added = node.count;
                let right = Self::insert(below, rest, part.count, node);
                part.count.elements += added.elements;
                part.count.nodes += added.nodes;
                let right = right?;
                part.count.elements -= right.count.elements;
                part.count.nodes -= right.count.nodes;
                branch.parts.insert(at + 1, right);
                at + 1
            }
        };
        (branch.parts.len() > FANOUT).then(|| branch.split(place))
    }

    /// Gives up what is right of the middle; of the newest part, if it came at an end.
    fn split(&mut self, newest: usize) -> Part {
        let at = match newest {
            0 => 1,
            last if last == self.parts.len() - 1 => last,
            _ => self.parts.len() / 2,
        };
        let parts = self.parts.split_off(at);
        Part { count: Count::of(&parts), link: Link::Branch(Arc::new(Branch { parts })) }
    }

    /// Takes a node out.
    fn remove(this: &mut Arc<Self>, number: usize, count: Count) -> Part {
        let branch = Arc::make_mut(this);
        let (at, rest) = branch.locate(number, count, |count| count.nodes);
        let part = &mut branch.parts[at];
        let gone = match &mut part.link {
            Link::Node(_) => return branch.parts.remove(at),
            Link::Branch(below) => Self::remove(below, rest, part.count),
        };
        part.count.elements -= gone.count.elements;
        part.count.nodes -= 1;
        if part.count.nodes == 0 {
            branch.parts.remove(at);
        } else {
            branch.join(at);
        }
        gone
    }

    /// Joins a branch with a neighbour, if the two have few parts.
    fn join(&mut self, at: usize) {
        let left = if at + 1 < self.parts.len() { at } else { at.saturating_sub(1) };
        let [Part { link: Link::Branch(one), .. }, Part { link: Link::Branch(other), .. }] =
            &self.parts[left..(left + 2).min(self.parts.len())]
        else {
            return;
        };
        if one.parts.len() + other.parts.len() >= FANOUT / 2 {
            return;
        }
        let other = self.parts.remove(left + 1);
        let one = &mut self.parts[left];
        one.count.elements += other.count.elements;
        one.count.nodes += other.count.nodes;
        if let (Link::Branch(one), Link::Branch(other)) = (&mut one.link, other.link) {
            Arc::make_mut(one).parts.append(&mut Arc::unwrap_or_clone(other).parts);
        }
    }
}

impl Count {
    fn of(parts: &[Part]) -> Self {
        let sum =
            |measure: fn(&Count) -> usize| parts.iter().map(|part| measure(&part.count)).sum();
        Self { elements: sum(|count| count.elements), nodes: sum(|count| count.nodes) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Tree {
        /// Checks the invariants; the elements of each node.
        fn check(&self) -> Vec<usize> {
            fn visit(branch: &Branch, depth: usize, depths: &mut Vec<usize>, out: &mut Vec<usize>) {
                assert!(branch.parts.len() <= FANOUT);
                for part in &branch.parts {
                    match &part.link {
                        Link::Node(node) => {
                            let count = Count { elements: node.elements(), nodes: 1 };
                            assert_eq!(part.count, count);
                            depths.push(depth);
                            out.push(node.elements());
                        }
                        Link::Branch(below) => {
                            assert!(!below.parts.is_empty());
                            assert_eq!(part.count, Count::of(&below.parts));
                            visit(below, depth + 1, depths, out);
                        }
                    }
                }
            }
            let (mut depths, mut out) = (Vec::new(), Vec::new());
            out.extend(self.head.as_ref().map(Node::elements));
            visit(&self.root, 0, &mut depths, &mut out);
            out.extend(self.tail.as_ref().map(Node::elements));
            assert!(depths.windows(2).all(|pair| pair[0] == pair[1]), "one depth for all nodes");
            assert_eq!(self.inner, Count::of(&self.root.parts));
            assert_eq!(self.count, Count { elements: out.iter().sum(), nodes: out.len() });
            assert!(self.tail.is_none() || out.len() > 1);
            out
        }
    }

    fn node(elements: usize) -> Node {
        let mut node = Node::packed(b"0");
        (1..elements).for_each(|i| node.listpack_mut().push_back_i64(i as i64));
        node
    }

    #[derive(Clone, Debug)]
    enum Change {
        Insert(usize, usize),
        Append(usize),
        Prepend(usize),
        Remove(usize),
        RemoveFirst,
        Push(usize),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            3 => (any::<usize>(), 1usize..4).prop_map(|(at, len)| Change::Insert(at, len)),
            3 => (1usize..4).prop_map(Change::Append),
            2 => (1usize..4).prop_map(Change::Prepend),
            2 => any::<usize>().prop_map(Change::Remove),
            1 => Just(Change::RemoveFirst),
            2 => any::<usize>().prop_map(Change::Push),
        ]
    }

    fn apply(change: &Change, tree: &mut Tree, model: &mut Vec<usize>) {
        let nodes = model.len();
        match *change {
            Change::Insert(at, len) => {
                tree.insert(at % (nodes + 1), node(len));
                model.insert(at % (nodes + 1), len);
            }
            Change::Append(len) => {
                tree.insert(nodes, node(len));
                model.push(len);
            }
            Change::Prepend(len) => {
                tree.insert(0, node(len));
                model.insert(0, len);
            }
            Change::Remove(at) if nodes > 0 => {
                tree.remove(at % nodes);
                model.remove(at % nodes);
            }
            Change::RemoveFirst if nodes > 0 => {
                tree.remove(0);
                model.remove(0);
            }
            Change::Push(at) if nodes > 0 => {
                tree.edit(at % nodes, |node| node.listpack_mut().push_back(b"x"));
                model[at % nodes] += 1;
            }
            Change::Remove(_) | Change::RemoveFirst | Change::Push(_) => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn counts_what_lies_below(
            start in 0usize..10_000,
            changes in prop::collection::vec(change(), 0..400),
        ) {
            let (mut tree, mut model) = (Tree::default(), Vec::new());
            for i in 0..start {
                apply(&Change::Append(i % 3 + 1), &mut tree, &mut model);
            }
            let (held, held_model) = (tree.clone(), model.clone());
            for change in &changes {
                apply(change, &mut tree, &mut model);
            }
            prop_assert_eq!(tree.check(), &model[..]);
            prop_assert_eq!(held.check(), held_model);
            let mut index = 0;
            for (number, len) in model.iter().enumerate() {
                prop_assert_eq!(tree.node(number).elements(), *len);
                for offset in 0..*len {
                    prop_assert_eq!(tree.find(index), Place { node: number, offset });
                    index += 1;
                }
            }
            prop_assert_eq!(index, tree.len());
        }

        #[test]
        fn branches_do_not_stay_behind_empty(sizes in prop::collection::vec(1usize..5000, 1..6)) {
            let (mut tree, mut model) = (Tree::default(), Vec::new());
            for size in sizes {
                (0..size).for_each(|_| apply(&Change::Append(1), &mut tree, &mut model));
                for at in 0..size - 1 {
                    apply(&Change::Remove(at * 7919), &mut tree, &mut model);
                }
                prop_assert_eq!(tree.check(), &model[..]);
            }
        }
    }

    #[test]
    fn a_change_copies_the_path_to_one_node() {
        let mut tree = Tree::default();
        (0..5000).for_each(|i| tree.insert(i, node(1)));
        let held = tree.clone();
        tree.edit(2500, |node| node.listpack_mut().push_back(b"x"));
        let same = |number| std::ptr::eq(tree.node(number), held.node(number));
        // The ends are copied with the list.
        assert_eq!((0..5000).filter(|number| !same(*number)).collect::<Vec<_>>(), [0, 2500, 4999]);
        assert_eq!((tree.len(), held.len()), (5001, 5000));
    }
}
