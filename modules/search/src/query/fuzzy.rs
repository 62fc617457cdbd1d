//! Which words lie within an edit distance of a given one?
//!
//! An automaton that reads a word letter by letter. Its state is a bit per letter of the wanted word and per number of
//! edits: "so many letters of it can have been read with so many edits". One step works on all bits at once (Wu and
//! Manber, 1992), and a state without bits rules out everything that goes on from there, so that only a small part of
//! a dictionary is looked at.

/// Most edits.
pub const DISTANCE_MAX: u8 = 3;
/// Longest wanted word, in letters: one bit is for "none read yet".
pub const LETTERS_MAX: usize = 63;

const ROWS: usize = DISTANCE_MAX as usize + 1;

/// The automaton of one word.
#[derive(Debug, Clone)]
pub struct Fuzzy {
    /// For each letter of the word, its places.
    places: Vec<(char, u64)>,
    distance: usize,
    /// The bit of the last letter.
    last: u64,
    /// All bits that mean something.
    all: u64,
}

/// What has been read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// By number of edits: bit i, if the first i letters can have been read.
    rows: [u64; ROWS],
    /// The letter that is being read, as far as its bytes have come, and how many are missing.
    letter: u32,
    missing: u8,
}

impl Fuzzy {
    /// The automaton; none if the word is too long or too many edits are allowed.
    pub fn new(word: &str, distance: u8) -> Option<Fuzzy> {
        let length = word.chars().count();
        if length > LETTERS_MAX || distance > DISTANCE_MAX {
            return None;
        }
        let mut places: Vec<(char, u64)> = Vec::new();
        for (at, letter) in word.chars().enumerate() {
            match places.iter_mut().find(|(other, _)| *other == letter) {
                Some((_, bits)) => *bits |= 1 << at,
                None => places.push((letter, 1 << at)),
            }
        }
        let last = 1 << length;
        Some(Fuzzy { places, distance: distance.into(), last, all: last | (last - 1) })
    }

    /// Nothing has been read.
    pub fn start(&self) -> State {
        let mut rows = [0; ROWS];
        for (edits, row) in rows.iter_mut().enumerate().take(self.distance + 1) {
            // As many letters may be missing as there are edits.
            *row = ((1u64 << (edits + 1)) - 1) & self.all;
        }
        State { rows, letter: 0, missing: 0 }
    }

    /// One more byte of UTF-8 has been read.
    pub fn byte(&self, state: &State, byte: u8) -> State {
        let (letter, missing) = match (state.missing, byte) {
            (0, 0..=0x7f) => (byte.into(), 0),
            (0, 0xc0..=0xdf) => (u32::from(byte & 0x1f), 1),
            (0, 0xe0..=0xef) => (u32::from(byte & 0x0f), 2),
            (0, 0xf0..=0xf7) => (u32::from(byte & 0x07), 3),
            (1.., 0x80..=0xbf) => (state.letter << 6 | u32::from(byte & 0x3f), state.missing - 1),
            // No word has such bytes.
            _ => return State { rows: [0; ROWS], letter: 0, missing: 0 },
        };
        if missing > 0 {
            return State { letter, missing, ..*state };
        }
        self.letter(state, char::from_u32(letter).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn letter(&self, state: &State, letter: char) -> State {
        let same = self.places.iter().find(|(other, _)| *other == letter);
        let same = same.map_or(0, |(_, bits)| *bits);
        let mut rows = [0; ROWS];
        rows[0] = (state.rows[0] & same) << 1;
        for edits in 1..=self.distance {
            let fewer = state.rows[edits - 1];
            // The letter fits; it is one too many; it stands for another; one before it is missing.
            let row = (state.rows[edits] & same) << 1 | fewer | fewer << 1 | rows[edits - 1] << 1;
            rows[edits] = row & self.all;
        }
        State { rows, letter: 0, missing: 0 }
    }

    /// Whether what has been read is near enough.
    pub fn is_match(&self, state: &State) -> bool {
        state.missing == 0 && state.rows.iter().any(|row| row & self.last != 0)
    }

    /// Whether something that goes on from here can be near enough.
    pub fn can_match(&self, state: &State) -> bool {
        state.rows.iter().any(|row| *row != 0)
    }

    /// Whether a whole word is near enough.
    pub fn matches(&self, word: &[u8]) -> bool {
        let mut state = self.start();
        for byte in word {
            state = self.byte(&state, *byte);
            if !self.can_match(&state) {
                return false;
            }
        }
        self.is_match(&state)
    }
}

impl tantivy_fst::Automaton for Fuzzy {
    type State = State;

    fn start(&self) -> State {
        Fuzzy::start(self)
    }

    fn is_match(&self, state: &State) -> bool {
        Fuzzy::is_match(self, state)
    }

    fn can_match(&self, state: &State) -> bool {
        Fuzzy::can_match(self, state)
    }

    fn accept(&self, state: &State, byte: u8) -> State {
        self.byte(state, byte)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::pattern::Pattern;

    proptest! {
        #[test]
        fn it_agrees_with_the_table_of_distances(
            word in "[abé\u{10348}]{0,7}", other in "[abé\u{10348}]{0,7}", distance in 0..=DISTANCE_MAX,
        ) {
            let fuzzy = Fuzzy::new(&word, distance).unwrap();
            let expected = Pattern::Fuzzy { word, distance }.matches(other.as_bytes());
            prop_assert_eq!(fuzzy.matches(other.as_bytes()), expected);
        }

        #[test]
        fn any_bytes_are_read(word in "[a-z]{0,63}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            Fuzzy::new(&word, 3).unwrap().matches(&bytes);
        }
    }

    #[test]
    fn long_words_and_many_edits_are_left_to_others() {
        assert!(Fuzzy::new(&"a".repeat(LETTERS_MAX + 1), 1).is_none());
        assert!(Fuzzy::new("a", DISTANCE_MAX + 1).is_none());
        let long = "ab".repeat(31) + "a";
        assert!(Fuzzy::new(&long, 1).unwrap().matches(long.as_bytes()));
        assert!(Fuzzy::new(&long, 1).unwrap().matches(&long.as_bytes()[1..]));
        assert!(!Fuzzy::new(&long, 1).unwrap().matches(&long.as_bytes()[2..]));
    }
}
