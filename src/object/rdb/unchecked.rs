//! Which payloads are taken over though something is wrong with them? With `sanitize-dump-payload no` Redis looks at
//! the frames of compact forms, not into them; what passes that look, but not ours, becomes a [`Unchecked`] value.
//!
//! Invariants: nothing comes here but what the whole check has refused; what Redis itself would have to look into
//! while it loads (to convert what is too long, to find the first ID of an old stream) is refused here as well.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::read::Reader;
use super::stream::{self, Layout};
use super::{LoadContext, RdbError, kind, list};
use crate::object::intset;
use crate::object::listpack::Element;
use crate::object::listpack::foreign::{Broken, Foreign};
use crate::object::stream::node::{DELETED, SAME_FIELDS};
use crate::object::stream::{Stream, StreamId};
use crate::object::unchecked::{Collection, Trouble, Unchecked};

/// Whether Redis looks at the frame of a kind only.
pub fn is_candidate(kind: u8) -> bool {
    matches!(
        kind,
        kind::SET_INTSET
            | kind::SET_LISTPACK
            | kind::HASH_LISTPACK
            | kind::ZSET_LISTPACK
            | kind::LIST_QUICKLIST_2
            | kind::STREAM_LISTPACKS
            | kind::STREAM_LISTPACKS_2
            | kind::STREAM_LISTPACKS_3
    )
}

/// What a look at the frames tells.
struct Frame {
    collection: Collection,
    encoding: &'static str,
    /// A stream that has no last ID though it has entries: how many.
    without_last_id: Option<u64>,
}

/// Reads the payload of a kind in which the whole check has found `error`, which is the answer if the frames are
/// wrong as well.
pub fn load(
    kind: u8,
    reader: &mut Reader<'_>,
    ctx: &LoadContext<'_>,
    error: RdbError,
) -> Result<Unchecked, RdbError> {
    let (begin, rest) = (reader.position(), reader.rest());
    let frame = match kind {
        kind::SET_INTSET => read_intset(reader, ctx),
        kind::SET_LISTPACK => {
            read_listpack(reader, Collection::Set, ctx.limits.set.listpack_entries_max, 1)
        }
        kind::HASH_LISTPACK => {
            read_listpack(reader, Collection::Hash, ctx.limits.hash.entries_max, 2)
        }
        kind::ZSET_LISTPACK => {
            read_listpack(reader, Collection::Zset, ctx.limits.zset.entries_max, 2)
        }
        kind::LIST_QUICKLIST_2 => read_list(reader, ctx),
        kind::STREAM_LISTPACKS => read_stream(reader, Layout::First),
        kind::STREAM_LISTPACKS_2 => read_stream(reader, Layout::Second),
        _ => read_stream(reader, Layout::Third),
    };
    let frame = match frame {
        Ok(frame) => frame,
        Err(Refusal::Wrong) => return Err(error),
        Err(Refusal::Error(RdbError::Corrupt(_))) => return Err(error),
        Err(Refusal::Error(other)) => return Err(other),
        Err(Refusal::Looks) => {
            return Err(RdbError::Unreadable(error.to_string().into()));
        }
    };
    let trouble = match frame.without_last_id {
        Some(len) => Trouble::NoLastId(len),
        None => Trouble::Assertion(error.to_string().into()),
    };
    let payload = &rest[..reader.position() - begin];
    Ok(Unchecked::new(frame.collection, frame.encoding, kind, payload, trouble))
}

/// Why a payload is not taken over.
enum Refusal {
    /// It ends early, is empty, or is wrong where Redis looks.
    Error(RdbError),
    /// A frame is wrong.
    Wrong,
    /// Redis would look into it at once, and come upon what is wrong.
    Looks,
}

impl From<RdbError> for Refusal {
    fn from(error: RdbError) -> Self {
        Refusal::Error(error)
    }
}

fn read_intset(reader: &mut Reader<'_>, ctx: &LoadContext<'_>) -> Result<Frame, Refusal> {
    let bytes = reader.string()?;
    let len = intset::stated_len(&bytes).filter(|len| *len > 0).ok_or(Refusal::Wrong)?;
    if len > ctx.limits.set.intset_entries_max {
        return Err(Refusal::Wrong);
    }
    Ok(Frame { collection: Collection::Set, encoding: "intset", without_last_id: None })
}

