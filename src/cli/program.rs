//! The program that runs the command of a module.

use std::{cell::OnceCell, process::ExitCode};

use clap::ArgMatches;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use mainstay_kernel::{
    app::App,
    command::{Entry, Program},
    config::{Config, Source},
    contribution::Contributions,
    module::Modules,
};

use crate::cli::{Instance, migrate};

/// Runs a command, and closes the resources that it opened.
pub(crate) async fn run(
    command: &Entry,
    matches: ArgMatches,
    modules: &'static Modules,
    source: Source,
) -> anyhow::Result<ExitCode> {
    let mut program = LazyProgram { modules, source, config: OnceCell::new(), instance: None };
    let result = command.run(matches, &mut program).await;
    if let Some(instance) = program.instance {
        instance.close().await;
    }
    result
}

/// Reads and opens resources on first use.
struct LazyProgram {
    modules: &'static Modules,
    source: Source,
    /// Read once, because the file of a secret may be a pipe.
    config: OnceCell<Config>,
    instance: Option<Instance>,
}

impl LazyProgram {
    async fn open_once(&mut self) -> anyhow::Result<App> {
        if let Some(instance) = &self.instance {
            return Ok(instance.app.clone());
        }
        let instance = Instance::open(self.modules, self.config()?).await?;
        // After a failed check, a second call must not return the instance.
        if let Err(fault) = prepare(&instance).await {
            instance.close().await;
            return Err(fault);
        }
        Ok(self.instance.insert(instance).app.clone())
    }
}

/// Migrates the private Postgres to the schema of this program, and checks that the database has that schema. A later
/// version may have migrated either kind of database.
async fn prepare(instance: &Instance) -> anyhow::Result<()> {
    if instance.is_private() {
        migrate::apply(&instance.app).await?;
    }
    migrate::require(&instance.app).await
}

impl Program for LazyProgram {
    fn config(&self) -> anyhow::Result<Config> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let config = super::read(self.modules, self.source.clone())?;
        Ok(self.config.get_or_init(|| config).clone())
    }

    fn contributions(&self) -> &'static Contributions {
        self.modules.contributions()
    }

    fn open(&mut self) -> LocalBoxFuture<'_, anyhow::Result<App>> {
        self.open_once().boxed_local()
    }
}
