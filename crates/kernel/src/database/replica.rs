//! Read replicas: servers that follow the primary by streaming replication.
//!
//! A read-only request [finds](Replicas::find) a replica that has replayed the position that the request requires and
//! whose lag is within the bound. A read that fails on the replica is repeated on the primary. This includes
//! `NOT_FOUND`, because the replica may only lack the row so far.
//!
//! The lag is known without an extra query per read. Ten times a second, the primary reports the end of its log (a
//! sample), and each replica its replay position. A replica that has replayed the end of a sample is as recent as the
//! primary was at the time of the sample, measured by the clock of this process alone. If replay is paused, or the
//! replica receives nothing, hangs, is gone or is promoted, this time stops advancing, and the replica soon leaves the
//! rotation.

mod samples;

use std::{
    sync::{
        Arc, Once, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use samples::{Sample, Samples};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use url::Url;

use super::{
    Connection,
    connect::Connector,
    node::Node,
    position::{self, Position},
    reach::Reach,
};
use crate::{
    config::Config,
    error::{Error, Result},
};

/// The interval at which each server reports its position.
const PERIOD: Duration = Duration::from_millis(100);
const MAX_SILENCE: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

// Not an argument: an operation reads through the same `Database` whether its request may use a replica or not.
tokio::task_local! {
    /// The replica of the current request. `None`: the request may read from one, but none is recent, or it failed.
    static OF_REQUEST: Mutex<Option<Arc<Replica>>>;
}

/// Runs a request with a replica. All its reads use the same replica, so that no read sees less than an earlier one.
pub(crate) fn with_replica<F: Future>(replica: Option<Arc<Replica>>, request: F) -> impl Future<Output = F::Output> {
    OF_REQUEST.scope(Mutex::new(replica), request)
}

pub(super) fn of_request() -> Option<Arc<Replica>> {
    let replica = OF_REQUEST.try_with(|replica| replica.lock().clone()).ok()?;
    if replica.is_none() {
        count("primary");
    }
    replica
}

/// Moves the remaining reads of the current request to the primary. The replica may be behind what the request has
/// already read from the primary.
fn use_primary() {
    OF_REQUEST.try_with(|replica| replica.lock().take()).ok();
}

fn count(outcome: &'static str) {
    metrics::counter!("mainstay_postgres_replica_reads_total", "outcome" => outcome).increment(1);
}

pub(crate) struct Replicas {
    primary: Connector,
    all: Vec<Arc<Replica>>,
    max_lag: Duration,
    samples: Mutex<Samples>,
    next: AtomicUsize,
    watched: Once,
}

impl Replicas {
    pub(super) fn new(primary: &Node, name: &str, config: &Config) -> anyhow::Result<Option<Self>> {
        let (urls, max_lag) = (&config.replicas.urls, config.replicas.max_lag);
        let open = |url: &SecretString| {
            let node = Node::new(url.expose_secret(), name, &config.database)?;
            let url = Url::parse(url.expose_secret())?;
            let name = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(5432));
            anyhow::Ok(Arc::new(Replica { node, name, max_lag, began: Instant::now(), state: Mutex::default() }))
        };
        let all = urls.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
        let samples = Mutex::new(Samples::new(max_lag + PERIOD));
        let primary = primary.connector().clone();
        let replicas = Self { primary, all, max_lag, samples, next: AtomicUsize::new(0), watched: Once::new() };
        Ok(Some(replicas).filter(|replicas| !replicas.all.is_empty()))
    }

    pub(crate) fn max_lag(&self) -> Duration {
        self.max_lag
    }

    pub(crate) fn find(&self, position: Position) -> Option<Arc<Replica>> {
        let (first, now) = (self.next.fetch_add(1, Ordering::Relaxed), Instant::now());
        let mut replicas = self.all.iter().cycle().skip(first % self.all.len()).take(self.all.len());
        replicas.find(|replica| replica.has_replayed(position, now)).cloned()
    }

    /// Starts to track the positions of all servers, once. The tasks end with this value.
    pub(crate) fn watch(self: &Arc<Self>) {
        self.watched.call_once(|| {
            tokio::spawn(follow_primary(Arc::downgrade(self), self.primary.clone()));
            for replica in &self.all {
                tokio::spawn(follow(Arc::downgrade(self), Arc::downgrade(replica), replica.node.connector().clone()));
            }
        });
    }
}

pub(crate) struct Replica {
    node: Node,
    name: String,
    max_lag: Duration,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    replayed: Position,
    /// The latest time at which the primary's log was no longer than what the replica has replayed.
    as_of: Option<Instant>,
    /// The time of the replica's last answer; `None` if the last query failed.
    answered: Option<Instant>,
    /// Whether the replica has replayed WAL that the primary never wrote: it follows the log of a former primary. It
    /// must be restarted to follow the new one, which closes its connections.
    has_diverged: bool,
    reported: bool,
}

impl Replica {
    /// Runs a short read, as [`Database::read`](super::Database::read) does. Returns `None` if the read must be
    /// repeated on the primary.
    pub(super) async fn read<T>(&self, run: impl AsyncFnOnce(&Connection) -> Result<T>) -> Option<T> {
        self.serve(self.node.try_read(run)).await
    }

    /// Runs any other read. Returns `None` if the read must be repeated on the primary.
    pub(super) async fn query<T>(&self, reach: Reach, run: impl AsyncFnOnce(&Connection) -> Result<T>) -> Option<T> {
        self.serve(async { Some(self.node.query(reach, run).await) }).await
    }

    async fn serve<T>(&self, read: impl Future<Output = Option<Result<T>>>) -> Option<T> {
        let served = tokio::select! {
            biased;
            result = read => result.and_then(Result::ok),
            () = self.becomes_unreadable() => None,
        };
        count(if served.is_some() { "replica" } else { "repeated" });
        if served.is_none() {
            use_primary();
        }
        served
    }

    async fn becomes_unreadable(&self) {
        while let Some(until) = self.readable_until().filter(|until| *until > Instant::now()) {
            sleep_until(until).await;
        }
    }

    /// Returns the time until which the replica is readable without a further report.
    fn readable_until(&self) -> Option<Instant> {
        let State { as_of, answered, has_diverged, .. } = *self.state.lock();
        (!has_diverged).then_some((as_of? + self.max_lag).min(answered? + MAX_SILENCE))
    }

    /// Compares the replica with a sample of the primary that is later than the replica's last answer.
    fn compare(&self, sample: Sample) {
        let mut state = self.state.lock();
        state.has_diverged |=
            state.replayed > sample.end && state.answered.is_some_and(|answered| answered < sample.at);
    }

    fn has_replayed(&self, position: Position, now: Instant) -> bool {
        self.readable_until().is_some_and(|until| until > now) && self.state.lock().replayed >= position
    }

    /// Records a position report, or its failure. `is_new` means that the report came over a new connection.
    fn record(&self, answer: Result<Position>, is_new: bool, samples: &Mutex<Samples>) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.answered = answer.as_ref().ok().map(|_| now);
        state.has_diverged &= !(is_new && answer.is_ok());
        if let Ok(replayed) = answer {
            state.replayed = replayed;
            state.as_of = samples.lock().last_before(replayed).or(state.as_of);
        }
        let lag = now - state.as_of.unwrap_or(self.began);
        let is_unread = answer.is_err() || state.has_diverged || lag > self.max_lag;
        let was_reported = std::mem::replace(&mut state.reported, is_unread);
        let is_reported = state.reported;
        drop(state);
        metrics::gauge!("mainstay_postgres_replica_lag_seconds", "replica" => self.name.clone()).set(lag);
        let (replica, cause) = (&self.name, answer.err().map(|error| error.detail()));
        match (was_reported, is_reported) {
            (false, true) => tracing::warn!(replica, cause, ?lag, "a replica is not read"),
            (true, false) => tracing::info!(replica, "a replica is read again"),
            _ => {}
        }
    }
}

