//! DEBUG DIGEST: do two servers hold the same? Forty hexadecimal digits that are equal for equal data, in whatever
//! order it was written and however it is held.
//!
//! A key's digest covers its db, its name, its type, its elements and whether it expires; those of all keys are
//! added without regard to their order, and so are those of elements whose order means nothing.

use crate::base::number::IntBuf;
use crate::base::sha1::sha1_hex;
use crate::keyspace::Keyspace;
use crate::keyspace::value::ValueRef;
use crate::object::module::{DigestSink, KeyName};
use crate::object::stream::StreamId;

/// Twenty bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum([u8; 20]);

impl Sum {
    fn of(bytes: &[u8]) -> Self {
        let mut sum = Self::default();
        for (byte, digits) in sum.0.iter_mut().zip(sha1_hex(bytes).chunks_exact(2)) {
            let digit = |text: u8| char::from(text).to_digit(16).unwrap_or(0) as u8;
            *byte = digit(digits[0]) << 4 | digit(digits[1]);
        }
        sum
    }

    /// Adds another one; the order in which that is done does not matter.
    fn add(&mut self, other: Sum) {
        let mut carry = 0;
        for (own, other) in self.0.iter_mut().zip(other.0) {
            let sum = u16::from(*own) + u16::from(other) + carry;
            *own = sum as u8;
            carry = sum >> 8;
        }
    }

    /// Goes on with more bytes; the order matters.
    fn mix(&mut self, bytes: &[u8]) {
        *self = Sum::of(&[&self.0[..], &Sum::of(bytes).0].concat());
    }

    fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The digest of all dbs.
pub fn of_all(keyspace: &Keyspace) -> String {
    let mut sum = Sum::default();
    for (index, db) in keyspace.iter() {
        let mut cursor = 0;
        loop {
            cursor = db.scan(cursor, 1000, |key, value, expire_at| {
                let mut own = Sum::of(&(index as u32).to_le_bytes());
                own.mix(key);
                own.mix(if expire_at.is_some() { b"expires" } else { b"stays" });
                own.mix(&digest(&value, KeyName { name: Some(key), db: index as i32 }).0);
                sum.add(own);
            });
            if cursor == 0 {
                break;
            }
        }
    }
    sum.hex()
}

/// The digest of one key's value; zeros if there is none.
pub fn of_value(value: Option<ValueRef<'_>>, key: &[u8], db: u32) -> String {
    let key = KeyName { name: Some(key), db: db as i32 };
    value.map(|value| digest(&value, key)).unwrap_or_default().hex()
}

/// Several texts as one element.
fn element(parts: &[&[u8]]) -> Sum {
    let mut sum = Sum::default();
    parts.iter().for_each(|part| sum.mix(part));
    sum
}

fn digest(value: &ValueRef<'_>, key: KeyName<'_>) -> Sum {
    let mut sum = Sum::of(&[value.kind() as u8]);
    let (mut one, mut two) = (IntBuf::new(), IntBuf::new());
    match value {
        ValueRef::Str(text) => sum.mix(&text.to_cow()),
        ValueRef::Hash(hash) => {
            for entry in hash.entries() {
                let expires: &[u8] = if entry.expire_at.is_some() { b"expires" } else { b"stays" };
                let (field, value) = (entry.field.text(&mut one), entry.value.text(&mut two));
                sum.add(element(&[field, value, expires]));
            }
        }
        ValueRef::Set(set) => {
            set.iter().for_each(|member| sum.add(element(&[member.text(&mut one)])))
        }
        ValueRef::List(list) => list.iter().for_each(|one| sum.mix(&one.to_vec())),
        ValueRef::Stream(stream) => {
            for entry in stream.log.range(StreamId::MIN, StreamId::MAX) {
                sum.mix(entry.id.text().as_bytes());
                for (field, value) in entry.fields {
                    sum.mix(field.text(&mut one));
                    sum.mix(value.text(&mut two));
                }
            }
        }
        ValueRef::Zset(zset) => {
            for (member, score) in zset.iter() {
                sum.add(element(&[member.text(&mut one), &score.to_bits().to_le_bytes()]));
            }
        }
        ValueRef::Module(module) => {
            let vtable = module.vtable();
            let mut sink =
                Sink { sum: Sum::of(vtable.name().as_bytes()), sequence: Sum::default() };
            vtable.digest(key, module.pointer(), &mut sink);
            sum.add(sink.sum);
        }
        ValueRef::Unchecked(value) => sum.mix(value.payload()),
    }
    sum
}

/// Takes what a module says of its value.
struct Sink {
    sum: Sum,
    sequence: Sum,
}

impl DigestSink for Sink {
    fn add(&mut self, part: &[u8]) {
        self.sequence.mix(part);
    }

    fn end_sequence(&mut self) {
        self.sum.add(std::mem::take(&mut self.sequence));
    }
}
