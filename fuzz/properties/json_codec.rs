//! Does a document survive being written and read?
//!
//! Properties: text is accepted if and only if serde_json's own values accept it, and means the same to both; compact and
//! indented text are read back as the same value; its depth is what was counted while reading, or less.

use mortise_json::codec::{DEPTH_MAX, parse};
use mortise_json::write::{Format, to_text};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let oracle = serde_json::from_str::<serde_json::Value>(text);
    let parsed = match (parse(text), &oracle) {
        (Ok(parsed), Ok(_)) => parsed,
        (Err(_), Err(_)) => return,
        (Ok(_), Err(error)) => panic!("accepted though {error}"),
        (Err(error), Ok(_)) => panic!("{error}, though it is JSON"),
    };
    let view = parsed.value.view();
    // Of members by one name, all but the last are gone from the value.
    assert!(view.depth() <= parsed.depth && parsed.depth <= DEPTH_MAX);
    let spread = Format { indent: b" ", newline: b"\n", space: b" " };
    for format in [Format::COMPACT, spread] {
        let written = String::from_utf8(to_text(view, format)).expect("text is UTF-8");
        let again = parse(&written).expect("written text is JSON");
        assert!(again.value.view().same(view));
        assert_eq!(again.depth, view.depth());
        assert_eq!(to_text(again.value.view(), format), written.as_bytes());
        let theirs = serde_json::from_str::<serde_json::Value>(&written).expect("it is JSON");
        assert_eq!(Some(&theirs), oracle.as_ref().ok());
    }
    let copy = view.to_value();
    assert!(copy.view().same(view));
    assert!(parsed.value.memory_bytes() >= size_of_val(&parsed.value));
}
