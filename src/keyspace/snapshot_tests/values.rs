//! Which values does a snapshot meet? One of each type, small or large by its number of elements; how
//! they change, and what they are, written out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::base::random::Random;
use crate::keyspace::value::{StrValue, Value, ValueMut, ValueRef};
use crate::object::hash::HashLimits;
use crate::object::list::{End, ListLimits, PLAIN_BYTES_MIN};
use crate::object::module::{KeyName, KeyNames, TypeVtable};
use crate::object::rdb::write::Style;
use crate::object::set::SetLimits;
use crate::object::stream::{Group, NewId, NodeLimits, Pending, StreamId, Trim, TrimTo};
use crate::object::unchecked::{Collection, Trouble};
use crate::object::zset::ZsetLimits;
use crate::object::{Hash, List, ModuleValue, Set, Stream, Unchecked, Zset};

/// Number of types.
pub const KINDS: usize = 8;
/// The one that cannot be changed.
pub const UNCHECKED: usize = 7;

const SMALL_MAX: usize = 8;
const HASH: HashLimits = HashLimits { entries_max: SMALL_MAX, value_max: 64 };
const SET: SetLimits = SetLimits {
    intset_entries_max: SMALL_MAX,
    listpack_entries_max: SMALL_MAX,
    listpack_value_max: 64,
};
const ZSET: ZsetLimits = ZsetLimits { entries_max: SMALL_MAX, value_max: 64 };
const STREAM: NodeLimits = NodeLimits { bytes_max: 4096, entries_max: 10 };

/// Seconds before and after which fields of hashes end, as the tests have it.
const NOW_MS: u64 = 1_000_000;

fn list_limits() -> ListLimits {
    ListLimits::new(SMALL_MAX as i64, PLAIN_BYTES_MIN)
}

fn text(number: u64) -> Vec<u8> {
    format!("element:{number}").into_bytes()
}

pub fn make(kind: usize, count: usize) -> Value {
    let texts = || (0..count as u64).map(text);
    match kind {
        0 => Value::Str(StrValue::new(vec![b'v'; count * 10])),
        1 => {
            let mut list = List::new();
            texts().for_each(|text| list.push(End::Tail, &[&text], list_limits()));
            Value::List(list)
        }
        2 => {
            let mut set = Set::new();
            texts().for_each(|text| assert!(set.add(&text, SET)));
            Value::Set(set)
        }
        3 => {
            let mut zset = Zset::new();
            for (at, text) in texts().enumerate() {
                zset.set(&text, (at % 7) as f64, ZSET);
            }
            Value::Zset(zset)
        }
        4 => {
            let mut hash = Hash::new();
            for (at, text) in texts().enumerate() {
                hash.set(&text, &text, 0, HASH);
                if at % 3 == 0 {
                    hash.set_field_expire(&text, Some(NOW_MS - 2 + at as u64 % 5), 0);
                }
            }
            Value::Hash(hash)
        }
        5 => {
            let mut stream = Stream::default();
            (0..count).for_each(|_| append(&mut stream));
            stream.groups.add(b"group", Group::new(StreamId::MIN, Some(0)));
            Value::Stream(Box::new(stream))
        }
        6 => Value::Module(Box::new(module_of(count as u64))),
        _ => Value::Unchecked(Box::new(unchecked(&vec![b'u'; count]))),
    }
}

fn unchecked(payload: &[u8]) -> Unchecked {
    let trouble = Trouble::Assertion("wrong".into());
    Unchecked::new(Collection::List, "quicklist", 18, payload, trouble)
}

fn append(stream: &mut Stream) {
    let id = stream.log.next_id(NewId::Auto, 1).expect("there are more ids");
    stream.log.append(id, &[[b"field", b"value"]], STREAM).expect("a small entry");
}

/// Changes a value somehow, and never to what it was; an unchecked one cannot be.
pub fn change(value: ValueMut<'_>, seed: u64) {
    let mut draws = Random::new(seed);
    let mut draw = || draws.draw();
    match value {
        ValueMut::Str(string) => {
            if let Some(bytes) = string.into_bytes() {
                bytes.fill(seed as u8);
            }
        }
        ValueMut::List(list) => {
            let at = draw() as usize % (list.len() + 1);
            match draw() % 4 {
                0 => list.push(End::Head, &[&text(draw())], list_limits()),
                1 if at < list.len() => list.set(at, &text(draw()), list_limits()),
                2 if list.len() > 1 => list.delete(at.min(list.len() - 1), 1),
                _ => list.push(End::Tail, &[&text(draw())], list_limits()),
            }
        }
        ValueMut::Set(set) => {
            let member = text(draw() % 500);
            if !set.remove(&member) || set.is_empty() {
                set.add(&text(draw()), SET);
            }
        }
        ValueMut::Zset(zset) => {
            let member = text(draw() % 500);
            if draw().is_multiple_of(2) && zset.len() > 1 {
                zset.remove(&member);
            }
            zset.set(&text(draw() % 500), draw() as f64, ZSET);
        }
        ValueMut::Hash(hash) => {
            let field = text(draw() % 500);
            match draw() % 3 {
                0 if hash.len() > 1 => drop(hash.delete(&field, 0)),
                1 => drop(hash.set_field_expire(&field, Some(NOW_MS + draw() % 5), 0)),
                _ => {}
            }
            hash.set(&text(draw() % 500), &text(draw()), 0, HASH);
        }
        ValueMut::Stream(stream) => change_stream(stream, draw()),
        ValueMut::Unchecked => {}
        ValueMut::Module(module) => {
            let mut live = numbers();
            let number = live.get_mut(&module.pointer()).expect("it is alive");
            *number = number.wrapping_add(1);
        }
    }
}

