//! How does a key become a document?
//!
//! Values are read from the keyspace, never from the command that wrote them, so every way of writing a key is
//! covered. Hashes are read through the key API. JSON values come as text from JSON.GET, one call per document.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use mortise_module::{CallFlags, Context, KeyType};
use serde_json::Value as Json;

use crate::args::parse_number;
use crate::expression::value::Value;
use crate::index::Attributes;
use crate::index::analysis::FieldValue;
use crate::registry;
use crate::schema::{Schema, Source};
use crate::tokenize::Language;

/// A document as it was read.
#[derive(Debug)]
pub struct Document {
    /// Values of the schema's fields, in their order.
    pub values: Vec<FieldValue<'static>>,
    /// What else it brings.
    pub attributes: Attributes,
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

/// Brings one index up to date with a key.
pub fn refresh_in(ctx: &mut Context<'_>, schema: &Arc<Schema>, key: &[u8]) {
    let document = read(ctx, schema, key);
    registry::with(|all| {
        let Some(entry) = all.get(&schema.name) else { return };
        let start = Instant::now();
        match document {
            // A refusal is counted by the index and shown by FT.INFO; the writer of the key is not told.
            Some(document) => {
                let _ = entry.index.put(key, &document.values, document.attributes);
            }
            None => {
                entry.index.remove(key);
            }
        }
        entry.indexing_us += u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    });
}

/// The document of a key; none if the key does not exist or is of another type.
fn read(ctx: &mut Context<'_>, schema: &Schema, key: &[u8]) -> Option<Document> {
    match schema.source {
        Source::Hash => read_hash(ctx, schema, key),
        Source::Json => read_json(ctx, schema, key),
    }
}

fn read_hash(ctx: &Context<'_>, schema: &Schema, key: &[u8]) -> Option<Document> {
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
    Some(Document { values, attributes })
}

fn expiry(at_ms: Result<Option<u64>, mortise_module::Error>) -> Option<i64> {
    at_ms.ok().flatten().map(|at_ms| i64::try_from(at_ms).unwrap_or(i64::MAX))
}

/// When a key expires; an outer none if it does not exist.
pub fn expires_at_ms(ctx: &Context<'_>, key: &[u8]) -> Option<Option<i64>> {
    let open = ctx.open_read(key);
    open.exists().then(|| expiry(open.expires_at_ms()))
}

fn read_json(ctx: &mut Context<'_>, schema: &Schema, key: &[u8]) -> Option<Document> {
    let open = ctx.open_read(key);
    if open.kind() != KeyType::Module {
        return None;
    }
    let expires_at_ms = expiry(open.expires_at_ms());
    drop(open);
    if let Some(filter) = &schema.filter {
        let first = |path: &[u8]| {
            let found = json_matches(ctx, key, &[path])?;
            match found.get(path)? {
                Json::Array(matches) => filter_value(matches.first()?),
                value => filter_value(value),
            }
        };
        if !filter.accepts(schema, key, first) {
            return None;
        }
    }
    let mut paths: Vec<&[u8]> = schema.fields.iter().map(|field| &*field.path).collect();
    paths.extend(schema.language_field.iter().chain(&schema.score_field).map(|path| &**path));
    let matches = json_matches(ctx, key, &paths)?;
    let mut matches = paths.iter().map(|path| matches.get(path));
    let values = schema.fields.iter().map(|_| json_value(matches.next().flatten())).collect();
    let mut first = |present: bool| match present {
        true => matches.next().flatten().map(|found| first_match(found).clone()),
        false => None,
    };
    let language = first(schema.language_field.is_some());
    let score = first(schema.score_field.is_some());
    let language = language.as_ref().and_then(Json::as_str);
    let attributes = Attributes {
        language: language
            .and_then(|name| Language::find(name.as_bytes()))
            .unwrap_or(schema.language),
        score: score.as_ref().and_then(Json::as_f64).unwrap_or(schema.score) as f32,
        expires_at_ms,
    };
    Some(Document { values, attributes })
}

/// What a condition sees of a JSON value.
fn filter_value(value: &Json) -> Option<Value<'static>> {
    Some(match value {
        Json::Null => Value::Null,
        Json::Number(number) => Value::Number(number.as_f64()?),
        Json::String(text) => Value::Text(text.as_bytes().to_vec().into()),
        other => Value::Text(other.to_string().into_bytes().into()),
    })
}

