//! TLS of the listener: ALPN, certificate reload at run time, and mutual TLS.
//!
//! A client certificate is requested if certificate authorities are configured, and it is optional: users authenticate
//! with a token. An invalid certificate fails the handshake. The identity of a certificate is that of SPIFFE: the only
//! URI among its subject alternative names (X.509-SVID, section 2). A name listed in `TLS_PRINCIPALS` is a service
//! principal with the scopes given there. A client with any other name may connect, and needs a credential.

use std::{collections::HashMap, fmt, fs, io, path::Path, sync::Arc, time::Duration};

use metrics::gauge;
use parking_lot::RwLock;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_cert::{Certificate, der::Decode as _};

use crate::{
    caller::{Caller, PeerCaller},
    config::{ConfigError, Tls as Settings},
    contract::Policies,
    id::ServiceKeyId,
};

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// HTTP/2 if the client supports it (RFC 7301, RFC 9113).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The TLS configuration of a listener.
#[derive(Debug)]
pub struct Tls {
    settings: Settings,
    principals: HashMap<String, Caller>,
    digest: [u8; 32],
    expiry: Expiry,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files, and the scopes of the principals, which the policies declare.
    ///
    /// # Errors
    /// All faults, each with its setting.
    pub fn open(settings: Settings, policies: &Policies) -> Result<Self, Vec<ConfigError>> {
        let parts = read_files(&settings).and_then(|files| Ok((files.digest(), files.expiry(), files.config()?)));
        let ((digest, expiry, config), principals) = match (parts, principals(&settings.principals, policies)) {
            (Ok(parts), Ok(principals)) => (parts, principals),
            (parts, principals) => {
                return Err([parts.err(), principals.err()].into_iter().flatten().flatten().collect());
            }
        };
        Ok(Self { settings, principals, digest, expiry, current: RwLock::new(Arc::new(config)) })
    }

    /// Publishes the expiry of the certificates, and reloads changed files for new connections. Open connections are
    /// not affected. Invalid files, such as a certificate whose key has not been written yet, are ignored. The future
    /// never completes.
    pub(crate) async fn renew(&self) {
        let mut last_digest = Some(self.digest);
        self.expiry.publish();
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let settings = self.settings.clone();
            let read = tokio::task::spawn_blocking(move || read_files(&settings)).await;
            let Ok(read) = read else { continue };
            let digest = read.as_ref().map(Files::digest).ok();
            if digest == last_digest {
                continue;
            }
            last_digest = digest;
            match read.and_then(|files| Ok((files.expiry(), files.config()?))) {
                Ok((expiry, config)) => {
                    expiry.publish();
                    *self.current.write() = Arc::new(config);
                    tracing::info!("TLS files reloaded: new connections use them");
                }
                Err(faults) => {
                    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                    tracing::error!(?faults, "changed TLS files can't be used: keeping the previous ones");
                }
            }
        }
    }

    /// Performs the handshake, and returns the principal of the client certificate, if any.
    /// Errors: the client does not speak TLS, its certificate is invalid, or the handshake takes longer than 10 s.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Option<PeerCaller>)> {
        let config = self.current.read().clone();
        let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await??;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let name = certificate.and_then(name_of);
        let caller = name.and_then(|name| self.principals.get(&name).cloned()).map(PeerCaller);
        Ok((stream, caller))
    }
}

/// Returns the only URI name of a certificate. Two names count as none: the choice would be ambiguous.
fn name_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut names = certificate.valid_uri_names();
    names.next().filter(|_| names.next().is_none()).map(str::to_owned)
}

/// Returns the principals of the listed names, each with scopes that the contract declares.
fn principals(
    listed: &[(String, Vec<String>)],
    policies: &Policies,
) -> Result<HashMap<String, Caller>, Vec<ConfigError>> {
    let invalid = |message: String| ConfigError::new("TLS_PRINCIPALS", message);
    let mut faults = Vec::new();
    let mut callers = HashMap::new();
    for (name, scopes) in listed {
        let unknown = scopes.iter().filter(|scope| policies.scope(scope).is_none());
        let names = || policies.scope_names();
        faults.extend(unknown.map(|scope| invalid(format!("{name}: there is no scope {scope:?}, only {}", names()))));
        let scopes = scopes.iter().filter_map(|scope| policies.scope(scope)).collect();
        callers.insert(name.clone(), Caller::Service { id: ServiceKeyId(principal_id(name)), account: None, scopes });
    }
    if faults.is_empty() { Ok(callers) } else { Err(faults) }
}

