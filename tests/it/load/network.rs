//! The network between the instances and a server that they use: it can be slow, silent, or lose its connections.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use url::Url;

/// The condition of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// Forwards data.
    Open,
    /// Forwards data with a delay, in both directions.
    Slow(Duration),
    /// Holds data back, and accepts no connections, like a network partition. The data arrives afterwards, because TCP
    /// retransmits it.
    Silent,
}

/// A link that all connections to a server use.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddr,
    condition: watch::Sender<Condition>,
    /// Incremented to break all connections.
    generation: watch::Sender<u64>,
}

impl Link {
    /// Opens a link to a server on this machine.
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (condition, generation) = (watch::Sender::new(Condition::Open), watch::Sender::new(0));
        let (conditions, resets) = (condition.subscribe(), generation.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut resets = resets.clone();
                resets.mark_unchanged();
                let relay = relay(client, port, conditions.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = relay => {}
                        _ = resets.changed() => {}
                    }
                });
            }
        });
        Self { address, condition, generation }
    }

    /// Returns the same URL, through this link.
    pub(super) fn url(&self, direct: &str) -> String {
        let mut url = Url::parse(direct).expect("a URL");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(self.address.port())).expect("a port");
        url.into()
    }

    /// Delays everything by `delay` in each direction, for a time.
    pub(super) async fn slow(&self, delay: Duration, time: Duration) {
        self.set(Condition::Slow(delay), time).await;
    }

    /// Forwards nothing, for a time.
    pub(super) async fn silent(&self, time: Duration) {
        self.set(Condition::Silent, time).await;
    }

    /// Breaks all connections.
    pub(super) fn reset(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    async fn set(&self, condition: Condition, time: Duration) {
        self.condition.send_replace(condition);
        tokio::time::sleep(time).await;
        self.condition.send_replace(Condition::Open);
    }
}

/// Connects a client to the server, and forwards in both directions until one of them ends.
async fn relay(client: TcpStream, port: u16, mut condition: watch::Receiver<Condition>) {
    if wait_to_pass(&mut condition).await.is_none() {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // When one direction ends, the connection is cut.
    tokio::select! {
        _ = forward(from_client, to_server, condition.clone()) => {}
        _ = forward(from_server, to_client, condition) => {}
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut condition: watch::Receiver<Condition>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 || wait_to_pass(&mut condition).await.is_none() {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}

/// Waits until data may pass; `None` once the link is gone.
async fn wait_to_pass(condition: &mut watch::Receiver<Condition>) -> Option<()> {
    let current = *condition.wait_for(|condition| *condition != Condition::Silent).await.ok()?;
    if let Condition::Slow(delay) = current {
        tokio::time::sleep(delay).await;
    }
    Some(())
}

#[tokio::test]
async fn a_link_delays_holds_back_and_breaks() {
    let echo = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link = Link::to(echo.local_addr().expect("an address").port()).await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await.ok();
            });
        }
    });
    let mut stream = TcpStream::connect(link.address).await.expect("a link");
    let mut answer = async || {
        let since = tokio::time::Instant::now();
        stream.write_all(b"?").await?;
        stream.read_u8().await.map(|byte| (byte, since.elapsed()))
    };
    let (byte, _) = answer().await.expect("open");
    assert_eq!(byte, b'?');
    let delay = Duration::from_millis(40);
    let ((), slow) = tokio::join!(link.slow(delay, delay * 10), answer());
    assert!(slow.expect("slow").1 >= delay * 2);
    let ((), held_back) = tokio::join!(link.silent(delay * 5), answer());
    assert!(held_back.expect("it arrives afterwards").1 >= delay * 5);
    link.reset();
    assert!(answer().await.is_err());
}
