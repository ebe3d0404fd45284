//! The keys of providers that sign with an HMAC.

use std::fmt;

use aws_lc_rs::hmac;
use mainstay_kernel::config::Reader;

use crate::webhooks::config::{
    generic::Algorithm,
    secret::{plain_secret, read_secrets, standard_secret},
};

/// The HMAC keys of a provider, any of which may have signed, so that the provider can rotate its secret.
#[derive(Clone)]
pub struct Keys(pub(crate) Vec<hmac::Key>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl Keys {
    /// Reads secrets of at least 16 visible characters, which commas separate, as keys of HMAC-SHA256. Returns `None` if the
    /// variable is empty; a malformed secret is a fault of it.
    pub fn read(read: &mut Reader, variable: &str) -> Option<Self> {
        Self::read_for(read, variable, Algorithm::Sha256)
    }

    /// Reads secrets in the form of the Standard Webhooks specification, `whsec_` and base64, likewise.
    pub fn read_standard(read: &mut Reader, variable: &str) -> Option<Self> {
        Self::of(&read_secrets(read, variable, standard_secret), Algorithm::Sha256)
    }

    pub(crate) fn read_for(read: &mut Reader, variable: &str, algorithm: Algorithm) -> Option<Self> {
        Self::of(&read_secrets(read, variable, plain_secret), algorithm)
    }

    fn of(secrets: &[Vec<u8>], algorithm: Algorithm) -> Option<Self> {
        let algorithm = match algorithm {
            Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha256 => hmac::HMAC_SHA256,
            Algorithm::Sha512 => hmac::HMAC_SHA512,
        };
        let keys: Vec<_> = secrets.iter().map(|secret| hmac::Key::new(algorithm, secret)).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }
}
