//! Streams to Postgres hosts, with TLS as `sslmode` demands.

use std::{error::Error, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::either::Either;

use super::{last_failure::LastFailure, sqlstate::Coded};

pub(super) type BoxError = Box<dyn Error + Send + Sync>;
type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
type EncryptedConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

/// SSLRequest: its length, and the request code in place of a protocol version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Negotiates TLS as `tokio_postgres` does, and wraps the stream of every connection in [`Coded`].
#[derive(Clone)]
pub(super) struct Negotiate {
    pub(super) tls: Option<MakeRustlsConnect>,
    pub(super) required: bool,
    /// Whether the TLS handshake starts without an SSLRequest.
    pub(super) direct: bool,
    pub(super) failures: Arc<LastFailure>,
}

pub(super) struct NegotiateHost {
    tls: Option<EncryptedConnect>,
    required: bool,
    direct: bool,
    failures: Arc<LastFailure>,
}

type Stream = Coded<Either<Socket, Encrypted>>;

impl MakeTlsConnect<Socket> for Negotiate {
    type Stream = Stream;
    type TlsConnect = NegotiateHost;
    type Error = BoxError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<NegotiateHost, BoxError> {
        let make = |tls: &mut MakeRustlsConnect| MakeTlsConnect::<Socket>::make_tls_connect(tls, domain);
        let tls = self.tls.as_mut().map(make).transpose()?;
        Ok(NegotiateHost { tls, required: self.required, direct: self.direct, failures: self.failures.clone() })
    }
}

impl TlsConnect<Socket> for NegotiateHost {
    type Stream = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn connect(self, mut socket: Socket) -> Self::Future {
        async move {
            let Some(tls) = self.tls else { return Ok(Coded::new(Either::Left(socket), self.failures)) };
            if !self.direct {
                socket.write_all(&SSL_REQUEST).await?;
                match (socket.read_u8().await?, self.required) {
                    (b'S', _) => {}
                    (_, true) => return Err("server does not support TLS".into()),
                    (_, false) => return Ok(Coded::new(Either::Left(socket), self.failures)),
                }
            }
            let encrypted = tls.connect(socket).await.map_err(Into::<BoxError>::into)?;
            Ok(Coded::new(Either::Right(encrypted), self.failures))
        }
        .boxed()
    }
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        match self.inner() {
            Either::Left(_) => ChannelBinding::none(),
            Either::Right(encrypted) => encrypted.channel_binding(),
        }
    }
}
