//! The ledger: append-only, with double entry. The database refuses a successful payment or refund without its
//! transaction; one that is not balanced can't be written down.

pub mod sums;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, SmallInt, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    payments::{
        id::{PaymentId, RefundId},
        ledger::model::{Booked, Kind, Posting, Subject},
        settlement::model::Status,
    },
    schema::ledger_transactions as booked,
    subscriptions::{
        id::SubscriptionId,
        model::{Invoice, Subscription},
    },
};
use mainstay_kernel::{
    database::Connection,
    error::{Error, Result},
    id,
    money::Money,
};

/// What a movement is for: one of these.
#[derive(Debug, Default, Insertable)]
#[diesel(table_name = booked, treat_none_as_default_value = false)]
struct Columns {
    payment_id: Option<PaymentId>,
    refund_id: Option<RefundId>,
    subscription_id: Option<SubscriptionId>,
    reversed_refund_id: Option<RefundId>,
}

/// Books a movement of money; returns the id of the transaction.
///
/// # Errors
/// Any error of Postgres, also at the commit: a movement that is booked already, or that belongs to nothing here.
pub async fn book(connection: &Connection, posting: &Posting, now: DateTime<Utc>) -> Result<Uuid> {
    let (id, kind, mut row) = (id::new(now), posting.subject.kind(), Columns::default());
    match posting.subject {
        Subject::Charge(payment) => row.payment_id = Some(payment),
        Subject::Refund(refund) => row.refund_id = Some(refund),
        Subject::Invoice(subscription) => row.subscription_id = Some(subscription),
        Subject::Reversal(refund) => row.reversed_refund_id = Some(refund),
    }
    let ((debit, credit), currency) = (kind.accounts(), posting.amount.currency());
    let row = (
        booked::id.eq(id),
        booked::kind.eq(kind.number()),
        row,
        booked::gateway_id.eq(&posting.gateway_id),
        booked::debit_account.eq(debit.number()),
        booked::credit_account.eq(credit.number()),
        booked::currency.eq(currency.code()),
        booked::amount_minor.eq(posting.amount.minor()),
        booked::created_at.eq(now),
    );
    diesel::insert_into(booked::table).values(row).execute(&mut &*connection).await?;
    Ok(id)
}

/// Books the invoices of a locked subscription that are not booked yet; returns the ids of the transactions.
///
/// # Errors
/// See [`book`].
pub async fn book_invoices(
    connection: &mut Connection,
    subscription: &Subscription,
    invoices: &[Invoice],
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>> {
    let known = booked::table.filter(booked::subscription_id.eq(subscription.id)).select(booked::gateway_id);
    let known: HashSet<String> = known.load(connection).await?.into_iter().collect();
    let mut ids = Vec::new();
    for invoice in invoices.iter().filter(|invoice| !known.contains(&invoice.gateway_id)) {
        ids.push(book(connection, &Posting::invoice(subscription, invoice), now).await?);
    }
    Ok(ids)
}

/// Returns the amount of a transaction; `None` if there is no such transaction.
///
/// # Errors
/// Any error of Postgres.
pub async fn amount(connection: &mut Connection, transaction: Uuid) -> Result<Option<Money>> {
    let query = booked::table.find(transaction).select((booked::amount_minor, booked::currency));
    let row: Option<(i64, String)> = query.first(connection).await.optional()?;
    row.map(|(minor, currency)| Money::stored(minor, &currency)).transpose()
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    subject: Option<Uuid>,
    #[diesel(sql_type = Text)]
    gateway_id: String,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    amount_minor: i64,
}

impl TryFrom<Row> for Booked {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let kind = Kind::from_number(row.kind.into())
            .ok_or_else(|| Error::internal(anyhow::anyhow!("ledger_transactions: the kind {}", row.kind)))?;
        let amount = Money::stored(row.amount_minor, &row.currency)?;
        Ok(Self { kind, subject: row.subject, gateway_id: row.gateway_id, amount })
    }
}

