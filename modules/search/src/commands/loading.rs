//! How do values of keys get into rows?
//!
//! Under the server's lock. A command that has little to load does so at once; a thread that has much takes the lock for
//! some rows at a time, and lets others have it in between.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mortise_module::{BlockedClient, Context, Error as SdkError, KeyType};
use serde_json::value::RawValue;

use crate::aggregate::Row;
use crate::aggregate::pipeline::{Load, LoadField, Loader, Names};
use crate::commands::json_fields::{self, DIALECT_MULTI_VALUE};
use crate::error::Error;
use crate::expression::value::{Several, Value, text_to_number};
use crate::schema::questions::Questions;
use crate::schema::{FieldKind, Schema, Source};
use crate::source;

/// The property that is a whole JSON document.
const DOCUMENT: &[u8] = b"$";

/// Rows that have been loaded since the module began, and holds of the server's lock that it took.
static LOADED_ROWS: AtomicU64 = AtomicU64::new(0);
static LOAD_HOLDS: AtomicU64 = AtomicU64::new(0);

/// How many rows have been loaded for FT.AGGREGATE and its kin and for long replies, and in how many holds of the server's lock.
pub fn counts() -> (u64, u64) {
    (LOADED_ROWS.load(Ordering::Relaxed), LOAD_HOLDS.load(Ordering::Relaxed))
}

fn count_hold(rows: usize) {
    LOADED_ROWS.fetch_add(rows as u64, Ordering::Relaxed);
    LOAD_HOLDS.fetch_add(1, Ordering::Relaxed);
}

/// Loads from the keyspace.
pub struct KeyLoader<'k, 'c> {
    ctx: &'k mut Context<'c>,
    schema: &'k Schema,
    dialect: u32,
    /// What was asked of the last document: mostly the same is asked of the next.
    questions: Questions,
}

impl<'k, 'c> KeyLoader<'k, 'c> {
    /// A loader for keys that an index of this schema follows.
    pub fn new(ctx: &'k mut Context<'c>, schema: &'k Schema, dialect: u32) -> KeyLoader<'k, 'c> {
        KeyLoader { ctx, schema, dialect, questions: Questions::default() }
    }

    fn hash(&self, key: &[u8], load: &Load, row: &mut Row<'_>, names: &mut Names) -> bool {
        let open = self.ctx.open_read(key);
        if open.kind() != KeyType::Hash {
            return false;
        }
        match load {
            Load::Fields(fields) => {
                for field in fields {
                    let value = open.hash_get(&*field.path).ok().flatten();
                    let value = value.map(|text| hash_value(text.as_bytes(), field.numeric));
                    row.set(field.slot, value);
                }
            }
            Load::All => {
                let mut loaded: Vec<(usize, Value<'static>)> = Vec::new();
                let read = open.hash_each(|field, value| {
                    let numeric = self
                        .schema
                        .fields
                        .iter()
                        .any(|known| *known.path == *field && known.kind == FieldKind::Numeric);
                    loaded.push((names.slot(field), hash_value(value, numeric)));
                });
                if read.is_err() {
                    return false;
                }
                for (slot, value) in loaded {
                    row.set(slot, Some(value));
                }
            }
        }
        true
    }

    fn json(&mut self, key: &[u8], load: &Load, row: &mut Row<'_>, names: &mut Names) -> bool {
        if self.ctx.open_read(key).kind() != KeyType::Module {
            return false;
        }
        match load {
            Load::Fields(fields) => {
                let asked = self.questions.list.iter().map(|question| &question.path);
                if !asked.eq(fields.iter().map(|field| &field.path)) {
                    self.questions =
                        json_fields::questions(fields.iter().map(|field| &*field.path));
                }
                let shows_all = self.dialect >= DIALECT_MULTI_VALUE;
                let value =
                    |at: usize, text: Option<&[u8]>| json_field(text?, &fields[at], shows_all);
                let values = json_fields::texts(self.ctx, key, &self.questions, value);
                let values = values.into_iter().flatten().chain(std::iter::repeat(None));
                for (field, value) in fields.iter().zip(values) {
                    row.set(field.slot, value);
                }
            }
            Load::All => {
                let document = json_fields::document(self.ctx, key, self.dialect);
                let Some(document) = document else { return false };
                row.set(names.slot(DOCUMENT), Some(Value::Text(document.into())));
            }
        }
        true
    }
}

fn json_field(text: &[u8], field: &LoadField, shows_all: bool) -> Option<Value<'static>> {
    match field.path.starts_with(b"$") {
        true => matches_value(text, shows_all),
        false => json_value(std::str::from_utf8(text).ok()?),
    }
}

