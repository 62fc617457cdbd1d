//! Which documents does an index hold?
//!
//! Documents get rising numbers; an update is a removal and a new number. The newest ones lie in a fresh batch; a full
//! batch is frozen, still searched as it is, while a thread turns it into a sealed segment; neighbouring segments
//! are merged by another thread. Whichever piece a document lies in, its removal is one bit beside the piece, and
//! what died while a job ran is replayed onto the job's result. Pieces are kept in the order of their numbers.
//!
//! All that a search looks at is one `Snapshot`, which is shared by counting references: a write changes it in place
//! while nobody else has it, and otherwise copies the few parts that it touches first.

pub mod analysis;
pub mod bits;
pub mod deadline;
mod dictionary;
pub mod documents;
mod elements;
pub mod expiry;
pub mod explanation;
pub mod fresh;
mod jobs;
pub mod matching;
pub mod nearest;
mod opening;
mod places;
pub mod profile;
mod proximity;
mod ranking;
pub mod rows;
pub mod sealed;
pub mod search;
pub mod snapshot;
pub mod storing;
pub mod task;
pub mod tier;
pub mod visit;
pub mod vocabulary;
pub mod worker;

#[cfg(test)]
mod elements_test;
#[cfg(test)]
mod hostile_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod places_test;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::columns::{Column, Value};
use crate::error::Error;
use crate::index::analysis::{Analysis, FieldValue, Refusal};
use crate::index::bits::Bits;
use crate::index::documents::Documents;
use crate::index::expiry::Expiry;
use crate::index::fresh::{Batch, Layout};
use crate::index::jobs::Jobs;
use crate::index::rows::Rows;
use crate::index::snapshot::{Place, Snapshot};
use crate::index::tier::{PostingsSize, Tier};
use crate::schema::Schema;
use crate::tokenize::Language;
use crate::vector::store::Store;

/// Documents after which a fresh batch is sealed, if anybody searches it.
pub const BATCH_DOCUMENTS: u32 = 1_000;
/// Documents up to which a fresh batch grows while nobody searches, or while the one before it is being sealed; then
/// the writer waits.
pub const BATCH_DOCUMENTS_MAX: u32 = 10_000;
/// Words and tags after which a batch is sealed however few documents it has.
const BATCH_BYTES: usize = 64 << 20;

/// Documents of one index.
#[derive(Debug)]
pub struct Index {
    now: Arc<Snapshot>,
    layout: Layout,
    documents: Documents,
    expiry: Expiry,
    /// When documents lose their first fields.
    field_expiry: Expiry,
    next_number: u32,
    /// The fresh batch has been searched, so it should stay small.
    searched: bool,
    next_piece: u64,
    jobs: Jobs,
    analysis: Analysis,
    statistics: Statistics,
}

/// What happened so far.
#[derive(Debug, Default, Clone)]
pub struct Statistics {
    /// Documents that were refused.
    pub failures: u64,
    /// The last refusal, and the key it was about.
    pub last_failure: Option<(Refusal, Box<[u8]>)>,
    /// The same by the names of fields, of which each refusal names one.
    pub by_field: BTreeMap<Box<[u8]>, FieldFailures>,
    /// The last job that failed.
    pub last_job_error: Option<Error>,
}

/// Refusals because of one field.
#[derive(Debug, Default, Clone)]
pub struct FieldFailures {
    /// How many.
    pub count: u64,
    /// Why the last one was.
    pub reason: String,
    /// The key that it was about.
    pub key: Box<[u8]>,
}

/// What a document brings along besides the values of its fields.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    /// Language of its words.
    pub language: Language,
    /// Its own score.
    pub score: f32,
    /// When it vanishes (Unix, in milliseconds).
    pub expires_at_ms: Option<i64>,
}

/// Who does the sealing and merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Threads.
    Background,
    /// The caller, at once.
    Inline,
}

impl Index {
    /// An empty index.
    pub fn new(schema: Arc<Schema>, work: Work) -> Index {
        let layout = Layout::of(&schema);
        Index {
            now: Arc::new(Snapshot::new(schema, &layout)),
            layout,
            documents: Documents::default(),
            expiry: Expiry::default(),
            field_expiry: Expiry::default(),
            next_number: 0,
            searched: false,
            next_piece: 0,
            jobs: Jobs::new(work),
            analysis: Analysis::default(),
            statistics: Statistics::default(),
        }
    }