/// A listpack of members of so many elements each.
fn read_listpack(
    reader: &mut Reader<'_>,
    collection: Collection,
    members_max: usize,
    stride: usize,
) -> Result<Frame, Refusal> {
    let bytes = reader.string()?;
    let foreign = Foreign::framed(&bytes).ok_or(Refusal::Wrong)?;
    let members = foreign.stated_len().ok_or(Refusal::Wrong)? / stride;
    if members == 0 {
        return Err(RdbError::Empty.into());
    }
    if members > members_max {
        return Err(Refusal::Wrong);
    }
    Ok(Frame { collection, encoding: "listpack", without_last_id: None })
}

fn read_list(reader: &mut Reader<'_>, ctx: &LoadContext<'_>) -> Result<Frame, Refusal> {
    let (mut nodes, mut is_small) = (0_u64, true);
    for _ in 0..reader.number()? {
        let container = reader.number()?;
        let bytes = list::node_bytes(reader)?;
        match container {
            list::container::PLAIN => is_small = false,
            list::container::PACKED => {
                let foreign = Foreign::framed(&bytes).ok_or(Refusal::Wrong)?;
                let len = foreign.stated_len().ok_or(Refusal::Wrong)?;
                if len == 0 {
                    continue;
                }
                is_small &= !ctx.limits.list.exceeded_by(bytes.len(), len);
            }
            _ => return Err(Refusal::Wrong),
        }
        nodes += 1;
    }
    if nodes == 0 {
        return Err(RdbError::Empty.into());
    }
    let encoding = if is_small && nodes == 1 { "listpack" } else { "quicklist" };
    Ok(Frame { collection: Collection::List, encoding, without_last_id: None })
}

fn read_stream(reader: &mut Reader<'_>, layout: Layout) -> Result<Frame, Refusal> {
    let mut nodes: BTreeMap<StreamId, Cow<'_, [u8]>> = BTreeMap::new();
    for _ in 0..reader.number()? {
        let id = reader.string()?;
        let id = <[u8; 16]>::try_from(&*id).map_err(|_| Refusal::Wrong)?;
        let bytes = reader.string()?;
        let foreign = Foreign::framed(&bytes).ok_or(Refusal::Wrong)?;
        if foreign.steps().next() == Ok(None) {
            return Err(Refusal::Wrong);
        }
        if nodes.insert(StreamId::from_bytes(id), bytes).is_some() {
            return Err(Refusal::Wrong);
        }
    }
    let len = reader.number()?;
    if len > 0 && nodes.is_empty() {
        return Err(Refusal::Wrong);
    }
    stream::read_id(reader)?;
    if layout >= Layout::Second {
        stream::read_id(reader)?;
        stream::read_id(reader)?;
        reader.number()?;
    } else {
        // The ID of the first entry is not in the payload, so it is read from the entries.
        find_first(&nodes).map_err(|Broken| Refusal::Looks)?;
    }
    let mut scratch = Stream::default();
    for _ in 0..reader.number()? {
        stream::load_group(reader, layout, stream::Owners::MayMiss, &mut scratch)?;
    }
    let has_last_id = nodes.values().any(|node| {
        Foreign::framed(node).and_then(Foreign::last).and_then(Element::as_i64) != Some(0)
    });
    Ok(Frame {
        collection: Collection::Stream,
        encoding: "stream",
        without_last_id: (len > 0 && !has_last_id).then_some(len),
    })
}

/// Goes to the first entry that is not deleted, if there is one.
fn find_first(nodes: &BTreeMap<StreamId, Cow<'_, [u8]>>) -> Result<(), Broken> {
    for node in nodes.values() {
        let mut steps = Foreign::framed(node).ok_or(Broken)?.steps();
        // Live and deleted entries.
        steps.skip(2)?;
        let fields = steps.int()?;
        // The fields and the mark behind them.
        steps.skip(fields.max(0))?;
        steps.skip(1)?;
        while let Some(flags) = steps.next()? {
            let flags = flags.as_i64().ok_or(Broken)?;
            // Two parts of the ID.
            steps.int()?;
            steps.int()?;
            let has_own_fields = flags & SAME_FIELDS == 0;
            let texts =
                if has_own_fields { steps.int()?.checked_mul(2).ok_or(Broken)? } else { fields };
            if flags & DELETED == 0 {
                // Redis has gone one further by now.
                return steps.next().map(drop);
            }
            // The texts, and how many elements the entry has.
            steps.skip(texts.max(0))?;
            steps.skip(1)?;
        }
    }
    Ok(())
}
