//! The tokens of unsubscribe links: a user and a MAC. They do not expire, and serve no other purpose.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use mainstay_kernel::id::UserId;

const ID_BYTES: usize = 16;
const MAC_BYTES: usize = 16;

fn mac(key: &hmac::Key, user: UserId) -> [u8; MAC_BYTES] {
    let tag = hmac::sign(key, user.0.as_bytes());
    tag.as_ref()[..MAC_BYTES].try_into().expect("16 of 32 bytes")
}

/// Writes the token of a user.
pub(super) fn write(key: &hmac::Key, user: UserId) -> String {
    URL_SAFE_NO_PAD.encode([&user.0.as_bytes()[..], &mac(key, user)].concat())
}

/// Returns the user of a token, if the token is valid.
pub(super) fn read(key: &hmac::Key, token: &str) -> Option<UserId> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (id, rest) = bytes.split_first_chunk::<ID_BYTES>()?;
    let user = UserId(Uuid::from_bytes(*id));
    verify_slices_are_equal(&mac(key, user), rest).is_ok().then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_tokens_name_a_user() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key");
        let user = UserId(Uuid::from_u128(7));
        let token = write(&key, user);
        assert_eq!(read(&key, &token), Some(user));
        let other = write(&hmac::Key::new(hmac::HMAC_SHA256, b"another key"), user);
        for bad in ["", "AAAA", &token[1..], &token[..40], &other, &format!("{token}A")] {
            assert_eq!(read(&key, bad), None, "{bad}");
        }
    }
}
