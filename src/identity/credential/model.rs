//! The secrets that callers hold, in text form: their prefixes and contents.
//!
//! | text | contents | stored by the server |
//! |---|---|---|
//! | `eyJ…` | access token, a JWT | nothing |
//! | `mrt_…` | refresh token: user, session, generation and a MAC | the generation |
//! | `msk_…` | service key: its id, 256 random bits and a checksum | SHA-256 |
//! | `mdv_…` | device token: a random id, an expiry and a MAC, which also covers the address | SHA-256 of the id, of a remembered device |
//! | `mch_…` | [challenge](crate::identity::second_factor::model::Challenge) of a second factor: user, epoch, device, account, expiry and a MAC | nothing |
//! | `mpc_…` | [ceremony](crate::identity::second_factor::model::Ceremony) of a passkey: purpose, user, session, challenge, expiry and a MAC | nothing |
//! | `mpr_…` | password reset: 256 bits derived from the id of its mail | SHA-256 |
//! | `mml_…` | sign-in by mail: 256 bits derived from its id | SHA-256 |
//! | `mmb_…` | what binds a sign-in by mail to a browser: 256 random bits | SHA-256 |
//! | 8 digits | code of a sign-in by mail: derived from its id | nothing |
//! | `mrg_…` | registration: 256 bits derived from its id | SHA-256 |
//! | `mec_…` | change of an address: 256 bits derived from its id | SHA-256 |
//! | `miv_…` | invitation: 256 bits derived from its id | SHA-256 |
//! | `mcd_…` | cancellation of a deletion: 256 bits derived from the id of its notice | SHA-256 |
//! | `mcs_…` | secret of a client of OAuth: 256 random bits | SHA-256 |
//! | `mac_…` | authorization code: 256 random bits | SHA-256 |
//! | `mdc_…` | code of a device: 256 random bits | SHA-256 |
//! | `XXXX-XXXX` | user code of a device: 8 random letters | a MAC |
//! | `meu_…` | undoing that change: 256 other bits derived from its id | SHA-256 |
//!
//! Tokens in mail are derived with the secret key, so that every delivery attempt sends an identical mail. A provider can
//! then deduplicate the mail, and the link of an attempt that seemed to fail stays valid.
//!
//! The prefixes let secret scanners recognize leaked secrets. The checksum of a service key lets them exclude texts that only
//! look like one, without a request.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use mainstay_kernel::{
    id::{ServiceKeyId, SessionId, UserId},
    secret::SecretKey,
};

const REFRESH: &str = "mrt_";
/// The prefix of service keys.
pub const SERVICE: &str = "msk_";
const DEVICE: &str = "mdv_";
const RESET: &str = "mpr_";
const REGISTRATION: &str = "mrg_";
const MAIL_LOGIN: &str = "mml_";
const MAIL_BINDING: &str = "mmb_";
const EMAIL_CHANGE: &str = "mec_";
const EMAIL_UNDO: &str = "meu_";
const INVITATION: &str = "miv_";
const DELETION: &str = "mcd_";
const CLIENT_SECRET: &str = "mcs_";
const AUTHORIZATION_CODE: &str = "mac_";
const DEVICE_CODE: &str = "mdc_";

/// The random bytes of a secret.
pub type Random = [u8; 32];

/// The contents of a refresh token, which are trusted only with a valid MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshClaim {
    pub user: UserId,
    pub session: SessionId,
    pub generation: u32,
}

const CLAIM_BYTES: usize = 16 + 16 + 4;
const MAC_BYTES: usize = 32;

impl RefreshClaim {
    /// Returns the bytes that the MAC covers.
    pub fn bytes(&self) -> [u8; CLAIM_BYTES] {
        let mut bytes = [0; CLAIM_BYTES];
        bytes[..16].copy_from_slice(self.user.0.as_bytes());
        bytes[16..32].copy_from_slice(self.session.0.as_bytes());
        bytes[32..].copy_from_slice(&self.generation.to_be_bytes());
        bytes
    }

    /// Writes the token.
    pub fn write(&self, mac: &[u8]) -> SecretString {
        let token = URL_SAFE_NO_PAD.encode([&self.bytes()[..], mac].concat());
        format!("{REFRESH}{token}").into()
    }

    /// Reads the contents of a token and its MAC, which is not verified here.
    pub fn read(token: &str) -> Option<(Self, [u8; MAC_BYTES])> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(REFRESH)?).ok()?;
        let (claim, mac) = bytes.split_first_chunk::<CLAIM_BYTES>()?;
        let claim = Self {
            user: UserId(Uuid::from_slice(&claim[..16]).ok()?),
            session: SessionId(Uuid::from_slice(&claim[16..32]).ok()?),
            generation: u32::from_be_bytes(claim[32..].try_into().ok()?),
        };
        Some((claim, mac.try_into().ok()?))
    }
}

