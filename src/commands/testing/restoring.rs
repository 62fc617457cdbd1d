//! What holds of a payload of FUNCTION RESTORE that somebody else wrote? The property behind the fuzz target
//! `function_payload`, and the replay of its seeds.
//!
//! Input: the payload without its footer, which is added. Properties: each policy gives one whole reply; what was refused has
//! changed nothing; what is restored is dumped, and restored from that, the same.

use super::survival::{engine, whole};
use super::*;
use crate::base::crc::crc64;

/// Bytes of one input.
const INPUT_BYTES_MAX: usize = 4 * 1024;
/// The version that the footer claims.
const VERSION: u16 = 10;
const OWN: &[u8] = b"#!lua name=own\nredis.register_function('own', function() return 'own' end)";

fn raw(engine: &TestEngine, argv: &[&[u8]]) -> Vec<u8> {
    let out = engine.raw(argv);
    whole(&out);
    out
}

/// The text of a bulk string.
fn text(reply: &[u8]) -> &[u8] {
    match Value::read(reply).expect("a reply").0 {
        Value::Bulk(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    if bytes.len() > INPUT_BYTES_MAX {
        return;
    }
    let mut payload = [bytes, &VERSION.to_le_bytes()].concat();
    payload.extend_from_slice(&crc64(0, &payload).to_le_bytes());
    let engine = engine();
    for policy in [&b"APPEND"[..], b"REPLACE", b"FLUSH"] {
        raw(&engine, &[b"FUNCTION", b"FLUSH"]);
        raw(&engine, &[b"FUNCTION", b"LOAD", OWN]);
        let before = raw(&engine, &[b"FUNCTION", b"LIST", b"WITHCODE"]);
        let restored = raw(&engine, &[b"FUNCTION", b"RESTORE", &payload, policy]);
        let after = raw(&engine, &[b"FUNCTION", b"LIST", b"WITHCODE"]);
        if restored.starts_with(b"-") {
            assert_eq!(after, before, "what is refused changes nothing");
            assert_eq!(raw(&engine, &[b"FCALL", b"own", b"0"]), b"$3\r\nown\r\n");
            continue;
        }
        let dumped = raw(&engine, &[b"FUNCTION", b"DUMP"]);
        let again = raw(&engine, &[b"FUNCTION", b"RESTORE", text(&dumped), b"FLUSH"]);
        assert_eq!(again, b"+OK\r\n", "what is dumped can be restored");
        assert_eq!(raw(&engine, &[b"FUNCTION", b"LIST", b"WITHCODE"]), after);
    }
}

#[cfg(test)]
mod tests {
    use super::super::storing::tests::replay;
    use super::*;

    #[test]
    fn payloads_of_functions() {
        replay("function_payload", check);
    }
}
