//! How are lists encoded? As nodes that are listpacks or single long elements; as nodes that are ziplists before
//! Redis 7.0; as one ziplist or a sequence of elements before 3.2.

use super::hash::write_element;
use super::read::Reader;
use super::write::Writer;
use super::{RdbError, corrupt, kind, ziplist};
use crate::base::number::IntBuf;
use crate::object::list::node::NodeRef;
use crate::object::list::{End, List, ListLimits};

/// What a node is.
pub(super) mod container {
    pub const PLAIN: u64 = 1;
    pub const PACKED: u64 = 2;
}

/// The kind that a list is written as.
pub fn kind_of(version: u32) -> u8 {
    if version >= 10 { kind::LIST_QUICKLIST_2 } else { kind::LIST }
}

/// Writes a list as [`kind_of`] has it.
pub fn save(list: &List, writer: &mut Writer<'_>) {
    if writer.style.version < 10 {
        writer.number(list.len() as u64);
        list.iter().for_each(|element| write_element(element, writer));
        return;
    }
    writer.number(list.nodes() as u64);
    for number in 0..list.nodes() {
        match list.node(number) {
            NodeRef::Packed(listpack) => {
                writer.number(container::PACKED);
                writer.blob(listpack.as_bytes());
            }
            NodeRef::Plain(text) => {
                writer.number(container::PLAIN);
                writer.blob(text);
            }
        }
    }
}

fn finish(mut list: List, limits: ListLimits) -> Result<List, RdbError> {
    if list.is_empty() {
        return Err(RdbError::Empty);
    }
    list.settle(limits);
    Ok(list)
}

/// Reads elements.
pub fn load_elements(reader: &mut Reader<'_>, limits: ListLimits) -> Result<List, RdbError> {
    let mut list = List::new();
    for _ in 0..reader.number()? {
        list.push(End::Tail, &[&reader.string()?], limits);
    }
    finish(list, limits)
}

/// Reads one ziplist of elements.
pub fn load_ziplist(reader: &mut Reader<'_>, limits: ListLimits) -> Result<List, RdbError> {
    let bytes = reader.string()?;
    let elements =
        ziplist::elements(&bytes).ok_or(corrupt("List ziplist integrity check failed."))?;
    let mut list = List::new();
    let mut buf = IntBuf::new();
    for element in elements {
        list.push(End::Tail, &[element.text(&mut buf)], limits);
    }
    finish(list, limits)
}

/// Reads nodes that are ziplists.
pub fn load_ziplists(reader: &mut Reader<'_>, limits: ListLimits) -> Result<List, RdbError> {
    let mut list = List::new();
    for _ in 0..reader.number()? {
        let bytes = node_bytes(reader)?;
        let listpack =
            ziplist::to_listpack(&bytes).ok_or(corrupt("Ziplist integrity check failed."))?;
        list.append_listpack(listpack);
    }
    finish(list, limits)
}

/// Reads nodes that are listpacks or single elements.
pub fn load_nodes(reader: &mut Reader<'_>, limits: ListLimits) -> Result<List, RdbError> {
    let mut list = List::new();
    for _ in 0..reader.number()? {
        match reader.number()? {
            container::PLAIN => list.append_plain(node_bytes(reader)?),
            container::PACKED => {
                let bytes = node_bytes(reader)?;
                reader.checked += 1;
                let listpack = crate::object::listpack::Listpack::from_bytes(bytes)
                    .map_err(|_| corrupt("Listpack integrity check failed."))?;
                list.append_listpack(listpack);
            }
            _ => return Err(corrupt("Quicklist integrity check failed.")),
        }
    }
    finish(list, limits)
}

/// Reads the bytes of a node, of which there must be some.
pub(super) fn node_bytes(reader: &mut Reader<'_>) -> Result<Vec<u8>, RdbError> {
    let bytes = reader.string()?.into_owned();
    if bytes.is_empty() {
        return Err(corrupt("Quicklist integrity check failed."));
    }
    Ok(bytes)
}
