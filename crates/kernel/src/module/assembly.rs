//! All modules of a program, checked against each other.

mod check;

use std::{fmt, sync::Arc};

use tonic::service::Routes;

use super::{About, Module, OpenAuthenticator, Process, Purpose, registrations::Registrations};
use crate::{
    alert,
    app::App,
    caller::Authenticator,
    command,
    config::{Config, ConfigError, PRODUCTION, Requirement, Settings, Source, Variable},
    contract::Contract,
    contribution::Contributions,
    database::migrations::{self, Set},
    effects,
    events::{HandleEvent, Listeners},
    http::{
        health::Dependency,
        openapi::{self, examples::ExampleTable},
        pages::finish::finished,
    },
    on_call,
    partitions::PartitionedTable,
    personal::PersonalTables,
    queue::{Kind, worker::Work},
    retention::Retentions,
    sweep,
    telemetry::{
        self,
        metrics::{KERNEL_METRICS, Metric},
    },
};

/// A fault in the list of modules, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The modules of a program. A process may have several lists.
pub struct Modules {
    names: Vec<&'static str>,
    /// The program as its users see it.
    pub about: About,
    /// The merged contract.
    pub contract: &'static Contract,
    migrations: Vec<Set>,
    authenticator: OpenAuthenticator,
    partitioned: Arc<[PartitionedTable]>,
    personal: PersonalTables,
    retentions: Retentions,
    registered: Registrations,
}

debug_fields!(Modules: names);

