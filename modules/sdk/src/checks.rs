//! Does what a command declares make sense? Looked at when the module loads, before the server is told, so that a mistake
//! is named by where it stands and not refused, or taken, without a word.

use std::fmt::Display;

use crate::arg_spec::{ArgKind, ArgSpec};
use crate::command::{Arity, Command, Flag};
use crate::error::Error;
use crate::key_spec::{BeginKeys, FindKeys, KeySpec};

/// How deep arguments may consist of arguments.
const DEPTH_MAX: usize = 16;

impl Command {
    /// Finds what is wrong with the declaration of this command and its subcommands. Loading does it too; a unit test
    /// that calls it needs no server.
    pub fn check(&self) -> Result<(), Error> {
        check(self, 1).map_err(|problem| Error::new(format_args!("{}: {problem}", self.name)))?;
        for sub in self.subcommands {
            let name = format!("{}|{}", self.name, sub.name);
            let checked = match sub.subcommands {
                [] => check(sub, 2),
                _ => Err("a subcommand has no subcommands".to_owned()),
            };
            checked.map_err(|problem| Error::new(format_args!("{name}: {problem}")))?;
        }
        Ok(())
    }
}

/// What is wrong with a command whose name has so many words.
fn check(command: &Command, name_words: usize) -> Result<(), String> {
    if !is_word(command.name) {
        return Err("its name is not one word".to_owned());
    }
    if command.flags.contains(&Flag::Write) && command.flags.contains(&Flag::ReadOnly) {
        return Err("it cannot be Write and ReadOnly".to_owned());
    }
    for (place, key) in command.keys.iter().enumerate() {
        check_key(key, name_words).map_err(|problem| format!("keys[{place}]: {problem}"))?;
    }
    if command.history.iter().any(|(version, change)| version.is_empty() || change.is_empty()) {
        return Err("each line of its history has a version and a text".to_owned());
    }
    if let Some(tip) = command.tips.iter().find(|tip| !is_word(tip)) {
        return Err(format!("the tip \"{tip}\" is not one word"));
    }
    if command.args.is_empty() {
        return Ok(());
    }
    if !command.subcommands.is_empty() {
        return Err("its subcommands have the arguments".to_owned());
    }
    check_args(command.args, command.keys.len(), DEPTH_MAX)?;
    check_arity(command.arity, Words::of(command.args), name_words)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|b| b.is_ascii_whitespace() || b == 0)
}

fn check_key(key: &KeySpec, name_words: usize) -> Result<(), String> {
    match key.begin {
        BeginKeys::At(place) if usize::try_from(place).is_ok_and(|at| at >= name_words) => {}
        BeginKeys::At(place) => return Err(format!("place {place} is no argument")),
        BeginKeys::Behind(word, from) if !is_word(word) || from == 0 => {
            return Err("there is a word to look for, and a place to begin at".to_owned());
        }
        BeginKeys::Behind(..) | BeginKeys::Unknown => {}
    }
    match key.find {
        FindKeys::Range { step, .. } | FindKeys::Counted { step, .. } if step < 1 => {
            Err(format!("keys cannot be {step} apart"))
        }
        FindKeys::Range { limit, .. } if limit < 0 => Err(format!("the limit {limit} is none")),
        FindKeys::Counted { number, first, .. } if number < 0 || first < 0 => {
            Err("number and keys come behind the begin".to_owned())
        }
        FindKeys::Range { .. } | FindKeys::Counted { .. } | FindKeys::Unknown => Ok(()),
    }
}

