//! The announced end of a method.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use prost_reflect::MethodDescriptor;

use super::pb;

/// When a method ends, and what replaces it.
#[derive(Debug)]
pub struct Deprecation {
    /// Since when the method is deprecated.
    pub since: DateTime<Utc>,
    /// From when the method may be absent.
    pub sunset: DateTime<Utc>,
    /// The page about the replacement.
    pub link: String,
    headers: [(HeaderName, HeaderValue); 3],
}

impl Deprecation {
    /// Reads the deprecation of a method: its own, or else that of its service.
    /// Errors: A deprecated method without dates, dates without `option deprecated = true`, or an invalid date or link.
    pub(super) fn read(
        descriptor: &MethodDescriptor,
        own: Option<&pb::Deprecation>,
        of_service: Option<&pb::Deprecation>,
    ) -> Result<Option<Self>, String> {
        let (method, service) = (descriptor.method_descriptor_proto(), descriptor.parent_service());
        let is_own = method.options.as_ref().is_some_and(prost_types::MethodOptions::deprecated);
        let options = service.service_descriptor_proto().options.clone();
        let is_of_service = options.is_some_and(|options| options.deprecated());
        match (is_own, is_of_service, own, of_service) {
            (true, _, Some(raw), _) | (_, true, Some(raw), _) | (_, true, None, Some(raw)) => {
                Self::parse(raw).map(Some)
            }
            (true, _, None, _) | (_, true, None, None) => {
                Err("a deprecated method has dates: set `deprecation` with since, sunset and link".to_owned())
            }
            (false, false, None, None) => Ok(None),
            (false, false, _, _) => {
                Err("a `deprecation` goes with `option deprecated = true`: add the option, or remove the dates"
                    .to_owned())
            }
        }
    }

    fn parse(raw: &pb::Deprecation) -> Result<Self, String> {
        let (since, sunset) = (date("since", &raw.since)?, date("sunset", &raw.sunset)?);
        if sunset <= since {
            return Err(format!("deprecation: the sunset {} must be after {}", raw.sunset, raw.since));
        }
        let is_link = raw.link.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte))
            && (raw.link.starts_with("https://") || raw.link.starts_with('/'));
        let link = Some(format!("<{}>; rel=\"deprecation\"; type=\"text/html\"", raw.link)).filter(|_| is_link);
        let link = link.ok_or_else(|| {
            format!(
                "deprecation: {:?} is no link: give an https URL or a path, of the page about the replacement",
                raw.link
            )
        })?;
        let value = |text: String| HeaderValue::try_from(text).map_err(|error| error.to_string());
        let headers = [
            (HeaderName::from_static("deprecation"), value(format!("@{}", since.timestamp()))?),
            (HeaderName::from_static("sunset"), value(httpdate::fmt_http_date(sunset.into()))?),
            (header::LINK, value(link)?),
        ];
        Ok(Self { since, sunset, link: raw.link.clone(), headers })
    }

    /// Adds `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` to the headers of a response.
    pub fn describe(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
    }
}

fn date(field: &str, text: &str) -> Result<DateTime<Utc>, String> {
    let date: Result<NaiveDate, _> = text.parse();
    let date = date.map_err(|_| format!("deprecation: {field} {text:?} is no date such as 2026-11-01"))?;
    Ok(date.and_time(NaiveTime::MIN).and_utc())
}
