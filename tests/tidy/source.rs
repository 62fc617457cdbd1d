//! What is in the tree, and which part of a Rust file is code? Comments, strings and tests are told apart, without a parser.
//!
//! Invariant: masked text has the same length and line ends as the original, so positions mean the same in both.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours.
const FOREIGN: &[&str] = &[".git", "target", "node_modules", "__pycache__", "corpus"];

/// A file of the project.
pub struct Source {
    /// Its path below the root, with forward slashes.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Whether the whole file is test code.
    pub is_test: bool,
}

/// The root of the project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the project, sorted by path.
pub fn all_files() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let declared: Vec<String> = found.iter().flat_map(test_modules).collect();
    for source in &mut found {
        source.is_test |= declared.contains(&source.path);
    }
    found
}

/// The files that `#[cfg(test)] mod name;` in this one declares, whether they exist or not.
fn test_modules(source: &Source) -> Vec<String> {
    let stem = source.path.strip_suffix(".rs").unwrap_or(&source.path);
    let folder = ["/mod", "/lib", "/main"].iter().find_map(|name| stem.strip_suffix(name));
    let folder = folder.unwrap_or(stem);
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let mut files = Vec::new();
    for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
        if let Some(name) = pair[1].strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            files.extend([format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]);
        }
    }
    files
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("the tree can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if FOREIGN.contains(&name.as_str()) || name.starts_with("target-") {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let below = path.strip_prefix(root).expect("we walk below the root");
            found.push(Source::new(&below.to_string_lossy(), text));
        }
    }
}

impl Source {
    /// A file with this path below the root.
    pub fn new(path: &str, text: String) -> Source {
        let in_tests =
            |folder: &&str| path.starts_with(*folder) || path.contains(&format!("/{folder}"));
        let named = ["/tests.rs", "_tests.rs", "_test.rs"].iter().any(|end| path.ends_with(end));
        let is_test = named || ["tests/", "benches/", "fuzz/"].iter().any(in_tests);
        Source { path: path.to_string(), text, is_test }
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The folder of `src` that the file belongs to: `engine` for src/engine/call.rs; nothing for src/main.rs.
    pub fn room(&self) -> Option<&str> {
        let (room, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        Some(room)
    }

    /// The code alone: comments, strings and characters are blanks.
    pub fn code(&self) -> String {
        mask(&self.text)
    }

    /// The code without what is compiled for tests only.
    pub fn product_code(&self) -> String {
        if self.is_test {
            return String::new();
        }
        without_tests(&self.code())
    }
}

/// The line of a byte position, from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    text[..at].bytes().filter(|&byte| byte == b'\n').count() + 1
}

/// Where `word` stands as a whole word.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_word =
        |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let bytes = code.as_bytes();
        !part_of_word(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && !part_of_word(bytes.get(at + word.len()))
    })
}

/// The position behind the bracket that closes the one at `open`.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in code.as_bytes()[open..].iter().enumerate() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => {
                depth -= 1;
                if depth == 0 {
                    return open + offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn blank(out: &mut [u8], from: usize, to: usize) {
    for byte in &mut out[from..to] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => block_comment_end(bytes, at),
            b'r' if !is_word_before(bytes, at) => raw_string_end(bytes, at).unwrap_or(at),
            b'b' if !is_word_before(bytes, at) && bytes[at..].starts_with(b"br") => {
                raw_string_end(bytes, at + 1).unwrap_or(at)
            }
            b'"' => string_end(bytes, at),
            b'\'' => char_end(bytes, at).unwrap_or(at),
            _ => at,
        };
        if end > at {
            blank(&mut out, at, end);
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(out).expect("only whole characters are blanked")
}

fn is_word_before(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |offset| at + offset)
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut here) = (0, at);
    while here < bytes.len() {
        if bytes[here..].starts_with(b"/*") {
            depth += 1;
            here += 2;
        } else if bytes[here..].starts_with(b"*/") {
            depth -= 1;
            here += 2;
            if depth == 0 {
                return here;
            }
        } else {
            here += 1;
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|&&b| b == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = open + 1;
    let found = bytes[body..].windows(close.len()).position(|window| window == close);
    Some(found.map_or(bytes.len(), |offset| body + offset + close.len()))
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut here = at + 1;
    while here < bytes.len() {
        match bytes[here] {
            b'\\' => here += 2,
            b'"' => return here + 1,
            _ => here += 1,
        }
    }
    bytes.len()
}

/// A character literal's end; none for a lifetime.
fn char_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        let close = bytes[at + 3..].iter().position(|&b| b == b'\'')?;
        return Some(at + 3 + close + 1);
    }
    let rest = std::str::from_utf8(&bytes[at + 1..]).ok()?;
    let character = rest.chars().next()?;
    let close = at + 1 + character.len_utf8();
    (bytes.get(close) == Some(&b'\'')).then_some(close + 1)
}

fn without_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let rest = &code[at..];
        let block = rest.find('{');
        let item = rest.find(';').filter(|&end| block.is_none_or(|block| end < block));
        let end = match (item, block) {
            (Some(end), _) => at + end + 1,
            (None, Some(block)) => closing(code, at + block),
            (None, None) => code.len(),
        };
        blank(&mut out, at, end);
    }
    String::from_utf8(out).expect("only whole characters are blanked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text.to_string())
    }

    #[test]
    fn modules_for_tests_are_found() {
        let of = |path: &str| test_modules(&source(path, "mod a;\n#[cfg(test)]\nmod b;\n"));
        assert_eq!(of("src/x/mod.rs"), ["src/x/b.rs", "src/x/b/mod.rs"]);
        assert_eq!(of("src/x/y.rs"), ["src/x/y/b.rs", "src/x/y/b/mod.rs"]);
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        let text = "let a = \"unsafe \\\" x\"; // unsafe\n/* unsafe /* a */ b */ r#\"unsafe\"# 'u' '\\'' &'life b\"x\" br\"y\"";
        let code = mask(text);
        assert_eq!(code.len(), text.len());
        assert!(!code.contains("unsafe") && code.contains("&'life"), "{code}");
    }

    #[test]
    fn tests_are_not_product_code() {
        let text = "fn a() { b() }\n#[cfg(test)]\nmod tests {\n fn c() { d.unwrap() }\n}\nfn e() {}\n#[cfg(test)]\nmod more;\nfn f() {}";
        let code = source("src/x/y.rs", text).product_code();
        assert!(code.contains("fn a") && code.contains("fn e") && code.contains("fn f"));
        assert!(!code.contains("unwrap") && !code.contains("more"));
        assert!(source("tests/x.rs", text).product_code().is_empty());
    }
}
