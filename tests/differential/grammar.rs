//! What may a command look like? A line such as `SET <key> <value> [NX|XX] [EX <ttl>]`, and random commands that fit it.
//!
//! | written | generates |
//! |---|---|
//! | `WORD` | the word, now and then in small letters |
//! | `<name>` | something from alphabet.rs |
//! | `[a|b]` | nothing, or one of them |
//! | `(a|b)` | one of them |
//! | `...+`, `...*` | behind `>`, `]`, `)`: one to four times; none to three times |
//! | `...~` | the same: so often that values grow large |
//! | `$2` | the argument that stands there in the command before, its name being 0 |
//! | `{a}` | how often, then `a` so often, one to three times |

use crate::alphabet::{self, Generator, Source};

/// The most that `~` repeats: enough for a table or a tree of several nodes.
const MANY: usize = 400;

/// One piece of a line.
pub enum Node {
    Word(String),
    Again(usize),
    Source(Source),
    Sequence(Vec<Node>),
    Optional(Box<Node>),
    Choice(Vec<Node>),
    Repeat(Box<Node>, usize, usize),
    Counted(Box<Node>),
}

impl Node {
    /// Reads a whole line.
    pub fn parse(line: &str) -> Node {
        let tokens = tokens(line);
        let mut reader = Reader { tokens: &tokens, at: 0, line };
        let node = reader.choice();
        assert!(reader.at == tokens.len(), "{line}: something is closed that was not opened");
        node
    }

    /// Appends random arguments that fit.
    pub fn generate(&self, generator: &mut Generator<'_>, out: &mut Vec<Vec<u8>>) {
        match self {
            Node::Word(word) if generator.random.one_in(12) => {
                out.push(word.to_lowercase().into_bytes());
            }
            Node::Again(at) => out.push(generator.before[*at].clone()),
            Node::Word(word) => out.push(word.clone().into_bytes()),
            Node::Source(source) => out.push(source(generator)),
            Node::Sequence(nodes) => nodes.iter().for_each(|node| node.generate(generator, out)),
            // Options are left out more often than not, or nothing plain would ever run.
            Node::Optional(node) => {
                if generator.random.below(5) < 2 {
                    node.generate(generator, out);
                }
            }
            Node::Choice(nodes) => {
                let chosen = generator.random.below(nodes.len());
                nodes[chosen].generate(generator, out);
            }
            Node::Repeat(node, min, max) => {
                for _ in 0..min + generator.random.below(max - min + 1) {
                    node.generate(generator, out);
                }
            }
            Node::Counted(node) => {
                let count = 1 + generator.random.below(3);
                out.push(count.to_string().into_bytes());
                for _ in 0..count {
                    node.generate(generator, out);
                }
            }
        }
    }
}

fn tokens(line: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for word in line.split_whitespace() {
        let mut rest = word;
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '<' => rest.find('>').unwrap_or_else(|| panic!("{line}: < without >")) + 1,
                '[' | ']' | '(' | ')' | '{' | '}' | '|' => 1,
                '+' | '*' | '~' if rest.len() < word.len() => 1,
                _ => rest.find(['[', ']', '(', ')', '{', '}', '|', '<']).unwrap_or(rest.len()),
            };
            tokens.push(rest[..length].to_string());
            rest = &rest[length..];
        }
    }
    tokens
}

struct Reader<'a> {
    tokens: &'a [String],
    at: usize,
    line: &'a str,
}

impl Reader<'_> {
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn take(&mut self) -> String {
        self.at += 1;
        self.tokens[self.at - 1].clone()
    }

    fn close(&mut self, token: &str) {
        assert_eq!(self.peek(), token, "{}: brackets", self.line);
        self.at += 1;
    }

    fn choice(&mut self) -> Node {
        let mut choices = vec![self.sequence()];
        while self.peek() == "|" {
            self.at += 1;
            choices.push(self.sequence());
        }
        if choices.len() == 1 { choices.remove(0) } else { Node::Choice(choices) }
    }

    fn sequence(&mut self) -> Node {
        let mut nodes = Vec::new();
        while !matches!(self.peek(), "" | "|" | "]" | ")" | "}") {
            let node = self.piece();
            let node = match self.peek() {
                "+" => Node::Repeat(Box::new(node), 1, 4),
                "*" => Node::Repeat(Box::new(node), 0, 3),
                "~" => Node::Repeat(Box::new(node), 20, MANY),
                _ => {
                    nodes.push(node);
                    continue;
                }
            };
            self.at += 1;
            nodes.push(node);
        }
        Node::Sequence(nodes)
    }

    fn piece(&mut self) -> Node {
        let token = self.take();
        match token.as_str() {
            "[" => {
                let inner = self.choice();
                self.close("]");
                Node::Optional(Box::new(inner))
            }
            "(" => {
                let inner = self.choice();
                self.close(")");
                inner
            }
            "{" => {
                let inner = self.choice();
                self.close("}");
                Node::Counted(Box::new(inner))
            }
            name if name.starts_with('<') => {
                let name = &name[1..name.len() - 1];
                let source = alphabet::source(name);
                Node::Source(source.unwrap_or_else(|| panic!("{}: what is {name}?", self.line)))
            }
            word => match word.strip_prefix('$').and_then(|at| at.parse().ok()) {
                Some(at) => Node::Again(at),
                None => Node::Word(word.to_string()),
            },
        }
    }
}
