//! The signing secrets of providers, in their textual forms.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mainstay_kernel::config::Reader;
use secrecy::ExposeSecret as _;

use crate::webhooks::config::encoding;

/// Reads the secrets of a variable, which commas separate. A secret that can't be decoded is a fault of the variable.
/// Supabase shows a secret as `v1,whsec_…`, whose first part is the version of the scheme.
pub(crate) fn read_secrets(
    read: &mut Reader,
    variable: &str,
    decode: impl Fn(&str) -> Result<Vec<u8>, &'static str>,
) -> Vec<Vec<u8>> {
    let Some(text) = read.secret(variable) else { return Vec::new() };
    let parts = text.expose_secret().split(',').map(str::trim).filter(|part| !matches!(*part, "" | "v1"));
    let secrets: Result<Vec<_>, _> = parts.map(decode).collect();
    secrets.unwrap_or_else(|fault| {
        read.fault(variable, fault);
        Vec::new()
    })
}

/// Decodes a secret that is used as plain text. A fault never contains the secret.
pub(crate) fn plain_secret(secret: &str) -> Result<Vec<u8>, &'static str> {
    let good = secret.len() >= 16 && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(secret.into()) } else { Err("must be secrets of 16 visible characters at least, separated by commas") }
}

/// The bytes before the point in the SubjectPublicKeyInfo (RFC 5480) of a P-256 key.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Decodes a P-256 public key, and returns the point.
pub(crate) fn public_key(text: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = STANDARD.decode(text).ok();
    let point = bytes.as_deref().and_then(|bytes| bytes.strip_prefix(&P256_PREFIX)).filter(|point| point.len() == 65);
    point.map(<[u8]>::to_vec).ok_or("must be public keys as SendGrid shows them, separated by commas")
}

/// Decodes a secret of Standard Webhooks, of 24 to 64 bytes.
pub(crate) fn standard_secret(text: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = encoding::base64(text.strip_prefix("whsec_").unwrap_or(text));
    bytes
        .filter(|bytes| (24..=64).contains(&bytes.len()))
        .ok_or("must be whsec_ and 24 to 64 bytes in base64, several separated by commas")
}
