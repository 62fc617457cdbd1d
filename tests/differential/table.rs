//! Which commands are generated, how often, and how are their replies compared? Reads `commands.txt`.

use std::collections::BTreeSet;

use crate::alphabet::{self, Generator};
use crate::command::{Command, Step, Via};
use crate::compare::Compare;
use crate::grammar::Node;
use crate::harness::random::Random;
use crate::play::Both;

const TEXT: &str = include_str!("commands.txt");

/// The most commands in a transaction.
const TRANSACTION_MAX: usize = 4;

struct Line {
    /// Names of the steps' commands, in small letters.
    names: Vec<String>,
    /// Its lifetimes must stay as the table has them.
    has_lifetime: bool,
    /// All its arguments must stay so.
    is_fixed: bool,
    /// It is run where nothing blocks: in transactions.
    is_inside: bool,
    /// It is never run in transactions and scripts.
    is_alone: bool,
    /// Steps that lead to the last one.
    before: Vec<Node>,
    last: Node,
    compare: Compare,
    weight: usize,
}

struct Group {
    prefix: String,
    weight: usize,
    lines: Vec<Line>,
}

/// All commands that both servers know.
pub struct Table {
    groups: Vec<Group>,
    prefixes: Vec<String>,
    left_out: BTreeSet<String>,
    /// Names of commands that both servers know.
    known: BTreeSet<String>,
}

impl Table {
    /// The lines of the table whose commands both servers know. Says which others there are.
    pub fn for_servers(both: &mut Both) -> Table {
        let (ours, theirs) = both.command_names();
        let mut table = Table::parse(TEXT);
        let mut unknown = BTreeSet::new();
        for group in &mut table.groups {
            group.lines.retain(|line| {
                let is_unknown = |name: &&String| !ours.contains(*name) || !theirs.contains(*name);
                let before = unknown.len();
                unknown.extend(line.names.iter().filter(is_unknown).cloned());
                unknown.len() == before
            });
        }
        table.known = ours.intersection(&theirs).cloned().collect();
        table.groups.retain(|group| !group.lines.is_empty());
        if !unknown.is_empty() {
            let names = unknown.into_iter().collect::<Vec<_>>().join(" ");
            println!("not compared, since one of the servers does not know them: {names}");
        }
        table
    }

    /// Every command that both servers know is either generated or left out for a reason.
    pub fn assert_complete(&self) {
        let lines = self.groups.iter().flat_map(|group| &group.lines);
        let generated: BTreeSet<&str> =
            lines.flat_map(|line| line.names.last()).map(String::as_str).collect();
        let missing: Vec<_> = self
            .known
            .iter()
            .filter(|name| !generated.contains(name.as_str()) && !self.left_out.contains(*name))
            .collect();
        assert!(missing.is_empty(), "commands.txt has no line for {missing:?}");
    }

