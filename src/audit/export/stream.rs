//! One-way streams over TCP or TLS, for receivers without responses, such as syslog servers.
//!
//! A write succeeds once the bytes are in the buffers of this system, so that a receiver that dies loses them without an error.
//! Each send therefore has a separate connection, which this side ends first: the receiver has read everything when it closes
//! the connection in turn.

use std::{io, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// The time limit of the connection, with the handshake of TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a receiver must keep the connection open after the last byte, before this side ends it.
const STAYS_OPEN: Duration = Duration::from_millis(250);
/// The most bytes that a receiver may send before the end. A receiver of a one-way stream sends none.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// A receiver of one-way streams.
#[derive(Clone)]
pub(crate) struct StreamReceiver {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl StreamReceiver {
    /// Names a receiver that is reached without TLS.
    pub(crate) fn plain(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, tls: None }
    }

    /// Names a receiver that is reached by TLS. `authorities`, in PEM, replace the certificate authorities of the system.
    ///
    /// # Errors
    /// For a host that no certificate can name, and for authorities that can't be read.
    pub(crate) fn tls(host: &str, port: u16, authorities: Option<&[u8]>) -> anyhow::Result<Self> {
        let certificates = match authorities {
            Some(pem) => CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(certificates);
        anyhow::ensure!(usable > 0, "there are no certificate authorities");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let name = ServerName::try_from(host.to_owned())?;
        Ok(Self { tls: Some((TlsConnector::from(config), name)), ..Self::plain(host, port) })
    }

    /// Sends bytes, and waits until the receiver has read them and closes the connection. The caller limits the time.
    ///
    /// # Errors
    /// If the receiver can't be reached, or ends the connection early.
    pub(crate) async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let connect = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            Ok::<Box<dyn Duplex>, io::Error>(match &self.tls {
                Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
                None => Box::new(stream),
            })
        };
        let mut stream =
            tokio::time::timeout(CONNECT_TIMEOUT, connect).await.map_err(|_| io::ErrorKind::TimedOut)??;
        stream.write_all(bytes).await?;
        stream.flush().await?;
        // A load balancer without a server behind it closes at once.
        match tokio::time::timeout(STAYS_OPEN, stream.read(&mut [0])).await {
            Err(_) => {}
            Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(_)) => return Err(io::Error::other("the receiver sends data")),
            Ok(Err(error)) => return Err(error),
        }
        stream.shutdown().await?;
        match tokio::io::copy(&mut (&mut stream).take(MAX_ANSWER_BYTES), &mut tokio::io::sink()).await {
            // A receiver should answer the end of TLS (RFC 5425, 4.4). One that only closes TCP would otherwise get the same bytes
            // again and again. A connection that is cut on its way looks alike: the numbers of the entries show the gap.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.tls.is_some() => Ok(()),
            Ok(MAX_ANSWER_BYTES) => Err(io::Error::other("the receiver sends data")),
            end => end.map(drop),
        }
    }
}

impl std::fmt::Debug for StreamReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamReceiver").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}
