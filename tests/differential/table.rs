//! Which commands are generated, how often, and how are their replies compared? Reads `commands.txt`.

use std::collections::BTreeSet;

use crate::alphabet::{self, Generator};
use crate::compare::Compare;
use crate::grammar::Node;
use crate::harness::random::Random;
use crate::play::{Both, Command, Via};

const TEXT: &str = include_str!("commands.txt");

struct Line {
    /// In small letters.
    name: String,
    /// Its lifetimes must stay as the table has them.
    has_lifetime: bool,
    node: Node,
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
                let is_known = ours.contains(&line.name) && theirs.contains(&line.name);
                if !is_known {
                    unknown.insert(line.name.clone());
                }
                is_known
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
        let generated: BTreeSet<&str> = lines.map(|line| line.name.as_str()).collect();
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
        let group = weighted(&self.groups, |group| group.weight, random);
        let line = weighted(&group.lines, |line| line.weight, random);
        let mut generator = Generator { random, prefix: &group.prefix, prefixes: &self.prefixes };
        let mut argv = Vec::new();
        line.node.generate(&mut generator, &mut argv);
        if generator.random.one_in(14) {
            spoil(&mut argv, line.has_lifetime, &mut generator);
        }
        let via = match generator.random.below(24) {
            0 if self.knows("exec") => Via::Transaction,
            1 if self.knows("eval") => Via::Script,
            _ => Via::Plain,
        };
        Command { argv, compare: line.compare, via }
    }

    /// Whether both servers know a command.
    pub fn knows(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// How the keys that commands use begin.
    pub fn prefixes(&self) -> &[String] {
        &self.prefixes
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
    /// `3x NAME arguments -> how replies are compared`
    fn parse(line: &str) -> Line {
        let (command, compare) = line.split_once("->").unwrap_or((line, "exact"));
        let (weight, command) = match command.split_once("x ") {
            Some((weight, rest)) if weight.parse::<usize>().is_ok() => {
                (weight.parse().expect("it just was a number"), rest)
            }
            _ => (1, command),
        };
        let name = command.split_whitespace().next().expect("a line has a command");
        Line {
            name: name.to_lowercase(),
            has_lifetime: command.contains("<ttl"),
            node: Node::parse(command),
            compare: Compare::parse(compare.trim()),
            weight,
        }
    }
}
