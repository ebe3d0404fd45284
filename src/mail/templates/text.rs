//! Line breaking of plain-text mail.

/// The maximum line length, in characters; RFC 5322 recommends at most 78.
const WIDTH: usize = 76;

/// Breaks a text into lines. A word that is longer than a line, such as a link, is not broken.
pub(super) fn flow(text: &str) -> String {
    let mut lines = vec![String::new()];
    let mut room = WIDTH;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if length < room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
        room = WIDTH.saturating_sub(lines.last().map_or(0, |line| line.chars().count()));
    }
    lines.join("\n")
}

/// Removes spaces at the end of lines, and all but one of the empty lines between paragraphs.
pub(super) fn tidy(text: &str) -> String {
    let mut tidy = String::new();
    let mut empty = 0;
    for line in text.lines() {
        // The line above a signature ends with a space (RFC 3676).
        let line = if line == "-- " { line } else { line.trim_end() };
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 && !(line.is_empty() && tidy.is_empty()) {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy.truncate(tidy.trim_end().len());
    tidy.push('\n');
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_short_and_words_whole() {
        let text = flow(&format!("{} {} end", "word ".repeat(30), "x".repeat(100)));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH || !line.contains(' ')), "{text}");
        assert_eq!(text.split_whitespace().count(), 32);
        assert_eq!(flow(" "), "");
    }

    #[test]
    fn empty_lines_are_single() {
        assert_eq!(tidy("\n\n a \n\n\n\nb\n-- \nc\n\n"), " a\n\nb\n-- \nc\n");
    }
}
