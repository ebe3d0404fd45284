//! A proxy between the app and Postgres that counts statements and round trips, notes statements, and can cut or disturb
//! connections.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
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

/// When the connection breaks, or what happens to it instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before the statement itself reaches Postgres, whether or not its transaction commits.
    BeforeStatement,
    /// Before COMMIT reaches Postgres.
    BeforeCommit,
    /// After COMMIT has reached Postgres, but before the response reaches the app.
    AfterCommit,
    /// From the statement on, the connection forwards nothing to Postgres, and stays open.
    Silence,
    /// The statement reaches Postgres as one that it can't parse. The connection continues.
    Spoil,
}

/// How long a response is held back while round trips are counted: statements that are sent without waiting for it
/// arrive before.
const GATHERING: Duration = Duration::from_millis(50);

/// The proxy.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    statements: AtomicU64,
    /// The number of round trips: sends of a transaction that follow a received response.
    trips: AtomicU64,
    /// Whether responses are held back.
    holds: AtomicBool,
    /// The texts of the statements that a request may wait for.
    texts: Mutex<Vec<String>>,
    /// The number of freezes so far.
    freezes: AtomicU64,
    /// Whether the messages of all connections are held back.
    hangs: AtomicBool,
    /// Whether new connections lose the `options` of their startup, as behind PgBouncer.
    ignores_options: AtomicBool,
    /// The next cut, and the beginning of a statement in the transaction to cut.
    cut: Mutex<Option<(Cut, &'static str)>>,
}

impl Proxy {
    /// Starts a proxy in front of a database.
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

    /// The number of statements that have passed.
    pub(crate) fn statements(&self) -> u64 {
        self.state.statements.load(Ordering::SeqCst)
    }

    /// Counts the round trips of the transactions that a call runs. Statements that are sent without waiting for each
    /// other share one; a statement that has to be prepared costs one more.
    pub(crate) async fn count_trips<T>(&self, call: impl Future<Output = T>) -> (T, u64) {
        let before = self.state.trips.load(Ordering::SeqCst);
        self.state.holds.store(true, Ordering::SeqCst);
        let output = call.await;
        self.state.holds.store(false, Ordering::SeqCst);
        (output, self.state.trips.load(Ordering::SeqCst) - before)
    }

    /// Returns the texts of the statements since the last call.
    pub(crate) fn take_texts(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.texts.lock().expect("the texts"))
    }

    /// Freezes the current connections: they forward nothing but stay open, as when a firewall has dropped their state.
    /// New connections work normally.
    pub(crate) fn freeze(&self) {
        self.state.freezes.fetch_add(1, Ordering::SeqCst);
    }

    /// Holds back the next message of each connection, current or new, as when Postgres is suspended, until it is `false`.
    pub(crate) fn hang(&self, hangs: bool) {
        self.state.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Removes the `options` from the startup of new connections, as PgBouncer does.
    pub(crate) fn ignore_options(&self, ignores: bool) {
        self.state.ignores_options.store(ignores, Ordering::SeqCst);
    }

    /// Breaks the connection of the next transaction that commits such a statement, or sends it, once. Background
    /// transactions of the app use the same proxy and are not affected.
    pub(crate) fn cut(&self, cut: Cut, statement: &'static str) {
        *self.state.cut.lock().expect("the cut") = Some((cut, statement));
    }
}

impl State {
    /// Takes the cut if it applies to a transaction with these statements, which `commits` or sends the last of them.
    fn take(&self, statements: &[String], commits: bool) -> Option<Cut> {
        let is_meant = |(cut, meant): &mut (Cut, &str)| match cut {
            Cut::BeforeStatement | Cut::Silence | Cut::Spoil => {
                statements.last().is_some_and(|statement| statement.starts_with(*meant))
            }
            _ => commits && statements.iter().any(|statement| statement.starts_with(*meant)),
        };
        self.cut.lock().expect("the cut").take_if(is_meant).map(|(cut, _)| cut)
    }
}

/// The parts of a connection's traffic that decide about a cut.
#[derive(Debug, Default)]
struct Traffic {
    /// Whether the connection polls for revocations or changes, for which no request waits.
    watches: bool,
    prepared: HashMap<String, String>,
    transaction: Vec<String>,
    /// Whether the transaction has begun and has not ended, or the session was bound to an account while round trips are counted.
    is_open: bool,
}

impl Traffic {
    /// Records a frontend message; returns whether it runs a COMMIT. `holds`: round trips are counted.
    fn record(&mut self, kind: u8, body: &[u8], holds: bool) -> bool {
        let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        match kind {
            // Parse: a name and its statement.
            b'P' => {
                self.watches |= second.contains("FROM revocations WHERE revoked_at") || second.contains("WITH news AS");
                self.prepared.insert(first, second);
            }
            // Bind: a portal and the name of its statement.
            b'B' => self.transaction.extend(self.prepared.get(&second).cloned()),
            b'E' => {
                let commits = self.transaction.last().is_some_and(|last| last.ends_with("COMMIT"));
                self.is_open &= !commits;
                return commits;
            }
            b'Q' if first.starts_with("BEGIN") || binds(&first) => {
                self.is_open = first.starts_with("BEGIN") || holds && !first.starts_with("SET role");
                self.transaction = vec![first];
            }
            b'Q' => {
                let commits = first.ends_with("COMMIT");
                self.is_open &= !commits && !first.starts_with("ROLLBACK");
                self.transaction.push(first);
                return commits;
            }
            _ => {}
        }
        false
    }

