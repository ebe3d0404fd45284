//! TLS of the listener, and the principals of client certificates.

use std::path::PathBuf;

use super::source::Reader;
use crate::{contract::policy::Scope, server};

/// TLS of the listener.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate chain, a PEM file.
    pub certificate: PathBuf,
    /// The private key, a PEM file.
    pub key: PathBuf,
    /// The authorities of client certificates, a PEM file; `None`: no certificate is requested.
    pub client_authorities: Option<PathBuf>,
    /// The URI names in client certificates that act as service principals, with their scopes.
    pub principals: Vec<(String, Vec<Scope>)>,
}

impl Tls {
    /// Reads the variables, and the files they name once, so that an unreadable file fails at startup.
    pub(super) fn read(read: &mut Reader) -> Option<Self> {
        let path = |path: PathBuf| (!path.as_os_str().is_empty()).then_some(path);
        let [certificate, key, client_authorities] =
            ["TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA"].map(|name| path(read.path(name, PathBuf::new)));
        let principals: Vec<_> = read.list("TLS_PRINCIPALS").iter().map(|item| principal(item)).collect();
        let mut good = Vec::new();
        for item in principals {
            match item {
                Ok((name, _)) if good.iter().any(|(known, _)| *known == name) => {
                    read.fault("TLS_PRINCIPALS", format!("{name} stands there twice"));
                }
                Ok(principal) => good.push(principal),
                Err(message) => read.fault("TLS_PRINCIPALS", message),
            }
        }
        if !good.is_empty() && client_authorities.is_none() {
            read.fault("TLS_CLIENT_CA", "needed beside TLS_PRINCIPALS: without it no client certificate is asked for");
        }
        if client_authorities.is_some() && certificate.is_none() {
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
            (Some(certificate), Some(key)) => {
                let tls = Self { certificate, key, client_authorities, principals: good };
                for fault in server::tls::Tls::open(tls.clone()).err().into_iter().flatten() {
                    read.fault(&fault.name, fault.message);
                }
                Some(tls)
            }
        }
    }
}

/// Parses `spiffe://example.org/billing=tickets_read+tickets_write`. The last `=` separates: a URI may contain others.
fn principal(item: &str) -> Result<(String, Vec<Scope>), String> {
    let (name, scopes) = item.rsplit_once('=').ok_or_else(|| format!("{item} must be URI=scope+scope"))?;
    if url::Url::parse(name).is_err() {
        return Err(format!("{name} is not a URI"));
    }
    let scope = |word: &str| {
        let scope = Scope::from_str_name(&format!("SCOPE_{}", word.to_ascii_uppercase()));
        scope.filter(|scope| *scope != Scope::Unspecified).ok_or_else(|| format!("{name}: there is no scope {word:?}"))
    };
    Ok((name.to_owned(), scopes.split('+').map(scope).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Source};

    fn faults(values: &[(&str, &str)]) -> Vec<String> {
        let faults = Config::read(Source::of(values.iter().copied())).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_principal_is_a_name_and_its_scopes() {
        let scopes = vec![Scope::TicketsRead, Scope::UsersRead];
        assert_eq!(principal("spiffe://x/a=tickets_read+users_read"), Ok(("spiffe://x/a".to_owned(), scopes)));
        assert_eq!(principal("https://x/?a=b=tickets_read").unwrap().0, "https://x/?a=b");
        for wrong in
            ["spiffe://x/a", "billing=tickets_read", "spiffe://x/a=", "spiffe://x/a=unspecified", "spiffe://x/a=all"]
        {
            assert!(principal(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_belongs_together_is_demanded_together() {
        assert_eq!(faults(&[("TLS_CERT", "a.pem")]), ["TLS_KEY: needed beside TLS_CERT"]);
        assert_eq!(faults(&[("TLS_KEY", "a.pem")]), ["TLS_CERT: needed beside TLS_KEY"]);
        assert_eq!(faults(&[("TLS_CLIENT_CA", "a.pem")]), ["TLS_CERT: needed beside TLS_CLIENT_CA"]);
        let alone = faults(&[("TLS_PRINCIPALS", "spiffe://x/a=users_read, spiffe://x/a=users_read")]);
        assert_eq!(alone.len(), 2, "{alone:?}");
        let missing = faults(&[("TLS_CERT", "/nowhere/a.pem"), ("TLS_KEY", "/nowhere/b.pem")]);
        assert!(missing.len() == 2 && missing[0].starts_with("TLS_CERT: /nowhere/a.pem can't be read"), "{missing:?}");
    }
}
