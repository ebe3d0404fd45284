//! A REST response.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// A REST response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null if there is none, and a string if it is not JSON.
    pub body: Value,
}

impl Response {
    pub(crate) async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body that is text");
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        };
        Self { status, headers, body }
    }

    /// Returns the response, which must be a success.
    ///
    /// # Panics
    /// Panics if the request failed.
    #[track_caller]
    pub fn success(self) -> Self {
        self.check_success();
        self
    }

    #[track_caller]
    fn check_success(&self) {
        assert!((200..300).contains(&self.status), "the request failed: {} {:#}", self.status, self.body);
    }

    /// Returns the resource in a successful response, or the list of resources.
    ///
    /// # Panics
    /// Panics if the request failed.
    #[track_caller]
    #[must_use]
    pub fn data(&self) -> Value {
        self.check_success();
        self.body["data"].clone()
    }

    /// Checks that the request failed with a status and a code.
    ///
    /// # Panics
    /// Panics if it did not.
    #[track_caller]
    pub fn failure(&self, status: u16, code: &str) {
        let actual = (self.status, self.body["error"]["code"].as_str());
        assert_eq!(actual, (status, Some(code)), "another response was expected: {:#}", self.body);
    }

    /// Returns a header; empty if it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
