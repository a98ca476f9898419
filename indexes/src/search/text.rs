//! How text is compared: folded to letters, digits and ideographs, and cut into bigrams.
//!
//! Folding takes each character by itself (NFKD, lower case) and drops what is no letter, digit or
//! ideograph, so `（` and `(` and nothing are the same, full-width is half-width, and accents do
//! not matter. Text of n folded characters becomes n + 1 bigrams, the first with a mark for the
//! start and the last with one for the end. A run of two or more characters stands in a text if
//! its bigrams stand there one after the other; with the marks, the same question tells whether
//! the text starts with the run or is the run.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use unicode_normalization::UnicodeNormalization;

const START: char = '\u{2}';
const END: char = '\u{3}';

/// Folded text, with where each character came from.
pub(super) struct Folded {
    pub(super) characters: Vec<char>,
    /// For each of them, the byte range of the original character.
    pub(super) origins: Vec<(usize, usize)>,
}

pub(super) fn fold(text: &str) -> Folded {
    let mut folded = Folded { characters: Vec::new(), origins: Vec::new() };
    for (at, original) in text.char_indices() {
        fold_character(original, |character| {
            folded.characters.push(character);
            folded.origins.push((at, at + original.len_utf8()));
        });
    }
    folded
}

/// The folded text alone.
pub(super) fn folded_text(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for original in text.chars() {
        fold_character(original, |character| folded.push(character));
    }
    folded
}

fn fold_character(original: char, mut keep: impl FnMut(char)) {
    if original.is_ascii() {
        if original.is_ascii_alphanumeric() {
            keep(original.to_ascii_lowercase());
        }
        return;
    }
    for part in std::iter::once(original).nfkd() {
        part.to_lowercase().filter(|&lower| is_kept(lower)).for_each(&mut keep);
    }
}

/// Letters, digits, ideographs; rare characters of names also where only a private code point or
/// one of a later Unicode version stands for them.
fn is_kept(character: char) -> bool {
    character.is_alphanumeric()
        || matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{20000}'..='\u{3ffff}' | '\u{f0000}'..)
}

/// What is searched for: the whole folded text and its parts.
pub(super) struct Asked {
    pub(super) whole: Vec<char>,
    /// Between characters that folding drops; only if there are at least two.
    pub(super) parts: Vec<Vec<char>>,
}

/// Longer queries are cut: no name on a licence is longer.
const MAX_CHARACTERS: usize = 256;
const MAX_PARTS: usize = 8;

impl Asked {
    pub(super) fn new(text: &str) -> Self {
        let mut whole = Vec::new();
        let mut parts = vec![Vec::new()];
        for original in text.chars() {
            let before = whole.len();
            fold_character(original, |character| whole.push(character));
            if whole.len() >= MAX_CHARACTERS {
                whole.truncate(MAX_CHARACTERS);
            }
            match parts.last_mut() {
                Some(part) if whole.len() > before => part.extend_from_slice(&whole[before..]),
                Some(part) if !part.is_empty() => parts.push(Vec::new()),
                _ => {}
            }
            if whole.len() == MAX_CHARACTERS {
                break;
            }
        }
        parts.retain(|part| !part.is_empty());
        parts.truncate(MAX_PARTS);
        if parts.len() < 2 {
            parts.clear();
        }
        Self { whole, parts }
    }
}

/// Whether a run has to start or end a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Nowhere,
    Start,
    Both,
}

/// The bigrams that together say that `run` stands in a text, with their places in the run. One
/// character without anchor has none.
pub(super) fn cover(run: &[char], anchor: Anchor) -> Vec<(usize, String)> {
    let start = (anchor != Anchor::Nowhere).then_some(START);
    let end = (anchor == Anchor::Both).then_some(END);
    let marked: Vec<char> = start.into_iter().chain(run.iter().copied()).chain(end).collect();
    let Some(last) = marked.len().checked_sub(2) else { return Vec::new() };
    // Every second one names every character; the last ends where the run ends.
    let places = (0..last).step_by(2).chain([last]);
    places.map(|place| (place, marked[place..place + 2].iter().collect())).collect()
}

/// Cuts a text into its bigrams, for the index.
#[derive(Clone, Default)]
pub(super) struct Bigrams;

/// Cuts a text into its characters, for the index.
#[derive(Clone, Default)]
pub(super) struct Characters;

/// The tokens of one text.
pub(super) struct Runs {
    characters: Vec<char>,
    length: usize,
    next: usize,
    token: Token,
}

