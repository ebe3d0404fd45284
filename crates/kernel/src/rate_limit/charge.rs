//! What is charged to whom.

use std::net::IpAddr;

use crate::{
    caller::Caller,
    rate_limit::{
        key::{Key, Network},
        policy::{PolicyId, Work},
    },
};

/// A charge of one request against one limit of one caller.
///
/// This process counts by it as it is. Redis gets a hash, which is made only when Redis is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Charge {
    policy: PolicyId,
    /// An id, or a network, which is shorter.
    who: [u8; 16],
    length: u8,
}

impl Charge {
    /// The charge of callers who are counted together: that of nobody.
    pub(in crate::rate_limit) const OVERFLOW: Self = Self { policy: PolicyId::Address, who: [0; 16], length: 0 };

    /// Charges the limit of an IP address; IPv6 by /64.
    pub fn address(address: IpAddr) -> Self {
        let network = Network::of(address);
        let (octets, mut who) = (network.octets(), [0; 16]);
        who[..octets.len()].copy_from_slice(octets);
        Self { policy: PolicyId::Address, who, length: octets.len() as u8 }
    }

    /// Charges a principal's limit for a kind of work.
    pub fn principal(work: Work, caller: &Caller) -> Self {
        let policy = match caller {
            Caller::User { .. } => PolicyId::User(work),
            Caller::Service { .. } => PolicyId::Service(work),
        };
        Self { policy, who: caller.principal().into_bytes(), length: 16 }
    }

    /// The limit.
    pub(in crate::rate_limit) fn policy(self) -> PolicyId {
        self.policy
    }

    /// The key in Redis.
    pub(in crate::rate_limit) fn redis(self) -> [u8; 38] {
        let class = match self.policy {
            PolicyId::Address => "address",
            PolicyId::User(Work::Read) | PolicyId::Service(Work::Read) => "read",
            PolicyId::User(Work::Write) | PolicyId::Service(Work::Write) => "write",
            PolicyId::User(Work::Bulk) | PolicyId::Service(Work::Bulk) => "bulk",
        };
        Key::new(class, &self.who[..usize::from(self.length)]).redis()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::ServiceKeyId;

    fn address(text: &str) -> Charge {
        Charge::address(text.parse().unwrap())
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

    /// Versions that serve together count together.
    #[test]
    fn names_in_redis() {
        assert_eq!(address("192.0.2.1").redis(), Key::new("address", &[192, 0, 2, 1]).redis());
        assert_eq!(address("2001:db8::1").redis(), Key::new("address", &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]).redis());
        let id = Uuid::from_u128(7);
        let service = Caller::Service { id: ServiceKeyId(id), scopes: [].into() };
        for (work, class) in [(Work::Read, "read"), (Work::Write, "write"), (Work::Bulk, "bulk")] {
            assert_eq!(Charge::principal(work, &service).redis(), Key::new(class, id.as_bytes()).redis());
        }
    }
}