    fn parse(text: &str) -> Table {
        let mut table = Table {
            groups: Vec::new(),
            prefixes: Vec::new(),
            left_out: BTreeSet::new(),
            known: BTreeSet::new(),
        };
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(heading) = line.strip_prefix('=') {
                let words: Vec<&str> = heading.split_whitespace().collect();
                let [prefix, weight] = words[..] else { panic!("{line}: = prefix weight") };
                let weight = weight.parse().expect("a weight is a number");
                if !table.prefixes.iter().any(|known| known == prefix) {
                    table.prefixes.push(prefix.to_string());
                }
                table.groups.push(Group { prefix: prefix.to_string(), weight, lines: Vec::new() });
            } else if let Some(left_out) = line.strip_prefix("- ") {
                let (names, reason) = left_out.split_once(':').unwrap_or((left_out, ""));
                assert!(!reason.trim().is_empty(), "{line}: a command is left out for a reason");
                table.left_out.extend(names.split_whitespace().map(str::to_lowercase));
            } else {
                let group = table.groups.last_mut().expect("a line stands below a heading");
                group.lines.push(Line::parse(line));
            }
        }
        table
    }

    /// A random command.
    pub fn generate(&self, random: &mut Random) -> Command {
        let (line, mut steps) = self.steps(random);
        let via = match random.below(24) {
            _ if line.is_alone => Via::Plain,
            0 if line.names.len() == 1 && !line.is_inside => Via::Script(2 + random.below(2) as u8),
            1 if line.names.len() == 1 => Via::Keys,
            2 | 3 => Via::Transaction,
            _ if line.is_inside => Via::Transaction,
            _ => Via::Plain,
        };
        if via == Via::Transaction {
            for _ in 0..random.below(TRANSACTION_MAX) {
                let (more, its_steps) = self.steps(random);
                if !more.is_alone {
                    steps.extend(its_steps);
                }
            }
        }
        if via == Via::Keys {
            steps.iter_mut().for_each(|step| step.compare = Compare::Exact);
        }
        Command { steps, via }
    }

    /// A random line and steps that it generates.
    fn steps(&self, random: &mut Random) -> (&Line, Vec<Step>) {
        let group = weighted(&self.groups, |group| group.weight, random);
        let line = weighted(&group.lines, |line| line.weight, random);
        let mut steps: Vec<Step> = Vec::new();
        let nodes = line.before.iter().map(|node| (node, Compare::Exact));
        for (node, compare) in nodes.chain([(&line.last, line.compare)]) {
            let before = steps.last().map_or(&[][..], |step| &step.argv[..]);
            let prefixes = &self.prefixes;
            let mut generator = Generator { random, prefix: &group.prefix, prefixes, before };
            let mut argv = Vec::new();
            node.generate(&mut generator, &mut argv);
            if !line.is_fixed && generator.random.one_in(14) {
                spoil(&mut argv, line.has_lifetime, &mut generator);
            }
            steps.push(Step { argv, compare });
        }
        (line, steps)
    }
}

fn weighted<'a, T>(things: &'a [T], weight: impl Fn(&T) -> usize, random: &mut Random) -> &'a T {
    let total = things.iter().map(&weight).sum();
    let mut drawn = random.below(total);
    for thing in things {
        match drawn.checked_sub(weight(thing)) {
            None => return thing,
            Some(rest) => drawn = rest,
        }
    }
    unreachable!("the weights were summed up a moment ago")
}

/// Makes a command unlikely to be right: an argument too many, too few, of another kind, in another place.
fn spoil(argv: &mut Vec<Vec<u8>>, has_lifetime: bool, generator: &mut Generator<'_>) {
    let at = 1 + generator.random.below(argv.len());
    let choices = if has_lifetime { 3 } else { 5 };
    match generator.random.below(choices) {
        0 if at < argv.len() => drop(argv.remove(at)),
        1 if at < argv.len() => argv[at] = alphabet::junk(generator),
        2 => argv.insert(at, alphabet::junk(generator)),
        3 if at < argv.len() => {
            let again = argv[at].clone();
            argv.insert(at, again);
        }
        4 if at < argv.len() => {
            let other = 1 + generator.random.below(argv.len() - 1);
            argv.swap(at, other);
        }
        _ => argv.push(alphabet::junk(generator)),
    }
}

impl Line {
    /// `3x @ ^ ! NAME arguments ; NAME arguments -> how replies are compared`
    fn parse(line: &str) -> Line {
        let (mut commands, compare) = line.split_once(" -> ").unwrap_or((line, "exact"));
        let mut weight = 1;
        if let Some((number, rest)) = commands.split_once("x ")
            && let Ok(number) = number.parse()
        {
            (weight, commands) = (number, rest);
        }
        let mut take = |mark: &str| match commands.strip_prefix(mark) {
            Some(rest) => {
                commands = rest;
                true
            }
            None => false,
        };
        let (is_inside, is_alone, is_marked) = (take("@ "), take("^ "), take("! "));
        let name = |command: &str| {
            command.split_whitespace().next().expect("a line has commands").to_lowercase()
        };
        let names: Vec<String> = commands.split(" ; ").map(name).collect();
        let mut before: Vec<Node> = commands.split(" ; ").map(Node::parse).collect();
        let last = before.pop().expect("a line has a command");
        Line {
            is_fixed: is_marked || names.len() > 1,
            names,
            has_lifetime: commands.contains("<ttl"),
            is_inside,
            is_alone,
            before,
            last,
            compare: Compare::parse(compare.trim()),
            weight,
        }
    }
}
