//! All modules of a program, checked against each other.

mod check;

use std::{any::Any, fmt, sync::Arc};

use tonic::service::Routes;

use super::{About, AddService, Check, Module, OpenAuthenticator, OpenPart, Page, Process, Purpose, Start, Warn};
use crate::{
    alert,
    app::App,
    caller::Authenticator,
    command,
    config::{Config, ConfigError, PRODUCTION, Requirement, SectionReader, Settings, Source, Variable},
    contract::Contract,
    database::migrations::{self, Set},
    events::{HandleEvent, HandlerEntry, Listeners, Subscriber},
    http::{
        health::Dependency,
        openapi::{self, examples::ExampleTable},
        pages::finish::finished,
    },
    on_call,
    partitions::PartitionedTable,
    personal::PersonalTables,
    queue::{
        Kind,
        rows::Rows,
        worker::{Measure, Work},
    },
    schedule::Task,
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
    sections: Vec<SectionReader>,
    warnings: Vec<Warn>,
    checks: Vec<Check>,
    requirements: Vec<Requirement>,
    parts: Vec<OpenPart>,
    /// Each with the name of its module.
    first_starts: Vec<(&'static str, Start)>,
    starts: Vec<(&'static str, Start)>,
    authenticator: OpenAuthenticator,
    services: Vec<AddService>,
    pages: Vec<Page>,
    commands: Vec<command::Entry>,
    jobs: Vec<Kind>,
    rows: Vec<Rows>,
    tasks: Vec<Task>,
    partitioned: Arc<[PartitionedTable]>,
    personal: PersonalTables,
    measures: Vec<Measure>,
    handlers: Vec<HandlerEntry>,
    subscribers: Vec<Subscriber>,
    dependencies: Vec<Dependency>,
    examples: ExampleTable,
    contributions: Vec<Box<dyn Any + Send + Sync>>,
    metrics: Vec<Metric>,
    alerts: Vec<(&'static str, &'static str)>,
}

impl fmt::Debug for Modules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Modules").field(&self.names).finish()
    }
}

