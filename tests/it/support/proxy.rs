//! A wire between the house and Postgres that counts statements and can be cut.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use url::Url;

use super::TestDatabase;

/// When the wire breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Never = 0,
    /// COMMIT does not get to Postgres.
    BeforeCommit = 1,
    /// COMMIT does; that it went well does not get back.
    AfterCommit = 2,
}

/// The wire.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    statements: AtomicU64,
    cut: AtomicU8,
}

impl Proxy {
    /// In front of a database.
    pub(crate) async fn new(database: &TestDatabase) -> Self {
        let mut url = Url::parse(&database.url).expect("a URL");
        let target = (url.host_str().expect("a host").to_owned(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
        let state = Arc::<State>::default();
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, state) = (target.clone(), shared.clone());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(target).await {
                        join(client, server, state).await;
                    }
                });
            }
        });
        Self { url: url.into(), state }
    }

    /// How many statements have passed.
    pub(crate) fn statements(&self) -> u64 {
        self.state.statements.load(Ordering::SeqCst)
    }

    /// Breaks the wire of the next connection that commits, once.
    pub(crate) fn cut(&self, cut: Cut) {
        self.state.cut.store(cut as u8, Ordering::SeqCst);
    }
}

async fn join(client: TcpStream, server: TcpStream, state: Arc<State>) {
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let muted = AtomicBool::new(false);
    // Whichever ends first drops all four halves, and so cuts the wire.
    tokio::select! {
        _ = upwards(from_client, to_server, &state, &muted) => {}
        _ = downwards(from_server, to_client, &muted) => {}
    }
}

async fn downwards(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, muted: &AtomicBool) -> std::io::Result<()> {
    let mut piece = [0; 16 << 10];
    loop {
        let length = server.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        if !muted.load(Ordering::SeqCst) {
            client.write_all(&piece[..length]).await?;
        }
    }
}

/// Passes the frontend's messages on one by one.
async fn upwards(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    state: &State,
    muted: &AtomicBool,
) -> std::io::Result<()> {
    // The first message, and a request for TLS before it, have no type.
    loop {
        let length = client.read_u32().await?;
        let mut body = vec![0; length.saturating_sub(4) as usize];
        client.read_exact(&mut body).await?;
        server.write_u32(length).await?;
        server.write_all(&body).await?;
        let is_tls_request = body == 80_877_103_u32.to_be_bytes();
        if !is_tls_request {
            break;
        }
    }
    loop {
        let kind = client.read_u8().await?;
        let length = client.read_u32().await?;
        let mut body = vec![0; length.saturating_sub(4) as usize];
        client.read_exact(&mut body).await?;
        // Query and Execute.
        if matches!(kind, b'Q' | b'E') {
            state.statements.fetch_add(1, Ordering::SeqCst);
        }
        let commits = kind == b'Q' && body.to_ascii_uppercase().starts_with(b"COMMIT");
        let cut = if commits { state.cut.swap(Cut::Never as u8, Ordering::SeqCst) } else { Cut::Never as u8 };
        if cut == Cut::BeforeCommit as u8 {
            return Ok(());
        }
        muted.store(cut == Cut::AfterCommit as u8, Ordering::SeqCst);
        server.write_u8(kind).await?;
        server.write_u32(length).await?;
        server.write_all(&body).await?;
        if cut == Cut::AfterCommit as u8 {
            // Postgres has to read it before the wire breaks; a broken wire takes what is unread with it.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return Ok(());
        }
    }
}
