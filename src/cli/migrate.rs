//! `mainstay migrate`, and the check that the database's schema fits this program.

use std::time::Duration;

use clap::Args;

use crate::cli::Instance;
use mainstay_kernel::{
    app::App,
    command::{for_operator, print},
    database::{ConnectFailure, migrations},
    module::Modules,
    partitions,
};

/// Migrate the database to the schema of this version.
#[derive(Debug, Args)]
pub(crate) struct Migrate {}

impl Migrate {
    pub(crate) async fn run(self, instance: Instance) -> anyhow::Result<()> {
        let applied = apply(&instance.app).await?;
        for migration in &applied {
            print(&format!("Applied {migration}.\n"))?;
        }
        if applied.is_empty() {
            print("No pending migrations.\n")?;
        }
        instance.close().await;
        Ok(())
    }
}

/// Applies the pending migrations, adds the partitions of the coming months, and returns the names of the migrations.
pub(crate) async fn apply(app: &App) -> anyhow::Result<Vec<String>> {
    let connection = app.database.dedicated().await?;
    let modules = Modules::of(app);
    let applied = migrations::run(connection, modules.migrations()).await?;
    for_operator(partitions::prepare(app, modules.partitioned()).await)?;
    Ok(applied)
}

/// Whether a program may work on a database that a later one has migrated, as after going back to the program before.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct NewerDatabase {
    /// Start although a later version of this program has migrated the database, to go back to this version.
    #[arg(long = "allow-newer-database", env = "MAINSTAY_ALLOW_NEWER_DATABASE", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    allowed: bool,
}

/// Checks that Postgres answers and has the schema of this program, for a command that needs both.
pub(crate) async fn require(app: &App) -> anyhow::Result<()> {
    check(app, None).await?
}

/// The interval between two checks of the schema while Postgres is unavailable.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The schema check of a program that also starts while Postgres is unavailable: the check is repeated in the
/// background until Postgres answers.
#[derive(Debug)]
pub(crate) struct SchemaCheck(Option<tokio::task::JoinHandle<anyhow::Error>>);

impl SchemaCheck {
    /// Checks once.
    ///
    /// # Errors
    /// The difference between the database and this program, with both versions and the remedy; or an error of Postgres
    /// that persists until an operator changes a setting.
    pub(crate) async fn begin(app: &App, newer_database: NewerDatabase) -> anyhow::Result<Self> {
        let failure = match check(app, Some(newer_database)).await {
            Ok(Ok(())) => return Ok(Self(None)),
            Ok(Err(difference)) => return Err(difference),
            Err(failure) if failure.is_lasting() => return Err(failure.into()),
            Err(failure) => failure,
        };
        tracing::warn!(error = %failure, "starting without Postgres");
        let app = app.clone();
        Ok(Self(Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(RETRY_INTERVAL).await;
                match check(&app, Some(newer_database)).await {
                    Ok(Ok(())) => std::future::pending().await,
                    Ok(Err(difference)) => return difference,
                    Err(failure) if failure.is_lasting() => return failure.into(),
                    Err(_) => {}
                }
            }
        }))))
    }

    /// Waits until Postgres answers with a fault that [`Self::begin`] could not detect; never returns if there is none.
    pub(crate) async fn wait_for_fault(&mut self) -> anyhow::Error {
        match &mut self.0 {
            Some(task) => task.await.unwrap_or_else(anyhow::Error::from),
            None => std::future::pending().await,
        }
    }
}

impl Drop for SchemaCheck {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Compares the schema of the database with this program's. `newer_database` is `None` for a command without that
/// option.
async fn check(app: &App, newer_database: Option<NewerDatabase>) -> Result<anyhow::Result<()>, ConnectFailure> {
    let allowed = newer_database.is_some_and(|newer_database| newer_database.allowed);
    let [migrate, go_back] = match newer_database {
        Some(_) => [
            "run this program's `migrate` before, or start it with --migrate",
            "start the program that migrated it, or this one with --allow-newer-database",
        ],
        None => ["run this program's `migrate` before", "use the program that migrated it"],
    };
    let mut connection = app.database.dedicated().await?;
    let differences = migrations::differences(&mut connection, Modules::of(app).migrations()).await;
    Ok(differences.and_then(|differences| {
        let differences = differences.into_iter().filter(|difference| difference.is_behind() || !allowed);
        let (behind, ahead): (Vec<_>, Vec<_>) = differences.partition(migrations::Difference::is_behind);
        let cures = [(behind, migrate), (ahead, go_back)];
        let faults = cures.iter().filter(|(differences, _)| !differences.is_empty());
        let faults = faults.map(|(differences, cure)| {
            let differences: Vec<_> = differences.iter().map(ToString::to_string).collect();
            format!("{}; {cure}", differences.join("; "))
        });
        let faults: Vec<_> = faults.collect();
        anyhow::ensure!(faults.is_empty(), "the database {} does not fit: {}", app.database.name(), faults.join("; "));
        Ok(())
    }))
}