impl Modules {
    /// Checks the modules of a program, which has `commands` itself. They live until the process ends.
    ///
    /// # Errors
    /// Every fault: modules of one name or without one that they need, methods without policy or HTTP rule, colliding routes and pages, undeclared scopes,
    /// reasons or events that exist twice, handlers of undeclared events, services without implementation, jobs, tasks and
    /// commands that exist twice, tables that are partitioned twice, forgotten migrations, no authenticator or more than one.
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
        let mut all = Self {
            personal: PersonalTables::new(personal),
            names: modules.iter().map(|module| module.name).collect(),
            about,
            contract,
            migrations: [migrations::kernel()].into_iter().chain(product).collect(),
            sections: Vec::new(),
            warnings: Vec::new(),
            checks: Vec::new(),
            requirements: [PRODUCTION, telemetry::PRODUCTION].concat(),
            parts: Vec::new(),
            first_starts: Vec::new(),
            starts: Vec::new(),
            authenticator,
            services: Vec::new(),
            pages: Vec::new(),
            commands: Vec::new(),
            jobs: vec![Kind::of::<HandleEvent>()],
            rows: Vec::new(),
            tasks: sweep::tasks(partitioned.clone()),
            partitioned,
            measures: Vec::new(),
            handlers: Vec::new(),
            subscribers: Vec::new(),
            dependencies: Vec::new(),
            examples: ExampleTable::default(),
            contributions: Vec::new(),
            metrics: KERNEL_METRICS.to_vec(),
            alerts: vec![("jobs", "loop_panicked"), (on_call::PROVIDER, "auth")],
        };
        for module in modules {
            all.add(module);
        }
        Ok(all)
    }

    fn add(&mut self, module: Module) {
        self.alerts.extend(module.alerts);
        self.metrics.extend(module.metrics);
        self.migrations.extend(module.migrations.map(|migrations| Set { schema: module.name, migrations }));
        self.sections.extend(module.sections);
        self.warnings.extend(module.warnings);
        self.checks.extend(module.checks);
        self.requirements.extend(module.requirements);
        self.parts.extend(module.parts);
        self.first_starts.extend(module.first_starts.into_iter().map(|start| (module.name, start)));
        self.starts.extend(module.starts.into_iter().map(|start| (module.name, start)));
        self.services.extend(module.services);
        self.pages.extend(module.pages);
        self.commands.extend(module.commands);
        self.jobs.extend(module.jobs);
        self.rows.extend(module.rows);
        self.tasks.extend(module.tasks);
        self.measures.extend(module.measures);
        self.handlers.extend(module.handlers);
        self.subscribers.extend(module.subscribers);
        self.dependencies.extend(module.dependencies);
        self.examples.0.extend(module.examples);
        self.contributions.extend(module.contributions);
    }

    /// Opens the application: the kernel's dependencies with what the modules registered for them, then the parts of each
    /// module in the order of registration. Postgres and Redis may be unavailable; an invalid setting is an error.
    ///
    /// # Errors
    /// Unusable settings, and a secret that cannot be read or generated.
    pub async fn open(&'static self, config: Config) -> anyhow::Result<App> {
        self.register_metrics();
        let (handlers, subscribers) = (self.handlers.clone(), self.subscribers.clone());
        let listeners = Arc::new(Listeners { policies: &self.contract.policies, handlers, subscribers });
        let mut app = App::open(config, self.contract, listeners).await?.with_part(self);
        for open in &self.parts {
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
        for &(module, start) in self.first_starts.iter().chain(&self.starts) {
            if let Err(error) = process.start(module, start).await {
                process.close().await;
                return Err(error);
            }
        }
        Ok(process)
    }

    /// Describes the metrics to the recorder, and makes their series exist. Called before anything is recorded, which would
    /// be lost.
    fn register_metrics(&self) {
        telemetry::metrics();
        self.metrics.iter().for_each(Metric::register);
        let touch = |label, value| self.metrics.iter().for_each(|metric| metric.touch(label, value));
        self.contract.policies.iter().for_each(|method| touch("method", &method.name));
        self.jobs.iter().for_each(|kind| touch("kind", kind.name));
        self.rows.iter().for_each(|rows| touch("kind", rows.name));
        self.tasks.iter().for_each(|task| touch("task", task.name));
        self.alerts.iter().for_each(|(provider, cause)| alert::register(provider, cause));
    }

    /// Returns the OpenAPI 3.1 document. Without a server URL, paths are relative to the document's own URL.
    pub fn openapi(&self, server_url: Option<&str>) -> serde_json::Value {
        openapi::document(self.contract, &self.about, self.examples.clone(), server_url)
    }

    /// Returns all metrics, those of the kernel first.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
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
        Config::read(source, &self.sections)
    }

    /// Returns every variable of the configuration, in the order of registration.
    pub fn variables(&self) -> Vec<Variable> {
        Config::variables(&self.sections)
    }

    /// Returns the warnings for an operator with this configuration, beside a database that is not the private one.
    pub fn warnings(&self, config: &Config) -> impl Iterator<Item = &'static str> {
        self.warnings.iter().filter_map(|warn| warn(config))
    }

    /// Returns the errors that modules find in a configuration beyond its values.
    pub fn config_errors(&self, config: &Config) -> Vec<ConfigError> {
        self.checks.iter().flat_map(|check| check(config)).collect()
    }

    /// Returns what a configuration needs in production: the kernel's requirements, then those of the modules.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Returns the contributions of a type by other modules.
    pub fn contributions<T: Any>(&self) -> impl Iterator<Item = &T> {
        self.contributions.iter().filter_map(|value| value.downcast_ref())
    }

    /// Returns the work of a worker.
    pub fn work(&'static self) -> Work {
        Work {
            jobs: &self.jobs,
            rows: &self.rows,
            tasks: &self.tasks,
            partitioned: &self.partitioned,
            measures: &self.measures,
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

    /// Returns the dependencies beside Postgres and Redis.
    pub fn dependencies(&'static self) -> &'static [Dependency] {
        &self.dependencies
    }

    /// Returns the migrations, in the order in which they run.
    pub fn migrations(&self) -> &[Set] {
        &self.migrations
    }

    /// Returns the commands that the modules add to the program.
    pub fn commands(&self) -> &[command::Entry] {
        &self.commands
    }

    pub(crate) fn open_authenticator(&self, app: &App) -> Arc<dyn Authenticator> {
        (self.authenticator)(app)
    }

    pub(crate) fn routes(&self, app: &App) -> Routes {
        self.services.iter().fold(Routes::default(), |routes, add| add(app, routes))
    }

    pub(crate) fn pages(&self, app: &App) -> axum::Router {
        let pages = self.pages.iter().cloned().map(|(path, page)| (path, finished(path, page)));
        pages.fold(axum::Router::new(), |router, (path, page)| router.route(path, page)).with_state(app.clone())
    }
}

#[cfg(test)]
mod tests;
