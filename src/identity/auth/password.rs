//! Passwords: length limits, rejection of common passwords, and argon2id (RFC 9106) with OWASP's parameters.
//!
//! OWASP's Password Storage Cheat Sheet lists several settings as equally strong. The setting with the least memory is
//! used: it takes two thirds of the CPU time of the one with 19 MiB, because its memory stays in the processor's cache.
//!
//! Hashing takes more than ten milliseconds and 7 MiB, so it must not run on an async thread;
//! [`identity::Passwords`](crate::identity::passwords::Passwords) runs it on blocking threads and limits concurrency.

mod foreign;
mod hash;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, SaltString},
};
use aws_lc_rs::digest;
use data_encoding::HEXUPPER;
use secrecy::{ExposeSecret as _, SecretString};
use zxcvbn::Score;

use crate::identity::user::model::EmailAddress;
use mainstay_kernel::{
    contract::validate::text,
    error::{Error, Result},
};

pub use foreign::convert;
pub(crate) use hash::Hash;
use hash::Kind;

/// Memory in KiB, passes, lanes.
const MEMORY_KIB: u32 = 7168;
const PASSES: u32 = 5;
const LANES: u32 = 1;

const KIND: Kind = Kind::Argon2 {
    variant: Algorithm::Argon2id,
    version: Version::V0x13,
    memory_kib: MEMORY_KIB,
    passes: PASSES,
    lanes: LANES,
};

/// The beginning of every hash with the parameters above.
pub const PREFIX: &str = "$argon2id$v=19$m=7168,t=5,p=1$";

/// The hash that is verified for an unknown user where no user has a hash of another kind, so that the response takes equally
/// long: a hash of discarded random bytes, made with the parameters above.
pub const DUMMY: &str =
    "$argon2id$v=19$m=7168,t=5,p=1$N2ViOTQ2YzE3ZGYwNTFhYg$k1x0rM3TzJv3eQm7cX3o1s5sZs1o9lW9bBq8m4aX2yE";

/// A password received from a caller, normalized by the OpaqueString profile (RFC 8265, 4.2): all space separators
/// become ASCII spaces, and the text is in NFC. So a password is the same on every operating system. It is never
/// displayed or logged.
#[derive(Debug, Clone)]
pub struct Password {
    normalized: SecretString,
    /// The text as sent, if it differs from the normalized form: hashes from before the normalization were made of it.
    sent: Option<SecretString>,
}

/// The text that a hash was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// The normalized password.
    Normalized,
    /// The password as it was sent, without normalization.
    Sent,
}

fn normalize(text: &str) -> String {
    let spaces = text.chars().map(|letter| if is_space(letter) { ' ' } else { letter });
    text::normalized(spaces.collect())
}

/// Returns whether a character is a space separator (Unicode's category Zs).
fn is_space(letter: char) -> bool {
    letter.is_whitespace() && !letter.is_control() && !matches!(letter, '\u{2028}' | '\u{2029}')
}

impl Password {
    /// Accepts a new password.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` unless it has 12 to 128 characters.
    pub fn choose(text: SecretString) -> Result<Self> {
        let password = Self::attempt(text);
        if (12..=128).contains(&password.normalized.expose_secret().chars().count()) {
            Ok(password)
        } else {
            Err(Error::field("password", "must be 12 to 128 characters"))
        }
    }

    /// Rejects a common or patterned password, which an attacker finds within a million guesses. The limits on sign-in
    /// stretch a million guesses to decades. The user's address and name count as common, alone or in a pattern, because
    /// an attacker tries them first (NIST SP 800-63B-4, 3.1.1.2). The check takes milliseconds.
    ///
    /// # Errors
    /// `VALIDATION_FAILED`.
    pub fn refuse_common(&self, email: &EmailAddress, name: &str) -> Result<()> {
        let (local, domain) = email.as_str().rsplit_once('@').unwrap_or_default();
        let label = domain.split('.').next().unwrap_or_default();
        let parts =
            local.split(['.', '_', '-', '+']).chain(name.split_whitespace()).filter(|part| part.chars().count() > 2);
        let known: Vec<_> = ["mainstay", email.as_str(), local, label, name].into_iter().chain(parts).collect();
        // zxcvbn counts the ways to write letters as capitals, and reads 100 characters only.
        let text = self.normalized.expose_secret().to_lowercase();
        let is_known = known.iter().any(|known| known.to_lowercase() == text);
        if is_known || zxcvbn::zxcvbn(self.normalized.expose_secret(), &known).score() < Score::Two {
            let message = "is too easy to guess: it is common, a pattern, or like your name or address";
            return Err(Error::field("password", message));
        }
        Ok(())
    }

    /// Returns the SHA-1 of the password in hexadecimal digits, by which lists of breached passwords name it.
    pub fn sha1(&self) -> String {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.normalized.expose_secret().as_bytes());
        HEXUPPER.encode(hash.as_ref())
    }

    /// Accepts a password to be verified, of any length.
    pub fn attempt(text: SecretString) -> Self {
        let normalized = normalize(text.expose_secret());
        let is_same = normalized == text.expose_secret();
        Self { normalized: normalized.into(), sent: (!is_same).then_some(text) }
    }

    /// Hashes the password into a PHC string.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if there is not enough memory.
    pub fn hash(&self, salt: [u8; 16]) -> Result<String> {
        let salt = SaltString::encode_b64(&salt).map_err(failed)?;
        Ok(argon2()?.hash_password(self.normalized.expose_secret().as_bytes(), &salt).map_err(failed)?.to_string())
    }

    /// Returns which form of the password a stored hash is that of; `None` if it is the hash of another password.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the hash is invalid.
    pub fn verify(&self, hash: &str) -> Result<Option<Match>> {
        let hash =
            Hash::parse(hash).map_err(|fault| Error::internal(anyhow::anyhow!("a stored password hash {fault}")))?;
        if hash.matches(self.normalized.expose_secret())? {
            return Ok(Some(Match::Normalized));
        }
        match &self.sent {
            Some(sent) if hash.matches(sent.expose_secret())? => Ok(Some(Match::Sent)),
            _ => Ok(None),
        }
    }
}

