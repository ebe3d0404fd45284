//! SQL of generated users and tickets. Postgres generates the tickets, so that only parameters travel over the wire.
//!
//! The texts and the state of a ticket derive from its number, so that two databases with equal seeds have the same
//! content in the same order.

mod texts;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Text, Timestamptz, Uuid},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};

use crate::schema::{accounts, users};
use mainstay_kernel::{
    database::Connection,
    error::{Error, Result},
    id::{AccountId, UserId},
};

/// The domain of generated e-mail addresses; mail to it is never delivered (RFC 2606).
const DOMAIN: &str = "@seed.invalid";
/// Rows per statement, which can bind 65,535 values.
const ROWS: usize = 5000;

/// The users of generated tickets.
#[derive(Debug, Clone, Default)]
pub struct People {
    pub accounts: Vec<AccountId>,
    /// One customer of each account, in the order of the accounts.
    pub customers: Vec<UserId>,
    pub agents: Vec<UserId>,
}

/// A user to be stored.
#[derive(Debug, Insertable)]
#[diesel(table_name = users)]
pub struct Person {
    pub id: UserId,
    pub account_id: AccountId,
    /// The part of the e-mail address before the domain.
    pub email: String,
    pub name: String,
    /// The number of the role.
    pub role: i16,
    /// A hash that no password matches.
    pub password_hash: String,
    /// The time of creation.
    pub created_at: DateTime<Utc>,
    /// The time of the last update.
    pub updated_at: DateTime<Utc>,
}

/// Returns the generated users that exist.
///
/// # Errors
/// Any error of Postgres.
pub async fn find(connection: &mut Connection) -> Result<People> {
    let generated = users::table.filter(users::email.like(format!("%{DOMAIN}"))).order(users::email);
    let query = generated.select((users::id, users::account_id, users::role));
    let mut people = People::default();
    for (id, account, role) in query.load::<(UserId, AccountId, i16)>(connection).await? {
        if role == mainstay_kernel::contract::policy::Role::Customer as i16 {
            people.accounts.push(account);
            people.customers.push(id);
        } else {
            people.agents.push(id);
        }
    }
    Ok(people)
}

/// Stores generated users, and an account for each customer.
///
/// # Errors
/// Any error of Postgres.
pub async fn add(connection: &mut Connection, accounts: &[(AccountId, String)], mut people: Vec<Person>) -> Result<()> {
    let Some(now) = people.as_slice().first().map(|person| person.created_at) else { return Ok(()) };
    let row = |(id, name): &(AccountId, String)| {
        (accounts::id.eq(*id), accounts::name.eq(name.clone()), accounts::created_at.eq(now))
    };
    let rows: Vec<_> = accounts.iter().map(row).collect();
    for rows in rows.chunks(ROWS) {
        let inserted = diesel::insert_into(accounts::table).values(rows).execute(connection).await?;
        crate::support::import::store::expect_row_count(inserted, rows.len(), "accounts")?;
    }
    people.iter_mut().for_each(|person| person.email.push_str(DOMAIN));
    for people in people.chunks(ROWS) {
        let inserted = diesel::insert_into(users::table).values(people).execute(connection).await?;
        crate::support::import::store::expect_row_count(inserted, people.len(), "users")?;
    }
    Ok(())
}

/// Adds the partitions of activities for the months between two times.
///
/// # Errors
/// Any error of Postgres.
pub async fn add_months(connection: &mut Connection, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<()> {
    const SQL: &str = "SELECT add_partition('activities', month) \
                       FROM generate_series(date_trunc('month', $1, 'UTC'), $2, interval '1 month') AS month";
    let query = diesel::sql_query(SQL).bind::<Timestamptz, _>(since).bind::<Timestamptz, _>(until);
    query.execute(connection).await?;
    Ok(())
}

/// The tickets to generate.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// The number of the first one.
    pub first: i64,
    /// The number of tickets.
    pub count: i64,
    /// The creation time of the first one.
    pub since: DateTime<Utc>,
    /// Microseconds from one ticket to the next.
    pub step_us: i64,
    /// The end of the time range: no ticket is updated later.
    pub until: DateTime<Utc>,
}

/// Generates tickets and, with `history`, a comment for most and an activity for each. This transaction commits
/// asynchronously: a crash of Postgres may lose it, without corruption.
///
/// # Errors
/// Any error of Postgres.
pub async fn insert_tickets(connection: &mut Connection, people: &People, range: Range, history: bool) -> Result<()> {
    connection.batch_execute("SET LOCAL synchronous_commit = off").await?;
    let inserted = diesel::sql_query(if history { texts::TICKETS_WITH_HISTORY } else { texts::TICKETS })
        .bind::<BigInt, _>(range.first)
        .bind::<BigInt, _>(range.count)
        .bind::<Timestamptz, _>(range.since)
        .bind::<BigInt, _>(range.step_us)
        .bind::<Timestamptz, _>(range.until)
        .bind::<Array<Uuid>, _>(&people.accounts)
        .bind::<Array<Uuid>, _>(&people.customers)
        .bind::<Array<Uuid>, _>(&people.agents)
        .bind::<Array<Text>, _>(texts::PRODUCTS)
        .bind::<Array<Text>, _>(texts::SUBJECTS)
        .bind::<Array<Text>, _>(texts::SENTENCES)
        .execute(connection)
        .await?;
    if inserted == usize::try_from(range.count).unwrap_or(0) {
        return Ok(());
    }
    Err(Error::internal(anyhow::anyhow!("seed: {inserted} of {} tickets", range.count)))
}

/// Updates statistics, visibility maps and pending index entries, as autovacuum would later.
///
/// # Errors
/// Any error of Postgres.
pub async fn tidy(connection: &mut Connection) -> Result<()> {
    connection.batch_execute("SET statement_timeout = 0").await?;
    for table in ["tickets", "comments", "activities", "ticket_counts", "users", "accounts"] {
        connection.batch_execute(&format!("VACUUM (ANALYZE) {table}")).await?;
    }
    Ok(connection.batch_execute("RESET statement_timeout").await?)
}