/// The id of a device that has signed in.
pub type DeviceId = [u8; 16];

const DEVICE_BYTES: usize = 16 + 8;

fn device_mac(secret: &SecretKey, address: &str, claim: &[u8]) -> hmac::Tag {
    hmac::sign(&secret.mac("device tokens v1"), &[claim, address.as_bytes()].concat())
}

/// Writes the token of a device on which an address has signed in.
pub fn write_device(secret: &SecretKey, address: &str, device: DeviceId, expires_at: DateTime<Utc>) -> SecretString {
    let claim = [&device[..], &expires_at.timestamp().to_be_bytes()].concat();
    let mac = device_mac(secret, address, &claim);
    format!("{DEVICE}{}", URL_SAFE_NO_PAD.encode([&claim, mac.as_ref()].concat())).into()
}

/// Returns the id of a device, if the token is of this service and this address, and has not expired.
pub fn read_device(secret: &SecretKey, address: &str, token: &str, now: DateTime<Utc>) -> Option<DeviceId> {
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(DEVICE)?).ok()?;
    let (claim, mac) = bytes.split_first_chunk::<DEVICE_BYTES>()?;
    let is_ours: bool = device_mac(secret, address, claim).as_ref().ct_eq(mac).into();
    let (device, expiry) = claim.split_first_chunk::<16>()?;
    let expires_at = i64::from_be_bytes(expiry.try_into().ok()?);
    (is_ours && now.timestamp() < expires_at).then_some(*device)
}

/// The length of the checksum of a service key: the first characters of a SHA-256 in Base64url.
const CHECKSUM: usize = 6;

fn checksum(text: &str) -> String {
    let mut checksum = URL_SAFE_NO_PAD.encode(hash(text));
    checksum.truncate(CHECKSUM);
    checksum
}

/// Writes a service key.
pub fn write_service_key(id: ServiceKeyId, random: &Random) -> SecretString {
    let text = format!("{SERVICE}{}_{}", id.0.simple(), URL_SAFE_NO_PAD.encode(random));
    format!("{text}{}", checksum(&text)).into()
}

/// Returns the id in a service key, which is not verified here. Keys of earlier versions have no checksum.
pub fn read_service_key(secret: &str) -> Option<ServiceKeyId> {
    let is_random = |text: &str| URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == size_of::<Random>());
    let (id, random) = secret.strip_prefix(SERVICE)?.split_once('_')?;
    let is_checked = || {
        let (text, sum) = secret.split_at_checked(secret.len().checked_sub(CHECKSUM)?)?;
        let (random, _) = random.split_at_checked(random.len().checked_sub(CHECKSUM)?)?;
        Some(is_random(random) && checksum(text) == sum)
    };
    let is_well_formed = is_random(random) || is_checked().unwrap_or(false);
    if is_well_formed { Uuid::try_parse(id).ok().map(ServiceKeyId) } else { None }
}

/// Writes the password reset token of a mail.
pub fn write_reset(secret: &SecretKey, mail: Uuid) -> SecretString {
    format!("{RESET}{}", derive(secret, "password reset tokens v1", mail)).into()
}

/// Writes the token in the link of a sign-in by mail.
pub fn write_mail_login(secret: &SecretKey, login: Uuid) -> SecretString {
    format!("{MAIL_LOGIN}{}", derive(secret, "mail login tokens v1", login)).into()
}

/// Writes the secret that binds a sign-in by mail to the browser that asked for it.
pub fn write_mail_binding(random: &Random) -> SecretString {
    format!("{MAIL_BINDING}{}", URL_SAFE_NO_PAD.encode(random)).into()
}

/// Writes the secret of a client of OAuth.
pub fn write_client_secret(random: &Random) -> SecretString {
    format!("{CLIENT_SECRET}{}", URL_SAFE_NO_PAD.encode(random)).into()
}

/// Writes an authorization code.
pub fn write_authorization_code(random: &Random) -> SecretString {
    format!("{AUTHORIZATION_CODE}{}", URL_SAFE_NO_PAD.encode(random)).into()
}

/// Writes the code of a device.
pub fn write_device_code(random: &Random) -> SecretString {
    format!("{DEVICE_CODE}{}", URL_SAFE_NO_PAD.encode(random)).into()
}

