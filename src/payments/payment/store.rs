//! Payments in SQL.

pub mod stats;

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{orders::id::OrderId, payments::id::PaymentId};
use crate::{
    payments::{
        customer::store as customer,
        payment::model::{Filter, Payment, PaymentMethod},
        settlement::{
            model::{AttemptLease, Failure, FailureKind, State, Status},
            store::attempt_lease_row,
        },
    },
    schema::payments,
};
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection,
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

attempt_lease_row!(payments, due_at);

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = payments, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: PaymentId,
    account_id: AccountId,
    order_id: OrderId,
    charged_by: Uuid,
    gateway: String,
    method: String,
    currency: String,
    amount_minor: i64,
    refunded_minor: i64,
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

/// Builds a state from its columns; `None` when they violate their check.
pub(crate) fn state(
    status: i16,
    gateway_id: Option<String>,
    failure: (Option<i16>, Option<String>, Option<String>),
) -> Option<State> {
    match (Status::from_number(status.into())?, gateway_id, failure) {
        (Status::Pending, None, (None, None, None)) => Some(State::Pending),
        (Status::Succeeded, Some(gateway_id), (None, None, None)) => Some(State::Succeeded { gateway_id }),
        (Status::Failed, None, (Some(kind), Some(code), Some(message))) => {
            Some(State::Failed(Failure { kind: FailureKind::from_number(kind.into())?, code, message }))
        }
        _ => None,
    }
}

impl From<&Payment> for Row {
    fn from(payment: &Payment) -> Self {
        let failure = payment.state.failure();
        Self {
            id: payment.id,
            account_id: payment.account,
            order_id: payment.order,
            charged_by: payment.charged_by,
            gateway: payment.gateway.clone(),
            method: payment.method.token().to_owned(),
            currency: payment.amount.currency().code().to_owned(),
            amount_minor: payment.amount.minor(),
            refunded_minor: payment.refunded.minor(),
            status: payment.state.status().number(),
            gateway_id: payment.state.gateway_id().map(str::to_owned),
            failure_kind: failure.map(|failure| failure.kind.number()),
            failure_code: failure.map(|failure| failure.code.clone()),
            failure_message: failure.map(|failure| failure.message.clone()),
            lease: payment.lease.into(),
            version: payment.version,
            created_at: payment.created_at,
            updated_at: payment.updated_at,
        }
    }
}

/// A row with the gateway's id of the account, which no update of the row touches.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = payments)]
struct CustomerRow {
    #[diesel(embed)]
    row: Row,
    customer_id: Option<String>,
}

impl TryFrom<CustomerRow> for Payment {
    type Error = Error;

    fn try_from(CustomerRow { row, customer_id: customer }: CustomerRow) -> Result<Self> {
        let state = state(row.status, row.gateway_id, (row.failure_kind, row.failure_code, row.failure_message));
        let broken = || corrupt("payments", row.id, "status");
        Ok(Self {
            id: row.id,
            account: row.account_id,
            order: row.order_id,
            charged_by: row.charged_by,
            gateway: row.gateway,
            method: PaymentMethod::parse(row.method).map_err(|_| broken())?,
            customer,
            amount: Money::from_columns(row.amount_minor, &row.currency)?,
            refunded: Money::from_columns(row.refunded_minor, &row.currency)?,
            state: state.ok_or_else(broken)?,
            lease: row.lease.into(),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

visible!(payments, charged_by);

fn matching<'q>(visibility: Visibility, filter: &Filter) -> Boxed<'q> {
    let mut query = visible(visibility);
    if let Some(account) = filter.account {
        query = query.filter(payments::account_id.eq(account));
    }
    if let Some(order) = filter.order {
        query = query.filter(payments::order_id.eq(order));
    }
    if !filter.statuses.is_empty() {
        let statuses: Vec<i16> = filter.statuses.iter().map(|status| status.number()).collect();
        query = query.filter(payments::status.eq_any(statuses));
    }
    query
}

/// Returns one payment that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: PaymentId) -> Result<Payment> {
    static TEXT: OnceLock<String> = OnceLock::new();
    let query = payments::table.find(id).select(CustomerRow::as_select()).fixed(&TEXT);
    reached(query.get_result(&mut &*connection).await.optional()?, visibility)
}

/// Checks visibility on the row, where the check can't be part of the query. The error is the same.
fn reached(row: Option<CustomerRow>, visibility: Visibility) -> Result<Payment> {
    let row = row.filter(|CustomerRow { row, .. }| visibility.reaches(row.account_id, row.charged_by));
    row.ok_or_else(|| Error::not_found("payment"))?.try_into()
}

/// Returns one payment that is visible to the caller, locked against changes until the transaction ends. A transaction
/// that also needs the order must lock the order first.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, visibility: Visibility, id: PaymentId) -> Result<Payment> {
    let lock = payments::table.find(id).select(CustomerRow::as_select()).for_no_key_update();
    reached(lock.first(&mut &*connection).await.optional()?, visibility)
}

/// Returns the payment with this id of the gateway.
pub async fn of_gateway(connection: &mut Connection, gateway: &str, gateway_id: &str) -> Result<Option<PaymentId>> {
    let query = payments::table.filter(payments::gateway.eq(gateway)).filter(payments::gateway_id.eq(gateway_id));
    Ok(query.select(payments::id).first(connection).await.optional()?)
}

/// Returns a page of payments, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    filter: &Filter,
    page: Page,
) -> Result<Listed<Payment>> {
    // The order makes the planner read an index for the total, and only up to the bound.
    let ordered = || matching(visibility, filter).order((payments::created_at.desc(), payments::id.desc()));
    listed!(connection, ordered(), payments::created_at, page, CustomerRow => Payment)
}

/// Stores the intent of a payment; returns it with the gateway's id of the account's customer.
pub async fn insert(connection: &Connection, payment: Payment) -> Result<Payment> {
    let customer = payments::customer_id.eq(customer::customer_id(&payment.account, &payment.gateway));
    let trace = payments::traceparent.eq(traceparent());
    let inserted = diesel::insert_into(payments::table).values((Row::from(&payment), customer, trace));
    let customer = inserted.returning(payments::customer_id).get_result(&mut &*connection).await?;
    Ok(Payment { customer, ..payment })
}

/// Stores the next version of a locked payment.
pub async fn update(connection: &Connection, payment: &Payment) -> Result<()> {
    let target = payments::table.filter(payments::id.eq(payment.id)).filter(payments::version.eq(payment.version - 1));
    diesel::update(target).set(Row::from(payment)).exactly(1, "update payments").execute(&mut &*connection).await?;
    Ok(())
}

/// Stores the attempt lease of a locked payment, without a new version.
pub async fn set_lease(connection: &mut Connection, id: PaymentId, lease: AttemptLease) -> Result<()> {
    let values = AttemptLeaseRow::from(lease);
    let rows = diesel::update(payments::table.find(id)).set(values).prepared().execute(connection).await?;
    one_row(rows, "lease", "payments", id)
}
