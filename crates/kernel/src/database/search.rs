//! What people search for, as a query that Postgres reads: words that must all occur, "phrases", -not, and or.
//!
//! It takes a text apart as the function `search_words` takes apart what is searched, so that words are found in every
//! script and spelling: variants of a character are folded, punctuation of ASCII separates words, and runs of scripts without spaces become pairs of characters. Words that
//! stand together, such as the parts of an address, are searched as a phrase, but for single characters of such scripts.

use std::ops::RangeInclusive;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Postgres' parser has a stack of 32 operators, and each dash may be one: 33 in a row are an internal error of it.
const MAX_DASHES: usize = 16;

/// The characters of scripts that are written without spaces, as the function `search_dense` has them.
const DENSE: [RangeInclusive<char>; 19] = [
    '\u{e00}'..='\u{eff}',
    '\u{1000}'..='\u{109f}',
    '\u{1100}'..='\u{11ff}',
    '\u{1780}'..='\u{17ff}',
    '\u{1950}'..='\u{19df}',
    '\u{1a20}'..='\u{1aaf}',
    '\u{1b00}'..='\u{1b7f}',
    '\u{3005}'..='\u{3007}',
    '\u{3041}'..='\u{309f}',
    '\u{30a1}'..='\u{30fa}',
    '\u{30fc}'..='\u{31ff}',
    '\u{3400}'..='\u{4dbf}',
    '\u{4e00}'..='\u{a4cf}',
    '\u{a980}'..='\u{a9ff}',
    '\u{aa60}'..='\u{aadf}',
    '\u{ac00}'..='\u{d7ff}',
    '\u{f900}'..='\u{faff}',
    '\u{ff66}'..='\u{ffdc}',
    '\u{20000}'..='\u{3ffff}',
];

fn is_dense(letter: char) -> bool {
    letter >= *DENSE[0].start() && DENSE.iter().any(|range| range.contains(&letter))
}

/// Returns the form of a text in which it is searched, as the function `search_fold` does.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in ComposingNormalizerBorrowed::new_nfkc().normalize(&without_lone_sound_marks(text)).chars() {
        match letter {
            // Soft hyphen, joiners, directions and variation selectors.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' => {}
            '\u{feff}' | '\u{e0100}'..='\u{e01ef}' => {}
            // The points of Hebrew and Arabic, and tatweel.
            '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}' => {}
            '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' => {}
            'ß' | 'ẞ' => folded += "ss",
            // Lowercasing a capital at the end of a word may give the final form.
            'ς' | 'Σ' => folded.push('σ'),
            '\u{622}' | '\u{623}' | '\u{625}' => folded.push('\u{627}'),
            '\u{629}' => folded.push('\u{647}'),
            '\u{643}' => folded.push('\u{6a9}'),
            '\u{649}' | '\u{64a}' => folded.push('\u{6cc}'),
            other => folded.push(other),
        }
    }
    folded
}

/// Replaces half-width sound marks that follow no kana by spaces.
fn without_lone_sound_marks(text: &str) -> String {
    let mut before = ' ';
    let replace = |letter| {
        let is_lone = matches!(letter, '\u{ff9e}' | '\u{ff9f}') && !matches!(before, '\u{ff66}'..='\u{ff9d}');
        before = letter;
        if is_lone { ' ' } else { letter }
    };
    text.chars().map(replace).collect()
}

/// Returns a search in the syntax of `websearch_to_tsquery`.
pub(crate) fn terms(query: &str) -> String {
    let query = fold(query);
    let mut terms = Terms::default();
    // Every other part stands between quotes.
    for (number, part) in query.split('"').enumerate() {
        if number % 2 == 1 {
            terms.add(part);
            continue;
        }
        terms.is_negated = false;
        for chunk in part.split_whitespace() {
            let rest = chunk.trim_start_matches('-');
            terms.is_negated = rest.len() < chunk.len();
            if chunk.eq_ignore_ascii_case("or") { terms.text += "or " } else { terms.add(rest) }
        }
        // A dash negates what follows it at once.
        terms.is_negated &= part.ends_with('-');
    }
    terms.text
}

