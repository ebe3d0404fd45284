//! Listener addresses as clients on this machine use them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Returns a local address of a listener. Loopback stands for an unspecified address.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()),
        _ => listen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_this_machine() {
        let of = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(of("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(of("[::]:8080"), "127.0.0.1:8080");
        assert_eq!(of("192.0.2.1:80"), "192.0.2.1:80");
    }
}
