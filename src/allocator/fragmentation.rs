//! Which memory is held for nothing, and which blocks would be better elsewhere?
//!
//! jemalloc has blocks of one size class side by side in slabs, and gives a slab back when all of it is free. A block in a
//! slab that is less used than the others of its class is worth moving: the arena then takes the next one from the
//! slab that it is filling, or from the oldest that has room, so the one that was left empties. Which slab a block
//! lies in, and how many of it are free, `experimental.utilization.query` says; how much the others are used is counted for
//! each arena and class every now and then ([`Compactor::survey`]).
//!
//! A thread that moves blocks keeps no cache of free ones: what it frees is to leave its slab at once, and what it allocates must not
//! be one of those. Each block moves within its arena, from which the threads that work with it allocate.
#![expect(unsafe_code, reason = "asks jemalloc")]

use std::ffi::{CStr, CString};
use std::ptr::null_mut;

use super::jemalloc;

/// Longest path of a name: `stats.arenas.<i>.bins.<j>.curslabs`.
const PATH_MAX: usize = 6;

/// All arenas together (`MALLCTL_ARENAS_ALL`).
const ALL_ARENAS: usize = 4096;

/// A slab that is used more than the others of its class by this share stays: else they would take turns.
const MARGIN: (u64, u64) = (9, 8);

/// How long counts of how slabs are used are good: some ten thousand blocks move meanwhile.
const SURVEY_NS: u64 = 50_000_000;

/// A name that was looked up.
#[derive(Clone, Copy, Debug)]
struct Path {
    parts: [usize; PATH_MAX],
    len: usize,
}

impl Path {
    fn of(name: &CStr) -> Option<Self> {
        let (mut parts, mut len) = ([0; PATH_MAX], PATH_MAX);
        // SAFETY: the name ends in NUL, and `parts` has room for as many parts as `len` says.
        let status =
            unsafe { jemalloc::mallctlnametomib(name.as_ptr(), parts.as_mut_ptr(), &raw mut len) };
        (status == 0).then_some(Self { parts, len })
    }

    /// The same with numbers in these places.
    fn with<const N: usize>(mut self, numbers: [(usize, usize); N]) -> Self {
        for (at, number) in numbers {
            self.parts[at] = number;
        }
        self
    }

    /// Reads a value into `out`, given `input`.
    fn ask<O: Copy, I: Copy>(&self, out: &mut O, input: Option<I>) -> bool {
        let mut len = size_of::<O>();
        let mut input = input;
        let (new, new_len) = match &mut input {
            Some(input) => ((&raw mut *input).cast(), size_of::<I>()),
            None => (null_mut(), 0),
        };
        let out = (&raw mut *out).cast();
        // SAFETY: the path has `len` parts, and both pointers are to values of the sizes given; callers pass types of
        // plain numbers and addresses, as the name demands.
        let status = unsafe {
            jemalloc::mallctlbymib(self.parts.as_ptr(), self.len, out, &raw mut len, new, new_len)
        };
        status == 0 && len == size_of::<O>()
    }

    fn read<O: Copy + Default>(&self) -> O {
        let mut value = O::default();
        if self.ask(&mut value, None::<()>) { value } else { O::default() }
    }

    /// Does what has no value.
    fn run(&self) -> bool {
        let (parts, none) = (self.parts.as_ptr(), null_mut());
        // SAFETY: the path has `len` parts; nothing is read and nothing is written.
        unsafe { jemalloc::mallctlbymib(parts, self.len, none, null_mut(), null_mut(), 0) == 0 }
    }

    /// Sets a value, without reading it.
    fn set<I: Copy>(&self, mut value: I) -> bool {
        let new = (&raw mut value).cast();
        // SAFETY: the path has `len` parts, and `new` points to a value of the size given.
        let status = unsafe {
            jemalloc::mallctlbymib(
                self.parts.as_ptr(),
                self.len,
                null_mut(),
                null_mut(),
                new,
                size_of::<I>(),
            )
        };
        status == 0
    }
}

