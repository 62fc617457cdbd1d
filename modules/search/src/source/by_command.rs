//! What does a JSON document answer where its module offers no service?
//!
//! RedisJSON and valkey-json speak JSON.GET alone. Its text is parsed and put into the format of the service, so that
//! nobody further on can tell the difference.

use std::collections::HashMap;

use mortise_module::{Argument, CallFlags, Context};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::schema::nested::{Step, steps};
use crate::schema::questions::{Ask, Question};
use crate::source::answer::{
    ARRAY, ARRAYS_DEEP, FALSE, NULL, NUMBER, NUMBERS, OTHER, STRING, TEXT, TRUE,
};

/// Asked for besides the others: with a second path JSON.GET names the paths in its answer, and with one that begins
/// with `$` it answers all matches of each, also of those of the older syntax. It is hardly ever there.
const COMPANION: &[u8] = b"$.__mortise_companion";

/// Appends the answers of a key's document to some questions; answers whether the key holds a document.
pub fn answer(
    ctx: &mut Context<'_>,
    key: &[u8],
    questions: &[Question],
    out: &mut Vec<u8>,
) -> bool {
    let is_text = |question: &&Question| question.ask == Ask::Text;
    let mut paths: Vec<&[u8]> =
        questions.iter().filter(|q| !is_text(q)).map(|question| &*question.path).collect();
    paths.sort_unstable();
    paths.dedup();
    let text = match paths.is_empty() {
        true => None,
        false => {
            paths.push(COMPANION);
            let Some(text) = json_get(ctx, key, &paths) else { return false };
            Some(text)
        }
    };
    let matches: HashMap<String, Vec<&RawValue>> = match &text {
        None => HashMap::new(),
        Some(text) => match serde_json::from_slice(text) {
            Ok(matches) => matches,
            Err(_) => return false,
        },
    };
    for question in questions {
        if is_text(&question) {
            match json_get(ctx, key, &[&question.path]) {
                Some(text) => {
                    put_len(out, 1);
                    put_string(out, TEXT, &text);
                }
                None => put_len(out, 0),
            }
            continue;
        }
        let path = std::str::from_utf8(&question.path).ok();
        let found = path.and_then(|path| matches.get(path)).map_or(&[][..], Vec::as_slice);
        put_answer(out, &question.ask, found);
    }
    true
}

/// What JSON.GET answers.
fn json_get(ctx: &mut Context<'_>, key: &[u8], paths: &[&[u8]]) -> Option<Vec<u8>> {
    let mut args: Vec<&dyn Argument> = vec![&key];
    args.extend(paths.iter().map(|path| path as &dyn Argument));
    let reply = ctx.call("JSON.GET", &args, CallFlags::NONE).ok()?;
    Some(reply.value().as_bytes()?.to_vec())
}

fn put_answer(out: &mut Vec<u8>, ask: &Ask, found: &[&RawValue]) {
    let parse = |raw: &&RawValue| serde_json::from_str::<Json>(raw.get()).unwrap_or_default();
    match ask {
        Ask::First => match found.first() {
            None => put_len(out, 0),
            Some(raw) => {
                put_len(out, 1);
                match parse(raw) {
                    Json::Array(_) | Json::Object(_) => put_string(out, TEXT, raw.get().as_bytes()),
                    scalar => put_value(out, &scalar, 0),
                }
            }
        },
        Ask::All | Ask::Text => {
            let found: Vec<Json> = found.iter().map(parse).collect();
            put_matches(out, found.iter());
        }
        Ask::Elements(questions) => {
            let found: Vec<Json> = found.iter().map(parse).collect();
            put_elements(out, questions, found.iter());
        }
    }
}

/// The answers of those of some values that are objects.
fn put_elements<'j>(
    out: &mut Vec<u8>,
    questions: &[Question],
    found: impl Iterator<Item = &'j Json>,
) {
    let elements: Vec<&Json> = found.filter(|value| value.is_object()).collect();
    put_len(out, elements.len());
    for element in elements {
        for question in questions {
            // Behind the `$`; only such paths belong to elements.
            let steps = question.path.get(1..).and_then(steps).unwrap_or_default();
            let mut found = Vec::new();
            follow(element, &steps, &mut found);
            match &question.ask {
                Ask::Elements(questions) => put_elements(out, questions, found.into_iter()),
                _ => put_matches(out, found.into_iter()),
            }
        }
    }
}

/// The values that some steps lead to.
fn follow<'j>(value: &'j Json, steps: &[Step], found: &mut Vec<&'j Json>) {
    let Some((step, rest)) = steps.split_first() else { return found.push(value) };
    match (step, value) {
        (Step::Name(name), Json::Object(members)) => {
            members.get(name).into_iter().for_each(|child| follow(child, rest, found));
        }
        (Step::All, Json::Array(elements)) => {
            elements.iter().for_each(|child| follow(child, rest, found));
        }
        (Step::All, Json::Object(members)) => {
            members.values().for_each(|child| follow(child, rest, found));
        }
        _ => {}
    }
}

/// The answer to the question for all that a path finds.
pub fn put_matches<'j>(out: &mut Vec<u8>, found: impl ExactSizeIterator<Item = &'j Json>) {
    put_len(out, found.len());
    found.for_each(|value| put_value(out, value, ARRAYS_DEEP));
}

fn put_value(out: &mut Vec<u8>, value: &Json, arrays_deep: usize) {
    match value {
        Json::Null => out.push(NULL),
        Json::Bool(value) => out.push(if *value { TRUE } else { FALSE }),
        Json::String(text) => put_string(out, STRING, text.as_bytes()),
        Json::Number(_) => {
            out.push(NUMBER);
            put_number(out, value);
        }
        Json::Array(elements) if arrays_deep > 0 => {
            let numbers = !elements.is_empty() && elements.iter().all(Json::is_number);
            out.push(if numbers { NUMBERS } else { ARRAY });
            put_len(out, elements.len());
            match numbers {
                true => elements.iter().for_each(|element| put_number(out, element)),
                false => {
                    elements.iter().for_each(|element| put_value(out, element, arrays_deep - 1))
                }
            }
        }
        Json::Array(_) | Json::Object(_) => out.push(OTHER),
    }
}

fn put_number(out: &mut Vec<u8>, number: &Json) {
    out.extend_from_slice(&number.as_f64().unwrap_or(f64::NAN).to_le_bytes());
}

fn put_string(out: &mut Vec<u8>, tag: u8, text: &[u8]) {
    out.push(tag);
    put_len(out, text.len());
    out.extend_from_slice(text);
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("replies are shorter than 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
}
