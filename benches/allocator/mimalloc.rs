//! mimalloc; see `fill.rs`.

mod fill;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    fill::run("mimalloc");
}
