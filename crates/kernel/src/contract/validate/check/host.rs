//! Host names, IP addresses and prefixes, as protovalidate reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns whether a string is a host name (RFC 1034, section 3.5, with labels that may begin with a digit). A dot may
/// follow it, and its last label is not a number.
pub fn is_hostname(value: &str) -> bool {
    let name = value.strip_suffix('.').unwrap_or(value);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether a string is an IP address of a version (4, 6, `None`: either). IPv6 may have a zone (RFC 4007).
pub fn is_ip(value: &str, version: Option<u8>) -> bool {
    let is_ipv4 = || value.parse::<Ipv4Addr>().is_ok();
    let is_ipv6 = || {
        let (address, zone) = value.split_once('%').map_or((value, None), |(address, zone)| (address, Some(zone)));
        address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(|zone| !zone.is_empty() && !zone.contains('\0'))
    };
    match version {
        Some(4) => is_ipv4(),
        Some(_) => is_ipv6(),
        None => is_ipv4() || is_ipv6(),
    }
}

/// Returns whether a string is a host name or an IP address.
pub fn is_address(value: &str) -> bool {
    is_hostname(value) || is_ip(value, None)
}

/// Returns whether a string is an IP address with the length of a prefix: `10.0.0.0/8`. If it is strict, no bit after the
/// prefix is set.
pub fn is_ip_prefix(value: &str, version: Option<u8>, strict: bool) -> bool {
    let Some((address, length)) = value.split_once('/') else { return false };
    let Some(length) = number(length, 128) else { return false };
    let is_version = |wanted| version.is_none_or(|version| version == wanted);
    match address.parse() {
        Ok(IpAddr::V4(address)) if is_version(4) && length <= 32 => {
            !strict || u32::from(address).checked_shl(length).unwrap_or(0) == 0
        }
        Ok(IpAddr::V6(address)) if is_version(6) => {
            !strict || u128::from(address).checked_shl(length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// Returns whether a string is a host name or an IP address, with a port: `example.com:443`, `[::1]:443`.
pub fn is_host_and_port(value: &str) -> bool {
    let Some((host, port)) = value.rsplit_once(':') else { return false };
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| is_ip(address, Some(6))),
        None => is_hostname(host) || is_ip(host, Some(4)),
    };
    is_host && number(port, 65535).is_some()
}

/// Returns a decimal number without leading zeros, up to `most`.
fn number(text: &str, most: u32) -> Option<u32> {
    let is_canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|number| is_canonical && *number <= most)
}
