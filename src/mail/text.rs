//! Texts of users in mails.

/// Returns a name that a stranger has chosen, on one line, with a zero-width space after each character that could make a part
/// of it look like a link or an address. Mail programs then show the name as it is, and make no link of it. The names themselves
/// have no such rule, because companies are named after their domains.
pub fn unlinked(name: &str) -> String {
    const ZERO_WIDTH_SPACE: char = '\u{200b}';
    let apart = |c: char| std::iter::once(c).chain(matches!(c, '.' | ':' | '/' | '@').then_some(ZERO_WIDTH_SPACE));
    one_line(name).chars().flat_map(apart).collect()
}

/// Collapses user input into one line.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
