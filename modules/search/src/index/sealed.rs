//! Where do most documents live?
//!
//! In immutable segments. tantivy holds what it is good at, the dictionaries and the compressed postings, in one
//! single-segment index per segment, in memory; [`Rows`] holds the rest, row for row. tantivy's own writer, merge
//! policy, deletes and schema are left aside: a segment is made from one batch or from several segments in a single
//! call on whichever thread, what is superseded is a bitset beside the segment, and two generic fields (words, tags)
//! serve every schema, so FT.ALTER touches no segment.
//!
//! The field that a word stood in lies in the low bits of its positions; how many bits is fixed per segment, and
//! only segments that agree are merged.

pub mod codec;

use std::sync::{Arc, LazyLock};

use tantivy::directory::RamDirectory;
use tantivy::fastfield::{AliveBitSet, write_alive_bitset};
use tantivy::index::{InvertedIndexReader, Segment as TantivySegment, SegmentReader};
use tantivy::indexer::merge_filtered_segments;
use tantivy::postings::{Postings, SegmentPostings, TermInfo};
use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, Schema as TantivySchema, TextFieldIndexing, TextOptions,
};
use tantivy::store::Compressor;
use tantivy::tokenizer::{RawTokenizer, Token, TokenStream, Tokenizer, TokenizerManager};
use tantivy::{BitSet, DocSet, HasLen, Index, IndexBuilder, IndexSettings, TantivyDocument};

use crate::error::Error;
use crate::index::bits::Bits;
use crate::index::deadline::Deadline;
use crate::index::fresh::{Batch, Layout};
use crate::index::rows::Rows;
use crate::index::tier::{Block, Cursor, Detail, Each, PostingsSize, Tier};
use crate::query::fuzzy::Fuzzy;
use crate::query::plan::{STEM_MARK, Shape, Space, Term};
use crate::storage::Uid;

/// Memory that tantivy may collect before it has to write: its arena. A batch is far smaller than this.
const ARENA_BYTES: usize = 256 << 20;
/// The name under which our stream of words is known to tantivy, which wants a tokenizer of this name for all fields.
const TOKENIZER: &str = "default";

/// The two fields of every segment.
struct Fields {
    schema: TantivySchema,
    words: Field,
    tags: Field,
}

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let mut builder = TantivySchema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions)
        .set_fieldnorms(false);
    let words =
        builder.add_text_field("words", TextOptions::default().set_indexing_options(indexing));
    let tags = builder.add_bytes_field("tags", BytesOptions::default().set_indexed());
    Fields { schema: builder.build(), words, tags }
});

