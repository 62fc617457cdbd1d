//! Does a file of commands say the same, read in one go or cut anywhere, and a manifest the same when it is written again?
//!
//! Properties: nothing panics; what is read before an error is whole, so that the file cut there is read without one and
//! gives the same items; a manifest that is accepted is written and read back as it was.

use mortise::persist::aof::manifest::{LINE_BYTES_MAX, Manifest};
use mortise::persist::aof::scan::{Item, ScanError, Scanner};

/// The items of a file, where the last one ended, and whether an error follows.
fn scan(bytes: &[u8]) -> (Vec<Item>, u64, bool) {
    let mut scanner = Scanner::new(bytes, 0);
    let (mut items, mut end) = (Vec::new(), 0);
    loop {
        match scanner.next_item() {
            Ok(Some(item)) => {
                assert!(scanner.position() > end, "an item has bytes");
                items.push(item);
                end = scanner.position();
            }
            Ok(None) => return (items, end, false),
            Err(ScanError::Truncated(fault) | ScanError::Format(fault)) => {
                assert!(fault.at >= end && fault.at <= bytes.len() as u64, "{fault:?} is outside");
                return (items, end, true);
            }
            Err(ScanError::Io(error)) => panic!("memory can be read: {error}"),
        }
    }
}

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let (items, end, _) = scan(bytes);
    assert!(end <= bytes.len() as u64);
    assert_eq!(scan(&bytes[..end as usize]), (items, end, false), "the good part is good");
    if let Ok(manifest) = Manifest::parse(bytes) {
        let text = manifest.to_text();
        // Quoted, a strange name may be longer than a line may be.
        let fits =
            text.split_inclusive(|byte| *byte == b'\n').all(|line| line.len() <= LINE_BYTES_MAX);
        if !text.is_empty() && fits {
            assert_eq!(Manifest::parse(&text).as_ref(), Ok(&manifest));
        }
    }
}
