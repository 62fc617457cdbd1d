//! How are the arguments of FT.CREATE read?
//!
//! Orders, limits and error texts are RediSearch's. What this version lacks is refused by name, never ignored.

use std::ops::Range;
use std::time::Duration;

use crate::args::{Args, lossy, parse_number};
use crate::error::{ArgumentError, Error};
use crate::phonetics::is_matcher;
use crate::schema::filter::Filter;
use crate::schema::questions::Kept;
use crate::schema::{
    FIELDS_MAX, Field, FieldKind, NARROW_TEXT_FIELDS_MAX, Omits, PREFIXES_MAX, Schema, Source,
    TEXT_FIELDS_MAX,
};
use crate::shape::Surface;
use crate::tokenize::{Language, StopWords};
use crate::vector;

/// The definition of index `name` out of what follows the name in FT.CREATE.
pub fn create(name: &[u8], args: &[&[u8]]) -> Result<Schema, Error> {
    let definition = args.iter().map(|arg| Box::from(*arg)).collect();
    let mut args = Args::new(args);
    let mut schema = Schema { definition, ..options(name, &mut args)? };
    if !args.take("SCHEMA") {
        return Err(match args.peek() {
            Some(arg) => Error::UnknownArgument(lossy(arg)),
            None => Error::Text("No schema found"),
        });
    }
    fields(&mut schema, &mut args, Extent::New)?;
    Ok(schema)
}

/// Where the arguments of each field stand in a definition that [`create`] has read before.
pub(super) fn spans(name: &[u8], definition: &[&[u8]]) -> Result<Vec<Range<usize>>, Error> {
    let mut args = Args::new(definition);
    let mut schema = options(name, &mut args)?;
    args.take("SCHEMA");
    let mut spans = Vec::new();
    while !args.is_empty() {
        let start = definition.len() - args.len();
        next_field(&mut schema, &mut args)?;
        spans.push(start..definition.len() - args.len());
    }
    Ok(spans)
}

/// Whether fields are read for a new index or for one that has documents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    New,
    Existing,
}

fn options(name: &[u8], args: &mut Args<'_>) -> Result<Schema, Error> {
    let mut schema = Schema {
        name: name.into(),
        source: Source::Hash,
        db: 0,
        prefixes: vec![Box::default()],
        filter: None,
        language: Language::default(),
        language_given: false,
        language_field: None,
        score: 1.0,
        score_field: None,
        payload_field: None,
        stop_words: StopWords::default(),
        synonyms: std::sync::Arc::default(),
        skip_initial_scan: false,
        temporary: None,
        omits: Omits::default(),
        indexes_all: false,
        wide: false,
        fields: Vec::new(),
        definition: Vec::new(),
        kept_questions: Kept::default(),
    };
    loop {
        if args.take("ON") {
            schema.source = source(args.value("ON")?)?;
        } else if args.take("PREFIX") {
            schema.prefixes = prefixes(args.list("PREFIX")?)?;
        } else if args.take("FILTER") {
            schema.filter = Some(Filter::parse(args.value("FILTER")?)?);
        } else if args.take("LANGUAGE") {
            let name = args.value("LANGUAGE")?;
            schema.language = Language::find(name).ok_or(Error::Text("Invalid language"))?;
            schema.language_given = true;
        } else if args.take("LANGUAGE_FIELD") {
            schema.language_field = Some(args.value("LANGUAGE_FIELD")?.into());
        } else if args.take("SCORE") {
            schema.score = score(args.value("SCORE")?)?;
        } else if args.take("SCORE_FIELD") {
            schema.score_field = Some(args.value("SCORE_FIELD")?.into());
        } else if args.take("PAYLOAD_FIELD") {
            schema.payload_field = Some(args.value("PAYLOAD_FIELD")?.into());
        } else if args.take("STOPWORDS") {
            schema.stop_words = StopWords::custom(args.list("STOPWORDS")?);
        } else if args.take("SKIPINITIALSCAN") {
            schema.skip_initial_scan = true;
        } else if args.take("TEMPORARY") {
            schema.temporary = Some(temporary(args)?);
        } else if args.take("INDEXALL") {
            schema.indexes_all = indexes_all(args.value("INDEXALL")?)?;
        } else if args.take("MAXTEXTFIELDS") {
            schema.wide = true;
        } else if args.take("ASYNC") || args.take("NOSCOREIDX") {
            // Both have lost their meaning in RediSearch too.
        } else if args.take("NOOFFSETS") {
            (schema.omits.positions, schema.omits.excerpts) = (true, true);
        } else if args.take("NOHL") {
            schema.omits.excerpts = true;
        } else if args.take("NOFIELDS") {
            schema.omits.fields = true;
        } else if args.take("NOFREQS") {
            schema.omits.frequencies = true;
        } else {
            break;
        }
    }
    if schema.wide && schema.omits.fields {
        return Err(Error::Text("MAXTEXTFIELDS cannot be used with NOFIELDS"));
    }
    Ok(schema)
}

