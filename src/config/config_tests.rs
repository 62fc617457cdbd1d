//! Do CONFIG GET and SET behave?

use proptest::prelude::*;

use super::*;

const ANYTHING: SetContext = SetContext { loading: false, protected_allowed: true };

fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Changes, ConfigError> {
    let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    config.set_many(&pairs, ANYTHING)
}

fn error(pairs: &[(&str, &str)]) -> String {
    let mut config = Config::new();
    let error = set(&mut config, pairs).unwrap_err();
    assert_eq!(config, Config::new(), "nothing was changed");
    error.to_string()
}

fn get(config: &Config, name: &str) -> String {
    String::from_utf8(config.get(name.as_bytes()).unwrap()).unwrap()
}

#[test]
fn every_parameter_accepts_its_own_value() {
    let mut config = Config::new();
    let before = config.clone();
    let all = config.matching(&[b"*"]);
    assert!(all.len() > 190);
    for (name, value) in all {
        let spec = find(&name).unwrap();
        if spec.flags.has(Flags::IMMUTABLE) {
            continue;
        }
        let changes = config.set_many(&[(&name, &value)], ANYTHING).unwrap();
        assert_eq!(changes.changed.is_empty(), !spec.flags.has(Flags::VOLATILE));
        assert_eq!(config.get(&name), Some(value));
    }
    assert_eq!(config, before);
}

#[test]
fn values_are_set_and_taken_back() {
    let mut config = Config::new();
    let pairs = [("maxmemory", "10mb"), ("save", "3000 5"), ("slave-priority", "7"), ("hz", "10")];
    let changes = set(&mut config, &pairs).unwrap();
    assert_eq!(changes.changed, [Param::Maxmemory, Param::Save, Param::ReplicaPriority]);
    assert_eq!(changes.names, ["maxmemory", "save", "replica-priority", "hz"]);
    assert_eq!(config.uint(Param::Maxmemory), 10 << 20);
    assert_eq!(get(&config, "save"), "3000 5");
    assert_eq!(get(&config, "replica-priority"), "7");
    config.revert(changes);
    assert_eq!(config, Config::new());
}

#[test]
fn errors_are_those_of_redis() {
    let failed = "ERR CONFIG SET failed (possibly related to argument";
    assert_eq!(
        error(&[
            ("maxmemory", "1"),
            ("maxmemory-clients", "200%"),
            ("client-query-buffer-limit", "x")
        ]),
        format!("{failed} 'maxmemory-clients') - percentage argument must be less or equal to 100")
    );
    assert_eq!(
        error(&[("foo", "1"), ("daemonize", "yes")]),
        "ERR Unknown option or number of arguments for CONFIG SET - 'foo'"
    );
    assert_eq!(
        error(&[("Daemonize", "yes")]),
        format!("{failed} 'Daemonize') - can't set immutable config")
    );
    assert_eq!(error(&[("hz", "1"), ("HZ", "2")]), format!("{failed} 'HZ') - duplicate parameter"));
    assert_eq!(
        error(&[("appendonly", "maybe")]),
        format!("{failed} 'appendonly') - argument must be 'yes' or 'no'")
    );
    assert_eq!(
        error(&[("slave-priority", "-1")]),
        format!("{failed} 'slave-priority') - argument must be between 0 and 2147483647 inclusive")
    );
    assert_eq!(
        error(&[("acllog-max-len", "-1")]),
        format!(
            "{failed} 'acllog-max-len') - argument must be between 0 and {} inclusive",
            i64::MAX
        )
    );
    let not_applied =
        ConfigError::not_applied(Param::Port, "Unable to listen on this port. Check server logs.");
    assert_eq!(
        not_applied.to_string(),
        format!("{failed} 'port') - Unable to listen on this port. Check server logs.")
    );
}

#[test]
fn context_decides() {
    let mut config = Config::new();
    let mut set_in = |name: &str, value: &str, context| {
        config.set_many(&[(name.as_bytes(), value.as_bytes())], context).map(|_| ())
    };
    let remote = SetContext { loading: false, protected_allowed: false };
    let refused = set_in("dir", "/", remote).unwrap_err().to_string();
    assert!(refused.ends_with("'dir') - can't set protected config"));
    let loading = SetContext { loading: true, protected_allowed: true };
    assert_eq!(set_in("dir", "/", loading), Err(ConfigError::Loading));
    assert_eq!(set_in("loglevel", "debug", loading), Ok(()));
    assert_eq!(ConfigError::Loading.to_string(), "LOADING Redis is loading the dataset in memory");
}

