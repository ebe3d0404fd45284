//! The HTTP status and headers of a successful response.

use std::time::Duration;

use http::StatusCode;
use prost_reflect::{FieldDescriptor, MessageDescriptor};

use super::{FieldPath, FieldValue, is_marked, pb};

const HTTP_BODY: &str = "google.api.HttpBody";
const PENDING: &str = "mainstay.policy.v1.is_pending";
const MAY_BE_ABSENT: &str = "mainstay.policy.v1.may_be_absent";
/// After how long a caller may poll an open outcome again.
const POLL_AFTER: Duration = Duration::from_secs(1);

/// A variant of a successful HTTP response.
#[derive(Debug)]
pub struct Success {
    /// The status.
    pub status: StatusCode,
    /// The Location, as alternating literal parts and fields of the response.
    pub location: Vec<LocationPart>,
    /// The Retry-After.
    pub retry_after: Option<Duration>,
    /// When this variant applies; `None` means always.
    pub when: Option<When>,
}

/// When a variant of a response applies.
#[derive(Debug)]
pub enum When {
    /// An enum field has one of these values.
    IsOneOf(FieldPath, Vec<i32>),
    /// A list has items.
    HasItems(FieldPath),
    /// A bool field is true.
    IsTrue(FieldPath),
    /// A message is absent.
    IsAbsent(FieldPath),
}

/// A part of a Location.
#[derive(Debug)]
pub enum LocationPart {
    /// Text.
    Literal(String),
    /// The value of a field of the response.
    Field(FieldPath),
}

impl LocationPart {
    /// Joins the parts, with the fields of an encoded response.
    pub fn fill(parts: &[Self], response: &[u8]) -> String {
        let mut text = String::new();
        for part in parts {
            match part {
                Self::Literal(literal) => text.push_str(literal),
                Self::Field(path) => match path.read(response) {
                    Some(FieldValue::Bytes(value)) => text.push_str(&String::from_utf8_lossy(value)),
                    Some(FieldValue::Number(number)) => text.push_str(&number.to_string()),
                    None => {}
                },
            }
        }
        text
    }
}

impl Success {
    pub(super) fn applies(&self, response: &[u8]) -> bool {
        self.when.as_ref().is_none_or(|when| match when {
            When::IsOneOf(path, values) => path.is_one_of(values, response),
            When::HasItems(path) => path.read(response).is_some(),
            When::IsTrue(path) => path.is_one_of(&[1], response),
            When::IsAbsent(path) => path.read(response).is_none(),
        })
    }

    /// Reads the variants of a method, those for an open outcome, a partial response and a moved resource first.
    pub(super) fn read(raw: &pb::MethodPolicy, output: &MessageDescriptor) -> Result<Vec<Self>, String> {
        let implied = if !raw.location.is_empty() {
            StatusCode::CREATED
        } else if output.fields().len() == 0 {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::OK
        };
        let number = raw.status.unwrap_or(implied.as_u16().into());
        let status = u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok());
        let status = status.filter(|status| status.is_success() || *status == StatusCode::FOUND);
        let status = status.ok_or_else(|| format!("{number} is no status of success"))?;
        if status == StatusCode::ACCEPTED {
            return Err(
                "a 202 needs `pending_field` and a location, which tell clients what to poll, and until when: set both"
                    .to_owned(),
            );
        }
        let names_resource = matches!(status, StatusCode::CREATED | StatusCode::FOUND);
        if !raw.location.is_empty() && !names_resource {
            return Err(format!(
                "a location goes with 201 or 302, not with {number}: remove one of the two, or set `poll_location`"
            ));
        }
        if !raw.poll_location.is_empty() && raw.pending_field.is_empty() {
            return Err(
                "a `poll_location` goes with `pending_field`, the field that tells how long to poll: set it".to_owned()
            );
        }
        if raw.location.is_empty() && status == StatusCode::FOUND {
            return Err("a 302 needs the location that it leads to".to_owned());
        }
        let mut variants = Vec::new();
        if !raw.pending_field.is_empty() {
            variants.push(Self::pending(raw, output)?);
        }
        if !raw.degraded_field.is_empty() {
            variants.push(Self::partial(&raw.degraded_field, output)?);
        }
        if !raw.moved_field.is_empty() || !raw.moved_location.is_empty() {
            variants.push(Self::moved(raw, output)?);
        }
        let is_optional_body = |field: &FieldDescriptor| {
            field.kind().as_message().is_some_and(|kind| kind.full_name() == HTTP_BODY)
                && is_marked(&field.options(), MAY_BE_ABSENT)
        };
        if let Some(body) = output.fields().find(is_optional_body) {
            let when = Some(When::IsAbsent(FieldPath::resolve(output, body.name())?));
            variants.push(Self { status: StatusCode::NO_CONTENT, location: Vec::new(), retry_after: None, when });
        }
        let location = if names_resource { location(&raw.location, output)? } else { Vec::new() };
        variants.push(Self { status, location, retry_after: None, when: None });
        Ok(variants)
    }

    fn pending(raw: &pb::MethodPolicy, output: &MessageDescriptor) -> Result<Self, String> {
        let path = FieldPath::resolve(output, &raw.pending_field)?;
        let values = path.marked_values(PENDING).map_err(|fault| format!("pending_field: {fault}"))?;
        let template = if raw.poll_location.is_empty() { &raw.location } else { &raw.poll_location };
        if template.is_empty() {
            return Err("pending_field: name the location to poll".to_owned());
        }
        Ok(Self {
            status: StatusCode::ACCEPTED,
            location: location(template, output)?,
            retry_after: Some(POLL_AFTER),
            when: Some(When::IsOneOf(path, values)),
        })
    }

    fn partial(field: &str, output: &MessageDescriptor) -> Result<Self, String> {
        let path = FieldPath::resolve(output, field)?;
        if !path.is_list() {
            return Err(format!("degraded_field: {field} must be a list, which is empty if nothing is missing"));
        }
        let when = Some(When::HasItems(path));
        Ok(Self { status: StatusCode::PARTIAL_CONTENT, location: Vec::new(), retry_after: None, when })
    }

    fn moved(raw: &pb::MethodPolicy, output: &MessageDescriptor) -> Result<Self, String> {
        if raw.moved_field.is_empty() || raw.moved_location.is_empty() {
            return Err("`moved_field` and `moved_location` go together: set both or neither".to_owned());
        }
        let path = FieldPath::resolve(output, &raw.moved_field)?;
        if !path.is_bool() {
            return Err(format!("moved_field: {} must be a bool", raw.moved_field));
        }
        let location = location(&raw.moved_location, output)?;
        let when = Some(When::IsTrue(path));
        Ok(Self { status: StatusCode::MOVED_PERMANENTLY, location, retry_after: None, when })
    }
}

pub(super) fn location(template: &str, output: &MessageDescriptor) -> Result<Vec<LocationPart>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((literal, tail)) = rest.split_once('{') {
        let (path, after) = tail.split_once('}').ok_or_else(|| format!("location {template}: a {{ without }}"))?;
        parts.push(LocationPart::Literal(literal.to_owned()));
        parts.push(LocationPart::Field(FieldPath::resolve(output, path)?));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(LocationPart::Literal(rest.to_owned()));
    }
    Ok(parts)
}
