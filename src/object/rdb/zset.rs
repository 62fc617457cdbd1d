//! How are sorted sets encoded? As a listpack of members and scores in order, or as a sequence of both, the
//! scores as text before Redis 4.0 and as eight bytes since.

use super::hash::write_element;
use super::read::Reader;
use super::write::Writer;
use super::{RdbError, corrupt, kind, ziplist};
use crate::object::listpack::Listpack;
use crate::object::zset::{Zset, ZsetLimits};

/// The kind that a sorted set is written as.
pub fn kind_of(zset: &Zset, version: u32) -> u8 {
    match zset.as_listpack() {
        Some(_) if version >= 10 => kind::ZSET_LISTPACK,
        _ => kind::ZSET_2,
    }
}

/// Writes a sorted set as [`kind_of`] has it.
pub fn save(zset: &Zset, writer: &mut Writer<'_>) {
    if let Some(listpack) = zset.as_listpack()
        && writer.style.version >= 10
    {
        return writer.blob(listpack.as_bytes());
    }
    writer.number(zset.len() as u64);
    // The highest score first, which Redis loads fastest.
    for (member, score) in zset.iter().rev() {
        write_element(member, writer);
        writer.double(score);
    }
}

/// How scores are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// As decimal text.
    Text,
    /// As eight bytes.
    Binary,
}

/// Reads members and scores.
pub fn load_table(
    reader: &mut Reader<'_>,
    scores: Scores,
    limits: ZsetLimits,
) -> Result<Zset, RdbError> {
    let len = reader.number()?;
    if len == 0 {
        return Err(RdbError::Empty);
    }
    let mut zset = Zset::new();
    zset.reserve(usize::try_from(len).unwrap_or(usize::MAX), limits);
    for _ in 0..len {
        let member = reader.string()?;
        let score = match scores {
            Scores::Text => reader.text_double()?,
            Scores::Binary => reader.double()?,
        };
        if score.is_nan() {
            return Err(corrupt("Zset with NAN score detected"));
        }
        if zset.set(&member, score, limits).is_some() {
            return Err(corrupt("Duplicate zset fields detected"));
        }
    }
    Ok(zset)
}

fn take_over(
    listpack: Listpack,
    limits: ZsetLimits,
    complaint: &'static str,
) -> Result<Zset, RdbError> {
    let mut zset = Zset::from_listpack(listpack).ok_or(corrupt(complaint))?;
    if zset.is_empty() {
        return Err(RdbError::Empty);
    }
    zset.reserve(zset.len(), limits);
    Ok(zset)
}

/// Reads a listpack of members and scores.
pub fn load_listpack(reader: &mut Reader<'_>, limits: ZsetLimits) -> Result<Zset, RdbError> {
    const COMPLAINT: &str = "Zset listpack integrity check failed.";
    take_over(reader.listpack(COMPLAINT)?, limits, COMPLAINT)
}

/// Reads a ziplist of members and scores.
pub fn load_ziplist(reader: &mut Reader<'_>, limits: ZsetLimits) -> Result<Zset, RdbError> {
    const COMPLAINT: &str = "Zset ziplist integrity check failed.";
    let listpack = ziplist::to_listpack(&reader.string()?).ok_or(corrupt(COMPLAINT))?;
    take_over(listpack, limits, COMPLAINT)
}
