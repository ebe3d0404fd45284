//! Codes of authenticator apps, recovery codes and passkeys.

mod ceremony;
mod challenge;
mod device;
mod passkey;
mod signed;

use aws_lc_rs::hmac;
use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE32_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use mainstay_kernel::{
    contract::validate::text::normalize_code,
    error::{Error, Result},
    id::UserId,
};

pub use ceremony::{CEREMONY_LIFE, Ceremony, Purpose};
pub use challenge::Challenge;
pub use device::{MAX_DEVICES, RememberedDevice};
pub use passkey::{Credential, MAX_PASSKEYS, Passkey};

/// The length of a secret in bytes: that of a SHA-1 hash (RFC 4226, 4, R6).
pub const SECRET_BYTES: usize = 20;
/// The number of recovery codes.
pub const RECOVERY_CODES: usize = 10;
/// How long after its request a reset by an admin removes the factor: the user reads the mail, and cancels it.
pub const RESET_DELAY: TimeDelta = TimeDelta::hours(24);
/// The time since the last authentication from which a user with a second factor must authenticate again.
pub const MAX_AUTH_AGE: TimeDelta = TimeDelta::minutes(10);

/// The period of a code in seconds.
const STEP_S: i64 = 30;
const DIGITS: usize = 6;
/// The random bytes of a recovery code: 16 letters and digits in Base32.
const RECOVERY_BYTES: usize = 10;
/// RFC 3986, 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The stored authenticator app and recovery codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The secret that the app shares, sealed; empty without an app.
    pub secret: Vec<u8>,
    /// The last step whose code was accepted; 0 while the app awaits its confirmation.
    pub last_step: i64,
    /// The number of recovery codes that have not been used.
    pub recovery_codes_left: usize,
    /// When a reset removes the factors.
    pub reset_at: Option<DateTime<Utc>>,
}

impl Stored {
    /// Returns whether the user has confirmed an app: a code of it was accepted.
    pub fn has_app(&self) -> bool {
        !self.secret.is_empty() && self.last_step > 0
    }
}

/// What a user sees of the second factors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SecondFactor {
    pub created_at: Option<DateTime<Utc>>,
    pub recovery_codes_left: usize,
    pub reset_at: Option<DateTime<Utc>>,
    pub has_app: bool,
    pub passkeys: usize,
}

impl SecondFactor {
    /// Returns the factors of a user who has added the first one at a time, if any.
    pub fn of(created_at: Option<DateTime<Utc>>, stored: Option<&Stored>, passkeys: usize) -> Self {
        let both = created_at.and(stored);
        Self {
            created_at,
            recovery_codes_left: both.map_or(0, |stored| stored.recovery_codes_left),
            reset_at: both.and_then(|stored| stored.reset_at),
            has_app: both.is_some_and(Stored::has_app),
            passkeys,
        }
    }
}

/// A code that a user typed.
#[derive(Clone, PartialEq, Eq)]
pub enum Code {
    /// Of the authenticator app.
    Totp(String),
    /// The SHA-256 of a recovery code.
    Recovery([u8; 32]),
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code")
    }
}

impl Code {
    /// Reads a code; spaces, hyphens, capitals and the script of digits do not matter.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a text that is no code, which the contract refuses for method calls.
    pub fn parse(text: &str) -> Result<Self> {
        let mut text = text.to_owned();
        normalize_code(&mut text);
        if text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Totp(text));
        }
        match BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()) {
            Ok(bytes) if bytes.len() == RECOVERY_BYTES => Ok(Self::Recovery(Sha256::digest(bytes).into())),
            _ => Err(Error::field("code", "must be 6 digits, or a recovery code")),
        }
    }
}

/// Returns the code of a step (RFC 4226, 5.3).
fn code(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[tag.len() - 1] & 0x0f);
    let word = u32::from_be_bytes([tag[offset] & 0x7f, tag[offset + 1], tag[offset + 2], tag[offset + 3]]);
    format!("{:06}", word % 1_000_000)
}

