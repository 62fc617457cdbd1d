//! What does a rule mean, and what can be wrong with it? The words of ACL SETUSER, one at a time.
//!
//! A rule is foreign input. It changes either everything that it says or nothing, and lists that rules make
//! longer are bounded by [`ITEMS_MAX`].

use super::password::PasswordHash;
use super::selector::Selector;
use super::user::Rules;
use crate::base::quoting::split_args;
use crate::engine::registry::Registry;

/// Passwords, selectors, key patterns or channel patterns that a user may have of each. Adding to a list
/// looks through it, so that longer ones would take long to make.
pub const ITEMS_MAX: usize = 16 * 1024;

/// What rules refer to.
#[derive(Clone, Copy, Debug)]
pub struct RuleCtx<'a> {
    /// The commands.
    pub registry: &'a Registry,
    /// New selectors may use all channels (`acl-pubsub-default`).
    pub all_channels: bool,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the text of each variant says what it means")]
pub enum RuleError {
    #[error("Unknown command or category name in ACL")]
    Unknown,
    #[error("Syntax error")]
    Syntax,
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have \
         any effect. Try 'resetkeys' to start with an empty list of patterns"
    )]
    KeysAfterAll,
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not \
         have any effect. Try 'resetchannels' to start with an empty list of channels"
    )]
    ChannelsAfterAll,
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal \
         characters"
    )]
    BadHash,
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgOfSubcommand,
    #[error("Too many rules of one kind")]
    TooMany,
}

/// Whether a text is no name or pattern, because it could not be written back.
pub fn has_blanks(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b' ' | b'\t'..=b'\r' | 0))
}

fn is(op: &[u8], word: &str) -> bool {
    op.eq_ignore_ascii_case(word.as_bytes())
}

impl Rules {
    /// Applies one rule, which must not be one half of a selector: see [`join_selectors`].
    pub fn apply(&mut self, op: &[u8], ctx: RuleCtx<'_>) -> Result<(), RuleError> {
        match op {
            [] => {}
            _ if is(op, "on") => self.enabled = true,
            _ if is(op, "off") => self.enabled = false,
            _ if is(op, "skip-sanitize-payload") => self.sanitizes = false,
            _ if is(op, "sanitize-payload") => self.sanitizes = true,
            _ if is(op, "nopass") => {
                self.no_password = true;
                self.passwords.clear();
            }
            _ if is(op, "resetpass") => {
                self.no_password = false;
                self.passwords.clear();
            }
            [b'>', password @ ..] => self.add_password(PasswordHash::of(password))?,
            [b'#', hash @ ..] => {
                self.add_password(PasswordHash::parse(hash).ok_or(RuleError::BadHash)?)?;
            }
            [b'<', password @ ..] => self.remove_password(&PasswordHash::of(password))?,
            [b'!', hash @ ..] => {
                self.remove_password(&PasswordHash::parse(hash).ok_or(RuleError::BadHash)?)?;
            }
            [b'(', inside @ .., b')'] => self.add_selector(inside, ctx)?,
            _ if is(op, "clearselectors") => self.selectors.truncate(1),
            _ if is(op, "reset") => *self = Rules::new(ctx.all_channels),
            _ => self.root_mut().apply(op, ctx)?,
        }
        Ok(())
    }

    fn add_password(&mut self, hash: PasswordHash) -> Result<(), RuleError> {
        if !self.passwords.iter().any(|known| known.is(&hash)) {
            if self.passwords.len() >= ITEMS_MAX {
                return Err(RuleError::TooMany);
            }
            self.passwords.push(hash);
        }
        self.no_password = false;
        Ok(())
    }

    fn remove_password(&mut self, hash: &PasswordHash) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| known.is(hash));
        self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    fn add_selector(&mut self, inside: &[u8], ctx: RuleCtx<'_>) -> Result<(), RuleError> {
        if self.selectors.len() >= ITEMS_MAX {
            return Err(RuleError::TooMany);
        }
        let mut selector = Selector::new(ctx.all_channels);
        // Quotes that do not match leave it empty, as in Redis.
        for op in split_args(inside).unwrap_or_default() {
            selector.apply(&op, ctx)?;
        }
        self.selectors.push(selector);
        Ok(())
    }
}

/// Rules that were split at blanks, with the parts of each selector put together again. If one is not closed,
/// the error is the position of its first part.
pub fn join_selectors<'a>(
    rules: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Vec<u8>>, usize> {
    let mut joined: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<usize> = None;
    for (at, rule) in rules.into_iter().enumerate() {
        let closes = rule.last() == Some(&b')');
        match (open, joined.last_mut()) {
            (Some(_), Some(selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(rule);
                if closes {
                    open = None;
                }
            }
            _ => {
                joined.push(rule.to_vec());
                if rule.first() == Some(&b'(') && !closes {
                    open = Some(at);
                }
            }
        }
    }
    open.map_or(Ok(joined), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_put_together() {
        let join = |text: &str| {
            let joined = join_selectors(text.split(' ').map(str::as_bytes));
            joined.map(|rules| {
                rules.into_iter().map(|rule| String::from_utf8(rule).expect("text")).collect()
            })
        };
        let good = |rules: &[&str]| Ok(rules.iter().map(|rule| (*rule).to_owned()).collect());
        let join = |text: &str| -> Result<Vec<String>, usize> { join(text) };
        assert_eq!(join("on (+a ~b) off"), good(&["on", "(+a ~b)", "off"]));
        assert_eq!(join("(a) (b c d) ("), Err(4));
        assert_eq!(join("on (+a ~b"), Err(1));
        assert_eq!(join("() ( )"), good(&["()", "( )"]));
    }

    #[test]
    fn blanks_are_those_of_the_c_locale() {
        assert!(has_blanks(b"a b") && has_blanks(b"a\x0b") && has_blanks(b"\0"));
        assert!(!has_blanks(b"a\x1f\xa0"));
    }
}
