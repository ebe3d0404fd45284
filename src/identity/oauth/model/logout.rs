//! Requests of applications to sign a person out (OpenID Connect RP-Initiated Logout 1.0, 2).

use url::{Url, form_urlencoded};

use crate::identity::{oauth::model::Parameters, oauth_client::model::OauthClient};

/// The parameters of a request that this service knows. Others are ignored.
const KNOWN: [&str; 4] = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];
/// The maximum length of a request, in bytes: its form, where each may take three, has 8 KiB.
const MAX_REQUEST_BYTES: usize = 2500;

/// A request to sign a person out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logout {
    /// The name of the application that asks, if it has proved that it has signed a person in.
    pub client: Option<String>,
    /// Where the sign-out leads.
    pub url: Option<String>,
}

impl Logout {
    /// Returns the query of a request; `None` if it is too long.
    pub fn query(parameters: &Parameters) -> Option<String> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters.known(&KNOWN)).finish();
        Some(query).filter(|query| query.len() <= MAX_REQUEST_BYTES)
    }

    /// Reads a request with the client of its ID token, if that is one of this service. Without the token, anyone may have made
    /// the request, and the sign-out leads nowhere.
    ///
    /// `None` if the request names another client than the token, or an address that is not registered.
    pub fn read(parameters: &Parameters, hinted: Option<&OauthClient>) -> Option<Self> {
        let Some(client) = hinted else { return Some(Self { client: None, url: None }) };
        if parameters.get("client_id").is_some() && parameters.client() != Some(client.id) {
            return None;
        }
        let url = match parameters.get("post_logout_redirect_uri") {
            Some(uri) if !client.returns_to(uri) => return None,
            Some(uri) => Some(url(uri, parameters.get("state"))?),
            None => None,
        };
        Some(Self { client: Some(client.name.clone()), url })
    }
}

fn url(uri: &str, state: Option<&str>) -> Option<String> {
    let Some(state) = state else { return Some(uri.to_owned()) };
    let mut url: Url = uri.parse().ok()?;
    url.query_pairs_mut().append_pair("state", state);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::oauth::model::tests::client;

    fn read(query: &str, is_hinted: bool) -> Option<Logout> {
        let client =
            OauthClient { post_logout_redirect_uris: vec!["https://a.example/bye?x=1".to_owned()], ..client() };
        Logout::read(&Parameters::parse(query.as_bytes()).expect("each once"), is_hinted.then_some(&client))
    }

    #[test]
    fn a_sign_out_leads_to_a_registered_address_alone() {
        let to = |query: &str| read(query, true).expect("valid").url;
        let registered = "post_logout_redirect_uri=https://a.example/bye?x%3D1";
        assert_eq!(to(registered).as_deref(), Some("https://a.example/bye?x=1"));
        assert_eq!(to(&format!("{registered}&state=s%26t")).as_deref(), Some("https://a.example/bye?x=1&state=s%26t"));
        assert_eq!(to("state=s"), None);
        for foreign in ["https://b.example/bye", "https://a.example/bye", "https://a.example/back?x=1", "/bye"] {
            assert_eq!(read(&format!("post_logout_redirect_uri={foreign}"), true), None, "{foreign}");
        }
    }

    #[test]
    fn without_the_token_a_sign_out_leads_nowhere() {
        let query =
            "post_logout_redirect_uri=https://a.example/bye?x%3D1&client_id=00000000-0000-0000-0000-000000000001";
        assert_eq!(read(query, false), Some(Logout { client: None, url: None }));
        assert!(read(query, true).expect("valid").url.is_some());
    }

    #[test]
    fn the_token_is_of_the_client() {
        assert_eq!(read("client_id=00000000-0000-0000-0000-000000000002", true), None);
        assert_eq!(read("client_id=x", true), None);
    }

    #[test]
    fn a_request_is_bounded() {
        let query = |text: &str| Logout::query(&Parameters::parse(text.as_bytes()).expect("each once"));
        assert_eq!(query("state=s&return=https://evil.example&client_id=c").as_deref(), Some("state=s&client_id=c"));
        assert_eq!(query(&format!("state={}", "s".repeat(MAX_REQUEST_BYTES))), None);
    }
}
