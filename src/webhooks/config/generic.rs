//! The signature scheme of a provider of the operator's choice: HMAC-SHA256, over a configured text, in a configured
//! header.

use std::str::FromStr;

use http::HeaderName;

use mainstay_kernel::config::{Reader, Variable};

pub(super) const SIGNATURE_HEADER: Variable =
    Variable::plain("WEBHOOK_GENERIC_SIGNATURE_HEADER", "x-signature", "Header with the signature");
pub(super) const PREFIX: Variable =
    Variable::plain("WEBHOOK_GENERIC_PREFIX", "", "Text before the signature in its header, such as sha256=");
pub(super) const ENCODING: Variable =
    Variable::plain("WEBHOOK_GENERIC_ENCODING", "hex", "Encoding of the signature: hex or base64");
pub(super) const TIMESTAMP_HEADER: Variable = Variable::plain(
    "WEBHOOK_GENERIC_TIMESTAMP_HEADER",
    "",
    "Header with the time of the signature, if there is one: seconds, milliseconds or RFC 3339",
);
pub(super) const SIGNED: Variable = Variable::plain(
    "WEBHOOK_GENERIC_SIGNED",
    "{body}",
    "Text that is signed, such as {timestamp}.{body}. It must contain {timestamp} if, and only if, WEBHOOK_GENERIC_TIMESTAMP_HEADER is set",
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
    /// The prefix of the signature in its header.
    pub(crate) prefix: String,
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
            encoding: read.parse(ENCODING.name),
            timestamp_header: read.optional(TIMESTAMP_HEADER.name),
            signed: read.parse(SIGNED.name),
            id_header: read.optional(ID_HEADER.name),
            id_field: read.optional(ID_FIELD.name),
            type_header: read.optional(TYPE_HEADER.name),
        };
        if scheme.timestamp_header.is_some() != scheme.signed.has_timestamp() {
            let fault = format!("must contain {{timestamp}} if and only if {} is set", TIMESTAMP_HEADER.name);
            read.fault(SIGNED.name, fault);
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
            prefix: String::new(),
            encoding: Encoding::Hex,
            timestamp_header: None,
            signed: SignedText { before: String::new(), after: String::new() },
            id_header: None,
            id_field: None,
            type_header: None,
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

/// The signed text: the parts before and after the body, with placeholders for the timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedText {
    before: String,
    after: String,
}

impl SignedText {
    fn has_timestamp(&self) -> bool {
        [&self.before, &self.after].iter().any(|text| text.contains(TIMESTAMP))
    }

    /// Returns the parts before and after the body.
    pub(crate) fn around(&self, timestamp: &str) -> [String; 2] {
        [&self.before, &self.after].map(|text| text.replace(TIMESTAMP, timestamp))
    }
}

impl FromStr for SignedText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once("{body}") {
            Some((before, after)) if !after.contains("{body}") => {
                Ok(Self { before: before.to_owned(), after: after.to_owned() })
            }
            _ => Err("must contain {body} once"),
        }
    }
}