/// Bytes of the process's memory, as the allocator has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Given out.
    pub allocated: usize,
    /// Of whole pages in which something is given out.
    pub active: usize,
    /// Held from the system.
    pub resident: usize,
    /// Held, untouched by the system until it needs them.
    pub muzzy: usize,
    /// Free in slabs of which something is given out: what moving could give back.
    pub wasted: usize,
}

/// The names that [`read`] reads: those whose reading changes nothing.
const READABLE: &[&str] = &["arenas.", "arena.", "config.", "opt.", "stats.", "thread."];
const NOT_READABLE: &[&str] = &["arenas.create", "arenas.lookup"];

/// What jemalloc has under a name, if it is a number: of eight bytes, four or one. None if there is no such thing.
pub fn read(name: &str) -> Option<i64> {
    let is_readable = READABLE.iter().any(|begin| name.starts_with(begin));
    if !is_readable || NOT_READABLE.contains(&name) {
        return None;
    }
    let path = Path::of(&CString::new(name).ok()?)?;
    let mut long = 0u64;
    if path.ask(&mut long, None::<()>) {
        return i64::try_from(long).ok();
    }
    let (mut word, mut flag) = (0u32, 0u8);
    if path.ask(&mut word, None::<()>) {
        return Some(word.into());
    }
    path.ask(&mut flag, None::<()>).then_some(flag.into())
}

/// Gives the free blocks that the calling thread keeps back to where they came from; whether it could.
pub fn flush_thread() -> bool {
    Path::of(c"thread.tcache.flush").is_some_and(|path| path.run())
}

/// A size class that has slabs.
#[derive(Clone, Copy, Debug)]
struct Class {
    bytes: usize,
    /// Blocks in a slab.
    places: u32,
}

/// How the slabs of a class are used in one arena.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    slabs: u64,
    /// Those with room, but that which is being filled.
    open: u64,
    /// Blocks that are given out.
    blocks: u64,
}

impl Use {
    /// Whether a slab with so many blocks is used less than most of those that have room.
    fn is_below_mean(self, blocks: u64, places: u64) -> bool {
        // The one that is being filled has room, too.
        let open = self.open + 1;
        let in_full = self.slabs.saturating_sub(open) * places;
        let in_open = self.blocks.saturating_sub(in_full);
        self.open > 1 && blocks * open * MARGIN.1 <= in_open * MARGIN.0
    }
}

/// What `experimental.utilization.query` says of a block.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Utilization {
    /// The slab that is being filled.
    current: *const u8,
    free: usize,
    places: usize,
    slab_bytes: usize,
    class_free: usize,
    class_places: usize,
}

/// The names that are asked for often.
#[derive(Debug)]
struct Paths {
    query: Path,
    lookup: Path,
    thread_arena: Path,
    slabs: Path,
    open: Path,
    blocks: Path,
    initialized: Path,
}

impl Paths {
    fn find() -> Option<Self> {
        Some(Self {
            query: Path::of(c"experimental.utilization.query")?,
            lookup: Path::of(c"arenas.lookup")?,
            thread_arena: Path::of(c"thread.arena")?,
            slabs: Path::of(c"stats.arenas.0.bins.0.curslabs")?,
            open: Path::of(c"stats.arenas.0.bins.0.nonfull_slabs")?,
            blocks: Path::of(c"stats.arenas.0.bins.0.curregs")?,
            initialized: Path::of(c"arena.0.initialized")?,
        })
    }
}

/// Places of the numbers in the paths of an arena's and a class's figures.
const ARENA_AT: usize = 2;
const CLASS_AT: usize = 4;

