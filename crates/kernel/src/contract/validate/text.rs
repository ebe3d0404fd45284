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

/// Normalizes an e-mail address in place: without ASCII white space around it, which keyboards append to a word that
/// they complete, and with the ASCII form of an internationalized domain. A text that is not an address remains
/// invalid.
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

/// The digits zero of the scripts that keyboards have: Arabic, Persian, N'Ko, those of India, Thai, Lao, Tibetan, Burmese, Shan,
/// Khmer and Mongolian. The other digits follow them (Unicode's category Nd).
const ZEROS: [char; 20] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}', '\u{c66}',
    '\u{ce6}', '\u{d66}', '\u{de6}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{1090}', '\u{17e0}', '\u{1810}',
];

/// Normalizes a code that a person types, such as a one-time code, in place: digits of other scripts and the forms of other
/// keyboards (NFKC) become those of ASCII, and white space, hyphens and invisible characters, which typing and copying add,
/// are removed.
pub fn normalize_code(text: &mut String) {
    let is_between = |c: char| {
        c.is_whitespace()
            || matches!(c, '-' | '\u{ad}' | '\u{200b}'..='\u{2015}' | '\u{202a}'..='\u{202e}' | '\u{2060}')
            // The minus sign; the dash of a Japanese keyboard.
            || matches!(c, '\u{2066}'..='\u{2069}' | '\u{2212}' | '\u{30fc}' | '\u{feff}')
    };
    let in_ascii = |c: char| {
        let digit = |zero: &char| u32::from(c).checked_sub(u32::from(*zero)).and_then(|d| char::from_digit(d, 10));
        if c.is_ascii() { c } else { ZEROS.iter().find_map(digit).unwrap_or(c) }
    };
    let compatible = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    let code = compatible.chars().filter(|&c| !is_between(c)).map(in_ascii).collect();
    *text = code;
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
    fn a_code_is_typed_in_many_ways() {
        let normalized = |text: &str| {
            let mut code = text.to_owned();
            super::normalize_code(&mut code);
            code
        };
        for text in [
            "123456",
            " 123 456\n",
            "123\u{a0}456",
            "123\u{202f}456",
            "123-456",
            "123\u{2011}456",
            "\u{ff11}\u{ff12}\u{ff13}\u{3000}\u{ff14}\u{ff15}\u{ff16}",
            "١٢٣٤٥٦",
            "۱۲۳۴۵۶",
            "१२३४५६",
            "\u{202b}123456\u{202c}\u{200b}\u{feff}",
        ] {
            assert_eq!(normalized(text), "123456", "{text:?}");
        }
        assert_eq!(normalized("ＡＥＡＱー\u{ff43}aib\u{2010}aeaq\u{2212}caib"), "AEAQcaibaeaqcaib");
        for other in ["12345六", "1234５x", "½", "123.456", "123\u{0}456", ""] {
            assert_ne!(normalized(other), "123456", "{other:?}");
        }
        assert_eq!(normalized("\u{66a}\u{65f}"), "\u{66a}\u{65f}", "neighbours of digits");
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
            "\u{fffc}",
            "\u{1d159}",
            "\u{13441}\u{16fe4}",
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
