//! How does a document live in a key, and how is it saved?
//!
//! What is written is encoding 3 of the type `ReJSON-RL`: one string with the JSON text. Every RedisJSON since 2.0 and
//! valkey-json read it. Read are also 2 (the text, then a number; if it is not 0, two strings that nobody needs any more)
//! and 0 (a tree of nodes: a code, then the value; see [`load_tree`]).
//!
//! Invariant: whatever bytes come, loading ends in a value that keeps the limits of `codec`, or in an error.

use mortise_module::{AofWriter, Arg, DigestWriter, Error, Native, RdbReader, RdbWriter, Type};

use crate::codec::{DEPTH_MAX, parse};
use crate::value::{ArrayBuilder, Builder, Item, ObjectBuilder, Value, View};
use crate::write::{Format, to_text};

/// The value of a JSON key.
#[derive(Debug)]
pub(crate) struct Document(pub(crate) Value);

/// The data type.
pub(crate) static JSON: Type<Document> = Type::new();

/// Kept in step with `Native::ENCVER` below.
const TEXT: i32 = 3;
const TEXT_AND_SCHEMA: i32 = 2;
const TREE: i32 = 0;

impl Native for Document {
    const NAME: &'static str = "ReJSON-RL";
    const ENCVER: i32 = TEXT;

    fn rdb_save(&self, writer: &mut RdbWriter<'_>) {
        writer.bytes(to_text(self.0.view(), Format::COMPACT));
    }

    fn rdb_load(reader: &mut RdbReader<'_>, encver: i32) -> Result<Document, Error> {
        let value = match encver {
            TEXT => load_text(reader)?,
            TEXT_AND_SCHEMA => {
                let value = load_text(reader)?;
                if reader.u64()? != 0 {
                    reader.bytes()?;
                    reader.bytes()?;
                }
                value
            }
            TREE => {
                let mut builder = Builder::new(0);
                let root = load_tree(reader, &mut builder, DEPTH_MAX)?;
                builder.finish(root)
            }
            other => {
                let text = format!("documents of encoding version {other} cannot be read");
                return Err(Error::new(text));
            }
        };
        Ok(Document(value))
    }

    fn mem_usage(&self) -> usize {
        self.0.memory_bytes()
    }

    fn free_effort(&self) -> usize {
        self.0.allocations()
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

fn load_text(reader: &mut RdbReader<'_>) -> Result<Value, Error> {
    let bytes = reader.bytes()?;
    let parsed = parse(std::str::from_utf8(&bytes)?).map_err(Error::new)?;
    Ok(parsed.value)
}

/// Reads a node of encoding 0: its code, then a string (2), a double (4), a signed integer (8), a string that begins
/// with `1` or not (boolean, 16), a count and the elements (array, 64), a count and for each member the code 128, the
/// name and the value (object, 32), or nothing (null, 1).
fn load_tree(
    reader: &mut RdbReader<'_>,
    builder: &mut Builder,
    levels_left: usize,
) -> Result<Item, Error> {
    let nested =
        || levels_left.checked_sub(1).ok_or_else(|| Error::new("recursion limit exceeded"));
    match reader.u64()? {
        1 => Ok(builder.null()),
        2 => Ok(builder.text(&reader.text()?)),
        4 => match reader.f64()? {
            value if value.is_finite() => Ok(Item::Float(value)),
            _ => Err(Error::new("a document holds a number that JSON does not have")),
        },
        8 => Ok(Item::Int(reader.i64()?)),
        16 => Ok(builder.bool(reader.bytes()?.first() == Some(&b'1'))),
        32 => {
            let levels_left = nested()?;
            let mut object = ObjectBuilder::begin(builder);
            for _ in 0..reader.u64()? {
                if reader.u64()? != 128 {
                    return Err(Error::new("a document holds a member that is none"));
                }
                object.name(builder, &reader.text()?);
                let item = load_tree(reader, builder, levels_left)?;
                object.add(builder, item);
            }
            Ok(object.finish(builder))
        }
        64 => {
            let levels_left = nested()?;
            let mut array = ArrayBuilder::begin(builder);
            for _ in 0..reader.u64()? {
                let item = load_tree(reader, builder, levels_left)?;
                array.add(builder, item);
            }
            Ok(array.finish(builder))
        }
        _ => Err(Error::new("a document holds a node of unknown kind")),
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
