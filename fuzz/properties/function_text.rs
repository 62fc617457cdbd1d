//! Does the sandbox hold while a library is loaded, and is its first line read like any other foreign text?
//!
//! Input: the text of a library, its first line (`#!lua name=...`) included. Properties: loading it gives a library or an error,
//! in time and in memory; what was loaded loads again, in a VM of its own, with the same functions; and whatever the text did, a
//! library that is loaded behind it registers its function, sees what it should, and calls it.

use std::cell::Cell;
use std::sync::Arc;

use mortise::engine::functions::{Found, Functions, Library};
use mortise::resp::reply::Protocol;
use mortise::script::functions::{FunctionVm, Invocation, LoadOptions, load};
use mortise::script::vm::{Purpose, VmOptions};

use super::vm::Server;

const OPTIONS: LoadOptions = LoadOptions { replace: true, ms_max: 5, clock, vm: VM };

const VM: VmOptions = VmOptions {
    memory_bytes_max: 16 << 20,
    random_seed: None,
    deprecated_api: false,
    purpose: Purpose::Functions,
};

/// A library as it should be, and what its function answers.
const NEXT: &[u8] = b"#!lua name=next\nlocal kept = redis.log redis.register_function('next', function(keys, args) \
    return {type(kept), tostring(rawget(_G, 'leaked')), #keys, args[1], ('x'):rep(2), type(redis.call('args'))} end)";
const ANSWER: &[u8] =
    b"*6\r\n$8\r\nfunction\r\n$3\r\nnil\r\n:0\r\n$1\r\na\r\n$2\r\nxx\r\n$5\r\ntable\r\n";

thread_local! {
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
}

/// A clock that takes each look at it for a millisecond.
fn clock() -> u64 {
    NOW_NS.set(NOW_NS.get() + 1_000_000);
    NOW_NS.get()
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let mut functions = Functions::default();
    if let Ok(name) = load(&mut functions, bytes, OPTIONS) {
        let library = Arc::clone(functions.libraries().get(&name).expect("it was just loaded"));
        assert!(!library.functions.is_empty() && *library.code == *bytes);
        let mut again = FunctionVm::new(VM).expect("there is memory for a VM");
        let mut server = Server::killing_after(5);
        if let Ok(again) = again.load(bytes, &mut server) {
            assert_eq!(
                again.functions, library.functions,
                "the same text registers the same functions"
            );
        }
    }
    let mut vm = FunctionVm::new(VM).expect("there is memory for a VM");
    let _ = vm.load(bytes, &mut Server::killing_after(5));
    let next = vm.load(NEXT, &mut Server::killing_after(5));
    let next: Library = next.unwrap_or_else(|text| panic!("{}", String::from_utf8_lossy(&text)));
    let found = Found { library: Arc::new(next), index: 0 };
    let call = Invocation { found: &found, keys: &[], args: &[b"a"], protocol: Protocol::Resp2 };
    let mut out = Vec::new();
    vm.call(&call, &mut Server::killing_after(5), &mut out);
    assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(ANSWER));
}
