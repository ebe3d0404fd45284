//! Extraction of the idempotency key, which the policy ignores, allows or requires.
//! [`unit_of_work`](crate::unit_of_work) implements idempotency.

use http::HeaderMap;

use crate::{
    caller::IdempotencyKey,
    contract::{Method, policy::Idempotency},
    error::{Error, Reason},
    http::middleware::layer::{Middleware, Next, Request, ResponseFuture, refuse},
};

pub(crate) const HEADERS: [&str; 2] = ["idempotency-key", "x-idempotency-key"];

/// Returns whether a request has a key header, valid or not.
pub(super) fn is_keyed(headers: &HeaderMap) -> bool {
    HEADERS.iter().any(|name| headers.contains_key(*name))
}

/// A middleware that adds the key to the request extensions.
#[derive(Debug, Clone)]
pub struct ReadIdempotencyKey;

impl<S: Next> Middleware<S> for ReadIdempotencyKey {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        let rule = request.extensions().get::<&'static Method>().map_or(Idempotency::None, |method| method.idempotency);
        if rule != Idempotency::None {
            let headers = request.headers();
            let mut keys = HEADERS.iter().flat_map(|name| headers.get_all(*name));
            let key = keys.next();
            if keys.any(|other| Some(other) != key) {
                // Several keys would be ambiguous.
                return refuse(Error::with_message(Reason::MalformedRequest, "Idempotency-Key may be sent only once."));
            }
            match (key, rule) {
                (Some(value), _) => match parse(value.as_bytes()) {
                    Some(key) => drop(request.extensions_mut().insert(IdempotencyKey(key))),
                    None => return refuse(malformed()),
                },
                (None, Idempotency::Required) => return refuse(Reason::IdempotencyKeyMissing.into()),
                (None, _) => {}
            }
        }
        next.pass(request)
    }
}

fn malformed() -> Error {
    Error::with_message(Reason::MalformedRequest, "Idempotency-Key must be 1 to 255 visible ASCII characters.")
}

/// Parses a bare key, or a quoted string as in draft-ietf-httpapi-idempotency-key-header. Both forms are equivalent.
fn parse(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let (key, is_graphic) = match text.strip_prefix('"') {
        None => (text.to_owned(), text.bytes().all(|byte| byte.is_ascii_graphic())),
        Some(quoted) => (unescape(quoted)?, true),
    };
    let is_good = (1..=255).contains(&key.len()) && is_graphic && key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_good.then_some(key)
}

/// Reads a string of Structured Fields after its opening quote (RFC 9651, section 3.3.3): a backslash may only precede a
/// quote or a backslash. Parameters after the string have no meaning here.
fn unescape(text: &str) -> Option<String> {
    let mut key = String::with_capacity(text.len());
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '\\' => key.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
            '"' => break,
            other => key.push(other),
        }
    }
    let rest = characters.as_str().trim_start();
    (rest.is_empty() || rest.starts_with(';')).then_some(key)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_is_bare_or_a_string_of_structured_fields() {
        for (header, key) in [
            ("order-17", Some("order-17")),
            ("\"order-17\"", Some("order-17")),
            ("\"order 17\"", Some("order 17")),
            (" \"k\" ; v=1 ", Some("k")),
            ("\"a\\\"b\\\\\"", Some("a\"b\\")),
            ("order 17", None),
            ("\"k", None),
            ("\"k\"x", None),
            ("\"k\\x\"", None),
            ("\"\"", None),
            ("", None),
        ] {
            assert_eq!(parse(header.as_bytes()).as_deref(), key, "{header}");
        }
    }

    #[test]
    fn both_headers_carry_a_key() {
        for (name, expected) in [("idempotency-key", true), ("x-idempotency-key", true), ("x-request-id", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("one"));
            assert_eq!(is_keyed(&headers), expected, "{name}");
        }
    }
}
