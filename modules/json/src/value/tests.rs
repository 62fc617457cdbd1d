//! Does a value behave like a naive tree, whatever form it is kept in?
//!
//! Blocks are small in tests (see `packed::BLOCK_BYTES_MAX`), so documents of a few dozen values go through all forms.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::codec::parse;
use crate::write::{Format, to_text};

#[test]
fn a_value_is_sixteen_bytes() {
    assert_eq!(size_of::<Value>(), 16);
}

#[test]
fn documents_may_move_between_threads() {
    fn sendable<T: Send + Sync>() {}
    sendable::<Value>();
}

#[test]
fn a_clone_does_not_change_with_the_original() {
    let text = format!("[{}\"end\"]", "[1,{\"a\":\"some text to fill blocks\"}],".repeat(20));
    let mut original = value(&text);
    let clone = original.clone();
    original.edit(&[7, 1, 0], Edit::Replace(Value::null())).unwrap();
    original.edit(&[], Edit::Remove(vec![0, 20])).unwrap();
    assert_eq!(text_of(&clone), text);
    assert_ne!(original, clone);
}

#[test]
fn memory_is_counted_as_it_was_asked_for() {
    assert_eq!(value("12345").memory_bytes(), 16);
    assert_eq!(value(r#"{"a":[1,true]}"#).memory_bytes(), 16);
    // One block: two words in front, then a byte of tag and the text.
    assert_eq!(value(&format!("\"{}\"", "x".repeat(39))).memory_bytes(), 16 + 16 + 40);
    let ints = value(&format!("[{}0]", "1234567,".repeat(99)));
    assert_eq!(ints.memory_bytes(), 16 + vec_bytes::<i64>(100));
    let floats = value(&format!("[{}0.5]", "1234567.25,".repeat(99)));
    assert_eq!(floats.memory_bytes(), 16 + vec_bytes::<f64>(100));
}

#[test]
fn a_tree_that_has_become_small_is_packed_again() {
    let mut value = value(&format!("[{}\"end\"]", "\"some text to fill blocks\",".repeat(40)));
    assert!(value.packed().is_none());
    value.edit(&[], Edit::Remove((0..40).collect())).unwrap();
    value.settle(&[]);
    assert!(value.packed().is_some());
    assert_eq!(text_of(&value), "[\"end\"]");
}

#[test]
fn removing_members_one_by_one_keeps_order_and_gives_memory_back() {
    let members: Vec<String> = (0..1000).map(|i| format!("\"name {i}\":{i}")).collect();
    let mut value = value(&format!("{{{}}}", members.join(",")));
    let full = value.memory_bytes();
    for i in 0..990 {
        let View::Object(object) = value.view() else { panic!("an object was parsed") };
        let (position, _) = object.find(&Name::new(&format!("name {i}"))).unwrap();
        value.edit(&[], Edit::Remove(vec![position])).unwrap();
        value.settle(&[]);
    }
    assert_eq!(text_of(&value), format!("{{{}}}", members[990..].join(",")));
    assert!(value.memory_bytes() < full / 20, "{} of {full}", value.memory_bytes());
}

/// Documents of all shapes, as serde_json has them.
pub(crate) fn documents() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-100i64..100).prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_filter("JSON has no such number", |f| f.is_finite()).prop_map(Json::from),
        (-1000i32..1000).prop_map(|n| Json::from(f64::from(n) / 8.0)),
        "[a-c]{0,3}".prop_map(Json::from),
        "\\PC{0,40}".prop_map(Json::from),
        "[\\x00-\\x7f]{0,10}".prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Json::from),
            vec(any::<i64>().prop_map(Json::from), 0..40).prop_map(Json::from),
            vec(inner.clone(), 0..2).prop_map(Json::from),
            vec((names(), inner), 0..8)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// Member names: mostly the same few.
pub(crate) fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => "[a-e]",
        2 => "(name|title|price|nested|list)",
        1 => "\\PC{0,20}",
    ]
}

pub(crate) fn value(text: &str) -> Value {
    parse(text).unwrap().value
}

pub(crate) fn text_of(value: &Value) -> String {
    String::from_utf8(to_text(value.view(), Format::COMPACT)).unwrap()
}

fn json_of(view: View<'_>) -> Json {
    serde_json::from_slice(&to_text(view, Format::COMPACT)).unwrap()
}

/// The naive tree: members in order, nothing packed.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    Leaf(Json),
    Array(Vec<Model>),
    Object(Vec<(String, Model)>),
}

impl Model {
    fn of(view: View<'_>) -> Model {
        match view {
            View::Array(array) => {
                let model = Model::Array(array.iter().map(Model::of).collect());
                for (i, element) in array.iter().enumerate() {
                    assert!(array.get(i).unwrap().same(element));
                }
                assert!(array.get(array.len()).is_none());
                model
            }
            View::Object(object) => {
                assert_eq!(object.iter().count(), object.len());
                let members = object.iter().map(|member| {
                    let name = String::from_utf8(member.name().to_vec()).unwrap();
                    let (position, found) = object.find(&Name::new(&name)).unwrap();
                    assert_eq!(position, member.position);
                    assert!(found.same(member.value));
                    assert!(view.child(position).unwrap().same(found));
                    (name, Model::of(member.value))
                });
                Model::Object(members.collect())
            }
            scalar => Model::Leaf(json_of(scalar)),
        }
    }

