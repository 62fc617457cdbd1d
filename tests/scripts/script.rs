//! What does a behaviour script say? Parses one file of tests/data into blocks of steps with their expectations.

use super::lexer::{Lexer, Token};
use super::pattern::{Pattern, Protocol};

/// A version such as 7.2.0, comparable.
pub type Version = [u32; 3];

/// One argument of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// Given in the script; `$i` in it was a word, so `%each` may replace it.
    Word(String),
    /// Given in quotes: nothing in it is replaced.
    Quoted(Vec<u8>),
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Sends a command and reads its reply; the reply may be saved under a name.
    Call { argv: Vec<Arg>, save: Option<String> },
    /// `%until`: sends the command again until its reply fits, or patience ends.
    Until(Vec<Arg>),
    /// `%each A..B`: sends the command once for every number; each reply must fit.
    Each { from: i64, to: i64, argv: Vec<Arg> },
    /// `%scan`: follows the cursor to its end and answers with everything together.
    Scan(Vec<Arg>),
    /// `%send`: sends without reading; has no reply.
    Send(Vec<Arg>),
    /// `%raw`: sends bytes as they are; has no reply.
    Raw(Vec<u8>),
    /// `%read`: reads what comes next.
    Read,
    /// `%close`: closes the connection; has no reply.
    Close,
    /// `%config NAME VALUE`: sets a parameter until the end of the file; has no reply.
    Config(String, String),
}

/// The patterns of one reply.
#[derive(Clone, Debug)]
pub struct Expected {
    resp2: (Pattern, String),
    resp3: (Pattern, String),
}

impl Expected {
    /// The pattern for a protocol, and how the script wrote it.
    pub fn for_protocol(&self, protocol: Protocol) -> &(Pattern, String) {
        match protocol {
            Protocol::Resp2 => &self.resp2,
            Protocol::Resp3 => &self.resp3,
        }
    }
}

/// One line of a block, with the reply that belongs to it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it stands in the file.
    pub line: usize,
    /// The line as written.
    pub source: String,
    /// Which connection; the unnamed one is the empty string.
    pub connection: String,
    /// What to do.
    pub action: Action,
    /// What must come back, for steps that have a reply.
    pub expected: Option<Expected>,
}

/// Some commands and their replies.
#[derive(Clone, Debug)]
pub struct Block {
    /// The first server version that behaves like this; above all versions where only ours does (`ours`).
    pub newer: Option<Version>,
    /// A command without which a server is not asked (`needs`).
    pub needs: Option<String>,
    /// The commands.
    pub steps: Vec<Step>,
    /// The block has a `----` and nothing below: replies are to be filled in. The line after which they go.
    pub unfilled: Option<usize>,
}

/// A whole file.
#[derive(Debug)]
pub struct Script {
    /// The blocks in order.
    pub blocks: Vec<Block>,
}

impl Action {
    /// Whether a reply is expected for it.
    pub fn has_reply(&self) -> bool {
        !matches!(self, Action::Send(_) | Action::Raw(_) | Action::Close | Action::Config(..))
    }
}

/// Parses a version as servers report it.
pub fn parse_version(text: &str) -> Result<Version, String> {
    let mut parts = text.trim().split('.').map(str::parse::<u32>);
    let mut part = || match parts.next() {
        None => Ok(0),
        Some(part) => part.map_err(|_| format!("not a version: {text:?}")),
    };
    Ok([part()?, part()?, part()?])
}

impl Script {
    /// Parses a file; the error names the line.
    pub fn parse(text: &str) -> Result<Script, String> {
        let lines: Vec<&str> = text.lines().collect();
        let mut blocks = Vec::new();
        let (mut newer_rest, mut needs_rest) = (None, None);
        let mut at = 0;
        while at < lines.len() {
            let len = lines[at..].iter().take_while(|line| !line.trim().is_empty()).count();
            if len > 0 {
                let block = parse_block(&lines[at..at + len], at + 1)?;
                let newer = block.newer.or(newer_rest);
                let needs = block.needs.clone().or_else(|| needs_rest.clone());
                if block.steps.is_empty() {
                    (newer_rest, needs_rest) = (newer, needs);
                } else {
                    blocks.push(Block { newer, needs, ..block });
                }
            }
            at += len + 1;
        }
        Ok(Script { blocks })
    }
}

