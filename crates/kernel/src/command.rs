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

use std::{fmt, io::Write as _, process::ExitCode};

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use futures_util::{FutureExt as _, future::LocalBoxFuture};

use crate::{
    app::App,
    config::Config,
    error::{Reason, Result},
};

/// A command: its arguments, as `#[derive(clap::Parser)]` has them, and what it does.
pub trait Command: CommandFactory + FromArgMatches + 'static {
    /// The subcommand's name; no other module, nor the program itself, may have the same.
    const NAME: &'static str;

    /// Does it, and returns the exit status. It runs alone in its process, so it need not be `Send`.
    ///
    /// # Errors
    /// What prevented it, for an operator; the exit status is then 1.
    fn run(self, program: &mut dyn Program) -> impl Future<Output = anyhow::Result<ExitCode>>;
}

/// The program that runs a command. Nothing of it is read or started unless the command asks for it.
pub trait Program {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every value that is missing or invalid.
    fn config(&self) -> anyhow::Result<Config>;

    /// Opens the application, on a database that has the schema of this program; the private Postgres is started, and
    /// migrated, if no other is configured. It is closed after the command; a second call returns the same.
    ///
    /// # Errors
    /// A configuration that can't be used; a Postgres that does not answer; a schema that differs, with the cure.
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

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.name).finish()
    }
}

impl Entry {
    pub(crate) fn of<C: Command>() -> Self {
        Self { name: C::NAME, describe: || C::command().name(C::NAME), run: run::<C> }
    }

    /// Returns its description, for the command line of the program.
    pub fn describe(&self) -> clap::Command {
        (self.describe)()
    }

    /// Runs it with what clap read for its description.
    ///
    /// # Errors
    /// What prevented it.
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

/// Converts an application error into that of a command: for an operator, the cause of a server's error is the message,
/// not what callers are told.
///
/// # Errors
/// That of `result`, converted.
pub fn for_operator<T>(result: Result<T>) -> anyhow::Result<T> {
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

/// Prints to a reader that may stop early, as `head` does.
pub fn print(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).ok();
}
