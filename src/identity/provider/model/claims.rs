//! The claims of an ID token, and their checks (OpenID Connect Core 1.0, 3.1.3.7).

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The tolerated difference to the clock of the provider.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);
/// The maximum age of an ID token: it is fresh, because the code is exchanged at once.
const MAX_AGE: TimeDelta = TimeDelta::minutes(10);
const MAX_SUBJECT_BYTES: usize = 255;

/// The `aud` of a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn contains(&self, client: &str) -> bool {
        match self {
            Self::One(one) => one == client,
            Self::Many(many) => many.iter().any(|one| one == client),
        }
    }

    fn is_only(&self, client: &str) -> bool {
        match self {
            Self::One(one) => one == client,
            Self::Many(many) => many.iter().all(|one| one == client),
        }
    }
}

/// The claims of an ID token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: Audience,
    #[serde(default)]
    pub azp: Option<String>,
    pub exp: i64,
    pub iat: i64,
    #[serde(default)]
    pub nonce: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    pub email_verified: Option<bool>,
    #[serde(default)]
    pub name: Option<String>,
    /// The primary domain of a Google Workspace.
    #[serde(default)]
    pub hd: Option<String>,
    /// When the person authenticated, which is earlier than the token if the provider had a session.
    #[serde(default)]
    pub auth_time: Option<i64>,
    /// Claims that the configuration of a provider names.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// Reads a boolean that some providers, such as Apple, write as a text.
pub fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Truth {
        Bool(bool),
        Text(String),
    }
    Ok(match Option::<Truth>::deserialize(deserializer)? {
        Some(Truth::Bool(value)) => Some(value),
        Some(Truth::Text(text)) => Some(text == "true"),
        None => None,
    })
}

/// What the claims must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub now: DateTime<Utc>,
}

impl Claims {
    /// Returns the groups of the person in a claim: an array of texts, or one text.
    pub fn groups(&self, claim: &str) -> Vec<String> {
        match self.others.get(claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(group)) => vec![group.clone()],
            _ => Vec::new(),
        }
    }

    /// Checks the claims.
    ///
    /// # Errors
    /// The first claim that is wrong.
    pub fn check(&self, expected: Expected<'_>) -> Result<(), &'static str> {
        let Expected { issuer, client_id, nonce, now } = expected;
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).ok_or("a time");
        let (expires_at, issued_at) = (at(self.exp)?, at(self.iat)?);
        // Another audience must not be able to use its token here.
        let is_for_us = self.azp.as_deref().map_or(self.aud.is_only(client_id), |party| party == client_id);
        let checks = [
            (self.iss == issuer, "iss"),
            (self.aud.contains(client_id), "aud"),
            (is_for_us, "azp"),
            (self.nonce.as_deref() == Some(nonce), "nonce"),
            (now - LEEWAY < expires_at, "exp"),
            (issued_at <= now + LEEWAY && now - MAX_AGE - LEEWAY <= issued_at, "iat"),
            ((1..=MAX_SUBJECT_BYTES).contains(&self.sub.len()), "sub"),
        ];
        checks.into_iter().find(|(is_right, _)| !is_right).map_or(Ok(()), |(_, claim)| Err(claim))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn check(change: Value) -> Result<(), &'static str> {
        let mut claims = json!({
            "iss": "https://id.example", "sub": "7", "aud": "mainstay", "exp": NOW + 300, "iat": NOW, "nonce": "n",
        });
        for (name, value) in change.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let claims: Claims = serde_json::from_value(claims).map_err(|_| "JSON")?;
        let now = DateTime::from_timestamp(NOW, 0).expect("a time");
        claims.check(Expected { issuer: "https://id.example", client_id: "mainstay", nonce: "n", now })
    }

    #[test]
    fn each_claim_is_checked() {
        for good in [
            json!({}),
            json!({ "aud": ["mainstay"] }),
            json!({ "aud": ["mainstay", "other"], "azp": "mainstay" }),
            json!({ "exp": NOW - 59, "iat": NOW - 300 }),
            json!({ "iat": NOW + 60 }),
        ] {
            assert_eq!(check(good.clone()), Ok(()), "{good}");
        }
        for (bad, claim) in [
            (json!({ "iss": "https://id.example/" }), "iss"),
            (json!({ "iss": "https://evil.example" }), "iss"),
            (json!({ "aud": "other" }), "aud"),
            (json!({ "aud": [] }), "aud"),
            (json!({ "aud": ["mainstay", "other"] }), "azp"),
            (json!({ "azp": "other" }), "azp"),
            (json!({ "nonce": "m" }), "nonce"),
            (json!({ "nonce": null }), "nonce"),
            (json!({ "exp": NOW - 60 }), "exp"),
            (json!({ "iat": NOW + 61 }), "iat"),
            (json!({ "iat": NOW - 661 }), "iat"),
            (json!({ "sub": "" }), "sub"),
            (json!({ "sub": "7".repeat(256) }), "sub"),
            (json!({ "sub": 7 }), "JSON"),
            (json!({ "exp": i64::MAX }), "a time"),
        ] {
            assert_eq!(check(bad.clone()), Err(claim), "{bad}");
        }
    }

    #[test]
    fn groups_are_texts_of_the_named_claim() {
        let claims = json!({
            "iss": "i", "sub": "7", "aud": "a", "exp": 1, "iat": 1, "groups": ["it", 7, "finance"], "role": "admin",
            "email_verified": true,
        });
        let claims = serde_json::from_value::<Claims>(claims).expect("claims");
        assert_eq!(claims.groups("groups"), ["it", "finance"]);
        assert_eq!(claims.groups("role"), ["admin"]);
        assert!(claims.groups("email").is_empty() && claims.groups("missing").is_empty());
        assert_eq!(claims.email_verified, Some(true));
    }

    #[test]
    fn a_verified_address_may_be_a_text() {
        let verified = |value: Value| {
            let claims = json!({ "iss": "i", "sub": "7", "aud": "a", "exp": 1, "iat": 1, "email_verified": value });
            serde_json::from_value::<Claims>(claims).expect("claims").email_verified
        };
        assert_eq!([json!(true), json!("true")].map(verified), [Some(true); 2]);
        assert_eq!([json!(false), json!("false"), json!("yes")].map(verified), [Some(false); 3]);
        assert_eq!(verified(Value::Null), None);
    }
}
