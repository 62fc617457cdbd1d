//! Which files make up the indexes of a snapshot?
//!
//! A manifest says so, for all indexes that are whole at that moment, with the length and checksum of each file and with what
//! is no part of an immutable file: which rows are dead. `docs/formats/search-segments.md` has it byte by byte.

use std::io;

use crate::index::bits::Bits;
use crate::storage::codec::{Broken, Decoder, Encoder, ensure};
use crate::storage::file::Seal;
use crate::storage::{Uid, VERSION};

/// The first bytes of a manifest.
const MAGIC: &[u8; 8] = b"MFTmanif";
/// Bytes of a manifest, at most: a bit for each of two billion documents.
pub const BYTES_MAX: u64 = 256 << 20;
/// What the names of manifests, segments and vectors end with.
pub const EXTENSION: &str = "manifest";
const SEGMENT: &str = "segment";
const VECTORS: &str = "vectors";

/// What a snapshot was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The RDB file.
    Rdb,
    /// The base of the append-only file.
    Aof,
}

/// All indexes of a snapshot.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The snapshot's id.
    pub id: Uid,
    /// What it was taken for.
    pub kind: Kind,
    /// When (Unix, in milliseconds).
    pub at_ms: u64,
    /// Settings under which documents were indexed.
    pub fingerprint: Vec<u8>,
    /// The indexes.
    pub indexes: Vec<IndexPart>,
}

/// One index.
#[derive(Debug, Clone)]
pub struct IndexPart {
    /// Its name.
    pub name: Vec<u8>,
    /// Its database.
    pub db: u32,
    /// The arguments that define it.
    pub definition: Vec<Vec<u8>>,
    /// The number that its next document gets.
    pub next_number: u32,
    /// Whether some of its documents are about to vanish.
    pub expires: bool,
    /// Its segments, in the order of their numbers.
    pub segments: Vec<SegmentPart>,
    /// The vectors of its VECTOR fields, in their order.
    pub vectors: Vec<Part>,
}

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub uid: Uid,
    /// What tells it from others.
    pub seal: Seal,
}

/// A segment, and which of its rows are dead.
#[derive(Debug, Clone)]
pub struct SegmentPart {
    /// The file.
    pub part: Part,
    /// Its rows.
    pub rows: u32,
    /// The dead ones.
    pub dead: Bits,
}

impl Manifest {
    /// Writes the manifest, without the checksum behind it.
    pub fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.raw(MAGIC)?;
        out.number(VERSION)?;
        out.raw(self.id.bytes())?;
        out.number(match self.kind {
            Kind::Rdb => 0u8,
            Kind::Aof => 1,
        })?;
        out.number(self.at_ms)?;
        out.bytes(&self.fingerprint)?;
        out.length(self.indexes.len())?;
        self.indexes.iter().try_for_each(|index| index.encode(out))
    }

    /// The bytes of its file.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.encode(&mut Encoder::new(&mut bytes))?;
        let checksum = crc32fast::hash(&bytes);
        bytes.extend(checksum.to_le_bytes());
        Ok(bytes)
    }

    /// Reads a file.
    pub fn of_bytes(bytes: &[u8]) -> Result<Manifest, Broken> {
        let (content, checksum) = bytes.split_last_chunk::<4>().ok_or(Broken("it ends early"))?;
        let same = crc32fast::hash(content) == u32::from_le_bytes(*checksum);
        ensure(same, "its checksum is wrong")?;
        let mut bytes = Decoder::new(content);
        let manifest = Manifest::decode(&mut bytes)?;
        bytes.end()?;
        Ok(manifest)
    }

    /// Reads what [`Manifest::encode`] writes.
    pub fn decode(bytes: &mut Decoder<'_>) -> Result<Manifest, Broken> {
        ensure(bytes.raw(MAGIC.len())? == MAGIC, "it is no manifest")?;
        ensure(bytes.number::<u32>()? == VERSION, "it is of another version")?;
        let id = uid(bytes)?;
        let kind = match bytes.number::<u8>()? {
            0 => Kind::Rdb,
            1 => Kind::Aof,
            _ => return Err(Broken("it is of an unknown kind")),
        };
        let at_ms = bytes.number()?;
        let fingerprint = bytes.bytes()?.to_vec();
        let count = bytes.length(IndexPart::SIZE_MIN)?;
        let indexes = (0..count).map(|_| IndexPart::decode(bytes));
        let indexes = indexes.collect::<Result<_, _>>()?;
        Ok(Manifest { id, kind, at_ms, fingerprint, indexes })
    }

    /// Names of all its files.
    pub fn files(&self) -> impl Iterator<Item = String> {
        self.indexes.iter().flat_map(|index| {
            let segments = index.segments.iter().map(|segment| segment.part.segment_name());
            segments.chain(index.vectors.iter().map(Part::vectors_name))
        })
    }
}

impl IndexPart {
    const SIZE_MIN: usize = 8 + 4 + 8 + 4 + 1 + 8 + 8;

    fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.bytes(&self.name)?;
        out.number(self.db)?;
        out.length(self.definition.len())?;
        self.definition.iter().try_for_each(|argument| out.bytes(argument))?;
        out.number(self.next_number)?;
        out.number(u8::from(self.expires))?;
        out.length(self.segments.len())?;
        for segment in &self.segments {
            segment.part.encode(out)?;
            out.number(segment.rows)?;
            segment.dead.encode(out)?;
        }
        out.length(self.vectors.len())?;
        self.vectors.iter().try_for_each(|part| part.encode(out))
    }

    fn decode(bytes: &mut Decoder<'_>) -> Result<IndexPart, Broken> {
        let name = bytes.bytes()?.to_vec();
        let db = bytes.number()?;
        let count = bytes.length(8)?;
        let definition = (0..count).map(|_| Ok(bytes.bytes()?.to_vec()));
        let definition = definition.collect::<Result<_, Broken>>()?;
        let next_number = bytes.number()?;
        let expires = bytes.number::<u8>()? != 0;
        let count = bytes.length(Part::SIZE + 4 + 8)?;
        let segments = (0..count).map(|_| {
            let part = Part::decode(bytes)?;
            let rows = bytes.number()?;
            Ok(SegmentPart { part, rows, dead: Bits::decode(bytes, rows)? })
        });
        let segments = segments.collect::<Result<_, Broken>>()?;
        let count = bytes.length(Part::SIZE)?;
        let vectors = (0..count).map(|_| Part::decode(bytes)).collect::<Result<_, _>>()?;
        Ok(IndexPart { name, db, definition, next_number, expires, segments, vectors })
    }
}

impl Part {
    const SIZE: usize = 16 + 8 + 4;

    fn encode(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.raw(self.uid.bytes())?;
        out.number(self.seal.length)?;
        out.number(self.seal.checksum)
    }

    fn decode(bytes: &mut Decoder<'_>) -> Result<Part, Broken> {
        let uid = uid(bytes)?;
        let seal = Seal { length: bytes.number()?, checksum: bytes.number()? };
        Ok(Part { uid, seal })
    }

    /// The name of its file, if it is a segment.
    pub fn segment_name(&self) -> String {
        segment_name(self.uid)
    }

    /// The name of its file, if it is the vectors of a field.
    pub fn vectors_name(&self) -> String {
        vectors_name(self.uid)
    }
}

/// The name of a segment's file.
pub fn segment_name(uid: Uid) -> String {
    format!("{uid}.{SEGMENT}")
}

/// The name of the file of a field's vectors.
pub fn vectors_name(uid: Uid) -> String {
    format!("{uid}.{VECTORS}")
}

/// Whether a name may be one that this module gave to a file: others are left alone.
pub fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(".tmp").unwrap_or(name);
    let Some((uid, extension)) = name.split_once('.') else { return false };
    [EXTENSION, SEGMENT, VECTORS].contains(&extension)
        && uid.len() == 32
        && uid.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn uid(bytes: &mut Decoder<'_>) -> Result<Uid, Broken> {
    Uid::of(bytes.raw(16)?).ok_or(Broken("it ends early"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(byte: u8) -> Part {
        let uid = Uid::of(&[byte; 16]).unwrap();
        Part { uid, seal: Seal { length: 5, checksum: 7 } }
    }

    fn manifest() -> Manifest {
        let mut dead = Bits::default();
        dead.insert(69);
        Manifest {
            id: part(9).uid,
            kind: Kind::Aof,
            at_ms: 12,
            fingerprint: b"settings".to_vec(),
            indexes: vec![IndexPart {
                name: b"idx".to_vec(),
                db: 3,
                definition: vec![b"SCHEMA".to_vec(), b"t".to_vec(), b"TEXT".to_vec()],
                next_number: 100,
                expires: true,
                segments: vec![SegmentPart { part: part(1), rows: 70, dead }],
                vectors: vec![part(2)],
            }],
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let bytes = manifest().to_bytes().unwrap();
        let read = Manifest::of_bytes(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", manifest()));
        let names: Vec<String> = read.files().collect();
        assert_eq!(names, [segment_name(part(1).uid), vectors_name(part(2).uid)]);
        assert!(names.iter().all(|name| is_ours(name) && is_ours(&format!("{name}.tmp"))));
        assert!(!is_ours("dump.rdb") && !is_ours("notes.segment"));
    }

    #[test]
    fn a_changed_manifest_is_refused() {
        let bytes = manifest().to_bytes().unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(Manifest::of_bytes(&changed).is_err(), "byte {at}");
            assert!(Manifest::of_bytes(&bytes[..at]).is_err(), "{at} bytes");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Manifest::of_bytes(&longer).is_err());
    }

    #[test]
    fn any_bytes_behind_a_right_checksum_are_survived() {
        let content = manifest().to_bytes().unwrap();
        let content = &content[..content.len() - 4];
        for at in 0..content.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = content.to_vec();
                changed[at] = value;
                // Either way, as long as nothing panics.
                let _ = Manifest::decode(&mut Decoder::new(&changed));
            }
        }
    }
}
