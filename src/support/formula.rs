//! Formulas in CSV files: a spreadsheet runs a cell that begins like one, whoever wrote its text.
//!
//! An apostrophe before such a text makes it a text again. Those that have apostrophes already get one more, so that the import,
//! which takes one away, restores each text exactly.

use std::borrow::Cow;

/// What a formula begins with, in some spreadsheet (OWASP, CSV injection).
const STARTS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(STARTS)
}

/// Returns the text as a cell that is no formula.
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
        for text in ["", "a", "a=1", "'", "'quoted'", " ", "1", "Ä"] {
            assert_eq!(escape(text), text);
            assert_eq!(unescape(text), text);
        }
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''-"] {
            assert_eq!(escape(text), format!("'{text}"));
            assert_eq!(unescape(&escape(text)), text);
        }
    }
}
