//! Client addresses behind trusted proxies. Address limits count by them, and sessions record them.
//!
//! Every proxy appends its peer to `X-Forwarded-For`, and a caller can forge the entries to the left of it. The list is
//! therefore read from the right, and only as far as `TRUSTED_PROXY_HOPS` covers: with one hop the client is the last
//! entry, with two the last but one. With zero hops the header is ignored.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::{
    caller::{ClientAddress, PeerAddress},
    http::middleware::{
        layer::{Middleware, Next, Request, ResponseFuture},
        record,
    },
};

/// A middleware that adds the [`ClientAddress`] to the extensions of a request with a [`PeerAddress`].
#[derive(Debug, Clone)]
pub(crate) struct FindClientAddress {
    pub(crate) trusted_hops: usize,
}

impl<S: Next> Middleware<S> for FindClientAddress {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        if let Some(&PeerAddress(peer)) = request.extensions().get() {
            let forwarded = forwarded_address(request.headers(), self.trusted_hops);
            let address = ClientAddress(forwarded.unwrap_or(peer.ip()).to_canonical());
            record::client(&request, address);
            request.extensions_mut().insert(address);
        }
        next.pass(request)
    }
}

/// Returns the address that the outermost trusted proxy recorded. In a list that is shorter than the chain of proxies,
/// a trusted proxy wrote the first entry, so that it is trusted as well. Returns `None`, which selects the peer's
/// address, if the entry is not an address.
fn forwarded_address(headers: &HeaderMap, trusted_hops: usize) -> Option<IpAddr> {
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    // Forged entries at the left may not be valid UTF-8.
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    entries.take(trusted_hops).last().and_then(|entry| address(std::str::from_utf8(entry).ok()?.trim()))
}

/// Parses `192.0.2.1`, `2001:db8::1`, or either with a port, which some proxies add.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_our_own_hops_are_believed() {
        let lines = ["203.0.113.9, 198.51.100.7", "192.0.2.1"];
        let cases: [(&[&str], usize, Option<&str>); 10] = [
            (&lines, 0, None),
            (&lines, 1, Some("192.0.2.1")),
            (&lines, 2, Some("198.51.100.7")),
            (&lines, 3, Some("203.0.113.9")),
            (&lines, 9, Some("203.0.113.9")),
            (&[], 1, None),
            (&["203.0.113.9, unknown"], 1, None),
            (&["203.0.113.9,192.0.2.1:4711"], 1, Some("192.0.2.1")),
            (&["[2001:db8::1]:4711"], 1, Some("2001:db8::1")),
            (&["[2001:db8::1]"], 1, Some("2001:db8::1")),
        ];
        for (lines, hops, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            assert_eq!(
                forwarded_address(&headers, hops),
                expected.map(|text| text.parse().unwrap()),
                "{lines:?} {hops}"
            );
        }
    }

    #[test]
    fn an_unreadable_line_is_no_address() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        headers.append("x-forwarded-for", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(forwarded_address(&headers, 1), None);
    }

    #[test]
    fn a_header_of_the_caller_hides_no_address_that_a_proxy_adds() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_bytes(b"\xff\xc3\xa9, 192.0.2.1").unwrap());
        assert_eq!(forwarded_address(&headers, 1), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(forwarded_address(&headers, 2), None);
    }
}
