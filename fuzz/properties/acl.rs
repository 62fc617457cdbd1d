//! Do users that a file describes come back as they were?
//!
//! Properties: a file is accepted as a whole or not at all; what is written of its users is accepted, is written the same
//! again, and still is after the commands were looked up anew; a refused rule has changed nothing.

use std::sync::LazyLock;

use mortise::commands::TABLES;
use mortise::engine::acl::rule::RuleCtx;
use mortise::engine::acl::user::Rules;
use mortise::engine::acl::{Users, file};
use mortise::engine::registry::{Command, Registry};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let specs = TABLES.iter().flat_map(|table| table.iter());
    Registry::new(specs.map(|spec| (None, Command::new(spec, None, None, 1))), 1)
});

/// Checks one input: a file, whose words are also tried one by one.
pub fn check(bytes: &[u8]) {
    let ctx = RuleCtx { registry: &REGISTRY, all_channels: false };
    let mut rules = Rules::new(false);
    for word in bytes.split(|byte| matches!(byte, b' ' | b'\n')).take(64) {
        let before = rules.describe();
        if rules.apply(word, ctx).is_err() {
            assert_eq!(rules.describe(), before, "a refused rule has changed something");
        }
    }
    let Ok(users) = file::read(bytes, b"file", ctx) else { return };
    let set = Users::default();
    set.replace(users);
    let text = set.file_text();
    let again = match file::read(&text, b"file", ctx) {
        Ok(users) => users,
        Err(why) => panic!("{}: {}", String::from_utf8_lossy(&why), String::from_utf8_lossy(&text)),
    };
    let second = Users::default();
    second.replace(again);
    assert!(second.file_text() == text, "written otherwise: {}", String::from_utf8_lossy(&text));
    second.recompute(&REGISTRY);
    assert!(second.file_text() == text, "other rules: {}", String::from_utf8_lossy(&text));
}
