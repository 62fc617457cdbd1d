//! How does a document live in a key, and how is it saved?
//!
//! What is written is encoding 3 of the type `ReJSON-RL`: one string with the JSON text. Every RedisJSON since 2.0 and
//! valkey-json read it. What is read besides stands in `saved`.

use std::sync::{Mutex, PoisonError};

use mortise_module::{
    AofWriter, Arg, DigestWriter, Error, Mover, Native, RdbReader, RdbWriter, Type,
};

use crate::saved::{self, Source};
use crate::value::{Value, View};
use crate::write::{Format, to_text};

/// The value of a JSON key.
#[derive(Debug)]
pub(crate) struct Document(pub(crate) Value);

/// Allocations beyond which it does not matter how many there are: more than this is moved and freed in pieces, or elsewhere.
const EFFORT_MAX: usize = 2048;

/// The document that is being moved in pieces, as a number which is its cursor, and the location that is next.
static PLACE: Mutex<(u64, Vec<u32>)> = Mutex::new((0, Vec::new()));

/// The data type.
pub(crate) static JSON: Type<Document> = Type::new();

impl Native for Document {
    const NAME: &'static str = "ReJSON-RL";
    const ENCVER: i32 = saved::TEXT;

    fn rdb_save(&self, writer: &mut RdbWriter<'_>) {
        writer.bytes(to_text(self.0.view(), Format::COMPACT));
    }

    fn rdb_load(reader: &mut RdbReader<'_>, encver: i32) -> Result<Document, Error> {
        let value = saved::load(reader, encver)?;
        Ok(Document(value))
    }

    const FETCHES: bool = true;

    fn fetch(&self) {
        self.0.fetch();
    }

    fn mem_usage(&self) -> usize {
        self.0.memory_bytes()
    }

    fn free_effort(&self) -> usize {
        self.0.allocations(EFFORT_MAX)
    }

    fn move_blocks(&mut self, mover: &mut Mover<'_>) {
        // A value whose place is not remembered begins anew: another one was moved in pieces meanwhile.
        let mut places = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, place) = &mut *places;
        let from = match mover.cursor() {
            0 => &[][..],
            cursor if cursor == *number => place,
            _ => &[][..],
        };
        if let Some(next) = self.0.move_blocks(from, mover) {
            *number += 1;
            *place = next;
            mover.stop_at(*number);
        }
    }

    fn copy(&self, _from: &Arg<'_>, _to: &Arg<'_>) -> Option<Document> {
        Some(Document(self.0.clone()))
    }

    fn digest(&self, digest: &mut DigestWriter<'_>) {
        digest_value(self.0.view(), digest);
        digest.end_sequence();
    }

    fn aof_rewrite(&self, writer: &mut AofWriter<'_>, key: &Arg<'_>) {
        let text = to_text(self.0.view(), Format::COMPACT);
        writer.emit("JSON.SET", &[key, &"$", &text]);
    }
}

impl Source for RdbReader<'_> {
    type Bytes = mortise_module::RdbBytes;

    fn u64(&mut self) -> Result<u64, Error> {
        RdbReader::u64(self)
    }

    fn i64(&mut self) -> Result<i64, Error> {
        RdbReader::i64(self)
    }

    fn f64(&mut self) -> Result<f64, Error> {
        RdbReader::f64(self)
    }

    fn bytes(&mut self) -> Result<Self::Bytes, Error> {
        RdbReader::bytes(self)
    }
}

/// Members go in by name, so that equal documents have equal digests whatever the order of their members.
fn digest_value(view: View<'_>, digest: &mut DigestWriter<'_>) {
    match view {
        View::Array(array) => {
            digest.bytes(b"[");
            array.iter().for_each(|element| digest_value(element, digest));
            digest.bytes(b"]");
        }
        View::Object(object) => {
            digest.bytes(b"{");
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|member| member.name());
            for member in members {
                digest.bytes(member.name());
                digest_value(member.value, digest);
            }
            digest.bytes(b"}");
        }
        scalar => digest.bytes(to_text(scalar, Format::COMPACT)),
    }
}
