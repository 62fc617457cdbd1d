//! Do the values and the globals of modules move as their callbacks say? The module is `examples/moves.rs`.
//!
//! The servers are those of [`client::servers`] that are ours.

#[path = "../../sdk/tests/client/mod.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod client;

use client::{Client, check, example, in_each, only_ours};

/// Values of one block of each, and blocks of the large one.
const SMALL: usize = 4000;
const LARGE: usize = 20_000;
/// Strings and entries of the dictionary.
const GLOBALS: usize = 3000;

/// What the module was told.
struct Told {
    moved: i64,
    whole: i64,
    pieces: i64,
    wrong: i64,
    begun: i64,
    ended: i64,
    entries: i64,
}

fn told(client: &mut Client) -> Told {
    let reply = client.run("moves.told");
    let numbers: Vec<i64> = reply
        .trim_start_matches("*[")
        .trim_end_matches(']')
        .split(' ')
        .map(|word| word.trim_start_matches(':').parse().expect("a number"))
        .collect();
    let [moved, whole, pieces, wrong, begun, ended, entries, _] = numbers[..] else {
        panic!("{reply}")
    };
    Told { moved, whole, pieces, wrong, begun, ended, entries }
}

fn until(client: &mut Client, is_so: impl Fn(&Told) -> bool) {
    while !is_so(&told(client)) {
        std::thread::yield_now();
    }
}

#[test]
fn what_modules_hold_moves_and_stays_what_it_was() {
    in_each(only_ours(), &[example("moves")], &[], |_, client| {
        for n in 0..SMALL {
            check(client, &[(&format!("moves.put small:{n} 1"), "+OK")]);
        }
        let large = [(format!("moves.put large {LARGE}"), "+OK".to_owned())];
        let globals = [(format!("moves.globals {GLOBALS}"), format!(":{GLOBALS}"))];
        for (line, reply) in large.iter().chain(&globals) {
            check(client, &[(line, reply)]);
        }
        for n in (0..SMALL).filter(|n| n % 10 != 0) {
            check(client, &[(&format!("DEL small:{n}"), ":1")]);
        }
        check(
            client,
            &[
                ("CONFIG SET active-defrag-ignore-bytes 1", "+OK"),
                ("CONFIG SET active-defrag-threshold-lower 1", "+OK"),
                ("CONFIG SET active-defrag-cycle-max 75", "+OK"),
                ("CONFIG SET activedefrag yes", "+OK"),
            ],
        );
        until(client, |told| told.ended >= 2);
        let now = told(client);
        assert!(now.moved > (SMALL / 20) as i64, "{} blocks have moved", now.moved);
        // Small values go without a cursor, the large one with.
        assert!(now.whole >= (SMALL / 10) as i64, "{} values at once", now.whole);
        assert!(now.pieces > 0, "{} pieces", now.pieces);
        assert!(now.entries >= GLOBALS as i64, "{} entries", now.entries);
        assert!(now.begun >= now.ended && now.wrong == 0, "{} wrong", now.wrong);
        check(client, &[("CONFIG SET activedefrag no", "+OK")]);
        let all = format!(":{LARGE}");
        check(client, &[("moves.check large", &all), ("moves.globals", &globals[0].1)]);
        for n in (0..SMALL).step_by(10) {
            check(client, &[(&format!("moves.check small:{n}"), ":1")]);
        }
        until(client, |told| told.begun == told.ended);
    });
}
