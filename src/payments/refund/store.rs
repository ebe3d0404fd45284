//! Refunds in SQL.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::payments::id::{PaymentId, RefundId};
use crate::{
    payments::{
        payment::{model::Refund, store::state},
        settlement::{
            model::{AttemptLease, Status},
            store::attempt_lease_row,
        },
    },
    schema::{ledger_transactions, payments, refunds},
};
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection, convert,
        integrity::{corrupt, one_row},
        seek::listed,
        statement::Prepare as _,
        visibility::visible,
    },
    error::{Error, Result},
    id::AccountId,
    money::Money,
    page::{Listed, Page},
    queue::rows::traceparent,
};

attempt_lease_row!(refunds, due_at);

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = refunds, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: RefundId,
    payment_id: PaymentId,
    account_id: AccountId,
    refunded_by: Option<Uuid>,
    currency: String,
    amount_minor: i64,
    status: i16,
    gateway_id: Option<String>,
    failure_kind: Option<i16>,
    failure_code: Option<String>,
    failure_message: Option<String>,
    #[diesel(embed)]
    lease: AttemptLeaseRow,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Refund> for Row {
    fn from(refund: &Refund) -> Self {
        let failure = refund.state.failure();
        Self {
            id: refund.id,
            payment_id: refund.payment,
            account_id: refund.account,
            refunded_by: refund.refunded_by,
            currency: refund.amount.currency().code().to_owned(),
            amount_minor: refund.amount.minor(),
            status: refund.state.status().number(),
            gateway_id: refund.state.gateway_id().map(str::to_owned),
            failure_kind: failure.map(|failure| failure.kind.number()),
            failure_code: failure.map(|failure| failure.code.clone()),
            failure_message: failure.map(|failure| failure.message.clone()),
            lease: refund.lease.into(),
            version: refund.version,
            created_at: refund.created_at,
            updated_at: refund.updated_at,
        }
    }
}

impl TryFrom<Row> for Refund {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let state = state(row.status, row.gateway_id, (row.failure_kind, row.failure_code, row.failure_message));
        let broken = || corrupt("refunds", row.id, "status");
        Ok(Self {
            id: row.id,
            payment: row.payment_id,
            account: row.account_id,
            refunded_by: row.refunded_by,
            amount: Money::from_columns(row.amount_minor, &row.currency)?,
            state: state.ok_or_else(broken)?,
            lease: row.lease.into(),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

visible!(refunds, refunded_by);

/// Returns one refund that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: RefundId) -> Result<Refund> {
    let query = visible(visibility).filter(refunds::id.eq(id));
    convert::found::<Row, _>(query.select(Row::as_select()).first(&mut &*connection).await, "refund")
}

/// Returns one refund, locked against changes until the transaction ends. A transaction that also needs the payment
/// must lock the payment first.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: RefundId) -> Result<Refund> {
    let lock = refunds::table.find(id).select(Row::as_select()).for_no_key_update();
    convert::found::<Row, _>(lock.first(&mut &*connection).await, "refund")
}

/// Returns whether a refund of the payment was booked under this id of the gateway. This includes refunds that the bank
/// returned: a caller that read the gateway's list before the return must not mistake such a refund for a new one.
pub async fn is_known(connection: &mut Connection, payment: PaymentId, gateway_id: &str) -> Result<bool> {
    let booked = refunds::table.inner_join(ledger_transactions::table).filter(refunds::payment_id.eq(payment));
    let query = booked.filter(ledger_transactions::gateway_id.eq(gateway_id)).select(refunds::id);
    Ok(diesel::select(diesel::dsl::exists(query)).get_result(connection).await?)
}

/// Returns the refund of a payment that succeeded under this id of the gateway, locked against changes until the
/// transaction ends. A transaction that also needs the payment must lock the payment first.
pub async fn lock_known(connection: &mut Connection, payment: PaymentId, gateway_id: &str) -> Result<Option<Refund>> {
    let query = refunds::table.filter(refunds::payment_id.eq(payment)).filter(refunds::gateway_id.eq(gateway_id));
    convert::optional::<Row, _>(query.select(Row::as_select()).for_no_key_update().first(connection).await)
}

/// The gateway's ids of a refund and of the refunded charge.
pub type Known = (String, String);

/// Returns the payments whose refunds differ from the gateway's: the gateway has a refund that moved money and is
/// unknown here, or a refund that failed there and succeeded here.
pub async fn out_of_line(
    connection: &mut Connection,
    gateway: &str,
    movements: &[Known],
    failed: &[Known],
) -> Result<HashSet<PaymentId>> {
    let (ids, charges): (Vec<&str>, Vec<&str>) =
        movements.iter().chain(failed).map(|(id, of)| (id.as_str(), of.as_str())).unzip();
    let ours = payments::table.filter(payments::gateway.eq(gateway)).filter(payments::gateway_id.eq_any(charges));
    let ours: Vec<(Option<String>, PaymentId)> =
        ours.select((payments::gateway_id, payments::id)).load(connection).await?;
    let ours: HashMap<_, _> = ours.into_iter().collect();
    let query =
        refunds::table.filter(refunds::payment_id.eq_any(ours.values())).filter(refunds::gateway_id.eq_any(ids));
    let rows: Vec<Option<String>> = query.select(refunds::gateway_id).load(connection).await?;
    let existing: HashSet<_> = rows.iter().flatten().map(String::as_str).collect();
    let unknown = movements.iter().filter(|(id, _)| !existing.contains(id.as_str()));
    let succeeded = failed.iter().filter(|(id, _)| existing.contains(id.as_str()));
    Ok(unknown.chain(succeeded).filter_map(|(_, of)| ours.get(&Some(of.clone())).copied()).collect())
}

/// Returns a page of refunds of a payment, newest first.
pub async fn list(connection: &Connection, payment: PaymentId, page: Page) -> Result<Listed<Refund>> {
    let of_payment = || refunds::table.filter(refunds::payment_id.eq(payment)).into_boxed();
    listed!(connection, of_payment(), refunds::created_at, page, Row => Refund)
}

/// Returns the amount of a payment that was refunded, in the smallest unit.
pub async fn given_back(connection: &Connection, payment: PaymentId) -> Result<i64> {
    let query = refunds::table.filter(refunds::payment_id.eq(payment));
    let query = query.filter(refunds::status.eq(Status::Succeeded.number())).select(refunds::amount_minor);
    let amounts: Vec<i64> = query.load(&mut &*connection).await?;
    Ok(amounts.into_iter().sum())
}

/// Stores the intent of a refund.
pub async fn insert(connection: &Connection, refund: &Refund) -> Result<()> {
    let values = (Row::from(refund), refunds::traceparent.eq(traceparent()));
    let rows = diesel::insert_into(refunds::table).values(values).execute(&mut &*connection).await?;
    one_row(rows, "insert", "refunds", refund.id)
}

/// Stores the next version of a locked refund.
pub async fn update(connection: &Connection, refund: &Refund) -> Result<()> {
    let target = refunds::table.filter(refunds::id.eq(refund.id)).filter(refunds::version.eq(refund.version - 1));
    diesel::update(target).set(Row::from(refund)).exactly(1, "update refunds").execute(&mut &*connection).await?;
    Ok(())
}

/// Stores the attempt lease of a locked refund, without a new version.
pub async fn set_lease(connection: &mut Connection, id: RefundId, lease: AttemptLease) -> Result<()> {
    let values = AttemptLeaseRow::from(lease);
    let rows = diesel::update(refunds::table.find(id)).set(values).prepared().execute(connection).await?;
    one_row(rows, "lease", "refunds", id)
}
