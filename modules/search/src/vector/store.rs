//! Where do the vectors of a field lie, and which of them are near?
//!
//! In blocks of slots, typed by their numbers; the rest of the module sees a [`Store`], whose questions and answers are
//! bytes and document numbers. Slots of removed vectors are used again. A document may have several vectors: the nearest
//! counts.

mod codec;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::index::bits::Bits;
use crate::index::deadline::Deadline;
use crate::storage::Uid;
use crate::storage::codec::Encoder;
use crate::vector::element::{Brain, Element, Half};
use crate::vector::graph::Graph;
use crate::vector::heap::{Near, Nearest};
use crate::vector::{ElementType, Metric, Options};

/// Bytes of vectors that a block has at most, unless a single one has more.
const BLOCK_BYTES: usize = 64 << 10;
/// Vectors of a block, at most.
const BLOCK_SLOTS: usize = 1024;
/// The number of a slot that is free.
const FREE: u32 = u32::MAX;
/// Numbers of vectors that are read between two looks at the clock.
const CLOCK_NUMBERS: usize = 1 << 16;
/// Numbers that are compared in some nanoseconds.
const NUMBERS_PER_STEP: u64 = 32;

/// Ends a search that takes too long.
pub struct Clock<'a> {
    deadline: Option<&'a mut Deadline>,
    /// Numbers of one vector.
    dimensions: usize,
    read: usize,
}

impl<'a> Clock<'a> {
    /// One that never ends anything.
    pub fn never() -> Clock<'static> {
        Clock { deadline: None, dimensions: 1, read: 0 }
    }

    /// One that ends what passes a deadline.
    pub fn new(deadline: &'a mut Deadline) -> Clock<'a> {
        Clock { deadline: Some(deadline), dimensions: 1, read: 0 }
    }

    /// Counts some vectors that were read; answers whether it is time to stop.
    #[inline]
    pub fn is_over(&mut self, vectors: usize) -> bool {
        self.read += vectors * self.dimensions;
        if self.read >= CLOCK_NUMBERS {
            self.read = 0;
            return self.deadline.as_mut().is_some_and(|deadline| deadline.long_step());
        }
        self.has_ended()
    }

    /// Whether it ended something.
    pub fn has_ended(&self) -> bool {
        self.deadline.as_ref().is_some_and(|deadline| deadline.passed())
    }
}

/// What is asked for the nearest vectors.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The vector that they shall be near to.
    pub vector: &'a [u8],
    /// How many documents.
    pub k: usize,
    /// Candidates that a walk keeps, if not the field's.
    pub ef: Option<usize>,
    /// Only these slots.
    pub slots: Option<&'a Bits>,
}

/// Vectors of one field.
#[derive(Debug)]
pub struct Store {
    options: Arc<Options>,
    vectors: Box<dyn Vectors>,
    /// Its name on disk, until something changes.
    uid: Option<Uid>,
}

impl Clone for Store {
    fn clone(&self) -> Store {
        let (options, uid) = (Arc::clone(&self.options), self.uid);
        Store { options, vectors: self.vectors.copy(), uid }
    }
}

impl Store {
    /// No vectors.
    pub fn new(options: Arc<Options>) -> Store {
        let vectors: Box<dyn Vectors> = match options.element {
            ElementType::Float32 => Box::new(Typed::<f32>::new(&options)),
            ElementType::Float64 => Box::new(Typed::<f64>::new(&options)),
            ElementType::Float16 => Box::new(Typed::<Half>::new(&options)),
            ElementType::BFloat16 => Box::new(Typed::<Brain>::new(&options)),
            ElementType::Int8 => Box::new(Typed::<i8>::new(&options)),
            ElementType::Uint8 => Box::new(Typed::<u8>::new(&options)),
        };
        Store { options, vectors, uid: None }
    }

    /// The field's definition.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Takes in a vector of a document, of the right length; gives its slot. All of a document's vectors are put in
    /// one after the other.
    pub fn insert(&mut self, number: u32, vector: &[u8]) -> u32 {
        assert_eq!(vector.len(), self.options.blob_bytes(), "lengths are checked on the way in");
        self.uid = None;
        self.vectors.insert(number, vector)
    }

