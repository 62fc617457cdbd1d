//! Do rules and checks keep their promises? Whatever rules are set can be shown and set again, and mean the
//! same; checks agree with a plain reading of the rules.

use std::sync::LazyLock;

use proptest::prelude::*;

use crate::commands::TABLES;
use crate::engine::acl::check::check;
use crate::engine::acl::rule::{RuleCtx, RuleError};
use crate::engine::acl::selector::{KeyAccess, Selector};
use crate::engine::acl::user::Rules;
use crate::engine::acl::{SetError, Users, file};
use crate::engine::registry::{Command, Registry};

/// All commands. Commands live for ever, so they are made once.
fn registry() -> &'static Registry {
    static ALL: LazyLock<Registry> = LazyLock::new(|| {
        let specs = TABLES.iter().flat_map(|table| table.iter());
        Registry::new(specs.map(|spec| (None, Command::new(spec, None, None, 1))), 1)
    });
    &ALL
}

fn ctx(registry: &Registry) -> RuleCtx<'_> {
    RuleCtx { registry, all_channels: false }
}

/// The rules that these words make of nothing.
fn rules(registry: &Registry, text: &str) -> Rules {
    let words = text.split(' ').filter(|word| !word.is_empty()).map(str::as_bytes);
    Users::default().stage(None, words.collect::<Vec<_>>(), registry).expect("good rules")
}

fn error(registry: &Registry, text: &str) -> SetError {
    let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
    Users::default().stage(None, words, registry).expect_err("a bad rule")
}

fn permits(registry: &Registry, rules: &Rules, request: &str) -> bool {
    let argv: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    let command = registry.resolve(&argv).expect("a command");
    check(rules, command, &argv).is_ok()
}

fn shown(rules: &Rules) -> String {
    String::from_utf8(rules.describe()).expect("text")
}

#[test]
fn rules_are_shown_in_their_canonical_form() {
    let registry = registry();
    for (given, expected) in [
        ("", "off sanitize-payload resetchannels -@all"),
        ("on nopass ~* &* +@all", "on nopass sanitize-payload ~* &* +@all"),
        ("+get -GET +@Read", "off sanitize-payload resetchannels -@all -get +@read"),
        ("+config|get +config", "off sanitize-payload resetchannels -@all +config"),
        (
            "+config +config|GET -config|get",
            "off sanitize-payload resetchannels -@all +config -config|get",
        ),
        ("+select|0 +SELECT|0", "off sanitize-payload resetchannels -@all +select|0"),
        ("~a %R~b %w~b %r~c &x &y", "off sanitize-payload ~a ~b %R~c resetchannels &x &y -@all"),
        ("+@all -@dangerous +keys", "off sanitize-payload resetchannels +@all -@dangerous +keys"),
        (
            "(~a +get) (&* -@all)",
            "off sanitize-payload resetchannels -@all (~a resetchannels -@all +get) (&* -@all)",
        ),
        (
            "+get allcommands reset skip-sanitize-payload",
            "off skip-sanitize-payload resetchannels -@all",
        ),
    ] {
        assert_eq!(shown(&rules(registry, given)), expected, "{given}");
    }
}

#[test]
fn bad_rules_say_what_is_wrong_with_them() {
    let registry = registry();
    let why = |text: &str| match error(registry, text) {
        SetError::Rule(op, why) => (String::from_utf8(op).expect("text"), why),
        SetError::Unclosed(op) => panic!("{op:?} is not closed"),
    };
    for (text, op, expected) in [
        ("on nope", "nope", RuleError::Syntax),
        ("+nope", "+nope", RuleError::Unknown),
        ("-@nope", "-@nope", RuleError::Unknown),
        ("-config|nope", "-config|nope", RuleError::Unknown),
        ("+config|nope", "+config|nope", RuleError::Unknown),
        ("-select|0", "-select|0", RuleError::Unknown),
        ("+config|get|x", "+config|get|x", RuleError::FirstArgOfSubcommand),
        ("+select|", "+select|", RuleError::Syntax),
        ("%", "%", RuleError::Syntax),
        ("%~a", "%~a", RuleError::Syntax),
        ("%RR~a", "%RR~a", RuleError::Syntax),
        ("~* ~a", "~a", RuleError::KeysAfterAll),
        ("~* %", "%", RuleError::KeysAfterAll),
        ("&* &a", "&a", RuleError::ChannelsAfterAll),
        ("<nope", "<nope", RuleError::NoSuchPassword),
        ("#nope", "#nope", RuleError::BadHash),
        ("!nope", "!nope", RuleError::BadHash),
        ("(on)", "(on)", RuleError::Syntax),
        ("(+nope ~a)", "(+nope ~a)", RuleError::Unknown),
    ] {
        assert_eq!(why(text), (op.to_owned(), expected), "{text}");
    }
    assert_eq!(error(registry, "on (+get ~a"), SetError::Unclosed(b"(+get".to_vec()));
}

