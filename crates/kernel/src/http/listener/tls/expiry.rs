//! Certificate expiry of a listener, for metrics.

use metrics::gauge;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_cert::{Certificate, der::Decode as _};

/// The earliest expiry in each file, in seconds since the Unix epoch. Peers reject a chain once any of its certificates
/// has expired.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expiry {
    server: Option<u64>,
    client_authority: Option<u64>,
}

impl Expiry {
    /// Reads PEM files. Certificates that this parser can't read are ignored.
    pub(super) fn read(server: &[u8], client_authorities: Option<&[u8]>) -> Self {
        Self { server: earliest_expiry(server), client_authority: client_authorities.and_then(earliest_expiry) }
    }

    /// Sets the gauges.
    pub(super) fn publish(self) {
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
