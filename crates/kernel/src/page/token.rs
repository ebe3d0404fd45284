//! Page tokens: list positions, authenticated so that only this service can issue them.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::DateTime;
use uuid::Uuid;

use super::Key;
use crate::secret::SecretKey;

/// The identity of a list: a hash of the method, its filters and its order.
pub type List = [u8; 32];

const VERSION: u8 = 2;
const POSITION_BYTES: usize = 1 + 2 + 8 + 16;
/// Smaller than any rank.
const NO_RANK: i16 = i16::MIN;

/// Makes and reads page tokens. A token carries a MAC over its position and its list, so that a caller can neither
/// forge a position nor use a token for another list.
///
/// The key is derived from the server's secret, which all instances share. A new secret invalidates all earlier tokens.
#[derive(Clone)]
pub struct PageTokens(hmac::Key);

debug_fields!(PageTokens);

impl PageTokens {
    /// Derives the key.
    pub fn new(secret: &SecretKey) -> Self {
        Self(secret.mac("page tokens v1"))
    }

    /// Returns the token of a position in a list.
    pub fn seal(&self, key: Key, list: &List) -> String {
        let mut bytes = Vec::with_capacity(POSITION_BYTES + 32);
        bytes.push(VERSION);
        bytes.extend(key.rank.unwrap_or(NO_RANK).to_be_bytes());
        bytes.extend(key.time.timestamp_micros().to_be_bytes());
        bytes.extend(key.id.as_bytes());
        let tag = hmac::sign(&self.0, &[list, &*bytes].concat());
        bytes.extend(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Returns the position of a token; `None` if it was not made for this list under this secret.
    pub fn open(&self, token: &str, list: &List) -> Option<Key> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (position, tag) = bytes.split_first_chunk::<POSITION_BYTES>()?;
        hmac::verify(&self.0, &[list, &position[..]].concat(), tag).ok()?;
        let [VERSION, r0, r1, rest @ ..] = position else { return None };
        let (time, id) = rest.split_first_chunk::<8>()?;
        let rank = i16::from_be_bytes([*r0, *r1]);
        Some(Key {
            rank: Some(rank).filter(|&rank| rank != NO_RANK),
            time: DateTime::from_timestamp_micros(i64::from_be_bytes(*time))?,
            id: Uuid::from_slice(id).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(secret: u8) -> PageTokens {
        PageTokens::new(&SecretKey::new([secret; 32]))
    }

    fn key(rank: Option<i16>) -> Key {
        Key {
            rank,
            time: DateTime::from_timestamp_micros(1_790_000_000_123_456).expect("a time"),
            id: Uuid::from_u128(7),
        }
    }

    #[test]
    fn a_token_leads_back_to_its_row() {
        for rank in [None, Some(3), Some(-3)] {
            let token = tokens(1).seal(key(rank), &[1; 32]);
            assert_eq!(tokens(1).open(&token, &[1; 32]), Some(key(rank)));
        }
    }

    #[test]
    fn a_token_of_another_list_or_secret_is_refused() {
        let token = tokens(1).seal(key(None), &[1; 32]);
        assert_eq!(tokens(1).open(&token, &[2; 32]), None);
        assert_eq!(tokens(2).open(&token, &[1; 32]), None);
        assert_eq!(tokens(1).open("bm9uc2Vuc2U", &[1; 32]), None);
    }

    #[test]
    fn a_token_with_any_changed_byte_is_refused() {
        let token = URL_SAFE_NO_PAD.decode(tokens(1).seal(key(Some(1)), &[1; 32])).expect("base64");
        for at in 0..token.len() {
            let mut forged = token.clone();
            forged[at] ^= 1;
            assert_eq!(tokens(1).open(&URL_SAFE_NO_PAD.encode(forged), &[1; 32]), None, "byte {at}");
        }
        assert_eq!(tokens(1).open(&URL_SAFE_NO_PAD.encode(&token[..POSITION_BYTES]), &[1; 32]), None);
    }
}
