//! Generation of tickets, for trials of lists and limits at scale.

use chrono::TimeDelta;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::identity::registration::ops::no_password;
use crate::support::{
    seed::store::{self, People, Person, Range},
    ticket::{model::Filter, store as ticket},
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    contract::policy::Role,
    error::Result,
    id::{AccountId, UserId},
    unit_of_work::Work,
};

/// The number of tickets per transaction.
const BATCH: i64 = 20_000;
/// The number of concurrent transactions.
const CONCURRENCY: usize = 2;
/// The number of agents who work on generated tickets.
const AGENTS: usize = 20;
/// The time span of the tickets' creation times.
const SPAN: TimeDelta = TimeDelta::days(365);

/// The data to generate.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The number of tickets to add.
    pub tickets: i64,
    /// The number of accounts of the tickets, at most 65,536.
    pub accounts: usize,
    /// Whether to add comments and activities.
    pub history: bool,
}

/// Adds tickets, and calls `on_batch` with the size of each batch.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable; committed batches are kept.
pub async fn run(app: &App, plan: Plan, on_batch: impl Fn(i64)) -> Result<()> {
    let people = people(app, plan.accounts).await?;
    // Numbers continue after the existing tickets, so that a second run generates different ones.
    let total = app
        .database
        .autocommit(async move |connection| ticket::total(connection, Visibility::All, &Filter::default()).await);
    let first = total.await?.rows + 1;
    let now = app.clock.now();
    app.database.autocommit(async move |connection| store::add_months(connection, now - SPAN, now).await).await?;
    let step_us = SPAN.num_microseconds().unwrap_or(0) / plan.tickets.max(1);
    let starts = (0..plan.tickets).step_by(usize::try_from(BATCH).unwrap_or(1));
    let batches = stream::iter(starts).map(|start| {
        let since = now - SPAN + TimeDelta::microseconds(step_us * start);
        let count = BATCH.min(plan.tickets - start);
        let (range, people) = (Range { first: first + start, count, since, step_us, until: now }, people.clone());
        async move {
            let batch = app.database.transaction(async move |work: &mut Work| {
                store::insert_tickets(work.connection().await?, &people, range, plan.history).await
            });
            batch.await.map(|()| count)
        }
    });
    let report = |count| {
        on_batch(count);
        std::future::ready(Ok(()))
    };
    batches.buffer_unordered(CONCURRENCY).try_for_each(report).await
}

/// Updates statistics and folds the counters.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn tidy(app: &App) -> Result<()> {
    let tidy = app.database.autocommit(async move |connection| {
        ticket::fold_counts(connection).await?;
        store::tidy(connection).await
    });
    tidy.await
}

async fn people(app: &App, accounts: usize) -> Result<People> {
    let now = app.clock.now();
    let mut people = app.database.autocommit(async |connection| store::find(connection).await).await?;
    let password = no_password();
    let person = |account_id, role: Role, email: String, name: String| Person {
        id: UserId::generate(now),
        account_id,
        email,
        name,
        role: role as i16,
        password_hash: password.clone(),
        created_at: now,
        updated_at: now,
    };
    let (mut organisations, mut missing) = (Vec::new(), Vec::new());
    for number in people.accounts.len() + 1..=accounts {
        let account = AccountId::generate(now);
        organisations.push((account, format!("Seed {number}")));
        let name = format!("Customer {number}");
        missing.push(person(account, Role::Customer, format!("customer-{number:05}"), name));
    }
    let home = organisations.first().map(|(id, _)| *id).or(people.accounts.first().copied());
    if let Some(home) = home {
        for number in people.agents.len() + 1..=AGENTS {
            missing.push(person(home, Role::Agent, format!("agent-{number:02}"), format!("Agent {number}")));
        }
    }
    if !missing.is_empty() {
        let add = async move |work: &mut Work| store::add(work.connection().await?, &organisations, missing).await;
        app.database.transaction(add).await?;
        people = app.database.autocommit(async |connection| store::find(connection).await).await?;
    }
    people.accounts.truncate(accounts);
    people.customers.truncate(accounts);
    Ok(people)
}
