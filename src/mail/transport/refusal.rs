//! The reason why a provider did not accept a mail.

use mainstay_kernel::outbound::Kind;

/// The reason why a mail was not accepted, and its implication for the provider.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    /// The reason, without any address.
    pub(crate) why: String,
}

impl Refusal {
    /// Creates a refusal from a provider's answer to a mail for `to`. Providers tend to quote addresses, which are
    /// removed.
    pub(crate) fn new(kind: Kind, answer: &str, to: &str) -> Self {
        Self { kind, why: without_addresses(answer, to) }
    }
}

/// The maximum length of a stored reason, in characters.
const MAX_WHY: usize = 300;

/// Removes the words that contain an address, or the local part of the recipient's address.
fn without_addresses(text: &str, to: &str) -> String {
    let name = to.rsplit_once('@').map_or(to, |(name, _)| name).to_lowercase();
    let is_name = |word: &str| {
        let word = word.to_lowercase();
        let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
        // Short names occur inside many words, so they must match a whole word.
        bare == name || (name.len() > 3 && word.contains(&name))
    };
    let hidden = |word| if str::contains(word, '@') || is_name(word) { "…" } else { word };
    let words: Vec<_> = text.split_whitespace().map(hidden).collect();
    words.join(" ").chars().take(MAX_WHY).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_answers_contain_no_addresses() {
        let text =
            "permanent error (550): 5.1.1 <Jane.Doe@b.example>: user=jane.doe or 'jane.doe' unknown at a@b.example";
        let expected = "permanent error (550): 5.1.1 … … or … unknown at …";
        assert_eq!(without_addresses(text, "jane.doe@b.example"), expected);
        assert_eq!(
            without_addresses("550 a mailbox <a> is unavailable", "a@b.example"),
            "550 … mailbox … is unavailable"
        );
    }
}
