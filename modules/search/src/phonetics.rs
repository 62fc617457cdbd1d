//! How does a word sound?
//!
//! By Lawrence Philips's double metaphone, of which only the first code counts, for all of the languages that PHONETIC
//! can name: RediSearch does the same. Words of other scripts have no sound.

use std::sync::LazyLock;

use rphonetic::{DoubleMetaphone, Encoder};

/// Marks a sound in the dictionary; words cannot begin with it unless it is escaped in the text.
pub const SOUND_MARK: char = '<';

/// Longest word that has a sound, in bytes: its code has four letters, and says nothing of a longer one.
const BYTES_MAX: usize = 128;

static ENCODER: LazyLock<DoubleMetaphone> = LazyLock::new(DoubleMetaphone::default);

/// Whether PHONETIC takes this name of a matcher.
pub fn is_matcher(name: &[u8]) -> bool {
    matches!(name.to_ascii_lowercase().as_slice(), b"dm:en" | b"dm:fr" | b"dm:pt" | b"dm:es")
}

/// The code of a word's sound.
pub fn sound(word: &str) -> Option<String> {
    if word.len() > BYTES_MAX || !word.is_ascii() {
        return None;
    }
    Some(ENCODER.encode(word)).filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_that_sound_alike_have_one_code() {
        assert_eq!(sound("jon"), sound("john"));
        assert_eq!(sound("smith"), Some("SM0".to_owned()));
        assert_ne!(sound("jon"), sound("mary"));
        assert_eq!(sound("größe"), None);
        assert_eq!(sound("123"), None);
    }

    proptest! {
        #[test]
        fn no_word_panics(word in "[ -~]{0,40}", letters in "[a-z]{0,20}") {
            sound(&word);
            sound(&letters);
        }
    }
}