/// An immutable piece of the index.
#[derive(Clone)]
pub struct Segment {
    rows: Rows,
    field_bits: u32,
    words: Arc<InvertedIndexReader>,
    tags: Arc<InvertedIndexReader>,
    /// What tantivy merges from.
    segment: TantivySegment,
    size: PostingsSize,
    /// Its name on disk.
    uid: Uid,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl Segment {
    /// The documents of a batch, without its dead ones; at least one must be alive.
    pub fn seal(batch: &Arc<Batch>, dead: &Bits) -> Result<Segment, Error> {
        let tokenizers = TokenizerManager::new();
        tokenizers.register(TOKENIZER, BatchTokenizer { batch: Arc::clone(batch) });
        let directory = RamDirectory::create();
        let mut writer = IndexBuilder::new()
            .schema(FIELDS.schema.clone())
            .settings(settings())
            .tokenizers(tokenizers.clone())
            .single_segment_index_writer::<TantivyDocument>(directory.clone(), ARENA_BYTES)?;
        for row in (0..batch.rows().len()).filter(|row| !dead.contains(*row)) {
            let mut document = TantivyDocument::new();
            document.add_text(FIELDS.words, row.to_string());
            for tag in batch.tags_of(row) {
                document.add_bytes(FIELDS.tags, tag);
            }
            writer.add_document(document)?;
        }
        let index = writer.finalize()?;
        // The segment knows its index, and that its tokenizers: the batch would live on with them.
        tokenizers.register(TOKENIZER, RawTokenizer::default());
        let mut rows = Rows::new(&batch.layout().columns);
        rows.append(batch.rows(), dead);
        Segment::open(&index, &directory, rows, batch.field_bits())
    }

    /// The documents of several segments, in their order, without the dead ones; at least one must be alive.
    pub fn merge(parts: &[(Arc<Segment>, Arc<Bits>)], layout: &Layout) -> Result<Segment, Error> {
        let directory = RamDirectory::create();
        let segments: Vec<TantivySegment> =
            parts.iter().map(|(segment, _)| segment.segment.clone()).collect();
        let alive = parts.iter().map(|(segment, dead)| alive(segment, dead)).collect();
        let index = merge_filtered_segments(&segments, settings(), alive, directory.clone())?;
        let mut rows = Rows::new(&layout.columns);
        for (segment, dead) in parts {
            rows.append(&segment.rows, dead);
        }
        let field_bits = parts.first().map_or(0, |(segment, _)| segment.field_bits);
        Segment::open(&index, &directory, rows, field_bits)
    }

    fn open(
        index: &Index,
        directory: &RamDirectory,
        mut rows: Rows,
        field_bits: u32,
    ) -> Result<Segment, Error> {
        rows.pack();
        let segment = index.searchable_segments()?.pop();
        let segment =
            segment.ok_or_else(|| Error::Internal("an empty segment was sealed".into()))?;
        let reader = SegmentReader::open(&segment)?;
        if reader.max_doc() != rows.len() {
            return Err(Error::Internal("postings and rows of a segment disagree".into()));
        }
        let words = reader.inverted_index(FIELDS.words)?;
        let tags = reader.inverted_index(FIELDS.tags)?;
        let mut size = PostingsSize {
            bytes: directory.total_mem_usage(),
            position_bytes: reader.space_usage()?.positions().total().get_bytes() as usize,
            occurrences: words.total_num_tokens(),
            records: 0,
        };
        for dictionary in [&words, &tags] {
            let mut terms = dictionary.terms().stream()?;
            while let Some((_, info)) = terms.next() {
                size.records += u64::from(info.doc_freq);
            }
        }
        Ok(Segment { words, tags, size, uid: Uid::new(), segment, rows, field_bits })
    }

    /// Its documents, to be numbered anew.
    pub(super) fn rows_mut(&mut self) -> &mut Rows {
        self.uid = Uid::new();
        &mut self.rows
    }

    /// Its name on disk: segments of one name are the same.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// How large its dictionaries and postings are.
    pub fn size(&self) -> PostingsSize {
        self.size
    }

    /// Number of different words.
    pub fn word_count(&self) -> usize {
        self.words.terms().num_terms()
    }

    fn expand_fuzzy(
        &self,
        space: Space,
        fuzzy: Fuzzy,
        deadline: &mut Deadline,
        each: &mut Each<'_, (Space, TermInfo)>,
    ) {
        let Ok(mut stream) = self.dictionary(space).terms().search(fuzzy).into_stream() else {
            return;
        };
        while let Some((bytes, info)) = stream.next() {
            let is_stem = space == Space::Words && bytes.first() == Some(&(STEM_MARK as u8));
            let enough = !is_stem && !each(bytes, (space, info.clone()), info.doc_freq);
            if enough || deadline.step() {
                return;
            }
        }
    }

    fn dictionary(&self, space: Space) -> &InvertedIndexReader {
        match space {
            Space::Words => &self.words,
            Space::Tags => &self.tags,
        }
    }
}

fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::None,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

/// A segment's rows that are not dead, as tantivy takes them; none means all.
fn alive(segment: &Segment, dead: &Bits) -> Option<AliveBitSet> {
    if dead.is_empty() {
        return None;
    }
    let mut bits = BitSet::with_max_value_and_full(segment.rows.len());
    dead.since(&Bits::default()).for_each(|row| bits.remove(row));
    let mut bytes = Vec::new();
    write_alive_bitset(&bits, &mut bytes).expect("writing to memory cannot fail");
    Some(AliveBitSet::open(tantivy::directory::OwnedBytes::new(bytes)))
}

impl Tier for Segment {
    type Handle = (Space, TermInfo);
    type Cursor<'a> = SegmentCursor;

    fn rows(&self) -> &Rows {
        &self.rows
    }

    fn field_bits(&self) -> u32 {
        self.field_bits
    }

    fn find(&self, term: &Term) -> Option<((Space, TermInfo), u32)> {
        // The files lie in memory, so reading them cannot fail.
        let info = self.dictionary(term.space).terms().get(&term.bytes).ok().flatten()?;
        let documents = info.doc_freq;
        Some(((term.space, info), documents))
    }