    /// Frees a slot.
    pub fn remove(&mut self, slot: u32) {
        self.uid = None;
        self.vectors.remove(slot);
    }

    /// The documents with the nearest vectors, the nearest first, and how far they are.
    pub fn nearest(&self, wanted: &Wanted<'_>, clock: &mut Clock<'_>) -> Vec<(u32, f64)> {
        assert_eq!(wanted.vector.len(), self.options.blob_bytes(), "lengths are checked before");
        clock.dimensions = self.options.dimensions;
        self.vectors.nearest(wanted, clock)
    }

    /// The documents with a vector within `radius`, in no order, and how far they are.
    pub fn within(
        &self,
        vector: &[u8],
        radius: f64,
        epsilon: Option<f64>,
        clock: &mut Clock<'_>,
    ) -> Vec<(u32, f64)> {
        assert_eq!(vector.len(), self.options.blob_bytes(), "lengths are checked before");
        clock.dimensions = self.options.dimensions;
        self.vectors.within(vector, radius, epsilon, clock)
    }

    /// About how many steps of some nanoseconds a search takes: for so many candidates, or within a distance.
    pub fn cost(&self, candidates: Option<usize>) -> u64 {
        let all = self.len();
        let vectors = match (self.options.graph(), candidates) {
            (Some(graph), Some(candidates)) => {
                candidates.max(graph.ef_runtime).saturating_mul(graph.links).min(all)
            }
            (Some(_), None) => all / 8,
            (None, _) => all,
        };
        (vectors as u64).saturating_mul(self.options.dimensions as u64 / NUMBERS_PER_STEP + 1)
    }

    /// Gives documents other numbers.
    pub fn renumber(&mut self, map: &dyn Fn(u32) -> u32) {
        self.uid = None;
        self.vectors.renumber(map);
    }

    /// Its name on disk: stores of one name are the same. None if it has changed since it was given one.
    pub fn uid(&self) -> Option<Uid> {
        self.uid
    }

    /// Gives it a name on disk.
    pub fn set_uid(&mut self, uid: Uid) {
        self.uid = Some(uid);
    }

    /// How many vectors there are.
    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        self.vectors.memory()
    }
}

/// What a store is asked, without the type of its numbers.
trait Vectors: std::fmt::Debug + Send + Sync {
    fn insert(&mut self, number: u32, vector: &[u8]) -> u32;
    fn remove(&mut self, slot: u32);
    fn nearest(&self, wanted: &Wanted<'_>, clock: &mut Clock<'_>) -> Vec<(u32, f64)>;
    fn within(
        &self,
        vector: &[u8],
        radius: f64,
        epsilon: Option<f64>,
        clock: &mut Clock<'_>,
    ) -> Vec<(u32, f64)>;
    fn renumber(&mut self, map: &dyn Fn(u32) -> u32);
    fn len(&self) -> usize;
    fn memory(&self) -> usize;
    fn copy(&self) -> Box<dyn Vectors>;
    fn number_of(&self, slot: u32) -> Option<u32>;
    fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()>;
    #[cfg(test)]
    fn check(&self);
}

/// Vectors in slots.
#[derive(Debug, Clone)]
struct Slots<E> {
    dimensions: usize,
    metric: Metric,
    /// Slots of a block: a power of two.
    per_block: usize,
    blocks: Arc<Vec<Arc<Block<E>>>>,
}

#[derive(Debug, Clone, Default)]
struct Block<E> {
    /// The document of each slot, or [`FREE`].
    numbers: Vec<u32>,
    /// Lengths of the vectors, if COSINE needs them.
    norms: Vec<f32>,
    elements: Vec<E>,
}

/// A vector, ready to be compared.
struct Query<E> {
    elements: Vec<E>,
    norm: f32,
}