    fn child(&mut self, i: usize) -> &mut Model {
        match self {
            Model::Array(items) => &mut items[i],
            Model::Object(members) => &mut members[i].1,
            Model::Leaf(_) => panic!("a leaf has no children"),
        }
    }

    fn len(&self) -> usize {
        match self {
            Model::Array(items) => items.len(),
            Model::Object(members) => members.len(),
            Model::Leaf(_) => 0,
        }
    }
}

/// One random change: `way` leads down from the root, each step modulo the number of children.
#[derive(Clone, Debug)]
struct Change {
    way: Vec<usize>,
    kind: u8,
    at: usize,
    count: usize,
    name: String,
    value: Json,
    settle: bool,
}

fn changes() -> impl Strategy<Value = Change> {
    let way = vec(any::<usize>(), 0..5);
    (way, 0..5u8, any::<usize>(), 0..4usize, names(), documents(), any::<bool>()).prop_map(
        |(way, kind, at, count, name, value, settle)| Change {
            way,
            kind,
            at,
            count,
            name,
            value,
            settle,
        },
    )
}

fn apply(value: &mut Value, model: &mut Model, change: &Change) {
    let mut location = Vec::new();
    let mut target = model;
    for &step in &change.way {
        if target.len() == 0 {
            break;
        }
        let i = step % target.len();
        location.push(position(value.at(&location).unwrap(), i));
        target = target.child(i);
    }
    let new = self::value(&change.value.to_string());
    let edit = match (change.kind, &mut *target) {
        (0, target) => {
            *target = Model::of(new.view());
            Edit::Replace(new)
        }
        (1, Model::Object(members)) if members.iter().all(|(name, _)| *name != change.name) => {
            members.push((change.name.clone(), Model::of(new.view())));
            Edit::AddMember(change.name.clone(), new)
        }
        (2, Model::Array(items)) => {
            let at = change.at % (items.len() + 1);
            let end = (at + change.count).min(items.len());
            let insert = vec![new; change.count];
            items.splice(at..end, insert.iter().map(|value| Model::of(value.view())));
            Edit::Splice { at, remove: change.count, insert }
        }
        (3, Model::Array(_) | Model::Object(_)) => {
            let goes = |i: usize| change.at >> (i % 60) & 1 == 1;
            let view = value.at(&location).unwrap();
            let going = (0..target.len()).filter(|i| goes(*i)).map(|i| position(view, i)).collect();
            let mut i = 0;
            let mut keep = || {
                i += 1;
                !goes(i - 1)
            };
            match target {
                Model::Array(items) => items.retain(|_| keep()),
                Model::Object(members) => members.retain(|_| keep()),
                Model::Leaf(_) => {}
            }
            Edit::Remove(going)
        }
        _ => return,
    };
    value.edit(&location, edit).unwrap();
    if change.settle {
        value.settle(&location);
    }
}

fn position(view: View<'_>, i: usize) -> u32 {
    match view {
        View::Object(object) => object.iter().nth(i).unwrap().position,
        _ => i as u32,
    }
}

proptest! {
    #[test]
    fn text_comes_back_as_the_same_document(json in documents()) {
        let value = value(&json.to_string());
        prop_assert_eq!(json_of(value.view()), json);
        prop_assert_eq!(&value, &self::value(&text_of(&value)));
        Model::of(value.view());
    }

    #[test]
    fn edits_do_what_they_do_to_a_naive_tree(
        start in documents(),
        changes in vec(changes(), 1..12),
    ) {
        let mut value = value(&start.to_string());
        let mut model = Model::of(value.view());
        for change in &changes {
            let before = value.clone();
            let before_text = text_of(&before);
            apply(&mut value, &mut model, change);
            prop_assert_eq!(Model::of(value.view()), model.clone(), "{:?}", change);
            prop_assert_eq!(text_of(&before), before_text);
            prop_assert_eq!(&value, &self::value(&text_of(&value)));
        }
    }

    #[test]
    fn locations_that_name_nothing_change_nothing(
        json in documents(),
        location in vec(0..50u32, 0..6),
        kind in 0..4u8,
    ) {
        let mut value = value(&json.to_string());
        prop_assume!(value.at(&location).is_none());
        let edit = match kind {
            0 => Edit::Replace(Value::null()),
            1 => Edit::AddMember("new".into(), Value::null()),
            2 => Edit::Remove(vec![0]),
            _ => Edit::Splice { at: 0, remove: 1, insert: vec![self::value("[[1]]")] },
        };
        prop_assert_eq!(value.edit(&location, edit), Err(StaleLocation));
        prop_assert_eq!(json_of(value.view()), json);
    }
}
