//! The signing secrets of providers, in their textual forms.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::webhooks::{config::encoding, inbound_event::model::Provider};

/// Decodes a secret of a provider.
///
/// # Errors
/// A description of the fault, which never contains the secret.
pub(crate) fn decode(provider: Provider, text: &str) -> Result<Vec<u8>, &'static str> {
    match provider {
        Provider::Stripe | Provider::Github | Provider::Generic => plain(text),
        Provider::Standard => standard(text),
        Provider::Sendgrid => public_key(text),
    }
}

/// Reads a secret that is used as plain text.
fn plain(secret: &str) -> Result<Vec<u8>, &'static str> {
    let good = secret.len() >= 16 && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(secret.into()) } else { Err("must be secrets of 16 visible characters at least, separated by commas") }
}

/// The bytes before the point in the SubjectPublicKeyInfo (RFC 5480) of a P-256 key.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Decodes a P-256 public key, and returns the point.
fn public_key(text: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = STANDARD.decode(text).ok();
    let point = bytes.as_deref().and_then(|bytes| bytes.strip_prefix(&P256_PREFIX)).filter(|point| point.len() == 65);
    point.map(<[u8]>::to_vec).ok_or("must be public keys as SendGrid shows them, separated by commas")
}

/// Decodes a secret of Standard Webhooks, of 24 to 64 bytes.
fn standard(text: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = encoding::base64(text.strip_prefix("whsec_").unwrap_or(text));
    bytes
        .filter(|bytes| (24..=64).contains(&bytes.len()))
        .ok_or("must be whsec_ and 24 to 64 bytes in base64, several separated by commas")
}