impl<E: Element> Slots<E> {
    fn new(options: &Options) -> Slots<E> {
        let bytes = options.dimensions * size_of::<E>();
        let fit = (BLOCK_BYTES / bytes).clamp(1, BLOCK_SLOTS);
        let per_block = 1 << fit.ilog2();
        let (dimensions, metric) = (options.dimensions, options.metric);
        Slots { dimensions, metric, per_block, blocks: Arc::default() }
    }

    fn keeps_norms(&self) -> bool {
        self.metric == Metric::Cosine && !E::NORMALIZES
    }

    /// Reads a vector; for COSINE it gets the length one, where its type can hold that.
    fn read(&self, blob: &[u8]) -> Query<E> {
        let mut elements: Vec<E> = blob.chunks_exact(E::BYTES).map(E::read).collect();
        if self.metric != Metric::Cosine {
            return Query { elements, norm: 1.0 };
        }
        let norm = elements.iter().map(|element| element.wide().powi(2)).sum::<f64>().sqrt();
        if E::NORMALIZES && norm > 0.0 {
            elements.iter_mut().for_each(|element| *element = E::narrow(element.wide() / norm));
        }
        Query { elements, norm: norm as f32 }
    }

    fn place(&self, slot: u32) -> (&Block<E>, usize) {
        let slot = slot as usize;
        (&self.blocks[slot / self.per_block], slot % self.per_block)
    }

    fn number(&self, slot: u32) -> u32 {
        let (block, at) = self.place(slot);
        block.numbers[at]
    }

    fn elements(&self, slot: u32) -> &[E] {
        let (block, at) = self.place(slot);
        &block.elements[at * self.dimensions..(at + 1) * self.dimensions]
    }

    fn norm(&self, slot: u32) -> f32 {
        let (block, at) = self.place(slot);
        block.norms.get(at).copied().unwrap_or(1.0)
    }

    fn between(&self, a: u32, b: u32) -> f64 {
        self.compare(self.elements(a), self.elements(b), self.norm(a), self.norm(b))
    }

    fn to_query(&self, query: &Query<E>, slot: u32) -> f64 {
        self.compare(&query.elements, self.elements(slot), query.norm, self.norm(slot))
    }

    #[inline]
    fn compare(&self, a: &[E], b: &[E], norm_a: f32, norm_b: f32) -> f64 {
        match self.metric {
            Metric::L2 => E::squared_distance(a, b),
            // As RediSearch does it: in the precision of the vectors.
            Metric::InnerProduct => one_less::<E>(E::dot(a, b)),
            Metric::Cosine if E::NORMALIZES => one_less::<E>(E::dot(a, b)),
            Metric::Cosine => {
                let norms = f64::from(norm_a) * f64::from(norm_b);
                let cosine = if norms > 0.0 { E::dot(a, b) / norms } else { 0.0 };
                f64::from(1.0 - cosine as f32)
            }
        }
    }

    /// Puts a vector into a slot: a free one, or the next behind the last.
    fn put(&mut self, slot: u32, number: u32, vector: &Query<E>) {
        let (keeps_norms, per_block) = (self.keeps_norms(), self.per_block);
        let (dimensions, slot) = (self.dimensions, slot as usize);
        let blocks = Arc::make_mut(&mut self.blocks);
        if blocks.len() == slot / per_block {
            blocks.push(Arc::default());
        }
        let (block, at) = (Arc::make_mut(&mut blocks[slot / per_block]), slot % per_block);
        if at == block.numbers.len() {
            if block.elements.len() == block.elements.capacity() {
                // Doubling, but never beyond what the block will hold.
                block.elements.reserve_exact(at.max(1).min(per_block - at) * dimensions);
            }
            block.numbers.push(number);
            block.elements.extend_from_slice(&vector.elements);
            if keeps_norms {
                block.norms.push(vector.norm);
            }
        } else {
            block.numbers[at] = number;
            block.elements[at * dimensions..(at + 1) * dimensions]
                .copy_from_slice(&vector.elements);
            if keeps_norms {
                block.norms[at] = vector.norm;
            }
        }
    }

    fn set_number(&mut self, slot: u32, number: u32) {
        let slot = slot as usize;
        let blocks = Arc::make_mut(&mut self.blocks);
        Arc::make_mut(&mut blocks[slot / self.per_block]).numbers[slot % self.per_block] = number;
    }