/// The digits of the code of a sign-in by mail.
pub const MAIL_CODE_DIGITS: usize = 8;

/// Writes the code of a sign-in by mail. It is not stored, because a hash of so few digits reveals them.
pub fn write_mail_code(secret: &SecretKey, login: Uuid) -> SecretString {
    let tag = hmac::sign(&secret.mac("mail login codes v1"), login.as_bytes());
    let number = tag.as_ref().first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    format!("{:08}", number % 100_000_000).into()
}

/// Writes the token of a registration.
pub fn write_registration(secret: &SecretKey, registration: Uuid) -> SecretString {
    format!("{REGISTRATION}{}", derive(secret, "registration tokens v1", registration)).into()
}

/// Writes the token that confirms the change of an address.
pub fn write_email_change(secret: &SecretKey, change: Uuid) -> SecretString {
    format!("{EMAIL_CHANGE}{}", derive(secret, "email change tokens v1", change)).into()
}

/// Writes the token that undoes the change of an address.
pub fn write_email_undo(secret: &SecretKey, change: Uuid) -> SecretString {
    format!("{EMAIL_UNDO}{}", derive(secret, "email undo tokens v1", change)).into()
}

/// Writes the token of an invitation.
pub fn write_invitation(secret: &SecretKey, invitation: Uuid) -> SecretString {
    format!("{INVITATION}{}", derive(secret, "invitation tokens v1", invitation)).into()
}

/// Writes the token that cancels a deletion.
pub fn write_deletion(secret: &SecretKey, notice: Uuid) -> SecretString {
    format!("{DELETION}{}", derive(secret, "deletion tokens v1", notice)).into()
}

fn derive(secret: &SecretKey, purpose: &str, id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(&secret.mac(purpose), id.as_bytes()))
}

/// By what a token names the secret that its client has proved, without revealing the stored hash.
pub type Fingerprint = [u8; 8];

/// Returns the fingerprint of the stored hash of a secret.
pub fn fingerprint(hash: &[u8]) -> Fingerprint {
    let digest: [u8; 32] = Sha256::digest(hash).into();
    std::array::from_fn(|index| digest[index])
}

/// Hashes a secret for storage. A slow hash would add nothing to 256 random bits.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn refresh_tokens_round_trip() {
        let claim =
            RefreshClaim { user: UserId(Uuid::from_u128(1)), session: SessionId(Uuid::from_u128(2)), generation: 3 };
        let token = claim.write(&[9; 32]);
        assert_eq!(RefreshClaim::read(token.expose_secret()), Some((claim, [9; 32])));
        for bad in ["", "mrt_", "mrt_AAAA", "mrt_***", &token.expose_secret()[4..], &token.expose_secret()[..80]] {
            assert_eq!(RefreshClaim::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_device_token_is_of_one_address_and_expires() {
        let at = |seconds: i64| DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time");
        let (secret, other) = (SecretKey::new([1; 32]), SecretKey::new([2; 32]));
        let token = write_device(&secret, "ada@example.com", [7; 16], at(60));
        let token = token.expose_secret();
        assert_eq!(read_device(&secret, "ada@example.com", token, at(59)), Some([7; 16]));
        assert_eq!(read_device(&secret, "ada@example.com", token, at(60)), None, "expired");
        assert_eq!(read_device(&secret, "bob@example.com", token, at(0)), None, "of another address");
        assert_eq!(read_device(&other, "ada@example.com", token, at(0)), None, "of another service");
        for bad in ["", "mdv_", "mdv_AAAA", "mdv_***", &token[4..], &token[..token.len() - 4]] {
            assert_eq!(read_device(&secret, "ada@example.com", bad, at(0)), None, "{bad}");
        }
    }

    #[test]
    fn a_service_key_contains_its_id() {
        let id = ServiceKeyId(Uuid::from_u128(7));
        // Base64url of set bits is full of underscores.
        let secret = write_service_key(id, &[0xff; 32]);
        let secret = secret.expose_secret();
        assert_eq!(read_service_key(secret), Some(id));
        let (earlier, sum) = secret.split_at(secret.len() - CHECKSUM);
        assert_eq!(read_service_key(earlier), Some(id), "a key of an earlier version");
        let other: String = sum.chars().rev().collect();
        assert_ne!(other, sum, "the test needs another checksum");
        assert_eq!(read_service_key(&format!("{earlier}{other}")), None);
        for bad in ["msk_", "msk_x_y", "mrt_00000000000000000000000000000007_AAAA"] {
            assert_eq!(read_service_key(bad), None, "{bad}");
        }
    }
}