#[derive(Default)]
struct Terms {
    text: String,
    dashes: usize,
    is_negated: bool,
}

impl Terms {
    fn add(&mut self, text: &str) {
        let words = words(text);
        if words.is_empty() {
            return;
        }
        if std::mem::take(&mut self.is_negated) {
            if self.dashes < MAX_DASHES {
                self.dashes += 1;
                self.text.push('-');
            }
            self.text += &format!("\"{words}\" ");
            return;
        }
        for phrase in phrases(&words) {
            self.text += &format!("\"{phrase}\" ");
        }
    }
}

/// Splits words that stand together at each single character of a script without spaces, such as the second one of `5月`:
/// inside of a longer run, that character has no position in what is searched, only its pairs have one. All parts must
/// occur. A negated phrase is not split, because its parts may occur apart from each other.
fn phrases(words: &str) -> Vec<String> {
    let mut phrases: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in words.split(' ') {
        let mut letters = word.chars();
        let is_single = letters.next().is_some_and(is_dense) && letters.next().is_none();
        match phrases.last_mut().filter(|_| is_open && !is_single) {
            Some(phrase) => *phrase = format!("{phrase} {word}"),
            None => phrases.push(word.to_owned()),
        }
        is_open = !is_single;
    }
    phrases
}

/// Returns the words of a text, with pairs of characters for scripts without spaces.
fn words(text: &str) -> String {
    let (mut words, mut letters, mut is_after_dense) = (String::new(), text.chars().peekable(), false);
    while let Some(letter) = letters.next() {
        let is_separator = letter.is_ascii_punctuation() || letter.is_whitespace();
        if is_separator || is_dense(letter) || is_after_dense {
            words.push(' ');
        }
        match letters.peek() {
            _ if is_separator => is_after_dense = false,
            Some(&next) if is_dense(letter) && is_dense(next) => {
                words.extend([letter, next]);
                is_after_dense = true;
            }
            // The last one of a run is in the pair before.
            _ if is_dense(letter) && is_after_dense => {}
            _ => {
                words.push(letter);
                is_after_dense = is_dense(letter);
            }
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_words_are_a_phrase() {
        for (query, expected) in [
            ("", ""),
            ("  \t ", ""),
            ("printer fire", "\"printer\" \"fire\" "),
            ("\"on fire\" -smoke", "\"on fire\" -\"smoke\" "),
            ("-\"on fire\" or help", "-\"on fire\" or \"help\" "),
            ("ada@example.com -error-prone", "\"ada example com\" -\"error prone\" "),
            ("\"open", "\"open\" "),
            ("C:\\new - x", "\"C new\" \"x\" "),
            ("<!-- & | ! ( ) : * '", ""),
            ("Größe", "\"Grösse\" "),
        ] {
            assert_eq!(terms(query), expected, "{query}");
        }
        assert_eq!(terms(&"-a ".repeat(40)).matches('-').count(), MAX_DASHES);
    }

    #[test]
    fn scripts_without_spaces_are_searched_by_pairs() {
        for (query, expected) in [
            ("打印机", "\"打印 印机\" "),
            ("机", "\"机\" "),
            ("-打印机 \"坏了 now\"", "-\"打印 印机\" \"坏了 now\" "),
            ("A4打印", "\"A4 打印\" "),
            ("5月", "\"5\" \"月\" "),
            ("去年5月", "\"去年 5\" \"月\" "),
            ("5月5日 -5月", "\"5\" \"月\" \"5\" \"日\" -\"5 月\" "),
            ("\"A4 纸 b c\"", "\"A4\" \"纸\" \"b c\" "),
            ("打印A4", "\"打印 A4\" "),
            ("ﾌﾟﾘﾝﾀ", "\"プリ リン ンタ\" "),
            ("プリンター、故障", "\"プリ リン ンタ ター 、 故障\" "),
            ("หิว", "\"หิ ิว\" "),
            ("프린터", "\"프린 린터\" "),
        ] {
            assert_eq!(terms(query), expected, "{query}");
        }
    }
}
