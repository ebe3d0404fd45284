//! `mainstay serve`.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::cli::{
    Instance,
    migrate::{NewerDatabase, SchemaCheck},
    notify::Notify,
    private_listener::PrivateListener,
};
use mainstay_kernel::{
    command::for_operator,
    config::Config,
    http::{health::Readiness, listener as server, service},
    module::Modules,
    queue::worker,
};

/// Serve gRPC, REST and the web pages on LISTEN_ADDR.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Migrate the database first; always done for the private Postgres.
    #[arg(long, env = "MAINSTAY_MIGRATE", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    migrate: bool,
    #[command(flatten)]
    newer_database: NewerDatabase,
}

impl Serve {
    pub(crate) async fn run(self, modules: &'static Modules, config: Config) -> anyhow::Result<ExitCode> {
        let stop = stop_signal()?;
        // Bind the port before anything slow, so that a second server fails at once.
        let listener = TcpListener::bind(config.server.listen)
            .await
            .map_err(|error| anyhow::anyhow!("LISTEN_ADDR {} can't be listened on: {error}", config.server.listen))?;
        let tls = config.server.tls.clone().map(server::tls::Tls::open).transpose().map_err(crate::cli::unusable)?;
        let instance = Instance::open(modules, config).await?;
        let served = self.serve(&instance, listener, tls, stop).await;
        instance.close().await;
        served
    }

    async fn serve(
        &self,
        instance: &Instance,
        listener: TcpListener,
        tls: Option<server::tls::Tls>,
        stop: CancellationToken,
    ) -> anyhow::Result<ExitCode> {
        let app = &instance.app;
        let notify = Arc::new(Notify::open());
        if instance.is_private() || self.migrate {
            crate::cli::migrate::apply(app).await?;
        }
        let mut schema = SchemaCheck::begin(app, self.newer_database).await?;
        let logs = crate::dashboard::LogWriter::start(app);
        crate::identity::start(app).await;
        let address = listener.local_addr()?;
        let readiness = Readiness::default();
        let service = service::build(Modules::installed(), app, readiness.clone())?;
        let demo = if instance.is_private() {
            for_operator(crate::identity::auth::ops::ensure_demo_account(app).await)?
        } else {
            None
        };
        let private_listener = PrivateListener::open(app, &readiness).await?;
        banner(&base_url(address, tls.is_some()), private_listener.address, instance.is_private(), demo);

        let jobs_stop = CancellationToken::new();
        let work = Modules::installed().work();
        let jobs = app.config.jobs.in_serve.then(|| tokio::spawn(worker::run(work, app.clone(), jobs_stop.clone())));
        readiness.set(true).await;
        notify.ready();
        let bounds = server::Bounds::new(&app.config.server);
        // The original lives as long as this function, so that the watchdog hears of the process while requests drain.
        let draining = notify.clone();
        let (fault, faults) = tokio::sync::oneshot::channel();
        let drained = server::serve(listener, tls, service, bounds, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                // Nobody waits for it once the server has stopped.
                error = schema.wait_for_fault() => drop(fault.send(error)),
            }
            readiness.set(false).await;
            draining.stopping();
            // Jobs drain together with the requests, so the shutdown takes the longer of the two, not their sum.
            jobs_stop.cancel();
            tracing::info!("shutting down: no new requests, waiting for those in flight");
        });
        let drained = drained.await;
        if let Some(jobs) = jobs {
            jobs.await.ok();
        }
        private_listener.close().await;
        tracing::info!(drained, "stopped");
        logs.close().await;
        if let Ok(fault) = faults.await {
            return Err(fault);
        }
        Ok(if drained { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Returns a token that the first SIGINT or SIGTERM cancels; a second signal ends the process at once.
pub(crate) fn stop_signal() -> anyhow::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_cancelled() {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the second signal asks for it; a private Postgres is stopped by its watcher"
                )]
                std::process::exit(130);
            }
            stop.cancel();
        }
    });
    Ok(token)
}

fn base_url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn banner(url: &str, private_address: SocketAddr, private: bool, demo: Option<(String, String)>) {
    let prior_knowledge = if url.starts_with("https") { "" } else { "--http2-prior-knowledge " };
    println!("\nMainstay serves gRPC and REST on {url}\n");
    println!("  docs      {url}/docs");
    println!("  openapi   {url}/openapi.json");
    println!("  health    http://{private_address}/health");
    println!("  metrics   http://{private_address}/metrics\n");
    if let Some((email, password)) = &demo {
        println!("Demo sign-in, an admin, shown this once:\n\n  e-mail    {email}\n  password  {password}\n");
    } else if private {
        println!("The demo sign-in was shown at the first start.\n");
    }
    // Only the private database has a demo account.
    let email = if private { "demo@example.com" } else { "you@example.com" };
    let (email, password) = demo.unwrap_or_else(|| (email.into(), "…".into()));
    println!("Try:\n");
    println!("  TOKEN=$(curl -s {url}/api/v1/auth/login -d '{{\"email\":\"{email}\",\"password\":\"{password}\"}}' \\");
    println!("    -H 'Content-Type: application/json' | sed 's/.*\"accessToken\":\"\\([^\"]*\\)\".*/\\1/')");
    println!("  curl -s {url}/api/v1/tickets -H \"Authorization: Bearer $TOKEN\"");
    println!("  buf curl --protocol grpc {prior_knowledge}-H \"Authorization: Bearer $TOKEN\" \\");
    println!("    {url}/mainstay.support.v1.TicketService/ListTickets -d '{{}}'\n");
}
