//! Subscriptions in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{orders::id::ProductId, subscriptions::id::SubscriptionId};
use crate::{
    orders::product::model::Interval,
    payments::{
        customer::ops::customer_id,
        payment::model::PaymentMethod,
        settlement::{
            model::{AttemptLease, Failure, FailureKind},
            ops::attempt_lease_row,
        },
    },
    schema::subscriptions,
    subscriptions::model::{Cancellation, Filter, Period, Phase, State, Status, Subscription},
};
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection, convert,
        integrity::{corrupt, one_row},
        seek::{listed, seek},
        statement::Prepare as _,
        visibility::visible,
    },
    error::{Error, Result},
    id::AccountId,
    money::Money,
    page::{Key, Listed, Page},
};

attempt_lease_row!(subscriptions);

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = subscriptions, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: SubscriptionId,
    account_id: AccountId,
    product_id: ProductId,
    product_name: String,
    currency: String,
    price_minor: i64,
    billing_interval: i16,
    subscribed_by: Uuid,
    gateway: String,
    method: String,
    status: i16,
    gateway_id: Option<String>,
    period_start: Option<DateTime<Utc>>,
    period_end: Option<DateTime<Utc>>,
    cancel_at_period_end: bool,
    pending_cancellation: Option<i16>,
    cancelled_at: Option<DateTime<Utc>>,
    failure_kind: Option<i16>,
    failure_code: Option<String>,
    failure_message: Option<String>,
    last_query: i64,
    last_answer: i64,
    next_sync_at: Option<DateTime<Utc>>,
    #[diesel(embed)]
    lease: AttemptLeaseRow,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn of(subscription: &Subscription, next_sync_at: Option<DateTime<Utc>>) -> Self {
        let state = &subscription.state;
        let (period, failure) = (state.period(), state.failure());
        Self {
            id: subscription.id,
            account_id: subscription.account,
            product_id: subscription.product,
            product_name: subscription.product_name.clone(),
            currency: subscription.price.currency().code().to_owned(),
            price_minor: subscription.price.minor(),
            billing_interval: subscription.interval.number(),
            subscribed_by: subscription.subscribed_by,
            gateway: subscription.gateway.clone(),
            method: subscription.method.token().to_owned(),
            status: state.status().number(),
            gateway_id: state.gateway_id().map(str::to_owned),
            period_start: period.map(|period| period.start),
            period_end: period.map(|period| period.end),
            cancel_at_period_end: subscription.cancel_at_period_end,
            pending_cancellation: subscription.pending_cancellation.map(Cancellation::number),
            cancelled_at: state.cancelled_at(),
            failure_kind: failure.map(|failure| failure.kind.number()),
            failure_code: failure.map(|failure| failure.code.clone()),
            failure_message: failure.map(|failure| failure.message.clone()),
            last_query: subscription.last_query,
            last_answer: subscription.last_answer,
            next_sync_at,
            lease: subscription.lease.into(),
            version: subscription.version,
            created_at: subscription.created_at,
            updated_at: subscription.updated_at,
        }
    }

    /// Builds the state from its columns; `None` when they violate their check.
    fn state(&self) -> Option<State> {
        let began = match (&self.gateway_id, self.period_start, self.period_end) {
            (Some(gateway_id), Some(start), Some(end)) => Some((gateway_id.clone(), Period { start, end })),
            _ => None,
        };
        let began = |phase| began.map(|(gateway_id, period)| State::Started { gateway_id, phase, period });
        match Status::from_number(self.status.into())? {
            Status::Pending => Some(State::Pending),
            Status::Active => began(Phase::Active),
            Status::PastDue => began(Phase::PastDue),
            Status::Cancelled => began(Phase::Cancelled(self.cancelled_at?)),
            Status::Failed => Some(State::Failed(Failure {
                kind: FailureKind::from_number(self.failure_kind?.into())?,
                code: self.failure_code.clone()?,
                message: self.failure_message.clone()?,
            })),
        }
    }
}

/// A row with the gateway's id of the account, which no update of the row touches.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = subscriptions)]
struct CustomerRow {
    #[diesel(embed)]
    row: Row,
    customer_id: Option<String>,
}

impl TryFrom<CustomerRow> for Subscription {
    type Error = Error;

