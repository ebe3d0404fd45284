//! Suppressed addresses in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    mail::suppression::model::{Reason, Suppression},
    schema::mail_suppressions,
};
use mainstay_kernel::{
    database::{Connection, integrity::corrupt},
    error::Result,
};

/// Adds an address, unless it is already suppressed for the same reason; returns whether it was added.
pub async fn insert(connection: &mut Connection, suppression: &Suppression) -> Result<bool> {
    let row = (
        mail_suppressions::address.eq(&suppression.address),
        mail_suppressions::reason.eq(suppression.reason.number()),
        mail_suppressions::created_at.eq(suppression.created_at),
    );
    let target = diesel::insert_into(mail_suppressions::table).values(row).on_conflict_do_nothing();
    Ok(target.execute(connection).await? == 1)
}

/// Returns the reason why mail, or a notification, to an address is suppressed.
pub async fn reason(connection: &mut Connection, address: &str, notification: bool) -> Result<Option<Reason>> {
    let all = mail_suppressions::table.filter(mail_suppressions::address.eq(address));
    let reasons: Vec<i16> =
        all.select(mail_suppressions::reason).order(mail_suppressions::reason).load(connection).await?;
    let mut reasons = reasons.into_iter().filter_map(|number| Reason::from_number(number.into()));
    Ok(reasons.find(|reason| notification || *reason != Reason::Unsubscribed))
}

/// Returns at most `limit` suppressions, newest first.
pub async fn list(connection: &mut Connection, limit: i64) -> Result<Vec<Suppression>> {
    let query = mail_suppressions::table.order(mail_suppressions::created_at.desc()).limit(limit);
    let rows: Vec<(String, i16, DateTime<Utc>)> = query.load(connection).await?;
    let read = |(address, number, created_at): (String, i16, DateTime<Utc>)| {
        let reason = Reason::from_number(number.into());
        let reason = reason.ok_or_else(|| corrupt("mail_suppressions", created_at, "reason"))?;
        Ok(Suppression { address, reason, created_at })
    };
    rows.into_iter().map(read).collect()
}

/// Moves an unsubscription to another address.
pub async fn move_unsubscription(connection: &mut Connection, [from, to]: [&str; 2], now: DateTime<Utc>) -> Result<()> {
    let reason = Reason::Unsubscribed;
    let old = mail_suppressions::table.find((from, reason.number()));
    if diesel::delete(old).execute(connection).await? == 1 {
        insert(connection, &Suppression { address: to.to_owned(), reason, created_at: now }).await?;
    }
    Ok(())
}

/// Removes an address; returns the number of reasons it was suppressed for.
pub async fn remove(connection: &mut Connection, address: &str) -> Result<usize> {
    let target = mail_suppressions::table.filter(mail_suppressions::address.eq(address));
    Ok(diesel::delete(target).execute(connection).await?)
}

/// Removes at most `limit` bounces and unsubscriptions from before `before` whose addresses no user has; returns how many.
/// A complaint stays, because another mail would be a nuisance.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM mail_suppressions WHERE ctid = ANY (ARRAY( \
        SELECT s.ctid FROM mail_suppressions s WHERE s.reason <> 2 AND s.created_at < $1 \
        AND NOT EXISTS (SELECT FROM users WHERE users.email = s.address) LIMIT $2))";
    let statement = diesel::sql_query(SQL).bind::<Timestamptz, _>(before).bind::<BigInt, _>(limit);
    Ok(statement.execute(connection).await?)
}
