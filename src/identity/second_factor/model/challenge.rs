//! The challenge of a sign-in that awaits the code of a second factor: what the first factor has proved, with a MAC, so that the
//! server stores nothing. It ends with the epoch of the user, and thus with a new password.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::signed;
use crate::identity::{account_provider::id::AccountProviderId, credential::model::DeviceId, session::model::Method};
use mainstay_kernel::{
    id::{AccountId, UserId},
    secret::SecretKey,
};

const PREFIX: &str = "mch_";
const KEY: &str = "second factor challenges v3";
const CLAIM_BYTES: usize = 16 + 4 + 16 + 16 + 16 + 16 + 2 + 8;
/// How long a user has to type a code.
const LIFE: TimeDelta = TimeDelta::minutes(5);

/// The content of a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    pub user: UserId,
    /// The number of the user's epoch.
    pub epoch: i32,
    /// Identifies the challenge for the limit on wrong codes, and is the challenge that a passkey signs.
    pub id: [u8; 16],
    /// The device that signs in.
    pub device: DeviceId,
    /// The account that the session is to have, if the sign-in named one.
    pub account: Option<AccountId>,
    /// The provider of this account, if the sign-in began with it.
    pub provider: Option<AccountProviderId>,
    /// The first factor.
    pub method: Method,
}

impl Challenge {
    /// Writes the token, and returns how long it is valid.
    pub fn write(&self, secret: &SecretKey, now: DateTime<Utc>) -> (SecretString, TimeDelta) {
        let expires_at = (now + LIFE).timestamp();
        let account = self.account.map_or(Uuid::nil(), |account| account.0);
        let provider = self.provider.map_or(Uuid::nil(), |provider| provider.0);
        let claim = [
            self.user.0.as_bytes().as_slice(),
            &self.epoch.to_be_bytes(),
            &self.id,
            &self.device,
            account.as_bytes(),
            provider.as_bytes(),
            &self.method.number().to_be_bytes(),
            &expires_at.to_be_bytes(),
        ]
        .concat();
        (signed::write(&secret.mac(KEY), PREFIX, &claim), LIFE)
    }

    /// Reads a token; `None` if this service did not write it, or if it has expired.
    pub fn read(secret: &SecretKey, token: &str, now: DateTime<Utc>) -> Option<Self> {
        let claim = signed::read::<CLAIM_BYTES>(&secret.mac(KEY), PREFIX, token)?;
        let (user, rest) = claim.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (device, rest) = rest.split_first_chunk()?;
        let (account, rest) = rest.split_first_chunk()?;
        let (provider, rest) = rest.split_first_chunk()?;
        let (method, rest) = rest.split_first_chunk()?;
        let [account, provider] =
            [account, provider].map(|bytes| Some(Uuid::from_bytes(*bytes)).filter(|id| !id.is_nil()));
        let expires_at = i64::from_be_bytes(rest.try_into().ok()?);
        (now.timestamp() < expires_at).then_some(Self {
            user: UserId(Uuid::from_bytes(*user)),
            epoch: i32::from_be_bytes(*epoch),
            id: *id,
            device: *device,
            account: account.map(AccountId),
            provider: provider.map(AccountProviderId),
            method: Method::from_number(i16::from_be_bytes(*method).into())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_challenge_is_of_one_service_and_expires() {
        let at = |seconds: i64| DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time");
        let (secret, other) = (SecretKey::new([1; 32]), SecretKey::new([2; 32]));
        for account in [None, Some(AccountId(Uuid::from_u128(3)))] {
            let (user, method) = (UserId(Uuid::from_u128(1)), Method::Provider);
            let provider = account.map(|account| AccountProviderId(account.0));
            let challenge = Challenge { user, epoch: -7, id: [5; 16], device: [6; 16], account, provider, method };
            let (token, life) = challenge.write(&secret, at(0));
            let token = token.expose_secret();
            assert_eq!(life, TimeDelta::seconds(300));
            assert_eq!(Challenge::read(&secret, token, at(299)), Some(challenge));
            assert_eq!(Challenge::read(&secret, token, at(300)), None, "expired");
            assert_eq!(Challenge::read(&other, token, at(0)), None, "of another service");
            for bad in ["", "mch_", "mch_AAAA", "mch_***", &token[4..], &token[..token.len() - 4]] {
                assert_eq!(Challenge::read(&secret, bad, at(0)), None, "{bad}");
            }
        }
    }
}
