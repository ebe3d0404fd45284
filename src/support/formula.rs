//! Protection against CSV injection: a spreadsheet executes a cell that begins like a formula, and the text of a cell
//! may be a customer's.
//!
//! An apostrophe before such a text prevents it. A text that already has apostrophes gets one more, and the import
//! removes one, so that it restores each text exactly.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// The first characters of formulas in spreadsheets (OWASP, CSV injection).
const STARTS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// Returns whether a character begins a formula. East Asian editions of spreadsheets accept the full-width form of a
/// sign, as OWASP warns. All compatible forms in Unicode (NFKC) therefore count, such as the small ones.
fn is_start(letter: char) -> bool {
    if letter.is_ascii() {
        return STARTS.contains(&letter);
    }
    let mut buffer = [0; 4];
    let compatible = ComposingNormalizerBorrowed::new_nfkc().normalize(letter.encode_utf8(&mut buffer));
    compatible.starts_with(STARTS)
}

fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').chars().next().is_some_and(is_start)
}

/// Returns the text as a cell that is not a formula.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// Returns the text of a cell.
pub(crate) fn unescape(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| is_formula(text)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_formulas_are_escaped() {
        for text in ["", "a", "a=1", "'", "'quoted'", " ", "1", "Ä", "打", "＇", "１", "–", "￥"] {
            assert_eq!(escape(text), text);
            assert_eq!(unescape(text), text);
        }
        let full_width = ["＝1+1", "＋1", "－1", "＠SUM(A1)", "'＝1"];
        let other_forms = ["\u{fe66}1", "\u{fe62}1", "\u{fe63}1", "\u{fe6b}A", "\u{207a}1", "\u{208c}1"];
        let ascii = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''-"];
        for text in ascii.into_iter().chain(full_width).chain(other_forms) {
            assert_eq!(escape(text), format!("'{text}"));
            assert_eq!(unescape(&escape(text)), text);
        }
    }
}