    /// Returns whether the last statement sets up the session, for which no request waits.
    fn sets_up(&self) -> bool {
        let is_setting = |last: &String| binds(last) || SETUP.iter().any(|setup| last.starts_with(setup));
        self.transaction.last().is_some_and(is_setting)
    }
}

/// The beginnings of the statements of a new connection, the last of which looks for a pooler.
const SETUP: [&str; 3] = ["SET CLIENT_ENCODING", "SET TIME ZONE", "SELECT source FROM pg_settings"];

/// Returns whether a statement binds a session to the account of a list, or ends that.
fn binds(statement: &str) -> bool {
    ["SET ROLE", "SET mainstay.account", "SET role"].iter().any(|set| statement.starts_with(set))
}

/// A connection.
#[derive(Debug)]
struct Wire {
    state: Arc<State>,
    /// Nothing reaches the app anymore.
    muted: AtomicBool,
    /// Whether the app has received something since it last sent a statement of a transaction.
    answered: AtomicBool,
    /// The number of freezes when the connection was made.
    freezes: u64,
}

impl Wire {
    /// Continues unless the connection is frozen, once messages are not held back.
    async fn thaw(&self) {
        if self.state.freezes.load(Ordering::SeqCst) != self.freezes {
            std::future::pending::<()>().await;
        }
        while self.state.hangs.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn join(client: TcpStream, server: TcpStream, state: Arc<State>) {
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let freezes = state.freezes.load(Ordering::SeqCst);
    let wire = Wire { freezes, muted: AtomicBool::new(false), answered: AtomicBool::new(true), state };
    // When one direction ends, all four halves are dropped, which cuts the connection.
    tokio::select! {
        _ = upwards(from_client, to_server, &wire) => {}
        _ = downwards(from_server, to_client, &wire) => {}
    }
}

async fn downwards(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, wire: &Wire) -> std::io::Result<()> {
    let mut piece = [0; 16 << 10];
    loop {
        let length = server.read(&mut piece).await?;
        wire.thaw().await;
        if length == 0 {
            return Ok(());
        }
        if wire.state.holds.load(Ordering::SeqCst) {
            tokio::time::sleep(GATHERING).await;
        }
        wire.answered.store(true, Ordering::SeqCst);
        if !wire.muted.load(Ordering::SeqCst) {
            client.write_all(&piece[..length]).await?;
        }
    }
}

/// Returns a startup message, which has a version and pairs of a name and a value, without the `options`.
fn without_options(startup: &[u8]) -> Vec<u8> {
    let (version, pairs) = startup.split_at(4);
    let texts: Vec<_> = pairs.split_inclusive(|byte| *byte == 0).collect();
    let kept = texts.chunks(2).filter(|pair| pair[0] != b"options\0");
    [version.to_vec(), kept.flatten().copied().flatten().copied().collect()].concat()
}

/// Forwards the frontend's messages one by one.
async fn upwards(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, wire: &Wire) -> std::io::Result<()> {
    // The startup message, and a TLS request before it, have no type byte.
    loop {
        let length = client.read_u32().await?;
        let mut body = vec![0; length.saturating_sub(4) as usize];
        client.read_exact(&mut body).await?;
        let is_tls_request = body == 80_877_103_u32.to_be_bytes();
        if !is_tls_request && wire.state.ignores_options.load(Ordering::SeqCst) {
            body = without_options(&body);
        }
        server.write_u32(u32::try_from(body.len() + 4).expect("a short message")).await?;
        server.write_all(&body).await?;
        if !is_tls_request {
            break;
        }
    }
    let mut traffic = Traffic::default();
    loop {
        let kind = client.read_u8().await?;
        wire.thaw().await;
        let length = client.read_u32().await?;
        let mut body = vec![0; length.saturating_sub(4) as usize];
        client.read_exact(&mut body).await?;
        let was_open = traffic.is_open;
        let commits = traffic.record(kind, &body, wire.state.holds.load(Ordering::SeqCst));
        // Query, Bind and Execute: before another message, the last statement has been sent already.
        let cut = matches!(kind, b'Q' | b'B' | b'E').then(|| wire.state.take(&traffic.transaction, commits)).flatten();
        // Query and Execute.
        if matches!(kind, b'Q' | b'E') && !traffic.watches && !traffic.sets_up() {
            wire.state.statements.fetch_add(1, Ordering::SeqCst);
        }
        // Query, Parse and Bind.
        if matches!(kind, b'Q' | b'P' | b'B')
            && (was_open || traffic.is_open)
            && wire.answered.swap(false, Ordering::SeqCst)
        {
            wire.state.trips.fetch_add(1, Ordering::SeqCst);
        }
        // Query and Bind.
        if matches!(kind, b'Q' | b'B') && !traffic.watches {
            wire.state.texts.lock().expect("the texts").extend(traffic.transaction.last().cloned());
        }
        match cut {
            Some(Cut::BeforeCommit | Cut::BeforeStatement) => return Ok(()),
            Some(Cut::Silence) => {
                // Until the app gives the connection up.
                while client.read(&mut body).await? > 0 {}
                return Ok(());
            }
            Some(Cut::Spoil) => body[0] = b'?',
            Some(Cut::AfterCommit) | None => {}
        }
        wire.muted.store(cut == Some(Cut::AfterCommit), Ordering::SeqCst);
        server.write_u8(kind).await?;
        server.write_u32(length).await?;
        server.write_all(&body).await?;
        if cut == Some(Cut::AfterCommit) {
            // Postgres must read the COMMIT before the connection breaks, since a broken connection discards unread
            // data.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return Ok(());
        }
    }
}
