//! How large may documents and replies get, and which dialect are paths read by?
//!
//! Parameters of the module, called `ReJSON.NAME` for CONFIG; `max-document-size` and `max-path-limit` are valkey-json's
//! `json.NAME`. What is loaded from files and primaries is not held to them.

use mortise_module::{Config, ConfigFlags, EnumConfig, IntConfig};

use crate::error::JsonError;
use crate::ops;
use crate::path::Dialect;
use crate::value::Value;

/// Bytes that a document may take in memory, as JSON.DEBUG MEMORY tells; 0 for no limit. Writes that would make a document
/// larger are refused; while there is a limit each write measures the document, which takes time in its size.
static DOCUMENT_BYTES: IntConfig =
    IntConfig::new("max-document-size", 0, 0, i64::MAX).with_flags(ConfigFlags::MEMORY);

/// How many containers may stand inside one another. The parser stops below the greatest value, as RedisJSON's does.
static DEPTH: IntConfig = IntConfig::new("max-path-limit", 128, 1, 128).with_check(|depth| {
    ops::limit_depth(usize::try_from(depth).expect("the range has been checked"));
    Ok(())
});

/// Bytes of text that JSON.GET and its kin answer with; 0 for no limit. A path may match a value once for each level
/// around it, so that the answer would be a hundred times the document.
static REPLY_BYTES: IntConfig = IntConfig::new("max-reply-size", 512 * 1024 * 1024, 0, i64::MAX)
    .with_flags(ConfigFlags::MEMORY);

/// The dialect that JSON.GET without the word DIALECT and JSON.MGET read paths by.
static DEFAULT_DIALECT: EnumConfig =
    EnumConfig::new("default-dialect", 0, &[("redisjson", 0), ("rfc9535", 1)]);

pub(crate) const CONFIGS: &[Config] = &[
    Config::Int(&DOCUMENT_BYTES),
    Config::Int(&DEPTH),
    Config::Int(&REPLY_BYTES),
    Config::Enum(&DEFAULT_DIALECT),
];

/// The dialect of paths that are read without a word on it.
pub(crate) fn default_dialect() -> Dialect {
    match DEFAULT_DIALECT.get() {
        1 => Dialect::Rfc9535,
        _ => Dialect::RedisJson,
    }
}

fn bytes(config: &IntConfig) -> usize {
    match usize::try_from(config.get()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(bytes) => bytes,
    }
}

/// The most bytes that a reply may have.
pub(crate) fn reply_bytes() -> usize {
    bytes(&REPLY_BYTES)
}

/// A document from before a write, to return to if the write makes it too large.
pub(crate) struct Before(Option<Value>);

impl Before {
    /// Remembers the document, if there is a limit.
    pub(crate) fn of(document: &Value) -> Before {
        Before((bytes(&DOCUMENT_BYTES) < usize::MAX).then(|| document.clone()))
    }

    /// Restores the document and fails if it is larger than it was and than it may be.
    pub(crate) fn check(self, document: &mut Value) -> Result<(), JsonError> {
        let Some(before) = self.0 else { return Ok(()) };
        let larger = document.memory_bytes() > before.memory_bytes();
        if larger && check(document).is_err() {
            *document = before;
            return Err(JsonError::DocumentTooLarge);
        }
        Ok(())
    }
}

/// Fails for a document that is larger than one may be.
pub(crate) fn check(document: &Value) -> Result<(), JsonError> {
    let limit = bytes(&DOCUMENT_BYTES);
    if limit < usize::MAX && document.memory_bytes() > limit {
        return Err(JsonError::DocumentTooLarge);
    }
    Ok(())
}
