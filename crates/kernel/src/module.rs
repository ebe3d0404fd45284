//! The module seam: what a domain brings to the server, and the list of all modules.
//!
//! A module is a descriptor set with an implementation. The product is made of modules in exactly the way in which a
//! team adds its own. Policies, scopes, error reasons and events are read from the options of its `.proto` files; the
//! rest is registered here:
//!
//! ```ignore
//! pub fn module() -> Module {
//!     Module::new("fleet", DESCRIPTORS)
//!         .migrations(MIGRATIONS)
//!         .service(|app| VehicleServiceServer::new(Vehicles::new(app)))
//!         .effect::<Recharge>()
//!         .every(HOUR, "fleet.expire_leases", "Ends leases whose time is over", expire_leases)
//!         .on::<OrderPaid>(grant_lease)
//!         .command::<LeasesCommand>()
//! }
//! ```

mod about;
mod assembly;
mod kind;
mod process;
mod registrations;

use std::{any::Any, sync::Arc, time::Duration};

use axum::routing::MethodRouter;
use diesel_migrations::EmbeddedMigrations;
use tonic::server::NamedService;

use crate::{
    app::App,
    caller::Authenticator,
    command::{self, Command},
    config::{Config, ConfigError, Requirement, Retention, Section, SectionReader},
    contribution::Contributions,
    effects::{self, Effect},
    error::Result,
    events::{self, EventKind, Subscriber},
    grpc::Server,
    http::{health::Dependency, openapi::examples::Examples},
    partitions::PartitionedTable,
    personal::Personal,
    queue::{
        Handler, Kind,
        rows::{DueRows, Rows},
        worker::Measure,
    },
    schedule::Task,
    telemetry::metrics::Metric,
};

pub use about::About;
pub use assembly::{Fault, Modules};
use kind::KindName;
pub use kind::is_kind_name;
pub use process::{PrivateDatabase, Process, Purpose, Start};
use registrations::Registrations;

/// Opens what identifies callers.
pub type OpenAuthenticator = fn(&App) -> Arc<dyn Authenticator>;

/// What one domain brings to the server.
#[must_use = "a module does nothing until it is registered"]
pub struct Module {
    name: &'static str,
    descriptors: &'static [u8],
    needs: Vec<&'static str>,
    migrations: Option<EmbeddedMigrations>,
    is_without_migrations: bool,
    authenticator: Option<OpenAuthenticator>,
    service_names: Vec<&'static str>,
    partitioned: Vec<PartitionedTable>,
    personal: Vec<Personal>,
    retentions: Vec<Retention>,
    kinds: Vec<KindName>,
    registered: Registrations,
}

debug_fields!(Module: name);