fn source(name: &[u8]) -> Result<Source, Error> {
    match name.to_ascii_uppercase().as_slice() {
        b"HASH" => Ok(Source::Hash),
        b"JSON" => Ok(Source::Json),
        _ => Err(Error::InvalidRuleType(lossy(name))),
    }
}

fn prefixes(list: &[&[u8]]) -> Result<Vec<Box<[u8]>>, Error> {
    if list.len() > PREFIXES_MAX {
        return Err(Error::TooManyPrefixes { given: list.len(), max: PREFIXES_MAX });
    }
    if list.is_empty() {
        return Ok(vec![Box::default()]);
    }
    Ok(list.iter().map(|prefix| Box::from(*prefix)).collect())
}

fn score(text: &[u8]) -> Result<f64, Error> {
    parse_number(text).filter(|s| (0.0..=1.0).contains(s)).ok_or(Error::Text("Invalid score"))
}

/// TEMPORARY takes whole seconds.
fn temporary(args: &mut Args<'_>) -> Result<Duration, Error> {
    let seconds = args.integer("TEMPORARY")?;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    let limit = || Error::BadArgument("TEMPORARY".to_owned(), ArgumentError::Limit);
    seconds.map(Duration::from_secs).ok_or_else(limit)
}

fn indexes_all(value: &[u8]) -> Result<bool, Error> {
    match value.to_ascii_uppercase().as_slice() {
        b"ENABLE" => Ok(true),
        b"DISABLE" => Ok(false),
        _ => Err(Error::Text("Invalid argument for `INDEXALL`, use ENABLE/DISABLE")),
    }
}

/// Reads fields up to the end of the arguments, and adds them.
pub(super) fn fields(
    schema: &mut Schema,
    args: &mut Args<'_>,
    extent: Extent,
) -> Result<(), Error> {
    if args.is_empty() {
        return Err(Error::Text("Fields arguments are missing"));
    }
    let narrow = extent == Extent::Existing
        && !schema.wide
        && schema.text_fields() <= NARROW_TEXT_FIELDS_MAX;
    while !args.is_empty() {
        next_field(schema, args)?;
        if narrow && schema.text_fields() > NARROW_TEXT_FIELDS_MAX {
            return Err(Error::Text(
                "Cannot add more fields. Declare index with wide fields to allow adding unlimited fields",
            ));
        }
    }
    if schema.is_too_nested() {
        return Err(Error::Text("NESTED fields lie in one another at most 3 deep"));
    }
    Ok(())
}

/// Reads one field, and adds it.
fn next_field(schema: &mut Schema, args: &mut Args<'_>) -> Result<(), Error> {
    let Some(path) = args.next_arg() else { return Ok(()) };
    if schema.fields.len() == FIELDS_MAX {
        return Err(Error::TooManyFields(FIELDS_MAX));
    }
    let mut name = path;
    if args.take("AS") {
        name = args.next_arg().ok_or(Error::Text("AS requires an argument"))?;
    }
    if name.is_empty() {
        return Err(Error::Text("Field name cannot be empty"));
    }
    if schema.field(name).is_some() {
        return Err(Error::DuplicateField(lossy(name)));
    }
    let field = field(schema, path, name, args)?;
    schema.push(field);
    Ok(())
}