/// Matches of paths, by path.
struct Matches(serde_json::Map<String, Json>);

impl Matches {
    fn get(&self, path: &[u8]) -> Option<&Json> {
        self.0.get(std::str::from_utf8(path).ok()?)
    }
}

/// What JSON.GET finds at some paths. With one path it answers the matches, with several an object by path.
fn json_matches(ctx: &mut Context<'_>, key: &[u8], paths: &[&[u8]]) -> Option<Matches> {
    let mut distinct = paths.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let mut args: Vec<&dyn mortise_module::Argument> = vec![&key];
    args.extend(distinct.iter().map(|path| path as &dyn mortise_module::Argument));
    let reply = ctx.call("JSON.GET", &args, CallFlags::NONE).ok()?;
    let value = reply.value();
    let text = value.as_bytes()?;
    let json: Json = serde_json::from_slice(text).ok()?;
    match (distinct.as_slice(), json) {
        ([path], json) => {
            let path = std::str::from_utf8(path).ok()?.to_owned();
            Some(Matches(serde_json::Map::from_iter([(path, json)])))
        }
        (_, Json::Object(by_path)) => Some(Matches(by_path)),
        _ => None,
    }
}

/// The value of a path out of its matches: itself if there is one, else an array.
fn json_value(found: Option<&Json>) -> FieldValue<'static> {
    match found {
        None => FieldValue::Missing,
        Some(Json::Array(matches)) => match matches.as_slice() {
            [] => FieldValue::Missing,
            [Json::Array(elements)] => FieldValue::Array(elements.iter().map(element).collect()),
            [one] => scalar(one),
            many => FieldValue::Array(many.iter().map(element).collect()),
        },
        // A path of the old dialect gives its value as it is.
        Some(value) => scalar(value),
    }
}

fn first_match(found: &Json) -> &Json {
    match found {
        Json::Array(matches) => matches.first().unwrap_or(&Json::Null),
        value => value,
    }
}

/// One of several matches, or of the elements of one: arrays are vectors.
fn element(value: &Json) -> FieldValue<'static> {
    match value {
        Json::Array(numbers) => FieldValue::Array(numbers.iter().map(scalar).collect()),
        value => scalar(value),
    }
}

fn scalar(value: &Json) -> FieldValue<'static> {
    match value {
        Json::Null => FieldValue::Missing,
        Json::Bool(value) => FieldValue::Boolean(*value),
        Json::Number(number) => number.as_f64().map_or(FieldValue::Object, FieldValue::Number),
        Json::String(text) => FieldValue::Text(Cow::Owned(text.as_bytes().to_vec())),
        Json::Array(_) | Json::Object(_) => FieldValue::Object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> FieldValue<'static> {
        json_value(Some(&serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn matches_become_values() {
        let text = |text: &'static str| FieldValue::Text(Cow::Borrowed(text.as_bytes()));
        assert_eq!(value("[]"), FieldValue::Missing);
        assert_eq!(value("[null]"), FieldValue::Missing);
        assert_eq!(value(r#"["a"]"#), text("a"));
        assert_eq!(
            value("[[1,2]]"),
            FieldValue::Array(vec![FieldValue::Number(1.0), FieldValue::Number(2.0)])
        );
        assert_eq!(value(r#"["a","b"]"#), FieldValue::Array(vec![text("a"), text("b")]));
        assert_eq!(value("[{}]"), FieldValue::Object);
        assert_eq!(value("[true]"), FieldValue::Boolean(true));
    }
}