fn classes() -> Option<Vec<Class>> {
    let count: u32 = Path::of(c"arenas.nbins")?.read();
    let (bytes, places) = (Path::of(c"arenas.bin.0.size")?, Path::of(c"arenas.bin.0.nregs")?);
    let class = |number| Class {
        bytes: bytes.with([(2, number)]).read(),
        places: places.with([(2, number)]).read(),
    };
    Some((0..count as usize).map(class).collect())
}

/// Has jemalloc's figures be those of this moment.
fn refresh() {
    if let Some(epoch) = Path::of(c"epoch") {
        epoch.set(1u64);
    }
}

/// The figures of this moment.
pub fn figures() -> Figures {
    refresh();
    let read = |name| Path::of(name).map_or(0, |path| path.read::<usize>());
    let muzzy_pages = read(c"stats.arenas.4096.pmuzzy");
    Figures {
        allocated: read(c"stats.allocated"),
        active: read(c"stats.active"),
        resident: read(c"stats.resident"),
        muzzy: muzzy_pages * read(c"arenas.page"),
        wasted: wasted().unwrap_or(0),
    }
}

/// Bytes that are free in slabs, in all arenas.
fn wasted() -> Option<usize> {
    let paths = Paths::find()?;
    let classes = classes()?;
    let of_class = |(number, class): (usize, &Class)| {
        let at = [(ARENA_AT, ALL_ARENAS), (CLASS_AT, number)];
        let (slabs, blocks): (usize, usize) =
            (paths.slabs.with(at).read(), paths.blocks.with(at).read());
        (slabs * class.places as usize).saturating_sub(blocks) * class.bytes
    };
    Some(classes.iter().enumerate().map(of_class).sum())
}

/// Decides which blocks are to move; for the thread that moves them, and for it alone.
#[derive(Debug)]
pub struct Compactor {
    paths: Paths,
    classes: Vec<Class>,
    /// For each arena that is in use, by classes.
    uses: Vec<Option<Box<[Use]>>>,
    /// The thread's arena.
    arena: Option<u32>,
    /// When to count anew.
    due_ns: u64,
}

impl Compactor {
    /// For the calling thread, which from now on has no cache of free blocks. None if the allocator cannot tell how
    /// blocks lie.
    pub fn for_this_thread() -> Option<Self> {
        let (paths, classes) = (Paths::find()?, classes()?);
        let arenas: u32 = Path::of(c"arenas.narenas")?.read();
        let uses = vec![None; arenas as usize];
        let mut own = Self { paths, classes, uses, arena: None, due_ns: 0 };
        Path::of(c"thread.tcache.enabled")?.set(false).then_some(())?;
        own.survey();
        Some(own)
    }

    /// Counts anew how slabs are used, if that was long ago; `now_ns` never goes back.
    pub fn survey_if_due(&mut self, now_ns: u64) {
        if now_ns >= self.due_ns {
            self.survey();
            self.due_ns = now_ns + SURVEY_NS;
        }
    }

    /// Counts anew how slabs are used.
    pub fn survey(&mut self) {
        refresh();
        for arena in 0..self.uses.len() {
            let is_used: bool = self.paths.initialized.with([(1, arena)]).read();
            self.uses[arena] = is_used.then(|| self.uses_of(arena));
        }
    }

    fn uses_of(&self, arena: usize) -> Box<[Use]> {
        let of_class = |class| {
            let at = [(ARENA_AT, arena), (CLASS_AT, class)];
            Use {
                slabs: self.paths.slabs.with(at).read::<usize>() as u64,
                open: self.paths.open.with(at).read::<usize>() as u64,
                blocks: self.paths.blocks.with(at).read::<usize>() as u64,
            }
        };
        (0..self.classes.len()).map(of_class).collect()
    }