/// Reads a field's type and what belongs to it.
pub(super) fn field(
    schema: &Schema,
    path: &[u8],
    name: &[u8],
    args: &mut Args<'_>,
) -> Result<Field, Error> {
    let mut field = Field {
        path: path.into(),
        name: name.into(),
        kind: FieldKind::Numeric,
        sortable: false,
        unnormalized: false,
        no_index: false,
        index_missing: false,
        index_empty: false,
        column: None,
        places: None,
    };
    if args.is_empty() {
        return Err(Error::FieldWithoutType(lossy(name)));
    }
    if args.take("TEXT") {
        text(schema, &mut field, args)?;
    } else if args.take("TAG") {
        tag(schema, &mut field, args)?;
    } else if args.take("NUMERIC") {
        field.index_missing = args.take("INDEXMISSING");
    } else if args.take("GEO") {
        field.kind = FieldKind::Geo;
        field.index_missing = args.take("INDEXMISSING");
    } else if args.take("GEOSHAPE") {
        field.kind = FieldKind::GeoShape(surface(args));
        field.index_missing = args.take("INDEXMISSING");
    } else if args.take("VECTOR") {
        let id = u16::try_from(schema.vector_fields().count()).expect("FIELDS_MAX fits");
        let options = std::sync::Arc::new(vector::options::parse(args)?);
        field.kind = FieldKind::Vector { id, options };
        field.index_missing = args.take("INDEXMISSING");
        // Neither SORTABLE nor NOINDEX belongs to vectors: such a word is the next field's name.
        return Ok(field);
    } else if args.take("NESTED") {
        field.kind = FieldKind::Nested;
        return schema.refuse_nested(path).map_or(Ok(field), |why| Err(Error::Text(why)));
    } else {
        return Err(Error::InvalidFieldType(lossy(name)));
    }
    loop {
        if args.take("SORTABLE") {
            field.sortable = true;
            // Numbers and case-sensitive tags have nothing to normalise.
            let kept = matches!(
                field.kind,
                FieldKind::Numeric | FieldKind::Tag { case_sensitive: true, .. }
            );
            field.unnormalized = args.take("UNF") || kept || schema.source == Source::Json;
        } else if args.take("NOINDEX") {
            field.no_index = true;
        } else {
            break;
        }
    }
    if field.no_index && field.index_missing {
        return Err(Error::NoIndexWithMissing(lossy(name)));
    }
    Ok(field)
}

fn surface(args: &mut Args<'_>) -> Surface {
    if args.take("FLAT") {
        return Surface::Flat;
    }
    args.take("SPHERICAL");
    Surface::Spherical
}

fn text(schema: &Schema, field: &mut Field, args: &mut Args<'_>) -> Result<(), Error> {
    let id = schema.text_fields();
    if id == TEXT_FIELDS_MAX {
        return Err(Error::TooManyTextFields(TEXT_FIELDS_MAX));
    }
    let (mut weight, mut no_stem, mut suffix_trie, mut phonetic) = (1.0, false, false, false);
    loop {
        if args.take("NOSTEM") {
            no_stem = true;
        } else if args.take("WEIGHT") {
            weight = match args.next_arg() {
                None => return Err(Error::BadArgument("weight".into(), ArgumentError::Missing)),
                Some(arg) => parse_number(arg)
                    .ok_or(Error::BadArgument("weight".into(), ArgumentError::Parse))?,
            };
        } else if args.take("PHONETIC") {
            let matcher = args.next_arg().ok_or(Error::Text("PHONETIC requires an argument"))?;
            if !is_matcher(matcher) {
                return Err(Error::Text(
                    "Matcher Format: <2 chars algorithm>:<2 chars language>. Support algorithms: double \
                     metaphone (dm). Supported languages: English (en), French (fr), Portuguese (pt) and Spanish (es)",
                ));
            }
            phonetic = true;
        } else if args.take("WITHSUFFIXTRIE") {
            suffix_trie = true;
        } else if args.take("INDEXEMPTY") {
            field.index_empty = true;
        } else if args.take("INDEXMISSING") {
            field.index_missing = true;
        } else {
            break;
        }
    }
    let id = u8::try_from(id).expect("TEXT_FIELDS_MAX fits");
    field.kind = FieldKind::Text { id, weight, no_stem, phonetic, suffix_trie };
    Ok(())
}

