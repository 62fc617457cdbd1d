//! How do the vectors of a field become a file, and a file these?
//!
//! As they lie in memory, graph included: building it anew takes hundreds of comparisons a vector. What is read is checked
//! as a whole, so that no bytes whatsoever make a later search or change panic.

use std::io;
use std::sync::Arc;

use super::{Block, FREE, Slots, Store, Typed, Vectors};
use crate::storage::VERSION;
use crate::storage::codec::{Broken, Decoder, Encoder, ensure};
use crate::vector::element::{Brain, Element, Half};
use crate::vector::graph::Graph;
use crate::vector::{ElementType, Options};

/// The first bytes of a file.
const MAGIC: &[u8; 8] = b"MFTvectr";

impl Store {
    /// Writes the vectors.
    pub fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.raw(MAGIC)?;
        out.number(VERSION)?;
        out.length(self.options.dimensions)?;
        self.vectors.encode(out)
    }

    /// Reads the vectors of a field.
    pub fn decode(bytes: &[u8], options: Arc<Options>) -> Result<Store, Broken> {
        let mut bytes = Decoder::new(bytes);
        ensure(bytes.raw(MAGIC.len())? == MAGIC, "these are no vectors")?;
        ensure(bytes.number::<u32>()? == VERSION, "they are of another version")?;
        let dimensions = bytes.number::<u64>()?;
        ensure(dimensions == options.dimensions as u64, "vectors of another length")?;
        let vectors: Box<dyn Vectors> = match options.element {
            ElementType::Float32 => Box::new(Typed::<f32>::decode(&mut bytes, &options)?),
            ElementType::Float64 => Box::new(Typed::<f64>::decode(&mut bytes, &options)?),
            ElementType::Float16 => Box::new(Typed::<Half>::decode(&mut bytes, &options)?),
            ElementType::BFloat16 => Box::new(Typed::<Brain>::decode(&mut bytes, &options)?),
            ElementType::Int8 => Box::new(Typed::<i8>::decode(&mut bytes, &options)?),
            ElementType::Uint8 => Box::new(Typed::<u8>::decode(&mut bytes, &options)?),
        };
        bytes.end()?;
        Ok(Store { options, vectors, uid: None })
    }

    /// The document whose vector lies in a slot, if there is one.
    pub fn number_of(&self, slot: u32) -> Option<u32> {
        self.vectors.number_of(slot)
    }
}

impl<E: Element> Typed<E> {
    pub(super) fn encode_all(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.number(self.count)?;
        out.number(self.last)?;
        out.number(u8::from(self.multiple))?;
        out.list(&self.free)?;
        for block in self.slots.blocks.iter() {
            out.elements(&block.numbers)?;
            out.elements(&block.norms)?;
            out.elements(&block.elements)?;
        }
        self.graph.as_ref().map_or(Ok(()), |graph| graph.encode(out))
    }

    fn decode(bytes: &mut Decoder<'_>, options: &Options) -> Result<Typed<E>, Broken> {
        let mut store = Typed::<E>::new(options);
        store.count = bytes.number()?;
        store.last = bytes.number()?;
        store.multiple = bytes.number::<u8>()? != 0;
        let mut free: Vec<u32> = bytes.list()?;
        store.slots.decode(bytes, store.count)?;
        let slots = &store.slots;
        let unused: Vec<u32> =
            (0..store.count).filter(|slot| slots.number(*slot) == FREE).collect();
        let order = free.clone();
        free.sort_unstable();
        ensure(free == unused, "the free slots are not those that are unused")?;
        store.free = Arc::new(order);
        if let Some(options) = options.graph() {
            let graph = Graph::decode(bytes, *options, store.count)?;
            let same = |slot| graph.has(slot) == (slots.number(slot) != FREE);
            ensure((0..store.count).all(same), "the graph is of other vectors")?;
            store.graph = Some(graph);
        }
        Ok(store)
    }
}

impl<E: Element> Slots<E> {
    fn decode(&mut self, bytes: &mut Decoder<'_>, count: u32) -> Result<(), Broken> {
        let mut left = count as usize;
        let mut blocks = Vec::new();
        while left > 0 {
            let length = left.min(self.per_block);
            let numbers = bytes.elements(length)?;
            let norms = bytes.elements(if self.keeps_norms() { length } else { 0 })?;
            let size = length.checked_mul(self.dimensions).ok_or(Broken("too many numbers"))?;
            blocks.push(Arc::new(Block { numbers, norms, elements: bytes.elements(size)? }));
            left -= length;
        }
        self.blocks = Arc::new(blocks);
        Ok(())
    }
}
