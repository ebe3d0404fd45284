//! `mainstay migrate`.

use clap::Args;

use super::Instance;
use crate::app::App;

/// Migrate the database, including the tables of the job queue, to the schema of this version.
#[derive(Debug, Args)]
pub(super) struct Migrate {}

impl Migrate {
    pub(super) async fn run(self, instance: Instance) -> anyhow::Result<()> {
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
pub(super) async fn apply(app: &App) -> anyhow::Result<Vec<String>> {
    let applied = crate::store::migrations::run(app.database.dedicated().await?).await?;
    crate::worker::migrate(app).await?;
    Ok(applied)
}
