//! The command line.

mod config_check;
mod dashboard;
mod envoy;
mod import;
mod jobs;
mod ledger;
mod mail;
mod migrate;
mod notify;
mod password;
mod private_listener;
mod scaffold;
mod seed;
mod serve;
mod worker;

use crate::mail::config::{MailConfig, MailTransport};
use crate::payments::config::PaymentsConfig;
use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use mainstay_kernel::{
    app::App,
    config::{Config, ConfigError, Source},
    error::Reason,
    http::openapi,
    module::Modules,
    telemetry,
};

/// A production back end with one contract behind gRPC and REST on one port.
///
/// Without any configuration, `mainstay serve` starts a private Postgres and an in-process stand-in for Redis, and
/// prints its URLs. Configuration comes from the environment and an optional file; `mainstay config check` lists every
/// variable.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// A TOML file with the same names as the environment variables, which take precedence.
    #[arg(long, global = true, env = "MAINSTAY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC, REST and the web pages, and run background jobs, until SIGINT or SIGTERM.
    Serve(serve::Serve),
    /// Run background jobs only, until SIGINT or SIGTERM.
    Worker(worker::Worker),
    /// Inspect and redrive dead jobs.
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// Migrate the database to the schema of this version.
    Migrate(migrate::Migrate),
    /// Fill the database with generated tickets.
    Seed(seed::Seed),
    /// Import a file through a running server.
    #[command(subcommand)]
    Import(import::Import),
    /// Print the OpenAPI 3.1 document.
    Openapi(OpenApi),
    /// Print the descriptor set (a binary FileDescriptorSet) for proxies and generic clients.
    Descriptors,
    /// Print the configuration of an Envoy proxy in front of the server.
    Envoy(envoy::Envoy),
    /// Inspect the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Inspect the ledger.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Maintain what the dashboard shows.
    #[command(subcommand)]
    Dashboard(dashboard::Dashboard),
    /// See what mail looks like, what was not sent, and to whom no mail is sent.
    #[command(subcommand)]
    Mail(mail::Mail),
    /// Manage the keys that sign access tokens.
    #[command(subcommand)]
    Keys(Keys),
    /// Manage users.
    #[command(subcommand)]
    Users(Users),
    New(scaffold::New),
    #[command(subcommand)]
    Add(scaffold::Add),
}

#[derive(Debug, Args)]
struct OpenApi {
    /// The server URL that the document declares.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// List every variable with its value and where that comes from, and check them all; secrets are not shown.
    Check,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Create a new signing key; tokens signed with the previous one stay valid.
    Rotate,
}

#[derive(Debug, Subcommand)]
enum Users {
    /// Create an admin; the password is read from MAINSTAY_PASSWORD, or from a file.
    CreateAdmin {
        /// The e-mail address to sign in with.
        email: String,
        /// The display name of the user.
        #[arg(long, default_value = "Admin")]
        name: String,
        #[command(flatten)]
        password: password::Password,
    },
}

