//! Normalization of texts to Unicode's form NFC (Unicode Standard Annex 15), which browsers send and RFC 5198
//! recommends. Systems that store decomposed file names, such as macOS, send NFD.

use icu_normalizer::ComposingNormalizerBorrowed;

/// Normalizes a text in place. A text that is normalized already, such as any ASCII text, is not copied.
pub fn normalize(text: &mut String) {
    if let std::borrow::Cow::Owned(normalized) = ComposingNormalizerBorrowed::new_nfc().normalize(text) {
        *text = normalized;
    }
}

/// Returns the normalized text.
#[must_use]
pub fn normalized(mut text: String) -> String {
    normalize(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::validate::check::{has_line_break, is_blank};

    #[test]
    fn decomposed_texts_are_composed() {
        for (decomposed, composed) in [
            ("Mu\u{308}ller", "M\u{fc}ller"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("\u{304b}\u{3099}", "\u{304c}"),
            // The order of combining marks is canonical, too.
            ("q\u{323}\u{307}", "q\u{323}\u{307}"),
            ("q\u{307}\u{323}", "q\u{323}\u{307}"),
            ("\u{212b}", "\u{c5}"),
        ] {
            assert_eq!(normalized(decomposed.to_owned()), composed);
            assert_eq!(normalized(composed.to_owned()), composed);
        }
        // Compatibility characters are kept, because a superscript has another meaning than the plain digit.
        assert_eq!(normalized("x\u{b2} \u{ff11} \u{fb01}".to_owned()), "x\u{b2} \u{ff11} \u{fb01}");
    }

    #[test]
    fn a_text_without_a_visible_character_is_blank() {
        let blank = [
            "",
            " ",
            "\t\n",
            "\u{a0}",
            "\u{3000}",
            "\u{200b}",
            "\u{200d}",
            "\u{2060}",
            "\u{feff}",
            "\u{ad}",
            "\u{200f}",
            "\u{202e}",
            "\u{3164}",
            "\u{115f}",
            "\u{ffa0}",
            "\u{180e}",
            "\u{fe0f}",
            "\u{2800}",
            "\u{e0020}",
            "\u{7f}",
            " \u{200b} ",
        ];
        for text in blank {
            assert!(is_blank(text), "{text:?}");
        }
        for text in
            ["a", ".", "\u{200f}\u{5d0}", "\u{1f469}\u{200d}\u{1f52c}", "\u{4e2d}", "\u{301}", " 1 ", "\u{ff0d}"]
        {
            assert!(!is_blank(text), "{text:?}");
        }
    }

    #[test]
    fn every_mandatory_line_break_is_found() {
        for text in ["a\nb", "\r", "a\u{b}", "\u{c}b", "a\u{85}b", "a\u{2028}b", "\u{2029}"] {
            assert!(has_line_break(text), "{text:?}");
        }
        for text in ["", "a b\tc", "\u{a0}\u{200b}\u{5d0}", "a\\nb"] {
            assert!(!has_line_break(text), "{text:?}");
        }
    }
}
