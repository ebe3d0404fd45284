//! The signature scheme of a provider of the operator's choice: an HMAC over a configured text, in a configured
//! header.

use std::str::FromStr;

use http::HeaderName;

use mainstay_kernel::config::{Reader, Variable};

pub(super) const SIGNATURE_HEADER: Variable =
    Variable::plain("WEBHOOK_GENERIC_SIGNATURE_HEADER", "x-signature", "Header with the signature");
pub(super) const PREFIX: Variable = Variable::plain(
    "WEBHOOK_GENERIC_PREFIX",
    "",
    "Text before the signature in its header, such as sha256=, or t={timestamp},v1= if the header also has the time; other elements of such a list are skipped, and capitals do not matter",
);
pub(super) const ALGORITHM: Variable = Variable::plain(
    "WEBHOOK_GENERIC_ALGORITHM",
    "sha256",
    "Hash function of the HMAC: sha256, sha512, or sha1 for a provider that offers no other",
);
pub(super) const ENCODING: Variable =
    Variable::plain("WEBHOOK_GENERIC_ENCODING", "hex", "Encoding of the signature: hex or base64");
pub(super) const TIMESTAMP_HEADER: Variable = Variable::plain(
    "WEBHOOK_GENERIC_TIMESTAMP_HEADER",
    "",
    "Header with the time of the signature, if there is one: seconds, milliseconds, microseconds, RFC 3339 or a date of HTTP",
);
pub(super) const SIGNED: Variable = Variable::plain(
    "WEBHOOK_GENERIC_SIGNED",
    "{body}",
    "Text that is signed, such as {timestamp}.{body}. {timestamp} is in it if, and only if, the request has the time of the signature; {id} is the value of WEBHOOK_GENERIC_ID_HEADER",
);
pub(super) const ID_HEADER: Variable = Variable::plain(
    "WEBHOOK_GENERIC_ID_HEADER",
    "",
    "Header with the event's id; if absent, see WEBHOOK_GENERIC_ID_FIELD",
);
pub(super) const ID_FIELD: Variable = Variable::plain(
    "WEBHOOK_GENERIC_ID_FIELD",
    "",
    "Field of the body with the event's id, a text that no two events share; if absent, the id is a hash of the body",
);
pub(super) const TYPE_HEADER: Variable = Variable::plain(
    "WEBHOOK_GENERIC_TYPE_HEADER",
    "",
    "Header with the event's type; if absent, the field type of the event",
);

/// A scheme of signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GenericScheme {
    pub(crate) signature_header: HeaderName,
    pub(crate) prefix: Prefix,
    pub(crate) algorithm: Algorithm,
    pub(crate) encoding: Encoding,
    pub(crate) timestamp_header: Option<HeaderName>,
    pub(crate) signed: SignedText,
    pub(crate) id_header: Option<HeaderName>,
    pub(crate) id_field: Option<String>,
    pub(crate) type_header: Option<HeaderName>,
}

impl GenericScheme {
    pub(super) fn read(read: &mut Reader) -> Self {
        let scheme = Self {
            signature_header: read.parse(SIGNATURE_HEADER.name),
            prefix: read.parse(PREFIX.name),
            algorithm: read.parse(ALGORITHM.name),
            encoding: read.parse(ENCODING.name),
            timestamp_header: read.optional(TIMESTAMP_HEADER.name),
            signed: read.parse(SIGNED.name),
            id_header: read.optional(ID_HEADER.name),
            id_field: read.optional(ID_FIELD.name),
            type_header: read.optional(TYPE_HEADER.name),
        };
        let has_timestamp = scheme.timestamp_header.is_some() || scheme.prefix.has_timestamp();
        if scheme.timestamp_header.is_some() && scheme.prefix.has_timestamp() {
            read.fault(TIMESTAMP_HEADER.name, format!("can't be set while {} contains {TIMESTAMP}", PREFIX.name));
        }
        if has_timestamp != scheme.signed.contains(TIMESTAMP) {
            let (header, prefix) = (TIMESTAMP_HEADER.name, PREFIX.name);
            let fault = format!("must contain {TIMESTAMP} if and only if {header} is set or {prefix} contains it");
            read.fault(SIGNED.name, fault);
        }
        if scheme.signed.contains(ID) && scheme.id_header.is_none() {
            read.fault(SIGNED.name, format!("contains {ID}, and {} is not set", ID_HEADER.name));
        }
        if scheme.id_header.is_some() && scheme.id_field.is_some() {
            read.fault(ID_FIELD.name, format!("can't be set beside {}", ID_HEADER.name));
        }
        scheme
    }
}

