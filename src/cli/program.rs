//! The program around the command of a module.

use std::process::ExitCode;

use clap::ArgMatches;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use mainstay_kernel::{
    app::App,
    command::{Entry, Program},
    config::{Config, Source},
    module::Modules,
};

use crate::cli::{Instance, migrate};

/// Runs a command, and closes what it opened.
pub(crate) async fn run(
    command: &Entry,
    matches: ArgMatches,
    modules: &'static Modules,
    source: Source,
) -> anyhow::Result<ExitCode> {
    let mut program = LazyProgram { modules, source, instance: None };
    let result = command.run(matches, &mut program).await;
    if let Some(instance) = program.instance {
        instance.close().await;
    }
    result
}

/// Reads and opens only what the command asks for.
struct LazyProgram {
    modules: &'static Modules,
    source: Source,
    instance: Option<Instance>,
}

impl LazyProgram {
    async fn open_once(&mut self) -> anyhow::Result<App> {
        if let Some(instance) = &self.instance {
            return Ok(instance.app.clone());
        }
        let opened = Instance::open(self.modules, self.config()?).await?;
        let instance = self.instance.insert(opened);
        if instance.is_private() {
            migrate::apply(&instance.app).await?;
        } else {
            migrate::require(&instance.app).await?;
        }
        Ok(instance.app.clone())
    }
}

impl Program for LazyProgram {
    fn config(&self) -> anyhow::Result<Config> {
        super::read(self.modules, self.source.clone())
    }

    fn open(&mut self) -> LocalBoxFuture<'_, anyhow::Result<App>> {
        self.open_once().boxed_local()
    }
}
