//! How does an object too large for a block hold its members?
//!
//! Members stand in a vector in insertion order; from [`INDEXED_FROM`] members on, a hash index beside it maps names to
//! positions. Removing a member leaves a vacant place, so that positions stay valid while a command removes several,
//! order is kept, and nothing moves; [`Object::compact`] closes the gaps once they are the majority.
//!
//! Invariants: names of live members are distinct; `live` counts them; the index, if there is one, holds exactly the
//! positions of the live members; the last place is never vacant.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use hashbrown::{DefaultHashBuilder, HashTable};
use triomphe::ThinArc;

use super::Value;
use super::moving::Blocks;
use super::names::Name;
use super::packed::{self, NameRef};

/// Below this many members a scan over the names beats hashing.
const INDEXED_FROM: usize = 17;

static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    places: Vec<Place>,
    live: usize,
    index: Option<Box<HashTable<u32>>>,
}

#[derive(Clone, Debug)]
struct Place {
    name: StoredName,
    value: Value,
}

/// A name as a block would hold it: number or text, in one word and a half.
#[derive(Clone, Debug)]
enum StoredName {
    Short([u8; 15]),
    Long(ThinArc<(), u8>),
    Vacant,
}

impl StoredName {
    fn new(name: NameRef<'_>) -> StoredName {
        let mut bytes = Vec::new();
        packed::put_name(&mut bytes, name);
        let mut short = [0; 15];
        if bytes.len() <= short.len() {
            short[..bytes.len()].copy_from_slice(&bytes);
            StoredName::Short(short)
        } else {
            StoredName::Long(ThinArc::from_header_and_slice((), &bytes))
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            StoredName::Short(bytes) => Some(bytes),
            StoredName::Long(bytes) => Some(&bytes.slice),
            StoredName::Vacant => None,
        }
    }

    fn name(&self) -> Option<NameRef<'_>> {
        self.bytes().map(|bytes| packed::read_name(bytes).0)
    }
}

fn hash_of(name: &[u8]) -> u64 {
    HASHER.hash_one(name)
}

impl Place {
    fn hash(&self) -> u64 {
        hash_of(self.name.name().expect("only live members are indexed").text())
    }
}

impl Object {
    pub(super) fn with_capacity(members: usize) -> Object {
        Object { places: Vec::with_capacity(members), live: 0, index: None }
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Members, and gaps that removed ones have left.
    pub(super) fn place_count(&self) -> u32 {
        self.places.len() as u32
    }

    /// The values of the members.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        let live = self.places.iter().filter(|place| !matches!(place.name, StoredName::Vacant));
        live.map(|place| &place.value)
    }

    /// Moves the members, their names and the index's box, but not what their values own. The index itself is where it was: nobody
    /// tells its address.
    pub(super) fn move_members(&mut self, mover: &mut impl Blocks) {
        mover.vec(&mut self.places);
        for place in &mut self.places {
            if let StoredName::Long(bytes) = &mut place.name {
                mover.bytes(bytes);
            }
        }
        if let Some(index) = &mut self.index {
            mover.boxed(index);
        }
    }

    pub(super) fn find(&self, name: &Name) -> Option<u32> {
        match &self.index {
            Some(_) => self.find_text(name.bytes()),
            None => {
                let id = name.id();
                let is = |place: &Place| place.name.name().is_some_and(|own| own.is(name, id));
                self.places.iter().position(is).map(|position| position as u32)
            }
        }
    }

    pub(super) fn find_text(&self, name: &[u8]) -> Option<u32> {
        let is = |place: &Place| place.name.name().is_some_and(|own| own.text() == name);
        match &self.index {
            Some(index) => index.find(hash_of(name), |&at| is(&self.places[at as usize])).copied(),
            None => self.places.iter().position(is).map(|position| position as u32),
        }
    }

    pub(super) fn member(&self, position: u32) -> Option<(NameRef<'_>, &Value)> {
        let place = self.places.get(position as usize)?;
        Some((place.name.name()?, &place.value))
    }

    pub(super) fn value_mut(&mut self, position: u32) -> Option<&mut Value> {
        let place = self.places.get_mut(position as usize)?;
        match place.name {
            StoredName::Vacant => None,
            _ => Some(&mut place.value),
        }
    }

