//! The cluster, as a server that is not a node of one has it; and messages to subscribers.
//!
//! Without a cluster there are no nodes, receivers are never called and flags change nothing. Slots are a fact about keys.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::sync::LazyLock;

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx};
use crate::base::crc::{SLOTS, key_slot};
use crate::engine::pubsub::Kind;

pub(super) unsafe extern "C" fn register_receiver(
    _: *mut abi::Ctx,
    _: u8,
    _: abi::ClusterMessageFunc,
) {
}

pub(super) unsafe extern "C" fn send_message(
    _: *mut abi::Ctx,
    _: *const c_char,
    _: u8,
    _: *const c_char,
    _: u32,
) -> c_int {
    abi::ERR
}

pub(super) unsafe extern "C" fn node_info(
    _: *mut abi::Ctx,
    _: *const c_char,
    _: *mut c_char,
    _: *mut c_char,
    _: *mut c_int,
    _: *mut c_int,
) -> c_int {
    abi::ERR
}

pub(super) unsafe extern "C" fn nodes(_: *mut abi::Ctx, _: *mut usize) -> *mut *mut c_char {
    std::ptr::null_mut()
}

/// There never was a list to free.
pub(super) unsafe extern "C" fn free_nodes(_: *mut *mut c_char) {}

pub(super) unsafe extern "C" fn own_id() -> *const c_char {
    std::ptr::null()
}

pub(super) unsafe extern "C" fn size() -> usize {
    0
}

pub(super) unsafe extern "C" fn set_flags(_: *mut abi::Ctx, _: u64) {}

pub(super) unsafe extern "C" fn slot_of(key: *mut abi::ModuleString) -> c_uint {
    // SAFETY: modules pass a live string.
    let key = unsafe { ModString::borrow(key) }.map_or(&[][..], ModString::as_bytes);
    c_uint::from(key_slot(key))
}

/// A short key for each slot, with the NUL that C strings end in.
static NAMES: LazyLock<Vec<[u8; NAME_BYTES + 1]>> = LazyLock::new(name_slots);

/// Three letters and digits are enough to find a name for each slot.
const NAME_BYTES: usize = 3;

fn name_slots() -> Vec<[u8; NAME_BYTES + 1]> {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut names = vec![[0; NAME_BYTES + 1]; usize::from(SLOTS)];
    for len in 1..=NAME_BYTES {
        for number in 0..LETTERS.len().pow(len as u32) {
            let mut name = [0; NAME_BYTES + 1];
            let mut rest = number;
            for place in name[..len].iter_mut().rev() {
                *place = LETTERS[rest % LETTERS.len()];
                rest /= LETTERS.len();
            }
            let slot = &mut names[usize::from(key_slot(&name[..len]))];
            if slot[0] == 0 {
                *slot = name;
            }
        }
    }
    names
}

pub(super) unsafe extern "C" fn name_in_slot(slot: c_uint) -> *const c_char {
    let name = usize::try_from(slot).ok().and_then(|slot| NAMES.get(slot));
    let name = name.and_then(|name| CStr::from_bytes_until_nul(name).ok());
    name.map_or(std::ptr::null(), CStr::as_ptr)
}

/// Publishes a message; how many got it. It goes to no replica: a module that wants that replicates.
///
/// # Safety
/// The context is null or live, and so are the strings.
unsafe fn publish_to(
    kind: Kind,
    ctx: *mut abi::Ctx,
    channel: *mut abi::ModuleString,
    message: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: as the caller promises.
    let (ctx, channel, message) =
        unsafe { (ModuleCtx::borrow(ctx), ModString::borrow(channel), ModString::borrow(message)) };
    let (Some(channel), Some(message)) = (channel, message) else { return 0 };
    let Some(engine) = ctx.and_then(ModuleCtx::engine) else { return 0 };
    let shared = engine.env.shared;
    let receivers = shared.pubsub.publish(shared, kind, channel.as_bytes(), message.as_bytes());
    c_int::try_from(receivers).unwrap_or(c_int::MAX)
}

pub(super) unsafe extern "C" fn publish(
    ctx: *mut abi::Ctx,
    channel: *mut abi::ModuleString,
    message: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass a live context and live strings.
    unsafe { publish_to(Kind::Channel, ctx, channel, message) }
}

pub(super) unsafe extern "C" fn publish_shard(
    ctx: *mut abi::Ctx,
    channel: *mut abi::ModuleString,
    message: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass a live context and live strings.
    unsafe { publish_to(Kind::Shard, ctx, channel, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_a_name_that_belongs_there() {
        for slot in 0..c_uint::from(SLOTS) {
            // SAFETY: a plain call.
            let name = unsafe { name_in_slot(slot) };
            assert!(!name.is_null(), "slot {slot}");
            // SAFETY: not null, and a C string that lives for ever.
            let name = unsafe { CStr::from_ptr(name) };
            assert_eq!(c_uint::from(key_slot(name.to_bytes())), slot);
        }
        // SAFETY: a plain call.
        assert!(unsafe { name_in_slot(c_uint::from(SLOTS)) }.is_null());
        let key = ModString::handle(ModString::create(b"foo{bar}"));
        // SAFETY: a live string, whose reference is given up afterwards.
        unsafe {
            assert_eq!(slot_of(key), c_uint::from(key_slot(b"bar")));
            ModString::release(key);
        }
    }
}
