//! The state of the export in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    database::{Connection, schema::audit_links},
    error::Result,
};
use uuid::Uuid;

use crate::schema::audit_export;

/// Returns the last link that the receiver has taken.
pub async fn last(mut connection: &Connection) -> Result<Uuid> {
    Ok(audit_export::table.select(audit_export::link_id).first(&mut connection).await?)
}

/// Records that the receiver has taken the links up to one. Returns `false` if another worker has recorded something since `last`
/// was read.
pub async fn advance(
    mut connection: &Connection,
    last: Uuid,
    (link, number): (Uuid, i64),
    now: DateTime<Utc>,
) -> Result<bool> {
    let values = (audit_export::link_id.eq(link), audit_export::number.eq(number), audit_export::sent_at.eq(now));
    let update = diesel::update(audit_export::table.filter(audit_export::link_id.eq(last))).set(values);
    Ok(update.execute(&mut connection).await? == 1)
}

/// Returns the first link that the receiver has not taken.
pub async fn next(mut connection: &Connection) -> Result<Option<Uuid>> {
    let last = last(connection).await?;
    let links = audit_links::table.filter(audit_links::id.gt(last)).order(audit_links::id);
    Ok(links.select(audit_links::id).first(&mut connection).await.optional()?)
}
