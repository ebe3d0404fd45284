//! Languages.

use std::fmt;

use oxilangtag::LanguageTag;

use mainstay_kernel::error::{Error, Result};

/// The maximum length of a tag, in characters.
const MAX_CHARS: usize = 35;

/// A language, as a BCP 47 tag in the case that RFC 5646 recommends, such as `de` or `zh-Hant-TW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language(String);

impl Default for Language {
    /// English, the default language.
    fn default() -> Self {
        Self("en".to_owned())
    }
}

impl Language {
    /// Parses a tag.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` if the tag is not well-formed.
    pub fn parse(text: &str) -> Result<Self> {
        Self::of_field("language", Some(text))
    }

    /// Parses the tag in a field of a request; an absent tag yields the default language.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` about the field if the tag is not well-formed.
    pub fn of_field(field: impl Into<String>, text: Option<&str>) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::default()) };
        let tag = Some(text).filter(|text| text.len() <= MAX_CHARS).map(LanguageTag::parse_and_normalize);
        match tag {
            Some(Ok(tag)) => Ok(Self(tag.into_inner())),
            _ => Err(Error::field(field, "must be a BCP 47 language tag, such as en or de-AT")),
        }
    }

    /// Returns the tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tag, then each shorter tag of the same language (RFC 4647, lookup).
    pub fn lookup(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |tag| tag.rsplit_once('-').map(|(shorter, _)| shorter))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_parsed_and_written_in_one_way() {
        for (text, tag) in [("de", "de"), ("EN-us", "en-US"), ("zh-hant-tw", "zh-Hant-TW"), ("de-1996", "de-1996")] {
            assert_eq!(Language::parse(text).expect(text).as_str(), tag);
        }
        for bad in ["", "d", "german language", "de_DE", "de-", "../de", "!!", "--", "x".repeat(36).as_str()] {
            assert!(Language::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_look_up_ends_with_the_language_itself() {
        let language = Language::parse("zh-Hant-TW").expect("a tag");
        assert_eq!(language.lookup().collect::<Vec<_>>(), ["zh-Hant-TW", "zh-Hant", "zh"]);
    }
}
