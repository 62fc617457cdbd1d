//! How are sets encoded? As an intset, as a listpack since Redis 7.2, or as a sequence of members.

use std::collections::HashSet;

use super::hash::write_element;
use super::read::Reader;
use super::write::Writer;
use super::{Check, LoadContext, RdbError, corrupt, kind};
use crate::base::number::IntBuf;
use crate::object::intset::Intset;
use crate::object::listpack::Element;
use crate::object::set::{Set, SetLimits};

/// The kind that a set is written as.
pub fn kind_of(set: &Set, version: u32) -> u8 {
    if set.as_intset().is_some() {
        kind::SET_INTSET
    } else if set.as_listpack().is_some() && version >= 11 {
        kind::SET_LISTPACK
    } else {
        kind::SET
    }
}

/// Writes a set as [`kind_of`] has it.
pub fn save(set: &Set, writer: &mut Writer<'_>) {
    match (set.as_intset(), set.as_listpack()) {
        (Some(intset), _) => writer.blob(&intset.to_bytes()),
        (None, Some(listpack)) if writer.style.version >= 11 => writer.blob(listpack.as_bytes()),
        (None, Some(_)) => {
            // Of a member that came twice, and was not looked at, a table takes one only.
            let mut buf = IntBuf::new();
            let mut known = HashSet::new();
            let once: Vec<Element<'_>> =
                set.iter().filter(|member| known.insert(member.text(&mut buf).to_vec())).collect();
            writer.number(once.len() as u64);
            once.into_iter().for_each(|member| write_element(member, writer));
        }
        (None, None) => {
            writer.number(set.len() as u64);
            set.iter().for_each(|member| write_element(member, writer));
        }
    }
}

/// Reads members.
pub fn load_table(reader: &mut Reader<'_>, limits: SetLimits) -> Result<Set, RdbError> {
    let len = reader.number()?;
    if len == 0 {
        return Err(RdbError::Empty);
    }
    let mut set = Set::new();
    set.reserve(usize::try_from(len).unwrap_or(usize::MAX), limits);
    for _ in 0..len {
        if !set.add(&reader.string()?, limits) {
            return Err(corrupt("Duplicate set members detected"));
        }
    }
    Ok(set)
}

/// Reads an intset.
pub fn load_intset(reader: &mut Reader<'_>, limits: SetLimits) -> Result<Set, RdbError> {
    let intset = Intset::from_bytes(&reader.string()?);
    reader.checked += 1;
    let intset = intset.ok().filter(|intset| !intset.is_empty());
    let intset = intset.ok_or(corrupt("Intset integrity check failed."))?;
    let mut set = Set::from_intset(intset);
    set.reserve(set.len(), limits);
    Ok(set)
}

/// Reads a listpack of members.
pub fn load_listpack(reader: &mut Reader<'_>, ctx: &LoadContext<'_>) -> Result<Set, RdbError> {
    const COMPLAINT: &str = "Set listpack integrity check failed.";
    let limits = ctx.limits.set;
    let listpack = reader.listpack(COMPLAINT)?;
    // Who does not check does not see a member that comes twice, unless a table is to be made of them.
    let is_small = listpack.len() <= limits.listpack_entries_max;
    let mut set = match ctx.check {
        Check::Frames if is_small => Set::with_repetitions(listpack),
        _ => Set::from_listpack(listpack).ok_or(corrupt(COMPLAINT))?,
    };
    if set.is_empty() {
        return Err(RdbError::Empty);
    }
    set.reserve(set.len(), limits);
    Ok(set)
}
