//! How does somebody begin a module? `mortise module new NAME` writes a crate that builds, loads and passes its own
//! test. The files are templates in `new_module/`, part of this program.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The files of a crate, and what is in them.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("new_module/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("new_module/lib.rs.txt")),
    ("tests/loads.rs", include_str!("new_module/loads.rs.txt")),
    ("README.md", include_str!("new_module/README.md.txt")),
    (".gitignore", "/target\n"),
];

/// Longer names make commands that nobody types.
const NAME_BYTES_MAX: usize = 64;

/// Names that Cargo or the compiler keeps for itself, or that are those of our own crates.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "mortise-module",
    "mortise-module-abi",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// How the tool is called, behind its name.
const USAGE: &str = "new NAME [--sdk FOLDER]";

/// Runs the tool with the arguments behind its name; its exit code.
pub fn new_module(name: &str, args: &[Vec<u8>], out: &mut dyn Write) -> io::Result<u8> {
    let made = Order::parse(args).and_then(|order| order.fulfil().map(|()| order));
    match made {
        Ok(Order { name, .. }) => {
            writeln!(
                out,
                "{name}: a module with two commands and a type of value.\n\n    cd {name}\n    cargo test"
            )?;
            Ok(0)
        }
        Err(why) => {
            eprintln!("{why}\nUsage: {name} {USAGE}");
            Ok(1)
        }
    }
}

/// What is to be made.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    name: String,
    /// Where the SDK lies; None: the registry has it.
    sdk: Option<PathBuf>,
}

impl Order {
    fn parse(args: &[Vec<u8>]) -> Result<Order, String> {
        let words: Option<Vec<&str>> =
            args.iter().map(|arg| std::str::from_utf8(arg).ok()).collect();
        let words = words.ok_or("arguments are text")?;
        let (name, sdk) = match words[..] {
            ["new", name] => (name, None),
            ["new", name, "--sdk", folder] | ["new", "--sdk", folder, name] => (name, Some(folder)),
            _ => return Err("a module is made by: new, and its name".to_owned()),
        };
        check_name(name)?;
        Ok(Order { name: name.to_owned(), sdk: sdk.map(PathBuf::from) })
    }

    fn fulfil(&self) -> Result<(), String> {
        let sdk = match &self.sdk {
            None => format!("\"{}\"", version_of_sdk()),
            Some(folder) => format!("{{ path = {} }}", toml_text(&find_sdk(folder)?)?),
        };
        let root = Path::new(&self.name);
        // Never into a folder that is there: nothing of anybody's is overwritten.
        fs::create_dir(root).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => format!("{} is there already", root.display()),
            _ => format!("{}: {error}", root.display()),
        })?;
        for (file, template) in FILES {
            let path = root.join(file);
            let folder = path.parent().unwrap_or(root);
            let text = self.fill(template, &sdk);
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&path, text))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    fn fill(&self, template: &str, sdk: &str) -> String {
        let name = self.name.as_str();
        let lower = name.replace('-', "_");
        template
            .replace("@name@", name)
            .replace("@crate@", &lower)
            .replace("@lower@", &lower)
            .replace("@prefix@", &lower.to_uppercase())
            .replace("@type@", &type_name(name))
            .replace("@sdk@", sdk)
    }
}

/// A crate's name that is also good for commands: `a-z`, digits, `-` and `_`, and a letter first.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(format!("a name has 1 to {NAME_BYTES_MAX} letters"));
    }
    if !name.bytes().all(is_plain) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(format!(
            "{name}: a name has letters a-z, digits, - and _, and begins with a letter"
        ));
    }
    if TAKEN.contains(&name) {
        return Err(format!("{name}: this name is taken"));
    }
    Ok(())
}

/// Nine characters for the type of value: the name's, filled up.
fn type_name(name: &str) -> String {
    name.chars().chain("-counter-".chars()).take(9).collect()
}

/// The SDK is released together with the server.
fn version_of_sdk() -> String {
    let version = env!("CARGO_PKG_VERSION");
    version.rsplit_once('.').map_or(version, |(short, _)| short).to_owned()
}

/// The folder of the SDK, which may be named by the checkout that it lies in.
fn find_sdk(folder: &Path) -> Result<PathBuf, String> {
    let is_sdk = |folder: &Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim() == "name = \"mortise-module\"")
    };
    let places = [folder.to_owned(), folder.join("modules/sdk")];
    let found = places.into_iter().find(|place| is_sdk(place));
    let found = found.ok_or_else(|| format!("{} has no mortise-module", folder.display()))?;
    fs::canonicalize(&found).map_err(|error| format!("{}: {error}", found.display()))
}

/// A path as a TOML string.
fn toml_text(path: &Path) -> Result<String, String> {
    let text = path.to_str().ok_or_else(|| format!("{}: not text", path.display()))?;
    match text.contains(['\'', '\n']) {
        false => Ok(format!("'{text}'")),
        true => Err(format!("{text}: no path for a Cargo.toml")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(words: &[&str]) -> Result<Order, String> {
        Order::parse(&words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_those_of_crates() {
        for good in ["a", "my-module", "geo2", "snake_case"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let long = "x".repeat(65);
        for bad in
            ["", "2geo", "My", "a b", "a/b", "..", "-a", "é", "test", "mortise-module", &long]
        {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(type_name("a"), "a-counter");
        assert_eq!(type_name("my-long-module"), "my-long-m");
    }

    #[test]
    fn orders_say_where_the_sdk_is() {
        let (name, sdk) = ("geo".to_owned(), Some(PathBuf::from("/src")));
        assert_eq!(order(&["new", "geo", "--sdk", "/src"]), Ok(Order { name: name.clone(), sdk }));
        assert_eq!(order(&["new", "geo"]), Ok(Order { name, sdk: None }));
        for bad in [&[][..], &["new"], &["new", "a", "b"], &["old", "a"], &["new", "a", "--sdk"]] {
            assert!(order(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        let order = order(&["new", "my-module"]).unwrap();
        for (file, template) in FILES {
            let text = order.fill(template, "\"0.1\"");
            assert!(!text.contains('@'), "{file}");
        }
    }
}
