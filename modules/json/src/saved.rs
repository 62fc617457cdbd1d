//! How is a saved document read?
//!
//! Of the encodings of the type `ReJSON-RL` these are known, whoever wrote them:
//!
//! ```text
//! 4   a string: CBOR (see `cbor`); RedisJSON since 8.8
//! 3   a string: JSON text; what is written here, RedisJSON since 2.0, valkey-json
//! 2   the same, then a number; if it is not 0, two strings that nobody needs any more
//! 0   a tree of nodes: a code, then the value; RedisJSON 1, valkey-json reads it too
//! ```
//!
//! Invariant: whatever bytes come, loading ends in a value that keeps the limits of `codec`, or in an error.

use std::ops::Deref;

use mortise_module::Error;

use crate::cbor;
use crate::codec::{DEPTH_MAX, parse};
use crate::value::{ArrayBuilder, Builder, Item, ObjectBuilder, Value};

/// JSON text, which is written.
pub const TEXT: i32 = 3;
const BINARY: i32 = 4;
const TEXT_AND_SCHEMA: i32 = 2;
const TREE: i32 = 0;

/// What saved values are read from, piece by piece.
pub trait Source {
    /// Bytes in whose hands they are.
    type Bytes: Deref<Target = [u8]>;
    /// An unsigned integer.
    fn u64(&mut self) -> Result<u64, Error>;
    /// A signed one.
    fn i64(&mut self) -> Result<i64, Error>;
    /// A double.
    fn f64(&mut self) -> Result<f64, Error>;
    /// A string.
    fn bytes(&mut self) -> Result<Self::Bytes, Error>;
}

/// Reads a document of one of the encodings.
pub fn load(reader: &mut impl Source, encver: i32) -> Result<Value, Error> {
    match encver {
        BINARY => cbor::parse(&reader.bytes()?).map_err(Error::new),
        TEXT => load_text(reader),
        TEXT_AND_SCHEMA => {
            let value = load_text(reader)?;
            if reader.u64()? != 0 {
                reader.bytes()?;
                reader.bytes()?;
            }
            Ok(value)
        }
        TREE => {
            let mut builder = Builder::new(0);
            let root = load_tree(reader, &mut builder, DEPTH_MAX)?;
            Ok(builder.finish(root))
        }
        other => {
            let text = format!("documents of encoding version {other} cannot be read");
            Err(Error::new(text))
        }
    }
}

fn load_text(reader: &mut impl Source) -> Result<Value, Error> {
    let bytes = reader.bytes()?;
    let parsed = parse(std::str::from_utf8(&bytes)?).map_err(Error::new)?;
    Ok(parsed.value)
}

/// Reads a node of encoding 0: its code, then a string (2), a double (4), a signed integer (8), a string that begins
/// with `1` or not (boolean, 16), a count and the elements (array, 64), a count and for each member the code 128, the
/// name and the value (object, 32), or nothing (null, 1).
fn load_tree(
    reader: &mut impl Source,
    builder: &mut Builder,
    levels_left: usize,
) -> Result<Item, Error> {
    let nested =
        || levels_left.checked_sub(1).ok_or_else(|| Error::new("recursion limit exceeded"));
    match reader.u64()? {
        1 => Ok(builder.null()),
        2 => Ok(builder.text(std::str::from_utf8(&reader.bytes()?)?)),
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
                object.name(builder, std::str::from_utf8(&reader.bytes()?)?);
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
