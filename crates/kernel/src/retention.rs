//! Retention: how long the rows of each table are kept, as the modules declare it beside their tables.
//!
//! ```ignore
//! pub const TRIPS: Retention =
//!     Retention::of(&["fleet.trips"], "TRIPS_KEPT", "90d", ["1d", "400d"], "How long trips are kept after their end");
//!
//! Module::new("fleet", DESCRIPTORS).retention([
//!     TRIPS,
//!     Retention::without_age(&["fleet.vehicles"], "until a vehicle is deleted"),
//! ])
//! ```
//!
//! A declaration with a setting is a variable of the configuration. The module's scheduled task removes what is older than
//! [`Retention::start`].

use diesel::sql_types::Text;
use diesel_async::RunQueryDsl as _;

use crate::{
    config::Retention,
    database::{Connection, statement::Prepare as _},
    error::Result,
};

pub(crate) const RESPONSES: Retention = Retention::of(
    &["idempotency_keys"],
    "IDEMPOTENT_RESPONSES_KEPT",
    "1d",
    ["1h", "7d"],
    "How long the responses under idempotency keys are kept; later requests with these keys are rejected",
);
/// How long idempotency keys are kept. Until then, a reused key is rejected rather than executed again.
pub(crate) const KEYS: Retention = Retention::of(
    &["idempotency_keys"],
    "IDEMPOTENCY_KEYS_KEPT",
    "30d",
    ["7d", "30d"],
    "How long idempotency keys are kept; a later request with such a key is executed again",
);
pub(crate) const DEAD_JOBS: Retention =
    Retention::of(&["jobs"], "DEAD_JOBS_KEPT", "30d", ["1d", "30d"], "How long jobs are kept after they were given up");

const KERNEL: [Retention; 7] = [
    RESPONSES,
    KEYS,
    DEAD_JOBS,
    Retention::without_age(&["changes"], "70 minutes: the lifetime of resume tokens, and a margin"),
    Retention::without_age(&["effects"], "until the outcome of the outside call is stored"),
    Retention::without_age(&["attempt_limits"], "until the window of the limit ends"),
    Retention::without_age(&["scheduled_tasks"], "one row for each task"),
];

/// The declarations of the kernel and all modules.
#[derive(Debug, Default)]
pub struct Retentions(Vec<Retention>);

impl Retentions {
    pub(crate) fn new(modules: impl IntoIterator<Item = Retention>) -> Self {
        Self(KERNEL.into_iter().chain(modules).collect())
    }

    /// Returns all declarations.
    pub fn all(&self) -> &[Retention] {
        &self.0
    }

    /// Returns the tables of the database without a declaration. The tests of a program expect none.
    pub async fn undeclared(&self, connection: &mut Connection) -> Result<Vec<String>> {
        const SQL: &str = "SELECT CASE nspname WHEN 'public' THEN relname::text ELSE nspname || '.' || relname END AS name \
            FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
            WHERE relkind IN ('r', 'p') AND NOT relispartition AND relpersistence <> 't' \
            AND nspname <> 'information_schema' AND nspname !~ '^pg_' \
            AND relname <> '__diesel_schema_migrations' ORDER BY 1";
        let tables: Vec<String> = diesel::sql_query(SQL).columns::<Text>().load(connection).await?;
        let is_declared =
            |name: &String| self.0.iter().any(|declaration| declaration.tables().contains(&name.as_str()));
        Ok(tables.into_iter().filter(|name| !is_declared(name)).collect())
    }
}
