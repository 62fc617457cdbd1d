//! Which libraries of functions are there? Names, texts, and what the texts have registered.
//!
//! Functions are found by name without regard to case, libraries by their exact name. A VM that has to run a function
//! runs the library's text first, unless it has done so before; it knows a library by [`Library::id`], which is given once.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::stats::ScriptStats;

/// A function, as its library has registered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: Box<[u8]>,
    /// What it is for.
    pub description: Option<Box<[u8]>>,
    /// What it declares about itself, as bits that `script` defines.
    pub flags: u64,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// A number that no other library ever has, nor this one when it is loaded again.
    pub id: u64,
    /// Its name.
    pub name: Box<[u8]>,
    /// Its text, the first line included.
    pub code: Box<[u8]>,
    /// Its functions, in the order in which they were registered.
    pub functions: Vec<Function>,
    /// What each of them has cost so far, in the same order.
    pub stats: Box<[ScriptStats]>,
}

impl Library {
    /// A library with a number of its own.
    pub fn new(name: &[u8], code: &[u8], functions: Vec<Function>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let stats = functions.iter().map(|_| ScriptStats::default()).collect();
        Self { id, name: name.into(), code: code.into(), functions, stats }
    }

    fn bytes(&self) -> usize {
        let functions = self.functions.iter().map(|function| {
            let description = function.description.as_ref().map_or(0, |text| text.len());
            // The function, and its entry in the table of all.
            2 * (size_of::<Function>() + function.name.len())
                + size_of::<ScriptStats>()
                + description
        });
        size_of::<Self>() + self.name.len() + self.code.len() + functions.sum::<usize>()
    }
}

/// Why libraries do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collision {
    /// There is a library of this name.
    Library(Box<[u8]>),
    /// Another library has a function of this name.
    Function(Box<[u8]>),
}

impl Collision {
    /// What a client gets that adds a library, without its code (`ERR`).
    pub fn text(&self) -> Vec<u8> {
        match self {
            Self::Library(name) => [b"Library '", &name[..], b"' already exists"].concat(),
            Self::Function(name) => [b"Function ", &name[..], b" already exists"].concat(),
        }
    }

    /// What a client gets that adds many, without its code (`ERR`).
    pub fn join_text(&self) -> Vec<u8> {
        match self {
            Self::Library(name) => [b"Library ", &name[..], b" already exists"].concat(),
            Self::Function(_) => self.text(),
        }
    }
}

/// Where a function is: its library, and its place in there.
#[derive(Clone, Debug)]
pub struct Found {
    /// The library.
    pub library: Arc<Library>,
    /// Its place in [`Library::functions`].
    pub index: usize,
}

impl Found {
    /// The function.
    pub fn function(&self) -> &Function {
        &self.library.functions[self.index]
    }

    /// What it has cost so far.
    pub fn stats(&self) -> &ScriptStats {
        &self.library.stats[self.index]
    }
}

/// A set of libraries.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    by_name: BTreeMap<Box<[u8]>, Arc<Library>>,
    /// By the name in lower case.
    functions: HashMap<Box<[u8]>, Found>,
    bytes: usize,
}

/// Longer names than this are looked up by a copy on the heap.
const NAME_BYTES_SHORT: usize = 64;

impl Libraries {
    /// The library of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Library>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.by_name.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many functions they have.
    pub fn functions_len(&self) -> usize {
        self.functions.len()
    }

    /// About how many bytes they take, beside what VMs have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The function of this name.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&Found> {
        let mut short = [0; NAME_BYTES_SHORT];
        match short.get_mut(..name.len()) {
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                self.functions.get(&*lower)
            }
            None => self.functions.get(name.to_ascii_lowercase().as_slice()),
        }
    }

    /// Adds a library, in the place of one of the same name if `replace` says so. On an error nothing has changed.
    pub fn add(&mut self, library: Library, replace: bool) -> Result<(), Collision> {
        let old = self.by_name.get(&library.name);
        if old.is_some() && !replace {
            return Err(Collision::Library(library.name));
        }
        if let Some(taken) = self.taken(&library, old.map(|old| old.id)) {
            return Err(Collision::Function(taken));
        }
        self.remove(&library.name.clone());
        self.link(Arc::new(library));
        Ok(())
    }

    /// Adds all libraries of another set, in the place of those of the same names if `replace` says so. On an error
    /// nothing has changed.
    pub fn join(&mut self, other: Self, replace: bool) -> Result<(), Collision> {
        let mut joined = self.clone();
        for library in other.iter() {
            if joined.remove(&library.name) && !replace {
                return Err(Collision::Library(library.name.clone()));
            }
        }
        for library in other.by_name.into_values() {
            if let Some(taken) = joined.taken(&library, None) {
                return Err(Collision::Function(taken));
            }
            joined.link(library);
        }
        *self = joined;
        Ok(())
    }

    /// Removes the library of this name; says whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.by_name.remove(name) else { return false };
        for function in &library.functions {
            self.functions.remove(function.name.to_ascii_lowercase().as_slice());
        }
        self.bytes -= library.bytes();
        true
    }

    /// A function of the library that another one than that with the number `besides` has.
    fn taken(&self, library: &Library, besides: Option<u64>) -> Option<Box<[u8]>> {
        let is_taken = |function: &&Function| {
            self.find(&function.name).is_some_and(|found| Some(found.library.id) != besides)
        };
        library.functions.iter().find(is_taken).map(|function| function.name.clone())
    }

    fn link(&mut self, library: Arc<Library>) {
        self.bytes += library.bytes();
        for (index, function) in library.functions.iter().enumerate() {
            let found = Found { library: Arc::clone(&library), index };
            self.functions.insert(function.name.to_ascii_lowercase().into(), found);
        }
        self.by_name.insert(library.name.clone(), library);
    }
}

