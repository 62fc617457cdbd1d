//! Which commands may a user run? A bit for each command, by the number that its name has.
//!
//! Commands that modules bring later get numbers beyond the bits that are kept; one more bit stands for
//! all of those, so that whoever was given everything also gets what comes.

/// A set of commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandSet {
    words: Vec<u64>,
    /// Whether commands beyond the words are in it.
    rest: bool,
    /// Nothing was taken out since everything was put in, so that no bit needs a look.
    is_whole: bool,
}

impl CommandSet {
    /// All commands, also those to come.
    pub fn all() -> Self {
        Self { words: Vec::new(), rest: true, is_whole: true }
    }

    /// Whether it is all of them.
    pub fn is_all(&self) -> bool {
        self.is_whole
    }

    /// Whether commands to come are in it.
    pub fn takes_new(&self) -> bool {
        self.rest
    }

    /// Whether the command of this number is in it.
    #[inline]
    pub fn has(&self, id: u32) -> bool {
        let word = self.words.get(id as usize / 64);
        word.map_or(self.rest, |word| word >> (id % 64) & 1 == 1)
    }

    /// Puts a command in or takes it out.
    pub fn set(&mut self, id: u32, allow: bool) {
        let at = id as usize / 64;
        if at >= self.words.len() {
            self.words.resize(at + 1, if self.rest { u64::MAX } else { 0 });
        }
        let bit = 1 << (id % 64);
        match allow {
            true => self.words[at] |= bit,
            false => {
                self.words[at] &= !bit;
                self.is_whole = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_later_follows_the_rest() {
        let mut all = CommandSet::all();
        assert!(all.is_all() && all.takes_new() && all.has(0) && all.has(70_000));
        all.set(3, false);
        assert!(!all.is_all() && !all.has(3) && all.has(2) && all.has(64) && all.has(70_000));
        let mut none = CommandSet::default();
        assert!(!none.has(0) && !none.has(70_000));
        none.set(65, true);
        assert!(none.has(65) && !none.has(64) && !none.has(1) && !none.has(70_000));
        assert!(!none.is_all() && !none.takes_new());
    }
}