    /// Whether a live block of so many bytes should move. If so, what this thread allocates from now on comes from the
    /// block's arena.
    pub fn should_move(&mut self, block: *const u8, bytes: usize) -> bool {
        let class = self.classes.partition_point(|class| class.bytes < bytes);
        if class == self.classes.len() {
            return false;
        }
        let mut found = Utilization {
            current: std::ptr::null(),
            free: 0,
            places: 0,
            slab_bytes: 0,
            class_free: 0,
            class_places: 0,
        };
        if !self.paths.query.ask(&mut found, Some(block)) || found.free == 0 {
            return false;
        }
        let current = found.current.addr()..found.current.addr() + found.slab_bytes;
        if current.contains(&block.addr()) {
            return false;
        }
        let mut arena = 0u32;
        if !self.paths.lookup.ask(&mut arena, Some(block)) {
            return false;
        }
        let Some(Some(uses)) = self.uses.get(arena as usize) else { return false };
        let (blocks, places) = (found.places - found.free, found.places);
        if !uses[class].is_below_mean(blocks as u64, places as u64) {
            return false;
        }
        if self.arena != Some(arena) {
            if !self.paths.thread_arena.set(arena) {
                return false;
            }
            self.arena = Some(arena);
        }
        true
    }
}

#[cfg(all(test, not(sanitized)))]
mod tests {
    use super::*;

    /// Fills an arena's slabs with blocks of this size and frees all but each tenth.
    fn thinned(bytes: usize, count: usize) -> Vec<Box<[u8]>> {
        let mut blocks: Vec<_> =
            (0..count).map(|n| vec![n as u8; bytes].into_boxed_slice()).collect();
        let mut n = 0;
        blocks.retain(|_| {
            n += 1;
            n % 10 == 0
        });
        blocks
    }

    #[test]
    fn moving_what_should_move_gives_slabs_back() {
        let test = || {
            const BYTES: usize = 88;
            let mut blocks = thinned(BYTES, 50_000);
            let mut compactor = Compactor::for_this_thread().expect("jemalloc can tell");
            let slabs = |compactor: &mut Compactor| -> u64 {
                compactor.survey();
                let class = compactor.classes.partition_point(|class| class.bytes < BYTES);
                compactor.uses.iter().flatten().map(|uses| uses[class].slabs).sum()
            };
            let before = slabs(&mut compactor);
            let mut moved = 0;
            for round in 0..3 {
                for block in &mut blocks {
                    if compactor.should_move(block.as_ptr(), BYTES) {
                        *block = block.to_vec().into_boxed_slice();
                        moved += 1;
                    }
                }
                compactor.survey();
                let _ = round;
            }
            let after = slabs(&mut compactor);
            assert!(moved > 1000, "{moved} blocks moved");
            assert!(after * 3 < before, "{before} slabs became {after}");
            for (n, block) in blocks.iter().enumerate() {
                assert!(block.iter().all(|byte| *byte == (n * 10 + 9) as u8), "block {n}");
            }
        };
        std::thread::spawn(test).join().expect("the test in a thread of its own");
    }

    #[test]
    fn large_blocks_stay() {
        let test = || {
            let mut compactor = Compactor::for_this_thread().expect("jemalloc can tell");
            let large = vec![0u8; 1 << 20];
            assert!(!compactor.should_move(large.as_ptr(), large.len()));
        };
        std::thread::spawn(test).join().expect("the test in a thread of its own");
    }

    #[test]
    fn a_slab_moves_if_it_is_used_less_than_others_that_have_room() {
        let of = |slabs, open, blocks| Use { slabs, open, blocks };
        // Ten full slabs of 100 places, two with room and one that is filled: 120 blocks in these three.
        let uses = of(13, 2, 1120);
        assert!(uses.is_below_mean(40, 100) && !uses.is_below_mean(46, 100));
        // All are alike.
        assert!(of(4, 3, 200).is_below_mean(50, 100));
        // There is but one with room.
        assert!(!of(2, 1, 60).is_below_mean(5, 100));
    }

    #[test]
    fn figures_are_there() {
        let figures = figures();
        assert!(figures.allocated > 0 && figures.active >= figures.allocated / 2);
        assert!(figures.resident > 0 && figures.wasted > 0);
    }
}
