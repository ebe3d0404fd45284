//! Every column that leads to a person or an account is declared.

use mainstay_kernel::{
    database::Connection,
    module::Modules,
    personal::{self, Personal},
    unit_of_work::Work,
};
use serde_json::{Value, json};

use crate::support::{TestApp, people::fresh_id};

async fn undeclared(app: &TestApp) -> Vec<String> {
    let read = async |connection: &mut Connection| Modules::of(&app.app).personal().undeclared(connection).await;
    app.app.database.autocommit(read).await.expect("the catalogue")
}

#[tokio::test]
async fn every_column_with_a_person_or_an_account_is_declared() {
    let app = TestApp::start().await;
    assert_eq!(undeclared(&app).await, Vec::<String>::new(), "declare each with Module::personal");
    // The check finds a new table.
    app.database
        .sql(
            "CREATE TABLE diaries (id uuid PRIMARY KEY, author_id uuid NOT NULL, written_for uuid REFERENCES users (id),
                 contact_email text)",
        )
        .await;
    assert_eq!(undeclared(&app).await, ["diaries.author_id", "diaries.contact_email", "diaries.written_for"]);
}

/// A declaration of a table, a column or a condition that does not exist would fail an erasure.
#[tokio::test]
async fn every_declaration_fits_the_database() {
    let app = TestApp::start().await;
    let personal = Modules::of(&app.app).personal();
    let absent = uuid::Uuid::nil();
    for declaration in personal.all() {
        let declaration = *declaration;
        let now = app.app.clock.now();
        let run = app.app.database.transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            // No user has the nil UUID, so that the avatar of one can't be removed.
            if declaration.column != "avatar_id" {
                assert_eq!(declaration.erase(connection, absent, now).await?, 0, "{declaration:?}");
            }
            declaration.is_blocking(connection, absent).await?;
            assert_eq!(declaration.count(connection, absent).await?, 0, "{declaration:?}");
            Ok::<_, mainstay_kernel::error::Error>(())
        });
        run.await.unwrap_or_else(|error| panic!("{declaration:?}: {}", error.detail()));
        app.database.sql(&format!("SELECT {} FROM {} LIMIT 0", declaration.column, declaration.table)).await;
    }
}

/// A function of Postgres takes at most 100 arguments.
#[tokio::test]
async fn a_table_with_many_columns_is_exported() {
    const TRIPS: Personal = Personal::of_user("trips", "driver_id").erased();
    let app = TestApp::start().await;
    let columns: String = (1..=120).map(|number| format!(", \"Stop {number}\" int DEFAULT {number}")).collect();
    app.database.sql(&format!("CREATE TABLE trips (driver_id uuid, key_hash text DEFAULT 'secret'{columns})")).await;
    let driver = fresh_id();
    app.database.sql(&format!("INSERT INTO trips VALUES ('{driver}'), (gen_random_uuid())")).await;
    let read = app.app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        personal::open_rows(connection, &[TRIPS], driver).await?;
        personal::next_rows(connection).await
    });
    let rows = read.await.expect("the rows");
    let [row] = rows.as_slice() else { panic!("one row is the driver's: {rows:?}") };
    assert!(!row.contains('\n'), "{row}");
    let row: Value = serde_json::from_str(row).expect("JSON");
    assert_eq!(row.as_object().map(serde_json::Map::len), Some(121), "all but the hash: {row}");
    assert_eq!((&row["driver_id"], &row["Stop 120"]), (&json!(driver.to_string()), &json!(120)));
}
