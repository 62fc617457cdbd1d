//! What does an index hold, and of which keys?
//!
//! The schema of an index is fixed but for its list of fields, which only ever grows (FT.ALTER ... ADD): a field's number
//! is its place in that list, and TEXT fields and columns are numbered in the same order, so what was indexed under an
//! older, shorter list stays readable under the newer one. Any other change makes a new index.

use std::sync::Arc;
use std::time::Duration;

use crate::shape::Surface;
use crate::synonyms::Synonyms;
use crate::tokenize::{Language, StopWords};
use crate::vector;

pub mod alter;
pub mod filter;
pub mod nested;
pub mod parse;
pub mod questions;

/// Fields of one index, all types.
pub const FIELDS_MAX: usize = 1024;
/// TEXT fields of one index: one bit each in a [`FieldMask`].
pub const TEXT_FIELDS_MAX: usize = 128;
/// TEXT fields up to which an index may grow if it was not created with MAXTEXTFIELDS.
pub const NARROW_TEXT_FIELDS_MAX: usize = 32;
/// Prefixes of one index.
pub const PREFIXES_MAX: usize = 1024;

/// A set of TEXT fields, by their numbers.
pub type FieldMask = u128;
/// All TEXT fields, also those that are added later.
pub const ALL_FIELDS: FieldMask = FieldMask::MAX;

/// Which type of key an index follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Hashes.
    Hash,
    /// Documents of the JSON module.
    Json,
}

/// Definition of an index.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Its name, as FT.CREATE was given it.
    pub name: Box<[u8]>,
    /// Which type of key it follows.
    pub source: Source,
    /// The database whose keys it follows.
    pub db: i32,
    /// It follows keys that begin with one of these.
    pub prefixes: Vec<Box<[u8]>>,
    /// Of these it takes those for which this holds.
    pub filter: Option<filter::Filter>,
    /// Language of documents that do not name theirs.
    pub language: Language,
    /// Whether `language` was given or is the default.
    pub language_given: bool,
    /// The field in which a document names its language.
    pub language_field: Option<Box<[u8]>>,
    /// Score of documents that do not bring their own.
    pub score: f64,
    /// The field in which a document brings its score.
    pub score_field: Option<Box<[u8]>>,
    /// The field in which a document brings its payload.
    pub payload_field: Option<Box<[u8]>>,
    /// Words that are not indexed.
    pub stop_words: StopWords,
    /// Words that mean the same.
    pub synonyms: Arc<Synonyms>,
    /// Keys that exist when the index is created stay out of it.
    pub skip_initial_scan: bool,
    /// The index and its documents are deleted when nobody has used it for so long.
    pub temporary: Option<Duration>,
    /// What is not kept of words.
    pub omits: Omits,
    /// INDEXALL, which FT.INFO shows: the list of all documents that it asks for is always at hand.
    pub indexes_all: bool,
    /// Whether more than [`NARROW_TEXT_FIELDS_MAX`] TEXT fields may be added.
    pub wide: bool,
    /// The fields, by number.
    pub fields: Vec<Field>,
    /// The arguments of the FT.CREATE that makes this index, behind its name.
    pub definition: Vec<Box<[u8]>>,
    /// What is asked of JSON documents, see [`Schema::questions`].
    pub kept_questions: questions::Kept,
}

/// What an index does not keep of words, to be smaller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Omits {
    /// NOFREQS: how often they occur; every word of a document counts once.
    pub frequencies: bool,
    /// NOFIELDS: in which fields; a clause about some fields is about all.
    pub fields: bool,
    /// NOOFFSETS: where; phrases and distances mean that the words occur.
    pub positions: bool,
    /// NOHL, and NOOFFSETS: what excerpts need. They are made from the key here, but refused as they are in RediSearch.
    pub excerpts: bool,
}

/// One field of a schema.
#[derive(Debug, Clone)]
pub struct Field {
    /// Where its value is found: a hash field or a JSON path.
    pub path: Box<[u8]>,
    /// The name that queries use.
    pub name: Box<[u8]>,
    /// Its type and what belongs to the type.
    pub kind: FieldKind,
    /// A copy of the value is kept for sorting.
    pub sortable: bool,
    /// The copy is kept as it is, not lower-cased.
    pub unnormalized: bool,
    /// Not searchable, only sortable.
    pub no_index: bool,
    /// Documents without the field can be searched for.
    pub index_missing: bool,
    /// Empty values can be searched for.
    pub index_empty: bool,
    /// Its number among the columns, if it has one: NUMERIC and sortable fields do.
    pub column: Option<u16>,
    /// Number of the column that its clauses look at, if its type has one that is not for sorting: the points of GEO,
    /// the shapes of GEOSHAPE, the slots of VECTOR, the elements of NESTED.
    pub places: Option<u16>,
}

/// Type of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldKind {
    /// Words.
    Text {
        /// Number among the TEXT fields.
        id: u8,
        /// How much an occurrence counts in scores.
        weight: f64,
        /// Words are not stemmed.
        no_stem: bool,
        /// Words are indexed by their sound, too.
        phonetic: bool,
        /// Given and shown; suffix searches scan the dictionary either way.
        suffix_trie: bool,
    },
    /// Whole values.
    Tag {
        /// What stands between the values of one string; none in JSON.
        separator: Option<u8>,
        /// Values differ by case.
        case_sensitive: bool,
        /// As for TEXT.
        suffix_trie: bool,
    },
    /// A 64-bit float.
    Numeric,
    /// A place on earth.
    Geo,
    /// A point or polygon.
    GeoShape(Surface),
    /// Vectors of one length.
    Vector {
        /// Number among the VECTOR fields.
        id: u16,
        /// What the field's vectors are and how they are searched.
        options: Arc<vector::Options>,
    },
    /// Objects of a JSON array, of which other fields are members.
    Nested,
}