fn tag(schema: &Schema, field: &mut Field, args: &mut Args<'_>) -> Result<(), Error> {
    let mut separator = (schema.source == Source::Hash).then_some(b',');
    let (mut case_sensitive, mut suffix_trie) = (false, false);
    loop {
        if args.take("SEPARATOR") {
            let given = args.next_arg().ok_or(Error::Text("SEPARATOR requires an argument"))?;
            let [byte] = given else { return Err(Error::TagSeparator(lossy(given))) };
            separator = Some(*byte);
        } else if args.take("CASESENSITIVE") {
            case_sensitive = true;
        } else if args.take("WITHSUFFIXTRIE") {
            suffix_trie = true;
        } else if args.take("INDEXEMPTY") {
            field.index_empty = true;
        } else if args.take("INDEXMISSING") {
            field.index_missing = true;
        } else {
            break;
        }
    }
    field.kind = FieldKind::Tag { separator, case_sensitive, suffix_trie };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Schema, String> {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        create(b"idx", &words).map_err(|error| error.to_string())
    }

    #[test]
    fn options_and_fields_are_read() {
        let schema = parse(
            "ON JSON PREFIX 2 a: b: LANGUAGE german SCORE 0.5 STOPWORDS 0 SCHEMA $.t AS t TEXT WEIGHT 5 \
             NOSTEM SORTABLE $.g AS g TAG SEPARATOR ; CASESENSITIVE $.n AS n NUMERIC SORTABLE NOINDEX",
        )
        .unwrap();
        assert_eq!(schema.source, Source::Json);
        assert!(
            schema.follows(0, b"b:1") && !schema.follows(0, b"c:1") && !schema.follows(1, b"b:1")
        );
        assert_eq!(schema.language, Language::find(b"german").unwrap());
        assert_eq!(schema.fields.len(), 3);
        assert_eq!(schema.fields[0].column, Some(0));
        assert_eq!(schema.fields[1].column, None);
        assert_eq!(schema.fields[2].column, Some(1));
        assert!(schema.fields[2].no_index);
        assert_eq!(schema.weights().as_deref(), Some(&[5][..]));
        assert_eq!(
            schema.fields[1].kind,
            FieldKind::Tag { separator: Some(b';'), case_sensitive: true, suffix_trie: false }
        );
    }

    #[test]
    fn errors_are_those_of_redisearch() {
        let cases = [
            ("", "No schema found"),
            ("SCHEMA", "Fields arguments are missing"),
            ("FOO SCHEMA t TEXT", "Unknown argument `FOO`"),
            ("SCHEMA t", "Field `t` does not have a type"),
            ("SCHEMA t FOO", "Invalid field type for field `t`"),
            ("SCHEMA t TEXT t TEXT", "Duplicate field in schema - t"),
            ("SCHEMA t AS", "AS requires an argument"),
            (
                "SCHEMA t TEXT WEIGHT",
                "Bad arguments for weight: Expected an argument, but none provided",
            ),
            ("SCHEMA t TAG SEPARATOR ab", "Tag separator must be a single character. Got `ab`"),
            ("ON LIST SCHEMA t TEXT", "Invalid rule type: LIST"),
            ("PREFIX 2 a", "Bad arguments for PREFIX: Expected an argument, but none provided"),
            ("PREFIX x a", "Bad arguments for PREFIX: Could not convert argument to expected type"),
            ("SCORE 2 SCHEMA t TEXT", "Invalid score"),
            ("LANGUAGE klingon SCHEMA t TEXT", "Invalid language"),
            (
                "TEMPORARY 0 SCHEMA t TEXT",
                "Bad arguments for TEMPORARY: Value is outside acceptable bounds",
            ),
            ("SCHEMA v VECTOR FLAT 6", "Expected 6 parameters but got 0"),
            (
                "SCHEMA v VECTOR FLAT 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC L2 SORTABLE",
                "Field `SORTABLE` does not have a type",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line).unwrap_err(), expected, "{line}");
        }
    }

    #[test]
    fn places_have_columns_of_their_own() {
        let schema = parse(
            "SCHEMA g GEO SORTABLE s GEOSHAPE FLAT n NUMERIC v VECTOR FLAT 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC L2 \
             INDEXMISSING h GEO NOINDEX SORTABLE",
        )
        .unwrap();
        let numbers: Vec<_> =
            schema.fields.iter().map(|field| (field.column, field.places)).collect();
        let (some, none) = (Some::<u16>, None);
        assert_eq!(
            numbers,
            [
                (some(0), some(1)),
                (none, some(2)),
                (some(3), none),
                (none, some(4)),
                (some(5), none)
            ]
        );
        let kinds = schema.columns();
        assert_eq!(kinds[1], crate::schema::ColumnKind::Points);
        assert_eq!(kinds[2], crate::schema::ColumnKind::Shapes(Surface::Flat));
        assert_eq!((kinds[3], kinds.len()), (crate::schema::ColumnKind::Numbers, 6));
        assert!(schema.fields[3].index_missing);
    }
}
