//! The signing secrets of providers, as they are written.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::webhooks::inbound_event::model::Provider;

/// Decodes a secret of a provider.
///
/// # Errors
/// What is wrong with it. Never contains the secret.
pub(crate) fn decode(provider: Provider, text: &str) -> Result<Vec<u8>, &'static str> {
    match provider {
        Provider::Stripe | Provider::Github => plain(text),
        Provider::Standard => standard(text),
    }
}

/// Reads a secret that is used as plain text.
fn plain(secret: &str) -> Result<Vec<u8>, &'static str> {
    let good = secret.len() >= 16 && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(secret.into()) } else { Err("must be secrets of 16 visible characters at least, separated by commas") }
}

/// Decodes a secret of Standard Webhooks, of 24 to 64 bytes.
fn standard(text: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok();
    bytes
        .filter(|bytes| (24..=64).contains(&bytes.len()))
        .ok_or("must be whsec_ and 24 to 64 bytes in base64, several separated by commas")
}
