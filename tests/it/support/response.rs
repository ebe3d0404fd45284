//! A response in the same form for every protocol.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A response.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// The HTTP status; over gRPC, the one that REST would have returned.
    pub(crate) status: u16,
    /// The code of the reason; empty on success.
    pub(crate) reason: String,
    /// Headers, or metadata.
    pub(crate) headers: BTreeMap<String, String>,
    /// The message as JSON, an array of messages from a stream, or the error envelope.
    pub(crate) body: Value,
}

impl Response {
    /// Returns the response, which must be a success.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert!(self.reason.is_empty(), "an error: {self:#?}");
        self
    }

    /// Returns the response, which must be an error for this reason.
    #[track_caller]
    pub(crate) fn failure(self, reason: &str) -> Self {
        assert_eq!(self.reason, reason, "{self:#?}");
        self
    }

    /// Returns the response, whose status and envelope must be consistent.
    #[track_caller]
    pub(crate) fn sound(self) -> Self {
        assert_eq!(self.reason.is_empty(), self.status < 400, "status and envelope contradict each other: {self:#?}");
        self
    }

    /// The resource, or the list.
    pub(crate) fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// The id of the resource.
    #[track_caller]
    pub(crate) fn id(&self) -> String {
        self.text("/data/id")
    }

    /// The text at a JSON pointer.
    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> String {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no text at {pointer}: {self:#?}")).to_owned()
    }

    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Whether this is the stored response to an earlier request.
    pub(crate) fn is_replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    /// The parts that must be equal over every protocol, with ids, times, tokens and counters normalized.
    pub(crate) fn comparable(&self) -> Value {
        let mut names = Names::default();
        let body = names.value("", &self.body);
        let mut headers = Map::new();
        for name in ["etag", "location", "cache-control", "idempotent-replayed", "www-authenticate", "ratelimit-policy"]
        {
            // No cache is between a gRPC client and the server, so an error need not forbid caching.
            let matters = name != "cache-control" || self.reason.is_empty();
            if let Some(value) = self.header(name).filter(|_| matters) {
                headers.insert(name.to_owned(), names.text("", value).into());
            }
        }
        // Only the presence is compared; the value changes over time.
        for name in ["retry-after", "last-modified", "ratelimit", "x-request-id"] {
            headers.insert(name.to_owned(), self.headers.contains_key(name).into());
        }
        json!({ "status": self.status, "reason": self.reason, "headers": headers, "body": body })
    }

    /// Does the same as [`Response::comparable`], including everything that a REST caller can see.
    pub(crate) fn comparable_rest(&self) -> Value {
        let mut value = self.comparable();
        for name in REST_HEADERS {
            if let Some(header) = self.header(name) {
                value["headers"][name] = header.into();
            }
        }
        // The list is the same in one header line or several, in any order.
        let vary = self.header("vary").unwrap_or_default().to_lowercase();
        let mut vary: Vec<_> = vary.split(',').map(str::trim).collect();
        vary.sort_unstable();
        // Envoy repeats a name that another line of the header has (RFC 9110, 12.5.5: a set of names).
        vary.dedup();
        value["headers"]["vary"] = vary.into();
        let foreign = self.headers.keys().filter(|name| name.starts_with("grpc-") || name.starts_with("x-"));
        value["foreign"] = foreign.map(String::as_str).collect();
        value
    }
}

/// Further headers that a REST caller sees, which must be the same through both protocols.
const REST_HEADERS: [&str; 12] = [
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "allow",
    "cache-control",
    "content-encoding",
    "content-security-policy",
    "content-type",
    "referrer-policy",
    "retry-after",
    "strict-transport-security",
    "x-content-type-options",
];

/// Replaces the first id by `<id 1>` wherever it occurs, and so on, so that references stay visible.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn value(&mut self, key: &str, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(key, text).into(),
            Value::Array(items) => items.iter().map(|item| self.value(key, item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.value(name, value))).collect()
            }
            other => other.clone(),
        }
    }

    fn text(&mut self, key: &str, text: &str) -> String {
        match key {
            "requestId" | "options" | "passkeyOptions" | "nextPageToken" | "resumeToken" | "accessToken"
            | "refreshToken" | "deviceToken" | "binding" | "secret" | "uri" | "token" | "recoveryCodes" | "email"
            | "userAgent" | "gatewayId" | "durationMs" | "number" => {
                format!("<{key}>")
            }
            _ if key.ends_with("Time") => "<time>".to_owned(),
            _ if text.contains("signature=") => {
                text.split('?').map(|part| self.text("", part)).next().unwrap_or_default()
            }
            _ => text.split_inclusive(['/', '"', ' ', ',', '=', '@', '\n']).map(|part| self.part(part)).collect(),
        }
    }

    fn part(&mut self, part: &str) -> String {
        let word = part.trim_end_matches(['/', '"', ' ', ',', '.', '@', '\r', '\n']);
        if chrono::DateTime::parse_from_rfc3339(word).is_ok() {
            return part.replace(word, "<time>");
        }
        // A domain may have an id.
        if word.contains('.') {
            return part.split_inclusive('.').map(|label| self.part(label)).collect();
        }
        // An entity tag may end with an id.
        let word = word.get(word.len().saturating_sub(36)..).unwrap_or(word);
        if ![32, 36].contains(&word.len()) || word.parse::<uuid::Uuid>().is_err() {
            return part.to_owned();
        }
        let index = self.0.iter().position(|id| id == word).unwrap_or_else(|| {
            self.0.push(word.to_owned());
            self.0.len() - 1
        });
        part.replace(word, &format!("<id {}>", index + 1))
    }
}
