//! Which member names are common enough to be stored as a number?
//!
//! Documents of one application use the same few member names over and over. A name that keeps coming back is
//! admitted to a dictionary of the process, and from then on blocks store its number (two bytes) instead of its text.
//! Blocks written earlier keep the text: both forms are valid side by side, and nothing is ever rewritten.
//!
//! Invariants:
//! - The dictionary only grows, up to [`NAMES_MAX`] names of at most [`NAME_BYTES_MAX`] bytes. So a number stays valid
//!   for the life of the process, copying or freeing a document touches no reference count, and reading a name takes
//!   no lock.
//! - A name has at most one number, so two numbers are equal exactly when their names are.
//! - Names are admitted after [`SIGHTINGS_NEEDED`] sightings, counted in a sketch of fixed size: documents that use
//!   members as a map (a member per user, per session) do not flood the dictionary.
//! - Numbers never leave the process: what is saved or sent is text.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::packed::NameRef;
use crate::sink::{Piece, Sink};

/// How many names the dictionary takes. Bounds its memory to about two megabytes and keeps a number in 13 bits.
pub(super) const NAMES_MAX: usize = 8192;
/// Shorter names gain nothing: their text takes no more room than a number.
const NAME_BYTES_MIN: usize = 2;
/// Longer names are rarely shared, and would make the memory bound meaningless.
const NAME_BYTES_MAX: usize = 64;
/// A name is admitted at this sighting.
const SIGHTINGS_NEEDED: u8 = 8;
/// Places in the sketch that counts sightings; names that collide push each other out.
const SKETCH_PLACES: usize = 4096;

/// The number of an admitted name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameId(u16);

impl NameId {
    pub(super) fn new(number: u16) -> NameId {
        debug_assert!(usize::from(number) < NAMES_MAX);
        NameId(number)
    }

    pub(super) fn number(self) -> u16 {
        self.0
    }

    #[inline]
    fn admitted(self) -> &'static Admitted {
        NAMES[usize::from(self.0)].get().expect("a number exists only once its name is in place")
    }

    pub(super) fn text(self) -> &'static [u8] {
        &self.admitted().text
    }

    /// Writes what stands in front of a member's value in text: a comma, the name, a colon.
    #[inline]
    pub(super) fn introduce(self, sink: &mut Sink) {
        match &self.admitted().introduction {
            Ok(short) => sink.piece(short),
            Err(long) => sink.put(long),
        }
    }
}

/// An admitted name.
#[derive(Debug)]
struct Admitted {
    text: Box<[u8]>,
    /// See [`NameId::introduce`].
    introduction: Result<Piece, Box<[u8]>>,
}

static NAMES: [OnceLock<Box<Admitted>>; NAMES_MAX] = [const { OnceLock::new() }; NAMES_MAX];

/// Writes what stands in front of the value of a member: a comma, the name, a colon.
pub(super) fn introduce(name: &[u8], sink: &mut Sink) {
    sink.push(b',');
    sink.text(name, name.len());
    sink.push(b':');
}

/// How many names have been admitted. Grows by one, after the name is in place.
static ADMITTED: AtomicU32 = AtomicU32::new(0);

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(|| Mutex::new(Registry::new()));

struct Registry {
    numbers: HashTable<u16>,
    hasher: DefaultHashBuilder,
    /// Direct-mapped by hash: a fingerprint and how often it was seen since it took the place.
    sketch: Box<[(u32, u8)]>,
}

impl Registry {
    fn new() -> Registry {
        Registry {
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            sketch: vec![(0, 0); SKETCH_PLACES].into_boxed_slice(),
        }
    }

    fn find(&self, hash: u64, name: &[u8]) -> Option<NameId> {
        self.numbers.find(hash, |&number| NameId(number).text() == name).map(|&n| NameId(n))
    }

    /// Counts one sighting and says whether it is the one that admits the name.
    fn count(&mut self, hash: u64) -> bool {
        let place = &mut self.sketch[hash as usize % SKETCH_PLACES];
        let fingerprint = (hash >> 32) as u32;
        if place.0 == fingerprint {
            place.1 = place.1.saturating_add(1);
        } else {
            *place = (fingerprint, 1);
        }
        place.1 >= SIGHTINGS_NEEDED
    }

    fn admit(&mut self, hash: u64, name: &[u8]) -> Option<NameId> {
        let number = self.numbers.len();
        if number >= NAMES_MAX {
            return None;
        }
        let mut sink = Sink::new();
        introduce(name, &mut sink);
        let introduction = Piece::new(sink.written()).ok_or_else(|| sink.written().into());
        let admitted = Box::new(Admitted { text: name.into(), introduction });
        NAMES[number].set(admitted).expect("places are filled in order, each once");
        let hasher = &self.hasher;
        self.numbers.insert_unique(hash, number as u16, |&n| hasher.hash_one(NameId(n).text()));
        ADMITTED.store(number as u32 + 1, Ordering::Release);
        Some(NameId(number as u16))
    }
}