impl KeyLoader<'_, '_> {
    /// Loads into one row; answers whether its key exists.
    fn load_row(&mut self, load: &Load, row: &mut Row<'_>, names: &mut Names) -> bool {
        let Some(key) = row.key.take() else { return false };
        let loaded = match self.schema.source {
            Source::Hash => self.hash(&key, load, row, names),
            Source::Json => self.json(&key, load, row, names),
        };
        row.key = Some(key);
        loaded
    }
}

impl Loader for KeyLoader<'_, '_> {
    fn load(
        &mut self,
        load: &Load,
        rows: &mut [Row<'static>],
        names: &mut Names,
    ) -> Result<Vec<bool>, Error> {
        count_hold(rows.len());
        Ok(rows.iter_mut().map(|row| self.load_row(load, row, names)).collect())
    }
}

/// Rows that are loaded in one hold of the server's lock, and how long one may take. A hold ends with the row that is
/// being loaded, so only a single document can make it longer.
const HOLD_ROWS: usize = 512;
const HOLD_TIME: Duration = Duration::from_micros(500);
/// How long others have the lock to themselves between two holds. Without it the same thread could win it again and again.
const PAUSE: Duration = Duration::from_micros(20);

/// Loads from the keyspace on another thread than the server's, in many short holds of the lock.
pub struct SlicedLoader<'l> {
    client: &'l BlockedClient,
    schema: &'l Schema,
    dialect: u32,
}

impl<'l> SlicedLoader<'l> {
    /// A loader for keys that an index of this schema follows; none where the lock cannot be taken, which is so on a
    /// thread that the server itself has called.
    pub fn new(
        client: &'l BlockedClient,
        schema: &'l Schema,
        dialect: u32,
    ) -> Option<SlicedLoader<'l>> {
        client.lock(|_| ()).is_ok().then_some(SlicedLoader { client, schema, dialect })
    }

    /// Loads into the first of some rows, as many as one hold of the lock allows.
    fn hold(
        &self,
        load: &Load,
        rows: &mut [Row<'static>],
        names: &mut Names,
    ) -> Result<Vec<bool>, SdkError> {
        let (schema, dialect) = (self.schema, self.dialect);
        self.client.lock(|ctx| {
            source::in_db(ctx, schema.db, |ctx| {
                let mut loader = KeyLoader::new(ctx, schema, dialect);
                Ok(sliced(rows, |row| loader.load_row(load, row, names)))
            })
        })?
    }
}

/// Gives `job` rows, until there are as many as one hold may take or its time is over.
fn sliced(rows: &mut [Row<'static>], mut job: impl FnMut(&mut Row<'static>) -> bool) -> Vec<bool> {
    let end = Instant::now() + HOLD_TIME;
    let mut exist = Vec::with_capacity(rows.len().min(HOLD_ROWS));
    for row in rows.iter_mut().take(HOLD_ROWS) {
        exist.push(job(row));
        if Instant::now() >= end {
            break;
        }
    }
    exist
}

/// How a command reads the keys of its results.
pub struct Reach<'r, 'c> {
    how: How<'r, 'c>,
    /// Whether the client speaks RESP3.
    pub is_resp3: bool,
}

enum How<'r, 'c> {
    /// On the server's thread, in one go.
    Here(&'r mut Context<'c>),
    /// On a thread of the module's own, in short holds of the server's lock.
    Apart(&'r BlockedClient),
}

impl<'r, 'c> Reach<'r, 'c> {
    /// All keys in one go.
    pub fn here(ctx: &'r mut Context<'c>) -> Reach<'r, 'c> {
        let is_resp3 = ctx.is_resp3();
        Reach { how: How::Here(ctx), is_resp3 }
    }

    /// A few keys at a time; none where the lock cannot be taken, which is so on a thread that the server itself has called.
    pub fn apart(client: &'r BlockedClient, is_resp3: bool) -> Option<Reach<'r, 'c>> {
        client.lock(|_| ()).is_ok().then_some(Reach { how: How::Apart(client), is_resp3 })
    }

    /// Whether others may come in between two keys.
    pub fn is_apart(&self) -> bool {
        matches!(self.how, How::Apart(_))
    }

