//! Does the server answer what Redis answers? Random sequences of commands over a few keys, run in RESP2 and in RESP3
//! against the server under test and against a real one, reply by reply.
//!
//! `commands.txt` says what is generated and how replies are compared, `known.rs` what an older reference does differently
//! and why. `DIFFERENTIAL_COMMANDS` sets how many commands, `SEED` runs the same ones again. A mismatch is printed with the
//! shortest list of commands found that leads to it, in the notation of tests/data, ready to become a line there.

#[path = "../harness/mod.rs"]
mod harness;

mod alphabet;
mod compare;
mod grammar;
mod known;
mod play;
mod shrink;
mod table;

use std::collections::BTreeSet;

use harness::random::Random;
use harness::server::{Server, reference};

use play::{Both, Sequence};
use table::Table;

/// Commands of a run that is part of every test run: only that the table is complete, until the differences that runs
/// with all types have shown are either mended or in `known.rs`. A run of its own says how many.
const COMMANDS: usize = 0;
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
    let mut random = Random::new("differential");
    let (ours, theirs) = (Server::start(&[]), Server::start_binary(&binary, &[]));
    let mut both = Both::new(&ours, &theirs);
    let table = Table::for_servers(&mut both);
    table.assert_complete();

    let (mut done, mut reports, mut seen) = (0, Vec::new(), BTreeSet::new());
    while done < wanted && reports.len() < MISMATCHES_MAX {
        let length = SEQUENCE_MAX.min(wanted - done).max(20);
        let sequence = Sequence::generate(&table, &mut random, length);
        done += sequence.commands.len();
        let Some(mismatch) = both.play(&sequence) else { continue };
        if seen.insert(sequence.commands[mismatch.at].name()) {
            reports.push(shrink::report(&mut both, sequence, mismatch));
        }
    }
    let errors = both.errors;
    println!("{done} commands compared with redis {}, {errors} errors", both.version_text());
    let count = reports.len();
    assert!(
        reports.is_empty(),
        "{count} commands differ from the reference:\n\n{}",
        reports.join("\n")
    );
}