    fn expand(
        &self,
        shape: &Shape,
        deadline: &mut Deadline,
        each: &mut Each<'_, (Space, TermInfo)>,
    ) {
        if let Some(fuzzy) = shape.fuzzy() {
            return self.expand_fuzzy(shape.space, fuzzy, deadline, each);
        }
        let prefix = shape.literal_prefix();
        let range = self.dictionary(shape.space).terms().range().ge(&prefix);
        let Ok(mut stream) = range.into_stream() else { return };
        while let Some((bytes, info)) = stream.next() {
            if !bytes.starts_with(&prefix) || deadline.step_over(bytes.len()) {
                break;
            }
            if shape.matches(bytes) && !each(bytes, (shape.space, info.clone()), info.doc_freq) {
                return;
            }
        }
    }

    fn each_block(&self, (space, info): &(Space, TermInfo), each: &mut Block<'_>) {
        let option = match space {
            Space::Words => IndexRecordOption::WithFreqs,
            Space::Tags => IndexRecordOption::Basic,
        };
        let blocks = self.dictionary(*space).read_block_postings_from_terminfo(info, option);
        let Ok(mut blocks) = blocks else { return };
        loop {
            let rows = blocks.docs();
            let frequencies = match space {
                Space::Words => blocks.freqs(),
                // A document has a tag or has it not.
                Space::Tags => &ONCE[..rows.len()],
            };
            if rows.is_empty() || !each(rows, frequencies) {
                return;
            }
            blocks.advance();
        }
    }

    fn open(&self, (space, info): &(Space, TermInfo), detail: Detail) -> SegmentCursor {
        let option = match detail {
            Detail::Rows => IndexRecordOption::Basic,
            Detail::Frequencies => IndexRecordOption::WithFreqs,
            Detail::Positions => IndexRecordOption::WithFreqsAndPositions,
        };
        let postings = self.dictionary(*space).read_postings_from_terminfo(info, option);
        SegmentCursor { postings: postings.unwrap_or_else(|_| SegmentPostings::empty()) }
    }
}

/// Frequencies of a block of tags. Blocks have so many rows in tantivy's format, which is fixed.
const ONCE: [u32; 128] = [1; 128];

/// Walks a posting list of tantivy's.
pub struct SegmentCursor {
    postings: SegmentPostings,
}

impl Cursor for SegmentCursor {
    #[inline]
    fn row(&self) -> u32 {
        self.postings.doc()
    }

    #[inline]
    fn seek(&mut self, target: u32) -> u32 {
        if target <= self.postings.doc() {
            return self.postings.doc();
        }
        self.postings.seek(target)
    }

    #[inline]
    fn advance(&mut self) -> u32 {
        self.postings.advance()
    }

    #[inline]
    fn frequency(&self) -> u32 {
        self.postings.term_freq()
    }

    fn positions(&mut self, out: &mut Vec<u32>) {
        self.postings.append_positions_with_offset(0, out);
    }

    fn documents(&self) -> u32 {
        u32::try_from(self.postings.len()).expect("rows are 32-bit")
    }
}

/// Gives tantivy the words of a batch's rows: the "text" of a document is the number of its row.
#[derive(Clone)]
struct BatchTokenizer {
    batch: Arc<Batch>,
}

impl Tokenizer for BatchTokenizer {
    type TokenStream<'a> = BatchTokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> BatchTokens<'a> {
        let row = text.parse().expect("seal() writes row numbers");
        BatchTokens {
            words: Box::new(self.batch.words_of(row)),
            positions: [].iter(),
            token: Token { position_length: 1, ..Token::default() },
        }
    }
}

struct BatchTokens<'a> {
    words: Box<dyn Iterator<Item = (&'a str, &'a [u32])> + 'a>,
    /// What is left of the current word's positions.
    positions: std::slice::Iter<'a, u32>,
    token: Token,
}