    fn try_from(CustomerRow { row, customer_id: customer }: CustomerRow) -> Result<Self> {
        let broken = || corrupt("subscriptions", row.id, "status");
        let state = row.state().ok_or_else(broken)?;
        Ok(Self {
            id: row.id,
            account: row.account_id,
            product: row.product_id,
            product_name: row.product_name,
            price: Money::from_columns(row.price_minor, &row.currency)?,
            interval: Interval::from_column(row.billing_interval)?,
            subscribed_by: row.subscribed_by,
            gateway: row.gateway,
            method: PaymentMethod::parse(row.method).map_err(|_| broken())?,
            customer,
            state,
            cancel_at_period_end: row.cancel_at_period_end,
            pending_cancellation: row.pending_cancellation.and_then(|number| Cancellation::from_number(number.into())),
            last_query: row.last_query,
            last_answer: row.last_answer,
            lease: row.lease.into(),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

visible!(subscriptions, subscribed_by);

fn matching<'q>(visibility: Visibility, filter: &Filter) -> Boxed<'q> {
    let mut query = visible(visibility);
    if let Some(account) = filter.account {
        query = query.filter(subscriptions::account_id.eq(account));
    }
    if !filter.statuses.is_empty() {
        let statuses: Vec<i16> = filter.statuses.iter().map(|status| status.number()).collect();
        query = query.filter(subscriptions::status.eq_any(statuses));
    }
    query
}

/// Returns one subscription that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: SubscriptionId) -> Result<Subscription> {
    let query = visible(visibility).filter(subscriptions::id.eq(id)).select(CustomerRow::as_select());
    convert::found::<CustomerRow, _>(query.first(&mut &*connection).await, "subscription")
}

/// Returns one subscription that is visible to the caller, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, visibility: Visibility, id: SubscriptionId) -> Result<Subscription> {
    // A boxed query has no lock clause, so visibility is checked on the row. The error is the same.
    let lock = subscriptions::table.find(id).select(CustomerRow::as_select()).for_no_key_update();
    let row: Option<CustomerRow> = lock.first(&mut &*connection).await.optional()?;
    let row = row.filter(|CustomerRow { row, .. }| visibility.reaches(row.account_id, row.subscribed_by));
    row.ok_or_else(|| Error::not_found("subscription"))?.try_into()
}

/// Returns the subscription with this id or, without one, with this id of the gateway.
pub async fn find(
    connection: &mut Connection,
    gateway: &str,
    id: Option<SubscriptionId>,
    gateway_id: Option<&str>,
) -> Result<Option<Subscription>> {
    let at = subscriptions::table.filter(subscriptions::gateway.eq(gateway)).into_boxed();
    let at = match (id, gateway_id) {
        (Some(id), _) => at.filter(subscriptions::id.eq(id)),
        (None, Some(gateway_id)) => at.filter(subscriptions::gateway_id.eq(gateway_id)),
        (None, None) => return Ok(None),
    };
    convert::optional::<CustomerRow, _>(at.select(CustomerRow::as_select()).first(connection).await)
}

/// Returns a page of subscriptions, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    filter: &Filter,
    page: Page,
) -> Result<Listed<Subscription>> {
    // The order makes the planner read an index for the total, and only up to the bound.
    let ordered = || matching(visibility, filter).order((subscriptions::created_at.desc(), subscriptions::id.desc()));
    listed!(connection, ordered(), subscriptions::created_at, page, CustomerRow => Subscription)
}

/// Stores the intent of a subscription; returns it with the gateway's id of the account's customer.
///
/// # Errors
/// `NOT_FOUND` for an unknown account.
pub async fn insert(connection: &Connection, subscription: Subscription) -> Result<Subscription> {
    let customer = subscriptions::customer_id.eq(customer_id(&subscription.account, &subscription.gateway));
    let inserted = diesel::insert_into(subscriptions::table).values((Row::of(&subscription, None), customer));
    let inserted = inserted.returning(subscriptions::customer_id).get_result(&mut &*connection).await;
    let customer = inserted.map_err(|error| match mainstay_kernel::database::violated_foreign_key(&error) {
        Some("subscriptions_account_id_fkey") => Error::not_found("account"),
        _ => error.into(),
    })?;
    Ok(Subscription { customer, ..subscription })
}

/// Stores the gateway's id of the account's customer in a locked subscription.
pub async fn attach_customer(connection: &mut Connection, id: SubscriptionId, customer: &str) -> Result<()> {
    let customer_id = subscriptions::customer_id.eq(customer);
    let rows = diesel::update(subscriptions::table.find(id)).set(customer_id).prepared().execute(connection).await?;
    one_row(rows, "introduce", "subscriptions", id)
}

/// Stores the state of a locked subscription, and the latest time of its next query. The query counters do not make a
/// new version.
pub async fn update(connection: &Connection, subscription: &Subscription, now: DateTime<Utc>) -> Result<()> {
    let row = Row::of(subscription, subscription.next_sync(now));
    let update = diesel::update(subscriptions::table.find(subscription.id)).set(row).prepared();
    one_row(update.execute(&mut &*connection).await?, "update", "subscriptions", subscription.id)
}

/// Stores the attempt lease of a locked subscription, and its query counter.
pub async fn set_lease(connection: &mut Connection, subscription: &Subscription) -> Result<()> {
    let lease = AttemptLeaseRow::from(subscription.lease);
    let values = (subscriptions::last_query.eq(subscription.last_query), lease);
    let updated =
        diesel::update(subscriptions::table.find(subscription.id)).set(values).prepared().execute(connection).await?;
    one_row(updated, "lease", "subscriptions", subscription.id)
}

/// Returns the positions of at most `limit` subscriptions whose gateway is to be queried, longest overdue first.
pub async fn due(connection: &mut Connection, now: DateTime<Utc>, page: Page) -> Result<Vec<Key>> {
    let due = visible(Visibility::All).filter(subscriptions::next_sync_at.le(now));
    let due = seek(due, page, "(subscriptions.next_sync_at, subscriptions.id)", false);
    let due = due.order((subscriptions::next_sync_at, subscriptions::id));
    let rows: Vec<(Option<DateTime<Utc>>, Uuid)> =
        due.select((subscriptions::next_sync_at, subscriptions::id)).load(connection).await?;
    Ok(rows.into_iter().filter_map(|(time, id)| Some(Key { rank: None, time: time?, id })).collect())
}

/// Removes the subscriptions of removed accounts, and returns their ids. Foreign keys must be suspended, because the
/// ledger refers to subscriptions until its rows are removed.
pub async fn erase(connection: &mut Connection, accounts: &[AccountId]) -> Result<Vec<Uuid>> {
    let erased = diesel::delete(subscriptions::table.filter(subscriptions::account_id.eq_any(accounts.to_vec())));
    let ids: Vec<SubscriptionId> = erased.returning(subscriptions::id).get_results(connection).await?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}
