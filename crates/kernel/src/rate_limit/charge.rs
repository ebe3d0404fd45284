//! Charges of requests against the limits of callers.

use std::{net::IpAddr, ops::Deref};

use crate::{
    caller::Caller,
    rate_limit::{
        key::{Key, Network},
        policy::{PolicyId, Work},
        verdict::MAX_CHARGES,
    },
};

/// A charge of one request against one limit of one caller.
///
/// It is the key of the counters in this process. The key in Redis is a hash, computed only for calls to Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Charge {
    policy: PolicyId,
    /// The id of a principal, or a network, which is shorter.
    who: [u8; 16],
    length: u8,
}

impl Charge {
    /// The shared charge of callers without room in the table.
    pub(in crate::rate_limit) const OVERFLOW: Self = Self { policy: PolicyId::Address, who: [0; 16], length: 0 };

    pub(in crate::rate_limit) fn network(network: Network) -> Self {
        let (octets, mut who) = (network.octets(), [0; 16]);
        who[..octets.len()].copy_from_slice(octets);
        let policy = if network.is_site() { PolicyId::Site } else { PolicyId::Address };
        Self { policy, who, length: octets.len() as u8 }
    }

    /// Returns the charge against a principal's limit for a kind of work.
    pub fn principal(work: Work, caller: &Caller) -> Self {
        let policy = if caller.is_of_platform() { PolicyId::Service(work) } else { PolicyId::User(work) };
        Self { policy, who: caller.limited_as().into_bytes(), length: 16 }
    }

    pub(in crate::rate_limit) fn policy(self) -> PolicyId {
        self.policy
    }

    pub(in crate::rate_limit) fn redis(self) -> [u8; 38] {
        let class = match self.policy {
            PolicyId::Address => "address",
            PolicyId::Site => "address-site",
            PolicyId::User(Work::Read) | PolicyId::Service(Work::Read) => "read",
            PolicyId::User(Work::Write) | PolicyId::Service(Work::Write) => "write",
            PolicyId::User(Work::Bulk) | PolicyId::Service(Work::Bulk) => "bulk",
        };
        Key::new(class, &self.who[..usize::from(self.length)]).redis()
    }
}

/// The charges of one request, each against a different limit.
#[derive(Debug, Clone, Copy)]
pub struct Charges {
    all: [Charge; MAX_CHARGES],
    count: usize,
}

impl Charges {
    /// Returns the charges against the limits of an IP address: of its network, and of its site, if it has one.
    pub fn of_address(address: IpAddr) -> Self {
        Network::of(address).with_site().map(Charge::network).collect()
    }
}

impl FromIterator<Charge> for Charges {
    /// # Panics
    /// With more charges than a request can have.
    fn from_iter<I: IntoIterator<Item = Charge>>(charges: I) -> Self {
        let mut collected = Self { all: [Charge::OVERFLOW; MAX_CHARGES], count: 0 };
        for charge in charges {
            collected.all[collected.count] = charge;
            collected.count += 1;
        }
        collected
    }
}

impl Deref for Charges {
    type Target = [Charge];

    fn deref(&self) -> &[Charge] {
        &self.all[..self.count]
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::{AccountId, ServiceKeyId};

    fn address(text: &str) -> Charge {
        Charges::of_address(text.parse().unwrap())[0]
    }

    #[test]
    fn addresses() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::2"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("c000:201::"), "the same octets");
        assert_ne!(address("0.0.0.0"), Charge::OVERFLOW);
    }

    #[test]
    fn an_ipv6_address_is_charged_for_its_site_too() {
        let of = |text: &str| Charges::of_address(text.parse().unwrap());
        let (one, other) = (of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!((one.len(), one[0] == other[0], one[1] == other[1]), (2, false, true));
        assert_ne!(one[1], of("2001:db8:2:2::1")[1]);
        assert_eq!(of("192.0.2.1").len(), 1);
    }

    /// Anyone can create an account, and many keys of it.
    #[test]
    fn the_keys_of_an_account_share_the_limits_of_one_user() {
        let key = |id, account| Caller::Service {
            id: ServiceKeyId(Uuid::from_u128(id)),
            account: Some(AccountId(Uuid::from_u128(account))),
            scopes: [].into(),
        };
        let charge = |id, account| Charge::principal(Work::Read, &key(id, account));
        assert_eq!(charge(1, 7), charge(2, 7));
        assert_ne!(charge(1, 7), charge(1, 8));
        assert_eq!(charge(1, 7).policy(), PolicyId::User(Work::Read));
    }

    /// Instances of different versions share their counters.
    #[test]
    fn names_in_redis() {
        assert_eq!(address("192.0.2.1").redis(), Key::new("address", &[192, 0, 2, 1]).redis());
        assert_eq!(address("2001:db8::1").redis(), Key::new("address", &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]).redis());
        let site = Charges::of_address("2001:db8::1".parse().unwrap())[1];
        assert_eq!(site.redis(), Key::new("address-site", &[0x20, 1, 0xd, 0xb8, 0, 0]).redis());
        let id = Uuid::from_u128(7);
        let service = Caller::Service { id: ServiceKeyId(id), account: None, scopes: [].into() };
        for (work, class) in [(Work::Read, "read"), (Work::Write, "write"), (Work::Bulk, "bulk")] {
            assert_eq!(Charge::principal(work, &service).redis(), Key::new(class, id.as_bytes()).redis());
        }
    }
}