impl Module {
    /// Begins a module: its name (lower-case letters, digits and `_`), which begins the names of its scopes and events
    /// and is the name of its database schema, and its descriptor set, as written by `mainstay-build`.
    pub fn new(name: &'static str, descriptors: &'static [u8]) -> Self {
        Self {
            name,
            descriptors,
            needs: Vec::new(),
            migrations: None,
            is_without_migrations: false,
            authenticator: None,
            service_names: Vec::new(),
            partitioned: Vec::new(),
            personal: Vec::new(),
            retentions: Vec::new(),
            kinds: Vec::new(),
            registered: Registrations::default(),
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Replaces the descriptor set, as by one without the services that are not served.
    pub fn descriptors(mut self, descriptors: &'static [u8]) -> Self {
        self.descriptors = descriptors;
        self
    }

    /// Declares the modules whose parts, configuration or operations this module uses. Without one of them, no program
    /// starts.
    pub fn needs(mut self, modules: &[&'static str]) -> Self {
        self.needs.extend(modules);
        self.needs.sort_unstable();
        self.needs.dedup();
        self
    }

    /// Removes the gRPC services, and keeps what other modules use: parts, configuration, jobs and pages. The descriptor
    /// set must not have the services either.
    pub fn without_services(mut self) -> Self {
        self.service_names.clear();
        self.registered.services.clear();
        self
    }

    /// Adds migrations. They run in a schema with the module's name, with a separate table of versions.
    pub fn migrations(mut self, migrations: EmbeddedMigrations) -> Self {
        self.migrations = Some(migrations);
        self
    }

    /// Declares that the module has no migrations: it has no tables, or they are among the product's own, in the schema
    /// `public`. A module that says neither this nor [`Module::migrations`] stops the start: it has forgotten its
    /// tables.
    pub fn without_migrations(mut self) -> Self {
        self.is_without_migrations = true;
        self
    }

    /// Adds a section of the configuration; [`Config::section`](crate::config::Config::section) returns it.
    pub fn config<S: Section>(mut self) -> Self {
        self.registered.sections.push(SectionReader::of::<S>());
        self
    }

    /// Adds a warning, which is logged at the start on a database that is not the private one: of a configuration that only
    /// pretends to do the module's work, as mail that is written to files. `None`: there is nothing to warn of.
    pub fn warning(mut self, warn: fn(&Config) -> Option<&'static str>) -> Self {
        self.registered.warnings.push(warn);
        self
    }

    /// Adds a check of the configuration beyond its values, as of the files that it names, with the contributions of
    /// other modules. What is wrong stops `serve`
    /// and `worker`, and `config check` lists it, each together with all other faults. In the place of a value that
    /// can't be used stands its default.
    pub fn check(mut self, check: fn(&Contributions, &Config) -> Vec<ConfigError>) -> Self {
        self.registered.checks.push(check);
        self
    }

    /// Adds items to the checklist of `config check --production`.
    pub fn production(mut self, requirements: &[Requirement]) -> Self {
        self.registered.requirements.extend(requirements);
        self
    }

    /// Adds a part of the application, which is built once at the start; [`App::part`] returns it. It may use the parts
    /// that were added before.
    pub fn part<T, F>(mut self, open: F) -> Self
    where
        T: Any + Send + Sync,
        F: Fn(&App) -> anyhow::Result<T> + Send + Sync + 'static,
    {
        self.registered.parts.push(Box::new(move |app| {
            let part = open(&app);
            Box::pin(async move { Ok(app.with_part(part?)) })
        }));
        self
    }

    /// Adds what the module starts in the process of a server or a worker, beside requests and jobs: before the first
    /// of them, in the order of registration. The database then has the schema of this program, unless Postgres does
    /// not answer yet. `start` may have something done at the end ([`Process::on_close`]) and add to what a server
    /// prints. An error ends the process.
    pub fn start(mut self, start: Start) -> Self {
        self.registered.starts.push((self.name, start));
        self
    }

    /// Like [`Module::start`], but before all that is started there, and closed after it: for what records the rest, as
    /// a writer of the log.
    pub fn start_first(mut self, start: Start) -> Self {
        self.registered.first_starts.push((self.name, start));
        self
    }

    /// Adds what identifies callers by their credentials. Exactly one module of a process does.
    pub fn authenticator(mut self, open: OpenAuthenticator) -> Self {
        self.authenticator = Some(open);
        self
    }

    /// Adds a gRPC service; its REST routes follow from the contract.
    pub fn service<S: Server + NamedService + 'static>(mut self, open: fn(&App) -> S) -> Self {
        self.service_names.push(S::NAME);
        self.registered.services.push(Box::new(move |app, routes| open(app).configure().add_to(routes)));
        self
    }

    /// Adds HTTP pages beside the API, with their paths as axum writes them. No route of the contract may begin with
    /// the first segment of a page's path: the segment says which of both a request is for. A page whose path begins
    /// with a variable gets the requests for no route and no other page.
    pub fn pages(mut self, pages: impl IntoIterator<Item = (&'static str, MethodRouter<App>)>) -> Self {
        self.registered.pages.extend(pages);
        self
    }

    /// Adds a command to the program, beside `serve`, `migrate` and the others.
    pub fn command<C: Command>(mut self) -> Self {
        self.registered.commands.push(command::Entry::of::<C>());
        self
    }

    /// Adds a table whose due rows the workers take.
    pub fn due_rows<D: DueRows>(mut self) -> Self {
        self.registered.rows.push(Rows::of::<D>());
        self
    }

    /// Adds a kind of job to the queue.
    pub fn queue<J: Handler>(mut self) -> Self {
        self.registered.jobs.push(Kind::of::<J>());
        self
    }

    /// Adds a kind of effect: a call to an outside API that takes effect once.
    pub fn effect<E: Effect>(mut self) -> Self {
        self.registered.effects.push(E::NAME);
        self.kind("effect", E::NAME, &[]).queue::<effects::Call<E>>()
    }

    /// Adds a scheduled task, which runs once per period over all workers. `run` is idempotent, may run in two processes
    /// at once, and returns the number of items it processed. `what` describes it to operators.
    pub fn every<F>(
        mut self,
        period: Duration,
        name: &'static str,
        what: &'static str,
        run: impl Fn(App) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<usize>> + Send + 'static,
    {
        self.registered.tasks.push(Task::new(name, period, what, run));
        self
    }

    /// Adds a table that is partitioned by month: the kernel adds its partitions ahead and removes those past its retention.
    pub fn partitioned(mut self, table: PartitionedTable) -> Self {
        self.partitioned.push(table);
        self
    }

    /// Declares the columns of the module's tables that lead to a person or an account, and what an erasure does with the
    /// rows. The export of all data of a person or an account has the rows, too.
    pub fn personal(mut self, declarations: impl IntoIterator<Item = Personal>) -> Self {
        self.personal.extend(declarations);
        self
    }

    /// Declares how long the rows of the module's tables are kept. Each declaration with a setting adds its variable to the
    /// configuration.
    pub fn retention(mut self, declarations: impl IntoIterator<Item = Retention>) -> Self {
        self.retentions.extend(declarations);
        self
    }

    /// Adds a measurement, which every worker makes every 15 s beside that of its queue: it sets gauges. While it fails,
    /// they keep their values.
    pub fn measure(mut self, measure: Measure) -> Self {
        self.registered.measures.push(measure);
        self
    }

    /// Adds a handler of an event. It runs as a job that commits with the event, at least once, so it is idempotent.
    pub fn on<E: EventKind>(mut self, handler: events::Handle) -> Self {
        self.registered.handlers.push(events::HandlerEntry { module: self.name, kind: E::NAME, handle: handler });
        self
    }

    /// Adds a subscriber to every event, which runs in the transaction that publishes them. If it fails, nothing is
    /// committed; most modules want [`Module::on`] instead.
    pub fn on_every_event(mut self, subscriber: Subscriber) -> Self {
        self.registered.subscribers.push(subscriber);
        self
    }

    /// Adds an external dependency to the health report.
    pub fn dependency(mut self, dependency: Dependency) -> Self {
        self.registered.dependencies.push(dependency);
        self
    }

    /// Declares the alerts that the module raises, by provider and cause, so that their counters exist from the start.
    pub fn alerts(mut self, alerts: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        self.registered.alerts.extend(alerts);
        self
    }

    /// Declares the metrics of the module, so that they are described and exist from the start.
    pub fn metrics(mut self, metrics: impl IntoIterator<Item = Metric>) -> Self {
        self.registered.metrics.extend(metrics);
        self
    }

    /// Adds example values of fields for the API description.
    pub fn examples(mut self, examples: Examples) -> Self {
        self.registered.examples.push((self.name, examples));
        self
    }

    /// Declares the name of a kind of what another module collects, such as `fleet.end_leases` of the operations. The start
    /// checks that the name is that of this module, a dot, and lower-case words joined by `_`, with at most 100 bytes. The
    /// modules `unprefixed` have names without a dot, too.
    pub fn kind(mut self, what: &'static str, name: &'static str, unprefixed: &[&str]) -> Self {
        self.kinds.push(KindName { what, name, may_lack_prefix: unprefixed.contains(&self.name) });
        self
    }

    /// Adds a value for another module, which collects all of its type with [`Contributions::all`].
    pub fn contribute<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.registered.contributions.add(value);
        self
    }
}
