//! The subscriptions of the built-in sandbox gateway.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    payments::{
        gateway::sandbox::store::{Row as Movement, movements},
        ledger::model::Kind,
    },
    schema::sandbox_subscriptions as subscriptions,
    subscriptions::model::Cancellation,
};
use mainstay_kernel::{database::Connection, error::Result};

/// A subscription of the sandbox.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = subscriptions, treat_none_as_default_value = false)]
pub struct Row {
    /// The idempotency key.
    pub key: String,
    /// The sandbox's id of the subscription.
    pub gateway_id: String,
    /// The id of the subscription in this system.
    pub subject_id: Uuid,
    /// The payment method.
    pub method: String,
    /// The currency (ISO 4217).
    pub currency: String,
    /// The price of a period, in the smallest unit.
    pub amount_minor: i64,
    /// The billing interval: 1 month, 2 year.
    pub billing_interval: i16,
    /// The time from which periods are counted.
    pub anchor: DateTime<Utc>,
    /// The number of the current period, from 1.
    #[diesel(column_name = periods)]
    pub current_period: i32,
    /// Whether the current period is unpaid.
    pub past_due: bool,
    /// Whether the subscription ends with the current period.
    pub cancel_at_period_end: bool,
    /// The time at which it ended.
    pub cancelled_at: Option<DateTime<Utc>>,
}

/// Stores a subscription under its key, or returns the stored one; the flag says whether the subscription is new.
pub async fn insert_or_get(connection: &mut Connection, row: Row) -> Result<(Row, bool)> {
    let inserted = diesel::insert_into(subscriptions::table).values(&row).on_conflict(subscriptions::key).do_nothing();
    if inserted.execute(connection).await? == 1 {
        return Ok((row, true));
    }
    Ok((subscriptions::table.find(&row.key).select(Row::as_select()).first(connection).await?, false))
}

/// Returns the subscription with this id of the sandbox.
pub async fn get(connection: &mut Connection, gateway_id: &str) -> Result<Option<Row>> {
    let query = subscriptions::table.filter(subscriptions::gateway_id.eq(gateway_id)).select(Row::as_select());
    Ok(query.first(connection).await.optional()?)
}

/// Returns the sandbox's subscription for a subscription of this system.
pub async fn find(connection: &mut Connection, subject: Uuid) -> Result<Option<Row>> {
    let query = subscriptions::table.filter(subscriptions::subject_id.eq(subject)).select(Row::as_select());
    Ok(query.first(connection).await.optional()?)
}

/// Returns the paid invoices of a subscription of this system.
pub async fn invoices(connection: &mut Connection, subject: Uuid) -> Result<Vec<Movement>> {
    let paid =
        movements::table.filter(movements::subject_id.eq(subject)).filter(movements::kind.eq(Kind::Invoice.number()));
    Ok(paid.select(Movement::as_select()).load(connection).await?)
}

/// Stores the state of a subscription after the end of a period, unless a concurrent request did.
pub async fn update_period(connection: &mut Connection, next: Row, ended_period: i32) -> Result<()> {
    let current =
        subscriptions::table.filter(subscriptions::key.eq(next.key)).filter(subscriptions::periods.eq(ended_period));
    let values = (
        subscriptions::periods.eq(next.current_period),
        subscriptions::past_due.eq(next.past_due),
        subscriptions::cancelled_at.eq(next.cancelled_at),
    );
    let current = current.filter(subscriptions::cancelled_at.is_null());
    diesel::update(current).set(values).execute(connection).await?;
    Ok(())
}

/// Cancels a subscription that has not ended.
pub async fn cancel(
    connection: &mut Connection,
    gateway_id: &str,
    how: Cancellation,
    now: DateTime<Utc>,
) -> Result<()> {
    let current = subscriptions::table.filter(subscriptions::gateway_id.eq(gateway_id));
    let current = current.filter(subscriptions::cancelled_at.is_null());
    match how {
        Cancellation::Immediately => {
            diesel::update(current).set(subscriptions::cancelled_at.eq(now)).execute(connection).await?
        }
        Cancellation::AtPeriodEnd => {
            diesel::update(current).set(subscriptions::cancel_at_period_end.eq(true)).execute(connection).await?
        }
    };
    Ok(())
}
