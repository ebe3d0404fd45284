//! `mainstay serve`.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::cli::{
    Instance,
    migrate::{NewerDatabase, SchemaCheck},
    notify::Notify,
    private_listener::{self, PrivateListener},
};
use mainstay_kernel::{
    app::App,
    command::for_operator,
    config::{self, Config, reachable},
    http::{health::Readiness, listener as server, service},
    module::{Modules, PrivateDatabase, Process, Purpose},
    queue::worker,
    schedule, telemetry,
};

/// A SIGINT within this time after another one belongs to the same Ctrl-C: the terminal sends it to every process of
/// the foreground group, and a launcher forwards it as well.
const INTERRUPT_REPETITION: Duration = Duration::from_millis(500);

/// Serve gRPC, REST and the web pages on LISTEN_ADDR.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Migrate the database first; always done for the private Postgres.
    #[arg(long, env = "MAINSTAY_MIGRATE", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    migrate: bool,
    /// Start a new private database without sample data.
    #[arg(long, env = "MAINSTAY_EMPTY", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    empty: bool,
    #[command(flatten)]
    newer_database: NewerDatabase,
}

/// The time after `DRAIN_DELAY` and `DRAIN_TIMEOUT` in which a process closes. It exceeds the sum of its parts' limits.
const MAX_CLOSING: Duration = Duration::from_secs(15);

impl Serve {
    pub(crate) async fn run(self, modules: &'static Modules, config: Config) -> anyhow::Result<ExitCode> {
        let stop = stop_signal(&config.server)?;
        // Bind the port before anything slow, so that a second server fails at once.
        let listener = TcpListener::bind(config.server.listen).await.map_err(|error| {
            anyhow::anyhow!("Cannot listen on {}: {error}; set LISTEN_ADDR to another address", config.server.listen)
        })?;
        // Bound before the first start, which stores secrets that it shows only once.
        let private = private_listener::bind(config.server.metrics_listen).await?;
        let open = |tls| server::tls::Tls::open(tls, &modules.contract.policies);
        let tls = config.server.tls.clone().map(open).transpose().map_err(crate::cli::unusable)?;
        let instance = Instance::open(modules, config).await?;
        let served = self.serve(&instance, Listeners { public: listener, private, tls }, stop).await;
        instance.close().await;
        served
    }

    async fn serve(
        &self,
        instance: &Instance,
        listeners: Listeners,
        stop: CancellationToken,
    ) -> anyhow::Result<ExitCode> {
        let app = &instance.app;
        let notify = Arc::new(Notify::open());
        if instance.is_private() || self.migrate {
            crate::cli::migrate::apply(app).await?;
        }
        let is_new = instance.is_private() && for_operator(schedule::is_unused(app).await)?;
        let schema = SchemaCheck::begin(app, self.newer_database).await?;
        let url = base_url(listeners.public.local_addr()?, listeners.tls.is_some());
        let private_database = PrivateDatabase { is_new, takes_samples: !self.empty };
        let private_database = instance.is_private().then_some(private_database);
        let purpose = Purpose::Server { url: url.clone(), private_database };
        let mut process = Modules::of(app).start(app, purpose).await?;
        let served = serve_until(stop, listeners, &url, schema, &notify, &mut process).await;
        process.close().await;
        served
    }
}

/// The bound sockets: `LISTEN_ADDR` with its certificate, and `METRICS_LISTEN_ADDR`.
struct Listeners {
    public: TcpListener,
    private: TcpListener,
    tls: Option<server::tls::Tls>,
}

