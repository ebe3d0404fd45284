//! AWS Signature Version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>), for requests without
//! a query.

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use http::Uri;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use crate::mail::config::AwsCredentials;

/// Signs a request; returns the headers to add to it.
pub(super) fn sign(
    credentials: &AwsCredentials,
    service: &str,
    method: &str,
    uri: &Uri,
    body: &[u8],
    now: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let (time, day) = (now.format("%Y%m%dT%H%M%SZ").to_string(), now.format("%Y%m%d").to_string());
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let token = credentials.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    // The headers are sorted by name.
    let mut signed = vec![("host", host), ("x-amz-date", time.clone())];
    signed.extend(token.map(|token| ("x-amz-security-token", token)));
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("{method}\n{}\n\n{lines}\n{names}\n{}", uri.path(), hex(&Sha256::digest(body)));
    let scope = format!("{day}/{}/{service}/aws4_request", credentials.region);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let secret = format!("AWS4{}", credentials.secret_access_key.expose_secret());
    let parts = [day.as_str(), &credentials.region, service, "aws4_request"];
    let key = parts.iter().fold(secret.into_bytes(), |key, part| mac(&key, part));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        credentials.access_key_id,
        hex(&mac(&key, &text)),
    );
    // The HTTP client sets the host header.
    let headers = signed.into_iter().filter(|(name, _)| *name != "host");
    headers.chain([("authorization", authorization)]).collect()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The case `get-vanilla` of AWS' test suite.
    #[test]
    fn the_signature_is_that_of_aws() {
        let credentials = AwsCredentials {
            region: "us-east-1".to_owned(),
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        };
        let now = "2015-08-30T12:36:00Z".parse().expect("a time");
        let uri = Uri::from_static("https://example.amazonaws.com/");
        let headers = sign(&credentials, "service", "GET", &uri, b"", now);
        assert_eq!(headers[0], ("x-amz-date", "20150830T123600Z".to_owned()));
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                        SignedHeaders=host;x-amz-date, \
                        Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        assert_eq!(headers[1], ("authorization", expected.to_owned()));
    }
}
