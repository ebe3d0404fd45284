//! Webhook endpoints in SQL.

use chrono::{DateTime, Utc};
use diesel::{dsl::exists, prelude::*};
use diesel_async::RunQueryDsl;

use crate::webhooks::id::WebhookEndpointId;
use crate::{
    schema::webhook_endpoints,
    webhooks::endpoint::model::{Endpoint, Secrets, Status},
};
use mainstay_kernel::{
    database::{
        Connection,
        integrity::{corrupt, one_row},
        seek::listed,
        statement::Prepare as _,
        violated_foreign_key,
    },
    error::{Error, Result},
    id::AccountId,
    page::{Listed, Page},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = webhook_endpoints, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: WebhookEndpointId,
    account_id: Option<AccountId>,
    url: String,
    description: String,
    kinds: Vec<String>,
    status: i16,
    failing_since: Option<DateTime<Utc>>,
    secret: Vec<u8>,
    old_secret: Option<Vec<u8>>,
    old_secret_until: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    older_secrets: Vec<Vec<u8>>,
    older_secrets_until: Vec<DateTime<Utc>>,
}

impl From<&Endpoint> for Row {
    fn from(endpoint: &Endpoint) -> Self {
        // An earlier version of this server reads the latest one only.
        let mut old = endpoint.secrets.old.iter().cloned();
        let (old_secret, old_secret_until) = old.next().unzip();
        let (older_secrets, older_secrets_until) = old.unzip();
        Self {
            id: endpoint.id,
            account_id: endpoint.account,
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
            kinds: endpoint.kinds.clone(),
            status: endpoint.status.number(),
            failing_since: endpoint.failing_since,
            secret: endpoint.secrets.current.clone(),
            old_secret,
            old_secret_until,
            older_secrets,
            older_secrets_until,
            version: endpoint.version,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

impl TryFrom<Row> for Endpoint {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let broken = || corrupt("webhook_endpoints", row.id, "a number");
        let old = row.old_secret.zip(row.old_secret_until);
        let old = old.into_iter().chain(row.older_secrets.into_iter().zip(row.older_secrets_until)).collect();
        Ok(Self {
            id: row.id,
            account: row.account_id,
            // Kinds that no module declares any more are kept, because dropping them could leave an empty list, which
            // means all kinds.
            kinds: row.kinds,
            status: Status::from_number(row.status.into()).ok_or_else(broken)?,
            url: row.url,
            description: row.description,
            failing_since: row.failing_since,
            secrets: Secrets { current: row.secret, old },
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Stores a new endpoint.
///
/// # Errors
/// `NOT_FOUND` for an unknown account.
pub async fn insert(connection: &mut Connection, endpoint: &Endpoint) -> Result<()> {
    let insert = diesel::insert_into(webhook_endpoints::table).values(Row::from(endpoint));
    match insert.execute(connection).await {
        Err(error) if violated_foreign_key(&error) == Some("webhook_endpoints_account_id_fkey") => {
            Err(Error::not_found("account").caused_by(error))
        }
        inserted => one_row(inserted?, "insert", "webhook_endpoints", endpoint.id),
    }
}

/// Returns one endpoint.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, id: WebhookEndpointId) -> Result<Endpoint> {
    let query = webhook_endpoints::table.find(id).select(Row::as_select());
    require(query.first(&mut &*connection).await.optional()?)
}

/// Returns one endpoint, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: WebhookEndpointId) -> Result<Endpoint> {
    let query = webhook_endpoints::table.find(id).select(Row::as_select()).for_no_key_update();
    require(query.first(&mut &*connection).await.optional()?)
}

fn require(row: Option<Row>) -> Result<Endpoint> {
    row.ok_or_else(|| Error::not_found("webhook endpoint"))?.try_into()
}

/// Stores the next version of a locked endpoint.
pub async fn update(connection: &Connection, endpoint: &Endpoint) -> Result<()> {
    let target = webhook_endpoints::table
        .filter(webhook_endpoints::id.eq(endpoint.id))
        .filter(webhook_endpoints::version.eq(endpoint.version - 1));
    let rows = diesel::update(target).set(Row::from(endpoint)).prepared().execute(&mut &*connection).await?;
    one_row(rows, "update", "webhook_endpoints", endpoint.id)
}

/// Removes a locked endpoint, without its deliveries.
pub async fn delete(connection: &mut Connection, id: WebhookEndpointId) -> Result<()> {
    let rows = diesel::delete(webhook_endpoints::table.find(id)).execute(connection).await?;
    one_row(rows, "delete", "webhook_endpoints", id)
}

/// Returns a page of endpoints, newest first.
pub async fn list(connection: &Connection, page: Page) -> Result<Listed<Endpoint>> {
    listed!(connection, webhook_endpoints::table.into_boxed(), webhook_endpoints::created_at, page, Row => Endpoint)
}

/// An endpoint and the events it receives.
#[derive(Debug, Queryable)]
pub struct Subscriber {
    pub id: WebhookEndpointId,
    /// The account whose events it receives; `None` for all accounts.
    pub account: Option<AccountId>,
    kinds: Vec<String>,
}

impl Subscriber {
    /// Returns whether the endpoint receives events of a kind.
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|other| other == kind)
    }
}

/// Returns the enabled endpoints that receive any of these kinds of events of these accounts, locked against removal
/// until the transaction ends. Waits for a concurrent removal, which may be rolled back.
pub async fn subscribers(connection: &Connection, accounts: &[AccountId], kinds: &[&str]) -> Result<Vec<Subscriber>> {
    let query = webhook_endpoints::table
        .filter(webhook_endpoints::status.eq(Status::Enabled.number()))
        .filter(webhook_endpoints::account_id.is_null().or(webhook_endpoints::account_id.eq_any(accounts)))
        .filter(webhook_endpoints::kinds.eq(Vec::<String>::new()).or(webhook_endpoints::kinds.overlaps_with(kinds)));
    let columns = (webhook_endpoints::id, webhook_endpoints::account_id, webhook_endpoints::kinds);
    Ok(query.select(columns).for_key_share().load(&mut &*connection).await?)
}

/// Returns whether any endpoint exists.
pub async fn any(connection: &mut Connection) -> Result<bool> {
    Ok(diesel::select(exists(webhook_endpoints::table.select(webhook_endpoints::id))).get_result(connection).await?)
}

/// Removes the endpoints of removed accounts, and returns their ids.
pub async fn erase(connection: &mut Connection, accounts: &[AccountId]) -> Result<Vec<WebhookEndpointId>> {
    let erased = webhook_endpoints::table.filter(webhook_endpoints::account_id.eq_any(accounts.to_vec()));
    Ok(diesel::delete(erased).returning(webhook_endpoints::id).get_results(connection).await?)
}
