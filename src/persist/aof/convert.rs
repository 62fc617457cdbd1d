//! How does a snapshot become commands? Part by part, for bases with `aof-use-rdb-preamble no`. What modules say of their
//! values is asked of them one by one; of a type that does not say, the file's bytes go into a payload of RESTORE.

use std::io::{self, Read};

use super::commands::{write_restore, write_value};
use crate::engine::log::encode;
use crate::engine::state::State;
use crate::keyspace::value::Value;
use crate::object::module::KeyName;
use crate::object::rdb::read::Reader;
use crate::object::rdb::{
    Check, Dialect, Limits, LoadContext, ModuleTypes, NoTypes, RdbError, kind, module,
};
use crate::persist::rdb::load::LoadError;
use crate::persist::rdb::parts::{Part, read_magic, read_part};
use crate::persist::rdb::value::{self, HookTypes, dialect_of};
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

/// Says which commands make the key of a value of a module, of which it gets the bytes that the snapshot has; `None` if
/// nobody knows.
pub type AskModule<'a> =
    &'a mut dyn FnMut(KeyName<'_>, &[u8], Dialect) -> Option<Vec<Vec<Vec<u8>>>>;

/// Asks the module itself, which makes the value anew for that. The state stays as it is, but modules want nobody beside
/// them: it is that of the exclusive lock.
///
/// Only types whose module knows that there is no child are asked ([`TypeVtable::changes_seen`]): others end the process
/// in this callback if they have nothing to say (RediSearch does), which ends a rewriting child of Redis and no more.
///
/// [`TypeVtable::changes_seen`]: crate::object::module::TypeVtable::changes_seen
pub fn ask_module(
    state: &State,
    key: KeyName<'_>,
    bytes: &[u8],
    dialect: Dialect,
) -> Option<Vec<Vec<Vec<u8>>>> {
    let types = HookTypes(state.hooks.clone());
    let limits = value::limits(&state.config);
    let ctx = LoadContext { limits, types: &types, key, dialect, check: Check::Frames };
    let id = Reader::new(bytes).number().ok()?;
    types.find(id).filter(|vtable| vtable.changes_seen())?;
    let value = module::load(&mut Reader::new(bytes), &ctx).ok()?;
    value.vtable().rewrite(key, value.pointer())
}

/// Writes the keys of a snapshot as commands. `timestamp` is noted in front of them, in unix seconds.
pub fn convert(
    source: &mut dyn Read,
    limits: Limits,
    timestamp: Option<i64>,
    ask: AskModule<'_>,
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
    let (mut expire_at, mut selected, mut db) = (None, None, 0);
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
            Part::SelectDb(index) => (selected, db) = (Some(index), index),
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
                        let key = KeyName { name: Some(&name), db: db as i32 };
                        match ask(key, &bytes, dialect) {
                            Some(commands) => commands.iter().for_each(|argv| {
                                let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
                                encode(&mut out, &argv);
                            }),
                            None => write_restore(&name, kind::MODULE_2, &bytes, version, &mut out),
                        }
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