    fn memory(&self) -> usize {
        let block = |block: &Arc<Block<E>>| {
            size_of::<Block<E>>()
                + (block.numbers.capacity() + block.norms.capacity()) * 4
                + block.elements.capacity() * size_of::<E>()
        };
        self.blocks.iter().map(block).sum()
    }
}

/// `1 - dot`, with the digits that single precision has unless the vectors have more.
fn one_less<E: Element>(dot: f64) -> f64 {
    match E::BYTES {
        8 => 1.0 - dot,
        1 => 1.0 - dot,
        _ => f64::from(1.0 - dot as f32),
    }
}

/// A store of vectors of one type of number.
#[derive(Debug, Clone)]
struct Typed<E> {
    slots: Slots<E>,
    graph: Option<Graph>,
    ef: usize,
    epsilon: f64,
    links: usize,
    /// Slots that have been removed from.
    free: Arc<Vec<u32>>,
    /// Slots, free ones included.
    count: u32,
    /// The document that was last put in.
    last: u32,
    /// Some document has several vectors.
    multiple: bool,
}

impl<E: Element> Typed<E> {
    fn new(options: &Options) -> Typed<E> {
        let graph = options.graph();
        Typed {
            slots: Slots::new(options),
            graph: graph.map(|options| Graph::new(*options)),
            ef: graph.map_or(0, |options| options.ef_runtime),
            epsilon: graph.map_or(0.0, |options| options.epsilon),
            links: graph.map_or(0, |options| options.links),
            free: Arc::default(),
            count: 0,
            last: FREE,
            multiple: false,
        }
    }

    fn alive(&self) -> usize {
        self.count as usize - self.free.len()
    }

    /// Whether walking the graph would look at more vectors than there are to look at. About `ef` steps lead to wanted
    /// ones, each past as many links as a node has; if only one of n is wanted, n times as many.
    fn scans(&self, ef: usize, wanted: usize) -> bool {
        let (ef, wanted, all) = (ef as f64, wanted as f64, self.alive() as f64);
        wanted * wanted <= ef * self.links as f64 * all
    }

    /// Looks at slots one by one.
    fn scan(&self, slots: Option<&Bits>, clock: &mut Clock<'_>, look: &mut dyn FnMut(u32, u32)) {
        let mut one = |slot: u32| {
            let number = self.slots.number(slot);
            if number != FREE {
                look(slot, number);
            }
            clock.is_over(1)
        };
        match slots {
            None => {
                let _ = (0..self.count).any(&mut one);
            }
            Some(slots) => {
                let _ = slots.since(&Bits::default()).any(&mut one);
            }
        }
    }

    fn scan_nearest(&self, wanted: &Wanted<'_>, clock: &mut Clock<'_>) -> Vec<(u32, f64)> {
        let query = self.slots.read(wanted.vector);
        let mut best = Nearest::new(wanted.k);
        if self.multiple {
            let mut nearest: HashMap<u32, f64> = HashMap::new();
            self.scan(wanted.slots, clock, &mut |slot, number| {
                let distance = self.slots.to_query(&query, slot);
                let known = nearest.entry(number).or_insert(distance);
                *known = known.min(distance);
            });
            for (id, distance) in nearest {
                best.offer(Near { distance, id });
            }
        } else {
            self.scan(wanted.slots, clock, &mut |slot, id| {
                best.offer(Near { distance: self.slots.to_query(&query, slot), id });
            });
        }
        best.sorted().into_iter().map(|near| (near.id, near.distance)).collect()
    }

    fn walk_nearest(
        &self,
        graph: &Graph,
        wanted: &Wanted<'_>,
        ef: usize,
        clock: &mut Clock<'_>,
    ) -> Vec<(u32, f64)> {
        let query = self.slots.read(wanted.vector);
        let distance = |slot| self.slots.to_query(&query, slot);
        let accept = |slot| wanted.slots.is_none_or(|slots| slots.contains(slot));
        let mut keep = ef.max(wanted.k);
        loop {
            let found = graph.nearest(keep, &distance, &accept, clock);
            let all = found.len() < keep || keep >= self.alive() || clock.has_ended();
            let documents = self.documents(found);
            // Several vectors of one document may have filled the list.
            if documents.len() >= wanted.k || all {
                return documents.into_iter().take(wanted.k).collect();
            }
            keep = keep.saturating_mul(2);
        }
    }