/// Returns the step of a code: the present one, or one before or after it, because clocks differ. A code of the last
/// accepted step, or of an earlier one, is `None` like a wrong one.
pub fn step_of(secret: &[u8], typed: &str, last_step: i64, now: DateTime<Utc>) -> Option<i64> {
    let present = now.timestamp() / STEP_S;
    (present - 1..=present + 1).filter(|&step| step > last_step).find(|&step| {
        let is_same: bool = code(secret, step).as_bytes().ct_eq(typed.as_bytes()).into();
        is_same
    })
}

/// Writes a secret in Base32, and the URI for the QR code (the key URI format that authenticator apps read).
pub fn written(secret: &[u8], issuer: &str, account: &str) -> (String, String) {
    let secret = BASE32_NOPAD.encode(secret);
    let [issuer, account] = [issuer, account].map(|text| utf8_percent_encode(text, RESERVED).to_string());
    let uri = format!("otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}");
    (secret, uri)
}

/// Returns recovery codes, each with its hash, of random bytes. A slow hash would add nothing to 80 random bits.
pub fn recovery_codes(random: [[u8; RECOVERY_BYTES]; RECOVERY_CODES]) -> (Vec<String>, Vec<Vec<u8>>) {
    let one = |bytes: [u8; RECOVERY_BYTES]| {
        let text = BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
        let groups: Vec<_> = (0..text.len()).step_by(4).map(|at| &text[at..at + 4]).collect();
        (groups.join("-"), Sha256::digest(bytes).to_vec())
    };
    random.into_iter().map(one).unzip()
}

/// Returns the label under which the secret of a user is sealed.
pub fn label(user: UserId) -> String {
    format!("second factor {user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    /// RFC 6238, appendix B, without the first two of the eight digits.
    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(SECRET, seconds / STEP_S), expected, "{seconds}");
            assert_eq!(step_of(SECRET, expected, 0, at(seconds)), Some(seconds / STEP_S));
        }
    }

    /// RFC 4226, appendix D.
    #[test]
    fn the_codes_are_those_of_rfc_4226() {
        let expected =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (step, expected) in (0..).zip(expected) {
            assert_eq!(code(SECRET, step), expected);
        }
    }

    #[test]
    fn a_code_counts_one_step_early_and_late_and_once() {
        let (now, typed) = (1_790_000_010, code(SECRET, 1_790_000_010 / STEP_S));
        let step = now / STEP_S;
        for (seconds, expected) in [(-60, None), (-30, Some(step)), (0, Some(step)), (30, Some(step)), (60, None)] {
            assert_eq!(step_of(SECRET, &typed, 0, at(now + seconds)), expected, "{seconds}");
        }
        assert_eq!(step_of(SECRET, &typed, step, at(now)), None, "a second time");
        assert_eq!(step_of(SECRET, &typed, step + 1, at(now)), None, "after a later one");
        assert_eq!(step_of(b"another secret of 20", &typed, 0, at(now)), None);
    }

    #[test]
    fn a_recovery_code_is_read_as_it_is_written() {
        let random = std::array::from_fn(|index| [u8::try_from(index).expect("few"); RECOVERY_BYTES]);
        let (codes, hashes) = recovery_codes(random);
        assert_eq!(codes[1], "aeaq-caib-aeaq-caib");
        for (code, hash) in codes.iter().zip(&hashes) {
            for typed in [code.clone(), code.to_ascii_uppercase(), code.replace('-', " ")] {
                assert!(
                    Code::parse(&typed).ok() == Some(Code::Recovery(hash.as_slice().try_into().expect("32 bytes")))
                );
            }
        }
        for typed in ["123 456", "123\u{a0}456", "１２３４５６", "١٢٣٤٥٦"] {
            assert_eq!(Code::parse(typed).ok(), Some(Code::Totp("123456".to_owned())), "{typed}");
        }
        for bad in
            ["", "12345", "1234567", "aeaq-caib-aeaq", "aeaq-caib-aeaq-caib-aeaq", "aeaq-caib-aeaq-ca1b", "12345六"]
        {
            assert!(Code::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_uri_escapes_names() {
        let (secret, uri) = written(SECRET, "Shop & Co", "ada+x@example.com");
        assert_eq!(secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let expected =
            format!("otpauth://totp/Shop%20%26%20Co:ada%2Bx%40example.com?secret={secret}&issuer=Shop%20%26%20Co");
        assert_eq!(uri, expected);
    }
}