    /// Its definition.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.now.schema
    }

    /// What a search looks at, as it is now. Taking it costs next to nothing; it stays as it is for as long as it is
    /// kept, on whichever thread. Whoever takes it calls [`Index::before_search`] first.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.now)
    }

    /// What the writing methods change: a copy, if anybody else has a snapshot.
    fn change(&mut self) -> &mut Snapshot {
        Arc::make_mut(&mut self.now)
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// What happened so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Takes over a definition that has fields added. Documents keep what they had; those that bring the new fields
    /// must be put in again.
    pub fn alter(&mut self, schema: Arc<Schema>) {
        if !self.now.fresh.rows().is_empty() {
            self.freeze();
        }
        self.layout = Layout::of(&schema);
        let fresh = Arc::new(Batch::new(self.layout.clone()));
        let now = self.change();
        let new_vectors = schema.vector_fields().skip(now.vectors.len());
        now.vectors.extend(new_vectors.map(|(_, options)| Store::new(Arc::clone(options))));
        now.schema = schema;
        now.fresh = fresh;
    }

    /// Takes over a definition with the same fields.
    pub fn redefine(&mut self, schema: Arc<Schema>) {
        debug_assert_eq!(schema.fields.len(), self.now.schema.fields.len());
        self.change().schema = schema;
    }

    /// Puts in a document, in place of an older one of the same key. A refused document is not in the index, and
    /// neither is its older version.
    pub fn put(
        &mut self,
        key: &[u8],
        values: &[FieldValue<'_>],
        attributes: Attributes,
    ) -> Result<(), Refusal> {
        self.settle_jobs();
        self.remove(key);
        let mut analysis = std::mem::take(&mut self.analysis);
        analysis.language = attributes.language;
        analysis.score = attributes.score;
        let read = analysis.read(&self.now.schema, values);
        if read.is_ok() {
            self.push(key, &mut analysis, attributes.expires_at_ms);
        }
        self.analysis = analysis;
        if let Err(refusal) = &read {
            self.refuse(key, refusal.clone());
        }
        read
    }

    /// Notes that a document was refused.
    pub fn refuse(&mut self, key: &[u8], refusal: Refusal) {
        self.statistics.failures += 1;
        let field = self.statistics.by_field.entry(refusal.field.clone()).or_default();
        field.count += 1;
        (field.reason, field.key) = (refusal.reason.clone(), key.into());
        self.statistics.last_failure = Some((refusal, key.into()));
    }

    fn push(&mut self, key: &[u8], analysis: &mut Analysis, expires_at_ms: Option<i64>) {
        if self.next_number == u32::MAX {
            self.renumber();
        }
        let number = self.next_number;
        self.next_number += 1;
        let now = self.change();
        place_vectors(&mut now.vectors, number, analysis);
        Arc::make_mut(&mut now.fresh).push(number, key, analysis);
        now.documents += 1;
        now.length_sum += u64::from(analysis.length);
        self.documents.insert(key, number);
        self.expiry.set(number, expires_at_ms);
        let enough = if self.searched { BATCH_DOCUMENTS } else { BATCH_DOCUMENTS_MAX };
        let fresh = &self.now.fresh;
        if fresh.rows().len() >= enough || fresh.memory() >= BATCH_BYTES {
            self.close_batch();
        }
    }

    /// Takes out the document of a key; answers whether there was one.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let Some(number) = self.number(key) else { return false };
        self.kill(number);
        true
    }

    /// Takes out a document by its number.
    fn kill(&mut self, number: u32) {
        let now = Arc::make_mut(&mut self.now);
        let place = now.place(number).expect("the table knows only documents that exist");
        let (rows, dead, row) = match place {
            Place::Sealed(at, row) => {
                let piece = &mut now.sealed[at];
                (piece.tier.rows(), &mut piece.dead, row)
            }
            Place::Frozen(at, row) => {
                let piece = &mut now.frozen[at];
                (piece.tier.rows(), &mut piece.dead, row)
            }
            Place::Fresh(row) => (now.fresh.rows(), &mut now.fresh_dead, row),
        };
        Arc::make_mut(dead).insert(row);
        for (store, (field, _)) in now.vectors.iter_mut().zip(now.schema.vector_fields()) {
            let column = field.places.and_then(|number| rows.column(number));
            if let Some(Column::Numbers(slots)) = column {
                slots.all(row).for_each(|slot| store.remove(slot as u32));
            }
        }
        now.documents -= 1;
        now.length_sum -= u64::from(rows.length(row));
        self.documents.remove(rows.key(row), number);
        self.expiry.set(number, None);
        self.field_expiry.set(number, None);
        if let Place::Sealed(at, _) = place
            && self.now.sealed[at].wants_rewrite()
        {
            self.plan_merge();
        }
    }

    /// Sets or clears the time at which the document of a key vanishes; answers whether there is one.
    pub fn set_expiry(&mut self, key: &[u8], at_ms: Option<i64>) -> bool {
        let Some(number) = self.number(key) else { return false };
        self.expiry.set(number, at_ms);
        true
    }

    /// Sets or clears the time at which the document of a key loses its first field.
    pub fn set_field_expiry(&mut self, key: &[u8], at_ms: Option<i64>) {
        if at_ms.is_none() && self.field_expiry.is_empty() {
            return;
        }
        if let Some(number) = self.number(key) {
            self.field_expiry.set(number, at_ms);
        }
    }

    /// Keys of documents that have lost fields, each once: they are to be put in again.
    pub fn take_faded(&mut self, now_ms: i64) -> Vec<Box<[u8]>> {
        let mut keys = Vec::new();
        while let Some(number) = self.field_expiry.due(now_ms) {
            self.field_expiry.set(number, None);
            keys.push(self.now.key(number).into());
        }
        keys
    }

    /// Takes out what has expired.
    pub fn expire(&mut self, now_ms: i64) {
        while let Some(number) = self.expiry.due(now_ms) {
            self.kill(number);
        }
    }

    /// Gets the index ready for a search: drops what has expired, takes in what the threads have finished, and has
    /// a fresh batch sealed that a bulk load has left large.
    pub fn before_search(&mut self, now_ms: i64) {
        self.expire(now_ms);
        self.settle_jobs();
        self.searched = true;
        if self.now.fresh.rows().len() >= BATCH_DOCUMENTS {
            self.close_batch();
        }
    }

    /// Whether there is a document of this key.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.number(key).is_some()
    }

    /// The number of the document of a key.
    pub fn number(&self, key: &[u8]) -> Option<u32> {
        self.documents.find(key, |number| self.now.key(number))
    }

    /// Begins the numbers anew when they have run out. Every 4 billion updates all documents are walked once.
    fn renumber(&mut self) {
        if !self.now.fresh.rows().is_empty() {
            self.freeze();
        }
        self.finish_jobs();
        let now = Arc::make_mut(&mut self.now);
        let mut next = 0;
        let mut map = std::collections::HashMap::new();
        let mut assign = |rows: &mut Rows, dead: &Bits| {
            rows.renumber(next, |row, old, new| {
                if !dead.contains(row) {
                    map.insert(old, new);
                }
            });
            next += rows.len();
        };
        for piece in &mut now.sealed {
            assign(Arc::make_mut(&mut piece.tier).rows_mut(), &piece.dead);
        }
        for piece in &mut now.frozen {
            assign(Arc::make_mut(&mut piece.tier).rows_mut(), &piece.dead);
        }
        now.vectors.iter_mut().for_each(|store| store.renumber(&|number| map[&number]));
        self.next_number = next;
        self.expiry.renumber(|number| map[&number]);
        self.field_expiry.renumber(|number| map[&number]);
        let mut documents = Documents::default();
        for (rows, dead) in self.now.all_rows() {
            for row in (0..rows.len()).filter(|row| !dead.contains(*row)) {
                documents.insert(rows.key(row), rows.number(row));
            }
        }
        self.documents = documents;
    }

    /// The number that the next document gets; the documents that are there have lower ones.
    pub fn next_number(&self) -> u32 {
        self.next_number
    }

    /// Sizes, for FT.INFO.
    pub fn sizes(&self) -> Sizes {
        let times = self.expiry.memory() + self.field_expiry.memory();
        let key_table = self.documents.memory() + times;
        let mut sizes = Sizes { key_table, ..Sizes::default() };
        for (rows, dead) in self.now.all_rows() {
            let (table, columns) = rows.memory();
            sizes.document_table += table + dead.memory();
            sizes.columns += columns;
        }
        let segments = self.now.sealed.iter().map(|piece| &piece.tier);
        segments.clone().for_each(|segment| sizes.postings += segment.size());
        let batches = self.now.frozen.iter().map(|piece| &*piece.tier).chain([&*self.now.fresh]);
        batches.clone().for_each(|batch| sizes.postings += batch.size());
        // Words that occur in several pieces are counted in each.
        sizes.words = segments.map(|segment| segment.word_count()).sum::<usize>()
            + batches.map(Batch::word_count).sum::<usize>();
        sizes.vectors = self.now.vectors.iter().map(Store::memory).sum();
        sizes.number_max = self.next_number;
        sizes.segments = self.now.sealed.len();
        sizes
    }
}

