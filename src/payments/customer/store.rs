//! The ids by which gateways know accounts.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::schema::gateway_customers as customers;
use mainstay_kernel::{database::Connection, error::Result, id::AccountId};

/// Returns the id by which a gateway knows an account, as an expression of another statement; null if there is none.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn customer_id<'a>(account: &'a AccountId, gateway: &'a str) -> _ {
    let query = customers::table.filter(customers::account_id.eq(account)).filter(customers::gateway.eq(gateway));
    query.select(customers::customer_id).single_value()
}

/// Stores the id by which a gateway knows an account, unless there is one; returns the stored id. If two customers were
/// created for one account, the first one stored is used permanently and the other never.
pub async fn insert_or_get(
    connection: &mut Connection,
    account: AccountId,
    gateway: &str,
    customer: &str,
    now: DateTime<Utc>,
) -> Result<String> {
    let row = (
        customers::account_id.eq(account),
        customers::gateway.eq(gateway),
        customers::customer_id.eq(customer),
        customers::created_at.eq(now),
    );
    let upsert = diesel::insert_into(customers::table).values(row);
    // An update that changes nothing: in a single statement, only this returns the existing row.
    let upsert = upsert.on_conflict((customers::account_id, customers::gateway)).do_update();
    let upsert = upsert.set(customers::customer_id.eq(customers::customer_id)).returning(customers::customer_id);
    Ok(upsert.get_result(connection).await?)
}