#[test]
fn some_selector_must_permit_all_of_a_request() {
    let registry = registry();
    let joe = rules(registry, "+set ~a* (+get ~b* %R~r*) (+config|get +select|0) (+publish &c*)");
    for request in
        ["set abc 1", "get b", "get r", "config get x", "SELECT 0", "publish c1 x", "auth x"]
    {
        assert!(permits(registry, &joe, request), "{request}");
    }
    for request in
        ["get a", "set b 1", "config set x y", "select 1", "publish x c", "flushall", "config"]
    {
        assert!(!permits(registry, &joe, request), "{request}");
    }
    let copy = rules(registry, "+@all %R~from %W~to");
    assert!(permits(registry, &copy, "copy from to"));
    assert!(!permits(registry, &copy, "copy to from"));
    assert!(!permits(registry, &copy, "getset to 1"));
    assert!(permits(registry, &copy, "set to 1"));
    // The old value is read.
    assert!(!permits(registry, &copy, "set to 1 get"));
}

#[test]
fn patterns_of_channels_are_compared_by_their_words() {
    let registry = registry();
    let joe = rules(registry, "+@all &a* &b");
    assert!(permits(registry, &joe, "psubscribe a* b"));
    assert!(!permits(registry, &joe, "psubscribe ab"));
    assert!(permits(registry, &joe, "subscribe ab b"));
    assert!(!permits(registry, &joe, "subscribe ab bb"));
    assert!(permits(registry, &joe, "unsubscribe zz"));
    assert!(permits(registry, &joe, "punsubscribe zz"));
}

#[test]
fn commands_to_come_follow_the_rules_given_before() {
    let few: Vec<_> = TABLES[0].iter().map(|spec| Command::new(spec, None, None, 1)).collect();
    let before = Registry::new(few.iter().map(|command| (None, *command)), 1);
    let after = registry();
    let recomputed = |text: &str| {
        let mut rules = rules(&before, text);
        rules.recompute(after);
        rules
    };
    let all_but_fast = recomputed("~* +@all -@fast");
    assert!(permits(after, &all_but_fast, "lrange k 0 1"));
    assert!(!permits(after, &all_but_fast, "get k") && !permits(after, &all_but_fast, "ping"));
    let connection = recomputed("+@list allkeys");
    assert!(permits(after, &connection, "lpush k v") && !permits(after, &connection, "get k"));
    // A command that is gone keeps its rule.
    let mut gone = rules(after, "+get ~*");
    gone.recompute(&before);
    assert!(shown(&gone).ends_with("-@all +get"));
    gone.recompute(after);
    assert!(permits(after, &gone, "get k"));
}

#[test]
fn a_renamed_or_removed_command_is_known_by_its_own_name() {
    let specs = TABLES.iter().flat_map(|table| table.iter());
    let (mut named, mut hidden) = (Vec::new(), Vec::new());
    for spec in specs {
        let command = Command::new(spec, None, None, 1);
        match spec.name {
            "GET" => named.push((Some("lesen".into()), command)),
            "SET" => named.push((Some("get".into()), command)),
            "KEYS" => hidden.push(command),
            _ => named.push((None, command)),
        }
    }
    let registry = Registry::new(named, 1).with_hidden(hidden);
    let joe = rules(&registry, "+get +keys ~*");
    assert!(shown(&joe).ends_with("-@all +get +keys"));
    assert!(permits(&registry, &joe, "lesen k") && !permits(&registry, &joe, "get k v"));
}

#[test]
fn a_file_is_good_as_a_whole_or_not_at_all() {
    let registry = registry();
    let read = |text: &str| {
        let users = file::read(text.as_bytes(), b"x.acl", ctx(registry));
        users.map(|users| users.len()).map_err(|why| String::from_utf8(why).expect("text"))
    };
    assert_eq!(read(""), Ok(0));
    assert_eq!(read("\nuser a on  ~a* +@all\r\n\tuser b (+get ~x) off \n"), Ok(2));
    let end =
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
    for (text, expected) in [
        ("user a on\nuser a off", "WARNING: Duplicate user 'a' found on line 2. "),
        ("user", "x.acl:1 should start with user keyword followed by the username. "),
        ("# no comments", "x.acl:1 should start with user keyword followed by the username. "),
        (
            "\nuser a +nope",
            "x.acl:2: Error in applying operation '+nope': Unknown command or category name in ACL. ",
        ),
        ("user a one two", "x.acl:1: Syntax error. "),
        ("user a (+get", "x.acl:1: Unmatched parenthesis in selector definition."),
    ] {
        assert_eq!(read(text), Err(format!("{expected}{end}")), "{text}");
    }
}