/// Checks arguments that stand side by side, and what they consist of down to so many levels.
fn check_args(args: &[ArgSpec], keys: usize, depth: usize) -> Result<(), String> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(format!("its arguments are nested deeper than {DEPTH_MAX}"));
    };
    for (place, arg) in args.iter().enumerate() {
        let problem = |text: &dyn Display| Err(format!("argument \"{}\": {text}", arg.name));
        if arg.name.is_empty() {
            return problem(&"it has no name");
        }
        if args[..place].iter().any(|other| other.name == arg.name) {
            return problem(&"another one beside it has this name");
        }
        if arg.token.is_some_and(str::is_empty) {
            return problem(&"its word is empty");
        }
        if arg.multiple_token && (!arg.multiple || arg.token.is_none()) {
            return problem(&"there is no word to be repeated");
        }
        match arg.kind {
            ArgKind::PureToken if arg.token.is_none() => {
                return problem(&"a word that stands for itself is missing");
            }
            ArgKind::Key(index) if index >= keys => {
                return problem(&format_args!("the command has no keys[{index}]"));
            }
            ArgKind::OneOf([]) | ArgKind::Block([]) => return problem(&"it consists of nothing"),
            ArgKind::OneOf(inner) | ArgKind::Block(inner) => {
                check_args(inner, keys, depth).or_else(|inside| problem(&inside))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// How many words of a request arguments take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Words {
    min: usize,
    /// None: any number.
    max: Option<usize>,
}

impl Words {
    const NONE: Words = Words { min: 0, max: Some(0) };

    /// Those of arguments in a row.
    fn of(args: &[ArgSpec]) -> Words {
        args.iter().map(Words::of_one).fold(Words::NONE, Words::and)
    }

    fn of_one(arg: &ArgSpec) -> Words {
        let token = arg.token.map_or(0, |token| token.split_ascii_whitespace().count());
        let own = match arg.kind {
            ArgKind::PureToken => Words::NONE,
            ArgKind::Block(parts) => Words::of(parts),
            ArgKind::OneOf(choices) => {
                let each = choices.iter().map(Words::of_one);
                each.reduce(Words::or).unwrap_or(Words::NONE)
            }
            _ => Words { min: 1, max: Some(1) },
        };
        let once = own.and(Words { min: token, max: Some(token) });
        Words {
            min: if arg.optional { 0 } else { once.min },
            max: if arg.multiple { None } else { once.max },
        }
    }

    fn and(self, other: Words) -> Words {
        let max = self.max.zip(other.max).map(|(one, two)| one + two);
        Words { min: self.min + other.min, max }
    }

    fn or(self, other: Words) -> Words {
        let max = self.max.zip(other.max).map(|(one, two)| one.max(two));
        Words { min: self.min.min(other.min), max }
    }
}

/// Whatever the arguments permit, the arity must permit: otherwise one of them is wrong.
fn check_arity(arity: Arity, words: Words, name_words: usize) -> Result<(), String> {
    let min = name_words + words.min;
    let max = words.max.map(|max| name_words + max);
    let permits_most = match (arity, max) {
        (Arity::AtLeast(_), _) => true,
        (_, None) => false,
        (_, Some(max)) => arity.accepts(max),
    };
    if arity.accepts(min) && permits_most {
        return Ok(());
    }
    let most = max.map_or("any number of".to_owned(), |max| max.to_string());
    Err(format!(
        "its arguments make {min} to {most} words, name included, but its arity is {arity:?}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_spec::Access;

    const FINE: Command = Command {
        name: "X",
        arity: Arity::AtLeast(3),
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            ArgSpec::key("key"),
            ArgSpec::integer("count").token("LIMIT").optional(),
            ArgSpec::string("member").multiple(),
        ],
        history: &[("1.1.0", "Takes LIMIT.")],
        tips: &["nondeterministic_output"],
        ..Command::DEFAULT
    };

    fn complaint(command: Command) -> String {
        command.check().expect_err("something is wrong").to_string()
    }

    #[test]
    fn sound_declarations_pass() {
        for command in [FINE, Command { name: "Y", ..Command::DEFAULT }] {
            assert_eq!(command.check(), Ok(()));
        }
        const SUBS: &[Command] = &[Command { arity: Arity::AtLeast(4), ..FINE }];
        let container = Command { name: "Z", subcommands: SUBS, ..Command::DEFAULT };
        // The key of a subcommand stands behind two words.
        assert_eq!(complaint(container), "ERR Z|X: keys[0]: place 1 is no argument");
    }

    #[test]
    fn complaints_say_where() {
        const STANDING_STILL: &[KeySpec] = &[KeySpec::range(1, -1, 0, Access::Read)];
        const NESTED: &[ArgSpec] = &[ArgSpec::block("outer", &[ArgSpec::one_of("inner", &[])])];
        const TWICE: &[ArgSpec] = &[ArgSpec::string("a"), ArgSpec::integer("a")];
        const WORDLESS: &[ArgSpec] = &[ArgSpec::flag("nx", "")];
        const UNREPEATED: &[ArgSpec] = &[ArgSpec::string("a").multiple_token()];
        const SECOND_KEY: &[ArgSpec] = &[ArgSpec::key_of("key", 1)];
        let cases = [
            (
                Command { args: NESTED, ..FINE },
                "argument \"outer\": argument \"inner\": it consists of nothing",
            ),
            (
                Command { args: TWICE, ..FINE },
                "argument \"a\": another one beside it has this name",
            ),
            (Command { args: WORDLESS, ..FINE }, "argument \"nx\": its word is empty"),
            (
                Command { args: UNREPEATED, ..FINE },
                "argument \"a\": there is no word to be repeated",
            ),
            (Command { args: SECOND_KEY, ..FINE }, "argument \"key\": the command has no keys[1]"),
            (Command { tips: &["two words"], ..FINE }, "the tip \"two words\" is not one word"),
            (
                Command { history: &[("1.0.0", "")], ..FINE },
                "each line of its history has a version and a text",
            ),
            (
                Command { flags: &[Flag::Write, Flag::ReadOnly], ..FINE },
                "it cannot be Write and ReadOnly",
            ),
            (Command { keys: STANDING_STILL, ..FINE }, "keys[0]: keys cannot be 0 apart"),
            (
                Command { arity: Arity::Between(3, 9), ..FINE },
                "its arguments make 3 to any number of words, name included, but its arity is Between(3, 9)",
            ),
            (
                Command { arity: Arity::AtLeast(4), ..FINE },
                "its arguments make 3 to any number of words, name included, but its arity is AtLeast(4)",
            ),
        ];
        for (command, expected) in cases {
            assert_eq!(complaint(command), format!("ERR X: {expected}"));
        }
        assert_eq!(complaint(Command { name: "a b", ..FINE }), "ERR a b: its name is not one word");
    }

    #[test]
    fn words_are_counted_through_choices_and_blocks() {
        const RANGE: &[ArgSpec] = &[ArgSpec::integer("start"), ArgSpec::integer("stop").optional()];
        const LOAD: &[ArgSpec] =
            &[ArgSpec::flag("all", "LOAD *"), ArgSpec::string("field").token("LOAD").multiple()];
        let range = ArgSpec::block("range", RANGE).token("RANGE");
        assert_eq!(Words::of(&[range]), Words { min: 2, max: Some(3) });
        assert_eq!(Words::of(&[range.optional()]), Words { min: 0, max: Some(3) });
        assert_eq!(Words::of(&[ArgSpec::one_of("load", LOAD)]), Words { min: 2, max: None });
    }
}