    /// The documents of some slots, each at the place of its nearest.
    fn documents(&self, mut slots: Vec<Near>) -> Vec<(u32, f64)> {
        slots.iter_mut().for_each(|near| near.id = self.slots.number(near.id));
        slots.sort_unstable();
        if self.multiple {
            let mut seen = std::collections::HashSet::new();
            slots.retain(|near| seen.insert(near.id));
        }
        slots.into_iter().map(|near| (near.id, near.distance)).collect()
    }
}

impl<E: Element> Vectors for Typed<E> {
    fn insert(&mut self, number: u32, vector: &[u8]) -> u32 {
        self.multiple |= number == self.last;
        self.last = number;
        let vector = self.slots.read(vector);
        let slot = match Arc::make_mut(&mut self.free).pop() {
            Some(slot) => slot,
            None => {
                self.count = self.count.checked_add(1).expect("memory ends before 2^32 vectors");
                self.count - 1
            }
        };
        self.slots.put(slot, number, &vector);
        if let Some(graph) = &mut self.graph {
            graph.insert(slot, &|a, b| self.slots.between(a, b));
        }
        slot
    }

    fn remove(&mut self, slot: u32) {
        if let Some(graph) = &mut self.graph {
            graph.remove(slot, &|a, b| self.slots.between(a, b));
        }
        self.slots.set_number(slot, FREE);
        Arc::make_mut(&mut self.free).push(slot);
    }

    fn nearest(&self, wanted: &Wanted<'_>, clock: &mut Clock<'_>) -> Vec<(u32, f64)> {
        let ef = wanted.ef.unwrap_or(self.ef);
        let of = wanted.slots.map_or(self.alive(), |slots| slots.count() as usize);
        match &self.graph {
            Some(graph) if !self.scans(ef.max(wanted.k), of) => {
                self.walk_nearest(graph, wanted, ef, clock)
            }
            _ => self.scan_nearest(wanted, clock),
        }
    }

    fn within(
        &self,
        vector: &[u8],
        radius: f64,
        epsilon: Option<f64>,
        clock: &mut Clock<'_>,
    ) -> Vec<(u32, f64)> {
        let query = self.slots.read(vector);
        let distance = |slot| self.slots.to_query(&query, slot);
        let found = match &self.graph {
            Some(graph) if !self.scans(self.ef, self.alive()) => {
                graph.within(radius, epsilon.unwrap_or(self.epsilon), &distance, clock)
            }
            _ => {
                let mut found = Vec::new();
                self.scan(None, clock, &mut |slot, _| {
                    let distance = distance(slot);
                    if distance <= radius {
                        found.push(Near { distance, id: slot });
                    }
                });
                found
            }
        };
        self.documents(found)
    }

    fn renumber(&mut self, map: &dyn Fn(u32) -> u32) {
        for slot in 0..self.count {
            let number = self.slots.number(slot);
            if number != FREE {
                self.slots.set_number(slot, map(number));
            }
        }
        self.last = FREE;
    }

    fn len(&self) -> usize {
        self.alive()
    }

    fn memory(&self) -> usize {
        self.slots.memory()
            + self.free.capacity() * 4
            + self.graph.as_ref().map_or(0, Graph::memory)
    }

    fn copy(&self) -> Box<dyn Vectors> {
        Box::new(self.clone())
    }

    fn number_of(&self, slot: u32) -> Option<u32> {
        let number = (slot < self.count).then(|| self.slots.number(slot));
        number.filter(|number| *number != FREE)
    }

    fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        self.encode_all(out)
    }

    #[cfg(test)]
    fn check(&self) {
        if let Some(graph) = &self.graph {
            graph.check();
        }
    }
}

#[cfg(test)]
mod tests;
