//! A client with full control over its TLS settings.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{Authority, Pair};
use crate::support::{Response, rest};

/// The client's trusted authority, its certificate and its protocols.
#[derive(Debug, Clone)]
pub(super) struct Client {
    authority: String,
    identity: Option<Pair>,
    protocols: Vec<Vec<u8>>,
}

/// The outcome of a request over a connection.
pub(super) type Exchange<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Client {
    /// A client that trusts an authority, has no certificate, and prefers HTTP/2.
    pub(super) fn trusting(authority: &Authority) -> Self {
        let protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { authority: authority.certificate.clone(), identity: None, protocols }
    }

    pub(super) fn with_certificate(mut self, identity: Pair) -> Self {
        self.identity = Some(identity);
        self
    }

    pub(super) fn speaking(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// The configuration, which also holds the sessions that may be resumed.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).expect("PEM")).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("versions").with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(vec![certificate], key).expect("a pair")
            }
        };
        config.alpn_protocols.clone_from(&self.protocols);
        Arc::new(config)
    }

    /// Performs the handshake. In TLS 1.3 the client reads the rejection of its certificate only afterwards.
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        connect(self.config(), address).await
    }

    /// Performs one REST call over its own connection, in the negotiated protocol.
    pub(super) async fn call(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        token: Option<&str>,
    ) -> Exchange<Response> {
        exchange(self.connect(address).await?, method, path, token).await
    }

    /// A channel for gRPC.
    pub(super) fn channel(&self, address: SocketAddr) -> Channel {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.authority));
        if let Some(pair) = &self.identity {
            tls = tls.identity(Identity::from_pem(&pair.certificate, &pair.key));
        }
        let tls = tls.domain_name("localhost");
        let endpoint = Endpoint::from_shared(format!("https://{address}")).expect("a URL");
        endpoint.tls_config(tls).expect("good PEM").connect_lazy()
    }
}

/// Performs the handshake with a configuration that earlier connections have used.
pub(super) async fn connect(config: Arc<ClientConfig>, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect("localhost".try_into().expect("a name"), stream).await
}

/// Performs one REST call over a connection, in the negotiated protocol.
pub(super) async fn exchange(
    stream: TlsStream<TcpStream>,
    method: Method,
    path: &str,
    token: Option<&str>,
) -> Exchange<Response> {
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let request = request(method, path, token, is_h2);
    let response = if is_h2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    };
    read(response).await
}

/// A request in the form of HTTP/1.1 or HTTP/2.
pub(super) fn request(method: Method, path: &str, token: Option<&str>, is_h2: bool) -> Request<Full<Bytes>> {
    let uri = if is_h2 { format!("https://localhost{path}") } else { path.to_owned() };
    let body = if method == Method::POST { r#"{"subject":"a","body":"b"}"# } else { "" };
    let mut builder = Request::builder().method(method).uri(uri).header(header::CONTENT_TYPE, "application/json");
    if !is_h2 {
        builder = builder.header(header::HOST, "localhost");
    }
    if let Some(token) = token {
        builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    builder.body(Full::from(body)).expect("a request")
}

/// Reads a whole response.
pub(super) async fn read(response: http::Response<hyper::body::Incoming>) -> Exchange<Response> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(rest::read(http::Response::from_parts(parts, body).into()).await)
}
