//! The open tickets of customers and of the keys of accounts, which are limited.

use diesel::{
    prelude::*,
    sql_types::{BigInt, SmallInt, Uuid},
};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    contract::policy::Role,
    database::{Connection, pipeline::pipeline, statement::Prepare as _},
    error::Result,
    id::{AccountId, UserId},
};

use crate::{
    schema::{accounts, tickets, users},
    support::ticket::model::{ActivityKind, Status},
};

/// Counts the open tickets of a customer in an account and blocks the customer's other writes until the transaction ends, so that two
/// concurrent creates can't both take the last free slot.
pub async fn lock_and_count_open(connection: &Connection, requester: UserId, account: AccountId) -> Result<i64> {
    let lock = users::table.find(requester).select(users::id).for_no_key_update();
    let open = tickets::table
        .filter(tickets::requester_id.eq(requester))
        .filter(tickets::account_id.eq(account))
        .filter(tickets::status.ne(Status::Resolved.number()));
    // In one round trip, in this order: the count begins once the lock is held, so that it sees what its last holder
    // did.
    let (_, open): (uuid::Uuid, i64) =
        pipeline!(lock.first(&mut &*connection), open.count().get_result(&mut &*connection))?;
    Ok(open)
}

/// Counts the open tickets that keys of an account have created, and blocks other creates by keys of the account until the
/// transaction ends. Imports and services of the platform create tickets without a requester, too: ten times `limit` of the
/// newest ones are read, so that the count stays cheap after a large import.
pub async fn lock_and_count_open_of_keys(connection: &Connection, account: AccountId, limit: i64) -> Result<i64> {
    const SQL: &str = "SELECT count(*) FROM (SELECT id FROM tickets \
                           WHERE account_id = $1 AND requester_id IS NULL AND status <> $2 \
                           ORDER BY created_at DESC, id DESC LIMIT $3) newest \
                       WHERE EXISTS (SELECT FROM activities WHERE ticket_id = newest.id AND kind = $4 \
                           AND actor_role = $5 AND actor_id IS NOT NULL)";
    let lock = accounts::table.find(account).select(accounts::id).for_no_key_update();
    let count = diesel::sql_query(SQL)
        .bind::<Uuid, _>(account)
        .bind::<SmallInt, _>(Status::Resolved.number())
        .bind::<BigInt, _>(limit.saturating_mul(10))
        .bind::<SmallInt, _>(ActivityKind::Created.number())
        .bind::<SmallInt, _>(Role::Customer as i16)
        .columns::<BigInt>()
        .prepared();
    let (_, open): (AccountId, i64) = pipeline!(lock.first(&mut &*connection), count.get_result(&mut &*connection))?;
    Ok(open)
}
