//! Does a config file that CONFIG REWRITE wrote say what the config said?
//!
//! Properties: whatever is accepted, the rewritten file is accepted and means the same, as is a file written from nothing;
//! rewriting again and again changes nothing; words that are quoted are read back.

use mortise::base::quoting::{append_quoted, split_args};
use mortise::config::file::{Loaded, load};
use mortise::config::rewrite::{Scope, rewrite};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    if let Some(words) = split_args(bytes) {
        let mut line = Vec::new();
        for word in &words {
            line.push(b' ');
            append_quoted(&mut line, word);
        }
        assert_eq!(split_args(&line), Some(words), "quoting is undone by splitting");
    }
    let Ok(loaded) = read(bytes) else { return };
    for scope in [Scope::Changed, Scope::Everything] {
        for old in [bytes, b""] {
            let text = rewrite(old, &loaded.config, &[], scope);
            let again = match read(&text) {
                Ok(again) => again,
                Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&text)),
            };
            for (name, value) in loaded.config.matching(&[b"*"]) {
                let shown = again.config.get(&name);
                assert_eq!(shown.as_ref(), Some(&value), "{}", String::from_utf8_lossy(&name));
            }
            // Three classes of output limits share lines: what stood alone is put behind those that were added,
            // each time one more.
            let rewrite = |text: Vec<u8>| rewrite(&text, &again.config, &[], scope);
            let settled = rewrite(rewrite(text));
            assert!(rewrite(settled.clone()) == settled, "rewriting does not settle");
        }
    }
}

fn read(text: &[u8]) -> Result<Loaded, String> {
    let mut no_files = |_: &[u8]| Err("no files here".to_string());
    load(text, &mut no_files).map_err(|error| error.report("test"))
}