impl Default for GenericScheme {
    fn default() -> Self {
        Self {
            signature_header: HeaderName::from_static("x-signature"),
            prefix: Prefix::default(),
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            timestamp_header: None,
            signed: SignedText { before: String::new(), after: String::new() },
            id_header: None,
            id_field: None,
            type_header: None,
        }
    }
}

/// The hash function of an HMAC. Collisions of SHA-1 do not help to forge its HMAC (RFC 6151 says so even of MD5), and some
/// providers have no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl FromStr for Algorithm {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err("must be sha256, sha512 or sha1"),
        }
    }
}

/// The encoding of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Hex,
    Base64,
}

impl FromStr for Encoding {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "hex" => Ok(Self::Hex),
            "base64" => Ok(Self::Base64),
            _ => Err("must be hex or base64"),
        }
    }
}

const TIMESTAMP: &str = "{timestamp}";
const ID: &str = "{id}";
const BODY: &str = "{body}";

/// Returns whether a text has a name in braces that is not one of these placeholders: a misspelled one would count as text,
/// and no signature would ever match.
fn has_unknown_placeholder(text: &str, known: &[&str]) -> bool {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .any(|(name, _)| is_name(name) && !known.contains(&&*format!("{{{name}}}")))
}

/// The text before the signature in its header, which may contain the time of the signature: `t={timestamp},v1=`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    before: String,
    /// The text between the timestamp and the signature; `None`: the header has no timestamp.
    after_timestamp: Option<String>,
}

impl Prefix {
    pub(crate) fn has_timestamp(&self) -> bool {
        self.after_timestamp.is_some()
    }

    /// Returns the timestamp, empty if the header has none, and the signatures: several while a provider rotates its
    /// secret. Elements of other names, which the first character after the timestamp separates, are skipped. Capitals do
    /// not matter.
    pub(crate) fn split<'h>(&self, header: &'h str) -> Option<(&'h str, Vec<&'h str>)> {
        let (before, rest) = header.split_at_checked(self.before.len())?;
        if !before.eq_ignore_ascii_case(&self.before) {
            return None;
        }
        let Some(after) = &self.after_timestamp else { return Some(("", vec![rest])) };
        let separator = after.chars().next()?;
        let (timestamp, _) = rest.split_once(separator)?;
        // The places are the same in both.
        let (name, lower_case) = (after.to_ascii_lowercase(), rest.to_ascii_lowercase());
        let names = lower_case.match_indices(&*name).map(|(at, name)| &rest[at + name.len()..]);
        Some((timestamp, names.map(|text| text.split(separator).next().unwrap_or_default()).collect()))
    }
}

impl FromStr for Prefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if has_unknown_placeholder(text, &[TIMESTAMP]) {
            return Err("may contain {timestamp}, and no other name in braces");
        }
        let Some((before, after)) = text.split_once(TIMESTAMP) else {
            return Ok(Self { before: text.to_owned(), after_timestamp: None });
        };
        if after.is_empty() || after.contains(TIMESTAMP) {
            return Err("must contain {timestamp} once, and text after it");
        }
        Ok(Self { before: before.to_owned(), after_timestamp: Some(after.to_owned()) })
    }
}

/// The signed text: the parts before and after the body, with placeholders for the timestamp and the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedText {
    before: String,
    after: String,
}

impl SignedText {
    fn contains(&self, placeholder: &str) -> bool {
        [&self.before, &self.after].iter().any(|text| text.contains(placeholder))
    }

    /// Returns whether the id of the event is part of the text.
    pub(crate) fn has_id(&self) -> bool {
        self.contains(ID)
    }

    /// Returns the parts before and after the body.
    pub(crate) fn around(&self, timestamp: &str, id: &str) -> [String; 2] {
        [&self.before, &self.after].map(|text| text.replace(TIMESTAMP, timestamp).replace(ID, id))
    }
}

impl FromStr for SignedText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if has_unknown_placeholder(text, &[TIMESTAMP, ID, BODY]) {
            return Err("may contain {body}, {timestamp} and {id}, and no other name in braces");
        }
        match text.split_once(BODY) {
            Some((before, after)) if !after.contains(BODY) => {
                Ok(Self { before: before.to_owned(), after: after.to_owned() })
            }
            _ => Err("must contain {body} once"),
        }
    }
}
