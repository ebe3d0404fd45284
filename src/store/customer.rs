//! What gateways know accounts by.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::gateway_customers as customers};
use crate::{error::Result, id::AccountId};

/// What a gateway knows an account by, as a value of another statement; null when it does not.
#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn of<'a>(account: &'a AccountId, gateway: &'a str) -> _ {
    let known = customers::table.filter(customers::account_id.eq(account)).filter(customers::gateway.eq(gateway));
    known.select(customers::customer_id).single_value()
}

/// Keeps what a gateway knows an account by, unless that is known; returns what it is. Of two customers that were made for
/// one account the first to be kept is its own for good, and the other one is never used.
pub async fn keep(
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
    let kept = diesel::insert_into(customers::table).values(row);
    // An update that changes nothing: it returns what is there, which nothing else in one statement does.
    let kept = kept.on_conflict((customers::account_id, customers::gateway)).do_update();
    let kept = kept.set(customers::customer_id.eq(customers::customer_id)).returning(customers::customer_id);
    Ok(kept.get_result(connection).await?)
}
