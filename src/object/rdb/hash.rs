//! How are hashes encoded? As a listpack of fields and values, or as a sequence of both; with the expiries of
//! fields in between since Redis 7.4, in other ways since Valkey 9.

use super::read::Reader;
use super::write::Writer;
use super::{RdbError, corrupt, kind};
use crate::base::number::IntBuf;
use crate::object::hash::{Hash, HashEntry, HashLimits};
use crate::object::listpack::{Element, Listpack};
use crate::object::rdb::ziplist;
use crate::object::rdb::zipmap;

/// The latest expiry that a field can have: 46 bits of milliseconds, as in Redis.
const EXPIRE_MAX: u64 = (1 << 46) - 1;

/// The kind that a hash is written as.
pub fn kind_of(hash: &Hash, version: u32) -> u8 {
    let is_small = hash.encoding() != "hashtable";
    match first_expiry(hash) {
        Some(_) if is_small => kind::HASH_LISTPACK_EX,
        Some(_) => kind::HASH_METADATA,
        None if hash.as_listpack().is_some() && version >= 10 => kind::HASH_LISTPACK,
        None => kind::HASH,
    }
}

fn first_expiry(hash: &Hash) -> Option<u64> {
    hash.next_expire()?;
    hash.entries().filter_map(|entry| entry.expire_at).min()
}

/// Writes a hash as [`kind_of`] has it.
pub fn save(hash: &Hash, writer: &mut Writer<'_>) {
    match kind_of(hash, writer.style.version) {
        kind::HASH_LISTPACK_EX => save_listpack_ex(hash, writer),
        kind::HASH_METADATA => save_metadata(hash, writer),
        kind::HASH_LISTPACK => {
            let listpack = hash.as_listpack().expect("kind_of has seen it");
            writer.blob(listpack.as_bytes());
        }
        _ => {
            writer.number(hash.len() as u64);
            for entry in hash.entries() {
                write_element(entry.field, writer);
                write_element(entry.value, writer);
            }
        }
    }
}

/// Writes a text.
pub(super) fn write_element(element: Element<'_>, writer: &mut Writer<'_>) {
    match element {
        Element::Int(value) => writer.int_string(value),
        Element::Str(text) => writer.string(text),
    }
}

/// Field, value, expiry; those that expire first come first, 0 for never at the end, as Redis needs it.
fn save_listpack_ex(hash: &Hash, writer: &mut Writer<'_>) {
    let mut entries: Vec<HashEntry<'_>> = hash.entries().collect();
    entries.sort_by_key(|entry| entry.expire_at.unwrap_or(u64::MAX));
    let mut listpack = Listpack::new();
    let mut buf = IntBuf::new();
    for entry in &entries {
        listpack.push_back(entry.field.text(&mut buf));
        listpack.push_back(entry.value.text(&mut buf));
        listpack.push_back_i64(entry.expire_at.unwrap_or(0).cast_signed());
    }
    let first = entries.first().and_then(|entry| entry.expire_at).unwrap_or(0);
    writer.millis(first.cast_signed());
    writer.blob(listpack.as_bytes());
}

/// Expiries are counted from the first one, plus one, so that 0 is left for never.
fn save_metadata(hash: &Hash, writer: &mut Writer<'_>) {
    let first = first_expiry(hash).unwrap_or(0);
    writer.millis(first.cast_signed());
    writer.number(hash.len() as u64);
    for entry in hash.entries() {
        writer.number(entry.expire_at.map_or(0, |at| at - first + 1));
        write_element(entry.field, writer);
        write_element(entry.value, writer);
    }
}

/// Adds a field that must be new.
fn add(
    hash: &mut Hash,
    field: &[u8],
    value: &[u8],
    expire_at: Option<u64>,
    limits: HashLimits,
) -> Result<(), RdbError> {
    // Nothing has expired at the beginning of time, so every field is seen.
    if !hash.set(field, value, 0, limits) {
        return Err(corrupt("Duplicate hash fields detected"));
    }
    if expire_at.is_some() {
        hash.set_field_expire(field, expire_at, 0);
    }
    Ok(())
}

fn begin(len: u64, limits: HashLimits) -> Result<Hash, RdbError> {
    if len == 0 {
        return Err(RdbError::Empty);
    }
    let mut hash = Hash::new();
    hash.reserve(usize::try_from(len).unwrap_or(usize::MAX), limits);
    Ok(hash)
}

/// Reads fields and values.
pub fn load_table(reader: &mut Reader<'_>, limits: HashLimits) -> Result<Hash, RdbError> {
    let len = reader.number()?;
    let mut hash = begin(len, limits)?;
    for _ in 0..len {
        let (field, value) = (reader.string()?, reader.string()?);
        add(&mut hash, &field, &value, None, limits)?;
    }
    Ok(hash)
}

