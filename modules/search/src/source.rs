//! How does a key become a document?
//!
//! Values are read from the keyspace, never from the command that wrote them, so every way of writing a key is
//! covered. Hashes are read through the key API, JSON documents by asking their module (`json`).

pub mod answer;
mod by_command;
pub mod json;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use mortise_module::{Context, KeyType, ReadKey};

use crate::args::parse_number;
use crate::expression::value::Value;
use crate::index::Attributes;
use crate::index::analysis::FieldValue;
use crate::registry;
use crate::schema::{Schema, Source};
use crate::tokenize::Language;

/// A document as it was read.
#[derive(Debug)]
pub struct Document<'a> {
    /// Values of the schema's fields, in their order.
    pub values: Vec<FieldValue<'a>>,
    /// What else it brings.
    pub attributes: Attributes,
    /// When the first of the fields that it was read from vanishes (Unix, in milliseconds).
    pub fades_at_ms: Option<i64>,
}

/// Runs `job` with another database selected: a client would keep the one that its command has selected last.
pub fn in_db<R, E: From<mortise_module::Error>>(
    ctx: &mut Context<'_>,
    db: i32,
    job: impl FnOnce(&mut Context<'_>) -> Result<R, E>,
) -> Result<R, E> {
    let own = ctx.db();
    if own == db {
        return job(ctx);
    }
    ctx.select_db(db)?;
    let result = job(ctx);
    ctx.select_db(own)?;
    result
}

/// Brings all indexes that follow a key of this type (or of any) up to date with it.
pub fn refresh(ctx: &mut Context<'_>, key: &[u8], source: Option<Source>) {
    let db = ctx.db();
    for schema in registry::with(|all| all.followers(db, key, source)) {
        refresh_in(ctx, &schema, key);
    }
}

/// Brings the index of this definition up to date with a key.
pub fn refresh_in(ctx: &mut Context<'_>, schema: &Arc<Schema>, key: &[u8]) {
    let taken = match schema.source {
        Source::Hash => {
            read_hash(ctx, schema, key).map(|document| put(schema, key, document)).is_some()
        }
        Source::Json => json::read(ctx, schema, key, |document| put(schema, key, document)),
    };
    if !taken {
        registry::with(|all| {
            all.get(&schema.name)?.index_of(schema).map(|index| index.remove(key))
        });
    }
}

/// Puts a document into its index. A refusal is counted by the index and shown by FT.INFO; the writer of the key is not
/// told.
fn put(schema: &Arc<Schema>, key: &[u8], document: Document<'_>) {
    registry::with(|all| {
        let Some(entry) = all.get(&schema.name) else { return };
        let start = Instant::now();
        let Some(index) = entry.index_of(schema) else { return };
        let _ = index.put(key, &document.values, document.attributes);
        index.set_field_expiry(key, document.fades_at_ms);
        entry.indexing_us += u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    });
}

/// Reads documents of an index anew of which fields have expired: the server may take its time to delete these.
pub fn refresh_faded(ctx: &mut Context<'_>, index: &[u8]) {
    let faded = registry::with(|all| {
        let entry = all.get(index)?;
        let keys = entry.index.take_faded(registry::now_ms());
        (!keys.is_empty()).then(|| (Arc::clone(entry.index.schema()), keys))
    });
    let Some((schema, keys)) = faded else { return };
    // Selecting a database that exists cannot fail; if it did, the server would still delete the fields one day.
    let _ = in_db(ctx, schema.db, |ctx| {
        keys.iter().for_each(|key| refresh_in(ctx, &schema, key));
        Ok::<_, mortise_module::Error>(())
    });
}

/// The document of a key; none if the key does not exist or is of another type.
fn read_hash(ctx: &Context<'_>, schema: &Schema, key: &[u8]) -> Option<Document<'static>> {
    let open = ctx.open_read(key);
    if open.kind() != KeyType::Hash {
        return None;
    }
    let get = |field: &[u8]| open.hash_get(field).ok().flatten();
    if let Some(filter) = &schema.filter {
        let text = |field: &[u8]| Some(Value::Text(get(field)?.as_bytes().to_vec().into()));
        if !filter.accepts(schema, key, text) {
            return None;
        }
    }
    let value = |field: &crate::schema::Field| match get(&field.path) {
        Some(text) => FieldValue::Bytes(Cow::Owned(text.as_bytes().to_vec())),
        None => FieldValue::Missing,
    };
    let values = schema.fields.iter().map(value).collect();
    let language = schema.language_field.as_ref().and_then(|field| get(field));
    let score = schema.score_field.as_ref().and_then(|field| get(field));
    let attributes = Attributes {
        language: language
            .and_then(|name| Language::find(name.as_bytes()))
            .unwrap_or(schema.language),
        score: score.and_then(|text| parse_number(text.as_bytes())).unwrap_or(schema.score) as f32,
        expires_at_ms: expiry(open.expires_at_ms()),
    };
    Some(Document { values, attributes, fades_at_ms: fades_at_ms(&open, schema) })
}

/// When the first field expires that the document of a hash depends on.
fn fades_at_ms(open: &ReadKey<'_>, schema: &Schema) -> Option<i64> {
    if !open.hash_has_expiring() {
        return None;
    }
    let paths = schema.fields.iter().map(|field| &*field.path);
    let filter = schema.filter.iter().flat_map(|filter| filter.looks_at(schema));
    let more = schema.language_field.iter().chain(&schema.score_field).map(|field| &**field);
    paths.chain(filter).chain(more).filter_map(|path| expiry(open.hash_expires_at_ms(path))).min()
}

fn expiry(at_ms: Result<Option<u64>, mortise_module::Error>) -> Option<i64> {
    at_ms.ok().flatten().map(|at_ms| i64::try_from(at_ms).unwrap_or(i64::MAX))
}

/// When a key expires; an outer none if it does not exist.
pub fn expires_at_ms(ctx: &Context<'_>, key: &[u8]) -> Option<Option<i64>> {
    let open = ctx.open_read(key);
    open.exists().then(|| expiry(open.expires_at_ms()))
}
