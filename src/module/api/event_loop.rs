//! The event loop: descriptors that modules have watched, and work that they hand to the main thread.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_int, c_void};

use mortise_module_abi as abi;

use super::super::crash;
use super::super::descriptors::Refused;
use super::super::handle::set_errno;
use super::super::host::{Foreign, host};
use super::super::tasks::OneShot;

/// Hands the outcome over as Redis does, which sets `errno` in either case.
fn answer(outcome: Result<(), Refused>) -> c_int {
    set_errno(outcome.err().unwrap_or(0));
    if outcome.is_ok() { abi::OK } else { abi::ERR }
}

pub(super) unsafe extern "C" fn add(
    fd: c_int,
    mask: c_int,
    callback: abi::EventLoopFunc,
    data: *mut c_void,
) -> c_int {
    answer(host().descriptors.add(fd, mask, callback, Foreign(data)))
}

pub(super) unsafe extern "C" fn del(fd: c_int, mask: c_int) -> c_int {
    answer(host().descriptors.remove(fd, mask))
}

pub(super) unsafe extern "C" fn add_one_shot(
    callback: abi::EventLoopOneShotFunc,
    data: *mut c_void,
) -> c_int {
    if callback.is_none() {
        return answer(Err(libc::EINVAL));
    }
    let module = crash::current_module();
    host().tasks.add_one_shot(OneShot { module, callback, data: Foreign(data) });
    answer(Ok(()))
}
