//! What of an index is put on disk, and how does it begin with what was?
//!
//! Sealed segments are written as they are, batches are sealed first; the table of keys and the sums follow from them.
//! An index that begins with segments from disk is told which of its keys were loaded, and forgets the others.

use std::sync::Arc;

use crate::columns::Column;
use crate::error::Error;
use crate::index::Index;
use crate::index::bits::Bits;
use crate::index::sealed::Segment;
use crate::index::snapshot::{Piece, Snapshot};
use crate::index::tier::Tier;
use crate::storage::Uid;
use crate::storage::codec::{Broken, ensure};
use crate::vector::store::Store;

/// Documents, and bytes of words and tags, of a batch that is not copied any more: so much takes a tenth of a millisecond.
const COPIED_DOCUMENTS: u32 = 256;
const COPIED_BYTES: usize = 256 << 10;

/// What is there at one moment.
#[derive(Debug)]
pub struct Kept {
    /// The documents.
    pub snapshot: Arc<Snapshot>,
    /// The number that the next one gets.
    pub next_number: u32,
    /// Whether some of them are about to vanish.
    pub expires: bool,
}

/// What was read from disk.
#[derive(Debug)]
pub struct Restored {
    /// Segments with their dead rows, in the order of their numbers.
    pub segments: Vec<(Arc<Segment>, Bits)>,
    /// Vectors, by the numbers of their fields among the VECTOR fields.
    pub vectors: Vec<Store>,
    /// The number that the next document gets.
    pub next_number: u32,
    /// Whether some of them are about to vanish: their keys know when.
    pub expires: bool,
}

/// Which documents from disk have been loaded as keys, too.
#[derive(Debug)]
pub struct Recall {
    /// Segments as they came from disk, their dead rows, and those that were ticked off.
    pieces: Vec<(Arc<Segment>, Arc<Bits>, Bits)>,
    /// Numbers from here on are of documents that were put in since.
    limit: u32,
    /// Whether keys must be asked when they expire.
    pub expires: bool,
}

impl Recall {
    /// Ticks a document off; answers whether it is one from disk.
    pub fn tick(&mut self, number: u32) -> bool {
        if number >= self.limit {
            return false;
        }
        let begins_later =
            |segment: &Segment| segment.rows().span().is_none_or(|(first, _)| first > number);
        let at = self.pieces.partition_point(|(segment, ..)| !begins_later(segment));
        let Some((segment, _, seen)) = at.checked_sub(1).map(|at| &mut self.pieces[at]) else {
            return false;
        };
        let row = segment.rows().row(number);
        row.map(|row| seen.insert(row)).is_some()
    }

    /// The documents that were not.
    fn missing(&self) -> impl Iterator<Item = u32> {
        self.pieces.iter().flat_map(|(segment, dead, seen)| {
            let rows = segment.rows();
            let missing =
                (0..rows.len()).filter(|row| !dead.contains(*row) && !seen.contains(*row));
            missing.map(|row| rows.number(row))
        })
    }
}

impl Index {
    /// What is to be put on disk. Costs next to nothing; the vectors of each field get a name, so that they need not be
    /// written again as long as they stay the same. A fresh batch is closed unless it is so small that the next write may
    /// copy it.
    pub fn keep(&mut self) -> Kept {
        self.settle_jobs();
        if self.now.fresh.rows().len() >= COPIED_DOCUMENTS
            || self.now.fresh.memory() >= COPIED_BYTES
        {
            self.freeze();
        }
        if self.now.vectors.iter().any(|store| store.uid().is_none()) {
            let stores = self.change().vectors.iter_mut();
            stores.filter(|store| store.uid().is_none()).for_each(|s| s.set_uid(Uid::new()));
        }
        let (next_number, expires) = (self.next_number, !self.expiry.is_empty());
        Kept { snapshot: self.snapshot(), next_number, expires }
    }

    /// Begins with what was read from disk: the index must be empty, and what was read of its definition.
    pub fn restore(&mut self, restored: Restored) -> Result<Recall, Broken> {
        ensure(self.next_number == 0, "the index is not empty")?;
        let Restored { segments, vectors, next_number, expires } = restored;
        check(&self.now, &segments, &vectors, next_number)?;
        let mut recall = Recall { pieces: Vec::new(), limit: next_number, expires };
        for (tier, dead) in segments {
            self.next_piece += 1;
            let piece = Piece { id: self.next_piece, tier, dead: Arc::new(dead) };
            let (tier, dead) = (Arc::clone(&piece.tier), Arc::clone(&piece.dead));
            recall.pieces.push((tier, dead, Bits::default()));
            self.change().sealed.push(piece);
        }
        let (mut documents, mut length_sum) = (0, 0);
        for (segment, dead, _) in &recall.pieces {
            let rows = segment.rows();
            for row in (0..rows.len()).filter(|row| !dead.contains(*row)) {
                self.documents.insert(rows.key(row), rows.number(row));
                length_sum += u64::from(rows.length(row));
                documents += 1;
            }
        }
        let now = self.change();
        (now.vectors, now.documents, now.length_sum) = (vectors, documents, length_sum);
        self.next_number = next_number;
        Ok(recall)
    }

