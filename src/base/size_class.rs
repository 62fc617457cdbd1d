//! Which sizes does the allocator really give? jemalloc's classes with an 8-byte quantum, so that what it
//! would round up to anyway is there to grow into, and known without asking.

/// What the allocator is built with (`.cargo/config.toml`), and the alignment that all its blocks have.
pub const QUANTUM: usize = 8;

/// The bytes that are allocated for `size` bytes: steps of the quantum up to eight of them, then four
/// classes to every doubling.
#[inline]
pub const fn size_class(size: usize) -> usize {
    let step = if size <= 8 * QUANTUM {
        QUANTUM
    } else {
        // A quarter of the power of two below.
        1 << (usize::BITS - 1 - (size - 1).leading_zeros() - 2)
    };
    (size + step - 1) & !(step - 1)
}
