//! Does the server answer what Redis answers? Random sequences of commands over a few keys, run in RESP2 and in RESP3
//! against the server under test and against a real one, reply by reply.
//!
//! `commands.txt` says what is generated and how replies are compared, `known.rs` what an older reference does differently
//! and why. `DIFFERENTIAL_COMMANDS` sets how many commands, `SEED` runs the same ones again. A mismatch is printed with the
//! shortest list of commands found that leads to it, in the notation of tests/data, ready to become a line there.

#[path = "../harness/mod.rs"]
mod harness;

mod alike;
mod alphabet;
mod command;
mod compare;
mod events;
mod grammar;
mod known;
mod look;
mod play;
mod shrink;
mod table;

use std::collections::BTreeSet;

use harness::random::Random;
use harness::server::{Server, reference};

use play::{Both, Sequence};
use table::Table;

/// Commands of a run that is part of every test run, some twenty seconds long.
const COMMANDS: usize = 600_000;
/// Where such a run begins: it finds what a change has broken, and never on a bad day what was wrong before.
const SEED: u64 = 7;
/// Commands between two empty keyspaces.
const SEQUENCE_MAX: usize = 400;
/// Mismatches of different commands after which a run ends.
const MISMATCHES_MAX: usize = 12;

#[test]
fn answers_are_those_of_the_reference() {
    let Some(binary) = reference() else {
        println!(
            "SKIPPED: there is no reference server on this machine (REFERENCE_SERVER names one)"
        );
        return;
    };
    let wanted = std::env::var("DIFFERENTIAL_COMMANDS").ok().and_then(|count| count.parse().ok());
    let wanted = wanted.unwrap_or(COMMANDS);
    let mut random = Random::seeded("differential", SEED);
    let (ours, theirs) = (Server::start(&[]), Server::start_binary(&binary, &[]));
    let mut both = Both::new(&ours, &theirs);
    let table = Table::for_servers(&mut both);
    table.assert_complete();

    let (mut reports, mut seen) = (Vec::new(), BTreeSet::new());
    while both.compared < wanted && reports.len() < MISMATCHES_MAX {
        let sequence = Sequence::generate(&table, &mut random, SEQUENCE_MAX);
        let Some(mismatch) = both.play(&sequence) else { continue };
        if seen.insert(shrink::about(&mismatch)) {
            let counted = (both.compared, both.errors, both.diverged, both.explained.clone());
            reports.push(shrink::report(&mut both, sequence, mismatch));
            (both.compared, both.errors, both.diverged, both.explained) = counted;
        }
    }
    println!("{} commands compared with redis {}", both.compared, both.version_text());
    println!("{:8} errors", both.errors);
    println!("{:8} events", both.events);
    println!("{:8} sequences of {SEQUENCE_MAX} ended early", both.diverged);
    println!("replies that differ:");
    both.explained.iter().for_each(|(reason, count)| println!("{count:8} {reason}"));
    let count = reports.len();
    assert!(
        reports.is_empty(),
        "{count} commands differ from the reference:\n\n{}",
        reports.join("\n")
    );
}
