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
type Page = (&'static str, MethodRouter<App>);
type Warn = fn(&Config) -> Option<&'static str>;
type Check = fn(&Contributions, &Config) -> Vec<ConfigError>;

/// Declares what can be registered: each list keeps the order of registration.
macro_rules! registrations {
    ($($(#[$doc:meta])* $list:ident: $type:ty,)*) => {
        #[derive(Default)]
        pub(super) struct Registrations {
            $($(#[$doc])* pub(super) $list: $type,)*
        }

        impl Registrations {
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
    effects: Vec<&'static str>,
    rows: Vec<Rows>,
    tasks: Vec<Task>,
    measures: Vec<Measure>,
    handlers: Vec<HandlerEntry>,
    subscribers: Vec<Subscriber>,
    dependencies: Vec<Dependency>,
    alerts: Vec<(&'static str, &'static str)>,
    metrics: Vec<Metric>,
    /// Each with the name of its module.
    examples: Vec<(&'static str, Examples)>,
    contributions: Contributions,
}