impl TokenStream for BatchTokens<'_> {
    fn advance(&mut self) -> bool {
        loop {
            if let Some(position) = self.positions.next() {
                self.token.position = *position as usize;
                return true;
            }
            let Some((word, positions)) = self.words.next() else { return false };
            self.token.text.clear();
            self.token.text.push_str(word);
            self.positions = positions.iter();
        }
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Column;
    use crate::index::analysis::{Analysis, FieldValue};
    use crate::query::plan::{stem_term, tag_term, word_term};
    use crate::schema::parse::create;

    fn batch(texts: &[&str], first: u32) -> Arc<Batch> {
        let words: Vec<&[u8]> =
            "SCHEMA t TEXT u TEXT g TAG n NUMERIC".split(' ').map(str::as_bytes).collect();
        let schema = create(b"idx", &words).unwrap();
        let mut batch = Batch::new(Layout::of(&schema));
        let mut analysis = Analysis::default();
        for (at, text) in texts.iter().enumerate() {
            let bytes = |text: &str| FieldValue::Bytes(text.as_bytes().to_vec().into());
            let values = [bytes(text), bytes("common"), bytes("tag"), bytes(&at.to_string())];
            analysis.score = 1.0;
            analysis.read(&schema, &values).unwrap();
            batch.push(first + at as u32, format!("key{at}").as_bytes(), &analysis);
        }
        Arc::new(batch)
    }

    fn list<T: Tier>(tier: &T, term: &Term) -> Vec<(u32, u32, Vec<u32>)> {
        let Some((handle, documents)) = tier.find(term) else { return Vec::new() };
        let mut cursor = tier.open(&handle, Detail::Positions);
        assert_eq!(cursor.documents(), documents);
        let mut found = Vec::new();
        while cursor.row() != crate::index::tier::END {
            let mut positions = Vec::new();
            cursor.positions(&mut positions);
            found.push((tier.rows().number(cursor.row()), cursor.frequency(), positions));
            let next = cursor.row() + 1;
            cursor.seek(next);
        }
        found
    }

    /// Frequencies by row.
    fn blocks<T: Tier>(tier: &T, term: &Term) -> Vec<u32> {
        let mut all = Vec::new();
        if let Some((handle, _)) = tier.find(term) {
            let mut rows = Vec::new();
            tier.each_block(&handle, &mut |block, frequencies| {
                assert_eq!(block.len(), frequencies.len());
                rows.extend_from_slice(block);
                all.extend_from_slice(frequencies);
                true
            });
            assert!(rows.is_sorted());
        }
        all
    }

    #[test]
    fn a_sealed_batch_answers_as_the_fresh_one() {
        let batch = batch(&["running dogs run", "cat", "the dog runs runs"], 5);
        let segment = Segment::seal(&batch, &Bits::default()).unwrap();
        for term in [
            word_term("runs"),
            stem_term("run"),
            word_term("common"),
            tag_term(2, b"tag"),
            word_term("x"),
        ] {
            let (mut fresh, sealed) = (list(&*batch, &term), list(&segment, &term));
            if term.space == Space::Tags {
                assert_eq!(fresh.len(), 3);
                fresh.iter_mut().for_each(|entry| entry.2.clear());
            }
            assert_eq!(fresh, sealed, "{term:?}");
            assert_eq!(blocks(&*batch, &term), blocks(&segment, &term));
            assert_eq!(blocks(&segment, &term), sealed.iter().map(|e| e.1).collect::<Vec<_>>());
        }
        assert_eq!(
            list(&segment, &word_term("common")),
            [(5, 1, vec![9]), (6, 1, vec![5]), (7, 1, vec![9])]
        );
        assert_eq!(segment.rows().key(1), b"key1");
    }

    #[test]
    fn dead_rows_are_left_out_when_sealing_and_merging() {
        let (first, second) = (batch(&["a1", "b1", "c1"], 0), batch(&["a1", "b2"], 3));
        let mut dead = Bits::default();
        dead.insert(1);
        let first = Arc::new(Segment::seal(&first, &dead).unwrap());
        let second = Arc::new(Segment::seal(&second, &Bits::default()).unwrap());
        let mut dead = Bits::default();
        dead.insert(1);
        let layout = Layout {
            columns: vec![crate::schema::ColumnKind::Numbers],
            field_bits: 1,
            weights: None,
            omits: crate::schema::Omits::default(),
        };
        let merged =
            Segment::merge(&[(first, Arc::new(dead)), (second, Arc::default())], &layout).unwrap();
        assert_eq!(merged.rows().len(), 3);
        let numbers: Vec<u32> = (0..3).map(|row| merged.rows().number(row)).collect();
        assert_eq!(numbers, [0, 3, 4]);
        assert_eq!(
            list(&merged, &word_term("a1")).iter().map(|hit| hit.0).collect::<Vec<_>>(),
            [0, 3]
        );
        assert!(
            list(&merged, &word_term("b1")).is_empty()
                && list(&merged, &word_term("c1")).is_empty()
        );
        let Some(Column::Numbers(numbers)) = merged.rows().column(0) else { unreachable!() };
        assert_eq!(
            (0..3).map(|row| numbers.first(row)).collect::<Vec<_>>(),
            [Some(0.0), Some(0.0), Some(1.0)]
        );
    }
}
