//! Read options of an import file, as its sender declares them.

use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};

/// Properties of a file that its bytes do not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadOptions {
    /// Whether a line break may be written as the two characters `\n`.
    pub unescapes_newlines: bool,
    /// The delimiter of the cells; `None` detects it in the header.
    pub delimiter: Option<Delimiter>,
    /// The charset; `None` for UTF-8. A byte order mark takes precedence.
    pub charset: Option<Charset>,
}

/// The delimiter of the cells of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delimiter {
    /// RFC 4180.
    Comma,
    /// The output of spreadsheets in locales with a decimal comma.
    Semicolon,
    /// `text/tab-separated-values`.
    Tab,
    /// The output of databases.
    Pipe,
}

impl Delimiter {
    /// All delimiters, the most frequent one first.
    pub(crate) const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Pipe];

    /// Parses the name in the contract.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|delimiter| delimiter.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
            Self::Pipe => "pipe",
        }
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }
}

/// A charset of the WHATWG Encoding Standard, which covers those of the web and of spreadsheets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Charset(&'static Encoding);

impl Charset {
    pub(crate) const UTF_8: Self = Self(encoding_rs::UTF_8);
    pub(crate) const UTF_16BE: Self = Self(encoding_rs::UTF_16BE);
    pub(crate) const UTF_16LE: Self = Self(encoding_rs::UTF_16LE);

    /// Parses a label, such as the `charset` of a media type: `utf-8`, `windows-1252`, `latin1`. ASCII is read as
    /// UTF-8, of which it is a subset.
    pub fn from_label(label: &str) -> Option<Self> {
        match Encoding::for_label_no_replacement(label.as_bytes())? {
            _ if label.trim().eq_ignore_ascii_case("us-ascii") => Some(Self::UTF_8),
            encoding => Some(Self(encoding)),
        }
    }

    pub(crate) fn encoding(self) -> &'static Encoding {
        self.0
    }
}

impl TryFrom<String> for Charset {
    type Error = String;

    fn try_from(label: String) -> Result<Self, String> {
        Self::from_label(&label).ok_or_else(|| format!("{label} is no charset"))
    }
}

impl From<Charset> for String {
    fn from(charset: Charset) -> Self {
        charset.0.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_have_many_labels() {
        let name = |label: &str| Charset::from_label(label).map(String::from);
        for label in ["windows-1252", "cp1252", "latin1", "ISO-8859-1", " l1 "] {
            assert_eq!(name(label).as_deref(), Some("windows-1252"), "{label}");
        }
        assert_eq!(name("US-ASCII").as_deref(), Some("UTF-8"));
        assert_eq!(name("utf-16").as_deref(), Some("UTF-16LE"));
        assert_eq!(name("shift_jis").as_deref(), Some("Shift_JIS"));
        for other in ["", "utf-7", "utf-32", "iso-2022-kr", "nonsense"] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    /// A job of the previous version has no options, and a job of this version keeps them.
    #[test]
    fn options_travel_with_their_job() {
        let read = |json: &str| serde_json::from_str::<ReadOptions>(json).expect("options");
        assert_eq!(read("{}"), ReadOptions::default());
        let options = ReadOptions {
            unescapes_newlines: true,
            delimiter: Some(Delimiter::Semicolon),
            charset: Charset::from_label("latin1"),
        };
        assert_eq!(read(&serde_json::to_string(&options).expect("JSON")), options);
    }
}