/// Returns all movements at one gateway that count: a refund that the bank returned and its reversal do not.
///
/// # Errors
/// Any error of Postgres.
pub async fn booked(connection: &mut Connection, gateway: &str) -> Result<Vec<Booked>> {
    const SQL: &str = "SELECT booked.kind, booked.gateway_id, booked.currency, booked.amount_minor, \
                              CASE booked.kind WHEN 1 THEN booked.payment_id WHEN 3 THEN booked.subscription_id \
                                   ELSE (CASE WHEN refunds.refunded_by IS NOT NULL THEN refunds.id END) END AS subject \
                       FROM ledger_transactions AS booked \
                       LEFT JOIN refunds ON refunds.id = booked.refund_id \
                       LEFT JOIN payments ON payments.id = coalesce(booked.payment_id, refunds.payment_id) \
                       LEFT JOIN subscriptions ON subscriptions.id = booked.subscription_id \
                       WHERE coalesce(payments.gateway, subscriptions.gateway) = $1 AND booked.kind <> 4 \
                         AND NOT EXISTS (SELECT FROM ledger_transactions AS reversal \
                                         WHERE reversal.reversed_refund_id = booked.refund_id)";
    let query = diesel::sql_query(SQL).bind::<Text, _>(gateway);
    let rows: Vec<Row> = query.load(connection).await?;
    rows.into_iter().map(Booked::try_from).collect()
}

#[derive(QueryableByName)]
struct Fault {
    #[diesel(sql_type = Text)]
    fault: String,
}

/// Returns the inconsistencies within the ledger: none, as long as the constraints are in place.
pub async fn faults(connection: &mut Connection) -> Result<Vec<String>> {
    const SQL: &str = "
        SELECT 'payment ' || payments.id || ' succeeded and is not in the ledger' AS fault FROM payments
        WHERE status = $1 AND NOT EXISTS (SELECT FROM ledger_transactions WHERE payment_id = payments.id)
        UNION ALL
        SELECT 'refund ' || refunds.id || ' succeeded and is not in the ledger' FROM refunds
        WHERE status = $1 AND NOT EXISTS (SELECT FROM ledger_transactions WHERE refund_id = refunds.id)
        UNION ALL
        SELECT 'payment ' || payments.id || ' is in the ledger and did not succeed' FROM payments
        JOIN ledger_transactions AS booked ON booked.payment_id = payments.id WHERE status <> $1
        UNION ALL
        SELECT 'subscription ' || subscriptions.id || ' is in the ledger and never began' FROM subscriptions
        JOIN ledger_transactions AS booked ON booked.subscription_id = subscriptions.id
        WHERE subscriptions.gateway_id IS NULL
        UNION ALL
        SELECT 'refund ' || refunds.id || ' is in the ledger and did not succeed' FROM refunds
        JOIN ledger_transactions AS booked ON booked.refund_id = refunds.id WHERE status <> $1
        AND NOT EXISTS (SELECT FROM ledger_transactions WHERE reversed_refund_id = refunds.id)
        UNION ALL
        SELECT 'refund ' || refunds.id || ' is reversed and ' || CASE status WHEN $1 THEN 'succeeded' ELSE 'was never booked' END
        FROM refunds JOIN ledger_transactions AS booked ON booked.reversed_refund_id = refunds.id
        WHERE status = $1 OR NOT EXISTS (SELECT FROM ledger_transactions WHERE refund_id = refunds.id)
        UNION ALL
        SELECT 'payment ' || id || ' has ' || refunded_minor || ' set reserved, and refunds of another sum' FROM payments
        WHERE refunded_minor <> coalesce((SELECT sum(amount_minor) FROM refunds WHERE payment_id = payments.id AND status <> 3), 0)";
    let found: Vec<Fault> =
        diesel::sql_query(SQL).bind::<SmallInt, _>(Status::Succeeded.number()).load(connection).await?;
    Ok(found.into_iter().map(|row| row.fault).collect())
}

/// A payment, refund or subscription with an outcome that is not known yet.
#[derive(Debug, Clone, QueryableByName)]
pub struct Pending {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub id: Uuid,
    /// The gateway's id of a subscription whose next invoice may exist there already; `None`: the outcome itself is
    /// open.
    #[diesel(sql_type = Nullable<Text>)]
    pub gateway_id: Option<String>,
}

/// Returns the payments, refunds and subscriptions with an outcome that is not known yet. For a subscription that
/// began, that may be an invoice, until its next query of the gateway, which takes minutes once it is due.
pub async fn pending(connection: &mut Connection, now: DateTime<Utc>) -> Result<Vec<Pending>> {
    const SQL: &str = "SELECT id, NULL::text AS gateway_id FROM payments WHERE status = $1 \
                       UNION ALL SELECT id, NULL FROM refunds WHERE status = $1 \
                       UNION ALL SELECT id, NULL FROM subscriptions WHERE status = $1 \
                       UNION ALL SELECT id, gateway_id FROM subscriptions \
                                 WHERE status IN (2, 3) AND next_sync_at > $2 - interval '10 minutes'";
    let query = diesel::sql_query(SQL).bind::<SmallInt, _>(Status::Pending.number());
    Ok(query.bind::<diesel::sql_types::Timestamptz, _>(now).load(connection).await?)
}
