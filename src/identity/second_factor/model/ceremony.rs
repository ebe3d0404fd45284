//! A ceremony of WebAuthn that has begun: its challenge, and who may complete it.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::signed;
use mainstay_kernel::{
    id::{SessionId, UserId},
    secret::{SecretKey, random},
};

const PREFIX: &str = "mpc_";
const KEY: &str = "passkey ceremonies v1";
const CLAIM_BYTES: usize = 1 + 16 + 16 + 32 + 8;
/// How long a user has to complete a ceremony.
pub const CEREMONY_LIFE: TimeDelta = TimeDelta::minutes(5);

/// What a ceremony is for, and who may complete it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A sign-in: the holder of the token.
    Login,
    /// The addition of a passkey: the user, in the session.
    Enroll(UserId, SessionId),
    /// A repeated authentication: the user, in the session.
    Reauthenticate(UserId, SessionId),
}

impl Purpose {
    fn bytes(self) -> [u8; 33] {
        let (number, user, session) = match self {
            Self::Login => (1, UserId(Uuid::nil()), SessionId(Uuid::nil())),
            Self::Enroll(user, session) => (2, user, session),
            Self::Reauthenticate(user, session) => (3, user, session),
        };
        let mut bytes = [number; 33];
        bytes[1..17].copy_from_slice(user.0.as_bytes());
        bytes[17..].copy_from_slice(session.0.as_bytes());
        bytes
    }
}

/// A ceremony that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceremony {
    purpose: Purpose,
    challenge: [u8; 32],
}

impl Ceremony {
    /// Begins a ceremony, with a random challenge.
    pub fn begin(purpose: Purpose) -> Self {
        Self { purpose, challenge: random() }
    }

    /// Returns the challenge, which the authenticator signs.
    pub fn challenge(&self) -> &[u8] {
        &self.challenge
    }

    /// Writes the token, which is valid for [`CEREMONY_LIFE`].
    pub fn write(&self, secret: &SecretKey, now: DateTime<Utc>) -> SecretString {
        let expires_at = (now + CEREMONY_LIFE).timestamp().to_be_bytes();
        signed::write(&secret.mac(KEY), PREFIX, &[&self.purpose.bytes()[..], &self.challenge, &expires_at].concat())
    }

    /// Reads a token; `None` if this service did not write it for the purpose, or if it has expired.
    pub fn read(secret: &SecretKey, token: &str, purpose: Purpose, now: DateTime<Utc>) -> Option<Self> {
        let claim = signed::read::<CLAIM_BYTES>(&secret.mac(KEY), PREFIX, token)?;
        let (of, rest) = claim.split_first_chunk::<33>()?;
        let (challenge, expires_at) = rest.split_first_chunk::<32>()?;
        let is_valid = now.timestamp() < i64::from_be_bytes(expires_at.try_into().ok()?);
        (is_valid && *of == purpose.bytes()).then_some(Self { purpose, challenge: *challenge })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_ceremony_is_of_one_purpose_one_service_and_expires() {
        let at = |seconds: i64| DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time");
        let (secret, other) = (SecretKey::new([1; 32]), SecretKey::new([2; 32]));
        let (user, session) = (UserId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)));
        let purposes = [
            Purpose::Login,
            Purpose::Enroll(user, session),
            Purpose::Reauthenticate(user, session),
            Purpose::Enroll(UserId(Uuid::from_u128(3)), session),
            Purpose::Enroll(user, SessionId(Uuid::from_u128(3))),
        ];
        for purpose in purposes {
            let ceremony = Ceremony::begin(purpose);
            let token = ceremony.write(&secret, at(0));
            let token = token.expose_secret();
            assert_eq!(Ceremony::read(&secret, token, purpose, at(299)), Some(ceremony));
            assert_eq!(Ceremony::read(&secret, token, purpose, at(300)), None, "expired");
            assert_eq!(Ceremony::read(&other, token, purpose, at(0)), None, "of another service");
            for foreign in purposes.into_iter().filter(|&other| other != purpose) {
                assert_eq!(Ceremony::read(&secret, token, foreign, at(0)), None, "{foreign:?}");
            }
            for bad in ["", "mpc_", "mpc_AAAA", &token[4..], &token[..token.len() - 4]] {
                assert_eq!(Ceremony::read(&secret, bad, purpose, at(0)), None, "{bad}");
            }
        }
        assert_ne!(Ceremony::begin(Purpose::Login), Ceremony::begin(Purpose::Login), "the challenge is random");
    }
}
