//! How does a sealed segment become a file, and a file a segment?
//!
//! Behind a head stand the rows, then tantivy's files as tantivy has made them, each with its length. `docs/formats/
//! search-segments.md` has it byte by byte.

use std::io::{self, Write};

use tantivy::directory::TerminatingWrite;
use tantivy::index::SegmentComponent;

use super::*;
use crate::schema::ColumnKind;
use crate::storage::VERSION;
use crate::storage::codec::{Broken, Decoder, Encoder, ensure};

/// The first bytes of a file.
const MAGIC: &[u8; 8] = b"MFTsegmt";
/// A position has 32 bits, of which the TEXT field takes at most seven.
const FIELD_BITS_MAX: u32 = 7;

/// The files of a segment, in the order in which they are stored.
const FILES: [SegmentComponent; 6] = [
    SegmentComponent::Terms,
    SegmentComponent::Postings,
    SegmentComponent::Positions,
    SegmentComponent::FieldNorms,
    SegmentComponent::FastFields,
    SegmentComponent::Store,
];

impl Segment {
    /// Writes the segment.
    pub fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.raw(MAGIC)?;
        out.number(VERSION)?;
        out.number(self.field_bits)?;
        out.length(self.size.position_bytes)?;
        out.number(self.size.records)?;
        out.number(self.size.occurrences)?;
        self.rows.encode(out)?;
        for component in FILES {
            let file = self.segment.open_read(component).map_err(io::Error::other)?;
            let bytes = file.read_bytes()?;
            out.bytes(&bytes)?;
        }
        Ok(())
    }

    /// Reads a segment of a schema with these columns and field bits up to these; `bytes` were checked to be what was
    /// written, since tantivy reads its files without suspicion.
    pub fn decode(bytes: &[u8], kinds: &[ColumnKind], bits_max: u32) -> Result<Segment, Error> {
        let (head, files) = read(bytes, kinds)?;
        ensure(head.field_bits <= bits_max, "more fields than the schema has")?;
        let directory = RamDirectory::create();
        let builder = IndexBuilder::new().schema(FIELDS.schema.clone()).settings(settings());
        let index = builder.open_or_create(directory.clone())?;
        let segment = index.new_segment().with_max_doc(head.rows.len());
        for (component, bytes) in FILES.into_iter().zip(files) {
            let mut file = segment.open_write(component).map_err(tantivy::TantivyError::from)?;
            file.write_all(bytes)
                .and_then(|()| file.terminate())
                .map_err(|error| Error::Internal(error.to_string()))?;
        }
        let reader = SegmentReader::open(&segment)?;
        Ok(Segment {
            words: reader.inverted_index(FIELDS.words)?,
            tags: reader.inverted_index(FIELDS.tags)?,
            size: PostingsSize { bytes: directory.total_mem_usage(), ..head.size },
            uid: Uid::new(),
            segment,
            rows: head.rows,
            field_bits: head.field_bits,
        })
    }

    /// The same segment under the name by which it is known on disk.
    pub fn with_uid(self, uid: Uid) -> Segment {
        Segment { uid, ..self }
    }
}

/// What stands before tantivy's files.
struct Head {
    field_bits: u32,
    size: PostingsSize,
    rows: Rows,
}

fn read<'b>(
    bytes: &'b [u8],
    kinds: &[ColumnKind],
) -> Result<(Head, [&'b [u8]; FILES.len()]), Broken> {
    let mut bytes = Decoder::new(bytes);
    ensure(bytes.raw(MAGIC.len())? == MAGIC, "it is no segment")?;
    ensure(bytes.number::<u32>()? == VERSION, "it is of another version")?;
    let field_bits = bytes.number::<u32>()?;
    ensure(field_bits <= FIELD_BITS_MAX, "too many fields")?;
    let size = PostingsSize {
        bytes: 0,
        position_bytes: usize::try_from(bytes.number::<u64>()?).unwrap_or(usize::MAX),
        records: bytes.number()?,
        occurrences: bytes.number()?,
    };
    let rows = Rows::decode(&mut bytes, kinds)?;
    ensure(!rows.is_empty(), "a segment is empty")?;
    let mut files: [&[u8]; FILES.len()] = [&[]; FILES.len()];
    for file in &mut files {
        *file = bytes.bytes()?;
    }
    bytes.end()?;
    Ok((Head { field_bits, size, rows }, files))
}

/// Reads all of a segment that is our own format, for the sake of what may go wrong; gives the number of rows.
pub fn check(bytes: &[u8], kinds: &[ColumnKind]) -> Result<u32, Broken> {
    Ok(read(bytes, kinds)?.0.rows.len())
}
