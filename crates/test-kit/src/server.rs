//! The server under test.

use std::{fs, path::PathBuf, time::Duration};

use chrono::TimeDelta;
use mainstay::Product;
use mainstay_kernel::{
    app::App,
    config::{Config, Source},
    database::migrations,
    events::Event,
    http::{health::Readiness, listener, service},
    module::{Modules, Purpose},
    queue::worker,
    schedule,
    unit_of_work::Work,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{TestDatabase, unique::unique};

/// The settings of test servers. The keys are worthless elsewhere; the limits are so high that no test reaches them by
/// accident.
const SETTINGS: [(&str, &str); 12] = [
    ("SECRET_KEY", "dGVzdHMgc2VhbCB0aGVpciBrZXlzIHdpdGggdGhpcyE="),
    ("SINGLE_INSTANCE", "true"),
    ("LISTEN_ADDR", "127.0.0.1:0"),
    ("METRICS_LISTEN_ADDR", "127.0.0.1:0"),
    // An Envoy may run in front of the server, in addition to direct access.
    ("TRUSTED_PROXY_HOPS", "1"),
    ("DATABASE_POOL_SIZE", "8"),
    ("DATABASE_POOL_WAIT", "5s"),
    ("RATE_LIMIT_ADDRESS", "1000000/1m"),
    ("RATE_LIMIT_READ", "1000000/1m"),
    ("RATE_LIMIT_WRITE", "1000000/1m"),
    ("RATE_LIMIT_BULK", "1000000/1m"),
    ("RATE_LIMIT_LOGIN", "1000000/1m"),
];

/// A server in this process, which ends when this value is dropped.
#[derive(Debug)]
pub struct TestServer {
    app: App,
    url: String,
    serving: JoinHandle<()>,
    database: TestDatabase,
    _data: DataFolder,
    stop: DropGuard,
}

/// The data directory of a server, which is removed with it.
#[derive(Debug)]
struct DataFolder(PathBuf);

impl Drop for DataFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A builder of a server.
#[derive(Debug)]
#[must_use = "a builder does nothing until it starts the server"]
pub struct Builder {
    modules: &'static Modules,
    settings: Vec<(String, String)>,
}

impl TestServer {
    /// Starts a server of these modules.
    ///
    /// # Panics
    /// Panics if the module configuration is invalid, or if a required server does not start.
    pub async fn start(product: Product) -> Self {
        Self::builder(product).start().await
    }

    /// Returns a builder, for a server with a custom configuration.
    ///
    /// # Panics
    /// Panics if the module configuration is invalid.
    pub fn builder(product: Product) -> Builder {
        let modules = product.modules().unwrap_or_else(|faults| panic!("{faults:#?}"));
        Builder { modules, settings: Vec::new() }
    }

    /// Returns the application.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Returns the URL of the server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the database.
    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Returns the texts of the mails that were sent, oldest first, as their MIME messages (RFC 2045): with the default
    /// `MAIL_TRANSPORT`, a test server writes them to an outbox. [`TestServer::run_jobs`] sends what is due.
    ///
    /// # Panics
    /// Panics if a mail can't be read.
    #[must_use]
    pub fn mails(&self) -> Vec<String> {
        let files = fs::read_dir(self.app.config.database.data_dir.join("outbox")).into_iter().flatten().flatten();
        let mut files: Vec<_> = files.map(|file| file.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
        // The ids are UUIDv7, so the names sort by time.
        files.sort_unstable();
        files.iter().map(|file| fs::read_to_string(file).expect("a mail")).collect()
    }

    /// Stops the server like a signal does, and waits until it has completed its requests and closed the components
    /// that modules started. A test that ends without this call does not wait.
    ///
    /// # Panics
    /// Panics if the server panicked.
    pub async fn stop(self) {
        drop(self.stop);
        self.serving.await.expect("no panic");
    }

    /// Advances the clock of the application; a negative duration sets it back. The time of Postgres (`now()`), by which jobs are
    /// due, does not change. Access tokens expire after 5 minutes: see [`TestServer::sign_in`].
    pub fn advance(&self, by: TimeDelta) {
        self.app.clock.advance(by);
    }

    /// Publishes events, like an operation of another module would.
    ///
    /// # Panics
    /// Panics if a subscriber fails.
    pub async fn publish(&self, events: Vec<Event>) {
        let publish = async move |work: &mut Work| {
            events.into_iter().for_each(|event| work.publish(event));
            Ok(())
        };
        self.app.database.transaction(publish).await.expect("every subscriber accepts the events");
    }

    /// Runs the due jobs, and the jobs that these add, until no job is due. The failure of a job does not fail the test: the job
    /// waits for its next attempt, with the error in `jobs.last_error`.
    ///
    /// # Panics
    /// Panics if the queue can't be read.
    pub async fn run_jobs(&self) {
        worker::run_due(Modules::of(&self.app).work(), &self.app).await.expect("the queue");
    }

    /// Runs a scheduled task, by its name, and returns the number of items that it processed.
    ///
    /// # Panics
    /// Panics if the task fails, or if no module registers it.
    pub async fn run_task(&self, name: &str) -> usize {
        schedule::run_now(&self.app, Modules::of(&self.app).work().tasks, name)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:?}"))
    }
}

impl Builder {
    /// Sets a variable of the configuration, in place of its default or of the test kit's value. The last value of a name counts.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    /// Panics if the configuration is unusable, or if a required server does not start.
    pub async fn start(self) -> TestServer {
        // Without optimization, the future of a test that contains this one takes much of the stack of its thread.
        Box::pin(self.start_on_heap()).await
    }

    async fn start_on_heap(self) -> TestServer {
        show_log();
        let migrate = |url: String| async move { migrate(&open(self.modules, &url, &[]).await).await };
        let database = TestDatabase::migrated(self.modules, migrate).await;
        let data = DataFolder(std::env::temp_dir().join(format!("mainstay-test-{}", unique())));
        let folder = ("MAINSTAY_DATA_DIR".to_owned(), data.0.display().to_string());
        let settings: Vec<_> = std::iter::once(folder).chain(self.settings).collect();
        let app = open(self.modules, database.url(), &settings).await;
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let purpose = Purpose::Server { url: url.clone(), private_database: None };
        let process = self.modules.start(&app, purpose).await.expect("what the modules have starts");
        let readiness = Readiness::of(app.contract);
        let service = service::build(self.modules, &app, readiness.clone()).expect("a service");
        let stop = CancellationToken::new();
        let drain = Duration::from_secs(1);
        let bounds = listener::Bounds { drain, ..listener::Bounds::new(&app.config.server) };
        let served = listener::serve(socket, None, service, bounds, stop.clone().cancelled_owned());
        let serving = tokio::spawn(async move {
            served.await;
            process.close().await;
        });
        readiness.set(true).await;
        TestServer { app, url, serving, database, _data: data, stop: stop.drop_guard() }
    }
}

/// Writes errors, or the levels of `RUST_LOG`, to the output of the test. A second call in a process does nothing.
fn show_log() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::ERROR.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init().ok();
}

async fn open(modules: &'static Modules, url: &str, settings: &[(String, String)]) -> App {
    modules.open(configure(modules, url, settings)).await.expect("an application")
}

pub(crate) fn configure(modules: &Modules, url: &str, settings: &[(String, String)]) -> Config {
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // The last value of a name takes precedence.
    let files = format!("file://{}", std::env::temp_dir().join("mainstay-test-files").display());
    let here = [("DATABASE_URL", url), ("FILES_URL", files.as_str())];
    let source = Source::of(SETTINGS.into_iter().chain(here).chain(settings));
    modules.config(source).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

async fn migrate(app: &App) {
    let connection = app.database.dedicated().await.expect("a connection");
    migrations::run(connection, Modules::of(app).migrations()).await.expect("migrations");
}
