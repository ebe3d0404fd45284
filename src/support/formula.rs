//! Protection against CSV injection: a spreadsheet executes a cell that begins like a formula, and the text of a cell
//! may be a customer's.
//!
//! An apostrophe before such a text prevents it. A spreadsheet whose list separator is a semicolon or a tab reads
//! further cells in the middle of a text, because a quote protects a text only at the beginning of a cell. The same
//! apostrophe therefore also follows a separator and a line break inside a text. A text that already has apostrophes
//! gets one more, and the import removes one, so that it restores each text exactly. In a file of another origin, an
//! apostrophe inside a cell belongs to the text.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// The first characters of formulas in spreadsheets.
const SIGNS: [char; 4] = ['=', '+', '-', '@'];
/// The characters that spreadsheets skip before a formula (OWASP, CSV injection).
const SKIPPED: [char; 3] = ['\t', '\r', '\n'];
/// The characters in a text after which a spreadsheet may begin a new cell.
const SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

/// Returns whether a character begins a formula. East Asian editions of spreadsheets accept the full-width form of a
/// sign, as OWASP warns. All compatible forms in Unicode (NFKC) therefore count, such as the small ones.
fn is_sign(letter: char) -> bool {
    if letter.is_ascii() {
        return SIGNS.contains(&letter);
    }
    let mut buffer = [0; 4];
    let compatible = ComposingNormalizerBorrowed::new_nfkc().normalize(letter.encode_utf8(&mut buffer));
    compatible.starts_with(SIGNS)
}

/// Returns the parts of a text that may become cells, each with its separator, and whether it is the first one.
fn parts(text: &str) -> impl Iterator<Item = (bool, &str)> {
    text.split_inclusive(SEPARATORS).enumerate().map(|(number, part)| (number == 0, part))
}

/// Returns whether a part begins like a formula, perhaps after apostrophes, or after quotes that the spreadsheet removes.
fn is_formula((is_first, part): (bool, &str)) -> bool {
    let first = part.trim_start_matches(['\'', '"']).chars().next();
    first.is_some_and(|letter| is_sign(letter) || is_first && SKIPPED.contains(&letter))
}

/// Returns the text as cells that are no formulas.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !parts(text).any(is_formula) {
        return Cow::Borrowed(text);
    }
    parts(text).flat_map(|part| [if is_formula(part) { "'" } else { "" }, part.1]).collect()
}

/// Returns the text of a cell. Only in the files of the export do apostrophes inside a cell protect it.
pub(crate) fn unescape(cell: &str, is_exported: bool) -> Cow<'_, str> {
    if !cell.contains('\'') {
        return Cow::Borrowed(cell);
    }
    let text = |(is_first, part): (bool, _)| {
        let is_protected = |text: &&str| (is_first || is_exported) && is_formula((is_first, text));
        let text = str::strip_prefix(part, '\'').filter(is_protected);
        text.unwrap_or(part)
    };
    parts(cell).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_formulas_are_escaped() {
        let lines = ["a\r\n\tb;c", "a;'b\n'c'", "a,=1", "\"", "a; =1", "a;\"b"];
        let words = ["", "a", "a=1", "'", "'quoted'", " ", "1", "Ä", "打", "＇", "１", "–", "￥"];
        for text in words.into_iter().chain(lines) {
            assert_eq!(escape(text), text);
            assert_eq!(unescape(text, true), text);
        }
        let full_width = ["＝1+1", "＋1", "－1", "＠SUM(A1)", "'＝1"];
        let other_forms = ["\u{fe66}1", "\u{fe62}1", "\u{fe63}1", "\u{fe6b}A", "\u{207a}1", "\u{208c}1"];
        let ascii = ["=1+1", "+1", "-1", "@SUM(A1)", "\t1", "\r1", "\n1", "'=1", "''-", "\"=1", "'\"'-"];
        for text in ascii.into_iter().chain(full_width).chain(other_forms) {
            assert_eq!(escape(text), format!("'{text}"));
            assert_eq!(unescape(&escape(text), true), text);
        }
    }

    #[test]
    fn a_formula_after_a_separator_is_escaped() {
        for (text, escaped) in [
            ("x;=1", "x;'=1"),
            ("x\n-1\r\n=1\n", "x\n'-1\r\n'=1\n"),
            ("\t=1", "'\t'=1"),
            ("=1;'+1;;＝1", "'=1;''+1;;'＝1"),
            ("x;\"=1\"", "x;'\"=1\""),
            ("x;'\"'@", "x;''\"'@"),
        ] {
            assert_eq!(escape(text), escaped);
            assert_eq!(unescape(escaped, true), text);
        }
        assert_eq!(unescape("'=1;'+1\n'-", false), "=1;'+1\n'-");
    }
}