/// What one column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Numbers, of which a JSON array may bring several.
    Numbers,
    /// Byte strings.
    Texts,
    /// Places on earth.
    Points,
    /// Shapes.
    Shapes(Surface),
    /// Where the vectors of a document lie: numbers of slots.
    Slots,
    /// What elements have, as runs of bytes.
    Elements,
}

impl Schema {
    /// The field that queries call `name`, with its number.
    pub fn field(&self, name: &[u8]) -> Option<(u16, &Field)> {
        let at = self.fields.iter().position(|field| &*field.name == name)?;
        Some((u16::try_from(at).expect("FIELDS_MAX fits"), &self.fields[at]))
    }

    /// Number of TEXT fields.
    pub fn text_fields(&self) -> usize {
        self.fields.iter().filter(|f| matches!(f.kind, FieldKind::Text { .. })).count()
    }

    /// The VECTOR fields, by their number among these.
    pub fn vector_fields(&self) -> impl Iterator<Item = (&Field, &Arc<vector::Options>)> {
        self.fields.iter().filter_map(|field| match &field.kind {
            FieldKind::Vector { options, .. } => Some((field, options)),
            _ => None,
        })
    }

    /// What the columns hold, by column number.
    pub fn columns(&self) -> Vec<ColumnKind> {
        let of_field = |field: &Field| {
            let sorted = field.column.map(|_| field.column_kind());
            [sorted, field.places.and_then(|_| field.places_kind())]
        };
        self.fields.iter().flat_map(of_field).flatten().collect()
    }

    /// What FT.INFO shows as index_options, in the order of RediSearch.
    pub fn options(&self) -> impl Iterator<Item = &'static str> {
        let Omits { frequencies, fields, positions, excerpts } = self.omits;
        let options = [
            (frequencies, "NOFREQS"),
            (fields, "NOFIELDS"),
            (positions, "NOOFFSETS"),
            (excerpts, "NOHL"),
            (self.wide, "MAXTEXTFIELDS"),
        ];
        options.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name)
    }

    /// Low bits of a stored position that tell the TEXT field of an occurrence.
    pub fn field_bits(&self) -> u32 {
        // Weights are looked up by field, so these must be known even if no clause asks for them.
        if self.omits.fields && self.weights().is_none() {
            return 0;
        }
        self.text_fields().max(1).next_power_of_two().trailing_zeros()
    }

    /// How often an occurrence in each TEXT field counts, by its number; none while that is once everywhere.
    pub fn weights(&self) -> Option<Box<[u32]>> {
        let weights: Box<[u32]> = self
            .fields
            .iter()
            .filter_map(|field| match field.kind {
                FieldKind::Text { weight, .. } => Some(occurrence_weight(weight)),
                _ => None,
            })
            .collect();
        weights.iter().any(|weight| *weight != 1).then_some(weights)
    }

    /// Whether the index follows `key` of database `db`.
    pub fn follows(&self, db: i32, key: &[u8]) -> bool {
        self.db == db && self.prefixes.iter().any(|prefix| key.starts_with(prefix))
    }

    /// Adds a field; numbers and limits are the caller's business (`parse`).
    fn push(&mut self, mut field: Field) {
        let mut used = self.columns().len();
        let mut next = || {
            used += 1;
            u16::try_from(used - 1).expect("FIELDS_MAX fields have at most twice as many columns")
        };
        if field.sortable || field.kind == FieldKind::Numeric {
            field.column = Some(next());
        }
        if field.is_searchable() && field.places_kind().is_some() {
            field.places = Some(next());
        }
        self.fields.push(field);
    }
}

impl Field {
    /// Whether queries may use it.
    pub fn is_searchable(&self) -> bool {
        !self.no_index
    }

    /// What its column holds, if it has one.
    pub fn column_kind(&self) -> ColumnKind {
        match self.kind {
            FieldKind::Numeric => ColumnKind::Numbers,
            FieldKind::Text { .. }
            | FieldKind::Tag { .. }
            | FieldKind::Geo
            | FieldKind::GeoShape(_)
            | FieldKind::Vector { .. }
            | FieldKind::Nested => ColumnKind::Texts,
        }
    }

    /// What the column holds that clauses of its type look at, if they do.
    fn places_kind(&self) -> Option<ColumnKind> {
        match self.kind {
            FieldKind::Text { .. } | FieldKind::Tag { .. } | FieldKind::Numeric => None,
            FieldKind::Geo => Some(ColumnKind::Points),
            FieldKind::GeoShape(surface) => Some(ColumnKind::Shapes(surface)),
            FieldKind::Vector { .. } => Some(ColumnKind::Slots),
            FieldKind::Nested => Some(ColumnKind::Elements),
        }
    }
}

/// How often one occurrence counts in a field of this weight: whole times, at least once.
pub fn occurrence_weight(weight: f64) -> u32 {
    // A float that is out of range saturates, NaN becomes 0.
    (weight as u32).max(1)
}