fn parse_block(lines: &[&str], first: usize) -> Result<Block, String> {
    let rule = lines.iter().position(|line| line.trim() == "----");
    let commands = &lines[..rule.unwrap_or(lines.len())];
    let (mut newer, mut needs, mut steps) = (None, None, Vec::new());
    for (offset, &source) in commands.iter().enumerate() {
        let line = first + offset;
        let place = |error: String| format!("line {line}: {error}");
        if source.starts_with('#') {
            continue;
        }
        if let Some(version) = source.strip_prefix("newer ") {
            newer = Some(parse_version(version).map_err(place)?);
            continue;
        }
        if let Some(command) = source.strip_prefix("needs ") {
            needs = Some(command.to_string());
            continue;
        }
        if source.starts_with("ours ") {
            newer = Some([u32::MAX; 3]);
            continue;
        }
        let (connection, action) = parse_step(source).map_err(place)?;
        let source = source.to_string();
        steps.push(Step { line, source, connection, action, expected: None });
    }
    let replies = rule.map(|rule| lines[rule + 1..].join("\n")).unwrap_or_default();
    let wanting = steps.iter().filter(|step| step.action.has_reply()).count();
    if replies.is_empty() && rule.is_some() && wanting > 0 {
        return Ok(Block { newer, needs, steps, unfilled: Some(first + lines.len() - 1) });
    }
    let mut lexer = Lexer::new(&replies);
    for step in steps.iter_mut().filter(|step| step.action.has_reply()) {
        let expected = parse_expected(&mut lexer);
        step.expected =
            Some(expected.map_err(|error| format!("reply of line {}: {error}", step.line))?);
    }
    if lexer.more() {
        return Err(format!("block of line {first}: more replies than commands"));
    }
    Ok(Block { newer, needs, steps, unfilled: None })
}

fn parse_expected(lexer: &mut Lexer) -> Result<Expected, String> {
    lexer.more();
    let only = |lexer: &mut Lexer, prefix: &str| -> Result<Option<(Pattern, String)>, String> {
        lexer.more();
        let Some(rest) = lexer.rest().strip_prefix(prefix) else { return Ok(None) };
        *lexer = Lexer::new(rest);
        parse_pattern(lexer).map(Some)
    };
    if let Some(resp2) = only(lexer, "2>")? {
        let resp3 = only(lexer, "3>")?.ok_or("a reply for 2> needs one for 3> below it")?;
        return Ok(Expected { resp2, resp3 });
    }
    let both = parse_pattern(lexer)?;
    Ok(Expected { resp2: both.clone(), resp3: both })
}

fn parse_pattern(lexer: &mut Lexer) -> Result<(Pattern, String), String> {
    lexer.more();
    let before = lexer.rest();
    let pattern = Pattern::parse(lexer)?;
    let source = before[..before.len() - lexer.rest().len()].trim().to_string();
    let ends = lexer.rest().lines().next().is_none_or(|rest| rest.trim().is_empty());
    if !ends {
        return Err(format!("a line goes on after {source}"));
    }
    Ok((pattern, source))
}

fn parse_step(source: &str) -> Result<(String, Action), String> {
    let mut lexer = Lexer::new(source);
    let mut argv = Vec::new();
    while let Some(token) = lexer.argument()? {
        argv.push(match token {
            Token::Word(word) => Arg::Word(word),
            Token::Quoted(text) => Arg::Quoted(text),
            Token::Mark(mark) => return Err(format!("unexpected {mark:?}")),
        });
    }
    let mut connection = String::new();
    if let Some(Arg::Word(word)) = argv.first()
        && let Some(name) = word.strip_prefix('@')
    {
        connection = name.to_string();
        argv.remove(0);
    }
    Ok((connection, parse_action(argv)?))
}