fn change_stream(stream: &mut Stream, draw: u64) {
    append(stream);
    let last = stream.log.last_id;
    let Some(group) = stream.groups.get_mut(b"group") else { return };
    let consumer = [b"one", b"two"][draw as usize / 8 % 2];
    let owner = group.find_consumer(consumer).or_else(|| group.add_consumer(consumer, 1, None));
    match draw % 4 {
        0 => {
            let owner = owner.expect("found or made");
            group.assign(last, Pending { delivered_ms: draw as i64, count: 1, owner });
        }
        1 => {
            if let Some((id, _)) = group.next_pending(StreamId::MIN) {
                group.acknowledge(id);
            }
        }
        2 => {
            let to = TrimTo::Length(draw / 8 % 300);
            stream.log.trim(&Trim { to, approximate: false, limit: None });
        }
        _ => {
            group.advance(&stream.log, last);
        }
    }
}

/// What a value is.
pub fn render(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Str(string) => {
            format!("string {}", String::from_utf8_lossy(&string.to_cow()))
        }
        ValueRef::List(list) => {
            format!("list {:?}", list.iter().map(|one| one.to_vec()).collect::<Vec<_>>())
        }
        ValueRef::Set(set) => {
            format!("set {:?}", set.iter().map(|one| one.to_vec()).collect::<Vec<_>>())
        }
        ValueRef::Zset(zset) => {
            let members = zset.iter().map(|(member, score)| (member.to_vec(), score));
            format!("zset {:?}", members.collect::<Vec<_>>())
        }
        ValueRef::Hash(hash) => {
            let mut out = String::from("hash");
            for entry in hash.entries() {
                let (field, value) = (entry.field.to_vec(), entry.value.to_vec());
                write!(out, " {field:?} {value:?} {:?}", entry.expire_at).expect("to memory");
            }
            out
        }
        ValueRef::Stream(stream) => {
            let ids: Vec<_> = stream
                .log
                .range(StreamId::MIN, StreamId::MAX)
                .map(|entry| (entry.id, entry.fields.len()))
                .collect();
            let mut out = format!("stream {:?} {} {ids:?}", stream.log.last_id, stream.len());
            for (name, group) in stream.groups.iter() {
                let pending: Vec<_> = group
                    .pending_from(StreamId::MIN)
                    .map(|(id, pending)| (id, pending.delivered_ms, group.owner_name(*pending)))
                    .collect();
                let own: Vec<_> = group
                    .consumers()
                    .map(|one| one.pending_from(StreamId::MIN).collect::<Vec<_>>())
                    .collect();
                write!(out, " {name:?} {:?} {pending:?} {own:?}", group.last_id)
                    .expect("to memory");
            }
            out
        }
        ValueRef::Unchecked(value) => {
            format!("unchecked {}", String::from_utf8_lossy(value.payload()))
        }
        ValueRef::Module(module) => {
            format!("module {}", numbers()[&module.pointer()])
        }
    }
}

/// What the encoded value of the module type is: its id and its number, and the end mark.
pub fn render_saved(encoded: &[u8]) -> String {
    let number = encoded[encoded.len() - 9..encoded.len() - 1].try_into().expect("eight bytes");
    format!("module {}", u64::from_le_bytes(number))
}

/// A module type whose values stand for numbers in a table; they change behind their pointers.
struct NumberType;

impl TypeVtable for NumberType {
    fn name(&self) -> &str {
        "numbers-2"
    }

    fn id(&self) -> u64 {
        2
    }

    fn free(&self, value: usize) {
        assert!(numbers().remove(&value).is_some(), "freed once");
    }

    fn save(&self, _: KeyName<'_>, value: usize, _: Style) -> Option<Vec<u8>> {
        Some(numbers()[&value].to_le_bytes().into())
    }

    fn copy(&self, _: KeyNames<'_>, _: usize) -> Option<usize> {
        None
    }

    fn memory_bytes(&self, _: KeyName<'_>, _: usize, _: usize) -> Option<usize> {
        None
    }
}

/// The numbers behind the "pointers" of live module values.
static NUMBERS: Mutex<BTreeMap<usize, u64>> = Mutex::new(BTreeMap::new());

fn numbers() -> MutexGuard<'static, BTreeMap<usize, u64>> {
    NUMBERS.lock().expect("a test that has failed ends its process")
}

fn module_of(number: u64) -> ModuleValue {
    let mut live = numbers();
    let pointer = live.last_key_value().map_or(1, |(pointer, _)| pointer + 1);
    live.insert(pointer, number);
    drop(live);
    ModuleValue::new(Arc::new(NumberType), pointer)
}
