//! What does `ps` show of this process? The kernel reads a process's title from the memory that its arguments came in.
//! That memory belongs to nobody here, so the kernel is told to read another place instead, a block of our own
//! (`prctl(PR_SET_MM_MAP)`); from then on a new title is written there.
//!
//! Where the kernel refuses (it is built without CONFIG_CHECKPOINT_RESTORE, or a sandbox forbids the call), the command
//! line stays the title. See docs/decisions/0023-process-title.md.
//!
//! Invariants: the block lives as long as the process; its last byte is never 0, by which the kernel knows that the
//! title ends at the first 0 and not with the block.
#![expect(unsafe_code, reason = "to tell the kernel where the title stands has no safe form")]

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::process::{PrctlMmMap, configure_virtual_memory_map};

/// Titles are cut off here; the kernel shows no more than a page.
const TITLE_BYTES_MAX: usize = 1022;

/// The block: a title, its end, and the byte that is not 0.
type Block = [AtomicU8; TITLE_BYTES_MAX + 2];

/// The title of this process.
#[derive(Debug, Default)]
pub struct ProcessTitle {
    /// Once a title was wanted: the block, if the kernel reads it.
    block: OnceLock<Option<&'static Block>>,
}

impl ProcessTitle {
    /// Shows a title, if it can be.
    pub fn show(&self, title: &[u8]) {
        let block = self.block.get_or_init(|| {
            let block: &'static Block = Box::leak(Box::new([const { AtomicU8::new(1) }; _]));
            write(block, title);
            match point_to(block) {
                Ok(()) => Some(block),
                Err(error) => {
                    tracing::debug!("the process title stays the command line: {error}");
                    None
                }
            }
        });
        if let Some(block) = block {
            write(block, title);
        }
    }
}

/// Writes a title; whoever reads meanwhile sees some of the old and some of the new one.
fn write(block: &Block, title: &[u8]) {
    let kept = &title[..title.len().min(TITLE_BYTES_MAX)];
    let bytes = kept.iter().copied().chain(std::iter::repeat(0));
    for (place, byte) in block[..=TITLE_BYTES_MAX].iter().zip(bytes) {
        place.store(byte, Ordering::Relaxed);
    }
}

/// Has the kernel read the title from a block. All else that it is told is what it said itself.
fn point_to(block: &'static Block) -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in parentheses, may hold anything.
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<u64> =
        behind_name.split(' ').map(|word| word.trim().parse().unwrap_or(0)).collect();
    // Numbered from 1 in proc(5); the one behind the name is the third.
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    let start = block.as_ptr() as u64;
    let map = PrctlMmMap {
        start_code: field(26),
        end_code: field(27),
        start_data: field(45),
        end_data: field(46),
        start_brk: field(47),
        brk: end_of_heap(),
        start_stack: field(28),
        arg_start: start,
        arg_end: start + size_of::<Block>() as u64,
        env_start: field(50),
        env_end: field(51),
        auxv: std::ptr::null_mut(),
        auxv_size: 0,
        exe_fd: -1,
    };
    // SAFETY: the call changes what the kernel reports of this process and, through `brk`, where it lets the C library's
    // heap grow. The block is never freed, and the other places are those that the kernel named a moment ago. Should
    // another thread have moved the heap's end since, the kernel finds the memory behind the older end in use, and the
    // C library takes memory elsewhere, as it does whenever its heap cannot grow.
    unsafe { configure_virtual_memory_map(&map) }.map_err(io::Error::from)
}

/// Where the C library's heap ends.
fn end_of_heap() -> u64 {
    // SAFETY: moves nothing, and only asks.
    unsafe { libc::sbrk(0) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_ends_where_it_ends() {
        let block: Box<Block> = Box::new([const { AtomicU8::new(1) }; _]);
        let read =
            || -> Vec<u8> { block.iter().map(|byte| byte.load(Ordering::Relaxed)).collect() };
        for title in ["a long title", "short", &"x".repeat(3000)] {
            write(&block, title.as_bytes());
            let kept = title.len().min(TITLE_BYTES_MAX);
            assert_eq!(&read()[..kept], &title.as_bytes()[..kept]);
            assert!(read()[kept..=TITLE_BYTES_MAX].iter().all(|byte| *byte == 0));
            assert_eq!(read().last(), Some(&1));
        }
    }
}
