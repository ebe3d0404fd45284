//! `mainstay migrate`.

use clap::Args;

use crate::cli::Instance;
use mainstay_kernel::app::App;

/// Migrate the database, including the tables of the job queue, to the schema of this version.
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
    let applied =
        mainstay_kernel::database::migrations::run(app.database.dedicated().await?, app.modules.migrations()).await?;
    mainstay_kernel::queue::worker::migrate(app).await?;
    Ok(applied)
}