/// The libraries of the server, and the VM that runs their functions.
#[derive(Default)]
pub struct Functions {
    libraries: Libraries,
    /// Grows whenever the libraries change, so that VMs forget those that are gone.
    generation: u64,
    counts: Arc<Counts>,
    /// The VM of functions that may write; `script` knows its type. Taken out while it runs.
    pub vm: Option<Box<dyn Any + Send + Sync>>,
}

/// How many there are, for those who do not have the lock.
#[derive(Debug, Default)]
pub struct Counts {
    /// Libraries.
    pub libraries: AtomicUsize,
    /// Functions in them.
    pub functions: AtomicUsize,
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Functions").field("libraries", &self.libraries).finish_non_exhaustive()
    }
}

impl Functions {
    /// Without libraries; `counts` is kept up to date.
    pub fn new(counts: Arc<Counts>) -> Self {
        Self { counts, ..Self::default() }
    }

    /// The libraries.
    pub fn libraries(&self) -> &Libraries {
        &self.libraries
    }

    /// A number that changes with the libraries.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Changes the libraries.
    pub fn change<R>(&mut self, f: impl FnOnce(&mut Libraries) -> R) -> R {
        let result = f(&mut self.libraries);
        self.generation += 1;
        self.counts.libraries.store(self.libraries.len(), Ordering::Relaxed);
        self.counts.functions.store(self.libraries.functions_len(), Ordering::Relaxed);
        result
    }

    /// Exchanges the libraries for a set that is being made, for a moment in which nobody calls functions.
    pub fn lend(&mut self, libraries: &mut Libraries) {
        std::mem::swap(&mut self.libraries, libraries);
    }

    /// Forgets everything, what functions have kept in variables included. Gives the VM, for its owner to drop it.
    pub fn clear(&mut self) -> Option<Box<dyn Any + Send + Sync>> {
        self.change(|libraries| *libraries = Libraries::default());
        self.vm.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, functions: &[&str]) -> Library {
        let functions = functions.iter().map(|name| Function {
            name: name.as_bytes().into(),
            description: None,
            flags: 0,
        });
        Library::new(name.as_bytes(), b"#!lua", functions.collect())
    }

    fn names(libraries: &Libraries) -> Vec<&str> {
        libraries.iter().map(|l| std::str::from_utf8(&l.name).unwrap()).collect()
    }

    #[test]
    fn functions_are_found_whatever_their_case_and_libraries_by_their_exact_name() {
        let mut libraries = Libraries::default();
        libraries.add(library("Lib", &["One", "two"]), false).unwrap();
        let found = libraries.find(b"oNE").unwrap();
        assert_eq!((&*found.library.name, &*found.function().name), (&b"Lib"[..], &b"One"[..]));
        assert!(libraries.find(b"three").is_none() && libraries.find(&[b'x'; 100]).is_none());
        assert!(libraries.get(b"lib").is_none());
        libraries.add(library("lib", &["three"]), false).unwrap();
        assert_eq!(names(&libraries), ["Lib", "lib"]);
        assert_eq!(libraries.functions_len(), 3);
        assert!(libraries.remove(b"lib") && libraries.remove(b"Lib") && !libraries.remove(b"Lib"));
        assert_eq!((libraries.functions_len(), libraries.bytes()), (0, 0));
    }

    #[test]
    fn what_collides_changes_nothing() {
        let mut libraries = Libraries::default();
        libraries.add(library("a", &["f", "g"]), false).unwrap();
        libraries.add(library("b", &["h"]), false).unwrap();
        let there = Err(Collision::Library(b"a"[..].into()));
        assert_eq!(libraries.add(library("a", &["x"]), false), there);
        let taken = Err(Collision::Function(b"H"[..].into()));
        assert_eq!(libraries.add(library("a", &["x", "H"]), true), taken);
        assert_eq!(libraries.functions_len(), 3);
        libraries.add(library("a", &["g", "x"]), true).unwrap();
        assert!(libraries.find(b"f").is_none() && libraries.find(b"x").is_some());
    }

    #[test]
    fn sets_are_joined_whole_or_not_at_all() {
        let mut libraries = Libraries::default();
        libraries.add(library("a", &["f"]), false).unwrap();
        libraries.add(library("b", &["g"]), false).unwrap();
        let mut other = Libraries::default();
        other.add(library("a", &["g2"]), false).unwrap();
        other.add(library("c", &["g"]), false).unwrap();
        let there = Err(Collision::Library(b"a"[..].into()));
        assert_eq!(libraries.join(other.clone(), false), there);
        let taken = Err(Collision::Function(b"g"[..].into()));
        assert_eq!(libraries.join(other.clone(), true), taken);
        assert!(libraries.find(b"f").is_some());
        assert!(libraries.remove(b"b"));
        libraries.join(other, true).unwrap();
        assert_eq!(names(&libraries), ["a", "c"]);
        assert!(libraries.find(b"f").is_none() && libraries.find(b"g").is_some());
    }

    #[test]
    fn changes_are_counted() {
        let counts = Arc::default();
        let mut functions = Functions::new(Arc::clone(&counts));
        functions.change(|libraries| libraries.add(library("a", &["f", "g"]), false)).unwrap();
        assert_eq!(counts.functions.load(Ordering::Relaxed), 2);
        let before = functions.generation();
        functions.clear();
        assert!(functions.libraries().is_empty() && functions.generation() > before);
        assert_eq!(counts.libraries.load(Ordering::Relaxed), 0);
    }
}
