//! How is a JSON document read?
//!
//! By one list of questions that its module answers at once: with the service of ours if it is there, otherwise by
//! JSON.GET. The answer has one format either way.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use mortise_module::{Context, KeyType, Service};

use crate::expression::value::Value;
use crate::index::Attributes;
use crate::index::analysis::FieldValue;
use crate::schema::Schema;
use crate::schema::questions::Questions;
use crate::source::answer::Answer;
use crate::source::{Document, by_command, expiry};
use crate::tokenize::Language;

/// The service of the JSON module, see its `shared_api.rs`.
const SERVICE: &str = "json.values.2";
/// Longer buffers are not kept.
const KEPT_BYTES_MAX: usize = 1 << 16;

/// The service is not used even if it is there: tests compare the two ways.
pub static BY_COMMAND: AtomicBool = AtomicBool::new(false);

/// The service once it has been found; the server does not unload a module of which another has one.
static FOUND: OnceLock<Service> = OnceLock::new();

thread_local! {
    /// A request and an answer, for their room.
    static BUFFERS: Cell<(Vec<u8>, Vec<u8>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// Asks the document of a key; `read` gets the answer. None if the key holds no document.
pub fn ask<R>(
    ctx: &mut Context<'_>,
    key: &[u8],
    questions: &Questions,
    read: impl FnOnce(Answer<'_>) -> Option<R>,
) -> Option<R> {
    let (mut request, mut answer) = BUFFERS.take();
    answer.clear();
    let answered = match service(ctx) {
        Some(service) => {
            request.clear();
            let key_len = u32::try_from(key.len()).expect("keys are shorter than 4 GiB");
            request.extend_from_slice(&key_len.to_le_bytes());
            request.extend_from_slice(key);
            request.extend_from_slice(&questions.bytes);
            let mut answered = false;
            let called = service.call(ctx, &request, |chunk| {
                answer.extend_from_slice(chunk);
                answered = true;
            });
            called.is_ok() && answered
        }
        None => by_command::answer(ctx, key, &questions.list, &mut answer),
    };
    let result = if answered { read(Answer::new(&answer)) } else { None };
    if request.capacity().max(answer.capacity()) <= KEPT_BYTES_MAX {
        BUFFERS.set((request, answer));
    }
    result
}

fn service(ctx: &Context<'_>) -> Option<Service> {
    if BY_COMMAND.load(Ordering::Relaxed) {
        return None;
    }
    if let Some(service) = FOUND.get() {
        return Some(*service);
    }
    let service = ctx.service(SERVICE).ok().flatten()?;
    Some(*FOUND.get_or_init(|| service))
}

/// Reads the document of a key and hands it to `put`; answers whether there is one that the index takes.
pub fn read(
    ctx: &mut Context<'_>,
    schema: &Schema,
    key: &[u8],
    put: impl FnOnce(Document<'_>),
) -> bool {
    let open = ctx.open_read(key);
    if open.kind() != KeyType::Module {
        return false;
    }
    let expires_at_ms = expiry(open.expires_at_ms());
    drop(open);
    let read = |mut answer: Answer<'_>| {
        if let Some(filter) = &schema.filter
            && !filter.accepts(schema, key, |_| filter_value(answer.first()??))
        {
            return None;
        }
        let mut first = |asked: bool| if asked { answer.first() } else { Some(None) };
        let language = match first(schema.language_field.is_some())? {
            Some(FieldValue::Text(name)) => Language::find(&name),
            _ => None,
        };
        let score = match first(schema.score_field.is_some())? {
            Some(FieldValue::Number(score)) => score,
            _ => schema.score,
        };
        let mut value = |number| match schema.group(number) {
            Some(group) => answer.elements(group),
            None => answer.field(),
        };
        let values =
            (0u16..).zip(&schema.fields).map(|(number, _)| value(number)).collect::<Option<_>>()?;
        let attributes = Attributes {
            language: language.unwrap_or(schema.language),
            score: score as f32,
            expires_at_ms,
        };
        put(Document { values, attributes, fades_at_ms: None });
        Some(())
    };
    ask(ctx, key, schema.questions(), read).is_some()
}

/// What a condition sees of a JSON value.
fn filter_value(value: FieldValue<'_>) -> Option<Value<'static>> {
    Some(match value {
        FieldValue::Missing => Value::Null,
        FieldValue::Number(number) => Value::Number(number),
        FieldValue::Boolean(value) => {
            let text: &[u8] = if value { b"true" } else { b"false" };
            Value::Text(text.into())
        }
        FieldValue::Text(text) | FieldValue::Bytes(text) => Value::Text(text.into_owned().into()),
        // These came as text.
        FieldValue::Array(_)
        | FieldValue::Numbers(_)
        | FieldValue::Elements(_)
        | FieldValue::Object => return None,
    })
}