/// Puts a document's vectors into their stores; their slots become values.
fn place_vectors(stores: &mut [Store], number: u32, analysis: &mut Analysis) {
    for vectors in &analysis.vectors {
        let store = &mut stores[vectors.id as usize];
        let blobs = vectors.bytes.chunks_exact(store.options().blob_bytes());
        let slots: Vec<f64> = blobs.map(|blob| store.insert(number, blob).into()).collect();
        analysis.values[vectors.column as usize] = match slots.as_slice() {
            [slot] => Value::Number(*slot),
            _ => Value::Numbers(slots),
        };
    }
}

impl Sizes {
    /// All of it.
    pub fn total(&self) -> usize {
        self.postings.bytes + self.document_table + self.key_table + self.columns + self.vectors
    }
}

/// How large an index is, in bytes and entries.
#[derive(Debug, Default, Clone, Copy)]
pub struct Sizes {
    /// Dictionaries and postings.
    pub postings: PostingsSize,
    /// Keys, lengths, scores.
    pub document_table: usize,
    /// Numbers by key, and when documents and fields expire.
    pub key_table: usize,
    /// Column values.
    pub columns: usize,
    /// Vectors and their graphs.
    pub vectors: usize,
    /// Different words, an upper bound.
    pub words: usize,
    /// The last document number.
    pub number_max: u32,
    /// Sealed segments.
    pub segments: usize,
}
