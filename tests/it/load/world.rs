//! The servers: a service of a gateway, two instances and Envoy; and for it a dedicated Postgres with a standby, and a
//! Redis, which the instances reach over links that can fail.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay_dev_servers::{Envoy, Options, Postgres, Redis, RedisOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Settings, network::Link};
use crate::support::{
    ChildProcess, Endpoint, Process, TestDatabase,
    actor::{envoy_options, start_envoy},
    gateway::FakeGateway,
    process,
    receiver::Receiver,
    servers,
};

/// The time that the webhook receiver takes for each delivery.
const RECEIVER_DELAY: Duration = Duration::from_millis(300);

pub(super) struct World {
    pub(super) postgres: Postgres,
    /// A standby, which serves reads.
    pub(super) standby: Postgres,
    pub(super) redis: Redis,
    pub(super) to_postgres: Link,
    pub(super) to_redis: Link,
    pub(super) service: Service,
}

/// The instances, Envoy, and what the instances call, apart from their Redis and the servers of their database.
pub(super) struct Service {
    pub(super) gateway: FakeGateway,
    pub(super) receiver: Receiver,
    pub(super) database: Arc<TestDatabase>,
    /// The variables of the instances, in addition to the defaults of tests.
    variables: Vec<(&'static str, String)>,
    instances: Vec<(SocketAddr, ChildProcess)>,
    envoy: Envoy,
}

impl World {
    pub(super) async fn start(settings: Settings) -> Self {
        // A commit that was acknowledged survives a crash.
        let durable = ["fsync", "synchronous_commit", "full_page_writes"];
        let options = durable.iter().fold(Options::temporary(), |options, name| options.set(name, "on"));
        let postgres = Postgres::start(options).await.expect("a Postgres");
        let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
        servers::migrate(postgres.url()).await;
        let standby = postgres.standby().await.expect("a standby");
        let (to_postgres, to_redis) = (Link::to(postgres.port()).await, Link::to(redis.port()).await);
        let own = [
            ("DATABASE_URL", to_postgres.url(postgres.url())),
            ("DATABASE_REPLICA_URLS", standby.url().to_owned()),
            ("REDIS_URL", to_redis.url(&redis.url())),
        ];
        let service = Service::start(settings, postgres.url(), own).await;
        Self { postgres, standby, redis, to_postgres, to_redis, service }
    }

    pub(super) fn signal_redis(&self, signal: Signal) {
        let pid = self.redis.pid().and_then(|pid| i32::try_from(pid).ok()).expect("a Redis");
        kill(Pid::from_raw(pid), signal).expect("our own child");
    }
}

impl Service {
    pub(super) const INSTANCES: usize = 2;

    /// Starts it on a migrated database, with additional variables.
    pub(super) async fn start(
        settings: Settings,
        url: &str,
        own: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let database = Arc::new(TestDatabase::foreign(url));
        let gateway = FakeGateway::start().await;
        let receiver = Receiver::slow(&[204], RECEIVER_DELAY).await;
        let mut variables = variables(&gateway, settings);
        variables.extend(own);
        let mut instances = Vec::new();
        for _ in 0..Self::INSTANCES {
            instances.push(start_instance(&database, &variables, "127.0.0.1:0").await);
        }
        let addresses: Vec<_> = instances.iter().map(|(address, _)| *address).collect();
        let envoy = start_envoy(envoy_options(&addresses)).await;
        let service = Self { gateway, receiver, database, variables, instances, envoy };
        service.wait_until_healthy().await;
        service
    }

    /// Returns Envoy's endpoint, the only one that callers use.
    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.envoy.address())
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.instances.iter().map(|(_, instance)| instance.pid()).collect()
    }

    /// Returns the defects that the instances logged, with their causes.
    pub(super) fn defects(&self) -> Vec<String> {
        let logs = self.instances.iter().map(|(_, instance)| instance.log());
        let lines = logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.filter(|line| line.contains("INTERNAL_ERROR")).collect()
    }

    /// Stops an instance like a rollout does, starts its successor, and waits until Envoy routes to it.
    pub(super) async fn replace(&mut self, index: usize) {
        let (address, mut old) = self.instances.remove(index);
        old.signal(Signal::SIGTERM);
        let status = old.wait().await;
        assert!(status.success(), "{status}: {}", old.log());
        let next = start_instance(&self.database, &self.variables, &address.to_string()).await;
        self.instances.insert(index, next);
        self.wait_until_healthy().await;
    }

    /// Runs a command of the binary; returns whether it succeeded, with its output.
    pub(super) async fn run(&self, args: &[&str]) -> (bool, String) {
        process::run(args, &self.database, &texts(&self.variables)).await
    }

    /// Waits until Envoy routes to all instances.
    async fn wait_until_healthy(&self) {
        let (start, clusters) = (Instant::now(), format!("http://{}/clusters", self.envoy.admin()));
        loop {
            let text = reqwest::get(&clusters).await.expect("a page").text().await.expect("text");
            let is_healthy = |address| text.contains(&format!("mainstay::{address}::health_flags::healthy"));
            if self.instances.iter().all(|(address, _)| is_healthy(address)) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn start_instance(
    database: &TestDatabase,
    variables: &[(&'static str, String)],
    address: &str,
) -> (SocketAddr, ChildProcess) {
    let mut own = texts(variables);
    own.push(("LISTEN_ADDR", address));
    let instance = Process::with(database, &own).await;
    (instance.endpoint.address, instance.into_running())
}

fn texts<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn variables(gateway: &FakeGateway, settings: Settings) -> Vec<(&'static str, String)> {
    // Production bounds, unless other tests share the machine.
    let (database, redis) = if settings.judges_times { ("800ms", "20ms") } else { ("3s", "300ms") };
    let mut variables = gateway.variables();
    variables.extend([
        ("INSTANCES", Service::INSTANCES.to_string()),
        ("DATABASE_POOL_SIZE", "16".to_owned()),
        ("DATABASE_POOL_WAIT", database.to_owned()),
        ("REDIS_TIMEOUT", redis.to_owned()),
        ("ACCESS_TOKEN_TTL", "1d".to_owned()),
    ]);
    variables
}
