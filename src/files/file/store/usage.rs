//! The storage usage of accounts. The row of an account is locked from the first change until the transaction ends, so
//! concurrent uploads are serialized.

use diesel::{prelude::*, sql_types::BigInt, sql_types::Uuid};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    database::{Connection, integrity::one_row, statement::Prepare as _},
    error::Result,
    id::AccountId,
};

use crate::{
    proto::files::v1::Reason,
    schema::{file_usage, stored_objects},
};

/// Reserves quota of an account.
///
/// # Errors
/// `STORAGE_QUOTA_EXCEEDED`.
pub async fn reserve(connection: &Connection, account: AccountId, bytes: i64, quota: i64) -> Result<()> {
    const SQL: &str = "INSERT INTO file_usage AS own (account_id, size_bytes) SELECT $1, $2 WHERE $2 <= $3 \
                       ON CONFLICT (account_id) DO UPDATE SET size_bytes = own.size_bytes + excluded.size_bytes \
                       WHERE own.size_bytes + excluded.size_bytes <= $3";
    let rows = diesel::sql_query(SQL)
        .bind::<Uuid, _>(account)
        .bind::<BigInt, _>(bytes)
        .bind::<BigInt, _>(quota)
        .prepared()
        .execute(&mut &*connection)
        .await?;
    if rows == 1 { Ok(()) } else { Err(Reason::StorageQuotaExceeded.into()) }
}

/// Returns quota to an account.
pub async fn give_back(connection: &mut Connection, account: AccountId, bytes: i64) -> Result<()> {
    let usage = diesel::update(file_usage::table.find(account));
    let usage = usage.set(file_usage::size_bytes.eq(file_usage::size_bytes - bytes));
    one_row(usage.prepared().execute(connection).await?, "update", "file_usage", account)
}

/// Removes the usage of removed accounts: their objects return no quota when they are deleted.
pub async fn erase_usage(connection: &mut Connection, accounts: &[AccountId]) -> Result<()> {
    let objects = stored_objects::table.filter(stored_objects::account_id.eq_any(accounts.to_vec()));
    let none = (stored_objects::account_id.eq(None::<AccountId>), stored_objects::size_bytes.eq(None::<i64>));
    diesel::update(objects).set(none).execute(connection).await?;
    let usage = file_usage::table.filter(file_usage::account_id.eq_any(accounts.to_vec()));
    diesel::delete(usage).execute(connection).await?;
    Ok(())
}
