//! TLS to Postgres: the certificate is verified, and the error for a rejected certificate names the remedy.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    support::{TestDatabase, eventually, process},
    tls::certificates::{Authority, Pair},
};

/// A server that performs Postgres' TLS handshake, and then ends the connection.
struct Handshakes {
    port: u16,
    succeeded: Arc<AtomicUsize>,
}

impl Handshakes {
    async fn start(pair: &Pair) -> Self {
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![certificate], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a pair")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let succeeded = Arc::<AtomicUsize>::default();
        let count = succeeded.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // SSLRequest, and the answer that TLS is supported.
                stream.read_exact(&mut [0; 8]).await.expect("a request");
                stream.write_all(b"S").await.expect("sent");
                if acceptor.accept(stream).await.is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { port, succeeded }
    }

    /// The database, whose host the certificate names.
    fn database(&self) -> TestDatabase {
        TestDatabase::foreign(&format!("postgres://me@localhost:{}/shop?hostaddr=127.0.0.1", self.port))
    }

    fn succeeded(&self) -> usize {
        self.succeeded.load(Ordering::Relaxed)
    }
}

/// The default of Debian's Postgres: TLS with a self-signed certificate.
#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_certificate_is_refused_with_the_remedy() {
    let authority = Authority::new();
    let postgres = Handshakes::start(&authority.server()).await;
    let database = postgres.database();
    let (good, text) = process::run(&["migrate"], &database, &[]).await;
    for part in ["certificate", "SSL_CERT_FILE", "sslmode=disable"] {
        assert!(!good && text.contains(part), "{part} is not in:\n{text}");
    }
    // The server received no secret by then.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(postgres.succeeded(), 0);

    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &authority.certificate).expect("written");
    let path = file.path().to_str().expect("text");
    let (good, text) = process::run(&["migrate"], &database, &[("SSL_CERT_FILE", path)]).await;
    assert!(!good && !text.contains("SSL_CERT_FILE"), "{text}");
    eventually("the handshake succeeds", async || postgres.succeeded() > 0).await;
}

/// URLs in libpq's format, as other services print them.
#[tokio::test(flavor = "multi_thread")]
async fn options_of_libpq_are_refused_with_what_stands_for_them() {
    let url = "postgres://me:hunter2@db.example.com/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem";
    let database = TestDatabase::foreign(url);
    for command in [&["config", "check"][..], &["serve"], &["migrate"]] {
        let (good, text) = process::run(command, &database, &[("DATABASE_REPLICA_URLS", url)]).await;
        assert!(!good && !text.contains("hunter2"), "{command:?}: {text}");
        for name in ["DATABASE_URL", "DATABASE_REPLICA_URLS"] {
            let fault = text.lines().find(|line| line.starts_with(&format!("  {name}: must be ")));
            assert!(fault.is_some_and(|fault| fault.contains("SSL_CERT_FILE")), "{command:?}: {name}:\n{text}");
        }
    }
}