impl Tokenizer for Bigrams {
    type TokenStream<'a> = Runs;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Runs {
        let mut characters = vec![START];
        for original in text.chars() {
            fold_character(original, |character| characters.push(character));
        }
        match characters.len() {
            1 => characters.clear(),
            _ => characters.push(END),
        }
        Runs { characters, length: 2, next: 0, token: Token::default() }
    }
}

impl Tokenizer for Characters {
    type TokenStream<'a> = Runs;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Runs {
        let mut characters = fold(text).characters;
        characters.sort_unstable();
        characters.dedup();
        Runs { characters, length: 1, next: 0, token: Token::default() }
    }
}

impl TokenStream for Runs {
    fn advance(&mut self) -> bool {
        let Some(run) = self.characters.get(self.next..self.next + self.length) else {
            return false;
        };
        self.token.text.clear();
        self.token.text.extend(run);
        self.token.position = self.next;
        self.token.position_length = 1;
        self.next += 1;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

/// Where `run` stands first in a folded text.
pub(super) fn find(text: &Folded, run: &[char]) -> Option<std::ops::Range<usize>> {
    if run.is_empty() {
        return None;
    }
    let start = text.characters.windows(run.len()).position(|window| window == run)?;
    let (from, _) = text.origins[start];
    let (_, to) = text.origins[start + run.len() - 1];
    Some(from..to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        Bigrams.token_stream(text).process(&mut |token| tokens.push(token.text.clone()));
        tokens
    }

    #[test]
    fn brackets_width_case_and_accents_do_not_matter() {
        assert_eq!(folded_text("福州（鼓楼）ＡＢ①Café 店"), "福州鼓楼ab1cafe店");
        assert_eq!(folded_text("福州(鼓楼)ab1cafe·店"), "福州鼓楼ab1cafe店");
        assert_eq!(folded_text("〇𠮷\u{e863}"), "〇𠮷\u{e863}");
        assert_eq!(folded_text("（）－—，。"), "");
    }

    #[test]
    fn a_text_is_cut_into_bigrams_with_marks() {
        assert_eq!(tokens("甲(乙)C"), ["\u{2}甲", "甲乙", "乙c", "c\u{3}"]);
        assert_eq!(tokens("——"), Vec::<String>::new());
    }

    #[test]
    fn parts_stand_between_what_is_dropped() {
        let asked = Asked::new("  福州，餐饮 店 ");
        assert_eq!(asked.whole.iter().collect::<String>(), "福州餐饮店");
        let parts: Vec<String> = asked.parts.iter().map(|part| part.iter().collect()).collect();
        assert_eq!(parts, ["福州", "餐饮", "店"]);
        assert!(Asked::new("福州").parts.is_empty());
        assert!(Asked::new(" ?*:\"\\ ").whole.is_empty());
        assert_eq!(Asked::new(&"甲".repeat(10_000)).whole.len(), MAX_CHARACTERS);
    }

    /// A model of the phrase query: every bigram stands at its place from one start.
    fn stands_in(text: &str, cover: &[(usize, String)]) -> bool {
        let tokens = tokens(text);
        (0..tokens.len()).any(|start| {
            cover.iter().all(|(place, bigram)| tokens.get(start + place) == Some(bigram))
        })
    }

    proptest! {
        #[test]
        fn a_cover_says_the_same_as_the_text(text in "[甲乙a(]{0,6}", run in "[甲乙a]{1,4}") {
            let folded = folded_text(&text);
            let characters: Vec<char> = run.chars().collect();
            if characters.len() > 1 {
                let contains = stands_in(&text, &cover(&characters, Anchor::Nowhere));
                prop_assert_eq!(contains, folded.contains(&run));
            }
            let starts = stands_in(&text, &cover(&characters, Anchor::Start));
            prop_assert_eq!(starts, folded.starts_with(&run));
            prop_assert_eq!(stands_in(&text, &cover(&characters, Anchor::Both)), folded == run);
        }

        #[test]
        fn a_find_shows_original_text_that_folds_to_the_run(text in ".{0,12}", at in 0..12_usize) {
            let folded = fold(&text);
            let run: Vec<char> = folded.characters.iter().skip(at).take(3).copied().collect();
            if let Some(range) = find(&folded, &run) {
                let shown = folded_text(&text[range]);
                prop_assert!(shown.contains(&run.iter().collect::<String>()));
            } else {
                prop_assert!(run.is_empty());
            }
        }
    }
}
