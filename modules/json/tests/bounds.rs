//! Do large documents, deep ones, long paths and costly patterns end in bounded time and memory, with an answer or an
//! error, and does MEMORY USAGE tell what documents take?
//!
//! Memory is what the server's counting allocator says. Without a server the tests pass, saying so.

#[path = "../../sdk/tests/client/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of the SDK, which use more of it")]
mod client;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::{Answer, Client, Server, servers};

/// Far more than anything here takes, and far less than what has no bound.
const LONG: Duration = Duration::from_secs(60);

fn module() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    test.parent().map(Path::to_owned).expect("it lies in deps").join("libmortise_json.so")
}

/// Runs a test against our own server, whose allocator counts to the byte.
fn with_ours(test: impl Fn(&mut Client)) {
    let Some(ours) = servers().into_iter().find(|program| program.ends_with("mortise")) else {
        return eprintln!("skipped: our server has not been built");
    };
    let module = module();
    let module = module.to_str().expect("the target directory is text");
    let server = Server::start(&ours, &["--loadmodule", module, "--default-modules", "no"]);
    test(&mut server.client());
    assert_eq!(server.client().run("PING"), "+PONG");
}

fn bulk(answer: Answer) -> Vec<u8> {
    match answer {
        Answer::Bulk(_, bytes) => bytes,
        other => panic!("{other}"),
    }
}

fn memory(client: &mut Client, field: &str) -> f64 {
    let info = String::from_utf8(bulk(client.raw(&[b"INFO", b"memory"]))).expect("text");
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.expect(field).trim().parse().expect("a number")
}

