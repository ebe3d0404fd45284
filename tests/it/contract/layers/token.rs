//! The tokens of a Rust file, without comments, literals and tests.

/// A word or a sign of the source; `::` is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn is_name(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// Splits a file into tokens and removes items marked `#[cfg(test)]`.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    without_tests(&split(text))
}

fn split(text: &str) -> Vec<Token> {
    let (mut tokens, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ if rest.starts_with("::") => 2,
            '"' => string(rest),
            '\'' => character(rest),
            _ if first.is_alphabetic() || first == '_' => {
                let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let hashes = rest[word..].len() - rest[word..].trim_start_matches('#').len();
                match (&rest[..word], rest[word + hashes..].starts_with('"')) {
                    ("r" | "br", true) => raw_string(rest, word + hashes, hashes),
                    // A raw name: `r#type`.
                    ("r", false) if hashes == 1 => 2,
                    _ => word,
                }
            }
            _ => first.len_utf8(),
        };
        let (head, after) = rest.split_at(length.max(1));
        let is_code = !head.starts_with("//") && !head.starts_with("/*") && !head.contains(['"', '\'']);
        if is_code && !first.is_whitespace() && head != "r#" {
            tokens.push(Token { text: head.to_owned(), line });
        }
        line += head.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Returns the length of the string literal at the start.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str, quote: usize, hashes: usize) -> usize {
    let end = format!("\"{}", "#".repeat(hashes));
    text[quote + 1..].find(&end).map_or(text.len(), |at| quote + 1 + at + end.len())
}

/// Returns the length of the character literal at the start, or of the quote of a lifetime.
fn character(text: &str) -> usize {
    let mut inside = text.chars().skip(1);
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => text[3..].find('\'').map_or(text.len(), |at| at + 4),
        (Some(one), Some('\'')) => one.len_utf8() + 2,
        _ => 1,
    }
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut result, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let marked = tokens.len() - at >= MARK.len() && MARK.iter().zip(&tokens[at..]).all(|(word, t)| t.text == *word);
        if marked {
            at = end_of_item(tokens, at + MARK.len());
        } else {
            result.push(tokens[at].clone());
            at += 1;
        }
    }
    result
}

/// Returns the end of an item: after its `;`, or after its block.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let is_use = tokens.get(start).is_some_and(|token| token.text == "use");
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth -= 1;
                if depth == 0 && token.text == "}" && !is_use {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}
