//! Predicates of the field rules. They do not allocate, except for the uniqueness of long lists and the first use of a
//! pattern.

mod header;
mod host;
mod uri;

use std::{
    borrow::Cow,
    collections::HashSet,
    hash::Hash,
    ops::{Bound, RangeBounds as _},
    sync::{LazyLock, OnceLock},
};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use regex::Regex;

pub use header::{is_header_name, is_header_value};
pub use host::{is_address, is_host_and_port, is_hostname, is_ip, is_ip_prefix};
pub use uri::{is_uri, is_uri_reference};

/// Up to this length, pairwise comparison is cheaper than hashing.
const FEW: usize = 32;

/// Seconds since 1970, from 0001-01-01T00:00:00Z to 10000-01-01T00:00:00Z, exclusive.
const YEARS_1_TO_9999: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

/// Returns the number of characters in a string.
pub fn characters(value: &str) -> usize {
    value.chars().count()
}

/// Returns whether a string contains a NUL character.
pub fn has_nul(value: &str) -> bool {
    value.as_bytes().contains(&0)
}

/// Returns whether a string has no visible character: it is empty, or consists of white space, control and format
/// characters, noncharacters, characters of `Default_Ignorable_Code_Point`, and the graphic characters without a glyph: the
/// blanks of Braille, of Egyptian and of Khitan, the null notehead, and the replacement of an object.
pub fn is_blank(value: &str) -> bool {
    static VISIBLE: LazyLock<Regex> = LazyLock::new(|| {
        let classes = r"\p{White_Space}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}";
        let blanks = r"\u{2800}\u{fffc}\u{13441}\u{13442}\u{16fe4}\u{1d159}";
        Regex::new(&format!("[^{classes}{blanks}]")).expect("a regular expression")
    });
    !value.bytes().any(|byte| byte.is_ascii_graphic()) && !VISIBLE.is_match(value)
}