/// Returns the id under which limits, idempotency keys and activities of a name are recorded. It is stable, and differs
/// from the id of any service key.
fn principal_id(name: &str) -> uuid::Uuid {
    let hash = Sha256::digest(format!("client certificate {name}"));
    uuid::Builder::from_custom_bytes(hash[..16].try_into().expect("16 of 32 bytes")).into_uuid()
}

struct Files {
    certificates: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

fn read_files(settings: &Settings) -> Result<Files, Vec<ConfigError>> {
    let read = |name: &str, path: &Path| {
        fs::read(path).map_err(|error| ConfigError::new(name, format!("{} can't be read: {error}", path.display())))
    };
    let certificates = read("TLS_CERT", &settings.certificate);
    let key = read("TLS_KEY", &settings.key);
    let client_authorities = settings.client_authorities.as_deref().map(|path| read("TLS_CLIENT_CA", path)).transpose();
    let (certificates, key, client_authorities) = all(certificates, key, client_authorities)?;
    Ok(Files { certificates, key, client_authorities })
}

impl Files {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.certificates, &self.key].into_iter().chain(&self.client_authorities) {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn expiry(&self) -> Expiry {
        Expiry::read(&self.certificates, self.client_authorities.as_deref())
    }

    fn config(&self) -> Result<ServerConfig, Vec<ConfigError>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| ConfigError::new("TLS_KEY", format!("holds no private key: {error}")));
        let verifier = self.client_authorities.as_deref().map(|pem| verifier(pem, &provider)).transpose();
        let (chain, key, verifier) = all(certificates("TLS_CERT", &self.certificates), key, verifier)?;
        let resumes = verifier.is_none();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS 1.2 and 1.3")
            .with_client_cert_verifier(verifier.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
            .with_single_cert(chain, key)
            .map_err(|error| vec![ConfigError::new("TLS_CERT", format!("can't be used with TLS_KEY: {error}"))])?;
        if !resumes {
            // A resumed session would skip the verification of the client certificate, even of an expired one.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(config)
    }
}

/// Builds the verifier of client certificates, which also admits clients without one.
fn verifier(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
    let invalid = |error: &dyn fmt::Display| ConfigError::new("TLS_CLIENT_CA", error.to_string());
    let mut roots = RootCertStore::empty();
    for authority in certificates("TLS_CLIENT_CA", pem)? {
        roots.add(authority).map_err(|error| invalid(&error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    verifier.allow_unauthenticated().build().map_err(|error| invalid(&error))
}

/// Returns all three values, or all faults.
fn all<A, B, C>(
    a: Result<A, ConfigError>,
    b: Result<B, ConfigError>,
    c: Result<C, ConfigError>,
) -> Result<(A, B, C), Vec<ConfigError>> {
    match (a, b, c) {
        (Ok(a), Ok(b), Ok(c)) => Ok((a, b, c)),
        (a, b, c) => Err([a.err(), b.err(), c.err()].into_iter().flatten().collect()),
    }
}

fn certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| ConfigError::new(name, format!("is not PEM: {error}")))?;
    if read.is_empty() { Err(ConfigError::new(name, "holds no certificate")) } else { Ok(read) }
}

/// The earliest expiry in each file, in seconds since the Unix epoch. Peers reject a chain once any of its certificates
/// has expired.
#[derive(Debug, Clone, Copy)]
struct Expiry {
    server: Option<u64>,
    client_authority: Option<u64>,
}

impl Expiry {
    /// Reads PEM files. Certificates that this parser can't read are ignored.
    fn read(server: &[u8], client_authorities: Option<&[u8]>) -> Self {
        Self { server: earliest_expiry(server), client_authority: client_authorities.and_then(earliest_expiry) }
    }

    fn publish(self) {
        for (certificate, expires) in [("server", self.server), ("client_authority", self.client_authority)] {
            if let Some(expires) = expires {
                #[expect(clippy::cast_precision_loss, reason = "seconds until the year 9999 are exact")]
                gauge!("mainstay_tls_certificate_expiry_timestamp_seconds", "certificate" => certificate)
                    .set(expires as f64);
            }
        }
    }
}

fn earliest_expiry(pem: &[u8]) -> Option<u64> {
    let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    let certificates = certificates.filter_map(|der| Certificate::from_der(&der).ok());
    certificates.map(|certificate| certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs()).min()
}
