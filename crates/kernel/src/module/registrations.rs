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

/// Declares what can be registered: each list keeps the order of registration.
macro_rules! registrations {
    ($($(#[$doc:meta])* $list:ident: $type:ty,)*) => {
        #[derive(Default)]
        pub(super) struct Registrations {
            $($(#[$doc])* pub(super) $list: $type,)*
        }

        impl Registrations {
            /// Appends what another module registers.
            pub(super) fn extend(&mut self, other: Self) {
                $(self.$list.extend(other.$list);)*
            }
        }
    };
}

registrations! {
    sections: Vec<SectionReader>,
    warnings: Vec<Warn>,
    checks: Vec<Check>,
    requirements: Vec<Requirement>,
    parts: Vec<OpenPart>,
    /// Each with the name of its module.
    first_starts: Vec<(&'static str, Start)>,
    starts: Vec<(&'static str, Start)>,
    services: Vec<AddService>,
    pages: Vec<Page>,
    commands: Vec<command::Entry>,
    jobs: Vec<Kind>,
    /// The names of the kinds.
    effects: Vec<&'static str>,
    rows: Vec<Rows>,
    tasks: Vec<Task>,
    measures: Vec<Measure>,
    handlers: Vec<HandlerEntry>,
    subscribers: Vec<Subscriber>,
    dependencies: Vec<Dependency>,
    /// By provider and cause.
    alerts: Vec<(&'static str, &'static str)>,
    metrics: Vec<Metric>,
    /// Each with the name of its module.
    examples: Vec<(&'static str, Examples)>,
    contributions: Contributions,
}
