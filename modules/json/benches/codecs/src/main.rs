//! How fast does text become a document under each parser, by the size of the text?
//!
//! All parsers drive the same visitor into the same builder (`codec::parse_from`), so what differs is the grammar: numbers,
//! escapes, UTF-8. simd-json writes over its input, so it gets a copy each time, as a command's argument would have to be
//! copied for it. Times are those that the kernel says this thread has run, the least of several rounds.

use std::hint::black_box;
use std::time::Instant;

use mortise_json::codec::{self, Parsed};
use mortise_json::write::{Format, to_text};

const ROUNDS: usize = 5;
/// A round takes about so long: far longer than the ticks in which the kernel counts.
const ROUND_NS: u128 = 150_000_000;

type Parser = fn(&str) -> Option<Parsed>;

const PARSERS: &[(&str, Parser)] = &[
    ("serde_json", |text| codec::parse(text).ok()),
    #[cfg(feature = "sonic")]
    ("sonic-rs", |text| {
        let mut deserializer = sonic_rs::Deserializer::from_str(text);
        codec::parse_from(&mut deserializer, text.len()).ok()
    }),
    #[cfg(feature = "simd")]
    ("simd-json", |text| {
        let mut bytes = text.as_bytes().to_vec();
        let mut deserializer = simd_json::Deserializer::from_slice(&mut bytes).ok()?;
        codec::parse_from(&mut deserializer, text.len()).ok()
    }),
];

fn main() {
    let only = std::env::args().nth(1);
    for seed in 0..20 {
        drop(codec::parse(&order(seed)));
    }
    let small = r#"{"id":4711,"name":"Ada Lovelace","active":true,"score":12.75,"tags":["a","b"],"note":"some text here"}"#;
    let floats: Vec<String> =
        (0..520_000).map(|i| format!("{}", f64::from(i) * 1.000_123 + 0.1)).collect();
    let cases = [
        ("100 B", small.to_owned()),
        ("914 B", order(7)),
        ("100 KB", list(110)),
        ("10 MB", list(11_000)),
        ("10 MB of floats", format!("[{}]", floats.join(","))),
    ];
    println!(
        "| text | {} |",
        PARSERS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" | ")
    );
    for (what, text) in &cases {
        let mut row = format!("| {what} ({} B)", text.len());
        for (name, parse) in PARSERS {
            if only.as_ref().is_some_and(|only| only != name) {
                continue;
            }
            let rate =
                text.len() as f64 * 1e3 / least_ns(|| drop(black_box(parse(black_box(text)))));
            row += &format!(" | {rate:.0} MB/s");
        }
        println!("{row} |");
    }
    agree();
}

/// Where do the parsers read something else than serde_json does?
fn agree() {
    let texts = [
        "-0",
        "1.0",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
        "1e999",
        "1.6350000000001313e308",
        "5e-324",
        "0.1e-6",
        "\"\\ud800\"",
        "\"\\u00e9\"",
        "[1,]",
        "01",
        "{\"a\":1,\"a\":2}",
        "\"\u{7f}\"",
        "\"\t\"",
        "nul",
        " 1 ",
        "1 2",
    ];
    let nested = [126, 127, 128, 200].map(|depth| "[".repeat(depth) + &"]".repeat(depth));
    let shown = |parsed: Option<Parsed>| match parsed {
        Some(parsed) => {
            String::from_utf8_lossy(&to_text(parsed.value.view(), Format::COMPACT)).into_owned()
        }
        None => "an error".to_owned(),
    };
    let first = PARSERS[0].1;
    for text in texts.iter().map(|text| (*text).to_owned()).chain(nested) {
        let expected = shown(first(&text));
        for (name, parse) in &PARSERS[1..] {
            let found = shown(parse(&text));
            if found != expected {
                let cut = |text: &str| text.chars().take(40).collect::<String>();
                println!(
                    "{name} reads {} ({} B) as {}, not {}",
                    cut(&text),
                    text.len(),
                    cut(&found),
                    cut(&expected)
                );
            }
        }
    }
}

/// What benches/json_peers.py stores: 914 bytes.
fn order(number: u32) -> String {
    let lines: Vec<String> = (0..8)
        .map(|i| {
            let price = 10.25 + f64::from((number * 13 + i * 31) % 89);
            let (id, sku, quantity) =
                (10_000 + (number * 7 + i) % 90_000, number * i % 100_000, 1 + (number + i) % 9);
            format!(r#"{{"id":{id},"sku":"s{sku:05}","qty":{quantity},"price":{price}}}"#)
        })
        .collect();
    let mut text = format!(
        r#"{{"id":"{number:08}","name":"user {number:06}","age":{},"active":true,"score":{:?},"email":"user{number:06}@example.com","tags":["red","green"],"address":{{"street":"{:04} Long Street","city":"Springfield","zip":"{number:05}"}},"orders":[{}],"text":""#,
        20 + number % 60,
        1.5 + f64::from(number % 8),
        number % 10_000,
        lines.join(",")
    );
    let words = "the quick brown fox jumps over the lazy dog and ".repeat(20);
    text += &words[..914 - 2 - text.len()];
    text + "\"}"
}

fn list(count: u32) -> String {
    format!("[{}]", (0..count).map(order).collect::<Vec<String>>().join(","))
}

fn least_ns(mut run: impl FnMut()) -> f64 {
    run();
    let start = Instant::now();
    run();
    let repeats = (ROUND_NS / start.elapsed().as_nanos().max(1)).clamp(1, 1_000_000) as u64;
    let mut least = f64::MAX;
    for _ in 0..ROUNDS {
        let before = cpu_ns();
        for _ in 0..repeats {
            run();
        }
        least = least.min((cpu_ns() - before) as f64 / repeats as f64);
    }
    least
}

/// Nanoseconds that this thread has run.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let first = stat.split_ascii_whitespace().next().expect("three numbers");
    first.parse().expect("a number")
}