    /// Takes out the documents from disk whose keys were not loaded; answers how many those were.
    pub fn forget_missing(&mut self, recall: &Recall) -> usize {
        let mut count = 0;
        for number in recall.missing() {
            if self.is_alive(number) {
                self.kill(number);
                count += 1;
            }
        }
        count
    }

    fn is_alive(&self, number: u32) -> bool {
        use crate::index::snapshot::Place;
        match self.now.place(number) {
            Some(Place::Sealed(at, row)) => !self.now.sealed[at].dead.contains(row),
            Some(Place::Frozen(at, row)) => !self.now.frozen[at].dead.contains(row),
            Some(Place::Fresh(row)) => !self.now.fresh_dead.contains(row),
            None => false,
        }
    }
}

/// Refuses what does not fit together: numbers must rise from segment to segment, and each vector belong to a living
/// document that knows where it lies.
fn check(
    now: &Snapshot,
    segments: &[(Arc<Segment>, Bits)],
    vectors: &[Store],
    next_number: u32,
) -> Result<(), Broken> {
    let mut next = 0;
    for (segment, _) in segments {
        let (first, last) = segment.rows().span().ok_or(Broken("a segment is empty"))?;
        ensure(next <= first && last < next_number, "numbers are not in order")?;
        next = last + 1;
    }
    ensure(vectors.len() == now.vectors.len(), "not as many fields of vectors")?;
    for (store, (field, _)) in vectors.iter().zip(now.schema.vector_fields()) {
        let mut count = 0;
        for (segment, dead) in segments {
            let rows = segment.rows();
            let column = field.places.and_then(|number| rows.column(number));
            let Some(Column::Numbers(slots)) = column else { continue };
            for row in (0..rows.len()).filter(|row| !dead.contains(*row)) {
                let number = Some(rows.number(row));
                let good = slots.all(row).inspect(|_| count += 1);
                let good = good.map(|slot| store.number_of(slot as u32)).all(|of| of == number);
                ensure(good, "a document has the vector of another")?;
            }
        }
        ensure(count == store.len(), "a vector is of no document")?;
    }
    Ok(())
}

impl Kept {
    /// Whether there are no documents.
    pub fn is_empty(&self) -> bool {
        self.snapshot.is_empty()
    }

    /// Calls `each` with the segments of all documents and their dead rows; what is not sealed yet is sealed for that.
    pub fn each_segment<E: From<Error>>(
        &self,
        mut each: impl FnMut(&Segment, &Bits) -> Result<(), E>,
    ) -> Result<(), E> {
        let snapshot = &*self.snapshot;
        for piece in snapshot.sealed.iter().filter(|piece| !piece.is_dead()) {
            each(&piece.tier, &piece.dead)?;
        }
        let frozen = snapshot.frozen.iter().map(|piece| (&piece.tier, &piece.dead));
        for (batch, dead) in frozen.chain([(&snapshot.fresh, &snapshot.fresh_dead)]) {
            if dead.count() < batch.rows().len() {
                each(&Segment::seal(batch, dead)?, &Bits::default())?;
            }
        }
        Ok(())
    }

