//! How are kept inputs run again? Every file of a target's seeds and regressions, in order, each named before it runs.

use std::fs;
use std::path::{Path, PathBuf};

/// Runs the kept inputs of a target through its property.
pub fn replay(target: &str, check: fn(&[u8])) {
    let fuzz = fuzz_folder();
    let mut files: Vec<PathBuf> = ["regressions", "seeds"]
        .iter()
        .filter_map(|kind| fs::read_dir(fuzz.join(kind).join(target)).ok())
        .flatten()
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    assert!(!files.is_empty(), "{target} has neither seeds nor regressions");
    files.sort();
    for file in files {
        // Shown when the test fails.
        println!("{}", file.display());
        check(&fs::read(&file).expect("the file can be read"));
    }
}

/// `fuzz`, above the package that is tested or beside its sources.
fn fuzz_folder() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = package.ancestors().map(|folder| folder.join("fuzz")).find(|fuzz| fuzz.is_dir());
    found.expect("the packages lie in the tree of fuzz/")
}
