//! How do values of keys get into rows?

use std::sync::Arc;

use mortise_module::{Context, KeyType};
use serde_json::value::RawValue;

use crate::aggregate::Row;
use crate::aggregate::pipeline::{Load, LoadField, Loader, Names};
use crate::commands::json_fields::{self, DIALECT_MULTI_VALUE};
use crate::expression::value::{Several, Value, text_to_number};
use crate::schema::questions::Questions;
use crate::schema::{FieldKind, Schema, Source};

/// The property that is a whole JSON document.
const DOCUMENT: &[u8] = b"$";

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

impl Loader for KeyLoader<'_, '_> {
    fn load(&mut self, load: &Load, row: &mut Row<'_>, names: &mut Names) -> bool {
        let Some(key) = row.key.take() else { return false };
        let loaded = match self.schema.source {
            Source::Hash => self.hash(&key, load, row, names),
            Source::Json => self.json(&key, load, row, names),
        };
        row.key = Some(key);
        loaded
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
