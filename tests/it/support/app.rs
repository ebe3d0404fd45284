//! The whole app in this process, behind a real socket, on a separate database.

use std::{sync::Arc, time::Duration};

use mainstay::{identity, webhooks::inbound::handlers::Handlers};
use mainstay_kernel::{
    app::App,
    config::Source,
    error::Result,
    http::{health::Readiness, listener as server, pages, service},
    queue::worker,
    schedule,
};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Endpoint, TestDatabase, dns, modules, people::Cast, servers, webhook};

/// Limits that no test reaches by accident; a test of limits sets its own.
pub(crate) const ROOMY: [(&str, &str); 6] = [
    ("MAX_PASSWORD_HASHING", "64"),
    ("RATE_LIMIT_ADDRESS", "100000000/1m"),
    ("RATE_LIMIT_READ", "1000000/1m"),
    ("RATE_LIMIT_WRITE", "1000000/1m"),
    ("RATE_LIMIT_BULK", "1000000/1m"),
    ("RATE_LIMIT_LOGIN", "1000000/1m"),
];

/// A running app. Dropping it stops the server and removes its database.
#[derive(Debug)]
pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) endpoint: Endpoint,
    /// The private listener.
    pub(crate) private: Endpoint,
    pub(crate) database: Arc<TestDatabase>,
    _stop: DropGuard,
}

/// The settings to start an app with.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    values: Vec<(String, String)>,
    database: Option<Arc<TestDatabase>>,
    jobs: bool,
    handlers: Option<Handlers>,
    listener: Option<TcpListener>,
}

impl TestApp {
    /// Starts an app with the default test configuration.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// Starts an app with the default test configuration, and one caller of each kind.
    pub(crate) async fn start_with_cast() -> (Self, Cast) {
        Self::builder().start_with_cast().await
    }

    /// A builder for an app with its own configuration.
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// Runs a scheduled task, and returns the number of items that it processed.
    pub(crate) async fn run_task(&self, name: &str) -> Result<usize> {
        schedule::run_now(&self.app, modules().work().tasks, name).await
    }

    /// Creates new users.
    pub(crate) async fn cast(&self) -> Cast {
        Box::pin(Cast::new(&self.endpoint, &self.database)).await
    }
}

impl Builder {
    /// Sets an environment variable.
    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.push((name.to_owned(), value.into()));
        self
    }

    /// Sets environment variables.
    pub(crate) fn set_all<'n, V: Into<String>>(mut self, variables: impl IntoIterator<Item = (&'n str, V)>) -> Self {
        self.values.extend(variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        self
    }

    /// Uses a database that other apps use too.
    pub(crate) fn on(mut self, database: &Arc<TestDatabase>) -> Self {
        self.database = Some(database.clone());
        self
    }

    /// Also runs jobs.
    pub(crate) fn with_jobs(mut self) -> Self {
        self.jobs = true;
        self
    }

    /// Replaces the default webhook handlers.
    pub(crate) fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = Some(handlers);
        self
    }

    /// Listens on a socket, whose address the settings may name.
    pub(crate) fn listen(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Starts the app.
    pub(crate) async fn start(self) -> TestApp {
        // Without optimization, the future of a test that contains this one takes half of a thread's stack.
        Box::pin(self.start_on_heap()).await
    }

    async fn start_on_heap(self) -> TestApp {
        let database = match self.database {
            Some(database) => database,
            None => Arc::new(TestDatabase::new().await),
        };
        let values = environment(&database, &self.values).await;
        let source = Source::of(values.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let modules = modules();
        let config = modules.config(source).unwrap_or_else(|faults| panic!("{faults:?}"));
        let mut app = modules.open(config).await.expect("the app opens");
        if let Some(handlers) = self.handlers {
            app = app.with_part(handlers);
        }
        identity::start(&app).await;
        let readiness = Readiness::of(app.contract);
        let service = service::build(modules, &app, readiness.clone()).expect("the contract holds");
        let listener = match self.listener {
            Some(listener) => listener,
            None => TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        };
        let address = listener.local_addr().expect("an address");
        let open = |tls| server::tls::Tls::open(tls, &modules.contract.policies);
        let tls = app.config.server.tls.clone().map(open).transpose().expect("files that are good");
        let stop = CancellationToken::new();
        let drain = Duration::from_secs(1);
        let bounds = server::Bounds { drain, drain_delay: Duration::ZERO, ..server::Bounds::new(&app.config.server) };
        tokio::spawn(server::serve(listener, tls, service, bounds, stop.clone().cancelled_owned()));
        let private = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let private_address = private.local_addr().expect("an address");
        let operators = pages::private(modules, &app, readiness.clone());
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(private, operators).with_graceful_shutdown(stopped).await });
        if self.jobs {
            tokio::spawn(worker::run(modules.work(), app.clone(), stop.clone()));
        }
        readiness.set(true).await;
        let (endpoint, private) = (Endpoint::of(address, &app), Endpoint::new(private_address));
        TestApp { app, endpoint, private, database, _stop: stop.drop_guard() }
    }

    /// Starts the app, and returns one caller of each kind with it.
    pub(crate) async fn start_with_cast(self) -> (TestApp, Cast) {
        let app = self.start().await;
        let cast = app.cast().await;
        (app, cast)
    }
}

/// The environment of an app on a database, in process or not; a name in `own` overrides the default.
pub(crate) async fn environment(database: &TestDatabase, own: &[(String, String)]) -> Vec<(String, String)> {
    let servers = servers::servers().await;
    let data = std::env::temp_dir().join("mainstay-tests");
    let files = format!("file://{}/files", data.display());
    let name_server = dns::address();
    let common = [
        ("DNS_SERVERS", name_server.as_str()),
        ("FILES_URL", files.as_str()),
        ("MAINSTAY_DATA_DIR", data.to_str().expect("a path that is text")),
        // Waiting for a connection is normal when all tests share two cores.
        ("DATABASE_POOL_WAIT", "5s"),
        ("DATABASE_URL", database.url.as_str()),
        ("DATABASE_POOL_SIZE", "8"),
        ("MAX_UPLOADS", "64"),
        ("REDIS_URL", servers.redis_url.as_str()),
        // A busy test machine is slower than a Redis in the same network.
        ("REDIS_TIMEOUT", "500ms"),
        ("SECRET_KEY", servers::SECRET_KEY),
        ("LISTEN_ADDR", "127.0.0.1:0"),
        ("METRICS_LISTEN_ADDR", "127.0.0.1:0"),
        // The receivers of tests are on this machine.
        ("WEBHOOK_ALLOW_PRIVATE", "true"),
        ("ALLOW_PRIVATE_PROVIDERS", "true"),
        // An Envoy runs in front of every app, in addition to direct access.
        ("TRUSTED_PROXY_HOPS", "1"),
    ];
    let mut values: Vec<(String, String)> = common
        .iter()
        .chain(&ROOMY)
        .chain(&webhook::SECRETS)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    for (name, value) in own {
        values.retain(|(other, _)| other != name);
        values.push((name.clone(), value.clone()));
    }
    values
}
