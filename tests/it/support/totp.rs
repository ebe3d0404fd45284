//! An authenticator app, independent of the code that it tests.

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use data_encoding::BASE32;

/// Returns the code that an app with a secret in Base32 shows at a time (RFC 6238).
pub(crate) fn totp(secret: &str, at: DateTime<Utc>) -> String {
    let key = BASE32.decode(secret.as_bytes()).expect("20 bytes need no padding");
    let counter = u64::try_from(at.timestamp()).expect("after 1970") / 30;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let hash = hmac::sign(&key, &counter.to_be_bytes());
    let offset = usize::from(hash.as_ref()[19] % 16);
    let number = hash.as_ref()[offset..offset + 4].iter().fold(0_u64, |number, byte| number * 256 + u64::from(*byte));
    format!("{:06}", number % (1 << 31) % 1_000_000)
}