    /// Vectors, by the numbers of their fields among the VECTOR fields.
    pub fn vectors(&self) -> &[Store] {
        &self.snapshot.vectors
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::index::analysis::FieldValue;
    use crate::index::sealed::codec;
    use crate::index::{Attributes, Work};
    use crate::schema::parse::create;
    use crate::storage::codec::Encoder;
    use crate::tokenize::Language;

    fn written(content: impl FnOnce(&mut Encoder<'_>) -> std::io::Result<()>) -> Vec<u8> {
        let mut bytes = Vec::new();
        content(&mut Encoder::new(&mut bytes)).unwrap();
        bytes
    }

    /// An index as it is after it was written to disk and read again.
    pub fn reloaded(index: &mut Index, work: Work) -> Index {
        let kept = index.keep();
        let schema = Arc::clone(kept.snapshot.schema());
        let mut segments = Vec::new();
        kept.each_segment(|segment, dead| {
            let bytes = written(|out| segment.encode(out));
            let segment = Segment::decode(&bytes, &schema.columns(), schema.field_bits())?;
            let bits = written(|out| dead.encode(out));
            let rows = segment.rows().len();
            let dead = Bits::decode(&mut crate::storage::codec::Decoder::new(&bits), rows)?;
            segments.push((Arc::new(segment), dead));
            Ok::<(), Error>(())
        })
        .unwrap();
        let stores = kept.vectors().iter().zip(schema.vector_fields());
        let stores = stores.map(|(store, (_, options))| {
            Store::decode(&written(|out| store.encode(out)), Arc::clone(options)).unwrap()
        });
        let (vectors, next_number) = (stores.collect(), kept.next_number);
        let restored = Restored { segments, vectors, next_number, expires: kept.expires };
        let mut reloaded = Index::new(schema, work);
        let mut recall = reloaded.restore(restored).expect("it fits");
        for key in kept.snapshot.keys() {
            assert!(recall.tick(reloaded.number(key).expect("all keys are there")));
        }
        assert_eq!(reloaded.forget_missing(&recall), 0);
        assert_eq!(reloaded.len(), index.len());
        reloaded
    }

    const SCHEMA: &str = "SCHEMA t TEXT SORTABLE g TAG SORTABLE n NUMERIC p GEO s GEOSHAPE FLAT \
        v VECTOR HNSW 8 TYPE INT8 DIM 2 DISTANCE_METRIC COSINE M 2";

    fn filled(documents: u8) -> Index {
        let line: Vec<&[u8]> = SCHEMA.split_whitespace().map(str::as_bytes).collect();
        let schema = Arc::new(create(b"idx", &line).unwrap());
        let mut index = Index::new(schema, Work::Inline);
        for number in 1..=documents {
            let texts = [
                format!("word{number} common"),
                format!("tag{}", number % 3),
                format!("{number}.5"),
                format!("{number},{}", number % 80),
                format!("POLYGON((0 0, {number} 0, 0 {number}))"),
            ];
            let mut values: Vec<FieldValue<'_>> =
                texts.into_iter().map(|text| FieldValue::Bytes(text.into_bytes().into())).collect();
            values.push(FieldValue::Bytes(vec![number % 100, 1].into()));
            let attributes =
                Attributes { language: Language::default(), score: 1.0, expires_at_ms: None };
            index.put(&[number], &values, attributes).unwrap();
        }
        index
    }

    #[test]
    fn what_was_not_loaded_is_forgotten_and_what_came_since_stays() {
        let mut index = filled(40);
        index.remove(&[7]);
        index.freeze();
        let kept = index.keep();
        let mut segments = Vec::new();
        kept.each_segment(|segment, dead| {
            segments.push((Arc::new(segment.clone()), dead.clone()));
            Ok::<(), Error>(())
        })
        .unwrap();
        let vectors = kept.vectors().to_vec();
        let mut index = Index::new(Arc::clone(kept.snapshot.schema()), Work::Inline);
        let restored =
            Restored { segments, vectors, next_number: kept.next_number, expires: false };
        let mut recall = index.restore(restored).unwrap();
        for key in (1..=40u8).filter(|key| ![7, 8, 9].contains(key)) {
            assert!(recall.tick(index.number(&[key]).unwrap()));
        }
        // Removed and written by commands behind the snapshot.
        index.remove(&[9]);
        index.remove(&[10]);
        let attributes =
            Attributes { language: Language::default(), score: 1.0, expires_at_ms: None };
        index.put(b"new", &[const { FieldValue::Missing }; 6], attributes).unwrap();
        assert!(!recall.tick(index.number(b"new").unwrap()));
        assert_eq!(index.forget_missing(&recall), 1);
        assert_eq!(index.len(), 37);
        assert!(!index.contains(&[8]) && index.contains(b"new") && !index.contains(&[10]));
    }

    #[test]
    fn a_store_keeps_its_name_until_it_changes() {
        let mut index = filled(3);
        let name = |index: &mut Index| index.keep().vectors()[0].uid().unwrap();
        let first = name(&mut index);
        assert_eq!(name(&mut index), first);
        index.remove(&[2]);
        assert_ne!(name(&mut index), first);
    }

    #[test]
    fn no_bytes_make_a_reader_panic() {
        let mut index = filled(70);
        index.remove(&[5]);
        index.freeze();
        let kept = index.keep();
        let schema = Arc::clone(kept.snapshot.schema());
        let segment = &kept.snapshot.sealed[0].tier;
        let bytes = written(|out| segment.encode(out));
        assert_eq!(codec::check(&bytes, &schema.columns()), Ok(69));
        let (_, options) = schema.vector_fields().next().unwrap();
        let vectors = written(|out| kept.vectors()[0].encode(out));
        for at in 0..bytes.len().max(vectors.len()) {
            for change in [1, 0x10, 0x80, 0xff] {
                if at < bytes.len() {
                    let mut changed = bytes.clone();
                    changed[at] ^= change;
                    let _ = codec::check(&changed, &schema.columns());
                }
                if at < vectors.len() {
                    let mut changed = vectors.clone();
                    changed[at] ^= change;
                    let Ok(mut store) = Store::decode(&changed, Arc::clone(options)) else {
                        continue;
                    };
                    let used: Vec<u32> =
                        (0..70).filter(|slot| store.number_of(*slot).is_some()).collect();
                    used.into_iter().for_each(|slot| store.remove(slot));
                    assert!(store.is_empty());
                }
            }
            assert!(at >= bytes.len() || codec::check(&bytes[..at], &schema.columns()).is_err());
        }
    }
}