    /// The live members from `position` on.
    pub(super) fn members_from(
        &self,
        position: u32,
    ) -> impl Iterator<Item = (u32, NameRef<'_>, &Value)> {
        let places = self.places.iter().enumerate().skip(position as usize);
        places.filter_map(|(position, place)| {
            Some((position as u32, place.name.name()?, &place.value))
        })
    }

    /// The names as blocks hold them, with the values.
    pub(super) fn packed_members(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.places.iter().filter_map(|place| {
            let bytes = place.name.bytes()?;
            let (_, len) = packed::read_name(bytes);
            Some((&bytes[..len], &place.value))
        })
    }

    /// Adds a member at the end, or replaces the value of the one that has the name.
    pub(super) fn insert(&mut self, name: NameRef<'_>, value: Value) {
        match self.find_text(name.text()) {
            Some(position) => self.places[position as usize].value = value,
            None => self.push(name, value),
        }
    }

    /// Adds a member whose name the caller knows to be absent.
    pub(super) fn push(&mut self, name: NameRef<'_>, value: Value) {
        let position = self.places.len();
        if position == self.places.capacity() && position >= 64 {
            // Grow by a quarter: a large object should not keep half its memory in reserve.
            self.places.reserve_exact(position / 4);
        }
        self.places.push(Place { name: StoredName::new(name), value });
        self.live += 1;
        let places = &self.places;
        match &mut self.index {
            Some(index) => {
                let hash = hash_of(name.text());
                index.insert_unique(hash, position as u32, |&at| places[at as usize].hash());
            }
            None if places.len() >= INDEXED_FROM => self.reindex(),
            None => {}
        }
    }

    pub(super) fn remove(&mut self, position: u32) -> bool {
        let Some(place) = self.places.get(position as usize) else { return false };
        let Some(name) = place.name.name() else { return false };
        if let Some(index) = &mut self.index {
            let entry = index.find_entry(hash_of(name.text()), |&at| at == position);
            entry.expect("live members are indexed").remove();
        }
        let place = &mut self.places[position as usize];
        place.name = StoredName::Vacant;
        place.value = Value::null();
        self.live -= 1;
        while let Some(Place { name: StoredName::Vacant, .. }) = self.places.last() {
            self.places.pop();
        }
        true
    }

    /// Closes the gaps if they are the majority. Positions change.
    pub(super) fn compact(&mut self) {
        if self.places.len() < 2 * self.live.max(8) && self.places.capacity() < 4 * self.live.max(8)
        {
            return;
        }
        self.places.retain(|place| !matches!(place.name, StoredName::Vacant));
        // The index holds positions from before.
        self.index = None;
        if self.places.len() >= INDEXED_FROM {
            self.reindex();
        }
        self.shrink();
    }

    pub(super) fn shrink(&mut self) {
        self.places.shrink_to_fit();
        if let Some(index) = &mut self.index {
            let places = &self.places;
            index.shrink_to_fit(|&at| places[at as usize].hash());
        }
    }

    fn reindex(&mut self) {
        let mut index = HashTable::with_capacity(self.live);
        for (position, place) in self.places.iter().enumerate() {
            if !matches!(place.name, StoredName::Vacant) {
                let rehash = |&at: &u32| self.places[at as usize].hash();
                index.insert_unique(place.hash(), position as u32, rehash);
            }
        }
        self.index = Some(Box::new(index));
    }

    /// Heap bytes that belong to this object and all below it.
    pub(super) fn heap_bytes(&self) -> usize {
        let places = super::block_bytes(self.places.capacity() * size_of::<Place>());
        let below: usize = self
            .places
            .iter()
            .map(|place| {
                let name = match &place.name {
                    StoredName::Long(bytes) => super::thin_bytes(bytes.slice.len()),
                    _ => 0,
                };
                name + place.value.heap_bytes()
            })
            .sum();
        let index = match &self.index {
            Some(index) => {
                super::block_bytes(size_of::<HashTable<u32>>())
                    + super::block_bytes(index.allocation_size())
            }
            None => 0,
        };
        places + below + index
    }
}
