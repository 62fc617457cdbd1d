//! What does a file of users say? A line for each, `user NAME RULES...`, as ACL SAVE writes it.
//!
//! Either all of a file is good or nothing of it counts; all that is wrong with it is told at once.

use std::sync::Arc;

use super::Users;
use super::rule::{RuleCtx, RuleError, has_blanks, join_selectors};
use super::user::{Rules, User};

/// Reads the text of a file of this name. The error tells all that is wrong, in one line.
pub fn read(text: &[u8], path: &[u8], ctx: RuleCtx<'_>) -> Result<Vec<Arc<User>>, Vec<u8>> {
    let mut users: Vec<Arc<User>> = Vec::new();
    let mut known = std::collections::HashSet::new();
    let mut errors = Vec::new();
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = trim(line, b" \t\r\n");
        if line.is_empty() {
            continue;
        }
        let place = [path, b":", (at + 1).to_string().as_bytes()].concat();
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let [b"user", name, rules @ ..] = words.as_slice() else {
            let text = b" should start with user keyword followed by the username. ";
            errors.extend([&place[..], text].concat());
            continue;
        };
        if has_blanks(name) {
            let middle: &[u8] = b": username '";
            errors.extend(
                [b"'", &place[..], middle, name, b"' contains invalid characters. "].concat(),
            );
            continue;
        }
        if !known.insert(*name) {
            let head: &[u8] = b"WARNING: Duplicate user '";
            let line = format!("' found on line {}. ", at + 1);
            errors.extend([head, name, line.as_bytes()].concat());
            continue;
        }
        match read_rules(rules, &place, ctx) {
            Ok(rules) => users.push(User::new(name, rules)),
            Err(why) => errors.extend(why),
        }
    }
    if errors.is_empty() {
        return Ok(users);
    }
    errors.extend_from_slice(
        b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
    );
    Err(errors)
}

/// The rules of one line; what is wrong with them if anything is.
fn read_rules(words: &[&[u8]], place: &[u8], ctx: RuleCtx<'_>) -> Result<Rules, Vec<u8>> {
    let joined = join_selectors(words.iter().copied());
    let joined =
        joined.map_err(|_| [place, b": Unmatched parenthesis in selector definition."].concat())?;
    let mut rules = Rules::new(ctx.all_channels);
    let mut errors = Vec::new();
    let mut has_told = false;
    for op in &joined {
        let op = trim(op, b"\t\r\n");
        match rules.apply(op, ctx) {
            Ok(()) => {}
            // Names of commands are no secrets, unlike what else may stand here.
            Err(error @ RuleError::Unknown) => {
                let head = [place, b": Error in applying operation '", op].concat();
                errors.extend([&head[..], format!("': {error}. ").as_bytes()].concat());
            }
            Err(error) => {
                if !std::mem::replace(&mut has_told, true) {
                    errors.extend([place, format!(": {error}. ").as_bytes()].concat());
                }
            }
        }
    }
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

fn trim<'a>(mut text: &'a [u8], blanks: &[u8]) -> &'a [u8] {
    while let [first, rest @ ..] = text
        && blanks.contains(first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && blanks.contains(last)
    {
        text = rest;
    }
    text
}

impl Users {
    /// The text of the file that would bring these users back.
    pub fn file_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for user in self.all() {
            text.extend_from_slice(&user.describe());
            text.push(b'\n');
        }
        text
    }
}
