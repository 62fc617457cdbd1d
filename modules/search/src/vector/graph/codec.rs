//! How does a graph become bytes, and bytes a graph?
//!
//! What is read is checked for what walks and changes rely on: links lead to nodes that there are, in layers that these
//! have, and no node has too many.

use std::io;
use std::sync::Arc;

use super::{Block, Graph, LAYERS_MAX, NODES};
use crate::storage::codec::{Broken, Decoder, Encoder, ensure};
use crate::vector::GraphOptions;

/// The entry of a graph without nodes.
const NOWHERE: u32 = u32::MAX;

impl Graph {
    /// Writes the graph.
    pub fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let stride = self.capacity(0) + 1;
        out.number(self.inserted)?;
        out.number(self.entry.unwrap_or(NOWHERE))?;
        out.length(self.blocks.len())?;
        for block in self.blocks.iter() {
            out.number(block.present)?;
            out.elements(&block.counts)?;
            for (links, count) in block.low.chunks_exact(stride).zip(block.counts) {
                out.elements(&links[..count as usize])?;
            }
            for layers in &block.high {
                out.number(layers.len() as u8)?;
                layers.iter().try_for_each(|links| out.list(links))?;
            }
        }
        Ok(())
    }

    /// Reads a graph of slots below `slots`.
    pub fn decode(
        bytes: &mut Decoder<'_>,
        options: GraphOptions,
        slots: u32,
    ) -> Result<Graph, Broken> {
        let mut graph = Graph::new(options);
        graph.inserted = bytes.number()?;
        let entry = bytes.number::<u32>()?;
        let count = bytes.length(8 + 2 * NODES + NODES)?;
        ensure(count == (slots as usize).div_ceil(NODES), "the graph is of another size")?;
        let blocks = (0..count).map(|_| graph.decode_block(bytes).map(Arc::new));
        graph.blocks = Arc::new(blocks.collect::<Result<_, _>>()?);
        graph.entry = (entry != NOWHERE).then_some(entry);
        let nodes: u32 = graph.blocks.iter().map(|block| block.present.count_ones()).sum();
        ensure(graph.entry.is_some() == (nodes > 0), "a graph has no entry")?;
        ensure(graph.entry.is_none_or(|entry| graph.has(entry)), "the entry is no node")?;
        graph.check_links()?;
        Ok(graph)
    }

    fn decode_block(&self, bytes: &mut Decoder<'_>) -> Result<Block, Broken> {
        let stride = self.capacity(0) + 1;
        let present: u64 = bytes.number()?;
        let counts: Vec<u16> = bytes.elements(NODES)?;
        let counts: [u16; NODES] = counts.try_into().map_err(|_| Broken("a block is short"))?;
        let mut low = vec![0; NODES * stride];
        for (links, count) in low.chunks_exact_mut(stride).zip(counts) {
            let count = usize::from(count);
            ensure(count < stride, "a node has too many links")?;
            links[..count].copy_from_slice(&bytes.elements::<u32>(count)?);
        }
        let mut high: Vec<Box<[Vec<u32>]>> = Vec::with_capacity(NODES);
        for (at, links) in counts.iter().enumerate() {
            let layers = usize::from(bytes.number::<u8>()?);
            ensure(layers <= LAYERS_MAX, "a node has too many layers")?;
            let is_there = present >> at & 1 == 1;
            ensure(is_there || layers == 0 && *links == 0, "what is no node has links")?;
            let layers = (0..layers).map(|_| {
                let links: Vec<u32> = bytes.list()?;
                ensure(links.len() <= self.capacity(1), "a node has too many links")?;
                Ok(links)
            });
            high.push(layers.collect::<Result<_, Broken>>()?);
        }
        Ok(Block { present, counts, low, high })
    }

    /// Refuses links that lead nowhere, come twice, or go one way. For the last, each link is a number that the one back takes
    /// away again: looking for it there would be as much work as reading the graph.
    fn check_links(&self) -> Result<(), Broken> {
        let mut balance = 0u64;
        for slot in (0..self.slots() as u32).filter(|slot| self.has(*slot)) {
            for layer in 0..=self.height(slot) {
                let links = self.links_of(slot, layer);
                for (at, link) in links.iter().enumerate() {
                    let good = *link != slot && self.has(*link) && self.height(*link) >= layer;
                    ensure(good && !links[..at].contains(link), "a link leads nowhere")?;
                    let number = number_of(slot.min(*link), slot.max(*link), layer);
                    balance = match slot < *link {
                        true => balance.wrapping_add(number),
                        false => balance.wrapping_sub(number),
                    };
                }
            }
        }
        ensure(balance == 0, "a link goes one way")
    }

    /// Whether there is a node for a slot.
    pub fn has(&self, slot: u32) -> bool {
        let block = self.blocks.get(slot as usize / NODES);
        block.is_some_and(|block| block.present >> (slot as usize % NODES) & 1 == 1)
    }
}

/// A number for a pair of nodes in a layer, spread as if by dice.
fn number_of(low: u32, high: u32, layer: usize) -> u64 {
    let mut bits = u64::from(low) << 32 | u64::from(high);
    bits = (bits ^ (layer as u64) << 58).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
