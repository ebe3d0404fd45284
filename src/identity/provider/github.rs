//! GitHub, which has OAuth without OpenID Connect: its API says who the person is
//! (<https://docs.github.com/en/rest/users/users>, <https://docs.github.com/en/rest/users/emails>).

use secrecy::SecretString;
use serde::Deserialize;

use super::{discovery::Metadata, documents::Documents, model::Person};
use mainstay_kernel::error::Result;

const PUBLIC: &str = "https://github.com";

/// Returns the endpoints of GitHub, or of a GitHub Enterprise Server.
pub(super) fn metadata(issuer: &str) -> Metadata {
    let endpoint = |name: &str| format!("{}/{name}", response_issuer(issuer));
    Metadata::of_oauth(issuer, endpoint("authorize"), endpoint("access_token"))
}

/// Returns the `iss` of GitHub's responses (RFC 9207), below which its endpoints are.
pub(super) fn response_issuer(issuer: &str) -> String {
    format!("{}/login/oauth", issuer.trim_end_matches('/'))
}

/// Returns the person of an access token, with the primary address if it is verified.
///
/// # Errors
/// `UPSTREAM_FAILED` and others of a call.
pub(super) async fn person(documents: &Documents, issuer: &str, token: &SecretString) -> Result<Person> {
    #[derive(Deserialize)]
    struct User {
        id: u64,
        #[serde(default)]
        name: Option<String>,
        login: String,
    }
    #[derive(Deserialize)]
    struct Address {
        email: String,
        primary: bool,
        verified: bool,
    }
    let base = issuer.trim_end_matches('/');
    let api = if base == PUBLIC { "https://api.github.com".to_owned() } else { format!("{base}/api/v3") };
    let user: User = documents.get(&format!("{api}/user"), Some(token)).await?;
    let addresses: Option<Vec<Address>> = documents.optional(&format!("{api}/user/emails"), token).await;
    let primary = addresses.unwrap_or_default().into_iter().find(|address| address.primary);
    Ok(Person {
        provider: None,
        issuer: issuer.to_owned(),
        // The login can be changed, and then belongs to another person.
        subject: user.id.to_string(),
        is_verified: primary.as_ref().map(|address| address.verified),
        email: primary.map(|address| address.email),
        name: user.name.or(Some(user.login)),
        hosted_domain: None,
        groups: Vec::new(),
        authenticated_at: None,
    })
}