fn parse_action(mut argv: Vec<Arg>) -> Result<Action, String> {
    let verb = match argv.first() {
        Some(Arg::Word(word)) if word.starts_with('%') => word.clone(),
        Some(_) => return Ok(Action::Call { argv, save: None }),
        None => return Err("a connection without a command".to_string()),
    };
    argv.remove(0);
    let plain = |argv: &mut Vec<Arg>, what: &str| match argv.first() {
        Some(Arg::Word(_)) => match argv.remove(0) {
            Arg::Word(word) => Ok(word),
            Arg::Quoted(_) => unreachable!("it was a word a line ago"),
        },
        _ => Err(format!("{verb} needs {what}")),
    };
    let action = match verb.as_str() {
        "%let" => {
            let save = Some(plain(&mut argv, "a name")?);
            Action::Call { argv, save }
        }
        "%until" => Action::Until(argv),
        "%each" => {
            let range = plain(&mut argv, "a range")?;
            let wrong = || format!("not a range: {range}");
            let (from, to) = range.split_once("..").ok_or_else(wrong)?;
            let from = from.parse().map_err(|_| wrong())?;
            Action::Each { from, to: to.parse().map_err(|_| wrong())?, argv }
        }
        "%scan" => Action::Scan(argv),
        "%send" => Action::Send(argv),
        "%raw" => match argv.pop() {
            Some(Arg::Quoted(bytes)) if argv.is_empty() => return Ok(Action::Raw(bytes)),
            _ => return Err("%raw needs one quoted string".to_string()),
        },
        "%read" if argv.is_empty() => return Ok(Action::Read),
        "%close" if argv.is_empty() => return Ok(Action::Close),
        "%config" => {
            let name = plain(&mut argv, "a name")?;
            return match argv.pop() {
                Some(Arg::Word(value)) if argv.is_empty() => Ok(Action::Config(name, value)),
                Some(Arg::Quoted(value)) if argv.is_empty() => {
                    Ok(Action::Config(name, String::from_utf8_lossy(&value).into_owned()))
                }
                _ => Err("%config needs a name and a value".to_string()),
            };
        }
        _ => return Err(format!("unknown step {verb}")),
    };
    let argv = match &action {
        Action::Call { argv, .. } | Action::Until(argv) | Action::Each { argv, .. } => argv,
        Action::Scan(argv) | Action::Send(argv) => argv,
        _ => unreachable!("the others have returned"),
    };
    if argv.is_empty() { Err(format!("{verb} without a command")) } else { Ok(action) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_pairs_steps_with_replies() {
        let text =
            "# head\nnewer 7.2\n\nSET a 1\n@b %send GET a\n@b %read\n----\nOK\n2> \"1\"\n3> 1\n";
        let script = Script::parse(text).unwrap();
        assert_eq!(script.blocks.len(), 1);
        let block = &script.blocks[0];
        assert_eq!(block.newer, Some([7, 2, 0]));
        assert_eq!(block.steps.len(), 3);
        assert_eq!(block.steps[1].connection, "b");
        assert!(block.steps[1].expected.is_none());
        let read = block.steps[2].expected.as_ref().unwrap();
        assert_eq!(read.for_protocol(Protocol::Resp2).1, "\"1\"");
        assert_eq!(read.for_protocol(Protocol::Resp3).1, "1");
    }

    #[test]
    fn a_reply_may_span_lines() {
        let script = Script::parse("KEYS *\nPING\n----\nany[\n  \"a\",\n  \"b\"]\nPONG\n").unwrap();
        assert_eq!(script.blocks[0].steps[1].expected.as_ref().unwrap().resp2.1, "PONG");
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line) in [
            ("PING\n----\nPONG\nPONG\n", "line 1"),
            ("\nPING\nPING\n----\nPONG\n", "line 3"),
            ("%nonsense\n", "line 1"),
            ("PING\n----\nPONG PONG\n", "line 1"),
            ("PING\n----\n2> PONG\n", "line 1"),
        ] {
            let error = Script::parse(text).unwrap_err();
            assert!(error.contains(line), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_empty_answer_asks_to_be_filled() {
        let script = Script::parse("PING\n----\n\nPING\n----\nPONG\n").unwrap();
        assert_eq!(script.blocks[0].unfilled, Some(2));
        assert_eq!(script.blocks[1].unfilled, None);
    }
}
