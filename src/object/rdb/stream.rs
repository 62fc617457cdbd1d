//! How are streams encoded? Nodes, each with its ID, as they are in memory; what is known of entries that are gone
//! (since Redis 7.0); the groups with their pending entries and consumers (the latter's activity since 7.2).

use super::read::Reader;
use super::write::Writer;
use super::{RdbError, corrupt, kind};
use crate::object::stream::{ConsumerSlot, Group, Pending, Stream, StreamId};

/// What versions of the encoding have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// Entries and groups.
    First = 1,
    /// Also what is known of deleted entries, and how much groups have read.
    Second = 2,
    /// Also when consumers were active.
    Third = 3,
}

fn layout_of(version: u32) -> Layout {
    match version {
        0..=9 => Layout::First,
        10 => Layout::Second,
        _ => Layout::Third,
    }
}

/// The kind that a stream is written as.
pub fn kind_of(version: u32) -> u8 {
    match layout_of(version) {
        Layout::First => kind::STREAM_LISTPACKS,
        Layout::Second => kind::STREAM_LISTPACKS_2,
        Layout::Third => kind::STREAM_LISTPACKS_3,
    }
}

/// Writes a stream as [`kind_of`] has it.
pub fn save(stream: &Stream, writer: &mut Writer<'_>) {
    let layout = layout_of(writer.style.version);
    let log = &stream.log;
    writer.number(log.node_count() as u64);
    for (id, node) in log.nodes() {
        writer.blob(&id.to_bytes());
        writer.blob(node.as_bytes());
    }
    writer.number(log.len());
    write_id(log.last_id, writer);
    if layout >= Layout::Second {
        write_id(log.first_id(), writer);
        write_id(log.max_deleted_id, writer);
        writer.number(log.entries_added);
    }
    writer.number(stream.groups.len() as u64);
    for (name, group) in stream.groups.iter() {
        writer.string(name);
        save_group(group, layout, writer);
    }
}

fn write_id(id: StreamId, writer: &mut Writer<'_>) {
    writer.number(id.ms);
    writer.number(id.seq);
}

fn save_group(group: &Group, layout: Layout, writer: &mut Writer<'_>) {
    write_id(group.last_id, writer);
    if layout >= Layout::Second {
        // What is not known is -1.
        writer.number(group.entries_read.unwrap_or(-1).cast_unsigned());
    }
    writer.number(group.pending_len() as u64);
    for (id, Pending { delivered_ms, count, .. }) in group.pending_from(StreamId::MIN) {
        writer.raw(&id.to_bytes());
        writer.millis(*delivered_ms);
        writer.number(*count);
    }
    writer.number(group.consumer_count() as u64);
    for consumer in group.consumers() {
        writer.string(consumer.name());
        writer.millis(consumer.seen_ms);
        if layout >= Layout::Third {
            writer.millis(consumer.active_ms.unwrap_or(-1));
        }
        writer.number(consumer.pending_len() as u64);
        for id in consumer.pending_from(StreamId::MIN) {
            writer.raw(&id.to_bytes());
        }
    }
}

pub(super) fn read_id(reader: &mut Reader<'_>) -> Result<StreamId, RdbError> {
    Ok(StreamId::new(reader.number()?, reader.number()?))
}

fn read_raw_id(reader: &mut Reader<'_>) -> Result<StreamId, RdbError> {
    reader.array().map(StreamId::from_bytes)
}

/// Reads a stream.
pub fn load(reader: &mut Reader<'_>, layout: Layout) -> Result<Stream, RdbError> {
    let mut stream = Stream::default();
    for _ in 0..reader.number()? {
        let id = reader.string()?;
        let id = <[u8; 16]>::try_from(&*id)
            .map_err(|_| corrupt("Stream node key entry is not the size of a stream ID"))?;
        let node = reader.string()?.into_owned();
        reader.checked += 1;
        if !stream.log.restore_node(StreamId::from_bytes(id), node) {
            return Err(corrupt("Stream listpack integrity check failed."));
        }
    }
    let len = reader.number()?;
    if len > 0 && stream.log.node_count() == 0 {
        return Err(corrupt("Stream length inconsistent with rax entries"));
    }
    stream.log.last_id = read_id(reader)?;
    if layout >= Layout::Second {
        // The first entry's ID is known from the entries.
        read_id(reader)?;
        stream.log.max_deleted_id = read_id(reader)?;
        stream.log.entries_added = reader.number()?;
    } else {
        stream.log.entries_added = stream.log.len();
    }
    // New entries come behind what is there, whatever the file says.
    if stream.log.last_entry_id().is_some_and(|last| last > stream.log.last_id) {
        return Err(corrupt("Stream last ID is smaller than that of its last entry"));
    }
    for _ in 0..reader.number()? {
        load_group(reader, layout, Owners::AllKnown, &mut stream)?;
    }
    Ok(stream)
}

/// Whether each pending entry of a group must have a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owners {
    /// It must.
    AllKnown,
    /// Nobody looks.
    MayMiss,
}

/// Reads a group and adds it.
pub(super) fn load_group(
    reader: &mut Reader<'_>,
    layout: Layout,
    owners: Owners,
    stream: &mut Stream,
) -> Result<(), RdbError> {
    let name = reader.string()?;
    let last_id = read_id(reader)?;
    let entries_read = if layout >= Layout::Second {
        Some(reader.number()?.cast_signed()).filter(|read| *read != -1)
    } else {
        stream.log.added_up_to(last_id)
    };
    let mut group = Group::new(last_id, entries_read);
    for _ in 0..reader.number()? {
        let id = read_raw_id(reader)?;
        let (delivered_ms, count) = (reader.millis()?, reader.number()?);
        if !group.restore_pending(id, delivered_ms, count) {
            return Err(corrupt("Duplicated global PEL entry loading stream consumer group"));
        }
    }
    for _ in 0..reader.number()? {
        load_consumer(reader, layout, &mut group)?;
    }
    if owners == Owners::AllKnown && !group.is_complete() {
        return Err(corrupt("Stream CG PEL entry without consumer"));
    }
    if !stream.groups.add(&name, group) {
        let name = String::from_utf8_lossy(&name);
        return Err(RdbError::Corrupt(format!("Duplicated consumer group name {name}").into()));
    }
    Ok(())
}

fn load_consumer(
    reader: &mut Reader<'_>,
    layout: Layout,
    group: &mut Group,
) -> Result<ConsumerSlot, RdbError> {
    let name = reader.string()?;
    let seen_ms = reader.millis()?;
    let active_ms = match layout {
        Layout::Third => Some(reader.millis()?).filter(|at| *at != -1),
        // The best that is known.
        _ => Some(seen_ms),
    };
    let slot = group
        .add_consumer(&name, seen_ms, active_ms)
        .ok_or(corrupt("Duplicate stream consumer detected."))?;
    for _ in 0..reader.number()? {
        let id = read_raw_id(reader)?;
        if group.pending(id).is_none() {
            return Err(corrupt("Consumer entry not found in group global PEL"));
        }
        if !group.restore_owner(id, slot) {
            return Err(corrupt("Duplicated consumer PEL entry loading a stream consumer group"));
        }
    }
    Ok(slot)
}
