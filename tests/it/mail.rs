//! Each mail is delivered once under all faults, and its contents reach only the recipient.

mod addresses;
mod api;
mod crashes;
mod due;
mod kinds;
mod login;
mod metrics;
mod orders;
pub(crate) mod pages;
mod preview;
mod redrive;
mod refusals;
mod registration;
mod reset;
mod secrecy;
mod suppression;
mod tls;

use std::time::{Duration, Instant};

use mainstay::mail::{id::MailId, ops};
use serde_json::Value;

use crate::{
    cases::Scene,
    support::{Process, TestApp, TestDatabase, mail::MailProvider},
};

/// Starts a provider, and an app in this process that sends mail through it and runs jobs.
async fn start() -> (MailProvider, TestApp, Scene) {
    start_with(&[]).await
}

/// Does the same as [`start`], with additional variables.
async fn start_with(own: &[(&str, &str)]) -> (MailProvider, TestApp, Scene) {
    let provider = MailProvider::start().await;
    let (app, scene) =
        Scene::start_with(TestApp::builder().with_jobs().set_all(provider.variables()).set_all(own.iter().copied()))
            .await;
    (provider, app, scene)
}

/// Does the same as [`start`], but mail is sent only when a test requests it.
async fn start_without_jobs() -> (MailProvider, TestApp, Scene) {
    let provider = MailProvider::start().await;
    let (app, scene) = Scene::start_with(TestApp::builder().set_all(provider.variables())).await;
    (provider, app, scene)
}

/// Starts a server process that sends mail through a provider.
async fn process(database: &TestDatabase, provider: &MailProvider, own: &[(&str, &str)]) -> Process {
    let variables = provider.variables();
    let mut all: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.extend(own);
    Process::with(database, &all).await
}

const PENDING: i64 = 1;
const SENT: i64 = 2;
const FAILED: i64 = 3;
const GIVEN_UP: i64 = 4;

/// The number of mails in a state.
async fn count_in_state(database: &TestDatabase, state: i64) -> i64 {
    database.number(&format!("SELECT count(*) FROM mails WHERE state = {state}")).await
}

/// Waits until a statement selects at least this number.
async fn wait_for_at_least(database: &TestDatabase, statement: &str, least: i64) {
    let since = Instant::now();
    while database.number(statement).await < least {
        assert!(since.elapsed() < Duration::from_secs(90), "never {least}: {statement}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until this many mails are in a state and none is pending.
async fn wait_for_mails(database: &TestDatabase, state: i64, count: i64) {
    wait_for_at_least(database, &format!("SELECT count(*) FROM mails WHERE state = {state}"), count).await;
    assert_eq!(count_in_state(database, state).await, count);
    assert_eq!(count_in_state(database, PENDING).await, 0);
}

/// The id of the only mail.
async fn only_mail(database: &TestDatabase) -> MailId {
    MailId::parse(&text(database, "SELECT id FROM mails").await).expect("an id")
}

/// Gives up the only mail, as a worker does after too many attempts without a stored outcome.
async fn give_up(app: &TestApp) -> MailId {
    let id = only_mail(&app.database).await;
    app.database.sql("UPDATE mails SET leases = 100").await;
    ops::deliver(&app.app, id).await.expect("given up");
    wait_for_mails(&app.database, GIVEN_UP, 1).await;
    id
}

/// The single text that a statement selects.
async fn text(database: &TestDatabase, statement: &str) -> String {
    let rows = database.sql(statement).await;
    rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()).unwrap_or_default()
}

fn header<'m>(mail: &'m Value, name: &str) -> &'m str {
    mail["headers"][name].as_str().unwrap_or_else(|| panic!("no {name}: {mail:#}"))
}
