//! Which files does `include` name? One, or those that match its wildcards, in order of their
//! names.
//!
//! The only file of `config/` that touches the disk; `main` passes it to `file.rs`. Without
//! wildcards a missing file is an error; with wildcards no match is none, so that an empty folder
//! can be included.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::glob::{Case, glob_match};

/// Files that one pattern may match.
const MATCHES_MAX: usize = 1024;

/// The contents of the file, or of the files one after another.
pub fn read(path: &[u8]) -> Result<Vec<u8>, String> {
    let mut contents = Vec::new();
    let paths = if has_wildcard(path) {
        expand(Path::new(OsStr::from_bytes(path)))
    } else {
        vec![PathBuf::from(OsStr::from_bytes(path))]
    };
    for path in paths {
        let text = fs::read(&path).map_err(|error| {
            let reason = error.to_string();
            // Without the number that the standard library puts behind it.
            let reason = reason.split(" (os error").next().unwrap_or_default();
            format!("Fatal error, can't open config file '{}': {reason}", path.display())
        })?;
        contents.extend_from_slice(&text);
    }
    Ok(contents)
}

fn has_wildcard(path: &[u8]) -> bool {
    path.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
}

/// The paths that match, part by part.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        if !has_wildcard(part.as_bytes()) {
            for path in &mut found {
                path.push(part);
            }
            found.retain(|path| path.exists());
            continue;
        }
        found = found.iter().flat_map(|folder| matches_in(folder, part.as_bytes())).collect();
        found.truncate(MATCHES_MAX);
    }
    found
}

fn matches_in(folder: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = fs::read_dir(here) else { return Vec::new() };
    let mut names: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        // A leading dot is matched by a dot alone, as in the shell.
        .filter(|name| pattern[0] == b'.' || !name.as_bytes().starts_with(b"."))
        .filter(|name| glob_match(pattern, name.as_bytes(), Case::Sensitive))
        .collect();
    names.sort();
    names.into_iter().map(|name| folder.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_read_all_that_match() {
        let folder = std::env::temp_dir().join(format!("include-{}", std::process::id()));
        fs::create_dir_all(folder.join("sub")).unwrap();
        for (name, text) in
            [("b.conf", "b"), ("a.conf", "a"), (".c.conf", "c"), ("sub/d.conf", "d")]
        {
            fs::write(folder.join(name), text).unwrap();
        }
        let at = |name: &str| folder.join(name).into_os_string().into_encoded_bytes();
        assert_eq!(read(&at("*.conf")), Ok(b"ab".to_vec()));
        assert_eq!(read(&at("s*/?.conf")), Ok(b"d".to_vec()));
        assert_eq!(read(&at("*.none")), Ok(Vec::new()));
        assert_eq!(read(&at("a.conf")), Ok(b"a".to_vec()));
        let error = read(&at("none.conf")).unwrap_err();
        assert!(error.ends_with("none.conf': No such file or directory"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