/// Returns whether a string has a mandatory line break (Unicode Standard Annex 14: classes BK, CR, LF and NL).
pub fn has_line_break(value: &str) -> bool {
    value.contains(['\n', '\u{b}', '\u{c}', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
}

/// Returns whether a string has a control character, as of [`is_control`].
pub fn has_control(value: &str) -> bool {
    value.contains(is_control)
}

/// Returns whether a character is a control character (Unicode's category Cc) or a noncharacter, neither of which any
/// text needs. Terminals execute some of the former.
pub fn is_control(c: char) -> bool {
    c.is_control() || u32::from(c) & 0xfffe == 0xfffe || matches!(c, '\u{fdd0}'..='\u{fdef}')
}

/// A regular expression, compiled on first use.
#[derive(Debug)]
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    /// Creates a pattern from a regular expression.
    pub const fn new(text: &'static str) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// Returns whether a part of a string matches.
    ///
    /// # Panics
    /// If the text is not a regular expression. The build rejects a contract with an invalid one.
    pub fn matches(&self, value: &str) -> bool {
        self.compiled.get_or_init(|| Regex::new(self.text).expect("a regular expression")).is_match(value)
    }

    /// Returns whether the bytes are UTF-8, and a part of the text matches.
    pub fn matches_bytes(&self, value: &[u8]) -> bool {
        std::str::from_utf8(value).is_ok_and(|text| self.matches(text))
    }
}

/// A range with a low end that may be exclusive.
#[derive(Debug)]
pub struct Between<T>(pub Bound<T>, pub Bound<T>);

impl<T: PartialOrd> Between<T> {
    /// Returns whether a value is in the range; NaN is in none.
    pub fn contains(&self, value: &T) -> bool {
        (self.0.as_ref(), self.1.as_ref()).contains(value)
    }
}

/// Returns whether all items of a list are distinct.
pub fn unique<T: Eq + Hash>(items: &[T]) -> bool {
    if items.len() <= FEW {
        return items.iter().enumerate().all(|(index, item)| !items[..index].contains(item));
    }
    let mut distinct = HashSet::with_capacity(items.len());
    items.iter().all(|item| distinct.insert(item))
}

/// Returns whether all numbers are distinct; NaN equals nothing.
pub fn unique_numbers(items: impl Iterator<Item = f64>) -> bool {
    let mut distinct = HashSet::new();
    // The sum has one form of zero.
    items.filter(|item| !item.is_nan()).all(|item| distinct.insert((item + 0.0).to_bits()))
}

/// Returns whether bytes contain others.
pub fn contains(value: &[u8], part: &[u8]) -> bool {
    part.is_empty() || value.windows(part.len()).any(|window| window == part)
}

/// Returns whether a path of a field mask is one of these, or below one.
pub fn is_path_within(path: &str, paths: &[&str]) -> bool {
    paths.iter().any(|above| path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Returns whether a time is at most a duration before or after the present. Each is in seconds and nanoseconds.
pub fn is_within(time: (i64, i32), now: (i64, i32), most: (i64, i32)) -> bool {
    let nanos = |(seconds, nanos): (i64, i32)| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    (nanos(time) - nanos(now)).abs() <= nanos(most)
}

/// Returns whether a string is a UUID without hyphens.
pub fn is_trimmed_uuid(value: &str) -> bool {
    value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns whether a string is a ULID: 26 characters of Crockford's base 32, of at most 128 bits.
pub fn is_ulid(value: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() && !b"ILOUilou".contains(&byte);
    value.len() == 26 && value.bytes().all(is_digit) && value.starts_with(|first| ('0'..='7').contains(&first))
}

/// Returns whether a string is a qualified name of Protobuf: `mainstay.support.v1.Ticket`.
pub fn is_qualified_name(value: &str) -> bool {
    value.split('.').all(|part| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// Returns whether a string is a UUID in its canonical text form.
pub fn is_uuid(value: &str) -> bool {
    let hyphen = |index: usize| matches!(index, 8 | 13 | 18 | 23);
    value.len() == 36
        && value.bytes().enumerate().all(
            |(index, byte)| {
                if hyphen(index) { byte == b'-' } else { byte.is_ascii_hexdigit() }
            },
        )
}

/// Returns whether a string is an e-mail address that needs no quoting (RFC 5321, section 4.1.2), in a domain that can
/// have mail: with a dot, with letters after the last one, and with valid internationalized labels; or `localhost`. HTML
/// forms accept more, such as consecutive dots, and mail servers reject such addresses.
pub fn is_email(value: &str) -> bool {
    let (local, domain) = value.rsplit_once('@').unwrap_or_default();
    let has_letters = |(_, last): (&str, &str)| last.bytes().any(|byte| !byte.is_ascii_digit());
    is_form_email(value)
        && local.len() <= 64
        && local.split('.').all(|atom| !atom.is_empty())
        && (domain.rsplit_once('.').is_some_and(has_letters) || domain.eq_ignore_ascii_case("localhost"))
        && ascii_domain(domain).is_some()
}

/// Returns a domain with the ASCII forms of its labels (UTS 46, nontransitional); `None` for an invalid domain.
pub(super) fn ascii_domain(domain: &str) -> Option<Cow<'_, str>> {
    let hyphens = Hyphens::CheckFirstLast;
    Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, hyphens, DnsLength::Verify).ok()
}

/// Returns whether a string is an e-mail address by the definition of HTML forms, which accepts what browsers accept.
pub fn is_form_email(value: &str) -> bool {
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    value
        .rsplit_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && local.bytes().all(atom) && domain.split('.').all(label))
}

/// Returns whether RFC 3339, and therefore JSON, can represent a timestamp.
pub fn is_rfc3339(seconds: i64, nanos: i32) -> bool {
    YEARS_1_TO_9999.contains(&seconds) && (0..1_000_000_000).contains(&nanos)
}

#[cfg(test)]
mod tests;