/// Reads fields, values and expiries; since the release of 7.4 these are counted from the first one.
pub fn load_metadata(
    reader: &mut Reader<'_>,
    has_min: bool,
    limits: HashLimits,
) -> Result<Hash, RdbError> {
    let first = if has_min { reader.millis()?.cast_unsigned() } else { 0 };
    if first > EXPIRE_MAX + 1 {
        return Err(corrupt("Hash read invalid minExpire value"));
    }
    let len = reader.number()?;
    let mut hash = begin(len, limits)?;
    for _ in 0..len {
        let ttl = reader.number()?;
        let (field, value) = (reader.string()?, reader.string()?);
        let expire_at = match (ttl, has_min) {
            (0, _) => None,
            (ttl, true) => Some(first.saturating_add(ttl - 1)),
            (ttl, false) => Some(ttl),
        };
        if expire_at.is_some_and(|at| at > EXPIRE_MAX) {
            return Err(corrupt("invalid expireAt time"));
        }
        add(&mut hash, &field, &value, expire_at, limits)?;
    }
    Ok(hash)
}

/// Reads fields, values and expiries as Valkey writes them; -1 is never.
pub fn load_valkey(reader: &mut Reader<'_>, limits: HashLimits) -> Result<Hash, RdbError> {
    let len = reader.number()?;
    let mut hash = begin(len, limits)?;
    for _ in 0..len {
        let (field, value) = (reader.string()?, reader.string()?);
        // Valkey's go on for longer than ours, whose last one is in the year 4199.
        let expire_at = match reader.millis()? {
            -1 => None,
            at => {
                let at = u64::try_from(at).map_err(|_| corrupt("invalid expireAt time"))?;
                Some(at.min(EXPIRE_MAX))
            }
        };
        add(&mut hash, &field, &value, expire_at, limits)?;
    }
    Ok(hash)
}

const LISTPACK_COMPLAINT: &str = "Hash listpack integrity check failed.";

/// Reads a listpack of fields and values.
pub fn load_listpack(reader: &mut Reader<'_>, limits: HashLimits) -> Result<Hash, RdbError> {
    let listpack = reader.listpack(LISTPACK_COMPLAINT)?;
    take_over(listpack, limits, LISTPACK_COMPLAINT)
}

/// Takes a listpack of fields and values that was checked.
fn take_over(
    listpack: Listpack,
    limits: HashLimits,
    complaint: &'static str,
) -> Result<Hash, RdbError> {
    let fields = listpack.len() / 2;
    if !listpack.len().is_multiple_of(2) {
        return Err(corrupt(complaint));
    }
    let mut hash = Hash::from_listpack(listpack).ok_or_else(|| {
        // Redis finds this when it converts the listpack, with words of its own.
        RdbError::Corrupt(format!("{complaint} listpack with dup elements").into())
    })?;
    if fields == 0 {
        return Err(RdbError::Empty);
    }
    hash.reserve(fields, limits);
    Ok(hash)
}

/// Reads a listpack of fields, values and expiries.
pub fn load_listpack_ex(
    reader: &mut Reader<'_>,
    has_min: bool,
    limits: HashLimits,
) -> Result<Hash, RdbError> {
    if has_min {
        reader.millis()?;
    }
    let listpack = reader.listpack(LISTPACK_COMPLAINT)?;
    if !listpack.len().is_multiple_of(3) {
        return Err(corrupt(LISTPACK_COMPLAINT));
    }
    let mut hash = begin(listpack.len() as u64 / 3, limits)?;
    // The texts were in a listpack, so they may stay in one however long they are.
    let limits = HashLimits { value_max: usize::MAX, ..limits };
    let (mut field_buf, mut value_buf) = (IntBuf::new(), IntBuf::new());
    let mut elements = listpack.iter();
    while let (Some(field), Some(value), Some(expiry)) =
        (elements.next(), elements.next(), elements.next())
    {
        let expire_at = match expiry {
            Element::Int(0) => None,
            Element::Int(at) if (0..=EXPIRE_MAX.cast_signed()).contains(&at) => {
                Some(at.cast_unsigned())
            }
            _ => return Err(corrupt(LISTPACK_COMPLAINT)),
        };
        let (field, value) = (field.text(&mut field_buf), value.text(&mut value_buf));
        add(&mut hash, field, value, expire_at, limits).map_err(|_| corrupt(LISTPACK_COMPLAINT))?;
    }
    Ok(hash)
}

const ZIPLIST_COMPLAINT: &str = "Hash ziplist integrity check failed.";

/// Reads a ziplist of fields and values.
pub fn load_ziplist(reader: &mut Reader<'_>, limits: HashLimits) -> Result<Hash, RdbError> {
    let bytes = reader.string()?;
    let listpack = ziplist::to_listpack(&bytes).ok_or(corrupt(ZIPLIST_COMPLAINT))?;
    take_over(listpack, limits, ZIPLIST_COMPLAINT)
}

/// Reads a zipmap, in which Redis before 2.6 held small hashes.
pub fn load_zipmap(reader: &mut Reader<'_>, limits: HashLimits) -> Result<Hash, RdbError> {
    let bytes = reader.string()?;
    let pairs = zipmap::pairs(&bytes).ok_or(corrupt("Zipmap integrity check failed."))?;
    let mut hash = begin(pairs.len() as u64, limits)?;
    for (field, value) in pairs {
        if !hash.set(field, value, 0, limits) {
            let len = field.len();
            let text = format!("Hash zipmap with dup elements, or big length ({len})");
            return Err(RdbError::Corrupt(text.into()));
        }
    }
    Ok(hash)
}
