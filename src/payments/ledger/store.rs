//! The ledger: append-only, with double entry. The database refuses a transaction that is not balanced, and one that
//! leaves a successful payment or refund without its entry.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    payments::{
        ledger::model::{Account, Booked, Kind, Posting},
        settlement::model::Status,
    },
    schema::ledger_transactions,
    subscriptions::model::{Invoice, Subscription},
};
use mainstay_kernel::{
    database::{Connection, integrity::rows_touched},
    error::{Error, Result},
    id,
    money::Money,
};

/// Books a movement of money, with both sides.
///
/// # Errors
/// Any error of Postgres, also at the commit: a movement that is booked already, or that belongs to nothing here.
pub async fn book(connection: &mut Connection, posting: &Posting, now: DateTime<Utc>) -> Result<()> {
    const SQL: &str = "WITH booked AS ( \
                         INSERT INTO ledger_transactions \
                           (id, kind, payment_id, refund_id, subscription_id, gateway_id, created_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id) \
                       INSERT INTO ledger_entries (transaction_id, account, currency, amount_minor) \
                       SELECT booked.id, side.account, $8, side.amount \
                       FROM booked, (VALUES ($9::smallint, $11::bigint), ($10::smallint, -$11::bigint)) \
                         AS side (account, amount)";
    let ((debit, credit), currency) = (posting.kind.accounts(), posting.amount.currency());
    let booked = diesel::sql_query(SQL)
        .bind::<SqlUuid, _>(id::new(now))
        .bind::<SmallInt, _>(posting.kind.number())
        .bind::<Nullable<SqlUuid>, _>(posting.payment.map(|payment| payment.0))
        .bind::<Nullable<SqlUuid>, _>(posting.refund.map(|refund| refund.0))
        .bind::<Nullable<SqlUuid>, _>(posting.subscription.map(|subscription| subscription.0))
        .bind::<Text, _>(&posting.gateway_id)
        .bind::<Timestamptz, _>(now)
        .bind::<Text, _>(currency.code())
        .bind::<SmallInt, _>(debit.number())
        .bind::<SmallInt, _>(credit.number())
        .bind::<BigInt, _>(posting.amount.minor());
    rows_touched(booked.execute(connection).await?, 2, "insert ledger_entries")
}

/// Books the invoices of a locked subscription that are not booked yet; returns how many there were.
///
/// # Errors
/// See [`book`].
pub async fn book_invoices(
    connection: &mut Connection,
    subscription: &Subscription,
    invoices: &[Invoice],
    now: DateTime<Utc>,
) -> Result<usize> {
    use ledger_transactions as booked;
    let known = booked::table.filter(booked::subscription_id.eq(subscription.id)).select(booked::gateway_id);
    let known: HashSet<String> = known.load(connection).await?.into_iter().collect();
    let missing: Vec<_> = invoices.iter().filter(|invoice| !known.contains(&invoice.gateway_id)).collect();
    for invoice in &missing {
        book(connection, &Posting::invoice(subscription, invoice), now).await?;
    }
    Ok(missing.len())
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
    const SQL: &str = "SELECT booked.kind, booked.gateway_id, entry.currency, abs(entry.amount_minor) AS amount_minor, \
                              CASE booked.kind WHEN 1 THEN booked.payment_id WHEN 3 THEN booked.subscription_id \
                                   ELSE (CASE WHEN refunds.refunded_by IS NOT NULL THEN refunds.id END) END AS subject \
                       FROM ledger_transactions AS booked \
                       LEFT JOIN payments ON payments.id = booked.payment_id \
                       LEFT JOIN refunds ON refunds.id = booked.refund_id \
                       LEFT JOIN subscriptions ON subscriptions.id = booked.subscription_id \
                       JOIN ledger_entries AS entry ON entry.transaction_id = booked.id AND entry.account = $2 \
                       WHERE coalesce(payments.gateway, subscriptions.gateway) = $1 AND booked.kind <> 4 \
                         AND NOT EXISTS (SELECT FROM ledger_transactions AS reversal \
                                         WHERE reversal.refund_id = booked.refund_id AND reversal.kind = 4)";
    let query = diesel::sql_query(SQL).bind::<Text, _>(gateway).bind::<SmallInt, _>(Account::Gateway.number());
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
        SELECT 'ledger transaction ' || booked.id || ' does not add up to nothing' AS fault
        FROM ledger_transactions AS booked LEFT JOIN ledger_entries AS entry ON entry.transaction_id = booked.id
        GROUP BY booked.id HAVING count(entry) < 2 OR sum(entry.amount_minor) <> 0 OR count(DISTINCT entry.currency) <> 1
        UNION ALL
        SELECT 'payment ' || payments.id || ' succeeded and is not in the ledger' FROM payments
        WHERE status = $1 AND NOT EXISTS (SELECT FROM ledger_transactions WHERE payment_id = payments.id AND kind = 1)
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
        GROUP BY refunds.id HAVING count(*) FILTER (WHERE kind = 2) <> count(*) FILTER (WHERE kind = 4)
        UNION ALL
        SELECT 'refund ' || refunds.id || ' is reversed and succeeded' FROM refunds
        JOIN ledger_transactions AS booked ON booked.refund_id = refunds.id WHERE status = $1 AND kind = 4
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
