//! The subscriptions of the built-in sandbox gateway.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Row as Movement, movements};
use crate::{
    domain::subscription::Cancellation,
    error::Result,
    store::{Connection, schema::sandbox_subscriptions as subscriptions},
};

/// A subscription of the sandbox's.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = subscriptions)]
pub struct Row {
    /// The key it was made under.
    pub key: String,
    /// What the sandbox knows it by.
    pub gateway_id: String,
    /// The subscription of ours.
    pub subject_id: Uuid,
    /// The card.
    pub method: String,
    /// ISO 4217.
    pub currency: String,
    /// What a period costs, in the smallest unit.
    pub amount_minor: i64,
    /// 1 month, 2 year.
    pub billing_interval: i16,
    /// Periods are counted from here.
    pub anchor: DateTime<Utc>,
    /// The number of the current one, from 1.
    pub periods: i32,
    /// Whether the current one is not paid.
    pub past_due: bool,
    /// Whether it ends with the current one.
    pub cancel_at_period_end: bool,
    /// When it ended.
    pub cancelled_at: Option<DateTime<Utc>>,
}

/// Stores what is made under a key, or finds what was made under it before; the flag says whether it is new.
pub async fn once(connection: &mut Connection, row: Row) -> Result<(Row, bool)> {
    let inserted = diesel::insert_into(subscriptions::table).values(&row).on_conflict(subscriptions::key).do_nothing();
    if inserted.execute(connection).await? == 1 {
        return Ok((row, true));
    }
    Ok((subscriptions::table.find(&row.key).select(Row::as_select()).first(connection).await?, false))
}

/// The subscription of an id of the sandbox's.
pub async fn get(connection: &mut Connection, gateway_id: &str) -> Result<Option<Row>> {
    let query = subscriptions::table.filter(subscriptions::gateway_id.eq(gateway_id)).select(Row::as_select());
    Ok(query.first(connection).await.optional()?)
}

/// The subscription that is one of ours there.
pub async fn find(connection: &mut Connection, subject: Uuid) -> Result<Option<Row>> {
    let query = subscriptions::table.filter(subscriptions::subject_id.eq(subject)).select(Row::as_select());
    Ok(query.first(connection).await.optional()?)
}

/// What was paid for a subscription of ours.
pub async fn invoices(connection: &mut Connection, subject: Uuid) -> Result<Vec<Movement>> {
    let paid = movements::table.filter(movements::subject_id.eq(subject)).filter(movements::kind.eq(3));
    Ok(paid.select(Movement::as_select()).load(connection).await?)
}

/// Stores what became of a subscription at the end of its period, unless somebody else did.
pub async fn turn(connection: &mut Connection, next: Row, period: i32) -> Result<()> {
    let current =
        subscriptions::table.filter(subscriptions::key.eq(next.key)).filter(subscriptions::periods.eq(period));
    let values = (
        subscriptions::periods.eq(next.periods),
        subscriptions::past_due.eq(next.past_due),
        subscriptions::cancelled_at.eq(next.cancelled_at),
    );
    let current = current.filter(subscriptions::cancelled_at.is_null());
    diesel::update(current).set(values).execute(connection).await?;
    Ok(())
}

/// Cancels a subscription that goes on.
pub async fn cancel(
    connection: &mut Connection,
    gateway_id: &str,
    how: Cancellation,
    now: DateTime<Utc>,
) -> Result<()> {
    let current = subscriptions::table.filter(subscriptions::gateway_id.eq(gateway_id));
    let current = current.filter(subscriptions::cancelled_at.is_null());
    match how {
        Cancellation::AtOnce => {
            diesel::update(current).set(subscriptions::cancelled_at.eq(now)).execute(connection).await?
        }
        Cancellation::AtPeriodEnd => {
            diesel::update(current).set(subscriptions::cancel_at_period_end.eq(true)).execute(connection).await?
        }
    };
    Ok(())
}
