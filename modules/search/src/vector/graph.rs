//! Along which links does a search get near a place without looking at everything?
//!
//! Hierarchical navigable small worlds, invented by Malkov and Yashunin (arXiv:1603.09320). Every vector is a node of the
//! lowest layer, one of M also of the one above, and so on. A search goes greedily down from the top; in the lowest layer
//! it keeps a list of the `ef` best and follows the links of each until none of them leads nearer.
//!
//! What is our own: links go both ways, always. A node that has too many gives up the farthest one that another link
//! makes redundant, and the other end forgets it too. So the links into a node are those out of it, and a removal can
//! take a node out exactly: its neighbours forget it and are linked among each other where a link would have been made.
//! Nothing is ever rebuilt, and no dead nodes are walked over.
//!
//! A filter does not stop the walk: nodes that it leaves out are passed through but not kept, so a list fills up the
//! later the rarer the wanted ones are; below some rarity the store looks at these alone instead.
//!
//! Nodes lie in blocks that are shared with readers and copied when one is written to.

mod codec;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::vector::GraphOptions;
use crate::vector::heap::{Near, Nearest};
use crate::vector::store::Clock;

/// Nodes of a block.
const NODES: usize = 64;
/// Layers above the lowest; with the fewest links, 2, a node of the last one comes once in 2^24.
const LAYERS_MAX: usize = 24;

/// Links between slots.
#[derive(Debug, Clone)]
pub struct Graph {
    options: GraphOptions,
    blocks: Arc<Vec<Arc<Block>>>,
    /// Where searches begin: a node of the highest layer that has any.
    entry: Option<u32>,
    /// How many nodes were ever put in; decides the layer of the next one.
    inserted: u64,
}

#[derive(Debug, Clone)]
struct Block {
    /// Which nodes there are.
    present: u64,
    counts: [u16; NODES],
    /// Links of the lowest layer, with room for one too many.
    low: Vec<u32>,
    /// Links of the layers above, by node and layer.
    high: Vec<Box<[Vec<u32>]>>,
}

/// Slots that a walk has come by.
struct Visited(Vec<u64>);

impl Visited {
    fn new(slots: usize) -> Visited {
        Visited(vec![0; slots.div_ceil(64)])
    }

