//! The keys of the counters: hashes, so that no address, e-mail or id is stored as a key.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

/// The hash of the limited caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::rate_limit) struct Key(pub(in crate::rate_limit) [u8; 16]);

impl Key {
    /// Hashes an identity. The `class` separates one caller's keys; it contains no NUL.
    pub(in crate::rate_limit) fn new(class: &str, who: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(class).chain_update([0]).chain_update(who).finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&hash[..16]);
        Self(key)
    }

    /// The key in Redis: `limit:` and the hash in hexadecimal.
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

/// Returns the network of an address: the address itself, or an IPv6 address' /64, the smallest allocation of a
/// subscriber (RFC 6177), who may use all of it.
pub fn network(address: IpAddr) -> Vec<u8> {
    let (octets, length) = network_octets(address);
    octets[..usize::from(length)].to_vec()
}

/// Returns the octets of the network of an address, and how many of them count.
pub(in crate::rate_limit) fn network_octets(address: IpAddr) -> ([u8; 8], u8) {
    let mut network = [0; 8];
    let length = match address.to_canonical() {
        IpAddr::V4(address) => {
            network[..4].copy_from_slice(&address.octets());
            4
        }
        IpAddr::V6(address) => {
            network.copy_from_slice(&address.octets()[..8]);
            8
        }
    };
    (network, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_key_is_the_hash_in_hexadecimal() {
        let name = Key([0xa5; 16]).redis();
        assert_eq!(std::str::from_utf8(&name).unwrap(), format!("limit:{}", "a5".repeat(16)));
    }
}
