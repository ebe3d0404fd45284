//! To whom passkeys belong (WebAuthn's relying party), and on which pages they work.

use std::net::SocketAddr;

use mainstay_kernel::config::{Reader, Variable};
use url::{Host, Url};

pub(super) const RP_ID: Variable = Variable::plain(
    "PASSKEY_RP_ID",
    "",
    "Domain to which passkeys belong: the host of PASSKEY_ORIGINS, or a domain above it; if absent, the host of the first origin. Passkeys of another domain are lost when it changes",
);
pub(super) const ORIGINS: Variable = Variable::plain(
    "PASSKEY_ORIGINS",
    "",
    "Origins of the pages on which passkeys work, separated by commas; if absent, that of PUBLIC_URL, or else localhost with the port of LISTEN_ADDR",
);

/// The relying party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingPartyConfig {
    /// The domain to which passkeys belong.
    pub id: String,
    /// The origins of the pages on which passkeys work.
    pub origins: Vec<String>,
}

/// Returns the domain of a page on which browsers offer passkeys, and its origin: https, or http on this machine. An address
/// has no passkeys.
fn page(url: &Url) -> Option<(String, String)> {
    let host = match url.host()? {
        Host::Domain(host) => host.to_owned(),
        Host::Ipv4(_) | Host::Ipv6(_) => return None,
    };
    let is_local = host == "localhost" || host.ends_with(".localhost");
    let is_secure = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    is_secure.then(|| (host, url.origin().ascii_serialization()))
}

/// Returns the URL of this machine in place of a loopback address, to which no passkey can belong.
fn named(mut url: Url) -> Url {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        _ => false,
    };
    if is_loopback {
        // A host that replaces a host is valid.
        url.set_host(Some("localhost")).ok();
    }
    url
}

/// Reads the relying party; `None` if this server is known by an address, or without TLS.
pub(super) fn read(read: &mut Reader, public_url: Option<&str>) -> Option<RelyingPartyConfig> {
    let (names, id) = (read.list(ORIGINS.name), read.optional::<String>(RP_ID.name));
    let pages: Vec<_> = if names.is_empty() {
        let listen: SocketAddr = read.parse("LISTEN_ADDR");
        let url = public_url.map_or_else(|| format!("http://{listen}"), str::to_owned);
        Url::parse(&url).ok().and_then(|url| page(&named(url))).into_iter().collect()
    } else {
        let pages: Option<Vec<_>> = names
            .iter()
            .map(|name| Url::parse(name).ok().and_then(|url| page(&url)).filter(|(_, origin)| origin == name))
            .collect();
        match pages {
            Some(pages) => pages,
            None => {
                read.fault(
                    ORIGINS.name,
                    "must be origins such as https://app.example.com; plain http only for localhost",
                );
                return None;
            }
        }
    };
    let id = id.or_else(|| pages.first().map(|(host, _)| host.clone()))?;
    if pages.is_empty() || !pages.iter().all(|(host, _)| *host == id || host.ends_with(&format!(".{id}"))) {
        read.fault(RP_ID.name, "must be the host of PASSKEY_ORIGINS or PUBLIC_URL, or a domain above it");
        return None;
    }
    Some(RelyingPartyConfig { id, origins: pages.into_iter().map(|(_, origin)| origin).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::tests::invalid_variables;

    #[test]
    fn origins_are_of_one_domain() {
        let (id, shop) = (("PASSKEY_RP_ID", "shop.example"), "https://app.shop.example,https://shop.example:8443");
        for good in [&[][..], &[("PASSKEY_ORIGINS", shop), id], &[("PASSKEY_ORIGINS", "http://localhost:8080")]] {
            assert!(invalid_variables(good).is_empty(), "{good:?}");
        }
        for bad in ["http://shop.example", "https://192.0.2.1", "https://shop.example/", "shop.example"] {
            assert_eq!(invalid_variables(&[("PASSKEY_ORIGINS", bad), id]), ["PASSKEY_ORIGINS"], "{bad}");
        }
        for other in ["https://evilshop.example", "https://app.shop.example,https://evil.example"] {
            assert_eq!(invalid_variables(&[("PASSKEY_ORIGINS", other), id]), ["PASSKEY_RP_ID"], "{other}");
        }
        let address = [("PUBLIC_URL", "https://192.0.2.1"), id];
        assert_eq!(invalid_variables(&address), ["PASSKEY_RP_ID"]);
    }

    #[test]
    fn a_page_has_passkeys_with_a_name_and_tls() {
        let of = |text: &str| page(&named(Url::parse(text).expect("a URL")));
        let found = |host: &str, origin: &str| Some((host.to_owned(), origin.to_owned()));
        for (url, expected) in [
            ("https://api.shop.example/api/", found("api.shop.example", "https://api.shop.example")),
            ("https://shop.example:8443", found("shop.example", "https://shop.example:8443")),
            ("http://localhost:8080", found("localhost", "http://localhost:8080")),
            ("http://127.0.0.1:8080", found("localhost", "http://localhost:8080")),
            ("http://0.0.0.0:8080", found("localhost", "http://localhost:8080")),
            ("http://[::1]:8080", found("localhost", "http://localhost:8080")),
            ("https://192.0.2.1", None),
            ("http://shop.example", None),
            ("http://localhost.example", None),
        ] {
            assert_eq!(of(url), expected, "{url}");
        }
    }
}