#[test]
fn several_words_in_one_value() {
    let mut config = Config::new();
    set(&mut config, &[("save", ""), ("bind", ""), ("latency-tracking-info-percentiles", "")])
        .unwrap();
    assert!(config.save_points().is_empty() && config.bind().is_empty());
    assert!(config.percentiles().is_empty());
    set(&mut config, &[("shutdown-on-sigterm", "nosave now"), ("oom-score-adj-values", "1 -2 3")])
        .unwrap();
    assert_eq!(get(&config, "shutdown-on-sigterm"), "nosave now");
    assert_eq!(config.oom_values(), [1, -2, 3]);
    assert!(set(&mut config, &[("shutdown-on-sigterm", "")]).is_err());
    set(&mut config, &[("client-output-buffer-limit", "slave 1k 0 0 pubsub 5 6 7")]).unwrap();
    let limits = "normal 0 0 0 slave 1000 0 0 pubsub 5 6 7";
    assert_eq!(get(&config, "client-output-buffer-limit"), limits);
    set(&mut config, &[("notify-keyspace-events", "KEA")]).unwrap();
    assert_eq!(get(&config, "notify-keyspace-events"), "AKE");
    assert_eq!(config.choice_name(Param::MaxmemoryPolicy), "noeviction");
}

#[test]
fn patterns_find_names_and_former_names() {
    let config = Config::new();
    let names = |patterns: &[&str]| {
        let patterns: Vec<_> = patterns.iter().map(|p| p.as_bytes()).collect();
        let found = config.matching(&patterns);
        found.into_iter().map(|(n, _)| String::from_utf8(n).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["maxmemory", "MAXMEMORY", "*of"]), ["maxmemory", "replicaof", "slaveof"]);
    assert_eq!(names(&["Bind", "none"]), ["Bind"]);
    assert_eq!(names(&["key-load-*"]), [""; 0]);
    assert_eq!(names(&["key-load-delay"]), ["key-load-delay"]);
    let all = names(&["*"]);
    assert!(all.contains(&"hash-max-ziplist-entries".to_string()));
}

#[test]
fn defaults_are_those_of_redis() {
    let config = Config::new();
    for (name, value) in [
        ("port", "6379"),
        ("save", "3600 1 300 100 60 10000"),
        ("bind", "* -::*"),
        ("maxmemory", "0"),
        ("hash-max-listpack-entries", "512"),
        (
            "client-output-buffer-limit",
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
        ("oom-score-adj-values", "0 200 800"),
        ("latency-tracking-info-percentiles", "50 99 99.9"),
        ("unixsocketperm", "0"),
        ("proto-max-bulk-len", "536870912"),
        ("lua-time-limit", "5000"),
        ("acl-pubsub-default", "resetchannels"),
        ("proc-title-template", "{title} {listen-addr} {server-mode}"),
    ] {
        assert_eq!(get(&config, name), value);
    }
    assert!((1..=8).contains(&config.int(Param::IoThreads)));
}

proptest! {
    #[test]
    fn a_failed_set_changes_nothing(
        picks in prop::collection::vec(
            (0usize..params::specs().count(), "[-0-9a-z% .]{0,12}"),
            1..6,
        ),
    ) {
        let names: Vec<_> = params::specs().map(|spec| spec.name).collect();
        let pairs: Vec<_> =
            picks.iter().map(|(at, value)| (names[*at].as_bytes(), value.as_bytes())).collect();
        let mut config = Config::new();
        match config.set_many(&pairs, ANYTHING) {
            Err(_) => prop_assert_eq!(config, Config::new()),
            Ok(changes) => {
                // What was accepted shows as something that is accepted again.
                for (name, _) in &pairs {
                    let shown = config.get(name).unwrap();
                    config.set_many(&[(name, &shown)], ANYTHING).unwrap();
                    prop_assert_eq!(config.get(name), Some(shown));
                }
                config.revert(changes);
                prop_assert_eq!(config, Config::new());
            }
        }
    }
}
