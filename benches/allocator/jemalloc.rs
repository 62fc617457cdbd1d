//! The allocator of the server; see `fill.rs`. With `JEMALLOC_SYS_WITH_LG_QUANTUM=4` in the environment
//! of the build its classes are 16 bytes apart, as jemalloc has them by default.

mod fill;

#[global_allocator]
static ALLOCATOR: mortise::allocator::CountingAllocator = mortise::allocator::CountingAllocator;

fn main() {
    fill::run("jemalloc, counting");
}
