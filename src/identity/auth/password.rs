//! Passwords: length limits, a refusal of common ones, and argon2id (RFC 9106) with OWASP's parameters.
//!
//! Of the settings that OWASP's Password Storage Cheat Sheet lists as equally strong, this is the one with the least
//! memory: it takes two thirds of the CPU time of the one with 19 MiB, because its memory stays in the processor's cache.
//!
//! Hashing takes more than ten milliseconds and 7 MiB, so it must not run on an async thread;
//! [`identity::Passwords`](crate::identity::passwords::Passwords) takes care of that and limits concurrency.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString},
};
use secrecy::{ExposeSecret as _, SecretString};
use zxcvbn::Score;

use mainstay_kernel::error::{Error, Result};

/// Memory in KiB, passes, lanes.
const MEMORY_KIB: u32 = 7168;
const PASSES: u32 = 5;
const LANES: u32 = 1;

/// The hash that is verified for an unknown user, so that the response takes as long: a hash of random bytes that were
/// not kept, made with the parameters above.
pub const DUMMY: &str =
    "$argon2id$v=19$m=7168,t=5,p=1$N2ViOTQ2YzE3ZGYwNTFhYg$k1x0rM3TzJv3eQm7cX3o1s5sZs1o9lW9bBq8m4aX2yE";

/// A password received from a caller. Never displayed, never logged.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    /// Accepts a password to be set.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` unless it has 12 to 128 characters.
    pub fn choose(text: SecretString) -> Result<Self> {
        if (12..=128).contains(&text.expose_secret().chars().count()) {
            Ok(Self(text))
        } else {
            Err(Error::field("password", "must be 12 to 128 characters"))
        }
    }

    /// Refuses a password that is common, or a pattern: one that an attacker finds within a million guesses, which the
    /// limits on sign-in stretch to decades. Takes milliseconds.
    ///
    /// # Errors
    /// `VALIDATION_FAILED`.
    pub fn refuse_common(&self) -> Result<()> {
        if zxcvbn::zxcvbn(self.0.expose_secret(), &["mainstay"]).score() < Score::Two {
            return Err(Error::field("password", "is too easy to guess: it is common, or a pattern"));
        }
        Ok(())
    }

    /// Accepts a password to be verified, of any length.
    pub fn attempt(text: SecretString) -> Self {
        Self(text)
    }

    /// Hashes the password into a PHC string.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if there is not enough memory.
    pub fn hash(&self, salt: [u8; 16]) -> Result<String> {
        let failed = |error: argon2::password_hash::Error| Error::internal(anyhow::anyhow!("argon2: {error}"));
        let salt = SaltString::encode_b64(&salt).map_err(failed)?;
        Ok(argon2()?.hash_password(self.0.expose_secret().as_bytes(), &salt).map_err(failed)?.to_string())
    }

    /// Returns whether the password matches a PHC string.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the string is invalid.
    pub fn verify(&self, phc: &str) -> Result<bool> {
        use argon2::password_hash::Error as Failure;
        let failed = |error: Failure| Error::internal(anyhow::anyhow!("argon2: {error}"));
        let hash = PasswordHash::new(phc).map_err(failed)?;
        // The parameters in the string apply, not the current ones.
        match argon2()?.verify_password(self.0.expose_secret().as_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(Failure::Password) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }
}

fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.map_err(|error| Error::internal(anyhow::anyhow!("argon2: {error}")))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Returns whether a PHC string was made with other parameters than the current ones.
pub fn is_outdated(phc: &str) -> bool {
    let Ok(hash) = PasswordHash::new(phc) else { return true };
    let Ok(params) = Params::try_from(&hash) else { return true };
    let current = (MEMORY_KIB, PASSES, LANES);
    hash.algorithm != Algorithm::Argon2id.ident() || (params.m_cost(), params.t_cost(), params.p_cost()) != current
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
        for common in common.into_iter().chain(["administrator", "Passw0rd2024", "mainstay12345"]) {
            assert!(password(common).expect("long enough").refuse_common().is_err(), "{common}");
        }
        for good in ["correct horse battery staple", "a brand new password", "ünïcödë 12 çh", "summerwinter24"] {
            assert!(password(good).expect("long enough").refuse_common().is_ok(), "{good}");
        }
    }

    #[test]
    fn only_the_same_password_verifies() {
        let hash = password("correct horse battery").expect("long enough").hash([7; 16]).expect("hashes");
        assert!(Password::attempt("correct horse battery".into()).verify(&hash).expect("a hash"));
        assert!(!Password::attempt("correct horse batterY".into()).verify(&hash).expect("a hash"));
        assert!(!is_outdated(&hash));
    }

    #[test]
    fn the_dummy_hash_has_current_parameters_and_matches_nothing() {
        assert!(!is_outdated(DUMMY));
        assert!(!password("correct horse battery").expect("long enough").verify(DUMMY).expect("a hash"));
        assert!(is_outdated("$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA"));
    }
}
