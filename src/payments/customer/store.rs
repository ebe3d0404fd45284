//! The ids by which gateways know accounts.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use uuid::Uuid;

use crate::{
    payments::{
        id::{PaymentId, RefundId},
        ledger::store::sums,
    },
    schema::{
        gateway_customers as customers, ledger_transactions as ledger, payments, refunds, sandbox_movements,
        sandbox_subscriptions,
    },
};
use mainstay_kernel::{database::Connection, error::Result, id::AccountId};

/// Returns an SQL expression for the gateway's id of an account's customer. The expression is null if the account has
/// no customer.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn customer_id<'a>(account: &'a AccountId, gateway: &'a str) -> _ {
    let query = customers::table.filter(customers::account_id.eq(account)).filter(customers::gateway.eq(gateway));
    query.select(customers::customer_id).single_value()
}

/// Stores the gateway's id of an account's customer, unless one is stored; returns the stored id. If two customers were
/// created for one account, the first one stored is used permanently and the other is never used.
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
    // An update that changes nothing: only this form returns an existing row in a single statement.
    let upsert = upsert.on_conflict((customers::account_id, customers::gateway)).do_update();
    let upsert = upsert.set(customers::customer_id.eq(customers::customer_id)).returning(customers::customer_id);
    Ok(upsert.get_result(connection).await?)
}

/// Erases the payment records of removed accounts and of the given subscriptions: payments, refunds, their ledger
/// transactions, and the records of the sandbox gateway. Returns the ids of the erased payments and refunds. The caller
/// must have suspended the triggers that guard the ledger and the foreign keys between these tables. The ledger's sums
/// are rebuilt.
pub async fn erase(connection: &mut Connection, accounts: &[AccountId], subscriptions: &[Uuid]) -> Result<Vec<Uuid>> {
    let refunds = diesel::delete(refunds::table.filter(refunds::account_id.eq_any(accounts.to_vec())));
    let refunds: Vec<RefundId> = refunds.returning(refunds::id).get_results(connection).await?;
    let payments = diesel::delete(payments::table.filter(payments::account_id.eq_any(accounts.to_vec())));
    let payments: Vec<PaymentId> = payments.returning(payments::id).get_results(connection).await?;
    let paid: Vec<_> = payments.into_iter().map(|id| id.0).chain(refunds.into_iter().map(|id| id.0)).collect();
    let movements = ledger::payment_id.eq_any(&paid).or(ledger::refund_id.eq_any(&paid));
    let movements = movements.or(ledger::reversed_refund_id.eq_any(&paid));
    let movements = movements.or(ledger::subscription_id.eq_any(subscriptions.to_vec()));
    diesel::delete(ledger::table.filter(movements)).execute(connection).await?;
    diesel::delete(customers::table.filter(customers::account_id.eq_any(accounts.to_vec())))
        .execute(connection)
        .await?;
    let subjects = [paid.as_slice(), subscriptions].concat();
    let movements = sandbox_movements::table.filter(sandbox_movements::subject_id.eq_any(&subjects));
    diesel::delete(movements).execute(connection).await?;
    let contracts = sandbox_subscriptions::table.filter(sandbox_subscriptions::subject_id.eq_any(&subjects));
    diesel::delete(contracts).execute(connection).await?;
    sums::replace(connection).await?;
    Ok(paid)
}
