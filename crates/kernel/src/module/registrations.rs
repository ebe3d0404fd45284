//! What modules register beside their contract, of one module or of all.

use axum::routing::MethodRouter;
use futures_util::future::BoxFuture;
use tonic::service::Routes;

use super::Start;
use crate::{
    app::App,
    command,
    config::{Config, ConfigError, Requirement, SectionReader},
    contribution::Contributions,
    events::{HandlerEntry, Subscriber},
    http::{health::Dependency, openapi::examples::Examples},
    queue::{Kind, rows::Rows, worker::Measure},
    schedule::Task,
    telemetry::metrics::Metric,
};

type OpenPart = Box<dyn Fn(App) -> BoxFuture<'static, anyhow::Result<App>> + Send + Sync>;
type AddService = Box<dyn Fn(&App, Routes) -> Routes + Send + Sync>;
/// An HTTP page, with its path.
type Page = (&'static str, MethodRouter<App>);
/// Returns a warning for an operator about a configuration.
type Warn = fn(&Config) -> Option<&'static str>;
/// Returns the errors of a configuration beyond its values.
type Check = fn(&Contributions, &Config) -> Vec<ConfigError>;

/// Each list in the order of registration.
#[derive(Default)]
pub(super) struct Registrations {
    pub(super) sections: Vec<SectionReader>,
    pub(super) warnings: Vec<Warn>,
    pub(super) checks: Vec<Check>,
    pub(super) requirements: Vec<Requirement>,
    pub(super) parts: Vec<OpenPart>,
    /// Each with the name of its module.
    pub(super) first_starts: Vec<(&'static str, Start)>,
    pub(super) starts: Vec<(&'static str, Start)>,
    pub(super) services: Vec<AddService>,
    pub(super) pages: Vec<Page>,
    pub(super) commands: Vec<command::Entry>,
    pub(super) jobs: Vec<Kind>,
    pub(super) rows: Vec<Rows>,
    pub(super) tasks: Vec<Task>,
    pub(super) measures: Vec<Measure>,
    pub(super) handlers: Vec<HandlerEntry>,
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) dependencies: Vec<Dependency>,
    /// By provider and cause.
    pub(super) alerts: Vec<(&'static str, &'static str)>,
    pub(super) metrics: Vec<Metric>,
    /// Each with the name of its module.
    pub(super) examples: Vec<(&'static str, Examples)>,
    pub(super) contributions: Contributions,
}

impl Registrations {
    /// Appends what another module registers.
    pub(super) fn extend(&mut self, other: Self) {
        self.sections.extend(other.sections);
        self.warnings.extend(other.warnings);
        self.checks.extend(other.checks);
        self.requirements.extend(other.requirements);
        self.parts.extend(other.parts);
        self.first_starts.extend(other.first_starts);
        self.starts.extend(other.starts);
        self.services.extend(other.services);
        self.pages.extend(other.pages);
        self.commands.extend(other.commands);
        self.jobs.extend(other.jobs);
        self.rows.extend(other.rows);
        self.tasks.extend(other.tasks);
        self.measures.extend(other.measures);
        self.handlers.extend(other.handlers);
        self.subscribers.extend(other.subscribers);
        self.dependencies.extend(other.dependencies);
        self.alerts.extend(other.alerts);
        self.metrics.extend(other.metrics);
        self.examples.extend(other.examples);
        self.contributions.extend(other.contributions);
    }
}
