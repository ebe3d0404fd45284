//! The content of an access token or a service key, and the tokens of a signed-in client.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;
use secrecy::SecretString;

use crate::identity::{
    credential::model::Fingerprint,
    revocation::model::TokenClaims,
    role::id::RoleId,
    service_key::model::{admits, network_of},
};
use mainstay_kernel::{
    caller::Caller,
    error::{Error, Reason},
    id::{AccountId, SessionId, UserId},
};

/// The member of the staff in an impersonation.
#[derive(Debug, Clone, Copy)]
pub struct Impersonator {
    pub user: UserId,
    pub session: SessionId,
    pub epoch: i32,
    /// The custom role and its version.
    pub role: Option<(RoleId, i64)>,
    pub allows_writes: bool,
}

/// The content of an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub caller: Caller,
    /// The claims that a revocation may be about.
    pub claims: TokenClaims,
    /// The staff that acts in the name of the user.
    pub impersonator: Option<TokenClaims>,
    /// The networks of a service key.
    pub networks: Option<Arc<Networks>>,
    /// The secret that a client of OAuth has proved for its token by client credentials.
    pub secret: Option<Fingerprint>,
    /// The time of expiry.
    pub expires_at: DateTime<Utc>,
}

impl Access {
    /// Returns the claims of all on whom the token depends: the user, and the staff that acts in the user's name.
    pub fn holders(&self) -> impl Iterator<Item = TokenClaims> {
        std::iter::once(self.claims).chain(self.impersonator)
    }
}

/// The networks of a service key.
#[derive(Debug, PartialEq, Eq)]
pub struct Networks {
    /// Those from which it is accepted; empty for every address.
    pub allowed: Vec<IpNet>,
    /// Those from which its use is known; `None` if there are too many to look at each use.
    pub known: Option<Vec<IpNet>>,
}

impl Networks {
    /// Returns whether the key is accepted from an address and known from its network. Otherwise Postgres is asked.
    pub(super) fn admit(&self, from: Option<IpAddr>) -> bool {
        let is_known = |from| self.known.as_ref().is_none_or(|known| known.contains(&network_of(from)));
        admits(&self.allowed, from) && from.is_none_or(is_known)
    }
}

/// The reason for rejecting an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// The token names a key that is not in the ring; the ring may be out of date.
    UnknownKey,
    /// The token was not issued by this server.
    Forged,
    /// The token has expired.
    Expired,
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::UnknownKey | TokenError::Forged => Reason::InvalidToken.into(),
            TokenError::Expired => Reason::TokenExpired.into(),
        }
    }
}

/// The tokens of a signed-in client.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The access token, a JWT.
    pub access: SecretString,
    /// The lifetime of the access token.
    pub expires_in: TimeDelta,
    /// The token for the next refresh.
    pub refresh: SecretString,
    pub session: SessionId,
    /// The account of the session.
    pub account: Option<AccountId>,
    /// Whether the access token is only good for a second factor.
    pub needs_second_factor: bool,
}