impl Modules {
    /// Checks the modules of a program, which has `commands` itself. They live until the process ends.
    ///
    /// # Errors
    /// Every fault: modules of one name or without one that they need, methods without policy or HTTP rule, colliding routes and pages, undeclared scopes,
    /// reasons or events that exist twice, handlers of undeclared events, services without implementation, jobs, tasks and
    /// commands that exist twice, kinds with the name of another module, tables that are partitioned twice, forgotten migrations, no authenticator or more than one.
    pub fn new(
        about: About,
        product: Option<Set>,
        commands: &[String],
        modules: Vec<Module>,
    ) -> Result<&'static Self, Vec<Fault>> {
        Ok(Box::leak(Box::new(Self::assemble(about, product, commands, modules)?)))
    }

    /// Returns the modules of an application.
    pub fn of(app: &App) -> &'static Self {
        app.part::<&'static Self>()
    }

    /// Returns whether a module of this name is present.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    fn assemble(
        about: About,
        product: Option<Set>,
        commands: &[String],
        modules: Vec<Module>,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = check::modules(&modules, commands);
        let descriptors: Vec<_> = modules.iter().map(|module| (module.name, module.descriptors)).collect();
        let contract = match Contract::read(&descriptors) {
            Ok(contract) => {
                faults.extend(check::against_contract(&modules, contract));
                Some(contract)
            }
            Err(contract_faults) => {
                faults.extend(contract_faults.into_iter().map(Fault));
                None
            }
        };
        let authenticator = modules.iter().find_map(|module| module.authenticator);
        let (Some(contract), Some(authenticator), true) = (contract, authenticator, faults.is_empty()) else {
            return Err(faults);
        };
        let partitioned: Arc<[_]> = modules.iter().flat_map(|module| &module.partitioned).copied().collect();
        let personal = modules.iter().flat_map(|module| &module.personal).copied();
        let retentions = Retentions::new(modules.iter().flat_map(|module| &module.retentions).copied());
        let mut registered = Registrations {
            requirements: [PRODUCTION, telemetry::PRODUCTION].concat(),
            jobs: vec![Kind::of::<HandleEvent>()],
            tasks: sweep::tasks(partitioned.clone()),
            metrics: KERNEL_METRICS.to_vec(),
            alerts: vec![("jobs", "loop_panicked"), effects::ALERT, (on_call::PROVIDER, "auth")],
            ..Registrations::default()
        };
        let personal = PersonalTables::new(personal);
        let names = modules.iter().map(|module| module.name).collect();
        let mut migrations: Vec<_> = [migrations::kernel()].into_iter().chain(product).collect();
        for module in modules {
            migrations.extend(module.migrations.map(|migrations| Set { schema: module.name, migrations }));
            registered.extend(module.registered);
        }
        Ok(Self { names, about, contract, migrations, authenticator, partitioned, personal, retentions, registered })
    }

    /// Opens the application: the kernel's dependencies with what the modules registered for them, then the parts of each
    /// module in the order of registration. Postgres and Redis may be unavailable; an invalid setting is an error.
    ///
    /// # Errors
    /// Unusable settings, and a secret that cannot be read or generated.
    pub async fn open(&'static self, config: Config) -> anyhow::Result<App> {
        self.register_metrics();
        let (handlers, subscribers) = (self.registered.handlers.clone(), self.registered.subscribers.clone());
        let listeners = Arc::new(Listeners { policies: &self.contract.policies, handlers, subscribers });
        let mut app = App::open(config, self.contract, listeners).await?.with_part(self);
        for open in &self.registered.parts {
            app = open(app).await?;
        }
        Ok(app)
    }

    /// Starts the background tasks of the modules. The database must have the schema of this program, unless Postgres does not
    /// answer yet.
    ///
    /// # Errors
    /// The error of the first module that fails to start a task; the tasks that were started before are closed.
    pub async fn start(&self, app: &App, purpose: Purpose) -> anyhow::Result<Process> {
        let mut process = Process::new(app.clone(), purpose);
        for &(module, start) in self.registered.first_starts.iter().chain(&self.registered.starts) {
            if let Err(error) = process.start(module, start).await {
                process.close().await;
                return Err(error);
            }
        }
        Ok(process)
    }

    /// Describes the metrics to the recorder, and makes their series exist. Called before anything is recorded.
    fn register_metrics(&self) {
        telemetry::metrics();
        self.registered.metrics.iter().for_each(Metric::register);
        let touch = |label, value| self.registered.metrics.iter().for_each(|metric| metric.touch(label, value));
        self.contract.policies.iter().for_each(|method| touch("method", &method.name));
        self.registered.jobs.iter().for_each(|kind| touch("kind", kind.name));
        self.registered.rows.iter().for_each(|rows| touch("kind", rows.name));
        self.registered.effects.iter().for_each(|name| touch("effect", name));
        self.registered.tasks.iter().for_each(|task| touch("task", task.name));
        self.registered.alerts.iter().for_each(|(provider, cause)| alert::register(provider, cause));
    }

    /// Returns the OpenAPI 3.1 document. Without a server URL, paths are relative to the document's own URL.
    pub fn openapi(&self, server_url: Option<&str>) -> serde_json::Value {
        openapi::document(self.contract, &self.about, ExampleTable(self.registered.examples.clone()), server_url)
    }

    /// Returns all metrics, those of the kernel first.
    pub fn metrics(&self) -> &[Metric] {
        &self.registered.metrics
    }

    /// Reads the configuration: the kernel's sections and those of the modules.
    ///
    /// # Errors
    /// Every value that is missing or invalid.
    pub fn config(&self, source: Source) -> Result<Config, Vec<ConfigError>> {
        self.settings(source).usable()
    }

    /// Reads the configuration as it is, for listing it.
    pub fn settings(&self, source: Source) -> Settings {
        Config::read(source, &self.registered.sections, self.retentions.all())
    }

    /// Returns every variable of the configuration, in the order of registration.
    pub fn variables(&self) -> Vec<Variable> {
        Config::variables(&self.registered.sections, self.retentions.all())
    }

    /// Returns the warnings for an operator with this configuration, beside a database that is not the private one.
    pub fn warnings(&self, config: &Config) -> impl Iterator<Item = &'static str> {
        self.registered.warnings.iter().filter_map(|warn| warn(config))
    }

    /// Returns the errors that modules find in a configuration beyond its values.
    pub fn config_errors(&self, config: &Config) -> Vec<ConfigError> {
        self.registered.checks.iter().flat_map(|check| check(&self.registered.contributions, config)).collect()
    }

    /// Returns what a configuration needs in production: the kernel's requirements, then those of the modules.
    pub fn requirements(&self) -> &[Requirement] {
        &self.registered.requirements
    }

    /// Returns the contributions of modules to other modules.
    pub fn contributions(&self) -> &Contributions {
        &self.registered.contributions
    }

    /// Returns the work of a worker.
    pub fn work(&'static self) -> Work {
        Work {
            jobs: &self.registered.jobs,
            rows: &self.registered.rows,
            tasks: &self.registered.tasks,
            partitioned: &self.partitioned,
            measures: &self.registered.measures,
        }
    }

    /// Returns the tables that are partitioned by month.
    pub fn partitioned(&self) -> &[PartitionedTable] {
        &self.partitioned
    }

    /// Returns the declarations of personal data.
    pub fn personal(&self) -> &PersonalTables {
        &self.personal
    }

    /// Returns the declarations of retentions.
    pub fn retentions(&self) -> &Retentions {
        &self.retentions
    }

    /// Returns the dependencies beside Postgres and Redis.
    pub fn dependencies(&'static self) -> &'static [Dependency] {
        &self.registered.dependencies
    }

    /// Returns the migrations, in the order in which they run.
    pub fn migrations(&self) -> &[Set] {
        &self.migrations
    }

    /// Returns the commands that the modules add to the program.
    pub fn commands(&self) -> &[command::Entry] {
        &self.registered.commands
    }

    pub(crate) fn open_authenticator(&self, app: &App) -> Arc<dyn Authenticator> {
        (self.authenticator)(app)
    }

    pub(crate) fn routes(&self, app: &App) -> Routes {
        self.registered.services.iter().fold(Routes::default(), |routes, add| add(app, routes))
    }

    pub(crate) fn pages(&self, app: &App) -> axum::Router {
        let pages = self.registered.pages.iter().cloned().map(|(path, page)| (path, finished(path, page)));
        pages.fold(axum::Router::new(), |router, (path, page)| router.route(path, page)).with_state(app.clone())
    }
}

#[cfg(test)]
mod tests;
