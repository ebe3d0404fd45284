//! Tokens whose content a MAC authenticates, so that the server stores nothing.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;

/// Writes a token.
pub(super) fn write(key: &hmac::Key, prefix: &str, claim: &[u8]) -> SecretString {
    let mac = hmac::sign(key, claim);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode([claim, mac.as_ref()].concat())).into()
}

/// Reads the content of a token; `None` if it has another prefix, length or MAC, which is compared in constant time.
pub(super) fn read<const N: usize>(key: &hmac::Key, prefix: &str, token: &str) -> Option<[u8; N]> {
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(prefix)?).ok()?;
    let (claim, mac) = bytes.split_first_chunk::<N>()?;
    hmac::verify(key, claim, mac).ok()?;
    Some(*claim)
}