/// Used memory once nothing is left to be freed in the background.
fn used(client: &mut Client) -> f64 {
    let start = Instant::now();
    while memory(client, "lazyfree_pending_objects") > 0.0 {
        assert!(start.elapsed() < LONG, "freeing does not end");
    }
    memory(client, "used_memory")
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[test]
fn a_document_of_100_mb_is_stored_read_changed_and_freed() {
    with_ours(|client| {
        let object = |i: usize| {
            format!(r#"{{"id":{i},"name":"object {i}","size":{}.25,"tags":["a","b"]}}"#, i % 1000)
        };
        let mut text = String::from("[");
        let mut count = 0;
        while text.len() < 100_000_000 {
            text += if count == 0 { "" } else { "," };
            text += &object(count);
            count += 1;
        }
        text.push(']');
        let start = Instant::now();
        let before = used(client);
        assert_eq!(client.raw(&[b"JSON.SET", b"d", b"$", text.as_bytes()]).to_string(), "+OK");
        // What was received, the argument that the module gets, and the document.
        let peak = memory(client, "used_memory_peak") - before;
        assert!(peak < 4.0 * text.len() as f64, "{peak}");
        let last = format!("JSON.GET d $[{}].id", count - 1);
        assert_eq!(client.run(&last), format!("\"[{}]\"", count - 1));
        assert_eq!(client.run("JSON.ARRLEN d $"), format!("*[:{count}]"));
        assert_eq!(client.run("JSON.NUMINCRBY d $[7].size 1"), "\"[8.25]\"");
        assert_eq!(client.run("JSON.NUMINCRBY d $[7].size -1"), "\"[7.25]\"");
        assert!(bulk(client.raw(&[b"JSON.GET", b"d"])) == text.as_bytes(), "it reads back");
        let told = client.run("MEMORY USAGE d");
        let told: f64 = told.trim_start_matches(':').parse().expect(&told);
        assert!(told < 1.1 * text.len() as f64, "{told}");
        client.run("CONFIG SET rejson.max-reply-size 1mb");
        assert_eq!(client.run("JSON.GET d"), "-LIMIT Reply size limit is exceeded");
        client.run("CONFIG SET rejson.max-document-size 1mb");
        let refused = client.raw(&[b"JSON.SET", b"e", b"$", text.as_bytes()]);
        assert_eq!(refused.to_string(), "-LIMIT Document size limit is exceeded");
        assert_eq!(client.run("UNLINK d"), ":1");
        let left = used(client) - before;
        assert!(left < 0.05 * text.len() as f64, "{left} bytes are left");
        assert!(start.elapsed() < LONG);
    });
}

#[test]
fn what_nests_or_asks_too_much_is_refused_at_once() {
    with_ours(|client| {
        client.raw(&[b"JSON.SET", b"d", b"$", nested(127).as_bytes()]);
        let long_text = format!("{{\"a\":\"{}\"}}", "a".repeat(1_000_000));
        client.raw(&[b"JSON.SET", b"t", b"$", long_text.as_bytes()]);
        let wide = format!("[{}]", vec!["[1,2,3,4,5,6,7,8,9]"; 1000].join(","));
        client.raw(&[b"JSON.SET", b"w", b"$", wide.as_bytes()]);
        client.run("CONFIG SET rejson.max-reply-size 16mb");
        let before = used(client);
        let start = Instant::now();
        let objects = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
        for text in [nested(10_000), objects, "[".repeat(1_000_000)] {
            let answer = client.raw(&[b"JSON.SET", b"x", b"$", text.as_bytes()]).to_string();
            assert!(answer.starts_with("-recursion limit exceeded"), "{answer}");
        }
        for path in [
            format!("${}", ".a".repeat(500_000)),
            format!("${}", "[0]".repeat(333_333)),
            format!("$[?{}@.a{}]", "(".repeat(500_000), ")".repeat(500_000)),
            format!("$[{}]", vec!["0"; 500_000].join(",")),
        ] {
            let answer = client.raw(&[b"JSON.GET", b"d", path.as_bytes()]).to_string();
            assert!(answer.contains("path too long"), "{}", &answer[..answer.len().min(200)]);
            let answer = client.raw(&[b"JSON.NUMINCRBY", b"d", path.as_bytes(), b"1"]);
            assert!(answer.to_string().contains("path too long"));
        }
        for pattern in ["(((a{100}){100}){100}){100}", "(a*)*(a*)*(a*)*b", "(?:a|aa|aaa)+$x"] {
            let path = format!("$[?(@ =~ '{pattern}')]");
            let answer = client.raw(&[b"JSON.GET", b"t", path.as_bytes()]).to_string();
            assert_eq!(answer, "\"[]\"", "{pattern}");
        }
        for path in ["$..*..*..*..*..*", "$[?(@[?(@[?($..*[?(@>1)])])])]"] {
            let answer = client.raw(&[b"JSON.GET", b"w", path.as_bytes()]).to_string();
            let is_bounded =
                ["-ERR path visits or matches too many", "-LIMIT Reply size limit", "\"[]\""]
                    .iter()
                    .any(|end| answer.starts_with(end));
            assert!(is_bounded, "{path}: {}", &answer[..answer.len().min(200)]);
        }
        assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
        let left = used(client) - before;
        assert!(left < 4e6, "{left} bytes are left of compiled paths and buffers");
        let peak = memory(client, "used_memory_peak") - before;
        assert!(peak < 128e6, "{peak}");
    });
}

/// A stream of numbers that is the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// A random value; large ones become rarer with the depth.
    fn value(&mut self, depth: u64) -> String {
        let children = |numbers: &mut Numbers| match numbers.below(4) {
            0 => numbers.below(60),
            _ => numbers.below(8),
        };
        match self.below(if depth > 4 { 5 } else { 9 }) {
            0 => self.below(1000).to_string(),
            1 => format!("{}.{}", self.below(10_000), self.below(100)),
            2 => format!("\"{}\"", "t".repeat(self.below(60) as usize)),
            3 => ["true", "false", "null"][self.below(3) as usize].to_owned(),
            4 => format!("\"{}\"", "text ".repeat(self.below(100) as usize)),
            5 | 6 => {
                let children: Vec<String> =
                    (0..children(self)).map(|_| self.value(depth + 1)).collect();
                format!("[{}]", children.join(","))
            }
            _ => {
                let count = children(self);
                let member =
                    |numbers: &mut Numbers, i| format!("\"name{i}\":{}", numbers.value(depth + 1));
                let members: Vec<String> = (0..count).map(|i| member(self, i)).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

#[test]
fn memory_usage_is_what_the_allocator_has_given() {
    with_ours(|client| {
        let mut numbers = Numbers(1);
        // Names that come often are kept by number; they are learnt first.
        for i in 0..200 {
            let text = numbers.value(0);
            client.raw(&[b"JSON.SET", format!("learn{i}").as_bytes(), b"$", text.as_bytes()]);
        }
        client.run("FLUSHALL");
        for round in 0..12 {
            let mut texts: Vec<String> = Vec::new();
            while texts.iter().map(String::len).sum::<usize>() < 600_000 {
                texts.push(numbers.value(round % 3));
            }
            let before = used(client);
            for (i, text) in texts.iter().enumerate() {
                client.raw(&[b"JSON.SET", format!("{i}").as_bytes(), b"$", text.as_bytes()]);
            }
            let taken = used(client) - before;
            let told = |i| client.run(&format!("MEMORY USAGE {i}"));
            let told =
                (0..texts.len()).map(told).map(|text| text[1..].parse::<f64>().expect(&text));
            let told: f64 = told.sum();
            let ratio = told / taken;
            assert!(
                (0.95..1.05).contains(&ratio),
                "{} documents, round {round}: {told} told, {taken} taken",
                texts.len()
            );
            client.run("FLUSHALL");
        }
    });
}
