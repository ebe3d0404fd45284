//! Commands that modules add to the program, beside its own, such as `serve` and `migrate`.
//!
//! A command is a type that clap reads from the command line; [`Module::command`](crate::module::Module::command)
//! registers it:
//!
//! ```ignore
//! /// Look after leases.
//! #[derive(Debug, clap::Parser)]
//! pub(crate) enum Leases {
//!     /// End the leases whose time is over.
//!     Expire,
//! }
//!
//! impl Command for Leases {
//!     const NAME: &'static str = "leases";
//!
//!     async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
//!         let app = program.open().await?;
//!         …
//!     }
//! }
//! ```

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use futures_util::{FutureExt as _, future::LocalBoxFuture};

use crate::{
    app::App,
    config::Config,
    contribution::Contributions,
    error::{Reason, Result},
};

/// A subcommand: its arguments, from `#[derive(clap::Parser)]`, and its action.
pub trait Command: CommandFactory + FromArgMatches + 'static {
    /// The subcommand's name. It must differ from those of all modules and of the program itself.
    const NAME: &'static str;

    /// Runs the command and returns the exit status. The command is alone in its process, so its future need not be
    /// `Send`.
    ///
    /// # Errors
    /// The cause of the failure, for an operator. The exit status is then 1.
    fn run(self, program: &mut dyn Program) -> impl Future<Output = anyhow::Result<ExitCode>>;
}

/// The program that runs a command. It loads the configuration and opens the application on demand only.
pub trait Program {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every value that is missing or invalid.
    fn config(&self) -> anyhow::Result<Config>;

    /// Returns the contributions of the program's modules to each other.
    fn contributions(&self) -> &'static Contributions;

    /// Opens the application on a database that has the schema of this program. Without a configured database, it
    /// starts and migrates the private Postgres. The application is closed after the command. A second call returns the
    /// same application.
    ///
    /// # Errors
    /// An invalid configuration; a Postgres that does not answer; a schema mismatch, with its remedy.
    fn open(&mut self) -> LocalBoxFuture<'_, anyhow::Result<App>>;
}

/// A type-erased [`Command`].
#[derive(Clone, Copy)]
pub struct Entry {
    /// The subcommand's name.
    pub name: &'static str,
    describe: fn() -> clap::Command,
    run: fn(ArgMatches, &mut dyn Program) -> LocalBoxFuture<'_, anyhow::Result<ExitCode>>,
}

debug_fields!(Entry: name);

impl Entry {
    pub(crate) fn of<C: Command>() -> Self {
        Self { name: C::NAME, describe: || C::command().name(C::NAME), run: run::<C> }
    }

    /// Returns the clap definition, for the command line of the program.
    pub fn describe(&self) -> clap::Command {
        (self.describe)()
    }

    /// Runs the command with the matches that clap parsed by its definition.
    pub async fn run(&self, matches: ArgMatches, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        (self.run)(matches, program).await
    }
}

fn run<C: Command>(matches: ArgMatches, program: &mut dyn Program) -> LocalBoxFuture<'_, anyhow::Result<ExitCode>> {
    async move {
        let command = C::from_arg_matches(&matches)?;
        command.run(program).await
    }
    .boxed_local()
}

/// Converts an application error into a command error. An operator sees the cause of a server error instead of the
/// message for API callers.
///
/// # Errors
/// The converted error of `result`.
pub fn for_operator<T>(result: Result<T>) -> anyhow::Result<T> {
    result.map_err(|error| {
        let fields: Vec<_> = error.fields().iter().map(|(field, message)| format!("{field} {message}")).collect();
        let what = match error.source() {
            Some(_) if error.reason() == Reason::InternalError => "",
            Some(_) if error.reason() == Reason::Unavailable => "Postgres, Redis or a provider does not answer",
            _ => error.message(),
        };
        // The sentence is continued by the fields.
        let what = if fields.is_empty() { what } else { what.trim_end_matches('.') };
        let cause = error.source().map(|source| format!("{source:#}"));
        let parts = [Some(what.to_owned()), Some(fields.join(", ")), cause];
        let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        anyhow::anyhow!("{}", parts.join(": "))
    })
}

/// Prints to stdout. A closed pipe, such as that of `head`, is not an error.
///
/// # Errors
/// Any other error of stdout, such as that of a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