fn failed(error: argon2::password_hash::Error) -> Error {
    Error::internal(anyhow::anyhow!("argon2: {error}"))
}

fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.map_err(|error| Error::internal(anyhow::anyhow!("argon2: {error}")))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Returns whether a stored hash was made by another scheme, or with parameters other than the current ones.
pub fn is_outdated(hash: &str) -> bool {
    !Hash::parse(hash).is_ok_and(|hash| hash.kind == KIND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Result<Password> {
        Password::choose(text.into())
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!(password("elevenchars").is_err());
        assert!(password("ünïcödë 12 çh").is_ok());
        assert!(password(&"ü".repeat(128)).is_ok());
        assert!(password(&"x".repeat(129)).is_err());
    }

    #[test]
    fn common_passwords_and_patterns_are_refused() {
        let common = ["password1234", "123456789012", "Qwerty123456", "iloveyou1234", "aaaaaaaaaaaa", "Password123!"];
        let email = EmailAddress::parse("xqv.brzk-7@Hwrzqpnt.example").expect("an address");
        let check = |text: &str| password(text).expect("long enough").refuse_common(&email, "Wjqzx Özgkfvü");
        let own =
            ["xqv.brzk-7@hwrzqpnt.example", "XQV.BRZK-7@Hwrzqpnt.example", "xqv.brzk-7xqv.brzk-7", "xqv.brzk-71234"];
        let own = own.into_iter().chain([
            "hwrzqpnt1234",
            "Wjqzx Özgkfvü",
            "wjqzx o\u{308}zgkfvu\u{308}!",
            "özgkfvü12345",
            "brzk12345678",
        ]);
        for common in common.into_iter().chain(["administrator", "Passw0rd2024", "mainstay12345"]).chain(own) {
            assert!(check(common).is_err(), "{common}");
        }
        for good in ["correct horse battery staple", "a brand new password", "ünïcödë 12 çh", "summerwinter24"] {
            assert!(check(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_list_names_a_password_by_its_sha_1() {
        assert_eq!(Password::attempt("password".into()).sha1(), "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
    }

    #[test]
    fn only_the_same_password_verifies() {
        let hash = password("correct horse battery").expect("long enough").hash([7; 16]).expect("hashes");
        let verify = |text: &str| Password::attempt(text.into()).verify(&hash).expect("a hash");
        assert_eq!(verify("correct horse battery"), Some(Match::Normalized));
        assert_eq!(verify("correct horse batterY"), None);
        assert!(!is_outdated(&hash));
    }

    /// macOS sends NFD, and Japanese input methods send the ideographic space.
    #[test]
    fn a_password_is_the_same_on_every_system() {
        for (set, typed) in [
            ("gr\u{fc}ne Stra\u{df}e 12", "gru\u{308}ne Stra\u{df}e 12"),
            ("gru\u{308}ne Stra\u{df}e 12", "gr\u{fc}ne Stra\u{df}e 12"),
            ("correct horse battery", "correct\u{3000}horse\u{a0}battery"),
            (
                "\u{d55c}\u{ad6d}\u{c5b4} pass phrase",
                "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}\u{110b}\u{1165} pass phrase",
            ),
            ("\u{c5}ngstr\u{f6}m 12345", "\u{212b}ngstr\u{f6}m 12345"),
        ] {
            let hash = password(set).expect("long enough").hash([7; 16]).expect("hashes");
            let verify = |text: &str| Password::attempt(text.into()).verify(&hash).expect("a hash");
            assert_eq!(verify(typed), Some(Match::Normalized), "{set}");
            // No other difference is normalized.
            assert_eq!(verify(&set.to_uppercase()), None, "{set}");
            assert_eq!(verify(&format!("{set} ")), None, "{set}");
        }
        assert!(password(&"u\u{308}".repeat(128)).is_ok(), "its characters are counted after the normalization");
        assert!(password(&"u\u{308}".repeat(11)).is_err());
        assert_ne!(normalize("\u{ff41}\u{b2}"), "a2", "compatible characters are different ones");
    }

    #[test]
    fn a_hash_from_before_the_normalization_is_of_what_was_sent() {
        let decomposed = "gru\u{308}ne Stra\u{df}e 12";
        let salt = SaltString::encode_b64(&[7; 16]).expect("a salt");
        let hash =
            argon2().expect("parameters").hash_password(decomposed.as_bytes(), &salt).expect("hashes").to_string();
        let verify = |text: &str| Password::attempt(text.into()).verify(&hash).expect("a hash");
        assert_eq!(verify(decomposed), Some(Match::Sent));
        assert_eq!(verify("gru\u{308}ne Strasse 12"), None);
    }

    #[test]
    fn the_dummy_hash_has_current_parameters_and_matches_nothing() {
        assert!(!is_outdated(DUMMY));
        assert_eq!((PREFIX, DUMMY.starts_with(PREFIX)), (format!("{KIND}$").as_str(), true));
        assert_eq!(password("correct horse battery").expect("long enough").verify(DUMMY).expect("a hash"), None);
        assert!(is_outdated("$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA"));
    }
}
