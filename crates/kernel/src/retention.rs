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

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{QueryableByName, sql_types::Text};
use diesel_async::RunQueryDsl as _;

use crate::{
    app::App,
    config::{Config, Variable},
    database::Connection,
    error::Result,
};

/// A declaration about one or more tables.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    tables: &'static [&'static str],
    rule: Rule,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Setting(AgeSetting),
    Reason(&'static str),
}

/// A setting with a retention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgeSetting {
    pub(crate) variable: Variable,
    /// The shortest and the longest retention, as the configuration writes durations.
    pub(crate) bounds: [&'static str; 2],
    /// Whether an empty value keeps the rows forever.
    pub(crate) is_optional: bool,
}

impl Retention {
    /// Declares a retention that a variable configures: its name, default, bounds and meaning. Without tables, it is about
    /// objects in the storage of files.
    pub const fn of(
        tables: &'static [&'static str],
        name: &'static str,
        default: &'static str,
        bounds: [&'static str; 2],
        meaning: &'static str,
    ) -> Self {
        let variable = Variable::plain(name, default, meaning);
        Self { tables, rule: Rule::Setting(AgeSetting { variable, bounds, is_optional: false }) }
    }

    /// An empty value of the variable keeps the rows forever.
    #[must_use]
    pub const fn or_forever(self) -> Self {
        match self.rule {
            Rule::Setting(setting) => Self { rule: Rule::Setting(AgeSetting { is_optional: true, ..setting }), ..self },
            Rule::Reason(_) => self,
        }
    }

    /// Declares tables whose rows no setting removes by age, with the reason: when they are removed, or why they are kept.
    pub const fn without_age(tables: &'static [&'static str], reason: &'static str) -> Self {
        Self { tables, rule: Rule::Reason(reason) }
    }

    pub(crate) fn setting(&self) -> Option<&AgeSetting> {
        match &self.rule {
            Rule::Setting(setting) => Some(setting),
            Rule::Reason(_) => None,
        }
    }

    /// Returns the name of the variable; `None` for tables whose rows no setting removes.
    pub fn variable(&self) -> Option<&'static str> {
        self.setting().map(|setting| setting.variable.name)
    }

    /// Returns the tables, with their schemas unless these are `public`.
    pub fn tables(&self) -> &'static [&'static str] {
        self.tables
    }

    /// Returns the retention of a configuration; `None` for rows that are kept forever.
    ///
    /// # Panics
    /// If no registered module has this declaration.
    pub fn kept(&self, config: &Config) -> Option<TimeDelta> {
        self.variable().and_then(|name| config.retention(name))
    }

    /// Returns the time before which rows are past their retention; 1970 for rows that are kept forever.
    ///
    /// # Panics
    /// If no registered module has this declaration.
    pub fn start(&self, app: &App) -> DateTime<Utc> {
        let kept = self.kept(&app.config);
        kept.and_then(|kept| app.clock.now().checked_sub_signed(kept)).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Returns the row of the declaration in a table of Markdown.
    pub fn row(&self) -> String {
        let tables: Vec<_> = self.tables.iter().map(|table| format!("`{table}`")).collect();
        let tables = if tables.is_empty() { "the storage of files".to_owned() } else { tables.join(", ") };
        match &self.rule {
            Rule::Reason(reason) => format!("| {tables} | | | {reason} |"),
            Rule::Setting(AgeSetting { variable, bounds: [shortest, longest], is_optional }) => {
                let forever = if *is_optional { ", or empty" } else { "" };
                let default = if variable.default.is_empty() { "empty" } else { variable.default };
                let name = variable.name;
                format!("| {tables} | `{name}` | {default} ({shortest} to {longest}{forever}) | {} |", variable.meaning)
            }
        }
    }
}

/// How long the responses under idempotency keys are kept. After that, a key is rejected until its row is removed.
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
/// How long an operator can read the error of a dead job.
pub(crate) const DEAD_JOBS: Retention =
    Retention::of(&["jobs"], "DEAD_JOBS_KEPT", "30d", ["1d", "30d"], "How long jobs are kept after they were given up");

/// The tables of the kernel, except the audit log, whose module declares them.
const KERNEL: [Retention; 6] = [
    RESPONSES,
    KEYS,
    DEAD_JOBS,
    Retention::without_age(&["changes"], "70 minutes: the lifetime of resume tokens, and a margin"),
    Retention::without_age(&["attempt_limits"], "until the window of the limit ends"),
    Retention::without_age(&["scheduled_tasks"], "one row for each task"),
];

/// The declarations of the kernel and all modules.
#[derive(Debug, Default)]
pub struct Retentions(Vec<Retention>);

impl Retentions {
    /// Collects declarations.
    pub(crate) fn new(modules: impl IntoIterator<Item = Retention>) -> Self {
        Self(KERNEL.into_iter().chain(modules).collect())
    }

    /// Returns all declarations.
    pub fn all(&self) -> &[Retention] {
        &self.0
    }

    /// Returns the tables of the database without a declaration. The tests of a program expect none.
    ///
    /// # Errors
    /// Any error of Postgres.
    pub async fn undeclared(&self, connection: &mut Connection) -> Result<Vec<String>> {
        const SQL: &str = "SELECT CASE nspname WHEN 'public' THEN relname::text ELSE nspname || '.' || relname END AS name \
            FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
            WHERE relkind IN ('r', 'p') AND NOT relispartition AND relpersistence <> 't' \
            AND nspname <> 'information_schema' AND nspname !~ '^pg_' \
            AND relname <> '__diesel_schema_migrations' ORDER BY 1";
        let tables: Vec<TableName> = diesel::sql_query(SQL).load(connection).await?;
        let is_declared = |name: &String| self.0.iter().any(|declaration| declaration.tables.contains(&name.as_str()));
        Ok(tables.into_iter().map(|table| table.name).filter(|name| !is_declared(name)).collect())
    }
}

#[derive(QueryableByName)]
struct TableName {
    #[diesel(sql_type = Text)]
    name: String,
}