/// The dictionary, held for as long as names are being stored: once per parsed document, not once per name.
pub(crate) struct Names(MutexGuard<'static, Registry>);

impl Names {
    /// Waits for whoever else is storing names.
    pub(crate) fn lock() -> Names {
        // The registry is consistent after every statement, so a panic elsewhere cannot have broken it.
        Names(REGISTRY.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The hash of a name, which differs from process to process.
    #[inline]
    pub(super) fn hash(&self, name: &[u8]) -> u64 {
        self.0.hasher.hash_one(name)
    }

    /// The number to store for `name`, if it has one or earns one by this sighting.
    fn sighted(&mut self, hash: u64, name: &[u8]) -> Option<NameId> {
        if !(NAME_BYTES_MIN..=NAME_BYTES_MAX).contains(&name.len()) {
            return None;
        }
        match self.0.find(hash, name) {
            Some(id) => Some(id),
            None if self.0.count(hash) => self.0.admit(hash, name),
            None => None,
        }
    }

    /// How to store `name`; counts as a sighting.
    pub(super) fn stored<'a>(&mut self, name: &'a [u8]) -> NameRef<'a> {
        self.stored_hashed(self.hash(name), name)
    }

    /// The same for a name whose hash is known.
    pub(super) fn stored_hashed<'a>(&mut self, hash: u64, name: &'a [u8]) -> NameRef<'a> {
        self.sighted(hash, name).map_or(NameRef::Text(name), NameRef::Id)
    }

    fn known(&self, name: &[u8]) -> Option<NameId> {
        self.0.find(self.hash(name), name)
    }
}

/// A member name to look for, which remembers its number.
#[derive(Debug)]
pub struct Name {
    text: Box<str>,
    /// Low half: the number, or [`UNKNOWN`]. High half: for `UNKNOWN`, how many names were admitted when that was
    /// true. A known number never changes.
    resolved: AtomicU32,
}

const UNKNOWN: u32 = 0xFFFF;

impl Name {
    /// A name to look for.
    pub fn new(text: &str) -> Name {
        // No process has admitted 0xFFFF names, so the first look-up resolves.
        Name { text: text.into(), resolved: AtomicU32::new(0xFFFF_0000 | UNKNOWN) }
    }

    /// The name itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The number under which blocks may have stored the name, as of now.
    pub(super) fn id(&self) -> Option<NameId> {
        let resolved = self.resolved.load(Ordering::Relaxed);
        if resolved & 0xFFFF != UNKNOWN {
            return Some(NameId(resolved as u16));
        }
        if resolved >> 16 == ADMITTED.load(Ordering::Acquire) {
            return None;
        }
        let names = Names::lock();
        let admitted = ADMITTED.load(Ordering::Acquire);
        let id = names.known(self.bytes());
        let number = id.map_or(UNKNOWN, |id| u32::from(id.number()));
        self.resolved.store(admitted << 16 | number, Ordering::Relaxed);
        id
    }
}

impl Clone for Name {
    fn clone(&self) -> Name {
        Name {
            text: self.text.clone(),
            resolved: AtomicU32::new(self.resolved.load(Ordering::Relaxed)),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighted(names: &mut Names, name: &[u8]) -> Option<NameId> {
        names.sighted(names.hash(name), name)
    }

    #[test]
    fn a_name_is_admitted_when_it_keeps_coming_back() {
        let mut names = Names::lock();
        for _ in 1..SIGHTINGS_NEEDED {
            assert_eq!(sighted(&mut names, b"names-test-admitted"), None);
        }
        let id = sighted(&mut names, b"names-test-admitted").expect("seen often enough");
        assert_eq!(id.text(), b"names-test-admitted");
        assert_eq!(sighted(&mut names, b"names-test-admitted"), Some(id));
    }

    #[test]
    fn names_outside_the_useful_lengths_are_not_admitted() {
        let mut names = Names::lock();
        let long = [b'x'; NAME_BYTES_MAX + 1];
        for _ in 0..100 {
            assert_eq!(sighted(&mut names, b""), None);
            assert_eq!(sighted(&mut names, b"a"), None);
            assert_eq!(sighted(&mut names, &long), None);
        }
    }

    #[test]
    fn a_looked_up_name_learns_its_number_later() {
        let name = Name::new("names-test-later");
        assert_eq!(name.id(), None);
        assert_eq!(name.id(), None);
        let mut names = Names::lock();
        for _ in 0..SIGHTINGS_NEEDED {
            sighted(&mut names, b"names-test-later");
        }
        let id = sighted(&mut names, b"names-test-later");
        drop(names);
        assert!(id.is_some());
        assert_eq!(name.id(), id);
    }
}
