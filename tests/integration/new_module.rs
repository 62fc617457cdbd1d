//! Does `mortise module new` make a module that builds, loads and passes its own test?

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::server::{Folder, Server, under_test};

fn new(folder: &Folder, args: &[&str]) -> Output {
    Command::new(under_test())
        .args(["module", "new"])
        .args(args)
        .current_dir(folder.path())
        .output()
        .expect("the program runs")
}

/// Our program, or a line that says why there is nothing to test.
fn is_ours() -> bool {
    let ours = Server::start(&[]).is_ours();
    if !ours {
        println!("skipped: {} makes no modules", under_test().display());
    }
    ours
}

/// As its reader would: made, built without a network against this checkout, and tested in the server under test.
#[test]
fn a_new_module_builds_and_passes_its_test() {
    if !is_ours() {
        return;
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Folder::new();
    let made = new(&folder, &["try-it", "--sdk", checkout.to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    let tested = Command::new(env!("CARGO"))
        .args(["test", "--offline"])
        .current_dir(folder.path().join("try-it"))
        .env("SERVER", under_test())
        .env("RUSTFLAGS", "-D warnings")
        .env("CARGO_TARGET_DIR", folder.path().join("target"))
        .output()
        .expect("cargo runs");
    let text = [tested.stdout, tested.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(tested.status.success(), "{text}");
    assert!(text.contains("test the_module_does_what_it_says ... ok"), "{text}");

    // The same file by hand.
    let object = folder.path().join("target/debug/deps/libtry_it.so");
    let server = Server::start(&["--loadmodule", object.to_str().unwrap()]);
    let mut client = server.client();
    assert_eq!(client.call(&["TRY_IT.COUNT", "c", "7"]).int(), 7);
    assert_eq!(client.call(&["TYPE", "c"]).text(), "try-it-co");
}

#[test]
fn names_are_checked_and_nothing_is_overwritten() {
    if !is_ours() {
        return;
    }
    let folder = Folder::new();
    for bad in [&["../up"][..], &["Upper"], &["2nd"], &["test"], &[""], &["a", "b"], &[]] {
        let refused = new(&folder, bad);
        assert_eq!(refused.status.code(), Some(1), "{bad:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("Usage: mortise module new"));
    }
    let mine = folder.path().join("mine");
    fs::create_dir(&mine).unwrap();
    let refused = new(&folder, &["mine"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("mine is there already"));
    let refused = new(&folder, &["other", "--sdk", "mine"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("mine has no mortise-module"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else was made");

    // Without the option the registry's version is named.
    assert!(new(&folder, &["other"]).status.success());
    let manifest = fs::read_to_string(folder.path().join("other/Cargo.toml")).unwrap();
    assert!(manifest.contains("mortise-module = \"0.1\""), "{manifest}");
}
