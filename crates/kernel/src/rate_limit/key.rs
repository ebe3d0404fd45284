//! Keys of the counters. They are hashes, so that Redis stores no address, e-mail or id in plain text.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::rate_limit) struct Key(pub(in crate::rate_limit) [u8; 16]);

impl Key {
    /// Hashes an identity. The `class` separates the keys of one caller. It must not contain NUL.
    pub(in crate::rate_limit) fn new(class: &str, who: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(class).chain_update([0]).chain_update(who).finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&hash[..16]);
        Self(key)
    }

    /// Returns the key in Redis: `limit:` and the hash in hexadecimal.
    pub(in crate::rate_limit) fn redis(self) -> [u8; 38] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut name = *b"limit:................................";
        for (byte, digits) in self.0.iter().zip(name[6..].chunks_exact_mut(2)) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 15)];
        }
        name
    }
}

/// A network, the identity of unauthenticated callers: an IPv4 address, or the /64 of an IPv6 address. A /64 is the
/// smallest allocation of a subscriber (RFC 6177), who may use all its addresses.
///
/// Many subscribers have more: a /56 with 256 networks, or a /48 with 65,536. Therefore the networks of a /48, a site,
/// also share limits. These are wider than the limits of one network, and narrower than the sum over its networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Zero beyond `length`.
    octets: [u8; 8],
    length: u8,
}

const SITE_OCTETS: usize = 6;

impl Network {
    /// Returns the network of an address.
    pub fn of(address: IpAddr) -> Self {
        let mut octets = [0; 8];
        let length = match address.to_canonical() {
            IpAddr::V4(address) => {
                octets[..4].copy_from_slice(&address.octets());
                4
            }
            IpAddr::V6(address) => {
                octets.copy_from_slice(&address.octets()[..8]);
                8
            }
        };
        Self { octets, length }
    }

    /// Returns the site of the network; `None` for IPv4, where no client has a comparable number of addresses.
    #[must_use]
    pub fn site(self) -> Option<Self> {
        (self.octets().len() > SITE_OCTETS).then(|| {
            let mut octets = [0; 8];
            octets[..SITE_OCTETS].copy_from_slice(&self.octets[..SITE_OCTETS]);
            Self { octets, length: SITE_OCTETS as u8 }
        })
    }

    pub(in crate::rate_limit) fn is_site(self) -> bool {
        usize::from(self.length) == SITE_OCTETS
    }

    pub(crate) fn with_site(self) -> impl Iterator<Item = Self> {
        std::iter::once(self).chain(self.site())
    }

    /// Returns the octets: 4 for IPv4, 8 for IPv6, 6 for a site.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_key_is_the_hash_in_hexadecimal() {
        let name = Key([0xa5; 16]).redis();
        assert_eq!(std::str::from_utf8(&name).unwrap(), format!("limit:{}", "a5".repeat(16)));
    }

    #[test]
    fn a_subscriber_is_one_network_and_a_site_has_many() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("2001:db8::1").site(), network("2001:db8:0:ffff::1").site());
        assert_ne!(network("2001:db8::1").site(), network("2001:db8:1::1").site());
        assert_ne!(network("2001:db8::1").site(), Some(network("2001:db8::1")), "the same octets");
        assert_eq!(network("2001:db8::1").site().and_then(Network::site), None);
        assert_eq!(network("2001:db8::1").site().map(Network::is_site), Some(true));
        assert!(!network("2001:db8::1").is_site() && !network("192.0.2.1").is_site());
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_eq!((network("192.0.2.1").octets(), network("192.0.2.1").site()), (&[192, 0, 2, 1][..], None));
    }
}
