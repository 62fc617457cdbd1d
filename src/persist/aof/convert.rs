//! How does a snapshot become commands? Part by part, for bases with `aof-use-rdb-preamble no`. Values of modules are
//! not decoded: what the file has of them goes into a payload of RESTORE.

use std::io::{self, Read};

use super::commands::{write_restore, write_value};
use crate::engine::log::encode;
use crate::keyspace::value::Value;
use crate::object::module::KeyName;
use crate::object::rdb::read::Reader;
use crate::object::rdb::{Check, Limits, LoadContext, NoTypes, RdbError, kind, module};
use crate::persist::rdb::load::LoadError;
use crate::persist::rdb::parts::{Part, read_magic, read_part};
use crate::persist::rdb::value::{self, dialect_of};
use crate::persist::rdb::window::{Summing, Window};

/// Bytes of commands that are gathered for one write.
const CHUNK_BYTES: usize = 256 * 1024;

/// Whether a snapshot has become commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Converted {
    /// It has.
    Whole,
    /// It holds what there are no commands for, data of modules beside the keys; what was written is of no use.
    Inexpressible,
}

/// Writes the keys of a snapshot as commands. `timestamp` is noted in front of them, in unix seconds.
pub fn convert(
    source: &mut dyn Read,
    limits: Limits,
    timestamp: Option<i64>,
    write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<Converted, LoadError> {
    let mut out = Vec::new();
    if let Some(now_s) = timestamp {
        out.extend_from_slice(format!("#TS:{now_s}\r\n").as_bytes());
    }
    let mut chunks = Summing::new(source);
    let mut window = Window::new(&mut chunks, None);
    let version = read_magic(&mut window)?;
    let dialect = dialect_of(version).ok_or_else(|| LoadError::Version(version.to_string()))?;
    let (mut expire_at, mut selected) = (None, None);
    loop {
        let part = window.part(|reader| {
            read_part(reader, |kind, reader| {
                let no_key = KeyName { name: None, db: -1 };
                // What came into the data set unchecked goes on.
                let check = Check::Frames;
                let ctx = LoadContext { limits, types: &NoTypes, key: no_key, dialect, check };
                read_key(kind, reader, &ctx)
            })
        })?;
        match part {
            Part::End => break,
            Part::ExpireAt(at) => expire_at = Some(at),
            Part::SelectDb(index) => selected = Some(index),
            Part::Library(text) => encode(&mut out, &[b"FUNCTION", b"LOAD", &text]),
            Part::ModuleData { .. } => return Ok(Converted::Inexpressible),
            Part::Key(Key { name, value }) => {
                if let Some(index) = selected.take() {
                    encode(&mut out, &[b"SELECT", index.to_string().as_bytes()]);
                }
                match value {
                    KeyValue::Decoded(Value::Unchecked(value)) => {
                        write_restore(&name, value.kind(), value.payload(), version, &mut out);
                    }
                    KeyValue::Decoded(value) => write_value(&name, &value.as_ref(), &mut out),
                    KeyValue::Module(bytes) => {
                        write_restore(&name, kind::MODULE_2, &bytes, version, &mut out);
                    }
                    KeyValue::Empty => {}
                }
                if let Some(at) = expire_at.take() {
                    encode(&mut out, &[b"PEXPIREAT", &name, at.to_string().as_bytes()]);
                }
            }
            Part::Frequency(_) | Part::Idle(_) | Part::Resize(_) | Part::Fact(..) | Part::Hint => {}
        }
        if out.len() >= CHUNK_BYTES {
            write(&out)?;
            out.clear();
        }
    }
    write(&out)?;
    Ok(Converted::Whole)
}

struct Key {
    name: Vec<u8>,
    value: KeyValue,
}

enum KeyValue {
    Decoded(Value),
    /// The bytes of a value of a module.
    Module(Vec<u8>),
    Empty,
}

fn read_key(kind: u8, reader: &mut Reader<'_>, ctx: &LoadContext<'_>) -> Result<Key, RdbError> {
    let name = reader.string()?.into_owned();
    if kind == kind::MODULE_2 {
        let bytes = module::raw(reader)?;
        return Ok(Key { name, value: KeyValue::Module(bytes) });
    }
    let value = match value::load(kind, reader, ctx) {
        Ok(value) => KeyValue::Decoded(value),
        Err(RdbError::Empty) => KeyValue::Empty,
        Err(error) => return Err(error),
    };
    Ok(Key { name, value })
}
