//! What can a client be told when a request is refused?
//!
//! One variant per distinct text; the texts are those of RediSearch 8.0, which clients match by substring.

use std::fmt;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// An option was given a bad value: the option's name and what is wrong with the value.
    BadArgument(String, ArgumentError),
    /// A fixed text that takes no values.
    Text(&'static str),
    /// A text about what a part of the module was given; the part knows the words.
    Formatted(String),
    /// A word that no option goes by.
    UnknownArgument(String),
    /// The same behind a query: the word and its place.
    UnknownArgumentAt(String, usize),
    /// A FILTER that cannot be used: why, and the field's name.
    InvalidFilter(&'static str, String),
    /// A field without a type behind it.
    FieldWithoutType(String),
    /// A field of a type that does not exist, or that this version does not have.
    InvalidFieldType(String),
    /// Two fields by one name.
    DuplicateField(String),
    /// More fields than a schema may hold.
    TooManyFields(usize),
    /// More TEXT fields than a schema may hold.
    TooManyTextFields(usize),
    /// A separator of more or less than one byte.
    TagSeparator(String),
    /// NOINDEX and INDEXMISSING exclude each other.
    NoIndexWithMissing(String),
    /// `ON` names something else than HASH or JSON.
    InvalidRuleType(String),
    /// A prefix list past its limit.
    TooManyPrefixes {
        /// How many were given.
        given: usize,
        /// How many may be given.
        max: usize,
    },
    /// An option that RediSearch has and this version does not.
    Unsupported(String),
    /// The query does not follow the grammar.
    Syntax {
        /// Byte offset of the offending token.
        offset: usize,
        /// The last word that was read.
        near: String,
    },
    /// Something about a token of the query that is well formed: the message, the offset, the token.
    At {
        /// What is wrong.
        message: &'static str,
        /// Byte offset of the token.
        offset: usize,
        /// The token.
        near: String,
    },
    /// A range that is empty by its own bounds.
    InvalidRange {
        /// The field's name.
        field: String,
        /// Lower bound.
        min: f64,
        /// Upper bound.
        max: f64,
    },
    /// `$name` without a value in PARAMS.
    NoSuchParameter(String),
    /// A parameter given twice.
    DuplicateParameter(String),
    /// A value that cannot be used where it stands.
    InvalidNumber(String),
    /// No index by this name (FT.SEARCH and its kin).
    NoSuchIndex(String),
    /// No dictionary by this name.
    NoSuchDictionary(String),
    /// The property is neither in the schema nor loaded.
    NoSuchProperty(String),
    /// A scorer that does not exist.
    NoSuchScorer(String),
    /// An expander that does not exist.
    NoSuchExpander(String),
    /// LIMIT above its ceiling.
    LimitTooLarge(u64),
    /// LIMIT's offset above its ceiling.
    OffsetTooLarge(u64),
    /// FORMAT with something else than STRING or EXPAND.
    InvalidFormat(String),
    /// An attribute of a clause (`=>{$weight: x}`) that cannot be used: its name and value.
    InvalidAttribute(String, String),
    /// An expression that cannot be read, or not be worked out.
    Expression(crate::expression::Error),
    /// Steps of FT.AGGREGATE that cannot be taken.
    Step(crate::aggregate::Error),
    /// No cursor has the number.
    NoSuchCursor(i64),
    /// FT.CURSOR READ with a COUNT that is none.
    BadCount(String),
    /// A fixed text, and what it is about behind a colon.
    Prefixed(&'static str, String),
    /// A bug or a full memory in the index itself.
    Internal(String),
}

/// What is wrong with the value of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentError {
    /// There is none.
    Missing,
    /// It is not of the type that the option takes.
    Parse,
    /// It is out of range.
    Limit,
    /// It is none of the words that the option takes.
    Unknown,
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ArgumentError::Missing => "Expected an argument, but none provided",
            ArgumentError::Parse => "Could not convert argument to expected type",
            ArgumentError::Limit => "Value is outside acceptable bounds",
            ArgumentError::Unknown => "Unknown argument",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::BadArgument(name, why) => write!(f, "Bad arguments for {name}: {why}"),
            Error::Text(text) => f.write_str(text),
            Error::Formatted(text) => f.write_str(text),
            Error::UnknownArgument(arg) => write!(f, "Unknown argument `{arg}`"),
            Error::UnknownArgumentAt(arg, place) => {
                write!(f, "Unknown argument `{arg}` at position {place} for <main>")
            }
            Error::InvalidFilter(why, name) => write!(f, "{why} '{name}'"),
            Error::FieldWithoutType(name) => write!(f, "Field `{name}` does not have a type"),
            Error::InvalidFieldType(name) => write!(f, "Invalid field type for field `{name}`"),
            Error::DuplicateField(name) => write!(f, "Duplicate field in schema - {name}"),
            Error::TooManyFields(max) => write!(f, "Schema is limited to {max} fields"),
            Error::TooManyTextFields(max) => write!(f, "Schema is limited to {max} TEXT fields"),
            Error::TagSeparator(got) => {
                write!(f, "Tag separator must be a single character. Got `{got}`")
            }
            Error::NoIndexWithMissing(name) => {
                write!(
                    f,
                    "'Field cannot be defined with both `NOINDEX` and `INDEXMISSING` `{name}` '"
                )
            }
            Error::InvalidRuleType(name) => write!(f, "Invalid rule type: {name}"),
            Error::TooManyPrefixes { given, max } => {
                write!(f, "Number of prefixes ({given}) exceeds maximum allowed ({max})")
            }
            Error::Unsupported(what) => write!(f, "{what} is not supported yet"),
            Error::Syntax { offset, near } => {
                write!(f, "Syntax error at offset {offset} near {near}")
            }
            Error::At { message, offset, near } => {
                write!(f, "{message} at offset {offset} near {near}")
            }
            Error::InvalidRange { field, min, max } => {
                write!(f, "Invalid numeric range (min > max): @{field}:[{min:.6} {max:.6}]")
            }
            Error::NoSuchParameter(name) => write!(f, "Parameter not found `{name}`"),
            Error::DuplicateParameter(name) => write!(f, "Duplicate parameter `{name}`"),
            Error::InvalidNumber(text) => write!(f, "Invalid numeric value ({text})"),
            Error::NoSuchIndex(name) => write!(f, "No such index {name}"),
            Error::NoSuchDictionary(name) => write!(f, "Dict does not exist: {name}"),
            Error::NoSuchProperty(name) => {
                write!(f, "Property `{name}` not loaded nor in schema")
            }
            Error::NoSuchScorer(name) => write!(f, "No such scorer {name}"),
            Error::NoSuchExpander(name) => write!(f, "No such expander {name}"),
            Error::LimitTooLarge(max) => write!(f, "LIMIT exceeds maximum of {max}"),
            Error::OffsetTooLarge(max) => write!(f, "OFFSET exceeds maximum of {max}"),
            Error::InvalidFormat(name) => write!(f, "FORMAT {name} is not supported"),
            Error::InvalidAttribute(name, value) => {
                write!(f, "Invalid value ({value}) for `{name}`")
            }
            Error::Expression(error) => error.fmt(f),
            Error::Step(error) => error.fmt(f),
            Error::NoSuchCursor(id) => write!(f, "Cursor not found, id: {id}"),
            Error::BadCount(text) => write!(f, "Bad value for COUNT: `{text}`"),
            Error::Prefixed(text, what) => write!(f, "{text}: {what}"),
            Error::Internal(what) => write!(f, "Internal error: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<crate::expression::Error> for Error {
    fn from(error: crate::expression::Error) -> Error {
        Error::Expression(error)
    }
}

impl From<crate::aggregate::Error> for Error {
    fn from(error: crate::aggregate::Error) -> Error {
        Error::Step(error)
    }
}

impl From<crate::storage::codec::Broken> for Error {
    fn from(broken: crate::storage::codec::Broken) -> Error {
        Error::Text(broken.0)
    }
}

impl From<tantivy::TantivyError> for Error {
    fn from(error: tantivy::TantivyError) -> Error {
        Error::Internal(error.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::Internal(error.to_string())
    }
}