impl Cli {
    /// Runs the command.
    pub fn run(self, modules: &'static Modules) -> ExitCode {
        let runtime = telemetry::lines::batch_writes(tokio::runtime::Builder::new_multi_thread().enable_all()).build();
        let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
            let telemetry = runtime.block_on(async { telemetry::start() })?;
            let result = runtime.block_on(self.dispatch(modules));
            telemetry.flush();
            // A blocking task that hangs must not delay the exit.
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            telemetry::lines::write_last();
            result
        });
        match result {
            Ok(code) => code,
            Err(error) => {
                eprintln!("mainstay: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    async fn dispatch(self, modules: &'static Modules) -> anyhow::Result<ExitCode> {
        let source = Source::read(self.config.as_deref(), &modules.variables());
        match self.command {
            Command::Openapi(command) => print(&format!("{:#}\n", openapi::document(command.server.as_deref()))),
            Command::Descriptors => {
                use std::io::Write as _;
                std::io::stdout().write_all(&modules.contract.encoded)?;
            }
            Command::Envoy(command) => print(&command.configuration(&read(modules, source)?)),
            Command::New(command) => command.run(modules)?,
            Command::Add(command) => command.run()?,
            Command::Import(command) => return command.run().await,
            Command::Config(ConfigCommand::Check) => return Ok(config_check::run(&modules.settings(source))),
            Command::Serve(command) => return command.run(modules, read_for_serving(modules, source)?).await,
            Command::Worker(command) => command.run(Instance::open(modules, read(modules, source)?).await?).await?,
            Command::Jobs(command) => command.run(Instance::open(modules, read(modules, source)?).await?).await?,
            Command::Seed(command) => command.run(Instance::open(modules, read(modules, source)?).await?).await?,
            Command::Migrate(command) => command.run(Instance::open(modules, read(modules, source)?).await?).await?,
            Command::Ledger(command) => {
                return command.run(Instance::open(modules, read(modules, source)?).await?).await;
            }
            Command::Dashboard(command) => {
                return command.run(Instance::open(modules, read(modules, source)?).await?).await;
            }
            Command::Mail(command) => command.run(modules, read(modules, source)?).await?,
            Command::Keys(Keys::Rotate) => {
                let instance = Instance::open(modules, read(modules, source)?).await?;
                migrate::require(&instance.app).await?;
                let id = for_operator(crate::identity::signing_key::ops::rotate(&instance.app).await)?;
                println!("New access tokens will be signed with {id} once every instance has published it.");
                instance.close().await;
            }
            Command::Users(Users::CreateAdmin { email, name, password }) => {
                let password = password.read()?;
                let instance = Instance::open(modules, read(modules, source)?).await?;
                migrate::require(&instance.app).await?;
                let created = crate::identity::user::ops::create_admin(&instance.app, &email, &name, password).await;
                println!("{} may sign in as {email}.", for_operator(created)?);
                instance.close().await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Converts an application error into a command-line error: for an operator, the cause of a server's error is the
/// message, not what callers are told.
fn for_operator<T>(result: mainstay_kernel::error::Result<T>) -> anyhow::Result<T> {
    result.map_err(|error| {
        let fields: Vec<_> = error.fields().iter().map(|(field, message)| format!("{field} {message}")).collect();
        let what = match error.source() {
            Some(_) if error.reason() == Reason::InternalError => "",
            Some(_) if error.reason() == Reason::Unavailable => "Postgres, Redis or a provider does not answer",
            _ => error.message(),
        };
        let cause = error.source().map(|source| format!("{source:#}"));
        let parts = [Some(what.to_owned()), Some(fields.join(", ")), cause];
        let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        anyhow::anyhow!("{}", parts.join(": "))
    })
}

fn read(modules: &Modules, source: Source) -> anyhow::Result<Config> {
    modules.config(source).map_err(unusable)
}

/// Reads the configuration and the files that it names, so that whoever starts the server learns all that is wrong at once.
fn read_for_serving(modules: &Modules, source: Source) -> anyhow::Result<Config> {
    let settings = modules.settings(source);
    let errors = config_check::errors(&settings);
    if errors.is_empty() { settings.usable().map_err(unusable) } else { Err(unusable(errors)) }
}

fn unusable(errors: Vec<ConfigError>) -> anyhow::Error {
    let errors: Vec<_> = errors.iter().map(|error| format!("\n  {error}")).collect();
    anyhow::anyhow!("the configuration is not usable:{}", errors.concat())
}

/// Prints to a reader that may stop early, as `head` does.
fn print(text: &str) {
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes()).ok();
}

/// Warns of what only pretends to do its work, beside a database that is not a private one.
fn warn_of_substitutes(config: &Config) {
    if matches!(config.section::<PaymentsConfig>().gateway, crate::payments::config::Gateway::Sandbox) {
        tracing::warn!("PAYMENT_GATEWAY=sandbox: payments succeed and no money moves");
    }
    match config.section::<MailConfig>().transport {
        MailTransport::Outbox => tracing::warn!("MAIL_TRANSPORT=outbox: mail is written to files and reaches nobody"),
        MailTransport::Log => tracing::warn!("MAIL_TRANSPORT=log: mail is logged and reaches nobody"),
        _ => {}
    }
}

/// The application, with its private Postgres if there is one.
pub struct Instance {
    pub app: App,
    postgres: Option<mainstay_dev_servers::Postgres>,
}

impl Instance {
    /// Opens the application, starting the private Postgres if no other is configured.
    ///
    /// # Errors
    /// Postgres fails to start, or the configuration can't be used.
    pub async fn open(modules: &'static Modules, mut config: Config) -> anyhow::Result<Self> {
        let mut postgres = None;
        let directory = config.database.data_dir.join("postgres");
        if config.database.url.is_none() {
            let options = mainstay_dev_servers::Options::persistent(&directory);
            let private = mainstay_dev_servers::Postgres::start(options).await?;
            config.database.url = Some(private.url().to_owned().into());
            postgres = Some(private);
        } else {
            warn_of_substitutes(&config);
        }
        let app = modules.open(config).await?;
        if postgres.is_some() {
            telemetry::disk::watch("postgres", directory);
        }
        Ok(Self { app, postgres })
    }

    /// Whether the Postgres is the private one.
    pub fn is_private(&self) -> bool {
        self.postgres.is_some()
    }

    /// Closes the application; the private Postgres stops last.
    pub async fn close(self) {
        drop(self.app);
        if let Some(postgres) = self.postgres {
            postgres.stop().await;
        }
    }
}