/// Serves until `stop` is canceled or the schema check fails, and drains.
async fn serve_until(
    stop: CancellationToken,
    Listeners { public, private, tls }: Listeners,
    url: &str,
    mut schema: SchemaCheck,
    notify: &Arc<Notify>,
    process: &mut Process,
) -> anyhow::Result<ExitCode> {
    let preparations = process.take_preparations();
    let app = &process.app;
    let readiness = Readiness::of(app.contract);
    let service = service::build(Modules::of(app), app, readiness.clone())?;
    let private_listener = PrivateListener::open(private, app, &readiness)?;
    banner(url, private_listener.address, process);

    let jobs_stop = CancellationToken::new();
    let work = Modules::of(app).work();
    let jobs = tokio::spawn(jobs_after(preparations, work, app.clone(), jobs_stop.clone()));
    readiness.set(true).await;
    notify.ready();
    let bounds = server::Bounds::new(&app.config.server);
    let draining = notify.clone();
    let (fault, faults) = tokio::sync::oneshot::channel();
    let drained = server::serve(public, tls, service, bounds, async move {
        tokio::select! {
            () = stop.cancelled() => {}
            // The receiver is gone once the server has stopped.
            error = schema.wait_for_fault() => drop(fault.send(error)),
        }
        readiness.set(false).await;
        draining.stopping();
        // Jobs drain concurrently with the requests, so the shutdown takes the longer of the two, not their sum.
        jobs_stop.cancel();
        tracing::info!("shutting down: no new requests, waiting for those in flight");
    });
    let drained = drained.await;
    jobs.await.ok();
    private_listener.close().await;
    tracing::info!(drained, "stopped");
    if let Ok(fault) = faults.await {
        return Err(fault);
    }
    Ok(if drained { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Completes the preparations, then runs jobs, unless `JOBS_IN_SERVE=false`, until `stop` is canceled.
async fn jobs_after(preparations: impl Future<Output = ()>, work: worker::Work, app: App, stop: CancellationToken) {
    if stop.run_until_cancelled(preparations).await.is_some() && app.config.jobs.in_serve {
        worker::run(work, app, stop).await;
    }
}

/// Returns a token that the first SIGINT or SIGTERM cancels. A second signal, unless it repeats the first, ends the
/// process as soon as the last lines of the log are written. So does a shutdown that exceeds its time.
pub(crate) fn stop_signal(config: &config::Server) -> anyhow::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let (stop, limit) = (token.clone(), config.drain_delay + config.drain + MAX_CLOSING);
    tokio::spawn(async move {
        let mut overdue = std::pin::pin!(async {
            stop.cancelled().await;
            tokio::time::sleep(limit).await;
        });
        let mut last_interrupt: Option<Instant> = None;
        loop {
            let is_repeated = tokio::select! {
                _ = interrupt.recv() => last_interrupt
                    .replace(Instant::now())
                    .is_some_and(|last| last.elapsed() < INTERRUPT_REPETITION),
                _ = terminate.recv() => false,
                () = &mut overdue => {
                    tracing::error!(?limit, "the shutdown exceeded its time: the process ends");
                    end(1)
                }
            };
            if is_repeated {
                continue;
            }
            if stop.is_cancelled() {
                end(130);
            }
            stop.cancel();
        }
    });
    Ok(token)
}

/// Ends the process as soon as the last lines of the log are written.
fn end(code: i32) -> ! {
    telemetry::lines::write_last();
    #[expect(
        clippy::disallowed_methods,
        reason = "the process is to end now; a private Postgres is stopped by its watcher"
    )]
    std::process::exit(code);
}

fn base_url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{}", reachable(address))
}

fn banner(url: &str, private_address: SocketAddr, process: &Process) {
    let modules = Modules::of(&process.app);
    println!("\n{} serves gRPC and REST on {url}\n", modules.about.title);
    if modules.has("console") {
        println!("  console   {url}/console");
    }
    println!("  docs      {url}/docs");
    println!("  openapi   {url}/openapi.json");
    let private_address = reachable(private_address);
    println!("  health    http://{private_address}/health");
    println!("  metrics   http://{private_address}/metrics\n");
    for notice in process.notices() {
        println!("{notice}\n");
    }
    if !process.suggestions().is_empty() {
        println!("Try:\n");
        process.suggestions().iter().flat_map(|command| command.lines()).for_each(|line| println!("  {line}"));
        println!();
    }
}
