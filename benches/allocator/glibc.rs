//! The C library's allocator; see `fill.rs`.

mod fill;

#[global_allocator]
static ALLOCATOR: std::alloc::System = std::alloc::System;

fn main() {
    fill::run("glibc");
}