    /// Gives `job` the numbers below `count` one after the other, under the server's lock and in a database, until it says
    /// that there is no need to go on.
    pub fn each(
        &mut self,
        db: i32,
        count: usize,
        mut job: impl FnMut(&mut Context<'_>, usize) -> ControlFlow<()>,
    ) -> Result<(), SdkError> {
        let client = match &mut self.how {
            How::Here(ctx) => {
                return source::in_db(ctx, db, |ctx| {
                    let _ = (0..count).try_for_each(|at| job(ctx, at));
                    Ok(())
                });
            }
            How::Apart(client) => *client,
        };
        let mut at = 0;
        while at < count {
            let flow = client.lock(|ctx| {
                source::in_db(ctx, db, |ctx| {
                    let (begin, end) = (at, Instant::now() + HOLD_TIME);
                    let mut flow = ControlFlow::Continue(());
                    while at < count.min(begin + HOLD_ROWS) && flow.is_continue() {
                        flow = job(ctx, at);
                        at += 1;
                        if Instant::now() >= end {
                            break;
                        }
                    }
                    count_hold(at - begin);
                    Ok::<_, SdkError>(flow)
                })
            })??;
            if flow.is_break() {
                break;
            }
            if at < count {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

impl Loader for SlicedLoader<'_> {
    fn load(
        &mut self,
        load: &Load,
        rows: &mut [Row<'static>],
        names: &mut Names,
    ) -> Result<Vec<bool>, Error> {
        let mut exist: Vec<bool> = Vec::with_capacity(rows.len());
        while exist.len() < rows.len() {
            let some = self.hold(load, &mut rows[exist.len()..], names);
            let some = some.map_err(|error| Error::Internal(error.to_string()))?;
            count_hold(some.len());
            exist.extend(some);
            std::thread::sleep(PAUSE);
        }
        Ok(exist)
    }
}

fn hash_value(text: &[u8], numeric: bool) -> Value<'static> {
    match numeric.then(|| text_to_number(text)).flatten() {
        Some(number) => Value::Number(number),
        None => Value::Text(text.to_vec().into()),
    }
}

/// The value of a path out of the list of its matches.
fn matches_value(text: &[u8], shows_all: bool) -> Option<Value<'static>> {
    let matches: Vec<&RawValue> = serde_json::from_slice(text).ok()?;
    let first = json_value(matches.first()?.get())?;
    let items = match (&first, matches.len()) {
        // One array is as good as its elements.
        (Value::Several(several), 1) => several.items.clone(),
        (_, 1) if !shows_all => return Some(first),
        _ => matches.iter().filter_map(|found| json_value(found.get())).collect(),
    };
    let shown = match (shows_all, &first) {
        (true, _) => text.into(),
        (false, Value::Several(several)) => several.shown.clone(),
        (false, Value::Text(text)) => Box::from(&**text),
        (false, _) => matches.first()?.get().as_bytes().into(),
    };
    Some(Value::Several(Arc::new(Several { shown, items })))
}

/// One JSON value.
fn json_value(text: &str) -> Option<Value<'static>> {
    Some(match text.as_bytes().first()? {
        b'n' => Value::Null,
        b'"' => Value::Text(serde_json::from_str::<String>(text).ok()?.into_bytes().into()),
        b'-' | b'0'..=b'9' => Value::Number(text.parse().ok()?),
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let items = elements.iter().filter_map(|element| json_value(element.get()));
            let several = Several { shown: text.as_bytes().into(), items: items.collect() };
            Value::Several(Arc::new(several))
        }
        // true, false and objects are shown as they are.
        _ => Value::Text(text.as_bytes().to_vec().into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, all: bool) -> (String, usize) {
        match matches_value(text.as_bytes(), all) {
            Some(Value::Several(several)) => {
                (String::from_utf8_lossy(&several.shown).into_owned(), several.items.len())
            }
            Some(Value::Text(text)) => (String::from_utf8_lossy(&text).into_owned(), 0),
            Some(Value::Number(number)) => (number.to_string(), 0),
            other => (format!("{other:?}"), 0),
        }
    }

    #[test]
    fn a_hold_takes_some_rows_and_not_much_longer_than_it_may() {
        let mut rows: Vec<Row<'static>> = Vec::new();
        rows.resize_with(HOLD_ROWS * 2, Row::default);
        let quick = sliced(&mut rows, |_| true).len();
        assert!((1..=HOLD_ROWS).contains(&quick));
        let slow = sliced(&mut rows, |_| {
            let start = Instant::now();
            while start.elapsed() <= HOLD_TIME {
                std::hint::spin_loop();
            }
            false
        });
        assert_eq!(slow, [false]);
        assert!(sliced(&mut [], |_| true).is_empty());
    }

    #[test]
    fn matches_become_one_value_or_several() {
        let text = |text: &str, items| (text.to_owned(), items);
        assert_eq!(shown(r#"["a"]"#, false), text("a", 0));
        assert_eq!(shown(r#"["a"]"#, true), text(r#"["a"]"#, 1));
        assert_eq!(shown("[1.50]", false), text("1.5", 0));
        assert_eq!(shown(r#"["a","b"]"#, false), text("a", 2));
        assert_eq!(shown(r#"[["a","b"]]"#, false), text(r#"["a","b"]"#, 2));
        assert_eq!(shown(r#"[["a","b"]]"#, true), text(r#"[["a","b"]]"#, 2));
        assert_eq!(shown("[]", false), text("None", 0));
        assert_eq!(shown("[null]", false), text("Some(Null)", 0));
        assert_eq!(shown("[true]", false), text("true", 0));
    }
}