async fn follow_primary(replicas: Weak<Replicas>, connector: Connector) {
    let mut server = Server { connector, connection: None };
    let mut ticks = ticks(Instant::now());
    loop {
        ticks.tick().await;
        let (at, answer) = server.ask(position::of_primary).await;
        let Some(replicas) = replicas.upgrade() else { return };
        if let Ok(end) = answer {
            let sample = Sample { at, end };
            replicas.samples.lock().add(sample);
            replicas.all.iter().for_each(|replica| replica.compare(sample));
        }
    }
}

async fn follow(replicas: Weak<Replicas>, replica: Weak<Replica>, connector: Connector) {
    let mut server = Server { connector, connection: None };
    // The ticks are offset from those of the primary, with which the replica is compared.
    let mut ticks = ticks(Instant::now() + PERIOD / 2);
    loop {
        ticks.tick().await;
        let is_new = server.connection.is_none();
        let (_, answer) = server.ask(position::of_replica).await;
        let (Some(replicas), Some(replica)) = (replicas.upgrade(), replica.upgrade()) else { return };
        replica.record(answer, is_new, &replicas.samples);
    }
}

fn ticks(first: Instant) -> Interval {
    let mut ticks = interval_at(first, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A tracked server, with a dedicated connection: a busy pool does not delay its reports.
struct Server {
    connector: Connector,
    connection: Option<Connection>,
}

impl Server {
    /// Returns the position and the time just before the query.
    async fn ask(&mut self, query: impl AsyncFnOnce(&Connection) -> Result<Position>) -> (Instant, Result<Position>) {
        let late = |_| Error::unavailable(anyhow::anyhow!("no answer in time"));
        // The connection is taken out, so that it is dropped if the query is cancelled.
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => match timeout(CONNECT_TIMEOUT, self.connector.clone().connect()).await {
                Ok(result) => result.map_err(Error::unavailable),
                Err(elapsed) => Err(late(elapsed)),
            },
        };
        let at = Instant::now();
        let connection = match connection {
            Ok(connection) => connection,
            Err(error) => return (at, Err(error)),
        };
        let answer = timeout(MAX_SILENCE, query(&connection)).await.unwrap_or_else(|elapsed| Err(late(elapsed)));
        self.connection = Some(connection).filter(|_| answer.is_ok());
        (at, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn position(end: u64) -> Position {
        Position::of_text(&format!("{end:x}")).expect("a position")
    }

    /// A promoted standby has received less WAL than this replica has replayed.
    #[tokio::test(start_paused = true)]
    async fn a_replica_that_follows_another_log_is_not_read_before_it_is_restarted() {
        let config = config::Database {
            url: None,
            pool_size: 1,
            pool_wait: PERIOD,
            statement_timeout: PERIOD,
            trace_context: false,
            data_dir: "/nowhere".into(),
        };
        let node = Node::new("postgres://nobody@127.0.0.1:1/nothing", "test", &config).expect("a URL");
        let (now, max_lag) = (Instant::now(), Duration::from_secs(1));
        let replica = Replica { node, name: "one".to_owned(), max_lag, began: now, state: Mutex::default() };
        let samples = Mutex::new(Samples::new(max_lag + PERIOD));
        let primary = async |end| {
            tokio::time::advance(PERIOD / 2).await;
            let sample = Sample { at: Instant::now(), end: position(end) };
            samples.lock().add(sample);
            replica.compare(sample);
        };
        let replayed = async |end, is_new| {
            tokio::time::advance(PERIOD / 2).await;
            replica.record(Ok(position(end)), is_new, &samples);
            replica.has_replayed(position(1), Instant::now())
        };
        primary(100).await;
        assert!(replayed(101, true).await, "the primary went on meanwhile");
        primary(101).await;
        assert!(replayed(101, false).await);
        primary(90).await;
        assert!(!replica.has_replayed(position(1), Instant::now()));
        assert!(!replayed(101, false).await);
        primary(102).await;
        assert!(!replayed(101, false).await, "what follows is not what the primary wrote");
        assert!(replayed(102, true).await, "it was restarted");
    }
}
