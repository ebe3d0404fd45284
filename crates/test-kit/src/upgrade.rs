//! Checks that the version before a migration still works after it, which a rolling upgrade requires.
//!
//! The migrations are applied one after another. Before each, the tables are filled with generated rows that satisfy their
//! checks, as far as possible, and statements are generated that succeed: reads, updates, inserts and deletes of the
//! existing columns. All of them must succeed afterwards, too. Properties that rows do not show are compared in the
//! catalogs: no object is dropped, renamed or given another type, and no value that could be written is rejected.
//!
//! Therefore a removal takes two releases (expand and contract). The first release stops using the object, and records that
//! in the database; a migration of the second release removes it:
//!
//! ```sql
//! COMMENT ON COLUMN vehicles.colour IS 'to be contracted: no program since 1.4 reads or writes it';
//! ```

mod compare;
mod example;
mod shape;
mod writer;

use std::collections::BTreeMap;

use mainstay::Product;
use mainstay_kernel::{
    database::{
        Database,
        migrations::{self, Set},
    },
    module::Modules,
};
use secrecy::SecretString;
use tokio_postgres::{Client, Error};

use crate::{
    TestDatabase,
    database::connect,
    server::configure,
    upgrade::{shape::Shape, writer::Script},
};

/// The value of every UUID in the inserted rows, so that references match.
const ID: &str = "01900000-0000-7000-8000-00000000000a";
const OTHER_ID: &str = "01900000-0000-7000-8000-00000000000b";

/// The time limit of a search for a row; a table without a result is compared in the catalogs only.
const SEARCH: &str = "SET statement_timeout = '5s'; SET jit = off";

/// Checks that the version before each migration of these modules still works after it. The migrations of a schema with
/// the date of its first migration form its first version, which no program preceded.
///
/// # Panics
/// Panics with the migration, the operations that the previous version can no longer perform, and the remedy for each.
pub async fn check_migrations(product: Product) {
    let modules = product.modules().unwrap_or_else(|faults| panic!("{faults:#?}"));
    let faults = faults(modules, modules.migrations()).await;
    assert!(faults.is_empty(), "the version before can't go on after these migrations:\n{}", faults.join("\n"));
}

async fn faults(modules: &'static Modules, sets: &'static [Set]) -> Vec<String> {
    let database = TestDatabase::empty().await;
    let config = configure(modules, database.url(), &[]).database;
    let migrated = Database::new(&SecretString::from(database.url()), "migrations", &config).expect("a URL");
    let client = connect(database.url()).await;
    client.batch_execute(SEARCH).await.expect("a setting");
    let schemas: Vec<_> = sets.iter().map(|set| set.schema).collect();
    let mut first_days = BTreeMap::new();
    let mut faults = Vec::new();
    for set in sets {
        for name in set.names().expect("the names of the migrations") {
            let first_day = first_days.entry(set.schema).or_insert_with(|| day(&name).to_owned());
            let outcome = if *first_day == day(&name) {
                apply(&migrated, set).await.map(|()| Vec::new())
            } else {
                step(&migrated, &client, &schemas, set).await
            };
            let about = |fault: String| format!("- {}, migration {name}: {fault}", set.schema);
            match outcome {
                Ok(step_faults) => faults.extend(step_faults.into_iter().map(about)),
                Err(why) => {
                    faults.push(about(why));
                    // The following migrations need this one.
                    return faults;
                }
            }
        }
    }
    faults
}

/// The date that begins the name of a migration.
fn day(name: &str) -> &str {
    name.get(.."0000-00-00".len()).unwrap_or(name)
}

/// Applies the next migration of a set, and returns the operations that the previous version can no longer perform.
async fn step(
    database: &Database,
    client: &Client,
    schemas: &[&str],
    set: &'static Set,
) -> Result<Vec<String>, String> {
    let before = Shape::read(client, schemas).await;
    let script = Script::prepare(client, &before).await;
    apply(database, set).await?;
    let after = Shape::read(client, schemas).await;
    let mut faults = compare::compare(client, &before, &after).await;
    faults.extend(script.run(client).await);
    Ok(faults)
}

async fn apply(database: &Database, set: &'static Set) -> Result<(), String> {
    let connection = database.dedicated().await.expect("a connection");
    let applied = migrations::run_at_most(connection, std::slice::from_ref(set), 1).await;
    applied.map(drop).map_err(|error| format!("it fails, if not in any case, with rows that are there: {error:#}"))
}

/// Returns Postgres' message.
fn why(error: &Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

#[cfg(test)]
mod tests;
