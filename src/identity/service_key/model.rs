//! Service keys, the credentials of programs.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;

use crate::identity::{member::id::MemberId, revocation::model::SubjectVersion};
use mainstay_kernel::{
    error::{Error, Result},
    id::{AccountId, ServiceKeyId, UserId},
    numbered::numbered,
};

/// The life of a key that belongs to an account, unless its creator chooses another one.
const LIFE: TimeDelta = TimeDelta::days(90);
/// The longest life of a key that belongs to an account.
const MAX_LIFE: TimeDelta = TimeDelta::days(366);
/// The maximum number of unrevoked keys of an account, without the personal access tokens.
const MAX_OF_ACCOUNT: i64 = 100;
/// The maximum number of unrevoked personal access tokens of a user, in all accounts.
const MAX_OF_PERSON: i64 = 20;
/// How exact the time of the last use is.
const USE_INTERVAL: TimeDelta = TimeDelta::hours(1);
/// The maximum number of networks that a key is known from.
pub const MAX_KNOWN: usize = 64;

numbered! {
    /// What a key acts for.
    Kind {
        /// The platform.
        Platform = 1,
        /// An account.
        Account = 2,
        /// A person in an account.
        Person = 3,
    }
}

/// What a key acts for, and with what it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The platform: the key reaches every account.
    Platform,
    /// An account: the key reaches its data alone.
    Account(AccountId),
    /// A member of an account: a personal access token.
    Person { account: AccountId, member: MemberId, user: UserId },
}

impl Holder {
    /// Returns the kind.
    pub fn kind(self) -> Kind {
        match self {
            Self::Platform => Kind::Platform,
            Self::Account(_) => Kind::Account,
            Self::Person { .. } => Kind::Person,
        }
    }

    /// Returns the account whose data the key reaches.
    pub fn account(self) -> Option<AccountId> {
        match self {
            Self::Platform => None,
            Self::Account(account) | Self::Person { account, .. } => Some(account),
        }
    }

    /// Returns the member and the user of a personal access token.
    pub fn person(self) -> Option<(MemberId, UserId)> {
        match self {
            Self::Person { member, user, .. } => Some((member, user)),
            Self::Platform | Self::Account(_) => None,
        }
    }

    /// Returns the maximum number of unrevoked keys: of the account, or of the user. The platform has no maximum.
    pub fn max_keys(self) -> Option<i64> {
        match self {
            Self::Platform => None,
            Self::Account(_) => Some(MAX_OF_ACCOUNT),
            Self::Person { .. } => Some(MAX_OF_PERSON),
        }
    }

    /// Returns when a new secret expires: as wanted, or else after the usual life; `None` if never.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a time in the past, and for one too far ahead.
    pub fn expiry(self, wanted: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
        let is_of_account = self != Self::Platform;
        match wanted {
            Some(end) if end <= now => Err(Error::field("expireTime", "must be in the future")),
            Some(end) if is_of_account && end > now + MAX_LIFE => {
                Err(Error::field("expireTime", "must be at most 366 days ahead"))
            }
            None if is_of_account => Ok(Some(now + LIFE)),
            wanted => Ok(wanted),
        }
    }
}

/// A service key to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What the key acts for; `None` if that follows from the account.
    pub kind: Option<Kind>,
    /// The account, if the request names one.
    pub account: Option<AccountId>,
    /// The purpose of the key.
    pub name: String,
    /// The scopes that the key grants, by their names in the contract.
    pub scopes: Vec<String>,
    /// When the key expires, if the request says so.
    pub expires_at: Option<DateTime<Utc>>,
    /// The networks from which the key is accepted; empty for every address.
    pub allowed_networks: Vec<IpNet>,
}

/// A service key, without its secret, which is shown once and stored only as a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKey {
    pub id: ServiceKeyId,
    /// What the key acts for.
    pub holder: Holder,
    /// The purpose of the key.
    pub name: String,
    /// The scopes that the key grants, by their names in the contract.
    pub scopes: Vec<String>,
    /// The networks from which the key is accepted; empty for every address.
    pub allowed_networks: Vec<IpNet>,
    /// The networks from which the key was used, the latest first.
    pub known_networks: Vec<IpNet>,
    /// The user who created the key.
    pub created_by: UserId,
    /// The version, which each rotation increments by one.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When the key expires; `None` if never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Until when the secret before the last rotation is accepted.
    pub earlier_expires_at: Option<DateTime<Utc>>,
    /// When the key was last used, to the hour.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When the key was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ServiceKey {
    /// Returns whether the key is valid.
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Returns whether the key is accepted from an address. A request that bypassed the listener has none.
    pub fn admits(&self, from: Option<IpAddr>) -> bool {
        admits(&self.allowed_networks, from)
    }

    /// Returns the version that cached uses of the key depend on.
    pub fn current(&self) -> SubjectVersion {
        SubjectVersion::new(self.id.0, self.version)
    }

    /// Returns the key with a new secret. The previous one is accepted until `now + overlap`, but not longer than before.
    #[must_use]
    pub fn rotate(self, expires_at: Option<DateTime<Utc>>, overlap: TimeDelta, now: DateTime<Utc>) -> Self {
        let until = now + overlap;
        let earlier = self.expires_at.map_or(until, |end| end.min(until));
        let earlier_expires_at = Some(earlier).filter(|_| overlap > TimeDelta::zero());
        Self { version: self.version + 1, expires_at, earlier_expires_at, ..self }
    }

    /// Returns the key after a use from a network, and whether the network is new; `None` if nothing is to be stored.
    pub fn record_use(self, network: Option<IpNet>, now: DateTime<Utc>) -> Option<(Self, bool)> {
        let new = network.filter(|network| !self.known_networks.contains(network));
        let is_due = self.last_used_at.is_none_or(|at| now - at >= USE_INTERVAL);
        if new.is_none() && !is_due {
            return None;
        }
        let known_networks = new.into_iter().chain(self.known_networks.iter().copied()).take(MAX_KNOWN).collect();
        Some((Self { known_networks, last_used_at: Some(now), ..self }, new.is_some()))
    }
}

