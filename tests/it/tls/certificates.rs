//! Certificate authorities and the certificates they issue.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

/// A certificate authority.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The authority's own certificate, in PEM.
    pub(crate) certificate: String,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::until(4096)
    }

    /// An authority that expires at the beginning of a year.
    pub(crate) fn until(year: i32) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("no names");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Issues a server certificate for `localhost`.
    pub(crate) fn server(&self) -> Pair {
        self.sign(CertificateParams::new(["localhost".to_owned()]).expect("a name"))
    }

    /// Issues a server certificate for `localhost` that expires at the beginning of a year.
    pub(crate) fn server_until(&self, year: i32) -> Pair {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        self.sign(params)
    }

    /// Issues a client certificate with these URI names.
    pub(crate) fn client(&self, names: &[&str]) -> Pair {
        let mut params = CertificateParams::new([]).expect("no names");
        params.subject_alt_names = names.iter().map(|name| SanType::URI((*name).try_into().expect("ASCII"))).collect();
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}
