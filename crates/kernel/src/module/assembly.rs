//! All modules of a process, checked against each other.

mod check;

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tonic::service::Routes;

use super::{AddService, Check, Module, OpenAuthenticator, OpenPart, Page, Process, Purpose, Start, Warn};
use crate::{
    app::App,
    caller::Authenticator,
    command,
    config::{Config, ConfigError, PRODUCTION, Requirement, SectionReader, Settings, Source, Variable},
    contract::{self, Contract},
    database::migrations::{self, Set},
    events::{self, HandleEvent, HandlerEntry, Subscriber},
    http::{
        health::Dependency,
        openapi::examples::{self, Examples},
        pages::finish::finished,
    },
    partitions::PartitionedTable,
    queue::{
        Kind,
        rows::Rows,
        worker::{Measure, Work},
    },
    schedule::Task,
    sweep, telemetry,
};

/// A fault in the list of modules: what is wrong, and its cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The modules that a process is made of. There is one list per process, because the contract, whose policies and error
/// reasons are looked up everywhere, is one.
pub struct Modules {
    fingerprints: Vec<Fingerprint>,
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
    measures: Vec<Measure>,
    handlers: Vec<HandlerEntry>,
    subscribers: Vec<Subscriber>,
    dependencies: Vec<Dependency>,
    examples: Vec<(&'static str, Examples)>,
    contributions: Vec<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Modules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.fingerprints.iter().map(|fingerprint| fingerprint.name).collect();
        f.debug_tuple("Modules").field(&names).finish()
    }
}

/// What tells a module from another one of its name: its contract, and how much it registers of each.
#[derive(PartialEq, Eq)]
struct Fingerprint {
    name: &'static str,
    descriptors: &'static [u8],
    registered: [usize; 13],
}

impl Fingerprint {
    fn of(module: &Module) -> Self {
        let registered = [
            module.checks.len(),
            module.first_starts.len(),
            module.starts.len(),
            module.services.len(),
            module.pages.len(),
            module.commands.len(),
            module.jobs.len(),
            module.rows.len(),
            module.tasks.len(),
            module.partitioned.len(),
            module.handlers.len(),
            module.subscribers.len(),
            module.contributions.len(),
        ];
        Self { name: module.name, descriptors: module.descriptors, registered }
    }
}

static INSTALLED: OnceLock<Modules> = OnceLock::new();
/// Held while modules are checked and installed: the tests of one process start servers at the same time.
static INSTALLING: Mutex<()> = Mutex::new(());

impl Modules {
    /// Checks the modules and makes them those of this process, whose program has these commands of its own. A second call
    /// with the same modules, as in tests, returns the first.
    ///
    /// # Errors
    /// Every fault: modules of one name, methods without policy or HTTP rule, colliding routes and pages, undeclared scopes,
    /// reasons or events that exist twice, handlers of undeclared events, services without implementation, jobs, tasks and
    /// commands that exist twice, tables that are partitioned twice, forgotten migrations, no authenticator or more than one.
    pub fn install(
        product: Option<Set>,
        commands: &[String],
        modules: Vec<Module>,
    ) -> Result<&'static Self, Vec<Fault>> {
        let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(installed) = INSTALLED.get()
            && installed.fingerprints.iter().eq(&modules.iter().map(Fingerprint::of).collect::<Vec<_>>())
        {
            return Ok(installed);
        }
        let modules = Self::assemble(product, commands, modules)?;
        events::install(modules.handlers.clone(), modules.subscribers.clone());
        examples::install(modules.examples.clone());
        INSTALLED.set(modules).map_err(|_| vec![Fault("a process has one list of modules".to_owned())])?;
        Ok(Self::installed())
    }

    /// Returns the modules of this process.
    ///
    /// # Panics
    /// Before [`Modules::install`].
    pub fn installed() -> &'static Self {
        INSTALLED.get().expect("the modules are installed before anything is served")
    }

    fn assemble(product: Option<Set>, commands: &[String], modules: Vec<Module>) -> Result<Self, Vec<Fault>> {
        let mut faults = check::modules(&modules, commands);
        let descriptors: Vec<_> = modules.iter().map(|module| (module.name, module.descriptors)).collect();
        let contract = match Contract::read(&descriptors) {
            Ok(contract) => {
                faults.extend(check::against_contract(&modules, &contract));
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
        crate::alert::declare("jobs", "loop_panicked");
        let partitioned: Arc<[_]> = modules.iter().flat_map(|module| &module.partitioned).copied().collect();
        let mut all = Self {
            fingerprints: modules.iter().map(Fingerprint::of).collect(),
            // Read until the process ends, by every request.
            contract: contract::install(contract),
            migrations: [migrations::kernel()].into_iter().chain(product).collect(),
            sections: Vec::new(),
            warnings: Vec::new(),
            checks: Vec::new(),
            requirements: PRODUCTION.to_vec(),
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
            examples: Vec::new(),
            contributions: Vec::new(),
        };
        for module in modules {
            all.add(module);
        }
        Ok(all)
    }

    fn add(&mut self, module: Module) {
        for (provider, cause) in module.alerts {
            crate::alert::declare(provider, cause);
        }
        telemetry::metrics::declare(module.metrics);
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
        self.examples.extend(module.examples);
        self.contributions.extend(module.contributions);
    }

    /// Opens the application: the kernel's dependencies with what the modules registered for them, then the parts of each
    /// module in the order of registration. Postgres and Redis may be unavailable; an invalid setting is an error.
    ///
    /// # Errors
    /// Settings that can't be used, and a secret that can't be read or generated.
    pub async fn open(&'static self, config: Config) -> anyhow::Result<App> {
        // Whatever is opened may record something.
        telemetry::metrics();
        self.touch_metrics();
        let mut app = App::open(config).await?;
        for open in &self.parts {
            app = open(app).await?;
        }
        Ok(app)
    }

    /// Starts what the modules have in a process beside requests and jobs: to be called on a database that has the
    /// schema of this program, unless Postgres does not answer yet.
    ///
    /// # Errors
    /// That of the first module that can't start something; whatever was started before is closed again.
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

    /// Makes the series exist whose labels are the names of what the modules registered.
    fn touch_metrics(&self) {
        use telemetry::metrics::touch;
        self.contract.policies.iter().for_each(|method| touch("method", &method.name));
        self.jobs.iter().for_each(|kind| touch("kind", kind.name));
        self.rows.iter().for_each(|rows| touch("kind", rows.name));
        self.tasks.iter().for_each(|task| touch("task", task.name));
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

    /// Returns what an operator is warned of whose configuration this is, beside a database that is not the private one.
    pub fn warnings(&self, config: &Config) -> impl Iterator<Item = &'static str> {
        self.warnings.iter().filter_map(|warn| warn(config))
    }

    /// Returns what the modules find wrong with a configuration beyond its values.
    pub fn config_errors(&self, config: &Config) -> Vec<ConfigError> {
        self.checks.iter().flat_map(|check| check(config)).collect()
    }

    /// Returns what a configuration needs in production: the kernel's requirements, then those of the modules.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Returns what other modules contributed of a type.
    pub fn contributions<T: Any>(&self) -> impl Iterator<Item = &T> {
        self.contributions.iter().filter_map(|value| value.downcast_ref())
    }

    /// Returns what a worker runs.
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