/// The keys of a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// The user who created them.
    pub created_by: Option<UserId>,
    /// The account whose data they reach.
    pub account: Option<AccountId>,
}

/// Returns whether networks allow an address: without any, they allow all.
pub fn admits(allowed: &[IpNet], from: Option<IpAddr>) -> bool {
    let contains = |from: IpAddr| allowed.iter().any(|network| network.contains(&from.to_canonical()));
    allowed.is_empty() || from.is_some_and(contains)
}

/// Returns the network of an address as far as the uses of a key distinguish it: 24 bits of IPv4, 48 of IPv6.
pub fn network_of(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let length = if address.is_ipv4() { 24 } else { 48 };
    // The length is valid for the address.
    IpNet::new(address, length).map_or(IpNet::from(address), |network| network.trunc())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time")
    }

    fn key() -> ServiceKey {
        ServiceKey {
            id: ServiceKeyId(Uuid::from_u128(1)),
            holder: Holder::Platform,
            name: "A key".to_owned(),
            scopes: vec!["support.tickets.read".to_owned()],
            allowed_networks: Vec::new(),
            known_networks: Vec::new(),
            created_by: UserId(Uuid::from_u128(2)),
            version: 1,
            created_at: at(0),
            expires_at: Some(at(3600)),
            earlier_expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_key_of_an_account_expires_after_90_days_and_at_the_latest_after_366() {
        let account = Holder::Account(AccountId(Uuid::from_u128(3)));
        assert_eq!(account.expiry(None, at(0)).expect("valid"), Some(at(0) + TimeDelta::days(90)));
        let last = at(0) + TimeDelta::days(366);
        assert_eq!(account.expiry(Some(last), at(0)).expect("valid"), Some(last));
        assert!(account.expiry(Some(last + TimeDelta::seconds(1)), at(0)).is_err());
        assert!(account.expiry(Some(at(0)), at(0)).is_err(), "it is not in the future");
        assert_eq!(Holder::Platform.expiry(None, at(0)).expect("valid"), None);
        assert!(Holder::Platform.expiry(Some(at(-1)), at(0)).is_err());
    }

    #[test]
    fn an_earlier_secret_outlives_neither_the_overlap_nor_its_own_end() {
        let earlier = |overlap| key().rotate(None, TimeDelta::seconds(overlap), at(0)).earlier_expires_at;
        assert_eq!([earlier(60), earlier(7200), earlier(0)], [Some(at(60)), Some(at(3600)), None]);
        assert_eq!(key().rotate(None, TimeDelta::zero(), at(0)).version, 2);
    }

    #[test]
    fn networks_admit_their_addresses() {
        let key = ServiceKey { allowed_networks: vec!["203.0.113.0/24".parse().expect("one")], ..key() };
        assert!(key.admits(Some(address("203.0.113.9"))) && key.admits(Some(address("::ffff:203.0.113.9"))));
        assert!(!key.admits(Some(address("203.0.114.9"))) && !key.admits(None));
        assert!(self::key().admits(None) && self::key().admits(Some(address("2001:db8::1"))));
    }

    #[test]
    fn a_use_is_stored_once_per_hour_and_for_each_new_network() {
        let home = network_of(address("203.0.113.9"));
        assert_eq!(home.to_string(), "203.0.113.0/24");
        assert_eq!(network_of(address("2001:db8:1:2::3")).to_string(), "2001:db8:1::/48");
        let (used, is_new) = key().record_use(Some(home), at(0)).expect("the first use");
        assert!(is_new && used.last_used_at == Some(at(0)));
        assert_eq!(used.clone().record_use(Some(home), at(3599)), None);
        let (later, is_new) = used.clone().record_use(Some(home), at(3600)).expect("it is due");
        assert!(!is_new && later.known_networks == [home]);
        let (elsewhere, is_new) = used.record_use(Some(network_of(address("2001:db8::1"))), at(1)).expect("it is new");
        assert!(is_new && elsewhere.known_networks.len() == 2);
        let many = (0..100u8).fold(key(), |key, n| {
            let network = network_of(IpAddr::from([10, 0, n, 1]));
            key.record_use(Some(network), at(0)).map_or_else(self::key, |(key, _)| key)
        });
        assert_eq!(many.known_networks.len(), MAX_KNOWN);
    }
}
