//! The tokens in the challenges of providers that do not sign them.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use mainstay_kernel::config::Reader;

use crate::webhooks::config::secret::{plain_secret, read_secrets};

/// The tokens by which an operator and a provider without signed challenges recognize each other. The provider may send any
/// of them, so that the token can be rotated.
#[derive(Clone)]
pub struct VerifyTokens(Vec<Vec<u8>>);

impl fmt::Debug for VerifyTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

impl VerifyTokens {
    /// Reads tokens of at least 16 visible characters, which commas separate. Returns `None` if the variable is empty; a
    /// malformed token is a fault of it.
    pub fn read(read: &mut Reader, variable: &str) -> Option<Self> {
        let tokens = read_secrets(read, variable, plain_secret);
        (!tokens.is_empty()).then_some(Self(tokens))
    }

    /// Returns whether a token is one of these, in constant time.
    pub fn contain(&self, token: &str) -> bool {
        self.0.iter().filter(|own| verify_slices_are_equal(own, token.as_bytes()).is_ok()).count() > 0
    }
}
