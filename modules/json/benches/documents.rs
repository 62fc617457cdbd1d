//! What do documents cost: bytes in memory, time to parse, to write, to find parts and to change them?
//!
//! `cargo bench -p mortise-json`. Prints one line per case; times are wall clock, the least of several rounds,
//! so run it on a calm machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use mortise_json::codec::parse;
use mortise_json::ops::{Arithmetic, Condition, Number, arithmetic, set};
use mortise_json::path::compiled;
use mortise_json::value::Value;
use mortise_json::write::{Format, Writer, to_text};

const ROUNDS: usize = 15;

fn main() {
    let order = order(7);
    // Names are kept by number once they have been seen a few times.
    for seed in 0..20 {
        drop(parse(&self::order(seed)));
    }
    measure("order", &order);
    measure("10,000 orders", &list(10_000, self::order));
    measure("100,000 small objects", &list(100_000, point));
    measure("1.2 M floats", &list(1_200_000, |i| format!("{}", i as f64 * 1.000123 + 0.1)));
    measure("1 M integers", &list(1_000_000, |i| format!("{}", i * 7919)));

    let objects = list(10_000, point);
    let few = list(10, point);
    for (what, text, path) in [
        ("order", &order, "$.customer.address.location[1]"),
        ("order", &order, "$..price"),
        ("order", &order, "$.lines[?(@.price>20)].sku"),
        ("10,000 small objects", &objects, "$[5000].name"),
        ("10,000 small objects", &objects, "$..y"),
        ("10,000 small objects", &objects, "$[?(@.name=~'9$')].id"),
        ("10,000 small objects", &objects, "$[?(@.x==7)].id"),
        ("10 small objects", &few, "$[?(@.x>5)].id"),
        ("10 small objects", &few, "$[?(@.x>5 && @.ok==true)].name"),
    ] {
        find(what, text, path);
    }
    change("order", &order, "$.total");
    change("10,000 small objects", &objects, "$[5000].y");
}

fn find(what: &str, text: &str, path: &str) {
    let value = parse(text).expect("the bench writes JSON").value;
    let select = || compiled(path).expect("a path").select(value.view()).expect("no costly path");
    let time = least(|| drop(black_box(select())));
    let written = least(|| drop(black_box(reply(&value, path))));
    let count = select().len();
    println!("{what}: {path} finds {count} in {time:.2?}, writes the reply in {written:.2?}");
}

/// What JSON.GET makes of a path.
fn reply(value: &Value, path: &str) -> Vec<u8> {
    let path = compiled(path).expect("a path");
    let mut writer = Writer::new(Format::COMPACT);
    writer.open(b'[');
    let mut count = 0;
    let found = path.for_each(value.view(), |view| {
        writer.separate(count);
        writer.value(view);
        count += 1;
        Ok(())
    });
    found.expect("no costly path");
    writer.close(b']', count);
    writer.finish()
}

fn change(what: &str, text: &str, path: &str) {
    let mut value = parse(text).expect("the bench writes JSON").value;
    let path = compiled(path).expect("a path");
    let one = Number::Int(1);
    let adding = least(|| {
        let added = arithmetic(&mut value, &path, Arithmetic::Add, &Ok(one));
        assert!(added.expect("a number").changed);
    });
    let new = parse("\"a string\"").expect("JSON");
    let setting = least(|| {
        let outcome = set(&mut value, &path, &new, Condition::Always);
        assert!(outcome.expect("it is there").changed);
    });
    println!("{what}: adding to a number {adding:.2?}, setting a string {setting:.2?}");
}

fn measure(what: &str, text: &str) {
    let value = parse(text).expect("the bench writes JSON").value;
    let bytes = value.memory_bytes();
    let ratio = bytes as f64 / text.len() as f64;
    let parsing = least(|| drop(black_box(parse(black_box(text)))));
    let writing = least(|| drop(black_box(to_text(black_box(&value).view(), Format::COMPACT))));
    let rate = |time: Duration| text.len() as f64 / time.as_secs_f64() / 1e6;
    println!(
        "{what}: text {}, memory {bytes} ({ratio:.2}x), parse {:.0} MB/s, write {:.0} MB/s",
        text.len(),
        rate(parsing),
        rate(writing)
    );
}

fn least(mut run: impl FnMut()) -> Duration {
    let start = Instant::now();
    run();
    let once = start.elapsed().as_nanos().max(1);
    let repeats = (10_000_000 / once).clamp(1, 100_000) as u32;
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..repeats).for_each(|_| run());
            start.elapsed() / repeats
        })
        .min()
        .expect("there are rounds")
}

fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    let items: Vec<String> = (0..count).map(item).collect();
    format!("[{}]", items.join(","))
}

fn point(i: usize) -> String {
    format!(
        r#"{{"id":{i},"name":"point number {i}","x":{},"y":{}.25,"tags":["a","b{}"],"ok":{}}}"#,
        i % 100,
        i % 977,
        i % 7,
        i.is_multiple_of(3)
    )
}

/// About one kilobyte, the shape of a shop's order.
fn order(i: usize) -> String {
    let line = |n: usize| {
        format!(
            concat!(
                r#"{{"sku":"SKU-{:06}","title":"A thing of some description {}","#,
                r#""quantity":{},"price":{}.{:02},"discounted":{}}}"#
            ),
            i * 31 + n,
            n,
            n + 1,
            17 + n * 9,
            i % 100,
            n.is_multiple_of(2)
        )
    };
    format!(
        concat!(
            r#"{{"id":{},"status":"delivered","customer":{{"name":"Maria Gonzalez Perez","#,
            r#""email":"maria{}@example.com","age":41,"vip":false,"address":{{"street":"#,
            r#""Rue de la Paix 12","city":"Lyon","zip":"69001","location":[45.764043,4.835659]}}}},"#,
            r#""lines":[{},{},{}],"total":{}.95,"currency":"EUR","created":1763640000123,"#,
            r#""notes":"Leave the parcel with the neighbour if nobody opens the door.","#,
            r#""history":[{{"at":1763640000,"event":"created"}},{{"at":1763650000,"event":"paid"}},"#,
            r#"{{"at":1763690000,"event":"shipped"}}]}}"#
        ),
        100_000 + i,
        i,
        line(0),
        line(1),
        line(2),
        i % 500,
    )
}