#[test]
fn users_keep_their_identity_and_the_removed_may_nothing() {
    let registry = registry();
    let users = Users::default();
    assert!(users.default_user().is_open() && users.default_user().lets_in());
    users.set(b"joe", rules(registry, "on >secret +@all ~* &*"));
    let joe = users.authenticate(b"joe", b"secret").expect("the right password");
    assert!(joe.is_open() && !joe.lets_in());
    assert!(users.authenticate(b"joe", b"Secret").is_none());
    assert!(users.authenticate(b"nobody", b"secret").is_none());
    users.set(b"joe", rules(registry, "off >secret -@all"));
    assert!(!joe.is_open() && users.authenticate(b"joe", b"secret").is_none());
    users.set(b"joe", rules(registry, "on nopass +@all ~* &*"));
    assert!(joe.is_open() && users.authenticate(b"joe", b"any").is_some());
    users.remove(b"joe");
    assert!(!joe.is_open() && !permits(registry, &joe.rules(), "get k"));
    assert!(users.remove(b"default").is_none());
    users.set_default_password(b"secret");
    assert!(users.default_user().is_open() && !users.default_user().lets_in());
}

/// Words that rules are made of, so that random rules are often good ones.
fn rule() -> impl Strategy<Value = String> {
    let command = prop::sample::select(vec![
        "get",
        "set",
        "config",
        "config|get",
        "config|set",
        "select",
        "client|kill",
        "del",
        "@read",
        "@write",
        "@admin",
        "@fast",
        "@all",
        "debug",
    ]);
    let sign = prop::sample::select(vec!["+", "-"]);
    let access = prop::sample::select(vec!["~", "%R~", "%W~", "%RW~", "&"]);
    let pattern = "[a-c]{0,2}\\*?[a-c]?";
    let word = prop::sample::select(vec![
        "on",
        "off",
        "nopass",
        "resetpass",
        "allkeys",
        "resetkeys",
        "allchannels",
        "resetchannels",
        "reset",
        "clearselectors",
        "skip-sanitize-payload",
        ">pw",
        "<pw",
        "+select|0",
        "+debug|x",
    ]);
    prop_oneof![
        4 => (sign, command).prop_map(|(sign, command)| format!("{sign}{command}")),
        3 => (access, pattern).prop_map(|(access, pattern)| format!("{access}{pattern}")),
        2 => word.prop_map(str::to_owned),
    ]
}

fn rule_or_selector() -> impl Strategy<Value = String> {
    let selector = prop::collection::vec(rule(), 0..5);
    prop_oneof![
        4 => rule(),
        1 => selector.prop_map(|rules| format!("({})", rules.join(" "))),
    ]
}

/// The commands, first arguments and keys by which two sets of rules are compared.
fn same_permissions(registry: &Registry, a: &Selector, b: &Selector) {
    for command in registry.originals() {
        for one in std::iter::once(command).chain(command.subcommands.iter().copied()) {
            for arg in [None, Some(&b"0"[..]), Some(b"x")] {
                let (a, b) = (a.permits_command(one, arg), b.permits_command(one, arg));
                assert_eq!(a, b, "{} {arg:?}", one.name);
            }
        }
    }
    let reads = KeyAccess { reads: true, writes: false };
    let writes = KeyAccess { reads: false, writes: true };
    for key in ["", "a", "b", "ab", "abc", "cc", "bac"].map(str::as_bytes) {
        for access in [reads, writes, KeyAccess::ALL, KeyAccess::default()] {
            assert_eq!(a.permits_key(key, access), b.permits_key(key, access));
        }
        assert_eq!(a.permits_channel(key, false), b.permits_channel(key, false));
        assert_eq!(a.permits_channel(key, true), b.permits_channel(key, true));
    }
    assert_eq!(a.is_everything(), b.is_everything());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_shown_can_be_set_again_and_means_the_same(
        given in prop::collection::vec(rule_or_selector(), 0..12)
    ) {
        let registry = registry();
        let mut rules = Rules::new(false);
        for op in &given {
            let before = shown(&rules);
            if rules.apply(op.as_bytes(), ctx(registry)).is_err() {
                prop_assert_eq!(shown(&rules), before, "{} was refused", op);
            }
        }
        let text = shown(&rules);
        let again = self::rules(registry, &text);
        prop_assert_eq!(&shown(&again), &text);
        prop_assert_eq!(again.selectors.len(), rules.selectors.len());
        let mut recomputed = rules.clone();
        recomputed.recompute(registry);
        for (at, selector) in rules.selectors.iter().enumerate() {
            same_permissions(registry, selector, &again.selectors[at]);
            same_permissions(registry, selector, &recomputed.selectors[at]);
        }
    }

    #[test]
    fn any_bytes_are_good_rules_or_change_nothing(
        words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..6)
    ) {
        let registry = registry();
        let mut rules = Rules::new(false);
        for word in &words {
            let before = rules.describe();
            if rules.apply(word, ctx(registry)).is_err() {
                prop_assert_eq!(rules.describe(), before);
            }
        }
        let text = words.join(&b' ');
        let _ = file::read(&text, b"file", ctx(registry));
    }
}
