//! Which function did a module call through a null pointer? The code in front of the return address says where the
//! pointer was read, and the module has asked for a function to be put there.
//!
//! A guess, as good as the compiler's habits are known: when nothing fits, all missing functions are named instead.
//! Foreign memory is read by a system call that fails where there is none, since the handler must not fault.

use std::ffi::c_void;

use super::Missing;

/// Bytes in front of the return address that are looked at.
const CODE_BYTES: usize = 96;

/// The address of the instruction that broke.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) fn instruction(context: *mut c_void) -> Option<usize> {
    // SAFETY: the system hands this structure to handlers.
    let context = unsafe { context.cast::<libc::ucontext_t>().as_ref() }?;
    Some(context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize)
}

/// The address of the instruction that broke.
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
pub(super) fn instruction(context: *mut c_void) -> Option<usize> {
    // SAFETY: the system hands this structure to handlers.
    let context = unsafe { context.cast::<libc::ucontext_t>().as_ref() }?;
    Some(context.uc_mcontext.pc as usize)
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(super) fn instruction(_: *mut c_void) -> Option<usize> {
    None
}

/// The missing function that was called, if that can be told.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) fn called(context: *mut c_void, missing: &[Missing]) -> Option<&Missing> {
    // SAFETY: as in `instruction`.
    let context = unsafe { context.cast::<libc::ucontext_t>().as_ref() }?;
    let registers = &context.uc_mcontext.gregs;
    // The call has pushed where it returns to.
    let back = read_word(registers[libc::REG_RSP as usize] as usize)?;
    let mut code = [0; CODE_BYTES];
    if !read(back.checked_sub(CODE_BYTES)?, &mut code) {
        return None;
    }
    in_code(&code, back, missing, read_word).or_else(|| {
        let is_in_register = |one: &&Missing| registers.iter().any(|r| *r as usize == one.variable);
        missing.iter().find(is_in_register)
    })
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) fn called(_: *mut c_void, _: &[Missing]) -> Option<&Missing> {
    None
}

/// Looks through code that ends at `back` for the last instruction that reads one of the variables, or the slot that
/// holds a variable's address.
#[cfg(any(test, all(target_os = "linux", target_arch = "x86_64")))]
fn in_code<'a>(
    code: &[u8],
    back: usize,
    missing: &'a [Missing],
    word_at: impl Fn(usize) -> Option<usize>,
) -> Option<&'a Missing> {
    let begin = back.checked_sub(code.len())?;
    let find = |variable: usize| missing.iter().find(|one| one.variable == variable);
    (0..code.len()).rev().find_map(|at| {
        // `call *there(%rip)`, or `mov there(%rip), register` of 64 bits.
        let len = match code.get(at..)? {
            [0xff, 0x15, ..] => 6,
            [0x48 | 0x4c, 0x8b, modrm, ..] if modrm & 0xc7 == 0x05 => 7,
            _ => return None,
        };
        let distance = code.get(at + len - 4..at + len)?.try_into().ok()?;
        let there = (begin + at + len).wrapping_add_signed(i32::from_le_bytes(distance) as isize);
        find(there).or_else(|| find(word_at(there)?))
    })
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn read_word(address: usize) -> Option<usize> {
    let mut bytes = [0; size_of::<usize>()];
    read(address, &mut bytes).then(|| usize::from_le_bytes(bytes))
}

/// Reads memory of this process; false if there is none.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn read(address: usize, into: &mut [u8]) -> bool {
    let here = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let there = libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(address),
        iov_len: into.len(),
    };
    // SAFETY: a plain system call.
    let own = unsafe { libc::getpid() };
    // SAFETY: the local buffer is ours and lives during the call; the other address is checked by the system.
    let copied = unsafe { libc::process_vm_readv(own, &raw const here, 1, &raw const there, 1, 0) };
    usize::try_from(copied) == Ok(into.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pointer_that_was_read_last_is_the_one() {
        let missing = ["a", "b", "c"].map(|name| Missing {
            name: name.to_owned(),
            variable: 0x5000 + 8 * usize::from(name.as_bytes()[0] - b'a'),
        });
        let back = 0x1020;
        let move_to = |at: usize, there: usize| {
            let distance = there as i32 - (0x1000 + at + 7) as i32;
            [&[0x48, 0x8b, 0x05][..], &distance.to_le_bytes()].concat()
        };
        let slots = |there| (there == 0x4000).then_some(0x5008);
        let mut code = [0x90; 0x20];
        assert_eq!(in_code(&code, back, &missing, slots), None);
        code[..7].copy_from_slice(&move_to(0, 0x5000));
        assert_eq!(in_code(&code, back, &missing, slots), Some(&missing[0]));
        code[8..15].copy_from_slice(&move_to(8, 0x4000));
        assert_eq!(in_code(&code, back, &missing, slots), Some(&missing[1]));
        code[26..28].copy_from_slice(&[0xff, 0x15]);
        code[28..].copy_from_slice(&(0x5010_i32 - back as i32).to_le_bytes());
        assert_eq!(in_code(&code, back, &missing, slots), Some(&missing[2]));
    }
}
