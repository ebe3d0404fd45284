//! Accounts in SQL.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{identity::user::model::Account, schema::accounts};
use mainstay_kernel::{database::Connection, error::Result};

/// Stores a new account.
pub async fn insert(connection: &mut Connection, account: &Account) -> Result<()> {
    let row =
        (accounts::id.eq(account.id), accounts::name.eq(&account.name), accounts::created_at.eq(account.created_at));
    diesel::insert_into(accounts::table).values(row).execute(connection).await?;
    Ok(())
}
