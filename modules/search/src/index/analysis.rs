//! What does a document contribute to the index?
//!
//! Field values, as they come from a hash or a JSON document, become words with positions, tags, and column values.
//! Positions run on through all TEXT fields of a document in the order of the schema, and count only what is kept;
//! values of one JSON array stand `search-multi-text-slop` apart. A value that does not fit its field's type refuses
//! the whole document, as in RediSearch.

mod elements;

use std::borrow::Cow;

use crate::args::parse_number;
use crate::columns::Value;
use crate::index::places::{self, Vectors};
use crate::phonetics::{SOUND_MARK, sound};
use crate::query::expand::is_marked;
use crate::query::plan::{MISSING_FIELD, missing_term, tag_term};
use crate::schema::{Field, FieldKind, Schema, occurrence_weight};
use crate::settings;
use crate::synonyms::GROUP_MARK;
use crate::tokenize::{Language, Segment, lower_bytes, segments, words};

/// Last position in a document; words behind it are not indexed. Leaves the bits of the field's number free.
pub const POSITION_MAX: u32 = (1 << 24) - 1;
/// Longest tag, in bytes; longer ones are cut, as in RediSearch.
pub const TAG_BYTES_MAX: usize = 4096;

/// The value of one field as its source has it.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue<'a> {
    /// There is none, or JSON null.
    Missing,
    /// The value of a hash field.
    Bytes(Cow<'a, [u8]>),
    /// One JSON string.
    Text(Cow<'a, [u8]>),
    /// One JSON boolean; only TAG fields take it.
    Boolean(bool),
    /// One JSON number.
    Number(f64),
    /// The elements of a JSON array, or the matches of a path with several.
    Array(Vec<FieldValue<'a>>),
    /// The same, if they are numbers and nothing else.
    Numbers(Vec<f64>),
    /// Objects of a JSON array, of each the values of the members of a NESTED field.
    Elements(Vec<Vec<FieldValue<'a>>>),
    /// Something that no field takes: a JSON object.
    Object,
}

/// Why a document is not indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field.
    pub field: Box<[u8]>,
    /// What is wrong with its value.
    pub reason: String,
}

/// One word of a document.
#[derive(Debug, Clone, Copy)]
pub struct Token {
    /// Where the word lies in [`Analysis::text`].
    pub start: u32,
    /// See `start`.
    pub end: u32,
    /// Its position.
    pub position: u32,
    /// Number of its TEXT field.
    pub field: u8,
    /// Its stem is indexed with it.
    pub stemmed: bool,
}

/// What a document contributes. Kept and reused: its buffers are the only allocations of the common case.
#[derive(Debug, Default)]
pub struct Analysis {
    /// The words, one behind the other.
    pub text: String,
    /// Where each begins, and where it stood.
    pub tokens: Vec<Token>,
    /// Terms of the tag dictionary.
    pub tags: Vec<Vec<u8>>,
    /// Values, by column.
    pub values: Vec<Value>,
    /// Vectors; their columns have no values yet.
    pub vectors: Vec<Vectors>,
    /// Words, each counted as often as its field weighs.
    pub length: u32,
    /// Language of the words.
    pub language: Language,
    /// The document's own score.
    pub score: f32,
    position: u32,
}

impl Analysis {
    /// Takes in a document whose fields have these values, in the order of the schema.
    pub fn read(&mut self, schema: &Schema, values: &[FieldValue<'_>]) -> Result<(), Refusal> {
        self.text.clear();
        self.tokens.clear();
        self.tags.clear();
        self.values.clear();
        self.vectors.clear();
        self.length = 0;
        self.position = 0;
        for (number, (field, value)) in schema.fields.iter().zip(values).enumerate() {
            let number = u16::try_from(number).expect("FIELDS_MAX fits");
            debug_assert!(number != MISSING_FIELD);
            self.field(schema, number, field, value)
                .map_err(|reason| Refusal { field: field.name.clone(), reason })?;
        }
        self.tags.sort_unstable();
        self.tags.dedup();
        Ok(())
    }

    fn field(
        &mut self,
        schema: &Schema,
        number: u16,
        field: &Field,
        value: &FieldValue<'_>,
    ) -> Result<(), String> {
        let missing = matches!(value, FieldValue::Missing);
        if missing && field.index_missing {
            self.tags.push(missing_term(number).bytes);
        }
        match &field.kind {
            FieldKind::Text { id, weight, no_stem, phonetic, .. } => {
                let times = occurrence_weight(*weight);
                let gap = u32::try_from(settings::MULTI_TEXT_SLOP.get()).unwrap_or(u32::MAX);
                let mut first = true;
                each_text(value, Takes::Text, &mut |text| {
                    if field.is_searchable() {
                        let before = self.tokens.len();
                        if !std::mem::take(&mut first) {
                            self.position = self.position.saturating_add(gap);
                        }
                        self.words(schema, text, *id, times, !no_stem);
                        if *phonetic {
                            self.sounds(before);
                        }
                        if text.is_empty() && field.index_empty {
                            self.empty_word(*id, times);
                        }
                    }
                })?;
            }
            FieldKind::Tag { separator, case_sensitive, .. } => {
                each_text(value, Takes::Tags, &mut |text| {
                    if field.is_searchable() {
                        each_tag(text, *separator, *case_sensitive, field.index_empty, |tag| {
                            self.tags.push(tag_term(number, tag).bytes);
                        });
                    }
                })?;
            }
            FieldKind::Numeric
            | FieldKind::Geo
            | FieldKind::GeoShape(_)
            | FieldKind::Vector { .. }
            | FieldKind::Nested => {}
        }
        if field.column.is_some() {
            self.values.push(column_value(field, value)?);
        }
        if let Some(column) = field.places {
            let value = match &field.kind {
                FieldKind::Nested => self.elements(schema, number, value)?,
                _ => self.places(field, column, value)?,
            };
            self.values.push(value);
        }
        Ok(())
    }

    fn places(
        &mut self,
        field: &Field,
        column: u16,
        value: &FieldValue<'_>,
    ) -> Result<Value, String> {
        match &field.kind {
            FieldKind::Geo => places::points(value),
            FieldKind::GeoShape(surface) => places::shape(value, *surface),
            FieldKind::Vector { id, options } => {
                let bytes = places::vectors(value, options)?;
                if !bytes.is_empty() {
                    self.vectors.push(Vectors { id: *id, column, bytes });
                }
                Ok(Value::Absent)
            }
            FieldKind::Text { .. }
            | FieldKind::Tag { .. }
            | FieldKind::Numeric
            | FieldKind::Nested => unreachable!("they have no places"),
        }
    }

    fn words(&mut self, schema: &Schema, text: &[u8], field: u8, times: u32, stem: bool) {
        let stem_min = settings::size(&settings::MIN_STEM_LENGTH);
        let is_chinese = self.language.is_chinese();
        words(text, &schema.stop_words, |word| {
            if is_chinese && !word.is_ascii() {
                return segments(word, |segment| match segment {
                    Segment::Other(word) => self.word(schema, word, field, times, false),
                    Segment::Han(one, pair) => {
                        self.word(schema, one, field, times, false);
                        if let Some(pair) = pair {
                            self.beside("", pair, self.position, field);
                        }
                    }
                });
            }
            self.word(schema, word, field, times, stem && word.len() >= stem_min);
        });
    }

    fn word(&mut self, schema: &Schema, word: &str, field: u8, times: u32, stemmed: bool) {
        if self.position >= POSITION_MAX {
            return;
        }
        self.position += 1;
        self.length = self.length.saturating_add(times);
        let start = u32::try_from(self.text.len()).expect("a value has at most 512 MiB");
        self.text.push_str(word);
        let end = u32::try_from(self.text.len()).expect("as above");
        self.tokens.push(Token { start, end, position: self.position, field, stemmed });
        for group in schema.synonyms.groups(word) {
            self.beside(GROUP_MARK.encode_utf8(&mut [0; 4]), group, self.position, field);
        }
    }

    /// Indexes the words from token `first` on by their sounds, too.
    fn sounds(&mut self, first: usize) {
        let length_min = settings::size(&settings::MIN_PHONETIC_LENGTH);
        for at in first..self.tokens.len() {
            let Token { start, end, position, field, .. } = self.tokens[at];
            let word = &self.text[start as usize..end as usize];
            if word.len() < length_min || is_marked(word.as_bytes()) {
                continue;
            }
            if let Some(code) = sound(word) {
                self.beside(SOUND_MARK.encode_utf8(&mut [0; 4]), &code, position, field);
            }
        }
    }

    /// Indexes something more where a word stands.
    fn beside(&mut self, mark: &str, text: &str, position: u32, field: u8) {
        let start = u32::try_from(self.text.len()).expect("a value has at most 512 MiB");
        self.text.push_str(mark);
        self.text.push_str(text);
        let end = u32::try_from(self.text.len()).expect("as above");
        self.tokens.push(Token { start, end, position, field, stemmed: false });
    }

    fn empty_word(&mut self, field: u8, times: u32) {
        self.position += 1;
        self.length = self.length.saturating_add(times);
        let at = u32::try_from(self.text.len()).expect("a value has at most 512 MiB");
        self.tokens.push(Token {
            start: at,
            end: at,
            position: self.position,
            field,
            stemmed: false,
        });
    }
}

/// Calls `each` with the tags of a text as they are indexed.
fn each_tag(
    text: &[u8],
    separator: Option<u8>,
    case_sensitive: bool,
    index_empty: bool,
    mut each: impl FnMut(&[u8]),
) {
    let mut push = |raw: &[u8]| {
        let raw = raw.trim_ascii();
        if raw.is_empty() && !index_empty {
            return;
        }
        let raw = &raw[..raw.len().min(TAG_BYTES_MAX)];
        if case_sensitive { each(raw) } else { each(&lower_bytes(raw)) }
    };
    match separator {
        Some(separator) => text.split(|byte| *byte == separator).for_each(&mut push),
        None => push(text),
    }
}

/// Which type of field asks for texts.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Text,
    Tags,
}

/// Calls `each` with the texts of a value.
fn each_text(
    value: &FieldValue<'_>,
    takes: Takes,
    each: &mut dyn FnMut(&[u8]),
) -> Result<(), String> {
    match value {
        FieldValue::Missing => {}
        FieldValue::Bytes(text) | FieldValue::Text(text) => each(text),
        FieldValue::Boolean(value) if takes == Takes::Tags => each(boolean(*value)),
        FieldValue::Array(elements) => {
            for element in elements {
                match element {
                    FieldValue::Missing => {}
                    FieldValue::Text(text) => each(text),
                    FieldValue::Boolean(value) if takes == Takes::Tags => each(boolean(*value)),
                    _ => return Err(takes.mismatch()),
                }
            }
        }
        FieldValue::Boolean(_)
        | FieldValue::Number(_)
        | FieldValue::Numbers(_)
        | FieldValue::Elements(_)
        | FieldValue::Object => {
            return Err(takes.mismatch());
        }
    }
    Ok(())
}

fn boolean(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}

impl Takes {
    fn mismatch(self) -> String {
        mismatch(match self {
            Takes::Text => "TEXT",
            Takes::Tags => "TAG",
        })
    }
}

/// What is said of a JSON value of the wrong type.
pub(super) fn mismatch(field_type: &str) -> String {
    format!("Invalid JSON type: the value cannot be indexed as {field_type}")
}

fn column_value(field: &Field, value: &FieldValue<'_>) -> Result<Value, String> {
    match &field.kind {
        FieldKind::Numeric => numeric_value(value),
        _ => {
            let text = match value {
                FieldValue::Bytes(text) | FieldValue::Text(text) => text,
                // An array sorts by its first text.
                FieldValue::Array(elements) => {
                    let first = elements.iter().find_map(|element| match element {
                        FieldValue::Text(text) => Some(text),
                        _ => None,
                    });
                    match first {
                        Some(text) => text,
                        None => return Ok(Value::Absent),
                    }
                }
                _ => return Ok(Value::Absent),
            };
            Ok(Value::Text(if field.unnormalized { text.to_vec() } else { lower_bytes(text) }))
        }
    }
}

fn numeric_value(value: &FieldValue<'_>) -> Result<Value, String> {
    match value {
        FieldValue::Missing => Ok(Value::Absent),
        FieldValue::Number(number) => Ok(Value::Number(*number)),
        FieldValue::Bytes(text) => match parse_number(text) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(format!("Invalid numeric value: '{}'", String::from_utf8_lossy(text))),
        },
        FieldValue::Array(elements) => {
            let mut numbers = Vec::with_capacity(elements.len());
            for element in elements {
                match element {
                    FieldValue::Missing => {}
                    FieldValue::Number(number) => numbers.push(*number),
                    _ => return Err(mismatch("NUMERIC")),
                }
            }
            Ok(several_numbers(numbers))
        }
        FieldValue::Numbers(numbers) => Ok(several_numbers(numbers.clone())),
        FieldValue::Text(_)
        | FieldValue::Boolean(_)
        | FieldValue::Elements(_)
        | FieldValue::Object => Err(mismatch("NUMERIC")),
    }
}

fn several_numbers(numbers: Vec<f64>) -> Value {
    match numbers.as_slice() {
        [] => Value::Absent,
        [number] => Value::Number(*number),
        _ => Value::Numbers(numbers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::parse::create;

    fn schema(line: &str) -> Schema {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        create(b"idx", &words).unwrap()
    }

    fn bytes(text: &str) -> FieldValue<'_> {
        FieldValue::Bytes(Cow::Borrowed(text.as_bytes()))
    }

    fn positions(analysis: &Analysis) -> Vec<(&str, u32, u8)> {
        let word =
            |t: &Token| (&analysis.text[t.start as usize..t.end as usize], t.position, t.field);
        analysis.tokens.iter().map(word).collect()
    }

    #[test]
    fn positions_run_on_through_the_fields() {
        let schema = schema("SCHEMA a TEXT b TEXT WEIGHT 3 c TAG n NUMERIC");
        let mut analysis = Analysis::default();
        let values = [bytes("the Big dog"), bytes("cat"), bytes(" X, y z,,x "), bytes("1.5")];
        analysis.read(&schema, &values).unwrap();
        assert_eq!(positions(&analysis), [("big", 1, 0), ("dog", 2, 0), ("cat", 3, 1)]);
        assert_eq!(analysis.length, 5);
        assert_eq!(analysis.tags, [tag_term(2, b"x").bytes, tag_term(2, b"y z").bytes]);
        assert_eq!(analysis.values, [Value::Number(1.5)]);
    }

    #[test]
    fn arrays_leave_gaps_and_keep_whole_tags() {
        let schema = schema("ON JSON SCHEMA $.a AS a TEXT $.t AS t TAG $.n AS n NUMERIC");
        let text = |text: &'static str| FieldValue::Text(Cow::Borrowed(text.as_bytes()));
        let mut analysis = Analysis::default();
        let values = [
            FieldValue::Array(vec![text("one two"), FieldValue::Missing, text("three")]),
            FieldValue::Array(vec![text("a,b"), text("c")]),
            FieldValue::Array(vec![FieldValue::Number(1.0), FieldValue::Number(2.0)]),
        ];
        analysis.read(&schema, &values).unwrap();
        assert_eq!(positions(&analysis), [("one", 1, 0), ("two", 2, 0), ("three", 103, 0)]);
        assert_eq!(analysis.tags, [tag_term(1, b"a,b").bytes, tag_term(1, b"c").bytes]);
        assert_eq!(analysis.values, [Value::Numbers(vec![1.0, 2.0])]);
    }

    #[test]
    fn a_value_of_the_wrong_type_refuses_the_document() {
        let schema = schema("SCHEMA n NUMERIC");
        let refusal = Analysis::default().read(&schema, &[bytes("abc")]).unwrap_err();
        assert_eq!(&*refusal.field, b"n");
        let json = self::schema("ON JSON SCHEMA $.t AS t TEXT");
        assert!(Analysis::default().read(&json, &[FieldValue::Number(1.0)]).is_err());
    }
}
