//! The command line: the program's commands, and the commands that modules add.

pub(crate) mod access;
mod config_check;
mod envoy;
mod migrate;
mod notify;
mod private_listener;
mod program;
mod scaffold;
mod serve;
mod worker;

use std::{path::PathBuf, process::ExitCode};

use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use mainstay_kernel::{
    app::App,
    command::print,
    config::{Config, ConfigError, Settings, Source},
    fault,
    module::{About, Modules},
    telemetry,
};

/// A production back end with one contract behind gRPC and REST on one port.
///
/// Without any configuration, `mainstay serve` starts a private Postgres and an in-process stand-in for Redis, and
/// prints its URLs. Configuration comes from the environment and an optional file; `mainstay config check` lists every
/// variable.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
struct Options {
    /// A TOML file with the same names as the environment variables, which take precedence.
    #[arg(long, global = true, env = "MAINSTAY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC, REST and the web pages, and run background jobs, until SIGINT or SIGTERM.
    Serve(serve::Serve),
    /// Run background jobs only, until SIGINT or SIGTERM.
    Worker(worker::Worker),
    /// Migrate the database to the schema of this version.
    Migrate(migrate::Migrate),
    /// Print the OpenAPI 3.1 document.
    Openapi(OpenApi),
    /// Print the descriptor set (a binary FileDescriptorSet) for proxies and generic clients.
    Descriptors,
    Access(access::Access),
    /// Print the configuration of an Envoy proxy in front of the server.
    Envoy(envoy::Envoy),
    /// Inspect the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
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
    /// List every variable with its value and source, and report all invalid settings. Secrets are not shown.
    Check(config_check::Check),
}

/// Returns the clap definition of the program, without the commands of modules.
fn own() -> clap::Command {
    Command::augment_subcommands(Options::command())
}

/// Returns the names of the program's commands, which commands of modules can't have.
pub(crate) fn command_names() -> Vec<String> {
    let own = own();
    let names = own.get_subcommands().map(|command| command.get_name().to_owned());
    // clap adds this command when it parses a command line.
    names.chain(["help".to_owned()]).collect()
}

/// Returns the clap definition of the program, with the commands of modules.
pub(crate) fn command_line(modules: &Modules) -> clap::Command {
    let About { program, version, .. } = modules.about;
    let own = own().name(program).bin_name(program).version(version);
    modules.commands().iter().fold(own, |all, command| all.subcommand(command.describe()))
}

/// Reads the command line, and runs the command.
pub(crate) fn run(modules: &'static Modules) -> ExitCode {
    let matches = command_line(modules).get_matches();
    let result = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let (telemetry, errors) = runtime.block_on(async { telemetry::start() });
        let result = runtime.block_on(dispatch(modules, matches, errors));
        telemetry.flush();
        // A blocking task that hangs must not delay the exit.
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        result
    });
    let code = result.unwrap_or_else(|error| {
        telemetry::lines::print(&format!("{}: {error:#}\n", modules.about.program));
        ExitCode::FAILURE
    });
    telemetry::lines::write_last();
    code
}

/// Runs a command. If it reads the configuration, faults of the telemetry settings are reported together with the
/// others.
async fn dispatch(
    modules: &'static Modules,
    mut matches: ArgMatches,
    of_telemetry: Vec<ConfigError>,
) -> anyhow::Result<ExitCode> {
    let Options { config } = Options::from_arg_matches_mut(&mut matches)?;
    let source = Source::read(config.as_deref(), &modules.variables()).with_errors(of_telemetry);
    let name = matches.subcommand_name().unwrap_or_default();
    if let Some(command) = modules.commands().iter().find(|command| command.name == name) {
        let (_, matches) = matches.remove_subcommand().unwrap_or_default();
        return program::run(command, matches, modules, source).await;
    }
    match Command::from_arg_matches_mut(&mut matches)? {
        Command::Openapi(command) => print(&format!("{:#}\n", modules.openapi(command.server.as_deref())))?,
        Command::Descriptors => {
            use std::io::Write as _;
            std::io::stdout().write_all(&modules.contract.encoded)?;
        }
        Command::Access(command) => command.run(modules)?,
        Command::Envoy(command) => command.run(modules, &read(modules, source)?)?,
        Command::New(command) => command.run(modules)?,
        Command::Add(command) => command.run(modules)?,
        Command::Config(ConfigCommand::Check(check)) => return check.run(modules, &modules.settings(source)),
        Command::Serve(command) => {
            let config = read_and_check(modules, source, config_check::errors_of_server)?;
            return command.run(modules, config).await;
        }
        Command::Worker(command) => {
            let config = read_and_check(modules, source, config_check::errors_of_worker)?;
            command.run(Instance::open(modules, config).await?).await?;
        }
        Command::Migrate(command) => command.run(Instance::open(modules, read(modules, source)?).await?).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read(modules: &Modules, source: Source) -> anyhow::Result<Config> {
    modules.config(source).map_err(unusable)
}

/// Reads the configuration and the files that it names, so that all faults are reported together.
fn read_and_check(
    modules: &Modules,
    source: Source,
    errors: fn(&Modules, &Settings) -> Vec<ConfigError>,
) -> anyhow::Result<Config> {
    let settings = modules.settings(source);
    let errors = errors(modules, &settings);
    if errors.is_empty() { settings.usable().map_err(unusable) } else { Err(unusable(errors)) }
}

fn unusable(errors: Vec<ConfigError>) -> anyhow::Error {
    let errors: Vec<_> = errors.iter().map(|error| format!("\n  {error}")).collect();
    anyhow::anyhow!("the configuration is not usable:{}", errors.concat())
}

/// The application, with its private Postgres if there is one.
pub struct Instance {
    pub app: App,
    postgres: Option<mainstay_dev_servers::Postgres>,
}

impl Instance {
    /// Opens the application, and starts the private Postgres if no other one is configured.
    ///
    /// # Errors
    /// An error if Postgres fails to start, or the configuration is unusable.
    pub async fn open(modules: &'static Modules, mut config: Config) -> anyhow::Result<Self> {
        let mut postgres = None;
        let directory = config.database.data_dir.join("postgres");
        if config.database.url.is_none() {
            let options = mainstay_dev_servers::Options::persistent(&directory);
            let private = mainstay_dev_servers::Postgres::start(options).await?;
            config.database.url = Some(private.url().to_owned().into());
            postgres = Some(private);
        } else {
            modules.warnings(&config).for_each(|warning| tracing::warn!("{warning}"));
        }
        let app = modules.open(config).await?;
        if postgres.is_some() {
            telemetry::disk::watch("postgres", directory);
        }
        Ok(Self { app, postgres })
    }

    /// Returns whether the Postgres is the private one.
    pub fn is_private(&self) -> bool {
        self.postgres.is_some()
    }

    /// Closes the application; the private Postgres stops last.
    pub async fn close(self) {
        fault::point("close").ok();
        let Self { app, postgres } = self;
        if let Some(postgres) = postgres {
            app.database.expect_loss();
            drop(app);
            postgres.stop().await;
        }
    }
}
