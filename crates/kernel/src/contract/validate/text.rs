//! Normalization of texts to Unicode's form NFC (Unicode Standard Annex 15), which browsers send and RFC 5198
//! recommends. Systems that store decomposed file names, such as macOS, send NFD.

use std::{borrow::Cow, collections::BTreeMap};

use icu_normalizer::ComposingNormalizerBorrowed;

use super::check;

/// Normalizes a text in place. A text that is normalized already, such as any ASCII text, is not copied.
pub fn normalize(text: &mut String) {
    if let Cow::Owned(normalized) = ComposingNormalizerBorrowed::new_nfc().normalize(text) {
        *text = normalized;
    }
}

/// Normalizes a text of one line in place: to NFC, without white space around it, and with spaces for tabs. Characters
/// that reorder the surrounding text (Unicode Standard Annex 9: U+202A to U+202E, U+2066 to U+2069) are removed; the marks
/// of direction are not, because names in right-to-left languages have them. A text without any other character remains.
pub fn normalize_line(text: &mut String) {
    let reorders = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.contains(|c| c == '\t' || reorders(c)) || text.trim().len() < text.len() {
        let kept = text.replace(reorders, "").replace('\t', " ");
        match kept.trim() {
            "" => {}
            line => *text = line.to_owned(),
        }
    }
    normalize(text);
}

/// Returns a text that no rule of the contract has checked as a normalized line.
///
/// # Errors
/// The fault of a text that is not a line with a visible character.
pub fn line(mut text: String) -> Result<String, &'static str> {
    normalize_line(&mut text);
    match () {
        () if check::is_blank(&text) => Err("must have a visible character"),
        () if check::has_line_break(&text) => Err("must be one line"),
        () if check::has_control(&text) => Err("must not have control characters"),
        () => Ok(text),
    }
}

/// Normalizes an e-mail address in place: without ASCII white space around it, which keyboards append to a word that they
/// complete, and with the ASCII form of an internationalized domain. A text that is not an address remains invalid.
pub fn normalize_email(text: &mut String) {
    let trimmed = text.trim_ascii();
    let parts = trimmed.rsplit_once('@').filter(|(_, domain)| !domain.is_ascii());
    let in_ascii = parts.and_then(|(local, domain)| Some(format!("{local}@{}", check::ascii_domain(domain)?)));
    if let Some(address) = in_ascii {
        *text = address;
    } else if trimmed.len() < text.len() {
        *text = trimmed.to_owned();
    }
}

/// Normalizes the keys of a map in place. Of keys that are equal then, one remains.
pub fn normalize_keys<V>(map: &mut BTreeMap<String, V>, normalize: fn(&mut String)) {
    let is_normal = |key: &String| {
        let mut normal = key.clone();
        normalize(&mut normal);
        normal == *key
    };
    if map.keys().all(is_normal) {
        return;
    }
    let normal = std::mem::take(map).into_iter().map(|(mut key, value)| {
        normalize(&mut key);
        (key, value)
    });
    *map = normal.collect();
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
    fn a_line_keeps_what_a_reader_sees_of_it() {
        for (sent, kept) in [
            ("\u{a0} Ada\tLovelace \n", "Ada Lovelace"),
            ("Ada\u{202e}live", "Adalive"),
            ("\u{2067} u\u{2069}\u{308} ", "\u{fc}"),
            ("\u{200f}\u{5d0}\u{61c} a\u{200e}", "\u{200f}\u{5d0}\u{61c} a\u{200e}"),
            (
                "\u{1f469}\u{200d}\u{1f52c} \u{645}\u{6cc}\u{200c}\u{62e}",
                "\u{1f469}\u{200d}\u{1f52c} \u{645}\u{6cc}\u{200c}\u{62e}",
            ),
            ("\u{2764}\u{fe0f} \u{1f3f4}\u{e0067}\u{e007f}", "\u{2764}\u{fe0f} \u{1f3f4}\u{e0067}\u{e007f}"),
        ] {
            assert_eq!(line(sent.to_owned()).as_deref(), Ok(kept));
        }
        for (bad, fault) in [
            ("Ada\u{1b}[31m", "must not have control characters"),
            ("Ada\u{8}\u{8}", "must not have control characters"),
            ("A\u{9b}31m", "must not have control characters"),
            ("A\u{7f}", "must not have control characters"),
            ("A\0", "must not have control characters"),
            ("A\u{ffff}", "must not have control characters"),
            ("A\u{fdd0}", "must not have control characters"),
            ("A\u{1fffe}", "must not have control characters"),
            ("a\nb", "must be one line"),
            ("\u{202e}", "must have a visible character"),
            (" \t ", "must have a visible character"),
        ] {
            assert_eq!(line(bad.to_owned()), Err(fault), "{bad:?}");
        }
    }

    #[test]
    fn an_address_has_one_form() {
        let normalized = |text: &str| {
            let mut text = text.to_owned();
            normalize_email(&mut text);
            text
        };
        for (sent, address) in [
            ("\tada@example.com \r\n", "ada@example.com"),
            ("Ada@EXAMPLE.com", "Ada@EXAMPLE.com"),
            ("ada@B\u{fc}cher.example", "ada@xn--bcher-kva.example"),
            ("ada@bu\u{308}cher.example", "ada@xn--bcher-kva.example"),
            ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
            ("test@\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.\u{440}\u{444}", "test@xn--e1afmkfd.xn--p1ai"),
            ("ada@fa\u{df}.de", "ada@xn--fa-hia.de"),
        ] {
            assert_eq!(normalized(sent), address);
            assert!(check::is_email(address), "{address}");
        }
        for bad in [
            "\u{e4}da@example.com",
            "ada@\u{fc}..example",
            "ada@\u{fc} .example",
            "\u{a0}ada@example.com",
            "a da@b.example",
        ] {
            assert!(!check::is_email(&normalized(bad)), "{bad}");
        }
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
            "\u{ffff}",
            "\u{fdd0}",
            "\u{10fffe}",
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
