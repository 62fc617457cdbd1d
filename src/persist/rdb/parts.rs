//! What is the next part of a file? The parts around the keys; what becomes of a key is up to whoever reads it.

use super::load::LoadError;
use super::value::VALKEY_VERSION_MIN;
use super::window::Window;
use crate::object::rdb::kind::{self, item, opcode};
use crate::object::rdb::module::skip_items;
use crate::object::rdb::read::Reader;
use crate::object::rdb::{RdbError, corrupt};

/// Files from this version on end with a checksum.
pub(in crate::persist) const VERSION_WITH_CHECKSUM: u32 = 5;

/// A part of a file.
pub(in crate::persist) enum Part<K> {
    Key(K),
    ExpireAt(i64),
    Frequency(u8),
    Idle(u64),
    SelectDb(u64),
    /// So many keys are in the db.
    Resize(u64),
    Fact(Vec<u8>, Vec<u8>),
    ModuleData {
        id: u64,
        when: u64,
        items: Vec<u8>,
    },
    Library(Vec<u8>),
    Hint,
    End,
}

/// Reads a part. `read_key` reads what follows the byte that says of which kind the value is: key and value.
#[inline]
pub(in crate::persist) fn read_part<K>(
    reader: &mut Reader<'_>,
    read_key: impl FnOnce(u8, &mut Reader<'_>) -> Result<K, RdbError>,
) -> Result<Part<K>, RdbError> {
    let kind = reader.byte()?;
    if kind::is_value(kind) {
        return read_key(kind, reader).map(Part::Key);
    }
    Ok(match kind {
        opcode::EXPIRE => Part::ExpireAt(i64::from(i32::from_le_bytes(reader.array()?)) * 1000),
        opcode::EXPIRE_MS => Part::ExpireAt(reader.millis()?),
        opcode::FREQ => Part::Frequency(reader.byte()?),
        opcode::IDLE => Part::Idle(reader.number()?),
        opcode::EOF => Part::End,
        opcode::SELECT_DB => Part::SelectDb(reader.number()?),
        opcode::RESIZE_DB => {
            let keys = reader.number()?;
            reader.number()?;
            Part::Resize(keys)
        }
        opcode::SLOT_INFO => {
            reader.number()?;
            reader.number()?;
            reader.number()?;
            Part::Hint
        }
        opcode::AUX => Part::Fact(reader.string()?.into_owned(), reader.string()?.into_owned()),
        opcode::MODULE_AUX => read_module_data(reader)?,
        opcode::FUNCTION => Part::Library(reader.string()?.into_owned()),
        opcode::SLOT_IMPORT_VALKEY => {
            // Keys that the cluster did not have yet would be among the others.
            return Err(corrupt("The file was written while slots were being imported."));
        }
        opcode::FUNCTION_PRE_GA => {
            return Err(corrupt("Pre-release function format not supported."));
        }
        kind => {
            reader.skip_string()?;
            return Err(RdbError::Corrupt(format!("Unknown RDB encoding type {kind}").into()));
        }
    })
}

fn read_module_data<K>(reader: &mut Reader<'_>) -> Result<Part<K>, RdbError> {
    let (id, when_kind, when) = (reader.number()?, reader.number()?, reader.number()?);
    if when_kind != item::UNSIGNED {
        return Err(corrupt("bad when_opcode"));
    }
    let rest = reader.rest();
    let before = reader.position();
    skip_items(reader)?;
    Ok(Part::ModuleData { id, when, items: rest[..reader.position() - before].to_vec() })
}

/// Reads the first bytes; the version.
pub(in crate::persist) fn read_magic(window: &mut Window<'_>) -> Result<u32, LoadError> {
    let magic: [u8; 9] = window.part(|reader| reader.array())?;
    let (digits, is_valkey) = match magic.strip_prefix(b"REDIS") {
        Some(digits) => (digits, false),
        None => (magic.strip_prefix(b"VALKEY").ok_or(LoadError::Signature)?, true),
    };
    let text = String::from_utf8_lossy(digits);
    // What are no digits count as nothing, as in C.
    let version = text.parse().unwrap_or(0);
    if version == 0 || is_valkey != (version >= VALKEY_VERSION_MIN) {
        return Err(LoadError::Version(version.to_string()));
    }
    Ok(version)
}