    /// Answers whether it is the first time.
    fn insert(&mut self, slot: u32) -> bool {
        let (word, bit) = (&mut self.0[slot as usize / 64], 1u64 << (slot % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

impl Graph {
    /// No nodes.
    pub fn new(options: GraphOptions) -> Graph {
        Graph { options, blocks: Arc::default(), entry: None, inserted: 0 }
    }

    /// Links that a node may have.
    fn capacity(&self, layer: usize) -> usize {
        if layer == 0 { self.links() * 2 } else { self.links() }
    }

    /// With a single link there would be chains, not a web.
    fn links(&self) -> usize {
        self.options.links.max(2)
    }

    fn slots(&self) -> usize {
        self.blocks.len() * NODES
    }

    fn links_of(&self, slot: u32, layer: usize) -> &[u32] {
        let (block, at) = (&self.blocks[slot as usize / NODES], slot as usize % NODES);
        if layer > 0 {
            return block.high[at].get(layer - 1).map_or(&[], Vec::as_slice);
        }
        let start = at * (self.capacity(0) + 1);
        &block.low[start..start + block.counts[at] as usize]
    }

    /// The highest layer of a node.
    fn height(&self, slot: u32) -> usize {
        self.blocks[slot as usize / NODES].high[slot as usize % NODES].len()
    }

    fn block_mut(&mut self, slot: u32) -> &mut Block {
        let stride = self.capacity(0) + 1;
        let blocks = Arc::make_mut(&mut self.blocks);
        while blocks.len() <= slot as usize / NODES {
            blocks.push(Arc::new(Block {
                present: 0,
                counts: [0; NODES],
                low: vec![0; NODES * stride],
                high: vec![Box::default(); NODES],
            }));
        }
        Arc::make_mut(&mut blocks[slot as usize / NODES])
    }

    fn push_link(&mut self, from: u32, to: u32, layer: usize) {
        let stride = self.capacity(0) + 1;
        let (block, at) = (self.block_mut(from), from as usize % NODES);
        if layer > 0 {
            block.high[at][layer - 1].push(to);
        } else {
            block.low[at * stride + block.counts[at] as usize] = to;
            block.counts[at] += 1;
        }
    }

    fn forget_link(&mut self, from: u32, to: u32, layer: usize) {
        let links = self.links_of(from, layer);
        let Some(place) = links.iter().position(|link| *link == to) else { return };
        let last = links.len() - 1;
        let stride = self.capacity(0) + 1;
        let (block, at) = (self.block_mut(from), from as usize % NODES);
        if layer > 0 {
            block.high[at][layer - 1].swap_remove(place);
        } else {
            block.low[at * stride + place] = block.low[at * stride + last];
            block.counts[at] -= 1;
        }
    }

    /// Links two nodes, and drops a link of each that has too many then.
    fn connect(&mut self, a: u32, b: u32, layer: usize, distance: &impl Fn(u32, u32) -> f64) {
        if a == b || self.links_of(a, layer).contains(&b) {
            return;
        }
        self.push_link(a, b, layer);
        self.push_link(b, a, layer);
        for node in [a, b] {
            if self.links_of(node, layer).len() > self.capacity(layer) {
                let victim = self.redundant(node, layer, distance);
                self.forget_link(node, victim, layer);
                self.forget_link(victim, node, layer);
            }
        }
    }

    /// Of a node's links the one that is missed least: the farthest that lies nearer to another linked node than to
    /// this one and would not be left with hardly any link; else the farthest.
    fn redundant(&self, node: u32, layer: usize, distance: &impl Fn(u32, u32) -> f64) -> u32 {
        let links = self.links_of(node, layer).iter();
        let mut links: Vec<Near> =
            links.map(|link| Near { distance: distance(node, *link), id: *link }).collect();
        links.sort_unstable_by(|a, b| b.cmp(a));
        let few = self.links() / 4 + 1;
        let found = links.iter().enumerate().find(|(at, link)| {
            self.links_of(link.id, layer).len() > few
                && links[at + 1..].iter().any(|near| distance(near.id, link.id) < link.distance)
        });
        found.map_or(links[0].id, |(_, link)| link.id)
    }

    /// Puts in a node. `distance` is asked for slots.
    pub fn insert(&mut self, slot: u32, distance: &impl Fn(u32, u32) -> f64) {
        let height = self.draw_height();
        let at = slot as usize % NODES;
        let block = self.block_mut(slot);
        block.present |= 1 << at;
        block.counts[at] = 0;
        block.high[at] = vec![Vec::new(); height].into();
        let Some(entry) = self.entry else {
            self.entry = Some(slot);
            return;
        };
        let to_new = |other: u32| distance(slot, other);
        let top = self.height(entry);
        let mut nearest = Near { distance: to_new(entry), id: entry };
        for layer in (height + 1..=top).rev() {
            nearest = self.descend(nearest, layer, &to_new);
        }
        let mut entries = vec![nearest];
        for layer in (0..=height.min(top)).rev() {
            let ef = self.options.ef_construction.max(self.links());
            let walk = Walk { ef, layer, accept: &|other| other != slot };
            entries = self.walk(&entries, &walk, &to_new, &mut Clock::never());
            for near in self.choose(&entries, distance) {
                self.connect(slot, near, layer, distance);
            }
        }
        if height > top {
            self.entry = Some(slot);
        }
    }

    /// A layer as if by dice: from an even sequence of numbers, so that the same insertions make the same graph.
    fn draw_height(&mut self) -> usize {
        self.inserted += 1;
        let mut bits = self.inserted.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let unit = ((bits >> 11) as f64 + 1.0) / 2f64.powi(53);
        let height = -unit.ln() / (self.links() as f64).ln();
        (height as usize).min(LAYERS_MAX)
    }

    /// Those to be linked, out of candidates with the nearest first: each that is nearer to the new node than to those
    /// taken before it, so that links go out in all directions; then the nearest of the rest.
    fn choose(&self, candidates: &[Near], distance: &impl Fn(u32, u32) -> f64) -> Vec<u32> {
        let mut chosen: Vec<u32> = Vec::with_capacity(self.links());
        let mut left = Vec::new();
        for near in candidates {
            if chosen.len() == self.links() {
                return chosen;
            }
            if chosen.iter().all(|taken| distance(*taken, near.id) > near.distance) {
                chosen.push(near.id);
            } else {
                left.push(near.id);
            }
        }
        let room = self.links() - chosen.len();
        chosen.extend(left.into_iter().take(room));
        chosen
    }

    /// Goes to the nearest node of a layer, from link to link.
    fn descend(&self, from: Near, layer: usize, distance: &impl Fn(u32) -> f64) -> Near {
        let mut nearest = from;
        loop {
            let links = self.links_of(nearest.id, layer).iter();
            let nears = links.map(|link| Near { distance: distance(*link), id: *link });
            match nears.min() {
                Some(near) if near < nearest => nearest = near,
                _ => return nearest,
            }
        }
    }

    /// The nodes near a place, the nearest first.
    pub fn nearest(
        &self,
        ef: usize,
        distance: &impl Fn(u32) -> f64,
        accept: &dyn Fn(u32) -> bool,
        clock: &mut Clock<'_>,
    ) -> Vec<Near> {
        let Some(start) = self.start(distance) else { return Vec::new() };
        self.walk(&[start], &Walk { ef, layer: 0, accept }, distance, clock)
    }

    /// Where a walk in the lowest layer begins.
    fn start(&self, distance: &impl Fn(u32) -> f64) -> Option<Near> {
        let entry = self.entry?;
        let mut nearest = Near { distance: distance(entry), id: entry };
        for layer in (1..=self.height(entry)).rev() {
            nearest = self.descend(nearest, layer, distance);
        }
        Some(nearest)
    }

    fn walk(
        &self,
        from: &[Near],
        walk: &Walk<'_>,
        distance: &impl Fn(u32) -> f64,
        clock: &mut Clock<'_>,
    ) -> Vec<Near> {
        let mut visited = Visited::new(self.slots());
        let mut best = Nearest::new(walk.ef);
        let mut ahead: BinaryHeap<Reverse<Near>> = BinaryHeap::new();
        for near in from {
            if visited.insert(near.id) {
                ahead.push(Reverse(*near));
                if (walk.accept)(near.id) {
                    best.offer(*near);
                }
            }
        }
        while let Some(Reverse(here)) = ahead.pop() {
            if best.limit().is_some_and(|limit| here.distance > limit.distance) {
                break;
            }
            let links = self.links_of(here.id, walk.layer);
            for link in links {
                if !visited.insert(*link) {
                    continue;
                }
                let near = Near { distance: distance(*link), id: *link };
                if best.limit().is_none_or(|limit| near < limit) {
                    ahead.push(Reverse(near));
                    if (walk.accept)(*link) {
                        best.offer(near);
                    }
                }
            }
            if clock.is_over(links.len()) {
                break;
            }
        }
        best.sorted()
    }

    /// The nodes within a distance of a place. The walk goes on while it finds ones within it, or a little farther.
    pub fn within(
        &self,
        radius: f64,
        epsilon: f64,
        distance: &impl Fn(u32) -> f64,
        clock: &mut Clock<'_>,
    ) -> Vec<Near> {
        let Some(start) = self.start(distance) else { return Vec::new() };
        let walk = Walk { ef: self.options.ef_runtime, layer: 0, accept: &|_| true };
        let seeds = self.walk(&[start], &walk, distance, clock);
        let mut visited = Visited::new(self.slots());
        let mut found = Vec::new();
        let mut ahead: BinaryHeap<Reverse<Near>> = BinaryHeap::new();
        for near in seeds {
            visited.insert(near.id);
            ahead.push(Reverse(near));
        }
        while let Some(Reverse(here)) = ahead.pop() {
            if here.distance > radius * (1.0 + epsilon) {
                break;
            }
            if here.distance <= radius {
                found.push(here);
            }
            let links = self.links_of(here.id, 0);
            for link in links.iter().filter(|link| visited.insert(**link)) {
                ahead.push(Reverse(Near { distance: distance(*link), id: *link }));
            }
            if clock.is_over(links.len()) {
                break;
            }
        }
        found
    }

    /// Takes out a node. Its neighbours are linked among each other as far as they have room.
    pub fn remove(&mut self, slot: u32, distance: &impl Fn(u32, u32) -> f64) {
        let height = self.height(slot);
        for layer in 0..=height {
            let orphans = self.links_of(slot, layer).to_vec();
            for orphan in &orphans {
                self.forget_link(*orphan, slot, layer);
            }
            for orphan in &orphans {
                self.mend(*orphan, &orphans, layer, distance);
            }
        }
        let at = slot as usize % NODES;
        let block = self.block_mut(slot);
        block.present &= !(1 << at);
        block.counts[at] = 0;
        block.high[at] = Box::default();
        if self.entry == Some(slot) {
            self.entry = self.highest();
        }
    }

    /// Links a node to others that lost the same neighbour: at most two that no link of it makes redundant, and the
    /// nearest in any case if it has none left.
    fn mend(
        &mut self,
        node: u32,
        others: &[u32],
        layer: usize,
        distance: &impl Fn(u32, u32) -> f64,
    ) {
        let others = others.iter().filter(|other| **other != node);
        let mut others: Vec<Near> =
            others.map(|other| Near { distance: distance(node, *other), id: *other }).collect();
        others.sort_unstable();
        let mut made = 0;
        for near in others {
            let links = self.links_of(node, layer);
            if links.contains(&near.id) {
                continue;
            }
            if links.len() >= self.capacity(layer) || made == 2 {
                return;
            }
            if links.iter().all(|link| distance(*link, near.id) > near.distance) {
                self.connect(node, near.id, layer, distance);
                made += 1;
            }
        }
    }

    /// A node of the highest layer that has any.
    fn highest(&self) -> Option<u32> {
        let nodes = self.blocks.iter().zip(0u32..).flat_map(|(block, number)| {
            let present = (0..NODES).filter(|at| block.present >> at & 1 == 1);
            present.map(move |at| (block.high[at].len(), number * NODES as u32 + at as u32))
        });
        nodes.max_by_key(|(height, slot)| (*height, Reverse(*slot))).map(|(_, slot)| slot)
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        let block = |block: &Arc<Block>| {
            let high = block.high.iter().flat_map(|layers| layers.iter());
            size_of::<Block>()
                + block.low.capacity() * 4
                + NODES * size_of::<Box<[Vec<u32>]>>()
                + high.map(|links| links.capacity() * 4 + size_of::<Vec<u32>>()).sum::<usize>()
        };
        self.blocks.iter().map(block).sum()
    }
}

/// How a walk through a layer is done.
struct Walk<'a> {
    /// How many are kept.
    ef: usize,
    layer: usize,
    /// Which are kept.
    accept: &'a dyn Fn(u32) -> bool,
}

#[cfg(test)]
impl Graph {
    /// That links go both ways, to nodes that there are, and are not too many.
    pub fn check(&self) {
        let present = |slot: u32| {
            self.blocks[slot as usize / NODES].present >> (slot as usize % NODES) & 1 == 1
        };
        for slot in 0..self.slots() as u32 {
            assert!(present(slot) || self.height(slot) == 0 && self.links_of(slot, 0).is_empty());
            for layer in 0..=self.height(slot) {
                let links = self.links_of(slot, layer);
                assert!(links.len() <= self.capacity(layer));
                for (at, link) in links.iter().enumerate() {
                    assert!(present(*link) && *link != slot && !links[at + 1..].contains(link));
                    assert!(self.links_of(*link, layer).contains(&slot), "a link goes one way");
                }
            }
        }
        assert_eq!(
            self.entry.map(|slot| self.height(slot)),
            self.highest().map(|slot| self.height(slot))
        );
    }
}
