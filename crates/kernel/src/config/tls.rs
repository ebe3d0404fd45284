//! TLS settings of the listener, and the principals of client certificates.

use std::path::PathBuf;

use crate::config::source::{Reader, Variable};

/// TLS of the listener.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate chain, a PEM file.
    pub certificate: PathBuf,
    /// The private key, a PEM file.
    pub key: PathBuf,
    /// The certificate authorities of clients, a PEM file; `None` requests no client certificate.
    pub client_authorities: Option<PathBuf>,
    /// URI names (SAN) in client certificates that act as service principals, with the names of their scopes.
    pub principals: Vec<(String, Vec<String>)>,
}

impl Tls {
    pub(super) const VARIABLES: &'static [Variable] = &[
        Variable::plain(
            "TLS_CERT",
            "",
            "PEM file with the certificate chain, reloaded when it changes; if absent, no TLS",
        ),
        Variable::plain("TLS_KEY", "", "PEM file with the private key of the certificate"),
        Variable::plain(
            "TLS_CLIENT_CA",
            "",
            "PEM file with the authorities of client certificates; if absent, none are requested",
        ),
        Variable::plain(
            "TLS_PRINCIPALS",
            "",
            "Client certificates that act as service principals: URI=scope+scope, separated by commas",
        ),
    ];

    /// Reads the variables. The listener reads the files when it opens.
    pub(crate) fn read(read: &mut Reader) -> Option<Self> {
        let path = |path: PathBuf| (!path.as_os_str().is_empty()).then_some(path);
        let [certificate, key, client_authorities] =
            ["TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA"].map(|name| path(read.path(name, PathBuf::new)));
        let mut principals = Vec::new();
        for item in read.list("TLS_PRINCIPALS").iter().map(|item| principal(item)) {
            match item {
                Ok((name, _)) if principals.iter().any(|(other, _)| *other == name) => {
                    read.fault("TLS_PRINCIPALS", format!("{name} is listed twice"));
                }
                Ok(principal) => principals.push(principal),
                Err(message) => read.fault("TLS_PRINCIPALS", message),
            }
        }
        if !principals.is_empty() && client_authorities.is_none() {
            read.fault("TLS_CLIENT_CA", "needed beside TLS_PRINCIPALS: without it, no client certificate is requested");
        }
        if client_authorities.is_some() && certificate.is_none() && key.is_none() {
            read.fault("TLS_CERT", "needed beside TLS_CLIENT_CA");
        }
        match (certificate, key) {
            (None, None) => None,
            (Some(_), None) => {
                read.fault("TLS_KEY", "needed beside TLS_CERT");
                None
            }
            (None, Some(_)) => {
                read.fault("TLS_CERT", "needed beside TLS_KEY");
                None
            }
            (Some(certificate), Some(key)) => Some(Self { certificate, key, client_authorities, principals }),
        }
    }
}

/// Parses `spiffe://example.org/billing=orders.read+orders.write`. The last `=` separates, because a URI may contain
/// others.
fn principal(item: &str) -> Result<(String, Vec<String>), String> {
    let (name, scopes) = item.rsplit_once('=').ok_or_else(|| format!("{item} must be URI=scope+scope"))?;
    if url::Url::parse(name).is_err() {
        return Err(format!("{name} is not a URI"));
    }
    let scopes: Vec<_> = scopes.split('+').map(str::to_owned).collect();
    if scopes.iter().any(String::is_empty) {
        return Err(format!("{name}: a scope without a name"));
    }
    Ok((name.to_owned(), scopes))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_principal_is_a_name_and_its_scopes() {
        let scopes = vec!["orders.read".to_owned(), "orders.write".to_owned()];
        assert_eq!(principal("spiffe://x/a=orders.read+orders.write"), Ok(("spiffe://x/a".to_owned(), scopes)));
        assert_eq!(principal("https://x/?a=b=orders.read").unwrap().0, "https://x/?a=b");
        for wrong in ["spiffe://x/a", "billing=orders.read", "spiffe://x/a=", "spiffe://x/a=orders.read+"] {
            assert!(principal(wrong).is_err(), "{wrong}");
        }
    }
}
