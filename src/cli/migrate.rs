//! `mainstay migrate`.

use anyhow::Context as _;
use clap::Args;

use crate::cli::Instance;
use mainstay_kernel::{app::App, module::Modules};

/// Migrate the database to the schema of this version.
#[derive(Debug, Args)]
pub(crate) struct Migrate {}

impl Migrate {
    pub(crate) async fn run(self, instance: Instance) -> anyhow::Result<()> {
        let applied = apply(&instance.app).await?;
        for migration in &applied {
            println!("applied {migration}");
        }
        if applied.is_empty() {
            println!("no pending migrations");
        }
        instance.close().await;
        Ok(())
    }
}

/// Applies the pending migrations and returns their names.
pub(crate) async fn apply(app: &App) -> anyhow::Result<Vec<String>> {
    let connection = app.database.dedicated().await?;
    mainstay_kernel::database::migrations::run(connection, app.part::<&Modules>().migrations()).await
}

/// Checks that Postgres answers and that no migration is pending, for a command that needs both.
pub(crate) async fn require(app: &App) -> anyhow::Result<()> {
    app.database.dedicated().await.context("Postgres (DATABASE_URL) does not answer")?;
    check(app).await
}

/// Checks that no migration is pending, if Postgres answers: a server also starts while Postgres is unavailable.
///
/// # Errors
/// The names of the pending migrations, and the cure.
pub(crate) async fn check(app: &App) -> anyhow::Result<()> {
    let Ok(mut connection) = app.database.dedicated().await else { return Ok(()) };
    let pending = mainstay_kernel::database::migrations::pending(
        &mut connection,
        app.part::<&mainstay_kernel::module::Modules>().migrations(),
    )
    .await?;
    if pending.is_empty() {
        return Ok(());
    }
    anyhow::bail!(
        "the database lacks {}: run this program's `migrate` before, or start it with --migrate",
        pending.join(", ")
    )
}
