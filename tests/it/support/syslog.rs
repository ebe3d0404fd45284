//! A syslog server over TCP or TLS: it reads frames with their length in front (RFC 6587, 3.4.1).

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// What the server does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// It reads everything.
    Take,
    /// It accepts the connection, and reads nothing.
    Stall,
    /// It reads a little, and dies.
    Break,
}

/// The server; it ends with the test.
#[derive(Debug)]
pub(crate) struct SyslogServer {
    pub(crate) address: SocketAddr,
    behavior: Arc<Mutex<Behavior>>,
    messages: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl SyslogServer {
    /// Starts a server that takes everything.
    pub(crate) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (behavior, messages) = (Arc::new(Mutex::new(Behavior::Take)), Arc::<Mutex<Vec<String>>>::default());
        let (present, taken) = (behavior.clone(), messages.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (behavior, taken, tls) = (*present.lock().expect("a behavior"), taken.clone(), tls.clone());
                tokio::spawn(async move {
                    match (behavior, tls) {
                        (Behavior::Stall, _) => hold(stream).await,
                        (Behavior::Break, _) => interrupt(stream).await,
                        (Behavior::Take, None) => read_all(stream, &taken).await,
                        (Behavior::Take, Some(tls)) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                read_all(stream, &taken).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, behavior, messages, _task: AbortOnDropHandle::new(task) }
    }

    /// Sets what the server does with the next connections.
    pub(crate) fn set(&self, behavior: Behavior) {
        *self.behavior.lock().expect("a behavior") = behavior;
    }

    /// Returns the messages, each without its length.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.messages.lock().expect("the messages").clone()
    }
}

async fn hold(stream: TcpStream) {
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(stream);
}

/// Ends the connection with bytes that were not read, which the sender sees as a reset.
async fn interrupt(mut stream: TcpStream) {
    let mut byte = [0];
    stream.read_exact(&mut byte).await.ok();
    drop(stream);
}

async fn read_all(mut stream: impl AsyncRead + Unpin, taken: &Mutex<Vec<String>>) {
    let mut bytes = Vec::new();
    if stream.read_to_end(&mut bytes).await.is_err() {
        return;
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ').expect("the length of a message");
        let length = std::str::from_utf8(&rest[..space]).expect("digits").parse::<usize>().expect("a number");
        let message = rest[space + 1..][..length].to_vec();
        taken.lock().expect("the messages").push(String::from_utf8(message).expect("UTF-8"));
        rest = &rest[space + 1 + length..];
    }
}
