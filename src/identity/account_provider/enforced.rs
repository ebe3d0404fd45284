//! The rule that the members of an account sign in with its provider.

use chrono::{DateTime, Utc};

use crate::{identity::account_provider::id::AccountProviderId, proto::identity::v1::Reason as IdentityReason};
use mainstay_kernel::error::{Error, Result};

/// The provider with which the members of an account must sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforced {
    pub provider: AccountProviderId,
    pub since: DateTime<Utc>,
}

impl Enforced {
    /// Checks that a session which began with a provider, or otherwise, may open the account. An owner may, because the owner
    /// mends a provider that fails.
    ///
    /// # Errors
    /// `PROVIDER_REQUIRED`, with the provider.
    pub fn check(self, is_owner: bool, began_with: Option<AccountProviderId>) -> Result<()> {
        if is_owner || began_with == Some(self.provider) { Ok(()) } else { Err(self.refusal()) }
    }

    /// Checks that a personal access token of a time may open the account: it was created by a session that may.
    ///
    /// # Errors
    /// `PROVIDER_REQUIRED`, with the provider.
    pub fn check_token(self, is_owner: bool, created_at: DateTime<Utc>) -> Result<()> {
        if is_owner || created_at >= self.since { Ok(()) } else { Err(self.refusal()) }
    }

    fn refusal(self) -> Error {
        Error::new(IdentityReason::ProviderRequired).with("provider", self.provider.to_string())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn members_sign_in_with_the_provider_and_owners_as_they_like() {
        let (own, other) = (AccountProviderId(Uuid::from_u128(1)), AccountProviderId(Uuid::from_u128(2)));
        let since = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let enforced = Enforced { provider: own, since };
        assert!(enforced.check(false, Some(own)).is_ok());
        assert!(enforced.check(true, None).is_ok() && enforced.check_token(true, DateTime::UNIX_EPOCH).is_ok());
        for began_with in [None, Some(other)] {
            let error = enforced.check(false, began_with).expect_err("another sign-in");
            assert_eq!(error.reason(), IdentityReason::ProviderRequired, "{began_with:?}");
        }
        assert!(enforced.check_token(false, since).is_ok());
        enforced.check_token(false, since - TimeDelta::seconds(1)).expect_err("created by another sign-in");
    }
}
