//! Erasure of the tickets of removed accounts.

use diesel::sql_types::{Array, BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::Result,
    id::{AccountId, UserId},
};

/// Removes the tickets and comments of accounts, and the keys of their imported rows. Returns the ids of tickets and
/// comments. Tickets of other accounts lose an assignee that belongs to the accounts.
pub async fn erase(connection: &mut Connection, accounts: &[AccountId], users: &[UserId]) -> Result<Vec<Uuid>> {
    const UNASSIGN: &str = "UPDATE tickets SET assignee_id = NULL, version = version + 1, \
        status = CASE status WHEN 2 THEN 1 ELSE status END WHERE assignee_id = ANY($1) AND account_id <> ALL($2)";
    // The snapshot of the statement still contains the comments.
    const ERASE: &str = "WITH erased AS (DELETE FROM tickets WHERE account_id = ANY($1) RETURNING id) \
        SELECT id FROM erased UNION ALL SELECT comments.id FROM comments JOIN erased ON ticket_id = erased.id";
    const REST: [&str; 2] = [
        "DELETE FROM imported_rows WHERE account_id = ANY($1)",
        "DELETE FROM ticket_counts WHERE account_id = ANY($1) OR assignee_id = ANY($2)",
    ];
    let unassign = diesel::sql_query(UNASSIGN).bind::<Array<SqlUuid>, _>(users).bind::<Array<SqlUuid>, _>(accounts);
    unassign.execute(connection).await?;
    let erase = diesel::sql_query(ERASE).bind::<Array<SqlUuid>, _>(accounts).columns::<SqlUuid>();
    let erased = erase.load(connection).await?;
    diesel::sql_query(REST[0]).bind::<Array<SqlUuid>, _>(accounts).execute(connection).await?;
    let counts = diesel::sql_query(REST[1]).bind::<Array<SqlUuid>, _>(accounts).bind::<Array<SqlUuid>, _>(users);
    counts.execute(connection).await?;
    Ok(erased)
}

/// Removes at most `limit` tickets of an account with their comments. Returns the ids of tickets and comments.
pub async fn erase_some(connection: &mut Connection, account: AccountId, limit: i64) -> Result<Vec<Uuid>> {
    // The snapshot of the statement still contains the comments.
    const SQL: &str = "WITH erased AS (DELETE FROM tickets WHERE id = ANY (ARRAY( \
          SELECT id FROM tickets WHERE account_id = $1 LIMIT $2)) RETURNING id) \
        SELECT id FROM erased UNION ALL SELECT comments.id FROM comments JOIN erased ON ticket_id = erased.id";
    let erased = diesel::sql_query(SQL).bind::<SqlUuid, _>(account).bind::<BigInt, _>(limit);
    Ok(erased.columns::<SqlUuid>().load(connection).await?)
}

/// Removes the activities of removed tickets. The trigger that protects activities must be suspended.
pub async fn erase_activities(connection: &mut Connection, tickets: &[Uuid]) -> Result<()> {
    const SQL: &str = "DELETE FROM activities WHERE ticket_id = ANY($1)";
    diesel::sql_query(SQL).bind::<Array<SqlUuid>, _>(tickets).execute(connection).await?;
    Ok(())
}
